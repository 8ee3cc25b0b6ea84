"""Trials as a Parquet file. A file that is read is checked as if a stranger had written it."""

import itertools
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

import pyarrow
import pyarrow.compute
import pyarrow.parquet

from rnnkit.trials.pages import KNOWN, MAX_PAGES, Page, read_columns, read_pages
from rnnkit.trials.paths import replacement_of
from rnnkit.trials.trial import (
    COLUMNS,
    DEFAULTS,
    MAY_BE_NAN,
    SAFE,
    StoreError,
    StorePathError,
    fault_of_numbers,
    parse_hparams,
    plain,
)

# limits of what an imported file may ask of this machine: rows, bytes, bytes of a text and of a page
MAX_ROWS = 10_000_000
MAX_BYTES = 8 << 30
MAX_TEXT = 20_000
MAX_PAGE = 16 << 20
# a column of more than two such pages may be compressed by no more than this factor
MAX_RATIO = 100
MAX_REPEATED = 1 << 30  # letters of texts that may recur as often as they like
# rows that are in memory at a time
WRITE_BATCH = 20_000
READ_BATCH = 1_000
TEXTS = [name for name, kind in COLUMNS.items() if kind in (str, dict)]
ARROW_TYPES = {
    str: pyarrow.string(),
    dict: pyarrow.string(),
    int: pyarrow.int64(),
    float: pyarrow.float64(),
    bool: pyarrow.bool_(),
}
ADVICE = "Give a file made by `rnnkit trials export`."


def write(records: Iterable, parquet: Path) -> int:
    """Writes trials, given as rows of a store's table, to a file that is replaced whole or not at
    all, and returns their number. StoreError if the file cannot be written.
    """
    schema = pyarrow.schema([(name, ARROW_TYPES[kind]) for name, kind in COLUMNS.items()])
    count = 0
    iterator = iter(records)
    if not parquet.parent.is_dir():
        raise StorePathError(
            f"{parquet} cannot be written, since the folder {parquet.parent} must exist. Make it, or"
            " give another path."
        )
    try:
        with (
            replacement_of(parquet) as temporary,
            pyarrow.parquet.ParquetWriter(temporary, schema, compression="zstd") as file,
        ):
            while batch := list(itertools.islice(iterator, WRITE_BATCH)):
                columns = {name: list(values) for name, values in zip(COLUMNS, zip(*batch))}
                columns["infeasible"] = [bool(value) for value in columns["infeasible"]]
                file.write_table(pyarrow.Table.from_pydict(columns, schema))
                count += len(batch)
    except OSError as error:
        raise StoreError(
            f"{parquet} cannot be written ({error.strerror or error}). Give another path."
        ) from error
    return count


def read_rows(parquet: str | os.PathLike) -> Iterator[tuple]:
    """The trials of a file, one after another, as rows of a store's table. StoreError if a row
    cannot be a trial. Nothing in the file is run.
    """
    keys = set()
    letters = 0
    for row in _unchecked_rows(parquet):
        _check_row(row, parquet)
        letters += sum(len(row[name]) for name in TEXTS)
        if letters > MAX_REPEATED and letters > MAX_RATIO * Path(parquet).stat().st_size:
            _refuse(parquet, f"it unfolds to {letters:,} letters or more")
        key = hash((row["study"], row["hyper_iter"]))
        if key in keys:
            raise StoreError(f"{parquet} has two rows for one trial of a study. {ADVICE}")
        keys.add(key)
        yield tuple(row.values())


def _unchecked_rows(parquet: str | os.PathLike) -> Iterator[dict]:
    """The rows of a Parquet file as dicts in the order of COLUMNS, if its schema and size are those
    of trials.
    """
    if Path(parquet).exists() and not Path(parquet).is_file():  # a pipe would be waited for
        raise StorePathError(f"{parquet} is not a file. {ADVICE}")
    try:
        schema = pyarrow.parquet.read_schema(parquet)
        _check_schema(schema, parquet)
        texts = [name for name in TEXTS if name in schema.names]
        # a dictionary, so that a text that recurs is in memory once
        with pyarrow.parquet.ParquetFile(parquet, read_dictionary=texts) as file:
            _check_size(file.metadata, parquet)
            present = [name for name in COLUMNS if name in schema.names]
            for batch in file.iter_batches(READ_BATCH, columns=present):
                for name in texts:
                    _check_length(batch.column(name), name, parquet)
                columns = [
                    batch.column(name).to_pylist()
                    if name in present
                    else itertools.repeat(DEFAULTS[name], len(batch))
                    for name in COLUMNS
                ]
                yield from (dict(zip(COLUMNS, values)) for values in zip(*columns))
    except FileNotFoundError as error:
        raise StorePathError(f"There is no file {parquet}. Check the path.") from error
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise (StoreError if _is_parquet(parquet) else StorePathError)(
            f"{parquet} cannot be read as a Parquet file. {ADVICE}"
        ) from error


def _is_parquet(path: str | os.PathLike) -> bool:
    """Whether a file that cannot be read began as a Parquet file; a folder is none."""
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"PAR1"
    except IsADirectoryError:
        return False
    except OSError:
        return True


