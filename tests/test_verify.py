"""Each trial says what trained it, and can be trained again to see whether it agrees."""

import dataclasses
import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

import rnnkit.studies.verify as module
from rnnkit.__main__ import main
from rnnkit.exhibits.budget import origin, short_origin
from rnnkit.studies import Study, provenance, run
from rnnkit.studies.verify import (
    CHAOS,
    FLOOR,
    LIMIT,
    Comparison,
    disagreements,
    relative_difference,
    retrain,
    verify,
)
from rnnkit.training import Outcome
from rnnkit.trials import LOSSES, StoreError, TrialStore

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def store():
    """A trial of each study; no test changes them."""
    with TrialStore(":memory:") as store:
        for name in ("start", "fig2c", "calibration"):
            run(name, "smoke", store, trials=1, progress=False)
        yield store


def test_a_trial_carries_version_commit_torch_device_and_seed(store):
    import torch

    git = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True
    )
    row = store.frame().iloc[0]
    assert (
        row.version == module.rnnkit.__version__
        and row.torch == torch.__version__
        and row.device == "cpu"
        and row.seed == 0
    )
    if (ROOT / ".git").exists() and git.returncode == 0:
        assert len(row.commit) >= 12 and (
            git.stdout.startswith(row.commit.removesuffix("-dirty")) or row.commit
        )
    else:
        assert row.commit == ""


def test_without_a_source_checkout_the_commit_is_empty(monkeypatch, tmp_path):
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path / "site-packages" / "rnnkit")
    assert provenance.commit.__wrapped__() == ""


SAY = """
import json
from rnnkit.studies.provenance import provenance
{before}
provenance("cpu")
{after}
print(json.dumps(provenance("cpu")))
"""


def git(folder, *words):
    own = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    mail = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    words = ["git", "-C", str(folder), *mail, *words]
    return subprocess.run(words, check=True, capture_output=True, text=True, env=own).stdout.strip()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The kit in a repository of its own, of one commit."""
    folder = tmp_path_factory.mktemp("checkout")
    away = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "rnnkit", folder / "rnnkit", ignore=away)
    (folder / ".gitignore").write_text("__pycache__/\n")
    git(folder, "init", "-q"), git(folder, "add", "."), git(folder, "commit", "-q", "-m", "All")
    return folder


def said_by(checkout, before="", after="", **environment):
    """What a trial notes of its origin, as a process of its own says it."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), **environment}
    code = SAY.format(before=before, after=after)
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=checkout)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_commit_is_that_of_the_kit_whatever_repository_the_environment_names(checkout, tmp_path):
    git(tmp_path, "init", "-q"), git(tmp_path, "commit", "-q", "--allow-empty", "-m", "Another")
    other = {"GIT_DIR": str(tmp_path / ".git"), "GIT_WORK_TREE": str(tmp_path)}
    said = said_by(checkout, **other)
    assert said == said_by(checkout) and said["commit"] == git(checkout, "rev-parse", "HEAD")[:12]
    assert len(said["source"]) == 12 and set(said["source"]) <= set("0123456789abcdef")


@pytest.mark.parametrize("name", ["native/step.cpp", "of_my_own.py"])
def test_an_edit_and_a_new_module_are_noticed_before_the_first_trial_and_after_it(checkout, name):
    path = checkout / "rnnkit" / name
    clean = said_by(checkout)
    before = path.read_bytes() if path.exists() else None
    write = f"open({str(path)!r}, 'a').write('\\n')"
    try:
        later = said_by(checkout, after=write)
        assert later["commit"] == f"{clean['commit']}-dirty"
        assert later["source"] == f"{clean['source']}-edited"
        new = said_by(checkout)
        assert new["commit"] == f"{clean['commit']}-dirty"
        assert new["source"] not in (clean["source"], later["source"]) and len(new["source"]) == 12
    finally:
        path.unlink() if before is None else path.write_bytes(before)
    assert said_by(checkout) == clean


def test_a_file_that_was_only_touched_is_no_edit(checkout):
    path = str(checkout / "rnnkit" / "draws.py")
    touched = said_by(checkout, after=f"import os; os.utime({path!r})")
    assert touched == said_by(checkout)


