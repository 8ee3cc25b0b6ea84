"""The words under and beside a figure, made of its data: what it shows, and how far below the
paper's budget it was taken.
"""

import textwrap

import pandas as pd

from rnnkit import analysis, paper
from rnnkit.figures.points import points
from rnnkit.figures.style import GREY
from rnnkit.wording import label_of


def scale_and_seed(spent) -> str:
    seeds = f"seed{'s' * (len(spent.seeds) > 1)} {', '.join(map(str, spent.seeds))}"
    return f"scale {' and '.join(map(str, spent.scales)) or 'unnamed'}, {seeds}"


def write_budget(figure, name: str, frame: pd.DataFrame):
    """Puts title and budget in grey on top, so that a figure that travels alone keeps them, and
    gives the figure its `alt`.
    """
    rows = analysis.rows_of(name, frame)
    spent = analysis.budget(rows)
    text = (
        f"{paper.FIGURES[name].title} ({scale_and_seed(spent)}): {spent};"
        f" {analysis.short_origin(rows)}"
    )
    text = textwrap.fill(
        text, int(16.5 * figure.get_figwidth())
    )  # characters of 8 points that an inch holds, about
    figure.suptitle(text, x=0.01, ha="left", fontsize=8, color=GREY)
    figure.alt = alt(name, frame)


def task_name(task_type: str, form: str = "") -> str:
    """A task as titles and captions call it; a text that stands in for text8 says so."""
    if task_type == "text8" and "sample" in form:
        return "Shakespeare sample, not text8"
    return paper.TASKS.get(task_type, task_type)


def caption(name: str, frame: pd.DataFrame) -> str:
    """Caption of figure `name`: what it shows, then sizes, trials, steps, scale and seed of these
    trials beside the paper's.
    """
    rows, about = analysis.rows_of(name, frame), paper.FIGURES[name]
    spent = analysis.budget(rows)
    bad = f"{spent.infeasible:,} of {spent.trials:,} trials diverged"
    theirs = f" The paper: {about.budget}." if about.budget else ""
    gist = f"{about.gist} {NOTES[name](spent) if name in NOTES else ''}".strip()
    ours = f"Ours ({scale_and_seed(spent)}): {spent}; {'; '.join(_where(spent))}; {bad}."
    return f"{about.title}. {gist} {ours} {search(rows)} {analysis.origin(rows)}{theirs}"


SEARCHES = {  # tuner -> how it chose the hyper-parameters
    "gp-usual": "by a Gaussian process that starts from usual values (the paper's starts cold)",
    "gp": (
        "by a Gaussian process that starts cold, from the ranges of Appendix A alone, as in the"
        " paper"
    ),
    "random": "by lot, from the ranges of Appendix A",
    "rerun": "once, and trained again and again",
    "long": "near those of the best trials, for longer trainings",
}


def search(rows: pd.DataFrame) -> str:
    """How the hyper-parameters of some trials were chosen, in a sentence."""
    ways = [
        SEARCHES.get(tuner, f"by the tuner {tuner}")
        for tuner in sorted(set(rows.tuner), key=[*SEARCHES, *rows.tuner].index)
    ]
    return f"Hyper-parameters were chosen {', or '.join(ways)}."


def _where(spent) -> list[str]:
    """Tasks and their form, sizes, depths and time steps behind a figure; a range where there are
    more than eight sizes.
    """
    tasks = [
        f"{task_name(*task)} ({task[1].split(' ')[0]} form)" for task in spent.tasks if task[1]
    ]
    sizes = [f"{size:,}" for size in spent.sizes]
    words = [" and ".join(tasks)] if tasks else []
    words.append(f"{', '.join(sizes) if len(sizes) <= 8 else f'{sizes[0]}-{sizes[-1]}'} parameters")
    if spent.units and spent.depths != (0,):
        units = [f"{number:,}" for number in spent.units]
        words.append(
            f"{', '.join(units) if len(units) <= 8 else f'{units[0]}-{units[-1]}'} units per layer"
        )
    if spent.depths != (0,):  # the linear model has neither layers nor time
        words.append(f"depth{'s' * (len(spent.depths) > 1)} {', '.join(map(str, spent.depths))}")
        words.append(
            f"{', '.join(map(str, spent.unrolls))} time step{'s' * (spent.unrolls != (1,))}"
        )
    return words


NOTES = {  # what a caption says after the figure's gist, of the budget behind it
    "fig1": lambda spent: (
        "Bold: the 95 % interval, over three sizes and depths or more, excludes 1."
    ),
    "fig3": lambda spent: (
        ""
        if not any(task == "text8" and "sample" not in form for task, form in spent.tasks)
        else (
            "Crosses: 1 layer as recalled from Foerster et al. (2017), unchecked; 4 layers the"
            " authors' best LSTM."
        )
    ),
}


def alt(name: str, frame: pd.DataFrame) -> str:
    """A sentence for those who cannot see figure `name`: what is on its axes, and its numbers in
    short.
    """
    return (
        f"{paper.FIGURES[name].title}: {ALT[name]}"
        f" {NUMBERS.get(name, most_bits)(points(name, frame))}"
    )


def each(title: str, best: pd.Series, form: str = ".2f") -> str:
    """Title and then the number of each architecture, in the paper's order, as a sentence."""
    numbers = ", ".join(
        f"{label_of(a)} {best[a]:{form}}"
        for a in analysis.in_order(best.index)
        if best[a] == best[a]
    )
    return f"{title}: {numbers or 'none, since no trial was feasible'}."


