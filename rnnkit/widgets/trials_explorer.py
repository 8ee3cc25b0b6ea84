"""All trials of a store: their losses against any hyper-parameter, by cell, depth, size and length
of training, and a description of each trial. It opens on one search: one cell, one depth, one size.
"""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from rnnkit import places
from rnnkit.exhibits.best_trials import in_order
from rnnkit.exhibits.style import short
from rnnkit.markup import text
from rnnkit.trials import TrialStore
from rnnkit.trials.key import parse
from rnnkit.widgets.controls import choice, log_slider, many, slider
from rnnkit.widgets.panel import Panel
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


def widget(store=None, task="", hyperparameter="lr_init") -> Panel:
    """`store` is the path of a store or a frame of trials, by default the trials that ship with the
    kit. Opens on `task`, if the store has it. Raises ValueError for an empty store.
    """
    frame = store if isinstance(store, pd.DataFrame) else _load(store)
    if frame.empty:
        raise ValueError(
            "A store to explore must hold trials, got an empty one. Train some first, or give"
            " another path."
        )
    frame = _with_scores(frame)
    tasks = [name for name in LOSS if name in set(frame.task_type)] or sorted(set(frame.task_type))
    task = task if task in tasks else tasks[0]
    controls = _controls(frame, tasks, task, hyperparameter)
    return Panel(
        draw,
        controls,
        state={"frame": frame},
        size=(7, 5),
        changed=_adjust_controls,
        clicked=_describe_nearest,
    )


def _controls(frame, tasks, task, hyperparameter) -> dict:
    """The controls, set to the first search of a task."""
    axes = [*sorted({name for hparams in frame.hparams for name in hparams}), *NUMBERS]
    sizes = sorted(set(frame.max_params))
    depths = sorted(set(frame.n_layers))
    cells = in_order(set(frame.architecture))
    against = hyperparameter if hyperparameter in axes else axes[0]
    first = _first(frame, task, against)
    return {
        "task": choice("task", tasks, task, "Which task the networks learned"),
        "against": choice("against", axes, against, "What stands on the horizontal axis"),
        "size": log_slider(
            "parameters",
            [("all", 0), *((short(size), size) for size in sizes)],
            first.max_params,
            "Budget of parameters",
        ),
        "length": choice(
            "trained for",
            _lengths(frame, task, first.max_params),
            first.length,
            "The range of training steps that a search chose from",
        ),
        "rank": slider(
            "trial, best first",
            1,
            max(1, len(select(frame, task, [first.architecture], [first.n_layers], *first[:2]))),
            1,
            tip="The trial that is described; or click on one",
        ),
        "cells": many(
            "cells",
            [(label_of(cell), cell) for cell in cells],
            [first.architecture],
            tip="Which cells; Ctrl or Shift chooses several",
        ),
        "depths": many(
            "layers",
            [(str(depth), depth) for depth in depths],
            [first.n_layers],
            tip="How many layers; Ctrl or Shift chooses several",
        ),
    }


def _load(path):
    with TrialStore(path or places.TRIALS, create=False) as store:
        return store.frame()


def _with_scores(frame) -> pd.DataFrame:
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


def _lengths(frame, task, size) -> list[tuple[str, str]]:
    """The lengths of training of a task's trials at a size (0: at any size), and "any time" if there
    is more than one.
    """
    trials = frame[(frame.task_type == task) & ((frame.max_params == size) | (size == 0))]
    lengths = sorted(
        set(trials.length) - {""}, key=lambda text: int(re.sub(r"\D.*", "", text.replace(",", "")))
    )
    any_length = [("any time", "")] if len(lengths) != 1 else []
    return [*any_length, *((length, length) for length in lengths)]


def _first(frame, task, against=""):
    """The search with the most trials: its size, length of training, cell and depth. Against the
    number of parameters, the size is 0, for all sizes; against steps, the length is any.
    """
    trials = frame[frame.task_type == task]
    kinds = trials.groupby(["max_params", "length", "architecture", "n_layers"], sort=True).size()
    first = _Kind(*kinds.idxmax())
    size = 0 if against == "num_params" else first.max_params
    if against in NUMBERS:
        first = first._replace(max_params=size, length=_lengths(frame, task, size)[0][1])
    return first


