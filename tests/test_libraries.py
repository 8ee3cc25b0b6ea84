"""Compiled steps that are not available or must not be trusted: each attack for real. Training goes
on with the plain step and says why, or what is kept is compiled again.
"""

import math
import os
import shutil
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from rnnkit import native
from rnnkit.native import batches, cuda, libraries
from rnnkit.studies import Study
from rnnkit.training import engine, train

ROOT = Path(__file__).parents[1]
COMPILER = shutil.which("g++") or shutil.which("clang++")
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler"),
    pytest.mark.skipif(sys.platform != "linux", reason="as Linux loads libraries"),
]
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root may do this")
STUDY = Study("per_cap", "rnn", 1, 60, n_in=4, unroll=2, train_steps=(3, 5))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache folder of the test's own, nothing remembered of libraries, and a quick compiler."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", script(tmp_path / "quick", QUICK))
    forget()
    yield tmp_path / "cache" / "rnnkit"
    forget()


QUICK = f'exec {COMPILER} "$@" -O0'


def forget():
    native.library.cache_clear()
    batches.library.cache_clear()
    engine._past_warnings.clear()


def trained():
    """What training says, after it was seen to train."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        (outcome,) = train(STUDY, [STUDY.space.usual_point() | {"train_steps": 3}], [0])
    assert outcome.steps == 3 and math.isfinite(outcome.train_loss)
    return " ".join(str(warning.message) for warning in told)


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="latin-1")
    path.chmod(0o755)
    return str(path)


OUTPUT = 'while [ "$1" != -o ]; do shift; done; out="$2"'
COMPILERS = {
    "writes nothing": ("exit 0", "wrote nothing"),
    "writes an empty file": (f"{OUTPUT}; : > $out", "cannot be loaded"),
    "writes garbage": (f"{OUTPUT}; echo garbage > $out", "cannot be loaded"),
    "writes a folder": (f"{OUTPUT}; mkdir $out", "wrote nothing"),
    "is cut short": (
        f'{COMPILER} "$@" -O0 || exit; {OUTPUT}; truncate -s 20000 $out',
        "the compiler wrote a truncated file",
    ),
    "makes another library": (
        f"{OUTPUT}; echo 'int one = 1;' | {COMPILER} -shared -fPIC -x c++ - -o $out",
        "left out the function net_new",
    ),
    "fails in another encoding": ("printf '\\351chec\\n' >&2; exit 1", "failed: \N{REPLACEMENT CHARACTER}chec"),
    "fails in silence": ("exit 3", "failed: no message"),
    "is killed": ("kill -9 $$", "failed: no message"),
    "says a lot in another encoding and works": (
        f"printf '\\377\\376 r\\351sum\\351' >&2; {QUICK}",
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", COMPILERS)
def test_whatever_a_compiler_does_training_goes_on(case, tmp_path, monkeypatch):
    text, said = COMPILERS[case]
    monkeypatch.setenv("CXX", script(tmp_path / "cxx", text))
    told = trained()
    assert ("plain torch step" in told and said in told) if said else told == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (" ", "no C++ compiler was found"),
        ("g++ '", "$CXX must be a command"),
        ("/nowhere/g++", "could not be run"),
        ("/", "could not be run"),
        ("cat", "the compiler cat failed"),
        ("g++ --no-such-option", "the compiler g++ failed"),
        ("\udcff", "could not be run"),
    ],
)
def test_whatever_cxx_says_training_goes_on(value, said, monkeypatch):
    monkeypatch.setenv("CXX", value)
    told = trained()
    assert told == "" or "plain torch step" in told and said in told
    assert told or value == " "  # which another compiler of the machine may stand in for


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_gcc_in_the_place_of_gpp_trains_one_way_or_the_other(monkeypatch):
    """It links no C++ library; whether the functions are found elsewhere is the machine's."""
    monkeypatch.setenv("CXX", "gcc")
    told = trained()
    assert told == "" or "cannot be loaded" in told


