"""pyproject.toml, constraints.txt and environment.yml agree, and CI runs the README's commands."""

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import rnnkit

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [
    Requirement(line)
    for line in [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]
]
PINS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
PYTHONS = ("3.11.2", "3.12.0", "3.13.0", "3.14.0")  # 3.11.2 is Debian 12's
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
CONDA = [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)]
PIP = next(entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))

MAKE = "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e "
MAIN_COMMAND = MAKE + ". && .venv/bin/rnnkit reproduce --scale quick"
TEST_COMMAND = MAKE + "'.[test]' && .venv/bin/python -m pytest"


def versions_of(name) -> set[str]:
    """The versions to which a package is pinned: one for all Pythons, or several."""
    return {
        next(iter(pin.specifier)).version
        for pin in PINS
        if canonicalize_name(pin.name) == canonicalize_name(name)
    }


def pins_of(python) -> dict[str, str]:
    """Name -> version of the pins for one Python on Linux. AssertionError if a package has two."""
    linux = {"sys_platform": "linux", "platform_machine": "x86_64", "os_name": "posix"}
    markers = {**linux, "python_full_version": python, "python_version": python.rpartition(".")[0]}
    pins = {}
    for pin in PINS:
        if pin.marker is None or pin.marker.evaluate({**default_environment(), **markers}):
            assert canonicalize_name(pin.name) not in pins
            pins[canonicalize_name(pin.name)] = next(iter(pin.specifier)).version
    return pins


@pytest.mark.parametrize("pin", PINS, ids=str)
def test_every_pin_is_one_exact_public_version(pin):
    assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(pin.specifier))  # no ranges, no +cpu
    assert not pin.extras and not pin.url


@pytest.mark.parametrize("python", PYTHONS)
def test_each_python_has_one_pin_per_package_and_torch_2_13_0(python):
    pins = pins_of(python)
    assert pins["torch"] == "2.13.0"
    assert {canonicalize_name(requirement.name) for requirement in REQUIREMENTS} <= set(pins)


@pytest.mark.parametrize("python", PYTHONS)
def test_no_pin_needs_a_newer_python(python):
    """As far as the packages installed here say; no registry is asked."""
    pins = pins_of(python)
    comparisons = 0
    for package in importlib.metadata.distributions():
        needs = package.metadata.get("Requires-Python")
        if needs and pins.get(canonicalize_name(package.name)) == package.version:
            comparisons += 1
            assert SpecifierSet(needs).contains(python), f"{package.name} needs Python {needs}"
    assert comparisons > 20


@pytest.mark.network
def test_the_pins_resolve_for_every_python_that_the_project_supports():
    pytest.importorskip("uv")
    process = subprocess.run(
        [sys.executable, ROOT / ".ci" / "pins", "--check"],
        capture_output=True,
        text=True,
        timeout=900,
    )
    if process.returncode == 3:
        pytest.skip(process.stderr)
    assert process.returncode == 0, process.stderr
    assert all(f"{python.removesuffix('.0')} on " in process.stdout for python in PYTHONS)


