"""How every figure looks: one colour, marker and line for each architecture, the paper's values in
grey, units on the axes.

A figure is at most WIDTH inches wide, and no text in it is smaller than SMALL points. On a page that
shows it 850 pixels wide, as GitHub does, its smallest letters are SMALL / 72 * 850 / WIDTH = 10.4
pixels high.
"""

import base64
import functools
import io
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib
import matplotlib.image
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist, getp, setp
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgb, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator
from matplotlib.transforms import offset_copy
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike
from seaborn.utils import relative_luminance

from rnnkit.wording import label_of, layers

WIDTH = 8.5  # inches
SMALL = 7.5  # points
GREY, PALE = "#6b6b6b", "#ececec"
DASHED = (0, (6, 2))  # a line of the paper's values
DOTTED = (0, (1, 1.5))  # a line of exact values
GUIDE = {"color": GREY, "linewidth": 1, "linestyle": DASHED, "zorder": 1}
NIGHT = (13, 17, 23)  # the background of figures for dark pages, RGB: that of GitHub
LIFT = 0.85  # power of the lightness on dark pages: below 1 makes it lighter


class Style(NamedTuple):
    color: str
    marker: str
    line: object  # a matplotlib line style

    @property
    def points(self) -> dict[str, Any]:
        """The settings of `plot` for points alone."""
        return {"color": self.color, "marker": self.marker, "linestyle": "none"}

    @property
    def curve(self) -> dict[str, Any]:
        """The settings of `plot` for a line with points."""
        return self.points | {"linestyle": self.line}


# The colours of Okabe & Ito (2008) can be told apart with every kind of colour blindness. Their yellow
# is left out, since it is hard to see on white.
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
# On dark pages light and dark change places, which makes light colours dull and swaps the two blues.
# These architectures get a lighter twin there, with a contrast of 3 or more to NIGHT.
DARK_COLORS = {"rnn": "#4f9df5", "+rnn": "#a9dcff", "lstm": "#e59aca", "janet": "#a697ff"}
MORE_COLORS = ("#000000", "#005c5c", "#b22222", "#4b0082", "#5f9e6e")
MORE_MARKERS = ("X", ">", "d", "8", "H")
MORE_LINES = ("-", (0, (6, 1)), (0, (2, 1)))
# the fill of a marker shows the depth; that of any other depth is "bottom"
FILL = {1: "full", 2: "left", 4: "none", 8: "top"}


def style_of(architectures: Iterable[str]) -> dict[str, Style]:
    """The style of each architecture. Those of the kit's cells are fixed; others, such as a user's own
    cell, get the next styles in alphabetical order.
    """
    names = set(architectures)
    fixed = PAPER_STYLE | LATER_STYLE
    more = map(Style, *map(itertools.cycle, (MORE_COLORS, MORE_MARKERS, MORE_LINES)))
    unknown = dict(zip(sorted(names - set(fixed)), more))
    return {a: style for a, style in fixed.items() if a in names} | unknown


def color_of(architecture: str) -> str:
    return style_of([architecture])[architecture].color


def look() -> dict:
    """The matplotlib settings of all figures. In SVG, text stays text, and ids are the same in every
    run.
    """
    return {
        **sns.axes_style("ticks"),
        **sns.plotting_context("paper", font_scale=1.0),
        "font.family": "DejaVu Sans",
        "axes.titlesize": 9,
        "axes.labelsize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "lines.linewidth": 1.4,
        "lines.markersize": 5,
        "figure.dpi": 110,
        "savefig.dpi": 180,
        "svg.fonttype": "none",
        "svg.hashsalt": "rnnkit",
    }


