"""Memory throughput (section 2.2, Figure 2c): the least error that N units allow, and how far above it
networks stay; and what a training step costs.
"""

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from rnnkit.exhibits.base import Exhibit, NamedTables
from rnnkit.exhibits.best_trials import LOSSES, best_losses
from rnnkit.exhibits.captions import (
    by_architecture,
    draws,
    in_paper_order,
    network_name,
)
from rnnkit.exhibits.convergence import trials_of
from rnnkit.exhibits.finding import (
    EXACT,
    FAILS,
    HOLDS,
    LINEAR,
    MIN_CELLS,
    ON_CURVE,
    gaps,
    is_near_one,
    mean,
    of_the_paper,
    slope_on,
)
from rnnkit.exhibits.judge import ALWAYS, Measured, Rule, below, decide
from rnnkit.exhibits.selection import NETWORK, by_gaussian_process
from rnnkit.exhibits.statistics import student
from rnnkit.exhibits.style import (
    HALF_SEARCH,
    Drawing,
    architecture_keys,
    curves,
    depth_keys,
    grey_line,
    half_search_key,
    legend,
    letter,
    line_key,
    log_ticks,
    reference,
    short,
    write_at_right,
    write_note,
)
from rnnkit.theory import memory_bound, multiplications
from rnnkit.wording import and_list, count, label_of, percent, size_range


def memory_errors(trials: pd.DataFrame) -> pd.DataFrame:
    """The best error of each network, beside its `bound` and the `excess` over that bound, out of
    trials of memory throughput (Figure 2c).
    """
    points = best_losses(trials)
    points = points[points.n_units > 0].assign(
        bound=lambda networks: memory_bound(networks.n_units, networks.n_in),
        excess=lambda networks: networks.loss - networks.bound,
    )
    return points.sort_values(["n_layers", "n_units"], kind="stable", ignore_index=True)


def step_costs(trials: pd.DataFrame) -> pd.DataFrame:
    """What one training step of each network costs: a row each, with `seconds` (the least over
    feasible trials, since other work on the machine only adds time) and `multiplications`.

    The multiplications are those of one example in one time step of the forward pass, one for each
    weight of a matrix; training takes three times as many. nan for cells that are not the paper's.
    """
    trials = trials[~trials.infeasible.astype(bool) & (trials.steps > 0) & (trials.seconds > 0)]
    keys = [*(name for name in NETWORK if name != "max_params"), "num_params", "device"]
    table = (
        trials.assign(seconds=trials.seconds / trials.steps)
        .groupby(keys, sort=False, as_index=False)
        .agg(seconds=("seconds", "min"), trials=("seconds", "size"))
    )
    counts = [
        multiplications(row.architecture, row.n_layers, row.n_units, row.n_in, row.num_params)
        for row in table.itertuples()
    ]
    return table.assign(multiplications=counts)


LEAST_EXCESS = 1e-4  # the lower end of the axis of excesses, at which anything less is drawn
INFEASIBLE = "no feasible trial"


@draws("fig2c", height=5.0)
def draw_memory(figure: Drawing, best: pd.DataFrame) -> None:
    """Figure 2c: the error of memory throughput against units, for all architectures and depths, beside
    the bound; and, ours, the excess over it. ValueError without trials.
    """
    n_in = int(best.n_in.max())
    errors, excesses = figure.subplots(1, 2, width_ratios=(1.15, 1))
    most = 1.08 * max(best.n_units.max(), 1.2 * n_in)
    for ax in (errors, excesses):
        ticks = _ticks(best.n_units.unique(), n_in, 0.055 * most)
        ax.set(xlabel="units per layer, N", xlim=(0, most), xticks=ticks)
    _draw_errors(errors, best, n_in, most)
    _draw_excesses(excesses, best)
    keys = architecture_keys(best.architecture) + depth_keys(best.n_layers.unique())
    legend(figure, [*keys, half_search_key()])


def _draw_errors(ax: Axes, best: pd.DataFrame, n_in: int, most: float) -> None:
    """Draws panel c: the error of each network, and the bound."""
    letter(ax, "c", "all depths")
    draw_bound(ax, np.linspace(0, most, 500), n_in)
    write_note(ax, "no network can be here:\nbound 1 - N / n_in,\nnot a fit", 0.03, 0.12, ha="left")
    feasible = best.dropna(subset="loss")
    highest = max([1.0, *feasible.loss, *feasible.loss_high.dropna()])
    ax.set(ylabel="squared error per dimension", ylim=(-0.02, 1.16 * highest))
    if feasible.empty:
        return write_note(ax, INFEASIBLE, 0.6, 0.45)
    curves(ax, feasible, "loss", x="n_units", spacing=1.5)


