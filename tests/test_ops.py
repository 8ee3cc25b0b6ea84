"""The operations of a cell's equations: each by its gradient against torch's, in the compiled step
and in the kernel for a GPU, and what is said of those that are not known.
"""

import itertools
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from emulated import Emulated
from torch.nn import functional

from rnnkit import native, networks, training
from rnnkit.cells import CELLS, Cell, register
from rnnkit.native import cuda, ops
from rnnkit.native.trace import Untraceable, trace
from rnnkit.studies import Study
from rnnkit.tasks.memory import Memory

needs_compiler = pytest.mark.skipif(native.compiler() is None, reason="needs a C++ compiler")

# what an operation makes of the results a, b of two maps, for those rows of the table that are not
# tried as they are
CASES = {
    "add": lambda a, b: torch.add(a, b, alpha=2),
    "sub": lambda a, b: 1 - a - torch.sub(b, 1),
    "mul": lambda a, b: a * b * 0.5,
    "div": lambda a, b: a / (2 + torch.sigmoid(b)),
    "neg": lambda a, b: -a * b,
    "sigmoid": lambda a, b: a.sigmoid() * b,
    "tanh": lambda a, b: torch.tanh(a) + b,
    "relu": lambda a, b: functional.relu(a) * b,
    "exp": lambda a, b: torch.exp(-a) * b,
    "log": lambda a, b: torch.log(1 + a * a) + b,
    "softplus": lambda a, b: functional.softplus(a) + functional.softplus(b, beta=2),
    "silu": lambda a, b: functional.silu(a) + b,
    "sin": lambda a, b: torch.sin(a) * b,
    "cos": lambda a, b: a.cos() * b,
    "sqrt": lambda a, b: torch.sqrt(1 + a * a) * b,
    "pow": lambda a, b: (1 + a * a) ** 1.5 + torch.pow(1 + a * a, 0.1 * b) + 0.5**b + a**2 + b**3,
    "abs": lambda a, b: torch.abs(a) + abs(b) * a,
    "sign": lambda a, b: torch.sign(a) * b + a,
    "maximum": lambda a, b: torch.maximum(a, b),
    "minimum": lambda a, b: torch.minimum(a, b),
    "at_least": lambda a, b: a.clamp(min=0.1) + torch.clamp(a, min=b),
    "at_most": lambda a, b: torch.clamp(a, -0.5, 0.5) + torch.clip(b, max=a),
    "where": lambda a, b: torch.where(a > b, a, 0.1 * b) * torch.where(a < 0, 1.0, b),
    "gt": lambda a, b: torch.where(a > 0.2, b, a),
    "ge": lambda a, b: torch.where(a >= b, 2 * b, a),
    "lt": lambda a, b: torch.where(torch.lt(a, b), b, 2 * a),
    "le": lambda a, b: torch.where(a <= 0.3, b, a),
    "eq": lambda a, b: torch.where(a == b, b, a * b),
    "ne": lambda a, b: torch.where(a != 0, b, a),
    "share": lambda a, b: torch.maximum(a, 0.5 * b) * b,
    "positive": lambda a, b: torch.relu(a - b),
}


def as_it_is(name):
    """A row called with as many arguments as its code has; b is always read."""
    row = ops.ROWS[name]
    if "{2}" in row.code:
        return lambda a, b: row(a, b, a)
    return lambda a, b: row(a, b) if "{1}" in row.code else row(a) * b


# a new row is tried without a case of its own; s depends on the model
CASES |= {name: as_it_is(name) for name in ops.ROWS if name not in (*CASES, "s", "s_slope")}
# and where the derivative jumps: the same with all weights zero
TIES = [name for name in CASES if name not in ("pow", "log")]


class Every(Cell):
    """A state that is moved by every operation at once, each with two maps of its own."""

    architecture = "every-op"
    maps = tuple(f"{name}_{k}" for name in CASES for k in "ab")

    @staticmethod
    def step(W, h, x, s):
        new = 0
        for name, case in CASES.items():
            new = new + case(getattr(W, f"{name}_a")(h, x), getattr(W, f"{name}_b")(h, x))
        h = s(h + new / len(CASES))
        return h, h


