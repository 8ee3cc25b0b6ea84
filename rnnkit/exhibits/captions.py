"""The words around a figure, written from its data: what it shows, and the budget behind it, beside
the paper's.
"""

import textwrap
from collections.abc import Callable
from typing import Any

import pandas as pd

from rnnkit import paper
from rnnkit.exhibits.base import exhibit, points, trials_of_exhibit
from rnnkit.exhibits.best_trials import in_order
from rnnkit.exhibits.budget import Budget, budget, short_origin
from rnnkit.exhibits.style import Drawing, house_style, new_figure, write_title
from rnnkit.wording import and_list, label_of, layers


def scale_and_seed(spent: Budget) -> str:
    seeds = f"seed{'s' * (len(spent.seeds) > 1)} {', '.join(map(str, spent.seeds))}"
    return f"scale {' and '.join(map(str, spent.scales)) or 'unnamed'}, {seeds}"


def write_budget(figure: Drawing, name: str, frame: pd.DataFrame) -> None:
    """Writes title and budget on top of a figure, and gives it its `alt` text."""
    trials = trials_of_exhibit(name, frame)
    spent = budget(trials)
    text = f"{exhibit(name).title} ({scale_and_seed(spent)}): {spent}; {short_origin(trials)}"
    # an inch holds about 16.5 characters of 8 points
    write_title(figure, textwrap.fill(text, int(16.5 * figure.get_figwidth())))
    figure.alt = alternative_text(name, frame)


def draws(
    name: str, height: float | Callable[..., float]
) -> Callable[[Callable[..., None]], Callable[..., Drawing]]:
    """Turns a function that fills an empty figure, `height` inches high, into one that draws exhibit
    `name` from a frame of trials. The function gets the figure and the tables of the exhibit, as its
    CSV files have them, of which `height` may be a function; what it draws has our settings, and title
    and budget on top.
    """

    def register(fill: Callable[..., None]) -> Callable[..., Drawing]:
        @house_style
        def draw(frame: pd.DataFrame) -> Drawing:
            tables = points(name, frame).values()
            figure = new_figure(height(*tables) if callable(height) else height)
            fill(figure, *tables)
            write_budget(figure, name, frame)
            return figure

        draw.__doc__ = fill.__doc__
        draw.__module__ = fill.__module__
        return draw

    return register


def task_name(task_type: str, form: str = "") -> str:
    """The name of a task in titles and captions, which says if another text stands in for text8."""
    if task_type == "text8" and "sample" in form:
        return "Shakespeare sample, not text8"
    return paper.TASKS.get(task_type, task_type)


def caption(name: str, frame: pd.DataFrame) -> str:
    """The caption of figure `name`: what it shows, and then the sizes, trials, steps, scale and seed
    of these trials, followed by the paper's.
    """
    trials = trials_of_exhibit(name, frame)
    about = exhibit(name)
    spent = budget(trials)
    bad = f"{spent.infeasible:,} of {spent.trials:,} trials diverged"
    theirs = f" The paper: {about.budget}." if about.budget else ""
    gist = f"{about.gist} {about.note(spent) if about.note else ''}".strip()
    ours = f"Ours ({scale_and_seed(spent)}): {spent}; {'; '.join(_extent(spent))}; {bad}."
    return f"{about.title}. {gist} {ours} {search_sentence(trials)}{theirs}"


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


def search_sentence(trials: pd.DataFrame) -> str:
    """How the hyper-parameters of some trials were chosen, in a sentence."""
    ways = [
        SEARCHES.get(tuner, f"by the tuner {tuner}")
        for tuner in sorted(set(trials.tuner), key=[*SEARCHES, *trials.tuner].index)
    ]
    return f"Hyper-parameters were chosen {', or '.join(ways)}."


def _extent(spent: Budget) -> list[str]:
    """The tasks and their form, the sizes, depths and time steps behind a figure. More than eight
    sizes are given as a range.
    """
    tasks = [
        f"{task_name(*task)} ({task[1].split(' ')[0]} form)" for task in spent.tasks if task[1]
    ]
    phrases = [" and ".join(tasks)] if tasks else []
    phrases.append(f"{_all_or_range(spent.sizes)} parameters")
    if spent.units and spent.depths != (0,):
        phrases.append(f"{_all_or_range(spent.units)} units per layer")
    if spent.depths != (0,):  # the linear model has neither layers nor time
        phrases.append(f"depth{'s' * (len(spent.depths) > 1)} {', '.join(map(str, spent.depths))}")
        phrases.append(
            f"{', '.join(map(str, spent.unrolls))} time step{'s' * (spent.unrolls != (1,))}"
        )
    return phrases


def _all_or_range(numbers: tuple[int, ...]) -> str:
    texts = [f"{number:,}" for number in numbers]
    return ", ".join(texts) if len(texts) <= 8 else f"{texts[0]}-{texts[-1]}"


def alternative_text(name: str, frame: pd.DataFrame) -> str:
    """A sentence for those who cannot see figure `name`: what is on its axes, and its main numbers."""
    about = exhibit(name)
    numbers = (about.numbers or most_bits)(points(name, frame))
    return f"{about.title}: {about.alt} {numbers}"


def by_architecture(title: str, best: pd.Series, form: str = ".2f") -> str:
    """A sentence of a title and the number of each architecture, in the paper's order."""
    numbers = ", ".join(named_numbers(in_paper_order(best).dropna(), form))
    return f"{title}: {numbers or 'none, since no trial was feasible'}."


def most_bits(tables: dict[str, pd.DataFrame]) -> str:
    table = next(iter(tables.values()))
    column = "best" if "best" in table else "bits_per_param"
    return by_architecture(
        "Most bits per parameter", table.groupby("architecture", sort=False)[column].max()
    )


def named_numbers(values: pd.Series, form: str = ".2f") -> list[str]:
    """The number of each architecture behind its name: ["RNN 3.52", "GRU 2.90"]."""
    return [f"{label_of(architecture)} {value:{form}}" for architecture, value in values.items()]


def numbers_of(values: pd.Series, form: str = ".2f") -> str:
    """The numbers of some architectures, in the given order: RNN 3.52, GRU 2.90 and LSTM 2.81."""
    return and_list(named_numbers(values.dropna(), form))


def in_paper_order(values: pd.Series) -> pd.Series:
    return values.reindex(in_order(values.index))


def network_name(row: Any) -> str:
    """A network in words: the RNN with 1 layer and 940 parameters."""
    return (
        f"the {label_of(row.architecture)} with {layers(row.n_layers)} and {int(row.num_params):,}"
        " parameters"
    )
