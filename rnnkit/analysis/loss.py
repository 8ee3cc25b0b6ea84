"""Best losses of networks on tasks that none learns perfectly (section 3, Figure 3), and the claims
on them.
"""

import math

import numpy as np
import pandas as pd
from scipy import stats

from rnnkit import paper
from rnnkit.analysis.capacity import in_order
from rnnkit.analysis.finding import (
    LEARNED,
    MIN_CELLS,
    SMALL_FACTOR,
    of_the_paper,
    shared,
    too_few,
)
from rnnkit.analysis.judge import Measured
from rnnkit.analysis.rows import NETWORK, Budget
from rnnkit.analysis.statistics import bootstrap, half_rank, slope_loglog, spread_of_means
from rnnkit.theory import chance
from rnnkit.wording import and_list, count, label_of, size_range


def best_losses(rows: pd.DataFrame) -> pd.DataFrame:
    """The trial with the least validation loss of each network and its evaluation loss, `loss`; a
    row each, in the paper's order.

    `loss_high` is what half the search would have found in 39 of 40 cases; the best itself bounds
    what a network can reach from above.
    """
    rows, table = rows.reset_index(drop=True), []
    feasible = rows.valid_loss.astype(float).mask(rows.infeasible.astype(bool))
    for network, places in rows.groupby(NETWORK, sort=False).indices.items():
        ranked = places[np.argsort(feasible.to_numpy()[places], kind="stable")]  # nan comes last
        dead = feasible[places].isna()
        best, half = rows.loc[ranked[0]], rows.loc[ranked[half_rank(len(ranked))]]
        found = {
            "loss": best.eval_loss,
            "loss_high": half.eval_loss,
            "accuracy": best.accuracy,
            "steps": best.steps,
        }
        found = (
            dict.fromkeys(found, math.nan)
            if dead.all()
            else found | {"loss_high": half.eval_loss if not half.infeasible else math.nan}
        )
        counts = {
            "num_params": best.num_params,
            "trials": len(places),
            "infeasible": int(dead.sum()),
            "hyper_iter": best.hyper_iter,
        }
        table.append(dict(zip(NETWORK, network)) | counts | found)
    order = {name: place for place, name in enumerate([*paper.TASKS, *in_order(rows.architecture)])}
    points = pd.DataFrame(table)
    return points.sort_values(
        NETWORK,
        key=lambda c: c.map(order) if c.name in ("task_type", "architecture") else c,
        ignore_index=True,
    )


def by_size(points: pd.DataFrame) -> pd.DataFrame:
    """Table of best losses out of `best_losses`: a row for each size and depth, a column for each
    architecture."""
    table = points.pivot_table(
        "loss", ["max_params", "n_layers"], "architecture", aggfunc="min"
    ).dropna(axis=1, how="all")
    return table[in_order(table.columns)]


def fall(points: pd.DataFrame) -> tuple[float, float, float]:
    """Change of the loss for e times the parameters, with Student's 95 % interval: one slope for
    all, each architecture and depth with its own level. nan where the sizes do not determine it.
    """
    points = points.dropna(subset="loss")
    series = [points.architecture, points.n_layers]
    x, y = (
        values - values.groupby(series).transform("mean")
        for values in (np.log(points.num_params), points.loss)
    )
    free, squares = len(points) - points.groupby(series).ngroups - 1, float(x @ x)
    if free < 1 or squares < 1e-9:
        return math.nan, math.nan, math.nan
    slope = float(x @ y) / squares
    half = stats.t.ppf(0.975, free) * math.sqrt(
        float(((y - slope * x) ** 2).sum()) / free / squares
    )
    return slope, slope - half, slope + half


