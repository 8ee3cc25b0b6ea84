"""The files that hold trials: their paths, writing them whole, and a lock between processes."""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from rnnkit import places
from rnnkit.trials.trial import StoreError, StorePathError

# what is said of a store where no more files can be opened
TOO_MANY_FILES = (
    "cannot be opened, since too many files are open. Raise the limit with `ulimit -n`, and start"
    " again; what was stored is safe."
)
NOTEBOOK_PATH = Path("../figures/trials.parquet")  # the store, as the notebooks name it


def expand_home(path: str | os.PathLike) -> Path:
    """The path with ~ written out. StoreError if the home folder of that user is unknown."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise StorePathError(f"The home of {path} is not known. Write the path out.") from error


def store_path(path: str | os.PathLike) -> Path:
    """The path of a store. NOTEBOOK_PATH means the trials that ship with the kit, wherever the
    notebook is run, unless there is a file of that path.
    """
    path = expand_home(path)
    return places.TRIALS if path == NOTEBOOK_PATH and not path.exists() else path


def check_store_path(path: Path, create: bool) -> None:
    """StoreError unless there is a store at the path or, with `create`, one can be made there."""
    try:
        _check_store_path(path, create)
    except PermissionError as error:
        raise StoreError(
            f"{path} may not be read by this user. Change its permissions, or give another path."
        ) from error
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise StoreError(f"The store {path} {TOO_MANY_FILES}") from error
        raise StorePathError(
            f"{path} cannot be a store ({error.strerror}). Give another path."
        ) from error


def _check_store_path(path: Path, create: bool) -> None:
    if path.is_dir():
        raise StorePathError(f"A store is a file, got the folder {path}. Give a file in it.")
    if path.exists():
        if not path.is_file():  # reading from a pipe would wait for ever
            raise StorePathError(f"A store is a file, got {path}, which is none. Give a file.")
        with open(path, "rb") as file:
            head = file.read(16)
        if head and head != b"SQLite format 3\0":
            raise StorePathError(
                f"{path} is not a trial store, nor any SQLite file. Give another path."
            )
    elif not create:
        raise StorePathError(
            f"There is no trial store at {path}. Check the path; `rnnkit reproduce` makes one."
        )
    elif not path.parent.is_dir():
        raise StorePathError(
            f"The store's folder {path.parent} must exist. Make it, or give another path."
        )


def too_many_files() -> bool:
    """Whether hardly another file can be opened, as SQLite needs up to four for a store, and does
    not say what it lacked.
    """
    try:
        with ExitStack() as files:
            for _ in range(4):
                files.enter_context(open(os.devnull))
    except OSError:
        return True
    return False


def side_store(parquet: Path) -> Path:
    """trials.parquet -> trials-more.sqlite, the store of the trials that the file lacks."""
    return parquet.with_name(f"{parquet.stem}-more.sqlite")


def export_path(parquet: str | os.PathLike) -> Path:
    """The path of a file to export to. StoreError if it is a folder or has the name of a store or of
    another kind of file.
    """
    path = expand_home(parquet)
    if not path.name or (os.path.lexists(path) and not path.is_file()):
        raise StorePathError(
            f"Trials are exported to a Parquet file, got {str(parquet) or 'no name'!r}. Give the"
            " path of a file."
        )
    if path.suffix.lower() not in ("", ".parquet"):
        raise StorePathError(
            f"Trials are exported to a Parquet file, got the name of another kind of file, {path}."
            " Give a name that ends in .parquet."
        )
    if not path.parent.is_dir():
        raise StorePathError(
            f"{path} cannot be written, since the folder {path.parent} must exist. Make it, or give"
            " another path."
        )
    return path


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Lets one process at a time read and replace the files of a folder, on file systems that have
    locks.
    """
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # no POSIX system, or no such folder, which writing will report
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def replacement_of(path: Path) -> Iterator[Path]:
    """Yields the path of a temporary file that replaces `path` at the end, whole or not at all.
    Two processes may do so at once. OSError.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.half")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all. OSError."""
    with replacement_of(path) as temporary:
        temporary.write_bytes(data)
