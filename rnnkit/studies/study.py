"""A study: one tuner run, that is a task, an architecture, a depth and a budget of parameters."""

import datetime
import hashlib
import json
import math
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rnnkit.cells import CELLS, cell_of
from rnnkit.checks import whole_number
from rnnkit.hparams import space_for
from rnnkit.markup import first_few, table
from rnnkit.names import nearest, resolve_name
from rnnkit.networks import num_params, units_for
from rnnkit.studies.fingerprint import fingerprint
from rnnkit.studies.provenance import provenance
from rnnkit.studies.retrain import about, blocks_of
from rnnkit.tasks import TASKS
from rnnkit.training import train
from rnnkit.trials import Trial, TrialStore
from rnnkit.trials.key import parse
from rnnkit.tuner import TUNERS

ROUND = 16  # trials suggested together
OF_ROW = (
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


@dataclass(frozen=True)
class Study:
    """One tuner run. `pinned` fixes hyper-parameters, as (("nonlinearity", "relu"),); `train_steps`
    is the range that is tuned.

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
    form: str = ""  # how large the task is, where it has sizes: n_in and unroll follow from it
    start: tuple = ()  # what the tuner "long" starts from: sets of sorted (name, value) pairs

    @classmethod
    def from_row(cls, row) -> "Study":
        """The study that a trial belongs to, which is a Trial or a row of a frame of trials: what
        its columns lack, the study's key says.

        ValueError for a study that cannot be made again from a trial: one of another version of the
        kit, or one whose search started from other studies' trials.
        """
        key, found = parse(row.study), None
        if key:
            values = {name: np.asarray(getattr(row, name)).item() for name in OF_ROW}
            # a rerun holds everything fixed
            pinned = dict(row.hparams) if key.tuner == "rerun" else key.pinned
            with suppress(ValueError):
                found = cls(**values, train_steps=key.train_steps, pinned=tuple(pinned.items()))
        if found is None or found.key != row.study:
            raise ValueError(
                f"The study {row.study} cannot be made again from its trials. Train it with this"
                " version of the kit."
            )
        return found

    def run(
        self,
        store="trials.sqlite",
        n_trials=ROUND,
        device="cpu",
        scale="",
        on_trial=None,
        stop=None,
    ):
        """Brings the study to `n_trials` trials and gives all that the store then has of it: a
        frame, one row a trial.

        The suggestions of a round of 16 depend on the seed and on the trials of earlier rounds
        alone, so that a study which was interrupted asks for what an undisturbed one would have
        asked; only what the store lacks is trained. `store` is a TrialStore or the path of one.
        `stop()` is asked often and ends the run early; `on_trial(trial)` hears of each new trial.
        """
        whole_number("n_trials", n_trials, 1, 1_000_000)
        with nullcontext(store) if isinstance(store, TrialStore) else TrialStore(store) as opened:
            self._search(opened, n_trials, device, scale, on_trial, stop)
            return opened.frame([self.key])

    def _search(self, store, n_trials, device, scale, on_trial, stop):
        """Suggest, train, observe, in rounds of 16, storing each trial as it ends."""
        tuner = self.new_tuner()
        done = {trial.hyper_iter: trial for trial in store.trials(self.key)}

        def keep(number, hparams, outcome):
            done[number] = trial = self.keep(
                store, number, hparams, outcome, scale, best_loss(done.values())
            )
            if on_trial:
                on_trial(trial)

        for start in range(0, n_trials, ROUND):
            numbers = range(start, min(start + ROUND, n_trials))
            if store.numbers(self.key) - set(done):  # another run is at it too
                done |= {trial.hyper_iter: trial for trial in store.trials(self.key)}
            missing = [number for number in numbers if number not in done]
            if missing:
                hparams = tuner.suggest(len(numbers), start=start)
                train(
                    self,
                    [hparams[number - start] for number in missing],
                    missing,
                    device=device,
                    on_outcome=keep,
                    stop=stop,
                )
            if stop and stop():
                return
            tuner.observe(
                [done[number].hparams for number in numbers],
                [done[number].valid_loss for number in numbers],
            )

    def new_tuner(self):
        """The study's tuner, before it has observed anything."""
        return TUNERS[self.tuner](
            self.space,
            self.seed,
            **({"start": [dict(each) for each in self.start]} if self.start else {}),
        )

    def keep(self, store, number, hparams, outcome, scale, best=math.inf) -> Trial:
        """Stores an outcome of training, with its weights if its loss is below the study's `best`
        so far; gives the trial.
        """
        trial = self.trial(number, hparams, outcome, scale)
        store.add([trial])
        if outcome.theta is not None and trial.valid_loss < best:
            store.save_weights(
                self.key, number, trial.valid_loss, blocks_of(self, outcome.theta), about(self)
            )
        return trial

    def trial(self, number, hparams, outcome, scale) -> Trial:
        """The row of one outcome of training."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        losses = (outcome.train_loss, outcome.valid_loss, outcome.eval_loss)
        if outcome.infeasible:
            losses = (math.nan, math.nan, math.nan)
        return Trial(
            self.key,
            self.architecture,
            self.task_type,
            hparams,
            self.n_layers,
            number,
            self.max_params,
            outcome.num_params,
            *losses,
            outcome.infeasible,
            outcome.steps,
            outcome.seconds,
            self.seed,
            scale,
            created=now,
            n_in=self.n_in,
            unroll=self.unroll,
            tuner=self.tuner,
            n_units=self.n_units,
            form=self.form,
            accuracy=outcome.accuracy,
            **provenance(outcome.device),
        )

    @cached_property
    def key(self) -> str:
        """All that defines the study, as text: two studies with one key are one study. Neither
        scale nor number of trials is in it.

        It ends with a fingerprint of the space, the cell's equations, the task and the draws, so
        that trials of another version of these, or of another cell that was registered under the
        same name, are never taken for this study's.
        """
        low, high = self.train_steps
        pins = "".join(f"/{name}={value}" for name, value in self.pinned)
        if self.tuner == "rerun":  # everything is pinned: a number for it all
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
        usual = TUNERS[self.tuner].usual_start
        space = space_for(
            self.architecture, self.task_type, train_steps=self.train_steps
        )  # a rerun pins everything
        return fingerprint(cell_of(self.architecture), space, self.task, usual)

    @cached_property
    def task(self):
        return (
            TASKS[self.task_type](form=self.form)
            if self.form
            else TASKS[self.task_type](n_in=self.n_in, unroll=self.unroll)
        )

    @cached_property
    def n_units(self) -> int:
        """Units a layer: the most that the budget allows."""
        return units_for(
            self.architecture, self.n_layers, self.task.n_in, self.task.n_out, self.max_params
        )

    @cached_property
    def num_params(self) -> int:
        return num_params(
            self.architecture, self.n_layers, self.n_units, self.task.n_in, self.task.n_out
        )

    @cached_property
    def space(self):
        return space_for(
            self.architecture,
            self.task_type,
            train_steps=self.train_steps,
            pinned=dict(self.pinned),
        )

    @property
    def mean_steps(self) -> float:
        """Training steps of a trial on average; they are tuned over a logarithmic range."""
        low, high = self.train_steps
        if "train_steps" in dict(self.pinned):
            return dict(self.pinned)["train_steps"]
        return low if low == high else (high - low) / math.log(high / low)

    @property
    def flops(self) -> float:
        """Floating-point operations of a trial, about: 6 a parameter, example and time step, for
        each training step.
        """
        return 6 * self.num_params * self.task.batch * self.task.steps * self.mean_steps

    def _repr_html_(self) -> str:
        low, high = self.train_steps
        steps = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        tuned = f"{first_few(self.space.names)} ({len(self.space)} in all)"
        sized = f" (form {self.form})" if self.form else ""
        rows = [
            ("task", f"{self.task_type}{sized}: {self.task.n_in} inputs, {self.task.steps} steps"),
            ("network", f"{self.architecture}, {self.n_layers} layers of {self.n_units} units"),
            ("parameters", f"{self.num_params:,} of at most {self.max_params:,}"),
            ("training steps", steps),
            ("search", f"{self.tuner}, seed {self.seed}"),
            ("it chooses", tuned if len(self.space) else "nothing: all is pinned"),
            *(
                [("pinned", first_few(f"{name} = {value}" for name, value in self.pinned))]
                * bool(self.pinned)
            ),
            ("key", self.key),
        ]
        return table((), rows)

    def __post_init__(self):
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
        whole_number("n_layers", self.n_layers, 0, 1_000)
        cell_of(self.architecture, self.n_layers)
        forms = TASKS[self.task_type].forms
        if forms and not self.form:
            object.__setattr__(self, "form", "small")
        if not isinstance(self.form, str) or (self.form and self.form not in forms):
            raise ValueError(
                f"form must be one of {', '.join(forms) or 'none'} for {self.task_type}, got"
                f" {self.form!r}. {nearest(self.form, forms) or 'Check the spelling.'}"
            )
        if self.form:
            object.__setattr__(self, "n_in", self.task.n_in)
            object.__setattr__(self, "unroll", self.task.steps)
        for name, least, most in (
            ("max_params", 1, 10**9),
            ("seed", 0, 2**62),
            ("n_in", 1, 10**6),
            ("unroll", 1, 10**6),
        ):
            whole_number(name, getattr(self, name), least, most)
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
        self.n_units  # ValueError if not even one unit fits
        self.space  # ValueError if something unknown is pinned


def _digest(values) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]


def best_loss(trials) -> float:
    """The least validation loss of some trials; infinite where none is feasible."""
    return min((trial.valid_loss for trial in trials if not trial.infeasible), default=math.inf)
