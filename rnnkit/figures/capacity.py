"""Figures 1, 2a, 2b and App.1 of the paper, and the linear model that calibrates them (section
2.1).
"""

import itertools
from typing import NamedTuple

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MultipleLocator

from rnnkit import paper
from rnnkit.exhibits.base import points
from rnnkit.figures.reference import authors_sizes, overlay
from rnnkit.figures.style import (
    DASHED,
    DOTTED,
    GREY,
    PALE,
    architecture_keys,
    curves,
    depth_keys,
    half_search_key,
    legend,
    legend_panel,
    letter,
    line_key,
    log_ticks,
    new_figure,
    parameters_axis,
    reference,
    styled,
    write_at_right,
    write_note,
    write_values,
)
from rnnkit.figures.words import write_budget
from rnnkit.wording import label_of, layers

RELU = (0, (3, 2))  # line of networks with ReLU alone
FIVE = f"paper: {paper.BITS_PER_PARAMETER:g}"


@styled
def fig1(frame: pd.DataFrame):
    """Figure 1: (a-d) stored bits, (e-h) bits per parameter, all depths and then 1, 2 and 4, (i)
    multipliers. ValueError without trials.
    """
    tables = points("fig1", frame)
    best = tables["fig1"]
    figure = new_figure(11.4)
    upper, lower = figure.subfigures(2, 1, height_ratios=(7.2, 3.7))
    depths = (None, *paper.DEPTHS)
    axes = upper.subplots(len(depths), 2, sharex=True, sharey="col")
    limits = _limits(best)
    for ax in axes[-1]:
        parameters_axis(ax, limits.sizes, "parameters, P", best.num_params.min())
    for place, (row, depth) in enumerate(zip(axes, depths)):
        part = best if depth is None else best[best.n_layers == depth]
        for ax, y, letters in zip(row, limits.ys, ("abcd", "efgh")):
            letter(ax, letters[place], "all depths" if depth is None else layers(depth))
            _capacity_panel(ax, part, y, limits, _reason(part, depth))
    authors_key = [
        overlay(dict(zip(depths, column)), "fig1", "per_cap", y)
        for column, y in zip(axes.T, limits.ys)
    ]
    square, keys = lower.subplots(1, 2, width_ratios=(1.25, 1))
    _multiplier_table(square, tables["fig1i"])
    sns.despine(upper)
    legend_panel(keys, _capacity_keys(best) + authors_key[0])
    write_budget(figure, "fig1", frame)
    return figure


class Limits(NamedTuple):
    """What the panels of Figure 1 share: sizes with a tick, and the ends of their axes."""

    sizes: list[int]
    bits: tuple[float, float]
    bits_per_param: tuple[float, float]
    ys = ("bits", "bits_per_param")


def _limits(best: pd.DataFrame) -> Limits:
    """Axes that hold all best trials, what half of their searches would have found, and the paper's
    band.
    """
    sizes = sorted({*best.max_params.unique(), *authors_sizes("fig1", "per_cap")})
    bits = best.bits[best.bits > 0]
    half = best.bits_low[best.bits_low > 0]
    low = min([*bits, *half, 2 * sizes[0]]) / 1.6 if len(bits) else sizes[0]
    least = min(paper.BAND[0], best.bits_per_param_low.min()) if len(bits) else 0
    most = max(paper.BAND[1], best.bits_per_param.max() if len(bits) else 0)
    return Limits(
        sizes,
        (low, 8 * sizes[-1]),
        (max(0.0, least - 0.5), most + 0.5),
    )


def _reason(part: pd.DataFrame, depth) -> str:
    """Why a panel has no curve."""
    return "no bits stored" if len(part) else f"depth {depth}: not trained\nat this scale"


def _capacity_panel(ax, part: pd.DataFrame, y: str, limits: Limits, reason: str):
    """Best trials against parameters, beside the paper's 5 bits per parameter and its band."""
    xs = np.array(ax.get_xlim())
    scale = xs if y == "bits" else np.ones(2)
    ax.fill_between(
        xs, paper.BAND[0] * scale, paper.BAND[1] * scale, color=PALE, linewidth=0, zorder=0
    )
    ax.plot(
        xs, paper.BITS_PER_PARAMETER * scale, color=GREY, linewidth=1, linestyle=DASHED, zorder=1
    )
    ax.set_ylim(getattr(limits, y))
    if y == "bits":
        ax.set_yscale("log")
        ax.set_ylim(limits.bits)
        log_ticks(ax.yaxis)
        ax.set_ylabel("stored bits")
        write_at_right(ax, paper.BITS_PER_PARAMETER * scale[1], FIVE + " P")
    else:
        ax.set_ylabel("bits per parameter")
        ax.yaxis.set_major_locator(MultipleLocator(1))
        write_at_right(ax, paper.BITS_PER_PARAMETER, FIVE)
    if (part.bits > 0).any():
        curves(ax, part, y)
    else:
        write_note(ax, reason, 0.62, 0.17)


