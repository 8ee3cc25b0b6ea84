"""Checks of claims about amounts: how many bits, for how many parameters, from how many samples,
with how many hyper-parameters.

A best trial is a lower bound on a capacity. So a search may show that networks store *at least* so
much, but refutes a level ("about 5 bits"), a proportion to size or a dataset just large enough only
where it has come to its end (`convergence`), and only with networks that store more than a
perceptron; else the verdict is "not tested at this scale".
"""

import math

import numpy as np

from rnnkit import paper
from rnnkit.analysis.capacity import bits_per_param
from rnnkit.analysis.convergence import Settled, settled, trials_of
from rnnkit.analysis.finding import (
    ABOUT,
    FAILS,
    HOLDS,
    LINEAR,
    MIN_CELLS,
    SLIGHTLY,
    SURE,
    UNTESTED,
    Finding,
    Pair,
    judged,
    lacking,
    mean,
    of_the_paper,
    shared,
    told_apart,
    too_few,
    unless_open,
    untrained,
)
from rnnkit.analysis.rows import Budget, is_pinned
from rnnkit.analysis.statistics import around_the_median, paired, slope_loglog, student
from rnnkit.wording import count, label_of, listed, size_range


def linear_in_parameters(rows, points, spent: Budget) -> Finding:
    """C01: the interval of the slope contains 1, or is near it.

    A large network can do what a small one does, so bits that do not rise with parameters show a
    poor search, and refute nothing.
    """
    slope, low, high = slope_loglog(
        points.num_params, points.bits, points.architecture + points.n_layers.astype(str)
    )
    sizes, near = spent.sizes, 1 - LINEAR <= low and high <= 1 + LINEAR
    if len(sizes) < MIN_CELLS or sizes[-1] < 10 * sizes[0]:
        reason = (
            f"{count(len(sizes), 'size')} of {size_range(sizes)} parameters, and it takes three"
            " over a decade"
        )
        return Finding(slope, low, high, UNTESTED, reason)
    if math.isnan(low) or untrained(points):
        return Finding(
            slope, low, high, UNTESTED, untrained(points) or "too few networks stored bits"
        )
    if near or low <= 1 <= high and high - low <= 2 * SURE:
        return Finding(
            slope,
            low,
            high,
            HOLDS,
            f"near 1 over {len(sizes)} sizes of {size_range(sizes)} parameters",
        )
    if low <= 1 <= high:
        return Finding(slope, low, high, UNTESTED, f"the interval is wider than 1 +- {SURE}")
    if low <= 0:
        return Finding(
            slope,
            low,
            high,
            UNTESTED,
            "bits do not rise with parameters, which shows a poor search of the large networks",
        )
    refuted = Finding(
        slope, low, high, FAILS, f"the interval excludes 1 over {size_range(sizes)} parameters"
    )
    return unless_open(refuted, rows)


def five_bits(rows, points, spent: Budget) -> Finding:
    """C02: the mean over architectures and depths is within a tenth of 5, at the sizes whose
    searches have come to their end.

    If there are none, the mean at the largest size is shown, as the lower bound that it is; it can
    only be too much.
    """
    points, ends = of_the_paper(points).dropna(subset="bits"), _ends(rows)
    done = [size for size, end in ends.items() if end.settled]
    used = points[points.max_params.isin(done or list(ends)[-1:])]
    level, (low, high) = mean(used.bits_per_param), student(used.bits_per_param)
    where = (
        f"{count(len(used), 'network')} of"
        f" {listed(f'{size:,}' for size in sorted(set(used.max_params)))} parameters"
    )
    least, most = ((1 + sign * ABOUT) * paper.BITS_PER_PARAMETER for sign in (-1, 1))
    if low > most:
        return Finding(level, low, high, FAILS, f"{where}, more than a tenth above 5")
    if not done:
        open_search = ends[max(ends)].reason if ends else "no trial was feasible"
        return Finding(
            level,
            low,
            high,
            UNTESTED,
            f"a lower bound, from {where}; no size is trained to its end: {open_search}",
        )
    if untrained(used):
        return Finding(level, low, high, UNTESTED, f"{where}; {untrained(used)}")
    if least <= level <= most and high - low <= 2 * (most - least):
        return Finding(
            level,
            low,
            high,
            HOLDS,
            f"{where}, all that are trained to their end; within a tenth of 5",
        )
    verdict = FAILS if high < least else UNTESTED
    unsure = "" if verdict == FAILS else "; the interval does not tell"
    return Finding(
        level,
        low,
        high,
        verdict,
        f"{where}, all that are trained to their end; {ends[done[-1]].reason}{unsure}",
    )


def _ends(rows) -> dict[int, Settled]:
    """Size -> whether the searches of its networks have come to their end, smallest first."""
    return {size: settled(part) for size, part in of_the_paper(rows).groupby("max_params")}


def more_than_a_perceptron(rows, points, spent: Budget) -> Finding:
    """C02b, ours: the mean over all networks is above a perceptron's 2. What was found is a lower
    bound, so this can hold, or stay open.
    """
    values = of_the_paper(points).bits_per_param.dropna()
    level, interval = mean(values), student(values)
    reason = (
        f"{count(len(values), 'network')} of {size_range(spent.sizes)} parameters, from"
        f" {values.min():.2f} to {values.max():.2f}"
    )
    if not len(values):
        return Finding(level, *interval, UNTESTED, "no network stored bits")
    found = judged(level, interval, paper.PERCEPTRON_BITS, below=False, reason=reason)
    return (
        found._replace(verdict=UNTESTED, reason=f"{reason}; lower bounds, which cannot refute")
        if found.verdict == FAILS
        else found
    )


