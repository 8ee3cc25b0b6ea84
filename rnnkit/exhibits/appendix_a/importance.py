"""Which hyper-parameters matter. Random forests of scikit-learn predict the loss, and one
hyper-parameter at a time is permuted on trials that they have not seen. Ours: not in the paper.
"""

import itertools
import math
import re

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from scipy.stats import norm

from rnnkit.exhibits.base import Exhibit, NamedTables
from rnnkit.exhibits.best_trials import in_order
from rnnkit.exhibits.captions import by_architecture, draws
from rnnkit.exhibits.selection import GP, capacity
from rnnkit.exhibits.style import GREY, Drawing, coloured_table, write_note
from rnnkit.markup import SmallTable
from rnnkit.wording import and_list, label_of

# each trial is predicted once, by the one of three forests that has not seen it
FOLDS = 3
TREES = 50
REPEATS = 3
LEAST_TRIALS = 40  # no forest is grown for an architecture with fewer trials
LOT = "(drawn by lot)"  # a made-up hyper-parameter without meaning, which shows the level of noise


def importance(frame: pd.DataFrame) -> pd.DataFrame:
    """How much each hyper-parameter matters: a row for each hyper-parameter, architecture and tuner.

    `explained` is the share of variance that a forest explains. `importance` is how much that share
    drops when the values of one hyper-parameter are shuffled, and `sd` its standard deviation.

    What is explained are the ranks of the losses within each study, as normal scores, so that sizes
    and depths can be taken together; a diverged trial ranks last. Architectures with fewer than 40
    trials have no row. If a search has moved several hyper-parameters to good values together, none
    of them seems to matter much; random trials do not have this problem.
    """
    columns = [
        "architecture",
        "tuner",
        "hyperparameter",
        "importance",
        "sd",
        "explained",
        "trials",
    ]
    records = []
    for names, trials in frame.groupby(["architecture", "tuner"], sort=False):
        if len(trials) >= LEAST_TRIALS:
            # a notebook shows figure, table and sentences one by one, and a forest takes a second
            key = tuple(zip(trials.study, trials.hyper_iter, trials.valid_loss.fillna(math.inf)))
            if key not in _forests:
                _forests[key] = _grow_forests(trials)
            records += [(*names, *record) for record in _forests[key]]
    return pd.DataFrame(records, columns=columns)


def importance_table(frame: pd.DataFrame) -> SmallTable:
    """`importance`, summed over the maps of a cell: a row for each hyper-parameter, a column for each
    architecture and tuner. The hyper-parameter that matters most on average comes first, and the one
    drawn by lot last. nan where an architecture does not have it.
    """
    return SmallTable(by_stem(importance(frame)))


def by_stem(shares: pd.DataFrame) -> pd.DataFrame:
    """The table of `importance_table`, out of what `importance` gave."""
    table = shares.assign(hyperparameter=shares.hyperparameter.map(stem)).pivot_table(
        "importance", "hyperparameter", ["architecture", "tuner"], aggfunc="sum"
    )
    if table.empty:
        return table
    order = table.drop(LOT).mean(axis=1).sort_values(ascending=False).index
    pairs = itertools.product(in_order(shares.architecture), (*GP, "random"))
    columns = [pair for pair in pairs if pair in table]
    return table.loc[[*order, LOT], columns]


_forests = {}  # trials -> what a forest says about them


def _grow_forests(trials: pd.DataFrame) -> list[tuple]:
    from sklearn.ensemble import RandomForestRegressor  # takes a second to load
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import r2_score
    from sklearn.model_selection import KFold

    table = numeric_hparams(trials).assign(**{LOT: np.random.default_rng(2017).random(len(trials))})
    X = table.to_numpy()
    y = normal_scores(trials)
    drops = []
    predictions = np.zeros(len(y))
    for training, held_out in KFold(FOLDS, shuffle=True, random_state=0).split(X):
        forest = RandomForestRegressor(
            TREES, min_samples_leaf=3, max_features=0.5, random_state=0
        ).fit(X[training], y[training])
        predictions[held_out] = forest.predict(X[held_out])
        permutation = permutation_importance(
            forest, X[held_out], y[held_out], n_repeats=REPEATS, random_state=0
        )
        drops.append(permutation.importances)
    all_drops = np.concatenate(drops, 1)
    r_squared = r2_score(y, predictions)
    return [
        (name, mean, sd, r_squared, len(trials))
        for name, mean, sd in zip(table, all_drops.mean(1), all_drops.std(1))
    ]


