"""The discussion (section 5): weights of few bits, and bits per parameter in other work.

The trials have the column `kept` of rnnkit.studies.quantisation: for the best trial of a study, the
bits that it still stores when its weights have 1, 2, ... bits, for two ways of choosing the range in
which they are rounded.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, NamedTables
from rnnkit.exhibits.best_trials import in_order, in_paper_order_of, stored_bits
from rnnkit.exhibits.captions import (
    by_architecture,
    draws,
    in_paper_order,
    numbers_of,
)
from rnnkit.exhibits.finding import ABOUT, MIN_CELLS, mean
from rnnkit.exhibits.judge import ALWAYS, Measured, Rule, below
from rnnkit.exhibits.selection import capacity
from rnnkit.exhibits.statistics import student
from rnnkit.exhibits.style import (
    DOTTED,
    GREY,
    GUIDE,
    PALE,
    Drawing,
    Style,
    architecture_keys,
    grey_line,
    label_rows,
    legend,
    legend_panel,
    letter,
    line_key,
    style_of,
    write_at_right,
    write_beside,
    write_note,
)
from rnnkit.paper import BITS_PER_PARAMETER
from rnnkit.wording import count, label_of, percent

LOSSLESS = 0.99  # "without loss": the share of its stored bits that a network keeps
WAYS = {"range": "over the whole range", "clipped": "range clipped for least squared error"}
NETWORK = ["study", "architecture", "n_layers", "max_params", "num_params"]


def rounded_trials(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of the capacity task whose weights were rounded, which gives them the column `kept`; none
    if no weights were rounded.
    """
    trials = capacity(frame)
    return trials if "kept" in trials and trials.kept.notna().any() else trials.iloc[:0]


def kept_bits(trials: pd.DataFrame) -> pd.DataFrame:
    """What the best networks keep: a row for each network that stored bits, each way of rounding and
    each number of bits per weight, with the `bits` that are left and their `share`.
    """
    records = []
    for kept, *network in trials[["kept", *NETWORK]].dropna(subset="kept").itertuples(index=False):
        full_bits = kept["whole"][0]
        for method in WAYS if full_bits > 0 else ():
            for k, bits in enumerate(kept[method], 1):
                records.append([*network, method, k, bits, bits / full_bits])
    shares = pd.DataFrame(records, columns=[*NETWORK, "way", "bits_per_weight", "bits", "share"])
    return in_paper_order_of(shares, "architecture")


def needed_bits(trials: pd.DataFrame, share: float = LOSSLESS) -> pd.DataFrame:
    """For each network and way of rounding, the fewest bits per weight from which on at least `share`
    of the stored bits are left (nan if even 16 lose more).

    `bits_per_param` is what the network stores before rounding.
    """
    shares = kept_bits(trials)
    too_few = shares.bits_per_weight.where(shares.share < share, 0)
    table = (
        shares.assign(needed=too_few + 1)
        .groupby([*NETWORK, "way"], sort=False)
        .agg({"needed": "max", "bits_per_weight": "max", "bits": "last", "share": "last"})
        .reset_index()
    )
    return table[[*NETWORK, "way"]].assign(
        needed=table.needed.where(table.needed <= table.bits_per_weight),
        bits_per_param=table.bits / table.share / table.num_params,
    )


@draws("quantised", height=7.0)
def draw_rounded(figure: Drawing, shares: pd.DataFrame, fewest: pd.DataFrame) -> None:
    """The share of the stored bits that is left when weights have k bits, (a, b) for two ways of
    rounding; (c) the bits needed against the bits stored. ValueError if no weights were rounded.
    """
    style = style_of(shares.architecture)
    axes = figure.subplots(2, 2)
    for ax, method, name in zip(axes[0], WAYS, "ab"):
        letter(ax, name, WAYS[method])
        _draw_shares(ax, shares[shares.way == method], style)
    axes[0, 0].set_ylabel("stored bits left, %")
    write_at_right(axes[0, 1], 100 * LOSSLESS, percent(LOSSLESS))
    _draw_needed(axes[1, 0], fewest, style)
    keys = [
        *architecture_keys(shares.architecture),
        line_key("a, b: a study", "-", 0.6),
        line_key("paper: 5 bits per parameter"),
    ]
    legend_panel(axes[1, 1], keys)