def r_squared(x, y):
    """Share of the variance of y that a straight line in x explains, along the last axis."""
    x, y = (
        values - values.mean(-1, keepdims=True)
        for values in (np.asarray(x, float), np.asarray(y, float))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return (x * y).sum(-1) ** 2 / ((x * x).sum(-1) * (y * y).sum(-1))


# --- claims ---


def equal_at_equal_size(task_type: str, unit: str):
    """T01, R01: highest less lowest mean loss at equal parameters; `factor` is what that is worth
    in parameters.

    The paper says what near means: "the number of parameters would have to be adjusted by only a
    small factor". A difference in loss is worth the factor by which parameters must grow for the
    loss to fall that much.
    """

    def measure(rows, points, spent: Budget) -> Measured:
        points = of_the_paper(points[points.task_type == task_type])
        if points.loss.notna().sum() == 0:
            return Measured(lacks=f"no trials of {paper.TASKS[task_type]} ended")
        table, left_out = shared(by_size(points), paper.ARCHITECTURES)
        ours, low, high = spread_of_means(table)
        if len(table) < MIN_CELLS or table.shape[1] < 3:
            return Measured(ours, lacks=too_few(table))
        means, (slope, _, surely) = table.mean(), fall(points)
        where = "on a Shakespeare sample, not text8: " if "sample" in points.form.iloc[0] else ""
        reason = (
            f"{where}{label_of(means.idxmin())} {means.min():.3g}, {label_of(means.idxmax())}"
            f" {means.max():.3g} {unit}{left_out}"
        )
        if not surely < 0:
            flat = "the loss does not surely fall with parameters, so it has no worth in them"
            return Measured(ours, low, high, lacks=f"{reason}, but {flat}")
        factor, least, most = (math.exp(min(value / -slope, 50)) for value in (ours, low, high))
        return Measured(
            ours,
            low,
            high,
            f"{reason}, worth {factor:.2f} [{least:.2f}, {most:.2f}] times the parameters; small is"
            f" up to {SMALL_FACTOR:g}",
            more={"factor": (least, most)},
            if_open="; the interval contains that",
            search=rows[rows.task_type == task_type],
        )

    return measure


def units_mislead(rows, points, spent: Budget) -> Measured:
    """T02: how much more of the loss with one layer a line in log parameters explains than one in
    log units; the interval resamples networks.
    """
    points = of_the_paper(
        points[(points.task_type == "text8") & (points.n_layers == 1) & (points.n_units > 0)]
    ).dropna(subset="loss")
    values = np.column_stack([np.log(points.num_params), np.log(points.n_units), points.loss])

    def gain(draw):
        return r_squared(draw[..., 0], draw[..., 2]) - r_squared(draw[..., 1], draw[..., 2])

    sizes, names = points.max_params.nunique(), points.architecture.nunique()
    if sizes < 2 or names < 3:
        few = f"{count(names, 'architecture')} with one layer at {count(sizes, 'size')}"
        return Measured(lacks=f"{few}, and it takes three at two")
    parameters, units = (float(r_squared(values[:, k], values[:, 2])) for k in (0, 1))
    return Measured(
        float(gain(values[None])[0]),
        *bootstrap(values, gain),
        f"{parameters:.2f} on log parameters, {units:.2f} on log units,"
        f" {count(len(points), 'network')} with one layer",
    )


def never_perfect(rows, points, spent: Budget) -> Measured:
    """R02: the slope of log loss on log parameters on both tasks; `least` is how near zero a network
    comes, in multiples of chance.
    """
    points = of_the_paper(points).dropna(subset="loss")
    slope, low, high = slope_loglog(
        points.num_params,
        points.loss,
        points.task_type + points.architecture + points.n_layers.astype(str),
    )
    tasks = [task for task in ("text8", "rcf") if task in set(points.task_type)]
    sizes = 0 if points.empty else points.groupby("task_type").max_params.nunique().max()
    if sizes < 2 or math.isnan(low):
        few = f"{count(points.max_params.nunique(), 'size')}, and it takes two"
        return Measured(slope, low, high, lacks=few)
    levels = {task: points.loss[points.task_type == task].min() / chance(task) for task in tasks}
    least = ", ".join(
        f"{paper.TASKS[task]} {level:.2f} of chance" for task, level in levels.items()
    )
    trained = and_list(paper.TASKS[task] for task in tasks)
    learned = min(levels.values()) <= LEARNED
    return Measured(
        slope,
        low,
        high,
        f"{size_range(points.max_params)} parameters; the best networks reach {least}",
        more={"least": min(levels.values())},
        partial="" if len(tasks) > 1 else f"; only {trained} was trained",
        if_fails=", which is learned perfectly" if learned else "",
        sure=learned,
    )
