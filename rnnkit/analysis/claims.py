"""Verdicts on the paper's claims: the table that the report and the notebooks print."""

import pandas as pd

from rnnkit import paper
from rnnkit.analysis import comparisons, levels
from rnnkit.analysis.capacity import stored_bits
from rnnkit.analysis.finding import MIN_TRIALS, UNTESTED
from rnnkit.analysis.rows import budget, rows_of

CHECKS = {
    "C01": levels.linear_in_parameters,
    "C02": levels.five_bits,
    "C03": levels.three_to_six,
    "C04": comparisons.small_spread,
    "C05": comparisons.multiplier_table,
    "C06": comparisons.ranking,
    "C07": comparisons.gates_cost,
    "C08": levels.irnn_lowest,
    "C09": comparisons.relu_drop,
    "C10": comparisons.unrolling_helps,
    "C12": levels.best_dataset,
    "C13": comparisons.depths_agree,
    "C17": levels.perceptron,
    "G03": levels.dimensions,
}


POINTS = {}  # figure -> the table of best trials that its checks take; all others take `stored_bits`
WITHOUT_SEARCH = ("G03",)  # claims that do not lean on the best of a search, so that a study may be short


def compare(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Claims that figure `name` decides, a row each: id, claim, paper, ours with its 95 % interval, verdict and a sentence of evidence.

    ValueError for an unknown figure or a frame without its trials.
    """
    rows, table = rows_of(name, frame), []
    spent, points = budget(rows), POINTS.get(name, stored_bits)(rows)
    for id in paper.FIGURES[name].claims:
        claim, finding = paper.CLAIMS[id], CHECKS[id](rows, points, spent)
        if spent.least < MIN_TRIALS and id not in WITHOUT_SEARCH:
            reason = f"a study of {spent.least} trials is no search ({MIN_TRIALS} are the least)"
            finding = finding._replace(verdict=UNTESTED, reason=reason)
        statistic = claim.statistic[0].upper() + claim.statistic[1:]
        evidence = f"{statistic}: {finding.reason}; {spent}."
        table.append([id, claim.text, claim.paper, finding.ours, finding.low, finding.high, finding.verdict, evidence])
    return pd.DataFrame(table, columns=["id", "claim", "paper", "ours", "low", "high", "verdict", "evidence"])
