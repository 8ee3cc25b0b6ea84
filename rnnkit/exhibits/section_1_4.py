"""Cells and networks as boxes and wires (section 1.4): `wiring` draws the six cells, and `unrolled` a
stack of them over time. Both are ours; the paper has the equations and no drawing.

A cell is drawn from data: its nodes, each with its place, and the wires from node to node.
"""

import itertools
from collections.abc import Collection
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch
from numpy.typing import ArrayLike

from rnnkit import paper
from rnnkit.exhibits.base import illustration
from rnnkit.exhibits.style import GREY, SMALL, Drawing, color_of, house_style, new_figure
from rnnkit.wording import label_of

OURS = "Ours: not in the paper"
# half the width and height of a box, and the radius of a circle
WIDE = 0.75
HIGH = 0.42
ROUND = 0.3


class Node(NamedTuple):
    """A node of a drawing: its place, its kind, and the text on it.

    A gate or a map is an affine map of all that comes in, followed by the function that is written on
    it; an op combines numbers one by one. Wires meet in a dot, and a tap is where one branches off.
    """

    x: float
    y: float
    kind: str
    text: str


def _read_nodes(lines: str) -> dict[str, Node]:
    """Name -> node, from a line each of name, x, y, kind and text."""
    nodes = {}
    for line in lines.strip().splitlines():
        name, x, y, kind, *text = line.split()
        nodes[name] = Node(float(x), float(y), kind, " ".join(text))
    return nodes


NODES = {
    "rnn": _read_nodes(r"""
        h0     0     4     end   $\mathbf{h}_{t-1}$
        x      0     1     end   $\mathbf{x}_t$
        j      2     2.5   dot
        h      5     2.5   map   s(h)
        h1    10.4   2.5   end   $\mathbf{h}_t$
    """),
    "ugrnn": _read_nodes(r"""
        h0     0     5     end   $\mathbf{h}_{t-1}$
        x      0     1     end   $\mathbf{x}_t$
        state  1.4   5     tap
        j      1.4   1     dot
        g      4.4   2.3   gate  σ(g)
        c      7.6   2.3   map   s(c)
        keep   4.4   5     op    ×
        rest   4.4   3.7   tap   1 - g
        let    7.6   3.7   op    ×
        add    7.6   5     op    +
        h1    10.4   5     end   $\mathbf{h}_t$
    """),
    "gru": _read_nodes(r"""
        h0     0     5     end   $\mathbf{h}_{t-1}$
        x      0     0.1   end   $\mathbf{x}_t$
        state  1.4   5     tap
        j      1.4   1     dot
        r      2.9   2.3   gate  σ(r)
        u      5.6   2.3   gate  σ(u)
        again  2.9   5     tap
        part   2.9   3.7   op    ×
        k      4.2   0.1   dot
        c      8     2.3   map   s(c)
        keep   5.6   5     op    ×
        rest   5.6   3.7   tap   1 - u
        let    8     3.7   op    ×
        add    8     5     op    +
        h1    10.4   5     end   $\mathbf{h}_t$
    """),
    "lstm": _read_nodes(r"""
        c0     0     5.4   end   $\mathbf{c}_{t-1}$
        h0     0     1.7   end   $\mathbf{h}_{t-1}$
        x      0     0.1   end   $\mathbf{x}_t$
        j      1.4   0.9   dot
        f      2.7   2.3   gate  σ(f)
        i      4.4   2.3   gate  σ(i)
        c      6.1   2.3   map   s(c)
        o      7.8   2.3   gate  σ(o)
        keep   2.7   5.4   op    ×
        let    6.1   3.9   op    ×
        add    6.1   5.4   op    +
        state  9.3   5.4   tap
        tanh   9.3   4.3   map   tanh
        show   9.3   3.2   op    ×
        c1    10.8   5.4   end   $\mathbf{c}_t$
        h1    10.8   1.7   end   $\mathbf{h}_t$
    """),
    "+rnn": _read_nodes(r"""
        h0     0     5.6   end   $\mathbf{h}_{t-1}$
        x      0     0     end   $\mathbf{x}_t$
        state  1.4   5.6   tap
        input  1.4   0     tap
        j      1.4   2.8   dot
        gh     3     3.7   gate  σ(gh)
        h      5.4   3.7   map   s₂(h)
        keep   3     5.6   op    ×
        rest   3     4.7   tap   1 - gh
        let    5.4   4.7   op    ×
        add    5.4   5.6   op    +
        h1    10.8   5.6   end   $\mathbf{h}_t$
        gy     6.6   1.9   gate  σ(gy)
        y      9     1.9   map   s₁(y)
        pass   6.6   0     op    ×
        left   6.6   0.9   tap   1 - gy
        new    9     0.9   op    ×
        sum    9     0     op    +
        y1    10.8   0     end   $\mathbf{y}_t$
    """),
}
# the nodes along each wire
WIRES = {
    "rnn": "h0 j h h1, x j",
    "ugrnn": "h0 keep add h1, state j, x j, j g keep, rest let, j c let add",
    "gru": (
        "h0 keep add h1, state j, x j, j r part k, again part, x k c let add, j u keep, rest let"
    ),
    "lstm": (
        "c0 keep add c1, h0 j, x j, j f keep, j i let add, j c let, j o show, state tanh show h1"
    ),
    "+rnn": (
        "h0 keep add h1, state j, input j, x pass sum y1, j gh keep, rest let, j h let add,"
        " j gy pass, left new, j y new sum"
    ),
}
# the IRNN is an RNN that starts from other weights
NODES["irnn"] = NODES["rnn"]
WIRES["irnn"] = WIRES["rnn"]


