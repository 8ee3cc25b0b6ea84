"""Verdicts on the paper's claims: the table that the report and the notebooks print."""

import pandas as pd

from rnnkit import paper
from rnnkit.analysis import (
    comparisons,
    compression,
    hard_tasks,
    levels,
    loss,
    throughput,
    trainability,
    untuned,
)
from rnnkit.analysis.capacity import stored_bits
from rnnkit.analysis.display import Verdicts
from rnnkit.analysis.finding import FAILS, HOLDS, MIN_TRIALS, UNTESTED, Finding
from rnnkit.analysis.rows import SEARCH, budget, rows_of
from rnnkit.names import known
from rnnkit.wording import listed

CHECKS = {
    "C01": levels.linear_in_parameters,
    "C02": levels.five_bits,
    "C02b": levels.more_than_a_perceptron,
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
    "C15": compression.five_bit_test,
    "C17": levels.perceptron,
    "G03": levels.dimensions,
    "M01": throughput.exact_if_enough_units,
    "M02": throughput.on_the_curve,
    "M03": throughput.one_curve,
    "G01": throughput.cost_is_linear,
    "T01": loss.equal_at_equal_size("text8", "bits per character"),
    "T02": loss.units_mislead,
    "R01": loss.equal_at_equal_size("rcf", "of the variance"),
    "R02": loss.never_perfect,
    "P01": hard_tasks.plain_are_last,
    "P02": hard_tasks.plain_solve_one_layer,
    "P03": hard_tasks.only_gated_when_deep,
    "P04": hard_tasks.easiest,
    "P05": hard_tasks.arithmetic_is_harder,
    "P06": hard_tasks.learned_is_exact,
    "G04": hard_tasks.advice,
    "H01": untuned.diverged_shallow,
    "H02": untuned.diverged_deep,
    "H04": untuned.lowest_errors,
    "H05": untuned.signs_shallow,
    "H06": untuned.signs_deep,
    "H07": untuned.intersection_solves_deep,
    "H07b": untuned.intersection_level,
    "A01": untuned.reruns_are_close,
}


POINTS = {  # figure -> the table of best trials that its checks take; all others take `stored_bits`
    "fig2c": throughput.memory_errors,
    "g01": throughput.step_costs,
    "fig3": loss.best_losses,
    "fig4": trainability.by_network,
    "fig5": trainability.by_network,
    "table1": trainability.infeasible_table,
    "tableapp1": trainability.rerun_table,
    "tableapp2": trainability.welch_table,
}
# few trials may decide these: costs, counts, bounds that are reached
WITHOUT_SEARCH = ("C05", "G01", "G03", "M01", "M02", "M03", "T02")


def compare(name: str, frame: pd.DataFrame) -> Verdicts:
    """Claims that figure `name` decides, a row each: id, claim, paper, ours with its 95 % interval,
    verdict and a sentence of evidence.

    ValueError for an unknown figure or a frame without its trials.
    """
    name = known("figure", name, paper.FIGURES)
    rows, table = rows_of(name, frame), []
    for id, finding in findings(name, rows).items():
        claim = paper.CLAIMS[id]
        statistic = claim.statistic[0].upper() + claim.statistic[1:]
        evidence = f"{statistic}: {finding.reason}; {budget(rows)}."
        table.append(
            [
                id,
                claim.text,
                claim.paper,
                finding.ours,
                finding.low,
                finding.high,
                finding.verdict,
                evidence,
            ]
        )
    return Verdicts(
        table, columns=["id", "claim", "paper", "ours", "low", "high", "verdict", "evidence"]
    )


def findings(name: str, rows: pd.DataFrame, ids=None) -> dict[str, Finding]:
    """What the checks of a figure's claims (or of those in `ids`) give, of the figure's own trials
    (`rows_of`)."""
    ids = [id for id in paper.FIGURES[name].claims if ids is None or id in ids]
    if not ids:
        return {}
    spent, points, fewest = (
        budget(rows),
        POINTS.get(name, stored_bits)(rows),
        int(rows.groupby(SEARCH).size().min()),
    )
    found = {id: CHECKS[id](rows, points, spent) for id in ids}
    few = f"a network with {fewest} trials has not been searched for ({MIN_TRIALS} are the least)"
    too_few = (
        {}
        if fewest >= MIN_TRIALS
        else {id: {"verdict": UNTESTED, "reason": few} for id in ids if id not in WITHOUT_SEARCH}
    )
    return {id: finding._replace(**too_few.get(id, {})) for id, finding in found.items()}


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
            f"not counted {listed(claims.id[undecidable])}, of which the paper prints no number"
        )
    if ours.any():
        parts.append(f"of ours beside them ({listed(claims.id[ours])}) {_counts(claims[ours])}")
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
