"""The six cells of the paper (section 1.4, equations 1-20), one below another so that they can be
compared, and four later ones.

A cell is its equations and nothing else. `W.u(h, x)` is the affine map named `u`: W^uh h + W^ux x +
b^u. If the map is listed in `forget`, the hyper-parameter b^fg is added to its bias. A map that is
listed in `input_only` has no recurrent matrix and is called as `W.u(None, x)`: W^ux x + b^u.
Parameter counts, initialisation and the hyper-parameter space are derived from these; nothing else
about a cell is stated anywhere.

`step(W, h, x, s)` takes the state before the step (one tensor, or a tuple in the order of
`states`), the input of the layer and the nonlinearity, and returns (the output to the layer above,
the state after the step). Equations that use + - * / ** and the functions of native/ops.py (torch's
sigmoid, tanh, relu, exp, softplus, silu, sin, abs, maximum, clamp, where and more) are compiled. A
cell with other functions trains with the plain torch step, and a warning says why.
"""

import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, full, relu, sigmoid, tanh

from rnnkit.names import resolve_name
from rnnkit.paper import ARCHITECTURES

from .checks import whole_number

NAME = re.compile(r"[\w+.\-]+")  # of an architecture, which is part of names of studies and files
INITS = ("identity", "orthogonal", "normal")  # of recurrent matrices (App. A)


class Cell:
    """What a cell declares. A subclass names its maps and writes `step`. A class of this file is an
    architecture; `register` makes any other class one.
    """

    architecture: str  # the name in the authors' data
    maps: tuple[str, ...]  # affine maps, each with a recurrent matrix, an input matrix and one bias
    # the maps without a recurrent matrix, which must be the last of `maps`
    input_only: tuple[str, ...] = ()
    forget: dict[str, str] = {}  # map -> the hyper-parameter that is added to its bias (b^fg)
    states: tuple[str, ...] = ("h",)
    # what s may be; tuned if there is a choice (App. A)
    nonlinearities: tuple[str, ...] = ("tanh",)
    recurrent_inits: tuple[str, ...] = ("identity", "orthogonal", "normal")  # App. A
    zero_biases: bool = False  # biases start at zero, and their scales are not tuned
    # x and h must have the same size, so the first layer projects its input (section 1.4)
    equal_sizes: bool = False
    min_layers: int = 1
    # set by `register`: the numbers of the maps that read the first state itself
    maps_of_state: tuple[int, ...] = ()

    @staticmethod
    def step(W: Any, h: Any, x: Any, s: Callable) -> tuple[Any, Any]:
        """One time step of one layer (section 1.4): from the maps W, the state h before the step (B x
        N; a tuple if the cell has several states), the input x (B x I) and the nonlinearity s,
        returns (the output to the layer above, B x N, and the state after the step).
        """
        raise NotImplementedError


class RNN(Cell):
    """Vanilla recurrent network (equation 1)."""

    architecture = "rnn"
    maps = ("h",)
    nonlinearities: tuple[str, ...] = ("relu", "tanh")
    recurrent_inits: tuple[str, ...] = ("orthogonal", "normal")

    @staticmethod
    def step(W, h, x, s):
        h = s(W.h(h, x))  # (1)
        return h, h


class IRNN(RNN):
    """Identity-initialised ReLU network, Le et al. 2015 (equation 1): its biases start at zero
    (section 1.4).
    """

    architecture = "irnn"
    nonlinearities = ("relu",)
    recurrent_inits = ("identity",)
    zero_biases = True


class UGRNN(Cell):
    """Update gate RNN, the paper's minimally gated network (equations 2-4)."""

    architecture = "ugrnn"
    maps = ("c", "g")
    forget = {"g": "forget_gate_bias_hack"}
    nonlinearities = ("relu", "tanh")

    @staticmethod
    def step(W, h, x, s):
        c = s(W.c(h, x))  # (2)
        g = sigmoid(W.g(h, x))  # (3)
        h = g * h + (1 - g) * c  # (4)
        return h, h


class GRU(Cell):
    """Gated recurrent unit, Cho et al. 2014 (equations 5-8). Unlike `torch.nn.GRU`, it resets the
    state before the matrix product.
    """

    architecture = "gru"
    maps = ("r", "u", "c")
    forget = {"u": "forget_gate_bias_hack"}

    @staticmethod
    def step(W, h, x, s):
        r = sigmoid(W.r(h, x))  # (5)
        u = sigmoid(W.u(h, x))  # (6)
        c = s(W.c(r * h, x))  # (7)
        h = u * h + (1 - u) * c  # (8)
        return h, h


