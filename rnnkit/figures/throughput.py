"""Figure 2c of the paper, and what a training step costs (section 2.2)."""

import numpy as np
import seaborn as sns

from rnnkit.analysis.finding import EXACT
from rnnkit.exhibits.base import points
from rnnkit.figures.style import (
    GREY,
    architecture_keys,
    curves,
    depth_keys,
    legend,
    letter,
    log_ticks,
    new_figure,
    reference,
    styled,
    write_at_right,
    write_note,
)
from rnnkit.figures.words import write_budget
from rnnkit.theory import memory_bound

LEAST = 1e-4  # where the axis of excesses ends; less is drawn there
DASHED = (0, (6, 2))


@styled
def fig2c(frame):
    """Figure 2c: error of memory throughput against units, all architectures and depths, beside the
    bound; ours: the excess over it.

    ValueError without trials.
    """
    best = points("fig2c", frame)["fig2c"]
    n_in, shown = int(best.n_in.max()), best.dropna(subset="loss")
    figure = new_figure(9.6, 4.5)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    units = np.linspace(0, 1.08 * max(best.n_units.max(), 1.2 * n_in), 500)
    least = memory_bound(units, n_in)
    left.plot(units, least, color=GREY, linewidth=1.2, linestyle=DASHED, zorder=1)
    left.text(
        0.04 * n_in,
        0.25,
        "no network can be here:\nbound 1 - N / n_in,\nnot a fit",
        color=GREY,
        fontsize=8.5,
    )
    left.annotate(
        f"n_in = {n_in}",
        (n_in, 1),
        (4, -2),
        ("data", "axes fraction"),
        "offset points",
        va="top",
        fontsize=8.5,
    )
    for ax in (left, right):
        ax.axvline(n_in, color="black", linewidth=1, zorder=1)
        ax.set(
            xlabel="units a layer, N",
            xlim=(0, units[-1]),
            xticks=_spaced(best.n_units.unique(), n_in, 0.055 * units[-1]),
        )
    letter(left, "c", "all depths")
    left.set(
        ylabel="squared error a dimension",
        ylim=(-0.02, 1.16 * max(1, shown.loss.max() if len(shown) else 1)),
    )
    letter(right, "", "ours: excess over the bound")
    right.set(
        yscale="log",
        ylim=(LEAST / 1.5, max(1, 1.5 * shown.excess.max() if len(shown) else 1)),
        ylabel="error - (1 - N / n_in)",
    )
    reference(right, EXACT, f"exact:\nup to {EXACT:g}")
    if len(shown):
        curves(left, shown, "loss", x="n_units")
        curves(right, shown.assign(excess=shown.excess.clip(lower=LEAST)), "excess", x="n_units")
    else:
        write_note(left, "no feasible trial", 0.3, 0.3)
        write_note(right, "no feasible trial", 0.3, 0.3)
    sns.despine(figure)
    legend(
        figure, architecture_keys(best.architecture) + depth_keys(best.n_layers.unique()), columns=9
    )
    write_budget(figure, "fig2c", frame)
    return figure


def _spaced(values, first, room) -> list:
    """Ticks at `first` and at all values that stand `room` or more from those kept before."""
    kept = [first]
    for value in sorted(values, key=lambda v: abs(v - first)):
        if all(abs(value - other) >= room for other in kept):
            kept.append(value)
    return sorted(kept)


@styled
def g01(frame):
    """Ours: seconds and multiplications of a step against parameters and against units, with slopes
    1 and 2. ValueError without trials.
    """
    costs = points("g01", frame)["g01"]
    figure = new_figure(9.6, 6.2)
    axes = figure.subplots(2, 2, sharex="col", sharey="row")
    labels = {
        "seconds": "seconds a training step",
        "multiplications": "multiplications\nan example and time step",
    }
    for row, (y, text) in zip(axes, labels.items()):
        row[0].set_ylabel(text)
        shown = costs.dropna(subset=y)
        for ax, (x, name, power) in zip(
            row, (("num_params", "parameters, P", 1), ("n_units", "units a layer, N", 2))
        ):
            ax.set(xscale="log", yscale="log")
            if ax in axes[1]:
                ax.set_xlabel(name)
            if shown.empty:
                write_note(
                    ax,
                    (
                        "no feasible trial"
                        if costs.empty
                        else "not counted: not a cell of the paper's"
                    ),
                )
                continue
            curves(ax, shown, y, x=x)
            xs = np.array([shown[x].min(), shown[x].max()])
            middle = np.exp(np.log(shown[x]).mean())
            ax.plot(
                xs,
                np.exp(np.log(shown[y]).mean()) * (xs / middle) ** power,
                color=GREY,
                linewidth=1,
                linestyle=DASHED,
                zorder=1,
            )
            write_at_right(
                ax, np.exp(np.log(shown[y]).mean()) * (xs[1] / middle) ** power, f"slope {power}"
            )
    for ax in axes[1]:
        log_ticks(ax.xaxis)
    sns.despine(figure)
    if len(costs):
        legend(
            figure,
            architecture_keys(costs.architecture) + depth_keys(costs.n_layers.unique()),
            columns=9,
        )
    write_budget(figure, "g01", frame)
    return figure
