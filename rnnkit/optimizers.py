"""The optimisers of Appendix A. Each is its equations, and coefficients that follow from one
hyper-parameter, mu.

Equations are written once, for single numbers: of a parameter, `g` is its gradient after clipping,
and `m` and `v` are the two numbers that the optimiser remembers of it, which start at zero. They
return (the change that is subtracted from the parameter, m, v after the step). The plain step runs
them on tensors (training/rule.py), and the compiled steps print them as C++ and CUDA
(native/trace.py), with + - * / ** and the functions of native/ops.py that take single numbers.

`c` has the coefficients by name:

    m_keep, m_take    how much of m is kept, and how much of the gradient is added to it
    v_keep, v_take    the same for v and the squared gradient; v_take is 1 - v_keep
    rate              the learning rate at this step; if the optimiser corrects its moments for their
                      start at zero, over 1 - m_keep^t at step t
    v_scale           1, or 1 / (1 - v_keep^t) with that correction
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

# at their defaults, as Appendix A says
ADAM_BETA2 = 0.999
EPSILON = 1e-8


def by_moment(g: Any, m: Any, v: Any, c: Any) -> tuple[Any, Any, Any]:
    """SGD and momentum: the change follows the first moment."""
    m = c.m_keep * m + c.m_take * g
    return c.rate * m, m, v


def by_root_mean_square(g: Any, m: Any, v: Any, c: Any) -> tuple[Any, Any, Any]:
    """RMSProp and Adam: the first moment over the root of the second."""
    m = c.m_keep * m + c.m_take * g
    v = c.v_keep * v + c.v_take * g * g
    return c.rate * m / (torch.sqrt(v * c.v_scale) + EPSILON), m, v


@dataclass(frozen=True)
class Optimizer:
    """An optimiser: its equations, and `coefficients(mu)`, which returns (m_keep, m_take, v_keep).

    mu, between 0 and 1, is what the tuner chooses (as a logit, Appendix A): the momentum, RMSProp's
    decay rate or Adam's beta1. `corrects` says whether the moments are corrected for their start at
    zero.
    """

    equations: Callable[[Any, Any, Any, Any], tuple[Any, Any, Any]]
    coefficients: Callable[[float], tuple[float, float, float]]
    corrects: bool = False


OPTIMIZERS = {
    "SGD": Optimizer(by_moment, lambda mu: (0.0, 1.0, 1.0)),
    "momentum": Optimizer(by_moment, lambda mu: (mu, 1.0, 1.0)),
    "RMSProp": Optimizer(by_root_mean_square, lambda mu: (0.0, 1.0, mu)),
    "Adam": Optimizer(by_root_mean_square, lambda mu: (mu, 1 - mu, ADAM_BETA2), corrects=True),
}


def all_equations() -> tuple[Callable[[Any, Any, Any, Any], tuple[Any, Any, Any]], ...]:
    """The equations of all optimisers, each once; a trial's are known by their place here."""
    return tuple(dict.fromkeys(optimizer.equations for optimizer in OPTIMIZERS.values()))
