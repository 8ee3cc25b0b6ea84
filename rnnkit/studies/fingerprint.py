"""A digest of what the numbers of a study depend on, besides its settings: eight characters. If it
changes, the study is another one.

Two trials are comparable if they were drawn from the same ranges, by the same random numbers, for the
same equations and task. The text of the code does not matter, so that renaming a variable changes
nothing: a cell's equations are represented by their results.
"""

import dataclasses
import hashlib
import json
from typing import Any

import torch

from rnnkit import draws
from rnnkit.cells import Cell, Maps, take_step
from rnnkit.hparams import Choice, Range, Space

SHAPE = (1, 2, 3)  # models, examples, units: of the state on which the equations are evaluated
DIGITS = 8  # decimal places of the results; two machines agree on more


def fingerprint(cell: type[Cell], space: Space, task: Any, usual_start: bool) -> str:
    """Eight hexadecimal digits of the cell's maps and equations, the space, the fields of the task
    and the version of the draws.

    `usual_start` says that the tuner starts from the usual values of the space, which are included
    then.
    """
    facts = {
        "draws": draws.VERSION,
        "cell": facts_of(cell),
        "space": [[type(item).__name__, *map(repr, _bounds_of(item))] for item in space.ranges],
        "task": sorted((f.name, repr(getattr(task, f.name))) for f in dataclasses.fields(task)),
    }
    if usual_start:
        facts["usual"] = repr(space.usual())
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]


def facts_of(cell: type[Cell]) -> list:
    """What a cell declares and computes: two cells that agree in this are the same."""
    return [
        cell.maps,
        cell.input_only,
        sorted(cell.forget.items()),
        cell.states,
        cell.equal_sizes,
        equations(cell),
    ]


def _bounds_of(item: Range) -> tuple:
    bounds = item.choices if isinstance(item, Choice) else (item.low, item.high)
    return item.name, *bounds


def equations(cell: type[Cell]) -> list[str]:
    """The results of one step of `cell` on a fixed state, input and maps, for both nonlinearities,
    as texts of numbers.

    Equations that raise an error are represented by its type; the error itself is reported where
    they are trained.
    """
    states = tuple(_numbers(2 + k) for k in range(len(cell.states)))

    def affine(name: str, h: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
        """Fixed multiples of the state and of the input, and a number."""
        k = cell.maps.index(name) + 1
        return (0 if h is None else 0.7 * h / k) + 0.3 * k * x - 0.1 * k

    results = []
    for nonlinearity in (torch.tanh, torch.relu):
        try:
            up, after = take_step(cell, Maps(cell, affine), states, _numbers(1), nonlinearity)
        except Exception as error:
            results.append(type(error).__name__)
            continue
        results += [
            f"{round(number, DIGITS) + 0.0:.{DIGITS}f}"
            for tensor in (up, *after)
            for number in tensor.double().flatten().tolist()
        ]
    return results


def _numbers(k: int) -> torch.Tensor:
    """A tensor of SHAPE with fixed numbers, others for each k."""
    count = SHAPE[0] * SHAPE[1] * SHAPE[2]
    numbers = torch.arange(count, dtype=torch.float64).reshape(SHAPE) - count / 2 + 0.25
    return numbers * (0.2 + 0.1 * k)
