"""What an engine is (`Engine`), and what engines share."""

import time
import warnings

import torch
from torch import Tensor

from rnnkit.training.data import Data
from rnnkit.training.slots import Slots

CHUNK_SECONDS = 0.25  # how long an engine trains between two checks whether to stop


class Engine:
    """Takes the training steps of one study's trials. A new engine is named in `ENGINES` of
    engines.py; it has the attributes below, and its own `take` and `evaluate`.

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
    in_step: bool = False
    _seconds_per_step: float | None = None  # of all slots at once

    def take(self, s: Slots, steps: int) -> None:
        """Takes up to so many steps of every slot that is not dead and has not reached its
        `train_steps`, and waits for their end. Changes theta, m, v, step and dead as
        training.rule.update says.

        A slot whose gradient is not finite is marked dead, and that step does not count.
        """
        raise NotImplementedError

    def evaluate(self, s: Slots, indices: list[int], split: str) -> tuple[Tensor, Tensor]:
        """For each of the slots `indices`, on a split of the data ("all" where the task has one
        data set): the weighted sum of losses, in nats or squared error, and the weighted sum of
        samples whose answers are all right. Both are float64 on the processor.

        An output of exactly 0 is on neither side of a binary label, and where classes tie, none of
        them wins.
        """
        raise NotImplementedError

    def train(self, s: Slots, chunk: int | None = None) -> Tensor:
        """Takes up to `chunk` steps of every slot; by default about CHUNK_SECONDS of them. Returns
        how many steps each slot took.
        """
        steps = 8  # while the speed is not known
        if self._seconds_per_step:
            steps = max(8, int(CHUNK_SECONDS / self._seconds_per_step))
        before = s.step.clone()
        start = time.perf_counter()
        self.take(s, chunk or steps)
        new_steps = s.step - before
        most = int(new_steps.max())
        if most and not chunk:
            self._seconds_per_step = (time.perf_counter() - start) / most
        return new_steps


_past_warnings: set[str] = set()


def warn_once(sentence: str, reason: object = None) -> None:
    """Warns, once per process and sentence, or per reason if there is one."""
    key = str(reason or sentence)
    if key not in _past_warnings:
        _past_warnings.add(key)
        warnings.warn(sentence, stacklevel=5)
