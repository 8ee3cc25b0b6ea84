"""Every notebook keeps to the form, runs from an empty store at `smoke`, and runs as it is
committed.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import nbformat
import pytest

from rnnkit.reproduce import NOTEBOOKS, run_notebook, types_of
from rnnkit.trials import TrialStore

ROOT = Path(__file__).parents[1]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
CELL_TIMEOUT, TIMEOUT = 300, 900  # seconds
OWN_CELL = "your_own_cell"  # the one notebook whose lesson is a class, of ten lines


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    """All but the cell with which Colab installs the kit (docs/address.py, test_address.py)."""
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    return [cell for cell in cells if "install" not in tags(cell)]


def tags(cell):
    return cell.metadata.get("tags", [])


def parameters_cell(path):
    return next(cell for cell in code_cells(path) if "parameters" in tags(cell))


def is_own_cell(path, cell):
    """Whether a code cell is the ten lines of your_own_cell: one class, derived from rk.Cell, and
    nothing else.
    """
    body = ast.parse(cell.source).body
    return (
        path.stem == OWN_CELL
        and [type(node) for node in body] == [ast.ClassDef]
        and [ast.unparse(base) for base in body[0].bases] == ["rk.Cell"]
    )


def text_of(output):
    """All that an output shows as text."""
    data = output.get("data", {})
    return "\n".join(
        [
            output.get("text", ""),
            *(value for kind, value in data.items() if kind.startswith("text/")),
        ]
    )


def test_the_notebooks_are_those_that_reproduce_executes():
    assert [path.stem for path in PATHS] == sorted(NOTEBOOKS)


@each_notebook
def test_notebook_is_valid_and_names_the_kernel_python3(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"


@each_notebook
def test_notebook_opens_with_a_title_and_its_question(path):
    first = read(path).cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    assert "?" in first.source and "section" in first.source


@each_notebook
def test_the_one_parameters_cell_comes_first_but_for_the_import(path):
    cells = code_cells(path)
    places = [k for k, cell in enumerate(cells) if "parameters" in tags(cell)]
    assert places == [0] or (places == [1] and cells[0].source.startswith("import "))


@each_notebook
def test_parameters_are_annotated_literals_each_with_a_comment(path):
    """A derived value would keep its old worth when papermill replaces what it derives from."""
    for line in parameters_cell(path).source.splitlines():
        (statement,) = ast.parse(line).body
        assert isinstance(statement, ast.AnnAssign), line
        assert type(ast.literal_eval(statement.value)).__name__ == statement.annotation.id, line
        assert re.search(r"  # \S.*", line), line


@each_notebook
def test_notebook_has_the_parameters_that_reproduce_sets(path):
    trains = (
        {"scale", "store", "trials"} if NOTEBOOKS[path.stem] else set()
    )  # what draws no trials has none of these
    assert trains | {"out", "seed"} <= set(types_of(path))


@each_notebook
def test_code_cells_are_at_most_three_lines(path):
    free = [
        cell for cell in code_cells(path) if "parameters" in tags(cell) or is_own_cell(path, cell)
    ]
    assert [
        cell.source
        for cell in code_cells(path)
        if cell not in free and len(cell.source.splitlines()) > 3
    ] == []


@each_notebook
def test_code_is_read_without_moving_it_sideways(path):
    """JupyterLab shows about 108 characters in a cell of 850 pixels, the width of the figures."""
    shown = [cell for cell in code_cells(path) if "install" not in tags(cell)]
    lines = [line for cell in shown for line in cell.source.splitlines()]
    assert [line for line in lines if len(line) > 106] == []


def test_a_cell_of_ones_own_takes_ten_lines():
    lines = [
        cell.source.splitlines()
        for cell in code_cells(ROOT / "notebooks" / f"{OWN_CELL}.ipynb")
        if is_own_cell(Path(OWN_CELL), cell)
    ]
    assert [len(cell) for cell in lines] == [10]


@each_notebook
def test_code_cells_only_call(path):
    """No def, for, if or import but of rnnkit: logic lives in the package, with a test."""
    logic = (
        ast.FunctionDef,
        ast.Lambda,
        ast.ClassDef,
        ast.For,
        ast.While,
        ast.If,
        ast.Try,
        ast.With,
        ast.comprehension,
        ast.ImportFrom,
    )
    for cell in code_cells(path):
        nodes = [] if is_own_cell(path, cell) else list(ast.walk(ast.parse(cell.source)))
        assert [type(node).__name__ for node in nodes if isinstance(node, logic)] == [], cell.source
        assert {a.name for node in nodes if isinstance(node, ast.Import) for a in node.names} <= {
            "rnnkit"
        }


@each_notebook
def test_each_piece_of_code_is_followed_by_words(path):
    """The rhythm is ask, run, show, read: two code cells stand together only at the head, import
    and parameters.
    """
    kinds = [cell.cell_type for cell in read(path).cells if "install" not in tags(cell)]
    pairs = [k for k, pair in enumerate(zip(kinds, kinds[1:])) if pair == ("code", "code")]
    assert len(pairs) <= 1 and kinds[-1] == "markdown"


@each_notebook
def test_committed_notebook_shows_its_outputs(path):
    """A reader who runs nothing sees the figures, from a run in order, without an error."""
    cells = code_cells(path)
    counts = [cell.execution_count for cell in cells]
    # the cell that installs the kit may be the first
    assert counts[0] in (1, 2) and counts == list(range(counts[0], counts[0] + len(cells)))
    assert not [
        output for cell in cells for output in cell.outputs if output.output_type == "error"
    ]
    shown = {kind for cell in cells for output in cell.outputs for kind in output.get("data", {})}
    assert {"image/png", "text/html"} & shown


@each_notebook
def test_committed_outputs_name_no_folder_of_one_machine(path):
    shown = "\n".join(text_of(output) for cell in code_cells(path) for output in cell.outputs)
    assert re.findall(r"/(?:home|root|tmp|work|Users|private)/\S*", shown) == []


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Executes a notebook by papermill at `smoke`: run 1 begins with an empty store, and run 2 with
    the store that run 1 filled. Gives the notebook, the trials, the points of its figures and the
    folder that has them.
    """

    @cache
    def folder_of(path):
        return tmp_path_factory.mktemp(path.stem)

    @cache
    def execute(path, run):
        folder = folder_of(path)
        out = folder / f"run_{run}"
        store = folder / "trials.sqlite"
        settings = {"scale": "smoke", "store": str(store), "out": str(out), "workers": 1}
        known = {name: value for name, value in settings.items() if name in types_of(path)}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(ROOT))  # the kernel takes this tree, installed or not
            notebook = read(run_notebook(path, folder / f"{run}.ipynb", known, CELL_TIMEOUT))
        with TrialStore(store) as opened:
            frame = opened.frame()
        points = {file.name: file.read_text() for file in sorted(out.rglob("*.csv"))}
        return notebook, frame, points, out

    return execute


