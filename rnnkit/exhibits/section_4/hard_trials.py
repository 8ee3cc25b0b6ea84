"""Trials of the hard tasks, parentheses and arithmetic: which of them solved theirs, and the axis that
their losses are drawn on.

A trial has *solved* its task if its loss lies below half of chance (`finding.SOLVED`): after long
training few are between plateau and solution.
"""

import math

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from rnnkit import paper
from rnnkit.exhibits.base import trials_of_exhibit
from rnnkit.exhibits.best_trials import in_order
from rnnkit.exhibits.budget import Budget, budget
from rnnkit.exhibits.finding import EXPLODED, SOLVED
from rnnkit.exhibits.selection import HARD
from rnnkit.exhibits.statistics import wilson
from rnnkit.exhibits.style import DASHED, GREY, PALE
from rnnkit.theory import chance

TASK_AND_DEPTH = ["task_type", "n_layers"]


def hard_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """`trials` with `loss` (nan where the trial diverged), `chance`, and `solved`: loss below half of
    chance.
    """
    loss = trials.eval_loss.astype(float).mask(trials.infeasible.astype(bool))
    (task, tasks), (form, forms) = pd.factorize(trials.task_type), pd.factorize(trials.form)
    levels = {pair: chance(tasks[pair[0]], forms[pair[1]]) for pair in set(zip(task, form))}
    level = [levels[pair] for pair in zip(task, form)]
    out = trials.assign(loss=loss, chance=level, trial=trials.hyper_iter + 1)
    return out.assign(solved=out.loss < SOLVED * out.chance)


def by_network(trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each task, depth and architecture: trials, share diverged, share solved,
    quartiles of the loss, first solved trial.

    `loss_median` counts feasible trials only, `median` takes diverged ones as worse than any (inf
    where they are half or more).
    """
    table = []
    for (task, depth, architecture), group in hard_trials(trials).groupby(
        [*TASK_AND_DEPTH, "architecture"], sort=False
    ):
        all_losses, number, feasible = (
            group.loss.to_numpy(),
            len(group),
            int(group.loss.notna().sum()),
        )
        loss, solved_at = all_losses[~np.isnan(all_losses)], group.trial[group.solved]
        (low, high), divergence = (
            wilson(len(solved_at), feasible),
            wilson(number - feasible, number),
        )
        shape = np.quantile(loss, [0, 0.25, 0.5, 0.75, 1]) if feasible else np.full(5, math.nan)
        table.append(
            {
                "task_type": task,
                "n_layers": depth,
                "architecture": architecture,
                "trials": number,
                "infeasible": number - feasible,
                "infeasible_share": 1 - feasible / number,
                "infeasible_low": divergence[0],
                "infeasible_high": divergence[1],
                "solved": len(solved_at),
                "solved_share": len(solved_at) / feasible if feasible else math.nan,
                "solved_low": low,
                "solved_high": high,
                "first_solved": solved_at.min() if len(solved_at) else math.inf,
                **dict(
                    zip(("minimum", "quartile", "loss_median", "third_quartile", "maximum"), shape)
                ),
                "mean": loss.mean() if feasible else math.nan,
                "median": np.median(np.where(np.isnan(all_losses), math.inf, all_losses)),
                "chance": group.chance.iloc[0],
                "accuracy": group.accuracy.iloc[np.nanargmin(all_losses)] if feasible else math.nan,
            }
        )
    return in_paper_order_of(pd.DataFrame(table), [*TASK_AND_DEPTH, "architecture"])


def in_paper_order_of(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Rows in the order of the paper: parentheses before arithmetic, architectures as in section
    1.4.
    """
    orders = {"architecture": in_order(table.architecture), "task_type": HARD}
    places = {
        name: {value: index for index, value in enumerate(order)} for name, order in orders.items()
    }
    return table.sort_values(
        columns,
        ignore_index=True,
        key=lambda column: column.map(places.get(column.name, lambda x: x)),
    )


def paper_depth(depth: int) -> int:
    """The depth of Tables 1 and App.2 that a depth of ours is held against: 1 against 1, deeper
    ones against 8.
    """
    return 1 if depth == 1 else 8


def without_explosions(trials: pd.DataFrame) -> pd.DataFrame:
    """`hard_trials` that neither diverged nor exploded: loss at most `EXPLODED` times chance."""
    hard = hard_trials(trials)
    return hard[hard.loss <= EXPLODED * hard.chance]


TOP = 3.0  # losses above so many times chance stand with the diverged ones


class LossAxis:
    """The loss axis of a task: logarithmic where losses fall below a tenth of chance; trials that
    diverged stand at `top`.
    """

    def __init__(self, losses: pd.Series, chance: float):
        finite = losses[np.isfinite(losses)]
        self.chance, self.log = chance, bool(len(finite)) and finite.min() < chance / 10
        self.high = (
            min(max(finite.max(), 1.15 * chance), TOP * chance) if len(finite) else 1.15 * chance
        )
        self.low = max(finite[finite > 0].min() / 1.6, 1e-9) if self.log else 0.0
        self.top = self.at(1.1)

    def at(self, share: float) -> float:
        """The loss at a share of the way from the lowest to the highest."""
        return (
            self.low * (self.high / self.low) ** share
            if self.log
            else self.low + share * (self.high - self.low)
        )

    def place(self, losses):
        """Losses as they are drawn: those that diverged or are off the axis at the top."""
        losses = np.asarray(losses, float)
        return np.where(np.isnan(losses) | (losses > self.high), self.top, losses)

    def dress(self, ax, band=True):
        """Scale, limits, chance and the band in which diverged trials stand."""
        if self.log:
            ax.set_yscale("log")
            steps, tens = (1,) if self.high / self.low > 100 else (1, 3), range(-10, 7)
            ax.set_yticks(
                [m * 10.0**e for e in tens for m in steps if self.low <= m * 10.0**e <= self.high]
            )
            ax.set_yticks(
                [
                    m * 10.0**e
                    for e in tens
                    for m in range(2, 10)
                    if self.low <= m * 10.0**e <= self.high
                ],
                minor=True,
            )
            ax.yaxis.set_minor_formatter(NullFormatter())
        else:
            ax.set_yticks(
                [tick for tick in MaxNLocator(5).tick_values(0, self.high) if tick <= self.high]
            )
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.set_ylim(self.low, self.at(1.18 if band else 1.03))
        if band:
            ax.axhspan(self.high, self.at(1.18), color=PALE, linewidth=0, zorder=0)
        ax.axhline(self.chance, color=GREY, linewidth=1, linestyle=DASHED, zorder=1)


def forms_of(name: str, frame: pd.DataFrame) -> dict[str, str]:
    """The form of each task in a figure."""
    return dict(budget(trials_of_exhibit(name, frame)).tasks)


def is_the_papers_task(trials, spent: Budget) -> bool:
    """Whether the trials are of the paper's form of the task, and of no fewer steps than the
    paper's fewest.
    """
    return set(trials.form) <= {"", "paper"} and spent.steps[0] >= paper.STEPS[0]


def instead_of_8_layers(depth: int) -> str:
    return (
        ""
        if depth == paper_depth(depth)
        else f" (our depth {depth} beside the paper's {paper_depth(depth)})"
    )


def at_least_depth(table: pd.DataFrame, column: str) -> pd.Series:
    """A column at the least depth, by architecture."""
    return table[table.n_layers == table.n_layers.min()].set_index("architecture")[column]
