"""Studies, and the experiments that consist of them: `Study` (study.py; read it first),
`EXPERIMENTS` and `SCALES` (experiments.py, scales.py), `run`, `plan`.

A study is trained in this process, or in rounds (rounds.py) by several processes on this machine
(workers.py), a GPU (gpu_pool.py) or a cluster (cluster.py). The run shows its progress (progress.py).
"""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import pandas as pd

from rnnkit.cells import cell_of
from rnnkit.checks import whole_number
from rnnkit.names import resolve_name
from rnnkit.studies.cluster import check_scheduler, cluster_at
from rnnkit.studies.experiments import (
    EXPERIMENTS,
    Experiment,
    experiment_of,
    jobs_of,
    searches_of,
    studies_of,
)
from rnnkit.studies.gpu_pool import OneGPU
from rnnkit.studies.lock import run_lock
from rnnkit.studies.pace import shipped_paces, work_of
from rnnkit.studies.planning import plan
from rnnkit.studies.progress import Progress
from rnnkit.studies.rounds import Following, Pool, StudyError, train_in_rounds
from rnnkit.studies.scales import SCALES, Scale
from rnnkit.studies.study import ROUND, Job, Study
from rnnkit.studies.workers import Processes, Stopped, cores, interruptible, train_in_this_process
from rnnkit.training import check_device
from rnnkit.trials import TrialStore, opened

__all__ = [
    "EXPERIMENTS",
    "ROUND",
    "SCALES",
    "Experiment",
    "Scale",
    "Stopped",
    "Study",
    "StudyError",
    "complete",
    "is_whole",
    "jobs_of",
    "plan",
    "run",
    "studies_of",
    "trials_in",
]

# of studies of the capacity task; those that agree in them differ in architecture alone
SETTINGS = (
    "max_params",
    "n_layers",
    "seed",
    "unroll",
    "n_in",
    "tuner",
    "pinned",
    "train_steps",
)

# floating-point operations of about ten seconds; workers take almost as long to start
SMALL_WORK = 3e11


def run(
    experiment: str,
    scale: str = "quick",
    store: TrialStore | str | os.PathLike = "trials.sqlite",
    seed: int = 0,
    trials: int | None = None,
    workers: int | None = None,
    device: str | None = None,
    progress: bool = True,
    scheduler: str | os.PathLike | None = None,
    label: str = "",
) -> pd.DataFrame:
    """Trains the trials of an experiment that the store lacks, and returns all of its trials: a
    frame with one row per trial.

    `trials` is the number per study (None or 0: that of the scale). `workers` is the number of
    processes (None or 0: one per core, where that pays). `scheduler` is the address of a Dask
    scheduler, whose workers train instead. `device` is cpu or cuda (None: cpu, and whatever each
    worker of a cluster has). ValueError for a bad setting, StoreError for a bad store, StudyError
    for a study that failed, Stopped after Ctrl-C; run again to go on.
    """
    experiment = resolve_name("experiment", experiment, EXPERIMENTS)
    scale = resolve_name("scale", scale, SCALES)
    jobs_of(experiment, scale, seed, trials)  # ValueError now for what cannot be trained
    with opened(store) as trial_store:

        def train(jobs: list[Job], following: Following | None = None) -> None:
            complete(
                [study for study, _ in jobs],
                [count for _, count in jobs],
                trial_store,
                scale,
                workers=workers,
                device=device,
                label=label or experiment,
                progress=progress,
                scheduler=scheduler,
                following=following,
            )

        # the studies of whose trials others are made, which follow as soon as one is complete
        if follow_up := experiment_of(experiment).follow_up:
            searches = searches_of(experiment, scale, seed, trials)

            def following(study: Study) -> list[Job]:
                trials_of_study = trial_store.frame([study.key])
                later = follow_up(
                    SCALES[scale], [search for search, _ in searches], trials_of_study
                )
                # those that only take the place of others wait for trials of their own searches
                return [(s, trials or n) for s, n in later if s.start or s.pinned]

            train(searches, following)
        # all studies
        train(jobs_of(experiment, scale, seed, trials, trial_store))
        return trials_in(trial_store, experiment, scale, seed, trials)


def trials_in(
    store: TrialStore, experiment: str, scale: str, seed: int = 0, trials: int | None = None
) -> pd.DataFrame:
    """The trials of an experiment that a store has, as a frame. If `trials` is given, these are at
    most that many per study of this scale.

    Otherwise they are those of the largest scale at which the store has a task of the experiment
    complete, or of this scale if there is none. If the best trial of a network counts (`pooled`),
    they are those of this scale and all larger ones.
    """
    experiment = resolve_name("experiment", experiment, EXPERIMENTS)
    scale = resolve_name("scale", scale, SCALES)
    spec = experiment_of(experiment)
    if trials:
        keys = [study.key for study in studies_of(experiment, scale, seed, store, trials)]
    else:
        keys = _keys_to_show(store, experiment, scale, seed)
    frame = store.frame(keys)
    if trials:
        frame = frame[frame.hyper_iter < trials].reset_index(drop=True)
    frame.insert(0, "experiment", experiment)
    return spec.finish(frame, store) if spec.finish else frame


def _keys_to_show(store: TrialStore, experiment: str, scale: str, seed: int) -> list[str]:
    """Keys of the studies whose trials show an experiment at a scale, as `trials_in` says."""
    scales = list(SCALES)
    jobs = pd.DataFrame(
        {
            "level": level,  # 0 for this scale, and more for larger ones
            "task_type": study.task_type,
            "settings": tuple(getattr(study, setting) for setting in SETTINGS),
            "key": study.key,
            "is_complete": store.has(study.key, count),
        }
        for level, name in enumerate(scales[scales.index(scale) :])
        for study, count in jobs_of(experiment, name, seed, store=store)
    )
    if experiment_of(experiment).pooled:
        # of larger scales those that have every architecture, so that none is better because it was
        # searched for longer
        whole = jobs.groupby(["level", "settings"]).is_complete.transform("all")
        return list(jobs.key[whole | (jobs.level == 0)])
    whole = jobs.groupby(["level", "task_type"]).is_complete.transform("all")
    largest = (jobs.level * whole).groupby(jobs.task_type).transform("max")
    return list(jobs.key[jobs.level == largest])


