"""The fused training step for a GPU: step.cu with a cell's equations in it, compiled for the device
at hand, and launched.

Shapes are constants of a kernel, so each study has its own. NVRTC compiles it (that library comes
with torch for CUDA, or by itself as the package nvidia-cuda-nvrtc), which takes no GPU; the cubin is
kept beside the compiled steps. Launches go through the driver's own library, on torch's streams and
memory.
"""

import ctypes
import ctypes.util
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..cells import cell_of
from . import Study, task_numbers
from .batches import HEADER as PHILOX
from .codes import INPUTS, KINDS, LOSSES, print_codes
from .libraries import Unavailable, load_or_build
from .plan import Plan, plan
from .trace import print_optimizers, print_plan

SOURCE = Path(__file__).with_name("step.cu")
HEADERS = (SOURCE.with_name("block.cuh"), SOURCE.with_name("draws.cuh"), PHILOX)
# Shared memory that a block may have on most data-centre GPUs; a device at hand is asked itself.
SHARED_BYTES = 227 * 1024
MOST_GLOBAL = 2**31  # numbers in one model's memory, whose offsets are 32-bit
ALONE = 4_096  # numbers of a step's results from which a block may have a multiprocessor to itself
# units from which parts of matrices are staged, and numbers staged at a time, also beside a step
WIDE = 35
STAGED = 32
NEAR_STAGED = (16, 8)
LARGE = 2_048  # numbers of a gradient from which its factors are staged (block.cuh)
STREAMS_APART = KINDS.index("parens_counting")  # no two of whose streams have a symbol in common
LONG = 20  # steps from which the states of one are in shared memory rather than the gradient


