"""Disks that fill, power that fails, memory that runs out, clocks that run back: each for real.
Afterwards nothing is lost or doubled.

What a killed parent, worker or Dask worker leaves behind is in test_workers.py and test_cluster.py.
"""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from test_reproduce import small_books
from test_workers import (
    ENVIRONMENT,
    POSIX,
    ROOT,
    SCRIPT,
    N,
    count,
    rows,
    some_studies,
    start,
    wait_for,
)

from rnnkit.studies import Study, StudyError, complete, run
from rnnkit.trials import StoreError, TrialStore

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="as Linux does it")


@pytest.fixture(scope="module")
def undisturbed():
    with TrialStore(":memory:") as store:
        complete(some_studies(), N, store, workers=1, progress=False)
        return rows(store)


def resumed(path, **settings):
    """What is in the store once the run was started again."""
    with TrialStore(path) as store:
        kept = rows(store)
        assert len({(row["study"], row["hyper_iter"]) for row in kept}) == len(kept)
        complete(some_studies(), N, store, **{"workers": 1, "progress": False, **settings})
        after = rows(store)
        assert all(row in after for row in kept)
        return after


# --- power ----------------------------------------------------------------------------------------


@POSIX
def test_a_run_whose_log_lost_its_end_with_the_power_goes_on_from_what_was_whole(
    tmp_path, undisturbed
):
    """The write-ahead log of a killed run, cut off in the middle of a page, near its start and near
    its end.
    """
    path = tmp_path / "trials.sqlite"
    process = start(tmp_path, path, 1)
    wait_for(lambda: count(path) >= 20, process)
    process.kill()
    process.communicate()
    crashes = [tmp_path / "early.sqlite", tmp_path / "late.sqlite"]
    for crashed, share in zip(crashes, (0.3, 0.9)):
        for end in ("", "-wal"):  # as it lay there; whoever opens it folds the log into it
            shutil.copy(f"{path}{end}", f"{crashed}{end}")
        log = Path(f"{crashed}-wal")
        os.truncate(log, int(log.stat().st_size * share) | 1)
    whole = count(path)
    for crashed in crashes:
        with TrialStore(crashed) as store:
            assert len(store) < whole and all(row in undisturbed for row in rows(store))
        assert resumed(crashed) == undisturbed
    with TrialStore(path) as store:
        assert len(store) == whole >= 20


# --- disk -----------------------------------------------------------------------------------------


def is_root():
    return hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def small_disk(tmp_path):
    """A disk of a quarter of a megabyte, of which little is free."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        not is_root()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True
        ).returncode
    ):
        pytest.skip("only root may make a small disk")
    (folder / "ballast").write_bytes(bytes(100_000))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@LINUX
@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_ends_the_run_with_a_sentence_and_with_room_it_goes_on(
    small_disk, undisturbed, workers
):
    path = small_disk / "trials.sqlite"
    with TrialStore(path) as store:
        with pytest.raises(StoreError, match=r"disk.*what was stored is safe\.$") as caught:
            complete(some_studies(), N, store, workers=workers, progress=False)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert 0 < count(path) < 2 * N
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert resumed(path) == undisturbed


@POSIX
def test_a_limit_on_the_size_of_files_ends_the_run_with_a_sentence_and_without_it_the_run_goes_on(
    tmp_path, undisturbed
):
    """RLIMIT_FSIZE, as batch systems set it."""
    path = tmp_path / "trials.sqlite"
    code = f"""
        import resource, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_workers import N, some_studies
        from rnnkit.studies import complete
        from rnnkit.trials import StoreError, TrialStore
        with TrialStore({str(path)!r}) as store:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
            try:
                complete(some_studies(), N, store, workers=1, progress=False)
            except StoreError as error:
                print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd=ROOT,
    )
    assert (
        done.stdout.strip().endswith("what was stored is safe.") and done.stdout.count("\n") == 1
    ), done.stdout + done.stderr
    assert 0 < count(path) < 2 * N
    assert resumed(path) == undisturbed


# --- memory ---------------------------------------------------------------------------------------


HUNGRY = """
import multiprocessing, os, resource
from rnnkit.cells import RNN, register

if os.environ.get("SMALL_MACHINE") and multiprocessing.parent_process():
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20), used + (300 << 20)))

@register
class Hungry(RNN):
    architecture = "hungry"

    @staticmethod
    def step(W, h, x, s):
        if len(getattr(x, "shape", "any")) > 2:  # not where it is tried as it is registered
            bytearray(400 << 20)
        return RNN.step(W, h, x, s)
"""


