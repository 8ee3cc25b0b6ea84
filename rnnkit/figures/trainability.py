"""Figures 4 and 5 of the paper: how soon and how often the hard tasks are solved (section 4)."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from rnnkit import analysis, paper
from rnnkit.exhibits.base import exhibit, points, rows_of
from rnnkit.figures.reference import overlay_columns, overlay_search
from rnnkit.figures.style import (
    GREY,
    PALE,
    legend,
    letter,
    new_figure,
    reference,
    style_of,
    styled,
    write_at_right,
    write_note,
)
from rnnkit.figures.words import task_name, write_budget
from rnnkit.wording import label_of, layers

TOP = 3.0  # losses above so many times chance stand with the diverged ones
CHANCE = (0, (6, 2))  # its line


class Scale:
    """The loss axis of a task: logarithmic where losses fall below a tenth of chance; trials that
    diverged stand at `top`.
    """

    def __init__(self, losses: pd.Series, chance: float):
        finite = losses[np.isfinite(losses)]
        self.chance, self.log = chance, bool(len(finite)) and finite.min() < chance / 10
        self.high = (
            min(max(finite.max(), 1.15 * chance), TOP * chance) if len(finite) else 1.15 * chance
        )
        self.low = max(finite[finite > 0].min() / 1.6, 1e-9) if self.log else 0.0
        self.top = self.at(1.1)

    def at(self, share: float) -> float:
        """The loss at a share of the way from the lowest to the highest."""
        return (
            self.low * (self.high / self.low) ** share
            if self.log
            else self.low + share * (self.high - self.low)
        )

    def place(self, losses):
        """Losses as they are drawn: those that diverged or are off the axis at the top."""
        losses = np.asarray(losses, float)
        return np.where(np.isnan(losses) | (losses > self.high), self.top, losses)

    def dress(self, ax, band=True):
        """Scale, limits, chance and the band in which diverged trials stand."""
        if self.log:
            ax.set_yscale("log")
            steps, tens = (1,) if self.high / self.low > 100 else (1, 3), range(-10, 7)
            ax.set_yticks(
                [m * 10.0**e for e in tens for m in steps if self.low <= m * 10.0**e <= self.high]
            )
            ax.set_yticks(
                [
                    m * 10.0**e
                    for e in tens
                    for m in range(2, 10)
                    if self.low <= m * 10.0**e <= self.high
                ],
                minor=True,
            )
            ax.yaxis.set_minor_formatter(NullFormatter())
        else:
            ax.set_yticks(
                [tick for tick in MaxNLocator(5).tick_values(0, self.high) if tick <= self.high]
            )
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.set_ylim(self.low, self.at(1.18 if band else 1.03))
        if band:
            ax.axhspan(self.high, self.at(1.18), color=PALE, linewidth=0, zorder=0)
        ax.axhline(self.chance, color=GREY, linewidth=1, linestyle=CHANCE, zorder=1)


@styled
def fig4(frame: pd.DataFrame):
    """Figure 4: running median (a-d) and minimum (e-h) of the loss over trials on parentheses,
    (i-p) on arithmetic. ValueError.
    """
    table = points("fig4", frame)["fig4"]
    style = style_of(table.architecture)
    figure = new_figure(13.0, 11.4)
    axes = figure.subplots(4, len(paper.HARD_DEPTHS))
    letters, forms, theirs = iter(exhibit("fig4").panels), _forms("fig4", frame), []
    for first, task in ((0, "parens_counting"), (2, "arithmetic")):
        part = table[table.task_type == task]
        scale = Scale(part.loss, part.chance.iloc[0]) if len(part) else None
        for row, what in ((first, "median"), (first + 1, "minimum")):
            for ax, depth in zip(axes[row], paper.HARD_DEPTHS):
                letter(
                    ax, next(letters), f"{task_name(task)}, {layers(depth)}" if row == first else ""
                )
                _search(ax, part[part.n_layers == depth], what, style, scale)
                if scale:
                    theirs = (
                        overlay_search(ax, "fig4", task, depth, what, scale.place, forms[task])
                        or theirs
                    )
                if not (part.n_layers == depth).any():
                    empty = (
                        f"depth {depth}: not trained\nat this scale"
                        if len(part)
                        else f"{task_name(task)}:\nnot trained"
                    )
                    write_note(ax, empty)
                ax.set_xlim(0, max(10, part.trial.max() * 1.02 if len(part) else 10))
                ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
                ax.tick_params(labelbottom=row in (1, 3), labelleft=depth == 1)
            axes[row][0].set_ylabel(
                f"{'median' if what == 'median' else 'least'} loss,"
                f" nats{' a symbol' if task == 'arithmetic' else ''}"
            )
            if scale:
                write_at_right(axes[row][-1], scale.chance, f"chance {scale.chance:.3g}")
                write_at_right(
                    axes[row][-1],
                    scale.top,
                    (
                        f"diverged, > {scale.high:.2g}"
                        if (part.loss > scale.high).any()
                        else "diverged"
                    ),
                )
        for ax in axes[first + 1]:
            ax.set_xlabel("trials")
    sns.despine(figure)
    lines = [
        Line2D([], [], color=s.color, marker=s.marker, linestyle=s.line, label=label_of(a))
        for a, s in style.items()
    ]
    more = [
        Line2D([], [], color=GREY, linewidth=1, linestyle=CHANCE, label="chance"),
        Patch(color=GREY, alpha=0.2, label="95 %"),
        Line2D([], [], color=GREY, marker="o", markersize=2.5, linestyle="none", label="a trial"),
    ]
    legend(figure, lines + more + theirs, columns=9)
    write_budget(figure, "fig4", frame)
    return figure


def _forms(name: str, frame: pd.DataFrame) -> dict[str, str]:
    """The form of each task in a figure."""
    return dict(analysis.budget(rows_of(name, frame)).tasks)


def _search(ax, part: pd.DataFrame, what: str, style, scale):
    """One panel: a curve with its band for each study, and for medians each trial as a dot."""
    if scale:
        scale.dress(ax)
    else:
        ax.set_yticks([])
    for (architecture, _), study in part.groupby(["architecture", "study"], sort=False):
        s = style[architecture]
        every = max(1, len(study) // 4)
        if what == "median":
            ax.plot(
                study.trial,
                scale.place(study.loss),
                "o",
                color=s.color,
                markersize=2.4,
                alpha=0.5,
                markeredgewidth=0,
                zorder=1,
            )
        low, high = (
            study[f"{what}_{end}"] if f"{what}_{end}" in study else study[what]
            for end in ("low", "high")
        )
        known = (low.notna() & high.notna()).to_numpy()
        ax.fill_between(
            study.trial,
            scale.place(low),
            scale.place(high),
            where=known,
            color=s.color,
            alpha=0.08,
            linewidth=0,
            step=None if what == "median" else "post",
            zorder=1,
        )
        ax.plot(
            study.trial,
            scale.place(study[what]),
            color=s.color,
            linestyle=s.line,
            marker=s.marker,
            markersize=4,
            linewidth=1.3,
            markevery=(every - 1, every),
            drawstyle="default" if what == "median" else "steps-post",
            label=architecture,
            zorder=3,
        )


@styled
def fig5(frame: pd.DataFrame):
    """Figure 5: losses of random hyper-parameters on parentheses, (a) 1 layer, (b) the deepest.
    ValueError without trials.
    """
    table = points("fig5", frame)["fig5"]
    depths = sorted(table.n_layers.unique())
    style = style_of(table.architecture)
    scale = Scale(table.loss, table.chance.iloc[0])
    above, form, theirs = (
        bool((table.loss > scale.high).any()),
        _forms("fig5", frame)["parens_counting"],
        [],
    )
    figure = new_figure(10.4, 4.6)
    axes = figure.subplots(1, 2, sharey=True)
    for ax, name, depth in zip(axes, "ab", (depths[0], depths[-1] if len(depths) > 1 else None)):
        letter(ax, name, layers(depth) if depth else "")
        scale.dress(ax, band=above)
        part = table[table.n_layers == depth]
        names = [a for a in style if a in set(part.architecture)]
        for x, architecture in enumerate(names):
            own = part[part.architecture == architecture]
            _box(ax, x, own.loss.dropna().to_numpy(), style[architecture], scale)
        theirs = (
            overlay_columns(ax, "fig5", "parens_counting", depth, names, scale.place, form)
            or theirs
        )
        counts = [
            f"{part.loss[part.architecture == a].isna().sum()} of {(part.architecture == a).sum()}"
            for a in names
        ]
        ax.set_xticks(
            range(len(names)), [f"{label_of(a)}\n{count}" for a, count in zip(names, counts)]
        )
        ax.set_xlim(-0.6, max(len(names), 1) - 0.4)
        ax.set_xlabel("below each box: trials that diverged")
        if not depth:
            write_note(ax, "only one depth was trained\nat this scale")
        elif part.loss.isna().all():
            write_note(ax, "no feasible trial")
    axes[0].set_ylabel("loss, nats")
    axes[1].tick_params(labelleft=True)
    reference(axes[1], scale.chance, f"chance\n{scale.chance:.3g}")
    if above:
        write_at_right(axes[1], scale.top, f"above {scale.high:.3g}")
    if theirs:
        legend(figure, theirs, columns=1)
    sns.despine(figure)
    write_budget(figure, "fig5", frame)
    return figure


def _box(ax, x: int, losses, s, scale):
    """Box and whiskers over all trials, these as dots beside each other at repeatable random
    places.
    """
    if not len(losses):
        return
    spread = np.random.default_rng(0).uniform(-0.3, 0.3, len(losses))
    ax.plot(
        x + spread,
        scale.place(losses),
        "o",
        color=s.color,
        markersize=2.4,
        alpha=0.45,
        markeredgewidth=0,
        zorder=2,
    )
    line = {"color": "black", "linewidth": 1}
    ax.boxplot(
        [losses],
        positions=[x],
        widths=0.66,
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        zorder=3,
        boxprops={"facecolor": (*_rgb(s.color), 0.25), "edgecolor": "black", "linewidth": 1},
        medianprops={"color": s.color, "linewidth": 2.2},
        whiskerprops=line,
        capprops=line,
    )


def _rgb(color):
    from matplotlib.colors import to_rgb

    return to_rgb(color)
