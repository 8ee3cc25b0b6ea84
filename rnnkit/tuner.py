"""Tuners: suggest hyper-parameters, observe losses (Appendix A).

A tuner is stateless: what it suggests is a function of its space, its seed and the observations, in their order, so that
one rebuilt from a store asks for what one that never stopped would have asked.

`GPTuner` minimises the loss as the paper does, with a Gaussian process and expected improvement (EI). scikit-optimize holds the
space and the ask/tell loop; the two things in it that do not reach the paper's budget are ours. `MaternGP` replaces its
regressor. `BatchOptimizer.ask` replaces its batch, which refits the regressor and samples the space anew for every point:
here the points of a batch share one posterior, to which each adds its lie in O(n^2), and EI is maximised over candidates, most of
them near the best points seen. Climbing EI by its gradient, as skopt does, walks to the corners of a space of this many dimensions: on
small capacity studies (250 parameters; rnn, gru, +rnn; 4 seeds; 64 trials) it found 0.99 bits a parameter on average, no more than
random search (1.02), and the candidates 1.46.
"""

import math
from contextlib import contextmanager

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.stats import norm, qmc, rankdata
from sklearn.base import BaseEstimator, RegressorMixin
from skopt import Optimizer

from rnnkit.hparams import Space

FIT_POINTS = 500  # the kernel is fitted to at most so many observations; all of them enter the posterior
GROWTH = 1.1  # the kernel is fitted again when the observations have grown by a tenth
NOISE_FLOOR = 1e-4  # of the variance of the warped losses, which is 1


# --- the surrogate -----------------------------------------------------------------------------------------------------


class MaternGP(RegressorMixin, BaseEstimator):
    """Gaussian process, Matern-5/2 kernel with one length per dimension, plus noise; float64, one thread.

    `groups[j]` is the dimension of column j: the columns of a one-hot code share one length. `theta` is the kernel: the
    logs of the lengths (one per dimension), of the signal variance and of the noise variance; `fit_kernel` finds one.
    """

    def __init__(self, groups, theta):
        self.groups = groups
        self.theta = theta

    def fit(self, X, y):
        """Condition on losses y (n) at points X (n x columns)."""
        theta = torch.as_tensor(np.asarray(self.theta), dtype=torch.float64)
        self.length, (self.signal, self.noise) = theta[:-2].exp()[torch.as_tensor(self.groups)], theta[-2:].exp().tolist()
        self.n, n = 0, len(y)
        self._reserve(n)
        with one_thread():
            Z = _tensor(X) / self.length
            K = self.signal * _matern(_distance(Z, Z))[0]
            K.diagonal().add_(self.noise)
            R = torch.linalg.solve_triangular(torch.linalg.cholesky(K), torch.eye(n, dtype=torch.float64), upper=False)
            self.Z[:n], self.R[:n, :n], self.beta[:n], self.n = Z, R, R @ _tensor(y), n
            self.alpha = R.T @ self.beta[:n]
        return self

    def extend(self, x, y=None):
        """Condition on one loss more, at x, in O(n^2). Without y it is what the model expects there."""
        n = self.n
        self._reserve(n + 1)
        with one_thread():
            z = _tensor(x) / self.length
            k = self.signal * _matern(_distance(z[None], self.Z[:n]))[0][0]
            R = self.R[:n, :n]
            v = R @ k
            d = math.sqrt(self.signal + self.noise - float(v @ v))
            y = float(k @ self.alpha) if y is None else y
            b = (y - float(v @ self.beta[:n])) / d
            self.R[n, :n], self.R[n, n], self.Z[n], self.beta[n] = -(v @ R) / d, 1 / d, z, b
            self.n = n + 1
            self.alpha = torch.cat([self.alpha, self.alpha.new_zeros(1)]) + self.R[n, : n + 1] * b
        return self

    def _reserve(self, n):
        """Room for n observations and a few batches of lies."""
        if self.n == 0 or n > len(self.Z):
            room, old = n + 64, (self.Z, self.R, self.beta) if self.n else None
            self.Z, self.R = torch.zeros(room, len(self.groups), dtype=torch.float64), torch.zeros(room, room, dtype=torch.float64)
            self.beta = torch.zeros(room, dtype=torch.float64)
            if old:
                m = self.n
                self.Z[:m], self.R[:m, :m], self.beta[:m] = old[0][:m], old[1][:m, :m], old[2][:m]

    def covariance(self, X):
        """Covariance of the losses at X (q x columns) with those observed, lies included (q x n)."""
        return self.signal * _matern(_distance(_tensor(X) / self.length, self.Z[: self.n]))[0]

    def posterior(self, X):
        """Mean and standard deviation of the loss without noise at X (q x columns)."""
        with one_thread():
            k, R = self.covariance(X), self.R[: self.n, : self.n]
            return k @ self.alpha, _root(self.signal - (k @ R.T).square().sum(1))

    def predict(self, X, return_std=False):
        """As scikit-learn's regressors do."""
        mean, std = (t.numpy() for t in self.posterior(X))
        return (mean, std) if return_std else mean


