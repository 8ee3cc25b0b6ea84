"""Statistics of claims about amounts: how many bits, for how many parameters, from how many samples,
with how many hyper-parameters.

A best trial is a lower bound on a capacity. So a search may show that networks store *at least* so
much, but refutes a level ("about 5 bits"), a proportion to size or a dataset just large enough only
where it has come to its end (`convergence`), and only with networks that store more than a
perceptron; else the verdict is "not tested at this scale".
"""

import math
from dataclasses import replace

import numpy as np

from rnnkit import paper
from rnnkit.analysis.capacity import bits_per_param, stored_bits
from rnnkit.analysis.convergence import Settled, finished, settled, trials_of
from rnnkit.analysis.finding import (
    ABOUT,
    HOLDS,
    MIN_CELLS,
    SLIGHTLY,
    SURE,
    Pair,
    lacking,
    mean,
    of_the_paper,
    shared,
    told_apart,
    too_few,
    untrained,
)
from rnnkit.analysis.judge import Measured
from rnnkit.analysis.rows import LONGER, Budget, is_pinned
from rnnkit.analysis.statistics import around_the_median, paired, slope_loglog, student
from rnnkit.wording import and_list, count, label_of, size_range


def linear_in_parameters(rows, points, spent: Budget) -> Measured:
    """C01: the slope of log bits on log parameters, without longer trainings that some sizes alone
    have: they would bend the line.

    A large network can do what a small one does, so bits that do not rise with parameters show a
    poor search, and refute nothing.
    """
    rows, points = _alike(rows, points)
    slope, low, high = slope_loglog(
        points.num_params, points.bits, points.architecture + points.n_layers.astype(str)
    )
    sizes, span = spent.sizes, size_range(spent.sizes)
    poor = "bits do not rise with parameters, which shows a poor search of the large networks"
    return Measured(
        slope,
        low,
        high,
        has={"sizes": len(sizes), "span": sizes[-1] / sizes[0]},
        lacks=(
            f"{count(len(sizes), 'size')} of {span} parameters, and it takes three, the largest five"
            " times the smallest"
        ),
        doubt=untrained(points) or ("too few networks stored bits" if math.isnan(low) else ""),
        if_holds=f"near 1 over {len(sizes)} sizes of {span} parameters",
        if_fails=f"the interval excludes 1 over {span} parameters",
        if_open=f"the interval is wider than 1 +- {SURE}" if low <= 1 <= high else poor,
        search=rows,
    )


def _alike(rows, points):
    """Without the longer trainings that start from the best, where not every size has them: the
    trials and their best ones.
    """
    longer = rows.tuner == LONGER
    if rows.max_params[longer].nunique() == rows.max_params.nunique() or not longer.any():
        return rows, points
    return rows[~longer], stored_bits(rows[~longer])


def five_bits(rows, points, spent: Budget) -> Measured:
    """C02: the mean over architectures and depths, at the sizes whose searches have come to their
    end.

    If there are none, the mean at the largest size is shown, as the lower bound that it is; it can
    only be too much.
    """
    points, ends = of_the_paper(points).dropna(subset="bits"), _ends(rows)
    done = [size for size, end in ends.items() if end.settled]
    used = points[points.max_params.isin(done or list(ends)[-1:])]
    level, (low, high) = mean(used.bits_per_param), student(used.bits_per_param)
    sizes = and_list(f"{size:,}" for size in sorted(set(used.max_params)))
    where = f"{count(len(used), 'network')} of {sizes} parameters"
    open_search = ends[max(ends)].reason if ends else "no trial was feasible"
    trained = ", all that are trained to their end; "
    last = ends[done[-1]].reason if done else ""
    too_much = low > (1 + ABOUT) * paper.BITS_PER_PARAMETER
    return Measured(
        level,
        low,
        high,
        where,
        has={"sizes trained to their end": len(done)},
        lacks=f"a lower bound, from {where}; no size is trained to its end: {open_search}",
        doubt=untrained(used),
        if_holds=f"{trained}within a tenth of 5",
        if_fails=", more than a tenth above 5" if too_much else f"{trained}{last}",
        if_open=f"{trained}{last}; the interval does not tell",
    )


def _ends(rows) -> dict[int, Settled]:
    """Size -> whether the searches of its networks have come to their end, smallest first."""
    return {size: settled(part) for size, part in of_the_paper(rows).groupby("max_params")}


def more_than_a_perceptron(rows, points, spent: Budget) -> Measured:
    """C02b, ours: the mean over all networks. What was found is a lower bound, so that the claim
    can hold, or stay open.
    """
    values = of_the_paper(points).bits_per_param.dropna()
    return Measured(
        mean(values),
        *student(values),
        f"{count(len(values), 'network')} of {size_range(spent.sizes)} parameters, from"
        f" {values.min():.2f} to {values.max():.2f}",
        has={"networks": len(values)},
        lacks="no network stored bits",
    )


