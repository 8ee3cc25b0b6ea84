"""Trials (trial.py), the store that keeps them (store.py), the weights of the best ones (weights.py),
their exchange as Parquet files (parquet.py), and the key of a study (key.py). Nothing here
imports torch.
"""

from rnnkit.trials.store import TrialStore, opened
from rnnkit.trials.trial import COLUMNS, LOSSES, StoreError, Trial

__all__ = ["COLUMNS", "LOSSES", "StoreError", "Trial", "TrialStore", "opened"]
