"""Studies and what they are for: `Study` (study.py, read first), `EXPERIMENTS` and `SCALES`
(experiments.py), `run`, `plan`.

A study is brought to its number of trials in this process, or in rounds (rounds.py) by several on
this machine (workers.py), by a GPU (gpu.py) or by a cluster (cluster.py), and shows how far it is
(progress.py).
"""

from contextlib import nullcontext

from rnnkit.cells import cell_of
from rnnkit.checks import whole_number
from rnnkit.names import resolve_name
from rnnkit.studies.cluster import check_choice, cluster_at
from rnnkit.studies.company import others_at_work
from rnnkit.studies.experiments import EXPERIMENTS, Experiment, experiment_of, jobs_of, studies_of
from rnnkit.studies.gpu import OneGPU
from rnnkit.studies.planning import plan
from rnnkit.studies.progress import Progress, cost
from rnnkit.studies.rounds import StudyError, train_in_rounds
from rnnkit.studies.scales import SCALES, Scale, scale_of
from rnnkit.studies.study import ROUND, Study
from rnnkit.studies.workers import Processes, Stopped, cores, interruptible, train_in_this_process
from rnnkit.training import check_device
from rnnkit.trials import TrialStore

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

# floating-point operations, ten seconds or so: workers take almost as long to start
SMALL_WORK = 3e11


def run(
    experiment,
    scale="quick",
    store="trials.sqlite",
    seed=0,
    trials=None,
    workers=None,
    device=None,
    progress=True,
    scheduler=None,
    label="",
):
    """Trains what the store lacks of an experiment's trials, and returns all of them: a frame, one
    row a trial.

    `trials` a study (None or 0: as the scale says); `workers` processes (None or 0: one a core,
    where that pays), or the address of a Dask `scheduler`, whose workers train instead; `device`
    cpu or cuda (None: cpu, and what each worker of a cluster has). ValueError for a bad setting,
    StoreError for a bad store, StudyError for a study that failed, Stopped after Ctrl-C: run again
    to go on.
    """
    experiment = resolve_name("experiment", experiment, EXPERIMENTS)
    scale = resolve_name("scale", scale, SCALES)
    first = experiment_of(experiment).after
    jobs_of(experiment, scale, seed, trials)  # ValueError now for what cannot be trained
    settings = dict(workers=workers, device=device, progress=progress, scheduler=scheduler)
    with nullcontext(store) if isinstance(store, TrialStore) else TrialStore(store) as store:
        if first:  # the studies that this experiment follows
            needs = f"{label or experiment}, which needs {first}"
            needed = {study.key for study in studies_of(experiment, scale, seed)}
            _complete(
                [job for job in jobs_of(first, scale, seed, trials) if job[0].key in needed],
                store,
                scale,
                label=needs,
                **settings,
            )
        elif experiment_of(experiment).then:
            first = _at_once(experiment, scale, seed, trials)
            _complete(
                first,
                store,
                scale,
                label=label or experiment,
                following=follower(experiment, scale, seed, trials, store),
                **settings,
            )
        _complete(
            jobs_of(experiment, scale, seed, trials, store),
            store,
            scale,
            label=label or experiment,
            **settings,
        )
        return trials_in(store, experiment, scale, seed, trials)


def _complete(jobs, store, scale, **settings):
    complete([study for study, _ in jobs], [n for _, n in jobs], store, scale, **settings)


def _at_once(experiment, scale, seed, trials):
    """The jobs of an experiment that need no earlier trials."""
    own = {study.key for study in experiment_of(experiment).studies(scale_of(scale), seed=seed)}
    return [(study, n) for study, n in jobs_of(experiment, scale, seed, trials) if study.key in own]


def follower(experiment, scale, seed, trials, store):
    """For `complete`: what an experiment does with the trials of a study of its own that is whole."""
    then = experiment_of(experiment).then

    def following(study):
        made = then(scale_of(scale), store.frame([study.key]), seed=seed) if then else ()
        return [
            (after, trials or n) for after, n in made if after.start
        ]  # the others wait for trials of their own

    return following


def trials_in(store, experiment, scale, seed=0, trials=None):
    """What a store has of an experiment's trials, as a frame; where `trials` is given, no more of
    each study of this scale than that.

    Else, where the store has a task of the experiment whole at a larger scale, those; and where the
    best trial of a network counts (`pooled`), the trials of all scales from this one on. With an
    experiment that follows another come those trials of the other that it was made of.
    """
    experiment, scale = (
        resolve_name("experiment", experiment, EXPERIMENTS),
        resolve_name("scale", scale, SCALES),
    )
    found = experiment_of(experiment)
    if trials:
        keys = [study.key for study in studies_of(experiment, scale, seed, store)]
    elif found.pooled:
        keys = [
            key
            for size in _from(scale)
            for key in _searched_alike(store, experiment, size, seed, all_of=size == scale)
        ]
    else:
        keys = []
        for task_type in dict.fromkeys(
            study.task_type for study in studies_of(experiment, scale, seed)
        ):
            size = next(
                (
                    size
                    for size in reversed(_from(scale))
                    if is_whole(store, experiment, size, seed, task_type=task_type)
                ),
                scale,
            )
            keys += [
                study.key
                for study in studies_of(experiment, size, seed, store)
                if study.task_type == task_type
            ]
            keys += (
                [study.key for study in studies_of(experiment, size, seed)] if found.after else []
            )
    if trials and found.after:
        keys += [study.key for study in studies_of(experiment, scale, seed)]
    frame = store.frame(dict.fromkeys(keys))
    if trials:
        frame = frame[frame.hyper_iter < trials].reset_index(drop=True)
    frame.insert(0, "experiment", experiment)
    return found.finish(frame, store) if found.finish else frame


