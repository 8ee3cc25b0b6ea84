"""The weights of each study's best trial: one safetensors file per study, in a folder beside the
store. Nothing is ever unpickled.

A file holds the blocks of `rnnkit.networks.blocks` as float32 arrays, and an account of them as JSON
text: study, hyper_iter, valid_loss, architecture, n_layers, n_units, n_in, n_out. A file that is
read is checked as if a stranger had written it.
"""

import hashlib
import json
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
import safetensors
import safetensors.numpy

from rnnkit.trials.paths import write_atomically
from rnnkit.trials.trial import StoreError, Trial, plain

SIZES = ("n_layers", "n_units", "n_in", "n_out")
MAX_BYTES = 1 << 30  # of a file
MAX_HEADER = 1 << 20  # bytes of a file's header
MAX_SIZE = 10_000_000  # of any number in an account


class Weights(NamedTuple):
    """The account of a network, its blocks by name, and the bytes of the file that holds both."""

    account: dict
    blocks: dict[str, np.ndarray]
    data: bytes

    @property
    def rank(self) -> tuple[float, int]:
        """Orders networks, the best first; of equal ones first the one with more measurements."""
        return self.account["valid_loss"], -len(self.account)


def weights_folder(store: str | os.PathLike) -> Path:
    """trials.sqlite -> trials.weights"""
    return Path(store).with_suffix(".weights")


def file_name(study: str) -> str:
    """A readable name of a file that no two studies share."""
    readable = re.sub(r"[^A-Za-z0-9.+=]+", "-", study)[:80].strip("-.")
    return f"{readable}-{hashlib.sha256(study.encode()).hexdigest()[:12]}.safetensors"


class Shelf:
    """Weights by study. They are saved in `folder`, or stay in memory if that is None.

    Weights in the folder `fallback`, which is only read, count as well; of two networks of a study,
    the better one does.
    """

    def __init__(self, folder: Path | None, fallback: Path | None = None):
        self.folder = folder
        self.fallback = fallback
        self.memory: dict[str, bytes] = {}
        self._has_warned = False

    def save(self, account: dict, blocks: Mapping[str, np.ndarray], replace: bool = False) -> bool:
        """Saves the weights if they are the best of their study so far or, with `replace`, in any
        case. Returns whether it did.

        A file is replaced whole or not at all. Weights of a diverged trial are never saved. If the
        disk is full or may not be written, there is one warning and the weights alone are lost:
        retraining the trial gives them again. ValueError for blocks that are not those of a network.
        """
        finite = math.isfinite(account["valid_loss"])
        if not finite or not all(np.isfinite(block).all() for block in blocks.values()):
            return False
        if fault := _fault(account, blocks):
            raise ValueError(
                f"Weights must be the blocks of one network, got some where {fault}. Take them from"
                " networks.split."
            )
        study = account["study"]
        stored = None if replace else self._readable(study)
        if stored and account["valid_loss"] >= stored.account["valid_loss"]:
            return False
        data = safetensors.numpy.save(
            {name: np.ascontiguousarray(block) for name, block in blocks.items()},
            {"about": json.dumps(account, sort_keys=True)},
        )
        if self.folder is None:
            self.memory[study] = data
            return True
        try:
            _write(self.folder / file_name(study), data)
        except OSError as error:
            self._warn_once(error)
            return False
        return True

    def _warn_once(self, error: OSError) -> None:
        if not self._has_warned:
            warnings.warn(
                f"The weights of the best trials cannot be kept in {self.folder}"
                f" ({error.strerror or error}); the trials themselves are. Make room or change the"
                " folder's permissions; weights that are missing are trained again when they are"
                " needed.",
                stacklevel=4,
            )
            self._has_warned = True

    def load(self, study: str) -> tuple[dict, dict[str, np.ndarray]]:
        """The account of a study's weights, and the weights by block. StoreError if there are none,
        or if their file holds something else.
        """
        return self._load(study)[:2]

    def _load(self, study: str) -> Weights:
        """The best weights of a study. StoreError as in `load`."""
        if study in self.memory:
            return _decode(self.memory[study], study, "The store in memory")
        paths = [folder / file_name(study) for folder in (self.folder, self.fallback) if folder]
        if not paths:
            raise StoreError(
                f"The store in memory has no weights of {study}. Retrain its best trial to have"
                " them."
            )
        readable = []
        error = None
        for path in [path for path in paths if path.exists()] or paths[-1:]:
            try:
                readable.append(_decode(_read_file(path, study), study, path))
            except StoreError as unreadable:
                error = unreadable
        if error and not readable:
            raise error
        return min(readable, key=lambda weights: weights.account["valid_loss"])

    def _readable(self, study: str) -> Weights | None:
        """The best weights of a study; None if there are none that can be read."""
        with suppress(StoreError):
            return self._load(study)
        return None

    def note(self, study: str, hyper_iter: int, **measurements: object) -> None:
        """Adds measurements (anything that JSON can hold) to the account of a study's weights, if
        they are those of trial `hyper_iter`.
        """
        weights = self._readable(study)
        if weights and weights.account["hyper_iter"] == hyper_iter:
            self.save(weights.account | measurements, weights.blocks, replace=True)

    def copy_to(self, folder: Path, studies: Iterable[str]) -> None:
        """Copies the files of the studies that have weights, unless the folder has better ones.
        StoreError if the folder cannot be written.
        """
        target = Shelf(folder)
        for study in studies:
            ours = self._readable(study)
            theirs = target._readable(study)
            if not ours or (theirs and (theirs.data == ours.data or theirs.rank < ours.rank)):
                continue
            try:
                _write(folder / file_name(study), ours.data)
            except OSError as error:
                raise StoreError(
                    f"Weights cannot be written to {folder} ({error.strerror or error}). Give"
                    " another path."
                ) from error

    def add_from(self, folder: Path, trials_of: Mapping[str, Callable[[], list[Trial]]]) -> None:
        """Adds the weights that another folder has, where they are better. `trials_of` gives the
        studies, and a function that returns the trials of each.

        A file that does not hold weights is skipped with a warning. Weights that are of none of
        these trials are skipped, too: nobody would use them, and with a loss that no trial has they
        would keep those of the best trial out.
        """
        source = Shelf(folder)
        for study, trials in trials_of.items():
            if (folder / file_name(study)).exists():
                try:
                    account, blocks = source.load(study)
                except StoreError as error:
                    warnings.warn(str(error), stacklevel=3)
                    continue
                if any(_belong(account, trial) for trial in trials()):
                    self.save(account, blocks)


