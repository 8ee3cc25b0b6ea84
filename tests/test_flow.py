"""What cells do over time, against networks' own forward pass, products of Jacobians, and gates
worked out by hand.
"""

import math

import numpy as np
import pytest
import torch

from rnnkit import analysis, draws, flow, networks
from rnnkit.cells import CELLS, PAPER, Cell, cell_of, register

N, T = 6, 7


@pytest.fixture
def own_cell():
    """A minimal gated unit (Zhou et al. 2016), registered for one test."""

    @register
    class Minimal(Cell):
        architecture = "test-mgu"
        maps = ("f", "c")
        forget = {"f": "forget_gate_bias_hack"}

        @staticmethod
        def step(W, h, x, s):
            f = W.f(h, x).sigmoid()
            return (h_new := (1 - f) * h + f * s(W.c(f * h, x))), h_new

    yield Minimal.architecture
    del CELLS[Minimal.architecture]


def sampled(architecture, count=3):
    space = flow.Space(tuple(flow.cell_ranges(architecture)))
    return [space.sample(np.random.default_rng([5, i])) for i in range(count)]


def weights_of(architecture, hparams, seed, number=0):
    """The blocks of a network whose first layer is the cell that `flow` looks at."""
    depth = max(1, cell_of(architecture).min_layers)
    theta = networks.initial(architecture, depth, N, N, 1, hparams, seed, number)
    return {
        name: block.numpy()
        for name, block in networks.split(
            theta, networks.blocks(architecture, depth, N, N, 1)
        ).items()
    }


def impulse(seed, number=0):
    return draws.normal(seed, draws.DATA, number, N)


@pytest.mark.parametrize("architecture", [a for a in PAPER if a != "+rnn"])
def test_states_are_those_of_the_networks_that_are_trained(architecture):
    """networks.forward reads the last state out; here its readout is applied to the state that flow
    gives.
    """
    hparams = sampled(architecture)
    seen = flow.flow(architecture, hparams, T, N, "impulse", seed=4)
    for i, hp in enumerate(hparams):
        theta = networks.initial(architecture, 1, N, N, 1, hp, 4, i)[None]
        shapes = networks.blocks(architecture, 1, N, N, 1)
        x = impulse(4, i).reshape(1, 1, N)
        relu = torch.tensor(
            [hp.get("nonlinearity", cell_of(architecture).nonlinearities[0]) == "relu"]
        )
        z = networks.forward(
            architecture, 1, shapes, theta, [x, *[torch.zeros_like(x)] * (T - 1)], relu
        )
        readout = networks.split(theta, shapes)["W_out"][0].numpy()
        np.testing.assert_allclose(readout @ seen.h_TxMxN[-1, i], z[0, 0].numpy(), rtol=1e-10)


def test_the_intersection_cell_is_shown_the_input_without_a_projection():
    """Equations 16, 18 and 20 by hand, from a state of zeros."""
    (hp,) = sampled("+rnn", 1)
    seen = flow.flow("+rnn", hp, T, N, "impulse", seed=4)
    w = weights_of("+rnn", hp, 4)
    a = (w["Wx0"] @ impulse(4).numpy() + w["b0"]).reshape(4, N)
    g_h = 1 / (1 + np.exp(-a[3]))
    np.testing.assert_allclose(seen.h_TxMxN[1, 0], (1 - g_h) * np.tanh(a[1]), rtol=1e-10)
    np.testing.assert_allclose(seen.gates["gh"][0, 0], g_h, rtol=1e-10)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_the_gradient_of_a_vanilla_rnn_is_the_product_of_its_jacobians(nonlinearity):
    hp = flow.setting("rnn", recurrent_scale=1.3, nonlinearity=nonlinearity, biases={"h": 0.2})
    seen = flow.flow("rnn", hp, T, N, "noise", seed=2)
    Wh = weights_of("rnn", hp, 2)["Wh0"]
    h = seen.h_TxMxN[:, 0]
    g = draws.normal(2, draws.DATA, T << 32, N).numpy()
    norms = [np.linalg.norm(g)]
    for t in range(T, 0, -1):  # dL/dh at t - 1 is W^T diag(s') dL/dh at t
        slope = 1 - h[t] ** 2 if nonlinearity == "tanh" else h[t] > 0
        g = Wh.T @ (slope * g)
        norms.append(np.linalg.norm(g))
    np.testing.assert_allclose(seen.gradient_TxM[:, 0], np.array(norms[::-1]) / norms[0], rtol=1e-9)


