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
from rnnkit.training.engines import Data, Eager, check_device, engine_for, measured
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
    accuracy: float = (
        math.nan
    )  # share of right answers on the evaluation data, where answers are right or wrong
    theta: np.ndarray | None = field(
        default=None, compare=False, repr=False
    )  # the trained parameters, length P


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
    task = study.task
    engine = engine_for(study, Data(study, hparams, dtype, device), device, engine, dtype)
    slots = slots or engine.slots
    waiting = prepared(study, zip(numbers, hparams), dtype)
    s, outcomes, left = Slots(study.num_params, dtype, engine.device), {}, len(hparams)
    live_steps = slot_steps = 0
    while left:
        if stop is not None and stop():
            break
        new = [row for _, row in zip(range(slots - len(s.trials)), waiting)]
        if new:
            s.fill(new)
        before, start = s.step.clone(), time.perf_counter()
        engine.train(s)
        taken = (s.step - before).tolist()
        elapsed = time.perf_counter() - start
        live_steps += sum(taken)
        slot_steps += max(taken) * len(taken) if isinstance(engine, Eager) else sum(taken)
        for i, steps in enumerate(taken):
            s.seconds[i] += elapsed * (steps / sum(taken) if sum(taken) else 1 / len(taken))
        ended = ((s.step >= s.hp[:, 2]) | (s.dead > 0)).nonzero()[:, 0].tolist()
        if not ended:
            continue
        start = time.perf_counter()
        sound = [i for i in ended if not s.dead[i] and torch.isfinite(s.theta[i]).all()]
        found = dict(zip(sound, measured(engine, task, s, sound)))
        each = (time.perf_counter() - start) / len(ended)
        for i in ended:
            number, hp = s.trials[i]
            outcome = outcome_of(
                study, found.get(i), int(s.step[i]), s.seconds[i] + each, engine.device, s.theta[i]
            )
            outcomes[number] = outcome
            if on_outcome is not None:
                on_outcome(number, hp, outcome)
        left -= len(ended)
        s.keep([i for i in range(len(s.trials)) if i not in set(ended)])
    if report is not None:
        report["busy"] = live_steps / slot_steps if slot_steps else 1.0
    return [outcomes.get(number) for number in numbers]


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
