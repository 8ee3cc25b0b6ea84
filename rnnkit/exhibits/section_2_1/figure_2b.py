"""Figure 2b: bits per parameter against the number of time steps unrolled."""

import math

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, NamedTables
from rnnkit.exhibits.best_trials import BEST, in_order, stored_bits
from rnnkit.exhibits.captions import draws
from rnnkit.exhibits.finding import MIN_CELLS, SATURATED, mean, training_doubt
from rnnkit.exhibits.judge import Measured, Rule, decide
from rnnkit.exhibits.section_2_1.figure_1 import FIVE_BITS_LABEL
from rnnkit.exhibits.selection import of_capacity, usual, without_pinned
from rnnkit.exhibits.statistics import student
from rnnkit.exhibits.style import (
    HALF_SEARCH,
    Drawing,
    architecture_keys,
    axis_top,
    curves,
    half_search_key,
    legend,
    reference,
    write_note,
)
from rnnkit.paper import SEARCH_BUDGET
from rnnkit.wording import and_list, count, label_of, size_range


def most_unrolled_size(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of the capacity task with one layer, of the one size that was trained with the most
    different numbers of time steps (Figure 2b).
    """
    trials = without_pinned(of_capacity(frame))
    trials = usual(trials[trials.n_layers == 1])
    unrolls = trials.groupby("max_params").unroll.nunique()
    return trials[trials.max_params == unrolls[unrolls == unrolls.max()].index.max()]


def unroll_curve(points: pd.DataFrame) -> pd.DataFrame:
    """The most bits per parameter by architecture (rows) and time steps unrolled (columns); Figure 2b."""
    table = points.pivot_table("bits_per_param", "architecture", "unroll", aggfunc="max")
    table = table.where(table > 0).dropna(how="all")
    return table.loc[in_order(table.index)]


@draws("fig2b", height=4.4)
def draw(figure: Drawing, best: pd.DataFrame) -> None:
    """Figure 2b: bits per parameter of 1-layer networks against the time steps unrolled. ValueError
    without trials.
    """
    ax = figure.subplots()
    curves(ax, best, "bits_per_param", x="unroll", depths=False, spacing=3.5)
    steps = sorted(best.unroll.unique())
    ax.set_xlim(min(steps) - 0.5, max(steps) + 0.5)
    ax.set_xticks(steps)
    reference(ax, paper.BITS_PER_PARAMETER, f"{FIVE_BITS_LABEL}\n({paper.UNROLL} steps)")
    ax.set_ylim(0, axis_top(best.bits_per_param, paper.BITS_PER_PARAMETER))
    ax.set(
        xlabel="time steps unrolled",
        ylabel="bits per parameter",
        title=f"1 layer, {best.max_params.max():,} parameters",
    )
    if not (best.bits > 0).any():
        write_note(ax, "no bits stored")
    legend(figure, [*architecture_keys(best.architecture), half_search_key()])


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    table = unroll_curve(tables["fig2b"])
    if table.empty:
        return []
    shared = table.dropna()
    means = (shared if len(shared) else table).mean()
    steps = and_list(f"{value:.2f} at {unroll}" for unroll, value in means.items())
    tops = table.idxmax(axis=1)
    most = and_list(
        f"{unroll} for {and_list(map(label_of, names.index))}"
        for unroll, names in tops.groupby(tops)
    )
    return [
        f"Bits per parameter by time steps, averaged over architectures, are {steps}.",
        f"The number of steps that stores most is {most}.",
    ]


def unrolling_helps(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """C10: bits at 5 time steps over bits at 1.

    The gain saturates where the `bend` is positive: it is `SATURATED` times what a doubling of the
    steps gains up to 5 steps, less what it gains after that.
    """
    table = unroll_curve(points)
    if not {1, paper.UNROLL} <= set(table.columns):
        steps = and_list(sorted(trials.unroll.unique()))
        return Measured(lacks=f"trained at {steps} steps, and it takes 1 and 5")
    last = max(table.columns)
    logs = np.log2(table[sorted({1, paper.UNROLL, last})]).dropna()
    gains = logs[paper.UNROLL] - logs[1]
    later = logs[last] - logs[paper.UNROLL]
    bend = SATURATED * gains / math.log2(paper.UNROLL) - later / math.log2(last / paper.UNROLL)
    bend_low, bend_high = student(bend)
    few = f"{count(len(logs), 'architecture')}, and it takes {MIN_CELLS}"
    ratio, low, high = (2**gain for gain in (mean(gains), *student(gains)))
    return Measured(
        ratio,
        low,
        high,
        f"{ratio:.2f}-fold from 1 to 5 steps, {2 ** mean(later):.2f}-fold from 5 to {last},"
        f" {len(logs)} architectures at {size_range(trials.max_params)} parameters",
        has={"steps": last, "architectures": len(logs)},
        lacks=few if last >= 8 else f"unrolled to {last} steps, and saturation takes 8",
        doubt=training_doubt(points[points.unroll >= paper.UNROLL]),
        verdict=decide(holds=low > 1 and bend_low > 0, fails=high < 1 or bend_high < 0),
    )


Exhibit(
    name="fig2b",
    title="Figure 2b",
    gist=(
        "Bits per parameter of 1-layer networks against the number of time steps unrolled."
        + HALF_SEARCH
    ),
    position=7,
    select=most_unrolled_size,
    trials="capacity task",
    tables={"fig2b": stored_bits},
    columns={"fig2b": BEST},
    draw=draw,
    alt="bits per parameter against time steps unrolled.",
    facts=facts,
    claims={
        "C10": Rule(
            unrolling_helps,
            needs={"steps": 8, "architectures": MIN_CELLS},
        )
    },
    budget=SEARCH_BUDGET,
)
