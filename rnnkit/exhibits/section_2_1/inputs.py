"""Bits per parameter against the number of inputs, which the paper does not give."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rnnkit.exhibits.base import Exhibit, NamedTables
from rnnkit.exhibits.best_trials import per_trial
from rnnkit.exhibits.captions import draws
from rnnkit.exhibits.selection import five_steps, of_capacity, without_pinned
from rnnkit.exhibits.style import (
    Drawing,
    axis_top,
    legend,
    line_key,
    sizes_in_colour,
    write_note,
)
from rnnkit.theory import coinciding
from rnnkit.wording import and_list, label_of


def any_inputs(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of the capacity task as `selection.capacity` takes them, but with any number of inputs."""
    return five_steps(without_pinned(of_capacity(frame)))


def by_inputs(frame: pd.DataFrame) -> pd.DataFrame:
    """The most bits per parameter by number of inputs: a row for each architecture, size, number of
    inputs and seed.

    `coincide` is the expected share of the best trial's samples that have the same inputs as an
    earlier sample.
    """
    trials = per_trial(frame)
    key = ["architecture", "max_params", "n_in", "seed"]
    best = (
        trials.dropna(subset="bits")
        .sort_values("bits_per_param")
        .groupby(key, as_index=False)
        .last()
    )
    best["coincide"] = coinciding(best.samples, best.n_in)
    counts = trials.groupby(key, as_index=False).agg(
        trials=("bits", "size"), infeasible=("infeasible", "sum")
    )
    columns = [
        *key,
        "n_units",
        "num_params",
        "bits_per_param",
        "samples",
        "coincide",
        "steps",
        "hyper_iter",
    ]
    return best[columns].merge(counts, on=key)


@draws("inputs", height=4.0)
def draw(figure: Drawing, best: pd.DataFrame) -> None:
    """Bits per parameter against the number of inputs: a line for each size, a marker for each seed,
    and the number of units beside it. ValueError without trials.
    """
    ax = figure.subplots()
    keys = [_seeds_of_size(ax, *group) for group in sizes_in_colour(best)]
    _label_units(ax, best)
    if best.empty:
        write_note(ax, "no bits stored")
    else:
        ax.set_xticks(sorted(best.n_in.unique()))
        ax.set_xlim(best.n_in.min() - 2, best.n_in.max() + 5)
    ax.set(
        xlabel="inputs, n_in",
        ylabel="bits per parameter",
        ylim=(_bottom(best.bits_per_param), axis_top(best.bits_per_param, 1)),
        title=", ".join(map(label_of, best.architecture.unique())),
    )
    legend(figure, [*keys, line_key("mean of seeds", "-", 1.4)])


def _seeds_of_size(
    ax: Axes, size: int, best: pd.DataFrame, color: np.ndarray, marker: str
) -> Line2D:
    """Draws dots for the seeds of one size and a line through their means. Returns the legend's
    entry.
    """
    mean = best.groupby("n_in").bits_per_param.mean()
    ax.plot(mean.index, mean, color=color)
    ax.plot(
        best.n_in,
        best.bits_per_param,
        marker,
        color=color,
        markersize=5,
        alpha=0.8,
        markeredgewidth=0,
    )
    return line_key(f"{size:,} parameters, a seed", "none", color=color, marker=marker)


def _label_units(ax: Axes, best: pd.DataFrame) -> None:
    """Writes the units per layer of each size at its mean: above the highest line, below the others."""
    means = best.groupby(["n_in", "max_params"]).agg(
        bits=("bits_per_param", "mean"), units=("n_units", "max")
    )
    means["highest"] = means.bits.groupby("n_in").transform("max")
    for (n_in, _), bits, units, highest in means.itertuples():
        ax.annotate(
            f"{units:.0f} units",
            (n_in, bits),
            (6, 4 if bits == highest else -11),
            textcoords="offset points",
            fontsize=8,
        )


def _bottom(values: pd.Series) -> float:
    """The lower end of an axis that shows the differences among the data: 0 if they come near it."""
    if values.notna().sum() < 2:
        return 0.0
    return max(0.0, values.min() - max(0.5, values.max() - values.min()))


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    table = tables["inputs"]
    sentences = []
    for (architecture, size), group in table.groupby(["architecture", "max_params"]):
        means = group.groupby("n_in").agg(
            bits=("bits_per_param", "mean"), units=("n_units", "first")
        )
        if len(means) > 1:  # where one number was trained, there is nothing to compare
            numbers = and_list(
                f"{bits:.2f} with {n_in} inputs ({units:.0f} units)"
                for n_in, bits, units in means.itertuples()
            )
            sentences.append(
                f"The {label_of(architecture)} of up to {size:,} parameters stores, in bits per"
                f" parameter, {numbers}; most with {means.bits.idxmax()}."
            )
    if not sentences:
        return ["No network was trained with two numbers of inputs."]
    return [
        *sentences,
        (
            f"Of the samples of these best trials a share of at most {table.coincide.max():.1g}"
            " coincides with an earlier one."
        ),
    ]


Exhibit(
    name="inputs",
    title="The number of inputs (ours: the paper does not give it)",
    gist=(
        "Most bits per parameter of the RNN against the number of inputs of a sample. Each input"
        " takes a column of the input matrix and so leaves fewer units; with too few inputs,"
        " samples coincide."
    ),
    position=18,
    select=any_inputs,
    trials="capacity task",
    tables={"inputs": by_inputs},
    draw=draw,
    alt="bits per parameter against the number of inputs, a line for each size.",
    facts=facts,
)