def _capacity_keys(best: pd.DataFrame) -> list:
    """Entries of Figure 1's legend."""
    return [
        *architecture_keys(best.architecture),
        *depth_keys(best.n_layers.unique()),
        half_search_key(),
        line_key("paper: 5 bits per parameter"),
        Patch(color=PALE, label="paper: 3-6"),
    ]


def _multiplier_table(ax, table: pd.DataFrame):
    """Panel i. Bold where an interval over three sizes and depths or more excludes 1."""
    letter(ax, "i", "parameter multipliers")
    sns.despine(ax=ax, left=True, bottom=True)
    names = list(dict.fromkeys(table.y))
    if len(names) < 2:
        ax.set(xticks=[], yticks=[])
        return write_note(ax, "takes two architectures\nthat stored bits")
    values = table.pivot(index="y", columns="x", values="multiplier").loc[names, names].to_numpy()
    reach = max(1.25, float(np.nanmax(np.maximum(values, 1 / values))))
    cells = ax.pcolormesh(
        np.ma.masked_invalid(values),
        cmap="PuOr_r",
        norm=LogNorm(1 / reach**2, reach**2),  # half of the colours: numbers stand out on them
        edgecolors="white",
        linewidth=1,
    )
    sure = {
        (row.y, row.x)
        for row in table.itertuples()
        if row.cells >= 3 and (row.low > 1 or row.high < 1)
    }
    bold = np.array([[(y, x) in sure for x in names] for y in names])
    write_values(ax, cells, values, "{:.2f}", bold)
    labels = [label_of(name) for name in names]
    turn = {"rotation": 45, "ha": "right"} if len(names) > 7 else {}
    ax.set_xticks(np.arange(len(names)) + 0.5, labels, **turn)
    ax.set_yticks(np.arange(len(names)) + 0.5, labels)
    ax.tick_params(length=0)
    ax.invert_yaxis()
    ax.set_aspect("equal")
    ax.set(xlabel="needs so many times the parameters ...", ylabel="... to store as much as")


@styled
def fig2a(frame: pd.DataFrame):
    """Figure 2a: bits per parameter of 1-layer networks, nonlinearity left to the tuner (solid) and
    ReLU alone (dashed). ValueError without trials.
    """
    best = points("fig2a", frame)["fig2a"]
    figure = new_figure(4.6)
    ax = figure.subplots()
    parameters_axis(ax, sorted(best.max_params.unique()), "parameters, P", best.num_params.min())
    free, relu = (best[best.nonlinearity == which] for which in ("any", "relu"))
    curves(ax, free, "bits_per_param", depths=False, linestyle="-")
    curves(ax, relu, "bits_per_param", depths=False, linestyle=RELU, markerfacecolor="white")
    reference(ax, paper.BITS_PER_PARAMETER, FIVE)
    reference(ax, paper.RELU_BITS, f"paper: {paper.RELU_BITS}\nReLU alone")
    ax.set(
        ylim=(0, axis_top(best.bits_per_param, paper.BITS_PER_PARAMETER)),
        ylabel="bits per parameter",
        title="1 layer",
    )
    if not (best.bits > 0).any():
        write_note(ax, "no bits stored", 0.5, 0.3)
    sns.despine(figure)
    open_marker = {"marker": "o", "markerfacecolor": "white"}
    keys = [
        *architecture_keys(free.architecture, lines=False),
        line_key("nonlinearity left to the tuner", "-", 1.4, marker="o"),
        line_key("ReLU alone", RELU, 1.4, **open_marker),
        half_search_key(),
    ]
    legend(figure, keys)
    write_budget(figure, "fig2a", frame)
    return figure


@styled
def fig2b(frame: pd.DataFrame):
    """Figure 2b: bits per parameter of 1-layer networks against the time steps unrolled. ValueError
    without trials.
    """
    best = points("fig2b", frame)["fig2b"]
    figure = new_figure(4.4)
    ax = figure.subplots()
    curves(ax, best, "bits_per_param", x="unroll", depths=False, spacing=3.5)
    steps = sorted(best.unroll.unique())
    ax.set_xlim(min(steps) - 0.5, max(steps) + 0.5)
    ax.set_xticks(steps)
    reference(ax, paper.BITS_PER_PARAMETER, f"{FIVE}\n({paper.UNROLL} steps)")
    ax.set_ylim(0, axis_top(best.bits_per_param, paper.BITS_PER_PARAMETER))
    ax.set(
        xlabel="time steps unrolled",
        ylabel="bits per parameter",
        title=f"1 layer, {best.max_params.max():,} parameters",
    )
    if not (best.bits > 0).any():
        write_note(ax, "no bits stored")
    sns.despine(figure)
    legend(figure, [*architecture_keys(best.architecture), half_search_key()])
    write_budget(figure, "fig2b", frame)
    return figure


