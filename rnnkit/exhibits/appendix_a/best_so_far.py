"""The search: how good the best trial was after so many trials."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, NamedTables
from rnnkit.exhibits.best_trials import per_trial
from rnnkit.exhibits.captions import draws
from rnnkit.exhibits.selection import capacity
from rnnkit.exhibits.style import (
    Drawing,
    Style,
    architecture_keys,
    axis_top,
    draw_search,
    legend,
    letter,
    line_key,
    reference,
    short,
    style_of,
    write_at_right,
    write_note,
)
from rnnkit.paper import SEARCH_BUDGET
from rnnkit.wording import and_list, count, layers, percent

SO_FAR = [
    "study",
    "architecture",
    "n_layers",
    "max_params",
    "num_params",
    "trial",
    "bits_per_param",
    "best",
]


def best_so_far(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` in the order of its trials, with `trial` (1, 2, ...) and `best`: the most bits per
    parameter that the study has found so far.
    """
    trials = per_trial(frame).sort_values(["study", "hyper_iter"])
    best = trials.bits_per_param.fillna(0.0).groupby(trials.study).cummax()
    return trials.assign(trial=trials.hyper_iter + 1, best=best.where(best > 0))


@draws("best_so_far", height=lambda table: 1.5 + 2.1 * table.n_layers.nunique())
def draw(figure: Drawing, table: pd.DataFrame) -> None:
    """Bits per parameter of the best trial so far; a row for each depth, a column for each size.
    ValueError without trials.
    """
    depths = sorted(table.n_layers.unique())
    sizes = sorted(table.max_params.unique())
    axes = figure.subplots(len(depths), len(sizes), sharex=True, sharey=True, squeeze=False)
    style = style_of(table.architecture)
    for row, depth in zip(axes, depths):
        for ax, size in zip(row, sizes):
            letter(ax, "", f"{layers(depth)}, {short(size)} parameters")
            _draw_searches(ax, table[(table.n_layers == depth) & (table.max_params == size)], style)
        write_at_right(row[-1], paper.BITS_PER_PARAMETER, f"paper: {paper.BITS_PER_PARAMETER:g}")
        row[0].set_ylabel("bits per parameter")
    top = axis_top(table.best, paper.BITS_PER_PARAMETER)
    axes[0][0].set(xlim=(0, table.trial.max() * 1.03), ylim=(0, top))
    for ax in axes[-1]:
        ax.set_xlabel("trials")
    keys = [
        *architecture_keys(table.architecture),
        line_key("a trial", "none", marker="o", markersize=2.5),
    ]
    legend(figure, keys)


def _draw_searches(ax: Axes, subset: pd.DataFrame, style: Mapping[str, Style]) -> None:
    """Draws the best trial so far of each study of one size and depth, and all trials as dots."""
    for (architecture, _), curve in subset.groupby(["architecture", "study"], sort=False):
        s = style[architecture]
        draw_search(ax, curve.trial, curve.bits_per_param, curve.best, s, True, architecture)
    if not subset.best.notna().any():
        write_note(ax, "no feasible trial" if len(subset) else "not trained")
    reference(ax, paper.BITS_PER_PARAMETER)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 4, 5, 8, 10]))


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    best = []
    for _, study in tables["best_so_far"].groupby("study"):
        number = study.trial.max()
        marks = {"half": np.ceil(number / 2), "early": np.floor(0.75 * number), "most": number}
        best.append({name: study.best[study.trial <= mark].max() for name, mark in marks.items()})
    searches = pd.DataFrame(best).fillna(0.0).query("most > 0")
    if searches.empty:
        return []
    share = (searches.half / searches.most).median()
    sentence = (
        f"Halfway through its trials the {'' if len(searches) == 1 else 'median '}search had found"
        f" {percent(share)} of the bits that it ended with."
    )
    late = int((searches.early < searches.most).sum())
    return [sentence, _rising(late, len(searches)), *agreement(trials)]


def _rising(late: int, searches: int) -> str:
    """How many searches were still getting better at their end, as a sentence."""
    if searches == 1:
        return (
            "It found its best network in the last quarter of its trials, and would probably find more"
            " if it were longer."
            if late
            else "It found its best network before the last quarter of its trials."
        )
    more = (
        "those would probably store more in a longer search"
        if late
        else "no curve was still rising at its end"
    )
    return (
        f"{late} of {count(searches, 'search', 'searches')} found the best network in the last"
        f" quarter of the trials; {more}."
    )


def agreement(trials: pd.DataFrame) -> list[str]:
    """What the best trials of one study have in common; no sentence if there are several studies."""
    best = per_trial(trials).dropna(subset="bits").nlargest(5, "bits_per_param")
    if trials.study.nunique() > 1 or len(best) < 2:
        return []
    table = pd.DataFrame(best.hparams.tolist())
    choices = table.select_dtypes(exclude=["number", "bool"]).astype(str)
    numbers = choices.nunique()
    common = [f"{name} ({choices[name].iloc[0]})" for name in choices if numbers[name] == 1]
    different = [name for name in choices if numbers[name] > 1]
    sentence = (
        f"The best {len(best)} trials agree on {and_list(common)}"
        if common
        else f"The best {len(best)} trials agree on no choice"
    )
    sentence += f", and differ in {and_list(different)}." if different else "."
    if "lr_init" in table:
        sentence += (
            f" Their learning rates run from {table.lr_init.min():.2g} to"
            f" {table.lr_init.max():.2g}."
        )
    return [sentence]


Exhibit(
    name="best_so_far",
    title="The search",
    gist=(
        "Bits per parameter of each trial (dots) and of the best so far (lines) against the number"
        " of trials, a panel for each depth and size. A curve that still rises has not found its"
        " capacity."
    ),
    position=2,
    select=capacity,
    trials="capacity task",
    experiment="fig1",
    also=("start",),
    tables={"best_so_far": lambda trials: best_so_far(trials).reset_index(drop=True)},
    columns={"best_so_far": SO_FAR},
    draw=draw,
    alt="bits per parameter of the best trial so far against trials.",
    facts=facts,
    budget=SEARCH_BUDGET,
)