def house_style(draw: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function draw with our settings, and leaves the reader's own settings as they are."""

    @functools.wraps(draw)
    def figure_function(*args: Any, **kwargs: Any) -> Any:
        with matplotlib.rc_context(look()):
            return draw(*args, **kwargs)

    return figure_function


class Drawing(Figure):
    """A figure that belongs to no window, so that it can be drawn anywhere. A notebook shows it with
    its `alt` text.

    A figure that is not made of trials also carries its `caption`, and its `tables` by file name.
    """

    alt = caption = ""
    tables = {}

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        buffer = io.BytesIO()
        with matplotlib.rc_context(look()):
            self.savefig(buffer, format="png", dpi=self.dpi)
        image = base64.b64encode(buffer.getvalue()).decode()
        return {"image/png": image, "text/plain": self.alt}, {"image/png": {"alt": self.alt}}


def new_figure(height: float) -> Drawing:
    """An empty figure, `height` inches high and as wide as all figures are."""
    return Drawing(figsize=(WIDTH, height), layout="constrained")


def for_dark_pages(pixels: np.ndarray) -> np.ndarray:
    """A picture (height x width x RGB, bytes) with light and dark exchanged: white becomes NIGHT,
    black becomes white, and every colour keeps its hue. Shades in between come out a little lighter
    than exactly mirrored, since thin coloured lines are harder to see on black.
    """
    rgb = pixels[..., :3].astype(np.int16)
    mirror = 255 + rgb - rgb.max(-1, keepdims=True) - rgb.min(-1, keepdims=True)
    lift = (np.arange(256) / 255) ** LIFT
    night = np.array(NIGHT)
    tables = np.rint(night + lift[:, None] * (255 - night)).astype(np.uint8)  # level x channel
    return tables[mirror, np.arange(3)]


def before_darkness(color: ColorType) -> np.ndarray:
    """The RGB colour, in [0, 1], that `for_dark_pages` turns into `color`."""
    night = np.array(NIGHT) / 255
    level = ((to_rgb(color) - night) / (1 - night)).clip(0) ** (1 / LIFT)
    return 1 + level - level.max() - level.min()


def dark_picture(figure: Figure) -> np.ndarray:
    """The pixels of a figure for dark pages, with the colours of `DARK_COLORS`. The figure itself does
    not change.
    """
    fixed = PAPER_STYLE | LATER_STYLE
    twins = {
        to_rgb(fixed[name].color): before_darkness(color) for name, color in DARK_COLORS.items()
    }
    picture = io.BytesIO()
    with recolor(figure, twins):
        figure.savefig(picture, format="png")
    picture.seek(0)
    return for_dark_pages(np.rint(255 * matplotlib.image.imread(picture)))


@contextmanager
def recolor(figure: Figure, twins: dict) -> Iterator[None]:
    """A context in which everything in the figure that has a colour of `twins` (RGB -> RGB, in [0, 1])
    is drawn in that colour's twin, as transparent as before.
    """
    originals = []
    for artist in figure.findobj():
        for role in ("color", "facecolor", "edgecolor"):
            if not hasattr(artist, f"get_{role}") or not hasattr(artist, f"set_{role}"):
                continue
            original = getp(artist, role)
            colors = [tuple(rgba) for rgba in to_rgba_array(original)]
            new_colors = [(*twins.get(rgba[:3], rgba[:3]), rgba[3]) for rgba in colors]
            if new_colors != colors:
                originals.append((artist, role, original))
                setp(artist, **{role: new_colors if len(new_colors) > 1 else new_colors[0]})
    try:
        yield
    finally:
        for artist, role, original in reversed(originals):
            setp(artist, **{role: original})


def write_title(figure: Figure, text: str) -> None:
    """Writes a title in grey on top, so that a figure that travels alone still says what it is."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=8, color=GREY)


def label_rows(
    ax: Axes, labels: Sequence[str], top: float = -0.5, bottom: float = 0.5, **settings: Any
) -> None:
    """Labels the rows 0, 1, ... of a panel that has no other y-axis, from the top; `top` and `bottom`
    are the distances of the edges from the first and the last row.
    """
    ax.set_yticks(range(len(labels)), labels, **settings)
    ax.set_ylim(len(labels) - 1 + bottom, top)
    ax.tick_params(axis="y", length=0)


def letter(ax: Axes, text: str, title: str) -> None:
    """Writes the letter of a panel on the left, and what it shows in the middle."""
    ax.set_title(text, loc="left", fontweight="bold", fontsize=11)
    ax.set_title(title)


def short(number: float) -> str:
    """A number in short: 300, 1K, 30K, 1.5M."""
    for size, unit in ((1e6, "M"), (1e3, "K")):
        if number >= size:
            return f"{number / size:.4g}{unit}"
    return f"{number:.4g}"


def parameters_axis(
    ax: Axes, sizes: Iterable[int], name: str = "parameters", fewest: float = math.inf
) -> None:
    """A logarithmic x-axis with a tick at each size that was trained, except where its label would
    touch another.

    `fewest` are the parameters of the smallest network. They are fewer than the smallest size, since
    whole units leave part of the budget unused.
    """
    low = min(min(sizes) / 1.8, fewest / 1.2)
    high = 1.35 * max(sizes)
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    room = np.log(high / low) / 5
    ticks = [max(sizes)]
    for size in sorted(sizes, reverse=True):
        if np.log(ticks[-1] / size) > room:
            ticks.append(size)
    ax.set_xticks(ticks, [short(size) for size in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(name)


def round_numbers(low: float, high: float, digits: Iterable[int]) -> list[float]:
    """The numbers between two that are one of some digits, followed by zeros, such as 0.1, 0.3 and 1."""
    numbers = (digit * 10.0**power for power in range(-10, 9) for digit in digits)
    return [number for number in numbers if low <= number <= high]


def log_ticks(axis: Axis, text: Callable[[float], str] = short) -> None:
    """Labels a logarithmic axis with 300, 1K and so on instead of powers of ten, or with what `text`
    makes of a number. A short axis also gets ticks between the powers.
    """
    low, high = axis.get_view_interval()
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    if high / low < 300:
        steps = (1, 2, 3, 5) if high / low < 30 else (1, 3)
        axis.set_ticks(round_numbers(low, high, steps))
    axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))


def grey_line(ax: Axes, x: ArrayLike, y: ArrayLike, line: object = DASHED, **settings: Any) -> None:
    """Draws a line of values that are not measured, such as the paper's or those of theory."""
    ax.plot(x, y, **GUIDE | {"linestyle": line} | settings)


def reference(ax: Axes, value: float, text: str = "") -> None:
    """Draws the paper's value as a grey line, with a label outside the axes, where no data can be."""
    ax.axhline(value, **GUIDE)
    if text:
        write_at_right(ax, value, text)


def write_at_right(ax: Axes, value: float, text: str) -> None:
    """Writes a small text to the right of the axes, at the height `value`."""
    write_beside(ax, text, (1, value), (4, 0), xycoords=("axes fraction", "data"))


def write_beside(
    ax: Axes, text: str, point: tuple[float, float], offset: tuple[float, float], **settings: Any
) -> None:
    """Writes a small text beside a point, of the data or in other `xycoords`; the `offset` is in points
    (1/72 inch).
    """
    settings = {"color": GREY, "va": "center", "fontsize": SMALL} | settings
    ax.annotate(text, point, offset, textcoords="offset points", **settings)


def write_note(ax: Axes, text: str, x: float = 0.5, y: float = 0.5, **settings: Any) -> None:
    """Writes a few words in grey into a panel, such as why it is empty; no line runs through them."""
    settings = {"ha": "center", "va": "center", "color": GREY, "fontsize": 8.5} | settings
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.8}
    ax.text(x, y, text, transform=ax.transAxes, bbox=ground, zorder=2, **settings)


