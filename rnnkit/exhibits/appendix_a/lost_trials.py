"""Where trials are lost: how many diverge or end above chance. Ours: not in the paper."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from rnnkit.exhibits.appendix_a.importance import stem
from rnnkit.exhibits.base import Exhibit, NamedTables
from rnnkit.exhibits.captions import draws
from rnnkit.exhibits.section_4.hard_trials import hard_trials
from rnnkit.exhibits.selection import random_sets
from rnnkit.exhibits.statistics import wilson
from rnnkit.exhibits.style import (
    GREY,
    Drawing,
    legend,
    line_key,
    log_ticks,
)
from rnnkit.wording import and_list, capital, percent

FAR = 1.1  # multiples of chance: a trial that ends above has unlearned, or has never begun to learn
BINS = 4


def lost_shares(
    frame: pd.DataFrame,
    names: Sequence[str] = ("lr_init", "gradient_clip_val", "recurrent_matrix_scale_*"),
) -> pd.DataFrame:
    """The shares of trials on the hard tasks that diverged, and that ended a tenth above chance, by
    quarters of a hyper-parameter.

    There is a row for each end, hyper-parameter and quarter, for all architectures together: the
    median of the values, the share with Wilson's 95 % interval, and the number of trials. `names` may
    hold stems (`importance.stem`), for which the largest value of a trial counts.
    """
    trials = hard_trials(frame)
    records = []
    table = pd.DataFrame(trials.hparams.tolist(), index=trials.index)
    outcomes = {"diverged": trials.loss.isna(), "above chance": trials.loss > FAR * trials.chance}
    for name in names:
        columns = [column for column in table if name in (column, stem(column))]
        # an architecture may have no such hyper-parameter
        x = table[columns].astype(float).max(axis=1).dropna()
        quarter = np.minimum((rankdata(x, "ordinal") - 1) * BINS // len(x), BINS - 1)
        for end, occurs in outcomes.items():
            inside = pd.DataFrame({"value": x, "occurs": occurs[x.index]})
            for k, group in inside.groupby(quarter):
                number = int(group.occurs.sum())
                numbers = (group.value.median(), group.occurs.mean(), *wilson(number, len(group)))
                records.append((end, name, k + 1, *numbers, len(group)))
    return pd.DataFrame(
        records,
        columns=["end", "hyperparameter", "quarter", "value", "share", "low", "high", "trials"],
    )


ENDS = {
    "diverged": ("diverged", "black", "o", "-"),
    "above chance": ("ended a tenth above chance", GREY, "s", (0, (4, 2))),
}
NAMES = {
    "lr_init": "learning rate",
    "gradient_clip_val": "gradient clip",
    "recurrent_matrix_scale_*": "largest recurrent scale",
}


@draws("lost", height=3.5)
def draw(figure: Drawing, table: pd.DataFrame) -> None:
    """Share of trials that diverged, and that ended above chance, by quarters of three
    hyper-parameters.
    """
    axes = figure.subplots(1, len(NAMES), sharey=True)
    for ax, (name, title) in zip(axes, NAMES.items()):
        for end, (_, color, marker, line) in ENDS.items():
            own = table[(table.hyperparameter == name) & (table.end == end)]
            errors = 100 * np.array([own.share - own.low, own.high - own.share]).clip(0)
            look = {"color": color, "marker": marker, "linestyle": line}
            ax.errorbar(own.value, 100 * own.share, errors, elinewidth=1, capsize=3, **look)
        ax.set_xscale("log")
        log_ticks(ax.xaxis)
        ax.set_xlabel(f"{title},\nmedian of its quarter")
    axes[0].set_ylabel("share of trials, %")
    axes[0].set_ylim(0, None)
    keys = [
        line_key(label, line, 1.4, color, marker=marker)
        for label, color, marker, line in ENDS.values()
    ]
    legend(figure, keys)


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    sentences = []
    for end, group in tables["lost"].groupby("end", sort=False):
        shares = group.pivot(index="quarter", columns="hyperparameter", values="share")
        name = (shares.max() - shares.min()).idxmax()
        quarters = group[group.hyperparameter == name]
        total = np.average(quarters.share, weights=quarters.trials)
        sentence = f"{capital(end)}: {percent(total)} of all."
        if total:
            sentence += (
                f" It depends most on {name}, by quarters from low to high:"
                f" {and_list(map(percent, quarters.share))}."
            )
        sentences.append(sentence)
    return sentences


Exhibit(
    name="lost",
    title="Where trials are lost (ours: not in the paper)",
    gist=(
        "Share of trials with random hyper-parameters that diverged, and that ended more than a"
        " tenth above chance, by quarters of three hyper-parameters, all architectures and depths"
        " together; Wilson's 95 % interval."
    ),
    position=5,
    select=random_sets,
    trials="parentheses task with random sets",
    experiment="fig5",
    tables={"lost": lost_shares},
    draw=draw,
    alt=(
        "share of trials that diverged, and that ended above chance, against learning rate,"
        " gradient clip and recurrent scale."
    ),
    numbers=lambda tables: (
        "Largest share of a quarter: "
        + ", ".join(
            f"{end} {percent(group.share.max())}"
            for end, group in tables["lost"].groupby("end", sort=False)
        )
        + "."
    ),
    facts=facts,
)
