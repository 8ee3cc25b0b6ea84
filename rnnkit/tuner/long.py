"""Longer trainings that start from the best trials of an earlier search: they show what a network
can do when it is given time.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from rnnkit.hparams import Choice, Space

STEP = 0.04  # standard deviation of the move of a number, as a share of its range
# the most labels of a longer training, as a multiple of those of its starting point
MORE_LABELS = 1.25


class LongTuner:
    """Trial i takes the starting points in turn, moves the numbers of its point a little, and trains
    for as long as this space says.

    `start` has hyper-parameters of trials of an earlier, shorter search in the same space, best
    first. Choices stay as they are. Suggestions are a function of the space, the seed, the starting
    points and i alone. ValueError without a starting point.
    """

    listens: ClassVar[bool] = False
    usual_start: ClassVar[bool] = False

    def __init__(self, space: Space, seed: int = 0, start: Sequence[dict] = ()):
        if not start:
            raise ValueError(
                "Longer trainings need the hyper-parameters of at least one trial to start from,"
                " got none. Run the shorter search first."
            )
        self.space = space
        self.seed = seed
        self.start = [self._point_in_space(point) for point in start]

    def _point_in_space(self, point: dict) -> dict:
        """A starting point in this space, which has another range of training steps. ValueError if
        the point lacks a value.
        """
        for item in self.space.ranges:
            if item.name == "train_steps":
                point = {**point, "train_steps": item.from_unit(0.0)}
        missing = [name for name in self.space.names if name not in point]
        if missing:
            raise ValueError(
                f"A starting point needs a value for {', '.join(missing)}, got"
                f" {', '.join(point) or 'nothing'}."
            )
        return self.space.point([point[name] for name in self.space.names])

    def suggest(self, count: int, start: int = 0) -> list[dict]:
        """Hyper-parameters of the trials start, ..., start + count - 1."""
        return [self._vary(i) for i in range(start, start + count)]

    def _vary(self, i: int) -> dict:
        """The hyper-parameters of trial i."""
        rng = np.random.default_rng([self.seed, i])
        point = self.start[i % len(self.start)]
        unit = self.space.to_unit(point)
        for k, item in enumerate(self.space.ranges):
            # drawn for every range, so that an additional range changes no other value
            step = rng.standard_normal()
            share = rng.random()
            if item.name == "train_steps":
                unit[k] = share
            elif item.name == "samples_per_param":
                unit[k] = item.to_unit(item.nearest(point[item.name] * MORE_LABELS**share))
            elif not isinstance(item, Choice):
                unit[k] = min(max(unit[k] + STEP * step, 0.0), 1.0)
        return self.space.from_unit(unit)

    def observe(self, hparams: list[dict], losses: list[float]) -> None:
        """Does nothing, since these trainings do not depend on observations."""
