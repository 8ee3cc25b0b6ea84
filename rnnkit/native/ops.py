"""The operations that a cell's equations may use, one row each: its value on tensors, its
derivative, and its text in C++ and CUDA.

A cell is run on tensors by the plain step, and once on symbols (`Expr`) for the compiled steps. To
add an operation, add a row to `ROWS`: the plain step, the compiled step and the kernel for a GPU
all take it from there. If torch has no function for it, a cell calls the row itself, as
`ops.ROWS["name"](h)`.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional


class Untraceable(Exception):
    """The equations use something that the compiled step does not know; the plain step does."""


# ---- symbols -------------------------------------------------------------------------------------
class Expr:
    """A node: an operation's name and its arguments.

    A leaf's one argument says where its numbers lie, as ("s", 0), and a constant's is the number.
    """

    __array_priority__ = 100
    __hash__ = object.__hash__  # nodes are told apart by identity, though == makes a comparison

    def __init__(self, op, *args):
        self.op, self.args = op, args

    def __add__(self, other):
        return make("add", self, other)

    def __radd__(self, other):
        return make("add", other, self)

    def __sub__(self, other):
        return make("sub", self, other)

    def __rsub__(self, other):
        return make("sub", other, self)

    def __mul__(self, other):
        return make("mul", self, other)

    def __rmul__(self, other):
        return make("mul", other, self)

    def __truediv__(self, other):
        return make("div", self, other)

    def __rtruediv__(self, other):
        return make("div", other, self)

    def __pow__(self, other):
        return power(self, other)

    def __rpow__(self, other):
        return power(other, self)

    def __neg__(self):
        return make("neg", self)

    def __abs__(self):
        return make("abs", self)

    def __gt__(self, other):
        return make("gt", self, other)

    def __ge__(self, other):
        return make("ge", self, other)

    def __lt__(self, other):
        return make("lt", self, other)

    def __le__(self, other):
        return make("le", self, other)

    def __eq__(self, other):
        return make("eq", self, other)

    def __ne__(self, other):
        return make("ne", self, other)

    def __bool__(self):
        raise Untraceable("a condition on numbers must be torch.where, not if, and, or, max or min")

    def __getattr__(self, name):
        """A method of tensors, as `h.sigmoid()`, if it is one of the operations."""
        if name.startswith("_"):
            raise AttributeError(name)
        call = CALLS.get(getattr(torch.Tensor, name, None))
        if call is None:
            raise unknown(name)
        return lambda *args, **kwargs: call_as_torch(name, call, self, *args, **kwargs)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", str(func))
        if func not in CALLS:
            raise unknown(name)
        return call_as_torch(name, CALLS[func], *args, **(kwargs or {}))


def unknown(name) -> Untraceable:
    if name in ACROSS:
        return Untraceable(
            f"the compiled step takes each unit by itself, and {name} is of a whole layer"
        )
    known = {"clamp", "silu"} | {call.__name__ for call in CALLS} & set(ROWS) - OPERATORS
    return Untraceable(
        f"the compiled step knows + - * / ** < > <= >=, {', '.join(sorted(known))}; not {name}"
    )


def call_as_torch(name, call, *args, **kwargs):
    """`call` of torch's arguments; Untraceable where it does not take them."""
    try:
        inspect.signature(call).bind(*args, **kwargs)
    except TypeError as reason:
        raise Untraceable(f"the compiled step knows {name}, but not so called ({reason})") from None
    return call(*args, **kwargs)


def constant(number) -> Expr:
    number = float(number)
    if not math.isfinite(number):
        raise Untraceable(f"a constant of the equations must be finite, got {number}")
    return Expr("const", number)


def make(op, *args):
    """An operation, with what is trivially 0 or 1 folded away."""
    args = tuple(a if isinstance(a, Expr) else constant(a) for a in args)
    const = [a.args[0] if a.op == "const" else None for a in args]
    if op == "mul":
        if 0.0 in const:
            return Expr("const", 0.0)
        if const[0] == 1.0:
            return args[1]
        if const[1] == 1.0:
            return args[0]
    if op == "add" and 0.0 in const:
        return args[1 - const.index(0.0)]
    return Expr(op, *args)


