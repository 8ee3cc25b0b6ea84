"""Table App.1: the best hyper-parameters of a search, trained again."""

import math

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, NamedTables, points
from rnnkit.exhibits.best_trials import in_order
from rnnkit.exhibits.captions import by_architecture, numbers_of
from rnnkit.exhibits.finding import RERUNS, SOLVED, mean
from rnnkit.exhibits.judge import ALWAYS, Measured, Rule, decide
from rnnkit.exhibits.section_4.hard_trials import hard_trials
from rnnkit.exhibits.selection import GP, is_pinned, largest_form, one_size
from rnnkit.exhibits.statistics import bootstrap_samples, wilson
from rnnkit.exhibits.verdicts import with_interval
from rnnkit.markup import SmallTable
from rnnkit.wording import and_list, estimate, label_of, percent


def rerun_trials(frame: pd.DataFrame) -> pd.DataFrame:
    """The reruns of the best sets of hyper-parameters of one layer on parentheses, together with the
    searches that found these sets (Table App.1).
    """
    of_one_layer = (frame.task_type == "parens_counting") & (frame.n_layers == 1)
    trials = frame[of_one_layer & ~is_pinned(frame)]
    again = one_size(largest_form(trials[trials.tuner == "rerun"]))
    first = trials[trials.tuner.isin(GP)]
    for name in ("form", "max_params", "architecture"):
        first = first[first[name].isin(again[name])]
    return pd.concat([again, first])


def rerun_table(trials: pd.DataFrame) -> pd.DataFrame:
    """Table App.1: the best trial of a search beside its reruns, a row for each architecture. Losses
    are in nats, and nan where the search is missing.

    `original` is the evaluation loss of the trial with the least validation loss, the one that was
    trained again. The interval of `mean_over_original` resamples the reruns (bootstrap), and
    `at_most_original` is the share of reruns that reached the original.
    """
    hard = hard_trials(trials)
    again = hard[hard.tuner == "rerun"]
    searches = hard[hard.tuner != "rerun"].dropna(subset="loss")
    best = searches.sort_values("valid_loss", kind="stable").drop_duplicates("architecture")
    originals = best.set_index("architecture").loss
    records = []
    for architecture in in_order(again.architecture):
        losses = again.loss[again.architecture == architecture]
        number = len(losses)
        feasible = losses.dropna()
        divergence = wilson(number - len(feasible), number)
        original = originals.get(architecture, math.nan)
        mean_loss = feasible.mean()
        low, high = bootstrap_samples([feasible], lambda draws: draws[0].mean(-1))
        records.append(
            {
                "architecture": architecture,
                "original": original,
                "reruns": number,
                "infeasible_percent": 100 * (1 - len(feasible) / number),
                "infeasible_low": 100 * divergence[0],
                "infeasible_high": 100 * divergence[1],
                **feasible.agg(["min", "mean", "max"]),
                "sd": feasible.std(),
                "sd_over_mean": feasible.std() / mean_loss,
                "mean_over_original": mean_loss / original,
                "low": low / original,
                "high": high / original,
                "at_most_original": (feasible <= original).mean(),
                "chance": again.chance.iloc[0],
            }
        )
    return pd.DataFrame(records).join(PAPERS.add_prefix("paper_"), on="architecture")


PAPERS = pd.DataFrame.from_dict(paper.TABLE_APP1, "index", columns=paper.TABLE_APP1_COLUMNS)
PAPER_RERUNS = 100
SHOWN = {  # of the table as it is computed -> as it is shown
    "name": "architecture",
    "original": "original",
    "reruns": "reruns",
    "infeasible": "% infeasible",
    "min": "min",
    "mean": "mean",
    "max": "max",
    "sd": "s.d.",
    "sd_over_mean": "s.d./mean",
    "ratio": "mean/original",
}


