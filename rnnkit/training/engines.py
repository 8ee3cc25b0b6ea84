"""What takes the steps: the compiled step on this processor, or the plain torch step on any device."""

import ctypes
import math
import time
import warnings
from functools import cached_property, partial
from typing import Protocol

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from rnnkit import native, networks
from rnnkit.native import cuda
from rnnkit.native.batches import batches_of, fields_of
from rnnkit.tasks.forms import even_weights, in_batches
from rnnkit.training.graphs import STATE, Graph, NoGraph, capture
from rnnkit.training.rule import update
from rnnkit.training.slots import Slots

CHUNK_SECONDS = 0.25  # how long the compiled step runs before someone may ask it to stop
BATCH_BYTES = (
    2**25
    # of batches that are made together for one launch on a GPU: the arithmetic on the way takes ten
    # times as much
)
BLOCK = 64  # training batches that are made together
EAGER_SLOTS = {"cpu": 32, "cuda": 512}
PARTS = ("train", "valid", "eval")


class Data:
    """A study's data on one device: made batch by batch, or, for the perceptron task, one set of
    packed samples that all trials share.
    """

    def __init__(self, study, hparams, dtype=torch.float32, device="cpu"):
        self.task, self.seed, self.dtype, self.device = study.task, study.seed, dtype, device
        self.bits = self.task.input == "bits"
        if self.bits:
            words, labels = self.task.data(
                study.seed, max(self.task.samples(h, study.num_params) for h in hparams)
            )
            self.words, self.labels = words.to(device), labels.to(device, dtype)
        self._held_out = {}

    def _typed(self, numbers):
        return numbers.to(self.dtype) if numbers.is_floating_point() else numbers

    @cached_property
    def source(self) -> torch.Tensor:
        """What a GPU draws the training batches from: native/batches.py's fields, as bytes on the
        device.
        """
        fields, self._drawn_from = fields_of(self.task, self.task.source(self.seed), self.device)
        return torch.frombuffer(bytearray(fields), dtype=torch.uint8).to(self.device)

    def batches(self, step_K):
        """Inputs and targets of the training batches with these numbers, batch last
        (tasks/__init__.py).
        """
        return tuple(map(self._typed, self.task.batches(self.seed, step_K, self.device)))

    def _drawn(self, part):
        """What `task.held_out` gives, made in C++; None where that cannot be."""
        try:
            batches = batches_of(self.task, self.seed, part) if self.device == "cpu" else None
        except native.Unavailable:
            return None
        if batches is None:
            return None
        count = in_batches(self.task.held, self.task.batch)
        return (
            *batches.made(torch.arange(count)),
            even_weights(count, self.task.batch, self.device),
        )

    def held_out(self, part):
        """Inputs, targets and weights of a part of the data; the very same object where two parts
        are one.
        """
        if part not in self._held_out:
            found = self._drawn(part) or self.task.held_out(self.seed, part, self.device)
            same = (
                other
                for other in self._held_out.values()
                if other[0].data_ptr() == found[0].data_ptr()
            )
            self._held_out[part] = next(same, None) or (
                self._typed(found[0]),
                self._typed(found[1]),
                found[2],
            )
        return self._held_out[part]


class Engine(Protocol):
    """What takes the training steps of one study's trials. A new one goes into `engine_for`.

    Whatever the engine, a trial's numbers depend on the study's seed, its own number and its
    hyper-parameters alone, up to rounding: never on its slot, on the others, or on how its steps
    are divided into calls.

    data            the study's, on the engine's device
    device, dtype   where the slots' tensors must lie, and of which numbers
    slots           how many models train at once, unless somebody says otherwise
    in_step         whether every slot takes each step, so that one that has ended stands still
    most_watched    steps to ask for at most where somebody looks on
    """

    data: Data
    device: str
    dtype: torch.dtype
    slots: int
    in_step: bool
    most_watched: int

    def train(self, s: Slots, chunk: int | None = None):
        """Up to `chunk` steps of every slot that is neither dead nor has done its `train_steps`,
        or as many as take a moment; changes theta, m, v, step and dead as training.rule.update
        says.

        A slot whose gradient is not finite is marked dead, and that step is not counted.
        """

    def evaluate(self, s: Slots, rows: list[int], part: str) -> tuple[torch.Tensor, torch.Tensor]:
        """For the slots `rows`, on a part of the data ("all" where the task has one data set): the
        weighted sums of losses, in nats or squared error, and of samples whose answers are all
        right, both float64 on the processor.

        An output of 0 is on neither side of a binary label, and among classes that tie none wins.
        """


