"""What networks with one layer achieve on the hard tasks when they are trained for longer than in
Figure 4: section 4 says that they solve them eventually.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, NamedTables
from rnnkit.exhibits.best_trials import in_order
from rnnkit.exhibits.captions import by_architecture, draws, task_name
from rnnkit.exhibits.convergence import trials_of
from rnnkit.exhibits.finding import FAILS, HOLDS, NEARLY, SOLVED
from rnnkit.exhibits.judge import Measured, Rule
from rnnkit.exhibits.section_4.figure_4 import PLAIN
from rnnkit.exhibits.section_4.hard_trials import NETWORK, by_network
from rnnkit.exhibits.selection import HARD, LONGER, by_gaussian_process, one_size
from rnnkit.exhibits.style import (
    GUIDE,
    Drawing,
    legend,
    letter,
    line_key,
    log_ticks,
    style_of,
    write_beside,
)
from rnnkit.wording import and_list, count, label_of, percent, size_range

EDGE = "#000000"  # of the markers of larger networks


def searches_at_length(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of Figure 4's searches at the least depth, with the longer trainings that start from
    the best of them, of the same networks or of larger ones.
    """
    trials = by_gaussian_process(*HARD, at_length=True)(frame)
    is_longer = trials.tuner == LONGER
    searches = one_size(trials[~is_longer])
    is_large_enough = trials.max_params >= _size_searched(trials, searches)
    trials = trials[trials.index.isin(searches.index) | is_longer & is_large_enough]
    return trials[trials.n_layers == trials.n_layers.min()]


def _size_searched(trials: pd.DataFrame, searches: pd.DataFrame) -> pd.Series:
    """For each trial, the size of the networks that were searched on its task; nan if none was."""
    return trials.task_type.map(searches.groupby("task_type").max_params.max())


BEST = ["trials", "minimum", "accuracy", "steps"]
MINIMA = ["minimum", "longer_minimum", "larger_minimum"]
COLUMNS = [
    "chance",
    *BEST,
    *(f"longer_{name}" for name in BEST),
    *(f"larger_{name}" for name in (*BEST, "max_params")),
]


def before_and_after(trials: pd.DataFrame) -> pd.DataFrame:
    """What each network achieves: the `minimum` loss, the share of exact answers (`accuracy`), the
    number of `trials` and the most training `steps` of Figure 4's search; the same of the longer
    trainings of that network (`longer_minimum`, ...) and of a larger one (`larger_minimum`, ...),
    with its size, `larger_max_params`; nan where there are none. `chance` is the loss of chance.
    """
    is_longer = trials.tuner == LONGER
    is_larger = trials.max_params > _size_searched(trials, trials[~is_longer])
    table = _bests(trials[~is_longer])
    for kind, later in (("longer_", is_longer & ~is_larger), ("larger_", is_longer & is_larger)):
        if later.any():
            table = table.join(_bests(trials[later]).add_prefix(kind))
    return table.reindex(columns=COLUMNS).reset_index()


def _bests(trials: pd.DataFrame) -> pd.DataFrame:
    most = trials.groupby(NETWORK)[["steps", "max_params"]].max()
    return by_network(trials).set_index(NETWORK).join(most)


@draws("given_time", height=lambda best: 1.6 + 0.3 * best.architecture.nunique())
def draw(figure: Drawing, best: pd.DataFrame) -> None:
    """Least loss over chance, a row for each architecture and a panel for each task: open after
    Figure 4's search, filled after longer trainings, filled and with a dark edge after those of
    larger networks. ValueError without trials.
    """
    tasks = best.task_type.unique()
    names = in_order(best.architecture)
    axes = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    for ax, task, panel in zip(axes, tasks, "ab"):
        letter(ax, panel, task_name(task))
        _draw_task(ax, best[best.task_type == task].set_index("architecture"), names)
    axes[0].set_yticks(range(len(names)), map(label_of, names))
    axes[0].set_ylim(len(names) - 0.5, -0.9)
    keys = [_key("best of Figure 4's search", best.steps, markerfacecolor="none")]
    if best.longer_minimum.notna().any():
        keys.append(_key("best of longer trainings", best.longer_steps))
    if best.larger_minimum.notna().any():
        sizes = size_range(best.larger_max_params.dropna().astype(int))
        text = f"the same of larger networks ({sizes} parameters)"
        keys.append(_key(text, best.larger_steps, markeredgecolor=EDGE))
    legend(figure, keys)


def _key(text: str, steps: pd.Series, **settings: Any) -> Line2D:
    """The entry of the legend that says which trainings a marker stands for, and how long they are."""
    most = size_range(steps.dropna().astype(int))
    return line_key(f"{text}, at most {most} steps", "none", marker="o", **settings)


