"""Checks of claims that compare networks with each other: architectures, depths, nonlinearities, unrolled lengths.

They are taken as measured, for and against the paper; the evidence names the budget, since a small search compares trainability
as much as capacity.
"""

import math

import numpy as np

from rnnkit import paper
from rnnkit.analysis.capacity import bits_per_param, multipliers, relu_ratio, unroll_curve
from rnnkit.analysis.finding import (
    FAILS, HOLDS, MIN_CELLS, MIN_TRIALS,
    SATURATED, SMALL_SPREAD, UNTESTED,
    Finding, count, label, listed, mean, shared, side, size_range, spread, too_few,
)  # fmt: skip
from rnnkit.analysis.rows import Budget
from rnnkit.analysis.statistics import bootstrap, kendall


def small_spread(rows, points, spent: Budget) -> Finding:
    """C04: the highest architecture stores at most 1.5 times the lowest, IRNN aside."""
    table, left_out = shared(bits_per_param(points), paper.ORDER)
    ratio = float(spread(table.to_numpy()[None])[0]) if table.size else math.nan
    low, high = bootstrap(table, spread)
    if len(table) < MIN_CELLS or table.shape[1] < 3:
        return Finding(ratio, low, high, UNTESTED, too_few(table))
    means = table.mean()
    reason = f"{label(means.idxmax())} {means.max():.2f}, {label(means.idxmin())} {means.min():.2f} bits per parameter{left_out}"
    return Finding(ratio, low, high, side(SMALL_SPREAD, low, high, below=True), f"{reason}; small is up to {SMALL_SPREAD}")


def multiplier_table(rows, points, spent: Budget) -> Finding:
    """C05: the largest multiplier; the paper prints no number to hold it against."""
    table = multipliers(points)
    table = table[table.x.isin(paper.ARCHITECTURES) & table.y.isin(paper.ARCHITECTURES) & (table.x != table.y)].dropna(subset="multiplier")
    if table.empty:
        return Finding(math.nan, math.nan, math.nan, UNTESTED, "fewer than two architectures share a size and depth")
    top = table.loc[table.multiplier.idxmax()]
    reason = f"{label(top.x)} needs {top.multiplier:.2f} times the parameters of {label(top.y)}"
    reason += "; the paper draws its table, and its text prints no number to compare with"
    return Finding(top.multiplier, top.low, top.high, UNTESTED, reason)


def ranking(rows, points, spent: Budget) -> Finding:
    """C06: Kendall's tau between our means and the paper's order; one neighbouring pair may be swapped (tau .8)."""
    table, left_out = shared(bits_per_param(points), paper.ORDER)
    if table.shape[1] < 2 or not len(table):
        return Finding(math.nan, math.nan, math.nan, UNTESTED, too_few(table))
    places = -np.arange(table.shape[1])
    tau = float(kendall(table.mean(), places))
    low, high = bootstrap(table, lambda draw: kendall(draw.mean(1), places))
    ours = " > ".join(f"{label(a)} {v:.2f}" for a, v in table.mean().sort_values(ascending=False).items())
    if len(table) < MIN_CELLS or left_out:
        return Finding(tau, low, high, UNTESTED, f"{ours}{left_out}, and it takes all five at {MIN_CELLS} sizes and depths")
    verdict = HOLDS if tau > 0.79 and low > 0 else FAILS if high < 0.79 else UNTESTED
    unsure = "" if verdict != UNTESTED else "; the order changes from size to size"
    return Finding(tau, low, high, verdict, f"{ours}, {count(len(table), 'size and depth', 'sizes and depths')}{unsure}")


def gates_cost(rows, points, spent: Budget) -> Finding:
    """C07: within a size and depth, bits per parameter fall with the number of gates, IRNN aside."""
    table = bits_per_param(points)
    table = table[[a for a in paper.ORDER if a in table]].dropna(thresh=2)
    gates = np.array([paper.GATES[a] for a in table.columns], float)

    def slope(draw):
        x = np.where(np.isnan(draw), np.nan, gates)
        x, y = x - np.nanmean(x, -1, keepdims=True), draw - np.nanmean(draw, -1, keepdims=True)
        spread = np.nansum(x * x, (-1, -2))
        return np.divide(np.nansum(x * y, (-1, -2)), spread, out=np.full_like(spread, np.nan), where=spread > 0)

    if table.size == 0:
        return Finding(math.nan, math.nan, math.nan, UNTESTED, too_few(table))
    ours, (low, high) = float(slope(table.to_numpy()[None])[0]), bootstrap(table, slope)
    if len(table) < MIN_CELLS or len(set(gates)) < 3:
        return Finding(ours, low, high, UNTESTED, too_few(table))
    verdict = side(0, low, high, below=True)
    sign = "the interval contains 0" if verdict == UNTESTED else "its sign is clear"
    return Finding(ours, low, high, verdict, f"{sign} over {len(table)} sizes and depths")


