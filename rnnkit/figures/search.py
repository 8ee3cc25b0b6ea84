"""The search itself: how good the best trial was after so many trials (App. A)."""

import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from rnnkit import paper
from rnnkit.exhibits.base import points
from rnnkit.figures.style import (
    GREY,
    legend,
    new_figure,
    short,
    style_of,
    styled,
    write_at_right,
    write_note,
)
from rnnkit.figures.words import write_budget
from rnnkit.wording import label_of, layers


@styled
def best_so_far(frame: pd.DataFrame):
    """Bits per parameter of the best trial so far; a row for each depth, a column for each size.
    ValueError without trials.
    """
    table = points("best_so_far", frame)["best_so_far"]
    depths, sizes = sorted(table.n_layers.unique()), sorted(table.max_params.unique())
    style = style_of(table.architecture)
    figure = new_figure(max(6.4, 1.6 + 2.9 * len(sizes)), 1.5 + 2.3 * len(depths))
    axes = figure.subplots(len(depths), len(sizes), sharex=True, sharey=True, squeeze=False)
    for row, depth in zip(axes, depths):
        for ax, size in zip(row, sizes):
            part = table[(table.n_layers == depth) & (table.max_params == size)]
            for (architecture, _), curve in part.groupby(["architecture", "study"], sort=False):
                s = style[architecture]
                every = max(1, len(curve) // 4)
                ax.plot(
                    curve.trial,
                    curve.bits_per_param,
                    "o",
                    color=s.color,
                    markersize=2.2,
                    alpha=0.4,
                    markeredgewidth=0,
                    zorder=1,
                )
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
            ax.axhline(
                paper.BITS_PER_PARAMETER, color=GREY, linewidth=1, linestyle=(0, (6, 2)), zorder=1
            )
            ax.set_title(f"{layers(depth)}, {short(size)} parameters")
            ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 4, 5, 8, 10]))
        write_at_right(row[-1], paper.BITS_PER_PARAMETER, f"paper: {paper.BITS_PER_PARAMETER:g}")
        row[0].set_ylabel("bits per parameter")
    axes[0][0].set_ylim(
        0, 1.12 * max(paper.BITS_PER_PARAMETER, table.best.max() if table.best.notna().any() else 0)
    )
    axes[0][0].set_xlim(0, table.trial.max() * 1.03)
    for ax in axes[-1]:
        ax.set_xlabel("trials")
    sns.despine(figure)
    legend(
        figure,
        [
            Line2D([], [], color=s.color, marker=s.marker, linestyle=s.line, label=label_of(a))
            for a, s in style.items()
        ],
        columns=6,
    )
    write_budget(figure, "best_so_far", frame)
    return figure
