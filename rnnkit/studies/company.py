"""Whether another run is at work on the same store. Nothing depends on it but a sentence and the
order of work.
"""

import os
import socket
from contextlib import contextmanager, suppress

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None


@contextmanager
def others_at_work(store):
    """Yields "" for the first run on a store, and for a later one who is at it: the first holds a
    lock, which ends with its process.
    """
    if not (store.kept and fcntl):
        yield ""
        return
    path = store.file.with_name(f"{store.file.name}-run")
    try:
        file = open(path, "ab+", buffering=0)
    except OSError:
        yield ""
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            yield file.read(200).decode(errors="replace") or "another process"
            return
        except OSError:  # a file system without locks
            yield ""
            return
        try:
            with suppress(OSError):  # a full disk is told by the store
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
            yield ""
        finally:
            with suppress(OSError):
                path.unlink()
