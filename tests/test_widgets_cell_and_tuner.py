"""Inside a cell and The tuner thinks: what they draw is what `flow` and the tuner say."""

import asyncio
import math
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from rnnkit import flow
from rnnkit.tuner import GPTuner, RandomTuner, warp_losses
from rnnkit.widgets import WIDGETS, inside_a_cell, theme_for, tuner_thinks, widget

VALUES = {
    "architecture": "lstm",
    "recurrent_scale": 0.7,
    "forget_bias": 2.0,
    "nonlinearity": "its own",
    "presentation": "impulse",
}


def drawn(module, **values):
    """The figure and the sentence for these values."""
    panel = module.widget()
    panel.state |= {name: value for name, value in values.items() if name in panel.state}
    figure = panel.figure()
    figure.clear()
    return figure, module.draw(figure, theme_for(), **panel.values | values)


# --- inside a cell ---


def test_the_state_gates_and_gradient_are_those_of_the_flow():
    figure, sentence = drawn(inside_a_cell, **VALUES, bias_0=-1.0, bias_1=0.5)
    setting = flow.setting("lstm", 0.7, 1.0, 2.0, biases={"i": -1.0, "f": 0.5})
    seen = flow.flow("lstm", setting, inside_a_cell.STEPS, inside_a_cell.UNITS)
    state, gate, back = figure.axes
    np.testing.assert_allclose(
        np.transpose([line.get_ydata() for line in state.lines]), seen.h_TxMxN[:, 0]
    )
    for line, values in zip(gate.lines, seen.gates.values()):
        np.testing.assert_allclose(line.get_ydata(), values[:, 0].mean(1))
    bold = max(back.lines, key=lambda line: line.get_linewidth())
    np.testing.assert_allclose(bold.get_ydata(), seen.gradient_TxM[::-1, 0])
    assert f"{seen.gradient_TxM[0, 0]:.2g}" in sentence and sentence.startswith("LSTM")


def test_the_other_cells_are_drawn_at_the_same_setting():
    figure, _ = drawn(inside_a_cell, **VALUES)
    back = figure.axes[2]
    assert {text.get_text() for text in back.texts} == {
        "RNN",
        "IRNN",
        "UGRNN",
        "GRU",
        "LSTM",
        "+RNN",
    }
    seen = flow.flow(
        "ugrnn", flow.setting("ugrnn", 0.7, 1.0, 2.0), inside_a_cell.STEPS, inside_a_cell.UNITS
    )
    assert any(np.allclose(line.get_ydata(), seen.gradient_TxM[::-1, 0]) for line in back.lines)


def test_relu_is_drawn_where_the_cell_has_the_choice():
    relu, tanh = (
        drawn(inside_a_cell, **VALUES | {"architecture": "rnn", "nonlinearity": s})[0].axes[0].lines
        for s in ("relu", "tanh")
    )
    assert (
        min(line.get_ydata().min() for line in relu)
        == 0
        > min(line.get_ydata().min() for line in tanh)
    )


def test_a_cell_without_gates_says_so():
    figure, sentence = drawn(inside_a_cell, **VALUES | {"architecture": "irnn"})
    assert [text.get_text() for text in figure.axes[1].texts] == [
        "no gate"
    ] and "It has no gate." in sentence


def test_a_gradient_that_vanished_or_burst_stays_on_the_axis():
    for scale, s in ((0.1, "tanh"), (2.0, "relu")):
        figure, _ = drawn(
            inside_a_cell,
            **VALUES | {"architecture": "rnn", "recurrent_scale": scale, "nonlinearity": s},
        )
        assert all(
            np.isfinite(line.get_ydata()).all() and (line.get_ydata() > 0).all()
            for line in figure.axes[2].lines
        )
        assert all(1e-7 <= text.get_position()[1] <= 1e3 for text in figure.axes[2].texts)


def test_the_sliders_are_named_after_the_cells_gates():
    panel = widget("inside_a_cell")
    panel.make()
    assert [panel.live[f"bias_{k}"].description for k in range(2)] == ["bias of r", "bias of u"]
    assert panel.live["bias_2"].layout.display == "none"
    panel.live["architecture"].value = "lstm"
    assert [panel.live[f"bias_{k}"].description for k in range(3)] == [
        "bias of i",
        "bias of f",
        "bias of o",
    ]
    assert panel.live["bias_2"].layout.display is None
    panel.live["architecture"].value = "rnn"
    assert all(panel.live[f"bias_{k}"].layout.display == "none" for k in range(3))


