"""The origin of a trial: the version, commit and source files of the kit, the version of torch, and
the device. Each trial records them.
"""

import hashlib
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import torch

import rnnkit


def provenance(device: str) -> dict[str, Any]:
    """The columns of a trial that say what trained it: version of rnnkit, commit ("" if unknown),
    digest of the source, version of torch, device.
    """
    current_commit = commit()
    has_changed = is_edited()
    dirty = bool(current_commit) and has_changed and "-" not in current_commit
    return {
        "version": rnnkit.__version__,
        "commit": current_commit + ("-dirty" if dirty else ""),
        "source": SOURCE_DIGEST + ("-edited" if has_changed else ""),
        "torch": str(torch.__version__),
        "device": device_name(device),
    }


@cache
def device_name(device: str) -> str:
    """A device as torch calls it; a GPU with the name of the card: cuda (NVIDIA H200)."""
    if not device.startswith("cuda"):
        return device
    return f"{device} ({torch.cuda.get_device_name(device)})"


PACKAGE = Path(__file__).resolve().parents[1]
SUFFIXES = (".py", ".cpp", ".h", ".cu")  # of the files that determine what the kit does


def source_files() -> list[Path]:
    """The kit's own source files, in order."""
    return sorted(path for path in PACKAGE.rglob("*") if path.suffix in SUFFIXES)


def digest_of_source() -> str:
    """Twelve hexadecimal digits of the source files; the way in which lines end does not matter."""
    sha = hashlib.sha256()
    for path in source_files():
        text = path.read_bytes().replace(b"\r\n", b"\n")
        sha.update(f"{path.relative_to(PACKAGE).as_posix()} {len(text)}\n".encode() + text)
    return sha.hexdigest()[:12]


def _file_times() -> list[tuple]:
    """Path, time of modification (ns) and size (bytes) of each source file."""
    files = [(path, path.stat()) for path in source_files()]
    return [(path, status.st_mtime_ns, status.st_size) for path, status in files]


# of the files that this process has imported, more or less
SOURCE_DIGEST = digest_of_source()
FILE_TIMES = _file_times()


def is_edited() -> bool:
    """Whether the source files have changed since this process imported them."""
    global FILE_TIMES
    try:
        times = _file_times()
        if times == FILE_TIMES:
            return False
        if digest_of_source() != SOURCE_DIGEST:
            return True
    except OSError:  # for example while the kit is being installed again
        return True
    FILE_TIMES = times
    return False


@cache
def commit() -> str:
    """The commit of the source checkout that this package runs from, with -dirty if its code differs
    from the commit; "" without a checkout.
    """
    if not (PACKAGE.parent / ".git").exists():  # installed, perhaps in another repository
        return ""
    head = _git("rev-parse", "--short=12", "HEAD")
    if head is None:
        return ""
    changes = _git("status", "--porcelain", "--untracked-files=all", "--", str(PACKAGE))
    return head + ("-dirty" if changes or changes is None else "")


def _git(*arguments: str) -> str | None:
    """The output of git in the kit's own checkout, whatever repository the environment names; None
    if git fails.
    """
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    try:
        return subprocess.run(
            ["git", "-C", str(PACKAGE), *arguments],
            capture_output=True,
            check=True,
            text=True,
            timeout=10,
            stdin=subprocess.DEVNULL,
            env=environment,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
