"""Table 1: per cent of random hyper-parameters that diverged."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, points
from rnnkit.exhibits.best_trials import paper_order
from rnnkit.exhibits.budget import Budget
from rnnkit.exhibits.captions import by_architecture, numbers_of
from rnnkit.exhibits.finding import (
    DEEP,
    FAILS,
    LOOSE,
    MIN_CELLS,
    NO_DEPTH,
    SURELY,
    TIGHT,
    Pair,
    pairs_verdict,
)
from rnnkit.exhibits.judge import ALWAYS, Limit, Measured, Rule
from rnnkit.exhibits.section_4.hard_trials import (
    at_least_depth,
    by_network,
    hard_trials,
    is_the_papers_task,
    paper_depth,
)
from rnnkit.exhibits.selection import random_sets
from rnnkit.exhibits.statistics import fisher, holm, kendall
from rnnkit.markup import SmallTable
from rnnkit.paper import RANDOM_BUDGET
from rnnkit.wording import label_of, layers


def infeasible_table(trials: pd.DataFrame) -> pd.DataFrame:
    """Table 1: per cent of the random sets of hyper-parameters that diverged, with Wilson's 95 %
    interval, beside the paper's.
    """
    table = by_network(trials)[
        [
            "architecture",
            "n_layers",
            "trials",
            "infeasible",
            "infeasible_share",
            "infeasible_low",
            "infeasible_high",
        ]
    ]
    table = table.rename(
        columns={"infeasible_share": "percent", "infeasible_low": "low", "infeasible_high": "high"}
    )
    table[["percent", "low", "high"]] *= 100
    theirs = [
        paper.TABLE_1.get(a, (None, None))[d > 1]
        for a, d in zip(table.architecture, table.n_layers)
    ]
    return table.assign(
        paper_n_layers=[paper_depth(d) for d in table.n_layers],
        paper_percent=pd.array(theirs, "float64"),
    )


def looser(trials: pd.DataFrame, multiples: Iterable[float] = LOOSE) -> SmallTable:
    """Table 1 under looser definitions: per cent of the trials that diverged or ended above a multiple
    of chance. The first column is Table 1 itself.
    """
    hard = hard_trials(trials)
    table = {}
    for multiple in (math.inf, *multiples):
        bad = hard.loss.isna() | (hard.loss > multiple * hard.chance)
        table[multiple] = 100 * bad.groupby([hard.n_layers, hard.architecture]).mean()
    out = SmallTable(table)
    out.columns = ["diverged" if math.isinf(m) else f"or above {m:g} x chance" for m in out.columns]
    return out.sort_index(key=paper_order(trials))


def draw(frame: pd.DataFrame) -> SmallTable:
    """Table 1: per cent of random sets that diverged, at 1 layer and at the deepest, beside the
    paper's. ValueError without trials.
    """
    table = points("table1", frame)["table1"]
    return SmallTable(
        {
            "layers": table.n_layers,
            "architecture": table.architecture.map(label_of),
            "% infeasible [95 %]": [
                f"{row.percent:.1f} [{row.low:.1f}, {row.high:.1f}]" for row in table.itertuples()
            ],
            "trials": table.trials,
            "paper, %": table.paper_percent,
            "paper, layers": table.paper_n_layers,
        }
    )


def facts(trials: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    sentences = []
    for depth, group in tables["table1"].groupby("n_layers"):
        percent = group.set_index("architecture").percent.sort_values(
            ascending=False, kind="stable"
        )
        sentences.append(
            f"With {layers(depth)}, per cent of random sets that diverged, most first:"
            f" {numbers_of(percent, '.1f')}."
        )
    return sentences


SETS = 1_000  # random sets behind each share of Table 1


def diverged_shallow(trials: pd.DataFrame, table: pd.DataFrame, spent: Budget) -> Measured:
    """H01: the shares of trials that diverged at one layer: their mean, the least and the most."""
    return _measure(trials, table[table.n_layers == 1], spent)


def diverged_deep(trials: pd.DataFrame, table: pd.DataFrame, spent: Budget) -> Measured:
    """H02: the same at the greatest depth, against the paper's 8 layers."""
    deepest = table.n_layers.max()
    if deepest < DEEP:
        return Measured(lacks=NO_DEPTH.format(deepest, DEEP))
    return _measure(trials, table[table.n_layers == deepest], spent)