class LSTM(Cell):
    """Long short-term memory, Hochreiter & Schmidhuber 1997 (equations 9-14)."""

    architecture = "lstm"
    maps = ("i", "f", "c", "o")
    forget = {"f": "forget_gate_bias_hack"}
    states = ("h", "c")

    @staticmethod
    def step(W, state, x, s):
        h, c = state
        i = sigmoid(W.i(h, x))  # (9)
        f = sigmoid(W.f(h, x))  # (10)
        c_in = s(W.c(h, x))  # (11)
        c = f * c + i * c_in  # (12)
        o = sigmoid(W.o(h, x))  # (13)
        h = o * tanh(c)  # (14)
        return h, (h, c)


class IntersectionRNN(Cell):
    """Intersection RNN, +RNN, the paper's cell with a gate in depth and a gate in time (equations
    15-20).
    """

    architecture = "+rnn"
    maps = ("y", "h", "gy", "gh")
    forget = {"gy": "forget_gate_bias_hack_y", "gh": "forget_gate_bias_hack_h"}
    equal_sizes = True
    min_layers = 2

    @staticmethod
    def step(W, h, x, s):
        y_in = relu(W.y(h, x))  # (15), s1 = ReLU
        h_in = tanh(W.h(h, x))  # (16), s2 = tanh
        g_y = sigmoid(W.gy(h, x))  # (17)
        g_h = sigmoid(W.gh(h, x))  # (18)
        y = g_y * x + (1 - g_y) * y_in  # (19)
        h = g_h * h + (1 - g_h) * h_in  # (20)
        return y, h


class Linear(Cell):
    """No recurrence: the readout reads the input (n_layers = 0). This is the perceptron that
    calibrates the capacity task.
    """

    architecture = "linear"
    maps = ()
    states = ()
    recurrent_inits = ()
    min_layers = 0


class MGU(Cell):
    """Minimal gated unit, Zhou et al. 2016 (arXiv 1603.09420, equations 9a-9c): one gate that
    resets and updates.
    """

    architecture = "mgu"
    maps = ("f", "c")
    forget = {"f": "forget_gate_bias_hack"}

    @staticmethod
    def step(W, h, x, s):
        # minus, so that b^fg keeps the state as in the paper's cells; it makes no other difference
        f = sigmoid(-W.f(h, x))
        c = s(W.c(f * h, x))
        h = (1 - f) * h + f * c
        return h, h


class JANET(Cell):
    """Just another network, van der Westhuizen & Lasenby 2018 (arXiv 1804.04849): the UGRNN, except
    that it adds more than it forgets.
    """

    architecture = "janet"
    maps = ("c", "f")
    forget = {"f": "forget_gate_bias_hack"}

    @staticmethod
    def step(W, h, x, s):
        c = s(W.c(h, x))
        a = W.f(h, x)
        h = sigmoid(a) * h + (1 - sigmoid(a - 1)) * c  # beta = 1; with beta = 0 it is the UGRNN
        return h, h


class MinGRU(Cell):
    """minGRU, Feng et al. 2024 (arXiv 2410.01201, section 3.1): gate and candidate depend on the
    input alone, and the candidate is linear.
    """

    architecture = "mingru"
    maps = input_only = ("z", "c")
    forget = {"z": "forget_gate_bias_hack"}

    @staticmethod
    def step(W, h, x, s):
        z = sigmoid(-W.z(None, x))  # minus, as in the MGU
        c = W.c(None, x)
        h = (1 - z) * h + z * c
        return h, h


class MinLSTM(Cell):
    """minLSTM, Feng et al. 2024 (arXiv 2410.01201, section 3.2): forget and input gate depend on
    the input alone, and sum to 1.
    """

    architecture = "minlstm"
    maps = input_only = ("f", "i", "c")
    forget = {"f": "forget_gate_bias_hack"}

    @staticmethod
    def step(W, h, x, s):
        f = sigmoid(W.f(None, x))
        i = sigmoid(W.i(None, x))
        c = W.c(None, x)
        h = (f * h + i * c) / (f + i)
        return h, h


class Maps:
    """W in the equations of a cell: `W.u(h, x)` is `affine("u", h, x)`.

    The attributes begin with an underscore, since a cell may give its maps any name.
    """

    def __init__(self, cell: type[Cell], affine: Callable[[str, Any, Any], Any]) -> None:
        self._cell = cell
        self._affine = affine

    def __getattr__(self, name: str) -> Callable[[Any, Any], Any]:
        if name not in self._cell.maps:
            raise ValueError(
                f"{self._cell.__name__}.step calls W.{name}, but the maps of {self._cell.__name__}"
                f" are {', '.join(self._cell.maps)}. Add {name!r} to `maps`, or correct the call."
            )
        return partial(self._affine, name)


