"""Many studies at once on one GPU: processes on the machine's cores suggest the rounds, and the GPU
trains them side by side.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from rnnkit import native
from rnnkit.native import cuda
from rnnkit.studies.rounds import Event, Task
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

    def __init__(self, device: str, workers: int | None = None) -> None:
        # allows as many streams as possible; it is read when the device is first used
        os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")
        self.device = device
        self.suggesters = Processes(workers or max(1, cores() - 1))
        self.kind = cuda.kind_of(device)
        # tasks with their jobs, the first of which comes next
        self.to_suggest: list[tuple[Task, dict]] = []
        self.to_train: list[tuple[Task, dict]] = []
        # id of a task -> the task, its flight, and its study's recorder
        self.flights: dict[int, tuple[Task, Flight, Callable]] = {}
        self.data: dict[tuple, tuple[int, Data]] = {}  # (task, seed) -> number of samples, data
        self.new_events: list[Event] = []
        self.stopping = False

    def __len__(self) -> int:
        return 1

    def __enter__(self) -> Self:
        self.threads = one_thread()
        self.threads.__enter__()
        self.suggesters.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
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

    def give(self, task: Task, job: dict) -> None:
        if task.hparams is None:
            self.to_suggest.append((task, {**job, "device": "cpu", "compile_for": self.kind}))
            self.to_suggest.sort(key=lambda entry: -entry[0].urgency)
        else:
            self.to_train.append((task, job))
            # the round with the longest training first, since all others can run beside it
            self.to_train.sort(key=lambda entry: -_longest(entry[0]))

    def stop(self) -> None:
        self.stopping = True
        self.suggesters.stop()

    def events(self, seconds: float) -> list[Event]:
        """Looks at the device and at the processes until there are events, or `seconds` have
        passed.
        """
        deadline = time.monotonic() + seconds
        while not self.new_events and not self.stopping:
            while self.to_suggest and self.suggesters.free():
                self.suggesters.give(*self.to_suggest.pop(0))
            if self.suggesters.busy():
                self.new_events += self.suggesters.events(0)
            # one flight is started at a time, so that the others do not wait for long
            if self.to_train and (not self.flights or self._models_in_flight() < MODELS):
                self._start(*self.to_train.pop(0))
            for key in list(self.flights):
                self._poll(key)
            if not self.new_events:
                if time.monotonic() > deadline:
                    break
                if not self.to_train:
                    time.sleep(PAUSE)
        events = self.new_events
        self.new_events = []
        return events

    def _models_in_flight(self) -> int:
        return sum(len(task.numbers) for task, *_ in self.flights.values())

    def _start(self, task: Task, job: dict) -> None:
        """Starts the flight of a round."""

        def send(kind: str, content: Any) -> None:
            self.new_events.append(Event(task, kind, content))

        record = task.study.recorder(send, job["scale"], task.best)
        try:
            flight = Flight(
                task.study, task.hparams or (), task.numbers, self._data_of(task), self.device
            )
            self.flights[id(task)] = task, flight, record
        except native.Unavailable as reason:
            warn_plain_step(task.study, reason, self.device)
            self._train_plainly(task, record)
        except Exception as error:
            if out_of_memory(error) and self.flights:
                self.to_train.insert(0, (task, job))  # there is room once another flight has landed
            else:
                self._fail(task, error)

    def _data_of(self, task: Task) -> Data:
        """The data of a study, shared by all studies with its task and seed. A set of samples is
        made again if a longer one is needed.
        """
        study = task.study
        key = (study.task, study.seed)
        count = 0
        if study.task.input == "bits":
            count = max(study.task.samples(h, study.num_params) for h in task.hparams or ())
        if key not in self.data or self.data[key][0] < count:
            self.data[key] = count, Data(study, task.hparams or (), device=self.device)
        return self.data[key][1]

    def _poll(self, key: int) -> None:
        """Records what a flight has brought since the last call."""
        task, flight, record = self.flights[key]
        try:
            for outcome in flight.land(len(self.flights)):
                record(*outcome)
        except Exception as error:
            self._abandon(key)
            self._fail(task, error)
            return
        if not flight.busy:
            del self.flights[key]
            flight.close()
            self.new_events.append(Event(task, "done", None))

    def _abandon(self, key: int) -> None:
        """Gives up a flight, after the device has finished with its memory."""
        _, flight, _ = self.flights.pop(key)
        with suppress(Exception):  # a device that has failed raises the same error again
            flight.module.wait()
            flight.close()

    def _train_plainly(self, task: Task, record: Callable) -> None:
        """Trains a round of a study that has no fused step at once and to its end, with the plain
        step, which has many models in each operation.
        """
        try:
            train(
                task.study,
                task.hparams or (),
                task.numbers,
                device=self.device,
                on_outcome=record,
                stop=lambda: self.stopping,
                engine="eager",
            )
        except Exception as error:
            self._fail(task, error)
        else:
            self.new_events.append(Event(task, "done", None))

    def _fail(self, task: Task, error: Exception) -> None:
        self.new_events.append(Event(task, "failed", (one_line(error), repr(error))))


def _longest(task: Task) -> int:
    """Floating-point operations of the longest training of a round, roughly."""
    return task.study.step_flops * max(hparams["train_steps"] for hparams in task.hparams or ())