def test_a_silent_registry_is_not_taken_for_pins_that_do_not_resolve(tmp_path):
    pytest.importorskip("uv")
    nowhere = {
        "UV_DEFAULT_INDEX": "https://127.0.0.1:9/simple",
        "UV_CACHE_DIR": str(tmp_path),
        "UV_HTTP_RETRIES": "0",
    }
    process = subprocess.run(
        [sys.executable, ROOT / ".ci" / "pins", "--check"],
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 3
    assert process.stderr.startswith("constraints.txt could not be resolved: no answer from")
    assert process.stderr.count("\n") == 1


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_pins_satisfy_the_requirements(requirement):
    versions = versions_of(requirement.name)
    assert versions and all(requirement.specifier.contains(version) for version in versions)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_requirements_have_a_lower_bound_and_no_upper_bound(requirement):
    assert [s.operator for s in requirement.specifier] == [">="]


def test_everything_that_is_installed_with_the_project_is_pinned():
    """Follows the installed packages' own requirements."""

    def needs(name):
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            return []  # an extra that is not installed here
        requirements = [Requirement(line) for line in lines]
        return [
            canonicalize_name(r.name)
            for r in requirements
            if r.marker is None or r.marker.evaluate({**default_environment(), "extra": ""})
        ]

    names = set()
    queue = [canonicalize_name(r.name) for r in REQUIREMENTS]
    while queue:
        name = queue.pop()
        if name not in names:
            names.add(name)
            queue += needs(name)
    assert names <= {canonicalize_name(pin.name) for pin in PINS}


def test_conda_installs_a_supported_python():
    python = next(entry for entry in CONDA if entry.startswith("python="))
    assert PROJECT["requires-python"] == ">=3.11"
    assert SpecifierSet(PROJECT["requires-python"]).contains(python.removeprefix("python=") + ".0")


def test_conda_installs_only_python_and_pip():
    assert [re.split("[=<>]", entry)[0] for entry in CONDA] == ["python", "pip"]


def test_the_conda_environment_uses_the_pins_without_cuda_and_without_test_tools():
    cpu = "--extra-index-url https://download.pytorch.org/whl/cpu"
    assert PIP == ["-c constraints.txt", cpu, "-e ."]


def test_the_conda_environment_has_only_keys_that_conda_knows():
    assert set(ENVIRONMENT) == {"name", "channels", "dependencies"}
    assert ENVIRONMENT["name"] == PROJECT["name"] == "rnnkit"


def names_imported() -> set[str]:
    """The names of the packages that rnnkit imports, also inside functions."""
    lines = (
        line
        for path in (ROOT / "rnnkit").rglob("*.py")
        for line in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )
    names = set()
    for line in lines:
        if isinstance(line, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in line.names}
        elif isinstance(line, ast.ImportFrom) and not line.level:
            names.add(line.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"rnnkit"}


def test_everything_that_is_imported_is_declared():
    brought_by = importlib.metadata.packages_distributions()
    declarations = {canonicalize_name(requirement.name) for requirement in REQUIREMENTS}
    for name in names_imported():
        brings = {canonicalize_name(package) for package in brought_by.get(name, [name])}
        assert brings & declarations, f"{name} is imported and not declared"


def test_the_licence_file_is_the_licence_that_the_project_names():
    assert PROJECT["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License\n")


def test_the_entry_point_of_the_command_line_works():
    module, function = PROJECT["scripts"]["rnnkit"].split(":")
    assert (module, function) == ("rnnkit.__main__", "main")
    process = subprocess.run(
        [sys.executable, "-m", "rnnkit", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == 0 and "reproduce" in process.stdout


def test_installed_version_is_the_one_in_the_source():
    try:
        version = importlib.metadata.version("rnnkit")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("rnnkit is used from its folder, not installed")
    assert version == rnnkit.__version__


def test_files_other_than_python_are_package_data():
    """Such as the sources that `native` compiles."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "setuptools"
    ]["package-data"]
    package_data = {
        path
        for package, globs in data.items()
        for glob in globs
        for path in (ROOT / package.replace(".", "/")).glob(glob)
    }
    files = {
        p
        for p in (ROOT / "rnnkit").rglob("*")
        if p.is_file() and p.suffix != ".py" and "__pycache__" not in p.parts
    }
    assert files <= package_data


@pytest.mark.parametrize("command", [MAIN_COMMAND, TEST_COMMAND])
def test_readme_has_the_command(command):
    assert command in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()


def test_ci_runs_the_readmes_test_command():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines[-1] == TEST_COMMAND
    assert "set -euo pipefail" in lines


def test_the_version_is_the_same_wherever_it_is_written():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert citation["version"] == rnnkit.__version__
    assert re.search(r"^## ([0-9.]+)", changes, re.MULTILINE)[1] == rnnkit.__version__


def test_the_citation_names_the_paper_and_its_authors():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    paper = citation["preferred-citation"]
    assert citation["cff-version"] == "1.2.0" and citation["license"] == PROJECT["license"]
    assert paper["url"] == PROJECT["urls"]["Paper"]
    assert [author["family-names"] for author in paper["authors"]] == [
        "Collins",
        "Sohl-Dickstein",
        "Sussillo",
    ]


def test_every_file_and_name_in_the_recipes_exists():
    """Files are named with their folder; a name in capitals is in a file of the same recipe."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    recipes = re.findall(r"^\d\. .*?(?=^\S)", text, re.MULTILINE | re.DOTALL)
    assert len(recipes) == 6
    for name in re.findall(r"`([\w.]+/[\w./]*)`", text):
        assert (ROOT / name).exists(), name
    for recipe in recipes:
        files = [ROOT / name for name in re.findall(r"`(rnnkit/[\w/]+\.py)`", recipe)]
        sources = "".join(path.read_text(encoding="utf-8") for path in files)
        for name in re.findall(r"`([A-Z][A-Z_]+|[a-z]+_for)`", recipe):
            assert re.search(rf"\b{name}\b", sources), name


def test_the_workflow_runs_what_ci_runs():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    jobs = workflow["jobs"]
    assert jobs["test"]["steps"][-1]["run"] == ".ci/run"
    assert jobs["pins"]["steps"][-1]["run"].endswith(".ci/pins --check")
    pythons = jobs["test"]["strategy"]["matrix"]["python"]
    assert [f"{python}.0" if python != "3.11" else "3.11.2" for python in pythons] == [
        PYTHONS[0],
        PYTHONS[-1],
    ]


def test_the_devcontainer_makes_the_environment_of_the_tests():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    assert container["postCreateCommand"] == TEST_COMMAND.partition(" && .venv/bin/python")[0]
