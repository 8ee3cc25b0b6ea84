"""How every figure looks: one colour, marker and line for each architecture, the paper's values in
grey, units on the axes.
"""

import base64
import io
import math
from functools import wraps
from typing import NamedTuple

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from rnnkit.wording import label_of, layers

GREY, PALE = "#6b6b6b", "#ececec"


class Style(NamedTuple):
    color: str
    marker: str
    line: object  # a matplotlib line style


# Okabe & Ito 2008, told apart with every kind of colour blindness; its yellow is left out, being
# hard to see on white.
PAPER_STYLE = {
    "rnn": Style("#0072B2", "o", "-"),
    "irnn": Style("#E69F00", "v", (0, (1, 1))),
    "ugrnn": Style("#009E73", "s", (0, (5, 1.5))),
    "gru": Style("#D55E00", "^", "-"),
    "lstm": Style("#CC79A7", "D", (0, (4, 1, 1, 1))),
    "+rnn": Style("#56B4E9", "P", (0, (3, 1))),
    "linear": Style("#000000", "o", "-"),
}
LATER_STYLE = {  # cells that the kit ships beside the paper's
    "mgu": Style("#8c564b", "*", "-"),
    "janet": Style("#7a5fd0", "p", (0, (6, 1))),
    "mingru": Style("#7f7f00", "h", (0, (2, 1))),
    "minlstm": Style("#a6005a", "<", "-"),
}
MORE_COLORS = ("#000000", "#005c5c", "#b22222", "#4b0082", "#5f9e6e")
MORE_MARKERS, MORE_LINES = ("X", ">", "d", "8", "H"), ("-", (0, (6, 1)), (0, (2, 1)))
# the marker's fill tells the depth; any other depth: "bottom"
FILL = {1: "full", 2: "left", 4: "none", 8: "top"}


def style_of(architectures) -> dict[str, Style]:
    """Style of each architecture: those of the kit's cells are fixed; others, such as a user's own
    cell, get the next ones by name.
    """
    fixed = PAPER_STYLE | LATER_STYLE
    others = sorted(set(architectures) - set(fixed))
    made = [
        Style(
            MORE_COLORS[i % len(MORE_COLORS)],
            MORE_MARKERS[i % len(MORE_MARKERS)],
            MORE_LINES[i % len(MORE_LINES)],
        )
        for i in range(len(others))
    ]
    return {a: fixed[a] for a in fixed if a in set(architectures)} | dict(zip(others, made))


def look() -> dict:
    """matplotlib settings of all figures; text stays text in SVG and its ids do not change from run
    to run.
    """
    return {
        **sns.axes_style("ticks"),
        **sns.plotting_context("paper", font_scale=1.0),
        "font.family": "DejaVu Sans",
        "axes.titlesize": 9,
        "axes.labelsize": 9,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "lines.linewidth": 1.4,
        "lines.markersize": 5,
        "figure.dpi": 110,
        "savefig.dpi": 180,
        "svg.fonttype": "none",
        "svg.hashsalt": "rnnkit",
    }


def styled(draw):
    """Decorates a figure function, so that it draws with our settings and leaves the reader's own
    alone.
    """

    @wraps(draw)
    def drawn(*args, **kwargs):
        with matplotlib.rc_context(look()):
            return draw(*args, **kwargs)

    return drawn


class Drawing(Figure):
    """A figure that belongs to no window, so that it can be drawn anywhere, and that a notebook
    shows with its `alt` text.

    One that is made of other things than trials also carries its `caption`, and its `tables` by
    file name.
    """

    alt = caption = ""
    tables = {}

    def _repr_mimebundle_(self, include=None, exclude=None):
        buffer = io.BytesIO()
        with matplotlib.rc_context(look()):
            self.savefig(buffer, format="png", dpi=self.dpi)
        image = base64.b64encode(buffer.getvalue()).decode()
        return {"image/png": image, "text/plain": self.alt}, {"image/png": {"alt": self.alt}}


def new_figure(width: float, height: float) -> Drawing:
    """An empty figure, in inches."""
    return Drawing(figsize=(width, height), layout="constrained")


