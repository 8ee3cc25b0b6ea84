"""Trials as a Parquet file. A file that is read is checked as if a stranger had written it."""

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow
import pyarrow.compute
import pyarrow.parquet

from rnnkit.trials.pages import KNOWN, MAX_PAGES, Column, Page, read_columns, read_pages
from rnnkit.trials.paths import replacement_of
from rnnkit.trials.sql import NUMBER, STUDY
from rnnkit.trials.trial import (
    COLUMNS,
    DEFAULTS,
    INDICES,
    MAY_BE_NAN,
    SAFE,
    StoreError,
    StorePathError,
    check_numbers,
    check_types,
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
    all, and returns their number. OSError.
    """
    schema = pyarrow.schema([(name, ARROW_TYPES[kind]) for name, kind in COLUMNS.items()])
    iterator = iter(records)
    count = 0
    with (
        replacement_of(parquet) as temporary,
        pyarrow.parquet.ParquetWriter(temporary, schema, compression="zstd") as file,
    ):
        while batch := list(itertools.islice(iterator, WRITE_BATCH)):
            columns = {name: list(values) for name, values in zip(COLUMNS, zip(*batch))}
            columns["infeasible"] = [bool(value) for value in columns["infeasible"]]
            file.write_table(pyarrow.Table.from_pydict(columns, schema))
            count += len(batch)
    return count


def read_rows(parquet: str | os.PathLike) -> Iterator[tuple]:
    """The trials of a file, one after another, as rows of a store's table. StoreError if a row
    cannot be a trial. Nothing in the file is run.
    """
    if Path(parquet).exists() and not Path(parquet).is_file():  # a pipe would be waited for
        raise StorePathError(f"{parquet} is not a file. {ADVICE}")
    try:
        yield from _checked_rows(parquet)
    except FileNotFoundError as error:
        raise StorePathError(f"There is no file {parquet}. Check the path.") from error
    except MemoryError:
        raise  # one of pyarrow's is an ArrowException, too
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno:
            raise StoreError(
                f"{parquet} cannot be read ({os.strerror(error.errno)}). Mend that, and try again."
            ) from error
        raise (StoreError if _is_parquet(parquet) else StorePathError)(
            f"{parquet} cannot be read as a Parquet file. {ADVICE}"
        ) from error
    except ValueError as fault:
        raise StoreError(f"{parquet} does not hold trials: {fault}. {ADVICE}") from fault


def _checked_rows(parquet: str | os.PathLike) -> Iterator[tuple]:
    """The rows of `read_rows`. ValueError, in a few words, for a file that does not hold trials, and
    what pyarrow raises for one that it cannot read.
    """
    schema = pyarrow.parquet.read_schema(parquet)
    _check_schema(schema, parquet)
    keys = set()
    letters = 0
    # a dictionary, so that a text that recurs is in memory once
    texts = [name for name in TEXTS if name in schema.names]
    with pyarrow.parquet.ParquetFile(parquet, read_dictionary=texts) as file:
        _check_size(file.metadata.num_rows, parquet)
        present = [name for name in COLUMNS if name in schema.names]
        for batch in file.iter_batches(READ_BATCH, columns=present):
            for row in zip(*(_values(batch, name) for name in COLUMNS)):
                letters += _check_row(row)
                if letters > MAX_REPEATED and letters > MAX_RATIO * Path(parquet).stat().st_size:
                    raise ValueError(f"it unfolds to {letters:,} letters or more")
                key = hash((row[STUDY], row[NUMBER]))
                if key in keys:
                    raise ValueError("it has two rows for one trial of a study")
                keys.add(key)
                yield row


def _values(batch: pyarrow.RecordBatch, name: str) -> list:
    """The values of a column, with None for NaN. ValueError for a text that is too long, before it
    is repeated for each of its rows.
    """
    if name not in batch.schema.names:
        values = [DEFAULTS[name]] * len(batch)
    else:
        column = batch.column(name)
        if name in TEXTS:
            texts = column.dictionary if pyarrow.types.is_dictionary(column.type) else column
            longest = pyarrow.compute.max(pyarrow.compute.binary_length(texts)).as_py() or 0
            if longest > MAX_TEXT:
                raise ValueError(f"{name} is a text of {longest:,} bytes")
        values = column.to_pylist()
    return [None if value != value else value for value in values] if name in MAY_BE_NAN else values


def _is_parquet(path: str | os.PathLike) -> bool:
    """Whether a file that pyarrow cannot read begins as a Parquet file."""
    with open(path, "rb") as file:
        return file.read(4) == b"PAR1"


def _check_size(n_rows: int, parquet: str | os.PathLike) -> None:
    """ValueError for a file that would take too much memory, or one of whose columns is compressed
    beyond belief: all of it would be in memory before its first value is seen.

    What the pages say of themselves counts, since what the footer says of them may be a lie.
    """
    if n_rows > MAX_ROWS:
        raise ValueError(f"it is too large: {n_rows:,} rows, and at most {MAX_ROWS:,} are read")
    count, size = 0, 0
    with open(parquet, "rb") as file:
        for column in list(read_columns(file)):
            pages = list(itertools.islice(read_pages(file, column), MAX_PAGES + 1 - count))
            count += len(pages)
            size += _checked_size(pages, column)
            if size > MAX_BYTES or count > MAX_PAGES:
                raise ValueError(
                    f"it is too large: {size:,} bytes in {count:,} pages or more, and at most"
                    f" {MAX_BYTES:,} in {MAX_PAGES:,} are read"
                )


def _checked_size(pages: list[Page], column: Column) -> int:
    """Bytes of the pages of a column in memory. ValueError for pages that no trials need."""
    name = plain(column.name)[:60]
    size = sum(page.size for page in pages)
    disk_size = sum(page.disk_size for page in pages)
    largest = max((page.size for page in pages), default=0)
    if largest > MAX_PAGE or (size > 2 * MAX_PAGE and size > MAX_RATIO * disk_size):
        raise ValueError(f"{name} unfolds from {disk_size:,} to {size:,} bytes")
    for page in pages:
        if page.encoding not in KNOWN:
            raise ValueError(
                f"{name} is written in an encoding, number {page.encoding}, that trials do not have"
            )
        if page.values > (page.size if page.is_dictionary else MAX_ROWS):
            raise ValueError(f"{name} has a page of {page.values:,} values in {page.size:,} bytes")
    return size


def _check_schema(schema: pyarrow.Schema, parquet: str | os.PathLike) -> None:
    """ValueError unless a file has the columns of trials, and their types; StorePathError if it
    lacks some, and so is a file of something else.
    """
    missing = [name for name in COLUMNS if name not in schema.names and name not in DEFAULTS]
    if missing:
        raise StorePathError(
            f"{parquet} does not hold trials: it lacks {', '.join(missing)}. {ADVICE}"
        )
    columns = [(name, schema.field(at).type) for at, name in enumerate(schema.names)]
    for name in COLUMNS:
        types = [column_type for column, column_type in columns if column == name]
        if len(types) > 1:
            raise ValueError(f"it has {name} twice")
    wrong = [
        f"{name} ({column_type})"
        for name, column_type in columns
        if name in COLUMNS and not _fits(COLUMNS[name], column_type)
    ]
    if wrong:
        raise ValueError(f"wrong types of {', '.join(wrong)}")


def _fits(kind: type, column_type: pyarrow.DataType) -> bool:
    """Whether a column of that type can hold the values of a column of trials."""
    if ARROW_TYPES[kind] != pyarrow.string():
        return column_type == ARROW_TYPES[kind]
    if pyarrow.types.is_dictionary(column_type):
        column_type = column_type.value_type
    return column_type in (pyarrow.string(), pyarrow.large_string())


def _check_row(row: tuple) -> int:
    """The letters of a row's texts. ValueError, in a few words, unless it can be a trial."""
    check_types(row)
    check_numbers(row)
    texts = {name: row[INDICES[name]] for name in TEXTS}
    letters = sum(map(len, texts.values()))
    hparams = parse_hparams(texts.pop("hparams"))
    for name in hparams:
        if not SAFE.fullmatch(name):
            raise ValueError(
                f"a hyper-parameter is called {plain(name)[:60]!r} (? for what a name may not have)"
            )
    for name, value in (*texts.items(), *hparams.items()):
        if type(value) is str and not SAFE.fullmatch(value):
            raise ValueError(
                f"{name} must be a plain text, got {plain(value)[:60]!r} (? for what it may not have)"
            )
    steps = hparams.get("train_steps", 1)
    if type(steps) is not int or steps < 1:
        raise ValueError(f"train_steps must be a whole number of at least 1, got {steps}")
    return letters
