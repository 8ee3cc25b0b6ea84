"""The store of trials: one SQLite file, one writer at a time, any number of readers, no torch.

A trial is a row and is written once, when it ends. The store is therefore also the memory of an
interrupted run: a trial that is in it is never trained again, and `kill -9` loses the trials in
flight and nothing else.
"""

import itertools
import math
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cached_property, partial
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NoReturn, Self

import pandas as pd

from rnnkit.markup import table
from rnnkit.trials.paths import (
    check_store_path,
    expand_home,
    export_path,
    folder_lock,
    side_store,
    store_path,
    too_many_files,
)
from rnnkit.trials.sql import (
    ALL_TRIALS,
    CREATE,
    INSERT,
    NAMES,
    NUMBER,
    RULE,
    STUDY,
    corrupt,
    declaration,
    store_errors,
)
from rnnkit.trials.trial import (
    COLUMNS,
    DEFAULTS,
    INDICES,
    RESULTS,
    StoreError,
    StorePathError,
    Trial,
    check_row,
    differ,
    from_row,
    plain,
    to_row,
)

if TYPE_CHECKING:
    from rnnkit.trials.weights import Shelf

MAX_ROW = 2 << 20  # bytes of a row or of a text; a longer one is not read, whatever memory there is
ONE_ROW = f"SELECT {NAMES} FROM {{source}} WHERE study = ? AND hyper_iter = ?"
RESULTS_OF = itemgetter(*(INDICES[name] for name in RESULTS))  # of a row
LARGE = 64 << 20  # bytes; a store of more is not read whole when it is opened


