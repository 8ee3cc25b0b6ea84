"""The fused training step for a GPU: step.cu with a cell's equations in it, compiled for the device
that is there, and launched.

Shapes are constants of the kernel, so that each study has its own. NVRTC compiles it (the library
comes with torch for CUDA, and by itself as the package nvidia-cuda-nvrtc) and needs no GPU for
that; the cubin is kept beside the compiled steps. Launching goes through the driver's own library,
on the streams and memory of torch.
"""

import ctypes
import ctypes.util
import re
import sys
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from ..cells import cell_of
from . import INPUTS, LOSSES
from .batches import HEADER as PHILOX
from .batches import KINDS
from .libraries import Unavailable, load_or_build
from .trace import Untraceable, trace

SOURCE, *HEADERS = (
    *(Path(__file__).with_name(name) for name in ("step.cu", "block.cuh", "draws.cuh")),
    PHILOX,
)
SHARED_BYTES = (
    227 * 1024
    # shared memory that a block may have on most data-centre GPUs; the device at hand is asked when
    # one is there
)
MOST_GLOBAL = 2**31  # numbers of one model's memory: places in it are 32-bit


@dataclass(frozen=True)
class Kernel:
    """A kernel to be: the shapes of a network and its task, and how a block goes about it (see
    step.cu).
    """

    architecture: str
    NU: int
    NL: int
    NI: int
    NO: int
    NT: int
    NB: int
    INPUT: int
    STREAMS: int
    LOSS: int
    HEADS: int
    NS: int
    DRAW: int = -1
    THREADS: int = 64
    TILE: int = 4
    MEMORY: int = 4

    @cached_property
    def equations(self) -> str:
        try:
            return trace(cell_of(self.architecture), "cuda")
        except Untraceable as reason:
            raise Unavailable(str(reason)) from None

    @property
    def defines(self) -> list[str]:
        names = (
            "NU",
            "NL",
            "NI",
            "NO",
            "NT",
            "NB",
            "INPUT",
            "STREAMS",
            "LOSS",
            "HEADS",
            "NS",
            "DRAW",
            "THREADS",
            "TILE",
            "MEMORY",
        )
        return [
            f"-D{name}={max(1, self.NU) if name == 'NU' else getattr(self, name)}" for name in names
        ]

    def _number(self, name) -> int:
        return int(re.findall(rf"\b{name} = (\d+)", self.equations)[0])

    def _true(self, name) -> bool:
        return re.findall(rf"\b{name} = (\w+)", self.equations)[0] == "true"

    @property
    def _maps(self) -> int:
        return self._number("MAPS")

    @property
    def _layer(self) -> int:
        """Numbers that a layer keeps of its steps for the way back."""
        saved = (
            self._number("SAVES") + self._number("ARGS") + (0 if self._true("UP_IS_STATE") else 1)
        )
        return (
            max(1, self.NU) * self.NB * (self._number("STATES") * (self.NT + 1) + saved * self.NT)
        )

    @cached_property
    def levels(self) -> tuple[int, int, int, int, int]:
        """Numbers of shared memory that MEMORY 0 ... 4 takes, as step.cu lays them out."""
        maps, states, args, recurrent = (
            self._number(name) for name in ("MAPS", "STATES", "ARGS", "RECURRENT")
        )
        N, L, I, O, T, B, S = max(1, self.NU), self.NL, self.NI, self.NO, self.NT, self.NB, self.NS
        n, project, pad = N * B, self._true("EQUAL_SIZES") and L > 0, lambda x: (x + 3) // 4 * 4
        first = N if project else I
        P = (N * I + N if project else 0) + sum(
            maps * N * (first if l == 0 else N) + recurrent * N * N for l in range(L)
        )
        P += L * (maps + states) * N + O * (N if L else I) + O
        bits = self.INPUT == INPUTS.index("bits")
        one = 2 * pad(P) + ((I + 31) // 32 * B + B if bits else 0) + pad(self.THREADS // 32)
        step = (0 if project or not L else maps * n) + states * n + (n if args else 0)
        errors = (maps * n * T if L else 0) + (2 * T if L > 1 else S * L) * n
        targets = (
            0
            if self.DRAW <= 0
            else S * self.HEADS * B
            if self.LOSS == LOSSES.index("softmax")
            else O * B
        )
        drawn = targets + (
            0
            if self.DRAW < 0
            else T * self.STREAMS * B
            if self.INPUT == INPUTS.index("index")
            else I * B
        )
        more = (
            (2 * n * T if project else 0)
            + drawn
            + 2 * S * O * B
            + (self._layer if L else 0)
            + (T * n if L > 1 else 0)
        )
        own = (
            maps * n
            # room for the maps' results, which have a place among the errors where those are in
            # shared memory
        )
        return 0, one, one + step + own, one + step + errors, one + step + errors + more

    @property
    def shared(self) -> int:
        """Bytes of shared memory of a block."""
        return 4 * self.levels[self.MEMORY]

    @property
    def global_numbers(self) -> int:
        """Numbers of global memory that a model needs while it is at work."""
        n = max(1, self.NU) * self.NB
        layers = self.NL - 1 if self.MEMORY == 4 else self.NL
        sizes = self.levels
        if self.MEMORY == 4:
            return max(0, layers) * self._layer
        outside = (
            sizes[4]
            - sizes[3]
            - (self._layer if self.NL else 0)
            - (self.NT * n if self.NL > 1 else 0)
        )  # of layers, of level 3
        before = sizes[3] if self.MEMORY == 3 else sizes[3] + self._maps * n
        return before + outside + layers * self._layer - sizes[self.MEMORY]


def kernel_for(study, shared=SHARED_BYTES, **chosen) -> Kernel:
    """The kernel of a study's network and task on a device with so many bytes of shared memory a
    block. Unavailable where none can be.
    """
    task = study.task
    kinds = (
        INPUTS.index(task.input),
        task.streams,
        LOSSES.index(task.loss),
        task.heads,
        task.scored,
    )
    kernel = Kernel(
        study.architecture,
        study.n_units,
        study.n_layers,
        task.n_in,
        task.n_out,
        task.steps,
        task.batch,
        *kinds,
        KINDS.index(task.name) if task.name in KINDS else -1,
    )
    if task.batch % 4 or task.batch > 1024:
        raise Unavailable(
            "the step for a GPU takes batches of a multiple of 4 up to 1024, and this one has"
            f" {task.batch}"
        )
    if not study.n_layers and task.input == "index":
        raise Unavailable("a network without layers reads no sequences")
    if replace(kernel, MEMORY=0).global_numbers >= MOST_GLOBAL:
        raise Unavailable("one model's activations take more than 8 GB")
    return replace(kernel, **choice(kernel, shared) | chosen)


def choice(kernel, shared, near=True) -> dict:
    """Threads, tile and memory of a kernel, by `rnnkit bench gpu --sweep`.

    A large block has its errors and, if it can be, all that a layer keeps in shared memory, and
    threads enough to be alone on its multiprocessor. Where that does not fit, or not `near`, a
    small one has a thread for each four samples of four rows of the product that a step mostly
    waits for, and so many of them are on a multiprocessor at once that one works while another
    waits.
    """
    every = max(1, kernel.NU) * max(1, kernel._maps)
    threads = next(
        (
            few
            for few in (64, 128)
            if (every if kernel.NL == 1 else kernel.NU) * kernel.NB <= 16 * few
        ),
        256,
    )
    half = shared // 2 - 512  # a block takes a KB besides its own
    sizes = [4 * numbers for numbers in replace(kernel, THREADS=512).levels]
    # MEMORY, bytes at most, threads at least
    order = ((4, half, 128), (4, shared, 256), (3, half, 256), (3, shared, 256))
    for memory, room, least in order if near else ():
        if sizes[memory] <= room and not (kernel.NL == 1 and (memory, room) == (4, shared)):
            threads = (
                512 if room == shared and every * kernel.NB > 16 * 256 else max(threads, least)
            )
            return {
                "THREADS": threads,
                "TILE": 2 if every * kernel.NB <= 8 * threads else 4,
                "MEMORY": memory,
            }
    memory = next(
        level for level in (4, 2, 1, 0) if sizes[level] <= (half if level > 1 else shared)
    )
    blocks = min(16, shared // max(1, sizes[memory]))
    return {
        "THREADS": max(
            threads, next(many for many in (64, 128, 256) if many * blocks >= 512 or many == 256)
        ),
        "TILE": 4,
        "MEMORY": memory,
    }


# ---- compiling -----------------------------------------------------------------------------------
@cache
def _nvrtc() -> ctypes.CDLL:
    found = [
        str(path)
        for folder in sys.path
        if folder
        for path in sorted(Path(folder).glob("nvidia/*/lib/libnvrtc.so.*"))
    ]
    for path in found:  # NVRTC asks for this one by name, which only works once it is loaded
        for part in sorted(Path(path).parent.glob("libnvrtc-builtins.so*")):
            ctypes.CDLL(str(part))
    for name in (*found, "libnvrtc.so.13", "libnvrtc.so.12", ctypes.util.find_library("nvrtc")):
        if name:
            try:
                return ctypes.CDLL(name)
            except OSError:
                continue
    raise Unavailable(
        "NVRTC was not found (it comes with torch for CUDA, or as the package nvidia-cuda-nvrtc)"
    )


@dataclass(frozen=True)
class Compiled:
    cubin: bytes
    log: str  # of the assembler: registers, spills


def compile(kernel: Kernel, arch: str) -> Compiled:
    """A kernel's machine code for a kind of device, as "sm_90". Takes some seconds. Unavailable
    where NVRTC is not here or cannot.
    """
    lib = _nvrtc()
    options = [
        f"--gpu-architecture={arch}",
        "--std=c++17",
        "-default-device",
        "--ptxas-options=-v",
        *kernel.defines,
    ]
    headers = {path.name: path.read_text() for path in HEADERS} | {"cell.inc": kernel.equations}
    strings = lambda texts: (ctypes.c_char_p * len(texts))(*[text.encode() for text in texts])
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    made = lib.nvrtcCreateProgram(
        ctypes.byref(program),
        SOURCE.read_text().encode(),
        b"step.cu",
        len(headers),
        strings(list(headers.values())),
        strings(list(headers)),
    )
    if made:
        raise Unavailable(f"NVRTC failed with error {made}")
    try:
        failed = lib.nvrtcCompileProgram(program, len(options), strings(options))
        lib.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value + 1)
        lib.nvrtcGetProgramLog(program, log)
        if failed:
            raise Unavailable(
                f"NVRTC could not compile the step for {arch}:"
                f" {log.value.decode(errors='replace').strip()[:500]}"
            )
        lib.nvrtcGetCUBINSize(program, ctypes.byref(size))
        cubin = ctypes.create_string_buffer(size.value)
        lib.nvrtcGetCUBIN(program, cubin)
    finally:
        lib.nvrtcDestroyProgram(ctypes.byref(program))
    return Compiled(cubin.raw, log.value.decode(errors="replace"))


def cubin(kernel: Kernel, arch: str) -> bytes:
    """The same, kept on disk."""
    lib, major, minor = _nvrtc(), ctypes.c_int(), ctypes.c_int()
    lib.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    texts = [
        *(path.read_text() for path in (SOURCE, *HEADERS)),
        kernel.equations,
        *kernel.defines,
        arch,
        f"{major.value}.{minor.value}",
    ]
    make = lambda: compile(kernel, arch).cubin
    return load_or_build(f"{kernel.architecture}-{arch}", texts, ".cubin", make, Path.read_bytes)


# ---- launching -----------------------------------------------------------------------------------
MAX_DYNAMIC_SHARED, CARVEOUT = 8, 9  # attributes of a function


class DriverError(RuntimeError):
    """What the CUDA driver said of a call."""


@cache
def _driver() -> ctypes.CDLL:
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise Unavailable("the CUDA driver's library was not found")


def _call(name, *arguments):
    code = getattr(_driver(), name)(*arguments)
    if code:
        text = ctypes.c_char_p()
        _driver().cuGetErrorString(code, ctypes.byref(text))
        raise DriverError(f"{name} failed: {(text.value or b'unknown error').decode()} ({code})")


class Function:
    """A kernel's function on a device, called with torch tensors (or None) and whole numbers."""

    def __init__(self, module, name, kernel):
        self.handle, self.threads, self.shared = ctypes.c_void_p(), kernel.THREADS, kernel.shared
        _call("cuModuleGetFunction", ctypes.byref(self.handle), module, name.encode())
        if self.shared > 48 * 1024:
            _call("cuFuncSetAttribute", self.handle, MAX_DYNAMIC_SHARED, self.shared)
        _call(
            "cuFuncSetAttribute", self.handle, CARVEOUT, 100
        )  # the same of all: else kernels of two kinds wait for each other

    def __call__(self, blocks, stream, *arguments):
        values = [
            (
                ctypes.c_void_p(0)
                if a is None
                else ctypes.c_void_p(a.data_ptr())
                if hasattr(a, "data_ptr")
                else a
            )
            for a in arguments
        ]
        packed = (ctypes.c_void_p * len(values))(
            *[ctypes.cast(ctypes.pointer(v), ctypes.c_void_p) for v in values]
        )
        _call(
            "cuLaunchKernel",
            self.handle,
            blocks,
            1,
            1,
            self.threads,
            1,
            1,
            self.shared,
            ctypes.c_void_p(stream),
            packed,
            None,
        )


class Stream:
    """A stream of the device's own, of which torch has only 32; `on()` is torch's context manager
    for it.
    """

    def __init__(self, device):
        import torch

        place = ctypes.c_void_p()
        _call("cuStreamCreate", ctypes.byref(place), 1)  # does not wait for the default stream
        self.handle, self.torch = place.value, torch.cuda.ExternalStream(place.value, device=device)

    def on(self):
        import torch

        return torch.cuda.stream(self.torch)


class Module:
    """A kernel loaded on a torch device: its functions `train` and `evaluate`. Unavailable,
    DriverError.
    """

    def __init__(self, kernel: Kernel, device):
        self.device, self.kernel, code = device, kernel, cubin(kernel, arch_of(device))
        handle = ctypes.c_void_p()
        _call("cuModuleLoadData", ctypes.byref(handle), code)
        self.train, self.evaluate = (
            Function(handle, name, kernel) for name in ("train", "evaluate")
        )
        place, size, found = ctypes.c_uint64(), ctypes.c_size_t(), (ctypes.c_int * 3)()
        _call("cuModuleGetGlobal_v2", ctypes.byref(place), ctypes.byref(size), handle, b"numbers")
        _call("cuMemcpyDtoH_v2", found, place, ctypes.c_size_t(ctypes.sizeof(found)))
        if (4 * found[1], found[2]) != (kernel.shared, kernel.global_numbers):
            raise DriverError(
                f"the kernel's memory must be {kernel.shared} bytes and {kernel.global_numbers} numbers, got"
                f" {list(found)}"
            )

    def stream(self) -> Stream:
        """A stream for a flight; give it back with `free`, since streams are for ever."""
        return _streams(self.device).pop() if _streams(self.device) else Stream(self.device)

    def free(self, stream):
        _streams(self.device).append(stream)

    def host_zeros(self, *shape, dtype):
        """Zeros in memory of the host that the device sees too."""
        import torch

        return torch.zeros(*shape, dtype=dtype, pin_memory=True)

    def current(self) -> int:
        """The stream that torch works on."""
        import torch

        return torch.cuda.current_stream(self.device).cuda_stream

    def settle(self):
        """Waits for torch's own stream."""
        import torch

        torch.cuda.current_stream(self.device).synchronize()

    def wait(self):
        """Waits for all that the device does."""
        import torch

        torch.cuda.synchronize(self.device)


@cache
def _streams(device) -> list:
    return []


def module_for(study, device) -> Module:
    """The module of a study's kernel on a torch device, loaded once. Unavailable."""
    kernel = kernel_for(study, shared_bytes(device))
    try:
        return _module(kernel, kernel.equations, device)
    except DriverError as reason:  # as where NVRTC is newer than the driver
        raise Unavailable(str(reason)) from None


@cache
def _module(kernel, equations, device):
    return Module(kernel, device)


def arch_of(device) -> str:
    """The kind of a torch device, as "sm_90"."""
    import torch

    torch.cuda.init()
    with torch.cuda.device(device):
        torch.zeros(
            1, device=device
        )  # makes the device's context current, which the driver's calls below need
    return "sm_{}{}".format(*torch.cuda.get_device_capability(device))


def kind_of(device) -> tuple[str, int]:
    """What a kernel is compiled for: the kind of a torch device and its shared memory."""
    return arch_of(device), shared_bytes(device)


@cache
def shared_bytes(device) -> int:
    """Shared memory that a block may have on a torch device."""
    import torch

    return getattr(
        torch.cuda.get_device_properties(device), "shared_memory_per_block_optin", SHARED_BYTES
    )
