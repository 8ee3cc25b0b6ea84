"""Expression graphs of a cell's equations, and their derivatives by reverse mode."""

import torch

FUNCTIONS = {torch.sigmoid: "sigmoid", torch.tanh: "tanh", torch.relu: "relu", torch.exp: "exp"}


class Untraceable(Exception):
    """The equations use something that the compiled step does not know; the plain step does."""


class Expr:
    """A node: an operation and its arguments. Leaves are the state, the input, and what a map
    returned.
    """

    __array_priority__ = 100

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

    def __neg__(self):
        return make("neg", self)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        name = FUNCTIONS.get(func)
        if name is None or kwargs or len(args) != 1:
            raise Untraceable(
                "the compiled step knows + - * / sigmoid tanh relu exp, not"
                f" {getattr(func, '__name__', func)}"
            )
        return Expr(name, args[0])

    def sigmoid(self):
        return Expr("sigmoid", self)

    def tanh(self):
        return Expr("tanh", self)

    def relu(self):
        return Expr("relu", self)

    def exp(self):
        return Expr("exp", self)


def make(op, *args):
    """An operation, with what is trivially 0 or 1 folded away."""
    args = tuple(a if isinstance(a, Expr) else Expr("const", float(a)) for a in args)
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


def walk(roots, stop=lambda e: False):
    """Every node below `roots` once, arguments first; does not look below a node for which `stop`
    holds.
    """
    seen, order = set(), []

    def visit(e):
        if id(e) in seen:
            return
        seen.add(id(e))
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
    for node, d in outputs:
        grads[id(node)] = make("add", grads[id(node)], d) if id(node) in grads else d
        roots[id(node)] = node

    def send(node, d):
        if node.op != "const":
            grads[id(node)] = make("add", grads[id(node)], d) if id(node) in grads else d

    leaves = {}
    for e in reversed(walk(list(roots.values()))):
        d = grads.get(id(e))
        if d is None:
            continue
        if e.op == "leaf":
            leaves[e] = d
        elif e.op == "add":
            send(e.args[0], d), send(e.args[1], d)
        elif e.op == "sub":
            send(e.args[0], d), send(e.args[1], make("neg", d))
        elif e.op == "neg":
            send(e.args[0], make("neg", d))
        elif e.op == "mul":
            send(e.args[0], d * e.args[1]), send(e.args[1], d * e.args[0])
        elif e.op == "div":
            send(e.args[0], d / e.args[1]), send(e.args[1], -(d * e) / e.args[1])
        elif e.op == "sigmoid":
            send(e.args[0], d * (e * (1 - e)))
        elif e.op == "tanh":
            send(e.args[0], d * (1 - e * e))
        elif e.op == "exp":
            send(e.args[0], d * e)
        elif e.op == "relu":
            send(e.args[0], d * Expr("positive", e))
        elif e.op == "s":
            send(e.args[0], d * Expr("s_slope", e))
    return leaves
