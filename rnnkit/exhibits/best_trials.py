"""The best trial of each network: the bits that it stored (section 2.1) or its loss (sections 2.2 and 3)."""

import math

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.exhibits.selection import NETWORK
from rnnkit.exhibits.statistics import half_rank, half_search
from rnnkit.markup import table, text
from rnnkit.theory import soft_bits

# what a best is taken over: all seeds and tuners of one network
POINT = ["architecture", "n_layers", "max_params", "unroll"]
# what is drawn and written of a best trial
BEST = [
    "architecture", "n_layers", "n_units", "n_in", "max_params", "num_params", "unroll", "bits", "bits_low", "bits_per_param", "bits_per_param_low",
    "samples", "trials", "infeasible", "steps", "hyper_iter",
]  # fmt: skip
# what is drawn and written of a best network, beside what it is known by
LOSSES = ["num_params", "loss", "loss_high", "trials", "infeasible", "steps", "hyper_iter"]


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
    trials, records = per_trial(frame).reset_index(drop=True), []
    trials = trials.assign(
        **{name: 0 for name in ("n_units", "n_in") if name not in trials}
    )  # a frame of an older kit lacks them
    columns = {
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
        bits = columns["bits"][places]
        feasible = ~np.isnan(bits)
        best = {
            name: values[places[np.nanargmax(bits)]] if feasible.any() else math.nan
            for name, values in columns.items()
        }
        best |= {
            name: int(columns[name][places].max()) for name in ("num_params", "n_units", "n_in")
        }
        low = half_search(bits) if feasible.any() else math.nan
        counts = {"trials": len(places), "infeasible": int((~feasible).sum())}
        records.append(
            dict(zip(POINT, point))
            | best
            | counts
            | {
                "bits_low": low,
                "bits_per_param_low": low / best["num_params"],
            }
        )
    order = {name: index for index, name in enumerate(in_order(frame.architecture))}
    points = pd.DataFrame(records)
    return points.sort_values(
        POINT, key=lambda c: c.map(order) if c.name == "architecture" else c, ignore_index=True
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


class BestTrials(pd.DataFrame):
    """The best trials, a row each. It is any other DataFrame, but a notebook or a terminal shows it
    on its side, a column for each trial, and of its columns those that differ.
    """

    @property
    def _constructor(self):
        return BestTrials

    def __repr__(self):
        if not len(self) or not self.columns.is_unique:
            return super().__repr__()
        head, records, note = self._sideways()
        lines = [list(map(text, line)) for line in (head, *records)]
        widths = [max(map(len, column)) for column in zip(*lines)]
        rows = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
        return "\n".join([*rows, *filter(None, [note])])

    def _repr_html_(self):
        if not len(self) or not self.columns.is_unique:
            return super()._repr_html_()
        return table(*self._sideways())

    def _sideways(self) -> tuple:
        """The names of the columns, the lines, and a sentence on what is the same in all trials."""
        plain = self.astype(object).where(self.notna(), "-")
        constant = [
            name for name in plain if plain[name].map(str).nunique() == 1 and len(plain) > 1
        ]
        records = [(name, *plain[name]) for name in plain if name not in constant]
        constants = ", ".join(f"{name} {text(plain[name].iloc[0])}" for name in constant)
        head = ("", *(f"number {k}" for k in range(1, len(self) + 1)))
        return head, records, f"The same in all of them: {constants}." if constant else ""


def best_trials(frame: pd.DataFrame, count: int = 5) -> BestTrials:
    """The `count` trials with most bits per parameter, best first, with a column for each
    hyper-parameter: what do they share?
    """
    trials = (
        per_trial(frame)
        .dropna(subset="bits")
        .nlargest(count, "bits_per_param")
        .reset_index(drop=True)
    )
    hparams = pd.DataFrame(trials.hparams.tolist())
    return BestTrials(
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
                hparams,
            ],
            axis=1,
        )
    )


def best_losses(trials: pd.DataFrame) -> pd.DataFrame:
    """The trial with the least validation loss of each network and its evaluation loss, `loss`; a
    row each, in the paper's order.

    `loss_high` is what half the search would have found in 39 of 40 cases; the best itself bounds
    what a network can reach from above.
    """
    trials, table = trials.reset_index(drop=True), []
    feasible = trials.valid_loss.astype(float).mask(trials.infeasible.astype(bool))
    for network, places in trials.groupby(NETWORK, sort=False).indices.items():
        by_loss = places[np.argsort(feasible.to_numpy()[places], kind="stable")]  # nan comes last
        dead = feasible[places].isna()
        best, half = trials.loc[by_loss[0]], trials.loc[by_loss[half_rank(len(by_loss))]]
        best_values = {
            "loss": best.eval_loss,
            "loss_high": half.eval_loss,
            "accuracy": best.accuracy,
            "steps": best.steps,
        }
        best_values = (
            dict.fromkeys(best_values, math.nan)
            if dead.all()
            else best_values | {"loss_high": half.eval_loss if not half.infeasible else math.nan}
        )
        counts = {
            "num_params": best.num_params,
            "trials": len(places),
            "infeasible": int(dead.sum()),
            "hyper_iter": best.hyper_iter,
        }
        table.append(dict(zip(NETWORK, network)) | counts | best_values)
    order = {
        name: index for index, name in enumerate([*paper.TASKS, *in_order(trials.architecture)])
    }
    points = pd.DataFrame(table)
    return points.sort_values(
        NETWORK,
        key=lambda c: c.map(order) if c.name in ("task_type", "architecture") else c,
        ignore_index=True,
    )