@pytest.fixture(scope="module")
def every():
    yield register(Every)
    CELLS.pop(Every.architecture)


def study_of(architecture, n_units=3, steps=2):
    task = Memory("tiny", n_in=4, steps=steps, batch=16)
    count = networks.num_params(architecture, 1, n_units, task.n_in, task.n_out)
    return SimpleNamespace(
        task=task, architecture=architecture, n_layers=1, n_units=n_units, num_params=count
    )


def shapes_of(study):
    task = study.task
    return networks.blocks(study.architecture, 1, study.n_units, task.n_in, task.n_out)


def row_of(study):
    hp = torch.zeros(1, len(native.COLUMNS), dtype=torch.float64)
    hp[0, native.COLUMNS.index("every")] = 1
    hp[0, native.COLUMNS.index("first_scored")] = study.task.steps - 1
    return hp


def example(study, scale, dtype):
    """theta, inputs x_IxB and errors dz_OxB."""
    g = torch.Generator().manual_seed(5)
    task = study.task
    theta = scale * torch.randn(study.num_params, generator=g, dtype=torch.float64)
    networks.split(theta, shapes_of(study))["W_out"][:] = 1
    x, dz = (torch.randn(n, task.batch, generator=g) for n in (task.n_in, task.n_out))
    return theta.to(dtype), x.to(dtype), dz.to(dtype)


def by_torch(study, theta, x, dz):
    """Outputs z_OxB and the gradient of sum(dz * z), in double, by the plain step and autograd."""
    leaf = theta.double()[None].requires_grad_()
    inputs = [x.double().T[None]] * study.task.steps
    z = networks.forward(
        study.architecture, 1, shapes_of(study), leaf, inputs, torch.tensor([False])
    )
    (gradient,) = torch.autograd.grad((z[0].T * dz.double()).sum(), leaf)
    return z[0].T.detach(), gradient[0]


def by_the_processor(study, theta, x, dz):
    net = native.Network(study.architecture, 1, study.n_units, study.task, "double")
    z = torch.empty_like(dz)
    gradient = torch.empty_like(theta)
    net.gradient(theta, row_of(study), x.contiguous(), dz, z, gradient)
    return z, gradient


def by_the_kernel(study, theta, x, dz):
    module = Emulated(cuda.kernel_for(study, THREADS=64))
    z = torch.empty_like(dz)
    gradient = torch.empty_like(theta)
    arena = torch.zeros(max(1, module.kernel.global_numbers))
    module.gradient(1, 0, theta, row_of(study), x.contiguous(), dz, z, gradient, arena)
    return z, gradient


def parts(study, gradient):
    """Name of an operation -> the gradient of all parameters of its two maps."""
    blocks = networks.split(gradient, shapes_of(study))
    N = study.n_units
    found = {}
    for k, name in enumerate(CASES):
        rows = slice(2 * k * N, 2 * (k + 1) * N)
        found[name] = torch.cat([blocks[b][rows].flatten() for b in ("Wx0", "Wh0", "b0")])
    return found


WAYS = {"processor": (by_the_processor, torch.float64, 1e-11), "kernel": (by_the_kernel, torch.float32, 2e-4)}  # fmt: skip
SCALES = {"apart": 0.5, "at ties": 0.0}


@pytest.fixture(scope="module")
def gradients(every):
    """(way, scale) -> what a way and torch make of one example; the ways are compiled once."""
    study = study_of(every.architecture)
    found = {}
    for (way, (run, dtype, _)), (where, scale) in itertools.product(WAYS.items(), SCALES.items()):
        given = example(study, scale, dtype)
        found[way, where] = run(study, *given), by_torch(study, *given)
    return study, found


