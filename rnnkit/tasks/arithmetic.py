"""Addition: the sum of two integers, read and written as text (section 4, App. B)."""

from dataclasses import dataclass

import numpy as np
import torch

from .. import draws, theory
from .forms import LEFT_OUT, drawn_part, drawn_source, fill

SYMBOLS = "0123456789 -+="
SPACE, MINUS, PLUS, EQUALS = (SYMBOLS.index(s) for s in " -+=")
COMPUTE = 6  # most steps between the "=" and the answer (App. B)
# stream -> the first and the last of its tenths of all problems
TENTHS = {draws.DATA: (0, 7), draws.VALID: (8, 8), draws.EVAL: (9, 9)}


def tenth_of(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Which tenth of all problems a + b belongs to, 0 ... 9: a hash of the two numbers, whichever
    stands first. int64 tensors.
    """
    mixed = torch.zeros_like(a)
    for number in (torch.minimum(a, b), torch.maximum(a, b)):
        mixed = mixed + number & draws.MASK
        for shift, factor in (
            (16, 0x7FEB352D),
            (15, 0x846CA68B),
        ):  # Wellons' `lowbias32`, a bijection of 32 bits
            mixed = (mixed ^ mixed >> shift) * factor & draws.MASK
        mixed = mixed ^ mixed >> 16
    return mixed * 10 >> 32


@dataclass(frozen=True)
class Arithmetic:
    """a + b with both in -most ... most, as "-343243+93851=", then blanks; the answer
    right-aligned, as "   -249392".

    Problems are held out by name (`tenth_of`): eight tenths of all pairs are for training, one for
    validation, one for evaluation, in every form and for every seed. 5+3 is held out where 3+5 is,
    which gives its answer away. A problem is drawn uniformly from its part: pairs are drawn from
    all of them until one belongs.

    The problem is right-aligned too, so that "=" is always the last of `problem` steps; the first
    symbol of the answer is due after `compute_steps` blanks more (a hyper-parameter, 1 to 6). A
    negative second number stands behind the plus sign, as in "1+-2=": so written, the longest
    problem of the paper's numbers fills 20 steps, and 20 + 6 + 10 are its 36. The loss is the mean
    over the `scored` symbols of the answer, in nats. `small` has numbers of two digits: a GRU of
    5,000 parameters learns a good part of them in 20,000 steps, and next to nothing of three.
    """

    form: str = "small"
    most: int = LEFT_OUT
    batch: int = LEFT_OUT
    held: int = LEFT_OUT  # samples of each held-out part
    name, input, every, loss, streams, heads, per_nat = (
        "arithmetic",
        "index",
        True,
        "softmax",
        1,
        1,
        1.0,
    )
    n_in = n_out = len(SYMBOLS)
    forms = {
        "paper": dict(**theory.ARITHMETIC["paper"], batch=64, held=8192),
        "small": dict(**theory.ARITHMETIC["small"], batch=64, held=4096),
        "tiny": dict(**theory.ARITHMETIC["tiny"], batch=64, held=256),
    }

    def __post_init__(self):
        fill(self)
        if self.most > 10**7:
            raise ValueError(
                f"most must be at most the paper's 10,000,000, got {self.most:,}. Take fewer"
                " digits."
            )

    @property
    def problem(self) -> int:
        """Steps of the longest problem, "=" included."""
        return 2 * len(f"-{self.most}") + 2

    @property
    def scored(self) -> int:
        """Symbols of the answer: the longest and a blank before it."""
        return theory.answer_symbols(self.most)

    @property
    def steps(self) -> int:
        return self.problem + COMPUTE + self.scored

    def first_scored(self, hparams: dict) -> int:
        return self.problem + hparams["compute_steps"]

    def batches(
        self, seed: int, step_K: torch.Tensor, device="cpu"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Training batches number step_K: inputs_KxTx1xB and targets_KxSx1xB, int32."""
        return self.drawn(seed, draws.DATA, step_K, device)

    def held_out(self, seed: int, part: str, device="cpu"):
        """Inputs, targets and weights_KxB of a part; those of "train" are the first that training
        sees.
        """
        return drawn_part(self, seed, part, device)

    def source(self, seed: int, part: str | None = None) -> dict:
        """What the compiled batches of a held-out part, or of training, are drawn from."""
        found = drawn_source(seed, part)
        first, last = TENTHS[found["stream"]]
        tenths = {"first_tenth": first, "last_tenth": last}
        return found | {"problem": self.problem, "most": self.most} | tenths

    def drawn(self, seed, stream, number_K, device):
        """Inputs and targets of the batches number_K of a stream of random numbers."""
        return self.written(*self.pairs(seed, stream, number_K, device))

    def pairs(self, seed, stream, number_K, device="cpu") -> torch.Tensor:
        """The numbers a and b of each sample, int32, 2 x K x B: the first pair of the stream's part
        that its blocks of words hold.

        Block r of sample i of a batch has the index r B + i; its first two words are one pair, its
        last two another.
        """
        low, high = TENTHS[stream]
        number, place = (
            number_K.to(device).repeat_interleave(self.batch),
            torch.arange(self.batch, device=device).repeat(len(number_K)),
        )
        found, waiting = (
            torch.empty(2, len(place), dtype=torch.int32, device=device),
            torch.arange(len(place), device=device),
        )
        while len(waiting):
            words = draws.blocks(seed, stream, number[waiting], place[waiting], device)
            first, other = (
                torch.stack(two).mul(2 * self.most + 1).bitwise_right_shift(32).sub(self.most)
                for two in (words[:2], words[2:])
            )
            belongs, too = (
                (tenth >= low) & (tenth <= high) for tenth in (tenth_of(*first), tenth_of(*other))
            )
            found[:, waiting] = torch.where(belongs, first, other).int()
            waiting = waiting[~(belongs | too)]
            place += self.batch
        return found.view(2, len(number_K), self.batch)

    def written(
        self, a_KxB: torch.Tensor, b_KxB: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The problems and their answers in symbols, int32, K x T x 1 x B and K x S x 1 x B."""
        (count, batch), device = a_KxB.shape, a_KxB.device
        inputs = torch.full((count, self.steps, 1, batch), SPACE, dtype=torch.int32, device=device)
        width = len(f"-{self.most}")
        b, length = _number(b_KxB, width)
        inputs[:, self.problem - 1, 0] = EQUALS
        inputs[:, self.problem - 1 - width : self.problem - 1, 0] = b
        # the plus sign and a stand where b ends, so their places differ from sample to sample
        a = torch.cat((_number(a_KxB, width)[0], torch.full_like(b[:, :1], PLUS)), 1)
        place = (
            torch.arange(self.problem - 2 - width, self.problem - 1, device=device)[None, :, None]
            - length[:, None].long()
        )
        inputs[:, :, 0].scatter_(1, place, a)
        return inputs, _number(a_KxB + b_KxB, self.scored)[0][:, :, None]

    def chance(self) -> float:
        """Loss of the best answer that ignores the problem, in nats a symbol: the mean entropy of
        the answer's places.

        Over all problems, held out or not: the answers of a part differ from them as a sample of so
        many differs.
        """
        return theory.arithmetic_chance(self.most)

    def marginal(self) -> np.ndarray:
        """Probability of each symbol at each place of the answer, S x 14, exactly, over all
        problems.
        """
        n = 2 * self.most + 1

        def below(m):
            """Pairs whose sum s has |s| < m; each s is the sum of n - |s| pairs."""
            m = np.clip(m, 0, n).astype(np.float64)
            return np.where(m > 0, m * (2 * n - m + 1) - n, 0)

        p = np.zeros((self.scored, len(SYMBOLS)))
        for place in range(self.scored):
            unit = 10**place
            blocks = np.arange(0, n, 10 * unit)
            for digit in range(10):
                low, high = blocks + digit * unit, blocks + (digit + 1) * unit
                low = np.maximum(low, unit) if place else low  # no leading zeros
                p[-1 - place, digit] = (below(np.maximum(low, high)) - below(low)).sum()
            shorter = below(unit) if place else 0.0
            minus = (shorter - below(unit // 10)) / 2 if place else 0.0
            p[-1 - place, MINUS] = minus
            p[-1 - place, SPACE] = shorter - minus
        return p / n**2


def _number(value_KxB: torch.Tensor, width: int):
    """Decimal symbols, right-aligned in `width` places, K x width x B, and how many there are, K x
    B.
    """
    size, negative = value_KxB.abs(), value_KxB < 0
    length = torch.ones_like(size)
    for power in range(1, width):
        length += size >= 10**power
    symbols = torch.full(
        (len(size), width, size.shape[1]), SPACE, dtype=torch.int32, device=size.device
    )
    for place in range(width):
        digit = size // 10**place % 10
        beyond = torch.where(negative & (length == place), MINUS, SPACE)
        symbols[:, width - 1 - place] = torch.where(length > place, digit, beyond)
    return symbols, length + negative


def spelled(symbols) -> str:
    """Symbols as text."""
    return "".join(SYMBOLS[int(s)] for s in symbols)
