"""One number per unit: how many random numbers a state of N units can recall, compared with the
least possible error (section 2.2).
"""

import math
from functools import cache

import numpy as np
import torch

from rnnkit.exhibits.best_trials import in_order
from rnnkit.trials import StoreError
from rnnkit.widgets.controls import choice, log_slider, slider
from rnnkit.widgets.panel import Panel
from rnnkit.widgets.stored import answers, best_trials, network, open_store
from rnnkit.wording import label_of, layers

VECTORS = 20
CHOSEN = dict(linewidth=3, markersize=9)
OTHER = dict(linewidth=1.2, markersize=5, alpha=0.35)


def widget(store=None, seed=0, form="") -> Panel:
    """The best networks of the memory task in a store, in its largest form by default. Raises
    StoreError if the store has none.
    """
    store = open_store(store)
    trials = best_trials(store, "mem_thru", seed, form)
    networks = {
        (study.architecture, study.n_layers, study.n_units): (study, trial)
        for study, trial in trials.items()
    }
    task = next(iter(networks.values()))[0].task
    vectors = task.held_out(seed, "eval")[0][0].T[:VECTORS]
    units = sorted({key[2] for key in networks})
    depths = sorted({key[1] for key in networks})
    cells = in_order({key[0] for key in networks})
    controls = {
        "architecture": choice(
            "cell",
            [(label_of(cell), cell) for cell in cells],
            "gru" if "gru" in cells else None,
            "Which equations",
        ),
        "depth": choice("layers", depths, tip="Recurrent layers, each with as many units"),
        "units": log_slider(
            "units per layer", units, units[len(units) // 3], "How many numbers the state has"
        ),
        "vector": slider(
            "vector", 1, len(vectors), 1, 1, "Which vector is shown; none was used in training"
        ),
    }

    @cache
    def answers_of(architecture, depth, n_units):
        """The answers to all vectors at the last step; None if the network's weights cannot be
        loaded.
        """
        study, trial = networks[architecture, depth, n_units]
        later = torch.zeros_like(vectors)
        try:
            return answers(
                study,
                trial,
                network(store, study, trial),
                [vectors] + [later] * (task.steps - 1),
                task.steps - 1,
            )[0].numpy()
        except StoreError:
            return None

    errors = {key: trial.eval_loss for key, (_, trial) in networks.items()}
    state = {"errors": errors, "task": task, "vectors": vectors.numpy(), "answers_of": answers_of}
    return Panel(draw, controls, state, size=(10, 4.3))


def draw(
    figure, theme, *, architecture, depth, units, vector, errors, task, vectors, answers_of
) -> str:
    """Left: the error against units, with the bound. Right: one vector, the answer, and the
    difference.
    """
    grid = figure.add_gridspec(
        1, 2, width_ratios=[1.6, 1], left=0.075, right=0.985, bottom=0.16, top=0.93, wspace=0.42
    )
    ax = figure.add_subplot(grid[0])
    n_in = task.n_in
    most = max(key[2] for key in errors) * 1.06
    _bound(ax, theme, task, most)
    _errors(ax, theme, errors, architecture, depth)
    ax.set(
        xlim=(0, most),
        ylim=(-0.03, 1.12),
        xlabel="units per layer",
        ylabel="squared error per number",
    )
    # few labels: they take most of the time
    ax.set(xticks=range(0, int(most) + 1, max(1, n_in // 4)), yticks=(0, 0.5, 1))
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=1.8, labelspacing=0.5)
    loss = errors.get((architecture, depth, units))
    network = f"{label_of(architecture)}, {layers(depth)}, {units} units"
    if loss is None:
        return f"{network}: no such network was trained" + (
            " (it needs two layers or more)." if architecture == "+rnn" else "."
        )
    ring = {"markeredgecolor": theme.ink, "markersize": 18, "markeredgewidth": 2.4}
    ax.plot(units, loss, "o", color="none", zorder=6, **ring)
    original = vectors[vector - 1]
    answer_V = answers_of(architecture, depth, units)
    _pictures(
        figure,
        theme,
        grid[1],
        original,
        None if answer_V is None else answer_V[vector - 1],
        task.steps,
    )
    recall = (
        "its weights were not kept"
        if answer_V is None
        else f"this vector comes back with {np.mean((answer_V[vector - 1] - original) ** 2):.3f}"
    )
    return (
        f"{network}, {n_in} numbers to hold: error {loss:.3f}, and the least possible is"
        f" {task.bound(units):.3f}; {recall}."
    )


def _bound(ax, theme, task, most):
    """The least possible error for each number of units, and where there are as many units as
    numbers.
    """
    line = np.linspace(0, most, 200)
    ax.plot(
        line,
        [task.bound(x) for x in line],
        color=theme.grey,
        linestyle=(0, (6, 2)),
        linewidth=2,
        label="the least\npossible",
    )
    ax.axvline(task.n_in, color=theme.grey, linewidth=1)
    ax.text(
        task.n_in,
        1.01,
        f"{task.n_in} numbers to hold",
        color=theme.grey,
        va="bottom",
        ha="center",
        transform=ax.get_xaxis_transform(),
    )


def _errors(ax, theme, errors, architecture, depth):
    """One line per cell at this depth, the chosen cell's in bold."""
    for cell, look in theme.style_of({key[0] for key in errors}).items():
        points = sorted((n, loss) for (a, d, n), loss in errors.items() if a == cell and d == depth)
        ax.plot(
            *zip(*points or [(math.nan, math.nan)]),
            look.marker,
            linestyle=look.line,
            color=look.color,
            label=label_of(cell),
            zorder=3 + (cell == architecture),
            **(CHOSEN if cell == architecture else OTHER),
        )


def _pictures(figure, theme, cell, original, answer, steps):
    """Vectors as chequered pictures, one above another: the original, the answer and the difference.
    Without an answer, these are blank.
    """
    height = 2 ** (int(math.log2(len(original))) // 2)
    width = len(original) / height
    gap = 0.35 * height
    answer = np.full_like(original, np.nan) if answer is None else answer
    ax = figure.add_subplot(cell)  # one for all three: axes take time
    ax.axis("off")
    for row, (values, title) in enumerate(
        (
            (original - answer, "what is missing"),
            (answer, f"recalled at step {steps}"),
            (original, "shown at step 1"),
        )
    ):
        low = row * (height + gap)
        high = row * (height + gap) + height
        ax.imshow(
            values.reshape(height, -1),
            cmap="PuOr",
            vmin=-math.sqrt(3),
            vmax=math.sqrt(3),
            extent=(0, width, low, high),
        )
        ax.plot(
            [0, width, width, 0, 0],
            [low, low, high, high, low],
            color=theme.grey,
            linewidth=0.8,
            clip_on=False,
        )
        ax.text(width / 2, high + 0.06 * height, title, ha="center", va="bottom")
    ax.set(xlim=(-0.05, width + 0.05), ylim=(-0.05, 3 * height + 3 * gap))
