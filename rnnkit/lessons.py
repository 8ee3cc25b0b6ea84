"""Exercises of the notebooks: `rk.check("2.1a", 21)` says whether an answer is right, or what to
think about.

The questions and the worked solutions stand in the notebooks. This module has the right answers,
computed by the kit where possible, and the slips that deserve a comment of their own. Exercises
whose answer is something that was trained or written are in `practice`. Exercises are named after
their notebook: "0a" is the first one of 0_start_here, "A1" the first one of A_tuner, and "own1" the
first one of your_own_cell.
"""

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import integrate, stats

from rnnkit import paper
from rnnkit.flow import flow, setting
from rnnkit.names import resolve_name
from rnnkit.networks import num_params, units_for
from rnnkit.practice import PRACTICE, NotYet
from rnnkit.theory import mutual_information


@dataclass(frozen=True)
class Exercise:
    """An exercise with one right answer, `solution()`, within the share `tolerance` of it.

    `right` is said of the right answer. `slips` has wrong answers, each with what is said of it;
    `hint` is said of all other answers.
    """

    solution: Callable[[], float | str]
    right: str
    hint: str
    slips: dict[float | str, str] = field(default_factory=dict)
    tolerance: float = 0.01

    def __call__(self, answer: Any) -> str:
        """What is said of the right answer. NotYet, with what is said of it, for any other."""
        solution: Any = self.solution()
        word = isinstance(solution, str)
        kind: Any = str if word else numbers.Real
        if not isinstance(answer, kind) or isinstance(answer, bool):
            got = repr(answer) if len(repr(answer)) < 60 else f"a {type(answer).__name__}"
            raise NotYet(f"The answer is {'a word' if word else 'a number'}, got {got}.")
        if self.agree(answer, solution):
            return self.right
        for wrong, comment in self.slips.items():
            if self.agree(answer, wrong):
                raise NotYet(comment)
        if not word and solution <= 1 and self.agree(answer / 100, solution):
            raise NotYet("This is right in per cent: divide it by 100.")
        raise NotYet(self.hint)

    def agree(self, answer: Any, value: Any) -> bool:
        """Whether an answer is this value: numbers within the tolerance (0: exactly), words
        regardless of case and surrounding spaces.
        """
        if isinstance(value, str):
            return answer.strip().lower() == value.lower()
        return math.isclose(answer, value, rel_tol=self.tolerance, abs_tol=1e-12)


def check(name: str, answer: object = None) -> None:
    """Prints whether `answer` is right, or a hint if it is not. Without an answer it asks for one.
    ValueError for an unknown exercise.
    """
    print(verdict(name, answer)[1])


def verdict(name: str, answer: object = None) -> tuple[bool, str]:
    """Whether an answer is right, and what to say of it. ValueError for an unknown exercise."""
    exercises: dict[str, Callable[[Any], str]] = {**EXERCISES, **PRACTICE}
    name = resolve_name("exercise", name, exercises)
    if answer is None or answer is ...:
        invitation = "Put your answer in place of None and run the cell again."
        return False, f"Exercise {name}: your turn. {invitation}"
    try:
        return True, f"Exercise {name}: right. {exercises[name](answer)}"
    except NotYet as lacking:
        return False, f"Exercise {name}: not yet. {lacking}"


def _least_of_normals(count: int) -> float:
    """The expected value of the least of so many standard normal numbers."""
    return -integrate.quad(
        lambda x: x * count * stats.norm.pdf(x) * stats.norm.cdf(x) ** (count - 1), -8, 8
    )[0]


def _forget_bias_that_keeps(share: float) -> float:
    """The lowest setting of the slider of `inside_a_cell` at which the GRU's gradient keeps that
    share.
    """

    def kept(bias: float) -> float:
        return flow("gru", setting("gru", forget_bias=bias), 30, 8, traced=False).gradient_TxM[0, 0]

    return next(bias for bias in np.arange(0, 6.5, 0.5) if kept(bias) >= share)


