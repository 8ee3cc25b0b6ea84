"""What trained a trial: the version, commit and source files of the kit, the version of torch, the
device. Each trial notes them.
"""

import hashlib
import os
import re
import subprocess
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import rnnkit


def provenance(device: str) -> dict:
    """The columns of a trial that say what trained it: version of rnnkit, commit ("" where
    unknown), source, version of torch, device.
    """
    noted, edited = commit(), is_edited()
    return {
        "version": rnnkit.__version__,
        "commit": noted + ("-dirty" if noted and edited and "-" not in noted else ""),
        "source": LOADED + ("-edited" if edited else ""),
        "torch": torch_version(),
        "device": named(device),
    }


@cache
def named(device: str) -> str:
    """A device as torch calls it, a GPU with the name of the card: cuda (NVIDIA H200)."""
    if not device.startswith("cuda"):
        return device
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})"


@cache
def torch_version() -> str:
    """The version of torch that is installed, with the tag of its build (2.13.0+cu130), as torch
    itself says it. PyPI's metadata lack the tag, so torch's own version.py is read, once and without
    loading torch.
    """
    found = find_spec("torch")
    try:
        text = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
        return re.search(r"""^__version__(?:: *\w+)? *= *["']([^"']+)""", text, re.MULTILINE)[1]
    except (AttributeError, TypeError, OSError, ValueError):  # packed otherwise than today
        return version("torch")


PACKAGE = Path(__file__).resolve().parents[1]
SOURCES = (".py", ".cpp", ".h", ".cu")  # endings of the files that say what the kit does


def source_files() -> list[Path]:
    """The kit's own source files, in order."""
    return sorted(path for path in PACKAGE.rglob("*") if path.suffix in SOURCES)


def digest_of_source() -> str:
    """Twelve hexadecimal digits that tell these source files from any others; how their lines end
    is beside the point.
    """
    sha = hashlib.sha256()
    for path in source_files():
        text = path.read_bytes().replace(b"\r\n", b"\n")
        sha.update(f"{path.relative_to(PACKAGE).as_posix()} {len(text)}\n".encode() + text)
    return sha.hexdigest()[:12]


def _times() -> list[tuple]:
    return [(path, (about := path.stat()).st_mtime_ns, about.st_size) for path in source_files()]


LOADED, TIMES = digest_of_source(), _times()  # of this process: as it read them, about


def is_edited() -> bool:
    """Whether the source files are other ones by now than when this process loaded them."""
    global TIMES
    try:
        if (now := _times()) == TIMES:
            return False
        if digest_of_source() != LOADED:
            return True
    except OSError:  # as where the kit is being installed anew
        return True
    TIMES = now
    return False


@cache
def commit() -> str:
    """The commit of the source checkout that this package runs from, with -dirty where its code is
    not that of the commit; "" without one.
    """
    if not (PACKAGE.parent / ".git").exists():  # installed, perhaps in somebody else's repository
        return ""
    done = _git("rev-parse", "--short=12", "HEAD")
    if done is None or done.returncode:
        return ""
    changed = _git("status", "--porcelain", "--untracked-files=all", "--", str(PACKAGE))
    clean = changed is not None and not changed.returncode and not changed.stdout.strip()
    return done.stdout.strip() + ("" if clean else "-dirty")


def _git(*words):
    """What git says of the kit's own checkout, whatever repository the environment names."""
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    try:
        return subprocess.run(
            ["git", "-C", str(PACKAGE), *words],
            capture_output=True,
            text=True,
            timeout=10,
            stdin=subprocess.DEVNULL,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
