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
    DASHED,
    GREY,
    HALF,
    PALE,
    SMALL,
    architecture_keys,
    half_search,
    half_search_key,
    legend,
    legend_panel,
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

FILLS = ("full", "none", "left", "top")  # of the marker, the largest size first


@styled
def more_cells(frame: pd.DataFrame):
    """Ours: bits per parameter of cells that the paper does not have beside its six, a panel for
    each depth. ValueError without trials.
    """
    best = points("more_cells", frame)["more_cells"]
    names, depths = analysis.in_order(best.architecture), sorted(best.n_layers.unique())
    figure = new_figure(1.5 + 0.32 * len(names))
    axes = figure.subplots(1, len(depths), sharey=True, squeeze=False)[0]
    later = [a for a in names if a not in paper.ARCHITECTURES]
    for ax, depth, place in zip(axes, depths, "abcdefgh"):
        letter(ax, place, layers(depth))
        best_by_size(ax, best[best.n_layers == depth], names, later)
    sns.despine(figure)
    legend(figure, size_keys(best.max_params))
    write_budget(figure, "more_cells", frame)
    return figure


def best_by_size(ax, best: pd.DataFrame, names, others):
    """A row for each architecture: bits per parameter at each size, with its `half_search`.
    `others` stand out.
    """
    style, sizes = style_of(names), sorted(best.max_params.unique())
    rows_of_names(ax, names, others)
    known = best.dropna(subset="bits")
    middle = (len(sizes) - 1) / 2
    rows = [
        names.index(row.architecture) + 0.16 * (sizes.index(row.max_params) - middle)
        for row in known.itertuples()
    ]
    known = known.assign(row=rows)
    for (architecture, size), part in known.groupby(["architecture", "max_params"], sort=False):
        s, value = style[architecture], "bits_per_param"
        half_search(ax, part, HALF[value], value, "row", s.color, rows=True)
        ax.plot(
            part[value],
            part.row,
            color=s.color,
            marker=s.marker,
            fillstyle=fill_of(size, sizes),
            linestyle="none",
            markersize=6.5,
            zorder=3,
            markerfacecoloralt="white",
        )
    note_missing(ax, names, known.architecture)
    guides = {"perceptron: 2": paper.PERCEPTRON_BITS, "paper: 5": paper.BITS_PER_PARAMETER}
    for text, bits in guides.items():
        ax.axvline(bits, color=GREY, linewidth=1, linestyle=DASHED, zorder=1)
        ax.annotate(
            text,
            (bits, -0.75),
            (3, 0),
            textcoords="offset points",
            color=GREY,
            fontsize=SMALL,
            va="center",
        )
    most = known.bits_per_param.max() if len(known) else 0
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
    return [*keys, half_search_key()]


def rows_of_names(ax, names, others):
    """One row for each architecture, from the top; `others` on a pale band."""
    ax.set_yticks(range(len(names)), [label_of(a) for a in names])
    ax.set_ylim(len(names) - 0.4, -1.1)
    ax.tick_params(axis="y", length=0)
    for a in others:
        ax.axhspan(names.index(a) - 0.5, names.index(a) + 0.5, color=PALE, linewidth=0, zorder=0)


def note_missing(ax, names, present):
    """Says in its row that an architecture has no trials of this kind."""
    for a in set(names) - set(present):
        ax.text(
            0.01,
            names.index(a),
            "no such trials here",
            transform=ax.get_yaxis_transform(),
            color=GREY,
            fontsize=SMALL,
            va="center",
        )


@styled
def report(architecture: str, frame: pd.DataFrame):
    """The report on one cell: (a) bits per parameter, (b) share of random sets that diverged, (c)
    error by units, beside the paper's six.

    `frame` holds the trials of `tables_of`. The figure carries its `tables`, `caption` and `alt`.
    """
    best, errors, random = tables_of(frame)
    names = [architecture, *(a for a in paper.ARCHITECTURES if a != architecture)]
    figure = new_figure(6.9)
    upper, lower = figure.subfigures(2, 1)
    bits, diverged = upper.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
    units, keys = lower.subplots(1, 2, width_ratios=(1.25, 1))
    letter(bits, "a", "stored bits")
    best_by_size(bits, best, names, [architecture])
    letter(diverged, "b", "random hyper-parameters on parentheses")
    _diverged(diverged, random, names)
    letter(units, "c", "memory throughput")
    _memory(units, errors, architecture, names)
    sns.despine(figure)
    legend_panel(keys, [*architecture_keys(names), *size_keys(best.max_params)])
    spent = analysis.budget(frame[frame.architecture == architecture])
    title = (
        f"Report on {label_of(architecture)} ({scale_and_seed(spent)}): {spent};"
        f" {analysis.short_origin(frame)}"
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=8, color=GREY)
    stems = [f"report_{architecture}{part}" for part in ("", "_memory", "_diverged")]
    figure.tables = dict(zip(stems, (best, errors, random)))
    figure.alt = _alt(architecture, best, errors, random)
    figure.caption = _caption(architecture, frame)
    return figure


def tables_of(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """What a report is made of: best trials on the capacity and on the memory task, and per cent of
    random sets that diverged.
    """
    bits, memory, random = (
        frame[frame.task_type == task] for task in ("per_cap", "mem_thru", "parens_counting")
    )
    columns = ["architecture", "n_layers", "n_units", "n_in", "num_params"]
    columns += ["loss", "loss_high", "bound", "excess", "trials"]
    errors = memory_errors(memory)[columns]
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
    note_missing(ax, names, random.architecture)
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
        strong = a == architecture
        half_search(ax, curve, "loss_high", "loss", "n_units", s.color)
        ax.plot(
            curve.n_units,
            curve.loss,
            color=s.color,
            marker=s.marker,
            linestyle=s.line,
            zorder=4 if strong else 3,
            linewidth=2.4 if strong else 1,
            markersize=8 if strong else 4.5,
        )
    losses = pd.concat([errors.loss, errors.loss_high]).dropna()
    high = losses.max() if len(losses) else 1
    ax.set(
        xlabel="units per layer, N",
        ylabel="squared error per dimension",
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
        fontsize=SMALL,
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
    own = frame[frame.architecture == architecture]
    others = analysis.in_order(set(frame.architecture) - {architecture})
    neighbours = (
        f"Beside it, with the same budget: {', '.join(map(label_of, others))}"
        if others
        else "No other cell has trials of this budget"
    )
    return (
        f"Report on {label_of(architecture)}. (a) Best of each search on the capacity task; lines"
        " begin at what half of it would have found. (b) Random hyper-parameters that diverged on"
        " parentheses. (c) Best error of memory throughput; dashed: the bound of N units. Its"
        f" trials: {analysis.budget(own)}. {neighbours}. {analysis.origin(frame)}"
    )
