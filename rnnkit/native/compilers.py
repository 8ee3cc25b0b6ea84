"""Which C++ compiler this machine has: its own, or the one that `pip install 'rnnkit[compiler]'`
brings.
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
PATIENCE = 900  # seconds for one library; Zig compiles the C++ library, too, the first time


def compiler() -> list[str] | None:
    """The C++ compiler: $CXX, or the first of g++, clang++, c++ on the path, or Zig's where the
    extra `compiler` is installed; None where there is none.
    """
    if os.environ.get("CXX"):
        return shlex.split(os.environ["CXX"])
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return [path]
    return [sys.executable, "-m", ZIG, "c++"] if importlib.util.find_spec(ZIG) else None


def announce(command: list[str]):
    """Says, once in a process, that Zig's compiler is at work, which lets the first cell wait."""
    if command[1:3] == ["-m", ZIG]:
        _announce_zig()


@cache
def _announce_zig():
    warnings.warn(
        "No C++ compiler was found on the path, so the training step is compiled by the one of"
        " ziglang. The first time takes a minute or two, and is kept.",
        stacklevel=4,
    )
