"""The best trial of each network: the bits that it stored (section 2.1) or its loss (sections 2.2 and 3)."""

import math
from collections.abc import Callable, Iterable

import pandas as pd

from rnnkit import paper
from rnnkit.exhibits.base import with_defaults
from rnnkit.exhibits.selection import NETWORK
from rnnkit.exhibits.statistics import half_rank, half_search
from rnnkit.markup import SmallTable, table, text
from rnnkit.theory import soft_bits

# what tells one network from others; its best trial is that of all seeds and tuners
POINT = ["architecture", "n_layers", "max_params", "unroll"]
# the columns of a best trial that are drawn and written
BEST = [
    "architecture", "n_layers", "n_units", "n_in", "max_params", "num_params", "unroll", "bits", "bits_low", "bits_per_param", "bits_per_param_low",
    "samples", "trials", "infeasible", "steps", "hyper_iter",
]  # fmt: skip
# the columns of a best loss that are drawn and written, besides those that name the network
LOSSES = ["num_params", "loss", "loss_high", "trials", "infeasible", "steps", "hyper_iter"]


def in_order(architectures: Iterable[str]) -> list[str]:
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
    """The best trial of each network: a row for each architecture, depth, size and number of time
    steps (Figure 1a).

    The best is a lower bound on the capacity. `bits_low` is what half of the search would have found
    (`half_search`).
    """
    trials = per_trial(with_defaults(frame))
    columns = ["bits", "soft_bits", "samples", "bits_per_param", "steps", "hyper_iter"]
    best = trials.sort_values("bits", ascending=False, kind="stable").drop_duplicates(POINT)
    best[columns] = best[columns].where(best.bits.notna())
    networks = trials.groupby(POINT, sort=False).agg(
        num_params=("num_params", "max"),
        n_units=("n_units", "max"),
        n_in=("n_in", "max"),
        trials=("bits", "size"),
        infeasible=("bits", lambda bits: bits.isna().sum()),
        bits_low=("bits", lambda bits: half_search(bits) if bits.notna().any() else math.nan),
    )
    points = best[[*POINT, *columns]].merge(networks.reset_index(), on=POINT)
    points["bits_per_param_low"] = points.bits_low / points.num_params
    return in_paper_order_of(points, POINT)


def in_paper_order_of(table: pd.DataFrame, columns: str | list[str]) -> pd.DataFrame:
    """The table sorted by some columns, with tasks and architectures in the paper's order."""
    return table.sort_values(columns, key=paper_order(table), kind="stable", ignore_index=True)


def paper_order(table: pd.DataFrame) -> Callable:
    """A key for `sort_values`: tasks and architectures in the paper's order, all else by value."""
    orders = {"task_type": [*paper.TASKS], "architecture": in_order(table.architecture)}
    return lambda column: column.map(orders[column.name].index) if column.name in orders else column


def bits_per_param(points: pd.DataFrame) -> SmallTable:
    """The most bits per parameter, out of `stored_bits`: a row for each size and depth, a column for
    each architecture.

    Networks that stored nothing are left out, like those that always diverged, since nothing has no
    logarithm and gives no ratio.
    """
    table = points.pivot_table(
        "bits_per_param", ["max_params", "n_layers"], "architecture", aggfunc="max"
    )
    table = table.where(table > 0).dropna(axis=1, how="all")
    return SmallTable(table[in_order(table.columns)])


class BestTrials(SmallTable):
    """The best trials, a row each. It is a DataFrame like any other, but a notebook or a terminal shows
    it turned on its side, a column for each trial, and lists apart what is the same in all of them.
    """

    def __repr__(self) -> str:
        if not len(self) or not self.columns.is_unique:
            return super().__repr__()
        head, records, note = self._sideways()
        lines = [list(map(text, line)) for line in (head, *records)]
        widths = [max(map(len, column)) for column in zip(*lines)]
        rows = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
        return "\n".join([*rows, *filter(None, [note])])

    def _repr_html_(self) -> str:
        if not len(self) or not self.columns.is_unique:
            return super()._repr_html_()
        return table(*self._sideways())

    def _sideways(self) -> tuple:
        """The names of the columns, the lines, and a sentence on what is the same in all trials."""
        records = []
        constants = []
        for name, values in self.astype(object).where(self.notna(), "-").items():
            if len(self) > 1 and values.map(str).nunique() == 1:
                constants.append(f"{name} {text(values.iloc[0])}")
            else:
                records.append((name, *values))
        head = ("", *(f"number {k}" for k in range(1, len(self) + 1)))
        note = f"The same in all of them: {', '.join(constants)}." if constants else ""
        return head, records, note


def best_trials(frame: pd.DataFrame, count: int = 5) -> BestTrials:
    """The `count` trials with the most bits per parameter, best first, with a column for each
    hyper-parameter, to see what they have in common.
    """
    trials = per_trial(frame).dropna(subset="bits").nlargest(count, "bits_per_param")
    columns = "architecture n_layers num_params hyper_iter bits_per_param bits samples".split()
    return BestTrials(
        trials[columns].reset_index(drop=True).join(pd.DataFrame(trials.hparams.tolist()))
    )


def best_losses(trials: pd.DataFrame) -> pd.DataFrame:
    """The trial with the least validation loss of each network: a row each, in the paper's order.

    `loss` is its evaluation loss, which bounds from above what the network can reach. `loss_high` is
    what half of the search would have found in 39 of 40 cases.
    """
    bad = trials.infeasible.astype(bool) | trials.valid_loss.isna()
    by_loss = trials.assign(
        valid_loss=trials.valid_loss.astype(float).mask(bad), infeasible=bad
    ).sort_values("valid_loss", kind="stable")  # a diverged trial comes last
    networks = by_loss.groupby(NETWORK, sort=False)
    rank = networks.cumcount()
    rank_of_half = networks.study.transform("size").map(half_rank)
    best, half = (by_loss[rank == k].set_index(NETWORK) for k in (0, rank_of_half))
    results = best[["eval_loss", "accuracy", "steps"]].mask(best.infeasible)
    points = best.assign(
        **results.rename(columns={"eval_loss": "loss"}),
        loss_high=half.eval_loss.mask(half.infeasible),
        trials=networks.size(),
        infeasible=networks.infeasible.sum(),
    ).reset_index()
    return in_paper_order_of(points[[*NETWORK, *LOSSES, "accuracy"]], NETWORK)
