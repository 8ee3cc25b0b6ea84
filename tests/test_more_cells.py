"""Later cells against transcriptions of their own papers' equations in numpy, and maps that read
the input alone; in float64.
"""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch import sigmoid, tanh

from rnnkit import flow, native, networks, training
from rnnkit.architectures import formulas
from rnnkit.cells import CELLS, LATER, PAPER, Cell, recurrent_maps, register
from rnnkit.hparams import cell_ranges, space_for
from rnnkit.studies import Study
from rnnkit.studies.retrain import best_network
from rnnkit.trials import TrialStore

DEPTHS = (1, 2)
I, N, O, T, B = 4, 3, 2, 5, 6
needs_compiler = pytest.mark.skipif(native.compiler() is None, reason="no C++ compiler")
CASES = list(itertools.product(LATER, DEPTHS))


def logistic(a):
    return 1 / (1 + np.exp(-a))


# Equations of the papers, each from its own text; w[m] is (recurrent matrix, input matrix, bias), x
# and h are columns.
def mgu(w, h, x):
    """Zhou et al. 2016; their f takes in what is new, so the kit's map of that name is theirs with
    the opposite sign.
    """
    U, W, b = w["f"]
    f = logistic(-(U @ h) - W @ x - b)
    U, W, b = w["c"]
    candidate = np.tanh(U @ (f * h) + W @ x + b)
    return (1 - f) * h + f * candidate


def janet(w, h, x, beta=1.0):
    """van der Westhuizen & Lasenby 2018, the form with beta."""
    s = w["f"][0] @ h + w["f"][1] @ x + w["f"][2]
    candidate = np.tanh(w["c"][0] @ h + w["c"][1] @ x + w["c"][2])
    return logistic(s) * h + (1 - logistic(s - beta)) * candidate


def mingru(w, h, x):
    """Feng et al. 2024, section 3.1; the sign of z as in `mgu`."""
    z = logistic(-(w["z"][1] @ x) - w["z"][2])
    return (1 - z) * h + z * (w["c"][1] @ x + w["c"][2])


def minlstm(w, h, x):
    """Feng et al. 2024, section 3.2: both gates are divided by their sum."""
    f, i = (logistic(w[m][1] @ x + w[m][2]) for m in "fi")
    f_share = f / (f + i)
    i_share = i / (f + i)
    return f_share * h + i_share * (w["c"][1] @ x + w["c"][2])


EQUATIONS = {"mgu": mgu, "janet": janet, "mingru": mingru, "minlstm": minlstm}
MAPS = {
    "mgu": ("fc", True),
    "janet": ("cf", True),
    "mingru": ("zc", False),
    "minlstm": ("fic", False),
}  # and whether they are recurrent


def by_hand(architecture, n_layers, theta, inputs):
    """Outputs after the last step for one model and one example, block by block from the flat
    parameter vector.
    """
    maps, recurrent = MAPS[architecture]
    p = np.asarray(theta)
    K = len(maps)

    def take(*shape):
        nonlocal p
        out = p[: int(np.prod(shape))].reshape(shape)
        p = p[int(np.prod(shape)) :]
        return out

    matrices = [
        (take(K, N, N if layer else I), take(K, N, N) if recurrent else [None] * K)
        for layer in range(n_layers)
    ]
    readout = take(O, N)
    vectors = [(take(K, N), take(1, N)) for _ in range(n_layers)]
    b_out = take(O)
    assert p.size == 0
    up = inputs
    for (Wx, Wh), (b, (h,)) in zip(matrices, vectors):
        w = {m: (Wh[k], Wx[k], b[k]) for k, m in enumerate(maps)}
        ups = []
        for x in up:
            h = EQUATIONS[architecture](w, h, x)
            ups.append(h)
        up = ups
    return readout @ up[-1] + b_out


def drawn(architecture, n_layers, seed=0):
    g = np.random.default_rng(seed)
    theta = g.normal(size=(2, networks.num_params(architecture, n_layers, N, I, O)))
    return networks.blocks(architecture, n_layers, N, I, O), theta, g.normal(size=(T, 2, B, I))


@pytest.mark.parametrize("architecture, n_layers", CASES)
def test_network_computes_the_equations_of_its_paper(architecture, n_layers):
    shapes, theta, x = drawn(architecture, n_layers)
    ours = networks.forward(
        architecture,
        n_layers,
        shapes,
        torch.tensor(theta),
        list(torch.tensor(x)),
        torch.tensor([False] * 2),
    ).numpy()
    for m, b in itertools.product(range(2), range(B)):
        assert ours[m, b] == pytest.approx(
            by_hand(architecture, n_layers, theta[m], x[:, m, b]), abs=1e-12
        )


