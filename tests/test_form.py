"""The layout of the code is the formatter's, its linter finds nothing, and the types agree."""

import subprocess
import sys
import tempfile
import tomllib
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# of this checkout and outside of it, so that a second run is quick
CACHE = Path(tempfile.gettempdir(), f"rnnkit-mypy-{zlib.crc32(bytes(ROOT)):08x}")


def run(*command):
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True
    )


@pytest.mark.parametrize("command", [("format", "--check"), ("check",)], ids=["format", "lint"])
def test_ruff_finds_nothing_to_change(command):
    ended = run("ruff", *command, "rnnkit", "tests")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_types_of_the_package_agree():
    ended = run("mypy", "--cache-dir", CACHE)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_no_module_is_left_out_of_the_check_of_types():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert settings["packages"] == ["rnnkit"] and "exclude" not in settings
    assert not any("ignore_errors" in override for override in settings["overrides"])
