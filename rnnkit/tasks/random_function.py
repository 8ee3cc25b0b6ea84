"""Random continuous functions: a lookup table of random real numbers, whose first entries weigh most
(section 3, App. B).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from .. import draws, theory
from .forms import LEFT_OUT, Sized, in_batches, split_of

BLOCK = 1 << 16  # samples of the table that are made at once


@dataclass(frozen=True)
class RandomFunction(Sized):
    """x_i ~ N(0, I), y_i ~ N(0, 1) for i < samples, weighted by beta_i = 1 / (Z (i + tau)); x is
    shown at every step, and y is read out at the last.

    A training batch draws its samples by those weights and takes the plain squared error, whose
    mean is the paper's weighted loss with less variance. Training, validation and evaluation data
    are the whole table, each sample by its weight. A network that always answers 0 has a loss of 1.
    `small` keeps the ratio of tau to samples, hence Z = 5.303, and shortens the paper's 50 steps to
    10: with the same input at every step and one answer at the last, the task needs no memory, so
    the steps only set how deep the network is unrolled.
    """

    form: str = "small"
    n_in: int = LEFT_OUT
    steps: int = LEFT_OUT
    batch: int = LEFT_OUT
    samples: int = LEFT_OUT
    tau: int = LEFT_OUT
    name = "rcf"
    input = "static"
    loss = "squared"
    every = True
    streams = heads = scored = n_out = 1
    per_nat = 1.0
    forms = {
        "paper": dict(n_in=50, steps=50, batch=32, **theory.RANDOM_FUNCTION["paper"]),
        "small": dict(n_in=50, steps=10, batch=32, **theory.RANDOM_FUNCTION["small"]),
        "tiny": dict(n_in=50, steps=5, batch=32, **theory.RANDOM_FUNCTION["tiny"]),
    }

    def weights(self) -> np.ndarray:
        """beta_i, float64, which sum to 1."""
        beta = 1 / (np.arange(self.samples, dtype=np.float64) + self.tau)
        return beta / beta.sum()

    def batches(
        self, seed: int, step_K: torch.Tensor, device: str = "cpu"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The training batches number `step_K`: inputs_KxIxB and targets_Kx1xB, float32, of samples
        drawn by their weights.
        """
        return self.look_up(seed, self.draw(seed, step_K, device))

    def draw(self, seed: int, step_K: torch.Tensor, device: str = "cpu") -> torch.Tensor:
        """The samples of the batches number `step_K`, int64 K x B, each drawn by its weight."""
        u = draws.uniform(seed, draws.ORDER, step_K, self.batch, device)
        sums = _table(self, seed, str(u.device))[2]
        return torch.searchsorted(sums, u).clamp_(max=self.samples - 1)

    def source(self, seed: int, split: str | None = None) -> dict | None:
        """What the compiled training batches are drawn from; None for a split, which is not drawn."""
        if split:
            return None
        x, y, sums = _table(self, seed, "cpu")
        table = {"samples": self.samples, "data": x, "answers": y, "sums": sums}
        return {"seed": seed, "stream": draws.ORDER} | table

    def held_out(
        self, seed: int, split: str, device: str = "cpu"
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The whole table, whatever the split: inputs_KxIxB, targets_Kx1xB and the weights beta,
        K x B, which are zero where padded.
        """
        split_of(split)
        return _whole_table(self, seed, str(device))

    def look_up(self, seed: int, index_KxB: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of these samples of the table, K x I x B and K x 1 x B."""
        x, y, _ = _table(self, seed, str(index_KxB.device))
        return x[index_KxB].transpose(1, 2).contiguous(), y[index_KxB][:, None]

    def memorised_loss(self, count: ArrayLike) -> Any:
        """The loss of a network that knows the `count` heaviest samples and answers 0 to all
        others: 1 - ln(1 + M / tau) / Z.
        """
        return theory.memorised_loss(count, self.samples, self.tau)

    def chance(self) -> float:
        """The loss of an answer that ignores the input, on average over tables: the variance of a
        target.
        """
        return theory.chance(self.name)

    def example(self, seed: int) -> dict:
        """The first sample in plain numbers and text; see Task in task.py."""
        x, y = self.first_sample(seed)
        count = np.concatenate(([0], np.unique(np.geomspace(1, self.samples, 60).astype(int))))
        return dict(
            input=np.repeat(x[:, None], self.steps, 1),
            target=y,
            unit="weighted squared error",
            chance=self.chance(),
            curve=dict(
                x=count,
                y=self.memorised_loss(count),
                xlabel="heaviest samples known",
                ylabel="loss left",
                title="a perfect memory",
                about="the loss of a network that knows so many of the heaviest samples",
            ),
        )


@lru_cache(maxsize=2)
def _table(
    task: RandomFunction, seed: int, device: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x_NxI and y_N, float32, and the running sum of the weights, float64; kept for the process.

    The processor makes them, since logarithms may be rounded differently on another device.
    """
    table = torch.empty(task.samples, task.n_in + 1)
    for start in range(0, task.samples, BLOCK):
        row = torch.arange(start, min(start + BLOCK, task.samples))
        table[start : start + len(row)] = draws.normal(seed, draws.DATA, row, task.n_in + 1)
    x = table[:, : task.n_in].contiguous()
    y = table[:, task.n_in].contiguous()
    return x.to(device), y.to(device), torch.from_numpy(np.cumsum(task.weights())).to(device)


@lru_cache(maxsize=2)
def _whole_table(
    task: RandomFunction, seed: int, device: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """See `held_out`; kept for the process, so that the splits are the same tensors."""
    count = in_batches(task.samples, task.batch)
    index = torch.arange(count * task.batch, device=device).clamp_(max=task.samples - 1)
    weight = torch.zeros(count * task.batch, dtype=torch.float64)
    weight[: task.samples] = torch.from_numpy(task.weights())
    inputs, targets = task.look_up(seed, index.view(count, task.batch))
    return inputs, targets, weight.view(count, task.batch).to(device)
