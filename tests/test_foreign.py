"""Trials from elsewhere are checked against their study's space before they are imported."""

import dataclasses

import pyarrow
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from test_trials import a_trial

from rnnkit.__main__ import main
from rnnkit.studies import run
from rnnkit.studies.import_check import ImportCheck
from rnnkit.tasks import TASKS
from rnnkit.trials import StoreError, TrialStore


@pytest.fixture(scope="module")
def trials():
    """Real ones: one of the capacity and one of the memory task."""
    with TrialStore(":memory:") as store:
        for name in ("start", "fig2c"):
            run(name, "smoke", store, trials=1, progress=False)
        found = [store.trials(key)[0] for key in store.studies()]
    return {trial.task_type: trial for trial in found}


def without(hparams, name):
    return {key: value for key, value in hparams.items() if key != name}


def forge(file, name, value):
    """Sets a column of a Parquet file to one value."""
    table = pyarrow.parquet.read_table(file)
    field = table.schema.field(name)
    column = pyarrow.array([value] * len(table), field.type)
    table = table.set_column(table.schema.get_field_index(name), field, column)
    pyarrow.parquet.write_table(table, file)


def test_real_trials_are_let_in(trials):
    assert len(trials) == 2 and [ImportCheck("x")(trial) for trial in trials.values()] == [
        None,
        None,
    ]


@pytest.mark.parametrize(
    "change, said",
    [
        (
            lambda t: {"hparams": {**t.hparams, "lr_init": 5.0}},
            "has lr_init = 5.0, and its space has lr_init in",
        ),
        (lambda t: {"hparams": {**t.hparams, "optimizer": "Adamant"}}, "has optimizer = 'Adamant'"),
        (
            lambda t: {"hparams": {**t.hparams, "gradient_clip_val": "1"}},
            "has gradient_clip_val = '1'",
        ),
        (
            lambda t: {"hparams": {**t.hparams, "train_steps": 10**9}},
            "has train_steps = 1000000000",
        ),
        (lambda t: {"hparams": without(t.hparams, "l2_decay")}, "has no l2_decay"),
        (lambda t: {"hparams": {}}, "has no "),
        (lambda t: {"max_params": 10**6}, "is of .*params=1000000"),
        (lambda t: {"n_layers": 3}, "is of .*layers=3"),
        (lambda t: {"seed": 7}, "and seed 7"),
        (lambda t: {"tuner": "random"}, "the tuner random"),
        (lambda t: {"form": "huge"}, "form=huge"),
        (lambda t: {"n_units": 10**6}, "has 1,000,000 units and only"),
        (lambda t: {"num_params": 10**6}, "has 1,000,000 parameters, more than"),
        (lambda t: {"steps": t.hparams["train_steps"] + 1}, "training steps"),
    ],
)
@pytest.mark.parametrize("task", ["per_cap", "mem_thru"])
def test_a_trial_that_its_study_cannot_have_is_refused(trials, task, change, said):
    false = dataclasses.replace(trials[task], **change(trials[task]))
    with pytest.raises(StoreError, match=said) as caught:
        ImportCheck("x.parquet")(false)
    assert str(caught.value).startswith(
        "x.parquet does not hold trials: number 0 of "
    ) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name, word", [("n_in", "in"), ("unroll", "unroll")])
def test_a_task_of_another_size_than_the_key_says_is_refused(trials, name, word):
    trial = dataclasses.replace(trials["per_cap"], **{name: 9_999_999})
    with pytest.raises(StoreError, match=f"is of .*{word}=9999999"):
        ImportCheck("x")(trial)


@pytest.mark.parametrize("name", ["n_in", "unroll", "n_units", "n_layers"])
def test_sizes_that_no_machine_holds_are_refused(trials, tmp_path, name):
    with TrialStore(tmp_path / "one.sqlite") as store:
        with pytest.raises(StoreError, match=f"{name} must be .*It was not stored."):
            store.add([dataclasses.replace(trials["mem_thru"], **{name: 2**40})])
        store.add([trials["mem_thru"]])
        store.export(tmp_path / "one.parquet")
    forge(tmp_path / "one.parquet", name, 2**40)
    with TrialStore(":memory:") as store:
        with pytest.raises(StoreError, match=f"{name} must be 10,000,000 or less"):
            store.import_(tmp_path / "one.parquet")


def test_a_step_that_no_sequence_has_is_refused():
    """It would be read past the end of the sequence."""
    trial = a_trial(
        architecture="rnn", task_type="arithmetic", form="tiny", hparams={"compute_steps": 7}
    )
    with pytest.raises(StoreError, match="has compute_steps = 7"):
        ImportCheck("x")(trial)


def test_a_cell_or_a_task_of_somebody_elses_is_accepted():
    assert "knitting" not in TASKS
    assert ImportCheck("x")(a_trial(architecture="theirs", hparams={"lr_init": 9.0})) is None
    assert ImportCheck("x")(a_trial(task_type="knitting", hparams={"lr_init": 9.0})) is None


def test_a_file_with_one_false_trial_is_not_imported_at_all(trials, tmp_path):
    trial = trials["per_cap"]
    false = dataclasses.replace(trial, hyper_iter=1, hparams={**trial.hparams, "lr_init": 5.0})
    file = tmp_path / "false.parquet"
    path = tmp_path / "trials.sqlite"
    with TrialStore(":memory:") as store:
        store.add([trial, false])
        store.export(file)
    done = CliRunner().invoke(main, ["trials", "import", str(file), "--store", str(path)])
    assert done.exit_code == 1 and "has lr_init = 5.0" in done.stderr
    with TrialStore(path) as store:
        assert len(store) == 0


def test_an_import_that_would_keep_nothing_is_refused_and_one_into_a_parquet_file_is_kept_beside_it(
    trials, tmp_path
):
    one = tmp_path / "one.parquet"
    two = tmp_path / "two.parquet"
    for file, trial in zip((one, two), trials.values()):
        with TrialStore(":memory:") as store:
            store.add([trial])
            store.export(file)
    done = CliRunner().invoke(main, ["trials", "import", str(one), "--store", ":memory:"])
    assert done.exit_code == 2 and "would not be kept" in done.stderr
    done = CliRunner().invoke(main, ["trials", "import", str(one), "--store", str(two)])
    assert (
        done.output == f"1 new trials; {two} now has 2.\n"
        and (tmp_path / "two-more.sqlite").exists()
    )
    with TrialStore(two) as store:
        assert len(store) == 2
