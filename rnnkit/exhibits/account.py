"""drawn.json: what the kit has written into a folder, of which trials, by which code.

Thanks to this account, the kit overwrites only files that it wrote itself, and draws nothing twice: a
figure whose trials, code and files are as the account says is left alone.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from rnnkit.trials.paths import folder_lock, write_atomically
from rnnkit.trials.trial import StoreError

ACCOUNT = "drawn.json"
PATIENCE = 6.0  # seconds that another run may take from writing a file to its entry
# what decides how trials are drawn and judged
CODE = ("exhibits", "theory.py", "wording.py", "paper.py", "reference.py")
LIBRARIES = ("matplotlib", "seaborn", "numpy", "pandas", "scipy", "scikit-learn")


def account_in(folder: str | Path) -> dict:
    """Name of what was drawn -> its entry: the digests `trials` and `code`, the `files` (name ->
    digest), and the `text` and `claims` of a figure.

    Empty for a folder without an account. StoreError if the file of that name is something else.
    """
    path = Path(folder) / ACCOUNT
    try:
        account = json.loads(path.read_text(encoding="utf-8"))
        good = all(isinstance(entry["files"], dict) for entry in account.values())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        good = False
    if not good:
        raise StoreError(
            f"{path} is no account of what rnnkit has drawn. Nothing is overwritten: move it away,"
            " or name another folder."
        )
    return account


def check_free(folder: str | Path, names: Iterable[str]) -> None:
    """StoreError if the folder has a file of one of these names that the kit did not write.

    Another run may have written the file just now, and its entry may follow, so wait a little for it.
    """
    folder = Path(folder)
    names = list(names)
    end = time.monotonic() + PATIENCE
    while (foreign := _unknown(folder, names)) and time.monotonic() < end:
        time.sleep(0.2)
    if foreign:
        raise StoreError(
            f"{folder / foreign[0]} is there already, and {ACCOUNT} does not say that rnnkit wrote it."
            " Nothing is overwritten: move it away, or name another folder."
        )


def _unknown(folder: Path, names: list[str]) -> list[str]:
    """Those of the names that are in the folder and not in its account."""
    own = {file for entry in account_in(folder).values() for file in entry["files"]}
    return [name for name in names if name not in own and os.path.lexists(folder / name)]


def note(folder: str | Path, name: str, files: Iterable[str | Path], **entry: Any) -> None:
    """Writes down that the kit has written the `files` of `name` (paths in the folder), and removes
    those that it wrote before and no longer writes.
    """
    folder = Path(folder)
    digests = {Path(file).relative_to(folder).as_posix(): digest_of_file(file) for file in files}
    with folder_lock(folder):
        account = account_in(folder)
        for file, digest in account.get(name, {"files": {}})["files"].items():
            is_ours = (folder / file).is_file() and digest_of_file(folder / file) == digest
            if file not in digests and is_ours:
                (folder / file).unlink()
        account[name] = {"files": digests, **entry}
        text = json.dumps(account, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        write_atomically(folder / ACCOUNT, text.encode())


def current_entry(folder: str | Path, name: str, trials: str) -> dict | None:
    """The entry of `name`, if it was drawn by this code from these trials and all of its files are
    still as they were written; otherwise None.
    """
    entry = account_in(folder).get(name)
    if entry is None or entry.get("trials") != trials or entry.get("code") != digest_of_code():
        return None
    try:
        intact = all(
            digest_of_file(Path(folder) / file) == digest for file, digest in entry["files"].items()
        )
    except OSError:
        return None
    return entry if intact else None


def digest_of_trials(frame: pd.DataFrame) -> str:
    """A digest that differs between any two frames of trials. All columns count except the experiment
    that asked for the trials.
    """
    sha = hashlib.sha256()
    for name in sorted(set(frame.columns) - {"experiment"}):
        column = frame[name]
        if any(isinstance(value, dict) for value in column.head(1)) or name in ("hparams", "kept"):
            column = column.map(lambda value: json.dumps(value, sort_keys=True, default=str))
        sha.update(name.encode())
        sha.update(pd.util.hash_pandas_object(column, index=False).to_numpy().tobytes())
    return sha.hexdigest()[:16]


@cache
def digest_of_code() -> str:
    """A digest of the code that draws and judges, of the versions of the libraries, and of the place
    of the authors' trials if these are drawn beneath ours.
    """
    package = Path(__file__).resolve().parents[1]
    sha = hashlib.sha256()
    for name_in_package in CODE:
        path = package / name_in_package
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            sha.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    for name in LIBRARIES:
        try:
            sha.update(f"{name} {version(name)}".encode())
        except PackageNotFoundError:
            continue
    sha.update(os.environ.get("RNNKIT_REFERENCE", "").encode())
    return sha.hexdigest()[:16]


def digest_of_file(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
