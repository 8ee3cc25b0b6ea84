"""Walks the expression graphs of a cell's equations, and differentiates them by reverse mode."""

from collections.abc import Callable, Iterable

from .ops import ROWS, Expr, make


def walk(roots: Iterable[Expr], stop: Callable[[Expr], bool] = lambda e: False) -> list[Expr]:
    """Every node at or below `roots`, once and arguments first; nodes for which `stop` holds are
    included, and what is below them is not.
    """
    order: dict[Expr, None] = {}

    def visit(e: Expr) -> None:
        if e not in order:
            for a in () if e.op in ("leaf", "const") or stop(e) else e.args:
                visit(a)
            order[e] = None

    for root in roots:
        visit(root)
    return list(order)


def adjoints(outputs: Iterable[tuple[Expr, Expr]]) -> dict[Expr, Expr]:
    """The adjoints of the leaves, by reverse mode; `outputs` is (node, its adjoint) of each output."""
    grads: dict[Expr, Expr] = {}

    def add(node: Expr, d: Expr) -> None:
        grads[node] = make("add", grads[node], d) if node in grads else d

    for node, d in outputs:
        add(node, d)
    # from the outputs towards the leaves, each node after all that read it
    order = walk(list(grads))[::-1]
    for e in order:
        if e in grads and e.op not in ("leaf", "const"):
            for argument, adjoint in zip(
                e.args, ROWS[e.op].derivative(grads[e], e, *e.args), strict=True
            ):
                if argument.op != "const" and adjoint is not None:
                    add(argument, adjoint)
    return {e: grads[e] for e in order if e.op == "leaf" and e in grads}
