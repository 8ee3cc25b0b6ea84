"""Workers on this machine: processes of one thread each, and what becomes of a run that is
interrupted.
"""

import multiprocessing
import os
import signal
import sys
import threading
import traceback
import types
from contextlib import contextmanager
from multiprocessing import connection

from rnnkit.studies.rounds import StudyError, perform
from rnnkit.threads import one_thread


class Stopped(KeyboardInterrupt):
    """A run that was interrupted and ended cleanly, with a sentence on how to go on."""


def train_in_this_process(jobs, store, device, scale, progress, stop):
    """Runs the studies of `jobs`, that is (study, trials), one after another, on one thread."""

    def polled():
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
                        stop=polled,
                    )
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        # Ctrl-C also reaches a compiler that may be at work, whose failure then means nothing
        if not stop():
            why = "memory ran out" if out_of_memory(error) else one_line(error)
            raise StudyError(
                f"The study {study.key} failed: {why}. Its finished trials are kept."
            ) from error


LAST = ("done", "failed", "lost")  # words that end a task


class Processes:
    """A pool of `workers` processes of one thread each; where there are GPUs to train on, each
    takes the next of them.

    Each worker has a pipe of its own, so that one which is killed in mid-sentence leaves the others
    untouched.
    """

    def __init__(self, workers):
        # places of workers that died, to be filled when there is work
        self.workers, self.empty = (workers, [])
        self.idle = [_start_worker(place) for place in range(workers)]  # (link, process, place)
        self.working = {}  # link -> (process, place, task)

    def __len__(self):
        return self.workers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for link, _, _ in self.idle:
            _tell(link, None)
            link.close()
        for process, *_ in self.working.values():  # only where a run is left by an exception
            process.kill()

    def free(self) -> bool:
        return bool(self.idle or self.empty)

    def busy(self) -> bool:
        return bool(self.working)

    def give(self, task, job, urgency):
        link, process, place = self.idle.pop(0) if self.idle else _start_worker(self.empty.pop())
        self.working[link] = process, place, task
        _tell(link, job)

    def stop(self):
        for link in self.working:
            _tell(link, "stop")

    def events(self, seconds):
        """What workers say within some seconds: (task, "trial", "weights", "done", "failed" or
        "lost", content).
        """
        for link in connection.wait(list(self.working), seconds):
            process, place, task = self.working[link]
            try:
                word, content = link.recv()
                if word in LAST:
                    self.idle.append((link, process, place))
            except (EOFError, OSError):  # it died; what it had sent was received before this
                link.close()
                process.join(5)
                self.empty.append(place)
                word, content = "lost", f"its worker ended with {_exit_of(process)}"
            if word in LAST:
                del self.working[link]
            yield task, word, content


def _start_worker(place):
    """As `_worker_at`. StudyError, with what to do, where the system gives no more processes."""
    try:
        return _worker_at(place)
    except (OSError, MemoryError) as error:
        what = (
            "Let TMPDIR name a folder with a short path"
            if "AF_UNIX" in str(error)
            else "Take fewer workers, or raise what `ulimit -a` shows"
        )
        why = "memory ran out" if isinstance(error, MemoryError) else error.strerror or error
        raise StudyError(
            f"A worker cannot be started ({why}). {what}; all finished trials are kept."
        ) from error


def _worker_at(place):
    """A fresh process with the parent's end of its pipe: (link, process, place).

    What it inherits is set for the moment of its start only: one thread, deafness to Ctrl-C (the
    parent will tell it to stop), and a __main__ without a file, which multiprocessing would
    otherwise run again, guarded or not.
    """
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    if sys.platform == "linux":
        context.set_forkserver_preload(
            ["rnnkit.studies.rounds"]
        )  # imported once for all workers, in a process that never trains
    link, theirs = context.Pipe()
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    process = context.Process(
        target=_work, args=(theirs, place, {**os.environ, **threads}), daemon=True
    )
    environment = {name: os.environ.get(name) for name in threads}
    main, deaf = sys.modules["__main__"], threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if deaf else None
    try:
        os.environ.update(threads)
        sys.modules["__main__"] = types.ModuleType("__main__")
        process.start()
    finally:
        sys.modules["__main__"] = main
        if deaf:
            signal.signal(signal.SIGINT, handler)
        for name, value in environment.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
    theirs.close()
    return link, process, place


def _work(link, place, environment):
    """A worker's life: jobs come in, trials go out, until the parent says so or is no more."""
    os.environ.clear()  # as the parent's is now, not as it was when the first worker started
    os.environ.update(environment)
    import torch

    for number in (signal.SIGINT, *LOST_TERMINAL):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    try:
        while (job := link.recv()) is not None:
            if job == "stop":
                continue  # said as the last job ended
            if job["device"] == "cuda":
                job["device"] = f"cuda:{place % max(1, torch.cuda.device_count())}"
            try:
                link.send(("done", perform(job, _Outbox(link))))
            except Exception as error:
                link.send(
                    ("lost", RAN_OUT)
                    if out_of_memory(error)
                    else ("failed", (one_line(error), traceback.format_exc()))
                )
    except (EOFError, OSError):
        pass  # the parent is gone, and with it all reason to go on


class _Outbox:
    """What a worker has for a store: a way to send trials and weights to the parent."""

    def __init__(self, link):
        self.link, self.stopped = link, False

    def add(self, trials):
        for trial in trials:
            self.link.send(("trial", trial))

    def save_weights(self, *weights):
        self.link.send(("weights", weights))

    def stop(self):
        if not self.stopped and self.link.poll():
            self.stopped = self.link.recv() in ("stop", None)
        return self.stopped


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)


def _tell(link, word):
    try:
        link.send(word)
    except OSError:
        pass  # a dead worker is noticed where its answers are read


def _exit_of(process):
    code = process.exitcode
    if code is not None and code < 0:
        return f"signal {-code}" + (
            " (killed; is there too little memory?)" if code == -signal.SIGKILL else ""
        )
    return f"exit code {code}"


RAN_OUT = "its worker ran out of memory (fewer workers leave more for each)"


def out_of_memory(error) -> bool:
    """Whether memory ran out, which the same work may find again a little later; torch says so in
    several ways.
    """
    return (
        isinstance(error, MemoryError)
        or "OutOfMemory" in type(error).__name__
        or "allocate memory" in str(error)
    )


def one_line(error) -> str:
    """An error in one line: its text if it is one of ours or the user's, with its kind if it is
    not.
    """
    text = " ".join(str(error).split())[:500].rstrip(".")
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"


@contextmanager
def interruptible(say):
    """Gives a `stop()` that is True after the first Ctrl-C (or SIGTERM). The second Ctrl-C stops at
    once, as it always does. Whether a terminal still looks on makes no difference.
    """
    stopped = []

    def handler(number, frame):
        if stopped:
            raise KeyboardInterrupt
        stopped.append(number)
        say(
            "Stopping: the trials at work are given up, the finished ones are kept. Press Ctrl-C"
            " again to stop now."
        )

    if threading.current_thread() is not threading.main_thread():  # no signals there
        yield lambda: False
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with without_a_terminal():
            yield lambda: bool(stopped)
    finally:
        for number, old in before.items():
            signal.signal(number, old)


LOST_TERMINAL = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []  # what the loss of one sends


@contextmanager
def without_a_terminal():
    """Whoever loses the terminal goes on, unless somebody has decided otherwise; so do the
    processes that are started meanwhile.
    """
    numbers = LOST_TERMINAL if threading.current_thread() is threading.main_thread() else []
    numbers = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
