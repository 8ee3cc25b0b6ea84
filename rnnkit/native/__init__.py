"""The compiled training step: step.cpp with a cell's equations in it, built once with the machine's
own C++ compiler and kept.

One library serves every size, depth and number of steps of its cell. Where no compiler is found, or
a cell's equations use something that the tracer does not know, `library` raises Unavailable with
the reason and training runs the plain torch step.
"""

import ctypes
import os
import platform
import subprocess
import tempfile
from functools import cache, partial
from pathlib import Path

from ..cells import cell_of
from .compilers import HOW, PATIENCE, announce, compiler
from .libraries import Unavailable, loaded
from .trace import Untraceable, trace

SOURCE, HEADER = (Path(__file__).with_name(name) for name in ("step.cpp", "products.h"))
FLAGS = "-O3 -march=native -std=c++17 -fno-math-errno -fno-trapping-math -fPIC -shared -w"
# columns of hp_MxH, a row for each model, in the order of step.cpp's enum Hyper; see `column`
COLUMNS = (
    "lr_init",
    "lr_decay_rate",
    "train_steps",
    "m_keep",
    "m_take",
    "v_keep",
    "adaptive",
    "correct",
    "clip",
    "l2",
    "relu",
    "every",
    "samples",
    "first_scored",
)


def column(hp_MxH, name: str):
    """The column of that name (COLUMNS), a number for each model."""
    return hp_MxH[..., COLUMNS.index(name)]


@cache
def _processor() -> str:
    """What -march=native depends on, so that a home folder shared between machines does not mix
    their libraries.
    """
    try:
        text = Path("/proc/cpuinfo").read_text()
        return next(
            (line for line in text.splitlines() if line.startswith(("flags", "Features"))),
            platform.machine(),
        )
    except OSError:
        return platform.platform() + platform.processor()


def build(name: str, real: str, sources: list[Path], equations: str = "", functions=None):
    """The library of the first of the sources, which includes the others and cell.inc, whose text
    is `equations`; kept under its content. `functions` has the arguments of each: a list of types.

    Raises Unavailable, with the reason, where there is no compiler, or what it makes is of no use.
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

    def load(path):
        lib = ctypes.CDLL(str(path))
        for function, arguments in (functions or {}).items():
            if not hasattr(lib, function):
                raise OSError(f"{command[0]} left out the function {function}")
            getattr(lib, function).argtypes = arguments
            getattr(lib, function).restype = None
        return lib

    make = partial(_compiled, call, sources[0], equations)
    return loaded(f"{name}-{real}", content, ".so", make, load)


def _compiled(call: list[str], source: Path, equations: str) -> bytes:
    """What a compiler makes of a source. Raises Unavailable where it makes nothing."""
    compiler = call[0]
    announce(call)
    try:
        with tempfile.TemporaryDirectory(prefix="rnnkit-") as folder:
            made = Path(folder, "made.so")
            Path(folder, "cell.inc").write_text(equations, encoding="utf-8")
            done = subprocess.run(
                [*call, f"-I{folder}", str(source), "-o", str(made)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
            )
            if done.returncode:
                lines = done.stderr.decode(errors="replace").strip().splitlines()
                raise Unavailable(f"the compiler {compiler} failed: {(lines or ['no message'])[0]}")
            if not made.is_file():
                raise Unavailable(f"the compiler {compiler} wrote nothing")
            return made.read_bytes()
    except (OSError, ValueError, subprocess.TimeoutExpired) as reason:
        raise Unavailable(f"the compiler {compiler} could not be run ({reason})") from None


_P, _INT, _LONG = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
FUNCTIONS = {  # step.cpp's
    "net_new": [_INT] * 11,
    "net_free": [_P],
    "net_train": [_P, _INT, *[_P] * 6, _LONG, _P, _P, _LONG, _P, _P],
    "net_evaluate": [_P, _INT, *[_P] * 4, _LONG, _LONG, *[_P] * 3],
    "net_gradient": [_P] * 7,
}


@cache
def library(architecture: str, real: str = "float", cell=None) -> ctypes.CDLL:
    """The compiled step of an architecture in `float` or `double`. Takes a few seconds the first
    time on a machine.

    `cell` is the architecture's, and named where it may have been registered anew with other
    equations.
    """
    cell = cell or cell_of(architecture)
    try:
        equations = trace(cell)
    except Untraceable as reason:
        raise Unavailable(str(reason)) from None
    name = architecture.replace("+", "plus_")
    lib = build(name, real, [SOURCE, HEADER], equations, FUNCTIONS)
    lib.net_new.restype = ctypes.c_void_p
    return lib


INPUTS, LOSSES = (
    ("bits", "static", "index"),
    (
        "binary",
        "squared",
        "softmax",
    ),
)  # step.cpp's enums Input and Loss


class Network:
    """Buffers of one network shape for one task, and the library's functions on torch tensors in
    this machine's memory.

    Shapes as in step.cpp: theta, m, v are M x P; hp is M x 14 float64 (COLUMNS); step and dead are
    int64 of length M. Numbers of inputs and targets are of the network's own type, symbols and
    classes int32.
    """

    def __init__(self, architecture, n_layers, n_units, task, real="float"):
        self.library = library(architecture, real, cell_of(architecture))  # type: ignore[arg-type]
        if task.batch % 16 or task.batch > 1024:
            raise ValueError(
                f"The compiled step takes batches of a multiple of 16 up to 1024, got {task.batch}."
            )
        if not n_layers and task.input == "index":
            raise Unavailable("a network without layers reads no sequences")
        kinds = (
            INPUTS.index(task.input),
            task.streams,
            LOSSES.index(task.loss),
            task.heads,
            task.scored,
        )
        self.handle = self.library.net_new(
            n_layers, max(n_units, 1), task.n_in, task.n_out, task.steps, task.batch, *kinds
        )
        if not self.handle:
            raise MemoryError(
                f"There must be memory for one network of {n_layers} x {n_units} units over"
                f" {task.steps} steps; use a smaller one."
            )

    def train(self, theta, m, v, hp, step, dead, chunk, inputs, targets, batches=None):
        """`inputs` and `targets` are the data; with `batches` (batches.py) they are room for one
        batch, made anew for each step.
        """
        p = [t.data_ptr() for t in (theta, m, v, hp, step, dead)]
        made = (batches.function, ctypes.byref(batches.source)) if batches else (None, None)
        self.library.net_train(
            self.handle,
            len(theta),
            *p,
            chunk,
            inputs.data_ptr(),
            targets.data_ptr(),
            inputs.shape[-1],
            *made,
        )

    def evaluate(self, theta, hp, inputs, targets, weight, loss, correct):
        pointers = theta.data_ptr(), hp.data_ptr(), inputs.data_ptr(), targets.data_ptr()
        weights = weight.data_ptr() if weight is not None else None
        self.library.net_evaluate(
            self.handle,
            len(theta),
            *pointers,
            inputs.shape[-1],
            len(inputs),
            weights,
            loss.data_ptr(),
            correct.data_ptr(),
        )

    def gradient(self, theta, hp, x, dz, z, grad):
        self.library.net_gradient(self.handle, *(t.data_ptr() for t in (theta, hp, x, dz, z, grad)))

    def __del__(self):
        if getattr(self, "handle", None):
            self.library.net_free(self.handle)
