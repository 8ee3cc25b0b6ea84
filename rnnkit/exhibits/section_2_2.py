"""Memory throughput (section 2.2): Figure 2c, and what a step costs."""

import pandas as pd

from rnnkit.analysis import throughput
from rnnkit.analysis.rows import NETWORK, searched
from rnnkit.analysis.throughput import memory_errors, step_costs
from rnnkit.exhibits.base import Exhibit
from rnnkit.figures import facts
from rnnkit.figures.loss import FOUND
from rnnkit.figures.throughput import fig2c, g01
from rnnkit.figures.words import each


def mean_excess(table: pd.DataFrame) -> pd.Series:
    """Excess over the bound, mean over units, at the depth where it is largest; by architecture."""
    return table.groupby(["architecture", "n_layers"]).excess.mean().groupby("architecture").max()


Exhibit(
    name="fig2c",
    title="Figure 2c",
    gist=(
        "Memory throughput: squared error of the reconstructed input against units a layer, all"
        " depths (filled, half and open markers: 1, 2 and 4 layers); black line: as many units as"
        " inputs. Dashed: the least error that a linear readout of N units allows, a bound and not"
        " a fit. Right, ours: the excess over it; an excess below 0.0001 is drawn there."
    ),
    section="2.2",
    place=8,
    select=searched("mem_thru"),
    trials="memory task",
    tables={"fig2c": lambda of: memory_errors(of.rows)},
    columns={"fig2c": [*NETWORK, "bound", "excess", *FOUND]},
    draw=fig2c,
    panels=("c",),
    alt=(
        "squared error against units a layer, beside the bound and the number of inputs, and the"
        " excess over the bound."
    ),
    numbers=lambda tables: each(
        "Largest mean excess over the bound", mean_excess(tables["fig2c"]), ".3g"
    ),
    facts=facts.memory,
    claims={
        "M01": throughput.exact_if_enough_units,
        "M02": throughput.on_the_curve,
        "M03": throughput.one_curve,
    },
    budget="hundreds to thousands of trials a point, 64 inputs, 12 time steps",
)

Exhibit(
    name="g01",
    title="Cost of a step",
    gist=(
        "Ours: measured seconds of a training step (top; median over the trials of a network, its"
        " share of all that were trained side by side) and counted multiplications (bottom),"
        " against parameters and against units. Dashed: slopes 1 and 2."
    ),
    section="2.2",
    place=9,
    select=searched("mem_thru"),
    trials="memory task",
    experiment="fig2c",
    tables={"g01": lambda of: step_costs(of.rows)},
    draw=g01,
    alt=(
        "seconds and multiplications of a step against parameters and against units, beside slopes"
        " 1 and 2."
    ),
    numbers=lambda tables: each(
        "Most seconds a step", tables["g01"].groupby("architecture").seconds.max(), ".2g"
    ),
    facts=facts.costs,
    claims={"G01": throughput.cost_is_linear},
)
