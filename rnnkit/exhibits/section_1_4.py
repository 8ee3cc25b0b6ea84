"""Cells and networks as boxes and wires (section 1.4): `wiring` draws the six cells, and `unrolled` a
stack of them over time. Both are ours; the paper has the equations and no drawing.

A cell is drawn from data: parts, each with its coordinates, and wires that run from part to part
around corners.
"""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch

from rnnkit import paper
from rnnkit.exhibits.base import illustration
from rnnkit.exhibits.style import GREY, SMALL, Drawing, house_style, new_figure, style_of
from rnnkit.wording import label_of

OURS = "Ours: not in the paper"
# half the width and height of a box, and the radius of a circle
WIDE = 0.75
HIGH = 0.42
ROUND = 0.3
H0, H1, X = r"$\mathbf{h}_{t-1}$", r"$\mathbf{h}_t$", r"$\mathbf{x}_t$"


# PARTS has, for each architecture, name -> (x, y, kind, text). A gate or a map is an affine map of all
# that comes in, followed by the function that is written on it; an op combines numbers one by one.
# WIRES has lists of names and corners, (x, y); any other text is written at the beginning of the wire.
PARTS: dict[str, dict[str, tuple]] = {
    "rnn": {
        "h0": (0, 4, "end", H0), "x": (0, 1, "end", X), "j": (2, 2.5, "dot", ""), "h": (5, 2.5, "map", "s(h)"), "h1": (10.4, 2.5, "end", H1),
    },
    "ugrnn": {
        "h0": (0, 5, "end", H0), "x": (0, 1, "end", X), "j": (1.4, 1, "dot", ""), "g": (4.4, 2.3, "gate", "σ(g)"), "c": (7.6, 2.3, "map", "s(c)"),
        "keep": (4.4, 5, "op", "×"), "let": (7.6, 3.7, "op", "×"), "add": (7.6, 5, "op", "+"), "h1": (10.4, 5, "end", H1),
    },
    "gru": {
        "h0": (0, 5, "end", H0), "x": (0, 0.1, "end", X), "j": (1.4, 1, "dot", ""), "r": (2.9, 2.3, "gate", "σ(r)"), "u": (5.6, 2.3, "gate", "σ(u)"),
        "part": (2.9, 3.7, "op", "×"), "k": (4.2, 0.1, "dot", ""), "c": (8, 2.3, "map", "s(c)"), "keep": (5.6, 5, "op", "×"),
        "let": (8, 3.7, "op", "×"), "add": (8, 5, "op", "+"), "h1": (10.4, 5, "end", H1),
    },
    "lstm": {
        "c0": (0, 5.4, "end", r"$\mathbf{c}_{t-1}$"), "h0": (0, 1.7, "end", H0), "x": (0, 0.1, "end", X), "j": (1.4, 0.9, "dot", ""),
        "f": (2.7, 2.3, "gate", "σ(f)"), "i": (4.4, 2.3, "gate", "σ(i)"), "c": (6.1, 2.3, "map", "s(c)"), "o": (7.8, 2.3, "gate", "σ(o)"),
        "keep": (2.7, 5.4, "op", "×"), "let": (6.1, 3.9, "op", "×"), "add": (6.1, 5.4, "op", "+"), "tanh": (9.3, 4.3, "map", "tanh"),
        "show": (9.3, 3.2, "op", "×"), "c1": (10.8, 5.4, "end", r"$\mathbf{c}_t$"), "h1": (10.8, 1.7, "end", H1),
    },
    "+rnn": {
        "h0": (0, 5.6, "end", H0), "x": (0, 0, "end", X), "j": (1.4, 2.8, "dot", ""), "gh": (3, 3.7, "gate", "σ(gh)"), "h": (5.4, 3.7, "map", "s₂(h)"),
        "keep": (3, 5.6, "op", "×"), "let": (5.4, 4.7, "op", "×"), "add": (5.4, 5.6, "op", "+"), "h1": (10.8, 5.6, "end", H1),
        "gy": (6.6, 1.9, "gate", "σ(gy)"), "y": (9, 1.9, "map", "s₁(y)"), "pass": (6.6, 0, "op", "×"), "new": (9, 0.9, "op", "×"),
        "sum": (9, 0, "op", "+"), "y1": (10.8, 0, "end", r"$\mathbf{y}_t$"),
    },
}  # fmt: skip


