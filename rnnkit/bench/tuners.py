"""The tuner: seconds per round, and how fast it finds good hyper-parameters compared with random
search and skopt's own Gaussian process.

Both test functions have spaces like those of studies: numbers, whole numbers on logarithmic ranges,
and choices. In hartmann, few dimensions matter and a region is infeasible. All tuners suggest rounds
of 16 trials, and skopt's own starts from the same first round as ours. searches.py compares real
studies.
"""

import importlib.util
import json
import math
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from skopt.benchmarks import hart6

from rnnkit.bench.contenders import ROUND, SkoptTuner
from rnnkit.hparams import Choice, IntLog, Log, Space, Uniform
from rnnkit.tuner import GPTuner, RandomTuner, Tuner

Say = Callable[[str], object]
OBSERVED = (100, 500, 1_000, 2_500)
AT = (16, 32, 48, 64, 96, 128, 256)  # trials at which the best so far is printed


def main(json_path: str | Path | None = None, runs_path: str | Path | None = None) -> None:
    """`rnnkit bench tuner`: prints the tables and writes the JSON file, if one is named.

    With `runs_path`, a file of JSON lines, it then runs the searches of real studies that the file
    lacks, and prints their table.
    """
    run(json_path)
    if runs_path:
        from rnnkit.bench import searches

        print("\nsearches of real studies, each with the same training steps to spend")
        names = tuple(searches.NAMES)
        if importlib.util.find_spec("optuna") is None:
            print(
                "Optuna is not installed, so its searches are left out (pip install"
                " 'rnnkit[bench]')."
            )
            names = tuple(name for name in names if name != "tpe")
        searches.print_tables(searches.search_all(runs_path, names=names))


def run(json_path: str | Path | None = None, quick: bool = False, say: Say = print) -> dict:
    """Prints the tables and returns the content of the JSON file. `quick` only checks that everything
    runs.
    """
    seeds, trials, small, observations = (1, 32, 32, (100,)) if quick else (5, 256, 64, OBSERVED)
    say("seconds for suggest(16), one thread, 25 mixed dimensions")
    seconds = {}
    for n in observations:
        seconds[n] = suggest_seconds(n)
        say(
            f"{n:>7} observed trials {seconds[n][0]:8.2f}   without a new fit of the kernel"
            f" {seconds[n][1]:8.2f}"
        )
    best = {}
    for name, (space, loss) in FUNCTIONS.items():
        say(f"\n{name}: least loss so far, median of seeds")
        lengths = {"gp": trials, "random": trials, "skopt": small}
        curves = {
            tuner: [curve(TUNERS[tuner](space, seed), loss, length) for seed in range(seeds)]
            for tuner, length in lengths.items()
        }
        best[name] = _table(curves, say)
    result = {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "seconds": seconds,
        "best": best,
    }
    if json_path:
        Path(json_path).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def suggest_seconds(n: int) -> tuple[float, float]:
    """Seconds per round after n observed trials, for a new tuner and for one whose kernel is fitted."""
    space, loss = FUNCTIONS["hartmann"]
    points = RandomTuner(space, seed=1).suggest(n)
    tuner = GPTuner(space, seed=0)
    tuner.observe(points, [loss(point) for point in points])
    start = time.perf_counter()
    tuner.suggest(ROUND)
    middle = time.perf_counter()
    tuner.suggest(ROUND)
    return middle - start, time.perf_counter() - middle


def curve(tuner: Tuner, loss: Callable[[dict], float], trials: int) -> list[float]:
    """The least loss so far after each trial; NaN while every trial is infeasible."""
    losses: list[float] = []
    while len(losses) < trials:
        points = tuner.suggest(ROUND, start=len(losses))
        new = [loss(point) for point in points]
        tuner.observe(points, new)
        losses += new
    return np.fmin.accumulate(losses).tolist()


TUNERS = {"gp": GPTuner, "random": RandomTuner, "skopt": SkoptTuner}


