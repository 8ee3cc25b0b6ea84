"""The rules that judge, on tables without an effect: of networks that learned nothing, and of
networks that are all alike.
"""

import re

import numpy as np
import pandas as pd
import pytest
import synthetic
import synthetic_hard
from scipy import stats

from rnnkit import analysis, paper
from rnnkit.exhibits.base import tables_of
from rnnkit.exhibits.chances import ALIKE, IDLE, NEVER, idle, rates_without_effect
from rnnkit.exhibits.convergence import halvings, search_end, with_half_the_steps
from rnnkit.exhibits.finding import FAILS, HOLDS, NO_NUMBERS, UNTESTED, Pair, pairs_verdict
from rnnkit.exhibits.statistics import (
    fisher,
    holm,
    mann_whitney,
    p_of_differing_columns,
    paired_test,
    shuffle_labels,
    spread_of_means,
    student,
)
from rnnkit.exhibits.verdicts import findings

TIMES = 60
SHUFFLES = 60


@pytest.fixture(scope="module")
def rates():
    return rates_without_effect(TIMES)


def test_no_rule_says_holds_of_more_than_a_tenth_of_tables_without_an_effect(rates):
    assert rates[rates.holds > 0.1].empty, rates[rates.holds > 0.1]


def test_no_rule_says_fails_of_more_than_a_tenth_of_tables_without_an_effect(rates):
    assert rates[rates.fails > 0.1].empty, rates[rates.fails > 0.1]


def test_every_rule_with_a_verdict_is_tried(rates):
    assert (
        set(rates.id)
        == {*IDLE, *ALIKE}
        == set(paper.CLAIMS) - set(NEVER)
        == set(paper.CLAIMS) - {"C05", "G03"}
    )
    assert set(rates.id[rates.networks == "alike"]) == set(ALIKE) and set(rates.tables) == {TIMES}


def test_the_rates_are_the_same_for_the_same_seed(rates):
    few = rates_without_effect(2)
    pd.testing.assert_frame_equal(few, rates_without_effect(2))
    assert not few.empty and rates_without_effect(2, seed=1).shape == few.shape
    assert few.id.tolist() == rates.id.tolist()


@pytest.mark.parametrize(
    "numbers, wrong", [(("x",), "times"), ((0,), "times"), ((2, -1), "seed"), ((2, 1.5), "seed")]
)
def test_the_numbers_of_a_simulation_are_checked(numbers, wrong):
    with pytest.raises(ValueError, match=f"{wrong} must be a whole number"):
        rates_without_effect(*numbers)


def test_networks_that_learned_nothing_decide_nothing_with_many_trials_either():
    """It is not for want of trials that an idle table is open: the same with an effect is decided."""
    frames = idle(np.random.default_rng(0))
    trained = synthetic.frame(
        (300, 1_000, 3_000), (1, 2), trials=32, steps=(50_000, 200_000), noise=0.002
    )
    assert len(trained) == len(frames["fig1"])
    verdicts = [
        pd.Series({id: f.verdict for id, f in findings(tables_of("fig1", x)).items()})
        for x in (frames["fig1"], trained)
    ]
    decided = [v.isin([HOLDS, FAILS]).drop("G03") for v in verdicts]
    assert not decided[0].any() and decided[1].sum() >= 6


# the labels of one table are shuffled among its trials, within each task and depth
SHUFFLED = {
    "fig4": (
        lambda: synthetic_hard.frame(("parens_counting", "arithmetic"), (1, 4, 8), 40),
        ("P01", "P04", "G04"),
    ),
    "fig5": (
        lambda: synthetic_hard.frame(depths=(1, 8), trials=100, tuner="random"),
        ("H04", "H07"),
    ),
    "table1": (
        lambda: synthetic_hard.frame(depths=(1, 8), trials=100, tuner="random"),
        ("H01", "H02"),
    ),
}


