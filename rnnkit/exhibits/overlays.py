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
from rnnkit.exhibits.style import GREY, color_of, style_of

VARIABLE = "RNNKIT_REFERENCE"
LABEL = "_authors"  # of everything that is drawn here; a legend leaves out what begins with _
LOOK = {"linestyle": "none", "fillstyle": "none", "markersize": 4, "alpha": 0.45, "zorder": 0.5}


def authors(figure: str, task: str, form: str = "paper") -> pd.DataFrame:
    """The authors' feasible trials behind a figure, of one task; empty where there are none, or where
    ours are of another form.

    `loss` is their evaluation loss. On the capacity task it should be minus the stored bits, as ours
    is: `bits` and `bits_per_param` are nan if it is not. A file that cannot be read gives a warning,
    once.
    """
    path = os.environ.get(VARIABLE, "")
    if not path or not (
        task == "per_cap" or form == "paper" or (task == "text8" and "sample" not in form)
    ):
        return pd.DataFrame()
    trials = _load_authors(path, figure)
    if trials.empty:
        return trials
    trials = trials[(trials.task_type == task) & ~trials.infeasible]
    bits = -trials.eval_loss if (trials.eval_loss <= 0).all() else math.nan * trials.eval_loss
    return trials.assign(loss=trials.eval_loss, bits=bits, bits_per_param=bits / trials.num_params)


@functools.lru_cache
def _load_authors(path: str, figure: str) -> pd.DataFrame:
    try:
        return reference.load(path, figure)
    except reference.ArchiveError as error:
        warnings.warn(f"The authors' trials are not drawn: {error}", stacklevel=2)
        return pd.DataFrame()


def authors_sizes(figure: str, task: str, form: str = "paper") -> set[int]:
    """The sizes of the authors' trials, which need ticks on the axis of parameters."""
    trials = authors(figure, task, form)
    return set(trials.max_params.tolist()) if len(trials) else set()


def overlay(panels: dict, figure: str, task: str, value: str = "loss", form: str = "paper") -> None:
    """Draws the authors' best trial of each architecture and size against its parameters, into
    `panels`: depth -> axes, where the depth None stands for all depths.

    `value` is loss, bits or bits_per_param. All panels get the same limits, wide enough for their
    trials and ours.
    """
    trials = authors(figure, task, form)
    if trials.empty or trials[value].isna().all():
        return
    best = trials.loc[
        trials.groupby(["architecture", "n_layers", "max_params"]).valid_loss.idxmin()
    ]
    style = style_of(best.architecture)
    points = pd.concat(
        [best if depth is None else best[best.n_layers == depth] for depth in panels]
    )
    for depth, ax in panels.items():
        subset = best if depth is None else best[best.n_layers == depth]
        for architecture, own in subset.groupby("architecture"):
            s = style[architecture]
            ax.plot(own.num_params, own[value], marker=s.marker, color=s.color, label=LABEL, **LOOK)
    for ax in panels.values() if len(points) else ():
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
    form: str = "paper",
) -> None:
    """Draws the running `statistic` (median or minimum) of the authors' losses over their trials into
    a panel; `to_axis` turns losses into heights on its axis.
    """
    for architecture, own in _by_architecture(figure, task, depth, form).items():
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
    form: str = "paper",
) -> None:
    """Draws the authors' losses as a strip of points in the column of each architecture."""
    trials = _by_architecture(figure, task, depth, form)
    for x, architecture in enumerate(names):
        if architecture in trials:
            losses = trials[architecture].loss.to_numpy()
            scatter = np.random.default_rng(1).uniform(-0.42, 0.42, len(losses))
            ax.plot(
                x + scatter,
                to_axis(losses),
                marker="o",
                color=color_of(architecture),
                label=LABEL,
                **LOOK | {"markersize": 2, "alpha": 0.25},
            )


def _by_architecture(figure: str, task: str, depth: int, form: str) -> dict[str, pd.DataFrame]:
    """Architecture -> the authors' trials behind a figure, of one task and depth."""
    trials = authors(figure, task, form)
    return (
        dict(list(trials[trials.n_layers == depth].groupby("architecture"))) if len(trials) else {}
    )


def key_if_drawn(figure: Figure) -> list[Line2D]:
    """The entry of the legend, if the authors' trials are in one of the figure's panels."""
    drawn = any(line.get_label() == LABEL for ax in figure.axes for line in ax.lines)
    text = "pale: the authors' own trials"
    return [Line2D([], [], color=GREY, marker="o", label=text, **LOOK)] if drawn else []
