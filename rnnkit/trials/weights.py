"""The weights of each study's best trial: one safetensors file a study, in a folder beside the
store. Nothing is ever unpickled.

A file holds the blocks of `rnnkit.networks.blocks` as float32 arrays, and, as JSON text, what they
are: study, hyper_iter, valid_loss, architecture, n_layers, n_units, n_in, n_out. A file that comes
in is checked as if a stranger had written it.
"""

import hashlib
import json
import math
import re
import warnings
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from rnnkit.trials.files import write_whole
from rnnkit.trials.trial import StoreError

SIZES = ("n_layers", "n_units", "n_in", "n_out")
MAX_BYTES, MAX_SIZE = 1 << 30, 10_000_000  # of a file, and of any number in `about`


def folder_beside(store) -> Path:
    """trials.sqlite -> trials.weights"""
    return Path(store).with_suffix(".weights")


def file_name(study: str) -> str:
    """A name that can be read and that no two studies share."""
    readable = re.sub(r"[^A-Za-z0-9.+=]+", "-", study)[:80].strip("-.")
    return f"{readable}-{hashlib.sha256(study.encode()).hexdigest()[:12]}.safetensors"


class Shelf:
    """Weights by study. What is saved goes into `folder` if it is `kept`, and else stays in memory.

    What the folder `under` has, which is only read, is there too; of two networks of a study the
    better one counts.
    """

    def __init__(self, folder: Path | None, kept: bool, under: Path | None = None):
        self.folder, self.kept, self.under, self.memory, self.warned = (
            folder,
            kept,
            under,
            {},
            False,
        )

    def save(self, about: dict, blocks: dict, replace=False) -> bool:
        """Keeps the weights if they are the best of their study so far (or, with `replace`,
        anyhow); says whether it did.

        A file is replaced whole or not at all. Weights of a diverged trial are not kept. ValueError
        for blocks that are no network's. A disk that is full or may not be written is told in one
        warning and costs the weights alone: they can be had again by retraining the trial.
        """
        if not math.isfinite(about["valid_loss"]) or not all(
            np.isfinite(block).all() for block in blocks.values()
        ):
            return False
        if wrong := _wrong(about, blocks):
            raise ValueError(
                f"Weights must be the blocks of one network, got some where {wrong}. Take them from"
                " networks.split."
            )
        try:
            if not replace and about["valid_loss"] >= self.load(about["study"])[0]["valid_loss"]:
                return False
        except StoreError:
            pass  # none yet, or none that can be read
        data = safetensors.numpy.save(
            {name: np.ascontiguousarray(block) for name, block in blocks.items()},
            {"about": json.dumps(about, sort_keys=True)},
        )
        if not self.kept:
            self.memory[about["study"]] = data
            return True
        try:
            _write(self.folder / file_name(about["study"]), data)
        except OSError as error:
            if not self.warned:
                why = error.strerror or error
                warnings.warn(
                    f"The weights of the best trials cannot be kept in {self.folder} ({why}); the"
                    " trials themselves are. Make room or change the folder's permissions; what is"
                    " lacking is retrained when asked for.",
                    stacklevel=3,
                )
                self.warned = True
            return False
        return True

    def load(self, study: str) -> tuple[dict, dict[str, np.ndarray]]:
        """What the weights of a study are, and the weights, by block. StoreError if there are none,
        or a file holds something else.
        """
        return self._load(study)[:2]

    def _load(self, study: str) -> tuple[dict, dict[str, np.ndarray], bytes]:
        """As `load`, and the bytes of the file; of several the best."""
        if study in self.memory:
            return _opened(self.memory[study], study, "The store in memory")
        paths = [folder / file_name(study) for folder in (self.folder, self.under) if folder]
        there = [path for path in paths if path.exists()] or paths[-1:]
        if not there:
            raise StoreError(
                f"The store in memory has no weights of {study}. Retrain its best trial to have"
                " them."
            )
        found, failed = [], None
        for path in there:
            try:
                found.append(_opened(_bytes_of(path, study), study, path))
            except StoreError as error:
                failed = error
        if not found:
            raise failed
        return min(found, key=lambda one: one[0]["valid_loss"])

    def note(self, study: str, hyper_iter: int, **more):
        """Adds to the account of a study's weights, if they are those of trial `hyper_iter`: what
        was measured of them, as JSON can hold it.
        """
        try:
            about, blocks = self.load(study)
        except StoreError:
            return
        if about["hyper_iter"] == hyper_iter:
            self.save({**about, **more}, blocks, replace=True)

    def copy_to(self, folder: Path, studies):
        """Copies the weights of the studies that have some, whole files, unless the folder's are
        better. StoreError if it cannot be written.
        """
        other = Shelf(folder, kept=True)
        for study in studies:
            try:
                about, _, data = self._load(study)
            except StoreError:
                continue  # none, or none that is worth copying
            try:
                there, _, old = other._load(study)
            except StoreError:
                there, old = None, b""
            if old == data or (there and _rank(there) < _rank(about)):
                continue
            try:
                _write(folder / file_name(study), data)
            except OSError as error:
                raise StoreError(
                    f"Weights cannot be written to {folder} ({error.strerror or error}). Give"
                    " another path."
                ) from error

    def add_from(self, folder: Path, studies):
        """Takes over the weights of the studies that another folder has, where they are better; a
        file that is no such is told and left.
        """
        other = Shelf(folder, kept=False)
        for study in studies:
            if (folder / file_name(study)).exists():
                try:
                    self.save(*other.load(study))
                except StoreError as error:
                    warnings.warn(str(error), stacklevel=3)


