"""Workers on other machines: the rounds become tasks of an existing Dask scheduler, and the trials
come back one by one.

A task that has been given up, because the run was stopped or its machine is gone, notices that on its
worker and ends.
"""

import dataclasses
import gc
import logging
import os
import queue
import socket
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rnnkit.studies.rounds import Event, StudyError, Task, perform
from rnnkit.studies.workers import OUT_OF_MEMORY, one_line, out_of_memory
from rnnkit.threads import one_thread
from rnnkit.trials import Trial

PATIENCE = 15  # seconds to wait for the scheduler, and for its first worker before saying so


def check_scheduler(scheduler: Any, workers: int, device: Any) -> None:
    """ValueError for a scheduler that is no address, and for settings that do not go with one."""
    if not isinstance(scheduler, (str, Path)) or not str(scheduler).strip():
        raise ValueError(
            "scheduler must be an address, such as tcp://host:8786, or a scheduler file, got"
            f" {scheduler!r}."
        )
    if workers:
        raise ValueError(
            f"workers must be left out where a scheduler is named, got {workers}: the scheduler's"
            " own workers train."
        )
    if device not in (None, "cpu", "cuda"):
        raise ValueError(
            "device must be cpu or cuda, or be left out so that each worker takes what it has, got"
            f" {device!r}."
        )


@contextmanager
def cluster_at(address: str | os.PathLike, say: Callable[[str], object]) -> Iterator["Cluster"]:
    """A pool of the workers of the Dask scheduler at `address`, which is tcp://host:8786 or the path
    of its scheduler file. ValueError if no scheduler answers there.
    """
    try:
        import distributed
    except ImportError as error:
        raise ValueError(
            "A scheduler needs Dask, which is not installed. Install it with `pip install"
            " 'rnnkit[cluster]'`."
        ) from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # we report what matters
    keyword = "scheduler_file" if Path(address).is_file() else "address"
    try:
        if keyword == "address":
            _knock(str(address))
        with _without_garbage_collection():
            client = distributed.Client(
                **{keyword: str(address)}, timeout=PATIENCE, set_as_default=False, name="rnnkit"
            )
    # TimeoutError is an OSError; a machine that is too busy raises AssertionError
    except (OSError, ValueError, TypeError, KeyError, AssertionError) as error:
        raise ValueError(
            f"No Dask scheduler answers at {address} ({one_line(error)}). Give the address that"
            " `dask scheduler` prints, such as tcp://host:8786."
        ) from error
    pool = Cluster(client, address, say)
    try:
        yield pool
    finally:
        pool.stop()
        client.close(timeout=5)


