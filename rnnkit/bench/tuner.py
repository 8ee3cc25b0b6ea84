"""The tuner: seconds for a round, and how fast it finds good hyper-parameters against random search and skopt's own Gaussian process.

Both test functions have the spaces that studies have: numbers, whole numbers on logarithmic ranges, choices. In hartmann few dimensions
matter and a region is infeasible. All tuners are asked for rounds of 16 trials; skopt's own starts from the same first round as ours.
"""

import json
import math
import os
import platform
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from skopt import Optimizer

from rnnkit.hparams import Choice, IntLog, Log, Space, Uniform
from rnnkit.tuner import GPTuner, RandomTuner, observed

ROUND = 16
OBSERVED = (100, 500, 1_000, 2_500)
AT = (16, 32, 48, 64, 96, 128, 256)  # trials at which the best so far is printed


def main(json_path=None):
    """`rnnkit bench tuner`: prints the tables and writes the JSON file, if one is named."""
    from rnnkit.studies import Study

    def study(architecture):
        return Study("per_cap", architecture, n_layers=1, max_params=300, train_steps=(1_000, 3_000))

    return run(json_path, studies=[study(architecture) for architecture in ("rnn", "gru")])


def run(json_path=None, quick=False, studies=(), say=print) -> dict:
    """Prints the tables, with one for each study given, and returns what the JSON file holds. `quick` checks that all of it runs."""
    seeds, trials, small, observations = (1, 32, 32, (100,)) if quick else (5, 256, 64, OBSERVED)
    say("seconds for suggest(16), one thread, 25 mixed dimensions")
    seconds = {}
    for n in observations:
        seconds[n] = suggest_seconds(n)
        say(f"{n:>7} observed trials {seconds[n][0]:8.2f}   without a new fit of the kernel {seconds[n][1]:8.2f}")
    best = {}
    for name, (space, loss) in FUNCTIONS.items():
        say(f"\n{name}: least loss so far, median of seeds")
        curves = {tuner: [curve(TUNERS[tuner](space, seed), loss, trials) for seed in range(seeds)] for tuner in ("gp", "random")}
        curves["skopt"] = [curve(TUNERS["skopt"](space, seed), loss, small) for seed in range(seeds)]
        best[name] = _table(curves, say)
    for study in studies:
        name = f"{study.task_type} {study.architecture}, {study.max_params} parameters"
        say(f"\n{name}: least validation loss so far, median of seeds")
        curves = real(study, small if quick else 96, range(seeds)) | real(study, small, range(seeds), ("skopt",))
        best[name] = _table(curves, say)
    result = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), "seconds": seconds, "best": best}
    if json_path:
        Path(json_path).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def suggest_seconds(n: int) -> tuple[float, float]:
    """Seconds of a round after n observed trials for a tuner just built, and for one whose kernel is fitted."""
    space, loss = FUNCTIONS["hartmann"]
    points, tuner = RandomTuner(space, seed=1).suggest(n), GPTuner(space, seed=0)
    tuner.observe(points, [loss(point) for point in points])
    seconds = []
    for _ in range(2):
        begun = time.perf_counter()
        tuner.suggest(ROUND)
        seconds.append(time.perf_counter() - begun)
    return tuple(seconds)


def curve(tuner, loss, trials: int) -> list[float]:
    """Least loss so far after each trial; NaN while every trial was infeasible."""
    losses = []
    while len(losses) < trials:
        points = tuner.suggest(ROUND, start=len(losses))
        new = [loss(point) for point in points]
        tuner.observe(points, new)
        losses += new
    return np.fmin.accumulate(losses).tolist()


def real(study, trials: int = 96, seeds=range(5), tuners=("gp", "random"), device="cpu") -> dict:
    """The same curves on a study, each of `seeds` with data, weights and tuner of its own: tuner -> one curve a seed."""
    from rnnkit.training import train

    def one(name, seed):
        here, tuner, losses = replace(study, seed=seed), TUNERS[name](study.space, seed), []
        while len(losses) < trials:
            points = tuner.suggest(ROUND, start=len(losses))
            outcomes = train(here, points, list(range(len(losses), len(losses) + ROUND)), device=device)
            new = [math.nan if outcome.infeasible else outcome.valid_loss for outcome in outcomes]
            tuner.observe(points, new)
            losses += new
        return np.fmin.accumulate(losses).tolist()

    return {name: [one(name, seed) for seed in seeds] for name in tuners}


