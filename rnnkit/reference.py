"""The authors' own trials, for those who have downloaded them: github.com/jazcollins/cap-n-train-hps,
CC-BY-4.0, 630,880 trials.

The archive holds one pickled numpy array per figure, written by Python 2. A pickle can run any
program, so none is unpickled in the usual way: this reader knows numbers, texts, lists and dicts,
builds the arrays itself from the arguments that numpy would have received, and refuses everything
else. No part of the archive is written to disk.
"""

import collections
import gzip
import hashlib
import io
import math
import os
import pickle
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
import pandas as pd

from rnnkit import paper
from rnnkit.trials import COLUMNS, LOSSES
from rnnkit.trials.frames import with_types

# of rnn_hp_dataset.tar.gz, 176,806,737 bytes
SHA256 = "f2e86251474cb10b03e7461e65bc514f8c1f8257a56bbbff02656f2027b534b8"
# their columns
COUNTS = ("n_layers", "hyper_iter", "max_params", "num_params")
THEIRS = ("architecture", "task_type", "hparams", *COUNTS, *LOSSES)
MAX_FILES = 200
MAX_BYTES = 8 << 30
MAX_PIECE = 1 << 30
MAX_ROWS = 2_000_000
# the paper's n_in (0: not given) and time steps, Appendix B
SHAPE = {
    "per_cap": (0, 5),
    "mem_thru": (64, 12),
    "rcf": (50, 50),
    "text8": (27, 50),
    "parens_counting": (300, 175),
    "arithmetic": (14, 36),
}
Say = Callable[[str], object]  # is told of the progress
SOURCE = "Download rnn_hp_dataset.tar.gz from github.com/jazcollins/cap-n-train-hps."


class ArchiveError(ValueError):
    """Says in one sentence what is wrong with a file that should hold the authors' trials, and what
    to do.
    """


def load(
    path: str | os.PathLike, figure: str = "", verify: bool = True, say: Say | None = None
) -> pd.DataFrame:
    """The authors' trials as a frame with the store's columns, after `experiment` (the pickle's
    name: "fig3_txt8rcf").

    `path` is the whole archive (.tar.gz) or one figure's pickle extracted from it (.p). With
    `figure` ("fig3") only that figure is read. An archive whose checksum is not the published one
    is refused, unless `verify` is False. `say` is called with lines on the progress, as `print`
    would be. Losses of diverged trials are NaN, as in the store. ArchiveError.

    A check from the authors' README: the best LSTM on text8 has eval_loss 1.549270 (bits per
    character) and 1,268,217 parameters.
    """
    path = Path(path).expanduser()
    say = say or (lambda text: None)
    if not path.is_file():
        raise ArchiveError(f"There is no file {path}. {SOURCE}")
    try:
        if path.name.endswith((".tar.gz", ".tgz")):
            if verify:
                _check_sum(path, say)
            tables = [_table(name, data, say) for name, data in _pickles(path, figure)]
        else:
            with open(path, "rb") as file:
                tables = [_table(path.stem, file, say)]
    except ArchiveError:
        raise
    except Exception as error:  # a broken archive or pickle may fail in any way
        raise ArchiveError(f"{path} cannot be read ({_first_line(error)}). {SOURCE}") from error
    if not tables:
        raise ArchiveError(f"{path} holds no pickle{f' of {figure}' if figure else ''}. {SOURCE}")
    frame = pd.concat(tables, ignore_index=True)
    say(f"{len(frame):,} trials of {frame.experiment.nunique()} files")
    return frame


def _is_of(name: str, figure: str) -> bool:
    return bool(re.match(rf"{re.escape(figure)}(?![0-9])", name))


def _check_sum(path: Path, say: Say) -> None:
    """Raises ArchiveError unless the archive is the published one."""
    size = path.stat().st_size
    say(f"checking {size / 1e6:,.0f} MB")
    with open(path, "rb") as file:
        sha = hashlib.file_digest(file, "sha256").hexdigest()
    if sha != SHA256:
        raise ArchiveError(
            f"{path} must be the published archive (sha256 {SHA256[:12]}...), got one of {size:,}"
            f" bytes with sha256 {sha[:12]}... {SOURCE} If you trust this one, give verify=False."
        )


