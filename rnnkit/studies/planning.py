"""What a run will cost, told before it starts."""

import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pandas as pd

from rnnkit.checks import whole_number
from rnnkit.studies.experiments import EXPERIMENTS, jobs_of
from rnnkit.studies.scales import scale_of
from rnnkit.studies.workers import cores
from rnnkit.training import check_device
from rnnkit.trials import TrialStore

NOTEBOOKS, NOTEBOOK_SECONDS = (
    11,
    9.0,
    # how many there are, and what executing one takes whose trials are stored: a kernel, its
    # imports, drawing
)


def plan(
    scale="quick",
    only=None,
    trials=None,
    store="trials.sqlite",
    seed=0,
    workers=None,
    device=None,
    speed=None,
) -> pd.DataFrame:
    """One row per experiment and a total: studies, trials, those that the store lacks, and what
    these cost.

    `flops`: 6 per parameter, example and time step. `seconds`: expected on this machine with
    `workers` workers, from short measurements of a training step (`speed(study, device)`, by
    default `training.seconds_per_step`); the notebooks' own time is a row, too. A study that
    several experiments draw from is counted where it comes first. ValueError for a bad name.
    """
    names = list(EXPERIMENTS) if only is None else only
    names = names if isinstance(names, (list, tuple)) else [names]
    device = check_device("cpu" if device is None else device)
    workers = whole_number("workers", 0 if workers is None else workers, 0, 1_024) or (
        cores() if device == "cpu" else 1
    )
    with _opened(store) as opened:
        rows, counted = _counted(names, scale, seed, trials, opened)
    seconds = _clock([study for *_, lack in rows for study, n in lack.items() if n], device, speed)

    def row(name, studies, trials, lack):
        spent = (
            sum(n * study.mean_steps * seconds(study) for study, n in lack.items() if n) / workers
        )
        return {
            "experiment": name,
            "studies": studies,
            "trials": trials,
            "to_train": sum(lack.values()),
            "flops": float(sum(n * study.flops for study, n in lack.items())),
            "seconds": float(spent),
        }

    table = [row(*each) for each in rows]
    shown = {
        "experiment": "notebooks",
        "studies": 0,
        "trials": 0,
        "to_train": 0,
        "flops": 0.0,
        "seconds": NOTEBOOKS * NOTEBOOK_SECONDS,
    }
    every = {}
    for *_, lack in rows:
        every |= {study: n + every.get(study, 0) for study, n in lack.items()}
    everything = row("all", len(counted), sum(counted.values()), every)
    if only is not None:
        return pd.DataFrame([*table, everything])
    return pd.DataFrame(
        [*table, shown, everything | {"seconds": everything["seconds"] + shown["seconds"]}]
    )


def _counted(names, scale, seed, trials, opened):
    """(name, studies, trials, what the store lacks of each study) of each experiment, where a study
    of several counts in the first; and the trials of each study by key.
    """
    rows, counted = [], {}
    stored = opened.numbers if opened is not None else lambda key: set()
    for name in names:
        jobs, lack = jobs_of(name, scale, seed, trials, opened), {}
        for study, n in jobs:
            lack[study] = len(set(range(counted.get(study.key, 0), n)) - stored(study.key))
            counted[study.key] = max(n, counted.get(study.key, 0))
        rows.append((name, len(jobs), sum(n for _, n in jobs), lack))
    return rows, counted


def _opened(store):
    """The store, as a context; None for one that need not be there yet."""
    if isinstance(store, TrialStore):
        return nullcontext(store)
    if store is None or not Path(store).expanduser().exists():
        return nullcontext()
    return TrialStore(store, create=False)


def _clock(studies, device, speed):
    """Seconds per step of any of the studies: measured for the smallest and the largest of each
    task and architecture, a power law between.
    """
    if speed is None:
        from rnnkit.training import seconds_per_step as speed
    kinds, points = {}, {}
    for study in studies:
        kinds.setdefault((study.task_type, study.architecture), []).append(study)
    for kind, own in kinds.items():
        own.sort(key=_work)
        points[kind] = [
            (math.log(_work(study)), math.log(speed(_on_shipped_text(study), device)))
            for study in {own[0]: None, own[-1]: None}
        ]

    def seconds(study):
        own = points[study.task_type, study.architecture]
        (x0, y0), (x1, y1) = own[0], own[-1]
        slope = (y1 - y0) / (x1 - x0) if x1 > x0 else 0.0
        return math.exp(y0 + slope * (math.log(_work(study)) - x0))

    return seconds


def _on_shipped_text(study):
    """A study that takes as long and needs no corpus but the one that ships."""
    if study.task_type != "text8" or study.form.endswith("sample"):
        return study
    return replace(study, form=f"{study.form} sample")


def _work(study):
    return study.num_params * study.unroll


def scale_text(scale: str) -> str:
    """A scale in one line."""
    c = scale_of(scale).capacity
    low, high = c.steps or c.steps_per_param
    each = "steps" if c.steps else "steps per parameter"
    return (
        f"{scale}: {', '.join(f'{p:,}' for p in c.sizes)} parameters;"
        f" {', '.join(map(str, c.depths))} layers; {c.trials:,} trials per study of {low:,} to"
        f" {high:,} {each}"
    )
