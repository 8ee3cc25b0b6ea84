"""The fused step on the GPU at hand: whether it agrees with the processor's step, and how fast it is
compared with the plain step and other software.

Rates are model-steps per second, summed over all models in flight; each rate is the median of a few
runs of a fifth of a second.
"""

import importlib.util
import json
import math
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rnnkit import native
from rnnkit.bench import torch_loop
from rnnkit.cells import LATER, PAPER, cell_of
from rnnkit.native import cuda
from rnnkit.native.cuda import Kernel
from rnnkit.studies import EXPERIMENTS, Study, run
from rnnkit.studies.scales import inputs_for
from rnnkit.studies.workers import out_of_memory
from rnnkit.training import benchmark_step, check_device
from rnnkit.training.engines import Compiled, Data, Engine, Fused
from rnnkit.training.slots import Slots, slots_of
from rnnkit.training.timing import Stepper

TASKS = {
    "mem_thru": "tiny",
    "rcf": "tiny",
    "text8": "tiny sample",
    "parens_counting": "tiny",
    "arithmetic": "tiny",
}
LONG = (  # of whose sequences a block has the states of one step in shared memory
    ("parens_counting", "small", 2_000),
    ("parens_counting", "paper", 10_000),
    ("text8", "small sample", 1_000),
    ("text8", "small sample", 10_000),
)
RULES = (
    ("Adam", "every", "tanh"),
    ("RMSProp", "first", "relu"),
    ("momentum", "every", "relu"),
    ("SGD", "first", "tanh"),
)
AGREE = 1e-4  # a relative difference of the parameters after 20 steps that is always allowed
# between single and double precision, from which on a training no longer tells what is rounding
CHAOTIC = 1e-3
# parameters and depths
CHECKED = ((300, (1, 2)), (1_000, (1, 2)), (3_000, (1, 2, 4)), (10_000, (1, 8)))
FEW = ((300, (1,)), (1_000, (2,)), (3_000, (1, 4)))
SIZES = (300, 1_000, 10_000, 100_000)
STEPS = (5, 50, 175)
CELLS = ("rnn", "lstm")
IN_FLIGHT = (132, 792)  # one and six per multiprocessor of an H100 or H200
DIFFERENT = 16  # models with different initial weights, which are enough for timing
ROOM = 2e10  # bytes of device memory that a launch may take
PATIENCE = 420  # seconds after which no other software is measured


def capacity(cell: str, layers: int, size: int) -> Study:
    return Study("per_cap", cell, layers, size, n_in=inputs_for(size))


def studies_to_check(short: bool = False) -> Iterator[Study]:
    """Every cell on the capacity task at a few sizes and depths, on every other task, and on long
    sequences.
    """
    for size, depths in FEW if short else CHECKED:
        for cell in PAPER:
            yield from (
                capacity(cell, depth, size) for depth in depths if depth >= cell_of(cell).min_layers
            )
    yield Study("per_cap", "linear", 0, 300, n_in=299, unroll=1)
    if not short:
        yield capacity("rnn", 1, 100_000)  # none of which is in shared memory
    for task, form in TASKS.items():
        for cell in ("lstm",) if short else (*PAPER, *LATER):
            yield Study(task, cell, 1 if short else 2, 2_500, form=form)
    for task, form, size in LONG[:1] if short else LONG:
        for cell in ("lstm",) if short else PAPER:
            yield Study(task, cell, max(1, cell_of(cell).min_layers), size, form=form)


def sets_of(study: Study) -> Iterator[dict]:
    """One set of hyper-parameters per optimiser, so that every branch of the update is taken."""
    for optimizer, presentation, nonlinearity in RULES:
        hparams = study.space.usual_point() | {
            "optimizer": optimizer,
            "train_steps": 1_000,
            "l2_decay": 1e-3,
            "gradient_clip_val": 1.0,
            "lr_init": 1e-2,
            "input_presentation": presentation,
        }
        if nonlinearity in cell_of(study.architecture).nonlinearities:
            hparams["nonlinearity"] = nonlinearity
        yield hparams


