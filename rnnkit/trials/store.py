"""Trials and the store that keeps them: one SQLite file, one writer, any number of readers, no torch.

A trial is a row and is written once, when it ends. The store is therefore also the memory of an interrupted run: what is
in it is never trained again, and `kill -9` loses the trials in flight and nothing else.
"""

import json
import math
import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from pathlib import Path

import pandas as pd

LOSSES = ("train_loss", "valid_loss", "eval_loss")


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
    n_units: int = 0  # a layer; 0 where an older version of the kit did not note it, as are the other columns below
    form: str = ""  # how large the task is, for tasks that come in several sizes
    accuracy: float = math.nan  # share of right answers on the evaluation data; NaN where there are none to be right
    commit: str = ""  # of the source, where it is known
    torch: str = ""  # its version


COLUMNS = {f.name: f.type for f in fields(Trial)}
LATER = {f.name: f.default for f in fields(Trial) if f.default is not MISSING}  # columns that an older file may lack
MAY_BE_NAN = (*LOSSES, "accuracy")
_SQL = {str: "TEXT NOT NULL", dict: "TEXT NOT NULL", int: "INTEGER NOT NULL", bool: "INTEGER NOT NULL", float: "REAL"}
_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)  # in quotes, since `commit` is a word of SQL's
_CREATE = f"""CREATE TABLE trials ({", ".join(f'"{name}" {_SQL[kind]}' for name, kind in COLUMNS.items())},
              PRIMARY KEY (study, hyper_iter))"""
_INSERT = f"INSERT OR IGNORE INTO trials ({_NAMES}) VALUES ({', '.join('?' * len(COLUMNS))})"
_SELECT = f"SELECT {_NAMES} FROM trials"
_SELECT_STUDY = _SELECT + " WHERE study = ? ORDER BY hyper_iter"


class TrialStore:
    """The trials in an SQLite file, which is made if it is not there (unless `create` is False); also a context manager.

    A path that ends in .parquet is read into memory: its trials can be drawn at once, and what is added is not kept.
    `":memory:"` is an empty store of that kind. `patience` is how many seconds to wait for another writer. StoreError.
    """

    def __init__(self, path, create=True, patience=10.0):
        if not isinstance(path, (str, Path)) or "\0" in str(path):
            raise StoreError(f"A store is named by the path of a file, got {path!r}. Give such a path.")
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
                raise StoreError(f"A store is a file, got the folder {self.path}. Give a file in it.")
            if self.path.exists():
                with open(self.path, "rb") as file:
                    head = file.read(16)
                if head and head != b"SQLite format 3\0":
                    raise StoreError(f"{self.path} is not a trial store, nor any SQLite file. Give another path.")
            elif not create:
                raise StoreError(f"There is no trial store at {self.path}. Check the path; `rnnkit reproduce` makes one.")
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
        if missing - set(LATER):
            raise StoreError(f"{self.path} is not a trial store: its table `trials` lacks {', '.join(sorted(missing))}. Give another path.")
        for name in missing:  # a store of an older version
            default = "" if name in MAY_BE_NAN else f" DEFAULT {LATER[name]!r}"
            with suppress(sqlite3.OperationalError):  # another run has just added it
                self._sql.execute(f'ALTER TABLE trials ADD COLUMN "{name}" {_SQL[COLUMNS[name]]}{default}')
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
            if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
                raise StoreError(self._corrupt(error)) from error
            for start, what in (
                ("SQLITE_BUSY", "is locked by another writer. Wait until it has ended, or give another path."),
                ("SQLITE_LOCKED", "is locked by another writer. Wait until it has ended, or give another path."),
                ("SQLITE_READONLY", "may not be written. Change the permissions of it and of its folder, or give another path."),
                ("SQLITE_CANTOPEN", "cannot be opened or made. Check that you may write in its folder, or give another path."),
                ("SQLITE_FULL", "is on a full disk. Free some space and start again; what was stored is safe."),
                ("SQLITE_IOERR", f"is on a disk that failed or is full ({error}). Make room or move it; what was stored is safe."),
                ("", f"gave an error ({error}). Check the file, or give another path."),
            ):
                if name.startswith(start):
                    raise StoreError(f"The store {self.path} {what}") from error

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
            return [_from_row(row) for row in self._sql.execute(_SELECT_STUDY, (study,))]

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
                rows = [row for key in studies for row in self._sql.execute(_SELECT_STUDY, (key,))]
        frame = pd.DataFrame([_values(row) for row in rows], columns=list(COLUMNS))
        kinds = {int: "int64", float: "float64", bool: "bool"}
        return frame.astype({name: kinds[kind] for name, kind in COLUMNS.items() if kind in kinds})

    def __len__(self):
        with self._plainly():
            return self._sql.execute("SELECT count(*) FROM trials").fetchone()[0]

    @cached_property
    def shelf(self):
        """Where the weights of the best trials are."""
        from rnnkit.trials.weights import Shelf, folder_beside

        return Shelf(None if str(self.path) == ":memory:" else folder_beside(self.path), self.kept)

    def save_weights(self, study: str, hyper_iter: int, valid_loss: float, blocks: dict, about: dict) -> bool:
        """Keeps the weights of a trial beside the store if its study has none so good; says whether it did (trials/weights.py).

        `blocks` are float32 arrays by the names of networks.blocks; `about` gives architecture, n_layers, n_units, n_in, n_out. A disk
        that takes no more is told in one warning. ValueError for blocks that are no such network.
        """
        about = {**about, "study": study, "hyper_iter": int(hyper_iter), "valid_loss": float(valid_loss)}
        return self.shelf.save(about, blocks)

    def weights(self, study: str) -> tuple[int, dict]:
        """Number (hyper_iter) and weights, by block, of the best trial of a study. StoreError if the store has none that can be read."""
        about, blocks = self.shelf.load(study)
        return about["hyper_iter"], blocks

    def export(self, parquet) -> int:
        """Writes all trials to a Parquet file, which is replaced whole or not at all, and the weights beside it; gives their number.

        StoreError.
        """
        from rnnkit.trials.parquet import write
        from rnnkit.trials.weights import folder_beside

        frame, parquet = self.frame(), Path(parquet).expanduser()
        count = write(frame, parquet)
        self.shelf.copy_to(folder_beside(parquet), frame.study.unique())
        return count

    def import_(self, parquet) -> int:
        """Adds the trials of a Parquet file, and the weights beside it, and gives how many trials were new.

        Nothing in the files is trusted or run; StoreError. A file of weights that is none is told in a warning and left.
        """
        from rnnkit.trials.parquet import read
        from rnnkit.trials.weights import folder_beside

        parquet = Path(parquet).expanduser()
        trials = read(parquet)
        count = self.add(trials)
        if parquet != self.path:  # a store that is this file reads its weights when they are asked for
            self.shelf.add_from(folder_beside(parquet), sorted({trial.study for trial in trials}))
        return count

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
        return None if name in MAY_BE_NAN and not math.isfinite(x) else x

    return [value(name, getattr(trial, name)) for name in COLUMNS]


def _values(row):
    """A row of the table as the values of a Trial."""
    values = dict(zip(COLUMNS, row))
    values["hparams"] = json.loads(values["hparams"])
    values["infeasible"] = bool(values["infeasible"])
    values.update({name: math.nan for name in MAY_BE_NAN if values[name] is None})
    return tuple(values.values())


def _from_row(row):
    return Trial(*_values(row))
