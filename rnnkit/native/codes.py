"""What Python and the compiled steps call by the same names, written once: `print_codes` is its text
in C++ and CUDA.
"""

import ctypes

from torch import Tensor

INPUTS = (
    "bits",  # a vector of zeros and ones, packed
    "static",  # a vector of numbers
    "index",  # a sequence of one-hot symbols
)
LOSSES = ("binary", "squared", "softmax")
KINDS = ("mem_thru", "rcf", "text8", "parens_counting", "arithmetic")  # tasks made in C++ and CUDA
COLUMNS = (  # of hp_MxH: the coefficients of the update rule, and how the model's task is run
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
NUMBERS = (  # of a Source
    *("kind", "seed", "stream"),
    *("batch", "n_in", "steps", "scored"),  # the task's shapes
    *("types", "cap"),  # parentheses
    *("problem", "most", "first_tenth", "last_tenth"),  # arithmetic
    "samples",  # rows of the table, or positions in the text where a window may start
)
TENSORS = {  # of a Source, with the type of their numbers
    "data": "void",  # table: floats (samples, n_in); text: one byte per letter, from the first such position on
    "answers": "float",  # (samples), of the table
    "sums": "double",  # (samples), running sums of the table's weights
    "guide": "int64_t",  # (GUIDE + 1), how many of the sums are below k / GUIDE
}
GUIDE = 1 << 12


class Source(ctypes.Structure):
    """What a task draws its batches from: numbers, 0 where the task lacks one, and the addresses of
    tensors.
    """

    _fields_ = [(name, ctypes.c_int64) for name in NUMBERS] + [
        (name, ctypes.c_void_p) for name in TENSORS
    ]


def column(hp_MxH: Tensor, name: str) -> Tensor:
    """The column `name` (one of COLUMNS): one number per model."""
    return hp_MxH[..., COLUMNS.index(name)]


def print_codes() -> str:
    """Enums of the names above, in capitals, the struct Source and GUIDE, for C++ and CUDA."""
    enums = {
        "Input": INPUTS,
        "Loss": LOSSES,
        "Kind": KINDS,
        "Hyper": (*COLUMNS, "hypers"),  # the last is their number
    }
    tensors = " ".join(f"const {kind}* {name};" for name, kind in TENSORS.items())
    return "".join(
        [f"enum {name} {{ {', '.join(names).upper()} }};\n" for name, names in enums.items()]
        + [f"struct Source {{ int64_t {', '.join(NUMBERS)}; {tensors} }};\n"]
        + [f"constexpr int GUIDE = {GUIDE};\n"]
    )