@illustration("wiring")
@house_style
def wiring(architectures: Collection[str] = paper.ARCHITECTURES) -> Drawing:
    """Draws the cells side by side: gates as filled boxes, maps as empty ones, and what combines
    numbers one by one as circles. ValueError for any other cell.
    """
    names = [a for a in architectures if a != "irnn" or "rnn" not in architectures]
    unknown = [str(a) for a in names if a not in NODES]
    if unknown or not names:
        raise ValueError(
            f"Cells are drawn for {', '.join(NODES)}, got {', '.join(unknown) or 'none of them'}."
            " Name some of these."
        )
    n_rows = -(-len(names) // 2)
    figure = new_figure(0.35 + 2.3 * n_rows)
    axes = figure.subplots(n_rows, 2, squeeze=False).ravel()
    for ax, architecture in zip(axes, names):
        _draw_cell(ax, architecture)
    for ax in axes:
        ax.axis("off")
    table = pd.DataFrame(
        [
            (architecture, name, node.kind, node.text.strip("$"))
            for architecture in names
            for name, node in NODES[architecture].items()
            if node.kind not in ("dot", "tap")
        ],
        columns=["architecture", "name", "kind", "text"],
    )
    boxes = table[table.kind.isin(["gate", "map"])].architecture.value_counts(sort=False)
    counts = ", ".join(f"{label_of(a)} {n}" for a, n in boxes.items())
    figure.alt = f"Cells drawn as boxes and wires. Boxes: {counts}."
    figure.caption = (
        f"{OURS}. One step of each cell, from left to right. A box is an affine map of all that"
        " comes in, under the name that it has in the equations, and the function that is applied"
        " to it: σ makes it a gate (filled), s is tanh or ReLU. A circle combines numbers one by"
        " one."
    )
    figure.tables = {"wiring": table}
    return figure


def _draw_cell(ax: Axes, architecture: str) -> None:
    nodes = NODES[architecture]
    ax.set(xlim=(-0.7, 11.4), ylim=(-0.7, 6.2), aspect="equal")
    ax.set_title("RNN and IRNN" if architecture == "rnn" else label_of(architecture))
    for wire in WIRES[architecture].split(", "):
        for start, end in itertools.pairwise(wire.split()):
            _draw_wire(ax, nodes[start], nodes[end])
    color = color_of(architecture)
    for node in nodes.values():
        _draw_node(ax, node, color)


def _draw_wire(ax: Axes, start: Node, end: Node) -> None:
    """Draws a line between two nodes, with an arrow head unless it ends at a dot.

    Where they are not on one line, it goes across and then up or down; but it leaves a gate upwards,
    and comes to an end from the side.
    """
    from_the_side = start.x != end.x and (
        start.y == end.y or start.kind == "gate" or end.kind == "end"
    )
    corner = (start.x, end.y) if from_the_side else (end.x, start.y)
    edges = {"dot": 0.0, "op": ROUND, "end": 0.55}
    step = np.sign(np.subtract(end[:2], corner))
    tip = end[:2] - edges.get(end.kind, WIDE if from_the_side else HIGH) * step
    line = zip(start[:2], corner, tip)
    ax.plot(*line, color=GREY, linewidth=1, zorder=1, solid_joinstyle="round")
    if end.kind != "dot":
        _draw_arrow(ax, tip - 0.05 * step, tip, zorder=2, color=GREY, mutation_scale=8)


def _draw_arrow(
    ax: Axes, start: ArrayLike, end: ArrayLike, zorder: float = 3, **settings: Any
) -> None:
    arrow = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, zorder=zorder, arrowprops=arrow | settings)


