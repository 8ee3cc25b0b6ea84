"""Figure 3 of the paper: best losses on text and on random functions against parameters and against
units (section 3).
"""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, NamedTables
from rnnkit.exhibits.best_trials import LOSSES, best_losses, in_order
from rnnkit.exhibits.captions import (
    by_architecture,
    draws,
    named_numbers,
    task_name,
)
from rnnkit.exhibits.finding import (
    LEARNED,
    MIN_CELLS,
    SMALL_FACTOR,
    of_the_paper,
    shared,
    slope_on,
    too_few,
)
from rnnkit.exhibits.judge import ALWAYS, Measured, Rule, above, below, decide
from rnnkit.exhibits.overlays import authors_sizes, key_if_drawn, overlay
from rnnkit.exhibits.selection import NETWORK, by_gaussian_process
from rnnkit.exhibits.statistics import bootstrap, common_slope, spread_of_means
from rnnkit.exhibits.style import (
    DOTTED,
    HALF_SEARCH,
    Drawing,
    architecture_keys,
    color_of,
    curves,
    grey_line,
    half_search_key,
    legend_panel,
    letter,
    line_key,
    log_ticks,
    parameters_axis,
    reference,
    write_note,
)
from rnnkit.theory import RANDOM_FUNCTION, chance, memorised_loss
from rnnkit.wording import and_list, capital, count, label_of, layers, size_range

# task -> its panels against parameters, and what they show
LETTERS = {"text8": "abc", "rcf": "efg"}
LOSSES_OF = {"text8": "bits per character", "rcf": "weighted squared error"}


@draws("fig3", height=9.6)
def draw(figure: Drawing, best: pd.DataFrame) -> None:
    """Figure 3: (a-c) bits per character on text8 at depths 1, 2 and 4, (d) against units at depth
    1, (e-g) error on random functions.

    ValueError without trials.
    """
    axes = figure.subplots(4, 2)
    panels = {"text8": [*axes[0], axes[1, 0]], "rcf": [*axes[2], axes[3, 0]]}
    for task, row in panels.items():
        _against_parameters(row, best, task)
    _against_units(axes[1, 1], best[best.task_type == "text8"])
    axes[1, 1].set_ylim(axes[0, 0].get_ylim())
    keys = [
        *architecture_keys(best.architecture),
        half_search_key(),
        line_key(f"chance: {chance('rcf'):g} (text: {chance('text8'):.2f} bits)"),
        line_key("e-g: if each parameter held a sample", DOTTED),
    ]
    if any(map(_is_text8, best.form[best.task_type == "text8"])):
        keys.append(line_key("published (see caption)", "none", marker="x"))
    legend_panel(axes[3, 1], keys + key_if_drawn(figure))  # the paper has seven panels


def _against_parameters(panels: Sequence[Axes], best: pd.DataFrame, task: str) -> None:
    """Draws the panels of a task, one for each depth, with one axis of losses, and the authors' trials
    beneath ours.
    """
    subset = best[best.task_type == task]
    form = subset.form.iloc[0] if len(subset) else ""
    sizes = sorted(
        {*(subset if len(subset) else best).max_params.unique(), *authors_sizes("fig3", task, form)}
    )
    for ax, depth, name in zip(panels, paper.DEPTHS, LETTERS[task]):
        letter(ax, name, f"{task_name(task, form)}, {layers(depth)}")
        parameters_axis(ax, sizes, "parameters, P", subset.num_params.min())
        _draw_losses(ax, subset, task, depth, "num_params")
        _landmarks(ax, task, form, depth)
    overlay(dict(zip(paper.DEPTHS, panels)), "fig3", task, form=form)


def _draw_losses(ax: Axes, subset: pd.DataFrame, task: str, depth: int, x: str) -> None:
    """Draws the losses of one depth, out of those of a task, or writes why there are none."""
    networks = subset[subset.n_layers == depth]
    feasible = networks.dropna(subset="loss")
    if len(feasible):
        curves(ax, feasible, "loss", x=x, depths=False)
    elif len(networks):
        write_note(ax, "no feasible trial", 0.5, 0.45)
    else:
        which = f"depth {depth}: " if len(subset) else ""
        write_note(ax, f"{which}not trained\nat this scale", 0.5, 0.45)
    ax.set(ylim=_loss_range(subset, task), ylabel=LOSSES_OF[task])


def _loss_range(subset: pd.DataFrame, task: str) -> tuple[float, float]:
    """The ends of the axis of losses, which all panels of a task share. For random functions it runs
    from 0 to chance; for text it holds what was found and what half of the searches would have found.
    """
    losses = pd.concat([subset.loss, subset.loss_high]).dropna()
    if task == "rcf" or losses.empty:
        return 0, 1.08 * max([chance(task), *losses])
    air = 0.08 * max(losses.max() - losses.min(), 0.02 * losses.max())
    return losses.min() - air, losses.max() + air


