"""Ranges of hyper-parameters. Each maps its values to and from [0, 1], where its distribution is
uniform, and knows which values are usual.

The usual values are the one value, or the lowest and the highest value, that the literature takes
without a search; `source` says who does.
"""

import math
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np

Value = Any  # of a hyper-parameter: a number, or one of the choices
SPREAD = 0.05  # standard deviation of a number around its usual value, as a share of its range
CHANGE = 0.1  # probability that a choice is drawn at random instead of taking its usual value


@dataclass(frozen=True)
class Uniform:
    """A real number, uniform on [low, high]."""

    name: str
    low: float
    high: float
    where: str = ""  # section of the paper
    usual: tuple = field(
        default=(), repr=False
    )  # one value, or the lowest and the highest; or none
    source: str = field(default="", repr=False)  # of the usual values

    def from_unit(self, u: float) -> float:
        """The value at a unit coordinate, a number in [0, 1]."""
        return self.nearest(self.low + u * (self.high - self.low))

    def to_unit(self, value: float) -> float:
        """The unit coordinate of a value."""
        return (value - self.low) / (self.high - self.low)

    def nearest(self, value: float) -> float:
        """The value of this range that is nearest to `value`, as a plain Python number."""
        return float(min(max(value, self.low), self.high))

    def holds(self, value: object) -> bool:
        """Whether `value` is a number in this range."""
        return _is_number(value) and self.low <= value <= self.high

    def usual_unit(self) -> float:
        """The unit coordinate in the middle of the usual values; of the range if there are none."""
        return sum(self._usual_bounds()) / 2

    def near_usual(self, rng: np.random.Generator) -> float:
        """A unit coordinate drawn from between the usual values and moved a little; anywhere in the
        range if there are none.
        """
        u = rng.uniform(*self._usual_bounds()) + SPREAD * rng.standard_normal() * bool(self.usual)
        return min(max(u, 0.0), 1.0)

    def _usual_bounds(self) -> tuple[float, float]:
        if not self.usual:
            return 0.0, 1.0
        return self.to_unit(self.usual[0]), self.to_unit(self.usual[-1])

    def __str__(self) -> str:
        return f"{self.name} in [{self.low:g}, {self.high:g}]"


@dataclass(frozen=True)
class Log(Uniform):
    """A real number, log-uniform on [low, high]."""

    def from_unit(self, u: float) -> float:
        return self.nearest(self.low * (self.high / self.low) ** u)

    def to_unit(self, value: float) -> float:
        return math.log(value / self.low) / math.log(self.high / self.low)


@dataclass(frozen=True)
class IntLog(Uniform):
    """A whole number, log-uniform on {low, ..., high}."""

    from_unit = Log.from_unit
    to_unit = Log.to_unit

    def nearest(self, value: float) -> int:
        return int(min(max(round(value), self.low), self.high))

    def holds(self, value: object) -> bool:
        return _is_number(value) and Uniform.holds(self, value) and value == int(value)


@dataclass(frozen=True)
class Choice:
    """One of a few values without an order. Each has an equal share of [0, 1]."""

    name: str
    choices: tuple
    where: str = ""  # section of the paper
    usual: tuple = field(default=(), repr=False)  # one of the choices, or none
    source: str = field(default="", repr=False)  # of the usual choice

    def from_unit(self, u: float) -> Value:
        """The choice at a unit coordinate, a number in [0, 1]."""
        return self.choices[min(max(int(u * len(self.choices)), 0), len(self.choices) - 1)]

    def to_unit(self, value: Value) -> float:
        """The middle of the share of a choice, so that the way back is exact."""
        return (self.choices.index(value) + 0.5) / len(self.choices)

    def nearest(self, value: Value) -> Value:
        """The choice that equals `value`. ValueError if there is none."""
        return self.choices[self.choices.index(value)]

    def holds(self, value: object) -> bool:
        """Whether `value` is one of the choices."""
        return value in self.choices

    def usual_unit(self) -> float:
        """The unit coordinate of the usual choice; 0.5 if there is none."""
        return self.to_unit(self.usual[0]) if self.usual else 0.5

    def near_usual(self, rng: np.random.Generator) -> float:
        """The unit coordinate of the usual choice or, with probability CHANGE or if there is none,
        a random one.
        """
        change = rng.random() < CHANGE
        u = rng.random()
        return u if change or not self.usual else self.usual_unit()

    def __str__(self) -> str:
        return f"{self.name} in {{{', '.join(map(str, self.choices))}}}"


Range = Uniform | Choice


def _is_number(value: object) -> TypeGuard[float]:
    return (
        isinstance(value, (int, float, np.integer, np.floating))
        and not isinstance(value, bool)
        and math.isfinite(value)
    )