def _knock(address: str) -> None:
    """OSError or ValueError if nothing listens at the address within PATIENCE. This is checked
    before there is a client, since one that finds no scheduler stays alive and logs errors when the
    program ends.
    """
    from distributed.comm import get_address_host_port

    if address.startswith(("inproc:", "ucx")):
        return
    host_and_port = get_address_host_port(address)
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(host_and_port, timeout=PATIENCE).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Collects garbage now, and none until the end of the block. The finaliser of a client that
    found no scheduler waits for a lock that is held while another client starts: if it ran then,
    the start would never end.
    """
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Cluster:
    """The workers of a Dask scheduler as a pool (rounds.Pool). The scheduler receives all tasks at
    once, and gives them to workers by urgency.
    """

    def __init__(
        self, client: Any, address: str | os.PathLike, say: Callable[[str], object]
    ) -> None:
        self.client = client
        self.address = address
        self.say = say
        self.messages: queue.SimpleQueue = queue.SimpleQueue()  # ("trial", dict) or ("end", key)
        self.running: dict[str, tuple] = {}  # key of a Dask task -> (task, future)
        self.topic = f"rnnkit-{uuid.uuid4()}"
        # when the workers were last counted, and whether there were none
        self.last_check = time.monotonic()
        self.without_workers = False
        client.subscribe_topic(self.topic, lambda event: self.messages.put(("trial", event[1])))

    def __len__(self) -> int:
        return max(1, self._threads())

    def free(self) -> bool:
        return True

    def busy(self) -> bool:
        return bool(self.running)

    def give(self, task: Task, job: dict) -> None:
        key = f"{task.study.key}-{task.numbers[0]}-{uuid.uuid4()}"
        future = self.client.submit(
            _function_by_value(), job, self.topic, key=key, priority=task.urgency, pure=False
        )
        self.running[key] = task, future
        future.add_done_callback(lambda future: self.messages.put(("end", future.key)))

    def stop(self) -> None:
        """Cancels all tasks; those that are running notice it within a second."""
        futures = [future for _, future in self.running.values()]
        self.running.clear()
        if futures and self.client.status == "running":
            self.client.cancel(futures, force=True)

    def events(self, seconds: float) -> Iterator[Event]:
        """The events since the last call. StudyError once the scheduler is gone."""
        self._check_scheduler()
        try:
            messages = [self.messages.get(timeout=seconds)]
        except queue.Empty:
            return
        while not self.messages.empty():
            messages.append(self.messages.get())
        for kind, content in messages:
            if kind == "trial":
                if content["key"] in self.running:
                    task, _ = self.running[content["key"]]
                    yield Event(task, "trial", Trial(**content["trial"]))
            elif content in self.running:
                yield from _last_events(*self.running.pop(content))

    def _check_scheduler(self) -> None:
        """Notices that the scheduler is gone, or has no workers."""
        if self.client.status not in ("running", "connecting"):
            raise self._scheduler_lost()
        if time.monotonic() - self.last_check > PATIENCE:
            self.last_check = time.monotonic()
            without_workers = not self._threads()
            if without_workers and not self.without_workers:
                self.say(f"The Dask scheduler at {self.address} has no workers; waiting for some.")
            self.without_workers = without_workers

    def _threads(self) -> int:
        """The number of threads of all workers."""
        try:
            return sum(self.client.nthreads().values())
        except (OSError, RuntimeError) as error:
            raise self._scheduler_lost() from error

    def _scheduler_lost(self) -> StudyError:
        return StudyError(
            f"The Dask scheduler at {self.address} is gone. All finished trials are kept; run again"
            " to go on."
        )


def _last_events(task: Task, future: Any) -> Iterator[Event]:
    """The events of a task that has ended, one way or another."""
    if future.status == "finished":
        yield from (Event(task, *event) for event in future.result())
    elif future.status != "error":
        yield Event(task, "lost", f"the scheduler dropped it ({future.status})")
    elif out_of_memory(error := future.exception()):
        yield Event(task, "lost", OUT_OF_MEMORY)
    elif type(error).__name__ == "KilledWorker":
        reason = "its workers were killed, one after another (is there too little memory?)"
        yield Event(task, "failed", (reason, str(error)))
    else:
        lines = traceback.format_exception(type(error), error, future.traceback())
        yield Event(task, "failed", (one_line(error), "".join(lines)))


def _function_by_value() -> Callable[[dict, str], list]:
    """The function of a task, which is sent as code: the scheduler, which reads it, then needs
    neither rnnkit nor torch.
    """

    def on_worker(job: dict, topic: str) -> list:
        from rnnkit.studies.cluster import work

        return work(job, topic)

    return on_worker


def work(job: dict, topic: str) -> list[tuple[str, Any]]:
    """Does a task on a worker of the cluster. Returns the kinds and contents of its events. The
    trials are also sent to the run as they end, by way of the scheduler.
    """
    import distributed

    worker = distributed.get_worker()
    key = worker.get_current_task()
    events: list[tuple[str, Any]] = []

    def send(kind: str, content: Any) -> None:
        events.append((kind, content))
        if kind == "trial":
            worker.log_event(topic, {"key": key, "trial": dataclasses.asdict(content)})

    def stop() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    with one_thread():
        send("done", perform(job, send, stop))
    return events
