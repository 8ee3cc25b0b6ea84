"""The usual competitor: a loop over `torch.nn` modules with `torch.optim.Adam`, one model after
another.

Its task is easier than ours: there is one optimiser, one nonlinearity, no schedule and no l2 term,
and batches are ready-made. `torch.nn` has two biases per map, and its GRU resets after the product;
ugrnn and +rnn, which torch does not have, are written as a user would write them. Symbols are
one-hot, since torch's own layers read nothing else. Denormal numbers are flushed, as in our
training; otherwise a gradient that fades over 175 steps makes the loop up to three times slower.
"""

import torch
from torch import Tensor, nn

from rnnkit.bench import batch
from rnnkit.studies import Study
from rnnkit.training.timing import STILL, Stepper

BUILTIN = {
    "rnn": (nn.RNN, {}),
    "irnn": (nn.RNN, {"nonlinearity": "relu"}),
    "gru": (nn.GRU, {}),
    "lstm": (nn.LSTM, {}),
}


class Builtin(nn.Module):
    """Layers of rnn, irnn, gru or lstm by torch itself, with learned initial states."""

    def __init__(self, architecture: str, n_layers: int, n_in: int, n_units: int) -> None:
        super().__init__()
        kind, settings = BUILTIN[architecture]
        self.cells = kind(n_in, n_units, n_layers, **settings)
        states = 2 if architecture == "lstm" else 1
        self.initial = nn.ParameterList([torch.zeros(n_layers, 1, n_units) for _ in range(states)])

    def forward(self, x_TxBxI: Tensor) -> Tensor:
        start = [h.expand(-1, x_TxBxI.shape[1], -1).contiguous() for h in self.initial]
        up_TxBxN, _ = self.cells(x_TxBxI, tuple(start) if len(start) > 1 else start[0])
        return up_TxBxN


class Layer(nn.Module):
    """A layer of ugrnn or +rnn: one product for the input maps of all steps, and one product per step
    for the maps of the state.
    """

    MAPS = {"ugrnn": 2, "+rnn": 4}

    def __init__(self, architecture: str, n_in: int, n_units: int) -> None:
        super().__init__()
        self.architecture = architecture
        maps = self.MAPS[architecture]
        self.of_x = nn.Linear(n_in, maps * n_units)
        self.of_h = nn.Linear(n_units, maps * n_units, bias=False)
        self.initial = nn.Parameter(torch.zeros(n_units))

    def forward(self, x_TxBxI: Tensor) -> Tensor:
        h = self.initial.expand(x_TxBxI.shape[1], -1)
        up = []
        for x, of_x in zip(x_TxBxI.unbind(0), self.of_x(x_TxBxI).unbind(0)):
            a = of_x + self.of_h(h)
            if self.architecture == "ugrnn":
                c, g = a.chunk(2, 1)
                g = torch.sigmoid(g)
                h = g * h + (1 - g) * torch.tanh(c)  # (2)-(4)
                up.append(h)
            else:
                y_in, h_in, g_y, g_h = a.chunk(4, 1)
                g_y = torch.sigmoid(g_y)
                g_h = torch.sigmoid(g_h)
                up.append(g_y * x + (1 - g_y) * torch.relu(y_in))  # (15), (17), (19)
                h = g_h * h + (1 - g_h) * torch.tanh(h_in)  # (16), (18), (20)
        return torch.stack(up)


class Network(nn.Module):
    """Layers of any architecture (+rnn first projects its input to its own size) and a linear
    readout: z_SxBxO at the last S steps, from x_TxBxI.
    """

    def __init__(
        self,
        architecture: str,
        n_layers: int,
        n_in: int,
        n_units: int,
        n_out: int = 1,
        n_scored: int = 1,
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        if architecture in BUILTIN:
            self.layers.append(Builtin(architecture, n_layers, n_in, n_units))
        if architecture == "+rnn":
            self.layers.append(nn.Linear(n_in, n_units))
            n_in = n_units
        if architecture in Layer.MAPS:
            for size in (n_in, *[n_units] * (n_layers - 1)):
                self.layers.append(Layer(architecture, size, n_units))
        self.readout = nn.Linear(n_units, n_out)
        self.n_scored = n_scored

    def forward(self, x_TxBxI: Tensor) -> Tensor:
        return self.readout(self.layers(x_TxBxI)[-self.n_scored :])


def loss_and_norm(
    model: nn.Module, x_TxBxI: Tensor, y: Tensor, clip: float
) -> tuple[Tensor, Tensor]:
    """The mean cross-entropy, with labels_B or classes_SxBxG (summed over heads), and the norm of its
    gradient; the clipped gradient is left in the parameters.
    """
    z_SxBxO = model(x_TxBxI)
    if y.is_floating_point():
        loss = nn.functional.binary_cross_entropy_with_logits(z_SxBxO[-1, :, 0], y)
    else:
        classes = z_SxBxO.shape[2] // y.shape[2]
        loss = nn.functional.cross_entropy(z_SxBxO.reshape(-1, classes), y.reshape(-1)) * y.shape[2]
    loss.backward()
    return loss, nn.utils.clip_grad_norm_(model.parameters(), clip)


def stepper(study: Study, models: int = 2, device: str = "cpu") -> Stepper:
    """A function of n that trains `models` networks of a study's shape for n steps, one after
    another; its attribute `slots` says how many.
    """
    torch.manual_seed(0)
    task = study.task
    shape = (study.architecture, study.n_layers, task.n_in, study.n_units, task.n_out, task.scored)
    networks = [Network(*shape).to(device) for _ in range(models)]
    optimizers = [torch.optim.Adam(model.parameters(), lr=STILL) for model in networks]
    x_TxBxI, y = (tensor.to(device) for tensor in batch.of(task))

    def run(n: int) -> None:
        torch.set_flush_denormal(True)
        for model, optimizer in zip(networks, optimizers):
            for _ in range(n):
                optimizer.zero_grad()
                loss_and_norm(model, x_TxBxI, y, clip=10.0)
                optimizer.step()
        torch.set_flush_denormal(False)
        if device != "cpu":
            torch.cuda.synchronize(device)

    return Stepper(run, models)
