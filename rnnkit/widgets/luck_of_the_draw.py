"""Luck of the draw: random hyper-parameters for two cells, and what became of each draw: it solved
the task, learned something, learned nothing, or diverged (section 4, Table 1).
"""

import time
from itertools import islice

import numpy as np

from rnnkit.cells import PAPER, cell_of
from rnnkit.exhibits.statistics import wilson
from rnnkit.studies import Study
from rnnkit.training import train
from rnnkit.tuner import TUNERS
from rnnkit.widgets.controls import button, choice, slider
from rnnkit.widgets.panel import Panel
from rnnkit.wording import label_of, layers

SIZE = 2_000  # parameters
STEPS = {
    "tiny": (200, 600),
    "small": (100, 400),
}  # range of training steps; a draw takes 0.05-0.3 s
# shares of the loss of chance: below them the task is solved, or something has been learned
SOLVED, LEARNED = 0.5, 0.9
HIGHEST = 2.2  # times the loss of chance: dots above are drawn there
MOST = 400  # draws per cell, after which it stops
STILL = 24  # draws per cell in a static picture
WAITING = "Press draw."


def widget(one="gru", other="irnn", depth=1, form="tiny", seed=0) -> Panel:
    """Parentheses counting in its small forms, with small networks and short training: enough to see
    which cell fails, but not which wins.
    """
    cells = [(label_of(cell), cell) for cell in PAPER]
    controls = {
        "one": choice("cell", cells, one, "The first cell"),
        "other": choice("against", cells, other, "The second cell"),
        "depth": slider("layers", 1, 8, depth, 1, "Recurrent layers of both"),
        "form": choice(
            "to read",
            [("2 x 12 symbols", "tiny"), ("3 x 50 symbols", "small")],
            form,
            "How many streams there are, and how long they are",
        ),
        "draw_more": button(
            "draw", _press, "Draws hyper-parameters at random and trains, until you stop it"
        ),
        "again": button("start again", _again, "Forgets all draws"),
    }
    settings = dict(one=one, other=other, depth=depth, form=form, seed=seed)
    state = {"trials": (), "note": WAITING, "seed": seed}
    return Panel(
        draw,
        controls,
        state,
        size=(10, 4.3),
        changed=lambda panel, _: _again(panel, False),
        still=lambda: {"trials": tuple(islice(draw_trials(**settings), 2 * STILL)), "note": ""},
    )


def study_of(architecture, depth, form, seed) -> Study:
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


def draw_trials(one, other, depth, form, seed, start=0):
    """Trials of the two cells in turn, from number `start` on: (0 or 1 for the cell, loss or NaN if
    it diverged).
    """
    studies = [study_of(cell, depth, form, seed) for cell in (one, other)]
    tuners = [TUNERS["random"](study.space, study.seed) for study in studies]
    for number in range(start, MOST):
        for which, (study, tuner) in enumerate(zip(studies, tuners)):
            (outcome,) = train(study, tuner.suggest(1, start=number), [number])
            yield which, outcome.eval_loss


