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

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from rnnkit import paper
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
# standard deviations of logarithms: between searches, and between the trials of a search
LUCK = 0.1
NOISE = 0.05


def rates_without_effect(times: int = 20, seed: int = 0) -> pd.DataFrame:
    """How often each rule says "holds", and how often it says "fails", of simulated trials without
    an effect: shares of `times` tables, a row for each claim and kind of network.

    Both shares should be at most a tenth. One table of every kind takes about a second, and the same
    seed gives the same shares.
    """
    counts = {}
    for number in range(times):
        rng = np.random.default_rng([seed, number])
        for kind, frames in (("idle", idle(rng)), ("alike", alike(rng))):
            for name, frame in frames.items():
                ids = ALIKE if kind == "alike" else IDLE
                for id, finding in findings(tables_of(name, frame), ids).items():
                    counts.setdefault((id, kind), []).append(finding.verdict)
    table = [
        [
            id,
            paper.CLAIMS[id].text,
            kind,
            len(verdicts),
            verdicts.count(HOLDS) / len(verdicts),
            verdicts.count(FAILS) / len(verdicts),
        ]
        for id in paper.CLAIMS
        for kind in ("idle", "alike")
        if (verdicts := counts.get((id, kind)))
    ]
    return SmallTable(table, columns=["id", "claim", "networks", "tables", "holds", "fails"])


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
    again = _hard(
        rng,
        "parens_counting",
        (1,),
        near_chance(chance("parens_counting", "small")),
        tuner="rerun",
        trials=30,
    )
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
        "fig2b": _capacity_by_steps(rng, capacity),
        "calibration": _linear(rng, capacity),
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
    random = _hard(
        rng,
        "parens_counting",
        (1, 8),
        with_solutions(levels["parens_counting"], 0.3),
        tuner="random",
        trials=100,
    )
    bits = _capacity(rng, capacity)
    return {
        "fig1": bits,
        "fig2a": bits,
        "fig2b": _capacity_by_steps(rng, capacity),
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
    networks = itertools.product(unrolls, sizes, depths, architectures)
    for unroll, size, depth, architecture in networks:
        if architecture != "+rnn" or depth != 1:
            n_bits = bits(trials) * size
            samples = 1 + rng.random(trials)
            hparams = [
                {"samples_per_param": ratio, "nonlinearity": s}
                for ratio, s in zip(samples * n_bits / size, rng.choice(["tanh", "relu"], trials))
            ]
            study = _study(
                rng,
                "per_cap",
                architecture,
                depth,
                size,
                -n_bits,
                hparams=hparams,
                unroll=unroll,
                form="",
                n_in=20,
            )
            parts.append(study)
    return pd.concat(parts, ignore_index=True)


def _capacity_by_steps(rng: np.random.Generator, bits: Losses) -> pd.DataFrame:
    return _capacity(rng, bits, (1_000,), (1,), (1, 2, 5, 12))


def _linear(rng: np.random.Generator, bits: Losses) -> pd.DataFrame:
    return _capacity(rng, bits, (100, 300, 1_000), (0,), (1,), ("linear",))


def _losses(
    rng: np.random.Generator, task: str, loss: Losses, units: Sequence[int] = (), n_in: int = 64
) -> pd.DataFrame:
    parts = []
    for depth, architecture in itertools.product((1, 2), paper.ARCHITECTURES):
        if architecture != "+rnn" or depth != 1:
            maps = MAPS[architecture]
            networks = [(maps * depth * n * (n + n_in), n) for n in units] or [
                (size, int(math.sqrt(size / maps / depth))) for size in (1_000, 4_000, 16_000)
            ]
            parts += [
                _study(
                    rng, task, architecture, depth, size, loss(24), unroll=12, n_in=n_in, n_units=n
                )
                for size, n in networks
            ]
    return pd.concat(parts, ignore_index=True)


def _hard(
    rng: np.random.Generator,
    task: str,
    depths: Sequence[int],
    loss: Losses,
    tuner: str = "gp",
    trials: int = 48,
) -> pd.DataFrame:
    parts = []
    for depth, architecture in itertools.product(depths, paper.ARCHITECTURES):
        if architecture != "+rnn" or depth != 1:
            losses = loss(trials)
            accuracy = rng.random(trials) * 0.1
            study = _study(
                rng,
                task,
                architecture,
                depth,
                2_000,
                losses,
                tuner=tuner,
                divergence=0.2,
                accuracy=accuracy,
            )
            parts.append(study)
    return pd.concat(parts, ignore_index=True)


def _study(
    rng: np.random.Generator,
    task: str,
    architecture: str,
    depth: int,
    size: int,
    loss: np.ndarray,
    hparams: list[dict] | None = None,
    unroll: int = 50,
    form: str = "small",
    n_in: int = 27,
    n_units: int = 20,
    tuner: str = "gp",
    divergence: float = 0.1,
    accuracy: ArrayLike = math.nan,
) -> pd.DataFrame:
    """The trials of one study. The share `divergence` of them has no loss; steps and seconds are
    random, and nothing depends on them.
    """
    bad = rng.random(len(loss)) < divergence
    loss = np.where(bad, math.nan, loss)
    steps = np.exp(rng.uniform(math.log(50_000), math.log(200_000), len(loss))).astype(int)
    trials = {
        "study": f"{task}/{architecture}/layers={depth}/params={size}/unroll={unroll}/{tuner}",
        "architecture": architecture,
        "task_type": task,
        "hparams": hparams or [{}] * len(loss),
        "n_layers": depth,
        "hyper_iter": np.arange(len(loss)),
        "max_params": size,
        "num_params": size,
        "train_loss": loss,
        "valid_loss": loss,
        "eval_loss": loss,
        "infeasible": bad,
        "steps": steps,
        "seconds": 10 * np.exp(rng.normal(0, 0.2, len(loss))),
        "seed": 1,
        "scale": "simulated",
        "device": "none",
        "version": "",
        "created": "",
        "n_in": n_in,
        "unroll": unroll,
        "tuner": tuner,
        "n_units": n_units,
        "form": form,
        "accuracy": np.where(bad, math.nan, accuracy),
        "commit": "",
        "torch": "",
    }
    return pd.DataFrame(trials)


def _kept_of_nothing(bits: pd.DataFrame) -> list:
    """The column `kept` of networks that stored nothing, and so keep nothing: one per study."""
    empty = {"whole": [0.0], "range": [0.0] * 16, "clipped": [0.0] * 16}
    return [empty if index == 0 else None for index in bits.hyper_iter]
