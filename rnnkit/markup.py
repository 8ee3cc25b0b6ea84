"""Tables for a notebook, as HTML: results that show themselves."""

import html
import math

LEFT = "text-align: left; vertical-align: top"


def table(head, rows, note="") -> str:
    """A table of texts and numbers, with a sentence below it; where `head` is empty, the first of
    each row is its title.
    """
    first = "".join(f'<th style="{LEFT}">{html.escape(str(name))}</th>' for name in head)
    body = "".join(f"<tr>{_title(row[0])}{''.join(map(_cell, row[1:]))}</tr>" for row in rows)
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
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
    if isinstance(value, float):
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def some(names, most=8) -> str:
    """The first few of some names, and how many more there are."""
    names = list(map(str, names))
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")
