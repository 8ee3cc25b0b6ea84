"""Table App.2: Welch's t-test of random hyper-parameters, all pairs of architectures."""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, points
from rnnkit.exhibits.best_trials import in_order
from rnnkit.exhibits.budget import Budget
from rnnkit.exhibits.finding import (
    AGREE,
    DEEP,
    FAILS,
    MIN_CELLS,
    NO_DEPTH,
    SEEN,
    SURELY,
    UNTESTED,
    side,
)
from rnnkit.exhibits.judge import ALWAYS, Measured, Rule, as_tested
from rnnkit.exhibits.section_4.hard_trials import (
    hard_trials,
    instead_of_8_layers,
    paper_depth,
    without_explosions,
)
from rnnkit.exhibits.selection import random_sets
from rnnkit.exhibits.statistics import bootstrap_samples, holm, welch
from rnnkit.markup import SmallTable
from rnnkit.paper import RANDOM_BUDGET
from rnnkit.wording import and_list, count, label_of, layers


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
    table = []
    for depth, group in trials.groupby("n_layers"):
        sample = {
            a: group.loss[group.architecture == a].to_numpy() for a in in_order(group.architecture)
        }
        # the order of the paper's pairs
        names = sorted(sample, key=lambda a: (a not in paper.ARCHITECTURES, a))
        for first, second in itertools.combinations(names, 2):
            t, df, p = welch(sample[first], sample[second])
            theirs = (
                paper.TABLE_APP2.get((first, second), (None, None))[depth > 1] or (math.nan,) * 3
            )
            same_sign = (
                None if math.isnan(t) or math.isnan(theirs[0]) else (t < 0) == (theirs[0] < 0)
            )
            table.append(
                [
                    depth,
                    first,
                    second,
                    t,
                    df,
                    p,
                    len(sample[first]),
                    len(sample[second]),
                    paper_depth(depth),
                    *theirs,
                    same_sign,
                ]
            )
    columns = [
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
        "same_sign",
    ]
    return pd.DataFrame(table, columns=columns).astype({"same_sign": "boolean"})