def _measure(trials: pd.DataFrame, table: pd.DataFrame, spent: Budget) -> Measured:
    """The statistic of H01 and H02.

    `order` says whether the IRNN diverges more often than every other architecture (Fisher's tests of
    the named pairs, Holm's correction). `differ` counts the shares that Fisher's test tells from the
    paper's, with Holm's correction; it refutes the claim only if the task is the paper's (`papers`),
    and agreement says little if the intervals are `wide`.
    """
    table = table.dropna(subset="paper_percent").set_index("architecture")
    shares = table.percent / 100 if len(table) else pd.Series([math.nan])
    measurement = Measured(
        float(np.mean(table.percent)) / 100 if len(table) else math.nan,
        float(shares.min()),
        float(shares.max()),
        has={"architectures": len(table), "irnn": "irnn" in table.index},
        lacks=f"{len(table)} of the paper's architectures were trained",
    )
    if "irnn" not in table.index:
        return measurement
    tests = [
        fisher(c.infeasible, c.trials, round(c.paper_percent / 100 * SETS), SETS)[0]
        for c in table.itertuples()
    ]
    agree = int((holm(tests) > SURELY).sum())
    irnn = table.loc["irnn"]
    competitors = table.drop(index="irnn")
    pairs = [
        Pair("irnn", c.Index, *fisher(irnn.infeasible, irnn.trials, c.infeasible, c.trials))
        for c in competitors.itertuples()
    ]
    order, phrase = pairs_verdict(pairs, lower=False)
    shares_text = ", ".join(
        f"{label_of(a)} {c.percent:.0f} ({c.paper_percent:g})" for a, c in table.iterrows()
    )
    wide = (table.high - table.low).mean() > TIGHT
    few = f"; intervals of more than {TIGHT} points say little"
    elsewhere = "; the levels belong to the paper's task and number of steps"
    return replace(
        measurement,
        summary=f"per cent, the paper's behind ours: {shares_text}; {agree} of the paper's {len(table)} agree"
        f" with ours, Kendall's tau {kendall(table.percent, table.paper_percent):.2f}; the IRNN"
        f" diverges more often than every other: {phrase}",
        more={
            "order": order,
            "differ": len(table) - agree,
            "wide": wide,
            "papers": is_the_papers_task(trials, spent),
        },
        if_fails="" if order == FAILS else "; the levels differ",
        if_open=few if agree == len(table) else elsewhere,
    )


DIVERGED = Limit(
    lambda m: m.more["order"] != FAILS and not m.more["differ"] and not m.more["wide"],
    fails=lambda m: m.more["order"] == FAILS or m.more["differ"] and m.more["papers"],
)
CLAIMS = {
    id: Rule(measure, DIVERGED, needs={"architectures": MIN_CELLS, "irnn": 1}, refutes=ALWAYS)
    for id, measure in (("H01", diverged_shallow), ("H02", diverged_deep))
}


Exhibit(
    name="table1",
    title="Table 1",
    gist=(
        "Per cent of random hyper-parameters that diverged on parentheses, with Wilson's 95 %"
        " interval, beside the paper's."
    ),
    section="4",
    position=13,
    select=random_sets,
    trials="parentheses task with random sets",
    experiment="fig5",
    tables={"table1": lambda of: infeasible_table(of.trials)},
    draw=draw,
    alt="a row for each architecture, ours and the paper's.",
    numbers=lambda tables: by_architecture(
        "Per cent infeasible at 1 layer", at_least_depth(tables["table1"], "percent"), ".1f"
    ),
    facts=facts,
    claims=CLAIMS,
    budget=RANDOM_BUDGET,
)
