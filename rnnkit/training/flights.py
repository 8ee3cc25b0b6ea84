"""Trials of many studies in training at once on one GPU.

A flight is some trials of one study, each in a block of its own, on a stream of its own; flights of
different studies fill the card together. The host only ever looks: a launch writes its ticket, the
steps done and the results into memory that both can read, so that no copy and no event has to wait
its turn among the streams.
"""

import time

import torch

from rnnkit.training import outcome_of
from rnnkit.training.engines import Fused, judged, parts_of
from rnnkit.training.slots import Slots, prepared

CHUNK_SECONDS = 0.15  # of a launch: short beside a trial, long beside the host's turn


class Flight:
    """The trials `numbers` of a study with their hyper-parameters, on their way on a device.

    `land()` is to be called again and again; it gives (number, hparams, Outcome) of what has ended
    since. `aloft` says whether any trial is left. `data` is the study's, on the device. Unavailable
    where there is no fused step for the study.
    """

    def __init__(self, study, hparams, numbers, data, device, module=None):
        self.study, self.engine = study, Fused(study, data, device, module)
        self.module = self.engine.module
        self.stream, self.side = self.module.stream(), self.module.stream()
        self.parts = parts_of(self.engine, study.task)
        # what is measured on is made by torch's own stream, which this flight's do not wait for
        self.module.settle()
        with self.stream.on():
            self.slots = s = Slots(study.num_params, torch.float32, device)
            s.fill(list(prepared(study, zip(numbers, hparams), torch.float32)))
        models, seen = len(s.trials), self.module.seen
        self.total = s.column("train_steps").long().tolist()
        self.hp_rows = s.hp.cpu().tolist()
        s.step, s.dead = seen(models, dtype=torch.int64), seen(models, dtype=torch.int64)
        self.done, self.which, self.judged = (seen(models, dtype=torch.int64) for _ in range(3))
        different = list(dict.fromkeys(self.parts.values()))
        self.sums = {part: seen(2, models, dtype=torch.float64) for part in different}
        # the host looks at these thousands of times a second, and numpy looks faster
        self.done_seen, self.judged_seen, self.step_seen, self.dead_seen = (
            x.numpy() for x in (self.done, self.judged, s.step, s.dead)
        )
        # rows in training, to be judged, being judged (with their theta)
        self.aloft, self.ended, self.at_work = (set(range(models)), [], {})
        self.ticket, self.trial, self.chunk = 0, 0, 64
        self._train()

    def _train(self):
        s = self.slots
        self.ticket, self.since, self.before = (
            self.ticket + 1,
            time.perf_counter(),
            self.step_seen.copy(),
        )
        with self.stream.on():
            self.engine.launch(
                self.stream.handle,
                s,
                min(self.chunk, self.engine.most(len(s.trials))),
                self.done,
                self.ticket,
            )

    def _judge(self):
        """Starts the measuring of the trials that have ended; those whose parameters are not finite
        need none.
        """
        s = self.slots
        with self.side.on():
            theta = s.theta[self.ended].cpu()
        self.at_work = dict(zip(self.ended, theta))
        self.ended, self.trial = [], self.trial + 1
        self.which.zero_()
        self.which[list(self.at_work)] = 1
        with self.side.on():
            for part, (loss, right) in self.sums.items():
                last = part == list(self.sums)[-1]
                self.engine.judge(
                    self.side.handle,
                    s,
                    self.which,
                    part,
                    loss,
                    right,
                    self.judged if last else None,
                    self.trial,
                )

    @property
    def busy(self) -> bool:
        return bool(self.aloft or self.ended or self.at_work)

    def land(self, company=1):
        """What has ended since the last call, as (number, hparams, Outcome); `company` flights
        share the device, and the time with it.
        """
        s = self.slots
        if self.aloft and (self.done_seen == self.ticket).all():
            self._note_chunk(company)
        if self.at_work and (self.judged_seen == self.trial).all():
            rows, self.at_work = self.at_work, {}
            for row, theta in rows.items():
                sound = not s.dead[row] and bool(torch.isfinite(theta).all())
                sums = {part: sums[:, row].tolist() for part, sums in self.sums.items()}
                found = (
                    judged(self.study.task, self.hp_rows[row], self.parts, sums) if sound else None
                )
                yield (
                    *s.trials[row],
                    outcome_of(
                        self.study,
                        found,
                        int(s.step[row]),
                        s.seconds[row],
                        self.engine.device,
                        theta,
                    ),
                )
        if self.ended and not self.at_work:
            self._judge()

    def _note_chunk(self, company):
        """A launch is over: takes down what it did, and starts the next."""
        s, elapsed = self.slots, time.perf_counter() - self.since
        longest = max(1, int((self.step_seen - self.before).max()))
        for row in self.aloft:
            s.seconds[row] += elapsed / (len(self.aloft) * company)
        ended = [
            row
            for row in self.aloft
            if self.dead_seen[row] or self.step_seen[row] >= self.total[row]
        ]
        self.aloft -= set(ended)
        self.ended += ended
        self.chunk = max(8, min(4 * self.chunk, int(longest * CHUNK_SECONDS / max(elapsed, 1e-6))))
        if self.aloft:
            self._train()

    def close(self):
        """Gives the streams back. To be called once the flight is no longer busy, or everything is
        over.
        """
        self.module.free(self.stream), self.module.free(self.side)
