"""Tables 1, App.1 and App.2 of the paper, drawn: ours in black, the paper's in grey."""

import math

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.analysis import in_order
from rnnkit.exhibits.base import points
from rnnkit.figures.style import GREY, SMALL, WIDTH, new_figure, style_of, styled
from rnnkit.figures.words import write_budget
from rnnkit.wording import label_of, layers

ROW, LETTER, GAP = 0.235, 0.00878, 0.22  # inches: a row, a letter per point, between columns
LARGE = 9  # points, where the table fits
NONE = "-"


def _table_figure(name, frame, heads, body, is_papers, groups=(), rules=(), colors=None):
    """A table with rules above, below and under its head, in letters as large as fit.

    `heads` is a row of text, `body` the rows below it. `is_papers(row, column)` is whether a field is
    the paper's; `groups` are (title, first column, last column) over the head, `rules` the rows
    with a thin line above, `colors` those of the first column.
    """
    fields = [heads, *body]
    size = LARGE
    while sum(widths := _widths(fields, groups, size)) > WIDTH - 0.3 and size > SMALL:
        size -= 0.25
    figure = new_figure(ROW * (len(fields) + bool(groups)) + 0.75)
    ax = figure.subplots()
    rows = len(fields) + bool(groups)
    ax.set(xlim=(0, max(WIDTH - 0.3, sum(widths))), ylim=(rows, 0))
    ax.axis("off")
    ends = np.cumsum(widths)
    _heads_of_groups(ax, groups, widths, ends, size)
    top = int(bool(groups))
    for y, row in enumerate(fields):
        for x, text in enumerate(row):
            color = GREY if is_papers(y - 1, x) else "black"
            if x == 0 and y and colors:
                color = colors[y - 1] or color
            place, side = (ends[x] - GAP / 3, "right") if x else (GAP / 3, "left")
            form = {"fontsize": size, "fontweight": "bold" if x == 0 and y else "normal"}
            ax.text(place, top + y + 0.5, text, ha=side, va="center", color=color, **form)
    thin = [(top + 1 + row, 0.3) for row in rules]
    for y, thick in ((0, 1.2), (top + 1, 0.8), (rows, 1.2), *thin):
        ax.plot([0, ends[-1]], [y, y], color="black", linewidth=thick, clip_on=False)
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


def _heads_of_groups(ax, groups, widths, ends, size: float):
    """The title of each group of columns, with a line below it."""
    for title, first, last in groups:
        left, right = ends[first] - widths[first] + GAP / 2, ends[last] - GAP / 4
        ax.text((left + right) / 2, 0.5, title, ha="center", va="center", fontsize=size)
        ax.plot([left, right], [0.97, 0.97], color="black", linewidth=0.5)


@styled
def table1(frame: pd.DataFrame):
    """Table 1: per cent of random sets that diverged, at 1 layer and at the deepest, with the
    paper's. ValueError without trials.
    """
    table = points("table1", frame)["table1"]
    depths, names = sorted(table.n_layers.unique()), in_order(table.architecture)
    heads, groups, body = [""], [], {a: [label_of(a)] for a in names}
    for depth in depths:
        part = table[table.n_layers == depth].set_index("architecture")
        paper_depth = int(part.paper_n_layers.iloc[0])
        groups.append((layers(depth), len(heads), len(heads) + 2))
        heads += [
            "% infeasible [95 %]",
            "of",
            "paper" if paper_depth == depth else f"paper, {layers(paper_depth)}",
        ]
        for a in names:
            row = part.loc[a] if a in part.index else None
            body[a] += (
                [NONE] * 3
                if row is None
                else [
                    f"{row.percent:.1f} [{row.low:.1f}, {row.high:.1f}]",
                    f"{row.trials:,.0f}",
                    _number(row.paper_percent, ".1f"),
                ]
            )
    colors = [s.color for s in style_of(names).values()]
    return _table_figure(
        "table1",
        frame,
        heads,
        list(body.values()),
        lambda y, x: x > 0 and x % 3 == 0,
        groups,
        colors=colors,
    )