@pytest.mark.parametrize("name", SHUFFLED)
def test_labels_of_a_real_effect_dealt_out_anew_decide_a_rule_in_at_most_a_tenth(name):
    make, ids = SHUFFLED[name]
    frame = make()
    said = []
    rng = np.random.default_rng(7)
    for _ in range(SHUFFLES):
        mixed = frame.copy()
        for places in frame.groupby(["task_type", "n_layers"]).indices.values():
            order = rng.permutation(places)
            for column in ("valid_loss", "eval_loss", "infeasible", "accuracy"):
                mixed.iloc[places, mixed.columns.get_loc(column)] = frame[column].to_numpy()[order]
        said.append(
            {id: finding.verdict for id, finding in findings(tables_of(name, mixed), ids).items()}
        )
    table = pd.DataFrame(said)
    limit = stats.binom.ppf(0.99, SHUFFLES, 0.05)  # 5 % are meant
    assert ((table == FAILS).sum() <= limit).all() and ((table == HOLDS).sum() <= limit).all()


# --- whether a search has come to its end ---


def trials(bits, steps, study="a", architecture="rnn"):
    """A network of the capacity task with these bits and steps, in the order of the trials."""
    frame = synthetic.frame(
        (300,), (1,), trials=len(bits), architectures=(architecture,), infeasible=0
    )
    return frame.assign(
        valid_loss=-np.asarray(bits, float),
        eval_loss=-np.asarray(bits, float),
        steps=steps,
        form="",
        study=study,
    )


def test_half_of_the_trials_is_the_first_half_of_each_study():
    frame = pd.concat(
        [trials([50, 90, 100, 80], [100, 400, 400, 400]), trials([70, 60], [100, 400], study="b")]
    )
    row = halvings(frame).iloc[0]
    assert row.best == -100 and row.trials == pytest.approx(
        0.1
    )  # the best of 50, 90 and 70, by hand


def test_half_of_the_steps_is_read_between_trials_on_a_logarithmic_scale():
    # 100 steps give 40, 400 give 60: 200 of at most 400, halfway between them in the logarithm,
    # would give 50
    assert with_half_the_steps([100, 400], [-40.0, -60.0]) == pytest.approx(-50)
    assert (
        with_half_the_steps([100, 200, 400], [-40.0, -45.0, -60.0]) == -45
    )  # a trial stands there
    assert with_half_the_steps([100, 400], [-60.0, -40.0]) == -60  # the best took few steps


def test_where_no_trial_has_half_of_the_steps_the_end_is_not_known():
    assert np.isnan(with_half_the_steps([300, 400], [-40.0, -60.0]))
    end = search_end(trials([100, 100, 100, 100], [300, 400, 400, 400]))
    assert not end.is_reached and "an unknown share" in end.reason


@pytest.mark.parametrize(
    "bits, steps, done",
    [
        ([96, 97, 98, 100], [200, 100, 400, 400], True),
        ([90, 90, 95, 100], [100, 200, 400, 400], False),
        ([100, 90, 96, 97], [400, 100, 200, 400], True),
        ([100, 80, 90, 97], [400, 100, 200, 400], False),
    ],
)
def test_a_search_is_at_its_end_where_halving_trials_and_steps_changes_less_than_a_twentieth(
    bits, steps, done
):
    end = search_end(trials(bits, steps))
    assert (
        end.is_reached == done
        and f"the search {'has come to its end' if done else 'is open'}" in end.reason
    )


def test_of_several_networks_the_mean_change_counts():
    one = trials([100, 100, 100, 100], [100, 200, 400, 400])
    other = trials([92, 92, 100, 100], [100, 400, 200, 400], "b", "gru")
    end = search_end(pd.concat([one, other]))
    assert end.trials == pytest.approx(0.04) and end.is_reached


def test_a_search_that_never_left_chance_has_no_end():
    frame = synthetic.losses("rcf", lambda *_: 0.97, trials=20, noise=0)
    assert not search_end(frame).is_reached and "no network left chance" in search_end(frame).reason
    assert search_end(
        synthetic.losses("rcf", lambda *_: 0.5, trials=20, noise=0, steps=(1_000, 8_000))
    ).is_reached