def log_likelihood(theta, X, y, groups, gradient=True):
    """Log marginal likelihood of losses y at X under the kernel `theta`, and its gradient in theta (Rasmussen & Williams, 5.8-5.9)."""
    theta, groups, X, y = _tensor(theta), torch.as_tensor(groups), _tensor(X), _tensor(y)
    signal, noise = theta[-2:].exp()
    Z = X / theta[:-2].exp()[groups]
    k, slope = _matern(_distance(Z, Z))
    K = signal * k
    K.diagonal().add_(noise)
    L = torch.linalg.cholesky(K)
    alpha = torch.cholesky_solve(y[:, None], L)[:, 0]
    value = float(-0.5 * y @ alpha - L.diagonal().log().sum() - 0.5 * len(y) * math.log(2 * math.pi))
    if not gradient:
        return value
    A = torch.outer(alpha, alpha) - torch.cholesky_inverse(L)
    W = -signal * slope * A  # dk / d log length = -slope * difference^2, summed over the columns of a dimension
    columns = (W.sum(1) @ Z.square()) - (Z * (W @ Z)).sum(0)
    lengths = torch.zeros(len(theta) - 2, dtype=torch.float64).index_add_(0, groups, columns)
    tail = torch.stack([0.5 * signal * (A * k).sum(), 0.5 * noise * A.diagonal().sum()])
    return value, torch.cat([lengths, tail]).numpy()


def fit_kernel(X, y, groups, start=None):
    """The kernel of greatest posterior density, by L-BFGS from `start`: the likelihood, times priors that keep it sane where
    the dimensions outnumber the observations. Lengths: log-normal with the median growing as sqrt(dimensions) (Hvarfner et al. 2024)."""
    d = max(groups) + 1
    centre = np.r_[np.full(d, math.sqrt(2) + 0.5 * math.log(d)), 0.0, -4.0]
    width = np.r_[np.full(d, math.sqrt(3)), 0.5, 1.5]
    bounds = [(math.log(0.05), math.log(1e3))] * d + [(-4.0, 4.0), (math.log(NOISE_FLOOR), 0.0)]

    def loss(theta):
        value, slope = log_likelihood(theta, X, y, groups)
        pull = (theta - centre) / width
        return -value + 0.5 * pull @ pull, -slope + pull / width

    with one_thread():
        start = centre - np.r_[np.full(d, math.log(2)), 0, 0] if start is None else start
        return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60, "ftol": 1e-6}).x


def _root(variance):
    return variance.clamp_min(1e-12).sqrt()


def _distance(A, B):
    """Euclidean distances between the rows of A and of B."""
    return (A.square().sum(1)[:, None] + B.square().sum(1) - 2 * A @ B.T).clamp_min_(0).sqrt_()


