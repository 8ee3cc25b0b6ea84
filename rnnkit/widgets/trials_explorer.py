"""Every trial of a store: its loss against any hyper-parameter, by cell, depth, size and length of
training, and what the trial was. It opens on one search alone: one cell, one depth, one size.
"""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from rnnkit import places
from rnnkit.exhibits.best_trials import in_order
from rnnkit.exhibits.style import short
from rnnkit.trials import TrialStore
from rnnkit.widgets.controls import choice, log_slider, many, slider
from rnnkit.widgets.panel import Panel
from rnnkit.wording import label_of, layers

LOSS = {  # what the tuner minimises, by task; capacity is drawn the right way up
    "per_cap": "stored bits per parameter",
    "mem_thru": "squared error per dimension",
    "rcf": "weighted squared error",
    "text8": "bits per character",
    "parens_counting": "loss, nats",
    "arithmetic": "loss, nats a symbol",
}
# columns that can stand on the horizontal axis beside the hyper-parameters
NUMBERS = ("num_params", "steps")


def widget(store=None, task="", hyperparameter="lr_init") -> Panel:
    """`store` is the path of a store, or a frame of trials, and else what the kit ships; begins with that task, where the store
    has it. ValueError for an empty one.
    """
    frame = store if isinstance(store, pd.DataFrame) else _read(store)
    if frame.empty:
        raise ValueError(
            "A store to explore must hold trials, got an empty one. Train some first, or give"
            " another path."
        )
    frame = _prepared(frame)
    tasks = [name for name in LOSS if name in set(frame.task_type)] or sorted(set(frame.task_type))
    task = task if task in tasks else tasks[0]
    controls = _controls(frame, tasks, task, hyperparameter)
    return Panel(
        draw, controls, state={"frame": frame}, size=(7, 5), changed=_changed, clicked=_clicked
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
            max(1, len(chosen(frame, task, [first.architecture], [first.n_layers], *first[:2]))),
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


def _read(path):
    with TrialStore(path or places.TRIALS, create=False) as store:
        return store.frame()


def _prepared(frame) -> pd.DataFrame:
    """`score`, which is drawn: the bits per parameter of capacity trials, the tuner's loss of all
    others; and `length`, the range of training steps, as text.
    """
    capacity = frame.task_type == "per_cap"
    score = np.where(capacity, -frame.valid_loss / frame.num_params, frame.valid_loss)
    lengths = {key: _length(key) for key in frame.study.unique()}
    return frame.assign(score=score, length=frame.study.map(lengths)).reset_index(drop=True)


def _length(study: str) -> str:
    """The range of training steps in a study's key; "" where it names none."""
    steps = re.search(r"/steps=(\d+)-(\d+)/", f"{study}/")
    if not steps:
        return ""
    low, high = map(int, steps.groups())
    return f"{low:,} steps" if low == high else f"{low:,} to {high:,} steps"


def _lengths(frame, task, size) -> list[tuple[str, str]]:
    """The lengths of training that a task has at a size (0: at any), and, where there are more than
    one, any.
    """
    part = frame[(frame.task_type == task) & ((frame.max_params == size) | (size == 0))]
    found = sorted(
        set(part.length) - {""}, key=lambda text: int(re.sub(r"\D.*", "", text.replace(",", "")))
    )
    every = [("any time", "")] if len(found) != 1 else []
    return [*every, *((length, length) for length in found)]


def _first(frame, task, against=""):
    """The search with most trials: its size, length of training, cell and depth. Against a number
    of parameters, networks of all sizes (0) of that cell and depth; against steps, of any length.
    """
    part = frame[frame.task_type == task]
    kinds = part.groupby(["max_params", "length", "architecture", "n_layers"], sort=True).size()
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


def chosen(frame, task, cells, depths, size, length="") -> pd.DataFrame:
    """The trials that the controls ask for, the best first, infeasible ones at the end."""
    part = frame[
        (frame.task_type == task) & frame.architecture.isin(cells) & frame.n_layers.isin(depths)
    ]
    if size:
        part = part[part.max_params == size]
    if length:
        part = part[part.length == length]
    return part.sort_values("score", ascending=task != "per_cap", na_position="last", kind="stable")


def horizontal(part, against) -> pd.Series:
    """The values on the horizontal axis; missing where a cell has no such hyper-parameter."""
    if against in NUMBERS:
        return part[against]
    return pd.Series([hparams.get(against) for hparams in part.hparams], index=part.index)


def draw(figure, theme, *, frame, task, against, size, length, rank, cells, depths) -> str:
    """The cloud of the chosen trials with a ring round the trial of that rank, which is told line
    by line.
    """
    ax = figure.subplots(gridspec_kw={"left": 0.1, "right": 0.98, "bottom": 0.13, "top": 0.97})
    part = chosen(frame, task, cells, depths, size, length)
    x = horizontal(part, against)
    here = x.notna()
    part, x = part[here], x[here]
    ax.set(xlabel=against, ylabel=LOSS.get(task, "loss"))
    if part.empty:
        words = {"transform": ax.transAxes, "ha": "center", "color": theme.grey}
        ax.text(0.5, 0.5, "no such trial", **words)
        other = "other cells, layers, parameters or lengths of training"
        missing = "" if here.empty else f" that has {against}"
        return f"No such trial{missing} is in the store. Choose {other}."
    x = _across(ax, theme, x, part)
    _cloud(ax, theme, x, part, cells, task)
    rank = min(rank, len(part))
    trial = part.iloc[rank - 1]
    ring = {"markeredgecolor": theme.ink, "markersize": 15, "markeredgewidth": 2.2}
    height = ax.get_ylim()[1] if np.isnan(trial.score) else trial.score
    ax.plot(x.iloc[rank - 1], height, "o", color="none", clip_on=False, **ring)
    score = "diverged" if trial.infeasible else f"{trial.score:.3g} {LOSS.get(task, 'loss')}"
    return (
        f"{len(part):,} trials, {int(part.score.isna().sum()):,} of them diverged. Number {rank}"
        f" from the best: {label_of(trial.architecture)}, {layers(trial.n_layers)}, {against} ="
        f" {_text(trial.hparams.get(against, trial.get(against)))}: {score}.\n"
        + _describe(trial, rank, len(part), task)
    )


def _across(ax, theme, x, part):
    """The horizontal axis: names of choices, or numbers, on a logarithm where they span much."""
    x, ticks = _numbers(x, part)
    if ticks:
        ax.set_xticks(range(len(ticks)), ticks)
    elif x.min() > 0 and x.max() > 50 * x.min():
        ax.set(xscale="log", xlim=(x.min() / 1.3, x.max() * 1.3))
        theme.log(ax.xaxis)
    return x


def _cloud(ax, theme, x, part, cells, task):
    """A dot for each trial, in the colours of the cells; crosses on top for those that diverged."""
    feasible = part.score.notna()
    style = theme.style_of(cells)
    for cell in in_order(set(part.architecture)):
        rows = feasible & (part.architecture == cell)
        ax.plot(
            x[rows],
            part.score[rows],
            style[cell].marker,
            color=style[cell].color,
            markersize=5,
            alpha=0.55,
            markeredgewidth=0,
            label=label_of(cell),
            rasterized=True,
        )
    _vertical(ax, theme, part.score[feasible], task)
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
        loc="upper left",
        bbox_to_anchor=(0, 1),
        ncols=2,
        handletextpad=0.2,
        columnspacing=0.8,
        markerscale=1.6,
    )


