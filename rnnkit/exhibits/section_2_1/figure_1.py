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
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patches import Patch
from matplotlib.ticker import MultipleLocator

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, NamedTables
from rnnkit.exhibits.best_trials import BEST, bits_per_param, stored_bits
from rnnkit.exhibits.captions import (
    draws,
    in_paper_order,
    named_numbers,
    network_name,
    numbers_of,
)
from rnnkit.exhibits.convergence import networks_at_their_end, search_end, trials_of
from rnnkit.exhibits.finding import (
    ABOUT,
    FAILS,
    HOLDS,
    MIN_CELLS,
    NO_NUMBERS,
    SMALL_SPREAD,
    SURE,
    SURELY,
    Pair,
    is_near_one,
    lacking,
    mean,
    of_the_paper,
    pairs_verdict,
    shared,
    slope_on,
    too_few,
    training_doubt,
)
from rnnkit.exhibits.judge import (
    ALWAYS,
    NEVER,
    Measured,
    Rule,
    above,
    below,
    decide,
)
from rnnkit.exhibits.overlays import authors_sizes, key_if_drawn, overlay
from rnnkit.exhibits.selection import LONGER, capacity, without_pinned
from rnnkit.exhibits.statistics import (
    bootstrap,
    kendall,
    p_of_differing_columns,
    paired_test,
    share_beyond,
    shuffle_labels,
    spread_of_means,
    student,
)
from rnnkit.exhibits.style import (
    HALF_SEARCH,
    PALE,
    Drawing,
    architecture_keys,
    coloured_table,
    curves,
    depth_keys,
    grey_line,
    half_search_key,
    legend_panel,
    letter,
    line_key,
    log_ticks,
    parameters_axis,
    write_at_right,
    write_note,
)
from rnnkit.paper import BITS_PER_PARAMETER, ORDER, PERCEPTRON_BITS, SEARCH_BUDGET
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
        pair = table[[x]].assign(other=table[y])
        interval = (math.nan, math.nan)
        if shared:
            pair = pair.dropna()
            interval = bootstrap(pair, lambda draw: draw[..., 1].mean(-1) / draw[..., 0].mean(-1))
        mean_x, mean_y = pair.mean()
        records.append((x, y, mean_y / mean_x, *interval, len(pair)))
    return pd.DataFrame(records, columns=["x", "y", "multiplier", "low", "high", "cells"])


FIVE_BITS_LABEL = f"paper: {paper.BITS_PER_PARAMETER:g}"
# what the two columns of panels show, and their letters
PANELS = {"bits": "abcd", "bits_per_param": "efgh"}


@draws("fig1", height=11.4)
def draw(figure: Drawing, best: pd.DataFrame, ratios: pd.DataFrame) -> None:
    """Figure 1: (a-d) stored bits, (e-h) bits per parameter, all depths and then 1, 2 and 4, (i)
    multipliers. ValueError without trials.
    """
    sizes = sorted({*best.max_params.unique(), *authors_sizes("fig1", "per_cap")})
    upper, lower = figure.subfigures(2, 1, height_ratios=(7.2, 3.7))
    depths = (None, *paper.DEPTHS)
    axes = upper.subplots(len(depths), 2, sharex=True, sharey="col")
    for ax in axes[-1]:
        parameters_axis(ax, sizes, "parameters, P", best.num_params.min())
    limits = _limits(best, sizes)
    for column, (y, letters) in zip(axes.T, PANELS.items()):
        for ax, depth, name in zip(column, depths, letters):
            letter(ax, name, "all depths" if depth is None else layers(depth))
            _draw_capacity(ax, best, depth, y, limits[y])
    for column, y in zip(axes.T, PANELS):
        overlay(dict(zip(depths, column)), "fig1", "per_cap", y)
    square, legend = lower.subplots(1, 2, width_ratios=(1.25, 1))
    _draw_multipliers(square, ratios)
    keys = [
        *architecture_keys(best.architecture),
        *depth_keys(best.n_layers.unique()),
        half_search_key(),
        line_key("paper: 5 bits per parameter"),
        Patch(color=PALE, label="paper: 3-6"),
        *key_if_drawn(figure),
    ]
    legend_panel(legend, keys)


