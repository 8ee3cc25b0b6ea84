"""Figures 4 and 5 of the paper: how soon and how often the hard tasks are solved (section 4)."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import to_rgba
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from rnnkit import analysis, paper
from rnnkit.exhibits.base import points, rows_of
from rnnkit.figures.reference import overlay_columns, overlay_search
from rnnkit.figures.style import (
    DASHED,
    GREY,
    PALE,
    SMALL,
    architecture_keys,
    legend,
    letter,
    line_key,
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
        ax.axhline(self.chance, color=GREY, linewidth=1, linestyle=DASHED, zorder=1)


@styled
def fig4(frame: pd.DataFrame):
    """Figure 4: running median (a-d) and minimum (e-h) of the loss over trials on parentheses,
    (i-p) on arithmetic; a row for each depth. ValueError without trials.
    """
    table = points("fig4", frame)["fig4"]
    forms, style = _forms("fig4", frame), style_of(table.architecture)
    figure = new_figure(14.5)
    tasks = ("parens_counting", "arithmetic")
    halves = zip(figure.subfigures(len(tasks), 1), tasks, ("abcdefgh", "ijklmnop"))
    authors_key = []
    for half, task, letters in halves:
        part = table[table.task_type == task]
        half.suptitle(task_name(task), fontsize=10)
        axes = half.subplots(len(paper.HARD_DEPTHS), 2, sharex=True)
        for place, (row, depth) in enumerate(zip(axes, paper.HARD_DEPTHS)):
            names = letters[place], letters[place + len(paper.HARD_DEPTHS)]
            authors_key = _depth_row(row, names, part, task, depth, style, forms) or authors_key
        axes[-1, 0].set_xlim(0, max(10, part.trial.max() * 1.02 if len(part) else 10))
        axes[-1, 0].xaxis.set_major_locator(MaxNLocator(6, integer=True))
        for ax in axes[-1]:
            ax.set_xlabel("trials")
    sns.despine(figure)
    legend(figure, [*architecture_keys(table.architecture), *_search_keys(), *authors_key])
    write_budget(figure, "fig4", frame)
    return figure


def _depth_row(axes, names, part: pd.DataFrame, task: str, depth: int, style, forms) -> list:
    """The median and the minimum of a task at one depth, on one axis of losses; gives the legend's
    entry of the authors' trials.
    """
    own, authors_key = part[part.n_layers == depth], []
    axes[0].set_ylabel("nats per symbol" if task == "arithmetic" else "nats")
    trained = own if len(own) else part
    scale = Scale(trained.loss, trained.chance.iloc[0]) if len(trained) else None
    for ax, name, statistic in zip(axes, names, ("median", "minimum")):
        letter(ax, name, f"{statistic} loss so far, {layers(depth)}")
        if scale is None:
            ax.set_yticks([])
        else:
            _search(ax, own, statistic, style, scale)
            authors_key = overlay_search(
                ax, "fig4", task, depth, statistic, scale.place, forms[task]
            )
        if own.empty:
            write_note(ax, _untrained(part, task, depth))
    if scale is not None:
        off = (own.loss > scale.high).any()
        write_at_right(axes[-1], scale.chance, f"chance {scale.chance:.3g}")
        write_at_right(axes[-1], scale.top, f"> {scale.high:.2g}" if off else "diverged")
    return authors_key


def _untrained(part: pd.DataFrame, task: str, depth: int) -> str:
    """Why a panel of Figure 4 is empty."""
    if part.empty:
        return f"{task_name(task)}:\nnot trained"
    return f"depth {depth}: not trained\nat this scale"


def _search_keys() -> list:
    """Entries of Figure 4's legend that hold for all architectures."""
    return [
        line_key("chance"),
        Patch(color=GREY, alpha=0.2, label="95 % interval"),
        line_key("a trial", "none", marker="o", markersize=2.5),
        Patch(color=PALE, label="diverged, or off the axis"),
    ]


