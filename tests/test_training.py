"""Population training: every statement is checked between independent computations in float64, over
short trainings.
"""

import dataclasses
import math
import random
import warnings
from types import SimpleNamespace

import pytest
import torch

from rnnkit import native, networks, training
from rnnkit.cells import CELLS, PAPER
from rnnkit.native.trace import print_optimizers
from rnnkit.optimizers import OPTIMIZERS, Optimizer
from rnnkit.tasks.perceptron import Perceptron
from rnnkit.training import check_device, train, update

COMPILED = native.compiler() is not None
needs_compiler = pytest.mark.skipif(not COMPILED, reason="no C++ compiler")
ENGINES = [
    pytest.param(name, marks=needs_compiler) if name == "compiled" else name
    for name in training.engines.ENGINES
]
NOT_PLAIN = [engine for engine in ENGINES if engine != "eager"]
CASES = [(a, L) for a in PAPER for L in (1, 2) if not (a == "+rnn" and L == 1)] + [
    ("linear", 0),
    ("+rnn", 3),
]


def a_study(architecture="rnn", n_layers=1, max_params=300, n_in=20, unroll=4, seed=0):
    task = Perceptron(n_in=max_params - 1 if architecture == "linear" else n_in, unroll=unroll)
    n_units = networks.units_for(architecture, n_layers, task.n_in, 1, max_params)
    count = networks.num_params(architecture, n_layers, n_units, task.n_in, 1)
    return SimpleNamespace(
        task=task,
        architecture=architecture,
        n_layers=n_layers,
        max_params=max_params,
        n_units=n_units,
        num_params=count,
        seed=seed,
    )


def some_hparams(architecture, seed, **fixed):
    r = random.Random(seed)
    cell = CELLS[architecture]
    hp = dict(
        optimizer=("SGD", "momentum", "RMSProp", "Adam")[seed % 4],
        lr_init=10 ** r.uniform(-3, -1.5),
        lr_decay_rate=10 ** r.uniform(-2, 0),
        optimizer_logit_momentum=r.uniform(1, 4),
        gradient_clip_val=10 ** r.uniform(-1.5, 0),
        l2_decay=10 ** r.uniform(-4, -2),
        train_steps=r.randint(5, 25),
        samples_per_param=r.uniform(0.2, 2),
        input_presentation=r.choice(["first", "every"]),
        nonlinearity=r.choice(cell.nonlinearities),
        recurrent_matrix_init_type=r.choice(cell.recurrent_inits or ("normal",)),
        recurrent_bias_init_type=r.choice(["delta", "normal"]),
    )
    for m in (*cell.maps, "in"):
        hp |= {
            f"input_scale_{m}": r.uniform(0.5, 2),
            f"recurrent_matrix_scale_{m}": r.uniform(0.5, 1.5),
            f"recurrent_bias_scale_{m}": r.uniform(-1, 1),
        }
    return hp | {name: r.uniform(0, 3) for name in cell.forget.values()} | fixed


def losses(outcomes):
    return [o.train_loss for o in outcomes]


@pytest.mark.parametrize("engine", NOT_PLAIN)
@pytest.mark.parametrize("architecture, n_layers", CASES)
def test_every_engine_trains_as_the_plain_one_does(architecture, n_layers, engine):
    study = a_study(architecture, n_layers)
    hparams = [some_hparams(architecture, seed) for seed in range(8)]  # each optimiser twice
    a, b = (
        train(study, hparams, range(8), engine=e, dtype=torch.float64) for e in (engine, "eager")
    )
    assert losses(a) == pytest.approx(losses(b), abs=1e-10)
    assert [o.valid_loss for o in a] == [o.valid_loss for o in b]


