"""The search itself: the Gaussian process against random search, which hyper-parameters matter, and
where trials diverge (Appendix A).

Importance is told by scikit-learn: random forests, and the permutation of one hyper-parameter at a
time on trials that they have not seen.
"""

import math

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata

from rnnkit.analysis.capacity import best_so_far, in_order, per_trial
from rnnkit.analysis.rows import GP
from rnnkit.analysis.statistics import bootstrap, wilson
from rnnkit.analysis.trainability import hard_trials

# of the forests: each trial is predicted once, by a forest that has not seen it
FOLDS, TREES, REPEATS = (3, 50, 3)
LEAST = 40  # trials of an architecture, below which no forest is grown
FAR = 1.1  # times chance: a trial that ends above that has unlearned, or never left its start
LOT = "(drawn by lot)"  # a hyper-parameter that means nothing: what a forest makes of it is noise
BINS = 4
WINDOW = 16  # trials over which a typical trial is taken: a round of the tuner


def search_curves(frame: pd.DataFrame) -> pd.DataFrame:
    """Most bits per parameter after each trial, a row for each architecture, tuner and trial:
    median, least and most over the seeds.
    """
    trials = best_so_far(frame).assign(best=lambda f: f.best.fillna(0.0))
    groups = trials.groupby(["architecture", "tuner", "trial"], sort=False).best
    return groups.agg(median="median", low="min", high="max", seeds="count").reset_index()


def typical_trials(frame: pd.DataFrame) -> pd.DataFrame:
    """Bits per parameter of each window of trials, over all seeds: median and quartiles; a diverged
    trial stored nothing.
    """
    trials = per_trial(frame).assign(bits_per_param=lambda f: f.bits_per_param.fillna(0.0))
    rows = []
    for (architecture, tuner), part in trials.groupby(["architecture", "tuner"], sort=False):
        for start in range(0, int(part.hyper_iter.max()) + 1, WINDOW):
            inside = part.bits_per_param[
                (part.hyper_iter >= start) & (part.hyper_iter < start + WINDOW)
            ]
            rows.append(
                (
                    architecture,
                    tuner,
                    start + WINDOW / 2,
                    *np.quantile(inside, [0.5, 0.25, 0.75]),
                    len(inside),
                )
            )
    return pd.DataFrame(
        rows, columns=["architecture", "tuner", "trial", "median", "low", "high", "trials"]
    )


def race(frame: pd.DataFrame) -> pd.DataFrame:
    """The Gaussian process against random search, a row for each architecture: `gp` and `random`,
    medians over the seeds of the best bits per parameter at the end; `ratio` of the two, with a 95
    % interval over seeds; `match`, trials after which the process's median is at least where random
    search ends (NaN if never).
    """
    rows, curves = [], search_curves(frame)
    ends = (
        best_so_far(frame)
        .groupby(["architecture", "tuner", "seed"], sort=False)
        .best.max()
        .fillna(0.0)
    )
    for architecture in in_order(frame.architecture):
        pairs = ends[architecture].unstack("tuner")[["gp", "random"]].dropna().to_numpy()
        gp, random = np.median(pairs, 0)
        low, high = bootstrap(
            pairs, lambda draw: np.median(draw[..., 0], -1) / np.median(draw[..., 1], -1)
        )
        curve = curves[(curves.architecture == architecture) & (curves.tuner == "gp")]
        there = curve.trial[curve["median"] >= random]
        rows.append(
            (
                architecture,
                len(pairs),
                int(curve.trial.max()),
                gp,
                random,
                gp / random if random else math.nan,
                low,
                high,
                int(there.min()) if len(there) else math.nan,
            )
        )
    return pd.DataFrame(
        rows,
        columns=[
            "architecture",
            "seeds",
            "trials",
            "gp",
            "random",
            "ratio",
            "low",
            "high",
            "match",
        ],
    )


def importance(frame: pd.DataFrame) -> pd.DataFrame:
    """How much each hyper-parameter matters, a row for each of them, architecture and tuner:
    `importance`, the drop of the explained share of variance when its values are dealt out anew,
    with its standard deviation `sd`; `explained`, that share with all of them.

    Explained are the normal scores of the losses' ranks within each study, so that sizes and depths
    go together; a diverged trial ranks below all others. No row for an architecture with fewer than
    40 trials. Where a search has drawn several hyper-parameters to good values together, neither of
    them loses much alone; that cannot be so among random trials.
    """
    columns, found = (
        [
            "architecture",
            "tuner",
            "hyperparameter",
            "importance",
            "sd",
            "explained",
            "trials",
        ],
        [],
    )
    for names, rows in frame.groupby(["architecture", "tuner"], sort=False):
        if len(rows) >= LEAST:
            # figure, sentences and table are shown one after another, and a forest takes a second
            key = tuple(zip(rows.study, rows.hyper_iter, rows.valid_loss.fillna(math.inf)))
            if key not in _forests:
                _forests[key] = _importance(rows)
            found += [(*names, *each) for each in _forests[key]]
    return pd.DataFrame(found, columns=columns)


