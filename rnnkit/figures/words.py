"""The words under and beside a figure, made of its data: what it shows, and how far below the paper's budget it was taken."""

import textwrap

import pandas as pd

from rnnkit import analysis, paper
from rnnkit.figures.points import points
from rnnkit.figures.style import GREY, label_of


def scale_and_seed(spent) -> str:
    seeds = f"seed{'s' * (len(spent.seeds) > 1)} {', '.join(map(str, spent.seeds))}"
    return f"scale {' and '.join(map(str, spent.scales)) or 'unnamed'}, {seeds}"


def sign(figure, name: str, frame: pd.DataFrame):
    """Puts title and budget in grey on top, so that a figure that travels alone keeps them, and gives the figure its `alt`."""
    spent = analysis.budget(analysis.rows_of(name, frame))
    text = f"{paper.FIGURES[name].title} ({scale_and_seed(spent)}): {spent}"
    text = textwrap.fill(text, int(16.5 * figure.get_figwidth()))  # characters of 8 points that an inch holds, about
    figure.suptitle(text, x=0.01, ha="left", fontsize=8, color=GREY)
    figure.alt = alt(name, frame)


def duration(seconds: float) -> str:
    """1.5 s, 12 min, 3.4 h."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:,.3g} {unit}"
    return f"{seconds:.3g} s"


def task_name(task_type: str, form: str = "") -> str:
    """A task as titles and captions call it; a text that stands in for text8 says so."""
    if task_type == "text8" and "sample" in form:
        return "Shakespeare sample, not text8"
    return paper.TASKS.get(task_type, task_type)


def caption(name: str, frame: pd.DataFrame) -> str:
    """Caption of figure `name`: what it shows, then sizes, trials, steps, scale and seed of these trials beside the paper's."""
    spent, about = analysis.budget(analysis.rows_of(name, frame)), paper.FIGURES[name]
    bad = f"{spent.infeasible:,} of {spent.trials:,} trials diverged"
    theirs = f" The paper: {about.budget}." if about.budget else ""
    note = f" {NOTES[name]}" if name in NOTES else ""
    return f"{about.title}. {about.gist}{note} Ours ({scale_and_seed(spent)}): {spent}; {'; '.join(_where(spent))}; {bad}.{theirs}"


def _where(spent) -> list[str]:
    """Tasks and their form, sizes, depths and time steps behind a figure; a range where there are more than eight sizes."""
    tasks = [f"{task_name(*task)} ({task[1].split(' ')[0]} form)" for task in spent.tasks if task[1]]
    sizes = [f"{size:,}" for size in spent.sizes]
    words = [" and ".join(tasks)] if tasks else []
    words.append(f"{', '.join(sizes) if len(sizes) <= 8 else f'{sizes[0]}-{sizes[-1]}'} parameters")
    if len(sizes) > 8 and spent.units:
        words.append(f"{', '.join(map(str, spent.units)) if len(spent.units) <= 8 else f'{spent.units[0]}-{spent.units[-1]}'} units a layer")
    if spent.depths != (0,):  # the linear model has neither layers nor time
        words.append(f"depth{'s' * (len(spent.depths) > 1)} {', '.join(map(str, spent.depths))}")
        words.append(f"{', '.join(map(str, spent.unrolls))} time step{'s' * (spent.unrolls != (1,))}")
    return words


NOTES = {  # what a caption says after the figure's gist
    "fig1": "Bold: the 95 % interval, over three sizes and depths or more, excludes 1.",
}


def alt(name: str, frame: pd.DataFrame) -> str:
    """A sentence for those who cannot see figure `name`: what is on its axes, and its numbers in short."""
    return f"{paper.FIGURES[name].title}: {ALT[name]} {NUMBERS.get(name, most_bits)(points(name, frame))}"


def each(title: str, best: pd.Series, form: str = ".2f") -> str:
    """Title and then the number of each architecture, in the paper's order, as a sentence."""
    numbers = ", ".join(f"{label_of(a)} {best[a]:{form}}" for a in analysis.in_order(best.index) if best[a] == best[a])
    return f"{title}: {numbers or 'none, since no trial was feasible'}."


def most_bits(tables: dict[str, pd.DataFrame]) -> str:
    table = next(iter(tables.values()))
    column = "best" if "best" in table else "bits_per_param"
    return each("Most bits per parameter", table.groupby("architecture", sort=False)[column].max())


NUMBERS = {}  # figure -> what its `alt` says of its tables; all others: the most bits per parameter

ALT = {
    "fig1": "eight panels of stored bits and of bits per parameter against parameters, and a table of multipliers.",
    "fig2a": "bits per parameter against parameters, with all nonlinearities and with ReLU alone.",
    "fig2b": "bits per parameter against time steps unrolled.",
    "figapp1": "best dataset size against stored bits, beside the line y = x.",
    "calibration": "bits per parameter of a linear model against labels per parameter, beside the line at 2 bits.",
    "best_so_far": "bits per parameter of the best trial so far against trials.",
}
