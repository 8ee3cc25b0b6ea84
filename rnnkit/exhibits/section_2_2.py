"""Memory throughput (section 2.2): Figure 2c, and what a step costs."""

import pandas as pd

from rnnkit.analysis import throughput
from rnnkit.analysis.finding import EXACT, LINEAR, MIN_CELLS, ON_CURVE, SURE
from rnnkit.analysis.judge import ALWAYS, Limit, Rule, below
from rnnkit.analysis.rows import NETWORK, searched, searched_at_length
from rnnkit.analysis.throughput import memory_errors, step_costs
from rnnkit.exhibits.base import Exhibit
from rnnkit.figures import facts
from rnnkit.figures.loss import FOUND
from rnnkit.figures.style import HALF_SEARCH
from rnnkit.figures.throughput import fig2c, g01
from rnnkit.figures.words import each


def mean_excess(table: pd.DataFrame) -> pd.Series:
    """Excess over the bound, mean over units, at the depth where it is largest; by architecture."""
    return table.groupby(["architecture", "n_layers"]).excess.mean().groupby("architecture").max()


def _costs_more(m) -> bool:
    """Multiplications are not linear, or more time is taken than a line allows."""
    return abs(m.more["counted"] - 1) > LINEAR or m.low > 1 and not _is_linear(m)


def _is_linear(m) -> bool:
    within = 1 - LINEAR <= m.low and m.high <= 1 + LINEAR
    return within or m.low <= 1 <= m.high and m.high - m.low <= 2 * SURE


MEMORY = {
    "M01": Rule(
        throughput.exact_if_enough_units,
        Limit(
            lambda m: m.more["worst"] <= EXACT and m.more["beaten"] <= EXACT,
            fails=lambda m: m.more["worst"] > EXACT or m.more["beaten"] > EXACT,
        ),
        needs={"with enough units": MIN_CELLS, "with too few": MIN_CELLS},
        trials=0,
    ),
    "M02": Rule(throughput.on_the_curve, below(ON_CURVE), needs={"networks": MIN_CELLS}, trials=0),
    "M03": Rule(throughput.one_curve, below(ON_CURVE), trials=0),
}
LINEAR_COST = Rule(
    throughput.cost_is_linear,
    Limit(lambda m: not abs(m.more["counted"] - 1) > LINEAR and _is_linear(m), fails=_costs_more),
    refutes=ALWAYS,
    trials=0,
)


Exhibit(
    name="fig2c",
    title="Figure 2c",
    gist=(
        "Memory throughput: squared error of the reconstructed input against units per layer, all"
        " depths (filled, half and open markers: 1, 2 and 4 layers); black line: as many units as"
        " inputs. Dashed: the least error that a linear readout of N units allows, a bound and not"
        " a fit. Right, ours: the excess over it; an excess below 0.0001 is drawn there."
        + HALF_SEARCH
    ),
    section="2.2",
    place=8,
    select=searched_at_length("mem_thru"),
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
    claims=MEMORY,
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
    claims={"G01": LINEAR_COST},
)
