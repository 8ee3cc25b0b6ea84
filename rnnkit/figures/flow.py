"""What cells do over time, drawn: one setting in full (`one_setting`), and the ranges of Appendix A
at random (`gradients`).

Both are ours and not in the paper. They are made of arrays and frames that `rnnkit.flow` computed,
not of trials; a figure carries its caption and its tables with it.
"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from rnnkit import analysis
from rnnkit.analysis.flow import QUANTILES
from rnnkit.figures.style import GREY, PALE, legend, new_figure, style_of, styled, write_note
from rnnkit.wording import label_of

OURS = "Ours: not in the paper"
FLOOR, CEILING = 1e-9, 1e4  # of the axes of gradients; what lies beyond is drawn at their ends
GATE_LINES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1, 1, 1)))
LINES = 8  # units whose state is drawn


@styled
def one_setting(flows: dict):
    """States, gates and gradients of one setting, a column for each architecture; `flows` is
    architecture -> rnnkit.flow.Flow.
    """
    if not flows:
        raise ValueError("The figure needs at least one architecture, got none.")
    style = style_of(flows)
    figure = new_figure(1.2 + 1.75 * len(flows), 5.4)
    axes = figure.subplots(3, len(flows), sharex=True, sharey="row", squeeze=False)
    for (architecture, seen), (top, middle, bottom) in zip(flows.items(), axes.T):
        color = style[architecture].color
        states(top, seen, color)
        gates(middle, seen, color)
        for other in flows:
            backward(
                bottom,
                flows[other],
                PALE if other != architecture else color,
                zorder=1 + (other == architecture),
            )
        top.set_title(label_of(architecture))
        bottom.set_xlabel("time step t")
    axes[0, 0].set_ylabel("state $h_t$")
    axes[1, 0].set_ylabel("gate, mean of units")
    axes[2, 0].set_ylabel("gradient at t\n(1 at the last step)")
    axes[2, 0].set_yscale("log")
    axes[2, 0].yaxis.set_minor_locator(NullLocator())
    axes[2, 0].set_ylim(
        max(FLOOR, axes[2, 0].get_ylim()[0]), min(CEILING, max(3, axes[2, 0].get_ylim()[1]))
    )
    sns.despine(figure)
    steps, units = (
        next(iter(flows.values())).h_TxMxN.shape[0] - 1,
        next(iter(flows.values())).h_TxMxN.shape[2],
    )
    last = {a: float(seen.gradient_TxM[0, 0]) for a, seen in flows.items()}
    numbers = ", ".join(f"{label_of(a)} {value:.2g}" for a, value in last.items())
    figure.suptitle(
        f"{OURS}: one untrained layer of {units} units sees an impulse at step 1",
        x=0.01,
        ha="left",
        fontsize=8,
        color=GREY,
    )
    figure.alt = (
        f"State, gates and gradient of {len(flows)} cells over {steps} steps. Gradient left at step"
        f" 0: {numbers}."
    )
    figure.caption = (
        f"{OURS}. One untrained layer of {units} units is shown a random vector at step 1 and zeros"
        f" after. Top: the state of {min(LINES, units)} units. Middle: each gate, averaged over the"
        " units. Bottom: the norm of the gradient of a random readout of the last state with"
        " respect to the state at step t, relative to the last step; in pale, the other cells. At"
        f" step 0 there is left: {numbers}."
    )
    figure.tables = {"flow": table_of(flows)}
    return figure


def states(ax, seen, color):
    """The state of the first units over time."""
    lines = ax.plot(seen.h_TxMxN[:, 0, :LINES], color=color, linewidth=0.9, alpha=0.75)
    ax.axhline(0, color=PALE, linewidth=0.8, zorder=0)
    return lines


def gates(ax, seen, color):
    """Each gate's mean over the units, named at its end."""
    if not seen.gates:
        write_note(ax, "no gate")
    ends = spread([float(gate[-1].mean()) for gate in seen.gates.values()], 0.1)
    for (name, gate), line, end in zip(seen.gates.items(), GATE_LINES, ends):
        steps = np.arange(1, len(gate) + 1)
        ax.plot(steps, gate[:, 0].mean(1), color=color, linestyle=line)
        ax.annotate(
            name,
            (steps[-1], end),
            (3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=color,
        )
    ax.set_ylim(-0.02, 1.02)


def backward(ax, seen, color, **settings):
    """The gradient with respect to the state at each step."""
    gradient = np.clip(seen.gradient_TxM[:, 0], FLOOR / 10, CEILING * 10)
    return ax.plot(np.arange(len(gradient)), gradient, color=color, **settings)


def table_of(flows) -> pd.DataFrame:
    """What `one_setting` draws, a row for each architecture, step and quantity: `state` of a unit,
    a `gate`'s mean, and the `gradient`.
    """
    rows = []
    for architecture, seen in flows.items():
        for unit, line in enumerate(seen.h_TxMxN[:, 0, :LINES].T):
            rows += [
                (architecture, step, f"state of unit {unit}", value)
                for step, value in enumerate(line)
            ]
        for name, gate in seen.gates.items():
            rows += [
                (architecture, step, f"gate {name}", value)
                for step, value in enumerate(gate[:, 0].mean(1), 1)
            ]
        rows += [
            (architecture, step, "gradient", value)
            for step, value in enumerate(seen.gradient_TxM[:, 0])
        ]
    return pd.DataFrame(rows, columns=["architecture", "step", "quantity", "value"])


@styled
def gradients(frame: pd.DataFrame):
    """Gradient and trace of an impulse at hyper-parameters drawn at random (a frame of
    rnnkit.flow.at_random): median and bands.
    """
    bands, shares = analysis.gradient_bands(frame), analysis.gradient_shares(frame)
    names = list(dict.fromkeys(bands.architecture))
    style, last = style_of(names), int(bands.back.max())
    figure = new_figure(1.2 + 1.75 * len(names), 4.5)
    axes = figure.subplots(2, len(names), sharex=True, sharey=True, squeeze=False)
    for architecture, column in zip(names, axes.T):
        for what, ax in zip(("gradient", "trace"), column):
            part = bands[(bands.architecture == architecture) & (bands.quantity == what)]
            q = part[list(QUANTILES)].clip(FLOOR / 10, CEILING * 10)
            color = style[architecture].color
            ax.fill_between(part.back, q.q10, q.q90, color=color, alpha=0.18, linewidth=0)
            ax.fill_between(part.back, q.q25, q.q75, color=color, alpha=0.32, linewidth=0)
            ax.plot(part.back, q.q50, color=color, linewidth=1.8)
            ax.axhline(1, color=GREY, linewidth=0.8, linestyle=(0, (6, 2)), zorder=1)
            ax.set_xlabel(
                "steps back from the end" if what == "gradient" else "steps on from the impulse"
            )
            ax.tick_params(labelbottom=True)
        column[0].set_title(label_of(architecture))
        row = shares[shares.architecture == architecture].iloc[0]
        text = f"vanished {100 * row.vanished:.0f} %\nexploded {100 * row.exploded:.0f} %"
        write_note(column[0], text, 0.97, 0.98)
        column[0].texts[-1].set(ha="right", va="top", fontsize=7.5)
    ax = axes[0, 0]
    ax.set_yscale("log")
    ax.set_ylim(FLOOR, CEILING)
    ax.set_xlim(0, last)
    ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    ax.set_ylabel("gradient\n(1 at the last step)")
    axes[1, 0].set_ylabel("what is left of the impulse\n(1 at its step)")
    sns.despine(figure)
    legend(
        figure,
        [
            Line2D([], [], color=GREY, linewidth=1.8, label="median"),
            Line2D([], [], color=GREY, linewidth=7, alpha=0.45, label="25-75 %"),
            Line2D([], [], color=GREY, linewidth=7, alpha=0.2, label="10-90 % of the draws"),
        ],
        columns=3,
    )
    middle = (
        bands[(bands.quantity == "gradient") & (bands.back == last)].set_index("architecture").q50
    )
    numbers = ", ".join(f"{label_of(a)} {middle[a]:.2g}" for a in names)
    title = f"{OURS}: untrained cells with hyper-parameters drawn from the ranges of Appendix A"
    figure.suptitle(title, x=0.01, ha="left", fontsize=8, color=GREY)
    figure.alt = (
        "Gradient and trace of an impulse against steps, on a logarithmic axis. Median gradient"
        f" {last} steps back: {numbers}."
    )
    figure.caption = (
        f"{OURS}. One untrained layer whose scales, biases and types are drawn at random from the"
        " ranges of Appendix A; median (line) and bands over the draws. Top: norm of the gradient"
        " with respect to the state so many steps before the last one. Bottom: how far apart the"
        f" states with and without the impulse still are. Vanished: below 1/1000 after {last}"
        f" steps; exploded: above 1000. Median gradient {last} steps back: {numbers}."
    )
    figure.tables = {"gradients": bands}
    return figure


def spread(places, least, low=-np.inf, high=np.inf) -> list[float]:
    """`places` moved apart so that labels at them do not touch, in their order, and within low and
    high.
    """
    order, moved = np.argsort(places, kind="stable"), list(places)
    for before, after in zip(order, order[1:]):
        moved[after] = max(moved[after], moved[before] + least)
    limit = high
    for k in order[::-1]:
        moved[k] = max(low, min(moved[k], limit))
        limit = moved[k] - least
    return moved
