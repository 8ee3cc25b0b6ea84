"""Many studies at once on one GPU: rounds are suggested by processes on the machine's cores, and
trained side by side on the card.
"""

import heapq
import os
import time
from contextlib import suppress

from rnnkit import native
from rnnkit.native import cuda
from rnnkit.studies.study import best_loss
from rnnkit.studies.workers import Processes, cores, one_line, out_of_memory
from rnnkit.threads import one_thread
from rnnkit.training import train
from rnnkit.training.engines import Data, warn_plain_step
from rnnkit.training.flights import Flight

MODELS = 1024  # in flight at once: a few for each block that finds room on the card
PAUSE = 0.0005  # seconds between two looks at the device when nothing happened


class OneGPU:
    """A pool for train_in_rounds, of one GPU and `workers` processes that suggest (None: one a
    core, but one).

    A round is trained as a whole, in one flight, so that a pool has the length 1.
    """

    def __init__(self, device, workers=None, models=MODELS, flight=Flight):
        os.environ.setdefault(
            "CUDA_DEVICE_MAX_CONNECTIONS", "32"
        )  # as many streams at once as there can be; read as the device is first used
        self.device, self.models, self.flight = device, models, flight
        self.suggesters = Processes(workers or max(1, cores() - 1))
        self.kind = cuda.kind_of(device)
        # heaps of (-urgency, count, task, job)
        self.to_suggest, self.to_train, self.count = ([], [], 0)
        # flights by their task's id: (task, job, flight, outbox)
        self.flights, self.data, self.stopped = ({}, {}, False)

    def __len__(self):
        return 1

    def __enter__(self):
        self.threads = one_thread()
        self.threads.__enter__()
        self.suggesters.__enter__()
        return self

    def __exit__(self, *error):
        for key in list(self.flights):
            self._give_up(key)
        self.suggesters.__exit__(*error)
        self.threads.__exit__(*error)

    def free(self) -> bool:
        return True

    def busy(self) -> bool:
        if self.stopped:
            return False  # what is in flight is given up
        return bool(self.to_suggest or self.to_train or self.flights or self.suggesters.busy())

    def give(self, task, job, urgency):
        self.count += 1
        if task.hparams is None:
            heapq.heappush(
                self.to_suggest,
                (-urgency, self.count, task, {**job, "device": "cpu", "compile_for": self.kind}),
            )
        else:
            heapq.heappush(self.to_train, (-urgency, self.count, task, job))

    def stop(self):
        self.stopped = True
        self.suggesters.stop()

    def events(self, seconds):
        """As Processes.events: looks at the device and at the processes until something has
        happened, or `seconds` have passed.
        """
        end, found = time.monotonic() + seconds, []
        while not found and not self.stopped:
            while self.to_suggest and self.suggesters.free():
                *_, task, job = heapq.heappop(self.to_suggest)
                self.suggesters.give(task, job, 0)
            found += self.suggesters.events(0) if self.suggesters.busy() else []
            if self.to_train and (not self.flights or self._in_flight() < self.models):
                found += self._start(
                    heapq.heappop(self.to_train)
                )  # one at a time, so that the others are not kept waiting
            for key in list(self.flights):
                found += self._look(key)
            if not found:
                if time.monotonic() > end:
                    break
                if not self.to_train:
                    time.sleep(PAUSE)
        return found

    def _in_flight(self):
        return sum(len(task.numbers) for task, *_ in self.flights.values())

    def _start(self, entry):
        """Begins a round's flight; gives events only where it cannot."""
        *_, task, job = entry
        study = task.study
        try:
            flight = self.flight(
                study, task.hparams, task.numbers, self._data_of(task), self.device
            )
            self.flights[id(task)] = task, job, flight, Outbox(task)
        except native.Unavailable as reason:
            warn_plain_step(study, reason, self.device)
            return self._train_plainly(task, job)
        except Exception as error:
            if out_of_memory(error) and self.flights:
                heapq.heappush(self.to_train, entry)  # once another has landed there is room
                return []
            return [(task, "failed", (one_line(error), repr(error)))]
        return []

    def _data_of(self, task):
        """The data of a study, shared by all that have its task and seed; one set of samples is
        made again where a longer one is asked for.
        """
        study = task.study
        key, count = (study.task, study.seed), 0
        if study.task.input == "bits":
            count = max(study.task.samples(hparams, study.num_params) for hparams in task.hparams)
        if key not in self.data or self.data[key][0] < count:
            self.data[key] = count, Data(study, task.hparams, device=self.device)
        return self.data[key][1]

    def _look(self, key):
        """What has come of a flight since: events."""
        task, job, flight, outbox = self.flights[key]
        try:
            for number, hparams, outcome in flight.land(len(self.flights)):
                best = min(task.best, best_loss(outbox.kept))
                outbox.kept.append(
                    task.study.keep(outbox, number, hparams, outcome, job["scale"], best)
                )
        except Exception as error:
            self._give_up(key)
            return [*outbox.taken(), (task, "failed", (one_line(error), repr(error)))]
        if flight.busy:
            return outbox.taken()
        del self.flights[key]
        flight.close()
        return [*outbox.taken(), (task, "done", None)]

    def _give_up(self, key):
        """Forgets a flight, but not before the device has let go of its memory."""
        *_, flight, _ = self.flights.pop(key)
        with suppress(Exception):  # a device that failed says so again
            flight.module.wait()
            flight.close()

    def _train_plainly(self, task, job):
        """A study without a fused step: its round is trained here and now by the plain step, many
        models in each operation.
        """
        outbox = Outbox(task)

        def keep(number, hparams, outcome):
            outbox.kept.append(
                task.study.keep(
                    outbox,
                    number,
                    hparams,
                    outcome,
                    job["scale"],
                    min(task.best, best_loss(outbox.kept)),
                )
            )

        try:
            train(
                task.study,
                task.hparams,
                task.numbers,
                device=self.device,
                on_outcome=keep,
                stop=lambda: self.stopped,
                engine="eager",
            )
        except Exception as error:
            return [*outbox.taken(), (task, "failed", (one_line(error), repr(error)))]
        return [*outbox.taken(), (task, "done", None)]


class Outbox:
    """Stands for a store while a flight lands: trials and weights become events."""

    def __init__(self, task):
        self.task, self.found, self.kept = task, [], []

    def add(self, trials):
        self.found += [(self.task, "trial", trial) for trial in trials]

    def save_weights(self, *weights):
        self.found.append((self.task, "weights", weights))

    def taken(self):
        found, self.found = self.found, []
        return found
