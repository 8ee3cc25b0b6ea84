"""The pages of a Parquet file, as the header of each tells of it.

A reader takes as much memory for a page as the header before it asks for, whatever the file's
footer says of the whole column. So the headers are read first, one after the other, without the
data between them; they are structs of Thrift's compact protocol.
"""

from dataclasses import dataclass

MAX_PAGES = 1_000_000  # headers that are read of one file
DEPTH = 8  # of structs and lists in each other; a page's header has three
PLAIN, PLAIN_DICTIONARY, RLE, DELTA_INTEGERS, DELTA_LENGTHS, RLE_DICTIONARY, SPLIT = (
    0,
    2,
    3,
    5,
    6,
    8,
    9,
)
# none of these repeats a text that the page has once, as differences between texts (7) could
KNOWN = (PLAIN, PLAIN_DICTIONARY, RLE, DELTA_INTEGERS, DELTA_LENGTHS, RLE_DICTIONARY, SPLIT)
SIZE, DISK_SIZE, DATA, DICTIONARY, DATA_2 = 2, 3, 5, 7, 8  # fields of a page's header
VALUES, ENCODING = 1, {DATA: 2, DICTIONARY: 2, DATA_2: 4}  # fields of what it says of its data


@dataclass(frozen=True)
class Page:
    """`disk_size` bytes in the file become `size` in memory: `values` values in an encoding, or, where
    `is_dictionary` says so, those that later pages refer to.
    """

    size: int
    disk_size: int
    values: int
    encoding: int
    is_dictionary: bool


def read_pages(file, column):
    """The pages of a column of a row group, where `file` is open for reading bytes and `column` is
    what pyarrow's metadata say of it. ValueError for what is no row of pages.
    """
    begin, size = column.data_page_offset, column.total_compressed_size
    first = column.dictionary_page_offset if column.has_dictionary_page else None
    if first and first < begin:
        begin = first
    end = begin + size
    if begin < 0 or size < 0 or end > file.seek(0, 2):
        raise ValueError("a column lies beyond the end of the file")
    while begin < end:
        file.seek(begin)
        page = _page(_struct(file))
        begin = file.tell() + page.disk_size
        if begin > end:
            raise ValueError("a page is longer than its column")
        yield page


def _page(header: dict) -> Page:
    kind = next((kind for kind in (DATA, DICTIONARY, DATA_2) if kind in header), None)
    about = header.get(kind)
    about = about if type(about) is dict else {}
    numbers = [
        header.get(SIZE),
        header.get(DISK_SIZE),
        about.get(VALUES),
        about.get(ENCODING.get(kind)),
    ]
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError("a page does not say how large it is")
    return Page(*numbers, kind == DICTIONARY)


def _struct(file, depth=0) -> dict:
    """A struct's integers and structs by the number of their field; other values are passed by."""
    found, field = {}, 0
    while head := _byte(file):
        step, kind = head >> 4, head & 15
        field = field + step if step else _signed(file)
        found[field] = _value(file, kind, depth)
    return found


def _value(file, kind, depth):
    if depth > DEPTH:
        raise ValueError("a page's header is too deep")
    if kind in (1, 2):  # true, false: the kind is the value
        return None
    if kind == 3:
        return _byte(file)
    if kind in (4, 5, 6):
        return _signed(file)
    if kind in (7, 8):  # a float, or bytes after their number
        file.seek(8 if kind == 7 else _number(file), 1)
        return None
    if kind in (9, 10):  # lists and sets: the number of elements, and the kind of all
        head = _byte(file)
        for _ in range(_number(file) if head >> 4 == 15 else head >> 4):
            _element(file, head & 15, depth + 1)
        return None
    if kind == 12:
        return _struct(file, depth + 1)
    raise ValueError(f"a page's header has a value of kind {kind}")


def _element(file, kind, depth):
    """An element of a list, where true and false take a byte."""
    return _byte(file) if kind in (1, 2) else _value(file, kind, depth)


def _byte(file) -> int:
    byte = file.read(1)
    if not byte:
        raise ValueError("the file ends within a page's header")
    return byte[0]


def _number(file) -> int:
    """Seven bits a byte, the lowest first; the last byte is below 128."""
    number = 0
    for shift in range(0, 70, 7):
        byte = _byte(file)
        number |= (byte & 127) << shift
        if byte < 128:
            return number
    raise ValueError("a number in a page's header has no end")


def _signed(file) -> int:
    """0, -1, 1, -2, 2, ... are written as 0, 1, 2, 3, 4, ..."""
    number = _number(file)
    return number >> 1 ^ -(number & 1)
