"""Trains studies side by side in processes of one thread each. The parent alone writes the store.

Each worker has a pipe of its own, so that one which is killed in mid-sentence leaves the others untouched. The parent sends
a study with the trials that the store has of it; the worker sends each new trial as it ends.
"""

import dataclasses
import importlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import types
from contextlib import contextmanager
from multiprocessing import connection

from rnnkit.cells import cell_of
from rnnkit.studies.study import Study

ATTEMPTS = 2  # for a study whose worker is killed: the system kills the largest process when memory runs out, often for another's sake


class StudyError(RuntimeError):
    """A study that could not be trained to its end: which, and why."""


class Stopped(KeyboardInterrupt):
    """A run that was interrupted and ended cleanly, with a sentence on how to go on."""


def train_in_this_process(jobs, store, device, scale, progress, stop):
    """Runs the studies of `jobs`, that is (study, trials), one after another, on one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two threads on networks this small are slower than one

    def polled():
        progress.tick()
        return stop()

    try:
        for study, n_trials in jobs:
            if not stop():
                study.run(store, n_trials, device=device, scale=scale, on_trial=progress.trial, stop=polled)
    except (ValueError, OSError, RuntimeError) as error:
        if not stop():  # Ctrl-C also reaches a compiler that may be at work, whose failure then means nothing
            raise StudyError(f"The study {study.key} failed: {one_line(error)}. Its finished trials are kept.") from error
    finally:
        torch.set_num_threads(threads)


def train_side_by_side(jobs, store, device, scale, progress, stop, workers):
    """Runs the studies of `jobs` in `workers` processes, each taking the next study when it is free."""
    waiting = [(study, n_trials, 1) for study, n_trials in jobs]
    working = {}  # link -> (process, (study, n_trials, attempt))
    failures, told = [], False

    def give(process, link):
        if waiting and not stop():
            study, n_trials, attempt = waiting.pop(0)
            working[link] = process, (study, n_trials, attempt)
            module = cell_of(study.architecture).__module__
            _tell(link, (module, dataclasses.asdict(study), n_trials, store.trials(study.key), device, scale))
        else:
            _tell(link, None)
            link.close()

    try:
        for _ in range(min(workers, len(jobs))):
            give(*_start_worker())
        while working:
            progress.tick()
            if stop() and not told:
                told = True
                for link in working:
                    _tell(link, "stop")
            for link in connection.wait(list(working), timeout=0.5):
                process, (study, n_trials, attempt) = working[link]
                try:
                    word, content = link.recv()
                except (EOFError, OSError):  # it died; what it had sent was received before this
                    del working[link]
                    process.join(5)
                    why = f"its worker ended with {_exit_of(process)}"
                    if attempt < ATTEMPTS and not stop():
                        progress.say(f"The study {study.key} is tried again: {why}. Its finished trials are kept.")
                        waiting.insert(0, (study, n_trials, attempt + 1))
                    else:
                        failures.append((study, why))
                    if waiting and not stop():
                        give(*_start_worker())
                    continue
                if word == "trial":
                    store.add([content])
                    progress.trial(content)
                else:
                    del working[link]
                    if word == "failed" and not stop():
                        failures.append((study, content[0]))
                        progress.say(f"The study {study.key} failed:\n{content[1]}")
                    give(process, link)
    finally:
        for process, _ in working.values():  # only where this function is left by an exception
            process.kill()
    if failures and not stop():
        study, why = failures[0]
        others = f" So did {len(failures) - 1} more." if len(failures) > 1 else ""
        raise StudyError(f"The study {study.key} failed: {why}.{others} All finished trials are kept; run again to go on.")


def _start_worker():
    """A fresh process, and the parent's end of its pipe.

    What it inherits is set for the moment of its start only: one thread, deafness to Ctrl-C (the parent will tell it to
    stop), and a __main__ without a file, which `spawn` would otherwise run again, guarded or not.
    """
    context = multiprocessing.get_context("spawn")
    link, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
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
    return process, link


def _work(link):
    """A worker's life: studies come in, trials go out, until the parent says so or is no more."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    outbox = _Outbox(link)
    try:
        while (job := link.recv()) not in (None, "stop"):
            module, fields, n_trials, outbox.known, device, scale = job
            try:
                if module != "__main__":
                    importlib.import_module(module)  # a cell of the user's own registers itself
                Study(**fields).run(outbox, n_trials, device=device, scale=scale, stop=outbox.stop)
                link.send(("done", None))
            except Exception as error:
                link.send(("failed", (one_line(error), traceback.format_exc())))
    except (EOFError, OSError):
        pass  # the parent is gone, and with it all reason to go on


class _Outbox:
    """What a worker has for a store: the trials that it was sent, and a way to send new ones."""

    def __init__(self, link):
        self.link, self.known, self.stopped = link, [], False

    def trials(self, study):
        return self.known

    def add(self, trials):
        for trial in trials:
            self.link.send(("trial", trial))

    def stop(self):
        if not self.stopped and self.link.poll():
            self.stopped = self.link.recv() == "stop"
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
        return f"signal {-code}" + (" (killed; is there too little memory?)" if code == -signal.SIGKILL else "")
    return f"exit code {code}"


def one_line(error) -> str:
    """An error in one line: its text if it is one of ours or the user's, with its kind if it is not."""
    text = " ".join(str(error).split())[:500].rstrip(".")
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"


@contextmanager
def interruptible(say):
    """Gives a `stop()` that is True after the first Ctrl-C (or SIGTERM). The second Ctrl-C stops at once, as it always does."""
    stopped = []

    def handler(number, frame):
        if stopped:
            raise KeyboardInterrupt
        stopped.append(number)
        say("Stopping: the trials at work are given up, the finished ones are kept. Press Ctrl-C again to stop now.")

    if threading.current_thread() is not threading.main_thread():  # no signals there
        yield lambda: False
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(stopped)
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
