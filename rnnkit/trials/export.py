"""Moves trials from a store into a Parquet file and back. Both may already have some, and neither
loses any.
"""

import os
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory

from rnnkit.trials.parquet import read_rows, write
from rnnkit.trials.paths import export_path, folder_lock
from rnnkit.trials.sql import NUMBER, STUDY
from rnnkit.trials.store import TrialStore
from rnnkit.trials.trial import (
    INDICES,
    RESULTS,
    StoreError,
    StorePathError,
    Trial,
    differ,
    from_row,
)
from rnnkit.trials.weights import weights_folder

results = itemgetter(*(INDICES[name] for name in RESULTS))  # of a row


def export(store: TrialStore, parquet: str | os.PathLike) -> int:
    """See `TrialStore.export`."""
    parquet = export_path(parquet)
    if not parquet.parent.is_dir():
        raise StorePathError(
            f"{parquet} cannot be written, since the folder {parquet.parent} must exist. Make it, or"
            " give another path."
        )
    try:
        # on the disk, since a million rows may not fit into memory
        with (
            folder_lock(parquet.parent),
            TemporaryDirectory(prefix=f"{parquet.name}.", dir=parquet.parent) as folder,
            TrialStore(Path(folder, "union.sqlite")) as union,
        ):
            if parquet.exists():
                union.add_rows(row for row, _ in compared_rows(store, parquet))
            if union.add_rows(store.table_rows()) or not parquet.exists():
                write(union.table_rows(), parquet)
            store.shelf.copy_to(weights_folder(parquet), store.studies())
            return len(union)
    except OSError as error:
        raise StoreError(
            f"{parquet} cannot be written ({error.strerror or error}). Give another path."
        ) from error


def import_new(
    store: TrialStore,
    parquet: str | os.PathLike,
    check: Callable[[Trial], object] | None = None,
) -> int:
    """Imports a file as `TrialStore.import_` does, if it has trials that the store lacks, and
    returns their number. StoreError if the two disagree about a trial.
    """
    has_new = [is_new for _, is_new in compared_rows(store, parquet)]
    return store.import_(parquet, check) if any(has_new) else 0


def compared_rows(store: TrialStore, parquet: str | os.PathLike) -> Iterator[tuple[tuple, bool]]:
    """The rows of a file, each with whether the store lacks its trial. StoreError for a trial of
    which the two have different results.
    """
    for row in read_rows(parquet):
        ours = store.row(row[STUDY], row[NUMBER])
        if ours and results(ours) != results(row):
            mine = from_row(ours)
            theirs = from_row(row)
            if differ(mine, theirs):  # and not only in how hyper-parameters are written
                raise StoreError(
                    f"{parquet} has another record of the same trials as {store.path}: trial"
                    f" {mine.hyper_iter} of {mine.study} has loss {theirs.valid_loss:.9g} there and"
                    f" {mine.valid_loss:.9g} here. Give another path."
                )
        yield row, not ours
