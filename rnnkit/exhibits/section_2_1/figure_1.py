"""Figure 1: stored bits against parameters, and how many parameters one architecture needs to store as
much as another.

A best trial is a lower bound on a capacity. A search may therefore show that networks store *at least*
so much. It can refute a level ("about 5 bits") or a proportion to size only if it has come to its end
(`convergence`), and only with networks that store more than a perceptron; otherwise the verdict is
"not tested at this scale". Means over sizes and depths have Student's interval, which is wide for few
of them. Whether architectures differ at all is decided by shuffling their labels.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patches import Patch
from matplotlib.ticker import MultipleLocator

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, points
from rnnkit.exhibits.best_trials import BEST, bits_per_param, stored_bits
from rnnkit.exhibits.budget import Budget
from rnnkit.exhibits.captions import NOTHING_TO_SEE, network_name, numbers_of, write_budget
from rnnkit.exhibits.convergence import SearchEnd, networks_at_their_end, search_end, trials_of
from rnnkit.exhibits.finding import (
    ABOUT,
    FAILS,
    HOLDS,
    MIN_CELLS,
    SMALL_SPREAD,
    SURE,
    SURELY,
    Pair,
    lacking,
    mean,
    of_the_paper,
    pairs_verdict,
    shared,
    too_few,
    training_doubt,
)
from rnnkit.exhibits.judge import (
    ALWAYS,
    NEVER,
    Limit,
    Measured,
    Rule,
    above,
    below,
    is_near_one,
)
from rnnkit.exhibits.overlays import authors_sizes, overlay
from rnnkit.exhibits.selection import LONGER, capacity, is_pinned
from rnnkit.exhibits.statistics import (
    bootstrap,
    kendall,
    p_of_differing_columns,
    paired_test,
    share_beyond,
    shuffle_labels,
    slope_loglog,
    spread_of_means,
    student,
)
from rnnkit.exhibits.style import (
    DASHED,
    GREY,
    HALF_SEARCH,
    PALE,
    Drawing,
    architecture_keys,
    coloured_table,
    curves,
    depth_keys,
    half_search_key,
    house_style,
    legend_panel,
    letter,
    line_key,
    log_ticks,
    new_figure,
    parameters_axis,
    write_at_right,
    write_note,
)
from rnnkit.paper import BAND, BITS_PER_PARAMETER, DIMENSIONS, ORDER, PERCEPTRON_BITS, SEARCH_BUDGET
from rnnkit.wording import and_list, count, label_of, layers, size_range


def multipliers(points: pd.DataFrame, shared: bool = True) -> pd.DataFrame:
    """Figure 1i: how many times the parameters architecture `x` needs to store as much as `y`, with its
    95 % interval. This is C_y / C_x.

    C is the mean of the best bits per parameter over the sizes and depths that x and y share. With
    shared=False it is the mean over all that each of them has, as in the paper; this compares depths
    2 and 4 of +RNN with depths 1, 2 and 4 of the others, and has no interval.
    """
    table = bits_per_param(points)
    records = []
    for y, x in itertools.product(table.columns, repeat=2):
        if shared:
            pair = table[[x]].assign(other=table[y]).dropna().to_numpy()
            ratio = pair[:, 1].mean() / pair[:, 0].mean() if len(pair) else math.nan
            low, high = bootstrap(pair, lambda draw: draw[..., 1].mean(-1) / draw[..., 0].mean(-1))
        else:
            pair = table[[x, y]]
            ratio = table[y].mean() / table[x].mean()
            low = high = math.nan
        records.append((x, y, ratio, low, high, len(pair)))
    return pd.DataFrame(records, columns=["x", "y", "multiplier", "low", "high", "cells"])


FIVE_BITS_LABEL = f"paper: {paper.BITS_PER_PARAMETER:g}"


@house_style
def draw(frame: pd.DataFrame) -> Drawing:
    """Figure 1: (a-d) stored bits, (e-h) bits per parameter, all depths and then 1, 2 and 4, (i)
    multipliers. ValueError without trials.
    """
    tables = points("fig1", frame)
    best = tables["fig1"]
    figure = new_figure(11.4)
    upper, lower = figure.subfigures(2, 1, height_ratios=(7.2, 3.7))
    depths = (None, *paper.DEPTHS)
    axes = upper.subplots(len(depths), 2, sharex=True, sharey="col")
    limits = _limits(best)
    for ax in axes[-1]:
        parameters_axis(ax, limits.sizes, "parameters, P", best.num_params.min())
    for index, (row, depth) in enumerate(zip(axes, depths)):
        subset = best if depth is None else best[best.n_layers == depth]
        for ax, y, letters in zip(row, limits.ys, ("abcd", "efgh")):
            letter(ax, letters[index], "all depths" if depth is None else layers(depth))
            _capacity_panel(ax, subset, y, limits, _why_empty(subset, depth))
    authors_key = [
        overlay(dict(zip(depths, column)), "fig1", "per_cap", y)
        for column, y in zip(axes.T, limits.ys)
    ]
    square, keys = lower.subplots(1, 2, width_ratios=(1.25, 1))
    _multiplier_table(square, tables["fig1i"])
    sns.despine(upper)
    legend_panel(keys, _capacity_keys(best) + authors_key[0])
    write_budget(figure, "fig1", frame)
    return figure


class Limits(NamedTuple):
    """What the panels of Figure 1 share: the sizes with a tick, and the ends of the axes."""

    sizes: list[int]
    bits: tuple[float, float]
    bits_per_param: tuple[float, float]
    ys: tuple[str, str] = ("bits", "bits_per_param")


def _limits(best: pd.DataFrame) -> Limits:
    """Limits of axes that hold all best trials, what half of their searches would have found, and the
    paper's band.
    """
    sizes = sorted({*best.max_params.unique(), *authors_sizes("fig1", "per_cap")})
    bits = best.bits[best.bits > 0]
    half = best.bits_low[best.bits_low > 0]
    low = min([*bits, *half, 2 * sizes[0]]) / 1.6 if len(bits) else sizes[0]
    least = min(paper.BAND[0], best.bits_per_param_low.min()) if len(bits) else 0
    most = max(paper.BAND[1], best.bits_per_param.max() if len(bits) else 0)
    return Limits(
        sizes,
        (low, 8 * sizes[-1]),
        (max(0.0, least - 0.5), most + 0.5),
    )


def _why_empty(subset: pd.DataFrame, depth: int | None) -> str:
    """Why a panel has no curve."""
    return "no bits stored" if len(subset) else f"depth {depth}: not trained\nat this scale"


def _capacity_panel(ax: Axes, subset: pd.DataFrame, y: str, limits: Limits, reason: str) -> None:
    """Draws the best trials against parameters, beside the paper's 5 bits per parameter and its band."""
    xs = np.array(ax.get_xlim())
    scale = xs if y == "bits" else np.ones(2)
    ax.fill_between(
        xs, paper.BAND[0] * scale, paper.BAND[1] * scale, color=PALE, linewidth=0, zorder=0
    )
    ax.plot(
        xs, paper.BITS_PER_PARAMETER * scale, color=GREY, linewidth=1, linestyle=DASHED, zorder=1
    )
    ax.set_ylim(getattr(limits, y))
    if y == "bits":
        ax.set_yscale("log")
        ax.set_ylim(limits.bits)
        log_ticks(ax.yaxis)
        ax.set_ylabel("stored bits")
        write_at_right(ax, paper.BITS_PER_PARAMETER * scale[1], FIVE_BITS_LABEL + " P")
    else:
        ax.set_ylabel("bits per parameter")
        ax.yaxis.set_major_locator(MultipleLocator(1))
        write_at_right(ax, paper.BITS_PER_PARAMETER, FIVE_BITS_LABEL)
    if (subset.bits > 0).any():
        curves(ax, subset, y)
    else:
        write_note(ax, reason, 0.62, 0.17)


