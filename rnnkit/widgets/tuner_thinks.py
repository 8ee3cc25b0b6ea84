"""The tuner thinks: a Gaussian process on one or two dimensions, the trial that it asks for, and
what it learns from the result (Appendix A).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import norm
from skopt.benchmarks import branin

from rnnkit.hparams import Space, Uniform
from rnnkit.studies import Study
from rnnkit.training import train
from rnnkit.tuner import GPTuner, warp_losses
from rnnkit.widgets.controls import button, choice, slider, toggle
from rnnkit.widgets.panel import Panel
from rnnkit.widgets.theme import Theme

# trials of the first design, which no surrogate chooses; the process needs as many feasible trials
FIRST = 4
# points at which the process is evaluated: on a line, and on each side of a square
LINE, GRID = (201, 31)
MANY, MOST = 10, 60  # trials per press, and in all
STEPS = 2_000  # of training, which take a few hundredths of a second
AXES = {"lr_init": "learning rate", "recurrent_matrix_scale_h": "recurrent scale"}
ASK = "Press ask."
COLOR = "#0072B2"
NEXT_COLOR = "#D55E00"
MARGINS = {"left": 0.08, "right": 0.98, "bottom": 0.13, "top": 0.92}


@dataclass(frozen=True)
class Problem:
    """A loss to minimise over one or two hyper-parameters, and the names of its axes and its score,
    which is `factor` times the loss.
    """

    title: str
    space: Space
    loss: Callable[[dict, int], float]  # of a point and its trial's number; NaN where it diverges
    axes: tuple[str, ...]
    score: str
    factor: int = 1


def _wave(point: dict, number: int = 0) -> float:
    x = point["x"]
    return math.nan if x > 0.93 else math.sin(13 * x) * 0.5 * (1.2 - x) + 1.2 * (x - 0.62) ** 2


def _hills(point: dict, number: int = 0) -> float:
    """Branin's function, on the unit square, in hundreds."""
    return branin((15 * point["x"] - 5, 15 * point["y"])) / 100


def _study(free: Sequence[str]) -> Study:
    """A vanilla RNN of 100 parameters, trained for 2,000 steps on the capacity task; all
    hyper-parameters except those in `free` have their usual values.
    """
    study = Study("per_cap", "rnn", 1, 100, n_in=10, train_steps=(STEPS, STEPS))
    usual = study.space.usual_point().items()
    return replace(study, pinned=tuple((name, value) for name, value in usual if name not in free))


def _network(title: str, *free: str) -> Problem:
    study = _study(free)

    def loss(point: dict, number: int) -> float:
        return train(study, [point], [number])[0].valid_loss

    axes = tuple(AXES[name] for name in study.space.names)
    return Problem(title, study.space, loss, axes, "stored bits", -1)


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


def widget(problem: str = "wave", trials: int = 7, seed: int = 0) -> Panel:
    """Opens on `problem` with so many trials done."""
    titles = [(p.title, name) for name, p in problems().items()]
    controls = {
        "problem": choice("minimise", titles, problem, "What the tuner tries to find"),
        "seed": slider(
            "seed", 0, 9, seed, tip="Of the first design, the tuner's candidates and the networks"
        ),
        "truth": toggle(
            "show the curve", tip="What the tuner does not see; for a network, nobody knows it"
        ),
        "ask": button("ask", _ask, "Which trial does the tuner want next?"),
        "tell": button("tell", _tell, "Runs that trial and tells the tuner its loss"),
        "many": button(f"{MANY} trials", _ask_and_tell, f"Asks and tells {MANY} times, or stops"),
        "again": button("start again", _start, f"Forgets all but the first {FIRST} trials"),
    }
    state = {"points": (), "losses": (), "next_point": None, "note": ""}
    panel = Panel(draw, controls, state, size=(10, 5), changed=_restart)
    # a curve takes no time; with a network, the reader sees the first trials come
    for step in search(Trials(problem, seed), trials):
        panel.state |= step
    panel.state |= {"next_point": suggestion(_trials_of(panel)), "note": "Press tell."}
    return panel


# --- the search: pure functions of the trials so far ----------------------------------------------


