"""Memory throughput, text and random functions: bests, bounds, costs and verdicts, against trials
whose answers are known.
"""

import math

import numpy as np
import pandas as pd
import pytest
import synthetic
from scipy import stats

from rnnkit import analysis, paper
from rnnkit.exhibits.best_trials import best_losses
from rnnkit.exhibits.finding import EXACT, FAILS, HOLDS, ON_CURVE, SMALL_FACTOR, UNTESTED
from rnnkit.exhibits.section_2_2 import cost_is_linear, memory_errors, step_costs
from rnnkit.exhibits.section_3 import fall, r_squared

LONG = {"steps": (10_000, 60_000), "trials": 200, "depths": (1, 2, 4)}  # a search like the paper's


@pytest.fixture(scope="module")
def memory():
    return synthetic.memory(excess=0.003, **LONG | {"trials": 24})


@pytest.fixture(scope="module")
def similar():
    return synthetic.similar(trials=24)


def verdict(name, frame, id):
    return analysis.compare(name, frame).set_index("id").loc[id]


# --- rows ---


def test_figure_2c_takes_memory_throughput_out_of_any_mix(memory, similar):
    mixed = pd.concat([synthetic.frame(trials=2), similar, memory], ignore_index=True)
    assert len(analysis.rows_of("fig2c", mixed)) == len(memory)
    assert set(analysis.rows_of("fig3", mixed).task_type) == {"text8", "rcf"}


def test_random_trials_and_reruns_are_no_search(memory):
    mixed = pd.concat(
        [memory, memory.assign(tuner="random"), memory.assign(tuner="rerun")], ignore_index=True
    )
    assert set(analysis.rows_of("fig2c", mixed).tuner) == {"gp"}


@pytest.mark.parametrize(
    "forms, kept",
    [
        (("small sample", "paper"), "paper"),
        (("tiny", "small"), "small"),
        (("small sample", "small"), "small"),
        (("tiny sample", "small sample"), "small sample"),
    ],
)
def test_of_several_forms_the_largest_is_drawn_and_text8_before_its_stand_in(forms, kept):
    mixed = pd.concat([synthetic.similar(text=form, trials=2) for form in forms], ignore_index=True)
    rows = analysis.rows_of("fig3", mixed)
    assert set(rows[rows.task_type == "text8"].form) == {kept}


def test_a_frame_of_before_the_new_columns_is_still_drawn():
    old = synthetic.frame(trials=2)
    assert not {"form", "n_units"} & set(old.columns) and set(
        analysis.rows_of("fig1", old).form
    ) == {""}


def test_the_budget_knows_tasks_and_units(memory):
    spent = analysis.budget(memory)
    assert spent.tasks == (("mem_thru", "small"),) and spent.units == (16, 32, 48, 56, 64, 72, 96)


# --- bests ---


def test_the_best_has_the_least_validation_loss_and_shows_its_evaluation_loss():
    frame = synthetic.losses(
        "rcf",
        lambda *_: 0.5,
        sizes=(2_000,),
        depths=(1,),
        architectures=("gru",),
        trials=4,
        infeasible=0,
    )
    frame["valid_loss"] = [0.5, 0.3, 0.4, 0.6]
    frame["eval_loss"] = [0.1, 0.35, 0.2, 0.2]
    assert best_losses(frame).loss.tolist() == [0.35]


def test_half_the_search_bounds_the_best_from_above():
    # of 8 trials a random half misses the k best with probability C(8 - k, 4) / C(8, 4): 1/14 for
    # three, 1/70 for four
    frame = synthetic.losses(
        "rcf",
        lambda *_: 0.5,
        sizes=(2_000,),
        depths=(1,),
        architectures=("gru",),
        trials=8,
        infeasible=0,
    )
    frame["valid_loss"] = frame["eval_loss"] = np.arange(1.0, 9.0)
    assert best_losses(frame).loss_high.tolist() == [4.0]


