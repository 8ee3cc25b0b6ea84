"""The engines, which take the training steps: the compiled step on this processor, the fused step
on a GPU, and the plain torch step on any device.
"""

import ctypes
import math
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from rnnkit import native, networks
from rnnkit.native import Study, cuda
from rnnkit.native.batches import batches_of, fields_of
from rnnkit.tasks import Task
from rnnkit.tasks.forms import even_weights, in_batches
from rnnkit.training.graphs import Graph, NoGraph, capture
from rnnkit.training.rule import update
from rnnkit.training.slots import Batch, Slots, State

Split = tuple[Tensor, Tensor, Any]  # and weights, or None where all are 1

CHUNK_SECONDS = 0.25  # how long a compiled step runs between two checks whether to stop
# Batches made together for one launch on a GPU take at most this; making them takes ten times as
# much.
BATCH_BYTES = 2**25
BLOCK = 64  # training batches that are made together on the processor
EAGER_SLOTS = {"cpu": 32, "cuda": 512}
SPLITS = ("train", "valid", "eval")
NO_LIMIT = 2**31 - 1  # steps per call


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
        count = in_batches(self.task.held, self.task.batch)
        weights = even_weights(count, self.task.batch, self.device)
        inputs, targets = batches.make(torch.arange(count))
        return inputs, targets, weights


