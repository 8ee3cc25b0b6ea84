"""Imports point one way, functions are short, and drawing does not load torch; all of it is read
from the source.
"""

import ast
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rnnkit"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# part of the package -> the parts that it may import; "*" means all
MAY_IMPORT = {
    "paper": set(),
    "checks": set(),
    "ranges": set(),
    "optimizers": set(),
    "theory": set(),
    "wording": {"paper"},
    "places": set(),
    "notebooks": {"names", "places", "trials"},
    "draws": set(),
    "threads": set(),
    "names": set(),
    "markup": set(),
    "cells": {"names", "checks", "paper"},
    "trials": {"places", "markup"},
    "networks": {"draws", "cells", "checks", "native"},
    "tasks": {"names", "draws", "checks", "theory", "ranges"},
    "native": {"places", "cells", "tasks", "optimizers"},
    "training": {"names", "draws", "cells", "networks", "tasks", "native", "checks", "optimizers"},
    "hparams": {"names", "cells", "ranges", "tasks"},
    "flow": {"names", "draws", "cells", "networks", "hparams", "checks"},
    "architectures": {"markup", "cells", "networks", "hparams", "tasks"},
    "tuner": {"cells", "hparams", "threads", "checks"},
    "studies": {
        "places",
        "markup",
        "names",
        "draws",
        "cells",
        "networks",
        "native",
        "tasks",
        "hparams",
        "training",
        "tuner",
        "trials",
        "threads",
        "checks",
        "wording",
    },
    "reference": {"trials", "paper"},
    "exhibits": {
        "checks",
        "places",
        "markup",
        "names",
        "trials",
        "paper",
        "reference",
        "theory",
        "wording",
    },
    "analysis": {"exhibits"},
    "figures": {"exhibits"},
    "widgets": {
        "places",
        "markup",
        "names",
        "draws",
        "cells",
        "networks",
        "flow",
        "tasks",
        "hparams",
        "tuner",
        "training",
        "studies",
        "trials",
        "paper",
        "exhibits",
        "threads",
        "theory",
        "wording",
    },
    "reports": {
        "checks",
        "places",
        "markup",
        "names",
        "cells",
        "networks",
        "hparams",
        "architectures",
        "studies",
        "trials",
        "figures",
        "exhibits",
        "wording",
    },
    "practice": {
        "names",
        "cells",
        "tasks",
        "studies",
        "paper",
        "analysis",
        "exhibits",
        "reports",
        "wording",
    },
    "lessons": {"names", "paper", "networks", "flow", "practice", "theory"},
    "reproduce": {
        "places",
        "checks",
        "names",
        "notebooks",
        "studies",
        "trials",
        "paper",
        "analysis",
        "figures",
        "wording",
        "exhibits",
    },
    "bench": "*",
    "__main__": "*",
    "__init__": "*",
}
WITHOUT_TORCH = (
    "paper",
    "theory",
    "wording",
    "trials",
    "reference",
    "analysis",
    "figures",
    "exhibits",
)


