"""Plans what the compiled steps do for a cell, and in which order; trace.py prints the plan.

`Cell.step` is run once on symbols. Its maps become matrix products, and everything else becomes
loops over units x batch. The derivative is taken by reverse mode on the same graph, and values that
the backward pass reads are either saved or computed again.
"""

from dataclasses import dataclass
from itertools import groupby

from ..cells import Cell, Maps, take_step
from .expressions import adjoints, walk
from .ops import ROWS, Expr, Untraceable, nonlinearity

INPUT, STATE = -2, -1  # what a map reads if none of `args`: the input alone, or the first state
OUTPUTS = -3  # what has an adjoint from the start, and no map reads it
Address = tuple[str, int]  # where a value per unit and sample is in memory, as ("save", 2)
# OUTPUTS or which of `args`, and the adjoints that it gives the leaves
Stage = tuple[int, dict[Expr, Expr]]


@dataclass(frozen=True)
class Store:
    """Writes a value per unit and sample (zero without `value`) to `target`. With `add`, the value
    is added to the one that is there.
    """

    target: Address
    value: Expr | None
    add: bool = False


@dataclass(frozen=True)
class Loop:
    """A loop over units x batch. `in_memory` says which nodes can be loaded, and from where."""

    stores: list[Store]
    in_memory: dict[Expr, Address]


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


@dataclass(frozen=True)
class Equations:
    """A cell's step in symbols, and what each of its maps reads."""

    cell: type[Cell]
    x: Expr
    states: tuple[Expr, ...]
    up: Expr
    after: tuple[Expr, ...]
    pre: dict[Expr, int]  # the result of each map -> its number
    args: list[Expr]  # the arguments of maps that the step computes
    arg_of: list[int]  # of each map: INPUT, STATE or which of `args`
    rounds: list[int]  # of each map: how many others, one after another, its argument needs

    @property
    def results(self) -> list[Expr]:
        """All that the step computes: its outputs, and the arguments of maps."""
        return [self.up, *self.after, *self.args]

    @property
    def runs(self) -> list[Product]:
        """The products: consecutive maps with the same argument and round are one."""
        kinds = groupby(range(len(self.pre)), lambda k: (self.arg_of[k], self.rounds[k]))
        runs = [(arg, list(maps)) for (arg, _), maps in kinds]
        return [Product(maps[0], len(maps), arg) for arg, maps in runs]

    def round_of_arg(self, i: int) -> int:
        return min(r for r, arg in zip(self.rounds, self.arg_of) if arg == i)


@dataclass(frozen=True)
class Plan:
    """The steps of the forward and the backward pass, and how much memory they take."""

    cell: type[Cell]
    saves: int = 0
    args: int = 0
    arg_of: tuple[int, ...] = ()
    up_is_state: bool = True
    reads_x: bool = False
    forward: tuple[Loop | Product, ...] = ()
    backward: tuple[Loop | Adjoint, ...] = ()


def plan(cell: type[Cell]) -> Plan:
    """The plan of a cell's step, which is empty for a cell without maps.

    Raises Untraceable, with the reason, if its equations use an operation that the compiled steps do
    not know, or fail on symbols in any way; the plain step may still be able to run them.
    """
    if not cell.maps:
        return Plan(cell)
    try:
        e = equations_of(cell)
        stages = derivative(e)
        saves = values_to_save(e, stages)
        forward = forward_steps(e, saves)
        backward = backward_steps(e, stages, saves)
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
        saves=len(saves),
        args=len(e.args),
        arg_of=tuple(e.arg_of),
        up_is_state=e.up is e.after[0],
        reads_x=any(e.x in grads for _, grads in stages),
        forward=tuple(forward),
        backward=tuple(backward),
    )


# ---- reading the equations -----------------------------------------------------------------------
def equations_of(cell: type[Cell]) -> Equations:
    """Runs the cell's step on symbols, and says what each of its maps reads, and in which round."""
    x = Expr("leaf", ("x", 0))
    states = tuple(Expr("leaf", ("s", i)) for i in range(len(cell.states)))
    pre = {Expr("leaf", ("pre", k)): k for k in range(len(cell.maps))}
    results = dict(zip(cell.maps, pre))
    argument_of: dict[str, Expr | None] = {}

    def affine(name: str, h: Expr | None, input: Expr) -> Expr:
        is_symbol = isinstance(h, Expr) or h is None and name in cell.input_only
        if input is not x or name in argument_of or not is_symbol:
            raise Untraceable(
                f"map {name} must be called once, with the layer's input as its second argument"
            )
        argument_of[name] = h
        return results[name]

    has_own = len(cell.nonlinearities) == 1 and cell.nonlinearities[0] not in ("relu", "tanh")
    s = nonlinearity(cell) if has_own else ROWS["s"]
    up, after = take_step(cell, Maps(cell, affine), states, x, s)
    if not all(isinstance(e, Expr) for e in (up, *after)):
        raise Untraceable("a step must return expressions of its maps, state and input")
    arguments = [argument_of[name] for name in cell.maps]
    numbers: dict[Expr | None, int] = {None: INPUT, states[0]: STATE}
    for h in arguments:
        numbers.setdefault(h, len(numbers) - 2)

    def round_of(h: Expr | None) -> int:
        below = [] if h is None else walk([h])
        return max((1 + round_of(arguments[pre[e]]) for e in below if e in pre), default=0)

    return Equations(
        cell,
        x,
        states,
        up,
        after,
        pre,
        args=[h for h, number in numbers.items() if h is not None and number >= 0],
        arg_of=[numbers[h] for h in arguments],
        rounds=[round_of(h) for h in arguments],
    )