def test_every_kind_of_trial_comes_out_the_same_to_the_last_digit_on_this_machine(store):
    done = list(verify(store, count=99))
    assert (
        len(done) == len(store)
        and all(one.exact and one.agrees and one.perturbations == () for one in done)
        and disagreements(done) == []
    )


def first_of(store, task):
    frame = store.frame()
    return store.trials(frame.study[frame.task_type == task].iloc[0])[0]


@pytest.mark.parametrize(
    "change, told",
    [
        ({"valid_loss": 1.5}, "valid_loss is"),
        ({"train_loss": 0.9}, "train_loss is"),
        ({"eval_loss": 0.9}, "eval_loss is"),
        ({"n_units": 2}, "n_units is"),
        ({"steps": 0.5}, "steps is"),
    ],
)
def test_a_trial_that_was_tampered_with_differs(store, change, told):
    """Each column is multiplied by a number; a tenth is enough for a loss."""
    ((name, factor),) = change.items()
    trial = first_of(store, "mem_thru")
    value = getattr(trial, name) * factor
    wrong = retrain(
        dataclasses.replace(trial, **{name: int(value) if name in ("n_units", "steps") else value})
    )
    assert (
        wrong.wrong == [name] and not wrong.agrees and wrong.verdict.startswith(f"DIFFERS: {told}")
    )


def test_a_loss_that_is_a_tenth_better_differs_however_chaotic_the_trial(store):
    """Shaken outcomes that are all over the place would allow for anything, were it not for the
    limit.
    """
    for task in ("mem_thru", "per_cap"):
        one = retrain(first_of(store, task))
        better = {
            name: getattr(one.trial, name) - 0.1 * abs(getattr(one.trial, name)) for name in LOSSES
        }
        wild = dataclasses.replace(one.outcome, **{name: 3 * loss for name, loss in better.items()})
        false = dataclasses.replace(
            one, trial=dataclasses.replace(one.trial, **better), perturbations=(wild,)
        )
        assert set(false.wrong) == {name for name in LOSSES if getattr(one.trial, name)}


def test_a_trial_that_says_it_diverged_and_did_not_differs(store):
    trial = dataclasses.replace(
        first_of(store, "mem_thru"),
        infeasible=True,
        train_loss=math.nan,
        valid_loss=math.nan,
        eval_loss=math.nan,
    )
    assert "infeasible" in retrain(trial).wrong and not retrain(trial).agrees


def test_where_one_is_exact_all_of_its_origin_must_be(store):
    """The stored loss is a hundred-thousandth off, which rounding may do, but not on a machine that
    gives other trials exactly.
    """
    one = retrain(first_of(store, "mem_thru"))
    exact = dataclasses.replace(
        one,
        trial=dataclasses.replace(one.trial, steps=CHAOS),
        outcome=dataclasses.replace(one.outcome, steps=CHAOS),
    )
    near = dataclasses.replace(
        exact, trial=dataclasses.replace(exact.trial, eval_loss=exact.trial.eval_loss * (1 + 1e-5))
    )
    elsewhere = dataclasses.replace(near, trial=dataclasses.replace(near.trial, torch="1.0"))
    assert (
        near.agrees
        and not near.exact
        and disagreements([near, elsewhere]) == []
        and disagreements([exact, near, elsewhere]) == [near]
    )


def test_the_plain_step_agrees_with_the_compiled_one_within_the_tolerance_that_a_trial_has_of_itself(
    monkeypatch,
):
    """Another order of summing, as on another machine."""
    from rnnkit import training

    store = TrialStore(":memory:")
    run("start", "smoke", store, progress=False)

    monkeypatch.setattr(
        module,
        "train",
        lambda *words, **settings: training.train(*words, **settings, engine="eager"),
    )
    assert all(one.agrees for one in verify(store, count=99))


