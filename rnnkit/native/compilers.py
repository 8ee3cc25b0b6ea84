"""Finds this machine's C++ compiler: its own, or the one that comes with
`pip install 'rnnkit[compiler]'`.
"""

import importlib.util
import os
import shlex
import shutil
import sys
import warnings
from functools import cache

NAMES = ("g++", "clang++", "c++")
ZIG = "ziglang"  # Clang with its libraries in a Python package, for machines without a compiler
HOW = "install g++ or clang++, or pip install 'rnnkit[compiler]', which brings one"
# seconds per library; the first time, Zig also compiles the C++ standard library, which took 900 seconds
# on two cores that a dozen processes shared
PATIENCE = 1_800


def compiler() -> list[str] | None:
    """The command of the C++ compiler: $CXX, or the first of g++, clang++ and c++ on the path, or
    Zig's if the extra `compiler` is installed. None if there is none.
    """
    if os.environ.get("CXX"):
        return shlex.split(os.environ["CXX"])
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return [path]
    return [sys.executable, "-m", ZIG, "c++"] if importlib.util.find_spec(ZIG) else None


def announce(command: list[str]) -> None:
    """Says, once per process, if Zig's compiler is used, since the first cell then has to wait."""
    if command[1:3] == ["-m", ZIG]:
        _announce_zig()


@cache
def _announce_zig() -> None:
    warnings.warn(
        "No C++ compiler was found on the path, so ziglang compiles the training step. The first"
        " time takes a minute or two; the result is kept.",
        stacklevel=4,
    )
