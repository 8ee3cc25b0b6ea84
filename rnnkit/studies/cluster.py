"""Workers on other machines: the rounds are tasks of an existing Dask scheduler. What it has done
comes back here, trial by trial.

A task that is no longer wanted, because the run was stopped or its machine is gone, notices so on
its worker and ends.
"""

import dataclasses
import logging
import queue
import time
import traceback
import uuid
from contextlib import contextmanager
from pathlib import Path

from rnnkit.studies.rounds import StudyError, perform
from rnnkit.studies.workers import RAN_OUT, one_line, out_of_memory
from rnnkit.threads import one_thread
from rnnkit.trials import Trial

PATIENCE = 15  # seconds: to find the scheduler, and to wait for a first worker before saying so


def check_choice(scheduler, workers, device):
    """ValueError for a scheduler that is no address, and for what does not go with one."""
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
def cluster_at(address, say):
    """A pool of the workers of the Dask scheduler at `address` (tcp://host:8786, or its scheduler
    file). ValueError if there is none.
    """
    try:
        import distributed
    except ImportError as error:
        raise ValueError(
            "A scheduler needs Dask, which is not installed. Install it with `pip install"
            " 'rnnkit[cluster]'`."
        ) from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is said in our words
    where = (
        {"scheduler_file": str(address)} if Path(address).is_file() else {"address": str(address)}
    )
    try:
        client = distributed.Client(**where, timeout=PATIENCE, set_as_default=False, name="rnnkit")
    # TimeoutError is an OSError; AssertionError is what a machine that is too busy gets
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


class Cluster:
    """The workers of a Dask scheduler as a pool. The scheduler has all the tasks that there are,
    and gives them out by urgency.
    """

    def __init__(self, client, address, say):
        self.client, self.address, self.say = client, address, say
        self.news, self.working = queue.SimpleQueue(), {}  # key of a task -> (task, future)
        self.topic = f"rnnkit-{uuid.uuid4()}"
        self.since, self.alone = time.monotonic(), False
        client.subscribe_topic(self.topic, lambda event: self.news.put(("trial", event[1])))

    def __len__(self):
        return max(1, self._threads())

    def free(self) -> bool:
        return True

    def busy(self) -> bool:
        return bool(self.working)

    def give(self, task, job, urgency):
        key = f"{task.study.key}-{task.numbers[0]}-{uuid.uuid4()}"
        future = self.client.submit(
            _by_value(), job, self.topic, key=key, priority=urgency, pure=False
        )
        self.working[key] = task, future
        future.add_done_callback(lambda future: self.news.put(("end", future.key)))

    def stop(self):
        """Takes back all tasks; those at work notice it within a second."""
        futures = [future for _, future in self.working.values()]
        self.working.clear()
        if futures and self.client.status == "running":
            self.client.cancel(futures, force=True)

    def events(self, seconds):
        """What has come in: (task, "trial", "weights", "done", "failed" or "lost", content).
        StudyError once the scheduler is gone.
        """
        self._look_after()
        try:
            news = [self.news.get(timeout=seconds)]
        except queue.Empty:
            return
        while not self.news.empty():
            news.append(self.news.get())
        for word, content in news:
            if word == "trial":
                if content["key"] in self.working:
                    yield self.working[content["key"]][0], "trial", Trial(**content["trial"])
            elif content in self.working:
                task, future = self.working.pop(content)
                yield from self._end(task, future)

    def _end(self, task, future):
        if future.status == "finished":
            value, trials, weights = future.result()
            yield from ((task, "trial", trial) for trial in trials)
            if weights:
                yield task, "weights", weights
            yield task, "done", value
        elif future.status == "error":
            error = future.exception()
            if out_of_memory(error):
                yield task, "lost", RAN_OUT
            elif type(error).__name__ == "KilledWorker":
                yield (
                    task,
                    "failed",
                    (
                        "its workers were killed, one after another (is there too little memory?)",
                        str(error),
                    ),
                )
            else:
                details = "".join(
                    traceback.format_exception(type(error), error, future.traceback())
                )
                yield task, "failed", (one_line(error), details)
        else:
            yield task, "lost", f"the scheduler dropped it ({future.status})"

    def _look_after(self):
        """Notices that the scheduler is gone, or has no workers."""
        if self.client.status not in ("running", "connecting"):
            raise self._gone()
        if time.monotonic() - self.since > PATIENCE:
            self.since = time.monotonic()
            alone = not self._threads()
            if alone and not self.alone:
                self.say(f"The Dask scheduler at {self.address} has no workers; waiting for some.")
            self.alone = alone

    def _threads(self) -> int:
        """Of all workers that there are now."""
        try:
            return sum(self.client.nthreads().values())
        except (OSError, RuntimeError) as error:
            raise self._gone() from error

    def _gone(self):
        return StudyError(
            f"The Dask scheduler at {self.address} is gone. All finished trials are kept; run again"
            " to go on."
        )


def _by_value():
    """The task as a function that travels as its own code: then the scheduler, which reads it,
    needs neither rnnkit nor torch.
    """

    def on_worker(job, topic):
        from rnnkit.studies.cluster import work

        return work(job, topic)

    return on_worker


def work(job, topic):
    """A task on a worker of the cluster: gives what `perform` gives, the trials, and the weights of
    the best if they are wanted.
    """
    import distributed

    outbox = _Outbox(distributed.get_worker(), topic)
    with one_thread():
        return perform(job, outbox), outbox.trials, outbox.weights


class _Outbox:
    """What a worker has for a store: trials go to the run as they end, by way of the scheduler, and
    once more with the result.
    """

    def __init__(self, worker, topic):
        self.worker, self.topic, self.key, self.trials, self.weights = (
            worker,
            topic,
            worker.get_current_task(),
            [],
            (),
        )

    def add(self, trials):
        for trial in trials:
            self.trials.append(trial)
            self.worker.log_event(self.topic, {"key": self.key, "trial": dataclasses.asdict(trial)})

    def save_weights(self, *weights):
        self.weights = weights  # of a better trial than those before

    def stop(self):
        task = self.worker.state.tasks.get(self.key)
        return task is None or task.state == "cancelled"
