"""Checks of claims that compare networks with each other: architectures, depths, nonlinearities,
unrolled lengths.

Networks that store less than a perceptron differ in their training, so nothing is concluded from
them; and a claim is refuted only by searches that have come to their end, as far as the number is
one of best trials. Means over sizes and depths have Student's interval, which is wide for few of
them; that architectures differ at all is told by dealing their labels out anew.
"""

import math

import numpy as np

from rnnkit import paper
from rnnkit.analysis.capacity import bits_per_param, multipliers, relu_ratio, unroll_curve
from rnnkit.analysis.finding import (
    FAILS,
    HOLDS,
    MIN_CELLS,
    MIN_TRIALS,
    NO_NUMBERS,
    SATURATED,
    SMALL_SPREAD,
    SURELY,
    UNTESTED,
    Finding,
    judged,
    mean,
    shared,
    side,
    too_few,
    unless_open,
    untrained,
)
from rnnkit.analysis.rows import Budget
from rnnkit.analysis.statistics import (
    apart,
    kendall,
    relabelled,
    share_beyond,
    spread_of_means,
    student,
)
from rnnkit.wording import count, label_of, listed, size_range

NEIGHBOURS = 0.79  # Kendall's tau with one neighbouring pair of five swapped is .8
AGREEMENT = 0.5  # mean tau between depths


def small_spread(rows, points, spent: Budget) -> Finding:
    """C04: the highest architecture stores at most 1.5 times the lowest, IRNN aside: a ratio of
    geometric means over sizes and depths.
    """
    table, left_out = shared(bits_per_param(points), paper.ORDER)
    ratio, low, high = (math.exp(value) for value in spread_of_means(np.log(table)))
    if len(table) < MIN_CELLS or table.shape[1] < 3:
        return Finding(ratio, low, high, UNTESTED, too_few(table))
    means = np.exp(np.log(table).mean())
    reason = (
        f"{label_of(means.idxmax())} {means.max():.2f}, {label_of(means.idxmin())} {means.min():.2f} bits"
        f" per parameter{left_out}"
    )
    reason += f"; small is up to {SMALL_SPREAD}"
    return judged(
        ratio,
        (low, high),
        SMALL_SPREAD,
        below=True,
        reason=reason,
        needs=untrained(points),
        search=rows,
    )


def multiplier_table(rows, points, spent: Budget) -> Finding:
    """C05: the largest multiplier. The paper prints no number to hold it against, so there is no
    verdict, and it is not counted.
    """
    table = multipliers(points)
    table = table[
        table.x.isin(paper.ARCHITECTURES) & table.y.isin(paper.ARCHITECTURES) & (table.x != table.y)
    ].dropna(subset="multiplier")
    if table.empty:
        return Finding(
            math.nan,
            math.nan,
            math.nan,
            NO_NUMBERS,
            "fewer than two architectures share a size and depth",
        )
    top = table.loc[table.multiplier.idxmax()]
    reason = (
        f"{label_of(top.x)} needs {top.multiplier:.2f} times the parameters of {label_of(top.y)}"
    )
    reason += "; the paper draws its table, and its text prints no number to compare with"
    return Finding(top.multiplier, top.low, top.high, NO_NUMBERS, reason)


def ranking(rows, points, spent: Budget) -> Finding:
    """C06: Kendall's tau between our means and the paper's order; one neighbouring pair may be
    swapped (tau .8).

    The interval is of the mean tau over sizes and depths. It holds if the order of the means is the
    paper's so far, and the mean tau is above 0; another order refutes it only if the architectures
    differ at all (labels dealt out anew within each size and depth).
    """
    table, left_out = shared(bits_per_param(points), paper.ORDER)
    if table.shape[1] < 2 or not len(table):
        return Finding(math.nan, math.nan, math.nan, UNTESTED, too_few(table))
    places = -np.arange(table.shape[1])
    tau, (low, high) = float(kendall(table.mean(), places)), student(kendall(table, places), -1, 1)
    ours = " > ".join(
        f"{label_of(a)} {v:.2f}" for a, v in table.mean().sort_values(ascending=False).items()
    )
    if len(table) < MIN_CELLS or left_out:
        return Finding(
            tau,
            low,
            high,
            UNTESTED,
            f"{ours}{left_out}, and it takes all five at {MIN_CELLS} sizes and depths",
        )
    reason = f"{ours}, {count(len(table), 'size and depth', 'sizes and depths')}"
    if untrained(points):
        return Finding(tau, low, high, UNTESTED, f"{reason}; {untrained(points)}")
    if tau > NEIGHBOURS and low > 0:
        return Finding(tau, low, high, HOLDS, reason)
    p = apart(table)
    if high < NEIGHBOURS and p <= SURELY:
        return unless_open(
            Finding(
                tau,
                low,
                high,
                FAILS,
                f"{reason}; labels dealt out anew give as much in {p:.2g} of cases",
            ),
            rows,
        )
    return Finding(tau, low, high, UNTESTED, f"{reason}; the order changes from size to size")


