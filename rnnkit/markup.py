"""Tables for a notebook, as HTML: results that show themselves."""

import html
import math

import numpy as np

LEFT = "text-align: left; vertical-align: top"


def table(head, rows, note="", titled=True) -> str:
    """A table of texts and numbers, with a sentence below it. The first of each row is its title,
    if rows are `titled`; where `head` is empty there is no line of names.
    """
    first = "".join(map(_title, head))
    lines = [
        (_title(row[0]) if titled else _cell(row[0])) + "".join(map(_cell, row[1:])) for row in rows
    ]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    below = f"<p>{html.escape(note)}</p>" if note else ""
    top = f"<thead><tr>{first}</tr></thead>" if first else ""
    return f"<table>{top}<tbody>{body}</tbody></table>{below}"


def _title(value) -> str:
    return f'<th style="{LEFT}">{html.escape(text(value))}</th>'


def _cell(value) -> str:
    return f'<td style="{LEFT}">{html.escape(text(value))}</td>'


def text(value) -> str:
    """A value as a person reads it: 0.0123, 1.81, 1,230, several values with commas between."""
    if isinstance(value, (tuple, list)):
        return ", ".join(map(text, value))
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
    if isinstance(value, float):
        return "-"
    return f"{value:,}" if isinstance(value, (int, np.integer)) else str(value)


def some(names, most=8) -> str:
    """The first few of some names, and how many more there are."""
    names = list(map(str, names))
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")
