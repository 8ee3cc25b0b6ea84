"""Numbers and verdicts out of frames whose truth is known, because they were made with it."""

import math

import numpy as np
import pandas as pd
import pytest
import synthetic
from scipy import stats

from rnnkit import analysis, paper
from rnnkit.exhibits.base import exhibit, tables_of
from rnnkit.exhibits.finding import FAILS, HOLDS, NO_NUMBERS, UNTESTED
from rnnkit.exhibits.statistics import expected_best, half_search
from rnnkit.exhibits.verdicts import findings

LONG = {"steps": (2_000, 10_000), "trials": 64}  # a search that comes to its end
FULL = {"trials": 200, "steps": (50_000, 200_000), "scale": "paper", "noise": 0.002}


def one(name, frame, id):
    """What is found of one claim, without judging the others."""
    return findings(tables_of(name, frame), [id])[id]


@pytest.fixture(scope="module")
def full():
    """A search as large as the paper's least: four sizes, three depths, 200 trials of 50,000 steps
    and more.
    """
    return synthetic.frame(
        (300, 1_000, 3_000, 10_000), (1, 2, 4), infeasible=0.05, found=1.06, **FULL
    )


@pytest.fixture(scope="module")
def quick():
    return synthetic.frames("quick")


# --- bits ---


def test_a_trial_counts_its_samples_and_soft_bits():
    frame = synthetic.frame((300,), (1,), trials=1, architectures=("gru",))
    frame["train_loss"] = math.log(2) / 4  # a quarter of a bit is lost on each label
    frame.at[0, "hparams"] = {"samples_per_param": 2.0}
    trial = analysis.per_trial(frame).iloc[0]
    assert trial.samples == 2 * trial.num_params
    assert trial.soft_bits == pytest.approx(0.75 * trial.samples)
    assert trial.bits_per_param == -trial.eval_loss / trial.num_params


def test_the_best_of_a_study_is_its_largest_feasible_trial():
    frame = synthetic.frame((300,), (1,), trials=12, architectures=("lstm",), infeasible=0)
    frame.loc[frame.eval_loss.idxmin(), ["infeasible", "eval_loss"]] = [True, math.nan]
    best = analysis.stored_bits(frame).iloc[0]
    assert best.bits == np.sort(-frame.eval_loss.dropna())[-1]
    assert (best.trials, best.infeasible) == (12, 1)


def test_rows_that_share_an_index_are_told_apart():
    frame = synthetic.frame((300,), (1,), trials=5, architectures=("gru",))
    twice = pd.concat([frame, frame.assign(seed=1, study="other", eval_loss=2 * frame.eval_loss)])
    assert analysis.stored_bits(twice).bits.tolist() == [-2 * frame.eval_loss.min()]


def test_a_study_that_always_diverged_has_no_bits():
    frame = synthetic.frame((300,), (1,), trials=3, architectures=("gru",)).assign(
        infeasible=True, eval_loss=math.nan
    )
    assert analysis.stored_bits(frame).bits.isna().all()


def test_architectures_stand_in_the_papers_order_and_others_after():
    assert analysis.in_order(["zz", "+rnn", "aa", "rnn", "lstm"]) == [
        "rnn",
        "lstm",
        "+rnn",
        "aa",
        "zz",
    ]


def test_the_best_so_far_never_falls_and_ends_at_the_best():
    frame = synthetic.frame((300,), (1,), trials=30, architectures=("rnn",))
    curve = analysis.best_so_far(frame)
    assert (curve.best.diff().dropna() >= 0).all()
    assert curve.best.iloc[-1] == analysis.stored_bits(frame).bits_per_param.iloc[0]
    assert curve.trial.tolist() == list(range(1, 31))


def test_the_best_trials_come_first_with_their_hyper_parameters():
    frame = synthetic.frame((300,), (1,), trials=20, architectures=("rnn",))
    best = analysis.best_trials(frame, 5)
    assert (-best.bits).tolist() == np.sort(frame.eval_loss.dropna())[:5].tolist()
    assert best.nonlinearity.tolist() == [
        frame.set_index("hyper_iter").hparams[i]["nonlinearity"] for i in best.hyper_iter
    ]


