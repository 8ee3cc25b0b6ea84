"""What a study's numbers follow from besides its settings, as eight characters: a change of it
makes another study.

Two trials are comparable if they were drawn from the same ranges, by the same random numbers, for
the same equations and task. The text of the code is not looked at, so that renaming a variable
changes nothing: a cell's equations are known by what they give.
"""

import dataclasses
import hashlib
import json

import torch

from rnnkit import draws

SHAPE = (1, 2, 3)  # models, examples, units: the state on which the equations are tried
DIGITS = 8  # decimal places of what comes out; two machines agree on more


def fingerprint(cell, space, task, usual: bool) -> str:
    """Eight hexadecimal digits of the cell's maps and equations, the space, the task's fields and
    the version of the draws.

    `usual` says that the tuner starts from the usual values of the space, which then count too.
    """
    facts = {
        "draws": draws.VERSION,
        "cell": [
            cell.maps,
            cell.input_only,
            sorted(cell.forget.items()),
            cell.states,
            cell.equal_sizes,
            equations(cell),
        ],
        "space": [[type(row).__name__, *map(repr, _range_of(row))] for row in space.ranges],
        "task": sorted((f.name, repr(getattr(task, f.name))) for f in dataclasses.fields(task)),
    }
    if usual:
        facts["usual"] = repr(space.usual())
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]


def _range_of(row):
    return (row.name, *row.choices) if hasattr(row, "choices") else (row.name, row.low, row.high)


def equations(cell) -> list[str]:
    """What one step of `cell` returns for a fixed state, input and maps, for both nonlinearities,
    in digits.

    Equations that raise an error are known by its kind: that they do not work is told where they
    are trained.
    """
    found = []
    for s in (torch.tanh, torch.relu):
        try:
            out = cell.step(_Maps(cell), _states(cell), _numbers(1), s)
        except Exception as error:
            found.append(type(error).__name__)
            continue
        found += [
            f"{round(number, DIGITS) + 0.0:.{DIGITS}f}"
            for tensor in _flat(out)
            for number in tensor.double().flatten().tolist()
        ]
    return found


class _Maps:
    """Stands for a layer's affine maps: each takes a fixed multiple of the state and of the input,
    and adds a number.
    """

    def __init__(self, cell):
        for k, name in enumerate(cell.maps, 1):
            setattr(
                self,
                name,
                lambda h, x, k=k: (0 if h is None else 0.7 * h / k) + 0.3 * k * x - 0.1 * k,
            )


def _states(cell):
    states = tuple(_numbers(2 + k) for k in range(len(cell.states)))
    return states[0] if len(states) == 1 else states


def _numbers(k):
    count = SHAPE[0] * SHAPE[1] * SHAPE[2]
    return (torch.arange(count, dtype=torch.float64).reshape(SHAPE) - count / 2 + 0.25) * (
        0.2 + 0.1 * k
    )


def _flat(out):
    if isinstance(out, (tuple, list)):
        return [tensor for part in out for tensor in _flat(part)]
    return [out]
