"""Checks that trials from elsewhere fit their studies, before they are imported or verified."""

import os
from collections.abc import Iterator
from functools import cache

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
        """StoreError for a trial with a fault."""
        if fault := fault_of(trial):
            raise StoreError(
                f"{self.path} does not hold trials: number {trial.hyper_iter} of {trial.study}"
                f" {fault}. Nothing was imported."
            )


def fault_of(trial: Trial) -> str:
    """Why a trial cannot belong to its study, as the rest of a sentence about it; empty if it can.

    Each hyper-parameter that the study's space has must be within its range, and the columns must
    agree with the key. A trial must have all of these hyper-parameters, and no others, if its key
    ends in a fingerprint (/of=). The kit has no space for a cell or a task that it does not know, so
    nothing of these can be checked; it does not train them either.
    """
    return next(_faults(trial, parse(trial.study)), "")


def _faults(trial: Trial, key: Key | None) -> Iterator[str]:
    low, high = key.train_steps if key else (1, 10**12)
    ranges = ranges_of(trial.architecture, trial.task_type, low, high)
    for name, item in ranges.items():
        if name in trial.hparams:
            value = trial.hparams[name]
            if not item.holds(value) or (name == "train_steps" and value > high):
                yield f"has {name} = {value!r}, and its space has {item}"
        elif key and key.of:
            yield f"has no {name}, and its space has {item}"
    if key and key.of and ranges and (extras := set(trial.hparams) - set(ranges)):
        yield f"has {min(extras)}, which its space lacks"
    for name, value in (key.pinned if key else {}).items():
        if trial.hparams.get(name, value) != value:
            yield f"has {name} = {trial.hparams[name]!r}, and its study pins it at {value!r}"
    if trial.num_params > trial.max_params and trial.n_layers:
        most = f"{trial.max_params:,} it may have"
        yield f"has {trial.num_params:,} parameters, more than the {most}"
    if trial.n_units > trial.num_params:
        yield f"has {trial.n_units:,} units and only {trial.num_params:,} parameters"
    if trial.steps > trial.hparams.get("train_steps", trial.steps):
        yield f"did {trial.steps:,} of {trial.hparams['train_steps']:,} training steps"
    size = size_of(trial.task_type, trial.form)
    if size and size != (trial.n_in, trial.unroll):
        yield (
            f"has {trial.n_in:,} inputs and {trial.unroll:,} steps, and its task has"
            f" {size[0]:,} and {size[1]:,}"
        )
    if key and (contradiction := _disagreement(key, trial)):
        yield f"is of {contradiction}"


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


@cache
def size_of(task_type: str, form: str) -> tuple[int, int] | None:
    """Inputs and time steps of a task that comes in several sizes; None for one that does not, and
    for an unknown task or form.
    """
    if task_type not in TASKS or not form or form not in TASKS[task_type].forms:
        return None
    task = TASKS[task_type](form=form)
    return task.n_in, task.steps