def test_a_network_that_always_diverged_is_left_out():
    frame = trials([96, 97, 98, 100], [200, 100, 400, 400])
    dead = trials([1, 1], [100, 400], "dead", "gru").assign(infeasible=True)
    assert search_end(pd.concat([frame, dead])) == search_end(frame)


# --- tests of pairs, and intervals ---


def test_holm_is_the_textbooks():
    # by hand: .01 x 4, .02 x 3, .03 x 2, .9 x 1, never falling
    assert holm([0.03, 0.01, 0.9, 0.02]).tolist() == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([]).tolist() == []


@pytest.mark.parametrize(
    "p, signs, verdict",
    [
        ((0.001, 0.001, 0.001), (-1, -1, -1), HOLDS),
        ((0.001, 0.001, 0.2), (-1, -1, -1), UNTESTED),
        ((0.001, 0.001, 0.01), (-1, -1, 1), FAILS),
        ((0.03, 0.04, 0.2), (-1, 1, -1), UNTESTED),
    ],
)
def test_named_pairs_hold_together_and_fail_by_one(p, signs, verdict):
    pairs = [Pair("gru", other, *each) for other, *each in zip(("rnn", "lstm", "ugrnn"), p, signs)]
    assert pairs_verdict(pairs)[0] == verdict
    assert (
        pairs_verdict([pair._replace(direction=-pair.direction) for pair in pairs], lower=False)[0]
        == verdict
    )


def test_tests_of_pairs_are_scipys():
    rng = np.random.default_rng(0)
    a = rng.normal(0, 1, 30)
    b = rng.normal(0.7, 1, 30)
    assert mann_whitney(a, b) == pytest.approx(
        (stats.mannwhitneyu(a, b, method="asymptotic").pvalue, -1)
    )
    assert paired_test(a, b) == pytest.approx(
        (stats.ttest_rel(a, b).pvalue, np.sign(a.mean() - b.mean()))
    )
    assert fisher(3, 40, 15, 50) == pytest.approx(
        (stats.fisher_exact([[3, 37], [15, 35]]).pvalue, -1)
    )
    assert (
        mann_whitney([1.0, 1.0], [1.0]) == (1.0, 0)
        and paired_test([1.0], [2.0]) == (1.0, 0)
        and fisher(0, 0, 1, 2) == (1.0, 0)
    )


def test_students_interval_is_scipys_and_wide_for_three():
    values = [1.0, 2.0, 4.0]
    theirs = stats.ttest_1samp(values, 0).confidence_interval()
    assert student(values) == pytest.approx((theirs.low, theirs.high)) and student(values)[
        0
    ] < 0 < min(values)
    assert student(values, 0, 4) == (0, 4) and all(map(np.isnan, student([1.0])))


def test_the_interval_of_a_spread_covers_the_truth_whatever_is_highest():
    rng = np.random.default_rng(0)
    truth = np.array([0.0, 0.0, 0.0, 0.0, 0.3])
    found = [
        spread_of_means(truth + rng.normal(0, 1, (4, 1)) + rng.normal(0, 0.2, (4, 5)))
        for _ in range(400)
    ]
    assert np.mean([low <= 0.3 <= high for _, low, high in found]) >= 0.93


def test_relabelling_keeps_the_rows_and_where_they_lack_an_entry():
    table = np.array([[1.0, 2.0, np.nan], [3.0, 4.0, 5.0]])
    drawn = shuffle_labels(table, lambda draw: draw.reshape(len(draw), -1), 50)
    assert np.isnan(drawn[:, 2]).all() and set(map(tuple, np.sort(drawn[:, 3:]))) == {
        (3.0, 4.0, 5.0)
    }
    assert {tuple(row) for row in drawn[:, :2]} == {(1.0, 2.0), (2.0, 1.0)}


def test_columns_that_differ_are_told_apart_and_others_one_time_in_twenty():
    rng = np.random.default_rng(1)
    assert p_of_differing_columns(np.arange(5.0) + rng.normal(0, 0.1, (3, 5))) < 0.01
    p = [p_of_differing_columns(rng.normal(0, 1, (3, 5))) for _ in range(200)]
    assert np.mean(np.array(p) <= 0.05) <= 0.09  # 5 % and three standard errors


