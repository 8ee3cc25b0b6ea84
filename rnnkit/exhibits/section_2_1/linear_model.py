"""The linear model, which calibrates the count of bits, since theory says how many it can store."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, NamedTables
from rnnkit.exhibits.best_trials import per_trial, stored_bits
from rnnkit.exhibits.captions import draws
from rnnkit.exhibits.finding import ABOUT, mean
from rnnkit.exhibits.judge import Measured, Rule, decide
from rnnkit.exhibits.selection import without_pinned
from rnnkit.exhibits.statistics import student
from rnnkit.exhibits.style import (
    DOTTED,
    Drawing,
    axis_top,
    grey_line,
    legend,
    line_key,
    reference,
    sizes_in_colour,
    write_note,
)
from rnnkit.paper import PERCEPTRON_BITS
from rnnkit.wording import and_list, count, size_range


def linear_trials(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of the linear model, which has neither layers nor time, on the capacity task."""
    return without_pinned(frame[(frame.task_type == "per_cap") & (frame.n_layers == 0)])


def loads(frame: pd.DataFrame) -> pd.DataFrame:
    """The bits of each feasible trial of the linear model, beside its samples per parameter."""
    trials = per_trial(frame).dropna(subset="bits")
    trials = trials.assign(samples_per_param=trials.samples / trials.num_params)
    columns = [
        "architecture",
        "max_params",
        "num_params",
        "hyper_iter",
        "samples",
        "samples_per_param",
        "bits",
        "bits_per_param",
        "steps",
    ]
    return trials[columns].reset_index(drop=True)


@draws("calibration", height=4.6)
def draw(figure: Drawing, trials: pd.DataFrame) -> None:
    """Trials of the linear model: stored bits against labels, both per parameter, and the 2 bits of
    theory. ValueError without trials.
    """
    ax = figure.subplots()
    keys = [_draw_size(ax, *group) for group in sizes_in_colour(trials)]
    reference(ax, paper.PERCEPTRON_BITS, f"theory: {paper.PERCEPTRON_BITS:g}\n(Cover,\nGardner)")
    top = axis_top(trials.bits_per_param, paper.PERCEPTRON_BITS) * 0.95
    grey_line(ax, [0, top], [0, top], DOTTED)
    most = 1.05 * trials.samples_per_param.max() if len(trials) else 10
    ax.set(
        xlabel="labels per parameter, b / P",
        ylabel="stored bits per parameter",
        xlim=(0, max(2 * paper.PERCEPTRON_BITS, most)),
        ylim=(0, top),
    )
    ax.yaxis.set_major_locator(MultipleLocator(0.5))
    if trials.empty:
        write_note(ax, "no bits stored", 0.6, 0.5)
    legend(figure, [*keys, line_key("every label stored", DOTTED)])


def _draw_size(ax: Axes, size: int, trials: pd.DataFrame, color: np.ndarray, marker: str) -> Line2D:
    """Draws a dot for each trial of one size, and a large one for the best. Returns the legend's entry."""
    ax.plot(
        trials.samples_per_param,
        trials.bits_per_param,
        marker,
        color=color,
        markersize=4,
        alpha=0.55,
        markeredgewidth=0,
        zorder=2,
    )
    best = trials.loc[trials.bits_per_param.idxmax()]
    large = {"color": color, "marker": marker, "linestyle": "none", "markeredgecolor": "black"}
    ax.plot([best.samples_per_param], [best.bits_per_param], markersize=9, zorder=3, **large)
    text = f"{size:,} parameters: best {best.bits_per_param:.2f}"
    return Line2D([], [], markersize=7, label=text, **large)


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    table = tables["calibration"]
    if table.empty:
        return []
    best = table.loc[table.groupby("max_params").bits_per_param.idxmax()]
    sentence = and_list(
        f"{row.bits_per_param:.2f} with {row.max_params:,} parameters" for row in best.itertuples()
    )
    load = and_list(f"{row.samples_per_param:.1f}" for row in best.itertuples())
    return [
        (
            f"The linear model stores at most {sentence}, in bits per parameter; a plane can separate"
            f" up to {paper.PERCEPTRON_BITS:g}."
        ),
        f"Its best data sets have {load} samples per parameter.",
    ]


def perceptron(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """C17: bits per parameter of the linear model, on average over sizes."""
    points = points.dropna(subset="bits")
    bits = mean(points.bits_per_param)
    enough = PERCEPTRON_BITS * (1 - ABOUT)
    return Measured(
        bits,
        *student(points.bits_per_param),
        f"mean over {count(len(points), 'size')} of {size_range(trials.max_params)} parameters",
        has={"sizes": len(points)},
        lacks="no trial stored bits",
        verdict=decide(holds=bits >= enough, fails=PERCEPTRON_BITS / 2 <= bits < enough),
        if_open="; less than half of what theory allows shows a poor search",
    )


Exhibit(
    name="calibration",
    title="Calibration",
    gist=(
        "A linear model without recurrence through the same pipeline. On the line y = x every label"
        " is stored; theory allows that up to 2 labels per parameter (Cover 1965, Gardner 1988)."
    ),
    position=17,
    select=linear_trials,
    trials="capacity task",
    tables={"calibration": loads, "_best": stored_bits},
    draw=draw,
    alt=(
        "bits per parameter of a linear model against labels per parameter, beside the line at 2"
        " bits."
    ),
    facts=facts,
    claims={"C17": Rule(perceptron, needs={"sizes": 1})},
    claims_table="_best",
)