class Compiled:
    """The compiled step (native/step.cpp) for one shape of network, on this processor."""

    slots, in_step, most_watched = 1, False, 2**31 - 1

    def __init__(self, study, data, dtype=torch.float32):
        self.data, self.dtype, self.device = data, dtype, "cpu"
        real = {torch.float32: "float", torch.float64: "double"}[dtype]
        self.net = native.Network(
            study.architecture, study.n_layers, study.n_units, study.task, real
        )
        self.batches = None if data.bits else batches_of(study.task, data.seed, real=real)
        self.room = self.batches.empty(1) if self.batches else []
        self.seconds_per_step = None

    def train(self, s: Slots, chunk=None):
        """Up to `chunk` steps of every slot; by default about CHUNK_SECONDS."""
        fixed, before, start = chunk, int(s.step.sum()), time.perf_counter()
        chunk = chunk or (
            8
            if self.seconds_per_step is None
            else max(8, int(CHUNK_SECONDS / self.seconds_per_step / len(s.trials)))
        )
        if self.data.bits:
            self.net.train(
                s.theta, s.m, s.v, s.hp, s.step, s.dead, chunk, self.data.words, self.data.labels
            )
        elif self.batches:
            inputs, targets = self.room
            self.net.train(
                s.theta, s.m, s.v, s.hp, s.step, s.dead, chunk, inputs, targets, self.batches
            )
        else:
            for i in range(len(s.trials)):
                self._train_one(s, i, chunk)
        steps = int(s.step.sum()) - before
        if steps and not fixed:
            self.seconds_per_step = (time.perf_counter() - start) / steps

    def _train_one(self, s, i, chunk):
        step, row = int(s.step[i]), slice(i, i + 1)
        end = min(step + chunk, int(s.column("train_steps")[i]))
        while step < end and not s.dead[i]:
            count = min(BLOCK, end - step)
            batches = self.data.batches(torch.arange(step, step + count))
            self.net.train(
                s.theta[row],
                s.m[row],
                s.v[row],
                s.hp[row],
                s.step[row],
                s.dead[row],
                count,
                *batches,
            )
            step += count

    def evaluate(self, s: Slots, rows, part):
        inputs, targets, weight = (
            (self.data.words, self.data.labels, None)
            if self.data.bits
            else self.data.held_out(part)
        )
        loss, right = (
            torch.zeros(len(rows), dtype=torch.float64),
            torch.zeros(len(rows), dtype=torch.float64),
        )
        self.net.evaluate(
            s.theta[rows].contiguous(),
            s.hp[rows].contiguous(),
            inputs,
            targets,
            weight,
            loss,
            right,
        )
        return loss, right


