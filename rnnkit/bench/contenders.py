"""Tuners to compare ours with: skopt's Gaussian process at its defaults, Optuna's TPE, and a start
from the best trials of a smaller network.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from skopt import Optimizer

from rnnkit.hparams import Choice, IntLog, Log, Space
from rnnkit.tuner import GPTuner, UsualGPTuner, check_observations

ROUND = 16


class SkoptTuner:
    """skopt at its defaults: Optimizer(space, "GP", acq_func="EI"), with rounds by its constant liar.
    It fits the process again for each point, so it is slow for many trials.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self.space = space
        self.first = GPTuner(space, seed)
        self.optimizer = Optimizer(
            space.skopt().dimensions, "GP", n_initial_points=ROUND, acq_func="EI", random_state=seed
        )
        self.losses: list[float] = []

    def suggest(self, count: int, start: int = 0) -> list[dict]:
        """The next `count` sets of hyper-parameters."""
        if not self.losses:
            return self.first.suggest(count, start)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [
                self.space.point(values) for values in self.optimizer.ask(count, strategy="cl_min")
            ]

    def observe(self, hparams: Sequence[dict], losses: Sequence[float]) -> None:
        """Takes the losses of trials. skopt refuses NaN, so infeasible trials get the loss that our
        tuner gives them: the worst feasible loss so far plus half the range.
        """
        points, losses = check_observations(self.space, hparams, losses)
        self.losses += losses
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.optimizer.tell(points, fill_infeasible(losses, self.losses))


class TPETuner:
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), at its defaults except for
    two settings.

    The first round is random, and within a round, running trials count as bad ones, as Optuna
    advises for parallel trials. Raises ImportError if Optuna is not installed.
    """

    def __init__(self, space: Space, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=ROUND, constant_liar=True
            )
        self.space = space
        self.losses: list[float] = []
        self.pending: list[Any] = []  # Optuna's trials
        self.optuna = optuna
        self.study = optuna.create_study(sampler=sampler)

    def suggest(self, count: int, start: int = 0) -> list[dict]:
        """The next `count` sets of hyper-parameters."""
        self.pending = [self.study.ask(self._distributions()) for _ in range(count)]
        return [
            self.space.point([trial.params[name] for name in self.space.names])
            for trial in self.pending
        ]

    def observe(self, hparams: Sequence[dict], losses: Sequence[float]) -> None:
        """Takes the losses of the last round; those of infeasible trials are the worst feasible loss
        so far plus half the range.
        """
        _, losses = check_observations(self.space, hparams, losses)
        self.losses += losses
        for trial, loss in zip(self.pending, fill_infeasible(losses, self.losses), strict=True):
            self.study.tell(trial, loss)

    def _distributions(self) -> dict:
        kinds = self.optuna.distributions
        distributions = {}
        for row in self.space.ranges:
            if isinstance(row, Choice):
                distributions[row.name] = kinds.CategoricalDistribution(row.choices)
            elif isinstance(row, IntLog):
                distributions[row.name] = kinds.IntDistribution(row.low, row.high, log=True)
            else:
                distributions[row.name] = kinds.FloatDistribution(
                    row.low, row.high, log=isinstance(row, Log)
                )
        return distributions


class CarriedTuner(UsualGPTuner):
    """The start from usual values, in which the best trials of a smaller network replace half of the
    cold points.
    """

    def __init__(self, space: Space, seed: int, starts: list[dict]) -> None:
        super().__init__(space, seed)
        self.starts = [space.point([point[name] for name in space.names]) for point in starts]

    def _design(self, start: int, count: int) -> list[dict]:
        points = super()._design(0, start + count)
        for position, point in zip(range(1, self.round_size, 4), self.starts):
            if position < len(points):
                points[position] = point
        return points[start:]


def fill_infeasible(losses: Sequence[float], so_far: Sequence[float]) -> list[float]:
    """Losses in which infeasible trials have the worst feasible loss so far plus half the range; zero
    while none is feasible.
    """
    feasible = np.array([loss for loss in so_far if math.isfinite(loss)] or [0.0])
    worst = float(feasible.max() + np.ptp(feasible) / 2)
    return [loss if math.isfinite(loss) else worst for loss in losses]
