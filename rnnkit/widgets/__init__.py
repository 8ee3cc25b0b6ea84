"""Interactive pictures for notebooks: `rk.widget("memorise_me")`. Nothing here is needed to
reproduce the paper.

A widget is a file in this folder, with the widget's name, and has two functions:

    def draw(figure, theme, *, units, architecture) -> str:
        ax = figure.subplots()
        ax.plot(...)  # the picture, which depends on the arguments alone
        return f"{architecture} with {units} units: error 0.25."  # what it shows, in a sentence

    def widget(units=32):
        controls = {  # the names are those of draw's arguments
            "architecture": choice("cell", ("rnn", "gru"), tip="Which equations"),
            "units": slider("units", 16, 96, units, tip="Numbers in the state"),
        }
        return Panel(draw, controls)

The sentence is shown below the picture, replaces it for readers who cannot see it, and is what the
browser's tests wait for; it should contain the numbers that a move changes. `figure` has no
automatic layout, which would take half of the time of a redraw: place axes with
`figure.subplots(..., gridspec_kw=...)` or `figure.subplots_adjust`. `theme` (theme.py) has colours
that are legible on the reader's background, light or dark: `theme.ink`, `theme.grey`, `theme.pale`,
and `theme.style_of(architectures)`, the colours, markers and lines of the figures.

A move must be answered within 0.2 s: prepare what is slow in `widget`, or train with `panel.run`
(panel.py), which shows progress and can be stopped. State that no control holds, such as a growing
curve, goes into `Panel(draw, controls, state={"curve": ()})` and is changed by
`panel.set(curve=...)`. A button is `button("train", press)`, which calls `press(panel)`; one that
starts work and stops it calls `panel.run_or_stop(work, "train")`.
`Panel(..., clicked=function)` calls the function on clicks into the picture, with data coordinates.

Where nobody can move a control (papermill, nbval, a page on GitHub), the same `draw` makes one
static picture with the first values, and no control is made. To finish a new widget, add its name to
WIDGETS below, and a test that moves it to tests/browser/test_widgets_in_browser.py.
"""

import importlib
from typing import Any

from rnnkit.names import resolve_name
from rnnkit.widgets.controls import Control, button, choice, log_slider, many, slider, text, toggle
from rnnkit.widgets.panel import Panel
from rnnkit.widgets.theme import Theme, theme_for

WIDGETS = {  # name -> what it lets you see
    "inside_a_cell": (
        "a cell's state over time, its gates, and the gradient on its way back, beside the other"
        " cells"
    ),
    "tuner_thinks": (
        "the tuner's Gaussian process on one or two dimensions, and what it asks for next"
    ),
    "memorise_me": "a network learning random labels by heart, and how many bits that is",
    "one_number_per_unit": "how many numbers come back out of a state of N units, and the bound",
    "luck_of_the_draw": (
        "random hyper-parameters for two cells: which draws solve the task, learn something,"
        " learn nothing or diverge"
    ),
    "read_the_stack": (
        "parentheses or a sum that you type, answered symbol by symbol by a stored network"
    ),
    "trials_explorer": "every trial of a store: its loss against any hyper-parameter",
}

__all__ = [
    "WIDGETS",
    "Control",
    "Panel",
    "Theme",
    "button",
    "choice",
    "log_slider",
    "many",
    "slider",
    "text",
    "theme_for",
    "toggle",
    "widget",
]


def widget(name: str, **settings: Any) -> Panel:
    """The widget of that name, which is shown if it is the last line of a notebook's cell.
    `settings` are the arguments of its own `widget` function. Raises ValueError for another name.
    """
    name = resolve_name("widget", name, WIDGETS)
    return importlib.import_module(f"rnnkit.widgets.{name}").widget(**settings)
