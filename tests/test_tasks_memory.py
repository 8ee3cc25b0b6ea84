"""Memory throughput: its numbers, and the bound of a linear readout."""

import math

import numpy as np
import pytest
import torch

from rnnkit import draws
from rnnkit.tasks.memory import Memory

MANY = torch.arange(40)


def test_numbers_are_uniform_with_mean_0_and_variance_1():
    x = Memory("paper").batches(0, MANY)[0].double().flatten()
    n = len(x)
    assert float(x.abs().max()) <= math.sqrt(3)
    assert float(x.mean()) == pytest.approx(0, abs=5 / math.sqrt(n))
    assert float(x.pow(2).mean()) == pytest.approx(
        1, abs=5 * math.sqrt(0.8 / n)
    )  # the fourth moment of this law is 9 / 5
    counts = np.histogram(x, 20, (-math.sqrt(3), math.sqrt(3)))[0]
    assert float((((counts - n / 20) ** 2) / (n / 20)).sum()) < 19 + 5 * math.sqrt(
        2 * 19
    )  # chi squared of 19 degrees of freedom


def test_numbers_of_a_sample_say_nothing_about_each_other():
    x = Memory("paper").batches(0, MANY)[0].double()
    samples = x.transpose(1, 2).reshape(-1, 64)
    covariance = samples.T @ samples / len(samples)
    assert float((covariance - torch.eye(64)).abs().max()) < 6 / math.sqrt(len(samples))


def test_numbers_are_the_halves_of_the_stream_s_words():
    task = Memory("tiny")
    word = int(draws.random_words(3, draws.DATA, 8, 16 * 32 // 2)[5]) % 2**32
    low, high = (
        (half ^ 0x8000) - 0x8000 for half in (word & 0xFFFF, word >> 16)
    )  # as signed numbers
    x = task.batches(3, torch.tensor([8]))[0].flatten()
    assert x[10:12].tolist() == pytest.approx(
        [(half + 0.5) * math.sqrt(3) / 2**15 for half in (low, high)], rel=1e-6
    )


def test_the_target_is_the_input():
    inputs, targets = Memory("small").batches(1, MANY)
    assert torch.equal(inputs, targets)


def test_silence_costs_one():
    _, targets, weights = Memory("paper").held_out(0, "eval")
    assert float((targets.double().pow(2).mean(1) * weights).sum()) == pytest.approx(1, abs=0.01)
    assert Memory("paper").chance() == 1


@pytest.mark.parametrize("units", [16, 32, 48, 56, 64, 96])
def test_bound_is_the_share_of_numbers_that_do_not_fit(units):
    """The paper's curve (Figure 2c): an n_h-dimensional subspace of the n_in-dimensional input."""
    assert Memory("paper").bound(units) == max(0, 1 - units / 64)


@pytest.mark.parametrize("units", [16, 48])
def test_no_linear_map_through_n_dimensions_beats_the_bound(units):
    """Eckart & Young 1936: the best map of rank N loses the smallest eigenvalues of the second
    moments, here those of the law: all 1.
    """
    task = Memory("paper")
    x = task.held_out(0, "eval")[0].transpose(1, 2).reshape(-1, 64).double().numpy()
    random = np.random.default_rng(0)
    for _ in range(5):
        states = x @ random.normal(size=(64, units))  # what N units may hold after any linear steps
        readout = np.linalg.lstsq(states[::2], x[::2], rcond=None)[
            0
        ]  # fitted on half of the samples, measured on the others
        assert ((states[1::2] @ readout - x[1::2]) ** 2).mean() > task.bound(units)


def test_no_network_beats_the_bound_whatever_it_holds_in_n_units():
    """States that are any function of the input leave an N-dimensional set of answers; the best of
    those is a projection.
    """
    task = Memory("tiny")
    units = 4
    x = task.batches(0, torch.arange(200))[0].transpose(1, 2).reshape(-1, 16).double().numpy()
    random = np.random.default_rng(1)
    states = np.tanh(
        x @ random.normal(size=(16, units)) + x[:, ::-1] ** 3 @ random.normal(size=(16, units))
    )
    states = np.concatenate((states, np.ones((len(x), 1))), 1)  # the readout's bias
    readout = np.linalg.lstsq(states[::2], x[::2], rcond=None)[0]
    assert ((states[1::2] @ readout - x[1::2]) ** 2).mean() > task.bound(units)


@pytest.mark.parametrize("units", [16, 56, 64, 80])
def test_a_linear_network_reaches_the_bound(units):
    """Units that keep a number each: input matrix and readout select, the recurrent matrix is the
    identity, T steps change nothing.
    """
    task = Memory("paper")
    inputs, targets, weights = task.held_out(0, "eval")
    select = (
        torch.eye(64)[:units]
        if units <= 64
        else torch.cat((torch.eye(64), torch.zeros(units - 64, 64)))
    )
    state = torch.zeros(len(inputs), units, task.batch)
    for step in range(task.steps):
        state = state + (select @ inputs if step == 0 else 0)
    error = ((select.T @ state - targets) ** 2).mean(1)
    assert float((error * weights).sum()) == pytest.approx(task.bound(units), abs=0.005)
