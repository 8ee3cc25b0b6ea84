"""The paper audit: what the paper's tables say when they are read closely. Everything is recomputed
from the numbers that the paper prints, and from nothing else.

Welch's test (1947) of two means has t = (m1 - m2) / sqrt(q1 + q2) and df = (q1 + q2)^2 / (q1^2 /
(n1 - 1) + q2^2 / (n2 - 1)), where q = variance / n is the squared standard error of a mean over n
runs. A table of t and df for all pairs of architectures therefore determines n for each of them, and
also the means and spreads, up to a common scale and origin.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike
from scipy.optimize import least_squares, minimize

from rnnkit import paper
from rnnkit.exhibits.base import illustration
from rnnkit.exhibits.captions import named_numbers
from rnnkit.exhibits.style import (
    DOTTED,
    GREY,
    GUIDE,
    PALE,
    SMALL,
    Drawing,
    color_of,
    grey_line,
    house_style,
    label_rows,
    letter,
    new_figure,
    style_of,
    write_title,
)
from rnnkit.markup import SmallTable
from rnnkit.wording import label_of

RUNS = 1_000  # random sets of hyper-parameters behind each entry of Table 1
LAYERS = (1, 8)  # the columns of Tables 1 and App.2
ARCHITECTURES = tuple(dict.fromkeys(itertools.chain(*paper.TABLE_APP2)))
LEVEL = 0.05  # of significance, as in the caption of Table App.2


def printed_tests() -> pd.DataFrame:
    """Table App.2: a row for each number of layers and each pair of architectures, with t, df and p."""
    tests = [
        (layers, *pair, *test)
        for column, layers in enumerate(LAYERS)
        for pair, by_layers in paper.TABLE_APP2.items()
        if (test := by_layers[column]) is not None
    ]
    return SmallTable(tests, columns=["n_layers", "first", "second", "t", "df", "p"])


def feasible_runs(layers: int = 8) -> dict[str, int]:
    """The number of runs that did not diverge, by the percentages of Table 1."""
    column = LAYERS.index(layers)
    return {
        a: round(RUNS * (1 - share[column] / 100))
        for a, share in paper.TABLE_1.items()
        if share[column] is not None
    }


def impossible_df() -> pd.DataFrame:
    """The degrees of freedom of Table App.2, beside the least and the most that Welch's formula allows
    for the feasible runs of Table 1.

    Whatever the variances, min(n1, n2) - 1 <= df <= n1 + n2 - 2. `possible` allows for the rounding
    of the printed numbers to three digits.
    """
    tests = printed_tests().drop(columns=["t", "p"])
    runs = {(layers, a): n for layers in LAYERS for a, n in feasible_runs(layers).items()}
    first, second = (
        np.array([runs[key] for key in zip(tests.n_layers, tests[side])])
        for side in ("first", "second")
    )
    least = np.minimum(first, second) - 1
    most = first + second - 2
    possible = tests.df.between(least - _rounding(tests.df), most + _rounding(tests.df))
    return tests.assign(least=least, most=most, possible=possible)


def recovered_runs() -> pd.DataFrame:
    """The runs behind each mean at 8 layers, solved from t and df of the 15 tests, beside those that
    Table 1 implies.

    This assumes Welch's formulas, and nothing about the distribution of losses. `runs` is the
    least-squares solution, in which each of the 30 numbers is weighted by its rounding. `low` and
    `high` are the fewest and the most runs for which all 15 df still round to what is printed.
    `mean` and `sd` are in units of +RNN's standard error, and `mean` counts from +RNN's mean.
    """
    m, q, n, low, high = _solve_tests()
    runs = feasible_runs()
    return SmallTable(
        {
            "architecture": ARCHITECTURES,
            "table_1": [runs[a] for a in ARCHITECTURES],
            "runs": n,
            "low": low,
            "high": high,
            "mean": m,
            "sd": np.sqrt(q * n),
        }
    )


def solve_shares() -> pd.DataFrame:
    """The share of feasible random runs that solve the parentheses task at 8 layers, by a model of two
    points.

    The model assumes that a run ends with one of two losses: solved, or on a plateau that is the same
    for all architectures. If a share s of the runs is solved, and the two losses are `plateau` apart,
    the mean is (1 - s) plateau and the variance s (1 - s) plateau^2. The model is fitted to
    `recovered_runs`. `mean_off` says by how many standard errors its mean is off, and `sd_off` says
    the same of its standard deviation.
    """
    moments = recovered_runs()
    n, m, sd = (moments[name].to_numpy() for name in ("runs", "mean", "sd"))

    def model(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        share = 1 / (1 + np.exp(-x[2:]))
        mean = x[1] + (1 - share) * x[0]
        spread = x[0] * np.sqrt(share * (1 - share))
        # standard errors of a mean and of a spread
        return share, (mean - m) / (sd / np.sqrt(n)), (spread / sd - 1) * np.sqrt(2 * n)

    start = [2 * sd.max(), -m.max(), *np.log(np.where(m == m.min(), 0.4, 0.01))]
    fit = _least_squares(lambda x: np.concatenate(model(x)[1:]), start)
    share, mean_off, sd_off = model(fit)
    return moments[["architecture", "runs"]].assign(
        share=share, plateau=fit[0], mean_off=mean_off, sd_off=sd_off
    )


def captions_slip() -> pd.DataFrame:
    """The tests of Table App.2 at 8 layers, with what its caption says about them and what p says.

    The caption names three pairs whose losses differ "with statistical significance (p > 0.05)". They
    are the three pairs whose losses do not.
    """
    table = printed_tests().query("n_layers == 8")[["first", "second", "p"]]
    pairs = zip(table["first"], table["second"])
    return table.reset_index(drop=True).assign(
        called_different=[set(pair) in paper.CALLED_SIGNIFICANT for pair in pairs],
        different=lambda test: test.p < LEVEL,
    )


def reruns() -> pd.DataFrame:
    """Table App.1: the mean loss of 100 reruns over the original loss, and whether the best rerun
    `reached` the original.
    """
    table = pd.DataFrame.from_dict(paper.TABLE_APP1, "index", columns=paper.TABLE_APP1_COLUMNS)
    table = SmallTable(table.rename_axis("architecture").reset_index())
    return table[["architecture", "original", "min", "mean"]].assign(
        mean_over_original=lambda r: r["mean"] / r.original,
        reached=lambda r: r["min"] <= r.original,
    )


def _rounding(x: pd.Series) -> pd.Series:
    """Half a unit of the last of three printed digits."""
    return 0.5 * 10.0 ** (np.floor(np.log10(x.abs())) - 2)


def _least_squares(off: Callable[[np.ndarray], np.ndarray], start: ArrayLike) -> np.ndarray:
    return least_squares(off, start, x_scale="jac", max_nfev=10_000).x


def _solve_tests() -> tuple[np.ndarray, ...]:
    """The means m, squared standard errors q and runs n of the architectures that fit the 15 tests at
    8 layers best; and the fewest and the most runs for which all df still round to what is printed,
    for some choice of everything else.

    Scale and origin are free, so the first architecture has m = 0 and q = 1.
    """
    tests = printed_tests().query("n_layers == 8")
    t, df, t_unit, df_unit = (
        column.to_numpy(float)
        for column in (tests.t, tests.df, _rounding(tests.t), _rounding(tests.df))
    )
    K = len(ARCHITECTURES)
    first, second = np.triu_indices(K, 1)  # the pairs of Table App.2, in its order

    def q_and_n(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.exp(np.append(0, x[: K - 1])), np.exp(x[K - 1 :])

    def df_off(x: np.ndarray) -> np.ndarray:
        q, n = q_and_n(x)
        a = q[first]
        b = q[second]
        welch = (a + b) ** 2 / (a * a / (n[first] - 1) + b * b / (n[second] - 1))
        return (welch - df) / df_unit

    def off(y: np.ndarray) -> np.ndarray:
        m = np.append(0, y[: K - 1])
        x = y[K - 1 :]
        q, _ = q_and_n(x)
        welch = (m[first] - m[second]) / np.sqrt(q[first] + q[second])
        return np.append((welch - t) / t_unit, df_off(x))

    # the degrees of freedom alone determine q and n; t then gives the means
    x = _least_squares(df_off, np.repeat([-2.0, math.log(RUNS)], [K - 1, K]))
    q, _ = q_and_n(x)
    # the first K - 1 pairs are those of the first architecture
    means = -(t * np.sqrt(q[first] + q[second]))[: K - 1]
    y = _least_squares(off, np.append(means, x))
    rounds = {"type": "ineq", "fun": lambda x: np.append(1 - df_off(x), 1 + df_off(x))}
    low, high = (
        np.exp([_least(x, k, direction, rounds) for k in range(K - 1, 2 * K - 1)])
        for direction in (1, -1)
    )
    return np.append(0, y[: K - 1]), *q_and_n(y[K - 1 :]), low, high


def _least(x: np.ndarray, k: int, direction: int, constraint: dict) -> float:
    """The least x[k] (direction 1), or the most (-1), within a constraint."""
    options = {"maxiter": 500, "ftol": 1e-12}
    return minimize(
        lambda x: direction * x[k], x, method="SLSQP", constraints=constraint, options=options
    ).x[k]


WRONG = "#b2182b"


@illustration("audit")
@house_style
def audit(frame: pd.DataFrame | None = None) -> Drawing:
    """What the paper's tables say when they are read closely. It is drawn from the paper's numbers
    alone, and takes a frame only because other figures do.
    """
    df = impossible_df()
    runs = recovered_runs()
    shares = solve_shares()
    rerun_ratios = reruns()
    figure = new_figure(7.0)
    axes = figure.subplots(2, 2, height_ratios=(1.25, 1)).ravel()
    _draw_degrees(axes[0], df[df.n_layers == 1])
    _draw_runs(axes[1], runs)
    _draw_shares(axes[2], shares)
    _draw_reruns(axes[3], rerun_ratios)
    write_title(figure, "Ours: the paper's tables, read closely; no trials but the paper's")
    outside = df[~df.possible]
    wrong = ", ".join(f"{pair} {df:g}" for pair, df in zip(_pairs(outside), outside.df))
    solve = " %, ".join(named_numbers(100 * shares.set_index("architecture").share, ".1f")) + " %"
    slip = captions_slip()
    significant_pairs = ", ".join(_pairs(slip[slip.called_different]))
    figure.alt = (
        f"Four panels. Impossible degrees of freedom: {wrong}. Share of random runs that"
        f" solve at 8 layers: {solve}."
    )
    figure.caption = (
        "The paper's tables, read closely (ours: not in the paper). (a) Degrees of freedom of"
        " Table App.2 at 1 layer, with the range that Welch's formula allows for the feasible runs"
        f" of Table 1; outside: {wrong}. (b) Runs behind each mean at 8 layers, solved"
        " from the 15 tests' t and df (bars: what their rounding allows), against Table 1. (c) If"
        " a run ends either solved or on one plateau, so many random runs solve the task at 8"
        f" layers: {solve}. (d) Table App.1: least, mean and most of 100 reruns over the original"
        f" loss. The caption of Table App.2 calls {significant_pairs} different with p > 0.05; they"
        " are the three pairs that are not."
    )
    figure.tables = {
        "audit": df,
        "audit_runs": runs.merge(shares.drop(columns="runs"), "left", "architecture"),
        "audit_reruns": rerun_ratios,
        "audit_caption": slip,
    }
    return figure


def _pairs(table: pd.DataFrame, between: str = "/") -> list[str]:
    """The names of the architectures of each row: +RNN/GRU."""
    return [f"{label_of(row.first)}{between}{label_of(row.second)}" for row in table.itertuples()]


def _draw_degrees(ax: Axes, df: pd.DataFrame) -> None:
    letter(ax, "a", "degrees of freedom, 1 layer")
    for y, row in enumerate(df.itertuples()):
        bar = {"color": PALE, "linewidth": 7, "solid_capstyle": "butt", "zorder": 1}
        ax.plot([row.least, row.most], [y, y], **bar)
        marker, color, size = ("o", GREY, 6) if row.possible else ("X", WRONG, 8)
        ax.plot(row.df, y, marker=marker, color=color, markersize=size)
    label_rows(ax, _pairs(df, " / "))
    ax.set_xlabel("df: printed (dot), possible (bar)")


def _draw_runs(ax: Axes, runs: pd.DataFrame) -> None:
    letter(ax, "b", "feasible runs, 8 layers")
    numbers = runs[["table_1", "low", "high"]].to_numpy()
    limits = [numbers.min() - 30, numbers.max() + 30]
    grey_line(ax, limits, limits, DOTTED, zorder=0)
    style = style_of(runs.architecture)
    for row in runs.itertuples():
        s = style[row.architecture]
        bar = {"color": s.color, "linewidth": 3, "alpha": 0.4, "solid_capstyle": "butt"}
        ax.plot([row.table_1] * 2, [row.low, row.high], **bar)
        name = label_of(row.architecture)
        ax.plot(row.table_1, row.runs, markersize=6, label=name, **s.points)
    ax.set(xlabel="by Table 1", ylabel="by t and df of Table App.2", xlim=limits, ylim=limits)
    ax.legend(loc="upper left", handletextpad=0.2, labelspacing=0.25, fontsize=SMALL)


def _draw_shares(ax: Axes, shares: pd.DataFrame) -> None:
    letter(ax, "c", "runs that solve, 8 layers")
    for y, row in enumerate(shares.itertuples()):
        ax.barh(y, 100 * row.share, color=color_of(row.architecture), height=0.6)
        ax.annotate(
            f"{100 * row.share:.2g} %",
            (100 * row.share, y),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    label_rows(ax, [label_of(a) for a in shares.architecture])
    ax.set(xlabel="% of feasible random runs", xlim=(0, 118 * shares.share.max()))


def _draw_reruns(ax: Axes, reruns: pd.DataFrame) -> None:
    letter(ax, "d", "reruns over the original loss")
    style = style_of(reruns.architecture)
    column_of_most = paper.TABLE_APP1_COLUMNS.index("max")
    for y, row in enumerate(reruns.itertuples()):
        s = style[row.architecture]
        losses = np.array([row.min, paper.TABLE_APP1[row.architecture][column_of_most]])
        ax.plot(losses / row.original, [y] * 2, color=s.color, linewidth=2, alpha=0.5)
        ax.plot(row.mean_over_original, y, marker=s.marker, color=s.color, markersize=6)
        ax.annotate(
            f"{row.mean_over_original:.2g}",
            (row.mean_over_original, y),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    ax.axvline(1, **GUIDE | {"zorder": 0})
    ax.set_xscale("log")
    ax.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    label_rows(ax, [label_of(a) for a in reruns.architecture], top=-0.6)
    ax.set_xlabel("loss / original loss")
