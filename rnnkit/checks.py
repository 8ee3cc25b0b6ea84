"""Checks of input from outside; each raises an error that says what must hold. Imports nothing from
the kit.
"""

from numbers import Integral
from typing import Any


def whole_number(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """`value`, if it is a whole number of at least `least` and at most `most`, where these are
    given; ValueError otherwise. True and False are not numbers.
    """
    not_whole = isinstance(value, bool) or not isinstance(value, int)
    if not_whole or (least is not None and value < least):
        at_least = "" if least is None else f" of at least {least}"
        is_foreign = isinstance(value, Integral) and not isinstance(value, int)  # as numpy's
        advice = f" Write int({value})." if is_foreign else ""
        raise ValueError(f"{name} must be a whole number{at_least}, got {value!r}.{advice}")
    if most is not None and value > most:
        raise ValueError(f"{name} must be at most {most:,}, got {value:,}.")
    return value
