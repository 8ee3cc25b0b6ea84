"""Frames in, numbers out: what the trials say, with intervals, and what that says of the paper's
claims.

The names that notebooks use, gathered from the exhibits (rnnkit.exhibits), which compute each table
where it is drawn and judged. Nothing here trains, draws or imports torch.
"""

from rnnkit.exhibits import audit
from rnnkit.exhibits.appendix_a.best_so_far import best_so_far
from rnnkit.exhibits.appendix_a.importance import importance, importance_table
from rnnkit.exhibits.appendix_a.random_search import race
from rnnkit.exhibits.base import trials_of_exhibit as rows_of
from rnnkit.exhibits.best_trials import (
    best_trials,
    bits_per_param,
    in_order,
    per_trial,
    stored_bits,
)
from rnnkit.exhibits.budget import Budget, budget, origin, short_origin
from rnnkit.exhibits.chances import rates_without_effect
from rnnkit.exhibits.finding import FAILS, HOLDS, NO_NUMBERS, UNTESTED
from rnnkit.exhibits.gradients import gradient_bands, gradient_shares
from rnnkit.exhibits.section_2_1.figure_1 import multipliers
from rnnkit.exhibits.section_2_1.figure_2a import relu_ratio
from rnnkit.exhibits.section_2_1.figure_2b import unroll_curve
from rnnkit.exhibits.section_2_2 import memory_errors, step_costs
from rnnkit.exhibits.section_4.figure_4 import running_curves, winners
from rnnkit.exhibits.section_4.hard_trials import by_network, hard_trials
from rnnkit.exhibits.section_4.table_1 import infeasible_table, looser
from rnnkit.exhibits.section_4.table_app1 import rerun_table
from rnnkit.exhibits.section_4.table_app2 import welch_table
from rnnkit.exhibits.section_5 import kept_bits, needed_bits
from rnnkit.exhibits.selection import is_pinned
from rnnkit.exhibits.statistics import bootstrap, kendall, slope_loglog, welch, wilson
from rnnkit.exhibits.verdicts import Verdicts, advice, compare, tally, with_interval

__all__ = [
    "FAILS", "HOLDS", "NO_NUMBERS", "UNTESTED", "Budget", "Verdicts", "advice", "audit", "best_so_far", "best_trials", "bits_per_param",
    "bootstrap", "budget", "by_network", "compare", "gradient_bands", "gradient_shares", "hard_trials", "importance", "importance_table",
    "in_order", "infeasible_table", "is_pinned", "kendall", "kept_bits", "looser", "memory_errors", "multipliers", "needed_bits", "origin", "per_trial",
    "race", "rates_without_effect", "relu_ratio", "rerun_table", "rows_of", "running_curves", "short_origin", "slope_loglog", "step_costs",
    "stored_bits", "tally", "unroll_curve", "welch", "welch_table", "wilson", "winners", "with_interval",
]  # fmt: skip
