"""A space of hyper-parameters: the rows that a tuner searches, and the values that are held."""

from dataclasses import dataclass

import numpy as np

from rnnkit.hparams.ranges import Choice, IntLog, Log, Row


@dataclass(frozen=True)
class Space:
    """The rows that a tuner searches, and the values that an experiment holds fixed (`pinned`).

    A point is a dict name -> plain Python value with every row and every pinned value; `to_unit`
    and `from_unit` map it to and from the unit cube, on which each row is uniform.
    """

    rows: tuple[Row, ...]
    pinned: tuple[tuple[str, object], ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(row.name for row in self.rows)

    def sample(self, rng: np.random.Generator) -> dict:
        """One point, drawn from the ranges' own distributions."""
        return self.from_unit(rng.random(len(self)))

    def usual(self) -> dict[str, tuple]:
        """The usual values of the rows that have some: name -> one value, or the lowest and the
        highest.
        """
        return {row.name: row.usual for row in self.rows if row.usual}

    def usual_point(self) -> dict:
        """The point in the middle of the usual values; in the middle of its range where a row has
        none.
        """
        return self.from_unit([row.usual_unit() for row in self.rows])

    def near_usual(self, rng: np.random.Generator) -> dict:
        """A point near the usual ones: each number moved a little, a few choices changed."""
        return self.from_unit([row.near_usual(rng) for row in self.rows])

    def from_unit(self, unit) -> dict:
        """The point of `unit`, an array of len(self) numbers in [0, 1]."""
        return self.point([row.from_unit(float(u)) for row, u in zip(self.rows, unit, strict=True)])

    def to_unit(self, point: dict) -> np.ndarray:
        """The unit coordinates of a point. ValueError if a row is missing or out of range."""
        self.check(point)
        return np.array([row.to_unit(point[row.name]) for row in self.rows])

    def point(self, values) -> dict:
        """A dict of plain Python values from one value per row, in the order of the rows; each is
        brought to its range.
        """
        return {
            row.name: row.nearest(value) for row, value in zip(self.rows, values, strict=True)
        } | dict(self.pinned)

    def values(self, point: dict) -> list:
        """One value per row, in the order of the rows: what skopt calls a point. ValueError as in
        `to_unit`.
        """
        self.check(point)
        return [point[row.name] for row in self.rows]

    def check(self, point: dict) -> None:
        """ValueError, one sentence, unless each row's value is there and within its range."""
        for row in self.rows:
            if row.name not in point:
                raise ValueError(
                    f"A point of this space needs a value for {row.name}, got only"
                    f" {', '.join(point) or 'nothing'}."
                )
            if not row.holds(point[row.name]):
                raise ValueError(f"A point of this space has {row}, got {point[row.name]!r}.")

    def skopt(self):
        """The same space as a skopt.Space, one dimension per row in the same order."""
        # takes a second or two to import, and only the GP tuner needs it
        from skopt import (
            Space as SkoptSpace,
        )
        from skopt.space import Categorical, Integer, Real

        dimensions = []
        for row in self.rows:
            if isinstance(row, Choice):
                dimension = Categorical(row.choices, name=row.name, transform="onehot")
                dimension.transformer = OneHot(row.choices)
                dimensions.append(dimension)
            else:
                kind = Integer if isinstance(row, IntLog) else Real
                prior = "log-uniform" if isinstance(row, (Log, IntLog)) else "uniform"
                dimensions.append(
                    kind(row.low, row.high, prior=prior, transform="normalize", name=row.name)
                )
        return SkoptSpace(dimensions)


class OneHot:
    """The code of a choice, as skopt has it: a column per choice, or a single one for two. skopt's
    own takes most of a round's time.
    """

    def __init__(self, choices: tuple):
        self.choices, self.index = choices, {choice: i for i, choice in enumerate(choices)}
        self.codes = (
            np.eye(len(choices)) if len(choices) > 2 else np.arange(float(len(choices)))[:, None]
        )

    def transform(self, values) -> np.ndarray:
        """The codes of some choices, values x columns."""
        return self.codes[[self.index[value] for value in values]]

    def inverse_transform(self, columns) -> list:
        """The choices nearest to some codes, given as values x columns, or as a line of numbers
        where there is one column.
        """
        columns = np.reshape(columns, (-1, self.codes.shape[1]))
        found = columns.argmax(1) if len(self.choices) != 2 else columns[:, 0] > 0.5
        return [self.choices[int(i)] for i in found]
