"""Statistics of claims that compare networks with each other: architectures, depths, nonlinearities,
unrolled lengths.

Networks that store less than a perceptron differ in their training, so nothing is concluded from
them; and a claim is refuted only by searches that have come to their end, as far as the number is
one of best trials. Means over sizes and depths have Student's interval, which is wide for few of
them; that architectures differ at all is told by dealing their labels out anew.
"""

import math
from dataclasses import replace

import numpy as np

from rnnkit import paper
from rnnkit.analysis.capacity import bits_per_param, multipliers, relu_ratio, unroll_curve
from rnnkit.analysis.finding import (
    MIN_CELLS,
    MIN_TRIALS,
    SATURATED,
    SMALL_SPREAD,
    SURELY,
    mean,
    shared,
    too_few,
    untrained,
)
from rnnkit.analysis.judge import Measured
from rnnkit.analysis.rows import Budget
from rnnkit.analysis.statistics import (
    apart,
    kendall,
    relabelled,
    share_beyond,
    spread_of_means,
    student,
)
from rnnkit.wording import and_list, count, label_of, size_range

NEIGHBOURS = 0.79  # Kendall's tau with one neighbouring pair of five swapped is .8
AGREEMENT = 0.5  # mean tau between depths


def small_spread(rows, points, spent: Budget) -> Measured:
    """C04: the highest over the lowest architecture, IRNN aside: a ratio of geometric means over
    sizes and depths.
    """
    table, left_out = shared(bits_per_param(points), paper.ORDER)
    ratio, low, high = (math.exp(value) for value in spread_of_means(np.log(table)))
    shown = Measured(
        ratio,
        low,
        high,
        has={"sizes and depths": len(table), "architectures": table.shape[1]},
        lacks=too_few(table),
        doubt=untrained(points),
    )
    if not table.size:
        return shown
    means = np.exp(np.log(table).mean())
    words = (
        f"{label_of(means.idxmax())} {means.max():.2f}, {label_of(means.idxmin())}"
        f" {means.min():.2f} bits per parameter{left_out}; small is up to {SMALL_SPREAD}"
    )
    return replace(shown, words=words)


def multiplier_table(rows, points, spent: Budget) -> Measured:
    """C05: the largest multiplier. The paper prints no number to hold it against, so there is no
    verdict, and it is not counted.
    """
    table = multipliers(points)
    table = table[
        table.x.isin(paper.ARCHITECTURES) & table.y.isin(paper.ARCHITECTURES) & (table.x != table.y)
    ].dropna(subset="multiplier")
    if table.empty:
        return Measured(words="fewer than two architectures share a size and depth")
    top = table.loc[table.multiplier.idxmax()]
    return Measured(
        top.multiplier,
        top.low,
        top.high,
        f"{label_of(top.x)} needs {top.multiplier:.2f} times the parameters of {label_of(top.y)};"
        " the paper draws its table, and its text prints no number to compare with",
    )


def ranking(rows, points, spent: Budget) -> Measured:
    """C06: Kendall's tau between our means and the paper's order; the interval is of the mean tau
    over sizes and depths. `chance` is how often labels dealt out anew within each size and depth
    differ as much.
    """
    table, left_out = shared(bits_per_param(points), paper.ORDER)
    if table.shape[1] < 2 or not len(table):
        return Measured(lacks=too_few(table))
    places = -np.arange(table.shape[1])
    tau, (low, high) = float(kendall(table.mean(), places)), student(kendall(table, places), -1, 1)
    ours = " > ".join(
        f"{label_of(a)} {v:.2f}" for a, v in table.mean().sort_values(ascending=False).items()
    )
    chance = apart(table) if high < NEIGHBOURS else math.nan
    return Measured(
        tau,
        low,
        high,
        f"{ours}, {count(len(table), 'size and depth', 'sizes and depths')}",
        has={"sizes and depths": len(table), "architectures": table.shape[1]},
        lacks=f"{ours}{left_out}, and it takes all five at {MIN_CELLS} sizes and depths",
        doubt=untrained(points),
        more={"chance": chance},
        if_fails=f"; labels dealt out anew give as much in {chance:.2g} of cases",
        if_open="; the order changes from size to size",
    )


def gates_cost(rows, points, spent: Budget) -> Measured:
    """C07: the slope of bits per parameter on the number of gates within sizes and depths, IRNN
    aside; its interval is of the slopes of each size and depth that has three numbers of gates.
    """
    table = bits_per_param(points)
    table = table[[a for a in paper.ORDER if a in table]].dropna(thresh=2)
    gates = np.array([paper.GATES[a] for a in table.columns], float)
    if table.size == 0:
        return Measured(lacks=too_few(table))

    def slope(values):
        x = np.where(np.isnan(values), np.nan, gates)
        x, y = x - np.nanmean(x, -1, keepdims=True), values - np.nanmean(values, -1, keepdims=True)
        squares = np.nansum(x * x)
        return float(np.nansum(x * y) / squares) if squares else math.nan

    values = table.to_numpy()
    each = [slope(row) for row in values if len(set(gates[~np.isnan(row)])) >= 3]
    places = count(len(each), "size and depth", "sizes and depths")
    return Measured(
        slope(values),
        *student(each),
        f"over {places} with three numbers of gates or more",
        has={"sizes and depths": len(each)},
        lacks=too_few(table),
        doubt=untrained(points),
    )


