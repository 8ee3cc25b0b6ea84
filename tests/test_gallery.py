"""What is drawn is what was measured: axes, tables, captions and files held against the trials they
are made of.
"""

import math
import re
import xml.etree.ElementTree as ElementTree
from functools import cache

import matplotlib
import numpy as np
import pandas as pd
import pytest
import synthetic

from rnnkit import analysis, figures, paper
from rnnkit.exhibits.account import account_in, digest_of_trials, note
from rnnkit.exhibits.base import exhibit, exhibits
from rnnkit.exhibits.gallery import keep
from rnnkit.exhibits.style import (
    DARK_COLORS,
    GREY,
    LATER_STYLE,
    NIGHT,
    PAPER_STYLE,
    before_darkness,
    dark_picture,
    for_dark_pages,
)
from rnnkit.exhibits.verdicts import BEGIN, END, write_block
from rnnkit.trials.trial import StoreError

NAMES = ("fig1", "fig2a", "fig2b", "figapp1", "calibration", "best_so_far")


@pytest.fixture(scope="module")
def frames():
    made = synthetic.frames("quick")
    return {"best_so_far": made["fig1"], **made}


@pytest.fixture(scope="module")
def drawn(frames):
    """Each figure, drawn once."""
    return {name: exhibit(name).draw(frames[name]) for name in NAMES}


@pytest.fixture(scope="module")
def gallery(frames, tmp_path_factory):
    """The folder of a gallery of all figures; best_so_far comes with fig1."""
    folder = tmp_path_factory.mktemp("gallery")
    figures.gallery(
        folder, {name: frame for name, frame in frames.items() if name != "best_so_far"}
    )
    return folder


def panels(figure):
    """Panel letter -> axes."""
    return {ax.get_title(loc="left"): ax for ax in figure.axes}


def curves(ax):
    """Label -> plotted (x, y) of the curves in an axes; reference lines have no label of their own."""
    return {
        line.get_label(): line.get_xydata()
        for line in ax.lines
        if not line.get_label().startswith("_")
    }


# --- Figure 1 ---


def test_figure_1_has_the_papers_panels_in_the_papers_places(drawn):
    axes = panels(drawn["fig1"])
    assert set(axes) == {*"abcdefghi", ""}  # and one that holds the legend
    del axes[""]
    drawn["fig1"].draw_without_rendering()
    place = {name: ax.get_window_extent() for name, ax in axes.items()}
    for column in ("abcd", "efgh"):  # all depths, and then one each, from top to bottom
        tops = [place[name].y0 for name in column]
        assert tops == sorted(tops, reverse=True)
    assert all(place[left].x1 < place[right].x0 for left, right in zip("abcd", "efgh"))
    assert place["i"].y1 < min(place["d"].y0, place["h"].y0)


@pytest.mark.parametrize(
    "panel, depth, column",
    [("b", 1, "bits"), ("c", 2, "bits"), ("f", 1, "bits_per_param"), ("g", 2, "bits_per_param")],
)
def test_a_panel_of_figure_1_plots_the_best_trials_of_its_depth(
    drawn, frames, panel, depth, column
):
    best = analysis.stored_bits(frames["fig1"])
    shown = curves(panels(drawn["fig1"])[panel])
    assert set(shown) == {f"{a}/{depth}" for a in best[best.n_layers == depth].architecture}
    for label, points in shown.items():
        own = best[(best.architecture + "/" + best.n_layers.astype(str)) == label]
        np.testing.assert_array_equal(points, own[["num_params", column]].to_numpy(float))


def test_panel_a_shows_all_depths(drawn, frames):
    assert (
        len(curves(panels(drawn["fig1"])["a"]))
        == frames["fig1"].study.nunique() / frames["fig1"].max_params.nunique()
    )


def test_a_depth_that_was_not_trained_says_so(drawn):
    texts = {name: [t.get_text() for t in ax.texts] for name, ax in panels(drawn["fig1"]).items()}
    for name in "dh":
        assert any("depth 4: not trained" in text for text in texts[name])
    assert not any("not trained" in text for name in "abcefg" for text in texts[name])


