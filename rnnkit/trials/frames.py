"""Trials as a frame, read in batches: a million of them take less than a gigabyte.

One dict per trial would take most of that. The hyper-parameters of a large frame are therefore kept
as bytes, and a trial's dict is made when it is asked for.
"""

import builtins
import itertools
import marshal
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray, ExtensionDtype, take

from rnnkit.trials.sql import TEXTS
from rnnkit.trials.trial import COLUMNS, plain, trial_values

BATCH = 5_000  # rows that are in memory as tuples at a time
PACKED_FROM = 100_000  # rows; a frame of so many has its hyper-parameters packed
DTYPES = {int: "int64", float: "float64", bool: "bool"}


def frame_of(trial_rows: Iterable) -> pd.DataFrame:
    """One row per trial, from rows of a store's table. The losses of infeasible trials are NaN.
    StoreError for a row that cannot be a trial.
    """
    iterator = iter(trial_rows)
    batches = []
    while batch := [trial_values(row) for row in itertools.islice(iterator, BATCH)]:
        batches.append(_frame_of_batch(batch))
    if not batches:
        return _frame_of_batch([]).astype({"hparams": object})
    # one column after another, so that no more than one of them is in memory twice
    columns = {}
    for name in COLUMNS:
        columns[name] = pd.concat([frame.pop(name) for frame in batches], ignore_index=True)
    if len(columns["hparams"]) < PACKED_FROM:
        columns["hparams"] = columns["hparams"].astype(object)
    return pd.DataFrame(columns, copy=False)


def _frame_of_batch(batch: list[tuple]) -> pd.DataFrame:
    """A frame of a few rows, whose texts may be shown anywhere, and are in memory once."""
    frame = pd.DataFrame(batch, columns=list(COLUMNS))
    for name in TEXTS:
        frame[name] = frame[name].map(plain)
    frame["hparams"] = Packed.of(frame["hparams"])
    return with_types(frame)


def with_types(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the types of a store's columns."""
    return frame.astype({name: DTYPES[kind] for name, kind in COLUMNS.items() if kind in DTYPES})


class PackedDtype(ExtensionDtype):
    """The type of packed dicts of hyper-parameters."""

    name = "packed"
    type = dict
    kind = "O"
    na_value = None

    @classmethod
    def construct_array_type(cls) -> "builtins.type[Packed]":
        return Packed


class Packed(ExtensionArray):
    """Dicts of hyper-parameters, each made from bytes (those of `marshal`, which is much faster than
    JSON) when it is asked for; None stands for a missing one. Elements cannot be set.
    """

    dtype = PackedDtype()

    def __init__(self, data: np.ndarray | list):
        self.data = np.asarray(data, object)

    @classmethod
    def of(cls, dicts: Iterable[dict | None]) -> "Packed":
        """Packs dicts of numbers and texts."""
        return cls([None if hparams is None else marshal.dumps(hparams) for hparams in dicts])

    @property
    def nbytes(self) -> int:
        return self.data.nbytes + sum(map(len, self.data[~self.isna()]))

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[dict | None]:
        return (marshal.loads(data) if isinstance(data, bytes) else None for data in self.data)

    def __getitem__(self, item: Any) -> Any:
        data = self.data[pd.api.indexers.check_array_indexer(self, item)]
        return Packed(data) if isinstance(data, np.ndarray) else next(iter(Packed([data])))

    def __eq__(self, operand: object) -> Any:
        if isinstance(operand, (pd.Series, pd.Index, pd.DataFrame)):
            return NotImplemented
        dicts: Any = operand
        if isinstance(operand, dict) or operand is None:
            dicts = itertools.repeat(operand)
        return np.fromiter((a == b for a, b in zip(self, dicts)), bool, len(self))

    def isna(self) -> np.ndarray:
        return pd.isna(self.data)

    def copy(self) -> "Packed":
        return Packed(self.data.copy())

    def take(
        self, indices: Sequence, *, allow_fill: bool = False, fill_value: None = None
    ) -> "Packed":
        return Packed(take(self.data, indices, allow_fill=allow_fill, fill_value=fill_value))

    def map(self, mapper: Callable, na_action: str | None = None) -> Any:
        return pd.Series(list(self), dtype=object).map(mapper, na_action).array

    def _formatter(self, boxed: bool = False) -> Callable:
        return str

    @classmethod
    def _from_sequence(cls, scalars: Sequence, **_: Any) -> "Packed":
        dicts = [None if value is pd.NA or value != value else value for value in scalars]
        if not all(value is None or type(value) is dict for value in dicts):
            raise TypeError("Only dicts of hyper-parameters are packed. Make it an object column.")
        return cls.of(dicts)

    @classmethod
    def _concat_same_type(cls, arrays: Sequence["Packed"]) -> "Packed":
        return cls(np.concatenate([item.data for item in arrays]))
