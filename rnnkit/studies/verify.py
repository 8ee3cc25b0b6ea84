"""Trials of a store trained again on this machine, to see whether they agree.

On the machine and with the libraries that trained it, a trial comes out the same to the last digit. Elsewhere sums are rounded
differently, and training is chaotic: what differs in the seventh digit after one step may differ in the first after thousands. How
much that is, is asked of the trial itself: where the last digit differs, it is trained SHAKES times more, with a learning rate that
differs in the seventh digit. The stored loss agrees if it is no further from the new one than twice what these are.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

import rnnkit
from rnnkit.cells import whole_number
from rnnkit.studies.study import Study
from rnnkit.training import check_device, train
from rnnkit.trials import StoreError, Trial

SHAKES, SHAKE = 3, 3e-7  # the least relative change that a float32 surely sees
FLOOR = 1e-4  # relative: losses this near agree in any case


@dataclass(frozen=True)
class Retrained:
    """A trial of the store, the loss that it gave when trained again here, and those that it gave when shaken (if it was)."""

    trial: Trial
    valid_loss: float
    shaken: tuple[float, ...] = ()

    @property
    def apart(self) -> float:
        """Relative difference of the stored loss and the new one."""
        return apart(self.trial.valid_loss, self.valid_loss)

    @property
    def tolerance(self) -> float:
        """How far apart the two may be: twice what rounding alone does to this trial."""
        return max([FLOOR, *(2 * apart(self.valid_loss, loss) for loss in self.shaken)])

    @property
    def agrees(self) -> bool:
        return self.apart <= self.tolerance

    @property
    def verdict(self) -> str:
        if self.apart == 0:
            return "the same to the last digit"
        return f"{'agrees' if self.agrees else 'DIFFERS'}: {self.apart:.1g} apart, where rounding allows {self.tolerance:.1g}"


def apart(a: float, b: float) -> float:
    """Relative difference of two losses; 0 where both diverged (NaN), infinite where one did."""
    if math.isnan(a) or math.isnan(b):
        return 0.0 if math.isnan(a) and math.isnan(b) else math.inf
    return abs(a - b) / max(abs(a), abs(b)) if a != b else 0.0


def study_of(trial: Trial) -> Study:
    """A study that trains this trial as its own did: the same task, network and seed. StoreError if its columns describe none."""
    size = {"form": trial.form} if trial.form else {"n_in": trial.n_in, "unroll": trial.unroll}
    steps, which = trial.hparams.get("train_steps"), f"Trial {trial.hyper_iter} of {trial.study}"
    try:
        study = Study(trial.task_type, trial.architecture, trial.n_layers, trial.max_params, trial.seed, train_steps=(steps, steps),
                      tuner="random", **size)  # fmt: skip
    except ValueError as error:
        raise StoreError(f"{which} cannot be trained: {error}") from error
    if study.num_params != trial.num_params:
        raise StoreError(f"{which} had {trial.num_params:,} parameters (rnnkit {trial.version}), and its network has {study.num_params:,} "
                         f"in rnnkit {rnnkit.__version__}. Verify it with the version that trained it.")  # fmt: skip
    return study


def retrained(trial: Trial, device="cpu") -> Retrained:
    """A trial trained again, and shaken where it comes out different. StoreError for a row that cannot be trained."""
    study = study_of(trial)

    def loss(**changes):
        try:
            (outcome,) = train(study, [{**trial.hparams, **changes}], [trial.hyper_iter], device=device)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"Trial {trial.hyper_iter} of {trial.study} cannot be trained ({type(error).__name__}: {error}). "
                             "Its hyper-parameters are not of this version of the kit.") from error  # fmt: skip
        return outcome.valid_loss

    once = Retrained(trial, loss())
    if once.apart <= FLOOR:
        return once
    rate = trial.hparams["lr_init"]
    return dataclasses.replace(once, shaken=tuple(loss(lr_init=rate * (1 + k * SHAKE)) for k in range(1, SHAKES + 1)))


def verify(store, count=3, seed=0, device="cpu"):
    """Trains `count` trials of the store again, drawn by `seed`, and gives a Retrained as each is done. ValueError, StoreError."""
    whole_number("count", count, 1), whole_number("seed", seed, 0), check_device(device)
    frame = store.frame()[["study", "hyper_iter"]]
    if not len(frame):
        raise StoreError(f"The store {store.path} has no trials to verify. Run something first.")
    for i in np.random.default_rng(seed).choice(len(frame), min(count, len(frame)), replace=False):
        (trial,) = (trial for trial in store.trials(frame.study[i]) if trial.hyper_iter == frame.hyper_iter[i])
        yield retrained(trial, device)
