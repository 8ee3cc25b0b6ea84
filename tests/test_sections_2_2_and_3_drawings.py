"""Figures 2c and 3 and the cost of a step: what is drawn is what was measured, and a stand-in for
text8 is labelled as one.
"""

import math

import matplotlib
import numpy as np
import pandas as pd
import pytest
import synthetic

from rnnkit import analysis, figures, paper
from rnnkit.exhibits.base import exhibit
from rnnkit.exhibits.best_trials import best_losses
from rnnkit.exhibits.section_2_2 import LEAST_EXCESS
from rnnkit.exhibits.style import GREY
from rnnkit.theory import RANDOM_FUNCTION, memorised_loss

NAMES = ("fig2c", "g01", "fig3")


def frame_of(name, shape="quick"):
    trials = {"smoke": 2, "quick": 12, "overnight": 24}[shape]
    depths = (1, 2, 4) if shape == "overnight" else (1, 2)
    if name == "fig3":
        text, sizes = (
            ("paper", (5_000, 20_000, 80_000))
            if shape == "overnight"
            else ("small sample", (2_000, 8_000))
        )
        sizes = (2_000,) if shape == "smoke" else sizes
        return synthetic.similar(text=text, sizes=sizes, trials=trials, depths=depths, scale=shape)
    units = (8, 16, 20) if shape == "smoke" else (16, 32, 48, 56, 64, 72, 96)
    return synthetic.memory(units=units, trials=trials, depths=depths, scale=shape)


@pytest.fixture(scope="module")
def frames():
    return {name: frame_of(name) for name in NAMES}


@pytest.fixture(scope="module")
def drawn(frames):
    return {name: exhibit(name).draw(frames[name]) for name in NAMES}


def panels(figure):
    """Panel letter -> axes."""
    return {ax.get_title(loc="left"): ax for ax in figure.axes if ax.get_title(loc="left")}


def curves(ax):
    """Label -> plotted (x, y) of the curves in an axes; reference lines have no label of their own."""
    return {
        line.get_label(): line.get_xydata()
        for line in ax.lines
        if not line.get_label().startswith("_")
    }


def words(figure):
    return [
        text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip()
    ]


# --- Figure 2c ---


def test_figure_2c_shows_all_architectures_and_depths_in_one_panel(drawn, frames):
    points = analysis.memory_errors(frames["fig2c"])
    shown = curves(panels(drawn["fig2c"])["c"])
    assert set(shown) == set(points.architecture + "/" + points.n_layers.astype(str))
    for label, xy in shown.items():
        own = points[points.architecture + "/" + points.n_layers.astype(str) == label]
        np.testing.assert_array_equal(xy, own[["n_units", "loss"]].to_numpy(float))


def test_the_bound_is_a_grey_line_from_one_to_zero_at_as_many_units_as_inputs(drawn):
    grey = [line for line in panels(drawn["fig2c"])["c"].lines if line.get_color() == GREY]
    units, bound = grey[0].get_xydata().T
    np.testing.assert_allclose(bound, np.clip(1 - units / 64, 0, None))
    assert any("not a fit" in text for text in words(drawn["fig2c"]))


def test_the_number_of_inputs_is_a_black_vertical_line_in_both_panels(drawn):
    for ax in drawn["fig2c"].axes:
        upright = [line for line in ax.lines if set(line.get_xdata()) == {64}]
        assert [line.get_color() for line in upright] == ["black"]


def test_the_excess_is_a_panel_of_our_own(drawn, frames):
    ax = drawn["fig2c"].axes[1]
    points = analysis.memory_errors(frames["fig2c"])
    assert ax.get_title().startswith("ours") and not ax.get_title(loc="left")
    one = points[(points.architecture == "gru") & (points.n_layers == 1)]
    np.testing.assert_allclose(curves(ax)["gru/1"][:, 1], one.excess)


def test_an_excess_too_small_for_the_axis_is_drawn_at_its_end():
    figure = figures.fig2c(synthetic.memory(excess=0, noise=0, trials=2, infeasible=0))
    assert {y for xy in curves(figure.axes[1]).values() for y in xy[:, 1]} == {LEAST_EXCESS}


# --- the cost of a step ---


