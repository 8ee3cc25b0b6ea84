"""What a task must say of itself: the protocols that training, the compiled steps and studies rely
on.

A new task is a frozen dataclass whose fields are what its data follow from (they stand in a study's
key), with the attributes below, and a line in TASKS. Everything else, such as a figure or an
example in words, may come later. Dimension letters: K batches, B samples of a batch, T time steps,
I inputs, O outputs, S scored steps, J streams, H heads.
"""

from typing import ClassVar, Protocol, runtime_checkable

import torch


@runtime_checkable
class Task(Protocol):
    """The shapes of a task, its loss, and when its answers are due.

    name    the authors' name, by which studies ask for the task
    forms   its named sizes: name -> fields; empty where it has none. `form` is the task's own
    input   "bits": samples of a data set, packed, one vector for all steps; "static": one vector of
            numbers for all steps; "index": `streams` ones among n_in, anew at each step
    every   whether a vector is shown at every step, where no hyper-parameter says so
    loss    "binary": the cross-entropy of one output, in nats; "squared": the mean of squares over
            outputs; "softmax": the cross-entropy of `heads` groups of classes, their sum, and the
            mean over the `scored` steps
    per_nat what a loss is multiplied by before it is stored, as 1 / ln 2 for bits
    steps   T, all time steps; n_in and n_out are I and O; batch is B, a multiple of 16
    """

    name: ClassVar[str]
    forms: ClassVar[dict[str, dict]]
    input: ClassVar[str]
    every: ClassVar[bool]
    loss: ClassVar[str]
    per_nat: ClassVar[float]
    form: str
    n_in: int
    n_out: int
    steps: int
    batch: int
    streams: int
    heads: int
    scored: int

    def first_scored(self, hparams: dict) -> int:
        """The step, from 0, at which the first answer is due: 0 ... steps - scored."""


@runtime_checkable
class Batched(Task, Protocol):
    """A task whose training data never end, or are drawn from: input "static" or "index"."""

    def batches(self, seed: int, step_K: torch.Tensor, device="cpu"):
        """Inputs and targets of the training batches number step_K, a function of the arguments
        alone: inputs_KxIxB float32 or inputs_KxTxJxB int32; targets_KxOxB float32 ("squared") or
        targets_KxSxHxB int32 ("softmax").
        """

    def held_out(self, seed: int, part: str, device="cpu"):
        """Inputs and targets of the part "train", "valid" or "eval", as `batches` shapes them, and
        weights_KxB, float64, that add to 1; zero where the last batch is padded.
        """

    def source(self, seed: int, part: str | None = None) -> dict | None:
        """What native/batches.cpp draws the same batches from: its fields by name. None where it
        does not draw them.
        """

    def chance(self) -> float:
        """The loss of the best answer that ignores the input, as it is stored."""


@runtime_checkable
class Stored(Task, Protocol):
    """A task of one data set that is to be memorised, input "bits": training, validation and
    evaluation set are one. A batch is the next B samples in a circle.
    """

    def samples(self, hparams: dict, num_params: int) -> int:
        """The size of a trial's data set, at least 1."""

    def data(self, seed: int, count: int, device="cpu"):
        """words_WxC int32, inputs packed 32 to a word, and labels_C in {0, 1}, float32: the first
        `count` samples of the seed.
        """

    def unpack(self, words_WxC, index, dtype=torch.float32) -> torch.Tensor:
        """Inputs of the samples `index` (any shape): that shape with I more."""

    def losses(self, cross_entropy: float, correct: int, samples: int) -> dict:
        """train_loss, valid_loss, eval_loss and accuracy of a trial, of the mean cross-entropy in
        nats and the right answers of its `samples`.
        """
