"""The engine of the plain torch step, on any device."""

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from rnnkit import native, networks
from rnnkit.native import Study
from rnnkit.training.data import Data
from rnnkit.training.engine import Engine, warn_once
from rnnkit.training.graphs import Graph, NoGraph, capture
from rnnkit.training.rule import update
from rnnkit.training.slots import Batch, Slots, State

SLOTS = {"cpu": 32, "cuda": 512}  # by default


class Eager(Engine):
    """The plain torch step, on any device, with all slots in each operation. On a GPU its
    operations are launched as one graph (training/graphs.py), if they can be recorded.
    """

    in_step = True

    def __init__(
        self, study: Study, data: Data, dtype: torch.dtype = torch.float32, device: str = "cpu"
    ) -> None:
        self.study = study
        self.task = study.task
        self.data = data
        self.dtype = dtype
        self.device = device
        on_gpu = str(device).startswith("cuda")
        self.slots = SLOTS["cuda" if on_gpu else "cpu"]
        self.graph = Graph(self.step_of, partial(capture, device=device)) if on_gpu else None
        self.shapes = networks.blocks(
            study.architecture, study.n_layers, study.n_units, self.task.n_in, self.task.n_out
        )
        self.matrices = sum(math.prod(s) for name, s in self.shapes.items() if name.startswith("W"))

    def _inputs(self, hp: Tensor, inputs: Tensor) -> list[Tensor]:
        """The inputs of all T steps, M x B x I each, out of one batch per model, batch last."""
        if self.task.input == "index":
            M, T, _, B = inputs.shape
            one_hot = torch.zeros(M, T, B, self.task.n_in, dtype=self.dtype, device=self.device)
            one_hot.scatter_(3, inputs.long().transpose(2, 3), 1.0)
            return list(one_hot.unbind(1))
        x = inputs.transpose(1, 2)
        later = x * native.column(hp, "every").to(self.dtype)[:, None, None]
        return [x] + [later] * (self.task.steps - 1)

    def _outputs(
        self,
        theta: Tensor,
        hp: Tensor,
        inputs: Tensor,
        since: int | None = None,
    ) -> Tensor:
        """z_MxSxBxO at each model's scored steps, none of which may come before `since`."""
        first = native.column(hp, "first_scored").long()
        since = int(first.min()) if since is None else since
        z = networks.forward(
            self.study.architecture,
            self.study.n_layers,
            self.shapes,
            theta,
            self._inputs(hp, inputs),
            native.column(hp, "relu") > 0,
            since,
        )
        step_MxS = first[:, None] - since + torch.arange(self.task.scored, device=self.device)
        return z[torch.arange(len(z), device=self.device)[:, None], step_MxS]

    def _losses(self, z: Tensor, targets: Tensor) -> Batch:
        """The loss of each sample, M x B, and whether all its answers are right."""
        if self.task.loss == "binary":
            z = z[:, -1, :, 0]
            losses = binary_cross_entropy_with_logits(z, targets, reduction="none")
            return losses, torch.where(targets > 0.5, z, -z) > 0  # 0 is on neither side
        if self.task.loss == "squared":
            d = z[:, -1] - targets.transpose(1, 2)
            return (d * d).mean(2), torch.zeros(d.shape[:2], dtype=torch.bool, device=self.device)
        M, S, B, _ = z.shape
        z = z.reshape(M, S, B, self.task.heads, -1)
        y = targets.long().transpose(2, 3)
        losses = cross_entropy(z.flatten(0, 3), y.flatten(), reduction="none").reshape(y.shape)
        answer = z.gather(-1, y[..., None])
        wins = (~(z < answer)).sum(-1) == 1  # beats all other classes: a tie is not right
        return losses.sum(3).mean(1), wins.all(3).all(1)

    def step_of(
        self,
        state: State,
        inputs: Tensor,
        targets: Tensor,
        since: int | None = None,
    ) -> State:
        """The slots' theta, m, v, step and dead after one step; `state` has these and hp."""
        theta = state["theta"]
        hp = state["hp"]
        step = state["step"]
        live = (step < native.column(hp, "train_steps")) & (state["dead"] == 0)
        leaf = theta.detach().requires_grad_()
        loss_MxB, _ = self._losses(self._outputs(leaf, hp, inputs, since), targets)
        (grad,) = torch.autograd.grad(loss_MxB.mean(1).sum(), leaf)
        *new, finite = update(theta, state["m"], state["v"], grad, hp, step, self.matrices)
        after = {
            name: torch.where(live[:, None], value, state[name])
            for name, value in zip(("theta", "m", "v"), new)
        }
        return after | {
            "step": step + (live & finite).long(),
            "dead": state["dead"] | (live & ~finite).long(),
        }

    def train(self, s: Slots, chunk: int | None = None) -> Tensor:
        """Takes up to `chunk` steps of every slot; by default 16, so that no slot idles for long."""
        return super().train(s, chunk or 16)

    def take(self, s: Slots, steps: int) -> None:
        steps = min(steps, int((s.column("train_steps") - s.step).max()))
        if self.graph:
            try:
                return self.graph.train(s, steps, self.data.next_batches)
            except NoGraph as reason:
                self.graph = None
                warn_once(f"{self.study.architecture} trains without a CUDA graph: {reason}.")
        for _ in range(steps):
            s.update(self.step_of(s.state, *self.data.next_batches(s)))

    @torch.no_grad()
    def evaluate(self, s: Slots, indices: list[int], split: str) -> Batch:
        """Evaluates some slots; see `Engine.evaluate`."""
        sums = torch.zeros(2, len(indices), dtype=torch.float64, device=self.device)
        for k, i in enumerate(indices):
            for inputs, targets, weights in self.data.held_out(s, i, split):
                z = self._outputs(s.theta[i : i + 1], s.hp[i : i + 1], inputs)
                for row, numbers in zip(sums, self._losses(z.double(), targets)):
                    row[k] += (numbers[0] * weights).sum()
        loss, correct = sums.cpu()
        return loss, correct