@pytest.mark.parametrize(
    "panel, x, y",
    [(0, "num_params", "seconds"), (1, "n_units", "seconds"), (3, "n_units", "multiplications")],
)
def test_the_cost_of_a_step_is_drawn_against_parameters_and_units(drawn, frames, panel, x, y):
    costs = analysis.step_costs(frames["g01"])
    own = costs[(costs.architecture == "lstm") & (costs.n_layers == 2)].sort_values(x)
    np.testing.assert_allclose(
        curves(drawn["g01"].axes[panel])["lstm/2"], own[[x, y]].to_numpy(float)
    )


def test_the_guides_have_slopes_one_and_two(drawn):
    for ax, slope in zip(drawn["g01"].axes, (1, 2, 1, 2)):
        (guide,) = [line for line in ax.lines if line.get_color() == GREY]
        (x0, y0), (x1, y1) = guide.get_xydata()
        assert math.log(y1 / y0) / math.log(x1 / x0) == pytest.approx(slope)


# --- Figure 3 ---


def test_figure_3_has_the_papers_panels_in_the_papers_places(drawn):
    axes = panels(drawn["fig3"])
    assert set(axes) == set("abcdefg")
    drawn["fig3"].draw_without_rendering()
    place = {name: ax.get_window_extent() for name, ax in axes.items()}
    order = sorted(place, key=lambda name: (-round(place[name].y0), place[name].x0))
    assert "".join(order) == "abcdefg"  # as one reads, two in a row


@pytest.mark.parametrize(
    "panel, task, depth, x",
    [
        ("a", "text8", 1, "num_params"),
        ("b", "text8", 2, "num_params"),
        ("d", "text8", 1, "n_units"),
        ("e", "rcf", 1, "num_params"),
        ("f", "rcf", 2, "num_params"),
    ],
)
def test_a_panel_of_figure_3_plots_the_best_trials_of_its_task_and_depth(
    drawn, frames, panel, task, depth, x
):
    points = best_losses(frames["fig3"])
    points = points[(points.task_type == task) & (points.n_layers == depth)]
    shown = {label.split("/")[0]: xy for label, xy in curves(panels(drawn["fig3"])[panel]).items()}
    assert set(shown) == set(points.architecture)
    for architecture, xy in shown.items():
        own = points[points.architecture == architecture].sort_values(x)
        np.testing.assert_array_equal(xy, own[[x, "loss"]].to_numpy(float))


def test_a_depth_that_was_not_trained_says_so(drawn):
    for name, ax in panels(drawn["fig3"]).items():
        assert any("depth 4: not trained" in text.get_text() for text in ax.texts) == (name in "cg")


def test_a_task_that_was_not_trained_says_so(frames):
    figure = figures.fig3(frames["fig3"].query("task_type == 'rcf'"))
    for name in "abcd":
        assert any("not trained" in text.get_text() for text in panels(figure)[name].texts)


def test_every_panel_of_the_sample_says_that_it_is_not_text8(drawn, frames):
    for name in "abcd":
        assert "Shakespeare sample, not text8" in panels(drawn["fig3"])[name].get_title()
    assert "Shakespeare sample, not text8" in figures.caption("fig3", frames["fig3"])
    assert "Shakespeare sample, not text8" in figures.alt("fig3", frames["fig3"])


def test_text8_itself_is_called_text8_and_shows_what_others_found():
    frame = frame_of("fig3", "overnight")
    figure = figures.fig3(frame)
    crosses = [line.get_xydata() for line in panels(figure)["a"].lines if line.get_marker() == "x"]
    assert sorted(map(tuple, np.concatenate(crosses))) == sorted(
        point for points in paper.TEXT8_ANCHORS[1].values() for point in points
    )
    assert not any(
        "Shakespeare" in text for text in words(figure)
    ) and "recalled" in figures.caption("fig3", frame)


def test_the_sample_shows_nothing_that_others_found_on_text8(drawn, frames):
    assert not [line for ax in drawn["fig3"].axes for line in ax.lines if line.get_marker() == "x"]
    assert "recalled" not in figures.caption("fig3", frames["fig3"])


@pytest.mark.parametrize("panel, value", [("a", math.log2(27)), ("e", 1.0)])
def test_chance_is_a_grey_line(drawn, panel, value):
    flat = [line for line in panels(drawn["fig3"])[panel].lines if set(line.get_ydata()) == {value}]
    assert [line.get_color() for line in flat] == [GREY]


