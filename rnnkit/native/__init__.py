"""The compiled training step: step.cpp with a cell's equations in it, built once with the machine's
own C++ compiler and kept.

One library serves every size, depth and number of steps of its cell. Where no compiler is found, or
a cell's equations use something that the tracer does not know, `library` raises Unavailable with
the reason and training runs the plain torch step.
"""

import ctypes
import hashlib
import os
import platform
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from ..cells import cell_of
from .compilers import HOW, PATIENCE, announce, compiler
from .trace import Untraceable, trace

SOURCE, HEADER = (Path(__file__).with_name(name) for name in ("step.cpp", "products.h"))
FLAGS = "-O3 -march=native -std=c++17 -fno-math-errno -fno-trapping-math -fPIC -shared -w"
# order of the columns of hp_MxH; step.cpp's enum Hyper
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


class Unavailable(RuntimeError):
    """Why there is no compiled step for a cell on this machine."""


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


def _folder() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        folder = root / "rnnkit"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:  # a read-only home: compile again in each process rather than not at all
        return Path(tempfile.mkdtemp(prefix="rnnkit-"))


def build(name: str, real: str, sources: list[Path], equations: str = "") -> ctypes.CDLL:
    """The library of the first of the sources, which includes the others and cell.inc, whose text
    is `equations`; kept under its content.

    Raises Unavailable where there is no compiler, or none that can compile it.
    """
    command = compiler()
    if command is None:
        raise Unavailable(f"no C++ compiler was found; {HOW}")
    content = [
        *(source.read_text() for source in sources),
        equations,
        FLAGS,
        real,
        *command,
        _processor(),
    ]
    target = (
        _folder()
        / f"{name}-{real}-{hashlib.sha256(chr(0).join(content).encode()).hexdigest()[:20]}.so"
    )
    if not target.exists():
        announce(command)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            Path(folder, "cell.inc").write_text(equations)
            made = Path(folder, "made.so")
            call = [
                *command,
                *FLAGS.split(),
                f"-DREAL={real}",
                f"-I{folder}",
                str(sources[0]),
                "-o",
                str(made),
            ]
            try:
                done = subprocess.run(call, capture_output=True, text=True, timeout=PATIENCE)
            except (OSError, subprocess.TimeoutExpired) as reason:
                raise Unavailable(
                    f"the compiler {command[0]} could not be run ({reason})"
                ) from None
            if done.returncode:
                raise Unavailable(
                    f"the compiler {command[0]} failed:"
                    f" {(done.stderr.strip().splitlines() or ['no message'])[0]}"
                )
            os.replace(
                made, target
            )  # atomic: two workers may compile at once, and either library will do
    return ctypes.CDLL(str(target))


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
    lib = build(architecture.replace("+", "plus_"), real, [SOURCE, HEADER], equations)
    pointer, whole = ctypes.c_void_p, ctypes.c_int
    lib.net_new.argtypes, lib.net_new.restype = [whole] * 11, pointer
    lib.net_free.argtypes, lib.net_free.restype = [pointer], None
    lib.net_train.argtypes, lib.net_train.restype = (
        [
            pointer,
            whole,
            *[pointer] * 6,
            ctypes.c_int64,
            pointer,
            pointer,
            ctypes.c_int64,
            pointer,
            pointer,
        ],
        None,
    )
    lib.net_evaluate.argtypes, lib.net_evaluate.restype = (
        [
            pointer,
            whole,
            *[pointer] * 4,
            ctypes.c_int64,
            ctypes.c_int64,
            *[pointer] * 3,
        ],
        None,
    )
    lib.net_gradient.argtypes, lib.net_gradient.restype = [pointer] * 7, None
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
        self.library = library(architecture, real, cell_of(architecture))
        if task.batch % 16 or task.batch > 1024:
            raise ValueError(
                f"The compiled step takes batches of a multiple of 16 up to 1024, got {task.batch}."
            )
        if not n_layers and task.input == "index":
            raise Unavailable("a network without layers reads no sequences")
        kinds = (
            INPUTS.index(task.input),
            getattr(task, "streams", 1),
            LOSSES.index(task.loss),
            getattr(task, "heads", 1),
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
