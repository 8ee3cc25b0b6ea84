"""Counter-based random numbers: each is a function of its seed and counter alone, so that a trial
draws the same numbers on any device, in any slot and beside any other trials.

Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011) turns a key of 64 bits and a counter of 128 bits
into 128 random bits, and for each key it is a bijection of the counters. The key is the seed; the
counter is (index, stream, number) of 32, 32 and 64 bits. So blocks of four words with different
counters under one seed are always different, and different seeds of up to 63 bits give different
keys. All arithmetic is int64, which torch has on every device.
"""

from collections.abc import Iterable

import torch

VERSION = 2  # of the numbers: data drawn under another version are other data
MASK = 0xFFFFFFFF
WEIGHTS, DATA, VALID, EVAL, ORDER = 1, 2, 3, 4, 5  # streams, one per purpose
# Counters that are processed together: they and their scratch memory fit into the second cache
# level.
BLOCK = 1 << 13
# constants of Salmon et al.
FACTORS = (0xD2511F53, 0xCD9E8D57)
STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10


def philox(counter: Iterable[torch.Tensor], key: tuple[int, int]) -> tuple[torch.Tensor, ...]:
    """Four tensors of random words, 0 ... 2^32 - 1, for the four words of a counter (int64 tensors
    that broadcast) and the two words of a key (numbers).
    """
    a, b, c, d = counter
    k, l = key
    for _ in range(ROUNDS):
        p = a * FACTORS[0]  # wraps in int64, yet all 64 bits are exact
        q = c * FACTORS[1]
        a = (q >> 32 & MASK) ^ b ^ k
        b = q & MASK
        c = (p >> 32 & MASK) ^ d ^ l
        d = p & MASK
        k = k + STEPS[0] & MASK
        l = l + STEPS[1] & MASK
    return a, b, c, d


def key_of(seed: int) -> tuple[int, int]:
    """The two words of the key, the low word first."""
    return seed & MASK, seed >> 32 & MASK


def blocks(
    seed: int,
    stream: int,
    number: int | torch.Tensor,
    index: int | torch.Tensor,
    device: str = "cpu",
) -> tuple[torch.Tensor, ...]:
    """Four tensors of random words, int64 in 0 ... 2^32 - 1, one word each per number and index.
    These are whole numbers or int64 tensors, and broadcast.
    """
    number, index = (torch.as_tensor(n, dtype=torch.int64, device=device) for n in (number, index))
    return philox(
        (index, torch.full_like(index, stream), number & MASK, number >> 32 & MASK), key_of(seed)
    )


def random_words(
    seed: int, stream: int, number: int | torch.Tensor, count: int, device: str = "cpu"
) -> torch.Tensor:
    """`count` random words, int32, for each number (a whole number, or an int64 tensor of any
    shape), along a last axis.

    Output w of the block with index j is word w Q + j, where Q = ceil(count / 4): four runs of as
    many words as there are indices.
    """
    number = torch.as_tensor(number, dtype=torch.int64, device=device)
    run = -(-count // 4)
    out = torch.empty(number.numel(), 4, run, dtype=torch.int32, device=device)
    index = torch.arange(run, device=device)
    size = max(1, BLOCK // max(run, 1))
    for start in range(0, len(out), size):
        numbers = number.reshape(-1, 1)[start : start + size]
        for w, word in enumerate(blocks(seed, stream, numbers, index, device)):
            # the same bits as a signed number
            out[start : start + size, w] = (word ^ 1 << 31) - (1 << 31)
    return out.view(*number.shape, 4 * run)[..., :count]


def uniform(
    seed: int, stream: int, number: int | torch.Tensor, count: int, device: str = "cpu"
) -> torch.Tensor:
    """Uniform numbers in (0, 1), float64; arguments and shape as for `random_words`."""
    return (
        random_words(seed, stream, number, count, device).double().add_(2**31 + 0.5).mul_(2.0**-32)
    )


def normal(
    seed: int, stream: int, number: int | torch.Tensor, count: int, device: str = "cpu"
) -> torch.Tensor:
    """Standard normal numbers, float64, in pairs from two words (Box & Muller 1958); arguments and
    shape as for `random_words`.
    """
    pairs = -(-count // 2)
    u, v = uniform(seed, stream, number, 2 * pairs, device).split(pairs, -1)
    radius = torch.sqrt(-2 * torch.log(u))
    angle = 2 * torch.pi * v
    return torch.cat((radius * torch.cos(angle), radius * torch.sin(angle)), -1)[..., :count]
