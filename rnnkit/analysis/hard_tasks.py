"""Checks of claims about searches on the hard tasks (section 4, Figure 4): who solves them, how
soon, how well.

That a network solved a task is a fact at any scale; that it did not is one only where its search
has come to its end (`convergence`). `cells` is `trainability.by_network`: one row for each task,
depth and architecture. That one architecture does better than another is told by tests of pairs
that the claim names, with Holm's correction; an interval resamples tasks and depths, or trials
where said.
"""

import math

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.analysis.convergence import trials_of
from rnnkit.analysis.finding import (
    DEEP,
    FAILS,
    HOLDS,
    MIN_CELLS,
    NEARLY,
    RARELY,
    SOLVED,
    STILL,
    SURELY,
    UNTESTED,
    Finding,
    Pair,
    mean,
    told_apart,
    unless_open,
)
from rnnkit.analysis.rows import GP, Budget
from rnnkit.analysis.statistics import (
    DRAWS,
    bootstrap_samples,
    mann_whitney,
    relabelled,
    share_beyond,
    student,
    wilson,
)
from rnnkit.analysis.trainability import CELL, hard_trials
from rnnkit.wording import count, label_of, listed

PLAIN = tuple(a for a in paper.ARCHITECTURES if not paper.GATES[a])  # RNN and IRNN
GATED = tuple(a for a in paper.ARCHITECTURES if paper.GATES[a])
WORDS = {HOLDS: "holds", FAILS: "fails", UNTESTED: "is undecided"}