def three_to_six(rows, points, spent: Budget) -> Measured:
    """C03: bits per parameter of every network; the interval shown is the least and the most.

    A network that stores fewer than three refutes it if its own search has come to its end, however
    the searches for the others stand.
    """
    points = of_the_paper(points).dropna(subset="bits_per_param")
    values, absent = points.bits_per_param, lacking(rows)
    low, high = values.min(), values.max()
    (least, most), short = paper.BAND, points[values < paper.BAND[0]]
    too_much = f"the best study stores {high:.2f}, more than {most:g}"
    too_few = f"{len(short)} of {len(values)} networks found fewer than {least:g}"
    ended = finished(trials_of(rows, short))
    if len(ended):
        too_few += f", {len(ended)} of them in searches that have come to their end"
    return Measured(
        mean(values),
        low,
        high,
        doubt=untrained(points),
        if_holds=f"all {len(values)} networks lie between",
        if_fails=too_much if high > most else too_few,
        partial=f"all {len(values)} networks lie between, but {absent}" if absent else "",
        search=trials_of(rows, ended if len(ended) else short),
    )


def irnn_lowest(rows, points, spent: Budget) -> Measured:
    """C08: the IRNN's bits per parameter against those of every other architecture (pairs over
    sizes and depths, Holm's correction), and its most.
    """
    irnn = points[points.architecture == "irnn"].dropna(subset="bits")
    if irnn.empty:
        return Measured(lacks="no IRNN stored bits")
    best = irnn.loc[irnn.bits_per_param.idxmax()]
    table, left_out = shared(bits_per_param(points), paper.ARCHITECTURES)
    others = [a for a in table.columns if a != "irnn"]
    most = best.bits_per_param
    shown = Measured(
        most,
        best.bits_per_param_low,
        most,
        has={"sizes and depths": len(table), "irnn": "irnn" in table, "others": len(others)},
        lacks=too_few(table),
        doubt=untrained(points),
    )
    if "irnn" not in table or not others:
        return shown
    logs = np.log(table)
    order, words = told_apart(
        [Pair("irnn", other, *paired(logs.irnn, logs[other])) for other in others]
    )
    means = table.mean().sort_values()
    each = ", ".join(f"{label_of(a)} {value:.2f}" for a, value in means.items())
    rank = f"{each}{left_out}; lower than each other: {words}"
    near, lowest = abs(most / paper.RELU_BITS - 1) <= ABOUT, order == HOLDS
    reason = f"the IRNN is the lowest ({rank}), {'' if near else 'not '}within a tenth of 3.5"
    return replace(
        shown,
        more={"order": order, "near": near},
        if_holds=reason,
        if_fails=reason if lowest else rank,
        if_open=rank,
        search=rows[rows.architecture == "irnn"] if lowest else rows,
        # no longer search would make it fewer
        sure=lowest and most > paper.RELU_BITS * (1 + ABOUT),
    )


def best_dataset(rows, points, spent: Budget) -> Measured:
    """C12: the median over studies of best dataset size over stored bits (it cannot be below 1)."""
    stored = points[points.bits > 0]
    ratios = (stored.samples / stored.bits).to_numpy()
    enough = len(ratios) >= MIN_CELLS
    return Measured(
        float(np.median(ratios)) if len(ratios) else math.nan,
        *(around_the_median(np.sort(ratios)) if enough else (math.nan, math.nan)),
        f"median of {len(ratios)} networks; slightly is up to {SLIGHTLY}",
        has={"networks": len(ratios)},
        lacks=f"{count(len(ratios), 'network')} stored bits, and it takes {MIN_CELLS}",
        doubt=untrained(points),
    )


def perceptron(rows, points, spent: Budget) -> Measured:
    """C17: bits per parameter of the linear model, on average over sizes."""
    points = points.dropna(subset="bits")
    return Measured(
        mean(points.bits_per_param),
        *student(points.bits_per_param),
        f"mean over {count(len(points), 'size')} of {size_range(spent.sizes)} parameters",
        has={"sizes": len(points)},
        lacks="no trial stored bits",
        if_open="; less than half of what theory allows shows a poor search",
    )


def dimensions(rows, points, spent: Budget) -> Measured:
    """G03: the number of tuned hyper-parameters of each architecture, from the trials themselves."""
    rows = rows[~is_pinned(rows) & rows.architecture.isin(paper.ARCHITECTURES)]
    counts = rows.hparams.map(len).groupby(rows.architecture, sort=False).max()
    if counts.empty:
        return Measured(lacks="none of the paper's architectures is here")
    missing = [label_of(a) for a in paper.ARCHITECTURES if a not in counts]
    return Measured(
        counts.mean(),
        counts.min(),
        counts.max(),
        ", ".join(f"{label_of(a)} {counts[a]}" for a in paper.ARCHITECTURES if a in counts),
        partial=f"; {and_list(missing)} not trained" if missing else "",
    )