def numeric_hparams(frame: pd.DataFrame) -> pd.DataFrame:
    """The hyper-parameters as numbers, a column each, without those that never change. Choices are
    numbered in alphabetical order.

    A forest splits between values, so it makes no difference that some of them are logarithmic.
    """
    table = pd.DataFrame(frame.hparams.tolist(), index=frame.index)
    for name in table:
        if not pd.api.types.is_numeric_dtype(table[name]):
            table[name], _ = pd.factorize(table[name].astype(str), sort=True)
    return table.loc[:, table.nunique() > 1].astype(float)


def normal_scores(frame: pd.DataFrame) -> np.ndarray:
    """The normal scores of the losses' ranks within each study; all diverged trials share the worst
    rank.
    """
    losses = frame.valid_loss.where(~frame.infeasible.astype(bool), np.inf).groupby(frame.study)
    return norm.ppf((losses.rank() - 0.5) / losses.transform("size"))


def stem(name: str) -> str:
    """A hyper-parameter without the name of its map: input_scale_u becomes input_scale_*."""
    return re.sub(f"^({'|'.join(OF_A_MAP)}).*", r"\1_*", name)


OF_A_MAP = (
    "input_scale",
    "recurrent_matrix_scale",
    "recurrent_bias_scale",
    "forget_gate_bias_hack",
)


@draws("importance", height=lambda shares: max(2, 1.3 + 0.27 * len(by_stem(shares))))
def draw(figure: Drawing, shares: pd.DataFrame) -> None:
    """How much each hyper-parameter, summed over the maps of a cell, matters to each architecture, as a
    coloured table.
    """
    table = by_stem(shares)
    ax = figure.subplots()
    if table.empty:
        ax.set_axis_off()
        write_note(ax, "too few trials of any architecture to grow a forest")
    else:
        _draw_shares(ax, table, shares.groupby(["architecture", "tuner"]).explained.first())
    sns.despine(figure, left=True, bottom=True)


def _draw_shares(ax: Axes, table: pd.DataFrame, r_squared: pd.Series) -> None:
    """Draws a coloured field for each hyper-parameter (row) and each architecture and tuner (column)."""
    values = table.to_numpy()
    labels = [
        f"{label_of(a)}{', random' if tuner == 'random' else ''}\n({r_squared[a, tuner]:.2f})"
        for a, tuner in table
    ]
    roots = np.sqrt(values.clip(0, None))  # so that small ones differ too
    coloured_table(ax, values, roots, table.index, labels, cmap="Blues", linewidth=1.5, vmin=0)
    ax.axhline(len(table) - 1, color=GREY, linewidth=1)
    ax.set_xlabel("in brackets: share of the variance that the forest explains")


def facts(trials: pd.DataFrame, tables: NamedTables) -> list[str]:
    table = by_stem(tables["importance"])
    if table.empty:
        return ["No architecture has trials enough for a forest."]
    means = table.mean(axis=1).drop(LOT)
    noise = float(table.loc[LOT].max())
    below = int((means <= noise).sum())
    top = and_list(f"{name} ({value:.2f})" for name, value in means.nlargest(3).items())
    return [
        f"What matters most, on average over the columns, is {top}.",
        (
            f"{below} of {len(means)} hyper-parameters matter no more than one that is drawn by lot"
            f" (at most {noise:.2f})."
        ),
    ]


Exhibit(
    name="importance",
    title="What matters (ours: not in the paper)",
    gist=(
        "Share of the variance of a study's ranks that a random forest loses on unseen trials when"
        " the values of one hyper-parameter are shuffled, summed over the maps of a cell (*). Last row: a"
        " number that means nothing."
    ),
    position=4,
    select=capacity,
    trials="capacity task",
    experiment="fig1",
    tables={"importance": importance},
    draw=draw,
    alt="a table of hyper-parameters by architecture, coloured by how much each of them matters.",
    numbers=lambda tables: by_architecture(
        "Share explained", tables["importance"].groupby("architecture").explained.first()
    ),
    facts=facts,
)
