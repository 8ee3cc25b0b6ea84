"""Intervals, tests and orders. The same arguments always give the same numbers: what is drawn at random
starts from a fixed seed.
"""

import functools
import math
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

DRAWS = 2_000  # bootstrap resamples
SEED = 0  # of whatever is drawn at random


def wilson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927); (nan, nan) without trials."""
    if not trials:
        return math.nan, math.nan
    interval = stats.binomtest(successes, trials).proportion_ci(level, "wilson")
    return float(interval.low), float(interval.high)


def bootstrap(
    values: ArrayLike, statistic: Callable, draws: int = DRAWS, seed: int = SEED
) -> tuple[float, float]:
    """95 % percentile interval of `statistic` when the rows of `values` are resampled; (nan, nan)
    for fewer than two rows.

    `statistic` takes an array draws x rows x ... and returns one number per draw. A row must be a
    whole study, or a size and depth with all its architectures, and never a trial: the best trial of
    a resampled study is at most the best of the study itself, which would bias it.
    """
    values = np.asarray(values, float)
    if len(values) < 2 or not values.size:
        return math.nan, math.nan
    indices = np.random.default_rng(seed).integers(len(values), size=(draws, len(values)))
    low, high = np.nanpercentile(statistic(values[indices]), [2.5, 97.5])
    return float(low), float(high)


def student(
    values: ArrayLike, least: float = -math.inf, most: float = math.inf
) -> tuple[float, float]:
    """Student's 95 % interval of the mean of `values`, which is wide for few of them; (nan, nan) for
    fewer than two. It is cut off at `least` and `most`, between which each value must lie.
    """
    numbers = np.asarray(values, float)
    numbers = numbers[~np.isnan(numbers)]
    if len(numbers) < 2:
        return math.nan, math.nan
    half = stats.t.ppf(0.975, len(numbers) - 1) * stats.sem(numbers)
    return max(least, float(numbers.mean() - half)), min(most, float(numbers.mean() + half))


def spread_of_means(table: ArrayLike) -> tuple[float, float, float]:
    """The highest less the lowest mean of the columns of a complete table, with Tukey's 95 % interval
    (studentised range), which allows for the fact that the two were chosen among all columns. Rows
    are blocks, and what rows and columns do not explain is the noise. nan where there is no interval.
    """
    table = np.asarray(table, float)
    n, k = table.shape if table.ndim == 2 else (0, 0)
    if not table.size:
        return math.nan, math.nan, math.nan
    means = table.mean(0)
    spread = float(means.max() - means.min())
    free = (n - 1) * (k - 1)
    if free < 1:
        return spread, math.nan, math.nan
    residuals = table - means - table.mean(1, keepdims=True) + table.mean()
    half = _studentised_range(k, free) * math.sqrt(float((residuals**2).sum()) / free / n)
    return spread, max(0.0, spread - half), spread + half


@functools.cache  # it takes long
def _studentised_range(k: int, free: int) -> float:
    return float(stats.studentized_range.ppf(0.95, k, free))


def shuffle_labels(table: ArrayLike, statistic: Callable, draws: int = DRAWS) -> np.ndarray:
    """`statistic` of the table when the entries of each row are shuffled among the columns that have
    one, that is, its values when columns have no effect. `statistic` takes draws x rows x columns and
    returns one number per draw.
    """
    table = np.asarray(table, float)
    rng = np.random.default_rng(SEED)
    shuffles = np.repeat(table[None], draws, 0)
    for row, values in enumerate(table):
        present = np.flatnonzero(~np.isnan(values))
        shuffles[:, row, present] = values[present][
            np.argsort(rng.random((draws, len(present))), -1)
        ]
    return np.asarray(statistic(shuffles))


def share_beyond(statistic: float, null_draws: ArrayLike) -> float:
    """p-value: the share of `null_draws`, the observed `statistic` among them, that is at least as
    large as it (Phipson & Smyth 2010).
    """
    null_draws = np.asarray(null_draws)
    return float(
        (1 + np.sum(null_draws >= statistic - 1e-12 * abs(statistic))) / (1 + len(null_draws))
    )


def p_of_differing_columns(table: ArrayLike) -> float:
    """p-value of the hypothesis that columns do not differ, from shuffled labels: the statistic is the
    variance of the columns' means after each row has been centred.
    """
    table = np.asarray(table, float)
    if table.ndim != 2 or not table.size:
        return math.nan
    deviations = table - np.nanmean(table, 1, keepdims=True)

    def variance(draw: np.ndarray) -> np.ndarray:
        return np.nanvar(np.nanmean(draw, -2), -1)

    return share_beyond(float(variance(deviations[None])[0]), shuffle_labels(deviations, variance))


def mann_whitney(first: ArrayLike, second: ArrayLike) -> tuple[float, int]:
    """Mann & Whitney's rank test of two samples: the two-sided p-value, and a direction of -1 where the
    first sample ranks lower. inf ranks last.
    """
    first = np.asarray(first, float)
    second = np.asarray(second, float)
    if not len(first) or not len(second) or np.ptp(stats.rankdata([*first, *second])) == 0:
        return 1.0, 0
    result = stats.mannwhitneyu(first, second, alternative="two-sided", method="asymptotic")
    return float(result.pvalue), int(np.sign(result.statistic - len(first) * len(second) / 2))


def fisher(first: int, of_first: int, second: int, of_second: int) -> tuple[float, int]:
    """Fisher's exact test of two shares: the two-sided p-value, and a direction of -1 where the first
    share is the lower.
    """
    if not of_first or not of_second:
        return 1.0, 0
    p = stats.fisher_exact([[first, of_first - first], [second, of_second - second]]).pvalue
    return float(p), int(np.sign(first / of_first - second / of_second))


def paired_test(first: ArrayLike, second: ArrayLike) -> tuple[float, int]:
    """Student's test of paired differences: the two-sided p-value, and a direction of -1 where the
    first is the lower on average.
    """
    differences = np.asarray(first, float) - np.asarray(second, float)
    differences = differences[~np.isnan(differences)]
    if len(differences) < 2:
        return 1.0, 0
    mean = differences.mean()
    if stats.sem(differences) <= 1e-12 * abs(mean):  # nothing varies
        return (1.0, 0) if mean == 0 else (0.0, int(np.sign(mean)))
    return float(stats.ttest_1samp(differences, 0).pvalue), int(np.sign(mean))


def holm(p: ArrayLike) -> np.ndarray:
    """Holm's p-values of several tests (Holm 1979): the chance that any of them is significant by luck
    is no larger than for a single one.
    """
    p = np.asarray(p, float)
    order = np.argsort(p)
    ascending = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    return ascending[np.argsort(order)]


def kendall(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Kendall's tau-a along the last axis: (concordant - discordant) / pairs; a tie counts for
    neither.
    """
    first, second = np.triu_indices(np.shape(x)[-1], 1)
    x_order, y_order = (
        np.sign(values[..., first] - values[..., second])
        for values in (np.asarray(x, float), np.asarray(y, float))
    )
    return (x_order * y_order).mean(-1)


