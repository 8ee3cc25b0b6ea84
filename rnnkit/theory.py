"""Closed forms that tasks and exhibits share: the loss of an answer without any learning,
bounds that no network can beat, and counts that follow from a cell's equations. numpy only.

Each fact is stated here once, with the section, equation or appendix of the paper from which it
follows. The sizes of the tasks' forms on which a closed form depends are here too; a task adds those
that only training needs.
"""

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

LETTERS = 27  # symbols of text8: a to z and the space
PARENTHESES = {  # form -> types of parentheses (one stream per type), time steps, highest count
    "paper": {"types": 10, "steps": 175, "cap": 9},
    "small": {"types": 3, "steps": 50, "cap": 5},
    "tiny": {"types": 2, "steps": 12, "cap": 3},
}
ARITHMETIC = {  # form -> largest of the integers that are added
    "paper": {"most": 10_000_000},
    "small": {"most": 99},
    "tiny": {"most": 9},
}
RANDOM_FUNCTION = {  # form -> samples of the table, tau of their weights (App. B)
    "paper": {"samples": 1_000_000, "tau": 5_000},
    "small": {"samples": 10_000, "tau": 50},
    "tiny": {"samples": 200, "tau": 1},
}
# affine maps per layer, counted in equations 1-20, and learned initial states per layer
MAPS = {"rnn": 1, "irnn": 1, "ugrnn": 2, "gru": 3, "lstm": 4, "+rnn": 4}
STATES = {**dict.fromkeys(MAPS, 1), "lstm": 2}


# --- capacity (section 2.1) ---


def mutual_information(correct: float, samples: float) -> float:
    """Bits that predictions carry about `samples` binary labels when `correct` of them are right
    (equation 22); 0 if fewer than half are.
    """
    share = correct / samples
    return 0.0 if share <= 0.5 else samples * (1 - binary_entropy(share))


def binary_entropy(share: float) -> float:
    """H2, the entropy in bits of an event that happens in this share of cases."""
    return -sum(p * math.log2(p) for p in (share, 1 - share) if p > 0)


def soft_bits(cross_entropy: Any, samples: Any) -> Any:
    """Equation 22 for graded predictions: b (1 - cross-entropy in bits), from the mean cross-entropy
    in nats over b samples.
    """
    return samples * (1 - cross_entropy / math.log(2))


def coinciding(samples: Any, n_in: Any) -> Any:
    """The expected share of random samples in {0, 1}^n_in whose inputs are those of an earlier
    sample: each of b samples has (b - 1) / 2 earlier ones on average, and 2^n_in possible inputs.
    """
    return (samples - 1) / 2 / 2.0**n_in


# --- memory throughput (section 2.2) ---


def memory_bound(n_units: ArrayLike, n_in: ArrayLike) -> Any:
    """The least squared error per dimension of any network with N units per layer and a linear
    readout: 1 - N / n_in, and 0 from n_in units on.

    The output lies in a space of N dimensions, and the input has n_in uncorrelated ones of variance
    1 (Eckart & Young 1936).
    """
    return np.maximum(0.0, 1 - np.asarray(n_units, float) / n_in)


def multiplications(
    architecture: str, n_layers: int, n_units: int, n_in: int, num_params: int
) -> float:
    """Multiplications by a weight per time step: the parameters without biases and initial states,
    counted from equations 1-20. NaN for a cell that is not the paper's.
    """
    if architecture not in MAPS or n_units < 1:
        return math.nan
    maps = MAPS[architecture]
    vectors = n_layers * (maps + STATES[architecture]) * n_units
    matrices = maps * 2 * n_layers * n_units**2  # a layer reads itself and the one below
    if architecture == "+rnn":  # its input is projected to N, with a bias
        vectors += n_units
        matrices += n_in * n_units
    else:
        matrices += maps * n_units * (n_in - n_units)
    # the rest is a readout of N weights and a bias each
    n_out = round((num_params - vectors - matrices) / (n_units + 1))
    return float(matrices + n_out * n_units)


# --- random continuous functions (section 3) ---