# ---- the table -----------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class Operation:
    """A function of numbers, unit by unit and sample by sample.

    name        by which symbols know it
    value       the same on tensors: what the plain step computes
    derivative  (d, y, *arguments) -> the adjoint of each argument in symbols, or None where that is
                zero everywhere; d is the adjoint of the result y
    code        in C++ and CUDA, on vectors V; {0}, {1} and {2} are the arguments
    means       torch's functions that are this operation
    saved       worth a load on the way back instead of being computed again

    Called with symbols among its arguments it makes a symbol, else it computes its value.
    """

    name: str
    value: Any  # a function of tensors, or None
    derivative: Callable
    code: str
    means: tuple = ()
    worth_saving: bool = False

    def __call__(self, *args):
        if any(isinstance(a, Expr) for a in args):
            return make(self.name, *args)
        return self.value(*args)


def lanes(text: str, count: int = 1) -> str:
    """The code of an operation that `text` says of one number: a, or a, b, c for `count` of them.

    products.h and block.cuh define `each`; C++ turns it into the machine's own vector operations
    where it has them.
    """
    names = "abc"[:count]
    places = ", ".join(f"{{{i}}}" for i in range(count))
    parameters = ", ".join(f"real {name}" for name in names)
    return f"each([]({parameters}) -> real {{{{ return {text}; }}}}, {places})"


def _op(name):
    """A row by name, for derivatives that need another operation."""
    return lambda *args: make(name, *args)


def _comparison(name, sign, value):
    methods = (value, getattr(torch.Tensor, name))
    return Operation(name, value, lambda d, y, a, b: (None, None), lanes(f"a {sign} b", 2), methods)


def _power_derivative(d, y, a, p):
    by_a = d * (p * power(a, p.args[0] - 1 if p.op == "const" else p - 1))
    if p.op == "const":
        return by_a, None
    silent = make("eq", a, 0) * make("ge", p, 0)  # 0 ** p, which is flat in p
    return by_a, make("where", silent, 0, d * (y * make("log", a)))


T, F = torch.Tensor, functional
_share, _positive, _where = _op("share"), _op("positive"), _op("where")
_sigmoid, _cos, _sin, _signum, _ge = (_op(n) for n in ("sigmoid", "cos", "sin", "sign", "ge"))

