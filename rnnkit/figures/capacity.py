"""Figures 1, 2a, 2b and App.1 of the paper, and the linear model that calibrates them (section
2.1).
"""

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
    GREY,
    PALE,
    architecture_keys,
    curves,
    depth_keys,
    legend,
    letter,
    log_ticks,
    new_figure,
    parameters_axis,
    reference,
    styled,
    write_at_right,
    write_note,
)
from rnnkit.figures.words import write_budget
from rnnkit.wording import label_of, layers

FIVE = f"paper: {paper.BITS_PER_PARAMETER:g}"


@styled
def fig1(frame: pd.DataFrame):
    """Figure 1: (a-d) stored bits, (e-h) bits per parameter, all depths and then 1, 2 and 4, (i)
    multipliers. ValueError without trials.
    """
    tables = points("fig1", frame)
    best, table = tables["fig1"], tables["fig1i"]
    figure = new_figure(15.5, 6.1)
    axes, square = _layout(figure)
    sizes, found = (
        sorted({*best.max_params.unique(), *authors_sizes("fig1", "per_cap")}),
        best.bits[best.bits > 0],
    )
    xs = np.array([min(sizes) / 2.4, max(sizes) * 1.6])
    bits_range = (min(found.min(), 2 * sizes[0]) / 1.6 if len(found) else sizes[0], 8 * sizes[-1])
    most = max(paper.BAND[1], best.bits_per_param.max() if len(found) else 0) + 0.5
    for column, depth in enumerate((None, *paper.DEPTHS)):
        part = best if depth is None else best[best.n_layers == depth]
        last = column == len(paper.DEPTHS)
        for row, y in enumerate(("bits", "bits_per_param")):
            ax = axes[row][column]
            letter(
                ax, "abcdefgh"[4 * row + column], "all depths" if depth is None else layers(depth)
            )
            parameters_axis(ax, sizes, "parameters, P")
            scale = xs if row == 0 else np.ones(2)
            ax.fill_between(
                xs, paper.BAND[0] * scale, paper.BAND[1] * scale, color=PALE, linewidth=0, zorder=0
            )
            ax.plot(
                xs,
                paper.BITS_PER_PARAMETER * scale,
                color=GREY,
                linewidth=1,
                linestyle=(0, (6, 2)),
                zorder=1,
            )
            if row == 0:
                ax.set_yscale("log")
                ax.set_ylim(bits_range)
                log_ticks(ax.yaxis)
            else:
                ax.set_ylim(0, most)
            if last:
                write_at_right(
                    ax, paper.BITS_PER_PARAMETER * scale[1], FIVE + (" P" if row == 0 else "")
                )
            if column == 0:
                ax.set_ylabel(("stored bits", "bits per parameter")[row])
            else:
                ax.tick_params(labelleft=False)
            if (part.bits > 0).any():
                curves(ax, part, y)
            else:
                write_note(
                    ax,
                    "no bits stored" if len(part) else f"depth {depth}: not trained\nat this scale",
                    0.62,
                    0.17,
                )
    theirs = [
        overlay(dict(zip((None, *paper.DEPTHS), row)), "fig1", "per_cap", y)
        for row, y in zip(axes, ("bits", "bits_per_param"))
    ]
    _multiplier_table(square, table)
    sns.despine(figure)
    _spines(square)
    handles = architecture_keys(best.architecture) + depth_keys(best.n_layers.unique())
    handles += [
        Line2D(
            [],
            [],
            color=GREY,
            linewidth=1,
            linestyle=(0, (6, 2)),
            label="paper: 5 bits per parameter",
        ),
        Patch(color=PALE, label="paper: 3-6"),
        *theirs[0],
    ]
    legend(figure, handles, columns=12)
    write_budget(figure, "fig1", frame)
    return figure


def _layout(figure):
    """Two rows of four panels and the square table on their right."""
    left, right = figure.subfigures(1, 2, width_ratios=[2.75, 1], wspace=0.02)
    return left.subplots(2, 4), right.subplots(1, 1)


