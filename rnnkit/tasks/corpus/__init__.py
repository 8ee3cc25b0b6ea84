"""The texts of the text8 task: text8 itself, which is looked up or fetched, and a sample of
Shakespeare that ships with the kit (see README.md in this folder).

No file is trusted: text8 must have the right size and checksum, wherever it comes from. Each text is
in memory once per process, as it is on the disk.
"""

import hashlib
import lzma
import os
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
# Many published programs give these two checksums; the makers of the kit could not fetch the file
# themselves.
SHA256 = "6e890197040d37d85beb962ae1f041ff1d9a9ca8d20c7d99c85027eebf51dca7"  # of text8
ZIP_SHA256 = "a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232"  # of text8.zip
VARIABLE = "RNNKIT_TEXT8"  # the environment variable that names a text8 file
SAMPLE = Path(__file__).with_name("shakespeare.txt.xz")
ALTERNATIVE = (
    f'set {VARIABLE} to a text8 file, or use corpus="sample", which is Shakespeare and ships with'
    " the kit"
)


def cache_path() -> Path:
    """Where a fetched text8 is kept: the folder rnnkit in XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rnnkit" / "text8"


def find() -> Path | None:
    """The text8 file of this machine, named by the environment variable RNNKIT_TEXT8 or in the
    cache; None if there is none. The file is not read.
    """
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    return cache_path() if cache_path().is_file() else None


@lru_cache(maxsize=2)
def load(corpus: str) -> np.ndarray:
    """The characters of "text8", "sample" or a text8 file as ASCII codes, uint8. text8 is fetched
    if this machine does not have it.

    Raises ValueError for a file that is not text8, and OSError where there is none and it cannot be
    fetched.
    """
    if corpus == "sample":
        text = np.frombuffer(bytearray(lzma.decompress(SAMPLE.read_bytes())), np.uint8)
    elif corpus == "text8":
        text = _open_text8(find() or fetch())
    else:
        text = _open_text8(Path(corpus))
    if text.tobytes().translate(None, ALPHABET.encode()):  # what is left without the alphabet
        raise ValueError(
            f"A text must consist of a to z and blanks alone, and {corpus} does not. Fetch it again."
        )
    return text


@lru_cache(maxsize=2)
def as_tensor(corpus: str, device: str) -> torch.Tensor:
    """The characters of `load` as a tensor on a device."""
    return torch.from_numpy(load(corpus)).to(device)


def _open_text8(path: Path) -> np.ndarray:
    """text8 from a file, checked and mapped from the disk, so that all processes share it."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no text8 at {path}. Check the path, or {ALTERNATIVE}.")
    size = path.stat().st_size
    if size != SIZE:
        raise ValueError(
            f"text8 must have {SIZE:,} bytes, {path} has {size:,}. Remove it and fetch it again, or"
            f" {ALTERNATIVE}."
        )
    text = np.memmap(path, np.uint8, mode="c")
    if hashlib.sha256(text.data).hexdigest() != SHA256:
        raise ValueError(
            f"text8 must have the checksum {SHA256[:12]}..., {path} has another. Remove it and"
            f" fetch it again, or {ALTERNATIVE}."
        )
    return text


def fetch() -> Path:
    """Fetches text8 from its home page (31 MB) into the cache, and returns its path. Raises OSError
    offline, and ValueError for wrong content.
    """
    target = cache_path()
    target.parent.mkdir(parents=True, exist_ok=True)
    # a folder of its own, since another process may be doing the same
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        archive_path = Path(folder, "text8.zip")
        try:
            _download(archive_path)
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise OSError(
                f"text8 could not be fetched from {URL} ({reason}): try again online, {ALTERNATIVE}."
            ) from error
        if hashlib.sha256(archive_path.read_bytes()).hexdigest() != ZIP_SHA256:
            raise ValueError(
                f"{URL} must have the checksum {ZIP_SHA256[:12]}..., got a file with another. Try"
                f" again, or {ALTERNATIVE}."
            )
        with zipfile.ZipFile(archive_path) as archive:
            text_path = Path(archive.extract("text8", folder))
        _open_text8(text_path)
        os.replace(text_path, target)
    return target


def _download(path: Path) -> None:
    """Fetches URL into a file, with a progress bar on the terminal."""
    with urllib.request.urlopen(URL, timeout=30) as answer, path.open("wb") as out:
        total = int(answer.headers.get("Content-Length") or 0)
        size = 0
        while piece := answer.read(1 << 18):
            out.write(piece)
            size += len(piece)
            bar = 30 * size // total if total else 0
            print(
                f"\rtext8 [{'=' * bar:30}] {size / 1e6:.1f} of {total / 1e6:.1f} MB",
                end="",
                file=sys.stderr,
                flush=True,
            )
    print(file=sys.stderr)