class Trials(NamedTuple):
    """The trials of a search so far; points are tuples of values."""

    problem: str
    seed: int
    points: tuple[tuple, ...] = ()
    losses: tuple[float, ...] = ()

    @property
    def task(self) -> Problem:
        return problems()[self.problem]


@lru_cache(maxsize=64)
def tuner_of(trials: Trials) -> GPTuner:
    """The tuner after these trials."""
    tuner = GPTuner(trials.task.space, trials.seed, round_size=FIRST)
    points = [tuner.space.point(values) for values in trials.points]
    tuner.observe(points, list(trials.losses))
    return tuner


@lru_cache(maxsize=64)
def suggestion(trials: Trials) -> tuple:
    tuner = tuner_of(trials)
    return tuple(tuner.space.values(tuner.suggest(1, start=len(trials.points))[0]))


def search(trials: Trials, count: int) -> Iterator[dict[str, Any]]:
    """Asks and tells until there are `count` trials; yields the state to be drawn after each."""
    task = trials.task
    while len(trials.points) < count:
        values = suggestion(trials)
        yield {"next_point": values, "note": "The trial is running."}
        number = len(trials.points) + 1_000 * trials.seed
        loss = float(task.loss(task.space.point(values), number))
        points = (*trials.points, values)
        losses = (*trials.losses, loss)
        trials = trials._replace(points=points, losses=losses)
        yield {"points": points, "losses": losses, "next_point": None, "note": ASK}


class Beliefs(NamedTuple):
    """What the process expects of points of a space."""

    mean: np.ndarray
    std: np.ndarray  # of the mean
    improvement: np.ndarray  # the expected improvement
    noise: float  # the standard deviation of a trial around the mean


@lru_cache(maxsize=64)
def posterior(trials: Trials) -> Beliefs | None:
    """What the process expects on a line (LINE) or a square (GRID x GRID) of unit coordinates; None
    during the first design.
    """
    if np.isfinite(trials.losses).sum() < FIRST:
        return None
    space = trials.task.space
    tuner = tuner_of(trials)
    side = np.linspace(0, 1, LINE if len(space) == 1 else GRID)
    units = np.stack(np.meshgrid(*[side] * len(space), indexing="ij"), -1).reshape(-1, len(space))
    return Beliefs(*tuner.posterior([space.from_unit(u) for u in units]), tuner.noise())


class Warp:
    """The losses as the tuner hears them, that is, warped, and the map between the two scales: an
    interpolation between the measured losses, with their mean slope beyond them.
    """

    def __init__(self, losses: Sequence[float]) -> None:
        measured = np.array(losses, dtype=float)
        self.feasible = np.isfinite(measured)
        self.heard = warp_losses(losses) if self.feasible.any() else np.zeros(len(losses))
        x, y = (_with_ends(np.sort(scale[self.feasible])) for scale in (measured, self.heard))
        # what the tuner would hear of losses that were not measured, and the losses before warping
        self.as_heard: Callable = partial(np.interp, xp=x, fp=y)
        self.as_measured: Callable = partial(np.interp, xp=y, fp=x)


def _with_ends(numbers: np.ndarray) -> np.ndarray:
    """Sorted numbers, and one more on either side, as far away as the numbers reach."""
    low = numbers[:1]
    high = numbers[-1:]
    return np.concatenate([2 * low - high, numbers, 2 * high - low])


# --- the picture ----------------------------------------------------------------------------------


def draw(
    figure: Figure,
    theme: Theme,
    *,
    problem: str,
    seed: int,
    truth: bool,
    points: tuple,
    losses: tuple,
    next_point: tuple | None,
    note: str,
) -> str:
    """What the tuner expects, which trial it asks for next, and how likely that is the best so far."""
    trials = Trials(problem, seed, points, losses)
    space = trials.task.space
    warp = Warp(losses)
    units = np.array([space.to_unit(space.point(values)) for values in points])
    units = units.reshape(-1, len(space))
    next_unit = None if next_point is None else space.to_unit(space.point(next_point))
    if len(space) == 1:
        curve = truth and problem == "wave" and warp.feasible.sum() > 1
        _draw_line(figure, theme, trials, warp, units[:, 0], next_unit, curve)
    else:
        _draw_square(figure, theme, trials, warp, units, next_unit)
    return f"{_best_so_far(trials)} {_forecast(trials, warp, next_point)} {note}".strip()