def draw(frame: pd.DataFrame) -> SmallTable:
    """Table App.1: the best of a search and its reruns, a row of ours above a row of the paper's.
    ValueError without trials.
    """
    table = points("tableapp1", frame)["tableapp1"]
    names = table.architecture.map(label_of)
    ours = table.assign(
        name=names + ", ours",
        infeasible=[
            estimate(row.infeasible_percent, row.infeasible_low, row.infeasible_high, ".0f")
            for row in table.itertuples()
        ],
        ratio=[
            with_interval(row.mean_over_original, row.low, row.high) for row in table.itertuples()
        ],
    )
    theirs = PAPERS.reindex(table.architecture).set_index(table.index)
    theirs = theirs.assign(
        name=names + ", paper",
        reruns=table.architecture.map(dict.fromkeys(paper.TABLE_APP1, PAPER_RERUNS)),
        infeasible=theirs.infeasible_percent,
        ratio=theirs["mean"] / theirs.original,
    )
    lines = pd.concat([ours[list(SHOWN)], theirs[list(SHOWN)]]).sort_index(kind="stable")
    return SmallTable(lines.rename(columns=SHOWN))


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    table = tables["tableapp1"].set_index("architecture")
    ratios = table.mean_over_original.dropna()
    if ratios.empty:
        return ["No rerun stands beside the best trial of its search."]
    successes = numbers_of(100 * table.at_most_original, ".0f")
    return [
        f"The mean of the reruns over the original loss is {numbers_of(ratios, '.3g')}.",
        f"Per cent of reruns that came down to the original: {successes}.",
    ]


def reruns_are_close(trials: pd.DataFrame, table: pd.DataFrame) -> Measured:
    """A01: the mean of the reruns over the original, as a geometric mean over architectures, with the
    least and the most of them.

    The original is the best of a search and therefore lucky, so a mean above it is to be expected:
    the limit is the largest ratio that the paper has (7.1, the RNN's), which no architecture's own
    interval may surely exceed.
    Originals that did not solve their task are left out, since every rerun comes near the plateau.
    """
    table = table.dropna(subset="mean_over_original")
    solvers = table[table.original < SOLVED * table.chance]
    idle = and_list(label_of(a) for a in table.architecture if a not in set(solvers.architecture))
    largest = (PAPERS["mean"] / PAPERS.original).max()
    if solvers.empty:
        which = " that solved the task" if len(table) else ""
        return Measured(lacks=f"no rerun stands beside the best trial{which} of its search")
    ratios = solvers.mean_over_original
    ratios_text = ", ".join(
        f"{label_of(c.architecture)} {estimate(c.mean_over_original, c.low, c.high, '.3g')}"
        for c in solvers.itertuples()
    )
    left_out = f"; {idle} did not solve the task" if len(solvers) < len(table) else ""
    fewest = solvers.reruns.min()
    enough = fewest >= RERUNS and set(solvers.architecture) >= set(PAPERS.index)
    few = f"; it takes {RERUNS} reruns of {and_list(map(label_of, PAPERS.index))}"
    return Measured(
        math.exp(mean(np.log(ratios))),
        ratios.min(),
        ratios.max(),
        f"{ratios_text}; {fewest} reruns and more, of which {percent(solvers.at_most_original.mean())}"
        f" reached the original{left_out}; the paper's largest is {largest:.1f}",
        verdict=decide(
            holds=enough and solvers.high.max(skipna=False) <= largest,
            fails=solvers.low.max() > largest,
        ),
        if_open="" if enough else few,
    )


Exhibit(
    name="tableapp1",
    title="Table App.1",
    gist=(
        "The best hyper-parameters of a search on parentheses, 1 layer, trained again: losses in"
        " nats, ours above the paper's. Brackets hold 95 %."
    ),
    position=15,
    select=rerun_trials,
    trials="parentheses task with rerun sets",
    tables={"tableapp1": rerun_table},
    draw=draw,
    alt="a row of ours and a row of the paper's for each architecture.",
    numbers=lambda tables: by_architecture(
        "Mean over original",
        tables["tableapp1"].set_index("architecture").mean_over_original,
        ".3g",
    ),
    facts=facts,
    claims={"A01": Rule(reruns_are_close, refutes=ALWAYS)},
    budget="100 reruns, 100,000 parameters, the full task",
)
