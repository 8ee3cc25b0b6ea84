"""The discussion (section 5): weights of few bits, and bits per parameter in other work.

The trials have the column `kept` of rnnkit.studies.quantisation: for the best trial of a study, the
bits that it still stores when its weights have 1, 2, ... bits, for two ways of choosing the range in
which they are rounded.
"""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from rnnkit import paper
from rnnkit.exhibits.base import Exhibit, points
from rnnkit.exhibits.best_trials import in_order, paper_order, stored_bits
from rnnkit.exhibits.budget import Budget
from rnnkit.exhibits.captions import (
    NOTHING_TO_SEE,
    by_architecture,
    in_paper_order,
    numbers_of,
    write_budget,
)
from rnnkit.exhibits.finding import ABOUT, MIN_CELLS, mean
from rnnkit.exhibits.judge import ALWAYS, Measured, Rule, below
from rnnkit.exhibits.selection import capacity
from rnnkit.exhibits.statistics import student
from rnnkit.exhibits.style import (
    DASHED,
    DOTTED,
    GREY,
    PALE,
    SMALL,
    Drawing,
    Style,
    architecture_keys,
    house_style,
    label_rows,
    legend,
    legend_panel,
    letter,
    line_key,
    new_figure,
    style_of,
    write_at_right,
    write_note,
)
from rnnkit.paper import BITS_PER_PARAMETER
from rnnkit.wording import and_list, count, label_of

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
    table = []
    for row in trials[trials.kept.notna()].itertuples():
        full_bits = row.kept["whole"][0]
        for method in WAYS if full_bits > 0 else ():
            table += [
                [*(getattr(row, name) for name in NETWORK), method, k, bits, bits / full_bits]
                for k, bits in enumerate(row.kept[method], 1)
            ]
    shares = pd.DataFrame(table, columns=[*NETWORK, "way", "bits_per_weight", "bits", "share"])
    return shares.sort_values(
        "architecture", key=paper_order(shares), kind="stable", ignore_index=True
    )


def needed_bits(trials: pd.DataFrame, share: float = LOSSLESS) -> pd.DataFrame:
    """For each network and way of rounding, the fewest bits per weight from which on at least `share`
    of the stored bits are left (nan if even 16 lose more).

    `bits_per_param` is what the network stores before rounding.
    """
    table = []
    for network, group in kept_bits(trials).groupby([*NETWORK, "way"], sort=False):
        group = group.sort_values("bits_per_weight")
        short = group.bits_per_weight[group.share < share]
        fewest = (0 if short.empty else short.max()) + 1
        full_bits = group.bits.iloc[-1] / group.share.iloc[-1]
        table.append(
            [
                *network,
                fewest if fewest <= len(group) else math.nan,
                full_bits / group.num_params.iloc[0],
            ]
        )
    return pd.DataFrame(table, columns=[*NETWORK, "way", "needed", "bits_per_param"])


@house_style
def draw_rounded(frame: pd.DataFrame) -> Drawing:
    """The share of the stored bits that is left when weights have k bits, (a, b) for two ways of
    rounding; (c) the bits needed against the bits stored. ValueError if no weights were rounded.
    """
    tables = points("quantised", frame)
    shares = tables["quantised"]
    fewest = tables["quantised_needed"]
    figure = new_figure(7.0)
    axes = figure.subplots(2, 2)
    style = style_of(shares.architecture)
    for ax, method, name in zip(axes[0], WAYS, "ab"):
        letter(ax, name, WAYS[method])
        _draw_shares(ax, shares[shares.way == method], style)
    axes[0, 0].set_ylabel("stored bits left, %")
    write_at_right(axes[0, 1], 100 * LOSSLESS, "99 %")
    _draw_needed(axes[1, 0], fewest, style)
    sns.despine(figure)
    keys = [
        *architecture_keys(shares.architecture),
        line_key("a, b: a study", "-", 0.6),
        line_key("paper: 5 bits per parameter"),
    ]
    legend_panel(axes[1, 1], keys)
    write_budget(figure, "quantised", frame)
    return figure