def compare_gradient(study, nonlinearity, batch):
    """Holds the compiled outputs of one batch and the gradient of a sum of them to autograd."""
    architecture = study.architecture
    n_layers = study.n_layers
    task = study.task
    hp = some_hparams(architecture, 5, nonlinearity=nonlinearity, input_presentation="every")
    theta = networks.initial(architecture, n_layers, study.n_units, task.n_in, 1, hp, 0, 0)[None]
    g = torch.Generator().manual_seed(1)
    x = torch.randn(1, batch, task.n_in, generator=g, dtype=torch.float64)
    dz = torch.randn(1, batch, generator=g, dtype=torch.float64)
    leaf = theta.clone().requires_grad_()
    z = networks.forward(
        architecture,
        n_layers,
        networks.blocks(architecture, n_layers, study.n_units, task.n_in, 1),
        leaf,
        [x] * task.unroll,
        torch.tensor([nonlinearity == "relu"]),
    )[..., 0]
    (expected,) = torch.autograd.grad((z * dz).sum(), leaf)
    task = dataclasses.replace(task, batch=batch)
    net = native.Network(architecture, n_layers, study.n_units, task, "double")
    row = torch.tensor(
        training.coefficients(CELLS[architecture], hp, 10, first_scored=task.unroll - 1),
        dtype=torch.float64,
    )
    got_z = torch.empty_like(z[0])
    got = torch.empty_like(expected[0])
    net.gradient(theta.contiguous(), row, x[0].T.contiguous(), dz.contiguous(), got_z, got)
    assert torch.allclose(got_z, z[0].detach(), atol=1e-12)
    assert torch.allclose(got, expected[0], atol=1e-11)


@needs_compiler
@pytest.mark.parametrize("architecture, n_layers", CASES)
def test_compiled_gradient_equals_autograd(architecture, n_layers):
    for nonlinearity in CELLS[architecture].nonlinearities:
        compare_gradient(a_study(architecture, n_layers), nonlinearity, batch=32)


@needs_compiler
@pytest.mark.parametrize(
    "architecture, n_layers, n_units",
    [("rnn", 1, 120), ("rnn", 1, 129), ("gru", 1, 123), ("lstm", 2, 61), ("+rnn", 2, 63)],
)
def test_compiled_gradient_of_large_matrices_equals_autograd(architecture, n_layers, n_units):
    """From 14,000 numbers on, a gradient is summed in another way, whether vectors divide its
    columns or not; seven time steps of 96 samples are two parts.
    """
    size = networks.num_params(architecture, n_layers, n_units, 20, 1)
    study = a_study(architecture, n_layers, max_params=size, unroll=7)
    assert study.n_units == n_units
    compare_gradient(study, CELLS[architecture].nonlinearities[-1], batch=96)


@needs_compiler
@pytest.mark.parametrize("architecture", ["rnn", "gru", "lstm"])
def test_single_precision_agrees_with_double_over_a_short_training(architecture):
    study = a_study(architecture)
    hparams = [some_hparams(architecture, seed, train_steps=10) for seed in range(4)]
    a, b = (
        train(study, hparams, range(4), engine="compiled", dtype=d)
        for d in (torch.float32, torch.float64)
    )
    assert losses(a) == pytest.approx(losses(b), abs=2e-4)


TORCH = {
    "SGD": lambda p, lr, mu: torch.optim.SGD(p, lr),
    "momentum": lambda p, lr, mu: torch.optim.SGD(p, lr, momentum=mu),
    "RMSProp": lambda p, lr, mu: torch.optim.RMSprop(p, lr, alpha=mu),
    "Adam": lambda p, lr, mu: torch.optim.Adam(p, lr, betas=(mu, 0.999)),
}


