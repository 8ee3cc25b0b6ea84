"""The weights of each study's best trial come back as they were, only ever improve, and a file of
something else is refused.
"""

import json
import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import safetensors.numpy
from test_trials import a_trial, one_sentence

from rnnkit.networks import blocks as shapes_of
from rnnkit.trials import StoreError, TrialStore
from rnnkit.trials.weights import file_name

STUDY = "per_cap/gru"
SHAPE = {"architecture": "gru", "n_layers": 2, "n_units": 3, "n_in": 5, "n_out": 1}


def some(value=1.0, shape=SHAPE):
    return {name: np.full(size, value, np.float32) for name, size in shapes_of(**shape).items()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trials.sqlite"


@pytest.fixture
def store(path):
    with TrialStore(path) as opened:
        yield opened


def file_of(path, study=STUDY):
    return path.with_suffix(".weights") / file_name(study)


@pytest.mark.parametrize(
    "shape",
    [
        SHAPE,
        {**SHAPE, "architecture": "lstm"},
        {**SHAPE, "architecture": "+rnn"},
        {**SHAPE, "architecture": "rnn", "n_layers": 1},
        {**SHAPE, "architecture": "linear", "n_layers": 0, "n_units": 0},
    ],
    ids=lambda shape: shape["architecture"],
)
def test_weights_come_back_as_they_were(path, shape):
    blocks = {
        name: np.random.default_rng(0).normal(size=block.shape).astype(np.float32)
        for name, block in some(shape=shape).items()
    }
    with TrialStore(path) as store:
        assert store.save_weights(STUDY, 7, -600.5, blocks, shape)
    with TrialStore(path) as store:
        number, found = store.weights(STUDY)
    assert number == 7 and set(found) == set(blocks)
    for name in blocks:
        np.testing.assert_array_equal(found[name], blocks[name])


def test_a_worse_trial_does_not_replace_a_better_one(store):
    assert store.save_weights(STUDY, 0, -10.0, some(0.0), SHAPE)
    assert not store.save_weights(STUDY, 1, -9.0, some(1.0), SHAPE)
    assert store.weights(STUDY)[0] == 0
    assert store.save_weights(STUDY, 2, -11.0, some(2.0), SHAPE)
    assert store.weights(STUDY)[0] == 2 and store.weights(STUDY)[1]["b_out"] == 2.0


def test_a_diverged_trial_leaves_no_weights(store, path):
    assert not store.save_weights(STUDY, 0, float("nan"), some(), SHAPE)
    assert not store.save_weights(STUDY, 0, 1.0, some(np.inf), SHAPE)
    assert not path.with_suffix(".weights").exists()


def test_a_study_has_a_file_of_its_own_whose_name_can_be_read(store, path):
    keys = [
        "per_cap/+rnn/layers=2/params=300",
        "per_cap/+rnn/layers=2/params=3_00",
        "per_cap/../../etc/passwd",
        "x" * 400,
    ]
    for key in keys:
        store.save_weights(key, 0, 1.0, some(), SHAPE)
    names = sorted(file.name for file in path.with_suffix(".weights").iterdir())
    assert len(names) == 4 and any(
        name.startswith("per-cap-+rnn-layers=2-params=300-") for name in names
    )
    assert max(map(len, names)) < 120 and not (path.parent.parent / "etc").exists()


def test_the_same_weights_give_the_same_file(tmp_path):
    """safetensors writes several entries of metadata in any order; there is one."""
    for name in "ab":
        with TrialStore(tmp_path / f"{name}.sqlite") as store:
            store.save_weights(STUDY, 0, 1.0, some(), SHAPE)
    assert (
        file_of(tmp_path / "a.sqlite").read_bytes() == file_of(tmp_path / "b.sqlite").read_bytes()
    )


def test_a_study_without_weights_is_reported(store):
    with pytest.raises(StoreError, match="has no weights of per_cap/gru") as caught:
        store.weights(STUDY)
    one_sentence(caught)


def test_blocks_that_are_no_network_are_refused(store):
    with pytest.raises(ValueError, match="Wh0 is float64"):
        store.save_weights(STUDY, 0, 1.0, some() | {"Wh0": np.zeros((9, 3))}, SHAPE)
    with pytest.raises(ValueError, match="Wx0 is float32 of shape"):
        store.save_weights(STUDY, 0, 1.0, some(), {**SHAPE, "n_in": 4})


def test_a_store_in_memory_keeps_weights_in_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with TrialStore(":memory:") as store:
        assert store.save_weights(STUDY, 3, 1.0, some(), SHAPE) and store.weights(STUDY)[0] == 3
    assert list(tmp_path.iterdir()) == []


# --- along with a Parquet file --------------------------------------------------------------------


def exported(tmp_path):
    with TrialStore(tmp_path / "source.sqlite") as store:
        store.add([a_trial(0, n_layers=2, n_units=3)])
        store.save_weights(STUDY, 0, -600.5, some(), SHAPE)
        (tmp_path / "out").mkdir(exist_ok=True)
        store.export(tmp_path / "out" / "trials.parquet")
    return tmp_path / "out" / "trials.parquet"


def test_export_and_import_carry_the_weights(tmp_path, store):
    store.import_(exported(tmp_path))
    assert store.weights(STUDY)[0] == 0 and file_of(store.path).is_file()


def test_import_keeps_what_is_better(tmp_path, store):
    store.save_weights(STUDY, 9, -700.0, some(), SHAPE)
    store.import_(exported(tmp_path))
    assert store.weights(STUDY)[0] == 9


def test_a_parquet_file_opens_with_the_weights_beside_it_and_better_ones_are_kept_apart(tmp_path):
    parquet = exported(tmp_path)
    before = file_of(parquet).read_bytes()
    with TrialStore(parquet) as store:
        assert store.weights(STUDY)[0] == 0 and not store.save_weights(
            STUDY, 1, -600.0, some(), SHAPE
        )
        assert store.save_weights(STUDY, 1, -601.0, some(), SHAPE) and store.weights(STUDY)[0] == 1
    with TrialStore(parquet) as store:
        assert store.weights(STUDY)[0] == 1
    assert (
        file_of(parquet).read_bytes() == before
        and file_of(parquet.with_name("trials-more.sqlite")).is_file()
    )


def test_an_export_leaves_better_weights_in_their_place(tmp_path):
    parquet = exported(tmp_path)
    before = file_of(parquet).read_bytes()
    with TrialStore(tmp_path / "other.sqlite") as store:
        store.add([a_trial(4)])
        store.save_weights(STUDY, 4, -500.0, some(), SHAPE)
        store.export(parquet)
    assert file_of(parquet).read_bytes() == before


def test_export_of_better_weights_replaces_the_older_file(tmp_path):
    parquet = exported(tmp_path)
    with TrialStore(tmp_path / "source.sqlite") as store:
        store.save_weights(STUDY, 4, -800.0, some(), SHAPE)
        store.export(parquet)
    with TrialStore(parquet) as store:
        assert store.weights(STUDY)[0] == 4


def test_import_tells_of_a_bad_file_of_weights_and_takes_the_trials(tmp_path, store):
    parquet = exported(tmp_path)
    file_of(parquet).write_bytes(b"no such thing")
    with pytest.warns(UserWarning, match="does not hold the weights"):
        assert store.import_(parquet) == 1
    with pytest.raises(StoreError):
        store.weights(STUDY)


# --- files that are no weights --------------------------------------------------------------------


def stored(about=(), **changes):
    """A file of weights with something changed: blocks replaced, or dropped for None; entries of
    its account replaced.
    """
    blocks = {name: block for name, block in (some() | changes).items() if block is not None}
    account = {**SHAPE, "study": STUDY, "hyper_iter": 0, "valid_loss": 1.0, **dict(about)}
    return safetensors.numpy.save(blocks, {"about": json.dumps(account)})


class Trap:
    def __reduce__(self):
        return os.mkdir, ("sprung",)


HOSTILE = {
    "empty": b"",
    "a text": b"a letter to my mother" * 20,
    "a pickle": pickle.dumps(Trap()),
    "a header that is said to be huge": (1 << 60).to_bytes(8, "little") + stored()[8:],
    "cut off": stored()[:-5],
    "no account": safetensors.numpy.save(some()),
    "an account that is no object": safetensors.numpy.save(some(), {"about": "[1]"}),
    "an account as deep as a well": safetensors.numpy.save(some(), {"about": "[" * 50_000}),
    "another study": stored({"study": "per_cap/lstm"}),
    "a number that is none": stored({"hyper_iter": -1}),
    "a loss that is none": stored({"valid_loss": "low"}),
    "units that do not fit": stored({"n_units": 4}),
    "layers without end": stored({"n_layers": 10_000_000}),
    "a missing block": stored(b1=None),
    "a block too many": stored(W_extra=np.zeros(3, np.float32)),
    "another shape": stored(Wh1=np.zeros((3, 9), np.float32)),
    "another type": stored(Wh1=np.zeros((9, 3), np.float64)),
    "a loss without bounds": stored({"valid_loss": -(10**400)}),
    "a loss of training again that is none": stored({"trial_loss": "low"}),
    "a script for a block": stored(**{"<script>\x1b[2J": np.zeros(1, np.float32)}),
    "blocks without end": stored(**dict.fromkeys(map(str, range(9999)), np.zeros(1, np.float32))),
    "a number that is not finite": stored(b_out=np.full(1, np.nan, np.float32)),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_file_of_something_else_is_refused_in_a_sentence(store, path, what):
    file_of(path).parent.mkdir()
    file_of(path).write_bytes(HOSTILE[what])
    with pytest.raises(StoreError, match="does not hold the weights") as caught:
        store.weights(STUDY)
    one_sentence(caught)
    assert len(str(caught.value)) < 600 and not {"<", "\x1b"} & set(str(caught.value))
    assert not os.path.exists("sprung")


@pytest.mark.parametrize(
    "false",
    [
        {"valid_loss": -1e308},
        {"valid_loss": -1e308, "trial_loss": -600.5},
        {"hyper_iter": 7},
        {"architecture": "rnn"},
    ],
    ids=str,
)
def test_weights_that_no_trial_has_do_not_keep_out_those_of_the_best(tmp_path, store, false):
    parquet = exported(tmp_path)
    file_of(parquet).write_bytes(stored({"valid_loss": -600.5} | false))
    assert store.import_(parquet) == 1
    with pytest.raises(StoreError, match="has no weights"):
        store.weights(STUDY)
    assert store.save_weights(STUDY, 3, -601.0, some(), SHAPE)


def test_weights_of_a_trial_that_was_trained_again_are_imported(tmp_path, store):
    parquet = exported(tmp_path)
    file_of(parquet).write_bytes(stored({"valid_loss": -599.0, "trial_loss": -600.5}))
    store.import_(parquet)
    assert store.weights(STUDY)[0] == 0


def test_a_file_that_is_too_large_is_refused_before_it_is_read_whole(store, path, monkeypatch):
    monkeypatch.setattr("rnnkit.trials.weights.MAX_BYTES", 100)
    store.save_weights(STUDY, 0, 1.0, some(), SHAPE)
    with pytest.raises(StoreError, match="too large"):
        store.weights(STUDY)


def test_a_file_that_cannot_be_read_is_replaced_by_the_next_weights(store, path):
    file_of(path).parent.mkdir()
    file_of(path).write_bytes(b"broken")
    assert store.save_weights(STUDY, 5, 1.0, some(), SHAPE) and store.weights(STUDY)[0] == 5


def test_where_weights_cannot_be_kept_one_warning_says_so_and_trials_are_kept(store, path):
    path.with_suffix(".weights").write_text("a file where the folder should be")
    store.add([a_trial(0)])
    with pytest.warns(UserWarning, match="cannot be kept") as told:
        assert not store.save_weights(STUDY, 0, 1.0, some(), SHAPE)
        assert not store.save_weights("another", 0, 1.0, some(), SHAPE)
    assert len(told) == 1 and len(store) == 1


def test_a_full_disk_costs_the_weights_and_not_the_trial(path):
    """A limit on the size of files stands for the disk."""
    script = f"""
import resource, signal, sys, warnings
sys.path.insert(0, {os.path.dirname(__file__)!r})
from test_weights import *
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
shape = {{**SHAPE, "n_units": 200}}
with TrialStore({str(path)!r}) as store:
    store.add([a_trial(0)])
    store.save_weights(STUDY, 0, 1.0, some(1.0), SHAPE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        print(store.save_weights(STUDY, 1, 0.5, some(1.0, shape), shape), store.add([a_trial(1)]), store.weights(STUDY)[0])
    print(*(warning.message for warning in told))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.startswith("False 1 0\n") and "cannot be kept" in done.stdout, done.stderr
    assert [file.suffix for file in path.with_suffix(".weights").iterdir()] == [
        ".safetensors"
    ]  # nothing half written


def test_reading_and_writing_warn_of_nothing(store):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.save_weights(STUDY, 0, 1.0, some(), SHAPE)
        assert store.weights(STUDY)[0] == 0