def _landmarks(ax: Axes, task: str, form: str, depth: int) -> None:
    """Draws the loss of chance, the loss that is left if each parameter memorises a sample, and for
    text8 itself the published losses.
    """
    reference(ax, chance(task))
    if task == "rcf" and form in RANDOM_FUNCTION:
        low, high = ax.get_xlim()
        xs = np.geomspace(low, high, 50)
        grey_line(ax, xs, memorised_loss(xs, **RANDOM_FUNCTION[form]), DOTTED, label="_memorised")
    elif _is_text8(form):
        for architecture, values in paper.TEXT8_ANCHORS.get(depth, {}).items():
            ax.plot(
                *zip(*values),
                "x",
                color=color_of(architecture),
                markersize=5,
                zorder=2,
                label="_anchor",
            )


def _is_text8(form: str) -> bool:
    return bool(form) and "sample" not in form


def _against_units(ax: Axes, subset: pd.DataFrame) -> None:
    """Draws panel d: the same losses against units per layer."""
    form = subset.form.iloc[0] if len(subset) else ""
    letter(ax, "d", f"{task_name('text8', form)}, 1 layer")
    networks = subset[subset.n_units > 0]
    shallow = networks[networks.n_layers == 1]
    units = sorted({max(1, n) for n in (shallow if len(shallow) else subset).n_units} or {1})
    parameters_axis(ax, units, "units, N")
    ax.set_xlim(units[0] / 1.3, units[-1] * 1.3)
    log_ticks(ax.xaxis)
    _draw_losses(ax, networks, "text8", 1, "n_units")


UNITS = {"text8": " bits per character"}  # the unit of a loss; other tasks have none


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    table = tables["fig3"].dropna(subset="loss")
    keys = ["task_type", "form"]
    largest = table[table.max_params == table.groupby(keys).max_params.transform("max")]
    sentences = []
    for (task, form, depth), networks in largest.groupby([*keys, "n_layers"], sort=False):
        name = task_name(task, form)
        least = networks.loc[networks.loss.idxmin()]
        most = networks.loc[networks.loss.idxmax()]
        sentences.append(
            f"{capital(name)}, {layers(depth)}, up to {least.max_params:,}"
            f" parameters: losses run from {least.loss:.3g} ({label_of(least.architecture)}) to"
            f" {most.loss:.3g} ({label_of(most.architecture)}){UNITS.get(task, '')}."
        )
    return sentences


def loss_by_size(points: pd.DataFrame) -> pd.DataFrame:
    """The least losses, out of `best_losses`: a row for each size and depth, a column for each
    architecture.
    """
    table = points.pivot_table(
        "loss", ["max_params", "n_layers"], "architecture", aggfunc="min"
    ).dropna(axis=1, how="all")
    return table[in_order(table.columns)]


def fall(points: pd.DataFrame) -> tuple[float, float, float]:
    """How much the loss changes when parameters grow by a factor of e, with Student's 95 % interval.
    There is one slope for all networks, but each architecture and depth has its own level. nan where
    the sizes do not determine it.
    """
    points = points.dropna(subset="loss")
    series = points.architecture + points.n_layers.astype(str)
    return common_slope(np.log(points.num_params), points.loss, series)


