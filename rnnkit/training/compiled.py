"""The engine of the compiled step (native/step.cpp), on this processor."""

import torch

from rnnkit import native
from rnnkit.native import Study
from rnnkit.native.batches import batches_of
from rnnkit.training.data import Data
from rnnkit.training.engine import Engine
from rnnkit.training.slots import Batch, Slots

BLOCK = 64  # training batches that are made together


class Compiled(Engine):
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