def relu_drop(rows, points, spent: Budget) -> Measured:
    """C09: tanh over ReLU at an equal number of trials, paired over sizes and architectures."""
    rows, least = rows[rows.architecture.isin(["rnn", "ugrnn"])], MIN_TRIALS // 2
    pairs = relu_ratio(rows, least=least).dropna(subset="ratio")
    few = f"{count(len(pairs), 'network')} tried both at least {least} times"
    shown = Measured(
        math.exp(mean(np.log(pairs.ratio))),
        *(math.exp(end) for end in student(np.log(pairs.ratio))),
        has={"networks": len(pairs)},
        lacks=f"{few}, and it takes {MIN_CELLS}",
    )
    if pairs.empty:
        return shown
    trials = f"{pairs.trials.min()}-{pairs.trials.max()} trials of each in {len(pairs)} networks"
    most = pairs.relu_bits_per_param.max()
    return replace(
        shown,
        words=f"{trials}; ReLU reaches at most {most:.2f} bits per parameter",
        doubt=untrained(points[points.architecture.isin(["rnn", "ugrnn"])]),
        search=rows,
    )


def unrolling_helps(rows, points, spent: Budget) -> Measured:
    """C10: bits at 5 steps over bits at 1. `bend` is how much more a doubling gains before 5 steps
    than `SATURATED` allows after.
    """
    table, last = unroll_curve(points), max(spent.unrolls)
    if not {1, paper.UNROLL} <= set(table.columns):
        return Measured(lacks=f"trained at {and_list(spent.unrolls)} steps, and it takes 1 and 5")
    steps = [1, paper.UNROLL, last] if last > paper.UNROLL else [1, paper.UNROLL]
    logs = np.log2(table[steps]).dropna()
    gains = logs[paper.UNROLL] - logs[1]
    few = f"{count(len(logs), 'architecture')}, and it takes {MIN_CELLS}"
    ratio, (low, high) = float(2 ** mean(gains)), (2**end for end in student(gains))
    shown = Measured(
        ratio,
        low,
        high,
        has={"steps": last, "architectures": len(logs)},
        lacks=few if last >= 8 else f"unrolled to {last} steps, and saturation takes 8",
        doubt=untrained(points[points.unroll >= paper.UNROLL]),
    )
    if last <= paper.UNROLL:
        return shown
    later = logs[last] - logs[paper.UNROLL]
    bend = SATURATED * gains / math.log2(paper.UNROLL) - later / math.log2(last / paper.UNROLL)
    words = (
        f"{ratio:.2f}-fold from 1 to 5 steps, {2 ** mean(later):.2f}-fold from 5 to {last},"
        f" {len(logs)} architectures at {size_range(spent.sizes)} parameters"
    )
    return replace(shown, words=words, more={"bend": student(bend)})


def depths_agree(rows, points, spent: Budget) -> Measured:
    """C13: the mean tau between the depths' means; its interval is over sizes. `chance` is how often
    labels dealt out anew within each size and depth agree as much, and `differ` at how many depths
    the architectures differ at all: else it is noise that disagrees.
    """
    depths, names, values = _by_depth(points)
    if len(depths) < 2 or len(names) < 3 or not len(values):
        few = f"{count(len(depths), 'depth')}, and it takes two with three architectures in common"
        return Measured(lacks=few)
    shown = Measured(
        float(_agreement(values.mean(0))),
        *student([_agreement(size) for size in values], -1, 1),
        f"depths {and_list(depths)}, {len(names)} architectures, {count(len(values), 'size')}",
        has={"sizes": len(values)},
        doubt=untrained(points),
    )
    shown = replace(shown, lacks=f"{shown.words}, and it takes {MIN_CELLS} sizes")
    if len(values) < MIN_CELLS or shown.doubt:
        return shown
    flat = values.reshape(-1, len(names))
    chance = share_beyond(
        shown.value,
        relabelled(flat, lambda draw: _agreement(draw.reshape(-1, *values.shape).mean(1))),
    )
    differ = [
        depth
        for place, depth in enumerate(depths)
        if apart(values[:, place]) <= SURELY / len(depths)
    ]
    where = f"at depth {and_list(differ)}" if differ else "at no depth"
    as_much = f"; labels dealt out anew agree as much in {chance:.2g} of cases"
    return replace(
        shown,
        words=f"{shown.words}; architectures differ {where}",
        more={"chance": chance, "differ": len(differ)},
        if_holds=as_much,
        if_open=as_much,
    )


def _by_depth(points):
    """Depths, the architectures that all of them have, and bits per parameter, sizes x depths x
    architectures: of the depths that enough sizes were trained at, or else of all.
    """
    table = bits_per_param(points)
    table = table[[a for a in paper.ARCHITECTURES if a in table]]
    sizes = table.reset_index().groupby("n_layers").max_params.nunique()
    enough = sizes.index[sizes >= MIN_CELLS]
    depths = sorted(enough if len(enough) >= 2 else sizes.index)
    table = table[table.index.isin(depths, level="n_layers")]
    # a row for each size, a column for each architecture and depth
    cube = table.unstack("n_layers").dropna(axis=1, how="all").dropna()
    names = [a for a in table.columns if all((a, depth) in cube for depth in depths)]
    if not depths or not names:
        return depths, names, np.empty((0, 0, 0))
    blocks = [cube[[(a, depth) for a in names]].to_numpy() for depth in depths]
    return depths, names, np.stack(blocks, 1)


def _agreement(means):
    """Mean tau between depths: ... x depths x architectures -> ..."""
    depths = range(means.shape[-2])
    return np.mean(
        [kendall(means[..., a, :], means[..., b, :]) for a in depths for b in range(a)], 0
    )
