"""Figures of the discussion, ours and not in the paper: weights rounded to few bits, bits per
parameter beside later work, the audit.
"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D

from rnnkit import paper
from rnnkit.analysis import audit as audits
from rnnkit.analysis.compression import LOSSLESS, WAYS
from rnnkit.exhibits.base import points
from rnnkit.figures.style import (
    GREY,
    PALE,
    architecture_keys,
    legend,
    letter,
    new_figure,
    style_of,
    styled,
    write_at_right,
    write_note,
)
from rnnkit.figures.words import write_budget
from rnnkit.wording import label_of

DASHES = (0, (6, 2))
WRONG = "#b2182b"


@styled
def quantised(frame: pd.DataFrame):
    """Share of the stored bits left under weights of k bits: (a, b) two ways of rounding, (c) bits
    needed against bits stored.

    ValueError without trials whose weights were rounded.
    """
    tables = points("quantised", frame)
    kept, needed = tables["quantised"], tables["quantised_needed"]
    figure = new_figure(11.5, 4.1)
    axes = figure.subplots(1, 3)
    style = style_of(kept.architecture)
    for ax, way, name in zip(axes, WAYS, "ab"):
        letter(ax, name, WAYS[way])
        part = kept[kept.way == way]
        for _study, curve in part.groupby("study", sort=False):
            ax.plot(
                curve.bits_per_weight,
                100 * curve.share,
                color=style[curve.architecture.iloc[0]].color,
                linewidth=0.6,
                alpha=0.3,
            )
        for architecture, curves in part.groupby("architecture", sort=False):
            s, mean = style[architecture], 100 * curves.groupby("bits_per_weight").share.mean()
            ax.plot(
                mean.index,
                mean,
                color=s.color,
                marker=s.marker,
                linestyle=s.line,
                markersize=4,
                zorder=3,
            )
        ax.axvline(paper.BITS_PER_PARAMETER, color=GREY, linewidth=1, linestyle=DASHES, zorder=0)
        ax.annotate(
            "paper: 5",
            (paper.BITS_PER_PARAMETER, 1.0),
            (3, -2),
            ("data", "axes fraction"),
            "offset points",
            color=GREY,
            fontsize=7.5,
            ha="left",
            va="top",
        )
        ax.axhline(100 * LOSSLESS, color=GREY, linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=0)
        ax.set(
            xlabel="bits a weight, k",
            ylabel="stored bits left, %" if way == "range" else "",
            xlim=(0.5, 16.5),
            ylim=(-3, 112),
        )
        ax.set_xticks([1, 3, 5, 7, 9, 11, 13, 15])
        ax.set_yticks([0, 25, 50, 75, 100])
        if part.empty:
            write_note(ax, "no bits stored")
    write_at_right(axes[1], 100 * LOSSLESS, "99 %")
    _needed(axes[2], needed, style)
    sns.despine(figure)
    legend(figure, architecture_keys(kept.architecture), columns=6)
    write_budget(figure, "quantised", frame)
    return figure


def _needed(ax, needed, style):
    """Panel c: bits a weight that leave 99 %, by the better way, against the bits that a parameter
    stores.
    """
    letter(ax, "c", "bits needed for 99 %")
    best = needed.dropna(subset="needed").sort_values("needed").drop_duplicates("study")
    for row in best.itertuples():
        s = style[row.architecture]
        ax.plot(
            row.bits_per_param,
            row.needed,
            marker=s.marker,
            color=s.color,
            linestyle="none",
            markersize=7,
            alpha=0.8,
            markeredgecolor="white",
            zorder=3,
        )
    most = max(paper.BITS_PER_PARAMETER, best.bits_per_param.max() if len(best) else 0) + 0.5
    ax.plot([0, most], [0, most], color=GREY, linewidth=1, linestyle=(0, (1, 1.5)), zorder=0)
    ax.annotate(
        "as many as are stored",
        (0.6 * most, 0.6 * most),
        (4, -6),
        textcoords="offset points",
        color=GREY,
        fontsize=7.5,
        va="top",
    )
    ax.set(
        xlabel="stored bits per parameter", ylabel="bits a weight", xlim=(0, most), ylim=(0, 16.5)
    )
    ax.axhline(paper.BITS_PER_PARAMETER, color=GREY, linewidth=1, linestyle=DASHES, zorder=0)
    write_at_right(ax, paper.BITS_PER_PARAMETER, "paper: 5")
    if best.empty:
        write_note(ax, "no bits stored")


@styled
def later_numbers(frame: pd.DataFrame):
    """Bits per parameter of this kit's networks beside those of later and of earlier work.
    ValueError without trials.
    """
    table = points("later_numbers", frame)["later_numbers"]
    others, ours = (
        table[table.architecture == ""].sort_values("bits"),
        table[table.architecture != ""],
    )
    style = style_of(ours.architecture)
    names = [*others.what, *dict.fromkeys(ours.what)]
    places = {name: place for place, name in enumerate(names)}
    figure = new_figure(9.2, 1.5 + 0.32 * len(names))
    ax = figure.subplots()
    for row in others.itertuples():
        ax.plot(
            row.bits,
            places[row.what],
            marker="o",
            color=GREY,
            markersize=7,
            fillstyle="none" if row.counted == "soft" else "full",
        )
    for row in ours.itertuples():
        s, soft = style[row.architecture], row.counted == "soft"
        at = places[row.what] + (0.17 if soft else -0.17)
        ax.plot(
            [row.low, row.high],
            [at, at],
            color=s.color,
            linewidth=1.5,
            alpha=0.5,
            solid_capstyle="butt",
        )
        ax.plot(
            row.bits,
            at,
            marker=s.marker,
            color=s.color,
            markersize=6,
            fillstyle="none" if soft else "full",
        )
    ax.axhline(len(others) - 0.5, color=PALE, linewidth=1, zorder=0)
    right = max(table.bits.max(), table.high.max()) * 1.04
    for row in others.itertuples():
        ax.annotate(
            f"{row.bits:g}   {DEFINITIONS[row.counted]}",
            (1, places[row.what]),
            (8, 0),
            ("axes fraction", "data"),
            "offset points",
            color=GREY,
            fontsize=7.5,
            va="center",
        )
    for name in dict.fromkeys(ours.what):
        values = " / ".join(f"{row.bits:.2f}" for row in ours[ours.what == name].itertuples())
        ax.annotate(
            f"{values}   hard / soft count",
            (1, places[name]),
            (8, 0),
            ("axes fraction", "data"),
            "offset points",
            color=GREY,
            fontsize=7.5,
            va="center",
        )
    labels = [f"{row.what} ({row.source})" for row in others.itertuples()] + [
        f"{name}, ours" for name in dict.fromkeys(ours.what)
    ]
    ax.set_yticks(range(len(names)), labels)
    ax.set(
        xlabel="bits per parameter; each line counts in its own way",
        xlim=(0, right),
        ylim=(len(names) - 0.5, -0.6),
    )
    ax.tick_params(axis="y", length=0)
    sns.despine(figure, left=True)
    keys = [
        Line2D([], [], color=GREY, marker="o", linestyle="none", label="hard count or theory"),
        Line2D(
            [], [], color=GREY, marker="o", linestyle="none", fillstyle="none", label="soft count"
        ),
    ]
    legend(figure, keys, columns=2)
    write_budget(figure, "later_numbers", frame)
    return figure


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
    df, runs, shares, again = (
        audits.impossible_df(),
        audits.recovered_runs(),
        audits.solve_shares(),
        audits.reruns(),
    )
    figure = new_figure(12.5, 4.6)
    axes = figure.subplots(1, 4, width_ratios=(1.25, 1, 1, 1))
    _degrees(axes[0], df[df.n_layers == 1])
    _runs(axes[1], runs)
    _shares(axes[2], shares)
    _reruns(axes[3], again)
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
        "audit_reruns": again,
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
    ax.plot(ends, ends, color=GREY, linewidth=1, linestyle=(0, (1, 1.5)), zorder=0)
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
    ax.legend(loc="upper left", handletextpad=0.2, labelspacing=0.25, fontsize=7.5)


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


def _reruns(ax, again):
    letter(ax, "d", "reruns over the original loss")
    most = {a: row[paper.TABLE_APP1_COLUMNS.index("max")] for a, row in paper.TABLE_APP1.items()}
    for place, row in enumerate(again.itertuples()):
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
    ax.axvline(1, color=GREY, linewidth=1, linestyle=DASHES, zorder=0)
    ax.set_xscale("log")
    ax.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    ax.set_yticks(range(len(again)), [label_of(a) for a in again.architecture])
    ax.set(xlabel="loss / original loss", ylim=(len(again) - 0.5, -0.6))
    ax.tick_params(axis="y", length=0)
