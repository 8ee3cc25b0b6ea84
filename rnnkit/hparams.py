"""Hyper-parameters (Appendix A) as rows: a name of the authors', a range, and where the paper gives it.

`space_for(architecture, task_type)` derives the rows of a study from the maps that its cell names, so a new cell has its
space at once. Scales and types are shared by all layers. A set of hyper-parameters is a plain dict of plain Python values.
"""

import math
from dataclasses import dataclass

import numpy as np

from rnnkit.cells import cell_of, recurrent_maps


@dataclass(frozen=True)
class Uniform:
    """A real number, uniform on [low, high]."""

    name: str
    low: float
    high: float
    where: str = ""

    def from_unit(self, u: float) -> float:
        return self.nearest(self.low + u * (self.high - self.low))

    def nearest(self, value: float) -> float:
        """The value of this row nearest to `value`, as a plain Python number."""
        return float(min(max(value, self.low), self.high))

    def to_unit(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)

    def holds(self, value) -> bool:
        return _is_number(value) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.name} in [{self.low:g}, {self.high:g}]"


@dataclass(frozen=True)
class Log(Uniform):
    """A real number, log-uniform on [low, high]."""

    def from_unit(self, u: float) -> float:
        return self.nearest(self.low * (self.high / self.low) ** u)

    def to_unit(self, value: float) -> float:
        return math.log(value / self.low) / math.log(self.high / self.low)


@dataclass(frozen=True)
class IntLog(Uniform):
    """A whole number, log-uniform on {low, ..., high}."""

    def from_unit(self, u: float) -> int:
        return Log.from_unit(self, u)

    def nearest(self, value: float) -> int:
        return int(min(max(round(value), self.low), self.high))

    def to_unit(self, value: int) -> float:
        return Log.to_unit(self, value)

    def holds(self, value) -> bool:
        return Uniform.holds(self, value) and value == int(value)


@dataclass(frozen=True)
class Choice:
    """One of a few values without an order."""

    name: str
    choices: tuple
    where: str = ""

    def from_unit(self, u: float):
        return self.choices[min(max(int(u * len(self.choices)), 0), len(self.choices) - 1)]

    def nearest(self, value):
        return self.choices[self.choices.index(value)]

    def to_unit(self, value) -> float:
        return (self.choices.index(value) + 0.5) / len(self.choices)  # the middle of its share, so the way back is exact

    def holds(self, value) -> bool:
        return value in self.choices

    def __str__(self) -> str:
        return f"{self.name} in {{{', '.join(map(str, self.choices))}}}"


Row = Uniform | Choice

STEPS = (50_000, 20_000_000)  # the paper's training steps, over all its tasks (App. A)
LEARNING = (
    Choice("optimizer", ("SGD", "momentum", "RMSProp", "Adam"), "App. A"),
    Log("lr_init", 1e-4, 1e-1, "App. A"),
    Log("lr_decay_rate", 1e-3, 1.0, "App. A"),  # the learning rate at step t of T is lr_init * lr_decay_rate ** (t / T)
    Uniform("optimizer_logit_momentum", 1.0, 7.0, "App. A"),  # its sigmoid is momentum, Adam's beta1 or RMSProp's decay
    Log("gradient_clip_val", 1.0, 100.0, "App. A"),
    Log("l2_decay", 1e-8, 1e-3, "App. A"),
)
TASK_ROWS = {  # what a task adds; a task of your own adds its line here
    "per_cap": (
        Log("samples_per_param", 0.1, 10.0, "App. A"),  # dataset size over number of parameters
        Choice("input_presentation", ("first", "every"), "App. A"),
    ),
    "mem_thru": (),
    "rcf": (),
    "text8": (),
    "parens_counting": (),
    "arithmetic": (Choice("compute_steps", (1, 2, 3, 4, 5, 6), "App. B"),),
}


def cell_rows(architecture: str) -> list[Row]:
    """Rows that follow from a cell: its maps, the maps that take b^fg, its initialisations and nonlinearities (App. A)."""
    cell = cell_of(architecture)
    inits, recurrent, rows = cell.recurrent_inits, recurrent_maps(cell), []
    for m in cell.maps:
        rows.append(Log(f"input_scale_{m}", 1e-3, 2.0, "App. A"))
        if m in recurrent and inits != ("identity",):  # inactive for identity
            rows.append(Log(f"recurrent_matrix_scale_{m}", 1e-2, 2.0, "App. A"))
        if not cell.zero_biases:
            rows.append(Uniform(f"recurrent_bias_scale_{m}", -2.0, 2.0, "App. A"))
    if cell.equal_sizes:  # the projection of the input to N units, linear with a bias, as the authors' released cell has it
        rows.append(Log("input_scale_in", 1e-3, 2.0, "App. A"))
        if not cell.zero_biases:
            rows.append(Uniform("recurrent_bias_scale_in", -2.0, 2.0, "App. A"))
    if cell.maps:
        if recurrent and len(inits) > 1:
            rows.append(Choice("recurrent_matrix_init_type", tuple(inits), "App. A"))
        if not cell.zero_biases:
            rows.append(Choice("recurrent_bias_init_type", ("delta", "normal"), "App. A"))
        rows += [Uniform(name, 0.0, 6.0, "App. A") for name in dict.fromkeys(cell.forget.values())]
        if len(cell.nonlinearities) > 1:
            rows.append(Choice("nonlinearity", tuple(cell.nonlinearities), "App. A"))
    return rows


