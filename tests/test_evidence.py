"""One evidence: README, gallery, claims.csv and the executed notebooks say the same, and the
pictures are of the trials that ship.
"""

import ast
import shutil
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from rnnkit import analysis, figures, reproduce
from rnnkit.exhibits.account import account_in, digest_of_file, digest_of_trials
from rnnkit.exhibits.base import exhibits
from rnnkit.exhibits.verdicts import block, verdict_rows
from rnnkit.trials import TrialStore

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "figures"
CLAIMS = pd.read_csv(FIGURES / "claims.csv", dtype={"paper": str})
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The trials that ship, as a copy: what a test might train is not kept beside them."""
    folder = tmp_path_factory.mktemp("shipped")
    shutil.copy(FIGURES / "trials.parquet", folder)
    shutil.copytree(FIGURES / "trials.weights", folder / "trials.weights")
    with TrialStore(folder / "trials.parquet", create=False) as store:
        yield store


def scale_of(notebook):
    """The scale that a notebook is executed at as it is committed."""
    cells = nbformat.read(ROOT / "notebooks" / f"{notebook}.ipynb", as_version=4).cells
    source = next(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", ()))
    return next(
        ast.literal_eval(line.value) for line in ast.parse(source).body if line.target.id == "scale"
    )


class Table(HTMLParser):
    """The rows of a frame as a notebook shows it: lists of texts, the head first."""

    def __init__(self, html):
        super().__init__()
        self.rows = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


def tables_of(notebook):
    """The frames that a notebook shows."""
    cells = [
        cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"
    ]
    shown = [
        output.get("data", {}).get("text/html", "") for cell in cells for output in cell.outputs
    ]
    return [Table(html).rows for html in shown if "<table" in html]


def verdicts_in(notebook):
    """id -> (ours, verdict), as far as a notebook's tables of claims tell."""
    found = {}
    for head, *rows in tables_of(notebook):
        if {"id", "ours", "verdict"} <= set(head):
            for row in rows:
                told = dict(zip(head, row))
                found[told["id"]] = told["ours"], told["verdict"]
    return found


def test_every_claim_is_decided_once():
    assert CLAIMS.id.is_unique and len(CLAIMS) > 30


def test_the_readme_has_the_verdicts_of_the_trials_that_ship(shipped):
    assert block(CLAIMS, len(shipped)) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_gallery_has_the_verdicts_of_its_table():
    text = (FIGURES / "README.md").read_text(encoding="utf-8")
    assert f"Claims of the paper: {analysis.tally(CLAIMS)} " in text
    for (claim, theirs, ours, verdict), evidence in zip(verdict_rows(CLAIMS), CLAIMS.evidence):
        assert f"| {claim} | {theirs} | {ours} | **{verdict}** | {evidence} |" in text


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_the_verdicts_of_the_gallery(notebook):
    known = CLAIMS.set_index("id")
    for id, (ours, verdict) in verdicts_in(notebook).items():
        assert verdict == known.verdict[id], id
        alone = analysis.with_interval(known.ours[id])
        whole = analysis.with_interval(*known.loc[id, ["ours", "low", "high"]])
        assert ours in (alone, whole), id  # a table may leave the interval out


def test_the_discussion_counts_the_verdicts_of_the_gallery():
    notebook = ROOT / "notebooks" / "5_discussion.ipynb"
    outputs = [
        output
        for cell in nbformat.read(notebook, as_version=4).cells
        for output in cell.get("outputs", ())
    ]
    shown = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    assert f"Claims of the paper: {escape(analysis.tally(CLAIMS))}." in shown
    assert set(verdicts_in(notebook)) >= set(CLAIMS.id)


def test_every_file_of_the_gallery_is_as_the_kit_wrote_it():
    entries = account_in(FIGURES)
    for name, entry in entries.items():
        for file, digest in entry["files"].items():
            assert digest_of_file(FIGURES / file) == digest, f"{file} of {name}"
    pictures = {path.name for path in FIGURES.glob("*.png") if not path.name.startswith("widget_")}
    files = {file for entry in entries.values() for file in entry["files"]}
    assert pictures == {file for file in files if file.endswith(".png") and "/" not in file}
    assert {f"{name}.csv" for name in exhibits()} <= files


def test_every_figure_is_of_the_trials_that_ship(shipped):
    """The trials are found by today's studies, so they are also those that notebooks read."""
    frames = reproduce.stored_frames(shipped, scale_of("5_discussion"))
    wanted = figures.companions(
        {name: frame for name, frame in frames.items() if name in exhibits()}
    )
    trials = {
        name: digest_of_trials(analysis.rows_of(name, frame)) for name, frame in wanted.items()
    }
    noted = {
        name: entry["trials"] for name, entry in account_in(FIGURES).items() if name in exhibits()
    }
    assert noted == trials


def test_the_report_that_ships_is_of_the_trials_that_ship(shipped, monkeypatch):
    from rnnkit.reports import report

    monkeypatch.setattr(
        "rnnkit.studies.study.train",
        lambda *_, **__: pytest.fail("the trials of the report are not shipped"),
    )
    frame = report("mgu", scale_of("your_own_cell"), shipped, progress=False, workers=1).frame
    assert account_in(FIGURES)["report_mgu"]["trials"] == digest_of_trials(frame)
