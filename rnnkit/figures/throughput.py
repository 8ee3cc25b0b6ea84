"""Figure 2c of the paper, and what a training step costs (section 2.2)."""

import numpy as np
import seaborn as sns

from rnnkit.analysis.finding import EXACT
from rnnkit.exhibits.base import points
from rnnkit.figures.style import (
    DASHED,
    GREY,
    architecture_keys,
    curves,
    depth_keys,
    half_search_key,
    legend,
    letter,
    line_key,
    log_ticks,
    new_figure,
    reference,
    short,
    styled,
    write_at_right,
    write_note,
)
from rnnkit.figures.words import write_budget
from rnnkit.theory import memory_bound

LEAST = 1e-4  # where the axis of excesses ends; less is drawn there
INFEASIBLE = "no feasible trial"


@styled
def fig2c(frame):
    """Figure 2c: error of memory throughput against units, all architectures and depths, beside the
    bound; ours: the excess over it.

    ValueError without trials.
    """
    best = points("fig2c", frame)["fig2c"]
    n_in = int(best.n_in.max())
    figure = new_figure(5.0)
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    most = 1.08 * max(best.n_units.max(), 1.2 * n_in)
    for ax in (left, right):
        ax.axvline(n_in, color="black", linewidth=1, zorder=1)
        ticks = _spaced(best.n_units.unique(), n_in, 0.055 * most)
        ax.set(xlabel="units per layer, N", xlim=(0, most), xticks=ticks)
    _errors(left, best, n_in, most)
    _excesses(right, best)
    sns.despine(figure)
    keys = architecture_keys(best.architecture) + depth_keys(best.n_layers.unique())
    legend(figure, [*keys, half_search_key()])
    write_budget(figure, "fig2c", frame)
    return figure


def _errors(ax, best, n_in: int, most: float):
    """Panel c: the error of each network, and the bound."""
    letter(ax, "c", "all depths")
    units = np.linspace(0, most, 500)
    ax.plot(units, memory_bound(units, n_in), color=GREY, linewidth=1.2, linestyle=DASHED, zorder=1)
    write_note(ax, "no network can be here:\nbound 1 - N / n_in,\nnot a fit", 0.03, 0.12, ha="left")
    ax.annotate(
        f"n_in = {n_in}",
        (n_in, 1),
        (4, -2),
        ("data", "axes fraction"),
        "offset points",
        va="top",
        fontsize=8.5,
    )
    feasible = best.dropna(subset="loss")
    highest = max([1.0, *feasible.loss, *feasible.loss_high.dropna()])
    ax.set(ylabel="squared error per dimension", ylim=(-0.02, 1.16 * highest))
    if feasible.empty:
        return write_note(ax, INFEASIBLE, 0.6, 0.45)
    curves(ax, feasible, "loss", x="n_units", spacing=1.5)


def _excesses(ax, best):
    """Ours: how far the error of each network is above the bound."""
    letter(ax, "", "ours: excess over the bound")
    feasible = best.dropna(subset="loss")
    half = feasible.excess + feasible.loss_high - feasible.loss
    highest = max([1.0, *1.5 * feasible.excess, *1.5 * half.dropna()])
    ax.set(yscale="log", ylim=(LEAST / 1.5, highest), ylabel="error - (1 - N / n_in)")
    reference(ax, EXACT, f"exact:\nup to {EXACT:g}")
    if feasible.empty:
        return write_note(ax, INFEASIBLE, 0.3, 0.3)
    drawn = feasible.assign(
        excess=feasible.excess.clip(lower=LEAST), excess_high=half.clip(lower=LEAST)
    )
    curves(ax, drawn, "excess", x="n_units", spacing=1.5)


def _spaced(values, first, room) -> list:
    """Ticks at `first` and at all values that stand `room` or more from the other ticks."""
    ticks = [first]
    for value in sorted(values, key=lambda v: abs(v - first)):
        if all(abs(value - other) >= room for other in ticks):
            ticks.append(value)
    return sorted(ticks)


@styled
def g01(frame):
    """Ours: seconds and multiplications of a step against parameters and against units, with slopes
    1 and 2. ValueError without trials.
    """
    costs = points("g01", frame)["g01"]
    figure = new_figure(6.6)
    axes = figure.subplots(2, 2, sharex="col", sharey="row")
    labels = {
        "seconds": "time per training step",
        "multiplications": "multiplications per\nexample and time step",
    }
    for row, (y, text) in zip(axes, labels.items()):
        row[0].set_ylabel(text)
        for ax, (x, power) in zip(row, (("num_params", 1), ("n_units", 2))):
            _costs(ax, costs, x, y, power)
    for ax, name in zip(axes[1], ("parameters, P", "units per layer, N")):
        ax.set_xlabel(name)
        log_ticks(ax.xaxis)
    for ax, y, text in zip(axes[:, 0], labels, (_duration, short)):
        if costs[y].notna().any():
            log_ticks(ax.yaxis, text)
    sns.despine(figure)
    if len(costs):
        keys = architecture_keys(costs.architecture) + depth_keys(costs.n_layers.unique())
        legend(figure, [*keys, line_key("slope 1 or 2")])
    write_budget(figure, "g01", frame)
    return figure


def _duration(seconds: float) -> str:
    """20 µs, 1 ms, 3 s."""
    for size, unit in ((1, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds / 1e-6:.4g} µs"


def _costs(ax, costs, x: str, y: str, power: int):
    """One cost against one size on logarithmic axes, with a line of slope `power` through the
    middle.
    """
    ax.set(xscale="log", yscale="log")
    known = costs.dropna(subset=y)
    if known.empty:
        reason = INFEASIBLE if costs.empty else "not counted: not a cell of the paper's"
        return write_note(ax, reason)
    curves(ax, known, y, x=x)
    xs = np.array([known[x].min(), known[x].max()])
    guide = np.exp(np.log(known[y]).mean()) * (xs / np.exp(np.log(known[x]).mean())) ** power
    ax.plot(xs, guide, color=GREY, linewidth=1, linestyle=DASHED, zorder=1)
    write_at_right(ax, guide[1], f"slope {power}")
