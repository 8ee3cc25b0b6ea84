"""The update rule of all optimisers, whose coefficients are one row of numbers per model (Appendix
A): the l2 term, clipping, the learning rate, and the optimiser's own equations (optimizers.py).
"""

import math
from types import SimpleNamespace

import torch
from torch import Tensor

from rnnkit.cells import Cell, has_relu
from rnnkit.names import resolve_name
from rnnkit.native import COLUMNS, column
from rnnkit.optimizers import OPTIMIZERS, all_equations

RULE_COLUMNS = COLUMNS[: COLUMNS.index("l2") + 1]


def coefficients(
    cell: type[Cell], hparams: dict, samples: int = 0, every: bool = True, first_scored: int = 0
) -> list[float]:
    """One trial's row of hp_MxH, in the columns native.COLUMNS: the coefficients of the update rule,
    and how the trial's task is run.

    Raises ValueError for an optimiser that is not in OPTIMIZERS.
    """
    optimizer = OPTIMIZERS[resolve_name("optimizer", hparams["optimizer"], OPTIMIZERS)]
    mu = 1 / (1 + math.exp(-hparams["optimizer_logit_momentum"]))
    m_keep, m_take, v_keep = optimizer.coefficients(mu)
    row = {
        "lr_init": hparams["lr_init"],
        "lr_decay_rate": hparams["lr_decay_rate"],
        "train_steps": float(hparams["train_steps"]),
        "m_keep": m_keep,
        "m_take": m_take,
        "v_keep": v_keep,
        "equations": float(all_equations().index(optimizer.equations)),
        "correct": float(optimizer.corrects),
        "clip": hparams["gradient_clip_val"],
        "l2": hparams["l2_decay"],
        "relu": float(has_relu(cell, hparams)),
        "every": float(every),
        "samples": float(samples),
        "first_scored": float(first_scored),
    }
    return [row[name] for name in COLUMNS]


def update(
    theta_MxP: Tensor,
    m_MxP: Tensor,
    v_MxP: Tensor,
    grad_MxP: Tensor,
    hp_MxH: Tensor,
    step_M: Tensor,
    matrices: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One step of all optimisers at once; returns (theta, m, v, finite_M). `grad_MxP` is the
    gradient of the mean loss, without the l2 term.

    l2 decay applies to the first `matrices` parameters and counts in the norm that is clipped. The
    learning rate at step t of T is lr_init * lr_decay_rate^(t/T). A gradient is finite if the sum
    of its squares is finite in its own number format; a model whose gradient is not finite stays as
    it is.
    """
    hp_MxH = hp_MxH.to(theta_MxP.dtype)
    lr, decay, total, m_keep, m_take, v_keep, equations, correct, clip, l2 = (
        column(hp_MxH, name) for name in RULE_COLUMNS
    )
    # the l2 term, then clipping
    grad_MxP = torch.cat(
        [grad_MxP[:, :matrices] + l2[:, None] * theta_MxP[:, :matrices], grad_MxP[:, matrices:]], 1
    )
    norm_M = torch.linalg.vector_norm(grad_MxP, dim=1)
    finite_M = torch.isfinite((grad_MxP * grad_MxP).sum(1))
    grad_MxP = grad_MxP * torch.clamp(clip / norm_M, max=1.0)[:, None]
    step_M = step_M.to(theta_MxP.dtype)
    ones = torch.ones_like(lr)
    m_scale = torch.where(correct > 0, 1 / (1 - m_keep ** (step_M + 1)), ones)
    v_scale = torch.where(correct > 0, 1 / (1 - v_keep ** (step_M + 1)), ones)
    c = SimpleNamespace(
        m_keep=m_keep[:, None],
        m_take=m_take[:, None],
        v_keep=v_keep[:, None],
        v_take=(1 - v_keep)[:, None],
        rate=(lr * decay ** (step_M / total) * m_scale)[:, None],
        v_scale=v_scale[:, None],
    )
    # each model takes the results of its own optimiser's equations
    first, *others = (step(grad_MxP, m_MxP, v_MxP, c) for step in all_equations())
    change, m, v = first
    for k, results in enumerate(others, 1):
        own = (equations == k)[:, None]
        change, m, v = (torch.where(own, new, old) for new, old in zip(results, (change, m, v)))
    theta = theta_MxP - change
    keep = finite_M[:, None]
    return (
        torch.where(keep, theta, theta_MxP),
        torch.where(keep, m, m_MxP),
        torch.where(keep, v, v_MxP),
        finite_M,
    )