def take_step(
    cell: type[Cell], W: Any, states: tuple[Any, ...], x: Any, s: Callable
) -> tuple[Any, tuple[Any, ...]]:
    """`cell.step` with the state as a tuple, before and after, even if it has only one part: the
    output to the layer above, and the states after the step.
    """
    is_one = len(states) == 1
    up, after = cell.step(W, states[0] if is_one else states, x, s)
    return up, (after,) if is_one else after


CELLS: dict[str, type[Cell]] = {}
LATER = ("mgu", "janet", "mingru", "minlstm")  # cells that are not in the paper
PAPER = ARCHITECTURES  # the paper's six, in the paper's order


def register(cell: type[Cell]) -> type[Cell]:
    """Makes `cell` an architecture, so that sizing, hyper-parameter space, training and figures work
    for it.

    Its equations are run once, on small tensors. Raises ValueError, in one sentence, if the cell
    declares or computes something wrong; then nothing is registered. A class may be registered
    again, as when a notebook's cell is run again, but not under the name of another class.
    """
    _check_declared(cell)
    holder = CELLS.get(cell.architecture, cell)
    if (holder.__module__, holder.__qualname__) != (cell.__module__, cell.__qualname__):
        raise ValueError(
            f"The architecture {cell.architecture!r} is taken, by the class {holder.__qualname__}"
            f" of {holder.__module__}. Give {cell.__name__} another `architecture`."
        )
    return enter(cell)


def enter(cell: type[Cell]) -> type[Cell]:
    """As `register`, but replaces any class of that name; only for a class that is known to be the
    same cell.
    """
    _check_declared(cell)
    cell.maps_of_state = _check_step(cell)
    CELLS[cell.architecture] = cell
    return cell


def _check_declared(cell: type[Cell]) -> None:
    """Raises ValueError unless a cell is a class whose attributes are well formed."""
    if not isinstance(cell, type):
        raise ValueError(
            f"A cell must be a class, got {cell!r}. Write one, as in the notebook your_own_cell."
        )
    for name in ("architecture", "maps"):
        if not hasattr(cell, name):
            raise ValueError(
                f"A cell must declare `{name}`, got {cell.__name__} without it. Add the class"
                " attribute."
            )
    if not (isinstance(cell.architecture, str) and NAME.fullmatch(cell.architecture)):
        raise ValueError(
            "The architecture of a cell must be a word of letters, digits, + - . and _, got"
            f" {cell.architecture!r}. Give {cell.__name__} such a name."
        )
    for name in ("maps", "input_only", "states", "nonlinearities", "recurrent_inits"):
        value = getattr(cell, name)
        if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
            raise ValueError(
                f'{cell.__name__}.{name} must be a tuple of names, as ("h",), got {value!r}.'
            )
        if len(set(value)) < len(value):
            raise ValueError(f"{cell.__name__}.{name} must not repeat a name, got {value}.")
    for init in cell.recurrent_inits:
        resolve_name(f"{cell.__name__}.recurrent_inits", init, INITS)
    unknown = set(cell.forget) - set(cell.maps)
    if unknown:
        raise ValueError(
            f"Every map in `forget` must be one of {cell.maps}, got {sorted(unknown)}. Correct"
            f" {cell.__name__}.forget."
        )
    if recurrent_maps(cell) + cell.input_only != cell.maps:
        raise ValueError(
            f"`input_only` must be the last of {cell.maps}, got {cell.input_only}. Correct"
            f" {cell.__name__}.maps."
        )
    if len(cell.nonlinearities) != 1 and set(cell.nonlinearities) != {"relu", "tanh"}:
        raise ValueError(
            "`nonlinearities` must be one name, or the choice of relu and tanh, got"
            f" {cell.nonlinearities}. Call others in {cell.__name__}.step."
        )


