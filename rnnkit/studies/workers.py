"""Workers on this machine, which are processes of one thread each, and the interruption of a run.

They do not stand behind `concurrent.futures.Executor`, which was tried: a future has one result, so
either each trial is a call of its own, with which the plain torch step, which trains many models at
once, takes five times as long, or no trial can be stored before the last one of its call has ended.
Besides, a `ProcessPoolExecutor` breaks as a whole if one process is killed, and does not say which
task was to blame.
"""

import multiprocessing
import os
import signal
import sys
import threading
import traceback
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple, Self

from rnnkit.studies.progress import Progress
from rnnkit.studies.rounds import Event, StudyError, Task, perform
from rnnkit.studies.study import Job
from rnnkit.threads import one_thread
from rnnkit.trials import TrialStore


class Stopped(KeyboardInterrupt):
    """A run was interrupted and ended cleanly. The message says how to continue."""


def train_in_this_process(
    jobs: list[Job],
    store: TrialStore,
    device: str,
    scale: str,
    progress: Progress,
    stop: Callable[[], bool],
) -> None:
    """Trains the studies of `jobs` one after another, on one thread. StudyError for a study that
    failed.
    """

    def tick_and_stop() -> bool:
        progress.tick()
        return stop()

    try:
        with one_thread():
            for study, n_trials in jobs:
                if not stop():
                    study.run(store, n_trials, device, scale, progress.trial, tick_and_stop)
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

    pipe: Connection
    process: BaseProcess
    number: int


class Processes:
    """A pool (rounds.Pool) of `count` processes of one thread each. If there are GPUs to train on,
    the workers take turns in using them.

    Each worker has a pipe of its own, so that a worker that is killed while it sends does not
    affect the others.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.vacancies: list[int] = []  # numbers of workers that died; replaced when there is work
        self.idle = [_start_worker(number) for number in range(count)]
        self.working: dict[Any, tuple[Worker, Task]] = {}  # by the pipe

    def __len__(self) -> int:
        return self.count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        for worker in self.idle:
            _send(worker.pipe, None)
            worker.pipe.close()
        for worker, _ in self.working.values():  # only if an exception ends the run
            worker.process.kill()

    def free(self) -> bool:
        return bool(self.idle or self.vacancies)

    def busy(self) -> bool:
        return bool(self.working)

    def give(self, task: Task, job: dict) -> None:
        worker = self.idle.pop(0) if self.idle else _start_worker(self.vacancies.pop())
        self.working[worker.pipe] = worker, task
        _send(worker.pipe, job)

    def stop(self) -> None:
        for pipe in self.working:
            _send(pipe, "stop")

    def events(self, seconds: float) -> Iterator[Event]:
        ready = set(wait(list(self.working), seconds))
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
    """A worker in a new process. StudyError if the system gives no more processes."""
    method = "forkserver" if sys.platform == "linux" else "spawn"
    context: Any = multiprocessing.get_context(method)
    if sys.platform == "linux":
        # imported once for all workers, in a process that never trains
        context.set_forkserver_preload(["rnnkit.studies.rounds"])
    try:
        pipe, workers_end = context.Pipe()
        with _inheritance():
            arguments = (workers_end, number, dict(os.environ))
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
        workers_end.close()
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
    return Worker(pipe, process, number)


@contextmanager
def _inheritance() -> Iterator[None]:
    """Until the end of the block this process is as a new one should be that inherits from it: it
    has one thread, no reaction to Ctrl-C (the parent tells it to stop), and a __main__ without a
    file, which multiprocessing would run again otherwise, guarded or not.
    """
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    environment = {name: os.environ[name] for name in threads if name in os.environ}
    main = sys.modules["__main__"]
    with handling([signal.SIGINT], signal.SIG_IGN):
        try:
            os.environ.update(threads)
            sys.modules["__main__"] = types.ModuleType("__main__")
            yield
        finally:
            sys.modules["__main__"] = main
            for name in threads:
                os.environ.pop(name, None)
            os.environ.update(environment)


def _work(pipe: Connection, number: int, environment: dict[str, str]) -> None:
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

    def send(kind: str, content: Any) -> None:
        pipe.send((kind, content))

    def stop() -> bool:
        return pipe.poll() and pipe.recv() in ("stop", None)

    try:
        while (job := pipe.recv()) is not None:
            if job == "stop":
                continue  # it was sent while the last job was ending
            if job["device"] == "cuda":
                job["device"] = f"cuda:{number % max(1, torch.cuda.device_count())}"
            try:
                send("done", perform(job, send, stop))
            except Exception as error:
                if out_of_memory(error):
                    send("lost", OUT_OF_MEMORY)
                else:
                    send("failed", (one_line(error), traceback.format_exc()))
    except (EOFError, OSError):
        pass  # the parent is gone


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
    os._exit(1)


def _send(pipe: Connection, message: object) -> None:
    """Sends a message to a worker. A dead worker is noticed where its events are read."""
    with suppress(OSError):
        pipe.send(message)


def _exit_of(process: BaseProcess) -> str:
    code = process.exitcode
    if code is None or code >= 0:
        return f"exit code {code}"
    was_killed = code == -signal.SIGKILL
    return f"signal {-code}" + (" (killed; is there too little memory?)" if was_killed else "")


OUT_OF_MEMORY = "its worker ran out of memory (fewer workers leave more for each)"


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, in which case the same work may succeed later. torch says so in
    several ways.
    """
    return (
        isinstance(error, MemoryError)
        or "OutOfMemory" in type(error).__name__
        or "allocate memory" in str(error)
    )


def one_line(error: BaseException) -> str:
    """The text of an error in one line. The type of the error comes first unless it is a ValueError,
    which is ours or the user's.
    """
    text = " ".join(str(error).split())[:500].rstrip(".")
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"


@contextmanager
def handling(numbers: Iterable[int], handler: Any) -> Iterator[None]:
    """Signals have this handler until the end of the block, if this is the main thread."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    previous = {n: signal.signal(n, handler) for n in numbers if in_main_thread}
    try:
        yield
    finally:
        for number, previous_handler in previous.items():
            signal.signal(number, previous_handler)


@contextmanager
def interruptible(say: Callable[[str], object]) -> Iterator[Callable[[], bool]]:
    """Yields a function `stop()` that returns True after the first Ctrl-C (or SIGTERM). A second
    Ctrl-C stops at once, as usual. The loss of the terminal makes no difference.
    """
    signals: list[int] = []

    def handler(number: int, frame: Any) -> None:
        if signals:
            raise KeyboardInterrupt
        signals.append(number)
        say(
            "Stopping: the trials that are being trained are given up, the finished ones are kept."
            " Press Ctrl-C again to stop now."
        )

    with handling([signal.SIGINT, signal.SIGTERM], handler), ignore_hangup():
        yield lambda: bool(signals)


HANGUP = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []  # is sent when a terminal is closed


def ignore_hangup() -> AbstractContextManager[None]:
    """Lets this process, and those that it starts, go on when the terminal is closed, unless a
    handler says otherwise.
    """
    numbers = [number for number in HANGUP if signal.getsignal(number) is signal.SIG_DFL]
    return handling(numbers, signal.SIG_IGN)


def cores() -> int:
    """The number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
