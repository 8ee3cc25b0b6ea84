"""The operations that a cell's equations may use. Each is one row: its value on tensors, its
derivative, and its text in C++ and CUDA.

The plain step runs a cell on tensors; for the compiled steps, the cell is run once on symbols
(`Expr`). To add an operation, add a row to `TABLE`: the plain step, the compiled step and the kernel
for a GPU all take it from there. If torch has no function for it, a cell calls the row itself, as
`ops.ROWS["name"](h)`.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, NoReturn

import torch
from torch import Tensor as T
from torch.nn import functional as F

from ..cells import Cell
from .libraries import Unavailable


class Untraceable(Unavailable):
    """Why the compiled step cannot take a cell's equations; the plain step may."""


# ---- symbols -------------------------------------------------------------------------------------
def _operator(name: str) -> tuple[Callable, Callable]:
    """The methods of an operator with a symbol on its left, and with a symbol on its right."""
    return lambda self, y: make(name, self, y), lambda self, y: make(name, y, self)


class Expr:
    """A node of an expression graph: the name of an operation and its arguments.

    A leaf's only argument says where its numbers are, as ("s", 0); that of a constant is the number.
    """

    __array_priority__ = 100
    __hash__ = object.__hash__  # nodes are distinguished by identity, though == makes a comparison

    def __init__(self, op: str, *args: Any) -> None:
        self.op = op
        self.args = args

    __add__, __radd__ = _operator("add")
    __sub__, __rsub__ = _operator("sub")
    __mul__, __rmul__ = _operator("mul")
    __truediv__, __rtruediv__ = _operator("div")
    # Python itself turns 2 > x into x < 2
    __gt__, __ge__, __lt__, __le__, __eq__, __ne__ = (
        _operator(name)[0] for name in ("gt", "ge", "lt", "le", "eq", "ne")
    )

    __pow__ = lambda self, exponent: power(self, exponent)
    __rpow__ = lambda self, base: power(base, self)

    def __neg__(self) -> "Expr":
        return make("neg", self)

    def __abs__(self) -> "Expr":
        return make("abs", self)

    def __bool__(self) -> NoReturn:
        raise Untraceable("a condition on numbers must be torch.where, not if, and, or, max or min")

    def __getattr__(self, name: str) -> Callable:
        """A method of tensors, as `h.sigmoid()`, if it is one of the operations."""
        if name.startswith("_"):
            raise AttributeError(name)
        return partial(on_symbols(name, getattr(T, name, None)), self)

    @classmethod
    def __torch_function__(
        cls, func: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None
    ) -> "Expr":
        return on_symbols(getattr(func, "__name__", str(func)), func)(*args, **(kwargs or {}))


Operand = Expr | float


def on_symbols(name: str, function: Any) -> Callable:
    """A function of torch as one of symbols that takes torch's arguments.

    Raises Untraceable, and so does the function, for what the compiled step does not know.
    """
    if name in WHOLE_LAYER:
        raise Untraceable(
            f"the compiled step takes each unit by itself, and {name} takes a whole layer"
        )
    if function not in CALLS:
        names = {"clamp", "silu"} | {call.__name__ for call in CALLS} & set(ROWS) - OPERATORS
        raise Untraceable(
            f"the compiled step knows + - * / ** < > <= >=, {', '.join(sorted(names))}; not {name}"
        )
    call = CALLS[function]

    def with_symbols(*args: Any, **kwargs: Any) -> Expr:
        try:
            inspect.signature(call).bind(*args, **kwargs)
        except TypeError as reason:
            raise Untraceable(
                f"the compiled step knows {name}, but not with these arguments ({reason})"
            ) from None
        return call(*args, **kwargs)

    return with_symbols


def constant(number: float) -> Expr:
    number = float(number)
    if not math.isfinite(number):
        raise Untraceable(f"a constant of the equations must be finite, got {number}")
    return Expr("const", number)


