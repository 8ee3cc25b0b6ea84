"""Table App.2: Welch's t-test of random hyper-parameters, all pairs of architectures."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, NamedTables, points
from rnnkit.exhibits.finding import (
    AGREE,
    FAILS,
    MIN_CELLS,
    SEEN,
    SURELY,
    UNTESTED,
)
from rnnkit.exhibits.judge import Measured, above
from rnnkit.exhibits.section_4.hard_trials import (
    at_both_depths,
    hard_trials,
    instead_of_8_layers,
    paper_depth,
    without_explosions,
)
from rnnkit.exhibits.selection import random_sets
from rnnkit.exhibits.statistics import bootstrap_samples, holm, welch
from rnnkit.markup import SmallTable
from rnnkit.paper import RANDOM_BUDGET
from rnnkit.wording import and_list, count, estimate, layers, pair_name, percent


def welch_table(trials: pd.DataFrame) -> pd.DataFrame:
    """Table App.2: Welch's t of the losses of random hyper-parameters, for all pairs at each depth,
    beside the paper's.

    Only trials `without_explosions` count, because the spread that the paper's own tests imply
    (`audit.recovered_runs`) leaves no room for exploded ones. `same_sign` is missing where the paper
    has no test.
    """
    return welch_tests(without_explosions(trials))


def welch_tests(trials: pd.DataFrame) -> pd.DataFrame:
    """The table of `welch_table`, of exactly these trials."""
    records = []
    for depth, group in trials.groupby("n_layers"):
        sample = dict(list(group.groupby("architecture").loss))
        # the order of the paper's pairs
        names = sorted(sample, key=lambda a: (a not in paper.ARCHITECTURES, a))
        for first, second in itertools.combinations(names, 2):
            theirs = paper.TABLE_APP2.get((first, second), (None, None))[depth > 1]
            records.append(
                [
                    depth,
                    first,
                    second,
                    *welch(sample[first], sample[second]),
                    len(sample[first]),
                    len(sample[second]),
                    paper_depth(depth),
                    *(theirs or (math.nan, math.nan, math.nan)),
                ]
            )
    table = pd.DataFrame(records, columns=COLUMNS)
    same_sign = ((table.t < 0) == (table.paper_t < 0)).astype("boolean")
    return table.assign(same_sign=same_sign.where(table.t.notna() & table.paper_t.notna()))


COLUMNS = [
    "n_layers",
    "first",
    "second",
    "t",
    "df",
    "p",
    "n_first",
    "n_second",
    "paper_n_layers",
    "paper_t",
    "paper_df",
    "paper_p",
]


def draw(frame: pd.DataFrame) -> SmallTable:
    """Table App.2: Welch's t, degrees of freedom and p for all pairs, ours beside the paper's, and
    whether the signs agree. ValueError without trials.
    """
    table = points("tableapp2", frame)["tableapp2"]
    return SmallTable(
        {
            "layers": table.n_layers,
            "pair": [pair_name(*pair) for pair in zip(table["first"], table["second"])],
            "t": table.t,
            "df": table.df,
            "p": table.p.map(_p_value),
            "paper, layers": table.paper_n_layers,
            "paper, t": table.paper_t,
            "paper, df": table.paper_df,
            "paper, p": table.paper_p.map(_p_value),
            "same sign": table.same_sign.map({True: "yes", False: "no"}).fillna("-"),
        }
    )


def _p_value(value: float) -> str:
    """The paper's p of .001 stands for less than that."""
    return "-" if pd.isna(value) else "< .001" if value <= 0.001 else f"{value:.3f}".lstrip("0")


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    sentences = []
    for depth, group in tables["tableapp2"].groupby("n_layers"):
        different = group[group.p < SURELY]
        sentences.append(
            f"With {layers(depth)}, {group.same_sign.sum()} of"
            f" {count(group.same_sign.count(), 'sign')} are the paper's. Our trials tell"
            f" {count(len(different), 'pair')} of {len(group)} apart (p below .05),"
            f" {different.same_sign.sum()} of them with the paper's sign."
        )
    return sentences or ["No two architectures have trials to compare."]