def is_whole(store, experiment, scale, seed=0, trials=None, task_type=None) -> bool:
    """Whether a store has all trials of an experiment (of one task of it, where that is named) at a
    scale.
    """
    jobs = jobs_of(experiment, scale, seed, trials, store)
    return all(store.has(study.key, n) for study, n in jobs if task_type in (None, study.task_type))


def _from(scale):
    """This scale and all larger ones."""
    scales = list(SCALES)
    return scales[scales.index(scale) :]


def _searched_alike(store, experiment, scale, seed, all_of):
    """Keys of the studies that a store has whole for every architecture alike, so that none is
    better for having been searched longer; of this scale itself (`all_of`), whatever is there.
    """
    alike = {}
    for study, n in jobs_of(experiment, scale, seed, store=store):
        kind = (
            study.max_params,
            study.n_layers,
            study.seed,
            study.unroll,
            study.n_in,
            study.tuner,
            study.pinned,
            study.train_steps,
        )
        alike.setdefault(kind, []).append((study.key, store.has(study.key, n)))
    return [
        key
        for jobs in alike.values()
        if all_of or all(whole for _, whole in jobs)
        for key, _ in jobs
    ]


def complete(
    studies,
    n_trials,
    store,
    scale="",
    workers=None,
    device=None,
    label="",
    progress=True,
    scheduler=None,
    following=None,
):
    """Brings each study to `n_trials` trials (a number, or one for each study), longest study
    first, side by side where there are workers.

    `following(study)` may give more jobs, (study, trials), once a study is whole; only those who
    work in rounds ask. Errors as in `run`.
    """
    asked = whole_number("workers", 0 if workers is None else workers, 0, 1_024)
    if scheduler is not None:
        check_choice(scheduler, asked, device)
    else:
        device = check_device("cpu" if device is None else device)
    wanted = _wanted(studies, n_trials)
    lack = _lacking(wanted, store)
    if not lack:
        return
    store.add([])  # StoreError now rather than after the first trial
    jobs = sorted((wanted[key] for key in lack), key=lambda job: -lack[job[0].key] * cost(job[0]))
    workers = min(asked or _worthwhile(jobs, lack, device), sum(lack.values()))
    alone = workers == 1 and scheduler is None and device == "cpu"
    here = [job for job in jobs if alone or not _importable(job[0])]
    away = [job for job in jobs if job not in here]
    shown = Progress(
        [(study, n, n - lack[study.key]) for study, n in jobs], label, quiet=not progress
    )
    if store.path.suffix == ".parquet":
        shown.say(_beside_a_parquet_file(store, sum(lack.values())))
    with interruptible(shown.say) as stop, others_at_work(store) as other:
        if other:
            shown.say(
                f"Another run ({other}) is at work on {store.path}: what either has trained, the"
                " other takes over."
            )
            here, away = here[::-1], away[::-1]  # so that the two meet in the middle
        try:
            if away:
                with pool_for(device, workers, asked, scheduler, shown.say) as pool:
                    train_in_rounds(away, store, pool, device, scale, shown, stop, following)
            train_in_this_process(here, store, device or "cpu", scale, shown, stop)
            store.add([])  # StoreError if the file that was written has been taken away
        finally:
            shown.close()
        if stop():
            left = sum(_lacking(wanted, store).values())
            safe = f"{len(store):,} are safe in {store.path}"
            raise Stopped(
                f"Stopped with {left:,} trials to go; {safe}. Run the same again to go on from"
                " there."
            )


def _wanted(studies, n_trials) -> dict:
    """key -> (study, trials): the most that is asked of a study that is named more than once."""
    wanted = {}
    for study, n in zip(
        studies, n_trials if isinstance(n_trials, list) else [n_trials] * len(studies)
    ):
        wanted[study.key] = study, max(n, wanted.get(study.key, (study, 0))[1])
    return wanted


def _lacking(wanted, store) -> dict[str, int]:
    """How many trials a store lacks of each study, by key; without those of which it has all."""
    return {
        key: n
        for key, (_, count) in wanted.items()
        if (n := len(set(range(count)) - store.numbers(key)))
    }


def _worthwhile(jobs, lack, device) -> int:
    """How many workers pay: a GPU has one, and a small job is done before others have started."""
    work = sum(study.flops * lack[study.key] for study, _ in jobs)
    return cores() if device == "cpu" and work > SMALL_WORK else 1


def _importable(study) -> bool:
    """Whether another process can import the study's cell."""
    return cell_of(study.architecture).__module__ != "__main__"


def _beside_a_parquet_file(store, count) -> str:
    """What becomes of trials that are trained on a store that is a Parquet file."""
    where = (
        f"kept in {store.file}"
        if store.persistent
        else "not kept, since nothing can be written beside it. Give an SQLite store to keep them"
    )
    return f"{store.path} lacks {count:,} trials; they are trained now and {where}."


def pool_for(device, workers, asked, scheduler, say):
    """Who trains: workers on this machine, one GPU with workers that suggest, or a cluster."""
    if scheduler is not None:
        return cluster_at(scheduler, say)
    return Processes(workers) if device == "cpu" else OneGPU(device, asked)
