"""Figure 3 of the paper: best losses on text and on random functions against parameters and against
units (section 3).
"""

import numpy as np
import pandas as pd
import seaborn as sns

from rnnkit import paper
from rnnkit.exhibits.base import points
from rnnkit.figures.reference import authors_sizes, overlay
from rnnkit.figures.style import (
    DASHED,
    DOTTED,
    GREY,
    architecture_keys,
    curves,
    half_search_key,
    legend_panel,
    letter,
    line_key,
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


@styled
def fig3(frame):
    """Figure 3: (a-c) bits per character on text8 at depths 1, 2 and 4, (d) against units at depth
    1, (e-g) error on random functions.

    ValueError without trials.
    """
    best = points("fig3", frame)["fig3"]
    figure = new_figure(9.6)
    axes = figure.subplots(4, 2)
    text, against_units = [*axes[0], axes[1, 0]], axes[1, 1]
    functions = [*axes[2], axes[3, 0]]
    authors_key = []
    for panels, task in ((text, "text8"), (functions, "rcf")):
        authors_key = _against_parameters(panels, best, task) or authors_key
    _against_units(against_units, best[best.task_type == "text8"])
    against_units.set_ylim(text[0].get_ylim())
    sns.despine(figure)
    legend_panel(axes[3, 1], _keys(best) + authors_key)  # the paper has seven panels
    write_budget(figure, "fig3", frame)
    return figure


def _against_parameters(panels, best, task: str) -> list:
    """The panels of a task, one for each depth, with one axis of losses; gives the legend's entry
    of the authors' trials.
    """
    part = best[best.task_type == task]
    form = part.form.iloc[0] if len(part) else ""
    sizes = sorted(
        {*(part if len(part) else best).max_params.unique(), *authors_sizes("fig3", task, form)}
    )
    for ax, depth, name in zip(panels, paper.DEPTHS, LETTERS[task]):
        letter(ax, name, f"{task_name(task, form)}, {layers(depth)}")
        parameters_axis(ax, sizes, "parameters, P", part.num_params.min())
        _losses(ax, part[part.n_layers == depth], "num_params", _reason(part, task, depth))
        _landmarks(ax, task, form, depth)
        ax.set_ylim(_range(part, task))
        ax.set_ylabel("bits per character" if task == "text8" else "weighted squared error")
    return overlay(dict(zip(paper.DEPTHS, panels)), "fig3", task, form=form)


def _keys(best) -> list:
    """Entries of the legend: architectures, what half of a search would have found, landmarks."""
    text = f"chance: {chance('rcf'):g} (text: {chance('text8'):.2f} bits)"
    keys = [
        *architecture_keys(best.architecture),
        half_search_key(),
        line_key(text),
        line_key("e-g: if each parameter held a sample", DOTTED),
    ]
    forms = best.form[best.task_type == "text8"]
    if len(forms) and _anchored(forms.iloc[0]):
        keys.append(line_key("published (see caption)", "none", marker="x"))
    return keys


def _losses(ax, part, x, reason: str):
    feasible = part.dropna(subset="loss")
    if len(feasible):
        curves(ax, feasible, "loss", x=x, depths=False)
    else:
        write_note(ax, reason, 0.5, 0.45)


def _reason(part, task, depth) -> str:
    if part.empty:
        return "not trained\nat this scale"
    return (
        "no feasible trial"
        if (part.n_layers == depth).any()
        else f"depth {depth}: not trained\nat this scale"
    )


def _range(part, task) -> tuple[float, float]:
    """Ends of the axis of losses, which all panels of a task share: from 0 to chance for random
    functions; for text those of what was found and what half of the searches would have found.
    """
    losses = pd.concat([part.loss, part.loss_high]).dropna()
    if task == "rcf" or losses.empty:
        return 0, 1.08 * max([chance(task), *losses])
    air = 0.08 * max(losses.max() - losses.min(), 0.02 * losses.max())
    return losses.min() - air, losses.max() + air


def _landmarks(ax, task, form, depth):
    """What chance costs, what one memorised sample per parameter would leave, and for text8 itself
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
    """Panel d: the same losses against units per layer."""
    form = part.form.iloc[0] if len(part) else ""
    letter(ax, "d", f"{task_name('text8', form)}, 1 layer")
    one = part[(part.n_layers == 1) & (part.n_units > 0)]
    units = sorted((one if len(one) else part).n_units.unique()) or [1]
    parameters_axis(ax, [max(1, unit) for unit in units], "units, N")
    ax.set_xlim(max(1, min(units)) / 1.3, max(1, *units) * 1.3)
    log_ticks(ax.xaxis)
    _losses(ax, one, "n_units", _reason(part, "text8", 1))
    ax.set_ylim(_range(part, "text8"))
    ax.set_ylabel("bits per character")