FIVE_BITS_LINE = GUIDE | {"zorder": 0}


def _draw_shares(ax: Axes, subset: pd.DataFrame, style: Mapping[str, Style]) -> None:
    """Draws panel a or b: a thin line for each study, and a thick one for the mean of an architecture."""
    for (architecture, _), curve in subset.groupby(["architecture", "study"], sort=False):
        color = style[architecture].color
        ax.plot(curve.bits_per_weight, 100 * curve.share, color=color, linewidth=0.6, alpha=0.3)
    for architecture, studies in subset.groupby("architecture", sort=False):
        means = 100 * studies.groupby("bits_per_weight").share.mean()
        ax.plot(means.index, means, markersize=4, zorder=3, **style[architecture].curve)
    ax.axvline(BITS_PER_PARAMETER, **FIVE_BITS_LINE)
    ax.axhline(100 * LOSSLESS, color=GREY, linewidth=0.8, linestyle=DOTTED, zorder=0)
    ax.set(xlabel="bits per weight, k", xlim=(0.5, 16.5), ylim=(-3, 112))
    ax.set(xticks=range(1, 16, 2), yticks=range(0, 101, 25))
    if subset.empty:
        write_note(ax, "no bits stored")


def _draw_needed(ax: Axes, fewest: pd.DataFrame, style: Mapping[str, Style]) -> None:
    """Draws panel c: the bits per weight that leave 99 %, by the better way, against the bits that a
    parameter stores. These are whole numbers, so each architecture is moved a little to the side.
    """
    letter(ax, "c", "bits per weight that leave 99 %")
    best = fewest.dropna(subset="needed").sort_values("needed").drop_duplicates("study")
    names = list(style)
    look = {"markersize": 5.5, "alpha": 0.8, "zorder": 3}
    edge = {"markeredgecolor": "white", "markeredgewidth": 0.5}
    for row in best.itertuples():
        offset = 0.11 * (names.index(row.architecture) - (len(names) - 1) / 2)
        height = row.needed + offset
        ax.plot(row.bits_per_param, height, **style[row.architecture].points, **look, **edge)
    most = np.fmax(BITS_PER_PARAMETER, best.bits_per_param.max()) + 0.5
    grey_line(ax, [0, most], [0, most], DOTTED, zorder=0)
    write_beside(ax, "as many as are stored", (0.45 * most, 0.45 * most), (8, -4), va="top")
    ax.set(xlabel="stored bits per parameter", ylabel="bits per weight")
    ax.set(xlim=(0, most), ylim=(0, 16.5), yticks=range(0, 17, 2))
    ax.axhline(BITS_PER_PARAMETER, **FIVE_BITS_LINE)
    write_at_right(ax, BITS_PER_PARAMETER, "paper: 5")
    if best.empty:
        write_note(ax, "no bits stored")


def rounding_facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    fewest = tables["quantised_needed"]
    if fewest.empty:
        return ["No network stored bits that rounding could lose."]
    least = in_paper_order(least_mean(fewest, "needed"))
    share = in_paper_order(100 * _left_at_five(tables["quantised"]).groupby("architecture").mean())
    return [
        (
            f"Bits per weight that leave {percent(LOSSLESS)} of what is stored, by the better way of"
            f" rounding: {numbers_of(least, '.1f')}."
        ),
        (
            f"With {BITS_PER_PARAMETER:g} bits per weight, this per cent is left:"
            f" {numbers_of(share, '.0f')}."
        ),
    ]