# --- how a table of claims shows itself ---


def test_a_table_of_claims_shows_whole_sentences_and_rounded_numbers_with_their_intervals():
    frame = synthetic.frame((300, 1_000), (1, 2), trials=20)
    table = analysis.compare("fig1", frame)
    shown = table._repr_html_()
    for row in table.itertuples():
        assert (
            row.evidence.replace("&", "&amp;")
            .replace("<", "&lt;")
            .replace(">", "&gt;")
            .replace("'", "&#x27;")
            in shown
        )
    assert (
        re.search(r">\d\.\d\d \[\d\.\d\d, \d\.\d\d\]<", shown)
        and "NaN" not in shown
        and "nan" not in shown
    )
    assert not re.search(r">[^<>]*\d\.\d{4,}[^<>]*\[", shown)


@pytest.mark.parametrize(
    "value, low, high, text",
    [
        (1.8123, 1.6611, 1.9512, "1.81 [1.66, 1.95]"),
        (float("nan"), 1.0, 2.0, "-"),
        (4.0, float("nan"), float("nan"), "4.00"),
        (None, None, None, "-"),
        (12_345.6, 0.0, 0.01234, "12,346 [0, 0.0123]"),
        (0.00002, -3.0, 250.4, "2e-05 [-3.00, 250]"),
    ],
)
def test_numbers_have_three_digits(value, low, high, text):
    assert analysis.with_interval(value, low, high) == text


def test_verdicts_are_coloured_and_a_table_without_them_is_not():
    table = analysis.Verdicts(
        {"id": ["C01", "C02"], "verdict": [HOLDS, FAILS], "ours": [1.0, None]}
    )
    colours = re.findall(r"color: (#\w+); font-weight: 600\">(\w+)", table._repr_html_())
    assert [word for _, word in colours] == [HOLDS, FAILS] and len(
        {colour for colour, _ in colours}
    ) == 2
    names = table[["id"]]._repr_html_()
    assert "C02" in names and "font-weight: 600" not in names
    assert isinstance(table[table.verdict == HOLDS], analysis.Verdicts)


def test_the_tally_counts_the_papers_claims_that_can_be_decided_and_ours_apart():
    verdicts = [
        HOLDS if id in ("C01", "C02b") else NO_NUMBERS if id == "C05" else UNTESTED
        for id in paper.CLAIMS
    ]
    text = analysis.tally(pd.DataFrame({"id": list(paper.CLAIMS), "verdict": verdicts}))
    assert "of the 36 that can be decided 1 holds, 0 fail, 35 are not tested at this scale" in text
    assert (
        "not counted C05" in text
        and "of ours beside them (C02b and H07b) 1 holds, 0 fail, 1 is not tested at this scale"
        in text
    )


@pytest.mark.parametrize("level, done", [(1e-3, True), (1e-1, False)])
def test_what_is_learned_perfectly_need_not_get_better(level, done):
    """A loss a tenth as high changes nothing once it is below a hundredth of chance, which is 1."""
    frame = trials([1, 1, 1, 1], [100, 200, 300, 400]).assign(task_type="mem_thru", form="small")
    losses = [level, level, level / 10, level / 10]
    assert search_end(frame.assign(valid_loss=losses, eval_loss=losses)).is_reached == done


def test_printed_too_a_table_of_claims_cuts_no_sentence():
    table = analysis.compare("fig1", synthetic.frame((300, 1_000), (1, 2), trials=20))
    printed = repr(table)
    assert "..." not in printed and max(map(len, printed.splitlines())) <= 100
    for row in table.itertuples():
        assert row.evidence in " ".join(printed.split()) and f"{row.id}: {row.claim}" in printed
        ours = analysis.with_interval(row.ours, row.low, row.high)
        assert f"ours {ours}: {row.verdict}" in " ".join(printed.split())
    assert repr(table[["id"]]) == repr(pd.DataFrame(table[["id"]]))
