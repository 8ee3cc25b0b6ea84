"""The store keeps what it is given, once, and says in one sentence what is wrong with a file that
is no store.
"""

import contextlib
import dataclasses
import io
import json
import math
import multiprocessing
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from rnnkit.studies import EXPERIMENTS, Study, studies_of
from rnnkit.studies.study import COLUMN_FIELDS
from rnnkit.trials import COLUMNS, StoreError, Trial, TrialStore
from rnnkit.trials.key import parse
from rnnkit.trials.pages import Column, read_columns, read_pages


def a_trial(hyper_iter=0, study="per_cap/gru", **changes):
    values = dict(
        study=study,
        architecture="gru",
        task_type="per_cap",
        hparams={"lr_init": 0.01, "optimizer": "Adam", "train_steps": 500},
        n_layers=1,
        hyper_iter=hyper_iter,
        max_params=300,
        num_params=289,
        train_loss=0.25,
        valid_loss=-600.5,
        eval_loss=-600.5,
        infeasible=False,
        steps=500,
        seconds=1.5,
        seed=0,
        scale="smoke",
        device="cpu",
        version="0.1.0",
        created="2026-01-02T03:04:05+00:00",
        n_in=50,
        unroll=5,
        tuner="gp",
    )
    return Trial(**{**values, **changes})


def by_field(*trials) -> list[dict]:
    """Trials to be compared: NaN is NaN, which from Python 3.13 on it is not within a dataclass."""
    return [
        {
            name: "NaN" if value != value else value
            for name, value in dataclasses.asdict(one).items()
        }
        for one in trials
    ]


NAN = dict(train_loss=math.nan, valid_loss=math.nan, eval_loss=math.nan, infeasible=True)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trials.sqlite"


def one_sentence(caught):
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and "Traceback" not in text
    return text


def test_trials_come_back_as_they_were_in_the_order_of_their_numbers(path):
    trials = [a_trial(2), a_trial(0), a_trial(1)]
    with TrialStore(path) as store:
        store.add(trials)
    with TrialStore(path) as store:
        came = store.trials("per_cap/gru")
    assert by_field(*came) == by_field(trials[1], trials[2], trials[0])


def test_what_the_store_has_is_kept(path):
    with TrialStore(path) as store:
        assert store.add([a_trial(0, seconds=1.0)]) == 1
        assert store.add([a_trial(0, seconds=2.0), a_trial(1)]) == 1
        assert [trial.seconds for trial in store.trials("per_cap/gru")] == [1.0, 1.5]


def test_an_infeasible_trial_is_null_in_the_file_and_nan_in_the_frame(path):
    with TrialStore(path) as store:
        store.add([a_trial(0, **NAN)])
        row = store.frame().iloc[0]
        assert (
            row.infeasible
            and math.isnan(row.valid_loss)
            and math.isnan(store.trials("per_cap/gru")[0].eval_loss)
        )
    (row,) = sqlite3.connect(path).execute(
        "SELECT train_loss, valid_loss, eval_loss, infeasible FROM trials"
    )
    assert row == (None, None, None, 1)


def test_the_table_has_the_authors_columns_and_ours(path):
    TrialStore(path).close()
    names = {row[1] for row in sqlite3.connect(path).execute("PRAGMA table_info(trials)")}
    authors = (
        "architecture task_type hparams n_layers hyper_iter max_params num_params train_loss"
        " valid_loss eval_loss"
    )
    assert names >= {
        *authors.split(),
        *"infeasible steps seconds seed scale device version created".split(),
    } and names == set(COLUMNS)


def test_a_frame_is_typed_even_where_it_is_empty(path):
    with TrialStore(path) as store:
        empty = store.frame()
        store.add([a_trial()])
        full = store.frame()
    for frame in (empty, full):
        assert (frame["n_layers"].dtype, frame["valid_loss"].dtype, frame["infeasible"].dtype) == (
            "int64",
            "float64",
            "bool",
        )
    assert full["hparams"][0]["optimizer"] == "Adam"


def test_a_frame_holds_the_studies_that_were_asked_for(path):
    with TrialStore(path) as store:
        store.add([a_trial(0, study=key) for key in "abc"])
        assert list(store.frame(["c", "a", "a", "unknown"])["study"]) == ["a", "c"]
        assert store.numbers("b") == {0} and store.numbers("unknown") == set()


def test_a_reader_sees_each_trial_as_soon_as_it_is_written(path):
    with TrialStore(path) as writer, TrialStore(path) as reader:
        for n in range(3):
            writer.add([a_trial(n)])
            assert len(reader) == n + 1


def test_a_reader_is_not_held_up_by_a_writer_at_work(path):
    with TrialStore(path) as store, TrialStore(path, patience=0.1) as reader:
        store.add([a_trial()])
        other = sqlite3.connect(path)
        other.execute("BEGIN IMMEDIATE")
        assert len(reader) == 1


def add_many(path, offset):
    with TrialStore(path) as store:
        for n in range(50):
            store.add([a_trial(n), a_trial(n + offset, study="own")])


def test_two_processes_that_write_lose_and_double_nothing(path):
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=add_many, args=(path, offset)) for offset in (0, 50)]
    [process.start() for process in both]
    [process.join() for process in both]
    assert [process.exitcode for process in both] == [0, 0]
    with TrialStore(path) as store:
        assert (
            store.numbers("per_cap/gru") == set(range(50))
            and store.numbers("own") == set(range(100))
            and len(store) == 150
        )


def test_a_store_cut_off_in_its_log_opens_with_what_was_complete(path, tmp_path):
    """What a loss of power may leave: the last bytes of the write-ahead log are missing."""
    with TrialStore(path) as store:
        for n in range(20):
            store.add([a_trial(n)])
        log = (tmp_path / "trials.sqlite-wal").read_bytes()  # still there, since the store is open
        data = path.read_bytes()
    cut = tmp_path / "cut.sqlite"
    cut.write_bytes(data)
    (tmp_path / "cut.sqlite-wal").write_bytes(log[: int(len(log) * 0.7)])
    with TrialStore(cut) as store:
        numbers = store.numbers("per_cap/gru")
    assert numbers == set(range(len(numbers))) and 5 < len(numbers) < 20


# --- files that are no store ----------------------------------------------------------------------


def test_a_file_that_is_not_sqlite_is_refused_and_left_alone(path):
    path.write_text("a letter to my mother, who never asked for a database")
    with pytest.raises(StoreError, match="is not a trial store") as caught:
        TrialStore(path)
    assert one_sentence(caught).startswith(str(path)) and path.read_text().startswith("a letter")


