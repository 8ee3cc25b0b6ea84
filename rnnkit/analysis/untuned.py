"""Statistics of claims about training without a search (section 4 and App. C): random sets (Figure 5,
Tables 1 and App.2), and reruns (App.1).

Trials with random sets are independent draws, so tests of them need no search that has come to its
end. Levels depend on the size of the task and on the training steps; where ours are smaller than
the paper's, only an order can be refuted.
"""

import functools
import math
from dataclasses import replace

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.analysis.audit import solve_shares
from rnnkit.analysis.finding import (
    AGREE,
    DEEP,
    FAILS,
    MIN_CELLS,
    NEAR,
    NO_DEPTH,
    RERUNS,
    SEEN,
    SOLVED,
    SURELY,
    TIGHT,
    UNTESTED,
    Pair,
    mean,
    side,
    told_apart,
)
from rnnkit.analysis.judge import Measured
from rnnkit.analysis.rows import Budget
from rnnkit.analysis.statistics import bootstrap_samples, fisher, holm, kendall
from rnnkit.analysis.trainability import bounded, hard_trials, paper_depth, tests_of
from rnnkit.wording import and_list, label_of

SETS = 1_000  # random sets behind each share of Table 1


def diverged_shallow(rows, table: pd.DataFrame, spent: Budget) -> Measured:
    """H01: shares of trials that diverged at one layer; shown are the mean, the least and the most."""
    return _diverged(rows, table[table.n_layers == 1], spent)


def diverged_deep(rows, table: pd.DataFrame, spent: Budget) -> Measured:
    """H02: the same at the greatest depth, against the paper's 8 layers."""
    deepest = table.n_layers.max()
    if deepest < DEEP:
        return Measured(lacks=NO_DEPTH.format(deepest, DEEP))
    return _diverged(rows, table[table.n_layers == deepest], spent)


def _diverged(rows, table, spent) -> Measured:
    """`differ` counts the shares that Fisher's test tells from the paper's, with Holm's correction;
    `order` says whether the IRNN diverges more often than each other (named pairs, Holm). A level
    refutes only on the paper's task (`papers`); where intervals are `wide` it says little.
    """
    table = table.dropna(subset="paper_percent").set_index("architecture")
    shares = table.percent / 100 if len(table) else pd.Series([math.nan])
    shown = Measured(
        float(np.mean(table.percent)) / 100 if len(table) else math.nan,
        float(shares.min()),
        float(shares.max()),
        has={"architectures": len(table), "irnn": "irnn" in table.index},
        lacks=f"{len(table)} of the paper's architectures were trained",
    )
    if "irnn" not in table.index:
        return shown
    tests = [
        fisher(c.infeasible, c.trials, round(c.paper_percent / 100 * SETS), SETS)[0]
        for c in table.itertuples()
    ]
    agree = int((holm(tests) > SURELY).sum())
    one, others = table.loc["irnn"], table.drop(index="irnn")
    pairs = [
        Pair("irnn", c.Index, *fisher(one.infeasible, one.trials, c.infeasible, c.trials))
        for c in others.itertuples()
    ]
    order, words = told_apart(pairs, lower=False)
    each = ", ".join(
        f"{label_of(a)} {c.percent:.0f} ({c.paper_percent:g})" for a, c in table.iterrows()
    )
    wide = (table.high - table.low).mean() > TIGHT
    few = f"; intervals of more than {TIGHT} points say little"
    elsewhere = "; the levels belong to the paper's task and number of steps"
    return replace(
        shown,
        words=f"per cent, the paper's behind ours: {each}; {agree} of the paper's {len(table)} agree"
        f" with ours, Kendall's tau {kendall(table.percent, table.paper_percent):.2f}; the IRNN"
        f" diverges more often than each other: {words}",
        more={
            "order": order,
            "differ": len(table) - agree,
            "wide": wide,
            "papers": _papers_task(rows, spent),
        },
        if_fails="" if order == FAILS else "; the levels differ",
        if_open=few if agree == len(table) else elsewhere,
    )


def _papers_task(rows, spent: Budget) -> bool:
    """Whether the trials are of the paper's form of the task, and of no fewer steps than the
    paper's fewest.
    """
    return set(rows.form) <= {"", "paper"} and spent.steps[0] >= paper.STEPS[0]


