"""Figure 5: losses of random hyper-parameters on parentheses.

Trials with random hyper-parameters are independent draws, so tests of them do not depend on whether a
search has come to its end. Levels do depend on the size of the task and on the training steps: where
ours are smaller than the paper's, only an order can be refuted.
"""

import functools
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from rnnkit import paper
from rnnkit.exhibits.audit import solve_shares
from rnnkit.exhibits.base import Exhibit, NamedTables
from rnnkit.exhibits.captions import (
    by_architecture,
    draws,
    named_numbers,
    numbers_of,
)
from rnnkit.exhibits.finding import DEEP, MIN_CELLS, NEAR, NO_DEPTH, SURELY, Pair, pairs_verdict
from rnnkit.exhibits.judge import ALWAYS, Measured, Rule, decide
from rnnkit.exhibits.overlays import key_if_drawn, overlay_columns
from rnnkit.exhibits.section_4.figure_4 import easiest
from rnnkit.exhibits.section_4.hard_trials import (
    LossAxis,
    at_least_depth,
    by_network,
    hard_trials,
    instead_of_8_layers,
    is_the_papers_task,
)
from rnnkit.exhibits.selection import random_sets
from rnnkit.exhibits.statistics import fisher
from rnnkit.exhibits.style import (
    SMALL,
    Drawing,
    Style,
    legend,
    letter,
    reference,
    style_of,
    write_at_right,
    write_note,
)
from rnnkit.paper import RANDOM_BUDGET
from rnnkit.theory import chance
from rnnkit.wording import label_of, layers


def losses_at_random(trials: pd.DataFrame) -> pd.DataFrame:
    """The loss of each trial with random hyper-parameters, beside chance, and whether it solved the task
    (Figure 5).
    """
    columns = ["architecture", "n_layers", "num_params", "hyper_iter", "loss", "chance", "solved"]
    hard = hard_trials(trials).sort_values(["n_layers", "study", "hyper_iter"])
    return hard[columns].reset_index(drop=True)


@draws("fig5", height=4.8)
def draw(figure: Drawing, table: pd.DataFrame, _networks: pd.DataFrame) -> None:
    """Figure 5: losses of random hyper-parameters on parentheses, (a) 1 layer, (b) the deepest.
    ValueError without trials.
    """
    style = style_of(table.architecture)
    scale = LossAxis(table.loss, table.chance.iloc[0])
    above = bool((table.loss > scale.high).any())
    axes = figure.subplots(1, 2, sharey=True)
    for ax, name, depth in zip(axes, "ab", [*sorted(table.n_layers.unique()), None]):
        letter(ax, name, layers(depth) if depth else "")
        scale.dress(ax, band=above)
        losses = dict(list(table[table.n_layers == depth].groupby("architecture").loss))
        boxes = {a: losses[a] for a in style if a in losses}
        _draw_boxes(ax, boxes, style, scale)
        if not depth:
            write_note(ax, "only one depth was trained\nat this scale")
        elif scale.chance == chance("parens_counting", "paper"):
            overlay_columns(ax, "fig5", "parens_counting", depth, boxes, scale.heights)
    axes[0].set_ylabel("loss, nats")
    axes[1].tick_params(labelleft=True)
    reference(axes[1], scale.chance, f"chance\n{scale.chance:.3g}")
    if above:
        write_at_right(axes[1], scale.top, f"above {scale.high:.3g}")
    if authors_key := key_if_drawn(figure):
        legend(figure, authors_key)


def _draw_boxes(
    ax: Axes, boxes: Mapping[str, pd.Series], style: Mapping[str, Style], scale: LossAxis
) -> None:
    """Draws a box of the losses of each architecture, in order, and writes below it how many trials
    diverged.
    """
    sizes = {len(losses) for losses in boxes.values()}
    labels = []
    for x, (architecture, losses) in enumerate(boxes.items()):
        if losses.notna().any():
            _draw_box(ax, x, losses.dropna().to_numpy(), style[architecture].color, scale)
        of_all = "" if len(sizes) == 1 else f" of {len(losses)}"
        labels.append(f"{label_of(architecture)}\n{losses.isna().sum()}{of_all}")
    ax.set_xticks(range(len(labels)), labels, fontsize=SMALL)
    ax.set_xlim(-0.6, max(len(labels), 1) - 0.4)
    trials = f"trials of {min(sizes):,}" if len(sizes) == 1 else "trials"
    ax.set_xlabel(f"below each box: {trials} that diverged")
    if boxes and all(losses.isna().all() for losses in boxes.values()):
        write_note(ax, "no feasible trial")


def _draw_box(ax: Axes, x: int, losses: np.ndarray, color: str, scale: LossAxis) -> None:
    """Draws box and whiskers of all trials, and a dot for each, scattered sideways in a repeatable way."""
    spread = np.random.default_rng(0).uniform(-0.3, 0.3, len(losses))
    dots = {"markersize": 2.4, "alpha": 0.45, "markeredgewidth": 0}
    ax.plot(x + spread, scale.heights(losses), "o", color=color, zorder=2, **dots)
    line = {"color": "black", "linewidth": 1}
    ax.boxplot(
        [losses],
        positions=[x],
        widths=0.66,
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        zorder=3,
        boxprops={"facecolor": to_rgba(color, 0.25), "edgecolor": "black", "linewidth": 1},
        medianprops={"color": color, "linewidth": 2.2},
        whiskerprops=line,
        capprops=line,
    )


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    sentences = []
    for depth, group in tables["fig5_networks"].groupby("n_layers"):
        shares = group.set_index("architecture").solved_share
        if shares.notna().any():
            best = group.loc[group.minimum.idxmin()]
            sentences.append(
                f"With {layers(depth)}, per cent of feasible random sets that came below half of"
                f" chance: {numbers_of(100 * shares, '.1f')}. The least loss, {best.minimum:.3g} where"
                f" chance is {best.chance:.3g}, is the {label_of(best.architecture)}'s."
            )
    return sentences


