"""The report on one cell: its numbers come from elsewhere, it trains what is missing and nothing
else, and a notebook displays it.
"""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
import synthetic
import torch

import rnnkit as rk
from rnnkit import analysis, reports
from rnnkit.cells import CELLS, LATER, PAPER
from rnnkit.exhibits.cell_report import report, report_tables
from rnnkit.exhibits.section_2_1.later_cells import draw
from rnnkit.exhibits.style import style_of
from rnnkit.studies import SCALES, studies_of
from rnnkit.studies.experiments import battery
from rnnkit.trials import StoreError, TrialStore
from rnnkit.wording import label_of


@pytest.fixture(scope="module")
def store():
    """Two trials a study, of the MGU and of the GRU, at the smallest scale."""
    with TrialStore(":memory:") as store:
        for cell in ("gru", "mgu"):
            rk.report(cell, scale="smoke", store=store, trials=2, workers=1, progress=False)
        yield store


@pytest.fixture(scope="module")
def mgu(store):
    return rk.report("mgu", scale="smoke", store=store, trials=2, workers=1, progress=False)


def test_the_battery_is_figure_1s_figure_2cs_and_table_1s_own_studies():
    """So that what the paper's figures train is not trained again for a comparison."""
    keys = {study.key for study, _ in battery("gru", SCALES["quick"])}
    there = {study.key for name in ("fig1", "fig2c", "fig5") for study in studies_of(name, "quick")}
    assert keys <= there and len(keys) == 2 + 3 + 1


def test_the_battery_has_as_many_units_as_inputs_and_its_neighbours():
    made = [study for study, _ in battery("mgu", SCALES["quick"]) if study.task_type == "mem_thru"]
    assert [study.n_units for study in made] == [28, 32, 36] and {study.n_in for study in made} == {
        32
    }


