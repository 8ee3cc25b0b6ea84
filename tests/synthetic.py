"""Frames of trials without any training: the best bits of a network approach c * parameters as its
search goes on.
"""

import math
from functools import cache

import numpy as np
import pandas as pd

from rnnkit import theory

CAPACITY = {
    "rnn": 5.2,
    "irnn": 3.5,
    "ugrnn": 5.0,
    "gru": 4.8,
    "lstm": 4.6,
    "+rnn": 4.4,
    "linear": 1.9,
}
RELU = 0.7  # what ReLU leaves of the capacity
DIMENSIONS = {"rnn": 15, "irnn": 12, "ugrnn": 19, "gru": 21, "lstm": 24, "+rnn": 27, "linear": 8}
MAPS = {**theory.MAPS, "linear": 1}


def frame(
    sizes=(300, 1_000),
    depths=(1, 2),
    trials=32,
    architectures=tuple(CAPACITY)[:6],
    steps=(4_000, 10_000),
    unrolls=(5,),
    scale="quick",
    seed=0,
    pinned=(),
    capacity=CAPACITY,
    noise=0.02,
    found=1.0,
    infeasible=0.1,
    samples=1.1,
    rate=8,
):
    """`found` is the share of the capacity that a long search finds, `rate` how soon it does (8:
    half of the trials do, 1: it is open); `samples` the dataset size of a trial over its bits.
    """
    rng = np.random.default_rng(seed)
    rows = []
    networks = [
        (a, depth, size, unroll)
        for unroll in unrolls
        for size in sizes
        for depth in depths
        for a in architectures
    ]
    for architecture, depth, size, unroll in networks:
        if architecture == "+rnn" and depth < 2:
            continue
        low, high = steps
        pins = "".join(f"/{name}={value}" for name, value in pinned)
        key = (
            f"per_cap/{architecture}/layers={depth}/params={size}/in=50/unroll={unroll}"
            f"/steps={low}-{high}{pins}/gp/seed={seed}"
        )
        parameters = size - 7 * MAPS[architecture]
        for trial in range(trials):
            choice = ["tanh", "relu"][int(rng.integers(2))]
            hparams = {f"row_{i}": 0.5 for i in range(DIMENSIONS[architecture] - 2)}
            hparams |= (
                {"nonlinearity": choice} if architecture in ("rnn", "ugrnn") else {"row_last": 0.5}
            )
            hparams |= dict(pinned)
            searched = 1 - math.exp(-(trial + 1) * rate / trials)
            unrolled = 1 - 0.4 * math.exp(-(unroll - 1) / 2) * (depth > 0)
            level = capacity[architecture] * found * searched * unrolled
            if hparams.get("nonlinearity") == "relu":
                level *= RELU
            bits = parameters * level * math.exp(-abs(rng.normal(0, noise)))
            bad = trial > 0 and rng.random() < infeasible
            hparams["samples_per_param"] = samples * bits / parameters
            rows.append(
                {
                    "study": key,
                    "architecture": architecture,
                    "task_type": "per_cap",
                    "hparams": hparams,
                    "n_layers": depth,
                    "hyper_iter": trial,
                    "max_params": size,
                    "num_params": parameters,
                    "train_loss": math.nan if bad else 0.05,
                    "valid_loss": math.nan if bad else -bits,
                    "eval_loss": math.nan if bad else -bits,
                    "infeasible": bad,
                    "steps": int(rng.integers(low, high + 1)),
                    "seconds": 1.5,
                    "seed": seed,
                    "scale": scale,
                    "device": "cpu",
                    "version": "0.1.0",
                    "created": "2026-01-01T00:00:00+00:00",
                    "n_in": 50,
                    "unroll": unroll,
                    "tuner": "gp",
                }
            )
    return pd.DataFrame(rows)


def linear(sizes=(100, 300), trials=32, **settings):
    return frame(
        sizes, depths=(0,), trials=trials, architectures=("linear",), unrolls=(1,), **settings
    ).assign(n_in=lambda f: f.max_params - 1)


def frames(shape: str) -> dict[str, pd.DataFrame]:
    """What the experiments of a scale give: `smoke`, `quick` or `overnight`."""
    return {name: frame.copy() for name, frame in _frames(shape).items()}


@cache
def _frames(shape: str) -> dict[str, pd.DataFrame]:
    scale, sizes, depths, trials, steps, unrolls, found = {
        "smoke": ("smoke", (150,), (1, 2), 3, (20, 60), (1, 5), 0.1),
        "quick": ("quick", (300, 1_000), (1, 2), 32, (4_000, 10_000), (1, 2, 5, 12), 0.55),
        "overnight": (
            "overnight",
            (300, 1_000, 3_000, 10_000),
            (1, 2, 4),
            64,
            (10_000, 50_000),
            (1, 2, 3, 5, 8, 12, 20),
            1.0,
        ),
    }[shape]
    same = {"trials": trials, "steps": steps, "scale": scale, "found": found}
    fig1 = frame(sizes, depths, **same)
    relu = frame(
        sizes, (1,), architectures=("rnn", "ugrnn"), pinned=(("nonlinearity", "relu"),), **same
    )
    return {
        "fig1": fig1,
        "fig2a": pd.concat([fig1[fig1.n_layers == 1], relu], ignore_index=True),
        "fig2b": frame(sizes[-1:] if shape == "smoke" else (1_000,), (1,), unrolls=unrolls, **same),
        "figapp1": fig1,
        "calibration": linear(
            sizes=(50,) if shape == "smoke" else (100, 300, 1_000)[: len(sizes)],
            **same | {"found": 1.0},
        ),
    }