def _matern(r):
    """Matern-5/2 at distance r, and its derivative divided by r."""
    a = math.sqrt(5) * r
    e = torch.exp(-a)
    return (1 + a + a.square() / 3) * e, -(5 / 3) * (1 + a) * e


def _tensor(x):
    return torch.as_tensor(np.asarray(x), dtype=torch.float64)


@contextmanager
def one_thread():
    """Small matrices are slower on several threads, much slower where the cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


# --- asking for a batch ------------------------------------------------------------------------------------------------


class BatchOptimizer(Optimizer):
    """skopt's Optimizer (its space, its `tell`, EI) with a batch of our own: greedy, each point told to the posterior as a lie."""

    def ask(self, n_points=1):
        """The next `n_points` points. A longer batch begins with the shorter one."""
        model, rng, chosen = self.models[-1], np.random.default_rng(self.rng.randint(2**31 - 1)), []
        columns = self._columns()
        best = float((model.covariance(self.space.transform(self.Xi)) @ model.alpha).min())
        seen = {tuple(x) for x in self.Xi}
        X, n = self._candidates(rng, columns), model.n
        K = torch.zeros(len(X), n + n_points, dtype=torch.float64)
        K[:, :n] = model.covariance(X)
        mean, variance = K[:, :n] @ model.alpha, model.signal - (K[:, :n] @ model.R[:n, :n].T).square().sum(1)
        for i in range(n, n + n_points):
            value = log_ei(mean, _root(variance), best)
            x = X[int(value.argmax())]
            point = self.space.inverse_transform(x[None])[0]
            if tuple(point) in seen:  # at a corner of the space, say: the best candidate that is new
                order = torch.argsort(value, descending=True).tolist()
                point = next(p for p in (self.space.inverse_transform(X[i : i + 1])[0] for i in order) if tuple(p) not in seen)
            seen.add(tuple(point))
            chosen.append(point)
            z = self.space.transform([point])  # where a whole number was rounded, the lie is at the whole number
            model.extend(z[0])  # the lie is what the model expects, so that no mean changes, only variances
            best = min(best, float((model.covariance(z) @ model.alpha)[0]))
            K[:, i] = model.signal * _matern(_distance(_tensor(X) / model.length, model.Z[i : i + 1]))[0][:, 0]
            variance -= (K[:, : i + 1] @ model.R[i, : i + 1]).square()
        return chosen

    def _columns(self):
        """Per dimension: its first column, its number of columns (one-hot codes have several)."""
        sizes = [d.transformed_size for d in self.space.dimensions]
        return list(zip(np.cumsum([0, *sizes[:-1]]).tolist(), sizes))

    def _candidates(self, rng, columns, uniform=300, near=2000, centres=5):
        """Points over the whole space, and points near the best ones seen with a few coordinates changed."""
        def draw(n):
            U = np.zeros((n, sum(size for _, size in columns)))
            for at, size in columns:
                if size == 1:
                    U[:, at] = rng.random(n)
                else:
                    U[np.arange(n), at + rng.integers(size, size=n)] = 1
            return U

        order = np.argsort(self.yi, kind="stable")[:centres]
        centre = self.space.transform([self.Xi[i] for i in order])[rng.integers(len(order), size=near)]
        fresh, step = draw(near), 10 ** rng.uniform(-2.5, -0.5, size=(near, 1))
        change = rng.random((near, len(columns))) < rng.uniform(1 / len(columns), 1, size=(near, 1))
        for j, (at, size) in enumerate(columns):
            if size == 1:
                moved = np.clip(centre[:, at] + step[:, 0] * rng.standard_normal(near), 0, 1)
                centre[:, at] = np.where(change[:, j], moved, centre[:, at])
            else:
                swap = change[:, j] & (rng.random(near) < 0.3)
                centre[swap, at : at + size] = fresh[swap, at : at + size]
        return np.concatenate([draw(uniform), centre])


