"""Trials and the store that keeps them: one SQLite file, one writer, any number of readers, no torch.

A trial is a row and is written once, when it ends. The store is therefore also the memory of an interrupted run: what is
in it is never trained again, and `kill -9` loses the trials in flight and nothing else.
"""

import json
import math
import os
import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

LOSSES = ("train_loss", "valid_loss", "eval_loss")
MAX_ROWS, MAX_BYTES, MAX_TEXT = 10_000_000, 8 << 30, 20_000  # what an imported file may ask of this machine


class StoreError(Exception):
    """What is wrong with a store, in one sentence that says what to do."""


@dataclass(frozen=True)
class Trial:
    """One row: the authors' ten columns (architecture to eval_loss, and hyper_iter for the trial's number), then ours.

    Losses are NaN where the trial was infeasible. `max_params` is the budget, `num_params` what the network has.
    """

    study: str  # the key of the study it belongs to
    architecture: str
    task_type: str
    hparams: dict
    n_layers: int
    hyper_iter: int
    max_params: int
    num_params: int
    train_loss: float
    valid_loss: float  # what the tuner minimises
    eval_loss: float
    infeasible: bool
    steps: int  # training steps done
    seconds: float  # this trial's share of the time
    seed: int
    scale: str
    device: str
    version: str  # of rnnkit
    created: str  # UTC, ISO 8601
    n_in: int
    unroll: int
    tuner: str


COLUMNS = {f.name: f.type for f in fields(Trial)}
_SQL = {str: "TEXT NOT NULL", dict: "TEXT NOT NULL", int: "INTEGER NOT NULL", bool: "INTEGER NOT NULL", float: "REAL"}
_CREATE = f"""CREATE TABLE trials ({", ".join(f"{name} {_SQL[kind]}" for name, kind in COLUMNS.items())},
              PRIMARY KEY (study, hyper_iter))"""
_INSERT = f"INSERT OR IGNORE INTO trials ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM trials"


