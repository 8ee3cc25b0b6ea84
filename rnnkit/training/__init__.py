"""Trains a queue of trials through M slots of one shape; four optimisers are one update rule.

When a trial ends, by its own `train_steps` or by divergence, its slot goes to the next trial in the
queue, and slots that the queue can no longer fill are dropped: no step is spent on a trial that is
over. On a processor the step is compiled (native/), and there a single slot is best, since the whole
step of one model then stays in the first two cache levels. On a GPU the step is one kernel, with one
block of threads per slot; flights.py keeps many studies in training there at once. The plain torch
step serves machines without a compiler, and cells whose equations the compiler does not know; there,
many slots share each operation.

A trial's numbers depend on the study's seed, the trial's number and its hyper-parameters alone, up
to rounding.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnkit.checks import whole_number
from rnnkit.native import Study
from rnnkit.training.engines import Data, Engine, check_device, engine_for, measure
from rnnkit.training.rule import coefficients, update
from rnnkit.training.slots import Slots, slot_rows
from rnnkit.training.timing import benchmark_step, seconds_per_step

__all__ = [
    "Outcome",
    "benchmark_step",
    "check_device",
    "coefficients",
    "seconds_per_step",
    "train",
    "update",
]


@dataclass(frozen=True)
class Outcome:
    """What became of a trial. Divergence is a value, not an exception: then `infeasible` holds and
    the losses are NaN.
    """

    train_loss: float
    valid_loss: float  # what the tuner minimises; each task says what that is
    eval_loss: float
    infeasible: bool
    steps: int
    seconds: float
    num_params: int
    device: str
    # share of right answers on the evaluation data, where answers are right or wrong
    accuracy: float = math.nan
    # the trained parameters, length P
    theta: np.ndarray | None = field(default=None, compare=False, repr=False)


def train(
    study: Study,
    hparams: Iterable[dict],
    numbers: Iterable[int],
    device: str = "cpu",
    slots: int | None = None,
    on_outcome: Callable[[int, dict, Outcome], object] | None = None,
    stop: Callable[[], bool] | None = None,
    engine: str = "auto",
    dtype: torch.dtype = torch.float32,
    report: dict[str, float] | None = None,
) -> list[Any]:
    """Trains the trials `numbers` of a study with their hyper-parameters; returns one Outcome per
    trial, in their order.

    `on_outcome(number, hparams, outcome)` is called as each trial ends, in any order. `stop()` is
    called several times per second; once it returns True, training ends, and the outcome of each
    trial that is not over is None. `slots` is how many models train at once (by default, as many as
    are fastest for the engine). `report`, a dict, receives `busy`, the share of slot-steps that were
    spent on live trials. Raises ValueError for arguments that cannot be trained with.
    """
    check_device(device)
    if slots is not None:
        whole_number("slots", slots, 1)
    hparams = list(hparams)
    numbers = list(numbers)
    if len(hparams) != len(numbers):
        raise ValueError(
            f"There must be one number per set of hyper-parameters, got {len(hparams)} sets and"
            f" {len(numbers)} numbers."
        )
    if not hparams:
        return []
    trainer = engine_for(study, Data(study, hparams, dtype, device), device, engine, dtype)
    queue = slot_rows(study, zip(numbers, hparams), dtype)
    s = Slots(study.num_params, dtype, trainer.device)
    outcomes: dict[int, Outcome] = {}
    busy = Busy()
    remaining = len(hparams)
    while remaining and not (stop and stop()):
        # fill the slots, let them train for a moment, and hand out what has ended
        if new := list(islice(queue, (slots or trainer.slots) - len(s.trials))):
            s.fill(new)
        advance(trainer, s, busy)
        over = s.at_end()
        for number, point, outcome in results(study, trainer, s, over):
            outcomes[number] = outcome
            if on_outcome:
                on_outcome(number, point, outcome)
        remaining -= len(over)
        if over:
            s.keep([i for i in range(len(s.trials)) if i not in set(over)])
    if report is not None:
        report["busy"] = busy.share
    return [outcomes.get(number) for number in numbers]


@dataclass
class Busy:
    """Steps of live trials, and steps in all, those for which a slot idled included."""

    live: int = 0
    all: int = 0

    @property
    def share(self) -> float:
        return self.live / self.all if self.all else 1.0


def advance(engine: Engine, s: Slots, busy: Busy) -> None:
    """Lets the engine take some steps of every slot, and divides the time among the slots in
    proportion to their steps.
    """
    start = time.perf_counter()
    new_steps = engine.train(s).tolist()
    duration = time.perf_counter() - start
    total = sum(new_steps)
    busy.live += total
    busy.all += max(new_steps) * len(new_steps) if engine.in_step else total
    for i, steps in enumerate(new_steps):
        s.seconds[i] += duration * (steps / total if total else 1 / len(new_steps))


def results(
    study: Study, engine: Engine, s: Slots, over: list[int]
) -> Iterator[tuple[int, dict, Outcome]]:
    """(number, hparams, Outcome) of the trials in the slots `over`, which have ended."""
    start = time.perf_counter()
    sound = [i for i in over if not s.dead[i] and torch.isfinite(s.theta[i]).all()]
    values = dict(zip(sound, measure(engine, s, sound)))
    duration = time.perf_counter() - start
    for i in over:
        s.seconds[i] += duration / len(over)
        yield *s.trials[i], outcome_of(study, engine, s, i, values.get(i), s.theta[i])


def outcome_of(
    study: Study,
    engine: Engine,
    s: Slots,
    i: int,
    values: dict[str, float] | None,
    theta: Tensor,
) -> Outcome:
    """The outcome of the trial in slot i, which is over, from its losses and accuracy
    (engines.measure), or None if it diverged, and from its parameters.
    """
    nan = dict.fromkeys(("train_loss", "valid_loss", "eval_loss"), math.nan)
    values = values or nan
    infeasible = not all(math.isfinite(values[name]) for name in nan)
    return Outcome(
        **(nan if infeasible else values),
        infeasible=infeasible,
        steps=int(s.step[i]),
        seconds=s.seconds[i],
        num_params=study.num_params,
        device=str(engine.device),
        theta=None if infeasible else theta.float().cpu().numpy().copy(),
    )
