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

NAMES = ("fig4", "fig5", "table1", "tableapp1", "tableapp2")
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


def cells(figure):
    """Texts of a drawn table, row by row from the left."""
    (ax,) = figure.axes
    rows = {}
    for text in ax.texts:
        rows.setdefault(text.get_position()[1], []).append((text.get_position()[0], text))
    return [
        [text for _, text in sorted(row, key=lambda cell: cell[0])]
        for _, row in sorted(rows.items())
    ]


def row_of(figure, first):
    return [
        text.get_text() for text in next(row for row in cells(figure) if row[0].get_text() == first)
    ]


# --- Figure 4 ---


def test_figure_4_has_the_papers_sixteen_panels_in_the_papers_places(drawn):
    figure, axes = drawn["fig4"], panels(drawn["fig4"])
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


def test_table_1_shows_ours_with_its_interval_and_the_papers_in_grey(drawn, frames):
    own = frames["table1"].query("n_layers == 1 and architecture == 'gru'").infeasible
    low, high = analysis.wilson(int(own.sum()), len(own))
    row = row_of(drawn["table1"], "GRU")
    assert row[1:4] == [
        f"{100 * own.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]",
        str(len(own)),
        "15.5",
    ]  # Table 1: 15.5
    assert row[6] == "3.2" and "paper, 8 layers" in words(drawn["table1"])
    grey = [
        text.get_text()
        for line in cells(drawn["table1"])
        for text in line
        if text.get_color() == GREY
    ]
    assert {"15.5", "56.7", "12.0", "3.2", "44.6"} <= set(grey)


def test_table_1_leaves_the_intersection_rnn_out_at_one_layer(drawn):
    assert row_of(drawn["table1"], "+RNN")[1:4] == ["-", "-", "-"]


def test_table_app_1_sets_the_papers_row_below_ours(drawn, frames):
    figure, table = (
        drawn["tableapp1"],
        analysis.rerun_table(frames["tableapp1"]).set_index("architecture"),
    )
    lines = [[text.get_text() for text in row] for row in cells(figure)]
    place = next(k for k, row in enumerate(lines) if row[0] == "GRU")
    ours, theirs = lines[place], lines[place + 1]
    assert (
        ours[2:4] == [f"{table.original['gru']:.3g}", "20"]
        and ours[6] == f"{table['mean']['gru']:.3g}"
    )
    assert theirs[-10:] == [
        "paper",
        "0.00028",
        "100",
        "1",
        "7.66e-05",
        "0.000189",
        "0.000548",
        "9.08e-05",
        "0.48",
        "0.68",
    ]  # Table App.1


def test_table_app_2_marks_whether_the_signs_agree(drawn, frames):
    table = analysis.welch_table(frames["tableapp2"]).set_index(["n_layers", "first", "second"])
    ours = table.loc[1, "gru", "irnn"]
    row = row_of(drawn["tableapp2"], "GRU - IRNN")
    assert row[1] == f"{ours.t:#.3g}" and row[4:7] == ["-7.74", "696", "< .001"]  # Table App.2
    assert row[7] == ("✓" if ours.t < 0 else "✗")
    assert row_of(drawn["tableapp2"], "+RNN - GRU")[1:8] == ["-"] * 7


def test_table_app_2_has_the_papers_fifteen_pairs_in_its_order(drawn):
    pairs = [row[0].get_text() for row in cells(drawn["tableapp2"])][2:]
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


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", ["smoke", "quick", "overnight"])
def test_no_text_overlaps_another(name, shape, drawn):
    figure = drawn[name] if shape == "quick" else exhibit(name).draw(synthetic.frames(shape)[name])
    figure.draw_without_rendering()
    hidden = [
        label
        for ax in figure.axes
        for axis in (ax.xaxis, ax.yaxis)
        for label in (beyond(axis) if ax.axison else axis.get_ticklabels())
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
    figure.draw_without_rendering()
    assert len(analysis.compare(name, dead)) == len(exhibit(name).claims)
    assert not recwarn.list


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_carries_its_budget_its_task_and_its_alt_text(drawn, frames, name):
    spent, caption = (
        analysis.budget(analysis.rows_of(name, frames[name])),
        figures.caption(name, frames[name]),
    )
    assert (
        str(spent) in caption
        and "parentheses counting (small form)" in caption
        and f"The paper: {exhibit(name).budget}" in caption
    )
    assert (
        drawn[name].alt == figures.alt(name, frames[name])
        and exhibit(name).title in drawn[name].get_suptitle()
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_of_ones_own_is_drawn_beside_the_papers(frames, name):
    own = frames[name].query("architecture == 'gru'")
    both = pd.concat(
        [frames[name], own.assign(architecture="mine", study=own.study.str.replace("gru", "mine"))],
        ignore_index=True,
    )
    assert any("mine" in text for text in words(exhibit(name).draw(both)))


def test_the_gallery_draws_tables_from_the_trials_of_figure_5(frames, tmp_path):
    figures.gallery(tmp_path, {"fig5": frames["fig5"]})
    assert {
        f"{name}.{kind}"
        for name in ("fig5", "table1", "tableapp2")
        for kind in ("png", "svg", "csv")
    } <= {p.name for p in tmp_path.iterdir()}
    ids = set(pd.read_csv(tmp_path / "claims.csv").id)
    assert {"H01", "H02", "H04", "H05", "H06", "H07"} <= ids
