"""Tables of the architectures: each cell's equations next to its code, and numbers of units,
parameters and hyper-parameters.
"""

import inspect
import re
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from rnnkit.cells import PAPER, cell_of
from rnnkit.hparams import LEARNING, Choice, IntLog, Log, Range, Uniform, space_for
from rnnkit.markup import SmallTable, markdown, text
from rnnkit.networks import num_params, units_for
from rnnkit.tasks import TASKS

# hyper-parameters that do not follow from the cell
OTHER_RANGES = {
    "train_steps",
    *(item.name for item in LEARNING),
    *(item.name for task in TASKS.values() for item in task.ranges),
}
KINDS = {Uniform: "uniform", Log: "log-uniform", IntLog: "log-uniform, whole", Choice: "one of"}
SIZES = (1_000, 10_000, 100_000)
DEPTHS = (1, 2, 4, 8)  # of sections 2 to 4

EQUATIONS = {  # number in section 1.4 -> LaTeX
    1: (
        r"\mathbf{h}_t = s(\mathbf{W}^{h} \mathbf{h}_{t-1} + \mathbf{W}^{x} \mathbf{x}_t +"
        r" \mathbf{b}^{h})"
    ),
    2: (
        r"\mathbf{c}_t = s(\mathbf{W}^{ch} \mathbf{h}_{t-1} + \mathbf{W}^{cx} \mathbf{x}_t +"
        r" \mathbf{b}^{c})"
    ),
    3: (
        r"g_t = \sigma(\mathbf{W}^{gh} \mathbf{h}_{t-1} + \mathbf{W}^{gx} \mathbf{x}_t +"
        r" \mathbf{b}^{g} + b^{fg})"
    ),
    4: r"\mathbf{h}_t = g_t \cdot \mathbf{h}_{t-1} + (1 - g_t) \cdot \mathbf{c}_t",
    5: (
        r"\mathbf{r}_t = \sigma(\mathbf{W}^{rh} \mathbf{h}_{t-1} + \mathbf{W}^{rx} \mathbf{x}_t +"
        r" \mathbf{b}^{r})"
    ),
    6: (
        r"\mathbf{u}_t = \sigma(\mathbf{W}^{uh} \mathbf{h}_{t-1} + \mathbf{W}^{ux} \mathbf{x}_t +"
        r" \mathbf{b}^{u} + b^{fg})"
    ),
    7: (
        r"\mathbf{c}_t = s(\mathbf{W}^{ch} (\mathbf{r}_t \cdot \mathbf{h}_{t-1}) + \mathbf{W}^{cx}"
        r" \mathbf{x}_t + \mathbf{b}^{c})"
    ),
    8: (
        r"\mathbf{h}_t = \mathbf{u}_t \cdot \mathbf{h}_{t-1} + (1 - \mathbf{u}_t) \cdot"
        r" \mathbf{c}_t"
    ),
    9: (
        r"\mathbf{i}_t = \sigma(\mathbf{W}^{ih} \mathbf{h}_{t-1} + \mathbf{W}^{ix} \mathbf{x}_t +"
        r" \mathbf{b}^{i})"
    ),
    10: (
        r"\mathbf{f}_t = \sigma(\mathbf{W}^{fh} \mathbf{h}_{t-1} + \mathbf{W}^{fx} \mathbf{x}_t +"
        r" \mathbf{b}^{f} + b^{fg})"
    ),
    11: (
        r"\mathbf{c}_t^{in} = s(\mathbf{W}^{ch} \mathbf{h}_{t-1} + \mathbf{W}^{cx} \mathbf{x}_t +"
        r" \mathbf{b}^{c})"
    ),
    12: (
        r"\mathbf{c}_t = \mathbf{f}_t \cdot \mathbf{c}_{t-1} + \mathbf{i}_t \cdot \mathbf{c}_t^{in}"
    ),
    13: (
        r"\mathbf{o}_t = \sigma(\mathbf{W}^{oh} \mathbf{h}_{t-1} + \mathbf{W}^{ox} \mathbf{x}_t +"
        r" \mathbf{b}^{o})"
    ),
    14: r"\mathbf{h}_t = \mathbf{o}_t \cdot \tanh(\mathbf{c}_t)",
    15: (
        r"\mathbf{y}_t^{in} = s_1(\mathbf{W}^{yh} \mathbf{h}_{t-1} + \mathbf{W}^{yx} \mathbf{x}_t +"
        r" \mathbf{b}^{y})"
    ),
    16: (
        r"\mathbf{h}_t^{in} = s_2(\mathbf{W}^{hh} \mathbf{h}_{t-1} + \mathbf{W}^{hx} \mathbf{x}_t +"
        r" \mathbf{b}^{h})"
    ),
    17: (
        r"\mathbf{g}_t^{y} = \sigma(\mathbf{W}^{gyh} \mathbf{h}_{t-1} + \mathbf{W}^{gyx}"
        r" \mathbf{x}_t + \mathbf{b}^{gy} + b^{fg,y})"
    ),
    18: (
        r"\mathbf{g}_t^{h} = \sigma(\mathbf{W}^{ghh} \mathbf{h}_{t-1} + \mathbf{W}^{ghx}"
        r" \mathbf{x}_t + \mathbf{b}^{gh} + b^{fg,h})"
    ),
    19: (
        r"\mathbf{y}_t = \mathbf{g}_t^{y} \cdot \mathbf{x}_t + (1 - \mathbf{g}_t^{y}) \cdot"
        r" \mathbf{y}_t^{in}"
    ),
    20: (
        r"\mathbf{h}_t = \mathbf{g}_t^{h} \cdot \mathbf{h}_{t-1} + (1 - \mathbf{g}_t^{h}) \cdot"
        r" \mathbf{h}_t^{in}"
    ),
}