def gates_cost(rows, points, spent: Budget) -> Finding:
    """C07: within a size and depth, bits per parameter fall with the number of gates, IRNN aside.
    The slope over all; its interval is of the slopes of each size and depth that has three numbers
    of gates.
    """
    table = bits_per_param(points)
    table = table[[a for a in paper.ORDER if a in table]].dropna(thresh=2)
    gates = np.array([paper.GATES[a] for a in table.columns], float)
    if table.size == 0:
        return Finding(math.nan, math.nan, math.nan, UNTESTED, too_few(table))

    def slope(values):
        x = np.where(np.isnan(values), np.nan, gates)
        x, y = x - np.nanmean(x, -1, keepdims=True), values - np.nanmean(values, -1, keepdims=True)
        squares = np.nansum(x * x)
        return float(np.nansum(x * y) / squares) if squares else math.nan

    values = table.to_numpy()
    each = [slope(row) for row in values if len(set(gates[~np.isnan(row)])) >= 3]
    ours, interval = slope(values), student(each)
    if len(each) < MIN_CELLS:
        return Finding(ours, *interval, UNTESTED, too_few(table))
    reason = (
        f"over {count(len(each), 'size and depth', 'sizes and depths')} with three numbers of gates"
        " or more"
    )
    return judged(
        ours, interval, 0, below=True, reason=reason, needs=untrained(points), search=rows
    )