class TrialStore:
    """The trials in an SQLite file, which is made if it is not there (unless `create` is False); also a context manager.

    A path that ends in .parquet is read into memory: its trials can be drawn at once, and what is added is not kept.
    `":memory:"` is an empty store of that kind. `patience` is how many seconds to wait for another writer. StoreError.
    """

    def __init__(self, path, create=True, patience=10.0):
        self.path = Path(path).expanduser()
        parquet = self.path.suffix == ".parquet"
        self.kept = not parquet and str(path) != ":memory:"
        if self.kept:
            self._look_at_file(create)
        with self._plainly():
            self._sql = sqlite3.connect(self.path if self.kept else ":memory:", timeout=patience)
        try:
            with self._plainly():
                self._open()
            if parquet:
                self.import_(self.path)
        except BaseException:
            self._sql.close()
            raise

    def _look_at_file(self, create):
        try:
            if self.path.is_dir():
                raise StoreError(f"A store is a file, got the folder {self.path}. Give a file in it, such as {self.path / 'trials.sqlite'}.")
            if self.path.exists():
                with open(self.path, "rb") as file:
                    head = file.read(16)
                if head and head != b"SQLite format 3\0":
                    raise StoreError(f"{self.path} is not a trial store: it is not an SQLite file. Give another path; a new store is made there.")
            elif not create:
                raise StoreError(f"There is no trial store at {self.path}. Check the path, or make one with `rnnkit reproduce --store {self.path}`.")
            elif not self.path.parent.is_dir():
                raise StoreError(f"The store's folder {self.path.parent} must exist. Make it, or give another path.")
        except PermissionError as error:
            raise StoreError(f"{self.path} may not be read by this user. Change its permissions, or give another path.") from error
        except OSError as error:
            raise StoreError(f"{self.path} cannot be a store ({error.strerror}). Give another path.") from error

    def _open(self):
        found = [row[0] for row in self._sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        if "trials" not in found:
            if found:
                raise StoreError(f"{self.path} is an SQLite file, but not a trial store: it has no table `trials`. Give another path.")
            with self._sql:
                self._sql.execute("BEGIN IMMEDIATE")  # two runs may make one store at the same moment
                if not self._sql.execute("SELECT 1 FROM sqlite_master WHERE name = 'trials'").fetchone():
                    self._sql.execute(_CREATE)
            with suppress(sqlite3.OperationalError):  # another run is at it, or the file system cannot: slower, as safe
                self._sql.execute("PRAGMA journal_mode = WAL")
        missing = set(COLUMNS) - {row[1] for row in self._sql.execute("PRAGMA table_info(trials)")}
        if missing:
            raise StoreError(f"{self.path} is not a trial store: its table `trials` lacks {', '.join(sorted(missing))}. Give another path.")
        health = self._sql.execute("PRAGMA quick_check(1)").fetchone()[0]
        if health != "ok":
            raise StoreError(self._corrupt(health))

    def _corrupt(self, why):
        return (f"The store {self.path} is corrupt ({' '.join(str(why).split())}). Save what can be read with "
                f"`sqlite3 {self.path} .recover | sqlite3 new.sqlite`, or give another path.")

    @contextmanager
    def _plainly(self):
        """SQLite's errors, as sentences."""
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", None) or ""
            for start, sentence in (
                ("SQLITE_BUSY", f"The store {self.path} is locked by another writer. Wait until it has ended, or give another path."),
                ("SQLITE_LOCKED", f"The store {self.path} is locked by another writer. Wait until it has ended, or give another path."),
                ("SQLITE_READONLY", f"The store {self.path} may not be written. Change the permissions of it and of its folder, or give another path."),
                ("SQLITE_CANTOPEN", f"The store {self.path} cannot be opened or made. Check that you may write in its folder, or give another path."),
                ("SQLITE_FULL", f"The disk of the store {self.path} is full. Free some space and start again; what was stored is safe."),
                ("SQLITE_IOERR", f"The disk of the store {self.path} failed or is full ({error}). Make room or move it; what was stored is safe."),
                ("SQLITE_CORRUPT", self._corrupt(error)),
                ("SQLITE_NOTADB", self._corrupt(error)),
            ):
                if name.startswith(start):
                    raise StoreError(sentence) from error
            raise StoreError(f"The store {self.path} gave an error: {error}. Check the file, or give another path.") from error

    def add(self, trials) -> int:
        """Writes the trials (one transaction, on disk when it returns) and gives how many were new. What the store has is kept.

        To add nothing is to try whether the store may be written.
        """
        with self._plainly(), self._sql:
            self._sql.execute("BEGIN IMMEDIATE")
            return max(0, self._sql.executemany(_INSERT, [_to_row(trial) for trial in trials]).rowcount)

    def trials(self, study: str) -> list[Trial]:
        """The trials of one study, in the order of their numbers."""
        with self._plainly():
            return [_from_row(row) for row in self._sql.execute(_SELECT + " WHERE study = ? ORDER BY hyper_iter", (study,))]

    def numbers(self, study: str) -> set[int]:
        """The numbers (hyper_iter) of the trials that the store has of one study."""
        with self._plainly():
            return {row[0] for row in self._sql.execute("SELECT hyper_iter FROM trials WHERE study = ?", (study,))}

    def frame(self, studies=None) -> pd.DataFrame:
        """One row a trial, of all studies or of those named, by study and number. Losses of infeasible trials are NaN."""
        with self._plainly():
            if studies is None:
                rows = self._sql.execute(_SELECT + " ORDER BY study, hyper_iter").fetchall()
            else:
                studies = sorted({studies} if isinstance(studies, str) else set(studies))
                rows = [row for key in studies for row in self._sql.execute(_SELECT + " WHERE study = ? ORDER BY hyper_iter", (key,))]
        frame = pd.DataFrame([_values(row) for row in rows], columns=list(COLUMNS))
        kinds = {int: "int64", float: "float64", bool: "bool"}
        return frame.astype({name: kinds[kind] for name, kind in COLUMNS.items() if kind in kinds})

    def __len__(self):
        with self._plainly():
            return self._sql.execute("SELECT count(*) FROM trials").fetchone()[0]

    def export(self, parquet) -> int:
        """Writes all trials to a Parquet file, which is replaced whole or not at all; gives their number."""
        import pyarrow
        import pyarrow.parquet

        frame, parquet = self.frame(), Path(parquet)
        frame["hparams"] = [json.dumps(hparams, sort_keys=True) for hparams in frame["hparams"]]
        kinds = {str: pyarrow.string(), dict: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}
        schema = pyarrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
        half = parquet.with_name(parquet.name + ".half")
        try:
            pyarrow.parquet.write_table(pyarrow.Table.from_pandas(frame, schema, preserve_index=False), half, compression="zstd")
            os.replace(half, parquet)
        except OSError as error:
            raise StoreError(f"{parquet} cannot be written ({error.strerror or error}). Give another path.") from error
        finally:
            if half.is_file():
                half.unlink()
        return len(frame)

    def import_(self, parquet) -> int:
        """Adds the trials of a Parquet file and gives how many were new. Nothing in the file is trusted or run; StoreError."""
        checked = []
        for row in _rows_of(Path(parquet).expanduser()):
            _check(row, parquet)
            checked.append(Trial(**{**row, "hparams": json.loads(row["hparams"])}))
        if len({(trial.study, trial.hyper_iter) for trial in checked}) < len(checked):
            raise StoreError(f"{parquet} has two rows for one trial of a study. It was not written by rnnkit; nothing was imported.")
        return self.add(checked)

    def close(self):
        self._sql.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _to_row(trial):
    def value(name, x):
        if name == "hparams":
            return json.dumps(x, sort_keys=True, allow_nan=False)
        return None if name in LOSSES and not math.isfinite(x) else x

    return [value(name, getattr(trial, name)) for name in COLUMNS]


def _values(row):
    """A row of the table as the values of a Trial."""
    values = dict(zip(COLUMNS, row))
    values["hparams"] = json.loads(values["hparams"])
    values["infeasible"] = bool(values["infeasible"])
    values.update({name: math.nan for name in LOSSES if values[name] is None})
    return tuple(values.values())


def _from_row(row):
    return Trial(*_values(row))


def _rows_of(parquet):
    """The rows of a Parquet file as dicts, if its schema and size are those of trials."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(parquet) as file:
            about, schema = file.metadata, file.schema_arrow
            size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
            if about.num_rows > MAX_ROWS or size > MAX_BYTES:
                raise StoreError(f"{parquet} is too large: {about.num_rows:,} rows, {size:,} bytes; at most {MAX_ROWS:,} and {MAX_BYTES:,} are read.")
            missing = [name for name in COLUMNS if name not in schema.names]
            if missing:
                raise StoreError(f"{parquet} does not hold trials: it lacks {', '.join(missing)}. Give a file made by `rnnkit trials export`.")
            types = pyarrow.types
            fits = {str: types.is_string, dict: types.is_string, int: types.is_int64, float: types.is_float64, bool: types.is_boolean}
            wrong = [f"{name} ({schema.field(name).type})" for name, kind in COLUMNS.items() if not fits[kind](schema.field(name).type)]
            if wrong:
                raise StoreError(f"{parquet} does not hold trials: wrong types of {', '.join(wrong)}. Give a file made by `rnnkit trials export`.")
            for batch in file.iter_batches(10_000, columns=list(COLUMNS)):
                yield from batch.to_pylist()
    except FileNotFoundError as error:
        raise StoreError(f"There is no file {parquet}. Check the path.") from error
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{parquet} cannot be read as a Parquet file. Give a file made by `rnnkit trials export`.") from error


def _check(row, parquet):
    """Raises StoreError unless a row of an imported file could be a trial."""
    def refuse(what):
        raise StoreError(f"{parquet} does not hold trials: {what}. Nothing was imported.")

    for name, kind in COLUMNS.items():
        value = row[name]
        if name in LOSSES:
            value = row[name] = math.nan if value is None else value
            if math.isinf(value) or math.isnan(value) != row["infeasible"]:
                refuse(f"{name} must be a number, or missing if and only if the trial is infeasible, got {value}")
        elif value is None:
            refuse(f"{name} is missing in a row")
        elif kind in (str, dict) and len(value) > MAX_TEXT:
            refuse(f"{name} is a text of {len(value)} characters")
        elif kind in (int, float) and not 0 <= value < 2**62:
            refuse(f"{name} must be 0 or more, got {value}")
    try:
        hparams = json.loads(row["hparams"], parse_constant=lambda name: refuse(f"a hyper-parameter is {name}"))
    except (ValueError, RecursionError):
        hparams = None
    if not isinstance(hparams, dict) or not all(isinstance(value, (int, float, str)) for value in hparams.values()):
        refuse("hparams must be a JSON object of numbers and texts in every row")
