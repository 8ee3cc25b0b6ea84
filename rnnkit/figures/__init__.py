"""Every figure as a function: `rk.figures.fig1(frame)` takes a frame of trials and gives a
matplotlib Figure. Nothing here trains or imports torch.

What belongs to a figure stands in its exhibit (rnnkit.exhibits), and its name is a function here.
`points(name, frame)` is what is plotted, `caption` and `alt` say what is seen and what stands behind
it, `save` writes PNG, SVG and CSV, `gallery` writes them all with their verdicts.
"""

from rnnkit.exhibits.base import exhibits, points
from rnnkit.figures.discussion import audit
from rnnkit.figures.files import companions, draw_into, gallery, keep, publish, save, show
from rnnkit.figures.flow import gradients, one_setting
from rnnkit.figures.style import style_of
from rnnkit.figures.verdicts import claims_of
from rnnkit.figures.wiring import unrolled, wiring
from rnnkit.figures.without_trials import WITHOUT_TRIALS
from rnnkit.figures.words import alt, caption

__all__ = [
    "WITHOUT_TRIALS", "alt", "audit", "caption", "claims_of", "companions", "draw_into", "gallery", "gradients", "keep", "one_setting", "points",
    "publish", "save", "show", "style_of", "unrolled", "wiring",
]  # fmt: skip


def __getattr__(name):
    if not name.startswith("_") and name in (found := exhibits()):
        return found[name].draw
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *exhibits()})
