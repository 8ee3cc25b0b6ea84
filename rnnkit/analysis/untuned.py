"""Checks of claims about training without a search (section 4 and App. C): random sets (Figure 5, Tables 1 and App.2), and reruns (App.1).

Trials with random sets are independent draws, so their intervals resample trials. Levels depend on the size of the task and on the
training steps; where ours are smaller than the paper's, only an order can be refuted.
"""

import math

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.analysis.finding import (
    AGREE, DEEP, FAILS, HOLDS, MIN_CELLS, RERUNS, TIGHT, UNTESTED,
    Finding, label, listed, mean, side,
)  # fmt: skip
from rnnkit.analysis.hard_tasks import easiest
from rnnkit.analysis.rows import Budget
from rnnkit.analysis.statistics import bootstrap_samples, kendall
from rnnkit.analysis.trainability import bounded, paper_depth

NO_DEPTH = "depth {} is the greatest, and deep begins at {}"


def diverged_shallow(rows, table: pd.DataFrame, spent: Budget) -> Finding:
    """H01: at one layer each share of Table 1 lies in our Wilson interval; shown are the mean share and the least and the most."""
    return _diverged(rows, table[table.n_layers == 1], spent)


def diverged_deep(rows, table: pd.DataFrame, spent: Budget) -> Finding:
    """H02: the same at the greatest depth, against the paper's 8 layers."""
    deepest = table.n_layers.max()
    return _diverged(rows, table[table.n_layers == deepest], spent) if deepest >= DEEP else _not_deep(deepest)


def _diverged(rows, table, spent) -> Finding:
    table = table.dropna(subset="paper_percent").set_index("architecture")
    ours, low, high = (float(f(table.percent)) / 100 if len(table) else math.nan for f in (np.mean, np.min, np.max))
    if len(table) < MIN_CELLS or "irnn" not in table.index:
        return Finding(ours, low, high, UNTESTED, f"{len(table)} of the paper's architectures were trained")
    inside = (table.low <= table.paper_percent) & (table.paper_percent <= table.high)
    tau = float(kendall(table.percent, table.paper_percent))
    others = table.drop(index="irnn")
    each = ", ".join(f"{label(a)} {c.percent:.0f} ({c.paper_percent:g})" for a, c in table.iterrows())
    reason = f"per cent, the paper's behind ours: {each}; {inside.sum()} of the paper's {len(table)} lie in our intervals"
    reason += f", Kendall's tau {tau:.2f}"
    if inside.all():
        wide = (table.high - table.low).mean() > TIGHT
        few = f"; intervals of more than {TIGHT} points say little" if wide else ""
        return Finding(ours, low, high, UNTESTED if wide else HOLDS, reason + few)
    if table.high["irnn"] < others.low.max():
        return Finding(ours, low, high, FAILS, f"{reason}; {label(others.low.idxmax())} diverges more often than the IRNN")
    apart = table.low["irnn"] > others.high.max()
    first = "the IRNN diverges most often, as in the paper, but" if apart else "the IRNN is not set apart, and"
    if set(rows.form) <= {"", "paper"} and not spent.small:
        return Finding(ours, low, high, FAILS, f"{reason}; {first} the levels differ")
    return Finding(ours, low, high, UNTESTED, f"{reason}; {first} the levels belong to the paper's task and number of steps")


