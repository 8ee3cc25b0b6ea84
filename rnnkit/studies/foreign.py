"""Trials from elsewhere, held against the space of their study, value by value, before they are let
in.
"""

from functools import cache

from rnnkit.cells import CELLS
from rnnkit.hparams import space_for
from rnnkit.tasks import TASKS
from rnnkit.trials import StoreError
from rnnkit.trials.key import parse


class Checker:
    """Says whether a trial can be one of its study. `place` is the file that it comes from."""

    def __init__(self, place):
        self.place, self.rows_of = place, cache(rows_of)

    def __call__(self, trial):
        """StoreError unless every hyper-parameter that the study's space has is within its range,
        and the columns are those of the key.

        A study of this version's form (its key ends in /of=) must have them all. A cell or a task
        that is not known here has no space here, so nothing of its own can be checked, and nothing
        here trains it.
        """
        key = parse(trial.study)
        steps = key.train_steps if key else (1, 10**12)
        rows = self.rows_of(trial.architecture, trial.task_type, *steps)
        for name, row in rows.items():
            if name in trial.hparams:
                if not row.holds(trial.hparams[name]):
                    self._refuse(
                        trial, f"has {name} = {trial.hparams[name]!r}, and its space has {row}"
                    )
            elif key and key.of:
                self._refuse(trial, f"has no {name}, and its space has {row}")
        if key:
            of_key = (key.task_type, key.architecture, key.n_layers, key.max_params, key.seed)
            network = (trial.task_type, trial.architecture, trial.n_layers, trial.max_params)
            if of_key != (*network, trial.seed):
                words = "{}/{}/layers={}/params={}".format(*network)
                self._refuse(trial, f"is of {words} and seed {trial.seed}")
        if trial.num_params > trial.max_params and trial.n_layers:
            self._refuse(
                trial,
                f"has {trial.num_params:,} parameters, more than the {trial.max_params:,} it may"
                " have",
            )
        if trial.steps > trial.hparams.get("train_steps", trial.steps):
            self._refuse(
                trial, f"did {trial.steps:,} of {trial.hparams['train_steps']:,} training steps"
            )

    def _refuse(self, trial, what):
        raise StoreError(
            f"{self.place} does not hold trials: number {trial.hyper_iter} of {trial.study} {what}."
            " Nothing was imported."
        )


def rows_of(architecture: str, task_type: str, low: int, high: int) -> dict:
    """Name -> row of the space of a cell on a task; none for what is not known here."""
    if architecture not in CELLS or task_type not in TASKS or not 1 <= low <= high:
        return {}
    return {
        row.name: row
        for row in space_for(
            architecture, task_type, train_steps=(low, high if high > low else high + 1)
        ).ranges
    }
