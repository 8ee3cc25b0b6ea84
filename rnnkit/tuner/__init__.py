"""Tuners: suggest hyper-parameters, observe losses (Appendix A).

A tuner is stateless: what it suggests is a function of its space, its seed and the observations in
their order, so that a tuner rebuilt from a store asks for what one that never stopped would have
asked.

`GPTuner` searches as the paper does, by a Gaussian process and expected improvement.
scikit-optimize holds the space and the ask/tell loop; its regressor and its way to a batch take
minutes from some hundred trials on, so they are ours (surrogate.py, batch.py).
"""

import math

import numpy as np
from scipy.stats import norm, qmc, rankdata

from rnnkit.checks import whole_number
from rnnkit.hparams import Space
from rnnkit.threads import one_thread
from rnnkit.tuner.batch import BatchOptimizer, log_ei
from rnnkit.tuner.longer import LongTuner
from rnnkit.tuner.surrogate import MaternGP, fit_kernel

FEW = 4  # feasible trials that the surrogate needs; until then the first design goes on
FIT_POINTS = 500  # trials to which the kernel is fitted, at most; all of them enter the posterior
GROWTH = 1.1  # the kernel is fitted again when the trials have grown by a tenth


class RandomTuner:
    """Random search: trial i is a function of (seed, i) alone."""

    listens = False  # so all of its rounds may be asked for at once

    def __init__(self, space: Space, seed: int = 0):
        self.space, self.seed = space, whole_number("seed", seed, 0)

    def suggest(self, count: int, start: int = 0) -> list[dict]:
        """Hyper-parameters of the trials start, ..., start + count - 1."""
        count, start = whole_number("count", count, 1), whole_number("start", start, 0)
        return [
            self.space.sample(np.random.default_rng([self.seed, i]))
            for i in range(start, start + count)
        ]

    def observe(self, hparams: list[dict], losses: list[float]) -> None:
        """Random search does not listen, except for mistakes."""
        observed(self.space, hparams, losses)