def test_an_orthogonal_matrix_scaled_by_a_half_halves_the_gradient_of_a_linear_cell_at_each_step():
    """Far below saturation tanh is the identity, so the Jacobian is the matrix: 0.5 times an
    orthogonal one.
    """
    seen = flow.flow(
        "rnn", flow.setting("rnn", recurrent_scale=0.5, input_scale=1e-3), T, N, seed=0
    )
    np.testing.assert_allclose(seen.gradient_TxM[:, 0], 0.5 ** np.arange(T, -1, -1.0), rtol=1e-4)
    np.testing.assert_allclose(seen.trace_TxM[1:, 0], 0.5 ** np.arange(T), rtol=1e-4)


def test_the_identity_keeps_the_impulse_and_the_gradient_as_they_are():
    """The IRNN's matrix is the identity: a unit that the impulse woke stays awake (Le et al. 2015)."""
    seen = flow.flow("irnn", flow.setting("irnn"), T, N, seed=0)
    np.testing.assert_allclose(seen.trace_TxM[1:, 0], 1)
    assert np.ptp(seen.gradient_TxM[:-1, 0]) < 1e-12


def test_the_lstms_gradient_is_that_of_h_and_c_together():
    """With all recurrent matrices near 0, dL/dh before the last step vanishes and dL/dc shrinks by
    f = sigmoid(b^fg) a step.
    """
    hp = flow.setting("lstm", recurrent_scale=1e-6, input_scale=1e-6, forget_bias=2.0)
    seen = flow.flow("lstm", hp, T, N, seed=0)
    factors = seen.gradient_TxM[:-2, 0] / seen.gradient_TxM[1:-1, 0]
    np.testing.assert_allclose(factors, 1 / (1 + math.exp(-2)), rtol=1e-4)


# equations 3, 5, 6, 9, 10, 13, 17 and 18 are those with a sigmoid
GATES = {
    "rnn": (),
    "irnn": (),
    "ugrnn": ("g",),
    "gru": ("r", "u"),
    "lstm": ("i", "f", "o"),
    "+rnn": ("gy", "gh"),
}


@pytest.mark.parametrize("architecture", PAPER)
def test_gates_are_found_in_the_equations(architecture):
    assert flow.gates_of(cell_of(architecture)) == GATES[architecture]
    assert set(flow.flow(architecture, flow.setting(architecture), T, N).gates) == set(
        GATES[architecture]
    )


def test_a_cell_of_ones_own_flows_as_it_is_registered(own_cell):
    seen = flow.flow(
        own_cell,
        flow.setting(own_cell, forget_bias=0.0, input_scale=1e-3, recurrent_scale=1e-2),
        T,
        N,
    )
    np.testing.assert_allclose(seen.gates["f"], 0.5, atol=1e-2)


def test_a_cell_with_a_nonlinearity_of_its_own_flows_by_it():
    register(type("Wave", (CELLS["rnn"],), {"architecture": "wave", "nonlinearities": ("sin",)}))
    try:
        hparams = flow.setting("wave", input_scale=2.0)
        seen = flow.flow("wave", hparams, T, N, seed=4)
        first = np.sin(weights_of("wave", hparams, 4)["Wx0"] @ impulse(4).numpy())
        np.testing.assert_allclose(seen.h_TxMxN[1, 0], first, rtol=1e-10)
    finally:
        del CELLS["wave"]


