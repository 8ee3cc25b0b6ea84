"""Studies as work for many processes: rounds, and shares of a round, for any process that has rnnkit.
Only the parent writes the store.

A round is first suggested, and then trained in as many shares as keep all workers busy. Both steps
are functions of what a worker is sent (`perform`). It therefore does not matter which process
performs them, how often, or in what order: the same seed gives the same trials.
"""

import dataclasses
import importlib
import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import rnnkit
from rnnkit import native
from rnnkit.cells import cell_of
from rnnkit.native import cuda
from rnnkit.studies import provenance
from rnnkit.studies.progress import Progress
from rnnkit.studies.study import ROUND, Job, Study, best_loss
from rnnkit.training import train
from rnnkit.trials import Trial, TrialStore
from rnnkit.tuner import TUNERS

# of a task whose worker is killed: when memory runs out, the system kills the largest process, which
# need not be the one that asked for more
ATTEMPTS = 2

Following = Callable[[Study], Iterable[Job]]  # the jobs that follow from the trials of a study


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
    urgency: int = 0  # tasks of greater urgency come first
    earlier: tuple = ()  # hyper-parameters and losses of all trials before the round
    best: float = math.inf  # least loss of the study so far: better trials send their weights
    attempt: int = 1
    # kind and shared memory of a GPU: the worker that suggests compiles the study's kernel, too
    compile_for: tuple = ()

    def job(self, device: str | None, scale: str) -> dict:
        """All that a worker needs for the task, as plain values."""
        return {
            **vars(self),
            "study": dataclasses.asdict(self.study),
            "module": cell_of(self.study.architecture).__module__,
            "version": rnnkit.__version__,
            "source": provenance.SOURCE_DIGEST,
            "device": device,
            "scale": scale,
        }


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

    def give(self, task: Task, job: dict) -> None:
        """Takes a task, with its `job`."""

    def events(self, seconds: float) -> Iterable[Event]:
        """The events since the last call; waits at most `seconds` for the first."""

    def stop(self) -> None:
        """Gives up all tasks."""


