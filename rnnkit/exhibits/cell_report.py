"""The report on a cell of one's own, beside the paper's six."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from rnnkit import paper
from rnnkit.exhibits.best_trials import BEST, in_order, stored_bits
from rnnkit.exhibits.budget import budget, origin, short_origin
from rnnkit.exhibits.captions import by_architecture, scale_and_seed
from rnnkit.exhibits.section_2_1.later_cells import (
    best_by_size,
    name_axis,
    note_missing,
    size_keys,
)
from rnnkit.exhibits.section_2_2 import draw_bound, memory_errors
from rnnkit.exhibits.section_4.table_1 import infeasible_table
from rnnkit.exhibits.style import (
    Drawing,
    architecture_keys,
    half_search,
    house_style,
    legend_panel,
    letter,
    new_figure,
    style_of,
    write_at_right,
    write_note,
    write_title,
)
from rnnkit.theory import memory_bound
from rnnkit.wording import label_of


@house_style
def report(architecture: str, frame: pd.DataFrame) -> Drawing:
    """The report on one cell, beside the paper's six: (a) bits per parameter, (b) the share of random
    sets that diverged, (c) the error of memory throughput against units.

    `frame` holds the trials of the cell and of the others. The figure carries its `tables`, `caption`
    and `alt`.
    """
    best, errors, random = report_tables(frame)
    names = [architecture, *(a for a in paper.ARCHITECTURES if a != architecture)]
    figure = new_figure(6.9)
    upper, lower = figure.subfigures(2, 1)
    bits, divergence = upper.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
    units, keys = lower.subplots(1, 2, width_ratios=(1.25, 1))
    letter(bits, "a", "stored bits")
    best_by_size(bits, best, names, [architecture])
    letter(divergence, "b", "random hyper-parameters on parentheses")
    _draw_diverged(divergence, random, names)
    letter(units, "c", "memory throughput")
    _draw_memory(units, errors, architecture, names)
    legend_panel(keys, [*architecture_keys(names), *size_keys(best.max_params)])
    spent = budget(frame[frame.architecture == architecture])
    title = (
        f"Report on {label_of(architecture)} ({scale_and_seed(spent)}): {spent};"
        f" {short_origin(frame)}"
    )
    write_title(figure, title)
    stems = [f"report_{architecture}{suffix}" for suffix in ("", "_memory", "_diverged")]
    figure.tables = dict(zip(stems, (best, errors, random)))
    figure.alt = _alt(architecture, best, errors, random)
    figure.caption = _caption(architecture, frame)
    return figure


def report_tables(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """What a report is made of: best trials on the capacity and on the memory task, and per cent of
    random sets that diverged.
    """
    bits, memory, random = (
        frame[frame.task_type == task] for task in ("per_cap", "mem_thru", "parens_counting")
    )
    columns = ["architecture", "n_layers", "n_units", "n_in", "num_params"]
    columns += ["loss", "loss_high", "bound", "excess", "trials"]
    errors = memory_errors(memory)[columns]
    shares = infeasible_table(random)[
        ["architecture", "n_layers", "trials", "infeasible", "percent", "low", "high"]
    ]
    return stored_bits(bits)[BEST], errors, shares


def _draw_diverged(ax: Axes, random: pd.DataFrame, names: Sequence[str]) -> None:
    style = style_of(names)
    name_axis(ax, names, names[:1])
    for row in random.itertuples():
        s = style[row.architecture]
        y = names.index(row.architecture)
        ax.plot([row.low, row.high], [y, y], color=s.color, linewidth=1, zorder=2)
        ax.plot(row.percent, y, markersize=6.5, zorder=3, **s.points)
    note_missing(ax, names, random.architecture)
    ax.set(
        xlabel="diverged, % (Wilson's 95 % interval)", xlim=(-2, max(40, 1.05 * random.high.max()))
    )


def _draw_memory(ax: Axes, errors: pd.DataFrame, architecture: str, names: Sequence[str]) -> None:
    style = style_of(names)
    n_in = int(errors.n_in.max())
    units = np.linspace(0.96 * errors.n_units.min(), 1.04 * errors.n_units.max(), 200)
    draw_bound(ax, units, n_in)
    for a in names[::-1]:
        curve = errors[errors.architecture == a].dropna(subset="loss")
        half_search(ax, curve, "loss_high", "loss", "n_units", style[a].color)
        weight = (
            {"zorder": 4, "linewidth": 2.4, "markersize": 8}
            if a == architecture
            else {"zorder": 3, "linewidth": 1, "markersize": 4.5}
        )
        ax.plot(curve.n_units, curve.loss, **style[a].curve, **weight)
    losses = errors[["loss", "loss_high"]].stack().dropna()
    high = losses.max() if len(losses) else 1
    ax.set(
        xlabel="units per layer, N",
        ylabel="squared error per dimension",
        ylim=(-0.02 * high, 1.12 * max(high, memory_bound(units[0], n_in))),
        xticks=sorted(set(errors.n_units)),
    )
    write_at_right(ax, memory_bound(units[-1], n_in), "bound")
    if errors.loss.isna().all():
        write_note(ax, "no feasible trial")


def _alt(architecture: str, best: pd.DataFrame, errors: pd.DataFrame, random: pd.DataFrame) -> str:
    """A sentence for those who cannot see the report."""
    enough = errors[errors.n_units >= errors.n_in].groupby("architecture").loss.min()
    numbers = [
        by_architecture(
            "Most bits per parameter", best.groupby("architecture").bits_per_param.max()
        ),
        by_architecture("Least error with as many units as inputs or more", enough, ".2g"),
        by_architecture("Per cent diverged", random.set_index("architecture").percent, ".0f"),
    ]
    return f"Report on {label_of(architecture)} beside the paper's six cells. {' '.join(numbers)}"


def _caption(architecture: str, frame: pd.DataFrame) -> str:
    """What the report shows and what stands behind it."""
    own = frame[frame.architecture == architecture]
    neighbour_names = in_order(set(frame.architecture) - {architecture})
    neighbours = (
        f"Beside it, with the same budget: {', '.join(map(label_of, neighbour_names))}"
        if neighbour_names
        else "No other cell has trials of this budget"
    )
    return (
        f"Report on {label_of(architecture)}. (a) Best of each search on the capacity task; lines"
        " begin at what half of it would have found. (b) Random hyper-parameters that diverged on"
        " parentheses. (c) Best error of memory throughput; dashed: the bound of N units. Its"
        f" trials: {budget(own)}. {neighbours}. {origin(frame)}"
    )