def test_the_tolerance_is_twice_what_shaking_does_up_to_a_limit():
    """By hand: 10 against 9.9 is a hundredth apart, 10 against 9 a tenth."""

    def outcome(loss):
        return Outcome(loss, loss, loss, False, 500, 1.0, 289, "cpu")

    trial = TRIAL(train_loss=9.85, valid_loss=9.85, eval_loss=9.85, n_units=1)
    assert (
        Comparison(trial, outcome(10.0), 1).tolerance("eval_loss") == FLOOR
        and not Comparison(trial, outcome(10.0), 1).agrees
    )
    shaken = Comparison(trial, outcome(10.0), 1, (outcome(10.0), outcome(9.9)))
    assert shaken.tolerance("eval_loss") == pytest.approx(0.02) and shaken.agrees
    assert (
        Comparison(trial, outcome(10.0), 1, (outcome(9.0),)).tolerance("valid_loss")
        == LIMIT
        == 0.05
    )


@pytest.mark.parametrize("task", ["mem_thru", "per_cap"])
def test_a_forged_trial_is_found_whatever_column_a_figure_reads(store, task):
    """Losses that are no numbers, results that are left out, and columns, keys and hyper-parameters
    that the training does not read.
    """
    trial = first_of(store, task)
    hparams = trial.hparams
    forgeries = [{name: value} for name in (*LOSSES, "accuracy") for value in (math.inf, -math.inf)]
    forgeries += [
        {"n_units": 0 if trial.n_units else 1},
        {"num_params": trial.num_params - 1},
        {"n_in": trial.n_in + 1},
    ]
    forgeries += [{"max_params": trial.max_params + 1}, {"unroll": trial.unroll + 1}]
    forgeries += [{"tuner": "random"}, {"study": trial.study.replace("seed=0", "seed=1")}]
    forgeries += [{"study": f"{trial.study}0"}, {"study": "mine"}, {"hparams": hparams | {"x": 1}}]
    forgeries += [{"accuracy": 0.5 if math.isnan(trial.accuracy) else math.nan}]
    for changes in forgeries:
        try:
            assert not retrain(dataclasses.replace(trial, **changes)).agrees, changes
        except StoreError as error:
            assert str(error).startswith(f"Trial 0 of {changes.get('study', trial.study)}"), changes
    assert retrain(trial).exact


def test_hyper_parameters_that_random_search_did_not_draw_are_found():
    study = Study("per_cap", "rnn", 1, 100, train_steps=(3, 9), tuner="random")
    pinned = dataclasses.replace(study, pinned=(("optimizer", "SGD"),))
    with TrialStore(":memory:") as store:
        for one in (study, pinned):
            one.run(store, 2)
        trials = store.trials(study.key)
        (of_pinned, _) = store.trials(pinned.key)
    assert all(retrain(trial).exact for trial in (*trials, of_pinned))
    chosen = dataclasses.replace(trials[0], hparams=trials[1].hparams)
    with pytest.raises(StoreError, match="and random search drew .*No training made this trial."):
        retrain(chosen)
    other = dataclasses.replace(of_pinned, hparams=of_pinned.hparams | {"optimizer": "Adam"})
    with pytest.raises(StoreError, match="has optimizer = 'Adam', and its study pins it at 'SGD'"):
        retrain(other)


def test_two_that_diverged_agree_and_one_alone_does_not():
    assert relative_difference(math.inf, math.inf) == 0
    assert relative_difference(-math.inf, math.inf) == relative_difference(1, -math.inf) == math.inf
    assert (
        relative_difference(math.nan, math.nan) == 0
        and relative_difference(math.nan, 1.0) == relative_difference(1.0, math.nan) == math.inf
    )


