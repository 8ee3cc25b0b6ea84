"""Tables 1, App.1 and App.2 of the paper, drawn: ours in black, the paper's in grey."""

import math

import numpy as np
import pandas as pd

from rnnkit.exhibits.captions import write_budget
from rnnkit.exhibits.style import GREY, SMALL, WIDTH, new_figure

ROW, LETTER, GAP = 0.235, 0.00878, 0.22  # inches: a row, a letter per point, between columns
LARGE = 9  # points, where the table fits
NONE = "-"


def table_figure(name, frame, heads, body, is_papers, groups=(), rules=(), colors=None):
    """A table with rules above, below and under its head, in letters as large as fit.

    `heads` is a row of text, `body` the rows below it. `is_papers(row, column)` is whether a field is
    the paper's; `groups` are (title, first column, last column) over the head, `rules` the rows
    with a thin line above, `colors` those of the first column.
    """
    fields = [heads, *body]
    size: float = LARGE
    while sum(widths := _widths(fields, groups, size)) > WIDTH - 0.3 and size > SMALL:
        size -= 0.25
    figure = new_figure(ROW * (len(fields) + bool(groups)) + 0.75)
    ax = figure.subplots()
    n_rows = len(fields) + bool(groups)
    ax.set(xlim=(0, max(WIDTH - 0.3, sum(widths))), ylim=(n_rows, 0))
    ax.axis("off")
    right_edges = np.cumsum(widths)
    _heads_of_groups(ax, groups, widths, right_edges, size)
    top = int(bool(groups))
    for y, row in enumerate(fields):
        for x, text in enumerate(row):
            color = GREY if is_papers(y - 1, x) else "black"
            if x == 0 and y and colors:
                color = colors[y - 1] or color
            x_text, side = (right_edges[x] - GAP / 3, "right") if x else (GAP / 3, "left")
            form = {"fontsize": size, "fontweight": "bold" if x == 0 and y else "normal"}
            ax.text(x_text, top + y + 0.5, text, ha=side, va="center", color=color, **form)
    thin = [(top + 1 + row, 0.3) for row in rules]
    for y, thick in ((0, 1.2), (top + 1, 0.8), (n_rows, 1.2), *thin):
        ax.plot([0, right_edges[-1]], [y, y], color="black", linewidth=thick, clip_on=False)
    write_budget(figure, name, frame)
    return figure


def _widths(fields, groups, size: float) -> list[float]:
    """Inches of each column in letters of `size` points: a group's title may be longer than what it
    stands above.
    """
    letter = LETTER * size
    widths = [letter * max(len(row[k]) for row in fields) + GAP for k in range(len(fields[0]))]
    for title, first, last in groups:
        widths[last] += max(0.0, letter * len(title) + GAP - sum(widths[first : last + 1]))
    return widths


def _heads_of_groups(ax, groups, widths, right_edges, size: float):
    """The title of each group of columns, with a line below it."""
    for title, first, last in groups:
        x_left, x_right = right_edges[first] - widths[first] + GAP / 2, right_edges[last] - GAP / 4
        ax.text((x_left + x_right) / 2, 0.5, title, ha="center", va="center", fontsize=size)
        ax.plot([x_left, x_right], [0.97, 0.97], color="black", linewidth=0.5)


def number_or_dash(value, form: str = ".3g") -> str:
    return NONE if pd.isna(value) else f"{value:{form}}" if math.isfinite(value) else "inf"
