"""Checks of claims about amounts: how many bits, for how many parameters, from how many samples, with how many hyper-parameters.

A best trial is a lower bound on a capacity. So a small search may show that networks store *at least* so much, but cannot refute
a level ("about 5 bits"), a proportion to size (large networks are the worse trained) or a dataset just large enough: the verdict
is then "not tested at this scale".
"""

import math

import numpy as np

from rnnkit import paper
from rnnkit.analysis.capacity import bits_per_param
from rnnkit.analysis.finding import (
    ABOUT, FAILS, HOLDS, LINEAR, MIN_CELLS, SLIGHTLY, SURE, UNTESTED,
    Finding, count, label, lacking, listed, mean, shared, side, size_range, too_few,
)  # fmt: skip
from rnnkit.analysis.rows import Budget, is_pinned
from rnnkit.analysis.statistics import bootstrap, slope_loglog


def linear_in_parameters(rows, points, spent: Budget) -> Finding:
    """C01: the interval of the slope contains 1."""
    slope, low, high = slope_loglog(points.num_params, points.bits, points.architecture + points.n_layers.astype(str))
    sizes, near = spent.sizes, 1 - LINEAR <= low and high <= 1 + LINEAR
    if len(sizes) < MIN_CELLS or sizes[-1] < 10 * sizes[0]:
        reason = f"{count(len(sizes), 'size')} of {size_range(sizes)} parameters, and it takes three over a decade"
        return Finding(slope, low, high, UNTESTED, reason)
    if math.isnan(low):
        return Finding(slope, low, high, UNTESTED, "too few networks stored bits")
    if near or low <= 1 <= high and high - low <= 2 * SURE:
        return Finding(slope, low, high, HOLDS, f"near 1 over {len(sizes)} sizes of {size_range(sizes)} parameters")
    if low <= 1 <= high:
        return Finding(slope, low, high, UNTESTED, f"the interval is wider than 1 +- {SURE}")
    if high < 1 and spent.small:
        return Finding(slope, low, high, UNTESTED, "below 1, as it is when large networks are trained for no more steps than small ones")
    return Finding(slope, low, high, FAILS, f"the interval excludes 1 over {size_range(sizes)} parameters")


def five_bits(rows, points, spent: Budget) -> Finding:
    """C02: the mean over architectures and depths at the largest size is within a tenth of 5."""
    values = points[points.max_params == points.max_params.max()].bits_per_param.dropna().to_numpy()
    level, (low, high) = mean(values), bootstrap(values, lambda draw: draw.mean(-1))
    where = f"{count(len(values), 'network')} at {spent.sizes[-1]:,} parameters"
    if spent.small and not level > paper.BITS_PER_PARAMETER * (1 + ABOUT):
        return Finding(level, low, high, UNTESTED, f"a lower bound, from {where}")
    near = abs(level / paper.BITS_PER_PARAMETER - 1) <= ABOUT or low <= paper.BITS_PER_PARAMETER <= high
    return Finding(level, low, high, HOLDS if near else FAILS, f"{where}, {'within' if near else 'not within'} a tenth of 5")


def three_to_six(rows, points, spent: Budget) -> Finding:
    """C03: every network lies between 3 and 6; the interval shown is the least and the most."""
    values = points.bits_per_param.dropna()
    level, low, high = mean(values), values.min(), values.max()
    least, most = paper.BAND
    if high > most:
        return Finding(level, low, high, FAILS, f"the best study stores {high:.2f}, more than {most:g}")
    if low < least:
        reason = f"{(values < least).sum()} of {len(values)} networks found fewer than 3{', lower bounds all' if spent.small else ''}"
        return Finding(level, low, high, UNTESTED if spent.small else FAILS, reason)
    absent = lacking(rows)
    if absent:
        return Finding(level, low, high, UNTESTED, f"all {len(values)} networks lie between, but {absent}")
    return Finding(level, low, high, HOLDS, f"all {len(values)} networks lie between")


