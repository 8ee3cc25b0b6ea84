"""text8: the next letter of English, given the letters before it (section 3, App. B)."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from .. import draws
from . import corpus as texts
from .forms import LEFT_OUT, Sized, split_of


@dataclass(frozen=True)
class Text8(Sized):
    """One of 27 symbols per step (a blank is 0, then a to z); the answer is the next symbol, scored
    from step `unscored` on.

    Each training sample starts at a random position in the first eight tenths of the text; the
    validation and evaluation samples start at equal distances in the ninth and the last tenth. The
    loss is the mean cross-entropy per symbol, stored in bits per character. `corpus` is "text8",
    "sample" (Shakespeare in the same alphabet, which ships with the kit: not text8) or the path of a
    text8 file.
    """

    form: str = "small"
    steps: int = LEFT_OUT
    unscored: int = LEFT_OUT
    batch: int = LEFT_OUT
    held: int = LEFT_OUT  # samples per split
    corpus: str = LEFT_OUT
    name = "text8"
    input = "index"
    loss = "softmax"
    every = True
    streams = heads = 1
    per_nat = 1 / math.log(2)
    n_in = n_out = len(texts.ALPHABET)
    forms = {
        "paper": dict(steps=50, unscored=13, batch=32, held=65_536, corpus="text8"),
        "small": dict(steps=50, unscored=13, batch=32, held=4096, corpus="text8"),
        "tiny": dict(steps=10, unscored=3, batch=32, held=128, corpus="text8"),
    }
    forms |= {f"{form} sample": fields | dict(corpus="sample") for form, fields in forms.items()}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unscored >= self.steps:
            raise ValueError(
                f"unscored must be less than steps, got {self.unscored} of {self.steps}. Score at"
                " least one step."
            )

    @property
    def scored(self) -> int:
        """The number of scored steps."""
        return self.steps - self.unscored

    def splits(self) -> dict[str, tuple[int, int]]:
        """Where each split of the text starts and ends: eight tenths, one and one."""
        size = len(texts.load(self.corpus))
        return {
            "train": (0, size * 8 // 10),
            "valid": (size * 8 // 10, size * 9 // 10),
            "eval": (size * 9 // 10, size),
        }

    def batches(
        self, seed: int, step_K: torch.Tensor, device: str = "cpu"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The training batches number `step_K`: inputs_KxTx1xB and targets_KxSx1xB, int32."""
        bits = draws.random_words(seed, draws.DATA, step_K, self.batch, device)
        start, end = self.splits()["train"]
        return self._windows(start + ((bits.long() + 2**31) * (end - start - self.steps) >> 32))

    def source(self, seed: int, split: str | None = None) -> dict | None:
        """What the compiled training batches are drawn from; None for a split, which is not drawn."""
        if split:
            return None
        start, end = self.splits()["train"]
        return {
            "seed": seed,
            "stream": draws.DATA,
            "samples": end - start - self.steps,
            "data": texts.as_tensor(self.corpus, "cpu")[start:end],
        }

    def held_out(
        self, seed: int, split: str, device: str = "cpu"
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Inputs, targets and weights_KxB of a split, the same for every seed."""
        start, end = self.splits()[split_of(split)]
        weights = self.even_weights(device)
        positions = np.linspace(start, end - self.steps - 1, weights.numel()).astype(np.int64)
        first_KxB = torch.from_numpy(positions).view(weights.shape).to(device)
        return *self._windows(first_KxB), weights

    def _windows(self, first_KxB: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of the samples that start at these positions of the text."""
        device = first_KxB.device
        positions = first_KxB[:, None] + torch.arange(self.steps + 1, device=device)[:, None]
        codes = texts.as_tensor(self.corpus, str(device))[positions]
        # a is 97 in ASCII, and a blank is less
        symbols = codes.int().sub_(96).clamp_(min=0)[:, :, None]
        return symbols[:, :-1].contiguous(), symbols[:, 1 + self.unscored :].contiguous()

    def marginal(self) -> np.ndarray:
        """The share of each of the 27 symbols in the training split."""
        start, end = self.splits()["train"]
        codes = np.bincount(texts.load(self.corpus)[start:end], minlength=128)
        return codes[[ord(letter) for letter in texts.ALPHABET]] / (end - start)

    def chance(self) -> float:
        """The loss of the best answer that ignores the input, in bits: the entropy of the training
        split's letters.
        """
        from scipy.special import entr

        return float(entr(self.marginal()).sum()) * self.per_nat

    def example(self, seed: int) -> dict:
        """The first sample in plain numbers and text; see Task in task.py."""
        x, y = self.first_sample(seed)
        p = self.marginal()
        order = np.argsort(-p)
        return dict(
            input=["".join(texts.ALPHABET[s] for s in x[:, 0])],
            target="".join(texts.ALPHABET[s] for s in y[:, 0]),
            unit="bits per character",
            chance=self.chance(),
            perfect=math.nan,
            curve=dict(
                x=["␣" if s == 0 else texts.ALPHABET[s] for s in order],
                y=p[order],
                xlabel="symbol",
                ylabel="share of the text",
                title="the letters",
                about="how frequent each symbol is in the training split",
            ),
        )
