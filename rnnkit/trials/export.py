"""Trials out of a store into a Parquet file, which never loses one by it."""

from rnnkit.trials.files import alone_in, travelling
from rnnkit.trials.parquet import read, write
from rnnkit.trials.store import TrialStore
from rnnkit.trials.trial import StoreError, differ
from rnnkit.trials.weights import folder_beside


def export(store, parquet) -> int:
    """What `TrialStore.export` does."""
    parquet = travelling(parquet)
    with alone_in(parquet.parent):
        if parquet.exists():
            with TrialStore(":memory:") as merged:
                merged.add(read(parquet))
                merged.add(lacking(merged, store, parquet))
                count = write(merged.rows(), parquet)
        else:
            count = write(store.rows(), parquet)
        store.shelf.copy_to(folder_beside(parquet), store.studies())
    return count


def lacking(merged, store, parquet) -> list:
    """The trials of a store that another, which has those of a file, lacks. StoreError where the two disagree about a trial."""
    found = []
    for study in store.studies():
        theirs = {trial.hyper_iter: trial for trial in merged.trials(study)}
        for trial in store.trials(study):
            other = theirs.get(trial.hyper_iter)
            if other is None:
                found.append(trial)
            elif differ(trial, other):
                what = f"trial {trial.hyper_iter} of {study} has loss {other.valid_loss:.9g} there and {trial.valid_loss:.9g} here"
                raise StoreError(f"{parquet} has another record of the same trials as {store.path}: {what}. Give another path.")
    return found


def take_over(store, parquet) -> int:
    """Adds the trials of a file to a store; gives how many were new. StoreError where the two disagree about a trial."""
    with TrialStore(":memory:") as file:
        file.add(read(parquet))
        lacking(file, store, parquet)
    return store.import_(parquet)
