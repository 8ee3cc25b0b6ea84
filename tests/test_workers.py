"""Runs survive the killing of real processes. What was finished is stored once, and the run goes on
as if nothing had happened.
"""

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from rnnkit.cells import CELLS
from rnnkit.studies import Stopped, Study, StudyError, complete
from rnnkit.studies.progress import Progress
from rnnkit.studies.rounds import Event, train_in_rounds
from rnnkit.trials import StoreError, TrialStore

ROOT = str(Path(__file__).parent.parent)
ENVIRONMENT = {**os.environ, "PYTHONPATH": ROOT, "OMP_NUM_THREADS": "1"}
POSIX = pytest.mark.skipif(os.name != "posix", reason="kills processes as POSIX does")


def some_studies(tuner="gp", train_steps=(2_000, 4_000)):
    """Studies whose trials take some hundredths of a second."""
    return [
        Study("per_cap", architecture, 1, 120, n_in=8, train_steps=train_steps, tuner=tuner)
        for architecture in ("rnn", "gru")
    ]


N = 36  # trials a study: more than two rounds
SCRIPT = """
import sys
from rnnkit.studies import complete
from rnnkit.trials import TrialStore
sys.path.insert(0, {tests!r})
from test_workers import N, some_studies
with TrialStore(sys.argv[1]) as store:
    complete(some_studies(), N, store, workers=int(sys.argv[2]))
"""