WIRES: dict[str, list] = {
    "rnn": [["h0", (2, 4), "j"], ["x", (2, 1), "j"], ["j", "h"], ["h", "h1"]],
    "ugrnn": [
        ["h0", "keep"], ["keep", "add"], ["add", "h1"], [(1.4, 5), "j"], ["x", "j"], ["j", (4.4, 1), "g"], ["j", (7.6, 1), "c"],
        ["g", "keep"], [(4.4, 3.7), "let", "1 - g"], ["c", "let"], ["let", "add"],
    ],
    "gru": [
        ["h0", "keep"], ["keep", "add"], ["add", "h1"], [(1.4, 5), "j"], ["x", (1.4, 0.1), "j"], ["j", (2.9, 1), "r"], ["j", (5.6, 1), "u"],
        ["r", "part"], [(2.9, 5), "part"], ["part", (4.2, 3.7), "k"], ["x", "k"], ["k", (8, 0.1), "c"],
        ["u", "keep"], [(5.6, 3.7), "let", "1 - u"], ["c", "let"], ["let", "add"],
    ],
    "lstm": [
        ["c0", "keep"], ["keep", "add"], ["add", "c1"], ["h0", (1.4, 1.7), "j"], ["x", (1.4, 0.1), "j"], ["j", (2.7, 0.9), "f"],
        ["j", (4.4, 0.9), "i"], ["j", (6.1, 0.9), "c"], ["j", (7.8, 0.9), "o"], ["f", "keep"], ["i", (4.4, 3.9), "let"], ["c", "let"],
        ["let", "add"], [(9.3, 5.4), "tanh"], ["tanh", "show"], ["o", (7.8, 3.2), "show"], ["show", (9.3, 1.7), "h1"],
    ],
    "+rnn": [
        ["h0", "keep"], ["keep", "add"], ["add", "h1"], [(1.4, 5.6), "j"], [(1.4, 0), "j"], ["x", "pass"], ["pass", "sum"], ["sum", "y1"],
        ["j", (3, 2.8), "gh"], ["j", (5.4, 2.8), "h"], ["gh", "keep"], [(3, 4.7), "let", "1 - gh"], ["h", "let"], ["let", "add"],
        ["j", (6.6, 2.8), "gy"], ["j", (9, 2.8), "y"], ["gy", "pass"], [(6.6, 0.9), "new", "1 - gy"], ["y", "new"], ["new", "sum"],
    ],
}  # fmt: skip


SAME = {"irnn": "rnn"}  # the IRNN is an RNN that starts from other weights


