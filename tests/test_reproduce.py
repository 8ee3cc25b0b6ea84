"""A notebook counts as executed only if every cell ran well; papermill's own report is not relied
on.
"""

import dataclasses
import functools
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from rnnkit import reproduce as rep
from rnnkit.__main__ import main
from rnnkit.exhibits.account import account_in, current_entry
from rnnkit.notebooks import copy_into
from rnnkit.reproduce import NOTEBOOKS, NotebookError, choose, claims_text, run_notebook
from rnnkit.studies import EXPERIMENTS
from rnnkit.trials import StoreError, TrialStore

ROOT = Path(__file__).parent.parent


def write_notebook(folder, *cells, name="nb.ipynb", parameters="x: int = 1  # a number"):
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in (parameters, *cells)]
    )
    book.cells[0].metadata["tags"] = ["parameters"]
    path = folder / "books" / name
    path.parent.mkdir(exist_ok=True)
    nbformat.write(book, path)
    return path


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return functools.partial(write_notebook, tmp_path)


def refused(path, out, **settings):
    """The sentence with which a notebook is refused; nothing may stand where its executed copy
    would.
    """
    with pytest.raises(NotebookError) as caught:
        run_notebook(path, out, **settings)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".") and not out.exists()
    return str(caught.value)


def test_a_good_notebook_is_executed_with_its_parameters_in_its_own_folder(notebook, tmp_path):
    path = notebook("import os; print(x + 1, os.getcwd())")
    out = run_notebook(path, tmp_path / "out" / "nb.ipynb", {"x": 41})
    texts = [
        output.text for cell in nbformat.read(out, 4).cells for output in cell.get("outputs", [])
    ]
    assert texts == [f"42 {path.parent}\n"] and os.listdir(out.parent) == ["nb.ipynb"]