def memorised_loss(count: ArrayLike, samples: int, tau: float) -> Any:
    """The loss of a network that knows the `count` heaviest of a table's samples and answers 0 to
    all others: 1 - ln(1 + M / tau) / ln(1 + N / tau), from the weights of Appendix B.
    """
    return 1 - np.log1p(np.minimum(count, samples) / tau) / np.log1p(samples / tau)


# --- answers that ignore the input ---


def chance(task_type: str, form: str = "") -> float:
    """The loss of the best answer that ignores the input, in the units of `eval_loss`.

    For the capacity task that is minus the stored bits, 0; for memory and random functions the
    variance of a target, 1; for text log2(27) bits per character, all letters being alike; for the
    hard tasks the plateau of section 4 in nats, which depends on the form. Raises ValueError for
    another task or form.
    """
    levels = {"per_cap": 0.0, "mem_thru": 1.0, "rcf": 1.0, "text8": math.log2(LETTERS)}
    if task_type in levels:
        return levels[task_type]
    forms = {"parens_counting": PARENTHESES, "arithmetic": ARITHMETIC}.get(task_type, {})
    if form not in forms:
        raise ValueError(
            f"Chance is known for {', '.join(levels)}, and the forms {', '.join(PARENTHESES)} of the"
            f" hard tasks, got form {form!r} of {task_type!r}. Check the columns of the trials."
        )
    if task_type == "parens_counting":
        return parentheses_chance(**forms[form])
    return arithmetic_chance(**forms[form])


@functools.cache
def parentheses_chance(types: int, steps: int, cap: int) -> float:
    """The entropy of the counts at the end, in nats, summed over the types."""
    return types * _entropy(parentheses_counts(types, steps, cap))


def parentheses_counts(types: int, steps: int, cap: int) -> np.ndarray:
    """The probabilities of the counts 0 ... cap of one type after `steps` symbols: a walk that goes
    up or down with probability 1 / (4 types) each.
    """
    step = 1 / (4 * types)
    count = np.eye(1, cap + 1)[0]
    for _ in range(steps):
        up = step * count[:-1]
        down = step * count[1:]
        count = (
            count - np.append(up, 0) + np.append(0, up) - np.append(0, down) + np.append(down, 0)
        )
    return count


def answer_symbols(most: int) -> int:
    """How many symbols the answer to a + b has, with both in -most ... most: those of the longest
    number, and a blank before it.
    """
    return len(f"-{2 * most}") + 1


@functools.cache
def arithmetic_chance(most: int) -> float:
    """The mean entropy of the symbols of a + b, right-aligned, in nats per symbol; a and b are
    uniform in -most ... most.
    """
    positions = range(answer_symbols(most))
    return float(np.mean([_entropy(answer_probabilities(most, k)) for k in positions]))


def answer_probabilities(most: int, position: int) -> np.ndarray:
    """The probabilities of the ten digits, a minus and a space at a position of a + b, counted from
    0 at the right. At position 0 the ten digits are all there is.
    """

    def below(size: np.ndarray) -> np.ndarray:
        """P(|a + b| < size). The sum takes each value s of -2 most ... 2 most with the weight
        2 most + 1 - |s|.
        """
        size = np.clip(np.asarray(size, float), 0, 2 * most + 1)
        total = (2 * most + 1) ** 2
        weight = 2 * (2 * most + 1) * size - (2 * most + 1) - size * (size - 1)
        return np.where(size > 0, weight / total, 0.0)

    unit = 10**position
    starts = np.arange(0, 2 * most + 1, 10 * unit)
    digits = np.array(
        [(below(starts + (d + 1) * unit) - below(starts + d * unit)).sum() for d in range(10)]
    )
    if not position:
        return digits
    # before the first digit there is a space, or the minus of a shorter number; zero has no sign
    digits[0] -= below(unit)
    minus = (below(unit) - below(unit // 10)) / 2
    return np.array([*digits, minus, below(unit) - minus])


def _entropy(shares: ArrayLike) -> float:
    """Entropy in nats of some probabilities."""
    shares = np.asarray(shares)[np.asarray(shares) > 0]
    return float(-(shares * np.log(shares)).sum())
