"""The fused step on the GPU at hand: whether it agrees with the processor's, and how fast it is.

Rates are training steps of one model per second, over all models in flight; each is the median of a few launches of a fifth of a second.
"""

import json
import multiprocessing
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch

from rnnkit import native
from rnnkit.cells import PAPER, cell_of
from rnnkit.native import cuda
from rnnkit.studies import Study
from rnnkit.studies.scales import inputs_for
from rnnkit.training.engines import Compiled, Data, Fused
from rnnkit.training.slots import Slots, prepared

TASKS = {"mem_thru": "tiny", "rcf": "tiny", "text8": "tiny sample", "parens_counting": "tiny", "arithmetic": "tiny"}
RULES = (("Adam", "every", "tanh"), ("RMSProp", "first", "relu"), ("momentum", "every", "relu"), ("SGD", "first", "tanh"))
AGREE = 1e-4  # relative difference of the parameters after 20 steps
SHORT_SIZES, SIZES, STEPS = (300, 1_000, 3_000), (300, 1_000, 3_000, 10_000, 100_000), (5, 50, 175)
DIFFERENT = 16  # initial weights: enough for timing
IN_FLIGHT = (132, 800, 3_200)


def capacity(cell, layers, size):
    return Study("per_cap", cell, layers, size, n_in=inputs_for(size))


def studies_to_check(short=False):
    """Every cell on the capacity task at a few sizes and depths, and on every other task."""
    for size, depths in ((300, (1,)), (1_000, (2,)), (3_000, (1, 4))) if short else ((300, (1, 2)), (1_000, (1, 2)), (3_000, (1, 2, 4)), (10_000, (1, 8))):
        for cell in PAPER:
            yield from (capacity(cell, depth, size) for depth in depths if depth >= cell_of(cell).min_layers)
    yield Study("per_cap", "linear", 0, 300, n_in=299, unroll=1)
    for task, form in TASKS.items():
        for cell in ("lstm",) if short else (*PAPER, "mgu", "janet", "mingru", "minlstm"):
            yield Study(task, cell, max(1 if short else 2, cell_of(cell).min_layers), 2_500, form=form)


def sets_of(study):
    """A set of hyper-parameters for each optimiser, so that all paths of the update are gone."""
    for optimizer, presentation, nonlinearity in RULES:
        hparams = dict(study.space.usual_point(), optimizer=optimizer, train_steps=1_000, l2_decay=1e-3, gradient_clip_val=1.0, lr_init=1e-2)
        hparams["input_presentation"] = presentation
        if nonlinearity in cell_of(study.architecture).nonlinearities:
            hparams["nonlinearity"] = nonlinearity
        yield hparams


def filled(study, sets, models, device):
    s = Slots(study.num_params, torch.float32, device)
    rows = list(prepared(study, ((i, sets[i % len(sets)]) for i in range(min(models, DIFFERENT))), torch.float32))
    s.fill([rows[i % len(rows)] for i in range(models)])
    return s


def difference(study, device, steps=20, **chosen) -> tuple[float, float]:
    """Relative difference of the parameters, and the difference of the right answers, from the processor's after some steps."""
    sets = list(sets_of(study))
    ours, theirs = filled(study, sets, len(sets), device), filled(study, sets, len(sets), "cpu")
    cpu = Compiled(study, Data(study, sets))
    gpu = fused(study, Data(study, sets, device=device), device, **chosen)
    cpu.train(theirs, steps), gpu.train(ours, steps)
    part, rows = "all" if study.task.input == "bits" else "valid", list(range(len(sets)))
    ours.theta, before = theirs.theta.to(device), ours.theta.cpu()
    (loss_a, right_a), (loss_b, right_b) = cpu.evaluate(theirs, rows, part), gpu.evaluate(ours, rows, part)
    apart = max(float((a - b).norm() / a.norm()) for a, b in zip(theirs.theta, before))
    apart = max(apart, float(((loss_a - loss_b).abs() / loss_a.abs()).max()))
    return apart if ours.step.tolist() == theirs.step.tolist() else float("inf"), float((right_a - right_b).abs().max())


def fused(study, data, device, **chosen):
    kernel = cuda.kernel_for(study, cuda.shared_bytes(device), **chosen)
    return Fused(study, data, device, cuda._module(kernel, kernel.equations, device))


def rate(engine, s, seconds=0.2, times=3) -> float:
    """Model-steps per second of an engine on filled slots whose trials do not end."""
    def run(steps):
        torch.cuda.synchronize()
        start, before = time.perf_counter(), int(s.step.sum())
        engine.train(s, steps)
        torch.cuda.synchronize()
        return time.perf_counter() - start, int(s.step.sum()) - before

    chunk, elapsed = 2, run(2)[0]
    while elapsed < seconds / 8:
        chunk *= 4
        elapsed, _ = run(chunk)
    chunk = max(1, int(chunk * seconds / elapsed))
    return statistics.median(steps / elapsed for elapsed, steps in (run(chunk) for _ in range(times)))


def speed_of(study, models, device, seconds=0.2, times=3, **chosen) -> float:
    sets = [dict(study.space.usual_point(), train_steps=10**9)]
    engine = fused(study, Data(study, sets, device=device), device, **chosen)
    return rate(engine, filled(study, sets, models, device), seconds, times)


