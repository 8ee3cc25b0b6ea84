"""The surrogate: a Gaussian process that scikit-optimize can use as its regressor, fast enough for
thousands of trials.

Everything is float64. The inverse R of the Cholesky factor is kept instead of the factor, so that
the posterior at many points is a product of matrices, and one observation more is one row more:
O(n^2), where fitting anew is O(n^3) for every step of its search.
"""

import math

import numpy as np
import torch
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, RegressorMixin

NOISE = (1e-4, math.exp(-1))  # bounds of the noise variance; the told losses have a variance near 1
LENGTH = (0.05, 1e3)  # bounds of the lengths; a dimension is 1 long


class MaternGP(RegressorMixin, BaseEstimator):
    """Gaussian process, Matern-5/2 kernel with one length per dimension, plus noise (Rasmussen &
    Williams, chapters 2 and 4).

    `groups[j]` is the dimension of column j: the columns of a one-hot code share one length.
    `theta` is the kernel: logarithms of the lengths, one per dimension, of the signal's variance
    and of the noise's; `fit_kernel` finds one.
    """

    def __init__(self, groups, theta):
        self.groups = groups
        self.theta = theta

    def fit(self, X, y):
        """Condition on losses y (n) at points X (n x columns)."""
        theta, X, n = tensor(self.theta), tensor(X), len(y)
        self.length, (self.signal, self.noise) = (
            theta[:-2].exp()[torch.as_tensor(self.groups)],
            theta[-2:].exp().tolist(),
        )
        self.n, self.Z, self.R, self.beta = 0, X[:0], X.new_zeros(0, 0), X.new_zeros(0)
        self._make_room(n)
        Z = X / self.length
        K = self.signal * matern(distance(Z, Z))[0]
        K.diagonal().add_(self.noise)
        R = torch.linalg.solve_triangular(
            torch.linalg.cholesky(K), torch.eye(n, dtype=K.dtype), upper=False
        )
        self.Z[:n], self.R[:n, :n], self.beta[:n], self.n = Z, R, R @ tensor(y), n
        self.alpha = R.T @ self.beta[:n]
        return self

    def extend(self, x, y=None):
        """Condition on one loss more, y at x (columns). Without y it is what the model expects
        there.
        """
        n = self.n
        self._make_room(n + 1)
        k = self.covariance(tensor(x)[None])[0]
        v = self.R[:n, :n] @ k
        d = math.sqrt(self.signal + self.noise - float(v @ v))
        y = float(k @ self.alpha) if y is None else y
        self.Z[n], self.beta[n] = tensor(x) / self.length, (y - float(v @ self.beta[:n])) / d
        self.R[n, :n], self.R[n, n] = -(v @ self.R[:n, :n]) / d, 1 / d
        self.n = n + 1
        self.alpha = (
            torch.cat([self.alpha, self.alpha.new_zeros(1)]) + self.R[n, : n + 1] * self.beta[n]
        )
        return self

    def covariance(self, X, since=0):
        """Covariance of the losses at X (q x columns) with the observed ones, from number `since`
        on (q x n - since).
        """
        return self.signal * matern(distance(tensor(X) / self.length, self.Z[since : self.n]))[0]

    def posterior(self, X):
        """Mean and standard deviation of the loss, without its noise, at X (q x columns)."""
        k = self.covariance(X)
        return k @ self.alpha, root(
            self.signal - (k @ self.R[: self.n, : self.n].T).square().sum(1)
        )

    def predict(self, X, return_std=False):
        """As the regressors of skopt do: arrays of the mean, or of mean and standard deviation."""
        mean, std = self.posterior(X)
        return (mean.numpy(), std.numpy()) if return_std else mean.numpy()

    def _make_room(self, n):
        """Room for n observations and a few batches more."""
        if n > len(self.Z):
            m, room, old = self.n, n + 64, (self.Z, self.R, self.beta)
            self.Z, self.R, self.beta = (
                torch.zeros(size, dtype=torch.float64)
                for size in ((room, len(self.groups)), (room, room), room)
            )
            self.Z[:m], self.R[:m, :m], self.beta[:m] = old[0][:m], old[1][:m, :m], old[2][:m]


def log_likelihood(theta, X, y, groups):
    """Logarithm of the marginal likelihood of losses y at X under the kernel `theta`, and its
    gradient in theta.

    Rasmussen & Williams, equations 5.8 and 5.9. The gradient in every length comes from one product
    of matrices.
    """
    theta, groups, X, y = tensor(theta), torch.as_tensor(groups), tensor(X), tensor(y)
    signal, noise = theta[-2:].exp()
    Z = X / theta[:-2].exp()[groups]
    k, slope = matern(distance(Z, Z))
    K = signal * k
    K.diagonal().add_(noise)
    L = torch.linalg.cholesky(K)
    alpha = torch.cholesky_solve(y[:, None], L)[:, 0]
    value = -0.5 * y @ alpha - L.diagonal().log().sum() - 0.5 * len(y) * math.log(2 * math.pi)
    A = torch.outer(alpha, alpha) - torch.cholesky_inverse(L)  # d value / d K, twice
    W = (
        -signal * slope * A
    )  # dk / d log length = -slope * difference^2, summed over the columns of the dimension
    columns = W.sum(1) @ Z.square() - (Z * (W @ Z)).sum(0)
    lengths = theta.new_zeros(len(theta) - 2).index_add_(0, groups, columns)
    variances = torch.stack([0.5 * signal * (A * k).sum(), 0.5 * noise * A.diagonal().sum()])
    return float(value), torch.cat([lengths, variances]).numpy()


def fit_kernel(X, y, groups):
    """The kernel of greatest posterior density for losses y at X, by L-BFGS from the middle of the
    prior.

    Dimensions may outnumber the observations, so the likelihood needs a prior: log-normal, lengths
    around 0.22 sqrt(dimensions) (lengths should grow as the square root of the dimensions, Hvarfner
    et al. 2024; the factor did best on the functions of bench/tuner.py), the signal's variance
    around 1, the noise's around 0.02.
    """
    d = max(groups) + 1
    centre = np.r_[np.full(d, -1.5 + 0.5 * math.log(d)), 0.0, -4.0]
    width = np.r_[np.full(d, 1.5), 1.0, 1.0]

    def loss(theta):
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


def distance(A, B):
    """Euclidean distances between the rows of A and the rows of B."""
    return (A.square().sum(1)[:, None] + B.square().sum(1) - 2 * A @ B.T).clamp_min_(0).sqrt_()


def matern(r):
    """Matern-5/2 at distances r, and its derivative divided by r."""
    a = math.sqrt(5) * r
    e = torch.exp(-a)
    return (1 + a + a.square() / 3) * e, -(5 / 3) * (1 + a) * e


def root(variance):
    return variance.clamp_min(1e-12).sqrt()


def tensor(x):
    return torch.as_tensor(np.asarray(x), dtype=torch.float64)