def draw(frame: pd.DataFrame) -> SmallTable:
    """Table App.2: Welch's t, degrees of freedom and p for all pairs, ours beside the paper's, and
    whether the signs agree. ValueError without trials.
    """
    table = points("tableapp2", frame)["tableapp2"]
    return SmallTable(
        {
            "layers": table.n_layers,
            "pair": table["first"].map(label_of) + " - " + table["second"].map(label_of),
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


def facts(trials: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    sentences = []
    for depth, group in tables["tableapp2"].groupby("n_layers"):
        with_sign = group.dropna(subset="same_sign")
        different = group[group.p < 0.05]
        comparable = different.dropna(subset="same_sign")
        sentences.append(
            f"With {layers(depth)}, {int(with_sign.same_sign.sum())} of {count(len(with_sign), 'sign')} are"
            f" the paper's. Our trials tell {count(len(different), 'pair')} of {len(group)} apart (p"
            f" below .05), {int(comparable.same_sign.sum())} of them with the paper's sign."
        )
    return sentences or ["No two architectures have trials to compare."]


def signs_shallow(trials: pd.DataFrame, table: pd.DataFrame, spent: Budget) -> Measured:
    """H05: of the pairs that the paper calls different at one layer (p < .05), the share in which our
    t has the same sign.
    """
    return _measure(trials, 1)


def signs_deep(trials: pd.DataFrame, table: pd.DataFrame, spent: Budget) -> Measured:
    """H06: the same at the greatest depth, against the paper's 8 layers."""
    deepest = table.n_layers.max()
    if deepest < DEEP:
        return Measured(lacks=NO_DEPTH.format(deepest, DEEP))
    return _measure(trials, deepest)


def _measure(trials: pd.DataFrame, depth: int) -> Measured:
    """The statistic of H05 and H06, by two rules, which the evidence both gives: the rule that was
    written before any trial had been seen, and today's, which was written after those of seed 0.

    By the first rule, the interval of the agreement decides, over all feasible trials. Today's rule
    leaves out trials above twice chance, since a single one dominates a mean; and different signs
    refute the claim only if at least one pair is told apart `against` the paper, with Holm's
    correction. Today's rule decides, on trials of a seed that had not been seen.
    """
    trials = trials[trials.n_layers == depth]
    fresh = trials[trials.seed != SEEN]
    subset = fresh if len(fresh) else trials
    feasible = hard_trials(subset).dropna(subset="loss")
    before = _agreement(feasible)
    after = _agreement(without_explosions(subset))
    if after is None or before is None:
        return Measured(lacks=f"fewer than {MIN_CELLS} of the paper's pairs could be tested")
    against = after["against"]
    rule_before, rule_after = (
        side(AGREE, agreement["low"], agreement["high"], below=False)
        for agreement in (before, after)
    )
    rule_after = UNTESTED if rule_after == FAILS and not against else rule_after
    reason = (
        f"{after['same']} of the {after['pairs']} pairs that the paper tells apart have its"
        f" sign{instead_of_8_layers(depth)}; told apart against the paper: {and_list(against)}; agreement is"
        f" {AGREE:.0%} of the signs; the rule written before any trial was seen (all feasible trials,"
        f" no test of pairs) gives {_with_interval(before)}, {rule_before}; today's rule gives"
        f" {_with_interval(after)}, {rule_after}"
    )
    stale = (
        "not tested on a fresh seed: today's rule was written after the trials of seed"
        f" {SEEN} had been seen"
    )
    return Measured(
        after["ours"],
        after["low"],
        after["high"],
        f"{reason}; decided by today's rule on seed {and_list(sorted(set(fresh.seed)))}",
        has={"fresh trials": len(fresh)},
        lacks=f"{reason}; {stale}",
        more={"signs": rule_after},
    )


def _with_interval(agreement: dict) -> str:
    return f"{agreement['ours']:.2f} [{agreement['low']:.2f}, {agreement['high']:.2f}]"


def _agreement(trials: pd.DataFrame) -> dict | None:
    """How far our signs agree with the paper's: the share of equal signs, with its bootstrap interval
    over trials, and the pairs that our trials tell apart the other way round. None for too few pairs.
    `trials` are the `hard_trials` whose means are compared.
    """
    table = welch_tests(trials)
    table = table[(table.paper_p < 0.05) & table.t.notna()]
    if len(table) < MIN_CELLS:
        return None
    names = sorted({*table["first"], *table["second"]})
    samples = [trials.loss[trials.architecture == a] for a in names]
    places = np.array(
        [[names.index(row["first"]), names.index(row["second"])] for _, row in table.iterrows()]
    )
    theirs = np.sign(table.paper_t.to_numpy())

    def agreement(draws: Sequence[np.ndarray]) -> np.ndarray:
        means = np.stack([draw.mean(-1) for draw in draws])
        return (np.sign(means[places[:, 0]] - means[places[:, 1]]) == theirs[:, None]).mean(0)

    low, high = bootstrap_samples(samples, agreement)
    sure = table[(holm(table.p) <= SURELY) & ~table.same_sign.astype(bool)]
    against = [
        f"{label_of(row['first'])} - {label_of(row['second'])}" for _, row in sure.iterrows()
    ]
    return {
        "ours": float(table.same_sign.mean()),
        "low": low,
        "high": high,
        "same": int(table.same_sign.sum()),
        "pairs": len(table),
        "against": against,
    }


CLAIMS = {
    id: Rule(measure, as_tested("signs"), needs={"fresh trials": 1}, refutes=ALWAYS)
    for id, measure in (("H05", signs_shallow), ("H06", signs_deep))
}


Exhibit(
    name="tableapp2",
    title="Table App.2",
    gist=(
        "Welch's t-test for equal mean losses of random hyper-parameters on parentheses, all pairs:"
        " t, degrees of freedom and p, ours beside the paper's. A negative t says that the second"
        " of the pair has the larger mean. Ours leaves out trials above twice chance."
    ),
    section="App. C",
    position=16,
    select=random_sets,
    trials="parentheses task with random sets",
    experiment="fig5",
    tables={"tableapp2": lambda of: welch_table(of.trials)},
    draw=draw,
    alt="a row for each pair of architectures, ours and the paper's.",
    numbers=lambda tables: (
        f"{tables['tableapp2'].same_sign.sum()} of the"
        f" {tables['tableapp2'].same_sign.notna().sum()} tests that the paper has too have its"
        " sign."
    ),
    facts=facts,
    claims=CLAIMS,
    budget=RANDOM_BUDGET,
)