class SkoptTuner:
    """skopt as it comes: Optimizer(space, "GP", acq_func="EI"), rounds by its constant liar. It refits for each point: small n only."""

    def __init__(self, space: Space, seed: int):
        self.space, self.first = space, GPTuner(space, seed)
        self.optimizer = Optimizer(space.skopt().dimensions, "GP", n_initial_points=ROUND, acq_func="EI", random_state=seed)
        self.points, self.losses = [], []

    def suggest(self, count, start=0):
        if not self.losses:
            return self.first.suggest(count, start)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [self.space.point(values) for values in self.optimizer.ask(count, strategy="cl_min")]

    def observe(self, hparams, losses):
        """skopt refuses NaN, so infeasible trials are told as ours are: the worst feasible loss so far plus half the range."""
        points, losses = observed(self.space, hparams, losses)
        self.points, self.losses = self.points + points, self.losses + losses
        feasible = [loss for loss in self.losses if math.isfinite(loss)]
        worst = max(feasible) + (max(feasible) - min(feasible)) / 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.optimizer.tell(points, [loss if math.isfinite(loss) else worst for loss in losses])


TUNERS = {"gp": GPTuner, "random": RandomTuner, "skopt": SkoptTuner}


def _table(curves, say) -> dict:
    """Says the median curve of each tuner, and returns it at the trials that are said."""
    longest = max(len(c[0]) for c in curves.values())
    at = [n for n in AT if n <= longest]
    say("trials".rjust(8) + "".join(f"{n:>9}" for n in at) + "   seeds")
    table = {}
    for name, runs in curves.items():
        middle = np.median(runs, axis=0)
        table[name] = {n: float(middle[n - 1]) for n in at if n <= len(middle)}
        cells = "".join(f"{table[name][n]:9.3f}" if n in table[name] else "        -" for n in at)
        say(f"{name:>8}{cells}{len(runs):8}")
    return table


# --- the test functions


HARTMANN_SPACE = Space((
    *(Log(f"scale_{i}", 1e-3, 2.0) for i in range(9)), *(Uniform(f"bias_{i}", -2.0, 2.0) for i in range(6)),
    Log("lr", 1e-4, 1e-1), Log("decay", 1e-3, 1.0), Uniform("momentum", 1.0, 7.0), Log("clip", 1.0, 100.0), Log("l2", 1e-8, 1e-3),
    IntLog("steps", 4_000, 10_000), Choice("optimizer", ("SGD", "momentum", "RMSProp", "Adam")),
    Choice("init", ("identity", "orthogonal", "normal")), Choice("bias_init", ("delta", "normal")),
    Choice("nonlinearity", ("relu", "tanh")),
))  # fmt: skip
HARTMANN_A = np.array([[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]])
HARTMANN_P = 1e-4 * np.array([
    [1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
    [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381],
])  # fmt: skip
WORTH = {"SGD": 0.6, "momentum": 0.85, "RMSProp": 0.95, "Adam": 1.0, "identity": 0.8, "orthogonal": 1.0, "normal": 0.9}


def hartmann(point) -> float:
    """Hartmann's six-dimensional function in 25 dimensions: six matter much, two choices scale it, seven matter little. Least: -3.32.

    Where the learning rate and a scale are both large, and for a large scale under one initialisation, it is infeasible.
    """
    u = dict(zip(HARTMANN_SPACE.names, HARTMANN_SPACE.to_unit(point)))
    if point["optimizer"] != "SGD" and u["lr"] + u["scale_0"] / 2 > 1.05 or point["init"] == "normal" and u["scale_1"] > 0.85:
        return math.nan
    x = np.array([u[name] for name in ("scale_0", "scale_1", "bias_0", "lr", "momentum", "steps")])
    depth = np.exp(-(HARTMANN_A * (x - HARTMANN_P) ** 2).sum(1)) @ [1.0, 1.2, 3.0, 3.2]
    rest = np.mean([(u[f"scale_{i}"] - 0.6) ** 2 for i in range(2, 9)])
    return float(rest - depth * WORTH[point["optimizer"]] * WORTH[point["init"]])


LEVY_SPACE = Space((
    *(Log(f"a_{i}", 1e-3, 1.0) for i in range(8)), *(Uniform(f"b_{i}", -2.0, 2.0) for i in range(8)),
    IntLog("n_0", 10, 1_000), IntLog("n_1", 1, 12), Choice("c_0", ("a", "b", "c")), Choice("c_1", ("x", "y")),
))  # fmt: skip
ROTATION = np.linalg.qr(np.random.default_rng(1).standard_normal((18, 18)))[0]
CENTRE = np.random.default_rng(2).uniform(0.2, 0.8, 18)


def levy(point) -> float:
    """Levy's function of 18 rotated numbers, so that each matters and none alone, scaled by two choices. Least: 0.1."""
    w = 1 + ROTATION @ (LEVY_SPACE.to_unit(point)[:18] - CENTRE) * 1.5
    bumps = (w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2)
    value = np.sin(np.pi * w[0]) ** 2 + bumps.sum() + (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2)
    return float(value * {"a": 1.0, "b": 1.5, "c": 2.0}[point["c_0"]] * {"x": 1.0, "y": 1.3}[point["c_1"]] + 0.1)


FUNCTIONS = {"hartmann": (HARTMANN_SPACE, hartmann), "levy": (LEVY_SPACE, levy)}
