"""Studies as work for many processes: rounds, and shares of a round, for any process that has rnnkit.
Only the parent writes the store.

A round is first suggested, and then trained in as many shares as keep all workers busy. Both steps
are functions of what a worker is sent (`perform`). It therefore does not matter which process
performs them, how often, or in what order: the same seed gives the same trials.
"""

import dataclasses
import importlib
import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import rnnkit
from rnnkit import native
from rnnkit.cells import cell_of
from rnnkit.native import cuda
from rnnkit.studies import provenance
from rnnkit.studies.study import ROUND, Study, best_loss
from rnnkit.training import train
from rnnkit.trials import Trial
from rnnkit.tuner import TUNERS

# of a task whose worker is killed: when memory runs out, the system kills the largest process, which
# need not be the one that asked for more
ATTEMPTS = 2


class StudyError(RuntimeError):
    """A study could not be trained to its end; the message is a sentence that says which one, and
    why.
    """


@dataclass
class Task:
    """A round to suggest (`hparams` is None), or trials to train with their hyper-parameters."""

    study: Study
    numbers: list[int]
    hparams: list[dict] | None = None
    earlier: tuple = ()  # hyper-parameters and losses of all trials before the round
    best: float = math.inf  # least loss of the study so far: better trials send their weights
    attempt: int = 1
    # kind and shared memory of a GPU: the worker that suggests compiles the study's kernel, too
    compile_for: tuple = ()

    def job(self, device, scale) -> dict:
        """All that a worker needs for the task, as plain values."""
        return {
            "version": rnnkit.__version__,
            "source": provenance.SOURCE_DIGEST,
            "module": cell_of(self.study.architecture).__module__,
            "study": {f.name: getattr(self.study, f.name) for f in dataclasses.fields(self.study)},
            "numbers": self.numbers,
            "hparams": self.hparams,
            "earlier": self.earlier,
            "best": self.best,
            "device": device,
            "scale": scale,
            "compile_for": self.compile_for,
        }

    @property
    def steps(self) -> int:
        """Training steps of all trials, which is their cost within a study."""
        return sum(hparams["train_steps"] for hparams in self.hparams or ())


class Event(NamedTuple):
    """What has happened to a task: its `kind`, and a `content` that depends on the kind.

    "trial": a Trial that has ended. "weights": the arguments of `TrialStore.save_weights`. "done":
    the value of `perform`. "failed": the error in one line, and in full. "lost": why the worker is
    gone. The last three end a task.
    """

    task: Task
    kind: str
    content: Any


class Pool(Protocol):
    """What performs tasks: processes (workers.py), a GPU (gpu_pool.py) or a cluster (cluster.py)."""

    def __len__(self) -> int:
        """How many shares of a round can be trained at the same time."""

    def free(self) -> bool:
        """Whether the pool takes another task."""

    def busy(self) -> bool:
        """Whether the pool has tasks that have not ended."""

    def give(self, task: Task, job: dict, urgency: int) -> None:
        """Takes a task, with its `job`. Tasks of greater urgency come first."""

    def events(self, seconds: float) -> Iterable[Event]:
        """The events since the last call; waits at most `seconds` for the first."""

    def stop(self) -> None:
        """Gives up all tasks."""


def perform(job: dict, outbox) -> list[dict] | None:
    """Does a task in the worker: returns the hyper-parameters of a round, or trains, and sends each
    trial to the outbox.

    An outbox stands for the store. It has `add` and `save_weights`, and a method `stop()` that
    returns True once the task has been given up. ValueError if the worker has another version of
    the kit, or other source files.
    """
    run_source = job["version"], job["source"]
    worker_source = rnnkit.__version__, provenance.SOURCE_DIGEST
    if run_source != worker_source:
        run, worker = (f"{v} (source {source})" for v, source in (run_source, worker_source))
        raise ValueError(
            f"This run is of rnnkit {run}, and a worker has rnnkit {worker}. Install one version"
            " everywhere."
        )
    if job["module"] != "__main__":
        importlib.import_module(job["module"])  # a cell of the user's own registers itself
    study = Study(**job["study"])
    numbers = job["numbers"]
    if job["hparams"] is None:
        if job["compile_for"]:
            compile_kernel(study, *job["compile_for"])
        tuner = study.new_tuner()
        if job["earlier"]:
            tuner.observe(*job["earlier"])
        return tuner.suggest(len(numbers), start=numbers[0])
    trials: list[Trial] = []

    def record(number, hparams, outcome):
        best = min(job["best"], best_loss(trials))
        trials.append(study.record(outbox, number, hparams, outcome, job["scale"], best))

    train(
        study,
        job["hparams"],
        numbers,
        device=job["device"] or best_device(),
        on_outcome=record,
        stop=outbox.stop,
    )
    return None


