"""The parts of a study's key, which is text that `Study.key` writes. It is read in this module only.

    per_cap/rnn/layers=1/params=600/in=21/unroll=5/steps=20-60/nonlinearity=relu/gp/seed=0/of=36273434

The steps are followed by the pinned hyper-parameters, or by a digest of all of them (a rerun), and
by a digest of the points that the search started from. Keys of the kit's first version of the draws
do not end in a fingerprint.
"""

import json
from dataclasses import dataclass
from functools import cache

# the names in a key that are not hyper-parameters
SETTINGS = ("layers", "params", "form", "in", "unroll", "steps", "from", "seed", "of")
SIZES = ("form", "in", "unroll")


@dataclass(frozen=True)
class Key:
    """The parts of a key. `size` is the part that tells how large the task is, `pinned` maps the
    pinned hyper-parameters to their values, `start` is the digest of the points that the search
    started from, and `of` is the fingerprint; each of these is empty if the key lacks it.
    """

    task_type: str
    architecture: str
    n_layers: int
    max_params: int
    size: str
    train_steps: tuple[int, int]
    pinned: dict
    start: str
    tuner: str
    seed: int
    of: str


def pinned_in(key: str) -> dict:
    """The hyper-parameters that a key names, with the values at which their study pins them."""
    pairs = (item.split("=", 1) for item in key.split("/") if "=" in item)
    return {name: _value(text) for name, text in pairs if name not in SETTINGS}


@cache
def parse(key: str) -> Key | None:
    """The parts of a study's key; None if the text is not such a key."""
    items = key.split("/")
    pairs = [item.split("=", 1) for item in items if "=" in item]
    settings = {name: text for name, text in pairs if name in SETTINGS}
    bare = [item for item in items if "=" not in item]  # task, architecture, digest, tuner
    try:
        low, high = map(_number, settings["steps"].split("-"))
        parts = Key(
            items[0],
            items[1],
            _number(settings["layers"]),
            _number(settings["params"]),
            "/".join(f"{name}={settings[name]}" for name in SIZES if name in settings),
            (low, high),
            pinned_in(key),
            settings.get("from", ""),
            bare[-1],
            _number(settings["seed"]),
            settings.get("of", ""),
        )
    except (KeyError, ValueError, IndexError):
        return None
    repeats = len(settings) < sum(name in SETTINGS for name, _ in pairs)
    network = f"{parts.task_type}/{parts.architecture}/layers={parts.n_layers}/params="
    return parts if not repeats and len(bare) in (3, 4) and key.startswith(network) else None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"A number in a study's key has up to 19 digits, got {text[:30]!r}.")
    return int(text)


def _value(text: str) -> int | float | str:
    """The value of a hyper-parameter: a number if the text is one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if type(value) in (int, float) else text
