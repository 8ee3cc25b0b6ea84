"""The store of trials (store.py), and how trials travel (parquet.py). No torch."""

from rnnkit.trials.store import COLUMNS, LOSSES, StoreError, Trial, TrialStore

__all__ = ["COLUMNS", "LOSSES", "StoreError", "Trial", "TrialStore"]
