"""Memorise me: a network learns random labels by heart while you watch, and its stored bits are
counted (section 2.1).
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnkit import paper
from rnnkit.cells import PAPER, cell_of
from rnnkit.exhibits.style import DASHED, short
from rnnkit.studies import Study
from rnnkit.training.live import watch
from rnnkit.widgets.controls import button, cell_options, choice, log_slider, slider
from rnnkit.widgets.panel import COMPILING, Panel
from rnnkit.widgets.theme import Theme
from rnnkit.wording import count, label_of

SIZES = (300, 1_000, 3_000, 10_000)
STEPS = (5_000, 20_000, 80_000)
PAST = 5  # earlier curves that stay visible
WAITING = "Press train."


def widget(
    architecture: str = "rnn",
    max_params: int = 1_000,
    labels: float = 3.0,
    unroll: int = 5,
    train_steps: int = 20_000,
) -> Panel:
    """`labels` are the labels per parameter to learn by heart; `max_params` is one of SIZES and
    `train_steps` one of STEPS.
    """
    cells = [cell for cell in PAPER if cell_of(cell).min_layers == 1]
    sizes = [(short(size), size) for size in SIZES]
    lengths = [(short(steps), steps) for steps in STEPS]
    controls = {
        "architecture": choice("cell", cell_options(cells), architecture, "Which equations"),
        "max_params": log_slider("parameters", sizes, max_params, "The budget of the network"),
        "labels": slider(
            "labels per parameter",
            0.5,
            8.0,
            labels,
            0.5,
            "Random labels to learn by heart, per parameter",
        ),
        "unroll": slider(
            "time steps", 1, 12, unroll, 1, "Steps from the first input to the answer"
        ),
        "train_steps": log_slider("training steps", lengths, train_steps, "How long to train"),
        "train": button("train", _press, "Trains from new weights, or stops"),
        "clear": button("clear", lambda panel: panel.set(past=()), "Forgets the earlier curves"),
    }
    state = {"curve": (), "past": (), "note": WAITING, "network_name": ()}
    return Panel(
        draw,
        controls,
        state,
        size=(10, 4.2),
        changed=_start_again,
        still=lambda values: deque(states(values, past=()), maxlen=1)[0],
    )


def study_of(architecture: str, max_params: int, unroll: int) -> Study:
    return Study("per_cap", architecture, 1, max_params, unroll=unroll)


def hparams_of(study: Study, labels: float, train_steps: int) -> dict[str, Any]:
    """The usual hyper-parameters of a study, with these labels per parameter and training steps."""
    return study.space.usual_point() | {"samples_per_param": labels, "train_steps": train_steps}


def states(values: dict[str, Any], past: tuple) -> Iterator[dict[str, Any]]:
    """Trains the network that the controls describe, and yields the state to be drawn: the curve so
    far, with (training steps, bits per parameter, share of right labels) at each look.
    """
    architecture = values["architecture"]
    labels = values["labels"]
    name = f"{label_of(architecture)}, {short(values['max_params'])}, {labels:g} labels"
    yield {"curve": (), "past": past, "network_name": (architecture, name), "note": COMPILING}
    study = study_of(architecture, values["max_params"], values["unroll"])
    curve: tuple[tuple[int, float, float], ...] = ()
    for look in watch(study, hparams_of(study, labels, values["train_steps"])):
        if look["infeasible"]:
            yield {"note": f"It diverged at step {look['steps']:,}."}
            return
        bits = -look["valid_loss"] / study.num_params
        curve = (*curve, (look["steps"], bits, look["accuracy"]))
        yield {"curve": curve, "note": ""}


def draw(
    figure: Figure,
    theme: Theme,
    *,
    architecture: str,
    max_params: int,
    labels: float,
    unroll: int,
    train_steps: int,
    curve: tuple,
    past: tuple,
    note: str,
    network_name: tuple,
) -> str:
    """Bits per parameter and the share of right labels while one network trains; earlier networks
    are pale.
    """
    margins = {"left": 0.07, "right": 0.985, "bottom": 0.16, "top": 0.9, "wspace": 0.24}
    axes = figure.subplots(1, 2, width_ratios=[1.5, 1], gridspec_kw=margins)
    bits_ax, share_ax = axes
    study = study_of(architecture, max_params, unroll)
    label = label_of(architecture)
    parameters = f"{study.num_params:,} parameters"
    sizes = f"{count(study.n_units, 'unit')}, {parameters}, {count(unroll, 'time step')}"
    n_labels = max(1, round(labels * study.num_params))
    last = 1.25 * max([train_steps, *(old[-1][0] for *_, old in past)])
    for ax, column in zip(axes, (1, 2)):
        _draw_curves(ax, theme, architecture, column, curve, past)
        ax.set(xscale="log", xlim=(8, last), xlabel="training steps")
        theme.log(ax.xaxis)
    _draw_references(bits_ax, theme, labels, past)
    bits_ax.set_title(f"{label}: {sizes}")
    share_ax.set(ylim=(0.49, 1.01), yticks=(0.5, 0.75, 1), ylabel="share of right labels")
    share_ax.set_title(f"{n_labels:,} labels")
    network = f"{label}, {sizes}, {n_labels:,} labels"
    if not curve:
        return f"{network}. {note}"
    steps, bits, share = curve[-1]
    amount = f"{bits * study.num_params:,.0f} stored bits, {bits:.2f} per parameter"
    return (
        f"{network}: {100 * share:.1f} % right after {steps:,} steps, so {amount}. {note}".rstrip()
    )


def _draw_curves(
    ax: Axes, theme: Theme, architecture: str, column: int, curve: tuple, past: tuple
) -> None:
    """One column of the curves over training, of the present network and of earlier ones."""
    present = [(architecture, "", curve)] if curve else []
    for name, text, points in (*past, *present):
        color = theme.style_of([name])[name].color
        steps, values = np.transpose(points)[[0, column]]
        if text:
            ax.plot(steps, values, color=color, alpha=0.4, linewidth=1.6, label=text)
        else:
            ax.plot(steps, values, color=color, linewidth=3)
            ax.plot(steps[-1], values[-1], "o", color=color, markersize=10, clip_on=False)


def _draw_references(ax: Axes, theme: Theme, labels: float, past: tuple) -> None:
    """The axis of bits per parameter, with the lines to compare a curve with."""
    most = max(8.4, labels * 1.05) if labels > 5.5 else 5.6
    ax.set(ylim=(0, most), yticks=range(int(most) + 1), ylabel="stored bits per parameter")
    five = paper.BITS_PER_PARAMETER
    two = paper.PERCEPTRON_BITS
    for value, text, color, x, side in (
        (five, f"{five:g}: the paper's networks", theme.grey, 0.01, "left"),
        (two, f"{two:g}: a perceptron", theme.grey, 0.01, "left"),
        (labels, f"{labels:g}: every label", theme.ink, 0.99, "right"),
    ):
        ax.axhline(value, color=color, linewidth=1.2, linestyle=DASHED, zorder=0)
        style = {"color": color, "fontsize": 11, "va": "bottom", "ha": side}
        ax.text(x, value + most / 80, text, transform=ax.get_yaxis_transform(), **style)
    if past:
        below = {"loc": "upper left", "bbox_to_anchor": (0, 4.95 / most)}
        ax.legend(title="before", alignment="left", handlelength=1.2, fontsize=11, **below)


def _past_curves(state: dict[str, Any]) -> tuple:
    """The earlier curves and the present one: (cell, name of the network, curve)."""
    if not state["curve"]:
        return state["past"]
    cell, name = state["network_name"]
    return (*state["past"], (cell, f"{name}: {state['curve'][-1][1]:.2f}", state["curve"]))[-PAST:]


def _press(panel: Panel) -> None:
    panel.run_or_stop(states(panel.values, _past_curves(panel.state)), "train")


def _start_again(panel: Panel, name: str) -> None:
    """Stops training, since other settings are another network; its curve joins the earlier ones."""
    panel.stop()
    if panel.state["curve"]:
        panel.state |= {"past": _past_curves(panel.state), "curve": (), "note": WAITING}
