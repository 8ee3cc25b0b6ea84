"""The texts of the text8 task: text8 itself, found or fetched, and a sample of Shakespeare that the
kit ships (README.md beside this).

No file is trusted: text8 is known by its size and checksum, whoever gives it. A text is held once a
process, as it is on the disk.
"""

import hashlib
import lzma
import os
import shutil
import sys
import tempfile
import urllib.request
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

ALPHABET = " abcdefghijklmnopqrstuvwxyz"
URL = (  # Mahoney 2011; its home page has no https of its own, hence the checksums
    "http://mattmahoney.net/dc/text8.zip"
)
SIZE = 100_000_000
# Both checksums stand alike in a good many published programs; the kit's own makers had no network
# to fetch the file.
SHA256 = "6e890197040d37d85beb962ae1f041ff1d9a9ca8d20c7d99c85027eebf51dca7"  # of text8
ZIP_SHA256 = "a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232"  # of text8.zip
VARIABLE = "RNNKIT_TEXT8"  # the environment variable that names a text8 file
SAMPLE = Path(__file__).with_name("shakespeare.txt.xz")
ELSE = (
    f'set {VARIABLE} to a text8 file, or use corpus="sample", which is Shakespeare and ships with'
    " the kit"
)


def cached() -> Path:
    """Where a fetched text8 is kept: in XDG_CACHE_HOME or ~/.cache, in the folder rnnkit."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rnnkit" / "text8"


def find() -> Path | None:
    """The text8 file of this machine, by the environment variable RNNKIT_TEXT8 or in the cache;
    None if there is none. Reads nothing.
    """
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    return cached() if cached().is_file() else None


@lru_cache(maxsize=2)
def load(corpus: str) -> np.ndarray:
    """The characters of "text8", "sample" or a text8 file as ASCII codes, uint8. text8 is fetched
    if this machine has none.

    ValueError for a file that is not what it should be, OSError where there is none and none can be
    fetched.
    """
    if corpus == "sample":
        text = np.frombuffer(lzma.decompress(SAMPLE.read_bytes()), np.uint8)
    elif corpus == "text8":
        text = _checked(find() or fetch())
    else:
        text = _checked(Path(corpus))
    if not np.isin(
        np.flatnonzero(np.bincount(text, minlength=256)), np.frombuffer(ALPHABET.encode(), np.uint8)
    ).all():
        raise ValueError(
            f"A text must be made of a to z and blanks alone, and {corpus} is not. Fetch it anew."
        )
    return text


@lru_cache(maxsize=2)
def on(corpus: str, device: str) -> torch.Tensor:
    """The same as a tensor of a device."""
    text = load(corpus)
    return torch.from_numpy(text if text.flags.writeable else text.copy()).to(device)


def _checked(path: Path) -> np.ndarray:
    """text8, mapped from the disk, so that all processes share it."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no text8 at {path}. Check the path, or {ELSE}.")
    size = path.stat().st_size
    if size != SIZE:
        raise ValueError(
            f"text8 must have {SIZE:,} bytes, {path} has {size:,}. Remove it and fetch it anew, or"
            f" {ELSE}."
        )
    text = np.memmap(path, np.uint8, mode="c")
    if hashlib.sha256(text.data).hexdigest() != SHA256:
        raise ValueError(
            f"text8 must have the checksum {SHA256[:12]}..., {path} has another. Remove it and"
            f" fetch it anew, or {ELSE}."
        )
    return text


def fetch() -> Path:
    """Fetches text8 from its home page (31 MB) into the cache, and returns its path. OSError
    offline, ValueError for wrong bytes.
    """
    target = cached()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=target.parent
    ) as folder:  # another process may be at the same
        packed, plain = Path(folder, "text8.zip"), Path(folder, "text8")
        try:
            _download(packed)
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise OSError(
                f"text8 could not be fetched from {URL} ({reason}): try again online, {ELSE}."
            ) from error
        if hashlib.sha256(packed.read_bytes()).hexdigest() != ZIP_SHA256:
            raise ValueError(
                f"{URL} must have the checksum {ZIP_SHA256[:12]}..., what came has another. Try"
                f" again, or {ELSE}."
            )
        with (
            zipfile.ZipFile(packed) as archive,
            archive.open("text8") as source,
            plain.open("wb") as out,
        ):
            shutil.copyfileobj(source, out)
        _checked(plain)
        os.replace(plain, target)
    return target


def _download(path: Path):
    """URL into a file, with a bar on the terminal."""
    with urllib.request.urlopen(URL, timeout=30) as answer, path.open("wb") as out:
        total, done = int(answer.headers.get("Content-Length") or 0), 0
        while piece := answer.read(1 << 18):
            out.write(piece)
            done += len(piece)
            filled = 30 * done // total if total else 0
            print(
                f"\rtext8 [{'=' * filled:30}] {done / 1e6:.1f} of {total / 1e6:.1f} MB",
                end="",
                file=sys.stderr,
                flush=True,
            )
    print(file=sys.stderr)
