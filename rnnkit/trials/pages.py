"""The pages of a Parquet file, as the header of each tells of it.

A reader takes as much memory for a page as the header before it asks for, whatever the file's
footer says of the whole column. So the headers are read first, one after the other, without the
data between them; they are structs of Thrift's compact protocol.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAX_PAGES = 1_000_000  # headers that are read of one file
LETTERS = 100  # of a text in a footer or a header that are read
DEPTH = 8  # of structs and lists in each other; a page's header has three
# the numbers of the encodings that trials may have: values one after another, those of a dictionary
# (2 and 8), run lengths, differences of integers, texts after all of their lengths, and split bytes;
# none repeats a text that the page has once, as differences between texts (7) would
KNOWN = (0, 2, 3, 5, 6, 8, 9)
TYPE, SIZE, DISK_SIZE, VALUES = 1, 2, 3, 1  # numbers of fields of a page's header
# by the type of a page: the field that tells of its values, and in that the field of their encoding
DATA, DICTIONARY, DATA_2 = 0, 2, 3
FIELDS = {DATA: (5, 2), DICTIONARY: (7, 2), DATA_2: (8, 4)}
# numbers of fields: of the footer, of a row group, of a column's chunk, and of what is said of it
ROW_GROUPS, CHUNKS, ABOUT = 4, 1, 3
PATH, CHUNK_SIZE, DATA_OFFSET, DICTIONARY_OFFSET = 3, 7, 9, 11


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


@dataclass(frozen=True)
class Column:
    """The part of a column in one row group, as the footer tells of it: its name, where its first
    page begins, and its bytes in the file. One without rows may have no pages, or none of data.
    """

    name: str
    begin: int
    size: int


def read_columns(file: BinaryIO) -> Iterator[Column]:
    """The columns of all row groups of a file that is open for reading bytes. ValueError for a
    footer that does not tell of them.

    pyarrow tells the same, but ends the process where one of its own checks of a column fails.
    """
    end = file.seek(0, 2) - 8
    file.seek(max(0, end))
    length = int.from_bytes(file.read(4), "little")
    if length > end:
        raise ValueError("the footer is longer than the file")
    file.seek(end - length)
    for group in _structs(_read_struct(file), ROW_GROUPS):
        for chunk in _structs(group, CHUNKS):
            about = _struct(chunk, ABOUT)
            size = _number(about, CHUNK_SIZE)
            # an offset is 0, or missing, where there is no such page
            offsets = (about.get(field) for field in (DATA_OFFSET, DICTIONARY_OFFSET))
            begin = min((at for at in offsets if isinstance(at, int) and at > 0), default=0)
            if size and not begin:
                raise ValueError("the footer does not say where a column lies")
            names = about.get(PATH)
            yield Column(".".join(map(str, names)) if isinstance(names, list) else "", begin, size)


def read_pages(file: BinaryIO, column: Column) -> Iterator[Page]:
    """The pages of a column of a row group, where `file` is open for reading bytes. ValueError for
    what is no row of pages.
    """
    position = column.begin
    end = position + column.size
    if end > file.seek(0, 2):
        raise ValueError("a column lies beyond the end of the file")
    while position < end:
        file.seek(position)
        header = _read_struct(file)
        kind = _number(header, TYPE)
        field, encoding = FIELDS.get(kind, (0, 0))
        about = _struct(header, field)
        disk_size = _number(header, DISK_SIZE)
        position = file.tell() + disk_size
        if position > end:
            raise ValueError("a page is longer than its column")
        yield Page(
            _number(header, SIZE),
            disk_size,
            _number(about, VALUES),
            _number(about, encoding),
            kind == DICTIONARY,
        )


def _number(struct: dict, field: int) -> int:
    """A number of at least 0 in a struct."""
    number = struct.get(field)
    if not isinstance(number, int) or number < 0:
        raise ValueError("a page or a column does not say how large it is")
    return number


def _struct(struct: dict, field: int) -> dict:
    """A struct in a struct; an empty one if there is none."""
    inner = struct.get(field)
    return inner if isinstance(inner, dict) else {}


def _structs(struct: dict, field: int) -> list[dict]:
    """The structs in a list in a struct."""
    structs = struct.get(field)
    if not isinstance(structs, list) or not all(isinstance(item, dict) for item in structs):
        raise ValueError("the footer does not tell of row groups and columns")
    return structs


def _read_struct(file: BinaryIO, depth: int = 0) -> dict:
    """A struct's integers, texts, lists and structs by the number of their field; other values are
    passed by.
    """
    values: dict = {}
    field = 0
    while head := _read_byte(file):
        step = head >> 4
        field = field + step if step else _read_signed(file)
        values[field] = _read_value(file, head & 15, depth)
    return values


def _read_value(file: BinaryIO, kind: int, depth: int) -> int | str | list | dict | None:
    if depth > DEPTH:
        raise ValueError("a page's header is too deep")
    if kind in (1, 2):  # true, false: the kind is the value
        return None
    if kind == 3:
        return _read_byte(file)
    if kind in (4, 5, 6):
        return _read_signed(file)
    if kind == 7:  # a float
        file.seek(8, 1)
        return None
    if kind == 8:  # bytes after their number, of which a few suffice for a name
        length = _read_number(file)
        text = file.read(min(length, LETTERS))
        file.seek(length - len(text), 1)
        return text.decode(errors="replace")
    if kind in (9, 10):  # lists and sets: the number of elements, and the kind of all
        head = _read_byte(file)
        count = _read_number(file) if head >> 4 == 15 else head >> 4
        kind = max(3, head & 15)  # in a list, true and false take a byte
        return [_read_value(file, kind, depth + 1) for _ in range(count)]
    if kind == 12:
        return _read_struct(file, depth + 1)
    raise ValueError(f"a page's header has a value of kind {kind}")


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