@needs_compiler
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("way", WAYS)
def test_the_gradient_of_each_operation_is_torchs(gradients, way, name):
    study, found = gradients
    (z, ours), (expected_z, theirs) = found[way, "apart"]
    near = WAYS[way][2]
    assert float((z - expected_z).abs().max()) <= near * float(expected_z.abs().max())
    ours = parts(study, ours.double())[name]
    theirs = parts(study, theirs)[name]
    assert float(theirs.norm()) > 1e-3
    assert float((ours - theirs).norm()) <= near * float(theirs.norm())


@needs_compiler
@pytest.mark.parametrize("name", TIES)
@pytest.mark.parametrize("way", WAYS)
def test_where_a_derivative_jumps_ours_is_torchs(gradients, way, name):
    """All maps give 0, so that every comparison is a tie and every bound of 0 is met."""
    study, found = gradients
    (_, ours), (_, theirs) = found[way, "at ties"]
    ours = parts(study, ours.double())[name]
    theirs = parts(study, theirs)[name]
    assert float((ours - theirs).abs().max()) <= 1e-5 * max(1, float(theirs.abs().max()))


def test_every_row_of_the_table_is_tried():
    assert set(ops.ROWS) - {"s", "s_slope"} <= set(CASES)


def test_a_row_is_its_own_function_on_tensors_and_on_symbols():
    x = torch.linspace(0.1, 1.9, 7, dtype=torch.float64)
    for name, row in ops.ROWS.items():
        if row.value is None:
            continue
        count = 1 + ("{1}" in row.code) + ("{2}" in row.code)
        arguments = (x > 1, x, 2 - x) if name == "where" else (x, 2 - x)[:count]
        assert torch.isfinite(row(*arguments).double()).all()
        assert row(*map(ops.Expr, "abc"[:count])).op == name


# ---- what is not known ---------------------------------------------------------------------------
def cell_with(new, **attributes):
    """A cell whose state is `new(W, h, x)`."""

    def step(W, h, x, s):
        h = new(W, h, x)
        return h, h

    settings = {"architecture": "strange", "maps": ("h",), "step": staticmethod(step)}
    return type("Strange", (Cell,), settings | attributes)


