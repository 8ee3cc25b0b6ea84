"""The plain step as a CUDA graph: its hundreds or thousands of operations are recorded once and
then launched together.

A graph reads and writes the same memory each time, so that it has room of its own for as many slots
as it was recorded with; slots that come and go are copied there and back, and places that nobody
has stand still. Batches are made outside, since some tasks look at numbers while they draw.
"""

from collections.abc import Callable

import torch

STATE = ("theta", "m", "v", "hp", "step", "dead")


class NoGraph(RuntimeError):
    """Why the step cannot be recorded."""


def capture(work, device):
    """A function that runs, on a GPU, the operations of work(); NoGraph where it cannot be."""
    try:
        with torch.cuda.device(device):
            return _captured(work)
    except RuntimeError as reason:
        raise NoGraph(str(reason).strip().split("\n")[0]) from reason


def _captured(work):
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):  # libraries choose and allocate when they are first called
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


class Graph:
    """Steps of slots by a recorded graph. `step_of(state, inputs, targets, since)` gives the state
    after a step; `record(work)` gives what does work() again, as `capture` does.
    """

    def __init__(self, step_of, record):
        self.step_of, self.record = step_of, record
        # of the graph that was recorded last, if one was
        self.replay: Callable[[], None] = lambda: None
        self.room: dict[str, torch.Tensor] = {}
        self.fitting: list[tuple] = []
        self.since = 0

    def train(self, s, steps: int, batch_of):
        """So many steps of every slot; `batch_of(s)` gives inputs and targets of the next. NoGraph
        where they cannot be recorded; then the slots are as they were.
        """
        first = int(s.column("first_scored").min())
        batch = batch_of(s)
        if not self._fits(s, first, batch):
            self._prepare(s, first, batch)
        self._take(s)
        count = len(s.trials)
        for k in range(steps):
            if k:
                batch = batch_of(s)
            for room, numbers in zip(self.batch, batch):
                room[:count].copy_(numbers)
            self.replay()
            s.step = self.room["step"][:count].clone()
        for name in ("theta", "m", "v", "dead"):
            setattr(s, name, self.room[name][:count].clone())

    def _fits(self, s, first, batch) -> bool:
        shapes = [(numbers.shape[1:], numbers.dtype) for numbers in batch]
        return (
            shapes == self.fitting
            and len(s.trials) <= len(self.room["step"])
            and first >= self.since
        )

    def _prepare(self, s, first, batch):
        """Room for these slots, and the graph that works on it."""
        self.since = first
        self.fitting = [(numbers.shape[1:], numbers.dtype) for numbers in batch]
        self.room = {name: getattr(s, name).clone() for name in STATE}
        self.batch = [numbers.clone() for numbers in batch]

        def work():
            for name, after in self.step_of(self.room, *self.batch, self.since).items():
                self.room[name].copy_(after)

        self.replay = self.record(work)

    def _take(self, s):
        """Copies the slots into the graph's room; the places left over are marked dead."""
        count = len(s.trials)
        for name in STATE:
            self.room[name][:count].copy_(getattr(s, name))
        self.room["dead"][count:] = 1
