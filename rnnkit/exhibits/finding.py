"""What the verdict on a claim is, the thresholds of all rules, and the few words that their statistics
share.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.exhibits.statistics import holm
from rnnkit.wording import and_list, count, label_of, size_range

HOLDS, FAILS, UNTESTED = "holds", "fails", "not tested at this scale"
NO_NUMBERS = (  # the verdict on a claim that nothing can decide; it is not counted
    "no numbers printed in the paper"
)
MIN_TRIALS = 16  # a network with fewer trials than a round of the tuner has not been searched for
SURELY = 0.05  # p-value, of all tests of a claim together
MIN_CELLS = 3  # sizes x depths, or architectures, that an interval over them needs
# "roughly linear": slope within 1 +- .1; an interval wider than +- .15 says nothing
LINEAR, SURE = (0.1, 0.15)
ABOUT = 0.1  # "about 5 bits": within a tenth
LEVEL = (
    paper.PERCEPTRON_BITS
)  # networks that store less than a perceptron differ in their training, not in their capacity
# "only small variations": the highest stores at most half as much again as the lowest
SMALL_SPREAD = 1.5
# "then saturates": a doubling of the time steps gains less than half of what it gained before
SATURATED = 0.5
SLIGHTLY = 1.25  # "slightly larger" dataset: b = 1.25 b(1 - H2(p)) at p = .97
# a hard task is solved below half of chance; with long training few trials end between plateau and
# solution
SOLVED = 0.5
STILL = 0.05  # "far harder": a best loss over chance within a twentieth is as hard
DEEP = 4  # layers from which on section 4 speaks of deep networks
NEARLY = 0.9  # "nearly perfectly": nine sums in ten
RARELY = 0.25  # "almost never the best": at most a quarter of the wins
SEEN = 0  # the seed whose random sets were there when the rule on signs was last changed
NEAR = 0.1  # a share is the paper's if its whole interval lies so near
NO_DEPTH = "depth {} is the greatest, and deep begins at {}"
AGREE = 0.8  # of the signs of Table App.2
# percentage points: a mean interval wider than that agrees with nearly any share of Table 1
TIGHT = 25
RERUNS = 20  # reruns that a mean over original needs
# multiples of chance: a loss above is finite, but one such trial would be all that a mean shows
EXPLODED = 2.0
# multiples of chance above which a looser reading of Table 1 calls a trial infeasible
LOOSE = (EXPLODED, 1.1)
EXACT = 0.01  # "nearly perfectly reconstruct": an error of a hundredth of the variance
# "the same curve": within a twentieth of the variance, about the height of a marker
ON_CURVE = 0.05
# "adjusted by only a small factor": twice the parameters; the spread of bits in Figure 1e (3-6) is
# as much
SMALL_FACTOR = 2.0
LEARNED = 0.01  # "learned perfectly": a hundredth of what chance costs


class Finding(NamedTuple):
    ours: float
    low: float
    high: float
    verdict: str
    reason: str


class Pair(NamedTuple):
    """One of two, named beforehand, against the other: p-value of the test, and the sign, -1 where
    the first has the lower values.
    """

    first: str
    second: str
    p: float
    direction: int


def pairs_verdict(pairs: list[Pair], lower: bool = True) -> tuple[str, str]:
    """The verdict on "the first of each pair is the lower" (or the higher), Holm's p-values over
    all, and a few words on it.

    It holds if all pairs are told apart that way, and fails if any is told apart the other way.
    """
    p, expectation = holm([pair.p for pair in pairs]), -1 if lower else 1
    sure = [pair for pair, p_value in zip(pairs, p) if p_value <= SURELY]
    against = [pair for pair in sure if pair.direction == -expectation]
    verdict = FAILS if against else HOLDS if pairs and len(sure) == len(pairs) else UNTESTED
    phrase = f"{len(sure) - len(against)} of {count(len(pairs), 'pair')}"
    if against:
        phrase += (
            ", the other way"
            f" {and_list(f'{label_of(pair.first)} - {label_of(pair.second)}' for pair in against)}"
        )
    if len(sure) < len(pairs):
        phrase += f" (of the others Holm's p is {min(q for q in p if q > SURELY):.2g} or more)"
    return verdict, phrase


def training_doubt(points: pd.DataFrame) -> str:
    """What is said of networks of the capacity task that store less than a perceptron on average;
    empty if they store more.
    """
    level = mean(of_the_paper(points).bits_per_param.dropna())
    if level >= LEVEL:
        return ""
    amount = "no bits" if math.isnan(level) else f"{level:.2f} bits per parameter"
    return (
        f"networks that store {amount}, less than a perceptron's {LEVEL:g}, differ in their"
        " training and not in their capacity"
    )


def side(limit: float, low: float, high: float, below: bool) -> str:
    """The verdict on "lies below `limit`" (or above it) of an interval: untested where the interval
    contains the limit.
    """
    if math.isnan(low) or low <= limit <= high:
        return UNTESTED
    return HOLDS if (high < limit) == below else FAILS


def mean(values) -> float:
    """The mean, nan of nothing."""
    values = np.asarray(values, float)
    return float(values.mean()) if len(values) else math.nan


def shared(table: pd.DataFrame, architectures) -> tuple[pd.DataFrame, str]:
    """The sizes and depths at which all `architectures` were trained, and a word on an architecture
    left out.

    Means over these compare like with like: +RNN has no depth 1. The architecture with the fewest
    is left out where that gives enough.
    """
    table, out = (
        table[[a for a in architectures if a in table]],
        [a for a in architectures if a not in table],
    )
    fewer = table.drop(columns=table.count().idxmin()) if table.shape[1] > 2 else table
    if len(table.dropna()) < MIN_CELLS <= len(fewer.dropna()):
        table, out = fewer, [*out, *table.columns.difference(fewer.columns)]
    return table.dropna(), f" (without {', '.join(map(label_of, out))})" if out else ""


def lacking(trials: pd.DataFrame) -> str:
    """What of the paper's architectures, depths and range of sizes was not trained; empty if
    nothing.
    """
    architectures = [label_of(a) for a in paper.ARCHITECTURES if a not in set(trials.architecture)]
    depths = [f"depth {depth}" for depth in paper.DEPTHS if depth not in set(trials.n_layers)]
    sizes = (
        [f"a third size beside {size_range(trials.max_params)}"]
        if trials.max_params.nunique() < MIN_CELLS
        else []
    )
    return (
        f"{and_list([*architectures, *depths, *sizes])} not trained"
        if architectures or depths or sizes
        else ""
    )


def too_few(table: pd.DataFrame) -> str:
    where = count(len(table), "common size and depth", "common sizes and depths")
    return f"{count(table.shape[1], 'architecture')} at {where}, too few to compare"


def of_the_paper(points: pd.DataFrame) -> pd.DataFrame:
    """Without cells of one's own, which do not touch the paper's claims."""
    return points[points.architecture.isin(paper.ARCHITECTURES)]
