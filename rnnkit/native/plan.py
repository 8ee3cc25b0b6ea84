"""Plans what the compiled steps do for a cell, and in which order; trace.py prints the plan.

`Cell.step` is run once on symbols. Its maps become matrix products, and everything else becomes
loops over units x batch. The derivative is taken by reverse mode on the same graph, and values that
the backward pass reads are either saved or computed again.
"""

from dataclasses import dataclass, field

from ..cells import Cell, recurrent_maps
from .expressions import adjoints, walk
from .ops import ROWS, Expr, Untraceable, nonlinearity

INPUT, STATE = -2, -1  # what a map reads if none of `args`: the input alone, or the first state


@dataclass(frozen=True)
class Store:
    """Writes a value per unit and sample (zero without `value`) to `target`, as ("save", 2).

    With `add`, the value is added to the one that is there.
    """

    target: tuple[str, int]
    value: Expr | None
    add: bool = False


@dataclass(frozen=True)
class Loop:
    """A loop over units x batch. `in_memory` says which nodes can be loaded: id -> where from."""

    stores: list[Store]
    in_memory: dict[int, tuple[str, int]]


@dataclass(frozen=True)
class Product:
    """The affine maps `first` ... `first + count - 1`, which read the same argument."""

    first: int
    count: int
    arg: int  # INPUT, STATE, or which of `args`


@dataclass(frozen=True)
class Adjoint(Product):
    """The adjoint of their argument; with `add`, it is added to the one that is there."""

    add: bool


@dataclass
class Equations:
    """A cell's step in symbols, and what each of its maps reads."""

    cell: type[Cell]
    x: Expr
    states: list[Expr]
    up: Expr
    after: list[Expr]
    pre: dict[Expr, int]  # the result of each map -> its number
    # of each map: its argument besides the input; None without a recurrent matrix
    arguments: list[Expr | None]
    args: list[Expr] = field(default_factory=list)  # the arguments that the step computes
    arg_of: list[int] = field(default_factory=list)  # of each map: INPUT, STATE or which of `args`
    rounds: list[int] = field(default_factory=list)  # of each map: when it is computed, see arrange
    runs: list[Product] = field(default_factory=list)  # maps that are one product


@dataclass
class Plan:
    """The steps of the forward and the backward pass, and how much memory they take."""

    cell: type[Cell]
    maps: int
    recurrent: int
    states: int
    saves: int
    args: int
    arg_of: list[int]
    up_is_state: bool
    reads_x: bool
    forward: list[Loop | Product]
    backward: list[Loop | Adjoint]


def plan(cell) -> Plan:
    """The plan of a cell's step.

    Raises Untraceable, with the reason, if its equations use an operation that the compiled steps do
    not know, or fail on symbols in any way; the plain step may still be able to run them.
    """
    try:
        e = equations_of(cell)
        stages = derivative(e)
        saves, states = memory_of_values(e, stages)
        forward = forward_steps(e, saves)
        backward = backward_steps(e, stages, saves | states)
    except Untraceable:
        raise
    except Exception as reason:
        text = str(reason).strip().split("\n")[0] or "no message"
        raise Untraceable(
            f"the equations of {cell.__name__} cannot be run on symbols"
            f" ({type(reason).__name__}: {text})"
        ) from reason
    return Plan(
        cell,
        maps=len(cell.maps),
        recurrent=len(recurrent_maps(cell)),
        states=len(cell.states),
        saves=len(saves),
        args=len(e.args),
        arg_of=e.arg_of,
        up_is_state=bool(e.after) and e.up is e.after[0],
        reads_x=any(e.x in grads for _, grads in stages),
        forward=forward,
        backward=backward,
    )


