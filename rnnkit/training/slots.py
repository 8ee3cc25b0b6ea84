"""Slots: the state of the models in training, and the trials that fill them."""

import torch

from rnnkit import native, networks
from rnnkit.cells import cell_of
from rnnkit.training.rule import coefficients

STATE = ("theta", "m", "v", "hp", "step", "dead")  # the tensors of Slots, one row per slot


class Slots:
    """The state of the models in training: row i of everything belongs to slot i.

    theta, m, v    parameters and moments, M x P
    hp             coefficients, M x H float64, in the columns native.COLUMNS
    step, dead     steps done, and 1 where training diverged; int64, M
    trials         (number, hparams) of each slot
    seconds        of training of each slot
    """

    def __init__(self, num_params, dtype, device):
        def empty(*shape, dtype):
            return torch.zeros(0, *shape, dtype=dtype, device=device)

        self.theta, self.m, self.v = (empty(num_params, dtype=dtype) for _ in range(3))
        self.hp = empty(len(native.COLUMNS), dtype=torch.float64)
        self.step, self.dead = (empty(dtype=torch.int64) for _ in range(2))
        self.trials = []
        self.seconds = []

    @property
    def state(self) -> tuple[torch.Tensor, ...]:
        """The tensors of all slots, in the order of STATE."""
        return tuple(getattr(self, name) for name in STATE)

    def column(self, name):
        """The column `name` of the coefficients (native.COLUMNS): one number per slot."""
        return native.column(self.hp, name)

    def at_end(self) -> list[int]:
        """The slots whose trial has done all its steps, or diverged."""
        over = (self.step >= self.column("train_steps")) | (self.dead > 0)
        return over.nonzero()[:, 0].tolist()

    def fill(self, models):
        """Appends trials, each given as (number, hparams, hp row, theta row)."""
        theta = torch.stack([row[3] for row in models]).to(self.theta)
        zeros = torch.zeros(len(theta), dtype=torch.int64, device=self.step.device)
        new = {
            "theta": theta,
            "m": torch.zeros_like(theta),
            "v": torch.zeros_like(theta),
            "hp": torch.tensor([row[2] for row in models], dtype=torch.float64).to(self.hp),
            "step": zeros,
            "dead": zeros,
        }
        for name in STATE:
            setattr(self, name, torch.cat([getattr(self, name), new[name]]))
        self.trials += [row[:2] for row in models]
        self.seconds += [0.0] * len(theta)

    def keep(self, indices):
        """Drops all slots but those at `indices`."""
        index = torch.tensor(indices, dtype=torch.int64, device=self.step.device)
        for name in STATE:
            setattr(self, name, getattr(self, name)[index].contiguous())
        self.trials = [self.trials[i] for i in indices]
        self.seconds = [self.seconds[i] for i in indices]


def slot_rows(study, trials, dtype):
    """The rows of Slots.fill for some (number, hparams), made one by one as slots become free.

    Raises ValueError for hyper-parameters that cannot be trained with.
    """
    cell = cell_of(study.architecture, study.n_layers)
    task = study.task
    for number, hparams in trials:
        samples = task.samples(hparams, study.num_params) if task.input == "bits" else 0
        steps = hparams["train_steps"]
        if not (steps >= 1 and float(steps).is_integer()):
            raise ValueError(f"train_steps must be a whole number of at least 1, got {steps!r}.")
        presentation = hparams.get("input_presentation", "every" if task.every else "first")
        first = task.first_scored(hparams)
        if not 0 <= first <= task.steps - task.scored:
            raise ValueError(
                f"The first scored step must lie between 0 and {task.steps - task.scored}, got"
                f" {first}. Correct the hyper-parameters."
            )
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
        row = coefficients(cell, hparams, samples, presentation == "every", first)
        yield number, hparams, row, theta.to(dtype)