def test_the_budget_counts_studies_trials_and_steps(quick):
    spent = analysis.budget(quick["fig1"])
    # 6 + 5 architectures at 2 sizes
    assert (spent.studies, spent.trials, spent.least, spent.most) == (22, 704, 32, 32)
    assert spent.infeasible == quick["fig1"].infeasible.sum()
    assert spent.steps[0] == quick["fig1"].steps[~quick["fig1"].infeasible].min()
    assert spent.scales == ("quick",) and spent.seeds == (0,)


# --- intervals and orders ---


@pytest.mark.parametrize("successes, trials", [(0, 10), (3, 10), (98, 100), (155, 1000)])
def test_wilsons_interval_is_where_the_score_test_just_does_not_reject(successes, trials):
    """Its ends are the shares p with (x / n - p)^2 = z^2 p (1 - p) / n (Wilson 1927)."""
    z = stats.norm.ppf(0.975)
    for share in analysis.wilson(successes, trials):
        distance = (successes / trials - share) ** 2
        assert distance == pytest.approx(z**2 * share * (1 - share) / trials, abs=1e-12)


def test_wilson_without_trials_is_unknown():
    assert all(map(math.isnan, analysis.wilson(0, 0)))


def test_the_slope_of_one_series_is_scipys_with_its_interval():
    rng = np.random.default_rng(1)
    x = np.array([100, 300, 1_000, 3_000, 10_000])
    y = 4 * x**0.9 * np.exp(rng.normal(0, 0.05, 5))
    line = stats.linregress(np.log(x), np.log(y))
    half = stats.t.ppf(0.975, 3) * line.stderr
    assert analysis.slope_loglog(x, y) == pytest.approx(
        (line.slope, line.slope - half, line.slope + half)
    )


def test_the_slope_of_several_series_ignores_their_levels():
    x = np.array([100, 1_000, 100, 1_000])
    slope, low, high = analysis.slope_loglog(x, [200, 2_000, 500, 5_000], ["a", "a", "b", "b"])
    assert (slope, low, high) == pytest.approx((1, 1, 1))


def test_one_size_has_no_slope():
    assert all(map(math.isnan, analysis.slope_loglog([100, 100], [200, 210])))


def test_kendall_is_scipys_without_ties():
    rng = np.random.default_rng(0)
    for _ in range(10):
        x, y = rng.normal(size=(2, 6))
        assert analysis.kendall(x, y) == pytest.approx(stats.kendalltau(x, y).statistic)


def test_half_a_search_finds_what_it_finds_in_39_of_40_cases():
    bits = np.arange(1.0, 33.0)
    rng = np.random.default_rng(0)
    found = [rng.choice(bits, 16, replace=False).max() for _ in range(20_000)]
    low = half_search(bits)
    assert np.mean(np.array(found) < low) <= 0.03 and np.mean(np.array(found) <= low) >= 0.025


def test_half_a_search_takes_divergence_for_nothing_stored():
    assert half_search([5.0, math.nan, math.nan, math.nan]) == 0


def test_the_expected_best_is_the_mean_over_all_draws():
    # by hand: the six pairs of 1 2 3 4 have the maxima 2 3 4 3 4 4
    assert expected_best([3.0, 1.0, 4.0, 2.0], 2) == pytest.approx(20 / 6)


def test_the_bootstrap_is_repeatable_and_covers_the_mean():
    values = np.random.default_rng(3).normal(2, 1, 200)
    low, high = analysis.bootstrap(values, lambda draw: draw.mean(-1))
    assert (low, high) == analysis.bootstrap(values, lambda draw: draw.mean(-1))
    # the interval of a mean: 1.96 standard errors each way
    assert (low, high) == pytest.approx(
        values.mean() + np.array([-1.96, 1.96]) * values.std() / math.sqrt(200), abs=0.02
    )


def test_one_row_has_no_interval():
    assert all(map(math.isnan, analysis.bootstrap([1.0], lambda draw: draw.mean(-1))))


# --- multipliers, ReLU, unrolling ---