@dataclass(frozen=True)
class Space:
    """The rows that a tuner searches, and the values that an experiment holds fixed (`pinned`).

    A point is a dict name -> plain Python value with every row and every pinned value; `to_unit` and `from_unit` map it
    to and from the unit cube, on which each row is uniform.
    """

    rows: tuple[Row, ...]
    pinned: tuple[tuple[str, object], ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(row.name for row in self.rows)

    def sample(self, rng: np.random.Generator) -> dict:
        """One point, drawn from the ranges' own distributions."""
        return self.from_unit(rng.random(len(self)))

    def from_unit(self, unit) -> dict:
        """The point of `unit`, an array of len(self) numbers in [0, 1]."""
        return self.point([row.from_unit(float(u)) for row, u in zip(self.rows, unit, strict=True)])

    def to_unit(self, point: dict) -> np.ndarray:
        """The unit coordinates of a point. ValueError if a row is missing or out of range."""
        self.check(point)
        return np.array([row.to_unit(point[row.name]) for row in self.rows])

    def point(self, values) -> dict:
        """A dict of plain Python values from one value per row, in the order of the rows; each is brought to its range."""
        return {row.name: row.nearest(value) for row, value in zip(self.rows, values, strict=True)} | dict(self.pinned)

    def values(self, point: dict) -> list:
        """One value per row, in the order of the rows: what skopt calls a point. ValueError as in `to_unit`."""
        self.check(point)
        return [point[row.name] for row in self.rows]

    def check(self, point: dict) -> None:
        """ValueError, one sentence, unless each row's value is there and within its range."""
        for row in self.rows:
            if row.name not in point:
                raise ValueError(f"A point of this space needs a value for {row.name}, got only {', '.join(point) or 'nothing'}.")
            if not row.holds(point[row.name]):
                raise ValueError(f"A point of this space has {row}, got {point[row.name]!r}.")

    def skopt(self):
        """The same space as a skopt.Space, one dimension per row in the same order."""
        from skopt import Space as SkoptSpace  # takes a second or two to import, and only the GP tuner needs it
        from skopt.space import Categorical, Integer, Real

        dimensions = []
        for row in self.rows:
            if isinstance(row, Choice):
                dimensions.append(Categorical(row.choices, name=row.name, transform="onehot"))
            else:
                kind = Integer if isinstance(row, IntLog) else Real
                prior = "log-uniform" if isinstance(row, (Log, IntLog)) else "uniform"
                dimensions.append(kind(row.low, row.high, prior=prior, transform="normalize", name=row.name))
        return SkoptSpace(dimensions)


def space_for(architecture: str, task_type: str, train_steps: tuple[int, int] = STEPS, pinned=()) -> Space:
    """The hyper-parameter space of an architecture on a task (App. A): between 10 and 27 rows for the paper's six.

    `train_steps` is the range of training steps; a range of one value is held fixed. `pinned` (dict or pairs) holds rows
    at a value. ValueError for an unknown architecture or task, a range that is none, and a pin that the space does not have.
    """
    if task_type not in TASK_ROWS:
        known = ", ".join(TASK_ROWS)
        raise ValueError(f"task_type must be one of {known}, got {task_type!r}. Check the spelling, or add its rows to TASK_ROWS.")
    low, high = _steps(train_steps)
    rows = [*cell_rows(architecture), IntLog("train_steps", low, high, "App. A"), *LEARNING]
    if architecture == "linear":  # without recurrence there is one step, so it makes no difference when the input is shown
        rows += [row for row in TASK_ROWS[task_type] if row.name != "input_presentation"]
    else:
        rows += TASK_ROWS[task_type]
    pinned, by_name = dict(pinned), {row.name: row for row in rows}
    for name, value in pinned.items():
        if name not in by_name:
            has = ", ".join(by_name)
            raise ValueError(f"A pinned hyper-parameter must be one that {architecture} has on {task_type}, got {name!r}; it has {has}.")
        if not by_name[name].holds(value):
            raise ValueError(f"A pinned hyper-parameter must lie in its range, {by_name[name]}, got {value!r}.")
    if low == high:
        pinned["train_steps"] = low  # a range of one value is no dimension
    held = tuple((name, by_name[name].nearest(value)) for name, value in pinned.items())
    return Space(tuple(row for row in rows if row.name not in pinned), held)


def _steps(train_steps) -> tuple[int, int]:
    try:
        low, high = train_steps
        good = low == int(low) and high == int(high) and 1 <= low <= high
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise ValueError(f"train_steps must be two whole numbers, 1 <= low <= high, got {train_steps!r}.")
    return int(low), int(high)


def _is_number(value) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool) and math.isfinite(value)
