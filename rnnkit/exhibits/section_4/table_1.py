"""Table 1: per cent of random hyper-parameters that diverged."""

from collections.abc import Iterable

import pandas as pd

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, NamedTables, points
from rnnkit.exhibits.best_trials import paper_order
from rnnkit.exhibits.captions import by_architecture, numbers_of
from rnnkit.exhibits.finding import (
    FAILS,
    LOOSE,
    MIN_CELLS,
    SURELY,
    TIGHT,
    Pair,
    mean,
    pairs_verdict,
)
from rnnkit.exhibits.judge import Measured, decide
from rnnkit.exhibits.section_4.hard_trials import (
    at_both_depths,
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
from rnnkit.wording import estimate, label_of, layers


def infeasible_table(trials: pd.DataFrame) -> pd.DataFrame:
    """Table 1: per cent of the random sets of hyper-parameters that diverged, with Wilson's 95 %
    interval, beside the paper's.
    """
    table = by_network(trials)
    theirs = [
        paper.TABLE_1.get(a, (None, None))[depth > 1]
        for a, depth in zip(table.architecture, table.n_layers)
    ]
    return table[["architecture", "n_layers", "trials", "infeasible"]].assign(
        percent=100 * table.infeasible_share,
        low=100 * table.infeasible_low,
        high=100 * table.infeasible_high,
        paper_n_layers=table.n_layers.map(paper_depth),
        paper_percent=pd.array(theirs, "float64"),
    )


def looser(trials: pd.DataFrame, multiples: Iterable[float] = LOOSE) -> SmallTable:
    """Table 1 under looser definitions: per cent of the trials that diverged or ended above a multiple
    of chance. The first column is Table 1 itself.
    """
    hard = hard_trials(trials)
    has_diverged = hard.loss.isna()
    outcomes = {"diverged": has_diverged} | {
        f"or above {multiple:g} x chance": has_diverged | (hard.loss > multiple * hard.chance)
        for multiple in multiples
    }
    shares = pd.DataFrame(outcomes).groupby([hard.n_layers, hard.architecture]).mean()
    return SmallTable(100 * shares).sort_index(key=paper_order(trials))


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
                estimate(row.percent, row.low, row.high, ".1f") for row in table.itertuples()
            ],
            "trials": table.trials,
            "paper, %": table.paper_percent,
            "paper, layers": table.paper_n_layers,
        }
    )


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    sentences = []
    for depth, group in tables["table1"].groupby("n_layers"):
        most_first = group.sort_values("percent", ascending=False, kind="stable")
        percent = most_first.set_index("architecture").percent
        sentences.append(
            f"With {layers(depth)}, per cent of random sets that diverged, most first:"
            f" {numbers_of(percent, '.1f')}."
        )
    return sentences


SETS = 1_000  # random sets behind each share of Table 1


def divergence(trials: pd.DataFrame, table: pd.DataFrame) -> Measured:
    """H01 (one layer) and H02 (the greatest depth, against the paper's 8 layers): the shares of trials
    that diverged: their mean, the least and the most.

    Two things decide: the order, that is, whether the IRNN diverges more often than every other
    architecture (Fisher's tests of the named pairs, Holm's correction), and the levels, that is, whether
    Fisher's test tells any share from the paper's (Holm's correction). Different levels refute the claim
    only if the task is the paper's, and agreement says little if the intervals are wide.
    """
    table = table.dropna(subset="paper_percent").set_index("architecture")
    shares = table.percent / 100
    numbers = (mean(table.percent) / 100, shares.min(), shares.max())
    if "irnn" not in table.index or len(table) < MIN_CELLS:
        return Measured(*numbers, lacks=f"{len(table)} of the paper's architectures were trained")
    tests = [
        fisher(c.infeasible, c.trials, round(c.paper_percent / 100 * SETS), SETS)[0]
        for c in table.itertuples()
    ]
    agree = int((holm(tests) > SURELY).sum())
    irnn = table.loc["irnn"]
    pairs = [
        Pair("irnn", c.Index, *fisher(irnn.infeasible, irnn.trials, c.infeasible, c.trials))
        for c in table.drop(index="irnn").itertuples()
    ]
    order, phrase = pairs_verdict(pairs, lower=False)
    shares_text = ", ".join(
        f"{label_of(c.Index)} {c.percent:.0f} ({c.paper_percent:g})" for c in table.itertuples()
    )
    levels_agree = agree == len(table)
    is_wide = (table.high - table.low).mean() > TIGHT
    few = f"; intervals of more than {TIGHT} points say little"
    elsewhere = "; the levels belong to the paper's task and number of steps"
    return Measured(
        *numbers,
        f"per cent, the paper's behind ours: {shares_text}; {agree} of the paper's {len(table)} agree"
        f" with ours, Kendall's tau {kendall(table.percent, table.paper_percent):.2f}; the IRNN"
        f" diverges more often than every other: {phrase}",
        verdict=decide(
            holds=order != FAILS and levels_agree and not is_wide,
            fails=order == FAILS or not levels_agree and is_the_papers_task(trials),
        ),
        if_fails="" if order == FAILS else "; the levels differ",
        if_open=few if levels_agree else elsewhere,
    )


Exhibit(
    name="table1",
    title="Table 1",
    gist=(
        "Per cent of random hyper-parameters that diverged on parentheses, with Wilson's 95 %"
        " interval, beside the paper's."
    ),
    position=13,
    select=random_sets,
    trials="parentheses task with random sets",
    experiment="fig5",
    tables={"table1": infeasible_table},
    draw=draw,
    alt="a row for each architecture, ours and the paper's.",
    numbers=lambda tables: by_architecture(
        "Per cent infeasible at 1 layer", at_least_depth(tables["table1"], "percent"), ".1f"
    ),
    facts=facts,
    claims=at_both_depths("H01", "H02", divergence),
    budget=RANDOM_BUDGET,
)
