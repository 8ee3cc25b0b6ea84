"""Bits per parameter of cells that are younger than the paper, beside its six."""

from collections.abc import Iterable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, NamedTables
from rnnkit.exhibits.best_trials import BEST, in_order, stored_bits
from rnnkit.exhibits.captions import draws, numbers_of
from rnnkit.exhibits.selection import capacity
from rnnkit.exhibits.style import (
    GREY,
    GUIDE,
    HALF,
    HALF_SEARCH,
    PALE,
    SMALL,
    Drawing,
    fill_key,
    half_search,
    half_search_key,
    label_rows,
    legend,
    letter,
    style_of,
    write_beside,
    write_note,
)
from rnnkit.wording import and_list, label_of, layers

FILLS = ("full", "none", "left", "top")  # of the marker, the largest size first


@draws("more_cells", height=lambda best: 1.5 + 0.32 * best.architecture.nunique())
def draw(figure: Drawing, best: pd.DataFrame) -> None:
    """Ours: bits per parameter of cells that are not in the paper, beside its six, a panel for each
    depth. ValueError without trials.
    """
    names = in_order(best.architecture)
    depths = sorted(best.n_layers.unique())
    axes = figure.subplots(1, len(depths), sharey=True, squeeze=False)[0]
    later = [a for a in names if a not in paper.ARCHITECTURES]
    for ax, depth, panel in zip(axes, depths, "abcdefgh"):
        letter(ax, panel, layers(depth))
        best_by_size(ax, best[best.n_layers == depth], names, later)
    legend(figure, size_keys(best.max_params))


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
            fillstyle=fill_of(size, sizes),
            markersize=6.5,
            zorder=3,
            markerfacecoloralt="white",
            **s.points,
        )
    note_missing(ax, names, feasible.architecture)
    guides = {"perceptron: 2": paper.PERCEPTRON_BITS, "paper: 5": paper.BITS_PER_PARAMETER}
    for text, bits in guides.items():
        ax.axvline(bits, **GUIDE)
        write_beside(ax, text, (bits, -0.75), (3, 0))
    most = feasible.bits_per_param.max() if len(feasible) else 0
    ax.set(xlabel="bits per parameter", xlim=(0, max(paper.BITS_PER_PARAMETER, most) + 0.9))
    if not (best.bits > 0).any():
        write_note(ax, "no bits stored")


def fill_of(size: int, sizes: Sequence[int]) -> str:
    return FILLS[min(len(sizes) - 1 - sizes.index(size), len(FILLS) - 1)]


def size_keys(max_params: Iterable[int]) -> list[Line2D]:
    """The entries of a legend, one for each size."""
    sizes = sorted(set(max_params))
    keys = [fill_key(f"{size:,} parameters", fill_of(size, sizes)) for size in sizes]
    return [*keys, half_search_key()]


def name_axis(ax: Axes, names: Sequence[str], highlights: Iterable[str]) -> None:
    """Labels a row for each architecture, from the top; those in `highlights` get a pale band."""
    label_rows(ax, [label_of(a) for a in names], top=-1.1, bottom=0.6)
    for a in highlights:
        ax.axhspan(names.index(a) - 0.5, names.index(a) + 0.5, color=PALE, linewidth=0, zorder=0)


def note_missing(ax: Axes, names: Sequence[str], present: Iterable[str]) -> None:
    """Writes into the row of an architecture that it has no trials of this kind."""
    settings = {"color": GREY, "fontsize": SMALL, "va": "center"}
    for y, architecture in enumerate(names):
        if architecture not in set(present):
            ax.text(0.01, y, "no such trials here", transform=ax.get_yaxis_transform(), **settings)


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    table = tables["more_cells"].dropna(subset="bits_per_param")
    sentences = []
    for depth, group in table.groupby("n_layers"):
        size = group.max_params.max()
        ranking = (
            group[group.max_params == size]
            .set_index("architecture")
            .sort_values("bits_per_param", ascending=False)
        )
        sentences.append(
            f"With {layers(depth)} and up to {size:,} parameters the order is"
            f" {numbers_of(ranking.bits_per_param)} bits per parameter."
        )
        in_paper = ranking.index.isin(paper.ARCHITECTURES)
        if in_paper.any() and not in_paper.all():
            best = ranking[in_paper].iloc[0]
            later = ranking[~in_paper]
            ahead = map(label_of, later.index[later.bits_per_param_low > best.bits_per_param])
            behind = map(label_of, later.index[later.bits_per_param < best.bits_per_param_low])
            sentences[-1] += (
                f" Ahead of the best of the paper's six, the {label_of(best.name)}, with half of a"
                f" search already: {and_list([*ahead] or ['none of the later cells'])}. Behind what"
                " half of that one's search would have found:"
                f" {and_list([*behind] or ['none of them'])}."
            )
    return sentences


Exhibit(
    name="more_cells",
    title="Later cells (ours: not in the paper)",
    gist=(
        "Most stored bits per parameter of cells that are younger than the paper, beside its six at"
        " the same sizes and with the same search, (a) 1 layer, (b) 2 layers." + HALF_SEARCH
    ),
    position=21,
    select=capacity,
    trials="capacity task",
    tables={"more_cells": stored_bits},
    columns={"more_cells": BEST},
    draw=draw,
    alt="bits per parameter, a row for each architecture, a marker for each size.",
    facts=facts,
)