# ---- reading the equations -----------------------------------------------------------------------
class _Maps:
    """Stands for W while the equations run on symbols, and records what each map reads."""

    def __init__(self, cell, x):
        self._cell = cell
        self._x = x
        self._arguments = {}
        self._leaves = {}

    def __getattr__(self, name):
        if name not in self._cell.maps:
            raise AttributeError(
                f"A cell calls only maps that it names, {self._cell.maps}, got {name!r}. Add it to"
                " `maps`."
            )

        def affine(h, x):
            if (
                x is not self._x
                or name in self._arguments
                or not (isinstance(h, Expr) or h is None and name in self._cell.input_only)
            ):
                raise Untraceable(
                    f"map {name} must be called once, with the layer's input as its second argument"
                )
            self._arguments[name] = h
            self._leaves[name] = Expr("leaf", ("pre", self._cell.maps.index(name)))
            return self._leaves[name]

        return affine


def equations_of(cell) -> Equations:
    """Runs the cell's step on symbols, and arranges its maps."""
    x = Expr("leaf", ("x", 0))
    states = [Expr("leaf", ("s", i)) for i in range(len(cell.states))]
    W = _Maps(cell, x)
    has_own = len(cell.nonlinearities) == 1 and cell.nonlinearities[0] not in ("relu", "tanh")
    s = nonlinearity(cell) if has_own else lambda e: Expr("s", e)
    up, after = cell.step(W, states[0] if len(states) == 1 else tuple(states), x, s)
    after = [after] if len(states) == 1 else list(after)
    if set(W._arguments) != set(cell.maps):
        raise Untraceable(
            f"every map must be read, got {sorted(W._arguments)} of {sorted(cell.maps)}"
        )
    if not all(isinstance(e, Expr) for e in (up, *after)):
        raise Untraceable("a step must return expressions of its maps, state and input")
    if len(after) != len(states):
        raise Untraceable(f"a step must return {len(states)} states, got {len(after)}")
    pre = {W._leaves[m]: k for k, m in enumerate(cell.maps)}
    e = Equations(cell, x, states, up, after, pre, [W._arguments[m] for m in cell.maps])
    arrange(e)
    return e


def arrange(e: Equations):
    """Fills in the rounds of the maps, the arguments that the step computes, and the runs.

    A map whose argument needs another map's result comes one round after it. Consecutive maps with
    the same argument and round become one product.
    """

    def round_of(k):
        below = walk([e.arguments[k]]) if e.arguments[k] is not None else []
        needs = [round_of(e.pre[node]) for node in below if node in e.pre]
        return 1 + max(needs) if needs else 0

    for k, h in enumerate(e.arguments):
        e.rounds.append(round_of(k))
        if h is None:
            e.arg_of.append(INPUT)
        elif h is e.states[0]:
            e.arg_of.append(STATE)
        else:
            twins = [i for i, a in enumerate(e.args) if a is h]
            e.arg_of.append(twins[0] if twins else len(e.args))
            if not twins:
                e.args.append(h)
    for k, arg in enumerate(e.arg_of):
        if k and e.arg_of[k - 1] == arg and e.rounds[k - 1] == e.rounds[k]:
            first = e.runs[-1].first
            count = e.runs[-1].count
            e.runs[-1] = Product(first, count + 1, arg)
        else:
            e.runs.append(Product(k, 1, arg))


def round_of_arg(e: Equations, i) -> int:
    return min(r for r, arg in zip(e.rounds, e.arg_of) if arg == i)


# ---- the derivative, and what it reads -----------------------------------------------------------
def derivative(e: Equations) -> list[tuple[int | None, dict]]:
    """The adjoints of the leaves, stage by stage: first from the outputs (None), then from each
    argument, beginning with the last one.
    """
    d_up = Expr("leaf", ("d_up", 0))
    d_after = [Expr("leaf", ("d_s", i)) for i in range(len(e.states))]
    stages: list[tuple[int | None, dict]] = [
        (None, adjoints([(e.up, d_up), *zip(e.after, d_after)]))
    ]
    for i in sorted(range(len(e.args)), key=lambda i: -round_of_arg(e, i)):
        stages.append((i, adjoints([(e.args[i], Expr("leaf", ("d_arg", 0)))])))
    leaves = {leaf for _, grads in stages for leaf in grads}
    if missing := [e.cell.maps[k] for leaf, k in e.pre.items() if leaf not in leaves]:
        raise Untraceable(f"maps {missing} do not reach the output")
    return stages