@LINUX
def test_a_worker_out_of_memory_costs_one_study_is_reported_and_with_memory_the_run_goes_on(
    tmp_path, monkeypatch, capsys
):
    """The worker may not have 400 MB more (RLIMIT_AS), and the cell wants them."""
    (tmp_path / "hungry_cell.py").write_text(HUNGRY)
    monkeypatch.syspath_prepend(tmp_path)
    import hungry_cell  # noqa: F401

    small = Study("per_cap", "rnn", 1, 60, n_in=5, train_steps=(5, 9), tuner="random")
    study = replace(small, architecture="hungry")
    try:
        with TrialStore(tmp_path / "trials.sqlite") as store:
            monkeypatch.setenv("SMALL_MACHINE", "1")
            with pytest.raises(
                StudyError,
                match=r"per_cap/hungry/.* failed: its worker ran out of memory \(fewer workers",
            ):
                complete([study, small], 4, store, workers=2)
            assert store.numbers(small.key) == {0, 1, 2, 3} and not store.numbers(study.key)
            monkeypatch.delenv("SMALL_MACHINE")
            complete([study, small], 4, store, workers=2)
            assert store.numbers(study.key) == {0, 1, 2, 3} and len(store) == 8
    finally:
        from rnnkit.cells import CELLS

        CELLS.pop("hungry"), sys.modules.pop("hungry_cell")
    assert "is tried again: its worker ran out of memory" in capsys.readouterr().err


# --- two at once ----------------------------------------------------------------------------------


TWICE = """
import sys, time
from pathlib import Path
from rnnkit import reproduce as rep
from rnnkit.studies import complete  # everything heavy
folder = Path(sys.argv[1])
rep.notebooks_folder = lambda *_: folder / "books"
print("ready", flush=True)
while not (folder / "go").exists():
    time.sleep(0.01)
rep.reproduce("smoke", only="0_start_here", store=folder / "trials.sqlite", out=folder / "figures", trials=36, workers=1)
"""


@POSIX
def test_two_reproductions_on_one_store_share_the_work_and_both_end_well(tmp_path):
    small_books(tmp_path)
    both = [
        subprocess.Popen(
            [sys.executable, "-c", TWICE, str(tmp_path)],
            env=ENVIRONMENT,
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    said = [process.communicate(timeout=200) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert any("Another run (process " in errors for _, errors in said)
    assert not any("Traceback" in errors for _, errors in said)
    with TrialStore(":memory:") as alone, TrialStore(tmp_path / "trials.sqlite") as store:
        run("start", "smoke", alone, trials=36, workers=1, progress=False)
        assert rows(store) == rows(alone)
    left = {
        path.name
        for path in tmp_path.rglob("*")
        if "partial" in path.name or path.name.startswith(".") or path.suffix == ".half"
    }
    assert left == set() and (tmp_path / "figures" / "notebooks" / "0_start_here.ipynb").exists()
    assert not (tmp_path / "trials.sqlite-run").exists()


# --- a file of somebody else's where a run says that it is at work ---------------------------------


@POSIX
@pytest.mark.parametrize("how", ["link", "link to nowhere", "hard link", "file", "folder", "pipe"])
def test_what_stands_where_a_run_notes_itself_is_neither_written_nor_removed(tmp_path, how):
    mine = tmp_path / "thesis.txt"
    note = tmp_path / "trials.sqlite-run"
    mine.write_text("process of writing up")
    if how == "link":
        note.symlink_to(mine)
    elif how == "link to nowhere":
        note.symlink_to(tmp_path / "nowhere")
    elif how == "hard link":
        os.link(mine, note)
    elif how == "file":
        note.write_text("my notes on the run")
    else:
        note.mkdir() if how == "folder" else os.mkfifo(note)
    before = note.lstat()
    run("start", "smoke", tmp_path / "trials.sqlite", trials=1, workers=1, progress=False)
    assert mine.read_text() == "process of writing up" and not (tmp_path / "nowhere").exists()
    after = note.lstat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (
        before.st_ino,
        before.st_size,
        before.st_mtime_ns,
    )
    assert how != "file" or note.read_text() == "my notes on the run"


@POSIX
def test_what_a_killed_run_noted_of_itself_is_taken_over(tmp_path):
    note = tmp_path / "trials.sqlite-run"
    note.write_text("process 12345 on a-machine")
    run("start", "smoke", tmp_path / "trials.sqlite", trials=1, workers=1, progress=False)
    assert not note.exists()


# --- a terminal that is lost ----------------------------------------------------------------------


@LINUX
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_whose_terminal_is_closed_goes_to_its_end(tmp_path, undisturbed, workers):
    """A terminal of its own, with a shell in it, which is closed once some trials are there."""
    import pty

    path = tmp_path / "trials.sqlite"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent)))
    words = [sys.executable, str(script), str(path), str(workers)]
    done = tmp_path / "done"
    leader, terminal = pty.fork()
    if not leader:
        os.execve("/bin/sh", ["sh", "-c", f"{' '.join(words)}; echo $? > {done}"], ENVIRONMENT)
    os.set_blocking(terminal, False)
    end = time.monotonic() + 120
    while count(path) < 5:
        assert time.monotonic() < end
        with suppress(BlockingIOError):
            os.read(terminal, 10_000)
        time.sleep(0.05)
    os.close(terminal)
    while count(path) < 2 * N:
        assert time.monotonic() < end
        time.sleep(0.2)
    os.waitpid(leader, 0)
    with TrialStore(path) as store:
        assert rows(store) == undisturbed


