"""Trains trials of a store again on this machine, and checks whether they agree in all numbers that a
figure reads.

On the machine and with the libraries that trained it, a trial comes out the same to the last digit.
Elsewhere sums are rounded differently, and training is chaotic: a difference in the seventh digit
after one step may be one in the first digit after thousands. The trial itself shows how large this
effect is: if its last digit differs, it is trained PERTURBATIONS times more, with learning rates that
differ in the seventh digit. A stored number agrees if it differs from the new one by no more than
twice as much as these do, and by no more than LIMIT in any case: a loss that is a tenth lower is not
taken for rounding, however chaotic the trial is.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import rnnkit
from rnnkit.checks import whole_number
from rnnkit.studies.study import Study
from rnnkit.training import Outcome, check_device, train
from rnnkit.trials import LOSSES, StoreError, Trial, TrialStore
from rnnkit.trials.trial import plain

PERTURBATIONS = 3
PERTURBATION = 3e-7  # relative; the least change that a float32 is sure to see
# relative differences: numbers that differ by less than FLOOR agree, by more than LIMIT disagree
FLOOR, LIMIT = 1e-4, 0.05
NUMBERS = (*LOSSES, "accuracy")  # rounding may change these
COUNTS = ("num_params", "steps", "infeasible")  # rounding may not change these
CHAOS = 100  # training steps after which the rounding of another machine always shows


@dataclass(frozen=True)
class Comparison:
    """A trial of the store, the outcome of training it again here, and the outcomes of training it
    with perturbed learning rates, if there was need for that.
    """

    trial: Trial
    outcome: Outcome
    n_units: int
    perturbations: tuple[Outcome, ...] = ()

    def difference(self, name: str) -> float:
        """Relative difference between a stored number and the new one."""
        return relative_difference(getattr(self.trial, name), getattr(self.outcome, name))

    def tolerance(self, name: str) -> float:
        """The relative difference that is allowed: twice the effect of rounding on this trial, and
        at most LIMIT.
        """
        new = getattr(self.outcome, name)
        effects = [relative_difference(new, getattr(out, name)) for out in self.perturbations]
        return min(LIMIT, max([FLOOR, *(2 * effect for effect in effects)]))

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers to compare; accuracy only if the trial has one."""
        return LOSSES if math.isnan(self.trial.accuracy) else NUMBERS

    @property
    def exact(self) -> bool:
        """Whether everything is the same to the last digit."""
        return not self.wrong_counts and all(self.difference(name) == 0 for name in self.numbers)

    @property
    def wrong_counts(self) -> list[str]:
        """The columns that differ although rounding cannot change them. (It can change the number of
        steps of a trial that diverged. Older trials do not record the number of units.)
        """
        names = [name for name in COUNTS if not (name == "steps" and self.trial.infeasible)]
        wrong = [name for name in names if getattr(self.trial, name) != getattr(self.outcome, name)]
        return wrong + (["n_units"] if self.trial.n_units not in (0, self.n_units) else [])

    @property
    def wrong_numbers(self) -> list[str]:
        """The numbers that differ by more than their tolerance."""
        return [name for name in self.numbers if self.difference(name) > self.tolerance(name)]

    @property
    def wrong_columns(self) -> list[str]:
        """The columns that do not agree."""
        return self.wrong_counts + self.wrong_numbers

    @property
    def agrees(self) -> bool:
        """Whether all columns agree."""
        return not self.wrong_columns

    @property
    def verdict(self) -> str:
        """The result of the comparison, in one line."""
        if self.exact:
            return "the same to the last digit"
        details = []
        for name in self.wrong_counts:
            new = self.n_units if name == "n_units" else getattr(self.outcome, name)
            details.append(f"{name} is {getattr(self.trial, name):,}, here {new:,}")
        numbers = self.wrong_numbers
        if not numbers and not details:
            numbers = [max(self.numbers, key=self.difference)]
        for name in numbers:
            difference, tolerance = self.difference(name), self.tolerance(name)
            details.append(f"{name} is {difference:.1g} apart, where {tolerance:.1g} is allowed")
        return f"{'agrees' if self.agrees else 'DIFFERS'}: {'; '.join(details)}"


