"""A trial: one row, written once. And the errors of whatever keeps trials."""

import json
import math
import re
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache

LOSSES = ("train_loss", "valid_loss", "eval_loss")


class StoreError(Exception):
    """What is wrong with a store, in one sentence that says what to do."""


@dataclass(frozen=True)
class Trial:
    """One row: the authors' ten columns (architecture to eval_loss, and hyper_iter for the trial's
    number), then ours.

    Losses are NaN where the trial was infeasible. `max_params` is the budget, `num_params` what the
    network has.
    """

    study: str  # the key of the study it belongs to
    architecture: str
    task_type: str
    hparams: dict
    n_layers: int
    hyper_iter: int
    max_params: int
    num_params: int
    train_loss: float
    valid_loss: float  # what the tuner minimises
    eval_loss: float
    infeasible: bool
    steps: int  # training steps done
    seconds: float  # this trial's share of the time
    seed: int
    scale: str
    device: str
    version: str  # of rnnkit
    created: str  # UTC, ISO 8601
    n_in: int
    unroll: int
    tuner: str
    # a layer; 0 where an older version of the kit did not note it, as are the other columns below
    n_units: int = 0
    form: str = ""  # how large the task is, for tasks that come in several sizes
    accuracy: float = (
        math.nan
    )  # share of right answers on the evaluation data; NaN where there are none to be right
    commit: str = ""  # of the source, where it is known
    torch: str = ""  # its version
    source: str = ""  # digest of the kit's source files, with -edited where they changed later


COLUMNS = {f.name: f.type for f in fields(Trial)}
LATER = {
    f.name: f.default for f in fields(Trial) if f.default is not MISSING
}  # columns that an older file may lack
MAY_BE_NAN = (*LOSSES, "accuracy")
# texts of trials are shown on pages and in terminals
SAFE, UNSAFE = (re.compile(r"[\w .,:;+=/()@^-]*"), re.compile(r"[^\w .,:;+=/()@^-]"))
FACTS = ("hparams", *LOSSES, "infeasible")  # what two records of one trial must agree in


def differ(one: Trial, other: Trial) -> bool:
    """Whether two records of one trial tell of different results; when and where it was trained is
    beside the point.
    """
    pairs = [(getattr(one, name), getattr(other, name)) for name in FACTS]
    return any(a != b and not (a != a and b != b) for a, b in pairs)  # NaN is NaN


@lru_cache(maxsize=10_000)
def plain(text: str) -> str:
    """A text without what could be markup, a script or a command to a terminal; such characters
    become question marks.
    """
    return text if SAFE.fullmatch(text) else UNSAFE.sub("?", text)


def to_row(trial):
    def value(name, x):
        if name == "hparams":
            return json.dumps(x, sort_keys=True, allow_nan=False)
        return None if name in MAY_BE_NAN and not math.isfinite(x) else x

    return [value(name, getattr(trial, name)) for name in COLUMNS]


def values(row):
    """A row of the table as the values of a Trial. StoreError for a row that can be none."""
    values = dict(zip(COLUMNS, checked(row)))
    values["hparams"], wrong = hparams_in(values["hparams"])
    if wrong:
        what = f"hyper-parameters that are no JSON object of numbers and texts ({wrong})"
        raise StoreError(f"{_which(row)} has {what}. {ADVICE}")
    values["hparams"] = {
        plain(name): plain(value) if type(value) is str else value
        for name, value in values["hparams"].items()
    }
    values["infeasible"] = bool(values["infeasible"])
    values.update({name: math.nan for name in MAY_BE_NAN if values[name] is None})
    return tuple(values.values())


ADVICE = "Delete that row, or give another store."
RIGHT = set()  # types of a row's values that have been found to be right
TYPES = {str: (str,), dict: (str,), int: (int,), bool: (int, bool), float: (float, int)}


def checked(row):
    """A row of the table. StoreError where a value is not of its column's type: SQLite takes any."""
    types = tuple(map(type, row))
    if types in RIGHT:
        return row
    for (name, kind), value in zip(COLUMNS.items(), row):
        missing = value is None and name in MAY_BE_NAN
        if not missing and type(value) not in TYPES[kind]:
            got = f"{type(value).__name__}, where {kind.__name__} must be"
            if kind is dict:
                got = "no JSON object"
            raise StoreError(f"{_which(row)} has {name} that is {got}. {ADVICE}")
    RIGHT.add(types)
    return row


def _which(row) -> str:
    values = dict(zip(COLUMNS, row))
    return f"Trial {plain(str(values['hyper_iter']))} of {plain(str(values['study']))[:300]}"


def hparams_in(text: str) -> tuple[dict, str]:
    """The hyper-parameters of a row, and what is wrong with them, in a few words; empty if nothing
    is.
    """
    try:
        hparams = json.loads(text)
    except (ValueError, RecursionError):
        hparams = None
    if type(hparams) is not dict:
        return {}, "hparams must be a JSON object of numbers and texts in every row"
    for value in hparams.values():
        if type(value) not in (int, float, str):
            return {}, "hparams must be a JSON object of numbers and texts in every row"
        if type(value) is not str and not -(2**62) < value < 2**62:
            got = (
                "NaN" if value != value else f"{value:.30}" if type(value) is float else "too large"
            )
            return {}, f"a hyper-parameter is {got}"
    return hparams, ""


def from_row(row):
    return Trial(*values(row))
