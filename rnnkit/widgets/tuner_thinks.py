"""The tuner thinks: a Gaussian process on one or two dimensions, the trial that it asks for, and
what it learns from the result (Appendix A).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np
from matplotlib.ticker import MaxNLocator
from scipy.stats import norm
from skopt.benchmarks import branin

from rnnkit.hparams import Space, Uniform
from rnnkit.studies import Study
from rnnkit.training import train
from rnnkit.tuner import GPTuner, warp_losses
from rnnkit.widgets.controls import button, choice, slider, toggle
from rnnkit.widgets.panel import Panel

# trials of the first design, which no surrogate chooses; the process needs as many feasible trials
FIRST = 4
# points at which the process is evaluated: on a line, and on each side of a square
LINE, GRID = (201, 31)
MANY, MOST = 10, 60  # trials per press, and in all
STEPS = 2_000  # of training, which take a few hundredths of a second
AXES = {"lr_init": "learning rate", "recurrent_matrix_scale_h": "recurrent scale"}
ASK = "Press ask."
COLOR = "#0072B2"
MARGINS = {"left": 0.08, "right": 0.98, "bottom": 0.13, "top": 0.92}


@dataclass(frozen=True)
class Problem:
    """A loss to minimise over one or two hyper-parameters, and the names of its axes and its score,
    which is `factor` times the loss.
    """

    title: str
    space: Space
    loss: Callable  # a point and its trial's number -> loss, NaN where it diverges
    axes: tuple[str, ...]
    score: str
    factor: int = 1


def _wave(point, number=0):
    x = point["x"]
    return math.nan if x > 0.93 else math.sin(13 * x) * 0.5 * (1.2 - x) + 1.2 * (x - 0.62) ** 2


def _hills(point, number=0):
    """Branin's function, on the unit square, in hundreds."""
    return branin((15 * point["x"] - 5, 15 * point["y"])) / 100


def _study(free) -> Study:
    """A vanilla RNN of 100 parameters, trained for 2,000 steps on the capacity task; all
    hyper-parameters except those in `free` have their usual values.
    """
    study = Study("per_cap", "rnn", 1, 100, n_in=10, train_steps=(STEPS, STEPS))
    constants = {
        name: value for name, value in study.space.usual_point().items() if name not in free
    }
    return replace(study, pinned=tuple(constants.items()))


def _network(title, *free) -> Problem:
    study = _study(free)
    axes = tuple(AXES[name] for name in study.space.names)
    return Problem(
        title,
        study.space,
        lambda point, number: train(study, [point], [number])[0].valid_loss,
        axes,
        "stored bits",
        -1,
    )


@cache
def problems() -> dict[str, Problem]:
    unit = Uniform("x", 0.0, 1.0), Uniform("y", 0.0, 1.0)
    return {
        "wave": Problem("a curve", Space(unit[:1]), _wave, ("x",), "loss"),
        "hills": Problem("a landscape", Space(unit), _hills, ("x", "y"), "loss"),
        "rate": _network("a network's learning rate", "lr_init"),
        "rate_and_scale": _network(
            "its learning rate and scale", "lr_init", "recurrent_matrix_scale_h"
        ),
    }


def widget(problem="wave", trials=7, seed=0) -> Panel:
    """Opens on `problem` with so many trials done."""
    controls = {
        "problem": choice(
            "minimise",
            [(p.title, name) for name, p in problems().items()],
            problem,
            "What the tuner tries to find",
        ),
        "seed": slider(
            "seed",
            0,
            9,
            seed,
            tip="Of the first design, the tuner's candidates and the networks",
        ),
        "truth": toggle(
            "show the curve", tip="What the tuner does not see; for a network, nobody knows it"
        ),
        "ask": button("ask", _ask, "Which trial does the tuner want next?"),
        "tell": button("tell", _tell, "Runs that trial and tells the tuner its loss"),
        "many": button(f"{MANY} trials", _ask_and_tell, f"Asks and tells {MANY} times, or stops"),
        "again": button(
            "start again", lambda panel: _start(panel), f"Forgets all but the first {FIRST} trials"
        ),
    }
    state = {"points": (), "losses": (), "next_point": None, "note": ""}
    panel = Panel(draw, controls, state, size=(10, 5), changed=_restart)
    # a curve takes no time; with a network, the reader sees the first trials come
    for step in search(problem, seed, (), (), trials):
        panel.state |= step
    panel.state |= {
        "next_point": suggestion(problem, seed, panel.state["points"], panel.state["losses"]),
        "note": "Press tell.",
    }
    return panel


