"""What the tasks that come in named sizes share: their forms, and their splits."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import torch

from .. import draws
from ..checks import whole_number
from ..names import nearest, resolve_name
from ..ranges import Range

LEFT_OUT: Any = None  # the default of a field, which `fill` replaces by the form's value
# split -> the stream of its random numbers
STREAMS = {"train": draws.DATA, "valid": draws.VALID, "eval": draws.EVAL}


def fill(task: Any) -> None:
    """Sets every field that was left out to its value in the form `task.form`. Raises ValueError
    for an unknown form and for a field that is not a whole number of at least 1.
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


class Sized:
    """What all of these tasks share: the fields of a form, and when answers are due."""

    steps: Any
    scored: Any
    held: int  # samples per split
    batch: int
    batches: Callable
    ranges: ClassVar[tuple[Range, ...]] = ()

    def __post_init__(self) -> None:
        fill(self)

    def first_scored(self, hparams: dict) -> int:
        """The step of the first answer, counted from 0; the last answer is due at the last step."""
        return self.steps - self.scored

    def even_weights(self, device: str = "cpu") -> torch.Tensor:
        """weights_KxB of a split in which all samples weigh the same, float64, which sum to 1."""
        count = in_batches(self.held, self.batch)
        weight = 1 / (count * self.batch)
        return torch.full((count, self.batch), weight, dtype=torch.float64, device=device)

    def first_sample(self, seed: int) -> Iterator[np.ndarray]:
        """Input and target of the first sample of the first training batch, without the axis of
        samples: numbers_I or symbols_TxJ, and numbers_O or classes_SxH.
        """
        return (tensor[0, ..., 0].numpy() for tensor in self.batches(seed, torch.tensor([0])))


class Endless(Sized):
    """What tasks with endless data share. A subclass has a method `draw(seed, stream, number_K,
    device)`, which returns the inputs and targets of the batches `number_K` of a stream of random
    numbers; training and every split have a stream of their own.
    """

    draw: Callable

    def batches(
        self, seed: int, step_K: torch.Tensor, device: str = "cpu"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of the training batches number `step_K`, as `draw` has them."""
        return self.draw(seed, draws.DATA, step_K, device)

    def held_out(
        self, seed: int, split: str, device: str = "cpu"
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Inputs, targets and weights_KxB of a split; "train" has the first batches that training
        sees.
        """
        weights = self.even_weights(device)
        number_K = torch.arange(len(weights), device=device)
        return *self.draw(seed, STREAMS[split_of(split)], number_K, device), weights

    def source(self, seed: int, split: str | None = None) -> dict:
        """What the compiled batches of a split, or of training, are drawn from."""
        return {"seed": seed, "stream": STREAMS[split_of(split or "train")]}


def split_of(name: str) -> str:
    """The split of that name. Raises ValueError if there is none."""
    return resolve_name("split", name, STREAMS)


def in_batches(count: int, batch: int) -> int:
    """How many batches hold `count` samples; the last of them may be padded."""
    return -(-count // batch)
