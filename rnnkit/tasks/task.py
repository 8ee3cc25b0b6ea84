"""What a task must define: the protocols that training, the compiled steps and studies rely on.

A new task is a frozen dataclass whose fields determine its data (they are part of a study's key),
with the attributes below, and its class is named in TASKS. Everything else, such as a figure, may
come later. Dimension letters: K batches, B samples per batch, T time steps, I inputs,
O outputs, S scored steps, J streams, H heads.
"""

from typing import ClassVar, Protocol, runtime_checkable

import torch

from ..ranges import Range


@runtime_checkable
class Task(Protocol):
    """The shapes of a task, its loss, and when its answers are due.

    name    the authors' name, by which studies ask for the task
    forms   its named sizes, name -> fields; empty if it has none. `form` is the task's own size
    input   "bits": packed samples of a data set, one vector for all steps; "static": one vector of
            numbers for all steps; "index": `streams` ones among n_in inputs, new at each step
    every   whether a vector is shown at every step, if no hyper-parameter says so
    loss    "binary": the cross-entropy of one output, in nats; "squared": the mean square over
            outputs; "softmax": the cross-entropy summed over `heads` groups of classes and averaged
            over the `scored` steps, in nats
    per_nat what a loss is multiplied by before it is stored, such as 1 / ln 2 for bits
    ranges  the hyper-parameters that the task adds to the space of a study
    steps   T, the number of time steps; n_in and n_out are I and O; batch is B, a multiple of 16
    """

    name: ClassVar[str]
    forms: ClassVar[dict[str, dict]]
    input: ClassVar[str]
    every: ClassVar[bool]
    loss: ClassVar[str]
    per_nat: ClassVar[float]
    ranges: ClassVar[tuple[Range, ...]]
    form: str
    n_in: int
    n_out: int
    steps: int
    batch: int
    streams: int
    heads: int
    scored: int

    def first_scored(self, hparams: dict) -> int:
        """The step at which the first answer is due, counted from 0: 0 ... steps - scored."""

    def example(self, seed: int) -> dict:
        """The first training sample in plain numbers and text, and a curve that explains the loss
        of chance.

        input     numbers_IxT, or one line of text per stream
        target    numbers_O, or a line of text
        first     the step at which the first answer is due, counted from 0; left out where it is
                  steps - scored
        chance    the least loss of an answer that ignores the input, in `unit`
        perfect   the least loss of all, in `unit`; NaN where it is unknown, left out where it is 0
        curve     x, y, their labels, a title and a sentence
        """


@runtime_checkable
class Batched(Task, Protocol):
    """A task with input "static" or "index", whose training data never end or are drawn from a
    table.
    """

    def batches(
        self, seed: int, step_K: torch.Tensor, device: str = "cpu"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of the training batches number `step_K`, a function of the arguments
        alone: inputs_KxIxB float32 or inputs_KxTxJxB int32; targets_KxOxB float32 ("squared") or
        targets_KxSxHxB int32 ("softmax").
        """

    def held_out(
        self, seed: int, split: str, device: str = "cpu"
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Inputs and targets of the split "train", "valid" or "eval", shaped as by `batches`, and
        weights_KxB, float64, which sum to 1 and are zero where the last batch is padded.
        """

    def source(self, seed: int, split: str | None = None) -> dict | None:
        """The fields by name from which native/batches.cpp draws the same batches, of training or
        of a split; None if it does not draw them.
        """

    def chance(self) -> float:
        """The loss of the best answer that ignores the input, in the units that are stored."""


@runtime_checkable
class Stored(Task, Protocol):
    """A task with input "bits": one data set that is to be memorised, which serves as training,
    validation and evaluation set. A batch is the next B samples, cyclically.
    """

    def samples(self, hparams: dict, num_params: int) -> int:
        """The size of a trial's data set, at least 1."""

    def data(self, seed: int, count: int, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
        """The first `count` samples of the seed: inputs packed 32 per word, int32 W x C, and
        labels_C in {0, 1}, float32.
        """

    def unpack(
        self, packed_WxC: torch.Tensor, index: torch.Tensor, dtype: torch.dtype = torch.float32
    ) -> torch.Tensor:
        """Inputs of the samples `index`, a tensor of any shape: that shape and a last axis of I."""

    def losses(self, cross_entropy: float, correct: int, samples: int) -> dict:
        """train_loss, valid_loss, eval_loss and accuracy of a trial, from the mean cross-entropy in
        nats and the number of right answers among its `samples`.
        """
