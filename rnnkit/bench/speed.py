"""Milliseconds per model-step: training against a loop over torch.nn and against JAX vmap + jit + scan, on one core.

A model-step is the whole of it: forward through T = 5 steps, cross-entropy, backward, clipping by the norm, and the optimiser's update,
for one network and 128 examples of 50 binary inputs that are shown at every step. What is compared is measured in turns of a few
milliseconds within one run, so that the machine's drift cancels in the ratios. Training makes its own batches; the others find
theirs made.
"""

import json
import os
import platform
import time
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from statistics import median

import torch

from rnnkit import native
from rnnkit.bench import torch_loop
from rnnkit.cells import PAPER, cell_of
from rnnkit.studies import Study
from rnnkit.training import benchmark_step

SIZES = (350, 1_000, 3_000, 10_000, 100_000)  # budgets of parameters
N_IN, UNROLL, BATCH = 50, 5, 128
JAX_MODELS = (8, 64)  # models at once; the faster of the two counts
TURN = 0.02  # seconds
COLUMNS = ("cell", "units", "parameters", "ours ms", "torch.nn ms", "ratio", "JAX ms", "ratio")
WIDTHS = (6, 6, 11, 9, 12, 8, 9, 8)


def main(json_path=None, **choices):
    """`rnnkit bench speed`: prints the table and writes the JSON file, if one is named."""
    run(json_path=json_path, **choices)


def run(cells=PAPER, sizes=SIZES, seconds=0.5, json_path=None, jax=True, say=print) -> dict:
    """Measures each cell at each size for `seconds` a competitor, says the table row by row, and returns what the JSON file holds.

    Each cell has its least depth: 1, and 2 for +rnn. ratio = the competitor's ms / our ms, so above 1 ours is faster. Without jax
    installed, or with `jax=False`, its columns stay empty. ValueError for an unknown cell, a size too small for one unit, or seconds
    that are not positive; OSError where json_path cannot be written; all of them before anything is measured.
    """
    if not seconds > 0:
        raise ValueError(f"seconds must be positive, got {seconds!r}.")
    studies = [Study("per_cap", cell, max(1, cell_of(cell).min_layers), size, n_in=N_IN, unroll=UNROLL) for cell in cells for size in sizes]
    units = [study.n_units for study in studies]  # a size too small is refused here
    path = _writable(json_path)
    with _one_core():
        vmapped = _jax_vmap() if jax else None
        if jax and vmapped is None:
            say("JAX is not installed, so its columns stay empty (pip install 'rnnkit[bench]').")
        say(header())
        rows = []
        for study, n_units in zip(studies, units):
            rows.append(measure(study, n_units, seconds, vmapped))
            say(line(rows[-1]))
    report = {"machine": machine(), "versions": versions(), "step": {"T": UNROLL, "B": BATCH, "n_in": N_IN, "input": "every"},
              "seconds": seconds, "rows": rows}  # fmt: skip
    if path:
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def measure(study, n_units, seconds, vmapped) -> dict:
    """One row: medians in milliseconds per model-step, their ratios, and the models that each trained at once."""
    shape = (study.architecture, study.n_layers, N_IN, n_units, UNROLL, BATCH)
    runs = {"ours": benchmark_step(study), "torch": torch_loop.stepper(*shape)}
    if vmapped:
        runs |= {f"jax{models}": vmapped.stepper(*shape, models=models) for models in JAX_MODELS}
    ms = in_turns(runs, seconds)
    fastest = min((name for name in ms if name.startswith("jax")), key=ms.get, default=None)
    jax_ms = ms[fastest] if fastest else None
    return {
        "cell": study.architecture, "n_layers": study.n_layers, "size": study.max_params, "units": n_units, "parameters": study.num_params,
        "ours_ms": ms["ours"], "torch_ms": ms["torch"], "torch_ratio": ms["torch"] / ms["ours"],
        "jax_ms": jax_ms, "jax_ratio": jax_ms / ms["ours"] if fastest else None,
        "models": {name: run.slots for name, run in runs.items()}, "medians_ms": ms,
    }  # fmt: skip


def in_turns(runs, seconds, turn=TURN, clock=time.perf_counter) -> dict:
    """Name -> median milliseconds per model-step over turns of about `turn` seconds, in rotation: three, or `seconds` each."""
    def timed(run, n):
        start = clock()
        run(n)
        return clock() - start

    steps, samples = {}, {name: [] for name in runs}
    for name, run in runs.items():
        run(2)  # compiles, and fills the caches
        steps[name] = max(1, round(turn / max(timed(run, 2) / 2, 1e-7)))
    start, rounds = clock(), 0
    while rounds < 3 or clock() - start < seconds * len(runs):
        for name, run in runs.items():
            run(1)  # whoever came before has emptied the caches
            samples[name].append(1e3 * timed(run, steps[name]) / steps[name] / run.slots)
        rounds += 1
    return {name: median(values) for name, values in samples.items()}


def header() -> str:
    return "  ".join(text.rjust(width) for text, width in zip(COLUMNS, WIDTHS))


def line(row: dict) -> str:
    """A row of `run` as a line of the table; three significant digits."""
    def number(value, end=""):
        return "-" if value is None else f"{value:.3g}{end}" if value < 100 else f"{value:.0f}{end}"

    texts = (row["cell"], str(row["units"]), f"{row['parameters']:,}", number(row["ours_ms"]), number(row["torch_ms"]),
             number(row["torch_ratio"], "x"), number(row["jax_ms"]), number(row["jax_ratio"], "x"))  # fmt: skip
    return "  ".join(text.rjust(width) for text, width in zip(texts, WIDTHS))


def machine() -> dict:
    """Processor, cores, system, and the compiler of the training step (None: the plain torch step was measured)."""
    processor = platform.processor()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next((text.split(":", 1)[1].strip() for text in lines if text.startswith("model name")), processor)
    compiler = " ".join(native.compiler() or []) or None
    return {"processor": processor, "cores": os.cpu_count(), "system": platform.platform(), "compiler": compiler}


def versions() -> dict:
    found = {"python": platform.python_version()}
    for name in ("rnnkit", "torch", "numpy", "jax", "jaxlib"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _writable(json_path) -> Path | None:
    """The path, opened once for writing, so that a long measurement is not lost at its end."""
    if json_path is None:
        return None
    path = Path(json_path)
    try:
        path.open("a").close()
    except OSError as error:
        raise OSError(f"{path} must be a file that can be written, and it is not ({error.strerror}). Choose another path.") from error
    return path


def _jax_vmap():
    try:
        from rnnkit.bench import jax_vmap
    except ModuleNotFoundError as error:
        if error.name not in ("jax", "jaxlib"):
            raise
        return None
    return jax_vmap


@contextmanager
def _one_core():
    """One thread on one core for whoever starts inside, JAX's own threads included; as before afterwards."""
    threads, cores = torch.get_num_threads(), os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    torch.set_num_threads(1)
    if cores:
        os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if cores:
            os.sched_setaffinity(0, cores)
