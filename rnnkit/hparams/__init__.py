"""Hyper-parameters (Appendix A) as ranges: each has the authors' name, its bounds or choices, and
the section of the paper that gives them.

`space_for(architecture, task_type)` derives the ranges of a study from the maps that its cell names,
so a new cell has its space at once, and adds those of LEARNING and of the task (`ranges` in its
class). All layers share scales and types. A set of hyper-parameters is a plain dict of plain Python
values.

A range also has usual values: one value, or the lowest and the highest, that the literature takes
without a search, and a source. The tuner "gp-usual" begins there; the paper's own search does not.
"""

from collections.abc import Iterable, Mapping

from rnnkit.cells import cell_of, recurrent_maps
from rnnkit.hparams.space import Space
from rnnkit.names import nearest
from rnnkit.ranges import Choice, IntLog, Log, Range, Uniform, Value
from rnnkit.tasks import task_of

__all__ = ["Choice", "IntLog", "Log", "Range", "Space", "Uniform", "cell_ranges", "space_for"]

STEPS = (50_000, 20_000_000)  # training steps in the paper, over all of its tasks (App. A)
LEARNING: tuple[Range, ...] = (
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
    # its sigmoid is the momentum, Adam's beta1 or RMSProp's decay; sigmoid(2.2) = 0.9
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
    # the literature takes none, and the lowest values come closest to that
    Log("l2_decay", 1e-8, 1e-3, "App. A", usual=(1e-8, 1e-6), source="Zaremba et al. 2014: none"),
)


def cell_ranges(architecture: str) -> list[Range]:
    """The ranges that follow from a cell: from its maps, the maps that take b^fg, its
    initialisations and its nonlinearities (App. A).
    """
    cell = cell_of(architecture)
    inits = cell.recurrent_inits
    recurrent = recurrent_maps(cell)
    ranges: list[Range] = []
    # scales of the initial weights and biases of each map, and of the projection of the input to N
    # units, which is linear with a bias, as in the authors' released cell
    for m in (*cell.maps, "in") if cell.equal_sizes else cell.maps:
        source = "LeCun et al. 1998: 1; torch.nn.Linear: 0.58"
        ranges.append(Log(f"input_scale_{m}", 1e-3, 2.0, "App. A", (0.58, 1.0), source))
        if m in recurrent and inits != ("identity",):  # the identity has no scale
            name = f"recurrent_matrix_scale_{m}"
            ranges.append(Log(name, 1e-2, 2.0, "App. A", (1.0,), "Saxe et al. 2014"))
        if not cell.zero_biases:
            name = f"recurrent_bias_scale_{m}"
            ranges.append(Uniform(name, -2.0, 2.0, "App. A", (0.0,), "Glorot & Bengio 2010"))
    # kinds of initialisation, the bias of the forget gate, and the nonlinearity
    if recurrent and len(inits) > 1:
        usual = ("orthogonal",) if "orthogonal" in inits else ()
        name = "recurrent_matrix_init_type"
        ranges.append(Choice(name, inits, "App. A", usual, "Saxe et al. 2014"))
    if cell.maps and not cell.zero_biases:
        source = "Glorot & Bengio 2010: all zero"
        kinds = ("delta", "normal")
        ranges.append(Choice("recurrent_bias_init_type", kinds, "App. A", ("delta",), source))
    for name in dict.fromkeys(cell.forget.values()):
        ranges.append(Uniform(name, 0.0, 6.0, "App. A", (1.0,), "Jozefowicz et al. 2015"))
    if len(cell.nonlinearities) > 1:
        source = "LeCun et al. 1998, section 4.4"
        ranges.append(Choice("nonlinearity", cell.nonlinearities, "App. A", ("tanh",), source))
    return ranges


def _train_steps(low: int, high: int) -> Range:
    """Training steps; the upper quarter of the range is usual."""
    usual = (round(low * (high / low) ** 0.75), high)
    return IntLog(
        "train_steps", low, high, "App. A", usual=usual, source="Hoffer et al. 2017: train longer"
    )


def space_for(
    architecture: str,
    task_type: str,
    train_steps: tuple[int, int] = STEPS,
    pinned: Mapping[str, Value] | Iterable[tuple[str, Value]] = (),
) -> Space:
    """The space of hyper-parameters of an architecture on a task (App. A).

    On the capacity task the paper's six architectures have from 10 ranges (IRNN) to 27 (+RNN).
    `train_steps` are the least and the most training steps; if they are equal, the steps are pinned.
    `pinned`, a dict or pairs, gives the hyper-parameters that have a fixed value.

    ValueError for an unknown architecture or task, for training steps that are not two whole numbers
    in order, and for a pinned hyper-parameter that the space lacks or whose value is out of range.
    """
    architecture = cell_of(architecture).architecture
    low, high = _check_steps(train_steps)
    task = task_of(task_type)
    task_ranges = task.ranges
    if architecture == "linear":  # one step, so it makes no difference when the input is presented
        task_ranges = tuple(item for item in task_ranges if item.name != "input_presentation")
    ranges = [*cell_ranges(architecture), _train_steps(low, high), *LEARNING, *task_ranges]
    by_name = {item.name: item for item in ranges}
    fixed = dict(pinned)
    for name, value in fixed.items():
        if name not in by_name:
            raise ValueError(
                f"A pinned hyper-parameter must be one that {architecture} has on {task.name}, got"
                f" {name!r}; it has {', '.join(by_name)}. {nearest(name, by_name)}".rstrip()
            )
        if not by_name[name].holds(value):
            raise ValueError(
                f"A pinned hyper-parameter must lie in its range, {by_name[name]}, got {value!r}."
            )
    if low == high:
        fixed["train_steps"] = low  # a range of one value is no dimension of a search
    return Space(
        tuple(item for item in ranges if item.name not in fixed),
        tuple((name, by_name[name].nearest(value)) for name, value in fixed.items()),
    )


def _check_steps(train_steps: tuple[int, int]) -> tuple[int, int]:
    try:
        low, high = train_steps
        valid = low == int(low) and high == int(high) and 1 <= low <= high
    except (TypeError, ValueError, OverflowError):
        valid = False
    if not valid:
        raise ValueError(
            f"train_steps must be two whole numbers, 1 <= low <= high, got {train_steps!r}."
        )
    return int(low), int(high)
