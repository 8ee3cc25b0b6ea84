"""Colours that are legible on the reader's own background, and text that is legible from a distance."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.ticker import NullLocator

from rnnkit.exhibits.style import Style, look, round_numbers, short, style_of

CONTRAST = 3.0  # least ratio of luminances between a mark and a dark background (WCAG 2.1, 1.4.11)
DARK = 0.18  # luminance of the grey that is as far from black as from white, by contrast
WHITE = "#ffffff"


class Theme(NamedTuple):
    background: str  # of the page; the figure has the same
    ink: str  # text and axes
    grey: str  # references: the paper's values, bounds
    pale: str  # bands and what is not chosen

    @property
    def dark(self) -> bool:
        return luminance(self.background) < DARK

    def style_of(self, architectures: Iterable[str]) -> dict[str, Style]:
        """The colours, markers and lines of all figures, with lighter colours where they would not
        be visible on a dark background.
        """
        return {
            name: style._replace(color=self.visible(style.color))
            for name, style in style_of(architectures).items()
        }

    def visible(self, color: Any) -> str:
        """The colour itself, or, on a dark background, its first mixture with white that is visible."""
        red_green_blue = to_rgb(color)
        for share in range(0, 101, 5):
            mixture = tuple(c + (1 - c) * share / 100 for c in red_green_blue)
            if not self.dark or contrast(mixture, self.background) >= CONTRAST:
                break
        return to_hex(mixture)

    @property
    def shades(self) -> LinearSegmentedColormap:
        """A colour map from the background, for 0, to a blue on which ink is still legible."""
        return LinearSegmentedColormap.from_list(
            "shades", [self.background, "#2a6f97" if self.dark else "#7fb8dd"]
        )

    def ring(self, size: float, width: float) -> dict[str, Any]:
        """The settings of a line that is drawn as rings of this size alone."""
        edge = {"markeredgecolor": self.ink, "markeredgewidth": width}
        return {"marker": "o", "linestyle": "none", "color": "none", "markersize": size} | edge

    @staticmethod
    def log(axis: Axis) -> None:
        """Sets few, plain labels and no minor ticks on a logarithmic axis whose limits are set, since
        finding ticks takes more time than the rest of a redraw.
        """
        low, high = axis.get_view_interval()
        for digits in ([1], [1, 2, 5], range(1, 10)):
            ticks = round_numbers(low, 0.999 * high, digits)  # a label at the end would stick out
            if len(ticks) > 2:
                break
        ticks = ticks[:: -(-len(ticks) // 6)]
        axis.set_ticks(ticks, [short(tick) if tick >= 1 else f"{tick:g}" for tick in ticks])
        axis.set_minor_locator(NullLocator())

    def look(self) -> dict[str, Any]:
        """matplotlib's settings: those of all figures, in these colours and with larger text."""
        return look() | {
            "figure.facecolor": self.background,
            "axes.facecolor": self.background,
            "savefig.facecolor": self.background,
            "text.color": self.ink,
            "axes.labelcolor": self.ink,
            "axes.titlecolor": self.ink,
            "axes.edgecolor": self.ink,
            "xtick.color": self.ink,
            "ytick.color": self.ink,
            "grid.color": self.pale,
            "font.size": 12,
            "axes.titlesize": 13,
            "axes.labelsize": 13,
            "xtick.labelsize": 12,
            "ytick.labelsize": 12,
            "legend.fontsize": 12,
            "lines.linewidth": 2.0,
            "lines.markersize": 7,
            "axes.titley": 1.0,  # a title that looks for its own place measures all labels first
        }


def theme_for(background: str = WHITE) -> Theme:
    """The theme of a page whose background has this colour."""
    if luminance(background) < DARK:
        return Theme(background, ink="#f0f0f0", grey="#a8a8a8", pale="#3a3a3a")
    return Theme(background, ink="#1a1a1a", grey="#6b6b6b", pale="#e4e4e4")


def spread_out(numbers: np.ndarray) -> np.ndarray:
    """Places from -0.5 to 0.5 for dots with these numbers, spread evenly, and in the same way at each
    redraw.
    """
    return np.modf(numbers * 0.6180339887)[0] - 0.5


def luminance(color: Any) -> float:
    """Relative luminance, from 0 (black) to 1 (white) (WCAG 2.1)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: Any, second: Any) -> float:
    """Ratio of two colours' luminances, from 1 to 21 (WCAG 2.1)."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)
