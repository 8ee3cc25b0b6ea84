"""Drawings of what cells do over time: one setting in full (`one_setting`), and settings drawn at
random from the ranges of Appendix A (`gradients`).

Both are ours and not in the paper. They are made of arrays and frames that `rnnkit.flow` computes, and
not of trials, so each figure carries its own caption and tables.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from rnnkit.exhibits.base import illustration
from rnnkit.exhibits.captions import in_paper_order, named_numbers, numbers_of
from rnnkit.exhibits.style import (
    GUIDE,
    PALE,
    SMALL,
    Drawing,
    house_style,
    legend,
    line_key,
    new_figure,
    style_of,
    write_beside,
    write_note,
    write_title,
)
from rnnkit.markup import SmallTable
from rnnkit.wording import label_of

# a gradient that shrank to less or grew to more than this has vanished or exploded
LOST = 1e-3
BURST = 1e3
QUANTILES = {"q10": 0.1, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q90": 0.9}


def gradient_bands(frame: pd.DataFrame) -> pd.DataFrame:
    """The median and other quantiles over the draws: a row for each architecture, quantity (gradient
    or trace) and number of steps `back`.
    """
    parts = []
    for quantity in ("gradient", "trace"):
        table = (
            frame.groupby(["architecture", "back"], sort=False)[quantity]
            .quantile(list(QUANTILES.values()))
            .unstack()
        )
        table.columns = list(QUANTILES)
        parts.append(table.reset_index().assign(quantity=quantity))
    return pd.concat(parts, ignore_index=True)


def gradient_shares(frame: pd.DataFrame) -> pd.DataFrame:
    """For each architecture, at the largest number of steps back: the median gradient, its factor per
    step, and the shares of draws whose gradient vanished (fell below 1/1000) or exploded (rose above
    1000).
    """
    steps = int(frame.back.max())
    first = frame[frame.back == steps].groupby("architecture", sort=False).gradient
    middle = first.median()
    return SmallTable(
        {
            "median": middle,
            "factor_a_step": middle ** (1 / steps),
            "vanished": first.agg(lambda g: float((g < LOST).mean())),
            "exploded": first.agg(lambda g: float((g > BURST).mean())),
        }
    ).reset_index()


OURS = "Ours: not in the paper"
# the ends of the axes of gradients, at which anything beyond is drawn
FLOOR = 1e-9
CEILING = 1e4
GATE_LINES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1, 1, 1)))
LINES = 8  # units whose state is drawn


@illustration("flow")
@house_style
def one_setting(flows: dict) -> Drawing:
    """The states, gates and gradients of one setting, a column for each architecture. `flows` maps an
    architecture to its rnnkit.flow.Flow.
    """
    if not flows:
        raise ValueError("The figure needs at least one architecture, got none.")
    style = style_of(flows)
    figure = new_figure(5.4)
    axes = figure.subplots(3, len(flows), sharex=True, sharey="row", squeeze=False)
    for (architecture, flow), (top, middle, bottom) in zip(flows.items(), axes.T):
        color = style[architecture].color
        states(top, flow, color)
        gates(middle, flow, color)
        for name, peer_flow in flows.items():
            own = name == architecture
            backward(bottom, peer_flow, color if own else PALE, zorder=1 + own)
        top.set_title(label_of(architecture))
        bottom.set_xlabel("time step t")
    of_state, of_gates, of_gradient = axes[:, 0]
    of_state.set_ylabel("state $h_t$")
    of_gates.set_ylabel("gate, mean of units")
    of_gradient.set(ylabel="gradient at t\n(1 at the last step)", yscale="log")
    of_gradient.yaxis.set_minor_locator(NullLocator())
    low, high = of_gradient.get_ylim()
    of_gradient.set_ylim(max(FLOOR, low), min(CEILING, max(3, high)))
    _describe_setting(figure, flows)
    return figure


def _describe_setting(figure: Figure, flows: dict) -> None:
    """Title, alternative text, caption and table of `one_setting`."""
    steps, _, units = next(iter(flows.values())).h_TxMxN.shape
    last = pd.Series({a: flow.gradient_TxM[0, 0] for a, flow in flows.items()})
    numbers = ", ".join(named_numbers(last, ".2g"))
    title = f"{OURS}: one untrained layer of {units} units receives an impulse at step 1"
    write_title(figure, title)
    figure.alt = (
        f"State, gates and gradient of {len(flows)} cells over {steps - 1} steps. Gradient left at"
        f" step 0: {numbers}."
    )
    figure.caption = (
        f"{OURS}. One untrained layer of {units} units receives a random vector at step 1 and zeros"
        f" after it. Top: the state of {min(LINES, units)} units. Middle: each gate, averaged over"
        " the units. Bottom: the norm of the gradient of a random readout of the last state with"
        " respect to the state at step t, relative to the last step; the other cells in pale grey."
        f" What is left of it at step 0: {numbers}."
    )
    figure.tables = {"flow": setting_table(flows)}


def states(ax: Axes, flow: Any, color: str) -> list[Line2D]:
    """The state of the first units over time."""
    lines = ax.plot(flow.h_TxMxN[:, 0, :LINES], color=color, linewidth=0.9, alpha=0.75)
    ax.axhline(0, color=PALE, linewidth=0.8, zorder=0)
    return lines


def gates(ax: Axes, flow: Any, color: str) -> None:
    """Each gate's mean over the units, named at its end."""
    if not flow.gates:
        write_note(ax, "no gate")
    label_heights = spread([float(gate[-1].mean()) for gate in flow.gates.values()], 0.1)
    for (name, gate), line, end in zip(flow.gates.items(), GATE_LINES, label_heights):
        steps = np.arange(1, len(gate) + 1)
        ax.plot(steps, gate[:, 0].mean(1), color=color, linestyle=line)
        write_beside(ax, name, (steps[-1], end), (3, 0), fontsize=8, color=color)
    ax.set_ylim(-0.02, 1.02)


