"""The layout of the code is the formatter's, its linter finds nothing, and the types agree. A line
assigns one thing.
"""

import ast
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


SOURCES = sorted(
    path for folder in ("rnnkit", "tests", "docs") for path in (ROOT / folder).rglob("*.py")
)


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


def crowded(source: str) -> list[str]:
    """The assignments of tuples to tuples that are several statements in one line.

    Two kinds of them are none. A swap is one where a value reads what stands further left, as in
    `a, b = b, a`. And names may be given to numbers, or to strings, side by side: `low, high = 0, 1`.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
            targets = [t.elts for t in node.targets if isinstance(t, (ast.Tuple, ast.List))]
            if targets and not swaps(targets[0], node.value.elts) and not alike(node.value.elts):
                found.append(ast.unparse(node))
    return found


def swaps(targets, values) -> bool:
    """Whether a value reads what is assigned to its left, so that one statement each would differ."""
    return any(
        ast.unparse(assigned) in map(ast.unparse, ast.walk(value))
        for right, value in enumerate(values)
        for target in targets[:right]
        for assigned in getattr(target, "elts", [target])
    )


def alike(values) -> bool:
    """Whether all values are numbers, or all are strings."""
    literals = [v.operand if isinstance(v, ast.UnaryOp) else v for v in values]
    kinds = {
        "text" if isinstance(v.value, str) else "number"
        for v in literals
        if isinstance(v, ast.Constant)
    }
    return len(kinds) == 1 and all(isinstance(v, ast.Constant) for v in literals)


@pytest.mark.parametrize(
    "source, is_crowded",
    [
        ("a, b = f(), []", True),
        ("self.a, self.b = a, b", True),
        ("a, (b, c) = f(), g()", True),
        ("a, b = 'one', 2", True),
        ("a, b = b, a", False),
        ("low, high = high, 2 * high", True),
        ("a, x[0] = x[0], x[1]", True),
        ("x[0], a = a, x[0] + 1", False),
        ("low, high = -1, 1", False),
        ("red, blue = '#ff0000', '#0000ff'", False),
        ("a, b = f()", False),
        ("a = 1, f()", False),
    ],
)
def test_several_statements_in_one_line_are_seen(source, is_crowded):
    assert bool(crowded(source)) == is_crowded


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_tuple_stands_for_several_statements(path):
    assert not crowded(path.read_text(encoding="utf-8")), "give each value a statement of its own"