def relative_difference(a: float, b: float) -> float:
    """Relative difference of two numbers: 0 if both are NaN, infinite if one is."""
    if math.isnan(a) or math.isnan(b):
        return 0.0 if math.isnan(a) and math.isnan(b) else math.inf
    return abs(a - b) / max(abs(a), abs(b)) if a != b else 0.0


def disagreements(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """The comparisons in which the trial does not agree.

    If some trial comes out the same to the last digit, this machine computes as the one that trained
    it. Then all trials with the same version, commit, source, torch and device must be exact, too.
    """
    comparisons = list(comparisons)
    exact = {
        origin_of(comparison.trial)
        for comparison in comparisons
        if comparison.exact and comparison.trial.steps >= CHAOS
    }
    return [
        comparison
        for comparison in comparisons
        if not comparison.agrees or (not comparison.exact and origin_of(comparison.trial) in exact)
    ]


def origin_of(trial: Trial) -> tuple[str, ...]:
    """What trained a trial, according to its columns."""
    return trial.version, trial.commit, trial.source, trial.torch, trial.device


def subject_of(trial: Trial) -> str:
    """A trial as the subject of a sentence."""
    return f"Trial {trial.hyper_iter} of {plain(trial.study)[:300]}"


def study_of(trial: Trial) -> Study:
    """A study that trains this trial as its own study did: with the same task, network and seed.
    StoreError if the columns of the trial do not describe such a study.
    """
    size = {"form": trial.form} if trial.form else {"n_in": trial.n_in, "unroll": trial.unroll}
    steps: Any = trial.hparams.get("train_steps")
    subject = subject_of(trial)
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
        raise StoreError(f"{subject} cannot be trained: {error}") from error
    # the pinned train_steps are the trial's own
    for item in study.space.ranges:
        if item.name in trial.hparams and not item.holds(trial.hparams[item.name]):
            raise StoreError(
                f"{subject} cannot be trained: its space has {item}, got"
                f" {trial.hparams[item.name]!r}. No training made this trial."
            )
    if study.num_params != trial.num_params:
        raise StoreError(
            f"{subject} had {trial.num_params:,} parameters (rnnkit {trial.version}), and its"
            f" network has {study.num_params:,} in rnnkit {rnnkit.__version__}. Verify it with the"
            " version that trained it."
        )
    return study


def retrain(trial: Trial, device: str = "cpu") -> Comparison:
    """Trains a trial again, and with perturbed learning rates if it comes out differently.
    StoreError for a trial that cannot be trained.
    """
    study = study_of(trial)

    def train_with(**changes: float) -> Outcome:
        hparams = {**trial.hparams, **changes}
        try:
            (outcome,) = train(study, [hparams], [trial.hyper_iter], device=device)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"{subject_of(trial)} cannot be trained ({type(error).__name__}: {error}). Its hyper-parameters are not those of this"
                " version of the kit."
            ) from error
        return outcome

    comparison = Comparison(trial, train_with(), study.n_units)
    close = all(comparison.difference(name) <= FLOOR for name in comparison.numbers)
    if comparison.wrong_counts or close:
        return comparison
    rate = trial.hparams["lr_init"]
    factors = [1 + k * PERTURBATION for k in range(1, PERTURBATIONS + 1)]
    perturbations = tuple(train_with(lr_init=rate * factor) for factor in factors)
    return dataclasses.replace(comparison, perturbations=perturbations)


def verify(
    store: TrialStore, count: int = 3, seed: int = 0, device: str = "cpu"
) -> Iterator[Comparison]:
    """Trains `count` random trials of the store again, and yields each Comparison as it is made.
    ValueError for a bad setting, StoreError for a store without trials.
    """
    whole_number("count", count, 1)
    whole_number("seed", seed, 0)
    check_device(device)
    length = len(store)
    if not length:
        raise StoreError(f"The store {store.path} has no trials to verify. Run something first.")
    for index in np.random.default_rng(seed).choice(length, min(count, length), replace=False):
        yield retrain(store.trial_at(int(index)), device)