# --- what the system refuses ----------------------------------------------------------------------


SCARCE = {
    "files": ("resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))", "2"),
    "short paths": ("os.environ['TMPDIR'] = sys.argv[1]", "2"),
    "memory": ("resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))", "1"),
}


@LINUX
@pytest.mark.parametrize("what", SCARCE)
def test_what_the_system_refuses_is_told_in_a_sentence(tmp_path, what):
    long = tmp_path / ("long" * 25)
    long.mkdir()
    code = """
        import os, resource, sys
        {how}
        from rnnkit.__main__ import main
        main("reproduce --scale smoke --only calibration --trials 2 --workers {workers}".split())
    """
    how, workers = SCARCE[what]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code).format(how=how, workers=workers), str(long)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd=tmp_path,
    )
    said = done.stderr.strip().splitlines()
    if what == "short paths" and sys.version_info >= (3, 14) and done.returncode == 0:
        assert "2 of 2 trials" in said[-1]  # this Python finds a shorter path by itself
        return
    assert done.returncode == 1 and said[-1].startswith("Error: "), done.stderr
    assert said[-1].endswith(".") and "Traceback" not in done.stderr and "[Errno" not in said[-1]


# --- a notebook that fails ------------------------------------------------------------------------


def test_a_notebook_that_raises_in_the_middle_keeps_its_trials_and_once_mended_trains_nothing_again(
    tmp_path, monkeypatch
):
    from rnnkit import reproduce as rep

    monkeypatch.setenv("PYTHONPATH", ROOT)
    store = tmp_path / "trials.sqlite"
    out = tmp_path / "out.ipynb"
    cells = [
        "path: str = ''",
        "import rnnkit.studies as s; s.run('start', 'smoke', path, progress=False)",
        "1 / 0",
        "'the end'",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    book.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(book, tmp_path / "nb.ipynb")
    with pytest.raises(
        rep.NotebookError,
        match="failed in cell 4: ZeroDivisionError.*The cells that ran are in .*out.partial.ipynb.",
    ):
        rep.run_notebook(tmp_path / "nb.ipynb", out, {"path": str(store)})
    with TrialStore(store) as opened:
        before = opened.frame()
    assert len(before) == 3 and not out.exists() and (tmp_path / "out.partial.ipynb").exists()
    book.cells[2].source = "1 / 1"
    nbformat.write(book, tmp_path / "nb.ipynb")
    rep.run_notebook(tmp_path / "nb.ipynb", out, {"path": str(store)})
    with TrialStore(store) as opened:
        assert opened.frame().equals(before)


@POSIX
def test_where_few_files_may_be_open_no_kernel_is_started_that_would_die(tmp_path, monkeypatch):
    """Its death is told as "Kernel died before replying"; with fewer, libzmq ends this process."""
    import resource

    import nbformat

    from rnnkit import notebooks

    monkeypatch.setattr(resource, "getrlimit", lambda _: (16, 16))
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "nb.ipynb")
    wanted = "at least 128 must be allowed, got 16 open files; raise the limit"
    with pytest.raises(notebooks.NotebookError, match=wanted):
        notebooks.run_notebook(tmp_path / "nb.ipynb", tmp_path / "out.ipynb")