def task_of(steps, size, cell, layers=1):
    """The study that is timed at a number of time steps: the capacity task, text, parentheses."""
    if steps == 5:
        return capacity(cell, layers, size)
    return Study(*("text8" if steps == 50 else "parens_counting", cell, layers, size), form="small sample" if steps == 50 else "paper")


# ---- compiling side by side ------------------------------------------------------------------------------------------------------------------
def _compile(work):
    made, arch = work
    try:
        native.library(made) if isinstance(made, str) else cuda.cubin(made, arch)
        return made, ""
    except Exception as error:
        return made, str(error)


def compile_all(kernels, cells, arch, workers=None):
    """Leaves all these kernels, and the processor's steps of these cells, on disk; says what could not be compiled."""
    context, work = multiprocessing.get_context("forkserver"), [*dict.fromkeys(cells), *dict.fromkeys(kernels)]
    start = time.perf_counter()
    with context.Pool(min(len(work), workers or os.cpu_count() or 1)) as pool:
        done = pool.map(_compile, [(each, arch) for each in work], chunksize=1)
    for made, error in done:
        if error:
            print(f"could not compile {made}: {error}")
    print(f"{len(work)} steps compiled in {time.perf_counter() - start:.1f} s", flush=True)


# ---- the sweep that the choice in native/cuda.py rests on -----------------------------------------------------------------------------------
SWEEP = (("rnn", 600, 1), ("lstm", 1_000, 1), ("rnn", 1_000, 1), ("rnn", 3_000, 1), ("gru", 1_000, 2), ("lstm", 600, 2), ("rnn", 3_000, 2), ("gru", 1_000, 4),
         ("rnn", 600, 4), ("+rnn", 3_000, 4))  # fmt: skip


def variants(study, shared):
    """The two ways to run a study's kernel that are compared: many small blocks, and few large ones (native/cuda.py)."""
    kernel, found = cuda.kernel_for(study, shared), []
    for near in (False, True):
        chosen = cuda.choice(kernel, shared, near)
        found.append((near, replace(kernel, **chosen)))
    return found


def sweep(device, models=(136, 800)):
    """Rates of both, printed and given as rows."""
    shared = cuda.shared_bytes(device)
    for cell, size, layers in SWEEP:
        study = capacity(cell, layers, size)
        for near, kernel in variants(study, shared):
            chosen = {name: getattr(kernel, name) for name in ("THREADS", "TILE", "MEMORY")}
            for count in models:
                found = speed_of(study, count, device, 0.1, 1, **chosen)
                print(f"{cell:6}{size:8,}{layers:3}  {'near' if near else 'many'} threads {kernel.THREADS:4} tile {kernel.TILE} memory {kernel.MEMORY}"
                      f" {kernel.shared / 1024:6.0f} KiB {count:5} models {found:12.3g} model-steps/s", flush=True)  # fmt: skip
                yield {"cell": cell, "size": size, "layers": layers, "near": near, **chosen, "kib": kernel.shared / 1024, "models": count, "rate": found}


def main(short=False, sweeping=False, path=None, device="cuda"):
    """Prints correctness, then rates; writes all to a JSON file. RuntimeError where the GPU's step does not agree with the processor's."""
    from rnnkit.training import check_device

    check_device(device)
    arch, shared = cuda.kind_of(device)
    name = torch.cuda.get_device_name(device)
    print(f"{name}, {arch}, torch {torch.__version__}, {os.cpu_count()} cores", flush=True)
    checked = list(studies_to_check(short))
    timed = [(capacity(cell, layers, size), models) for size in (SHORT_SIZES if short else SIZES) for cell, layers in (("rnn", 1), ("lstm", 1), ("gru", 4))
             for models in IN_FLIGHT if models * size <= 40_000_000]  # fmt: skip
    kernels = [cuda.kernel_for(study, shared) for study in (*checked, *(study for study, _ in timed))]
    if sweeping:
        kernels += [kernel for cell, size, layers in SWEEP for kernel in variants(capacity(cell, layers, size), shared)]
    compile_all(kernels, [study.architecture for study in checked], arch)
    report = {"device": name, "arch": arch, "checks": [], "rates": [], "sweep": []}

    def write():
        if path:
            Path(path).write_text(json.dumps(report, indent=1))

    wrong = 0
    for study in checked:
        try:
            apart, answers = difference(study, device)
        except Exception as error:
            apart, answers = float("nan"), float("nan")
            print(f"{study.key}: {error}")
        fine = apart < AGREE and answers <= 1
        wrong += not fine
        report["checks"].append({"study": study.key, "apart": apart, "answers": answers, "agrees": fine})
        print(f"{'agrees' if fine else 'WRONG '} {apart:8.1e} {answers:4.0f}  {study.key}", flush=True)
    write()
    for study, models in timed:
        found = speed_of(study, models, device, 0.1 if short else 0.2, 1 if short else 3)
        report["rates"].append({"cell": study.architecture, "layers": study.n_layers, "size": study.max_params, "T": study.task.steps, "models": models, "rate": found})
        print(f"{study.architecture:6}{study.n_layers:2} layers {study.max_params:8,} parameters T={study.task.steps:4} {models:5} models {found:10.3g} model-steps/s", flush=True)
        write()
    for row in sweep(device) if sweeping else ():
        report["sweep"].append(row)
        write()
    if wrong:
        raise RuntimeError(f"{wrong} of {len(checked)} checks do not agree with the processor's step.")
    return report