def test_a_diverged_trial_is_never_the_best():
    frame = synthetic.losses(
        "rcf",
        lambda *_: 0.5,
        sizes=(2_000,),
        depths=(1,),
        architectures=("gru",),
        trials=3,
        infeasible=0,
    )
    frame["valid_loss"] = frame["eval_loss"] = [0.1, 0.2, 0.3]
    frame["infeasible"] = [True, False, False]
    point = best_losses(frame).iloc[0]
    assert point.loss == 0.2 and point.infeasible == 1


def test_a_network_that_always_diverged_has_no_loss(memory):
    points = best_losses(memory.assign(infeasible=True))
    assert points.loss.isna().all() and len(points) == memory.study.nunique()


def test_text_comes_before_random_functions_and_architectures_stand_in_the_papers_order(similar):
    points = best_losses(similar)
    assert points.task_type.drop_duplicates().tolist() == ["text8", "rcf"]
    two = points[
        (points.task_type == "rcf") & (points.n_layers == 2) & (points.max_params == 2_000)
    ]
    assert [a for a in paper.ARCHITECTURES if a in set(two.architecture)] == sorted(
        two.architecture, key=paper.ARCHITECTURES.index
    )


# --- lines ---


def test_r_squared_is_scipys():
    x, y = np.random.default_rng(0).normal(size=(2, 30))
    assert r_squared(x, x + y) == pytest.approx(stats.linregress(x, x + y).rvalue ** 2)


def test_the_fall_is_the_slope_on_log_parameters_whatever_the_levels(similar):
    points = best_losses(similar)
    slope, low, high = fall(points[points.task_type == "text8"])
    assert (
        slope == pytest.approx(-0.2, abs=0.02) and low < slope < high
    )  # as synthetic.similar made it


# --- costs ---


def test_the_parameters_of_the_synthetic_networks_are_those_of_networks():
    from rnnkit.networks import num_params

    for architecture in paper.ARCHITECTURES:
        assert synthetic.parameters(architecture, 3, 17, 27, 27) == num_params(
            architecture, 3, 17, 27, 27
        )


def test_a_cell_of_ones_own_is_timed_but_not_counted(memory):
    costs = step_costs(memory.assign(architecture="mine"))
    assert costs.multiplications.isna().all() and costs.seconds.notna().all()


def test_a_step_costs_its_seconds_over_its_steps(memory):
    costs = step_costs(memory)
    np.testing.assert_allclose(
        costs.seconds, 1e-6 + 1e-9 * costs.num_params, rtol=1e-9
    )  # as synthetic.losses made it


# --- claims of section 2.2 ---


def test_networks_near_the_bound_support_figure_2c(memory):
    assert set(analysis.compare("fig2c", memory).verdict) == {HOLDS}


def test_m01_names_the_errors_around_the_number_of_inputs(memory):
    assert "at 56, 64 and 72 units" in verdict("fig2c", memory, "M01").evidence


def test_m01_is_the_mean_error_with_enough_units(memory):
    points = memory_errors(memory)
    assert verdict("fig2c", memory, "M01").ours == pytest.approx(
        points.loss[points.n_units >= 64].mean()
    )


def test_m01_fails_after_a_long_search_that_misses():
    frame = synthetic.memory(
        excess=3 * EXACT, units=(32, 48, 56, 64, 96), architectures=("rnn", "gru"), **LONG
    )
    assert verdict("fig2c", frame, "M01").verdict == FAILS


def test_m01_is_not_refuted_by_a_short_search():
    row = verdict("fig2c", synthetic.memory(excess=3 * EXACT, trials=8), "M01")
    assert row.verdict == UNTESTED and "the search is open" in row.evidence


def test_m03_is_not_borne_out_by_networks_that_learned_nothing():
    """They are all on one curve, the flat one of chance."""
    frame = synthetic.losses(
        "mem_thru", lambda a, d, p, n: 1.0, units=(32, 48, 56, 64, 96), noise=0.001, **LONG
    )
    row = verdict("fig2c", frame, "M03")
    assert row.verdict == UNTESTED and row.ours < ON_CURVE and "too little to tell" in row.evidence