def intersection_solves_deep(trials: pd.DataFrame, networks: pd.DataFrame) -> Measured:
    """H07: the share of +RNN's feasible random sets that solve the task at the greatest depth. It
    has to be larger than that of every other architecture (Fisher's test, Holm's correction).
    Whether the level is the paper's is another claim, H07b.
    """
    deep, lacks = _deepest(networks)
    if lacks:
        return Measured(lacks=lacks)
    (champion, *competitors) = deep.itertuples()
    counts = champion.solved, champion.feasible
    pairs = [Pair("+rnn", c.Index, *fisher(*counts, c.solved, c.feasible)) for c in competitors]
    order, phrase = pairs_verdict(pairs, lower=False)
    share, low, high = deep.loc["+rnn", SOLVED_SHARE]
    return Measured(
        share,
        low,
        high,
        f"{', '.join(named_numbers(deep.solved_share, '.3f'))}, of feasible random sets"
        f"{instead_of_8_layers(champion.n_layers)}; more than every other: {phrase}",
        verdict=order,
    )


def intersection_level(trials: pd.DataFrame, networks: pd.DataFrame) -> Measured:
    """H07b: the share of +RNN's feasible random sets that solve the task, beside the .43 that the
    paper's tests imply (`audit.solve_shares`).

    The claim holds if Fisher's test does not tell the two apart and the interval stays near the paper's
    share. A different level refutes the claim only if the task is the paper's.
    """
    deep, lacks = _deepest(networks)
    if lacks:
        return Measured(lacks=lacks)
    champion = deep.loc["+rnn"]
    share, low, high = champion[SOLVED_SHARE]
    theirs, *counts = _papers_solvers()
    p, _ = fisher(champion.solved, champion.feasible, *counts)
    elsewhere = "; the level belongs to the paper's task and number of steps"
    return Measured(
        share,
        low,
        high,
        f"{champion.solved} of {champion.feasible} feasible random sets"
        f"{instead_of_8_layers(champion.n_layers)}, the paper's {theirs:.2f}; p {p:.2g}",
        verdict=decide(
            holds=p > SURELY and max(theirs - low, high - theirs) <= NEAR,
            fails=p <= SURELY and is_the_papers_task(trials),
        ),
        if_open=f"; the interval leaves {theirs:.2f} +- {NEAR}" if p > SURELY else elsewhere,
    )


SOLVED_SHARE = ["solved_share", "solved_low", "solved_high"]


@functools.cache
def _papers_solvers() -> tuple[float, int, int]:
    """The share of the runs of the paper's +RNN at 8 layers that solved the task, how many these are,
    and out of how many.
    """
    row = solve_shares().set_index("architecture").loc["+rnn"]
    return float(row.share), round(row.share * row.runs), round(row.runs)


def _deepest(networks: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The networks of the paper's architectures at the greatest depth, by architecture, +RNN first,
    with the number of their `feasible` trials; and what is lacking if they cannot be compared.
    """
    deepest = networks.n_layers.max()
    feasible = networks.trials - networks.infeasible
    deep = networks.assign(feasible=feasible).set_index("architecture")
    deep = deep[(deep.n_layers == deepest) & (deep.feasible > 0)]
    deep = deep.reindex(
        [a for a in sorted(paper.ARCHITECTURES, key=lambda a: a != "+rnn") if a in deep.index]
    )
    if deepest < DEEP:
        return deep, NO_DEPTH.format(deepest, DEEP)
    if "+rnn" not in deep.index or len(deep) < MIN_CELLS:
        return deep, f"+RNN was not trained beside others at depth {deepest}"
    return deep, ""


CLAIMS = {
    "H04": Rule(easiest, needs={"layers": DEEP}, refutes=ALWAYS),
    "H07": Rule(intersection_solves_deep, refutes=ALWAYS),
    "H07b": Rule(intersection_level, refutes=ALWAYS),
}


Exhibit(
    name="fig5",
    title="Figure 5",
    gist=(
        "Losses of random hyper-parameters on parentheses, (a) 1 layer, (b) the deepest networks:"
        " median, quartiles, whiskers to the last trial within 1.5 times their distance, dots for"
        " all trials. Grey line: chance. Below each box: how many diverged."
    ),
    position=12,
    select=random_sets,
    trials="parentheses task with random sets",
    tables={
        "fig5": losses_at_random,
        "fig5_networks": by_network,
    },
    draw=draw,
    alt="a box of losses for each architecture, at 1 layer and at the deepest, beside chance.",
    numbers=lambda tables: by_architecture(
        "Median loss at 1 layer", at_least_depth(tables["fig5_networks"], "loss_median"), ".3g"
    ),
    facts=facts,
    claims=CLAIMS,
    claims_table="fig5_networks",
    budget=RANDOM_BUDGET,
)