def _multiplier_table(ax, table: pd.DataFrame):
    """Panel i. Bold where an interval over three sizes and depths or more excludes 1."""
    names = list(dict.fromkeys(table.y))
    values = table.pivot(index="y", columns="x", values="multiplier").loc[names, names]
    if len(names) < 2:
        letter(ax, "i", "parameter multipliers")
        ax.set(xticks=[], yticks=[])
        return write_note(ax, "takes two architectures\nthat stored bits")
    reach = max(1.25, float(np.nanmax(np.maximum(values, 1 / values))))
    labels = [label_of(name) for name in names]
    sns.heatmap(
        values,
        ax=ax,
        annot=True,
        fmt=".2f",
        cmap="PuOr_r",
        norm=LogNorm(1 / reach, reach),
        square=True,
        cbar=False,
        linewidths=1,
        xticklabels=labels,
        yticklabels=labels,
        annot_kws={"fontsize": 8.5 if len(names) < 8 else 7},
    )
    sure = {
        (row.y, row.x)
        for row in table.itertuples()
        if row.cells >= 3 and (row.low > 1 or row.high < 1)
    }
    cells = [(y, x) for y in names for x in names if not np.isnan(values.loc[y, x])]
    for text, cell in zip(ax.texts, cells, strict=True):
        text.set_fontweight("bold" if cell in sure else "normal")
    ax.tick_params(length=0, labelsize=8.5)
    ax.tick_params(axis="x", rotation=0 if len(names) < 8 else 45)
    ax.tick_params(axis="y", rotation=0)
    ax.set(xlabel="needs so many times the parameters ...", ylabel="... to store as much as")
    letter(ax, "i", "parameter multipliers")


def _spines(ax):
    for spine in ax.spines.values():
        spine.set_visible(False)


@styled
def fig2a(frame: pd.DataFrame):
    """Figure 2a: bits per parameter of 1-layer networks, nonlinearity left to the tuner (solid) and
    ReLU alone (dashed). ValueError without trials.
    """
    best = points("fig2a", frame)["fig2a"]
    figure = new_figure(6.4, 4.4)
    ax = figure.subplots()
    parameters_axis(ax, sorted(best.max_params.unique()))
    free, relu = (best[best.nonlinearity == which] for which in ("any", "relu"))
    curves(ax, free, "bits_per_param", depths=False, linestyle="-")
    curves(ax, relu, "bits_per_param", depths=False, linestyle=(0, (3, 2)), markerfacecolor="none")
    reference(ax, paper.BITS_PER_PARAMETER, FIVE)
    reference(ax, paper.RELU_BITS, f"paper: {paper.RELU_BITS}\nReLU alone")
    ax.set_ylim(0, axis_top(best.bits_per_param, paper.BITS_PER_PARAMETER))
    ax.set_ylabel("bits per parameter")
    ax.set_title("1 layer")
    if not (best.bits > 0).any():
        write_note(ax, "no bits stored", 0.5, 0.3)
    sns.despine(figure)
    how = [
        Line2D([], [], color=GREY, marker="o", linestyle="-", label="left to the tuner"),
        Line2D(
            [],
            [],
            color=GREY,
            marker="o",
            linestyle=(0, (3, 2)),
            markerfacecolor="white",
            label="ReLU alone",
        ),
    ]
    handles = architecture_keys(free.architecture, lines=False)
    gap = [Line2D([], [], linestyle="none", label=" ")] * (
        len(handles) % 2
    )  # the legend fills column by column
    legend(figure, handles + gap + how, columns=4)
    write_budget(figure, "fig2a", frame)
    return figure


@styled
def fig2b(frame: pd.DataFrame):
    """Figure 2b: bits per parameter of 1-layer networks against the time steps unrolled. ValueError
    without trials.
    """
    best = points("fig2b", frame)["fig2b"]
    figure = new_figure(6.4, 4.4)
    ax = figure.subplots()
    curves(ax, best, "bits_per_param", x="unroll", depths=False)
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
    legend(figure, architecture_keys(best.architecture), columns=6)
    write_budget(figure, "fig2b", frame)
    return figure


