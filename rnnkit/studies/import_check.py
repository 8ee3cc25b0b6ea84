"""Checks that trials from elsewhere fit the space of their study, before they are imported."""

import os
from functools import cache
from typing import NoReturn

from rnnkit.cells import CELLS
from rnnkit.hparams import Range, space_for
from rnnkit.tasks import TASKS
from rnnkit.trials import StoreError, Trial
from rnnkit.trials.key import Key, parse


class ImportCheck:
    """Checks whether a trial can belong to its study; `path` is the file that it comes from."""

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = path

    def __call__(self, trial: Trial) -> None:
        """StoreError unless each hyper-parameter that the study's space has is within its range, and
        the columns agree with the key.

        A trial must have all of them if the key of its study ends in a fingerprint (/of=). The kit
        has no space for a cell or a task that it does not know, so nothing of these can be checked;
        it does not train them either.
        """
        key = parse(trial.study)
        steps = key.train_steps if key else (1, 10**12)
        for name, item in ranges_of(trial.architecture, trial.task_type, *steps).items():
            if name in trial.hparams:
                value = trial.hparams[name]
                if not item.holds(value):
                    self._refuse(trial, f"has {name} = {value!r}, and its space has {item}")
            elif key and key.of:
                self._refuse(trial, f"has no {name}, and its space has {item}")
        if key and (contradiction := _disagreement(key, trial)):
            self._refuse(trial, f"is of {contradiction}")
        if trial.num_params > trial.max_params and trial.n_layers:
            self._refuse(
                trial,
                f"has {trial.num_params:,} parameters, more than the {trial.max_params:,} it may"
                " have",
            )
        if trial.n_units > trial.num_params:
            self._refuse(
                trial, f"has {trial.n_units:,} units and only {trial.num_params:,} parameters"
            )
        if trial.steps > trial.hparams.get("train_steps", trial.steps):
            self._refuse(
                trial, f"did {trial.steps:,} of {trial.hparams['train_steps']:,} training steps"
            )

    def _refuse(self, trial: Trial, fault: str) -> NoReturn:
        raise StoreError(
            f"{self.path} does not hold trials: number {trial.hyper_iter} of {trial.study} {fault}."
            " Nothing was imported."
        )


def _disagreement(key: Key, trial: Trial) -> str:
    """The columns of a trial that are not as its key has them, in words; empty if they are."""
    size = f"form={trial.form}" if trial.form else f"in={trial.n_in}/unroll={trial.unroll}"
    network = (trial.task_type, trial.architecture, trial.n_layers, trial.max_params)
    of_key = (key.task_type, key.architecture, key.n_layers, key.max_params)
    if (of_key, key.seed, key.tuner) == (network, trial.seed, trial.tuner):
        if key.size in ("", size):
            return ""
    text = "{}/{}/layers={}/params={}".format(*network)
    return f"{text}/{size}, the tuner {trial.tuner} and seed {trial.seed}"


@cache
def ranges_of(architecture: str, task_type: str, low: int, high: int) -> dict[str, Range]:
    """The ranges of a cell's space on a task, by name; none for a cell or a task that is unknown."""
    if architecture not in CELLS or task_type not in TASKS or not 1 <= low <= high:
        return {}
    steps = (low, high if high > low else high + 1)  # equal ones would be pinned
    return {
        item.name: item for item in space_for(architecture, task_type, train_steps=steps).ranges
    }