def test_mingru_equals_its_parallel_form():
    """Feng et al. 2024, section 3.1.3: h_t is a sum over all earlier inputs, each weighted by a
    product of gates, with no loop over states.
    """
    shapes, theta, x = drawn("mingru", 1)
    ours = networks.forward(
        "mingru", 1, shapes, torch.tensor(theta), list(torch.tensor(x)), torch.tensor([False] * 2)
    )
    w = {name: part.numpy() for name, part in networks.split(torch.tensor(theta), shapes).items()}
    for m in range(2):
        Wx = w["Wx0"][m].reshape(2, N, I)
        bias = w["b0"][m].reshape(2, N)
        z = logistic(-np.einsum("ni,tbi->tbn", Wx[0], x[:, m]) - bias[0])
        candidate = np.einsum("ni,tbi->tbn", Wx[1], x[:, m]) + bias[1]
        kept = np.cumprod(1 - z, 0)
        h = kept[-1] * (w["h0"][m, 0] + (z * candidate / kept).sum(0))
        assert ours[m].numpy() == pytest.approx(h @ w["W_out"][m].T + w["b_out"][m], abs=1e-10)


@pytest.mark.parametrize("architecture, n_layers", CASES)
def test_count_is_the_closed_form(architecture, n_layers):
    maps, recurrent = MAPS[architecture]
    for n, n_in, n_out in ((1, 1, 1), (7, 50, 1), (40, 64, 64)):
        layers = [len(maps) * (n * i + recurrent * n * n + n) + n for i in (n_in, n)[:n_layers]]
        assert (
            networks.num_params(architecture, n_layers, n, n_in, n_out)
            == sum(layers) + n_out * n + n_out
        )


def test_a_cell_without_recurrent_matrices_has_more_units_for_the_same_parameters():
    units = {a: networks.units_for(a, 1, 50, 1, 10_000) for a in ("gru", "mgu", "mingru")}
    # 3n^2 + 155n + 1, 2n^2 + 104n + 1 and 104n + 1 within 10,000
    assert units == {"gru": 37, "mgu": 49, "mingru": 96}


def test_without_recurrent_matrices_parameters_grow_in_proportion_to_units():
    assert list(formulas(architectures=("mgu", "mingru", "rnn")).iloc[:, 0]) == [
        "2 N² + 104 N + 1",
        "104 N + 1",
        "N² + 53 N + 1",
    ]  # by hand


def test_maps_that_read_the_input_alone_have_no_recurrent_hyper_parameters():
    names = [row.name for row in cell_ranges("minlstm")]
    assert names == [
        *(f"{kind}_{m}" for m in "fic" for kind in ("input_scale", "recurrent_bias_scale")),
        "recurrent_bias_init_type",
        "forget_gate_bias_hack",
    ]
    assert "recurrent_matrix_scale_c" in {row.name for row in cell_ranges("mgu")}
    # UGRNN has 17 (App. A); MGU and JANET have its maps, but no choice of nonlinearity
    assert [len(space_for(a, "text8", train_steps=(10, 20))) for a in LATER] == [16, 16, 13, 15]


@pytest.mark.parametrize("architecture", LATER)
def test_later_cells_start_within_the_ranges_of_appendix_a(architecture):
    hp = space_for(architecture, "per_cap").sample(np.random.default_rng(0))
    theta = networks.initial(architecture, 2, 5, 10, 1, hp, 0, 0)
    assert theta.shape == (networks.num_params(architecture, 2, 5, 10, 1),) and bool(
        torch.isfinite(theta).all()
    )


class Mixed(Cell):
    """A reset gate that knows the input alone, beside maps of the state and of what the gate left
    of it; a quotient; two states.
    """

    architecture = "mixed"
    maps = ("u", "o", "c", "r")
    input_only = ("r",)
    forget = {"u": "forget_gate_bias_hack"}
    states = ("h", "m")

    @staticmethod
    def step(W, state, x, s):
        h, m = state
        r = sigmoid(W.r(None, x))
        u = sigmoid(W.u(h, x))
        c = tanh(W.c(r * h, x))
        m = u * m + (1 - u) * c / (1 + r)
        h = sigmoid(W.o(h, x)) * tanh(m)
        return h, (h, m)


