"""The cost of a run, estimated before it starts."""

import math
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from rnnkit import places, training
from rnnkit.checks import whole_number
from rnnkit.names import resolve_name
from rnnkit.studies.experiments import EXPERIMENTS, jobs_of
from rnnkit.studies.scales import scale_of
from rnnkit.studies.study import Study
from rnnkit.studies.workers import cores
from rnnkit.training import check_device
from rnnkit.training.timing import SECONDS
from rnnkit.trials import TrialStore
from rnnkit.trials.paths import check_store_path, store_path

# per notebook whose trials are stored: starting a kernel, importing, drawing
NOTEBOOK_SECONDS = 9.0
MEASURING = 0.8  # seconds of all measurements together


@dataclass
class Work:
    """What is to be done for an experiment: the number of its studies, of their trials, and of the
    trials to train per study.
    """

    experiment: str
    studies: int
    trials: int
    missing: dict[Study, int]


def plan(
    scale: str = "quick",
    only: str | list[str] | None = None,
    trials: int | None = None,
    store: TrialStore | str | os.PathLike | None = "trials.sqlite",
    seed: int = 0,
    workers: int | None = None,
    device: str | None = None,
    speed: Callable[[Study, str], float] | None = None,
) -> pd.DataFrame:
    """One row per experiment (of all, or of `only` those named) and a total: studies, trials, trials
    that the store lacks (`to_train`), and the cost of training these.

    `flops` counts 6 operations per parameter, example and time step. `seconds` is the expected time
    on this machine with `workers` workers, from short measurements of training steps, which take
    MEASURING seconds in all (`speed(study, device)` gives the seconds per step instead). The time of
    the notebooks themselves is a row of its own. A study of several experiments counts in the first
    of them. ValueError for a bad name or number.
    """
    names = list(EXPERIMENTS) if only is None else only
    names = names if isinstance(names, (list, tuple)) else [names]
    device = check_device("cpu" if device is None else device)
    workers = whole_number("workers", 0 if workers is None else workers, 0, 1_024) or (
        cores() if device == "cpu" else 1
    )
    with _open_store(store) as trial_store:
        works, trials_of = _count(names, scale, seed, trials, trial_store)
    total = Work("all", len(trials_of), sum(trials_of.values()), {})
    for work in works:
        for study, count in work.missing.items():
            total.missing[study] = count + total.missing.get(study, 0)
    to_train = {study: count for study, count in total.missing.items() if count}
    seconds_of = _clock(list(to_train), device, speed)

    def row(work: Work) -> dict:
        seconds = sum(
            count * study.mean_steps * seconds_of(study)
            for study, count in work.missing.items()
            if count
        )
        return {
            "experiment": work.experiment,
            "studies": work.studies,
            "trials": work.trials,
            "to_train": sum(work.missing.values()),
            "flops": float(sum(count * study.flops for study, count in work.missing.items())),
            "seconds": float(seconds / workers),
        }

    records = [row(work) for work in works]
    everything = row(total)
    if only is None:
        notebooks = row(Work("notebooks", 0, 0, {}))
        notebooks["seconds"] = NOTEBOOK_SECONDS * len(list(places.NOTEBOOKS.glob("*.ipynb")))
        records.append(notebooks)
        everything["seconds"] += notebooks["seconds"]
    return pd.DataFrame([*records, everything])


def _count(
    names: list[str], scale: str, seed: int, trials: int | None, store: TrialStore | None
) -> tuple[list[Work], dict[str, int]]:
    """The work on each experiment, where a study of several counts in the first of them, and the
    number of trials per key of a study.
    """
    works: list[Work] = []
    trials_of: dict[str, int] = {}
    for name in names:
        name = resolve_name("experiment", name, EXPERIMENTS)
        jobs = jobs_of(name, scale, seed, trials, store)
        missing = {}
        for study, count in jobs:
            numbers = set(range(trials_of.get(study.key, 0), count))
            # asked by `is not None`: whether a store is true means counting all of its trials
            missing[study] = len(numbers - (set() if store is None else store.numbers(study.key)))
            trials_of[study.key] = max(count, trials_of.get(study.key, 0))
        works.append(Work(name, len(jobs), sum(count for _, count in jobs), missing))
    return works, trials_of


def _open_store(
    store: TrialStore | str | os.PathLike | None,
) -> AbstractContextManager[TrialStore | None]:
    """A context manager of the store; of None if there is no such store yet."""
    if isinstance(store, TrialStore):
        return nullcontext(store)
    if store is None:
        return nullcontext()
    check_store_path(store_path(store), create=True)
    if not store_path(store).exists():
        return nullcontext()
    return TrialStore(store, create=False)


def _clock(
    studies: list[Study], device: str, speed: Callable[[Study, str], float] | None
) -> Callable[[Study], float]:
    """A function that gives the seconds per step of any of the studies. They are measured for the
    smallest and the largest study of each task and architecture, and follow a power law in between.
    """
    groups: dict[tuple, list[Study]] = {}
    for study in studies:
        groups.setdefault((study.task_type, study.architecture), []).append(study)
    for group in groups.values():
        group.sort(key=_size)
    ends = {kind: list(dict.fromkeys((group[0], group[-1]))) for kind, group in groups.items()}
    measure = speed or _speed_within(sum(map(len, ends.values())))
    points = {  # (log of the size, log of the seconds) of the one or two studies
        kind: [
            (math.log(_size(study)), math.log(measure(_with_shipped_text(study), device)))
            for study in measured
        ]
        for kind, measured in ends.items()
    }

    def seconds_of(study: Study) -> float:
        measurements = points[study.task_type, study.architecture]
        x0, y0 = measurements[0]
        x1, y1 = measurements[-1]
        slope = (y1 - y0) / (x1 - x0) if x1 > x0 else 0.0
        return math.exp(y0 + slope * (math.log(_size(study)) - x0))

    return seconds_of


def _speed_within(count: int) -> Callable[[Study, str], float]:
    """`training.seconds_per_step`, of which `count` measurements take no longer than MEASURING."""
    return partial(training.seconds_per_step, seconds=min(SECONDS, MEASURING / max(1, count)))


def _with_shipped_text(study: Study) -> Study:
    """A study that takes as long, and needs no corpus but the one that ships with the kit."""
    if study.task_type != "text8" or study.form.endswith("sample"):
        return study
    return replace(study, form=f"{study.form} sample")


def _size(study: Study) -> int:
    """The size of a training step, which its time depends on."""
    return study.num_params * study.unroll


def scale_text(scale: str) -> str:
    """A scale in one line."""
    capacity = scale_of(scale).capacity
    low, high = capacity.steps or capacity.steps_per_param
    return (
        f"{scale}: {', '.join(f'{size:,}' for size in capacity.sizes)} parameters;"
        f" {', '.join(map(str, capacity.depths))} layers; {capacity.trials:,} trials per study of"
        f" {low:,} to {high:,} {'steps' if capacity.steps else 'steps per parameter'}"
    )
