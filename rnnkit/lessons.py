"""Exercises of the notebooks: `rk.check("2.1a", 14)` says whether an answer is right, or what to
think about.

The questions and the worked solutions stand in the notebooks; here is what is right, worked out by
the kit where it can, and the slips that are worth a word. Exercises whose answer is something that
was trained or written are in `practice`. Exercises are named after their notebook: "0a" is the
first of 0_start_here, "A1" the first of A_tuner, "own1" of your_own_cell.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from rnnkit import paper
from rnnkit.names import known
from rnnkit.practice import PRACTICE, NotYet


@dataclass(frozen=True)
class Exercise:
    """`expected()` is right, within the share `tolerance`; `slips` are wrong answers with a word on
    each, `hint` is for all others.
    """

    expected: Callable
    right: str
    hint: str
    slips: dict = field(default_factory=dict)
    tolerance: float = 0.01


def check(name: str, answer=None):
    """Says whether `answer` is right, or gives a hint. Without an answer it says whose turn it is.
    ValueError for an unknown exercise.
    """
    print(verdict(name, answer)[1])


def verdict(name: str, answer=None) -> tuple[bool, str]:
    """Whether an answer is right, and what is said of it. ValueError for an unknown exercise."""
    name = known("exercise", name, [*EXERCISES, *PRACTICE])
    if answer is None or answer is ...:
        return (
            False,
            f"Exercise {name}: your turn. Put your answer in place of None and run the cell again.",
        )
    if name in PRACTICE:
        return looked_at(name, answer)
    exercise = EXERCISES[name]
    expected = exercise.expected()
    kind = "a word" if isinstance(expected, str) else "a number"
    if (
        isinstance(answer, bool)
        or isinstance(answer, str) != isinstance(expected, str)
        or not isinstance(answer, (str, int, float))
    ):
        return False, f"Exercise {name}: not yet. The answer is {kind}, got {answer!r}."
    if same(answer, expected, exercise.tolerance):
        return True, f"Exercise {name}: right. {exercise.right}"
    for wrong, word in exercise.slips.items():
        if same(answer, wrong, exercise.tolerance):
            return False, f"Exercise {name}: not yet. {word}"
    return False, f"Exercise {name}: not yet. {exercise.hint}"


def looked_at(name: str, result) -> tuple[bool, str]:
    """Whether a result is what an exercise of `practice` asks for, and what is said of it."""
    try:
        return True, f"Exercise {name}: right. {PRACTICE[name].look(result)}"
    except NotYet as lacking:
        return False, f"Exercise {name}: not yet. {lacking}"


def same(answer, expected, tolerance) -> bool:
    """Numbers within the tolerance (whole ones, if it is 0, exactly); words without regard to case
    and spaces.
    """
    if isinstance(expected, str):
        return str(answer).strip().lower() == expected.lower()
    return not isinstance(answer, str) and math.isclose(
        answer, expected, rel_tol=tolerance, abs_tol=1e-12
    )


def entropy(p: float) -> float:
    """H2(p) in bits."""
    return -sum(q * math.log2(q) for q in (p, 1 - p) if q > 0)


def _units(architecture, n_in, max_params) -> int:
    from rnnkit.networks import units_for

    return units_for(architecture, 1, n_in, 1, max_params)


def _parameters(architecture, n_units, n_in) -> int:
    from rnnkit.networks import num_params

    return num_params(architecture, 1, n_units, n_in, 1)


def _steps_until(factor, left) -> int:
    return math.ceil(math.log(left) / math.log(factor))


def _least_of_normals(count) -> float:
    """Expected least of so many standard normal numbers."""
    from scipy import integrate, stats

    return -integrate.quad(
        lambda x: x * count * stats.norm.pdf(x) * stats.norm.cdf(x) ** (count - 1), -8, 8
    )[0]


def _forget_bias_that_keeps(share, steps=30, units=8) -> float:
    """The lowest setting of the slider of `inside_a_cell` at which the GRU's gradient keeps that
    share.
    """
    from rnnkit.flow import flow, setting

    biases = [bias / 2 for bias in range(13)]
    return next(
        b
        for b in biases
        if flow("gru", setting("gru", forget_bias=b), steps, units, traced=False).gradient_TxM[0, 0]
        >= share
    )


EXERCISES = {
    "0a": Exercise(
        lambda: 500 * (1 - entropy(0.9)),
        "Only 265 bits of 500: one wrong label in ten leaves you in doubt about all of them.",
        "Use equation 22 with b = 500 and p = 0.9: b times one minus the entropy of p, in bits.",
        {450: "That counts right labels; but a coin has 250 of them right, and has stored nothing.",
         400: "Right labels less what a coin would get, doubled: close in spirit, but bits are counted by equation 22."},
    ),
    "0b": Exercise(
        lambda: 5 * 300,
        "A label carries one bit at most, so a data set of b labels cannot show more than b stored bits.",
        "How many bits can one label carry at most?",
        {300: "Then every label could be learned, and it would still be one bit a parameter.",
         60: "That is 300 / 5; which way round is it?"},
        tolerance=0,
    ),
    "1a": Exercise(
        lambda: _parameters("gru", 10, 50),
        "Three maps of 10 x 50 + 10 x 10 + 10, a learned initial state of 10, and a readout of 10 + 1.",
        "Count for each of the three maps of equations 5-7 the input matrix, the recurrent matrix and one bias; then the rest.",
        {1841: "The initial state is learned, too.", 1840: "The initial state is learned, and the readout has a bias.",
         1830: "Those are the three maps; the initial state and the readout are missing.", 621: "A GRU has three maps, not one."},
        tolerance=0,
    ),
    "1b": Exercise(
        lambda: _steps_until(0.9, 0.01),
        "0.9 to the power 43 is just above a hundredth, to the power 44 below it. A gate of 0.99 would remember ten times as long.",
        "In equation 4, with c = 0, the state shrinks by the factor g at every step.",
        {43: "0.9 ** 43 is 0.0108: not below a hundredth yet.",
         22: "With g = 0.9, not 0.9 squared.",
         9: "It shrinks by a factor, not by a difference."},
        tolerance=0,
    ),
    "1c": Exercise(
        lambda: _forget_bias_that_keeps(0.5),
        "The state survives a step by the factor sigmoid(4) = 0.98, and 0.98 to the power 30 is more than a half; sigmoid(3.5) is not enough.",
        "Leave all other sliders where they begin, move the forget bias up, and read the sentence below the picture.",
        {1: "That is where the slider begins: hardly anything is left of the gradient there.",
         6: "That is enough, but it is not the lowest."},
        tolerance=0,
    ),
    "2.1a": Exercise(
        lambda: _units("rnn", 22, 1_000),
        "21 units need 967 parameters; with 22 it would be 1,035.",
        "N units need N x 22 + N x N + N for the map, N for the initial state and N + 1 for the readout.",
        {22: "22 units need 1,035 parameters, which is over the budget.",
         14: "That is with 50 inputs; here there are 22."},
        tolerance=0,
    ),
    "2.1b": Exercise(
        lambda: 4.0 / 3.2,
        "If bits grow in proportion to parameters, the one that stores less per parameter needs as many times more of them.",
        "Both shall store the same number of bits: P1 x 4.0 = P2 x 3.2.",
        {0.8: "That is the first one's share of the second one's parameters; the question is the other way round."},
    ),
    "2.2a": Exercise(
        lambda: 1 - 48 / 64,
        "What comes back lies in a space of 48 dimensions, and 16 of 64 directions are lost, each with variance 1.",
        "A linear readout from N numbers spans N dimensions of the 64; each lost direction costs its variance.",
        {0.75: "That is the share that can come back."},
    ),
    "2.2b": Exercise(
        lambda: 58,
        "1 - 57/64 is 0.109 and 1 - 58/64 is 0.094.",
        "Solve 1 - N / 64 <= 0.1 for the smallest whole N.",
        {57: "1 - 57/64 is 0.109, a little above 0.1.",
         6: "That many numbers may be missing.",
         64: "That many give an error of 0; a tenth is allowed."},
        tolerance=0,
    ),
    "3a": Exercise(
        lambda: math.log2(27),
        "And the frequencies of the letters alone bring it to about 4.1, so little is won without memory.",
        "The cost of a guess that gives each of n symbols 1/n is the logarithm of n, to base 2.",
        {math.log(27): "That is in nats; bits need the logarithm to base 2.", 27: "That is how many symbols there are."},
    ),
    "3b": Exercise(
        lambda: 5000 * (math.exp(0.5 * 5.3032) - 1),
        "The heaviest 66,000 of a million samples hold half of the loss; the other half is spread so thinly that no network gets it all.",
        "Solve 1 - ln(1 + M / 5000) / 5.303 = 0.5 for M.",
        {500_000: "The weights fall, so the first half of the samples weighs far more than a half."},
        tolerance=0.02,
    ),
    "4a": Exercise(
        lambda: 10 * math.log(10),
        "Knowing how often each count occurs saves five nats without a look at the input: 18.21 is the plateau on which runs get stuck.",
        "Ten answers, each a guess among ten counts, each of which costs the natural logarithm of ten.",
        {math.log(10): "That is one answer; there are ten.", 10 * math.log2(10): "That is in bits; nats need the natural logarithm."},
    ),
    "4b": Exercise(
        lambda: 0.567**5,
        "So even with the cell that diverges most, one draw in five nearly always does not; whether that one learns is another matter.",
        "The draws are independent, so the probabilities multiply.",
        {0.567: "That is one draw.",
         1 - 0.567**5: "That is that not all of them diverge.",
         0.433**5: "That is that none of them diverges."},
        tolerance=0.02,
    ),
    "5a": Exercise(
        lambda: 32 / paper.BITS_PER_PARAMETER,
        "If the paper is right, float32 spends more than six times what a trained network knows.",
        "A float32 number has 32 bits, of which five are knowledge.",
        {27: "That is how many bits are left over; the question is for a ratio.", 5 / 32: "That is the share that is used."},
    ),
    "5b": Exercise(
        lambda: "gru",
        "For shallow networks it learned most readily, at hardly any cost in capacity.",
        "Read the paper's advice again: one cell for shallow networks, another one for deep ones.",
        {"+rnn": "That is the advice for deep networks.",
         "lstm": "The paper found the LSTM almost never best.",
         "rnn": "It stores most, but trains worst."},
    ),
    "A1": Exercise(
        lambda: 1 / 3,
        "On a logarithmic scale the three decades from 1e-4 to 1e-1 are equally likely, and one of them lies above 0.01.",
        "Log-uniform means that the logarithm is uniform: how many decades are there in all, and how many above 0.01?",
        {0.9: "That would be a uniform draw; this one is uniform in the logarithm.", 2 / 3: "That is the probability to lie below."},
    ),
    "A2": Exercise(
        lambda: 0.2 / math.sqrt(2 * math.pi),
        "A point that promises nothing on average is still worth a try, and all the more so the less is known about it.",
        "With a mean equal to the best, the expected improvement is the standard deviation times the normal density at 0.",
        {0: "Only a point without doubt has no expected improvement; half of the time this one is better.",
         0.2: "That is the standard deviation.",
         0.1: "A half of the standard deviation is near, but a normal number is on average 0.8 deviations from its mean."},
    ),
    "B1": Exercise(
        lambda: 2 * len("-10000000") + 2,
        "Two numbers of nine symbols, a plus sign and an equals sign.",
        "Write down the longest problem: both numbers at their longest, with the signs between and behind.",
        {18: "The plus and the equals sign count, too.",
         19: "One of the plus and the equals sign is missing.",
         16: "A minus sign is a symbol, too."},
        tolerance=0,
    ),
    "B2": Exercise(
        lambda: 1.0,
        "The variance of a uniform number between -a and a is a squared over three.",
        "The squared error of the answer 0 is the mean square of the numbers, their variance.",
        {3: "The square of the largest number; the mean square is a third of it.",
         0: "Zero is right on average, yet its squared error is not 0."},
    ),
    "C1": Exercise(
        lambda: 1 - 0.05 ** (1 / 100),
        "About three in a hundred: none of n leaves up to 3 / n, with 95 % confidence (the rule of three).",
        "Find the share q at which 100 reruns all miss with a probability of 5 %: (1 - q) to the power 100 is 0.05.",
        {0: "That none was seen does not mean that there is none.",
         0.05: "At 5 % all 100 would miss with a probability of 0.6 %; the share may not be that large."},
        tolerance=0.03,
    ),
    "C2": Exercise(
        lambda: 1 + 0.1 * _least_of_normals(100),
        "The best of 100 equal runs looks 25 % better than they are; rerun it, and it falls back to 1. So did the paper's.",
        "How many standard deviations below the mean is the least of 100 normal numbers, on average? Try it with random numbers.",
        {1: "That is the mean of all of them, and of every rerun; the best one was picked because it was lucky."},
        tolerance=0.015,
    ),
    "own1": Exercise(
        lambda: 2 * (10 * 50 + 10 * 10 + 10) + 10 + 11,
        "Two maps, a learned initial state and the readout.",
        "Count the maps of the minimal gated unit: a forget gate and a candidate.",
        {1831 + 20: "That is the GRU, with three maps.", 1220: "Those are the two maps; the initial state and the readout are missing."},
        tolerance=0,
    ),
    "own2": Exercise(
        lambda: math.sqrt(3 / 2),
        "About 22 % more units: what a gate costs is room in the state.",
        "Where units outnumber inputs by far, a cell with k maps has about k N squared parameters.",
        {1.5: "That is the ratio of maps; parameters grow with the square of units.", math.sqrt(2 / 3): "The other way round."},
    ),
}  # fmt: skip
