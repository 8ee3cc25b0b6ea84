"""Memory throughput: how many random numbers can a network hold for a few steps (section 2.2,
Figure 2c)?
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from .. import draws, theory
from .forms import LEFT_OUT, Endless


@dataclass(frozen=True)
class Memory(Endless):
    """A vector of n_in uniform numbers of variance 1 is shown at the first of `steps` steps, and is
    to be read out at the last.

    The loss is the squared error per dimension: 1 for a network that always answers 0. The paper
    leaves the distribution and the number of steps open (12 is our choice; `small` halves numbers,
    steps and batch). Each training step takes fresh vectors. With a linear readout, no network of N
    units has a smaller loss than 1 - N / n_in; see `bound`. The numbers lie on a grid of 65,536
    points between -sqrt(3) and sqrt(3).
    """

    form: str = "small"
    n_in: int = LEFT_OUT
    steps: int = LEFT_OUT
    batch: int = LEFT_OUT
    held: int = LEFT_OUT  # samples per split
    name = "mem_thru"
    input = "static"
    loss = "squared"
    every = False
    streams = heads = scored = 1
    per_nat = 1.0
    forms = {
        "paper": dict(n_in=64, steps=12, batch=128, held=8192),
        "small": dict(n_in=32, steps=6, batch=64, held=4096),
        "tiny": dict(n_in=16, steps=6, batch=32, held=128),
    }

    @property
    def n_out(self) -> int:
        """The number of outputs, that of the inputs."""
        return self.n_in

    def draw(
        self, seed: int, stream: int, number_K: torch.Tensor, device: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of the batches `number_K` of a stream of random numbers: inputs_KxIxB,
        float32, which are also the targets.
        """
        bits = draws.random_words(seed, stream, number_K, self.n_in * self.batch // 2, device)
        # each half of a word is a point of the grid
        x = bits.view(torch.int16).float().add_(0.5).mul_(math.sqrt(3) / 2**15)
        x = x.view(len(number_K), self.n_in, self.batch)
        return x, x

    def bound(self, n_units: ArrayLike) -> Any:
        """The least loss that N units per layer and a linear readout can reach: N of n_in
        uncorrelated numbers of variance 1 are recalled.
        """
        return theory.memory_bound(n_units, self.n_in)

    def chance(self) -> float:
        """The loss of an answer that ignores the input: the variance of a number."""
        return theory.chance(self.name)

    def example(self, seed: int) -> dict:
        """The first sample in plain numbers and text; see Task in task.py."""
        x, y = self.first_sample(seed)
        units = np.arange(0, self.n_in * 3 // 2 + 1)
        return dict(
            input=np.concatenate((x[:, None], np.zeros((self.n_in, self.steps - 1))), 1),
            target=y,
            unit="squared error per number",
            chance=self.chance(),
            curve=dict(
                x=units,
                y=self.bound(units),
                xlabel="units per layer",
                ylabel="least loss",
                title="the bound",
                about="the least loss that a linear readout from so many units can reach",
            ),
        )
