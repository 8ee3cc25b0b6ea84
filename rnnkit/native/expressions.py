"""Walking expression graphs of a cell's equations, and their derivatives by reverse mode."""

from .ops import ROWS, make


def walk(roots, stop=lambda e: False):
    """Every node below `roots` once, arguments first; does not look below a node for which `stop`
    holds.
    """
    visited, order = set(), []

    def visit(e):
        if id(e) in visited:
            return
        visited.add(id(e))
        if e.op not in ("leaf", "const") and not stop(e):
            for a in e.args:
                visit(a)
        order.append(e)

    for root in roots:
        visit(root)
    return order


def adjoints(outputs):
    """Reverse mode. `outputs` is [(node, its adjoint)]; returns {leaf: expression of its adjoint}."""
    grads, roots = {}, {}

    def send(node, d):
        if node.op != "const" and d is not None:
            grads[id(node)] = make("add", grads[id(node)], d) if id(node) in grads else d

    for node, d in outputs:
        roots[id(node)] = node
        grads[id(node)] = make("add", grads[id(node)], d) if id(node) in grads else d
    leaves = {}
    for e in reversed(walk(list(roots.values()))):
        d = grads.get(id(e))
        if d is None:
            continue
        if e.op == "leaf":
            leaves[e] = d
        elif e.op != "const":
            for argument, adjoint in zip(e.args, ROWS[e.op].derivative(d, e, *e.args), strict=True):
                send(argument, adjoint)
    return leaves
