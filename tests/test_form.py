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
def test_ruff_has_nothing_to_say(command):
    ended = run("ruff", *command, "rnnkit", "tests")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_types_of_the_package_agree():
    ended = run("mypy", "--cache-dir", CACHE)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_module_whose_types_are_not_checked_is_there():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    overrides = settings["tool"]["mypy"]["overrides"]
    excused = [name for row in overrides if row.get("ignore_errors") for name in row["module"]]
    for name in excused:
        path = ROOT.joinpath(*name.split("."))
        assert path.with_suffix(".py").exists() or (path / "__init__.py").exists(), name