def plain_are_last(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """P01: RNN and IRNN come to the threshold later than gated cells, and end at a higher loss, in
    most pairs.

    Told by dealing the architectures' labels out anew within each task and depth that any network
    solved.
    """
    solved = cells[cells.groupby(CELL).solved.transform("sum") > 0]
    values = {
        name: (
            solved.assign(**{name: solved[name].fillna(math.inf)}).pivot(
                index=CELL, columns="architecture", values=name
            )
        )
        for name in ("first_solved", "minimum")
    }
    names = [a for a in (*PLAIN, *GATED) if a in values["minimum"]]
    tables = [table[names].to_numpy(float) for table in values.values()]
    plain = np.array([a in PLAIN for a in names], bool)
    both = ~np.isnan(_share_later(tables[0], plain))
    tables, number = [table[both] for table in tables], int(both.sum())
    if not number:
        return Finding(
            math.nan,
            math.nan,
            math.nan,
            UNTESTED,
            f"no network reached a loss below {SOLVED:g} of chance beside others",
        )
    ours = [_share_later(table, plain) for table in tables]
    (slower, worse), interval = (float(shares.mean()) for shares in ours), student(ours[0], 0, 1)
    reason = f"{slower:.0%}, and they end at a higher loss in {worse:.0%}"
    reason += (
        f", over {count(number, 'task and depth', 'tasks and depths')} that any network solved"
    )
    if number < MIN_CELLS:
        return Finding(slower, *interval, UNTESTED, f"{reason}; it takes {MIN_CELLS}")
    verdicts = set()
    for table, share in zip(tables, (slower, worse)):
        drawn = relabelled(table, lambda draw: _share_later(draw, plain).mean(-1))
        above, below = share_beyond(share, drawn), share_beyond(-share, -drawn)
        verdicts.add(
            HOLDS if above <= SURELY else FAILS if below <= SURELY / 2 else UNTESTED
        )  # two may fail
    verdict = FAILS if FAILS in verdicts else HOLDS if verdicts == {HOLDS} else UNTESTED
    return Finding(slower, *interval, verdict, reason)


def _share_later(table, plain):
    """Share of the pairs of a plain and a gated cell in which the plain one's value is the higher:
    ... x columns -> ...; a tie is half.
    """
    one, other = table[..., plain, None], table[..., None, ~plain]
    later = (one > other) + 0.5 * (one == other)
    there = ~(np.isnan(one) | np.isnan(other))
    pairs = there.sum((-1, -2))
    return np.divide(
        (later * there).sum((-1, -2)), pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0
    )


def plain_solve_one_layer(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """P02: at one layer RNN and IRNN come below the threshold on every task; shown is the worse of
    their best on parentheses.
    """
    cells = cells[(cells.n_layers == 1) & cells.architecture.isin(PLAIN)]
    parens = cells[cells.task_type == "parens_counting"]
    low, ours = parens.minimum.min(), parens.minimum.max(skipna=False)
    if len(parens) < len(PLAIN):
        return Finding(
            math.nan,
            math.nan,
            math.nan,
            UNTESTED,
            "RNN and IRNN with one layer were not both trained on parentheses",
        )
    each = [
        f"{label_of(c.architecture)} {c.minimum:.3g} on {_task(c.task_type)} (chance {c.chance:.3g})"
        for c in cells.itertuples()
    ]
    unsolved = cells[cells.solved == 0]
    if unsolved.empty:
        return Finding(ours, low, ours, HOLDS, listed(each))
    reason = f"{listed(each)}; {SOLVED:g} of chance is the threshold"
    return unless_open(Finding(ours, low, ours, FAILS, reason), trials_of(rows, unsolved))


def only_gated_when_deep(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """P03: at the greatest depth gated cells solve the tasks, RNN and IRNN do not; shown is the
    share of the latter's trials that do.
    """
    depth = cells.n_layers.max()
    deep = cells[cells.n_layers == depth]
    deep = deep[
        deep.task_type.isin(deep.task_type[deep.solved > 0])
    ]  # a task that none solves tells nothing
    if depth < DEEP:
        return Finding(
            math.nan,
            math.nan,
            math.nan,
            UNTESTED,
            f"depth {depth} is the greatest, and deep begins at {DEEP}",
        )
    if deep.empty:
        return Finding(
            math.nan, math.nan, math.nan, UNTESTED, f"no network solved a task at depth {depth}"
        )
    plain, gated = (deep[deep.architecture.isin(names)] for names in (PLAIN, GATED))
    solved, trials = int(plain.solved.sum()), int((plain.trials - plain.infeasible).sum())
    ends, gated_low = (
        wilson(solved, trials),
        wilson(int(gated.solved.sum()), int((gated.trials - gated.infeasible).sum()))[0],
    )
    ours = solved / trials if trials else math.nan
    least = (deep.minimum / deep.chance).groupby(deep.architecture).min().dropna().sort_values()
    best = [f"{label_of(architecture)} {loss:.2g}" for architecture, loss in least.items()]
    reason = (
        f"at depth {depth} RNN and IRNN solved in {solved} of {trials} trials, gated cells in"
        f" {gated_low:.0%} or more"
    )
    reason += f"; least loss over chance: {', '.join(best)}"
    if solved:
        return Finding(ours, *ends, FAILS, reason)
    sure = trials > 0 and ends[1] < gated_low
    return Finding(
        ours,
        *ends,
        HOLDS if sure else UNTESTED,
        reason + ("" if sure else "; too few solved to tell"),
    )


def easiest(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """P04, H04: GRU does better than each other architecture at depth 1, and +RNN at the greatest
    depth; both have the lowest minimum.

    Named pairs of trials by Mann & Whitney's test, with Holm's correction over all of them; so it
    is about these trials, not about other searches. Shown is the largest ratio of medians, the
    named one over another, with an interval that resamples their trials.
    """
    deepest, pairs, ratios, halves, first = rows.n_layers.max(), [], [], [], []
    for champion, depth in (("gru", 1), ("+rnn", deepest)) if deepest >= DEEP else (("gru", 1),):
        for task, sample in _samples(rows, depth):
            if champion not in sample or len(sample) < 3:
                continue
            mine = [
                Pair(champion, a, *mann_whitney(sample[champion], sample[a]))
                for a in sample
                if a != champion
            ]
            pairs += mine
            verdict, words = told_apart(mine)
            halves.append(
                f"{label_of(champion)} at depth {depth} on {_task(task)} {WORDS[verdict]}, {words}"
            )
            first.append(min(sample, key=lambda a: sample[a].min()) == champion)
            ratios += [
                (_ratio(sample[champion], sample[a]), sample[champion], sample[a])
                for a in sample
                if a != champion
            ]
    if not pairs:
        return Finding(
            math.nan,
            math.nan,
            math.nan,
            UNTESTED,
            "neither GRU at depth 1 nor +RNN at depth was trained beside others",
        )
    ratio, *samples = max(ratios, key=lambda found: found[0])
    interval = bootstrap_samples(samples, lambda draws: _ratio(*draws))
    verdict, words = told_apart(pairs)
    reason = (
        f"lower than each other: {'; '.join(halves)}; all together {words}; theirs is the lowest"
        f" minimum in {sum(first)} of {len(first)}"
    )
    if deepest < DEEP:
        return Finding(
            ratio,
            *interval,
            UNTESTED,
            f"{reason}; depth {deepest} is the greatest, and deep begins at {DEEP}",
        )
    if verdict == HOLDS and not all(first):
        verdict = UNTESTED
    return Finding(ratio, *interval, verdict, reason)


def _samples(rows, depth: int):
    """Task and losses by architecture at a depth, for each task; after a search a diverged trial
    counts as worse than any.
    """
    trials = hard_trials(
        rows[(rows.n_layers == depth) & rows.architecture.isin(paper.ARCHITECTURES)]
    )
    if rows.tuner.isin(GP).all():
        trials = trials.assign(
            loss=trials.loss.fillna(math.inf)
        )  # as the curves count it; the boxes leave it out
    for task, cell in trials.dropna(subset="loss").groupby("task_type", sort=False):
        yield (
            task,
            {
                a: cell.loss[cell.architecture == a].to_numpy()
                for a in paper.ARCHITECTURES
                if (cell.architecture == a).any()
            },
        )


def _ratio(one, other):
    """Median over median, along the last axis; inf where the first is not finite."""
    one, other = np.median(one, -1), np.median(other, -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.isinf(one), np.inf, one / other)[()]


def arithmetic_is_harder(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """P05: best loss over chance is higher on arithmetic than on parentheses, and RNN's and IRNN's
    best there falls over the last third.

    Shown is that fall, in decades (negative), averaged over RNN, IRNN and depths. The best of any
    search falls, and in its last third one time in three; so the fall is held against that of the
    same trials in another order.
    """
    table = (
        (cells.minimum / cells.chance)
        .groupby([cells.n_layers, cells.architecture, cells.task_type])
        .min()
        .unstack()
    )
    if "arithmetic" not in table:
        return Finding(math.nan, math.nan, math.nan, UNTESTED, "arithmetic was not trained")
    plain = hard_trials(
        rows[(rows.task_type == "arithmetic") & rows.architecture.isin(PLAIN)]
    ).sort_values("hyper_iter")
    searches = [study.loss.fillna(math.inf).to_numpy() for _, study in plain.groupby("study")]
    falls = [
        (fall, losses)
        for fall, losses in ((_fall(losses), losses) for losses in searches)
        if not math.isnan(fall)
    ]
    slope, interval = mean([fall for fall, _ in falls]), student([fall for fall, _ in falls])
    still = (
        f"{sum(fall < 0 for fall, _ in falls)} of {len(falls)} searches of RNN and IRNN improved in"
        " their last third"
    )
    if "parens_counting" not in table or len(table.dropna()) < MIN_CELLS or len(falls) < MIN_CELLS:
        return Finding(
            slope, *interval, UNTESTED, f"{still}; too few networks were trained on both tasks"
        )
    rng = np.random.default_rng(0)
    luck = np.mean([_falls_by_luck(losses, rng) for _, losses in falls], 0)
    more, less = share_beyond(-slope, -luck), share_beyond(slope, luck)
    falling = HOLDS if more <= SURELY else FAILS if less <= SURELY else UNTESTED
    ratios = np.log(table.dropna().arithmetic / table.dropna().parens_counting)
    harder, ends = math.exp(ratios.mean()), np.exp(student(ratios))
    reason = (
        f"best loss over chance is {harder:.2f} [{ends[0]:.2f}, {ends[1]:.2f}] times that of"
        f" parentheses; {still}"
    )
    reason += f", and the same trials in another order fall as much in {more:.2g} of cases"
    sides = {HOLDS if ends[0] > 1 + STILL else FAILS if ends[1] < 1 - STILL else UNTESTED, falling}
    return Finding(
        slope,
        *interval,
        FAILS if FAILS in sides else HOLDS if sides == {HOLDS} else UNTESTED,
        reason,
    )


def _fall(losses) -> float:
    """log10 of the best of a search over the best of its first two thirds; nan where the latter is
    not there.
    """
    before, last = np.min(losses[: math.ceil(2 * len(losses) / 3)]), np.min(losses)
    return math.log10(last / before) if math.isfinite(before) and last > 0 else math.nan


def _falls_by_luck(losses, rng) -> np.ndarray:
    """`_fall` of these trials in `DRAWS` random orders: the first two thirds miss the r best with a
    chance that is known.
    """
    n, m, ranked = len(losses), math.ceil(2 * len(losses) / 3), np.sort(losses)
    missed = np.cumprod(
        (n - m - np.arange(n - m)) / (n - np.arange(n - m))
    )  # P(none of the best r + 1 is among m of n)
    best_seen = (rng.random(DRAWS)[:, None] < missed).sum(1)
    return np.log10(ranked[0] / ranked[best_seen])


def learned_is_exact(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """P06: the best trial of networks that solved arithmetic answers whole sums right; shown is
    their highest share of right answers.
    """
    cells = cells[cells.task_type == "arithmetic"]
    solved = cells[(cells.solved > 0) & cells.accuracy.notna()]
    if solved.empty:
        reason = "no network solved arithmetic" if len(cells) else "arithmetic was not trained"
        return Finding(
            cells.accuracy.max(),
            math.nan,
            math.nan,
            UNTESTED,
            f"{reason}: loss below {SOLVED:g} of chance",
        )
    best = solved.loc[solved.accuracy.idxmax()]
    exact = (
        f"{(solved.accuracy >= NEARLY).sum()} of {len(solved)} networks that solved it answer"
        f" {NEARLY:.0%} of sums or more"
    )
    reason = f"{label_of(best.architecture)} at depth {best.n_layers}; {exact}"
    if best.accuracy >= NEARLY:
        return Finding(best.accuracy, solved.accuracy.min(), best.accuracy, HOLDS, reason)
    return unless_open(
        Finding(best.accuracy, solved.accuracy.min(), best.accuracy, FAILS, reason),
        trials_of(rows, solved),
    )


def advice(rows, cells: pd.DataFrame, spent: Budget) -> Finding:
    """G04: GRU has the lowest median and minimum at depths 1 and 2, +RNN at 4 and 8, LSTM almost
    never; shown is the share of such wins.

    It fails where another architecture surely does better than the advised one (named pairs as in
    `easiest`) at more than half of the tasks and depths, or where the LSTM surely wins more than a
    quarter; that others win by luck does not refute it.
    """
    wins = winners(cells)
    if wins.empty:
        return Finding(
            math.nan,
            math.nan,
            math.nan,
            UNTESTED,
            "no task and depth had a network that solved it and three architectures",
        )
    ours, table = wins.advised.mean(), wins.groupby(CELL).advised.mean()
    interval = student(table, 0, 1)
    tally = wins.winner.map(label_of).value_counts()
    reason = f"lowest median or minimum: {', '.join(f'{a} {n}' for a, n in tally.items())}"
    reason += f", of {len(wins)} at {count(len(table), 'task and depth', 'tasks and depths')}"
    if len(table) < MIN_CELLS or rows.n_layers.max() < DEEP:
        return Finding(
            ours, *interval, UNTESTED, f"{reason}; it takes {MIN_CELLS}, and a depth of {DEEP}"
        )
    against = _beaten(rows, table.index)
    lstm = wilson(int((wins.winner == "lstm").sum()), len(wins))[0]
    reason += f"; the advised one is surely beaten at {against}"
    if against > len(table) / 2 or lstm > RARELY:
        return Finding(ours, *interval, FAILS, reason)
    return Finding(ours, *interval, HOLDS if interval[0] > 0.5 else UNTESTED, reason)


def _beaten(rows, places) -> int:
    """At how many tasks and depths another architecture surely has the lower losses than the
    advised one.
    """
    beaten = 0
    for depth in sorted({depth for _, depth in places}):
        advised = "gru" if depth < DEEP else "+rnn"
        for task, sample in _samples(rows, depth):
            if (task, depth) in places and advised in sample:
                pairs = [
                    Pair(advised, a, *mann_whitney(sample[advised], sample[a]))
                    for a in sample
                    if a != advised
                ]
                beaten += told_apart(pairs)[0] == FAILS
    return beaten


def winners(cells: pd.DataFrame) -> pd.DataFrame:
    """Who has the lowest median and the lowest minimum at each task and depth that any network
    solved, and whether section 5 advised it.
    """
    table = []
    for (task, depth), cell in cells.groupby(CELL):
        if len(cell) < 3 or not cell.solved.any():
            continue
        for metric in ("median", "minimum"):
            if np.isfinite(cell[metric]).any():
                winner = cell.loc[cell[metric].idxmin()]
                advised = winner.architecture == ("gru" if depth < DEEP else "+rnn")
                table.append([task, depth, metric, winner.architecture, winner[metric], advised])
    return pd.DataFrame(table, columns=[*CELL, "metric", "winner", "loss", "advised"])


def _task(task_type: str) -> str:
    return {"parens_counting": "parentheses"}.get(task_type, task_type)
