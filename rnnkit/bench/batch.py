"""A ready-made batch of a task, in the format that the competitors of `rnnkit bench speed` read."""

from typing import Any

import torch
from torch import Tensor


def of(task: Any) -> tuple[Tensor, Tensor]:
    """One training batch: x_TxBxI, float32, with one-hot symbols, and the answers, labels_B (float32)
    or classes_SxBxG (int64).
    """
    if task.input == "bits":
        x_BxI = torch.randint(0, 2, (task.batch, task.n_in)).float()
        y_B = torch.randint(0, 2, (task.batch,)).float()
        return x_BxI.expand(task.steps, -1, -1).contiguous(), y_B
    inputs, targets = task.batches(0, torch.tensor([0]))
    symbols_TxBxJ = inputs[0].long().transpose(1, 2)
    x_TxBxI = torch.zeros(task.steps, task.batch, task.n_in).scatter_(2, symbols_TxBxJ, 1.0)
    return x_TxBxI, targets[0].long().transpose(1, 2).contiguous()