@POSIX
def test_a_notebook_that_is_killed_leaves_nothing_but_how_far_it_came(tmp_path, monkeypatch):
    """kill -9 of whoever executes it; the next to complete it clears away."""
    from rnnkit import reproduce as rep

    monkeypatch.setenv("PYTHONPATH", ROOT)
    cells = ["going: int = 1", "1 + 1", "import time; time.sleep(60 * going)"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    book.cells[0].metadata["tags"] = ["parameters"]
    source = tmp_path / "nb.ipynb"
    out = tmp_path / "out" / "nb.ipynb"
    nbformat.write(book, source)
    code = f"from rnnkit.notebooks import run_notebook; run_notebook({str(source)!r}, {str(out)!r})"
    process = subprocess.Popen([sys.executable, "-c", code], env=ENVIRONMENT)

    partial = out.parent / "nb.partial.ipynb"

    def is_in_last_cell():  # as a whole file says: papermill rewrites it between two cells
        with suppress(FileNotFoundError, ValueError):
            last = nbformat.reader.reads(partial.read_text())["cells"][-1]
            return last["metadata"]["papermill"]["status"] == "running"

    wait_for(is_in_last_cell, process)
    process.kill()
    process.wait()
    assert list(out.parent.iterdir()) == [partial]
    assert nbformat.read(partial, 4).cells[-2].outputs[0].data == {"text/plain": "2"}
    rep.run_notebook(source, out, {"going": 0})
    assert list(out.parent.iterdir()) == [out]


@POSIX
def test_a_user_without_a_home_a_cache_and_a_compiler_gets_the_notebook(tmp_path):
    """Jupyter, IPython and the compiled step all keep something at home otherwise."""
    names = ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "PATH", "IPYTHONDIR")
    nowhere = dict.fromkeys(names, "/dev/null/nowhere") | {"JUPYTER_RUNTIME_DIR": "/dev/null/x"}
    kept = {"PYTHONPATH": ROOT, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    words = ["reproduce", "--scale", "smoke", "--only", "0_start_here"]
    places = ["--store", str(tmp_path / "trials.sqlite"), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "rnnkit", *words, *places],
        env=nowhere | kept,
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "notebooks" / "0_start_here.ipynb").is_file()
    assert "3 of 3 trials" in done.stderr


# --- the clock ------------------------------------------------------------------------------------


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
static double start;
static double back(void) {  /* from 2030 a minute back in each second */
    struct timespec t;
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    real(CLOCK_REALTIME, &t);
    double now = t.tv_sec + 1e-9 * t.tv_nsec;
    if (!start) start = now;
    return 1893456000.0 - 60 * (now - start);
}
int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    if (id != CLOCK_REALTIME) return real(id, t);
    double now = back(); t->tv_sec = now; t->tv_nsec = (now - t->tv_sec) * 1e9; return 0;
}
int gettimeofday(struct timeval *t, void *zone) {
    double now = back(); t->tv_sec = now; t->tv_usec = (now - t->tv_sec) * 1e6; return 0;
}
time_t time(time_t *t) { time_t now = back(); if (t) *t = now; return now; }
"""


@LINUX
def test_a_clock_that_runs_back_changes_no_trial(tmp_path, undisturbed):
    """libc's clock, replaced under a whole run with two workers."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("no C compiler")
    (tmp_path / "clock.c").write_text(CLOCK)
    subprocess.run(
        [
            compiler,
            "-shared",
            "-fPIC",
            "-O1",
            "-o",
            str(tmp_path / "clock.so"),
            str(tmp_path / "clock.c"),
            "-ldl",
        ],
        check=True,
    )
    path = tmp_path / "trials.sqlite"
    environment = {
        **ENVIRONMENT,
        "LD_PRELOAD": str(tmp_path / "clock.so"),
    }
    code = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_workers import N, some_studies
        from rnnkit.studies import complete
        from rnnkit.trials import TrialStore
        with TrialStore({str(path)!r}) as store:
            complete(some_studies(), N, store, workers=2)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    with TrialStore(path) as store:
        assert rows(store) == undisturbed
        first = store.frame().groupby("study").created.first()
        last = store.frame().groupby("study").created.last()
    assert (last < first).all() and first.str.startswith("20").all()  # the clock did run back
    took = done.stderr.strip().splitlines()[-1]
    assert "72 of 72 trials · took " in took and "-" not in took.split("took")[1]
