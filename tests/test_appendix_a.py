"""The search's own numbers, on frames of trials whose answer is known."""

import math

import numpy as np
import pandas as pd
import pytest
import synthetic
import synthetic_hard
from scipy.stats import norm

from rnnkit import analysis, figures
from rnnkit.exhibits.appendix_a.importance import LOT, normal_scores, numeric_hparams, stem
from rnnkit.exhibits.appendix_a.lost_trials import lost_shares
from rnnkit.exhibits.appendix_a.random_search import search_curves, typical_trials
from rnnkit.exhibits.base import exhibit


def both(seeds=range(3), trials=48, found=(1.0, 0.5)):
    """The same studies under both tuners; random search finds half of what the Gaussian process
    does.
    """
    parts = []
    for seed in seeds:
        for tuner, share in zip(("gp", "random"), found):
            part = synthetic.frame((300,), (1,), trials, ("rnn",), seed=seed, found=share)
            parts.append(
                part.assign(tuner=tuner, study=part.study.str.replace("/gp/", f"/{tuner}/"))
            )
    return pd.concat(parts, ignore_index=True)


def searched(losses, architecture="gru", bad=(), **columns):
    """One study whose trials have these losses, and hyper-parameters by `columns`."""
    hparams = pd.DataFrame(columns).to_dict("records")
    rows = synthetic.frame((300,), (1,), len(losses), (architecture,), infeasible=0)
    infeasible = np.isin(np.arange(len(losses)), bad)
    return rows.assign(
        valid_loss=np.where(infeasible, np.nan, losses), hparams=hparams, infeasible=infeasible
    )


@pytest.fixture(scope="module")
def sensitive():
    """200 random trials of two studies: the loss falls with `lr`, more with Adam; `l2` means
    nothing; high `clip` diverges.
    """
    rng = np.random.default_rng(0)
    parts = []
    for architecture in ("gru", "lstm"):
        lr = 10 ** rng.uniform(-4, -1, 200)
        l2 = 10 ** rng.uniform(-8, -3, 200)
        clip = rng.uniform(1, 100, 200)
        optimizer = rng.choice(["SGD", "Adam"], 200)
        loss = -np.log10(lr / 1e-4) * np.where(optimizer == "Adam", 2, 1)
        parts.append(
            searched(
                loss,
                architecture,
                np.flatnonzero(clip > 95),
                lr=lr,
                l2=l2,
                clip=clip,
                optimizer=optimizer,
            )
        )
    return pd.concat(parts, ignore_index=True)


def test_a_race_is_between_studies_that_both_tuners_had():
    frame = both()
    lone = synthetic.frame((300,), (1,), 48, ("gru",))
    rows = analysis.rows_of("tuner", pd.concat([frame, lone], ignore_index=True))
    assert set(rows.architecture) == {"rnn"} and len(rows) == len(frame)


def test_a_race_without_random_search_is_refused():
    with pytest.raises(
        ValueError, match="tuner needs trials of the capacity task under both tuners"
    ):
        analysis.rows_of("tuner", synthetic.frame((300,), (1,), 8))


def test_the_experiment_gives_both_tuners_the_same_five_studies():
    """Five seeds from the one that is asked for; the keys differ in the tuner alone, which is what
    `rows_of` goes by.
    """
    from rnnkit.studies import studies_of

    keys = {
        t: {s.key.replace(f"/{t}/", "/*/") for s in studies_of("tuner", "quick", 3) if s.tuner == t}
        for t in ("gp", "random")
    }
    assert keys["gp"] == keys["random"] and len(keys["gp"]) == 5
    assert {s.seed for s in studies_of("tuner", "quick", 3)} == {3, 4, 5, 6, 7}


def test_curves_are_the_best_so_far_over_seeds():
    frame = both()
    curve = search_curves(frame).query("tuner == 'gp'").set_index("trial")
    bits = (
        (-frame[frame.tuner == "gp"].eval_loss / frame.num_params.iloc[0]).to_numpy().reshape(3, 48)
    )
    best = np.fmax.accumulate(np.nan_to_num(bits), axis=1)
    np.testing.assert_allclose(curve["median"], np.median(best, 0))
    np.testing.assert_allclose(curve.low, best.min(0))
    assert (curve.seeds == 3).all()


def test_the_race_says_how_much_more_was_found_and_after_how_many_trials():
    """By construction: twice as much at the end, and the process is where random search ends after
    about a twelfth of its trials, since 1 - exp(-8 t) is one half of its end at t = ln 2 / 8.
    """
    row = analysis.race(analysis.rows_of("tuner", both(trials=96))).iloc[0]
    assert (
        row.seeds == 3
        and row.trials == 96
        and abs(row.ratio - 2) < 0.1
        and row.low <= row.ratio <= row.high
    )
    assert abs(row.match - 96 * math.log(2) / 8) < 4


