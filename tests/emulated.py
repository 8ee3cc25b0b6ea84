"""The GPU's kernels as C++ threads: the same source, compiled by the machine's own compiler
(cuda/shim.h), with torch tensors in and out.
"""

import ctypes
import hashlib
import os
import subprocess
import tempfile
from contextlib import nullcontext
from pathlib import Path

import torch

from rnnkit import native
from rnnkit.native import cuda, libraries

HERE = Path(__file__).parent / "cuda"
FLAGS = ["-O1", "-std=c++20", "-w", "-pthread"]


def built(kernel, main="emulate.cpp", flags=("-shared", "-fPIC"), more=()) -> Path:
    """What the compiler makes of `main` and the kernel's files, kept beside the compiled steps;
    `more` are files, by name, in others' stead.
    """
    texts = {path.name: path.read_text() for path in (cuda.SOURCE, *cuda.HEADERS)} | {
        "cell.inc": kernel.equations
    }
    texts |= {path.name: path.read_text() for path in HERE.iterdir()} | dict(more)
    command = [*native.compiler(), *FLAGS, *flags, *kernel.defines]
    key = hashlib.sha256("\0".join([*texts.values(), main, *command]).encode()).hexdigest()[:20]
    target = next(libraries.folders()) / f"emulated-{key}.so"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=target.parent) as build:
            for name, text in texts.items():
                Path(build, name).write_text(text)
            made = Path(build, "made.so")
            subprocess.run(
                [*command, f"-I{build}", str(Path(build, main)), "-o", str(made)], check=True
            )
            os.replace(made, target)
    return target


class Emulated:
    """Stands for cuda.Module: train, evaluate, gradient on tensors of this machine. `numbers` are
    parameters, shared and other memory.
    """

    card = "a processor"

    def __init__(self, kernel):
        self.kernel = kernel
        self.library = ctypes.CDLL(str(built(kernel)))
        told = (ctypes.c_int * 3)()
        self.library.emulate_numbers(told)
        self.numbers = list(told)
        assert self.numbers[1:] == [
            kernel.shared // 4,
            kernel.global_numbers,
        ], f"the host counts {kernel.shared // 4}, {kernel.global_numbers}; step.cu {self.numbers}"
        for name in ("train", "evaluate", "gradient"):
            setattr(self, name, self._function(name))

    def _function(self, name):
        function = getattr(self.library, f"emulate_{name}")

        def call(blocks, stream, *arguments):
            arguments = arguments if name == "gradient" else (ctypes.c_int(blocks), *arguments)
            function(
                *[
                    (
                        ctypes.c_void_p(a.data_ptr())
                        if isinstance(a, torch.Tensor)
                        else ctypes.c_void_p(0)
                        if a is None
                        else a
                    )
                    for a in arguments
                ]
            )

        return call

    def stream(self):
        return Stream()

    def free(self, stream):
        pass

    def host_zeros(self, *shape, dtype):
        return torch.zeros(*shape, dtype=dtype)

    def current(self):
        return 0

    def settle(self):
        pass

    def wait(self):
        pass


class Stream:
    handle = 0

    def on(self):
        return nullcontext()