class _Bounded(io.RawIOBase):
    """The decompressed bytes of an archive, or of one file in it, up to a limit at once and a limit
    in all.
    """

    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        self.file = file

    def read(self, size: int = -1) -> bytes:
        if size > MAX_PIECE:
            raise tarfile.ReadError(f"a piece of {size:,} bytes")
        data = self.file.read(MAX_PIECE if size < 0 else size)
        if self.file.tell() > MAX_BYTES:
            raise tarfile.ReadError(f"more than {MAX_BYTES:,} bytes")
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if offset > MAX_BYTES:
            raise tarfile.ReadError(f"more than {MAX_BYTES:,} bytes")
        return self.file.seek(offset, whence)


def _pickles(path: Path, figure: str) -> Iterator[tuple[str, IO[bytes]]]:
    """(name, open file) of each pickle in an archive, or of one figure's. Refuses links, devices,
    paths that lead out of the archive, and too many or too large files.
    """

    def refuse(member: tarfile.TarInfo, reason: str) -> NoReturn:
        raise ArchiveError(
            f"{path} is not the authors' archive: {ascii(member.name)[:100]} {reason}. {SOURCE}"
        )

    with (
        gzip.open(path, "rb") as plain,
        tarfile.open(fileobj=_Bounded(plain), mode="r:") as archive,
    ):
        for count, member in enumerate(archive):
            folders = member.name.replace("\\", "/").split("/")
            if count >= MAX_FILES:
                refuse(member, f"is one file more than {MAX_FILES}")
            if member.name.startswith(("/", "\\")) or ".." in folders or ":" in folders[0]:
                refuse(member, "leads out of the archive")
            if not (member.isfile() or member.isdir()):
                refuse(member, "is neither a file nor a folder")
            if member.issparse() or member.size > MAX_BYTES:
                refuse(member, f"claims to have {member.size:,} bytes")
            name, _, kind = folders[-1].rpartition(".")
            is_pickle = name and name[0] != "." and kind in ("p", "pkl", "pickle")
            file = archive.extractfile(member) if is_pickle and _is_of(name, figure) else None
            if file is not None:  # None for a folder
                yield name, file


# --- reading a pickle without running it ----------------------------------------------------------


class _Dtype:
    """Stands in for a numpy dtype: keeps the arguments that numpy would receive."""

    def __init__(self, kind: Any, align: Any = False, copy: Any = False) -> None:
        self.kind = kind
        self.state: Any = (3, "=", None, None, None, None)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def numpy(self) -> np.dtype:
        """The dtype itself, made and checked by numpy's public constructor."""
        _, order, _, names, fields, size, *_ = self.state
        if names:
            columns = [fields[name] for name in names]
            return np.dtype(
                {
                    "names": list(names),
                    "formats": [column[0].numpy() for column in columns],
                    "offsets": [column[1] for column in columns],
                    "itemsize": size,
                }
            )
        if not re.fullmatch(r"[biufSUO?]\d{0,6}", self.kind) or order not in ("<", ">", "=", "|"):
            raise pickle.UnpicklingError(f"an array of {ascii(self.kind)[:20]}")
        if self.kind[0] in "SU" and size and 0 < size < 1_000_000:
            return np.dtype(f"{order}{self.kind[0]}{size // (4 if self.kind[0] == 'U' else 1)}")
        return np.dtype(object if self.kind[0] == "O" else order.replace("|", "") + self.kind)


def _raw(data: Any) -> bytes:
    """The bytes of some numbers; Python 2 pickled them as text."""
    return data.encode("latin1") if isinstance(data, str) else data


class _Array:
    """Stands in for a numpy array: the list of its items, once its state is set."""

    items: list | None = None
    names: tuple[str, ...] = ()

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, _, data = state
        if len(shape) != 1 or not 0 <= shape[0] <= MAX_ROWS:
            raise pickle.UnpicklingError(f"an array of shape {ascii(shape)[:40]}")
        kind = dtype.numpy()
        self.items = data if isinstance(data, list) else np.frombuffer(_raw(data), kind).tolist()
        self.names = kind.names or ()
        if len(self.items) != shape[0] or not all(
            type(item) is tuple and len(item) == len(self.names) for item in self.items
        ):
            raise pickle.UnpicklingError(
                f"an array of {len(self.items)} items that should be {shape[0]} rows of named"
                " columns"
            )


def _scalar(dtype: _Dtype, data: Any = b"") -> Any:
    """A numpy number, as one of Python's."""
    kind = dtype.numpy()
    raw = _raw(data)
    if kind.hasobject or kind.names or len(raw) != kind.itemsize:
        raise pickle.UnpicklingError("a number of the wrong size")
    return np.frombuffer(raw, kind)[0].item()


