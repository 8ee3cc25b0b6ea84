"""The Gaussian process against random search, on the same studies. Ours: not in the paper."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from rnnkit.exhibits.appendix_a.best_so_far import best_so_far
from rnnkit.exhibits.base import Exhibit, NamedTables
from rnnkit.exhibits.best_trials import in_order, per_trial
from rnnkit.exhibits.captions import by_architecture, draws
from rnnkit.exhibits.statistics import bootstrap
from rnnkit.exhibits.style import GREY, Drawing, legend, line_key, style_of
from rnnkit.markup import SmallTable
from rnnkit.wording import and_list, count, label_of


def twins(frame: pd.DataFrame) -> pd.DataFrame:
    """Trials of the capacity task from studies that were run with both the Gaussian process and random
    search. The keys of two such studies differ in the tuner alone.
    """
    trials = frame[(frame.task_type == "per_cap") & frame.tuner.isin(["gp", "random"])]
    study = trials.study.str.replace("/(gp|random)/seed=", "/*/seed=", regex=True)
    return trials[trials.tuner.groupby(study).transform("nunique") == 2]


WINDOW = 16  # trials in a round of the tuner; the median of a round is its typical trial


def search_curves(frame: pd.DataFrame) -> pd.DataFrame:
    """The most bits per parameter after each trial: a row for each architecture, tuner and trial, with
    the median, the least and the most over the seeds.
    """
    trials = best_so_far(frame).assign(best=lambda f: f.best.fillna(0.0))
    groups = trials.groupby(["architecture", "tuner", "trial"], sort=False).best
    return groups.agg(median="median", low="min", high="max", seeds="count").reset_index()


def typical_trials(frame: pd.DataFrame) -> pd.DataFrame:
    """The bits per parameter of typical trials: the median and the quartiles of each window of trials,
    over all seeds. A diverged trial has stored nothing.
    """
    trials = per_trial(frame).assign(bits_per_param=lambda f: f.bits_per_param.fillna(0.0))
    records = []
    for names, group in trials.groupby(["architecture", "tuner"], sort=False):
        for window, bits in group.groupby(group.hyper_iter // WINDOW).bits_per_param:
            quartiles = np.quantile(bits, [0.5, 0.25, 0.75])
            records.append((*names, (window + 0.5) * WINDOW, *quartiles, len(bits)))
    return pd.DataFrame(
        records, columns=["architecture", "tuner", "trial", "median", "low", "high", "trials"]
    )


def race(frame: pd.DataFrame) -> pd.DataFrame:
    """The Gaussian process against random search: a row for each architecture.

    `gp` and `random` are the most bits per parameter at the end, in the median of the seeds, and
    `ratio` is one over the other, with a 95 % interval over seeds. `match` is the number of trials
    after which the process's median has reached the end of random search (nan if never).
    """
    records = []
    curves = search_curves(frame)
    bests = best_so_far(frame).groupby(["architecture", "tuner", "seed"], sort=False).best.max()
    for architecture in in_order(frame.architecture):
        pairs = bests[architecture].fillna(0.0).unstack("tuner")[["gp", "random"]].dropna()
        gp, random = pairs.median()
        low, high = bootstrap(pairs, _ratio_of_medians)
        curve = curves[(curves.architecture == architecture) & (curves.tuner == "gp")]
        records.append(
            {
                "architecture": architecture,
                "seeds": len(pairs),
                "trials": curve.trial.max(),
                "gp": gp,
                "random": random,
                "ratio": gp / random if random else math.nan,
                "low": low,
                "high": high,
                "match": curve.trial[curve["median"] >= random].min(),
            }
        )
    return SmallTable(records)


def _ratio_of_medians(draws: np.ndarray) -> np.ndarray:
    """The median over the seeds of the one tuner over that of the other. draws x seeds x 2 -> draws"""
    medians = np.median(draws, 1)
    return medians[:, 0] / medians[:, 1]


TUNERS = {"gp": "Gaussian process", "random": "random search"}
LINES = {"gp": "-", "random": (0, (4, 2))}
BAND = "left: least to most of the seeds; right: middle half of the trials"


@draws("tuner", height=lambda curves, _: 0.9 + 2.7 * curves.architecture.nunique())
def draw(figure: Drawing, curves: pd.DataFrame, typical: pd.DataFrame) -> None:
    """The best trial so far, and typical trials, of the Gaussian process and of random search on the
    same study: a row for each architecture.
    """
    names = in_order(curves.architecture)
    style = style_of(names)
    axes = figure.subplots(len(names), 2, sharex=True, sharey="row", squeeze=False)
    for row, architecture in zip(axes, names):
        color = style[architecture].color
        _draw_tuners(row[0], curves[curves.architecture == architecture], color, "post")
        _draw_tuners(row[1], typical[typical.architecture == architecture], color)
        row[0].set(title="best trial so far", ylim=(0, None))
        row[0].set_ylabel(f"{label_of(architecture)}\nbits per parameter")
        row[1].set_title(f"typical trial: the median of {WINDOW}")
    for ax in axes[-1]:
        ax.set_xlabel("trials")
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 4, 5, 8, 10]))
    axes[0][0].set_xlim(0, curves.trial.max())
    color = style[names[0]].color if len(names) == 1 else "black"
    keys = [
        line_key(label, LINES[tuner], 1.4, color if tuner == "gp" else GREY)
        for tuner, label in TUNERS.items()
    ]
    legend(figure, [*keys, Patch(color=GREY, alpha=0.2, label=BAND)])


def _draw_tuners(ax: Axes, table: pd.DataFrame, color: str, step: str | None = None) -> None:
    """Draws the median and the band of each tuner against trials: the Gaussian process in `color`, and
    random search in grey.
    """
    for tuner, line in LINES.items():
        own = table[table.tuner == tuner]
        look = {"color": color if tuner == "gp" else GREY}
        ax.fill_between(own.trial, own.low, own.high, alpha=0.15, linewidth=0, step=step, **look)
        drawstyle = f"steps-{step}" if step else "default"
        ax.plot(own.trial, own["median"], linestyle=line, drawstyle=drawstyle, **look)


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    sentences = []
    for row in race(trials).itertuples():
        times = (
            f"{row.ratio:.2f} times as many, between {row.low:.2f} and {row.high:.2f}"
            if row.random and row.gp
            else "no ratio to take"
        )
        sentences.append(
            f"After {count(row.trials, 'trial')} the Gaussian process has {row.gp:.2f} bits per"
            f" parameter and random search {row.random:.2f}, in the median of"
            f" {count(row.seeds, 'seed')}: {times}."
        )
        came = row.match == row.match  # it is nan otherwise
        arrival = f"was there after {row.match:.0f} trials" if came else "never came there"
        sentences.append(f"Where random search ends, the Gaussian process {arrival}.")
    typical = tables["tuner_typical"]
    last = typical[typical.trial == typical.trial.max()].groupby("tuner")["median"].mean()
    bits = and_list(f"{last[tuner]:.2f} ({TUNERS[tuner]})" for tuner in TUNERS if tuner in last)
    return [*sentences, f"In the last round a typical trial stores {bits} bits per parameter."]


Exhibit(
    name="tuner",
    title="The search against random search (ours: not in the paper)",
    gist=(
        "One study under both tuners. Left: bits per parameter of the best trial so far, median"
        " (line) and range (band) over the seeds. Right: median and middle half of each 16 trials,"
        " all seeds together."
    ),
    position=3,
    select=twins,
    trials="capacity task under both tuners",
    tables={
        "tuner": search_curves,
        "tuner_typical": typical_trials,
    },
    draw=draw,
    alt=(
        "bits per parameter of the best trial so far and of typical trials against trials, with the"
        " Gaussian process and at random."
    ),
    numbers=lambda tables: " ".join(
        by_architecture(
            f"Most bits per parameter, median of seeds, {title}",
            tables["tuner"].query("tuner == @tuner").groupby("architecture")["median"].max(),
        )
        for tuner, title in TUNERS.items()
    ),
    facts=facts,
)