@pytest.mark.parametrize("panel", "efgh")
def test_the_papers_five_bits_are_a_grey_line(drawn, panel):
    flat = [
        line
        for line in panels(drawn["fig1"])[panel].lines
        if set(line.get_ydata()) == {paper.BITS_PER_PARAMETER}
    ]
    assert [line.get_color() for line in flat] == [GREY]


def test_the_papers_line_in_panel_a_is_five_times_the_parameters(drawn):
    line = next(line for line in panels(drawn["fig1"])["a"].lines if line.get_color() == GREY)
    np.testing.assert_allclose(line.get_ydata() / line.get_xdata(), 5)


def test_the_papers_lines_are_labelled(drawn):
    labels = [text.get_text() for text in panels(drawn["fig1"])["h"].texts]
    assert "paper: 5" in labels
    assert "paper: 5 bits per parameter" in [
        text.get_text() for text in drawn["fig1"].axes[-1].get_legend().get_texts()
    ]


def test_the_table_of_multipliers_reads_x_needs_to_match_y(drawn, frames):
    ax = panels(drawn["fig1"])["i"]
    names = [label.get_text() for label in ax.get_xticklabels()]
    assert (
        names
        == [paper.LABELS[a] for a in paper.ARCHITECTURES]
        == [label.get_text() for label in ax.get_yticklabels()]
    )
    best = analysis.bits_per_param(analysis.stored_bits(frames["fig1"]))
    shown = {
        (text.get_position()[0] - 0.5, text.get_position()[1] - 0.5): text.get_text()
        for text in ax.texts
    }
    for x, needs in enumerate(paper.ARCHITECTURES):
        for y, match in enumerate(paper.ARCHITECTURES):
            both = best[[needs, match]].dropna()
            assert (
                shown[x, y]
                == f"{both.iloc[:, -1 if needs != match else 0].mean() / both.iloc[:, 0].mean():.2f}"
            )


def test_one_architecture_has_no_table_but_a_reason(frames):
    figure = figures.fig1(frames["fig1"][frames["fig1"].architecture == "gru"])
    assert "two architectures" in panels(figure)["i"].texts[0].get_text()


# --- the other figures ---


def test_figure_2a_draws_relu_alone_dashed_and_open(drawn, frames):
    table = figures.points("fig2a", frames["fig2a"])["fig2a"]
    relu = table[table.nonlinearity == "relu"]
    dashed = [
        line for line in drawn["fig2a"].axes[0].lines if line.get_markerfacecolor() == "white"
    ]
    assert [line.get_label() for line in dashed] == ["rnn/1", "ugrnn/1"]
    for line in dashed:
        assert line.get_linestyle() == "--"
        np.testing.assert_array_equal(
            line.get_ydata(), relu[relu.architecture + "/1" == line.get_label()].bits_per_param
        )


def test_figure_2as_best_of_all_is_figure_1bs(frames):
    table = figures.points("fig2a", frames["fig2a"])["fig2a"]
    free = table[table.nonlinearity == "any"].set_index(["architecture", "max_params"]).bits
    fig1 = (
        figures.points("fig1", frames["fig1"])["fig1"]
        .query("n_layers == 1")
        .set_index(["architecture", "max_params"])
        .bits
    )
    pd.testing.assert_series_equal(free, fig1)


def test_figure_2b_plots_bits_per_parameter_against_time_steps(drawn, frames):
    table = analysis.unroll_curve(analysis.stored_bits(frames["fig2b"]))
    for architecture, row in table.iterrows():
        np.testing.assert_array_equal(
            curves(drawn["fig2b"].axes[0])[f"{architecture}/1"], np.column_stack([row.index, row])
        )


def test_figure_app_1_has_the_line_of_equality(drawn):
    line = next(line for line in drawn["figapp1"].axes[0].lines if line.get_color() == GREY)
    np.testing.assert_array_equal(line.get_xdata(), line.get_ydata())