def make(op: str, *operands: Operand) -> Expr:
    """A node for an operation; products with 0 or 1 and sums with 0 are simplified."""
    args = [a if isinstance(a, Expr) else constant(a) for a in operands]
    const = [a.args[0] if a.op == "const" else None for a in args]
    if op == "mul" and 0.0 in const:
        return Expr("const", 0.0)
    neutral = {"mul": 1.0, "add": 0.0}.get(op)
    if neutral is not None and neutral in const:
        return args[1 - const.index(neutral)]
    return Expr(op, *args)


# ---- the table -----------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Operation:
    """A function of numbers, applied unit by unit and sample by sample.

    name          by which symbols refer to it
    value         the function of tensors, which the plain step calls
    derivative    (d, y, *arguments) -> the adjoint of each argument in symbols, or None if that is
                  zero everywhere; d is the adjoint of the result y
    code          its text in C++ and CUDA, on vectors V; {0}, {1} and {2} are the arguments
    aliases       torch's functions that are this operation but have another name than `value`
    worth_saving  whether the backward pass loads the value instead of computing it again

    Called with a symbol among its arguments it makes a symbol; otherwise it computes its value.
    """

    name: str
    value: Callable[..., T] | None
    derivative: Callable[..., tuple[Expr | None, ...]]
    code: str
    aliases: tuple[Callable, ...] = ()
    worth_saving: bool = False

    def __call__(self, *args: Any) -> Any:
        if self.value is None or any(isinstance(a, Expr) for a in args):
            return make(self.name, *args)
        return self.value(*args)

    @property
    def functions(self) -> list[Callable]:
        """Torch's functions and methods that are this operation."""
        name = getattr(self.value, "__name__", "")
        namesakes = [getattr(m, name) for m in (torch, T, F) if hasattr(m, name)]
        return [*namesakes, *self.aliases]


def lanes(text: str, count: int = 1) -> str:
    """The code of an operation whose `text` is about single numbers: a, b and c, the first `count`.

    products.h and block.cuh define `each`, and the C++ compiler turns it into the machine's own
    vector operations where there are any.
    """
    names = "abc"[:count]
    slots = ", ".join(f"{{{i}}}" for i in range(count))
    parameters = ", ".join(f"real {name}" for name in names)
    return f"each([]({parameters}) -> real {{{{ return {text}; }}}}, {slots})"


def _comparison(name: str, symbol: str) -> Operation:
    no_derivative = lambda d, y, a, b: (None, None)
    return Operation(name, getattr(torch, name), no_derivative, lanes(f"a {symbol} b", 2))


def _power_derivative(d: Expr, y: Expr, a: Expr, p: Expr) -> tuple[Expr, Expr | None]:
    by_a = d * (p * power(a, p.args[0] - 1 if p.op == "const" else p - 1))
    if p.op == "const":
        return by_a, None
    flat = make("eq", a, 0) * make("ge", p, 0)  # 0 ** p does not depend on p > 0
    return by_a, make("where", flat, 0, d * (y * make("log", a)))


