"""Each cell against a transcription of its equations in numpy, with every gate nontrivial, in
float64.
"""

import numpy as np
import pytest
import torch

from rnnkit import networks
from rnnkit.cells import CELLS, PAPER, Cell, cell_of, register


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def relu(a):
    return np.maximum(a, 0)


# The paper's equations, written again from its text; w[m] is (recurrent matrix, input matrix,
# bias), x and h are columns.
def rnn(w, h, x, s):
    h = s(w["h"][0] @ h + w["h"][1] @ x + w["h"][2])
    return h, (h,)


def ugrnn(w, h, x, s):
    c = s(w["c"][0] @ h + w["c"][1] @ x + w["c"][2])
    g = sigmoid(w["g"][0] @ h + w["g"][1] @ x + w["g"][2])
    h = g * h + (1 - g) * c
    return h, (h,)


def gru(w, h, x, s):
    r = sigmoid(w["r"][0] @ h + w["r"][1] @ x + w["r"][2])
    u = sigmoid(w["u"][0] @ h + w["u"][1] @ x + w["u"][2])
    c = s(w["c"][0] @ (r * h) + w["c"][1] @ x + w["c"][2])
    h = u * h + (1 - u) * c
    return h, (h,)


def lstm(w, h, c, x, s):
    i = sigmoid(w["i"][0] @ h + w["i"][1] @ x + w["i"][2])
    f = sigmoid(w["f"][0] @ h + w["f"][1] @ x + w["f"][2])
    c_in = s(w["c"][0] @ h + w["c"][1] @ x + w["c"][2])
    c = f * c + i * c_in
    o = sigmoid(w["o"][0] @ h + w["o"][1] @ x + w["o"][2])
    h = o * np.tanh(c)
    return h, (h, c)


def intersection(w, h, x, s):
    y_in = relu(w["y"][0] @ h + w["y"][1] @ x + w["y"][2])
    h_in = np.tanh(w["h"][0] @ h + w["h"][1] @ x + w["h"][2])
    gy = sigmoid(w["gy"][0] @ h + w["gy"][1] @ x + w["gy"][2])
    gh = sigmoid(w["gh"][0] @ h + w["gh"][1] @ x + w["gh"][2])
    y = gy * x + (1 - gy) * y_in
    return y, (gh * h + (1 - gh) * h_in,)


EQUATIONS = {
    "rnn": rnn,
    "irnn": rnn,
    "ugrnn": ugrnn,
    "gru": gru,
    "lstm": lstm,
    "+rnn": intersection,
}
MAPS = {
    "rnn": "h",
    "irnn": "h",
    "ugrnn": "cg",
    "gru": "ruc",
    "lstm": "ifco",
    "+rnn": ("y", "h", "gy", "gh"),
}
CASES = [(a, L) for a in PAPER for L in (1, 2, 3) if not (a == "+rnn" and L == 1)]
I, N, O, T, B = 4, 3, 2, 5, 6


def by_hand(architecture, n_layers, theta, inputs, nonlinearity):
    """Outputs after the last step for one model and one example, block by block from the flat
    parameter vector.
    """
    s = {"relu": relu, "tanh": np.tanh}[nonlinearity]
    maps = MAPS[architecture]
    states = 2 if architecture == "lstm" else 1
    p = np.asarray(theta)

    def take(*shape):
        nonlocal p
        out = p[: int(np.prod(shape))].reshape(shape)
        p = p[int(np.prod(shape)) :]
        return out

    project = take(N, I) if architecture == "+rnn" else None
    matrices = [
        (take(len(maps), N, N if layer or project is not None else I), take(len(maps), N, N))
        for layer in range(n_layers)
    ]
    readout = take(O, N)
    b_in = take(N) if project is not None else None
    vectors = [(take(len(maps), N), take(states, N)) for layer in range(n_layers)]
    b_out = take(O)
    assert p.size == 0
    up = [project @ x + b_in for x in inputs] if project is not None else inputs
    for (Wx, Wh), (b, h0) in zip(matrices, vectors):
        w = {m: (Wh[k], Wx[k], b[k]) for k, m in enumerate(maps)}
        state = tuple(h0)
        ups = []
        for x in up:
            y, state = EQUATIONS[architecture](w, *state, x, s)
            ups.append(y)
        up = ups
    return readout @ up[-1] + b_out


