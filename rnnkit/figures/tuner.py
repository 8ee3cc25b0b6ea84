"""The tuner at work: against random search, what it found to matter, and where trials are lost. All
ours, not in the paper.
"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from rnnkit import analysis
from rnnkit.analysis.search import WINDOW, by_stem
from rnnkit.exhibits.base import points
from rnnkit.figures.style import (
    GREY,
    legend,
    line_key,
    log_ticks,
    new_figure,
    style_of,
    styled,
    write_note,
    write_values,
)
from rnnkit.figures.words import write_budget
from rnnkit.wording import label_of

TUNERS = {"gp": ("Gaussian process", "-"), "random": ("random search", (0, (4, 2)))}
BAND = "left: least to most of the seeds; right: middle half of the trials"
ENDS = {
    "diverged": ("diverged", "black", "o", "-"),
    "above chance": ("ended a tenth above chance", GREY, "s", (0, (4, 2))),
}
NAMES = {
    "lr_init": "learning rate",
    "gradient_clip_val": "gradient clip",
    "recurrent_matrix_scale_*": "largest recurrent scale",
}


@styled
def convergence(frame: pd.DataFrame):
    """Best so far, and what a typical trial is worth, of the Gaussian process and of random search
    on the same study; a row a cell.
    """
    tables = points("tuner", frame)
    names = analysis.in_order(tables["tuner"].architecture)
    style = style_of(names)
    figure = new_figure(0.9 + 2.7 * len(names))
    axes = figure.subplots(len(names), 2, sharex=True, sharey="row", squeeze=False)
    for (best, typical), architecture in zip(axes, names):
        color = style[architecture].color
        for ax, name in ((best, "tuner"), (typical, "tuner_typical")):
            table = tables[name]
            _tuners(ax, table[table.architecture == architecture], color, steps=name == "tuner")
        best.set_title("best trial so far")
        typical.set_title(f"typical trial: the median of {WINDOW}")
        best.set_ylabel(f"{label_of(architecture)}\nbits per parameter")
        best.set_ylim(0, None)
    for ax in axes[-1]:
        ax.set_xlabel("trials")
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 4, 5, 8, 10]))
    axes[0][0].set_xlim(0, tables["tuner"].trial.max())
    sns.despine(figure)
    color = style[names[0]].color if len(names) == 1 else "black"
    keys = [
        line_key(label, line, 1.4, color if tuner == "gp" else GREY)
        for tuner, (label, line) in TUNERS.items()
    ]
    legend(figure, [*keys, Patch(color=GREY, alpha=0.2, label=BAND)])
    write_budget(figure, "tuner", frame)
    return figure


def _tuners(ax, table: pd.DataFrame, color, steps: bool):
    """Median and band of each tuner against trials: the Gaussian process in `color`, random search
    in grey.
    """
    form = {"step": "post"} if steps else {}
    for tuner, (_, line) in TUNERS.items():
        shade, part = color if tuner == "gp" else GREY, table[table.tuner == tuner]
        ax.fill_between(
            part.trial, part.low, part.high, color=shade, alpha=0.15, linewidth=0, **form
        )
        drawstyle = "steps-post" if steps else "default"
        ax.plot(part.trial, part["median"], color=shade, linestyle=line, drawstyle=drawstyle)


@styled
def importance(frame: pd.DataFrame):
    """How much each hyper-parameter (summed over the maps it belongs to) matters to each
    architecture, as a table in colour.
    """
    shares = points("importance", frame)["importance"]
    table = by_stem(shares)
    explained = shares.groupby(["architecture", "tuner"]).explained.first()
    figure = new_figure(1.3 + 0.27 * len(table) if len(table.columns) else 2)
    ax = figure.subplots()
    if len(table.columns):
        _importance(ax, table, explained)
    else:
        ax.set_axis_off()
        write_note(ax, "too few trials of any architecture to grow a forest")
    sns.despine(figure, left=True, bottom=True)
    write_budget(figure, "importance", frame)
    return figure


def _importance(ax, table: pd.DataFrame, explained: pd.Series):
    """A coloured cell for each hyper-parameter (row) and each architecture and tuner (column)."""
    values = table.to_numpy()
    roots = np.ma.masked_invalid(np.sqrt(values.clip(0, None)))  # so that small ones differ too
    cells = ax.pcolormesh(roots, cmap="Blues", edgecolors="white", linewidth=1.5, vmin=0)
    write_values(ax, cells, values, "{:.2f}")
    labels = [
        f"{label_of(a)}{', random' if tuner == 'random' else ''}\n({explained[a, tuner]:.2f})"
        for a, tuner in table
    ]
    ax.set_xticks(np.arange(len(labels)) + 0.5, labels)
    ax.set_yticks(np.arange(len(table)) + 0.5, table.index)
    ax.invert_yaxis()
    ax.tick_params(length=0)
    ax.axhline(len(table) - 1, color=GREY, linewidth=1)
    ax.set_xlabel("in brackets: share of the variance that the forest explains")


@styled
def lost(frame: pd.DataFrame):
    """Share of trials that diverged, and that ended above chance, by quarters of three
    hyper-parameters.
    """
    table = points("lost", frame)["lost"]
    figure = new_figure(3.5)
    axes = figure.subplots(1, len(NAMES), sharey=True)
    for ax, (name, title) in zip(axes, NAMES.items()):
        for end, (_, color, marker, line) in ENDS.items():
            part = table[(table.hyperparameter == name) & (table.end == end)]
            ends = 100 * np.array([part.share - part.low, part.high - part.share]).clip(0)
            ax.errorbar(
                part.value,
                100 * part.share,
                ends,
                color=color,
                marker=marker,
                linestyle=line,
                elinewidth=1,
                capsize=3,
            )
        ax.set_xscale("log")
        log_ticks(ax.xaxis)
        ax.set_xlabel(f"{title},\nmedian of its quarter")
    axes[0].set_ylabel("share of trials, %")
    axes[0].set_ylim(0, None)
    sns.despine(figure)
    keys = [
        line_key(label, line, 1.4, color, marker=marker)
        for label, color, marker, line in ENDS.values()
    ]
    legend(figure, keys)
    write_budget(figure, "lost", frame)
    return figure