UNKNOWN = {
    "layer_norm": (
        lambda W, h, x: torch.tanh(functional.layer_norm(W.h(h, x), h.shape[-1:])),
        "takes each unit by itself, and shape takes a whole layer",
    ),
    "mean": (
        lambda W, h, x: torch.tanh(W.h(h, x) - h.mean(-1, keepdim=True)),
        "takes each unit by itself, and mean takes a whole layer",
    ),
    "sinc": (lambda W, h, x: torch.sinc(W.h(h, x)), "not sinc"),
    "a method": (lambda W, h, x: W.h(h, x).logit(0.1), "not logit"),
    "an argument": (
        lambda W, h, x: torch.tanh(torch.div(W.h(h, x), 2.0, rounding_mode=None)),
        "knows div, but not with these arguments",
    ),
    "a shape": (lambda W, h, x: torch.tanh(W.h(h, x)) * h.shape[-1], "shape takes a whole layer"),
    "an index": (lambda W, h, x: torch.tanh(W.h(h, x)[..., :]), "TypeError"),
    "a matrix": (lambda W, h, x: torch.tanh(W.h(h, x) * torch.ones(h.shape[-1])), "shape takes a whole layer"),
    "a Python error": (
        lambda W, h, x: torch.tanh(W.h(h, x)) + [0.0][int(isinstance(h, ops.Expr))],
        "cannot be run on symbols .IndexError: list index out of range.",
    ),
    "a branch": (
        lambda W, h, x: torch.tanh(W.h(h, x)) if isinstance(h, torch.Tensor) or h > 0 else h,
        "must be torch.where, not if",
    ),
    "a constant that is not finite": (
        lambda W, h, x: torch.tanh(torch.maximum(W.h(h, x), torch.tensor(-torch.inf).to(h))
                                   if isinstance(h, torch.Tensor) else W.h(h, x) * torch.inf),
        "must be finite, got inf",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNKNOWN)
@pytest.mark.parametrize("language", ["c++", "cuda"])
def test_what_the_compiled_steps_do_not_know_is_said(case, language):
    new, reason = UNKNOWN[case]
    with pytest.raises(Untraceable, match=reason):
        trace(cell_with(new), language)


@pytest.mark.parametrize("case", UNKNOWN)
def test_and_trains_with_the_plain_step(case):
    cell = register(cell_with(UNKNOWN[case][0]))
    training.engine._past_warnings.clear()
    native.library.cache_clear()
    try:
        study = Study("per_cap", "strange", 1, 100, train_steps=(3, 5), n_in=4, unroll=3)
        hparams = study.space.sample(np.random.default_rng(0))
        with pytest.warns(UserWarning, match="plain torch step") as warned:
            (outcome,) = training.train(study, [hparams], [0])
        if native.compiler() is not None:
            assert UNKNOWN[case][1].split(" .")[0].split(", ")[0] in str(warned[0].message)
        assert np.isfinite(outcome.train_loss)
    finally:
        CELLS.pop(cell.architecture)


@pytest.mark.parametrize("name", ["softplus", "silu", "sin", "abs", "sigmoid"])
@needs_compiler
def test_a_cells_one_nonlinearity_may_be_any_of_the_table(name):
    class Mine(Cell):
        architecture = "mine"
        maps = ("h",)
        nonlinearities = (name,)

        @staticmethod
        def step(W, h, x, s):
            h = s(W.h(h, x))
            return h, h

    register(Mine)
    try:
        study = study_of("mine")
        given = example(study, 0.5, torch.float64)
        ours = by_the_processor(study, *given)
        theirs = by_torch(study, *given)
        for a, b in zip(ours, theirs):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
    finally:
        CELLS.pop("mine")


def test_a_choice_of_other_nonlinearities_is_refused():
    with pytest.raises(ValueError, match="must be one name, or the choice of relu and tanh"):
        register(cell_with(lambda W, h, x: W.h(h, x), nonlinearities=("relu", "sin")))


def test_a_nonlinearity_that_is_nowhere_is_refused():
    register(cell_with(lambda W, h, x: W.h(h, x), nonlinearities=("sigmoidal",)))
    try:
        study = study_of("strange")
        with pytest.raises(ValueError, match="must be an operation of .*got 'sigmoidal'"):
            by_torch(study, *example(study, 0.5, torch.float64))
    finally:
        CELLS.pop("strange")


@needs_compiler
def test_the_message_about_equations_that_do_not_compile_is_the_compilers_error(monkeypatch):
    row = ops.Operation(
        "softsign", functional.softsign, lambda d, y, a: (d,), ops.lanes("a / (1 + fabz(a))")
    )
    monkeypatch.setitem(ops.ROWS, "softsign", row)
    register(cell_with(lambda W, h, x: ops.ROWS["softsign"](W.h(h, x))))
    native.library.cache_clear()
    try:
        with pytest.raises(native.Unavailable, match="compiler .* failed: .*error: .*fabz"):
            native.library("strange")
    finally:
        CELLS.pop("strange")


@needs_compiler
def test_an_operation_of_ones_own_is_one_row(monkeypatch):
    """The plain step calls the row, the compiled step prints it."""
    row = ops.Operation(
        "softsign",
        functional.softsign,
        lambda d, y, a: (d * (1 - abs(y)) ** 2,),
        ops.lanes("a / (1 + fabs(a))"),
    )
    monkeypatch.setitem(ops.ROWS, "softsign", row)
    register(cell_with(lambda W, h, x: ops.ROWS["softsign"](W.h(h, x))))
    native.library.cache_clear()
    try:
        study = study_of("strange")
        given = example(study, 0.5, torch.float64)
        for a, b in zip(by_the_processor(study, *given), by_torch(study, *given)):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
    finally:
        CELLS.pop("strange")


def test_nothing_is_said_of_the_papers_cells():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        texts = [trace(cell, language) for cell in CELLS.values() for language in ("c++", "cuda")]
    assert all("MAP_ARG" in text for text in texts)
