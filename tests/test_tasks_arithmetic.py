"""Arithmetic: problems and answers as text, by Python's own sums, and what chance costs."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

from rnnkit import draws
from rnnkit.tasks import TASKS
from rnnkit.tasks.arithmetic import SYMBOLS, Arithmetic, spell, tenth_of

FORMS = pytest.mark.parametrize("form", ["paper", "small", "tiny"])


def written(task, a, b):
    """A problem and its answer as text."""
    inputs, targets = task.encode(
        torch.tensor([[a]], dtype=torch.int32), torch.tensor([[b]], dtype=torch.int32)
    )
    return spell(inputs[0, :, 0, 0]), spell(targets[0, :, 0, 0])


def test_the_paper_s_example():
    """-343243+93851= is answered by -249392, padded on the left (Appendix B); = stands at the last
    of 20 steps, then blanks.
    """
    problem, answer = written(Arithmetic("paper"), -343243, 93851)
    assert problem == "      -343243+93851=" + " " * 16
    assert answer == "   -249392"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (0, 0),
        (10**7, 10**7),
        (-(10**7), -(10**7)),
        (-(10**7), 10**7),
        (9, -9),
        (-1, 1),
        (99_999, 1),
    ],
)
def test_problems_at_the_edges_are_python_s_own(a, b):
    task = Arithmetic("paper")
    assert written(task, a, b) == (f"{a}+{b}=".rjust(20).ljust(36), str(a + b).rjust(10))


@FORMS
def test_every_problem_of_a_batch_is_answered_by_its_sum(form):
    task = TASKS["arithmetic"](form)
    inputs, targets = task.batches(5, torch.tensor([0, 77]))
    for k in range(2):
        for b in range(task.batch):
            problem = spell(inputs[k, :, 0, b])
            answer = spell(targets[k, :, 0, b])
            first, second = problem.strip().removesuffix("=").split("+")
            assert problem == f"{int(first)}+{int(second)}=".rjust(task.problem).ljust(task.steps)
            assert answer == str(int(first) + int(second)).rjust(task.scored) and answer[0] == " "
            assert max(abs(int(first)), abs(int(second))) <= task.most


def test_numbers_are_uniform_on_both_sides_of_zero():
    task = Arithmetic("paper")  # of whose problems a tenth is so many that they look like all
    inputs, _ = task.batches(0, torch.arange(100))
    numbers = []
    for k in range(0, 100, 3):
        for b in range(task.batch):
            numbers += [int(n) for n in spell(inputs[k, :, 0, b]).strip(" =").split("+")]
    counts = np.histogram(numbers, 20, (-(10**7), 10**7))[0]
    total = len(numbers)
    assert sum(counts) == total
    assert ((counts - total / 20) ** 2 / (total / 20)).sum() < 19 + 5 * math.sqrt(2 * 19)


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
    assert task.chance() == pytest.approx(
        -sum(p * math.log(p) for p in expected.flatten() if p) / task.scored
    )


def test_chance_of_the_paper_s_form_is_that_of_its_batches():
    task = Arithmetic("paper")
    _, targets = task.batches(0, torch.arange(500))
    share = torch.stack([(targets[:, :, 0] == s).double().mean((0, 2)) for s in range(14)], 1)
    assert share.numpy() == pytest.approx(task.marginal(), abs=5 * 0.5 / math.sqrt(500 * 64))
    assert task.marginal().sum(1) == pytest.approx(1)


def tenth_slowly(a, b):
    """The hash of `tenth_of` in Python's own whole numbers."""

    def mix(x):
        x = (x ^ x >> 16) * 0x7FEB352D % 2**32
        x = (x ^ x >> 15) * 0x846CA68B % 2**32
        return x ^ x >> 16

    low, high = sorted((a, b))
    return mix((mix(low % 2**32) + high) % 2**32) * 10 >> 32


PARTS = {"train": range(8), "valid": [8], "eval": [9]}


@FORMS
@pytest.mark.parametrize("part", PARTS)
def test_a_part_holds_its_own_tenths_of_all_problems_and_no_other(form, part):
    """So that no two parts share a problem: read back from the symbols, whatever the seed."""
    task = TASKS["arithmetic"](form)
    for seed in (0, 2**40):
        inputs = (
            task.held_out(seed, part)[0]
            if part != "train"
            else task.batches(seed, torch.arange(3, 60))[0]
        )
        problems = {
            spell(inputs[k, : task.problem, 0, b]).strip(" =")
            for k in range(len(inputs))
            for b in range(task.batch)
        }
        assert {tenth_slowly(*map(int, problem.split("+"))) for problem in problems} == set(
            PARTS[part]
        )


def test_every_problem_belongs_to_a_tenth_and_so_does_its_mirror():
    numbers = torch.arange(-99, 100)
    a, b = (n.flatten() for n in torch.meshgrid(numbers, numbers, indexing="ij"))
    tenth = tenth_of(a, b)
    assert len(tenth) == 39_601 and torch.equal(tenth, tenth_of(b, a))
    counts = torch.bincount(
        tenth, minlength=10
    )  # pairs come with their mirrors, which doubles the variance
    assert len(counts) == 10 and float((counts / 39_601 - 0.1).abs().max()) < 5 * math.sqrt(
        2 * 0.09 / 39_601
    )


def test_problems_of_a_part_are_equally_frequent():
    task = Arithmetic("tiny")
    for stream, tenths in ((draws.DATA, range(8)), (draws.VALID, [8]), (draws.EVAL, [9])):
        drawn = Counter(zip(*task.pairs(1, stream, torch.arange(400)).flatten(1).tolist()))
        problems = [
            (a, b) for a in range(-9, 10) for b in range(-9, 10) if tenth_slowly(a, b) in tenths
        ]
        expected = 400 * 64 / len(problems)
        assert set(drawn) == set(problems)
        chi2 = sum((drawn[problem] - expected) ** 2 / expected for problem in problems)
        assert chi2 < len(problems) - 1 + 5 * math.sqrt(2 * (len(problems) - 1))


def test_a_sample_is_the_first_pair_of_its_part_among_its_blocks():
    """Block r of sample i has the index r B + i; two words are a pair, the first of all that
    belongs counts.
    """
    task = Arithmetic("tiny")
    seed = 7
    number = 2**32 + 3
    a, b = task.pairs(seed, draws.EVAL, torch.tensor([number]))[:, 0].tolist()
    for i in (0, 11, 63):
        tried = []
        for r in range(60):
            block = [int(w) for w in draws.blocks(seed, draws.EVAL, number, r * task.batch + i)]
            tried += [tuple((w * 19 >> 32) - 9 for w in block[at : at + 2]) for at in (0, 2)]
        assert (a[i], b[i]) == next(pair for pair in tried if tenth_slowly(*pair) == 9)


def test_numbers_beyond_the_paper_s_are_refused():
    with pytest.raises(ValueError, match="most must be at most the paper's 10,000,000"):
        Arithmetic("paper", most=10**9)