def _rank(about: dict) -> tuple:
    """The better of two networks first; of equal ones the one of which more was measured."""
    return about["valid_loss"], -len(about)


def _opened(data: bytes, study: str, path) -> tuple[dict, dict[str, np.ndarray], bytes]:
    """What a file of weights holds, and its bytes. StoreError if that is something else."""

    def refuse(what):
        raise StoreError(
            f"{path} does not hold the weights of {study}: {what}. Delete it; they can be had again"
            " by retraining."
        )

    try:
        blocks = safetensors.numpy.load(data)
        about = json.loads(
            json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["about"]
        )
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        refuse(f"it is no safetensors file of this kit ({type(error).__name__})")
    if wrong := _wrong(about, blocks):
        refuse(wrong)
    if about["study"] != study:
        refuse("it names another study")
    return about, blocks, data


def _bytes_of(path: Path, study: str) -> bytes:
    if not path.is_file():
        raise StoreError(f"{path} has no weights of {study}. Retrain its best trial to have them.")
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read ({error.strerror or error}). Change its permissions, or"
            " delete it."
        ) from error
    if len(data) > MAX_BYTES:
        raise StoreError(
            f"{path} is too large for weights: at most {MAX_BYTES:,} bytes are read. Delete it."
        )
    return data


def _write(path: Path, data: bytes):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)


def _wrong(about, blocks) -> str:
    """What is wrong with some weights, in a few words; empty if nothing is."""
    if not isinstance(about, dict):
        return "there is no account of what they are"
    for name in ("study", "architecture"):
        if not isinstance(about.get(name), str):
            return f"{name} is not a text"
    for name in ("hyper_iter", *SIZES):
        value = about.get(name)
        if type(value) is not int or not 0 <= value <= MAX_SIZE:
            return f"{name} is not a whole number of 0 or more"
    loss = about.get("valid_loss")
    if isinstance(loss, bool) or not isinstance(loss, (int, float)) or not math.isfinite(loss):
        return "valid_loss is not a number"
    expected = _shapes(blocks, *(about[name] for name in SIZES))
    if set(blocks) != set(expected):
        return f"the blocks are {', '.join(sorted(blocks)) or 'none'}"
    for name, shape in expected.items():
        block = np.asarray(blocks[name])
        if block.dtype != np.float32 or block.shape != shape:
            return (
                f"{name} is {block.dtype} of shape {block.shape}, and float32 of shape {shape}"
                " is due"
            )
        if not np.isfinite(block).all():
            return f"{name} is not finite"
    return ""


def _shapes(blocks, n_layers: int, n_units: int, n_in: int, n_out: int) -> dict[str, tuple]:
    """The blocks of a network as networks.blocks has them. How many maps and states its cell has is
    read off its first layer.
    """

    def rows(name):
        shape = np.shape(blocks.get(name, ()))
        return shape[0] if shape else 0

    N, project, shapes = n_units, "W_in" in blocks, {}
    if project:
        shapes |= {"W_in": (N, n_in), "b_in": (N,)}
    for layer in range(min(n_layers, len(blocks))):
        K, R = (
            rows(name) // max(N, 1) for name in ("b0", "Wh0")
        )  # maps, and those of them that have a recurrent matrix
        shapes |= {
            f"Wx{layer}": (K * N, N if layer or project else n_in),
            f"b{layer}": (K * N,),
            f"h{layer}": (rows("h0"), N),
        }
        shapes |= {f"Wh{layer}": (min(R, K) * N, N)} if "Wh0" in blocks else {}
    return shapes | {"W_out": (n_out, N if n_layers else n_in), "b_out": (n_out,)}
