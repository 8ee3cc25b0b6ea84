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

import numpy as np
import pandas as pd

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


def idle(rng) -> dict[str, pd.DataFrame]:
    """Figure -> trials of networks that learned nothing."""

    def capacity(count):
        return IDLE_BITS * _luck(rng, count)

    def near_chance(level):
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


def alike(rng) -> dict[str, pd.DataFrame]:
    """Figure -> trials of networks that learn equally well, whatever their architecture."""

    def capacity(count):
        return ALIKE_BITS * _luck(rng, count)

    def with_solutions(level, share):
        def draw(count):
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


def _luck(rng, count):
    """Factors of the trials of one search: the luck of the search, times the noise of each trial."""
    return math.exp(rng.normal(0, LUCK)) * np.exp(-np.abs(rng.normal(0, NOISE, count)))


def _capacity(
    rng,
    bits,
    sizes=(300, 1_000, 3_000),
    depths=(1, 2),
    unrolls=(5,),
    architectures=paper.ARCHITECTURES,
):
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
            settings = {"hparams": hparams, "unroll": unroll, "form": "", "n_in": 20}
            parts.append(_study(rng, "per_cap", architecture, depth, size, -n_bits, **settings))
    return pd.concat(parts, ignore_index=True)


def _capacity_by_steps(rng, bits):
    return _capacity(rng, bits, (1_000,), (1,), (1, 2, 5, 12))


def _linear(rng, bits):
    return _capacity(rng, bits, (100, 300, 1_000), (0,), (1,), ("linear",))


def _losses(rng, task, loss, units=(), n_in=64):
    parts = []
    for depth, architecture in itertools.product((1, 2), paper.ARCHITECTURES):
        if architecture != "+rnn" or depth != 1:
            maps = MAPS[architecture]
            networks = [(maps * depth * n * (n + n_in), n) for n in units] or [
                (size, int(math.sqrt(size / maps / depth))) for size in (1_000, 4_000, 16_000)
            ]
            shape = {"n_in": n_in, "unroll": 12}
            parts += [
                _study(rng, task, architecture, depth, size, loss(24), n_units=n, **shape)
                for size, n in networks
            ]
    return pd.concat(parts, ignore_index=True)


def _hard(rng, task, depths, loss, tuner="gp", trials=48):
    parts = []
    for depth, architecture in itertools.product(depths, paper.ARCHITECTURES):
        if architecture != "+rnn" or depth != 1:
            losses = loss(trials)
            accuracy = rng.random(trials) * 0.1
            settings = {"tuner": tuner, "divergence": 0.2, "accuracy": accuracy}
            parts.append(_study(rng, task, architecture, depth, 2_000, losses, **settings))
    return pd.concat(parts, ignore_index=True)


def _study(
    rng,
    task,
    architecture,
    depth,
    size,
    loss,
    hparams=None,
    unroll=50,
    form="small",
    n_in=27,
    n_units=20,
    tuner="gp",
    divergence=0.1,
    accuracy=math.nan,
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
