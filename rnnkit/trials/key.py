"""What the key of a study says, read in this one place: it is text, as `Study.key` writes it.

    per_cap/rnn/layers=1/params=600/in=21/unroll=5/steps=20-60/nonlinearity=relu/gp/seed=0/of=36273434

After the steps stand the hyper-parameters that are fixed, or a digest of all of them (a rerun), and
a digest of what the search started from; keys of the kit's first draws do not end in a fingerprint.
"""

import json
from dataclasses import dataclass
from functools import cache

# names of a key that are no hyper-parameter's
SETTINGS = ("layers", "params", "form", "in", "unroll", "steps", "from", "seed", "of")


@dataclass(frozen=True)
class Key:
    """The parts of a key. `pinned` has the fixed hyper-parameters by name, `start` the digest of
    what the search started from, `of` the fingerprint; those are empty where there is none.
    """

    task_type: str
    architecture: str
    n_layers: int
    max_params: int
    train_steps: tuple[int, int]
    pinned: dict
    start: str
    tuner: str
    seed: int
    of: str


def pinned_in(key: str) -> dict:
    """The hyper-parameters that a key names, with the values at which their study holds them."""
    named = (part.split("=", 1) for part in key.split("/") if "=" in part)
    return {name: _value(text) for name, text in named if name not in SETTINGS}


@cache
def read(key: str) -> Key | None:
    """The parts of a study's key; None for a text that is no such key."""
    parts = key.split("/")
    named = [part.split("=", 1) for part in parts if "=" in part]
    settings = {name: text for name, text in named if name in SETTINGS}
    words = [part for part in parts if "=" not in part]
    try:
        low, high = map(_number, settings["steps"].split("-"))
        found = Key(
            parts[0],
            parts[1],
            _number(settings["layers"]),
            _number(settings["params"]),
            (low, high),
            pinned_in(key),
            settings.get("from", ""),
            words[-1],
            _number(settings["seed"]),
            settings.get("of", ""),
        )
    except (KeyError, ValueError, IndexError):
        return None
    once = len(settings) == sum(name in SETTINGS for name, _ in named)
    network = f"{found.task_type}/{found.architecture}/layers={found.n_layers}/params="
    return found if once and len(words) in (3, 4) and key.startswith(network) else None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"A number in a study's key has up to 19 digits, got {text[:30]!r}.")
    return int(text)


def _value(text: str):
    """A hyper-parameter's value: a number where the text is one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if type(value) in (int, float) else text
