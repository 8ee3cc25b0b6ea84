"""The tuners: what studies rely on, and the surrogate against scikit-learn's Gaussian process."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from rnnkit.hparams import Choice, IntLog, Log, Space, Uniform, space_for
from rnnkit.tuner import GPTuner, RandomTuner, RerunTuner, UsualGPTuner, warp_losses
from rnnkit.tuner.acquisition import log_ei
from rnnkit.tuner.surrogate import MaternGP, log_likelihood

TUNERS = {"gp": GPTuner, "gp-usual": UsualGPTuner, "random": RandomTuner}  # those that search

MIXED = Space(
    (Log("a", 1e-3, 1.0), Uniform("b", -2.0, 2.0), IntLog("n", 1, 50), Choice("c", ("x", "y", "z")))
)


def bowl(point):
    """Least, 0, at a = 0.03, b = 1, n = 10, c = y."""
    a = math.log10(point["a"] / 0.03)
    b = point["b"] - 1
    n = math.log10(point["n"] / 10)
    return a * a + b * b + n * n + (point["c"] != "y")


def history(tuner, rounds, loss=bowl):
    """Everything that a tuner suggested in some rounds of 16, and the losses it heard."""
    points = []
    losses = []
    for r in range(rounds):
        new = tuner.suggest(16, start=16 * r)
        points += new
        losses += [loss(p) for p in new]
        tuner.observe(new, losses[-16:])
    return points, losses


# --- the surrogate, against scikit-learn


@pytest.fixture
def problem():
    """X, y, groups (columns 2 and 3 are one dimension), theta, and scikit-learn's Gaussian process
    of the same kernel.
    """
    rng = np.random.default_rng(0)
    X = rng.random((30, 5))
    y = rng.normal(size=30)
    groups = [0, 1, 2, 2, 3]
    theta = np.r_[rng.normal(size=4) / 2, 0.3, -1.5]
    kernel = ConstantKernel(math.exp(0.3)) * Matern(np.exp(theta[groups]), nu=2.5) + WhiteKernel(
        math.exp(-1.5)
    )
    return X, y, groups, theta, GaussianProcessRegressor(kernel, optimizer=None, alpha=0).fit(X, y)


def test_posterior_is_scikit_learn_s(problem):
    X, y, groups, theta, theirs = problem
    Q = np.random.default_rng(1).random((9, 5))
    mean, std = theirs.predict(Q, return_std=True)
    ours = MaternGP(groups, theta).fit(X, y).predict(Q, return_std=True)
    np.testing.assert_allclose(ours[0], mean, atol=1e-12)
    np.testing.assert_allclose(
        ours[1] ** 2, std**2 - math.exp(-1.5), atol=1e-12
    )  # theirs counts the noise of the observation too


def test_likelihood_is_scikit_learn_s(problem):
    X, y, groups, theta, theirs = problem
    assert log_likelihood(theta, X, y, groups)[0] == pytest.approx(
        theirs.log_marginal_likelihood_value_, abs=1e-10
    )


def test_likelihood_gradient_is_scikit_learn_s(problem):
    X, y, groups, theta, theirs = problem
    g = theirs.log_marginal_likelihood(theirs.kernel_.theta, eval_gradient=True)[
        1
    ]  # signal, five lengths, noise
    # a shared length moves both of its columns
    expected = [g[1], g[2], g[3] + g[4], g[5], g[0], g[6]]
    np.testing.assert_allclose(log_likelihood(theta, X, y, groups)[1], expected, atol=1e-9)


@pytest.mark.parametrize("held", [5, 29])
def test_lies_without_refit_equal_full_recomputation(problem, held):
    X, y, groups, theta, _ = problem
    grown = MaternGP(groups, theta).fit(X[:held], y[:held])
    for x, loss in zip(X[held:], y[held:]):
        grown.extend(x, loss)
    whole = MaternGP(groups, theta).fit(X, y)
    Q = np.random.default_rng(1).random((9, 5))
    for got, expected in zip(grown.predict(Q, return_std=True), whole.predict(Q, return_std=True)):
        np.testing.assert_allclose(got, expected, atol=1e-10)


def test_more_lies_than_there_was_room_for_equal_full_recomputation(problem):
    _, _, groups, theta, _ = problem
    rng = np.random.default_rng(2)
    X = rng.random((90, 5))
    y = rng.normal(size=90)
    grown = MaternGP(groups, theta).fit(X[:5], y[:5])
    for x, loss in zip(X[5:], y[5:]):
        grown.extend(x, loss)
    np.testing.assert_allclose(
        grown.predict(X), MaternGP(groups, theta).fit(X, y).predict(X), atol=1e-9
    )


def test_lie_of_the_expected_loss_moves_no_mean(problem):
    X, y, groups, theta, _ = problem
    model = MaternGP(groups, theta).fit(X, y)
    Q = np.random.default_rng(1).random((9, 5))
    before = model.predict(Q, return_std=True)
    after = model.extend(Q[0]).predict(Q, return_std=True)
    np.testing.assert_allclose(after[0], before[0], atol=1e-12)
    assert (after[1] <= before[1] + 1e-12).all() and after[1][0] < before[1][0]


@pytest.mark.parametrize("mean, std", [(0.5, 1.0), (-2.0, 0.3), (3.0, 0.7), (-30.0, 1.0)])
def test_log_ei_is_the_integral_of_the_improvement(mean, std):
    # E[max(0 - y, 0)] for y ~ N(mean, std), by quadrature
    low = min(mean, 0) - 12 * std
    high = 0
    integral = quad(
        lambda y: -y * norm.pdf(y, mean, std),
        low,
        high,
        points=[p for p in [mean] if low < p < high],
        limit=200,
    )[0]
    value = log_ei(torch.tensor([mean]).double(), torch.tensor([std]).double(), 0.0)
    assert value.item() == pytest.approx(math.log(integral), rel=1e-6)


def test_log_ei_still_falls_where_ei_underflows():
    value = log_ei(torch.tensor([50.0, 500.0, 2_000.0]).double(), torch.ones(3).double(), 0.0)
    # leading term of the tail of h: log phi(u) - 2 log |u|
    expected = [
        -0.5 * u * u - 0.5 * math.log(2 * math.pi) - 2 * math.log(u) for u in (50, 500, 2_000)
    ]
    np.testing.assert_allclose(value, expected, rtol=1e-5)


# --- what is told


def test_infeasible_is_told_as_the_worst_feasible_plus_half_the_range():
    np.testing.assert_allclose(
        warp_losses([1.0, 3.0, math.nan, 2.0, math.inf]), warp_losses([1.0, 3.0, 4.0, 2.0, 4.0])
    )


def test_told_losses_keep_their_order_over_decades():
    losses = np.random.default_rng(0).permutation(10.0 ** np.arange(-12, 12))
    assert (np.argsort(warp_losses(losses)) == np.argsort(losses)).all()


def test_told_losses_do_not_depend_on_unit_or_origin():
    losses = np.random.default_rng(0).normal(size=40)
    np.testing.assert_allclose(warp_losses(1e6 * losses + 7), warp_losses(losses), atol=1e-6)


@pytest.mark.parametrize(
    "losses",
    [[2.0] * 9, [0.0] * 8 + [-5.0], [1e308, -1e308, math.nan, 0.0], [1.0] * 8 + [math.nan]],
)
def test_told_losses_are_finite(losses):
    assert np.isfinite(warp_losses(losses)).all()


# --- what studies rely on


@pytest.mark.parametrize("name", TUNERS)
def test_suggestions_survive_json_unchanged(name):
    points, _ = history(
        TUNERS[name](space_for("+rnn", "per_cap"), seed=0), 2, lambda p: p["lr_init"]
    )
    assert json.loads(json.dumps(points)) == points
    assert {type(value) for p in points for value in p.values()} <= {int, float, str}


@pytest.mark.parametrize("name", TUNERS)
def test_suggestions_lie_in_the_space(name):
    points, _ = history(
        TUNERS[name](MIXED, seed=1), 4, lambda p: p["a"] + p["b"]
    )  # least in a corner
    assert all(row.holds(point[row.name]) for point in points for row in MIXED.ranges)


def test_pinned_values_are_in_every_suggestion():
    space = space_for("rnn", "per_cap", pinned={"nonlinearity": "relu"})
    assert {
        p["nonlinearity"] for p in history(GPTuner(space, seed=0), 2, lambda p: p["lr_init"])[0]
    } == {"relu"}


@pytest.mark.parametrize("rounds", [0, 2])
@pytest.mark.parametrize("name", TUNERS)
def test_shorter_round_begins_the_longer_one(name, rounds):
    tuner = TUNERS[name](MIXED, seed=3)
    history(tuner, rounds)
    assert tuner.suggest(8, start=16 * rounds) == tuner.suggest(16, start=16 * rounds)[:8]


@pytest.mark.parametrize("name", TUNERS)
def test_round_can_be_asked_from_its_middle_before_any_observation(name):
    assert (
        TUNERS[name](MIXED, seed=3).suggest(4, start=5)
        == TUNERS[name](MIXED, seed=3).suggest(16)[5:9]
    )


@pytest.mark.parametrize("rounds", [1, 2, 5])
@pytest.mark.parametrize("name", TUNERS)
def test_rebuilt_tuner_suggests_what_the_living_one_does(name, rounds):
    living = TUNERS[name](MIXED, seed=4)
    points, losses = history(living, rounds)
    rebuilt = TUNERS[name](MIXED, seed=4)
    rebuilt.observe(json.loads(json.dumps(points)), losses)  # all at once, and by way of a store
    assert rebuilt.suggest(16, start=len(points)) == living.suggest(16, start=len(points))


def test_asking_changes_nothing():
    asked = GPTuner(MIXED, seed=5)
    silent = GPTuner(MIXED, seed=5)
    points, losses = history(silent, 2)
    for r in (0, 16):
        asked.suggest(3)
        asked.observe(points[r : r + 16], losses[r : r + 16])
    asked.suggest(5)
    assert asked.suggest(4) == silent.suggest(4)


def test_another_process_with_other_threads_suggests_the_same():
    program = """
