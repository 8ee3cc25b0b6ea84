"""What an engine is (`Engine`), the data that it trains on (`Data`), and what engines share."""

import time
import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from rnnkit import native
from rnnkit.native import Study
from rnnkit.native.batches import batches_of, fields_of
from rnnkit.training.slots import Batch, Slots

Split = tuple[Tensor, Tensor, Any]  # and weights, or None where all are 1

CHUNK_SECONDS = 0.25  # how long a compiled step runs between two checks whether to stop


class Data:
    """A study's data on one device.

    Most tasks make them batch by batch. A task whose input is "bits" has one set of packed samples,
    which all trials share: `inputs` (int32, W x C) and `labels` (C), of C samples.
    """

    def __init__(
        self,
        study: Study,
        hparams: Sequence[dict],
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
    ) -> None:
        self.task = study.task
        self.seed = study.seed
        self.dtype = dtype
        self.device = device
        self.is_stored = self.task.input == "bits"
        if self.is_stored:
            count = max(self.task.samples(point, study.num_params) for point in hparams)
            inputs, labels = self.task.data(study.seed, count)
            self.inputs = inputs.to(device)
            self.labels = labels.to(device, dtype)
        self._splits: dict[str, Split] = {}

    def _cast(self, numbers: Tensor) -> Tensor:
        return numbers.to(self.dtype) if numbers.is_floating_point() else numbers

    @cached_property
    def source(self) -> Tensor:
        """The fields from which a GPU draws the training batches (native/batches.py), as bytes on
        the device.
        """
        # the fields hold addresses of these tensors
        fields, self._source_tensors = fields_of(
            self.task, self.task.source(self.seed), self.device
        )
        return torch.frombuffer(bytearray(fields), dtype=torch.uint8).to(self.device)

    def batches(self, step_K: Tensor) -> Batch:
        """Inputs and targets of the training batches number `step_K`, shaped as in tasks/task.py."""
        inputs, targets = self.task.batches(self.seed, step_K, self.device)
        return self._cast(inputs), self._cast(targets)

    def split(self, name: str) -> Split:
        """Inputs, targets and weights of a split.

        Splits that are the same data, as those of a table that is to be memorised, are the same
        object.
        """
        if self.is_stored:
            return self.inputs, self.labels, None
        if name not in self._splits:
            inputs, targets, weights = self._compiled_split(name) or self.task.held_out(
                self.seed, name, self.device
            )
            address = inputs.data_ptr()
            twins = (s for s in self._splits.values() if s[0].data_ptr() == address)
            new = self._cast(inputs), self._cast(targets), weights
            self._splits[name] = next(twins, new)
        return self._splits[name]

    def _compiled_split(self, name: str) -> Split | None:
        """The same as `task.held_out`, made in C++; None where C++ cannot make it."""
        try:
            batches = batches_of(self.task, self.seed, name) if self.device == "cpu" else None
        except native.Unavailable:
            return None
        if batches is None:
            return None
        weights = self.task.even_weights(self.device)
        inputs, targets = batches.make(torch.arange(len(weights)))
        return inputs, targets, weights


class Engine(Protocol):
    """Takes the training steps of one study's trials. A new engine is named in `ENGINES` of
    engines.py.

    Whatever the engine, a trial's numbers depend on the study's seed, the trial's own number and
    its hyper-parameters alone, up to rounding. They never depend on its slot, on the other trials,
    or on how its steps are divided into calls.

    data            the study's data, on the engine's device
    device, dtype   of the slots' tensors
    slots           how many models train at once by default
    in_step         whether every slot takes each step, so that a slot whose trial is over idles
    """

    data: Data
    device: str
    dtype: torch.dtype
    slots: int
    in_step: bool

    def train(self, s: Slots, chunk: int | None = None) -> None:
        """Takes up to `chunk` steps, or as many as take a moment, of every slot that is not dead
        and has not reached its `train_steps`. Changes theta, m, v, step and dead as
        training.rule.update says.

        A slot whose gradient is not finite is marked dead, and that step does not count.
        """

    def evaluate(self, s: Slots, indices: list[int], split: str) -> tuple[Tensor, Tensor]:
        """For each of the slots `indices`, on a split of the data ("all" where the task has one
        data set): the weighted sum of losses, in nats or squared error, and the weighted sum of
        samples whose answers are all right. Both are float64 on the processor.

        An output of exactly 0 is on neither side of a binary label, and where classes tie, none of
        them wins.
        """


class Paced:
    """What the compiled engines share: without a `chunk`, they take steps for about CHUNK_SECONDS."""

    in_step = False
    seconds_per_step: float | None = None  # of all slots at once

    def take(self, s: Slots, steps: int) -> None:
        """Takes up to so many steps of every slot, and waits for their end."""
        raise NotImplementedError

    def train(self, s: Slots, chunk: int | None = None) -> None:
        """Takes up to `chunk` steps of every slot; by default about CHUNK_SECONDS of them."""
        fitting = 8  # while the speed is not known
        if self.seconds_per_step:
            fitting = max(8, int(CHUNK_SECONDS / self.seconds_per_step))
        before = s.step.clone()
        start = time.perf_counter()
        self.take(s, chunk or fitting)
        steps = int((s.step - before).max())
        if steps and not chunk:
            self.seconds_per_step = (time.perf_counter() - start) / steps


_past_warnings: set[str] = set()


def warn_once(sentence: str, reason: object = None) -> None:
    """Warns, once per process and sentence, or per reason if there is one."""
    key = str(reason or sentence)
    if key not in _past_warnings:
        _past_warnings.add(key)
        warnings.warn(sentence, stacklevel=5)