def points(**columns):
    """Bits per parameter of two sizes, made by hand."""
    rows = [
        (a, 1, size, v)
        for a, values in columns.items()
        for size, v in zip((300, 1_000), values)
        if v is not None
    ]
    return pd.DataFrame(rows, columns=["architecture", "n_layers", "max_params", "bits_per_param"])


def test_a_multiplier_is_what_x_needs_to_match_y():
    table = analysis.multipliers(points(rnn=(4, 6), irnn=(2, 2))).set_index(["x", "y"]).multiplier
    assert table["irnn", "rnn"] == 2.5  # mean 5 over mean 2
    assert table["rnn", "irnn"] == 0.4
    assert table["rnn", "rnn"] == 1


def test_multipliers_compare_only_what_both_were_trained_at():
    table = analysis.multipliers(points(rnn=(4, 6), lstm=(None, 3))).set_index(["x", "y"])
    assert table.multiplier["lstm", "rnn"] == 2 and table.cells["lstm", "rnn"] == 1


def test_multipliers_the_papers_way_take_the_mean_of_all():
    table = analysis.multipliers(points(rnn=(4, 6), lstm=(None, 3)), shared=False).set_index(
        ["x", "y"]
    )
    assert table.multiplier["lstm", "rnn"] == pytest.approx(5 / 3)


def test_the_interval_of_a_multiplier_lies_between_its_sizes():
    row = (
        analysis.multipliers(points(rnn=(4, 6), irnn=(2, 2)))
        .set_index(["x", "y"])
        .loc[("irnn", "rnn")]
    )
    assert (row.low, row.high) == (2, 3)


def test_the_relu_ratio_compares_equal_numbers_of_trials():
    frame = synthetic.frame((1_000,), (1,), trials=8, architectures=("rnn",), infeasible=0)
    choices = ["tanh"] * 6 + ["relu"] * 2
    frame["hparams"] = [{"nonlinearity": s, "samples_per_param": 1} for s in choices]
    frame["eval_loss"] = [-10.0, -20, -30, -40, -50, -60, -10, -20]
    pair = analysis.relu_ratio(frame).iloc[0]
    # by hand: the better of two out of 10..60 is 140 / 3 on average, of 10 and 20 it is 20
    assert (pair.trials, pair.relu) == (2, 20)
    assert pair.tanh == pytest.approx(140 / 3)
    assert pair.ratio == pytest.approx(7 / 3)


def test_the_unroll_curve_has_a_column_for_each_length(quick):
    curve = analysis.unroll_curve(analysis.stored_bits(quick["fig2b"]))
    assert curve.columns.tolist() == [1, 2, 5, 12] and curve.index.tolist() == [
        "rnn",
        "irnn",
        "ugrnn",
        "gru",
        "lstm",
    ]


# --- what a figure is made of ---


def test_figure_1_takes_no_linear_model_no_pinned_study_and_five_steps(quick):
    everything = pd.concat(
        [quick["calibration"], quick["fig2a"], quick["fig2b"], quick["fig1"]], ignore_index=True
    )
    rows = analysis.rows_of("fig1", everything.drop_duplicates(["study", "hyper_iter"]))
    assert set(rows.study) == set(quick["fig1"].study)


def test_figure_2b_takes_the_size_that_was_unrolled(quick):
    rows = analysis.rows_of("fig2b", pd.concat([quick["fig2b"], quick["fig1"]], ignore_index=True))
    assert set(rows.max_params) == {1_000} and set(rows.n_layers) == {1}


def test_an_unknown_figure_is_refused_by_name(quick):
    with pytest.raises(ValueError, match="figure must be one of fig1.*'fig9'"):
        analysis.compare("fig9", quick["fig1"])


def test_a_frame_without_the_columns_is_refused():
    with pytest.raises(ValueError, match="A frame of trials is needed, got list. Take it from run"):
        analysis.compare("fig1", [1])
    with pytest.raises(ValueError, match="columns of the store, got one without study"):
        analysis.compare("fig1", pd.DataFrame({"architecture": ["rnn"]}))


