"""Trials as a Parquet file, which travels. A file that comes in is checked as if a stranger had
written it.
"""

import itertools
import math
import os
from pathlib import Path

import pyarrow
import pyarrow.compute
import pyarrow.parquet

from rnnkit.trials.trial import (
    COLUMNS,
    LATER,
    LOSSES,
    MAY_BE_NAN,
    SAFE,
    StoreError,
    hparams_in,
    plain,
)

# what an imported file may ask of this machine
# what an imported file may ask of this machine
MAX_ROWS, MAX_BYTES, MAX_TEXT = 10_000_000, 8 << 30, 20_000
MAX_PAGES, MAX_RATIO = 32 << 20, 100  # bytes of a column that may be folded as tightly as it likes
BATCH = 20_000  # rows that are in memory at a time while a file is written
LEAST = {"max_params": 1, "num_params": 1, "n_in": 1, "unroll": 1}  # of numbers; of all others 0
ADVICE = "Give a file made by `rnnkit trials export`."


def write(rows, parquet) -> int:
    """Writes trials, rows as a store's table has them, to a file that is replaced whole or not at
    all; gives their number. StoreError.
    """
    kinds = {
        str: pyarrow.string(),
        dict: pyarrow.string(),
        int: pyarrow.int64(),
        float: pyarrow.float64(),
        bool: pyarrow.bool_(),
    }
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
        raise StoreError(
            f"{parquet} cannot be written ({error.strerror or error}). Give another path."
        ) from error
    finally:
        if half.is_file():
            half.unlink()
    return count


def rows_in(parquet):
    """The trials in a file, as a store's table has them, one after the other. StoreError if a row
    could not be one; nothing is run.
    """
    seen = set()
    for row in _rows_of(parquet):
        _check(row, parquet)
        key = hash((row["study"], row["hyper_iter"]))
        if key in seen:
            raise StoreError(f"{parquet} has two rows for one trial of a study. {ADVICE}")
        seen.add(key)
        yield tuple(row.values())


def _rows_of(parquet):
    """The rows of a Parquet file as dicts in the order of COLUMNS, if its schema and size are those
    of trials.
    """
    if Path(parquet).exists() and not Path(parquet).is_file():  # a pipe would be waited for
        raise StoreError(f"{parquet} is not a file. {ADVICE}")
    try:
        names = set(pyarrow.parquet.read_schema(parquet).names)
        texts = [name for name, kind in COLUMNS.items() if kind in (str, dict) and name in names]
        with pyarrow.parquet.ParquetFile(
            parquet, read_dictionary=texts
        ) as file:  # a text that recurs is not written out
            about, schema = file.metadata, file.schema_arrow
            size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
            _check_pages(about, parquet)
            if about.num_rows > MAX_ROWS or size > MAX_BYTES:
                most = f"at most {MAX_ROWS:,} and {MAX_BYTES:,} are read"
                raise StoreError(
                    f"{parquet} is too large: {about.num_rows:,} rows, {size:,} bytes; {most}."
                )
            _check_schema(schema, parquet)
            here = [name for name in COLUMNS if name in schema.names]
            for batch in file.iter_batches(10_000, columns=here):
                for name in texts:
                    _check_length(batch.column(name), name, parquet)
                lists = {
                    name: (
                        batch.column(name).to_pylist()
                        if name in here
                        else [LATER[name]] * len(batch)
                    )
                    for name in COLUMNS
                }
                yield from (dict(zip(COLUMNS, row)) for row in zip(*lists.values()))
    except FileNotFoundError as error:
        raise StoreError(f"There is no file {parquet}. Check the path.") from error
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{parquet} cannot be read as a Parquet file. {ADVICE}") from error


