"""One number per unit: how many random numbers a state of N units can recall, compared with the
least possible error (section 2.2).
"""

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnkit.exhibits.best_trials import in_order
from rnnkit.exhibits.style import DASHED
from rnnkit.tasks.memory import Memory
from rnnkit.trials import StoreError
from rnnkit.widgets.controls import cell_options, choice, log_slider, slider
from rnnkit.widgets.panel import Panel
from rnnkit.widgets.stored import StoredNetwork, best_networks, open_store
from rnnkit.widgets.theme import Theme
from rnnkit.wording import label_of, layers

VECTORS = 20
CHOSEN = dict(linewidth=3, markersize=9, zorder=4)
OTHER = dict(linewidth=1.2, markersize=5, alpha=0.35, zorder=3)

# the network of each architecture, depth and number of units
Networks = dict[tuple[str, int, int], StoredNetwork]


def widget(store: str | Path | None = None, seed: int = 0, form: str = "") -> Panel:
    """The best networks of the memory task in a store, in its largest form by default. Raises
    StoreError if the store has none.
    """
    networks = {
        (network.study.architecture, network.study.n_layers, network.study.n_units): network
        for network in best_networks(open_store(store), "mem_thru", seed, form)
    }
    task = next(network.study.task for network in networks.values())
    vectors_VxI = task.held_out(seed, "eval")[0][0].T[:VECTORS]
    architectures, depths, units = (sorted(set(parts)) for parts in zip(*networks))
    cells = in_order(architectures)
    first = "gru" if "gru" in cells else None
    controls = {
        "architecture": choice("cell", cell_options(cells), first, "Which equations"),
        "depth": choice("layers", depths, tip="Recurrent layers, each with as many units"),
        "units": log_slider(
            "units per layer", units, units[len(units) // 3], "How many numbers the state has"
        ),
        "vector": slider(
            "vector", 1, len(vectors_VxI), 1, 1, "Which vector is shown; none was used in training"
        ),
    }
    state = {"networks": networks, "vectors_VxI": vectors_VxI}
    return Panel(draw, controls, state, size=(10, 4.3))


@lru_cache(maxsize=200)
def recalled(network: StoredNetwork, vectors_VxI: torch.Tensor) -> np.ndarray:
    """A network's answers to vectors at the last step, V x I; NaN if its weights cannot be loaded."""
    last = network.study.task.steps - 1
    inputs = [vectors_VxI] + [torch.zeros_like(vectors_VxI)] * last
    try:
        return network.answers(inputs, last)[0].numpy()
    except StoreError:
        return np.full(vectors_VxI.shape, np.nan)


def draw(
    figure: Figure,
    theme: Theme,
    *,
    architecture: str,
    depth: int,
    units: int,
    vector: int,
    networks: Networks,
    vectors_VxI: torch.Tensor,
) -> str:
    """Left: the error against units, with the bound. Right: one vector, the answer, and the
    difference.
    """
    margins = {"left": 0.075, "right": 0.985, "bottom": 0.16, "top": 0.93, "wspace": 0.42}
    ax, pictures = figure.subplots(1, 2, width_ratios=[1.6, 1], gridspec_kw=margins)
    pictures.axis("off")
    task: Any = next(iter(networks.values())).study.task
    n_in = task.n_in
    most = max(n_units for _, _, n_units in networks) * 1.06
    _draw_bound(ax, theme, task, most)
    _draw_errors(ax, theme, networks, architecture, depth)
    ax.set(xlim=(0, most), ylim=(-0.03, 1.12))
    ax.set(xlabel="units per layer", ylabel="squared error per number")
    # few labels: they take most of the time
    ax.set(xticks=range(0, int(most) + 1, max(1, n_in // 4)), yticks=(0, 0.5, 1))
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=1.8, labelspacing=0.5)
    network = networks.get((architecture, depth, units))
    name = f"{label_of(architecture)}, {layers(depth)}, {units} units"
    if network is None:
        reason = " (it needs two layers or more)" if architecture == "+rnn" else ""
        return f"{name}: no such network was trained{reason}."
    loss = network.trial.eval_loss
    ax.plot(units, loss, zorder=6, **theme.ring(18, 2.4))
    original = vectors_VxI[vector - 1].numpy()
    answer = recalled(network, vectors_VxI)[vector - 1]
    _draw_vectors(pictures, theme, original, answer, task.steps)
    error = np.mean((answer - original) ** 2)
    recall = (
        "its weights were not kept"
        if np.isnan(error)
        else f"this vector comes back with {error:.3f}"
    )
    return (
        f"{name}, {n_in} numbers to hold: error {loss:.3f}, and the least possible is"
        f" {task.bound(units):.3f}; {recall}."
    )


def _draw_bound(ax: Axes, theme: Theme, task: Memory, most: float) -> None:
    """The least possible error for each number of units, and where there are as many units as
    numbers.
    """
    units = np.linspace(0, most, 200)
    line = {"color": theme.grey, "linestyle": DASHED, "linewidth": 2}
    ax.plot(units, task.bound(units), label="the least\npossible", **line)
    ax.axvline(task.n_in, color=theme.grey, linewidth=1)
    style = {"color": theme.grey, "va": "bottom", "ha": "center"}
    above = ax.get_xaxis_transform()
    ax.text(task.n_in, 1.01, f"{task.n_in} numbers to hold", transform=above, **style)


def _draw_errors(ax: Axes, theme: Theme, networks: Networks, architecture: str, depth: int) -> None:
    """One line per cell at this depth, the chosen cell's in bold."""
    for cell, look in theme.style_of({key[0] for key in networks}).items():
        points: list[tuple[float, float]] = sorted(
            (n, network.trial.eval_loss)
            for (a, d, n), network in networks.items()
            if (a, d) == (cell, depth)
        )
        ax.plot(
            *zip(*points or [(math.nan, math.nan)]),
            label=label_of(cell),
            **look.curve,
            **(CHOSEN if cell == architecture else OTHER),
        )


def _draw_vectors(
    ax: Axes, theme: Theme, original: np.ndarray, answer: np.ndarray, steps: int
) -> None:
    """Vectors as chequered pictures, one above another in the same axes, since axes take time: the
    original, the answer and the difference. These are blank where the answer is NaN.
    """
    height = 2 ** (int(math.log2(len(original))) // 2)
    width = len(original) / height
    limit = math.sqrt(3)
    distance = 1.35 * height
    for row, (values, title) in enumerate(
        (
            (original - answer, "what is missing"),
            (answer, f"recalled at step {steps}"),
            (original, "shown at step 1"),
        )
    ):
        low = row * distance
        high = low + height
        box = (0, width, low, high)
        ax.imshow(values.reshape(height, -1), cmap="PuOr", vmin=-limit, vmax=limit, extent=box)
        frame = [0, width, width, 0, 0], [low, low, high, high, low]
        ax.plot(*frame, color=theme.grey, linewidth=0.8, clip_on=False)
        ax.text(width / 2, high + 0.06 * height, title, ha="center", va="bottom")
    ax.set(xlim=(-0.05, width + 0.05), ylim=(-0.05, 3 * distance))