@styled
def tableapp1(frame: pd.DataFrame):
    """Table App.1: the best of a search and its reruns, a row of ours above a row of the paper's.
    ValueError without trials.
    """
    table = points("tableapp1", frame)["tableapp1"]
    heads = [
        "",
        "",
        "original",
        "reruns",
        "% infeasible",
        "min",
        "mean",
        "max",
        "s.d.",
        "s.d./mean",
        "mean/original",
    ]
    body, colors = [], []
    for row in table.itertuples():
        names = ("min", "mean", "max", "sd", "sd_over_mean")
        body.append(
            [
                label_of(row.architecture),
                "ours",
                _number(row.original),
                f"{row.reruns}",
                (
                    f"{row.infeasible_percent:.0f} [{row.infeasible_low:.0f},"
                    f" {row.infeasible_high:.0f}]"
                ),
                *(_number(getattr(row, name)) for name in names),
                _ratio(row.mean_over_original, row.low, row.high),
            ]
        )
        known = row.architecture in paper.TABLE_APP1
        ratio = row.paper_mean / row.paper_original
        body.append(
            [
                "",
                "paper",
                _number(row.paper_original),
                "100" if known else NONE,
                _number(row.paper_infeasible_percent, ".0f"),
                *(_number(getattr(row, f"paper_{name}")) for name in names),
                _number(ratio, ".2f"),
            ]
        )
        colors += [style_of([row.architecture])[row.architecture].color, None]
    return _table_figure(
        "tableapp1",
        frame,
        heads,
        body,
        lambda y, x: y % 2 == 1 and y > 0,
        rules=range(2, len(body), 2),
        colors=colors,
    )


@styled
def tableapp2(frame: pd.DataFrame):
    """Table App.2: Welch's t, degrees of freedom and p for all pairs, ours and the paper's, and
    whether the signs agree. ValueError.
    """
    table = points("tableapp2", frame)["tableapp2"]
    pairs = sorted(
        set(zip(table["first"], table["second"])),
        key=lambda pair: (pair not in paper.TABLE_APP2, pair),
    )
    heads, groups, body = ["pair"], [], {pair: [" - ".join(map(label_of, pair))] for pair in pairs}
    for depth in sorted(table.n_layers.unique()):
        part = table[table.n_layers == depth].set_index(["first", "second"])
        paper_depth = int(part.paper_n_layers.iloc[0])
        groups += [
            (f"{layers(depth)}, ours", len(heads), len(heads) + 2),
            (f"paper, {layers(paper_depth)}", len(heads) + 3, len(heads) + 5),
        ]
        heads += ["t", "df", "p"] * 2 + ["sign"]
        for pair in pairs:
            if pair not in part.index:
                body[pair] += [NONE] * 7
                continue
            row = part.loc[pair]
            agree = NONE if pd.isna(row.same_sign) else "✓" if row.same_sign else "✗"
            ours, printed = (
                (
                    _number(row[f"{who}t"], "#.3g"),
                    _number(row[f"{who}df"], ",.0f"),
                    _p(row[f"{who}p"]),
                )
                for who in ("", "paper_")
            )
            body[pair] += [*ours, *printed, agree]
    return _table_figure(
        "tableapp2",
        frame,
        heads,
        list(body.values()),
        lambda y, x: x > 0 and (x - 1) % 7 in (3, 4, 5),
        groups,
    )


def _number(value, form: str = ".3g") -> str:
    return NONE if pd.isna(value) else f"{value:{form}}" if math.isfinite(value) else "inf"


def _ratio(value, low, high) -> str:
    return _number(value) if pd.isna(low) else f"{_number(value)} [{_number(low)}, {_number(high)}]"


def _p(value) -> str:
    """The paper's p of .001 stands for less than that."""
    return NONE if pd.isna(value) else "< .001" if value <= 0.001 else f"{value:.3f}".lstrip("0")
