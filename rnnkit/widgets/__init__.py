"""Pictures that answer when touched: `rk.widget("memorise_me")` in a notebook. Nothing here is
needed to reproduce the paper.

A widget is a file of this folder, named as it is asked for, with two functions:

    def draw(figure, theme, *, units, architecture) -> str: ax = figure.subplots() ax.plot(...)
        # the picture, a function of what is passed and of nothing else return f"{architecture} with
        {units} units: error 0.25."      # one sentence: what the picture says, in numbers

    def widget(units=32): controls = {                                                  # the names
        of draw's arguments
            "architecture": choice("cell", ("rnn", "gru"), tip="Which equations"),
            "units": slider("units", 16, 96, units, tip="Numbers in the state"),
        }
        return Panel(draw, controls)

The sentence stands below the picture, is its text for those who cannot see it, and is what the
browser's tests wait for; give it the numbers that a move changes. `figure` has no automatic layout,
which costs half of a redraw: place panels with `figure.subplots(..., gridspec_kw=...)` or
`figure.subplots_adjust`. `theme` (theme.py) has the colours that are legible on the reader's
background, light or dark: `theme.ink`, `theme.grey`, `theme.pale`, and
`theme.style_of(architectures)`, the colours, markers and lines of the figures. A move must be
answered within 0.2 s: prepare what is slow in `widget`, or train with `panel.run` (panel.py), which
shows progress and can be stopped. State that no control holds, such as a curve that grows, goes
into `Panel(draw, controls, state={"curve": ()})` and is changed by `panel.set(curve=...)`. A button
is `button("train", press)`: `press(panel)` is called. `Panel(..., clicked=function)` hears of
clicks into the picture, in data coordinates.

Where nobody can answer (papermill, nbval, a page on GitHub) the same `draw` gives one static
picture of the controls' first values; no control is made there. Then add the widget's name to
WIDGETS below, and a test that moves it to tests/browser/test_widgets_in_browser.py.
"""

import importlib

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


def widget(name: str, **settings):
    """The widget of that name, shown by being a cell's last line; `settings` are those of its
    module. ValueError for another name.
    """
    name = resolve_name("widget", name, WIDGETS)
    return importlib.import_module(f"rnnkit.widgets.{name}").widget(**settings)
