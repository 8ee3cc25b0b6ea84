"""Memory throughput: how many random numbers can a network hold for some steps (section 2.2, Figure
2c)?
"""

import math
from dataclasses import dataclass

import torch

from .. import draws, theory
from .forms import LEFT_OUT, drawn_part, drawn_source, fill


@dataclass(frozen=True)
class Memory:
    """A vector of n_in uniform numbers of variance 1, shown at the first of `steps` steps, to be
    read out at the last.

    The loss is the squared error a dimension: 1 for a network that says nothing. The paper leaves
    the distribution and the steps open (12 is ours; `small` halves numbers, steps and batch). Each
    step trains on fresh vectors. With a linear readout no network of N units beats 1 - N / n_in,
    see `bound`. The numbers lie on a grid of 65,536 points between -sqrt(3) and sqrt(3).
    """

    form: str = "small"
    n_in: int = LEFT_OUT
    steps: int = LEFT_OUT
    batch: int = LEFT_OUT
    held: int = LEFT_OUT  # samples of each held-out part
    name, input, every, loss, streams, heads, scored, per_nat = (
        "mem_thru",
        "static",
        False,
        "squared",
        1,
        1,
        1,
        1.0,
    )
    forms = {
        "paper": dict(n_in=64, steps=12, batch=128, held=8192),
        "small": dict(n_in=32, steps=6, batch=64, held=4096),
        "tiny": dict(n_in=16, steps=6, batch=32, held=128),
    }

    def __post_init__(self):
        fill(self)

    @property
    def n_out(self) -> int:
        return self.n_in

    def first_scored(self, hparams: dict) -> int:
        return self.steps - 1

    def batches(
        self, seed: int, step_K: torch.Tensor, device="cpu"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Training batches number step_K: inputs_KxIxB, float32, which are the targets too."""
        return self.drawn(seed, draws.DATA, step_K, device)

    def held_out(self, seed: int, part: str, device="cpu"):
        """inputs_KxIxB, targets_KxOxB and weights_KxB of a part; those of "train" are the first
        that training sees.
        """
        return drawn_part(self, seed, part, device)

    def source(self, seed: int, part: str | None = None) -> dict:
        """What the compiled batches of a held-out part, or of training, are drawn from."""
        return drawn_source(seed, part)

    def drawn(self, seed, stream, number_K, device):
        """Inputs and targets of the batches number_K of a stream of random numbers."""
        words = draws.words(seed, stream, number_K, self.n_in * self.batch // 2, device)
        x = (
            words.view(torch.int16)
            .float()
            .add_(0.5)
            .mul_(math.sqrt(3) / 2**15)
            .view(len(number_K), self.n_in, self.batch)
        )
        return x, x

    def bound(self, n_units: int) -> float:
        """The least loss of N units a layer and a linear readout: N of n_in uncorrelated numbers of
        variance 1 come back.
        """
        return float(theory.memory_bound(n_units, self.n_in))

    def chance(self) -> float:
        """Loss of an answer that ignores the input: the variance of a number."""
        return theory.chance(self.name)
