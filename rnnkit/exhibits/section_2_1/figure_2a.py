"""Figure 2a: what ReLU costs."""

import math

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, NamedTables
from rnnkit.exhibits.best_trials import BEST, POINT, per_trial, stored_bits
from rnnkit.exhibits.captions import draws, in_paper_order, numbers_of
from rnnkit.exhibits.finding import MIN_CELLS, MIN_TRIALS, mean, training_doubt
from rnnkit.exhibits.judge import Measured, Rule, above
from rnnkit.exhibits.section_2_1.figure_1 import FIVE_BITS_LABEL
from rnnkit.exhibits.selection import five_steps, is_pinned, of_capacity, usual
from rnnkit.exhibits.statistics import expected_best, student
from rnnkit.exhibits.style import (
    HALF_SEARCH,
    Drawing,
    architecture_keys,
    axis_top,
    curves,
    half_search_key,
    legend,
    line_key,
    parameters_axis,
    reference,
    write_note,
)
from rnnkit.paper import SEARCH_BUDGET
from rnnkit.wording import count


def one_layer(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of the capacity task with one layer, whether the nonlinearity was pinned or not (Figure
    2a).
    """
    trials = of_capacity(frame)
    return five_steps(usual(trials[trials.n_layers == 1]))


def by_nonlinearity(frame: pd.DataFrame) -> pd.DataFrame:
    """The best trials of each network (Figure 2a). Where the column `nonlinearity` is "any", it is the
    best trial of the studies that were free to choose it; where it is "relu", it is the best trial
    with ReLU, of all studies.
    """
    relu = frame[frame.hparams.str.get("nonlinearity") == "relu"]
    is_fixed = is_pinned(frame)
    free = frame[~is_fixed] if (~is_fixed).any() else frame
    parts = [
        stored_bits(subset)[BEST].assign(nonlinearity=which)
        for which, subset in (("any", free), ("relu", relu))
        if len(subset)
    ]
    return pd.concat(parts, ignore_index=True)


def relu_ratio(frame: pd.DataFrame, least: int = 1) -> pd.DataFrame:
    """Bits with tanh over bits with ReLU: a row for each network that tried both at least `least` times
    (Figure 2a).

    More trials find more, so the two are compared at the same number of trials: the `expected_best`
    of as many as the rarer nonlinearity has.
    """
    trials = per_trial(frame)
    trials["nonlinearity"] = trials.hparams.str.get("nonlinearity")
    records = []
    for point, group in trials.groupby(POINT, sort=False):
        tanh, relu = (group[group.nonlinearity == name] for name in ("tanh", "relu"))
        count = min(len(tanh), len(relu))
        if count >= least:
            best = [expected_best(subset.bits, count) for subset in (tanh, relu)]
            ratio = best[0] / best[1] if min(best) > 0 else math.nan
            records.append((*point, count, *best, ratio, relu.bits_per_param.max()))
    return pd.DataFrame(
        records, columns=[*POINT, "trials", "tanh", "relu", "ratio", "relu_bits_per_param"]
    )


RELU_LINE = (0, (3, 2))  # line of networks with ReLU alone


@draws("fig2a", height=4.6)
def draw(figure: Drawing, best: pd.DataFrame) -> None:
    """Figure 2a: bits per parameter of 1-layer networks, nonlinearity left to the tuner (solid) and
    ReLU alone (dashed). ValueError without trials.
    """
    ax = figure.subplots()
    parameters_axis(ax, sorted(best.max_params.unique()), "parameters, P", best.num_params.min())
    free, relu = (best[best.nonlinearity == which] for which in ("any", "relu"))
    curves(ax, free, "bits_per_param", depths=False, linestyle="-")
    curves(ax, relu, "bits_per_param", depths=False, linestyle=RELU_LINE, markerfacecolor="white")
    reference(ax, paper.BITS_PER_PARAMETER, FIVE_BITS_LABEL)
    reference(ax, paper.RELU_BITS, f"paper: {paper.RELU_BITS}\nReLU alone")
    ax.set(
        ylim=(0, axis_top(best.bits_per_param, paper.BITS_PER_PARAMETER)),
        ylabel="bits per parameter",
        title="1 layer",
    )
    if not (best.bits > 0).any():
        write_note(ax, "no bits stored", 0.5, 0.3)
    keys = [
        *architecture_keys(free.architecture, lines=False),
        line_key("nonlinearity left to the tuner", "-", 1.4, marker="o"),
        line_key("ReLU alone", RELU_LINE, 1.4, marker="o", markerfacecolor="white"),
        half_search_key(),
    ]
    legend(figure, keys)


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    pairs = relu_ratio(trials).dropna(subset="ratio")
    if pairs.empty:
        return ["No network was trained with both nonlinearities."]
    ratios = in_paper_order(np.exp(np.log(pairs.ratio).groupby(pairs.architecture).mean()))
    return [
        (
            f"At equal numbers of trials, bits with tanh over bits with ReLU are {numbers_of(ratios)}, on"
            f" average over {count(len(pairs), 'network')}."
        ),
        (
            f"The best network with ReLU stores {pairs.relu_bits_per_param.max():.2f} bits per"
            " parameter."
        ),
    ]


def relu_drop(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """C09: bits with tanh over bits with ReLU at an equal number of trials, paired over networks."""
    trials = trials[trials.architecture.isin(["rnn", "ugrnn"])]
    least = MIN_TRIALS // 2
    pairs = relu_ratio(trials, least=least).dropna(subset="ratio")
    logs = np.log(pairs.ratio)
    ratio, low, high = map(math.exp, (mean(logs), *student(logs)))
    networks = count(len(pairs), "network")
    most = pairs.relu_bits_per_param.max()
    return Measured(
        ratio,
        low,
        high,
        f"{pairs.trials.min()}-{pairs.trials.max()} trials of each in {len(pairs)} networks; ReLU"
        f" reaches at most {most:.2f} bits per parameter",
        has={"networks": len(pairs)},
        lacks=f"{networks} tried both at least {least} times, and it takes {MIN_CELLS}",
        doubt=training_doubt(points[points.architecture.isin(["rnn", "ugrnn"])]),
        search=trials,
    )


Exhibit(
    name="fig2a",
    title="Figure 2a",
    gist=(
        "The effect of ReLU: bits per parameter of 1-layer networks, best where the tuner chose the"
        " nonlinearity (solid) and best of all trials with ReLU (dashed, open)." + HALF_SEARCH
    ),
    position=6,
    select=one_layer,
    trials="capacity task",
    tables={
        "fig2a": by_nonlinearity,
        "_best": stored_bits,
    },
    draw=draw,
    alt="bits per parameter against parameters, with all nonlinearities and with ReLU alone.",
    facts=facts,
    claims={"C09": Rule(relu_drop, above(1), needs={"networks": MIN_CELLS})},
    claims_table="_best",
    budget=SEARCH_BUDGET,
)