def kept(folder, name="rnn"):
    (path,) = folder.glob(f"{name}-*.so")
    return path


def another(content):
    """Puts another file in its place: this process has the first one loaded, down to its exit."""

    def damage(path):
        text = path.read_bytes()
        path.unlink()
        path.write_bytes(content(text))
        path.chmod(0o700)

    return damage


DAMAGES = {
    "empty": another(lambda text: b""),
    "garbage": another(lambda text: b"garbage" * 1000),
    "cut short": another(lambda text: text[: len(text) // 3]),
    "a page short": another(lambda text: text[:-4096]),
    "one bit": another(lambda text: text[:9000] + bytes([text[9000] ^ 1]) + text[9001:]),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a dangling link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
}
CODE = """
import warnings; warnings.simplefilter("error")
import sys; sys.path.insert(0, {tests!r})
from test_libraries import STUDY
from rnnkit.training import train
(outcome,) = train(STUDY, [STUDY.space.usual_point() | {{"train_steps": 3}}], [0])
print(outcome.steps)
"""


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_kept_library_that_is_damaged_is_compiled_again(damage, own_cache):
    """In a process of its own, which a library that is cut short would kill."""
    assert trained() == ""
    forget()
    path = kept(own_cache)
    DAMAGES[damage](path)
    code = CODE.format(tests=str(ROOT / "tests"))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert (done.returncode, done.stdout.strip()) == (0, "3"), done.stderr
    if damage != "a folder":  # whose place the process leaves alone
        assert libraries.digest(path.read_bytes()) in path.name


PLANTED = """
#include <cstdio>
__attribute__((constructor)) static void run() { std::fclose(std::fopen(MARK, "w")); }
"""


@pytest.fixture
def planted(tmp_path, own_cache):
    """A library of somebody else's in the place of the kept one, and what shows that it ran."""
    assert trained() == ""
    forget()
    path = kept(own_cache)
    source = tmp_path / "planted.cpp"
    mark = tmp_path / "mark"
    source.write_text(PLANTED)
    made = tmp_path / "planted.so"
    subprocess.run(
        [COMPILER, "-shared", "-fPIC", f'-DMARK="{mark}"', str(source), "-o", str(made)], check=True
    )
    path.unlink()
    stem = path.stem.rsplit("-", 1)[0]
    target = own_cache / f"{stem}-{libraries.digest(made.read_bytes())}.so"
    shutil.copy(made, target)
    target.chmod(0o755)
    return target, mark


def test_the_planted_library_would_run(planted):
    """Else the tests below would show nothing."""
    trained()
    assert planted[1].exists()


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o666])
def test_a_library_that_others_may_write_is_not_loaded(planted, mode):
    target, mark = planted
    target.chmod(mode)
    assert trained() == "" and not mark.exists()


@needs_root
def test_a_library_of_another_user_is_not_loaded(planted):
    target, mark = planted
    os.chown(target, 12345, 12345)
    assert trained() == "" and not mark.exists()


@needs_root
def test_a_folder_of_another_user_is_not_used(planted):
    target, mark = planted
    os.chown(target, 12345, 12345)
    os.chown(target.parent, 12345, 12345)
    target.parent.chmod(0o777)
    before = sorted(target.parent.iterdir())
    # root may take the folder over; anybody else compiles in a folder of the process's own
    assert trained() == "" and not mark.exists()
    assert target.parent.stat().st_uid == 12345 and sorted(target.parent.iterdir()) == before


def test_a_link_is_not_followed(planted, tmp_path):
    target, mark = planted
    moved = tmp_path / target.name
    shutil.move(target, moved)
    target.symlink_to(moved)
    assert trained() == "" and not mark.exists()


def test_a_folder_of_ours_that_others_may_write_in_is_closed_to_them(own_cache):
    own_cache.mkdir(parents=True)
    own_cache.chmod(0o777)
    assert trained() == "" and kept(own_cache)
    assert not own_cache.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)


