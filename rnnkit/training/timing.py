"""How fast a training step is on this machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from rnnkit.native import Study
from rnnkit.training.engines import Data, check_device, engine_for
from rnnkit.training.slots import slots_of

SECONDS = 0.1  # of the trial by which a step is timed
STILL = 1e-9  # the learning rate of a model that is timed


@dataclass(frozen=True)
class Stepper:
    """Called with n, takes n training steps of each of its `slots` models, while they are alive: a
    model that has diverged takes none, and its time says nothing.
    """

    take: Callable[[int], object]
    slots: int
    is_alive: Callable[[], bool] = lambda: True

    def __call__(self, n: int) -> None:
        self.take(n)


def benchmark_step(
    study: Study, device: str = "cpu", engine: str = "auto", hparams: dict | None = None
) -> Stepper:
    """A function of n that takes n training steps of every slot, the making of data included. Its
    attribute `slots` says how many slots there are.

    It trains with the study's usual hyper-parameters, except for those in `hparams` and for a
    learning rate at which no model diverges while it is timed.
    """
    endless = {"train_steps": 10**9, "lr_init": STILL}
    hparams = study.space.usual_point() | (hparams or {}) | endless
    data = Data(study, [hparams], device=check_device(device))
    trainer = engine_for(study, data, device, engine)
    s = slots_of(study, ((i, hparams) for i in range(trainer.slots)), device=trainer.device)
    return Stepper(
        lambda n: trainer.train(s, n), trainer.slots, is_alive=lambda: not bool(s.dead.any())
    )


def seconds_per_step(study: Study, device: str = "cpu", seconds: float = SECONDS) -> float:
    """Seconds per training step of one model on this machine, by a short trial: one that takes
    `seconds` or a little more, or only its first step if that alone takes as long.

    It learns next to nothing, since a trial that diverges is over and takes no time.
    """
    run = benchmark_step(study, device=device)
    n = 0
    duration = 0.0
    longest = 1
    while duration < seconds:
        if n == 1:  # the first step also allocates and loads: it counts only if it is the only one
            n = 0
            duration = 0.0
        start = time.perf_counter()
        run(longest)
        n += longest
        duration += time.perf_counter() - start
        longest *= 2
    return duration / n / run.slots