# --- the tuner thinks ---


@pytest.mark.parametrize("factor", [1, -1])
def test_the_warped_axis_has_round_values_where_trials_of_that_score_lie(factor):
    task = replace(tuner_thinks.problems()["wave"], factor=factor)
    losses = np.array([-0.5, -0.4, -0.1, 0.3, 2.0, math.nan])
    warp = tuner_thinks.Warp(losses)
    heard = warp_losses(losses)
    ax = Figure().subplots()
    ax.plot(range(5), heard[:5])
    tuner_thinks._draw_scores(ax, task, warp)
    low, high = ax.get_ylim()
    heights = ax.get_yticks()
    values = [float(label.get_text()) for label in ax.get_yticklabels()]
    assert len(values) > 3 and all(round(value, 2) == value for value in values)
    assert min(np.diff(sorted(heights))) > 0.1 * (high - low)
    for height, value in zip(heights, values):  # a score lies between those of its neighbours
        below = losses[:5] < factor * value - 1e-9
        above = losses[:5] > factor * value + 1e-9
        assert all(heard[:5][below] < height) and all(heard[:5][above] > height)


def test_the_line_and_the_band_are_the_tuners_posterior():
    panel = tuner_thinks.widget("wave", 6)
    points = panel.state["points"]
    losses = panel.state["losses"]
    figure, _ = drawn(
        tuner_thinks,
        problem="wave",
        **{name: panel.state[name] for name in ("points", "losses", "next_point")},
    )
    tuner = GPTuner(tuner_thinks.problems()["wave"].space, 0, round_size=tuner_thinks.FIRST)
    tuner.observe([{"x": x} for (x,) in points], losses)
    x = np.linspace(0, 1, tuner_thinks.LINE)
    mean, std, improvement = tuner.posterior([{"x": float(u)} for u in x])
    top, bottom = figure.axes
    lines = {line.get_label(): line for line in top.lines}
    np.testing.assert_allclose(lines["expected"].get_ydata(), mean)
    np.testing.assert_allclose(
        lines["trials"].get_ydata(), warp_losses(losses)[np.isfinite(losses)]
    )
    np.testing.assert_allclose(bottom.lines[0].get_ydata(), improvement)
    bands = {band.get_label(): band for band in top.collections}
    for label, deviation in (
        ("its mean, 95 %", std),
        ("a trial, 95 %", np.hypot(std, tuner.noise())),
    ):
        above = bands[label].get_paths()[0].vertices[:, 1].max()
        assert above == pytest.approx((mean + 2 * deviation).max())


def test_what_is_told_is_said_in_the_units_that_were_measured():
    losses = (3.0, 1.0, float("nan"), 2.0, 10.0)
    warp = tuner_thinks.Warp(losses)
    heard = warp_losses(losses)[np.isfinite(losses)]
    np.testing.assert_allclose(warp.as_measured(heard), np.array(losses)[np.isfinite(losses)])
    np.testing.assert_allclose(warp.as_heard(warp.as_measured(heard)), heard, atol=1e-12)


def test_the_band_holds_the_trials_that_it_says():
    """Networks are noisy: of many trials, as good as all lie in the band of a trial."""
    panel = tuner_thinks.widget("rate", 24)
    state = panel.state
    trials = tuner_thinks.Trials("rate", 0, state["points"], state["losses"])
    tuner = tuner_thinks.tuner_of(trials)
    heard = warp_losses(state["losses"])
    mean, std, _ = tuner.posterior([tuner.space.point(values) for values in state["points"]])
    inside = np.abs(heard - mean) <= 2 * np.hypot(std, tuner.noise())
    assert inside.mean() > 0.85


def test_what_is_asked_for_is_what_the_tuner_suggests():
    panel = tuner_thinks.widget("hills", 8)
    space = tuner_thinks.problems()["hills"].space
    tuner = GPTuner(space, 0, round_size=tuner_thinks.FIRST)
    for k, values in enumerate((*panel.state["points"], panel.state["next_point"])):
        assert list(values) == space.values(tuner.suggest(1, start=k)[0])
        tuner.observe([space.point(values)], [tuner_thinks._hills(space.point(values))])