def drawn(architecture, n_layers, seed=0):
    g = np.random.default_rng(seed)
    shapes = networks.blocks(architecture, n_layers, N, I, O)
    theta = g.normal(size=(2, sum(int(np.prod(s)) for s in shapes.values())))
    return shapes, theta, g.normal(size=(T, 2, B, I))


@pytest.mark.parametrize("architecture, n_layers", CASES)
@pytest.mark.parametrize("nonlinearity", ["relu", "tanh"])
def test_network_computes_the_equations_of_the_paper(architecture, n_layers, nonlinearity):
    if nonlinearity not in CELLS[architecture].nonlinearities:
        nonlinearity = CELLS[architecture].nonlinearities[0]
    shapes, theta, x = drawn(architecture, n_layers)
    relu_M = torch.tensor([nonlinearity == "relu"] * 2)
    ours = networks.forward(
        architecture, n_layers, shapes, torch.tensor(theta), list(torch.tensor(x)), relu_M
    ).numpy()
    for m in range(2):
        for b in range(B):
            assert ours[m, b] == pytest.approx(
                by_hand(architecture, n_layers, theta[m], x[:, m, b], nonlinearity), abs=1e-12
            )


@pytest.mark.parametrize("architecture, n_layers", CASES)
def test_gradient_equals_finite_differences(architecture, n_layers):
    shapes, theta, x = drawn(architecture, n_layers, seed=3)
    relu_M = torch.tensor([architecture == "irnn", False])
    inputs = list(torch.tensor(x))

    def loss(theta):
        return (networks.forward(architecture, n_layers, shapes, theta, inputs, relu_M) ** 2).mean()

    assert torch.autograd.gradcheck(
        loss, torch.tensor(0.5 * theta, requires_grad=True), eps=1e-6, atol=1e-6
    )


def test_static_input_gives_what_the_same_input_at_every_step_gives():
    shapes, theta, x = drawn("gru", 2)
    one = torch.tensor(x[0])
    again = [one.clone() for _ in range(T)]
    outputs = [
        networks.forward("gru", 2, shapes, torch.tensor(theta), inputs, torch.tensor([False] * 2))
        for inputs in ([one] * T, again)
    ]
    assert torch.allclose(*outputs, atol=1e-12)


def test_forget_bias_goes_to_the_gates_that_carry_the_state_over():
    assert {a: tuple(CELLS[a].forget) for a in PAPER} == {
        "rnn": (),
        "irnn": (),
        "ugrnn": ("g",),
        "gru": ("u",),
        "lstm": ("f",),
        "+rnn": ("gy", "gh"),
    }


def test_intersection_rnn_of_depth_one_is_refused_with_the_section():
    with pytest.raises(
        ValueError, match=r"\+RNN needs n_layers >= 2 \(paper, section 1.4\), got n_layers=1"
    ):
        cell_of("+rnn", 1)


def test_unknown_architecture_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="must be one of rnn, irnn.*got 'transformer'"):
        cell_of("transformer")


def test_a_registered_cell_is_counted_and_run_like_the_others():
    class MGU(Cell):
        """Minimal gated unit, Zhou et al. 2016."""

        architecture = "mine"
        maps = ("f", "c")
        forget = {"f": "forget_gate_bias_hack"}

        @staticmethod
        def step(W, h, x, s):
            f = torch.sigmoid(W.f(h, x))
            c = s(W.c(f * h, x))
            h = (1 - f) * h + f * c
            return h, h

    try:
        register(MGU)
        assert networks.num_params("mine", 1, N, I, O) == 2 * (N * N + N * I + N) + N + O * N + O
        shapes = networks.blocks("mine", 1, N, I, O)
        theta = torch.zeros(1, networks.num_params("mine", 1, N, I, O))
        assert networks.forward(
            "mine", 1, shapes, theta, [torch.ones(1, B, I)] * T, torch.tensor([False])
        ).shape == (1, B, O)
    finally:
        CELLS.pop("mine")


def wrong(step, **declared):
    """A cell with this step, and what else it declares."""
    attributes = {"architecture": "wrong", "maps": ("c", "g"), "step": staticmethod(step)}
    return type("Wrong", (Cell,), attributes | declared)


