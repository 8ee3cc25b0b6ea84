"""Figures 4 and 5 and Tables 1, App.1 and App.2: what is drawn is what was measured, beside what
the paper printed.
"""

import math

import matplotlib
import numpy as np
import pandas as pd
import pytest
import synthetic_hard as synthetic

from rnnkit import analysis, figures, paper
from rnnkit.exhibits.base import exhibit
from rnnkit.exhibits.style import GREY

FIGURES = ("fig4", "fig5")
NAMES = (*FIGURES, "table1", "tableapp1", "tableapp2")
# chance of the small forms, held to the tasks in test_section_4
PLATEAU = {"parens_counting": 5.07, "arithmetic": 1.23}


@pytest.fixture(scope="module")
def frames():
    return synthetic.frames("quick")


@pytest.fixture(scope="module")
def drawn(frames):
    return {name: exhibit(name).draw(frames[name]) for name in NAMES}


def panels(figure):
    return {ax.get_title(loc="left"): ax for ax in figure.axes}


def curves(ax):
    """Label -> plotted (x, y) of the curves in an axes; dots and reference lines have no label of
    their own.
    """
    return {
        line.get_label(): line.get_xydata()
        for line in ax.lines
        if not line.get_label().startswith("_")
    }


def words(figure):
    return [
        text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip()
    ]


def shown_in(table):
    """The texts of a table on a page, the head first."""
    head, _, *lines = table.markdown().split("\n")
    return [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in (head, *lines)]


def row_of(table, *titles):
    """Column -> text of the row that begins so."""
    head, *rows = shown_in(table)
    return dict(zip(head, next(row for row in rows if tuple(row[: len(titles)]) == titles)))


# --- Figure 4 ---


def test_figure_4_has_the_papers_sixteen_panels_in_the_papers_places(drawn):
    figure = drawn["fig4"]
    axes = panels(drawn["fig4"])
    figure.draw_without_rendering()
    place = {name: ax.get_window_extent() for name, ax in axes.items()}
    order = sorted(place, key=lambda name: (-round(place[name].y0), place[name].x0))
    assert "".join(order) == "aebfcgdhimjnkolp"  # a row for each depth: median, minimum


@pytest.mark.parametrize(
    "panel, task, depth, column",
    [
        ("a", "parens_counting", 1, "median"),
        ("c", "parens_counting", 4, "median"),
        ("e", "parens_counting", 1, "minimum"),
        ("k", "arithmetic", 4, "median"),
        ("m", "arithmetic", 1, "minimum"),
    ],
)
def test_a_panel_shows_the_running_median_or_minimum_of_its_task_and_depth(
    drawn, frames, panel, task, depth, column
):
    table = analysis.running_curves(frames["fig4"])
    part = table[(table.task_type == task) & (table.n_layers == depth)]
    shown = curves(panels(drawn["fig4"])[panel])
    assert set(shown) == set(part.architecture)
    for architecture, points in shown.items():
        own = part[part.architecture == architecture]
        known = np.isfinite(own[column]) & (own[column] < 2 * PLATEAU[task])
        np.testing.assert_array_equal(points[known, 1], own[column][known])
        assert points[:, 0].tolist() == own.trial.tolist()


@pytest.mark.parametrize("panel, task", [("a", "parens_counting"), ("i", "arithmetic")])
def test_every_trial_is_a_dot_and_a_diverged_one_stands_in_the_band_on_top(
    drawn, frames, panel, task
):
    ax = panels(drawn["fig4"])[panel]
    dots = np.concatenate(
        [
            line.get_ydata()
            for line in ax.lines
            if line.get_marker() == "o" and line.get_linestyle() == "None"
        ]
    )
    own = frames["fig4"][(frames["fig4"].task_type == task) & (frames["fig4"].n_layers == 1)]
    feasible = own.eval_loss.dropna()
    assert len(dots) == len(own)
    np.testing.assert_array_equal(np.sort(dots)[: len(feasible)], np.sort(feasible))
    (top,) = set(np.sort(dots)[len(feasible) :])
    assert feasible.max() < top < ax.get_ylim()[1]


@pytest.mark.parametrize(
    "panel, task",
    [("a", "parens_counting"), ("h", "parens_counting"), ("i", "arithmetic"), ("p", "arithmetic")],
)
def test_chance_is_a_labelled_grey_line(drawn, panel, task):
    line = next(line for line in panels(drawn["fig4"])[panel].lines if line.get_color() == GREY)
    assert line.get_ydata()[0] == pytest.approx(PLATEAU[task], abs=0.005)
    assert f"chance {PLATEAU[task]:.3g}" in words(drawn["fig4"])