def signs(trials: pd.DataFrame, table: pd.DataFrame) -> Measured:
    """H05 (one layer) and H06 (the greatest depth, against the paper's 8 layers): of the pairs that the
    paper calls different (p < .05), the share in which our t has the same sign.

    There are two rules, and the evidence gives both: the rule that was written before any trial had
    been seen, and today's, which was written after those of seed 0. By the first rule, the interval of
    the agreement decides, over all feasible trials. Today's rule leaves out trials above twice chance,
    since a single one dominates a mean; and different signs refute the claim only if at least one pair
    is told apart against the paper, with Holm's correction. Today's rule decides, on trials of a seed
    that had not been seen.
    """
    fresh = trials[trials.seed != SEEN]
    subset = fresh if len(fresh) else trials
    before = _agreement(hard_trials(subset).dropna(subset="loss"))
    after = _agreement(without_explosions(subset))
    if after is None or before is None:
        return Measured(lacks=f"fewer than {MIN_CELLS} of the paper's pairs could be tested")
    rule_before, rule_after = (
        above(AGREE).verdict(agreement.low, agreement.high) for agreement in (before, after)
    )
    rule_after = UNTESTED if rule_after == FAILS and not after.against else rule_after
    reason = (
        f"{after.same_signs} of the {after.pairs} pairs that the paper tells apart have its"
        f" sign{instead_of_8_layers(trials.n_layers.max())}; told apart against the paper:"
        f" {and_list(after.against)}; agreement is {percent(AGREE)} of the signs; the rule written"
        f" before any trial was seen (all feasible trials, no test of pairs) gives"
        f" {estimate(*before[:3])}, {rule_before}; today's rule gives {estimate(*after[:3])},"
        f" {rule_after}"
    )
    if fresh.empty:
        stale = f"today's rule was written after the trials of seed {SEEN} had been seen"
        lacks = f"{reason}; not tested on a fresh seed: {stale}"
        return Measured(*after[:3], lacks=lacks)
    seeds = and_list(sorted(set(fresh.seed)))
    return Measured(
        *after[:3],
        f"{reason}; decided by today's rule on seed {seeds}",
        verdict=rule_after,
    )


class Agreement(NamedTuple):
    """How far our signs agree with the paper's: the share of `same_signs` among the `pairs`, with
    its bootstrap interval over trials, and the pairs that our trials tell apart the other way round.
    """

    share: float
    low: float
    high: float
    same_signs: int
    pairs: int
    against: list[str]


def _agreement(trials: pd.DataFrame) -> Agreement | None:
    """The agreement of `hard_trials` whose means are compared; None for too few pairs."""
    table = welch_tests(trials)
    table = table[(table.paper_p < SURELY) & table.t.notna()]
    if len(table) < MIN_CELLS:
        return None
    pairs = table[["first", "second"]].to_numpy(str)
    names, places = np.unique(pairs, return_inverse=True)
    first, second = places.reshape(pairs.shape).T
    theirs = np.sign(table.paper_t.to_numpy())

    def agreement(draws: Sequence[np.ndarray]) -> np.ndarray:
        means = np.stack([draw.mean(-1) for draw in draws])
        return (np.sign(means[first] - means[second]) == theirs[:, None]).mean(0)

    samples = [trials.loss[trials.architecture == a] for a in names]
    against = pairs[(holm(table.p) <= SURELY) & ~table.same_sign.astype(bool)]
    return Agreement(
        float(table.same_sign.mean()),
        *bootstrap_samples(samples, agreement),
        int(table.same_sign.sum()),
        len(table),
        [pair_name(*pair) for pair in against],
    )


Exhibit(
    name="tableapp2",
    title="Table App.2",
    gist=(
        "Welch's t-test for equal mean losses of random hyper-parameters on parentheses, all pairs:"
        " t, degrees of freedom and p, ours beside the paper's. A negative t says that the second"
        " of the pair has the larger mean. Ours leaves out trials above twice chance."
    ),
    position=16,
    select=random_sets,
    trials="parentheses task with random sets",
    experiment="fig5",
    tables={"tableapp2": welch_table},
    draw=draw,
    alt="a row for each pair of architectures, ours and the paper's.",
    numbers=lambda tables: (
        f"{tables['tableapp2'].same_sign.sum()} of the"
        f" {tables['tableapp2'].same_sign.notna().sum()} tests that the paper has too have its"
        " sign."
    ),
    facts=facts,
    claims=at_both_depths("H05", "H06", signs),
    budget=RANDOM_BUDGET,
)
