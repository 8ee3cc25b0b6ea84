"""Whether another run is at work on the same store. Nothing depends on it but a sentence and the
order of work.
"""

import os
import re
import socket
import stat
from contextlib import contextmanager, suppress

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None

MOST = 200  # bytes that a run writes of itself
WORDS = re.compile(rb"(process \d+ on [^\r\n]{1,150})?")


@contextmanager
def others_at_work(store):
    """Yields "" for the first run on a store, and for a later one who is at it: the first holds a
    lock on the file <store>-run, which ends with its process.

    A link, or a file of that name that no run has written, is left as it is, and then nobody knows
    of the other.
    """
    place = store.file.with_name(f"{store.file.name}-run") if store.persistent and fcntl else None
    file = place and _opened(place)
    if not file:
        yield ""
        return
    with file:
        words, held = _words_in(file), _held(file)
        if words is None or held is None:
            yield ""
            return
        if not held:
            yield words.decode(errors="replace") or "another process"
            return
        try:
            with suppress(OSError):  # a full disk is told by the store
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
            yield ""
        finally:
            with suppress(OSError):
                place.unlink()


def _opened(place):
    """The file at a place, made if need be; None for a link, and for what cannot be opened."""
    try:
        number = os.open(place, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
    except OSError:
        return None
    return open(number, "ab+", buffering=0)


def _words_in(file) -> bytes | None:
    """What a run has written into the file, empty for a new one; None if a run did not write it."""
    about = os.fstat(file.fileno())
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1 or about.st_size > MOST:
        return None
    try:
        file.seek(0)
        words = file.read(MOST)
    except OSError:
        return None
    return words if WORDS.fullmatch(words) else None


def _held(file) -> bool | None:
    """Whether this process holds the lock now; None on a file system without locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