def coloured_table(
    ax: Axes,
    values: np.ndarray,
    colors: np.ndarray,
    row_names: Sequence[str],
    column_names: Sequence[str],
    bold: np.ndarray | None = None,
    **settings: Any,
) -> None:
    """Draws a table of numbers (rows x columns) with its first row on top, on a ground coloured by
    `colors`; `bold` says which numbers are bold. The settings are those of pcolormesh.
    """
    mesh = ax.pcolormesh(np.ma.masked_invalid(colors), edgecolors="white", **settings)
    ax.set_xticks(np.arange(len(column_names)) + 0.5, column_names)
    ax.set_yticks(np.arange(len(row_names)) + 0.5, row_names)
    ax.tick_params(length=0)
    ax.invert_yaxis()
    _write_values(ax, mesh, values, np.zeros(values.shape, bool) if bold is None else bold)


def _write_values(ax: Axes, mesh: QuadMesh, values: np.ndarray, bold: np.ndarray) -> None:
    """Writes the numbers onto the coloured fields, in black or in white, whichever has more contrast
    (black above a relative luminance of 0.18); "-" for nan.
    """
    for (row, column), value in np.ndenumerate(values):
        is_number = np.isfinite(value)
        ground = mesh.cmap(mesh.norm(mesh.get_array()[row, column])) if is_number else "white"
        ax.text(
            column + 0.5,
            row + 0.5,
            f"{value:.2f}".replace("-0.00", "0.00") if is_number else "-",
            ha="center",
            va="center",
            fontsize=8.5 if values.shape[1] < 8 else SMALL,
            fontweight="bold" if bold[row, column] else "normal",
            color="black" if relative_luminance(ground) > 0.18 else "white",
        )


