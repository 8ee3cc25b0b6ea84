"""One function for each figure: a frame of trials in, a matplotlib Figure out. Nothing here trains
or imports torch.

`points(name, frame)` is what is plotted, `draw(name, frame)` plots it, `caption` and `alt` say what
is seen and what stands behind it, `save` writes PNG, SVG and CSV, `gallery` writes them all with
their verdicts.
"""

from rnnkit.figures.capacity import calibration, fig1, fig2a, fig2b, figapp1, inputs
from rnnkit.figures.discussion import audit, later_numbers, quantised
from rnnkit.figures.files import companions, draw_into, gallery, keep, publish, save, show
from rnnkit.figures.flow import gradients, one_setting
from rnnkit.figures.loss import fig3
from rnnkit.figures.points import points
from rnnkit.figures.report import more_cells
from rnnkit.figures.search import best_so_far
from rnnkit.figures.style import style_of
from rnnkit.figures.tables import table1, tableapp1, tableapp2
from rnnkit.figures.tasks import task_example
from rnnkit.figures.throughput import fig2c, g01
from rnnkit.figures.trainability import fig4, fig5
from rnnkit.figures.tuner import convergence, importance, lost
from rnnkit.figures.verdicts import claims_of
from rnnkit.figures.wiring import unrolled, wiring
from rnnkit.figures.words import alt, caption

DRAW = {
    "fig1": fig1, "best_so_far": best_so_far, "fig2a": fig2a, "fig2b": fig2b, "fig2c": fig2c, "g01": g01, "fig3": fig3, "fig4": fig4,
    "fig5": fig5, "table1": table1, "figapp1": figapp1, "inputs": inputs, "tableapp1": tableapp1, "tableapp2": tableapp2, "calibration": calibration,
    "tuner": convergence, "importance": importance, "lost": lost,
    "quantised": quantised, "later_numbers": later_numbers, "more_cells": more_cells,
}  # fmt: skip
# ours, made of something else than trials: shown in notebooks, not in the gallery
EXHIBITS = {"flow": one_setting, "gradients": gradients, "wiring": wiring, "unrolled": unrolled}
EXHIBITS |= {
    f"task_{name}": task_example
    for name in ("per_cap", "mem_thru", "rcf", "text8", "parens_counting", "arithmetic")
}

EXHIBITS["audit"] = audit  # of the paper's own numbers: in the gallery too

__all__ = [
    "DRAW", "EXHIBITS", "alt", "audit", "best_so_far", "calibration", "caption", "claims_of", "companions", "convergence", "draw_into", "fig1",
    "fig2a", "fig2b", "fig2c", "fig3", "fig4", "fig5", "figapp1", "g01", "gallery", "gradients", "importance", "inputs", "keep", "lost", "later_numbers",
    "more_cells", "one_setting", "points", "publish", "quantised", "save", "show", "style_of", "table1", "tableapp1", "tableapp2", "unrolled", "wiring",
]  # fmt: skip
