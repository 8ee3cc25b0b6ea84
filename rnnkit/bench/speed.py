"""Milliseconds per model-step on one core: our training compared with a loop over torch.nn, and with
JAX by vmap, jit and scan; and its operations per second as a share of those of torch's sgemm.

A model-step is a whole training step of one network on one batch: forward through T time steps,
loss, backward, clipping by the norm, and the optimiser's update. T = 5 is the perceptron task (128
samples of 50 binary inputs, shown at every step), T = 50 the next letter of a text (32 samples, one
of 27 symbols per step, 37 steps scored), and T = 175 the paper's counting of parentheses (32
samples, ten of 300 symbols per step, ten softmaxes at the end). Competitors take turns of a few
milliseconds within one run, so that drifts of the machine cancel in the ratios, and times are CPU
time of all threads, so that other processes do not count. Our training makes its own batches; the
others have ready-made ones. Learning rates are tiny, so that no model diverges meanwhile.
"""

import importlib.util
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from statistics import median
from types import ModuleType

import torch

from rnnkit import native
from rnnkit.bench import torch_loop
from rnnkit.cells import PAPER, cell_of, recurrent_maps
from rnnkit.studies import Study
from rnnkit.threads import one_thread
from rnnkit.training import benchmark_step
from rnnkit.training.timing import Stepper

# time steps -> the task, budgets of parameters, and how many models JAX trains at once; the fastest
# of those counts
ROWS: dict[int, tuple[dict, tuple[int, ...], tuple[int, ...]]] = {
    5: (
        dict(task_type="per_cap", n_in=50, unroll=5),
        (350, 1_000, 3_000, 10_000, 100_000),
        (8, 64),
    ),
    50: (dict(task_type="text8", form="small sample"), (2_000, 10_000, 100_000), (1, 8)),
    175: (dict(task_type="parens_counting", form="paper"), (10_000, 100_000), (1, 8)),
}
TURN = 0.02  # seconds
SGEMM = 768  # rows and columns of the matrices
WIDTHS = {
    "cell": 6,
    "T": 4,
    "units": 6,
    "parameters": 11,
    "ours ms": 9,
    "of sgemm": 9,
    "torch.nn ms": 12,
    "torch ratio": 12,
    "JAX ms": 9,
    "JAX ratio": 10,
}


def run(
    cells: Sequence[str] = (),
    sizes: Sequence[int] = (),
    steps: Sequence[int] = (),
    seconds: float = 0.5,
    json_path: str | Path | None = None,
    jax: bool = True,
    say: Callable[[str], object] = print,
) -> dict:
    """Measures each cell at each T of `steps` and each size for `seconds` per competitor, prints the
    table row by row, and returns the content of the JSON file.

    Each cell has its least depth: 1, and 2 for +rnn. Without `cells`, those of the paper are
    measured; without `steps` or `sizes`, every T and its own sizes (ROWS). A ratio is the
    competitor's time divided by ours, so above 1 ours is faster. If jax is not installed, or with
    `jax=False`, its columns stay empty, and so do our own where the network diverges, since nothing
    is trained then. Before anything is measured, raises ValueError for an unknown cell or T, a size
    too small for one unit, or seconds that are not positive, and OSError if json_path cannot be
    written.
    """
    if not seconds > 0:
        raise ValueError(f"seconds must be positive, got {seconds!r}.")
    steps = steps or tuple(ROWS)
    if unknown := [T for T in steps if T not in ROWS]:
        raise ValueError(f"steps must be among {', '.join(map(str, ROWS))}, got {unknown[0]!r}.")
    studies = [
        Study(
            architecture=cell,
            n_layers=max(1, cell_of(cell).min_layers),
            max_params=size,
            **ROWS[T][0],
        )
        for T in steps
        for cell in cells or PAPER
        for size in sizes or ROWS[T][1]
    ]
    for study in studies:
        study.n_units  # a size too small is refused here
    path = _writable(json_path)
    with _one_core():
        has_jax = jax and importlib.util.find_spec("jax") is not None
        jax_vmap = importlib.import_module("rnnkit.bench.jax_vmap") if has_jax else None
        if jax and not has_jax:
            say("JAX is not installed, so its columns stay empty (pip install 'rnnkit[bench]').")
        say(header())
        entries = []
        for study in studies:
            entries.append(measure(study, seconds, jax_vmap))
            say(line(entries[-1]))
    report = {
        "machine": machine(),
        "versions": versions(),
        "tasks": {str(T): about(T) for T in steps},
        "seconds": seconds,
        "rows": entries,
    }
    if path:
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def about(T: int) -> dict:
    """The task of the rows with T time steps."""
    task = Study(architecture="rnn", n_layers=1, max_params=10**6, **ROWS[T][0]).task
    return {
        "task": task.name,
        "T": T,
        "B": task.batch,
        "n_in": task.n_in,
        "n_out": task.n_out,
        "scored": task.scored,
        "input": task.input,
    }


