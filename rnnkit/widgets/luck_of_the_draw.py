"""Luck of the draw: random hyper-parameters for two cells, and what became of each draw: it solved
the task, learned something, learned nothing, or diverged (section 4, Table 1).
"""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnkit.cells import PAPER, cell_of
from rnnkit.exhibits.statistics import wilson
from rnnkit.exhibits.style import DASHED, Style
from rnnkit.studies import Study
from rnnkit.training import train
from rnnkit.tuner import TUNERS
from rnnkit.widgets.controls import button, cell_options, choice, slider
from rnnkit.widgets.panel import COMPILING, Panel
from rnnkit.widgets.theme import Theme, spread_out
from rnnkit.wording import label_of, layers

SIZE = 2_000  # parameters
# range of training steps, by form of the task; a draw takes 0.05-0.3 s
STEPS = {"tiny": (200, 600), "small": (100, 400)}
FORMS = [("2 x 12 symbols", "tiny"), ("3 x 50 symbols", "small")]
# shares of the loss of chance: below them the task is solved, or something has been learned
SOLVED, LEARNED = 0.5, 0.9
HIGHEST = 2.2  # times the loss of chance: dots above are drawn there
MOST = 400  # draws per cell, after which it stops
STILL = 24  # draws per cell in a static picture
WAITING = "Press draw."


def widget(
    one: str = "gru", other: str = "irnn", depth: int = 1, form: str = "tiny", seed: int = 0
) -> Panel:
    """Parentheses counting in its small forms, with small networks and short training: enough to see
    which cell fails, but not which wins.
    """
    cells = cell_options(PAPER)
    controls = {
        "one": choice("cell", cells, one, "The first cell"),
        "other": choice("against", cells, other, "The second cell"),
        "depth": slider("layers", 1, 8, depth, 1, "Recurrent layers of both"),
        "form": choice("to read", FORMS, form, "How many streams there are, and how long they are"),
        "draw_more": button(
            "draw", _press, "Draws hyper-parameters at random and trains, until you stop it"
        ),
        "again": button("start again", _again, "Forgets all draws"),
    }
    return Panel(
        draw,
        controls,
        {"trials": (), "note": WAITING, "seed": seed},
        size=(10, 4.3),
        changed=lambda panel, _: _forget(panel),
        still=lambda values: {"trials": tuple(islice(draw_trials(values), 2 * STILL)), "note": ""},
    )


def study_of(architecture: str, depth: int, form: str, seed: int) -> Study:
    return Study(
        "parens_counting",
        architecture,
        max(depth, cell_of(architecture).min_layers),
        SIZE,
        seed=seed,
        form=form,
        train_steps=STEPS[form],
        tuner="random",
    )


def studies_of(values: dict[str, Any]) -> list[Study]:
    """The studies of the two cells that the controls name."""
    settings = [values[name] for name in ("depth", "form", "seed")]
    return [study_of(values[cell], *settings) for cell in ("one", "other")]


def draw_trials(values: dict[str, Any], start: int = 0) -> Iterator[tuple[int, float]]:
    """Trials of the two cells in turn, from number `start` on: (0 or 1 for the cell, loss or NaN if
    it diverged).
    """
    studies = studies_of(values)
    tuners = [TUNERS["random"](study.space, study.seed) for study in studies]
    for number in range(start, MOST):
        for which, (study, tuner) in enumerate(zip(studies, tuners)):
            (outcome,) = train(study, tuner.suggest(1, start=number), [number])
            yield which, outcome.eval_loss


