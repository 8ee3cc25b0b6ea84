"""Tables 1, App.1 and App.2 of the paper, drawn: ours in black, the paper's in grey."""

import math

import pandas as pd

from rnnkit import paper
from rnnkit.analysis import in_order
from rnnkit.exhibits.base import points
from rnnkit.figures.style import GREY, new_figure, style_of, styled
from rnnkit.figures.words import write_budget
from rnnkit.wording import label_of, layers

LINE, LETTER, GAP = 0.235, 0.079, 0.22  # inches: a row, a letter of 9 points, between columns
NONE = "-"


def _drawn(
    name: str,
    frame,
    heads: list[str],
    body: list[list[str]],
    theirs,
    groups=(),
    rules=(),
    colors=None,
):
    """A table with rules above, below and under its head. `theirs(row, column)` is whether a cell
    is the paper's; `groups` are (title, first column, last column) over the head, `rules` the rows
    with a thin line above, `colors` those of the first column.
    """
    cells = [heads, *body]
    widths = [LETTER * max(len(row[k]) for row in cells) + GAP for k in range(len(heads))]
    for title, first, last in groups:  # a group's title may be longer than what it stands above
        widths[last] += max(0.0, LETTER * len(title) + GAP - sum(widths[first : last + 1]))
    width, rows = sum(widths), len(cells) + bool(groups)
    ends = [sum(widths[: k + 1]) for k in range(len(widths))]
    figure = new_figure(max(6.4, width + 0.3), LINE * rows + 0.75)
    ax = figure.subplots()
    ax.set(xlim=(0, max(6.1, width)), ylim=(rows, 0))
    ax.axis("off")
    for title, first, last in groups:
        left, right = ends[first] - widths[first] + GAP / 2, ends[last] - GAP / 4
        ax.text((left + right) / 2, 0.5, title, ha="center", va="center", fontsize=9)
        ax.plot([left, right], [0.97, 0.97], color="black", linewidth=0.5)
    top = int(bool(groups))
    for y, row in enumerate(cells):
        for x, text in enumerate(row):
            color = GREY if theirs(y - 1, x) else "black"
            if x == 0 and y and colors:
                color = colors[y - 1] or color
            at, side = (ends[x] - GAP / 3, "right") if x else (GAP / 3, "left")
            weight = "bold" if x == 0 and y else "normal"
            ax.text(
                at,
                top + y + 0.5,
                text,
                ha=side,
                va="center",
                color=color,
                fontsize=9,
                fontweight=weight,
            )
    for y, thick in (
        (0, 1.2),
        (top + 1, 0.8),
        (rows, 1.2),
        *((top + 1 + row, 0.3) for row in rules),
    ):
        ax.plot([0, width], [y, y], color="black", linewidth=thick, clip_on=False)
    write_budget(figure, name, frame)
    return figure


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
        theirs = int(part.paper_n_layers.iloc[0])
        groups.append((layers(depth), len(heads), len(heads) + 2))
        heads += [
            "% infeasible [95 %]",
            "of",
            "paper" if theirs == depth else f"paper, {layers(theirs)}",
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
    return _drawn(
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
    return _drawn(
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
        theirs = int(part.paper_n_layers.iloc[0])
        groups += [
            (f"{layers(depth)}, ours", len(heads), len(heads) + 2),
            (f"paper, {layers(theirs)}", len(heads) + 3, len(heads) + 5),
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
    return _drawn(
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
