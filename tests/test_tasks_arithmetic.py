"""Arithmetic: problems and answers as text, by Python's own sums, and what chance costs."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

from rnnkit.tasks import TASKS
from rnnkit.tasks.arithmetic import SYMBOLS, Arithmetic, spelled

FORMS = pytest.mark.parametrize("form", ["paper", "small", "tiny"])


def written(task, a, b):
    """A problem and its answer as text."""
    inputs, targets = task.written(torch.tensor([[a]], dtype=torch.int32), torch.tensor([[b]], dtype=torch.int32))
    return spelled(inputs[0, :, 0, 0]), spelled(targets[0, :, 0, 0])


def test_the_paper_s_example():
    """-343243+93851= is answered by -249392, padded on the left (Appendix B); = stands at the last of 20 steps, then blanks."""
    problem, answer = written(Arithmetic("paper"), -343243, 93851)
    assert problem == "      -343243+93851=" + " " * 16
    assert answer == "   -249392"


@pytest.mark.parametrize(("a", "b"), [(0, 0), (10**7, 10**7), (-(10**7), -(10**7)), (-(10**7), 10**7), (9, -9), (-1, 1), (99_999, 1)])
def test_problems_at_the_edges_are_python_s_own(a, b):
    task = Arithmetic("paper")
    assert written(task, a, b) == (f"{a}+{b}=".rjust(20).ljust(36), str(a + b).rjust(10))


@FORMS
def test_every_problem_of_a_batch_is_answered_by_its_sum(form):
    task = TASKS["arithmetic"](form)
    inputs, targets = task.batches(5, torch.tensor([0, 77]))
    for k in range(2):
        for b in range(task.batch):
            problem, answer = spelled(inputs[k, :, 0, b]), spelled(targets[k, :, 0, b])
            first, second = problem.strip().removesuffix("=").split("+")
            assert problem == f"{int(first)}+{int(second)}=".rjust(task.problem).ljust(task.steps)
            assert answer == str(int(first) + int(second)).rjust(task.scored) and answer[0] == " "
            assert max(abs(int(first)), abs(int(second))) <= task.most


def test_numbers_are_uniform_on_both_sides_of_zero():
    task = Arithmetic("tiny")
    inputs, _ = task.batches(0, torch.arange(300))
    numbers = Counter()
    for k in range(0, 300, 3):
        for b in range(task.batch):
            numbers.update(int(n) for n in spelled(inputs[k, :, 0, b]).strip(" =").split("+"))
    total = sum(numbers.values())
    assert set(numbers) == set(range(-9, 10))
    chi2 = sum((count - total / 19) ** 2 / (total / 19) for count in numbers.values())
    assert chi2 < 18 + 5 * math.sqrt(2 * 18)


def test_the_answer_is_due_after_the_compute_steps():
    task = Arithmetic("paper")
    assert [task.first_scored({"compute_steps": k}) for k in (1, 6)] == [21, 26]
    assert task.first_scored({"compute_steps": 6}) + task.scored == task.steps == 36


@pytest.mark.parametrize("form", ["small", "tiny"])
def test_chance_is_the_entropy_of_all_answers(form):
    """Every sum of two numbers is written out and its symbols are counted, place by place."""
    task = TASKS["arithmetic"](form)
    numbers = range(-task.most, task.most + 1)
    places = [Counter() for _ in range(task.scored)]
    for total, times in Counter(a + b for a in numbers for b in numbers).items():
        for place, symbol in zip(places, str(total).rjust(task.scored)):
            place[symbol] += times
    pairs = len(numbers) ** 2
    expected = np.array([[place[symbol] / pairs for symbol in SYMBOLS] for place in places])
    assert task.marginal() == pytest.approx(expected, abs=1e-12)
    assert task.chance() == pytest.approx(-sum(p * math.log(p) for p in expected.flatten() if p) / task.scored)


def test_chance_of_the_paper_s_form_is_that_of_its_batches():
    task = Arithmetic("paper")
    _, targets = task.batches(0, torch.arange(500))
    share = torch.stack([(targets[:, :, 0] == s).double().mean((0, 2)) for s in range(14)], 1)
    assert share.numpy() == pytest.approx(task.marginal(), abs=5 * 0.5 / math.sqrt(500 * 64))
    assert task.marginal().sum(1) == pytest.approx(1)


def test_numbers_beyond_the_paper_s_are_refused():
    with pytest.raises(ValueError, match="most must be at most the paper's 10,000,000"):
        Arithmetic("paper", most=10**9)
