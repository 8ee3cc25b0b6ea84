"""Trials as a Parquet file, which travels. A file that comes in is checked as if a stranger had written it."""

import itertools
import json
import math
import os

import pyarrow
import pyarrow.parquet

from rnnkit.trials.trial import COLUMNS, LATER, LOSSES, StoreError, Trial

MAX_ROWS, MAX_BYTES, MAX_TEXT = 10_000_000, 8 << 30, 20_000  # what an imported file may ask of this machine
BATCH = 100_000  # rows that are in memory at a time while a file is written
ADVICE = "Give a file made by `rnnkit trials export`."


def write(rows, parquet) -> int:
    """Writes trials, rows as a store's table has them, to a file that is replaced whole or not at all; gives their number. StoreError."""
    kinds = {str: pyarrow.string(), dict: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    half = parquet.with_name(f"{parquet.name}.{os.getpid()}.half")  # two runs may export at once
    count, rows = 0, iter(rows)
    try:
        with pyarrow.parquet.ParquetWriter(half, schema, compression="zstd") as file:
            while batch := list(itertools.islice(rows, BATCH)):
                columns = {name: list(values) for name, values in zip(COLUMNS, zip(*batch))}
                columns["infeasible"] = [bool(value) for value in columns["infeasible"]]
                file.write_table(pyarrow.Table.from_pydict(columns, schema))
                count += len(batch)
        os.replace(half, parquet)
    except OSError as error:
        raise StoreError(f"{parquet} cannot be written ({error.strerror or error}). Give another path.") from error
    finally:
        if half.is_file():
            half.unlink()
    return count


def read(parquet) -> list[Trial]:
    """The trials in a file. StoreError if any row could not be one; nothing in the file is run."""
    trials = []
    for row in _rows_of(parquet):
        _check(row, parquet)
        trials.append(Trial(**{**row, "hparams": json.loads(row["hparams"])}))
    if len({(trial.study, trial.hyper_iter) for trial in trials}) < len(trials):
        raise StoreError(f"{parquet} has two rows for one trial of a study. {ADVICE}")
    return trials


def _rows_of(parquet):
    """The rows of a Parquet file as dicts, if its schema and size are those of trials."""
    try:
        with pyarrow.parquet.ParquetFile(parquet) as file:
            about, schema = file.metadata, file.schema_arrow
            size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
            if about.num_rows > MAX_ROWS or size > MAX_BYTES:
                most = f"at most {MAX_ROWS:,} and {MAX_BYTES:,} are read"
                raise StoreError(f"{parquet} is too large: {about.num_rows:,} rows, {size:,} bytes; {most}.")
            missing = [name for name in COLUMNS if name not in schema.names and name not in LATER]
            if missing:
                raise StoreError(f"{parquet} does not hold trials: it lacks {', '.join(missing)}. {ADVICE}")
            types = pyarrow.types
            text = lambda kind: types.is_string(kind) or types.is_large_string(kind)
            fits = {str: text, dict: text, int: types.is_int64, float: types.is_float64, bool: types.is_boolean}
            here = [name for name in COLUMNS if name in schema.names]
            wrong = [f"{name} ({schema.field(name).type})" for name in here if not fits[COLUMNS[name]](schema.field(name).type)]
            if wrong:
                raise StoreError(f"{parquet} does not hold trials: wrong types of {', '.join(wrong)}. {ADVICE}")
            for batch in file.iter_batches(10_000, columns=here):
                yield from (LATER | row for row in batch.to_pylist())
    except FileNotFoundError as error:
        raise StoreError(f"There is no file {parquet}. Check the path.") from error
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{parquet} cannot be read as a Parquet file. {ADVICE}") from error


def _check(row, parquet):
    """Raises StoreError unless a row of an imported file could be a trial."""
    def refuse(what):
        raise StoreError(f"{parquet} does not hold trials: {what}. Nothing was imported.")

    for name, kind in COLUMNS.items():
        value = row[name]
        if name in LOSSES:
            value = row[name] = math.nan if value is None else value
            if math.isinf(value) or math.isnan(value) != row["infeasible"]:
                refuse(f"{name} must be a number, or missing if and only if the trial is infeasible, got {value}")
        elif name == "accuracy":
            value = row[name] = math.nan if value is None else value
            if not (math.isnan(value) or 0 <= value <= 1):
                refuse(f"accuracy must be a share from 0 to 1, or missing, got {value}")
        elif value is None:
            refuse(f"{name} is missing in a row")
        elif kind in (str, dict) and len(value) > MAX_TEXT:
            refuse(f"{name} is a text of {len(value)} characters")
        elif kind in (int, float) and not 0 <= value < 2**62:
            refuse(f"{name} must be 0 or more, got {value}")
    try:
        hparams = json.loads(row["hparams"], parse_constant=lambda name: refuse(f"a hyper-parameter is {name}"))
    except (ValueError, RecursionError):
        hparams = None
    if not isinstance(hparams, dict) or not all(isinstance(value, (int, float, str)) for value in hparams.values()):
        refuse("hparams must be a JSON object of numbers and texts in every row")
