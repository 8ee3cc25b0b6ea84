"""Compiled files that are kept from run to run: in the user's cache folder, each under what it was
made from and what it holds.

A file is used only if it is whole (its name carries a hash of its content, since a library that was
cut short kills the process that loads it), and if nobody but the user, or root, could have written
it (what a library holds is executed). Where the cache folder cannot be used, a folder of the
process's own is, and everything is compiled once per process.
"""

import contextlib
import glob
import hashlib
import os
import re
import stat
import struct
import tempfile
from functools import cache
from pathlib import Path

DIGITS = 20  # of a hash in a file's name


class Unavailable(RuntimeError):
    """Why there is no compiled step for a cell on this machine."""


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def load_or_build(stem: str, sources: list[str], suffix: str, make, load):
    """`load(path)` of the file that `make()` gives as bytes, kept under `stem` and the sources.

    `make` is called only where no kept file can be loaded. Raises Unavailable, with the reason,
    where what it made cannot be loaded either, and whatever it raises itself.
    """
    made_from = "\0".join(sources).encode(errors="surrogatepass")
    name = re.sub(r"[^\w-]", "_", stem) + "-" + digest(made_from)
    for folder in folders():
        for path in sorted(folder.glob(f"{glob.escape(name)}-*{suffix}")):
            with contextlib.suppress(OSError):
                if is_ours(path) and path.stem.endswith(f"-{digest(path.read_bytes())}"):
                    return load(path)
    content = make()
    if is_cut_short(content):
        raise Unavailable("what the compiler wrote is not whole")
    reason: object = "there is no folder where it could be kept"
    for folder in folders():
        try:
            return load(write_whole(folder / f"{name}-{digest(content)}{suffix}", content))
        except OSError as error:  # a disk that is full, a folder from which nothing may be executed
            reason = error
    raise Unavailable(f"what was compiled cannot be loaded ({reason})")


def write_whole(path: Path, content: bytes) -> Path:
    """The file, whole or not at all: two processes may write it at once."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(content)
            file.close()
            os.chmod(file.name, 0o700)
            os.replace(file.name, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(file.name)
            raise
    return path


def is_cut_short(content: bytes) -> bool:
    """Whether this is the beginning of a 64-bit ELF library: its table of sections stands last."""
    if not content.startswith(b"\x7fELF\x02\x01"):
        return False
    if len(content) < 64:
        return True
    (offset,) = struct.unpack_from("<Q", content, 40)
    size, count = struct.unpack_from("<HH", content, 58)
    return offset + size * count > len(content)


def is_ours(path: Path) -> bool:
    """Whether nobody but this user, or root, could have written a file or may write in a folder."""
    facts = os.stat(path) if path.is_dir() else os.lstat(path)
    if not hasattr(os, "geteuid"):
        return True
    kind = stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)
    has_owner = facts.st_uid in (0, os.geteuid())
    return kind and has_owner and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def folders() -> list[Path]:
    """Where compiled files may lie: the cache folder, unless it is missing or somebody else may
    write in it, and one of this process.
    """
    return [folder for folder in (_cache_folder(), _private_folder()) if folder]


def _cache_folder() -> Path | None:
    try:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(root) / "rnnkit"
        folder.mkdir(parents=True, exist_ok=True)
        if not is_ours(folder):
            os.chmod(folder, 0o700)  # as a umask of 002 leaves it; refused where it is another's
        return folder if is_ours(folder) else None
    except (OSError, RuntimeError, ValueError):  # no home, or none that can be written
        return None


@cache
def _private() -> tempfile.TemporaryDirectory | None:
    try:
        return tempfile.TemporaryDirectory(prefix="rnnkit-", ignore_cleanup_errors=True)
    except OSError:
        return None


def _private_folder() -> Path | None:
    folder = _private()
    return Path(folder.name) if folder else None