class Fused:
    """The fused step on a GPU (native/step.cu), a model a block: launches for any state in the
    device's reach, or whole turns of slots.
    """

    slots, in_step, most_watched = 512, False, 2**31 - 1

    def __init__(self, study, data, device, module=None):
        self.study, self.task, self.data, self.device, self.dtype = (
            study,
            study.task,
            data,
            device,
            torch.float32,
        )
        self.module = module or cuda.module_for(study, str(device))
        self.arena, self.held, self.seconds_per_step = None, None, None

    def most(self, models) -> int:
        """Steps of so many models whose batches may be made for one launch."""
        if self.data.bits or self.module.kernel.DRAW >= 0:
            return 2**31 - 1
        task = self.task
        numbers = task.batch * (
            task.steps * task.streams if task.input == "index" else task.n_in + task.n_out
        )
        return max(1, BATCH_BYTES // (4 * numbers * models))

    def launch(self, stream, s: Slots, chunk, done=None, ticket=0):
        """Starts up to `chunk` steps of every slot; each block writes the ticket to `done` as it
        ends (see report in step.cu).
        """
        if self.data.bits:
            batches, count = (self.data.words, self.data.labels), self.data.words.shape[-1]
        elif self.module.kernel.DRAW >= 0:
            batches, count = (self.data.source, None), 0
        else:
            step_K = s.step.to(self.device)[:, None] + torch.arange(chunk, device=self.device)
            batches, count = self.data.batches(step_K.flatten()), 0
        self.held = batches  # until the next launch: they are read after this returns
        self.module.train(
            len(s.trials),
            stream,
            s.theta,
            s.m,
            s.v,
            s.hp,
            s.step,
            s.dead,
            ctypes.c_int(chunk),
            *batches,
            ctypes.c_int64(count),
            self._arena(len(s.trials)),
            done,
            ctypes.c_int64(ticket),
        )

    def judge(self, stream, s: Slots, which, part, loss, right, done=None, ticket=0):
        """Starts the evaluation, on a part of the data, of the slots where `which` is not 0."""
        data = (
            (self.data.words, self.data.labels, None)
            if self.data.bits
            else self.data.held_out(part)
        )
        count, K = (data[0].shape[-1], 0) if self.data.bits else (0, len(data[0]))
        self.module.evaluate(
            len(s.trials),
            stream,
            s.theta,
            s.hp,
            which,
            *data[:2],
            ctypes.c_int64(count),
            ctypes.c_int64(K),
            data[2],
            loss,
            right,
            self._arena(len(s.trials)),
            done,
            ctypes.c_int64(ticket),
        )

    def _arena(self, models):
        if self.arena is None or len(self.arena) < models * self.module.kernel.rest:
            self.arena = torch.empty(
                max(1, models * self.module.kernel.rest), dtype=self.dtype, device=self.device
            )
        return self.arena

    def train(self, s: Slots, chunk=None):
        """Up to `chunk` steps of every slot; by default about CHUNK_SECONDS."""
        before, start = int(s.step.sum()), time.perf_counter()
        wanted = chunk or (
            8
            if self.seconds_per_step is None
            else max(8, int(CHUNK_SECONDS / self.seconds_per_step))
        )
        most = self.most(len(s.trials))
        for first in range(0, wanted, most):
            self.launch(self.module.current(), s, min(most, wanted - first))
        self.module.wait()
        if not chunk and int(s.step.sum()) > before:
            self.seconds_per_step = (time.perf_counter() - start) / wanted

    def evaluate(self, s: Slots, rows, part):
        which = torch.zeros(len(s.trials), dtype=torch.int64, device=self.device)
        which[rows] = 1
        loss, right = torch.zeros(2, len(s.trials), dtype=torch.float64, device=self.device)
        self.judge(self.module.current(), s, which, part, loss, right)
        self.module.wait()
        return loss[rows].cpu(), right[rows].cpu()


class Eager:
    """The plain torch step, on any device: all slots in each operation. On a GPU its operations are
    launched as one graph (training/graphs.py), if they can be.
    """

    in_step, most_watched = True, 16

    def __init__(self, study, data, dtype=torch.float32, device="cpu"):
        self.study, self.task, self.data = study, study.task, data
        self.dtype, self.device = dtype, device
        on_gpu = str(device).startswith("cuda")
        self.slots = EAGER_SLOTS["cuda" if on_gpu else "cpu"]
        self.graph = Graph(self.step_of, partial(capture, device=device)) if on_gpu else None
        self.shapes = networks.blocks(
            study.architecture, study.n_layers, study.n_units, self.task.n_in, self.task.n_out
        )
        self.matrices = sum(math.prod(s) for name, s in self.shapes.items() if name.startswith("W"))

    def _inputs(self, hp, inputs):
        """The T inputs, M x B x I each, out of a batch of each model, batch last."""
        if self.task.input == "index":
            seen = torch.zeros(
                *inputs.shape[:2],
                inputs.shape[3],
                self.task.n_in,
                dtype=self.dtype,
                device=self.device,
            )
            seen.scatter_(3, inputs.long().transpose(2, 3), 1.0)
            return list(seen.unbind(1))
        x = inputs.transpose(1, 2)
        later = x * native.column(hp, "every").to(self.dtype)[:, None, None]
        return [x] + [later] * (self.task.steps - 1)

    def _outputs(self, theta, hp, inputs, since=None):
        """z_MxSxBxO at the scored steps of each model, none of which comes before `since`."""
        first = native.column(hp, "first_scored").long()
        since = int(first.min()) if since is None else since
        scored = torch.arange(self.task.scored, device=self.device)
        z = networks.forward(
            self.study.architecture,
            self.study.n_layers,
            self.shapes,
            theta,
            self._inputs(hp, inputs),
            native.column(hp, "relu") > 0,
            since,
        )
        at = first[:, None] - since + scored
        return z[torch.arange(len(z), device=self.device)[:, None], at]

    def _losses(self, z, targets):
        """Loss of each sample, M x B, and whether all its answers are right."""
        if self.task.loss == "binary":
            z = z[:, -1, :, 0]
            losses = binary_cross_entropy_with_logits(z, targets, reduction="none")
            return losses, torch.where(targets > 0.5, z, -z) > 0  # 0 is on neither side
        if self.task.loss == "squared":
            d = z[:, -1] - targets.transpose(1, 2)
            return (d * d).mean(2), torch.zeros(d.shape[:2], dtype=torch.bool, device=self.device)
        M, S, B, _ = z.shape
        z, y = z.reshape(M, S, B, self.task.heads, -1), targets.long().transpose(2, 3)
        each = cross_entropy(z.flatten(0, 3), y.flatten(), reduction="none").reshape(y.shape)
        answer = z.gather(-1, y[..., None])
        alone = (~(z < answer)).sum(-1) == 1  # beats all others; among equals nobody is right
        return each.sum(3).mean(1), alone.all(3).all(1)

    def _batch(self, s):
        if not self.data.bits:
            return self.data.batches(s.step)
        index = s.step[:, None] * self.task.batch + torch.arange(
            self.task.batch, device=self.device
        )
        return self._samples(index % s.column("samples").long()[:, None])

    def _samples(self, index):
        return (
            self.task.unpack(self.data.words, index, self.dtype).transpose(1, 2),
            self.data.labels[index],
        )

    def step_of(self, state, inputs, targets, since=None) -> dict:
        """The slots' theta, m, v, step and dead after one step; `state` has these and hp."""
        theta, hp, step = state["theta"], state["hp"], state["step"]
        live = (step < native.column(hp, "train_steps")) & (state["dead"] == 0)
        leaf = theta.detach().requires_grad_()
        loss_MxB, _ = self._losses(self._outputs(leaf, hp, inputs, since), targets)
        (grad,) = torch.autograd.grad(loss_MxB.mean(1).sum(), leaf)
        new = update(theta, state["m"], state["v"], grad, hp, step, self.matrices)
        keep, finite = live[:, None], new[3]
        moved = {
            name: torch.where(keep, after, state[name])
            for name, after in zip(("theta", "m", "v"), new)
        }
        return moved | {
            "step": step + (live & finite).long(),
            "dead": state["dead"] | (live & ~finite).long(),
        }

    def train(self, s: Slots, chunk=None):
        steps = min(chunk or 16, int((s.column("train_steps") - s.step).max()))
        if self.graph:
            try:
                return self.graph.train(s, steps, self._batch)
            except NoGraph as reason:
                self.graph = None
                tell(f"{self.study.architecture} trains without a CUDA graph: {reason}.")
        for _ in range(steps):
            state = {name: getattr(s, name) for name in STATE}
            for name, after in self.step_of(state, *self._batch(s)).items():
                setattr(s, name, after)

    @torch.no_grad()
    def evaluate(self, s: Slots, rows, part):
        loss, right = [], []
        for row in rows:
            one, sums = slice(row, row + 1), torch.zeros(2, dtype=torch.float64, device=self.device)
            for inputs, targets, weight in self._parts(s, row, part):
                losses, answers = self._losses(
                    self._outputs(s.theta[one], s.hp[one], inputs).double(), targets
                )
                sums += torch.stack([(losses[0] * weight).sum(), (answers[0] * weight).sum()])
            loss.append(float(sums[0]))
            right.append(float(sums[1]))
        return torch.tensor(loss, dtype=torch.float64), torch.tensor(right, dtype=torch.float64)

    def _parts(self, s, row, part):
        if self.data.bits:
            for index in torch.arange(int(s.column("samples")[row]), device=self.device).split(
                8 * self.task.batch
            ):
                yield (
                    *(x for x in self._samples(index[None])),
                    torch.ones(len(index), dtype=torch.float64, device=self.device),
                )
        else:
            for inputs, targets, weight in zip(*self.data.held_out(part)):
                yield inputs[None], targets[None], weight


def check_device(device: str) -> str:
    """`device` if it is here. Raises ValueError for one that is neither cpu nor a CUDA device, or
    that this machine lacks.
    """
    if device != "cpu" and not str(device).startswith("cuda"):
        raise ValueError(f"device must be cpu or cuda, got {device!r}.")
    if str(device).startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(
            f"device {device} needs a GPU that torch can see, and it sees none. Use device cpu."
        )
    return device


_told = set()


def tell(sentence):
    """Warns, once for each sentence."""
    if sentence not in _told:
        _told.add(sentence)
        warnings.warn(sentence, stacklevel=5)


def tell_plain(study, reason, device="cpu"):
    """Warns, once for each reason, that a study trains with the plain step."""
    how = " in a CUDA graph" if str(device).startswith("cuda") else ""
    if str(reason) not in _told:
        _told.add(str(reason))
        tell(
            f"{study.architecture} trains with the plain torch step{how}, several times slower:"
            f" {reason}."
        )


def engine_for(study, data, device, engine, dtype) -> Engine:
    """The engine of a study on a device: "compiled", "eager" (the plain step), or "auto", the first
    where it can be had. Unavailable where "compiled" is asked for and cannot be.
    """
    if engine not in ("auto", "compiled", "eager"):
        raise ValueError(f"engine must be auto, compiled or eager, got {engine!r}.")
    if device == "cpu" and engine != "eager":
        try:
            return Compiled(study, data, dtype)
        except native.Unavailable as reason:
            if engine == "compiled":
                raise
            tell_plain(study, reason)
    elif device != "cpu" and engine != "eager":
        try:
            if dtype != torch.float32:
                raise native.Unavailable("the step for a GPU takes 32-bit numbers")
            return Fused(study, data, device)
        except native.Unavailable as reason:
            if engine == "compiled":
                raise
            tell_plain(study, reason, device)
    return Eager(study, data, dtype, device)


def parts_of(engine, task) -> dict:
    """The parts of the data to be measured on: each part that is needed -> the same, or an earlier
    one which is the same data.
    """
    if task.input == "bits":
        return {"all": "all"}
    first = {}
    return {part: first.setdefault(id(engine.data.held_out(part)), part) for part in PARTS}


def judged(task, hp_row, parts: dict, sums: dict) -> dict:
    """What the store keeps of a finished trial (its three losses and the share of right answers on
    the evaluation data).

    `sums` has, for each part of `parts` that differs from the others, the sums of losses and of
    right answers.
    """
    if task.input == "bits":
        loss, right = sums["all"]
        samples = int(hp_row[native.COLUMNS.index("samples")])
        return task.losses(float(loss) / samples, round(float(right)), samples)
    losses = {f"{part}_loss": float(sums[same][0]) * task.per_nat for part, same in parts.items()}
    return losses | {
        "accuracy": float(sums[parts["eval"]][1]) if task.loss == "softmax" else math.nan
    }


def measured(engine, task, s: Slots, rows) -> list[dict]:
    """What the store keeps of the finished trials in some slots; see `judged`."""
    if not rows:
        return []
    parts = parts_of(engine, task)
    sums = {part: engine.evaluate(s, rows, part) for part in dict.fromkeys(parts.values())}
    return [
        judged(
            task,
            s.hp[row],
            parts,
            {part: (loss[i], right[i]) for part, (loss, right) in sums.items()},
        )
        for i, row in enumerate(rows)
    ]