@styled
def figapp1(frame: pd.DataFrame):
    """Figure App.1: dataset size of the best trial against its stored bits, with the line y = x.
    ValueError without trials.
    """
    best = points("figapp1", frame)["figapp1"]
    figure = new_figure(6.0, 5.7)
    ax = figure.subplots()
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="stored bits",
        ylabel="samples in the best dataset (one bit each)",
    )
    shown = best[best.bits > 0]
    curves(ax, shown, "samples", x="bits", lines=False)
    ends = [shown.bits.min() / 1.5, shown.samples.max() * 1.5] if len(shown) else [1, 10]
    ax.plot(ends, ends, color=GREY, linewidth=1, linestyle=(0, (6, 2)), zorder=1)
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
    if not len(shown):
        write_note(ax, "no bits stored", 0.3, 0.7)
    sns.despine(figure)
    legend(
        figure,
        architecture_keys(best.architecture, lines=False) + depth_keys(best.n_layers.unique()),
        columns=5,
    )
    write_budget(figure, "figapp1", frame)
    return figure


@styled
def calibration(frame: pd.DataFrame):
    """Trials of the linear model: stored bits against labels, both per parameter, and the 2 bits of
    theory. ValueError without trials.
    """
    trials = points("calibration", frame)["calibration"]
    figure = new_figure(6.4, 4.4)
    ax = figure.subplots()
    sizes = sorted(trials.max_params.unique())
    colors = matplotlib.colormaps["viridis"](np.linspace(0.05, 0.8, len(sizes)))
    handles = []
    for size, color, marker in zip(sizes, colors, "osD^vP" * len(sizes)):
        part = trials[trials.max_params == size]
        ax.plot(
            part.samples_per_param,
            part.bits_per_param,
            marker,
            color=color,
            markersize=4,
            alpha=0.55,
            markeredgewidth=0,
            zorder=2,
        )
        top = part.loc[part.bits_per_param.idxmax()]
        ax.plot(
            [top.samples_per_param],
            [top.bits_per_param],
            marker,
            color=color,
            markersize=9,
            markeredgecolor="black",
            zorder=3,
        )
        text = f"{size:,} parameters: best {top.bits_per_param:.2f}"
        handles.append(
            Line2D(
                [],
                [],
                color=color,
                marker=marker,
                linestyle="none",
                markersize=7,
                markeredgecolor="black",
                label=text,
            )
        )
    reference(ax, paper.PERCEPTRON_BITS, f"theory: {paper.PERCEPTRON_BITS:g}\n(Cover,\nGardner)")
    top = axis_top(trials.bits_per_param, paper.PERCEPTRON_BITS) * 0.95
    ax.plot([0, top], [0, top], color=GREY, linewidth=1, linestyle=(0, (1, 1.5)), zorder=1)
    ax.set(xlabel="labels per parameter, b / P", ylabel="stored bits per parameter", ylim=(0, top))
    ax.set_xlim(
        0,
        (
            max(2 * paper.PERCEPTRON_BITS, 1.05 * trials.samples_per_param.max())
            if len(trials)
            else 10
        ),
    )
    ax.yaxis.set_major_locator(MultipleLocator(0.5))
    if trials.empty:
        write_note(ax, "no bits stored", 0.6, 0.5)
    sns.despine(figure)
    handles.append(
        Line2D([], [], color=GREY, linewidth=1, linestyle=(0, (1, 1.5)), label="every label stored")
    )
    legend(figure, handles, columns=2)
    write_budget(figure, "calibration", frame)
    return figure


def axis_top(values, least: float) -> float:
    """Upper end of an axis that shows the data and the paper's value with some air."""
    return 1.12 * max(least, values.max() if values.notna().any() else 0)
