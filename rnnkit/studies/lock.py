"""A lock by which a run detects another run on the same store. Only a message and the order of work
depend on it.
"""

import os
import re
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from rnnkit.trials import TrialStore

if sys.platform != "win32":
    import fcntl

MAX_BYTES = 200  # in the file
OWNER = re.compile(rb"(process \d+ on [^\r\n]{1,150})?")


@contextmanager
def run_lock(store: TrialStore) -> Iterator[str]:
    """Yields "" to the first run on a store, and a description of the first run to a later one. The
    first holds a lock on the file <store>-run until its process ends.

    A link, or a file of that name that no run has written, is left alone; the runs then do not
    detect each other.
    """
    if not store.file or sys.platform == "win32":
        yield ""
        return
    path = store.file.with_name(f"{store.file.name}-run")
    file = _open(path)
    if not file:
        yield ""
        return
    with file:
        owner = _read_owner(file)
        has_lock = _try_lock(file)
        if owner is None or has_lock is None:
            yield ""
            return
        if not has_lock:
            yield owner.decode(errors="replace") or "another process"
            return
        try:
            with suppress(OSError):  # the store reports a full disk
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
            yield ""
        finally:
            with suppress(OSError):
                path.unlink()


def _open(path: Path) -> BinaryIO | None:
    """The file at a path, made if it is missing; None for a link, and if it cannot be opened."""
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        return open(os.open(path, flags, 0o666), "ab+", buffering=0)
    except OSError:
        return None


def _read_owner(file: BinaryIO) -> bytes | None:
    """The description of the run that wrote the file, empty for a new file; None if the file was
    not written by a run.
    """
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1 or status.st_size > MAX_BYTES:
        return None
    try:
        file.seek(0)
        owner = file.read(MAX_BYTES)
    except OSError:
        return None
    return owner if OWNER.fullmatch(owner) else None


def _try_lock(file: BinaryIO) -> bool | None:
    """Takes the lock and returns whether this process has it; None on a file system without locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