def most_bits(tables: dict[str, pd.DataFrame]) -> str:
    table = next(iter(tables.values()))
    column = "best" if "best" in table else "bits_per_param"
    return each("Most bits per parameter", table.groupby("architecture", sort=False)[column].max())


NUMBERS = {  # figure -> what its `alt` says of its tables; all others: the most bits per parameter
    "quantised": lambda tables: each(
        "Bits a weight that leave 99 %, mean", _least(tables["quantised_needed"], "needed"), ".1f"
    ),
    "later_numbers": lambda tables: each(
        "Hard count, mean",
        tables["later_numbers"]
        .query("counted == 'hard' and architecture != ''")
        .set_index("architecture")
        .bits,
    ),
    "tuner": lambda tables: " ".join(
        each(
            f"Most bits per parameter, median of seeds, {title}",
            part.groupby("architecture")["median"].max(),
        )
        for title, part in zip(
            ("Gaussian process", "random search"),
            (tables["tuner"].query(f"tuner == '{t}'") for t in ("gp", "random")),
        )
    ),
    "importance": lambda tables: each(
        "Share explained", tables["importance"].groupby("architecture").explained.first()
    ),
    "lost": (
        lambda tables: (
            "Largest share of a quarter: "
            + ", ".join(
                f"{end} {100 * part.share.max():.0f} %"
                for end, part in tables["lost"].groupby("end", sort=False)
            )
            + "."
        )
    ),
    "fig2c": lambda tables: each(
        "Largest mean excess over the bound", _mean_excess(tables["fig2c"]), ".3g"
    ),
    "g01": lambda tables: each(
        "Most seconds a step", tables["g01"].groupby("architecture").seconds.max(), ".2g"
    ),
    "fig3": lambda tables: " ".join(
        each(
            f"Least loss on {task_name(task, form)}", part.groupby("architecture").loss.min(), ".3g"
        )
        for (task, form), part in tables["fig3"].groupby(["task_type", "form"], sort=False)
    ),
    "fig4": lambda tables: " ".join(
        each(
            f"Least loss on {task_name(task)}",
            part.groupby("architecture", sort=False).minimum.min(),
            ".3g",
        )
        for task, part in tables["fig4_networks"].groupby("task_type", sort=False)
    ),
    "fig5": lambda tables: each(
        "Median loss at 1 layer", _at(tables["fig5_networks"], "loss_median"), ".3g"
    ),
    "table1": lambda tables: each(
        "Per cent infeasible at 1 layer", _at(tables["table1"], "percent"), ".1f"
    ),
    "tableapp1": lambda tables: each(
        "Mean over original",
        tables["tableapp1"].set_index("architecture").mean_over_original,
        ".3g",
    ),
    "tableapp2": lambda tables: (
        f"{tables['tableapp2'].same_sign.sum()} of the"
        f" {tables['tableapp2'].same_sign.notna().sum()} tests that the paper has too have its"
        " sign."
    ),
}


def _mean_excess(table: pd.DataFrame) -> pd.Series:
    """Excess over the bound, mean over units, at the depth where it is largest; by architecture."""
    return table.groupby(["architecture", "n_layers"]).excess.mean().groupby("architecture").max()


def _least(table: pd.DataFrame, column: str) -> pd.Series:
    """Mean by architecture of the least of a column for each study."""
    return table.groupby(["architecture", "study"])[column].min().groupby("architecture").mean()


def _at(table: pd.DataFrame, column: str) -> pd.Series:
    """A column at the least depth, by architecture."""
    return table[table.n_layers == table.n_layers.min()].set_index("architecture")[column]


ALT = {
    "fig1": (
        "eight panels of stored bits and of bits per parameter against parameters, and a table of"
        " multipliers."
    ),
    "fig2a": "bits per parameter against parameters, with all nonlinearities and with ReLU alone.",
    "fig2b": "bits per parameter against time steps unrolled.",
    "figapp1": "best dataset size against stored bits, beside the line y = x.",
    "calibration": (
        "bits per parameter of a linear model against labels per parameter, beside the line at 2"
        " bits."
    ),
    "inputs": "bits per parameter against the number of inputs, a line for each size.",
    "best_so_far": "bits per parameter of the best trial so far against trials.",
    "tuner": (
        "bits per parameter of the best trial so far and of typical trials against trials, with the"
        " Gaussian process and at random."
    ),
    "importance": (
        "a table of hyper-parameters by architecture, coloured by how much each of them matters."
    ),
    "lost": (
        "share of trials that diverged, and that ended above chance, against learning rate,"
        " gradient clip and recurrent scale."
    ),
    "fig2c": (
        "squared error against units a layer, beside the bound and the number of inputs, and the"
        " excess over the bound."
    ),
    "g01": (
        "seconds and multiplications of a step against parameters and against units, beside slopes"
        " 1 and 2."
    ),
    "fig3": (
        "bits per character and squared error against parameters at three depths, and bits per"
        " character against units."
    ),
    "fig4": (
        "sixteen panels of the median and of the least loss so far against trials, for two tasks"
        " and four depths, beside chance."
    ),
    "fig5": "a box of losses for each architecture, at 1 layer and at the deepest, beside chance.",
    "table1": "a row for each architecture, ours and the paper's.",
    "tableapp1": "a row of ours and a row of the paper's for each architecture.",
    "tableapp2": "a row for each pair of architectures, ours and the paper's.",
    "quantised": (
        "share of the stored bits that is left against bits a weight, two ways of rounding, and"
        " bits needed against bits stored."
    ),
    "later_numbers": "bits per parameter, a row for each source, beside ours.",
    "more_cells": "bits per parameter, a row for each architecture, a marker for each size.",
}
