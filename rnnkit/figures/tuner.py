"""The tuner at work: against random search, what it found to matter, and where trials are lost. All
ours, not in the paper.
"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from rnnkit import analysis
from rnnkit.analysis.search import WINDOW, by_stem
from rnnkit.exhibits.base import points
from rnnkit.figures.style import GREY, legend, log_ticks, new_figure, style_of, styled, write_note
from rnnkit.figures.words import write_budget
from rnnkit.wording import label_of

TUNERS = {"gp": ("Gaussian process", "-"), "random": ("random search", (0, (4, 2)))}
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
    curves, typical = tables["tuner"], tables["tuner_typical"]
    names = analysis.in_order(curves.architecture)
    style = style_of(names)
    figure = new_figure(8.2, 0.9 + 2.7 * len(names))
    axes = figure.subplots(len(names), 2, sharex=True, sharey="row", squeeze=False)
    for (best, each), architecture in zip(axes, names):
        for tuner, (_, line) in TUNERS.items():
            color = style[architecture].color if tuner == "gp" else GREY
            part = curves[(curves.architecture == architecture) & (curves.tuner == tuner)]
            best.fill_between(
                part.trial, part.low, part.high, color=color, alpha=0.15, linewidth=0, step="post"
            )
            best.plot(
                part.trial, part["median"], color=color, linestyle=line, drawstyle="steps-post"
            )
            part = typical[(typical.architecture == architecture) & (typical.tuner == tuner)]
            each.fill_between(part.trial, part.low, part.high, color=color, alpha=0.15, linewidth=0)
            each.plot(part.trial, part["median"], color=color, linestyle=line)
        best.set_title("best trial so far")
        each.set_title(f"typical trial: the median of {WINDOW}")
        best.set_ylabel(f"{label_of(architecture)}\nbits per parameter")
        best.set_ylim(0, None)
    for ax in axes[-1]:
        ax.set_xlabel("trials")
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 4, 5, 8, 10]))
    axes[0][0].set_xlim(0, curves.trial.max())
    sns.despine(figure)
    color = style[names[0]].color if len(names) == 1 else "black"
    legend(
        figure,
        [
            Line2D([], [], color=color if tuner == "gp" else GREY, linestyle=line, label=label)
            for tuner, (label, line) in TUNERS.items()
        ],
        columns=2,
    )
    write_budget(figure, "tuner", frame)
    return figure


@styled
def importance(frame: pd.DataFrame):
    """How much each hyper-parameter (summed over the maps it belongs to) matters to each
    architecture, as a table in colour.
    """
    table = points("importance", frame)["importance"]
    shown = by_stem(table)
    explained = table.groupby(["architecture", "tuner"]).explained.first()
    names = list(shown)
    if not names:
        figure = new_figure(6.4, 2)
        ax = figure.subplots()
        ax.set_axis_off()
        write_note(ax, "too few trials of any architecture to grow a forest")
        write_budget(figure, "importance", frame)
        return figure
    figure = new_figure(2.6 + 0.85 * len(names), 1.3 + 0.27 * len(shown))
    ax = figure.subplots()
    values = np.ma.masked_invalid(shown.to_numpy())
    image = ax.pcolormesh(
        np.sqrt(values.clip(0, None)), cmap="Blues", edgecolors="white", linewidth=1.5, vmin=0
    )
    for (row, column), value in np.ndenumerate(shown.to_numpy()):
        text = f"{value:.2f}".replace("-0.00", "0.00") if np.isfinite(value) else "-"
        dark = np.isfinite(value) and image.norm(np.sqrt(max(value, 0))) > 0.55
        ax.text(
            column + 0.5,
            row + 0.5,
            text,
            ha="center",
            va="center",
            fontsize=8,
            color="white" if dark else "black",
        )
    labels = [
        f"{label_of(a)}{', random' if tuner == 'random' else ''}\n({explained[a, tuner]:.2f})"
        for a, tuner in names
    ]
    ax.set_xticks(np.arange(len(names)) + 0.5, labels)
    ax.set_yticks(np.arange(len(shown)) + 0.5, shown.index)
    ax.invert_yaxis()
    ax.tick_params(length=0)
    ax.axhline(len(shown) - 1, color=GREY, linewidth=1)
    ax.set_xlabel("(share of the variance that the forest explains)")
    sns.despine(figure, left=True, bottom=True)
    write_budget(figure, "importance", frame)
    return figure


@styled
def lost(frame: pd.DataFrame):
    """Share of trials that diverged, and that ended above chance, by quarters of three
    hyper-parameters.
    """
    table = points("lost", frame)["lost"]
    figure = new_figure(9.2, 3.3)
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
        ax.set_xlabel(f"{title}, median of its quarter")
    axes[0].set_ylabel("share of trials, %")
    axes[0].set_ylim(0, None)
    sns.despine(figure)
    legend(
        figure,
        [
            Line2D([], [], color=color, marker=marker, linestyle=line, label=label)
            for label, color, marker, line in ENDS.values()
        ],
        columns=2,
    )
    write_budget(figure, "lost", frame)
    return figure