def _left_at_five(shares: pd.DataFrame) -> pd.Series:
    """What each network keeps with 5 bits per weight, by the better way: a share by architecture and
    study.
    """
    at_five = shares[shares.bits_per_weight == round(BITS_PER_PARAMETER)]
    return at_five.groupby(["architecture", "study"]).share.max()


def five_bit_test(trials: pd.DataFrame, points: pd.DataFrame) -> Measured:
    """C15: the mean of the bits per weight that leave 99 %, for each network by the better way.

    If a network loses more even with the most bits that were tried, it counts as one bit more than
    these.
    """
    table = needed_bits(trials).pivot_table("needed", "study", "way", dropna=False)
    if table.empty:
        return Measured(lacks="no network stored bits")
    best = table.min(axis=1).fillna(points.bits_per_weight.max() + 1)
    reason = (
        f"mean of {count(len(best), 'network')}, each map rounded evenly after training"
        f" ({table['range'].mean():.1f} {WAYS['range']} and {table.clipped.mean():.1f} over a"
        f" {WAYS['clipped']}); at 5 bits {percent(_left_at_five(points).mean())} is left"
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


def least_mean(table: pd.DataFrame, column: str) -> pd.Series:
    """The least value of a column in each study, averaged by architecture."""
    return table.groupby(["architecture", "study"])[column].min().groupby("architecture").mean()


FIVE_BITS = Rule(
    five_bit_test,
    below(BITS_PER_PARAMETER * (1 + ABOUT)),
    needs={"networks": MIN_CELLS},
    refutes=ALWAYS,
)


Exhibit(
    name="quantised",
    title="Weights of few bits (ours: not in the paper)",
    gist=(
        "Stored bits that the best network of a study keeps when each of its matrices, a map's by"
        " itself, is rounded to 2^k evenly spaced values after training: (a) between its least and"
        " greatest weight, (b) in the narrower range of least squared error. Thick: mean of an"
        " architecture; thin: networks. (c) Bits per weight that leave 99 %, by the better way,"
        " against the bits that a parameter stores."
    ),
    position=19,
    select=rounded_trials,
    trials="capacity task whose weights were rounded (studies.quantise)",
    tables={
        "quantised": kept_bits,
        "quantised_needed": needed_bits,
    },
    draw=draw_rounded,
    alt=(
        "share of the stored bits that is left against bits per weight, two ways of rounding, and"
        " bits needed against bits stored."
    ),
    numbers=lambda tables: by_architecture(
        "Bits per weight that leave 99 %, mean",
        least_mean(tables["quantised_needed"], "needed"),
        ".1f",
    ),
    facts=rounding_facts,
    claims={"C15": FIVE_BITS},
)


def beside_later_work(trials: pd.DataFrame) -> pd.DataFrame:
    """Bits per parameter in other work and in ours: the mean, the least and the most over our networks
    of the largest size.

    Definitions differ, and `counted` says how each of them counts. Ours are counted in two ways:
    "hard", by equation 22, and "soft", by cross-entropy.
    """
    best = stored_bits(trials)
    best = best[best.max_params == best.max_params.max()]
    counts = {"hard": best.bits_per_param, "soft": best.soft_bits / best.num_params}
    table = [[*entry, math.nan, math.nan, ""] for entry in paper.LATER_NUMBERS]
    for a in in_order(best.architecture):
        for definition, bits in counts.items():
            own = bits[best.architecture == a].dropna().clip(0)
            if len(own):
                span = (own.min(), own.max())
                table.append([label_of(a), own.mean(), definition, "this kit", *span, a])
    return pd.DataFrame(
        table, columns=["what", "bits", "counted", "source", "low", "high", "architecture"]
    )


DEFINITIONS = {
    "theory": "theory: patterns that a plane can separate",
    "knowledge": "bits of facts that can be recalled",
    "soft": "soft count: bits saved by compression",
    "sizes": "distinguishable sizes of a synapse",
    "hard": "hard count: equation 22",
}
FILL = dict.fromkeys(DEFINITIONS, "full") | {"soft": "none"}  # of the markers


@draws("later_numbers", height=lambda table: 1.5 + 0.32 * table["what"].nunique())
def draw_later_numbers(figure: Drawing, table: pd.DataFrame) -> None:
    """Bits per parameter of this kit's networks beside those of later and of earlier work.
    ValueError without trials.
    """
    literature = table[table.architecture == ""].sort_values("bits")
    ours = table[table.architecture != ""]
    names = [*literature["what"], *dict.fromkeys(ours["what"])]
    ax = figure.subplots()
    for row in literature.itertuples():
        y = names.index(row.what)
        ax.plot(row.bits, y, marker="o", color=GREY, markersize=7, fillstyle=FILL[row.counted])
        write_at_right(ax, y, f"{row.bits:g}   {DEFINITIONS[row.counted]}")
    _draw_ours(ax, ours, names)
    ax.axhline(len(literature) - 0.5, color=PALE, linewidth=1, zorder=0)
    labels = [f"{row.what}\n({row.source})" for row in literature.itertuples()]
    labels += [f"{name}, ours" for name in names[len(literature) :]]
    label_rows(ax, labels, top=-0.6, fontsize=8)
    ax.set(
        xlabel="bits per parameter; each row counts in its own way",
        xlim=(0, max(table.bits.max(), table.high.max()) * 1.04),
    )
    sns.despine(figure, left=True)
    keys = [
        line_key("hard count or theory", "none", marker="o"),
        line_key("soft count", "none", marker="o", fillstyle="none"),
        line_key("least and most of our networks", "-", 1.5, alpha=0.5),
    ]
    legend(figure, keys)


def _draw_ours(ax: Axes, ours: pd.DataFrame, names: Sequence[str]) -> None:
    """Draws the mean of each architecture by the hard and by the soft count, over its least and most."""
    style = style_of(ours.architecture)
    line = {"linewidth": 1.5, "alpha": 0.5, "solid_capstyle": "butt"}
    for row in ours.itertuples():
        s = style[row.architecture]
        y = names.index(row.what) + (0.17 if row.counted == "soft" else -0.17)
        ax.plot([row.low, row.high], [y, y], color=s.color, **line)
        look = {"color": s.color, "marker": s.marker, "fillstyle": FILL[row.counted]}
        ax.plot(row.bits, y, markersize=6, **look)
    for name, group in ours.groupby("what", sort=False):
        values = " / ".join(f"{bits:.2f}" for bits in group.bits)
        write_at_right(ax, names.index(name), f"{values}   hard / soft count")


def later_facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    table = tables["later_numbers"]
    ours = table[table.architecture != ""]
    if ours.empty:
        return []
    bits = ours.pivot(index="architecture", columns="counted", values="bits")
    bits = bits.sort_values("hard", ascending=False)
    sentences = [
        f"At up to {trials.max_params.max():,} parameters our networks store, by the hard count,"
        f" {numbers_of(bits.hard)} bits per parameter."
    ]
    if "soft" in bits:
        sentences.append(f"By the soft count the same networks have {numbers_of(bits.soft)}.")
    return sentences


Exhibit(
    name="later_numbers",
    title="Bits per parameter, here and elsewhere (ours: not in the paper)",
    gist=(
        "Ours: mean and range over the best networks of the largest size, by equation 22 (full"
        " markers: a label is right or wrong) and by cross-entropy (open: bits saved). Others as"
        " published; their definitions differ, and so do the things that are stored."
    ),
    position=20,
    select=capacity,
    trials="capacity task",
    experiment="fig1",
    tables={"later_numbers": beside_later_work},
    draw=draw_later_numbers,
    alt="bits per parameter, a row for each source, beside ours.",
    numbers=lambda tables: by_architecture(
        "Hard count, mean",
        tables["later_numbers"]
        .query("counted == 'hard' and architecture != ''")
        .set_index("architecture")
        .bits,
    ),
    facts=later_facts,
)
