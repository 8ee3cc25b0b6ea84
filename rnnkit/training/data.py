"""The data of a study on one device: the batches of training, and the splits on which trials are
evaluated.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from rnnkit import native
from rnnkit.native import Study
from rnnkit.native.batches import batches_of, source_of
from rnnkit.training.slots import Batch, Slots

Split = tuple[Tensor, Tensor, Any]  # inputs, targets, and weights, or None where all are 1
SPLITS = ("train", "valid", "eval")


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
        self._casts: dict[Tensor, Tensor] = {}

    def _cast(self, numbers: Tensor) -> Tensor:
        return numbers.to(self.dtype) if numbers.is_floating_point() else numbers

    def _cast_once(self, numbers: Tensor) -> Tensor:
        """The cast of a tensor, which is the same one at each call, so that a table which is every
        split stays one table.
        """
        if numbers not in self._casts:  # a tensor equals itself only
            self._casts[numbers] = self._cast(numbers)
        return self._casts[numbers]

    @cached_property
    def source(self) -> Tensor:
        """The Source from which a GPU draws the training batches (native/batches.py), as bytes on
        the device.
        """
        # the source holds addresses of these tensors
        source, self._source_tensors = source_of(
            self.task, self.task.source(self.seed), self.device
        )
        return torch.frombuffer(bytearray(source), dtype=torch.uint8).to(self.device)

    def batches(self, step_K: Tensor) -> Batch:
        """Inputs and targets of the training batches number `step_K`, shaped as in tasks/task.py."""
        inputs, targets = self.task.batches(self.seed, step_K, self.device)
        return self._cast(inputs), self._cast(targets)

    def split(self, name: str) -> Split:
        """Inputs, targets and weights of a split."""
        if self.is_stored:
            return self.inputs, self.labels, None
        if name not in self._splits:
            inputs, targets, weights = self._compiled_split(name) or self.task.held_out(
                self.seed, name, self.device
            )
            self._splits[name] = self._cast_once(inputs), self._cast_once(targets), weights
        return self._splits[name]

    def _compiled_split(self, name: str) -> Split | None:
        """The same as `task.held_out`, made in C++; None where C++ cannot make it."""
        try:
            batches = batches_of(self.task, self.seed, name) if self.device == "cpu" else None
        except native.Unavailable:
            batches = None
        if batches is None:
            return None
        weights = self.task.even_weights(self.device)
        inputs, targets = batches.make(torch.arange(len(weights)))
        return inputs, targets, weights

    @cached_property
    def splits(self) -> dict[str, str]:
        """The splits to evaluate on: each split -> itself, or an earlier split that is the same
        data, as of a table that is to be memorised.
        """
        if self.is_stored:
            return {"all": "all"}
        first: dict[int, str] = {}
        return {name: first.setdefault(self.split(name)[0].data_ptr(), name) for name in SPLITS}

    def next_batches(self, s: Slots) -> Batch:
        """Inputs and targets of the next step of each slot."""
        if not self.is_stored:
            return self.batches(s.step)
        batch = self.task.batch
        index = s.step[:, None] * batch + torch.arange(batch, device=self.device)
        return self._samples(index % s.column("samples").long()[:, None])

    def held_out(self, s: Slots, i: int, split: str) -> Iterator[Split]:
        """Inputs, targets and weights of a split for slot i, a batch at a time."""
        if self.is_stored:
            samples = torch.arange(int(s.column("samples")[i]), device=self.device)
            for index in samples.split(8 * self.task.batch):
                weights = torch.ones(len(index), dtype=torch.float64, device=self.device)
                yield *self._samples(index[None]), weights
        else:
            for inputs, targets, weights in zip(*self.split(split)):
                yield inputs[None], targets[None], weights

    def losses(self, samples: int, sums: Mapping[str, Sequence[float]]) -> dict[str, float]:
        """What the store keeps of a trial that is over: its three losses, and the share of right
        answers on the evaluation data, NaN where answers are not right or wrong.

        `samples` is the size of its stored data set, if it has one; `sums` has, for each distinct
        split, the sums of losses and of right answers.
        """
        if self.is_stored:
            loss, correct = sums["all"]
            return self.task.losses(loss / samples, round(correct), samples)
        values = {
            f"{split}_loss": sums[twin][0] * self.task.per_nat
            for split, twin in self.splits.items()
        }
        correct = sums[self.splits["eval"]][1]
        return values | {"accuracy": correct if self.task.loss == "softmax" else math.nan}

    def _samples(self, index: Tensor) -> Batch:
        """Inputs and labels of the stored samples `index`."""
        inputs = self.task.unpack(self.inputs, index, self.dtype)
        return inputs.transpose(1, 2), self.labels[index]