def _table(curves: dict[str, list[list[float]]], say: Say) -> dict[str, dict[int, float]]:
    """Prints the median curve of each tuner, and returns it at the printed trials."""
    medians = {name: pd.Series(np.median(runs, axis=0)) for name, runs in curves.items()}
    table = pd.DataFrame(medians).rename(index=lambda position: position + 1).T
    table = table[[n for n in AT if n in table]].rename_axis(columns="trials")
    seeds = [len(runs) for runs in curves.values()]
    say(table.assign(seeds=seeds).to_string(float_format="{:.3f}".format, na_rep="-"))
    return {name: row.dropna().to_dict() for name, row in table.iterrows()}


# --- the test functions


HARTMANN_SPACE = Space(
    (
        *(Log(f"scale_{i}", 1e-3, 2.0) for i in range(9)),
        *(Uniform(f"bias_{i}", -2.0, 2.0) for i in range(6)),
        Log("lr", 1e-4, 1e-1),
        Log("decay", 1e-3, 1.0),
        Uniform("momentum", 1.0, 7.0),
        Log("clip", 1.0, 100.0),
        Log("l2", 1e-8, 1e-3),
        IntLog("steps", 4_000, 10_000),
        Choice("optimizer", ("SGD", "momentum", "RMSProp", "Adam")),
        Choice("init", ("identity", "orthogonal", "normal")),
        Choice("bias_init", ("delta", "normal")),
        Choice("nonlinearity", ("relu", "tanh")),
    )
)
WORTH = {
    "SGD": 0.6,
    "momentum": 0.85,
    "RMSProp": 0.95,
    "Adam": 1.0,
    "identity": 0.8,
    "orthogonal": 1.0,
    "normal": 0.9,
}


def hartmann(point: dict) -> float:
    """Hartmann's six-dimensional function in 25 dimensions: six matter much, two choices scale it, and
    seven matter little. Its minimum is -3.32.

    It is infeasible where the learning rate and a scale are both large, and for a large scale with
    one of the initialisations.
    """
    u = dict(zip(HARTMANN_SPACE.names, HARTMANN_SPACE.to_unit(point)))
    if (
        point["optimizer"] != "SGD"
        and u["lr"] + u["scale_0"] / 2 > 1.05
        or point["init"] == "normal"
        and u["scale_1"] > 0.85
    ):
        return math.nan
    x = [u[name] for name in ("scale_0", "scale_1", "bias_0", "lr", "momentum", "steps")]
    bumps = np.mean([(u[f"scale_{i}"] - 0.6) ** 2 for i in range(2, 9)])
    return float(bumps + hart6(x) * WORTH[point["optimizer"]] * WORTH[point["init"]])


LEVY_SPACE = Space(
    (
        *(Log(f"a_{i}", 1e-3, 1.0) for i in range(8)),
        *(Uniform(f"b_{i}", -2.0, 2.0) for i in range(8)),
        IntLog("n_0", 10, 1_000),
        IntLog("n_1", 1, 12),
        Choice("c_0", ("a", "b", "c")),
        Choice("c_1", ("x", "y")),
    )
)
ROTATION = np.linalg.qr(np.random.default_rng(1).standard_normal((18, 18)))[0]
CENTRE = np.random.default_rng(2).uniform(0.2, 0.8, 18)


def levy(point: dict) -> float:
    """Levy's function of 18 rotated numbers, so that each matters but none alone, scaled by two
    choices. Its minimum is 0.1.
    """
    w = 1 + ROTATION @ (LEVY_SPACE.to_unit(point)[:18] - CENTRE) * 1.5
    bumps = (w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2)
    value = (
        np.sin(np.pi * w[0]) ** 2
        + bumps.sum()
        + (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2)
    )
    return float(
        value * {"a": 1.0, "b": 1.5, "c": 2.0}[point["c_0"]] * {"x": 1.0, "y": 1.3}[point["c_1"]]
        + 0.1
    )


FUNCTIONS = {"hartmann": (HARTMANN_SPACE, hartmann), "levy": (LEVY_SPACE, levy)}