def perform(
    job: dict, send: Callable[[str, Any], object], stop: Callable[[], bool]
) -> list[dict] | None:
    """Does a task in the worker: returns the hyper-parameters of a round, or trains, and sends the
    trials and weights, as they come, as the kind and the content of an Event.

    `stop()` returns True once the task has been given up. ValueError if the worker has another
    version of the kit, or other source files.
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
    train(
        study,
        job["hparams"],
        numbers,
        device=job["device"] or best_device(),
        on_outcome=study.recorder(send, job["scale"], job["best"]),
        stop=stop,
    )
    return None


def compile_kernel(study: Study, arch: str, shared: int) -> None:
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

    def __init__(
        self,
        study: Study,
        n_trials: int,
        store: TrialStore,
        on_trial: Callable[[Trial], object],
        urgency: int = 0,
    ) -> None:
        self.study = study
        self.n_trials = n_trials
        self.store = store
        self.on_trial = on_trial
        self.urgency = urgency
        self.listens = TUNERS[study.tuner].listens
        self.trials = {t.hyper_iter: t for t in store.trials(study.key) if t.hyper_iter < n_trials}
        self.pending: set[int] = set()  # numbers of trials that are being suggested or trained
        self.next = 0  # number of the first trial of the next round
        self.failure = ""  # why the study cannot be trained to its end
        self.was_followed = False  # whether the jobs that follow from its trials were added

    def _add_stored(self) -> None:
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
                tasks.append(Task(self.study, list(numbers), urgency=self.urgency, earlier=earlier))
            self.pending |= missing
            self.next += ROUND
        return tasks

    def shares(self, numbers: list[int], hparams: list[dict], count: int) -> list[Task]:
        """The missing trials of a suggested round, in at most `count` shares of about equal cost."""
        missing = [(number, h) for number, h in zip(numbers, hparams) if number not in self.trials]
        shares: list[tuple[list, list]] = [([], []) for _ in range(min(count, len(missing)))]
        for number, h in sorted(missing, key=lambda pair: -pair[1]["train_steps"]):
            cheapest = min(shares, key=lambda share: steps_of(share[1]))
            cheapest[0].append(number)
            cheapest[1].append(h)
        best = best_loss(self.trials.values())
        return [Task(self.study, *share, self.urgency, best=best) for share in shares]

    def add(self, trial: Trial) -> bool:
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


def steps_of(hparams: list[dict]) -> int:
    """Training steps of trials with these hyper-parameters: their cost within a study."""
    return sum(h["train_steps"] for h in hparams)


def train_in_rounds(
    jobs: list[Job],
    store: TrialStore,
    pool: Pool,
    device: str | None,
    scale: str,
    progress: Progress,
    stop: Callable[[], bool],
    following: Following | None = None,
) -> None:
    """Trains the studies of `jobs` with the workers of `pool`; earlier jobs are more urgent.

    `following(study)`, called once all trials of a study have ended, may return further jobs, which
    are started at once. `stop()` returns True once the run is to end early. StudyError for a study
    that failed.
    """
    scheduler = _Scheduler(store, pool, progress, stop, following)
    for i, (study, n_trials) in enumerate(jobs):
        scheduler.add(study, n_trials, urgency=-i)
    while not stop():
        scheduler.give_tasks(device, scale)
        if not pool.busy():
            break
        scheduler.handle_events()
    pool.stop()
    while pool.busy():  # the run is to end early
        scheduler.handle_events()
    failures = [rounds for rounds in scheduler.rounds.values() if rounds.failure]
    if failures and not stop():
        first = failures[0]
        more = len(failures) - 1
        raise StudyError(
            f"The study {first.study.key} failed: {first.failure}."
            f"{f' So did {more} more.' if more else ''} All finished trials are kept; run"
            " again to go on."
        )


@dataclass
class _Scheduler:
    """Distributes the work on some studies among the workers of a pool."""

    store: TrialStore
    pool: Pool
    progress: Progress
    stop: Callable[[], bool]
    following: Following | None
    queue: list[Task] = field(default_factory=list)
    rounds: dict[str, Rounds] = field(default_factory=dict)  # by the key of the study

    def add(self, study: Study, n_trials: int, urgency: int) -> Rounds:
        """Adds a study that is to have `n_trials` trials."""
        rounds = Rounds(study, n_trials, self.store, self.progress.trial, urgency)
        self.rounds[study.key] = rounds
        return rounds

    def _active_rounds(self) -> list[Rounds]:
        return [rounds for rounds in self.rounds.values() if not rounds.failure]

    def give_tasks(self, device: str | None, scale: str) -> None:
        """Gives the most urgent tasks to the pool, as long as it takes some."""
        if self.following is not None:
            self._add_following(self.following)
        self.queue += [task for rounds in self._active_rounds() for task in rounds.ready()]
        self.queue.sort(key=lambda task: -task.urgency)
        while self.queue and self.pool.free():
            task = self.queue.pop(0)
            self.pool.give(task, task.job(device, scale))

    def _add_following(self, following: Following) -> None:
        """Adds the jobs that follow from the studies that are now complete."""
        for rounds in list(self.rounds.values()):
            if rounds.was_followed or not rounds.complete:
                continue
            rounds.was_followed = True
            for study, n_trials in following(rounds.study):
                if study.key not in self.rounds:
                    new = self.add(study, n_trials, urgency=len(self.rounds))
                    self.progress.add(study, n_trials, len(new.trials))

    def handle_events(self) -> None:
        """Waits for events of the pool; stores the trials first, all at once."""
        self.progress.tick()
        events = list(self.pool.events(0.5))
        trials = [event.content for event in events if event.kind == "trial"]
        new = [trial for trial in trials if self.rounds[trial.study].add(trial)]
        if new:
            self.store.add(new)
        for trial in new:
            self.progress.trial(trial)
        for event in events:
            self._handle(*event)

    def _handle(self, task: Task, kind: str, content: Any) -> None:
        """Handles an event, after its trials have been added."""
        rounds = self.rounds[task.study.key]
        if kind == "weights":
            self.store.save_weights(*content)  # unless the store has better ones
        elif kind == "failed" and not self.stop():
            reason, full_text = content
            self._fail(rounds, reason)
            self.progress.say(f"The study {rounds.study.key} failed:\n{full_text}")
        elif kind == "lost" and not self.stop():
            self._retry(rounds, task, content)
        elif kind == "done" and task.hparams is None and not rounds.failure:
            parallel = sum(active.parallel_rounds for active in self._active_rounds())
            count = math.ceil(len(self.pool) / max(1, parallel))
            self.queue += rounds.shares(task.numbers, content, count)

    def _fail(self, rounds: Rounds, reason: str) -> None:
        rounds.failure = rounds.failure or reason
        self.queue = [task for task in self.queue if task.study.key != rounds.study.key]

    def _retry(self, rounds: Rounds, task: Task, reason: str) -> None:
        """Puts the work of a worker that is gone back into the queue, a limited number of times."""
        if task.attempt >= ATTEMPTS or rounds.failure:
            self._fail(rounds, reason)
            return
        self.progress.say(
            f"The study {rounds.study.key} is tried again: {reason}. Its finished trials are kept."
        )
        missing = [task]
        if task.hparams is not None:
            missing = rounds.shares(task.numbers, task.hparams, 1)
        self.queue += [dataclasses.replace(share, attempt=task.attempt + 1) for share in missing]