def _draw_shares(ax: Axes, subset: pd.DataFrame, style: Mapping[str, Style]) -> None:
    """Draws panel a or b: a thin line for each study, and a thick one for the mean of an architecture."""
    for _study, curve in subset.groupby("study", sort=False):
        color = style[curve.architecture.iloc[0]].color
        ax.plot(curve.bits_per_weight, 100 * curve.share, color=color, linewidth=0.6, alpha=0.3)
    for architecture, studies in subset.groupby("architecture", sort=False):
        s = style[architecture]
        mean = 100 * studies.groupby("bits_per_weight").share.mean()
        ax.plot(
            mean.index,
            mean,
            color=s.color,
            marker=s.marker,
            linestyle=s.line,
            markersize=4,
            zorder=3,
        )
    ax.axvline(paper.BITS_PER_PARAMETER, color=GREY, linewidth=1, linestyle=DASHED, zorder=0)
    ax.axhline(100 * LOSSLESS, color=GREY, linewidth=0.8, linestyle=DOTTED, zorder=0)
    ax.set(xlabel="bits per weight, k", xlim=(0.5, 16.5), ylim=(-3, 112))
    ax.set_xticks([1, 3, 5, 7, 9, 11, 13, 15])
    ax.set_yticks([0, 25, 50, 75, 100])
    if subset.empty:
        write_note(ax, "no bits stored")


def _draw_needed(ax: Axes, fewest: pd.DataFrame, style: Mapping[str, Style]) -> None:
    """Draws panel c: the bits per weight that leave 99 %, by the better way, against the bits that a
    parameter stores. These are whole numbers, so each architecture is moved a little to the side.
    """
    letter(ax, "c", "bits per weight that leave 99 %")
    best = fewest.dropna(subset="needed").sort_values("needed").drop_duplicates("study")
    names = list(style)
    for row in best.itertuples():
        s = style[row.architecture]
        offset = 0.11 * (names.index(row.architecture) - (len(names) - 1) / 2)
        ax.plot(
            row.bits_per_param,
            row.needed + offset,
            marker=s.marker,
            color=s.color,
            linestyle="none",
            markersize=5.5,
            alpha=0.8,
            markeredgecolor="white",
            markeredgewidth=0.5,
            zorder=3,
        )
    most = max(paper.BITS_PER_PARAMETER, best.bits_per_param.max() if len(best) else 0) + 0.5
    ax.plot([0, most], [0, most], color=GREY, linewidth=1, linestyle=DOTTED, zorder=0)
    ax.annotate(
        "as many as are stored",
        (0.45 * most, 0.45 * most),
        (8, -4),
        textcoords="offset points",
        color=GREY,
        fontsize=SMALL,
        va="top",
    )
    ax.set(
        xlabel="stored bits per parameter",
        ylabel="bits per weight",
        xlim=(0, most),
        ylim=(0, 16.5),
        yticks=range(0, 17, 2),
    )
    ax.axhline(paper.BITS_PER_PARAMETER, color=GREY, linewidth=1, linestyle=DASHED, zorder=0)
    write_at_right(ax, paper.BITS_PER_PARAMETER, "paper: 5")
    if best.empty:
        write_note(ax, "no bits stored")