class GPTuner:
    """Bayesian optimisation: a Gaussian process on the observations, and the points of greatest
    expected improvement.

    The first `round_size` trials are a scrambled Sobol sequence. After that, suggestions depend on
    seed and observations alone.
    """

    listens = True

    def __init__(self, space: Space, seed: int = 0, round_size: int = 16):
        self.space, self.seed, self.round_size = (
            space,
            whole_number("seed", seed, 0),
            whole_number("round_size", round_size, 1),
        )
        self.points, self.losses, self._kernel = [], [], (0, None)

    def observe(self, hparams: list[dict], losses: list[float]) -> None:
        """Takes the losses of trials; NaN or infinite means infeasible. ValueError for a point
        outside the space.
        """
        points, losses = observed(self.space, hparams, losses)
        self.points += points
        self.losses += losses

    @one_thread()
    def suggest(self, count: int, start: int = 0) -> list[dict]:
        """The next `count` sets of hyper-parameters; a longer list begins with the shorter one.
        `start`, the number of the first trial wanted, counts only while the first design lasts,
        since after that the observations say where the search stands.
        """
        count, start, n = (
            whole_number("count", count, 1),
            whole_number("start", start, 0),
            len(self.losses),
        )
        if self._in_design():
            return self._design(max(start, n), count)
        space, surrogate = self._surrogate()
        optimizer = BatchOptimizer(
            space.dimensions,
            base_estimator=surrogate,
            n_initial_points=0,
            acq_func="EI",
            acq_optimizer="sampling",
            acq_optimizer_kwargs={"n_points": 1},  # skopt's own next point, which nobody asks for
            random_state=int(self._rng("batch", n).integers(2**31 - 1)),
        )
        optimizer.tell(self.points, told(self.losses).tolist())
        return [self.space.point(values) for values in optimizer.ask(count)]

    @one_thread()
    def posterior(self, hparams: list[dict]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the surrogate makes of these points: mean and standard deviation of the loss, as it
        is `told`, and expected improvement.

        ValueError while the first design lasts, since there is no surrogate then.
        """
        if self._in_design():
            raise ValueError(
                f"There is a posterior after {self.round_size} trials, {FEW} of them feasible, got"
                f" {len(self.losses)}. Observe more."
            )
        space, surrogate = self._surrogate()
        X = space.transform(self.points)
        surrogate.fit(X, told(self.losses))
        mean, std = surrogate.posterior(
            space.transform([self.space.values(point) for point in hparams])
        )
        return (
            mean.numpy(),
            std.numpy(),
            log_ei(mean, std, float(surrogate.predict(X).min())).exp().numpy(),
        )

    def noise(self) -> float:
        """Standard deviation of what the surrogate takes for noise in the losses, as they are
        `told`: a trial lies so far off the mean of `posterior`, beside what is unknown of the mean.
        """
        return math.exp(self._surrogate()[1].theta[-1] / 2)

    def _in_design(self) -> bool:
        return len(self.losses) < self.round_size or np.isfinite(self.losses).sum() < FEW

    def _surrogate(self):
        """The space as skopt has it, and the regressor with the kernel of these observations, not
        yet conditioned on them.
        """
        space = self.space.skopt()
        groups = [
            j
            for j, dimension in enumerate(space.dimensions)
            for _ in range(dimension.transformed_size)
        ]
        return space, MaternGP(groups, self._fitted(space.transform(self.points), groups))

    def _design(self, start: int, count: int) -> list[dict]:
        """Points start, ..., start + count - 1 of the Sobol sequence of this seed."""
        sobol = qmc.Sobol(len(self.space), rng=self._rng("design", 0))
        unit = sobol.random_base2((start + count - 1).bit_length())
        return [self.space.from_unit(u) for u in unit[start : start + count]]

    def _fitted(self, X, groups):
        """The kernel for len(X) observations. It is fitted, always from the same start, to the
        first n of them, where n grows by tenths from `round_size`: so it is a function of the
        observations, whether or not this tuner lived through them.
        """
        n = self.round_size
        while (larger := max(n + 1, math.ceil(n * GROWTH))) <= len(X):
            n = larger
        if self._kernel[0] != n:
            y, keep = told(self.losses[:n]), np.arange(n)
            if n > FIT_POINTS:  # the best ones, where accuracy matters, and a sample of the others
                order, best = np.argsort(y, kind="stable"), FIT_POINTS // 4
                keep = np.r_[
                    order[:best],
                    self._rng("subset", n).choice(order[best:], FIT_POINTS - best, replace=False),
                ]
            self._kernel = n, fit_kernel(X[keep], y[keep], groups)
        return self._kernel[1]

    def _rng(self, purpose: str, n: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, n, *purpose.encode()])


class UsualGPTuner(GPTuner):
    """The Gaussian process with half of its first round near the values that the literature takes
    without a search.

    Trial 0 is the usual point itself, every second one after it a variation, and the others are the
    Sobol sequence. All that comes after the first round is the Gaussian process as it is.
    """

    usual_start = True  # so a study's fingerprint counts the usual values

    def _design(self, start: int, count: int) -> list[dict]:
        near = {
            i: self._usual(i)
            for i in range(start, min(start + count, self.round_size))
            if i % 2 == 0
        }
        before = [min(i, self.round_size) for i in range(start, start + count)]
        sobol = super()._design(0, start + count)
        return [
            near.get(i) or sobol[i - (n + 1) // 2]
            for i, n in zip(range(start, start + count), before)
        ]

    def _usual(self, i: int) -> dict:
        return self.space.near_usual(self._rng("usual", i)) if i else self.space.usual_point()


class RerunTuner(RandomTuner):
    """One set of hyper-parameters again and again, all of them pinned: what differs from trial to
    trial are the initial weights.
    """

    def __init__(self, space: Space, seed: int = 0):
        super().__init__(space, seed)
        if len(space):
            raise ValueError(
                "A rerun must pin all hyper-parameters, got a study without"
                f" {', '.join(space.names)}. Pin them too."
            )


TUNERS = {
    "gp": GPTuner,
    "gp-usual": UsualGPTuner,
    "random": RandomTuner,
    "rerun": RerunTuner,
    "long": LongTuner,
}


def told(losses) -> np.ndarray:
    """What the surrogate is told of the losses, the infeasible ones (NaN, infinite) at the worst
    feasible plus half the range.

    Losses span decades, or they pile up at chance while the good ones lie far below, so they are
    warped: the mean of the normal scores of their ranks and of their signed distance to the median
    on a logarithmic scale. The order stays.
    """
    losses = np.asarray(losses, dtype=float)
    feasible = np.isfinite(losses)
    losses = np.clip(losses, -1e100, 1e100)  # so that no sum below overflows
    low, high = losses[feasible].min(), losses[feasible].max()
    losses = np.where(feasible, losses, high + (high / 2 - low / 2))
    ranks = norm.ppf((rankdata(losses) - 0.5) / len(losses))
    away = losses - np.median(losses)
    if not away.any():
        return away
    logs = np.sign(away) * np.log1p(np.abs(away) / np.median(np.abs(away[away != 0])))
    return (ranks + (logs - logs.mean()) / logs.std()) / 2


def observed(space, hparams, losses):
    """Points as skopt has them, and losses as floats. ValueError, one sentence, unless there is one
    number for each point of the space.
    """
    hparams, losses = list(hparams), list(losses)
    if len(hparams) != len(losses):
        raise ValueError(
            f"There must be one loss for each set of hyper-parameters, got {len(hparams)} sets and"
            f" {len(losses)} losses."
        )
    try:
        losses = [float(loss) for loss in losses]
    except (TypeError, ValueError):
        raise ValueError(
            f"Losses must be numbers, NaN where a trial is infeasible, got {losses!r}."
        ) from None
    return [space.values(point) for point in hparams], losses
