"""Trials (trial.py), the store that keeps them (store.py), their weights (weights.py), how they
travel (parquet.py), and what a study's key says (key.py). No torch.
"""

from rnnkit.trials.store import TrialStore
from rnnkit.trials.trial import COLUMNS, LOSSES, StoreError, Trial

__all__ = ["COLUMNS", "LOSSES", "StoreError", "Trial", "TrialStore"]
