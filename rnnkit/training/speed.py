"""How fast a training step is on this machine."""

import time

import torch

from rnnkit.cells import cell_of
from rnnkit.training.engines import Data, check_device, engine_for
from rnnkit.training.slots import Slots, prepared

# an ordinary set of hyper-parameters, for measuring speed
TYPICAL = dict(optimizer="Adam", lr_init=1e-3, lr_decay_rate=0.1, optimizer_logit_momentum=2.2, gradient_clip_val=10.0, l2_decay=1e-7,
               samples_per_param=2.0, input_presentation="every", compute_steps=3, nonlinearity="tanh", train_steps=10**9,
               recurrent_matrix_init_type="orthogonal", recurrent_bias_init_type="delta")  # fmt: skip


def typical(study):
    cell = cell_of(study.architecture, study.n_layers)
    hparams = dict(TYPICAL, nonlinearity=cell.nonlinearities[-1])
    for m in (*cell.maps, "in"):
        hparams |= {f"input_scale_{m}": 1.0, f"recurrent_matrix_scale_{m}": 1.0, f"recurrent_bias_scale_{m}": 0.0}
    return hparams | {name: 1.0 for name in cell.forget.values()}


def benchmark_step(study, slots=None, device="cpu", engine="auto"):
    """A function of n that runs n training steps of every slot, data generation included; its attribute `slots` says how many."""
    hparams = typical(study)
    engine = engine_for(study, Data(study, [hparams], device=check_device(device)), device, engine, torch.float32)
    s = Slots(study.num_params, torch.float32, engine.device)
    slots = slots or engine.slots
    s.fill(list(prepared(study, ((i, hparams) for i in range(slots)), torch.float32)))

    def run(n):
        engine.train(s, n)

    run.slots = slots
    return run


def seconds_per_step(study, device="cpu", seconds=0.1) -> float:
    """Seconds that one training step of one model takes on this machine, by a short trial."""
    run = benchmark_step(study, device=device)
    run(2)
    n, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or n == 0:
        run(4)
        n += 4
    return elapsed / n / run.slots
