"""What a run will cost, told before it starts."""

import math
from pathlib import Path

import pandas as pd

from rnnkit.studies.experiments import EXPERIMENTS, scale_of, studies_of, trials_of
from rnnkit.cells import whole_number
from rnnkit.studies.workers import cores
from rnnkit.training import check_device
from rnnkit.trials import TrialStore


def plan(scale="quick", only=None, trials=None, store="trials.sqlite", seed=0, workers=None, device=None, speed=None) -> pd.DataFrame:
    """One row an experiment and a total: studies, trials, those that the store lacks, and what these cost.

    `flops`: 6 a parameter, example and time step. `seconds`: expected on this machine with `workers` workers, from short
    measurements of a training step (`speed(study, device)`, by default `training.seconds_per_step`). A study that several
    experiments draw from is counted where it comes first. ValueError for a bad name.
    """
    names = list(EXPERIMENTS) if only is None else list(only) if isinstance(only, (list, tuple)) else [only]
    rows, counted, device = [], {}, check_device("cpu" if device is None else device)
    workers = whole_number("workers", 0 if workers is None else workers, 0, 1_024) or (cores() if device == "cpu" else 1)
    stored = _stored(store)
    for name in names:
        studies, n_trials = studies_of(name, scale, seed), trials_of(scale, trials, name)
        lack = {study: len(set(range(counted.get(study.key, 0), n_trials)) - stored(study.key)) for study in studies}
        counted |= {study.key: max(n_trials, counted.get(study.key, 0)) for study in studies}
        rows.append((name, len(studies), len(studies) * n_trials, lack))
    seconds = _clock([study for *_, lack in rows for study, n in lack.items() if n], device, speed)

    def row(name, studies, trials, lack):
        spent = sum(n * study.mean_steps * seconds(study) for study, n in lack.items() if n) / workers
        return {"experiment": name, "studies": studies, "trials": trials, "to_train": sum(lack.values()),
                "flops": float(sum(n * study.flops for study, n in lack.items())), "seconds": float(spent)}

    table = [row(*each) for each in rows]
    every = {}
    for *_, lack in rows:
        every |= {study: n + every.get(study, 0) for study, n in lack.items()}
    return pd.DataFrame([*table, row("all", len(counted), sum(counted.values()), every)])


def _stored(store):
    """The numbers of the trials of a study, of a store that need not be there yet."""
    if isinstance(store, TrialStore):
        return store.numbers
    if store is None or not Path(store).expanduser().exists():
        return lambda study: set()
    with TrialStore(store, create=False) as opened:
        frame = opened.frame()
    by_study = frame.groupby("study")["hyper_iter"].agg(set).to_dict()
    return lambda study: by_study.get(study, set())


def _clock(studies, device, speed):
    """Seconds a step of any of the studies: measured for the smallest and the largest of each architecture, a power law between."""
    if speed is None:
        from rnnkit.training import seconds_per_step as speed
    points = {}
    for architecture in {study.architecture: None for study in studies}:
        own = sorted((study for study in studies if study.architecture == architecture), key=_work)
        points[architecture] = [(math.log(_work(study)), math.log(speed(study, device))) for study in {own[0]: None, own[-1]: None}]

    def seconds(study):
        (x0, y0), (x1, y1) = points[study.architecture][0], points[study.architecture][-1]
        slope = (y1 - y0) / (x1 - x0) if x1 > x0 else 0.0
        return math.exp(y0 + slope * (math.log(_work(study)) - x0))

    return seconds


def _work(study):
    return study.num_params * study.unroll


def scale_text(scale: str) -> str:
    """A scale in one line."""
    s = scale_of(scale)
    low, high = s.train_steps
    return (f"{scale}: {', '.join(f'{p:,}' for p in s.sizes)} parameters; {', '.join(map(str, s.depths))} layers; "
            f"{s.trials:,} trials a study of {low:,} to {high:,} steps")