def r_squared(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The share of the variance of y that a straight line in x explains, along the last axis."""
    x, y = (values - values.mean(-1, keepdims=True) for values in (x, y))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (x * y).sum(-1) ** 2 / ((x * x).sum(-1) * (y * y).sum(-1))


def equal_at_equal_size(
    task_type: str, unit: str, trials: pd.DataFrame, points: pd.DataFrame
) -> Measured:
    """T01 and R01: the highest less the lowest mean loss at equal parameters, and its
    worth in parameters, which decides.

    The paper itself says what a small difference is: "the number of parameters would have to be
    adjusted by only a small factor". So a difference in loss is worth the factor by which parameters
    have to grow for the loss to fall that much.
    """
    points = of_the_paper(points[points.task_type == task_type])
    if points.loss.isna().all():
        return Measured(lacks=f"no trials of {paper.TASKS[task_type]} ended")
    table, left_out = shared(loss_by_size(points), paper.ARCHITECTURES)
    ours, low, high = spread_of_means(table)
    if len(table) < MIN_CELLS or table.shape[1] < 3:
        return Measured(ours, lacks=too_few(table))
    slope, _, surely = fall(points)
    where = "on a Shakespeare sample, not text8: " if "sample" in points.form.iloc[0] else ""
    means = table.mean().sort_values()
    lowest, highest = named_numbers(means.iloc[[0, -1]], ".3g")
    reason = f"{where}{lowest}, {highest} {unit}{left_out}"
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
        verdict=below(SMALL_FACTOR).verdict(least, most),
        if_open="; the interval contains that",
        search=trials[trials.task_type == task_type],
    )


def units_mislead(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """T02: how much better a line in log parameters explains the losses with one layer than a line in
    log units, as a difference of explained variances. The interval resamples networks.
    """
    points = of_the_paper(
        points[(points.task_type == "text8") & (points.n_layers == 1) & (points.n_units > 0)]
    ).dropna(subset="loss")
    values = np.column_stack([np.log(points.num_params), np.log(points.n_units), points.loss])

    def gain(draw: np.ndarray) -> np.ndarray:
        return r_squared(draw[..., 0], draw[..., 2]) - r_squared(draw[..., 1], draw[..., 2])

    sizes = points.max_params.nunique()
    names = points.architecture.nunique()
    if sizes < 2 or names < 3:
        few = f"{count(names, 'architecture')} with one layer at {count(sizes, 'size')}"
        return Measured(lacks=f"{few}, and it takes three at two")
    parameters, units = (float(r_squared(values[:, k], values[:, 2])) for k in (0, 1))
    low, high = bootstrap(values, gain)
    return Measured(
        parameters - units,
        low,
        high,
        f"{parameters:.2f} on log parameters, {units:.2f} on log units,"
        f" {count(len(points), 'network')} with one layer",
        verdict=above(0).verdict(low, high),
    )


def never_perfect(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """R02: the slope of log loss on log parameters, on both tasks, and the least loss of any network."""
    points = of_the_paper(points).dropna(subset="loss")
    slope, low, high = slope_on(points, "num_params", "loss")
    by_task = points.groupby("task_type")
    if math.isnan(low) or by_task.max_params.nunique().max() < 2:
        few = f"{count(points.max_params.nunique(), 'size')}, and it takes two"
        return Measured(slope, low, high, lacks=few)
    losses = by_task.loss.min()
    levels = {task: losses[task] / chance(task) for task in LETTERS if task in losses}
    least = ", ".join(
        f"{paper.TASKS[task]} {level:.2f} of chance" for task, level in levels.items()
    )
    trained = and_list(paper.TASKS[task] for task in levels)
    is_perfect = min(levels.values()) <= LEARNED
    return Measured(
        slope,
        low,
        high,
        f"{size_range(points.max_params)} parameters; the best networks reach {least}",
        verdict=decide(holds=high < 0 and not is_perfect, fails=low > 0 or is_perfect),
        partial="" if len(levels) > 1 else f"; only {trained} was trained",
        if_fails=", which is learned perfectly" if is_perfect else "",
        sure=is_perfect,
    )


CLAIMS = {
    "T01": Rule(partial(equal_at_equal_size, "text8", "bits per character")),
    "T02": Rule(units_mislead, refutes=ALWAYS, trials=0),
    "R01": Rule(partial(equal_at_equal_size, "rcf", "of the variance")),
    "R02": Rule(never_perfect),
}


Exhibit(
    name="fig3",
    title="Figure 3",
    gist=(
        "Least losses of a search: (a-c) text, bits per character against parameters at depths 1, 2"
        " and 4, (d) against units at depth 1; (e-g) random continuous functions. Dashed: chance;"
        " dotted: the error left if each parameter held one of the heaviest samples." + HALF_SEARCH
    ),
    position=10,
    select=by_gaussian_process("text8", "rcf", at_length=True),
    trials="text or the random function task",
    tables={"fig3": best_losses},
    columns={"fig3": [*NETWORK, *LOSSES]},
    draw=draw,
    alt=(
        "bits per character and squared error against parameters at three depths, and bits per"
        " character against units."
    ),
    numbers=lambda tables: " ".join(
        by_architecture(
            f"Least loss on {task_name(task, form)}",
            group.groupby("architecture").loss.min(),
            ".3g",
        )
        for (task, form), group in tables["fig3"].groupby(["task_type", "form"], sort=False)
    ),
    note=lambda spent: (
        ""
        if not any(task == "text8" and "sample" not in form for task, form in spent.tasks)
        else (
            "Crosses: 1 layer as recalled from Foerster et al. (2017), unchecked; 4 layers the"
            " authors' best LSTM."
        )
    ),
    facts=facts,
    claims=CLAIMS,
    budget="hundreds to thousands of trials per point, text8, 50 time steps, up to 1,280,000 parameters",
)
