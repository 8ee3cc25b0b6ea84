"""Trains a queue of trials through M slots of one shape; four optimisers are one update rule.

A slot whose trial has ended, by its own `train_steps` or by divergence, is given to the next trial
in the queue, and slots that the queue can no longer fill are dropped: no step is spent on a
finished trial. On a processor the step is compiled (native/), and there a single slot is best,
since the whole step of one model then stays in the first two cache levels. On a GPU it is one
kernel, with a block for each slot; flights.py keeps many studies in training there at once. The
plain torch step serves machines without a compiler, and cells whose equations the compiler does not
know; there, many slots share each operation.

A trial's numbers depend on the study's seed, the trial's number and its hyper-parameters alone, up
to rounding.
"""

import math
import time
from dataclasses import dataclass, field

import numpy as np
import torch

from rnnkit.checks import whole_number
from rnnkit.training.engines import Data, Engine, check_device, engine_for, measured
from rnnkit.training.rule import coefficients, update
from rnnkit.training.slots import Slots, prepared
from rnnkit.training.speed import benchmark_step, seconds_per_step

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
    """What became of a trial. Diverged is a value, not an exception: then `infeasible` holds and
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
    study,
    hparams,
    numbers,
    device="cpu",
    slots=None,
    on_outcome=None,
    stop=None,
    engine="auto",
    dtype=torch.float32,
    report=None,
):
    """Trains the trials `numbers` of a study with their hyper-parameters; returns one Outcome each,
    in their order.

    `on_outcome(number, hparams, outcome)` is called as each trial ends, in any order. `stop()` is
    asked several times a second; once it says True, training ends and unfinished trials are None.
    `slots` is how many models train at once (default: what is fastest for the engine). `report`, a
    dict, receives `busy`, the share of slot-steps spent on live trials.
    """
    check_device(device)
    if slots is not None:
        whole_number("slots", slots, 1)
    hparams, numbers = list(hparams), list(numbers)
    if len(hparams) != len(numbers):
        raise ValueError(
            f"There must be a number for each set of hyper-parameters, got {len(hparams)} sets and"
            f" {len(numbers)} numbers."
        )
    if not hparams:
        return []
    engine = engine_for(study, Data(study, hparams, dtype, device), device, engine, dtype)
    slots = slots or engine.slots
    waiting = prepared(study, zip(numbers, hparams), dtype)
    s, outcomes, busy = Slots(study.num_params, dtype, engine.device), {}, Busy()
    left = len(hparams)
    while left:
        if stop is not None and stop():
            break
        new = [row for _, row in zip(range(slots - len(s.trials)), waiting)]
        if new:
            s.fill(new)
        advance(engine, s, busy)
        ended = s.ended()
        for number, hp, outcome in results(study, engine, s, ended):
            outcomes[number] = outcome
            if on_outcome is not None:
                on_outcome(number, hp, outcome)
        left -= len(ended)
        if ended:
            s.keep([i for i in range(len(s.trials)) if i not in set(ended)])
    if report is not None:
        report["busy"] = busy.share
    return [outcomes.get(number) for number in numbers]


@dataclass
class Busy:
    """Steps of live trials, and steps that slots took or stood still for."""

    live: int = 0
    all: int = 0

    @property
    def share(self) -> float:
        return self.live / self.all if self.all else 1.0


def advance(engine: Engine, s: Slots, busy: Busy):
    """Lets the engine take some steps of every slot, and shares the time out among them by steps."""
    before, start = s.step.clone(), time.perf_counter()
    engine.train(s)
    taken = (s.step - before).tolist()
    elapsed, total = time.perf_counter() - start, sum(taken)
    busy.live += total
    busy.all += max(taken) * len(taken) if engine.in_step else total
    for i, steps in enumerate(taken):
        s.seconds[i] += elapsed * (steps / total if total else 1 / len(taken))


def results(study, engine: Engine, s: Slots, ended):
    """(number, hparams, Outcome) of the trials in the slots that have ended."""
    start = time.perf_counter()
    sound = [i for i in ended if not s.dead[i] and torch.isfinite(s.theta[i]).all()]
    found = dict(zip(sound, measured(engine, study.task, s, sound)))
    each = (time.perf_counter() - start) / max(1, len(ended))
    for i in ended:
        seconds = s.seconds[i] + each
        steps = int(s.step[i])
        outcome = outcome_of(study, found.get(i), steps, seconds, engine.device, s.theta[i])
        yield *s.trials[i], outcome


def outcome_of(study, found, steps, seconds, device, theta) -> Outcome:
    """The outcome of a trial that has ended: `found` is what was measured (engines.judged), None
    where it diverged.
    """
    nan = dict.fromkeys(("train_loss", "valid_loss", "eval_loss"), math.nan)
    infeasible = found is None or not all(math.isfinite(found[name]) for name in nan)
    return Outcome(
        **nan if infeasible else found,
        infeasible=infeasible,
        steps=steps,
        seconds=seconds,
        num_params=study.num_params,
        device=str(device),
        theta=None if infeasible else theta.float().cpu().numpy().copy(),
    )
