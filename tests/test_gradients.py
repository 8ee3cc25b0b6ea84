"""The figures of states, gates and gradients show what `rnnkit.flow` computed."""

import numpy as np
import pytest

from rnnkit import analysis, figures, flow
from rnnkit.cells import PAPER
from rnnkit.exhibits.style import PALE

T, N = 12, 5


@pytest.fixture(scope="module")
def flows():
    return flow.at_one_setting(steps=T, n_units=N, forget_bias=2.0)


@pytest.fixture(scope="module")
def frame():
    return flow.at_random(PAPER, 12, T, N)


@pytest.fixture(scope="module")
def one(flows):
    return figures.illustrations()["flow"](flows)


@pytest.fixture(scope="module")
def random(frame):
    return figures.illustrations()["gradients"](frame)


def test_each_cell_has_a_column_of_state_gates_and_gradient(one):
    assert [ax.get_title() for ax in one.axes[:6]] == [
        "RNN",
        "IRNN",
        "UGRNN",
        "GRU",
        "LSTM",
        "+RNN",
    ] and len(one.axes) == 18


def test_the_state_of_each_unit_is_a_line(one, flows):
    lines = [line.get_ydata() for line in one.axes[3].lines[:N]]
    np.testing.assert_array_equal(np.transpose(lines), flows["gru"].h_TxMxN[:, 0])


def test_gates_are_named_at_their_ends(one):
    named = [{text.get_text() for text in ax.texts} for ax in one.axes[6:12]]
    assert named == [{"no gate"}, {"no gate"}, {"g"}, {"r", "u"}, {"i", "f", "o"}, {"gy", "gh"}]


def test_a_column_shows_its_own_gradient_in_colour_and_the_others_in_pale(one, flows):
    lines = one.axes[16].lines
    colored = [line for line in lines if line.get_color() != PALE]
    assert len(lines) == 6 and len(colored) == 1
    np.testing.assert_allclose(colored[0].get_ydata(), flows["lstm"].gradient_TxM[:, 0])


def test_medians_and_bands_are_those_of_the_draws(random, frame):
    bands = analysis.gradient_bands(frame)
    part = bands[(bands.architecture == "ugrnn") & (bands.quantity == "trace")]
    median = random.axes[6 + 2].lines[0]
    np.testing.assert_allclose(median.get_ydata(), part.q50)
    assert len(random.axes[6 + 2].collections) == 2


def test_each_cell_says_how_many_draws_vanished_and_exploded(random, frame):
    shares = analysis.gradient_shares(frame).set_index("architecture")
    for ax, architecture in zip(random.axes[:6], PAPER):
        expected = (
            f"vanished {100 * shares.vanished[architecture]:.0f} %\nexploded"
            f" {100 * shares.exploded[architecture]:.0f} %"
        )
        assert [text.get_text() for text in ax.texts] == [expected]


@pytest.mark.parametrize("name", ["one", "random"])
def test_the_caption_says_that_the_figure_is_ours(name, request):
    figure = request.getfixturevalue(name)
    assert figure.caption.startswith(
        "Ours: not in the paper."
    ) and figure.get_suptitle().startswith("Ours: not in the paper")
    assert "RNN" in figure.alt


def test_published_figures_are_written_with_their_points(flows, frame, tmp_path, monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    figures.publish("flow", flows, tmp_path)
    figures.publish("gradients", frame, tmp_path)
    names = {path.name for path in tmp_path.iterdir()} - {"drawn.json", "dark"}
    assert names == {
        f"{stem}.{kind}" for stem in ("flow", "gradients") for kind in ("png", "svg", "csv")
    }
    assert [type(thing).__name__ for thing in shown] == ["Drawing", "Markdown"] * 2


def test_a_figure_of_no_cell_is_refused():
    with pytest.raises(ValueError, match="at least one architecture"):
        figures.illustrations()["flow"]({})