def test_the_calibration_shows_every_feasible_trial(drawn, frames):
    shown = np.concatenate(
        [line.get_xydata() for line in drawn["calibration"].axes[0].lines if line.get_alpha()]
    )
    trials = analysis.per_trial(frames["calibration"]).dropna(subset="bits")
    np.testing.assert_allclose(np.sort(shown[:, 1]), np.sort(trials.bits / trials.num_params))
    np.testing.assert_allclose(np.sort(shown[:, 0]), np.sort(trials.samples / trials.num_params))


def test_the_search_has_a_panel_for_each_depth_and_size(drawn):
    titles = [ax.get_title() for ax in drawn["best_so_far"].axes]
    assert titles == [
        "1 layer, 300 parameters",
        "1 layer, 1K parameters",
        "2 layers, 300 parameters",
        "2 layers, 1K parameters",
    ]


def test_the_search_shows_every_feasible_trial_as_a_dot(drawn, frames):
    dots = np.concatenate(
        [
            line.get_ydata()
            for ax in drawn["best_so_far"].axes
            for line in ax.lines
            if line.get_alpha()
        ]
    )
    trials = analysis.per_trial(frames["fig1"])
    np.testing.assert_array_equal(np.sort(dots), np.sort(trials.bits_per_param))


# --- all figures ---


@pytest.mark.parametrize("name", NAMES)
def test_axes_say_what_they_measure(drawn, name):
    axes = drawn[name].axes
    assert axes[0].get_ylabel() and any(ax.get_xlabel() for ax in axes)


def beyond(axis):
    """Labels of ticks outside of the axis, which exist and are not drawn."""
    low, high = sorted(axis.get_view_interval())
    return [
        tick.label1
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        if not low <= tick.get_loc() <= high
    ]


@cache
def drawn_at(shape, name):
    """The figure of a scale, drawn once for all tests that only look at it."""
    trials = synthetic.frames(shape)
    return exhibit(name).draw({"best_so_far": trials["fig1"], **trials}[name])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", ["smoke", "overnight"])
def test_no_text_overlaps_another(name, shape):
    figure = drawn_at(shape, name)
    figure.draw_without_rendering()
    hidden = [
        label for ax in figure.axes for axis in (ax.xaxis, ax.yaxis) for label in beyond(axis)
    ]
    texts = [
        t
        for t in figure.findobj(matplotlib.text.Text)
        if t not in hidden and t.get_text().strip() and t.get_rotation() in (0, 90)
    ]
    overlaps = []
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
    for i, (one, a) in enumerate(boxes):
        for other, b in boxes[:i]:
            if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1:
                overlaps.append((one, other))
    assert overlaps == []


@pytest.mark.parametrize("name", NAMES)
def test_one_architecture_has_one_colour_in_all_figures(drawn, name):
    for ax in drawn[name].axes:
        for line in ax.lines:
            architecture = line.get_label().split("/")[0]
            if architecture in paper.ARCHITECTURES:
                assert line.get_color() == figures.style_of([architecture])[architecture].color


def test_the_papers_architectures_differ_in_colour_and_in_marker():
    styles = figures.style_of(paper.ARCHITECTURES).values()
    assert len({s.color for s in styles}) == len({s.marker for s in styles}) == 6


def test_cells_of_ones_own_get_colours_that_no_other_has():
    styles = figures.style_of((*paper.ARCHITECTURES, "mingru", "mgu")).values()
    assert len({s.color for s in styles}) == len({s.marker for s in styles}) == 8


def test_drawing_leaves_the_readers_settings_alone(frames):
    before = dict(matplotlib.rcParams)
    figures.fig2b(frames["fig2b"])
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("name", NAMES)
def test_trials_that_all_diverged_are_drawn_with_a_reason(frames, name, recwarn):
    dead = frames[name].assign(infeasible=True, eval_loss=math.nan)
    figure = exhibit(name).draw(dead)
    figure.draw_without_rendering()
    assert any(
        "no bits stored" in text.get_text() or "no feasible trial" in text.get_text()
        for ax in figure.axes
        for text in ax.texts
    )
    assert not recwarn.list


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_without_its_trials_is_refused(frames, name):
    with pytest.raises(ValueError, match=f"{name} needs trials of the capacity task, got 0 trials"):
        exhibit(name).draw(frames[name].iloc[:0])


