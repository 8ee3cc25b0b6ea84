"""Trials from a store into a Parquet file and back, where both may have some: neither loses one by
it.
"""

import heapq

from rnnkit.trials.files import alone_in, travelling
from rnnkit.trials.parquet import rows_in, write
from rnnkit.trials.sql import NUMBER, STUDY
from rnnkit.trials.trial import COLUMNS, StoreError, differ, from_row
from rnnkit.trials.weights import folder_beside

RESULTS = [
    list(COLUMNS).index(name)
    for name in ("hparams", "train_loss", "valid_loss", "eval_loss", "infeasible")
]


def export(store, parquet) -> int:
    """What `TrialStore.export` does."""
    parquet = travelling(parquet)
    with alone_in(parquet.parent):
        if not parquet.exists():
            count = write(store.rows(), parquet)
        else:
            count, _, lacking, ordered = compared(store, parquet)
            if lacking:
                new = (row for row in store.rows() if key_of(row) in lacking)
                both = (
                    heapq.merge(rows_in(parquet), new, key=key_of)
                    if ordered
                    else sorted([*rows_in(parquet), *new], key=key_of)
                )
                count = write(both, parquet)
        store.shelf.copy_to(folder_beside(parquet), store.studies())
    return count


def take_over(store, parquet, check=None) -> int:
    """Adds the trials of a file to a store, as `import_` does; gives how many were new. StoreError
    where the two disagree about a trial.
    """
    new = compared(store, parquet)[1]
    return store.import_(parquet, check) if new else 0


def compared(store, parquet) -> tuple[int, int, set, bool]:
    """How many trials a file has, how many of them a store lacks, the keys of those that the file
    lacks, and whether the file is in order.

    StoreError where the two disagree about a trial.
    """
    mine = {key_of(row): results_of(row) for row in store.rows()}
    count, new, ordered, before = 0, 0, True, ("", -1)
    for row in rows_in(parquet):
        key = key_of(row)
        count, ordered, before = count + 1, ordered and before < key, key
        results = mine.pop(key, None)
        if results is None:
            new += 1
        elif results != results_of(row):
            check_same(store, parquet, row)
    return count, new, set(mine), ordered


def key_of(row) -> tuple[str, int]:
    return row[STUDY], row[NUMBER]


def results_of(row) -> int:
    """A number that tells the results of a row from others."""
    return hash(
        tuple(
            bool(row[place]) if list(COLUMNS)[place] == "infeasible" else row[place]
            for place in RESULTS
        )
    )


def check_same(store, parquet, row):
    """StoreError if a row of a file is another record of a trial than the store's."""
    there = from_row(row)
    here = next(
        trial for trial in store.trials(there.study) if trial.hyper_iter == there.hyper_iter
    )
    if differ(here, there):
        what = (
            f"trial {there.hyper_iter} of {there.study} has loss {there.valid_loss:.9g} there and"
            f" {here.valid_loss:.9g} here"
        )
        raise StoreError(
            f"{parquet} has another record of the same trials as {store.path}: {what}. Give another"
            " path."
        )
