"""Frames in, numbers out: what the trials say, with intervals, and what that says of the paper's claims.

`capacity` counts bits, `statistics` puts intervals on numbers, `claims` gives verdicts, by the checks in `levels` and
`comparisons`. Nothing here trains, draws or imports torch.
"""

from rnnkit.analysis.capacity import (
    Budget,
    best_so_far,
    best_trials,
    bits_per_param,
    budget,
    in_order,
    multipliers,
    mutual_information,
    per_trial,
    relu_ratio,
    rows_of,
    stored_bits,
    unroll_curve,
)
from rnnkit.analysis.claims import compare
from rnnkit.analysis.finding import FAILS, HOLDS, UNTESTED
from rnnkit.analysis.statistics import bootstrap, infeasible_share, kendall, slope_loglog, wilson

__all__ = [
    "FAILS", "HOLDS", "UNTESTED", "Budget", "best_so_far", "best_trials", "bits_per_param", "bootstrap", "budget", "compare", "in_order",
    "infeasible_share", "kendall", "multipliers", "mutual_information", "per_trial", "relu_ratio", "rows_of", "slope_loglog",
    "stored_bits", "unroll_curve", "wilson",
]  # fmt: skip