def letter(ax, text: str, title: str):
    """Panel letter on the left, what the panel shows in the middle."""
    ax.set_title(text, loc="left", fontweight="bold", fontsize=11)
    ax.set_title(title)


def short(number: float) -> str:
    """300, 1K, 30K, 1.5M."""
    for size, unit in ((1e6, "M"), (1e3, "K")):
        if number >= size:
            return f"{number / size:.4g}{unit}"
    return f"{number:.4g}"


def parameters_axis(ax, sizes, name="parameters"):
    """Logarithmic x-axis with a tick at each size that was trained, dropping those that would touch
    their neighbour.
    """
    low, high = min(sizes), max(sizes)
    ax.set_xscale("log")
    ax.set_xlim(low / 2.4, high * 1.6)  # whole units leave part of a small budget unused
    room, kept = np.log(high * 1.6 * 2.4 / low) / 5, []
    for size in sorted(sizes, reverse=True):
        if not kept or np.log(kept[-1] / size) > room:
            kept.append(size)
    ax.set_xticks(kept, [short(size) for size in kept])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(name)


def log_ticks(axis):
    """A logarithmic axis labelled 300, 1K instead of powers, and at 3 or more between them where it
    is short.
    """
    low, high = axis.get_view_interval()
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    if high / low < 300:
        steps = (1, 2, 3, 5) if high / low < 30 else (1, 3)
        axis.set_ticks(
            [m * 10.0**e for e in range(-2, 9) for m in steps if low <= m * 10.0**e <= high]
        )
    axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))


def reference(ax, value: float, text: str | None, color=GREY, line=(0, (6, 2))):
    """The paper's value as a grey line, labelled outside the axes where no data can be."""
    ax.axhline(value, color=color, linewidth=1, linestyle=line, zorder=1)
    if text:
        write_at_right(ax, value, text, color)


def write_at_right(ax, value: float, text: str, color=GREY):
    """Small text on the right of the axes at the height `value`."""
    ax.annotate(
        text,
        (1, value),
        (4, 0),
        ("axes fraction", "data"),
        "offset points",
        color=color,
        va="center",
        fontsize=7.5,
    )


def write_note(ax, text: str, x: float = 0.5, y: float = 0.5):
    """Says in grey why a panel is empty, at a place without lines."""
    ax.text(x, y, text, transform=ax.transAxes, ha="center", va="center", color=GREY, fontsize=8.5)


def legend(figure, handles, columns: int):
    """One legend below all panels, in as few rows of at most `columns` as it takes, filled evenly."""
    rows = math.ceil(len(handles) / columns)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=math.ceil(len(handles) / rows),
        handlelength=2.6,
        columnspacing=1.6,
    )


def architecture_keys(architectures, lines=True) -> list[Line2D]:
    """Entries of a legend, one for each architecture."""
    return [
        Line2D(
            [],
            [],
            color=s.color,
            marker=s.marker,
            linestyle=s.line if lines else "none",
            label=label_of(a),
        )
        for a, s in style_of(architectures).items()
    ]


def depth_keys(depths) -> list[Line2D]:
    """Entries of a legend, one for each depth by the fill of its marker."""
    settings = {"color": GREY, "marker": "o", "linestyle": "none", "markerfacecoloralt": "white"}
    return [
        Line2D([], [], fillstyle=FILL.get(depth, "bottom"), label=layers(depth), **settings)
        for depth in sorted(depths)
    ]


def curves(ax, best, y: str, x="num_params", lines=True, depths=True, **options):
    """A curve for each architecture and depth of a frame, through its best trials."""
    style = style_of(best.architecture)
    for (architecture, depth), curve in best.groupby(["architecture", "n_layers"], sort=False):
        s, curve = style[architecture], curve.sort_values(x)
        settings = {
            "color": s.color,
            "marker": s.marker,
            "linestyle": s.line if lines else "none",
            "markerfacecoloralt": "white",
        } | options
        fill = FILL.get(depth, "bottom") if depths else "full"
        ax.plot(
            curve[x],
            curve[y],
            fillstyle=fill,
            label=f"{architecture}/{depth}",
            zorder=3,
            **settings,
        )
