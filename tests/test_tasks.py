import math

import pytest
import torch

from rnnkit import draws, paper
from rnnkit.tasks import TASKS, task_of
from rnnkit.tasks.perceptron import Perceptron
from rnnkit.theory import mutual_information, soft_bits


def test_all_right_stores_one_bit_per_label_and_chance_stores_none():
    assert mutual_information(1000, 1000) == 1000
    assert mutual_information(500, 1000) == 0


def test_stored_bits_is_equation_22():
    p, b = 0.9, 1000
    assert mutual_information(900, b) == pytest.approx(
        b + b * (p * math.log2(p) + (1 - p) * math.log2(1 - p))
    )


def test_worse_than_chance_stores_nothing():
    assert mutual_information(10, 1000) == 0


def test_soft_bits_of_an_undecided_network_are_zero_and_of_a_sure_one_all():
    assert soft_bits(math.log(2), 300) == pytest.approx(0)
    assert soft_bits(0.0, 300) == 300


def test_data_are_a_prefix_of_one_stream_and_another_seed_gives_another():
    task = Perceptron(n_in=50)
    words, labels = task.data(7, 300)
    more_words, more_labels = task.data(7, 900)
    assert torch.equal(words, more_words[:, :300]) and torch.equal(labels, more_labels[:300])
    assert not torch.equal(words, task.data(8, 300)[0])


def test_inputs_and_labels_are_fair_coins():
    task = Perceptron(n_in=50)
    n = 20_000
    words, labels = task.data(0, n)
    x = task.unpack(words, torch.arange(n))
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert float((x.mean(0) - 0.5).abs().max()) < 5 * 0.5 / math.sqrt(n)
    assert float(labels.mean()) == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(n))
    correlation = ((x - 0.5).T @ (labels - 0.5)) / n  # labels say nothing about inputs
    assert float(correlation.abs().max()) < 5 * 0.25 / math.sqrt(n)


def test_unpacked_inputs_are_the_bits_of_the_stream():
    task = Perceptron(n_in=40)
    words, labels = task.data(3, 10)
    x = task.unpack(words, torch.tensor([4, 9]))
    for row, sample in zip(x, (4, 9)):
        stream = (draws.random_words(3, draws.DATA, sample, 3).long() % 2**32).tolist()
        assert row.tolist() == [float(stream[i // 32] >> (i % 32) & 1) for i in range(40)]
        assert labels[sample] == stream[2] & 1


def test_dataset_size_is_a_multiple_of_the_parameters():
    assert Perceptron().samples({"samples_per_param": 2.5}, 1000) == 2500
    assert Perceptron().samples({"samples_per_param": 0.1}, 3) == 1


def test_the_tuner_is_told_minus_the_stored_bits():
    losses = Perceptron().losses(0.25, 900, 1000)
    assert losses["train_loss"] == 0.25
    assert losses["valid_loss"] == losses["eval_loss"] == -mutual_information(900, 1000)


@pytest.mark.parametrize("bad", [dict(n_in=0), dict(unroll=-1), dict(unroll=2.5)])
def test_sizes_that_are_no_positive_whole_number_are_refused(bad):
    with pytest.raises(ValueError, match="must be a whole number of at least 1"):
        Perceptron(**bad)


def test_unknown_task_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="task_type must be one of per_cap"):
        task_of("chess")
    assert set(paper.TASKS) <= set(TASKS)  # the authors' names
