"""A trial is one row, written once. This module also defines the error of whatever keeps trials."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from typing import NoReturn

from rnnkit.places import WrongPath

LOSSES = ("train_loss", "valid_loss", "eval_loss")


class StoreError(Exception):
    """A sentence that says what is wrong with a store, and what to do about it."""


class StorePathError(StoreError, WrongPath):
    """The path of a store or of a file of trials is one of neither."""


@dataclass(frozen=True)
class Trial:
    """One row: the ten columns of the authors' data (architecture to eval_loss, and hyper_iter for
    the number of the trial), followed by our own.

    The losses are NaN if the trial was infeasible. `max_params` is the budget of parameters, and
    `num_params` is the number that the network has.
    """

    study: str  # key of the study that the trial belongs to
    architecture: str
    task_type: str
    hparams: dict
    n_layers: int
    hyper_iter: int
    max_params: int
    num_params: int
    train_loss: float
    valid_loss: float  # the tuner minimises this one
    eval_loss: float
    infeasible: bool
    steps: int  # training steps that were done
    seconds: float  # this trial's share of the training time
    seed: int
    scale: str
    device: str
    version: str  # of rnnkit
    created: str  # UTC, ISO 8601
    n_in: int
    unroll: int
    tuner: str
    # the columns below have the default where an older version of the kit did not record them
    n_units: int = 0  # per layer
    form: str = ""  # size of the task, for tasks that come in several sizes
    # share of right answers on the evaluation data; NaN for tasks without right answers
    accuracy: float = math.nan
    commit: str = ""  # of the source code, where it is known
    torch: str = ""  # version of torch
    source: str = ""  # digest of the kit's source files, with -edited if they changed afterwards


COLUMNS: dict[str, type] = {field.name: field.type for field in fields(Trial)}  # type: ignore[misc]
# columns that an older file may lack, with the values that they then have
DEFAULTS = {field.name: field.default for field in fields(Trial) if field.default is not MISSING}
MAY_BE_NAN = (*LOSSES, "accuracy")
# the least of each number that is never missing, where that is not 0, and the most, where it is not
# 2^62 - 1
LEAST = {"max_params": 1, "num_params": 1, "n_in": 1, "unroll": 1}
MOST = {"infeasible": 1} | dict.fromkeys(("n_layers", "n_in", "unroll", "n_units"), 10_000_000)
BOUNDS = [
    (index, name, LEAST.get(name, 0), MOST.get(name, 2**62 - 1))
    for index, (name, kind) in enumerate(COLUMNS.items())
    if kind in (int, bool, float) and name not in MAY_BE_NAN
]
LOSS_INDICES = [(list(COLUMNS).index(name), name) for name in LOSSES]
INFEASIBLE, ACCURACY = (list(COLUMNS).index(name) for name in ("infeasible", "accuracy"))
# texts of trials are got on pages and in terminals
SAFE = re.compile(r"[\w .,:;+=/()@^-]*")
UNSAFE = re.compile(r"[^\w .,:;+=/()@^-]")
RESULTS = ("hparams", *LOSSES, "infeasible")  # two records of one trial must agree in these
ADVICE = "Delete that row, or give another store."
ACCEPTED = {str: (str,), dict: (str,), int: (int,), bool: (int, bool), float: (float, int)}
VALID_ROW_TYPES: set[tuple[type, ...]] = set()  # a cache: rows of these types need no second look


def differ(first: Trial, second: Trial) -> bool:
    """Whether two records of one trial have different results. Two NaNs are equal, and when and
    where the trial was trained does not matter.
    """
    pairs = [(getattr(first, name), getattr(second, name)) for name in RESULTS]
    return any(a != b and not (a != a and b != b) for a, b in pairs)


@lru_cache(maxsize=10_000)
def plain(text: str) -> str:
    """The text with a question mark for each character that could be markup, a script or a
    command to a terminal.
    """
    return text if SAFE.fullmatch(text) else UNSAFE.sub("?", text)


def to_row(trial: Trial) -> list:
    """The trial as a row of the table: hyper-parameters as JSON text, and None for NaN. StoreError
    for numbers that no trial has, since they could not be read again.
    """
    row = []
    for name in COLUMNS:
        value = getattr(trial, name)
        if name == "hparams":
            value = json.dumps(value, sort_keys=True, allow_nan=False)
        elif name in MAY_BE_NAN and not math.isfinite(value):
            value = None
        row.append(value)
    if fault := fault_of_numbers(row):
        _refuse(row, f"has a number that no trial has: {fault}", "It was not stored.")
    return row


def from_row(row: Sequence) -> Trial:
    """The trial in a row of the table. StoreError if the row cannot be a trial."""
    return Trial(*trial_values(row))


def trial_values(row: Sequence) -> tuple:
    """A row of the table as the arguments of Trial. StoreError if the row cannot be a trial."""
    values = dict(zip(COLUMNS, check_row(row)))
    hparams, fault = parse_hparams(values["hparams"])
    if fault:
        _refuse(row, f"has hyper-parameters that are no JSON object of numbers and texts ({fault})")
    values["hparams"] = {
        plain(name): plain(value) if type(value) is str else value
        for name, value in hparams.items()
    }
    values["infeasible"] = bool(values["infeasible"])
    values.update({name: math.nan for name in MAY_BE_NAN if values[name] is None})
    return tuple(values.values())


def check_row(row: Sequence) -> Sequence:
    """The row itself. StoreError if a value is not of its column's type, since SQLite takes any, or
    is a number that no trial has.
    """
    types = tuple(map(type, row))
    if types not in VALID_ROW_TYPES:
        _check_types(row)
        VALID_ROW_TYPES.add(types)
    if fault := fault_of_numbers(row):
        _refuse(row, f"has a number that no trial has: {fault}")
    return row


def _check_types(row: Sequence) -> None:
    for (name, kind), value in zip(COLUMNS.items(), row):
        missing = value is None and name in MAY_BE_NAN
        if not missing and type(value) not in ACCEPTED[kind]:
            got = f"of type {type(value).__name__}, where {kind.__name__} is needed"
            _refuse(row, f"has {name} that is {'no JSON object' if kind is dict else got}")


def fault_of_numbers(row: Sequence) -> str:
    """What is wrong with the numbers of a row of the right types, in a few words; empty if nothing
    is. A loss must be missing if and only if the trial is infeasible.
    """
    for index, name, least, most in BOUNDS:
        value = row[index]
        if not least <= value <= most:
            bound = f"{most:,} or less" if value > most else f"{least} or more"
            return f"{name} must be {bound}, got {value}"
    for index, name in LOSS_INDICES:
        value = row[index]
        if (value is None) != row[INFEASIBLE] or not (
            value is None or -math.inf < value < math.inf
        ):
            return (
                f"{name} must be a number, or missing if and only if the trial is infeasible, got"
                f" {value}"
            )
    accuracy = row[ACCURACY]
    if accuracy is None or 0 <= accuracy <= 1:
        return ""
    return f"accuracy must be a share from 0 to 1, or missing, got {accuracy}"


def _refuse(row: Sequence, fault: str, advice: str = ADVICE) -> NoReturn:
    values = dict(zip(COLUMNS, row))
    trial = f"Trial {plain(str(values['hyper_iter']))} of {plain(str(values['study']))[:300]}"
    raise StoreError(f"{trial} {fault}. {advice}")


def parse_hparams(text: str) -> tuple[dict, str]:
    """The hyper-parameters in a JSON text, and their fault in a few words, which is empty if there
    is none.
    """
    try:
        hparams = json.loads(text)
    except (ValueError, RecursionError):
        hparams = None
    if type(hparams) is not dict or not {int, float, str}.issuperset(map(type, hparams.values())):
        return {}, "hparams must be a JSON object of numbers and texts in every row"
    for value in hparams.values():
        if type(value) is not str and not -(2**62) < value < 2**62:
            got = f"{value:.30}" if type(value) is float else "too large"
            return {}, f"a hyper-parameter is {'NaN' if value != value else got}"
    return hparams, ""
