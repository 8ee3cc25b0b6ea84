"""How every figure looks: one colour, marker and line for each architecture, the paper's values in
grey, units on the axes.

A figure is at most WIDTH inches wide and no text in it is smaller than SMALL points. A page that
shows it 850 pixels wide, as GitHub does, so gives its least letters SMALL / 72 * 850 / WIDTH = 10.4
pixels.
"""

import base64
import functools
import io
import itertools
import math
from contextlib import contextmanager
from typing import NamedTuple

import matplotlib
import matplotlib.image
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import to_rgb, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator
from matplotlib.transforms import offset_copy

from rnnkit.wording import label_of, layers

WIDTH = 8.5  # inches
SMALL = 7.5  # points
GREY, PALE = "#6b6b6b", "#ececec"
DASHED, DOTTED = (0, (6, 2)), (0, (1, 1.5))  # lines of the paper's values, and of what is exact
NIGHT = (13, 17, 23)  # the ground of figures for dark pages, RGB: GitHub's
LIFT = 0.85  # power of the lightness on dark pages: below 1 makes it lighter


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
# On dark pages light and dark change places, which makes light colours dull and swaps the two blues.
# These architectures get a lighter twin there, with a contrast of 3 or more to NIGHT.
DARK_COLORS = {"rnn": "#4f9df5", "+rnn": "#a9dcff", "lstm": "#e59aca", "janet": "#a697ff"}
MORE_COLORS = ("#000000", "#005c5c", "#b22222", "#4b0082", "#5f9e6e")
MORE_MARKERS, MORE_LINES = ("X", ">", "d", "8", "H"), ("-", (0, (6, 1)), (0, (2, 1)))
# the marker's fill tells the depth; any other depth: "bottom"
FILL = {1: "full", 2: "left", 4: "none", 8: "top"}


def style_of(architectures) -> dict[str, Style]:
    """Style of each architecture: those of the kit's cells are fixed; others, such as a user's own
    cell, get the next ones by name.
    """
    fixed = PAPER_STYLE | LATER_STYLE
    unknown = sorted(set(architectures) - set(fixed))
    later = [
        Style(
            MORE_COLORS[i % len(MORE_COLORS)],
            MORE_MARKERS[i % len(MORE_MARKERS)],
            MORE_LINES[i % len(MORE_LINES)],
        )
        for i in range(len(unknown))
    ]
    return {a: fixed[a] for a in fixed if a in set(architectures)} | dict(zip(unknown, later))


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


def house_style(draw):
    """Decorates a figure function, so that it draws with our settings and leaves the reader's own
    alone.
    """

    @functools.wraps(draw)
    def figure_function(*args, **kwargs):
        with matplotlib.rc_context(look()):
            return draw(*args, **kwargs)

    return figure_function


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


def new_figure(height: float) -> Drawing:
    """An empty figure, `height` inches high and as wide as all figures are."""
    return Drawing(figsize=(WIDTH, height), layout="constrained")


def for_dark_pages(pixels: np.ndarray) -> np.ndarray:
    """A picture (height x width x RGB, bytes) with light and dark exchanged: white becomes NIGHT,
    black becomes white, and every colour keeps its hue. What is between is a little lighter than
    its mirror image, since thin coloured lines are harder to see on black.
    """
    rgb = pixels[..., :3].astype(np.int16)
    mirror = 255 + rgb - rgb.max(-1, keepdims=True) - rgb.min(-1, keepdims=True)
    lift = (np.arange(256) / 255) ** LIFT
    night = np.array(NIGHT)
    tables = np.rint(night + lift[:, None] * (255 - night)).astype(np.uint8)  # level x channel
    return np.stack([tables[mirror[..., k], k] for k in range(3)], axis=-1)


def before_darkness(color) -> np.ndarray:
    """The RGB colour, in [0, 1], that `for_dark_pages` turns into `color`."""
    night = np.array(NIGHT) / 255
    level = ((np.array(to_rgb(color)) - night) / (1 - night)).clip(0) ** (1 / LIFT)
    return 1 + level - level.max() - level.min()