def _limits(best: pd.DataFrame, sizes: list[int]) -> dict[str, tuple[float, float]]:
    """The ends of the axes of both columns, which hold all best trials, what half of their searches
    would have found, and the paper's band.
    """
    low, high = paper.BAND
    bits = best[["bits", "bits_low"]].where(lambda bits: bits > 0).min(axis=None)
    if math.isnan(bits):
        return {"bits": (sizes[0], 8 * sizes[-1]), "bits_per_param": (0, high + 0.5)}
    least = min(low, best.bits_per_param_low.min())
    most = max(high, best.bits_per_param.max())
    return {
        "bits": (min(bits, 2 * sizes[0]) / 1.6, 8 * sizes[-1]),
        "bits_per_param": (max(0, least - 0.5), most + 0.5),
    }


def _draw_capacity(
    ax: Axes, best: pd.DataFrame, depth: int | None, y: str, limits: tuple[float, float]
) -> None:
    """Draws the best trials of one depth, or of all, against parameters, beside the paper's 5 bits per
    parameter and its band.
    """
    subset = best if depth is None else best[best.n_layers == depth]
    low, high = paper.BAND
    xs = np.array(ax.get_xlim())
    scale = xs if y == "bits" else np.ones(2)
    ax.fill_between(xs, low * scale, high * scale, color=PALE, linewidth=0, zorder=0)
    grey_line(ax, xs, paper.BITS_PER_PARAMETER * scale)
    label = FIVE_BITS_LABEL
    if y == "bits":
        ax.set(ylim=limits, yscale="log", ylabel="stored bits")
        log_ticks(ax.yaxis)
        label += " P"
    else:
        ax.set(ylim=limits, ylabel="bits per parameter")
        ax.yaxis.set_major_locator(MultipleLocator(1))
    write_at_right(ax, paper.BITS_PER_PARAMETER * scale[1], label)
    if (subset.bits > 0).any():
        return curves(ax, subset, y)
    reason = f"depth {depth}: not trained\nat this scale"
    write_note(ax, "no bits stored" if len(subset) else reason, 0.62, 0.17)


def _draw_multipliers(ax: Axes, table: pd.DataFrame) -> None:
    """Draws panel i, in bold where an interval over at least three sizes and depths excludes 1."""
    letter(ax, "i", "parameter multipliers")
    sns.despine(ax=ax, left=True, bottom=True)
    names = table.y.unique()
    if len(names) < 2:
        ax.set(xticks=[], yticks=[])
        return write_note(ax, "takes two architectures\nthat stored bits")
    bold = (table.cells >= MIN_CELLS) & ((table.low > 1) | (table.high < 1))
    square = table.assign(bold=bold).pivot(index="y", columns="x").loc[names]
    values = square.multiplier[names].to_numpy()
    reach = max(1.25, float(np.nanmax(np.maximum(values, 1 / values))))
    # half of the colours, so that numbers stand out on them
    look = {"cmap": "PuOr_r", "norm": LogNorm(1 / reach**2, reach**2), "linewidth": 1}
    labels = [label_of(name) for name in names]
    coloured_table(ax, values, values, labels, labels, square.bold[names].to_numpy(), **look)
    if len(names) > 7:
        ax.set_xticks(ax.get_xticks(), labels, rotation=45, ha="right")
    ax.set_aspect("equal")
    ax.set(xlabel="needs so many times the parameters ...", ylabel="... to store as much as")


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    """The network that stores the most, and the order of the architectures at the largest size."""
    best = tables["fig1"].dropna(subset="bits_per_param")
    if best.empty:
        return []
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
        order = numbers_of(bits.sort_values(ascending=False, kind="stable"))
        sentences.append(
            f"With {layers(depth)} and up to {largest:,} parameters the order is {order} bits per"
            " parameter."
        )
    return sentences


