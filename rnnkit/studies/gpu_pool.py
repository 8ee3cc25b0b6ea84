"""Many studies at once on one GPU: processes on the machine's cores suggest the rounds, and the GPU
trains them side by side.
"""

import heapq
import os
import time
from contextlib import suppress

from rnnkit import native
from rnnkit.native import cuda
from rnnkit.studies.rounds import Event, Task
from rnnkit.studies.study import best_loss
from rnnkit.studies.workers import Processes, cores, one_line, out_of_memory
from rnnkit.threads import one_thread
from rnnkit.training import train
from rnnkit.training.engines import Data, warn_plain_step
from rnnkit.training.flights import Flight

MODELS = 1024  # in flight at once: a few for each block that has room on the card
PAUSE = 0.0005  # seconds between two looks at the device when nothing has happened


class OneGPU:
    """A pool (rounds.Pool) of one GPU and `workers` processes that suggest, by default one per core
    but one.

    A round is trained as a whole, in one flight, so the length of the pool is 1.
    """

    def __init__(self, device, workers=None):
        # allows as many streams as possible; it is read when the device is first used
        os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")
        self.device = device
        self.suggesters = Processes(workers or max(1, cores() - 1))
        self.kind = cuda.kind_of(device)
        # heaps of (-urgency, count, task, job); the count orders equally urgent tasks. The longer
        # the longest training of a round is, the more urgent is the round, since all others can run
        # beside it
        self.to_suggest: list[tuple] = []
        self.to_train: list[tuple] = []
        self.count = 0
        # id of a task -> (task, job, flight, outbox)
        self.flights: dict[int, tuple] = {}
        self.data: dict[tuple, tuple] = {}  # (task, seed) -> (number of samples, Data)
        self.stopping = False

    def __len__(self):
        return 1

    def __enter__(self):
        self.threads = one_thread()
        self.threads.__enter__()
        self.suggesters.__enter__()
        return self

    def __exit__(self, *error):
        for key in list(self.flights):
            self._abandon(key)
        self.suggesters.__exit__(*error)
        self.threads.__exit__(*error)

    def free(self) -> bool:
        return True

    def busy(self) -> bool:
        if self.stopping:
            return False  # the flights are given up
        return bool(self.to_suggest or self.to_train or self.flights or self.suggesters.busy())

    def give(self, task: Task, job: dict, urgency: int):
        self.count += 1
        if task.hparams is None:
            job = {**job, "device": "cpu", "compile_for": self.kind}
            heapq.heappush(self.to_suggest, (-urgency, self.count, task, job))
        else:
            most_steps = max(hparams["train_steps"] for hparams in task.hparams)
            longest = task.study.step_flops * most_steps
            heapq.heappush(self.to_train, (-longest, self.count, task, job))

    def stop(self):
        self.stopping = True
        self.suggesters.stop()

    def events(self, seconds: float) -> list[Event]:
        """Looks at the device and at the processes until there are events, or `seconds` have
        passed.
        """
        deadline = time.monotonic() + seconds
        events = []
        while not events and not self.stopping:
            while self.to_suggest and self.suggesters.free():
                *_, task, job = heapq.heappop(self.to_suggest)
                self.suggesters.give(task, job, 0)
            if self.suggesters.busy():
                events += self.suggesters.events(0)
            # one flight is started at a time, so that the others do not wait for long
            if self.to_train and (not self.flights or self._models_in_flight() < MODELS):
                events += self._start(heapq.heappop(self.to_train))
            for key in list(self.flights):
                events += self._poll(key)
            if not events:
                if time.monotonic() > deadline:
                    break
                if not self.to_train:
                    time.sleep(PAUSE)
        return events

    def _models_in_flight(self) -> int:
        return sum(len(task.numbers) for task, *_ in self.flights.values())

    def _start(self, entry: tuple) -> list[Event]:
        """Starts the flight of a round. There are events only if it cannot start."""
        *_, task, job = entry
        try:
            flight = Flight(
                task.study, task.hparams, task.numbers, self._data_of(task), self.device
            )
            self.flights[id(task)] = task, job, flight, Outbox(task, job)
        except native.Unavailable as reason:
            warn_plain_step(task.study, reason, self.device)
            return self._train_plainly(task, job)
        except Exception as error:
            if out_of_memory(error) and self.flights:
                heapq.heappush(self.to_train, entry)  # there is room once another flight has landed
                return []
            return [_failure(task, error)]
        return []

    def _data_of(self, task: Task) -> Data:
        """The data of a study, shared by all studies with its task and seed. A set of samples is
        made again if a longer one is needed.
        """
        study = task.study
        key = (study.task, study.seed)
        count = 0
        if study.task.input == "bits":
            samples = (
                study.task.samples(hparams, study.num_params) for hparams in task.hparams or ()
            )
            count = max(samples)
        if key not in self.data or self.data[key][0] < count:
            self.data[key] = count, Data(study, task.hparams or (), device=self.device)
        return self.data[key][1]

    def _poll(self, key: int) -> list[Event]:
        """The events of a flight since the last call."""
        task, _, flight, outbox = self.flights[key]
        try:
            for outcome in flight.land(len(self.flights)):
                outbox.record(*outcome)
        except Exception as error:
            self._abandon(key)
            return [*outbox.pop_events(), _failure(task, error)]
        if flight.busy:
            return outbox.pop_events()
        del self.flights[key]
        flight.close()
        return [*outbox.pop_events(), Event(task, "done", None)]

    def _abandon(self, key: int):
        """Gives up a flight, after the device has finished with its memory."""
        *_, flight, _ = self.flights.pop(key)
        with suppress(Exception):  # a device that has failed raises the same error again
            flight.module.wait()
            flight.close()

    def _train_plainly(self, task: Task, job: dict) -> list[Event]:
        """Trains a round of a study that has no fused step at once and to its end, with the plain
        step, which has many models in each operation.
        """
        outbox = Outbox(task, job)
        try:
            train(
                task.study,
                task.hparams or (),
                task.numbers,
                device=self.device,
                on_outcome=outbox.record,
                stop=lambda: self.stopping,
                engine="eager",
            )
        except Exception as error:
            return [*outbox.pop_events(), _failure(task, error)]
        return [*outbox.pop_events(), Event(task, "done", None)]


def _failure(task: Task, error: Exception) -> Event:
    return Event(task, "failed", (one_line(error), repr(error)))


class Outbox:
    """Stands for a store while a task is trained: trials and weights become events."""

    def __init__(self, task: Task, job: dict):
        self.task = task
        self.scale = job["scale"]
        self.events: list[Event] = []
        self.best = task.best  # least validation loss of the study so far

    def record(self, number, hparams, outcome):
        """Makes events of an outcome of training."""
        trial = self.task.study.record(self, number, hparams, outcome, self.scale, self.best)
        self.best = min(self.best, best_loss([trial]))

    def add(self, trials):
        self.events += [Event(self.task, "trial", trial) for trial in trials]

    def save_weights(self, *weights):
        self.events.append(Event(self.task, "weights", weights))

    def pop_events(self) -> list[Event]:
        """The events since the last call."""
        events = self.events
        self.events = []
        return events