def test_a_depth_that_was_not_trained_says_so(drawn):
    texts = {
        name: " ".join(text.get_text() for text in ax.texts)
        for name, ax in panels(drawn["fig4"]).items()
    }
    assert all("depth 2: not trained" in texts[name] for name in "bfjn")
    assert all("depth 8: not trained" in texts[name] for name in "dhlp")
    assert not any("not trained" in texts[name] for name in "acegikmo")


def test_a_task_that_was_not_trained_says_so(frames):
    figure = figures.fig4(frames["fig4"].query("task_type == 'parens_counting'"))
    assert all(
        "arithmetic:\nnot trained" in panels(figure)[name].texts[0].get_text()
        for name in "ijklmnop"
    )


def test_the_loss_axis_is_logarithmic_where_losses_span_decades(drawn, frames):
    assert panels(drawn["fig4"])["a"].get_yscale() == "log"
    plateau = frames["fig4"].assign(eval_loss=frames["fig4"].eval_loss.clip(lower=1.0))
    assert panels(figures.fig4(plateau))["a"].get_yscale() == "linear"


def test_the_csv_of_figure_4_holds_every_trial(frames):
    tables = figures.points("fig4", frames["fig4"])
    assert len(tables["fig4"]) == len(frames["fig4"])
    assert len(tables["fig4_networks"]) == frames["fig4"].study.nunique()


# --- Figure 5 ---


@pytest.mark.parametrize("panel, depth", [("a", 1), ("b", 4)])
def test_a_box_spans_the_quartiles_of_the_feasible_losses(drawn, frames, panel, depth):
    ax = panels(drawn["fig5"])[panel]
    part = frames["fig5"][frames["fig5"].n_layers == depth]
    names = [label.get_text().split("\n")[0] for label in ax.get_xticklabels()]
    assert names == [paper.LABELS[a] for a in paper.ARCHITECTURES if a in set(part.architecture)]
    assert ax.get_title() == f"{depth} layer{'s' * (depth > 1)}"
    for box, name in zip(ax.patches[-len(names) :], names, strict=True):
        losses = part.eval_loss[part.architecture == name.lower()].dropna()
        ends = box.get_path().vertices[:, 1]
        assert (ends.min(), ends.max()) == pytest.approx(tuple(np.percentile(losses, [25, 75])))


def test_below_each_box_stands_how_many_trials_diverged(drawn, frames):
    own = frames["fig5"].query("n_layers == 1 and architecture == 'irnn'")
    labels = [label.get_text() for label in panels(drawn["fig5"])["a"].get_xticklabels()]
    assert f"IRNN\n{own.infeasible.sum()}" in labels


def test_one_depth_leaves_the_second_panel_with_a_reason(frames):
    figure = figures.fig5(frames["fig5"].query("n_layers == 1"))
    assert "only one depth" in panels(figure)["b"].texts[0].get_text()


# --- tables ---


def test_table_1_shows_ours_with_its_interval_beside_the_papers(drawn, frames):
    own = frames["table1"].query("n_layers == 1 and architecture == 'gru'").infeasible
    low, high = analysis.wilson(int(own.sum()), len(own))
    assert row_of(drawn["table1"], "1", "GRU") == {
        "layers": "1",
        "architecture": "GRU",
        "% infeasible [95 %]": f"{100 * own.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]",
        "trials": str(len(own)),
        "paper, %": "15.5",  # Table 1
        "paper, layers": "1",
    }


def test_table_1_holds_our_deepest_networks_against_the_papers_8_layers(drawn):
    row = row_of(drawn["table1"], "4", "GRU")
    assert (row["paper, %"], row["paper, layers"]) == ("3.2", "8")  # Table 1


def test_table_1_leaves_the_intersection_rnn_out_at_one_layer(drawn):
    depths = [row[0] for row in shown_in(drawn["table1"]) if row[1] == "+RNN"]
    assert depths == ["4"]


def test_table_app_1_sets_the_papers_row_below_ours(drawn, frames):
    table = analysis.rerun_table(frames["tableapp1"]).set_index("architecture")
    lines = [row[0] for row in shown_in(drawn["tableapp1"])]
    assert lines[lines.index("GRU, ours") + 1] == "GRU, paper"
    ours = row_of(drawn["tableapp1"], "GRU, ours")
    assert ours["original"] == f"{table.original['gru']:.3g}" and ours["reruns"] == "20"
    assert ours["mean"] == f"{table['mean']['gru']:.3g}"
    theirs = row_of(drawn["tableapp1"], "GRU, paper")  # Table App.1
    assert list(theirs.values())[1:] == [
        "0.00028",
        "100",
        "1",
        "7.66e-05",
        "0.000189",
        "0.000548",
        "9.08e-05",
        "0.48",
        "0.675",  # 1.89 over 2.80
    ]


