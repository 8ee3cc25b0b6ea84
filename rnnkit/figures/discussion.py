"""Figures of the discussion, ours and not in the paper: weights rounded to few bits, bits per
parameter beside later work, the audit.
"""

import numpy as np
import pandas as pd
import seaborn as sns

from rnnkit import paper
from rnnkit.analysis import audit as audits
from rnnkit.analysis.compression import LOSSLESS, WAYS
from rnnkit.exhibits.base import points
from rnnkit.figures.style import (
    DASHED,
    DOTTED,
    GREY,
    PALE,
    SMALL,
    architecture_keys,
    legend,
    legend_panel,
    letter,
    line_key,
    new_figure,
    style_of,
    styled,
    write_at_right,
    write_note,
)
from rnnkit.figures.words import write_budget
from rnnkit.wording import label_of

WRONG = "#b2182b"


@styled
def quantised(frame: pd.DataFrame):
    """Share of the stored bits left under weights of k bits: (a, b) two ways of rounding, (c) bits
    needed against bits stored.

    ValueError without trials whose weights were rounded.
    """
    tables = points("quantised", frame)
    shares, needed = tables["quantised"], tables["quantised_needed"]
    figure = new_figure(7.0)
    axes = figure.subplots(2, 2)
    style = style_of(shares.architecture)
    for ax, way, name in zip(axes[0], WAYS, "ab"):
        letter(ax, name, WAYS[way])
        _shares_left(ax, shares[shares.way == way], style)
    axes[0, 0].set_ylabel("stored bits left, %")
    write_at_right(axes[0, 1], 100 * LOSSLESS, "99 %")
    _needed(axes[1, 0], needed, style)
    sns.despine(figure)
    keys = [
        *architecture_keys(shares.architecture),
        line_key("a, b: a study", "-", 0.6),
        line_key("paper: 5 bits per parameter"),
    ]
    legend_panel(axes[1, 1], keys)
    write_budget(figure, "quantised", frame)
    return figure


def _shares_left(ax, part: pd.DataFrame, style):
    """Panels a and b: a thin line for each study, a thick one for the mean of an architecture."""
    for _study, curve in part.groupby("study", sort=False):
        color = style[curve.architecture.iloc[0]].color
        ax.plot(curve.bits_per_weight, 100 * curve.share, color=color, linewidth=0.6, alpha=0.3)
    for architecture, studies in part.groupby("architecture", sort=False):
        s, mean = style[architecture], 100 * studies.groupby("bits_per_weight").share.mean()
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
    if part.empty:
        write_note(ax, "no bits stored")


def _needed(ax, needed, style):
    """Panel c: bits per weight that leave 99 %, by the better way, against the bits that a
    parameter stores. Whole numbers, so each architecture stands a little apart.
    """
    letter(ax, "c", "bits per weight that leave 99 %")
    best = needed.dropna(subset="needed").sort_values("needed").drop_duplicates("study")
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


@styled
def later_numbers(frame: pd.DataFrame):
    """Bits per parameter of this kit's networks beside those of later and of earlier work.
    ValueError without trials.
    """
    table = points("later_numbers", frame)["later_numbers"]
    others = table[table.architecture == ""].sort_values("bits")
    ours = table[table.architecture != ""]
    names = [*others.what, *dict.fromkeys(ours.what)]
    rows = {name: row for row, name in enumerate(names)}
    figure = new_figure(1.5 + 0.32 * len(names))
    ax = figure.subplots()
    _others(ax, others, rows)
    _ours(ax, ours, rows)
    ax.axhline(len(others) - 0.5, color=PALE, linewidth=1, zorder=0)
    sources = [f"{row.what}\n({row.source})" for row in others.itertuples()]
    labels = sources + [f"{name}, ours" for name in dict.fromkeys(ours.what)]
    ax.set_yticks(range(len(names)), labels, fontsize=8)
    ax.set(
        xlabel="bits per parameter; each row counts in its own way",
        xlim=(0, max(table.bits.max(), table.high.max()) * 1.04),
        ylim=(len(names) - 0.5, -0.6),
    )
    ax.tick_params(axis="y", length=0)
    sns.despine(figure, left=True)
    keys = [
        line_key("hard count or theory", "none", marker="o"),
        line_key("soft count", "none", marker="o", fillstyle="none"),
        line_key("least and most of our networks", "-", 1.5, alpha=0.5),
    ]
    legend(figure, keys)
    write_budget(figure, "later_numbers", frame)
    return figure