@illustration("wiring")
@house_style
def wiring(architectures: Collection[str] = paper.ARCHITECTURES) -> Drawing:
    """Draws the cells side by side: gates as filled boxes, maps as empty ones, and what combines
    numbers one by one as circles. ValueError for any other cell.
    """
    available = (*PARTS, *SAME)
    architectures = [a for a in architectures if SAME.get(a) not in architectures]
    unknown = [a for a in architectures if a not in available]
    if unknown or not architectures:
        raise ValueError(
            f"Cells are drawn for {', '.join(available)}, got"
            f" {', '.join(map(str, unknown)) or 'none of them'}. Name some of these."
        )
    n_rows = -(-len(architectures) // 2)
    figure = new_figure(0.35 + 2.3 * n_rows)
    axes = figure.subplots(n_rows, 2, squeeze=False).ravel()
    style = style_of(paper.ARCHITECTURES)
    for ax, architecture in zip(axes, architectures):
        _cell(ax, SAME.get(architecture, architecture), style[architecture].color)
        twins = [a for a, twin in SAME.items() if twin == architecture]
        ax.set_title(" and ".join(map(label_of, (architecture, *twins))))
    for ax in axes:
        ax.axis("off")
    table = pd.DataFrame(
        [(a, *record) for a in architectures for record in _part_records(SAME.get(a, a))],
        columns=["architecture", "name", "kind", "text"],
    )
    counts = table[table.kind.isin(["gate", "map"])].groupby("architecture", sort=False).size()
    figure.alt = (
        "Cells drawn as boxes and wires. Boxes: "
        + ", ".join(f"{label_of(a)} {n}" for a, n in counts.items())
        + "."
    )
    figure.caption = (
        f"{OURS}. One step of each cell, from left to right. A box is an affine map of all that"
        " comes in, under the name that it has in the equations, and the function that is applied"
        " to it: σ makes it a gate (filled), s is tanh or ReLU. A circle combines numbers one by"
        " one."
    )
    figure.tables = {"wiring": table}
    return figure


def _part_records(architecture: str) -> list[tuple[str, str, str]]:
    """The name, kind and text of each part of a cell, without the joints of wires."""
    return [
        (name, kind, text.strip("$"))
        for name, (_, _, kind, text) in PARTS[architecture].items()
        if kind != "dot"
    ]


def _cell(ax: Axes, architecture: str, color: str) -> None:
    parts = PARTS[architecture]
    ax.set(xlim=(-0.7, 11.4), ylim=(-0.7, 6.2), aspect="equal")
    for wire in WIRES[architecture]:
        _wire(ax, [end for end in wire if end in parts or isinstance(end, tuple)], parts)
        for text in (end for end in wire if isinstance(end, str) and end not in parts):
            x, y = wire[0]
            ax.text(x + 0.25, y + 0.12, text, fontsize=SMALL, va="bottom", color=GREY)
    for x, y, kind, text in parts.values():
        _draw_part(ax, x, y, kind, text, color)


def _wire(ax: Axes, nodes: list, parts: Mapping[Any, tuple]) -> None:
    """Draws a line through parts and corners, with an arrow head unless it ends at a joint."""
    points = [parts[end][:2] if end in parts else end for end in nodes]
    *_, (x0, y0), (x1, y1) = points
    kind = parts[nodes[-1]][2]
    gap = {"dot": 0.0, "op": ROUND, "end": 0.55}.get(kind, WIDE if y0 == y1 else HIGH)
    x1 -= gap * _direction(x1 - x0)
    y1 -= gap * _direction(y1 - y0)
    line = [*points[:-1], (x1, y1)]
    ax.plot(*zip(*line), color=GREY, linewidth=1, zorder=1, solid_joinstyle="round")
    if kind != "dot":
        ax.annotate(
            "",
            (x1, y1),
            (x1 - 0.05 * _direction(x1 - x0), y1 - 0.05 * _direction(y1 - y0)),
            zorder=2,
            arrowprops={
                "arrowstyle": "-|>",
                "color": GREY,
                "shrinkA": 0,
                "shrinkB": 0,
                "mutation_scale": 8,
            },
        )


def _direction(x: float) -> int:
    return (x > 0) - (x < 0)


def _draw_part(ax: Axes, x: float, y: float, kind: str, text: str, color: str) -> None:
    if kind == "op":
        ax.add_patch(
            Circle((x, y), ROUND, facecolor="white", edgecolor="black", linewidth=0.9, zorder=3)
        )
    elif kind == "dot":
        ax.add_patch(Circle((x, y), 0.08, facecolor=GREY, edgecolor="none", zorder=3))
    elif kind in ("gate", "map"):
        # the white box keeps wires from shining through the transparent one
        _box(ax, x, y, facecolor="white", edgecolor="none", zorder=2.5)
        fill, alpha = (color, 0.35) if kind == "gate" else ("white", 1)
        _box(ax, x, y, facecolor=fill, edgecolor=color, linewidth=1.4, alpha=alpha, zorder=3)
    if text:
        background = (
            {"facecolor": "white", "edgecolor": "none", "pad": 1} if kind == "end" else None
        )
        ax.text(x, y, text, ha="center", va="center", fontsize=9, zorder=4, bbox=background)


def _box(
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
    if not (
        isinstance(steps, int) and isinstance(depth, int) and 2 <= steps <= 12 and 1 <= depth <= 8
    ):
        raise ValueError(
            f"An unrolled network has 2 to 12 steps and 1 to 8 layers, got {steps!r} and {depth!r}."
        )
    figure = new_figure(1.5 + 0.85 * depth)
    ax = figure.subplots()
    ax.set(xlim=(-0.9, steps + 0.6), ylim=(-1.2, depth + 0.75))
    ax.axis("off")
    arrow = {"arrowstyle": "-|>", "color": "black", "shrinkA": 0, "shrinkB": 0}
    records = []
    for t in range(1, steps + 1):
        for layer in range(depth):
            _box(ax, t, layer, 0.27, 0.21, 0.05, facecolor="white", edgecolor="black")
            ax.text(t, layer, "cell", ha="center", va="center", fontsize=9)
            ax.annotate("", (t - 0.28, layer), (t - 0.72, layer), arrowprops=arrow)
            ax.annotate("", (t, layer + 0.75), (t, layer + 0.22), arrowprops=arrow)
            records.append((t, layer + 1))
        ax.annotate("", (t, -0.22), (t, -0.6), arrowprops=arrow)
        ax.text(t, -0.75, rf"$\mathbf{{x}}_{{{t}}}$", ha="center", va="center")
    for layer in range(depth):
        ax.text(
            0.05,
            layer,
            rf"$\mathbf{{h}}_0$ of layer {layer + 1}",
            ha="right",
            va="center",
            fontsize=8.5,
        )
    ax.text(steps, depth - 0.08, "answer", ha="center", va="bottom", fontsize=9)
    back = arrow | {"color": "#b22222", "linestyle": (0, (4, 2))}
    ax.annotate("", (1, -1.08), (steps, -1.08), arrowprops=back)
    ax.text(steps + 0.05, -1.08, "gradient", color="#b22222", va="center", fontsize=9)
    figure.alt = (
        f"A network of {depth} layers unrolled over {steps} time steps: the same cell at every"
        " step, states from left to right."
    )
    figure.caption = (
        f"{OURS}. A network of {depth} layers, unrolled over {steps} time steps. Along a row all"
        " boxes are one and the same cell, with the same weights. States go to the right, what a"
        " layer shows goes up, and the gradient of the answer goes back through every step."
    )
    figure.tables = {"unrolled": pd.DataFrame(records, columns=["step", "layer"])}
    return figure
