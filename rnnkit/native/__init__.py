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
from functools import cache, partial
from pathlib import Path

from ..cells import cell_of
from .compilers import HOW, PATIENCE, announce, compiler
from .libraries import Unavailable, load_or_build
from .trace import Untraceable, trace

SOURCE, HEADER = (Path(__file__).with_name(name) for name in ("step.cpp", "products.h"))
FLAGS = "-O3 -march=native -std=c++17 -fno-math-errno -fno-trapping-math -fPIC -shared -w"
# columns of hp_MxH, which has one row per model, in the order of step.cpp's enum Hyper; see `column`
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
    """The column `name` (one of COLUMNS): one number per model."""
    return hp_MxH[..., COLUMNS.index(name)]


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


def build(name: str, real: str, sources: list[Path], equations: str = "", functions=None):
    """Compiles and loads the first of the sources, which includes the others and cell.inc, whose
    text is `equations`. `functions` has the list of argument types of each function to be called.

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

    def load(path):
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
                raise Unavailable(f"the compiler {compiler} failed: {(lines or ['no message'])[0]}")
            if not output.is_file():
                raise Unavailable(f"the compiler {compiler} wrote nothing")
            return output.read_bytes()
    except (OSError, ValueError, subprocess.TimeoutExpired) as reason:
        raise Unavailable(f"the compiler {compiler} could not be run ({reason})") from None


_P = ctypes.c_void_p
_INT = ctypes.c_int
_LONG = ctypes.c_int64
FUNCTIONS = {  # of step.cpp
    "net_new": [_INT] * 11,
    "net_free": [_P],
    "net_train": [_P, _INT, *[_P] * 6, _LONG, _P, _P, _LONG, _P, _P],
    "net_evaluate": [_P, _INT, *[_P] * 4, _LONG, _LONG, *[_P] * 3],
    "net_gradient": [_P] * 7,
}


@cache
def library(architecture: str, real: str = "float", cell=None) -> ctypes.CDLL:
    """The compiled step of an architecture, in `float` or `double`. The first time on a machine it
    takes a few seconds.

    `cell` is the architecture's cell. It is part of the cache's key, since an architecture may be
    registered again with other equations.
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


# enums Input and Loss of step.cpp
INPUTS = ("bits", "static", "index")
LOSSES = ("binary", "squared", "softmax")


class Network:
    """The buffers of one network shape for one task, and the library's functions on torch tensors
    in this machine's memory.

    Shapes are those of step.cpp: theta, m and v are M x P; hp is M x 14 float64 (COLUMNS); step and
    dead are int64 of length M. Numbers of inputs and targets have the network's own type; symbols
    and classes are int32.
    """

    def __init__(self, architecture, n_layers, n_units, task, real="float"):
        """Raises Unavailable where there is no compiled step for the architecture or the task,
        ValueError for a batch size that it cannot take, and MemoryError.
        """
        self.library = library(architecture, real, cell_of(architecture))  # type: ignore[arg-type]
        if task.batch % 16 or task.batch > 1024:
            raise ValueError(
                f"The compiled step takes batches of a multiple of 16 up to 1024, got {task.batch}."
            )
        if not n_layers and task.input == "index":
            raise Unavailable("a network without layers reads no sequences")
        self.handle = self.library.net_new(
            n_layers,
            max(n_units, 1),
            task.n_in,
            task.n_out,
            task.steps,
            task.batch,
            INPUTS.index(task.input),
            task.streams,
            LOSSES.index(task.loss),
            task.heads,
            task.scored,
        )
        if not self.handle:
            raise MemoryError(
                f"There must be memory for one network of {n_layers} x {n_units} units over"
                f" {task.steps} steps; use a smaller one."
            )

    def train(self, state, chunk, inputs, targets, batches=None):
        """Takes up to `chunk` steps of every model; `state` is (theta, m, v, hp, step, dead).

        `inputs` and `targets` are the data, or, with `batches` (batches.py), buffers for one batch
        that is made again for each step.
        """
        make = (batches.function, ctypes.byref(batches.source)) if batches else (None, None)
        self.library.net_train(
            self.handle,
            len(state[0]),
            *(tensor.data_ptr() for tensor in state),
            chunk,
            inputs.data_ptr(),
            targets.data_ptr(),
            inputs.shape[-1],
            *make,
        )

    def evaluate(self, theta, hp, inputs, targets, weights, loss, correct):
        """Writes each model's weighted sums of losses and of right answers into `loss` and
        `correct`, float64 of length M; without weights every sample counts 1.
        """
        self.library.net_evaluate(
            self.handle,
            len(theta),
            *(tensor.data_ptr() for tensor in (theta, hp, inputs, targets)),
            inputs.shape[-1],
            len(inputs),
            weights.data_ptr() if weights is not None else None,
            loss.data_ptr(),
            correct.data_ptr(),
        )

    def gradient(self, theta, hp, x, dz, z, grad):
        """For tests: writes the outputs of one model for the batch `x` into `z`, and the gradient
        of sum(dz * z) into `grad`.
        """
        self.library.net_gradient(self.handle, *(t.data_ptr() for t in (theta, hp, x, dz, z, grad)))

    def __del__(self):
        if getattr(self, "handle", None):
            self.library.net_free(self.handle)
