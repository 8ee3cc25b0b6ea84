"""Counting parentheses: how many of each type are open at the end (section 4, App. B)?"""

from dataclasses import dataclass

import numpy as np
import torch

from .. import draws, theory
from .forms import LEFT_OUT, drawn_part, drawn_source, fill


@dataclass(frozen=True)
class Parentheses:
    """`types` streams of symbols; stream k asks how many parentheses of type k are open at its end,
    never below 0 nor above `cap`.

    A symbol is with probability 1/2 one of `types` noise letters, else one of the 2 `types`
    parentheses; those of other types are noise to a stream. Symbol 2 k opens type k, 2 k + 1 closes
    it, letters follow; stream k's symbols start at k times 3 `types`. The answer is one softmax a
    stream over 0 ... cap, at the last step, and the loss their sum in nats. An opening beyond the
    cap is forgotten.
    """

    form: str = "small"
    types: int = LEFT_OUT
    steps: int = LEFT_OUT
    cap: int = LEFT_OUT
    batch: int = LEFT_OUT
    held: int = LEFT_OUT  # samples of each held-out part
    name, input, every, loss, scored, per_nat = "parens_counting", "index", True, "softmax", 1, 1.0
    forms = {
        "paper": dict(**theory.PARENTHESES["paper"], batch=32, held=8192),
        "small": dict(**theory.PARENTHESES["small"], batch=32, held=4096),
        "tiny": dict(**theory.PARENTHESES["tiny"], batch=32, held=256),
    }

    def __post_init__(self):
        fill(self)

    @property
    def streams(self) -> int:
        return self.types

    @property
    def heads(self) -> int:
        return self.types

    @property
    def symbols(self) -> int:
        """Symbols of a stream: two parentheses and a noise letter for each type."""
        return 3 * self.types

    @property
    def n_in(self) -> int:
        return self.types * self.symbols

    @property
    def n_out(self) -> int:
        return self.types * (self.cap + 1)

    def first_scored(self, hparams: dict) -> int:
        return self.steps - 1

    def batches(
        self, seed: int, step_K: torch.Tensor, device="cpu"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Training batches number step_K: inputs_KxTxJxB, int32, offset by stream, and the counts,
        targets_Kx1xGxB, int32.
        """
        return self.drawn(seed, draws.DATA, step_K, device)

    def held_out(self, seed: int, part: str, device="cpu"):
        """Inputs, targets and weights_KxB of a part; those of "train" are the first that training
        sees.
        """
        return drawn_part(self, seed, part, device)

    def source(self, seed: int, part: str | None = None) -> dict:
        """What the compiled batches of a held-out part, or of training, are drawn from."""
        return drawn_source(seed, part) | {"types": self.types, "cap": self.cap}

    def drawn(self, seed, stream, number_K, device):
        """Inputs and targets of the batches number_K of a stream of random numbers."""
        words = draws.words(
            seed, stream, number_K, self.steps * self.types * self.batch // 2, device
        )
        symbols = (
            words.view(torch.int16).int().view(len(number_K), self.steps, self.types, self.batch)
        )
        symbols.add_(2**15).mul_(4 * self.types).bitwise_right_shift_(
            16
        )  # uniform on 0 ... 4 types - 1
        narrow, parens = symbols.to(torch.int16), 2 * self.types
        narrow -= (
            (narrow - (parens - 1)).clamp_(min=0).bitwise_right_shift_(1)
        )  # two numbers a noise letter
        count = self.counted(narrow)
        offset = torch.arange(self.types, dtype=torch.int32, device=device)[:, None] * self.symbols
        torch.add(
            narrow, offset, out=symbols
        )  # in its place: new memory costs more than all this arithmetic
        return symbols, count[:, None].int()

    def counted(self, symbols_KxTxJxB: torch.Tensor) -> torch.Tensor:
        """How many of type j stay open at the end of stream j, K x J x B, int8; symbols without the
        offset of their stream.
        """
        first = (
            2
            * torch.arange(self.types, dtype=symbols_KxTxJxB.dtype, device=symbols_KxTxJxB.device)[
                :, None
            ]
        )
        change = (symbols_KxTxJxB == first).view(torch.int8)
        change -= (symbols_KxTxJxB == first + 1).view(torch.int8)
        count = torch.zeros_like(change[:, 0])
        for now in change.unbind(1):
            count.add_(now).clamp_(0, self.cap)
        return count

    def marginal(self) -> np.ndarray:
        """Probabilities of the counts 0 ... cap at the end: a walk that goes up or down with
        probability 1 / (4 types) each.
        """
        return theory.parentheses_counts(self.types, self.steps, self.cap)

    def chance(self) -> float:
        """Loss of the best answer that ignores the input, in nats: the entropy of the counts (the
        paper's form: 18.21).
        """
        return theory.parentheses_chance(self.types, self.steps, self.cap)
