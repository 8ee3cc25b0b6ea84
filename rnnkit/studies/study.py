"""A study is one run of a tuner: a task, an architecture, a depth and a budget of parameters."""

import datetime
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch

from rnnkit.cells import CELLS, cell_of
from rnnkit.checks import whole_number
from rnnkit.hparams import Space, space_for
from rnnkit.markup import first_few, table
from rnnkit.names import nearest, resolve_name
from rnnkit.networks import blocks, num_params, split, units_for
from rnnkit.studies.fingerprint import fingerprint
from rnnkit.studies.provenance import provenance
from rnnkit.tasks import TASKS
from rnnkit.training import Outcome, train
from rnnkit.trials import LOSSES, Trial, TrialStore, opened
from rnnkit.trials.key import parse
from rnnkit.tuner import TUNERS, Tuner
from rnnkit.wording import layers

ROUND = 16  # trials that are suggested together
COLUMN_FIELDS = (  # fields of a study that are columns of its trials
    "task_type",
    "architecture",
    "n_layers",
    "max_params",
    "seed",
    "n_in",
    "unroll",
    "tuner",
    "form",
)


# fields of an outcome that are columns of its trial
RESULTS = (*LOSSES, "accuracy", "infeasible", "steps", "seconds", "num_params")


@dataclass(frozen=True)
class Study:
    """One run of a tuner. `pinned` gives hyper-parameters a fixed value, as in
    (("nonlinearity", "relu"),); `train_steps` are the least and the most training steps, between
    which the tuner chooses.

    ValueError, in one sentence, for whatever cannot be trained.
    """

    task_type: str
    architecture: str
    n_layers: int
    max_params: int
    seed: int = 0
    n_in: int = 50
    unroll: int = 5
    train_steps: tuple[int, int] = (4_000, 10_000)
    tuner: str = "gp"
    pinned: tuple = ()
    form: str = ""  # size of the task, if it comes in several: n_in and unroll follow from it
    start: tuple = ()  # where the tuner "long" starts from: sets of sorted (name, value) pairs

    @classmethod
    def from_row(cls, row: Any) -> "Study":
        """The study that a trial belongs to. `row` is a Trial or a row of a frame of trials; the
        study's key gives what the columns lack.

        ValueError for a study that a trial does not determine: one of another version of the kit,
        or one whose search started from the trials of other studies.
        """
        study = None
        with suppress(ValueError):
            study = cls.without_start(row)
        if study is None or study.key != row.study:
            raise ValueError(
                f"The study {row.study} cannot be made again from its trials. Train it with this"
                " version of the kit."
            )
        return study

    @classmethod
    def without_start(cls, row: Any) -> "Study":
        """The study that the columns and the key of a trial describe, but for the points that its
        search may have started from. ValueError if they describe none.
        """
        key = parse(row.study)
        if key is None:
            raise ValueError(
                f"The key of a study must be one that Study.key writes, got {row.study[:300]!r}."
            )
        values = {name: np.asarray(getattr(row, name)).item() for name in COLUMN_FIELDS}
        # a rerun pins all hyper-parameters, and its key has only a digest of them
        pins = dict(row.hparams) if key.tuner == "rerun" else key.pinned
        return cls(**values, train_steps=key.train_steps, pinned=tuple(pins.items()))

    def run(
        self,
        store: TrialStore | str | os.PathLike = "trials.sqlite",
        n_trials: int = ROUND,
        device: str = "cpu",
        scale: str = "",
        on_trial: Callable[[Trial], object] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> pd.DataFrame:
        """Trains the study until it has `n_trials` trials, and returns all that the store then has
        of it: a frame with one row per trial.

        The suggestions of a round of 16 depend only on the seed and on the trials of earlier
        rounds. An interrupted study therefore continues with the trials that an uninterrupted one
        would have trained, and only those that the store lacks are trained. `store` is a TrialStore
        or the path of one. `stop()` is called often, and ends the run early if it returns True;
        `on_trial(trial)` is called with each new trial.
        """
        whole_number("n_trials", n_trials, 1, 1_000_000)
        with opened(store) as trial_store:
            self._search(trial_store, n_trials, device, scale, on_trial, stop)
            return trial_store.frame([self.key])

    def _search(
        self,
        store: TrialStore,
        n_trials: int,
        device: str,
        scale: str,
        on_trial: Callable[[Trial], object] | None,
        stop: Callable[[], bool] | None,
    ) -> None:
        """Suggests, trains and observes in rounds of 16, storing each trial as it ends."""
        tuner = self.new_tuner()
        trials = {trial.hyper_iter: trial for trial in store.trials(self.key)}

        def keep(kind: str, content: Any) -> None:
            if kind == "weights":
                store.save_weights(*content)
                return
            store.add([content])
            trials[content.hyper_iter] = content
            if on_trial:
                on_trial(content)

        for start in range(0, n_trials, ROUND):
            numbers = range(start, min(start + ROUND, n_trials))
            if store.numbers(self.key) - set(trials):  # another run trains this study, too
                trials |= {trial.hyper_iter: trial for trial in store.trials(self.key)}
            missing = [number for number in numbers if number not in trials]
            if missing:
                suggestions = tuner.suggest(len(numbers), start=start)
                train(
                    self,
                    [suggestions[number - start] for number in missing],
                    missing,
                    device=device,
                    on_outcome=self.recorder(keep, scale, best_loss(trials.values())),
                    stop=stop,
                )
            if stop and stop():
                return
            tuner.observe(
                [trials[number].hparams for number in numbers],
                [trials[number].valid_loss for number in numbers],
            )

    def new_tuner(self) -> Tuner:
        """The study's tuner, without observations."""
        if not self.start:
            return TUNERS[self.tuner](self.space, self.seed)
        return TUNERS[self.tuner](
            self.space, self.seed, start=[dict(point) for point in self.start]
        )

    def recorder(
        self, send: Callable[[str, Any], object], scale: str, best: float
    ) -> Callable[[int, dict, Outcome], None]:
        """A function that is called with the number, the hyper-parameters and the outcome of each
        trial, and sends them on: `send("trial", trial)`, and `send("weights", arguments)`, with the
        arguments of `TrialStore.save_weights`, if the validation loss is below `best` and below
        those of all earlier calls.
        """

        def record(number: int, hparams: dict, outcome: Outcome) -> None:
            nonlocal best
            trial = self.trial_of(number, hparams, outcome, scale)
            send("trial", trial)
            if outcome.theta is not None and trial.valid_loss < best:
                network = blocks_of(self, outcome.theta)
                send("weights", (self.key, number, trial.valid_loss, network, account_of(self)))
            best = min(best, best_loss([trial]))

        return record

    def trial_of(self, number: int, hparams: dict, outcome: Outcome, scale: str) -> Trial:
        """The trial with one outcome of training."""
        return Trial(
            study=self.key,
            hyper_iter=number,
            hparams=hparams,
            **{name: getattr(self, name) for name in COLUMN_FIELDS},
            n_units=self.n_units,
            **{name: getattr(outcome, name) for name in RESULTS},
            scale=scale,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            **provenance(outcome.device),
        )

    @cached_property
    def key(self) -> str:
        """All that defines the study, as text: two studies with the same key are the same study. It
        contains neither the scale nor the number of trials.

        It ends with a fingerprint of the space, the cell's equations, the task and the draws. Trials
        of another version of these, or of another cell that was registered under the same name, are
        therefore never taken for trials of this study.
        """
        low, high = self.train_steps
        pins = "".join(f"/{name}={value}" for name, value in self.pinned)
        if self.tuner == "rerun":  # all hyper-parameters are pinned, so a digest stands for them
            pins = f"/{_digest(self.pinned)}"
        if self.start:
            pins += f"/from={_digest(self.start)}"
        size = f"form={self.form}" if self.form else f"in={self.n_in}/unroll={self.unroll}"
        return (
            f"{self.task_type}/{self.architecture}/layers={self.n_layers}/params={self.max_params}/{size}"
            f"/steps={low}-{high}{pins}/{self.tuner}/seed={self.seed}/of={self._fingerprint}"
        )

    @cached_property
    def _fingerprint(self) -> str:
        # without what is pinned, since a rerun pins everything
        space = space_for(self.architecture, self.task_type, train_steps=self.train_steps)
        usual_start = TUNERS[self.tuner].usual_start
        return fingerprint(cell_of(self.architecture), space, self.task, usual_start)

    @cached_property
    def task(self) -> Any:
        """The task, in the study's size (a tasks.Task)."""
        size = {"form": self.form} if self.form else {"n_in": self.n_in, "unroll": self.unroll}
        return TASKS[self.task_type](**size)

    @cached_property
    def n_units(self) -> int:
        """Units per layer: the most that the budget of parameters allows."""
        return units_for(
            self.architecture, self.n_layers, self.task.n_in, self.task.n_out, self.max_params
        )

    @cached_property
    def num_params(self) -> int:
        """The number of parameters of the network."""
        return num_params(**account_of(self))

    @cached_property
    def space(self) -> Space:
        """The hyper-parameters that the tuner searches, and those that are pinned."""
        return space_for(
            self.architecture,
            self.task_type,
            train_steps=self.train_steps,
            pinned=dict(self.pinned),
        )

    @property
    def mean_steps(self) -> float:
        """The mean number of training steps per trial, if they are log-uniform in their range."""
        low, high = self.train_steps
        if "train_steps" in dict(self.pinned):
            return dict(self.pinned)["train_steps"]
        return low if low == high else (high - low) / math.log(high / low)

    @property
    def step_flops(self) -> int:
        """Floating-point operations per training step, roughly: 6 per parameter, example and time
        step.
        """
        return 6 * self.num_params * self.task.batch * self.task.steps

    @property
    def flops(self) -> float:
        """Floating-point operations per trial, roughly: 6 per parameter, example, time step and
        training step.
        """
        return self.step_flops * self.mean_steps

    def _repr_html_(self) -> str:
        low, high = self.train_steps
        form = f" (form {self.form})" if self.form else ""
        search_names = f"{first_few(self.space.names)} ({len(self.space)} in all)"
        entries = {
            "task": f"{self.task_type}{form}: {self.task.n_in} inputs, {self.task.steps} steps",
            "network": f"{self.architecture}, {layers(self.n_layers)} of {self.n_units} units",
            "parameters": f"{self.num_params:,} of at most {self.max_params:,}",
            "training steps": f"{low:,}" if low == high else f"{low:,} to {high:,}",
            "search": f"{self.tuner}, seed {self.seed}",
            "it chooses": search_names if len(self.space) else "nothing: all are pinned",
        }
        if self.pinned:
            entries["pinned"] = first_few(f"{name} = {value}" for name, value in self.pinned)
        return table((), [*entries.items(), ("key", self.key)])

    def __post_init__(self) -> None:
        self._normalise()
        whole_number("n_layers", self.n_layers, 0, 1_000)
        cell_of(self.architecture, self.n_layers)
        self._apply_form()
        for name, minimum, maximum in (
            ("max_params", 1, 10**9),
            ("seed", 0, 2**62),
            ("n_in", 1, 10**6),
            ("unroll", 1, 10**6),
        ):
            whole_number(name, getattr(self, name), minimum, maximum)
        self._check_steps()
        self.n_units  # ValueError if not even one unit fits
        self.space  # ValueError if something unknown is pinned

    def _normalise(self) -> None:
        """Brings the fields that can be written in several ways into one form."""
        try:
            object.__setattr__(self, "pinned", tuple(sorted(dict(self.pinned).items())))
        except (TypeError, ValueError):
            raise ValueError(
                'pinned must be names with values, as (("nonlinearity", "relu"),), got'
                f" {self.pinned!r}."
            ) from None
        if isinstance(self.train_steps, list):
            object.__setattr__(self, "train_steps", tuple(self.train_steps))
        for name, names in (("task_type", TASKS), ("tuner", TUNERS), ("architecture", CELLS)):
            object.__setattr__(self, name, resolve_name(name, getattr(self, name), names))

    def _apply_form(self) -> None:
        """Sets the sizes that follow from the form of the task. ValueError for an unknown form."""
        forms = TASKS[self.task_type].forms
        if forms and not self.form:
            object.__setattr__(self, "form", "small")
        if not forms and self.form != "":
            raise ValueError(
                f"form must be left out for {self.task_type}, which has one size, got"
                f" {self.form!r}. Choose its size by n_in and unroll."
            )
        if self.form not in ("", *forms):
            raise ValueError(
                f"form must be one of {', '.join(forms)} for {self.task_type}, got"
                f" {self.form!r}. {nearest(self.form, forms) or 'Check the spelling.'}"
            )
        if self.form:
            object.__setattr__(self, "n_in", self.task.n_in)
            object.__setattr__(self, "unroll", self.task.steps)

    def _check_steps(self) -> None:
        if not (isinstance(self.train_steps, tuple) and len(self.train_steps) == 2):
            raise ValueError(
                "train_steps must be two whole numbers, the least and the most, got"
                f" {self.train_steps!r}."
            )
        for name, steps in zip(("the least", "the most"), self.train_steps):
            whole_number(f"{name} of train_steps", steps, 1, 10**12)
        if self.train_steps[0] > self.train_steps[1]:
            raise ValueError(
                f"The least of train_steps must not exceed the most, got {self.train_steps}. Swap"
                " them."
            )


Job = tuple[Study, int]  # a study, and its number of trials


def _digest(values: tuple) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]


def best_loss(trials: Iterable[Trial]) -> float:
    """The least validation loss of some trials; infinity if none is feasible."""
    return min((trial.valid_loss for trial in trials if not trial.infeasible), default=math.inf)


def account_of(study: Study) -> dict:
    """The shape of a study's networks, as the store records it beside their weights."""
    return {
        "architecture": study.architecture,
        "n_layers": study.n_layers,
        "n_units": study.n_units,
        "n_in": study.task.n_in,
        "n_out": study.task.n_out,
    }


def blocks_of(study: Study, theta: np.ndarray) -> dict[str, np.ndarray]:
    """The parameters theta of one network (length P), cut into its named blocks, float32."""
    parts = split(torch.as_tensor(theta), blocks(**account_of(study)))
    return {name: block.numpy().astype(np.float32) for name, block in parts.items()}