@pytest.mark.parametrize(
    "wrong, said",
    [
        (dict(trials=-1), "trials must be a whole number of at least 0, got -1"),
        (dict(trials=2.5), "trials must be a whole number of at least 0, got 2.5"),
        (dict(out="a file/x"), "The report cannot be written to a file/x: a file is in the way"),
    ],
)
def test_a_report_that_cannot_be_made_is_refused_before_anything_is_trained(
    wrong, said, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").touch()
    with TrialStore("trials.sqlite") as store:
        with pytest.raises((ValueError, StoreError), match=said):
            rk.report("gru", **{"scale": "smoke", "store": store, "progress": False} | wrong)
        assert len(store) == 0


def test_a_cell_that_begins_at_two_layers_is_tested_at_two():
    assert {study.n_layers for study, _ in battery("+rnn", SCALES["smoke"])} == {2}


def test_later_cells_get_the_papers_trials_and_steps():
    made = {
        (s.architecture, s.n_layers, s.max_params): (s.train_steps, s.n_in, s.unroll, s.tuner)
        for s in studies_of("more_cells", "quick")
    }
    assert {a for a, *_ in made} == {*PAPER, *LATER} and len(set(made.values())) == 1
    assert {key for key in made if key[0] in PAPER} <= {
        (s.architecture, s.n_layers, s.max_params) for s in studies_of("fig1", "quick")
    }


def test_a_report_trains_nothing_twice(store, mgu, monkeypatch):
    monkeypatch.setattr("rnnkit.studies.study.train", lambda *_, **__: pytest.fail("trained again"))
    again = rk.report("mgu", scale="smoke", store=store, trials=2, workers=1, progress=False)
    assert (
        again.frame.equals(mgu.frame)
        and again.reused == len(mgu.frame.query("architecture == 'mgu'")) == 2 * 5
    )


def test_the_six_are_compared_as_far_as_they_were_trained_with_the_same_budget(mgu):
    assert set(mgu.frame.architecture) == {"mgu", "gru"}
    measured = mgu.table.iloc[-5:]  # bits, three errors, the share that diverged
    assert (
        set(measured.drop(columns=["MGU", "GRU"]).to_numpy().ravel()) == {"-"}
        and "-" not in measured[["MGU", "GRU"]].to_numpy()
    )


def test_an_unfinished_study_of_the_six_is_left_out(store):
    with TrialStore(":memory:") as other:
        other.add(
            [
                trial
                for study, _ in battery("gru", SCALES["smoke"])
                for trial in store.trials(study.key)[:1]
            ]
        )
        found = rk.report("mgu", scale="smoke", store=other, trials=2, workers=1, progress=False)
    assert set(found.frame.architecture) == {"mgu"}


def test_searches_of_unequal_length_are_compared_at_the_shorter_ones(store):
    """The scale gives the MGU two trials on the memory task; a third of the GRU's would be one
    chance more. Two elsewhere are too few.
    """
    with TrialStore(":memory:") as other:
        trials = [trial for key in store.frame().study.unique() for trial in store.trials(key)]
        third = next(
            trial
            for trial in trials
            if (trial.architecture, trial.task_type) == ("gru", "mem_thru")
        )
        other.add([*trials, dataclasses.replace(third, hyper_iter=2)])
        frame = rk.report("mgu", scale="smoke", store=other, workers=1, progress=False).frame
    assert frame.groupby(["architecture", "task_type"]).hyper_iter.max().to_dict() == {
        ("gru", "mem_thru"): 1,
        ("mgu", "mem_thru"): 1,
        ("mgu", "per_cap"): 2,
        ("mgu", "parens_counting"): 5,
    }


def test_the_table_counts_parameters_units_and_hyper_parameters(mgu):
    """2 (N I + N^2 + N) + N + N + 1 with 10 inputs; 2 n^2 + 24 n + 1 <= 150 up to n = 4; the rows
    of Appendix A by hand.
    """
    own = mgu.table["MGU"]
    assert (
        own["parameters with N units (10 inputs)"] == "2 N² + 24 N + 1"
        and own["units of 420 parameters"] == "9"
    )  # 379 of 420; 10 units would take 441
    assert own["hyper-parameters"] == str(
        2 * 3 + 2 + 1 + 7 + 2
    )  # three a map, two types, a forget bias, seven of learning, two of the task


def test_the_table_shows_the_best_trials_of_the_store(store, mgu):
    frame = store.frame()
    frame = frame[(frame.architecture == "mgu") & (frame.task_type == "per_cap")]
    best = -frame.eval_loss.min() / frame.num_params.iloc[0]
    assert float(
        mgu.table["MGU"]["bits per parameter, 420 parameters"].split()[0]
    ) == pytest.approx(best, abs=0.005)


def test_the_space_is_the_cells_own_rows(mgu):
    assert list(mgu.space.index) == [
        "input_scale_*",
        "recurrent_matrix_scale_*",
        "recurrent_bias_scale_*",
        "forget_gate_bias_hack_*",
        "recurrent_matrix_init_type",
        "recurrent_bias_init_type",
    ]


def test_a_notebook_gets_the_figure_and_the_tables_as_markdown(mgu, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    mgu._ipython_display_()
    figure, words = shown
    assert figure is mgu.figure and figure.alt.startswith(
        "Report on MGU beside the paper's six cells."
    )
    rows = re.findall(r"^\| .*\|$", words.data, re.M)
    assert (
        len(rows) == 2 + len(mgu.table) + len(mgu.space)
        and len({row.count("|") for row in rows[: 1 + len(mgu.table)]}) == 1
    )


def test_a_terminal_gets_plain_text(mgu):
    assert str(mgu) == repr(mgu) and "2 N² + 24 N + 1" in str(mgu) and "|" not in str(mgu)


def test_a_report_is_written_where_asked(store, tmp_path):
    rk.report("mgu", scale="smoke", store=store, trials=2, workers=1, progress=False, out=tmp_path)
    assert {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.*")} == {
        "drawn.json",
        "dark/report_mgu.png",
        *(f"report_mgu{end}" for end in (".png", ".svg", ".csv", "_memory.csv", "_diverged.csv")),
    }
    assert len(pd.read_csv(tmp_path / "report_mgu_memory.csv")) == 2 * 3


class Own(rk.Cell):
    """The MGU under a name of its own."""

    architecture = "own"
    maps = ("f", "c")
    forget = {"f": "forget_gate_bias_hack"}

    @staticmethod
    def step(W, h, x, s):
        f = torch.sigmoid(-W.f(h, x))
        h = (1 - f) * h + f * s(W.c(f * h, x))
        return h, h


@pytest.fixture
def registered():
    before = dict(CELLS)
    yield
    CELLS.clear()
    CELLS.update(before)


def test_a_class_that_nobody_registered_gets_a_report(registered):
    found = rk.report(Own, scale="smoke", store=":memory:", trials=1, progress=False)
    assert (
        CELLS["own"] is Own
        and list(found.table.columns[:2]) == ["own", "RNN"]
        and "in the store already" not in found.caption
    )


def test_the_same_equations_under_the_name_of_one_of_the_kits_cells_are_that_cell(
    store, mgu, registered
):
    class Again(Own):
        architecture = "mgu"

    found = rk.report(Again, scale="smoke", store=store, trials=2, progress=False)
    assert (
        found.frame.equals(mgu.frame)
        and CELLS["mgu"] is Again
        and "in the store already" in found.caption
    )


OTHER_STEP = staticmethod(lambda W, h, x, s: (W.f(W.c(h, x), x),) * 2)


@pytest.mark.parametrize(
    "name, changes", [("gru", {}), ("mgu", {"forget": {}}), ("mgu", {"step": OTHER_STEP})]
)
def test_other_equations_under_the_name_of_one_of_the_kits_cells_are_refused(
    store, registered, name, changes
):
    with pytest.raises(
        ValueError,
        match=(f"{name!r} with other equations .*Give Other another `architecture`"),
    ):
        rk.report(
            type("Other", (Own,), {"architecture": name, **changes}),
            scale="smoke",
            store=store,
            trials=2,
            progress=False,
        )
    assert CELLS[name] is reports.KIT[name]


@pytest.mark.parametrize(
    "cell, said",
    [
        ("transformer", "architecture must be one of"),
        ("linear", "which has no state"),
        (3, "a subclass of rnnkit.Cell or the name"),
    ],
)
def test_what_is_no_recurrent_cell_is_refused(cell, said):
    with pytest.raises(ValueError, match=said):
        rk.report(cell, scale="smoke", store=":memory:")


# --- figures ---

BITS = {"mgu": 5.0, "janet": 4.9, "mingru": 2.7, "minlstm": 2.9}


@pytest.fixture(scope="module")
def trials():
    """Synthetic trials of the capacity task, of ten cells."""
    with pytest.MonkeyPatch.context() as patch:
        for table, more in (
            ("CAPACITY", BITS),
            ("DIMENSIONS", dict.fromkeys(BITS, 18)),
            ("MAPS", dict.fromkeys(BITS, 2)),
        ):
            patch.setattr(synthetic, table, getattr(synthetic, table) | more)
        return synthetic.frame(architectures=(*PAPER, *BITS), capacity=synthetic.CAPACITY)


def lines_of(ax):
    """Lines with a marker by the row that they are in."""
    found = {}
    for line in ax.lines:
        if line.get_marker() not in ("None", "none", None, ""):
            found.setdefault(round(float(np.mean(line.get_ydata()))), []).append(line)
    return found


def test_later_cells_stand_below_the_six_with_a_marker_for_each_size(trials):
    figure = draw(trials)
    best = analysis.stored_bits(trials)
    first, second = figure.axes
    names = analysis.in_order(best.architecture)
    assert [label.get_text() for label in first.get_yticklabels()] == list(
        map(label_of, names)
    ) and set(names[6:]) == set(LATER)
    for ax, depth in ((first, 1), (second, 2)):
        for row, lines in lines_of(ax).items():
            part = best[(best.n_layers == depth) & (best.architecture == names[row])]
            assert sorted(x for line in lines for x in line.get_xdata()) == pytest.approx(
                sorted(part.bits_per_param)
            )
    assert (
        len(lines_of(first)) == 9 and len(lines_of(second)) == 10
    )  # the +RNN begins at two layers


def test_later_cells_have_names_and_colours_of_their_own():
    styles = style_of((*PAPER, *LATER, "mine"))
    assert len({s.color for s in styles.values()}) == len({s.marker for s in styles.values()}) == 11
    assert [label_of(a) for a in LATER] == ["MGU", "JANET", "minGRU", "minLSTM"]


def test_the_report_draws_what_its_tables_hold(store):
    figure = report("mgu", store.frame())
    best, errors, shares = report_tables(store.frame())
    bits, diverged, units, _ = figure.axes
    own = best[best.architecture == "mgu"].bits_per_param
    assert [x for line in lines_of(bits)[0] for x in line.get_xdata()] == pytest.approx(list(own))
    assert [x for line in lines_of(diverged)[0] for x in line.get_xdata()] == list(
        shares[shares.architecture == "mgu"].percent
    )
    drawn = {
        line.get_color(): line.get_ydata()
        for line in units.lines
        if line.get_marker() not in ("None", "none")
    }
    assert list(drawn[style_of(["mgu"])["mgu"].color]) == list(
        errors[errors.architecture == "mgu"].sort_values("n_units").loss
    )


def test_a_report_on_trials_that_all_diverged_is_drawn(store):
    frame = store.frame().assign(
        infeasible=True, train_loss=np.nan, valid_loss=np.nan, eval_loss=np.nan
    )
    figure = report("mgu", frame)
    assert "Per cent diverged: GRU 100, MGU 100" in figure.alt
    assert {"no bits stored", "no feasible trial"} <= {
        text.get_text() for ax in figure.axes for text in ax.texts
    }