def test_a_frame_without_the_trials_is_refused(quick):
    with pytest.raises(ValueError, match="calibration needs trials .* Run 'calibration' first"):
        analysis.compare("calibration", quick["fig1"])


# --- verdicts ---


def test_compare_has_the_claims_of_the_figure_and_the_contracts_columns(full):
    table = analysis.compare("fig1", full)
    assert table.id.tolist() == list(exhibit("fig1").claims)
    assert table.columns.tolist() == [
        "id",
        "claim",
        "paper",
        "ours",
        "low",
        "high",
        "verdict",
        "evidence",
    ]


def test_every_evidence_names_trials_and_steps(full):
    assert (
        analysis.compare("fig1", full)
        .evidence.str.contains("of 200 trials, 50,.* training steps each")
        .all()
    )


def test_a_search_like_the_papers_supports_what_the_paper_says(full):
    verdicts = analysis.compare("fig1", full).set_index("id").verdict
    assert verdicts.drop("C05").eq(HOLDS).all()
    assert verdicts["C05"] == NO_NUMBERS


def test_a_search_of_three_trials_decides_nothing_but_the_count_of_hyper_parameters():
    frames = synthetic.frames("smoke")
    table = pd.concat([analysis.compare(name, frame) for name, frame in frames.items()]).set_index(
        "id"
    )
    assert table.verdict.drop(["G03", "C05"]).eq(UNTESTED).all()
    assert table.verdict["G03"] == HOLDS and table.verdict["C05"] == NO_NUMBERS
    assert table.evidence["C02"].count("3 trials") == 2


def test_c01_finds_the_slope(full):
    claim = one("fig1", full, "C01")
    assert claim.ours == pytest.approx(1, abs=0.01) and claim.low <= claim.ours <= claim.high


def test_c01_fails_where_storage_is_not_linear(full):
    bent = full.assign(eval_loss=full.eval_loss * (full.num_params / 300.0) ** -0.3)
    claim = one("fig1", bent, "C01")
    assert claim.verdict == FAILS and claim.ours == pytest.approx(0.7, abs=0.01)


def test_c01_is_not_refuted_by_a_search_that_is_open():
    frame = synthetic.frame((300, 1_000, 3_000, 10_000), (1, 2), rate=1.5, **FULL)
    bent = frame.assign(
        valid_loss=frame.valid_loss * (frame.num_params / 300.0) ** -0.3,
        eval_loss=frame.eval_loss * (frame.num_params / 300.0) ** -0.3,
    )
    claim = one("fig1", bent, "C01")
    assert claim.verdict == UNTESTED and "the search is open" in claim.reason


def test_c01_leaves_longer_trainings_of_one_size_out(full):
    """They would bend a straight line."""
    longer = full[full.max_params == 1_000].assign(
        tuner="long",
        study=lambda rows: rows.study + " long",
        eval_loss=lambda rows: 1.5 * rows.eval_loss,
        valid_loss=lambda rows: 1.5 * rows.valid_loss,
    )
    before, after = (one("fig1", rows, "C01") for rows in (full, pd.concat([full, longer])))
    assert after.ours == pytest.approx(before.ours) and after.verdict == before.verdict


def test_c03_is_refuted_by_searches_that_have_come_to_their_end_alone(full):
    """However open the searches for the other networks are."""
    few = full.assign(
        **{
            name: full[name].where(full.architecture != "gru", 0.5 * full[name])
            for name in ("valid_loss", "eval_loss")
        }
    )
    grown = (1 + few.hyper_iter) / 200 * few.steps / few.steps.max()
    opened = few.assign(
        **{
            name: few[name].where(few.architecture == "gru", few[name] * grown)
            for name in ("valid_loss", "eval_loss")
        }
    )
    claim = one("fig1", opened, "C03")
    assert claim.verdict == FAILS and "have come to their end" in claim.reason


def test_c13_is_of_the_depths_that_three_sizes_have(full):
    claim = one("fig1", full[(full.n_layers < 4) | (full.max_params == 1_000)], "C13")
    assert "depths 1 and 2" in claim.reason and claim.verdict != UNTESTED