TABLE = (
    # name, value, derivative, code, torch's functions, saved
    Operation("add", torch.add, lambda d, y, a, b: (d, d), "{0} + {1}"),
    Operation("sub", torch.sub, lambda d, y, a, b: (d, -d), "{0} - {1}"),
    Operation("mul", torch.mul, lambda d, y, a, b: (d * b, d * a), "{0} * {1}"),
    Operation(
        "div", torch.div, lambda d, y, a, b: (d / b, -(d * y) / b), "{0} / {1}", worth_saving=True
    ),
    Operation("neg", torch.neg, lambda d, y, a: (-d,), "-{0}", (torch.neg, T.neg)),
    Operation(
        "sigmoid",
        torch.sigmoid,
        lambda d, y, a: (d * (y * (1 - y)),),
        "v_sigmoid({0})",
        (torch.sigmoid, T.sigmoid, F.sigmoid, torch.special.expit),
        worth_saving=True,
    ),
    Operation(
        "tanh",
        torch.tanh,
        lambda d, y, a: (d * (1 - y * y),),
        "v_tanh({0})",
        (torch.tanh, T.tanh, F.tanh),
        worth_saving=True,
    ),
    Operation(
        "relu",
        torch.relu,
        lambda d, y, a: (d * _positive(y),),
        "v_relu({0})",
        (torch.relu, T.relu),
        worth_saving=True,
    ),
    Operation(
        "exp",
        torch.exp,
        lambda d, y, a: (d * y,),
        "v_exp({0})",
        (torch.exp, T.exp),
        worth_saving=True,
    ),
    Operation(
        "log",
        torch.log,
        lambda d, y, a: (d / a,),
        lanes("log(a)"),
        (torch.log, T.log),
    ),
    Operation(
        "softplus",
        F.softplus,
        lambda d, y, a: (d * _sigmoid(a),),
        lanes("(a > 0 ? a : real(0)) + log1p(exp(-fabs(a)))"),
    ),
    Operation(
        "sin", torch.sin, lambda d, y, a: (d * _cos(a),), lanes("sin(a)"), (torch.sin, T.sin)
    ),
    Operation(
        "cos", torch.cos, lambda d, y, a: (-(d * _sin(a)),), lanes("cos(a)"), (torch.cos, T.cos)
    ),
    Operation(
        "sqrt",
        torch.sqrt,
        lambda d, y, a: (0.5 * d / y,),
        lanes("sqrt(a)"),
        (torch.sqrt, T.sqrt),
        worth_saving=True,
    ),
    Operation("pow", torch.pow, _power_derivative, lanes("pow(a, b)", 2), worth_saving=True),
    Operation(
        "abs",
        torch.abs,
        lambda d, y, a: (d * _signum(a),),
        lanes("a < 0 ? -a : a"),
        (torch.abs, T.abs, torch.absolute, T.absolute),
    ),
    Operation(
        "sign",
        torch.sign,
        lambda d, y, a: (None,),
        lanes("a > 0 ? real(1) : a < 0 ? real(-1) : a"),
        (torch.sign, T.sign),
    ),
    # NaN stays NaN: a network that diverged must not be hidden by a bound
    Operation(
        "maximum",
        torch.maximum,
        lambda d, y, a, b: (d * _share(a, b), d * _share(b, a)),
        lanes("a > b || a != a ? a : b", 2),
        (torch.maximum, T.maximum),
    ),
    Operation(
        "minimum",
        torch.minimum,
        lambda d, y, a, b: (d * _share(b, a), d * _share(a, b)),
        lanes("a < b || a != a ? a : b", 2),
        (torch.minimum, T.minimum),
    ),
    Operation(
        "at_least",
        lambda a, b: torch.clamp(a, min=b),
        lambda d, y, a, b: (d * _ge(a, b), d * (1 - _ge(a, b))),
        lanes("a < b ? b : a", 2),
    ),
    Operation(
        "at_most",
        lambda a, b: torch.clamp(a, max=b),
        lambda d, y, a, b: (d * _ge(b, a), d * (1 - _ge(b, a))),
        lanes("a > b ? b : a", 2),
    ),
    Operation(
        "where",
        torch.where,
        lambda d, y, c, a, b: (None, _where(c, d, 0), _where(c, 0, d)),
        lanes("a != 0 ? b : c", 3),
    ),
    _comparison("gt", ">", torch.gt),
    _comparison("ge", ">=", torch.ge),
    _comparison("lt", "<", torch.lt),
    _comparison("le", "<=", torch.le),
    _comparison("eq", "==", torch.eq),
    _comparison("ne", "!=", torch.ne),
    # what derivatives need: the share of the gradient that the larger of two numbers gets
    Operation(
        "share",
        lambda a, b: ((a > b).to(a.dtype) + (a >= b).to(a.dtype)) / 2,
        lambda d, y, a, b: (None, None),
        lanes("a > b ? real(1) : a == b ? real(.5) : real(0)", 2),
    ),
    Operation(
        "positive",
        lambda a: (a > 0).to(a.dtype),
        lambda d, y, a: (None,),
        "v_positive({0})",
    ),
    # s, which each model has chosen: relu where RELU holds, else tanh; its value is networks.forward's
    Operation(
        "s",
        None,
        lambda d, y, a: (d * Expr("s_slope", y),),
        "(RELU ? v_relu({0}) : v_tanh({0}))",
        worth_saving=True,
    ),
    Operation(
        "s_slope",
        None,
        lambda d, y, a: (None,),
        "(RELU ? v_positive({0}) : splat(1) - {0} * {0})",
    ),
)
ROWS: dict[str, Operation] = {row.name: row for row in TABLE}


# ---- torch's functions, with torch's arguments ---------------------------------------------------
def _add(input, other, *, alpha=1):
    return make("add", input, other if alpha == 1 else make("mul", other, alpha))


