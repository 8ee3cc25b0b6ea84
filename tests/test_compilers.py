"""Where no C++ compiler is on the path, that of the extra `compiler` is used, and a message says
so.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import warnings

import pytest

from rnnkit import native
from rnnkit.native import compilers

GXX = shutil.which("g++") or shutil.which("clang++")
SOURCE = 'extern "C" int twice(int x) { return 2 * x; }'


@pytest.fixture(autouse=True)
def machine_without_a_compiler(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    compilers._announce_zig.cache_clear()


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "twice.cpp"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def ziglang(tmp_path, monkeypatch):
    """A package of that name which hands its words to the compiler that this machine does have."""
    if GXX is None:
        pytest.skip("no C++ compiler to stand in for Zig's")
    folder = tmp_path / "site" / "ziglang"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "__main__.py").write_text(
        "import subprocess, sys\n"
        "assert sys.argv[1] == 'c++'\n"
        f"sys.exit(subprocess.run([{GXX!r}, *sys.argv[2:]], env={dict(os.environ)!r} | "
        f"{{'PATH': {os.path.dirname(GXX)!r}}}).returncode)\n"
    )
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.setenv("PYTHONPATH", str(folder.parent))


def test_zigs_compiler_is_taken_where_there_is_no_other_and_says_so_once(ziglang, source):
    assert native.compiler() == [sys.executable, "-m", "ziglang", "c++"]
    with pytest.warns(UserWarning, match="ziglang compiles the training step.*is kept") as told:
        library = native.build("twice", "float", [source])
        native.build("twice", "double", [source])
    assert len(told) == 1
    assert isinstance(library, ctypes.CDLL) and library.twice(21) == 42


def test_a_library_that_is_kept_is_loaded_silently(ziglang, source):
    with pytest.warns(UserWarning):
        native.build("twice", "float", [source])
    compilers._announce_zig.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        native.build("twice", "float", [source])


def test_the_machines_own_compiler_and_cxx_come_first(ziglang, tmp_path, monkeypatch):
    own = tmp_path / "nothing" / "clang++"
    own.parent.mkdir()
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    assert native.compiler() == [str(own)]
    monkeypatch.setenv("CXX", "ccache g++-13")
    assert native.compiler() == ["ccache", "g++-13"]


def test_without_any_compiler_it_is_said_what_brings_one(source, monkeypatch):
    monkeypatch.setattr(compilers, "ZIG", "no_such_package")
    with pytest.raises(native.Unavailable, match=r"pip install 'rnnkit\[compiler\]'"):
        native.build("twice", "float", [source])


def test_zig_itself_compiles_the_training_step(tmp_path):
    """For real, where the extra is installed. It takes a minute."""
    pytest.importorskip("ziglang")
    code = (
        "import rnnkit as rk; study = rk.Study('per_cap', 'gru', 1, 420, train_steps=(5, 5));"
        "import numpy as np; x = study.space.sample(np.random.default_rng(0));"
        "print([o.steps for o in rk.train(study, [x], [0], engine='compiled')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == 0 and done.stdout.strip() == "[5]", done.stderr
    assert "ziglang compiles the training step" in done.stderr