def compile_kernel(study, arch, shared):
    """Compiles a study's kernel for a kind of GPU and stores it on disk. If that is not possible,
    the process that trains the study reports the reason.
    """
    with suppress(native.Unavailable):
        cuda.cubin(cuda.kernel_for(study, shared), arch)


def best_device() -> str:
    """cuda if there is a GPU, else cpu."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class Rounds:
    """The state of a study on its way to `n_trials` trials: the trials it has, and the rounds that
    can be suggested now. `on_trial` is called with the trials that another run has stored.
    """

    def __init__(self, study, n_trials, store, on_trial):
        self.study = study
        self.n_trials = n_trials
        self.store = store
        self.on_trial = on_trial
        self.listens = TUNERS[study.tuner].listens
        self.trials = {t.hyper_iter: t for t in store.trials(study.key) if t.hyper_iter < n_trials}
        self.pending: set[int] = set()  # numbers of trials that are being suggested or trained
        self.next = 0  # number of the first trial of the next round

    def _add_stored(self):
        """Adds the trials of this study that another run has stored meanwhile."""
        if self.store.numbers(self.study.key) - set(self.trials):
            for trial in self.store.trials(self.study.key):
                if trial.hyper_iter < self.n_trials and self.add(trial):
                    self.on_trial(trial)

    def ready(self) -> list[Task]:
        """The next round to suggest, once all earlier trials have ended; all rounds at once for a
        tuner that does not listen.
        """
        tasks = []
        while self.next < self.n_trials and not (self.listens and self.pending):
            numbers = range(self.next, min(self.next + ROUND, self.n_trials))
            self._add_stored()
            missing = set(numbers) - set(self.trials)
            if missing:
                earlier: tuple = ()
                if self.listens and numbers.start:
                    trials = [self.trials[number] for number in range(numbers.start)]
                    earlier = ([t.hparams for t in trials], [t.valid_loss for t in trials])
                tasks.append(Task(self.study, list(numbers), earlier=earlier))
            self.pending |= missing
            self.next += ROUND
        return tasks

    def shares(self, numbers, hparams, count) -> list[Task]:
        """The missing trials of a suggested round, in at most `count` shares of about equal cost."""
        missing = [(number, h) for number, h in zip(numbers, hparams) if number not in self.trials]
        best = best_loss(self.trials.values())
        count = max(1, min(count, len(missing)))
        shares: list[tuple[list, list]] = [([], []) for _ in range(count)]
        costs = [0] * count
        for number, h in sorted(missing, key=lambda pair: -pair[1]["train_steps"]):
            cheapest = costs.index(min(costs))
            costs[cheapest] += h["train_steps"]
            shares[cheapest][0].append(number)
            shares[cheapest][1].append(h)
        return [Task(self.study, *share, best=best) for share in shares if share[0]]

    def add(self, trial) -> bool:
        """Adds a trial; returns whether it is new."""
        new = trial.hyper_iter not in self.trials
        self.trials.setdefault(trial.hyper_iter, trial)
        self.pending.discard(trial.hyper_iter)
        return new

    @property
    def complete(self) -> bool:
        """Whether all trials have ended."""
        return len(self.trials) >= self.n_trials

    @property
    def parallel_rounds(self) -> int:
        """The number of rounds that can be worked on at the same time, now."""
        missing = self.n_trials - len(self.trials)
        return min(1, missing) if self.listens else math.ceil(missing / ROUND)


def train_in_rounds(jobs, store, pool: Pool, device, scale, progress, stop, following=None):
    """Trains the studies of `jobs`, which are (study, number of trials), with the workers of `pool`;
    earlier jobs are more urgent.

    `following(study)`, called once all trials of a study have ended, may return further jobs, which
    are started at once. `stop()` returns True once the run is to end early. StudyError for a study
    that failed.
    """
    scheduler = _Scheduler(jobs, store, pool, progress, stop, following)
    stopping = False
    while True:
        progress.tick()
        if not stop():
            scheduler.give_tasks(device, scale)
        else:
            if not stopping:
                stopping = True
                pool.stop()
            scheduler.queue.clear()  # a suggestion that has just ended adds trials
        if not scheduler.queue and not pool.busy():
            break
        events = list(pool.events(0.5))
        scheduler.add_trials([event.content for event in events if event.kind == "trial"])
        for event in events:
            scheduler.handle(event)
    if scheduler.failures and not stop():
        key, reason = next(iter(scheduler.failures.items()))
        more = len(scheduler.failures) - 1
        raise StudyError(
            f"The study {key} failed: {reason}.{f' So did {more} more.' if more else ''} All finished"
            " trials are kept; run again to go on."
        )


class _Scheduler:
    """Distributes the work on some studies: the tasks in the queue, and the studies that failed."""

    def __init__(self, jobs, store, pool, progress, stop, following):
        self.store = store
        self.pool = pool
        self.progress = progress
        self.stop = stop
        self.following = following
        self.rounds = {
            study.key: Rounds(study, n_trials, store, progress.trial) for study, n_trials in jobs
        }
        self.urgency = {key: len(self.rounds) - i for i, key in enumerate(self.rounds)}
        self.queue: list[Task] = []
        self.failures: dict[str, str] = {}  # key of a study -> why it failed
        self.finished_keys: set[str] = set()  # keys of the studies that `following` was called with

    def _active_rounds(self) -> Iterator[Rounds]:
        return (rounds for key, rounds in self.rounds.items() if key not in self.failures)

    def give_tasks(self, device, scale):
        """Gives the most urgent tasks to the pool, as long as it takes some."""
        if self.following is not None:
            self._add_following()
        self.queue += [task for rounds in self._active_rounds() for task in rounds.ready()]
        self.queue.sort(key=lambda task: -self.urgency[task.study.key])
        while self.queue and self.pool.free():
            task = self.queue.pop(0)
            self.pool.give(task, task.job(device, scale), self.urgency[task.study.key])

    def _add_following(self):
        """Adds the jobs that follow from the studies that are now complete."""
        for key, rounds in list(self.rounds.items()):
            if key in self.finished_keys or not rounds.complete:
                continue
            self.finished_keys.add(key)
            for study, n_trials in self.following(rounds.study):
                if study.key not in self.rounds:
                    new = Rounds(study, n_trials, self.store, self.progress.trial)
                    self.rounds[study.key] = new
                    self.urgency[study.key] = len(self.urgency) + 1
                    self.progress.add(study, n_trials, len(new.trials))

    def add_trials(self, trials):
        """Stores the trials that are new."""
        new = [trial for trial in trials if self.rounds[trial.study].add(trial)]
        if new:
            self.store.add(new)
        for trial in new:
            self.progress.trial(trial)

    def handle(self, event: Event):
        """Handles an event, after its trials have been added."""
        task, kind, content = event
        key = task.study.key
        rounds = self.rounds[key]
        if kind == "weights":
            _, _, valid_loss, *_ = content
            if valid_loss <= best_loss(rounds.trials.values()):
                self.store.save_weights(*content)
        elif kind == "failed" and not self.stop():
            self._fail(key, content[0])
            self.progress.say(f"The study {key} failed:\n{content[1]}")
        elif kind == "lost" and not self.stop():
            self._retry(task, content)
        elif kind == "done" and task.hparams is None and key not in self.failures:
            parallel = sum(active.parallel_rounds for active in self._active_rounds())
            count = math.ceil(len(self.pool) / max(1, parallel))
            self.queue += rounds.shares(task.numbers, content, count)

    def _fail(self, key: str, reason: str):
        self.failures.setdefault(key, reason)
        self.queue = [task for task in self.queue if task.study.key != key]

    def _retry(self, task: Task, reason: str):
        """Puts the work of a worker that is gone back into the queue, a limited number of times."""
        key = task.study.key
        if task.attempt >= ATTEMPTS or key in self.failures:
            self._fail(key, reason)
            return
        self.progress.say(
            f"The study {key} is tried again: {reason}. Its finished trials are kept."
        )
        task = dataclasses.replace(task, attempt=task.attempt + 1)
        if task.hparams is not None:
            trials = self.rounds[key].trials
            missing = [i for i, number in enumerate(task.numbers) if number not in trials]
            task.hparams = [task.hparams[i] for i in missing]
            task.numbers = [task.numbers[i] for i in missing]
        if task.numbers:
            self.queue.append(task)
