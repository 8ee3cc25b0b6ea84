"""Batches made in C++ (batches.cpp), one at a time as the compiled step asks for them. They equal
those of the tasks in Python bit for bit.

One library serves all tasks. `library` raises Unavailable where no compiler is found, and training
then takes the batches of the tasks in Python.
"""

import ctypes
from functools import cache
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from ..tasks import Batched, Task
from . import build
from .codes import GUIDE, KINDS, NUMBERS, TENSORS, Source, print_codes

SOURCE, HEADER, VECTORS = (
    Path(__file__).with_name(name) for name in ("batches.cpp", "philox.h", "products.h")
)

_P = ctypes.c_void_p
_LONG = ctypes.c_int64
FUNCTIONS = {  # of batches.cpp
    "make_batch": [_P, _LONG, _P, _P],
    "make_batches": [_P, _LONG, _P, _P, _LONG, _P, _LONG],
}


@cache
def library(real: str = "float") -> ctypes.CDLL:
    """The library that makes batches, with numbers in `float` or `double`."""
    return build("batches", real, [SOURCE, HEADER, VECTORS], print_codes(), FUNCTIONS)


def source_of(task: Task, source: dict, device: str = "cpu") -> tuple[Source, dict[str, Tensor]]:
    """The Source that has what `source` names, and the tensors on the device whose addresses it
    holds; the tensors must live as long as that.
    """
    if "sums" in source:
        source = source | {
            "guide": torch.searchsorted(
                source["sums"], torch.arange(GUIDE + 1, dtype=torch.float64) / GUIDE
            )
        }
    tensors = {name: source[name].contiguous().to(device) for name in TENSORS if name in source}
    numbers = {
        "kind": KINDS.index(task.name),
        "batch": task.batch,
        "n_in": task.n_in,
        "steps": task.steps,
        "scored": task.scored,
    }
    return (
        Source(
            **{name: (numbers | source).get(name, 0) for name in NUMBERS},
            **{name: tensor.data_ptr() for name, tensor in tensors.items()},
        ),
        tensors,
    )


class Batches:
    """The batches of training, or of one split, on this processor. The compiled step makes the
    `call`, a function and its first argument; Python calls `make`.
    """

    def __init__(self, task: Task, source: dict, real: str = "float") -> None:
        self.library = library(real)
        self.source, self.tensors = source_of(task, source)
        function = ctypes.cast(self.library.make_batch, ctypes.c_void_p)
        self.call = function, ctypes.byref(self.source)
        dtype = {"float": torch.float32, "double": torch.float64}[real]
        input_shape = (task.n_in,) if task.input == "static" else (task.steps, task.streams)
        target_shape = (task.n_out,) if task.loss == "squared" else (task.scored, task.heads)
        self.shapes = [
            ((*input_shape, task.batch), dtype if len(input_shape) == 1 else torch.int32),
            ((*target_shape, task.batch), dtype if len(target_shape) == 1 else torch.int32),
        ]

    def empty(self, count: int) -> tuple[Tensor, Tensor]:
        """Buffers for the inputs and the targets of so many batches."""
        inputs, targets = (torch.empty(count, *shape, dtype=dtype) for shape, dtype in self.shapes)
        return inputs, targets

    def make(self, number_K: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets of the batches `number_K`, shaped as by `task.batches`."""
        batches = self.empty(len(number_K))
        number_K = number_K.contiguous()
        addresses = [
            (tensor.data_ptr(), tensor.stride(0) * tensor.element_size()) for tensor in batches
        ]
        self.library.make_batches(
            ctypes.byref(self.source), len(number_K), number_K.data_ptr(), *chain(*addresses)
        )
        return batches


def batches_of(
    task: Batched, seed: int, split: str | None = None, real: str = "float"
) -> Batches | None:
    """The compiled batches of training, or of a split. None if they are not drawn, or if C++ does
    not know the task.
    """
    source = task.source(seed, split) if task.name in KINDS else None
    return Batches(task, source, real) if source else None