def draw_bound(ax: Axes, units: np.ndarray, n_in: int) -> None:
    """Draws the least error that so many units allow, and a line at as many units as inputs."""
    grey_line(ax, units, memory_bound(units, n_in), linewidth=1.2)
    ax.axvline(n_in, color="black", linewidth=1, zorder=1)
    ax.annotate(
        f"n_in = {n_in}",
        (n_in, 1),
        (4, -2),
        ("data", "axes fraction"),
        "offset points",
        va="top",
        fontsize=8.5,
    )


def _draw_excesses(ax: Axes, best: pd.DataFrame) -> None:
    """Draws our panel: how far the error of each network lies above the bound."""
    letter(ax, "", "ours: excess over the bound")
    ax.axvline(best.n_in.max(), color="black", linewidth=1, zorder=1)
    feasible = best.dropna(subset="loss")
    half = feasible.excess + feasible.loss_high - feasible.loss
    highest = max([1.0, *1.5 * feasible.excess, *1.5 * half.dropna()])
    ax.set(yscale="log", ylim=(LEAST_EXCESS / 1.5, highest), ylabel="error - (1 - N / n_in)")
    reference(ax, EXACT, f"exact:\nup to {EXACT:g}")
    if feasible.empty:
        return write_note(ax, INFEASIBLE, 0.3, 0.3)
    visible = feasible.assign(
        excess=feasible.excess.clip(lower=LEAST_EXCESS), excess_high=half.clip(lower=LEAST_EXCESS)
    )
    curves(ax, visible, "excess", x="n_units", spacing=1.5)


def _ticks(values: Iterable[float], first: float, room: float) -> list:
    """Ticks at `first` and at all values that are at least `room` away from the other ticks."""
    ticks = [first]
    for value in sorted(values, key=lambda v: abs(v - first)):
        if all(abs(value - tick) >= room for tick in ticks):
            ticks.append(value)
    return sorted(ticks)


# the rows of panels: a cost, its label, and how its ticks are written
COSTS = (
    ("seconds", "time per training step", EngFormatter("s")),
    ("multiplications", "multiplications per\nexample and time step", short),
)
# the columns of panels: a size, its label, and the power of it with which the cost should grow
SIZES = (("num_params", "parameters, P", 1), ("n_units", "units per layer, N", 2))


@draws("g01", height=6.6)
def draw_costs(figure: Drawing, costs: pd.DataFrame) -> None:
    """Ours: seconds and multiplications of a step against parameters and against units, with slopes
    1 and 2. ValueError without trials.
    """
    axes = figure.subplots(2, 2, sharex="col", sharey="row")
    for row, (y, text, tick) in zip(axes, COSTS):
        for ax, (x, _, power) in zip(row, SIZES):
            _draw_cost(ax, costs, x, y, power)
        row[0].set_ylabel(text)
        if costs[y].notna().any():
            log_ticks(row[0].yaxis, tick)
    for ax, (_, text, _) in zip(axes[1], SIZES):
        ax.set_xlabel(text)
        log_ticks(ax.xaxis)
    if len(costs):
        keys = architecture_keys(costs.architecture) + depth_keys(costs.n_layers.unique())
        legend(figure, [*keys, line_key("slope 1 or 2")])


def _draw_cost(ax: Axes, costs: pd.DataFrame, x: str, y: str, power: int) -> None:
    """Draws one cost against one size, on logarithmic axes, with a line of slope `power` through the
    middle.
    """
    ax.set(xscale="log", yscale="log")
    available = costs.dropna(subset=y)
    if available.empty:
        reason = INFEASIBLE if costs.empty else "not counted: not a cell of the paper's"
        return write_note(ax, reason)
    curves(ax, available, y, x=x)
    xs = np.array([available[x].min(), available[x].max()])
    middle = np.exp(np.log(available[[x, y]]).mean())
    guide = middle[y] * (xs / middle[x]) ** power
    grey_line(ax, xs, guide)
    write_at_right(ax, guide[1], f"slope {power}")


NEAR = 0.01  # of the variance: an error so near its bound looks as if it lay on it


def memory_facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    table = tables["fig2c"].dropna(subset="loss")
    if table.empty:
        return []
    near = (table.excess <= NEAR).groupby(table.architecture).agg(["sum", "size"])
    counts = and_list(
        f"{label_of(architecture)} {within} of {total}"
        for architecture, within, total in in_paper_order(near).itertuples()
    )
    worst = table.loc[table.excess.idxmax()]
    return [
        f"Networks within {NEAR:g} of the bound: {counts}.",
        (
            f"The farthest above it, by {worst.excess:.3g}, is {network_name(worst)}: {worst.n_units}"
            " units per layer."
        ),
    ]