# --- words ---


@pytest.mark.parametrize("name", NAMES)
def test_a_caption_states_trials_steps_scale_and_seed(frames, name):
    spent = analysis.budget(analysis.rows_of(name, frames[name]))
    text = figures.caption(name, frames[name])
    assert f"{spent.studies} studies of 32 trials" in text
    assert f"{spent.steps[0]:,}-{spent.steps[1]:,} training steps" in text
    assert "scale quick, seed 0" in text
    assert f"{spent.infeasible} of {spent.trials} trials diverged" in text


def test_a_caption_sets_the_papers_budget_beside_ours(frames):
    assert (
        "The paper: 1000+ trials per point, 50,000-20,000,000 training steps each."
        in figures.caption("fig1", frames["fig1"])
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_carries_its_budget_and_its_alt_text(drawn, frames, name):
    assert "32 trials" in drawn[name].get_suptitle()
    assert drawn[name].alt == figures.alt(name, frames[name])


def test_alt_text_names_the_best_of_each_architecture(frames):
    best = analysis.stored_bits(frames["fig1"]).groupby("architecture").bits_per_param.max()
    assert f"RNN {best['rnn']:.2f}, IRNN {best['irnn']:.2f}" in figures.alt("fig1", frames["fig1"])


def test_a_notebook_shows_a_figure_with_its_alt_text(drawn):
    data, metadata = drawn["fig2b"]._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain"}
    assert metadata["image/png"]["alt"] == data["text/plain"] == drawn["fig2b"].alt


def test_publishing_shows_a_figure_with_its_caption_and_writes_it_where_asked(
    frames, tmp_path, monkeypatch
):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    figures.publish("start", frames["fig1"], out=tmp_path)
    assert shown[0].alt == figures.alt("best_so_far", frames["fig1"])
    assert shown[1].data == figures.caption("best_so_far", frames["fig1"])
    assert (tmp_path / "best_so_far.png").exists()
    below = tmp_path / "best_so_far.png" / "below"
    with pytest.raises(
        StoreError, match="best_so_far cannot be written to .*: a file is in the way"
    ):
        figures.publish("start", frames["fig1"], out=below)


# --- files ---


def test_save_writes_png_svg_and_the_points_as_csv(drawn, frames, tmp_path):
    paths = figures.save(
        drawn["fig2b"], "fig2b", tmp_path, figures.points("fig2b", frames["fig2b"])["fig2b"], "alt"
    )
    assert (
        sorted(path.relative_to(tmp_path).as_posix() for path in paths)
        == sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
        == ["dark/fig2b.png", "fig2b.csv", "fig2b.png", "fig2b.svg"]
    )


def test_clipping_paths_are_numbered_since_their_coordinates_vary_from_run_to_run(drawn, tmp_path):
    figures.save(drawn["fig2b"], "fig2b", tmp_path, {}, "alt")
    svg = (tmp_path / "fig2b.svg").read_text()
    names = re.findall('<clipPath id="(.*?)"', svg)
    assert names == [f"fig2b-clip{number}" for number in range(len(names))]
    assert set(re.findall(r"url\(#(.*?)\)", svg)) == set(names) != set()


def test_a_file_of_somebody_else_is_seen_before_a_figure_is_rendered(drawn, tmp_path, monkeypatch):
    (tmp_path / "fig2b.svg").write_text("mine")
    monkeypatch.setattr("rnnkit.exhibits.account.PATIENCE", 0)
    monkeypatch.setattr(drawn["fig2b"], "savefig", lambda *_, **__: pytest.fail("it was rendered"))
    with pytest.raises(StoreError, match="fig2b.svg is there already"):
        keep(drawn["fig2b"], "fig2b", tmp_path, {}, "alt", "")


def test_files_that_a_figure_no_longer_has_are_removed_unless_somebody_changed_them(tmp_path):
    for name in ("old.png", "changed.png", "new.csv"):
        (tmp_path / name).write_text(name)
    note(tmp_path, "table", [tmp_path / "old.png", tmp_path / "changed.png"])
    (tmp_path / "changed.png").write_text("by hand")
    note(tmp_path, "table", [tmp_path / "new.csv"])
    assert sorted(path.name for path in tmp_path.glob("*.*g")) == ["changed.png"]
    assert list(account_in(tmp_path)["table"]["files"]) == ["new.csv"]


def test_a_picture_for_dark_pages_exchanges_black_and_white_and_keeps_hues(drawn, frames, tmp_path):
    figures.save(drawn["fig2b"], "fig2b", tmp_path, frames["fig2b"], "alt")
    light, dark = (
        matplotlib.image.imread(tmp_path / folder / "fig2b.png")[..., :3] for folder in ("", "dark")
    )
    assert light.shape == dark.shape
    np.testing.assert_allclose(255 * dark[0, 0], NIGHT, atol=0.5)
    colours = np.array([[[0, 0, 0], [255, 255, 255], [0, 114, 178]]])  # the last is the RNN's blue
    black, white, blue = for_dark_pages(colours)[0]
    assert black.tolist() == [255] * 3 and white.tolist() == list(NIGHT)
    assert blue[0] < blue[1] < blue[2] and blue.sum() > colours[0, 2].sum()


def _contrast(one, other) -> float:
    """Contrast of two colours, RGB of 0 to 1, after WCAG 2."""
    lights = []
    for color in (one, other):
        rgb = np.asarray(color, float)
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        lights.append(float(linear @ (0.2126, 0.7152, 0.0722)))
    return (max(lights) + 0.05) / (min(lights) + 0.05)


@pytest.mark.parametrize("name", [*PAPER_STYLE, *LATER_STYLE])
def test_every_architecture_stands_out_on_a_dark_page(name):
    """In WCAG's terms 3 is enough for lines and markers."""
    color = matplotlib.colors.to_rgb((PAPER_STYLE | LATER_STYLE)[name].color)
    if name in DARK_COLORS:
        color = before_darkness(DARK_COLORS[name])
        expected = 255 * np.array(matplotlib.colors.to_rgb(DARK_COLORS[name]))
        pixel = for_dark_pages(np.rint(255 * color)[None, None])[0, 0]
        np.testing.assert_allclose(pixel, expected, atol=2)
    pixel = for_dark_pages(np.rint(255 * np.array(color))[None, None])[0, 0]
    assert _contrast(pixel / 255, np.array(NIGHT) / 255) >= 3


def test_a_picture_for_dark_pages_leaves_the_figure_as_it_is(frames):
    figure = exhibit("fig2b").draw(frames["fig2b"])
    before = [line.get_color() for line in figure.axes[0].lines]
    pixels = dark_picture(figure).reshape(-1, 3).tolist()
    assert [line.get_color() for line in figure.axes[0].lines] == before
    lstm = 255 * np.array(matplotlib.colors.to_rgb(DARK_COLORS["lstm"]))
    assert np.abs(np.array(pixels) - lstm).max(-1).min() <= 2


def test_numbers_of_a_coloured_table_stand_out_from_their_ground(drawn):
    ax = panels(drawn["fig1"])["i"]
    (cells,) = ax.collections
    grounds = cells.cmap(cells.norm(cells.get_array())).reshape(-1, 4)[:, :3]
    assert len(ax.texts) == len(grounds)
    for text, ground in zip(ax.texts, grounds):
        assert _contrast(matplotlib.colors.to_rgb(text.get_color()), ground) >= 4.5


@pytest.mark.parametrize("shape", ["smoke", "overnight"])
@pytest.mark.parametrize("name", NAMES)
def test_every_label_can_be_read_on_a_page_850_pixels_wide(name, shape):
    figure = drawn_at(shape, name)
    pixels = 850 / 72 / figure.get_figwidth()
    sizes = [
        text.get_fontsize() * pixels
        for text in figure.findobj(matplotlib.text.Text)
        if text.get_text().strip()
    ]
    assert min(sizes) > 10


def test_a_best_trial_has_a_line_to_what_half_of_its_search_would_have_found(drawn, frames):
    table = figures.points("fig2b", frames["fig2b"])["fig2b"]
    ends = [
        tuple(path.vertices[:, 1])
        for lines in drawn["fig2b"].axes[0].collections
        for path in lines.get_paths()
    ]
    np.testing.assert_allclose(
        sorted(ends), sorted(zip(table.bits_per_param_low, table.bits_per_param))
    )


def test_the_csv_holds_what_is_plotted(drawn, gallery):
    table = pd.read_csv(gallery / "fig1.csv")
    for panel, column in (("a", "bits"), ("e", "bits_per_param")):
        shown = curves(panels(drawn["fig1"])[panel])
        assert len(shown) == len(table) / 2
        for (architecture, depth), own in table.groupby(["architecture", "n_layers"]):
            np.testing.assert_allclose(
                shown[f"{architecture}/{depth}"],
                own[["num_params", column]].to_numpy(float),
                rtol=1e-12,
            )


def test_the_table_of_multipliers_has_a_csv_of_its_own(gallery, frames):
    table = pd.read_csv(gallery / "fig1i.csv")
    pd.testing.assert_frame_equal(
        table, analysis.multipliers(analysis.stored_bits(frames["fig1"])), check_dtype=False
    )


def test_the_same_trials_give_the_same_bytes(frames, tmp_path):
    for folder in ("one", "two"):
        figures.save(
            figures.fig2b(frames["fig2b"]),
            "fig2b",
            tmp_path / folder,
            figures.points("fig2b", frames["fig2b"]),
            "alt",
        )
    for name in ("fig2b.svg", "fig2b.png", "fig2b.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_svg_keeps_text_as_text_and_has_no_date(drawn, frames, tmp_path):
    figures.save(
        drawn["fig2b"], "fig2b", tmp_path, figures.points("fig2b", frames["fig2b"]), "what is seen"
    )
    tree = ElementTree.parse(tmp_path / "fig2b.svg")
    words = {"".join(node.itertext()) for node in tree.iter("{http://www.w3.org/2000/svg}text")}
    assert {"time steps unrolled", "bits per parameter", "UGRNN"} <= words
    content = (tmp_path / "fig2b.svg").read_text()
    assert "dc:date" not in content and "what is seen" in content


def test_a_png_has_at_least_150_dots_per_inch(drawn, frames, tmp_path):
    path = figures.save(
        drawn["fig2b"], "fig2b", tmp_path, figures.points("fig2b", frames["fig2b"]), "alt"
    )[0]
    height, width, _ = matplotlib.image.imread(path).shape
    assert (
        width >= 150 * drawn["fig2b"].get_figwidth()
        and height >= 150 * drawn["fig2b"].get_figheight()
    )


def test_the_gallery_shows_every_figure_with_caption_budget_and_verdicts(frames, gallery):
    text = (gallery / "README.md").read_text()
    for name in NAMES:
        assert f"]({name}.png)" in text and f"]({name}.svg)" in text
        assert figures.caption(name, frames[name]) in text
        for claim in analysis.compare(name, frames[name]).itertuples():
            assert (
                f"| {claim.id}: {claim.claim} | {claim.paper} |" in text
                and f"**{claim.verdict}** | {claim.evidence} |" in text
            )
    assert "Budget: 704 trials" in text


def test_the_gallery_writes_all_verdicts_as_a_table(gallery):
    ids = [id for name, figure in exhibits().items() if name in NAMES for id in figure.claims]
    assert pd.read_csv(gallery / "claims.csv").id.tolist() == ids


def test_every_link_of_the_gallery_leads_to_a_file_or_a_section(gallery):
    text = (gallery / "README.md").read_text()
    links = [part.split(")")[0] for part in text.split("](")[1:]]
    sections = [link for link in links if link.startswith("#")]
    titles = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    plain = ["".join(c for c in title.lower() if c.isalnum() or c in " -_") for title in titles]
    assert sections == [f"#{title.replace(' ', '-')}" for title in plain]
    files = [link for link in links if link not in sections]
    assert len(files) >= 3 * len(NAMES) and all((gallery / link).exists() for link in files)


def test_the_gallery_opens_with_who_trained_its_trials_and_with_an_index_of_verdicts(gallery):
    text = (gallery / "README.md").read_text()
    head = text.split("\n## ")[0]
    assert text.count("Trained by rnnkit") == 1 and "Trained by rnnkit" in head
    verdicts = pd.read_csv(gallery / "claims.csv")
    (row,) = [line for line in head.splitlines() if line.startswith("| [Figure 2b](#figure-2b) |")]
    assert f"{verdicts.set_index('id').verdict['C10']}: C10" in row


def test_a_gallery_of_no_figure_is_refused(frames, tmp_path):
    with pytest.raises(ValueError, match="got fig9"):
        figures.gallery(tmp_path, {"fig9": frames["fig1"]})


def test_each_table_is_computed_once_for_a_figure(frames, tmp_path, monkeypatch):
    computed = []
    tables = exhibit("fig2b").tables
    table = tables["fig2b"]
    monkeypatch.setitem(tables, "fig2b", lambda trials: computed.append(1) or table(trials))
    figures.draw_into(tmp_path, "fig2b", frames["fig2b"])
    assert len(computed) == 1


def test_a_changed_frame_gives_changed_tables(frames):
    frame = frames["fig2b"].copy()
    first = figures.points("fig2b", frame)["fig2b"]
    frame.loc[~frame.infeasible, ["train_loss", "valid_loss", "eval_loss"]] *= 2
    assert (figures.points("fig2b", frame)["fig2b"].bits > first.bits).all()


def test_any_other_trial_is_another_figure(frames):
    frame = frames["fig2b"]
    digest = digest_of_trials
    changed = [
        frame.iloc[1:],
        frame.assign(eval_loss=frame.eval_loss * 1.0001),
        frame.assign(hparams=[{}] * len(frame)),
        frame.assign(version="9"),
    ]
    assert len({digest(frame), *map(digest, changed)}) == 5 and digest(
        frame.assign(experiment="x")
    ) == digest(frame.copy())


def test_the_verdicts_of_a_readme_are_written_between_its_marks_alone(frames, tmp_path):
    readme = tmp_path / "README.md"
    claims = figures.claims_of(
        {"fig1": {"claims": analysis.compare("fig1", frames["fig1"]).to_dict("records")}}
    )
    assert not write_block(readme, claims, 7) and not readme.exists()
    readme.write_text(f"before\n{BEGIN}\nDear diary,\n{END}\nafter\n")
    assert write_block(readme, claims, 7)
    text = readme.read_text()
    assert (
        text.startswith("before\n")
        and text.endswith("\nafter\n")
        and "diary" not in text
        and "from the 7 trials" in text
    )
    decided = claims[claims.verdict.isin([analysis.HOLDS, analysis.FAILS])]
    assert 0 < len(decided) < len(claims)  # the page has what is decided, the gallery has all
    assert text.count("\n| ") == 1 + len(decided)
    assert all(
        f"| {claim.id}: {claim.claim} | {claim.paper} |" in text for claim in decided.itertuples()
    )


@pytest.mark.parametrize(
    ("tuner", "words"),
    [
        ("gp", "starts cold"),
        ("gp-usual", "starts from usual values"),
        ("mine", "by the tuner mine"),
    ],
)
def test_a_caption_says_how_the_hyperparameters_were_chosen(tuner, words):
    frame = synthetic.frames("smoke")["fig1"].assign(tuner=tuner)
    assert words in figures.caption("fig1", frame)
