"""What a hard task costs a network that learned nothing but how frequent each answer is: the
plateau of section 4.

In closed form, from the definitions in Appendix B, so that a figure can name it without the task's
data.
"""

import functools

import numpy as np

PARENTHESES = {  # form -> types of parentheses (one stream each), highest count, time steps
    "paper": (10, 9, 175),
    "small": (3, 5, 50),
    "tiny": (2, 3, 12),
}
# form -> largest integer, symbols of an answer
ARITHMETIC = {"paper": (10**7, 10), "small": (99, 5), "tiny": (9, 4)}


def chance(task_type: str, form: str) -> float:
    """Loss of the best answer that ignores the input, in nats as `eval_loss`. ValueError for
    another task or form.
    """
    forms = {"parens_counting": PARENTHESES, "arithmetic": ARITHMETIC}.get(task_type, {})
    if form not in forms:
        known = f"the forms {', '.join(PARENTHESES)} of parens_counting and arithmetic"
        raise ValueError(
            f"Chance is known for {known}, got form {form!r} of {task_type!r}. Check the trials'"
            " columns."
        )
    return (parentheses_chance if task_type == "parens_counting" else arithmetic_chance)(
        *forms[form]
    )


@functools.cache
def parentheses_chance(types: int, cap: int, steps: int) -> float:
    """Nats summed over the types: entropy of a count after `steps` symbols, each with probability
    1/(4 types) an opening, or a closing.
    """
    step, count = 1 / (4 * types), np.eye(1, cap + 1)[0]
    for _ in range(steps):
        up, down = step * count[:-1], step * count[1:]
        count = (
            count - np.append(up, 0) + np.append(0, up) - np.append(0, down) + np.append(down, 0)
        )
    return types * _entropy(count)


@functools.cache
def arithmetic_chance(most: int, symbols: int) -> float:
    """Nats per symbol: the mean entropy of the symbols of a + b, right-aligned in `symbols` places,
    a and b uniform in [-most, most].
    """
    return float(np.mean([_entropy(_symbol(most, place)) for place in range(symbols)]))


def _symbol(most: int, place: int):
    """Probabilities of the digits, of a minus and of a space in a place of the sum; place 0 is the
    rightmost.
    """

    def below(
        size,
        # P(|a + b| < size), of which the sum takes the values -2 most ... 2 most with weights 2
        # most + 1 - |s|
    ):
        size = np.clip(np.asarray(size, float), 0, 2 * most + 1)
        total = (2 * most + 1) ** 2
        return np.where(
            size > 0, (2 * (2 * most + 1) * size - (2 * most + 1) - size * (size - 1)) / total, 0.0
        )

    unit = 10**place
    starts = np.arange(0, 2 * most + 1, 10 * unit)
    digits = np.array(
        [(below(starts + (d + 1) * unit) - below(starts + d * unit)).sum() for d in range(10)]
    )
    if place:  # a leading place is a space, or the minus of a shorter number; zero has no sign
        digits[0] -= below(unit)
        minus = (below(unit) - below(unit // 10)) / 2
        return np.array([*digits, minus, below(unit) - minus])
    return digits


def _entropy(shares) -> float:
    shares = np.asarray(shares)[np.asarray(shares) > 0]
    return float(-(shares * np.log(shares)).sum())