@pytest.mark.parametrize("name", TORCH)
def test_update_rule_equals_torch_optim(name):
    """With clipping by torch's clip_grad_norm_, l2 as a term of the loss, and the decay of the
    learning rate set from outside.
    """
    g = torch.Generator().manual_seed(0)
    start, target = (torch.randn(12, generator=g, dtype=torch.float64) for _ in range(2))
    hp = some_hparams(
        "rnn",
        0,
        optimizer=name,
        lr_init=0.05,
        lr_decay_rate=0.1,
        gradient_clip_val=1.5,
        l2_decay=0.01,
        train_steps=20,
    )
    mu = 1 / (1 + math.exp(-hp["optimizer_logit_momentum"]))
    theirs = start.clone().requires_grad_()
    optimizer = TORCH[name]([theirs], 0.05, mu)
    row = torch.tensor([training.coefficients(CELLS["rnn"], hp, 100)], dtype=torch.float64)
    theta = start[None].clone()
    m = torch.zeros(1, 12, dtype=torch.float64)
    v = torch.zeros(1, 12, dtype=torch.float64)
    for step in range(20):
        optimizer.zero_grad()
        (((theirs - target) ** 4).sum() + 0.005 * (theirs[:8] ** 2).sum()).backward()
        torch.nn.utils.clip_grad_norm_([theirs], 1.5)
        optimizer.param_groups[0]["lr"] = 0.05 * 0.1 ** (step / 20)
        optimizer.step()
        theta, m, v, finite = update(
            theta, m, v, 4 * (theta - target) ** 3, row, torch.tensor([step]), 8
        )
        assert bool(finite.all())
    assert torch.allclose(theta[0], theirs.detach(), atol=1e-6)  # torch clips by norm + 1e-6


def nesterov(g, m, v, c):
    """Sutskever et al. 2013, as torch has it."""
    m = c.m_keep * m + g
    return c.rate * (g + c.m_keep * m), m, v


def lion(g, m, v, c):
    """Chen et al. 2023: v is not used, and m changes after the step has read it."""
    step = torch.sign(c.m_keep * m + (1 - c.m_keep) * g)
    return c.rate * step, c.v_keep * m + c.v_take * g, v


def swap(g, m, v, c):
    """No optimiser: each of m and v becomes what the other was."""
    return c.rate * g, v + g, m


NEW = {
    "Nesterov": Optimizer(nesterov, lambda mu: (mu, 1.0, 1.0)),
    "Lion": Optimizer(lion, lambda mu: (mu, 1 - mu, 0.99)),
    "Swap": Optimizer(swap, lambda mu: (mu, 1.0, 1.0)),
}


@pytest.fixture
def new_optimizers(monkeypatch):
    for name, optimizer in NEW.items():
        monkeypatch.setitem(OPTIMIZERS, name, optimizer)


@needs_compiler
@pytest.mark.parametrize("name", NEW)
def test_an_optimiser_of_ones_own_is_one_row(new_optimizers, name):
    """Its equations are compiled; beside it, the others train as before."""
    study = a_study("gru")
    hparams = [
        some_hparams("gru", seed, **({"optimizer": name} if seed < 2 else {})) for seed in range(6)
    ]
    a, b = (
        train(study, hparams, range(6), engine=e, dtype=torch.float64)
        for e in ("compiled", "eager")
    )
    assert losses(a) == pytest.approx(losses(b), abs=1e-10)


def test_nesterov_written_as_a_row_equals_torchs(new_optimizers):
    g = torch.Generator().manual_seed(0)
    start = torch.randn(12, generator=g, dtype=torch.float64)
    hp = some_hparams("rnn", 0, optimizer="Nesterov", lr_init=0.05, lr_decay_rate=1.0, l2_decay=0.0)
    hp |= {"gradient_clip_val": 1e9, "train_steps": 20}
    mu = 1 / (1 + math.exp(-hp["optimizer_logit_momentum"]))
    theirs = start.clone().requires_grad_()
    optimizer = torch.optim.SGD([theirs], 0.05, momentum=mu, nesterov=True)
    row = torch.tensor([training.coefficients(CELLS["rnn"], hp, 100)], dtype=torch.float64)
    theta = start[None].clone()
    m, v = torch.zeros(2, 1, 12, dtype=torch.float64)
    for step in range(20):
        optimizer.zero_grad()
        (theirs**4).sum().backward()
        optimizer.step()
        theta, m, v, _ = update(theta, m, v, 4 * theta**3, row, torch.tensor([step]), 8)
    assert torch.allclose(theta[0], theirs.detach(), atol=1e-12)


