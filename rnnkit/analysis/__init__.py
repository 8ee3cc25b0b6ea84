"""Frames in, numbers out: what the trials say, with intervals, and what that says of the paper's
claims.

`rows` picks trials out of any; `capacity` counts their bits, `throughput` what units
hold, `loss` what parameters leave over, `trainability` how many solve a hard task; `statistics`
puts intervals on numbers, `convergence` says whether a search has come to its end, `claims` gives
verdicts, by checks in modules of their own, `chances` how often these err, and `audit` reads the
paper's tables closely. Nothing here trains, draws or imports torch.
"""

from rnnkit.analysis import audit
from rnnkit.analysis.capacity import (
    best_so_far,
    best_trials,
    bits_per_param,
    in_order,
    multipliers,
    per_trial,
    relu_ratio,
    stored_bits,
    unroll_curve,
)
from rnnkit.analysis.chances import rates_without_effect
from rnnkit.analysis.claims import advice, compare, tally
from rnnkit.analysis.display import Verdicts, with_interval
from rnnkit.analysis.finding import FAILS, HOLDS, NO_NUMBERS, UNTESTED
from rnnkit.analysis.flow import gradient_bands, gradient_shares
from rnnkit.analysis.hard_tasks import winners
from rnnkit.analysis.origin import origin, short_origin
from rnnkit.analysis.rows import Budget, budget, is_pinned
from rnnkit.analysis.search import importance, importance_table, race
from rnnkit.analysis.statistics import (
    bootstrap,
    infeasible_share,
    kendall,
    slope_loglog,
    welch,
    wilson,
)
from rnnkit.analysis.trainability import (
    by_network,
    hard_trials,
    infeasible_table,
    looser,
    rerun_table,
    running_curves,
    welch_table,
)
from rnnkit.exhibits.base import rows_of

__all__ = [
    "FAILS", "HOLDS", "NO_NUMBERS", "UNTESTED", "Budget", "Verdicts", "advice", "audit", "best_so_far", "best_trials", "bits_per_param",
    "bootstrap", "budget", "compare",
    "gradient_bands", "gradient_shares", "importance", "importance_table", "in_order", "race",
    "infeasible_share", "is_pinned", "kendall", "multipliers", "per_trial", "relu_ratio", "rows_of", "slope_loglog",
    "origin", "rates_without_effect", "short_origin", "stored_bits", "tally", "unroll_curve", "wilson", "with_interval",
    "by_network", "hard_trials", "infeasible_table", "looser", "rerun_table", "running_curves", "welch", "welch_table", "winners",
]  # fmt: skip
