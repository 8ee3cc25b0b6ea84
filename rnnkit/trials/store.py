"""Trials and the store that keeps them: one SQLite file, one writer at a time, any number of
readers, no torch.

A trial is a row and is written once, when it ends. The store is therefore also the memory of an
interrupted run: what is in it is never trained again, and `kill -9` loses the trials in flight and
nothing else.
"""

import itertools
import math
import os
import sqlite3
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import pandas as pd

from rnnkit.markup import table
from rnnkit.trials.files import at_home, look_at, more_beside, store_at
from rnnkit.trials.sql import BOTH, CREATE, INSERT, NAMES, STUDY, column, corrupt, plainly
from rnnkit.trials.trial import (
    COLUMNS,
    LATER,
    StoreError,
    Trial,
    checked,
    from_row,
    plain,
    to_row,
)

LARGE = 64 << 20  # bytes of a store that is not read whole when it is opened


class TrialStore:
    """The trials in an SQLite file, which is made if it is not there (unless `create` is False);
    also a context manager.

    A path that ends in .parquet is a file of trials that travels, and is only read: what is added
    is kept beside it, in the SQLite file `more_beside` names, and what either has is seen.
    `":memory:"` is an empty store that keeps nothing. `file` is the SQLite file that is written,
    None if nothing is kept. `patience` is how many seconds to wait for another writer. StoreError.
    """

    def __init__(self, path, create=True, patience=10.0):
        if not isinstance(path, (str, Path)) or "\0" in str(path):
            raise StoreError(
                f"A store is named by the path of a file, got {path!r}. Give such a path."
            )
        self.path, self.patience, self._more = store_at(path), patience, False
        self.travels = self.path.suffix == ".parquet"
        self.file = (
            None
            if str(path) == ":memory:"
            else (more_beside(self.path) if self.travels else self.path).absolute()
        )
        if self.kept and not self.travels:
            look_at(self.path, create)
        with self._plainly():
            self._sql = sqlite3.connect(
                ":memory:" if self.travels or not self.kept else self.path, timeout=patience
            )
        try:
            with self._plainly():
                try:
                    self._open()
                except sqlite3.OperationalError as error:
                    if not self._reopened_to_read(error):
                        raise
                    self._open()
            if self.travels:
                self._read_travelled()
        except BaseException:
            self._sql.close()
            raise
        self._identity = self._identity_of_file()

    @property
    def kept(self) -> bool:
        """Whether what is added is still there when the store is opened again."""
        return self.file is not None

    def _reopened_to_read(self, error) -> bool:
        """Whether a store that may be neither written nor locked was opened to be read alone: on a
        disk or in a folder for reading.
        """
        place = self.path.absolute()
        refused = (getattr(error, "sqlite_errorname", None) or "").startswith(
            ("SQLITE_READONLY", "SQLITE_CANTOPEN")
        )
        if not refused or not place.exists() or place.with_name(f"{place.name}-wal").exists():
            return False
        self._sql.close()
        self._sql = sqlite3.connect(f"{place.as_uri()}?immutable=1", uri=True)
        return True

    def _read_travelled(self):
        from rnnkit.trials.parquet import rows_in

        with self._plainly(), self._sql:
            self._sql.executemany(INSERT.format(table="main.trials"), rows_in(self.path))

    def _table(self, create=False) -> str:
        """Where trials are read from: the table, or, of a file that travels, its trials and those
        kept beside it, once there are any.

        With `create` the file beside it is made if need be; where it cannot be, new trials stay in
        memory, and `kept` says so.
        """
        if not self.travels or self._more:
            return "both" if self._more else "trials"
        if not self.kept or not (create or self.file.exists()):
            return "trials"
        try:
            TrialStore(self.file, patience=self.patience).close()  # makes or checks it
        except StoreError:
            if self.file.exists():
                raise
            self.file = self.shelf.folder = None
            self.shelf.kept = False
            return "trials"
        with self._plainly():
            self._sql.execute("ATTACH ? AS more", (str(self.file),))
            self._sql.execute(BOTH)
        self._more, self._identity = True, self._identity_of_file()
        return "both"

    def _open(self):
        found = [
            row[0]
            for row in self._sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        if "trials" not in found:
            if found:
                raise StoreError(
                    f"{self.path} is an SQLite file, but not a trial store: it has no table"
                    " `trials`. Give another path."
                )
            with self._sql:
                self._sql.execute(
                    "BEGIN IMMEDIATE"
                )  # two runs may make one store at the same moment
                if not self._sql.execute(
                    "SELECT 1 FROM sqlite_master WHERE name = 'trials'"
                ).fetchone():
                    self._sql.execute(CREATE)
            with suppress(
                sqlite3.OperationalError
            ):  # another run is at it, or the file system cannot: slower, as safe
                self._sql.execute("PRAGMA journal_mode = WAL")
        table = self._sql.execute(
            "PRAGMA table_info(trials)"
        ).fetchall()  # number, name, type, not null, default, key
        missing = set(COLUMNS) - {row[1] for row in table}
        if missing - set(LATER):
            raise StoreError(
                f"{self.path} is not a trial store: its table `trials` lacks"
                f" {', '.join(sorted(missing))}. Give another path."
            )
        further = sorted(
            row[1] for row in table if row[1] not in COLUMNS and row[3] and row[4] is None
        )
        if further:
            raise StoreError(
                f"{self.path} is of a newer version of rnnkit: its trials must have"
                f" {', '.join(further)}. Install that version."
            )
        for name in missing:  # a store of an older version
            with suppress(sqlite3.OperationalError):  # another run has just added it
                self._sql.execute(f"ALTER TABLE trials ADD COLUMN {column(name)}")
        self._check_health()

    def _check_health(self):
        """StoreError for a corrupt store. Of a large one the length alone is looked at, since all
        of it would have to be read; what else is wrong there is told by who reads it.
        """
        pages, size = (
            self._sql.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "page_size")
        )
        if pages * size <= LARGE:
            health = self._sql.execute("PRAGMA quick_check(1)").fetchone()[0]
        else:
            with open(self.path, "rb") as file:
                head = file.read(32)
            lacking = self.path.stat().st_size < size * int.from_bytes(head[28:32], "big")
            health = "its end is missing" if lacking else "ok"
        if health != "ok":
            raise StoreError(corrupt(self.path, health))

    def _plainly(self):
        """SQLite's errors, as sentences."""
        return plainly(self.path)

    def add(self, trials) -> int:
        """Writes the trials (one transaction, on disk when it returns) and gives how many were new.
        What the store has is kept.

        To add nothing is to try whether the store may be written.
        """
        return self._insert(map(to_row, trials))

    def _insert(self, rows) -> int:
        table = "more.trials" if self._table(create=True) == "both" else "main.trials"
        if self._identity and self._identity_of_file() != self._identity:
            self._save_what_was_there(rows)
        with self._plainly(), self._sql:
            self._sql.execute("BEGIN IMMEDIATE")
            return max(0, self._sql.executemany(INSERT.format(table=table), rows).rowcount)

    def trials(self, study: str) -> list[Trial]:
        """The trials of one study, in the order of their numbers."""
        with self._plainly():
            return [from_row(row) for row in self._rows(study)]

    def trial_at(self, place: int) -> Trial:
        """The trial at a place in the order of studies and numbers, from 0. IndexError."""
        with self._plainly():
            order = "ORDER BY study, hyper_iter LIMIT 1 OFFSET ?"
            key = self._sql.execute(
                f"SELECT study, hyper_iter FROM {self._table()} {order}", (place,)
            ).fetchone()
        if key is None:
            raise IndexError(f"The store has {len(self)} trials, got place {place}.")
        return next(trial for trial in self.trials(key[0]) if trial.hyper_iter == key[1])

    def summary(self) -> list[tuple[str, int, int, float, float]]:
        """A row a study, in order: key, trials, infeasible ones, least validation loss (NaN without
        a feasible trial), seconds.
        """
        columns = "study, count(*), sum(infeasible), min(valid_loss), sum(seconds)"
        with self._plainly():
            rows = self._sql.execute(
                f"SELECT {columns} FROM {self._table()} GROUP BY study ORDER BY study"
            ).fetchall()
        for key, _, *numbers in rows:
            if any(type(number) not in (int, float, type(None)) for number in numbers):
                raise StoreError(
                    f"Trials of {plain(str(key))[:300]} have texts where numbers must be. Delete"
                    " those rows, or give another store."
                )
        return [
            (plain(str(key)), count, bad, math.nan if best is None else best, seconds or 0.0)
            for key, count, bad, best, seconds in rows
        ]

    def tasks(self) -> list[tuple]:
        """A row per task: its name, studies, trials, infeasible ones, seconds of training."""
        columns = "task_type, count(DISTINCT study), count(*), sum(infeasible), sum(seconds)"
        with self._plainly():
            rows = self._sql.execute(
                f"SELECT {columns} FROM {self._table()} GROUP BY task_type ORDER BY task_type"
            ).fetchall()
        return [(plain(str(name)), *counts) for name, *counts in rows]

    def __repr__(self) -> str:
        return f"TrialStore({str(self.path)!r}): {len(self):,} trials"

    def _repr_html_(self) -> str:
        rows = [
            (name, studies, trials, bad, f"{seconds / 60:,.1f}")
            for name, studies, trials, bad, seconds in self.tasks()
        ]
        kept = "" if self.kept else " What is added is not kept."
        return table(
            ("task", "studies", "trials", "diverged", "minutes of training"),
            rows,
            f"{len(self):,} trials in {self.path}.{kept}",
        )

    def has(self, study: str, count: int) -> bool:
        """Whether the trials 0, ..., count - 1 of a study are all here. StoreError."""
        return set(range(count)) <= self.numbers(study)

    def numbers(self, study: str) -> set[int]:
        """The numbers (hyper_iter) of the trials that the store has of one study."""
        with self._plainly():
            return {
                row[0]
                for row in self._sql.execute(
                    f"SELECT hyper_iter FROM {self._table()} WHERE study = ?", (study,)
                )
            }

    def _rows(self, study=None):
        """Rows as the table has them, of all studies or of one, by study and number."""
        if study is None:
            return self._sql.execute(
                f"SELECT {NAMES} FROM {self._table()} ORDER BY study, hyper_iter"
            )
        return self._sql.execute(
            f"SELECT {NAMES} FROM {self._table()} WHERE study = ? ORDER BY hyper_iter", (study,)
        )

    def frame(self, studies=None) -> pd.DataFrame:
        """One row a trial, of all studies or of those named, by study and number. Losses of
        infeasible trials are NaN.
        """
        from rnnkit.trials.frames import frame_of

        with self._plainly():
            if studies is None:
                return frame_of(self._rows())
            studies = sorted({studies} if isinstance(studies, str) else set(studies))
            return frame_of(row for key in studies for row in self._rows(key))

    def __len__(self):
        with self._plainly():
            return self._sql.execute(f"SELECT count(*) FROM {self._table()}").fetchone()[0]

    @cached_property
    def shelf(self):
        """Where the weights of the best trials are."""
        from rnnkit.trials.weights import Shelf, folder_beside

        under = folder_beside(self.path) if self.travels else None
        return Shelf(folder_beside(self.file) if self.kept else None, self.kept, under)

    def save_weights(
        self, study: str, hyper_iter: int, valid_loss: float, blocks: dict, about: dict
    ) -> bool:
        """Keeps the weights of a trial beside the store if its study has none so good; says whether
        it did (trials/weights.py).

        `blocks` are float32 arrays by the names of networks.blocks; `about` gives architecture,
        n_layers, n_units, n_in, n_out. A disk that takes no more is told in one warning. ValueError
        for blocks that are no such network.
        """
        about = {
            **about,
            "study": study,
            "hyper_iter": int(hyper_iter),
            "valid_loss": float(valid_loss),
        }
        return self.shelf.save(about, blocks)

    def weights(self, study: str) -> tuple[int, dict]:
        """Number (hyper_iter) and weights, by block, of the best trial of a study. StoreError if
        the store has none that can be read.
        """
        about, blocks = self.shelf.load(study)
        return about["hyper_iter"], blocks

    def export(self, parquet) -> int:
        """Adds all trials to a Parquet file, which is made if need be, and the weights beside it;
        gives how many the file then has.

        The file is replaced whole or not at all, and what it has stays: of a trial that it has as
        well the file's own record, and of two networks the better one. StoreError for a file that
        is none of trials, and where the two disagree about a trial.
        """
        from rnnkit.trials.export import export

        with self._plainly():
            return export(self, parquet)

    def rows(self):
        """All trials, as the table has them, by study and number. StoreError, on the way, for a row
        that is none.
        """
        return map(checked, self._rows())

    def studies(self) -> list[str]:
        """The keys of all studies, in order."""
        with self._plainly():
            return [
                row[0]
                for row in self._sql.execute(
                    f"SELECT DISTINCT study FROM {self._table()} ORDER BY study"
                )
            ]

    def import_(self, parquet, check=None) -> int:
        """Adds the trials of a Parquet file, and the weights beside it, and gives how many trials
        were new.

        Nothing in the files is trusted or run; StoreError. `check(trial)` may raise one too, and
        then nothing is imported. A file of weights that is none is told in a warning and left.
        """
        from rnnkit.trials.parquet import rows_in
        from rnnkit.trials.weights import folder_beside

        parquet, studies = at_home(parquet), set()

        def checked():
            for row in rows_in(parquet):
                if check:
                    check(from_row(row))
                studies.add(row[STUDY])
                yield row

        count = self._insert(checked())
        self.shelf.add_from(folder_beside(parquet), sorted(studies))
        return count

    def _identity_of_file(self):
        """What tells the file that is written from another of its name; None where there is none."""
        try:
            about = os.stat(self.file) if self.kept else None
        except OSError:
            return None
        return about and (about.st_dev, about.st_ino)

    def _save_what_was_there(self, rows):
        """Raises the StoreError that the file has been removed or replaced; what it had, and new
        `rows`, are saved beside its place.
        """
        saved = next(
            path
            for k in itertools.count(1)
            if not (path := self.file.with_name(f"{self.file.stem}-saved-{k}.sqlite")).exists()
        )
        try:
            with TrialStore(saved) as other:
                other._insert(rows)
                for study in self.studies():
                    other.add(self.trials(study))
                where = (
                    f"What could be read of it, {len(other):,} trials, is in {saved}: move that to"
                    " its place, and run the same again."
                )
        except StoreError as error:
            where = f"What it had cannot be saved: {error}"
        raise StoreError(
            f"The store {self.file} was removed or replaced while it was written. {where}"
        )

    def close(self):
        self._sql.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
