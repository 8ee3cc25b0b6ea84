"""A trial is one row, written once. This module also defines the error of whatever keeps trials."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache

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
# the least and the most of a number, where they are not 0 and 2^62 - 1
LEAST = {"max_params": 1, "num_params": 1, "n_in": 1, "unroll": 1}
MOST = {"infeasible": 1, "accuracy": 1}
MOST |= dict.fromkeys(("n_layers", "n_in", "unroll", "n_units"), 10_000_000)
BOUNDS = [
    (index, name, LEAST.get(name, 0), MOST.get(name, 2**62 - 1))
    for index, (name, kind) in enumerate(COLUMNS.items())
    if kind in (int, bool, float) and name not in LOSSES
]
INDICES = {name: index for index, name in enumerate(COLUMNS)}  # of the columns in a row
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
    try:
        check_numbers(row)
    except ValueError as fault:
        raise _refusal(row, fault, "It was not stored.") from fault
    return row


def from_row(row: Sequence) -> Trial:
    """The trial in a row of the table. StoreError if the row cannot be a trial."""
    return Trial(*trial_values(row))


def trial_values(row: Sequence) -> tuple:
    """A row of the table as the arguments of Trial. StoreError if the row cannot be a trial."""
    values = dict(zip(COLUMNS, check_row(row)))
    try:
        hparams = parse_hparams(values["hparams"])
    except ValueError as fault:
        raise _refusal(row, fault) from fault
    values["hparams"] = {
        plain(name): plain(value) if type(value) is str else value
        for name, value in hparams.items()
    }
    values["infeasible"] = bool(values["infeasible"])
    values |= {name: math.nan for name in MAY_BE_NAN if values[name] is None}
    return tuple(values.values())


def check_row(row: Sequence) -> Sequence:
    """The row itself. StoreError if a value is not of its column's type, since SQLite takes any, or
    is a number that no trial has.
    """
    try:
        check_types(row)
        check_numbers(row)
    except ValueError as fault:
        raise _refusal(row, fault) from fault
    return row


def check_types(row: Sequence) -> None:
    """ValueError, in a few words, if a value of a row is not of its column's type."""
    types = tuple(map(type, row))
    if types in VALID_ROW_TYPES:
        return
    for (name, kind), value in zip(COLUMNS.items(), row):
        if value is None and name not in MAY_BE_NAN:
            raise ValueError(f"{name} is missing")
        if value is not None and type(value) not in ACCEPTED[kind]:
            type_name = "str" if kind is dict else kind.__name__
            raise ValueError(
                f"{name} is of type {type(value).__name__}, where {type_name} is needed"
            )
    VALID_ROW_TYPES.add(types)


def check_numbers(row: Sequence) -> None:
    """ValueError, in a few words, if a row of the right types has a number that no trial has. A
    loss must be missing if and only if the trial is infeasible.
    """
    for index, name, least, most in BOUNDS:
        value = row[index]
        if value is not None and not least <= value <= most:
            bound = f"{most:,} or less" if value > most else f"{least} or more"
            raise ValueError(f"{name} must be {bound}, got {value}")
    for name in LOSSES:
        value = row[INDICES[name]]
        if (value is None) != row[INDICES["infeasible"]] or value in (math.inf, -math.inf):
            raise ValueError(
                f"{name} must be a number, or missing if and only if the trial is infeasible, got"
                f" {value}"
            )


def _refusal(row: Sequence, fault: ValueError, advice: str = ADVICE) -> StoreError:
    """The error about a row that cannot be a trial."""
    study, number = (plain(str(row[INDICES[name]]))[:300] for name in ("study", "hyper_iter"))
    return StoreError(f"Trial {number} of {study} is invalid: {fault}. {advice}")


def parse_hparams(text: str) -> dict:
    """The hyper-parameters in a JSON text. ValueError, in a few words, for anything else."""
    try:
        hparams = json.loads(text)
    except (ValueError, RecursionError):
        hparams = None
    if type(hparams) is not dict or not {int, float, str}.issuperset(map(type, hparams.values())):
        raise ValueError("hparams must be a JSON object of numbers and texts in every row")
    for value in hparams.values():
        if type(value) is not str and not -(2**62) < value < 2**62:
            got = f"{value:.30}" if type(value) is float else "too large"
            raise ValueError(f"a hyper-parameter is {'NaN' if value != value else got}")
    return hparams
