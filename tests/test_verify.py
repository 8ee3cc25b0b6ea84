"""Each trial says what trained it, and can be trained again to see whether it agrees."""

import dataclasses
import math
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

import rnnkit.studies.verify as module
from rnnkit.__main__ import main
from rnnkit.analysis import origin, short_origin
from rnnkit.studies import provenance, run
from rnnkit.studies.verify import FLOOR, Retrained, apart, retrained, verify
from rnnkit.trials import StoreError, TrialStore

ROOT = Path(__file__).parents[1]


@pytest.fixture
def store():
    with TrialStore(":memory:") as store:
        for name in ("start", "fig2c", "calibration"):
            run(name, "smoke", store, trials=1, progress=False)
        yield store


def test_a_trial_carries_version_commit_torch_device_and_seed(store):
    import torch

    git = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)
    row = store.frame().iloc[0]
    assert row.version == module.rnnkit.__version__ and row.torch == torch.__version__ and row.device == "cpu" and row.seed == 0
    if (ROOT / ".git").exists() and git.returncode == 0:
        assert len(row.commit) >= 12 and (git.stdout.startswith(row.commit.removesuffix("-dirty")) or row.commit)
    else:
        assert row.commit == ""


def test_without_a_source_checkout_the_commit_is_empty(monkeypatch, tmp_path):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "site-packages" / "rnnkit" / "studies" / "provenance.py"))
    assert provenance.commit.__wrapped__() == ""


def test_every_kind_of_trial_comes_out_the_same_to_the_last_digit_on_this_machine(store):
    done = list(verify(store, count=99))
    assert len(done) == len(store) and {one.apart for one in done} == {0.0} and all(one.shaken == () for one in done)


def test_a_trial_that_was_tampered_with_differs(store):
    trial = store.trials(store.frame().study[0])[0]
    wrong = retrained(dataclasses.replace(trial, valid_loss=trial.valid_loss * 1.5 + 1))
    assert not wrong.agrees and wrong.verdict.startswith("DIFFERS: ") and len(wrong.shaken) == module.SHAKES


def test_the_plain_step_agrees_with_the_compiled_one_within_the_tolerance_that_a_trial_has_of_itself(monkeypatch):
    """Another order of summing, as on another machine."""
    from rnnkit import training

    store = TrialStore(":memory:")
    run("start", "smoke", store, progress=False)

    monkeypatch.setattr(module, "train", lambda *words, **settings: training.train(*words, **settings, engine="eager"))
    assert all(one.agrees for one in verify(store, count=99))


def test_the_tolerance_is_twice_what_shaking_does():
    """By hand: 10 against 8 is 0.2 apart, 10 against 9 is 0.1."""
    trial = TRIAL(valid_loss=8.0)
    assert Retrained(trial, 10.0).tolerance == FLOOR and not Retrained(trial, 10.0).agrees
    assert Retrained(trial, 10.0, (10.0, 9.0, 10.0)).tolerance == pytest.approx(0.2) and Retrained(trial, 10.0, (10.0, 8.9)).agrees


def test_two_that_diverged_agree_and_one_alone_does_not():
    assert apart(math.nan, math.nan) == 0 and apart(math.nan, 1.0) == apart(1.0, math.nan) == math.inf


def TRIAL(**changes):
    from test_trials import a_trial

    return a_trial(**changes)


@pytest.mark.parametrize("changes, said", [
    ({"architecture": "grue"}, "cannot be trained: architecture must be one of"),
    ({"hparams": {}}, "cannot be trained: the least of train_steps must be a whole number"),
    ({"num_params": 5}, "had 5 parameters .* Verify it with the version that trained it."),
    ({"hparams": {"train_steps": 9}, "num_params": 259}, "cannot be trained .*not of this version of the kit."),
])
def test_a_row_that_cannot_be_trained_is_told_in_a_sentence(changes, said):
    trial = TRIAL(**changes)
    if changes.get("num_params") == 259:
        trial = dataclasses.replace(trial, num_params=study_of_size(trial))
    with pytest.raises(StoreError, match=said) as caught:
        retrained(trial)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def study_of_size(trial):
    from rnnkit.studies import Study

    return Study(trial.task_type, trial.architecture, trial.n_layers, trial.max_params).num_params


def test_the_command_says_how_many_agree_and_its_exit_code_too(tmp_path):
    path = tmp_path / "trials.sqlite"
    run("start", "smoke", path, progress=False)
    done = CliRunner().invoke(main, ["trials", "verify", "--store", str(path), "--count", "2"])
    assert done.exit_code == 0 and done.output.splitlines()[-1] == "2 of 2 trials agree, 2 of them to the last digit."
    with TrialStore(path) as store, TrialStore(tmp_path / "false.sqlite") as false:
        false.add([dataclasses.replace(trial, valid_loss=trial.valid_loss - 99) for trial in store.trials(store.frame().study[0])])
    done = CliRunner().invoke(main, ["trials", "verify", "--store", str(tmp_path / "false.sqlite"), "--count", "1"])
    assert done.exit_code == 1 and "DIFFERS" in done.output and done.output.endswith("0 of 1 trials agree, 0 of them to the last digit.\n")


def test_words_say_from_which_trials_something_was_drawn(store):
    frame = store.frame().assign(version="0.1.0", commit="4590c9d0a1b2", torch="2.13.0", device="cpu", created="2026-01-02T03:04:05")
    assert origin(frame) == "Trained by rnnkit 0.1.0, commit 4590c9d0a1b2, torch 2.13.0, cpu, 2026-01-02."
    assert short_origin(frame) == "rnnkit 0.1.0 at 4590c9d0a1b2"
    old = frame.assign(commit="", torch="")
    assert origin(old) == "Trained by rnnkit 0.1.0, commit not noted, cpu, 2026-01-02." and short_origin(old) == "rnnkit 0.1.0"
    mixed = frame.assign(commit=[f"{i:012x}" for i in range(len(frame))])
    assert "commits 000000000000, 000000000001, 000000000002 and " in origin(mixed)
