"""Per-parameter capacity (section 2.1): bits of a trial, the best of a study, and the curves and
tables made of these.
"""

import itertools
import math

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.analysis.display import Best
from rnnkit.analysis.rows import is_pinned
from rnnkit.analysis.statistics import bootstrap, expected_best, half_search
from rnnkit.theory import soft_bits

# what a best is taken over: all seeds and tuners of one network
POINT = ["architecture", "n_layers", "max_params", "unroll"]

# what is drawn and written of a best trial
BEST = [
    "architecture", "n_layers", "n_units", "n_in", "max_params", "num_params", "unroll", "bits", "bits_low", "bits_per_param", "bits_per_param_low",
    "samples", "trials", "infeasible", "steps", "hyper_iter",
]  # fmt: skip


def in_order(architectures) -> list[str]:
    """The paper's architectures in the paper's order, then all others by name."""
    names = set(architectures)
    return [a for a in paper.ARCHITECTURES if a in names] + sorted(names - set(paper.ARCHITECTURES))


def per_trial(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with `samples` (b), `bits` (equation 22), `soft_bits` (b minus the cross-entropy in
    bits) and `bits_per_param`.
    """
    ratio = [hparams.get("samples_per_param", math.nan) for hparams in frame.hparams]
    samples = [
        max(1, round(r * p)) if r == r else math.nan for r, p in zip(ratio, frame.num_params)
    ]
    bits = (-frame.eval_loss.astype(float)).where(~frame.infeasible.astype(bool))
    out = frame.assign(samples=samples, bits=bits, bits_per_param=bits / frame.num_params)
    return out.assign(soft_bits=soft_bits(frame.train_loss.astype(float), out.samples))


def stored_bits(frame: pd.DataFrame) -> pd.DataFrame:
    """Best trial of each network: one row for each architecture, depth, size and number of time
    steps (Figure 1a).

    `bits_low` is what half the search would have found (`half_search`); the best is itself a lower
    bound on the capacity.
    """
    trials, rows = per_trial(frame).reset_index(drop=True), []
    trials = trials.assign(
        **{name: 0 for name in ("n_units", "n_in") if name not in trials}
    )  # a frame of an older kit lacks them
    taken = {
        name: trials[name].to_numpy()
        for name in (
            "bits",
            "soft_bits",
            "samples",
            "bits_per_param",
            "steps",
            "hyper_iter",
            "num_params",
            "n_units",
            "n_in",
        )
    }
    for point, places in trials.groupby(POINT, sort=False).indices.items():
        bits = taken["bits"][places]
        feasible = ~np.isnan(bits)
        best = {
            name: values[places[np.nanargmax(bits)]] if feasible.any() else math.nan
            for name, values in taken.items()
        }
        best |= {name: int(taken[name][places].max()) for name in ("num_params", "n_units", "n_in")}
        low = half_search(bits) if feasible.any() else math.nan
        counts = {"trials": len(places), "infeasible": int((~feasible).sum())}
        rows.append(
            dict(zip(POINT, point))
            | best
            | counts
            | {
                "bits_low": low,
                "bits_per_param_low": low / best["num_params"],
            }
        )
    order = {name: place for place, name in enumerate(in_order(frame.architecture))}
    points = pd.DataFrame(rows)
    return points.sort_values(
        POINT, key=lambda c: c.map(order) if c.name == "architecture" else c, ignore_index=True
    )


def by_nonlinearity(frame: pd.DataFrame) -> pd.DataFrame:
    """Best trial of each network: `nonlinearity` is "any" for the best of the studies that were free
    to choose, "relu" for the best with ReLU of all studies (Figure 2a).
    """
    relu = frame[[hparams.get("nonlinearity") == "relu" for hparams in frame.hparams]]
    pinned = is_pinned(frame)
    free = frame[~pinned] if (~pinned).any() else frame
    parts = [
        stored_bits(part)[BEST].assign(nonlinearity=which)
        for which, part in (("any", free), ("relu", relu))
        if len(part)
    ]
    return pd.concat(parts, ignore_index=True)


def loads(frame: pd.DataFrame) -> pd.DataFrame:
    """Bits of each feasible trial of the linear model beside its samples per parameter."""
    trials = per_trial(frame).dropna(subset="bits")
    trials = trials.assign(samples_per_param=trials.samples / trials.num_params)
    columns = [
        "architecture",
        "max_params",
        "num_params",
        "hyper_iter",
        "samples",
        "samples_per_param",
        "bits",
        "bits_per_param",
        "steps",
    ]
    return trials[columns].reset_index(drop=True)


def best_trials(frame: pd.DataFrame, count: int = 5) -> Best:
    """The `count` trials with most bits per parameter, best first, with a column for each
    hyper-parameter: what do they share?
    """
    trials = (
        per_trial(frame)
        .dropna(subset="bits")
        .nlargest(count, "bits_per_param")
        .reset_index(drop=True)
    )
    chosen = pd.DataFrame(trials.hparams.tolist())
    return Best(
        pd.concat(
            [
                trials[
                    [
                        "architecture",
                        "n_layers",
                        "num_params",
                        "hyper_iter",
                        "bits_per_param",
                        "bits",
                        "samples",
                    ]
                ],
                chosen,
            ],
            axis=1,
        )
    )


def bits_per_param(points: pd.DataFrame) -> pd.DataFrame:
    """Table of best bits per parameter out of `stored_bits`: a row for each size and depth, a
    column for each architecture.

    A network that stored nothing is left out, as one that always diverged is: it has no logarithm
    and no ratio.
    """
    table = points.pivot_table(
        "bits_per_param", ["max_params", "n_layers"], "architecture", aggfunc="max"
    )
    table = table.where(table > 0).dropna(axis=1, how="all")
    return table[in_order(table.columns)]


def multipliers(points: pd.DataFrame, shared: bool = True) -> pd.DataFrame:
    """Figure 1i: times the parameters that architecture `x` needs to store as much as `y`, that is
    C_y / C_x, with 95 % interval.

    C is the mean of the best bits per parameter over the sizes and depths that x and y share. With
    shared=False it is the mean over all that each has, as in the paper: that holds +RNN's depths 2
    and 4 against depths 1, 2 and 4 of the others, and has no interval.
    """
    table, rows = bits_per_param(points), []
    for y, x in itertools.product(table.columns, repeat=2):
        if shared:
            pair = table[[x]].assign(other=table[y]).dropna().to_numpy()
            ratio = pair[:, 1].mean() / pair[:, 0].mean() if len(pair) else math.nan
            low, high = bootstrap(pair, lambda draw: draw[..., 1].mean(-1) / draw[..., 0].mean(-1))
        else:
            pair, ratio, low, high = (
                table[[x, y]],
                table[y].mean() / table[x].mean(),
                math.nan,
                math.nan,
            )
        rows.append(
            {"x": x, "y": y, "multiplier": ratio, "low": low, "high": high, "cells": len(pair)}
        )
    return pd.DataFrame(rows, columns=["x", "y", "multiplier", "low", "high", "cells"])


def relu_ratio(frame: pd.DataFrame, least: int = 1) -> pd.DataFrame:
    """Bits with tanh over bits with ReLU, a row for each architecture, depth and size that tried
    both at least `least` times (Figure 2a).

    The nonlinearity with more trials is cut to the number of the other (`expected_best`), since
    more trials find more.
    """
    trials, rows = per_trial(frame), []
    trials["nonlinearity"] = [hparams.get("nonlinearity") for hparams in trials.hparams]
    for point, group in trials.groupby(POINT, sort=False):
        tanh, relu = (group.bits[group.nonlinearity == s].to_numpy() for s in ("tanh", "relu"))
        count = min(len(tanh), len(relu))
        if count >= least:
            best = [expected_best(bits, count) for bits in (tanh, relu)]
            ratio = best[0] / best[1] if min(best) > 0 else math.nan
            rows.append(
                dict(zip(POINT, point))
                | {
                    "trials": count,
                    "tanh": best[0],
                    "relu": best[1],
                    "ratio": ratio,
                }
            )
            rows[-1]["relu_bits_per_param"] = group.bits_per_param[
                group.nonlinearity == "relu"
            ].max()
    return pd.DataFrame(
        rows, columns=[*POINT, "trials", "tanh", "relu", "ratio", "relu_bits_per_param"]
    )


def unroll_curve(points: pd.DataFrame) -> pd.DataFrame:
    """Table of best bits per parameter by architecture (rows) and time steps unrolled (columns),
    Figure 2b.
    """
    table = points.pivot_table("bits_per_param", "architecture", "unroll", aggfunc="max")
    table = table.where(table > 0).dropna(how="all")
    return table.loc[in_order(table.index)]


def best_so_far(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` in the order of its trials with `trial` (1, 2, ...) and `best`, the most bits per
    parameter of the study up to there.
    """
    trials = per_trial(frame).sort_values(["study", "hyper_iter"])
    best = trials.bits_per_param.fillna(0.0).groupby(trials.study).cummax()
    return trials.assign(trial=trials.hyper_iter + 1, best=best.where(best > 0))
