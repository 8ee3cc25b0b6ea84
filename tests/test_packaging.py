"""pyproject.toml, constraints.txt and environment.yml say the same, and the README's commands are
the ones that are run.
"""

import importlib.metadata
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
LINES = [
    line
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
PINS = {
    canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in LINES if "==" in line
}
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
CONDA = [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)]
PIP = next(entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))

MAKE = "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e "
MAIN_COMMAND = MAKE + ". && .venv/bin/rnnkit reproduce --scale quick"
TEST_COMMAND = MAKE + "'.[test]' && .venv/bin/python -m pytest"


@pytest.mark.parametrize("line", LINES)
def test_every_pin_is_one_exact_public_version(line):
    assert re.fullmatch(
        r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][0-9a-z.]*", line
    )  # no ranges, no files, no +cpu


def test_no_package_is_pinned_twice():
    assert len(PINS) == len(LINES)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_the_pin_of_a_requirement_lies_in_its_range(requirement):
    assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_a_requirement_is_a_range(requirement):
    assert {">="} <= {s.operator for s in requirement.specifier} <= {">=", "<"}


def test_torch_is_pinned_to_2_13_0():
    assert PINS["torch"] == "2.13.0"


def test_everything_that_is_installed_with_the_project_is_pinned():
    """Follows the installed packages' own requirements. torch pins its CUDA libraries itself, where
    there are any.
    """

    def needs(name):
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            return []  # an extra that is not installed here
        found = [Requirement(line) for line in lines]
        return [
            canonicalize_name(r.name)
            for r in found
            if r.marker is None or r.marker.evaluate({**default_environment(), "extra": ""})
        ]

    seen, queue = set(), [canonicalize_name(r.name) for r in REQUIREMENTS]
    while queue:
        name = queue.pop()
        if name not in seen:
            seen.add(name)
            queue += needs(name)
    theirs = ("nvidia-", "cuda-", "triton", "setuptools", "pip")
    assert sorted(name for name in seen - set(PINS) if not name.startswith(theirs)) == []


def test_condas_python_is_one_that_the_project_supports():
    python = next(entry for entry in CONDA if entry.startswith("python="))
    assert PROJECT["requires-python"] == ">=3.11"
    assert SpecifierSet(PROJECT["requires-python"]).contains(python.removeprefix("python=") + ".0")


def test_conda_brings_python_and_pip_alone():
    assert [re.split("[=<>]", entry)[0] for entry in CONDA] == ["python", "pip"]


def test_environment_reads_the_pins_and_installs_the_project_with_its_tests():
    assert PIP == ["-c constraints.txt", "-e .[test]"]


def test_environment_has_only_keys_that_conda_knows():
    assert set(ENVIRONMENT) == {"name", "channels", "dependencies"}
    assert ENVIRONMENT["name"] == PROJECT["name"] == "rnnkit"


def test_licence_is_the_one_that_the_project_names():
    assert PROJECT["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License\n")


def test_command_line_starts_where_the_project_says():
    module, function = PROJECT["scripts"]["rnnkit"].split(":")
    assert (module, function) == ("rnnkit.__main__", "main")
    done = subprocess.run(
        [sys.executable, "-m", "rnnkit", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and "reproduce" in done.stdout


def test_installed_version_is_the_one_in_the_source():
    try:
        installed = importlib.metadata.version("rnnkit")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("rnnkit is used from its folder, not installed")
    assert installed == rnnkit.__version__


def test_every_file_that_is_not_python_is_packaged_with_its_folder():
    """What `native` compiles travels with it."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "setuptools"
    ]["package-data"]
    packed = {
        path
        for package, globs in data.items()
        for glob in globs
        for path in (ROOT / package.replace(".", "/")).glob(glob)
    }
    others = {
        p
        for p in (ROOT / "rnnkit").rglob("*")
        if p.is_file() and p.suffix != ".py" and "__pycache__" not in p.parts
    }
    assert others <= packed


@pytest.mark.parametrize("command", [MAIN_COMMAND, TEST_COMMAND])
def test_readme_has_the_command(command):
    assert command in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()


def test_ci_runs_the_readmes_test_command():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines[-1] == TEST_COMMAND
    assert "set -euo pipefail" in lines
