"""What takes the steps: the compiled step on this processor, or the plain torch step on any device."""

import math
import time
import warnings

import torch

from rnnkit import native, networks
from rnnkit.training.rule import update
from rnnkit.training.slots import Slots

CHUNK_SECONDS = 0.25  # how long the compiled step runs before someone may ask it to stop
EAGER_SLOTS = {"cpu": 32, "cuda": 512}


class Compiled:
    """The compiled step (native/step.cpp) for one shape of network, on this processor."""

    slots = 1

    def __init__(self, study, data, dtype=torch.float32):
        task, self.dtype, self.device = study.task, dtype, "cpu"
        self.words, self.labels = data[0], data[1].to(dtype)
        real = {torch.float32: "float", torch.float64: "double"}[dtype]
        self.net = native.Network(study.architecture, study.n_layers, study.n_units, task.n_in, task.n_out, task.unroll, task.batch, real)
        self.seconds_per_step = None

    def train(self, s: Slots, chunk=None):
        """Up to `chunk` steps of every slot; by default about CHUNK_SECONDS."""
        fixed, before, start = chunk, int(s.step.sum()), time.perf_counter()
        chunk = chunk or (8 if self.seconds_per_step is None else max(8, int(CHUNK_SECONDS / self.seconds_per_step / len(s.trials))))
        self.net.train(s.theta, s.m, s.v, s.hp, s.step, s.dead, chunk, self.words, self.labels)
        steps = int(s.step.sum()) - before
        if steps and not fixed:
            self.seconds_per_step = (time.perf_counter() - start) / steps

    def evaluate(self, s: Slots, rows):
        loss, correct = torch.zeros(len(rows), dtype=torch.float64), torch.zeros(len(rows), dtype=torch.int64)
        self.net.evaluate(s.theta[rows].contiguous(), s.hp[rows].contiguous(), self.words, self.labels, loss, correct)
        return loss, correct


class Eager:
    """The plain torch step, on any device: all slots in each operation."""

    def __init__(self, study, data, dtype=torch.float32, device="cpu"):
        self.study, self.task, self.dtype, self.device = study, study.task, dtype, device
        self.words, self.labels = data[0].to(device), data[1].to(device, dtype)
        self.slots = EAGER_SLOTS["cuda" if str(device).startswith("cuda") else "cpu"]
        self.shapes = networks.blocks(study.architecture, study.n_layers, study.n_units, self.task.n_in, self.task.n_out)
        self.matrices = sum(math.prod(s) for name, s in self.shapes.items() if name.startswith("W"))

    def _logits(self, theta, hp, index_MxB):
        x = self.task.unpack(self.words, index_MxB, self.dtype)
        every = hp[:, native.COLUMNS.index("every")].to(self.dtype)
        later = x * every[:, None, None]
        inputs = [x] + [later] * (self.task.unroll - 1)
        relu = hp[:, native.COLUMNS.index("relu")] > 0
        return networks.forward(self.study.architecture, self.study.n_layers, self.shapes, theta, inputs, relu)[..., 0]

    def train(self, s: Slots, chunk=None):
        total, samples = s.hp[:, 2], s.hp[:, native.COLUMNS.index("samples")].long()
        offsets = torch.arange(self.task.batch, device=self.device)
        for _ in range(min(chunk or 16, int((total - s.step).max()))):
            live = (s.step < total) & (s.dead == 0)
            index = (s.step[:, None] * self.task.batch + offsets) % samples[:, None]
            theta = s.theta.detach().requires_grad_()
            z, y = self._logits(theta, s.hp, index), self.labels[index]
            loss_M = torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction="none").mean(1)
            (grad,) = torch.autograd.grad(loss_M.sum(), theta)
            theta, m, v, finite = update(s.theta, s.m, s.v, grad, s.hp, s.step, self.matrices)
            keep = live[:, None]
            s.theta, s.m, s.v = torch.where(keep, theta, s.theta), torch.where(keep, m, s.m), torch.where(keep, v, s.v)
            s.dead |= (live & ~finite).long()
            s.step += (live & finite).long()

    @torch.no_grad()
    def evaluate(self, s: Slots, rows):
        loss, correct = [], []
        for row in rows:
            samples = int(s.hp[row, native.COLUMNS.index("samples")])
            total, right = 0.0, 0
            for index in torch.arange(samples, device=self.device).split(8 * self.task.batch):
                z, y = self._logits(s.theta[row : row + 1], s.hp[row : row + 1], index[None])[0], self.labels[index]
                total += float(torch.nn.functional.binary_cross_entropy_with_logits(z.double(), y.double(), reduction="sum"))
                right += int(((z > 0) == (y > 0.5)).sum())
            loss.append(total / samples), correct.append(right)
        return torch.tensor(loss, dtype=torch.float64), torch.tensor(correct)


def check_device(device: str) -> str:
    """`device` if it is here. Raises ValueError for one that is neither cpu nor a CUDA device, or that this machine lacks."""
    if device != "cpu" and not str(device).startswith("cuda"):
        raise ValueError(f"device must be cpu or cuda, got {device!r}.")
    if str(device).startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device {device} needs a GPU that torch can see, and it sees none. Use device cpu.")
    return device


_told = set()


def engine_for(study, data, device, engine, dtype):
    if engine not in ("auto", "compiled", "eager"):
        raise ValueError(f"engine must be auto, compiled or eager, got {engine!r}.")
    if device == "cpu" and engine != "eager":
        try:
            return Compiled(study, data, dtype)
        except native.Unavailable as reason:
            if engine == "compiled":
                raise
            if str(reason) not in _told:
                _told.add(str(reason))
                warnings.warn(f"{study.architecture} trains with the plain torch step, several times slower: {reason}.", stacklevel=3)
    return Eager(study, data, dtype, device)
