"""Random numbers: the published answers of Philox, and that no block of words ever comes twice."""

import math

import pytest
import torch

from rnnkit import draws
from rnnkit.tasks import TASKS

# Random123 1.14, tests/kat_vectors, "philox4x32 10": counter, key, answer
KNOWN = [
    (
        "00000000 00000000 00000000 00000000",
        "00000000 00000000",
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    ),
    (
        "ffffffff ffffffff ffffffff ffffffff",
        "ffffffff ffffffff",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]
STREAMS = (draws.WEIGHTS, draws.DATA, draws.VALID, draws.EVAL, draws.ORDER)


def numbers(text):
    return [int(word, 16) for word in text.split()]


def unsigned(words):
    return words.long() & draws.MASK


def counters_of(seed, words_XxC):
    """The counters whose blocks these words are, X x Q x 4: Philox run backwards in Python's own
    whole numbers.
    """
    keys = []
    key = [seed % 2**32, seed >> 32]
    for _ in range(10):
        keys.append(tuple(key))
        key = [(k + step) % 2**32 for k, step in zip(key, (0x9E3779B9, 0xBB67AE85))]
    inverse = [pow(factor, -1, 2**32) for factor in (0xD2511F53, 0xCD9E8D57)]
    found = []
    for block in (
        unsigned(words_XxC).unflatten(-1, (4, -1)).transpose(-1, -2).reshape(-1, 4).tolist()
    ):
        for k, l in reversed(keys):
            x, y, z, w = block
            a = w * inverse[0] % 2**32
            c = y * inverse[1] % 2**32
            block = a, x ^ k ^ (c * 0xCD9E8D57 >> 32), c, z ^ l ^ (a * 0xD2511F53 >> 32)
        found.append(tuple(block))
    return found


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_the_published_answers_come_out(counter, key, answer):
    made = draws.philox([torch.tensor(word) for word in numbers(counter)], numbers(key))
    assert [int(word) for word in made] == numbers(answer)


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**62 - 1])
def test_each_word_comes_from_the_counter_that_its_names_say(seed):
    """Run backwards, a bijection: other names are other counters, hence other blocks."""
    for stream in STREAMS:
        for number in (0, 7, 2**32, 2**32 + 7, 2**62):
            words = draws.random_words(seed, stream, number, 12)
            assert counters_of(seed, words) == [
                (index, stream, number % 2**32, number >> 32) for index in range(3)
            ]


def test_streams_are_distinct_words():
    assert len(set(STREAMS)) == len(STREAMS) and all(0 <= stream < 2**32 for stream in STREAMS)


def test_no_block_comes_twice_in_ten_million_batches():
    """The first block of each training batch at the paper's scale, and every block of the held-out
    ones; 64 of their 128 bits, counted.
    """
    held = torch.arange(128)
    parts = [
        draws.random_words(3, draws.DATA, torch.arange(i * 10**6, (i + 1) * 10**6), 4)[:, :2]
        for i in range(10)
    ]
    for stream in (draws.VALID, draws.EVAL):
        parts.append(
            draws.random_words(3, stream, held, 64 * 4)
            .unflatten(-1, (4, -1))[:, :2]
            .transpose(1, 2)
            .reshape(-1, 2)
        )
    words = unsigned(torch.cat(parts))
    halves = (words[:, 0] << 32 | words[:, 1]).sort().values
    assert len(halves) == 10**7 + 2 * 128 * 64 and bool((halves[1:] != halves[:-1]).all())


def test_seeds_that_differ_anywhere_in_62_bits_draw_differently():
    first = draws.random_words(5, draws.DATA, 0, 4)
    assert all(
        not torch.equal(first, draws.random_words(5 ^ 1 << bit, draws.DATA, 0, 4))
        for bit in range(62)
    )


@pytest.mark.parametrize("name", ["mem_thru", "parens_counting", "arithmetic", "rcf"])
def test_steps_and_seeds_that_differ_by_two_to_the_32_have_other_batches(name):
    task = TASKS[name]("tiny")
    far = 2**32
    one, beyond = task.batches(1, torch.tensor([3, 3 + far]))[0]
    assert not torch.equal(one, beyond)
    assert not torch.equal(one, task.batches(1 + far, torch.tensor([3]))[0][0])


def test_words_are_the_same_when_they_take_many_blocks(monkeypatch):
    whole = draws.random_words(1, draws.DATA, torch.arange(9), 50)
    monkeypatch.setattr(draws, "BLOCK", 30)
    assert torch.equal(draws.random_words(1, draws.DATA, torch.arange(9), 50), whole)


def test_words_have_the_shape_of_their_numbers_and_one_axis_more():
    words = draws.random_words(1, draws.DATA, torch.arange(6).view(2, 3), 10)
    assert words.shape == (2, 3, 10) and words.dtype == torch.int32
    assert torch.equal(words[1, 2], draws.random_words(1, draws.DATA, 5, 10))


def test_draws_are_uniform_and_normal():
    # 100,000 numbers: the mean of uniforms has standard error 1/sqrt(12 n), chi-square over 64 bins
    # has 63 degrees of freedom
    n = 100_000
    u = draws.uniform(3, draws.DATA, 0, n)
    counts = torch.histc(u, 64, 0, 1)
    assert float(u.mean()) == pytest.approx(0.5, abs=5 / math.sqrt(12 * n))
    assert float(((counts - n / 64) ** 2 / (n / 64)).sum()) < 63 + 5 * math.sqrt(2 * 63)
    z = draws.normal(3, draws.DATA, 0, n)
    assert float(z.mean()) == pytest.approx(0, abs=5 / math.sqrt(n))
    assert float((z**4).mean()) == pytest.approx(3, abs=5 * math.sqrt(96 / n))
    assert float((z[: n // 2] * z[n // 2 :]).mean()) == pytest.approx(
        0, abs=5 / math.sqrt(n / 2)
    )  # sine and cosine of one angle


def test_each_bit_of_the_draws_is_fair_and_neighbours_are_uncorrelated():
    n = 100_000
    words = unsigned(draws.random_words(0, draws.DATA, torch.arange(n // 4), 4)).flatten()
    bits = ((words[:, None] >> torch.arange(32)) & 1).double() - 0.5
    assert float(bits.mean(0).abs().max()) < 5 * 0.5 / math.sqrt(n)
    correlation = (bits[:-1].T @ bits[1:]) / n
    assert float(correlation.abs().max()) < 6 * 0.25 / math.sqrt(n)
