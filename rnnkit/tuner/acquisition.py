"""The choice of the next points: skopt's loop of ask and tell, with batches of our own.

skopt makes a batch by telling a copy of the optimizer one lie after another, and for each lie it fits
the regressor again, draws candidates again, and climbs EI. Here the points of a batch share one
posterior and one set of candidates, and each point adds one lie to the posterior, which is one row
of its factor.

EI is maximised over the candidates alone. Climbing from the best of them, along the gradient of
log EI, was tried and dropped: in many dimensions it walks to the edges of the space, where no trial
has been, and it was no better on any function or study that we tried.
"""

import math

import numpy as np
import torch
from skopt import Optimizer

from rnnkit.tuner.surrogate import root

# candidates all over the space, candidates near the best trials, and the number of best trials
UNIFORM = 1_000
NEAR = 1_000
CENTRES = 10


class BatchOptimizer(Optimizer):
    """skopt's Optimizer (its space and its `tell`) whose `ask` returns a batch, chosen greedily by
    expected improvement.
    """

    def ask(self, n_points: int) -> list[list]:
        """The next `n_points` points, new ones as long as there are any. A longer batch begins with
        the shorter one.
        """
        model = self.models[-1]
        rng = np.random.default_rng(self.rng.randint(2**31 - 1))
        tabu = {tuple(x) for x in self.Xi}
        batch = []
        # the least loss according to the model, which is free of noise
        best = float((model.covariance(self.space.transform(self.Xi)) @ model.alpha).min())
        # posterior at the candidates
        X = self.candidates(rng)
        n = model.n
        K = torch.zeros(len(X), n + n_points, dtype=torch.float64)
        K[:, :n] = model.covariance(X)
        mean = K[:, :n] @ model.alpha
        variance = model.signal - (K[:, :n] @ model.R[:n, :n].T).square().sum(1)
        for i in range(n, n + n_points):
            # the best candidate that is new
            log_improvement = log_ei(mean, root(variance), best)
            order = torch.argsort(log_improvement, descending=True, stable=True).numpy()
            candidates = map(self.point, X[order])
            point = next((p for p in candidates if tuple(p) not in tabu), self.point(X[order[0]]))
            tabu.add(tuple(point))
            batch.append(point)
            # The lie is the loss that the model expects: it leaves all means as they are and reduces
            # the variances. It is told at the point itself, where whole numbers are rounded.
            x = self.space.transform([point])
            model.extend(x[0])
            best = min(best, float(model.covariance(x)[0] @ model.alpha))
            K[:, i] = model.covariance(X, since=i)[:, 0]
            variance -= (K[:, : i + 1] @ model.R[i, : i + 1]).square()
        return batch

    def columns(self) -> list[tuple[int, int]]:
        """(first column, number of columns) of each dimension; the code of a choice has several."""
        sizes = [dimension.transformed_size for dimension in self.space.dimensions]
        return list(zip(np.cumsum([0, *sizes[:-1]]).tolist(), sizes))

    def point(self, x: np.ndarray) -> list:
        """The point of a row of columns."""
        return self.space.inverse_transform(x[None])[0]

    def candidates(self, rng: np.random.Generator) -> np.ndarray:
        """Points all over the space, and points near the best trials, in which some numbers are
        moved and some choices changed; UNIFORM + NEAR rows of columns.
        """
        columns = self.columns()
        uniform = draw(rng, UNIFORM, columns)
        order = np.argsort(self.yi, kind="stable")[:CENTRES]
        centres = self.space.transform([self.Xi[i] for i in order])
        near = centres[rng.integers(len(order), size=NEAR)]
        alternatives = draw(rng, NEAR, columns)
        step = 10 ** rng.uniform(-2.5, -0.5, size=NEAR)
        change = rng.random((NEAR, len(columns))) < rng.uniform(1 / len(columns), 1, size=(NEAR, 1))
        for (start, size), mask in zip(columns, change.T):
            if size == 1:
                steps = step * rng.standard_normal(NEAR)
                near[mask, start] = np.clip(near[:, start] + steps, 0, 1)[mask]
            else:
                swap = mask & (rng.random(NEAR) < 0.3)
                near[swap, start : start + size] = alternatives[swap, start : start + size]
        return np.concatenate([uniform, near])


def draw(rng: np.random.Generator, n: int, columns: list[tuple[int, int]]) -> np.ndarray:
    """n points drawn uniformly, as rows of columns."""
    X = np.zeros((n, sum(size for _, size in columns)))
    for start, size in columns:
        if size == 1:
            X[:, start] = rng.random(n)
        else:
            X[np.arange(n), start + rng.integers(size, size=n)] = 1
    return X


def log_ei(mean: torch.Tensor, std: torch.Tensor, best: float) -> torch.Tensor:
    """Logarithm of the expected improvement below `best` (Ament et al. 2023); EI itself underflows
    far from the good points.

    EI = std * h(u), u = (best - mean) / std, h(u) = phi(u) + u Phi(u).
    """
    u = (best - mean) / std
    # two forms, each where it is accurate
    low = u.clamp(max=0)
    high = u.clamp(min=0)
    ratio = math.sqrt(math.pi / 2) * torch.special.erfcx(-low / math.sqrt(2))  # Phi(u) / phi(u)
    h_over_phi = torch.where(low > -1e3, 1 + low * ratio, low.clamp(max=-1).square().reciprocal())
    below = -0.5 * low.square() - 0.5 * math.log(2 * math.pi) + h_over_phi.log()
    above = (
        torch.exp(-0.5 * high.square()) / math.sqrt(2 * math.pi) + high * torch.special.ndtr(high)
    ).log()
    return std.log() + torch.where(u < 0, below, above)
