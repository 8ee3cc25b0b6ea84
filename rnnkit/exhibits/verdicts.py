"""Verdicts on the paper's claims: the table that the report, the gallery and the notebooks show, and the
part of the README that the kit writes.
"""

import math
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from rnnkit import paper
from rnnkit.exhibits.base import Tables, tables_of
from rnnkit.exhibits.budget import budget
from rnnkit.exhibits.finding import FAILS, HOLDS, UNTESTED, Finding
from rnnkit.exhibits.judge import judge
from rnnkit.exhibits.selection import LONGER, SEARCH
from rnnkit.markup import SmallTable, cell, markdown, table_of_cells
from rnnkit.trials.paths import write_atomically
from rnnkit.wording import and_list, capital, count

COLOURS = {HOLDS: "#1a7f37", FAILS: "#cf222e"}  # dark enough on white, light enough on black
UNDECIDED_COLOUR = "#6e7781"
COLUMNS = ["id", "claim", "paper", "ours", "low", "high", "verdict", "evidence"]
WIDTH = 100  # characters of a line where a table is printed


class Verdicts(SmallTable):
    """A table of claims. A notebook shows its verdicts in colour and its intervals in brackets, and a
    terminal a paragraph for each claim.
    """

    def __repr__(self) -> str:
        """Each claim in full, with its numbers, its verdict and the evidence below it."""
        is_complete = {"id", "claim", "paper", "ours", "verdict"} <= set(self.columns)
        if not is_complete or not self.columns.is_unique:
            return super().__repr__()
        return "\n\n".join(_paragraph(row) for row in self.to_dict("records"))

    def _repr_html_(self) -> str:
        if "verdict" not in self.columns or not self.columns.is_unique:
            return super()._repr_html_()
        in_interval = {"low", "high"} if {"ours", "low", "high"} <= set(self.columns) else set()
        names = [name for name in self.columns if name not in in_interval]
        records = self.to_dict("records")
        return table_of_cells(names, ([_cell(name, row) for name in names] for row in records))


def _paragraph(row: dict) -> str:
    ours = with_interval(row["ours"], row.get("low"), row.get("high"))
    lines = [
        f"{row['id']}: {row['claim']}",
        f"paper {row['paper']}, ours {ours}: {row['verdict']}",
        str(row.get("evidence", "")),
    ]
    return "\n".join(
        textwrap.fill(line, WIDTH, initial_indent=indent, subsequent_indent="    ")
        for line, indent in zip(lines, ("", "    ", "    "))
        if line
    )


def _cell(name: str, row: dict) -> str:
    value = row[name]
    if name == "verdict":
        colour = COLOURS.get(value, UNDECIDED_COLOUR)
        return cell(value, style=f"; color: {colour}; font-weight: 600")
    if name == "ours":
        ours = with_interval(value, row.get("low"), row.get("high"))
        return cell(ours, style="; white-space: nowrap")
    return cell("" if pd.isna(value) else str(value))


def with_interval(value: Any, low: Any = None, high: Any = None) -> str:
    """A number with its interval: 1.81 [1.66, 1.95]. A missing number is a dash, and a missing
    interval is left out.
    """
    if not isinstance(value, (int, float)) or math.isnan(value):
        return "-"
    limits = [end for end in (low, high) if isinstance(end, (int, float)) and not math.isnan(end)]
    interval = f" [{', '.join(map(number, limits))}]" if len(limits) == 2 else ""
    return number(value) + interval


def number(value: float) -> str:
    """Three digits: 0.0123, 1.81, 18.2, 1,230."""
    if not math.isfinite(value) or value == 0 or 1e-3 > abs(value):
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:#.3g}".rstrip(".")


def compare(name: str, frame: pd.DataFrame) -> Verdicts:
    """The claims that figure `name` decides, a row each: id, claim, what the paper has, ours with its
    95 % interval, the verdict, and a sentence of evidence.

    ValueError for an unknown figure or a frame without its trials.
    """
    tables = tables_of(name, frame)
    records = []
    spent = budget(tables.trials)
    for id, finding in findings(tables).items():
        claim = paper.CLAIMS[id]
        evidence = f"{capital(claim.statistic)}: {finding.reason}; {spent}."
        numbers = (finding.ours, finding.low, finding.high)
        records.append([id, claim.text, claim.paper, *numbers, finding.verdict, evidence])
    return Verdicts(records, columns=COLUMNS)


