"""Trials of the hard tasks, parentheses and arithmetic: which of them solved their task, and the axis
of their losses.

A trial has *solved* its task if its loss lies below half of chance (`finding.SOLVED`). After long
training, few trials end between the plateau at chance and a solution.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike

from rnnkit import paper
from rnnkit.exhibits.best_trials import in_paper_order_of
from rnnkit.exhibits.budget import budget
from rnnkit.exhibits.finding import DEEP, EXPLODED, NO_DEPTH, SOLVED
from rnnkit.exhibits.judge import ALWAYS, Measured, Rule
from rnnkit.exhibits.statistics import wilson
from rnnkit.exhibits.style import PALE, reference, round_numbers
from rnnkit.theory import chance

TASK_AND_DEPTH = ["task_type", "n_layers"]
NETWORK = [*TASK_AND_DEPTH, "architecture"]


def hard_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """`trials` with their number `trial` (1, 2, ...), `loss` (nan where the trial diverged), `chance`,
    and whether they `solved` the task.
    """
    loss = trials.eval_loss.astype(float).mask(trials.infeasible.astype(bool))
    level = [chance(*task) for task in zip(trials.task_type, trials.form)]
    out = trials.assign(loss=loss, chance=level, trial=trials.hyper_iter + 1)
    return out.assign(solved=out.loss < SOLVED * out.chance)


def by_network(trials: pd.DataFrame) -> pd.DataFrame:
    """A row for each task, depth and architecture: the number of trials, the shares that diverged and
    that solved the task, the first trial that did, and the quartiles of the loss.

    `loss_median` is the median of the feasible trials. In `median`, diverged trials count as worse
    than any, so it is inf where they are half or more.
    """
    table = []
    for network, group in hard_trials(trials).groupby(NETWORK, sort=False):
        loss = group.loss.dropna()
        solved_at = group.trial[group.solved]
        number = len(group)
        feasible = len(loss)
        solved_interval = wilson(len(solved_at), feasible)
        interval = wilson(number - feasible, number)
        table.append(
            {
                **dict(zip(NETWORK, network)),
                "trials": number,
                "infeasible": number - feasible,
                "infeasible_share": 1 - feasible / number,
                "infeasible_low": interval[0],
                "infeasible_high": interval[1],
                "solved": len(solved_at),
                "solved_share": len(solved_at) / feasible if feasible else math.nan,
                "solved_low": solved_interval[0],
                "solved_high": solved_interval[1],
                "first_solved": solved_at.min() if len(solved_at) else math.inf,
                "minimum": loss.min(),
                "quartile": loss.quantile(0.25),
                "loss_median": loss.quantile(0.5),
                "third_quartile": loss.quantile(0.75),
                "maximum": loss.max(),
                "mean": loss.mean(),
                "median": np.median(group.loss.fillna(math.inf)),
                "chance": group.chance.iloc[0],
                "accuracy": group.accuracy.iloc[group.loss.argmin()] if feasible else math.nan,
            }
        )
    return in_paper_order_of(pd.DataFrame(table), NETWORK)


def paper_depth(depth: int) -> int:
    """The depth of Tables 1 and App.2 with which a depth of ours is compared: 1 with 1, and any deeper
    one with 8.
    """
    return 1 if depth == 1 else 8


def without_explosions(trials: pd.DataFrame) -> pd.DataFrame:
    """The `hard_trials` that neither diverged nor exploded: their loss is at most `EXPLODED` times
    chance.
    """
    hard = hard_trials(trials)
    return hard[hard.loss <= EXPLODED * hard.chance]


TOP = 3.0  # losses above this multiple of chance are drawn among the diverged trials


class LossAxis:
    """The axis of a task's losses, which is logarithmic if some of them fall below a tenth of chance.
    Trials that diverged are drawn at `top`.
    """

    def __init__(self, losses: pd.Series, chance: float) -> None:
        finite = losses[np.isfinite(losses)]
        self.chance = chance
        self.log = finite.min() < chance / 10
        self.high = min(np.fmax(finite.max(), 1.15 * chance), TOP * chance)
        self.low = max(finite[finite > 0].min() / 1.6, 1e-9) if self.log else 0.0
        self.top = self.at(1.1)

    def at(self, share: float) -> float:
        """The loss at a share of the way from the lower end of the axis to its highest loss."""
        return self.low * (self.high / self.low) ** share if self.log else share * self.high

    def heights(self, losses: ArrayLike) -> np.ndarray:
        """The heights at which losses are drawn: at `top` if they diverged or are off the axis."""
        losses = np.asarray(losses, float)
        return np.where(np.isnan(losses) | (losses > self.high), self.top, losses)

    def dress(self, ax: Axes, band: bool = True) -> None:
        """Sets scale and limits of a panel, and draws chance and the band of the diverged trials."""
        if self.log:
            ax.set_yscale("log")
            digits = (1,) if self.high / self.low > 100 else (1, 3)
            ax.set_yticks(round_numbers(self.low, self.high, digits))
            ax.set_yticks(round_numbers(self.low, self.high, range(2, 10)), minor=True)
            ax.yaxis.set_minor_formatter(NullFormatter())
        else:
            ticks = MaxNLocator(5).tick_values(0, self.high)
            ax.set_yticks(ticks[ticks <= self.high])
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.set_ylim(self.low, self.at(1.18 if band else 1.03))
        if band:
            ax.axhspan(self.high, self.at(1.18), color=PALE, linewidth=0, zorder=0)
        reference(ax, self.chance)


def is_the_papers_task(trials: pd.DataFrame) -> bool:
    """Whether the trials have the paper's form of the task, and at least as many steps as the shortest
    training of the paper.
    """
    return set(trials.form) <= {"", "paper"} and budget(trials).steps[0] >= paper.STEPS[0]


def at_both_depths(
    shallow: str, deep: str, measure: Callable[[pd.DataFrame, pd.DataFrame], Measured]
) -> dict[str, Rule]:
    """The rules of two claims: one on networks with one layer, and one on the deepest networks, which
    stand beside the paper's of 8 layers. `measure` gets the trials and the table of one depth.
    """

    def at(depth: int, trials: pd.DataFrame, table: pd.DataFrame) -> Measured:
        return measure(trials[trials.n_layers == depth], table[table.n_layers == depth])

    def at_the_greatest(trials: pd.DataFrame, table: pd.DataFrame) -> Measured:
        deepest = table.n_layers.max()
        if deepest < DEEP:
            return Measured(lacks=NO_DEPTH.format(deepest, DEEP))
        return at(deepest, trials, table)

    return {
        shallow: Rule(functools.partial(at, 1), refutes=ALWAYS),
        deep: Rule(at_the_greatest, refutes=ALWAYS),
    }


def instead_of_8_layers(depth: int) -> str:
    """A remark where a depth of ours is compared with another depth of the paper."""
    theirs = paper_depth(depth)
    return "" if depth == theirs else f" (our depth {depth} beside the paper's {theirs})"


def at_least_depth(table: pd.DataFrame, column: str) -> pd.Series:
    """A column of the shallowest networks, by architecture."""
    return table[table.n_layers == table.n_layers.min()].set_index("architecture")[column]