def _check_step(cell: type[Cell]) -> tuple[int, ...]:
    """The numbers of the maps that read the first state itself. Raises ValueError unless one step
    of a cell, on small tensors, returns the output to the layer above and the state after the step.
    """
    if not cell.maps:
        return ()  # without recurrence there is no step
    name = f"{cell.__name__}.step"
    if cell.step is Cell.step:
        raise ValueError(
            f"{name} must be the cell's equations, got none. Write it, as in the notebook"
            " your_own_cell."
        )
    parameters = list(inspect.signature(cell.step).parameters)
    if len(parameters) != 4:
        raise ValueError(
            f"{name} must take four arguments, (W, h, x, s): the maps, the state, the input and the"
            f" nonlinearity, got ({', '.join(parameters)})."
        )
    trial = _Trial(cell)
    try:
        result = trial.run()
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(
            f"{name} cannot be run ({type(error).__name__}: {_one_line(error)}). Correct its equations;"
            " they may use + - * / ** and torch's functions of tensors"
            f"{'' if cell.equal_sizes else ', and add x to h only with equal_sizes = True'}."
        ) from error
    if not (isinstance(result, tuple) and len(result) == 2):
        raise ValueError(
            f"{name} must return two values, the output to the layer above and the state after the"
            f" step, as `return h, h`, got {_describe(result)}."
        )
    up, after = result
    after = after if len(cell.states) > 1 else (after,)
    if not (isinstance(after, tuple) and len(after) == len(cell.states)):
        raise ValueError(
            f"The state after {name} must be a tuple ({', '.join(cell.states)}), got"
            f" {_describe(after)}."
        )
    for label, value in zip(("The output", *cell.states), (up, *after)):
        if not isinstance(value, Tensor) or value.shape != trial.h.shape:
            raise ValueError(
                f"{label} must be a tensor of as many units as the state when {name} returns, got"
                f" {_describe(value)}."
            )
    if unread := [f"W.{m}" for m in cell.maps if m not in trial.calls]:
        raise ValueError(
            f"{name} must call every map that {cell.__name__} names, got no call of"
            f" {', '.join(unread)}. Call it, or remove it from `maps`."
        )
    return tuple(k for k, m in enumerate(cell.maps) if trial.calls[m])


class _Trial:
    """One step of a cell on small tensors, which checks how the equations call their maps."""

    def __init__(self, cell: type[Cell]) -> None:
        self.cell = cell
        self.x = full((1, 2 if cell.equal_sizes else 3), 0.3)
        self.states = tuple(full((1, 2), 0.1 + 0.1 * k) for k in range(len(cell.states)))
        self.h = self.states[0]
        self.calls: dict[str, bool] = {}  # map -> whether it reads the first state itself

    def run(self) -> Any:
        """What the step returns."""
        h = self.states if len(self.states) > 1 else self.h
        return self.cell.step(Maps(self.cell, self.affine), h, self.x, tanh)

    def affine(self, name: str, h: Any, x: Any) -> Tensor:
        """A map, whose results are distinct numbers. Raises ValueError for wrong arguments."""
        self.calls[name] = self.calls.get(name, False) or h is self.h
        if (h is None) != (name in self.cell.input_only):
            got = f"W.{name} of {'None' if h is None else 'a state'}"
            raise ValueError(
                "The maps in `input_only`, and no others, are called with None for h, got"
                f" {got}. Correct {self.cell.__name__}."
            )
        fits = h is None or isinstance(h, Tensor) and h.shape == self.h.shape
        if x is not self.x or not fits:
            advice = f" A state of two is unpacked first, as {', '.join(self.cell.states)} = state."
            raise ValueError(
                f"W.{name} must be called with a tensor of the state's size and then with x,"
                f" as W.{name}(h, x), got {_describe(h)} and {'x' if x is self.x else _describe(x)}."
                + (advice if isinstance(h, tuple) else "")
            )
        return full(self.h.shape, 0.2 + 0.1 * len(self.calls))


def _describe(value: object) -> str:
    """A few words for a value in an error."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return repr(value)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".")


def recurrent_maps(cell: type[Cell]) -> tuple[str, ...]:
    """The maps of a cell that have a recurrent matrix."""
    return tuple(m for m in cell.maps if m not in cell.input_only)


def has_relu(cell: type[Cell], hparams: dict) -> bool:
    """Whether s is ReLU, by a cell's only nonlinearity or by the hyper-parameter that chooses it."""
    return hparams.get("nonlinearity", cell.nonlinearities[0]) == "relu"


# every cell above is an architecture, in this order
for _value in list(vars().values()):
    if isinstance(_value, type) and issubclass(_value, Cell) and _value is not Cell:
        enter(_value)
KIT = dict(CELLS)  # the kit's own cells, whatever is registered later


def cell_of(architecture: str, n_layers: int | None = None) -> type[Cell]:
    """The cell of an architecture, checked against a depth if one is given.

    Raises ValueError for an unknown architecture, a depth that the cell does not have (+RNN needs
    two layers or more, section 1.4) and a depth that is not a whole number of layers.
    """
    architecture = resolve_name(
        "architecture", architecture, CELLS, "Check the spelling, or register the cell first."
    )
    cell = CELLS[architecture]
    if n_layers is not None:
        whole_number("n_layers", n_layers)
        if architecture == "linear":
            if n_layers != 0:
                raise ValueError(
                    "linear has no recurrent layer, so n_layers must be 0, got"
                    f" n_layers={n_layers}."
                )
        elif n_layers < cell.min_layers:
            name = {"+rnn": "+RNN"}.get(architecture, architecture)
            where = " (paper, section 1.4)" if architecture == "+rnn" else ""
            raise ValueError(
                f"{name} needs n_layers >= {cell.min_layers}{where}, got n_layers={n_layers}. Give"
                " it as many, or leave it out."
            )
    return cell