def test_another_programs_database_is_refused_and_left_alone(path):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE recipes (cake TEXT)")
    other.commit()
    with pytest.raises(StoreError, match="no table `trials`"):
        TrialStore(path)
    assert [row[0] for row in other.execute("SELECT name FROM sqlite_master")] == ["recipes"]


def test_a_table_of_other_trials_is_refused(path):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE trials (patient TEXT, hparams TEXT)")
    other.commit()
    with pytest.raises(StoreError, match="lacks .*hyper_iter"):
        TrialStore(path)


def test_a_corrupt_store_is_refused(path):
    with TrialStore(path) as store:
        store.add([a_trial(n) for n in range(200)])
    data = bytearray(path.read_bytes())
    data[4096:-4096] = os.urandom(len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(StoreError, match="is corrupt") as caught:
        TrialStore(path)
    one_sentence(caught)


def test_a_store_cut_in_half_is_refused(path):
    with TrialStore(path) as store:
        store.add([a_trial(n) for n in range(200)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StoreError, match="is corrupt"):
        TrialStore(path)


def test_a_store_locked_by_another_writer_is_refused_after_some_patience(path):
    TrialStore(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with (
        TrialStore(path, patience=0.05) as store,
        pytest.raises(StoreError, match="locked by another writer") as caught,
    ):
        store.add([a_trial()])
    one_sentence(caught)


def test_a_writer_that_ends_in_time_is_waited_for(path):
    TrialStore(path).close()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.2, lambda: other.execute("COMMIT")).start()
    with TrialStore(path) as store:
        assert store.add([a_trial()]) == 1


def test_a_store_of_another_thread_says_so(tmp_path):
    store = TrialStore(tmp_path / "trials.sqlite")
    errors = []

    def count():
        try:
            len(store)
        except StoreError as error:
            errors.append(str(error))

    thread = threading.Thread(target=count)
    thread.start()
    thread.join()
    assert len(errors) == 1 and "Open one per thread" in errors[0] and str(store.path) in errors[0]


@pytest.mark.parametrize(
    "what, said",
    [
        ("folder", "got the folder"),
        ("no/such/folder/x.sqlite", "must exist"),
        ("file/x.sqlite", "cannot be a store|must exist"),
    ],
)
def test_a_path_where_no_store_can_be_is_refused(tmp_path, what, said):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=said) as caught:
        TrialStore(tmp_path / what)
    one_sentence(caught)


@pytest.mark.skipif(
    not os.path.isdir("/proc/self"), reason="needs a folder in which nobody may write"
)
def test_a_folder_that_may_not_be_written_is_refused():
    with pytest.raises(StoreError, match="cannot be opened or made") as caught:
        TrialStore("/proc/trials.sqlite")
    one_sentence(caught)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_may_not_be_written_is_refused(path):
    TrialStore(path).close()
    path.chmod(0o444)
    with TrialStore(path) as store, pytest.raises(StoreError, match="may not be written"):
        store.add([a_trial()])


def test_a_full_disk_is_reported_and_what_was_stored_is_safe(path):
    """A limit on the size of files stands for the disk."""
    script = f"""
import resource, signal, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from test_trials import *
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with TrialStore({str(path)!r}) as store:
    store.add([a_trial(n) for n in range(10)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
    try:
        store.add([a_trial(n) for n in range(10, 2000)])
    except StoreError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "full" in done.stdout and "is safe." in done.stdout, done.stderr
    with TrialStore(path) as store:
        assert store.numbers("per_cap/gru") == set(range(10))


def test_a_store_that_must_be_there_is_not_made(path):
    with pytest.raises(StoreError, match="There is no trial store"):
        TrialStore(path, create=False)
    assert not path.exists()


# --- Parquet --------------------------------------------------------------------------------------


def exported(tmp_path, **changes):
    """A good file of two trials, then with columns changed, or dropped for None."""
    file = tmp_path / "trials.parquet"
    with TrialStore(tmp_path / "source.sqlite") as store:
        store.add([a_trial(0), a_trial(1, **NAN)])
        store.export(file)
    table = pyarrow.parquet.read_table(file)
    for name, column in changes.items():
        table = (
            table.drop_columns([name])
            if column is None
            else table.set_column(table.column_names.index(name), name, [column])
        )
    pyarrow.parquet.write_table(table, file)
    return file


def test_exported_trials_come_back_the_same(path, tmp_path):
    file = exported(tmp_path)
    with TrialStore(tmp_path / "source.sqlite") as source, TrialStore(path) as store:
        assert store.import_(file) == 2 and store.import_(file) == 0
        pd.testing.assert_frame_equal(store.frame(), source.frame())


def test_the_same_trials_give_the_same_file(tmp_path):
    for name, order in (("a", (0, 1, 2)), ("b", (2, 0, 1))):
        with TrialStore(tmp_path / f"{name}.sqlite") as store:
            for n in order:
                store.add([a_trial(n)])
            store.export(tmp_path / f"{name}.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_what_a_parquet_file_lacks_is_kept_beside_it(tmp_path):
    file = exported(tmp_path)
    before = file.read_bytes()
    with TrialStore(file) as store:
        assert (
            store.persistent
            and store.add([a_trial(0, seconds=9.0), a_trial(7), a_trial(0, study="b")]) == 2
        )
        assert (
            store.numbers("per_cap/gru") == {0, 1, 7}
            and len(store) == 4
            and store.studies() == ["b", "per_cap/gru"]
        )
    with TrialStore(file, create=False) as store:
        assert (
            list(store.frame().hyper_iter) == [0, 0, 1, 7]
            and store.trials("per_cap/gru")[0].seconds == 1.5
        )
    assert file.read_bytes() == before and (tmp_path / "trials-more.sqlite").exists()


def test_reading_a_parquet_file_leaves_nothing_beside_it(tmp_path):
    file = exported(tmp_path)
    with TrialStore(file) as store:
        store.frame(), store.trials("per_cap/gru"), len(store)
    assert not (tmp_path / "trials-more.sqlite").exists()


def test_a_reader_of_a_parquet_file_sees_what_another_keeps_beside_it(tmp_path):
    file = exported(tmp_path)
    with TrialStore(file) as reader, TrialStore(file) as writer:
        assert len(reader) == 2
        writer.add([a_trial(5)])
        assert len(reader) == 3 and reader.numbers("per_cap/gru") == {0, 1, 5}


def test_two_processes_that_write_beside_a_parquet_file_lose_and_double_nothing(tmp_path):
    file = exported(tmp_path)
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=add_many, args=(file, offset)) for offset in (0, 50)]
    [process.start() for process in both]
    [process.join() for process in both]
    assert [process.exitcode for process in both] == [0, 0]
    with TrialStore(file) as store:
        assert (
            store.numbers("per_cap/gru") == set(range(50))
            and store.numbers("own") == set(range(100))
            and len(store) == 150
        )


def test_where_nothing_can_be_written_beside_a_parquet_file_trials_are_not_kept(
    tmp_path, monkeypatch
):
    """A name in a folder that is not there stands for a folder that may not be written, since root
    may write everywhere.
    """
    file = exported(tmp_path)
    monkeypatch.setattr(
        "rnnkit.trials.store.side_store", lambda path: tmp_path / "no" / "such" / "more.sqlite"
    )
    with TrialStore(file) as store:
        assert (
            store.add([a_trial(5)]) == 1
            and not store.persistent
            and store.numbers("per_cap/gru") == {0, 1, 5}
        )
    with TrialStore(file) as store:
        assert len(store) == 2


def test_an_export_adds_to_the_file_and_drops_none_of_its_trials(tmp_path):
    file = exported(tmp_path)  # has the trials 0 and 1
    with TrialStore(tmp_path / "other.sqlite") as store:
        store.add([a_trial(0, seconds=99.0), a_trial(2), a_trial(0, study="b")])
        assert store.export(file) == 4
    with TrialStore(file) as store:
        assert store.numbers("per_cap/gru") == {0, 1, 2} and store.numbers("b") == {0}
        assert (
            store.trials("per_cap/gru")[0].seconds == 1.5
        )  # of a trial that both have, the file's own record


def test_trials_kept_beside_a_file_are_added_to_it_by_an_export(tmp_path):
    file = exported(tmp_path)
    with TrialStore(file) as store:
        store.add([a_trial(7)])
        assert store.export(file) == 3
    (tmp_path / "trials-more.sqlite").unlink()
    with TrialStore(file) as store:
        assert store.numbers("per_cap/gru") == {0, 1, 7}


@pytest.mark.parametrize(
    "change", [dict(valid_loss=-1.0), dict(eval_loss=-1.0), NAN, dict(hparams={"lr_init": 0.02})]
)
def test_an_export_to_a_file_with_another_record_of_a_trial_is_refused(tmp_path, change):
    file = exported(tmp_path)
    before = file.read_bytes()
    with TrialStore(tmp_path / "other.sqlite") as store:
        store.add([a_trial(0, **change), a_trial(3)])
        with pytest.raises(
            StoreError, match="another record of the same trials .*trial 0 of per_cap/gru"
        ) as caught:
            store.export(file)
    one_sentence(caught)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "name",
    [
        "letter.parquet",
        "letter",
        "other.sqlite",
        "source.sqlite",
        "new.sqlite",
        "new.csv",
        "",
        ".",
        "/",
        "~nobody-there/x.parquet",
    ],
)
def test_an_export_replaces_nothing_that_is_no_file_of_trials(tmp_path, name):
    exported(tmp_path)
    TrialStore(tmp_path / "other.sqlite").close()
    for letter in ("letter.parquet", "letter"):
        (tmp_path / letter).write_text("a letter")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with TrialStore(tmp_path / "source.sqlite") as store, pytest.raises(StoreError) as caught:
        store.export(tmp_path / name if name.startswith(("l", "o", "s", "n")) else name)
    one_sentence(caught)
    assert {path: path.read_bytes() for path in before} == before
    assert not list(tmp_path.glob("new.*"))


def test_a_store_that_was_closed_says_so(path):
    store = TrialStore(path)
    store.close()
    for use in (store.frame, lambda: len(store), lambda: store.add([a_trial()])):
        with pytest.raises(StoreError, match="that of .* was closed. Open it again.") as caught:
            use()
        one_sentence(caught)


def test_a_store_that_is_removed_in_mid_run_is_noticed_and_what_it_had_is_saved(path):
    with TrialStore(path) as store:
        store.add([a_trial(0)])
        path.unlink()
        with pytest.raises(StoreError, match="was removed or replaced .* 2 trials") as caught:
            store.add([a_trial(1)])
    one_sentence(caught)
    with TrialStore(path.with_name("trials-saved-1.sqlite"), create=False) as saved:
        kept = saved.trials("per_cap/gru")
    assert by_field(*kept) == by_field(a_trial(0), a_trial(1))


def test_a_store_that_is_replaced_in_mid_run_is_noticed(path):
    with TrialStore(path) as store, TrialStore(path.with_name("other.sqlite")) as other:
        other.add([a_trial(5)])
        os.replace(other.path, path)
        with pytest.raises(StoreError, match="was removed or replaced") as caught:
            store.add([a_trial(1)])
    one_sentence(caught)
    with TrialStore(path.with_name("trials-saved-1.sqlite"), create=False) as saved:
        kept = saved.trials("per_cap/gru")
    assert by_field(a_trial(1))[0] in by_field(*kept)


def test_a_store_of_a_newer_version_is_refused_and_no_trial_is_dropped_in_silence(path):
    TrialStore(path).close()
    with sqlite3.connect(path) as sql:
        sql.execute("ALTER TABLE trials ADD COLUMN plain TEXT")
        sql.execute("ALTER TABLE trials RENAME TO older")
        columns = sql.execute("SELECT sql FROM sqlite_master WHERE name = 'older'").fetchone()[0]
        sql.execute(
            columns.replace('"older"', "trials").replace("plain TEXT", "energy REAL NOT NULL")
        )
        sql.execute("DROP TABLE older")
    with pytest.raises(
        StoreError, match="newer version of rnnkit: its trials must have energy"
    ) as caught:
        TrialStore(path)
    one_sentence(caught)


def made_anew(change):
    """SQL that makes the table of trials anew, with a changed declaration."""

    def script(sql):
        declaration = sql.execute("SELECT sql FROM sqlite_master WHERE name = 'trials'").fetchone()[
            0
        ]
        assert change(declaration) != declaration
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        sql.execute("ALTER TABLE trials RENAME TO older")
        sql.execute(change(declaration))
        sql.execute(f"INSERT INTO trials ({names}) SELECT {names} FROM older")
        sql.execute("DROP TABLE older")

    return script


@pytest.mark.parametrize(
    "script, said",
    {
        "drops all": (
            "CREATE TRIGGER t AFTER INSERT ON trials BEGIN DELETE FROM trials; END",
            r"rules that rnnkit did not make \(trigger t\)",
        ),
        "ignores": (
            "CREATE TRIGGER t BEFORE INSERT ON trials BEGIN SELECT RAISE(IGNORE); END",
            r"rules that rnnkit did not make \(trigger t\)",
        ),
        "forges": (
            "CREATE TRIGGER t AFTER INSERT ON trials BEGIN UPDATE trials SET eval_loss = -5; END",
            r"rules that rnnkit did not make \(trigger t\)",
        ),
        "has a name that commands a terminal": (
            'CREATE TRIGGER "\x1b[2J<script>" DELETE ON trials BEGIN DELETE FROM trials; END',
            r"\(trigger \?\?2J\?script\?\)",
        ),
        "takes one trial of a task": (
            "CREATE UNIQUE INDEX one ON trials (task_type, seed, hyper_iter)",
            r"rules that rnnkit did not make \(index one\)",
        ),
        "replaces": (
            made_anew(
                lambda text: text.replace("PRIMARY", "UNIQUE (seed) ON CONFLICT REPLACE, PRIMARY")
            ),
            r"rules that rnnkit did not make \(table trials\)",
        ),
        "refuses what is new": (
            made_anew(lambda text: text.replace("PRIMARY", "CHECK (hyper_iter < 1), PRIMARY")),
            r"rules that rnnkit did not make \(table trials\)",
        ),
        "forges by a formula": (
            made_anew(lambda text: text.replace("PRIMARY", "bits AS (-5 * num_params), PRIMARY")),
            r"rules that rnnkit did not make \(table trials\)",
        ),
        "takes trials twice": (
            made_anew(
                lambda text: text.replace("PRIMARY KEY (study", "PRIMARY KEY (seconds, study")
            ),
            "study and hyper_iter must be the primary key",
        ),
    }.values(),
)
def test_a_store_with_rules_of_its_own_is_refused_before_anything_is_trained_for_it(
    path, script, said
):
    with TrialStore(path) as store:
        store.add([a_trial()])
    with contextlib.closing(sqlite3.connect(path)) as sql, sql:
        script(sql) if callable(script) else sql.execute(script)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=said) as caught:
        TrialStore(path)
    one_sentence(caught)
    assert path.read_bytes() == before


@pytest.mark.parametrize("column", ["study", "device", "hparams"])
def test_a_text_that_no_trial_has_is_not_read(path, column):
    """Fifty megabytes in a row: neither shown, nor copied, nor in the way of new trials."""
    with TrialStore(path) as store:
        store.add([a_trial(), a_trial(1), a_trial(5, "per_cap/lstm")])
        store.export(path.with_name("earlier.parquet"))
    with contextlib.closing(sqlite3.connect(path)) as sql, sql:
        sql.execute(
            f"UPDATE trials SET {column} = 'a' || hex(zeroblob(25000000)) WHERE hyper_iter = 1"
        )
    with TrialStore(path) as store:
        asks = [store.frame, lambda: store.export(path.with_suffix(".parquet"))]
        asks += [lambda: store.export(path.with_name("earlier.parquet"))]
        asks += [store.summary, store.studies] if column == "study" else []
        for ask in asks:
            with pytest.raises(StoreError, match="far too long for a trial") as caught:
                ask()
            assert f"The store {path} " in one_sentence(caught)
        assert store.add([a_trial(2, "per_cap/rnn")]) == 1
        assert [one.hyper_iter for one in store.trials("per_cap/lstm")] == [5]


def test_what_somebody_else_keeps_in_the_file_of_a_store_is_let_be(path):
    with TrialStore(path) as store:
        store.add([a_trial()])
    with contextlib.closing(sqlite3.connect(path)) as sql, sql:
        sql.execute("CREATE TABLE notes (text UNIQUE)")
        sql.execute("CREATE INDEX by_task ON trials (task_type)")
        sql.execute("CREATE VIEW best AS SELECT min(valid_loss) FROM trials GROUP BY study")
    with TrialStore(path) as store:
        assert store.add([a_trial(), a_trial(1)]) == 1 and len(store) == 2


@pytest.mark.parametrize(
    "changes, said",
    [
        (dict(valid_loss=None), "lacks valid_loss"),
        (dict(n_layers=["one", "two"]), "wrong types of n_layers"),
        (dict(study=[b"a", b"b"]), "wrong types of study"),
        (dict(hyper_iter=[0, 0]), "two rows for one trial"),
        (dict(hyper_iter=[0, -1]), "hyper_iter must be 0 or more"),
        (dict(hyper_iter=[0, None]), "hyper_iter is missing"),
        (dict(valid_loss=[None, None]), "wrong types of valid_loss|if and only if"),
        (dict(valid_loss=[math.inf, None]), "if and only if"),
        (dict(valid_loss=[1.0, 1.0]), "if and only if"),
        (dict(seconds=[math.nan, 1.0]), "seconds must be 0 or more"),
        (dict(hparams=["{}", "[1]"]), "must be a JSON object"),
        (dict(hparams=["{}", "{oops"]), "must be a JSON object"),
        (dict(hparams=["{}", '{"a": NaN}']), "a hyper-parameter is NaN"),
        (dict(hparams=["{}", '{"a": {"b": 1}}']), "must be a JSON object"),
        (dict(hparams=["{}", "[" * 15_000]), "must be a JSON object"),
        (dict(hparams=["{}", json.dumps({"a": "x" * 30_000})]), "a text of"),
        (dict(hparams=["{}", '{"a": 1e999}']), "a hyper-parameter is inf"),
        (dict(hparams=["{}", '{"a": 1' + "0" * 400 + "}"]), "a hyper-parameter is too large"),
        (dict(hparams=["{}", '{"a": true}']), "must be a JSON object of numbers and texts"),
        (dict(hparams=["{}", '{"a": "<b>"}']), "a must be a plain text, got .*b"),
        (dict(hparams=["{}", '{"<script>": 1}']), "a hyper-parameter is called '.script.'"),
        (dict(hparams=["{}", '{"train_steps": 20.5}']), "train_steps must be a whole number"),
        (dict(num_params=[0, 1]), "num_params must be 1 or more"),
        *(
            ({name: ["x", "<script>alert(1)</script>"]}, f"{name} must be a plain text")
            for name in (
                "study",
                "architecture",
                "task_type",
                "scale",
                "device",
                "version",
                "created",
                "tuner",
                "form",
                "commit",
                "torch",
            )
        ),
        (dict(scale=["x", "$\\frac{1$"]), "scale must be a plain text"),
        (dict(scale=["x", "\x1b[2J"]), "scale must be a plain text"),
        (dict(scale=["x", "![a](b)"]), "scale must be a plain text"),
    ],
)
def test_a_file_of_other_things_is_refused_whole(path, tmp_path, changes, said):
    file = exported(tmp_path, **changes)
    with TrialStore(path) as store:
        with pytest.raises(StoreError, match=said) as caught:
            store.import_(file)
        one_sentence(caught)
        assert len(store) == 0


def test_a_pickle_is_not_opened(path, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    file = tmp_path / "trials.parquet"
    file.write_bytes(pickle.dumps(Trap()))
    with (
        TrialStore(path) as store,
        pytest.raises(StoreError, match="cannot be read as a Parquet file"),
    ):
        store.import_(file)
    assert not (tmp_path / "sprung").exists()


def test_a_file_that_is_too_large_is_refused(path, tmp_path, monkeypatch):
    monkeypatch.setattr("rnnkit.trials.parquet.MAX_ROWS", 1)
    with TrialStore(path) as store, pytest.raises(StoreError, match="too large: 2 rows"):
        store.import_(exported(tmp_path))


def test_a_small_file_of_long_texts_is_refused_before_they_are_written_out(path, tmp_path):
    """Ten thousand rows that share a text of ten megabytes: a few kilobytes on disk, a hundred
    gigabytes if it were repeated.
    """
    file = exported(tmp_path)
    rows = 10_000
    table = pyarrow.parquet.read_table(file).slice(0, 1)
    columns = {
        name: pyarrow.array([table[name][0].as_py()] * rows, table.schema.field(name).type)
        for name in table.column_names
    }
    columns["hyper_iter"] = pyarrow.array(range(rows))
    columns["scale"] = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array([0] * rows, pyarrow.int32()), pyarrow.array(["x" * 10_000_000])
    )
    pyarrow.parquet.write_table(pyarrow.table(columns), file, compression="zstd")
    assert file.stat().st_size < 200_000
    with (
        TrialStore(path) as store,
        pytest.raises(StoreError, match="scale is a text of 10,000,000 bytes"),
    ):
        store.import_(file)


def test_a_column_that_unfolds_to_far_more_than_the_file_is_refused_before_it_does(path, tmp_path):
    """One text of a hundred megabytes in a file of a few kilobytes."""
    file = exported(tmp_path)
    table = pyarrow.parquet.read_table(file).slice(0, 1)
    place = table.schema.get_field_index("hparams")
    table = table.set_column(place, "hparams", pyarrow.array(["x" * 100_000_000]))
    settings = {"compression": "zstd", "use_dictionary": False, "write_statistics": False}
    pyarrow.parquet.write_table(table, file, **settings)
    assert file.stat().st_size < 30_000
    before = pyarrow.total_allocated_bytes()
    del table
    with TrialStore(path) as store, pytest.raises(StoreError, match="hparams unfolds from"):
        store.import_(file)
    assert pyarrow.total_allocated_bytes() <= before


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_another_type_or_twice_is_refused_in_a_sentence(path, tmp_path, name):
    """Lists, structures, bytes and times in place of any column."""
    file = exported(tmp_path)
    table = pyarrow.parquet.read_table(file)
    place = table.schema.get_field_index(name)
    others = (pyarrow.list_(pyarrow.int64()),)
    others += (pyarrow.struct([("a", pyarrow.int64())]), pyarrow.binary(), pyarrow.timestamp("us"))
    empty = [pyarrow.nulls(len(table), other) for other in others]
    tables = [table.set_column(place, name, column) for column in empty]
    for hostile in (*tables, table.append_column(name, table[name])):
        pyarrow.parquet.write_table(hostile, file)
        with TrialStore(path) as store:
            with pytest.raises(StoreError, match=f"does not hold trials: .*{name}") as caught:
                store.import_(file)
            assert len(store) == 0
        one_sentence(caught)


def lie_about_sizes(file, least=1 << 20):
    """Writes 1,000 in a footer for every size of `least` or more, in numbers as long as before."""
    about = pyarrow.parquet.read_metadata(file)
    data = file.read_bytes()
    end = len(data) - 8
    begin = end - int.from_bytes(data[end : end + 4], "little")
    footer = data[begin:end]
    told = 0
    group = about.row_group(0)
    columns = [group.column(place).total_uncompressed_size for place in range(group.num_columns)]
    for size in {group.total_byte_size, *columns}:
        digits = [size * 2 >> shift & 127 for shift in range(0, (size * 2).bit_length(), 7)]
        lie = [2_000 >> 7 * place & 127 for place in range(len(digits))]
        old, new = (
            bytes([digit | 128 for digit in number[:-1]] + number[-1:]) for number in (digits, lie)
        )
        if size >= least:
            told = told + footer.count(old)
            footer = footer.replace(old, new)
    file.write_bytes(data[:begin] + footer + data[end:])
    return told


READ_WITH_LITTLE_MEMORY = """
import resource, sys
from rnnkit.trials import StoreError, TrialStore
with TrialStore(":memory:") as store:
    store.frame()
    import pyarrow.parquet
    now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (128 << 20), now + (128 << 20)))
    try:
        store.import_(sys.argv[1])
    except StoreError as error:
        print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is measured as on Linux")