def is_whole(
    store: TrialStore, experiment: str, scale: str, seed: int = 0, trials: int | None = None
) -> bool:
    """Whether a store has all trials of an experiment at a scale."""
    jobs = jobs_of(experiment, scale, seed, trials, store)
    return all(store.has(study.key, count) for study, count in jobs)


def complete(
    studies: Sequence[Study],
    n_trials: int | list[int],
    store: TrialStore,
    scale: str = "",
    workers: int | None = None,
    device: str | None = None,
    label: str = "",
    progress: bool = True,
    scheduler: str | os.PathLike | None = None,
    following: Following | None = None,
) -> None:
    """Trains each study until it has `n_trials` trials (one number, or a list with one per study),
    the longest study first, and side by side if there are workers.

    `following(study)` may return more jobs, (study, number of trials), once a study is complete; it
    is only called if the work is done in rounds. Errors as in `run`.
    """
    count = whole_number("workers", 0 if workers is None else workers, 0, 1_024)
    if scheduler is not None:
        check_scheduler(scheduler, count, device)
    else:
        device = check_device("cpu" if device is None else device)
    targets = _targets(studies, n_trials)
    missing = _missing(targets, store)
    if not missing:
        return
    store.add([])  # StoreError now rather than after the first trial
    jobs = [(study, targets[study]) for study in missing]
    total = sum(missing.values())
    workers = min(count or _useful_workers(missing, device), total)
    in_process, in_pool = _divide(jobs, workers == 1 and scheduler is None and device == "cpu")
    paces = shipped_paces() if progress and device == "cpu" else ()
    had = [(study, n, n - missing[study]) for study, n in jobs]
    status = Progress(had, label, quiet=not progress, paces=paces)
    if store.path.suffix == ".parquet":
        status.say(_notice_of_parquet(store, total))
    with interruptible(status.say) as stop, run_lock(store) as other_run:
        if other_run:
            status.say(
                f"Another run ({other_run}) uses {store.path}, too: each of the two uses the trials"
                " that the other trains."
            )
            in_process.reverse()  # so that they meet in the middle
            in_pool.reverse()
        try:
            if in_pool:
                with _pool_of(device, workers, count, scheduler, status.say) as pool:
                    train_in_rounds(in_pool, store, pool, device, scale, status, stop, following)
            train_in_this_process(in_process, store, device or "cpu", scale, status, stop)
            store.add([])  # StoreError if the file has been taken away meanwhile
        finally:
            status.close()
        if stop():
            raise Stopped(
                f"Stopped with {sum(_missing(targets, store).values()):,} trials to go;"
                f" {len(store):,} are safe in {store.path}. Run the same command again to continue."
            )


def _targets(studies: Sequence[Study], n_trials: int | list[int]) -> dict[Study, int]:
    """The number of trials of each study; the largest for a study that occurs twice."""
    counts = n_trials if isinstance(n_trials, list) else [n_trials] * len(studies)
    targets: dict[Study, int] = {}
    for study, count in zip(studies, counts):
        targets[study] = max(count, targets.get(study, 0))
    return targets


def _missing(targets: dict[Study, int], store: TrialStore) -> dict[Study, int]:
    """The number of trials that a store lacks of each study, without complete studies; the longest
    work comes first.
    """
    counts = {
        study: len(set(range(count)) - store.numbers(study.key)) for study, count in targets.items()
    }

    def seconds(study: Study) -> float:  # in arbitrary units
        return counts[study] * work_of(study).cost * study.mean_steps

    incomplete = [study for study in targets if counts[study]]
    return {study: counts[study] for study in sorted(incomplete, key=seconds, reverse=True)}


def _divide(jobs: list[Job], only_this_process: bool) -> tuple[list[Job], list[Job]]:
    """The jobs for this process, and those for other ones, which cannot import a cell from
    __main__.
    """
    in_process = []
    in_pool = []
    for job in jobs:
        own_cell = cell_of(job[0].architecture).__module__ == "__main__"
        (in_process if only_this_process or own_cell else in_pool).append(job)
    return in_process, in_pool


def _useful_workers(missing: dict[Study, int], device: str | None) -> int:
    """How many workers pay: a GPU has one, and a small job ends before others have started."""
    work = sum(study.flops * count for study, count in missing.items())
    return cores() if device == "cpu" and work > SMALL_WORK else 1


def _notice_of_parquet(store: TrialStore, count: int) -> str:
    """A sentence on what happens to trials that are trained on a store that is a Parquet file."""
    outcome = (
        f"kept in {store.file}"
        if store.persistent
        else "not kept, since nothing can be written beside it. Give an SQLite store to keep them"
    )
    return f"{store.path} lacks {count:,} trials; they are trained now and {outcome}."


def _pool_of(
    device: str | None,
    workers: int,
    suggesters: int,
    scheduler: str | os.PathLike | None,
    say: Callable[[str], object],
) -> AbstractContextManager[Pool]:
    """The pool that trains (rounds.Pool), as a context manager: processes on this machine, one GPU
    with processes that suggest, or a cluster.
    """
    if scheduler is not None:
        return cluster_at(scheduler, say)
    if device in (None, "cpu"):
        return Processes(workers)
    return OneGPU(device, suggesters)