def name_of(path: Path) -> str:
    """rnnkit/tasks/perceptron.py -> rnnkit.tasks.perceptron; a folder's __init__.py is the folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path): path for path in SOURCES}


def part_of(name: str) -> str:
    """rnnkit.tasks.perceptron -> tasks; the package itself is __init__."""
    return name.split(".")[1] if "." in name else "__init__"


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, in functions too, by full name. Of `from a import b`, b
    where b is a module of ours, else a.
    """
    modules = set()
    names = name_of(path).split(".")
    folder = names if path.name == "__init__.py" else names[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(folder[: len(folder) - node.level + 1] if node.level else [])
            base = ".".join(filter(None, (base, node.module)))
            modules |= {
                f"{base}.{alias.name}" if f"{base}.{alias.name}" in NAMES else base
                for alias in node.names
            }
    return frozenset(modules)


def ours(names) -> set[str]:
    return {name for name in names if name in NAMES}


def ids(path):
    return str(path.relative_to(ROOT))


def test_every_part_has_its_place_in_the_order_of_imports():
    assert {part_of(name) for name in NAMES} <= set(MAY_IMPORT)


def test_no_module_name_occurs_twice():
    """Nor is a module named after a folder; a folder's own __init__.py has the folder's name."""
    names = Counter(name.split(".")[-1] for name in NAMES)
    assert not [name for name, times in names.items() if times > 1]


def test_the_order_of_imports_has_no_circle():
    order = []
    remaining = {component: set(may) for component, may in MAY_IMPORT.items() if may != "*"}
    while remaining:
        free = [component for component, may in remaining.items() if may <= set(order)]
        assert free, f"a circle among {sorted(remaining)}"
        order += free
        remaining = {
            component: may for component, may in remaining.items() if component not in free
        }


def test_no_module_waits_for_itself():
    """Within a part as well, and by imports inside functions."""
    remaining = {name: ours(imports(path)) - {name} for name, path in NAMES.items()}
    while free := [name for name, needs in remaining.items() if not needs & set(remaining)]:
        for name in free:
            del remaining[name]
    assert not remaining, "circles, and what waits for them"


def test_a_circle_within_a_part_and_a_late_import_are_seen(tmp_path, monkeypatch):
    """Of the reading itself: one module imports another at its top, which imports it in a
    function.
    """
    (tmp_path / "rnnkit" / "part").mkdir(parents=True)
    texts = {
        "one": "from rnnkit.part import two",
        "two": "def late():\n    from .one import x",
    }
    for name, text in texts.items():
        (tmp_path / "rnnkit" / "part" / f"{name}.py").write_text(text)
    paths = {f"rnnkit.part.{name}": tmp_path / "rnnkit" / "part" / f"{name}.py" for name in texts}
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    monkeypatch.setitem(globals(), "NAMES", paths)
    with pytest.raises(AssertionError, match="circles"):
        test_no_module_waits_for_itself()


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_imports_point_one_way(path):
    component = part_of(name_of(path))
    may = MAY_IMPORT[component]
    if may != "*":
        # the package itself is imported for its version alone, which the next test holds
        assert {part_of(name) for name in ours(imports(path))} <= may | {component, "__init__"}


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_the_package_itself_gives_its_own_parts_a_version_and_nothing_else(path):
    if MAY_IMPORT[part_of(name_of(path))] == "*":
        return  # the command line and the bench may use the public names
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and (
            node.module == "rnnkit" or (node.level and not node.module and path.parent == PACKAGE)
        ):
            assert {a.name for a in node.names if f"rnnkit.{a.name}" not in NAMES} <= {
                "__version__"
            }
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "rnnkit"
        ):
            assert node.attr == "__version__" or f"rnnkit.{node.attr}" in NAMES


@pytest.mark.parametrize("component", WITHOUT_TORCH)
def test_what_is_drawn_reaches_no_torch_through_any_import(component):
    routes = {}
    queue = [(path, (name,)) for name, path in NAMES.items() if part_of(name) == component]
    assert queue, f"rnnkit.{component} is missing"
    while queue:
        path, route = queue.pop()
        if path in routes:
            continue
        routes[path] = route
        assert not {name for name in imports(path) if name.split(".")[0] == "torch"}, (
            f"torch by {' -> '.join(route)}"
        )
        queue += [(NAMES[name], (*route, name)) for name in ours(imports(path)) if name != "rnnkit"]


def test_what_is_drawn_leaves_torch_unloaded():
    """The same as seen by Python itself, which also runs the package's own __init__."""
    code = f"""
import importlib, sys
for component in {WITHOUT_TORCH}:
    importlib.import_module("rnnkit." + component)
    assert "torch" not in sys.modules, component
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, timeout=120, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_no_function_is_longer_than_a_screen(path):
    functions = [
        node
        for node in ast.walk(tree(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    long = {
        node.name: length
        for node in functions
        if (length := node.end_lineno - node.lineno + 1) > 60
    }
    assert not long, "give its stages names of their own"


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_no_module_is_called_utils(path):
    assert not {"utils", "util", "helpers", "common", "misc"} & set(
        path.relative_to(ROOT).with_suffix("").parts
    )


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_inheritance_is_at_most_one_level_deep(path):
    """A class of ours whose base is a class of ours has a base without one, within a file;
    cells.IRNN(RNN) is the one exception.
    """
    classes = {node.name: node for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef)}
    for node in classes.values():
        for base in (b.id for b in node.bases if isinstance(b, ast.Name) and b.id in classes):
            deeper = [
                b.id for b in classes[base].bases if isinstance(b, ast.Name) and b.id in classes
            ]
            assert not deeper or node.name == "IRNN", f"{node.name} <- {base} <- {deeper}"


@pytest.mark.parametrize("path", sorted((ROOT / "tests").glob("test_*.py")), ids=ids)
def test_every_test_asserts_something(path):
    """By an assert statement, pytest.raises or warns, an `assert_...` of numpy or torch, or a
    function of its own file that does.
    """
    functions = {
        node.name: node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef)
    }

    def asserts(node, callers=()):
        for child in ast.walk(node):
            if isinstance(child, ast.Assert):
                return True
            if isinstance(child, ast.Call):
                name = getattr(child.func, "attr", getattr(child.func, "id", ""))
                if name in ("raises", "warns", "fail") or name.startswith("assert"):
                    return True
                if (
                    name in functions
                    and name not in callers
                    and asserts(functions[name], (*callers, name))
                ):
                    return True
        return False

    tests = [name for name in functions if name.startswith("test_")]
    assert tests, "a file without a test"
    assert [name for name in tests if not asserts(functions[name])] == []