def start(tmp_path, store, workers):
    """The run as a script of its own, in a process group of its own, as a terminal starts it. The
    script guards nothing.
    """
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent)))
    return subprocess.Popen(
        [sys.executable, str(script), str(store), str(workers)],
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def wait_for(condition, process=None, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, (
            f"ended too early: {process.communicate()}"
        )
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def count(path):
    if not Path(path).exists():
        return 0
    with closing(sqlite3.connect(path)) as reader:
        try:
            return reader.execute("SELECT count(*) FROM trials").fetchone()[0]
        except sqlite3.OperationalError:  # the table is being made
            return 0


def group_is_gone(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return all(
        line.split(")")[1].split()[0] == "Z"
        for line in _stats()
        if line.split(")")[1].split()[2] == str(group)
    )


def _stats():
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            yield (folder / "stat").read_text()
        except OSError:
            pass


@pytest.fixture(scope="module")
def undisturbed():
    """What a run that nothing happened to leaves."""
    with TrialStore(":memory:") as store:
        complete(some_studies(), N, store, workers=1, progress=False)
        return rows(store)


def rows(store):
    """Everything that a trial is, without when, how fast and by which commit; None for NaN, which
    equals nothing.
    """
    frame = store.frame().drop(columns=["seconds", "created", "commit"]).astype(object)
    return frame.where(frame.notna(), None).to_dict("records")


# --- kill -9 --------------------------------------------------------------------------------------


@POSIX
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_killed_in_mid_study_loses_only_what_was_in_flight_and_resumes_as_if_undisturbed(
    tmp_path, undisturbed, workers
):
    path = tmp_path / "trials.sqlite"
    process = start(tmp_path, path, workers)
    wait_for(lambda: count(path) >= 20, process)
    seen = count(path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: group_is_gone(process.pid), seconds=60)  # no worker outlives its parent

    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with TrialStore(path) as store:
        kept = rows(store)
        assert seen <= len(kept) < 2 * N
        assert len({(row["study"], row["hyper_iter"]) for row in kept}) == len(kept)
        assert all(row in undisturbed for row in kept)
        complete(some_studies(), N, store, workers=1, progress=False)
        assert rows(store) == undisturbed


@POSIX
def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost_or_doubled(
    tmp_path, undisturbed, capsys
):
    killed = []

    def kill_one():
        wait_for(lambda: count(path) >= 3)
        victim = multiprocessing.active_children()[0]
        killed.append(victim.pid)
        os.kill(victim.pid, signal.SIGKILL)

    path = tmp_path / "trials.sqlite"
    thread = threading.Thread(target=kill_one)
    thread.start()
    with TrialStore(path) as store:
        complete(some_studies(), N, store, workers=2)
        thread.join()
        assert killed and rows(store) == undisturbed
    assert "is tried again: its worker ended with signal 9" in capsys.readouterr().err


# --- Ctrl-C ---------------------------------------------------------------------------------------


@POSIX
@pytest.mark.parametrize("workers", [1, 2])
def test_one_ctrl_c_ends_a_run_cleanly_and_says_how_to_go_on(tmp_path, undisturbed, workers):
    path = tmp_path / "trials.sqlite"
    process = start(tmp_path, path, workers)
    wait_for(lambda: count(path) >= 5, process)
    os.killpg(process.pid, signal.SIGINT)  # a terminal's Ctrl-C reaches the workers too
    _, errors = process.communicate(timeout=120)
    assert "Stopping: the trials that are being trained are given up" in errors
    assert "Stopped with " in errors and "Run the same command again to continue." in errors
    assert (
        "Process Spawn" not in errors and errors.count("Traceback") == 1
    )  # the script's own, of Stopped
    assert not path.with_name("trials.sqlite-wal").exists()  # closed in order
    with TrialStore(path) as store:
        assert 5 <= len(store) < 2 * N
        complete(some_studies(), N, store, workers=1, progress=False)
        assert rows(store) == undisturbed


@POSIX
def test_a_second_ctrl_c_stops_at_once(tmp_path):
    path = tmp_path / "trials.sqlite"
    script = tmp_path / "deaf.py"
    script.write_text(
        textwrap.dedent("""
        import sys, time
        import rnnkit.studies.study
        rnnkit.studies.study.train = lambda *_, **__: [print("deaf", flush=True), time.sleep(100)]
        from rnnkit.studies import run
        run("start", "smoke", sys.argv[1])
    """)
    )
    process = subprocess.Popen(
        [sys.executable, str(script), str(path)],
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout.readline() == "deaf\n"
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0 and "KeyboardInterrupt" in errors


class Slow:
    """Stands for a pool of one worker, to whom the order to stop comes while it suggests."""

    def __init__(self, stopped):
        self.stopped = stopped
        self.tasks = []
        self.looks = 0

    def __len__(self):
        return 1

    def free(self):
        return not self.tasks

    def busy(self):
        return bool(self.tasks)

    def give(self, task, job):
        self.tasks.append(task)

    def stop(self):
        pass

    def events(self, seconds):
        self.looks += 1
        assert self.looks < 10, "the run waits for ever"
        if not self.stopped:
            self.stopped.append(True)
            return []
        task = self.tasks.pop()
        suggested = [task.study.space.usual_point() for _ in task.numbers]
        return [Event(task, "done", suggested)]


def test_a_suggestion_that_ends_after_ctrl_c_does_not_keep_the_run_from_ending():
    stopped = []
    study = some_studies("gp-usual")[0]
    with TrialStore(":memory:") as store:
        progress = Progress([(study, N, 0)], quiet=True)
        pool = Slow(stopped)
        train_in_rounds([(study, N)], store, pool, "cpu", "", progress, lambda: bool(stopped))
    assert not pool.tasks and pool.looks == 2


def test_stopped_is_a_keyboard_interrupt_so_that_a_notebook_does_not_run_on():
    assert issubclass(Stopped, KeyboardInterrupt)


# --- workers --------------------------------------------------------------------------------------


def test_two_workers_give_the_rows_of_one(undisturbed):
    with TrialStore(":memory:") as store:
        complete(some_studies(), N, store, workers=2, progress=False)
        assert rows(store) == undisturbed


def test_workers_need_no_main_guard_and_no_main_file():
    """As a notebook's kernel has none."""
    code = textwrap.dedent("""
        from rnnkit.studies import Study, complete
        from rnnkit.trials import TrialStore
        studies = [Study("per_cap", a, 1, 60, n_in=5, train_steps=(5, 9), tuner="random") for a in ("rnn", "gru")]
        with TrialStore(":memory:") as store:
            complete(studies, 2, store, workers=2)
            print(len(store))
    """)
    done = subprocess.run(
        [sys.executable, "-"],
        input=code,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=120,
    )
    assert done.stdout == "4\n", done.stderr


MODULE = """
from rnnkit.cells import RNN, register

@register
class Mine(RNN):
    architecture = {name!r}

    @staticmethod
    def step(W, h, x, s):
        {body}
        h = s(W.h(h, x))
        return h, h
"""


@pytest.fixture
def own_cell(tmp_path, monkeypatch):
    def make(name, body="pass"):
        (tmp_path / f"{name}_module.py").write_text(MODULE.format(name=name, body=body))
        monkeypatch.syspath_prepend(tmp_path)
        __import__(f"{name}_module")
        return Study("per_cap", name, 1, 60, n_in=5, train_steps=(5, 9), tuner="random")

    yield make
    for name in ("ownrnn", "sickrnn"):
        CELLS.pop(name, None)
        sys.modules.pop(f"{name}_module", None)


def test_a_cell_of_ones_own_module_is_known_to_the_workers(own_cell):
    study = own_cell("ownrnn")
    other = some_studies("random", (5, 9))[0]
    with TrialStore(":memory:") as store:
        complete([study, other], 2, store, workers=2, progress=False)
        assert store.numbers(study.key) == {0, 1}


# not yet where the equations are tried as they are registered, on a single example
SICK = "if len(getattr(x, 'shape', 'any')) > 2: raise ValueError('my equations are wrong')"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_study_that_fails_is_named_and_the_others_are_kept(own_cell, workers):
    sick = own_cell("sickrnn", body=SICK)
    good = some_studies("random", (5, 9))
    with TrialStore(":memory:") as store:
        with pytest.raises(StudyError, match="sickrnn.*failed: my equations are wrong") as caught:
            complete([*good, sick], 2, store, workers=workers, progress=False)
        assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
        assert len(store) == 4


@POSIX
@pytest.mark.parametrize("workers", [1, 2])
def test_a_store_that_is_taken_away_before_the_run_ends_is_reported_and_what_it_had_is_saved(
    tmp_path, monkeypatch, workers
):
    """Even after the last trial was stored."""
    path = tmp_path / "trials.sqlite"
    wanted = 2 * len(some_studies())
    trial = Progress.trial

    def take_away(shown, new):
        trial(shown, new)
        if sum(search.count for search in shown.searches.values()) == wanted:
            path.unlink()

    monkeypatch.setattr(Progress, "trial", take_away)
    with TrialStore(path) as store, pytest.raises(StoreError, match="was removed or replaced"):
        complete(some_studies("random", (5, 9)), 2, store, workers=workers, progress=False)
    with TrialStore(tmp_path / "trials-saved-1.sqlite", create=False) as saved:
        assert len(saved) == wanted


def test_a_run_leaves_this_process_as_it_was():
    import torch

    before = (
        torch.get_num_threads(),
        dict(os.environ),
        sys.modules["__main__"],
        signal.getsignal(signal.SIGINT),
    )
    with TrialStore(":memory:") as store:
        for workers in (1, 2):
            complete(
                some_studies("random", (5, 6)), workers, store, workers=workers, progress=False
            )
    assert (
        torch.get_num_threads(),
        dict(os.environ),
        sys.modules["__main__"],
        signal.getsignal(signal.SIGINT),
    ) == before