class _Kind(NamedTuple):
    max_params: int
    length: str
    architecture: str
    n_layers: int


def select(frame, task, cells, depths, size, length="") -> pd.DataFrame:
    """The trials that the controls select, best first and infeasible ones last."""
    trials = frame[
        (frame.task_type == task) & frame.architecture.isin(cells) & frame.n_layers.isin(depths)
    ]
    if size:
        trials = trials[trials.max_params == size]
    if length:
        trials = trials[trials.length == length]
    return trials.sort_values(
        "score", ascending=task != "per_cap", na_position="last", kind="stable"
    )


def horizontal(trials, against) -> pd.Series:
    """The values on the horizontal axis; missing if a cell has no such hyper-parameter."""
    if against in NUMBERS:
        return trials[against]
    return pd.Series([hparams.get(against) for hparams in trials.hparams], index=trials.index)


def draw(figure, theme, *, frame, task, against, size, length, rank, cells, depths) -> str:
    """The cloud of the selected trials, with a ring around the trial of that rank, and a description
    of that trial.
    """
    ax = figure.subplots(gridspec_kw={"left": 0.1, "right": 0.98, "bottom": 0.13, "top": 0.88})
    trials = select(frame, task, cells, depths, size, length)
    x = horizontal(trials, against)
    has_value = x.notna()
    trials = trials[has_value]
    x = x[has_value]
    ax.set(xlabel=against, ylabel=LOSS.get(task, "loss"))
    if trials.empty:
        style = {"transform": ax.transAxes, "ha": "center", "color": theme.grey}
        ax.text(0.5, 0.5, "no such trial", **style)
        ax.set(xticks=[], yticks=[])
        alternatives = "other cells, layers, parameters or lengths of training"
        missing = "" if has_value.empty else f" that has {against}"
        return f"No such trial{missing} is in the store. Choose {alternatives}."
    x = _across(ax, theme, x, trials)
    _cloud(ax, theme, x, trials, cells, task)
    rank = min(rank, len(trials))
    trial = trials.iloc[rank - 1]
    ring = {"markeredgecolor": theme.ink, "markersize": 15, "markeredgewidth": 2.2}
    height = ax.get_ylim()[1] if np.isnan(trial.score) else trial.score
    ax.plot(x.iloc[rank - 1], height, "o", color="none", clip_on=False, **ring)
    score = "diverged" if trial.infeasible else f"{trial.score:.3g} {LOSS.get(task, 'loss')}"
    return (
        f"{len(trials):,} trials, {int(trials.score.isna().sum()):,} of them diverged. Number {rank}"
        f" from the best: {label_of(trial.architecture)}, {layers(trial.n_layers)}, {against} ="
        f" {text(trial.hparams.get(against, trial.get(against)))}: {score}.\n"
        + _describe(trial, rank, len(trials), task)
    )


def _across(ax, theme, x, trials):
    """The horizontal axis: names of choices, or numbers, on a logarithmic scale if they span much."""
    x, ticks = _numbers(x, trials)
    if ticks:
        ax.set_xticks(range(len(ticks)), ticks)
    elif x.min() > 0 and x.max() > 10 * x.min():
        ax.set(xscale="log", xlim=(x.min() / 1.3, x.max() * 1.3))
        theme.log(ax.xaxis)
    return x


def _cloud(ax, theme, x, trials, cells, task):
    """One dot per trial, in the colour of its cell; crosses at the top for those that diverged."""
    feasible = trials.score.notna()
    style = theme.style_of(cells)
    for cell in in_order(set(trials.architecture)):
        of_cell = feasible & (trials.architecture == cell)
        ax.plot(
            x[of_cell],
            trials.score[of_cell],
            style[cell].marker,
            color=style[cell].color,
            markersize=5,
            alpha=0.55,
            markeredgewidth=0,
            label=label_of(cell),
            rasterized=True,
        )
    _vertical(ax, theme, trials.score[feasible], task)
    if not feasible.all():
        ax.plot(
            x[~feasible],
            np.full((~feasible).sum(), 0.985),
            "x",
            color=theme.ink,
            markersize=6,
            transform=ax.get_xaxis_transform(),
            label="diverged",
            clip_on=False,
        )
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=6,
        handletextpad=0.2,
        columnspacing=0.8,
        markerscale=1.6,
    )


