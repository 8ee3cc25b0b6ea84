"""The best network comes from the store or from training its trial again; rounding its weights
costs what arithmetic says.
"""

import dataclasses
import math
import types

import numpy as np
import pytest

from rnnkit.studies import Study, retrain, run
from rnnkit.studies.quantisation import (
    BITS,
    NOTE,
    bits_kept,
    quantise,
    quantise_block,
    quantise_network,
)
from rnnkit.studies.retrain import best_network, blocks_of, evaluate, theta_of, weights_of
from rnnkit.theory import mutual_information
from rnnkit.trials import StoreError, TrialStore

STUDY = Study("per_cap", "gru", 1, 150, n_in=10, train_steps=(200, 400), tuner="random")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store with four trials of one small study; whatever weights it has are deleted by the tests
    that want none.
    """
    path = tmp_path_factory.mktemp("store") / "trials.sqlite"
    with TrialStore(path) as store:
        STUDY.run(store, 4)
    return path


@pytest.fixture
def store(trained):
    for file in trained.with_suffix(".weights").glob("*"):
        file.unlink()
    with TrialStore(trained) as opened:
        yield opened


def no_training(*args, **settings):
    raise AssertionError("nothing should be trained")


# --- the best network -----------------------------------------------------------------------------


def test_blocks_put_together_again_are_the_parameters():
    theta = np.random.default_rng(0).normal(size=STUDY.num_params).astype(np.float32)
    np.testing.assert_array_equal(theta_of(STUDY, blocks_of(STUDY, theta)), theta)


def test_the_best_network_stores_the_bits_of_the_best_trial(store):
    trial, parts = best_network(store, STUDY)
    assert trial.valid_loss == min(
        t.valid_loss for t in store.trials(STUDY.key) if not t.infeasible
    )
    (found,) = evaluate(STUDY, trial.hparams, [theta_of(STUDY, parts)])
    assert found["valid_loss"] == pytest.approx(trial.valid_loss, rel=1e-9)


def test_the_store_of_the_best_network_may_be_named_by_its_path(tmp_path):
    path = tmp_path / "trials.sqlite"
    frame = STUDY.run(path, 2)
    trial, parts = best_network(path, STUDY)
    assert trial.valid_loss == frame.valid_loss.min()
    assert sum(part.size for part in parts.values()) == STUDY.num_params
    with pytest.raises(StoreError, match="There is no trial store"):
        best_network(tmp_path / "none.sqlite", STUDY)
    with pytest.raises(StoreError, match="A store is named by the path of a file, got 3"):
        best_network(3, STUDY)


def test_a_network_that_was_trained_again_is_kept_for_next_time(store, monkeypatch):
    _, first = best_network(store, STUDY)
    monkeypatch.setattr(retrain, "train", no_training)
    _, second = best_network(store, STUDY)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_weights_of_another_trial_are_not_taken_for_the_best(store):
    trial, right = best_network(store, STUDY)
    wrong = {name: np.zeros_like(block) for name, block in right.items()}
    store.save_weights(
        STUDY.key, 99, -1e9, wrong, retrain.account_of(STUDY)
    )  # of some other store, and said to be better
    assert store.weights(STUDY.key)[0] == 99
    _, again = best_network(store, STUDY)
    assert (
        np.array_equal(again["W_out"], right["W_out"])
        and store.weights(STUDY.key)[0] == trial.hyper_iter
    )


def test_another_trial_than_the_best_is_trained_again_and_not_kept(store):
    trials = sorted(
        (t for t in store.trials(STUDY.key) if not t.infeasible), key=lambda t: t.valid_loss
    )
    weights_of(store, STUDY, trials[-1])
    with pytest.raises(StoreError, match="has no weights"):
        store.weights(STUDY.key)


def test_a_trial_that_comes_out_different_is_reported(store):
    trial, _ = best_network(store, STUDY)
    with pytest.warns(UserWarning, match="came out at"):
        weights_of(store, STUDY, dataclasses.replace(trial, valid_loss=trial.valid_loss - 5))


def test_a_study_without_a_feasible_trial_has_no_best_network():
    with TrialStore(":memory:") as empty, pytest.raises(StoreError, match="no feasible trial"):
        best_network(empty, STUDY)


@pytest.mark.parametrize(
    "study",
    [
        STUDY,
        Study("per_cap", "+rnn", 2, 300, seed=3),
        Study("per_cap", "rnn", 1, 300, pinned=(("nonlinearity", "relu"),)),
        Study("parens_counting", "lstm", 1, 5_000, form="tiny"),
    ],
    ids=lambda study: study.key,
)
def test_a_study_is_made_again_from_a_row_of_its_trials(study):
    fields = {
        field.name: getattr(study, field.name)
        for field in dataclasses.fields(study)
        if field.name not in ("train_steps", "pinned")
    }
    assert Study.from_row(types.SimpleNamespace(study=study.key, **fields)) == study


def test_a_row_of_a_study_that_is_unknown_is_refused(store):
    row = store.frame().assign(study="per_cap/gru/steps=1-2/by=hand").iloc[0]
    with pytest.raises(ValueError, match="cannot be made again"):
        Study.from_row(row)


# --- rounding -------------------------------------------------------------------------------------

BLOCK = np.random.default_rng(1).standard_t(2, size=(20, 30))  # long tails, where clipping pays


@pytest.mark.parametrize("bits", BITS)
def test_rounding_to_k_bits_leaves_at_most_2_to_the_k_values_half_a_step_away(bits):
    near = quantise_block(BLOCK, bits)
    step = (BLOCK.max() - BLOCK.min()) / (2**bits - 1)
    assert len(np.unique(near)) <= 2**bits and np.abs(near - BLOCK).max() <= step / 2 * (1 + 1e-9)


def test_one_bit_keeps_the_least_and_the_greatest():
    # by hand: 1 is in the middle
    assert quantise_block(np.array([-1.0, -0.9, 0.2, 3.0]), 1).tolist() == [-1.0, -1.0, -1.0, 3.0]


@pytest.mark.parametrize("bits", (1, 2, 4, 8))
def test_clipping_never_costs_squared_error(bits):
    errors = [
        ((quantise_block(BLOCK, bits, way) - BLOCK) ** 2).sum() for way in ("clipped", "range")
    ]
    assert errors[0] <= errors[1] and (bits > 4 or errors[0] < 0.9 * errors[1])


def test_clipping_leaves_at_most_2_to_the_k_values():
    assert len(np.unique(quantise_block(BLOCK, 3, "clipped"))) <= 8


def test_weights_that_are_all_one_value_stay():
    assert quantise_block(np.full((2, 3), 0.7), 1).tolist() == [[0.7] * 3] * 2


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="method must be one of"):
        quantise_block(BLOCK, 3, "sideways")


def by_map(block, maps):
    """Each third of a GRU's block on a grid of its own, eight values (three bits) from least to
    greatest, spelled out.
    """
    for part in (block := block.astype(float)).reshape(maps, -1):
        step = (part.max() - part.min()) / 7
        part[:] = part.min() + step * np.rint((part - part.min()) / step) if step else part
    return block.astype(np.float32).astype(float)


def test_each_map_has_a_grid_of_its_own():
    """A map a thousand times larger than another costs the smaller one nothing: on one grid the
    smaller one would be a single value.
    """
    small = BLOCK / 1_000
    large = BLOCK
    parts = {
        "Wx0": np.concatenate([small, large]),
        "b0": np.concatenate([small[:, 0], large[:, 0]]),
        "h0": np.stack([small[:, 1], large[:, 1]]),
    }
    near = quantise_network(parts, 20, 4)
    np.testing.assert_array_equal(
        near["Wx0"], np.concatenate([quantise_block(small, 4), quantise_block(large, 4)])
    )
    np.testing.assert_array_equal(
        near["b0"], np.concatenate([quantise_block(small[:, 0], 4), quantise_block(large[:, 0], 4)])
    )
    np.testing.assert_array_equal(
        near["h0"], np.stack([quantise_block(small[:, 1], 4), quantise_block(large[:, 1], 4)])
    )
    assert len(np.unique(quantise_block(parts["Wx0"], 4)[:20])) < len(np.unique(near["Wx0"][:20]))


def test_readout_and_projection_are_one_matrix_each():
    parts = {"W_out": BLOCK, "b_out": BLOCK[0], "W_in": BLOCK.T, "Wh0": BLOCK[:, :0]}
    near = quantise_network(parts, 20, 3)
    assert all(np.array_equal(near[name], quantise_block(parts[name], 3)) for name in parts)


def test_bits_kept_are_counted_by_equation_22_on_the_tasks_own_data(store):
    """An independent count: a numpy transcription of the GRU (equations 5-8) with the rounded
    weights.
    """
    trial, parts = best_network(store, STUDY)
    N = STUDY.n_units
    coarse = {
        name: by_map(block, 3 if name in ("Wx0", "Wh0", "b0") else 1)
        for name, block in parts.items()
    }
    samples = STUDY.task.samples(trial.hparams, STUDY.num_params)
    words, labels = STUDY.task.data(STUDY.seed, samples)
    x = (words.numpy()[0][:, None] >> np.arange(10) & 1).astype(float)
    sigmoid = lambda a: 1 / (1 + np.exp(-a))
    Wx, Wh, b = (
        coarse[name].reshape(3, N, *shape)
        for name, shape in (("Wx0", (10,)), ("Wh0", (N,)), ("b0", ()))
    )
    h = np.tile(coarse["h0"], (samples, 1))
    for step in range(5):
        seen = x if step == 0 or trial.hparams["input_presentation"] == "every" else 0 * x
        r = sigmoid(h @ Wh[0].T + seen @ Wx[0].T + b[0])
        u = sigmoid(h @ Wh[1].T + seen @ Wx[1].T + b[1])
        c = np.tanh((r * h) @ Wh[2].T + seen @ Wx[2].T + b[2])
        h = u * h + (1 - u) * c
    right = (((h @ coarse["W_out"].T + coarse["b_out"])[:, 0] > 0) == (labels.numpy() > 0.5)).sum()
    kept = bits_kept(STUDY, trial.hparams, parts)
    assert kept["range"][2] == pytest.approx(mutual_information(right, samples), abs=1e-6)
    assert kept["whole"] == [pytest.approx(-trial.eval_loss, rel=1e-9)] and kept["range"][
        15
    ] == pytest.approx(kept["whole"][0], rel=0.02)


def test_a_frame_says_what_its_best_trial_keeps(store, monkeypatch):
    frame = store.frame()
    done = quantise(frame, store, progress=False)
    best = frame.valid_loss.idxmin()
    assert [place for place, kept in done.kept.items() if kept is not None] == [best]
    assert {way: len(kept) for way, kept in done.kept[best].items()} == {
        "whole": 1,
        "range": 16,
        "clipped": 16,
    }
    monkeypatch.setattr(retrain, "train", no_training)
    again = quantise(
        frame, str(store.path), progress=False
    )  # a path does as well, and the weights are there now
    assert again.kept[best] == done.kept[best] and all(
        math.isfinite(bits) for bits in again.kept[best]["clipped"]
    )


def test_what_a_network_keeps_is_noted_beside_its_weights(store, monkeypatch):
    first = quantise(store.frame(), store, progress=False)
    monkeypatch.setattr("rnnkit.studies.quantisation.bits_kept", no_training)
    again = quantise(store.frame(), store, progress=False)
    assert again.kept.tolist() == first.kept.tolist()


@pytest.mark.parametrize(
    "note",
    [
        {},
        [1],
        {"whole": [1.0]},
        {"whole": [1.0], "range": [1.0] * 16, "clipped": [1.0] * 16},
        {"whole": ["much"], "range": [1.0] * 16, "clipped": [1.0] * 16},
        {"whole": None, "range": 16, "clipped": {}},
    ],
)
def test_a_note_that_cannot_be_right_is_made_again(store, note):
    right = quantise(store.frame(), store, progress=False).kept.dropna().iloc[0]
    number, _ = store.weights(STUDY.key)
    store.shelf.note(STUDY.key, number, **{NOTE: note})
    assert quantise(store.frame(), store, progress=False).kept.dropna().iloc[0] == right


def test_the_experiment_gives_trials_with_what_their_networks_keep():
    with TrialStore(":memory:") as store:
        frame = run("quantised", scale="smoke", store=store, workers=1, progress=False)
    best = frame[frame.kept.notna()]
    assert len(best) == frame[~frame.infeasible].study.nunique() and set(frame.experiment) == {
        "quantised"
    }
