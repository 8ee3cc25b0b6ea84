"""Whether a search has come to its end, that is, whether more of it would still find something better.

The best trial of a search is a lower bound on what a network can do. As long as a longer search would
find a better one, its best cannot refute a claim. We therefore look at how much worse the best would
be after half of the search, in two ways: among the first half of each study's trials, and among all
trials of at most half of the most training steps. A search has come to its end where each of the two
changes the best by less than a twentieth.

There are two special cases. A search that never left chance has learned nothing, so nothing is known
about its end. And a loss below a hundredth of chance counts as a hundredth of chance: what has been
learned perfectly cannot improve by a share that matters.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from rnnkit.exhibits.finding import LEARNED
from rnnkit.exhibits.selection import SEARCH
from rnnkit.theory import chance

STEADY = 0.05  # the change of the best, as a share of it, below which a search has come to its end


class SearchEnd(NamedTuple):
    """Whether a search has come to its end (`is_reached`), and the reason in words.

    `trials` and `steps` say by what share halving the trials, or the training steps, changes the best,
    on average over the networks; nan where that is unknown.
    """

    trials: float
    steps: float
    is_reached: bool
    reason: str


def search_end(trials: pd.DataFrame) -> SearchEnd:
    """Whether the searches for these networks, taken together, have come to their end. What counts is
    the change of the best, averaged over the networks.

    Networks all of whose trials diverged are left out. If the change cannot be computed for one of
    the others, the end is not reached.
    """
    table = halvings(trials)
    table = table[table["learned"]]
    if table.empty:
        reason = "no network left chance, so that nothing is known of where the search ends"
        return SearchEnd(math.nan, math.nan, False, reason)
    by_trials, by_steps = (float(table[name].mean(skipna=False)) for name in ("trials", "steps"))
    is_reached = by_trials < STEADY and by_steps < STEADY
    reason = (
        f"halving the trials changes the best by {_share(by_trials)}, halving the steps by"
        f" {_share(by_steps)}{' on average' if len(table) > 1 else ''}: the search"
        f" {'has come to its end' if is_reached else 'is open'}"
    )
    return SearchEnd(by_trials, by_steps, is_reached, reason)


def halvings(trials: pd.DataFrame) -> pd.DataFrame:
    """How much halving a search changes its best: a row for each network.

    `best` is the least validation loss (nan where all trials diverged), and `learned` says whether it
    lies a twentieth below chance. `trials` and `steps` are how much worse the best of half of the
    trials is, and that of half of the steps, as a share of the best; nan where it is unknown.
    """
    loss = trials.valid_loss.astype(float).mask(trials.infeasible.astype(bool)).to_numpy()
    steps = trials.steps.to_numpy(float)
    index = trials.hyper_iter.to_numpy()
    early = index < trials.groupby("study").hyper_iter.transform("max").add(1).to_numpy() / 2
    table = []
    for network, places in trials.groupby(SEARCH, sort=False).indices.items():
        places = places[~np.isnan(loss[places])]
        if not len(places):
            table.append([*network, math.nan, False, math.nan, math.nan])
            continue
        best = loss[places].min()
        study = dict(zip(SEARCH, network))
        half = loss[places][early[places]].min(initial=math.inf)
        level = chance(study["task_type"], study["form"])
        # bits below chance, 0, have no level at which all is learned
        has_learned = best <= (1 - STEADY) * level if level else best < 0
        floor = LEARNED * level if level else -math.inf
        halves = (half, with_half_the_steps(steps[places], loss[places]))
        changes = [_change(best, worse, floor) for worse in halves]
        table.append([*network, best, has_learned, *changes])
    return pd.DataFrame(table, columns=[*SEARCH, "best", "learned", "trials", "steps"])


def networks_at_their_end(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows of `halvings` of those networks whose own search has come to its end."""
    table = halvings(trials)
    return table[table["learned"] & (table.trials < STEADY) & (table.steps < STEADY)]


def trials_of(trials: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """The trials of the networks in `points`, a table of best trials."""
    keys = [name for name in SEARCH if name in points]
    networks = pd.MultiIndex.from_frame(points[keys])
    return trials[pd.MultiIndex.from_frame(trials[keys]).isin(networks)]


def with_half_the_steps(steps: ArrayLike, loss: ArrayLike) -> float:
    """The least loss that half of the most training steps reach; nan where no trial has so few.

    Trials often have either far fewer steps than half or more than half. The loss at half is then
    interpolated, linearly in the logarithm of the steps, between the best trial with fewer steps and
    the next better one. Otherwise a trial of a tenth of the steps would stand for one of half of them.
    """
    order = np.argsort(steps, kind="stable")
    steps = np.asarray(steps, float)[order]
    least = np.minimum.accumulate(np.asarray(loss, float)[order])
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
    """How much worse half of a search does, as a share of the best; losses below `floor` count as
    `floor`.
    """
    best = max(best, floor)
    if math.isnan(half) or best == 0:
        return math.nan
    return float((max(half, floor) - best) / abs(best))


def _share(change: float) -> str:
    return "an unknown share" if not math.isfinite(change) else f"{100 * change:.3g} %"