def log_ei(mean, std, best):
    """Logarithm of the expected improvement below `best` (Ament et al. 2023), which does not underflow where EI does."""
    u = (best - mean) / std
    ratio = math.sqrt(math.pi / 2) * torch.special.erfcx(-u / math.sqrt(2))  # Phi(u) / phi(u)
    h = torch.where(u > -1e3, 1 + u * ratio, u.clamp(max=-1).square().reciprocal())
    big = u > 20  # there `ratio` overflows, and EI / std is u to rounding
    log_phi = -0.5 * u.square() - 0.5 * math.log(2 * math.pi)
    return std.log() + torch.where(big, u.clamp_min(1).log(), log_phi + torch.where(big, torch.ones_like(u), h).clamp_min(1e-300).log())


# --- the tuners --------------------------------------------------------------------------------------------------------


def told(losses):
    """What the surrogate is told: infeasible trials (NaN, inf) as the worst feasible loss plus half the range, then all of them
    as normal scores of their ranks, since losses span decades."""
    losses = np.asarray(losses, dtype=float)
    feasible = losses[np.isfinite(losses)]
    losses = np.where(np.isfinite(losses), losses, feasible.max() + 0.5 * (feasible.max() - feasible.min()))
    return norm.ppf((rankdata(losses) - 0.5) / len(losses))


class RandomTuner:
    """Random search: trial i is a function of (seed, i) alone."""

    def __init__(self, space: Space, seed: int = 0):
        self.space, self.seed = space, seed

    def suggest(self, count: int, start: int = 0) -> list[dict]:
        return [self.space.sample(np.random.default_rng([self.seed, i])) for i in range(start, start + count)]

    def observe(self, hparams, losses):
        pass


class GPTuner:
    def __init__(self, space: Space, seed: int = 0, round_size: int = 16):
        self.space, self.seed, self.round_size = space, seed, round_size
        self.points, self.losses, self._kernels = [], [], {}

    def observe(self, hparams, losses):
        self.points += [self.space.values(p) for p in hparams]
        self.losses += [float(loss) for loss in losses]

    def suggest(self, count, start=0):
        n = len(self.losses)
        if n < self.round_size or np.isfinite(self.losses).sum() < 4:
            start = max(start, n)
            sobol = qmc.Sobol(len(self.space), rng=np.random.default_rng([self.seed, 0]))
            U = sobol.random_base2(math.ceil(math.log2(start + count)) if start + count > 1 else 0)
            return [self.space.from_unit(u) for u in U[start : start + count]]
        dims = self.space.skopt()
        groups = [j for j, d in enumerate(dims.dimensions) for _ in range(d.transformed_size)]
        X = dims.transform(self.points)
        opt = BatchOptimizer(dims.dimensions, MaternGP(groups, self._kernel(X, groups)), n_initial_points=0, acq_func="EI", acq_optimizer="sampling",
            acq_optimizer_kwargs={"n_points": 1}, random_state=int(np.random.default_rng([self.seed, n, 1]).integers(2**31 - 1)))
        opt.tell(self.points, told(self.losses).tolist())
        return [self.space.point(p) for p in opt.ask(count)]

    def _kernel(self, X, groups):
        n = self.round_size
        while (k := max(n + 1, math.ceil(n * GROWTH))) <= len(X):
            n = k
        if n not in self._kernels:
            y, rng = told(self.losses[:n]), np.random.default_rng([self.seed, n, 2])
            keep = np.arange(n)
            if n > FIT_POINTS:
                order = np.argsort(y, kind="stable")
                top = FIT_POINTS // 4
                keep = np.sort(np.r_[order[:top], rng.choice(order[top:], FIT_POINTS - top, replace=False)])
            self._kernels = {n: fit_kernel(X[keep], y[keep], groups)}
        return self._kernels[n]


TUNERS = {"gp": GPTuner, "random": RandomTuner}