@pytest.fixture
def mixed():
    yield register(Mixed).architecture
    CELLS.pop("mixed")


def trained(study, engine):
    hparams = [study.space.sample(np.random.default_rng(i)) for i in range(3)]
    return [
        dataclasses.asdict(o)
        for o in training.train(study, hparams, range(3), engine=engine, dtype=torch.float64)
    ]


@needs_compiler
@pytest.mark.parametrize(
    "task_type, form", [("per_cap", ""), ("mem_thru", "tiny"), ("parens_counting", "tiny")]
)
@pytest.mark.parametrize("architecture, n_layers", [*CASES, ("mixed", 1), ("mixed", 2)])
def test_compiled_training_equals_plain_training(mixed, architecture, n_layers, task_type, form):
    study = Study(
        task_type, architecture, n_layers, 900, form=form, train_steps=(6, 12), tuner="random"
    )
    for a, b in zip(trained(study, "compiled"), trained(study, "eager")):
        for name in ("train_loss", "valid_loss", "eval_loss", "steps"):
            assert a[name] == pytest.approx(b[name], abs=1e-9)


def test_plain_gradient_of_a_mixed_cell_equals_finite_differences(mixed):
    shapes, theta, x = drawn(mixed, 2, seed=3)
    inputs = list(torch.tensor(x))

    def loss(theta):
        return (
            networks.forward(mixed, 2, shapes, theta, inputs, torch.tensor([False] * 2)) ** 2
        ).mean()

    assert torch.autograd.gradcheck(
        loss, torch.tensor(0.5 * theta, requires_grad=True), eps=1e-6, atol=1e-6
    )


def test_a_map_without_a_recurrent_matrix_stands_last():
    class Wrong(Mixed):
        architecture = "wrong"
        maps = ("r", "u", "o", "c")

    with pytest.raises(
        ValueError, match=r"`input_only` must be the last of .*got \('r',\). Correct Wrong.maps"
    ):
        register(Wrong)


@pytest.mark.parametrize("declared, got", [((), "W.r of None"), (("c", "r"), "W.c of a state")])
def test_a_map_that_is_not_called_as_it_is_declared_is_refused(declared, got):
    class Wrong(Mixed):
        architecture = "wrong"
        input_only = declared

    with pytest.raises(ValueError, match=f"got {got}. Correct Wrong"):
        register(Wrong)
    assert "wrong" not in CELLS


@needs_compiler
def test_a_cell_that_is_registered_again_trains_with_its_new_equations(mixed):
    """As in a notebook, where a reader changes a line and runs the cell again."""

    class Again(Mixed):
        @staticmethod
        def step(W, state, x, s):
            h, (_, m) = Mixed.step(W, state, x, s)
            return -h, (-h, m)

    Again.__qualname__ = Mixed.__qualname__
    study = Study("per_cap", "mixed", 1, 900, train_steps=(6, 12), tuner="random")
    before = trained(study, "compiled")
    _ = register(Again)
    assert trained(study, "compiled") != before
    assert losses_of(trained(study, "compiled")) == pytest.approx(
        losses_of(trained(study, "eager")), abs=1e-9
    )


def losses_of(outcomes):
    return [outcome["train_loss"] for outcome in outcomes]


def test_the_weights_of_a_cell_without_recurrent_matrices_are_kept():
    with TrialStore(":memory:") as store:
        study = Study("per_cap", "minlstm", 2, 400, n_in=5, train_steps=(6, 12), tuner="random")
        study.run(store, 2)
        trial, parts = best_network(store, study)
        kept = store.shelf.load(study.key)[1]
    assert set(parts) == set(kept) == {"Wx0", "Wx1", "W_out", "b0", "b1", "h0", "h1", "b_out"}
    assert sum(part.size for part in kept.values()) == trial.num_params


def test_what_a_gate_of_the_input_lets_through_is_seen_over_time():
    """After an impulse x is 0, so z = sigmoid(-b^fg) and each step back multiplies the gradient of
    h by 1 - z = sigmoid(b^fg).
    """
    seen = flow.at_one_setting(["mingru"], forget_bias=1.5)["mingru"].gradient_TxM[1:, 0]
    assert seen[:-1] / seen[1:] == pytest.approx(np.full(len(seen) - 1, logistic(1.5)))


def test_the_papers_cells_have_a_recurrent_matrix_in_every_map():
    assert all(recurrent_maps(CELLS[a]) == CELLS[a].maps and CELLS[a].maps for a in PAPER)
