"""Hyper-parameters (Appendix A) as rows: a name of the authors', a range, and where the paper gives
it.

`space_for(architecture, task_type)` derives the rows of a study from the maps that its cell names,
so a new cell has its space at once. Scales and types are shared by all layers. A set of
hyper-parameters is a plain dict of plain Python values.

A row also holds what is usual: the value, or the lowest and the highest value, that the literature
takes without a search, and who does. The tuner "gp-usual" begins there; the paper's own search does
not know of it.
"""

from rnnkit.cells import cell_of, recurrent_maps
from rnnkit.hparams.ranges import Choice, IntLog, Log, Row, Uniform
from rnnkit.hparams.space import Space
from rnnkit.names import known, nearest

__all__ = ["Choice", "IntLog", "Log", "Row", "Space", "Uniform", "cell_rows", "space_for"]

STEPS = (50_000, 20_000_000)  # the paper's training steps, over all its tasks (App. A)
LEARNING = (
    Choice(
        "optimizer",
        ("SGD", "momentum", "RMSProp", "Adam"),
        "App. A",
        usual=("Adam",),
        source="Kingma & Ba 2015",
    ),
    Log(
        "lr_init",
        1e-4,
        1e-1,
        "App. A",
        usual=(3e-3, 3e-2),
        source="Bengio 2012, section 3.1.1: 0.01 typically works",
    ),
    # the learning rate at step t of T is lr_init * lr_decay_rate ** (t / T)
    Log(
        "lr_decay_rate",
        1e-3,
        1.0,
        "App. A",
        usual=(1e-3, 1e-2),
        source="He et al. 2016: divided by ten two or three times",
    ),
    # its sigmoid is momentum, Adam's beta1 or RMSProp's decay; that of 2.2 is 0.9
    Uniform(
        "optimizer_logit_momentum", 1.0, 7.0, "App. A", usual=(2.2,), source="Kingma & Ba 2015: 0.9"
    ),
    Log(
        "gradient_clip_val",
        1.0,
        100.0,
        "App. A",
        usual=(5.0, 10.0),
        source="Zaremba et al. 2014, after Pascanu et al. 2013",
    ),
    # where the literature has none, the lowest values stand for it
    Log("l2_decay", 1e-8, 1e-3, "App. A", usual=(1e-8, 1e-6), source="Zaremba et al. 2014: none"),
)
TASK_ROWS = {  # what a task adds; a task of your own adds its line here
    "per_cap": (
        # dataset size over number of parameters: the best is very near to the bits that are stored
        Log(
            "samples_per_param",
            0.1,
            10.0,
            "App. A",
            usual=(2.0, 5.0),
            source="Cover 1965: 2, section 2.1.2: 5",
        ),
        Choice(
            "input_presentation",
            ("first", "every"),
            "App. A",
            usual=("first",),
            source="section 1.3: a single presentation",
        ),
    ),
    "mem_thru": (),
    "rcf": (),
    "text8": (),
    "parens_counting": (),
    "arithmetic": (Choice("compute_steps", (1, 2, 3, 4, 5, 6), "App. B"),),
}