def test_c01_is_not_refuted_by_bits_that_do_not_rise_with_parameters(full):
    """A large network can do what a small one does, so it was searched badly."""
    flat = full.assign(eval_loss=full.eval_loss * (full.num_params / 10_000.0) ** -1.2)
    claim = one("fig1", flat, "C01")
    assert claim.verdict == UNTESTED and "poor search" in claim.reason


def test_c01_takes_three_sizes(quick):
    assert "it takes three" in one("fig1", quick["fig1"], "C01").reason


def open_at(frame, size):
    """The frame with searches of one size whose bits grow with every trial and every step."""
    grown = (1 + frame.hyper_iter) / 200 * frame.steps / frame.steps.max()
    return frame.assign(
        **{
            name: frame[name].where(frame.max_params != size, frame[name] * grown)
            for name in ("valid_loss", "eval_loss")
        }
    )


def test_c02_is_the_mean_at_the_sizes_that_are_trained_to_their_end(full):
    frame = open_at(full, 10_000)
    best = analysis.stored_bits(frame)
    claim = one("fig1", frame, "C02")
    assert claim.ours == pytest.approx(best[best.max_params < 10_000].bits_per_param.mean())
    assert "300, 1,000 and 3,000 parameters" in claim.reason


def test_c02_fails_at_half_the_papers_bits_after_a_search_like_the_papers(full):
    assert one("fig1", full.assign(eval_loss=full.eval_loss / 2), "C02").verdict == FAILS


def test_c02_is_not_tested_where_no_size_is_trained_to_its_end_but_shows_its_bound():
    frame = synthetic.frame((300, 1_000), (1, 2), rate=1, found=0.8)
    best = analysis.stored_bits(frame)
    claim = one("fig1", frame, "C02")
    assert (
        claim.verdict == UNTESTED
        and "a lower bound" in claim.reason
        and "no size is trained to its end" in claim.reason
    )
    assert claim.ours == pytest.approx(best[best.max_params == 1_000].bits_per_param.mean())


def test_c02_is_refuted_by_far_too_many_bits_after_any_search():
    assert (
        one("fig1", synthetic.frame((300, 1_000), (1, 2), rate=1, found=2.5), "C02").verdict
        == FAILS
    )


def test_more_than_a_perceptron_is_decided_by_a_lower_bound():
    frame = synthetic.frame((300, 1_000), (1, 2), rate=1, found=0.8)
    assert one("fig1", frame, "C02b").verdict == HOLDS
    poor = one("fig1", frame.assign(eval_loss=frame.eval_loss / 2), "C02b")
    assert poor.verdict == UNTESTED and "cannot refute" in poor.reason


def test_c03_shows_the_least_and_the_most(full):
    best = analysis.stored_bits(full).bits_per_param
    claim = one("fig1", full, "C03")
    assert (claim.low, claim.high) == (best.min(), best.max())


def test_c03_is_refuted_by_more_than_six_bits_at_any_budget(quick):
    frame = quick["fig1"].assign(eval_loss=quick["fig1"].eval_loss * 3)
    assert one("fig1", frame, "C03").verdict == FAILS


def test_c03_names_what_was_not_trained(full):
    claim = one("fig1", full[full.n_layers < 4], "C03")
    assert claim.verdict == UNTESTED and "depth 4 not trained" in claim.reason


def test_c04_compares_like_with_like(full):
    table = np.log(
        analysis.bits_per_param(analysis.stored_bits(full)).drop(columns="irnn").dropna()
    ).mean()
    assert one("fig1", full, "C04").ours == pytest.approx(math.exp(table.max() - table.min()))


def test_c04_needs_networks_that_store_more_than_a_perceptron(full):
    claim = one("fig1", full.assign(eval_loss=full.eval_loss / 15), "C04")  # .3 bits per parameter
    assert claim.verdict == UNTESTED and "less than a perceptron" in claim.reason


def test_c04_fails_for_a_wide_spread():
    capacity = synthetic.CAPACITY | {"lstm": 2.0}
    assert (
        one(
            "fig1", synthetic.frame((300, 1_000, 3_000), (2,), capacity=capacity, **LONG), "C04"
        ).verdict
        == FAILS
    )


