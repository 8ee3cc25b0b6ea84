"""Addition: the sum of two integers, read and written as text (section 4, App. B)."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from .. import draws, theory
from ..ranges import Choice
from .forms import LEFT_OUT, Endless

SYMBOLS = "0123456789 -+="
SPACE, MINUS, PLUS, EQUALS = (SYMBOLS.index(s) for s in " -+=")
COMPUTE = 6  # most steps between the "=" and the answer (App. B)
# stream -> the first and the last of the tenths of all problems that it draws from
TENTHS = {draws.DATA: (0, 7), draws.VALID: (8, 8), draws.EVAL: (9, 9)}


def tenth_of(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Which tenth of all problems a + b belongs to, 0 ... 9: a hash of the two numbers, the same in
    either order. int64 tensors.
    """
    bits = torch.zeros_like(a)
    for number in (torch.minimum(a, b), torch.maximum(a, b)):
        bits = bits + number & draws.MASK
        # Wellons' `lowbias32`, a bijection of 32 bits
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            bits = (bits ^ bits >> shift) * factor & draws.MASK
        bits = bits ^ bits >> 16
    return bits * 10 >> 32


@dataclass(frozen=True)
class Arithmetic(Endless):
    """a + b with both numbers in -most ... most, as "-343243+93851=", then blanks; the answer is
    right-aligned, as "   -249392".

    Eight tenths of all pairs (`tenth_of`) are for training, one for validation and one for
    evaluation, in every form and for every seed. 3+5 and 5+3 are in the same split, since each gives
    the other's answer away. A problem is drawn uniformly from its split: pairs are drawn from all of
    them until one belongs to it.

    The problem is right-aligned too, so that "=" is always the last of `problem` steps; the first
    symbol of the answer is due after `compute_steps` more blanks (a hyper-parameter, 1 to 6). A
    negative second number follows the plus sign, as in "1+-2=". Written like this, the longest
    problem of the paper's numbers takes 20 steps, and 20 + 6 + 10 are the paper's 36. The loss is
    the mean over the `scored` symbols of the answer, in nats. `small` has numbers of two digits: a
    GRU of 5,000 parameters learns a good part of their sums in 20,000 steps, and next to nothing
    with three digits.
    """

    form: str = "small"
    most: int = LEFT_OUT
    batch: int = LEFT_OUT
    held: int = LEFT_OUT  # samples per split
    name = "arithmetic"
    input = "index"
    loss = "softmax"
    every = True
    streams = heads = 1
    per_nat = 1.0
    n_in = n_out = len(SYMBOLS)
    ranges = (Choice("compute_steps", (1, 2, 3, 4, 5, 6), "App. B"),)
    forms = {
        "paper": dict(**theory.ARITHMETIC["paper"], batch=64, held=8192),
        "small": dict(**theory.ARITHMETIC["small"], batch=64, held=4096),
        "tiny": dict(**theory.ARITHMETIC["tiny"], batch=64, held=256),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
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
        """T, the number of time steps: the problem, the longest pause and the answer."""
        return self.problem + COMPUTE + self.scored

    def first_scored(self, hparams: dict) -> int:
        """The step of the answer's first symbol, counted from 0; it depends on `compute_steps`."""
        return self.problem + hparams["compute_steps"]

    def source(self, seed: int, split: str | None = None) -> dict:
        """What the compiled batches of a split, or of training, are drawn from."""
        source = super().source(seed, split)
        first, last = TENTHS[source["stream"]]
        tenths = {"first_tenth": first, "last_tenth": last}
        return source | {"problem": self.problem, "most": self.most} | tenths

    def draw(
        self, seed: int, stream: int, number_K: torch.Tensor, device: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of the batches `number_K` of a stream of random numbers, as `encode` has
        them.
        """
        return self.encode(*self.pairs(seed, stream, number_K, device))

    def pairs(
        self, seed: int, stream: int, number_K: torch.Tensor, device: str = "cpu"
    ) -> torch.Tensor:
        """The numbers a and b of each sample, int32, 2 x K x B: the first pair of the stream's
        split among its blocks of random words.

        Block r of sample i of a batch has the index r B + i. Its first two words are one pair, its
        last two another.
        """
        low, high = TENTHS[stream]
        number = number_K.to(device).repeat_interleave(self.batch)
        index = torch.arange(self.batch, device=device).repeat(len(number_K))
        pairs = torch.empty(2, len(index), dtype=torch.int32, device=device)
        waiting = torch.arange(len(index), device=device)
        while len(waiting):
            block = draws.blocks(seed, stream, number[waiting], index[waiting], device)
            first, second = (
                torch.stack(pair).mul(2 * self.most + 1).bitwise_right_shift(32).sub(self.most)
                for pair in (block[:2], block[2:])
            )
            first_fits, second_fits = (
                (tenth >= low) & (tenth <= high) for tenth in (tenth_of(*first), tenth_of(*second))
            )
            pairs[:, waiting] = torch.where(first_fits, first, second).int()
            waiting = waiting[~(first_fits | second_fits)]
            index += self.batch
        return pairs.view(2, len(number_K), self.batch)

    def encode(self, a_KxB: torch.Tensor, b_KxB: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The problems and their answers in symbols, int32, K x T x 1 x B and K x S x 1 x B."""
        count, batch = a_KxB.shape
        device = a_KxB.device
        inputs = torch.full((count, self.steps, 1, batch), SPACE, dtype=torch.int32, device=device)
        width = len(f"-{self.most}")
        b, length = _number(b_KxB, width)
        inputs[:, self.problem - 1, 0] = EQUALS
        inputs[:, self.problem - 1 - width : self.problem - 1, 0] = b
        # the plus sign and a end where b begins, so their positions differ between samples
        a = torch.cat((_number(a_KxB, width)[0], torch.full_like(b[:, :1], PLUS)), 1)
        last = self.problem - 1
        position = (
            torch.arange(last - 1 - width, last, device=device)[None, :, None]
            - length[:, None].long()
        )
        inputs[:, :, 0].scatter_(1, position, a)
        return inputs, _number(a_KxB + b_KxB, self.scored)[0][:, :, None]

    def chance(self) -> float:
        """The loss of the best answer that ignores the problem, in nats per symbol: the mean
        entropy of the answer's symbols over all problems, of whichever split.
        """
        return theory.arithmetic_chance(self.most)

    def marginal(self) -> np.ndarray:
        """The probability of each symbol at each position of the answer, S x 14, over all problems
        of whichever split.
        """
        p = np.zeros((self.scored, len(SYMBOLS)))
        for position in range(self.scored):
            symbols = theory.answer_probabilities(self.most, position)
            p[-1 - position, [*range(10), MINUS, SPACE][: len(symbols)]] = symbols
        return p

    def example(self, seed: int) -> dict:
        """The first sample in plain numbers and text; see Task in task.py."""
        from scipy.special import entr

        x, y = self.first_sample(seed)
        compute = 3  # blanks before the answer, of the 1 to 6 that a trial may choose
        return dict(
            input=[spell(x[:, 0])[: self.problem + compute + self.scored]],
            target=spell(y[:, 0]),
            problem=self.problem,
            first=self.first_scored({"compute_steps": compute}),
            unit="nats per symbol",
            chance=self.chance(),
            curve=dict(
                x=np.arange(1, self.scored + 1),
                y=entr(self.marginal()).sum(1),
                xlabel="position in the answer",
                ylabel="loss of chance, nats",
                title="position by position",
                about="the entropy of each symbol of the answer",
            ),
        )


def _number(value_KxB: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Decimal symbols, right-aligned in `width` positions, K x width x B, and how many symbols each
    number has, K x B.
    """
    size = value_KxB.abs()
    negative = value_KxB < 0
    length = torch.ones_like(size)
    for power in range(1, width):
        length += size >= 10**power
    symbols = torch.full(
        (len(size), width, size.shape[1]), SPACE, dtype=torch.int32, device=size.device
    )
    for position in range(width):
        digit = size // 10**position % 10
        beyond = torch.where(negative & (length == position), MINUS, SPACE)
        symbols[:, width - 1 - position] = torch.where(length > position, digit, beyond)
    return symbols, length + negative


def spell(symbols: Iterable) -> str:
    """Symbols as text."""
    return "".join(SYMBOLS[int(s)] for s in symbols)
