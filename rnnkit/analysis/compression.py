"""The five-bit test (section 5) and bits per parameter beside later work: what rounding leaves, and
who counted how many bits.

Trials come with the column `kept` of rnnkit.studies.compression: for the best trial of a study, its
stored bits with weights of 1, 2, ... bits, by two ways of choosing the range that they are rounded
in.
"""

import math

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.analysis.capacity import in_order, stored_bits
from rnnkit.analysis.finding import MIN_CELLS, mean
from rnnkit.analysis.judge import Measured
from rnnkit.analysis.rows import Budget
from rnnkit.analysis.statistics import student
from rnnkit.wording import and_list, count, label_of

LOSSLESS = 0.99  # "without loss": the share of its stored bits that a network keeps
WAYS = {"range": "over the whole range", "clipped": "range clipped for least squared error"}
NETWORK = ["study", "architecture", "n_layers", "max_params", "num_params"]


def kept_bits(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each best network that stored bits, way of rounding and number of bits a weight:
    `bits` left, and their `share`.
    """
    table = []
    for row in rows[rows.kept.notna()].itertuples():
        whole = row.kept["whole"][0]
        for way in WAYS if whole > 0 else ():
            table += [
                [*(getattr(row, name) for name in NETWORK), way, k, bits, bits / whole]
                for k, bits in enumerate(row.kept[way], 1)
            ]
    found = pd.DataFrame(table, columns=[*NETWORK, "way", "bits_per_weight", "bits", "share"])
    order = {architecture: place for place, architecture in enumerate(in_order(found.architecture))}
    return found.sort_values(
        "architecture", key=lambda column: column.map(order), kind="stable", ignore_index=True
    )


def needed_bits(rows: pd.DataFrame, share: float = LOSSLESS) -> pd.DataFrame:
    """For each network and way, the fewest bits a weight from which on at least `share` of the
    stored bits are left (nan: even 16 lose).

    `bits_per_param` is what the network stores unrounded.
    """
    table = []
    for network, group in kept_bits(rows).groupby([*NETWORK, "way"], sort=False):
        group = group.sort_values("bits_per_weight")
        short = group.bits_per_weight[group.share < share]
        needed = (0 if short.empty else short.max()) + 1
        whole = group.bits.iloc[-1] / group.share.iloc[-1]
        table.append(
            [
                *network,
                needed if needed <= len(group) else math.nan,
                whole / group.num_params.iloc[0],
            ]
        )
    return pd.DataFrame(table, columns=[*NETWORK, "way", "needed", "bits_per_param"])


def five_bit_test(rows, points, spent: Budget) -> Measured:
    """C15: the mean of the bits a weight that leave 99 %, by the better way for each network.

    A network that loses bits even with the most bits that were tried counts as one bit more.
    """
    shares, table = points, needed_bits(rows).pivot_table("needed", "study", "way", dropna=False)
    if table.empty:
        return Measured(lacks="no network stored bits")
    most = rows.kept.dropna().map(lambda kept: len(kept["range"])).max()
    best = table.min(axis=1).fillna(most + 1).to_numpy()
    at_five = shares[shares.bits_per_weight == round(paper.BITS_PER_PARAMETER)]
    five = at_five.groupby("study").share.max().mean()
    ways = and_list([f"{table[way].mean():.1f} {WAYS[way]}" for way in WAYS if way in table])
    reason = (
        f"mean of {count(len(best), 'network')}, each map rounded evenly after training ({ways});"
        f" at 5 bits {100 * five:.0f} % is left"
    )
    later = "; training with rounded weights might need fewer"
    return Measured(
        mean(best),
        *student(best),
        reason,
        has={"networks": len(best)},
        lacks=f"{reason}; it takes {MIN_CELLS} networks{later}",
        if_fails=later,
        if_open=later,
    )


def beside_later_work(rows: pd.DataFrame) -> pd.DataFrame:
    """Bits per parameter of others and of ours: mean, least and most over the networks of the
    largest size.

    Definitions differ; `counted` says how each counts: ours "hard", by equation 22, and "soft", by
    cross-entropy.
    """
    best = stored_bits(rows)
    best = best[best.max_params == best.max_params.max()].assign(
        soft=lambda b: b.soft_bits / b.num_params
    )
    table = [[*entry, math.nan, math.nan, ""] for entry in paper.LATER_NUMBERS]
    for architecture in in_order(best.architecture):
        group = best[best.architecture == architecture]
        for column, counted in (("bits_per_param", "hard"), ("soft", "soft")):
            values = np.clip(group[column].dropna(), 0, None)
            if len(values):
                table.append(
                    [
                        label_of(architecture),
                        values.mean(),
                        counted,
                        "this kit",
                        values.min(),
                        values.max(),
                        architecture,
                    ]
                )
    return pd.DataFrame(
        table, columns=["what", "bits", "counted", "source", "low", "high", "architecture"]
    )
