"""Exercises of the notebooks in which something is trained, written or moved: `rk.check("2.2c",
frame)` looks at the result.

The notebooks have the questions. This module has what a result must fulfil and what to say of it:
numbers from the result itself, to be compared with the figure to which the exercise belongs.
"""

from bisect import bisect
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from rnnkit import analysis, paper
from rnnkit.cells import KIT, cell_of
from rnnkit.exhibits.section_5 import LOSSLESS
from rnnkit.reports import Report
from rnnkit.studies.scales import SCALES
from rnnkit.tasks.parentheses import open_in
from rnnkit.wording import and_list, count, label_of

ENOUGH = 8  # trials of a study below which nothing is said of its best
NEAR = 0.02  # of the variance: a network as close as this to its bound has reached it
TYPICAL = 0.5  # bits per parameter that a typical trial stores if a few choices are set well


class NotYet(Exception):
    """A result is not what the exercise asks for; the message says what is missing."""


def need(condition: Any, word: str) -> None:
    """NotYet with this message, unless the condition holds."""
    if not condition:
        raise NotYet(word)


def need_columns(result: Any, *columns: str) -> None:
    """NotYet unless the result is a frame with these columns."""
    demand = "The answer must be a frame of trials"
    need(isinstance(result, pd.DataFrame), f"{demand}, got {type(result).__name__}.")
    missing = [column for column in columns if column not in result.columns]
    need(not missing, f"{demand}, got a table without the columns {and_list(missing)}.")


def trials_of(result: Any, task_type: str, task: str, least: int = ENOUGH) -> pd.DataFrame:
    """The result, if it is a frame with at least so many trials of this task and of no other; NotYet
    if it is not.
    """
    need_columns(result, "study", "task_type", "architecture", "hparams")
    need_columns(result, "eval_loss", "infeasible", "num_params")
    need(set(result.task_type) == {task_type}, f"All trials must be of the {task}.")
    need(len(result) >= least, f"Got {count(len(result), 'trial')}. Train at least {least}.")
    need(not result.infeasible.all(), "All of these trials diverged. Train some more.")
    return result


def random_trials(result: Any, task_type: str, task: str) -> pd.DataFrame:
    """The same of trials whose hyper-parameters were drawn at random, and enough of them for one to
    be typical and for a share to mean something.
    """
    frame = trials_of(result, task_type, task, 2 * ENOUGH)
    need(
        set(frame.tuner) == {"random"},
        'All hyper-parameters but those that you set must be drawn at random: tuner="random".',
    )
    return frame


def need_one_study(frame: pd.DataFrame) -> None:
    need(frame.study.nunique() == 1, "All trials must be of one network, that is, of one study.")