# --- tasks of sections 2.2 and 3 ---

TASKS = {  # task -> inputs, outputs, time steps
    "mem_thru": (64, 64, 12),
    "text8": (27, 27, 50),
    "rcf": (50, 1, 10),
}


def parameters(architecture, depth, units, n_in, n_out) -> int:
    """By equations 1-20: each map has a recurrent matrix, an input matrix and a bias; a learned
    state a layer, two for the LSTM.
    """
    project = architecture == "+rnn"
    total = (n_in + 1) * units if project else 0
    for layer in range(depth):
        below = n_in if layer == 0 and not project else units
        total += (
            MAPS[architecture] * (units * units + units * below + units)
            + (2 if architecture == "lstm" else 1) * units
        )
    return total + n_out * (units + 1)


def losses(
    task_type,
    level,
    sizes=(2_000, 8_000),
    units=(),
    depths=(1, 2),
    trials=32,
    architectures=tuple(CAPACITY)[:6],
    steps=(2_000, 8_000),
    scale="quick",
    form="small",
    seed=0,
    noise=0.02,
    infeasible=0.1,
    found=1.0,
    rate=8,
):
    """Trials whose best loss is `level(architecture, depth, num_params, n_units)`, times 1 /
    `found` before the search has come far, which it does at a `rate`.

    Networks have the numbers of units in `units`, or else the most that each of `sizes` allows. A
    step costs 1 us and 1 ns a parameter.
    """
    n_in, n_out, unroll = TASKS[task_type]
    rng = np.random.default_rng(seed)
    rows = []
    for architecture in architectures:
        for depth in (d for d in depths if architecture != "+rnn" or d > 1):

            def count(n):
                return parameters(architecture, depth, n, n_in, n_out)

            chosen = [(count(n), n) for n in units] or [
                (size, max(n for n in range(1, 400) if count(n) <= size)) for size in sizes
            ]
            for size, n_units in chosen:
                key = f"{task_type}/{architecture}/layers={depth}/params={size}/form={form}/gp/seed={seed}"
                best = level(architecture, depth, count(n_units), n_units)
                for trial in range(trials):
                    loss = best * (
                        1 + (1 / found - 1) * math.exp(-(trial + 1) * rate / trials)
                    ) + noise * abs(rng.normal())
                    bad = trial > 0 and rng.random() < infeasible
                    done = int(rng.integers(steps[0], steps[1] + 1))
                    loss = math.nan if bad else loss
                    rows.append(
                        {
                            "study": key,
                            "architecture": architecture,
                            "task_type": task_type,
                            "hparams": {"lr_init": 0.01},
                            "n_layers": depth,
                            "hyper_iter": trial,
                            "max_params": size,
                            "num_params": count(n_units),
                            "train_loss": loss,
                            "valid_loss": loss,
                            "eval_loss": loss,
                            "infeasible": bad,
                            "steps": done,
                            "seconds": done * (1e-6 + 1e-9 * count(n_units)),
                            "seed": seed,
                            "scale": scale,
                            "device": "cpu",
                            "version": "0.1.0",
                            "created": "2026-01-01T00:00:00+00:00",
                            "n_in": n_in,
                            "unroll": unroll,
                            "tuner": "gp",
                            "n_units": n_units,
                            "form": form,
                            "accuracy": math.nan,
                            "commit": "",
                            "torch": "",
                        }
                    )
    return pd.DataFrame(rows)


def memory(excess=0.01, units=(16, 32, 48, 56, 64, 72, 96), **settings):
    """Memory throughput: `excess` over the bound 1 - N / 64 of section 2.2."""
    return losses(
        "mem_thru",
        lambda a, d, p, n: max(0, 1 - n / 64) + excess,
        units=units,
        **{"noise": 0.002} | settings,
    )


def similar(text="small sample", spread=0.02, fall=0.2, **settings):
    """Text and random functions: losses that fall with log parameters, architectures `spread` apart
    in bits per character.
    """
    place = {a: k / 5 for k, a in enumerate(CAPACITY)}
    settings = {"noise": 0.005} | settings
    bits = losses(
        "text8",
        lambda a, d, p, n: 2.6 - fall * math.log(p / 2_000) + spread * place[a],
        form=text,
        **settings,
    )
    error = losses(
        "rcf",
        lambda a, d, p, n: 0.7 - 0.4 * fall * math.log(p / 2_000) + 0.2 * spread * place[a],
        **settings,
    )
    return pd.concat([bits, error], ignore_index=True)