@styled
def figapp1(frame: pd.DataFrame):
    """Figure App.1: dataset size of the best trial against its stored bits, with the line y = x.
    ValueError without trials.
    """
    best = points("figapp1", frame)["figapp1"]
    figure = new_figure(6.2)
    ax = figure.subplots()
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="stored bits",
        ylabel="samples in the best data set (one bit each)",
    )
    feasible = best[best.bits > 0]
    curves(ax, feasible, "samples", x="bits", lines=False)
    ends = [feasible.bits.min() / 1.2, feasible.samples.max() * 1.2] if len(feasible) else [1, 10]
    ax.plot(ends, ends, color=GREY, linewidth=1, linestyle=DASHED, zorder=1)
    ax.set(xlim=ends, ylim=ends, aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        log_ticks(axis)
    ax.annotate(
        "y = x: every label stored",
        (0.97, 0.9),
        xycoords="axes fraction",
        ha="right",
        va="top",
        color=GREY,
        fontsize=8,
        rotation=45,
        rotation_mode="anchor",
        transform_rotates_text=False,
    )
    if feasible.empty:
        write_note(ax, "no bits stored", 0.3, 0.7)
    sns.despine(figure)
    keys = architecture_keys(best.architecture, lines=False) + depth_keys(best.n_layers.unique())
    legend(figure, keys, columns=1, place="outside right center")
    write_budget(figure, "figapp1", frame)
    return figure


def by_size(table: pd.DataFrame):
    """The rows of each size in parameters, with a colour and a marker: (size, rows, colour,
    marker).
    """
    sizes = sorted(table.max_params.unique())
    colors = matplotlib.colormaps["viridis"](np.linspace(0.05, 0.8, len(sizes)))
    for size, color, marker in zip(sizes, colors, itertools.cycle("osD^vP")):
        yield size, table[table.max_params == size], color, marker


@styled
def calibration(frame: pd.DataFrame):
    """Trials of the linear model: stored bits against labels, both per parameter, and the 2 bits of
    theory. ValueError without trials.
    """
    trials = points("calibration", frame)["calibration"]
    figure = new_figure(4.6)
    ax = figure.subplots()
    keys = [_linear_trials(ax, *part) for part in by_size(trials)]
    reference(ax, paper.PERCEPTRON_BITS, f"theory: {paper.PERCEPTRON_BITS:g}\n(Cover,\nGardner)")
    top = axis_top(trials.bits_per_param, paper.PERCEPTRON_BITS) * 0.95
    ax.plot([0, top], [0, top], color=GREY, linewidth=1, linestyle=DOTTED, zorder=1)
    most = 1.05 * trials.samples_per_param.max() if len(trials) else 10
    ax.set(
        xlabel="labels per parameter, b / P",
        ylabel="stored bits per parameter",
        xlim=(0, max(2 * paper.PERCEPTRON_BITS, most)),
        ylim=(0, top),
    )
    ax.yaxis.set_major_locator(MultipleLocator(0.5))
    if trials.empty:
        write_note(ax, "no bits stored", 0.6, 0.5)
    sns.despine(figure)
    legend(figure, [*keys, line_key("every label stored", DOTTED)])
    write_budget(figure, "calibration", frame)
    return figure


def _linear_trials(ax, size: int, trials: pd.DataFrame, color, marker: str) -> Line2D:
    """Dots for the trials of one size, a large one for the best; gives the legend's entry."""
    ax.plot(
        trials.samples_per_param,
        trials.bits_per_param,
        marker,
        color=color,
        markersize=4,
        alpha=0.55,
        markeredgewidth=0,
        zorder=2,
    )
    best = trials.loc[trials.bits_per_param.idxmax()]
    large = {"color": color, "marker": marker, "linestyle": "none", "markeredgecolor": "black"}
    ax.plot([best.samples_per_param], [best.bits_per_param], markersize=9, zorder=3, **large)
    text = f"{size:,} parameters: best {best.bits_per_param:.2f}"
    return Line2D([], [], markersize=7, label=text, **large)


def axis_top(values, least: float) -> float:
    """Upper end of an axis that shows the data and the paper's value with some air."""
    return 1.12 * max(least, values.max() if values.notna().any() else 0)