def longer_search(result: Any) -> str:
    """0c: one study with twice the trials of its scale."""
    frame = trials_of(result, "per_cap", "capacity task")
    need_one_study(frame)
    scale = frame.scale.iloc[0] if frame.scale.iloc[0] in SCALES else "quick"
    usual = SCALES[scale].capacity.trials
    need(
        len(frame) >= 2 * usual,
        f"A study has {usual} trials at the scale {scale}, and you have {len(frame)}. Train twice as"
        f" many: trials={2 * usual}.",
    )
    best = analysis.best_so_far(frame).set_index("trial").best.fillna(0.0)
    half = best.loc[: len(frame) // 2].max()
    full = best.max()
    gain = (
        "The second half found nothing better"
        if full <= half
        else f"The second half added {100 * (full / half - 1):.0f} %"
        if half
        else "The longer search pays"
    )
    return (
        f"The first half of the {len(frame)} trials found {half:.2f} bits per parameter, and all of"
        f" them together found {full:.2f}. {gain}."
    )


def another_length(result: Any) -> str:
    """2.1c: a study of the capacity task with another number of time steps than the figure has."""
    frame = trials_of(result, "per_cap", "capacity task")
    need(frame.unroll.nunique() == 1, "All trials must have the same number of time steps.")
    unroll = int(frame.unroll.iloc[0])
    steps = count(unroll, "time step")
    unrolls = SCALES["quick"].capacity.unrolls
    need(
        unroll not in unrolls,
        f"The figure already has networks of {steps}. Take a number that it lacks.",
    )
    best = analysis.per_trial(frame).bits_per_param.max()
    place = bisect(unrolls, unroll)
    neighbours = unrolls[max(0, place - 1) : place + 1]
    where = "between the points" if len(neighbours) == 2 else "beyond the point"
    return (
        f"With {steps} the best trial stores {best:.2f} bits per parameter. Does this fit {where} at"
        f" {and_list(neighbours)} in Figure 2b?"
    )


def another_width(result: Any) -> str:
    """2.2c: a network of the memory task with fewer units than inputs, on the bound."""
    frame = trials_of(result, "mem_thru", "memory task")
    need_one_study(frame)
    units = int(frame.n_units.iloc[0])
    n_in = int(frame.n_in.iloc[0])
    need(
        units < n_in,
        f"{units} units can hold all {n_in} numbers. Take fewer, so that something must be lost.",
    )
    best = frame.eval_loss.min()
    bound = 1 - units / n_in
    need(
        best - bound <= NEAR,
        f"The best error is {best:.3f}, and the bound for {units} units is {bound:.3f}. Train"
        " longer, or train more trials.",
    )
    return (
        f"With {units} units for {n_in} numbers the error is {best:.3f}, and the bound is"
        f" {bound:.3f}. This is one more point for Figure 2c."
    )


def frames_of(result: Any, columns: set[str], contents: str) -> list[pd.DataFrame]:
    """The items of a list, if all of them are frames with these columns; NotYet if they are not."""
    frames = list(result) if isinstance(result, (list, tuple)) else [result]
    need(
        frames and all(isinstance(f, pd.DataFrame) and columns <= set(f) for f in frames),
        f"The answer must be a list of two {contents}.",
    )
    return frames


def equal_units(result: Any) -> str:
    """3c: two architectures with equal units on one task, hence with unequal numbers of parameters."""
    columns = {"architecture", "task_type", "n_units", "n_layers", "num_params", "eval_loss"}
    frame = pd.concat(frames_of(result, columns, "frames of trials"), ignore_index=True)
    groups = frame.groupby("architecture")
    need(
        groups.ngroups == 2,
        f"The trials must be of two architectures, got {count(groups.ngroups, 'architecture')}.",
    )
    need(groups.size().min() >= 4, "Each architecture needs at least four trials.")
    need(
        frame.task_type.nunique() == 1 and frame.n_layers.nunique() == 1,
        "Both architectures must have the same task and the same depth.",
    )
    need(
        frame.n_units.nunique() == 1,
        "Both architectures must have equally many units. `rk.num_params` says how many parameters"
        " that takes.",
    )
    best = groups.agg(loss=("eval_loss", "min"), size=("num_params", "first")).sort_values("loss")
    (first, low), (second, high) = best.iterrows()
    more = f"{low['size'] / high['size']:.2g} times the parameters"
    return (
        f"With {frame.n_units.iloc[0]} units, the {label_of(first)} has a loss of {low.loss:.3g} and"
        f" the {label_of(second)} has {high.loss:.3g}. But the {label_of(first)} has {more}. Which of"
        " the two would win if both had equally many parameters?"
    )


def one_choice_set(result: Any) -> str:
    """4c: random sets of hyper-parameters on parentheses, with the learning rate held fixed."""
    frame = random_trials(result, "parens_counting", "parentheses task")
    need(
        analysis.is_pinned(frame, "lr_init").all(),
        'The learning rate must be held fixed: pinned=(("lr_init", 0.003),).',
    )
    trials = analysis.hard_trials(frame)
    bad = 100 * trials.loss.isna().mean()
    success = 100 * trials.solved.sum() / trials.loss.notna().sum()
    rate = frame.hparams.iloc[0]["lr_init"]
    return (
        f"With a learning rate of {rate:g} in all {len(frame)} sets, {bad:.0f} % diverged, and"
        f" {success:.0f} % of the others came below half of chance. Compare this with Table 1 and"
        " Figure 5, where the learning rate was drawn as well."
    )


def less_exact(result: Any) -> str:
    """5c: the bits per weight that it takes to keep a smaller share than the five-bit test asks for."""
    contents = "tables of needed bits: one for a share of 0.99 and one for a smaller share"
    tables = frames_of(result, {"needed", "study", "way"}, contents)
    need(len(tables) == 2, f"The answer must be a list of two {contents}.")
    need(
        all(len(table) for table in tables),
        "None of these networks stored any bits. Take trials of a larger scale.",
    )
    first, second = (table.groupby("study").needed.min().mean() for table in tables)
    need(
        second < first,
        f"The second table must ask for a smaller share than the first: it needs {second:.1f} bits"
        f" per weight, and the first needs {first:.1f}.",
    )
    return (
        f"The smaller share takes {second:.1f} bits per weight, and the larger one takes {first:.1f}"
        f" (the five-bit test asks for {100 * LOSSLESS:.0f} %). Which of the two is 'without loss'?"
    )


def typical_trial(result: Any) -> str:
    """A3: random sets of hyper-parameters, a few of them set by hand, so that a typical trial stores
    TYPICAL bits per parameter.
    """
    frame = random_trials(result, "per_cap", "capacity task")
    need_one_study(frame)
    bits = analysis.per_trial(frame).bits_per_param.fillna(0.0)
    need(
        bits.median() >= TYPICAL,
        f"A typical trial stores {bits.median():.2f} bits per parameter, and it should store"
        f" {TYPICAL:g}. Set one more choice, or another value. Which choices are the first in the"
        " table of importance?",
    )
    return (
        f"A typical trial stores {bits.median():.2f} bits per parameter, and the best one stores"
        f" {bits.max():.2f}. Once you have set these choices, chance does the rest."
    )


def three_open(result: Any) -> str:
    """B3: a string with more closing than opening parentheses, of which three are open at its end."""
    need(isinstance(result, str), f"The answer must be a string, got {type(result).__name__}.")
    need(result and set(result) <= set("()"), "The string must consist of ( and ) alone.")
    need(
        result.count(")") > result.count("("),
        f"The string opens {result.count('(')} and closes {result.count(')')}. It must close more"
        " than it opens.",
    )
    n_open = open_in(result, "()")
    need(
        n_open == 3,
        f"By the rule of the task, {n_open} are open at its end, and not 3. Remember that a count"
        " never falls below zero.",
    )
    return (
        "What is closed before anything was opened does not count, so three are open. A network"
        " must learn this as well."
    )


def rerun(result: Any) -> str:
    """C3: one set of hyper-parameters, trained several times."""
    need_columns(result, "study", "tuner", "eval_loss", "infeasible")
    need(
        set(result.tuner) == {"rerun"} and result.study.nunique() == 1,
        'The trials must be of one study of reruns: tuner="rerun", with everything pinned.',
    )
    need(len(result) >= ENOUGH, f"Got {count(len(result), 'rerun')}. Train at least {ENOUGH}.")
    losses = result.eval_loss[~result.infeasible.astype(bool)]
    need(
        len(losses) > 1,
        "Fewer than two of these did not diverge. Take another set of hyper-parameters.",
    )
    return (
        f"{len(losses)} trainings of one set ended between {losses.min():.3g} and"
        f" {losses.max():.3g}, with a median of {losses.median():.3g}. A search sees only one of"
        " them."
    )


def own_cell(result: Any) -> str:
    """own3: a report on a cell that the kit does not have."""
    need(
        isinstance(result, Report),
        f"The answer must be a report, as rk.report returns it, got {type(result).__name__}.",
    )
    name = result.architecture
    need(
        name not in KIT and name != "mgu",
        f"The cell {name!r} was there before. Change an equation, and the `architecture`.",
    )
    bits = analysis.stored_bits(analysis.rows_of("more_cells", result.frame))
    largest = bits[bits.max_params == bits.max_params.max()]
    best = largest.groupby("architecture").bits_per_param.max()
    paper_bits = best[best.index.isin(paper.ARCHITECTURES)]
    comparison = (
        f". Of the paper's six, the {label_of(paper_bits.idxmax())} stores the most:"
        f" {paper_bits.max():.2f}"
        if len(paper_bits)
        else ""
    )
    maps = count(len(cell_of(name).maps), "map")
    return (
        f"Your cell {name} has {maps} and stores {best.get(name, np.nan):.2f} bits per parameter at"
        f" the largest size{comparison}."
    )


# name -> a function of the result: a sentence about a right one, and NotYet for any other
PRACTICE: dict[str, Callable[..., str]] = {
    "0c": longer_search,
    "2.1c": another_length,
    "2.2c": another_width,
    "3c": equal_units,
    "4c": one_choice_set,
    "5c": less_exact,
    "A3": typical_trial,
    "B3": three_open,
    "C3": rerun,
    "own3": own_cell,
}