def cell_rows(architecture: str) -> list[Row]:
    """Rows that follow from a cell: its maps, the maps that take b^fg, its initialisations and
    nonlinearities (App. A).
    """
    cell = cell_of(architecture)
    inits, recurrent, rows = cell.recurrent_inits, recurrent_maps(cell), []
    for m in cell.maps:
        rows.append(_input_scale(m))
        if m in recurrent and inits != ("identity",):  # inactive for identity
            rows.append(
                Log(
                    f"recurrent_matrix_scale_{m}",
                    1e-2,
                    2.0,
                    "App. A",
                    usual=(1.0,),
                    source="Saxe et al. 2014",
                )
            )
        if not cell.zero_biases:
            rows.append(_bias_scale(m))
    if (
        cell.equal_sizes
        # the projection of the input to N units, linear with a bias, as the authors' released cell
        # has it
    ):
        rows.append(_input_scale("in"))
        if not cell.zero_biases:
            rows.append(_bias_scale("in"))
    if cell.maps:
        if recurrent and len(inits) > 1:
            rows.append(
                _choice("recurrent_matrix_init_type", inits, "orthogonal", "Saxe et al. 2014")
            )
        if not cell.zero_biases:
            rows.append(
                _choice(
                    "recurrent_bias_init_type",
                    ("delta", "normal"),
                    "delta",
                    "Glorot & Bengio 2010: all zero",
                )
            )
        for name in dict.fromkeys(cell.forget.values()):
            rows.append(
                Uniform(name, 0.0, 6.0, "App. A", usual=(1.0,), source="Jozefowicz et al. 2015")
            )
        if len(cell.nonlinearities) > 1:
            rows.append(
                _choice(
                    "nonlinearity", cell.nonlinearities, "tanh", "LeCun et al. 1998, section 4.4"
                )
            )
    return rows


def _input_scale(m: str) -> Row:
    source = "LeCun et al. 1998: 1; torch.nn.Linear: 0.58"
    return Log(f"input_scale_{m}", 1e-3, 2.0, "App. A", usual=(0.58, 1.0), source=source)


def _bias_scale(m: str) -> Row:
    return Uniform(
        f"recurrent_bias_scale_{m}",
        -2.0,
        2.0,
        "App. A",
        usual=(0.0,),
        source="Glorot & Bengio 2010",
    )


def _choice(name: str, choices, usual: str, source: str) -> Row:
    """A row of Appendix A whose usual value a cell may lack."""
    choices = tuple(choices)
    if usual not in choices:
        return Choice(name, choices, "App. A")
    return Choice(name, choices, "App. A", usual=(usual,), source=source)


def _train_steps(low: int, high: int) -> Row:
    """Training steps; usual is the upper quarter of the range."""
    usual = (round(low * (high / low) ** 0.75), high)
    return IntLog(
        "train_steps", low, high, "App. A", usual=usual, source="Hoffer et al. 2017: train longer"
    )


def space_for(
    architecture: str, task_type: str, train_steps: tuple[int, int] = STEPS, pinned=()
) -> Space:
    """The hyper-parameter space of an architecture on a task (App. A).

    On the capacity task the paper's six have from 10 rows (IRNN) to 27 (+RNN). `train_steps` is the
    range of training steps; a range of one value is held fixed. `pinned` (dict or pairs) holds rows
    at a value. ValueError for an unknown architecture or task, a range that is none, and a pin that
    the space does not have.
    """
    task_type = known(
        "task_type", task_type, TASK_ROWS, "Check the spelling, or add its rows to TASK_ROWS."
    )
    architecture = cell_of(architecture).architecture
    low, high = _steps(train_steps)
    rows = [*cell_rows(architecture), _train_steps(low, high), *LEARNING]
    if (
        architecture == "linear"
    ):  # without recurrence there is one step, so it makes no difference when the input is shown
        rows += [row for row in TASK_ROWS[task_type] if row.name != "input_presentation"]
    else:
        rows += TASK_ROWS[task_type]
    pinned, by_name = dict(pinned), {row.name: row for row in rows}
    for name, value in pinned.items():
        if name not in by_name:
            has = ", ".join(by_name)
            raise ValueError(
                f"A pinned hyper-parameter must be one that {architecture} has on {task_type}, got"
                f" {name!r}; it has {has}. {nearest(name, by_name)}".rstrip()
            )
        if not by_name[name].holds(value):
            raise ValueError(
                f"A pinned hyper-parameter must lie in its range, {by_name[name]}, got {value!r}."
            )
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
        raise ValueError(
            f"train_steps must be two whole numbers, 1 <= low <= high, got {train_steps!r}."
        )
    return int(low), int(high)
