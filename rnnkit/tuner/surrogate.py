"""The surrogate: a Gaussian process that scikit-optimize can use as its regressor, and that is fast
enough for thousands of trials.

Everything is float64. The process stores the inverse R of the Cholesky factor instead of the factor,
so that the posterior at many points is a product of matrices, and one more observation is one more
row: O(n^2) operations, where a new factor takes O(n^3).
"""

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, RegressorMixin
from torch.nn.functional import pad

Array = np.ndarray | torch.Tensor
NOISE = (1e-4, math.exp(-1))  # bounds of its variance; that of the warped losses is near 1
ROOM = 64  # observations
LENGTH = (0.05, 1e3)  # bounds of the length scales; a dimension has length 1


class MaternGP(RegressorMixin, BaseEstimator):
    """A Gaussian process with a Matern-5/2 kernel, one length scale per dimension, and noise
    (Rasmussen & Williams, chapters 2 and 4).

    `groups[j]` is the dimension of column j, since the columns of a one-hot code share a length
    scale. `theta` holds the logarithms of the length scales, one per dimension, then of the variance
    of the signal and of the variance of the noise; `fit_kernel` finds them.
    """

    def __init__(self, groups: Sequence[int], theta: np.ndarray):
        self.groups = groups
        self.theta = theta

    def fit(self, X: Array, y: np.ndarray) -> Self:
        """Conditions on losses y (n) at points X (n x columns)."""
        theta = tensor(self.theta)
        self.n = len(y)
        self.length = theta[:-2].exp()[torch.as_tensor(self.groups)]  # per column
        self.signal, self.noise = theta[-2:].exp().tolist()
        self.Z = tensor(X) / self.length
        K = self.signal * matern(distance(self.Z, self.Z))[0]
        K.diagonal().add_(self.noise)
        L = torch.linalg.cholesky(K)
        self.R = torch.linalg.solve_triangular(L, torch.eye(self.n, dtype=K.dtype), upper=False)
        self.beta = self.R @ tensor(y)
        self.alpha = self.R.T @ self.beta
        self._make_room()
        return self

    def extend(self, x: Array, y: float | None = None) -> Self:
        """Conditions on one more loss, y at x (columns). Without y it is the loss that the model
        expects there.
        """
        n = self.n
        if n == len(self.Z):
            self._make_room()
        k = self.covariance(tensor(x)[None])[0]
        v = self.R[:n, :n] @ k
        d = math.sqrt(self.signal + self.noise - float(v @ v))  # diagonal of the Cholesky factor
        y = float(k @ self.alpha) if y is None else y
        self.Z[n] = tensor(x) / self.length
        self.beta[n] = (y - float(v @ self.beta[:n])) / d
        self.R[n, :n] = -(v @ self.R[:n, :n]) / d
        self.R[n, n] = 1 / d
        self.n = n + 1
        self.alpha = pad(self.alpha, (0, 1)) + self.R[n, : n + 1] * self.beta[n]
        return self

    def _make_room(self) -> None:
        """Makes room for the observations of a few batches more."""
        self.Z = pad(self.Z, (0, 0, 0, ROOM))
        self.R = pad(self.R, (0, ROOM, 0, ROOM))
        self.beta = pad(self.beta, (0, ROOM))

    def covariance(self, X: Array, since: int = 0) -> torch.Tensor:
        """Covariance of the losses at X (q x columns) with the observations from number `since` on;
        q x (n - since).
        """
        return self.signal * matern(distance(tensor(X) / self.length, self.Z[since : self.n]))[0]

    def posterior(self, X: Array) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation (each q) of the loss without its noise at X (q x columns)."""
        k = self.covariance(X)
        variance = self.signal - (k @ self.R[: self.n, : self.n].T).square().sum(1)
        return k @ self.alpha, root(variance)

    def predict(self, X: Array, return_std: bool = False) -> np.ndarray | tuple[np.ndarray, ...]:
        """Arrays of the mean, or of the mean and the standard deviation, as skopt wants them."""
        mean, std = self.posterior(X)
        return (mean.numpy(), std.numpy()) if return_std else mean.numpy()


def log_likelihood(
    theta: Array, X: Array, y: Array, groups: Sequence[int]
) -> tuple[float, np.ndarray]:
    """Logarithm of the marginal likelihood of losses y (n) at X (n x columns) under the kernel
    `theta`, and its gradient with respect to theta (an array of the same length).

    Rasmussen & Williams, equations 5.8 and 5.9. One product of matrices gives the gradient with
    respect to all length scales.
    """
    theta = tensor(theta)
    columns = torch.as_tensor(groups)
    y = tensor(y)
    signal, noise = theta[-2:].exp()
    Z = tensor(X) / theta[:-2].exp()[columns]
    k, slope = matern(distance(Z, Z))
    K = signal * k
    K.diagonal().add_(noise)
    L = torch.linalg.cholesky(K)
    alpha = torch.cholesky_solve(y[:, None], L)[:, 0]
    value = -0.5 * y @ alpha - L.diagonal().log().sum() - 0.5 * len(y) * math.log(2 * math.pi)
    A = torch.outer(alpha, alpha) - torch.cholesky_inverse(L)  # 2 d value / d K
    # dk / d log length = -slope * difference^2, summed over the columns of the dimension
    W = -signal * slope * A
    per_column = W.sum(1) @ Z.square() - (Z * (W @ Z)).sum(0)
    lengths = theta.new_zeros(len(theta) - 2).index_add_(0, columns, per_column)
    variances = torch.stack([0.5 * signal * (A * k).sum(), 0.5 * noise * A.diagonal().sum()])
    return float(value), torch.cat([lengths, variances]).numpy()


def fit_kernel(X: np.ndarray, y: np.ndarray, groups: Sequence[int]) -> np.ndarray:
    """The kernel of greatest posterior density for losses y (n) at X (n x columns), found by L-BFGS
    from the centre of the prior.

    There may be more dimensions than observations, so the likelihood needs a prior. It is log-normal:
    length scales around 0.22 sqrt(dimensions), a variance of the signal around 1, and a variance of
    the noise around 0.02. Length scales should grow as the square root of the dimensions (Hvarfner
    et al. 2024); the factor did best on the functions of bench/tuners.py.
    """
    d = max(groups) + 1
    centre = np.r_[np.full(d, -1.5 + 0.5 * math.log(d)), 0.0, -4.0]
    width = np.r_[np.full(d, 1.5), 1.0, 1.0]

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = log_likelihood(theta, X, y, groups)
        pull = (theta - centre) / width
        return -value + 0.5 * pull @ pull, -slope + pull / width

    bounds = [tuple(np.log(LENGTH))] * d + [(-4.0, 4.0), tuple(np.log(NOISE))]
    return minimize(
        loss,
        centre,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 60, "ftol": 1e-6},
    ).x


def distance(A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
    """Euclidean distances between the rows of A (a x columns) and of B (b x columns); a x b."""
    return (A.square().sum(1)[:, None] + B.square().sum(1) - 2 * A @ B.T).clamp_min_(0).sqrt_()


def matern(r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Matern-5/2 at distances r, and its derivative divided by r."""
    a = math.sqrt(5) * r
    e = torch.exp(-a)
    return (1 + a + a.square() / 3) * e, -(5 / 3) * (1 + a) * e


def root(variance: torch.Tensor) -> torch.Tensor:
    """The square root of a variance that rounding may have made negative."""
    return variance.clamp_min(1e-12).sqrt()


def tensor(x: Array) -> torch.Tensor:
    return torch.as_tensor(np.asarray(x), dtype=torch.float64)