def _draw_line(
    figure: Figure,
    theme: Theme,
    trials: Trials,
    warp: Warp,
    x: np.ndarray,
    next_unit: np.ndarray | None,
    curve: bool,
) -> None:
    task = trials.task
    margins = MARGINS | {"height_ratios": [2.2, 1], "hspace": 0.15}
    top, bottom = figure.subplots(2, 1, sharex=True, gridspec_kw=margins)
    beliefs = posterior(trials)
    if beliefs is not None:
        _draw_beliefs(top, bottom, theme.visible(COLOR), beliefs)
    feasible = warp.feasible
    top.plot(x[feasible], warp.heard[feasible], "o", color=theme.ink, label="trials")
    if not feasible.all():
        crosses = {"color": theme.ink, "markersize": 9, "markeredgewidth": 2}
        top.plot(x[~feasible], warp.heard[~feasible], "x", label="diverged", **crosses)
    bottom.set_ylim(0, None)
    for ax in (top, bottom):
        if next_unit is not None:
            line = {"color": theme.visible(NEXT_COLOR), "linewidth": 2, "linestyle": (0, (4, 2))}
            ax.axvline(next_unit[0], label="asked for", **line)
        ax.set_yticks([])
    _draw_scores(top, task, warp)
    above = {"loc": "upper center", "bbox_to_anchor": (0.5, 1.17), "ncols": 6, "fontsize": 11}
    top.legend(handlelength=1.5, columnspacing=1.2, **above)
    top.set_ylabel(f"{task.score}, warped")
    bottom.set(ylabel="expected\nimprovement", xlabel=task.axes[0], xlim=(-0.01, 1.01))
    _draw_ticks(bottom.xaxis, task.space.ranges[0])
    if curve:
        line_x = np.linspace(0, 1, LINE)
        heights = warp.as_heard([_wave({"x": x}) for x in line_x])
        top.plot(line_x, heights, color=theme.grey, linestyle=(0, (2, 2)), zorder=1)


def _draw_beliefs(top: Axes, bottom: Axes, color: str, beliefs: Beliefs) -> None:
    """What the tuner expects of each point of the line, and the improvement that it expects there."""
    x = np.linspace(0, 1, LINE)
    mean, std, improvement, noise = beliefs
    for label, deviation, alpha in (
        ("a trial, 95 %", np.hypot(std, noise), 0.13),
        ("its mean, 95 %", std, 0.25),
    ):
        band = mean - 2 * deviation, mean + 2 * deviation
        top.fill_between(x, *band, color=color, alpha=alpha, linewidth=0, label=label)
    top.plot(x, mean, color=color, label="expected")
    bottom.fill_between(x, improvement, color=color, alpha=0.35, linewidth=0)
    bottom.plot(x, improvement, color=color)


