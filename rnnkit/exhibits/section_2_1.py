"""Per-parameter capacity (section 2.1): Figures 1, 2a, 2b and App.1, the linear model, later cells."""

from rnnkit.analysis import comparisons, levels
from rnnkit.analysis.capacity import BEST, by_nonlinearity, loads, multipliers, stored_bits
from rnnkit.analysis.comparisons import AGREEMENT, NEIGHBOURS
from rnnkit.analysis.finding import (
    ABOUT,
    FAILS,
    HOLDS,
    LINEAR,
    MIN_CELLS,
    SLIGHTLY,
    SMALL_SPREAD,
    SURE,
    SURELY,
)
from rnnkit.analysis.judge import ALWAYS, NEVER, Limit, Rule, above, below, both
from rnnkit.analysis.rows import capacity, linear, one_layer, unrolled
from rnnkit.exhibits.base import Exhibit
from rnnkit.figures import facts
from rnnkit.figures.capacity import calibration, fig1, fig2a, fig2b, figapp1
from rnnkit.figures.report import more_cells
from rnnkit.figures.style import HALF_SEARCH
from rnnkit.paper import BAND, BITS_PER_PARAMETER, DIMENSIONS, ORDER, PERCEPTRON_BITS, SEARCH_BUDGET

LEAST, MOST = ((1 + sign * ABOUT) * BITS_PER_PARAMETER for sign in (-1, 1))  # about 5 bits


def _is_near_one(m) -> bool:
    within = 1 - LINEAR <= m.low and m.high <= 1 + LINEAR
    return within or m.low <= 1 <= m.high and m.high - m.low <= 2 * SURE


FIGURE_1 = {
    "C01": Rule(
        levels.linear_in_parameters,
        Limit(_is_near_one, fails=lambda m: m.low > 1 or 0 < m.low and m.high < 1),
        needs={"sizes": MIN_CELLS, "span": 5},
    ),
    "C02": Rule(
        levels.five_bits,
        Limit(
            lambda m: LEAST <= m.value <= MOST and m.high - m.low <= 2 * (MOST - LEAST),
            fails=lambda m: m.high < LEAST,
            beyond=lambda m: m.low > MOST,
        ),
        needs={"sizes trained to their end": 1},
        refutes=ALWAYS,  # all sizes that count are trained to their end
    ),
    "C02b": Rule(
        levels.more_than_a_perceptron, above(PERCEPTRON_BITS), needs={"networks": 1}, refutes=NEVER
    ),
    "C03": Rule(
        levels.three_to_six,
        Limit(
            lambda m: m.low >= BAND[0],
            fails=lambda m: m.low < BAND[0],
            beyond=lambda m: m.high > BAND[1],
        ),
    ),
    "C04": Rule(
        comparisons.small_spread,
        below(SMALL_SPREAD),
        needs={"sizes and depths": MIN_CELLS, "architectures": 3},
    ),
    "C05": Rule(comparisons.multiplier_table, limit=None, trials=0),
    "C06": Rule(
        comparisons.ranking,
        Limit(
            lambda m: m.value > NEIGHBOURS and m.low > 0,
            fails=lambda m: m.high < NEIGHBOURS and m.more["chance"] <= SURELY,
        ),
        needs={"sizes and depths": MIN_CELLS, "architectures": len(ORDER)},
    ),
    "C07": Rule(comparisons.gates_cost, below(0), needs={"sizes and depths": MIN_CELLS}),
    "C08": Rule(
        levels.irnn_lowest,
        Limit(
            lambda m: m.more["order"] == HOLDS and m.more["near"],
            fails=lambda m: (
                m.more["order"] == FAILS or m.more["order"] == HOLDS and not m.more["near"]
            ),
        ),
        needs={"sizes and depths": MIN_CELLS, "irnn": 1, "others": 3},
    ),
    "C13": Rule(
        comparisons.depths_agree,
        Limit(
            lambda m: m.value >= AGREEMENT and m.more["chance"] <= SURELY,
            fails=lambda m: m.high < AGREEMENT and m.more["differ"] >= 2,
        ),
        needs={"sizes": MIN_CELLS},
    ),
    "G03": Rule(
        levels.dimensions,
        Limit(
            lambda m: DIMENSIONS[0] <= m.low and m.high <= DIMENSIONS[1],
            fails=lambda m: m.low < DIMENSIONS[0] or m.high > DIMENSIONS[1],
        ),
        refutes=ALWAYS,
        trials=0,
    ),
}
RELU_DROPS = Rule(comparisons.relu_drop, above(1), needs={"networks": MIN_CELLS})
UNROLLING_HELPS = Rule(
    comparisons.unrolling_helps,
    both(above(1), above(0, of="bend")),
    needs={"steps": 8, "architectures": MIN_CELLS},
)
SLIGHTLY_LARGER = Rule(levels.best_dataset, below(SLIGHTLY), needs={"networks": MIN_CELLS})
TWO_BITS = Rule(
    levels.perceptron,
    Limit(
        lambda m: m.value >= PERCEPTRON_BITS * (1 - ABOUT),
        fails=lambda m: PERCEPTRON_BITS / 2 <= m.value < PERCEPTRON_BITS * (1 - ABOUT),
    ),
    needs={"sizes": 1},
)


