"""Studies and what they are for: `Study` (study.py, read first), `EXPERIMENTS` and `SCALES` (experiments.py), `run`, `plan`.

A study is brought to its number of trials in this process or in several (workers.py) and shows how far it is (progress.py).
"""

from contextlib import nullcontext

from rnnkit.cells import cell_of, whole_number
from rnnkit.studies.experiments import EXPERIMENTS, SCALES, Experiment, Scale, scale_of, studies_of, trials_of
from rnnkit.studies.planning import plan
from rnnkit.studies.progress import Progress, cost
from rnnkit.studies.study import ROUND, Study
from rnnkit.studies.workers import Stopped, StudyError, cores, interruptible, train_in_this_process, train_side_by_side
from rnnkit.training import check_device
from rnnkit.trials import TrialStore

__all__ = ["EXPERIMENTS", "ROUND", "SCALES", "Experiment", "Scale", "Stopped", "Study", "StudyError", "complete", "plan", "run",
           "studies_of", "trials_of"]

SMALL_WORK = 3e11  # floating-point operations, ten seconds or so: workers take almost as long to start


def run(experiment, scale="quick", store="trials.sqlite", seed=0, trials=None, workers=None, device="cpu", progress=True):
    """Trains what the store lacks of an experiment's trials, and returns all of them: a frame, one row a trial.

    `trials` a study (None or 0: as the scale says); `workers` processes (None or 0: one a core, where that pays). ValueError for a bad
    setting, StoreError for a bad store, StudyError for a study that failed, Stopped after Ctrl-C: run again to go on.
    """
    studies, n_trials = studies_of(experiment, scale, seed), trials_of(scale, trials)
    with nullcontext(store) if isinstance(store, TrialStore) else TrialStore(store) as store:
        complete(studies, n_trials, store, scale, workers, device, label=experiment, progress=progress)
        frame = store.frame(study.key for study in studies)
    frame = frame[frame.hyper_iter < n_trials].reset_index(drop=True)
    frame.insert(0, "experiment", experiment)
    return frame


def complete(studies, n_trials, store, scale="", workers=None, device="cpu", label="", progress=True):
    """Brings each study to `n_trials` trials, longest study first, side by side where there are workers. Errors as in `run`."""
    asked = whole_number("workers", workers or 0, 0)
    check_device(device)
    wanted = set(range(n_trials))
    lacking = {study.key: (study, len(wanted - store.numbers(study.key))) for study in studies}
    jobs = sorted((job for job in lacking.values() if job[1]), key=lambda job: -job[1] * cost(job[0]))
    if not jobs:
        return
    store.add([])  # StoreError now rather than after the first trial
    here = [job for job in jobs if cell_of(job[0].architecture).__module__ == "__main__"]  # a cell that workers cannot import
    away = [job for job in jobs if job not in here]
    work = sum(study.flops * lack for study, lack in jobs)
    workers = asked or (cores() if device == "cpu" and work > SMALL_WORK else 1)
    if workers == 1 or len(away) < 2:
        here, away = jobs, []
    shown = Progress([(study, n_trials, n_trials - lack) for study, lack in jobs], label, quiet=not progress)
    if store.path.suffix == ".parquet":
        lack = sum(lack for _, lack in jobs)
        shown.say(f"{store.path} lacks {lack:,} trials; they are trained now and not kept. Give an SQLite store to keep them.")
    with interruptible(shown.say) as stop:
        try:
            if away:
                train_side_by_side([(study, n_trials) for study, _ in away], store, device, scale, shown, stop, workers)
            train_in_this_process([(study, n_trials) for study, _ in here], store, device, scale, shown, stop)
        finally:
            shown.close()
        if stop():
            left = sum(len(wanted - store.numbers(study.key)) for study, _ in jobs)
            safe = f"{len(store):,} are safe in {store.path}"
            raise Stopped(f"Stopped with {left:,} trials to go; {safe}. Run the same again to go on from there.")
