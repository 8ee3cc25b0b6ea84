"""The table of all claims: each is there once, decided where the store has its trials, and section
5's advice rests on them.
"""

import pytest

from rnnkit import analysis, paper
from rnnkit.exhibits.finding import FAILS, HOLDS, UNTESTED
from rnnkit.reproduce import verdicts
from rnnkit.studies import run
from rnnkit.trials import StoreError, TrialStore


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "trials.sqlite"
    run("calibration", scale="smoke", store=path, workers=1, progress=False)
    return verdicts(path, "smoke")


def test_every_claim_of_the_paper_is_there_once_in_its_order(table):
    assert table.id.tolist() == list(paper.CLAIMS)
    assert table.claim.tolist() == [claim.text for claim in paper.CLAIMS.values()]


def test_a_claim_is_decided_by_the_figure_that_has_trials(table):
    row = table.set_index("id").loc["C17"]
    assert (
        row.figure == "calibration" and row.verdict == UNTESTED and row.ours >= 0
    )  # three trials are no search


def test_a_claim_without_trials_says_so(table):
    others = table[table.id != "C17"]
    assert set(others.verdict) == {"no trials here"} and others.figure.isna().all()


def test_a_store_that_is_not_there_is_reported(tmp_path):
    with pytest.raises(StoreError, match="no trial store"):
        verdicts(tmp_path / "none.sqlite")


def test_a_store_that_is_open_is_judged_and_stays_open():
    with TrialStore(":memory:") as store:
        run("calibration", scale="smoke", store=store, workers=1, progress=False)
        assert set(verdicts(store, "smoke").set_index("id").verdict[["C17"]]) == {UNTESTED}
        assert len(store) == 3


def test_advice_names_only_claims_of_the_paper():
    assert {id for _, ids in paper.ADVICE for id in ids} <= set(paper.CLAIMS)


def test_a_piece_of_advice_has_a_row_for_each_claim_under_it(table):
    known = table.assign(verdict=[HOLDS if id == "P04" else FAILS for id in table.id])
    found = analysis.advice(known)
    assert len(found) == sum(len(ids) for _, ids in paper.ADVICE)
    assert found[found.id == "P04"].verdict.tolist() == [HOLDS, HOLDS]  # shallow and deep
    assert (
        found.advice.iloc[-1] == "Weights may be compressed to about 5 bits"
        and found.verdict.iloc[-1] == FAILS
    )