def test_the_landscape_is_branins():
    """Its three minima are 0.397887 (Dixon & Szego 1978), one of them at (pi, 2.275) of [-5, 10] x
    [0, 15].
    """
    assert (
        abs(100 * tuner_thinks._hills({"x": (math.pi + 5) / 15, "y": 2.275 / 15}) - 0.397887) < 1e-5
    )


@pytest.mark.parametrize("problem, better", [("wave", -0.3385), ("hills", 0.02)])
def test_twenty_trials_find_what_random_search_does_not(problem, better):
    """The thresholds lie between the median of 20 random trials over ten seeds and the least value."""
    panel = tuner_thinks.widget(problem, 20)
    task = tuner_thinks.problems()[problem]
    random = [
        np.nanmin([task.loss(point) for point in RandomTuner(task.space, seed).suggest(20)])
        for seed in range(10)
    ]
    assert np.nanmin(panel.state["losses"]) < better < np.median(random)


def test_a_trial_of_a_network_is_a_trial_of_its_study():
    from rnnkit.training import train

    study = tuner_thinks._study(("lr_init",))
    panel = tuner_thinks.widget("rate", 2)
    (outcome,) = train(study, [study.space.point(panel.state["points"][1])], [1])
    assert panel.state["losses"][1] == pytest.approx(outcome.valid_loss)
    assert len(study.space) == 1 and study.num_params <= 100


def test_a_diverged_trial_is_a_cross_and_is_counted():
    points = ((0.1,), (0.3,), (0.5,), (0.7,), (0.99,))
    losses = (0.5, 0.1, 0.2, 0.3, math.nan)
    figure, sentence = drawn(
        tuner_thinks, problem="wave", points=points, losses=losses, next_point=None
    )
    assert {"trials", "diverged"} <= {line.get_label() for line in figure.axes[0].lines}
    assert sentence.startswith("5 trials, 1 of them diverged; the best: loss 0.1 at x 0.3.")


def test_the_hidden_curve_goes_through_the_trials():
    panel = tuner_thinks.widget("wave", 6)
    state = {name: panel.state[name] for name in ("points", "losses")}
    figure, _ = drawn(tuner_thinks, problem="wave", truth=True, next_point=None, **state)
    *_, curve = figure.axes[0].lines
    feasible = np.isfinite(state["losses"])
    for (x,), height in zip(
        np.array(state["points"])[feasible], warp_losses(state["losses"])[feasible]
    ):
        assert abs(np.interp(x, curve.get_xdata(), curve.get_ydata()) - height) < 0.25


def test_asking_and_telling_move_the_picture():
    """The buttons, pressed as a browser would."""

    async def press():
        panel = tuner_thinks.widget("wave", 5)
        panel.make()
        sentences = [panel.picture.sentence]
        for act in (
            panel.live["tell"].click,
            panel.live["ask"].click,
            lambda: setattr(panel.live["problem"], "value", "hills"),
        ):
            act()
            for _ in range(200):  # a move is heard of, then answered, then drawn, each in its turn
                await asyncio.sleep(0.01)
                if not panel.running and not panel.due:
                    break
            sentences.append(panel.picture.sentence)
        return sentences

    first, told_, asked, changed = asyncio.run(press())
    assert first.startswith("5 trials") and first.endswith("Press tell.")
    assert told_.startswith("6 trials") and told_.endswith("Press ask.")
    assert asked.startswith("6 trials") and "beats the best with a chance of" in asked
    assert changed.startswith("4 trials") and ", y " in changed


def test_before_the_first_design_ends_there_is_no_posterior():
    figure, sentence = drawn(
        tuner_thinks, problem="wave", points=((0.5,),), losses=(0.2,), next_point=(0.1,)
    )
    assert [line.get_label() for line in figure.axes[0].lines] == [
        "trials",
        "asked for",
    ] and "first design" in sentence


@pytest.mark.parametrize("name", ["inside_a_cell", "tuner_thinks"])
def test_both_are_offered(name):
    assert name in WIDGETS and widget(name).figure().alt