def _forms(name: str, frame: pd.DataFrame) -> dict[str, str]:
    """The form of each task in a figure."""
    return dict(analysis.budget(rows_of(name, frame)).tasks)


def _search(ax, part: pd.DataFrame, statistic: str, style, scale):
    """One panel: a curve with its band for each study, and for medians each trial as a dot."""
    scale.dress(ax)
    running = statistic == "median"
    for (architecture, _), study in part.groupby(["architecture", "study"], sort=False):
        s = style[architecture]
        every = max(1, len(study) // 4)
        if running:
            dots = {"markersize": 2.6, "alpha": 0.5, "markeredgewidth": 0}
            ax.plot(study.trial, scale.place(study.loss), "o", color=s.color, zorder=1, **dots)
        low, high = (study.get(f"{statistic}_{end}", study[statistic]) for end in ("low", "high"))
        ax.fill_between(
            study.trial,
            scale.place(low),
            scale.place(high),
            where=(low.notna() & high.notna()).to_numpy(),
            color=s.color,
            alpha=0.08,
            linewidth=0,
            step=None if running else "post",
            zorder=1,
        )
        ax.plot(
            study.trial,
            scale.place(study[statistic]),
            color=s.color,
            linestyle=s.line,
            marker=s.marker,
            markersize=4,
            linewidth=1.3,
            markevery=(every - 1, every),
            drawstyle="default" if running else "steps-post",
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
    form = _forms("fig5", frame)["parens_counting"]
    scale = Scale(table.loss, table.chance.iloc[0])
    above = bool((table.loss > scale.high).any())
    figure = new_figure(4.8)
    axes, authors_key = figure.subplots(1, 2, sharey=True), []
    for ax, name, depth in zip(axes, "ab", (depths[0], depths[-1] if len(depths) > 1 else None)):
        letter(ax, name, layers(depth) if depth else "")
        scale.dress(ax, band=above)
        names = _boxes(ax, table[table.n_layers == depth], style_of(table.architecture), scale)
        authors_key = (
            overlay_columns(ax, "fig5", "parens_counting", depth, names, scale.place, form)
            or authors_key
        )
        if not depth:
            write_note(ax, "only one depth was trained\nat this scale")
    axes[0].set_ylabel("loss, nats")
    axes[1].tick_params(labelleft=True)
    reference(axes[1], scale.chance, f"chance\n{scale.chance:.3g}")
    if above:
        write_at_right(axes[1], scale.top, f"above {scale.high:.3g}")
    if authors_key:
        legend(figure, authors_key)
    sns.despine(figure)
    write_budget(figure, "fig5", frame)
    return figure


def _boxes(ax, part: pd.DataFrame, style, scale) -> list[str]:
    """A box for each architecture, and below it how many of its trials diverged; gives their names
    from left to right.
    """
    names = [a for a in style if a in set(part.architecture)]
    sizes = part.architecture.value_counts()
    alike = sizes.nunique() == 1
    labels = []
    for x, architecture in enumerate(names):
        losses = part.loss[part.architecture == architecture]
        _box(ax, x, losses.dropna().to_numpy(), style[architecture], scale)
        of_all = "" if alike else f" of {len(losses)}"
        labels.append(f"{label_of(architecture)}\n{losses.isna().sum()}{of_all}")
    ax.set_xticks(range(len(names)), labels, fontsize=SMALL)
    ax.set_xlim(-0.6, max(len(names), 1) - 0.4)
    trials = f"trials of {sizes.iloc[0]:,}" if alike else "trials"
    ax.set_xlabel(f"below each box: {trials} that diverged")
    if len(part) and part.loss.isna().all():
        write_note(ax, "no feasible trial")
    return names


def _box(ax, x: int, losses, s, scale):
    """Box and whiskers over all trials, and these as dots at repeatable random places."""
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
        boxprops={"facecolor": to_rgba(s.color, 0.25), "edgecolor": "black", "linewidth": 1},
        medianprops={"color": s.color, "linewidth": 2.2},
        whiskerprops=line,
        capprops=line,
    )
