"""The paper audit: what the paper's tables say when they are read closely. Everything is recomputed
from the numbers that the paper prints, and from nothing else.

Welch's test (1947) of two means has t = (m1 - m2) / sqrt(q1 + q2) and df = (q1 + q2)^2 / (q1^2 /
(n1 - 1) + q2^2 / (n2 - 1)), where q = variance / n is the squared standard error of a mean over n
runs. A table of t and df for all pairs of architectures therefore determines n for each of them, and
also the means and spreads, up to a common scale and origin.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from scipy.optimize import least_squares, minimize

from rnnkit import paper
from rnnkit.exhibits.base import illustration
from rnnkit.exhibits.style import (
    DASHED,
    DOTTED,
    GREY,
    PALE,
    SMALL,
    Drawing,
    color_of,
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
EIGHT_LAYERS = 1  # index of the column of 8 layers in Tables 1 and App.2
ARCHITECTURES = tuple(dict.fromkeys(itertools.chain(*paper.TABLE_APP2)))
LEVEL = 0.05  # of significance, as in the caption of Table App.2


def feasible_runs(column: int = EIGHT_LAYERS) -> dict[str, int]:
    """The number of runs that did not diverge, by the percentages of Table 1. `column` is 0 for 1
    layer and 1 for 8.
    """
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
    records = []
    for column, layers in ((0, 1), (EIGHT_LAYERS, 8)):
        runs = feasible_runs(column)
        for pair, tests in paper.TABLE_APP2.items():
            if tests[column] is not None:
                df = tests[column][1]
                n = [runs[a] for a in pair]
                least = min(n) - 1
                most = sum(n) - 2
                possible = least - _rounding(df) <= df <= most + _rounding(df)
                records.append([layers, *pair, df, least, most, possible])
    return SmallTable(
        records, columns=["n_layers", "first", "second", "df", "least", "most", "possible"]
    )


def recovered_runs() -> pd.DataFrame:
    """The runs behind each mean at 8 layers, solved from t and df of the 15 tests, beside those that
    Table 1 implies.

    This assumes Welch's formulas, and nothing about the distribution of losses. `runs` is the
    least-squares solution, in which each of the 30 numbers is weighted by its rounding. `low` and
    `high` are the fewest and the most runs for which all 15 df still round to what is printed.
    `mean` and `sd` are in units of +RNN's standard error, and `mean` counts from +RNN's mean.
    """
    fit = _fit()
    runs = feasible_runs()
    low, high = (_extreme(fit, direction) for direction in (1, -1))
    table = {
        "architecture": ARCHITECTURES,
        "table_1": [runs[a] for a in ARCHITECTURES],
        "runs": fit["n"],
        "low": low,
        "high": high,
    }
    return SmallTable(table).assign(mean=fit["m"], sd=np.sqrt(fit["q"] * fit["n"]))


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
        return (share, (mean - m) / (sd / np.sqrt(n)), (spread / sd - 1) * np.sqrt(2 * n))

    start = np.concatenate([[2 * sd.max(), -m.max()], np.log(np.where(m == m.min(), 0.4, 0.01))])
    fit = least_squares(
        lambda x: np.concatenate(model(x)[1:]), start, x_scale="jac", max_nfev=10_000
    )
    share, mean_off, sd_off = model(fit.x)
    return moments[["architecture", "runs"]].assign(
        share=share, plateau=fit.x[0], mean_off=mean_off, sd_off=sd_off
    )


def captions_slip() -> pd.DataFrame:
    """The tests of Table App.2 at 8 layers, with what its caption says about them and what p says.

    The caption names three pairs whose losses differ "with statistical significance (p > 0.05)". They
    are the three pairs whose losses do not.
    """
    p_of = {pair: tests[EIGHT_LAYERS][2] for pair, tests in paper.TABLE_APP2.items()}
    records = [
        [*pair, p, set(pair) in paper.CALLED_SIGNIFICANT, p < LEVEL] for pair, p in p_of.items()
    ]
    return SmallTable(records, columns=["first", "second", "p", "called_different", "different"])


def reruns() -> pd.DataFrame:
    """Table App.1: the mean loss of 100 reruns over the original loss, and whether the best rerun
    `reached` the original.
    """
    records = {a: dict(zip(paper.TABLE_APP1_COLUMNS, row)) for a, row in paper.TABLE_APP1.items()}
    table = [
        [
            a,
            r["original"],
            r["min"],
            r["mean"],
            r["mean"] / r["original"],
            r["min"] <= r["original"],
        ]
        for a, r in records.items()
    ]
    return SmallTable(
        table, columns=["architecture", "original", "min", "mean", "mean_over_original", "reached"]
    )


def _rounding(x: float) -> float:
    """Half a unit of the last of three printed digits."""
    return 0.5 * 10.0 ** (math.floor(math.log10(abs(x))) - 2)


def _tests() -> tuple[np.ndarray, ...]:
    """The 15 tests at 8 layers: the indices of both architectures, t, df, and the rounding of these two."""
    first, second = (
        np.array([ARCHITECTURES.index(pair[k]) for pair in paper.TABLE_APP2]) for k in (0, 1)
    )
    t, df = (
        np.array([tests[EIGHT_LAYERS][k] for tests in paper.TABLE_APP2.values()], float)
        for k in (0, 1)
    )
    return (
        first,
        second,
        t,
        df,
        np.array([_rounding(x) for x in t]),
        np.array([_rounding(x) for x in df]),
    )


def _welch(
    m: np.ndarray, q: np.ndarray, n: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """t and df of pairs of means m over n runs with squared standard errors q."""
    a = q[first]
    b = q[second]
    return (m[first] - m[second]) / np.sqrt(a + b), (a + b) ** 2 / (
        a * a / (n[first] - 1) + b * b / (n[second] - 1)
    )


def _fit() -> dict[str, np.ndarray]:
    """The means, squared standard errors and runs that fit the 15 tests best. Scale and origin are
    free, so the first architecture has m = 0 and q = 1.
    """
    first, second, t, df, t_unit, df_unit = _tests()
    K = len(ARCHITECTURES)

    def unpack(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logs = np.concatenate([[0], x])
        return np.exp(logs[:K]), np.exp(logs[K:])

    def df_off(x: np.ndarray) -> np.ndarray:
        q, n = unpack(x)
        return (_welch(np.zeros(K), q, n, first, second)[1] - df) / df_unit

    # the degrees of freedom alone determine q and n; t then gives the means
    x = least_squares(
        df_off,
        np.concatenate([np.full(K - 1, -2.0), np.full(K, math.log(RUNS))]),
        x_scale="jac",
        max_nfev=10_000,
    ).x
    q = unpack(x)[0]
    # the first K - 1 pairs are those of the first architecture
    means = -(t * np.sqrt(q[first] + q[second]))[first == 0]

    def off(y: np.ndarray) -> np.ndarray:
        m = np.concatenate([[0], y[: K - 1]])
        q, n = unpack(y[K - 1 :])
        tests = _welch(m, q, n, first, second)
        return np.concatenate([(tests[0] - t) / t_unit, (tests[1] - df) / df_unit])

    y = least_squares(off, np.concatenate([means, x]), x_scale="jac", max_nfev=10_000).x
    q, n = unpack(y[K - 1 :])
    return {"m": np.concatenate([[0], y[: K - 1]]), "q": q, "n": n, "x": x, "df_off": df_off}


def _extreme(fit: Mapping[str, Any], direction: int) -> list[float]:
    """The fewest (direction 1) or the most (-1) runs of each architecture for which all df still round
    to what is printed, for some choice of everything else.
    """
    K = len(ARCHITECTURES)
    off = fit["df_off"]
    inside = [
        {"type": "ineq", "fun": lambda x: 1 - off(x)},
        {"type": "ineq", "fun": lambda x: 1 + off(x)},
    ]
    optima = [
        minimize(
            lambda x: direction * x[K - 1 + k],
            fit["x"],
            method="SLSQP",
            constraints=inside,
            options={"maxiter": 500, "ftol": 1e-12},
        )
        for k in range(K)
    ]
    return [float(np.exp(result.x[K - 1 + k])) for k, result in enumerate(optima)]


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
    sns.despine(figure)
    write_title(figure, "Ours: the paper's tables, read closely; no trials but the paper's")
    wrong = [
        f"{label_of(row.first)}/{label_of(row.second)} {row.df:g}"
        for row in df[~df.possible].itertuples()
    ]
    solve = ", ".join(
        f"{label_of(row.architecture)} {100 * row.share:.1f} %" for row in shares.itertuples()
    )
    slip = [
        f"{label_of(row.first)}/{label_of(row.second)}"
        for row in captions_slip().query("called_different").itertuples()
    ]
    figure.alt = (
        f"Four panels. Impossible degrees of freedom: {', '.join(wrong)}. Share of random runs that"
        f" solve at 8 layers: {solve}."
    )
    figure.caption = (
        "The paper's tables, read closely (ours: not in the paper). (a) Degrees of freedom of"
        " Table App.2 at 1 layer, with the range that Welch's formula allows for the feasible runs"
        f" of Table 1; outside: {', '.join(wrong)}. (b) Runs behind each mean at 8 layers, solved"
        " from the 15 tests' t and df (bars: what their rounding allows), against Table 1. (c) If"
        " a run ends either solved or on one plateau, so many random runs solve the task at 8"
        f" layers: {solve}. (d) Table App.1: least, mean and most of 100 reruns over the original"
        f" loss. The caption of Table App.2 calls {', '.join(slip)} different with p > 0.05; they"
        " are the three pairs that are not."
    )
    figure.tables = {
        "audit": df,
        "audit_runs": runs.merge(shares.drop(columns="runs"), "left", "architecture"),
        "audit_reruns": rerun_ratios,
        "audit_caption": captions_slip(),
    }
    return figure


def _draw_degrees(ax: Axes, df: pd.DataFrame) -> None:
    letter(ax, "a", "degrees of freedom, 1 layer")
    for y, row in enumerate(df.itertuples()):
        ax.plot(
            [row.least, row.most],
            [y, y],
            color=PALE,
            linewidth=7,
            solid_capstyle="butt",
            zorder=1,
        )
        marker, color, size = ("o", GREY, 6) if row.possible else ("X", WRONG, 8)
        ax.plot(row.df, y, marker=marker, color=color, markersize=size)
    label_rows(ax, [f"{label_of(row.first)} / {label_of(row.second)}" for row in df.itertuples()])
    ax.set_xlabel("df: printed (dot), possible (bar)")


def _draw_runs(ax: Axes, runs: pd.DataFrame) -> None:
    letter(ax, "b", "feasible runs, 8 layers")
    limits = [
        min(runs.low.min(), runs.table_1.min()) - 30,
        max(runs.high.max(), runs.table_1.max()) + 30,
    ]
    ax.plot(limits, limits, color=GREY, linewidth=1, linestyle=DOTTED, zorder=0)
    for row in runs.itertuples():
        s = style_of([row.architecture])[row.architecture]
        ax.plot(
            [row.table_1] * 2,
            [row.low, row.high],
            color=s.color,
            linewidth=3,
            alpha=0.4,
            solid_capstyle="butt",
        )
        ax.plot(
            row.table_1,
            row.runs,
            marker=s.marker,
            color=s.color,
            linestyle="none",
            markersize=6,
            label=label_of(row.architecture),
        )
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
    most = {a: row[paper.TABLE_APP1_COLUMNS.index("max")] for a, row in paper.TABLE_APP1.items()}
    for y, row in enumerate(reruns.itertuples()):
        s = style_of([row.architecture])[row.architecture]
        ax.plot(
            np.array([row.min, most[row.architecture]]) / row.original,
            [y] * 2,
            color=s.color,
            linewidth=2,
            alpha=0.5,
        )
        ax.plot(row.mean_over_original, y, marker=s.marker, color=s.color, markersize=6)
        ax.annotate(
            f"{row.mean_over_original:.2g}",
            (row.mean_over_original, y),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    ax.axvline(1, color=GREY, linewidth=1, linestyle=DASHED, zorder=0)
    ax.set_xscale("log")
    ax.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    label_rows(ax, [label_of(a) for a in reruns.architecture], top=-0.6)
    ax.set_xlabel("loss / original loss")