def relu_drop(rows, points, spent: Budget) -> Finding:
    """C09: paired over sizes and architectures, tanh stores more than ReLU at an equal number of
    trials.
    """
    rows = rows[rows.architecture.isin(["rnn", "ugrnn"])]
    pairs = relu_ratio(rows, least=MIN_TRIALS // 2).dropna(subset="ratio")
    ratio, interval = (
        math.exp(mean(np.log(pairs.ratio))),
        tuple(math.exp(end) for end in student(np.log(pairs.ratio))),
    )
    if len(pairs) < MIN_CELLS:
        reason = (
            f"{count(len(pairs), 'network')} tried both at least {MIN_TRIALS // 2} times, and it"
            f" takes {MIN_CELLS}"
        )
        return Finding(ratio, *interval, UNTESTED, reason)
    trials = f"{pairs.trials.min()}-{pairs.trials.max()} trials of each in {len(pairs)} networks"
    reason = (
        f"{trials}; ReLU reaches at most {pairs.relu_bits_per_param.max():.2f} bits per parameter"
    )
    needs = untrained(points[points.architecture.isin(["rnn", "ugrnn"])])
    return judged(ratio, interval, 1, below=False, reason=reason, needs=needs, search=rows)


def unrolling_helps(rows, points, spent: Budget) -> Finding:
    """C10: more bits at 5 steps than at 1, and after 5 a doubling gains less than half of what it
    gained before.
    """
    table = unroll_curve(points)
    last = max(spent.unrolls)
    if not {1, paper.UNROLL} <= set(table.columns):
        return Finding(
            math.nan,
            math.nan,
            math.nan,
            UNTESTED,
            f"trained at {listed(spent.unrolls)} steps, and it takes 1 and 5",
        )
    logs = np.log2(
        table[[1, paper.UNROLL, last]] if last > paper.UNROLL else table[[1, paper.UNROLL]]
    ).dropna()
    gains = logs[paper.UNROLL] - logs[1]
    ratio, (low, high) = float(2 ** mean(gains)), (2**end for end in student(gains))
    if last < 8 or len(logs) < MIN_CELLS:
        few = f"{count(len(logs), 'architecture')}, and it takes {MIN_CELLS}"
        return Finding(
            ratio,
            low,
            high,
            UNTESTED,
            few if last >= 8 else f"unrolled to {last} steps, and saturation takes 8",
        )
    late = (logs[last] - logs[paper.UNROLL]) / math.log2(last / paper.UNROLL)
    bends = side(0, *student(SATURATED * gains / math.log2(paper.UNROLL) - late), below=False)
    rises = side(1, low, high, below=False)
    verdict = FAILS if FAILS in (rises, bends) else HOLDS if rises == bends == HOLDS else UNTESTED
    later = 2 ** mean(logs[last] - logs[paper.UNROLL])
    reason = (
        f"{ratio:.2f}-fold from 1 to 5 steps, {later:.2f}-fold from 5 to {last}, {len(logs)}"
        " architectures"
    )
    reason += f" at {size_range(spent.sizes)} parameters"
    if untrained(points[points.unroll >= paper.UNROLL]):
        return Finding(
            ratio,
            low,
            high,
            UNTESTED,
            f"{reason}; {untrained(points[points.unroll >= paper.UNROLL])}",
        )
    return unless_open(Finding(ratio, low, high, verdict, reason), rows)


def depths_agree(rows, points, spent: Budget) -> Finding:
    """C13: architectures rank alike at all depths, by the mean tau between the depths' means; its
    interval is over sizes.

    It holds where labels dealt out anew within each size and depth agree less. Depths that disagree
    refute it only if at two of them the architectures differ at all: else it is noise that
    disagrees.
    """
    table = bits_per_param(points)
    table = table[[a for a in paper.ARCHITECTURES if a in table]]
    depths = sorted(table.index.unique("n_layers"))
    cube = (
        table.unstack("n_layers").dropna(axis=1, how="all").dropna()
    )  # a row for each size, a column for each architecture and depth
    names = [a for a in table.columns if all((a, depth) in cube for depth in depths)]
    if len(depths) < 2 or len(names) < 3 or cube.empty:
        reason = (
            f"{count(len(depths), 'depth')}, and it takes two with three architectures in common"
        )
        return Finding(math.nan, math.nan, math.nan, UNTESTED, reason)
    values = np.stack(
        [cube[[(a, depth) for a in names]].to_numpy() for depth in depths], 1
    )  # sizes x depths x architectures
    tau, interval = (
        float(_agreement(values.mean(0))),
        student([_agreement(size) for size in values], -1, 1),
    )
    about = f"depths {listed(depths)}, {len(names)} architectures, {count(len(values), 'size')}"
    if len(values) < MIN_CELLS:
        return Finding(tau, *interval, UNTESTED, f"{about}, and it takes {MIN_CELLS} sizes")
    if untrained(points):
        return Finding(tau, *interval, UNTESTED, f"{about}; {untrained(points)}")
    flat = values.reshape(-1, len(names))
    p = share_beyond(
        tau, relabelled(flat, lambda draw: _agreement(draw.reshape(-1, *values.shape).mean(1)))
    )
    differ = [
        depth
        for place, depth in enumerate(depths)
        if apart(values[:, place]) <= SURELY / len(depths)
    ]
    about += (
        f"; architectures differ at depth {listed(differ)}"
        if differ
        else "; architectures differ at no depth"
    )
    if tau >= AGREEMENT and p <= SURELY:
        return Finding(
            tau,
            *interval,
            HOLDS,
            f"{about}; labels dealt out anew agree as much in {p:.2g} of cases",
        )
    if interval[1] < AGREEMENT and len(differ) >= 2:
        return unless_open(Finding(tau, *interval, FAILS, about), rows)
    return Finding(
        tau,
        *interval,
        UNTESTED,
        f"{about}; labels dealt out anew agree as much in {p:.2g} of cases",
    )


def _agreement(means):
    """Mean tau between depths: ... x depths x architectures -> ..."""
    depths = range(means.shape[-2])
    return np.mean(
        [kendall(means[..., a, :], means[..., b, :]) for a in depths for b in range(a)], 0
    )