# --- the search: pure functions of the trials so far ---


@lru_cache(maxsize=64)
def tuner_of(problem, seed, points, losses) -> GPTuner:
    """The tuner after these trials; points are tuples of values."""
    tuner = GPTuner(problems()[problem].space, seed, round_size=FIRST)
    tuner.observe([tuner.space.point(values) for values in points], losses)
    return tuner


@lru_cache(maxsize=64)
def suggestion(problem, seed, points, losses) -> tuple:
    tuner = tuner_of(problem, seed, points, losses)
    return tuple(tuner.space.values(tuner.suggest(1, start=len(points))[0]))


def search(problem, seed, points, losses, trials):
    """Asks and tells until there are `trials` trials; yields the state to be drawn after each."""
    task = problems()[problem]
    while len(points) < trials:
        values = suggestion(problem, seed, points, losses)
        yield {"next_point": values, "note": "The trial is running."}
        loss = float(task.loss(task.space.point(values), len(points) + 1_000 * seed))
        points = (*points, values)
        losses = (*losses, loss)
        yield {"points": points, "losses": losses, "next_point": None, "note": ASK}


@lru_cache(maxsize=64)
def posterior(problem, seed, points, losses):
    """The mean, the standard deviation of the mean and the expected improvement, on a line (LINE) or
    a square (GRID x GRID) of unit coordinates, and the standard deviation of a trial's noise; None
    during the first design.
    """
    space = problems()[problem].space
    tuner = tuner_of(problem, seed, points, losses)
    if len(losses) < FIRST or np.isfinite(losses).sum() < FIRST:
        return None
    side = np.linspace(0, 1, LINE if len(space) == 1 else GRID)
    units = np.stack(np.meshgrid(*[side] * len(space), indexing="ij"), -1).reshape(-1, len(space))
    return *tuner.posterior([space.from_unit(u) for u in units]), tuner.noise()


# --- the picture ---


def draw(figure, theme, *, problem, seed, truth, points, losses, next_point, note) -> str:
    """What the tuner expects, which trial it asks for next, and how likely that is the best so far."""
    task = problems()[problem]
    units = np.array([task.space.to_unit(task.space.point(values)) for values in points]).reshape(
        -1, len(task.space)
    )
    next_unit = None if next_point is None else task.space.to_unit(task.space.point(next_point))
    heard = warp_losses(losses) if np.isfinite(losses).any() else np.zeros(len(losses))
    paint = _line if len(task.space) == 1 else _square
    axes = paint(
        figure,
        theme,
        task,
        units,
        np.array(losses, dtype=float),
        heard,
        next_unit,
        posterior(problem, seed, points, losses),
    )
    if truth and problem == "wave" and np.isfinite(losses).sum() > 1:
        axes[0].plot(
            np.linspace(0, 1, LINE),
            _as_told(_wave_line(), losses, heard),
            color=theme.grey,
            linestyle=(0, (2, 2)),
            zorder=1,
        )
    return (
        f"{_best_so_far(task, points, losses)}"
        f" {_forecast(task, next_point, problem, seed, points, losses)} {note}".strip()
    )


