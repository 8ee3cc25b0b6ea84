"""Tuners: they suggest hyper-parameters and observe losses (Appendix A).

A tuner is stateless: its suggestions are a function of its space, its seed, and the observations in
their order, so that a tuner rebuilt from a store suggests what one that never stopped would have.

`GPTuner` searches as the paper does, with a Gaussian process and expected improvement. Its space
and its loop of ask and tell are those of scikit-optimize. The regressor and the choice of a batch
are our own (surrogate.py, acquisition.py), since those of scikit-optimize take minutes after a few
hundred trials. These libraries take half a second to import, so they are imported when a tuner
first suggests.
"""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from rnnkit.checks import whole_number
from rnnkit.hparams import Space
from rnnkit.threads import one_thread
from rnnkit.tuner.long import LongTuner

if TYPE_CHECKING:
    from skopt import Space as SkoptSpace

    from rnnkit.tuner.surrogate import MaternGP

FEW = 4  # feasible trials that the surrogate needs; until then the first design continues
FIT_POINTS = 500  # trials that the kernel is fitted to, at most; all of them enter the posterior
GROWTH = 1.1  # the kernel is fitted again when the number of trials has grown by a tenth


class Tuner(Protocol):
    """What a study needs from a tuner. A tuner is made with a space and a seed."""

    listens: ClassVar[bool]  # whether suggestions depend on the observations
    usual_start: ClassVar[bool]  # whether they depend on the usual values of the space

    def suggest(self, count: int, start: int = 0) -> list[dict]:
        """Hyper-parameters of the trials start, ..., start + count - 1."""

    def observe(self, hparams: list[dict], losses: list[float]) -> None:
        """Takes the losses of trials; NaN or infinity means that a trial was infeasible."""


class RandomTuner:
    """Random search: the hyper-parameters of trial i are a function of (seed, i) alone."""

    listens: ClassVar[bool] = False
    usual_start: ClassVar[bool] = False

    def __init__(self, space: Space, seed: int = 0):
        self.space = space
        self.seed = whole_number("seed", seed, 0)

    def suggest(self, count: int, start: int = 0) -> list[dict]:
        """Hyper-parameters of the trials start, ..., start + count - 1."""
        count = whole_number("count", count, 1)
        start = whole_number("start", start, 0)
        return [
            self.space.sample(np.random.default_rng([self.seed, i]))
            for i in range(start, start + count)
        ]

    def observe(self, hparams: list[dict], losses: list[float]) -> None:
        """Checks the observations, which random search does not use."""
        check_observations(self.space, hparams, losses)


