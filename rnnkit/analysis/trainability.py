"""Trainability (section 4): how soon and how often networks solve the hard tasks, searched, at
random, and rerun.

A trial has *solved* its task if its loss lies below half of chance (`finding.SOLVED`): after long
training few are between plateau and solution.
"""

import itertools
import math

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.analysis.capacity import in_order
from rnnkit.analysis.finding import EXPLODED, LOOSE, SOLVED
from rnnkit.analysis.rows import HARD
from rnnkit.analysis.statistics import (
    bootstrap_samples,
    running_median,
    running_minimum,
    welch,
    wilson,
)
from rnnkit.theory import chance

CELL = ["task_type", "n_layers"]


def hard_trials(rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` with `loss` (nan where the trial diverged), `chance`, and `solved`: loss below half of
    chance.
    """
    loss = rows.eval_loss.astype(float).mask(rows.infeasible.astype(bool))
    (task, tasks), (form, forms) = pd.factorize(rows.task_type), pd.factorize(rows.form)
    known = {pair: chance(tasks[pair[0]], forms[pair[1]]) for pair in set(zip(task, form))}
    level = [known[pair] for pair in zip(task, form)]
    out = rows.assign(loss=loss, chance=level, trial=rows.hyper_iter + 1)
    return out.assign(solved=out.loss < SOLVED * out.chance)


def running_curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Running median and minimum of the loss over the trials of each study, with bands, trial by
    trial (Figure 4).
    """
    parts = []
    for _, study in (
        hard_trials(rows).sort_values(["study", "hyper_iter"]).groupby("study", sort=False)
    ):
        middle, least = running_median(study.loss), running_minimum(study.loss)
        values = {
            "median": middle.center,
            "median_low": middle.low,
            "median_high": middle.high,
            "minimum": least.center,
            "minimum_high": least.high,
        }
        parts.append(study.assign(**{name: column.to_numpy() for name, column in values.items()}))
    return _sorted(pd.concat(parts, ignore_index=True), [*CELL, "architecture", "study", "trial"])


def losses_at_random(rows: pd.DataFrame) -> pd.DataFrame:
    """Loss of each trial of random sets beside chance, and whether it solved the task (Figure 5)."""
    columns = ["architecture", "n_layers", "num_params", "hyper_iter", "loss", "chance", "solved"]
    trials = hard_trials(rows).sort_values(["n_layers", "study", "hyper_iter"])
    return trials[columns].reset_index(drop=True)


def by_network(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each task, depth and architecture: trials, share diverged, share solved,
    quartiles of the loss, first solved trial.

    `loss_median` counts feasible trials only, `median` takes diverged ones as worse than any (inf
    where they are half or more).
    """
    table = []
    for (task, depth, architecture), group in hard_trials(rows).groupby(
        [*CELL, "architecture"], sort=False
    ):
        every, number, feasible = group.loss.to_numpy(), len(group), int(group.loss.notna().sum())
        loss, solved = every[~np.isnan(every)], group.trial[group.solved]
        (low, high), ends = wilson(len(solved), feasible), wilson(number - feasible, number)
        shape = np.quantile(loss, [0, 0.25, 0.5, 0.75, 1]) if feasible else np.full(5, math.nan)
        table.append(
            {
                "task_type": task,
                "n_layers": depth,
                "architecture": architecture,
                "trials": number,
                "infeasible": number - feasible,
                "infeasible_share": 1 - feasible / number,
                "infeasible_low": ends[0],
                "infeasible_high": ends[1],
                "solved": len(solved),
                "solved_share": len(solved) / feasible if feasible else math.nan,
                "solved_low": low,
                "solved_high": high,
                "first_solved": solved.min() if len(solved) else math.inf,
                **dict(
                    zip(("minimum", "quartile", "loss_median", "third_quartile", "maximum"), shape)
                ),
                "mean": loss.mean() if feasible else math.nan,
                "median": np.median(np.where(np.isnan(every), math.inf, every)),
                "chance": group.chance.iloc[0],
                "accuracy": group.accuracy.iloc[np.nanargmin(every)] if feasible else math.nan,
            }
        )
    return _sorted(pd.DataFrame(table), [*CELL, "architecture"])


def _sorted(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Rows in the order of the paper: parentheses before arithmetic, architectures as in section
    1.4.
    """
    orders = {"architecture": in_order(table.architecture), "task_type": HARD}
    places = {
        name: {value: place for place, value in enumerate(order)} for name, order in orders.items()
    }
    return table.sort_values(
        columns,
        ignore_index=True,
        key=lambda column: column.map(places.get(column.name, lambda x: x)),
    )


def infeasible_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Table 1: percent of random sets that diverged, with Wilson's 95 % interval, beside the
    paper's.
    """
    table = by_network(rows)[
        [
            "architecture",
            "n_layers",
            "trials",
            "infeasible",
            "infeasible_share",
            "infeasible_low",
            "infeasible_high",
        ]
    ]
    table = table.rename(
        columns={"infeasible_share": "percent", "infeasible_low": "low", "infeasible_high": "high"}
    )
    table[["percent", "low", "high"]] *= 100
    theirs = [
        paper.TABLE_1.get(a, (None, None))[d > 1]
        for a, d in zip(table.architecture, table.n_layers)
    ]
    return table.assign(
        paper_n_layers=[paper_depth(d) for d in table.n_layers],
        paper_percent=pd.array(theirs, "float64"),
    )


def looser(rows: pd.DataFrame, multiples=LOOSE) -> pd.DataFrame:
    """Table 1 under looser definitions: percent of trials that diverged or ended above a multiple
    of chance; inf is Table 1 itself.
    """
    trials, table = hard_trials(rows), {}
    for multiple in (math.inf, *multiples):
        bad = trials.loss.isna() | (trials.loss > multiple * trials.chance)
        table[multiple] = 100 * bad.groupby([trials.n_layers, trials.architecture]).mean()
    out = pd.DataFrame(table)
    out.columns = ["diverged" if math.isinf(m) else f"or above {m:g} x chance" for m in out.columns]
    return out.reindex(
        [
            (d, a)
            for d in sorted(set(rows.n_layers))
            for a in in_order(rows.architecture)
            if (d, a) in out.index
        ]
    )


def paper_depth(depth: int) -> int:
    """The depth of Tables 1 and App.2 that a depth of ours is held against: 1 against 1, deeper
    ones against 8.
    """
    return 1 if depth == 1 else 8


def welch_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Table App.2: Welch's t of the losses of random sets for all pairs at each depth, beside the
    paper's.

    Of `bounded` trials: the spread that the paper's own tests imply (`audit.recovered_runs`) has no
    room for exploded ones. `same_sign` is missing where the paper has no test.
    """
    return tests_of(bounded(rows))


def tests_of(trials: pd.DataFrame) -> pd.DataFrame:
    """`welch_table` of these trials, whichever were left out before."""
    table = []
    for depth, group in trials.groupby("n_layers"):
        sample = {
            a: group.loss[group.architecture == a].to_numpy() for a in in_order(group.architecture)
        }
        names = sorted(
            sample, key=lambda a: (a not in paper.ARCHITECTURES, a)
        )  # the paper's pairs stand in this order
        for first, second in itertools.combinations(names, 2):
            t, df, p = welch(sample[first], sample[second])
            theirs = (
                paper.TABLE_APP2.get((first, second), (None, None))[depth > 1] or (math.nan,) * 3
            )
            same = None if math.isnan(t) or math.isnan(theirs[0]) else (t < 0) == (theirs[0] < 0)
            table.append(
                [
                    depth,
                    first,
                    second,
                    t,
                    df,
                    p,
                    len(sample[first]),
                    len(sample[second]),
                    paper_depth(depth),
                    *theirs,
                    same,
                ]
            )
    columns = [
        "n_layers",
        "first",
        "second",
        "t",
        "df",
        "p",
        "n_first",
        "n_second",
        "paper_n_layers",
        "paper_t",
        "paper_df",
        "paper_p",
        "same_sign",
    ]
    return pd.DataFrame(table, columns=columns).astype({"same_sign": "boolean"})


def bounded(rows: pd.DataFrame) -> pd.DataFrame:
    """`hard_trials` that neither diverged nor exploded: loss at most `EXPLODED` times chance."""
    trials = hard_trials(rows)
    return trials[trials.loss <= EXPLODED * trials.chance]


def rerun_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Table App.1: the best of a search beside its reruns, a row for each architecture; losses in
    nats, nan where the search is not there.

    The original is the evaluation loss of the search's best trial by validation loss, the one that
    was trained again. `mean_over_original` has a bootstrap interval over reruns; `at_most_original`
    is the share of reruns that reached the original.
    """
    trials, table = hard_trials(rows), []
    again, first = trials[trials.tuner == "rerun"], trials[trials.tuner != "rerun"]
    for architecture in in_order(again.architecture):
        all_of, search = (
            again[again.architecture == architecture].loss,
            first[first.architecture == architecture].dropna(subset="loss"),
        )
        loss, original = (
            all_of.dropna().to_numpy(),
            (search.loss[search.valid_loss.idxmin()] if len(search) else math.nan),
        )
        low, high = bootstrap_samples(
            [loss], lambda draws, original=original: draws[0].mean(-1) / original
        )
        bad = wilson(len(all_of) - len(loss), len(all_of))
        some = loss if len(loss) else np.array([math.nan])
        values = {"min": some.min(), "mean": some.mean(), "max": some.max()}
        sd = float(np.std(loss, ddof=1)) if len(loss) > 1 else math.nan
        table.append(
            {
                "architecture": architecture,
                "original": original,
                "reruns": len(all_of),
                "infeasible_percent": 100 * (1 - len(loss) / len(all_of)),
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
