"""The pages of a Parquet file, as the header of each tells of it.

A reader takes as much memory for a page as the header before it asks for, whatever the file's
footer says of the whole column. So the headers are read first, one after the other, without the
data between them; they are structs of Thrift's compact protocol.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow.parquet

MAX_PAGES = 1_000_000  # headers that are read of one file
DEPTH = 8  # of structs and lists in each other; a page's header has three
# the numbers of the encodings that trials may have: values one after another, those of a dictionary
# (2 and 8), run lengths, differences of integers, texts after all of their lengths, and split bytes;
# none repeats a text that the page has once, as differences between texts (7) would
KNOWN = (0, 2, 3, 5, 6, 8, 9)
TYPE, SIZE, DISK_SIZE, VALUES = 1, 2, 3, 1  # numbers of fields of a page's header
# by the type of a page: the field that tells of its values, and in that the field of their encoding
DATA, DICTIONARY, DATA_2 = 0, 2, 3
FIELDS = {DATA: (5, 2), DICTIONARY: (7, 2), DATA_2: (8, 4)}


@dataclass(frozen=True)
class Page:
    """`disk_size` bytes in the file become `size` in memory: `values` values in an encoding, or,
    where `is_dictionary` says so, those that later pages refer to.
    """

    size: int
    disk_size: int
    values: int
    encoding: int
    is_dictionary: bool


def read_pages(file: BinaryIO, column: pyarrow.parquet.ColumnChunkMetaData) -> Iterator[Page]:
    """The pages of a column of a row group, where `file` is open for reading bytes and `column` is
    what pyarrow's metadata say of it. ValueError for what is no row of pages.
    """
    begin = column.data_page_offset
    size = column.total_compressed_size
    first = column.dictionary_page_offset if column.has_dictionary_page else None
    if first and first < begin:
        begin = first
    end = begin + size
    if begin < 0 or size < 0 or end > file.seek(0, 2):
        raise ValueError("a column lies beyond the end of the file")
    while begin < end:
        file.seek(begin)
        page = _page_of(_read_struct(file))
        begin = file.tell() + page.disk_size
        if begin > end:
            raise ValueError("a page is longer than its column")
        yield page


def _page_of(header: dict) -> Page:
    kind = header.get(TYPE, -1)
    field, encoding = FIELDS.get(kind, (0, 0))
    about = header.get(field)
    about = about if isinstance(about, dict) else {}

    def number(numbers: dict, field: int) -> int:
        value = numbers.get(field)
        if not isinstance(value, int) or value < 0:
            raise ValueError("a page does not say how large it is")
        return value

    size = number(header, SIZE)
    disk_size = number(header, DISK_SIZE)
    values = number(about, VALUES)
    how = number(about, encoding)
    return Page(size, disk_size, values, how, kind == DICTIONARY)


def _read_struct(file: BinaryIO, depth: int = 0) -> dict:
    """A struct's integers and structs by the number of their field; other values are passed by."""
    numbers = {}
    field = 0
    while head := _read_byte(file):
        step = head >> 4
        kind = head & 15
        field = field + step if step else _read_signed(file)
        numbers[field] = _read_value(file, kind, depth)
    return numbers


def _read_value(file: BinaryIO, kind: int, depth: int) -> int | dict | None:
    if depth > DEPTH:
        raise ValueError("a page's header is too deep")
    if kind in (1, 2):  # true, false: the kind is the value
        return None
    if kind == 3:
        return _read_byte(file)
    if kind in (4, 5, 6):
        return _read_signed(file)
    if kind in (7, 8):  # a float, or bytes after their number
        file.seek(8 if kind == 7 else _read_number(file), 1)
        return None
    if kind in (9, 10):  # lists and sets: the number of elements, and the kind of all
        head = _read_byte(file)
        for _ in range(_read_number(file) if head >> 4 == 15 else head >> 4):
            _read_element(file, head & 15, depth + 1)
        return None
    if kind == 12:
        return _read_struct(file, depth + 1)
    raise ValueError(f"a page's header has a value of kind {kind}")


def _read_element(file: BinaryIO, kind: int, depth: int) -> int | dict | None:
    """An element of a list, where true and false take a byte."""
    return _read_byte(file) if kind in (1, 2) else _read_value(file, kind, depth)


def _read_byte(file: BinaryIO) -> int:
    byte = file.read(1)
    if not byte:
        raise ValueError("the file ends within a page's header")
    return byte[0]


def _read_number(file: BinaryIO) -> int:
    """Seven bits a byte, the lowest first; the last byte is below 128."""
    number = 0
    for shift in range(0, 70, 7):
        byte = _read_byte(file)
        number |= (byte & 127) << shift
        if byte < 128:
            return number
    raise ValueError("a number in a page's header has no end")


def _read_signed(file: BinaryIO) -> int:
    """0, -1, 1, -2, 2, ... are written as 0, 1, 2, 3, 4, ..."""
    number = _read_number(file)
    return number >> 1 ^ -(number & 1)
