"""The compiled training step: step.cpp with a cell's equations in it, built with the machine's own
C++ compiler and kept from run to run.

One library serves every size, depth and number of steps of its cell. Where no compiler is found, or
a cell's equations use an operation that the tracer does not know, `library` raises Unavailable with
the reason, and training takes the plain torch step.
"""

import ctypes
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from ..cells import Cell, cell_of
from ..optimizers import all_equations
from ..tasks import Task
from .codes import COLUMNS as COLUMNS
from .codes import INPUTS, LOSSES, print_codes
from .codes import column as column
from .compilers import HOW, PATIENCE, announce, compiler
from .libraries import Unavailable, load_or_build
from .trace import print_optimizers, trace

SOURCE, HEADER = (Path(__file__).with_name(name) for name in ("step.cpp", "products.h"))
FLAGS = "-O3 -march=native -std=c++17 -fno-math-errno -fno-trapping-math -fPIC -shared -w"


class Study(Protocol):
    """What training asks of a study (studies.Study): its network, its task, its space and its
    seed.
    """

    @property
    def architecture(self) -> str: ...
    @property
    def n_layers(self) -> int: ...
    @property
    def n_units(self) -> int: ...
    @property
    def num_params(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def task(self) -> Any: ...  # a tasks.Stored or a tasks.Batched
    @property
    def space(self) -> Any: ...  # a hparams.Space


@cache
def _processor() -> str:
    """What -march=native depends on, so that machines which share a home folder do not share
    libraries.
    """
    try:
        text = Path("/proc/cpuinfo").read_text()
        return next(
            (line for line in text.splitlines() if line.startswith(("flags", "Features"))),
            platform.machine(),
        )
    except OSError:
        return platform.platform() + platform.processor()


def build(
    name: str,
    real: str,
    sources: list[Path],
    equations: str = "",
    functions: dict[str, list] | None = None,
) -> ctypes.CDLL:
    """Compiles and loads the first of the sources, which includes the others and cell.inc, whose
    text is `equations`. `functions` has the argument types of each function to be called.

    Raises Unavailable, with the reason, where there is no compiler or its library cannot be used.
    """
    try:
        command = compiler()
    except ValueError as reason:
        raise Unavailable(f"$CXX must be a command, got {os.environ['CXX']!r} ({reason})") from None
    if not command:
        raise Unavailable(f"no C++ compiler was found; {HOW}")
    texts = [source.read_text(encoding="utf-8") for source in sources]
    content = [*texts, equations, FLAGS, real, *command, _processor()]
    call = [*command, *FLAGS.split(), f"-DREAL={real}"]

    def load(path: Path) -> ctypes.CDLL:
        lib = ctypes.CDLL(str(path))
        for function, arguments in (functions or {}).items():
            if not hasattr(lib, function):
                raise OSError(f"{command[0]} left out the function {function}")
            getattr(lib, function).argtypes = arguments
            getattr(lib, function).restype = None
        return lib

    make = partial(_compile, call, sources[0], equations)
    return load_or_build(f"{name}-{real}", content, ".so", make, load)


def _compile(call: list[str], source: Path, equations: str) -> bytes:
    """The library that a compiler makes of a source, as bytes. Raises Unavailable where it fails."""
    compiler = call[0]
    announce(call)
    try:
        with tempfile.TemporaryDirectory(prefix="rnnkit-") as folder:
            output = Path(folder, "library.so")
            Path(folder, "cell.inc").write_text(equations, encoding="utf-8")
            result = subprocess.run(
                [*call, f"-I{folder}", str(source), "-o", str(output)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
            )
            if result.returncode:
                lines = result.stderr.decode(errors="replace").strip().splitlines()
                # the lines before the first error only say which file includes which
                errors = [line for line in lines if " error: " in line] or lines or ["no message"]
                raise Unavailable(f"the compiler {compiler} failed: {errors[0]}")
            if not output.is_file():
                raise Unavailable(f"the compiler {compiler} wrote nothing")
            return output.read_bytes()
    except (OSError, ValueError, subprocess.TimeoutExpired) as reason:
        raise Unavailable(f"the compiler {compiler} could not be run ({reason})") from None


_P = ctypes.c_void_p
_INT = ctypes.c_int
_LONG = ctypes.c_int64
FUNCTIONS: dict[str, list] = {  # of step.cpp
    "net_new": [_INT] * 11,
    "net_free": [_P],
    "net_train": [_P, _INT, *[_P] * 6, _LONG, _P, _P, _LONG, _P, _P],
    "net_evaluate": [_P, _INT, *[_P] * 4, _LONG, _LONG, *[_P] * 3],
    "net_gradient": [_P] * 7,
}


@cache
def library(
    architecture: str,
    real: str = "float",
    cell: type[Cell] | None = None,
    optimizers: tuple[Callable, ...] = (),
) -> ctypes.CDLL:
    """The compiled step of an architecture, in `float` or `double`. The first time on a machine it
    takes a few seconds.

    `cell` is the architecture's cell, and `optimizers` are the equations of all optimisers. They are
    part of the cache's key, since an architecture may be registered again with other equations, and
    an optimiser may be added.
    """
    name = architecture.replace("+", "plus_")
    equations = trace(cell or cell_of(architecture)) + print_optimizers() + print_codes()
    lib = build(name, real, [SOURCE, HEADER], equations, FUNCTIONS)
    lib.net_new.restype = ctypes.c_void_p
    return lib


def task_numbers(task: Task, n_layers: int) -> dict[str, int]:
    """The numbers by which the compiled steps know a task, by step.cu's names and in the order of
    step.cpp's net_new. Raises Unavailable for a task that a network of so many layers cannot read.
    """
    if not n_layers and task.input == "index":
        raise Unavailable("a network without layers reads no sequences")
    return {
        "NI": task.n_in,
        "NO": task.n_out,
        "NT": task.steps,
        "NB": task.batch,
        "INPUT": INPUTS.index(task.input),
        "STREAMS": task.streams,
        "LOSS": LOSSES.index(task.loss),
        "HEADS": task.heads,
        "NS": task.scored,
    }


class Network:
    """The buffers of one network shape for one task, and the library's functions on torch tensors
    in this machine's memory.

    Shapes are those of step.cpp: theta, m and v are M x P; hp is M x H float64 (COLUMNS); step and
    dead are int64 of length M. Numbers of inputs and targets have the network's own type; symbols
    and classes are int32.
    """

    def __init__(
        self, architecture: str, n_layers: int, n_units: int, task: Task, real: str = "float"
    ) -> None:
        """Raises Unavailable where there is no compiled step for the architecture or the task,
        ValueError for a batch size that it cannot take, and MemoryError.
        """
        self.handle = None
        cell: Any = cell_of(architecture)  # mypy does not know that a class is hashable
        self.library = library(architecture, real, cell, all_equations())
        if task.batch % 16 or task.batch > 1024:
            raise ValueError(
                f"The compiled step takes batches of a multiple of 16 up to 1024, got {task.batch}."
            )
        self.handle = self.library.net_new(
            n_layers, max(n_units, 1), *task_numbers(task, n_layers).values()
        )
        if not self.handle:
            raise MemoryError(
                f"There must be memory for one network of {n_layers} x {n_units} units over"
                f" {task.steps} steps; use a smaller one."
            )

    def train(
        self,
        state: Sequence[Tensor],
        chunk: int,
        inputs: Tensor,
        targets: Tensor,
        make_batch: tuple[Any, Any] = (None, None),
    ) -> None:
        """Takes up to `chunk` steps of every model; `state` is (theta, m, v, hp, step, dead).

        `inputs` and `targets` are the data, or, with the `call` of some Batches as `make_batch`,
        buffers for one batch that is made again for each step.
        """
        self.library.net_train(
            self.handle,
            len(state[0]),
            *addresses(state),
            chunk,
            inputs.data_ptr(),
            targets.data_ptr(),
            inputs.shape[-1],
            *make_batch,
        )

    def evaluate(
        self,
        theta: Tensor,
        hp: Tensor,
        inputs: Tensor,
        targets: Tensor,
        weights: Tensor | None,
        loss: Tensor,
        correct: Tensor,
    ) -> None:
        """Writes each model's weighted sums of losses and of right answers into `loss` and
        `correct`, float64 of length M; without weights every sample counts 1.
        """
        self.library.net_evaluate(
            self.handle,
            len(theta),
            *addresses((theta, hp, inputs, targets)),
            inputs.shape[-1],
            len(inputs),
            *addresses((weights, loss, correct)),
        )

    def gradient(self, *tensors: Tensor) -> None:
        """For tests: from theta, hp, x, dz, z and grad of one model, writes its outputs for the
        batch x into z, and the gradient of sum(dz * z) into grad.
        """
        self.library.net_gradient(self.handle, *addresses(tensors))

    def __del__(self) -> None:
        if self.handle:
            self.library.net_free(self.handle)


def addresses(tensors: Iterable[Tensor | None]) -> list[int | None]:
    """Where the numbers of tensors begin in memory."""
    return [None if tensor is None else tensor.data_ptr() for tensor in tensors]