TABLE = (
    # name, value, derivative, code, aliases, saved
    Operation("add", torch.add, lambda d, y, a, b: (d, d), "{0} + {1}"),
    Operation("sub", torch.sub, lambda d, y, a, b: (d, -d), "{0} - {1}"),
    Operation("mul", torch.mul, lambda d, y, a, b: (d * b, d * a), "{0} * {1}"),
    Operation(
        "div", torch.div, lambda d, y, a, b: (d / b, -(d * y) / b), "{0} / {1}", worth_saving=True
    ),
    Operation("neg", torch.neg, lambda d, y, a: (-d,), "-{0}"),
    Operation(
        "sigmoid",
        torch.sigmoid,
        lambda d, y, a: (d * (y * (1 - y)),),
        "v_sigmoid({0})",
        (torch.special.expit,),
        worth_saving=True,
    ),
    Operation(
        "tanh", torch.tanh, lambda d, y, a: (d * (1 - y * y),), "v_tanh({0})", worth_saving=True
    ),
    Operation(
        "relu",
        torch.relu,
        lambda d, y, a: (d * make("positive", y),),
        "v_relu({0})",
        worth_saving=True,
    ),
    Operation("exp", torch.exp, lambda d, y, a: (d * y,), "v_exp({0})", worth_saving=True),
    Operation("log", torch.log, lambda d, y, a: (d / a,), lanes("log(a)")),
    Operation(
        "softplus",
        F.softplus,
        lambda d, y, a: (d * make("sigmoid", a),),
        lanes("(a > 0 ? a : real(0)) + log1p(exp(-fabs(a)))"),
    ),
    Operation("sin", torch.sin, lambda d, y, a: (d * make("cos", a),), lanes("sin(a)")),
    Operation("cos", torch.cos, lambda d, y, a: (-(d * make("sin", a)),), lanes("cos(a)")),
    Operation(
        "sqrt", torch.sqrt, lambda d, y, a: (0.5 * d / y,), lanes("sqrt(a)"), worth_saving=True
    ),
    Operation("pow", torch.pow, _power_derivative, lanes("pow(a, b)", 2), worth_saving=True),
    Operation(
        "abs",
        torch.abs,
        lambda d, y, a: (d * make("sign", a),),
        lanes("a < 0 ? -a : a"),
        (torch.absolute, T.absolute),
    ),
    Operation(
        "sign", torch.sign, lambda d, y, a: (None,), lanes("a > 0 ? real(1) : a < 0 ? real(-1) : a")
    ),
    # NaN stays NaN, since a bound must not hide that a network has diverged
    Operation(
        "maximum",
        torch.maximum,
        lambda d, y, a, b: (d * make("share", a, b), d * make("share", b, a)),
        lanes("a > b || a != a ? a : b", 2),
    ),
    Operation(
        "minimum",
        torch.minimum,
        lambda d, y, a, b: (d * make("share", b, a), d * make("share", a, b)),
        lanes("a < b || a != a ? a : b", 2),
    ),
    Operation(
        "at_least",
        lambda a, b: torch.clamp(a, min=b),
        lambda d, y, a, b: (d * make("ge", a, b), d * (1 - make("ge", a, b))),
        lanes("a < b ? b : a", 2),
    ),
    Operation(
        "at_most",
        lambda a, b: torch.clamp(a, max=b),
        lambda d, y, a, b: (d * make("ge", b, a), d * (1 - make("ge", b, a))),
        lanes("a > b ? b : a", 2),
    ),
    Operation(
        "where",
        torch.where,
        lambda d, y, c, a, b: (None, make("where", c, d, 0), make("where", c, 0, d)),
        lanes("a != 0 ? b : c", 3),
    ),
    _comparison("gt", ">"),
    _comparison("ge", ">="),
    _comparison("lt", "<"),
    _comparison("le", "<="),
    _comparison("eq", "=="),
    _comparison("ne", "!="),
    # for derivatives: the share of the gradient that a has as the larger of two numbers
    Operation(
        "share",
        lambda a, b: ((a > b).to(a.dtype) + (a >= b).to(a.dtype)) / 2,
        lambda d, y, a, b: (None, None),
        lanes("a > b ? real(1) : a == b ? real(.5) : real(0)", 2),
    ),
    Operation(
        "positive", lambda a: (a > 0).to(a.dtype), lambda d, y, a: (None,), "v_positive({0})"
    ),
    # s, of which each model has its own: relu if RELU holds, else tanh; networks.nonlinearity_of has its value
    Operation(
        "s",
        None,
        lambda d, y, a: (d * Expr("s_slope", y),),
        "(RELU ? v_relu({0}) : v_tanh({0}))",
        worth_saving=True,
    ),
    Operation(
        "s_slope", None, lambda d, y, a: (None,), "(RELU ? v_positive({0}) : splat(1) - {0} * {0})"
    ),
)
ROWS: dict[str, Operation] = {row.name: row for row in TABLE}


# ---- torch's functions, with torch's arguments ---------------------------------------------------
def _add(input: Operand, other: Operand, *, alpha: float = 1) -> Expr:
    return make("add", input, make("mul", other, alpha))


def _sub(input: Operand, other: Operand, *, alpha: float = 1) -> Expr:
    return make("sub", input, make("mul", other, alpha))