class Engine(Protocol):
    """Takes the training steps of one study's trials. A new engine goes into `engine_for`.

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


class Compiled(Paced):
    """The compiled step (native/step.cpp) for one shape of network, on this processor."""

    slots = 1

    def __init__(self, study: Study, data: Data, dtype: torch.dtype = torch.float32) -> None:
        self.data = data
        self.dtype = dtype
        self.device = "cpu"
        real = {torch.float32: "float", torch.float64: "double"}[dtype]
        self.net = native.Network(
            study.architecture, study.n_layers, study.n_units, study.task, real
        )
        self.batches = None if data.is_stored else batches_of(study.task, data.seed, real=real)

    def take(self, s: Slots, steps: int) -> None:
        state = list(s.state.values())
        if self.data.is_stored:
            self.net.train(state, steps, self.data.inputs, self.data.labels)
        elif self.batches:
            self.net.train(state, steps, *self.batches.empty(1), self.batches.call)
        else:
            for i in range(len(s.trials)):
                self._take_in_blocks(s, i, steps)

    def _take_in_blocks(self, s: Slots, i: int, steps: int) -> None:
        """Takes steps of slot i on batches that the task makes in Python, BLOCK at a time."""
        state = [tensor[i : i + 1] for tensor in s.state.values()]
        step = int(s.step[i])
        end = min(step + steps, int(s.column("train_steps")[i]))
        for first in range(step, end, BLOCK):
            if not s.dead[i]:
                numbers = torch.arange(first, min(first + BLOCK, end))
                self.net.train(state, len(numbers), *self.data.batches(numbers))

    def evaluate(self, s: Slots, indices: list[int], split: str) -> Batch:
        """Evaluates some slots; see `Engine.evaluate`."""
        loss, correct = (torch.zeros(len(indices), dtype=torch.float64) for _ in range(2))
        theta = s.theta[indices].contiguous()
        hp = s.hp[indices].contiguous()
        self.net.evaluate(theta, hp, *self.data.split(split), loss, correct)
        return loss, correct


class Fused(Paced):
    """The fused step on a GPU (native/step.cu), one block of threads per model.

    `start_training` and `start_evaluation` return at once; `train` and `evaluate` wait for the end.
    """

    slots = 512

    def __init__(
        self, study: Study, data: Data, device: str, module: cuda.Module | None = None
    ) -> None:
        self.data = data
        self.device = device
        self.dtype = torch.float32
        self.module = module or cuda.module_for(study, str(device))
        self.draws_batches = self.module.kernel.DRAW >= 0
        self.arena = torch.empty(0, device=device)

    def most_steps(self, models: int) -> int:
        """The most steps of so many models for which batches are made in one launch."""
        if self.data.is_stored or self.draws_batches:
            return NO_LIMIT
        task = self.data.task
        shape = (task.steps * task.streams) if task.input == "index" else (task.n_in + task.n_out)
        return max(1, BATCH_BYTES // (4 * task.batch * shape * models))

    def start_training(
        self,
        stream: int,
        s: Slots,
        chunk: int,
        tickets: Tensor | None = None,
        ticket: int = 0,
    ) -> None:
        """Starts up to `chunk` steps of every slot. Each block writes the ticket into `tickets` as
        it ends (see `report` in step.cu).
        """
        samples = 0
        batches: tuple[Tensor, Tensor | None]
        if self.data.is_stored:
            batches = self.data.inputs, self.data.labels
            samples = self.data.inputs.shape[-1]
        elif self.draws_batches:
            batches = self.data.source, None
        else:
            step_K = s.step.to(self.device)[:, None] + torch.arange(chunk, device=self.device)
            batches = self.data.batches(step_K.flatten())
        self.batches = batches  # the device reads them after this returns
        self.module.train(
            len(s.trials),
            stream,
            *s.state.values(),
            ctypes.c_int(chunk),
            *batches,
            ctypes.c_int64(samples),
            self._arena(len(s.trials)),
            tickets,
            ctypes.c_int64(ticket),
        )

    def start_evaluation(
        self,
        stream: int,
        s: Slots,
        which: Tensor,
        split: str,
        loss: Tensor,
        correct: Tensor,
        tickets: Tensor | None = None,
        ticket: int = 0,
    ) -> None:
        """Starts the evaluation, on a split of the data, of the slots where `which` is not 0."""
        inputs, targets, weights = self.data.split(split)
        samples, batches = (inputs.shape[-1], 0) if self.data.is_stored else (0, len(inputs))
        self.module.evaluate(
            len(s.trials),
            stream,
            s.theta,
            s.hp,
            which,
            inputs,
            targets,
            ctypes.c_int64(samples),
            ctypes.c_int64(batches),
            weights,
            loss,
            correct,
            self._arena(len(s.trials)),
            tickets,
            ctypes.c_int64(ticket),
        )

    def _arena(self, models: int) -> Tensor:
        """Global memory for so many models at work."""
        size = max(1, models * self.module.kernel.global_numbers)
        if len(self.arena) < size:
            self.arena = torch.empty(size, dtype=self.dtype, device=self.device)
        return self.arena

    def take(self, s: Slots, steps: int) -> None:
        most = self.most_steps(len(s.trials))
        for first in range(0, steps, most):
            self.start_training(self.module.current(), s, min(most, steps - first))
        self.module.wait()

    def evaluate(self, s: Slots, indices: list[int], split: str) -> Batch:
        """Evaluates some slots; see `Engine.evaluate`."""
        which = torch.zeros(len(s.trials), dtype=torch.int64, device=self.device)
        which[indices] = 1
        loss, correct = torch.zeros(2, len(s.trials), dtype=torch.float64, device=self.device)
        self.start_evaluation(self.module.current(), s, which, split, loss, correct)
        self.module.wait()
        return loss[indices].cpu(), correct[indices].cpu()


class Eager:
    """The plain torch step, on any device, with all slots in each operation. On a GPU its
    operations are launched as one graph (training/graphs.py), if they can be recorded.
    """

    in_step = True

    def __init__(
        self, study: Study, data: Data, dtype: torch.dtype = torch.float32, device: str = "cpu"
    ) -> None:
        self.study = study
        self.task = study.task
        self.data = data
        self.dtype = dtype
        self.device = device
        on_gpu = str(device).startswith("cuda")
        self.slots = EAGER_SLOTS["cuda" if on_gpu else "cpu"]
        self.graph = Graph(self.step_of, partial(capture, device=device)) if on_gpu else None
        self.shapes = networks.blocks(
            study.architecture, study.n_layers, study.n_units, self.task.n_in, self.task.n_out
        )
        self.matrices = sum(math.prod(s) for name, s in self.shapes.items() if name.startswith("W"))

    def _inputs(self, hp: Tensor, inputs: Tensor) -> list[Tensor]:
        """The inputs of all T steps, M x B x I each, out of one batch per model, batch last."""
        if self.task.input == "index":
            M, T, _, B = inputs.shape
            one_hot = torch.zeros(M, T, B, self.task.n_in, dtype=self.dtype, device=self.device)
            one_hot.scatter_(3, inputs.long().transpose(2, 3), 1.0)
            return list(one_hot.unbind(1))
        x = inputs.transpose(1, 2)
        later = x * native.column(hp, "every").to(self.dtype)[:, None, None]
        return [x] + [later] * (self.task.steps - 1)

    def _outputs(
        self,
        theta: Tensor,
        hp: Tensor,
        inputs: Tensor,
        since: int | None = None,
    ) -> Tensor:
        """z_MxSxBxO at each model's scored steps, none of which may come before `since`."""
        first = native.column(hp, "first_scored").long()
        since = int(first.min()) if since is None else since
        z = networks.forward(
            self.study.architecture,
            self.study.n_layers,
            self.shapes,
            theta,
            self._inputs(hp, inputs),
            native.column(hp, "relu") > 0,
            since,
        )
        step_MxS = first[:, None] - since + torch.arange(self.task.scored, device=self.device)
        return z[torch.arange(len(z), device=self.device)[:, None], step_MxS]

    def _losses(self, z: Tensor, targets: Tensor) -> Batch:
        """The loss of each sample, M x B, and whether all its answers are right."""
        if self.task.loss == "binary":
            z = z[:, -1, :, 0]
            losses = binary_cross_entropy_with_logits(z, targets, reduction="none")
            return losses, torch.where(targets > 0.5, z, -z) > 0  # 0 is on neither side
        if self.task.loss == "squared":
            d = z[:, -1] - targets.transpose(1, 2)
            return (d * d).mean(2), torch.zeros(d.shape[:2], dtype=torch.bool, device=self.device)
        M, S, B, _ = z.shape
        z = z.reshape(M, S, B, self.task.heads, -1)
        y = targets.long().transpose(2, 3)
        losses = cross_entropy(z.flatten(0, 3), y.flatten(), reduction="none").reshape(y.shape)
        answer = z.gather(-1, y[..., None])
        wins = (~(z < answer)).sum(-1) == 1  # beats all other classes: a tie is not right
        return losses.sum(3).mean(1), wins.all(3).all(1)

    def _batch(self, s: Slots) -> Batch:
        """Inputs and targets of the next step of each slot."""
        if not self.data.is_stored:
            return self.data.batches(s.step)
        batch = self.task.batch
        index = s.step[:, None] * batch + torch.arange(batch, device=self.device)
        return self._samples(index % s.column("samples").long()[:, None])

    def _samples(self, index: Tensor) -> Batch:
        """Inputs and labels of the stored samples `index`."""
        inputs = self.task.unpack(self.data.inputs, index, self.dtype)
        return inputs.transpose(1, 2), self.data.labels[index]

    def step_of(
        self,
        state: State,
        inputs: Tensor,
        targets: Tensor,
        since: int | None = None,
    ) -> State:
        """The slots' theta, m, v, step and dead after one step; `state` has these and hp."""
        theta = state["theta"]
        hp = state["hp"]
        step = state["step"]
        live = (step < native.column(hp, "train_steps")) & (state["dead"] == 0)
        leaf = theta.detach().requires_grad_()
        loss_MxB, _ = self._losses(self._outputs(leaf, hp, inputs, since), targets)
        (grad,) = torch.autograd.grad(loss_MxB.mean(1).sum(), leaf)
        *new, finite = update(theta, state["m"], state["v"], grad, hp, step, self.matrices)
        after = {
            name: torch.where(live[:, None], value, state[name])
            for name, value in zip(("theta", "m", "v"), new)
        }
        return after | {
            "step": step + (live & finite).long(),
            "dead": state["dead"] | (live & ~finite).long(),
        }

    def train(self, s: Slots, chunk: int | None = None) -> None:
        """Takes up to `chunk` steps of every slot; by default 16."""
        steps = min(chunk or 16, int((s.column("train_steps") - s.step).max()))
        if self.graph:
            try:
                return self.graph.train(s, steps, self._batch)
            except NoGraph as reason:
                self.graph = None
                warn_once(f"{self.study.architecture} trains without a CUDA graph: {reason}.")
        for _ in range(steps):
            s.update(self.step_of(s.state, *self._batch(s)))

    @torch.no_grad()
    def evaluate(self, s: Slots, indices: list[int], split: str) -> Batch:
        """Evaluates some slots; see `Engine.evaluate`."""
        sums = torch.zeros(2, len(indices), dtype=torch.float64, device=self.device)
        for k, i in enumerate(indices):
            for inputs, targets, weights in self._split_batches(s, i, split):
                z = self._outputs(s.theta[i : i + 1], s.hp[i : i + 1], inputs)
                for row, numbers in zip(sums, self._losses(z.double(), targets)):
                    row[k] += (numbers[0] * weights).sum()
        loss, correct = sums.cpu()
        return loss, correct

    def _split_batches(self, s: Slots, i: int, split: str) -> Iterator[Split]:
        """Inputs, targets and weights of a split for slot i, a batch at a time."""
        if self.data.is_stored:
            samples = torch.arange(int(s.column("samples")[i]), device=self.device)
            for index in samples.split(8 * self.task.batch):
                weights = torch.ones(len(index), dtype=torch.float64, device=self.device)
                yield *self._samples(index[None]), weights
        else:
            for inputs, targets, weights in zip(*self.data.split(split)):
                yield inputs[None], targets[None], weights


