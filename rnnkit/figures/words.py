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


def caption(name: str, frame: pd.DataFrame) -> str:
    """Caption of figure `name`: what it shows, then sizes, trials, steps, scale and seed of these trials beside the paper's."""
    spent, about = analysis.budget(analysis.rows_of(name, frame)), paper.FIGURES[name]
    sizes = ", ".join(f"{size:,}" for size in spent.sizes)
    where = f"{sizes} parameters"
    if name != "calibration":
        where += f"; depth{'s' * (len(spent.depths) > 1)} {', '.join(map(str, spent.depths))}"
        where += f"; {', '.join(map(str, spent.unrolls))} time step{'s' * (spent.unrolls != (1,))}"
    bad = f"{spent.infeasible:,} of {spent.trials:,} trials diverged"
    theirs = (
        ""
        if name == "calibration"
        else f" The paper: {paper.TRIALS} trials a point, {paper.STEPS[0]:,}-{paper.STEPS[1]:,} training steps each."
    )
    bold = " Bold: the 95 % interval, over three sizes and depths or more, excludes 1." if name == "fig1" else ""
    return f"{about.title}. {about.gist}{bold} Ours ({scale_and_seed(spent)}): {spent}; {where}; {bad}.{theirs}"


def alt(name: str, frame: pd.DataFrame) -> str:
    """A sentence for those who cannot see figure `name`: what is on its axes, and its numbers in short."""
    table = next(iter(points(name, frame).values()))
    column = "best" if name == "best_so_far" else "bits_per_param"
    best = table.groupby("architecture", sort=False)[column].max()
    numbers = ", ".join(f"{label_of(a)} {best[a]:.2f}" for a in analysis.in_order(best.index) if best[a] == best[a])
    return f"{paper.FIGURES[name].title}: {ALT[name]} Most bits per parameter: {numbers or 'none, since no trial was feasible'}."


ALT = {
    "fig1": "eight panels of stored bits and of bits per parameter against parameters, and a table of multipliers.",
    "fig2a": "bits per parameter against parameters, with all nonlinearities and with ReLU alone.",
    "fig2b": "bits per parameter against time steps unrolled.",
    "figapp1": "best dataset size against stored bits, beside the line y = x.",
    "calibration": "bits per parameter of a linear model against labels per parameter, beside the line at 2 bits.",
    "best_so_far": "bits per parameter of the best trial so far against trials.",
}