def measure(study: Study, seconds: float, jax_vmap: ModuleType | None) -> dict:
    """One row of the table: medians in milliseconds per model-step, their ratios, how many models
    each competitor trained at once, and our operations per second as a share of sgemm's.
    """
    T = study.task.steps
    runs = {
        "ours": benchmark_step(study, hparams={"input_presentation": "every"}),
        "torch": torch_loop.stepper(study),
        "sgemm": sgemm(),
    }
    if jax_vmap:
        runs |= {f"jax{models}": jax_vmap.stepper(study, models=models) for models in ROWS[T][2]}
    ms = in_turns(runs, seconds)
    fastest = min((name for name in ms if name.startswith("jax")), key=ms.__getitem__, default=None)
    jax_ms = ms[fastest] if fastest else None
    ours_ms = ms["ours"] if runs["ours"].is_alive() else None

    def over_ours(time: float | None) -> float | None:
        return None if time is None or ours_ms is None else time / ours_ms

    flops = product_flops(study)
    return {
        "T": T,
        "cell": study.architecture,
        "n_layers": study.n_layers,
        "size": study.max_params,
        "units": study.n_units,
        "parameters": study.num_params,
        "ours_ms": ours_ms,
        "flops": flops,
        "share_of_sgemm": over_ours(ms["sgemm"] * flops / (2 * SGEMM**3)),
        "torch_ms": ms["torch"],
        "torch_ratio": over_ours(ms["torch"]),
        "jax_ms": jax_ms,
        "jax_ratio": over_ours(jax_ms),
        "models": {name: run.slots for name, run in runs.items()},
        "medians_ms": ms,
    }


def sgemm() -> Stepper:
    """A function of n that multiplies two matrices n times, by the library that torch has."""
    a, b = torch.randn(2, SGEMM, SGEMM)
    product = torch.empty(SGEMM, SGEMM)

    def run(n: int) -> None:
        for _ in range(n):
            torch.mm(a, b, out=product)

    return Stepper(run, 1)


def product_flops(study: Study) -> int:
    """The floating-point operations in the matrix products of one training step, two for each
    multiplication and addition, which no implementation can avoid.

    A matrix that reads the input of the capacity task is multiplied once forward and once backward,
    since the input is the same at every step; one that reads symbols is only added up.
    """
    cell = cell_of(study.architecture)
    task = study.task
    maps = len(cell.maps)
    recurrent = len(recurrent_maps(cell))
    units = study.n_units
    layers = study.n_layers
    from_below = layers if cell.equal_sizes else layers - 1
    input_rows = units if cell.equal_sizes else maps * units
    per_step = 3 * units**2 * (layers * recurrent + from_below * maps)
    products = task.steps * per_step + 3 * task.scored * task.n_out * units
    if task.input == "index":
        return task.batch * (2 * products + 2 * task.steps * task.streams * input_rows)
    return 2 * task.batch * (products + 2 * input_rows * task.n_in)