class TrialStore:
    """The trials in an SQLite file, which is made if it is missing (unless `create` is False). A
    store is also a context manager.

    A path that ends in .parquet names a file of trials that is only read: new trials go into an
    SQLite file beside it (see `side_store`), and the store shows those of both. `":memory:"` is an
    empty store that is lost when it is closed. `file` is the SQLite file that is written, or None
    if there is none. `patience` is how long to wait for another writer, in seconds. StoreError.
    """

    def __init__(
        self, path: str | os.PathLike, create: bool = True, patience: float = 10.0
    ) -> None:
        if not isinstance(path, (str, Path)) or "\0" in str(path):
            raise StoreError(
                f"A store is named by the path of a file, got {path!r}. Give such a path."
            )
        self.path = store_path(path)
        self.patience = patience
        self._side_attached = False
        self.is_parquet = self.path.suffix == ".parquet"
        self.file: Path | None = None
        if str(path) != ":memory:":
            self.file = (side_store(self.path) if self.is_parquet else self.path).absolute()
        if self.persistent and not self.is_parquet:
            check_store_path(self.path, create)
        in_memory = self.is_parquet or not self.persistent
        with self._errors():
            self._sql = sqlite3.connect(":memory:" if in_memory else self.path, timeout=patience)
            self._sql.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ROW)
        try:
            with self._errors():
                try:
                    self._prepare()
                except sqlite3.OperationalError as error:
                    if not self._reopen_to_read(error):
                        raise
                    self._prepare()
            if self.is_parquet:
                self._read_parquet()
        except BaseException:
            self._sql.close()
            raise
        self._identity = self._identity_of_file()

    @property
    def persistent(self) -> bool:
        """Whether trials that are added are still there when the store is opened again."""
        return self.file is not None

    def _errors(self) -> AbstractContextManager[None]:
        return store_errors(self.path)

    # ---- opening

    def _reopen_to_read(self, error: sqlite3.OperationalError) -> bool:
        """Opens a store that may be neither written nor locked, such as one on a read-only disk,
        for reading only. Returns whether `error` says that this is such a store.
        """
        path = self.path.absolute()
        name = getattr(error, "sqlite_errorname", None) or ""
        read_only = name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN"))
        if not read_only or not path.exists() or path.with_name(f"{path.name}-wal").exists():
            return False
        if too_many_files():
            return False
        self._sql.close()
        self._sql = sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)
        self._sql.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ROW)
        return True

    def _read_parquet(self) -> None:
        from rnnkit.trials.parquet import read_rows

        with self._errors(), self._sql:
            self._sql.executemany(INSERT.format(table="main.trials"), read_rows(self.path))

    def _source(self, create: bool = False) -> str:
        """The table or view to read trials from: the table `trials`, or, for a Parquet file with a
        side store, the view of both.

        With `create`, a missing side store is made. If it cannot be made, new trials stay in
        memory, and the store is no longer `persistent`.
        """
        if self._side_attached:
            return "all_trials"
        if not self.is_parquet or self.file is None or not (create or self.file.exists()):
            return "trials"
        try:
            TrialStore(self.file, patience=self.patience).close()  # makes or checks it
        except StoreError:
            if self.file.exists() or too_many_files():
                raise
            self.file = self.shelf.folder = None
            return "trials"
        with self._errors():
            self._sql.execute("ATTACH ? AS side", (str(self.file),))
            self._sql.execute(ALL_TRIALS)
        self._side_attached = True
        self._identity = self._identity_of_file()
        return "all_trials"

    def _prepare(self) -> None:
        """Makes or checks the table of trials, and checks the file. StoreError, sqlite3.Error."""
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        tables = [name for (name,) in self._sql.execute(query)]
        if tables and "trials" not in tables:
            raise StorePathError(
                f"{self.path} is an SQLite file, but not a trial store: it has no table `trials`."
                " Give another path."
            )
        if not tables:
            self._create_table()
        self._check_rules()
        self._check_columns()
        self._check_health()

    def _create_table(self) -> None:
        with self._sql:
            self._sql.execute("BEGIN IMMEDIATE")  # two runs may make one store at the same moment
            query = "SELECT 1 FROM sqlite_master WHERE name = 'trials'"
            if not self._sql.execute(query).fetchone():
                self._sql.execute(CREATE)
        # fails if another run does the same, or if the file system cannot: slower, and as safe
        with suppress(sqlite3.OperationalError):
            self._sql.execute("PRAGMA journal_mode = WAL")

    def _check_rules(self) -> None:
        """StoreError for a store that has rules of its own: these could drop, change or refuse the
        trials that are written to it.
        """
        query = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        for kind, name, of, sql in self._sql.execute(query):
            if kind == "trigger" or (of == "trials" and RULE.search(sql)):
                raise StoreError(
                    f"{self.path} has rules that rnnkit did not make ({kind} {plain(str(name))[:60]}):"
                    " they could drop or change the trials that are written. Remove them, or give"
                    " another path."
                )

    def _check_columns(self) -> None:
        """Adds the columns that a store of an older version lacks. StoreError for a table that is
        not one of trials, or is of a newer version.
        """
        column_info = self._sql.execute("PRAGMA table_info(trials)").fetchall()
        missing = set(COLUMNS) - {name for _, name, *_ in column_info}
        if missing - set(DEFAULTS):
            raise StorePathError(
                f"{self.path} is not a trial store: its table `trials` lacks"
                f" {', '.join(sorted(missing))}. Give another path."
            )
        demands = sorted(
            name
            for _, name, _, not_null, default, _ in column_info
            if name not in COLUMNS and not_null and default is None
        )
        if demands:
            raise StoreError(
                f"{self.path} is of a newer version of rnnkit: its trials must have"
                f" {', '.join(demands)}. Install that version."
            )
        key = {name for _, name, *_, position in column_info if position}
        if key != {"study", "hyper_iter"}:
            raise StoreError(
                f"{self.path} is not a trial store: study and hyper_iter must be the primary key of"
                f" its table `trials`, got {plain(', '.join(sorted(key))) or 'none'}. Give another"
                " path."
            )
        for name in missing:
            with suppress(sqlite3.OperationalError):  # another run has just added it
                self._sql.execute(f"ALTER TABLE trials ADD COLUMN {declaration(name)}")

    def _check_health(self) -> None:
        """StoreError for a corrupt store. Only the length of a large one is checked, since the rest
        takes reading all of it; whoever reads it meets what else is wrong.
        """
        pages, size = (
            self._sql.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "page_size")
        )
        if pages * size <= LARGE:
            health = self._sql.execute("PRAGMA quick_check(1)").fetchone()[0]
        else:
            with open(self.path, "rb") as file:
                header = file.read(32)
            expected_size = size * int.from_bytes(header[28:32], "big")
            health = "ok" if self.path.stat().st_size >= expected_size else "its end is missing"
        if health != "ok":
            raise StoreError(corrupt(self.path, health))

    # ---- writing

    def add(self, trials: Iterable[Trial]) -> int:
        """Writes the trials in one transaction, which is on disk when this returns, and returns how
        many were new. A trial that the store has stays as it is.

        Adding no trials checks that the store may be written. StoreError.
        """
        return self.add_rows(map(to_row, trials))

    def add_rows(self, trial_rows: Iterable) -> int:
        """Writes rows of a store's table as `add` writes trials."""
        schema = "side" if self._source(create=True) == "all_trials" else "main"
        if self.file and self._identity and self._identity_of_file() != self._identity:
            self._rescue(self.file, trial_rows)
        with self._errors(), self._sql:
            self._sql.execute("BEGIN IMMEDIATE")
            # BEGIN succeeds even where nothing may be written, and without rows nothing is inserted
            self._sql.execute(f"DELETE FROM {schema}.trials WHERE FALSE")
            insertion = self._sql.executemany(INSERT.format(table=f"{schema}.trials"), trial_rows)
            return max(0, insertion.rowcount)

    def _identity_of_file(self) -> tuple[int, int] | None:
        """Device and inode of the file that is written; None if there is no file."""
        try:
            status = os.stat(self.file) if self.file else None
        except OSError:
            return None
        return status and (status.st_dev, status.st_ino)

    def _rescue(self, file: Path, trial_rows: Iterable) -> NoReturn:
        """Saves new rows, and what can be read of the store's file, which was removed or replaced,
        beside its path. Raises the StoreError that says so.
        """
        candidates = (
            file.with_name(f"{file.stem}-saved-{number}.sqlite") for number in itertools.count(1)
        )
        copy_path = next(path for path in candidates if not path.exists())
        try:
            with TrialStore(copy_path) as copy:
                copy.add_rows(trial_rows)
                for study in self.studies():
                    copy.add(self.trials(study))
                outcome = (
                    f"What could be read of it, {len(copy):,} trials, is in {copy_path}: move that"
                    " to its place, and run the same again."
                )
        except StoreError as error:
            outcome = f"What it had cannot be saved: {error}"
        raise StoreError(
            f"The store {file} was removed or replaced while it was written. {outcome}"
        )

    # ---- reading

    def _query(self, sql: str, *parameters: object) -> list[tuple]:
        """The rows that a query gives, where {source} in `sql` is the table to read from."""
        with self._errors():
            return self._sql.execute(sql.format(source=self._source()), parameters).fetchall()

    def _table_rows(self, study: str | None = None) -> Iterator[tuple]:
        """Rows of the table, of all studies or of one, ordered by study and number."""
        query = f"SELECT {NAMES} FROM {self._source()}"
        if study is None:
            return self._sql.execute(f"{query} ORDER BY study, hyper_iter")
        return self._sql.execute(f"{query} WHERE study = ? ORDER BY hyper_iter", (study,))

    def table_rows(self) -> Iterator:
        """Rows of the table of all trials, ordered by study and number. StoreError, on the way, for
        a row that cannot be a trial.
        """
        with self._errors():
            yield from map(check_row, self._table_rows())

    def trials(self, study: str) -> list[Trial]:
        """The trials of one study, in the order of their numbers."""
        with self._errors():
            return [from_row(row) for row in self._table_rows(study)]

    def trial_at(self, index: int) -> Trial:
        """The trial at an index, from 0, in the order of studies and numbers. IndexError."""
        keys = self._query(
            "SELECT study, hyper_iter FROM {source} ORDER BY study, hyper_iter LIMIT 1 OFFSET ?",
            index,
        )
        if not keys:
            raise IndexError(f"The store has {len(self)} trials, got index {index}.")
        return from_row(self._query(ONE_ROW, *keys[0])[0])

    def summary(self) -> list[tuple[str, int, int, float, float]]:
        """One row per study, ordered by key: key, trials, infeasible trials, least validation loss
        (NaN without a feasible trial), seconds of training.
        """
        summary = []
        for key, count, infeasible, best, seconds in self._query(
            "SELECT study, count(*), sum(infeasible), min(valid_loss), sum(seconds) FROM {source}"
            " GROUP BY study ORDER BY study"
        ):
            if any(
                type(number) not in (int, float, type(None))
                for number in (infeasible, best, seconds)
            ):
                raise StoreError(
                    f"Trials of {plain(str(key))[:300]} have texts where numbers must be. Delete"
                    " those rows, or give another store."
                )
            best = math.nan if best is None else best
            summary.append((plain(str(key)), count, infeasible, best, seconds or 0.0))
        return summary

    def tasks(self) -> list[tuple]:
        """One row per task: its name, studies, trials, infeasible trials, seconds of training."""
        counts = self._query(
            "SELECT task_type, count(DISTINCT study), count(*), sum(infeasible), sum(seconds)"
            " FROM {source} GROUP BY task_type ORDER BY task_type"
        )
        return [(plain(str(name)), *numbers) for name, *numbers in counts]

    def studies(self) -> list[str]:
        """The keys of all studies, in order."""
        return [key for (key,) in self._query("SELECT DISTINCT study FROM {source} ORDER BY study")]

    def numbers(self, study: str) -> set[int]:
        """The numbers (hyper_iter) of the trials that the store has of one study."""
        query = "SELECT hyper_iter FROM {source} WHERE study = ?"
        return {number for (number,) in self._query(query, study)}

    def has(self, study: str, count: int) -> bool:
        """Whether the store has all of the trials 0, ..., count - 1 of a study."""
        return self.numbers(study).issuperset(range(count))

    def frame(self, studies: str | Iterable[str] | None = None) -> pd.DataFrame:
        """One row per trial, of all studies or of those with the given keys, ordered by study and
        number. The losses of infeasible trials are NaN.
        """
        from rnnkit.trials.frames import frame_of

        with self._errors():
            if studies is None:
                return frame_of(self._table_rows())
            keys = sorted({studies} if isinstance(studies, str) else set(studies))
            return frame_of(row for key in keys for row in self._table_rows(key))

    def __len__(self) -> int:
        return self._query("SELECT count(*) FROM {source}")[0][0]

    def __repr__(self) -> str:
        return f"TrialStore({str(self.path)!r}): {len(self):,} trials"

    def _repr_html_(self) -> str:
        per_task = [(*counts, f"{seconds / 60:,.1f}") for *counts, seconds in self.tasks()]
        warning = "" if self.persistent else " New trials are lost when it is closed."
        return table(
            ("task", "studies", "trials", "diverged", "minutes of training"),
            per_task,
            f"{len(self):,} trials in {self.path}.{warning}",
        )

    # ---- weights

    @cached_property
    def shelf(self) -> "Shelf":
        """The weights of the best trials (a weights.Shelf)."""
        from rnnkit.trials.weights import Shelf, weights_folder

        return Shelf(
            weights_folder(self.file) if self.file else None,
            weights_folder(self.path) if self.is_parquet else None,
        )

    def save_weights(
        self, study: str, hyper_iter: int, valid_loss: float, blocks: dict, network: dict
    ) -> bool:
        """Saves the weights of a trial beside the store, unless its study has better ones. Returns
        whether they were saved.

        `blocks` are float32 arrays by the names of networks.blocks, and `network` gives
        architecture, n_layers, n_units, n_in and n_out. If the disk takes no more, there is one
        warning. ValueError for blocks that are not those of such a network.
        """
        trial = {"study": study, "hyper_iter": int(hyper_iter), "valid_loss": float(valid_loss)}
        return self.shelf.save(network | trial, blocks)

    def weights(self, study: str) -> tuple[int, dict]:
        """Number (hyper_iter) of the best trial of a study, and its weights by block. StoreError if
        the store has none that can be read.
        """
        account, blocks = self.shelf.load(study)
        return account["hyper_iter"], blocks

    # ---- exchange

    def export(self, parquet: str | os.PathLike) -> int:
        """Adds all trials to a Parquet file, which is made if it is missing, and the weights beside
        it. Returns how many trials the file then has.

        The file is replaced whole or not at all. It keeps its own record of a trial that the store
        has, too, and of two networks the better one. StoreError for a file that does not hold
        trials, and where the two disagree about a trial.
        """
        from rnnkit.trials.parquet import write
        from rnnkit.trials.weights import weights_folder

        parquet = export_path(parquet)
        try:
            with folder_lock(parquet.parent):
                count = (
                    self._export_union(parquet)
                    if parquet.exists()
                    else write(self.table_rows(), parquet)
                )
                self.shelf.copy_to(weights_folder(parquet), self.studies())
                return count
        except OSError as error:
            raise StoreError(
                f"{parquet} cannot be written ({error.strerror or error}). Give another path."
            ) from error

    def _export_union(self, parquet: Path) -> int:
        """Writes the trials of a file and of the store to the file, unless it has all of them.
        Returns their number.
        """
        from rnnkit.trials.parquet import write

        # in a file, since a million rows may not fit into memory
        with (
            TemporaryDirectory(prefix=f"{parquet.name}.", dir=parquet.parent) as folder,
            TrialStore(Path(folder, "union.sqlite")) as union,
        ):
            union.add_rows(row for row, _ in self._compared_rows(parquet))
            if union.add_rows(self.table_rows()):
                write(union.table_rows(), parquet)
            return len(union)

    def import_(
        self, parquet: str | os.PathLike, check: Callable[[Trial], object] | None = None
    ) -> int:
        """Adds the trials of a Parquet file, and the weights beside it. Returns how many trials
        were new.

        Nothing in the files is trusted or run. StoreError; `check(trial)` may raise one, too, and
        then nothing is imported. A file that does not hold weights is skipped with a warning.
        """
        from rnnkit.trials.parquet import read_rows
        from rnnkit.trials.weights import weights_folder

        parquet = expand_home(parquet)
        studies = set()

        def checked_rows() -> Iterator[tuple]:
            for row in read_rows(parquet):
                if check:
                    check(from_row(row))
                studies.add(row[STUDY])
                yield row

        count = self.add_rows(checked_rows())
        trials_of = {study: partial(self.trials, study) for study in sorted(studies)}
        self.shelf.add_from(weights_folder(parquet), trials_of)
        return count

    def import_new(self, parquet: Path, check: Callable[[Trial], object]) -> int:
        """Imports a file as `import_` does, if it has trials that the store lacks. Returns their
        number. StoreError if the two disagree about a trial.
        """
        lacking = [is_new for _, is_new in self._compared_rows(parquet)]
        return self.import_(parquet, check) if any(lacking) else 0

    def _compared_rows(self, parquet: Path) -> Iterator[tuple[tuple, bool]]:
        """The rows of a file, each with whether the store lacks its trial. StoreError for a trial
        of which the two have different results.
        """
        from rnnkit.trials.parquet import read_rows

        for row in read_rows(parquet):
            own_rows = self._query(ONE_ROW, row[STUDY], row[NUMBER])
            if own_rows and RESULTS_OF(own_rows[0]) != RESULTS_OF(row):
                ours = from_row(own_rows[0])
                theirs = from_row(row)
                if differ(ours, theirs):  # and not only in how hyper-parameters are written
                    raise StoreError(
                        f"{parquet} has another record of the same trials as {self.path}: trial"
                        f" {ours.hyper_iter} of {ours.study} has loss {theirs.valid_loss:.9g} there"
                        f" and {ours.valid_loss:.9g} here. Give another path."
                    )
            yield row, not own_rows

    def close(self) -> None:
        self._sql.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def opened(
    store: TrialStore | str | os.PathLike, create: bool = True
) -> AbstractContextManager[TrialStore]:
    """A context manager of a store, or of the store at a path, which is closed at the end; a store
    stays open.
    """
    return nullcontext(store) if isinstance(store, TrialStore) else TrialStore(store, create=create)