def _relu(input: Operand, inplace: bool = False) -> Expr:
    return make("relu", _not_in_place("relu", input, inplace))


def _silu(input: Expr, inplace: bool = False) -> Expr:
    return _not_in_place("silu", input, inplace) * make("sigmoid", input)


def _not_in_place(name: str, input: Any, inplace: bool) -> Any:
    if inplace:
        raise Untraceable(f"{name} must leave its argument as it is: drop inplace=True")
    return input


def _softplus(input: Expr, beta: float = 1.0, threshold: float = 20.0) -> Expr:
    if threshold < 15:  # from 15 on it makes no difference to a float
        raise Untraceable(f"softplus must have a threshold of at least 15, got {threshold}")
    return make("softplus", input) if beta == 1 else make("softplus", input * beta) / beta


def _clamp(input: Any, min: Operand | None = None, max: Operand | None = None) -> Any:
    low = input if min is None else make("at_least", input, min)
    return low if max is None else make("at_most", low, max)


def where(condition: Expr, input: Operand, other: Operand) -> Expr:
    """torch.where; the condition must be a comparison of symbols."""
    if not isinstance(condition, Expr):
        raise Untraceable("the condition of torch.where must compare what the step computes")
    return make("where", condition, input, other)


def power(input: Any, exponent: Operand) -> Expr:
    """input ** exponent; whole exponents up to 3 are products."""
    if isinstance(exponent, Expr):
        return make("pow", input, exponent)
    exponent = float(exponent)
    if exponent == 0.5:
        return make("sqrt", input)
    if exponent in (1, 2, 3):
        return reduce(partial(make, "mul"), [input] * int(exponent))
    return make("pow", input, exponent) if exponent else constant(1)


def _with_torchs_arguments(row: Operation) -> Callable[..., Expr]:
    """The operation as a function whose arguments have torch's names."""
    if "{1}" in row.code:
        return lambda input, other: make(row.name, input, other)
    return lambda input: make(row.name, input)


# torch's function -> the same on symbols
CALLS: dict[Any, Callable[..., Any]] = {
    **{function: _with_torchs_arguments(row) for row in TABLE for function in row.functions},
    **dict.fromkeys((torch.add, T.add), _add),
    **dict.fromkeys((torch.sub, T.sub, torch.subtract), _sub),
    torch.multiply: lambda input, other: make("mul", input, other),
    torch.true_divide: lambda input, other: make("div", input, other),
    **dict.fromkeys((torch.rsub, T.__rsub__), lambda input, other: make("sub", other, input)),
    T.__rtruediv__: lambda divisor, dividend: make("div", dividend, divisor),
    F.relu: _relu,
    F.silu: _silu,
    F.softplus: _softplus,
    **dict.fromkeys((torch.clamp, T.clamp, torch.clip, T.clip), _clamp),
    torch.where: where,
    **dict.fromkeys((torch.pow, T.pow, T.__pow__), power),
    T.__rpow__: lambda exponent, base: power(base, exponent),
    **dict.fromkeys((torch.square, T.square), lambda input: power(input, 2)),
}
OPERATORS = {"add", "sub", "mul", "div", "neg", "gt", "ge", "lt", "le", "eq", "ne"}
# functions of a whole layer, which no compiled step has
WHOLE_LAYER = set(
    "shape size mean sum var std norm softmax log_softmax cumsum matmul linear layer_norm batch_norm"
    " group_norm rms_norm amax amin max min".split()
)


def nonlinearity(cell: type[Cell]) -> Callable:
    """The function s of a cell that has one nonlinearity, on tensors and on symbols.

    Raises ValueError for a name that is neither an operation here nor a function of
    torch.nn.functional.
    """
    (name,) = cell.nonlinearities
    function = ROWS.get(name) or getattr(F, name, None)
    if not callable(function) or isinstance(function, Operation) and function.value is None:
        raise ValueError(
            f"The nonlinearity of {cell.__name__} must be an operation of rnnkit/native/ops.py or a"
            f" function of torch.nn.functional, got {name!r}. Check the spelling."
        )
    return function