def test_a_network_below_the_bound_is_an_error_of_the_evaluation():
    row = verdict("fig2c", synthetic.memory(excess=-0.05, noise=0, trials=4), "M01")
    assert row.verdict == FAILS and "evaluation is wrong" in row.evidence


def test_m02_is_the_mean_excess_with_too_few_units(memory):
    row = verdict("fig2c", memory, "M02")
    assert row.ours == pytest.approx(0.003, abs=2e-4) and row.low < row.ours < row.high


@pytest.mark.parametrize("trials, expected", [(200, FAILS), (8, UNTESTED)])
def test_m02_is_refuted_by_a_long_search_only(trials, expected):
    frame = synthetic.memory(
        excess=3 * ON_CURVE,
        units=(16, 32, 48),
        architectures=("rnn", "gru", "lstm"),
        **LONG | {"trials": trials},
    )
    assert verdict("fig2c", frame, "M02").verdict == expected


def test_m03_is_the_mean_range_at_equal_units():
    above = {"rnn": 0.0, "gru": 0.1, "lstm": 0.3}
    frame = synthetic.losses(
        "mem_thru",
        lambda a, d, p, n: 1 - n / 64 + above[a],
        units=(16, 32, 48),
        architectures=tuple(above),
        noise=0,
        **LONG | {"trials": 200},
    )
    row = verdict("fig2c", frame, "M03")
    assert row.ours == pytest.approx(0.3) and row.verdict == FAILS


def test_m03_names_what_was_not_trained():
    row = verdict("fig2c", synthetic.memory(depths=(1, 2)), "M03")
    assert row.verdict == UNTESTED and "depth 4 not trained" in row.evidence


def test_bounds_that_are_reached_need_no_long_search():
    assert set(
        analysis.compare(
            "fig2c", synthetic.memory(excess=0.002, trials=4, depths=(1, 2, 4))
        ).verdict
    ) == {HOLDS}


def test_g01_finds_the_slope_of_the_measured_time(memory):
    free = memory.assign(seconds=memory.steps * 1e-9 * memory.num_params)
    row = verdict("g01", free, "G01")
    assert row.ours == pytest.approx(1) and row.verdict == HOLDS


def test_g01_is_not_tested_where_fixed_costs_weigh(memory):
    row = verdict("g01", memory.assign(seconds=memory.steps * 1e-6 * memory.num_params**0.5), "G01")
    assert row.ours == pytest.approx(0.5) and row.verdict == UNTESTED


def test_g01_fails_where_time_is_quadratic(memory):
    assert (
        verdict(
            "g01", memory.assign(seconds=memory.steps * 1e-9 * memory.num_params**2.0), "G01"
        ).verdict
        == FAILS
    )


@pytest.mark.parametrize(
    "slope, expected", [(0.8, FAILS), (0.95, HOLDS), (1.05, HOLDS), (1.2, FAILS)]
)
def test_g01_holds_only_where_the_counted_cost_is_linear_as_well(memory, slope, expected):
    costs = step_costs(memory.assign(seconds=memory.steps * 1e-9 * memory.num_params))
    counted = costs.assign(multiplications=costs.num_params**slope)
    assert cost_is_linear(memory, counted).verdict == expected


# --- claims of section 3 ---


def test_architectures_near_each_other_support_figure_3(similar):
    assert set(analysis.compare("fig3", similar).verdict) == {HOLDS}


def test_t01_is_the_spread_of_mean_bits_and_its_worth_in_parameters(similar):
    row = verdict("fig3", similar, "T01")
    made = (
        0.02 * 4 / 5
    )  # RNN to LSTM, as synthetic.similar made them; +RNN, which has no depth 1, is left out
    assert row.ours == pytest.approx(made, abs=0.006)
    assert (
        f"worth {math.exp(row.ours / 0.2):.2f}"[:8] in row.evidence
    )  # 0.2 bits for e times the parameters


def test_t01_says_that_shakespeare_is_not_text8(similar):
    assert "Shakespeare sample, not text8" in verdict("fig3", similar, "T01").evidence
    assert "Shakespeare" not in verdict("fig3", synthetic.similar(text="paper"), "T01").evidence