def linear_in_parameters(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """C01: the slope of log bits on log parameters. Longer trainings that only some sizes have would
    bend the line, and are left out.

    A large network can do whatever a small one does. Bits that do not rise with parameters therefore
    show a poor search, and refute nothing.
    """
    sizes = sorted(trials.max_params.unique())
    longer = trials.tuner == LONGER
    if trials.max_params[longer].nunique() not in (0, len(sizes)):
        trials = trials[~longer]
        points = stored_bits(trials)
    slope, low, high = slope_on(points, "num_params", "bits")
    span = f"{size_range(sizes)} parameters"
    poor = "bits do not rise with parameters, which shows a poor search of the large networks"
    return Measured(
        slope,
        low,
        high,
        has={"sizes": len(sizes), "span": sizes[-1] / sizes[0]},
        lacks=(
            f"{count(len(sizes), 'size')} of {span}, and it takes three, the largest five times the"
            " smallest"
        ),
        verdict=decide(holds=is_near_one(low, high), fails=low > 1 or 0 < low and high < 1),
        doubt=training_doubt(points) or ("too few networks stored bits" if math.isnan(low) else ""),
        if_holds=f"near 1 over {len(sizes)} sizes of {span}",
        if_fails=f"the interval excludes 1 over {span}",
        if_open=f"the interval is wider than 1 +- {SURE}" if low <= 1 <= high else poor,
        search=trials,
    )


# about 5 bits
LEAST = (1 - ABOUT) * BITS_PER_PARAMETER
MOST = (1 + ABOUT) * BITS_PER_PARAMETER


def five_bits(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """C02: the mean over architectures and depths, at the sizes whose searches have come to their end.

    If there are no such sizes, the mean at the largest size is shown. It is a lower bound, so it can
    refute the claim only by being too large.
    """
    points = of_the_paper(points).dropna(subset="bits")
    # smallest size first
    search_ends = {
        size: search_end(group) for size, group in of_the_paper(trials).groupby("max_params")
    }
    ended_sizes = [size for size, end in search_ends.items() if end.is_reached]
    networks = points[points.max_params.isin(ended_sizes or list(search_ends)[-1:])]
    average = mean(networks.bits_per_param)
    low, high = student(networks.bits_per_param)
    sizes = and_list(f"{size:,}" for size in sorted(set(networks.max_params)))
    where = f"{count(len(networks), 'network')} of {sizes} parameters"
    open_search = search_ends[max(search_ends)].reason if search_ends else "no trial was feasible"
    trained = ", all that are trained to their end; "
    last = search_ends[ended_sizes[-1]].reason if ended_sizes else ""
    return Measured(
        average,
        low,
        high,
        where,
        verdict=decide(
            holds=LEAST <= average <= MOST and high - low <= 2 * (MOST - LEAST),
            fails=high < LEAST,
        ),
        beyond=low > MOST,
        has={"sizes trained to their end": len(ended_sizes)},
        lacks=f"a lower bound, from {where}; no size is trained to its end: {open_search}",
        doubt=training_doubt(networks),
        if_holds=f"{trained}within a tenth of 5",
        if_fails=", more than a tenth above 5" if low > MOST else f"{trained}{last}",
        if_open=f"{trained}{last}; the interval does not tell",
    )


def more_than_a_perceptron(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """C02b, ours: the mean over all networks. It is a lower bound, so the claim can only hold or stay
    open.
    """
    values = of_the_paper(points).bits_per_param.dropna()
    return Measured(
        mean(values),
        *student(values),
        f"{count(len(values), 'network')} of {size_range(trials.max_params)} parameters, from"
        f" {values.min():.2f} to {values.max():.2f}",
        has={"networks": len(values)},
        lacks="no network stored bits",
    )


def three_to_six(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """C03: the bits per parameter of all networks, with the least and the most as the interval.

    A network that stores fewer than three refutes the claim if its own search has come to its end,
    whether or not the searches for the others have.
    """
    points = of_the_paper(points).dropna(subset="bits_per_param")
    values = points.bits_per_param
    low, high = values.agg(["min", "max"])
    least, most = paper.BAND
    absent = lacking(trials)
    all_between = f"all {len(values)} networks lie between"
    short = points[values < least]
    ended_searches = networks_at_their_end(trials_of(trials, short))
    too_few = f"{len(short)} of {len(values)} networks found fewer than {least:g}"
    if len(ended_searches):
        too_few += f", {len(ended_searches)} of them in searches that have come to their end"
    too_much = f"the best study stores {high:.2f}, more than {most:g}"
    return Measured(
        mean(values),
        low,
        high,
        verdict=decide(holds=least <= low and high <= most, fails=low < least),
        beyond=high > most,
        doubt=training_doubt(points),
        if_holds=all_between,
        if_fails=too_much if high > most else too_few,
        partial=f"{all_between}, but {absent}" if absent else "",
        search=trials_of(trials, ended_searches if len(ended_searches) else short),
    )


def _comparison(
    points: pd.DataFrame, architectures: Sequence[str]
) -> tuple[pd.DataFrame, str, Measured]:
    """Bits per parameter at the sizes and depths at which all architectures were trained, a few words
    on those that had to be left out (`finding.shared`), and what a rule needs to compare them.
    """
    table, left_out = shared(bits_per_param(points), architectures)
    extent = {"sizes and depths": len(table), "architectures": table.shape[1]}
    return table, left_out, Measured(has=extent, lacks=too_few(table), doubt=training_doubt(points))


def irnn_lowest(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """C08: the most bits per parameter of the IRNN, and whether it stores less than every other
    architecture (paired tests over sizes and depths, Holm's correction).
    """
    irnn = points[points.architecture == "irnn"].dropna(subset="bits")
    if irnn.empty:
        return Measured(lacks="no IRNN stored bits")
    table, left_out, measurement = _comparison(points, paper.ARCHITECTURES)
    best = irnn.loc[irnn.bits_per_param.idxmax()]
    most = best.bits_per_param
    measurement = replace(measurement, value=most, low=best.bits_per_param_low, high=most)
    if "irnn" not in table:
        return replace(measurement, has={})
    logs = np.log(table)
    order, phrase = pairs_verdict(
        [Pair("irnn", a, *paired_test(logs.irnn, logs[a])) for a in table if a != "irnn"]
    )
    means = ", ".join(named_numbers(table.mean().sort_values()))
    rank = f"{means}{left_out}; lower than every other: {phrase}"
    near = abs(most / paper.RELU_BITS - 1) <= ABOUT
    lowest = order == HOLDS
    reason = f"the IRNN is the lowest ({rank}), {'' if near else 'not '}within a tenth of 3.5"
    return replace(
        measurement,
        verdict=FAILS if lowest and not near else order,
        if_holds=reason,
        if_fails=reason if lowest else rank,
        if_open=rank,
        search=trials[trials.architecture == "irnn"] if lowest else trials,
        # no longer search would make it fewer
        sure=lowest and most > paper.RELU_BITS * (1 + ABOUT),
    )


def dimensions(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """G03: the number of hyper-parameters that were tuned, by architecture, counted in the trials."""
    trials = of_the_paper(without_pinned(trials))
    counts = in_paper_order(trials.hparams.map(len).groupby(trials.architecture).max())
    if counts.empty:
        return Measured(lacks="none of the paper's architectures is here")
    missing = [label_of(a) for a in paper.ARCHITECTURES if a not in counts]
    least, most = paper.DIMENSIONS
    is_in_range = counts.between(least, most).all()
    return Measured(
        counts.mean(),
        counts.min(),
        counts.max(),
        ", ".join(named_numbers(counts, "d")),
        verdict=HOLDS if is_in_range else FAILS,
        partial=f"; {and_list(missing)} not trained" if missing else "",
    )


NEIGHBOURS = 0.79  # Kendall's tau with one neighbouring pair of five swapped is .8
AGREEMENT = 0.5  # mean tau between depths


def small_spread(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """C04: the highest over the lowest architecture, without the IRNN, as a ratio of geometric means
    over sizes and depths.
    """
    table, left_out, measurement = _comparison(points, paper.ORDER)
    if table.empty:
        return measurement
    logs = np.log(table)
    ratio, low, high = (math.exp(value) for value in spread_of_means(logs))
    lowest, highest = named_numbers(np.exp(logs.mean()).sort_values().iloc[[0, -1]])
    return replace(
        measurement,
        value=ratio,
        low=low,
        high=high,
        summary=(
            f"{highest}, {lowest} bits per parameter{left_out}; small is up to {SMALL_SPREAD}"
        ),
    )


def multiplier_table(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """C05: the largest multiplier. The paper prints no number to compare it with, so the claim has no
    verdict and is not counted.
    """
    table = multipliers(of_the_paper(points)).query("x != y").dropna(subset="multiplier")
    if table.empty:
        summary = "fewer than two architectures share a size and depth"
        return Measured(summary=summary, verdict=NO_NUMBERS)
    top = table.loc[table.multiplier.idxmax()]
    return Measured(
        top.multiplier,
        top.low,
        top.high,
        f"{label_of(top.x)} needs {top.multiplier:.2f} times the parameters of {label_of(top.y)};"
        " the paper draws its table, and its text prints no number to compare with",
        verdict=NO_NUMBERS,
    )


def ranking(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """C06: Kendall's tau between our means and the paper's order, with the interval of its mean over
    sizes and depths. Another order refutes the claim only if architectures differ at all, by the
    p-value from labels shuffled within each size and depth.
    """
    table, left_out, measurement = _comparison(points, paper.ORDER)
    if table.empty or table.shape[1] < 2:
        return measurement
    means = table.mean()
    places = -np.arange(len(means))
    tau = float(kendall(means, places))
    low, high = student(kendall(table, places), -1, 1)
    chance = p_of_differing_columns(table) if high < NEIGHBOURS else math.nan
    ours = " > ".join(named_numbers(means.sort_values(ascending=False)))
    return replace(
        measurement,
        value=tau,
        low=low,
        high=high,
        summary=f"{ours}, {count(len(table), 'size and depth', 'sizes and depths')}",
        lacks=f"{ours}{left_out}, and it takes all five at {MIN_CELLS} sizes and depths",
        verdict=decide(
            holds=tau > NEIGHBOURS and low > 0, fails=high < NEIGHBOURS and chance <= SURELY
        ),
        if_fails=f"; shuffled labels differ as much in {chance:.2g} of cases",
        if_open="; the order changes from size to size",
    )


def gates_cost(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """C07: the slope of bits per parameter on the number of gates within sizes and depths, without the
    IRNN. Its interval is that of the single slopes, of the sizes and depths that have three different
    numbers of gates.
    """
    table = bits_per_param(points)
    table = table[[a for a in paper.ORDER if a in table]].dropna(thresh=2)
    if table.empty:
        return Measured(lacks=too_few(table))
    bits = table.to_numpy()
    gates = np.where(np.isnan(bits), np.nan, [paper.GATES[a] for a in table])
    x, y = (values - np.nanmean(values, -1, keepdims=True) for values in (gates, bits))
    telling = [len(set(row[~np.isnan(row)])) >= 3 for row in gates]
    slopes = np.nansum(x * y, 1)[telling] / np.nansum(x * x, 1)[telling]
    squares = np.nansum(x * x)
    places = count(len(slopes), "size and depth", "sizes and depths")
    return Measured(
        np.nansum(x * y) / squares if squares else math.nan,
        *student(slopes),
        f"over {places} with three numbers of gates or more",
        has={"sizes and depths": len(slopes)},
        lacks=too_few(table),
        doubt=training_doubt(points),
    )


def depths_agree(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """C13: the mean of Kendall's tau between the means of any two depths, with its interval over sizes.

    They agree if shuffled labels rarely agree as much. The claim is refuted only if architectures
    differ at all at two depths: elsewhere, it would only be noise that disagrees.
    """
    depths, names, values = _by_depth(points)
    if len(depths) < 2 or len(names) < 3 or not len(values):
        few = f"{count(len(depths), 'depth')}, and it takes two with three architectures in common"
        return Measured(lacks=few)
    tau = float(_agreement(values.mean(0)))
    sizes = count(len(values), "size")
    summary = f"depths {and_list(depths)}, {len(names)} architectures, {sizes}"
    measurement = Measured(
        tau,
        *student([_agreement(size) for size in values], -1, 1),
        summary,
        has={"sizes": len(values)},
        lacks=f"{summary}, and it takes {MIN_CELLS} sizes",
        doubt=training_doubt(points),
    )
    if len(values) < MIN_CELLS or measurement.doubt:
        return measurement
    null_draws = shuffle_labels(
        values.reshape(-1, len(names)),
        lambda draw: _agreement(draw.reshape(-1, *values.shape).mean(1)),
    )
    chance = share_beyond(tau, null_draws)
    differ = [
        depth
        for index, depth in enumerate(depths)
        if p_of_differing_columns(values[:, index]) <= SURELY / len(depths)
    ]
    where = f"at depth {and_list(differ)}" if differ else "at no depth"
    as_much = f"; shuffled labels agree as much in {chance:.2g} of cases"
    return replace(
        measurement,
        summary=f"{summary}; architectures differ {where}",
        verdict=decide(
            holds=tau >= AGREEMENT and chance <= SURELY,
            fails=measurement.high < AGREEMENT and len(differ) >= 2,
        ),
        if_holds=as_much,
        if_open=as_much,
    )


def _by_depth(points: pd.DataFrame) -> tuple[list[int], list[str], np.ndarray]:
    """The depths, the architectures that all of them have, and the bits per parameter (sizes x depths
    x architectures). Depths with too few sizes are left out if enough others remain.
    """
    table = bits_per_param(points)
    table = table[[a for a in paper.ARCHITECTURES if a in table]]
    sizes = table.groupby("n_layers").size()
    enough = sizes.index[sizes >= MIN_CELLS]
    depths = list(enough if len(enough) >= 2 else sizes.index)
    table = table[table.index.isin(depths, level="n_layers")]
    # a row for each size, a column for each architecture and depth
    cube = table.unstack("n_layers").dropna(axis=1, how="all").dropna()
    names = [a for a in table.columns if all((a, depth) in cube for depth in depths)]
    values = cube[names].to_numpy().reshape(len(cube), len(names), len(depths))
    return depths, names, values.swapaxes(1, 2)


def _agreement(means: np.ndarray) -> np.ndarray:
    """The mean tau between any two depths: ... x depths x architectures -> ..."""
    pairs = itertools.combinations(range(means.shape[-2]), 2)
    return np.mean([kendall(means[..., a, :], means[..., b, :]) for a, b in pairs], 0)


CLAIMS = {
    "C01": Rule(linear_in_parameters, needs={"sizes": MIN_CELLS, "span": 5}),
    # all sizes that count are trained to their end
    "C02": Rule(five_bits, needs={"sizes trained to their end": 1}, refutes=ALWAYS),
    "C02b": Rule(
        more_than_a_perceptron, above(PERCEPTRON_BITS), needs={"networks": 1}, refutes=NEVER
    ),
    "C03": Rule(three_to_six),
    "C04": Rule(
        small_spread,
        below(SMALL_SPREAD),
        needs={"sizes and depths": MIN_CELLS, "architectures": 3},
    ),
    "C05": Rule(multiplier_table, trials=0),
    "C06": Rule(ranking, needs={"sizes and depths": MIN_CELLS, "architectures": len(ORDER)}),
    "C07": Rule(gates_cost, below(0), needs={"sizes and depths": MIN_CELLS}),
    "C08": Rule(irnn_lowest, needs={"sizes and depths": MIN_CELLS, "architectures": 4}),
    "C13": Rule(depths_agree, needs={"sizes": MIN_CELLS}),
    "G03": Rule(dimensions, refutes=ALWAYS, trials=0),
}


Exhibit(
    name="fig1",
    title="Figure 1",
    gist=(
        "(a) Most stored bits of any trial against the number of parameters, all depths; filled,"
        " half and open markers are 1, 2 and 4 layers. (b-d) One depth each. (e-h) The same as bits"
        " per parameter, with the paper's 5 (grey line) and 3-6 (grey band). (i) How many times the"
        " parameters the architecture on the x-axis needs to store as much as the one on the"
        " y-axis, by their means over the sizes and depths that both were trained at."
        + HALF_SEARCH
        + " Bold: the 95 % interval, over three sizes and depths or more, excludes 1."
    ),
    position=1,
    select=capacity,
    trials="capacity task",
    tables={"fig1": stored_bits, "fig1i": lambda trials: multipliers(stored_bits(trials))},
    columns={"fig1": BEST},
    draw=draw,
    alt=(
        "eight panels of stored bits and of bits per parameter against parameters, and a table of"
        " multipliers."
    ),
    facts=facts,
    claims=CLAIMS,
    budget=SEARCH_BUDGET,
)
