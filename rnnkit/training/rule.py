"""Four optimisers as one update rule, whose coefficients are one row of numbers per model (Appendix
A).
"""

import math

import torch
from torch import Tensor

from rnnkit.cells import Cell, has_relu
from rnnkit.names import resolve_name
from rnnkit.native import COLUMNS, column

RULE_COLUMNS = COLUMNS[: COLUMNS.index("l2") + 1]
# at their defaults, as Appendix A says
ADAM_BETA2 = 0.999
EPSILON = 1e-8


def coefficients(
    cell: type[Cell], hparams: dict, samples: int = 0, every: bool = True, first_scored: int = 0
) -> list[float]:
    """One trial's row of hp_MxH, in the columns native.COLUMNS: the coefficients of the update rule,
    and how the trial's task is run.

    SGD, momentum, RMSProp and Adam are one rule (`update`) with different coefficients. The
    momentum-like parameter is a logit (Appendix A): of the momentum, of RMSProp's decay rate or of
    Adam's beta1. Raises ValueError for another optimiser.
    """
    mu = 1 / (1 + math.exp(-hparams["optimizer_logit_momentum"]))
    rules = {  # m_keep, m_take, v_keep, adaptive, correct
        "SGD": (0.0, 1.0, 1.0, 0.0, 0.0),
        "momentum": (mu, 1.0, 1.0, 0.0, 0.0),
        "RMSProp": (0.0, 1.0, mu, 1.0, 0.0),
        "Adam": (mu, 1 - mu, ADAM_BETA2, 1.0, 1.0),
    }
    optimizer = resolve_name("optimizer", hparams["optimizer"], rules)
    m_keep, m_take, v_keep, adaptive, correct = rules[optimizer]
    row = {
        "lr_init": hparams["lr_init"],
        "lr_decay_rate": hparams["lr_decay_rate"],
        "train_steps": float(hparams["train_steps"]),
        "m_keep": m_keep,
        "m_take": m_take,
        "v_keep": v_keep,
        "adaptive": adaptive,
        "correct": correct,
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
    lr, decay, total, m_keep, m_take, v_keep, adaptive, correct, clip, l2 = (
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
    # Adam corrects the bias of its moments; the other optimisers do not
    ones = torch.ones_like(lr)
    m_scale = torch.where(correct > 0, 1 / (1 - m_keep ** (step_M + 1)), ones)
    v_scale = torch.where(correct > 0, 1 / (1 - v_keep ** (step_M + 1)), ones)
    rate = lr * decay ** (step_M / total) * m_scale
    m = m_keep[:, None] * m_MxP + m_take[:, None] * grad_MxP
    v = v_keep[:, None] * v_MxP + (1 - v_keep)[:, None] * grad_MxP**2
    divisor = torch.where(
        adaptive[:, None] > 0, torch.sqrt(v * v_scale[:, None]) + EPSILON, ones[:, None]
    )
    theta = theta_MxP - rate[:, None] * m / divisor
    keep = finite_M[:, None]
    return (
        torch.where(keep, theta, theta_MxP),
        torch.where(keep, m, m_MxP),
        torch.where(keep, v, v_MxP),
        finite_M,
    )