def minimal(W, h, x, s):
    g = torch.sigmoid(W.g(h, x))
    h = g * h + (1 - g) * s(W.c(h, x))
    return h, h


def returning(value):
    return lambda W, h, x, s: (minimal(W, h, x, s), value(h))[1]


MISTAKES = {  # a mistake -> the cell, and what is said of it
    "one value": (wrong(returning(lambda h: h)), r"must return two values.* got a tensor of shape"),
    "a tuple of three": (wrong(returning(lambda h: (h, h, h))), "got a tuple of 3"),
    "a number": (wrong(returning(lambda h: (h, 1.0))), "h must be a tensor of as many units"),
    "another size": (wrong(returning(lambda h: (h[..., :1], h))), "The output must be a tensor"),
    "s forgotten": (wrong(lambda W, h, x: (h, h)), r"\(W, h, x, s\).* got \(W, h, x\)"),
    "an unknown operation": (
        wrong(lambda W, h, x, s: (W.c(h, x).softplus() + W.g(h, x), h)),
        "Wrong.step cannot be run .*no attribute 'softplus'",
    ),
    "numpy": (
        wrong(lambda W, h, x, s: (np.polyval(W.c(h, x), "h"), W.g(h, x))),
        "Wrong.step cannot be run",
    ),
    "x and h of two sizes": (
        wrong(lambda W, h, x, s: (W.c(h, x) + x, W.g(h, x))),
        "cannot be run .*equal_sizes = True",
    ),
    "a map without a name": (
        wrong(minimal, maps=("c",)),
        "calls W.g, but the maps of Wrong are c. Add 'g'",
    ),
    "a map without a call": (wrong(minimal, maps=("c", "g", "r")), "got no call of W.r"),
    "arguments swapped": (
        wrong(lambda W, h, x, s: (W.c(x, h), W.g(h, x))),
        r"as W.c\(h, x\), got a tensor of shape \(1, 3\)",
    ),
    "one state of two": (
        wrong(minimal, states=("h", "c")),
        r"got a tuple of 2 and x. A state of two is unpacked first, as h, c = state",
    ),
    "a word for a tuple": (wrong(minimal, maps="cg"), r"maps must be a tuple of names.*got 'cg'"),
    "a map named twice": (wrong(minimal, maps=("c", "g", "c")), "must not repeat a name"),
    "another initialisation": (
        wrong(minimal, recurrent_inits=("zeros",)),
        "Wrong.recurrent_inits must be one of identity, orthogonal, normal, got 'zeros'",
    ),
    "no equations": (
        type("Wrong", (Cell,), {"architecture": "wrong", "maps": ("c",)}),
        "Wrong.step must be the cell's equations, got none",
    ),
    "a slash in its name": (wrong(minimal, architecture="my/cell"), "a word of letters"),
    "a name for a class": ("gru", "A cell must be a class, got 'gru'"),
    "a class that is none": (int, "A cell must declare `architecture`, got int without it"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_cell_with_a_mistake_is_refused_in_one_sentence_when_it_is_registered(mistake):
    cell, said = MISTAKES[mistake]
    with pytest.raises(ValueError, match=said) as caught:
        register(cell)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    assert "wrong" not in CELLS


def test_a_mistake_leaves_the_cell_that_had_the_name():
    before = CELLS["gru"]
    with pytest.raises(ValueError):
        register(wrong(returning(lambda h: h), architecture="gru"))
    assert CELLS["gru"] is before


def test_a_cell_without_a_mistake_is_registered():
    try:
        assert register(wrong(minimal)) is CELLS["wrong"]
    finally:
        CELLS.pop("wrong")


@pytest.mark.parametrize("name", ["gru", "mgu", "mine"])
def test_a_name_that_is_taken_is_refused_and_its_cell_stays(name):
    from rnnkit.cells import CELLS, RNN, register

    try:
        register(type("Mine", (RNN,), {"architecture": "mine"}))
        before = CELLS[name]
        with pytest.raises(ValueError, match=f"'{name}' is taken, by the class .* Give Other"):
            register(type("Other", (RNN,), {"architecture": name}))
        assert CELLS[name] is before
        again = register(type("Mine", (RNN,), {"architecture": "mine"}))  # a notebook's cell, again
        assert CELLS["mine"] is again
    finally:
        CELLS.pop("mine")
