"""How often the rules that judge the paper's claims find an effect where there is none.

The rules are tried on simulated trials of two kinds. *Idle* networks learn nothing: whatever is
measured of them is noise around chance, the same for all architectures, sizes and depths. *Alike*
networks do learn, but nothing except luck makes a difference: not the architecture, the depth, the
nonlinearity or the number of steps unrolled.

Some claims are tried on idle networks alone. A claim that there is hardly a difference is true of
networks that are alike. And a claim about a level depends on the level at which they are made.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.checks import whole_number
from rnnkit.exhibits.base import tables_of
from rnnkit.exhibits.finding import FAILS, HOLDS
from rnnkit.exhibits.selection import HARD
from rnnkit.exhibits.verdicts import findings
from rnnkit.markup import SmallTable
from rnnkit.theory import MAPS, chance

# claims about random hyper-parameters: these are tried on networks that are alike, and on no others
AT_RANDOM = ("H01", "H02", "H04", "H05", "H06", "H07", "H07b")
ALIKE = ("C06", "C07", "C08", "C09", "C10", "C13", "P01", "P04", "P05", "G04", *AT_RANDOM)
NEVER = ("C05", "G03")  # C05 has no verdict, and G03 is a count without noise
IDLE = tuple(id for id in paper.CLAIMS if id not in (*NEVER, *AT_RANDOM))
# bits per parameter
IDLE_BITS = 0.3
ALIKE_BITS = 4.0
# the number of trials of a search -> their losses, or their bits per parameter
Losses = Callable[[int], np.ndarray]
STEPS = (1, 2, 5, 12)  # time steps unrolled
# standard deviations of logarithms: between searches, and between the trials of a search
LUCK = 0.1
NOISE = 0.05


def rates_without_effect(times: int = 20, seed: int = 0) -> pd.DataFrame:
    """How often each rule says "holds", and how often it says "fails", of simulated trials without
    an effect: shares of `times` tables, a row for each claim and kind of network.

    Both shares should be at most a tenth. One table of every kind takes about a second, and the same
    seed gives the same shares. ValueError unless both are whole numbers, `times` of at least 1.
    """
    whole_number("times", times, 1)
    whole_number("seed", seed, 0)
    records = []
    for number in range(times):
        rng = np.random.default_rng([seed, number])
        for kind, frames, ids in (("idle", idle(rng), IDLE), ("alike", alike(rng), ALIKE)):
            for name, frame in frames.items():
                verdicts = findings(tables_of(name, frame), ids)
                records += [(id, kind, finding.verdict) for id, finding in verdicts.items()]
    verdicts = pd.DataFrame(records, columns=["id", "networks", "verdict"])
    table = verdicts.groupby(["id", "networks"], sort=False).verdict.agg(
        tables="size",
        holds=lambda verdict: (verdict == HOLDS).mean(),
        fails=lambda verdict: (verdict == FAILS).mean(),
    )
    table = table.reset_index().sort_values(
        "id", key=lambda ids: ids.map([*paper.CLAIMS].index), kind="stable", ignore_index=True
    )
    table.insert(1, "claim", [paper.CLAIMS[id].text for id in table.id])
    return SmallTable(table)


def idle(rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Figure -> trials of networks that learned nothing."""

    def capacity(count: int) -> np.ndarray:
        return IDLE_BITS * _luck(rng, count)

    def near_chance(level: float) -> Losses:
        return lambda count: level * np.exp(np.abs(rng.normal(0, NOISE / 5, count)))

    bits = _capacity(rng, capacity)
    hard = pd.concat(
        [_hard(rng, task, (1, 2, 8), near_chance(chance(task, "small"))) for task in HARD],
        ignore_index=True,
    )
    level = chance("parens_counting", "small")
    again = _hard(rng, "parens_counting", (1,), near_chance(level), tuner="rerun", trials=30)
    searches = hard[(hard.task_type == "parens_counting") & (hard.n_layers == 1)]
    memory = _losses(rng, "mem_thru", near_chance(1.0), units=(32, 48, 64, 96), n_in=64)
    text = [
        _losses(rng, task, near_chance(chance(task)), n_in=n_in)
        for task, n_in in (("text8", 27), ("rcf", 50))
    ]
    return {
        "fig1": bits,
        "figapp1": bits,
        "fig2a": bits,
        "fig2b": _capacity(rng, capacity, (1_000,), (1,), STEPS),
        "calibration": _capacity(rng, capacity, (100, 300, 1_000), (0,), (1,), ("linear",)),
        "quantised": bits.assign(eval_loss=0.0, kept=_kept_of_nothing(bits)),
        "fig2c": memory,
        "g01": memory,
        "fig3": pd.concat(text, ignore_index=True),
        "fig4": hard,
        "given_time": hard,
        "tableapp1": pd.concat([again, searches], ignore_index=True),
    }