def _line(figure, theme, task, units, losses, heard, next_unit, beliefs):
    top, bottom = figure.subplots(
        2, 1, sharex=True, gridspec_kw=MARGINS | {"height_ratios": [2.2, 1], "hspace": 0.15}
    )
    blue = theme.visible(COLOR)
    feasible = np.isfinite(losses)
    if beliefs is not None:
        _draw_beliefs(top, bottom, blue, beliefs)
    top.plot(units[feasible, 0], heard[feasible], "o", color=theme.ink, label="trials")
    if not feasible.all():
        top.plot(
            units[~feasible, 0],
            heard[~feasible],
            "x",
            color=theme.ink,
            markersize=9,
            markeredgewidth=2,
            label="diverged",
        )
    bottom.set_ylim(0, None)
    for ax in (top, bottom):
        if next_unit is not None:
            ax.axvline(
                next_unit[0],
                color=theme.visible("#D55E00"),
                linewidth=2,
                linestyle=(0, (4, 2)),
                label="asked for",
            )
        ax.set_yticks([])
    _scores_at(top, task, losses, heard)
    top.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 1.17),
        ncols=6,
        handlelength=1.5,
        columnspacing=1.2,
        fontsize=11,
    )
    top.set_ylabel(f"{task.score}, warped")
    bottom.set(ylabel="expected\nimprovement", xlabel=task.axes[0], xlim=(-0.01, 1.01))
    _ticks(bottom.xaxis, task.space.ranges[0])
    return top, bottom


def _draw_beliefs(top, bottom, color, beliefs):
    """What the tuner expects of each point of the line, and the improvement that it expects there."""
    x = np.linspace(0, 1, LINE)
    mean, std, improvement, noise = beliefs
    wide = np.hypot(std, noise)
    for deviation, shade, label in (
        (wide, 0.13, "a trial, 95 %"),
        (std, 0.25, "its mean, 95 %"),
    ):
        top.fill_between(
            x,
            mean - 2 * deviation,
            mean + 2 * deviation,
            color=color,
            alpha=shade,
            linewidth=0,
            label=label,
        )
    top.plot(x, mean, color=color, label="expected")
    bottom.fill_between(x, improvement, color=color, alpha=0.35, linewidth=0)
    bottom.plot(x, improvement, color=color)