def test_an_operation_on_vectors_is_refused_in_an_optimiser(monkeypatch):
    row = Optimizer(lambda g, m, v, c: (c.rate * torch.tanh(g), m, v), lambda mu: (mu, 1.0, 1.0))
    monkeypatch.setitem(OPTIMIZERS, "bounded", row)
    with pytest.raises(native.Unavailable, match="must not use tanh"):
        print_optimizers("cuda")


@pytest.mark.parametrize("engine", ENGINES)
def test_outcome_is_independent_of_slots_order_and_company(engine):
    study = a_study("gru")
    hparams = {n: some_hparams("gru", n) for n in range(7)}
    together = train(study, hparams.values(), hparams, engine=engine, dtype=torch.float64, slots=7)
    few = train(
        study,
        list(hparams.values())[::-1],
        list(hparams)[::-1],
        engine=engine,
        dtype=torch.float64,
        slots=3,
    )[::-1]
    alone = [
        train(study, [h], [n], engine=engine, dtype=torch.float64, slots=1)[0]
        for n, h in hparams.items()
    ]
    assert losses(together) == pytest.approx(losses(alone), abs=1e-10)
    assert losses(together) == pytest.approx(losses(few), abs=1e-10)


@pytest.mark.parametrize("engine", ENGINES)
def test_divergence_never_touches_the_neighbours(engine):
    study = a_study("irnn", unroll=12)
    calm = some_hparams("irnn", 0, optimizer="SGD", lr_init=1e-3)
    wild = some_hparams(
        "irnn",
        1,
        optimizer="SGD",
        lr_init=1e30,
        gradient_clip_val=1e30,
        lr_decay_rate=1.0,
        train_steps=25,
    )
    outcomes = train(study, [calm, wild, calm], [0, 1, 2], engine=engine, slots=3)
    alone = train(study, [calm, calm], [0, 2], engine=engine, slots=1)
    assert outcomes[1].infeasible and math.isnan(outcomes[1].valid_loss) and outcomes[1].steps < 25
    assert not outcomes[0].infeasible and losses([outcomes[0], outcomes[2]]) == pytest.approx(
        losses(alone), rel=1e-5
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_each_trial_runs_its_own_number_of_steps(engine):
    hparams = [some_hparams("rnn", n, train_steps=steps) for n, steps in enumerate((1, 40, 7, 23))]
    outcomes = train(a_study(), hparams, range(4), engine=engine, slots=2)
    assert [o.steps for o in outcomes] == [1, 40, 7, 23]


def test_slots_are_refilled_so_that_they_stay_busy():
    hparams = [some_hparams("rnn", n, train_steps=200 + 40 * (n % 6)) for n in range(24)]
    report = {}
    train(a_study(max_params=80), hparams, range(24), engine="eager", slots=6, report=report)
    assert report["busy"] > 0.9


def test_stopping_leaves_unfinished_trials_none_and_keeps_finished_ones():
    hparams = [some_hparams("rnn", n, train_steps=5) for n in range(3)]
    ended = []
    outcomes = train(
        a_study(),
        hparams,
        range(3),
        slots=1,
        stop=lambda: len(ended) == 2,
        on_outcome=lambda *o: ended.append(o),
    )
    assert [o is None for o in outcomes] == [False, False, True]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_memorised_data_set_stores_all_its_bits(engine):
    hp = some_hparams(
        "rnn",
        0,
        optimizer="Adam",
        lr_init=0.02,
        lr_decay_rate=0.1,
        l2_decay=1e-8,
        train_steps=300,
        samples_per_param=0.2,
        gradient_clip_val=10.0,
        nonlinearity="tanh",
    )
    study = a_study()
    (outcome,) = train(study, [hp], [0], engine=engine)
    assert outcome.valid_loss == -study.task.samples(hp, study.num_params)
    assert outcome.train_loss < 0.1


@needs_compiler
def test_a_perceptron_learns_nearly_all_of_two_labels_per_weight():
    """Cover 1965: with b = 2P a separating plane exists half of the time; at b = P nearly always,
    and training finds it.
    """
    study = a_study("linear", 0, max_params=100, unroll=1)
    hp = some_hparams(
        "linear",
        3,
        optimizer="Adam",
        lr_init=0.1,
        lr_decay_rate=0.01,
        gradient_clip_val=100.0,
        train_steps=4000,
        samples_per_param=1.0,
        l2_decay=1e-8,
    )
    (outcome,) = train(study, [hp], [0])
    assert -outcome.valid_loss == 100


def test_without_a_compiler_training_is_plain_and_says_so(monkeypatch):
    monkeypatch.setattr(native, "compiler", lambda: None)
    native.library.cache_clear()
    training.engine._past_warnings.clear()
    hparams = [some_hparams("ugrnn", n) for n in range(2)]
    with pytest.warns(UserWarning, match="plain torch step.*no C.. compiler was found"):
        outcomes = train(a_study("ugrnn"), hparams, range(2))
    assert all(math.isfinite(x) for x in losses(outcomes))
    native.library.cache_clear()


@needs_compiler
def test_a_compiler_that_fails_is_named_and_training_goes_on(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "false")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    native.library.cache_clear()
    training.engine._past_warnings.clear()
    with pytest.warns(UserWarning, match="the compiler false failed"):
        (outcome,) = train(a_study(), [some_hparams("rnn", 0)], [0])
    assert math.isfinite(outcome.train_loss)
    native.library.cache_clear()


def test_equations_that_the_compiler_does_not_know_run_plain():
    from rnnkit.cells import Cell, register

    class Sinc(Cell):
        architecture = "sinc-rnn"
        maps = ("h",)

        @staticmethod
        def step(W, h, x, s):
            h = torch.sinc(W.h(h, x))
            return h, h

    try:
        register(Sinc)
        with pytest.raises(native.Unavailable, match="not sinc"):
            native.library("sinc-rnn")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (outcome,) = train(a_study("sinc-rnn"), [some_hparams("sinc-rnn", 0)], [0])
        assert math.isfinite(outcome.train_loss)
    finally:
        CELLS.pop("sinc-rnn")


@pytest.mark.parametrize(
    "device, gpus, message",
    [
        ("tpu", 1, "device must be cpu or cuda, got 'tpu'"),
        ("cuda", 0, "device cuda needs a GPU that torch can see.*Use device cpu"),
        ("cudo", 1, "device must be cpu or cuda, got 'cudo'"),
        ("cuda:one", 1, "device must be cpu or cuda, got 'cuda:one'"),
        (0, 1, "device must be cpu or cuda, got 0"),
        ("cuda:2", 2, "device cuda:2 must be a GPU of this machine.*the last.*is cuda:1"),
    ],
)
def test_device_that_is_not_there_is_refused(monkeypatch, device, gpus, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(ValueError, match=message):
        train(a_study(), [some_hparams("rnn", 0)], [0], device=device)


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:0", "cuda:1"])
def test_device_that_is_there_is_taken_as_it_is(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert check_device(device) == device


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_trains_as_the_processor_does():
    study = a_study("lstm", 2)
    hparams = [some_hparams("lstm", n) for n in range(4)]
    a, b = (
        train(study, hparams, range(4), engine="eager", dtype=torch.float64, device=d)
        for d in ("cpu", "cuda")
    )
    assert losses(a) == pytest.approx(losses(b), abs=1e-8)


def test_unknown_optimiser_is_refused():
    with pytest.raises(
        ValueError, match=f"optimizer must be one of {', '.join(OPTIMIZERS)}, got 'Newton'"
    ):
        train(a_study(), [some_hparams("rnn", 0, optimizer="Newton")], [0])