def test_c06_prints_our_order(full):
    claim = one("fig1", full, "C06")
    assert "RNN 5.2" in claim.reason and claim.ours == 1


def test_c06_fails_for_the_opposite_order():
    capacity = dict(zip(paper.ORDER, (4.0, 4.2, 4.4, 4.6, 4.8)), irnn=3.5)
    claim = one(
        "fig1", synthetic.frame((300, 1_000, 3_000), (2,), capacity=capacity, **LONG), "C06"
    )
    assert claim.verdict == FAILS and claim.ours == -1


def test_c07_measures_the_cost_of_a_gate(full):
    table = analysis.bits_per_param(analysis.stored_bits(full))[list(paper.ORDER)].dropna()
    gates = np.tile([paper.GATES[a] for a in paper.ORDER], len(table))
    centred = table.sub(table.mean(axis=1), axis=0).to_numpy().ravel()
    only = full[
        (full.n_layers > 1)
    ]  # where all five were trained, the slope is that of an ordinary regression
    assert one("fig1", only, "C07").ours == pytest.approx(stats.linregress(gates, centred).slope)


def test_c08_fails_where_another_architecture_is_lower():
    frame = synthetic.frame(
        (300, 1_000, 3_000), (2,), capacity=synthetic.CAPACITY | {"irnn": 5.5}, **LONG
    )
    claim = one("fig1", frame, "C08")
    assert claim.verdict == FAILS and "the other way IRNN - RNN" in claim.reason


def test_c08_needs_the_irnn(full):
    claim = one("fig1", full[full.architecture != "irnn"], "C08")
    assert claim.verdict == UNTESTED and "no IRNN" in claim.reason


def test_c09_finds_what_relu_costs(quick):
    claim = one("fig2a", quick["fig2a"], "C09")
    assert claim.verdict == HOLDS and claim.ours == pytest.approx(1 / synthetic.RELU, rel=0.03)


@pytest.mark.parametrize("rate, verdict", [(8, FAILS), (1, UNTESTED)])
def test_c09_fails_where_relu_stores_more_after_a_search_that_has_come_to_its_end(rate, verdict):
    frame = synthetic.frame(
        (300, 1_000, 3_000),
        (1,),
        architectures=("rnn", "ugrnn"),
        rate=rate,
        steps=(2_000, 10_000),
        trials=100,
    )
    factor = np.where([hparams["nonlinearity"] == "relu" for hparams in frame.hparams], 2, 1)
    frame = frame.assign(eval_loss=frame.eval_loss * factor, valid_loss=frame.valid_loss * factor)
    assert one("fig2a", frame, "C09").verdict == verdict


def test_c09_needs_trials_with_both(quick):
    frame = quick["fig2a"].assign(
        hparams=[h | {"nonlinearity": "tanh"} for h in quick["fig2a"].hparams]
    )
    assert "tried both" in one("fig2a", frame, "C09").reason


def test_c10_finds_rise_and_saturation(quick):
    claim = one("fig2b", quick["fig2b"], "C10")
    # the frames are made with 1 - .4 exp(-(T - 1) / 2)
    assert claim.verdict == HOLDS and claim.ours == pytest.approx(
        (1 - 0.4 * math.exp(-2)) / 0.6, rel=0.02
    )


def test_c10_fails_where_the_gain_grows(quick):
    frame = quick["fig2b"]
    assert (
        one("fig2b", frame.assign(eval_loss=frame.eval_loss * np.exp(frame.unroll)), "C10").verdict
        == FAILS
    )


def test_c10_is_open_where_the_gain_is_sure_and_its_saturation_is_not(quick):
    frame = quick["fig2b"]
    grows = frame.architecture.isin(["rnn", "gru", "lstm"]) & (frame.unroll > 5)
    claim = one("fig2b", frame.assign(eval_loss=frame.eval_loss * np.where(grows, 3, 1)), "C10")
    assert claim.low > 1 and claim.verdict == UNTESTED


def test_c10_takes_eight_steps(quick):
    frame = quick["fig2b"]
    assert "saturation takes 8" in one("fig2b", frame[frame.unroll <= 5], "C10").reason


