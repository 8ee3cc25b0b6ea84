import math

import pytest
import torch

from rnnkit import networks
from rnnkit.cells import CELLS, PAPER
from rnnkit.networks import initial, num_params, split, units_for

# parameters of a depth-L network in closed form: K maps, S states (section 1.4 and the authors'
# data)
KS = {"rnn": (1, 1), "irnn": (1, 1), "ugrnn": (2, 1), "gru": (3, 1), "lstm": (4, 2), "+rnn": (4, 1)}


def closed_form(architecture, L, N, I, O):
    K, S = KS[architecture]
    first = K * (N * I + N * N + N) if architecture != "+rnn" else N * I + N + K * (2 * N * N + N)
    return first + (L - 1) * K * (2 * N * N + N) + L * S * N + O * N + O


def test_best_text8_lstm_of_the_authors_has_its_published_size():
    assert num_params("lstm", 4, 210, 27, 27) == 1_268_217  # their README
    assert num_params("lstm", 4, 211, 27, 27) == 1_280_164
    assert units_for("lstm", 4, 27, 27, 1_280_000) == 210


@pytest.mark.parametrize("architecture", PAPER)
def test_count_is_the_closed_form(architecture):
    for L in (1, 2, 4, 8):
        if architecture == "+rnn" and L == 1:
            continue
        for N, I, O in ((1, 1, 1), (7, 50, 1), (40, 64, 64)):
            assert num_params(architecture, L, N, I, O) == closed_form(architecture, L, N, I, O)


@pytest.mark.parametrize("architecture", PAPER)
def test_units_fit_the_budget_and_one_more_does_not(architecture):
    for L in (2, 4):
        for budget in (1_000, 3_333, 100_000):
            N = units_for(architecture, L, 50, 1, budget)
            assert (
                num_params(architecture, L, N, 50, 1)
                <= budget
                < num_params(architecture, L, N + 1, 50, 1)
            )


def test_linear_model_is_its_readout_alone():
    assert num_params("linear", 0, 0, 299, 1) == 300
    assert units_for("linear", 0, 299, 1, 300) == 0


@pytest.mark.parametrize("budget", [0, -5, 2.5, True, "many"])
def test_budget_that_is_no_positive_whole_number_is_refused(budget):
    with pytest.raises(ValueError, match="max_params must be a whole number of at least 1"):
        units_for("rnn", 1, 50, 1, budget)


def test_budget_too_small_for_one_unit_says_what_is_needed():
    with pytest.raises(
        ValueError, match=r"needs 55 parameters, got max_params=20\. Raise the budget"
    ):
        units_for("rnn", 1, 50, 1, 20)  # 50 + 1 + 1 + 1 + 1 + 1


HP = dict(
    recurrent_matrix_init_type="orthogonal",
    recurrent_bias_init_type="delta",
    forget_gate_bias_hack=2.0,
)
HP |= {
    f"{kind}_{m}": value
    for m, value in zip("ruc", (0.5, 1.0, 2.0))
    for kind in ("recurrent_matrix_scale", "input_scale")
}
HP |= {f"recurrent_bias_scale_{m}": value for m, value in zip("ruc", (-1.0, 0.5, 1.5))}


def gru_blocks(seed=0, number=0, **changes):
    shapes = networks.blocks("gru", 1, 24, 50, 1)
    return split(initial("gru", 1, 24, 50, 1, HP | changes, seed, number)[None], shapes)


def test_orthogonal_matrices_are_orthogonal_times_their_scale():
    Wh = gru_blocks()["Wh0"].reshape(3, 24, 24)
    for w, scale in zip(Wh, (0.5, 1.0, 2.0)):
        assert torch.allclose(w.T @ w, scale**2 * torch.eye(24, dtype=torch.float64), atol=1e-12)


def test_identity_initialisation_ignores_the_scale():
    Wh = gru_blocks(recurrent_matrix_init_type="identity")["Wh0"].reshape(3, 24, 24)
    assert all(torch.equal(w, torch.eye(24, dtype=torch.float64)) for w in Wh)


def test_normal_matrices_have_the_variance_of_appendix_a():
    blocks = gru_blocks(recurrent_matrix_init_type="normal")
    Wh = blocks["Wh0"].reshape(3, 24, 24)
    Wx = blocks["Wx0"].reshape(3, 24, 50)
    for k, scale in enumerate(
        (0.5, 1.0, 2.0)
    ):  # standard error of a standard deviation is sigma / sqrt(2 n); five of them
        assert float(Wh[k].std()) == pytest.approx(
            scale / math.sqrt(24), rel=5 / math.sqrt(2 * 576)
        )
        assert float(Wx[k].std()) == pytest.approx(
            scale / math.sqrt(50), rel=5 / math.sqrt(2 * 1200)
        )


def test_constant_biases_are_their_scale_and_the_update_gate_receives_b_fg():
    b = gru_blocks()["b0"].reshape(3, 24)
    assert [sorted(set(row.tolist())) for row in b] == [[-1.0], [0.5 + 2.0], [1.5]]


def test_normal_biases_are_scaled_normals_around_b_fg():
    b = gru_blocks(recurrent_bias_init_type="normal")["b0"].reshape(3, 24)
    assert float(b[1].mean()) == pytest.approx(2.0, abs=5 * 0.5 / math.sqrt(24))
    assert float(b[0].std()) == pytest.approx(1.0, rel=5 / math.sqrt(48))


def test_biases_of_the_irnn_are_zero_whatever_an_older_trial_was_given():
    shapes = networks.blocks("irnn", 1, 6, 10, 1)
    old = {
        "input_scale_h": 1.0,
        "recurrent_bias_scale_h": 0.7,
        "recurrent_bias_init_type": "normal",
    }
    assert not split(initial("irnn", 1, 6, 10, 1, old, 0, 0)[None], shapes)["b0"].any()


def test_initial_states_and_readout_bias_are_zero_and_learned():
    blocks = gru_blocks()
    assert not blocks["h0"].any() and not blocks["b_out"].any()
    assert blocks["h0"].shape == (1, 1, 24)


def test_a_trial_draws_the_same_weights_whenever_it_is_asked_for():
    a = gru_blocks(1, 7)["Wx0"]
    b = gru_blocks(1, 7)["Wx0"]
    c = gru_blocks(1, 8)["Wx0"]
    assert torch.equal(a, b) and not torch.equal(a, c)


@pytest.mark.parametrize("architecture", PAPER)
def test_every_cell_can_be_initialised_at_depth_two(architecture):
    cell = CELLS[architecture]
    hp = dict(recurrent_matrix_init_type="normal", recurrent_bias_init_type="normal")
    hp |= {
        f"{kind}_{m}": 1.0
        for m in (*cell.maps, "in")
        for kind in ("input_scale", "recurrent_matrix_scale", "recurrent_bias_scale")
    }
    theta = initial(architecture, 2, 5, 10, 1, hp | dict.fromkeys(cell.forget.values(), 1.0), 0, 0)
    assert theta.shape == (num_params(architecture, 2, 5, 10, 1),) and bool(
        torch.isfinite(theta).all()
    )