@pytest.mark.parametrize("id", ["T01", "R01"])
@pytest.mark.parametrize("search, expected", [({}, FAILS), ({"found": 0.7, "rate": 1}, UNTESTED)])
def test_unequal_architectures_are_refuted_by_a_search_at_its_end_only(id, search, expected):
    wide = 2 * 0.2 * math.log(SMALL_FACTOR) * 5 / 4  # worth twice the small factor
    row = verdict("fig3", synthetic.similar(spread=2 * wide, **LONG | search), id)
    assert row.verdict == expected
    assert (
        "the search has come to its end" if expected == FAILS else "the search is open"
    ) in row.evidence


def test_a_loss_that_does_not_fall_has_no_worth_in_parameters():
    row = verdict("fig3", synthetic.similar(fall=-0.1), "T01")
    assert row.verdict == UNTESTED and "does not surely fall" in row.evidence


def test_t02_compares_the_two_axes_of_figure_3(similar):
    points = best_losses(similar).query("task_type == 'text8' and n_layers == 1")
    r2 = [
        stats.linregress(np.log(points[x]), points.loss).rvalue ** 2
        for x in ("num_params", "n_units")
    ]
    assert verdict("fig3", similar, "T02").ours == pytest.approx(r2[0] - r2[1])


def test_t02_fails_where_units_decide():
    frame = synthetic.losses(
        "text8",
        lambda a, d, p, n: 4 - 0.5 * math.log(n),
        sizes=(2_000, 8_000, 30_000),
        depths=(1,),
        noise=0.001,
    )
    assert verdict("fig3", frame, "T02").verdict == FAILS


def test_r02_fails_where_a_network_learns_the_task():
    frame = synthetic.losses(
        "rcf", lambda a, d, p, n: 0.5 if p < 5_000 else 0.001, noise=0.0001, **LONG | {"trials": 24}
    )
    assert verdict("fig3", frame, "R02").verdict == FAILS


def test_r02_takes_both_tasks():
    row = verdict(
        "fig3",
        synthetic.losses("rcf", lambda a, d, p, n: 0.9 - 0.05 * math.log(p), noise=0.001),
        "R02",
    )
    assert row.verdict == UNTESTED and "only random continuous functions" in row.evidence


def test_one_size_decides_nothing_of_figure_3():
    assert set(analysis.compare("fig3", synthetic.similar(sizes=(2_000,))).verdict) == {UNTESTED}


def test_few_trials_are_no_search():
    table = analysis.compare("fig3", synthetic.similar(trials=3)).set_index("id")
    assert (
        set(table.verdict[["T01", "R01", "R02"]]) == {UNTESTED}
        and "has not been searched" in table.evidence["R01"]
    )


@pytest.mark.parametrize("name", ["fig2c", "g01", "fig3"])
@pytest.mark.parametrize("spoil", ["diverged", "one trial", "cell of ones own"])
def test_poor_frames_are_compared_without_a_warning(memory, similar, name, spoil, recwarn):
    frame = similar if name == "fig3" else memory
    if spoil == "diverged":
        frame = frame.assign(infeasible=True, valid_loss=math.nan, eval_loss=math.nan)
    elif spoil == "one trial":
        frame = frame.iloc[:1]
    else:
        frame = frame.assign(architecture="mine")
    table = analysis.compare(name, frame)
    assert set(table.verdict) == {UNTESTED} and not recwarn.list


@pytest.mark.parametrize("name", ["fig2c", "g01", "fig3"])
def test_a_cell_of_ones_own_does_not_touch_the_papers_claims(memory, similar, name):
    frame = similar if name == "fig3" else memory
    rows = frame[frame.architecture == "rnn"]
    mine = rows.assign(
        architecture="mine",
        study="mine/" + rows.study,
        valid_loss=9.0,
        eval_loss=9.0,
        seconds=rows.seconds**2,
    )
    columns = ["id", "ours", "low", "high", "verdict"]
    both = analysis.compare(name, pd.concat([frame, mine], ignore_index=True))
    pd.testing.assert_frame_equal(both[columns], analysis.compare(name, frame)[columns])
