"""Trainability (section 4): Figures 4 and 5, Tables 1, App.1 and App.2."""

import pandas as pd

from rnnkit.analysis import hard_tasks, untuned
from rnnkit.analysis.finding import (
    DEEP,
    FAILS,
    HOLDS,
    MIN_CELLS,
    NEAR,
    NEARLY,
    RARELY,
    STILL,
    SURELY,
)
from rnnkit.analysis.judge import ALWAYS, Limit, Rule, as_tested, both, unlikely
from rnnkit.analysis.rows import random_sets, reruns, searches
from rnnkit.analysis.trainability import (
    by_network,
    infeasible_table,
    losses_at_random,
    rerun_table,
    running_curves,
    welch_table,
)
from rnnkit.exhibits.base import Exhibit
from rnnkit.figures import facts
from rnnkit.figures.tables import table1, tableapp1, tableapp2
from rnnkit.figures.trainability import fig4, fig5
from rnnkit.figures.words import each, task_name
from rnnkit.paper import RANDOM_BUDGET

CURVES = [
    "task_type",
    "architecture",
    "n_layers",
    "study",
    "trial",
    "loss",
    "median",
    "median_low",
    "median_high",
    "minimum",
    "minimum_high",
    "chance",
]


def at_least_depth(table: pd.DataFrame, column: str) -> pd.Series:
    """A column at the least depth, by architecture."""
    return table[table.n_layers == table.n_layers.min()].set_index("architecture")[column]


# the lowest in all named pairs, and in every minimum
LOWEST = Limit(
    lambda m: m.more["order"] == HOLDS and m.more["lowest"] == 1,
    fails=lambda m: m.more["order"] == FAILS,
)


def _is_beaten(m) -> bool:
    return m.more["beaten"] > 0.5 or m.more["lstm"] > RARELY


SEARCHES = {
    "P01": Rule(
        hard_tasks.plain_are_last,
        unlikely("odds", more=SURELY, less=SURELY / 2),  # either of the two may fail
        needs={"tasks and depths": MIN_CELLS},
        refutes=ALWAYS,
    ),
    "P02": Rule(
        hard_tasks.plain_solve_one_layer,
        Limit(lambda m: m.more["unsolved"] == 0, fails=lambda m: m.more["unsolved"] > 0),
    ),
    "P03": Rule(
        hard_tasks.only_gated_when_deep,
        Limit(
            lambda m: m.more["solved"] == 0 and m.high < m.more["gated"],
            fails=lambda m: m.more["solved"] > 0,
        ),
        refutes=ALWAYS,
    ),
    "P04": Rule(hard_tasks.easiest, LOWEST, needs={"layers": DEEP}, refutes=ALWAYS),
    "P05": Rule(
        hard_tasks.arithmetic_is_harder,
        both(
            Limit(
                lambda m: m.more["harder"][0] > 1 + STILL,
                fails=lambda m: m.more["harder"][1] < 1 - STILL,
            ),
            unlikely("odds", more=SURELY, less=SURELY),
        ),
        refutes=ALWAYS,
    ),
    "P06": Rule(
        hard_tasks.learned_is_exact,
        Limit(lambda m: m.value >= NEARLY, fails=lambda m: m.value < NEARLY),
    ),
    "G04": Rule(
        hard_tasks.advice,
        Limit(
            lambda m: m.low > 0.5 and not _is_beaten(m),
            fails=_is_beaten,
        ),
        needs={"tasks and depths": MIN_CELLS, "layers": DEEP},
        refutes=ALWAYS,
    ),
}
AT_RANDOM = {
    "H04": Rule(hard_tasks.easiest, LOWEST, needs={"layers": DEEP}, refutes=ALWAYS),
    "H07": Rule(untuned.intersection_solves_deep, as_tested("order"), refutes=ALWAYS),
    "H07b": Rule(
        untuned.intersection_level,
        Limit(
            lambda m: m.more["p"] > SURELY and m.more["far"] <= NEAR,
            fails=lambda m: m.more["p"] <= SURELY and m.more["papers"],
        ),
        refutes=ALWAYS,
    ),
}
DIVERGED = Limit(
    lambda m: m.more["order"] != FAILS and not m.more["differ"] and not m.more["wide"],
    fails=lambda m: m.more["order"] == FAILS or m.more["differ"] and m.more["papers"],
)
SHARES = {
    id: Rule(measure, DIVERGED, needs={"architectures": MIN_CELLS, "irnn": 1}, refutes=ALWAYS)
    for id, measure in (("H01", untuned.diverged_shallow), ("H02", untuned.diverged_deep))
}
SIGNS = {
    id: Rule(measure, as_tested("signs"), needs={"fresh trials": 1}, refutes=ALWAYS)
    for id, measure in (("H05", untuned.signs_shallow), ("H06", untuned.signs_deep))
}
NEARLY_AGAIN = Rule(
    untuned.reruns_are_close,
    Limit(lambda m: m.more["enough"] and m.more["most"] <= 1, fails=lambda m: m.more["least"] > 1),
    refutes=ALWAYS,
)