def test_an_unknown_parameter_is_refused_before_anything_runs(notebook, tmp_path):
    path = notebook(f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert "has no parameter y; it has x" in refused(
        path, tmp_path / "out.ipynb", parameters={"y": 1}
    )
    assert not (tmp_path / "ran").exists()


def test_a_failing_cell_is_named_with_its_error(notebook, tmp_path):
    said = refused(notebook("1 + 1", "{}['key']", "2 + 2"), tmp_path / "out.ipynb")
    assert "nb.ipynb failed in cell 3: KeyError: 'key'" in said and "out.partial.ipynb" in said
    assert (tmp_path / "out.partial.ipynb").exists()


def test_a_killed_kernel_is_noticed(notebook, tmp_path):
    path = notebook("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "1")
    assert "lost its kernel, which died" in refused(path, tmp_path / "out.ipynb")


def test_a_cell_that_takes_too_long_is_noticed(notebook, tmp_path):
    assert "did not end within 1 s" in refused(
        notebook("import time; time.sleep(60)", "1"), tmp_path / "out.ipynb", cell_timeout=1
    )


def test_leaving_by_sys_exit_is_not_success(notebook, tmp_path):
    assert "ended before its last cell" in refused(
        notebook("import sys; sys.exit(0)", "1"), tmp_path / "out.ipynb"
    )


def test_an_error_that_a_tag_allows_is_not_success(notebook, tmp_path):
    path = notebook("1 / 0", "1")
    book = nbformat.read(path, 4)
    book.cells[1].metadata["tags"] = ["raises-exception"]
    nbformat.write(book, path)
    assert "ZeroDivisionError" in refused(path, tmp_path / "out.ipynb")


def test_a_cell_that_never_ran_is_noticed(notebook, tmp_path, monkeypatch):
    """papermill's result with one cell unexecuted, as after an exit that it did not see."""
    path = notebook("1", "2")
    monkeypatch.setattr(
        "papermill.execute_notebook", lambda source, half, *_, **__: nbformat.read(source, 4)
    )
    assert "ended before its last cell" in refused(path, tmp_path / "out.ipynb")


def test_an_old_copy_stays_when_a_new_one_fails(notebook, tmp_path):
    out = tmp_path / "out.ipynb"
    run_notebook(notebook("1"), out)
    before = out.read_bytes()
    with pytest.raises(NotebookError):
        run_notebook(notebook("1 / 0"), out)
    assert out.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="elsewhere not everybody may make a link")
def test_what_a_link_in_place_of_the_partial_copy_points_to_is_not_written(notebook, tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    partial = tmp_path / "out.partial.ipynb"
    partial.symlink_to(mine)
    refused(notebook("1 / 0"), tmp_path / "out.ipynb")
    assert mine.read_text() == "mine" and partial.is_file() and not partial.is_symlink()


@pytest.mark.parametrize(
    "content",
    ["not json", "[1, 2]", '{"cells": 3}', json.dumps({"nbformat": 99, "cells": []}), b"\xff\xfe"],
)
def test_a_file_that_is_not_a_notebook_is_reported(tmp_path, content):
    path = tmp_path / "nb.ipynb"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert "is not a notebook" in refused(path, tmp_path / "out.ipynb")


def test_a_missing_notebook_is_reported(tmp_path):
    assert "There is no notebook" in refused(tmp_path / "none.ipynb", tmp_path / "out.ipynb")


def test_a_notebook_may_train_with_workers_and_keeps_one_line_of_progress(notebook, tmp_path):
    path = notebook(
        "from rnnkit.studies import run; frame = run('calibration', 'smoke', ':memory:', trials=x)",
        "frame2 = run('fig2b', 'smoke', ':memory:', trials=1, workers=2, progress=False);"
        " print(len(frame), len(frame2))",
    )
    book = nbformat.read(run_notebook(path, tmp_path / "out.ipynb", {"x": 4}), 4)
    outputs = [output for cell in book.cells for output in cell.outputs]
    assert outputs[-1].text == "4 10\n"
    [line] = [
        output.data["text/plain"] for output in outputs if output.output_type == "display_data"
    ]
    assert line.startswith("calibration · 1 of 1 studies done · 4 of 4 trials · took ")


# --- what is chosen, and where it goes ------------------------------------------------------------


def test_every_experiment_is_in_a_notebook():
    assert {name for names in NOTEBOOKS.values() for name in names} == set(EXPERIMENTS)


def test_nothing_chosen_is_everything():
    assert choose() == NOTEBOOKS == choose(list(NOTEBOOKS))


def test_an_experiment_or_a_notebook_can_be_chosen():
    assert choose("fig1") == {"2_1_parameter_capacity": ("fig1",)}
    assert choose(["0_start_here", "fig2a"]) == {
        "0_start_here": ("start",),
        "2_1_parameter_capacity": ("fig2a",),
    }


def test_a_notebook_that_draws_no_trials_is_chosen_by_name_or_with_all_but_by_no_experiment():
    assert NOTEBOOKS["B_tasks"] == () and "B_tasks" in choose()
    assert choose("B_tasks") == {"B_tasks": ()} and "B_tasks" not in choose("fig1")


def test_an_unknown_choice_is_refused_by_name():
    with pytest.raises(
        ValueError, match="only must name an experiment .*fig1.* or a notebook .*got 'fig7'"
    ):
        choose(["fig1", "fig7"])
    with pytest.raises(ValueError, match="only must name an experiment .*got 3"):
        choose(3)


def test_a_folder_where_no_figure_can_be_written_is_reported_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Figures cannot be written to .*Name another folder."):
        rep.reproduce(
            "smoke",
            only="fig1",
            store=tmp_path / "trials.sqlite",
            out=tmp_path / "file" / "figures",
        )
    assert not (tmp_path / "trials.sqlite").exists()


def test_notebooks_that_are_not_there_are_told_with_what_to_do(tmp_path):
    (tmp_path / "B_tasks.ipynb").write_text("{}")
    with pytest.raises(NotebookError, match=r"0_start_here\.ipynb, .* name the folder"):
        rep.notebooks_folder(tmp_path)


def test_a_folder_of_notebooks_is_executed_only_where_it_is_named(tmp_path, monkeypatch):
    """Any project has a folder `notebooks`: what lies in it is not the kit's to run."""
    for name in NOTEBOOKS:
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert rep.notebooks_folder() == ROOT / "notebooks"
    assert rep.notebooks_folder("notebooks") == Path("notebooks")


def test_the_notebook_that_is_executed_is_the_one_of_the_named_folder(tmp_path):
    book = nbformat.read(ROOT / "notebooks" / "B_tasks.ipynb", as_version=4)
    book.cells = [cell for cell in book.cells if "parameters" in cell.metadata.get("tags", ())]
    book.cells.append(nbformat.v4.new_code_cell("print('mine')"))
    (tmp_path / "mine").mkdir()
    nbformat.write(book, tmp_path / "mine" / "B_tasks.ipynb")
    store = tmp_path / "trials.sqlite"
    out = tmp_path / "results"
    rep.reproduce(
        "smoke", "B_tasks", store, out, notebooks=tmp_path / "mine", say=lambda text: None
    )
    assert "mine\\n" in (out / "notebooks" / "B_tasks.ipynb").read_text(encoding="utf-8")


def test_notebooks_that_a_reader_has_changed_are_not_copied_over(tmp_path):
    changed = tmp_path / "notebooks" / "B_tasks.ipynb"
    changed.parent.mkdir()
    changed.write_text("my notes")
    with pytest.raises(
        NotebookError, match=r"B_tasks.ipynb exists and differs .* Name another folder\."
    ):
        copy_into(tmp_path)
    assert changed.read_text() == "my notes" and os.listdir(tmp_path) == ["notebooks"]


# --- nothing that is there is lost ----------------------------------------------------------------


def test_results_go_where_git_does_not_look_unless_another_folder_is_named():
    assert inspect.signature(rep.reproduce).parameters["out"].default == "results"
    option = next(option for option in main.commands["reproduce"].params if option.name == "out")
    assert (
        option.default == "results" and "results/" in (ROOT / ".gitignore").read_text().splitlines()
    )


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "claims.csv",
        "fig1.png",
        "drawn.json",
        "notebooks/0_start_here.ipynb",
        "trials.parquet",
    ],
)
def test_a_file_that_the_kit_did_not_write_is_not_replaced(books, name, monkeypatch):
    monkeypatch.setattr(
        "rnnkit.exhibits.account.PATIENCE", 0.0
    )  # no other run is about to say that it wrote it
    out = books / "mine"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("Dear diary,")
    with pytest.raises(StoreError) as caught:
        reproduced(books, only="fig1", trials=2, out=out)
    assert str(out / name) in str(caught.value) and (out / name).read_text() == "Dear diary,"
    with TrialStore(books / "trials.sqlite") as store:
        assert len(store) == 0  # refused before anything was trained