def relu_drop(rows, points, spent: Budget) -> Finding:
    """C09: paired over sizes and architectures, tanh stores more than ReLU at an equal number of trials."""
    pairs = relu_ratio(rows[rows.architecture.isin(["rnn", "ugrnn"])], least=MIN_TRIALS // 2).dropna(subset="ratio")
    ratio = math.exp(mean(np.log(pairs.ratio)))
    low, high = bootstrap(np.log(pairs.ratio), lambda draw: np.exp(draw.mean(-1)))
    if len(pairs) < MIN_CELLS:
        reason = f"{count(len(pairs), 'network')} tried both at least {MIN_TRIALS // 2} times, and it takes {MIN_CELLS}"
        return Finding(ratio, low, high, UNTESTED, reason)
    level = f"ReLU reaches at most {pairs.relu_bits_per_param.max():.2f} bits per parameter{', a lower bound' if spent.small else ''}"
    trials = f"{pairs.trials.min()}-{pairs.trials.max()} trials of each in {len(pairs)} networks"
    return Finding(ratio, low, high, side(1, low, high, below=False), f"{trials}; {level}")


def unrolling_helps(rows, points, spent: Budget) -> Finding:
    """C10: more bits at 5 steps than at 1, and after 5 a doubling gains less than half of what it gained before."""
    table = unroll_curve(points)
    last = max(spent.unrolls)
    if not {1, paper.UNROLL} <= set(table.columns):
        return Finding(math.nan, math.nan, math.nan, UNTESTED, f"trained at {listed(spent.unrolls)} steps, and it takes 1 and 5")
    logs = np.log2(table[[1, paper.UNROLL, last]] if last > paper.UNROLL else table[[1, paper.UNROLL]]).dropna()
    ratio = float(2 ** mean(logs[paper.UNROLL] - logs[1]))
    low, high = bootstrap(logs, lambda draw: 2 ** (draw[..., 1] - draw[..., 0]).mean(-1))
    if last < 8 or len(logs) < MIN_CELLS:
        few = f"{count(len(logs), 'architecture')}, and it takes {MIN_CELLS}"
        return Finding(ratio, low, high, UNTESTED, few if last >= 8 else f"unrolled to {last} steps, and saturation takes 8")

    def bend(draw):
        early = (draw[..., 1] - draw[..., 0]) / math.log2(paper.UNROLL)
        return (SATURATED * early - (draw[..., 2] - draw[..., 1]) / math.log2(last / paper.UNROLL)).mean(-1)

    later = 2 ** mean(logs[last] - logs[paper.UNROLL])
    bends = side(0, *bootstrap(logs, bend), below=False)
    rises = side(1, low, high, below=False)
    verdict = FAILS if FAILS in (rises, bends) else HOLDS if rises == bends == HOLDS else UNTESTED
    reason = f"{ratio:.2f}-fold from 1 to 5 steps, {later:.2f}-fold from 5 to {last}, {len(logs)} architectures"
    reason += f" at {size_range(spent.sizes)} parameters"
    return Finding(ratio, low, high, verdict, reason)


def depths_agree(rows, points, spent: Budget) -> Finding:
    """C13: architectures rank alike at all depths; the interval resamples sizes."""
    table = bits_per_param(points)
    table = table[[a for a in paper.ARCHITECTURES if a in table]]
    depths = sorted(table.index.unique("n_layers"))
    cube = table.unstack("n_layers").dropna(axis=1, how="all").dropna()  # a row for each size, a column for each architecture and depth
    names = [a for a in table.columns if all((a, depth) in cube for depth in depths)]
    if len(depths) < 2 or len(names) < 3 or cube.empty:
        reason = f"{count(len(depths), 'depth')}, and it takes two with three architectures in common"
        return Finding(math.nan, math.nan, math.nan, UNTESTED, reason)
    values = np.stack([cube[[(a, depth) for a in names]].to_numpy() for depth in depths], 1)  # sizes x depths x architectures
    pairs = [(a, b) for a in range(len(depths)) for b in range(a)]

    def agreement(draw):
        means = draw.mean(1)
        return np.mean([kendall(means[:, a], means[:, b]) for a, b in pairs], 0)

    tau, (low, high) = float(agreement(values[None])[0]), bootstrap(values, agreement)
    about = f"depths {listed(depths)}, {len(names)} architectures, {count(len(values), 'size')}"
    if len(values) < MIN_CELLS:
        return Finding(tau, low, high, UNTESTED, f"{about}, and it takes {MIN_CELLS} sizes")
    verdict = HOLDS if tau >= 0.5 and low > 0 else FAILS if high < 0.5 else UNTESTED
    return Finding(tau, low, high, verdict, f"{about}{'; the sizes disagree' if verdict == UNTESTED else ''}")