@needs_root
def test_from_a_folder_where_nothing_may_be_executed_it_is_loaded_elsewhere(own_cache):
    own_cache.mkdir(parents=True)
    options = ["-t", "tmpfs", "-o", "size=8m,noexec", "tmpfs", str(own_cache)]
    if subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("no folder can be mounted here")
    try:
        assert trained() == "" and kept(own_cache)
    finally:
        subprocess.run(["umount", "-l", str(own_cache)], check=True)


def test_where_nothing_can_be_loaded_from_any_folder_it_is_said(monkeypatch):
    def refuse(path):
        raise OSError(f"{path}: failed to map segment from shared object")

    monkeypatch.setattr(native.ctypes, "CDLL", refuse)
    assert "cannot be loaded" in (told := trained()) and "failed to map segment" in told


def test_where_nothing_can_be_written_it_is_said(monkeypatch):
    monkeypatch.setattr(libraries, "folders", lambda make=True: iter(()))
    assert "there is no folder where it could be kept" in trained()


@needs_root
def test_on_a_full_disk_it_is_loaded_elsewhere(own_cache):
    own_cache.mkdir(parents=True)
    options = ["-t", "tmpfs", "-o", "size=8k", "tmpfs", str(own_cache)]
    if subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("no folder can be mounted here")
    try:
        assert trained() == "" and not list(own_cache.glob("*.so"))
    finally:
        subprocess.run(["umount", "-l", str(own_cache)], check=True)


@pytest.mark.parametrize("root", ["/dev/null", "/proc/1/nowhere", "\0"])
def test_a_cache_folder_that_cannot_be_made_is_not_needed(root, monkeypatch):
    monkeypatch.setattr(libraries.os, "environ", {**os.environ, "XDG_CACHE_HOME": root})
    assert libraries._cache_folder() is None
    assert trained() == ""


def test_a_process_that_is_killed_leaves_nothing_where_the_cache_folder_can_be_used(tmp_path):
    """Workers end without cleaning up, too: each would leave a folder of its own for good."""
    places = {name: str(tmp_path / name) for name in ("TMPDIR", "XDG_CACHE_HOME")}
    for place in places.values():
        os.mkdir(place)
    code = "from test_libraries import trained; import os; print(trained(), flush=True); os.kill(os.getpid(), 9)"
    environment = {**os.environ, **places, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    for _ in "compiled", "found":
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
        assert (done.returncode, done.stdout) == (-9, b"\n"), done.stderr
        assert os.listdir(places["TMPDIR"]) == []
    assert list(Path(places["XDG_CACHE_HOME"], "rnnkit").glob("*.so"))


def test_any_name_of_an_architecture_is_the_name_of_a_file(own_cache):
    made = libraries.load_or_build("../[a]*/b", ["text"], ".so", lambda: b"12", lambda path: path)
    assert made.parent == own_cache and made.read_bytes() == b"12"
    again = libraries.load_or_build("../[a]*/b", ["text"], ".so", None, lambda path: path)
    assert again == made


def test_a_kernel_that_is_damaged_is_compiled_again(own_cache, monkeypatch):
    made = []

    def compile(kernel, arch):
        made.append(arch)
        return cuda.Compiled(b"machine code", "")

    version = type("NVRTC", (), {"nvrtcVersion": lambda self, major, minor: 0})()
    monkeypatch.setattr(cuda, "_nvrtc", lambda: version)
    monkeypatch.setattr(cuda, "compile", compile)
    kernel = cuda.kernel_for(STUDY)
    for _ in range(2):
        assert cuda.cubin(kernel, "sm_90") == b"machine code" and made == ["sm_90"]
    (path,) = own_cache.glob("*.cubin")
    path.write_bytes(b"machine")
    assert cuda.cubin(kernel, "sm_90") == b"machine code" and len(made) == 2
