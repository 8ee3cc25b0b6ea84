"""Every figure as a function: `rk.figures.fig1(frame)` takes a frame of trials and gives a
matplotlib Figure, `rk.figures.table1(frame)` a table. Nothing here trains or imports torch.

All that belongs to a figure stands in its exhibit (rnnkit.exhibits), and its name is a function
here. `points(name, frame)` is what is plotted, `caption` and `alt` say what is seen and what stands
behind it, `save` writes PNG, SVG and CSV, and `gallery` writes all figures with their verdicts.
"""

from rnnkit.exhibits.audit import audit
from rnnkit.exhibits.base import exhibits, illustrations, points
from rnnkit.exhibits.captions import alternative_text as alt
from rnnkit.exhibits.captions import caption
from rnnkit.exhibits.gallery import companions, draw_into, gallery, keep, publish, save, show
from rnnkit.exhibits.gradients import gradients, one_setting
from rnnkit.exhibits.section_1_4 import unrolled_stack as unrolled
from rnnkit.exhibits.section_1_4 import wiring
from rnnkit.exhibits.style import style_of
from rnnkit.exhibits.verdicts import claims_of

__all__ = [
    "alt", "audit", "caption", "claims_of", "companions", "draw_into", "gallery", "gradients", "illustrations", "keep", "one_setting", "points",
    "publish", "save", "show", "style_of", "unrolled", "wiring",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if not name.startswith("_") and name in (by_name := exhibits()):
        return by_name[name].draw
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *exhibits()})