Exhibit(
    name="fig1",
    title="Figure 1",
    gist=(
        "(a) Most stored bits of any trial against the number of parameters, all depths; filled,"
        " half and open markers are 1, 2 and 4 layers. (b-d) One depth each. (e-h) The same as bits"
        " per parameter, with the paper's 5 (grey line) and 3-6 (grey band). (i) How many times the"
        " parameters the architecture on the x-axis needs to store as much as the one on the"
        " y-axis, by their means over the sizes and depths that both were trained at." + HALF_SEARCH
    ),
    section="2.1",
    place=1,
    select=capacity,
    trials="capacity task",
    tables={"fig1": lambda of: stored_bits(of.rows), "fig1i": lambda of: multipliers(of["fig1"])},
    columns={"fig1": BEST},
    draw=fig1,
    panels=tuple("abcdefghi"),
    alt=(
        "eight panels of stored bits and of bits per parameter against parameters, and a table of"
        " multipliers."
    ),
    note=lambda spent: "Bold: the 95 % interval, over three sizes and depths or more, excludes 1.",
    facts=facts.best_network,
    claims=FIGURE_1,
    budget=SEARCH_BUDGET,
)

Exhibit(
    name="fig2a",
    title="Figure 2a",
    gist=(
        "The effect of ReLU: bits per parameter of 1-layer networks, best where the tuner chose the"
        " nonlinearity (solid) and best of all trials with ReLU (dashed, open)." + HALF_SEARCH
    ),
    section="2.1",
    place=6,
    select=one_layer,
    trials="capacity task",
    tables={"fig2a": lambda of: by_nonlinearity(of.rows), "_best": lambda of: stored_bits(of.rows)},
    draw=fig2a,
    panels=("a",),
    alt="bits per parameter against parameters, with all nonlinearities and with ReLU alone.",
    facts=facts.relu,
    claims={"C09": RELU_DROPS},
    judged="_best",
    budget=SEARCH_BUDGET,
)

Exhibit(
    name="fig2b",
    title="Figure 2b",
    gist=(
        "Bits per parameter of 1-layer networks against the number of time steps unrolled."
        + HALF_SEARCH
    ),
    section="2.1",
    place=7,
    select=unrolled,
    trials="capacity task",
    tables={"fig2b": lambda of: stored_bits(of.rows)},
    columns={"fig2b": BEST},
    draw=fig2b,
    panels=("b",),
    alt="bits per parameter against time steps unrolled.",
    facts=facts.unrolled,
    claims={"C10": UNROLLING_HELPS},
    budget=SEARCH_BUDGET,
)

Exhibit(
    name="figapp1",
    title="Figure App.1",
    gist=(
        "The dataset size of the best trial against the bits that this trial stored; no network can"
        " store more bits than there are labels (line y = x)."
    ),
    section="App. A",
    place=14,
    select=capacity,
    trials="capacity task",
    tables={"figapp1": lambda of: stored_bits(of.rows)},
    columns={"figapp1": BEST},
    draw=figapp1,
    alt="best dataset size against stored bits, beside the line y = x.",
    facts=facts.samples,
    claims={"C12": SLIGHTLY_LARGER},
    budget=SEARCH_BUDGET,
)

Exhibit(
    name="calibration",
    title="Calibration",
    gist=(
        "A linear model without recurrence through the same pipeline. On the line y = x every label"
        " is stored; theory allows that up to 2 labels a parameter (Cover 1965, Gardner 1988)."
    ),
    section="2.1",
    place=17,
    select=linear,
    trials="capacity task",
    tables={"calibration": lambda of: loads(of.rows), "_best": lambda of: stored_bits(of.rows)},
    draw=calibration,
    alt=(
        "bits per parameter of a linear model against labels per parameter, beside the line at 2"
        " bits."
    ),
    facts=facts.calibration,
    claims={"C17": TWO_BITS},
    judged="_best",
)

Exhibit(
    name="more_cells",
    title="Later cells (ours: not in the paper)",
    gist=(
        "Most stored bits per parameter of cells that are younger than the paper, beside its six at"
        " the same sizes and with the same search, (a) 1 layer, (b) 2 layers." + HALF_SEARCH
    ),
    section="2.1",
    place=21,
    select=capacity,
    trials="capacity task",
    tables={"more_cells": lambda of: stored_bits(of.rows)},
    columns={"more_cells": BEST},
    draw=more_cells,
    panels=("a", "b"),
    alt="bits per parameter, a row for each architecture, a marker for each size.",
    facts=facts.later_cells,
)