def _capacity_keys(best: pd.DataFrame) -> list:
    """The entries of Figure 1's legend."""
    return [
        *architecture_keys(best.architecture),
        *depth_keys(best.n_layers.unique()),
        half_search_key(),
        line_key("paper: 5 bits per parameter"),
        Patch(color=PALE, label="paper: 3-6"),
    ]


def _multiplier_table(ax: Axes, table: pd.DataFrame) -> None:
    """Draws panel i, in bold where an interval over at least three sizes and depths excludes 1."""
    letter(ax, "i", "parameter multipliers")
    sns.despine(ax=ax, left=True, bottom=True)
    names = list(dict.fromkeys(table.y))
    if len(names) < 2:
        ax.set(xticks=[], yticks=[])
        return write_note(ax, "takes two architectures\nthat stored bits")
    values = table.pivot(index="y", columns="x", values="multiplier").loc[names, names].to_numpy()
    reach = max(1.25, float(np.nanmax(np.maximum(values, 1 / values))))
    sure = {
        (row.y, row.x)
        for row in table.itertuples()
        if row.cells >= 3 and (row.low > 1 or row.high < 1)
    }
    bold = np.array([[(y, x) in sure for x in names] for y in names])
    # half of the colours, so that numbers stand out on them
    look = {"cmap": "PuOr_r", "norm": LogNorm(1 / reach**2, reach**2), "linewidth": 1}
    labels = [label_of(name) for name in names]
    coloured_table(ax, values, values, labels, labels, bold, **look)
    if len(names) > 7:
        ax.set_xticks(ax.get_xticks(), labels, rotation=45, ha="right")
    ax.set_aspect("equal")
    ax.set(xlabel="needs so many times the parameters ...", ylabel="... to store as much as")


