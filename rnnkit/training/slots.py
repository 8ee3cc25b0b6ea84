"""Slots: the state of the models that are in training, and the trials that fill them."""

import torch

from rnnkit import native, networks
from rnnkit.cells import cell_of
from rnnkit.training.rule import coefficients


class Slots:
    """The state of the models in training: row i of everything belongs to slot i."""

    def __init__(self, num_params, dtype, device):
        self.theta, self.m, self.v = (
            torch.zeros(0, num_params, dtype=dtype, device=device) for _ in range(3)
        )
        self.hp = torch.zeros(0, len(native.COLUMNS), dtype=torch.float64, device=device)
        self.step, self.dead = (torch.zeros(0, dtype=torch.int64, device=device) for _ in range(2))
        self.trials, self.seconds = [], []

    def column(self, name):
        """A number for each slot: the column `name` of its coefficients (native.COLUMNS)."""
        return native.column(self.hp, name)

    def ended(self) -> list[int]:
        """The slots whose trial has done all its steps, or diverged."""
        over = (self.step >= self.column("train_steps")) | (self.dead > 0)
        return over.nonzero()[:, 0].tolist()

    def fill(self, rows):
        """Appends trials: (number, hparams, hp row, theta row)."""
        new = torch.stack([row[3] for row in rows]).to(self.theta)
        self.theta = torch.cat([self.theta, new])
        self.m, self.v = (torch.cat([x, torch.zeros_like(new)]) for x in (self.m, self.v))
        self.hp = torch.cat(
            [
                self.hp,
                torch.tensor([row[2] for row in rows], dtype=torch.float64, device=self.hp.device),
            ]
        )
        zeros = torch.zeros(len(rows), dtype=torch.int64, device=self.step.device)
        self.step, self.dead = torch.cat([self.step, zeros]), torch.cat([self.dead, zeros])
        self.trials += [row[:2] for row in rows]
        self.seconds += [0.0] * len(rows)

    def keep(self, rows):
        index = torch.tensor(rows, dtype=torch.int64, device=self.step.device)
        for name in ("theta", "m", "v", "hp", "step", "dead"):
            setattr(self, name, getattr(self, name)[index].contiguous())
        self.trials, self.seconds = [self.trials[i] for i in rows], [self.seconds[i] for i in rows]


def prepared(study, trials, dtype):
    """Rows for the slots, made one by one as slots become free."""
    cell, task = cell_of(study.architecture, study.n_layers), study.task
    for number, hparams in trials:
        samples = task.samples(hparams, study.num_params) if task.input == "bits" else 0
        steps = hparams["train_steps"]
        if not (steps >= 1 and float(steps).is_integer()):
            raise ValueError(f"train_steps must be a whole number of at least 1, got {steps!r}.")
        shown = hparams.get("input_presentation", "every" if task.every else "first")
        first = task.first_scored(hparams)
        if not 0 <= first <= task.steps - task.scored:
            raise ValueError(
                f"The first scored step must lie between 0 and {task.steps - task.scored}, got"
                f" {first}. Mend the hyper-parameters."
            )
        row = coefficients(cell, hparams, samples, shown == "every", first)
        theta = networks.initial(
            study.architecture,
            study.n_layers,
            study.n_units,
            task.n_in,
            task.n_out,
            hparams,
            study.seed,
            number,
        )
        yield number, hparams, row, theta.to(dtype)