def legend(
    figure: Figure,
    handles: Sequence[Artist],
    columns: int | None = None,
    location: str = "outside lower center",
) -> None:
    """Draws one legend below all panels, in as few and as even rows as fit the width. A legend in
    another `location` needs its number of `columns`.
    """
    if columns is None:
        most = next(n for n in range(len(handles), 0, -1) if _legend_width(handles, n) < WIDTH)
        columns = math.ceil(len(handles) / math.ceil(len(handles) / most))
    figure.legend(handles=handles, loc=location, ncols=columns, handlelength=2.6, columnspacing=1.6)


def legend_panel(ax: Axes, handles: Sequence[Artist]) -> None:
    """Draws a legend in a panel of its own."""
    ax.set_axis_off()
    ax.legend(handles=handles, loc="center", handlelength=3, labelspacing=0.6)


def _legend_width(handles: Sequence[Artist], columns: int) -> float:
    """About how wide a legend is, in inches, if its entries fill column by column."""
    parts = np.array_split([len(handle.get_label()) for handle in handles], columns)
    letters = 0.58 * sum(max(lengths) for lengths in parts) + columns * (2.6 + 0.8 + 1.6)
    return letters * matplotlib.rcParams["legend.fontsize"] / 72


def line_key(
    label: str, line: object = DASHED, width: float = 1.0, color: ColorType = GREY, **settings: Any
) -> Line2D:
    """The entry of a legend for a line that belongs to no architecture."""
    return Line2D([], [], color=color, linewidth=width, linestyle=line, label=label, **settings)


# what a caption says about the lines of `half_search`
HALF_SEARCH = " Thin lines run to what half of the search would have found in 39 of 40 cases."


def half_search_key() -> Line2D:
    """The entry of a legend for the lines of `half_search`."""
    return line_key("from what half of the search would have found", "-", 1.2, alpha=0.6)


def half_search(
    ax: Axes,
    points: pd.DataFrame,
    half: str,
    best: str,
    at: str,
    color: ColorType,
    horizontal: bool = False,
    **settings: Any,
) -> None:
    """Draws a thin line from each best trial of `points` to what half of its search would have found
    in 39 of 40 cases.

    The columns `half` and `best` are the two ends of a line, and the column `at` is its position on
    the other axis, which is the x-axis, or the y-axis if `horizontal`. There is no line to the other
    side, since the best of a search is itself a bound on what a network can do.
    """
    lines = ax.hlines if horizontal else ax.vlines
    settings = {"color": color, "linewidth": 1.2, "alpha": 0.6, "zorder": 2} | settings
    lines(points[at], points[half], points[best], **settings)


