"""Exhibits: all of a figure in one object, found by the kit, each table computed once for all that
use it.
"""

import pandas as pd
import pytest
import synthetic

import rnnkit as rk
from rnnkit import analysis, figures
from rnnkit.exhibits import base
from rnnkit.exhibits.base import (
    Exhibit,
    _exhibits_by_name,
    exhibit,
    exhibits,
    shared_tables,
    tables_of,
)
from rnnkit.exhibits.captions import draws
from rnnkit.exhibits.judge import Measured, Rule, above
from rnnkit.exhibits.selection import capacity


@draws("bits_by_units", height=4)
def draw(figure, best):
    figure.subplots().plot(best.n_units, best.bits_per_param, "o")


def one_of_ones_own(**changes):
    settings = dict(
        name="bits_by_units",
        title="Bits by units (ours: not in the paper)",
        gist="Most bits per parameter against the units of a layer.",
        select=capacity,
        trials="capacity task",
        experiment="fig1",
        tables={"bits_by_units": analysis.stored_bits},
        draw=draw,
        alt="bits per parameter against units per layer.",
        facts=lambda rows, tables: [f"There are {len(tables['bits_by_units'])} networks."],
    )
    return Exhibit(**settings | changes)


@pytest.fixture
def own(monkeypatch):
    exhibits()
    monkeypatch.setattr(base, "_exhibits_by_name", dict(_exhibits_by_name))
    return one_of_ones_own()


@pytest.fixture(scope="module")
def frame():
    return synthetic.frames("smoke")["fig1"]


def test_a_figure_of_ones_own_is_one_object(own, frame, tmp_path):
    assert list(exhibits())[-1] == "bits_by_units"
    figures.gallery(tmp_path, {"fig1": frame})
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "## Bits by units (ours: not in the paper)" in text
    assert len(pd.read_csv(tmp_path / "bits_by_units.csv")) == len(analysis.stored_bits(frame))
    assert (tmp_path / "bits_by_units.png").is_file()


def test_its_name_is_a_function_of_figures_and_a_word_to_compare_and_conclude(own, frame):
    assert rk.figures.bits_by_units(frame).alt.startswith("Bits by units")
    assert rk.compare("bits_by_units", frame).empty
    assert "There are" in str(rk.conclude("bits by units", frame))


def test_a_name_that_is_taken_is_refused(own):
    with pytest.raises(ValueError, match="name of its own, got 'fig1', which rnnkit.exhibits"):
        one_of_ones_own(name="fig1")
    assert exhibit("fig1").draw.__module__ == "rnnkit.exhibits.section_2_1.figure_1"


def test_an_exhibit_may_be_made_again_as_a_cell_that_runs_twice_does(own):
    assert one_of_ones_own(title="Again") is exhibit("bits_by_units")


def test_figure_csv_words_and_claims_take_one_table(own, frame, tmp_path):
    computed = []

    def table(trials):
        computed.append(trials)
        return analysis.stored_bits(trials)

    def measure(trials, points):
        judged.append(points)
        return Measured(3.0, 2.5, 3.5, "measured on the table")

    judged = []
    rule = Rule(measure, above(2), trials=0)
    one_of_ones_own(tables={"bits_by_units": table}, claims={"C02b": rule})
    figures.draw_into(tmp_path, "bits_by_units", frame)
    assert len(computed) == 1 and len(judged) == 1
    assert rk.compare("bits_by_units", frame).verdict.tolist() == [analysis.HOLDS]


def test_the_tables_of_a_frame_are_one_object_while_they_are_remembered(frame):
    with shared_tables():
        assert tables_of("fig1", frame) is tables_of("fig1", frame)
    assert tables_of("fig1", frame) is not tables_of("fig1", frame)


def test_a_table_whose_name_begins_with_a_line_is_not_written(frame):
    tables = tables_of("fig2a", frame)
    assert "_best" in tables and list(tables.csv_tables()) == ["fig2a"]
    pd.testing.assert_frame_equal(tables.claims_table, tables["_best"])


@pytest.mark.parametrize("name", exhibits())
def test_every_exhibit_is_whole(name):
    about = exhibit(name)
    assert about.gist.endswith((".", "?")) and about.alt.endswith(".") and about.tables
    assert about.experiment in {"", *exhibits()} and set(about.columns) <= set(about.tables)
    assert not about.claims_table or about.claims_table in about.tables
