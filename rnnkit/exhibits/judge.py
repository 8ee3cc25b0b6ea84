"""The judge of claims. A claim is a row, a `Rule`: its statistic, its limit, what it needs, and
whether a search may refute it. One function, `judge`, decides them all.

Most claims are about one number. Such a claim *holds* where the number's whole interval lies on the
right side of the limit, and speaks against the paper where it lies on the other side. Where a claim
says more than one number can tell, its row has no limit, and the statistic carries the verdict.

A verdict against the paper counts as *fails* only if the search that the number comes from has come
to its end (`convergence`): a longer search might still find what this one did not. A claim that a
lower bound decides may hold after any search.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from rnnkit.exhibits.convergence import search_end
from rnnkit.exhibits.finding import FAILS, HOLDS, MIN_TRIALS, NO_NUMBERS, UNTESTED, Finding

SETTLED = "searches that have come to their end"
ALWAYS = "any trials"
NEVER = "none: the number is a lower bound"


@dataclass
class Measured:
    """What a statistic measures: a number with its 95 % interval, and the words of the evidence.

    Verdict: `verdict` is that of a claim that has no limit, before anything is asked about the search.
    `doubt` says why these networks cannot decide the claim, and `partial` which part of it was not
    tried, so that it cannot hold. `has` counts what the rule may need.

    Words: the evidence begins with `summary` and goes on with `if_holds`, `if_fails` or `if_open`,
    according to the verdict. `lacks` is said instead if there is too little of what the rule needs,
    or if the number could not be computed at all.

    Refutation: `search` holds the trials whose searches must have come to their end (all trials, if
    None). `sure` says that a longer search could not undo the refutation, and `beyond` that nothing
    could: the claim fails, whatever the search and the networks are.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    summary: str = ""
    verdict: str = UNTESTED
    has: Mapping[str, float] = field(default_factory=dict)
    lacks: str = ""
    doubt: str = ""
    partial: str = ""
    if_holds: str = ""
    if_fails: str = ""
    if_open: str = ""
    search: pd.DataFrame | None = None
    sure: bool = False
    beyond: bool = False


@dataclass(frozen=True)
class Limit:
    """A number below which, or above which, a whole interval must lie."""

    number: float
    is_upper: bool

    def is_inside(self, low: float, high: float) -> bool:
        return low <= self.number <= high

    def verdict(self, low: float, high: float) -> str:
        """The verdict on an interval; untested where it contains the limit, and where there is none."""
        if math.isnan(low) or self.is_inside(low, high):
            return UNTESTED
        return HOLDS if (high < self.number) == self.is_upper else FAILS


def below(number: float) -> Limit:
    return Limit(number, is_upper=True)


def above(number: float) -> Limit:
    return Limit(number, is_upper=False)


def decide(holds: bool, fails: bool) -> str:
    """The verdict of a claim without a limit: untested where it neither holds nor fails."""
    return HOLDS if holds else FAILS if fails else UNTESTED


@dataclass(frozen=True)
class Rule:
    """How a claim is judged: a row of an exhibit's `claims`.

    `measure` computes the statistic from the figure's trials and its table. `limit` decides; it is
    None where the statistic does. `needs` are the smallest counts of what the statistic `has`, and
    `trials` is the smallest number of trials per network. `refutes` says after which searches the
    claim may fail.
    """

    measure: Callable[[pd.DataFrame, pd.DataFrame], Measured]
    limit: Limit | None = None
    needs: Mapping[str, float] = field(default_factory=dict)
    refutes: str = SETTLED
    trials: int = MIN_TRIALS


def judge(rule: Rule, trials: pd.DataFrame, table: pd.DataFrame, fewest: int) -> Finding:
    """The verdict of a rule on a figure's trials and its table. `fewest` is the number of trials of
    the network that has the fewest.
    """
    measurement = rule.measure(trials, table)
    return Finding(
        measurement.value,
        measurement.low,
        measurement.high,
        *_verdict(rule, measurement, trials, fewest),
    )


def _verdict(
    rule: Rule, measurement: Measured, trials: pd.DataFrame, fewest: int
) -> tuple[str, str]:
    """The verdict, and why it came out so."""
    if fewest < rule.trials:
        few = f"a network with {fewest} trials has not been searched for ({rule.trials} are the least)"
        return UNTESTED, few
    if measurement.verdict == NO_NUMBERS:
        return NO_NUMBERS, measurement.summary
    if measurement.beyond:
        return FAILS, measurement.summary + measurement.if_fails
    too_little = any(measurement.has.get(name, 0) < least for name, least in rule.needs.items())
    if too_little or (measurement.lacks and not measurement.has):
        return UNTESTED, measurement.lacks
    if measurement.doubt:
        return UNTESTED, "; ".join(filter(None, (measurement.summary, measurement.doubt)))
    verdict = (
        rule.limit.verdict(measurement.low, measurement.high) if rule.limit else measurement.verdict
    )
    if verdict == HOLDS:
        if measurement.partial:
            return UNTESTED, measurement.summary + measurement.partial
        return HOLDS, measurement.summary + measurement.if_holds
    if verdict == FAILS:
        return _refute_if_ended(rule, measurement, trials)
    contains = ""
    if rule.limit and rule.limit.is_inside(measurement.low, measurement.high):
        contains = f"; the interval contains {rule.limit.number:g}"
    return UNTESTED, measurement.summary + contains + measurement.if_open


def _refute_if_ended(rule: Rule, measurement: Measured, trials: pd.DataFrame) -> tuple[str, str]:
    """The claim fails if the search that the number comes from may refute it; otherwise it is open."""
    reason = measurement.summary + measurement.if_fails
    if rule.refutes == NEVER:
        return UNTESTED, f"{reason}; lower bounds, which cannot refute"
    if rule.refutes == ALWAYS or measurement.sure:
        return FAILS, reason
    end = search_end(trials if measurement.search is None else measurement.search)
    return FAILS if end.is_reached else UNTESTED, f"{reason}; {end.reason}"