def _check_pages(about, parquet):
    """StoreError for a column that unfolds to far more than the file has: it would all be in memory
    before the first of its values is seen.
    """
    for group in range(about.num_row_groups):
        for place in range(about.num_columns):
            column = about.row_group(group).column(place)
            size, folded = column.total_uncompressed_size, column.total_compressed_size
            if size > MAX_PAGES and size > MAX_RATIO * folded:
                raise StoreError(
                    f"{parquet} does not hold trials: {plain(column.path_in_schema)[:60]} unfolds"
                    f" from {folded:,} to {size:,} bytes. Nothing was imported."
                )


def _check_schema(schema, parquet):
    """StoreError unless a file has the columns of trials, of their types."""
    missing = [name for name in COLUMNS if name not in schema.names and name not in LATER]
    if missing:
        raise StoreError(f"{parquet} does not hold trials: it lacks {', '.join(missing)}. {ADVICE}")
    types = pyarrow.types

    def text(kind):
        kind = kind.value_type if types.is_dictionary(kind) else kind
        return types.is_string(kind) or types.is_large_string(kind)

    fits = {
        str: text,
        dict: text,
        int: types.is_int64,
        float: types.is_float64,
        bool: types.is_boolean,
    }
    kinds = {name: schema.field(name).type for name in COLUMNS if name in schema.names}
    wrong = [f"{name} ({kind})" for name, kind in kinds.items() if not fits[COLUMNS[name]](kind)]
    if wrong:
        raise StoreError(
            f"{parquet} does not hold trials: wrong types of {', '.join(wrong)}. {ADVICE}"
        )


def _check_length(column, name, parquet):
    """StoreError for a text that is too long, before it is written out for each of its rows."""
    different = column.dictionary if pyarrow.types.is_dictionary(column.type) else column
    longest = pyarrow.compute.max(pyarrow.compute.binary_length(different)).as_py() or 0
    if longest > MAX_TEXT:
        raise StoreError(
            f"{parquet} does not hold trials: {name} is a text of {longest:,} bytes. Nothing was"
            " imported."
        )


def _check(row, parquet):
    """Raises StoreError unless a row of an imported file could be a trial; missing numbers become
    None.
    """

    def refuse(what):
        raise StoreError(f"{parquet} does not hold trials: {what}. Nothing was imported.")

    for name, kind in COLUMNS.items():
        value = row[name]
        if name in MAY_BE_NAN:
            value = row[name] = None if value is None or math.isnan(value) else value
            if name == "accuracy" and value is not None and not 0 <= value <= 1:
                refuse(f"accuracy must be a share from 0 to 1, or missing, got {value}")
            if name in LOSSES and (
                (value is None) != row["infeasible"] or (value is not None and math.isinf(value))
            ):
                refuse(
                    f"{name} must be a number, or missing if and only if the trial is infeasible,"
                    f" got {value}"
                )
        elif value is None:
            refuse(f"{name} is missing in a row")
        elif kind is str and not SAFE.fullmatch(value):
            refuse(
                f"{name} must be a plain text, got {plain(value)[:60]!r} (? for what it may not"
                " have)"
            )
        elif kind in (int, float) and not LEAST.get(name, 0) <= value < 2**62:
            refuse(f"{name} must be {LEAST.get(name, 0)} or more, got {value}")
    if wrong := _wrong_hparams(row["hparams"]):
        refuse(wrong)


def _wrong_hparams(text: str) -> str:
    """What is wrong with the hyper-parameters of a row, in a few words; empty if nothing is."""
    hparams, wrong = hparams_in(text)
    if wrong:
        return wrong
    for name, value in hparams.items():
        if not SAFE.fullmatch(name):
            return (
                f"a hyper-parameter is called {plain(name)[:60]!r} (? for what a name may not have)"
            )
        if type(value) is str and not SAFE.fullmatch(value):
            return (
                f"{name} must be a plain text, got {plain(value)[:60]!r} (? for what it may not"
                " have)"
            )
    steps = hparams.get("train_steps", 1)
    if type(steps) is int and steps >= 1:
        return ""
    return f"train_steps must be a whole number of at least 1, got {steps}"