EXERCISES = {
    "0a": Exercise(
        lambda: mutual_information(450, 500),
        "These are only 265 of 500 bits, because one wrong label in ten leaves you in doubt about all of them.",
        "Use equation 22 with b = 500 and p = 0.9: b times one minus the entropy of p, in bits.",
        {450: "This is the number of right labels. But a coin gets 250 of them right and has stored nothing.",
         400: "You have taken the right labels beyond those of a coin, and doubled them. The idea is good, but bits are counted by equation 22."},
    ),
    "0b": Exercise(
        lambda: 5 * 300,
        "A label carries at most one bit, so a data set of b labels cannot show more than b stored bits.",
        "What is the largest number of bits that one label can carry?",
        {300: "If the network learned all of these labels, it would still store only one bit per parameter.",
         60: "This is 300 / 5. Which way round must it be?"},
        tolerance=0,
    ),
    "1a": Exercise(
        lambda: num_params("gru", 1, 10, 50, 1),
        "There are three maps of 10 x 50 + 10 x 10 + 10, a learned initial state of 10, and a readout of 10 + 1.",
        "For each of the three maps of equations 5-7, count the input matrix, the recurrent matrix and the biases. Then add the rest.",
        {1841: "The initial state is learned as well.", 1840: "The initial state is learned, and the readout has a bias.",
         1830: "These are the three maps. The initial state and the readout are missing.", 631: "A GRU has three maps, not one."},
        tolerance=0,
    ),
    "1b": Exercise(
        lambda: math.ceil(math.log(0.01) / math.log(0.9)),
        "0.9 to the power of 43 is just above a hundredth, and to the power of 44 it is below. A gate of 0.99 would remember for ten times as long.",
        "With c = 0 in equation 4, the state is multiplied by g at every step.",
        {43: "0.9 ** 43 is 0.0108, which is not yet below a hundredth.",
         22: "The factor per step is 0.9, not 0.9 squared.",
         9: "The state is multiplied by g at every step; nothing is subtracted from it."},
        tolerance=0,
    ),
    "1c": Exercise(
        lambda: _forget_bias_that_keeps(0.5),
        "Each step keeps sigmoid(4) = 0.982 of the state, and 0.982 to the power of 30 is more than a half. With sigmoid(3.5) it would be less.",
        "Leave all other controls as they are, raise the forget bias, and read the sentence below the picture.",
        {1: "This is where the slider begins, and hardly anything is left of the gradient there.",
         6: "This is enough, but a lower bias is enough, too."},
        tolerance=0,
    ),
    "2.1a": Exercise(
        lambda: units_for("rnn", 1, 22, 1, 1_000),
        "21 units need 967 parameters, and 22 would need 1,035.",
        "N units need N x 22 + N x N + N parameters for the map, N for the initial state and N + 1 for the readout.",
        {22: "22 units need 1,035 parameters, which exceeds the budget.",
         14: "This is right for 50 inputs. Here there are 22."},
        tolerance=0,
    ),
    "2.1b": Exercise(
        lambda: 4.0 / 3.2,
        "If bits grow in proportion to parameters, the network that stores less per parameter needs 4.0 / 3.2 times as many of them.",
        "Both must store the same number of bits: P1 x 4.0 = P2 x 3.2.",
        {0.8: "This is the size of the first network relative to the second. The question asks for the opposite."},
    ),
    "2.2a": Exercise(
        lambda: 1 - 48 / 64,
        "What comes back lies in a space of 48 dimensions. So 16 of 64 directions are lost, each with a variance of 1.",
        "A linear readout from N numbers spans N of the 64 dimensions, and each lost direction costs its variance.",
        {0.75: "This is the share that can come back. The question asks for the error."},
    ),
    "2.2b": Exercise(
        lambda: 58,
        "1 - 57/64 is 0.109, and 1 - 58/64 is 0.094.",
        "Solve 1 - N / 64 <= 0.1 for the smallest whole N.",
        {57: "1 - 57/64 is 0.109, a little above 0.1.",
         6: "About this many units may be missing. The question asks how many are needed.",
         64: "With 64 units the error can be 0, but 0.1 is allowed."},
        tolerance=0,
    ),
    "3a": Exercise(
        lambda: math.log2(27),
        "Knowing how often each letter occurs lowers this to about 4.1 bits. To do better takes memory.",
        "A guess that gives each of n symbols a probability of 1/n costs the logarithm of n to base 2.",
        {math.log(27): "This is in nats. For bits, take the logarithm to base 2.", 27: "This is the number of symbols."},
    ),
    "3b": Exercise(
        lambda: 5000 * (math.exp(0.5 * 5.3032) - 1),
        "The heaviest 66,000 of a million samples make up half of the loss. The other half is spread so thinly that no network gets all of it.",
        "Solve 1 - ln(1 + M / 5000) / 5.303 = 0.5 for M.",
        {500_000: "The weights fall, so the first half of the samples weighs far more than a half."},
        tolerance=0.02,
    ),
    "4a": Exercise(
        lambda: 10 * math.log(10),
        "A network that knows how often each count occurs saves nearly five nats without looking at the input. It then pays 18.21, the plateau on which runs get stuck.",
        "There are ten answers. Each is a guess among ten counts, and costs the natural logarithm of ten.",
        {math.log(10): "This is the cost of one answer, and there are ten.", 10 * math.log2(10): "This is in bits. For nats, take the natural logarithm."},
    ),
    "4b": Exercise(
        lambda: 0.567**5,
        "So even with the cell that diverges most often, at least one of five draws nearly always survives. Whether it also learns is another matter.",
        "The draws are independent, so the probabilities multiply.",
        {0.567: "This is the probability for one draw.",
         1 - 0.567**5: "This is the probability that not all of them diverge.",
         0.433**5: "This is the probability that none of them diverges."},
        tolerance=0.02,
    ),
    "5a": Exercise(
        lambda: 32 / paper.BITS_PER_PARAMETER,
        "If the paper is right, float32 spends more than six times as many bits as a trained network knows.",
        "A float32 number has 32 bits, and a parameter holds five.",
        {27: "This is the number of bits that are left over. The question asks for a ratio.", 5 / 32: "This is the share of the bits that is used."},
    ),
    "5b": Exercise(
        lambda: "gru",
        "The paper found that it is the easiest to train in shallow networks, at hardly any cost in capacity.",
        "Read the paper's advice again. It names one cell for shallow networks and another one for deep networks.",
        {"+rnn": "This is the advice for deep networks.",
         "lstm": "The paper found that the LSTM is almost never the best.",
         "rnn": "The paper found that it stores the most, but is the hardest to train."},
    ),
    "A1": Exercise(
        lambda: 1 / 3,
        "On a logarithmic scale, the three decades from 1e-4 to 1e-1 are equally likely, and one of them lies above 0.01.",
        "Log-uniform means that the logarithm is uniform. How many decades are there in all, and how many lie above 0.01?",
        {0.9: "This would be right for a uniform draw, but here the logarithm is uniform.", 2 / 3: "This is the probability of a draw below 0.01."},
    ),
    "A2": Exercise(
        lambda: 0.2 / math.sqrt(2 * math.pi),
        "A point that promises nothing on average is still worth a try, and the less is known about it, the more it is worth.",
        "If the mean equals the best, the expected improvement is the standard deviation times the normal density at 0.",
        {0: "Only a point without any doubt has no expected improvement. This one is better half of the time.",
         0.2: "This is the standard deviation.",
         0.1: "Half of the standard deviation is close, but on average a normal number is only 0.8 deviations away from its mean."},
    ),
    "B1": Exercise(
        lambda: 2 * len("-10000000") + 2,
        "There are two numbers of nine symbols each, a plus sign and an equals sign.",
        "Write down the longest problem: both numbers at their longest, with a plus sign between them and an equals sign behind them.",
        {18: "The plus sign and the equals sign count as well.",
         19: "Either the plus sign or the equals sign is missing.",
         16: "Minus signs are symbols as well, and so are the plus sign and the equals sign."},
        tolerance=0,
    ),
    "B2": Exercise(
        lambda: 1.0,
        "The variance of a uniform number between -a and a is a squared divided by three.",
        "The squared error of the answer 0 is the mean square of the numbers, their variance.",
        {3: "This is the square of the largest number. The mean square is a third of it.",
         0: "Zero is right on average, but its squared error is not 0."},
    ),
    "C1": Exercise(
        lambda: 1 - 0.05 ** (1 / 100),
        "This is about three in a hundred. If none of n succeeds, the share may still be as large as 3 / n, with 95 % confidence (the rule of three).",
        "Find the share q at which all 100 reruns miss with a probability of 5 %: (1 - q) to the power of 100 is 0.05.",
        {0: "That no success was seen does not mean that there is none.",
         0.05: "At a share of 5 %, all 100 would miss with a probability of only 0.6 %. The share cannot be that large."},
        tolerance=0.03,
    ),
    "C2": Exercise(
        lambda: 1 + 0.1 * _least_of_normals(100),
        "The best of 100 equal runs looks 25 % better than they are. Rerun it, and it falls back to 1 on average.",
        "How many standard deviations below the mean is the least of 100 normal numbers, on average? You can try it with random numbers.",
        {1: "This is the mean of all runs, and of every rerun. But the best run was chosen because it was lucky."},
        tolerance=0.015,
    ),
    "own1": Exercise(
        lambda: 2 * (10 * 50 + 10 * 10 + 10) + 10 + 11,
        "There are two maps, a learned initial state and the readout.",
        "The minimal gated unit has two maps, one for the forget gate and one for the candidate. Count both, and then the rest.",
        {1831 + 20: "This is the GRU, which has three maps.", 1220: "These are the two maps. The initial state and the readout are missing."},
        tolerance=0,
    ),
    "own2": Exercise(
        lambda: math.sqrt(3 / 2),
        "It has about 22 % more units. A gate takes up room that the state could have.",
        "Where there are far more units than inputs, a cell with k maps has about k N squared parameters.",
        {1.5: "This is the ratio of the maps, but parameters grow with the square of the units.", math.sqrt(2 / 3): "This is how many units a GRU has relative to an MGU. The question asks for the opposite."},
    ),
}  # fmt: skip
