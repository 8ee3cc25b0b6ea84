"""All trials of a store: their losses against any hyper-parameter, by cell, depth, size and length
of training, and a description of each trial. It opens on one search: one cell, one depth, one size.
"""

import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnkit import places
from rnnkit.exhibits.best_trials import in_order
from rnnkit.exhibits.style import short
from rnnkit.markup import text
from rnnkit.trials import TrialStore
from rnnkit.trials.key import parse
from rnnkit.widgets.controls import Control, cell_options, choice, log_slider, many, slider
from rnnkit.widgets.panel import Panel
from rnnkit.widgets.theme import Theme, spread_out
from rnnkit.wording import label_of, layers

LOSS = {  # what the tuner minimises, by task; capacity is drawn the right way up
    "per_cap": "stored bits per parameter",
    "mem_thru": "squared error per dimension",
    "rcf": "weighted squared error",
    "text8": "bits per character",
    "parens_counting": "loss, nats",
    "arithmetic": "loss, nats per symbol",
}
# columns for the horizontal axis besides the hyper-parameters
NUMBERS = ("num_params", "steps")


class Kind(NamedTuple):
    """What the trials of one search have in common."""

    max_params: int  # 0: of any size
    length: str  # of training; "": of any length
    architecture: str
    n_layers: int


def widget(
    store: str | os.PathLike | pd.DataFrame | None = None,
    task: str = "",
    hyperparameter: str = "lr_init",
) -> Panel:
    """`store` is the path of a store or a frame of trials, by default the trials that ship with the
    kit. Opens on `task`, if the store has it. Raises ValueError for an empty store.
    """
    if isinstance(store, pd.DataFrame):
        frame = store
    else:
        with TrialStore(store or places.TRIALS, create=False) as trial_store:
            frame = trial_store.frame()
    if frame.empty:
        raise ValueError(
            "A store to explore must hold trials, got an empty one. Train some first, or give"
            " another path."
        )
    frame = _with_scores(frame)
    return Panel(
        draw,
        _controls(frame, task, hyperparameter),
        state={"frame": frame},
        size=(7, 5),
        changed=_adjust_controls,
        clicked=_describe_nearest,
    )


