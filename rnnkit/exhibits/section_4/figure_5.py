"""Figure 5: losses of random hyper-parameters on parentheses.

Trials with random hyper-parameters are independent draws, so tests of them do not depend on whether a
search has come to its end. Levels do depend on the size of the task and on the training steps: where
ours are smaller than the paper's, only an order can be refuted.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from rnnkit import paper
from rnnkit.exhibits.audit import solve_shares
from rnnkit.exhibits.base import Exhibit, points
from rnnkit.exhibits.budget import Budget
from rnnkit.exhibits.captions import (
    NOTHING_TO_SEE,
    by_architecture,
    in_paper_order,
    numbers_of,
    write_budget,
)
from rnnkit.exhibits.finding import DEEP, MIN_CELLS, NEAR, NO_DEPTH, SURELY, Pair, pairs_verdict
from rnnkit.exhibits.judge import ALWAYS, Limit, Measured, Rule, as_tested
from rnnkit.exhibits.overlays import overlay_columns
from rnnkit.exhibits.section_4.figure_4 import LOWEST, easiest
from rnnkit.exhibits.section_4.hard_trials import (
    LossAxis,
    at_least_depth,
    by_network,
    forms_of,
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
    house_style,
    legend,
    letter,
    new_figure,
    reference,
    style_of,
    write_at_right,
    write_note,
)
from rnnkit.paper import RANDOM_BUDGET
from rnnkit.wording import label_of, layers


def losses_at_random(trials: pd.DataFrame) -> pd.DataFrame:
    """The loss of each trial with random hyper-parameters, beside chance, and whether it solved the task
    (Figure 5).
    """
    columns = ["architecture", "n_layers", "num_params", "hyper_iter", "loss", "chance", "solved"]
    hard = hard_trials(trials).sort_values(["n_layers", "study", "hyper_iter"])
    return hard[columns].reset_index(drop=True)


@house_style
def draw(frame: pd.DataFrame) -> Drawing:
    """Figure 5: losses of random hyper-parameters on parentheses, (a) 1 layer, (b) the deepest.
    ValueError without trials.
    """
    table = points("fig5", frame)["fig5"]
    depths = sorted(table.n_layers.unique())
    form = forms_of("fig5", frame)["parens_counting"]
    scale = LossAxis(table.loss, table.chance.iloc[0])
    above = bool((table.loss > scale.high).any())
    figure = new_figure(4.8)
    axes = figure.subplots(1, 2, sharey=True)
    authors_key = []
    for ax, name, depth in zip(axes, "ab", (depths[0], depths[-1] if len(depths) > 1 else None)):
        letter(ax, name, layers(depth) if depth else "")
        scale.dress(ax, band=above)
        names = _draw_boxes(ax, table[table.n_layers == depth], style_of(table.architecture), scale)
        authors_key = (
            overlay_columns(ax, "fig5", "parens_counting", depth, names, scale.heights, form)
            or authors_key
        )
        if not depth:
            write_note(ax, "only one depth was trained\nat this scale")
    axes[0].set_ylabel("loss, nats")
    axes[1].tick_params(labelleft=True)
    reference(axes[1], scale.chance, f"chance\n{scale.chance:.3g}")
    if above:
        write_at_right(axes[1], scale.top, f"above {scale.high:.3g}")
    if authors_key:
        legend(figure, authors_key)
    sns.despine(figure)
    write_budget(figure, "fig5", frame)
    return figure


def _draw_boxes(
    ax: Axes, subset: pd.DataFrame, style: Mapping[str, Style], scale: LossAxis
) -> list[str]:
    """Draws a box for each architecture, and writes below it how many of its trials diverged. Returns
    the architectures from left to right.
    """
    names = [a for a in style if a in set(subset.architecture)]
    sizes = subset.architecture.value_counts()
    alike = sizes.nunique() == 1
    labels = []
    for x, architecture in enumerate(names):
        losses = subset.loss[subset.architecture == architecture]
        _draw_box(ax, x, losses.dropna().to_numpy(), style[architecture], scale)
        of_all = "" if alike else f" of {len(losses)}"
        labels.append(f"{label_of(architecture)}\n{losses.isna().sum()}{of_all}")
    ax.set_xticks(range(len(names)), labels, fontsize=SMALL)
    ax.set_xlim(-0.6, max(len(names), 1) - 0.4)
    trials = f"trials of {sizes.iloc[0]:,}" if alike else "trials"
    ax.set_xlabel(f"below each box: {trials} that diverged")
    if len(subset) and subset.loss.isna().all():
        write_note(ax, "no feasible trial")
    return names


def _draw_box(ax: Axes, x: int, losses: np.ndarray, s: Style, scale: LossAxis) -> None:
    """Draws box and whiskers of all trials, and a dot for each, scattered sideways in a repeatable way."""
    if not len(losses):
        return
    spread = np.random.default_rng(0).uniform(-0.3, 0.3, len(losses))
    ax.plot(
        x + spread,
        scale.heights(losses),
        "o",
        color=s.color,
        markersize=2.4,
        alpha=0.45,
        markeredgewidth=0,
        zorder=2,
    )
    line = {"color": "black", "linewidth": 1}
    ax.boxplot(
        [losses],
        positions=[x],
        widths=0.66,
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        zorder=3,
        boxprops={"facecolor": to_rgba(s.color, 0.25), "edgecolor": "black", "linewidth": 1},
        medianprops={"color": s.color, "linewidth": 2.2},
        whiskerprops=line,
        capprops=line,
    )


def facts(trials: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    sentences = []
    for depth, group in tables["fig5_networks"].groupby("n_layers"):
        group = group.set_index("architecture")
        shares = 100 * in_paper_order(group.solved_share)
        if shares.notna().any():
            least = group.minimum.dropna().nsmallest(1)
            sentences.append(
                f"With {layers(depth)}, per cent of feasible random sets that came below half of"
                f" chance: {numbers_of(shares, '.1f')}. The least loss, {least.iloc[0]:.3g} where chance"
                f" is {group.chance.iloc[0]:.3g}, is the {label_of(least.index[0])}'s."
            )
    return sentences or [NOTHING_TO_SEE]


def intersection_solves_deep(
    trials: pd.DataFrame, networks: pd.DataFrame, spent: Budget
) -> Measured:
    """H07: the share of +RNN's feasible random sets that solve the task at the greatest depth. `order`
    says whether it is larger than that of every other architecture (Fisher's test, Holm's correction).
    Whether the level is the paper's is another claim, H07b.
    """
    champion, competitors, deepest, lacks = _solvers(networks)
    if lacks:
        return Measured(lacks=lacks)
    counts = champion.solved, champion.feasible
    pairs = [
        Pair("+rnn", c.architecture, *fisher(*counts, c.solved, c.feasible)) for c in competitors
    ]
    order, phrase = pairs_verdict(pairs, lower=False)
    shares = ", ".join(
        f"{label_of(c.architecture)} {c.solved_share:.3f}" for c in (champion, *competitors)
    )
    return Measured(
        *_solved_share(champion),
        f"{shares}, of feasible random sets{instead_of_8_layers(deepest)}; more than every other: {phrase}",
        more={"order": order},
    )


def intersection_level(trials: pd.DataFrame, networks: pd.DataFrame, spent: Budget) -> Measured:
    """H07b: the share of +RNN's feasible random sets that solve the task, beside the .43 that the
    paper's tests imply (`audit.solve_shares`).

    `p` is that of Fisher's test, and `far` is how far the interval reaches from the paper's share. A
    different level refutes the claim only if the task is the paper's (`papers`).
    """
    champion, _, deepest, lacks = _solvers(networks)
    if lacks:
        return Measured(lacks=lacks)
    theirs, n_solved, runs = _papers_solvers()
    p, _ = fisher(champion.solved, champion.feasible, n_solved, runs)
    far = max(abs(end - theirs) for end in _solved_share(champion)[1:])
    elsewhere = "; the level belongs to the paper's task and number of steps"
    return Measured(
        *_solved_share(champion),
        f"{champion.solved} of {champion.feasible} feasible random sets{instead_of_8_layers(deepest)}, the"
        f" paper's {theirs:.2f}; p {p:.2g}",
        more={"p": p, "far": far, "papers": is_the_papers_task(trials, spent)},
        if_open=f"; the interval leaves {theirs:.2f} +- {NEAR}" if p > SURELY else elsewhere,
    )


@functools.cache
def _papers_solvers() -> tuple[float, int, int]:
    """The share of the runs of the paper's +RNN at 8 layers that solved the task, how many these are,
    and out of how many.
    """
    row = solve_shares().set_index("architecture").loc["+rnn"]
    return float(row.share), round(row.share * row.runs), round(row.runs)


def _solvers(networks: pd.DataFrame) -> tuple[Any, Sequence, int, str]:
    """The rows of +RNN and of the others at the greatest depth, with `feasible` trials; that depth; and
    what is lacking if there are no such rows.
    """
    deepest = networks.n_layers.max()
    if deepest < DEEP:
        return None, (), deepest, NO_DEPTH.format(deepest, DEEP)
    networks = networks.assign(feasible=networks.trials - networks.infeasible)
    deep = networks[
        (networks.n_layers == deepest)
        & (networks.feasible > 0)
        & networks.architecture.isin(paper.ARCHITECTURES)
    ]
    if "+rnn" not in set(deep.architecture) or len(deep) < MIN_CELLS:
        return None, (), deepest, f"+RNN was not trained beside others at depth {deepest}"
    networks_there = list(deep.itertuples())
    champion = next(c for c in networks_there if c.architecture == "+rnn")
    return champion, [c for c in networks_there if c.architecture != "+rnn"], deepest, ""


def _solved_share(network: Any) -> tuple[float, float, float]:
    return network.solved_share, network.solved_low, network.solved_high


CLAIMS = {
    "H04": Rule(easiest, LOWEST, needs={"layers": DEEP}, refutes=ALWAYS),
    "H07": Rule(intersection_solves_deep, as_tested("order"), refutes=ALWAYS),
    "H07b": Rule(
        intersection_level,
        Limit(
            lambda m: m.more["p"] > SURELY and m.more["far"] <= NEAR,
            fails=lambda m: m.more["p"] <= SURELY and m.more["papers"],
        ),
        refutes=ALWAYS,
    ),
}


Exhibit(
    name="fig5",
    title="Figure 5",
    gist=(
        "Losses of random hyper-parameters on parentheses, (a) 1 layer, (b) the deepest networks:"
        " median, quartiles, whiskers to the last trial within 1.5 times their distance, dots for"
        " all trials. Grey line: chance. Below each box: how many diverged."
    ),
    section="4",
    position=12,
    select=random_sets,
    trials="parentheses task with random sets",
    tables={
        "fig5": lambda of: losses_at_random(of.trials),
        "fig5_networks": lambda of: by_network(of.trials),
    },
    draw=draw,
    panels=tuple("ab"),
    alt="a box of losses for each architecture, at 1 layer and at the deepest, beside chance.",
    numbers=lambda tables: by_architecture(
        "Median loss at 1 layer", at_least_depth(tables["fig5_networks"], "loss_median"), ".3g"
    ),
    facts=facts,
    claims=CLAIMS,
    claims_table="fig5_networks",
    budget=RANDOM_BUDGET,
)