def filled_slots(
    study: Study,
    sets: Sequence[dict],
    models: int,
    device: str,
    dtype: torch.dtype = torch.float32,
) -> Slots:
    """Slots for so many models, with the hyper-parameters `sets` in turns."""
    trials = [(i, sets[i % len(sets)]) for i in range(min(models, DIFFERENT))]
    s = slots_of(study, trials, dtype, device)
    s.keep([i % len(trials) for i in range(models)])
    return s


def trained(engine: Engine, slots: Slots, steps: int) -> tuple[Tensor, list[int]]:
    """(theta, number of steps) of each slot after some steps by an engine, on the processor."""
    engine.train(slots, steps)
    return slots.theta.cpu().double(), slots.step.tolist()


def difference(study: Study, device: str, steps: int = 20) -> tuple[float, float, float]:
    """The relative difference of the parameters and losses from the processor's after some steps;
    the difference in the number of right answers; and the largest ratio of a model's difference to
    what is allowed.

    Rounding errors grow in some trainings, such as a chaotic one by RMSProp. So a model may differ
    by AGREE, or by three times as much as the processor's own steps in single and double precision;
    where these are more than CHAOTIC apart, they no longer tell how far, and what the model had
    before counts, after a quarter of the steps.
    """
    sets = list(sets_of(study))
    count = len(sets)
    ours = filled_slots(study, sets, count, device)
    theirs = filled_slots(study, sets, count, "cpu")
    exact = filled_slots(study, sets, count, "cpu", torch.float64)
    exact.theta.copy_(theirs.theta)
    cpu = Compiled(study, Data(study, sets))
    gpu = fused_engine(study, Data(study, sets, device=device), device)
    exact_cpu = Compiled(study, Data(study, sets, dtype=torch.float64), torch.float64)
    gap = over = torch.zeros(count, dtype=torch.float64)
    first = max(1, steps // 4)
    for is_first, count_of_steps in ((True, first), (False, steps - first)):
        theta, steps_taken = trained(cpu, theirs, count_of_steps)
        gpu_theta, gpu_steps_taken = trained(gpu, ours, count_of_steps)
        exact_theta, _ = trained(exact_cpu, exact, count_of_steps)
        if gpu_steps_taken != steps_taken:
            return math.inf, math.inf, math.inf
        own, gaps = (
            (theta - other).norm(dim=1) / theta.norm(dim=1) for other in (exact_theta, gpu_theta)
        )
        is_judged = (own <= CHAOTIC) | is_first
        gap = torch.where(is_judged, gaps, gap)
        over = torch.where(is_judged, gaps / (3 * own).clamp(min=AGREE), over)
    split = "all" if study.task.input == "bits" else "valid"
    indices = list(range(count))
    ours.theta = theirs.theta.to(device)  # the same parameters, so that only evaluation differs
    loss_a, right_a = cpu.evaluate(theirs, indices, split)
    loss_b, right_b = gpu.evaluate(ours, indices, split)
    loss_gap = float(((loss_a - loss_b).abs() / loss_a.abs()).max())
    return (
        max(float(gap.max()), loss_gap),
        float((right_a - right_b).abs().max()),
        max(float(over.max()), loss_gap / AGREE),
    )


def fused_engine(study: Study, data: Data, device: str, kernel: Kernel | None = None) -> Fused:
    kernel = kernel or cuda.kernel_for(study, cuda.shared_bytes(device))
    return Fused(study, data, device, cuda._module(kernel, kernel.equations, device))


def rate(run: Callable[[int], object], slots: int, seconds: float = 0.2, times: int = 3) -> float:
    """Model-steps per second of `run(n)`, which takes n steps of so many models and waits until they
    are done.
    """

    def duration_of(steps: int) -> float:
        start = time.perf_counter()
        run(steps)
        return time.perf_counter() - start

    chunk = 2
    while (duration := duration_of(chunk)) < seconds / 8:
        chunk *= 4
    chunk = max(1, int(chunk * seconds / duration))
    return slots * chunk / statistics.median(duration_of(chunk) for _ in range(times))


def speed_of(
    study: Study,
    models: int,
    device: str,
    seconds: float = 0.2,
    times: int = 3,
    kernel: Kernel | None = None,
) -> float:
    """Model-steps per second of the fused step."""
    sets = [study.space.usual_point() | {"train_steps": 10**9}]
    engine = fused_engine(study, Data(study, sets, device=device), device, kernel)
    s = filled_slots(study, sets, models, device)
    return rate(lambda n: engine.train(s, n), models, seconds, times)


def other_rates(study: Study, device: str, jax: bool) -> Iterator[tuple[str, float]]:
    """Name and rate of everything the fused step is compared with, if the memory is large enough."""

    def by_jax() -> Stepper:
        from rnnkit.bench import jax_vmap

        return jax_vmap.stepper(
            study, max(8, min(800, 40_000_000 // study.num_params // study.task.steps))
        )

    ways: dict[str, Callable[[], Stepper]] = {
        "plain torch step in a graph": lambda: benchmark_step(study, device=device, engine="eager"),
        "torch.nn loop": lambda: torch_loop.stepper(study, 1, device=device),
    } | ({"JAX": by_jax} if jax else {})
    for name, stepper in ways.items():
        try:
            run = stepper()
            yield name, rate(run, run.slots, times=1)
        except Exception as error:
            if not out_of_memory(error):
                raise
            print(f"{study.key}: {name} ran out of memory")


def studies_to_time(short: bool = False) -> Iterator[Study]:
    """The capacity task, text and parentheses, at 5, 50 and 175 time steps, if one unit fits."""
    for steps in STEPS[:1] if short else STEPS:
        for size in SIZES[:2] if short else SIZES:
            for cell in CELLS:
                with suppress(ValueError):
                    yield of_steps(cell, size, steps)


# ---- compiling side by side ----------------------------------------------------------------------
def _compile(work: tuple[Kernel | str, str]) -> str:
    """Compiles a kernel for a kind of device, or the processor's step of a cell; says what is wrong
    if that cannot be done.
    """
    target, arch = work
    try:
        native.library(target) if isinstance(target, str) else cuda.cubin(target, arch)
        return ""
    except Exception as error:
        return f"could not compile {target}: {error}"


def compile_all(kernels: Iterable[Kernel], cells: Iterable[str], arch: str) -> None:
    """Compiles all these kernels, and the processor's steps of these cells, in parallel; prints what
    could not be compiled.
    """
    context = multiprocessing.get_context("forkserver")
    targets: list[Kernel | str] = [*dict.fromkeys(cells), *dict.fromkeys(kernels)]
    work = [(target, arch) for target in targets]
    start = time.perf_counter()
    with context.Pool(min(len(work), os.cpu_count() or 1)) as pool:
        for complaint in filter(None, pool.map(_compile, work, chunksize=1)):
            print(complaint)
    print(f"{len(work)} steps compiled in {time.perf_counter() - start:.1f} s", flush=True)


# ---- the sweep that the choice in native/cuda.py rests on ----------------------------------------
TUNING = ("THREADS", "TILE", "MEMORY", "STAGE")
SWEEP = (
    ("rnn", 600, 1),
    ("lstm", 1_000, 1),
    ("rnn", 1_000, 1),
    ("rnn", 3_000, 1),
    ("gru", 1_000, 2),
    ("lstm", 600, 2),
    ("rnn", 3_000, 2),
    ("gru", 1_000, 4),
    ("rnn", 600, 4),
    ("+rnn", 3_000, 4),
)


LARGE_SWEEP = tuple(
    (cell, size, steps) for size in (10_000, 100_000) for steps in STEPS for cell in ("rnn", "lstm")
)


def of_steps(cell: str, size: int, steps: int) -> Study:
    """A network of one layer on the capacity task, text or parentheses. Raises ValueError where not
    even one unit fits.
    """
    if steps == 5:
        return capacity(cell, 1, size)
    task, form = ("text8", "small sample") if steps == 50 else ("parens_counting", "paper")
    return Study(task, cell, 1, size, form=form)


def studies_to_sweep() -> Iterator[Study]:
    """Small networks, for which the choice is between many small blocks and few large ones, and
    large ones, for which it is between a step in shared memory and staged parts of matrices.
    """
    for cell, size, layers in SWEEP:
        yield capacity(cell, layers, size)
    for cell, size, steps in LARGE_SWEEP:
        with suppress(ValueError):
            yield of_steps(cell, size, steps)


def variants(study: Study, shared: int) -> dict[str, Kernel]:
    """The kernels of a study that are compared, by name: of the first two, native/cuda.py chooses."""
    kernel = cuda.kernel_for(study, shared)
    kernels: dict[str, Kernel | None] = {
        "large": cuda.choice(kernel, shared),
        "small": cuda.choice(kernel, shared, False),
    }
    if kernel.NU >= cuda.WIDE or kernel.NT >= cuda.LONG:
        block = cuda.staged_block(kernel, 0)
        kernels |= {"staged": block, "parameters near": replace(block, MEMORY=1)}
        kernels |= {f"staged, {n}": replace(block, THREADS=n) for n in (128, 192, 256)}
        if near := cuda.one_step_near(kernel, shared):
            kernels |= {"step near": near, "whole gradients": replace(near, STAGE=0)}
            for n in (128, 160, 192, 256, 320):
                kernels[f"step near, {n}"] = cuda.one_step_near(kernel, shared, n)
    different: dict[Kernel, str] = {}
    for name, variant in kernels.items():
        if variant and variant.shared <= shared:
            different.setdefault(variant, name)
    return {name: variant for variant, name in different.items()}


def fitting(kernel: Kernel, study: Study, models: int) -> int:
    """As many models as there is device memory for, `models` at most."""
    size = 4 * (kernel.global_numbers + 3 * study.num_params)
    return models if models * size < ROOM else max(1, int(ROOM / size) // 132 * 132)


def sweep(device: str, studies: Iterable[Study] = ()) -> Iterator[dict]:
    """The rates of all variants of each study, in turns, printed and yielded as rows."""
    for study in studies or studies_to_sweep():
        kernels = variants(study, cuda.shared_bytes(device))
        models = min(fitting(kernel, study, IN_FLIGHT[-1]) for kernel in kernels.values())
        for count in dict.fromkeys((min(136, models), models)):
            rates: dict[str, float] = {}
            for name in 2 * [*kernels]:
                speed = speed_of(study, count, device, 0.1, 1, kernel=kernels[name])
                rates[name] = max(speed, rates.get(name, 0))
            for name, kernel in kernels.items():
                tuning = {field: getattr(kernel, field) for field in TUNING}
                kib = kernel.shared / 1024
                print(
                    f"{study.architecture:6}{study.max_params:8,}{study.n_layers:3}  T={kernel.NT:4}"
                    f"  {name:16} {tuning} {kib:4.0f} KiB{count:6} models"
                    f" {rates[name]:12.3g} model-steps/s",
                    flush=True,
                )
                yield {
                    **shape_of(study),
                    "variant": name,
                    **tuning,
                    "kib": kib,
                    "models": count,
                    "rate": rates[name],
                }


def shape_of(study: Study) -> dict[str, str | int]:
    """A study's network and time steps, as a row has them."""
    return {
        "cell": study.architecture,
        "layers": study.n_layers,
        "size": study.max_params,
        "T": study.task.steps,
    }


def check(studies: Iterable[Study], device: str) -> Iterator[dict]:
    """Rows that say whether the two steps of each study agree, printed as they come."""
    for study in studies:
        try:
            relative, answers, over = difference(study, device)
        except Exception as error:
            relative = answers = over = math.nan
            print(f"{study.key}: {error}")
        fine = over < 1 and answers <= 1
        print(
            f"{'agrees' if fine else 'WRONG '} {relative:8.1e} {answers:4.0f}  {study.key}",
            flush=True,
        )
        yield {"study": study.key, "apart": relative, "answers": answers, "agrees": fine}


def compare(studies: Iterable[Study], device: str, short: bool, jax: bool) -> Iterator[dict]:
    """Rows of rates, printed as they come: each study by models in flight, and other software."""
    start = time.monotonic()
    for study in studies:
        shape = shape_of(study)
        kernel = cuda.kernel_for(study, cuda.shared_bytes(device))
        times = 1 if short else 3
        rates = [
            (f"fused, {models} models", speed_of(study, models, device, times=times))
            for models in IN_FLIGHT
            if fitting(kernel, study, models) == models
        ]
        if not short and time.monotonic() - start < PATIENCE:
            rates += other_rates(study, device, jax)
        for name, speed in rates:
            print(
                f"{shape['cell']:6}{shape['size']:8,} parameters  T={shape['T']:4} "
                f" {name:27}{speed:12.3g} model-steps/s",
                flush=True,
            )
            yield shape | {"name": name, "rate": speed}


def time_scale(device: str, scale: str = "quick") -> Iterator[dict]:
    """Rows of the seconds that each experiment of a scale takes from an empty store, the tuner and
    the compiler included, printed as they come.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in EXPERIMENTS:
            start = time.perf_counter()
            trials = run(name, scale, f"{folder}/trials.sqlite", device=device, progress=False)
            seconds = time.perf_counter() - start
            print(f"{scale} {name:12}{len(trials):6,} trials {seconds:8.1f} s", flush=True)
            yield {"scale": scale, "experiment": name, "trials": len(trials), "seconds": seconds}


def main(
    short: bool = False,
    sweeping: bool = False,
    path: str | Path | None = None,
    device: str = "cuda",
    jax: bool = True,
    quick: bool = False,
) -> dict:
    """Prints whether the steps agree, then the rates, and writes everything to a JSON file. Raises
    RuntimeError if the GPU's step does not agree with the processor's.
    """
    check_device(device)
    os.environ.setdefault(
        "XLA_PYTHON_CLIENT_PREALLOCATE", "false"
    )  # JAX would take most of the card's memory
    jax = jax and importlib.util.find_spec("jax") is not None
    arch, shared = cuda.kind_of(device)
    report: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device),
        "arch": arch,
        "torch": torch.__version__,
        "checks": [],
        "rates": [],
        "sweep": [],
        "scale": [],
    }
    print(
        f"{report['device']}, {arch}, torch {torch.__version__}, {os.cpu_count()} cores", flush=True
    )
    to_check = list(studies_to_check(short))
    to_time = list(studies_to_time(short))
    kernels = [cuda.kernel_for(study, shared) for study in (*to_check, *to_time)]
    if sweeping:
        kernels += [
            kernel for study in studies_to_sweep() for kernel in variants(study, shared).values()
        ]
    compile_all(kernels, [study.architecture for study in to_check], arch)
    parts = {
        "checks": check(to_check, device),
        "rates": compare(to_time, device, short, jax),
        "sweep": sweep(device) if sweeping else (),
        "scale": time_scale(device) if quick else (),
    }
    for name, entries in parts.items():
        for row in entries:
            report[name].append(row)
            if path:
                Path(path).write_text(json.dumps(report, indent=1))
    wrong = sum(not row["agrees"] for row in report["checks"])
    if wrong:
        raise RuntimeError(
            f"The GPU's step must agree with the processor's; {wrong} of {len(to_check)} checks do"
            " not."
        )
    return report