@dataclass(frozen=True)
class Kernel:
    """A kernel that is to be compiled: the shapes of a network and its task, and the constants THREADS,
    TILE, MEMORY and STAGE of a block's work. step.cu and block.cuh explain all of them.
    """

    architecture: str
    num_params: int
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
    MEMORY: int = 5
    STAGE: int = 0

    @cached_property
    def plan(self) -> Plan:
        return plan(cell_of(self.architecture))

    @cached_property
    def equations(self) -> str:
        return print_plan(self.plan, "cuda") + print_optimizers("cuda") + print_codes()

    @property
    def defines(self) -> list[str]:
        """The compiler's options that define the constants of step.cu."""
        return [f"-D{field.name}={getattr(self, field.name)}" for field in fields(self)[2:]]

    @property
    def sources(self) -> list[str]:
        """All texts of which the kernel is made."""
        texts = [path.read_text() for path in (SOURCE, *HEADERS)]
        return [*texts, self.equations, *self.defines]

    @property
    def maps(self) -> int:
        return len(self.plan.cell.maps)

    @property
    def _reads_symbols(self) -> bool:
        return self.INPUT == INPUTS.index("index")

    @property
    def _input_rows(self) -> int:
        """Rows of the matrix that reads the input."""
        return self.NU if self._projects else self.NU * self.maps

    @property
    def _projects(self) -> bool:
        return self.plan.cell.equal_sizes and self.NL > 0

    @property
    def _many_streams(self) -> bool:
        return self._reads_symbols and self.STREAMS > 1 and self.DRAW == STREAMS_APART

    @property
    def _overlaid(self) -> bool:
        """Whether the sums of the inputs' gradient take the place of the parameters (step.cu)."""
        return self._many_streams and self.MEMORY in (1, 2)

    @property
    def _numbers(self) -> int:
        """Numbers of a layer's units, or of one map's results, at one step."""
        return self.NU * self.NB

    @property
    def _layer(self) -> int:
        """Numbers that a layer keeps of its steps for the backward pass."""
        values = self.plan.saves + self.plan.args + (not self.plan.up_is_state)
        return self._numbers * (len(self.plan.cell.states) * (self.NT + 1) + values * self.NT)

    @property
    def _layer_at_work(self) -> int:
        """Numbers of memory that one layer takes, what it reads from the layer below included."""
        return (self._layer if self.NL else 0) + (self.NT * self._numbers if self.NL > 1 else 0)

    @property
    def _drawn_numbers(self) -> int:
        """Numbers of a batch that the block draws."""
        inputs = self.NT * self.STREAMS if self._reads_symbols else self.NI
        targets = self.NS * self.HEADS if self.LOSS == LOSSES.index("softmax") else self.NO
        if self.DRAW <= 0:  # none, or those of the memory task, whose targets are its inputs
            return 0 if self.DRAW < 0 else self.NB * inputs
        return self.NB * (inputs + targets)

    @cached_property
    def levels(self) -> tuple[int, int, int, int, int, int]:
        """Numbers of shared memory that MEMORY 0 ... 5 takes, laid out as in step.cu."""
        maps = self.maps
        states = len(self.plan.cell.states)
        args = self.plan.args
        L = self.NL
        T = self.NT
        B = self.NB
        S = self.NS
        n = self._numbers
        parameters = _pad(self.num_params)
        project = self._projects
        # 1: parameters, and the packed samples of a batch
        samples = (self.NI + 31) // 32 * B + B if self.INPUT == INPUTS.index("bits") else 0
        level_1 = parameters + samples + _pad(self.THREADS // 32)
        # 2: what one step of a layer uses, the results of its maps and its states included
        inputs = 0 if project or not L else maps * n
        of_a_step = 2 * states + args + (L > 0 and (project or L > 1))
        level_2 = level_1 + inputs + of_a_step * n + maps * n
        # 3: the gradient instead of the states
        step = inputs + states * n + (n if args else 0)
        level_3 = level_1 + step + maps * n + parameters
        # 4: the adjoints of all steps of a layer, among which the results of maps have room
        level_4 = level_3 - maps * n + (maps * n * T if L else 0) + (2 * T if L > 1 else S * L) * n
        # 5: everything, with one layer at a time
        outside = (2 * n * T if project else 0) + self._drawn_numbers + 2 * S * self.NO * B
        return 0, level_1, level_2, level_3, level_4, level_4 + outside + self._layer_at_work

    @property
    def stage_numbers(self) -> int:
        """Numbers of shared memory in which a block stages parts of matrices (block.cuh)."""
        pitch = self.STAGE + 4
        side = 8 if self.NB >= 64 else 4
        rows = self.THREADS // (self.NB // side) * 8
        weights = rows * pitch if rows > self.STAGE else self.STAGE * (rows + 4)
        product = weights + self.STAGE * self.NB if self.MEMORY < 2 else 0
        gradient = (224 if self.MEMORY < 2 else 160) * pitch
        parts = 2 * max(product, gradient) if self.STAGE else 0
        return parts if self._overlaid else max(parts, self._symbol_numbers)

    @property
    def _symbol_numbers(self) -> int:
        """Numbers of shared memory in which a block adds up the gradient of the inputs' weights."""
        if not self._reads_symbols:
            return 0
        if not self._many_streams:
            return _pad(self.NI * 32 + self.NB * 33)
        rows = min(32, _pad(self._input_rows))
        return self.NI * rows + 2 * (rows + self.STREAMS) * (self.NB + 4)

    @property
    def shared(self) -> int:
        """Bytes of shared memory of a block."""
        numbers = self.stage_numbers + self.levels[self.MEMORY]
        return 4 * (max(numbers, self._symbol_numbers) if self._overlaid else numbers)

    @property
    def global_numbers(self) -> int:
        """Numbers of global memory that a model needs while it is in training."""
        if self.MEMORY == 5:
            return max(0, self.NL - 1) * self._layer
        _, _, level_2, level_3, _, level_5 = self.levels
        everything = level_5 - self._layer_at_work + self.NL * self._layer
        if self.MEMORY < 4:
            everything += self.maps * self._numbers  # results, beside the adjoints
        if self.MEMORY == 2:  # the gradient comes after the states
            everything += level_2 - (level_3 - _pad(self.num_params))
        return everything - self.levels[self.MEMORY]


def _pad(count: int) -> int:
    """The next multiple of four."""
    return (count + 3) // 4 * 4


def kernel_for(study: Study, shared: int = SHARED_BYTES, **tuning: Any) -> Kernel:
    """The kernel of a study's network and task, on a device with so many bytes of shared memory per
    block; `tuning` replaces what `choice` chooses. Raises Unavailable if there cannot be one.
    """
    task = study.task
    kernel = Kernel(
        study.architecture,
        study.num_params,
        max(1, study.n_units),
        study.n_layers,
        **task_numbers(task, study.n_layers),
        DRAW=KINDS.index(task.name) if task.name in KINDS else -1,
    )
    if task.batch % 4 or task.batch > 1024:
        raise Unavailable(
            "the step for a GPU takes batches of a multiple of 4 up to 1024, and this one has"
            f" {task.batch}"
        )
    if replace(kernel, MEMORY=0).global_numbers >= MOST_GLOBAL:
        raise Unavailable("one model's activations take more than 8 GB")
    return replace(choice(kernel, shared), **tuning)


def choice(kernel: Kernel, shared: int, near: bool = True) -> Kernel:
    """`kernel` with THREADS, TILE, MEMORY and STAGE: by what `rnnkit bench gpu --sweep` measures, and
    by counting where it measures nothing.

    A large block has in shared memory its adjoints and, if they fit, all values that a layer keeps,
    and enough threads to have its multiprocessor to itself. Where that does not fit, or without
    `near`, a block of wide layers or of long sequences has what one step uses in shared memory, or,
    if even that is too large, stages parts of its matrices. Another block is small: it has one
    thread per four samples of four rows of the product that takes a step most of its time, so that
    many blocks share a multiprocessor and one works while another waits.
    """
    work = kernel.NU * max(1, kernel.maps) * kernel.NB
    busiest = work if kernel.NL == 1 else kernel.NU * kernel.NB
    threads = next((count for count in (64, 128) if busiest <= 16 * count), 256)
    half = shared // 2 - 512  # a block takes 1 KB more than it asks for
    sizes = [replace(kernel, THREADS=512, STAGE=0, MEMORY=level).shared for level in range(6)]
    # large blocks: MEMORY, bytes at most, threads at least
    options = [(5, half, 128), (5, shared, 256), (4, half, 256)]
    if work > ALONE:
        options.append((4, shared, 256))
    for memory, room, least in options if near else ():
        if sizes[memory] <= room and not (kernel.NL == 1 and (memory, room) == (5, shared)):
            alone = room == shared and work > ALONE
            threads = 512 if alone else max(threads, least)
            return _with_block(kernel, threads, _tile(work, threads, 2), memory)
    is_wide = kernel.NU >= WIDE
    if is_wide or kernel.NT >= LONG and kernel.NL:
        if block := one_step_near(kernel, half):
            return block
    if is_wide:
        return staged_block(kernel, half)
    memory = next(
        level for level in (5, 3, 1, 0) if sizes[level] <= (half if level > 1 else shared)
    )
    blocks = min(16, shared // max(1, sizes[memory]))
    enough = next((count for count in (64, 128) if count * blocks >= 512), 256)
    threads = _threads_of_streams(kernel) or max(threads, enough)
    return _with_block(kernel, threads, _tile(work, threads), memory)


def one_step_near(kernel: Kernel, room: int, threads: int = 0) -> Kernel | None:
    """A block with what one step uses in shared memory, if that fits into so many bytes."""
    rows = kernel.NU * kernel.maps
    groups = kernel.NB // 4
    stages = [s for s in NEAR_STAGED if rows * kernel.NU >= LARGE and kernel.NB % s == 0] or [0]
    # one for four samples of two rows, but few enough for the registers that a staged product needs
    enough = min(192 if stages[0] else 256, max(64, (rows * groups // 2 + 31) // 32 * 32))
    # with many streams, half a warp per stream
    threads = threads or _threads_of_streams(kernel) // 2 or enough
    tile = min(8, max(1, -(-rows // max(1, threads // groups))))
    blocks = [_with_block(kernel, threads, tile, 2, stage) for stage in stages]
    return next((block for block in blocks if block.shared <= room), None)


def staged_block(kernel: Kernel, room: int) -> Kernel:
    """A block that stages parts of its matrices, with threads for whole parts of the product that
    takes a step most of its time, of which 8 x 8 numbers, or 8 x 4, are a thread's. The parameters
    are in shared memory if the block then takes at most `room` bytes of it.
    """
    rows = kernel.NU * kernel.maps
    side = kernel.NB // (8 if kernel.NB >= 64 else 4)

    def utilisation(threads: int) -> float:
        most = max(1, threads // max(1, side)) * 8
        return rows / (-(-rows // most) * most)

    counts = (192, 128)
    well_used = (count for count in counts if utilisation(count) >= 0.85)
    threads = next(well_used, max(counts, key=utilisation))
    threads = _threads_of_streams(kernel) or threads
    near, far = (_with_block(kernel, threads, 4, memory, STAGED) for memory in (1, 0))
    return near if near.shared <= room else far


def _with_block(kernel: Kernel, threads: int, tile: int, memory: int, stage: int = 0) -> Kernel:
    return replace(kernel, THREADS=threads, TILE=tile, MEMORY=memory, STAGE=stage)


def _tile(work: int, threads: int, least: int = 1) -> int:
    """Rows per thread, from `least` on: few enough that all threads have work, at most four."""
    return next((tile for tile in (1, 2) if tile >= least and work <= 4 * tile * threads), 4)


def _threads_of_streams(kernel: Kernel) -> int:
    """A warp per stream of symbols, if there are many streams; 0 for others."""
    return 32 * kernel.STREAMS if 8 <= kernel.STREAMS <= 16 else 0


# ---- compiling -----------------------------------------------------------------------------------
@cache
def _nvrtc() -> ctypes.CDLL:
    paths = [
        path
        for folder in filter(None, sys.path)
        for path in sorted(Path(folder).glob("nvidia/*/lib/libnvrtc.so.*"))
    ]
    for path in paths:  # NVRTC asks for this one by name, which only works once it is loaded
        for builtins in sorted(path.parent.glob("libnvrtc-builtins.so*")):
            ctypes.CDLL(str(builtins))
    names = *map(str, paths), "libnvrtc.so.13", "libnvrtc.so.12", ctypes.util.find_library("nvrtc")
    return _first_library(
        names,
        "NVRTC was not found (it comes with torch for CUDA, or as the package nvidia-cuda-nvrtc)",
    )


def _first_library(names: Iterable[str | None], otherwise: str) -> ctypes.CDLL:
    """The first of these libraries that can be loaded. Raises Unavailable if there is none."""
    for name in filter(None, names):
        with suppress(OSError):
            return ctypes.CDLL(name)
    raise Unavailable(otherwise)


@dataclass(frozen=True)
class Compiled:
    """Machine code, and the assembler's report."""

    cubin: bytes
    log: str  # of the assembler: registers, spills


def compile(kernel: Kernel, arch: str) -> Compiled:
    """The machine code of a kernel for a kind of device, such as "sm_90"; takes a few seconds.
    Raises Unavailable where there is no NVRTC, or it fails.
    """
    lib = _nvrtc()
    options = _strings(
        f"--gpu-architecture={arch}",
        "--std=c++17",
        "-default-device",
        "--ptxas-options=-v",
        *kernel.defines,
    )
    headers = {path.name: path.read_text() for path in HEADERS} | {"cell.inc": kernel.equations}
    program = ctypes.c_void_p()
    status = lib.nvrtcCreateProgram(
        ctypes.byref(program),
        SOURCE.read_text().encode(),
        b"step.cu",
        len(headers),
        _strings(*headers.values()),
        _strings(*headers),
    )
    if status:
        raise Unavailable(f"NVRTC failed with error {status}")

    def output(size_of: Callable, content_of: Callable) -> bytes:
        size = ctypes.c_size_t()
        size_of(program, ctypes.byref(size))
        content = ctypes.create_string_buffer(size.value)
        content_of(program, content)
        return content.raw

    try:
        status = lib.nvrtcCompileProgram(program, len(options), options)
        log = output(lib.nvrtcGetProgramLogSize, lib.nvrtcGetProgramLog)
        report = log.rstrip(b"\0").decode(errors="replace")
        if status:
            raise Unavailable(
                f"NVRTC could not compile the step for {arch}: {report.strip()[:500]}"
            )
        return Compiled(output(lib.nvrtcGetCUBINSize, lib.nvrtcGetCUBIN), report)
    finally:
        lib.nvrtcDestroyProgram(ctypes.byref(program))


def _strings(*texts: str) -> ctypes.Array:
    return (ctypes.c_char_p * len(texts))(*[text.encode() for text in texts])


def cubin(kernel: Kernel, arch: str) -> bytes:
    """The machine code of `compile`, kept on disk."""
    major = ctypes.c_int()
    minor = ctypes.c_int()
    _nvrtc().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    texts = [*kernel.sources, arch, f"{major.value}.{minor.value}"]
    make = lambda: compile(kernel, arch).cubin
    return load_or_build(f"{kernel.architecture}-{arch}", texts, ".cubin", make, Path.read_bytes)


# ---- launching -----------------------------------------------------------------------------------
MAX_DYNAMIC_SHARED, CARVEOUT = 8, 9  # attributes of a function


class DriverError(RuntimeError):
    """A call of the CUDA driver that failed."""


@cache
def _driver() -> ctypes.CDLL:
    return _first_library(("libcuda.so.1", "nvcuda.dll"), "the CUDA driver's library was not found")


def _call(name: str, *arguments: Any) -> None:
    code = getattr(_driver(), name)(*arguments)
    if code:
        text = ctypes.c_char_p()
        _driver().cuGetErrorString(code, ctypes.byref(text))
        raise DriverError(f"{name} failed: {(text.value or b'unknown error').decode()} ({code})")


# what a function of a kernel takes: tensors, null pointers and numbers of C
Argument = Tensor | None | ctypes.c_int | ctypes.c_int64


class Function:
    """A function of a kernel on a device."""

    def __init__(self, module: ctypes.c_void_p | None, name: str, kernel: Kernel) -> None:
        self.handle = ctypes.c_void_p()
        self.threads = kernel.THREADS
        self.shared = kernel.shared
        _call("cuModuleGetFunction", ctypes.byref(self.handle), module, name.encode())
        if self.shared > 48 * 1024:
            _call("cuFuncSetAttribute", self.handle, MAX_DYNAMIC_SHARED, self.shared)
        # the same for all kernels, since otherwise those of two kinds wait for each other
        _call("cuFuncSetAttribute", self.handle, CARVEOUT, 100)

    def __call__(self, blocks: int, stream: int, *arguments: Argument) -> None:
        """Launches so many blocks on a stream."""
        values = [_pointer(a) if a is None or isinstance(a, Tensor) else a for a in arguments]
        addresses = [ctypes.cast(ctypes.pointer(value), ctypes.c_void_p) for value in values]
        shape = (blocks, 1, 1, self.threads, 1, 1, self.shared, ctypes.c_void_p(stream))
        kernel_params = (ctypes.c_void_p * len(values))(*addresses)
        _call("cuLaunchKernel", self.handle, *shape, kernel_params, None)


def _pointer(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(0 if tensor is None else tensor.data_ptr())


class Stream:
    """A stream of the driver, since torch has only 32 of its own; `on()` is torch's context manager
    for it.
    """

    def __init__(self, device: str) -> None:
        handle = ctypes.c_void_p()
        _call("cuStreamCreate", ctypes.byref(handle), 1)  # does not wait for the default stream
        self.handle = handle.value or 0
        self.torch = torch.cuda.ExternalStream(self.handle, device=device)

    def on(self) -> AbstractContextManager:
        return torch.cuda.stream(self.torch)


class Module:
    """A kernel that is loaded on a torch device, with its functions `train` and `evaluate`.

    Raises Unavailable where it cannot be compiled, and DriverError where it cannot be loaded.
    """

    def __init__(self, kernel: Kernel, device: str) -> None:
        self.device = device
        self.kernel = kernel
        self.card = torch.cuda.get_device_name(device)
        handle = ctypes.c_void_p()
        _call("cuModuleLoadData", ctypes.byref(handle), cubin(kernel, arch_of(device)))
        self.train = Function(handle, "train", kernel)
        self.evaluate = Function(handle, "evaluate", kernel)
        # the kernel and Kernel must agree about memory
        address = ctypes.c_uint64()
        size = ctypes.c_size_t()
        numbers = (ctypes.c_int * 3)()
        _call("cuModuleGetGlobal_v2", ctypes.byref(address), ctypes.byref(size), handle, b"numbers")
        _call("cuMemcpyDtoH_v2", numbers, address, ctypes.c_size_t(ctypes.sizeof(numbers)))
        if (4 * numbers[1], numbers[2]) != (kernel.shared, kernel.global_numbers):
            raise DriverError(
                f"the kernel's memory must be {kernel.shared} bytes and {kernel.global_numbers}"
                f" numbers, got {list(numbers)}"
            )

    def stream(self) -> Stream:
        """A stream for a flight, to be given back with `free`; streams are never destroyed."""
        return _streams(self.device).pop() if _streams(self.device) else Stream(self.device)

    def free(self, stream: Stream) -> None:
        _streams(self.device).append(stream)

    def host_zeros(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """Zeros in the host's memory, which the device can read and write too."""
        return torch.zeros(*shape, dtype=dtype, pin_memory=True)

    def current(self) -> int:
        """The handle of torch's current stream."""
        return torch.cuda.current_stream(self.device).cuda_stream

    def settle(self) -> None:
        """Waits for torch's current stream."""
        torch.cuda.current_stream(self.device).synchronize()

    def wait(self) -> None:
        """Waits until the device has nothing left to do."""
        torch.cuda.synchronize(self.device)


@cache
def _streams(device: str) -> list[Stream]:
    return []


def module_for(study: Study, device: str) -> Module:
    """The module of a study's kernel on a torch device, loaded once per process. Raises Unavailable
    where there cannot be one.
    """
    kernel = kernel_for(study, shared_bytes(device))
    try:
        return _module(kernel, kernel.equations, device)
    except DriverError as reason:  # for example, NVRTC is newer than the driver
        raise Unavailable(str(reason)) from None


@cache
def _module(kernel: Kernel, equations: str, device: str) -> Module:
    return Module(kernel, device)


def arch_of(device: str) -> str:
    """The kind of a torch device, such as "sm_90"."""
    torch.cuda.init()
    with torch.cuda.device(device):
        # makes the device's context current, which the driver's calls need
        torch.zeros(1, device=device)
    return "sm_{}{}".format(*torch.cuda.get_device_capability(device))


def kind_of(device: str) -> tuple[str, int]:
    """The kind of a torch device and its shared memory per block, for which kernels are compiled."""
    return arch_of(device), shared_bytes(device)


@cache
def shared_bytes(device: str) -> int:
    """Bytes of shared memory that a block may have on a torch device."""
    return getattr(
        torch.cuda.get_device_properties(device), "shared_memory_per_block_optin", SHARED_BYTES
    )