def dark_picture(figure) -> np.ndarray:
    """The pixels of a figure for dark pages, with the colours of `DARK_COLORS`; the figure itself stays
    as it is.
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
def recolor(figure, twins: dict):
    """Within this context, whatever has a colour of `twins` (RGB -> RGB, in [0, 1]) in the figure is
    drawn in its twin, as transparent as before.
    """
    originals = []
    for artist in figure.findobj():
        for role in ("color", "facecolor", "edgecolor"):
            getter, setter = (getattr(artist, f"{verb}_{role}", None) for verb in ("get", "set"))
            if getter is None or setter is None:
                continue
            original = getter()
            rgba = to_rgba_array(original)
            for color in rgba:
                color[:3] = twins.get(tuple(color[:3]), color[:3])
            if len(rgba) and not np.array_equal(rgba, to_rgba_array(original)):
                originals.append((setter, original))
                setter(rgba if len(rgba) > 1 else tuple(rgba[0]))
    try:
        yield
    finally:
        for setter, original in reversed(originals):
            setter(original)


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


def parameters_axis(ax, sizes, name="parameters", fewest=math.inf):
    """Logarithmic x-axis with a tick at each size that was trained, dropping those that would touch
    their neighbour.

    Whole units leave part of a small budget unused: `fewest` are the parameters of the smallest
    network.
    """
    low, high = min(min(sizes) / 1.8, fewest / 1.2), 1.35 * max(sizes)
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    room, ticks = np.log(high / low) / 5, []
    for size in sorted(sizes, reverse=True):
        if not ticks or np.log(ticks[-1] / size) > room:
            ticks.append(size)
    ax.set_xticks(ticks, [short(size) for size in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(name)


def log_ticks(axis, text=short):
    """A logarithmic axis labelled 300, 1K instead of powers, or by another `text` of a number, and
    at 3 or more between them where it is short.
    """
    low, high = axis.get_view_interval()
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    if high / low < 300:
        steps = (1, 2, 3, 5) if high / low < 30 else (1, 3)
        axis.set_ticks(
            [m * 10.0**e for e in range(-9, 9) for m in steps if low <= m * 10.0**e <= high]
        )
    axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))


def reference(ax, value: float, text: str | None, color=GREY, line=DASHED):
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
        fontsize=SMALL,
    )


def write_note(ax, text: str, x: float = 0.5, y: float = 0.5, **settings):
    """A few words in grey inside a panel, such as why it is empty; lines do not run through them."""
    settings = {"ha": "center", "va": "center", "color": GREY, "fontsize": 8.5} | settings
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.8}
    ax.text(x, y, text, transform=ax.transAxes, bbox=ground, zorder=2, **settings)


def write_values(ax, cells, values, form: str, bold=None):
    """The numbers of a table (rows x columns) on the coloured `cells` of a pcolormesh, black or
    white, whichever has more contrast there; "-" for nan.
    """
    for (row, column), value in np.ndenumerate(values):
        is_number = np.isfinite(value)
        ground = (
            cells.cmap(cells.norm(cells.get_array()[row, column])) if is_number else (1, 1, 1, 1)
        )
        ax.text(
            column + 0.5,
            row + 0.5,
            form.format(value).replace("-0.00", "0.00") if is_number else "-",
            ha="center",
            va="center",
            fontsize=8.5 if values.shape[1] < 8 else SMALL,
            fontweight="bold" if bold is not None and bold[row, column] else "normal",
            color="black" if _luminance(ground) > 0.18 else "white",
        )


def _luminance(color) -> float:
    """Relative luminance of WCAG 2; above 0.18, black has more contrast than white."""
    rgb = np.asarray(color[:3], float)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def legend(figure, handles, columns: int | None = None, location="outside lower center"):
    """One legend below all panels, in as few rows as it takes, filled evenly; with so many
    `columns`, where it stands elsewhere.
    """
    if columns is None:
        most = next(n for n in range(len(handles), 0, -1) if _legend_width(handles, n) < WIDTH)
        columns = math.ceil(len(handles) / math.ceil(len(handles) / most))
    figure.legend(handles=handles, loc=location, ncols=columns, handlelength=2.6, columnspacing=1.6)


def legend_panel(ax, handles):
    """A legend in a panel of its own."""
    ax.set_axis_off()
    ax.legend(handles=handles, loc="center", handlelength=3, labelspacing=0.6)


def _legend_width(handles, columns: int) -> float:
    """About how many inches a legend is wide: its entries fill column by column."""
    parts = np.array_split([len(handle.get_label()) for handle in handles], columns)
    letters = 0.58 * sum(max(lengths) for lengths in parts) + columns * (2.6 + 0.8 + 1.6)
    return letters * matplotlib.rcParams["legend.fontsize"] / 72


def line_key(label: str, line=DASHED, width=1.0, color=GREY, **settings) -> Line2D:
    """Entry of a legend for a line that belongs to no architecture."""
    return Line2D([], [], color=color, linewidth=width, linestyle=line, label=label, **settings)


# what a caption says of the lines that `half_search` draws
HALF_SEARCH = " Thin lines run to what half of the search would have found in 39 of 40 cases."


def half_search_key() -> Line2D:
    """Entry of a legend for what `half_search` draws."""
    return line_key("from what half of the search would have found", "-", 1.2, alpha=0.6)


def half_search(ax, points, half: str, best: str, at: str, color, horizontal=False, **settings):
    """A thin line at each best trial of `points` to what half of its search would have found in 39
    of 40 cases.

    `half` and `best` name the columns of the two ends, `at` that of the place on the other axis:
    the x-axis, or the y-axis if `horizontal`. The best of a search bounds what a network can do, so
    there is no line to its other side.
    """
    lines = ax.hlines if horizontal else ax.vlines
    settings = {"color": color, "linewidth": 1.2, "alpha": 0.6, "zorder": 2} | settings
    lines(points[at], points[half], points[best], **settings)


def architecture_keys(architectures, lines=True, markers=True) -> list[Line2D]:
    """Entries of a legend, one for each architecture."""
    return [
        Line2D(
            [],
            [],
            color=s.color,
            marker=s.marker if markers else "none",
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


HALF = {  # column of a best trial -> that of what half of the search would have found
    "bits": "bits_low",
    "bits_per_param": "bits_per_param_low",
    "loss": "loss_high",
    "excess": "excess_high",
}


def curves(ax, best, y: str, x="num_params", lines=True, depths=True, spacing=0.0, **options):
    """A curve for each architecture and depth of a frame, through its best trials, each with its
    `half_search` where the frame has it.

    Curves stand `spacing` points beside each other, where many have the same x; the caller then sets
    the limits of the axes.
    """
    style, half = style_of(best.architecture), HALF.get(y)
    for (architecture, depth), curve in best.groupby(["architecture", "n_layers"], sort=False):
        s, curve = style[architecture], curve.sort_values(x)
        shift_points = spacing * (list(style).index(architecture) - (len(style) - 1) / 2)
        shift = offset_copy(ax.transData, ax.figure, shift_points, 0, units="points")
        offset = {"transform": shift} if spacing else {}
        settings = {
            "color": s.color,
            "marker": s.marker,
            "linestyle": s.line if lines else "none",
            "markerfacecoloralt": "white",
        }
        fill = FILL.get(depth, "bottom") if depths else "full"
        if half is not None and half in curve:
            half_search(ax, curve, half, y, x, s.color, **offset)
        ax.plot(
            curve[x],
            curve[y],
            fillstyle=fill,
            label=f"{architecture}/{depth}",
            zorder=3,
            **settings | offset | options,
        )


def sizes_in_colour(table: pd.DataFrame):
    """The rows of each size in parameters, with a colour and a marker: (size, rows, colour,
    marker).
    """
    sizes = sorted(table.max_params.unique())
    colors = matplotlib.colormaps["viridis"](np.linspace(0.05, 0.8, len(sizes)))
    for size, color, marker in zip(sizes, colors, itertools.cycle("osD^vP")):
        yield size, table[table.max_params == size], color, marker


def axis_top(values, least: float) -> float:
    """Upper end of an axis that shows the data and the paper's value with some air."""
    return 1.12 * max(least, values.max() if values.notna().any() else 0)
