"""Closed forms that tasks and exhibits share: what an answer without any learning costs,
what no network can beat, what a cell's equations count. numpy only.

Each fact stands here once, with the section, equation or appendix of the paper that it follows
from. The sizes of the forms that a closed form needs are here too; a task adds what it trains with.
"""

import functools
import math

import numpy as np

LETTERS = 27  # symbols of text8: a to z and the space
PARENTHESES = {  # form -> types of parentheses (one stream each), time steps, highest count
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
MAPS = {"rnn": 1, "irnn": 1, "ugrnn": 2, "gru": 3, "lstm": 4, "+rnn": 4}  # affine, equations 1-20
STATES = {**dict.fromkeys(MAPS, 1), "lstm": 2}  # learned initial states of a layer


# --- capacity (section 2.1) ---


def mutual_information(correct: float, samples: float) -> float:
    """Bits that predictions tell of `samples` binary labels of which `correct` are right (equation
    22); 0 where fewer than half are.
    """
    share = correct / samples
    return 0.0 if share <= 0.5 else samples * (1 - binary_entropy(share))


def binary_entropy(share: float) -> float:
    """H2, the entropy in bits of something that happens in this share of cases."""
    return -sum(p * math.log2(p) for p in (share, 1 - share) if p > 0)


def soft_bits(cross_entropy, samples):
    """Equation 22 with graded predictions: b (1 - cross-entropy in bits), of the mean cross-entropy
    in nats over b samples.
    """
    return samples * (1 - cross_entropy / math.log(2))


def coinciding(samples, n_in):
    """Share of random samples in {0, 1}^n_in that are expected to have the inputs of an earlier
    one: of b samples each meets (b - 1) / 2 earlier ones on average, in one of 2^n_in cases.
    """
    return (samples - 1) / 2 / 2.0**n_in


# --- memory throughput (section 2.2) ---


def memory_bound(n_units, n_in):
    """Least squared error per dimension of any network with N units per layer and a linear readout:
    1 - N / n_in, and 0 from n_in on.

    The output lies in a space of N dimensions, and the input has n_in uncorrelated ones of variance
    1 (Eckart & Young 1936).
    """
    return np.maximum(0.0, 1 - np.asarray(n_units, float) / n_in)


def multiplications(architecture, n_layers, n_units, n_in, num_params) -> float:
    """Weights that are multiplied with something in a time step: parameters less biases and initial
    states, counted from equations 1-20. nan for a cell that is not the paper's.
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


def memorised(known, samples, tau):
    """Error left to a network that knows the `known` heaviest of a table's samples and says 0 to
    all others: 1 - ln(1 + M / tau) / ln(1 + N / tau), from the weights of Appendix B.
    """
    return 1 - np.log1p(np.minimum(known, samples) / tau) / np.log1p(samples / tau)


# --- answers that ignore the input ---


def chance(task_type: str, form: str = "") -> float:
    """Loss of the best answer that knows nothing of the input, in the units of `eval_loss`.

    Minus the stored bits, 0, for the capacity task; the variance 1 of a target for memory and
    random functions; log2(27) bits per character for text, all letters being alike; for the hard
    tasks the plateau of section 4, in nats, which belongs to a form. ValueError for another task
    or form.
    """
    levels = {"per_cap": 0.0, "mem_thru": 1.0, "rcf": 1.0, "text8": math.log2(LETTERS)}
    if task_type in levels:
        return levels[task_type]
    forms = {"parens_counting": PARENTHESES, "arithmetic": ARITHMETIC}.get(task_type, {})
    if form not in forms:
        known = f"{', '.join(levels)}, and the forms {', '.join(PARENTHESES)} of the hard tasks"
        raise ValueError(
            f"Chance is known for {known}, got form {form!r} of {task_type!r}. Check the trials'"
            " columns."
        )
    if task_type == "parens_counting":
        return parentheses_chance(**forms[form])
    return arithmetic_chance(**forms[form])


@functools.cache
def parentheses_chance(types: int, steps: int, cap: int) -> float:
    """Nats summed over the types: the entropy of each one's count at the end."""
    return types * _entropy(parentheses_counts(types, steps, cap))


def parentheses_counts(types: int, steps: int, cap: int) -> np.ndarray:
    """Probabilities of the counts 0 ... cap of one type after `steps` symbols, each an opening or a
    closing of that type with probability 1/(4 types).
    """
    step, count = 1 / (4 * types), np.eye(1, cap + 1)[0]
    for _ in range(steps):
        up, down = step * count[:-1], step * count[1:]
        count = (
            count - np.append(up, 0) + np.append(0, up) - np.append(0, down) + np.append(down, 0)
        )
    return count


def answer_symbols(most: int) -> int:
    """Symbols of the answer to a + b with both in -most ... most: the longest and a blank."""
    return len(f"-{2 * most}") + 1


@functools.cache
def arithmetic_chance(most: int) -> float:
    """Nats per symbol: the mean entropy of the symbols of a + b, right-aligned, a and b uniform in
    -most ... most.
    """
    places = range(answer_symbols(most))
    return float(np.mean([_entropy(_symbol(most, place)) for place in places]))


def _symbol(most: int, place: int) -> np.ndarray:
    """Probabilities of the digits, of a minus and of a space in a place of the sum; place 0 is the
    rightmost.
    """

    def below(size):
        """P(|a + b| < size): the sum takes the values -2 most ... 2 most, with weights 2 most + 1 -
        |s|.
        """
        size = np.clip(np.asarray(size, float), 0, 2 * most + 1)
        total = (2 * most + 1) ** 2
        weight = 2 * (2 * most + 1) * size - (2 * most + 1) - size * (size - 1)
        return np.where(size > 0, weight / total, 0.0)

    unit = 10**place
    starts = np.arange(0, 2 * most + 1, 10 * unit)
    digits = np.array(
        [(below(starts + (d + 1) * unit) - below(starts + d * unit)).sum() for d in range(10)]
    )
    if not place:
        return digits
    # a leading place is a space, or the minus of a shorter number; zero has no sign
    digits[0] -= below(unit)
    minus = (below(unit) - below(unit // 10)) / 2
    return np.array([*digits, minus, below(unit) - minus])


def _entropy(shares) -> float:
    """Entropy in nats of some probabilities."""
    shares = np.asarray(shares)[np.asarray(shares) > 0]
    return float(-(shares * np.log(shares)).sum())
