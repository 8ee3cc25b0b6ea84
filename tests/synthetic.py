"""Frames of trials without any training: the best bits of a network approach c * parameters as its search goes on."""

import math

import numpy as np
import pandas as pd

CAPACITY = {"rnn": 5.2, "irnn": 3.5, "ugrnn": 5.0, "gru": 4.8, "lstm": 4.6, "+rnn": 4.4, "linear": 1.9}
RELU = 0.7  # what ReLU leaves of the capacity
DIMENSIONS = {"rnn": 15, "irnn": 12, "ugrnn": 19, "gru": 21, "lstm": 24, "+rnn": 27, "linear": 8}
MAPS = {"rnn": 1, "irnn": 1, "ugrnn": 2, "gru": 3, "lstm": 4, "+rnn": 4, "linear": 1}


def frame(sizes=(300, 1_000), depths=(1, 2), trials=32, architectures=tuple(CAPACITY)[:6], steps=(4_000, 10_000), unrolls=(5,),
          scale="quick", seed=0, pinned=(), capacity=CAPACITY, noise=0.02, found=1.0, infeasible=0.1, samples=1.1):  # fmt: skip
    """`found` is the share of the capacity that a long search finds; `samples` the dataset size of a trial over its bits."""
    rng, rows = np.random.default_rng(seed), []
    networks = [(a, depth, size, unroll) for unroll in unrolls for size in sizes for depth in depths for a in architectures]
    for architecture, depth, size, unroll in networks:
        if architecture == "+rnn" and depth < 2:
            continue
        low, high = steps
        pins = "".join(f"/{name}={value}" for name, value in pinned)
        key = (f"per_cap/{architecture}/layers={depth}/params={size}/in=50/unroll={unroll}"
               f"/steps={low}-{high}{pins}/gp/seed={seed}")  # fmt: skip
        parameters = size - 7 * MAPS[architecture]
        for trial in range(trials):
            choice = ["tanh", "relu"][int(rng.integers(2))]
            hparams = {f"row_{i}": 0.5 for i in range(DIMENSIONS[architecture] - 2)}
            hparams |= {"nonlinearity": choice} if architecture in ("rnn", "ugrnn") else {"row_last": 0.5}
            hparams |= dict(pinned)
            searched, unrolled = 1 - math.exp(-(trial + 1) * 8 / trials), 1 - 0.4 * math.exp(-(unroll - 1) / 2) * (depth > 0)
            level = capacity[architecture] * found * searched * unrolled
            if hparams.get("nonlinearity") == "relu":
                level *= RELU
            bits = parameters * level * math.exp(-abs(rng.normal(0, noise)))
            bad = trial > 0 and rng.random() < infeasible
            hparams["samples_per_param"] = samples * bits / parameters
            rows.append({
                "study": key, "architecture": architecture, "task_type": "per_cap", "hparams": hparams, "n_layers": depth,
                "hyper_iter": trial, "max_params": size, "num_params": parameters,
                "train_loss": math.nan if bad else 0.05,
                "valid_loss": math.nan if bad else -bits, "eval_loss": math.nan if bad else -bits, "infeasible": bad,
                "steps": int(rng.integers(low, high + 1)), "seconds": 1.5, "seed": seed, "scale": scale, "device": "cpu",
                "version": "0.1.0", "created": "2026-01-01T00:00:00+00:00", "n_in": 50, "unroll": unroll, "tuner": "gp",
            })  # fmt: skip
    return pd.DataFrame(rows)


def linear(sizes=(100, 300), trials=32, **settings):
    return frame(sizes, depths=(0,), trials=trials, architectures=("linear",), unrolls=(1,), **settings).assign(
        n_in=lambda f: f.max_params - 1
    )


def frames(shape: str) -> dict[str, pd.DataFrame]:
    """What the experiments of a scale give: `smoke`, `quick` or `overnight`."""
    scale, sizes, depths, trials, steps, unrolls, found = {
        "smoke": ("smoke", (150,), (1, 2), 3, (20, 60), (1, 5), 0.1),
        "quick": ("quick", (300, 1_000), (1, 2), 32, (4_000, 10_000), (1, 2, 5, 12), 0.55),
        "overnight": ("overnight", (300, 1_000, 3_000, 10_000), (1, 2, 4), 64, (10_000, 50_000), (1, 2, 3, 5, 8, 12, 20), 1.0),
    }[shape]
    same = {"trials": trials, "steps": steps, "scale": scale, "found": found}
    fig1 = frame(sizes, depths, **same)
    relu = frame(sizes, (1,), architectures=("rnn", "ugrnn"), pinned=(("nonlinearity", "relu"),), **same)
    return {
        "fig1": fig1,
        "fig2a": pd.concat([fig1[fig1.n_layers == 1], relu], ignore_index=True),
        "fig2b": frame(sizes[-1:] if shape == "smoke" else (1_000,), (1,), unrolls=unrolls, **same),
        "figapp1": fig1,
        "calibration": linear(sizes=(50,) if shape == "smoke" else (100, 300, 1_000)[: len(sizes)], **same | {"found": 1.0}),
    }