# ---- the derivative, and what it reads -----------------------------------------------------------
def derivative(e: Equations) -> list[Stage]:
    """The adjoints of the leaves, stage by stage: first from the outputs, then from each argument,
    beginning with the last one.
    """
    d_up = Expr("leaf", ("d_up", 0))
    d_after = [Expr("leaf", ("d_s", i)) for i in range(len(e.states))]
    stages = [(OUTPUTS, adjoints([(e.up, d_up), *zip(e.after, d_after)]))]
    for i in sorted(range(len(e.args)), key=lambda i: -e.round_of_arg(i)):
        stages.append((i, adjoints([(e.args[i], Expr("leaf", ("d_arg", 0)))])))
    leaves = {leaf for _, grads in stages for leaf in grads}
    if missing := [e.cell.maps[k] for leaf, k in e.pre.items() if leaf not in leaves]:
        raise Untraceable(f"maps {missing} do not reach the output")
    return stages


def values_to_save(e: Equations, stages: list[Stage]) -> dict[Expr, Address]:
    """Where the forward pass saves which nodes for the backward pass.

    Transcendental values and the results of maps are saved; other values are computed again. The
    states are in memory anyway.
    """
    # a quotient may also be one of adjoints, which the forward pass does not have
    in_forward = set(walk(e.results))

    def is_worth_saving(node: Expr) -> bool:
        return node in in_forward and (
            node in e.pre or node.op in ROWS and ROWS[node.op].worth_saving
        )

    saves: dict[Expr, Address] = {}
    states = set(e.after)
    for _, grads in stages:
        for node in walk(grads.values(), stop=is_worth_saving):
            if is_worth_saving(node) and node not in states:
                saves.setdefault(node, ("save", len(saves)))
    return saves


# ---- the order of things -------------------------------------------------------------------------
def forward_steps(e: Equations, saves: dict[Expr, Address]) -> list[Loop | Product]:
    """The forward pass: round by round the arguments and the maps that read them, and the outputs in
    the last loop.
    """
    steps: list[Loop | Product] = []
    available: set[Expr] = set()
    last_round = max(e.rounds) + 1
    for r in range(last_round + 1):
        ready = [i for i in range(len(e.args)) if e.round_of_arg(i) == r]
        stores = [Store(("arg", i), e.args[i]) for i in ready]
        below = [e.args[i] for i in ready]
        in_memory = {node: address for node, address in saves.items() if node in available}
        if r == last_round:
            stores += [Store(("s_next", i), node) for i, node in enumerate(e.after)]
            if e.up is not e.after[0]:
                stores.append(Store(("up", 0), e.up))
            below += [e.up, *e.after, *(node for node in saves if node not in available)]
        for node in walk(below, stop=available.__contains__):
            if node in saves and node not in available:
                stores.append(Store(saves[node], node))
                available.add(node)
        if stores:
            steps.append(Loop(stores, in_memory))
        steps += [run for run in e.runs if e.rounds[run.first] == r]
    return steps


def backward_steps(
    e: Equations, stages: list[Stage], saves: dict[Expr, Address]
) -> list[Loop | Adjoint]:
    """The backward pass: stage by stage the adjoint of an argument, from the maps that read it, and
    then the adjoints of the values of which the argument is made.
    """
    steps: list[Loop | Adjoint] = []
    in_memory = saves | {node: ("s_next", i) for i, node in enumerate(e.after)}
    with_value: set[Expr] = set()
    targets = [(leaf, ("d_pre", k)) for leaf, k in e.pre.items()]
    targets += [(leaf, ("d_s", k)) for k, leaf in enumerate(e.states)] + [(e.x, ("d_x", 0))]
    for i, grads in stages:
        readers = [run for run in e.runs if run.arg == i]
        steps += [Adjoint(run.first, run.count, i, run is not readers[0]) for run in readers]
        stores = []
        for leaf, target in targets:
            # the first stage replaces the adjoint of the state after the step by that of the state
            # before it, which is zero where nothing reads that state
            if leaf in grads or target[0] == "d_s" and leaf not in with_value:
                stores.append(Store(target, grads.get(leaf), leaf in grads and leaf in with_value))
                with_value.add(leaf)
        if stores:
            steps.append(Loop(stores, in_memory))
    return steps + [Adjoint(r.first, r.count, STATE, True) for r in e.runs if r.arg == STATE]