def importance_table(frame: pd.DataFrame) -> pd.DataFrame:
    """`importance` summed over the maps of a cell: a row for each hyper-parameter, the one that
    matters most on average first, the one drawn by lot last; a column for each architecture and
    tuner. Missing where an architecture has none.
    """
    return by_stem(importance(frame))


def by_stem(told: pd.DataFrame) -> pd.DataFrame:
    """`importance_table` of what `importance` gave."""
    table = told.assign(hyperparameter=told.hyperparameter.map(stem)).pivot_table(
        "importance", "hyperparameter", ["architecture", "tuner"], aggfunc="sum"
    )
    if table.empty:
        return table
    order = table.drop(LOT).mean(axis=1).sort_values(ascending=False).index
    columns = [
        (a, t) for a in in_order(told.architecture) for t in (*GP, "random") if (a, t) in table
    ]
    return table.loc[[*order, LOT], columns]


_forests = {}  # trials -> what a forest says of them


def _importance(rows):
    from sklearn.ensemble import RandomForestRegressor  # takes a second to load
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import r2_score
    from sklearn.model_selection import KFold

    X = values(rows).assign(**{LOT: np.random.default_rng(2017).random(len(rows))})
    y = scores(rows)
    drops, predicted = [], np.zeros(len(y))
    for seen, unseen in KFold(FOLDS, shuffle=True, random_state=0).split(X):
        forest = RandomForestRegressor(
            TREES, min_samples_leaf=3, max_features=0.5, random_state=0
        ).fit(X.to_numpy()[seen], y[seen])
        predicted[unseen] = forest.predict(X.to_numpy()[unseen])
        told = permutation_importance(
            forest, X.to_numpy()[unseen], y[unseen], n_repeats=REPEATS, random_state=0
        )
        drops.append(told.importances)
    drops = np.concatenate(drops, 1)
    explained = r2_score(y, predicted)
    return [
        (name, mean, sd, explained, len(rows))
        for name, mean, sd in zip(X, drops.mean(1), drops.std(1))
    ]


def values(frame: pd.DataFrame) -> pd.DataFrame:
    """Hyper-parameters as numbers, a column each; choices by their place in the alphabet. Those
    that never change are left out.

    A forest splits between values, so it does not matter that some of them are logarithmic.
    """
    table = pd.DataFrame(frame.hparams.tolist(), index=frame.index)
    for name in table:
        if not pd.api.types.is_numeric_dtype(table[name]):
            table[name] = table[name].astype(str).astype("category").cat.codes
    return table.loc[:, table.nunique() > 1].astype(float)


def scores(frame: pd.DataFrame) -> np.ndarray:
    """Normal scores of the losses' ranks within each study, the diverged trials together at the
    worst rank.
    """
    losses = frame.valid_loss.where(~frame.infeasible.astype(bool), np.inf)
    return (
        losses.groupby(frame.study)
        .transform(lambda x: norm.ppf((rankdata(x) - 0.5) / len(x)))
        .to_numpy(float)
    )


def stem(name: str) -> str:
    """A hyper-parameter without its map: input_scale_u is an input_scale_*."""
    for start in (
        "input_scale",
        "recurrent_matrix_scale",
        "recurrent_bias_scale",
        "forget_gate_bias_hack",
    ):
        if name.startswith(start):
            return f"{start}_*"
    return name


def lost(
    frame: pd.DataFrame, names=("lr_init", "gradient_clip_val", "recurrent_matrix_scale_*")
) -> pd.DataFrame:
    """Share of trials on the hard tasks that diverged, and of those that ended a tenth above
    chance, by quarters of a hyper-parameter.

    A row for each end, name and quarter, all architectures together: the median of the values, the
    share with Wilson's 95 % interval, and the trials. `names` may hold stems: then it is the
    largest value of a trial.
    """
    trials, rows = hard_trials(frame), []
    table = pd.DataFrame(trials.hparams.tolist(), index=trials.index)
    ends = {"diverged": trials.loss.isna(), "above chance": trials.loss > FAR * trials.chance}
    for name in names:
        columns = [column for column in table if name in (column, stem(column))]
        if not columns:
            continue
        x = table[columns].astype(float).max(axis=1).dropna()  # not every architecture has one
        quarter = np.minimum((rankdata(x, "ordinal") - 1) * BINS // len(x), BINS - 1)
        for end, happened in ends.items():
            for k in range(BINS):
                inside = happened[x.index].to_numpy()[quarter == k]
                if len(inside):
                    low, high = wilson(int(inside.sum()), len(inside))
                    rows.append(
                        (
                            end,
                            name,
                            k + 1,
                            float(np.median(x[quarter == k])),
                            inside.mean(),
                            low,
                            high,
                            len(inside),
                        )
                    )
    return pd.DataFrame(
        rows,
        columns=["end", "hyperparameter", "quarter", "value", "share", "low", "high", "trials"],
    )
