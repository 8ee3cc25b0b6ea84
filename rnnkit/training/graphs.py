"""The plain step as a CUDA graph: its hundreds or thousands of operations are recorded once and
then launched together.

A graph reads and writes the same memory each time, so it has buffers of its own for as many slots
as it was recorded with. The slots are copied there and back, and rows that no slot fills idle.
Batches are made outside of the graph, since some tasks look at numbers while they draw.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from rnnkit.training.slots import Batch, Slots, State

Work = Callable[[], None]


class NoGraph(RuntimeError):
    """Why the step cannot be recorded."""


def capture(work: Work, device: str) -> Work:
    """A function that runs the operations of work() on a GPU. Raises NoGraph where they cannot be
    recorded.
    """
    try:
        with torch.cuda.device(device):
            return _record(work)
    except RuntimeError as reason:
        raise NoGraph(str(reason).strip().split("\n")[0].rstrip(".")) from reason


def _record(work: Work) -> Work:
    # libraries choose and allocate when they are first called, which a graph must not contain
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


class Graph:
    """Takes the steps of slots by a recorded graph.

    `step_of(state, inputs, targets, since)` gives the state after a step. `record(work)` gives a
    function that does work() again, as `capture` does.
    """

    def __init__(self, step_of: Callable[..., State], record: Callable[[Work], Work]) -> None:
        self.step_of = step_of
        self.record = record
        # of the graph that was recorded last, if there is one
        self.replay: Work = lambda: None
        self.state: State = {}
        self.batch: list[Tensor] = []
        self.since = 0

    def train(self, s: Slots, steps: int, batch_of: Callable[[Slots], Batch]) -> None:
        """Takes so many steps of every slot; `batch_of(s)` gives the inputs and targets of the
        next. Raises NoGraph where they cannot be recorded, with the slots as they were.
        """
        first = int(s.column("first_scored").min())
        batch = batch_of(s)
        if not self._fits(s, first, batch):
            self._prepare(s, first, batch)
        count = len(s.trials)
        for name, tensor in s.state.items():
            self.state[name][:count].copy_(tensor)
        self.state["dead"][count:] = 1  # the rows left over idle
        for k in range(steps):
            for buffer, numbers in zip(self.batch, batch_of(s) if k else batch):
                buffer[:count].copy_(numbers)
            self.replay()
            s.step = self.state["step"][:count].clone()
        s.update({name: tensor[:count].clone() for name, tensor in self.state.items()})

    def _fits(self, s: Slots, first: int, batch: Batch) -> bool:
        """Whether the recorded graph serves these slots, first scored step and batch."""
        if not self.batch or len(s.trials) > len(self.state["step"]) or first < self.since:
            return False
        return all(
            (buffer.shape[1:], buffer.dtype) == (numbers.shape[1:], numbers.dtype)
            for buffer, numbers in zip(self.batch, batch)
        )

    def _prepare(self, s: Slots, first: int, batch: Batch) -> None:
        """Makes buffers for these slots, and records the graph that works on them."""
        self.since = first
        self.state = {name: tensor.clone() for name, tensor in s.state.items()}
        self.batch = [numbers.clone() for numbers in batch]

        def work() -> None:
            for name, value in self.step_of(self.state, *self.batch, self.since).items():
                self.state[name].copy_(value)

        self.replay = self.record(work)
