"""Verdicts on the paper's claims: the table that the report and the notebooks print."""

import pandas as pd

from rnnkit import paper
from rnnkit.analysis.display import Verdicts
from rnnkit.analysis.finding import FAILS, HOLDS, UNTESTED, Finding
from rnnkit.analysis.judge import judge
from rnnkit.analysis.rows import SEARCH, budget
from rnnkit.exhibits.base import Tables, tables_of
from rnnkit.wording import and_list


def compare(name: str, frame: pd.DataFrame) -> Verdicts:
    """Claims that figure `name` decides, a row each: id, claim, paper, ours with its 95 % interval,
    verdict and a sentence of evidence.

    ValueError for an unknown figure or a frame without its trials.
    """
    tables, found = tables_of(name, frame), []
    spent = budget(tables.rows)
    for id, finding in findings(tables).items():
        claim = paper.CLAIMS[id]
        statistic = claim.statistic[0].upper() + claim.statistic[1:]
        evidence = f"{statistic}: {finding.reason}; {spent}."
        numbers = (finding.ours, finding.low, finding.high)
        found.append([id, claim.text, claim.paper, *numbers, finding.verdict, evidence])
    return Verdicts(
        found, columns=["id", "claim", "paper", "ours", "low", "high", "verdict", "evidence"]
    )


def findings(tables: Tables, ids=None) -> dict[str, Finding]:
    """What the rules of an exhibit's claims (or of those in `ids`) give, of its tables."""
    rules = {id: rule for id, rule in tables.exhibit.claims.items() if ids is None or id in ids}
    if not rules:
        return {}
    rows, spent = tables.rows, budget(tables.rows)
    fewest = int(rows.groupby(SEARCH).size().min())
    return {id: judge(rule, rows, tables.judged, spent, fewest) for id, rule in rules.items()}


def tally(claims: pd.DataFrame) -> str:
    """How many of the paper's claims hold, fail and are open, out of a table of claims; those of
    ours and those without a number apart.
    """
    claims = claims.drop_duplicates("id")
    ours, undecidable = claims.id.str.endswith("b"), claims.id.isin(paper.WITHOUT_NUMBERS)
    theirs = claims[~ours & ~undecidable]
    parts = [f"of the {len(theirs)} that can be decided {_counts(theirs)}"]
    if undecidable.any():
        parts.append(
            f"not counted {and_list(claims.id[undecidable])}, of which the paper prints no number"
        )
    if ours.any():
        parts.append(f"of ours beside them ({and_list(claims.id[ours])}) {_counts(claims[ours])}")
    return "; ".join(parts)


def _counts(claims) -> str:
    """12 hold, 3 fail, 21 are not tested at this scale."""
    counts = claims.verdict.value_counts()
    words = {
        HOLDS: ("holds", "hold"),
        FAILS: ("fails", "fail"),
        UNTESTED: ("is not tested at this scale", "are not tested at this scale"),
    }
    named = [
        f"{counts.get(verdict, 0)} {one if counts.get(verdict, 0) == 1 else many}"
        for verdict, (one, many) in words.items()
    ]
    return ", ".join(
        named
        + [f"{number} {verdict}" for verdict, number in counts.items() if verdict not in words]
    )


def advice(verdicts: pd.DataFrame) -> Verdicts:
    """Section 5's advice, a row for each piece and claim that it leans on, with our verdict, out of
    a table of claims (`verdicts`).
    """
    known = verdicts.set_index("id")
    table = [
        [text, id, known.claim[id], known.ours[id], known.verdict[id]]
        for text, ids in paper.ADVICE
        for id in ids
        if id in known.index
    ]
    return Verdicts(table, columns=["advice", "id", "claim", "ours", "verdict"])