def signs_shallow(rows, table: pd.DataFrame, spent: Budget) -> Measured:
    """H05: the share of the pairs which the paper calls different (p < .05) at one layer in which
    our t has its sign.
    """
    return _signs(rows, 1)


def signs_deep(rows, table: pd.DataFrame, spent: Budget) -> Measured:
    """H06: the same at the greatest depth, against the paper's 8 layers."""
    deepest = table.n_layers.max()
    if deepest < DEEP:
        return Measured(lacks=NO_DEPTH.format(deepest, DEEP))
    return _signs(rows, deepest)


def _signs(rows, depth) -> Measured:
    """Both rules are printed: the one of before the trials of seed 0 were seen, and today's, which
    was made with them in view.

    Before: of all feasible trials, the interval of the agreement decides. Today: trials above twice
    chance are left out (one of them is all that a mean shows), and signs refute only where at least
    one pair is told apart `against` the paper, by Holm's correction. Today's decides, on trials of
    a fresh seed.
    """
    rows = rows[rows.n_layers == depth]
    fresh = rows[rows.seed != SEEN]
    used = fresh if len(fresh) else rows
    feasible = hard_trials(used).dropna(subset="loss")
    before, after = _agreement(feasible), _agreement(bounded(used))
    if after is None or before is None:
        return Measured(lacks=f"fewer than {MIN_CELLS} of the paper's pairs could be tested")
    against = after["against"]
    rule_before, rule_after = (
        side(AGREE, found["low"], found["high"], below=False) for found in (before, after)
    )
    rule_after = UNTESTED if rule_after == FAILS and not against else rule_after
    reason = (
        f"{after['same']} of the {after['pairs']} pairs that the paper tells apart have its"
        f" sign{_instead(depth)}; told apart against the paper: {and_list(against)}; agreement is"
        f" {AGREE:.0%} of the signs; the rule of before any trial was seen (all feasible trials, no"
        f" such test) says {_ends(before)}, {rule_before}; today's says {_ends(after)}, {rule_after}"
    )
    stale = (
        "not tested on a fresh seed, since today's rule was made with the trials of seed"
        f" {SEEN} in view"
    )
    return Measured(
        after["ours"],
        after["low"],
        after["high"],
        f"{reason}; decided by today's on seed {and_list(sorted(set(fresh.seed)))}",
        has={"fresh trials": len(fresh)},
        lacks=f"{reason}; {stale}",
        more={"signs": rule_after},
    )


def _ends(found: dict) -> str:
    return f"{found['ours']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def _agreement(trials) -> dict | None:
    """Share of the paper's signs with its bootstrap interval over trials, and the pairs surely told
    apart against the paper; None for too few pairs. `trials` are those of `hard_trials` whose means
    are compared.
    """
    table = tests_of(trials)
    table = table[(table.paper_p < 0.05) & table.t.notna()]
    if len(table) < MIN_CELLS:
        return None
    names = sorted({*table["first"], *table["second"]})
    samples = [trials.loss[trials.architecture == a] for a in names]
    places = np.array(
        [[names.index(row["first"]), names.index(row["second"])] for _, row in table.iterrows()]
    )
    theirs = np.sign(table.paper_t.to_numpy())

    def agreement(draws):
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


def intersection_solves_deep(rows, networks: pd.DataFrame, spent: Budget) -> Measured:
    """H07: +RNN's share of feasible random sets that solve at the greatest depth; `order` says
    whether it is larger than each other's (Fisher's test, Holm's correction). The level is H07b's.
    """
    champion, others, deepest, lacks = _solvers(networks)
    if lacks:
        return Measured(lacks=lacks)
    solved = champion.solved, champion.feasible
    pairs = [Pair("+rnn", c.architecture, *fisher(*solved, c.solved, c.feasible)) for c in others]
    order, words = told_apart(pairs, lower=False)
    each = ", ".join(
        f"{label_of(c.architecture)} {c.solved_share:.3f}" for c in (champion, *others)
    )
    return Measured(
        *_share(champion),
        f"{each}, of feasible random sets{_instead(deepest)}; more than each other: {words}",
        more={"order": order},
    )


