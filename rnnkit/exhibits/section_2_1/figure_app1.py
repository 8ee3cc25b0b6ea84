"""Figure App.1: how many samples the best trial was given for the bits that it stored."""

import numpy as np
import pandas as pd

from rnnkit.exhibits.base import Exhibit, NamedTables
from rnnkit.exhibits.best_trials import BEST, stored_bits
from rnnkit.exhibits.captions import draws, network_name
from rnnkit.exhibits.finding import MIN_CELLS, SLIGHTLY, training_doubt
from rnnkit.exhibits.judge import Measured, Rule, below
from rnnkit.exhibits.selection import capacity
from rnnkit.exhibits.statistics import around_the_median
from rnnkit.exhibits.style import (
    GREY,
    Drawing,
    architecture_keys,
    curves,
    depth_keys,
    grey_line,
    legend,
    log_ticks,
    write_note,
)
from rnnkit.paper import SEARCH_BUDGET
from rnnkit.wording import count


@draws("figapp1", height=6.2)
def draw(figure: Drawing, best: pd.DataFrame) -> None:
    """Figure App.1: dataset size of the best trial against its stored bits, with the line y = x.
    ValueError without trials.
    """
    ax = figure.subplots()
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="stored bits",
        ylabel="samples in the best data set (one bit each)",
    )
    feasible = best[best.bits > 0]
    curves(ax, feasible, "samples", x="bits", lines=False)
    limits = [feasible.bits.min() / 1.2, feasible.samples.max() * 1.2] if len(feasible) else [1, 10]
    grey_line(ax, limits, limits)
    ax.set(xlim=limits, ylim=limits, aspect="equal")
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
    keys = architecture_keys(best.architecture, lines=False) + depth_keys(best.n_layers.unique())
    legend(figure, keys, columns=1, location="outside right center")


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    table = tables["figapp1"].dropna(subset="bits")
    ratio = (table.samples / table.bits)[table.bits > 0]
    if ratio.empty:
        return []
    closest = table.loc[ratio.idxmin()]
    farthest = table.loc[ratio.idxmax()]
    return [
        (
            f"The best data set has {ratio.median():.2f} times as many samples as the network"
            f" stores bits, in the median of {len(ratio)} networks."
        ),
        (
            f"It is closest for {network_name(closest)} ({ratio.min():.2f} times) and farthest for"
            f" {network_name(farthest)} ({ratio.max():.2f} times)."
        ),
    ]


def best_dataset(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """C12: the size of the best data set over the stored bits, in the median of the networks. It cannot
    be below 1.
    """
    networks = points[points.bits > 0]
    ratios = networks.samples / networks.bits
    return Measured(
        ratios.median(),
        *around_the_median(np.sort(ratios)),
        f"median of {len(ratios)} networks; slightly is up to {SLIGHTLY}",
        has={"networks": len(ratios)},
        lacks=f"{count(len(ratios), 'network')} stored bits, and it takes {MIN_CELLS}",
        doubt=training_doubt(points),
    )


Exhibit(
    name="figapp1",
    title="Figure App.1",
    gist=(
        "The dataset size of the best trial against the bits that this trial stored; no network can"
        " store more bits than there are labels (line y = x)."
    ),
    position=14,
    select=capacity,
    trials="capacity task",
    tables={"figapp1": stored_bits},
    columns={"figapp1": BEST},
    draw=draw,
    alt="best dataset size against stored bits, beside the line y = x.",
    facts=facts,
    claims={"C12": Rule(best_dataset, below(SLIGHTLY), needs={"networks": MIN_CELLS})},
    budget=SEARCH_BUDGET,
)
