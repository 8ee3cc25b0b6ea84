"""Trials of a store trained again on this machine, to see whether they agree in everything that a
figure reads.

On the machine and with the libraries that trained it, a trial comes out the same to the last digit.
Elsewhere sums are rounded differently, and training is chaotic: what differs in the seventh digit
after one step may differ in the first after thousands. How much that is, is asked of the trial
itself: where the last digit differs, it is trained SHAKES times more, with a learning rate that
differs in the seventh digit. A stored number agrees if it is no further from the new one than twice
what these are, and never if it is further than MOST: a loss that is a tenth better is not taken for
rounding, however chaotic the trial.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

import rnnkit
from rnnkit.checks import whole_number
from rnnkit.studies.study import Study
from rnnkit.training import Outcome, check_device, train
from rnnkit.trials import LOSSES, StoreError, Trial

SHAKES, SHAKE = 3, 3e-7  # the least relative change that a float32 surely sees
FLOOR, MOST = (
    1e-4,
    0.05,
    # relative: numbers nearer than the one agree in any case, and further apart than the other in
    # none
)
NUMBERS = (*LOSSES, "accuracy")  # what rounding may change
COUNTS = ("num_params", "steps", "infeasible")  # what it may not


@dataclass(frozen=True)
class Retrained:
    """A trial of the store, what came of it when it was trained again here, and when it was shaken
    (if it was).
    """

    trial: Trial
    outcome: Outcome
    n_units: int
    shaken: tuple[Outcome, ...] = ()

    def apart(self, name: str) -> float:
        """Relative difference of a stored number and the new one."""
        return apart(getattr(self.trial, name), getattr(self.outcome, name))

    def tolerance(self, name: str) -> float:
        """How far apart the two may be: twice what rounding alone does to this trial, and never
        more than MOST.
        """
        here = getattr(self.outcome, name)
        return min(
            MOST, max([FLOOR, *(2 * apart(here, getattr(one, name)) for one in self.shaken)])
        )

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers to compare; accuracy only where the trial notes one."""
        return NUMBERS if self.trial.accuracy == self.trial.accuracy else LOSSES

    @property
    def exact(self) -> bool:
        """Whether all is the same to the last digit."""
        return not self.wrong_counts and all(self.apart(name) == 0 for name in self.numbers)

    @property
    def wrong_counts(self) -> list[str]:
        """What differs though rounding cannot change it. How long a trial lasted that diverged, it
        can; units may not be noted.
        """
        names = [name for name in COUNTS if not (name == "steps" and self.trial.infeasible)]
        wrong = [name for name in names if getattr(self.trial, name) != getattr(self.outcome, name)]
        return wrong + (["n_units"] if self.trial.n_units not in (0, self.n_units) else [])

    @property
    def wrong(self) -> list[str]:
        """The columns that do not agree."""
        return self.wrong_counts + [
            name for name in self.numbers if self.apart(name) > self.tolerance(name)
        ]

    @property
    def agrees(self) -> bool:
        return not self.wrong

    @property
    def verdict(self) -> str:
        if self.exact:
            return "the same to the last digit"
        counts = [
            f"{name} is {self._stored(name)}, here {self._here(name)}" for name in self.wrong_counts
        ]
        names = [name for name in self.wrong if name in self.numbers] or (
            [] if counts else [max(self.numbers, key=self.apart)]
        )
        told = [
            f"{name} is {self.apart(name):.1g} apart, where {self.tolerance(name):.1g} is allowed"
            for name in names
        ]
        return f"{'agrees' if self.agrees else 'DIFFERS'}: {'; '.join(counts + told)}"

    def _stored(self, name):
        return f"{getattr(self.trial, name):,}"

    def _here(self, name):
        return f"{self.n_units if name == 'n_units' else getattr(self.outcome, name):,}"


def apart(a: float, b: float) -> float:
    """Relative difference of two numbers; 0 where both are missing (NaN), infinite where one is."""
    if math.isnan(a) or math.isnan(b):
        return 0.0 if math.isnan(a) and math.isnan(b) else math.inf
    return abs(a - b) / max(abs(a), abs(b)) if a != b else 0.0


def false_ones(done) -> list[Retrained]:
    """Those of some retrained trials that do not agree.

    Where a trial comes out the same to the last digit, this machine does as the one that trained it
    did: then those that name the same version, commit, source, torch and device must be exact too.
    """
    exact = {origin_of(one.trial) for one in done if one.exact and one.trial.steps >= CHAOS}
    return [
        one for one in done if not one.agrees or (not one.exact and origin_of(one.trial) in exact)
    ]


CHAOS = 100  # training steps after which another machine's rounding has long shown


def origin_of(trial: Trial) -> tuple[str, ...]:
    """What trained a trial, as it says."""
    return trial.version, trial.commit, trial.source, trial.torch, trial.device


def study_of(trial: Trial) -> Study:
    """A study that trains this trial as its own did: the same task, network and seed. StoreError if
    its columns describe none.
    """
    size = {"form": trial.form} if trial.form else {"n_in": trial.n_in, "unroll": trial.unroll}
    steps, which = trial.hparams.get("train_steps"), f"Trial {trial.hyper_iter} of {trial.study}"
    try:
        study = Study(
            trial.task_type,
            trial.architecture,
            trial.n_layers,
            trial.max_params,
            trial.seed,
            train_steps=(steps, steps),
            tuner="random",
            **size,
        )
    except ValueError as error:
        raise StoreError(f"{which} cannot be trained: {error}") from error
    known = dict(study.space.pinned) | {row.name: row for row in study.space.ranges}
    for name, value in trial.hparams.items():
        row = known.get(name)
        if hasattr(row, "holds") and not row.holds(value):
            raise StoreError(
                f"{which} cannot be trained: {row} is what its space has, got {value!r}. Whoever"
                " made it, training did not."
            )
    if study.num_params != trial.num_params:
        raise StoreError(
            f"{which} had {trial.num_params:,} parameters (rnnkit {trial.version}), and its network"
            f" has {study.num_params:,} in rnnkit {rnnkit.__version__}. Verify it with the version"
            " that trained it."
        )
    return study


def retrained(trial: Trial, device="cpu") -> Retrained:
    """A trial trained again, and shaken where it comes out different. StoreError for a row that
    cannot be trained.
    """
    study = study_of(trial)

    def outcome(**changes):
        try:
            return train(study, [{**trial.hparams, **changes}], [trial.hyper_iter], device=device)[
                0
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"Trial {trial.hyper_iter} of {trial.study} cannot be trained"
                f" ({type(error).__name__}: {error}). Its hyper-parameters are not of this version"
                " of the kit."
            ) from error

    once = Retrained(trial, outcome(), study.n_units)
    if once.wrong_counts or all(once.apart(name) <= FLOOR for name in once.numbers):
        return once
    rate = trial.hparams["lr_init"]
    return dataclasses.replace(
        once, shaken=tuple(outcome(lr_init=rate * (1 + k * SHAKE)) for k in range(1, SHAKES + 1))
    )


def verify(store, count=3, seed=0, device="cpu"):
    """Trains `count` trials of the store again, drawn by `seed`, and gives a Retrained as each is
    done. ValueError, StoreError.
    """
    whole_number("count", count, 1), whole_number("seed", seed, 0), check_device(device)
    length = len(store)
    if not length:
        raise StoreError(f"The store {store.path} has no trials to verify. Run something first.")
    for place in np.random.default_rng(seed).choice(length, min(count, length), replace=False):
        yield retrained(store.trial_at(int(place)), device)