def _draw_square(
    figure: Figure,
    theme: Theme,
    trials: Trials,
    warp: Warp,
    units: np.ndarray,
    next_unit: np.ndarray | None,
) -> None:
    task = trials.task
    margins = MARGINS | {"left": 0.1, "wspace": 0.08}
    axes = figure.subplots(1, 2, sharey=True, gridspec_kw=margins)
    beliefs = posterior(trials)
    edges = np.linspace(-0.5, GRID - 0.5, GRID + 1) / (GRID - 1)
    titles = ("expected loss (dark: low)", "expected improvement (bright: high)")
    for ax, title, name in zip(axes, titles, ("mean", "improvement")):
        if beliefs is not None:
            values = getattr(beliefs, name).reshape(GRID, GRID).T
            ax.pcolormesh(edges, edges, values, cmap="cividis", rasterized=True)
        dots = {"color": "white", "markeredgecolor": "black", "markersize": 8}
        ax.plot(*units[warp.feasible].T, "o", **dots)
        ax.plot(*units[~warp.feasible].T, "x", color="white", markersize=9, markeredgewidth=2.5)
        if next_unit is not None:
            star = {"color": NEXT_COLOR, "markeredgecolor": "white", "markersize": 20}
            ax.plot(*next_unit, "*", **star)
        ax.set(title=title, xlabel=task.axes[0], xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        _draw_ticks(ax.xaxis, task.space.ranges[0])
    axes[0].set_ylabel(task.axes[1])
    _draw_ticks(axes[0].yaxis, task.space.ranges[1])


def _draw_scores(ax: Axes, task: Problem, warp: Warp) -> None:
    """Labels the axis, which is warped as the losses were, with round values of the score: a few, and
    between them finer ones where there is room.
    """
    if warp.feasible.sum() < 3:
        return
    low, high = ax.get_ylim()
    bounds = sorted(task.factor * warp.as_measured([low, high]))
    ticks: dict[float, float] = {}  # height -> value
    for count in (4, 20):
        for value in MaxNLocator(count).tick_values(*bounds):
            (height,) = warp.as_heard([task.factor * value])
            room = min((abs(height - tick) for tick in ticks), default=math.inf)
            if bounds[0] <= value <= bounds[1] and room > 0.13 * (high - low):
                ticks[height] = value
    ax.set_yticks(list(ticks), [f"{value + 0.0:.2g}" for value in ticks.values()])


def _draw_ticks(axis: Axis, row: Any) -> None:
    """A few values of a row of the space at their unit coordinates."""
    values = [row.from_unit(u) for u in (0, 0.25, 0.5, 0.75, 1)]
    axis.set_ticks([row.to_unit(value) for value in values], [f"{value:.2g}" for value in values])


# --- the sentence ---------------------------------------------------------------------------------


def _coordinates(task: Problem, values: tuple) -> str:
    return ", ".join(f"{axis} {value:.3g}" for axis, value in zip(task.axes, values))


def _best_so_far(trials: Trials) -> str:
    task = trials.task
    n_trials = len(trials.losses)
    n_diverged = int(np.isnan(trials.losses).sum())
    if n_trials == n_diverged:
        return f"{n_trials} trials."
    best = int(np.nanargmin(trials.losses))
    failures = f", {n_diverged} of them diverged" if n_diverged else ""
    return (
        f"{n_trials} trials{failures}; the best: {task.score}"
        f" {task.factor * trials.losses[best]:.3g} at {_coordinates(task, trials.points[best])}."
    )


def _forecast(trials: Trials, warp: Warp, next_point: tuple | None) -> str:
    """What the process expects of the next trial, in measured units."""
    if next_point is None:
        return ""
    task = trials.task
    request = f"Asked for {_coordinates(task, next_point)}"
    if posterior(trials) is None:
        return f"{request}, as the first design has it."
    tuner = tuner_of(trials)
    mean, std, _ = (float(x[0]) for x in tuner.posterior([task.space.point(next_point)]))
    wide = math.hypot(std, tuner.noise())
    losses = warp.as_measured([mean, mean - 2 * wide, mean + 2 * wide])
    middle, *interval = task.factor * losses
    chance = norm.cdf((warp.heard[warp.feasible].min() - mean) / wide)
    return (
        f"{request}: it expects {task.score} {middle:.2g} (95 % of such trials: {min(interval):.2g} to"
        f" {max(interval):.2g}), and beats the best with a chance of {100 * chance:.0f} %."
    )


# --- the buttons ----------------------------------------------------------------------------------


def _restart(panel: Panel, name: str) -> None:
    if name != "truth":
        _start(panel)


def _trials_of(panel: Panel) -> Trials:
    return Trials(*(panel.values[name] for name in Trials._fields))


def _room_for(panel: Panel, count: int) -> int:
    """How many trials there will be after so many more; 0, which the picture explains, if there are
    as many as it can show.
    """
    before = len(panel.state["points"])
    if before < MOST:
        return min(MOST, before + count)
    panel.set(note=f"{MOST} trials are enough for a picture. Start again.")
    return 0


def _ask(panel: Panel) -> None:
    if not panel.running and _room_for(panel, 1):
        panel.set(next_point=suggestion(_trials_of(panel)), note="Press tell.")


def _tell(panel: Panel) -> None:
    if not panel.running:
        panel.run(search(_trials_of(panel), _room_for(panel, 1)))


def _ask_and_tell(panel: Panel) -> None:
    panel.run_or_stop(search(_trials_of(panel), _room_for(panel, MANY)), "many")


def _start(panel: Panel) -> None:
    """Starts again with the first design, which takes a moment if networks are trained."""
    panel.stop()
    panel.set(points=(), losses=(), next_point=None, note="")
    panel.run(search(_trials_of(panel), FIRST))
