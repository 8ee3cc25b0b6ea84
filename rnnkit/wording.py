"""How the kit writes names, numbers and lists in its sentences."""

from collections.abc import Collection, Iterable

from rnnkit import paper

LATER_LABELS = {"mgu": "MGU", "janet": "JANET", "mingru": "minGRU", "minlstm": "minLSTM"}


def label_of(architecture: str) -> str:
    """The name of an architecture as the paper writes it; the name of one's own cell unchanged."""
    return (paper.LABELS | LATER_LABELS).get(architecture, architecture)


def layers(depth: int) -> str:
    """1 layer, 4 layers."""
    return count(depth, "layer")


def count(number: int, singular: str, plural: str | None = None) -> str:
    """1 size, 3 sizes; `plural` is needed if it is more than the singular with an s."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def size_range(sizes: Collection[int]) -> str:
    """300-10,000: the least and the greatest of some numbers, or the only one."""
    low = min(sizes)
    high = max(sizes)
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"


def percent(share: float) -> str:
    """76 %: a share, rounded to a whole number of per cent."""
    return f"{100 * share:.0f} %"


def estimate(value: float, low: float, high: float, form: str = ".2f") -> str:
    """1.81 [1.66, 1.95]: an estimate with its interval."""
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def pair_name(first: str, second: str) -> str:
    """GRU - LSTM: two architectures that are compared."""
    return f"{label_of(first)} - {label_of(second)}"


def and_list(items: Iterable) -> str:
    """RNN, GRU and LSTM; "none" without items."""
    items = [str(item) for item in items] or ["none"]
    return " and ".join(filter(None, [", ".join(items[:-1]), items[-1]]))


def capital(text: str) -> str:
    """The text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def duration(seconds: float) -> str:
    """A time in readable units: 40 s, 12 min, 3 h 20 min, 2 days 4 h."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    if hours < 24 * 365:
        return f"{hours // 24} days {hours % 24} h"
    return f"{seconds / (365.25 * 86400):,.1f} years"
