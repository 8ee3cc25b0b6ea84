"""Figures that are made of something else than trials."""

from rnnkit.figures.discussion import audit
from rnnkit.figures.flow import gradients, one_setting
from rnnkit.figures.tasks import task_example
from rnnkit.figures.wiring import unrolled, wiring

# ours, made of something else than trials: shown in notebooks, not in the gallery
WITHOUT_TRIALS = {
    "flow": one_setting,
    "gradients": gradients,
    "wiring": wiring,
    "unrolled": unrolled,
}
WITHOUT_TRIALS |= {
    f"task_{name}": task_example
    for name in ("per_cap", "mem_thru", "rcf", "text8", "parens_counting", "arithmetic")
}
WITHOUT_TRIALS["audit"] = audit  # of the paper's own numbers: in the gallery too
