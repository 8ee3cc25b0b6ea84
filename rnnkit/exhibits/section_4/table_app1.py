"""Table App.1: the best hyper-parameters of a search, trained again."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, points
from rnnkit.exhibits.best_trials import in_order
from rnnkit.exhibits.budget import Budget
from rnnkit.exhibits.captions import by_architecture, numbers_of
from rnnkit.exhibits.finding import RERUNS, SOLVED, mean
from rnnkit.exhibits.judge import ALWAYS, Limit, Measured, Rule
from rnnkit.exhibits.section_4.hard_trials import hard_trials
from rnnkit.exhibits.selection import GP, is_pinned, largest_form, one_size
from rnnkit.exhibits.statistics import bootstrap_samples, wilson
from rnnkit.exhibits.verdicts import with_interval
from rnnkit.markup import SmallTable
from rnnkit.wording import and_list, label_of


def rerun_trials(frame: pd.DataFrame) -> pd.DataFrame:
    """The reruns of the best sets of hyper-parameters of one layer on parentheses, together with the
    searches that found these sets (Table App.1).
    """
    trials = frame[
        (frame.task_type == "parens_counting") & (frame.n_layers == 1) & ~is_pinned(frame)
    ]
    again = one_size(largest_form(trials[trials.tuner == "rerun"]))
    first = trials[
        trials.tuner.isin(GP)
        & trials.form.isin(again.form)
        & trials.max_params.isin(again.max_params)
    ]
    return (
        pd.concat([again, first[first.architecture.isin(again.architecture)]])
        if len(again)
        else again
    )


def rerun_table(trials: pd.DataFrame) -> pd.DataFrame:
    """Table App.1: the best trial of a search beside its reruns, a row for each architecture. Losses
    are in nats, and nan where the search is missing.

    `original` is the evaluation loss of the trial with the least validation loss, the one that was
    trained again. The interval of `mean_over_original` resamples the reruns (bootstrap), and
    `at_most_original` is the share of reruns that reached the original.
    """
    hard = hard_trials(trials)
    table = []
    again = hard[hard.tuner == "rerun"]
    first = hard[hard.tuner != "rerun"]
    for architecture in in_order(again.architecture):
        reruns = again[again.architecture == architecture].loss
        loss = reruns.dropna().to_numpy()
        search = first[first.architecture == architecture].dropna(subset="loss")
        original = search.loss[search.valid_loss.idxmin()] if len(search) else math.nan
        low, high = bootstrap_samples(
            [loss], lambda draws, original=original: draws[0].mean(-1) / original
        )
        bad = wilson(len(reruns) - len(loss), len(reruns))
        losses = loss if len(loss) else np.array([math.nan])
        values = {"min": losses.min(), "mean": losses.mean(), "max": losses.max()}
        sd = float(np.std(loss, ddof=1)) if len(loss) > 1 else math.nan
        table.append(
            {
                "architecture": architecture,
                "original": original,
                "reruns": len(reruns),
                "infeasible_percent": 100 * (1 - len(loss) / len(reruns)),
                "infeasible_low": 100 * bad[0],
                "infeasible_high": 100 * bad[1],
                **values,
                "sd": sd,
                "sd_over_mean": sd / values["mean"],
                "mean_over_original": values["mean"] / original,
                "low": low,
                "high": high,
                "at_most_original": float(np.mean(loss <= original)) if len(loss) else math.nan,
                "chance": again.chance.iloc[0],
            }
            | {
                f"paper_{k}": v
                for k, v in zip(
                    paper.TABLE_APP1_COLUMNS, paper.TABLE_APP1.get(architecture, (math.nan,) * 7)
                )
            }
        )
    return pd.DataFrame(table)


PAPER_RERUNS = 100
NUMBERS = {  # of the table as it is shown -> as it is computed
    "min": "min",
    "mean": "mean",
    "max": "max",
    "s.d.": "sd",
    "s.d./mean": "sd_over_mean",
}


def draw(frame: pd.DataFrame) -> SmallTable:
    """Table App.1: the best of a search and its reruns, a row of ours above a row of the paper's.
    ValueError without trials.
    """
    table = points("tableapp1", frame)["tableapp1"]
    theirs = pd.DataFrame(
        {
            "architecture": table.architecture.map(label_of) + ", paper",
            "original": table.paper_original,
            "reruns": table.architecture.map(dict.fromkeys(paper.TABLE_APP1, PAPER_RERUNS)),
            "% infeasible": table.paper_infeasible_percent,
            **{title: table[f"paper_{name}"] for title, name in NUMBERS.items()},
            "mean/original": table.paper_mean / table.paper_original,
        }
    )
    ours = theirs.assign(
        **{
            "architecture": table.architecture.map(label_of) + ", ours",
            "original": table.original,
            "reruns": table.reruns,
            "% infeasible": [
                f"{row.infeasible_percent:.0f} [{row.infeasible_low:.0f},"
                f" {row.infeasible_high:.0f}]"
                for row in table.itertuples()
            ],
            **{title: table[name] for title, name in NUMBERS.items()},
            "mean/original": [
                with_interval(row.mean_over_original, row.low, row.high)
                for row in table.itertuples()
            ],
        }
    )
    return SmallTable(pd.concat([ours, theirs]).sort_index(kind="stable"))


def facts(trials: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    table = tables["tableapp1"].set_index("architecture")
    ratios = table.mean_over_original.dropna()
    share_reached = table.at_most_original.dropna()
    if ratios.empty:
        return ["No rerun stands beside the best trial of its search."]
    return [
        f"The mean of the reruns over the original loss is {numbers_of(ratios, '.3g')}.",
        f"Per cent of reruns that came down to the original: {numbers_of(100 * share_reached, '.0f')}.",
    ]


def reruns_are_close(trials: pd.DataFrame, table: pd.DataFrame, spent: Budget) -> Measured:
    """A01: the mean of the reruns over the original, as a geometric mean over architectures, with the
    least and the most of them.

    The original is the best of a search and therefore lucky, so a mean above it is to be expected:
    the limit is the largest ratio that the paper has (7.1, the RNN's). `least` and `most` are the
    greatest lower and the greatest upper end of the architectures' own intervals, in multiples of it.
    Originals that did not solve their task are left out, since every rerun comes near the plateau.
    """
    table = table.dropna(subset="mean_over_original")
    idle = table[table.original >= SOLVED * table.chance]
    table = table.drop(index=idle.index)
    largest = max(mean / original for original, _, _, mean, *_ in paper.TABLE_APP1.values())
    ratios = table.mean_over_original
    if table.empty:
        which = " that solved the task" if len(idle) else ""
        return Measured(lacks=f"no rerun stands beside the best trial{which} of its search")
    ratios_text = ", ".join(
        f"{label_of(c.architecture)} {c.mean_over_original:.3g} [{c.low:.3g}, {c.high:.3g}]"
        for c in table.itertuples()
    )
    idle_names = and_list(map(label_of, idle.architecture))
    left_out = f"; {idle_names} did not solve the task" if len(idle) else ""
    enough = table.reruns.min() >= RERUNS and set(table.architecture) >= set(paper.TABLE_APP1)
    few = f"; it takes {RERUNS} reruns of {and_list(map(label_of, paper.TABLE_APP1))}"
    return Measured(
        math.exp(mean(np.log(ratios))),
        ratios.min(),
        ratios.max(),
        f"{ratios_text}; {table.reruns.min()} reruns and more, of which {table.at_most_original.mean():.0%}"
        f" reached the original{left_out}; the paper's largest is {largest:.1f}",
        more={
            "least": table.low.max() / largest,
            "most": table.high.max(skipna=False) / largest,
            "enough": enough,
        },
        if_open="" if enough else few,
    )


NEARLY_AGAIN = Rule(
    reruns_are_close,
    Limit(lambda m: m.more["enough"] and m.more["most"] <= 1, fails=lambda m: m.more["least"] > 1),
    refutes=ALWAYS,
)


Exhibit(
    name="tableapp1",
    title="Table App.1",
    gist=(
        "The best hyper-parameters of a search on parentheses, 1 layer, trained again: losses in"
        " nats, ours above the paper's. Brackets hold 95 %."
    ),
    section="App. C",
    position=15,
    select=rerun_trials,
    trials="parentheses task with rerun sets",
    tables={"tableapp1": lambda of: rerun_table(of.trials)},
    draw=draw,
    alt="a row of ours and a row of the paper's for each architecture.",
    numbers=lambda tables: by_architecture(
        "Mean over original",
        tables["tableapp1"].set_index("architecture").mean_over_original,
        ".3g",
    ),
    facts=facts,
    claims={"A01": NEARLY_AGAIN},
    budget="100 reruns, 100,000 parameters, the full task",
)
