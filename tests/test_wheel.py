"""The wheel is complete: what a user does without a checkout works with the wheel's files alone."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from functools import cache
from pathlib import Path

import pytest

import rnnkit
from rnnkit.reproduce import NOTEBOOKS
from rnnkit.trials import TrialStore

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "figures" / "trials.parquet"


MADE = {
    ".cache",
    ".venv",
    ".git",
    ".pytest_cache",
    ".ruff_cache",
    ".mypy_cache",
    ".hypothesis",
    "__pycache__",
    "build",
    "results",
}


@cache
def files_of_the_checkout() -> tuple[str, ...]:
    """Every file that belongs to the source: as git lists them, or all that nothing has made."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        capture_output=True,
        text=True,
    )
    if listed.returncode == 0:
        names = listed.stdout.split("\0")
    else:
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*")]
        names = [name for name in names if not MADE & set(Path(name).parts)]
        names = [name for name in names if ".egg-info" not in name and ".sqlite" not in name]
        names = [name for name in names if not name.startswith("trials.weights")]  # of a run here
    return tuple(name for name in names if name and (ROOT / name).is_file())


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the source, so that nothing is built into the checkout."""
    folder = tmp_path_factory.mktemp("source")
    for name in files_of_the_checkout():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def build(source, kind, out) -> Path:
    """Builds a `wheel` or an `sdist` with the setuptools that are here. Returns its path."""
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}({str(out)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return next(path for path in out.iterdir() if path.suffix in (".whl", ".gz"))


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    return build(source, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """The wheel, unpacked as pip would."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder)
    return folder


@pytest.fixture
def python(site, tmp_path):
    """Runs Python with the wheel's rnnkit, in a folder that is no checkout and has a `notebooks` of
    its own.
    """
    (tmp_path / "notebooks").mkdir()
    for name in NOTEBOOKS:
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text("not the kit's")
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "OMP_NUM_THREADS": "1",
    }

    def run(*words):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert Path(run("-c", "import rnnkit; print(rnnkit.__file__)").strip()).is_relative_to(site)
    return run


def test_the_wheel_has_the_notebooks_the_trials_and_the_best_networks(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    for folder, pattern in (("notebooks", "*.ipynb"), ("figures/trials.weights", "*")):
        for path in (ROOT / folder).glob(pattern):
            assert f"rnnkit/packed/{path.relative_to(ROOT)}" in packed
    assert "rnnkit/packed/figures/trials.parquet" in packed
    assert wheel.stat().st_size < 25e6


def test_the_licences_of_the_code_of_the_text_and_of_the_trials_are_in_the_wheel(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    info = next(name for name in packed if name.endswith("/METADATA")).removesuffix("/METADATA")
    assert f"{info}/licenses/LICENSE" in packed
    assert "rnnkit/packed/figures/LICENSE.md" in packed
    assert "rnnkit/tasks/corpus/README.md" in packed


def test_the_wheel_says_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as packed:
        name = next(name for name in packed.namelist() if name.endswith("/METADATA"))
        told = message_from_string(packed.read(name).decode())
    assert told["Version"] == rnnkit.__version__ and told["Requires-Python"] == ">=3.11"
    assert {"Programming Language :: Python :: 3.11", "Framework :: Jupyter"} <= set(
        told.get_all("Classifier")
    )
    assert {"compiler", "test", "bench", "cluster"} <= set(told.get_all("Provides-Extra"))


def test_the_source_distribution_has_every_file_of_the_checkout(source, tmp_path):
    with tarfile.open(build(source, "sdist", tmp_path)) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert set(files_of_the_checkout()) <= names


def test_a_wheel_made_of_the_source_has_no_file_that_the_checkout_lacks(wheel):
    ours = {name for name in files_of_the_checkout() if name.startswith("rnnkit/")}
    shipped = {f"rnnkit/packed/{name}" for name in files_of_the_checkout()}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert ours <= packed <= ours | shipped


def test_the_trials_that_ship_are_imported_away_from_the_checkout(python):
    with TrialStore(SHIPPED, create=False) as store:
        count = len(store)
    assert f"{count:,} new trials" in python("-m", "rnnkit", "trials", "import")


def test_every_widget_opens_away_from_the_checkout(python):
    code = """
import json, rnnkit as rk
print(json.dumps({name: len(rk.widget(name).figure().alt) for name in rk.widgets.WIDGETS}))
"""
    sentences = json.loads(python("-c", code).splitlines()[-1])
    assert set(sentences) == set(rnnkit.widgets.WIDGETS) and all(sentences.values())


def test_a_notebook_is_reproduced_by_the_wheel_and_never_taken_from_the_working_directory(
    python, tmp_path
):
    words = "reproduce --scale smoke --only B_tasks --workers 1".split()
    assert "executing" in python("-m", "rnnkit", *words)
    book = json.loads((tmp_path / "results" / "notebooks" / "B_tasks.ipynb").read_text())
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert len(code) > 3 and all(cell["execution_count"] for cell in code)
    assert (tmp_path / "notebooks" / "B_tasks.ipynb").read_text() == "not the kit's"


def test_the_notebooks_can_be_taken_out_with_the_trials_beside_them(python, tmp_path):
    assert "jupyter lab" in python("-m", "rnnkit", "notebooks", "course")
    for name in NOTEBOOKS:
        copied = tmp_path / "course" / "notebooks" / f"{name}.ipynb"
        assert copied.read_bytes() == (ROOT / "notebooks" / f"{name}.ipynb").read_bytes()
    with TrialStore(tmp_path / "course" / "figures" / "trials.parquet", create=False) as store:
        assert len(store)
    python("-m", "rnnkit", "notebooks", "course")  # what is there is as it would be copied