def _encode(text: str, encoding: str) -> bytes:
    """Bytes, as Python 3 writes them in the old protocols."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in {ascii(encoding)[:20]}")
    return text.encode("latin1")


class _Call:
    """A function that a pickle may call but cannot alter."""

    __slots__ = ("function",)

    def __init__(self, function: Callable) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def __setstate__(self, state: Any) -> NoReturn:
        raise pickle.UnpicklingError("it would alter what reads it")


SUBSTITUTES: dict[tuple[str, str], Any] = {  # what a pickle may ask for -> what it gets
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _Call(_encode),
    ("collections", "OrderedDict"): collections.OrderedDict,
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    SUBSTITUTES |= {
        (_module, "_reconstruct"): _Call(lambda kind, shape, dtype: _Array()),
        (_module, "scalar"): _Call(_scalar),
    }


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in SUBSTITUTES:
            raise pickle.UnpicklingError(
                f"it asks for {ascii(module)[1:-1][:40]}.{ascii(name)[1:-1][:40]}, which numbers do"
                " not need"
            )
        return SUBSTITUTES[module, name]


def _table(name: str, file: IO[bytes], say: Say) -> pd.DataFrame:
    """The trials of one pickle; every value is checked."""
    array = _Unpickler(io.BufferedReader(_Bounded(file), 1 << 20), encoding="latin1").load()
    if not isinstance(array, _Array) or array.items is None:
        raise ArchiveError(
            f"{name} must hold an array of trials, got {type(array).__name__}. {SOURCE}"
        )
    missing = [column for column in THEIRS if column not in array.names]
    if missing:
        raise ArchiveError(f"{name} does not hold trials: it lacks {', '.join(missing)}. {SOURCE}")
    positions = [array.names.index(column) for column in THEIRS]
    trials = [
        _trial(name, {column: item[i] for column, i in zip(THEIRS, positions)})
        for item in array.items
    ]
    say(f"{name}: {len(trials):,} trials")
    frame = with_types(pd.DataFrame(trials, columns=list(COLUMNS)))
    frame.insert(0, "experiment", name)
    return frame


def _trial(name: str, row: dict[str, Any]) -> tuple:
    """One row of the store's columns. ArchiveError for a value that no trial could have."""
    row = {
        column: value.decode("latin1") if isinstance(value, bytes) else value
        for column, value in row.items()
    }

    def need(column: str, possible: bool) -> None:
        if not possible:
            raise ArchiveError(
                f"{name} does not hold trials: {column} is {ascii(row[column])[:60]} in a row."
                f" {SOURCE}"
            )

    need("architecture", row["architecture"] in paper.ARCHITECTURES)
    need("task_type", row["task_type"] in list(paper.TASKS))
    for column in COUNTS:
        need(column, type(row[column]) in (int, float) and 0 <= row[column] < 2**53)
        row[column] = int(row[column])
    for column in LOSSES:
        need(column, isinstance(row[column], (int, float)))
    hparams = row["hparams"]
    need("hparams", isinstance(hparams, dict))
    for key, value in hparams.items():
        need("hparams", isinstance(key, str) and isinstance(value, (int, float, str)))
    infeasible = not all(math.isfinite(row[column]) for column in LOSSES)
    n_in, unroll = SHAPE[row["task_type"]]
    ours = {
        "study": (
            f"authors/{name}/{row['task_type']}/{row['architecture']}/layers={row['n_layers']}"
            f"/params={row['max_params']}"
        ),
        "infeasible": infeasible,
        "steps": _steps_in(hparams),
        "seconds": 0.0,
        "seed": 0,
        "scale": "authors",
        "n_in": n_in,
        "unroll": unroll,
        "tuner": "random" if _is_of(name, "fig5") else "gp",
        "n_units": 0,
        "form": "" if row["task_type"] == "per_cap" else "paper",
        "accuracy": math.nan,
        **dict.fromkeys(("device", "version", "created", "commit", "torch", "source"), ""),
        **{column: math.nan if infeasible else float(row[column]) for column in LOSSES},
    }
    return tuple((row | ours)[column] for column in COLUMNS)


def _steps_in(hparams: dict[str, Any]) -> int:
    """The training steps of a trial; 0 if its hyper-parameters do not say."""
    steps = hparams.get("train_steps")
    return int(steps) if isinstance(steps, (int, float)) and 0 <= steps < 2**53 else 0


def _first_line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200].rstrip(".")
