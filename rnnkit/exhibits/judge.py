"""The judge of claims. A claim is a row, a `Rule`: its statistic, its limit, what it needs, and
whether a search may refute it. One function, `judge`, decides them all.

A claim *holds* where its whole interval lies on the right side of the limit. It *fails* where the
interval lies on the other side, and the search that the number comes from has come to its end
(`convergence`): a longer search might still find what this one did not. A claim that a lower bound
decides may hold after any search.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from rnnkit.exhibits.budget import Budget
from rnnkit.exhibits.convergence import search_end
from rnnkit.exhibits.finding import (
    FAILS,
    HOLDS,
    LINEAR,
    MIN_TRIALS,
    NO_NUMBERS,
    SURE,
    UNTESTED,
    Finding,
    side,
)

SETTLED = "searches that have come to their end"
ALWAYS = "any trials"
NEVER = "none: the number is a lower bound"


@dataclass
class Measured:
    """What a statistic measures: a number with its 95 % interval, and the words of the evidence.

    Numbers: `more` holds any others that the limit looks at, and `has` counts what the rule may need.

    Words: the evidence begins with `summary` and goes on with `if_holds`, `if_fails` or `if_open`,
    according to the verdict. `lacks` is said instead if there is too little of what the rule needs,
    or if the number could not be computed at all. `doubt` says why these networks cannot decide
    the claim, and `partial` which part of it was not tried, so that it cannot hold.

    Refutation: `search` holds the trials whose searches must have come to their end (all trials, if
    None). `sure` says that a longer search could not undo the refutation.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    summary: str = ""
    has: Mapping[str, float] = field(default_factory=dict)
    lacks: str = ""
    doubt: str = ""
    partial: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    if_holds: str = ""
    if_fails: str = ""
    if_open: str = ""
    search: pd.DataFrame | None = None
    sure: bool = False


@dataclass(frozen=True)
class Limit:
    """When a claim holds and when it fails, given what was measured; otherwise it is open.

    Where `beyond` is true it fails, whatever the search and the networks are. `open_words` are added
    to the evidence where it is open.
    """

    holds: Callable[[Measured], bool]
    fails: Callable[[Measured], bool]
    beyond: Callable[[Measured], bool] = lambda m: False
    open_words: Callable[[Measured], str] = lambda m: ""


def interval(limit: float, below: bool, of: str = "", tell: bool = False) -> Limit:
    """The whole interval lies below the limit, or above it. `of` names one of the other numbers whose
    interval counts. With `tell`, the evidence of an open claim says that its interval contains the
    limit.
    """

    def limits(m: Measured) -> tuple[float, float]:
        return m.more[of] if of else (m.low, m.high)

    def says(m: Measured) -> str:
        low, high = limits(m)
        return f"; the interval contains {limit:g}" if tell and low <= limit <= high else ""

    return Limit(
        holds=lambda m: side(limit, *limits(m), below) == HOLDS,
        fails=lambda m: side(limit, *limits(m), below) == FAILS,
        open_words=says,
    )


def below(limit: float, of: str = "", tell: bool = True) -> Limit:
    return interval(limit, True, of, tell)


def above(limit: float, of: str = "", tell: bool = True) -> Limit:
    return interval(limit, False, of, tell)


def within(least: float, most: float) -> Limit:
    """The whole interval lies between the two, ends included; it fails where any of it does not."""
    return Limit(
        holds=lambda m: least <= m.low and m.high <= most,
        fails=lambda m: m.low < least or m.high > most,
    )


def as_tested(of: str) -> Limit:
    """The verdict of a test of named pairs (`finding.pairs_verdict`), which the statistic carries."""
    return Limit(holds=lambda m: m.more[of] == HOLDS, fails=lambda m: m.more[of] == FAILS)


def unlikely(of: str, more: float, less: float) -> Limit:
    """Chance alone rarely gives so much, or so little. The statistic carries pairs of p-values: the
    claim holds if the first of each pair is at most `more`, and fails if, in some pair, the first is
    above that and the second at most `less`.
    """
    return Limit(
        holds=lambda m: all(p <= more for p, _ in m.more[of]),
        fails=lambda m: any(p > more and q <= less for p, q in m.more[of]),
    )


def all_limits(first: Limit, second: Limit) -> Limit:
    """The claim holds if both limits do, and fails if either does."""
    return Limit(
        holds=lambda m: first.holds(m) and second.holds(m),
        fails=lambda m: first.fails(m) or second.fails(m),
    )


def is_near_one(m: Measured) -> bool:
    """Whether the interval of a slope says "roughly linear" (`finding.LINEAR`)."""
    within = 1 - LINEAR <= m.low and m.high <= 1 + LINEAR
    return within or m.low <= 1 <= m.high and m.high - m.low <= 2 * SURE


@dataclass(frozen=True)
class Rule:
    """How a claim is judged: a row of an exhibit's `claims`.

    `measure` computes the statistic from the figure's trials, its table and its budget. `limit`
    decides; it is None where the paper prints no number. `needs` are the smallest counts of what the
    statistic `has`, and `trials` is the smallest number of trials per network. `refutes` says after
    which searches the claim may fail.
    """

    measure: Callable[..., Measured]
    limit: Limit | None
    needs: Mapping[str, float] = field(default_factory=dict)
    refutes: str = SETTLED
    trials: int = MIN_TRIALS


def judge(
    rule: Rule, trials: pd.DataFrame, table: pd.DataFrame, spent: Budget, fewest: int
) -> Finding:
    """The verdict of a rule on a figure's trials, its table and its budget `spent`. `fewest` is the
    number of trials of the network that has the fewest.
    """
    m = rule.measure(trials, table, spent)
    return Finding(m.value, m.low, m.high, *_verdict(rule, m, trials, fewest))


def _verdict(rule: Rule, m: Measured, trials: pd.DataFrame, fewest: int) -> tuple[str, str]:
    """The verdict, and why it came out so."""
    if fewest < rule.trials:
        few = f"a network with {fewest} trials has not been searched for ({rule.trials} are the least)"
        return UNTESTED, few
    if rule.limit is None:
        return NO_NUMBERS, m.summary
    if rule.limit.beyond(m):
        return FAILS, m.summary + m.if_fails
    too_little = any(m.has.get(name, 0) < least for name, least in rule.needs.items())
    if too_little or (m.lacks and not m.has):
        return UNTESTED, m.lacks
    if m.doubt:
        return UNTESTED, "; ".join(filter(None, (m.summary, m.doubt)))
    if rule.limit.holds(m):
        if m.partial:
            return UNTESTED, m.summary + m.partial
        return HOLDS, m.summary + m.if_holds
    if rule.limit.fails(m):
        return _refute_if_ended(rule, m, trials)
    return UNTESTED, m.summary + rule.limit.open_words(m) + m.if_open


def _refute_if_ended(rule: Rule, m: Measured, trials: pd.DataFrame) -> tuple[str, str]:
    """The claim fails if the search that the number comes from may refute it; otherwise it is open."""
    reason = m.summary + m.if_fails
    if rule.refutes == NEVER:
        return UNTESTED, f"{reason}; lower bounds, which cannot refute"
    if rule.refutes == ALWAYS or m.sure:
        return FAILS, reason
    end = search_end(trials if m.search is None else m.search)
    return FAILS if end.is_reached else UNTESTED, f"{reason}; {end.reason}"