def test_a_sample_for_each_parameter_is_a_grey_curve(drawn):
    (curve,) = [
        line for line in panels(drawn["fig3"])["e"].lines if line.get_label() == "_memorised"
    ]
    x, y = curve.get_xydata().T
    np.testing.assert_allclose(y, memorised_loss(x, **RANDOM_FUNCTION["small"]))


def test_panels_of_a_task_share_their_axis(drawn):
    axes = panels(drawn["fig3"])
    assert (
        len({axes[name].get_ylim() for name in "abcd"})
        == len({axes[name].get_ylim() for name in "efg"})
        == 1
    )


# --- all three ---


def beyond(axis):
    """Labels of ticks outside of the axis, which exist and are not drawn."""
    low, high = sorted(axis.get_view_interval())
    return [
        tick.label1
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        if not low <= tick.get_loc() <= high
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", ["smoke", "overnight"])
def test_no_text_overlaps_another(name, shape):
    figure = exhibit(name).draw(frame_of(name, shape))
    figure.draw_without_rendering()
    hidden = [
        label for ax in figure.axes for axis in (ax.xaxis, ax.yaxis) for label in beyond(axis)
    ]
    hidden += [
        label
        for ax in figure.axes
        if not ax.axison
        for label in (*ax.get_xticklabels(), *ax.get_yticklabels())
    ]
    texts = [
        t
        for t in figure.findobj(matplotlib.text.Text)
        if t not in hidden and t.get_text().strip() and t.get_visible()
    ]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
    overlaps = []
    for i, (one, a) in enumerate(boxes):
        for other, b in boxes[:i]:
            if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1:
                overlaps.append((one, other))
    assert overlaps == []


@pytest.mark.parametrize("name", NAMES)
def test_trials_that_all_diverged_are_drawn_with_a_reason(frames, name, recwarn):
    dead = frames[name].assign(infeasible=True, eval_loss=math.nan, valid_loss=math.nan)
    figure = exhibit(name).draw(dead)
    figure.draw_without_rendering()
    assert any("no feasible trial" in text for text in words(figure)) and not recwarn.list


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_without_its_trials_is_refused(frames, name):
    with pytest.raises(ValueError, match=f"{name} needs trials of the .* task, got 0 trials"):
        exhibit(name).draw(frames[name].iloc[:0])


@pytest.mark.parametrize("name", NAMES)
def test_a_caption_states_trials_scale_task_and_depths(frames, name):
    text = figures.caption(name, frames[name])
    for part in ("studies of 12 trials", "scale quick, seed 0", "(small form)", "depths 1, 2"):
        assert part in text


def test_a_caption_of_many_sizes_gives_units_and_a_range(frames):
    assert "parameters; 16, 32, 48, 56, 64, 72, 96 units per layer" in figures.caption(
        "fig2c", frames["fig2c"]
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_csv_holds_what_is_plotted(frames, name, tmp_path):
    figure = exhibit(name).draw(frames[name])
    figures.save(figure, name, tmp_path, figures.points(name, frames[name]), figure.alt)
    table = pd.read_csv(tmp_path / f"{name}.csv")
    x, y = {
        "fig2c": ("n_units", "loss"),
        "g01": ("num_params", "seconds"),
        "fig3": ("num_params", "loss"),
    }[name]
    part = table[table.task_type == "text8"] if name == "fig3" else table
    own = part[(part.architecture == "gru") & (part.n_layers == 1)].sort_values(x)
    np.testing.assert_allclose(
        curves(figure.axes[0])["gru/1"], own[[x, y]].to_numpy(float), rtol=1e-12
    )


def test_the_gallery_shows_them_in_the_papers_order_with_the_cost_beside_figure_2c(
    frames, tmp_path
):
    figures.gallery(
        tmp_path, {name: frames[name].query("architecture == 'gru'") for name in ("fig3", "fig2c")}
    )
    text = (tmp_path / "README.md").read_text()
    places = [text.index(f"## {exhibit(name).title}\n") for name in NAMES]
    assert places == sorted(places)
    assert set(pd.read_csv(tmp_path / "claims.csv").id) == {
        id for name in NAMES for id in exhibit(name).claims
    }
