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
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import rnnkit
from rnnkit.checks import whole_number
from rnnkit.studies.import_check import fault_of
from rnnkit.studies.study import Study
from rnnkit.training import Outcome, check_device, train
from rnnkit.trials import LOSSES, StoreError, Trial, TrialStore
from rnnkit.trials.trial import plain

PERTURBATIONS = 3
PERTURBATION = 3e-7  # relative; the least change that a float32 is sure to see
# relative differences: numbers that differ by less than FLOOR agree, by more than LIMIT disagree
FLOOR = 1e-4
LIMIT = 0.05
ROUNDING = 1e-9  # relative; of a hyper-parameter that was drawn on another machine
NUMBERS = (*LOSSES, "accuracy")  # rounding may change these
COUNTS = ("num_params", "steps", "infeasible", "n_units")  # rounding may not change these
CHAOS = 100  # training steps after which the rounding of another machine always shows


@dataclass(frozen=True)
class Comparison:
    """A trial of the store, the outcome of training it again here, and the outcomes of training it
    with perturbed learning rates, if that was necessary.
    """

    trial: Trial
    outcome: Outcome
    n_units: int
    perturbations: tuple[Outcome, ...] = ()

    def values(self, name: str) -> tuple[Any, Any]:
        """A column as it is stored, and as it is here."""
        new = self.n_units if name == "n_units" else getattr(self.outcome, name)
        return getattr(self.trial, name), new

    def difference(self, name: str) -> float:
        """Relative difference between a stored value and the new one."""
        return relative_difference(*self.values(name))

    def tolerance(self, name: str) -> float:
        """The relative difference that is allowed: for a number twice the effect of rounding on this
        trial, and at most LIMIT. Of the counts, only the steps of a trial that diverged may differ.
        """
        if name in COUNTS:
            return math.inf if name == "steps" and self.trial.infeasible else 0.0
        new = getattr(self.outcome, name)
        effects = [relative_difference(new, getattr(out, name)) for out in self.perturbations]
        return min(LIMIT, max([FLOOR, *(2 * effect for effect in effects)]))

    @property
    def exact(self) -> bool:
        """Whether everything is the same to the last digit."""
        return self.agrees and all(self.difference(name) == 0 for name in NUMBERS)

    @property
    def wrong(self) -> list[str]:
        """The columns that differ by more than their tolerance."""
        names = (*COUNTS, *NUMBERS)
        return [name for name in names if self.difference(name) > self.tolerance(name)]

    @property
    def agrees(self) -> bool:
        """Whether all columns agree."""
        return not self.wrong

    @property
    def verdict(self) -> str:
        """The result of the comparison, in one line."""
        if self.exact:
            return "the same to the last digit"
        details = []
        for name in self.wrong or [max(NUMBERS, key=self.difference)]:
            if name in COUNTS:
                stored, new = self.values(name)
                details.append(f"{name} is {stored:,}, here {new:,}")
            else:
                difference = self.difference(name)
                tolerance = self.tolerance(name)
                details.append(
                    f"{name} is {difference:.1g} apart, where {tolerance:.1g} is allowed"
                )
        return f"{'agrees' if self.agrees else 'DIFFERS'}: {'; '.join(details)}"


def relative_difference(a: float, b: float) -> float:
    """Relative difference of two numbers: 0 if they are equal or both NaN, and infinite if one of
    them is not finite.
    """
    if a == b or (math.isnan(a) and math.isnan(b)):
        return 0.0
    if not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return abs(a - b) / max(abs(a), abs(b))


def disagreements(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """The comparisons in which the trial does not agree.

    If some trial comes out the same to the last digit, this machine computes like the one that
    trained it. Then all trials with the same version, commit, source, torch and device must be
    exact, too.
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
    """The study of a trial, but for the points that its search started from. StoreError if no
    training of this version of the kit made such a trial.
    """
    subject = subject_of(trial)
    if fault := fault_of(trial):
        raise StoreError(f"{subject} {fault}. No training made this trial.")
    try:
        study = Study.without_start(trial)
    except ValueError as error:
        raise StoreError(f"{subject} cannot be trained: {error}") from error
    if study.key != re.sub("/from=[^/]*", "", trial.study):
        raise StoreError(
            f"{subject} (rnnkit {plain(trial.version)}) is of {plain(study.key)[:300]} in rnnkit"
            f" {rnnkit.__version__}. Verify it with the version that trained it."
        )
    if study.tuner == "random":
        _check_draw(trial, study)
    return study


def _check_draw(trial: Trial, study: Study) -> None:
    """StoreError for hyper-parameters that random search did not draw, since these are a function
    of the seed and the number of a trial.
    """
    (draw,) = study.new_tuner().suggest(1, start=trial.hyper_iter)
    for name, value in draw.items():
        got = trial.hparams[name]
        if got != value and not (
            isinstance(value, float) and math.isclose(got, value, rel_tol=ROUNDING)
        ):
            raise StoreError(
                f"{subject_of(trial)} has {name} = {got!r}, and random search drew {value!r}. No"
                " training made this trial."
            )


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
    if comparison.agrees or not set(comparison.wrong) <= set(NUMBERS):
        return comparison
    rate = trial.hparams["lr_init"]
    factors = [1 + k * PERTURBATION for k in range(1, PERTURBATIONS + 1)]
    perturbations = tuple(train_with(lr_init=rate * factor) for factor in factors)
    return dataclasses.replace(comparison, perturbations=perturbations)


def verify(
    store: TrialStore, count: int = 3, seed: int = 0, device: str = "cpu"
) -> Iterator[Comparison | StoreError]:
    """Trains `count` random trials of the store again. Yields the Comparison of each as it is made,
    or, for a trial that is refused, the StoreError that says why.

    ValueError for a bad setting, StoreError for a store without trials.
    """
    whole_number("count", count, 1)
    whole_number("seed", seed, 0)
    check_device(device)
    length = len(store)
    if not length:
        raise StoreError(f"The store {store.path} has no trials to verify. Run something first.")
    for index in np.random.default_rng(seed).choice(length, min(count, length), replace=False):
        try:
            yield retrain(store.trial_at(int(index)), device)
        except StoreError as refusal:
            yield refusal
