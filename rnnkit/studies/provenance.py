"""What trained a trial: the version and commit of the kit, the version of torch, the device. Each
trial notes them.
"""

import re
import subprocess
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import rnnkit


def provenance(device: str) -> dict:
    """The columns of a trial that say what trained it: version of rnnkit, commit ("" where
    unknown), version of torch, device.
    """
    return {
        "version": rnnkit.__version__,
        "commit": commit(),
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


@cache
def commit() -> str:
    """The commit of the source checkout that this package runs from, with -dirty where its code was
    changed since; "" without one.
    """
    package = Path(__file__).resolve().parents[1]
    if not (package.parent / ".git").exists():  # installed, perhaps in somebody else's repository
        return ""
    done = _git(package, "rev-parse", "--short=12", "HEAD")
    if done is None or done.returncode:
        return ""
    changed = _git(package, "diff", "--quiet", "HEAD", "--", str(package))
    return done.stdout.strip() + ("-dirty" if changed is None or changed.returncode else "")


def _git(folder, *words):
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=10,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
