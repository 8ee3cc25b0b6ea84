"""Notebooks executed by papermill itself, from any folder, without the kit's own runner."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from rnnkit import notebooks, places
from rnnkit.trials import StoreError, TrialStore
from rnnkit.trials.paths import NOTEBOOK_PATH, store_path

ROOT = Path(__file__).parent.parent


def papermill(notebook, out, *words):
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", "-k", "python3"]
    return subprocess.run(
        [*command, str(notebook), str(out), *words], cwd=ROOT, capture_output=True, text=True
    )


@pytest.fixture
def notebook(tmp_path):
    """Three cells, as those that every notebook begins with."""
    cells = [
        nbformat.v4.new_code_cell("import rnnkit as rk"),
        nbformat.v4.new_code_cell('scale: str = "quick"\nseed: int = 0'),
        nbformat.v4.new_code_cell("print(scale, seed)"),
    ]
    cells[1].metadata.tags = ["parameters"]
    path = tmp_path / "short.ipynb"
    book = nbformat.v4.new_notebook(cells=cells)
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, path)
    return path


def test_papermill_sets_parameters(notebook, tmp_path):
    done = papermill(notebook, tmp_path / "out.ipynb", "-p", "scale", "smoke", "-p", "seed", "3")
    assert done.returncode == 0, done.stderr
    assert nbformat.read(tmp_path / "out.ipynb", 4).cells[-1].outputs[0].text == "smoke 3\n"


def test_papermill_is_told_of_a_parameter_that_the_notebook_does_not_have(notebook, tmp_path):
    done = papermill(notebook, tmp_path / "out.ipynb", "-p", "scael", "smoke")
    assert done.returncode != 0
    assert "no parameter scael; it has scale, seed. The nearest is 'scale'." in done.stderr


@pytest.mark.parametrize(
    "before", ["x = 1", "scale: str = 'quick'\nprint(scale)", "", "not python at all"]
)
def test_what_only_looks_like_papermills_cell_is_left_alone(before, monkeypatch):
    class Shell:
        user_ns = {"In": [before]}

    monkeypatch.setattr("IPython.get_ipython", Shell)
    lines = ["# Parameters\n", "y = 2\n"]
    assert notebooks.refuse_unknown(lines) == lines


def test_the_trials_that_ship_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert store_path("../figures/trials.parquet") == places.TRIALS
    with TrialStore("../figures/trials.parquet", create=False) as store:
        assert len(store) > 1_000


def test_a_file_of_that_name_that_is_there_is_taken(tmp_path, monkeypatch):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "trials.parquet").write_text("")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert store_path("../figures/trials.parquet") == NOTEBOOK_PATH


def test_another_path_is_never_redirected(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="There is no"):
        TrialStore("../figures/trial.parquet", create=False)
