"""Moves trials from a store into a Parquet file and back. Both may already have some, and neither
loses any.
"""

import heapq
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rnnkit.trials.parquet import read_rows, write
from rnnkit.trials.paths import export_path, folder_lock
from rnnkit.trials.sql import NUMBER, STUDY
from rnnkit.trials.trial import COLUMNS, RESULTS, StoreError, differ, from_row
from rnnkit.trials.weights import weights_folder

RESULT_INDICES = [list(COLUMNS).index(name) for name in RESULTS]


class Comparison(NamedTuple):
    """What a Parquet file has of a store's trials, and the other way round."""

    in_file: int  # trials in the file
    new: int  # trials of the file that the store lacks
    missing: set  # keys of the store's trials that the file lacks
    in_order: bool  # whether the file is sorted by study and number


def export(store, parquet) -> int:
    """See `TrialStore.export`."""
    parquet = export_path(parquet)
    with folder_lock(parquet.parent):
        if not parquet.exists():
            count = write(store.table_rows(), parquet)
        else:
            count, _, missing, in_order = compare(store, parquet)
            if missing:
                new = (row for row in store.table_rows() if key_of(row) in missing)
                union: Iterable = heapq.merge(read_rows(parquet), new, key=key_of)
                if not in_order:
                    union = sorted([*read_rows(parquet), *new], key=key_of)
                count = write(union, parquet)
        store.shelf.copy_to(weights_folder(parquet), store.studies())
    return count


def import_new(store, parquet, check=None) -> int:
    """Imports a file as `TrialStore.import_` does, if it has trials that the store lacks, and
    returns their number. StoreError if the two disagree about a trial.
    """
    return store.import_(parquet, check) if compare(store, parquet).new else 0


def compare(store, parquet) -> Comparison:
    """Compares the trials of a store and of a file. StoreError if the two disagree about a trial."""
    # hashes of the results, since a million rows would not fit
    missing = {key_of(row): hash_of_results(row) for row in store.table_rows()}
    count = 0
    new = 0
    in_order = True
    previous = ("", -1)
    for row in read_rows(parquet):
        key = key_of(row)
        count += 1
        in_order = in_order and previous < key
        previous = key
        results = missing.pop(key, None)
        if results is None:
            new += 1
        elif results != hash_of_results(row):
            check_agreement(store, parquet, row)
    return Comparison(count, new, set(missing), in_order)


def key_of(row: Sequence) -> tuple[str, int]:
    """The study and the number of the trial in a row."""
    return row[STUDY], row[NUMBER]


def hash_of_results(row: Sequence) -> int:
    """A hash of what two records of one trial must agree in; True equals 1."""
    return hash(tuple(row[index] for index in RESULT_INDICES))


def check_agreement(store, parquet, row: Sequence) -> None:
    """StoreError if a row of a file has other results than the store's record of that trial."""
    theirs = from_row(row)
    ours = next(t for t in store.trials(theirs.study) if t.hyper_iter == theirs.hyper_iter)
    if differ(ours, theirs):
        raise StoreError(
            f"{parquet} has another record of the same trials as {store.path}: trial"
            f" {theirs.hyper_iter} of {theirs.study} has loss {theirs.valid_loss:.9g} there and"
            f" {ours.valid_loss:.9g} here. Give another path."
        )