def common_slope(x: ArrayLike, y: ArrayLike, series: ArrayLike) -> tuple[float, float, float]:
    """The slope of y on x with Student's 95 % interval: one slope for all `series`, each with its own
    intercept. nan where the points do not determine slope or interval.
    """
    points = pd.DataFrame({"x": np.asarray(x, float), "y": np.asarray(y, float)})
    groups = points.groupby(np.asarray(series))
    dx, dy = (points - groups.transform("mean")).to_numpy().T
    squares = float(dx @ dx)
    free = len(points) - groups.ngroups - 1
    if free < 0 or squares < 1e-9:
        return math.nan, math.nan, math.nan
    slope = float(dx @ dy) / squares
    if free == 0:
        return slope, math.nan, math.nan
    error = math.sqrt(float(((dy - slope * dx) ** 2).sum()) / free / squares)
    half = stats.t.ppf(0.975, free) * error
    return slope, slope - half, slope + half


def slope_loglog(
    params: ArrayLike, bits: ArrayLike, series: ArrayLike | None = None
) -> tuple[float, float, float]:
    """`common_slope` of log bits on log parameters; points without bits are left out."""
    params = np.asarray(params, float)
    bits = np.asarray(bits, float)
    series = np.zeros(len(params)) if series is None else np.asarray(series)
    positive = (params > 0) & (bits > 0)
    return common_slope(np.log(params[positive]), np.log(bits[positive]), series[positive])


def half_search(bits: ArrayLike) -> float:
    """What a search half as long would find at least in 39 of 40 cases: the 2.5 % quantile of the best
    among a random half of the trials.

    A diverged trial (nan) has stored nothing. There is no upper end, since the best is itself a lower
    bound on the capacity.
    """
    best_first = _best_first(bits)
    return float(best_first[half_rank(len(best_first))])