def facts(trials: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """The network that stores the most, and the order of the architectures at the largest size."""
    best = tables["fig1"].dropna(subset="bits_per_param")
    if best.empty:
        return [NOTHING_TO_SEE]
    top = best.loc[best.bits_per_param.idxmax()]
    sentence = (
        f"The most bits per parameter are {top.bits_per_param:.2f}, of {network_name(top)}, which stores"
        f" {top.bits:,.0f} bits in all."
    )
    return [
        f"{sentence} Half of its search would have found {top.bits_per_param_low:.2f}.",
        *order_at_largest(best),
    ]


def order_at_largest(best: pd.DataFrame) -> list[str]:
    """The order of the architectures by their bits per parameter at the largest size: a sentence for
    each depth.
    """
    table = bits_per_param(best)
    if table.empty:
        return ["No network stored more than a coin would."]
    largest = table.index.get_level_values("max_params").max()
    sentences = []
    for depth, bits in table.xs(largest, level="max_params").iterrows():
        order = numbers_of(bits.dropna().sort_values(ascending=False, kind="stable"))
        sentences.append(
            f"With {layers(depth)} and up to {largest:,} parameters the order is {order} bits per"
            " parameter."
        )
    return sentences


def linear_in_parameters(trials: pd.DataFrame, points: pd.DataFrame, spent: Budget) -> Measured:
    """C01: the slope of log bits on log parameters. Longer trainings that only some sizes have would
    bend the line, and are left out.

    A large network can do whatever a small one does. Bits that do not rise with parameters therefore
    show a poor search, and refute nothing.
    """
    trials, points = _alike(trials, points)
    slope, low, high = slope_loglog(
        points.num_params, points.bits, points.architecture + points.n_layers.astype(str)
    )
    sizes = spent.sizes
    span = size_range(spent.sizes)
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
        doubt=training_doubt(points) or ("too few networks stored bits" if math.isnan(low) else ""),
        if_holds=f"near 1 over {len(sizes)} sizes of {span} parameters",
        if_fails=f"the interval excludes 1 over {span} parameters",
        if_open=f"the interval is wider than 1 +- {SURE}" if low <= 1 <= high else poor,
        search=trials,
    )


