"""One function judges all claims: by a limit, by what a rule needs, and by the search behind it."""

import math
from types import SimpleNamespace

import pandas as pd
import pytest

from rnnkit.exhibits import judge as judging
from rnnkit.exhibits.base import exhibits
from rnnkit.exhibits.finding import FAILS, HOLDS, NO_NUMBERS, UNTESTED
from rnnkit.exhibits.judge import (
    ALWAYS,
    NEVER,
    SETTLED,
    Measured,
    Rule,
    above,
    below,
    decide,
    judge,
)

RULES = {id: rule for about in exhibits().values() for id, rule in about.claims.items()}


def judged(limit, fewest=100, settings=(), **measured):
    """The finding on a number of 1.5 between 1 and 2, or on what is given."""
    numbers = {"value": 1.5, "low": 1.0, "high": 2.0, "summary": "why"} | measured
    rule = Rule(lambda trials, table: Measured(**numbers), limit, **dict(settings))
    return judge(rule, pd.DataFrame(), pd.DataFrame(), fewest)


@pytest.fixture
def search(monkeypatch):
    """Says whether a search has come to its end; remembers which was asked about."""
    asked = SimpleNamespace(is_reached=False, rows=None)

    def settled(rows):
        asked.rows = rows
        return SimpleNamespace(is_reached=asked.is_reached, reason="how the search ends")

    monkeypatch.setattr(judging, "search_end", settled)
    return asked


@pytest.mark.parametrize(
    "limit, verdict",
    [
        (below(3), HOLDS),
        (above(3), FAILS),
        (below(1.7), UNTESTED),
        (above(1.7), UNTESTED),
    ],
)
def test_a_claim_holds_or_fails_where_its_whole_interval_lies_on_one_side(limit, verdict):
    assert judged(limit, settings={"refutes": ALWAYS}).verdict == verdict


def test_an_interval_that_contains_the_limit_says_so():
    assert judged(below(1.7)).reason == "why; the interval contains 1.7"


def test_a_number_without_an_interval_decides_nothing():
    assert judged(below(3), low=math.nan, high=math.nan).verdict == UNTESTED


@pytest.mark.parametrize("there, verdict", [(2, UNTESTED), (3, HOLDS)])
def test_a_rule_has_its_needs(there, verdict):
    needs = {"needs": {"sizes": 3}}
    found = judged(below(3), settings=needs, has={"sizes": there}, lacks="two sizes")
    assert found.verdict == verdict
    assert found.reason == ("two sizes" if verdict == UNTESTED else "why")


def test_a_statistic_that_cannot_be_taken_says_what_it_lacks():
    assert judged(below(3), lacks="nothing here")[3:] == (UNTESTED, "nothing here")


@pytest.mark.parametrize("limit", [below(3), above(3)])
def test_doubtful_networks_decide_nothing(limit):
    assert judged(limit, doubt="they are idle")[3:] == (UNTESTED, "why; they are idle")


def test_a_part_of_a_claim_may_fail_and_cannot_hold(search):
    search.is_reached = True
    assert judged(below(3), partial=", but not all")[3:] == (UNTESTED, "why, but not all")
    assert judged(above(3), partial=", but not all").verdict == FAILS


@pytest.mark.parametrize("settled, verdict", [(False, UNTESTED), (True, FAILS)])
def test_only_a_search_that_has_ended_refutes(search, settled, verdict):
    search.is_reached = settled
    mine = pd.DataFrame({"trial": [1]})
    assert judged(above(3), search=mine)[3:] == (verdict, "why; how the search ends")
    assert search.rows is mine


def test_what_no_longer_search_would_undo_is_refuted_after_any(search):
    assert judged(above(3), sure=True)[3:] == (FAILS, "why")
    assert judged(below(3), beyond=True, doubt="they are idle").verdict == FAILS
    assert search.rows is None


def test_a_lower_bound_refutes_nothing():
    found = judged(above(3), settings={"refutes": NEVER})
    assert found.verdict == UNTESTED and found.reason.endswith("which cannot refute")


def test_few_trials_decide_only_what_owes_nothing_to_a_search():
    assert judged(below(3), fewest=15).verdict == UNTESTED
    assert judged(below(3), fewest=15, settings={"trials": 0}).verdict == HOLDS


@pytest.mark.parametrize("verdict", [HOLDS, FAILS, UNTESTED, NO_NUMBERS])
def test_without_a_limit_the_statistic_decides(verdict):
    assert judged(None, settings={"refutes": ALWAYS}, verdict=verdict).verdict == verdict


@pytest.mark.parametrize(
    "holds, fails, verdict",
    [(True, False, HOLDS), (False, True, FAILS), (False, False, UNTESTED)],
)
def test_a_statistic_decides_by_what_holds_and_what_fails(holds, fails, verdict):
    assert decide(holds, fails) == verdict


@pytest.mark.parametrize("id", RULES)
def test_every_claim_is_a_row(id):
    rule = RULES[id]
    assert isinstance(rule, Rule) and callable(rule.measure)
    assert rule.refutes in (SETTLED, ALWAYS, NEVER) and all(rule.needs.values())