def _check_size(metadata: pyarrow.parquet.FileMetaData, parquet: str | os.PathLike) -> None:
    """StoreError for a file that would take too much memory, or one of whose columns is compressed
    beyond belief: all of it would be in memory before its first value is seen.

    What the pages say of themselves counts, since what the footer says of them may be a lie.
    """
    if metadata.num_rows > MAX_ROWS:
        raise StoreError(
            f"{parquet} is too large: {metadata.num_rows:,} rows; at most {MAX_ROWS:,} are read."
        )
    count, size = 0, 0
    with open(parquet, "rb") as file:
        try:
            columns = list(read_columns(file))
        except ValueError as error:
            raise StoreError(f"{parquet} cannot be read: {error}. {ADVICE}") from error
        for column in columns:
            name = plain(column.path_in_schema)[:60]
            try:
                pages = list(itertools.islice(read_pages(file, column), MAX_PAGES + 1 - count))
            except ValueError as error:
                raise StoreError(f"{parquet} cannot be read: {name}: {error}. {ADVICE}") from error
            count += len(pages)
            size += _checked_size(pages, name, parquet)
            if size > MAX_BYTES or count > MAX_PAGES:
                most = f"at most {MAX_BYTES:,} and {MAX_PAGES:,} are read"
                raise StoreError(
                    f"{parquet} is too large: {size:,} bytes in {count:,} pages or more; {most}."
                )


def _checked_size(pages: list[Page], name: str, parquet: str | os.PathLike) -> int:
    """Bytes of the pages of a column in memory. StoreError for pages that no trials need."""
    size = sum(page.size for page in pages)
    disk_size = sum(page.disk_size for page in pages)
    largest = max((page.size for page in pages), default=0)
    if largest > MAX_PAGE or (size > 2 * MAX_PAGE and size > MAX_RATIO * disk_size):
        _refuse(parquet, f"{name} unfolds from {disk_size:,} to {size:,} bytes")
    for page in pages:
        if page.encoding not in KNOWN:
            fault = f"{name} is written in an encoding, number {page.encoding}"
            _refuse(parquet, f"{fault}, that trials do not have")
        if page.values > (page.size if page.is_dictionary else MAX_ROWS):
            _refuse(parquet, f"{name} has a page of {page.values:,} values in {page.size:,} bytes")
    return size


def _refuse(parquet: str | os.PathLike, fault: str) -> NoReturn:
    raise StoreError(f"{parquet} does not hold trials: {fault}. Nothing was imported.")


def _check_schema(schema: pyarrow.Schema, parquet: str | os.PathLike) -> None:
    """StoreError unless a file has the columns of trials, and their types."""
    missing = [name for name in COLUMNS if name not in schema.names and name not in DEFAULTS]
    if missing:
        raise StorePathError(
            f"{parquet} does not hold trials: it lacks {', '.join(missing)}. {ADVICE}"
        )
    if twice := [name for name in COLUMNS if schema.names.count(name) > 1]:
        raise StoreError(f"{parquet} does not hold trials: it has {twice[0]} twice. {ADVICE}")
    wrong = []
    for name in COLUMNS:
        if name in schema.names:
            column_type = schema.field(name).type
            if not _fits(COLUMNS[name], column_type):
                wrong.append(f"{name} ({column_type})")
    if wrong:
        raise StoreError(
            f"{parquet} does not hold trials: wrong types of {', '.join(wrong)}. {ADVICE}"
        )


def _fits(kind: type, column_type: pyarrow.DataType) -> bool:
    """Whether a column of that type can hold the values of a column of trials."""
    if ARROW_TYPES[kind] != pyarrow.string():
        return column_type == ARROW_TYPES[kind]
    if pyarrow.types.is_dictionary(column_type):
        column_type = column_type.value_type
    return column_type in (pyarrow.string(), pyarrow.large_string())


def _check_length(column: pyarrow.Array, name: str, parquet: str | os.PathLike) -> None:
    """StoreError for a text that is too long, before it is repeated for each of its rows."""
    texts = column.dictionary if pyarrow.types.is_dictionary(column.type) else column
    longest = pyarrow.compute.max(pyarrow.compute.binary_length(texts)).as_py() or 0
    if longest > MAX_TEXT:
        _refuse(parquet, f"{name} is a text of {longest:,} bytes")


def _check_row(row: dict, parquet: str | os.PathLike) -> None:
    """StoreError unless a row of an imported file can be a trial. Missing numbers become None."""
    fault = ""
    for name, kind in COLUMNS.items():
        value = row[name]
        if name in MAY_BE_NAN:
            row[name] = None if value is None or math.isnan(value) else value
        elif value is None:
            fault = f"{name} is missing in a row"
        elif kind is str:
            fault = _fault_of_text(name, value)
        if fault:
            _refuse(parquet, fault)
    values = tuple(row.values())
    if fault := fault_of_numbers(values) or _fault_of_hparams(row["hparams"]):
        _refuse(parquet, fault)


def _fault_of_text(name: str, value: str) -> str:
    """What is wrong with a text, in a few words; empty if nothing is."""
    if SAFE.fullmatch(value):
        return ""
    return f"{name} must be a plain text, got {plain(value)[:60]!r} (? for what it may not have)"


def _fault_of_hparams(text: str) -> str:
    """What is wrong with the hyper-parameters of a row, in a few words; empty if nothing is."""
    hparams, fault = parse_hparams(text)
    if fault:
        return fault
    for name, value in hparams.items():
        if not SAFE.fullmatch(name):
            return (
                f"a hyper-parameter is called {plain(name)[:60]!r} (? for what a name may not have)"
            )
        if type(value) is str and (fault := _fault_of_text(name, value)):
            return fault
    steps = hparams.get("train_steps", 1)
    if type(steps) is int and steps >= 1:
        return ""
    return f"train_steps must be a whole number of at least 1, got {steps}"