def states(trials, seconds=0.2, **settings):
    """Draws and trains, and yields the state to be drawn several times per second."""
    yield {"note": "The training step is being compiled; the first time, this takes a few seconds."}
    trials = list(trials)
    since = time.monotonic()
    for trial in draw_trials(**settings, start=len(trials) // 2):
        trials.append(trial)
        if trial[0] == 1 and time.monotonic() - since > seconds:
            yield {"trials": tuple(trials), "note": ""}
            since = time.monotonic()
    yield {"trials": tuple(trials), "note": f"It stops after {MOST} draws per cell."}


def draw(figure, theme, *, one, other, depth, form, trials, note, seed) -> str:
    """A cloud of dots per cell with its median, and what became of its draws."""
    grid = {
        "width_ratios": [1.6, 1],
        "left": 0.065,
        "right": 0.985,
        "bottom": 0.1,
        "top": 0.92,
        "wspace": 0.16,
    }
    ax, bars = figure.subplots(1, 2, gridspec_kw=grid)
    studies = [study_of(cell, depth, form, seed) for cell in (one, other)]
    chance = studies[0].task.chance()
    style = theme.style_of([one, other])
    names = [f"{label_of(study.architecture)}, {layers(study.n_layers)}" for study in studies]
    sentences = []
    for k, (study, name) in enumerate(zip(studies, names)):
        losses = np.array([loss for which, loss in trials if which == k])
        counts = outcomes(losses, chance)
        _cloud(ax, theme, k, losses, chance, style[study.architecture])
        _bar(bars, theme, k, counts, style[study.architecture].color)
        sentences.append(f"{name}: {_summary(counts, losses)}")
    _frame(ax, theme, chance)
    axis = {"xticks": (0, 1), "xticklabels": names, "xlim": (-0.5, 1.5)}
    ax.set(**axis)
    bars.set(ylim=(0, 1), yticks=(), title="what became of the draws", **axis)
    bars.spines["left"].set_visible(False)
    return f"{'. '.join(sentences)}. {note}".rstrip()


def outcomes(losses, chance) -> dict[str, int]:
    """How many losses, which are NaN if training diverged, are of each kind."""
    good = losses[~np.isnan(losses)]
    n_solved = int((good < SOLVED * chance).sum())
    n_learned = int((good < LEARNED * chance).sum())
    return {
        "solved": n_solved,
        "learned something": n_learned - n_solved,
        "learned nothing": len(good) - n_learned,
        "diverged": len(losses) - len(good),
    }


def _cloud(ax, theme, k, losses, chance, style):
    """One dot per draw that did not diverge, and their median."""
    good = losses[~np.isnan(losses)]
    # evenly spread, and in the same way at each redraw
    spread = (np.modf(np.arange(1, len(good) + 1) * 0.6180339887)[0] - 0.5) * 0.6
    ax.plot(
        k + spread,
        np.minimum(good, HIGHEST * chance),
        style.marker,
        color=style.color,
        alpha=0.6,
        markersize=7,
        markeredgewidth=0,
    )
    if len(good):
        ax.plot([k - 0.32, k + 0.32], [np.median(good)] * 2, color=theme.ink, linewidth=2.5)


def _frame(ax, theme, chance):
    """The losses of a network that ignores its input and of one that solves the task."""
    for height, text in ((chance, "ignores\nits input"), (SOLVED * chance, "solved\nbelow")):
        ax.axhline(height, color=theme.grey, linestyle=(0, (6, 2)), linewidth=1.4, zorder=0)
        ax.text(
            0.5,
            height,
            text,
            color=theme.grey,
            fontsize=11,
            ha="center",
            va="center",
            backgroundcolor=theme.background,
        )
    ax.set(ylim=(0, HIGHEST * chance * 1.03), ylabel="loss, nats (0: every count right)")
    ax.set_title("each dot a draw; the bar is the median")


def _bar(ax, theme, k, counts, color):
    """One column, divided into the outcomes with their counts. Solved draws are solid and diverged
    ones hatched, so that they can be distinguished without colour.
    """
    total = sum(counts.values())
    height = 0.0
    states = {
        "solved": {"color": color, "linewidth": 0},
        "learned something": {"color": color, "alpha": 0.35, "linewidth": 0},
        "learned nothing": {"color": theme.pale, "linewidth": 0},
        "diverged": {
            "facecolor": theme.background,
            "edgecolor": theme.ink,
            "hatch": "////",
            "linewidth": 1.5,
        },
    }
    for name, number in counts.items():
        if number:
            share = number / total
            ax.bar(k, share, bottom=height, width=0.84, **states[name])
            ax.text(
                k,
                height + share / 2,
                f"{number} " + (name.replace(" ", "\n") if share > 0.12 else name),
                ha="center",
                va="center",
                fontsize=11.5,
                clip_on=True,
                bbox={"facecolor": theme.background, "edgecolor": "none", "pad": 1.5},
            )
            height += share


def _summary(counts, losses) -> str:
    """The counts as a sentence."""
    total = len(losses)
    if not total:
        return "no draw yet"
    low, high = wilson(counts["solved"], total)
    remainder = ", ".join(f"{number} {name}" for name, number in counts.items() if name != "solved")
    return (
        f"{counts['solved']} of {total} draws solved the task (with 95 % confidence"
        f" {100 * low:.0f} to {100 * high:.0f} %), {remainder}"
    ).replace("learned nothing", "nothing")


def _press(panel):
    if panel.running:
        panel.stop()
        return
    settings = {
        name: panel.values[name] for name in ("one", "other", "depth", "form", "seed", "trials")
    }
    panel.live["draw_more"].description = "stop"
    panel.run(
        states(**settings), done=lambda: setattr(panel.live["draw_more"], "description", "draw")
    )


def _again(panel, redraw=True):
    """Forgets all draws, since other cells are another lottery."""
    panel.stop()
    panel.state |= {"trials": (), "note": WAITING}
    if redraw:
        panel.redraw()