class GPTuner:
    """Bayesian optimisation: a Gaussian process models the loss, and the points of greatest expected
    improvement are tried next.

    The first `round_size` trials are a scrambled Sobol sequence. Later suggestions depend on the
    seed and the observations alone.
    """

    listens: ClassVar[bool] = True
    usual_start: ClassVar[bool] = False

    def __init__(self, space: Space, seed: int = 0, round_size: int = 16):
        self.space = space
        self.seed = whole_number("seed", seed, 0)
        self.round_size = whole_number("round_size", round_size, 1)
        self.points: list[list] = []
        self.losses: list[float] = []
        # the number of trials of the last fit, and its kernel
        self._kernel = (0, np.empty(0))

    def observe(self, hparams: list[dict], losses: list[float]) -> None:
        """Takes the losses of trials; NaN or infinity means that a trial was infeasible. ValueError
        for a point outside the space.
        """
        points, numbers = check_observations(self.space, hparams, losses)
        self.points += points
        self.losses += numbers

    @one_thread()
    def suggest(self, count: int, start: int = 0) -> list[dict]:
        """The next `count` sets of hyper-parameters; a longer list begins with the shorter one.
        `start`, the number of the first trial, only matters while the first design lasts: after
        that, the observations say how far the search is.
        """
        count = whole_number("count", count, 1)
        start = whole_number("start", start, 0)
        n = len(self.losses)
        if self._in_design():
            return self._design(max(start, n), count)
        from rnnkit.tuner.acquisition import BatchOptimizer

        space, surrogate = self._surrogate()
        optimizer = BatchOptimizer(
            space.dimensions,
            base_estimator=surrogate,
            n_initial_points=0,
            acq_func="EI",
            acq_optimizer="sampling",
            acq_optimizer_kwargs={"n_points": 1},  # for skopt's own next point, which is not used
            random_state=int(self._rng("batch", n).integers(2**31 - 1)),
        )
        optimizer.tell(self.points, warp_losses(self.losses).tolist())
        return [self.space.point(values) for values in optimizer.ask(count)]

    @one_thread()
    def posterior(self, hparams: list[dict]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean and standard deviation of the surrogate's warped loss at these points (see
        `warp_losses`), and the expected improvement; three arrays of len(hparams).

        ValueError while the first design lasts, since there is no surrogate then.
        """
        if self._in_design():
            raise ValueError(
                f"There is a posterior after {self.round_size} trials, {FEW} of them feasible, got"
                f" {len(self.losses)}. Observe more."
            )
        from rnnkit.tuner.acquisition import log_ei

        space, surrogate = self._surrogate()
        X = space.transform(self.points)
        surrogate.fit(X, warp_losses(self.losses))
        points = space.transform([self.space.values(point) for point in hparams])
        mean, std = surrogate.posterior(points)
        best = float(surrogate.posterior(X)[0].min())
        return mean.numpy(), std.numpy(), log_ei(mean, std, best).exp().numpy()

    def noise(self) -> float:
        """Standard deviation of the noise in the warped losses, as estimated by the surrogate: how
        far a trial lies from the mean of `posterior`, beyond the uncertainty of that mean.
        """
        return math.exp(self._surrogate()[1].theta[-1] / 2)

    def _in_design(self) -> bool:
        return bool(len(self.losses) < self.round_size or np.isfinite(self.losses).sum() < FEW)

    def _surrogate(self) -> "tuple[SkoptSpace, MaternGP]":
        """The space of skopt, and the regressor with the kernel for these observations, which it has
        not been fitted to yet.
        """
        from rnnkit.tuner.surrogate import MaternGP

        space = self.space.skopt()
        groups = [
            number
            for number, dimension in enumerate(space.dimensions)
            for _ in range(dimension.transformed_size)
        ]
        return space, MaternGP(groups, self._fit_kernel(space.transform(self.points), groups))

    def _design(self, start: int, count: int) -> list[dict]:
        """Points start, ..., start + count - 1 of the Sobol sequence of this seed."""
        from scipy.stats import qmc

        sobol = qmc.Sobol(len(self.space), rng=self._rng("design", 0))
        unit = sobol.random_base2((start + count - 1).bit_length())
        return [self.space.from_unit(u) for u in unit[start : start + count]]

    def _fit_kernel(self, X: np.ndarray, groups: list[int]) -> np.ndarray:
        """The kernel for the observations at X (n x columns). It is fitted, always from the same
        start, to the first m of them, where m grows by tenths from `round_size`. It is therefore a
        function of the observations, and not of how many this tuner saw at a time.
        """
        from rnnkit.tuner.surrogate import fit_kernel

        m = self.round_size
        while (larger := max(m + 1, math.ceil(m * GROWTH))) <= len(X):
            m = larger
        if self._kernel[0] != m:
            y = warp_losses(self.losses[:m])
            subset = np.arange(m)
            if m > FIT_POINTS:  # the best ones, where accuracy matters, and a sample of the others
                order = np.argsort(y, kind="stable")
                best = FIT_POINTS // 4
                sample = self._rng("subset", m).choice(
                    order[best:], FIT_POINTS - best, replace=False
                )
                subset = np.r_[order[:best], sample]
            self._kernel = m, fit_kernel(X[subset], y[subset], groups)
        return self._kernel[1]

    def _rng(self, purpose: str, n: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, n, *purpose.encode()])


class UsualGPTuner(GPTuner):
    """The Gaussian process with half of its first round near the values that the literature takes
    without a search.

    Trial 0 is the usual point itself, every second one after it is a variation, and the others are
    the Sobol sequence. After the first round it is the same as `GPTuner`.
    """

    usual_start: ClassVar[bool] = True

    def _design(self, start: int, count: int) -> list[dict]:
        sobol = super()._design(0, start + count)
        points = []
        for i in range(start, start + count):
            if i < self.round_size and i % 2 == 0:
                points.append(self._usual(i))
            else:
                usual_points = (min(i, self.round_size) + 1) // 2  # before this one
                points.append(sobol[i - usual_points])
        return points

    def _usual(self, i: int) -> dict:
        return self.space.near_usual(self._rng("usual", i)) if i else self.space.usual_point()


class RerunTuner(RandomTuner):
    """One set of hyper-parameters again and again. All of them are pinned, so that the trials differ
    in their initial weights only.
    """

    def __init__(self, space: Space, seed: int = 0):
        super().__init__(space, seed)
        if len(space):
            raise ValueError(
                "A rerun must pin all hyper-parameters, got a study that leaves"
                f" {', '.join(space.names)} open. Pin them, too."
            )


TUNERS: dict[str, Any] = {  # name -> class of a Tuner
    "gp": GPTuner,
    "gp-usual": UsualGPTuner,
    "random": RandomTuner,
    "rerun": RerunTuner,
    "long": LongTuner,
}


def warp_losses(losses: Sequence[float]) -> np.ndarray:
    """The losses that the surrogate is fitted to, in the same order. Infeasible ones (NaN,
    infinity) are taken for the worst feasible loss plus half of the range.

    Losses span decades, or they pile up at chance while the good ones lie far below. Each is
    therefore replaced by the mean of two scores: the normal score of its rank, and its signed
    distance to the median on a logarithmic scale, standardised.
    """
    from scipy.stats import norm, rankdata

    raw = np.asarray(losses, dtype=float)
    feasible = np.isfinite(raw)
    finite = np.clip(raw, -1e100, 1e100)  # so that no sum below overflows
    low = finite[feasible].min()
    high = finite[feasible].max()
    complete = np.where(feasible, finite, high + (high / 2 - low / 2))
    ranks = norm.ppf((rankdata(complete) - 0.5) / len(complete))
    distance = complete - np.median(complete)
    if not distance.any():
        return distance
    scale = np.median(np.abs(distance[distance != 0]))
    logs = np.sign(distance) * np.log1p(np.abs(distance) / scale)
    return (ranks + (logs - logs.mean()) / logs.std()) / 2


def check_observations(
    space: Space, hparams: Iterable[dict], losses: Iterable
) -> tuple[list[list], list[float]]:
    """The observations as points of skopt and losses of type float. ValueError unless there is one
    number per point, and each point is in the space.
    """
    points = list(hparams)
    numbers = list(losses)
    if len(points) != len(numbers):
        raise ValueError(
            f"There must be one loss for each set of hyper-parameters, got {len(points)} sets and"
            f" {len(numbers)} losses."
        )
    try:
        numbers = [float(loss) for loss in numbers]
    except (TypeError, ValueError):
        raise ValueError(
            f"Losses must be numbers, NaN where a trial is infeasible, got {numbers!r}."
        ) from None
    return [space.values(point) for point in points], numbers
