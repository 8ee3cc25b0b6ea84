"""A space of hyper-parameters: the ranges that a tuner searches, and the values that are fixed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rnnkit.ranges import Choice, IntLog, Log, Range

if TYPE_CHECKING:
    from skopt import Space as SkoptSpace


@dataclass(frozen=True)
class Space:
    """The ranges that a tuner searches, and the values that an experiment keeps fixed (`pinned`).

    A point is a dict from names to plain Python values, which has a value for each range and all
    pinned values. `to_unit` and `from_unit` map it to and from the unit cube, on which each range
    is uniform.
    """

    ranges: tuple[Range, ...]
    pinned: tuple[tuple[str, object], ...] = ()

    def __len__(self) -> int:
        return len(self.ranges)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the hyper-parameters that are searched."""
        return tuple(item.name for item in self.ranges)

    def sample(self, rng: np.random.Generator) -> dict:
        """One point, drawn from the distributions of the ranges."""
        return self.from_unit(rng.random(len(self)))

    def usual(self) -> dict[str, tuple]:
        """Maps the name of each range that has usual values to these: one value, or the lowest and
        the highest.
        """
        return {item.name: item.usual for item in self.ranges if item.usual}

    def usual_point(self) -> dict:
        """The point in the middle of the usual values, and of each range that has none."""
        return self.from_unit([item.usual_unit() for item in self.ranges])

    def near_usual(self, rng: np.random.Generator) -> dict:
        """A random point near the usual values: each number is moved a little, and a few choices
        are changed.
        """
        return self.from_unit([item.near_usual(rng) for item in self.ranges])

    def from_unit(self, unit: Sequence[float] | np.ndarray) -> dict:
        """The point at unit coordinates: len(self) numbers in [0, 1]."""
        pairs = zip(self.ranges, unit, strict=True)
        return self.point([item.from_unit(float(u)) for item, u in pairs])

    def to_unit(self, point: dict) -> np.ndarray:
        """The unit coordinates of a point. ValueError if a value is missing or out of range."""
        self.check(point)
        return np.array([item.to_unit(point[item.name]) for item in self.ranges])

    def point(self, values: Sequence) -> dict:
        """The point with these values, one per range in order; each is moved into its range."""
        pairs = zip(self.ranges, values, strict=True)
        return {item.name: item.nearest(value) for item, value in pairs} | dict(self.pinned)

    def values(self, point: dict) -> list:
        """The values of a point, one per range in order, which is what skopt calls a point.
        ValueError as in `to_unit`.
        """
        self.check(point)
        return [point[name] for name in self.names]

    def check(self, point: dict) -> None:
        """ValueError unless the point has a value for each range, within that range."""
        for item in self.ranges:
            if item.name not in point:
                raise ValueError(
                    f"A point of this space needs a value for {item.name}, got only"
                    f" {', '.join(point) or 'nothing'}."
                )
            if not item.holds(point[item.name]):
                raise ValueError(f"A point of this space has {item}, got {point[item.name]!r}.")

    def skopt(self) -> "SkoptSpace":
        """The same space as a skopt.Space, one dimension per range in the same order."""
        # the import takes a second or two, and only the tuner "gp" needs it
        from skopt import Space as SkoptSpace
        from skopt.space import Categorical, Integer, Real

        dimensions = []
        for item in self.ranges:
            if isinstance(item, Choice):
                dimension = Categorical(item.choices, name=item.name, transform="onehot")
                dimension.transformer = OneHot(item.choices)
            else:
                kind = Integer if isinstance(item, IntLog) else Real
                prior = "log-uniform" if isinstance(item, (Log, IntLog)) else "uniform"
                dimension = kind(
                    item.low, item.high, prior=prior, transform="normalize", name=item.name
                )
            dimensions.append(dimension)
        return SkoptSpace(dimensions)


class OneHot:
    """The code of a choice, as skopt has it: one column per choice, or a single one for two choices.
    skopt's own class takes most of the time of a round.
    """

    def __init__(self, choices: tuple):
        self.choices = choices
        self.index_of = {choice: index for index, choice in enumerate(choices)}
        self.codes = (
            np.eye(len(choices)) if len(choices) > 2 else np.arange(float(len(choices)))[:, None]
        )

    def transform(self, values: Sequence) -> np.ndarray:
        """The codes of some choices, values x columns."""
        return self.codes[[self.index_of[value] for value in values]]

    def inverse_transform(self, codes: np.ndarray | list[float]) -> list:
        """The choices nearest to some codes, given as values x columns, or as a list of numbers
        if there is one column.
        """
        codes = np.reshape(codes, (-1, self.codes.shape[1]))
        indices = codes.argmax(1) if len(self.choices) != 2 else codes[:, 0] > 0.5
        return [self.choices[int(index)] for index in indices]