def intersection_level(rows, networks: pd.DataFrame, spent: Budget) -> Measured:
    """H07b: the share of +RNN's feasible random sets that solve, beside the .43 that the paper's
    tests imply (`audit.solve_shares`): `p` of Fisher's test, and how `far` its interval goes. The
    level refutes only on the paper's task (`papers`).
    """
    champion, _, deepest, lacks = _solvers(networks)
    if lacks:
        return Measured(lacks=lacks)
    theirs, solved, runs = _papers_solvers()
    p, _ = fisher(champion.solved, champion.feasible, solved, runs)
    far = max(abs(end - theirs) for end in _share(champion)[1:])
    elsewhere = "; the level belongs to the paper's task and number of steps"
    return Measured(
        *_share(champion),
        f"{champion.solved} of {champion.feasible} feasible random sets{_instead(deepest)}, the"
        f" paper's {theirs:.2f}; p {p:.2g}",
        more={"p": p, "far": far, "papers": _papers_task(rows, spent)},
        if_open=f"; the interval leaves {theirs:.2f} +- {NEAR}" if p > SURELY else elsewhere,
    )


@functools.cache
def _papers_solvers() -> tuple[float, int, int]:
    """Of the paper's +RNN at 8 layers: the share that solved, how many, and out of how many."""
    row = solve_shares().set_index("architecture").loc["+rnn"]
    return float(row.share), round(row.share * row.runs), round(row.runs)


def _solvers(networks):
    """+RNN and the others at the greatest depth, rows with `feasible`, that depth, and what is
    lacking where they are not there.
    """
    deepest = networks.n_layers.max()
    if deepest < DEEP:
        return None, (), deepest, NO_DEPTH.format(deepest, DEEP)
    networks = networks.assign(feasible=networks.trials - networks.infeasible)
    deep = networks[
        (networks.n_layers == deepest)
        & (networks.feasible > 0)
        & networks.architecture.isin(paper.ARCHITECTURES)
    ]
    if "+rnn" not in set(deep.architecture) or len(deep) < MIN_CELLS:
        return None, (), deepest, f"+RNN was not trained beside others at depth {deepest}"
    found = list(deep.itertuples())
    champion = next(c for c in found if c.architecture == "+rnn")
    return champion, [c for c in found if c.architecture != "+rnn"], deepest, ""


def _share(network) -> tuple[float, float, float]:
    return network.solved_share, network.solved_low, network.solved_high


def reruns_are_close(rows, table: pd.DataFrame, spent: Budget) -> Measured:
    """A01: mean of the reruns over the original: the geometric mean over architectures, with the
    least and the most. `least` and `most` are the greatest lower and upper end of an architecture's
    own interval, in multiples of the largest that the paper has (7.1, the RNN's).

    The original is the best of a search, so it is also lucky: a mean above it is expected. An
    original that did not solve its task is left out, since any rerun comes near the plateau.
    """
    table = table.dropna(subset="mean_over_original")
    idle = table[table.original >= SOLVED * table.chance]
    table = table.drop(index=idle.index)
    largest = max(mean / original for original, _, _, mean, *_ in paper.TABLE_APP1.values())
    ratios = table.mean_over_original
    if table.empty:
        which = " that solved the task" if len(idle) else ""
        return Measured(lacks=f"no rerun stands beside the best trial{which} of its search")
    each = ", ".join(
        f"{label_of(c.architecture)} {c.mean_over_original:.3g} [{c.low:.3g}, {c.high:.3g}]"
        for c in table.itertuples()
    )
    unsolved = and_list(map(label_of, idle.architecture))
    left_out = f"; {unsolved} did not solve the task" if len(idle) else ""
    enough = table.reruns.min() >= RERUNS and set(table.architecture) >= set(paper.TABLE_APP1)
    few = f"; it takes {RERUNS} reruns of {and_list(map(label_of, paper.TABLE_APP1))}"
    return Measured(
        math.exp(mean(np.log(ratios))),
        ratios.min(),
        ratios.max(),
        f"{each}; {table.reruns.min()} reruns and more, of which {table.at_most_original.mean():.0%}"
        f" reached the original{left_out}; the paper's largest is {largest:.1f}",
        more={
            "least": table.low.max() / largest,
            "most": table.high.max(skipna=False) / largest,
            "enough": enough,
        },
        if_open="" if enough else few,
    )


def _instead(depth: int) -> str:
    return (
        ""
        if depth == paper_depth(depth)
        else f" (our depth {depth} beside the paper's {paper_depth(depth)})"
    )
