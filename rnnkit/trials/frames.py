"""Trials as a frame, read in batches: a million of them take less than a gigabyte.

One dict per trial would take most of that. The hyper-parameters of a large frame are therefore
packed, with one column of numbers per name, and a trial's dict is made when it is asked for.
"""

import itertools
import sys
from array import array
from collections.abc import Iterable

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray, ExtensionDtype, take

from rnnkit.trials.sql import TEXTS
from rnnkit.trials.trial import COLUMNS, SAFE, plain, trial_values

BATCH = 5_000  # rows that are in memory as tuples at a time
PACKED_FROM = 100_000  # rows; a frame of so many has its hyper-parameters packed
DTYPES = {int: "int64", float: "float64", bool: "bool"}


def frame_of(trial_rows: Iterable) -> pd.DataFrame:
    """One row per trial, from rows of a store's table. The losses of infeasible trials are NaN.
    StoreError for a row that cannot be a trial.
    """
    batches: list[pd.DataFrame] = []
    iterator = iter(trial_rows)
    while batch := [trial_values(row) for row in itertools.islice(iterator, BATCH)]:
        batches.append(_frame_of_batch(batch))
        if len(batches) > 1:  # a second batch may mean a large frame, so all of them are packed
            for frame in batches[-2:] if len(batches) == 2 else batches[-1:]:
                frame["hparams"] = Packed.of(frame["hparams"])
    if len(batches) < 2:
        return batches[0] if batches else _frame_of_batch([])
    # one column after another, so that no more than one of them is in memory twice
    columns = {}
    for name in COLUMNS:
        columns[name] = pd.concat([frame.pop(name) for frame in batches], ignore_index=True)
    if len(columns["hparams"]) < PACKED_FROM:
        columns["hparams"] = columns["hparams"].astype(object)
    return pd.DataFrame(columns, copy=False)


def _frame_of_batch(batch: list[tuple]) -> pd.DataFrame:
    """A frame of a few rows, whose texts may be shown anywhere."""
    frame = pd.DataFrame(batch, columns=list(COLUMNS))
    for name in TEXTS:
        if unsafe := {
            text: plain(text) for text in frame[name].unique() if not SAFE.fullmatch(text)
        }:
            frame[name] = frame[name].replace(unsafe)
    return frame.astype({name: DTYPES[kind] for name, kind in COLUMNS.items() if kind in DTYPES})


class PackedDtype(ExtensionDtype):
    """The type of packed dicts of hyper-parameters."""

    name = "packed"
    type = dict
    kind = "O"
    na_value = None

    @classmethod
    def construct_array_type(cls):
        return Packed


class Packed(ExtensionArray):
    """Dicts, each made when it is asked for. Dicts with the same names and types share a `form`,
    which is (names, one column of values per name).

    `form_of` has the number of each dict's form, -1 for a missing dict, and `index_of` the dict's
    index in the columns of that form. Elements cannot be set.
    """

    def __init__(self, forms: list, form_of: np.ndarray, index_of: np.ndarray):
        self.forms = forms
        self.form_of = form_of
        self.index_of = index_of

    @classmethod
    def of(cls, dicts) -> "Packed":
        """Packs dicts of numbers and texts; None stands for a missing dict."""
        forms: list = []
        form_numbers: dict[tuple, int] = {}
        form_of = array("i")
        index_of = array("q")
        for hparams in dicts:
            if hparams is None:
                form_of.append(-1)
                index_of.append(0)
                continue
            types = tuple(map(type, hparams.values()))
            form = form_numbers.setdefault((*hparams, *types), len(forms))
            if form == len(forms):
                forms.append((tuple(hparams), [_column(kind) for kind in types]))
            columns = forms[form][1]
            form_of.append(form)
            index_of.append(len(columns[0]) if columns else 0)
            for column, value in zip(columns, hparams.values()):
                column.append(sys.intern(value) if type(value) is str else value)
        return cls(forms, np.array(form_of, np.int32), np.array(index_of, np.int64))

    @property
    def dtype(self):
        return PackedDtype()

    @property
    def nbytes(self) -> int:
        columns = [column for _, columns in self.forms for column in columns]
        column_bytes = sum(len(column) * getattr(column, "itemsize", 8) for column in columns)
        return column_bytes + self.form_of.nbytes + self.index_of.nbytes

    def __len__(self):
        return len(self.form_of)

    def _dict(self, form: int, index: int) -> dict | None:
        if form < 0:
            return None
        names, columns = self.forms[form]
        return {name: column[index] for name, column in zip(names, columns)}

    def __getitem__(self, item):
        item = pd.api.indexers.check_array_indexer(self, item)
        form_of = self.form_of[item]
        index_of = self.index_of[item]
        return (
            Packed(self.forms, form_of, index_of)
            if np.ndim(form_of)
            else self._dict(form_of, index_of)
        )

    def __iter__(self):
        return map(self._dict, self.form_of.tolist(), self.index_of.tolist())

    def __eq__(self, operand):
        if isinstance(operand, (pd.Series, pd.Index, pd.DataFrame)):
            return NotImplemented
        if isinstance(operand, dict) or operand is None:
            operand = itertools.repeat(operand, len(self))
        return np.fromiter((a == b for a, b in zip(self, operand)), bool, len(self))

    def isna(self):
        return self.form_of < 0

    def copy(self):
        return Packed(self.forms, self.form_of.copy(), self.index_of.copy())

    def take(self, indices, *, allow_fill=False, fill_value=None):
        fill = {"allow_fill": allow_fill, "fill_value": -1 if allow_fill else None}
        return Packed(
            self.forms, take(self.form_of, indices, **fill), take(self.index_of, indices, **fill)
        )

    def map(self, mapper, na_action=None):
        return pd.Series(list(self), dtype=object).map(mapper, na_action).array

    def _formatter(self, boxed=False):
        return str

    @classmethod
    def _from_sequence(cls, scalars, *, dtype=None, copy=False):
        dicts = [None if value is pd.NA or value != value else value for value in scalars]
        if not all(value is None or type(value) is dict for value in dicts):
            raise TypeError("Only dicts of hyper-parameters are packed. Make it an object column.")
        return cls.of(dicts)

    @classmethod
    def _concat_same_type(cls, arrays):
        """Joins arrays; arrays that share a list of forms share it in the result, too."""
        forms: list = []
        offsets: dict[int, int] = {}  # id of a list of forms -> index of its first form
        for item in arrays:
            if id(item.forms) not in offsets:
                offsets[id(item.forms)] = len(forms)
                forms += item.forms
        form_of = [
            np.where(item.form_of < 0, -1, item.form_of + offsets[id(item.forms)])
            for item in arrays
        ]
        index_of = np.concatenate([item.index_of for item in arrays])
        return cls(forms, np.concatenate(form_of).astype(np.int32), index_of)


def _column(kind: type):
    """An empty column for values of a type; they come out as they went in."""
    return array("d") if kind is float else array("q") if kind is int else []
