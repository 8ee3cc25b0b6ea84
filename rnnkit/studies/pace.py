"""How long trials take, learned from those that have ended.

The logarithm of a trial's seconds, less what its steps and its network predict, is modelled as a
sum: of the machine's pace, which drifts as other programs come and go, and of what a task, an
architecture, both together, size and depth add. A Kalman filter follows these parts from trial to
trial. So the pace of a kind of study without any trial in the run is estimated from what is known
of its task and its architecture, and a machine that has become slower is noticed within a minute.
"""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from rnnkit import places

# standard deviations of the parts before any trial
MACHINE = 10.0
SIZE = 0.3
LAYERS = 0.3
OTHERS = 0.7, 0.4, 0.3  # of a task, an architecture, and the two together
STUDY = 0.25  # of what is a study's own
TRIAL = 0.4  # of what is a trial's own
DRIFT = 6e-4  # variance that a second adds to the machine's pace
CHANGE = 0.05  # standard deviation of the other parts between one machine and another
FIXED = 1_000  # parameters whose work equals the constant cost of a step


class Work(NamedTuple):
    """What the pace of a study depends on."""

    task_type: str
    architecture: str
    n_layers: int
    num_params: int
    unroll: int

    @property
    def cost(self) -> int:
        """The work of a step in arbitrary units."""
        return (self.num_params + FIXED) * max(1, self.unroll)


def work_of(study: Any) -> Work:
    """The work of a study, or of a row of a frame of trials."""
    return Work(*(getattr(study, name) for name in Work._fields))


class Pace:
    """Seconds per step of studies, by the trials that have ended.

    `elsewhere` holds (work, seconds per step) of studies that were trained elsewhere: their
    differences are used from the start, but not the pace of that machine.
    """

    def __init__(self, elsewhere: Iterable[tuple[Work, float]] = ()):
        self.places: dict[tuple, int] = {}  # of the parts that have a name
        self.parts = np.zeros(3)
        self.spread = np.diag(np.square([MACHINE, SIZE, LAYERS]))
        for work, seconds in elsewhere:
            self._update(work, seconds, STUDY**2 + TRIAL**2)
        self.spread += np.diag([MACHINE**2, *[CHANGE**2] * (len(self.parts) - 1)])

    def learn(self, work: Work, seconds: float, trials: int, interval: float) -> None:
        """Learns from a trial that took `seconds` per step, belongs to a study of `trials` trials,
        and ended `interval` seconds after the previous one.
        """
        self.spread[0, 0] += DRIFT * interval
        # a study's own part is the same in all of its trials, so all of them say no more of it than
        # one
        self._update(work, seconds, trials * STUDY**2 + TRIAL**2)

    def seconds(self, works: list[Work]) -> np.ndarray:
        """Expected seconds per step, shape (studies,)."""
        weights = [self._row(work) for work in works]
        table = np.zeros((len(works), len(self.parts)))
        for row, values in zip(table, weights):
            row[: len(values)] = values
        return np.exp(table @ self.parts + [math.log(work.cost) for work in works])

    def _update(self, work: Work, seconds: float, variance: float) -> None:
        if not seconds > 0 or not math.isfinite(seconds):
            return
        row = self._row(work)
        surprise = math.log(seconds) - math.log(work.cost) - row @ self.parts
        shared = self.spread @ row
        gain = shared / (row @ shared + variance)
        self.parts = self.parts + gain * surprise
        self.spread = self.spread - np.outer(gain, shared)

    def _row(self, work: Work) -> np.ndarray:
        """The weight of each part in a study, shape (parts,); adds parts that are new."""
        names = (work.task_type,), (work.architecture, "cell"), work[:2]
        for name, spread in zip(names, OTHERS):
            if name not in self.places:
                self.places[name] = len(self.parts)
                self.parts = np.append(self.parts, 0.0)
                self.spread = np.pad(self.spread, (0, 1))
                self.spread[-1, -1] = spread**2
        row = np.zeros(len(self.parts))
        row[:3] = 1, math.log((work.num_params + FIXED) / FIXED), math.log(max(1, work.n_layers))
        row[[self.places[name] for name in names]] = 1
        return row


def shipped_paces() -> list[tuple[Work, float]]:
    """(work, seconds per step) of the studies of the trials that ship, which a processor trained;
    none where they cannot be read.
    """
    import pyarrow.parquet

    columns = [*Work._fields, "study", "seconds", "steps"]
    try:
        table = pyarrow.parquet.read_table(
            places.TRIALS, columns=columns, filters=[("device", "=", "cpu")]
        )
    except (OSError, pyarrow.ArrowException):
        return []
    studies = (
        table.to_pandas()
        .groupby("study")
        .agg(dict.fromkeys(Work._fields, "first") | {"seconds": "sum", "steps": "sum"})
    )
    return [(work_of(row), row.seconds / row.steps) for row in studies.itertuples() if row.steps]
