"""The columns of hp_MxH, which has one row of numbers per model: the coefficients of the update rule,
and how the model's task is run. training/rule.py fills them, and all engines read them by name.
"""

from torch import Tensor

COLUMNS = (
    "lr_init",
    "lr_decay_rate",
    "train_steps",  # T, after which the trial is over
    "m_keep",  # these three: see optimizers.py
    "m_take",
    "v_keep",
    "equations",  # the number of the optimiser's equations in optimizers.all_equations
    "correct",  # 1 if the optimiser corrects its moments for their start at zero
    "clip",  # the largest norm of a gradient
    "l2",
    "relu",  # 1 if s is ReLU, 0 if it is tanh
    "every",  # 1 if a vector is shown at every step, 0 if at the first alone
    "samples",  # in the model's own data set, if its task has one
    "first_scored",  # the step at which the first answer is due
)


def column(hp_MxH: Tensor, name: str) -> Tensor:
    """The column `name` (one of COLUMNS): one number per model."""
    return hp_MxH[..., COLUMNS.index(name)]


def print_columns() -> str:
    """The columns as an enum of C++ and CUDA, by their names in capitals."""
    return f"enum Hyper {{ {', '.join(name.upper() for name in COLUMNS)}, HYPERS }};\n"
