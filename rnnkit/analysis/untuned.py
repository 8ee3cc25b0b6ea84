"""Checks of claims about training without a search (section 4 and App. C): random sets (Figure 5,
Tables 1 and App.2), and reruns (App.1).

Trials with random sets are independent draws, so tests of them need no search that has come to its
end. Levels depend on the size of the task and on the training steps; where ours are smaller than
the paper's, only an order can be refuted.
"""

import functools
import math

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.analysis.audit import solve_shares
from rnnkit.analysis.finding import (
    AGREE,
    DEEP,
    FAILS,
    HOLDS,
    MIN_CELLS,
    RERUNS,
    SEEN,
    SOLVED,
    SURELY,
    TIGHT,
    UNTESTED,
    Finding,
    Pair,
    mean,
    side,
    told_apart,
)
from rnnkit.analysis.hard_tasks import easiest
from rnnkit.analysis.rows import Budget
from rnnkit.analysis.statistics import bootstrap_samples, fisher, holm, kendall
from rnnkit.analysis.trainability import bounded, hard_trials, paper_depth, tests_of
from rnnkit.wording import label_of, listed

NO_DEPTH = "depth {} is the greatest, and deep begins at {}"
SETS = 1_000  # random sets behind each share of Table 1
NEAR = 0.1  # a share is the paper's if its whole interval lies so near


def diverged_shallow(rows, table: pd.DataFrame, spent: Budget) -> Finding:
    """H01: at one layer our shares agree with those of Table 1; shown are the mean share and the
    least and the most.
    """
    return _diverged(rows, table[table.n_layers == 1], spent)


def diverged_deep(rows, table: pd.DataFrame, spent: Budget) -> Finding:
    """H02: the same at the greatest depth, against the paper's 8 layers."""
    deepest = table.n_layers.max()
    return (
        _diverged(rows, table[table.n_layers == deepest], spent)
        if deepest >= DEEP
        else _not_deep(deepest)
    )


def _diverged(rows, table, spent) -> Finding:
    """Fisher's test of each share against the paper's, with Holm's correction. A level refutes only
    on the paper's task; on any, an IRNN that diverges less often than another architecture (named
    pairs, Holm) does.
    """
    table = table.dropna(subset="paper_percent").set_index("architecture")
    ours, low, high = (
        float(f(table.percent)) / 100 if len(table) else math.nan for f in (np.mean, np.min, np.max)
    )
    if len(table) < MIN_CELLS or "irnn" not in table.index:
        return Finding(
            ours, low, high, UNTESTED, f"{len(table)} of the paper's architectures were trained"
        )
    tests = [
        fisher(c.infeasible, c.trials, round(c.paper_percent / 100 * SETS), SETS)[0]
        for c in table.itertuples()
    ]
    agree = int((holm(tests) > SURELY).sum())
    one, others = table.loc["irnn"], table.drop(index="irnn")
    order, words = told_apart(
        [
            Pair("irnn", c.Index, *fisher(one.infeasible, one.trials, c.infeasible, c.trials))
            for c in others.itertuples()
        ],
        lower=False,
    )
    each = ", ".join(
        f"{label_of(a)} {c.percent:.0f} ({c.paper_percent:g})" for a, c in table.iterrows()
    )
    reason = (
        f"per cent, the paper's behind ours: {each}; {agree} of the paper's {len(table)} agree with"
        " ours"
    )
    reason += (
        f", Kendall's tau {kendall(table.percent, table.paper_percent):.2f}; the IRNN diverges more"
        f" often than each other: {words}"
    )
    if order == FAILS:
        return Finding(ours, low, high, FAILS, reason)
    if agree == len(table):
        wide = (table.high - table.low).mean() > TIGHT
        few = f"; intervals of more than {TIGHT} points say little" if wide else ""
        return Finding(ours, low, high, UNTESTED if wide else HOLDS, reason + few)
    if _papers_task(rows, spent):
        return Finding(ours, low, high, FAILS, f"{reason}; the levels differ")
    return Finding(
        ours,
        low,
        high,
        UNTESTED,
        f"{reason}; the levels belong to the paper's task and number of steps",
    )


def _papers_task(rows, spent: Budget) -> bool:
    """Whether the trials are of the paper's form of the task, and of no fewer steps than the
    paper's fewest.
    """
    return set(rows.form) <= {"", "paper"} and spent.steps[0] >= paper.STEPS[0]