def _best_first(bits: ArrayLike) -> np.ndarray:
    return np.sort(np.nan_to_num(np.asarray(bits, float)))[::-1]


@functools.cache
def half_rank(n: int) -> int:
    """How many of the best of `n` trials a random half of them misses in at most one case out of 40."""
    half = math.ceil(n / 2)
    best = 0
    # the chance that none of the best + 1 first is drawn
    while best < n - half and math.comb(n - best - 1, half) / math.comb(n, half) >= 0.025:
        best += 1
    return best


def expected_best(bits: ArrayLike, count: int) -> float:
    """Mean of the best among `count` trials drawn without replacement, by which searches of unequal
    length can be compared at equal length.
    """
    best_first = _best_first(bits)
    n = len(best_first)
    weights = [
        math.comb(n - rank - 1, count - 1) / math.comb(n, count) for rank in range(n - count + 1)
    ]
    return float(np.dot(weights, best_first[: len(weights)]))


def welch(first: ArrayLike, second: ArrayLike) -> tuple[float, float, float]:
    """Welch's t-test for equality of means (Welch 1947): t, degrees of freedom and two-sided p. t is
    negative where the second mean is the larger.

    nan if either side has fewer than two values, or if nothing varies.
    """
    a = np.asarray(first, float)
    b = np.asarray(second, float)
    if min(len(a), len(b)) < 2 or not np.ptp(a) + np.ptp(b) > 0:
        return math.nan, math.nan, math.nan
    test = stats.ttest_ind(a, b, equal_var=False)
    return float(test.statistic), float(test.df), float(test.pvalue)


def bootstrap_samples(samples: Iterable[ArrayLike], statistic: Callable) -> tuple[float, float]:
    """95 % percentile interval of `statistic` of several samples, each resampled by itself; (nan, nan)
    if a sample has fewer than two values.

    `statistic` takes a list of arrays draws x values, one per sample, and returns one number per draw.
    This is right for means and medians of trials and for their ratios, and wrong for the best trial
    (see `bootstrap`).
    """
    arrays = [np.asarray(sample, float) for sample in samples]
    rng = np.random.default_rng(SEED)
    if not arrays or min(map(len, arrays)) < 2:
        return math.nan, math.nan
    replicates = np.asarray(
        statistic(
            [sample[rng.integers(len(sample), size=(DRAWS, len(sample)))] for sample in arrays]
        )
    )
    # inf may be among them, between which nothing can be interpolated
    replicates = np.sort(replicates[~np.isnan(replicates)])
    if not len(replicates):
        return math.nan, math.nan
    last = len(replicates) - 1
    return float(replicates[round(0.025 * last)]), float(replicates[round(0.975 * last)])


def around_the_median(ascending: np.ndarray) -> tuple[float, float]:
    """The distribution-free 95 % interval of the median of values that are sorted in ascending order;
    (nan, nan) for fewer than six.
    """
    n = len(ascending)
    # the k-th smallest and the k-th largest value enclose the median
    k = int(stats.binom.ppf(0.025, n, 0.5))
    return (float(ascending[k - 1]), float(ascending[n - k])) if k else (math.nan, math.nan)


def running_median(losses: ArrayLike) -> pd.DataFrame:
    """The median of the losses so far after each trial, with its distribution-free 95 % interval:
    columns `center`, `low` and `high`.

    A diverged trial (nan) counts as worse than any, so the median is inf while half or more of the
    trials have diverged. The interval is made of order statistics, since the number of values below
    the median is binomial; there is none for fewer than six trials.
    """
    records = [(np.median(so_far), *around_the_median(so_far)) for so_far in _so_far(losses)]
    return pd.DataFrame(records, columns=["center", "low", "high"])


def running_minimum(losses: ArrayLike) -> pd.DataFrame:
    """The least loss so far after each trial: columns `center` and `high`.

    `high` is what half of these trials would have found in 39 of 40 cases (`half_rank`), or less if
    half of fewer trials would have found that. A diverged trial (nan) counts as worse than any.
    """
    records = [(so_far[0], so_far[half_rank(len(so_far))]) for so_far in _so_far(losses)]
    return pd.DataFrame(records, columns=["center", "high"]).cummin()


def _so_far(losses: ArrayLike) -> list[np.ndarray]:
    """The losses up to each trial in ascending order, with diverged trials as inf at the end."""
    losses = np.where(np.isnan(np.asarray(losses, float)), np.inf, losses)
    return [np.sort(losses[: n + 1]) for n in range(len(losses))]