def _draw_task(ax: Axes, best: pd.DataFrame, names: Sequence[str]) -> None:
    style = style_of(names)
    for name, network in best.iterrows():
        row = names.index(name)
        look = style[name]
        losses = network[MINIMA].astype(float) / network.chance
        ax.plot(losses, [row] * len(losses), color=look.color, linewidth=1)
        points = {"marker": look.marker, "color": look.color, "linestyle": "none"}
        for loss, fill, edge in zip(losses, ("none", "full", "full"), (None, None, EDGE)):
            kind = {"fillstyle": fill, "markeredgecolor": edge or look.color, "markersize": 6.5}
            ax.plot(loss, row, **points, **kind)
    for share, text, side, offset in ((SOLVED, "solved", "right", -3), (1, "chance", "left", 3)):
        ax.axvline(share, **GUIDE)
        write_beside(ax, text, (share, -0.7), (offset, 0), ha=side)
    ax.set(xscale="log", xlabel="least loss over that of chance")
    ax.set_xlim(right=1.6)
    log_ticks(ax.xaxis, "{:g}".format)


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    """What longer trainings change, task by task."""
    table = tables["given_time"].dropna(subset=["minimum", "longer_minimum"])
    sentences = []
    for task, best in table.groupby("task_type", sort=False):
        falls = and_list(
            f"the {label_of(row.architecture)}'s from {row.minimum / row.chance:.2g} to"
            f" {row.longer_minimum / row.chance:.2g}"
            for row in best.itertuples()
        )
        sentences.append(
            f"On {paper.TASKS.get(task, task)}, with at most {best.longer_steps.max():,.0f} steps instead of"
            f" {best.steps.max():,.0f}, the least loss over that of chance changes as follows: {falls}."
        )
        accuracy = best.set_index("architecture")[["longer_accuracy", "larger_accuracy"]]
        accuracy.columns = ["the longer trainings", "those of larger networks"]
        sentences += [
            by_architecture(f"Share of exact answers after {trainings}", shares)
            for trainings, shares in accuracy.dropna(axis=1, how="all").items()
        ]
    return sentences or ["No network was trained for longer than in Figure 4."]


def plain_solve_one_layer(trials: pd.DataFrame, networks: pd.DataFrame) -> Measured:
    """P02: the best loss of RNN and of IRNN with one layer on parentheses, whichever is the worse.
    They have to solve every task on which they were trained, parentheses and arithmetic.
    """
    plain = networks[(networks.n_layers == 1) & networks.architecture.isin(PLAIN)]
    parens = plain[plain.task_type == "parens_counting"]
    if len(parens) < len(PLAIN):
        return Measured(lacks="RNN and IRNN with one layer were not both trained on parentheses")
    failures = plain[plain.solved == 0]
    worst = parens.minimum.max(skipna=False)
    return Measured(
        worst,
        parens.minimum.min(),
        worst,
        and_list(
            f"{label_of(c.architecture)} {c.minimum:.3g} on {task_name(c.task_type)} (chance"
            f" {c.chance:.3g})"
            for c in plain.itertuples()
        ),
        verdict=FAILS if len(failures) else HOLDS,
        if_fails=f"; {SOLVED:g} of chance is the threshold",
        search=trials_of(trials, failures),
    )


SOLUTION = f"loss below {SOLVED:g} of chance"


def learned_is_exact(trials: pd.DataFrame, networks: pd.DataFrame) -> Measured:
    """P06: the share of sums that are right in every digit, of the best network that solved arithmetic."""
    networks = networks[networks.task_type == "arithmetic"]
    if networks.empty:
        return Measured(lacks=f"arithmetic was not trained: {SOLUTION}")
    solvers = networks[(networks.solved > 0) & networks.accuracy.notna()]
    if solvers.empty:
        return Measured(networks.accuracy.max(), lacks=f"no network solved arithmetic: {SOLUTION}")
    best = solvers.loc[solvers.accuracy.idxmax()]
    of_best = trials_of(trials, networks.loc[[best.name]])
    size = of_best.max_params[of_best.valid_loss.idxmin()]
    exact = (solvers.accuracy >= NEARLY).sum()
    return Measured(
        best.accuracy,
        solvers.accuracy.min(),
        best.accuracy,
        f"{label_of(best.architecture)} at depth {best.n_layers}, up to {size:,} parameters; {exact} of"
        f" {count(len(solvers), 'architecture')} that solved it answer {percent(NEARLY)} of sums or more",
        verdict=HOLDS if best.accuracy >= NEARLY else FAILS,
        search=trials_of(trials, solvers),
    )


Exhibit(
    name="given_time",
    title="Hard tasks, given time (ours: not in the paper)",
    gist=(
        "The least loss of networks with one layer, over that of chance: open, the best of Figure 4's"
        " search; filled, the best of trainings that are about ten times as long and start from the"
        " best hyper-parameters of that search; filled with a dark edge, the same of larger networks."
        " Below half of chance a task counts as solved."
    ),
    position=11.5,
    select=searches_at_length,
    trials="parentheses or the arithmetic task",
    experiment="fig4",
    tables={
        "given_time": before_and_after,
        "_networks": by_network,
    },
    draw=draw,
    alt="least loss over that of chance, a row for each architecture and a panel for each task.",
    numbers=lambda tables: " ".join(
        by_architecture(
            f"Least loss over chance on {task_name(task)}",
            (best[MINIMA].min(axis=1) / best.chance).set_axis(best.architecture),
            ".2g",
        )
        for task, best in tables["given_time"].groupby("task_type", sort=False)
    ),
    facts=facts,
    claims={"P02": Rule(plain_solve_one_layer), "P06": Rule(learned_is_exact)},
    claims_table="_networks",
)
