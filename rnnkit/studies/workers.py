"""Workers on this machine, which are processes of one thread each, and the interruption of a run."""

import multiprocessing
import os
import signal
import sys
import threading
import traceback
import types
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from rnnkit.studies.rounds import Event, StudyError, Task, perform
from rnnkit.threads import one_thread


class Stopped(KeyboardInterrupt):
    """A run was interrupted and ended cleanly. The message says how to continue."""


def train_in_this_process(jobs, store, device, scale, progress, stop):
    """Runs the studies of `jobs`, which are (study, number of trials), one after another, on one
    thread. StudyError for a study that failed.
    """

    def tick_and_stop():
        progress.tick()
        return stop()

    try:
        with one_thread():
            for study, n_trials in jobs:
                if not stop():
                    study.run(
                        store,
                        n_trials,
                        device=device,
                        scale=scale,
                        on_trial=progress.trial,
                        stop=tick_and_stop,
                    )
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        # Ctrl-C also reaches a compiler that may be running, whose failure then means nothing
        if not stop():
            reason = "memory ran out" if out_of_memory(error) else one_line(error)
            raise StudyError(
                f"The study {study.key} failed: {reason}. Its finished trials are kept."
            ) from error


FINAL = ("done", "failed", "lost")  # kinds of events that end a task


class Worker(NamedTuple):
    """A process, the parent's end of its pipe, and its number, which selects a GPU."""

    pipe: connection.Connection
    process: BaseProcess
    number: int


class Processes:
    """A pool (rounds.Pool) of `count` processes of one thread each. If there are GPUs to train on,
    the workers take turns in using them.

    Each worker has a pipe of its own, so that a worker that is killed while it sends does not
    affect the others.
    """

    def __init__(self, count: int):
        self.count = count
        self.vacancies: list[int] = []  # numbers of workers that died; replaced when there is work
        self.idle = [_start_worker(number) for number in range(count)]
        self.working: dict[connection.Connection, tuple[Worker, Task]] = {}

    def __len__(self):
        return self.count

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for worker in self.idle:
            _send(worker.pipe, None)
            worker.pipe.close()
        for worker, _ in self.working.values():  # only if an exception ends the run
            worker.process.kill()

    def free(self) -> bool:
        return bool(self.idle or self.vacancies)

    def busy(self) -> bool:
        return bool(self.working)

    def give(self, task: Task, job: dict, urgency: int):
        worker = self.idle.pop(0) if self.idle else _start_worker(self.vacancies.pop())
        self.working[worker.pipe] = worker, task
        _send(worker.pipe, job)

    def stop(self):
        for pipe in self.working:
            _send(pipe, "stop")

    def events(self, seconds: float) -> Iterator[Event]:
        ready = set(connection.wait(list(self.working), seconds))
        for pipe in [pipe for pipe in self.working if pipe in ready]:
            worker, task = self.working[pipe]
            try:
                kind, content = pipe.recv()
                if kind in FINAL:
                    self.idle.append(worker)
            except (EOFError, OSError):  # it died; all that it had sent was received before this
                pipe.close()
                worker.process.join(5)
                self.vacancies.append(worker.number)
                kind = "lost"
                content = f"its worker ended with {_exit_of(worker.process)}"
            if kind in FINAL:
                del self.working[pipe]
            yield Event(task, kind, content)


def _start_worker(number: int) -> Worker:
    """A new worker. StudyError if the system gives no more processes."""
    try:
        return _new_worker(number)
    except (OSError, MemoryError) as error:
        advice = (
            "Set TMPDIR to a folder with a short path"
            if "AF_UNIX" in str(error)
            else "Take fewer workers, or raise what `ulimit -a` shows"
        )
        memory = isinstance(error, MemoryError)
        reason = "memory ran out" if memory else getattr(error, "strerror", None) or error
        raise StudyError(
            f"A worker cannot be started ({reason}). {advice}; all finished trials are kept."
        ) from error