def architecture_keys(architectures: Iterable[str], lines: bool = True) -> list[Line2D]:
    """The entries of a legend, one for each architecture."""
    return [
        Line2D([], [], label=label_of(a), **(s.curve if lines else s.points))
        for a, s in style_of(architectures).items()
    ]


def depth_keys(depths: Iterable[int]) -> list[Line2D]:
    """The entries of a legend, one for each depth."""
    return [fill_key(layers(depth), FILL.get(depth, "bottom")) for depth in sorted(depths)]


def fill_key(label: str, fill: str) -> Line2D:
    """The entry of a legend for what is shown by the fill of a marker."""
    return line_key(label, "none", marker="o", fillstyle=fill, markerfacecoloralt="white")


def draw_search(
    ax: Axes,
    trials: pd.Series,
    values: pd.Series | None,
    curve: pd.Series,
    s: Style,
    steps: bool,
    label: str,
) -> None:
    """Draws one search: a dot for the value of each trial, if there are `values`, and a curve with a
    few markers, in steps or not.
    """
    if values is not None:
        dots = {"markersize": 2.4, "alpha": 0.45, "markeredgewidth": 0}
        ax.plot(trials, values, "o", color=s.color, zorder=1, **dots)
    spacing = max(1, len(trials) // 4)
    ax.plot(
        trials,
        curve,
        markersize=4,
        linewidth=1.3,
        markevery=(spacing - 1, spacing),
        drawstyle="steps-post" if steps else "default",
        label=label,
        zorder=3,
        **s.curve,
    )


HALF = {  # column of a best trial -> that of what half of the search would have found
    "bits": "bits_low",
    "bits_per_param": "bits_per_param_low",
    "loss": "loss_high",
    "excess": "excess_high",
}


def curves(
    ax: Axes,
    best: pd.DataFrame,
    y: str,
    x: str = "num_params",
    lines: bool = True,
    depths: bool = True,
    spacing: float = 0.0,
    **options: Any,
) -> None:
    """Draws a curve for each architecture and depth through its best trials, and their `half_search`
    if the frame has it.

    Where many curves have the same x, a `spacing` (in points) sets them side by side; the caller then
    has to set the limits of the axes.
    """
    style = style_of(best.architecture)
    half = HALF.get(y)
    for (architecture, depth), curve in best.groupby(["architecture", "n_layers"], sort=False):
        s = style[architecture]
        curve = curve.sort_values(x)
        shift_points = spacing * (list(style).index(architecture) - (len(style) - 1) / 2)
        shift = offset_copy(ax.transData, ax.figure, shift_points, 0, units="points")
        offset = {"transform": shift} if spacing else {}
        if half is not None and half in curve:
            half_search(ax, curve, half, y, x, s.color, **offset)
        settings = {
            **(s.curve if lines else s.points),
            "markerfacecoloralt": "white",
            "fillstyle": FILL.get(depth, "bottom") if depths else "full",
            "label": f"{architecture}/{depth}",
            "zorder": 3,
        }
        ax.plot(curve[x], curve[y], **settings | offset | options)


def sizes_in_colour(table: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame, np.ndarray, str]]:
    """For each size in parameters: the size, its rows of the table, a colour and a marker."""
    colors = matplotlib.colormaps["viridis"](np.linspace(0.05, 0.8, table.max_params.nunique()))
    groups = table.groupby("max_params")
    for (size, group), color, marker in zip(groups, colors, itertools.cycle("osD^vP")):
        yield size, group, color, marker


def axis_top(values: pd.Series, least: float) -> float:
    """The upper end of an axis that holds the data and the paper's value, with some room above them."""
    return 1.12 * np.nanmax([least, *values])
