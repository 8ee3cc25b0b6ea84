"""Verdicts as every page shows them: the counts, the table, and the part of a README that is
written by the kit and by nobody else.
"""

from pathlib import Path

import pandas as pd

from rnnkit import analysis
from rnnkit.trials.paths import write_atomically

BEGIN, END = (
    "<!-- verdicts, written by rnnkit reproduce --out figures -->",
    "<!-- end of verdicts -->",
)


def claims_of(entries: dict) -> pd.DataFrame:
    """The verdicts of some entries of an account (figure -> entry), as `analysis.compare` gives
    them and with the `figure` of each.
    """
    columns = ["id", "claim", "paper", "ours", "low", "high", "verdict", "evidence", "figure"]
    rows = [{**row, "figure": name} for name, entry in entries.items() for row in entry["claims"]]
    return pd.DataFrame(rows, columns=columns).astype({"ours": float, "low": float, "high": float})


def verdict_rows(claims: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """Claim, paper, ours with its interval, verdict: as text, a row each."""
    ours = [
        analysis.with_interval(claim.ours, claim.low, claim.high) for claim in claims.itertuples()
    ]
    return [
        (f"{claim.id}: {claim.claim}", str(claim.paper), number, claim.verdict)
        for claim, number in zip(claims.itertuples(), ours)
    ]


def block(claims: pd.DataFrame, trials: int) -> str:
    """The part of the README between its marks: counts, and a row for each claim that is decided;
    the gallery has all.
    """
    claims = claims.drop_duplicates("id")
    decided = claims[claims.verdict.isin([analysis.HOLDS, analysis.FAILS])]
    rows = ["| claim | paper | ours [interval] | verdict |", "|---|---|---|---|"]
    rows += [f"| {' | '.join(row)} |" for row in verdict_rows(decided)]
    counts = (
        f"Claims of the paper: {analysis.tally(claims)}; from the {trials:,} trials in"
        " `figures/trials.parquet`."
    )
    return "\n".join([BEGIN, "", counts, "", *rows, "", END])


def write_block(readme, claims: pd.DataFrame, trials: int) -> bool:
    """Puts the verdicts between the marks of a README, if it has them; says whether it has. Nothing
    else in it is changed.
    """
    readme = Path(readme)
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    start, end = text.find(BEGIN), text.find(END)
    if not 0 <= start < end:
        return False
    new = text[:start] + block(claims, trials) + text[end + len(END) :]
    if new != text:
        write_atomically(readme, new.encode("utf-8"))
    return True