def TRIAL(**changes):
    from test_trials import a_trial

    return a_trial(**changes)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"architecture": "grue"}, "is of per_cap/grue/"),
        ({"hparams": {}}, "has no .*, and its space has"),
        ({"lr_init": 9.0}, "has lr_init = 9.0, and its space has lr_init in"),
        ({"study": "per_cap/gru"}, "cannot be trained: The key of a study must be one that"),
        ({"of": "0" * 8}, "is of per_cap/.* in rnnkit .* Verify it with the version that trained"),
    ],
)
def test_a_row_that_cannot_be_trained_is_told_in_a_sentence(store, changes, said):
    trial = first_of(store, "per_cap")
    if "lr_init" in changes:
        changes = {"hparams": trial.hparams | changes}
    if "of" in changes:
        changes = {"study": f"{trial.study[:-8]}{changes['of']}"}
    with pytest.raises(StoreError, match=said) as caught:
        retrain(dataclasses.replace(trial, **changes))
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_the_command_says_how_many_agree_and_its_exit_code_too(tmp_path):
    path = tmp_path / "trials.sqlite"
    run("start", "smoke", path, progress=False)
    done = CliRunner().invoke(main, ["trials", "verify", "--store", str(path), "--count", "2"])
    assert (
        done.exit_code == 0
        and done.output.splitlines()[-1] == "2 of 2 trials agree, 2 of them to the last digit."
    )
    with TrialStore(path) as store, TrialStore(tmp_path / "false.sqlite") as false:
        false.add(
            [
                dataclasses.replace(trial, valid_loss=trial.valid_loss - 99)
                for trial in store.trials(store.frame().study[0])
            ]
        )
    done = CliRunner().invoke(
        main, ["trials", "verify", "--store", str(tmp_path / "false.sqlite"), "--count", "1"]
    )
    assert (
        done.exit_code == 1
        and "DIFFERS" in done.output
        and done.output.endswith("0 of 1 trials agree, 0 of them to the last digit.\n")
    )


def test_the_command_goes_on_after_refused_trials_and_lists_the_first_of_them(tmp_path):
    path = tmp_path / "trials.sqlite"
    study = Study("per_cap", "rnn", 1, 100, train_steps=(3, 9), tuner="random")
    with TrialStore(":memory:") as store, TrialStore(path) as forged:
        study.run(store, 9)
        trials = store.trials(study.key)
        rows = [dataclasses.replace(trial, hparams=trials[0].hparams) for trial in trials[:7]]
        forged.add(rows + trials[7:])
    with closing(sqlite3.connect(path)) as sql, sql:
        sql.execute("UPDATE trials SET n_units = 'ten' WHERE hyper_iter = 7")
    command = ["trials", "verify", "--store", str(path), "--count", "9"]
    done = CliRunner().invoke(main, command)
    (at,) = (k for k, line in enumerate(done.output.splitlines()) if "trials agree" in line)
    assert done.output.splitlines()[at:][:2] == [
        "2 of 2 trials agree, 2 of them to the last digit.",
        "7 trials are refused:",
    ]
    listed = done.output.splitlines()[at + 2 :]
    assert listed[-1] == "  ... and 2 more" and len(listed) == 6 and done.exit_code == 1
    assert all(line.startswith("  Trial ") and line.endswith(".") for line in listed[:-1])
    with TrialStore(path) as store:
        refused = [str(each) for each in verify(store, 9) if isinstance(each, StoreError)]
    assert len(refused) == 7
    assert sum("where int is needed" in sentence for sentence in refused) == 1
    assert sum("No training made this trial." in sentence for sentence in refused) == 6


def test_words_say_from_which_trials_something_was_drawn(store):
    frame = store.frame().assign(
        version="0.1.0",
        commit="4590c9d0a1b2",
        torch="2.13.0",
        device="cpu",
        created="2026-01-02T03:04:05",
    )
    assert (
        origin(frame)
        == "Trained by rnnkit 0.1.0, commit 4590c9d0a1b2, torch 2.13.0, cpu, 2026-01-02."
    )
    assert short_origin(frame) == "rnnkit 0.1.0 at 4590c9d0a1b2"
    old = frame.assign(commit="", torch="", source="")
    assert (
        origin(old) == "Trained by rnnkit 0.1.0, commit not noted, cpu, 2026-01-02."
        and short_origin(old) == "rnnkit 0.1.0"
    )
    wheel = frame.assign(commit="", source="0123456789ab")
    assert ", commit not noted, source 0123456789ab, torch " in origin(wheel)
    mixed = frame.assign(commit=[f"{i:012x}" for i in range(len(frame))])
    assert "commits 000000000000, 000000000001, 000000000002 and " in origin(mixed)