def check_device(device: str) -> str:
    """`device`, if this machine has it. Raises ValueError for one that is neither cpu nor a CUDA
    device, or that is not here.
    """
    if device != "cpu" and not str(device).startswith("cuda"):
        raise ValueError(f"device must be cpu or cuda, got {device!r}.")
    if str(device).startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(
            f"device {device} needs a GPU that torch can see, and it sees none. Use device cpu."
        )
    return device


_past_warnings: set[str] = set()


def warn_once(sentence: str, reason: object = None) -> None:
    """Warns, once per process and sentence, or per reason if there is one."""
    key = str(reason or sentence)
    if key not in _past_warnings:
        _past_warnings.add(key)
        warnings.warn(sentence, stacklevel=5)


def warn_plain_step(study: Study, reason: object, device: str = "cpu") -> None:
    """Warns, once per process and reason, that a study trains with the plain step."""
    how = " in a CUDA graph" if str(device).startswith("cuda") else ""
    warn_once(
        f"{study.architecture} trains with the plain torch step{how}, several times slower:"
        f" {reason}.",
        reason,
    )


def engine_for(
    study: Study,
    data: Data,
    device: str = "cpu",
    engine: str = "auto",
    dtype: torch.dtype = torch.float32,
) -> Engine:
    """The engine of a study on a device: "compiled", "eager" (the plain step), or "auto", which is
    compiled where possible and plain elsewhere. Raises Unavailable where "compiled" is requested
    but not possible.
    """
    if engine not in ("auto", "compiled", "eager"):
        raise ValueError(f"engine must be auto, compiled or eager, got {engine!r}.")
    if engine != "eager":
        try:
            if device == "cpu":
                return Compiled(study, data, dtype)
            if dtype != torch.float32:
                raise native.Unavailable("the step for a GPU takes 32-bit numbers")
            return Fused(study, data, device)
        except native.Unavailable as reason:
            if engine == "compiled":
                raise
            warn_plain_step(study, reason, device)
    return Eager(study, data, dtype, device)