def lowest_errors(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """H04: GRU has the lowest median and minimum of the random sets at depth 1, +RNN at the
    greatest depth.
    """
    return easiest(rows, cells, spent)


def signs_shallow(rows, table: pd.DataFrame, spent: Budget) -> Finding:
    """H05: at one layer our t has the paper's sign in the pairs that the paper calls different (p <
    .05).
    """
    return _signs(rows, 1)


def signs_deep(rows, table: pd.DataFrame, spent: Budget) -> Finding:
    """H06: the same at the greatest depth, against the paper's 8 layers."""
    deepest = table.n_layers.max()
    return _signs(rows, deepest) if deepest >= DEEP else _not_deep(deepest)


def _signs(rows, depth) -> Finding:
    """Both rules are printed: the one of before the trials of seed 0 were seen, and today's, which
    was made with them in view.

    Before: of all feasible trials, the interval of the agreement decides. Today: trials above twice
    chance are left out (one of them is all that a mean shows), and signs refute only where at least
    one pair is told apart against the paper, by Holm's correction. Today's decides, on trials of a
    fresh seed.
    """
    rows = rows[rows.n_layers == depth]
    fresh = rows[rows.seed != SEEN]
    used = fresh if len(fresh) else rows
    feasible = hard_trials(used).dropna(subset="loss")
    before, after = _agreement(feasible), _agreement(bounded(used))
    if after is None or before is None:
        return Finding(
            math.nan,
            math.nan,
            math.nan,
            UNTESTED,
            f"fewer than {MIN_CELLS} of the paper's pairs could be tested",
        )
    against = after.pop("against")
    rule_before = side(AGREE, before["low"], before["high"], below=False)
    rule_after = side(AGREE, after["low"], after["high"], below=False)
    rule_after = UNTESTED if rule_after == FAILS and not against else rule_after
    same, pairs = after["same"], after["pairs"]
    reason = (
        f"{same} of the {pairs} pairs that the paper tells apart have its sign{_instead(depth)}"
    )
    reason += (
        f"; told apart against the paper: {listed(against)}; agreement is {AGREE:.0%} of the signs"
    )
    reason += "; the rule of before any trial was seen (all feasible trials, no such test) says "
    reason += f"{_ends(before)}, {rule_before}; today's says {_ends(after)}, {rule_after}"
    if not len(fresh):
        reason += (
            "; not tested on a fresh seed, since today's rule was made with the trials of seed"
            f" {SEEN} in view"
        )
        return Finding(after["ours"], after["low"], after["high"], UNTESTED, reason)
    reason += f"; decided by today's on seed {listed(sorted(set(fresh.seed)))}"
    return Finding(after["ours"], after["low"], after["high"], rule_after, reason)


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


def intersection_solves_deep(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """H07: at the greatest depth +RNN solves more random sets than each other (Fisher's test,
    Holm's correction). The level is H07b's.
    """
    found = _solvers(cells)
    if isinstance(found, Finding):
        return found
    champion, others, deepest = found
    verdict, words = told_apart(
        [
            Pair(
                "+rnn",
                c.architecture,
                *fisher(champion.solved, champion.feasible, c.solved, c.feasible),
            )
            for c in others
        ],
        lower=False,
    )
    each = ", ".join(
        f"{label_of(c.architecture)} {c.solved_share:.3f}" for c in (champion, *others)
    )
    return Finding(
        *_share(champion),
        verdict,
        f"{each}, of feasible random sets{_instead(deepest)}; more than each other: {words}",
    )


def intersection_level(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """H07b: the share of +RNN's feasible random sets that solve is the .43 that the paper's tests
    imply (`audit.solve_shares`).
    """
    found = _solvers(cells)
    if isinstance(found, Finding):
        return found
    champion, _, deepest = found
    theirs, solved, runs = _papers_solvers()
    p, _ = fisher(champion.solved, champion.feasible, solved, runs)
    reason = (
        f"{champion.solved} of {champion.feasible} feasible random sets{_instead(deepest)}, the"
        f" paper's {theirs:.2f}; p {p:.2g}"
    )
    if p > SURELY:
        near = max(abs(end - theirs) for end in _share(champion)[1:]) <= NEAR
        wide = "" if near else f"; the interval leaves {theirs:.2f} +- {NEAR}"
        return Finding(*_share(champion), HOLDS if near else UNTESTED, reason + wide)
    if _papers_task(rows, spent):
        return Finding(*_share(champion), FAILS, reason)
    return Finding(
        *_share(champion),
        UNTESTED,
        f"{reason}; the level belongs to the paper's task and number of steps",
    )


@functools.cache
def _papers_solvers() -> tuple[float, int, int]:
    """Of the paper's +RNN at 8 layers: the share that solved, how many, and out of how many."""
    row = solve_shares().set_index("architecture").loc["+rnn"]
    return float(row.share), round(row.share * row.runs), round(row.runs)


def _solvers(cells):
    """+RNN and the others at the greatest depth, rows with `feasible`, and that depth; a finding
    where they are not there.
    """
    deepest = cells.n_layers.max()
    if deepest < DEEP:
        return _not_deep(deepest)
    cells = cells.assign(feasible=cells.trials - cells.infeasible)
    cells = cells[
        (cells.n_layers == deepest)
        & (cells.feasible > 0)
        & cells.architecture.isin(paper.ARCHITECTURES)
    ]
    if "+rnn" not in set(cells.architecture) or len(cells) < MIN_CELLS:
        return Finding(
            math.nan,
            math.nan,
            math.nan,
            UNTESTED,
            f"+RNN was not trained beside others at depth {deepest}",
        )
    rows = list(cells.itertuples())
    return (
        next(c for c in rows if c.architecture == "+rnn"),
        [c for c in rows if c.architecture != "+rnn"],
        deepest,
    )


def _share(cell) -> tuple[float, float, float]:
    return cell.solved_share, cell.solved_low, cell.solved_high


def reruns_are_close(rows, table: pd.DataFrame, spent: Budget) -> Finding:
    """A01: for each architecture the mean of the reruns is at most the paper's largest multiple of
    the original (7.1, the RNN's).

    Shown is the geometric mean over architectures, with the least and the most. The original is the
    best of a search, so it is also lucky: a mean above it is expected. An original that did not
    solve its task is left out, since any rerun comes near the plateau.
    """
    table = table.dropna(subset="mean_over_original")
    idle = table[table.original >= SOLVED * table.chance]
    table = table.drop(index=idle.index)
    theirs = [mean / original for original, _, _, mean, *_ in paper.TABLE_APP1.values()]
    ratios = table.mean_over_original
    if table.empty:
        which = " that solved the task" if len(idle) else ""
        return Finding(
            math.nan,
            math.nan,
            math.nan,
            UNTESTED,
            f"no rerun stands beside the best trial{which} of its search",
        )
    ours = math.exp(mean(np.log(ratios)))
    each = [
        f"{label_of(c.architecture)} {c.mean_over_original:.3g} [{c.low:.3g}, {c.high:.3g}]"
        for c in table.itertuples()
    ]
    reached = (
        f"{table.reruns.min()} reruns and more, of which {table.at_most_original.mean():.0%}"
        " reached the original"
    )
    left_out = (
        f"; {listed(map(label_of, idle.architecture))} did not solve the task" if len(idle) else ""
    )
    reason = f"{', '.join(each)}; {reached}{left_out}"
    if (table.low > max(theirs)).any():
        return Finding(
            ours,
            ratios.min(),
            ratios.max(),
            FAILS,
            f"{reason}; the paper's largest is {max(theirs):.1f}",
        )
    enough = table.reruns.min() >= RERUNS and set(table.architecture) >= set(paper.TABLE_APP1)
    verdict = HOLDS if enough and (table.high <= max(theirs)).all() else UNTESTED
    few = (
        "" if enough else f"; it takes {RERUNS} reruns of {listed(map(label_of, paper.TABLE_APP1))}"
    )
    return Finding(
        ours,
        ratios.min(),
        ratios.max(),
        verdict,
        f"{reason}; the paper's largest is {max(theirs):.1f}{few}",
    )


def _not_deep(deepest: int) -> Finding:
    return Finding(math.nan, math.nan, math.nan, UNTESTED, NO_DEPTH.format(deepest, DEEP))


def _instead(depth: int) -> str:
    return (
        ""
        if depth == paper_depth(depth)
        else f" (our depth {depth} beside the paper's {paper_depth(depth)})"
    )
