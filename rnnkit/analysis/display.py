"""A table of claims that shows itself in a notebook: whole sentences, numbers with their intervals,
verdicts in words and colour.
"""

import html
import math

import pandas as pd

from rnnkit.analysis.finding import FAILS, HOLDS
from rnnkit.markup import LEFT, table, text

COLOURS = {HOLDS: "#1a7f37", FAILS: "#cf222e"}  # dark enough on white, light enough on black
OTHER = "#6e7781"


class Verdicts(pd.DataFrame):
    """A table of claims. It is any other DataFrame, but for how a notebook shows it."""

    @property
    def _constructor(self):
        return Verdicts

    def _repr_html_(self):
        if "verdict" not in self.columns or not self.columns.is_unique:
            return super()._repr_html_()
        merged = {"low", "high"} if {"ours", "low", "high"} <= set(self.columns) else set()
        names = [name for name in self.columns if name not in merged]
        head = "".join(f'<th style="{LEFT}">{html.escape(str(name))}</th>' for name in names)
        body = "".join(
            f"<tr>{''.join(_cell(name, row) for name in names)}</tr>"
            for row in self.to_dict("records")
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


class Best(pd.DataFrame):
    """The best trials, a row each. It is any other DataFrame, but a notebook shows it on its side,
    a column for each trial, and of its columns those that differ.
    """

    @property
    def _constructor(self):
        return Best

    def _repr_html_(self):
        if not len(self) or not self.columns.is_unique:
            return super()._repr_html_()
        plain = self.astype(object).where(self.notna(), "-")
        same = [name for name in plain if plain[name].map(str).nunique() == 1 and len(plain) > 1]
        rows = [(name, *plain[name]) for name in plain if name not in same]
        told = ", ".join(f"{name} {text(plain[name].iloc[0])}" for name in same)
        head = ("", *(f"number {k}" for k in range(1, len(self) + 1)))
        return table(head, rows, f"The same in all of them: {told}." if same else "")


def _cell(name, row: dict) -> str:
    value = row[name]
    if name == "verdict":
        colour, word = COLOURS.get(value, OTHER), html.escape(str(value))
        return f'<td style="{LEFT}; color: {colour}; font-weight: 600">{word}</td>'
    text = (
        with_interval(value, row.get("low"), row.get("high"))
        if name == "ours"
        else ""
        if value is None or pd.isna(value)
        else str(value)
    )
    return f'<td style="{LEFT}{"; white-space: nowrap" if name == "ours" else ""}">{html.escape(text)}</td>'


def with_interval(value, low=None, high=None) -> str:
    """1.81 [1.66, 1.95]; a dash where there is no number, and no brackets where there is no
    interval.
    """
    if not isinstance(value, (int, float)) or math.isnan(value):
        return "-"
    ends = [end for end in (low, high) if isinstance(end, (int, float)) and not math.isnan(end)]
    return number(value) + (f" [{number(ends[0])}, {number(ends[1])}]" if len(ends) == 2 else "")


def number(value: float) -> str:
    """Three digits: 0.0123, 1.81, 18.2, 1,230."""
    if not math.isfinite(value) or value == 0 or 1e-3 > abs(value):
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:#.3g}".rstrip(".")
