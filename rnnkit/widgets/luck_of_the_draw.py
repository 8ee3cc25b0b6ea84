"""Luck of the draw: random hyper-parameters for two cells, the cloud of their losses, and those
that diverge (section 4, Table 1).
"""

import time
from itertools import islice

import numpy as np

from rnnkit.analysis import wilson
from rnnkit.cells import PAPER, cell_of
from rnnkit.studies import Study
from rnnkit.training import train
from rnnkit.tuner import TUNERS
from rnnkit.widgets.controls import button, choice, slider
from rnnkit.widgets.panel import Panel
from rnnkit.wording import label_of, layers

SIZE, STEPS = (
    2_000,
    {
        "tiny": (200, 600),
        "small": (100, 400),
    },
)  # parameters, training steps by form: a draw takes .05 to .3 s
LEARNED = 0.9  # of the loss that ignores the input: below it something was learned
HIGHEST = 2.2  # times that loss: dots above are drawn there
MOST = 400  # draws of each cell; then it ends by itself
STILL = 12  # draws of each cell in a picture that nobody moves
WAITING = "Press draw."


def widget(one="gru", other="irnn", depth=1, form="tiny", seed=0) -> Panel:
    """Parentheses counting in its small forms, small networks and short training: enough to see who
    fails, not who wins.
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
            "Streams, and how long they are",
        ),
        "draw_more": button(
            "draw", _press, "Draws hyper-parameters at random and trains, until it is stopped"
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
        still=lambda: {"trials": tuple(islice(drawn(**settings), 2 * STILL)), "note": ""},
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


def drawn(one, other, depth, form, seed, start=0):
    """Trials of the two cells in turn, from number `start` on: (which of the two, loss or nan where
    it diverged).
    """
    studies = [study_of(cell, depth, form, seed) for cell in (one, other)]
    tuners = [TUNERS["random"](study.space, study.seed) for study in studies]
    for number in range(start, MOST):
        for which, (study, tuner) in enumerate(zip(studies, tuners)):
            (outcome,) = train(study, tuner.suggest(1, start=number), [number])
            yield which, outcome.eval_loss


def looks(trials, seconds=0.2, **settings):
    """Draws and trains, and yields the state to draw some times a second."""
    yield {"note": "The training step is being compiled; the first time this takes some seconds."}
    trials, since = list(trials), time.monotonic()
    for trial in drawn(**settings, start=len(trials) // 2):
        trials.append(trial)
        if trial[0] == 1 and time.monotonic() - since > seconds:
            yield {"trials": tuple(trials), "note": ""}
            since = time.monotonic()
    yield {"trials": tuple(trials), "note": f"{MOST} draws of each are the end of it."}


def draw(figure, theme, *, one, other, depth, form, trials, note, seed) -> str:
    """A cloud of dots for each cell with its median, and how many diverged, learned nothing and
    learned something.
    """
    place = {
        "width_ratios": [1.6, 1],
        "left": 0.065,
        "right": 0.985,
        "bottom": 0.1,
        "top": 0.92,
        "wspace": 0.16,
    }
    ax, bars = figure.subplots(1, 2, gridspec_kw=place)
    studies = [study_of(cell, depth, form, seed) for cell in (one, other)]
    chance, style = studies[0].task.chance(), theme.style_of([one, other])
    names = [f"{label_of(study.architecture)}, {layers(study.n_layers)}" for study in studies]
    ax.axhline(chance, color=theme.grey, linestyle=(0, (6, 2)), linewidth=1.4, zorder=0)
    ax.text(
        0.5,
        chance,
        "ignores\nits input",
        color=theme.grey,
        fontsize=11,
        ha="center",
        va="center",
        backgroundcolor=theme.background,
    )
    said = []
    for k, (study, name) in enumerate(zip(studies, names)):
        losses, s = (
            np.array([loss for which, loss in trials if which == k]),
            style[study.architecture],
        )
        good = losses[~np.isnan(losses)]
        spread = (
            np.modf(np.arange(1, len(good) + 1) * 0.6180339887)[0] - 0.5
        ) * 0.6  # even, and the same at each look
        ax.plot(
            k + spread,
            np.minimum(good, HIGHEST * chance),
            s.marker,
            color=s.color,
            alpha=0.6,
            markersize=7,
            markeredgewidth=0,
        )
        if len(good):
            ax.plot([k - 0.32, k + 0.32], [np.median(good)] * 2, color=theme.ink, linewidth=2.5)
        learned = int((good < LEARNED * chance).sum())
        counts = {
            "learned something": learned,
            "learned nothing": len(good) - learned,
            "diverged": len(losses) - len(good),
        }
        _bar(bars, theme, k, counts, s.color)
        said.append(
            f"{name}: {_said(counts['diverged'], len(losses))}"
            + (f", best loss {good.min():.2f}" if len(good) else "")
        )
    both = {"xticks": (0, 1), "xticklabels": names, "xlim": (-0.5, 1.5)}
    ax.set(ylim=(0, HIGHEST * chance * 1.03), ylabel="loss, nats (0: every count right)", **both)
    ax.set_title("each dot a draw; the bar is the median")
    bars.set(ylim=(0, 1), yticks=(), title="share of draws", **both)
    bars.spines["left"].set_visible(False)
    return f"{'; '.join(said)}. {note}".rstrip()


def _bar(ax, theme, k, counts, color):
    """One column, cut into the outcomes, each with its count; what diverged is hatched, so that no
    colour is needed to see it.
    """
    total, height = sum(counts.values()), 0.0
    looks = {
        "learned something": {"color": color, "linewidth": 0},
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
            ax.bar(k, share, bottom=height, width=0.84, **looks[name])
            if share > 0.12:
                ax.text(
                    k,
                    height + share / 2,
                    f"{number} " + name.replace(" ", "\n"),
                    ha="center",
                    va="center",
                    fontsize=11.5,
                    bbox={"facecolor": theme.background, "edgecolor": "none", "pad": 2},
                )
            height += share


def _said(bad, total) -> str:
    if not total:
        return "no draw yet"
    low, high = wilson(bad, total)
    return f"{bad} of {total} diverged ({100 * low:.0f} to {100 * high:.0f} % with 95 % confidence)"


def _press(panel):
    if panel.running:
        panel.stop()
        return
    settings = {
        name: panel.values[name] for name in ("one", "other", "depth", "form", "seed", "trials")
    }
    panel.made["draw_more"].description = "stop"
    panel.run(
        looks(**settings), done=lambda: setattr(panel.made["draw_more"], "description", "draw")
    )


def _again(panel, redraw=True):
    """Other cells are another lottery."""
    panel.stop()
    panel.state |= {"trials": (), "note": WAITING}
    if redraw:
        panel.redraw()
