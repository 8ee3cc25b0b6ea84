"""Exercises of the notebooks that are done rather than worked out: `rk.check("2.2c", frame)` looks
at what came of them.

What is asked stands in the notebooks. Here is what a result must be, and what is said of it:
numbers out of the result itself, to compare with the figure that the exercise belongs to.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rnnkit import analysis, paper
from rnnkit.analysis.compression import LOSSLESS
from rnnkit.wording import count, label_of

ENOUGH = 8  # trials of a study below which nothing is said of its best
NEAR = 0.02  # of the variance: so near its bound, a network reaches it
TYPICAL = 0.5  # bits per parameter that a typical trial stores if a few choices are set well


class NotYet(Exception):
    """A result that is not what the exercise asks for, with a sentence that says what is missing."""


@dataclass(frozen=True)
class Practice:
    """An exercise that is done. `look(result)` gives a sentence on a result that is right, and
    raises NotYet for another; `due` is what a result is.
    """

    due: str
    look: Callable


def need(condition, word: str):
    if not condition:
        raise NotYet(word)


def trials_of(result, task_type: str, what: str) -> pd.DataFrame:
    """The result, if it is a frame of trials of a task, with as many as a study needs. NotYet for
    all else.
    """
    columns = {
        "study",
        "task_type",
        "architecture",
        "hparams",
        "eval_loss",
        "infeasible",
        "num_params",
    }
    need(
        isinstance(result, pd.DataFrame) and columns <= set(result.columns),
        f"A frame of trials is due, got {type(result).__name__}.",
    )
    need(
        set(result.task_type) == {task_type},
        f"The trials must be of the {what} and of nothing else.",
    )
    need(
        len(result) >= ENOUGH, f"These are {count(len(result), 'trial')}; train {ENOUGH} at least."
    )
    need(not result.infeasible.all(), "All of these trials diverged. Train some more.")
    return result


def longer_search(result) -> str:
    """0c: one study with twice the trials of its scale."""
    from rnnkit.studies.scales import SCALES

    frame = trials_of(result, "per_cap", "capacity task")
    need(frame.study.nunique() == 1, "One study is due, the one of this notebook.")
    scale = frame.scale.iloc[0] if frame.scale.iloc[0] in SCALES else "quick"
    usual = SCALES[scale].capacity.trials
    need(
        len(frame) >= 2 * usual,
        f"At {scale} a study has {usual} trials, and these are {len(frame)}. Give twice as many:"
        f" trials={2 * usual}.",
    )
    best = analysis.best_so_far(frame).set_index("trial").best.fillna(0.0)
    half, whole = best.loc[: len(frame) // 2].max(), best.max()
    gain = (
        "The second half found nothing better"
        if whole <= half
        else f"The second half added {whole / half - 1:.0%}"
        if half
        else "It pays"
    )
    return (
        f"The first half of the {len(frame)} trials found {half:.2f} bits per parameter, all of"
        f" them {whole:.2f}. {gain}."
    )


def another_length(result) -> str:
    """2.1c: a study of the capacity task with another number of time steps than the figure has."""
    from rnnkit.studies.scales import SCALES

    frame = trials_of(result, "per_cap", "capacity task")
    need(frame.unroll.nunique() == 1, "One number of time steps is due.")
    unroll, drawn = int(frame.unroll.iloc[0]), SCALES["quick"].capacity.unrolls
    need(
        unroll not in drawn,
        f"The figure has {unroll} time steps already. Take a number that it lacks.",
    )
    best = analysis.per_trial(frame).bits_per_param.max()
    below, above = (
        max([u for u in drawn if u < unroll], default=None),
        min([u for u in drawn if u > unroll], default=None),
    )
    between = (
        f"between those at {below} and at {above}"
        if below and above
        else f"beyond the one at {below or above}"
    )
    return (
        f"{count(unroll, 'step')} store {best:.2f} bits per parameter. Does that fit {between} in"
        " Figure 2b?"
    )


def another_width(result) -> str:
    """2.2c: a network of the memory task with fewer units than inputs, on the bound."""
    frame = trials_of(result, "mem_thru", "memory task")
    need(frame.study.nunique() == 1, "One network is due.")
    units, n_in = int(frame.n_units.iloc[0]), int(frame.n_in.iloc[0])
    need(
        units < n_in,
        f"{units} units are enough for {n_in} numbers. Take fewer, so that something must be lost.",
    )
    best, bound = frame.eval_loss.min(), 1 - units / n_in
    need(
        best - bound <= NEAR,
        f"The best error is {best:.3f}, and the bound for {units} units is {bound:.3f}. Train"
        " longer, or more trials.",
    )
    return (
        f"With {units} units for {n_in} numbers the error is {best:.3f}, on the bound of"
        f" {bound:.3f}: a point more for Figure 2c."
    )


def equal_units(result) -> str:
    """3c: two architectures with equal units on one task, so with different numbers of parameters."""
    frames = list(result) if isinstance(result, (list, tuple)) else [result]
    need(
        frames and all(isinstance(frame, pd.DataFrame) for frame in frames),
        "Two frames of trials are due, in a list.",
    )
    frame = pd.concat(frames, ignore_index=True)
    need(
        {"task_type", "n_units", "n_layers"} <= set(frame.columns),
        "Two frames of trials are due, in a list.",
    )
    need(
        frame.architecture.nunique() == 2,
        f"Two architectures are due, got {count(frame.architecture.nunique(), 'architecture')}.",
    )
    need(
        frame.groupby("architecture").size().min() >= 4,
        "Each architecture takes four trials at least.",
    )
    need(
        frame.task_type.nunique() == 1 and frame.n_layers.nunique() == 1,
        "Both must have one task and one depth in common.",
    )
    need(
        frame.n_units.nunique() == 1,
        "Both must have equally many units; `rk.num_params` says what these cost.",
    )
    best = (
        frame.groupby("architecture")
        .agg(loss=("eval_loss", "min"), size=("num_params", "first"))
        .sort_values("loss")
    )
    (first, low), (second, high) = best.iterrows()
    more = f"{low['size'] / high['size']:.2g} times the parameters"
    return (
        f"At {frame.n_units.iloc[0]} units the {label_of(first)} has a loss of {low.loss:.3g} and"
        f" the {label_of(second)} {high.loss:.3g}; but the {label_of(first)} has {more}. Which of"
        " the two would win with equally many?"
    )


def one_choice_set(result) -> str:
    """4c: random sets on parentheses with the learning rate held fixed."""
    frame = trials_of(result, "parens_counting", "parentheses task")
    need(set(frame.tuner) == {"random"}, 'The sets must be drawn at random: tuner="random".')
    need(
        analysis.is_pinned(frame, "lr_init").all(),
        'The learning rate must be held fixed: pinned=(("lr_init", 0.003),).',
    )
    need(
        len(frame) >= 2 * ENOUGH,
        f"These are {len(frame)} sets; a share takes {2 * ENOUGH} at least.",
    )
    trials = analysis.hard_trials(frame)
    bad, solved = (
        100 * trials.loss.isna().mean(),
        100 * trials.solved.sum() / trials.loss.notna().sum(),
    )
    rate = frame.hparams.iloc[0]["lr_init"]
    return (
        f"With a learning rate of {rate:g} in all {len(frame)} sets, {bad:.0f} % diverged and"
        f" {solved:.0f} % of the others came below half of chance. Hold that against Table 1 and"
        " Figure 5, where the rate was drawn too."
    )


def less_exact(result) -> str:
    """5c: bits per weight that leave less than the five-bit test asks for."""
    tables = list(result) if isinstance(result, (list, tuple)) else []
    right = len(tables) == 2 and all(
        isinstance(table, pd.DataFrame) and {"needed", "study", "way"} <= set(table)
        for table in tables
    )
    need(
        right,
        "Two tables of needed bits are due, in a list: one for a share of 0.99 and one for a"
        " smaller share.",
    )
    need(
        all(len(table) for table in tables),
        "No network of these stored any bits. Take trials of a larger scale.",
    )
    first, second = (table.groupby("study").needed.min().mean() for table in tables)
    need(
        second < first,
        f"The second table must ask for less: it needs {second:.1f} bits per weight, and the first"
        f" {first:.1f}.",
    )
    return (
        f"To keep less, {second:.1f} bits per weight do, where {LOSSLESS:.0%} or what you asked"
        f" first takes {first:.1f}. Which is 'without loss'?"
    )


def typical_trial(result) -> str:
    """A3: random sets of the RNN with a few choices set by hand, such that a typical trial stores
    half a bit per parameter.
    """
    frame = trials_of(result, "per_cap", "capacity task")
    need(
        set(frame.tuner) == {"random"}, 'The other choices must be drawn at random: tuner="random".'
    )
    need(frame.study.nunique() == 1, "One study is due.")
    need(
        len(frame) >= 2 * ENOUGH,
        f"These are {len(frame)} trials; a typical one takes {2 * ENOUGH} at least.",
    )
    bits = analysis.per_trial(frame).bits_per_param.fillna(0.0)
    need(
        bits.median() >= TYPICAL,
        f"A typical trial stores {bits.median():.2f} bits per parameter; {TYPICAL:g} are due. Set"
        " one more choice, or another value: which choices does the table of importance name"
        " first?",
    )
    return (
        f"A typical trial stores {bits.median():.2f} bits per parameter, the best {bits.max():.2f}."
        " With so much known, chance does the rest."
    )


def three_open(result) -> str:
    """B3: a string of parentheses with more closed than opened ones, of which three count at the
    end.
    """
    need(isinstance(result, str), f"A string is due, got {type(result).__name__}.")
    need(result and set(result) <= set("()"), "Only ( and ) may be in it.")
    need(
        result.count(")") > result.count("("),
        f"It opens {result.count('(')} and closes {result.count(')')}; it must close more than it"
        " opens.",
    )
    left = 0
    for symbol in result:
        left = max(0, left + (1 if symbol == "(" else -1))
    need(
        left == 3,
        f"By the rule of the task {left} are open at its end, not 3. A count never falls below"
        " zero.",
    )
    return (
        "What is closed before anything was opened does not count, so three are open. A network"
        " must learn that, too."
    )


def rerun(result) -> str:
    """C3: one set of hyper-parameters, trained again and again."""
    columns = {"study", "tuner", "eval_loss", "infeasible"}
    need(
        isinstance(result, pd.DataFrame) and columns <= set(result.columns),
        f"A frame of trials is due, got {type(result).__name__}.",
    )
    need(
        set(result.tuner) == {"rerun"} and result.study.nunique() == 1,
        'One study of reruns is due: tuner="rerun", and everything pinned.',
    )
    need(
        len(result) >= ENOUGH, f"These are {count(len(result), 'rerun')}; train {ENOUGH} at least."
    )
    losses = result.eval_loss[~result.infeasible.astype(bool)]
    need(len(losses) > 1, "All but one of these diverged. Take another set of hyper-parameters.")
    return (
        f"{len(losses)} trainings of one set ended between {losses.min():.3g} and"
        f" {losses.max():.3g}, the middle one at {losses.median():.3g}. A search that has seen one"
        " of them knows as much as that."
    )


def own_cell(result) -> str:
    """own3: a report on a cell that is none of the kit's."""
    from rnnkit.cells import cell_of
    from rnnkit.reports import KIT, Report

    need(
        isinstance(result, Report),
        f"A report is due, as rk.report gives it, got {type(result).__name__}.",
    )
    name = result.architecture
    need(
        name not in KIT and name != "mgu",
        f"{name!r} is a cell that was there before. Change its equations, and its `architecture`.",
    )
    best = analysis.stored_bits(analysis.rows_of("more_cells", result.frame))
    best = (
        best[best.max_params == best.max_params.max()].groupby("architecture").bits_per_param.max()
    )
    others = best[best.index.isin(paper.ARCHITECTURES)]
    beside = (
        f"; of the paper's six, {label_of(others.idxmax())} stores most, {others.max():.2f}"
        if len(others)
        else ""
    )
    maps = count(len(cell_of(name).maps), "map")
    return (
        f"Your cell {name} has {maps} and stores {best.get(name, np.nan):.2f} bits per parameter at"
        f" the larger size{beside}."
    )


PRACTICE = {
    "0c": Practice("the frame that rk.run gives", longer_search),
    "2.1c": Practice("a frame of trials", another_length),
    "2.2c": Practice("a frame of trials", another_width),
    "3c": Practice("a list of two frames of trials", equal_units),
    "4c": Practice("a frame of trials", one_choice_set),
    "5c": Practice("a list of two tables", less_exact),
    "A3": Practice("a frame of trials", typical_trial),
    "B3": Practice("a string of ( and )", three_open),
    "C3": Practice("a frame of trials", rerun),
    "own3": Practice("a report", own_cell),
}