def _draw_node(ax: Axes, node: Node, color: str) -> None:
    x, y, kind, text = node
    if kind == "tap":
        ax.text(x + 0.25, y + 0.12, text, fontsize=SMALL, va="bottom", color=GREY)
        return
    if kind == "op":
        ax.add_patch(
            Circle((x, y), ROUND, facecolor="white", edgecolor="black", linewidth=0.9, zorder=3)
        )
    elif kind == "dot":
        ax.add_patch(Circle((x, y), 0.08, facecolor=GREY, edgecolor="none", zorder=3))
    elif kind in ("gate", "map"):
        # the white box keeps wires from shining through the transparent one
        _draw_box(ax, x, y, facecolor="white", edgecolor="none", zorder=2.5)
        fill, alpha = (color, 0.35) if kind == "gate" else ("white", 1)
        _draw_box(ax, x, y, facecolor=fill, edgecolor=color, linewidth=1.4, alpha=alpha, zorder=3)
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 1} if kind == "end" else None
    ax.text(x, y, text, ha="center", va="center", fontsize=9, zorder=4, bbox=ground)


def _draw_box(
    ax: Axes,
    x: float,
    y: float,
    half_width: float = WIDE,
    half_height: float = HIGH,
    pad: float = 0.1,
    **settings: Any,
) -> None:
    """Draws a box with round corners about a point."""
    corner = x - half_width + pad, y - half_height + pad
    sides = 2 * (half_width - pad), 2 * (half_height - pad)
    ax.add_patch(FancyBboxPatch(corner, *sides, boxstyle=f"round,pad={pad}", **settings))


@illustration("unrolled")
@house_style
def unrolled_stack(steps: int = 4, depth: int = 2) -> Drawing:
    """Draws a stack of `depth` cells over `steps` time steps: states go to the right, inputs up, and
    gradients back. ValueError for fewer than 2 or more than 12 steps, or more than 8 layers.
    """
    integers = isinstance(steps, int) and isinstance(depth, int)
    if not (integers and 2 <= steps <= 12 and 1 <= depth <= 8):
        raise ValueError(
            f"An unrolled network has 2 to 12 steps and 1 to 8 layers, got {steps!r} and {depth!r}."
        )
    figure = new_figure(1.5 + 0.85 * depth)
    ax = figure.subplots()
    ax.set(xlim=(-0.9, steps + 0.6), ylim=(-1.2, depth + 0.75))
    ax.axis("off")
    write = partial(ax.text, ha="center", va="center")
    arrow = partial(_draw_arrow, ax, color="black")
    places = list(itertools.product(range(1, steps + 1), range(depth)))
    for t, layer in places:
        _draw_box(ax, t, layer, 0.27, 0.21, 0.05, facecolor="white", edgecolor="black")
        write(t, layer, "cell", fontsize=9)
        arrow((t - 0.72, layer), (t - 0.28, layer))
        arrow((t, layer + 0.22), (t, layer + 0.75))
    for t in range(1, steps + 1):
        arrow((t, -0.6), (t, -0.22))
        write(t, -0.75, rf"$\mathbf{{x}}_{{{t}}}$")
    for layer in range(depth):
        write(0.05, layer, rf"$\mathbf{{h}}_0$ of layer {layer + 1}", ha="right", fontsize=8.5)
    write(steps, depth - 0.08, "answer", va="bottom", fontsize=9)
    arrow((steps, -1.08), (1, -1.08), color="#b22222", linestyle=(0, (4, 2)))
    write(steps + 0.05, -1.08, "gradient", color="#b22222", ha="left", fontsize=9)
    figure.alt = (
        f"A network of {depth} layers unrolled over {steps} time steps: the same cell at every"
        " step, states from left to right."
    )
    figure.caption = (
        f"{OURS}. A network of {depth} layers, unrolled over {steps} time steps. Along a row all"
        " boxes are one and the same cell, with the same weights. States go to the right, what a"
        " layer shows goes up, and the gradient of the answer goes back through every step."
    )
    table = pd.DataFrame(places, columns=["step", "layer"])
    figure.tables = {"unrolled": table.assign(layer=table.layer + 1)}
    return figure