class EquationTable(str):
    """Markdown that a notebook shows as a table."""

    def _repr_markdown_(self) -> str:
        return str(self)

    __repr__ = _repr_markdown_


def equation_table(architecture: str) -> EquationTable:
    """The equations of an architecture (section 1.4), each next to the line of `Cell.step` that
    computes it, as Markdown.

    A line of code has the number of its equation as a comment; a cell of your own without numbers
    gets a column of code alone.
    """
    lines = [
        (
            f"({number})" if number else "",
            f"${EQUATIONS[number]}$" if number in EQUATIONS else "",
            f"`{code}`",
        )
        for number, code in code_of(architecture)
    ]
    head = (architecture, "the paper", f"`{cell_of(architecture).__name__}.step`")
    return EquationTable(markdown(head, lines))


def code_of(architecture: str) -> list[tuple[int | None, str]]:
    """The lines of `Cell.step` that compute something, each with the number of its equation, or
    None.
    """
    lines = inspect.getsource(cell_of(architecture).step).splitlines()
    body = [
        line.strip()
        for line in lines
        if line.startswith("    ") and not re.match(r"\s*(@|def |return |#|\"\"\"|$)", line)
    ]
    numbers_and_code = [
        (re.search(r"#\s*\((\d+)\)", line), line.split("#")[0].strip()) for line in body
    ]
    return [(int(number[1]) if number else None, code) for number, code in numbers_and_code]


def units(
    sizes: Sequence[int] = SIZES,
    depths: Sequence[int] = DEPTHS,
    n_in: int = 50,
    n_out: int = 1,
    architectures: Iterable[str] = PAPER,
) -> SmallTable:
    """Units per layer within a budget of parameters: one row per architecture and one column per
    size and depth; <NA> where not even one unit fits.
    """

    def entry(architecture: str, n_layers: int, size: int) -> Any:
        try:
            return units_for(architecture, n_layers, n_in, n_out, size)
        except ValueError:  # no such depth, or not even one unit
            return pd.NA

    columns = pd.MultiIndex.from_product([sizes, depths], names=["parameters", "layers"])
    table = [[entry(a, depth, size) for size, depth in columns] for a in architectures]
    return SmallTable(
        table, index=pd.Index(architectures, name="architecture"), columns=columns, dtype="Int64"
    )


def formulas(n_in: int = 50, n_out: int = 1, architectures: Iterable[str] = PAPER) -> SmallTable:
    """The number of parameters of a network of least depth as a polynomial in its units N, found by
    counting networks of 1, 2 and 3 units.
    """

    def polynomial(architecture: str) -> str:
        depth = max(1, cell_of(architecture).min_layers)
        counts = [num_params(architecture, depth, n, n_in, n_out) for n in (1, 2, 3)]
        square, line, constant = np.polyfit((1, 2, 3), counts, 2).round().astype(int)
        power = f"{square} N² + ".removeprefix("1 ") if square else ""
        return f"{power}{line} N + {constant}" + (f"  ({depth} layers)" if depth > 1 else "")

    title = f"parameters, {n_in} inputs, {n_out} output{'s' * (n_out != 1)}"
    return SmallTable(
        {title: [polynomial(a) for a in architectures]},
        index=pd.Index(architectures, name="architecture"),
    )


def space_table(task_type: str = "per_cap", architectures: Iterable[str] = PAPER) -> SmallTable:
    """The hyper-parameters of Appendix A: name (* stands for a map), distribution, range, and how
    many of them each architecture has on a task.
    """
    rows = [
        (_with_a_star(row.name), KINDS[type(row)], limits_of(row), architecture)
        for architecture in architectures
        for row in space_for(architecture, task_type).ranges
    ]
    columns = ["hyper-parameter", "distribution", "range", "architecture"]
    frame = pd.DataFrame(rows, columns=columns)
    together = lambda ranges: ", ".join(dict.fromkeys(chain.from_iterable(ranges)))
    table = frame.groupby(columns[0], sort=False).agg({"distribution": "first", "range": together})
    counts = pd.crosstab(frame[columns[0]], frame.architecture)[[*architectures]]
    order = sorted(table.index, key=lambda name: (not name.endswith("*"), name in OTHER_RANGES))
    table = table.join(counts).loc[order]
    table.loc["all"] = ["", "", *counts.sum()]
    return SmallTable(table.reset_index())


def _with_a_star(name: str) -> str:
    """The name of a hyper-parameter with * for that of a map."""
    kinds = "input_scale|recurrent_matrix_scale|recurrent_bias_scale|forget_gate_bias_hack"
    return re.sub(rf"^({kinds})(_.*)?$", r"\1_*", name)


def limits_of(row: Range) -> list[str]:
    """What a hyper-parameter may be: its choices, or its range."""
    if isinstance(row, Choice):
        return list(map(str, row.choices))
    return [f"{text(row.low)} to {text(row.high)}"]