def test_a_typical_trial_is_the_median_of_a_round_over_seeds_and_a_diverged_one_stored_nothing():
    frame = both(trials=32)
    row = typical_trials(frame).query("tuner == 'random' and trial == 24").iloc[0]
    inside = frame[(frame.tuner == "random") & (frame.hyper_iter >= 16)]
    assert row.trials == len(inside) == 48
    assert row["median"] == np.median(np.nan_to_num(-inside.eval_loss / inside.num_params))


def test_scores_are_normal_scores_within_each_study_with_the_diverged_ones_last():
    """Three trials and one that diverged: ranks 2, 1, 3, 4 of 4."""
    frame = searched([2.0, 1.0, 3.0, -9.0], bad=[3], lr=[1, 2, 3, 4])
    np.testing.assert_allclose(normal_scores(frame), norm.ppf([0.375, 0.125, 0.625, 0.875]))


def test_what_matters_is_found(sensitive):
    told = analysis.importance(sensitive)
    for _, part in told.groupby("architecture"):
        by_name = part.set_index("hyperparameter").importance
        assert by_name.idxmax() == "lr" and by_name.optimizer > 0.05 and by_name["clip"] > 0.03
        assert abs(by_name.l2) < 0.05 and abs(by_name[LOT]) < 0.05
        assert (part.explained > 0.6).all()


def test_it_does_not_matter_whether_numbers_are_logarithmic(sensitive):
    warped = sensitive.assign(hparams=[h | {"lr": math.log(h["lr"])} for h in sensitive.hparams])
    one = analysis.importance(sensitive)
    other = analysis.importance(warped.assign(study=warped.study + "/again"))
    np.testing.assert_allclose(
        one.importance, other.importance, atol=0.02
    )  # a split lies in the middle of two values, wherever that is


def test_a_hyper_parameter_that_never_changes_has_no_importance(sensitive):
    fixed = sensitive.assign(hparams=[h | {"depth": 1} for h in sensitive.hparams])
    assert "depth" not in numeric_hparams(fixed)


def test_trials_from_before_a_hyper_parameter_was_dropped_are_told_with_the_others(sensitive):
    """Older trials of the IRNN have a scale of its biases, which newer ones start at zero."""
    bias = np.random.default_rng(0).uniform(-2, 2, len(sensitive))
    older = np.arange(len(sensitive)) % 2
    mixed = [
        h | ({"recurrent_bias_scale_h": float(b)} if old else {})
        for h, b, old in zip(sensitive.hparams, bias, older)
    ]
    told = analysis.importance(sensitive.assign(hparams=mixed, study=sensitive.study + "/mixed"))
    for _, part in told.groupby("architecture"):
        by_name = part.set_index("hyperparameter").importance
        assert by_name.idxmax() == "lr" and abs(by_name.recurrent_bias_scale_h) < 0.05


def test_the_table_sums_over_the_maps_of_a_cell_and_keeps_tuners_apart(sensitive):
    split = sensitive.assign(
        tuner=np.where(np.arange(len(sensitive)) % 2, "gp", "random"),
        hparams=[
            h | {"input_scale_u": h["lr"], "input_scale_r": h["clip"]} for h in sensitive.hparams
        ],
    )
    table = analysis.importance_table(split)
    told = analysis.importance(split)
    assert (
        list(table) == [(a, t) for a in ("gru", "lstm") for t in ("gp", "random")]
        and table.index[-1] == LOT
    )
    part = (
        told[(told.architecture == "gru") & (told.tuner == "gp")]
        .set_index("hyperparameter")
        .importance
    )
    assert table["gru", "gp"]["input_scale_*"] == pytest.approx(
        part["input_scale_u"] + part["input_scale_r"]
    )


def test_few_trials_grow_no_forest():
    assert analysis.importance(synthetic.frame((300,), (1,), 8)).empty


@pytest.mark.parametrize(
    "name, expected",
    [
        ("input_scale_u", "input_scale_*"),
        ("recurrent_bias_scale_gy", "recurrent_bias_scale_*"),
        ("lr_init", "lr_init"),
        ("forget_gate_bias_hack", "forget_gate_bias_hack_*"),
        ("recurrent_matrix_init_type", "recurrent_matrix_init_type"),
    ],
)
def test_a_stem_is_a_hyper_parameter_without_its_map(name, expected):
    assert stem(name) == expected


def random_trials(losses, **columns):
    """Trials of one architecture with random hyper-parameters on parentheses, small form: chance is
    5.07 nats; NaN: diverged.
    """
    rows = synthetic_hard.frame(
        ("parens_counting",), (1,), len(losses), "random", architectures=("gru",)
    )
    losses = np.array(losses, float)
    return rows.assign(
        valid_loss=losses,
        eval_loss=losses,
        infeasible=np.isnan(losses),
        hparams=pd.DataFrame(columns).to_dict("records"),
    )


