"""Ranges of hyper-parameters, each with its way to and from [0, 1], where it is uniform, and with
what is usual.

What is usual is the value, or the lowest and the highest value, that the literature takes without a
search, and who does.
"""

import math
from dataclasses import dataclass, field

import numpy as np

SPREAD = 0.05  # standard deviation of a number near its usual value, where its range is 1 long
CHANGED = 0.1  # share of choices near the usual one that are drawn anew


@dataclass(frozen=True)
class Uniform:
    """A real number, uniform on [low, high]."""

    name: str
    low: float
    high: float
    where: str = ""
    usual: tuple = field(
        default=(), repr=False
    )  # one value, or the lowest and the highest; none for a row of which nobody says
    source: str = field(default="", repr=False)  # who takes the usual value

    def from_unit(self, u: float) -> float:
        return self.nearest(self.low + u * (self.high - self.low))

    def nearest(self, value: float) -> float:
        """The value of this row nearest to `value`, as a plain Python number."""
        return float(min(max(value, self.low), self.high))

    def to_unit(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)

    def holds(self, value) -> bool:
        return _is_number(value) and self.low <= value <= self.high

    def usual_unit(self) -> float:
        """The unit coordinate of the middle of the usual values, or of the range where there are
        none.
        """
        return sum(self._usual_ends()) / 2

    def near_usual(self, rng: np.random.Generator) -> float:
        """A unit coordinate drawn among the usual values and moved a little; anywhere in the range
        where there are none.
        """
        u = rng.uniform(*self._usual_ends()) + SPREAD * rng.standard_normal() * bool(self.usual)
        return min(max(u, 0.0), 1.0)

    def _usual_ends(self) -> tuple[float, float]:
        return (
            (self.to_unit(self.usual[0]), self.to_unit(self.usual[-1]))
            if self.usual
            else (0.0, 1.0)
        )

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

    def from_unit(self, u: float) -> int:
        return Log.from_unit(self, u)

    def nearest(self, value: float) -> int:
        return int(min(max(round(value), self.low), self.high))

    def to_unit(self, value: int) -> float:
        return Log.to_unit(self, value)

    def holds(self, value) -> bool:
        return Uniform.holds(self, value) and value == int(value)


@dataclass(frozen=True)
class Choice:
    """One of a few values without an order."""

    name: str
    choices: tuple
    where: str = ""
    usual: tuple = field(default=(), repr=False)  # one of the choices, or none
    source: str = field(default="", repr=False)

    def from_unit(self, u: float):
        return self.choices[min(max(int(u * len(self.choices)), 0), len(self.choices) - 1)]

    def nearest(self, value):
        return self.choices[self.choices.index(value)]

    def to_unit(self, value) -> float:
        return (self.choices.index(value) + 0.5) / len(
            self.choices
        )  # the middle of its share, so the way back is exact

    def holds(self, value) -> bool:
        return value in self.choices

    def usual_unit(self) -> float:
        return self.to_unit(self.usual[0]) if self.usual else 0.5

    def near_usual(self, rng: np.random.Generator) -> float:
        anew, u = rng.random() < CHANGED, rng.random()
        return u if anew or not self.usual else self.usual_unit()

    def __str__(self) -> str:
        return f"{self.name} in {{{', '.join(map(str, self.choices))}}}"


Row = Uniform | Choice


def _is_number(value) -> bool:
    return (
        isinstance(value, (int, float, np.integer, np.floating))
        and not isinstance(value, bool)
        and math.isfinite(value)
    )