def splits_of(engine: Engine, task: Task) -> dict[str, str]:
    """The splits to evaluate on: each split -> itself, or an earlier split that is the same data."""
    if task.input == "bits":
        return {"all": "all"}
    first: dict[int, str] = {}
    return {split: first.setdefault(id(engine.data.split(split)), split) for split in SPLITS}


def losses_and_accuracy(
    task: Any, hp_row: Sequence[float], splits: dict[str, str], sums: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    """What the store keeps of a trial that is over: its three losses, and the share of right
    answers on the evaluation data, NaN where answers are not right or wrong.

    `splits` is what `splits_of` gives; `sums` has, for each of its distinct splits, the sums of
    losses and of right answers.
    """
    if task.input == "bits":
        loss, correct = sums["all"]
        samples = int(hp_row[native.COLUMNS.index("samples")])
        return task.losses(float(loss) / samples, round(float(correct)), samples)
    values = {
        f"{split}_loss": float(sums[twin][0]) * task.per_nat for split, twin in splits.items()
    }
    correct = float(sums[splits["eval"]][1])
    return values | {"accuracy": correct if task.loss == "softmax" else math.nan}


def measure(engine: Engine, task: Task, s: Slots, indices: list[int]) -> list[dict[str, float]]:
    """Evaluates the trials in some slots; `losses_and_accuracy` of each, in their order."""
    if not indices:
        return []
    splits = splits_of(engine, task)
    sums = {split: engine.evaluate(s, indices, split) for split in dict.fromkeys(splits.values())}
    return [
        losses_and_accuracy(
            task,
            s.hp[i].tolist(),
            splits,
            {split: (float(loss[k]), float(correct[k])) for split, (loss, correct) in sums.items()},
        )
        for k, i in enumerate(indices)
    ]
