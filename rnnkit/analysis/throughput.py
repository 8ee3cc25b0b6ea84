"""Memory throughput (section 2.2, Figure 2c): the least error of N units, and how far above it
networks stay; what a step costs.
"""

import math
from dataclasses import replace

import pandas as pd

from rnnkit import paper
from rnnkit.analysis.convergence import trials_of
from rnnkit.analysis.finding import (
    EXACT,
    MIN_CELLS,
    ON_CURVE,
    mean,
    of_the_paper,
)
from rnnkit.analysis.judge import Measured
from rnnkit.analysis.loss import best_losses
from rnnkit.analysis.rows import Budget
from rnnkit.analysis.statistics import slope_loglog, student
from rnnkit.theory import memory_bound, multiplications
from rnnkit.wording import and_list, count, label_of, size_range


def memory_errors(rows: pd.DataFrame) -> pd.DataFrame:
    """Best error of each network beside its `bound` and the `excess` over it, out of trials of
    memory throughput (Figure 2c).
    """
    points = best_losses(rows)
    points = points[points.n_units > 0]
    points = points.assign(bound=memory_bound(points.n_units, points.n_in))
    return points.assign(excess=points.loss - points.bound).sort_values(
        ["n_layers", "n_units"], kind="stable", ignore_index=True
    )


def step_costs(rows: pd.DataFrame) -> pd.DataFrame:
    """Cost of one training step of each network: a row each, with `seconds` (median over feasible
    trials) and `multiplications`.

    The latter are those of one example in one time step forwards, a product for each weight of a
    matrix; training costs three times as much. nan for a cell that is not the paper's.
    """
    rows = rows[~rows.infeasible.astype(bool) & (rows.steps > 0) & (rows.seconds > 0)]
    keys = [
        "task_type",
        "form",
        "n_in",
        "unroll",
        "n_layers",
        "n_units",
        "architecture",
        "num_params",
        "device",
    ]
    table = (
        (rows.seconds / rows.steps)
        .groupby([rows[key] for key in keys], sort=False)
        .agg(["median", "size"])
        .reset_index()
    )
    table = table.rename(columns={"median": "seconds", "size": "trials"})
    counted = [
        multiplications(row.architecture, row.n_layers, row.n_units, row.n_in, row.num_params)
        for row in table.itertuples()
    ]
    return table.assign(multiplications=counted)


# --- claims ---


def exact_if_enough_units(rows, points, spent: Budget) -> Measured:
    """M01: the mean error of networks of n_in units and more; `worst` is the greatest of these, and
    `beaten` by how much a network with fewer units beats the bound, which none can.
    """
    points = of_the_paper(points).dropna(subset="loss")
    enough, short = points[points.n_units >= points.n_in], points[points.n_units < points.n_in]
    few = (
        f"{count(len(short), 'network')} with too few units and {len(enough)} with enough, and it"
        f" takes {MIN_CELLS} of each"
    )
    shown = Measured(
        mean(enough.loss),
        *student(enough.loss),
        has={"with enough units": len(enough), "with too few": len(short)},
        lacks=few if len(points) else "no trial was feasible",
    )
    if not len(enough) or not len(short):
        return shown
    worst, missed = enough.loc[enough.loss.idxmax()], enough[enough.loss > EXACT]
    beaten = -short.excess.min()
    still = f"; {len(missed)} of {len(enough)} networks with enough units stay above {EXACT:g}"
    wrong = "; a network beats the bound, which none can: the evaluation is wrong"
    return replace(
        shown,
        words=f"{around(points)}; the worst with enough is {label_of(worst.architecture)},"
        f" {worst.loss:.3g} with {worst.n_units} units",
        more={"worst": worst.loss, "beaten": beaten},
        if_holds=f"; exact is up to {EXACT:g}, and the bound forbids it below",
        if_fails=wrong if beaten > EXACT else still,
        search=trials_of(rows, missed),
        sure=beaten > EXACT,
    )


def around(points: pd.DataFrame) -> str:
    """Mean errors at the number of inputs and at its neighbours on both sides, those of 56, 64 and
    72 units in the paper's size.
    """
    means, n_in = points.groupby("n_units").loss.mean(), points.n_in.max()
    below, above = [n for n in means.index if n < n_in], [n for n in means.index if n > n_in]
    near = [*below[-1:], *(n for n in means.index if n == n_in), *above[:1]]
    return f"{and_list(f'{means[n]:.3f}' for n in near)} at {and_list(near)} units"


def idle(points: pd.DataFrame) -> str:
    """What is said of networks that learned, on average, less than half of what the bound allows;
    empty for others.
    """
    missed = (points.excess / (1 - points.bound)).mean()
    return (
        f"networks that miss {missed:.0%} of what the bound allows have learned too little to tell"
        if missed > 0.5
        else ""
    )


def on_the_curve(rows, points, spent: Budget) -> Measured:
    """M02: by how much the error of networks with too few units exceeds the bound, on average."""
    short = of_the_paper(points[points.n_units < points.n_in]).dropna(subset="loss")
    shown = Measured(
        mean(short.excess),
        *student(short.excess),
        has={"networks": len(short)},
        lacks=f"{count(len(short), 'network')} with too few units, and it takes {MIN_CELLS}",
    )
    if short.empty:
        return shown
    return replace(
        shown,
        words=f"{len(short)} networks of {size_range(short.n_units)} units, at most"
        f" {short.excess.max():.3f}; on the curve is up to {ON_CURVE:g}",
        doubt=idle(short),
        search=rows[rows.n_units < points.n_in.max()],
    )


def one_curve(rows, points, spent: Budget) -> Measured:
    """M03: highest less lowest error at equal units, on average over the numbers of units that all
    networks were trained at.
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
    absent = [label_of(a) for a in paper.ARCHITECTURES if a not in set(points.architecture)]
    absent += [f"depth {depth}" for depth in paper.DEPTHS if depth not in set(points.n_layers)]
    return Measured(
        mean(ranges),
        *student(ranges),
        f"{table.shape[1]} networks at {and_list(table.index)} units, widest at {ranges.idxmax()} with"
        f" {ranges.max():.3f}; one curve is up to {ON_CURVE:g}",
        doubt=idle(points),
        partial=f", but {and_list(absent)} not trained" if absent else "",
    )


def cost_is_linear(rows, points, spent: Budget) -> Measured:
    """G01: slope of log seconds of a training step on log parameters, a level for each architecture
    and depth; `counted` is that of multiplications.
    """
    costs = of_the_paper(points)
    if costs.empty:
        return Measured(lacks="no trial was feasible")
    series = costs.architecture + costs.n_layers.astype(str) + costs.task_type
    slope, low, high = slope_loglog(costs.num_params, costs.seconds, series)
    sizes = f"{size_range(costs.num_params)} parameters"
    if math.isnan(low) or costs.num_params.max() < 10 * costs.num_params.min():
        return Measured(slope, low, high, lacks=f"networks of {sizes}, and it takes a decade")
    units = slope_loglog(costs.n_units, costs.seconds, series)[0]
    counted, by_units = (
        slope_loglog(costs[x], costs.multiplications, series)[0] for x in ("num_params", "n_units")
    )
    slowly = "what a step costs whatever the size still weighs, so time grows more slowly"
    return Measured(
        slope,
        low,
        high,
        f"measured seconds go as units^{units:.2f}; multiplications as parameters^{counted:.2f} and"
        f" units^{by_units:.2f} (2 where units far outnumber inputs),"
        f" {count(len(costs), 'network')} of {sizes}",
        more={"counted": counted},
        if_open=f"; {slowly}" if high < 1 else "",
    )
