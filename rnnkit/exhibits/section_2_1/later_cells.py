"""Bits per parameter of cells that are younger than the paper, beside its six."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, points
from rnnkit.exhibits.best_trials import BEST, in_order, stored_bits
from rnnkit.exhibits.captions import NOTHING_TO_SEE, numbers_of, write_budget
from rnnkit.exhibits.selection import capacity
from rnnkit.exhibits.style import (
    DASHED,
    GREY,
    HALF,
    HALF_SEARCH,
    PALE,
    SMALL,
    Drawing,
    half_search,
    half_search_key,
    house_style,
    label_rows,
    legend,
    letter,
    new_figure,
    style_of,
    write_note,
)
from rnnkit.wording import and_list, label_of, layers

FILLS = ("full", "none", "left", "top")  # of the marker, the largest size first


@house_style
def draw(frame: pd.DataFrame) -> Drawing:
    """Ours: bits per parameter of cells that are not in the paper, beside its six, a panel for each
    depth. ValueError without trials.
    """
    best = points("more_cells", frame)["more_cells"]
    names = in_order(best.architecture)
    depths = sorted(best.n_layers.unique())
    figure = new_figure(1.5 + 0.32 * len(names))
    axes = figure.subplots(1, len(depths), sharey=True, squeeze=False)[0]
    later = [a for a in names if a not in paper.ARCHITECTURES]
    for ax, depth, panel in zip(axes, depths, "abcdefgh"):
        letter(ax, panel, layers(depth))
        best_by_size(ax, best[best.n_layers == depth], names, later)
    sns.despine(figure)
    legend(figure, size_keys(best.max_params))
    write_budget(figure, "more_cells", frame)
    return figure


def best_by_size(
    ax: Axes, best: pd.DataFrame, names: Sequence[str], highlights: Iterable[str]
) -> None:
    """Draws a row for each architecture, with its bits per parameter at each size and their
    `half_search`. Those in `highlights` stand out.
    """
    style = style_of(names)
    sizes = sorted(best.max_params.unique())
    name_axis(ax, names, highlights)
    feasible = best.dropna(subset="bits")
    middle = (len(sizes) - 1) / 2
    heights = [
        names.index(row.architecture) + 0.16 * (sizes.index(row.max_params) - middle)
        for row in feasible.itertuples()
    ]
    feasible = feasible.assign(row=heights)
    for (architecture, size), group in feasible.groupby(["architecture", "max_params"], sort=False):
        s = style[architecture]
        value = "bits_per_param"
        half_search(ax, group, HALF[value], value, "row", s.color, horizontal=True)
        ax.plot(
            group[value],
            group.row,
            color=s.color,
            marker=s.marker,
            fillstyle=fill_of(size, sizes),
            linestyle="none",
            markersize=6.5,
            zorder=3,
            markerfacecoloralt="white",
        )
    note_missing(ax, names, feasible.architecture)
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
    most = feasible.bits_per_param.max() if len(feasible) else 0
    ax.set(xlabel="bits per parameter", xlim=(0, max(paper.BITS_PER_PARAMETER, most) + 0.9))
    if not (best.bits > 0).any():
        write_note(ax, "no bits stored")


def fill_of(size: int, sizes: Sequence[int]) -> str:
    return FILLS[min(len(sizes) - 1 - sizes.index(size), len(FILLS) - 1)]


def size_keys(max_params: Iterable[int]) -> list[Line2D]:
    """The entries of a legend, one for each size, shown by the fill of a marker."""
    sizes = sorted(set(max_params))
    settings = {"color": GREY, "marker": "o", "linestyle": "none", "markerfacecoloralt": "white"}
    keys = [
        Line2D([], [], fillstyle=fill_of(size, sizes), label=f"{size:,} parameters", **settings)
        for size in sizes
    ]
    return [*keys, half_search_key()]


def name_axis(ax: Axes, names: Sequence[str], highlights: Iterable[str]) -> None:
    """Labels a row for each architecture, from the top; those in `highlights` get a pale band."""
    label_rows(ax, [label_of(a) for a in names], top=-1.1, bottom=0.6)
    for a in highlights:
        ax.axhspan(names.index(a) - 0.5, names.index(a) + 0.5, color=PALE, linewidth=0, zorder=0)


def note_missing(ax: Axes, names: Sequence[str], present: Iterable[str]) -> None:
    """Writes into the row of an architecture that it has no trials of this kind."""
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


def facts(trials: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    table = tables["more_cells"].dropna(subset="bits_per_param")
    sentences = []
    for depth, group in table.groupby("n_layers"):
        group = (
            group[group.max_params == group.max_params.max()]
            .set_index("architecture")
            .sort_values("bits_per_param", ascending=False)
        )
        in_paper = group.index.isin(paper.ARCHITECTURES)
        theirs = group[in_paper]
        later = group[~in_paper]
        size = int(group.max_params.iloc[0])
        sentences.append(
            f"With {layers(depth)} and up to {size:,} parameters the order is"
            f" {numbers_of(group.bits_per_param)} bits per parameter."
        )
        if len(theirs) and len(later):
            top = theirs.iloc[0]
            ahead = [
                label_of(a) for a in later.index[later.bits_per_param_low > top.bits_per_param]
            ]
            behind = [
                label_of(a) for a in later.index[later.bits_per_param < top.bits_per_param_low]
            ]
            six = f"the best of the paper's six, the {label_of(theirs.index[0])}"
            sentences[-1] += (
                f" Ahead of {six}, with half of a search already:"
                f" {and_list(ahead or ['none of the later cells'])}."
            )
            sentences[-1] += (
                " Behind what half of that one's search would have found:"
                f" {and_list(behind or ['none of them'])}."
            )
    return sentences or [NOTHING_TO_SEE]


Exhibit(
    name="more_cells",
    title="Later cells (ours: not in the paper)",
    gist=(
        "Most stored bits per parameter of cells that are younger than the paper, beside its six at"
        " the same sizes and with the same search, (a) 1 layer, (b) 2 layers." + HALF_SEARCH
    ),
    section="2.1",
    position=21,
    select=capacity,
    trials="capacity task",
    tables={"more_cells": lambda of: stored_bits(of.trials)},
    columns={"more_cells": BEST},
    draw=draw,
    panels=("a", "b"),
    alt="bits per parameter, a row for each architecture, a marker for each size.",
    facts=facts,
)