def settle(slice_of_time: float = 0.005, patience: float = 1.0) -> None:
    """Waits until this process's other threads do nothing, since JAX's go on after a step: they free
    its memory, for more than ten milliseconds at 100,000 parameters.

    They are at rest after three slices of time with less than a tenth of work in them; `patience`
    says how many seconds to wait at most.
    """
    end = time.perf_counter() + patience
    at_rest = 0
    while at_rest < 3 and time.perf_counter() < end:
        start = time.process_time()
        time.sleep(slice_of_time)
        at_rest = at_rest + 1 if time.process_time() - start < slice_of_time / 10 else 0


def in_turns(
    runs: dict[str, Stepper],
    seconds: float,
    turn: float = TURN,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Name -> median milliseconds per model-step over turns of about `turn` seconds, in rotation: at
    least three turns each, and at least `seconds`.
    """

    def duration_of(run: Stepper, n: int) -> float:
        start = clock()
        run(n)
        return clock() - start

    steps = {}
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for name, run in runs.items():
        run(2)  # compiles, and fills the caches
        steps[name] = max(1, round(turn / max(duration_of(run, 2) / 2, 1e-7)))
    start = clock()
    rounds = 0
    while rounds < 3 or clock() - start < seconds * len(runs):
        for name, run in runs.items():
            settle()
            run(1)  # fills the caches, which the previous competitor has emptied
            samples[name].append(1e3 * duration_of(run, steps[name]) / steps[name] / run.slots)
        rounds += 1
    return {name: median(values) for name, values in samples.items()}


def header() -> str:
    return "  ".join(name.rjust(width) for name, width in WIDTHS.items())


def line(row: dict) -> str:
    """A row of `run` as a line of the table, with three significant digits."""

    def number(value: float | None, end: str = "") -> str:
        if value is None:
            return "-"
        return f"{value:.3g}{end}" if value < 100 else f"{value:.0f}{end}"

    texts = (
        row["cell"],
        str(row["T"]),
        str(row["units"]),
        f"{row['parameters']:,}",
        "diverged" if row["ours_ms"] is None else number(row["ours_ms"]),
        number(row["share_of_sgemm"]),
        number(row["torch_ms"]),
        number(row["torch_ratio"], "x"),
        number(row["jax_ms"]),
        number(row["jax_ratio"], "x"),
    )
    return "  ".join(text.rjust(width) for text, width in zip(texts, WIDTHS.values()))


def machine() -> dict:
    """Processor, cores, system, and the compiler of the training step (None if the plain torch step
    was measured).
    """
    processor = platform.processor()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(
            (text.split(":", 1)[1].strip() for text in lines if text.startswith("model name")),
            processor,
        )
    compiler = " ".join(native.compiler() or []) or None
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "compiler": compiler,
    }


def versions() -> dict:
    by_name = {"python": platform.python_version(), "torch": str(torch.__version__)}
    for name in ("rnnkit", "numpy", "jax", "jaxlib"):
        with suppress(metadata.PackageNotFoundError):
            by_name[name] = metadata.version(name)
    return by_name


def _writable(json_path: str | Path | None) -> Path | None:
    """The path, after checking that it can be written, so that no long measurement is lost."""
    if json_path is None:
        return None
    path = Path(json_path)
    try:
        path.open("a").close()
    except OSError as error:
        raise OSError(
            f"{path} must be a file that can be written, and it is not ({error.strerror}). Choose"
            " another path."
        ) from error
    return path


@contextmanager
def _one_core() -> Iterator[None]:
    """Keeps everything that starts inside on one thread and one core, JAX's own threads included, and
    restores the former state afterwards.
    """
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    if cores:
        os.sched_setaffinity(0, {max(cores)})
    try:
        with one_thread():
            yield
    finally:
        if cores:
            os.sched_setaffinity(0, cores)
