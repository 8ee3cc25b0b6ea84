"""skopt's ask/tell loop, with a batch of our own.

skopt makes a batch by telling a copy of the optimizer one lie after another, and for each lie it
fits the regressor anew, draws the space anew and climbs EI. Here the points of a batch share one
posterior and one set of candidates, and each point tells the posterior one lie, a row of its
factor.

EI is maximised over the candidates alone. A climb from the best of them, by the gradient of log EI,
was tried and left out: in many dimensions it walks to the edges of the space, where no trial has
been, and it was no better on any function or study tried here.
"""

import math

import numpy as np
import torch
from skopt import Optimizer

from rnnkit.tuner.surrogate import root

# candidates all over the space, near the best trials, and how many best trials
UNIFORM, NEAR, CENTRES = (1_000, 1_000, 10)


class BatchOptimizer(Optimizer):
    """skopt's Optimizer (its space and its `tell`) whose `ask` returns a batch, chosen greedily by
    expected improvement.
    """

    def ask(self, n_points):
        """The next `n_points` points, new ones while there are any. A longer batch begins with the
        shorter one.
        """
        model, rng = self.models[-1], np.random.default_rng(self.rng.randint(2**31 - 1))
        seen, chosen = {tuple(x) for x in self.Xi}, []
        best = float(
            (model.covariance(self.space.transform(self.Xi)) @ model.alpha).min()
        )  # as the model has it, free of noise
        X, n = self.candidates(rng), model.n
        K = torch.zeros(len(X), n + n_points, dtype=torch.float64)
        K[:, :n] = model.covariance(X)
        mean, variance = (
            K[:, :n] @ model.alpha,
            model.signal - (K[:, :n] @ model.R[:n, :n].T).square().sum(1),
        )
        for i in range(n, n + n_points):
            value = log_ei(mean, root(variance), best)
            order = torch.argsort(value, descending=True, stable=True).numpy()
            point = next(
                (p for p in map(self.point, X[order]) if tuple(p) not in seen),
                self.point(X[order[0]]),
            )
            seen.add(tuple(point))
            chosen.append(point)
            x = self.space.transform(
                [point]
            )  # where a whole number was rounded, the lie is at the whole number
            model.extend(
                x[0]
                # the lie is the loss that the model expects: it leaves all means as they are and
                # narrows the variances
            )
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

    def candidates(self, rng):
        """Points all over the space, and points near the best trials: some of their numbers moved,
        some of their choices changed.
        """
        columns = self.columns()
        X = draw(rng, UNIFORM, columns)
        order = np.argsort(self.yi, kind="stable")[:CENTRES]
        near, other = (
            self.space.transform([self.Xi[i] for i in order])[rng.integers(len(order), size=NEAR)],
            draw(rng, NEAR, columns),
        )
        step = 10 ** rng.uniform(-2.5, -0.5, size=NEAR)
        change = rng.random((NEAR, len(columns))) < rng.uniform(1 / len(columns), 1, size=(NEAR, 1))
        for (at, size), changed in zip(columns, change.T):
            if size == 1:
                near[changed, at] = np.clip(near[:, at] + step * rng.standard_normal(NEAR), 0, 1)[
                    changed
                ]
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


def log_ei(mean, std, best):
    """Logarithm of the expected improvement below `best` (Ament et al. 2023); EI itself underflows
    far from the good points.

    EI = std * h(u), u = (best - mean) / std, h(u) = phi(u) + u Phi(u).
    """
    u = (best - mean) / std
    low, high = u.clamp(max=0), u.clamp(min=0)  # two forms, each where it is accurate
    ratio = math.sqrt(math.pi / 2) * torch.special.erfcx(-low / math.sqrt(2))  # Phi(u) / phi(u)
    h_over_phi = torch.where(low > -1e3, 1 + low * ratio, low.clamp(max=-1).square().reciprocal())
    below = -0.5 * low.square() - 0.5 * math.log(2 * math.pi) + h_over_phi.log()
    above = (
        torch.exp(-0.5 * high.square()) / math.sqrt(2 * math.pi) + high * torch.special.ndtr(high)
    ).log()
    return std.log() + torch.where(u < 0, below, above)