def rounding_facts(trials: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    fewest = tables["quantised_needed"]
    shares = tables["quantised"]
    if fewest.empty:
        return ["No network stored bits that rounding could lose."]
    least = least_mean(fewest, "needed")
    at_five = shares[shares.bits_per_weight == round(paper.BITS_PER_PARAMETER)]
    five = at_five.groupby(["architecture", "study"]).share.max()
    share = in_paper_order(100 * five.groupby("architecture").mean())
    return [
        (
            f"Bits per weight that leave {100 * LOSSLESS:.0f} % of what is stored, by the better way of"
            f" rounding: {numbers_of(in_paper_order(least), '.1f')}."
        ),
        (
            f"With {paper.BITS_PER_PARAMETER:g} bits per weight, this per cent is left:"
            f" {numbers_of(share, '.0f')}."
        ),
    ]


def five_bit_test(trials: pd.DataFrame, points: pd.DataFrame, spent: Budget) -> Measured:
    """C15: the mean of the bits per weight that leave 99 %, for each network by the better way.

    If a network loses more even with the most bits that were tried, it counts as one bit more than
    these.
    """
    table = needed_bits(trials).pivot_table("needed", "study", "way", dropna=False)
    if table.empty:
        return Measured(lacks="no network stored bits")
    most = trials.kept.dropna().map(lambda bits: len(bits["range"])).max()
    best = table.min(axis=1).fillna(most + 1).to_numpy()
    at_five = points[points.bits_per_weight == round(paper.BITS_PER_PARAMETER)]
    five = at_five.groupby("study").share.max().mean()
    ways = and_list(
        [f"{table[method].mean():.1f} {WAYS[method]}" for method in WAYS if method in table]
    )
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
    section="5",
    position=19,
    select=rounded_trials,
    trials="capacity task whose weights were rounded (studies.quantise)",
    tables={
        "quantised": lambda of: kept_bits(of.trials),
        "quantised_needed": lambda of: needed_bits(of.trials),
    },
    draw=draw_rounded,
    panels=tuple("abc"),
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
    best = best[best.max_params == best.max_params.max()].assign(
        soft=lambda b: b.soft_bits / b.num_params
    )
    table = [[*entry, math.nan, math.nan, ""] for entry in paper.LATER_NUMBERS]
    for architecture in in_order(best.architecture):
        group = best[best.architecture == architecture]
        for column, definition in (("bits_per_param", "hard"), ("soft", "soft")):
            values = np.clip(group[column].dropna(), 0, None)
            if len(values):
                name = label_of(architecture)
                span = (values.min(), values.max())
                table.append([name, values.mean(), definition, "this kit", *span, architecture])
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


@house_style
def draw_later_numbers(frame: pd.DataFrame) -> Drawing:
    """Bits per parameter of this kit's networks beside those of later and of earlier work.
    ValueError without trials.
    """
    table = points("later_numbers", frame)["later_numbers"]
    literature = table[table.architecture == ""].sort_values("bits")
    ours = table[table.architecture != ""]
    our_names = list(dict.fromkeys(ours["what"]))
    names = [*literature["what"], *our_names]
    heights = {name: row for row, name in enumerate(names)}
    figure = new_figure(1.5 + 0.32 * len(names))
    ax = figure.subplots()
    _draw_literature(ax, literature, heights)
    _draw_ours(ax, ours, heights)
    ax.axhline(len(literature) - 0.5, color=PALE, linewidth=1, zorder=0)
    labels = (literature["what"] + "\n(" + literature.source + ")").tolist()
    label_rows(ax, labels + [f"{name}, ours" for name in our_names], top=-0.6, fontsize=8)
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
    write_budget(figure, "later_numbers", frame)
    return figure


def _draw_literature(ax: Axes, literature: pd.DataFrame, heights: dict) -> None:
    """Draws a dot for each number of other work, and writes what it counts."""
    for name, bits, definition in literature[["what", "bits", "counted"]].itertuples(index=False):
        fill = "none" if definition == "soft" else "full"
        ax.plot(bits, heights[name], marker="o", color=GREY, markersize=7, fillstyle=fill)
        write_at_right(ax, heights[name], f"{bits:g}   {DEFINITIONS[definition]}")


def _draw_ours(ax: Axes, ours: pd.DataFrame, heights: dict) -> None:
    """Draws the mean of each architecture by the hard and by the soft count, over its least and most."""
    style = style_of(ours.architecture)
    for row, definition in zip(ours.itertuples(), ours["counted"]):
        s = style[row.architecture]
        soft = definition == "soft"
        y = heights[label_of(row.architecture)] + (0.17 if soft else -0.17)
        line = {"color": s.color, "linewidth": 1.5, "alpha": 0.5, "solid_capstyle": "butt"}
        ax.plot([row.low, row.high], [y, y], **line)
        fill = "none" if soft else "full"
        ax.plot(row.bits, y, marker=s.marker, color=s.color, markersize=6, fillstyle=fill)
    for name, group in ours.groupby("what", sort=False):
        values = " / ".join(f"{bits:.2f}" for bits in group.bits)
        write_at_right(ax, heights[name], f"{values}   hard / soft count")


def later_facts(trials: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    table = tables["later_numbers"]
    ours = table[table.architecture != ""]
    if ours.empty:
        return [NOTHING_TO_SEE]
    size = int(trials.max_params.max())
    hard, soft = (
        ours[ours.counted == definition].set_index("architecture").bits
        for definition in ("hard", "soft")
    )
    sentences = [
        f"At up to {size:,} parameters our networks store, by the hard count,"
        f" {numbers_of(hard.sort_values(ascending=False))} bits per parameter."
    ]
    if len(soft):
        sentences.append(
            "By the soft count the same networks have"
            f" {numbers_of(soft.reindex(hard.sort_values(ascending=False).index))}."
        )
    return sentences


Exhibit(
    name="later_numbers",
    title="Bits per parameter, here and elsewhere (ours: not in the paper)",
    gist=(
        "Ours: mean and range over the best networks of the largest size, by equation 22 (full"
        " markers: a label is right or wrong) and by cross-entropy (open: bits saved). Others as"
        " published; their definitions differ, and so do the things that are stored."
    ),
    section="5",
    position=20,
    select=capacity,
    trials="capacity task",
    experiment="fig1",
    tables={"later_numbers": lambda of: beside_later_work(of.trials)},
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
