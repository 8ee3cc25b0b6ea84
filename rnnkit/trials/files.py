"""Files that trials are kept in: their names, and how several processes keep out of each other's
way.
"""

import os
from contextlib import contextmanager, suppress
from pathlib import Path

from rnnkit import places
from rnnkit.trials.trial import StoreError

AS_NOTEBOOKS_SAY = Path("../figures/trials.parquet")


def at_home(path) -> Path:
    """A path with ~ written out. StoreError for a user whom nobody knows."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise StoreError(f"The home of {path} is not known. Write the path out.") from error


def store_at(path) -> Path:
    """The path of a store. What the notebooks call ../figures/trials.parquet is the file that
    ships, wherever they are run; where there is such a file, it is that one.
    """
    place = at_home(path)
    return places.TRIALS if place == AS_NOTEBOOKS_SAY and not place.exists() else place


def look_at(path: Path, create: bool):
    """StoreError unless a store is at a path, or can be made there if `create` says so."""
    try:
        if path.is_dir():
            raise StoreError(f"A store is a file, got the folder {path}. Give a file in it.")
        if path.exists():
            if not path.is_file():  # a pipe would be waited for
                raise StoreError(f"A store is a file, got {path}, which is none. Give a file.")
            with open(path, "rb") as file:
                head = file.read(16)
            if head and head != b"SQLite format 3\0":
                raise StoreError(
                    f"{path} is not a trial store, nor any SQLite file. Give another path."
                )
        elif not create:
            raise StoreError(
                f"There is no trial store at {path}. Check the path; `rnnkit reproduce` makes one."
            )
        elif not path.parent.is_dir():
            raise StoreError(
                f"The store's folder {path.parent} must exist. Make it, or give another path."
            )
    except PermissionError as error:
        raise StoreError(
            f"{path} may not be read by this user. Change its permissions, or give another path."
        ) from error
    except OSError as error:
        raise StoreError(
            f"{path} cannot be a store ({error.strerror}). Give another path."
        ) from error


def more_beside(parquet: Path) -> Path:
    """trials.parquet -> trials-more.sqlite, which keeps what a file of trials lacks."""
    return parquet.with_name(f"{parquet.stem}-more.sqlite")


def travelling(parquet) -> Path:
    """The path of a file to export to. StoreError for what cannot be one: a folder, or the name of
    a store.
    """
    path = at_home(parquet)
    if not path.name or (os.path.lexists(path) and not path.is_file()):
        raise StoreError(
            f"Trials are exported to a Parquet file, got {str(parquet) or 'no name'!r}. Give the"
            " path of a file."
        )
    if path.suffix in (".sqlite", ".sqlite3", ".db"):
        raise StoreError(
            f"Trials are exported to a Parquet file, got the name of an SQLite store, {path}. Give"
            " a name that ends in .parquet."
        )
    return path


@contextmanager
def alone_in(folder: Path):
    """Lets one process at a time read and replace files of a folder, as far as the file system has
    locks.
    """
    try:
        import fcntl

        place = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # not a POSIX system, or no such folder, which writing will tell
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def write_whole(path: Path, data: bytes):
    """Writes a file whole or not at all. OSError."""
    half = path.with_name(f"{path.name}.{os.getpid()}.half")
    try:
        half.write_bytes(data)
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)
