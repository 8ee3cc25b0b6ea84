"""What a reader can move. A control is only data until somebody can move it: a batch run makes no
ipywidgets.
"""

from dataclasses import dataclass, field
from typing import Any

from rnnkit.names import resolve_name


@dataclass(frozen=True)
class Control:
    """A control of ipywidgets' class `kind`, its first value, the label before it and the
    explanation shown on hover.
    """

    kind: str
    value: Any
    label: str
    tip: str
    options: dict = field(default_factory=dict)
    press: Any = None  # of a button: called with the panel
    hidden: bool = False

    def make(self):
        """The ipywidgets control with its label, which the keyboard can reach and move."""
        import ipywidgets

        wide = {"Text": "34em", "Button": "max-content"}.get(self.kind, "auto")
        settings = {
            "description": self.label,
            "tooltip": self.tip or self.label,
            "layout": {"width": wide},
            **self.options,
        }
        if self.hidden:
            settings["layout"] = settings["layout"] | {"display": "none"}
        if self.kind != "Button":
            settings |= {"value": self.value, "style": {"description_width": "auto"}}
        return getattr(ipywidgets, self.kind)(**settings)


def slider(label, low, high, value, step=1, tip="") -> Control:
    """A slider over numbers from `low` to `high`, which are integers if all arguments are."""
    integers = all(isinstance(x, int) for x in (low, high, value, step))
    limits = {"min": low, "max": high, "step": step}
    return Control(
        "IntSlider" if integers else "FloatSlider",
        value,
        label,
        tip,
        limits | ({} if integers else {"readout_format": ".2f"}),
    )


def log_slider(label, values, value, tip="") -> Control:
    """A slider over a list of values, such as 300, 1K, 3K, given as values or (text, value) pairs.
    ValueError for a value that is not among them.
    """
    options = list(values)
    return Control(
        "SelectionSlider", _meant(label, options, value), label, tip, {"options": options}
    )


def choice(label, options, value=None, tip="") -> Control:
    """A menu of values, given as values or (text, value) pairs; by default, the first is chosen.
    ValueError for a value that is not among them.
    """
    options = list(options)
    value = _values(options)[0] if value is None else _meant(label, options, value)
    return Control("Dropdown", value, label, tip, {"options": options})


def _values(options: list) -> list:
    return [option[1] if isinstance(option, tuple) else option for option in options]


def _meant(label: str, options: list, value):
    """The one of the options' values that a value means, however it is spelt."""
    values = _values(options)
    if value in values:
        return value
    names = list(map(str, values))
    return values[names.index(resolve_name(label, value, names, "Choose one of them."))]


def many(label, options, value=None, tip="") -> Control:
    """A list from which any number of values can be chosen, with Ctrl or Shift and arrow keys or
    clicks; by default, all are chosen.
    """
    options = list(options)
    values = tuple(_values(options))
    return Control(
        "SelectMultiple",
        values if value is None else tuple(value),
        label,
        tip,
        {"options": options, "rows": min(5, len(options)), "layout": {"width": "auto"}},
    )


def toggle(label, value=False, tip="") -> Control:
    """Yes or no."""
    return Control("Checkbox", value, label, tip, {"indent": False})


def text(label, value="", tip="") -> Control:
    """A line of text, which is read at every key."""
    return Control("Text", value, label, tip)


def button(label, press, tip="") -> Control:
    """A button, which calls `press(panel)`."""
    return Control("Button", None, label, tip, press=press)
