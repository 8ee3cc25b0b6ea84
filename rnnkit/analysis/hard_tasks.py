"""Checks of claims about searches on the hard tasks (section 4, Figure 4): who solves them, how soon, how well.

That a network solved a task is a fact at any scale; that it did not is a fact only about a search as long as this one. `cells` is
`trainability.by_network`: one row for each task, depth and architecture. The interval resamples tasks and depths, or trials where said.
"""

import math

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.analysis.finding import (
    DEEP, FAILS, HOLDS, MIN_CELLS, NEARLY, RARELY, SOLVED, UNTESTED,
    Finding, count, label, listed, mean, side,
)  # fmt: skip
from rnnkit.analysis.rows import GP, Budget
from rnnkit.analysis.statistics import bootstrap, bootstrap_samples, wilson
from rnnkit.analysis.trainability import CELL, hard_trials, running_curves

PLAIN = tuple(a for a in paper.ARCHITECTURES if not paper.GATES[a])  # RNN and IRNN
GATED = tuple(a for a in paper.ARCHITECTURES if paper.GATES[a])


def plain_are_last(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """P01: RNN and IRNN come to the threshold later than gated cells, and end at a higher loss, in most pairs."""
    scores = []  # for each task and depth the share of pairs in which the cell without gates is slower, and is worse
    for _, cell in cells.groupby(CELL):
        cell = cell.set_index("architecture")
        pairs = [(u, g) for u in PLAIN for g in GATED if u in cell.index and g in cell.index]
        if pairs and cell.solved.any():
            scores.append([np.mean([_later(cell[name][u], cell[name][g]) for u, g in pairs]) for name in ("first_solved", "minimum")])
    if not scores:
        return Finding(math.nan, math.nan, math.nan, UNTESTED, f"no network reached a loss below {SOLVED:g} of chance")
    slower, worse = np.mean(scores, 0)
    low, high = bootstrap(np.array(scores)[:, 0], lambda draw: draw.mean(-1))
    reason = f"{slower:.0%}, and they end at a higher loss in {worse:.0%}"
    reason += f", over {count(len(scores), 'task and depth', 'tasks and depths')} that any network solved"
    if len(scores) < MIN_CELLS:
        return Finding(slower, low, high, UNTESTED, f"{reason}; it takes {MIN_CELLS}")
    sides = {side(0.5, low, high, below=False), side(0.5, *bootstrap(np.array(scores)[:, 1], lambda draw: draw.mean(-1)), below=False)}
    return Finding(slower, low, high, FAILS if FAILS in sides else HOLDS if sides == {HOLDS} else UNTESTED, reason)


def _later(one: float, other: float) -> float:
    """1 where `one` is more than `other` (or never), 0 where it is less, a half where they are equal."""
    one, other = (math.inf if math.isnan(x) else x for x in (one, other))
    return 0.5 if one == other else float(one > other)


def plain_solve_one_layer(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """P02: at one layer RNN and IRNN come below the threshold on every task; shown is the worse of their best on parentheses."""
    cells = cells[(cells.n_layers == 1) & cells.architecture.isin(PLAIN)]
    parens = cells[cells.task_type == "parens_counting"]
    low, ours = parens.minimum.min(), parens.minimum.max(skipna=False)
    if len(parens) < len(PLAIN):
        return Finding(math.nan, math.nan, math.nan, UNTESTED, "RNN and IRNN with one layer were not both trained on parentheses")
    each = [f"{label(c.architecture)} {c.minimum:.3g} on {_task(c.task_type)} (chance {c.chance:.3g})" for c in cells.itertuples()]
    unsolved = cells[cells.solved == 0]
    if unsolved.empty:
        return Finding(ours, low, ours, HOLDS, listed(each))
    return Finding(ours, low, ours, UNTESTED if spent.small else FAILS, f"{listed(each)}; {SOLVED:g} of chance is the threshold")


def only_gated_when_deep(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """P03: at the greatest depth gated cells solve the tasks, RNN and IRNN do not; shown is the share of the latter's trials that do."""
    depth = cells.n_layers.max()
    deep = cells[cells.n_layers == depth]
    deep = deep[deep.task_type.isin(deep.task_type[deep.solved > 0])]  # a task that none solves tells nothing
    if depth < DEEP:
        return Finding(math.nan, math.nan, math.nan, UNTESTED, f"depth {depth} is the greatest, and deep begins at {DEEP}")
    if deep.empty:
        return Finding(math.nan, math.nan, math.nan, UNTESTED, f"no network solved a task at depth {depth}")
    plain, gated = (deep[deep.architecture.isin(names)] for names in (PLAIN, GATED))
    solved, trials = int(plain.solved.sum()), int((plain.trials - plain.infeasible).sum())
    ends, gated_low = wilson(solved, trials), wilson(int(gated.solved.sum()), int((gated.trials - gated.infeasible).sum()))[0]
    ours = solved / trials if trials else math.nan
    least = (deep.minimum / deep.chance).groupby(deep.architecture).min().dropna().sort_values()
    best = [f"{label(architecture)} {loss:.2g}" for architecture, loss in least.items()]
    reason = f"at depth {depth} RNN and IRNN solved in {solved} of {trials} trials, gated cells in {gated_low:.0%} or more"
    reason += f"; least loss over chance: {', '.join(best)}"
    if solved:
        return Finding(ours, *ends, FAILS, reason)
    sure = trials > 0 and ends[1] < gated_low
    return Finding(ours, *ends, HOLDS if sure else UNTESTED, reason + ("" if sure else "; too few solved to tell"))


def easiest(rows, cells: pd.DataFrame, spent: Budget, estimate=np.median) -> Finding:
    """P04, H04: GRU has the lowest median and the lowest minimum at depth 1, +RNN at the greatest depth; shown is the worst of the ratios.

    A ratio is the champion's median over the lowest of the others'; its interval resamples trials, so it holds for these searches.
    """
    trials, deepest, results = hard_trials(rows), rows.n_layers.max(), []
    trials["rank"] = trials.loss.fillna(math.inf) if rows.tuner.isin(GP).all() else trials.loss  # as the curves and the boxes count them
    for champion, depth in (("gru", 1), ("+rnn", deepest)):
        for task in trials.task_type.unique() if depth >= DEEP or depth == 1 else ():
            cell = trials[(trials.task_type == task) & (trials.n_layers == depth)]
            sample = {a: values.dropna().to_numpy() for a, values in cell.groupby("architecture")["rank"] if a in paper.ARCHITECTURES}
            others = [sample[a] for a in sample if a != champion]
            if champion not in sample or len(others) < 2 or not all(map(len, sample.values())):
                continue
            ratio = _over_lowest([values[None] for values in (sample[champion], *others)])[0]
            low, high = bootstrap_samples((sample[champion], *others), _over_lowest)
            first = min(sample, key=lambda a: sample[a].min()) == champion
            said = f"{label(champion)} at depth {depth} on {_task(task)} {ratio:.2f} [{low:.2f}, {high:.2f}]"
            results.append((ratio, low, high, first, said))
    if not results:
        return Finding(math.nan, math.nan, math.nan, UNTESTED, "neither GRU at depth 1 nor +RNN at depth was trained beside others")
    ratio, low, high = max(results, key=lambda r: r[0])[:3]
    reason = f"{listed(r[-1] for r in results)}; theirs is the lowest minimum in {sum(r[3] for r in results)} of {len(results)}"
    if deepest < DEEP:
        return Finding(ratio, low, high, UNTESTED, f"{reason}; depth {deepest} is the greatest, and deep begins at {DEEP}")
    if any(r[1] > 1 for r in results):
        return Finding(ratio, low, high, FAILS, reason)
    return Finding(ratio, low, high, HOLDS if all(r[2] < 1 and r[3] for r in results) else UNTESTED, reason)


def _over_lowest(samples):
    """First median over the lowest other median, draw by draw; inf where the first is not finite."""
    medians = np.stack([np.median(sample, -1) for sample in samples])
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(medians[0]), np.inf, medians[0] / medians[1:].min(0))


def arithmetic_is_harder(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """P05: best loss over chance is higher on arithmetic than on parentheses, and RNN's and IRNN's best there falls over the last third.

    Shown is that fall, in decades (negative), averaged over RNN, IRNN and depths.
    """
    table = (cells.minimum / cells.chance).groupby([cells.n_layers, cells.architecture, cells.task_type]).min().unstack()
    if "arithmetic" not in table:
        return Finding(math.nan, math.nan, math.nan, UNTESTED, "arithmetic was not trained")
    plain = running_curves(rows[(rows.task_type == "arithmetic") & rows.architecture.isin(PLAIN)]) if "arithmetic" in table else rows
    falls = [_fall(study.minimum.to_numpy()) for _, study in plain.groupby("study")]
    falls = [fall for fall in falls if not math.isnan(fall)]
    slope, (low, high) = mean(falls), bootstrap(falls, lambda draw: draw.mean(-1))
    still = f"{sum(fall < 0 for fall in falls)} of {len(falls)} searches of RNN and IRNN improved in their last third"
    if "parens_counting" not in table or len(table.dropna()) < MIN_CELLS or len(falls) < MIN_CELLS:
        return Finding(slope, low, high, UNTESTED, f"{still}; too few networks were trained on both tasks")
    logs = np.log(table.dropna()[["parens_counting", "arithmetic"]].to_numpy())
    ends = np.exp(bootstrap(logs[:, 1] - logs[:, 0], lambda draw: draw.mean(-1)))
    harder = math.exp(mean(logs[:, 1] - logs[:, 0]))
    reason = f"best loss over chance is {harder:.2f} [{ends[0]:.2f}, {ends[1]:.2f}] times that of parentheses; {still}"
    sides = {side(1, *ends, below=False), side(0, low, high, below=True) if any(falls) else FAILS}
    return Finding(slope, low, high, FAILS if FAILS in sides else HOLDS if sides == {HOLDS} else UNTESTED, reason)


def _fall(best) -> float:
    """log10 of the best of a search over the best of its first two thirds; nan where the latter is not there."""
    before = best[math.ceil(2 * len(best) / 3) - 1]
    return math.log10(best[-1] / before) if math.isfinite(before) and best[-1] > 0 else math.nan


def learned_is_exact(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """P06: the best trial of networks that solved arithmetic answers whole sums right; shown is their highest share of right answers."""
    cells = cells[cells.task_type == "arithmetic"]
    solved = cells[(cells.solved > 0) & cells.accuracy.notna()]
    if solved.empty:
        reason = "no network solved arithmetic" if len(cells) else "arithmetic was not trained"
        return Finding(cells.accuracy.max(), math.nan, math.nan, UNTESTED, f"{reason}: loss below {SOLVED:g} of chance")
    best = solved.loc[solved.accuracy.idxmax()]
    exact = f"{(solved.accuracy >= NEARLY).sum()} of {len(solved)} networks that solved it answer {NEARLY:.0%} of sums or more"
    reason = f"{label(best.architecture)} at depth {best.n_layers}; {exact}"
    if best.accuracy >= NEARLY:
        return Finding(best.accuracy, solved.accuracy.min(), best.accuracy, HOLDS, reason)
    return Finding(best.accuracy, solved.accuracy.min(), best.accuracy, UNTESTED if spent.small else FAILS, reason)


def advice(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """G04: GRU has the lowest median and minimum at depths 1 and 2, +RNN at 4 and 8, LSTM almost never; shown is the share of such wins."""
    wins = winners(cells)
    if wins.empty:
        return Finding(math.nan, math.nan, math.nan, UNTESTED, "no task and depth had a network that solved it and three architectures")
    ours, table = wins.advised.mean(), wins.groupby(CELL).advised.mean()
    low, high = bootstrap(table, lambda draw: draw.mean(-1))
    tally = wins.winner.map(label).value_counts()
    lstm = (wins.winner == "lstm").mean()
    reason = f"lowest median or minimum: {', '.join(f'{a} {n}' for a, n in tally.items())}"
    reason += f", of {len(wins)} at {count(len(table), 'task and depth', 'tasks and depths')}"
    if len(table) < MIN_CELLS or rows.n_layers.max() < DEEP:
        return Finding(ours, low, high, UNTESTED, f"{reason}; it takes {MIN_CELLS}, and a depth of {DEEP}")
    verdict = side(0.5, low, high, below=False)
    return Finding(ours, low, high, FAILS if lstm > RARELY else verdict, reason)


def winners(cells: pd.DataFrame) -> pd.DataFrame:
    """Who has the lowest median and the lowest minimum at each task and depth that any network solved, and whether section 5 advised it."""
    table = []
    for (task, depth), cell in cells.groupby(CELL):
        if len(cell) < 3 or not cell.solved.any():
            continue
        for metric in ("median", "minimum"):
            if np.isfinite(cell[metric]).any():
                winner = cell.loc[cell[metric].idxmin()]
                advised = winner.architecture == ("gru" if depth < DEEP else "+rnn")
                table.append([task, depth, metric, winner.architecture, winner[metric], advised])
    return pd.DataFrame(table, columns=[*CELL, "metric", "winner", "loss", "advised"])


def _task(task_type: str) -> str:
    return {"parens_counting": "parentheses"}.get(task_type, task_type)