def alike(rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Figure -> trials of networks that learn equally well, whatever their architecture."""

    def capacity(count: int) -> np.ndarray:
        return ALIKE_BITS * _luck(rng, count)

    def with_solutions(level: float, share: float) -> Losses:
        def draw(count: int) -> np.ndarray:
            return level * np.where(
                rng.random(count) < share,
                0.05 * np.exp(rng.normal(0, 1, count)),
                1 + np.abs(rng.normal(0, 0.01, count)),
            )

        return draw

    levels = {task: chance(task, "small") for task in HARD}
    hard = pd.concat(
        [_hard(rng, task, (1, 2, 8), with_solutions(level, 0.2)) for task, level in levels.items()],
        ignore_index=True,
    )
    solutions = with_solutions(levels["parens_counting"], 0.3)
    random = _hard(rng, "parens_counting", (1, 8), solutions, tuner="random", trials=100)
    bits = _capacity(rng, capacity)
    return {
        "fig1": bits,
        "fig2a": bits,
        "fig2b": _capacity(rng, capacity, (1_000,), (1,), STEPS),
        "fig4": hard,
        "given_time": hard,
        "fig5": random,
        "table1": random,
        "tableapp2": random,
    }


def _luck(rng: np.random.Generator, count: int) -> np.ndarray:
    """Factors of the trials of one search: the luck of the search, times the noise of each trial."""
    return math.exp(rng.normal(0, LUCK)) * np.exp(-np.abs(rng.normal(0, NOISE, count)))


def _capacity(
    rng: np.random.Generator,
    bits: Losses,
    sizes: Sequence[int] = (300, 1_000, 3_000),
    depths: Sequence[int] = (1, 2),
    unrolls: Sequence[int] = (5,),
    architectures: Iterable[str] = paper.ARCHITECTURES,
) -> pd.DataFrame:
    parts = []
    trials = 32
    networks = itertools.product(unrolls, sizes, _trained(depths, architectures))
    for unroll, size, (depth, architecture) in networks:
        n_bits = bits(trials) * size
        samples = 1 + rng.random(trials)
        hparams = [
            {"samples_per_param": ratio, "nonlinearity": s}
            for ratio, s in zip(samples * n_bits / size, rng.choice(["tanh", "relu"], trials))
        ]
        network = ("per_cap", architecture, depth, size)
        columns: dict[str, Any] = {"hparams": hparams, "unroll": unroll, "form": "", "n_in": 20}
        parts.append(_study(rng, *network, -n_bits, **columns))
    return _table(parts)


def _trained(
    depths: Iterable[int], architectures: Iterable[str] = paper.ARCHITECTURES
) -> list[tuple[int, str]]:
    """The depths and architectures that there are: +RNN has no depth 1."""
    pairs = itertools.product(depths, architectures)
    return [(depth, a) for depth, a in pairs if a != "+rnn" or depth != 1]


def _losses(
    rng: np.random.Generator, task: str, loss: Losses, units: Sequence[int] = (), n_in: int = 64
) -> pd.DataFrame:
    parts = []
    for depth, architecture in _trained((1, 2)):
        maps = MAPS[architecture]
        networks = [(maps * depth * n * (n + n_in), n) for n in units] or [
            (size, int(math.sqrt(size / maps / depth))) for size in (1_000, 4_000, 16_000)
        ]
        for size, n in networks:
            network = (task, architecture, depth, size)
            parts.append(_study(rng, *network, loss(24), unroll=12, n_in=n_in, n_units=n))
    return _table(parts)


def _hard(
    rng: np.random.Generator,
    task: str,
    depths: Sequence[int],
    loss: Losses,
    tuner: str = "gp",
    trials: int = 48,
) -> pd.DataFrame:
    parts = []
    for depth, architecture in _trained(depths):
        losses = loss(trials)
        accuracy = rng.random(trials) * 0.1
        network = (task, architecture, depth, 2_000)
        parts.append(_study(rng, *network, losses, 0.2, tuner=tuner, accuracy=accuracy))
    return _table(parts)


def _study(
    rng: np.random.Generator,
    task: str,
    architecture: str,
    depth: int,
    size: int,
    loss: np.ndarray,
    divergence: float = 0.1,
    **columns: Any,
) -> dict[str, Any]:
    """The trials of one study, with these values in other `columns`: each column's value of all
    trials, or an array or list of their values. The share `divergence` of them has no loss; steps
    and seconds are random, and nothing depends on them.
    """
    count = len(loss)
    bad = rng.random(count) < divergence
    loss = np.where(bad, math.nan, loss)
    steps = np.exp(rng.uniform(math.log(50_000), math.log(200_000), count)).astype(int)
    trials: dict[str, Any] = {
        "architecture": architecture,
        "task_type": task,
        "hparams": [{}] * count,
        "n_layers": depth,
        "hyper_iter": np.arange(count),
        "max_params": size,
        "num_params": size,
        **dict.fromkeys(("train_loss", "valid_loss", "eval_loss"), loss),
        "infeasible": bad,
        "steps": steps,
        "seconds": 10 * np.exp(rng.normal(0, 0.2, count)),
        "seed": 1,
        "scale": "simulated",
        "device": "none",
        **dict.fromkeys(("version", "created"), ""),
        "n_in": 27,
        "unroll": 50,
        "tuner": "gp",
        "n_units": 20,
        "form": "small",
        "accuracy": math.nan,
    } | columns
    study = f"{task}/{architecture}/layers={depth}/params={size}"
    study = f"{study}/unroll={trials['unroll']}/{trials['tuner']}"
    return trials | {"study": study, "accuracy": np.where(bad, math.nan, trials["accuracy"])}


def _table(studies: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The trials of several studies of the same columns, joined column by column: a table for each
    study would take ten times as long.
    """
    counts = [len(study["hyper_iter"]) for study in studies]
    columns: dict[str, Any] = {}
    for name, value in studies[0].items():
        values = [study[name] for study in studies]
        if isinstance(value, (np.ndarray, list)):
            columns[name] = [each for part in values for each in part]
        else:
            columns[name] = np.repeat(values, counts)
    return pd.DataFrame(columns)


def _kept_of_nothing(bits: pd.DataFrame) -> list:
    """The column `kept` of networks that stored nothing, and so keep nothing: one per study."""
    empty = {"whole": [0.0], "range": [0.0] * 16, "clipped": [0.0] * 16}
    return [empty if index == 0 else None for index in bits.hyper_iter]
