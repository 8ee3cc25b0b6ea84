"""The search itself: how good the best trial was after so many trials (App. A)."""

import pandas as pd
import seaborn as sns
from matplotlib.ticker import MaxNLocator

from rnnkit import paper
from rnnkit.exhibits.base import points
from rnnkit.figures.style import (
    DASHED,
    GREY,
    architecture_keys,
    legend,
    letter,
    line_key,
    new_figure,
    short,
    style_of,
    styled,
    write_at_right,
    write_note,
)
from rnnkit.figures.words import write_budget
from rnnkit.wording import layers


@styled
def best_so_far(frame: pd.DataFrame):
    """Bits per parameter of the best trial so far; a row for each depth, a column for each size.
    ValueError without trials.
    """
    table = points("best_so_far", frame)["best_so_far"]
    depths, sizes = sorted(table.n_layers.unique()), sorted(table.max_params.unique())
    figure = new_figure(1.5 + 2.1 * len(depths))
    axes = figure.subplots(len(depths), len(sizes), sharex=True, sharey=True, squeeze=False)
    style = style_of(table.architecture)
    for row, depth in zip(axes, depths):
        for ax, size in zip(row, sizes):
            letter(ax, "", f"{layers(depth)}, {short(size)} parameters")
            _searches(ax, table[(table.n_layers == depth) & (table.max_params == size)], style)
        write_at_right(row[-1], paper.BITS_PER_PARAMETER, f"paper: {paper.BITS_PER_PARAMETER:g}")
        row[0].set_ylabel("bits per parameter")
    best = table.best.max() if table.best.notna().any() else 0
    axes[0][0].set(
        xlim=(0, table.trial.max() * 1.03), ylim=(0, 1.12 * max(paper.BITS_PER_PARAMETER, best))
    )
    for ax in axes[-1]:
        ax.set_xlabel("trials")
    sns.despine(figure)
    keys = [
        *architecture_keys(table.architecture),
        line_key("a trial", "none", marker="o", markersize=2.5),
    ]
    legend(figure, keys)
    write_budget(figure, "best_so_far", frame)
    return figure


def _searches(ax, part: pd.DataFrame, style):
    """The best so far of each study of one size and depth, and its trials as dots."""
    for (architecture, _), curve in part.groupby(["architecture", "study"], sort=False):
        s = style[architecture]
        every = max(1, len(curve) // 4)
        dots = {"markersize": 2.2, "alpha": 0.4, "markeredgewidth": 0}
        ax.plot(curve.trial, curve.bits_per_param, "o", color=s.color, zorder=1, **dots)
        ax.plot(
            curve.trial,
            curve.best,
            color=s.color,
            linestyle=s.line,
            marker=s.marker,
            markevery=(every - 1, every),
            markersize=4,
            drawstyle="steps-post",
            linewidth=1.2,
            label=architecture,
        )
    if not part.best.notna().any():
        write_note(ax, "no feasible trial" if len(part) else "not trained")
    ax.axhline(paper.BITS_PER_PARAMETER, color=GREY, linewidth=1, linestyle=DASHED, zorder=1)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 4, 5, 8, 10]))
