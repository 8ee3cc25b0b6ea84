"""The six cells of the paper (section 1.4, equations 1-20), side by side, since comparing them is
the lesson; then four later ones.

A cell is its equations and nothing else. `W.u(h, x)` is the affine map named `u`: W^uh h + W^ux x +
b^u, and where the map is listed in `forget` its bias also receives the hyper-parameter b^fg. A map
listed in `input_only` has no recurrent matrix and is called as `W.u(None, x)`: W^ux x + b^u.
Parameter counts, initialisation and the hyper-parameter space are derived from these; nothing else
about a cell is written down anywhere.

`step(W, h, x, s)` takes the state before the step (one tensor, or a tuple in the order of
`states`), the input of the layer and the nonlinearity, and returns (what goes up, the state after
the step). Equations that use + - * / ** and the functions of native/ops.py (torch's sigmoid, tanh,
relu, exp, softplus, silu, sin, abs, maximum, clamp, where and more) are compiled; with others, the
cell trains with the plain torch step, which says why.
"""

from torch import relu, sigmoid, tanh

from rnnkit.names import known

from .checks import whole_number


class Cell:
    """What a cell declares. A subclass names its maps and writes `step`; `register` makes it an
    architecture.
    """

    architecture: str  # the name in the authors' data
    maps: tuple[str, ...]  # affine maps, each with a recurrent matrix, an input matrix and one bias
    input_only: tuple[
        str, ...
    ] = ()  # the maps without a recurrent matrix; they stand last in `maps`
    forget: dict[str, str] = {}  # map -> the hyper-parameter added to its bias (b^fg)
    states: tuple[str, ...] = ("h",)
    # what s may be; tuned where there is a choice (App. A)
    nonlinearities: tuple[str, ...] = ("tanh",)
    recurrent_inits: tuple[str, ...] = ("identity", "orthogonal", "normal")  # App. A
    zero_biases: bool = False  # biases start at zero, and are no hyper-parameters
    # x and h must have one size, so the first layer projects its input (section 1.4)
    equal_sizes: bool = False
    min_layers: int = 1

    @staticmethod
    def step(W, h, x, s):
        raise NotImplementedError


class RNN(Cell):
    """Vanilla recurrent network (equation 1)."""

    architecture = "rnn"
    maps = ("h",)
    nonlinearities = ("relu", "tanh")
    recurrent_inits = ("orthogonal", "normal")

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
    """Gated recurrent unit, Cho et al. 2014 (equations 5-8). It resets before the product, unlike
    `torch.nn.GRU`.
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
    """No recurrence at all: the readout sees the input (n_layers = 0). The perceptron that
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
        f = sigmoid(
            -W.f(h, x)
            # minus, so that b^fg keeps the state, as in the paper's cells; W^f and b^f have no sign
            # of their own
        )
        c = s(W.c(f * h, x))
        h = (1 - f) * h + f * c
        return h, h


class JANET(Cell):
    """Just another network, van der Westhuizen & Lasenby 2018 (arXiv 1804.04849): the UGRNN, but
    with more let in than is let go.
    """

    architecture = "janet"
    maps = ("c", "f")
    forget = {"f": "forget_gate_bias_hack"}

    @staticmethod
    def step(W, h, x, s):
        c = s(W.c(h, x))
        a = W.f(h, x)
        h = sigmoid(a) * h + (1 - sigmoid(a - 1)) * c  # beta = 1; with 0 it would be the UGRNN
        return h, h


class MinGRU(Cell):
    """minGRU, Feng et al. 2024 (arXiv 2410.01201, section 3.1): gate and candidate know the input
    alone, the candidate is linear.
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
    """minLSTM, Feng et al. 2024 (arXiv 2410.01201, section 3.2): forget and input gate know the
    input alone, and add to one.
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


CELLS: dict[str, type[Cell]] = {}
LATER = ("mgu", "janet", "mingru", "minlstm")  # cells that the paper does not have
# the paper's architectures, in the paper's order
PAPER = ("rnn", "irnn", "ugrnn", "gru", "lstm", "+rnn")


def register(cell: type[Cell]) -> type[Cell]:
    """Make `cell` an architecture: sizing, hyper-parameter space, training and figures then work
    for it.
    """
    for name in ("architecture", "maps"):
        if not hasattr(cell, name):
            raise ValueError(
                f"A cell names its {name}, got {cell.__name__} without. Add the class attribute"
                f" `{name}`."
            )
    unknown = set(cell.forget) - set(cell.maps)
    if unknown:
        raise ValueError(
            f"Every map in `forget` must be one of {cell.maps}, got {sorted(unknown)}. Mend"
            f" {cell.__name__}.forget."
        )
    if recurrent_maps(cell) + tuple(cell.input_only) != tuple(cell.maps):
        raise ValueError(
            f"`input_only` must be the last of {cell.maps}, got {cell.input_only}. Mend"
            f" {cell.__name__}.maps."
        )
    if len(cell.nonlinearities) != 1 and set(cell.nonlinearities) != {"relu", "tanh"}:
        raise ValueError(
            "`nonlinearities` must be one, or the choice of relu and tanh, got"
            f" {cell.nonlinearities}. Call others in {cell.__name__}.step."
        )
    CELLS[cell.architecture] = cell
    return cell


def recurrent_maps(cell: type[Cell]) -> tuple[str, ...]:
    """The maps of a cell that have a recurrent matrix."""
    return tuple(m for m in cell.maps if m not in cell.input_only)


for _cell in (RNN, IRNN, UGRNN, GRU, LSTM, IntersectionRNN, Linear, MGU, JANET, MinGRU, MinLSTM):
    register(_cell)


def cell_of(architecture: str, n_layers: int | None = None) -> type[Cell]:
    """The cell of an architecture, checked against a depth if one is given.

    Raises ValueError for an unknown architecture, a depth that the cell does not have (+RNN needs
    two layers or more, section 1.4) and a depth that is not a whole number of layers.
    """
    architecture = known(
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
                f"{name} needs n_layers >= {cell.min_layers}{where}, got n_layers={n_layers}. Drop"
                f" it from depth {n_layers}."
            )
    return cell