@each_notebook
def test_notebook_runs_from_an_empty_store(executed, path):
    notebook, frame, _, _ = executed(path, 1)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert set(frame.scale) == ({"smoke"} if NOTEBOOKS[path.stem] else set())


@each_notebook
def test_notebook_writes_each_figure_as_png_and_svg_with_its_points(executed, path):
    _, _, points, out = executed(path, 1)
    stems = {kind: {f.stem for f in out.rglob(f"*.{kind}")} for kind in ("png", "svg", "csv")}
    # a panel may have a table of its own, and a table is no picture
    assert stems["png"] == stems["svg"]
    assert stems["png"] <= stems["csv"] and points


@each_notebook
def test_notebook_run_again_trains_nothing_and_draws_the_same_points(executed, path):
    _, first, points, _ = executed(path, 1)
    _, second, again, _ = executed(path, 2)
    assert list(second.created) == list(first.created)
    assert again == points != {}


def test_notebooks_run_as_committed(tmp_path):
    """Beside a copy of the shipped trials, so that the tree stays as it is; with an outer limit,
    since a dead kernel is not noticed.
    """
    assert (ROOT / "figures" / "trials.parquet").is_file(), (
        "without the shipped trials the notebooks would train for long"
    )
    for folder in ("notebooks", "figures"):
        shutil.copytree(
            ROOT / folder,
            tmp_path / folder,
            ignore=shutil.ignore_patterns(".ipynb_checkpoints", "*.sqlite*"),
        )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval-lax",
        "--nbval-current-env",
        f"--nbval-cell-timeout={CELL_TIMEOUT}",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        "notebooks",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=TIMEOUT
    )
    cells = sum(len(code_cells(path)) + 1 for path in PATHS)  # and one that installs the kit
    assert done.returncode == 0 and f"{cells} passed" in done.stdout, (
        done.stdout[-3000:] + done.stderr[-1000:]
    )
