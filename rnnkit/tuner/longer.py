"""Longer trainings that start from the best trials of an earlier search: what a network does when
it is given time.
"""

from collections.abc import Sequence

import numpy as np

from rnnkit.hparams import Space

STEP = 0.04  # how far a number is moved, as a share of its range
# at most so many times the labels: a network that is trained for longer stores more of them
MORE_LABELS = 1.25


class LongTuner:
    """Trial i takes the i-th of the starting points, in turns, moves its numbers a little, and
    trains for as long as this space says.

    `start` is a list of hyper-parameter sets of an earlier, shorter search in the same space, best
    first. Choices stay as they are. Suggestions are a function of the space, the seed, the starting
    points and i alone. ValueError without a starting point.
    """

    listens = False

    def __init__(self, space: Space, seed: int = 0, start: Sequence[dict] = ()):
        if not start:
            raise ValueError(
                "Longer trainings need the hyper-parameters of at least one trial to start from,"
                " got none. Run the shorter search first."
            )
        self.space, self.seed = space, seed
        self.start = [self._within(point) for point in start]

    def _within(self, point):
        """A starting point in this space, whose range of training steps is another. ValueError
        where it lacks a value.
        """
        lacking = [
            row.name
            for row in self.space.ranges
            if row.name not in point and row.name != "train_steps"
        ]
        if lacking:
            raise ValueError(
                f"A starting point needs a value for {', '.join(lacking)}, got"
                f" {', '.join(point) or 'nothing'}."
            )
        return self.space.point(
            [row.low if row.name == "train_steps" else point[row.name] for row in self.space.ranges]
        )

    def suggest(self, count: int, start: int = 0) -> list[dict]:
        """Hyper-parameters of the trials start, ..., start + count - 1."""
        return [self._moved(i) for i in range(start, start + count)]

    def _moved(self, i):
        rng = np.random.default_rng([self.seed, i])
        point = self.start[i % len(self.start)]
        unit = self.space.to_unit(point)
        for k, row in enumerate(self.space.ranges):
            # drawn for each row, so that one row more moves no other
            step, share = (rng.standard_normal(), rng.random())
            if row.name == "train_steps":
                unit[k] = share
            elif row.name == "samples_per_param":
                unit[k] = row.to_unit(row.nearest(point[row.name] * MORE_LABELS**share))
            elif not hasattr(row, "choices"):
                unit[k] = min(max(unit[k] + STEP * step, 0.0), 1.0)
        return self.space.from_unit(unit)

    def observe(self, hparams: list[dict], losses: list[float]) -> None:
        """These trainings do not listen."""