def test_a_footer_that_lies_about_its_pages_costs_no_memory(tmp_path):
    """Four texts of a hundred megabytes each, which the footer gives as a thousand bytes."""
    file = exported(tmp_path)
    table = pyarrow.parquet.read_table(file).slice(0, 1)
    for name in ("scale", "device", "version", "hparams"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pyarrow.array(["x" * 100_000_000]))
    settings = {"compression": "zstd", "use_dictionary": False, "write_statistics": False}
    pyarrow.parquet.write_table(table, file, **settings)
    assert lie_about_sizes(file) == 5 and file.stat().st_size < 100_000
    about = pyarrow.parquet.read_metadata(file).row_group(0)
    assert about.total_byte_size == 1_000
    command = [sys.executable, "-c", READ_WITH_LITTLE_MEMORY, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert "unfolds from" in done.stdout and "100,000,0" in done.stdout, done.stderr


def test_texts_that_repeat_each_other_are_refused_before_they_are_written_out(path, tmp_path):
    """In some encodings a page of a megabyte becomes as many texts of a megabyte as it likes."""
    file = exported(tmp_path)
    table = pyarrow.parquet.read_table(file)
    encodings = {"scale": "DELTA_BYTE_ARRAY"}
    pyarrow.parquet.write_table(table, file, use_dictionary=False, column_encoding=encodings)
    with TrialStore(path) as store, pytest.raises(StoreError, match="scale is written in an enco"):
        store.import_(file)


READ = """
import sys
from rnnkit.trials import StoreError
from rnnkit.trials.parquet import read_rows
for path in sys.argv[1:]:
    try:
        list(read_rows(path))
    except StoreError:
        pass
print("alive")
"""


def test_no_damaged_footer_ends_the_process(tmp_path):
    """pyarrow's own account of a column ends it where the footer contradicts itself."""
    with TrialStore(":memory:") as store:
        store.add([a_trial(0), a_trial(1)])
        store.export(tmp_path / "whole.parquet")
    data = (tmp_path / "whole.parquet").read_bytes()
    footer = int.from_bytes(data[-8:-4], "little")
    rng = np.random.default_rng(0)
    paths = [Path(__file__).parent / "data" / "footer_contradicts_itself.parquet"]
    for number in range(150):
        damaged = bytearray(data)
        for place in rng.integers(len(data) - 8 - footer, len(data) - 8, 1 + number % 3):
            damaged[place] = rng.integers(256)
        paths.append(tmp_path / f"{number}.parquet")
        paths[-1].write_bytes(damaged)
    words = [sys.executable, "-c", READ, *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.stdout == "alive\n", done.stderr[-500:]


@pytest.mark.parametrize("compression", ["zstd", "snappy", "none"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_the_pages_of_a_column_are_found(tmp_path, compression, version, dictionary):
    """Sizes and values as pyarrow's own metadata have them."""
    file = tmp_path / "some.parquet"
    numbers = pyarrow.table({"a": range(50_000), "b": [f"text {k % 100}" for k in range(50_000)]})
    pyarrow.parquet.write_table(
        numbers,
        file,
        compression=compression,
        data_page_version=version,
        use_dictionary=dictionary,
        data_page_size=10_000,
        row_group_size=20_000,
    )
    about = pyarrow.parquet.read_metadata(file)
    with open(file, "rb") as opened:
        columns = list(read_columns(opened))
    assert len(columns) == 6
    for group in range(3):
        for place in (0, 1):
            column = about.row_group(group).column(place)
            begin = column.dictionary_page_offset or column.data_page_offset
            ours = columns[2 * group + place]
            assert ours == Column(column.path_in_schema, begin, column.total_compressed_size)
            with open(file, "rb") as opened:
                found = list(read_pages(opened, ours))
            values = sum(page.values for page in found if not page.is_dictionary)
            assert values == column.num_values and len(found) > 1
            assert [page.is_dictionary for page in found] == [dictionary] + [False] * (
                len(found) - 1
            )
            disk_size, size = (
                sum(getattr(page, name) for page in found) for name in ("disk_size", "size")
            )
            headers = column.total_compressed_size - disk_size
            assert 0 < headers < 200 * len(found)
            assert size + headers == column.total_uncompressed_size


@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("lengths", [[2, 0], [0, 2], [0, 1, 0, 1, 0], [0], []])
def test_row_groups_without_rows_are_read(tmp_path, lengths, dictionary):
    """A dictionary without words is their only page, and their pages of data lie at offset 0."""
    file = exported(tmp_path)
    trials = pyarrow.parquet.read_table(file)
    with pyarrow.parquet.ParquetWriter(file, trials.schema, use_dictionary=dictionary) as writer:
        for begin, length in zip(np.cumsum([0, *lengths]), lengths):
            writer.write_table(trials.slice(begin, length))
    assert pyarrow.parquet.read_metadata(file).num_row_groups == len(lengths)
    with TrialStore(":memory:") as store:
        assert store.import_(file) == len(store) == sum(lengths)


def test_what_is_no_row_of_pages_is_refused(tmp_path):
    file = tmp_path / "some.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": range(1_000)}), file)
    data = file.read_bytes()
    (column,) = read_columns(io.BytesIO(data))
    begin = column.begin
    for wrong in (
        b"\0",
        b"\x19\x05\x00",
        b"\x1d",
        b"\x5c\x15",
        b"\x19\xfc" + b"\xff" * 20,
        b"\x1c" * 300,
        b"\x18\xff\xff\xff\x7f",
    ):
        hostile = io.BytesIO(data[:begin] + wrong + data[begin + len(wrong) :])
        with pytest.raises(ValueError):
            list(read_pages(hostile, column))
    with pytest.raises(ValueError, match="beyond the end"):
        list(read_pages(io.BytesIO(data[:50]), column))


def test_texts_of_a_store_from_elsewhere_are_shown_without_markup(path):
    with TrialStore(path) as store:
        store.add([a_trial(0, scale="<script>alert(1)</script>", device="\x1b[2Jcpu")])
        assert (
            store.frame().scale[0] == "?script?alert(1)?/script?"
            and store.frame().device[0] == "??2Jcpu"
        )


def test_broken_hyper_parameters_in_a_store_are_reported(path):
    with TrialStore(path) as store:
        store.add([a_trial(0)])
        with sqlite3.connect(path) as sql:
            sql.execute("UPDATE trials SET hparams = '{oops'")
        for read in (store.frame, lambda: store.trials("per_cap/gru")):
            with pytest.raises(
                StoreError,
                match="Trial 0 of per_cap/gru is invalid: hparams must be a JSON object",
            ) as caught:
                read()
            one_sentence(caught)


WRONG = {
    "hparams": ['{"lr_init": 1e999}', '{"lr_init": 1%s}' % (400 * "0"), "[1]", b"\xff", 5, "[" * 99999],
    "num_params": ["many", 20.5, b"1", 0, -1],
    "steps": [20.5, -1, 2**62],
    "valid_loss": ["low", math.inf, -math.inf, None],
    "eval_loss": [-math.inf],
    "accuracy": [1.5, -0.5, math.inf],
    "seconds": ["long", None, -1.0, math.inf],
    "infeasible": ["yes", 1, 2],
    "n_in": [0],
    "n_layers": [10**9],
    "scale": [b"\xff"],
}  # fmt: skip


@pytest.mark.parametrize("column, value", [(name, v) for name in WRONG for v in WRONG[name]])
def test_a_value_that_no_trial_has_is_reported_wherever_a_store_is_read(
    path, tmp_path, column, value
):
    """SQLite takes any value in any column."""
    with TrialStore(path) as store:
        store.add([a_trial(0)])
        with sqlite3.connect(path) as sql:
            if (column, value) == ("seconds", None):
                sql.execute("UPDATE trials SET study = X'ff'")
            else:
                sql.execute(f'UPDATE trials SET "{column}" = ?', (value,))
        reads = [store.frame, lambda: store.trial_at(0)]
        for read in reads + [lambda: store.export(tmp_path / "x.parquet")] * (column != "hparams"):
            with pytest.raises(StoreError, match="Delete that row") as caught:
                read()
            one_sentence(caught)
        try:
            assert len(store.summary()) == 1
        except StoreError as error:
            assert "texts where numbers must be" in str(error)


def test_hyper_parameters_of_a_store_from_elsewhere_are_shown_without_markup(path):
    with TrialStore(path) as store:
        store.add([a_trial(0, hparams={"<b>": "$\\frac{1$", "lr_init": 0.5, "a": "\x1b[2J"})])
        assert store.frame().hparams[0] == {"?b?": "??frac?1?", "lr_init": 0.5, "a": "??2J"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_neither_read_nor_written(path, tmp_path):
    """It would be waited for without end."""
    pipe = tmp_path / "pipe.parquet"
    os.mkfifo(pipe)
    os.mkfifo(tmp_path / "pipe.sqlite")
    with TrialStore(path) as store:
        store.add([a_trial(0)])
        for call in (store.export, store.import_, TrialStore):
            with pytest.raises(StoreError, match="file") as caught:
                call(pipe)
            one_sentence(caught)
    with pytest.raises(StoreError, match="A store is a file"):
        TrialStore(tmp_path / "pipe.sqlite")


def test_a_store_that_was_opened_by_a_relative_path_outlives_a_change_of_folder(
    tmp_path, monkeypatch
):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with TrialStore("trials.sqlite") as store:
        store.add([a_trial(0)])
        monkeypatch.chdir(tmp_path / "elsewhere")
        store.add([a_trial(1)])
        assert store.shelf.folder == tmp_path / "trials.weights"
    assert os.listdir() == []
    with TrialStore(tmp_path / "trials.sqlite", create=False) as store:
        assert len(store) == 2


def test_a_missing_parquet_file_is_reported(path, tmp_path):
    with TrialStore(path) as store, pytest.raises(StoreError, match="There is no file"):
        store.import_(tmp_path / "none.parquet")


def test_an_export_that_fails_leaves_the_old_file(tmp_path):
    file = exported(tmp_path)
    before = file.read_bytes()
    (tmp_path / f"trials.parquet.{os.getpid()}.half").mkdir()
    with TrialStore(tmp_path / "source.sqlite") as store:
        store.add([a_trial(9)])
    with (
        TrialStore(tmp_path / "source.sqlite") as store,
        pytest.raises(StoreError, match="cannot be written"),
    ):
        store.export(file)
    assert file.read_bytes() == before


OPEN_WITH_FEW_FILES = """
import os, resource, sys
sys.path.insert(0, sys.argv[2])
from test_trials import TrialStore, StoreError, a_trial
import rnnkit.trials.parquet, rnnkit.trials.weights
folder = sys.argv[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
added = 0
for left in range(6):
    files = []
    try:
        while True:
            files.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    for _ in range(left):
        os.close(files.pop())
    for name in ("old.sqlite", f"new {left}.sqlite", "trials.parquet", f"{left}.parquet"):
        try:
            with TrialStore(f"{folder}/{name}", patience=0) as store:
                added += store.add([a_trial(left + 5)])
                assert store.persistent
        except StoreError as error:
            assert "oo many" in str(error) and str(error).count(". ") == 1, error
        try:
            with TrialStore(f"{folder}/old.sqlite", patience=0) as store:
                store.export(f"{folder}/out.parquet")
        except StoreError as error:
            assert "oo many" in str(error), error
    for file in files:
        os.close(file)
print(added)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the open files as POSIX does")
def test_where_no_more_files_can_be_opened_a_sentence_says_so_and_no_trial_is_lost(tmp_path):
    file = exported(tmp_path)
    for left in range(6):
        shutil.copy(file, tmp_path / f"{left}.parquet")
    with TrialStore(tmp_path / "old.sqlite") as store:
        store.add([a_trial(0), a_trial(1)])
    command = [sys.executable, "-c", OPEN_WITH_FEW_FILES, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    stores = [
        *tmp_path.glob("new *.sqlite"),
        *tmp_path.glob("*-more.sqlite"),
        tmp_path / "old.sqlite",
    ]
    stored = 0
    for path in stores:
        with TrialStore(path) as store:
            stored += len(store)
    assert stored == 2 + int(done.stdout) > 10


def test_a_trial_is_a_fact_that_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        a_trial().valid_loss = 0.0


def test_a_store_of_an_older_version_is_opened_and_gets_the_later_columns(path):
    TrialStore(path).close()
    with sqlite3.connect(path) as sql:
        for name in ("n_units", "form", "accuracy", "commit", "torch"):
            sql.execute(f'ALTER TABLE trials DROP COLUMN "{name}"')
    with TrialStore(path) as store:
        store.add([a_trial(0, n_units=7, form="small", accuracy=0.5)])
        (trial,) = store.trials("per_cap/gru")
    assert (trial.n_units, trial.form, trial.accuracy, trial.commit) == (7, "small", 0.5, "")


def test_a_parquet_file_of_an_older_version_is_imported(path, tmp_path):
    with TrialStore(path) as store:
        store.add([a_trial(0)])
        store.export(tmp_path / "new.parquet")
    later = ["n_units", "form", "accuracy", "commit", "torch"]
    pd.read_parquet(tmp_path / "new.parquet").drop(columns=later).to_parquet(
        tmp_path / "old.parquet"
    )
    with TrialStore(tmp_path / "old.parquet") as store:
        assert by_field(*store.trials("per_cap/gru")) == by_field(a_trial(0))


def test_a_summary_has_a_row_for_each_study(path):
    with TrialStore(path) as store:
        store.add(
            [
                a_trial(0, valid_loss=-3.0),
                a_trial(1, **NAN),
                a_trial(2, valid_loss=-5.0),
                a_trial(0, study="b", **NAN),
            ]
        )
        rows = store.summary()
    assert (
        rows[1] == ("per_cap/gru", 3, 1, -5.0, 4.5)
        and rows[0][:3] == ("b", 1, 1)
        and math.isnan(rows[0][3])
    )


def test_a_trial_is_found_by_its_place(path):
    with TrialStore(path) as store:
        store.add([a_trial(n, study=study) for study in "ba" for n in (1, 0)])
        assert [(store.trial_at(k).study, store.trial_at(k).hyper_iter) for k in range(4)] == [
            ("a", 0),
            ("a", 1),
            ("b", 0),
            ("b", 1),
        ]
        with pytest.raises(IndexError, match="has 4 trials, got index 4"):
            store.trial_at(4)


def read_as_nobody(path, new_trials, answer):
    with contextlib.suppress(
        PermissionError
    ):  # who is not root may not change who he is, and need not
        os.setuid(65534)
    with TrialStore(path, create=False) as store:
        try:
            store.add(new_trials)
            said = "it was written"
        except StoreError as error:
            said = str(error)
        answer.put((len(store), len(store.frame()), said))


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX's permissions")
@pytest.mark.parametrize(
    "new_trials", [[a_trial(1)], []], ids=["a trial", "no trial, which only asks"]
)
def test_a_store_that_may_only_be_read_in_a_folder_that_may_only_be_read_can_be_read(new_trials):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trials.sqlite"
        with TrialStore(path) as store:
            store.add([a_trial(0)])
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        context = multiprocessing.get_context("fork")
        answer = context.Queue()
        process = context.Process(target=read_as_nobody, args=(path, new_trials, answer))
        process.start()
        found = answer.get(timeout=60)
        process.join()
        Path(folder).chmod(0o755)
    assert found[:2] == (1, 1) and "may not be written" in found[2]


def test_a_file_of_the_kits_first_draws_still_opens_and_its_trials_are_no_study_of_today(tmp_path):
    """Trials of 50 inputs and 32-bit draws, as they shipped: they can be read and exported, and
    never mix with what is trained now.
    """
    older = Path(__file__).parent / "data" / "trials_of_2026_11_23.parquet"
    with TrialStore(tmp_path / "trials.sqlite") as store:
        assert store.import_(older) == len(store) > 90
        frame = store.frame()
        assert set(frame.task_type) == {
            "per_cap",
            "mem_thru",
            "rcf",
            "text8",
            "parens_counting",
            "arithmetic",
        }
        assert store.export(tmp_path / "again.parquet") == len(frame)
        today = {
            study.key
            for scale in ("quick", "overnight")
            for name in ("fig1", "fig2c", "fig3", "fig4")
            for study in studies_of(name, scale)
        }
        assert not today & set(frame.study)


# --- what a study's key says ----------------------------------------------------------------------


def test_each_part_of_a_key_is_read_in_one_place():
    for experiment in EXPERIMENTS:
        for study in studies_of(experiment, "smoke"):
            key = parse(study.key)
            assert (key.task_type, key.architecture, key.n_layers, key.max_params, key.seed) == (
                (study.task_type, study.architecture, study.n_layers, study.max_params, study.seed)
            )
            assert (key.train_steps, key.tuner) == (study.train_steps, study.tuner)
            assert key.pinned == (dict(study.pinned) if study.tuner != "rerun" else {})
            assert study.key.endswith(f"/of={key.of}") and bool(key.start) == bool(study.start)


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "authors/fig5/per_cap/gru/layers=1/params=300",
        "per_cap/gru/layers=1/params=300/in=5/unroll=2/steps=5/gp/seed=0",
        "per_cap/gru/layers=1/layers=2/params=300/in=5/unroll=2/steps=5-9/gp/seed=0",
        "per_cap/gru/layers=1/params=300/seed=0/in=5/unroll=2/steps=5-9/gp",  # in another order
        "per_cap/gru/layers=٣/params=300/in=5/unroll=2/steps=5-9/gp/seed=0",
        f"per_cap/gru/layers=1/params={'9' * 5000}/in=5/unroll=2/steps=5-9/gp/seed=0",
    ],
)  # fmt: skip
def test_a_text_that_is_no_key_is_none(text):
    assert parse(text) is None


def test_a_study_is_made_again_from_a_row_of_a_frame_and_from_a_trial():
    study = Study("per_cap", "rnn", 1, 300, pinned=(("nonlinearity", "relu"), ("lr_init", 0.01)))
    rerun = Study(
        "per_cap", "gru", 1, 300, tuner="rerun", pinned=study_hparams(), train_steps=(5, 9)
    )
    for each in (study, rerun, Study("arithmetic", "lstm", 1, 900, form="tiny", tuner="random")):
        columns = {name: getattr(each, name) for name in COLUMN_FIELDS}
        trial = a_trial(study=each.key, hparams=dict(each.pinned), **columns)
        with TrialStore(":memory:") as store:
            store.add([trial])
            (row,) = store.frame().itertuples()
            assert Study.from_row(trial) == Study.from_row(row) == each
            assert Study.from_row(store.frame().iloc[0]) == each


def study_hparams():
    space = Study("per_cap", "gru", 1, 300, train_steps=(5, 9)).space
    return tuple(space.sample(np.random.default_rng(0)).items())


@pytest.mark.parametrize("change", ["/of=00000000", "", "/of=00000000/more"])
def test_a_study_of_another_version_is_not_made_again(change):
    study = Study("per_cap", "rnn", 1, 300)
    columns = {name: getattr(study, name) for name in COLUMN_FIELDS}
    trial = a_trial(study=study.key.rpartition("/of=")[0] + change, **columns)
    with pytest.raises(ValueError, match="cannot be made again from its trials") as caught:
        Study.from_row(trial)
    one_sentence(caught)


def test_every_study_that_ships_is_made_again_but_those_that_follow_others():
    shipped = Path(__file__).parents[1] / "figures" / "trials.parquet"
    with TrialStore(shipped) as store:
        first = store.frame().drop_duplicates("study")
    lost = set()
    for row in first.itertuples():
        try:
            assert Study.from_row(row).key == row.study
        except ValueError:
            lost.add(row.tuner)
    assert lost <= {"long"} and len(first) > 100