Exhibit(
    name="fig4",
    title="Figure 4",
    gist=(
        "Searches on the hard tasks: (a-d) parentheses, median loss of all trials so far, depths 1,"
        " 2, 4, 8; dots are single trials. (e-h) The least loss so far. (i-p) The same for"
        " arithmetic. A diverged trial counts as worse than any. Grey line: chance, the loss of the"
        " best answer that ignores the input. Bands: 95 % of the median, and for the least loss"
        " what half of the trials would have found in 39 of 40 cases."
    ),
    section="4",
    place=11,
    select=searches,
    trials="parentheses or the arithmetic task",
    tables={
        "fig4": lambda of: running_curves(of.rows),
        "fig4_networks": lambda of: by_network(of.rows),
    },
    columns={"fig4": CURVES},
    draw=fig4,
    panels=tuple("abcdefghijklmnop"),
    alt=(
        "sixteen panels of the median and of the least loss so far against trials, for two tasks"
        " and four depths, beside chance."
    ),
    numbers=lambda tables: " ".join(
        each(
            f"Least loss on {task_name(task)}",
            part.groupby("architecture", sort=False).minimum.min(),
            ".3g",
        )
        for task, part in tables["fig4_networks"].groupby("task_type", sort=False)
    ),
    facts=facts.solved,
    claims=SEARCHES,
    judged="fig4_networks",
    budget=(
        "1,500-2,500 and more trials a curve; parentheses in ten streams of 175 steps, integers to"
        " ten million"
    ),
)

Exhibit(
    name="fig5",
    title="Figure 5",
    gist=(
        "Losses of random hyper-parameters on parentheses, (a) 1 layer, (b) the deepest networks:"
        " median, quartiles, whiskers to the last trial within 1.5 times their distance, dots for"
        " all trials. Grey line: chance. Below each box: how many diverged."
    ),
    section="4",
    place=12,
    select=random_sets,
    trials="parentheses task with random sets",
    tables={
        "fig5": lambda of: losses_at_random(of.rows),
        "fig5_networks": lambda of: by_network(of.rows),
    },
    draw=fig5,
    panels=tuple("ab"),
    alt="a box of losses for each architecture, at 1 layer and at the deepest, beside chance.",
    numbers=lambda tables: each(
        "Median loss at 1 layer", at_least_depth(tables["fig5_networks"], "loss_median"), ".3g"
    ),
    facts=facts.at_random,
    claims=AT_RANDOM,
    judged="fig5_networks",
    budget=RANDOM_BUDGET,
)

Exhibit(
    name="table1",
    title="Table 1",
    gist=(
        "Per cent of random hyper-parameters that diverged on parentheses, with Wilson's 95 %"
        " interval, beside the paper's."
    ),
    section="4",
    place=13,
    select=random_sets,
    trials="parentheses task with random sets",
    experiment="fig5",
    tables={"table1": lambda of: infeasible_table(of.rows)},
    draw=table1,
    alt="a row for each architecture, ours and the paper's.",
    numbers=lambda tables: each(
        "Per cent infeasible at 1 layer", at_least_depth(tables["table1"], "percent"), ".1f"
    ),
    facts=facts.diverged,
    claims=SHARES,
    budget=RANDOM_BUDGET,
)

Exhibit(
    name="tableapp1",
    title="Table App.1",
    gist=(
        "The best hyper-parameters of a search on parentheses, 1 layer, trained again: losses in"
        " nats, ours above the paper's. Brackets hold 95 %."
    ),
    section="App. C",
    place=15,
    select=reruns,
    trials="parentheses task with rerun sets",
    tables={"tableapp1": lambda of: rerun_table(of.rows)},
    draw=tableapp1,
    alt="a row of ours and a row of the paper's for each architecture.",
    numbers=lambda tables: each(
        "Mean over original",
        tables["tableapp1"].set_index("architecture").mean_over_original,
        ".3g",
    ),
    facts=facts.again,
    claims={"A01": NEARLY_AGAIN},
    budget="100 reruns, 100,000 parameters, the full task",
)

Exhibit(
    name="tableapp2",
    title="Table App.2",
    gist=(
        "Welch's t-test for equal mean losses of random hyper-parameters on parentheses, all pairs:"
        " t, degrees of freedom and p, ours beside the paper's. A negative t says that the second"
        " of the pair has the larger mean. Ours leaves out trials above twice chance."
    ),
    section="App. C",
    place=16,
    select=random_sets,
    trials="parentheses task with random sets",
    experiment="fig5",
    tables={"tableapp2": lambda of: welch_table(of.rows)},
    draw=tableapp2,
    alt="a row for each pair of architectures, ours and the paper's.",
    numbers=lambda tables: (
        f"{tables['tableapp2'].same_sign.sum()} of the"
        f" {tables['tableapp2'].same_sign.notna().sum()} tests that the paper has too have its"
        " sign."
    ),
    facts=facts.welch,
    claims=SIGNS,
    budget=RANDOM_BUDGET,
)
