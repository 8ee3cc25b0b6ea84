"""Tables as HTML, with which results show themselves in a notebook, and as Markdown for pages."""

import html
import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

LEFT = "text-align: left; vertical-align: top"


def table(head: Iterable, lines: Iterable, note: str = "", has_titles: bool = True) -> str:
    """A table of texts and numbers, with a sentence below it. The first entry of each line is its
    title, if it `has_titles`; with an empty `head` there is no line of names.
    """
    first = "th" if has_titles else "td"
    rows = ([cell(line[0], first), *map(cell, line[1:])] for line in lines)
    below = f"<p>{html.escape(note)}</p>" if note else ""
    return table_of_cells(head, rows) + below


def table_of_cells(head: Iterable, rows: Iterable[Iterable[str]]) -> str:
    """A table of rows of `cell`s below a line of names."""
    names = "".join(cell(name, "th") for name in head)
    top = f"<thead><tr>{names}</tr></thead>" if names else ""
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return f"<table>{top}<tbody>{body}</tbody></table>"


def markdown(head: Iterable, lines: Iterable) -> str:
    """The same table as Markdown, as GitHub and the documentation show it."""
    names, *records = (list(map(text, line)) for line in (head, *lines))
    texts = [f"| {' | '.join(line)} |" for line in (names, *records)]
    return "\n".join([texts[0], "|" + "---|" * len(names), *texts[1:]])


def cell(value: object, tag: str = "td", style: str = "") -> str:
    """One cell of a table; a title has the tag "th"."""
    return f'<{tag} style="{LEFT}{style}">{html.escape(text(value))}</{tag}>'


def text(value: object) -> str:
    """A value in a readable form: 0.0123, 1.81, 1,230; several values separated by commas."""
    if isinstance(value, (tuple, list)):
        return ", ".join(map(text, value))
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value + 0.0:.3g}"
    if isinstance(value, float):
        return "-"
    return f"{value:,}" if isinstance(value, (int, np.integer)) else str(value)


def first_few(names: Iterable, most: int = 8) -> str:
    """The first few names, and how many more there are."""
    names = list(map(str, names))
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


class SmallTable(pd.DataFrame):
    """A table of a few rows. It is any other DataFrame, but a notebook shows its texts whole, its
    numbers with three digits, a dash where there is none, and no index without a name.

    An exhibit that is a table in the paper is drawn as one; like a figure, it has an `alt` text.
    """

    alt = ""

    @property
    def _constructor(self) -> type:
        return type(self)

    def _repr_html_(self) -> str:
        if self.columns.nlevels == 1 and not any(self.index.names):
            return table(self.columns, self.itertuples(index=False), has_titles=False)
        texts = pd.DataFrame(self).map(lambda value: "-" if value is pd.NA else text(value))
        return texts.rename(columns=text, index=text).to_html(border=0)

    def markdown(self) -> str:
        """The same table for a page of Markdown."""
        return markdown(self.columns, self.itertuples(index=False))
