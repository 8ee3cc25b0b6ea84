"""skopt's ask/tell loop, with a batch of our own.

skopt makes a batch by telling a copy of the optimizer one lie after another, and for each it fits the regressor anew, draws the space
anew and climbs EI from one start after another. Here the points of a batch share one posterior and one set of candidates; each point tells the
posterior one lie, a row of its factor, and the climb takes all its starts at once.
"""

import math

import numpy as np
import torch
from scipy.optimize import minimize
from skopt import Optimizer

from rnnkit.tuner.surrogate import root

UNIFORM, NEAR, CENTRES = 1_000, 1_000, 10  # candidates all over the space, near the best trials, and how many best trials
STARTS, ITERATIONS = 6, 25  # of the climb


class BatchOptimizer(Optimizer):
    """skopt's Optimizer (its space and its `tell`) whose `ask` returns a batch, chosen greedily by expected improvement."""

    def ask(self, n_points):
        """The next `n_points` points, new ones all. A longer batch begins with the shorter one."""
        model, rng = self.models[-1], np.random.default_rng(self.rng.randint(2**31 - 1))
        seen, chosen, columns = {tuple(x) for x in self.Xi}, [], self.columns()
        best = float((model.covariance(self.space.transform(self.Xi)) @ model.alpha).min())  # as the model has it, free of noise
        X, n = self.candidates(rng, columns), model.n
        K = torch.zeros(len(X), n + n_points, dtype=torch.float64)
        K[:, :n] = model.covariance(X)
        mean, variance = K[:, :n] @ model.alpha, model.signal - (K[:, :n] @ model.R[:n, :n].T).square().sum(1)
        for i in range(n, n + n_points):
            value = log_ei(mean, root(variance), best)
            order = torch.argsort(value, descending=True, stable=True).numpy()
            point = self.point(search(model, X[order[:STARTS]], best, columns))
            if tuple(point) in seen:  # at a corner of the space, say; then the best candidate that is new
                point = next(p for p in map(self.point, X[order]) if tuple(p) not in seen)
            seen.add(tuple(point))
            chosen.append(point)
            x = self.space.transform([point])  # where a whole number was rounded, the lie is at the whole number
            model.extend(x[0])  # the lie is the loss that the model expects: it leaves all means as they are and narrows the variances
            best = min(best, float(model.covariance(x)[0] @ model.alpha))
            K[:, i] = model.covariance(X, since=i)[:, 0]
            variance -= (K[:, : i + 1] @ model.R[i, : i + 1]).square()
        return chosen

    def columns(self):
        """Per dimension its first column and its number of columns; a one-hot code has several."""
        sizes = [d.transformed_size for d in self.space.dimensions]
        return list(zip(np.cumsum([0, *sizes[:-1]]).tolist(), sizes))

    def point(self, x):
        return self.space.inverse_transform(x[None])[0]

    def candidates(self, rng, columns):
        """Points all over the space, and points near the best trials: some of their numbers moved, some of their choices changed."""
        X = draw(rng, UNIFORM, columns)
        order = np.argsort(self.yi, kind="stable")[:CENTRES]
        near, other = self.space.transform([self.Xi[i] for i in order])[rng.integers(len(order), size=NEAR)], draw(rng, NEAR, columns)
        step = 10 ** rng.uniform(-2.5, -0.5, size=NEAR)
        change = rng.random((NEAR, len(columns))) < rng.uniform(1 / len(columns), 1, size=(NEAR, 1))
        for (at, size), changed in zip(columns, change.T):
            if size == 1:
                near[changed, at] = np.clip(near[:, at] + step * rng.standard_normal(NEAR), 0, 1)[changed]
            else:
                swap = changed & (rng.random(NEAR) < 0.3)
                near[swap, at : at + size] = other[swap, at : at + size]
        return np.concatenate([X, near])


def draw(rng, n, columns):
    """n points drawn uniformly, as columns."""
    X = np.zeros((n, sum(size for _, size in columns)))
    for at, size in columns:
        if size == 1:
            X[:, at] = rng.random(n)
        else:
            X[np.arange(n), at + rng.integers(size, size=n)] = 1
    return X


def search(model, x0, best, columns):
    """The point of greatest EI found: a climb in the numbers from the starts x0, then the best change of one choice, then a climb again."""
    x, value = climb(model, x0, best, columns)
    others = changes(x, columns)
    if len(others):
        values = log_ei(*model.posterior(others), best)
        if float(values.max()) > value:
            x, value = climb(model, others[[int(values.argmax())]], best, columns)
    return x


def climb(model, x0, best, columns):
    """The best of the points reached from the starts x0 (q x columns) by gradient, choices held, and its log EI."""
    free = [at for at, size in columns if size == 1]
    x = x0.copy()
    if free:

        def loss(flat):  # the starts do not touch each other, so that their sum is minimised where each of them is
            x[:, free] = flat.reshape(len(x), -1)
            mean, std, d_mean, d_std = model.posterior(x, gradient=True)
            value, by_mean, by_std = log_ei(mean, std, best, gradient=True)
            slope = by_mean[:, None] * d_mean + by_std[:, None] * d_std
            return -float(value.sum()), -slope[:, free].numpy().ravel()

        start = x[:, free].ravel()
        end = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, 1)] * len(start), options={"maxiter": ITERATIONS}).x
        x[:, free] = end.reshape(len(x), -1)
    value = log_ei(*model.posterior(x), best)
    return x[int(value.argmax())], float(value.max())


def changes(x, columns):
    """Every point that differs from x in one choice."""
    found = []
    for at, size in columns:
        for c in range(at, at + size) if size > 1 else ():
            if not x[c]:
                found.append(x.copy())
                found[-1][at : at + size] = 0
                found[-1][c] = 1
    return np.array(found)


def log_ei(mean, std, best, gradient=False):
    """Logarithm of the expected improvement below `best`, and its derivatives by mean and std (Ament et al. 2023).

    EI = std * h(u), u = (best - mean) / std, h = phi + u Phi. In many dimensions EI itself underflows nearly everywhere and leaves
    nothing to climb.
    """
    u = (best - mean) / std
    low, high = u.clamp(max=0), u.clamp(min=0)  # two forms, each where it is accurate
    ratio = math.sqrt(math.pi / 2) * torch.special.erfcx(-low / math.sqrt(2))  # Phi(u) / phi(u)
    h_over_phi = torch.where(low > -1e3, 1 + low * ratio, low.clamp(max=-1).square().reciprocal())
    phi, Phi = (-0.5 * high.square()).exp() / math.sqrt(2 * math.pi), torch.special.ndtr(high)
    h = phi + high * Phi
    value = std.log() + torch.where(u < 0, -0.5 * low.square() - 0.5 * math.log(2 * math.pi) + h_over_phi.log(), h.log())
    if not gradient:
        return value
    return value, -torch.where(u < 0, ratio / h_over_phi, Phi / h) / std, torch.where(u < 0, 1 / h_over_phi, phi / h) / std
