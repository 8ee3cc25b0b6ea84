"""The authors' own trials, drawn as pale points beneath ours. They do not ship with the kit: whoever
has downloaded them names the file in the variable RNNKIT_REFERENCE. Without it, nothing is drawn.

Two losses can share an axis only if they are of the same task at the same size. That is always so on
the capacity task and on text8 itself, and on the other tasks where ours has the paper's form.
"""

import functools
import math
import os
import warnings
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnkit import reference
from rnnkit.exhibits.base import COLUMNS
from rnnkit.exhibits.style import GREY, color_of, style_of

VARIABLE = "RNNKIT_REFERENCE"
LABEL = "_authors"  # of everything that is drawn here; a legend leaves out what begins with _
NO_TRIALS = pd.DataFrame(columns=list(COLUMNS))
LOOK = {"linestyle": "none", "fillstyle": "none", "markersize": 4, "alpha": 0.45, "zorder": 0.5}


def authors(figure: str, task: str, form: str = "paper", depth: int | None = None) -> pd.DataFrame:
    """The authors' feasible trials behind a figure, of one task and of one depth or of all; empty where
    there are none, or where ours are of another form.

    `loss` is their evaluation loss. On the capacity task it should be minus the stored bits, as ours
    is: `bits` and `bits_per_param` are nan if it is not. A file that cannot be read gives a warning,
    once.
    """
    path = os.environ.get(VARIABLE, "")
    is_like_ours = (
        task == "per_cap" or form == "paper" or (task == "text8" and "sample" not in form)
    )
    trials = _load_authors(path, figure) if path and is_like_ours else NO_TRIALS
    trials = trials[(trials.task_type == task) & ~trials.infeasible.astype(bool)]
    if depth is not None:
        trials = trials[trials.n_layers == depth]
    bits = -trials.eval_loss if (trials.eval_loss <= 0).all() else math.nan * trials.eval_loss
    return trials.assign(loss=trials.eval_loss, bits=bits, bits_per_param=bits / trials.num_params)


@functools.lru_cache
def _load_authors(path: str, figure: str) -> pd.DataFrame:
    try:
        return reference.load(path, figure)
    except reference.ArchiveError as error:
        warnings.warn(f"The authors' trials are not drawn: {error}", stacklevel=2)
        return NO_TRIALS


def authors_sizes(figure: str, task: str, form: str = "paper") -> set[int]:
    """The sizes of the authors' trials, which need ticks on the axis of parameters."""
    return set(authors(figure, task, form).max_params)


def overlay(panels: dict, figure: str, task: str, value: str = "loss", form: str = "paper") -> None:
    """Draws the authors' best trial of each architecture and size against its parameters, into
    `panels`: depth -> axes, where the depth None stands for all depths.

    `value` is loss, bits or bits_per_param. All panels get the same limits, wide enough for their
    trials and ours.
    """
    trials = authors(figure, task, form)
    if trials[value].isna().all():
        return
    best = trials.loc[
        trials.groupby(["architecture", "n_layers", "max_params"]).valid_loss.idxmin()
    ]
    trials_by_panel = {
        ax: best if depth is None else best[best.n_layers == depth] for depth, ax in panels.items()
    }
    points = pd.concat(trials_by_panel.values())
    if points.empty:
        return
    style = style_of(best.architecture)
    for ax, subset in trials_by_panel.items():
        for architecture, own in subset.groupby("architecture"):
            look = style[architecture].points | LOOK
            ax.plot(own.num_params, own[value], label=LABEL, **look)
    for ax in trials_by_panel:
        low, high = ax.get_xlim()
        ax.set_xlim(
            min(low, points.num_params.min() / 1.1), max(high, points.num_params.max() * 1.1)
        )
        low, high = ax.get_ylim()
        air = 0 if ax.get_yscale() == "log" else 0.04 * (high - low)
        ax.set_ylim(min(low, points[value].min() - air), max(high, points[value].max() + air))


def overlay_search(
    ax: Axes,
    figure: str,
    task: str,
    depth: int,
    statistic: str,
    to_axis: Callable,
) -> None:
    """Draws the running `statistic` (median or minimum) of the authors' losses over their trials into
    a panel; `to_axis` turns losses into heights on its axis.
    """
    trials = authors(figure, task, depth=depth)
    for architecture, own in trials.groupby("architecture"):
        losses = own.sort_values("hyper_iter").loss.expanding()
        curve = (losses.median() if statistic == "median" else losses.min()).to_numpy()
        ax.plot(
            np.arange(1, len(curve) + 1),
            to_axis(curve),
            color=color_of(architecture),
            linewidth=3,
            alpha=0.25,
            label=LABEL,
            zorder=0.5,
        )


def overlay_columns(
    ax: Axes,
    figure: str,
    task: str,
    depth: int,
    names: Iterable[str],
    to_axis: Callable,
) -> None:
    """Draws the authors' losses as a strip of points in the column of each architecture."""
    trials = authors(figure, task, depth=depth)
    look = LOOK | {"marker": "o", "markersize": 2, "alpha": 0.25}
    for x, architecture in enumerate(names):
        own = trials[trials.architecture == architecture].loss.to_numpy()
        if len(own):
            scatter = np.random.default_rng(1).uniform(-0.42, 0.42, len(own))
            color = color_of(architecture)
            ax.plot(x + scatter, to_axis(own), color=color, label=LABEL, **look)


def key_if_drawn(figure: Figure) -> list[Line2D]:
    """The entry of the legend, if the authors' trials are in one of the figure's panels."""
    is_overlaid = any(line.get_label() == LABEL for ax in figure.axes for line in ax.lines)
    text = "pale: the authors' own trials"
    return [Line2D([], [], color=GREY, marker="o", label=text, **LOOK)] if is_overlaid else []
