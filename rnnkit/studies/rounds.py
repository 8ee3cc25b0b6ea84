"""Studies as work for many hands: rounds, and shares of a round, in any process that has rnnkit.
The parent alone writes the store.

A round is first suggested, then trained in as many shares as keep all workers busy. Both are
functions of what they are sent (`perform`), so it makes no difference who does them, how often, or
in what order: the same seed gives the same trials.
"""

import dataclasses
import importlib
import math
from contextlib import suppress
from dataclasses import dataclass

import rnnkit
from rnnkit import native
from rnnkit.cells import cell_of
from rnnkit.native import cuda
from rnnkit.studies import provenance
from rnnkit.studies.study import ROUND, Study, best_loss
from rnnkit.training import train
from rnnkit.tuner import TUNERS

# for work whose worker is killed: the system kills the largest process when memory runs out, often
# for another's sake
ATTEMPTS = 2


class StudyError(RuntimeError):
    """A study that could not be trained to its end: which, and why."""


@dataclass
class Task:
    """A round to suggest (`hparams` is None), or trials to train with their hyper-parameters."""

    study: Study
    numbers: list[int]
    hparams: list[dict] | None = None
    earlier: tuple = ()  # hyper-parameters and losses of all trials before the round
    best: float = math.inf  # loss of the study so far: the weights of better trials are wanted
    attempt: int = 1
    # a GPU's kind and shared memory: whoever suggests compiles the study's kernel too
    compile_for: tuple = ()

    def job(self, device, scale) -> dict:
        """All that a worker needs to know, as plain values."""
        return {
            "version": rnnkit.__version__,
            "source": provenance.LOADED,
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
    def steps(self):
        """What it costs, for trials of one study: training steps."""
        return sum(hparams["train_steps"] for hparams in self.hparams or ())


def perform(job, outbox):
    """Does what a task says, in the worker: gives the hyper-parameters of a round, or trains, and
    each trial goes to the outbox.

    An outbox stands for the store: it has `add` and `save_weights`, and `stop()`, which says True
    once the work is no longer wanted. ValueError where the worker has another version of the kit,
    or other source files.
    """
    ours, here = (job["version"], job["source"]), (rnnkit.__version__, provenance.LOADED)
    if ours != here:
        run, worker = (f"{version} (source {source})" for version, source in (ours, here))
        raise ValueError(
            f"This run is of rnnkit {run}, and a worker has rnnkit {worker}. Install one version"
            " everywhere."
        )
    if job["module"] != "__main__":
        importlib.import_module(job["module"])  # a cell of the user's own registers itself
    study, numbers = Study(**job["study"]), job["numbers"]
    if job["hparams"] is None:
        if job["compile_for"]:
            compile_kernel(study, *job["compile_for"])
        tuner = study.new_tuner()
        if job["earlier"]:
            tuner.observe(*job["earlier"])
        return tuner.suggest(len(numbers), start=numbers[0])

    kept = []

    def keep(number, hparams, outcome):
        kept.append(
            study.keep(
                outbox, number, hparams, outcome, job["scale"], min(job["best"], best_loss(kept))
            )
        )

    train(
        study,
        job["hparams"],
        numbers,
        device=job["device"] or best_device(),
        on_outcome=keep,
        stop=outbox.stop,
    )


def compile_kernel(study, arch, shared):
    """Leaves a study's kernel for a kind of GPU on disk, if there can be one: where it is wanted
    and is not there, the reason is told.
    """
    with suppress(native.Unavailable):
        cuda.cubin(cuda.kernel_for(study, shared), arch)


def best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class Rounds:
    """A study on its way to `n_trials` trials: what may be asked for now, and what has come in."""

    def __init__(self, study, n_trials, store, heard):
        self.study, self.n_trials, self.store, self.heard = study, n_trials, store, heard
        self.listens = TUNERS[study.tuner].listens
        self.done, self.asked, self.next = (
            {t.hyper_iter: t for t in store.trials(study.key) if t.hyper_iter < n_trials},
            set(),
            0,
        )

    def _look(self):
        """Takes from the store what another run has trained of this study meanwhile."""
        if self.store.numbers(self.study.key) - set(self.done):
            for trial in self.store.trials(self.study.key):
                if trial.hyper_iter < self.n_trials and self.take(trial):
                    self.heard(trial)

    def ready(self) -> list[Task]:
        """The next round's suggestion, once every earlier trial is there; for a tuner that does not
        listen, that of all rounds.
        """
        tasks = []
        while self.next < self.n_trials and not (self.listens and self.asked):
            numbers = range(self.next, min(self.next + ROUND, self.n_trials))
            self._look()
            lacking = set(numbers) - set(self.done)
            if lacking:
                before = (
                    [self.done[number] for number in range(numbers.start)] if self.listens else []
                )
                earlier = (
                    ([trial.hparams for trial in before], [trial.valid_loss for trial in before])
                    if before
                    else ()
                )
                tasks.append(Task(self.study, list(numbers), earlier=earlier))
            self.asked |= lacking
            self.next += ROUND
        return tasks

    def shares(self, numbers, hparams, count) -> list[Task]:
        """A suggested round in at most `count` shares of about equal length, without the trials
        that are there.
        """
        lacking = [(number, h) for number, h in zip(numbers, hparams) if number not in self.done]
        best = best_loss(self.done.values())
        shares = [
            Task(self.study, [], [], best=best) for _ in range(max(1, min(count, len(lacking))))
        ]
        for number, h in sorted(lacking, key=lambda pair: -pair[1]["train_steps"]):
            share = min(shares, key=lambda share: share.steps)
            share.numbers.append(number), share.hparams.append(h)
        return [share for share in shares if share.numbers]

    def take(self, trial) -> bool:
        """Notes a trial; False for one that has come in before."""
        new = trial.hyper_iter not in self.done
        self.done.setdefault(trial.hyper_iter, trial)
        self.asked.discard(trial.hyper_iter)
        return new

    @property
    def whole(self) -> bool:
        return len(self.done) >= self.n_trials

    @property
    def open(self) -> int:
        """Rounds that can be worked on at the same time, now."""
        lacking = self.n_trials - len(self.done)
        return min(1, lacking) if self.listens else math.ceil(lacking / ROUND)


def train_in_rounds(jobs, store, pool, device, scale, progress, stop, following=None):
    """Brings the studies of `jobs`, that is (study, trials), to their trials with the workers of
    `pool`, the first of them first.

    `following(study)`, asked once all trials of a study are there, may give further jobs, which are
    begun at once.

    StudyError for a study that failed. A pool has `free()`, `give(task, job, urgency)`,
    `events(seconds)`, `stop()`, `busy()` and a length; see workers.py and cluster.py.
    """
    work, told = _Work(jobs, store, pool, progress, stop, following), False
    while True:
        progress.tick()
        if not stop():
            work.hand_out(device, scale)
        elif not told:
            told = True
            pool.stop()
            work.waiting.clear()
        if not work.waiting and not pool.busy():
            break
        events = list(pool.events(0.5))
        work.take([content for _, word, content in events if word == "trial"])
        for task, word, content in events:
            work.hear(task, word, content)
    if work.failures and not stop():
        key, why = next(iter(work.failures.items()))
        others = f" So did {len(work.failures) - 1} more." if len(work.failures) > 1 else ""
        raise StudyError(
            f"The study {key} failed: {why}.{others} All finished trials are kept; run again to"
            " go on."
        )


class _Work:
    """What is to be done for some studies, what waits for a worker, and which studies failed."""

    def __init__(self, jobs, store, pool, progress, stop, following):
        self.store, self.pool, self.progress, self.stop, self.following = (
            store,
            pool,
            progress,
            stop,
            following,
        )
        self.studies = {
            study.key: Rounds(study, n_trials, store, progress.trial) for study, n_trials in jobs
        }
        self.urgency = {key: len(self.studies) - i for i, key in enumerate(self.studies)}
        self.waiting, self.failures, self.whole = [], {}, set()

    def hand_out(self, device, scale):
        """Gives the most urgent tasks to whoever is free."""
        if self.following is not None:
            self._follow()
        self.waiting += [
            task
            for key, rounds in self.studies.items()
            if key not in self.failures
            for task in rounds.ready()
        ]
        self.waiting.sort(key=lambda task: -self.urgency[task.study.key])
        while self.waiting and self.pool.free():
            task = self.waiting.pop(0)
            self.pool.give(task, task.job(device, scale), self.urgency[task.study.key])

    def _follow(self):
        """Takes on what follows from the studies that are whole now."""
        for key in [
            key for key, rounds in self.studies.items() if key not in self.whole and rounds.whole
        ]:
            self.whole.add(key)
            for study, n_trials in self.following(self.studies[key].study):
                if study.key not in self.studies:
                    self.studies[study.key] = Rounds(
                        study, n_trials, self.store, self.progress.trial
                    )
                    self.urgency[study.key] = len(self.urgency) + 1
                    self.progress.add(study, n_trials, len(self.studies[study.key].done))

    def take(self, trials):
        """Stores the trials that are new."""
        new = [trial for trial in trials if self.studies[trial.study].take(trial)]
        if new:
            self.store.add(new)
        for trial in new:
            self.progress.trial(trial)

    def hear(self, task, word, content):
        """What a worker says of its task; its trials have been taken before."""
        study, rounds = task.study, self.studies[task.study.key]
        if word == "weights":
            if content[2] <= best_loss(rounds.done.values()):
                self.store.save_weights(*content)
        elif word == "failed" and not self.stop():
            self._fail(study, content[0])
            self.progress.say(f"The study {study.key} failed:\n{content[1]}")
        elif word == "lost" and not self.stop():
            self._try_again(task, content)
        elif word == "done" and task.hparams is None and study.key not in self.failures:
            open_ = sum(
                rounds.open for key, rounds in self.studies.items() if key not in self.failures
            )
            self.waiting += rounds.shares(
                task.numbers, content, math.ceil(len(self.pool) / max(1, open_))
            )

    def _fail(self, study, why):
        self.failures.setdefault(study.key, why)
        self.waiting = [task for task in self.waiting if task.study.key != study.key]

    def _try_again(self, task, why):
        """Work whose worker is no more waits for another one, a limited number of times."""
        study, done = task.study, self.studies[task.study.key].done
        if task.attempt >= ATTEMPTS or study.key in self.failures:
            self._fail(study, why)
            return
        self.progress.say(
            f"The study {study.key} is tried again: {why}. Its finished trials are kept."
        )
        again = dataclasses.replace(task, attempt=task.attempt + 1)
        if task.hparams is not None:
            left = [
                (number, hparams)
                for number, hparams in zip(task.numbers, task.hparams)
                if number not in done
            ]
            again.numbers, again.hparams = (
                [number for number, _ in left],
                [hparams for _, hparams in left],
            )
        if again.numbers:
            self.waiting.append(again)