def _numbers(x, trials):
    """Values as numbers, and the names of the choices if they are text; choices are spread out a
    little, always in the same way.
    """
    names = sorted({value for value in x if isinstance(value, str)})
    if not names:
        return x.astype(float), []
    spread = np.modf(trials.index.to_numpy() * 0.6180339887)[0] - 0.5
    return pd.Series([names.index(value) for value in x], index=x.index) + 0.6 * spread, names


def _vertical(ax, theme, scores, task):
    if task == "per_cap":
        ax.set_ylim(0, 1.1 * max(scores.max() if len(scores) else 0, 0.1))
    elif len(scores) and scores.min() > 0 and scores.max() > 20 * scores.min():
        ax.set(yscale="log", ylim=(scores.min() / 1.3, min(scores.max(), 30 * scores.median()) * 3))
        theme.log(ax.yaxis)


def _describe(trial, rank, trials, task) -> str:
    """The description of a trial: one line per hyper-parameter."""
    score = "diverged" if trial.infeasible else f"{trial.score:.4g} {LOSS.get(task, 'loss')}"
    size = f"{layers(trial.n_layers)}, {trial.num_params:,} parameters"
    head = [f"number {rank:,} of {trials:,}", label_of(trial.architecture), size, score, ""]
    width = max(map(len, trial.hparams), default=0)
    return "\n".join(
        [
            *head,
            *(f"{name:<{width}}  {text(trial.hparams[name])}" for name in sorted(trial.hparams)),
        ]
    )


def _selection(panel) -> tuple[pd.DataFrame, pd.Series]:
    """The selected trials that have a value on the horizontal axis, and these values."""
    values = panel.values
    names = ("frame", "task", "cells", "depths", "size", "length")
    trials = select(*(values[name] for name in names))
    where = horizontal(trials, values["against"])
    return trials[where.notna()], where[where.notna()]


def _adjust_controls(panel, name):
    """Adjusts the other controls: another task opens on a search of its own, the lengths are those of
    the task at this size, and the ranks are those of the selected trials.
    """
    if name == "rank":
        return
    controls = panel.live
    values = panel.values
    frame = values["frame"]
    task = values["task"]
    if name == "task":
        first = _first(frame, task, values["against"])
        controls["size"].value = first.max_params
        controls["cells"].value = (first.architecture,)
        controls["depths"].value = (first.n_layers,)
        _lengths_into(controls["length"], frame, task, first.max_params)
        controls["length"].value = first.length
    elif name == "against" and values["against"] in NUMBERS:
        controls["size"].value = _first(frame, task, values["against"]).max_params
        controls["length"].value = controls["length"].options[0][1]
    elif name == "size":
        _lengths_into(controls["length"], frame, task, values["size"])
    rank = controls["rank"]
    with rank.hold_trait_notifications():
        rank.max = max(1, len(_selection(panel)[0]))
        rank.value = min(rank.value, rank.max)


def _lengths_into(control, frame, task, size):
    """Sets the options of the control of lengths; the chosen one stays if it is among them."""
    before = control.value
    lengths = _lengths(frame, task, size)
    if tuple(lengths) != tuple(control.options):
        control.options = lengths
        control.value = before if before in {length for _, length in lengths} else lengths[0][1]


def _describe_nearest(panel, x, y):
    """Describes the trial that is nearest to the click on the screen."""
    trials, where = _selection(panel)
    if trials.empty:
        return
    across, _ = _numbers(where, trials)
    ax = panel.last.axes[0]
    top = ax.get_ylim()[1]
    pixels = ax.transData.transform(np.column_stack([across, trials.score.fillna(top)]))
    away = np.hypot(*(pixels - ax.transData.transform((x, y))).T)
    panel.live["rank"].value = int(np.argmin(away)) + 1