def _sub(input, other, *, alpha=1):
    return make("sub", input, other if alpha == 1 else make("mul", other, alpha))


def _relu(input, inplace=False):
    return make("relu", _not_in_place("relu", input, inplace))


def _silu(input, inplace=False):
    return _not_in_place("silu", input, inplace) * make("sigmoid", input)


def _not_in_place(name, input, inplace):
    if inplace:
        raise Untraceable(f"{name} must leave its argument as it is: drop inplace=True")
    return input


def _softplus(input, beta=1.0, threshold=20.0):
    if threshold < 15:  # from there on a float sees no difference
        raise Untraceable(f"softplus must have a threshold of at least 15, got {threshold}")
    return make("softplus", input) if beta == 1 else make("softplus", input * beta) / beta


def _clamp(input, min=None, max=None):
    low = input if min is None else make("at_least", input, min)
    return low if max is None else make("at_most", low, max)


def where(condition, input, other):
    """torch.where; the condition must be a comparison of symbols."""
    if not isinstance(condition, Expr):
        raise Untraceable("the condition of torch.where must compare what the step computes")
    return make("where", condition, input, other)


def power(input, exponent):
    """input ** exponent, the usual whole powers as products."""
    if isinstance(exponent, Expr):
        return make("pow", input, exponent)
    exponent = float(exponent)
    if exponent == 0.5:
        return make("sqrt", input)
    if exponent in (1, 2, 3):
        whole = input
        for _ in range(int(exponent) - 1):
            whole = make("mul", whole, input)
        return whole
    return make("pow", input, exponent) if exponent else constant(1)


def _mul(input, other):
    return make("mul", input, other)


def _div(input, other):
    return make("div", input, other)


def _square(input):
    return power(input, 2)


def _arguments(row):
    """The operation's call with torch's names of its arguments."""
    if "{1}" in row.code:
        return lambda input, other: make(row.name, input, other)
    return lambda input: make(row.name, input)


# torch's function -> what it is in symbols
CALLS: dict[Any, Callable] = {
    **{function: _arguments(row) for row in TABLE for function in row.means},
    **dict.fromkeys((torch.add, T.add), _add),
    **dict.fromkeys((torch.sub, T.sub, torch.subtract), _sub),
    **dict.fromkeys((torch.mul, T.mul, torch.multiply), _mul),
    **dict.fromkeys((torch.div, T.div, torch.true_divide), _div),
    **dict.fromkeys((torch.rsub, T.__rsub__), lambda input, other: make("sub", other, input)),
    T.__rtruediv__: lambda input, other: make("div", other, input),
    F.relu: _relu,
    F.silu: _silu,
    F.softplus: _softplus,
    **dict.fromkeys((torch.clamp, T.clamp, torch.clip, T.clip), _clamp),
    **dict.fromkeys((torch.where,), where),
    **dict.fromkeys((torch.pow, T.pow, T.__pow__), power),
    T.__rpow__: lambda input, other: power(other, input),
    **dict.fromkeys((torch.square, T.square), _square),
}
OPERATORS = {"add", "sub", "mul", "div", "neg", "gt", "ge", "lt", "le", "eq", "ne"}
ACROSS = {
    "shape", "size", "mean", "sum", "var", "std", "norm", "softmax", "log_softmax", "cumsum",
    "matmul", "linear", "layer_norm", "batch_norm", "group_norm", "rms_norm", "amax", "amin", "max", "min",
}  # fmt: skip


def nonlinearity(cell) -> Callable:
    """The function s of a cell with one nonlinearity, on tensors and on symbols.

    ValueError where the name is neither a row's nor a function of torch.nn.functional.
    """
    (name,) = cell.nonlinearities
    found = ROWS.get(name) or getattr(functional, name, None)
    if not callable(found) or isinstance(found, Operation) and found.value is None:
        raise ValueError(
            f"The nonlinearity of {cell.__name__} must be an operation of rnnkit/native/ops.py or a"
            f" function of torch.nn.functional, got {name!r}. Check the spelling."
        )
    return found