def test_a_folder_of_the_kits_own_is_drawn_into_again(books):
    reproduced(books, only="calibration")
    (books / "figures" / "calibration.png").write_bytes(b"half of a pict")
    reproduced(books, only="calibration")
    assert (books / "figures" / "calibration.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_whose_trials_are_the_same_is_not_drawn_again(books, monkeypatch):
    reproduced(books, only="calibration")
    drawn = []
    monkeypatch.setattr(
        "rnnkit.exhibits.gallery.save", lambda figure, name, *_: drawn.append(name) or []
    )
    reproduced(books, only="calibration")
    assert drawn == []


def test_a_figure_is_drawn_again_once_its_trials_or_the_code_change(books, monkeypatch):
    reproduced(books, only="calibration", trials=2)
    first = (books / "figures" / "calibration.csv").read_bytes()
    reproduced(books, only="calibration", trials=3)
    assert (books / "figures" / "calibration.csv").read_bytes() != first
    monkeypatch.setattr("rnnkit.exhibits.account.digest_of_code", lambda: "other code")
    assert (
        current_entry(
            books / "figures",
            "calibration",
            account_in(books / "figures")["calibration"]["trials"],
        )
        is None
    )


def test_trials_of_the_folder_stay_in_it_and_are_not_trained_again(books, monkeypatch):
    reproduced(books, only="calibration", trials=2)
    shipped = books / "figures" / "trials.parquet"
    with TrialStore(shipped) as store:
        before = store.frame()
    reproduced(books, only="start", trials=2, store=books / "other.sqlite")
    with TrialStore(shipped) as store:
        after = store.frame()
    assert set(before.study) < set(after.study)
    pd.testing.assert_frame_equal(
        after[after.study.isin(before.study)].reset_index(drop=True), before
    )
    monkeypatch.setattr("rnnkit.studies.study.train", lambda *_, **__: pytest.fail("trained again"))
    said, _ = reproduced(books, only="calibration", trials=2, store=books / "third.sqlite")
    assert (
        said[0]
        == f"{shipped} has {len(after)} trials that {books / 'third.sqlite'} lacked; they have been"
        " added to it. To train them again, name another folder with --out."
    )


def test_a_folder_with_another_record_of_the_same_trials_is_refused_before_training(books):
    reproduced(books, only="start", trials=1)
    with TrialStore(books / "trials.sqlite") as store, TrialStore(books / "other.sqlite") as other:
        other.add(
            [
                dataclasses.replace(trial, valid_loss=trial.valid_loss - 1)
                for key in store.studies()
                for trial in store.trials(key)
            ]
        )
    with pytest.raises(
        StoreError,
        match="has another record of the same trials as .*other.sqlite: trial 0 of per_cap/rnn",
    ):
        reproduced(books, only="start", trials=2, store=books / "other.sqlite")


def test_the_readmes_first_command_leaves_a_clone_as_it_was(tmp_path):
    """At the smallest scale, with the Python of the tests in place of a fresh environment."""
    words = re.search(
        r"\.venv/bin/rnnkit (reproduce --scale )quick$", (ROOT / "README.md").read_text(), re.M
    )[1].split() + ["smoke"]
    origin = tmp_path / "origin"
    clone = tmp_path / "clone"
    left_out = shutil.ignore_patterns(
        ".git", ".venv", "__pycache__", ".pytest_cache", ".hypothesis", "*.sqlite*", "results"
    )
    shutil.copytree(ROOT, origin, ignore=left_out)

    def git(*words):
        who = [
            "-c",
            "user.name=rnnkit",
            "-c",
            "user.email=rnnkit@localhost",
            "-c",
            "commit.gpgsign=false",
        ]
        return subprocess.run(
            ["git", *who, *map(str, words)], check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q", origin)
    git("-C", origin, "add", "-A")
    git("-C", origin, "commit", "-q", "-m", "as it is")
    git("clone", "-q", origin, clone)
    environment = {**os.environ, "PYTHONPATH": str(clone)}
    done = subprocess.run(
        [sys.executable, "-m", "rnnkit", *words],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0 and "The figures are in results" in done.stdout, (
        done.stdout[-2000:] + done.stderr[-2000:]
    )
    assert (clone / "results" / "README.md").exists() and (
        clone / "results" / "notebooks" / "5_discussion.ipynb"
    ).exists()
    assert git("-C", clone, "status", "--porcelain") == ""


# --- from nothing to figures ----------------------------------------------------------------------


def small_books(folder):
    """Small notebooks with the real ones' names, which note the parameters that they were given."""
    for name in NOTEBOOKS:
        note = f"open({str(folder / name)!r}, 'w').write(repr((scale, seed, trials, out)))"
        parameters = "scale: str = 'quick'\nseed: int = 0\ntrials: int = 0\nout: str = ''"
        write_notebook(folder, note, name=f"{name}.ipynb", parameters=parameters)
    return folder


def reproduced(folder, **settings):
    """What reproduce says and returns, at the smallest scale, with small notebooks."""
    said = []
    settings = {"store": folder / "trials.sqlite", "out": folder / "figures", **settings}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rep, "notebooks_folder", lambda *_: folder / "books")
        claims = rep.reproduce("smoke", say=said.append, **settings)
    return said, claims


@pytest.fixture
def books(tmp_path):
    return small_books(tmp_path)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """One whole run: its folder, what it said, its claims."""
    folder = small_books(tmp_path_factory.mktemp("done"))
    return folder, *reproduced(folder, trials=5)


def test_one_call_trains_executes_the_notebooks_and_draws(done):
    folder, said, claims = done
    out = folder / "figures"
    of_the_paper = (
        "fig1",
        "fig2a",
        "fig2b",
        "fig2c",
        "fig3",
        "fig4",
        "fig5",
        "figapp1",
    )
    tables = {f"{name}.csv" for name in ("table1", "tableapp1", "tableapp2")}
    assert tables <= {path.name for path in out.glob("*.csv")}
    assert {f"{name}.png" for name in (*of_the_paper, "calibration", "best_so_far")} <= {
        path.name for path in out.glob("*.png")
    }
    assert {path.name for path in (out / "notebooks").iterdir()} == {
        "drawn.json",
        *(f"{name}.ipynb" for name in NOTEBOOKS),
    }
    assert {"C01", "C09", "C10", "C12", "C17", "G03"} <= set(claims.id)
    assert said[-2].splitlines()[0].split() == ["claim", "paper", "ours", "verdict"]
    assert f"{out / 'README.md'} shows them all" in said[-1]


def test_a_notebook_is_given_those_settings_that_it_has(done):
    folder = done[0]
    for name in NOTEBOOKS:  # these have no parameter `store` or `workers`
        assert (folder / name).read_text() == repr(("smoke", 0, 5, str(folder / "figures")))


def test_a_notebook_that_draws_no_trials_is_executed_without_any(books):
    said, claims = reproduced(books, only="B_tasks")
    assert (books / "B_tasks").read_text() == repr(("smoke", 0, 0, str(books / "figures"))) and len(
        claims
    ) == 0
    assert (
        said[0].endswith("B_tasks: no trials")
        and said[-1] == f"The figures are in {books / 'figures'}."
    )


def test_all_trials_are_shipped_beside_the_figures(done):
    with (
        TrialStore(done[0] / "trials.sqlite") as store,
        TrialStore(done[0] / "figures" / "trials.parquet") as shipped,
    ):
        pd.testing.assert_frame_equal(store.frame(), shipped.frame())


def test_shipped_trials_redraw_every_figure_without_training_byte_for_byte(done, monkeypatch):
    monkeypatch.setattr("rnnkit.studies.study.train", lambda *_, **__: pytest.fail("trained again"))
    folder = done[0]
    reproduced(folder, trials=5, store=folder / "figures" / "trials.parquet", out=folder / "again")
    names = [
        path.name
        for path in (folder / "figures").glob("*.*")
        if path.suffix not in (".parquet", ".weights")
    ]
    assert len(names) > 18 and all(
        (folder / "again" / name).read_bytes() == (folder / "figures" / name).read_bytes()
        for name in names
    )


def test_progress_names_the_notebook_and_counts_studies_and_trials(books, capsys):
    reproduced(books, only="calibration", trials=2)
    assert (
        "notebook 1 of 1, 2_1_parameter_capacity, calibration · 1 of 1 studies done · 2 of 2 trials"
        in capsys.readouterr().err
    )


def test_a_figure_alone_is_drawn_without_its_notebook(books):
    _, claims = reproduced(books, only="fig2b", trials=5)
    assert (books / "figures" / "fig2b.png").exists() and not (
        books / "2_1_parameter_capacity"
    ).exists()
    assert list(claims.id) == ["C10"]


def test_the_gallery_keeps_the_figures_of_earlier_runs(books):
    reproduced(books, only="calibration")
    reproduced(books, only="figapp1")
    text = (books / "figures" / "README.md").read_text()
    assert "(calibration.png)" in text and "(figapp1.png)" in text


def test_a_notebook_that_fails_ends_the_run_and_keeps_the_trials(books):
    book = nbformat.read(books / "books" / "0_start_here.ipynb", 4)
    book.cells[1].source = "1 / 0"
    nbformat.write(book, books / "books" / "0_start_here.ipynb")
    with pytest.raises(
        NotebookError, match="0_start_here.ipynb failed in cell 3: ZeroDivisionError"
    ):
        reproduced(books)
    with TrialStore(books / "trials.sqlite") as store:
        assert len(store) == 3


def test_the_table_of_claims_fits_a_terminal():
    claims = pd.DataFrame(
        [
            dict(
                id="C01",
                claim="stored bits are linear",
                paper="1",
                ours=0.98123,
                low=0.9,
                high=1.05,
                verdict="holds",
                evidence="",
            ),
            dict(
                id="C05",
                claim="x" * 200,
                paper="none",
                ours=float("nan"),
                low=None,
                high=None,
                verdict="not tested",
                evidence="",
            ),
        ]
    )
    lines = claims_text(claims).splitlines()
    assert (
        "0.981 [0.900, 1.05]" in lines[1]
        and lines[1].endswith("holds")
        and "nan" not in lines[2]
        and max(map(len, lines)) < 150
    )


def test_a_module_that_draws_does_not_wait_for_torch():
    code = (
        "import sys, rnnkit.reproduce, rnnkit.__main__; print('torch' in sys.modules, 'matplotlib'"
        " in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "False False\n", done.stderr