def backward(ax: Axes, flow: Any, color: str, **settings: Any) -> list[Line2D]:
    """The gradient with respect to the state at each step."""
    gradient = np.clip(flow.gradient_TxM[:, 0], FLOOR / 10, CEILING * 10)
    return ax.plot(np.arange(len(gradient)), gradient, color=color, **settings)


def setting_table(flows: Mapping[str, Any]) -> pd.DataFrame:
    """What `one_setting` draws: a row for each architecture, step and quantity, which is the state of
    a unit, the mean of a gate, or the gradient.
    """
    records = []
    for architecture, flow in flows.items():
        quantities = [  # the first step, the name and the values of each
            *((0, f"state of unit {k}", h) for k, h in enumerate(flow.h_TxMxN[:, 0, :LINES].T)),
            *((1, f"gate {name}", gate[:, 0].mean(1)) for name, gate in flow.gates.items()),
            (0, "gradient", flow.gradient_TxM[:, 0]),
        ]
        records += [
            (architecture, step, quantity, value)
            for first, quantity, values in quantities
            for step, value in enumerate(values, first)
        ]
    return pd.DataFrame(records, columns=["architecture", "step", "quantity", "value"])


@illustration("gradients")
@house_style
def gradients(frame: pd.DataFrame) -> Drawing:
    """The gradient and the trace of an impulse at hyper-parameters drawn at random, as medians and
    bands. `frame` is that of rnnkit.flow.at_random.
    """
    bands = gradient_bands(frame)
    shares = gradient_shares(frame)
    names = list(dict.fromkeys(bands.architecture))
    style = style_of(names)
    figure = new_figure(5.0)
    axes = figure.subplots(2, len(names), sharex=True, sharey=True, squeeze=False)
    for architecture, column in zip(names, axes.T):
        own = bands[bands.architecture == architecture]
        for quantity, ax in zip(("gradient", "trace"), column):
            _bands(ax, own[own.quantity == quantity], style[architecture].color)
        column[0].set_title(label_of(architecture))
        row = shares[shares.architecture == architecture].iloc[0]
        text = f"vanished {100 * row.vanished:.0f} %\nexploded {100 * row.exploded:.0f} %"
        write_note(column[0], text, 0.99, 0.99, ha="right", va="top", fontsize=SMALL)
    axes[0, 0].set(yscale="log", ylim=(FLOOR, CEILING), xlim=(0, int(bands.back.max())))
    axes[0, 0].xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes[0, 0].set_ylabel("gradient\n(1 at the last step)")
    axes[1, 0].set_ylabel("what is left of the impulse\n(1 at its step)")
    for back, onward in axes.T:
        back.set_xlabel("steps back")
        onward.set_xlabel("steps onward")
    keys = [
        line_key("median", "-", 1.8),
        line_key("25-75 %", "-", 7, alpha=0.45),
        line_key("10-90 % of the draws", "-", 7, alpha=0.2),
    ]
    legend(figure, keys)
    _describe_gradients(figure, bands)
    return figure


