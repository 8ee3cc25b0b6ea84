"""What a reader can move. A control is only data until somebody can move it: a batch run makes no
ipywidgets.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from rnnkit.names import resolve_name
from rnnkit.wording import label_of

Press = Callable[[Any], None]  # what a button does, given its panel


@dataclass(frozen=True)
class Control:
    """A control of ipywidgets' class `kind`, its first value, the label before it and the
    explanation shown on hover.
    """

    kind: str
    value: Any
    label: str
    tip: str
    options: dict[str, Any] = field(default_factory=dict)
    press: Press | None = None  # of a button
    hidden: bool = False

    def make(self) -> Any:
        """The ipywidgets control with its label, which the keyboard can reach and move."""
        import ipywidgets

        wide = {"Text": "34em", "Button": "max-content"}.get(self.kind, "auto")
        settings = {"layout": {"width": wide}} | self.options
        if self.hidden:
            settings["layout"] = settings["layout"] | {"display": "none"}
        if self.kind != "Button":
            settings |= {"value": self.value, "style": {"description_width": "auto"}}
        tip = self.tip or self.label
        return getattr(ipywidgets, self.kind)(description=self.label, tooltip=tip, **settings)


def slider(
    label: str, low: float, high: float, value: float, step: float = 1, tip: str = ""
) -> Control:
    """A slider over numbers from `low` to `high`, which are integers if all arguments are."""
    limits = {"min": low, "max": high, "step": step}
    if all(isinstance(x, int) for x in (low, high, value, step)):
        return Control("IntSlider", value, label, tip, limits)
    return Control("FloatSlider", value, label, tip, limits | {"readout_format": ".2f"})


def choice(
    label: str, options: Iterable, value: object = None, tip: str = "", kind: str = "Dropdown"
) -> Control:
    """A menu of values, given as values or (text, value) pairs; by default, the first is chosen. A
    value may be spelt in any way. ValueError for one that is not among them.
    """
    options = list(options)
    values = _values(options)
    if value is None:
        value = values[0]
    elif value not in values:
        names = list(map(str, values))
        value = values[names.index(resolve_name(label, value, names, "Choose one of them."))]
    return Control(kind, value, label, tip, {"options": options})


def log_slider(label: str, options: Iterable, value: object, tip: str = "") -> Control:
    """The same as `choice`, as a slider: over 300, 1K, 3K, for example."""
    return choice(label, options, value, tip, "SelectionSlider")


def many(label: str, options: Iterable, value: Iterable | None = None, tip: str = "") -> Control:
    """A list from which any number of values can be chosen, with Ctrl or Shift and arrow keys or
    clicks; by default, all are chosen.
    """
    options = list(options)
    values = tuple(_values(options) if value is None else value)
    rows = min(5, len(options))
    return Control("SelectMultiple", values, label, tip, {"options": options, "rows": rows})


def toggle(label: str, value: bool = False, tip: str = "") -> Control:
    """Yes or no."""
    return Control("Checkbox", value, label, tip, {"indent": False})


def text(label: str, value: str = "", tip: str = "") -> Control:
    """A line of text, which is read at every key."""
    return Control("Text", value, label, tip)


def button(label: str, press: Press, tip: str = "") -> Control:
    """A button, which calls `press(panel)`."""
    return Control("Button", None, label, tip, press=press)


def cell_options(cells: Iterable[str]) -> list[tuple[str, str]]:
    """The options of a choice of cells: the names by which the paper calls them."""
    return [(label_of(cell), cell) for cell in cells]


def _values(options: list) -> list:
    return [option[1] if isinstance(option, tuple) else option for option in options]
