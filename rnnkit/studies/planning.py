"""The cost of a run, estimated before it starts."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
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
        jobs_to_do = list(_jobs(names, scale, seed, trials, trial_store))
    table = pd.DataFrame(jobs_to_do, columns=["experiment", "study", "trials", "to_train"])
    seconds_of = _clock(list(dict.fromkeys(table.study[table.to_train > 0])), device, speed)
    jobs = list(zip(table.study, table.to_train))
    table["flops"] = [float(count * study.flops) for study, count in jobs]
    table["seconds"] = [
        count * study.mean_steps * seconds_of(study) / workers if count else 0.0
        for study, count in jobs
    ]
    if only is None:
        seconds = NOTEBOOK_SECONDS * len(list(places.NOTEBOOKS.glob("*.ipynb")))
        notebooks = {"experiment": "notebooks", "trials": 0, "to_train": 0, "flops": 0.0}
        table = pd.concat([table, pd.DataFrame([{**notebooks, "seconds": seconds}])])
    sums = dict.fromkeys(("to_train", "flops", "seconds"), "sum")
    by_study = table.groupby("study", sort=False, dropna=False, as_index=False)
    total = by_study.agg({"trials": "max", **sums}).assign(experiment="all")
    by_experiment = pd.concat([table, total]).groupby("experiment", sort=False)
    summary = by_experiment.agg({"study": "count", "trials": "sum", **sums})
    return summary.rename(columns={"study": "studies"}).reset_index()


def _jobs(
    names: list[str], scale: str, seed: int, trials: int | None, store: TrialStore | None
) -> Iterator[dict]:
    """A row for each study of each experiment: its number of trials, and of those to train. A study
    of several experiments counts in the first of them.
    """
    counts: dict[str, int] = {}  # number of trials per key of a study
    for name in names:
        name = resolve_name("experiment", name, EXPERIMENTS)
        for study, count in jobs_of(name, scale, seed, trials, store):
            numbers = set(range(counts.get(study.key, 0), count))
            # asked by `is not None`: whether a store is true means counting all of its trials
            missing = numbers if store is None else numbers - store.numbers(study.key)
            counts[study.key] = max(count, counts.get(study.key, 0))
            yield {
                "experiment": name,
                "study": study,
                "trials": count,
                "to_train": len(missing),
            }


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
    extremes = {  # kind -> the smallest and the largest study by size
        kind: {_size(study): study for study in (min(group, key=_size), max(group, key=_size))}
        for kind, group in groups.items()
    }
    measure = speed or _speed_within(sum(map(len, extremes.values())))
    seconds = {
        kind: [measure(_with_shipped_text(study), device) for study in by_size.values()]
        for kind, by_size in extremes.items()
    }

    def seconds_of(study: Study) -> float:
        kind = study.task_type, study.architecture
        log_sizes = np.log(list(extremes[kind]))
        return float(np.exp(np.interp(np.log(_size(study)), log_sizes, np.log(seconds[kind]))))

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
