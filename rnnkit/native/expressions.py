"""Walks the expression graphs of a cell's equations, and differentiates them by reverse mode."""

from .ops import ROWS, make


def walk(roots, stop=lambda e: False):
    """Every node at or below `roots`, once and arguments first; nodes for which `stop` holds are
    included, and what is below them is not.
    """
    seen_ids = set()
    order = []

    def visit(e):
        if id(e) in seen_ids:
            return
        seen_ids.add(id(e))
        if e.op not in ("leaf", "const") and not stop(e):
            for a in e.args:
                visit(a)
        order.append(e)

    for root in roots:
        visit(root)
    return order


def adjoints(outputs):
    """The adjoints of the leaves, {leaf: expression}, by reverse mode; `outputs` is
    [(node, its adjoint)].
    """
    grads = {}
    roots = {}

    def add(node, d):
        grads[id(node)] = make("add", grads[id(node)], d) if id(node) in grads else d

    for node, d in outputs:
        roots[id(node)] = node
        add(node, d)
    # from the outputs towards the leaves, each node after all that read it
    leaves = {}
    for e in reversed(walk(list(roots.values()))):
        d = grads.get(id(e))
        if d is None:
            continue
        if e.op == "leaf":
            leaves[e] = d
        elif e.op != "const":
            for argument, adjoint in zip(e.args, ROWS[e.op].derivative(d, e, *e.args), strict=True):
                if argument.op != "const" and adjoint is not None:
                    add(argument, adjoint)
    return leaves