def _with_scores(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with `score`, which is drawn (bits per parameter for capacity trials, the tuner's
    loss for others), and with `length`, the range of training steps as text.
    """
    capacity = frame.task_type == "per_cap"
    score = np.where(capacity, -frame.valid_loss / frame.num_params, frame.valid_loss)
    lengths = {key: _length(key) for key in frame.study.unique()}
    return frame.assign(score=score, length=frame.study.map(lengths)).reset_index(drop=True)


def _length(study: str) -> str:
    """The range of training steps in a study's key; "" for a text that is no key."""
    key = parse(study)
    if not key:
        return ""
    low, high = key.train_steps
    return f"{low:,} steps" if low == high else f"{low:,} to {high:,} steps"


def _controls(frame: pd.DataFrame, task: str, hyperparameter: str) -> dict[str, Control]:
    """The controls, set to the first search of a task."""
    trained = set(frame.task_type)
    tasks = [name for name in LOSS if name in trained] or sorted(trained)
    task = task if task in tasks else tasks[0]
    axes = [*sorted({name for hparams in frame.hparams for name in hparams}), *NUMBERS]
    against = hyperparameter if hyperparameter in axes else axes[0]
    size, length, cell, depth = _first(frame, task, against)
    n_trials = len(select(frame, task, [cell], [depth], size, length))
    sizes = [("all", 0), *((short(size), size) for size in sorted(set(frame.max_params)))]
    lengths = _lengths(frame, task, size)
    cells = cell_options(in_order(set(frame.architecture)))
    depths = [(str(depth), depth) for depth in sorted(set(frame.n_layers))]
    return {
        "task": choice("task", tasks, task, "Which task the networks learned"),
        "against": choice("against", axes, against, "What stands on the horizontal axis"),
        "size": log_slider("parameters", sizes, size, "Budget of parameters"),
        "length": choice(
            "trained for", lengths, length, "The range of training steps that a search chose from"
        ),
        "rank": slider(
            "trial, best first",
            1,
            max(1, n_trials),
            1,
            tip="The trial that is described; or click on one",
        ),
        "cells": many("cells", cells, [cell], "Which cells; Ctrl or Shift chooses several"),
        "depths": many("layers", depths, [depth], "How many layers; Ctrl or Shift chooses several"),
    }


def _lengths(frame: pd.DataFrame, task: str, size: int) -> list[tuple[str, str]]:
    """The lengths of training of a task's trials at a size (0: at any size), and "any time" if there
    is more than one.
    """
    trials = frame[(frame.task_type == task) & ((frame.max_params == size) | (size == 0))]
    lengths = sorted(
        set(trials.length) - {""},
        key=lambda text: [int(limit) for limit in re.findall(r"\d+", text.replace(",", ""))],
    )
    any_length = [("any time", "")] if len(lengths) != 1 else []
    return [*any_length, *((length, length) for length in lengths)]


def _first(frame: pd.DataFrame, task: str, against: str = "") -> Kind:
    """The search with the most trials. Against the number of parameters, its size is any; against
    steps, its length of training is.
    """
    trials = frame[frame.task_type == task]
    first = Kind(*trials.groupby(list(Kind._fields)).size().idxmax())
    if against not in NUMBERS:
        return first
    size = 0 if against == "num_params" else first.max_params
    return first._replace(max_params=size, length=_lengths(frame, task, size)[0][1])


def select(
    frame: pd.DataFrame,
    task: str,
    cells: Sequence[str],
    depths: Sequence[int],
    size: int,
    length: str = "",
) -> pd.DataFrame:
    """The trials that the controls select, best first and infeasible ones last."""
    trials = frame[
        (frame.task_type == task)
        & frame.architecture.isin(cells)
        & frame.n_layers.isin(depths)
        & ((frame.max_params == size) | (size == 0))
        & ((frame.length == length) | (length == ""))
    ]
    return trials.sort_values(
        "score", ascending=task != "per_cap", na_position="last", kind="stable"
    )


def with_values(trials: pd.DataFrame, against: str) -> pd.DataFrame:
    """The trials that have a value for the horizontal axis, with this `value`; a cell may lack the
    hyper-parameter.
    """
    values = trials[against] if against in NUMBERS else trials.hparams.str.get(against)
    return trials.assign(value=values).dropna(subset="value")


def draw(
    figure: Figure,
    theme: Theme,
    *,
    frame: pd.DataFrame,
    task: str,
    against: str,
    size: int,
    length: str,
    rank: int,
    cells: Sequence[str],
    depths: Sequence[int],
) -> str:
    """The cloud of the selected trials, with a ring around the trial of that rank, and a description
    of that trial.
    """
    ax = figure.subplots(gridspec_kw={"left": 0.1, "right": 0.98, "bottom": 0.13, "top": 0.88})
    unit = LOSS.get(task, "loss")
    ax.set(xlabel=against, ylabel=unit)
    selection = select(frame, task, cells, depths, size, length)
    trials = with_values(selection, against)
    if trials.empty:
        ax.text(0.5, 0.5, "no such trial", transform=ax.transAxes, ha="center", color=theme.grey)
        ax.set(xticks=[], yticks=[])
        alternatives = "other cells, layers, parameters or lengths of training"
        missing = "" if selection.empty else f" that has {against}"
        return f"No such trial{missing} is in the store. Choose {alternatives}."
    x = _draw_across(ax, theme, trials)
    _draw_cloud(ax, theme, x, trials, cells, task)
    rank = min(rank, len(trials))
    trial = trials.iloc[rank - 1]
    height = ax.get_ylim()[1] if np.isnan(trial.score) else trial.score
    ax.plot(x.iloc[rank - 1], height, clip_on=False, **theme.ring(15, 2.2))
    score = "diverged" if trial.infeasible else f"{trial.score:.3g} {unit}"
    return (
        f"{len(trials):,} trials, {int(trials.score.isna().sum()):,} of them diverged. Number {rank}"
        f" from the best: {label_of(trial.architecture)}, {layers(trial.n_layers)}, {against} ="
        f" {text(trial.value)}: {score}.\n{_describe(trial, rank, len(trials), unit)}"
    )


def _draw_across(ax: Axes, theme: Theme, trials: pd.DataFrame) -> pd.Series:
    """The horizontal axis: names of choices, or numbers, on a logarithmic scale if they span much.
    Returns where each trial is on it.
    """
    x, names = _positions(trials)
    if names:
        ax.set_xticks(range(len(names)), names)
    elif x.min() > 0 and x.max() > 10 * x.min():
        ax.set(xscale="log", xlim=(x.min() / 1.3, x.max() * 1.3))
        theme.log(ax.xaxis)
    return x


def _positions(trials: pd.DataFrame) -> tuple[pd.Series, list[str]]:
    """The values as numbers, and the names of the choices if they are text; choices are spread out a
    little, always in the same way.
    """
    names = sorted({value for value in trials.value if isinstance(value, str)})
    if not names:
        return trials.value.astype(float), []
    return trials.value.map(names.index) + 0.6 * spread_out(trials.index.to_numpy()), names


def _draw_cloud(
    ax: Axes, theme: Theme, x: pd.Series, trials: pd.DataFrame, cells: Sequence[str], task: str
) -> None:
    """One dot per trial, in the colour of its cell; crosses at the top for those that diverged."""
    feasible = trials.score.notna()
    style = theme.style_of(cells)
    dots = {"markersize": 5, "alpha": 0.55, "markeredgewidth": 0, "rasterized": True}
    for cell in in_order(set(trials.architecture)):
        of_cell = feasible & (trials.architecture == cell)
        look = dots | style[cell].points
        ax.plot(x[of_cell], trials.score[of_cell], label=label_of(cell), **look)
    _set_heights(ax, theme, trials.score[feasible], task)
    if not feasible.all():
        top = np.full((~feasible).sum(), 0.985)
        crosses = {"color": theme.ink, "markersize": 6, "clip_on": False, "label": "diverged"}
        ax.plot(x[~feasible], top, "x", transform=ax.get_xaxis_transform(), **crosses)
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 6}
    ax.legend(handletextpad=0.2, columnspacing=0.8, markerscale=1.6, **above)


