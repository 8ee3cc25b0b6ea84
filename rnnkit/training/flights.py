"""Trials of many studies in training at once on one GPU.

A flight is some trials of one study, each in a block of its own, on a stream of its own; flights of
different studies fill the card together. The host only reads memory: a launch writes its ticket, the
steps done and the results where both can read them, so that no copy and no event has to wait its
turn among the streams.
"""

import time
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from rnnkit.native import Study, cuda
from rnnkit.training import Outcome, outcome_of
from rnnkit.training.agreement import check_agreement
from rnnkit.training.engines import Data, Fused
from rnnkit.training.slots import Slots, slots_of

CHUNK_SECONDS = 0.15  # of a launch: short compared with a trial, long compared with the host's turn


class Flight:
    """The trials `numbers` of a study with their hyper-parameters, in training on a device.

    `land()` is to be called repeatedly; each time it gives (number, hparams, Outcome) of the trials
    that have ended since. `busy` says whether any trial is left. `data` is the study's, on the
    device. Raises Unavailable where there is no fused step for the study, or where it does not agree
    with the plain step.

    A trial is in training (`aloft`), then waits for its evaluation (`over`), then is in evaluation
    (`in_evaluation`, with its theta); all three hold slots.
    """

    def __init__(
        self,
        study: Study,
        hparams: Sequence[dict],
        numbers: Iterable[int],
        data: Data,
        device: str,
        module: cuda.Module | None = None,
    ) -> None:
        self.study = study
        self.engine = Fused(study, data, device, module)
        self.module = self.engine.module
        check_agreement(self.module, study, data, hparams[0])
        self.stream = self.module.stream()
        self.side = self.module.stream()
        self.splits = dict.fromkeys(data.splits.values())
        # torch's own stream makes the splits, and this flight's streams do not wait for it
        self.module.settle()
        with self.stream.on():
            self.slots = s = slots_of(study, zip(numbers, hparams), device=device)
        self.total_steps = s.column("train_steps").long().tolist()
        self.samples = s.column("samples").long().tolist()
        self._share_memory(s)
        self.aloft = set(range(len(s.trials)))
        self.over: list[int] = []
        self.in_evaluation: dict[int, Tensor] = {}
        self.train_ticket = 0
        self.evaluation_ticket = 0
        self.chunk = 64
        self._train()

    def _share_memory(self, s: Slots) -> None:
        """Puts what the device tells the host where both can read it."""
        models = len(s.trials)
        zeros = self.module.host_zeros
        s.step, s.dead, self.train_tickets, self.which, self.evaluation_tickets = (
            zeros(models, dtype=torch.int64) for _ in range(5)
        )
        self.sums = {split: zeros(2, models, dtype=torch.float64) for split in self.splits}
        # the host looks at these thousands of times per second, and numpy looks faster
        self.np_train_tickets, self.np_evaluation_tickets, self.np_step, self.np_dead = (
            x.numpy() for x in (self.train_tickets, self.evaluation_tickets, s.step, s.dead)
        )

    def _train(self) -> None:
        """Launches the next steps."""
        s = self.slots
        self.train_ticket += 1
        self.start = time.perf_counter()
        self.steps_before = self.np_step.copy()
        chunk = min(self.chunk, self.engine.most_steps(len(s.trials)))
        with self.stream.on():
            self.engine.start_training(
                self.stream.handle, s, chunk, self.train_tickets, self.train_ticket
            )

    def _evaluate(self) -> None:
        """Launches the evaluation of the trials that are over; those whose parameters are not
        finite need none.
        """
        s = self.slots
        with self.side.on():
            theta = s.theta[self.over].cpu()
        self.in_evaluation = dict(zip(self.over, theta))
        self.over = []
        self.evaluation_ticket += 1
        self.which.zero_()
        self.which[list(self.in_evaluation)] = 1
        ticket = self.evaluation_tickets, self.evaluation_ticket
        last = list(self.sums)[-1]
        with self.side.on():
            for split, sums in self.sums.items():
                self.engine.start_evaluation(
                    self.side.handle, s, self.which, split, *sums, *ticket if split == last else ()
                )

    @property
    def busy(self) -> bool:
        return bool(self.aloft or self.over or self.in_evaluation)

    def land(self, n_flights: int = 1) -> Iterator[tuple[int, dict, Outcome]]:
        """(number, hparams, Outcome) of what has ended since the last call; `n_flights` flights
        share the device, and its time.
        """
        s = self.slots
        if self.aloft and (self.np_train_tickets == self.train_ticket).all():
            self._end_launch(n_flights)
        if self.in_evaluation and (self.np_evaluation_tickets == self.evaluation_ticket).all():
            thetas = self.in_evaluation
            self.in_evaluation = {}
            for i, theta in thetas.items():
                values = None
                if not s.dead[i] and bool(torch.isfinite(theta).all()):
                    sums = {split: sums[:, i].tolist() for split, sums in self.sums.items()}
                    values = self.engine.data.losses(self.samples[i], sums)
                yield *s.trials[i], outcome_of(self.study, self.engine, s, i, values, theta)
        if self.over and not self.in_evaluation:
            self._evaluate()

    def _end_launch(self, n_flights: int) -> None:
        """Notes what a launch did that is over, and starts the next."""
        s = self.slots
        duration = time.perf_counter() - self.start
        longest = max(1, int((self.np_step - self.steps_before).max()))
        for i in self.aloft:
            s.seconds[i] += duration / (len(self.aloft) * n_flights)
        over = [i for i in self.aloft if self.np_dead[i] or self.np_step[i] >= self.total_steps[i]]
        self.aloft -= set(over)
        self.over += over
        fitting = int(longest * CHUNK_SECONDS / max(duration, 1e-6))
        self.chunk = max(8, min(4 * self.chunk, fitting))
        if self.aloft:
            self._train()

    def close(self) -> None:
        """Gives the streams back. To be called once the flight is no longer busy, or is given up."""
        self.module.free(self.stream)
        self.module.free(self.side)
