"""Where the kit's own notebooks and trials are: in the source checkout, or packed into the package.
And a folder for what one process needs until it ends.

In both, `figures` is next to `notebooks`, so that a notebook finds ../figures/trials.parquet.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
PACKED = PACKAGE / "packed"  # in a wheel; setup.py fills it
HOME = PACKED if PACKED.is_dir() else PACKAGE.parent

NOTEBOOKS = HOME / "notebooks"
FIGURES = HOME / "figures"
TRIALS = FIGURES / "trials.parquet"  # trials.weights, next to it, has the best networks


class WrongPath(Exception):
    """A path leads nowhere, or to a thing of another kind, so that it must be named otherwise. Errors
    of this class say that a value is invalid; what stands in the way of a right path, as a lock or a
    full disk, is another error.
    """


@contextmanager
def writing(
    folder: Path, beginning: str, path_error: type[WrongPath], other_error: type[Exception]
) -> Iterator[None]:
    """Says in one sentence why something cannot be written to a folder: by `path_error` where a file
    is in the way, and otherwise by `other_error`. `beginning` is the beginning of the sentence.
    """
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise path_error(
            f"{beginning} to {folder}: a file is in the way. Name another folder."
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise other_error(f"{beginning} to {folder} ({reason}). Name another folder.") from error


def make_writable(
    folder: Path, beginning: str, path_error: type[WrongPath], other_error: type[Exception]
) -> None:
    """Makes a folder if needed, and tests that a file can be written to it; the errors are those of
    `writing`.
    """
    with writing(folder, beginning, path_error, other_error):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()


@cache
def private_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder of this process alone, made at the first call and removed when the process ends; one
    that is killed leaves it behind. OSError where no folder can be made.
    """
    return tempfile.TemporaryDirectory(prefix="rnnkit-", ignore_cleanup_errors=True)