import json, sys, torch
sys.path[:0] = [".", "tests"]
torch.set_num_threads(2)
from test_tuner import MIXED, GPTuner, history
tuner = GPTuner(MIXED, seed=6)
history(tuner, 2)
print(json.dumps(tuner.suggest(4)))
"""
    tuner = GPTuner(MIXED, seed=6)
    history(tuner, 2)
    out = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(out.stdout) == tuner.suggest(4)


def test_suggesting_leaves_the_number_of_threads_alone():
    before = torch.get_num_threads()
    GPTuner(MIXED).suggest(2)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("name", TUNERS)
def test_seeds_differ(name):
    assert TUNERS[name](MIXED, seed=0).suggest(4) != TUNERS[name](MIXED, seed=1).suggest(4)


def test_random_trial_depends_on_its_number_alone():
    heard = RandomTuner(MIXED, seed=2)
    history(heard, 1)
    assert heard.suggest(1, start=20) == [RandomTuner(MIXED, seed=2).suggest(21)[20]]


def test_suggestions_are_new():
    points, _ = history(GPTuner(MIXED, seed=7), 5, lambda p: p["a"])
    assert len({json.dumps(p) for p in points}) == len(points)


def test_space_of_few_points_is_asked_again_when_it_is_exhausted():
    space = Space((Choice("c", ("x", "y", "z")), Choice("d", (1, 2))))
    points, _ = history(GPTuner(space, seed=0), 2, lambda p: p["d"] + (p["c"] == "x"))
    assert len(points) == 32 and {(p["c"], p["d"]) for p in points} == {
        (c, d) for c in "xyz" for d in (1, 2)
    }


# --- usual values


def test_first_round_is_half_usual_points_and_half_the_cold_design():
    space = space_for("gru", "per_cap")
    points = UsualGPTuner(space, seed=3).suggest(16)
    assert points[0] == space.usual_point()
    assert points[1::2] == GPTuner(space, seed=3).suggest(8)
    usual = space.to_unit(space.usual_point())
    numbers = [j for j, row in enumerate(space.ranges) if not isinstance(row, Choice)]
    far = [np.abs(space.to_unit(point) - usual)[numbers].max() for point in points]
    assert max(far[::2]) < 0.4 < min(far[1::2])


def test_design_beyond_its_first_round_goes_on_with_the_cold_one():
    bad = [math.nan] * 32
    tuner = UsualGPTuner(MIXED, seed=3)
    tuner.observe(tuner.suggest(32), bad)
    assert tuner.suggest(4) == GPTuner(MIXED, seed=3).suggest(28)[24:]


def test_odd_rounds_lose_no_point_of_the_cold_design():
    tuner = UsualGPTuner(MIXED, seed=3, round_size=5)
    points = tuner.suggest(9)
    cold = GPTuner(MIXED, seed=3).suggest(6)
    assert [points[i] for i in (1, 3, 5, 6, 7, 8)] == cold


def test_both_kinds_of_start_go_on_alike():
    """After the first round suggestions depend on the observations alone."""
    points = RandomTuner(MIXED, seed=1).suggest(16)
    cold = GPTuner(MIXED, seed=2)
    usual = UsualGPTuner(MIXED, seed=2)
    for tuner in (cold, usual):
        tuner.observe(points, [bowl(point) for point in points])
    assert cold.suggest(8) == usual.suggest(8)


# --- infeasible trials


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_design_goes_on_while_everything_is_infeasible(bad):
    tuner = GPTuner(MIXED, seed=8)
    points, _ = history(tuner, 2, lambda p: bad)
    assert points == GPTuner(MIXED, seed=8).suggest(32)


def test_infeasible_region_is_left():
    # in a uniform sample half of the trials would be infeasible
    points, _ = history(GPTuner(MIXED, seed=9), 5, lambda p: math.nan if p["b"] < 0 else bowl(p))
    assert sum(p["b"] < 0 for p in points[32:]) <= 4


@pytest.mark.parametrize("loss", [lambda p: 3.0, lambda p: math.nan if p["b"] < 0 else 3.0])
def test_equal_losses_are_no_obstacle(loss):
    assert len(history(GPTuner(MIXED, seed=10), 3, loss)[0]) == 48


# --- the search


def test_search_finds_what_random_search_does_not():
    # medians over three seeds of 64 trials; 0 is the least loss
    best = {
        name: np.median([min(history(TUNERS[name](MIXED, seed=s), 4)[1]) for s in range(3)])
        for name in TUNERS
    }
    assert best["gp"] < 0.01 < best["random"] / 2


# --- mistakes


@pytest.mark.parametrize("name", TUNERS)
@pytest.mark.parametrize(
    "call, said",
    [
        (lambda t: t.suggest(0), "count must be"),
        (lambda t: t.suggest(2.5), "count must be"),
        (lambda t: t.suggest(1, start=-1), "start must be"),
        (lambda t: t.observe([], [1.0]), "one loss for each"),
        (lambda t: t.observe([{"a": 0.1}], [1.0]), "needs a value for b"),
        (lambda t: t.observe(t.suggest(1), ["low"]), "Losses must be numbers"),
        (lambda t: t.observe(t.suggest(1), [None]), "Losses must be numbers"),
        (lambda t: t.observe([t.suggest(1)[0] | {"a": 7.0}], [1.0]), "got 7.0"),
        (lambda t: type(t)(MIXED, seed=-1), "seed must be"),
        (lambda t: type(t)(MIXED, seed="0"), "seed must be"),
    ],
)
def test_bad_input_gets_one_sentence(name, call, said):
    with pytest.raises(ValueError, match="^[^\n]*$") as error:
        call(TUNERS[name](MIXED))
    assert said in str(error.value)


def test_refused_observations_leave_the_tuner_as_it_was():
    tuner = GPTuner(MIXED, seed=0)
    with pytest.raises(ValueError):
        tuner.observe([*tuner.suggest(1), {}], [1.0, 2.0])
    assert tuner.points == [] and tuner.losses == []


def test_a_rerun_suggests_its_one_set_again_and_again():
    free = space_for("rnn", "per_cap")
    point = free.sample(np.random.default_rng(0))
    tuner = RerunTuner(space_for("rnn", "per_cap", pinned=point), seed=0)
    assert tuner.suggest(3, start=7) == [point] * 3


def test_a_rerun_of_an_open_set_is_refused():
    with pytest.raises(
        ValueError, match="must pin all hyper-parameters, got a study that leaves a, b"
    ):
        RerunTuner(MIXED)


def test_the_posterior_is_scikit_learns_with_the_same_kernel():
    """Mean, standard deviation and expected improvement, u sigma: (best - mean) Phi + sigma phi
    (Mockus 1975), at new points.
    """
    from scipy.stats import norm
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    from rnnkit.hparams import Space, Uniform
    from rnnkit.tuner import warp_losses

    space = Space((Uniform("x", 0.0, 1.0), Uniform("y", 0.0, 2.0)))
    points = RandomTuner(space, 1).suggest(8)
    new = RandomTuner(space, 2).suggest(5)
    losses = [(p["x"] - 0.3) ** 2 + p["y"] for p in points]
    tuner = GPTuner(space, 0, round_size=4)
    tuner.observe(points, losses)
    mean, std, improvement = tuner.posterior(new)
    *_, surrogate = tuner._surrogate()
    *lengths, signal, noise = np.exp(surrogate.theta)
    kernel = ConstantKernel(signal) * Matern(lengths, nu=2.5)
    unit = lambda those: [[p["x"], p["y"] / 2] for p in those]
    witness = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(
        unit(points), warp_losses(losses)
    )
    expected_mean, expected_std = witness.predict(unit(new), return_std=True)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-6)
    np.testing.assert_allclose(std, expected_std, rtol=1e-5)
    gain = witness.predict(unit(points)).min() - expected_mean
    u = gain / expected_std
    np.testing.assert_allclose(
        improvement, gain * norm.cdf(u) + expected_std * norm.pdf(u), rtol=1e-4
    )


def test_there_is_no_posterior_before_the_first_design_ends():
    from rnnkit.hparams import Space, Uniform

    with pytest.raises(
        ValueError, match="There is a posterior after 4 trials, 4 of them feasible, got 0"
    ):
        GPTuner(Space((Uniform("x", 0.0, 1.0),)), round_size=4).posterior([{"x": 0.5}])
