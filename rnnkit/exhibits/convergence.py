"""Whether a search has come to its end: how much worse its best were after half of the trials, and
with half of the training steps.

A best trial is a lower bound on what a network can do, so a search that would find more if it went
on cannot refute. It may where halving its trials and halving its steps each change the best by less
than a twentieth. Both are read off the trials themselves: the best among the first half of each
study's trials, and the best among all trials of at most half of the most training steps. A search
that never left chance has learned nothing, so that nothing is known of its end. A loss below a
hundredth of chance counts as that hundredth: what has been learned perfectly cannot get better by a
share that matters.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from rnnkit.exhibits.finding import LEARNED
from rnnkit.exhibits.selection import SEARCH
from rnnkit.theory import chance

STEADY = 0.05  # a twentieth of the best


class SearchEnd(NamedTuple):
    """`trials` and `steps`: mean over networks of what halving either changes the best by, as a
    share of it; nan where it is unknown.
    """

    trials: float
    steps: float
    reached: bool
    reason: str


def search_end(trials: pd.DataFrame) -> SearchEnd:
    """Whether the searches for these networks have come to their end, all together: the mean change
    of the best over the networks.

    Networks all of whose trials diverged are left out. Not reached where a change cannot be
    computed for one of the others.
    """
    table = halvings(trials)
    table = table[table.best.notna()]
    if not table.learned.any():
        return SearchEnd(
            math.nan,
            math.nan,
            False,
            "no network left chance, so that nothing is known of where the search ends",
        )
    table = table[table.learned]
    by_trials, by_steps = (float(table[name].mean(skipna=False)) for name in ("trials", "steps"))
    is_reached = by_trials < STEADY and by_steps < STEADY
    changes = (
        f"halving the trials changes the best by {_share(by_trials)}, halving the steps by"
        f" {_share(by_steps)}"
    )
    means = " on average" if len(table) > 1 else ""
    return SearchEnd(
        by_trials,
        by_steps,
        is_reached,
        f"{changes}{means}: the search {'has come to its end' if is_reached else 'is open'}",
    )


def halvings(trials: pd.DataFrame) -> pd.DataFrame:
    """A row for each network: its `best` loss, whether that is a twentieth below chance
    (`learned`), and the changes `trials` and `steps`.

    A change is the best less what half of it finds, over the best; nan where it cannot be computed.
    `best` is nan where all diverged.
    """
    loss = trials.valid_loss.astype(float).mask(trials.infeasible.astype(bool)).to_numpy()
    steps, index = trials.steps.to_numpy(float), trials.hyper_iter.to_numpy()
    early = index < trials.groupby("study").hyper_iter.transform("max").add(1).to_numpy() / 2
    table = []
    for network, places in trials.groupby(SEARCH, sort=False).indices.items():
        places = places[~np.isnan(loss[places])]
        if not len(places):
            table.append([*network, math.nan, False, math.nan, math.nan])
            continue
        best, study = loss[places].min(), dict(zip(SEARCH, network))
        half = loss[places][early[places]].min(initial=math.inf)
        level = chance(study["task_type"], study["form"])
        # bits below chance, 0, have no level at which all is learned
        has_learned = best <= (1 - STEADY) * level if level else best < 0
        floor = LEARNED * level if level else -math.inf
        changes = (
            _change(best, half, floor),
            _change(best, with_half_the_steps(steps[places], loss[places]), floor),
        )
        table.append([*network, best, has_learned, *changes])
    return pd.DataFrame(table, columns=[*SEARCH, "best", "learned", "trials", "steps"])


def networks_at_their_end(trials: pd.DataFrame) -> pd.DataFrame:
    """The networks of `halvings` whose own searches have come to their end."""
    table = halvings(trials)
    return table[table.learned & (table.trials < STEADY) & (table.steps < STEADY)]


def trials_of(trials: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """The trials of the networks in `points`, a table of best trials."""
    keys = [name for name in SEARCH if name in points]
    networks = set(points[keys].itertuples(index=False, name=None))
    return trials[
        [network in networks for network in trials[keys].itertuples(index=False, name=None)]
    ]


def with_half_the_steps(steps, loss) -> float:
    """The least loss with at most half of the most steps; nan where no trial has so few.

    Where the next better trial has more than half, the loss in between goes with the logarithm of
    the steps: so trials of a tenth of the steps are not taken for what half of them would give.
    """
    order = np.argsort(steps, kind="stable")
    steps, least = (
        np.asarray(steps, float)[order],
        np.minimum.accumulate(np.asarray(loss, float)[order]),
    )
    limit = steps[-1] / 2
    below = np.flatnonzero(steps <= limit)
    if not len(below) or limit <= 0:
        return math.nan
    low = below[least[below] == least[below[-1]]][0]
    better = np.flatnonzero(least < least[low])
    if not len(better):
        return float(least[low])
    high = better[0]
    share = math.log(limit / steps[low]) / math.log(steps[high] / steps[low])
    return float(least[low] + share * (least[high] - least[low]))


def _change(best: float, half: float, floor: float) -> float:
    """What half of a search finds less the best, over the best; losses below `floor` count as it."""
    best = max(best, floor)
    if math.isnan(half) or best == 0:
        return math.nan
    return float((max(half, floor) - best) / abs(best))


def _share(change: float) -> str:
    return "an unknown share" if not math.isfinite(change) else f"{100 * change:.3g} %"
