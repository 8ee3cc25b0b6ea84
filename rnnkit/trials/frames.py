"""Trials as a frame, read batch by batch: a million of them take less than a gigabyte.

A dict per trial would take most of that. So the hyper-parameters of a large frame are kept packed,
a column of numbers for each name, and a trial's dict is made when it is asked for.
"""

import itertools
from array import array

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray, ExtensionDtype, take

from rnnkit.trials.sql import TEXTS
from rnnkit.trials.trial import COLUMNS, SAFE, plain, values

BATCH = 5_000  # rows that are in memory as rows at a time
PACKED_FROM = 100_000  # rows: a frame of so many has its hyper-parameters packed
KINDS = {int: "int64", float: "float64", bool: "bool"}


def frame_of(rows) -> pd.DataFrame:
    """One row per trial of `rows`, as a store's table has them. Losses of infeasible trials are
    NaN. StoreError.
    """
    batches, rows = [], iter(rows)
    while batch := [values(row) for row in itertools.islice(rows, BATCH)]:
        batches.append(_frame_of_batch(batch))
        if len(batches) > 1:
            for each in batches[-2:] if len(batches) == 2 else batches[-1:]:
                each["hparams"] = Packed.of(each["hparams"])
    if len(batches) < 2:
        return batches[0] if batches else _frame_of_batch([])
    columns = {}
    for name in COLUMNS:  # one after the other, so that no more than one is there twice
        columns[name] = pd.concat([batch.pop(name) for batch in batches], ignore_index=True)
    if len(columns["hparams"]) < PACKED_FROM:
        columns["hparams"] = columns["hparams"].astype(object)
    return pd.DataFrame(columns, copy=False)


def _frame_of_batch(batch) -> pd.DataFrame:
    """A frame of a few rows, with texts that may be shown."""
    frame = pd.DataFrame(batch, columns=list(COLUMNS))
    for name in TEXTS:
        texts = frame[name].unique()
        if unsafe := {text: plain(text) for text in texts if not SAFE.fullmatch(text)}:
            frame[name] = frame[name].replace(unsafe)
    return frame.astype({name: KINDS[kind] for name, kind in COLUMNS.items() if kind in KINDS})


class PackedDtype(ExtensionDtype):
    """Dicts of hyper-parameters, packed."""

    name, type, kind, na_value = "packed", dict, "O", None

    @classmethod
    def construct_array_type(cls):
        return Packed


class Packed(ExtensionArray):
    """Dicts, each made when it is asked for. Dicts of the same names and types share a `form`:
    (names, a column of values for each). `form_of` and `place_of` say where each dict stands; form
    -1 is none. Elements cannot be set.
    """

    def __init__(self, forms: list, form_of: np.ndarray, place_of: np.ndarray):
        self.forms, self.form_of, self.place_of = forms, form_of, place_of

    @classmethod
    def of(cls, dicts) -> "Packed":
        """Packs some dicts (None: none) of numbers and texts."""
        forms, number, form_of, place_of = [], {}, array("i"), array("q")
        for each in dicts:
            if each is None:
                form_of.append(-1), place_of.append(0)
                continue
            kinds = tuple(map(type, each.values()))
            form = number.setdefault((*each, *kinds), len(forms))
            if form == len(forms):
                forms.append((tuple(each), [_column(kind) for kind in kinds]))
            columns = forms[form][1]
            form_of.append(form)
            place_of.append(len(columns[0]) if columns else 0)
            for column, value in zip(columns, each.values()):
                column.append(value)
        return cls(forms, np.array(form_of, np.int32), np.array(place_of, np.int64))

    @property
    def dtype(self):
        return PackedDtype()

    @property
    def nbytes(self) -> int:
        columns = [column for _, columns in self.forms for column in columns]
        own = sum(len(column) * getattr(column, "itemsize", 8) for column in columns)
        return own + self.form_of.nbytes + self.place_of.nbytes

    def __len__(self):
        return len(self.form_of)

    def __getitem__(self, item):
        item = pd.api.indexers.check_array_indexer(self, item)
        form_of, place_of = self.form_of[item], self.place_of[item]
        if np.ndim(form_of):
            return Packed(self.forms, form_of, place_of)
        if form_of < 0:
            return None
        names, columns = self.forms[form_of]
        return {name: column[place_of] for name, column in zip(names, columns)}

    def __iter__(self):
        for form, place in zip(self.form_of.tolist(), self.place_of.tolist()):
            names, columns = self.forms[form] if form >= 0 else ((), ())
            one = {name: column[place] for name, column in zip(names, columns)}
            yield one if form >= 0 else None

    def __eq__(self, other):
        if isinstance(other, (pd.Series, pd.Index, pd.DataFrame)):
            return NotImplemented
        if isinstance(other, dict) or other is None:
            other = itertools.repeat(other, len(self))
        return np.fromiter((a == b for a, b in zip(self, other)), bool, len(self))

    def isna(self):
        return self.form_of < 0

    def copy(self):
        return Packed(self.forms, self.form_of.copy(), self.place_of.copy())

    def take(self, indices, *, allow_fill=False, fill_value=None):
        form_of, place_of = (
            take(each, indices, allow_fill=allow_fill, fill_value=-1 if allow_fill else None)
            for each in (self.form_of, self.place_of)
        )
        return Packed(self.forms, form_of, place_of)

    def map(self, mapper, na_action=None):
        return pd.Series(list(self), dtype=object).map(mapper, na_action).array

    def _formatter(self, boxed=False):
        return str

    @classmethod
    def _from_sequence(cls, scalars, *, dtype=None, copy=False):
        scalars = [None if one is pd.NA or one != one else one for one in scalars]
        if not all(one is None or type(one) is dict for one in scalars):
            raise TypeError("Only dicts of hyper-parameters are packed. Make it an object column.")
        return cls.of(scalars)

    @classmethod
    def _concat_same_type(cls, parts):
        """The forms of all, each once for each list of them."""
        forms, first = [], {}
        for part in parts:
            if id(part.forms) not in first:
                first[id(part.forms)] = len(forms)
                forms += part.forms
        form_of = [np.where(p.form_of < 0, -1, p.form_of + first[id(p.forms)]) for p in parts]
        places = np.concatenate([part.place_of for part in parts])
        return cls(forms, np.concatenate(form_of).astype(np.int32), places)


def _column(kind):
    """A column for values of a type, which come out as they went in."""
    return array("d") if kind is float else array("q") if kind is int else _Texts()


class _Texts:
    """Texts, each kept once."""

    def __init__(self):
        self.texts, self.numbers = [], array("i")
        self.known = {}

    def append(self, text):
        number = self.known.setdefault((type(text), text), len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        self.numbers.append(number)

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, place):
        return self.texts[self.numbers[place]]