def _others(ax, others: pd.DataFrame, rows: dict):
    """A dot for each number of other work, with what it counts."""
    for row in others.itertuples():
        fill = "none" if row.counted == "soft" else "full"
        ax.plot(row.bits, rows[row.what], marker="o", color=GREY, markersize=7, fillstyle=fill)
        write_at_right(ax, rows[row.what], f"{row.bits:g}   {DEFINITIONS[row.counted]}")


def _ours(ax, ours: pd.DataFrame, rows: dict):
    """The mean of each architecture by the hard and by the soft count, over its least and most."""
    style = style_of(ours.architecture)
    for row in ours.itertuples():
        s, soft = style[row.architecture], row.counted == "soft"
        y = rows[row.what] + (0.17 if soft else -0.17)
        line = {"color": s.color, "linewidth": 1.5, "alpha": 0.5, "solid_capstyle": "butt"}
        ax.plot([row.low, row.high], [y, y], **line)
        fill = "none" if soft else "full"
        ax.plot(row.bits, y, marker=s.marker, color=s.color, markersize=6, fillstyle=fill)
    for name, part in ours.groupby("what", sort=False):
        values = " / ".join(f"{bits:.2f}" for bits in part.bits)
        write_at_right(ax, rows[name], f"{values}   hard / soft count")


DEFINITIONS = {
    "theory": "theory: patterns that a plane can separate",
    "knowledge": "bits of facts that can be recalled",
    "soft": "soft count: bits saved by compression",
    "sizes": "distinguishable sizes of a synapse",
    "hard": "hard count: equation 22",
}


@styled
def audit(frame=None):
    """What the paper's tables say when read closely (rnnkit.analysis.audit); drawn of the paper's
    numbers alone, whatever is given.
    """
    df, runs = audits.impossible_df(), audits.recovered_runs()
    shares, reruns = audits.solve_shares(), audits.reruns()
    figure = new_figure(7.0)
    axes = figure.subplots(2, 2, height_ratios=(1.25, 1)).ravel()
    _degrees(axes[0], df[df.n_layers == 1])
    _runs(axes[1], runs)
    _shares(axes[2], shares)
    _reruns(axes[3], reruns)
    sns.despine(figure)
    figure.suptitle(
        "Ours: the paper's tables, read closely; no trials but the paper's",
        x=0.01,
        ha="left",
        fontsize=8,
        color=GREY,
    )
    wrong = [
        f"{label_of(row.first)}/{label_of(row.second)} {row.df:g}"
        for row in df[~df.possible].itertuples()
    ]
    solve = ", ".join(
        f"{label_of(row.architecture)} {100 * row.share:.1f} %" for row in shares.itertuples()
    )
    slip = [
        f"{label_of(row.first)}/{label_of(row.second)}"
        for row in audits.captions_slip().query("called_different").itertuples()
    ]
    figure.alt = (
        f"Four panels. Impossible degrees of freedom: {', '.join(wrong)}. Share of random runs that"
        f" solve at 8 layers: {solve}."
    )
    figure.caption = (
        "The paper's tables, read closely (ours: not in the paper). (a) Degrees of freedom of"
        " Table App.2 at 1 layer, with the range that Welch's formula allows for the feasible runs"
        f" of Table 1; outside: {', '.join(wrong)}. (b) Runs behind each mean at 8 layers, solved"
        " from the 15 tests' t and df (bars: what their rounding allows), against Table 1. (c) If"
        " a run ends either solved or on one plateau, so many random runs solve the task at 8"
        f" layers: {solve}. (d) Table App.1: least, mean and most of 100 reruns over the original"
        f" loss. The caption of Table App.2 calls {', '.join(slip)} different with p > 0.05; they"
        " are the three pairs that are not."
    )
    figure.tables = {
        "audit": df,
        "audit_runs": runs.merge(shares.drop(columns="runs"), "left", "architecture"),
        "audit_reruns": reruns,
        "audit_caption": audits.captions_slip(),
    }
    return figure