def cost_facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    table = tables["g01"]
    if table.empty:
        return []
    low = table.loc[table.num_params.idxmin()]
    high = table.loc[table.num_params.idxmax()]
    more = high.num_params / low.num_params
    longer = high.seconds / low.seconds
    smallest = f"{1e6 * low.seconds:,.0f} µs in the smallest network, {network_name(low)}"
    largest = f"{1e6 * high.seconds:,.0f} µs in the largest, {network_name(high)}"
    return [
        f"A training step takes {smallest}, and {largest}.",
        f"That is {longer:.2g} times as long for {more:.2g} times the parameters.",
    ]


def exact_if_enough_units(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """M01: the mean error of the networks with n_in units or more, that is, with enough of them.

    The greatest of their errors decides. If a network with too few units were better than the bound
    allows, by more than rounding, the evaluation would be wrong.
    """
    points = of_the_paper(points).dropna(subset="loss")
    enough = points[points.n_units >= points.n_in]
    short = points[points.n_units < points.n_in]
    few = (
        f"{count(len(short), 'network')} with too few units and {len(enough)} with enough, and it"
        f" takes {MIN_CELLS} of each"
    )
    measurement = Measured(
        mean(enough.loss),
        *student(enough.loss),
        has={"with enough units": len(enough), "with too few": len(short)},
        lacks=few if len(points) else "no trial was feasible",
    )
    if not len(enough) or not len(short):
        return measurement
    worst = enough.loc[enough.loss.idxmax()]
    inexact = enough[enough.loss > EXACT]
    is_beaten = -short.excess.min() > EXACT
    still = f"; {len(inexact)} of {len(enough)} networks with enough units stay above {EXACT:g}"
    wrong = "; a network beats the bound, which none can: the evaluation is wrong"
    return replace(
        measurement,
        summary=f"{errors_near_enough_units(points)}; the worst with enough is {label_of(worst.architecture)},"
        f" {worst.loss:.3g} with {worst.n_units} units",
        verdict=HOLDS if worst.loss <= EXACT and not is_beaten else FAILS,
        if_holds=f"; exact is up to {EXACT:g}, and the bound forbids it below",
        if_fails=wrong if is_beaten else still,
        search=trials_of(trials, inexact),
        sure=is_beaten,
    )


def errors_near_enough_units(points: pd.DataFrame) -> str:
    """The mean errors with as many units as inputs, and with the next smaller and the next larger
    number; in the paper's size these are 56, 64 and 72 units.
    """
    means = points.groupby("n_units").loss.mean()
    n_in = points.n_in.max()
    first = means.index.searchsorted(n_in)
    last = means.index.searchsorted(n_in, side="right")
    near = means.iloc[max(0, first - 1) : last + 1]
    return f"{and_list(f'{loss:.3f}' for loss in near)} at {and_list(near.index)} units"


def learned_too_little(points: pd.DataFrame) -> str:
    """The doubt about networks that learned, on average, less than half of what the bound allows; empty
    for others.
    """
    shortfall = (points.excess / (1 - points.bound)).mean()
    return (
        f"networks that miss {percent(shortfall)} of what the bound allows have learned too little to tell"
        if shortfall > 0.5
        else ""
    )


def on_the_curve(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """M02: the mean excess over the bound of networks with too few units."""
    short = of_the_paper(points[points.n_units < points.n_in]).dropna(subset="loss")
    few = f"{count(len(short), 'network')} with too few units, and it takes {MIN_CELLS}"
    if short.empty:
        return Measured(lacks=few)
    return Measured(
        mean(short.excess),
        *student(short.excess),
        f"{len(short)} networks of {size_range(short.n_units)} units, at most"
        f" {short.excess.max():.3f}; on the curve is up to {ON_CURVE:g}",
        has={"networks": len(short)},
        lacks=few,
        doubt=learned_too_little(short),
        search=trials[trials.n_units < points.n_in.max()],
    )


def one_curve(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """M03: the highest less the lowest error at the same number of units, on average over the numbers
    of units at which all networks were trained.
    """
    points = of_the_paper(points)
    table = (
        points.pivot_table("loss", "n_units", ["architecture", "n_layers"])
        .dropna(axis=1, how="all")
        .dropna()
    )
    if len(table) < MIN_CELLS or table.shape[1] < 3:
        few = f"{count(table.shape[1], 'network')} at {len(table)} common numbers of units"
        return Measured(lacks=f"{few}, too few to compare")
    ranges = table.max(axis=1) - table.min(axis=1)
    absent = gaps(points)
    return Measured(
        mean(ranges),
        *student(ranges),
        f"{table.shape[1]} networks at {and_list(table.index)} units, widest at {ranges.idxmax()} with"
        f" {ranges.max():.3f}; one curve is up to {ON_CURVE:g}",
        doubt=learned_too_little(points),
        partial=f", but {and_list(absent)} not trained" if absent else "",
    )


def cost_is_linear(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """G01: the slope of the logarithm of the seconds per training step on that of the parameters; each
    architecture and depth has its own level. The slope of the multiplications must be near 1 as well.
    """
    costs = of_the_paper(points)
    if costs.empty:
        return Measured(lacks="no trial was feasible")
    slope, low, high = slope_on(costs, "num_params", "seconds")
    sizes = f"{size_range(costs.num_params)} parameters"
    if math.isnan(low) or costs.num_params.max() < 10 * costs.num_params.min():
        return Measured(slope, low, high, lacks=f"networks of {sizes}, and it takes a decade")
    units, _, _ = slope_on(costs, "n_units", "seconds")
    by_params, _, _ = slope_on(costs, "num_params", "multiplications")
    by_units, _, _ = slope_on(costs, "n_units", "multiplications")
    is_linear = is_near_one(low, high)
    is_counted_linear = not abs(by_params - 1) > LINEAR
    slowly = "a step also has costs that do not depend on size, so time grows more slowly"
    return Measured(
        slope,
        low,
        high,
        f"measured seconds go as units^{units:.2f}; multiplications as parameters^{by_params:.2f} and"
        f" units^{by_units:.2f} (2 where units far outnumber inputs),"
        f" {count(len(costs), 'network')} of {sizes}",
        verdict=decide(
            holds=is_linear and is_counted_linear,
            fails=low > 1 and not is_linear or not is_counted_linear,
        ),
        if_open=f"; {slowly}" if high < 1 else "",
    )


def mean_excess(table: pd.DataFrame) -> pd.Series:
    """The mean excess over the bound, at the depth where it is largest, by architecture."""
    return table.groupby(["architecture", "n_layers"]).excess.mean().groupby("architecture").max()


MEMORY = {
    "M01": Rule(
        exact_if_enough_units,
        needs={"with enough units": MIN_CELLS, "with too few": MIN_CELLS},
        trials=0,
    ),
    "M02": Rule(on_the_curve, below(ON_CURVE), needs={"networks": MIN_CELLS}, trials=0),
    "M03": Rule(one_curve, below(ON_CURVE), trials=0),
}


Exhibit(
    name="fig2c",
    title="Figure 2c",
    gist=(
        "Memory throughput: squared error of the reconstructed input against units per layer, all"
        " depths (filled, half and open markers: 1, 2 and 4 layers); black line: as many units as"
        " inputs. Dashed: the least error that a linear readout of N units allows, a bound and not"
        " a fit. Right, ours: the excess over it; an excess below 0.0001 is drawn there."
        + HALF_SEARCH
    ),
    position=8,
    select=by_gaussian_process("mem_thru", at_length=True),
    trials="memory task",
    tables={"fig2c": memory_errors},
    columns={"fig2c": [*NETWORK, "bound", "excess", *LOSSES]},
    draw=draw_memory,
    alt=(
        "squared error against units per layer, beside the bound and the number of inputs, and the"
        " excess over the bound."
    ),
    numbers=lambda tables: by_architecture(
        "Largest mean excess over the bound", mean_excess(tables["fig2c"]), ".3g"
    ),
    facts=memory_facts,
    claims=MEMORY,
    budget="hundreds to thousands of trials per point, 64 inputs, 12 time steps",
)


Exhibit(
    name="g01",
    title="Cost of a step",
    gist=(
        "Ours: measured seconds of a training step (top; the least over the trials of a network, its"
        " share of all that were trained side by side) and counted multiplications (bottom),"
        " against parameters and against units. Dashed: slopes 1 and 2."
    ),
    position=9,
    select=by_gaussian_process("mem_thru"),
    trials="memory task",
    experiment="fig2c",
    tables={"g01": step_costs},
    draw=draw_costs,
    alt=(
        "seconds and multiplications of a step against parameters and against units, beside slopes"
        " 1 and 2."
    ),
    numbers=lambda tables: by_architecture(
        "Most seconds per step", tables["g01"].groupby("architecture").seconds.max(), ".2g"
    ),
    facts=cost_facts,
    claims={"G01": Rule(cost_is_linear, refutes=ALWAYS, trials=0)},
)