def test_c12_is_the_median_of_dataset_over_bits(quick):
    claim = one("figapp1", quick["figapp1"], "C12")
    assert claim.verdict == HOLDS and claim.ours == pytest.approx(1.1, abs=0.01)


def test_c12_fails_for_datasets_far_too_large():
    frame = synthetic.frame((300, 1_000), (1,), samples=3, **FULL)
    assert one("figapp1", frame, "C12").verdict == FAILS


def test_c13_fails_where_depth_turns_the_order_round():
    up = dict(zip(paper.ARCHITECTURES, range(3, 9)))
    down = dict(zip(paper.ARCHITECTURES, range(8, 2, -1)))
    parts = [
        synthetic.frame((300, 1_000, 3_000), (depth,), capacity=c, **LONG)
        for depth, c in ((1, up), (2, down))
    ]
    claim = one("fig1", pd.concat(parts, ignore_index=True), "C13")
    assert claim.verdict == FAILS and claim.ours == -1


def test_c13_is_not_refuted_by_noise():
    """Architectures that do not differ cannot disagree between depths."""
    rng = np.random.default_rng(5)
    frame = synthetic.frame(
        (300, 1_000, 3_000), (1, 2, 4), capacity=dict.fromkeys(synthetic.CAPACITY, 4.0), **LONG
    )
    luck = frame.groupby("study").eval_loss.transform(lambda losses: math.exp(rng.normal(0, 0.1)))
    claim = one(
        "fig1",
        frame.assign(eval_loss=frame.eval_loss * luck, valid_loss=frame.valid_loss * luck),
        "C13",
    )
    assert claim.verdict == UNTESTED and claim.ours < 0.5 and "differ at no depth" in claim.reason


def test_c17_holds_for_a_linear_model_near_two_bits(quick):
    claim = one("calibration", quick["calibration"], "C17")
    assert claim.verdict == HOLDS and claim.ours == pytest.approx(
        synthetic.CAPACITY["linear"], rel=0.02
    )


def test_c17_fails_for_a_bit_and_a_half_after_a_search_like_the_papers():
    frame = synthetic.linear(capacity={"linear": 1.5}, **FULL)
    assert one("calibration", frame, "C17").verdict == FAILS


def test_g03_counts_what_was_tuned(full):
    claim = one("fig1", full, "G03")
    assert (claim.low, claim.high) == (12, 27)


def test_g03_is_not_tested_by_some_of_the_architectures(full):
    claim = one("fig1", full[full.architecture != "lstm"], "G03")
    assert claim.verdict == UNTESTED and "LSTM not trained" in claim.reason


def test_g03_fails_beyond_27(full):
    frame = full.assign(hparams=[h | {"one": 1, "more": 1} for h in full.hparams])
    assert one("fig1", frame, "G03").verdict == FAILS


def test_a_cell_of_ones_own_does_not_touch_the_papers_claims(full):
    own = full[full.architecture == "gru"].assign(
        architecture="mine", study=lambda f: f.study + "mine", eval_loss=lambda f: f.eval_loss / 3
    )
    with_own, without = (
        analysis.compare("fig1", f).set_index("id").ours
        for f in (pd.concat([full, own], ignore_index=True), full)
    )
    ids = ["C04", "C05", "C06", "C07", "C08", "C13", "G03"]
    assert with_own[ids].equals(without[ids])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda f: f.assign(eval_loss=0.0),
        lambda f: f.assign(eval_loss=math.nan, infeasible=True),
        lambda f: f.iloc[:1],
    ],
)
def test_frames_without_bits_are_compared_without_a_warning(spoil, quick, recwarn):
    for name, frame in quick.items():
        assert not set(analysis.compare(name, spoil(frame)).verdict[lambda v: v == FAILS])
    assert not recwarn.list


def test_the_number_of_inputs_is_drawn_where_every_trial_diverged(quick):
    dead = quick["fig1"].assign(eval_loss=math.nan, valid_loss=math.nan, infeasible=True)
    (ax,) = exhibit("inputs").draw(dead).axes
    assert [text.get_text() for text in ax.texts] == ["no bits stored"]
