"""Cells beside the paper's six: what later ones store (ours), and the report on a single one."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D

from rnnkit import analysis, paper
from rnnkit.analysis.capacity import BEST
from rnnkit.analysis.throughput import memory_errors
from rnnkit.exhibits.base import points
from rnnkit.figures.style import (
    GREY,
    PALE,
    legend,
    letter,
    new_figure,
    style_of,
    styled,
    write_at_right,
    write_note,
)
from rnnkit.figures.words import each, scale_and_seed, write_budget
from rnnkit.theory import memory_bound
from rnnkit.wording import label_of, layers

DASHED = (0, (6, 2))
FILLS = ("full", "none", "left", "top")  # of the marker, the largest size first


@styled
def more_cells(frame: pd.DataFrame):
    """Ours: bits per parameter of cells that the paper does not have beside its six, a panel for
    each depth. ValueError without trials.
    """
    best = points("more_cells", frame)["more_cells"]
    names, depths = analysis.in_order(best.architecture), sorted(best.n_layers.unique())
    figure = new_figure(4.9 * max(2, len(depths)), 1.5 + 0.32 * len(names))
    axes = figure.subplots(1, len(depths), sharey=True, squeeze=False)[0]
    for ax, depth, place in zip(axes, depths, "abcdefgh"):
        letter(ax, place, layers(depth))
        stored(
            ax,
            best[best.n_layers == depth],
            names,
            others=[a for a in names if a not in paper.ARCHITECTURES],
        )
    sns.despine(figure)
    legend(figure, size_keys(best.max_params), columns=8)
    write_budget(figure, "more_cells", frame)
    return figure


def stored(ax, best: pd.DataFrame, names, others):
    """A row for each architecture: bits per parameter at each size, from what half the search would
    have found. `others` stand out.
    """
    style, sizes = style_of(names), sorted(best.max_params.unique())
    rows_of_names(ax, names, others)
    for row in best.dropna(subset="bits").itertuples():
        s, fill = style[row.architecture], fill_of(row.max_params, sizes)
        y = names.index(row.architecture) + 0.16 * (
            sizes.index(row.max_params) - (len(sizes) - 1) / 2
        )
        ax.plot(
            [row.bits_per_param_low, row.bits_per_param],
            [y, y],
            color=s.color,
            linewidth=1,
            zorder=2,
        )
        ax.plot(
            row.bits_per_param,
            y,
            color=s.color,
            marker=s.marker,
            fillstyle=fill,
            linestyle="none",
            markersize=6.5,
            zorder=3,
            markerfacecoloralt="white",
        )
    say_missing(ax, names, best.architecture[best.bits.notna()])
    for bits, text in (
        (paper.PERCEPTRON_BITS, "perceptron: 2"),
        (paper.BITS_PER_PARAMETER, "paper: 5"),
    ):
        ax.axvline(bits, color=GREY, linewidth=1, linestyle=DASHED, zorder=1)
        ax.annotate(
            text,
            (bits, -0.75),
            (3, 0),
            textcoords="offset points",
            color=GREY,
            fontsize=7.5,
            va="center",
        )
    most = best.bits_per_param.max() if best.bits.notna().any() else 0
    ax.set(xlabel="bits per parameter", xlim=(0, max(paper.BITS_PER_PARAMETER, most) + 0.9))
    if not (best.bits > 0).any():
        write_note(ax, "no bits stored")


def fill_of(size, sizes) -> str:
    return FILLS[min(len(sizes) - 1 - sizes.index(size), len(FILLS) - 1)]


def size_keys(max_params) -> list[Line2D]:
    """Entries of a legend, one for each size by the fill of its marker."""
    sizes = sorted(set(max_params))
    settings = {"color": GREY, "marker": "o", "linestyle": "none", "markerfacecoloralt": "white"}
    keys = [
        Line2D([], [], fillstyle=fill_of(size, sizes), label=f"{size:,} parameters", **settings)
        for size in sizes
    ]
    return keys + [
        Line2D(
            [], [], color=GREY, linewidth=1, label="from what half of the search would have found"
        )
    ]


def rows_of_names(ax, names, others):
    """One row for each architecture, from the top; `others` on a pale band."""
    ax.set_yticks(range(len(names)), [label_of(a) for a in names])
    ax.set_ylim(len(names) - 0.4, -1.1)
    ax.tick_params(axis="y", length=0)
    for a in others:
        ax.axhspan(names.index(a) - 0.5, names.index(a) + 0.5, color=PALE, linewidth=0, zorder=0)


def say_missing(ax, names, there):
    """Says in its row that an architecture has no trials of this kind."""
    for a in set(names) - set(there):
        ax.text(
            0.01,
            names.index(a),
            "no such trials here",
            transform=ax.get_yaxis_transform(),
            color=GREY,
            fontsize=7.5,
            va="center",
        )


@styled
def report(architecture: str, frame: pd.DataFrame):
    """The report on one cell: (a) bits per parameter, (b) error by units, (c) share of random sets
    that diverged, beside the paper's six.

    `frame` holds the trials of `tables_of`. The figure carries its `tables`, `caption` and `alt`.
    """
    best, errors, random = tables_of(frame)
    names = [architecture, *(a for a in paper.ARCHITECTURES if a != architecture)]
    figure = new_figure(12.4, 3.9)
    left, right = figure.subfigures(1, 2, width_ratios=(2.1, 1))
    (bits, diverged), units = (
        left.subplots(1, 2, sharey=True, width_ratios=(1.25, 1)),
        right.subplots(),
    )
    letter(bits, "a", "stored bits")
    stored(bits, best, names, [architecture])
    letter(diverged, "b", "random hyper-parameters on parentheses")
    _diverged(diverged, random, names)
    letter(units, "c", "memory throughput")
    _memory(units, errors, architecture, names)
    sns.despine(figure)
    legend(left, size_keys(best.max_params), columns=3)
    spent = analysis.budget(frame[frame.architecture == architecture])
    title = (
        f"Report on {label_of(architecture)} ({scale_and_seed(spent)}): {spent};"
        f" {analysis.short_origin(frame)}"
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=8, color=GREY)
    figure.tables = dict(
        zip(
            [f"report_{architecture}{part}" for part in ("", "_memory", "_diverged")],
            (best, errors, random),
        )
    )
    figure.alt, figure.caption = (
        _alt(architecture, best, errors, random),
        _caption(architecture, frame),
    )
    return figure


def tables_of(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """What a report is made of: best trials on the capacity and on the memory task, and per cent of
    random sets that diverged.
    """
    bits, memory, random = (
        frame[frame.task_type == task] for task in ("per_cap", "mem_thru", "parens_counting")
    )
    errors = memory_errors(memory)
    errors = errors[
        [
            "architecture",
            "n_layers",
            "n_units",
            "n_in",
            "num_params",
            "loss",
            "loss_high",
            "bound",
            "excess",
            "trials",
        ]
    ]
    shares = analysis.infeasible_table(random)[
        ["architecture", "n_layers", "trials", "infeasible", "percent", "low", "high"]
    ]
    return analysis.stored_bits(bits)[BEST], errors, shares


def _diverged(ax, random, names):
    style = style_of(names)
    rows_of_names(ax, names, names[:1])
    for row in random.itertuples():
        s, y = style[row.architecture], names.index(row.architecture)
        ax.plot([row.low, row.high], [y, y], color=s.color, linewidth=1, zorder=2)
        ax.plot(
            row.percent,
            y,
            color=s.color,
            marker=s.marker,
            linestyle="none",
            markersize=6.5,
            zorder=3,
        )
    say_missing(ax, names, random.architecture)
    ax.set(
        xlabel="diverged, % (Wilson's 95 % interval)", xlim=(-2, max(40, 1.05 * random.high.max()))
    )


def _memory(ax, errors, architecture, names):
    style, n_in = style_of(names), int(errors.n_in.max())
    units = np.linspace(0.96 * errors.n_units.min(), 1.04 * errors.n_units.max(), 200)
    ax.plot(units, memory_bound(units, n_in), color=GREY, linewidth=1.2, linestyle=DASHED, zorder=1)
    ax.axvline(n_in, color="black", linewidth=1, zorder=1)
    for a in names[::-1]:
        curve, s = errors[(errors.architecture == a)].dropna(subset="loss"), style[a]
        ax.plot(
            curve.n_units,
            curve.loss,
            color=s.color,
            marker=s.marker,
            linestyle=s.line,
            zorder=4 if a == architecture else 3,
            linewidth=2.4 if a == architecture else 1,
            markersize=8 if a == architecture else 4.5,
        )
    high = errors.loss.max() if errors.loss.notna().any() else 1
    ax.set(
        xlabel="units a layer, N",
        ylabel="squared error a dimension",
        ylim=(-0.02 * high, 1.12 * max(high, memory_bound(units[0], n_in))),
        xticks=sorted(set(errors.n_units)),
    )
    ax.annotate(
        f"n_in = {n_in}",
        (n_in, 1),
        (3, -2),
        ("data", "axes fraction"),
        "offset points",
        va="top",
        fontsize=7.5,
    )
    write_at_right(ax, memory_bound(units[-1], n_in), "bound", GREY)
    if errors.loss.isna().all():
        write_note(ax, "no feasible trial")


def _alt(architecture, best, errors, random) -> str:
    """A sentence for those who cannot see the report."""
    enough = errors[errors.n_units >= errors.n_in].groupby("architecture").loss.min()
    numbers = [
        each("Most bits per parameter", best.groupby("architecture").bits_per_param.max()),
        each("Least error with as many units as inputs or more", enough, ".2g"),
        each("Per cent diverged", random.set_index("architecture").percent, ".0f"),
    ]
    return f"Report on {label_of(architecture)} beside the paper's six cells. {' '.join(numbers)}"


def _caption(architecture, frame) -> str:
    """What the report shows and what stands behind it."""
    own, others = (
        frame[frame.architecture == architecture],
        analysis.in_order(set(frame.architecture) - {architecture}),
    )
    beside_it = (
        f"Beside it, with the same budget: {', '.join(map(label_of, others))}"
        if others
        else "No other cell has trials of this budget"
    )
    return (
        f"Report on {label_of(architecture)}. (a) Best of each search on the capacity task; lines"
        " begin at what half of it would have found. (b) Random hyper-parameters that diverged on"
        " parentheses. (c) Best error of memory throughput; dashed: the bound of N units. Its"
        f" trials: {analysis.budget(own)}. {beside_it}. {analysis.origin(frame)}"
    )
