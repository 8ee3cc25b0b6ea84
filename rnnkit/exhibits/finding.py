"""Verdicts on claims: what a verdict is, the thresholds of all rules, and what their statistics share."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from rnnkit import paper
from rnnkit.exhibits.statistics import holm, slope_loglog
from rnnkit.wording import and_list, count, label_of, pair_name, size_range

HOLDS, FAILS, UNTESTED = "holds", "fails", "not tested at this scale"
NO_NUMBERS = (  # the verdict on a claim that nothing can decide; it is not counted
    "no numbers printed in the paper"
)

# --- thresholds of the rules; each stands beside the words of the paper that it makes precise ---

# fewer trials than one round of the tuner are no search
MIN_TRIALS = 16
# the level of significance, of all tests of a claim together
SURELY = 0.05
# an interval over sizes and depths, or over architectures, needs at least so many of them
MIN_CELLS = 3
# "roughly linear": a slope within 1 +- 0.1; an interval wider than +- 0.15 cannot tell
LINEAR = 0.1
SURE = 0.15
# "about 5 bits": within a tenth
ABOUT = 0.1
# networks that store fewer bits per parameter than a perceptron were not trained well enough to show
# a difference in capacity
LEVEL = paper.PERCEPTRON_BITS
# "only small variations": the highest stores at most half as much again as the lowest
SMALL_SPREAD = 1.5
# "then saturates": a doubling of the time steps gains less than half of what it gained before
SATURATED = 0.5
# "slightly larger" dataset: b = 1.25 b(1 - H2(p)) at p = .97
SLIGHTLY = 1.25
# a hard task is solved below this multiple of chance: after long training, few trials end between the
# plateau at chance and a solution
SOLVED = 0.5
# "far harder": a best loss over chance that is within a twentieth of the other task's is as hard
STILL = 0.05
# the number of layers from which on section 4 speaks of deep networks
DEEP = 4
# "nearly perfectly": nine sums in ten
NEARLY = 0.9
# "almost never the best": at most a quarter of the wins
RARELY = 0.25
# the seed of the random sets that had been seen when the rule on signs was last changed
SEEN = 0
# a share agrees with the paper's if its whole interval lies within this distance of it
NEAR = 0.1
# the share of the signs of Table App.2 that have to agree
AGREE = 0.8
# percentage points: if the intervals are wider on average, they agree with nearly any share of Table 1
TIGHT = 25
# the fewest reruns for a mean over the original
RERUNS = 20
# multiples of chance: a loss above is finite, but a mean would show nothing but such trials
EXPLODED = 2.0
# multiples of chance above which a looser reading of Table 1 calls a trial infeasible
LOOSE = (EXPLODED, 1.1)
# "nearly perfectly reconstruct": an error of a hundredth of the variance
EXACT = 0.01
# "the same curve": within a twentieth of the variance, about the height of a marker
ON_CURVE = 0.05
# "adjusted by only a small factor": twice the parameters, which is also the spread of bits in
# Figure 1e (3 to 6)
SMALL_FACTOR = 2.0
# "learned perfectly": a hundredth of what chance costs
LEARNED = 0.01

NO_DEPTH = "depth {} is the greatest, and deep begins at {}"


class Finding(NamedTuple):
    """The verdict on a claim: our number with its 95 % interval, the verdict, and why it came out so."""

    ours: float
    low: float
    high: float
    verdict: str
    reason: str


class Pair(NamedTuple):
    """A test of one architecture against another that the claim names: its p-value, and a direction
    of -1 where the first one has the lower values.
    """

    first: str
    second: str
    p: float
    direction: int


def pairs_verdict(pairs: list[Pair], lower: bool = True) -> tuple[str, str]:
    """The verdict on "the first of each pair is the lower" (or the higher), and a few words on it.

    It holds if the test tells every pair apart in that direction, and fails if it tells any pair
    apart in the other one. p-values are corrected over all pairs, after Holm.
    """
    p = holm([pair.p for pair in pairs])
    expectation = -1 if lower else 1
    sure = [pair for pair, p_value in zip(pairs, p) if p_value <= SURELY]
    against = [pair for pair in sure if pair.direction == -expectation]
    verdict = FAILS if against else HOLDS if pairs and len(sure) == len(pairs) else UNTESTED
    phrase = f"{len(sure) - len(against)} of {count(len(pairs), 'pair')}"
    if against:
        names = and_list(pair_name(pair.first, pair.second) for pair in against)
        phrase += f", the other way {names}"
    if len(sure) < len(pairs):
        phrase += f" (of the others Holm's p is {min(q for q in p if q > SURELY):.2g} or more)"
    return verdict, phrase


def training_doubt(points: pd.DataFrame) -> str:
    """The doubt about networks of the capacity task that store, on average, less than a perceptron;
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


def is_near_one(low: float, high: float) -> bool:
    """Whether the interval of a slope says "roughly linear"."""
    is_within = 1 - LINEAR <= low and high <= 1 + LINEAR
    return is_within or low <= 1 <= high and high - low <= 2 * SURE


def mean(values: ArrayLike) -> float:
    """The mean; nan where there are no values."""
    values = np.asarray(values, float)
    return float(values.mean()) if len(values) else math.nan


def shared(table: pd.DataFrame, architectures: Iterable[str]) -> tuple[pd.DataFrame, str]:
    """The sizes and depths at which all `architectures` were trained, and a few words on those that
    had to be left out.

    Means over these rows compare like with like: +RNN, for example, has no depth 1. Where too few
    rows are common to all, the architecture with the fewest is left out if that leaves enough.
    """
    out = [a for a in architectures if a not in table]
    table = table[[a for a in architectures if a in table]]
    fewer = table.drop(columns=table.count().idxmin()) if table.shape[1] > 2 else table
    if len(table.dropna()) < MIN_CELLS <= len(fewer.dropna()):
        out = [*out, *table.columns.difference(fewer.columns)]
        table = fewer
    return table.dropna(), f" (without {', '.join(map(label_of, out))})" if out else ""


def lacking(trials: pd.DataFrame) -> str:
    """Which of the paper's architectures and depths were not trained, and whether sizes are too few;
    empty if all is there.
    """
    absent = gaps(trials)
    if trials.max_params.nunique() < MIN_CELLS:
        absent.append(f"a third size beside {size_range(trials.max_params)}")
    return f"{and_list(absent)} not trained" if absent else ""


def gaps(trials: pd.DataFrame) -> list[str]:
    """The paper's architectures and depths that the trials lack."""
    names = set(trials.architecture)
    depths = set(trials.n_layers)
    return [
        *(label_of(a) for a in paper.ARCHITECTURES if a not in names),
        *(f"depth {depth}" for depth in paper.DEPTHS if depth not in depths),
    ]


def too_few(table: pd.DataFrame) -> str:
    where = count(len(table), "common size and depth", "common sizes and depths")
    return f"{count(table.shape[1], 'architecture')} at {where}, too few to compare"


def slope_on(points: pd.DataFrame, x: str, y: str) -> tuple[float, float, float]:
    """The slope of log y on log x with Student's 95 % interval (`slope_loglog`); each task,
    architecture and depth has its own level.
    """
    levels = [name for name in ("task_type", "architecture", "n_layers") if name in points]
    return slope_loglog(points[x], points[y], points.groupby(levels).ngroup())


def of_the_paper(points: pd.DataFrame) -> pd.DataFrame:
    """The rows of the paper's architectures: cells of one's own do not touch its claims."""
    return points[points.architecture.isin(paper.ARCHITECTURES)]
