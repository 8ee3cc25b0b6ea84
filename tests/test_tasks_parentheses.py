"""Parentheses counting: the paper's example, its symbol rates, its plateau, and the counts by a
plain loop.
"""

import math

import pytest
import torch

from rnnkit.tasks import TASKS
from rnnkit.tasks.parentheses import Parentheses

FORMS = pytest.mark.parametrize("form", ["paper", "small", "tiny"])


def count_slowly(symbols: list[int], kind: int, cap: int) -> int:
    """Appendix B, transcribed: symbols 2 kind and 2 kind + 1 open and close."""
    count = 0
    for symbol in symbols:
        if symbol == 2 * kind:
            count = count + 1 if count < cap else cap
        elif symbol == 2 * kind + 1 and count > 0:
            count -= 1
    return count


def text_to_symbols(text: str, pairs: str) -> list[int]:
    """Parentheses by their place in `pairs`, letters after them."""
    return [
        pairs.index(letter) if letter in pairs else len(pairs) + ord(letter) - ord("a")
        for letter in text
    ]


def counts_of(text: str, pairs: str) -> list[int]:
    """What the task counts if every stream reads this text."""
    task = Parentheses("tiny", types=len(pairs) // 2, cap=9)
    stream = torch.tensor(text_to_symbols(text, pairs), dtype=torch.int32)
    return task.count_open(stream[None, :, None, None].expand(1, -1, task.types, 1))[
        0, :, 0
    ].tolist()


def test_the_paper_s_example_counts_one():
    """(a<a<bcb>[[[]] leaves one < open (Appendix B); by hand one ( and one [ too."""
    assert counts_of("(a<a<bcb>[[[]]", "<>()[]") == [1, 1, 1]


def test_a_count_stays_at_nine_and_falls_from_there():
    assert counts_of("<" * 12, "<>()") == [9, 0]
    assert counts_of("<" * 12 + ">>", "<>()") == [7, 0]


def test_what_closes_nothing_is_forgotten():
    assert counts_of(">>><", "<>()") == [1, 0]


@FORMS
def test_targets_are_the_counts_of_a_plain_loop(form):
    task = TASKS["parens_counting"](form)
    inputs, targets = task.batches(11, torch.tensor([2]))
    for b in range(0, 32, 5):
        for j in range(task.types):
            symbols = [int(s) - j * task.symbols for s in inputs[0, :, j, b]]
            assert set(symbols) <= set(range(task.symbols))
            assert targets[0, 0, j, b] == count_slowly(symbols, j, task.cap)


@FORMS
def test_half_of_the_symbols_are_noise_and_all_of_a_kind_are_equally_frequent(form):
    """Appendix B: 50 % noise letters and 50 % parentheses, so 1/20 and 1/40 each for ten types."""
    task = TASKS["parens_counting"](form)
    inputs, _ = task.batches(0, torch.arange(40 if form != "paper" else 4))
    symbols = (
        inputs - torch.arange(task.types, dtype=torch.int32)[:, None] * task.symbols
    ).flatten()
    share = torch.bincount(symbols.long(), minlength=task.symbols).double() / len(symbols)
    parens = share[: 2 * task.types]
    letters = share[2 * task.types :]
    near = 5 / math.sqrt(len(symbols)) * math.sqrt(0.25)
    assert float(parens.sum()) == pytest.approx(0.5, abs=near)
    assert (
        float((parens - 1 / (4 * task.types)).abs().max()) < near
        and float((letters - 1 / (2 * task.types)).abs().max()) < near
    )


def test_streams_say_nothing_about_each_other():
    task = TASKS["parens_counting"]("tiny")
    inputs, _ = task.batches(0, torch.arange(200))
    first, second = (
        inputs[:, :, j].flatten() == j * (task.symbols + 2) for j in (0, 1)
    )  # each opens its own type with probability 1/8
    both = float((first & second).double().mean())
    assert both == pytest.approx(1 / 64, abs=5 * math.sqrt(1 / 64 / len(first)))


def test_the_plateau_of_the_paper_s_form_is_18_21_nats():
    """Ten times the entropy of the counts, by a walk in plain Python."""
    p = [1.0] + [0.0] * 9
    for _ in range(175):
        p = [
            0.95 * p[k] + 0.025 * (p[k - 1] if k else p[0]) + 0.025 * (p[k + 1] if k < 9 else p[9])
            for k in range(10)
        ]
    plateau = -10 * sum(q * math.log(q) for q in p)
    assert plateau == pytest.approx(18.21, abs=0.005)
    assert Parentheses("paper").chance() == pytest.approx(plateau, abs=1e-9)


@FORMS
def test_counts_are_as_frequent_as_the_walk_says(form):
    task = TASKS["parens_counting"](form)
    _, targets = task.batches(0, torch.arange(100 if form != "paper" else 16))
    share = (
        torch.bincount(targets.flatten().long(), minlength=task.cap + 1).double() / targets.numel()
    )
    assert share.numpy() == pytest.approx(task.marginal(), abs=5 / math.sqrt(targets.numel()))
    assert task.marginal().sum() == pytest.approx(1, abs=1e-12)