def _belong(account: Mapping, trial: Trial) -> bool:
    """Whether weights with that account are those of a trial. Where the trial was trained again to
    have them, its loss is `trial_loss`, and the new one must be close to it.
    """
    loss = account.get("trial_loss", account["valid_loss"])
    is_near = math.isclose(account["valid_loss"], loss, rel_tol=0.5, abs_tol=0.5)
    names = ("hyper_iter", "architecture", "n_layers", "n_units")
    is_same = all(account[name] == getattr(trial, name) for name in names)
    return is_same and is_near and loss == trial.valid_loss


def _decode(data: bytes, study: str, path: object) -> Weights:
    """The content of a file of weights. StoreError if it is something else."""

    def refuse(fault: str) -> NoReturn:
        raise StoreError(
            f"{path} does not hold the weights of {study}: {fault}. Delete it; they can be had"
            " again by retraining."
        )

    try:
        blocks = safetensors.numpy.load(data)
        # eight bytes give the length of the header, which is JSON
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        account = json.loads(header["__metadata__"]["about"])
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        refuse(f"it is no safetensors file of this kit ({type(error).__name__})")
    if fault := _fault(account, blocks):
        refuse(fault)
    if account["study"] != study:
        refuse("it names another study")
    return Weights(account, blocks, data)


def _read_file(path: Path, study: str) -> bytes:
    if not path.is_file():
        raise StoreError(f"{path} has no weights of {study}. Retrain its best trial to have them.")
    try:
        with open(path, "rb") as file:
            is_too_large = os.fstat(file.fileno()).st_size > MAX_BYTES
            data = file.read(8)  # the length of the header; of a huge one nothing else is read
            if not is_too_large and int.from_bytes(data, "little") <= MAX_HEADER:
                data += file.read(MAX_BYTES)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read ({error.strerror or error}). Change its permissions, or"
            " delete it."
        ) from error
    if is_too_large:
        raise StoreError(
            f"{path} is too large for weights: at most {MAX_BYTES:,} bytes are read. Delete it."
        )
    return data


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, data)


def _fault(account: object, blocks: Mapping[str, np.ndarray]) -> str:
    """What is wrong with some weights, in a few words; empty if nothing is."""
    if not isinstance(account, dict):
        return "there is no account of what they are"
    for name in ("study", "architecture"):
        if not isinstance(account.get(name), str):
            return f"{name} is not a text"
    for name in ("hyper_iter", *SIZES):
        value = account.get(name)
        if type(value) is not int or not 0 <= value <= MAX_SIZE:
            return f"{name} is not a whole number of 0 or more"
    for name in ("valid_loss", *account.keys() & {"trial_loss"}):
        loss = account.get(name)
        if not isinstance(loss, (int, float)) or isinstance(loss, bool) or not _is_finite(loss):
            return f"{name} is not a number"
    shapes = _shapes(blocks, *(account[name] for name in SIZES))
    if set(blocks) != set(shapes):
        return f"the blocks are {plain(', '.join(sorted(blocks)))[:200] or 'none'}"
    for name, shape in shapes.items():
        block = np.asarray(blocks[name])
        if block.dtype != np.float32 or block.shape != shape:
            return (
                f"{name} is {block.dtype} of shape {block.shape}, and float32 of shape {shape}"
                " is due"
            )
        if not np.isfinite(block).all():
            return f"{name} is not finite"
    return ""


def _is_finite(number: float) -> bool:
    """Whether a number, which may be a whole one of any size, is one that float holds."""
    return -sys.float_info.max <= number <= sys.float_info.max


def _shapes(
    blocks: Mapping[str, np.ndarray], n_layers: int, n_units: int, n_in: int, n_out: int
) -> dict[str, tuple]:
    """The shapes of a network's blocks, as networks.blocks gives them. The numbers of maps and
    states of its cell are read off the first layer.
    """

    def length(name: str) -> int:
        shape = np.shape(blocks.get(name, ()))
        return shape[0] if shape else 0

    N = n_units
    project = "W_in" in blocks
    maps = length("b0") // max(N, 1)
    recurrent_maps = length("Wh0") // max(N, 1)
    states = length("h0")
    shapes: dict[str, tuple] = {"W_in": (N, n_in), "b_in": (N,)} if project else {}
    for layer in range(min(n_layers, len(blocks))):
        shapes[f"Wx{layer}"] = (maps * N, N if layer or project else n_in)
        shapes[f"b{layer}"] = (maps * N,)
        shapes[f"h{layer}"] = (states, N)
        if "Wh0" in blocks:
            shapes[f"Wh{layer}"] = (min(recurrent_maps, maps) * N, N)
    return shapes | {"W_out": (n_out, N if n_layers else n_in), "b_out": (n_out,)}