def _numbers(x, part):
    """Values as numbers, and the names of the choices where they are words; those are spread out a
    little, always in the same way.
    """
    words = sorted({value for value in x if isinstance(value, str)})
    if not words:
        return x.astype(float), []
    spread = np.modf(part.index.to_numpy() * 0.6180339887)[0] - 0.5
    return pd.Series([words.index(value) for value in x], index=x.index) + 0.6 * spread, words


def _vertical(ax, theme, scores, task):
    if task == "per_cap":
        ax.set_ylim(0, 1.35 * max(scores.max() if len(scores) else 0, 0.1))
    elif len(scores) and scores.min() > 0 and scores.max() > 20 * scores.min():
        ax.set(yscale="log", ylim=(scores.min() / 1.3, min(scores.max(), 30 * scores.median()) * 3))
        theme.log(ax.yaxis)


def _text(value) -> str:
    return (
        value
        if isinstance(value, str)
        else f"{value:,}"
        if isinstance(value, (int, np.integer))
        else f"{value:.3g}"
    )


def _describe(trial, rank, trials, task) -> str:
    """What the trial was, a line each."""
    score = "diverged" if trial.infeasible else f"{trial.score:.4g} {LOSS.get(task, 'loss')}"
    size = f"{layers(trial.n_layers)}, {trial.num_params:,} parameters"
    head = [f"number {rank:,} of {trials:,}", label_of(trial.architecture), size, score, ""]
    width = max(map(len, trial.hparams), default=0)
    return "\n".join(
        [
            *head,
            *(f"{name:<{width}}  {_text(trial.hparams[name])}" for name in sorted(trial.hparams)),
        ]
    )


def _asked_for(panel) -> tuple[pd.DataFrame, pd.Series]:
    """The chosen trials that have a place on the horizontal axis, and their places."""
    values = panel.values
    names = ("frame", "task", "cells", "depths", "size", "length")
    part = chosen(*(values[name] for name in names))
    where = horizontal(part, values["against"])
    return part[where.notna()], where[where.notna()]


def _changed(panel, name):
    """Another task opens on a search of its own, the lengths are those that it has at this size,
    and the ranks end where the chosen trials do.
    """
    if name == "rank":
        return
    made, values = panel.made, panel.values
    frame, task = values["frame"], values["task"]
    if name == "task":
        first = _first(frame, task, values["against"])
        made["size"].value = first.max_params
        made["cells"].value, made["depths"].value = (first.architecture,), (first.n_layers,)
        _lengths_into(made["length"], frame, task, first.max_params)
        made["length"].value = first.length
    elif name == "against" and values["against"] in NUMBERS:
        made["size"].value = _first(frame, task, values["against"]).max_params
        made["length"].value = made["length"].options[0][1]
    elif name == "size":
        _lengths_into(made["length"], frame, task, values["size"])
    rank = made["rank"]
    with rank.hold_trait_notifications():
        rank.max = max(1, len(_asked_for(panel)[0]))
        rank.value = min(rank.value, rank.max)


def _lengths_into(control, frame, task, size):
    """Gives a control the lengths that there are; the one that was chosen stays, if it is there."""
    before, lengths = control.value, _lengths(frame, task, size)
    if tuple(lengths) != tuple(control.options):
        control.options = lengths
        control.value = before if before in {length for _, length in lengths} else lengths[0][1]


def _clicked(panel, x, y):
    """Describes the trial that is nearest to the click, by the eye."""
    part, where = _asked_for(panel)
    if part.empty:
        return
    across, _ = _numbers(where, part)
    ax = panel.last.axes[0]
    top = ax.get_ylim()[1]
    seen = ax.transData.transform(np.column_stack([across, part.score.fillna(top)]))
    away = np.hypot(*(seen - ax.transData.transform((x, y))).T)
    panel.made["rank"].value = int(np.argmin(away)) + 1