def test_the_forget_bias_opens_the_gate_that_it_is_added_to():
    """Without input or recurrence the gate is the sigmoid of its biases: 1 + 3 here."""
    seen = flow.flow(
        "gru", flow.setting("gru", 1e-6, 1e-6, forget_bias=3.0, biases={"u": 1.0}), T, N
    )
    np.testing.assert_allclose(seen.gates["u"], 1 / (1 + math.exp(-4)), rtol=1e-4)
    np.testing.assert_allclose(seen.gates["r"], 0.5, rtol=1e-4)


def test_an_impulse_comes_at_the_first_step_and_noise_at_every_step():
    hp = flow.setting("rnn", recurrent_scale=1e-9)
    moved = {
        shown: (np.abs(flow.flow("rnn", hp, T, N, shown).h_TxMxN[:, 0]).max(1) > 1e-6).tolist()
        for shown in flow.SHOWN
    }
    assert moved == {"impulse": [False, True] + [False] * (T - 1), "noise": [False] + [True] * T}


def test_a_model_flows_the_same_in_any_company():
    hparams = sampled("ugrnn", 4)
    together = flow.flow("ugrnn", hparams, T, N)
    alone = flow.flow("ugrnn", hparams[:1], T, N)
    np.testing.assert_allclose(together.gradient_TxM[:, :1], alone.gradient_TxM, rtol=1e-12)


def test_more_draws_begin_with_the_fewer():
    few, more = (flow.at_random(("gru",), count, T, N) for count in (2, 4))
    again = more[more.draw < 2].reset_index(drop=True)
    np.testing.assert_allclose(again[["gradient", "trace"]], few[["gradient", "trace"]], rtol=1e-9)


def test_a_draw_starts_from_one_and_has_a_row_for_each_step():
    frame = flow.at_random(("rnn", "lstm"), 5, T, N)
    assert len(frame) == 2 * 5 * T and sorted(frame.back.unique()) == list(range(T))
    np.testing.assert_allclose(frame[frame.back == 0].gradient, 1)
    assert set(frame[frame.back == 0].trace) <= {0.0, 1.0} and frame.notna().all().all()


def test_bands_are_quantiles_over_the_draws():
    frame = flow.at_random(("ugrnn",), 9, T, N)
    band = analysis.gradient_bands(frame).query("quantity == 'trace' and back == 3").iloc[0]
    values = frame[frame.back == 3].trace
    np.testing.assert_allclose(
        band[["q10", "q50", "q90"]].astype(float), np.quantile(values, [0.1, 0.5, 0.9])
    )


def test_shares_count_what_vanished_and_what_exploded():
    """Ten draws by hand: three below 1/1000, two above 1000, the median between 1 and 2."""
    import pandas as pd

    ends = [1e-4, 1e-5, 0.0, 1e4, 1e6, 1, 2, 1, 2, 1]
    frame = pd.DataFrame(
        [
            ("gru", i, back, end if back == 10 else 1.0, 1.0)
            for i, end in enumerate(ends)
            for back in (0, 10)
        ],
        columns=["architecture", "draw", "back", "gradient", "trace"],
    )
    row = analysis.gradient_shares(frame).iloc[0]
    assert (row.vanished, row.exploded, row["median"], row.factor_a_step) == (0.3, 0.2, 1.0, 1.0)


@pytest.mark.parametrize(
    "wrong, what",
    [
        (
            lambda: flow.setting("gru", biases={"q": 1.0}),
            "biases must name maps of gru .r, u, c., got q",
        ),
        (
            lambda: flow.setting("gru", nonlinearity="relu"),
            "nonlinearity of gru must be one of tanh, got 'relu'",
        ),
        (
            lambda: flow.flow("rnn", flow.setting("rnn"), shown="step"),
            "shown must be one of impulse, noise, got 'step'",
        ),
        (
            lambda: flow.flow("rnn", flow.setting("rnn"), steps=0),
            "steps must be a whole number of at least 1, got 0",
        ),
        (lambda: flow.flow("linear", {}), "needs a cell with a state, got linear"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_sentence(wrong, what):
    with pytest.raises(ValueError, match=what):
        wrong()