def _alike(trials: pd.DataFrame, points: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The trials and their best ones, without the longer trainings unless every size has them."""
    longer = trials.tuner == LONGER
    if trials.max_params[longer].nunique() == trials.max_params.nunique() or not longer.any():
        return trials, points
    return trials[~longer], stored_bits(trials[~longer])


def five_bits(trials: pd.DataFrame, points: pd.DataFrame, spent: Budget) -> Measured:
    """C02: the mean over architectures and depths, at the sizes whose searches have come to their end.

    If there are no such sizes, the mean at the largest size is shown. It is a lower bound, so it can
    refute the claim only by being too large.
    """
    points = of_the_paper(points).dropna(subset="bits")
    search_ends = _searches_by_size(trials)
    ended_sizes = [size for size, end in search_ends.items() if end.reached]
    networks = points[points.max_params.isin(ended_sizes or list(search_ends)[-1:])]
    level = mean(networks.bits_per_param)
    low, high = student(networks.bits_per_param)
    sizes = and_list(f"{size:,}" for size in sorted(set(networks.max_params)))
    where = f"{count(len(networks), 'network')} of {sizes} parameters"
    open_search = search_ends[max(search_ends)].reason if search_ends else "no trial was feasible"
    trained = ", all that are trained to their end; "
    last = search_ends[ended_sizes[-1]].reason if ended_sizes else ""
    too_much = low > (1 + ABOUT) * paper.BITS_PER_PARAMETER
    return Measured(
        level,
        low,
        high,
        where,
        has={"sizes trained to their end": len(ended_sizes)},
        lacks=f"a lower bound, from {where}; no size is trained to its end: {open_search}",
        doubt=training_doubt(networks),
        if_holds=f"{trained}within a tenth of 5",
        if_fails=", more than a tenth above 5" if too_much else f"{trained}{last}",
        if_open=f"{trained}{last}; the interval does not tell",
    )


def _searches_by_size(trials: pd.DataFrame) -> dict[int, SearchEnd]:
    """Size -> whether the searches for its networks have come to their end; smallest size first."""
    return {size: search_end(group) for size, group in of_the_paper(trials).groupby("max_params")}


def more_than_a_perceptron(trials: pd.DataFrame, points: pd.DataFrame, spent: Budget) -> Measured:
    """C02b, ours: the mean over all networks. It is a lower bound, so the claim can only hold or stay
    open.
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


def three_to_six(trials: pd.DataFrame, points: pd.DataFrame, spent: Budget) -> Measured:
    """C03: the bits per parameter of all networks, with the least and the most as the interval.

    A network that stores fewer than three refutes the claim if its own search has come to its end,
    whether or not the searches for the others have.
    """
    points = of_the_paper(points).dropna(subset="bits_per_param")
    values = points.bits_per_param
    absent = lacking(trials)
    low = values.min()
    high = values.max()
    least, most = paper.BAND
    short = points[values < paper.BAND[0]]
    too_much = f"the best study stores {high:.2f}, more than {most:g}"
    too_few = f"{len(short)} of {len(values)} networks found fewer than {least:g}"
    ended_searches = networks_at_their_end(trials_of(trials, short))
    if len(ended_searches):
        too_few += f", {len(ended_searches)} of them in searches that have come to their end"
    return Measured(
        mean(values),
        low,
        high,
        doubt=training_doubt(points),
        if_holds=f"all {len(values)} networks lie between",
        if_fails=too_much if high > most else too_few,
        partial=f"all {len(values)} networks lie between, but {absent}" if absent else "",
        search=trials_of(trials, ended_searches if len(ended_searches) else short),
    )


def irnn_lowest(trials: pd.DataFrame, points: pd.DataFrame, spent: Budget) -> Measured:
    """C08: the most bits per parameter of the IRNN, and whether it stores less than every other
    architecture (paired tests over sizes and depths, Holm's correction).
    """
    irnn = points[points.architecture == "irnn"].dropna(subset="bits")
    if irnn.empty:
        return Measured(lacks="no IRNN stored bits")
    best = irnn.loc[irnn.bits_per_param.idxmax()]
    table, left_out = shared(bits_per_param(points), paper.ARCHITECTURES)
    competitors = [a for a in table.columns if a != "irnn"]
    most = best.bits_per_param
    measurement = Measured(
        most,
        best.bits_per_param_low,
        most,
        has={"sizes and depths": len(table), "irnn": "irnn" in table, "others": len(competitors)},
        lacks=too_few(table),
        doubt=training_doubt(points),
    )
    if "irnn" not in table or not competitors:
        return measurement
    logs = np.log(table)
    order, phrase = pairs_verdict(
        [
            Pair("irnn", competitor, *paired_test(logs.irnn, logs[competitor]))
            for competitor in competitors
        ]
    )
    means = table.mean().sort_values()
    means_text = ", ".join(f"{label_of(a)} {value:.2f}" for a, value in means.items())
    rank = f"{means_text}{left_out}; lower than every other: {phrase}"
    near = abs(most / paper.RELU_BITS - 1) <= ABOUT
    lowest = order == HOLDS
    reason = f"the IRNN is the lowest ({rank}), {'' if near else 'not '}within a tenth of 3.5"
    return replace(
        measurement,
        more={"order": order, "near": near},
        if_holds=reason,
        if_fails=reason if lowest else rank,
        if_open=rank,
        search=trials[trials.architecture == "irnn"] if lowest else trials,
        # no longer search would make it fewer
        sure=lowest and most > paper.RELU_BITS * (1 + ABOUT),
    )


def dimensions(trials: pd.DataFrame, points: pd.DataFrame, spent: Budget) -> Measured:
    """G03: the number of hyper-parameters that were tuned, by architecture, counted in the trials."""
    trials = trials[~is_pinned(trials) & trials.architecture.isin(paper.ARCHITECTURES)]
    counts = trials.hparams.map(len).groupby(trials.architecture, sort=False).max()
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


NEIGHBOURS = 0.79  # Kendall's tau with one neighbouring pair of five swapped is .8
AGREEMENT = 0.5  # mean tau between depths


def small_spread(trials: pd.DataFrame, points: pd.DataFrame, spent: Budget) -> Measured:
    """C04: the highest over the lowest architecture, without the IRNN, as a ratio of geometric means
    over sizes and depths.
    """
    table, left_out = shared(bits_per_param(points), paper.ORDER)
    ratio, low, high = (math.exp(value) for value in spread_of_means(np.log(table)))
    measurement = Measured(
        ratio,
        low,
        high,
        has={"sizes and depths": len(table), "architectures": table.shape[1]},
        lacks=too_few(table),
        doubt=training_doubt(points),
    )
    if not table.size:
        return measurement
    means = np.exp(np.log(table).mean())
    summary = (
        f"{label_of(means.idxmax())} {means.max():.2f}, {label_of(means.idxmin())}"
        f" {means.min():.2f} bits per parameter{left_out}; small is up to {SMALL_SPREAD}"
    )
    return replace(measurement, summary=summary)


def multiplier_table(trials: pd.DataFrame, points: pd.DataFrame, spent: Budget) -> Measured:
    """C05: the largest multiplier. The paper prints no number to compare it with, so the claim has no
    verdict and is not counted.
    """
    table = multipliers(points)
    table = table[
        table.x.isin(paper.ARCHITECTURES) & table.y.isin(paper.ARCHITECTURES) & (table.x != table.y)
    ].dropna(subset="multiplier")
    if table.empty:
        return Measured(summary="fewer than two architectures share a size and depth")
    top = table.loc[table.multiplier.idxmax()]
    return Measured(
        top.multiplier,
        top.low,
        top.high,
        f"{label_of(top.x)} needs {top.multiplier:.2f} times the parameters of {label_of(top.y)};"
        " the paper draws its table, and its text prints no number to compare with",
    )


def ranking(trials: pd.DataFrame, points: pd.DataFrame, spent: Budget) -> Measured:
    """C06: Kendall's tau between our means and the paper's order, with the interval of its mean over
    sizes and depths. `chance` is the p-value of the hypothesis that architectures do not differ, from
    labels shuffled within each size and depth.
    """
    table, left_out = shared(bits_per_param(points), paper.ORDER)
    if table.shape[1] < 2 or not len(table):
        return Measured(lacks=too_few(table))
    places = -np.arange(table.shape[1])
    tau = float(kendall(table.mean(), places))
    low, high = student(kendall(table, places), -1, 1)
    ours = " > ".join(
        f"{label_of(a)} {v:.2f}" for a, v in table.mean().sort_values(ascending=False).items()
    )
    chance = p_of_differing_columns(table) if high < NEIGHBOURS else math.nan
    return Measured(
        tau,
        low,
        high,
        f"{ours}, {count(len(table), 'size and depth', 'sizes and depths')}",
        has={"sizes and depths": len(table), "architectures": table.shape[1]},
        lacks=f"{ours}{left_out}, and it takes all five at {MIN_CELLS} sizes and depths",
        doubt=training_doubt(points),
        more={"chance": chance},
        if_fails=f"; shuffled labels differ as much in {chance:.2g} of cases",
        if_open="; the order changes from size to size",
    )


def gates_cost(trials: pd.DataFrame, points: pd.DataFrame, spent: Budget) -> Measured:
    """C07: the slope of bits per parameter on the number of gates within sizes and depths, without the
    IRNN. Its interval is that of the single slopes, of the sizes and depths that have three different
    numbers of gates.
    """
    table = bits_per_param(points)
    table = table[[a for a in paper.ORDER if a in table]].dropna(thresh=2)
    gates = np.array([paper.GATES[a] for a in table.columns], float)
    if table.size == 0:
        return Measured(lacks=too_few(table))

    def slope(values: np.ndarray) -> float:
        x = np.where(np.isnan(values), np.nan, gates)
        x = x - np.nanmean(x, -1, keepdims=True)
        y = values - np.nanmean(values, -1, keepdims=True)
        squares = np.nansum(x * x)
        return float(np.nansum(x * y) / squares) if squares else math.nan

    values = table.to_numpy()
    slopes = [slope(row) for row in values if len(set(gates[~np.isnan(row)])) >= 3]
    places = count(len(slopes), "size and depth", "sizes and depths")
    return Measured(
        slope(values),
        *student(slopes),
        f"over {places} with three numbers of gates or more",
        has={"sizes and depths": len(slopes)},
        lacks=too_few(table),
        doubt=training_doubt(points),
    )


def depths_agree(trials: pd.DataFrame, points: pd.DataFrame, spent: Budget) -> Measured:
    """C13: the mean of Kendall's tau between the means of any two depths, with its interval over sizes.

    `chance` is how often shuffled labels agree as much. `differ` counts the depths at which the
    architectures differ at all: elsewhere, it would only be noise that disagrees.
    """
    depths, names, values = _by_depth(points)
    if len(depths) < 2 or len(names) < 3 or not len(values):
        few = f"{count(len(depths), 'depth')}, and it takes two with three architectures in common"
        return Measured(lacks=few)
    measurement = Measured(
        float(_agreement(values.mean(0))),
        *student([_agreement(size) for size in values], -1, 1),
        f"depths {and_list(depths)}, {len(names)} architectures, {count(len(values), 'size')}",
        has={"sizes": len(values)},
        doubt=training_doubt(points),
    )
    measurement = replace(
        measurement, lacks=f"{measurement.summary}, and it takes {MIN_CELLS} sizes"
    )
    if len(values) < MIN_CELLS or measurement.doubt:
        return measurement
    flat = values.reshape(-1, len(names))
    chance = share_beyond(
        measurement.value,
        shuffle_labels(flat, lambda draw: _agreement(draw.reshape(-1, *values.shape).mean(1))),
    )
    differ = [
        depth
        for index, depth in enumerate(depths)
        if p_of_differing_columns(values[:, index]) <= SURELY / len(depths)
    ]
    where = f"at depth {and_list(differ)}" if differ else "at no depth"
    as_much = f"; shuffled labels agree as much in {chance:.2g} of cases"
    return replace(
        measurement,
        summary=f"{measurement.summary}; architectures differ {where}",
        more={"chance": chance, "differ": len(differ)},
        if_holds=as_much,
        if_open=as_much,
    )


def _by_depth(points: pd.DataFrame) -> tuple[list[int], list[str], np.ndarray]:
    """The depths, the architectures that all of them have, and the bits per parameter (sizes x depths
    x architectures). Depths with too few sizes are left out if enough others remain.
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


def _agreement(means: np.ndarray) -> np.ndarray:
    """The mean tau between any two depths: ... x depths x architectures -> ..."""
    depths = range(means.shape[-2])
    return np.mean(
        [kendall(means[..., a, :], means[..., b, :]) for a in depths for b in range(a)], 0
    )


LEAST, MOST = (
    (1 + direction * ABOUT) * BITS_PER_PARAMETER for direction in (-1, 1)
)  # about 5 bits


CLAIMS = {
    "C01": Rule(
        linear_in_parameters,
        Limit(is_near_one, fails=lambda m: m.low > 1 or 0 < m.low and m.high < 1),
        needs={"sizes": MIN_CELLS, "span": 5},
    ),
    "C02": Rule(
        five_bits,
        Limit(
            lambda m: LEAST <= m.value <= MOST and m.high - m.low <= 2 * (MOST - LEAST),
            fails=lambda m: m.high < LEAST,
            beyond=lambda m: m.low > MOST,
        ),
        needs={"sizes trained to their end": 1},
        refutes=ALWAYS,  # all sizes that count are trained to their end
    ),
    "C02b": Rule(
        more_than_a_perceptron, above(PERCEPTRON_BITS), needs={"networks": 1}, refutes=NEVER
    ),
    "C03": Rule(
        three_to_six,
        Limit(
            lambda m: m.low >= BAND[0],
            fails=lambda m: m.low < BAND[0],
            beyond=lambda m: m.high > BAND[1],
        ),
    ),
    "C04": Rule(
        small_spread,
        below(SMALL_SPREAD),
        needs={"sizes and depths": MIN_CELLS, "architectures": 3},
    ),
    "C05": Rule(multiplier_table, limit=None, trials=0),
    "C06": Rule(
        ranking,
        Limit(
            lambda m: m.value > NEIGHBOURS and m.low > 0,
            fails=lambda m: m.high < NEIGHBOURS and m.more["chance"] <= SURELY,
        ),
        needs={"sizes and depths": MIN_CELLS, "architectures": len(ORDER)},
    ),
    "C07": Rule(gates_cost, below(0), needs={"sizes and depths": MIN_CELLS}),
    "C08": Rule(
        irnn_lowest,
        Limit(
            lambda m: m.more["order"] == HOLDS and m.more["near"],
            fails=lambda m: (
                m.more["order"] == FAILS or m.more["order"] == HOLDS and not m.more["near"]
            ),
        ),
        needs={"sizes and depths": MIN_CELLS, "irnn": 1, "others": 3},
    ),
    "C13": Rule(
        depths_agree,
        Limit(
            lambda m: m.value >= AGREEMENT and m.more["chance"] <= SURELY,
            fails=lambda m: m.high < AGREEMENT and m.more["differ"] >= 2,
        ),
        needs={"sizes": MIN_CELLS},
    ),
    "G03": Rule(
        dimensions,
        Limit(
            lambda m: DIMENSIONS[0] <= m.low and m.high <= DIMENSIONS[1],
            fails=lambda m: m.low < DIMENSIONS[0] or m.high > DIMENSIONS[1],
        ),
        refutes=ALWAYS,
        trials=0,
    ),
}


Exhibit(
    name="fig1",
    title="Figure 1",
    gist=(
        "(a) Most stored bits of any trial against the number of parameters, all depths; filled,"
        " half and open markers are 1, 2 and 4 layers. (b-d) One depth each. (e-h) The same as bits"
        " per parameter, with the paper's 5 (grey line) and 3-6 (grey band). (i) How many times the"
        " parameters the architecture on the x-axis needs to store as much as the one on the"
        " y-axis, by their means over the sizes and depths that both were trained at." + HALF_SEARCH
    ),
    section="2.1",
    position=1,
    select=capacity,
    trials="capacity task",
    tables={"fig1": lambda of: stored_bits(of.trials), "fig1i": lambda of: multipliers(of["fig1"])},
    columns={"fig1": BEST},
    draw=draw,
    panels=tuple("abcdefghi"),
    alt=(
        "eight panels of stored bits and of bits per parameter against parameters, and a table of"
        " multipliers."
    ),
    note=lambda spent: "Bold: the 95 % interval, over three sizes and depths or more, excludes 1.",
    facts=facts,
    claims=CLAIMS,
    budget=SEARCH_BUDGET,
)
