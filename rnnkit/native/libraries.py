"""Compiled files that are kept from run to run, in the user's cache folder. Their names carry a hash
of their sources and a hash of their content.

A file is used only if it is whole, since a truncated library kills the process that loads it, and if
nobody but the user or root could have written it, since its content is executed. Where the cache
folder cannot be used, the process makes a folder of its own, and everything is compiled once per
process.
"""

import contextlib
import glob
import hashlib
import os
import re
import stat
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from rnnkit import places

DIGITS = 20  # of a hash in a file's name


Library = TypeVar("Library")


class Unavailable(RuntimeError):
    """Why there is no compiled step for a cell on this machine."""


def digest(content: bytes) -> str:
    """A hash of some content, short enough for a file's name."""
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def load_or_build(
    stem: str,
    sources: list[str],
    suffix: str,
    make: Callable[[], bytes],
    load: Callable[[Path], Library],
) -> Library:
    """`load(path)` of the file for these sources, whose content `make()` returns as bytes.

    `make` is called only if no file in the cache can be loaded. Raises what `make` raises, and
    Unavailable, with the reason, if its file cannot be loaded either.
    """
    key = "\0".join(sources).encode(errors="surrogatepass")
    name = re.sub(r"[^\w-]", "_", stem) + "-" + digest(key)
    for folder in folders(make=False):
        for path in sorted(folder.glob(f"{glob.escape(name)}-*{suffix}")):
            with contextlib.suppress(OSError):
                if is_ours(path) and path.stem.endswith(f"-{digest(path.read_bytes())}"):
                    return load(path)
    content = make()
    if is_cut_short(content):
        raise Unavailable("the compiler wrote a truncated file")
    reason: object = "there is no folder where it could be kept"
    for folder in folders():
        try:
            return load(write_whole(folder / f"{name}-{digest(content)}{suffix}", content))
        except OSError as error:  # a full disk, a folder from which nothing may be executed
            reason = error
    raise Unavailable(f"the compiled file cannot be loaded ({reason})")


def write_whole(path: Path, content: bytes) -> Path:
    """Writes a file, whole or not at all, since two processes may write it at the same time."""
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
    """Whether this is only the beginning of a 64-bit ELF library, whose last part is its table of
    sections.
    """
    if not content.startswith(b"\x7fELF\x02\x01"):
        return False
    if len(content) < 64:
        return True
    (offset,) = struct.unpack_from("<Q", content, 40)
    size, count = struct.unpack_from("<HH", content, 58)
    return offset + size * count > len(content)


def is_ours(path: Path) -> bool:
    """Whether nobody but this user or root could have written a file, or may write in a folder."""
    facts = os.stat(path) if path.is_dir() else os.lstat(path)
    if not hasattr(os, "geteuid"):
        return True
    kind = stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)
    has_owner = facts.st_uid in (0, os.geteuid())
    return kind and has_owner and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def folders(make: bool = True) -> Iterator[Path]:
    """The folders for compiled files: the cache folder, unless it is missing or somebody else may
    write in it, and then one of this process's own, which is made when it is needed (without
    `make`, only if it is there): a process that is killed leaves it behind.
    """
    if folder := _cache_folder():
        yield folder
    if make or places.private_folder.cache_info().currsize:
        with contextlib.suppress(OSError):
            yield Path(places.private_folder().name)


def _cache_folder() -> Path | None:
    try:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(root) / "rnnkit"
        folder.mkdir(parents=True, exist_ok=True)
        if not is_ours(folder):
            os.chmod(folder, 0o700)  # a umask of 002 makes it too open; refused if it is another's
        return folder if is_ours(folder) else None
    except (OSError, RuntimeError, ValueError):  # no home, or none that can be written
        return None
