"""The parts of a study's key, which is text that `Study.key` writes. It is read in this module only.

    per_cap/rnn/layers=1/params=600/in=21/unroll=5/steps=20-60/nonlinearity=relu/gp/seed=0/of=36273434

The steps are followed by the pinned hyper-parameters, or by a digest of all of them (a rerun), and
by a digest of the points that the search started from. Keys of the kit's first version of the draws
do not end in a fingerprint.
"""

import json
import re
from dataclasses import dataclass
from functools import cache

NUMBER = r"0|[1-9]\d{0,18}"
# a pinned hyper-parameter and its value: none of the other names that a key may have
PIN = r"/(?!(?:layers|params|form|in|unroll|steps|from|seed|of)=)([^/=]+)=([^/]*)"
KEY = re.compile(
    r"(?P<task_type>[^/=]+)/(?P<architecture>[^/=]+)"
    rf"/layers=(?P<n_layers>{NUMBER})/params=(?P<max_params>{NUMBER})"
    r"/(?P<size>form=[^/]*|in=[^/]*/unroll=[^/]*)"
    rf"/steps=(?P<least>{NUMBER})-(?P<most>{NUMBER})"
    rf"(?P<pins>(?:{PIN})*)(?:/[0-9a-f]+)?(?:/from=(?P<start>[^/]*))?"
    rf"/(?P<tuner>[^/=]+)/seed=(?P<seed>{NUMBER})(?:/of=(?P<of>[^/]*))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Key:
    """The parts of a key. `size` is the part that tells how large the task is, `pinned` maps the
    pinned hyper-parameters to their values, `start` is the digest of the points that the search
    started from, and `of` is the fingerprint; the last three are empty if the key lacks them.
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


@cache
def parse(key: str) -> Key | None:
    """The parts of a study's key; None if the text is not such a key."""
    match = KEY.fullmatch(key)
    if not match:
        return None
    return Key(
        match["task_type"],
        match["architecture"],
        int(match["n_layers"]),
        int(match["max_params"]),
        match["size"],
        (int(match["least"]), int(match["most"])),
        {name: _value(text) for name, text in re.findall(PIN, match["pins"])},
        match["start"] or "",
        match["tuner"],
        int(match["seed"]),
        match["of"] or "",
    )


def _value(text: str) -> int | float | str:
    """The value of a hyper-parameter: a number if the text is one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if type(value) in (int, float) else text
