"""Figure 3 of the paper: best losses on text and on random functions against parameters and against
units (section 3).
"""

import numpy as np
import seaborn as sns
from matplotlib.lines import Line2D

from rnnkit import paper
from rnnkit.exhibits.base import points
from rnnkit.figures.reference import authors_sizes, overlay
from rnnkit.figures.style import (
    GREY,
    architecture_keys,
    curves,
    letter,
    log_ticks,
    new_figure,
    parameters_axis,
    style_of,
    styled,
    write_note,
)
from rnnkit.figures.words import task_name, write_budget
from rnnkit.theory import RANDOM_FUNCTION, chance, memorised
from rnnkit.wording import layers

# what is drawn and written of a best network, beside what it is known by
FOUND = ["num_params", "loss", "loss_high", "trials", "infeasible", "steps", "hyper_iter"]
LETTERS = {"text8": "abc", "rcf": "efg"}
DASHED, DOTTED = (0, (6, 2)), (0, (1, 1.5))


@styled
def fig3(frame):
    """Figure 3: (a-c) bits per character on text8 at depths 1, 2 and 4, (d) against units at depth
    1, (e-g) error on random functions.

    ValueError without trials.
    """
    best = points("fig3", frame)["fig3"]
    figure = new_figure(13.5, 6.2)
    axes, theirs = figure.subplots(2, 4), []
    for row, task in zip(axes, LETTERS):
        part = best[best.task_type == task]
        form = part.form.iloc[0] if len(part) else ""
        sizes = sorted(
            {*(part if len(part) else best).max_params.unique(), *authors_sizes("fig3", task, form)}
        )
        for ax, depth, name in zip(row, paper.DEPTHS, LETTERS[task]):
            letter(ax, name, f"{task_name(task, form)}, {layers(depth)}")
            parameters_axis(ax, sizes, "parameters, P")
            _losses(ax, part[part.n_layers == depth], "num_params", _why(part, task, depth))
            _landmarks(ax, task, form, depth)
            ax.set_ylim(_range(part, task))
            ax.tick_params(labelleft=depth == paper.DEPTHS[0])
        theirs = overlay(dict(zip(paper.DEPTHS, row)), "fig3", task, form=form) or theirs
        row[0].set_ylabel("bits per character" if task == "text8" else "weighted squared error")
    _against_units(axes[0][3], best[best.task_type == "text8"])
    axes[0][3].set_ylim(axes[0][0].get_ylim())
    sns.despine(figure)
    axes[1][3].set_axis_off()  # the paper has seven panels
    handles = architecture_keys(best.architecture)
    handles += [
        Line2D(
            [],
            [],
            color=GREY,
            linewidth=1,
            linestyle=DASHED,
            label=f"chance: {chance('rcf'):g} (text: {chance('text8'):.2f} bits)",
        ),
        Line2D(
            [],
            [],
            color=GREY,
            linewidth=1,
            linestyle=DOTTED,
            label="e-g: if each parameter held a sample",
        ),
    ]
    if (best.task_type == "text8").any() and _anchored(
        best.form[best.task_type == "text8"].iloc[0]
    ):
        handles.append(
            Line2D(
                [], [], color=GREY, marker="x", linestyle="none", label="published (see caption)"
            )
        )
    axes[1][3].legend(handles=handles + theirs, loc="center", handlelength=3, labelspacing=0.8)
    write_budget(figure, "fig3", frame)
    return figure


def _losses(ax, part, x, why: str):
    shown = part.dropna(subset="loss")
    if len(shown):
        curves(ax, shown, "loss", x=x, depths=False)
    else:
        write_note(ax, why, 0.5, 0.45)


def _why(part, task, depth) -> str:
    if part.empty:
        return "not trained\nat this scale"
    return (
        "no feasible trial"
        if (part.n_layers == depth).any()
        else f"depth {depth}: not trained\nat this scale"
    )


def _range(part, task) -> tuple[float, float]:
    """Ends of the axis of losses, which all panels of a task share: from 0 to chance for random
    functions, for text what was found.
    """
    found = part.loss.dropna()
    if task == "rcf" or found.empty:
        return 0, 1.08 * max([chance(task), *found])
    air = 0.08 * max(found.max() - found.min(), 0.02 * found.max())
    return found.min() - air, found.max() + air


def _landmarks(ax, task, form, depth):
    """What chance costs, what one memorised sample a parameter would leave, and for text8 itself
    what others found.
    """
    ax.axhline(chance(task), color=GREY, linewidth=1, linestyle=DASHED, zorder=1)
    if task == "rcf" and form in RANDOM_FUNCTION:
        xs = np.geomspace(*ax.get_xlim(), 50)
        ax.plot(
            xs,
            memorised(xs, **RANDOM_FUNCTION[form]),
            color=GREY,
            linewidth=1,
            linestyle=DOTTED,
            zorder=1,
            label="_memorised",
        )
    elif _anchored(form):
        for architecture, values in paper.TEXT8_ANCHORS.get(depth, {}).items():
            ax.plot(
                *zip(*values),
                "x",
                color=style_of([architecture])[architecture].color,
                markersize=5,
                zorder=2,
                label="_anchor",
            )


def _anchored(form) -> bool:
    return bool(form) and "sample" not in form


def _against_units(ax, part):
    """Panel d: the same losses against units a layer."""
    form = part.form.iloc[0] if len(part) else ""
    letter(ax, "d", f"{task_name('text8', form)}, 1 layer")
    one = part[(part.n_layers == 1) & (part.n_units > 0)]
    units = sorted((one if len(one) else part).n_units.unique()) or [1]
    parameters_axis(ax, [max(1, unit) for unit in units], "units, N")
    ax.set_xlim(max(1, min(units)) / 1.3, max(1, *units) * 1.3)
    log_ticks(ax.xaxis)
    _losses(ax, one, "n_units", _why(part, "text8", 1))
    ax.set_ylim(_range(part, "text8"))
    ax.tick_params(labelleft=False)