def _set_heights(ax: Axes, theme: Theme, scores: pd.Series, task: str) -> None:
    """The limits of the vertical axis, which is logarithmic for losses that span much."""
    if task == "per_cap":
        ax.set_ylim(0, 1.1 * max(scores.max() if len(scores) else 0, 0.1))
    elif len(scores) and scores.min() > 0 and scores.max() > 20 * scores.min():
        ax.set(yscale="log", ylim=(scores.min() / 1.3, min(scores.max(), 30 * scores.median()) * 3))
        theme.log(ax.yaxis)


def _describe(trial: pd.Series, rank: int, n_trials: int, unit: str) -> str:
    """The description of a trial: one line per hyper-parameter."""
    width = max(map(len, trial.hparams), default=0)
    lines = [
        f"number {rank:,} of {n_trials:,}",
        label_of(trial.architecture),
        f"{layers(trial.n_layers)}, {trial.num_params:,} parameters",
        "diverged" if trial.infeasible else f"{trial.score:.4g} {unit}",
        "",
        *(f"{name:<{width}}  {text(value)}" for name, value in sorted(trial.hparams.items())),
    ]
    return "\n".join(lines)


def _selection(panel: Panel) -> pd.DataFrame:
    """The trials that are drawn."""
    values = panel.values
    names = ("frame", "task", "cells", "depths", "size", "length")
    return with_values(select(*(values[name] for name in names)), values["against"])


def _adjust_controls(panel: Panel, name: str) -> None:
    """Adjusts the other controls: another task opens on a search of its own, the lengths are those of
    the task at this size, and the ranks are those of the selected trials.
    """
    if name == "rank":
        return
    controls = panel.live
    frame = panel.state["frame"]
    task = controls["task"].value
    against = controls["against"].value
    if name == "task":
        first = _first(frame, task, against)
        controls["size"].value = first.max_params
        controls["cells"].value = (first.architecture,)
        controls["depths"].value = (first.n_layers,)
        _set_lengths(controls["length"], frame, task, first.max_params)
        controls["length"].value = first.length
    elif name == "against" and against in NUMBERS:
        controls["size"].value = _first(frame, task, against).max_params
        controls["length"].value = controls["length"].options[0][1]
    elif name == "size":
        _set_lengths(controls["length"], frame, task, controls["size"].value)
    rank = controls["rank"]
    with rank.hold_trait_notifications():
        rank.max = max(1, len(_selection(panel)))
        rank.value = min(rank.value, rank.max)


def _set_lengths(control: Any, frame: pd.DataFrame, task: str, size: int) -> None:
    """Sets the options of the control of lengths; the chosen one stays if it is among them."""
    before = control.value
    options = _lengths(frame, task, size)
    if tuple(options) != tuple(control.options):
        control.options = options
        values = [length for _, length in options]
        control.value = before if before in values else values[0]


def _describe_nearest(panel: Panel, x: float, y: float) -> None:
    """Describes the trial that is nearest to the click on the screen."""
    trials = _selection(panel)
    if trials.empty:
        return
    across, _ = _positions(trials)
    ax = panel.last.axes[0]
    heights = trials.score.fillna(ax.get_ylim()[1])
    pixels = ax.transData.transform(np.column_stack([across, heights]))
    away = np.hypot(*(pixels - ax.transData.transform((x, y))).T)
    panel.live["rank"].value = int(np.argmin(away)) + 1