def _bands(ax: Axes, subset: pd.DataFrame, color: str) -> None:
    """Median and two bands of one quantity against steps."""
    q = subset[list(QUANTILES)].clip(FLOOR / 10, CEILING * 10)
    ax.fill_between(subset.back, q.q10, q.q90, color=color, alpha=0.18, linewidth=0)
    ax.fill_between(subset.back, q.q25, q.q75, color=color, alpha=0.32, linewidth=0)
    ax.plot(subset.back, q.q50, color=color, linewidth=1.8)
    ax.axhline(1, **GUIDE | {"linewidth": 0.8})
    ax.tick_params(labelbottom=True)


def _describe_gradients(figure: Figure, bands: pd.DataFrame) -> None:
    """Title, alternative text, caption and table of `gradients`."""
    last = int(bands.back.max())
    end = bands[(bands.quantity == "gradient") & (bands.back == last)]
    numbers = ", ".join(named_numbers(end.set_index("architecture").q50, ".2g"))
    title = f"{OURS}: untrained cells with hyper-parameters drawn from the ranges of Appendix A"
    write_title(figure, title)
    figure.alt = (
        "Gradient and trace of an impulse against steps, on a logarithmic axis. Median gradient"
        f" {last} steps back: {numbers}."
    )
    figure.caption = (
        f"{OURS}. One untrained layer whose scales, biases and types are drawn at random from the"
        " ranges of Appendix A; median (line) and bands over the draws. Top: norm of the gradient"
        " with respect to the state so many steps before the last one. Bottom: how far apart the"
        " states with and without the impulse still are, so many steps after it. Vanished: below"
        f" 1/1000 after {last} steps; exploded: above 1000. Median gradient {last} steps back:"
        f" {numbers}."
    )
    figure.tables = {"gradients": bands}


def spread(
    heights: Sequence[float], least: float, low: float = -np.inf, high: float = np.inf
) -> list[float]:
    """The heights of some labels, moved at least `least` apart so that they do not touch, in the same
    order, and between `low` and `high`.
    """
    order = np.argsort(heights, kind="stable")
    positions = list(heights)
    for before, after in zip(order, order[1:]):
        positions[after] = max(positions[after], positions[before] + least)
    limit = high
    for k in order[::-1]:
        positions[k] = max(low, min(positions[k], limit))
        limit = positions[k] - least
    return positions


def gradient_facts(frame: pd.DataFrame) -> list[str]:
    """Out of `flow.at_random`: how many gradients vanish, and how many explode."""
    table = gradient_shares(frame).set_index("architecture")
    steps = int(frame.back.max())
    draws = int(frame.groupby("architecture").size().iloc[0] / frame.back.nunique())
    vanishing, exploding = (100 * in_paper_order(table[name]) for name in ("vanished", "exploded"))
    return [
        (
            f"After {steps} steps the gradient is below {LOST:g} of itself in this per cent of"
            f" {draws} draws: {numbers_of(vanishing, '.0f')}."
        ),
        f"It is above {BURST:g} times itself in this per cent: {numbers_of(exploding, '.0f')}.",
        (
            "The median draw keeps, in each step, this share of the gradient:"
            f" {numbers_of(in_paper_order(table.factor_a_step), '.3f')}."
        ),
    ]