def memory_of_values(e: Equations, stages):
    """Which nodes are saved for the backward pass, and which are in memory anyway; for both,
    id -> where.

    Transcendental values and the results of maps are saved; other values are computed again.
    """
    # a quotient may also be one of adjoints, which the forward pass does not have
    forward_ids = set(map(id, walk([e.up, *e.after, *e.args])))

    def saveable(node):
        worth = node in e.pre or node.op in ROWS and ROWS[node.op].worth_saving
        return id(node) in forward_ids and worth

    read_again = [
        node
        for _, grads in stages
        for node in walk(list(grads.values()), stop=saveable)
        if saveable(node)
    ]
    states = {id(node): ("s_next", i) for i, node in enumerate(e.after)}
    saves = {}
    for node in read_again:
        if id(node) not in states:
            saves.setdefault(id(node), ("save", len(saves)))
    return saves, states


# ---- the order of things -------------------------------------------------------------------------
def forward_steps(e: Equations, saves) -> list[Loop | Product]:
    """The forward pass: round by round the arguments and the maps that read them, and the outputs in
    the last loop.
    """
    steps: list[Loop | Product] = []
    available = set()
    last_round = max(e.rounds) + 1
    nodes = {id(node): node for node in walk([e.up, *e.after, *e.args])}
    for r in range(last_round + 1):
        ready = [i for i in range(len(e.args)) if round_of_arg(e, i) == r]
        stores = [Store(("arg", i), e.args[i]) for i in ready]
        below = [e.args[i] for i in ready]
        in_memory = {key: target for key, target in saves.items() if key in available}
        if r == last_round:
            stores += [Store(("s_next", i), node) for i, node in enumerate(e.after)]
            if e.up is not e.after[0]:
                stores.append(Store(("up", 0), e.up))
            below += [e.up, *e.after, *(nodes[key] for key in saves if key not in available)]
        for node in walk(below, stop=lambda node: id(node) in available):
            if id(node) in saves and id(node) not in available:
                stores.append(Store(saves[id(node)], node))
                available.add(id(node))
        if stores:
            steps.append(Loop(stores, in_memory))
        steps += [run for run in e.runs if e.rounds[run.first] == r]
    return steps


def backward_steps(e: Equations, stages, in_memory) -> list[Loop | Adjoint]:
    """The backward pass: stage by stage the adjoint of an argument, from the maps that read it, and
    then the adjoints of the values of which the argument is made.
    """
    steps: list[Loop | Adjoint] = []
    with_value = set()
    targets = [(leaf, ("d_pre", k)) for leaf, k in e.pre.items()]
    targets += [(leaf, ("d_s", k)) for k, leaf in enumerate(e.states)] + [(e.x, ("d_x", 0))]
    for i, grads in stages:
        readers = [run for run in e.runs if i is not None and run.arg == i]
        steps += [Adjoint(run.first, run.count, i, run is not readers[0]) for run in readers]
        stores = []
        for leaf, target in targets:
            if leaf in grads:
                stores.append(Store(target, grads[leaf], add=leaf in with_value))
            # the first stage replaces the adjoint of the state after the step by that of the state
            # before it
            elif target[0] == "d_s" and leaf not in with_value:
                stores.append(Store(target, None))
            else:
                continue
            with_value.add(leaf)
        if stores:
            steps.append(Loop(stores, in_memory))
    return steps + [Adjoint(r.first, r.count, STATE, True) for r in e.runs if r.arg == STATE]