def _new_worker(number: int) -> Worker:
    """A worker in a new process.

    What a process inherits is set while it starts, and restored afterwards: one thread, no reaction
    to Ctrl-C (the parent tells it to stop), and a __main__ without a file, which multiprocessing
    would run again otherwise, guarded or not.
    """
    method = "forkserver" if sys.platform == "linux" else "spawn"
    context: Any = multiprocessing.get_context(method)
    if sys.platform == "linux":
        # imported once for all workers, in a process that never trains
        context.set_forkserver_preload(["rnnkit.studies.rounds"])
    pipe, workers_end = context.Pipe()
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    process = context.Process(
        target=_work, args=(workers_end, number, {**os.environ, **threads}), daemon=True
    )
    environment = {name: os.environ.get(name) for name in threads}
    main = sys.modules["__main__"]
    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main_thread else None
    try:
        os.environ.update(threads)
        sys.modules["__main__"] = types.ModuleType("__main__")
        process.start()
    finally:
        sys.modules["__main__"] = main
        if in_main_thread:
            signal.signal(signal.SIGINT, handler)
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    workers_end.close()
    return Worker(pipe, process, number)


def _work(pipe, number, environment):
    """The main loop of a worker: it receives jobs and sends events, until the parent ends it or is
    gone.
    """
    # a fork server still has the environment in which the first worker started
    os.environ.clear()
    os.environ.update(environment)
    import torch

    for signal_number in (signal.SIGINT, *HANGUP):
        signal.signal(signal_number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    try:
        while (job := pipe.recv()) is not None:
            if job == "stop":
                continue  # it was sent while the last job was ending
            if job["device"] == "cuda":
                job["device"] = f"cuda:{number % max(1, torch.cuda.device_count())}"
            try:
                pipe.send(("done", perform(job, _Outbox(pipe))))
            except Exception as error:
                if out_of_memory(error):
                    pipe.send(("lost", OUT_OF_MEMORY))
                else:
                    pipe.send(("failed", (one_line(error), traceback.format_exc())))
    except (EOFError, OSError):
        pass  # the parent is gone


class _Outbox:
    """Stands for a store in a worker: trials and weights are sent to the parent."""

    def __init__(self, pipe):
        self.pipe = pipe
        self.stopping = False

    def add(self, trials):
        for trial in trials:
            self.pipe.send(("trial", trial))

    def save_weights(self, *weights):
        self.pipe.send(("weights", weights))

    def stop(self) -> bool:
        if not self.stopping and self.pipe.poll():
            self.stopping = self.pipe.recv() in ("stop", None)
        return self.stopping


def _end_with_parent():
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
    os._exit(1)


def _send(pipe, message):
    """Sends a message to a worker. A dead worker is noticed where its events are read."""
    with suppress(OSError):
        pipe.send(message)


def _exit_of(process) -> str:
    code = process.exitcode
    if code is None or code >= 0:
        return f"exit code {code}"
    was_killed = code == -signal.SIGKILL
    return f"signal {-code}" + (" (killed; is there too little memory?)" if was_killed else "")


OUT_OF_MEMORY = "its worker ran out of memory (fewer workers leave more for each)"


def out_of_memory(error) -> bool:
    """Whether memory ran out, in which case the same work may succeed later. torch says so in
    several ways.
    """
    return (
        isinstance(error, MemoryError)
        or "OutOfMemory" in type(error).__name__
        or "allocate memory" in str(error)
    )


def one_line(error) -> str:
    """The text of an error in one line. The type of the error comes first unless it is a ValueError,
    which is ours or the user's.
    """
    text = " ".join(str(error).split())[:500].rstrip(".")
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"


@contextmanager
def interruptible(say):
    """Yields a function `stop()` that returns True after the first Ctrl-C (or SIGTERM). A second
    Ctrl-C stops at once, as usual. The loss of the terminal makes no difference.
    """
    signals: list[int] = []

    def handler(number, frame):
        if signals:
            raise KeyboardInterrupt
        signals.append(number)
        say(
            "Stopping: the trials that are being trained are given up, the finished ones are kept."
            " Press Ctrl-C again to stop now."
        )

    if threading.current_thread() is not threading.main_thread():  # no signals there
        yield lambda: False
        return
    previous = {n: signal.signal(n, handler) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        with ignore_hangup():
            yield lambda: bool(signals)
    finally:
        for number, previous_handler in previous.items():
            signal.signal(number, previous_handler)


HANGUP = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []  # is sent when a terminal is closed


@contextmanager
def ignore_hangup():
    """Lets this process, and those that it starts, go on when the terminal is closed, unless a
    handler says otherwise.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    numbers = [
        number for number in HANGUP if in_main_thread and signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def cores() -> int:
    """The number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