def three_to_six(rows, points, spent: Budget) -> Finding:
    """C03: every network lies between 3 and 6; the interval shown is the least and the most.

    More than 6 refutes it after any search, fewer than 3 where the searches of such networks have
    come to their end.
    """
    points = of_the_paper(points).dropna(subset="bits_per_param")
    values = points.bits_per_param
    level, low, high = mean(values), values.min(), values.max()
    least, most = paper.BAND
    if high > most:
        return Finding(
            level, low, high, FAILS, f"the best study stores {high:.2f}, more than {most:g}"
        )
    if not len(values) or untrained(points):
        return Finding(level, low, high, UNTESTED, untrained(points))
    if low < least:
        short = points[values < least]
        reason = f"{len(short)} of {len(values)} networks found fewer than 3"
        return unless_open(Finding(level, low, high, FAILS, reason), trials_of(rows, short))
    absent = lacking(rows)
    if absent:
        return Finding(
            level, low, high, UNTESTED, f"all {len(values)} networks lie between, but {absent}"
        )
    return Finding(level, low, high, HOLDS, f"all {len(values)} networks lie between")


def irnn_lowest(rows, points, spent: Budget) -> Finding:
    """C08: the IRNN's bits per parameter are below those of every other architecture (pairs over
    sizes and depths, Holm's correction), and its most is within a tenth of 3.5.
    """
    irnn = points[points.architecture == "irnn"].dropna(subset="bits")
    if irnn.empty:
        return Finding(math.nan, math.nan, math.nan, UNTESTED, "no IRNN stored bits")
    best = irnn.loc[irnn.bits_per_param.idxmax()]
    ours, low = best.bits_per_param, best.bits_per_param_low
    table, left_out = shared(bits_per_param(points), paper.ARCHITECTURES)
    others = [a for a in table.columns if a != "irnn"]
    if len(table) < MIN_CELLS or "irnn" not in table or len(others) < 3:
        return Finding(ours, low, ours, UNTESTED, too_few(table))
    if untrained(points):
        return Finding(ours, low, ours, UNTESTED, untrained(points))
    logs = np.log(table)
    order, words = told_apart(
        [Pair("irnn", other, *paired(logs.irnn, logs[other])) for other in others]
    )
    means = table.mean().sort_values()
    rank = (
        f"{', '.join(f'{label_of(a)} {value:.2f}' for a, value in means.items())}{left_out}; lower"
        f" than each other: {words}"
    )
    if order != HOLDS:
        return unless_open(Finding(ours, low, ours, order, rank), rows)
    near = abs(ours / paper.RELU_BITS - 1) <= ABOUT
    reason = f"the IRNN is the lowest ({rank}), {'' if near else 'not '}within a tenth of 3.5"
    found = Finding(ours, low, ours, HOLDS if near else FAILS, reason)
    too_much = ours > paper.RELU_BITS * (1 + ABOUT)  # no longer search would undo that
    return found if too_much else unless_open(found, rows[rows.architecture == "irnn"])


def best_dataset(rows, points, spent: Budget) -> Finding:
    """C12: the median over studies of best dataset size over stored bits is at most 1.25 (it cannot
    be below 1).
    """
    stored = points[points.bits > 0]
    ratios = (stored.samples / stored.bits).to_numpy()
    ratio = float(np.median(ratios)) if len(ratios) else math.nan
    if len(ratios) < MIN_CELLS:
        reason = f"{count(len(ratios), 'network')} stored bits, and it takes {MIN_CELLS}"
        return Finding(ratio, math.nan, math.nan, UNTESTED, reason)
    reason = f"median of {len(ratios)} networks; slightly is up to {SLIGHTLY}"
    interval = around_the_median(np.sort(ratios))
    return judged(
        ratio, interval, SLIGHTLY, below=True, reason=reason, needs=untrained(points), search=rows
    )


def perceptron(rows, points, spent: Budget) -> Finding:
    """C17: the linear model stores at least 1.8 bits a parameter, 2 less a tenth, on average over
    sizes.
    """
    points = points.dropna(subset="bits")
    level, (low, high) = mean(points.bits_per_param), student(points.bits_per_param)
    about = f"mean over {count(len(points), 'size')} of {size_range(spent.sizes)} parameters"
    if math.isnan(level):
        return Finding(level, low, high, UNTESTED, "no trial stored bits")
    if level >= paper.PERCEPTRON_BITS * (1 - ABOUT):
        return Finding(level, low, high, HOLDS, about)
    if level < paper.PERCEPTRON_BITS / 2:
        return Finding(
            level,
            low,
            high,
            UNTESTED,
            f"{about}; less than half of what theory allows shows a poor search",
        )
    return unless_open(Finding(level, low, high, FAILS, about), rows)


def dimensions(rows, points, spent: Budget) -> Finding:
    """G03: the number of tuned hyper-parameters of each architecture, from the trials themselves."""
    rows = rows[~is_pinned(rows) & rows.architecture.isin(paper.ARCHITECTURES)]
    counts = rows.hparams.map(len).groupby(rows.architecture, sort=False).max()
    if counts.empty:
        return Finding(
            math.nan, math.nan, math.nan, UNTESTED, "none of the paper's architectures is here"
        )
    low, high = paper.DIMENSIONS
    inside = low <= counts.min() and counts.max() <= high
    each = ", ".join(f"{label_of(a)} {counts[a]}" for a in paper.ARCHITECTURES if a in counts)
    missing = [label_of(a) for a in paper.ARCHITECTURES if a not in counts]
    if inside and missing:
        return Finding(
            counts.mean(),
            counts.min(),
            counts.max(),
            UNTESTED,
            f"{each}; {listed(missing)} not trained",
        )
    return Finding(counts.mean(), counts.min(), counts.max(), HOLDS if inside else FAILS, each)
