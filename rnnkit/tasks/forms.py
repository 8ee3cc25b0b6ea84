"""What the tasks that come in named sizes share: their forms, and their held-out parts."""

from typing import Any

import torch

from .. import draws
from ..checks import whole_number
from ..names import nearest

LEFT_OUT: Any = None  # a field's default: `fill` puts the form's value in its place
# part -> what its random numbers are drawn for
STREAMS = {"train": draws.DATA, "valid": draws.VALID, "eval": draws.EVAL}


def fill(task):
    """Gives every field that was left out its value in the form `task.form`. ValueError for a form
    or a number that cannot be.
    """
    if task.form not in task.forms:
        raise ValueError(
            f"form must be one of {', '.join(task.forms)} for {task.name}, got {task.form!r}."
            f" {nearest(task.form, task.forms) or 'Check the spelling.'}"
        )
    for field, default in task.forms[task.form].items():
        if getattr(task, field) is None:
            object.__setattr__(task, field, default)
        if isinstance(default, int):
            whole_number(field, getattr(task, field), 1)
    if task.batch % 16:
        raise ValueError(f"batch must be a multiple of 16, got {task.batch}. Round it up.")


def checked(part: str) -> str:
    """The name of a held-out part. ValueError, with those there are, for another."""
    if part not in STREAMS:
        raise ValueError(
            f"part must be one of {', '.join(STREAMS)}, got {part!r}. Check the spelling."
        )
    return part


def in_batches(count: int, batch: int) -> int:
    """How many batches hold `count` samples; the last may be part empty."""
    return -(-count // batch)


def drawn_part(task, seed: int, part: str, device):
    """Inputs, targets and weights_KxB of a part of data that never end: its own stream, "train"
    being the first that training sees.
    """
    count = in_batches(task.held, task.batch)
    inputs, targets = task.drawn(
        seed, STREAMS[checked(part)], torch.arange(count, device=device), device
    )
    return inputs, targets, even_weights(count, task.batch, device)


def drawn_source(seed: int, part: str | None) -> dict:
    """What native/batches.cpp must know to draw a part of data that never end, beside the task's
    own fields; None: the training batches.
    """
    return {"seed": seed, "stream": STREAMS[checked(part or "train")]}


def even_weights(count: int, batch: int, device) -> torch.Tensor:
    """weights_KxB, float64, all alike and adding to 1."""
    return torch.full((count, batch), 1 / (count * batch), dtype=torch.float64, device=device)
