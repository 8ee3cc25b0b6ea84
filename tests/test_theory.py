"""Closed forms against what they stand for: spelled out, sampled, or counted in a network."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from rnnkit import cells, networks, theory
from rnnkit.tasks import TASKS
from rnnkit.tasks.random_function import RandomFunction

# --- capacity ---


def test_bits_are_equation_22():
    # by hand: 100 labels, 3/4 right: 100 (1 + .75 log2 .75 + .25 log2 .25) = 100 (1 - .3112781 -
    # .5)
    assert theory.mutual_information(75, 100) == pytest.approx(18.87218755, abs=1e-7)


@pytest.mark.parametrize("correct, bits", [(100, 100.0), (50, 0.0), (30, 0.0), (0, 0.0)])
def test_bits_at_the_ends_of_accuracy(correct, bits):
    assert theory.mutual_information(correct, 100) == bits


def test_samples_that_coincide_are_as_many_as_in_random_draws():
    rng = np.random.default_rng(0)
    draws = [len(set(rng.integers(2**12, size=300).tolist())) for _ in range(300)]
    assert theory.coinciding(300, 12) == pytest.approx(1 - np.mean(draws) / 300, rel=0.1)


# --- memory throughput ---


def test_the_bound_is_what_the_discarded_dimensions_of_an_optimal_linear_code_cost():
    # independent: principal components of 4,096 uniform vectors of variance 1, of which the n
    # largest are kept
    x = np.random.default_rng(0).uniform(-math.sqrt(3), math.sqrt(3), (4_096, 64))
    power = np.linalg.svd(x, compute_uv=False) ** 2
    for n in (16, 48, 56):
        assert theory.memory_bound(n, 64) == pytest.approx(power[n:].sum() / x.size, abs=0.06)
    assert theory.memory_bound(64, 64) == theory.memory_bound(96, 64) == 0


@pytest.mark.parametrize("architecture", theory.MAPS)
@pytest.mark.parametrize("n_layers, n_in, n_out", [(2, 64, 64), (4, 27, 27), (2, 50, 1)])
def test_multiplications_are_the_weights_of_all_matrices(architecture, n_layers, n_in, n_out):
    # independent: the blocks that the network itself is built from
    shapes = networks.blocks(architecture, n_layers, 20, n_in, n_out)
    params = networks.num_params(architecture, n_layers, 20, n_in, n_out)
    counted = theory.multiplications(architecture, n_layers, 20, n_in, params)
    assert counted == sum(
        math.prod(shape) for name, shape in shapes.items() if name.startswith("W")
    )


@pytest.mark.parametrize("architecture", theory.MAPS)
def test_maps_and_states_are_those_that_a_cell_declares(architecture):
    cell = cells.CELLS[architecture]
    assert len(cell.maps) == theory.MAPS[architecture]
    assert len(cell.states) == theory.STATES[architecture]


def test_multiplications_of_a_cell_that_is_not_the_papers_are_unknown():
    assert math.isnan(theory.multiplications("mgu", 1, 7, 5, 300))


# --- random continuous functions ---


@pytest.mark.parametrize("form", theory.RANDOM_FUNCTION)
def test_what_memorised_samples_leave_is_the_weight_of_all_others(form):
    # independent: the task's own weights, added up
    task = RandomFunction(form=form)
    for known in (task.samples // 100, task.samples // 4):
        assert theory.memorised_loss(known, **theory.RANDOM_FUNCTION[form]) == pytest.approx(
            task.weights()[known:].sum(), abs=0.02 if task.tau > 1 else 0.12
        )


def test_more_parameters_than_samples_leave_nothing():
    assert theory.memorised_loss(10**6, 10_000, 50) == pytest.approx(0)


# --- chance ---


def test_chance_on_text_is_the_entropy_of_27_equal_letters():
    assert theory.chance("text8") == pytest.approx(stats.entropy([1 / 27] * 27, base=2))


def test_chance_of_the_papers_parentheses_is_the_plateau_of_18_nats():
    # the plateau of the paper's Figure 5
    assert theory.chance("parens_counting", "paper") == pytest.approx(18.21, abs=0.005)


def test_chance_of_parentheses_is_the_entropy_of_a_walk_spelled_out():
    # every sequence of 6 symbols of one type: open, close or neither, with probabilities 1/8, 1/8,
    # 3/4 where there are two types
    ends = Counter()
    for moves in itertools.product((1, -1, 0), repeat=6):
        count = 0
        for move in moves:
            count = min(max(count + move, 0), 2)
        ends[count] += math.prod({1: 1 / 8, -1: 1 / 8, 0: 3 / 4}[move] for move in moves)
    spelled_out = 2 * stats.entropy(list(ends.values()))
    assert theory.parentheses_chance(2, steps=6, cap=2) == pytest.approx(spelled_out)


@pytest.mark.parametrize("most", [9, 25, 99])
def test_chance_of_arithmetic_is_the_entropy_of_all_sums_spelled_out(most):
    numbers = range(-most, most + 1)
    symbols = theory.answer_symbols(most)
    sums = [str(a + b).rjust(symbols) for a in numbers for b in numbers]
    entropies = [
        stats.entropy(list(Counter(text[place] for text in sums).values()))
        for place in range(symbols)
    ]
    assert theory.arithmetic_chance(most) == pytest.approx(np.mean(entropies))


@pytest.mark.parametrize("name", ["mem_thru", "rcf", "parens_counting", "arithmetic"])
def test_a_task_names_the_chance_of_its_form(name):
    assert TASKS[name](form="tiny").chance() == theory.chance(name, "tiny")


@pytest.mark.parametrize("task, form", [("sudoku", "small"), ("arithmetic", "huge")])
def test_chance_of_another_task_or_form_is_refused(task, form):
    with pytest.raises(ValueError, match=f"got form '{form}' of '{task}'"):
        theory.chance(task, form)
