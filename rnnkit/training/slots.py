"""Slots: the state of the models in training, and the trials that fill them."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from rnnkit import native, networks
from rnnkit.cells import cell_of
from rnnkit.native import Study
from rnnkit.training.rule import coefficients

STATE = ("theta", "m", "v", "hp", "step", "dead")  # the tensors of Slots, one row per slot
Batch = tuple[Tensor, Tensor]  # inputs and targets
State = dict[str, Tensor]  # STATE, or some of it
Trial = tuple[int, dict]  # its number and its hyper-parameters
Row = tuple[int, dict, list[float], Tensor]  # number, hparams, row of hp, row of theta


class Slots:
    """The state of the models in training: row i of everything belongs to slot i.

    theta, m, v    parameters and moments, M x P
    hp             coefficients, M x H float64, in the columns native.COLUMNS
    step, dead     steps done, and 1 where training diverged; int64, M
    trials         (number, hparams) of each slot
    seconds        of training of each slot
    """

    def __init__(self, num_params: int, dtype: torch.dtype, device: str) -> None:
        def empty(*shape: int, dtype: torch.dtype = dtype) -> Tensor:
            return torch.zeros(0, *shape, dtype=dtype, device=device)

        self.theta, self.m, self.v = (empty(num_params) for _ in range(3))
        self.hp = empty(len(native.COLUMNS), dtype=torch.float64)
        self.step, self.dead = (empty(dtype=torch.int64) for _ in range(2))
        self.trials: list[Trial] = []
        self.seconds: list[float] = []

    @property
    def state(self) -> State:
        """The tensors of all slots, in the order of STATE."""
        return {name: getattr(self, name) for name in STATE}

    def update(self, state: State) -> None:
        """Replaces some of the tensors."""
        for name, tensor in state.items():
            setattr(self, name, tensor)

    def column(self, name: str) -> Tensor:
        """The column `name` of the coefficients (native.COLUMNS): one number per slot."""
        return native.column(self.hp, name)

    def at_end(self) -> list[int]:
        """The slots whose trial has done all its steps, or diverged."""
        over = (self.step >= self.column("train_steps")) | (self.dead > 0)
        return over.nonzero()[:, 0].tolist()

    def fill(self, models: Sequence[Row]) -> None:
        """Appends trials, as `slot_rows` gives them."""
        numbers, hparams, hp, theta = zip(*models)
        new = {"theta": torch.stack(theta), "hp": torch.tensor(hp, dtype=torch.float64)}
        for name, tensor in self.state.items():
            zeros = tensor.new_zeros(len(models), *tensor.shape[1:])
            setattr(self, name, torch.cat([tensor, new.get(name, zeros).to(tensor)]))
        self.trials += zip(numbers, hparams)
        self.seconds += [0.0] * len(models)

    def keep(self, indices: list[int]) -> None:
        """Drops all slots but those at `indices`; one that stands there twice becomes two."""
        index = torch.tensor(indices, dtype=torch.int64, device=self.step.device)
        self.update({name: tensor[index].contiguous() for name, tensor in self.state.items()})
        self.trials = [self.trials[i] for i in indices]
        self.seconds = [self.seconds[i] for i in indices]


def slots_of(
    study: Study, trials: Iterable[Trial], dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> Slots:
    """Slots that are filled with some trials of a study."""
    s = Slots(study.num_params, dtype, device)
    s.fill(list(slot_rows(study, trials, dtype)))
    return s


def slot_rows(study: Study, trials: Iterable[Trial], dtype: torch.dtype) -> Iterator[Row]:
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