def states(values: dict[str, Any], seconds: float = 0.2) -> Iterator[dict[str, Any]]:
    """Draws and trains, and yields the state to be drawn several times per second."""
    yield {"note": COMPILING}
    trials = values["trials"]
    since = time.monotonic()
    for trial in draw_trials(values, start=len(trials) // 2):
        trials = (*trials, trial)
        if trial[0] == 1 and time.monotonic() - since > seconds:
            yield {"trials": trials, "note": ""}
            since = time.monotonic()
    yield {"trials": trials, "note": f"It stops after {MOST} draws per cell."}


def draw(figure: Figure, theme: Theme, **values: Any) -> str:
    """A cloud of dots per cell with its median, and what became of its draws."""
    margins = {"left": 0.065, "right": 0.985, "bottom": 0.1, "top": 0.92, "wspace": 0.16}
    ax, bars = figure.subplots(1, 2, width_ratios=[1.6, 1], gridspec_kw=margins)
    studies = studies_of(values)
    chance = studies[0].task.chance()
    style = theme.style_of([study.architecture for study in studies])
    names = [f"{label_of(study.architecture)}, {layers(study.n_layers)}" for study in studies]
    sentences = []
    for k, (study, name) in enumerate(zip(studies, names)):
        losses = np.array([loss for which, loss in values["trials"] if which == k])
        counts = outcomes(losses, chance)
        _draw_cloud(ax, theme, k, losses, chance, style[study.architecture])
        _draw_column(bars, theme, k, counts, style[study.architecture].color)
        sentences.append(f"{name}: {_summary(counts)}")
    _draw_references(ax, theme, chance)
    for axes in (ax, bars):
        axes.set(xticks=(0, 1), xticklabels=names, xlim=(-0.5, 1.5))
    bars.set(ylim=(0, 1), yticks=(), title="what became of the draws")
    bars.spines["left"].set_visible(False)
    return f"{'. '.join(sentences)}. {values['note']}".rstrip()


def outcomes(losses: np.ndarray, chance: float) -> dict[str, int]:
    """How many losses, which are NaN if training diverged, are of each kind."""
    n_solved, n_learned, n_feasible = (
        int((losses < limit).sum()) for limit in (SOLVED * chance, LEARNED * chance, np.inf)
    )
    return {
        "solved": n_solved,
        "learned something": n_learned - n_solved,
        "learned nothing": n_feasible - n_learned,
        "diverged": len(losses) - n_feasible,
    }


def _draw_cloud(
    ax: Axes, theme: Theme, k: int, losses: np.ndarray, chance: float, style: Style
) -> None:
    """One dot per draw that did not diverge, and their median."""
    feasible = losses[~np.isnan(losses)]
    across = k + 0.6 * spread_out(np.arange(1, len(feasible) + 1))
    heights = np.minimum(feasible, HIGHEST * chance)
    ax.plot(across, heights, alpha=0.6, markersize=7, markeredgewidth=0, **style.points)
    if len(feasible):
        median = [np.median(feasible)] * 2
        ax.plot([k - 0.32, k + 0.32], median, color=theme.ink, linewidth=2.5)


def _draw_references(ax: Axes, theme: Theme, chance: float) -> None:
    """The losses of a network that ignores its input and of one that solves the task."""
    style = {"ha": "center", "va": "center", "fontsize": 11, "backgroundcolor": theme.background}
    for height, text in ((chance, "ignores\nits input"), (SOLVED * chance, "solved\nbelow")):
        ax.axhline(height, color=theme.grey, linestyle=DASHED, linewidth=1.4, zorder=0)
        ax.text(0.5, height, text, color=theme.grey, **style)
    ax.set(ylim=(0, HIGHEST * chance * 1.03), ylabel="loss, nats (0: every count right)")
    ax.set_title("each dot a draw; the bar is the median")


def _draw_column(ax: Axes, theme: Theme, k: int, counts: dict[str, int], color: str) -> None:
    """One column, divided into the outcomes with their counts. Solved draws are solid and diverged
    ones hatched, so that they can be distinguished without colour.
    """
    hatching = {"facecolor": theme.background, "edgecolor": theme.ink, "hatch": "////"}
    looks: dict[str, dict] = {
        "solved": {"color": color, "linewidth": 0},
        "learned something": {"color": color, "alpha": 0.35, "linewidth": 0},
        "learned nothing": {"color": theme.pale, "linewidth": 0},
        "diverged": hatching | {"linewidth": 1.5},
    }
    paper = {"facecolor": theme.background, "edgecolor": "none", "pad": 1.5}
    style = {"ha": "center", "va": "center", "fontsize": 11.5, "clip_on": True, "bbox": paper}
    total = sum(counts.values())
    height = 0.0
    for name, number in counts.items():
        if number:
            share = number / total
            ax.bar(k, share, bottom=height, width=0.84, **looks[name])
            text = name.replace(" ", "\n") if share > 0.12 else name
            ax.text(k, height + share / 2, f"{number} {text}", **style)
            height += share


def _summary(counts: dict[str, int]) -> str:
    """The counts as a sentence."""
    total = sum(counts.values())
    if not total:
        return "no draw yet"
    low, high = wilson(counts["solved"], total)
    return (
        f"{counts['solved']} of {total} draws solved the task (with 95 % confidence"
        f" {100 * low:.0f} to {100 * high:.0f} %), {counts['learned something']} learned something,"
        f" {counts['learned nothing']} nothing, {counts['diverged']} diverged"
    )


def _press(panel: Panel) -> None:
    panel.run_or_stop(states(panel.values), "draw_more")


def _again(panel: Panel) -> None:
    _forget(panel)
    panel.redraw()


def _forget(panel: Panel) -> None:
    """Forgets all draws, since other cells are another lottery."""
    panel.stop()
    panel.state |= {"trials": (), "note": WAITING}