def _degrees(ax, df):
    letter(ax, "a", "degrees of freedom, 1 layer")
    for place, row in enumerate(df.itertuples()):
        ax.plot(
            [row.least, row.most],
            [place, place],
            color=PALE,
            linewidth=7,
            solid_capstyle="butt",
            zorder=1,
        )
        marker, color, size = ("o", GREY, 6) if row.possible else ("X", WRONG, 8)
        ax.plot(row.df, place, marker=marker, color=color, markersize=size)
    ax.set_yticks(
        range(len(df)),
        [f"{label_of(row.first)} / {label_of(row.second)}" for row in df.itertuples()],
    )
    ax.set(xlabel="df: printed (dot), possible (bar)", ylim=(len(df) - 0.5, -0.5))
    ax.tick_params(axis="y", length=0)


def _runs(ax, runs):
    letter(ax, "b", "feasible runs, 8 layers")
    ends = [
        min(runs.low.min(), runs.table_1.min()) - 30,
        max(runs.high.max(), runs.table_1.max()) + 30,
    ]
    ax.plot(ends, ends, color=GREY, linewidth=1, linestyle=DOTTED, zorder=0)
    for row in runs.itertuples():
        s = style_of([row.architecture])[row.architecture]
        ax.plot(
            [row.table_1] * 2,
            [row.low, row.high],
            color=s.color,
            linewidth=3,
            alpha=0.4,
            solid_capstyle="butt",
        )
        ax.plot(
            row.table_1,
            row.runs,
            marker=s.marker,
            color=s.color,
            linestyle="none",
            markersize=6,
            label=label_of(row.architecture),
        )
    ax.set(xlabel="by Table 1", ylabel="by t and df of Table App.2", xlim=ends, ylim=ends)
    ax.legend(loc="upper left", handletextpad=0.2, labelspacing=0.25, fontsize=SMALL)


def _shares(ax, shares):
    letter(ax, "c", "runs that solve, 8 layers")
    for place, row in enumerate(shares.itertuples()):
        ax.barh(
            place,
            100 * row.share,
            color=style_of([row.architecture])[row.architecture].color,
            height=0.6,
        )
        ax.annotate(
            f"{100 * row.share:.2g} %",
            (100 * row.share, place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    ax.set_yticks(range(len(shares)), [label_of(a) for a in shares.architecture])
    ax.set(
        xlabel="% of feasible random runs",
        xlim=(0, 118 * shares.share.max()),
        ylim=(len(shares) - 0.5, -0.5),
    )
    ax.tick_params(axis="y", length=0)


def _reruns(ax, reruns):
    letter(ax, "d", "reruns over the original loss")
    most = {a: row[paper.TABLE_APP1_COLUMNS.index("max")] for a, row in paper.TABLE_APP1.items()}
    for place, row in enumerate(reruns.itertuples()):
        s = style_of([row.architecture])[row.architecture]
        ax.plot(
            np.array([row.min, most[row.architecture]]) / row.original,
            [place] * 2,
            color=s.color,
            linewidth=2,
            alpha=0.5,
        )
        ax.plot(row.mean_over_original, place, marker=s.marker, color=s.color, markersize=6)
        ax.annotate(
            f"{row.mean_over_original:.2g}",
            (row.mean_over_original, place),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    ax.axvline(1, color=GREY, linewidth=1, linestyle=DASHED, zorder=0)
    ax.set_xscale("log")
    ax.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    ax.set_yticks(range(len(reruns)), [label_of(a) for a in reruns.architecture])
    ax.set(xlabel="loss / original loss", ylim=(len(reruns) - 0.5, -0.6))
    ax.tick_params(axis="y", length=0)
