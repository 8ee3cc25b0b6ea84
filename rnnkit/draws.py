"""Counter-based random numbers: each is a function of its counters alone, so a trial draws the same on any device, in any slot, in any company.

A counter passes through a 32-bit mixing function (two odd multiplications and three xor-shifts, a bijection; constants of Wellons'
`lowbias32`) and is folded into the next one. All arithmetic is int64 with a 32-bit mask, which every device of torch has.
"""

import torch

VERSION = 1  # of the numbers that are drawn; a study knows it
MASK = 0xFFFFFFFF
WEIGHTS, DATA, VALID, EVAL, ORDER = 1, 2, 3, 4, 5  # streams: what a number is drawn for
BLOCK = 1 << 16  # words mixed at once: they and their scratch stay in the second cache level


def _mix(x):
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & MASK  # wraps in int64, yet its low 32 bits are exact
    return x ^ (x >> 16)


def bits(*counters, device="cpu") -> torch.Tensor:
    """32 random bits (int64, 0 ... 2^32 - 1) for each combination of the counters, which broadcast: whole numbers or int64 tensors."""
    state = torch.zeros((), dtype=torch.int64, device=device)
    for counter in counters:
        counter = torch.as_tensor(counter, dtype=torch.int64, device=device)
        state = _mix((state + 0x9E3779B9 ^ counter) & MASK)
    return state


def uniform(*counters, device="cpu") -> torch.Tensor:
    """Uniform numbers in (0, 1), float64."""
    return (bits(*counters, device=device).double() + 0.5) / 2**32


def normal(*counters, device="cpu") -> torch.Tensor:
    """Standard normal numbers, float64 (Box & Muller 1958)."""
    radius = torch.sqrt(-2 * torch.log(uniform(*counters, 0, device=device)))
    return radius * torch.cos(2 * torch.pi * uniform(*counters, 1, device=device))


def words(*counters, count: int, device="cpu") -> torch.Tensor:
    """The same bits as `bits(*counters, 0 ... count - 1)`, as int32 with one axis more, at about 1.5 ns a word on one core."""
    state = (bits(*counters, device=device) + 0x9E3779B9) & MASK
    first = torch.where(state >= 2**31, state - 2**32, state).to(torch.int32)
    out = torch.empty(first.numel(), count, dtype=torch.int32, device=device)
    last, rows = torch.arange(count, dtype=torch.int32, device=device), max(1, BLOCK // max(count, 1))
    scratch = torch.empty(min(rows, len(out)), count, dtype=torch.int32, device=device)
    for start in range(0, len(out), rows):
        x = out[start : start + rows]
        t = scratch[: len(x)]
        torch.bitwise_xor(first.view(-1, 1)[start : start + rows], last, out=x)
        for shift, kept, factor in ((16, 0xFFFF, 0x7FEB352D), (15, 0x1FFFF, 0x846CA68B - 2**32), (16, 0xFFFF, 1)):
            torch.bitwise_right_shift(x, shift, out=t)  # copies the sign, which the mask takes away again
            x ^= t.bitwise_and_(kept)
            if factor != 1:
                x *= factor
    return out.view(*first.shape, count)
