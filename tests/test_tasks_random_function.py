"""Random continuous functions: the table, its weights, and what memorising a part of it is worth."""

import math

import numpy as np
import pytest
import torch

from rnnkit.tasks.random_function import RandomFunction


def test_weights_are_appendix_b_s_power_law():
    for form in ("paper", "small", "tiny"):
        task = RandomFunction(form)
        z = sum(1 / (i + task.tau) for i in range(task.samples))
        weights = task.weights()
        assert weights[[0, 7, -1]] == pytest.approx(
            [1 / (i + task.tau) / z for i in (0, 7, task.samples - 1)]
        )
        assert weights.sum() == pytest.approx(1, abs=1e-12)


def test_forms_share_the_constant_z():
    """Z = sum of 1 / (i + tau), by the integral ln(1 + samples / tau) = ln 201 = 5.3033 (5.3032 by
    the sum at the paper's size).
    """
    assert sum(1 / (i + 5000) for i in range(10**6)) == pytest.approx(5.3033, abs=2e-4)
    assert {
        RandomFunction(form).samples / RandomFunction(form).tau
        for form in ("paper", "small", "tiny")
    } == {200}


@pytest.mark.parametrize("known", [0, 100, 10_000, 200_000, 1_000_000])
def test_memorising_the_heaviest_samples_leaves_the_curve(known):
    """1 - ln(1 + M / 5000) / 5.303, and the same by adding up the weights that are left."""
    task = RandomFunction("paper")
    assert task.memorised_loss(known) == pytest.approx(
        1 - math.log(1 + known / 5000) / 5.3033, abs=1e-4
    )
    assert task.memorised_loss(known) == pytest.approx(task.weights()[known:].sum(), abs=1e-4)


def test_table_is_standard_normal():
    task = RandomFunction("small")
    x, y, _ = task.held_out(0, "eval")
    x = x.transpose(1, 2).reshape(-1, 50)[: task.samples].double()
    y = y.flatten()[: task.samples].double()
    n = x.numel()
    assert float(x.mean()) == pytest.approx(0, abs=5 / math.sqrt(n))
    assert float(x.pow(2).mean()) == pytest.approx(1, abs=5 * math.sqrt(2 / n))
    assert float(x.pow(4).mean()) == pytest.approx(
        3, abs=5 * math.sqrt(96 / n)
    )  # the fourth power's variance is 105 - 9
    assert float(y.pow(2).mean()) == pytest.approx(1, abs=5 * math.sqrt(2 / len(y)))
    both = torch.cat((x, y[:, None]), 1)
    moments = both.T @ both / len(both)  # no number says anything about another
    assert float((moments - torch.eye(51)).abs().max()) < 6 * math.sqrt(2 / len(both))


def test_samples_are_drawn_as_often_as_they_weigh():
    task = RandomFunction("tiny")
    drawn = task.draw(0, torch.arange(4000)).flatten().numpy()
    counts = np.bincount(drawn, minlength=task.samples)
    expected = len(drawn) * task.weights()
    assert len(counts) == task.samples
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < 199 + 5 * math.sqrt(2 * 199)  # 199 degrees of freedom


def test_a_batch_is_the_rows_that_were_drawn():
    task = RandomFunction("tiny")
    inputs, targets = task.batches(0, torch.tensor([3, 9]))
    whole_x, whole_y, _ = task.held_out(0, "train")
    x = whole_x.transpose(1, 2).reshape(-1, 50)
    y = whole_y.flatten()
    index = task.draw(0, torch.tensor([3, 9]))
    assert torch.equal(inputs[1, :, 5], x[index[1, 5]]) and targets[1, 0, 5] == y[index[1, 5]]


def test_held_out_data_are_the_table_each_sample_by_its_weight_and_nothing_for_the_padding():
    task = RandomFunction("tiny")  # 200 samples in 7 batches of 32
    inputs, _, weights = task.held_out(0, "valid")
    assert len(inputs) == 7 and weights.flatten()[:200].numpy() == pytest.approx(task.weights())
    assert float(weights.flatten()[200:].abs().sum()) == 0


def test_mean_of_the_training_loss_is_the_weighted_loss_of_the_table():
    """Drawing by weight and leaving the weight out is the same loss: here that of the answer 0.3 to
    everything.
    """
    task = RandomFunction("tiny")
    _, targets = task.batches(0, torch.arange(4000))
    _, y, weights = task.held_out(0, "eval")
    loss = ((targets.double() - 0.3) ** 2).flatten()
    weighted = float(((y[:, 0].double() - 0.3) ** 2 * weights).sum())
    assert float(loss.mean()) == pytest.approx(
        weighted, abs=5 * float(loss.std()) / math.sqrt(len(loss))
    )


def test_a_prefix_of_a_larger_table_is_the_smaller_one():
    """The table is a function of seed and sample, not of how many are made at once."""
    small = RandomFunction("tiny")
    large = RandomFunction("tiny", samples=70_000, tau=350)
    assert torch.equal(small.held_out(5, "eval")[0][0], large.held_out(5, "eval")[0][0])
