"""Trials from elsewhere, held against the space of their study, value by value, before they are let
in.
"""

import re
from functools import cache

from rnnkit.cells import CELLS
from rnnkit.hparams import space_for
from rnnkit.tasks import TASKS
from rnnkit.trials import StoreError

KEY = re.compile(
    r"(?P<network>[^/]+/[^/]+/layers=\d+/params=\d+)/.*/steps=(?P<low>\d+)-(?P<high>\d+)/.*(?P<seed>/seed=\d+)(?P<of>/of=\w+)?"
)


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
        key = KEY.fullmatch(trial.study)
        rows = self.rows_of(
            trial.architecture,
            trial.task_type,
            *((int(key["low"]), int(key["high"])) if key else (1, 10**12)),
        )
        for name, row in rows.items():
            if name in trial.hparams:
                if not row.holds(trial.hparams[name]):
                    self._refuse(
                        trial, f"has {name} = {trial.hparams[name]!r}, and its space has {row}"
                    )
            elif key and key["of"]:
                self._refuse(trial, f"has no {name}, and its space has {row}")
        if key:
            network = f"{trial.task_type}/{trial.architecture}/layers={trial.n_layers}/params={trial.max_params}"
            if key["network"] != network or key["seed"] != f"/seed={trial.seed}":
                self._refuse(trial, f"is of {network} and seed {trial.seed}")
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
        ).rows
    }