def findings(tables: Tables, ids: Iterable[str] | None = None) -> dict[str, Finding]:
    """The findings on an exhibit's claims, or on those in `ids`, given its tables."""
    rules = {id: rule for id, rule in tables.exhibit.claims.items() if ids is None or id in ids}
    if not rules:
        return {}
    trials = tables.trials
    # a larger network that is only trained at length relies on the search for a smaller one
    searches = trials[trials.tuner != LONGER]
    fewest = int((searches if len(searches) else trials).groupby(SEARCH).size().min())
    return {id: judge(rule, trials, tables.claims_table, fewest) for id, rule in rules.items()}


def tally(claims: pd.DataFrame) -> str:
    """How many of the paper's claims hold, fail and are open, out of a table of claims. Claims of ours
    are counted apart, as are those without a number.
    """
    claims = claims.drop_duplicates("id")
    ours = claims.id.str.endswith("b")
    undecidable = claims.id.isin(paper.WITHOUT_NUMBERS)
    theirs = claims[~ours & ~undecidable]
    parts = [f"of the {len(theirs)} that can be decided {_counts(theirs)}"]
    if undecidable.any():
        parts.append(
            f"not counted {and_list(claims.id[undecidable])}, of which the paper prints no number"
        )
    if ours.any():
        parts.append(f"of ours beside them ({and_list(claims.id[ours])}) {_counts(claims[ours])}")
    return "; ".join(parts)


def _counts(claims: pd.DataFrame) -> str:
    """12 hold, 3 fail, 21 are not tested at this scale."""
    counts = claims.verdict.value_counts()
    forms = {HOLDS: (HOLDS, "hold"), FAILS: (FAILS, "fail")}
    forms[UNTESTED] = (f"is {UNTESTED}", f"are {UNTESTED}")
    numbers = dict.fromkeys(forms, 0) | counts.to_dict()
    return ", ".join(
        count(number, *forms.get(verdict, (verdict, verdict)))
        for verdict, number in numbers.items()
    )


def advice(verdicts: pd.DataFrame) -> Verdicts:
    """Section 5's advice with our verdicts, out of a table of claims: a row for each piece of advice
    and each claim that it relies on.
    """
    by_id = verdicts.set_index("id")
    table = [
        [text, id, by_id.claim[id], by_id.ours[id], by_id.verdict[id]]
        for text, ids in paper.ADVICE
        for id in ids
        if id in by_id.index
    ]
    return Verdicts(table, columns=["advice", "id", "claim", "ours", "verdict"])


BEGIN = "<!-- verdicts, written by rnnkit reproduce --out figures -->"
END = "<!-- end of verdicts -->"


def claims_of(entries: dict) -> pd.DataFrame:
    """The verdicts in some entries of an account (figure -> entry), as `compare` gives them, each with
    its `figure`.
    """
    records = [
        {**row, "figure": name} for name, entry in entries.items() for row in entry["claims"]
    ]
    return pd.DataFrame(records, columns=[*COLUMNS, "figure"]).astype(
        {"ours": float, "low": float, "high": float}
    )


def verdict_rows(claims: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """Rows of text: the claim, what the paper has, ours with its interval, and the verdict."""
    return [
        (
            f"{row.id}: {row.claim}",
            str(row.paper),
            with_interval(row.ours, row.low, row.high),
            row.verdict,
        )
        for row in claims.itertuples()
    ]


def block(claims: pd.DataFrame, trials: int) -> str:
    """The part of the README between its marks: the counts, and a row for each claim that is decided.
    All claims are in the gallery.
    """
    claims = claims.drop_duplicates("id")
    decisions = claims[claims.verdict.isin([HOLDS, FAILS])]
    head = ("claim", "paper", "ours [interval]", "verdict")
    counts = (
        f"Claims of the paper: {tally(claims)}; from the {trials:,} trials in"
        " `figures/trials.parquet`."
    )
    return "\n".join([BEGIN, "", counts, "", markdown(head, verdict_rows(decisions)), "", END])


def write_block(readme: str | Path, claims: pd.DataFrame, trials: int) -> bool:
    """Writes the verdicts between the marks of a README, and changes nothing else in it. Returns
    whether it has these marks.
    """
    readme = Path(readme)
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    start = text.find(BEGIN)
    end = text.find(END)
    if not 0 <= start < end:
        return False
    new = text[:start] + block(claims, trials) + text[end + len(END) :]
    if new != text:
        write_atomically(readme, new.encode("utf-8"))
    return True