def test_table_app_2_says_whether_the_signs_agree(drawn, frames):
    table = analysis.welch_table(frames["tableapp2"]).set_index(["n_layers", "first", "second"])
    ours = table.loc[1, "gru", "irnn"]
    row = row_of(drawn["tableapp2"], "1", "GRU - IRNN")
    theirs = [row[f"paper, {name}"] for name in ("t", "df", "p")]
    assert row["t"] == f"{ours.t:.3g}" and theirs == ["-7.74", "696", "< .001"]  # Table App.2
    assert row["same sign"] == ("yes" if ours.t < 0 else "no")


def test_table_app_2_has_the_papers_pairs_in_its_order(drawn):
    pairs = [row[1] for row in shown_in(drawn["tableapp2"]) if row[0] == "4"]
    assert pairs == [f"{paper.LABELS[a]} - {paper.LABELS[b]}" for a, b in paper.TABLE_APP2]


# --- all ---


def beyond(axis):
    """Labels of ticks outside of the axis, which exist and are not drawn."""
    low, high = sorted(axis.get_view_interval())
    return [
        tick.label1
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        if not low <= tick.get_loc() <= high
    ]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("shape", ["smoke", "quick", "overnight"])
def test_no_text_overlaps_another(name, shape, drawn):
    figure = drawn[name] if shape == "quick" else exhibit(name).draw(synthetic.frames(shape)[name])
    figure.draw_without_rendering()
    hidden = [
        label for ax in figure.axes for axis in (ax.xaxis, ax.yaxis) for label in beyond(axis)
    ]
    texts = [
        t for t in figure.findobj(matplotlib.text.Text) if t not in hidden and t.get_text().strip()
    ]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
    overlaps = [
        (one, other)
        for i, (one, a) in enumerate(boxes)
        for other, b in boxes[:i]
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]
    assert overlaps == []


@pytest.mark.parametrize("name", NAMES)
def test_trials_that_all_diverged_are_drawn(frames, name, recwarn):
    dead = frames[name].assign(infeasible=True, eval_loss=math.nan, valid_loss=math.nan)
    figure = exhibit(name).draw(dead)
    if name in FIGURES:
        figure.draw_without_rendering()
    else:
        assert list(figure.columns) == shown_in(figure)[0]
    assert len(analysis.compare(name, dead)) == len(exhibit(name).claims)
    assert not recwarn.list


@pytest.mark.parametrize("name", NAMES)
def test_the_caption_names_budget_and_task(frames, name):
    spent = analysis.budget(analysis.rows_of(name, frames[name]))
    caption = figures.caption(name, frames[name])
    assert (
        str(spent) in caption
        and "parentheses counting (small form)" in caption
        and f"The paper: {exhibit(name).budget}" in caption
    )


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_carries_its_title_and_its_alt_text(drawn, frames, name):
    assert drawn[name].alt == figures.alt(name, frames[name])
    assert exhibit(name).title in drawn[name].get_suptitle()


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_of_ones_own_is_drawn_beside_the_papers(frames, name):
    own = frames[name].query("architecture == 'gru'")
    both = pd.concat(
        [frames[name], own.assign(architecture="mine", study=own.study.str.replace("gru", "mine"))],
        ignore_index=True,
    )
    figure = exhibit(name).draw(both)
    texts = words(figure) if name in FIGURES else sum(shown_in(figure), [])
    assert any("mine" in text for text in texts)


def test_the_gallery_draws_tables_from_the_trials_of_figure_5(frames, tmp_path):
    figures.gallery(tmp_path, {"fig5": frames["fig5"]})
    files = {path.name for path in tmp_path.iterdir()}
    assert {"fig5.png", "fig5.svg", "fig5.csv", "table1.csv", "tableapp2.csv"} <= files
    assert not {"table1.png", "table1.svg", "tableapp2.png"} & files
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert figures.table1(frames["fig5"]).markdown() in text and "(table1.svg)" not in text
    ids = set(pd.read_csv(tmp_path / "claims.csv").id)
    assert {"H01", "H02", "H04", "H05", "H06", "H07"} <= ids