def _square(figure, theme, task, units, losses, heard, next_unit, beliefs):
    loss_ax, gain_ax = figure.subplots(
        1, 2, sharey=True, gridspec_kw=MARGINS | {"left": 0.1, "wspace": 0.08}
    )
    feasible = np.isfinite(losses)
    edges = np.linspace(-0.5, GRID - 0.5, GRID + 1) / (GRID - 1)
    for ax, title, k in (
        (loss_ax, "expected loss (dark: low)", 0),
        (gain_ax, "expected improvement (bright: high)", 2),
    ):
        if beliefs is not None:
            ax.pcolormesh(
                edges, edges, beliefs[k].reshape(GRID, GRID).T, cmap="cividis", rasterized=True
            )
        ax.plot(*units[feasible].T, "o", color="white", markeredgecolor="black", markersize=8)
        ax.plot(*units[~feasible].T, "x", color="white", markersize=9, markeredgewidth=2.5)
        if next_unit is not None:
            ax.plot(*next_unit, "*", color="#D55E00", markeredgecolor="white", markersize=20)
        ax.set(title=title, xlabel=task.axes[0], xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        _ticks(ax.xaxis, task.space.ranges[0])
    loss_ax.set_ylabel(task.axes[1])
    _ticks(loss_ax.yaxis, task.space.ranges[1])
    return loss_ax, gain_ax


def _scores_at(ax, task, losses, heard):
    """Labels the axis, which is warped as the losses were, with round values of the score: a few, and
    between them finer ones where there is room.
    """
    if np.isfinite(losses).sum() < 3:
        return
    low, high = ax.get_ylim()
    ends = sorted(task.factor * end for end in _as_measured([low, high], losses, heard))
    ticks: dict[float, float] = {}  # height -> value
    for count in (4, 20):
        for value in MaxNLocator(count).tick_values(*ends):
            (height,) = _as_told([task.factor * value], losses, heard)
            room = min((abs(height - other) for other in ticks), default=math.inf)
            if ends[0] <= value <= ends[1] and room > 0.13 * (high - low):
                ticks[height] = value
    ax.set_yticks(list(ticks), [f"{value + 0.0:.2g}" for value in ticks.values()])


def _wave_line():
    return np.array([_wave({"x": x}) for x in np.linspace(0, 1, LINE)])


def _as_told(values, losses, heard):
    """Warps losses that were not measured as the measured ones were: by interpolation between them,
    and with their mean slope beyond them.
    """
    return np.interp(values, *_knots(losses, heard))


def _as_measured(values, losses, heard):
    """The inverse of `_as_told`: the losses before warping."""
    return np.interp(values, *_knots(losses, heard)[::-1])


def _knots(losses, heard):
    """Feasible losses in ascending order and their warped values, with one more knot at either end."""
    feasible = np.isfinite(losses)
    order = np.argsort(np.asarray(losses)[feasible])
    x = np.asarray(losses)[feasible][order]
    y = np.asarray(heard)[feasible][order]
    wide = x[-1] - x[0]
    high = y[-1] - y[0]
    return [x[0] - wide, *x, x[-1] + wide], [y[0] - high, *y, y[-1] + high]


def _ticks(axis, row):
    """A few values of a row at their unit coordinates."""
    values = [row.from_unit(u) for u in (0, 0.25, 0.5, 0.75, 1)]
    axis.set_ticks([row.to_unit(value) for value in values], [f"{value:.2g}" for value in values])


def _at(task, values) -> str:
    return ", ".join(f"{axis} {value:.3g}" for axis, value in zip(task.axes, values))


def _best_so_far(task, points, losses) -> str:
    bad = sum(not math.isfinite(loss) for loss in losses)
    if len(losses) == bad:
        return f"{len(losses)} trials."
    best = int(np.nanargmin(losses))
    failures = f", {bad} of them diverged" if bad else ""
    return (
        f"{len(losses)} trials{failures}; the best: {task.score} {task.factor * losses[best]:.3g} at"
        f" {_at(task, points[best])}."
    )


def _forecast(task, next_point, problem, seed, points, losses) -> str:
    """What the process expects of the next trial, in measured units."""
    if next_point is None:
        return ""
    if posterior(problem, seed, points, losses) is None:
        return f"Asked for {_at(task, next_point)}, as the first design has it."
    tuner = tuner_of(problem, seed, points, losses)
    mean, std, _ = (float(x[0]) for x in tuner.posterior([task.space.point(next_point)]))
    wide = math.hypot(std, tuner.noise())
    heard = warp_losses(losses)
    feasible = heard[np.isfinite(losses)]
    interval = _as_measured([mean, mean - 2 * wide, mean + 2 * wide], losses, heard)
    middle, *interval = task.factor * interval
    chance = norm.cdf((feasible.min() - mean) / wide)
    return (
        f"Asked for {_at(task, next_point)}: it expects {task.score} {middle:.2g} (95 % of such trials:"
        f" {min(interval):.2g} to {max(interval):.2g}), and beats the best with a chance of {100 * chance:.0f} %."
    )


# --- the buttons ---


def _restart(panel, name):
    if name != "truth":
        _start(panel)


def _search_so_far(panel) -> tuple[str, int, tuple, tuple]:
    values = panel.values
    return values["problem"], values["seed"], values["points"], values["losses"]


def _full(panel) -> bool:
    if len(panel.state["points"]) >= MOST:
        panel.set(note=f"{MOST} trials are enough for a picture. Start again.")
    return len(panel.state["points"]) >= MOST


def _ask(panel):
    if not panel.running and not _full(panel):
        panel.set(next_point=suggestion(*_search_so_far(panel)), note="Press tell.")


def _tell(panel):
    if not panel.running and not _full(panel):
        panel.run(search(*_search_so_far(panel), len(panel.state["points"]) + 1))


def _ask_and_tell(panel):
    if panel.running:
        panel.stop()
    elif not _full(panel):
        panel.live["many"].description = "stop"
        panel.run(
            search(*_search_so_far(panel), min(MOST, len(panel.state["points"]) + MANY)),
            done=lambda: _reset_label(panel),
        )


def _reset_label(panel):
    panel.live["many"].description = f"{MANY} trials"


def _start(panel):
    """Starts again with the first design, which takes a moment if networks are trained."""
    panel.stop()
    panel.set(points=(), losses=(), next_point=None, note="")
    values = panel.values
    panel.run(
        search(values["problem"], values["seed"], (), (), FIRST), done=lambda: _reset_label(panel)
    )