def test_lost_trials_are_counted_by_quarters():
    """Of eight trials in the order of their learning rate, the first ended far above chance, the
    last two and one before them diverged.
    """
    nan = math.nan
    frame = random_trials(
        [9, 5, 5, 0.1, 0.1, nan, nan, nan], lr_init=np.arange(1, 9) / 10, input_scale_u=1.0
    )
    table = lost_shares(frame, ("lr_init", "gradient_clip_val")).set_index("end")
    assert table.hyperparameter.unique().tolist() == ["lr_init"]
    assert table.share["diverged"].tolist() == [0, 0, 0.5, 1] and table.share[
        "above chance"
    ].tolist() == [0.5, 0, 0, 0]
    assert np.allclose(table.value["diverged"], [0.15, 0.35, 0.55, 0.75]) and set(table.trials) == {
        2
    }


def test_a_stem_is_counted_by_the_largest_value_of_a_trial():
    frame = random_trials(
        [math.nan, 1, 1, 1],
        recurrent_matrix_scale_u=[9.0, 1, 1, 1],
        recurrent_matrix_scale_c=[1.0, 2, 3, 4],
    )
    table = lost_shares(frame, ("recurrent_matrix_scale_*",)).query("end == 'diverged'")
    assert table.value.tolist() == [2, 3, 4, 9] and table.share.tolist() == [0, 0, 0, 1]


def test_a_hyper_parameter_that_some_cells_lack_is_counted_where_it_is():
    """The IRNN has no recurrent scale: its trials have no quarter there."""
    with_it = random_trials(
        [1, 1, 1, math.nan], recurrent_matrix_scale_h=[1.0, 2, 3, 4], lr_init=0.1
    )
    without = random_trials([math.nan] * 4, lr_init=[0.1] * 4)
    table = lost_shares(pd.concat([with_it, without.assign(study="another")], ignore_index=True))
    scale = table[(table.hyperparameter == "recurrent_matrix_scale_*") & (table.end == "diverged")]
    assert scale.trials.sum() == 4 and scale.share.tolist() == [0, 0, 0, 1]


# --- the figures ---


def test_both_tuners_are_drawn_side_by_side():
    frame = both()
    best, typical = exhibit("tuner").draw(frame).axes
    curves = search_curves(frame)
    for line, tuner in zip(best.lines, ("gp", "random")):
        np.testing.assert_array_equal(line.get_ydata(), curves[curves.tuner == tuner]["median"])
    assert len(typical.lines) == 2


def test_the_table_of_what_matters_has_a_number_for_each_cell(sensitive):
    figure = exhibit("importance").draw(sensitive)
    ax = figure.axes[0]
    rows = [label.get_text() for label in ax.get_yticklabels()]
    assert (
        rows[0] == "lr" and rows[-1] == LOT and set(rows) == {"lr", "l2", "clip", "optimizer", LOT}
    )
    told = analysis.importance(sensitive).set_index(["hyperparameter", "architecture"]).importance
    shown = {(t.get_position()[1] - 0.5, t.get_position()[0] - 0.5): t.get_text() for t in ax.texts}
    assert shown[0, 0] == f"{told['lr', 'gru']:.2f}" and shown[0, 1] == f"{told['lr', 'lstm']:.2f}"


def test_too_few_trials_say_so():
    figure = exhibit("importance").draw(synthetic.frame((300,), (1,), 4))
    assert "too few trials" in figure.axes[0].texts[0].get_text()


@pytest.mark.parametrize("name", ["tuner", "importance"])
def test_captions_say_that_the_figure_is_ours(name, sensitive):
    frame = both() if name == "tuner" else sensitive
    assert "ours: not in the paper" in figures.caption(name, frame) and "RNN" in figures.alt(
        "tuner", both()
    )


def test_lost_trials_are_drawn_against_three_hyper_parameters():
    n = 40
    rng = np.random.default_rng(0)
    frame = random_trials(
        np.where(rng.random(n) < 0.3, math.nan, 6.0),
        lr_init=10 ** rng.uniform(-4, -1, n),
        gradient_clip_val=10 ** rng.uniform(0, 2, n),
        recurrent_matrix_scale_u=rng.uniform(0.01, 2, n),
    )
    figure = exhibit("lost").draw(frame)
    table = lost_shares(frame)
    for ax, name in zip(figure.axes, ("lr_init", "gradient_clip_val", "recurrent_matrix_scale_*")):
        part = table[(table.hyperparameter == name) & (table.end == "diverged")]
        np.testing.assert_allclose(np.asarray(ax.lines[0].get_ydata(), float), 100 * part.share)
