"""Per-parameter capacity (section 2.1): Figures 1, 2a, 2b and App.1, the linear model, later cells."""

from rnnkit.analysis import comparisons, levels
from rnnkit.analysis.capacity import BEST, by_nonlinearity, loads, multipliers, stored_bits
from rnnkit.analysis.rows import capacity, linear, one_layer, unrolled
from rnnkit.exhibits.base import Exhibit
from rnnkit.figures import facts
from rnnkit.figures.capacity import calibration, fig1, fig2a, fig2b, figapp1
from rnnkit.figures.report import more_cells
from rnnkit.paper import SEARCH_BUDGET

Exhibit(
    name="fig1",
    title="Figure 1",
    gist=(
        "(a) Most stored bits of any trial against the number of parameters, all depths; filled,"
        " half and open markers are 1, 2 and 4 layers. (b-d) One depth each. (e-h) The same as bits"
        " per parameter, with the paper's 5 (grey line) and 3-6 (grey band). (i) How many times the"
        " parameters the architecture on the x-axis needs to store as much as the one on the"
        " y-axis, by their means over the sizes and depths that both were trained at."
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
    claims={
        "C01": levels.linear_in_parameters,
        "C02": levels.five_bits,
        "C02b": levels.more_than_a_perceptron,
        "C03": levels.three_to_six,
        "C04": comparisons.small_spread,
        "C05": comparisons.multiplier_table,
        "C06": comparisons.ranking,
        "C07": comparisons.gates_cost,
        "C08": levels.irnn_lowest,
        "C13": comparisons.depths_agree,
        "G03": levels.dimensions,
    },
    budget=SEARCH_BUDGET,
)

Exhibit(
    name="fig2a",
    title="Figure 2a",
    gist=(
        "The effect of ReLU: bits per parameter of 1-layer networks, best where the tuner chose the"
        " nonlinearity (solid) and best of all trials with ReLU (dashed, open)."
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
    claims={"C09": comparisons.relu_drop},
    judged="_best",
    budget=SEARCH_BUDGET,
)

Exhibit(
    name="fig2b",
    title="Figure 2b",
    gist="Bits per parameter of 1-layer networks against the number of time steps unrolled.",
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
    claims={"C10": comparisons.unrolling_helps},
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
    claims={"C12": levels.best_dataset},
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
    claims={"C17": levels.perceptron},
    judged="_best",
)

Exhibit(
    name="more_cells",
    title="Later cells (ours: not in the paper)",
    gist=(
        "Most stored bits per parameter of cells that are younger than the paper, beside its six at"
        " the same sizes and with the same search, (a) 1 layer, (b) 2 layers. Lines begin at what"
        " half of the search would have found."
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
