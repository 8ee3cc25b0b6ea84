"""Counting parentheses: how many of each type are open at the end (section 4, App. B)?"""

from dataclasses import dataclass

import numpy as np
import torch

from .. import draws, theory
from .forms import LEFT_OUT, Endless

# how the types of parentheses are written; the paper names two of its ten
PAIRS = ("()", "[]", "{}", "<>", "«»", "‹›", "⟨⟩", "⟦⟧", "⌈⌉", "⌊⌋")
NOISE = "abcdefghij"


@dataclass(frozen=True)
class Parentheses(Endless):
    """`types` streams of symbols; stream k asks how many parentheses of type k are open at its end,
    never fewer than 0 or more than `cap`.

    With probability 1/2 a symbol is one of `types` noise letters, otherwise one of the 2 `types`
    parentheses; to a stream, the parentheses of other types are noise. Symbol 2 k opens type k,
    symbol 2 k + 1 closes it, and the letters follow; the symbols of stream k start at k times
    3 `types`. The answer is one softmax per stream over 0 ... cap, at the last step, and the loss is
    their sum in nats. An opening beyond the cap is ignored.
    """

    form: str = "small"
    types: int = LEFT_OUT
    steps: int = LEFT_OUT
    cap: int = LEFT_OUT
    batch: int = LEFT_OUT
    held: int = LEFT_OUT  # samples per split
    name = "parens_counting"
    input = "index"
    loss = "softmax"
    every = True
    scored = 1
    per_nat = 1.0
    forms = {
        "paper": dict(**theory.PARENTHESES["paper"], batch=32, held=8192),
        "small": dict(**theory.PARENTHESES["small"], batch=32, held=4096),
        "tiny": dict(**theory.PARENTHESES["tiny"], batch=32, held=256),
    }

    @property
    def streams(self) -> int:
        """The number of streams, one per type."""
        return self.types

    @property
    def heads(self) -> int:
        """The number of softmaxes, one per type."""
        return self.types

    @property
    def symbols(self) -> int:
        """The number of symbols of a stream: two parentheses and a noise letter per type."""
        return 3 * self.types

    @property
    def letters(self) -> str:
        """How the symbols of a stream are written, in their order."""
        return "".join(PAIRS[: self.types]) + NOISE[: self.types]

    @property
    def n_in(self) -> int:
        """The number of inputs: a one-hot code of the symbol of each stream."""
        return self.types * self.symbols

    @property
    def n_out(self) -> int:
        """The number of outputs: one per type and count 0 ... cap."""
        return self.types * (self.cap + 1)

    def source(self, seed: int, split: str | None = None) -> dict:
        """What the compiled batches of a split, or of training, are drawn from."""
        return super().source(seed, split) | {"types": self.types, "cap": self.cap}

    def draw(
        self, seed: int, stream: int, number_K: torch.Tensor, device: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of the batches `number_K` of a stream of random numbers: inputs_KxTxJxB,
        int32, offset by stream, and the counts, targets_Kx1xJxB, int32.
        """
        n_words = self.steps * self.types * self.batch // 2
        bits = draws.random_words(seed, stream, number_K, n_words, device).view(torch.int16).int()
        symbols = bits.view(len(number_K), self.steps, self.types, self.batch)
        # uniform on 0 ... 4 types - 1, of which two numbers make one noise letter
        symbols.add_(2**15).mul_(4 * self.types).bitwise_right_shift_(16)
        narrow = symbols.to(torch.int16)
        parens = 2 * self.types
        narrow -= (narrow - (parens - 1)).clamp_(min=0).bitwise_right_shift_(1)
        count = self.count_open(narrow)
        offset = torch.arange(self.types, dtype=torch.int32, device=device)[:, None] * self.symbols
        # in place, since new memory costs more than all this arithmetic
        torch.add(narrow, offset, out=symbols)
        return symbols, count[:, None].int()

    def count_open(self, symbols_KxTxJxB: torch.Tensor) -> torch.Tensor:
        """How many parentheses of type j are open at the end of stream j, K x J x B, int8, for
        symbols without the offset of their stream.
        """
        types = torch.arange(self.types, dtype=symbols_KxTxJxB.dtype, device=symbols_KxTxJxB.device)
        opening = 2 * types[:, None]
        change = (symbols_KxTxJxB == opening).view(torch.int8)
        change -= (symbols_KxTxJxB == opening + 1).view(torch.int8)
        count = torch.zeros_like(change[:, 0])
        for step in change.unbind(1):
            count.add_(step).clamp_(0, self.cap)
        return count

    def marginal(self) -> np.ndarray:
        """The probabilities of the counts 0 ... cap at the end of a stream."""
        return theory.parentheses_counts(self.types, self.steps, self.cap)

    def chance(self) -> float:
        """The loss of the best answer that ignores the input, in nats: the entropy of the counts
        (18.21 in the paper's form).
        """
        return theory.parentheses_chance(self.types, self.steps, self.cap)

    def example(self, seed: int) -> dict:
        """The first sample in plain numbers and text; see Task in task.py."""
        x, y = self.first_sample(seed)
        streams = [
            "".join(self.letters[s - j * self.symbols] for s in x[:, j]) for j in range(self.types)
        ]
        return dict(
            input=streams,
            pairs=list(PAIRS[: self.types]),
            target=y[0],
            unit=f"nats, summed over {self.types} answers",
            chance=self.chance(),
            curve=dict(
                x=np.arange(self.cap + 1),
                y=self.marginal(),
                xlabel="open at the end",
                ylabel="probability",
                title="the answers",
                about="how frequent each count is",
            ),
        )


def open_in(line: str, pair: str) -> int:
    """How many parentheses of a pair are open at the end of a text, without a limit."""
    n_open = 0
    for symbol in line:
        n_open = max(0, n_open + (symbol == pair[0]) - (symbol == pair[1]))
    return n_open