def irnn_lowest(rows, points, spent: Budget) -> Finding:
    """C08: the IRNN's mean is below every other architecture's, and its most is within a tenth of 3.5."""
    irnn = points[points.architecture == "irnn"].dropna(subset="bits")
    if irnn.empty:
        return Finding(math.nan, math.nan, math.nan, UNTESTED, "no IRNN stored bits")
    best = irnn.loc[irnn.bits_per_param.idxmax()]
    ours, low = best.bits_per_param, best.bits_per_param_low
    table, _ = shared(bits_per_param(points), paper.ARCHITECTURES)
    others = [a for a in table.columns if a != "irnn"]
    if len(table) < MIN_CELLS or "irnn" not in table or len(others) < 3:
        return Finding(ours, low, ours, UNTESTED, too_few(table))
    lowest, means = table.mean().idxmin(), table.mean()
    below = means["irnn"] / means[others].min()
    ends = bootstrap(table[["irnn", *others]], lambda draw: draw.mean(1)[:, 0] / draw.mean(1)[:, 1:].min(-1))
    rank = f"its mean is {below:.2f} [{ends[0]:.2f}, {ends[1]:.2f}] of the lowest other one's"
    if ends[0] > 1:
        return Finding(ours, low, ours, FAILS, f"not the lowest, {label(lowest)} is: {rank}")
    if ends[1] >= 1:
        return Finding(ours, low, ours, UNTESTED, f"the lowest architecture is not settled: {rank}")
    near = abs(ours / paper.RELU_BITS - 1) <= ABOUT
    if spent.small and not ours > paper.RELU_BITS * (1 + ABOUT):
        return Finding(ours, low, ours, UNTESTED, f"the IRNN is the lowest ({rank}), but its level is a lower bound")
    reason = f"the IRNN is the lowest ({rank}), {'' if near else 'not '}within a tenth of 3.5"
    return Finding(ours, low, ours, HOLDS if near else FAILS, reason)


def best_dataset(rows, points, spent: Budget) -> Finding:
    """C12: the median over studies of best dataset size over stored bits is at most 1.25 (it cannot be below 1)."""
    ratios = (points.samples / points.bits)[points.bits > 0].to_numpy()
    ratio = float(np.median(ratios)) if len(ratios) else math.nan
    low, high = bootstrap(ratios, lambda draw: np.median(draw, -1))
    if len(ratios) < MIN_CELLS:
        return Finding(ratio, low, high, UNTESTED, f"{count(len(ratios), 'network')} stored bits, and it takes {MIN_CELLS}")
    verdict, reason = side(SLIGHTLY, low, high, below=True), f"median of {len(ratios)} networks; slightly is up to {SLIGHTLY}"
    if verdict == FAILS and spent.small:
        return Finding(ratio, low, high, UNTESTED, f"{reason}, and networks that are trained longer get more of their labels right")
    return Finding(ratio, low, high, verdict, reason)


def perceptron(rows, points, spent: Budget) -> Finding:
    """C17: the linear model stores at least 1.8 bits a parameter, 2 less a tenth, on average over sizes."""
    points = points.dropna(subset="bits")
    level, (low, high) = mean(points.bits_per_param), bootstrap(points.bits_per_param, lambda draw: draw.mean(-1))
    about = f"mean over {count(len(points), 'size')} of {size_range(spent.sizes)} parameters"
    if math.isnan(level):
        return Finding(level, low, high, UNTESTED, "no trial stored bits")
    if level >= paper.PERCEPTRON_BITS * (1 - ABOUT):
        return Finding(level, low, high, HOLDS, about)
    return Finding(level, low, high, UNTESTED if spent.small else FAILS, f"{about}{', a lower bound' if spent.small else ''}")


def dimensions(rows, points, spent: Budget) -> Finding:
    """G03: the number of tuned hyper-parameters of each architecture, from the trials themselves."""
    rows = rows[~is_pinned(rows) & rows.architecture.isin(paper.ARCHITECTURES)]
    counts = rows.hparams.map(len).groupby(rows.architecture, sort=False).max()
    if counts.empty:
        return Finding(math.nan, math.nan, math.nan, UNTESTED, "none of the paper's architectures is here")
    low, high = paper.DIMENSIONS
    inside = low <= counts.min() and counts.max() <= high
    each = ", ".join(f"{label(a)} {counts[a]}" for a in paper.ARCHITECTURES if a in counts)
    missing = [label(a) for a in paper.ARCHITECTURES if a not in counts]
    if inside and missing:
        return Finding(counts.mean(), counts.min(), counts.max(), UNTESTED, f"{each}; {listed(missing)} not trained")
    return Finding(counts.mean(), counts.min(), counts.max(), HOLDS if inside else FAILS, each)
