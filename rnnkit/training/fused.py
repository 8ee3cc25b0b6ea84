"""The engine of the fused step (native/step.cu), on a GPU."""

import ctypes

import torch
from torch import Tensor

from rnnkit.native import Study, cuda
from rnnkit.training.data import Data
from rnnkit.training.engine import Engine
from rnnkit.training.slots import Batch, Slots

# Batches made together for one launch on a GPU take at most this; making them takes ten times as
# much.
BATCH_BYTES = 2**25
NO_LIMIT = 2**31 - 1  # steps per call


class Fused(Engine):
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