def lowest_errors(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """H04: GRU has the lowest median and minimum of the random sets at depth 1, +RNN at the greatest depth."""
    return easiest(rows, cells, spent)


def signs_shallow(rows, table: pd.DataFrame, spent: Budget) -> Finding:
    """H05: at one layer our t has the paper's sign in the pairs that the paper calls different (p < .05)."""
    return _signs(rows, table, spent, 1)


def signs_deep(rows, table: pd.DataFrame, spent: Budget) -> Finding:
    """H06: the same at the greatest depth, against the paper's 8 layers."""
    deepest = table.n_layers.max()
    return _signs(rows, table, spent, deepest) if deepest >= DEEP else _not_deep(deepest)


def _signs(rows, table, spent, depth) -> Finding:
    table = table[(table.n_layers == depth) & (table.paper_p < 0.05) & table.t.notna()]
    if len(table) < MIN_CELLS:
        return Finding(math.nan, math.nan, math.nan, UNTESTED, f"{len(table)} of the paper's pairs could be tested")
    trials = bounded(rows[rows.n_layers == depth])
    names = sorted({*table["first"], *table["second"]})
    samples = [trials.loss[trials.architecture == a] for a in names]
    places = np.array([[names.index(row["first"]), names.index(row["second"])] for _, row in table.iterrows()])
    theirs = np.sign(table.paper_t.to_numpy())

    def agreement(draws):
        means = np.stack([draw.mean(-1) for draw in draws])
        return (np.sign(means[places[:, 0]] - means[places[:, 1]]) == theirs[:, None]).mean(0)

    ours, (low, high) = float(table.same_sign.mean()), bootstrap_samples(samples, agreement)
    both = table[table.p < 0.05]
    against = [f"{label(row['first'])} - {label(row['second'])}" for _, row in both[~both.same_sign.astype(bool)].iterrows()]
    reason = f"{int(table.same_sign.sum())} of the {len(table)} pairs that the paper tells apart have its sign; ours tells apart {len(both)}"
    reason += f", against the paper {listed(against)}" if against else ", none against the paper"
    reason += _instead(depth) + f"; agreement is {AGREE:.0%} of the signs"
    verdict = side(AGREE, low, high, below=False)
    if verdict == FAILS and not against:
        return Finding(ours, low, high, UNTESTED, f"{reason}; the signs of pairs that ours does not tell apart are chance")
    return Finding(ours, low, high, verdict, reason)


def intersection_solves_deep(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """H07: at the greatest depth +RNN solves more random sets than any other; shown is its share of feasible trials (Wilson's interval)."""
    deepest = cells.n_layers.max()
    cells = cells[(cells.n_layers == deepest) & (cells.trials > cells.infeasible)].set_index("architecture")
    if deepest < DEEP:
        return _not_deep(deepest)
    if "+rnn" not in cells.index or len(cells) < MIN_CELLS:
        return Finding(math.nan, math.nan, math.nan, UNTESTED, f"+RNN was not trained beside others at depth {deepest}")
    champion, others = cells.loc["+rnn"], cells.drop(index="+rnn")
    each = ", ".join(f"{label(a)} {share:.3f}" for a, share in cells.solved_share.items())
    reason = f"{each}, of feasible random sets{_instead(deepest)}"
    verdict = HOLDS if champion.solved_low > others.solved_high.max() else UNTESTED
    if champion.solved_high < others.solved_low.max():
        verdict = FAILS
    return Finding(champion.solved_share, champion.solved_low, champion.solved_high, verdict, reason)


def reruns_are_close(rows, table: pd.DataFrame, spent: Budget) -> Finding:
    """A01: for each architecture the mean of the reruns is at most the paper's largest multiple of the original (7.1, the RNN's).

    Shown is the geometric mean over architectures, with the least and the most. The original is the best of a search, so it is also
    lucky: a mean above it is expected.
    """
    table = table.dropna(subset="mean_over_original")
    theirs = [mean / original for original, _, _, mean, *_ in paper.TABLE_APP1.values()]
    ratios = table.mean_over_original
    if table.empty:
        return Finding(math.nan, math.nan, math.nan, UNTESTED, "no rerun stands beside the best trial of its search")
    ours = math.exp(mean(np.log(ratios)))
    each = [f"{label(c.architecture)} {c.mean_over_original:.3g} [{c.low:.3g}, {c.high:.3g}]" for c in table.itertuples()]
    reached = f"{table.reruns.min()} reruns and more, of which {table.at_most_original.mean():.0%} reached the original"
    reason = f"{', '.join(each)}; {reached}"
    if (table.low > max(theirs)).any():
        return Finding(ours, ratios.min(), ratios.max(), FAILS, f"{reason}; the paper's largest is {max(theirs):.1f}")
    enough = table.reruns.min() >= RERUNS and set(table.architecture) >= set(paper.TABLE_APP1)
    verdict = HOLDS if enough and (table.high <= max(theirs)).all() else UNTESTED
    few = "" if enough else f"; it takes {RERUNS} reruns of {listed(map(label, paper.TABLE_APP1))}"
    return Finding(ours, ratios.min(), ratios.max(), verdict, f"{reason}; the paper's largest is {max(theirs):.1f}{few}")


def _not_deep(deepest: int) -> Finding:
    return Finding(math.nan, math.nan, math.nan, UNTESTED, NO_DEPTH.format(deepest, DEEP))


def _instead(depth: int) -> str:
    return "" if depth == paper_depth(depth) else f" (our depth {depth} beside the paper's {paper_depth(depth)})"
