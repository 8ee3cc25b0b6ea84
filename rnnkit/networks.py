"""M stacks of cells with a linear readout, trained side by side; counting them and sizing them to a
budget.

Dimension letters, which names use everywhere (`x_MxBxI`):

    M  models trained together     B  samples per batch         T  time steps
    I  inputs                      N  units per layer           K  affine maps of a cell
    O  outputs                     L  layers                    P  parameters of one model

All parameters of a model are one row of `theta_MxP`, cut into blocks by `blocks`: matrices first
(l2 decay applies to those), then biases and the learned initial states. A matrix is out x in, as in
`torch.nn`.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from . import draws
from .cells import Cell, Maps, cell_of, recurrent_maps, take_step
from .checks import whole_number
from .native.ops import nonlinearity


def blocks(
    architecture: str, n_layers: int, n_units: int, n_in: int, n_out: int
) -> dict[str, tuple[int, ...]]:
    """The name and shape of each block of parameters, in the order of `theta`: all matrices, then
    everything else.
    """
    cell = cell_of(architecture, n_layers)
    N = n_units
    K = len(cell.maps)
    R = len(recurrent_maps(cell))
    S = len(cell.states)
    project = cell.equal_sizes and n_layers > 0
    matrices: dict[str, tuple[int, ...]] = {"W_in": (N, n_in)} if project else {}
    vectors: dict[str, tuple[int, ...]] = {"b_in": (N,)} if project else {}
    for layer in range(n_layers):
        matrices[f"Wx{layer}"] = (K * N, N if layer or project else n_in)
        matrices |= {f"Wh{layer}": (R * N, N)} if R else {}
        vectors[f"b{layer}"] = (K * N,)
        vectors[f"h{layer}"] = (S, N)
    matrices["W_out"] = (n_out, N if n_layers else n_in)
    vectors["b_out"] = (n_out,)
    return matrices | vectors


def num_params(architecture: str, n_layers: int, n_units: int, n_in: int, n_out: int) -> int:
    """The number of parameters of one network, counted as by the authors: weights, one bias per map,
    the readout, and learned initial states per layer.

    >>> num_params("lstm", 4, 210, 27, 27)  # the best text8 network in the authors' data
    1268217
    """
    sizes = {"n_in": n_in, "n_out": n_out} | ({"n_units": n_units} if n_layers else {})
    for name, value in sizes.items():
        whole_number(name, value, 1)
    return sum(
        math.prod(shape) for shape in blocks(architecture, n_layers, n_units, n_in, n_out).values()
    )


def units_for(architecture: str, n_layers: int, n_in: int, n_out: int, max_params: int) -> int:
    """The largest number of units per layer whose network has at most `max_params` parameters
    (section 1.2); 0 for `linear`, which has no units.

    Raises ValueError if not even one unit per layer fits.
    """
    whole_number("max_params", max_params, 1)
    least = 0 if n_layers == 0 else 1
    smallest = num_params(architecture, n_layers, least, n_in, n_out)
    if smallest > max_params:
        unit = "one unit per layer" if least else "a readout"
        raise ValueError(
            f"max_params must leave room for {unit}: {architecture} with n_layers={n_layers},"
            f" n_in={n_in} and n_out={n_out} needs {smallest} parameters, got"
            f" max_params={max_params}. Raise the budget or use fewer layers or inputs."
        )
    if n_layers == 0:
        return 0
    count = lambda n_units: num_params(architecture, n_layers, n_units, n_in, n_out)
    return bisect_right(range(1, max_params), max_params, key=count)


def split(theta_MxP: Tensor, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The blocks of theta by name, each with its leading model axis. Views, not copies."""
    pieces = torch.split(theta_MxP, [math.prod(s) for s in shapes.values()], dim=-1)
    return {
        name: piece.reshape(*theta_MxP.shape[:-1], *shape)
        for (name, shape), piece in zip(shapes.items(), pieces)
    }


def initial(
    architecture: str,
    n_layers: int,
    n_units: int,
    n_in: int,
    n_out: int,
    hparams: dict,
    seed: int,
    number: int,
) -> Tensor:
    """The initial parameters of one network, length P, float64, drawn as in Appendix A from its
    hyper-parameters.

    `seed` and the trial's `number` name the random stream, in which each parameter has a number of
    its own, used or not. The readout is not tuned: its matrix is normal / sqrt(n) and its bias 0.
    Initial states are 0.
    """
    cell = cell_of(architecture, n_layers)
    shapes = blocks(architecture, n_layers, n_units, n_in, n_out)
    numbers = draws.normal(seed, draws.WEIGHTS, number, sum(map(math.prod, shapes.values())))
    theta = []
    for block, normal in split(numbers, shapes).items():
        start = INITIAL[block.rstrip("0123456789")]
        theta.append(start(cell, hparams, normal).reshape(-1))
    return torch.cat(theta)


def _bias(cell: type[Cell], hp: dict, normal: Tensor, m: str) -> Tensor:
    if cell.zero_biases:
        return torch.zeros_like(normal)
    scale = hp[f"recurrent_bias_scale_{m}"]
    if hp["recurrent_bias_init_type"] == "delta":
        return torch.full_like(normal, scale)
    return scale * normal


def _input_matrices(cell: type[Cell], hp: dict, normal: Tensor) -> Tensor:
    """(K N, I) or (K N, N): each map's scale times normal / sqrt(columns)."""
    n_rows, columns = normal.shape
    scale = torch.tensor([hp[f"input_scale_{m}"] for m in cell.maps], dtype=torch.float64)
    by_row = scale.repeat_interleave(n_rows // len(cell.maps))
    return by_row[:, None] * normal / math.sqrt(columns)


def _orthogonal(normal: Tensor) -> Tensor:
    """A matrix from the uniform distribution over orthogonal matrices (Mezzadri 2007)."""
    q, r = torch.linalg.qr(normal)
    return q * torch.sign(torch.diagonal(r))


def _recurrent_matrices(cell: type[Cell], hp: dict, normal: Tensor) -> Tensor:
    """(R N, N): identities, or each map's scale times an orthogonal matrix or normal / sqrt(N)."""
    init = hp.get("recurrent_matrix_init_type", cell.recurrent_inits[0])
    maps = recurrent_maps(cell)
    N = normal.shape[1]
    if init == "identity":
        return torch.eye(N, dtype=torch.float64).repeat(len(maps), 1)
    return torch.cat(
        [
            hp[f"recurrent_matrix_scale_{m}"]
            * (_orthogonal(w) if init == "orthogonal" else w / math.sqrt(N))
            for m, w in zip(maps, normal.reshape(-1, N, N), strict=True)
        ]
    )


def _biases(cell: type[Cell], hp: dict, normal: Tensor) -> Tensor:
    """(K N): each map's bias, plus the hyper-parameter b^fg if the map is in `forget`."""
    parts = zip(cell.maps, normal.chunk(len(cell.maps)), strict=True)
    return torch.cat(
        [
            _bias(cell, hp, piece, m) + (hp[cell.forget[m]] if m in cell.forget else 0.0)
            for m, piece in parts
        ]
    )


# kind of block -> its initial values, from the cell, the hyper-parameters and normal numbers
INITIAL = {
    "W_in": lambda cell, hp, normal: hp["input_scale_in"] * normal / math.sqrt(normal.shape[1]),
    "b_in": lambda cell, hp, normal: _bias(cell, hp, normal, "in"),
    "Wx": _input_matrices,
    "Wh": _recurrent_matrices,
    "b": _biases,
    "h": lambda cell, hp, normal: torch.zeros_like(normal),
    "W_out": lambda cell, hp, normal: normal / math.sqrt(normal.shape[1]),
    "b_out": lambda cell, hp, normal: torch.zeros_like(normal),
}


class Layer:
    """The maps of one layer. One product serves the inputs of all time steps, and one product per
    step serves all maps that read the state.
    """

    def __init__(
        self, cell: type[Cell], Wx: Tensor, Wh: Tensor, b: Tensor, inputs_T: Sequence[Tensor]
    ) -> None:
        M, B = inputs_T[0].shape[:2]
        N = Wh.shape[2]
        self.cell = cell
        self.maps = Maps(cell, self.affine)
        self.Wh_MxRxNxN = Wh.reshape(M, len(recurrent_maps(cell)), N, N)
        # no list of numbers as an index: it would be copied to the device, which no graph may do
        shared = [self.Wh_MxRxNxN[:, k] for k in cell.maps_of_state]
        if shared:
            self.Wh_shared = torch.cat(shared, 1).transpose(1, 2)
        distinct = {id(x): x for x in inputs_T}  # a static input is projected once
        inputs = torch.cat(list(distinct.values()), 1)
        ax = torch.baddbmm(b[:, None], inputs, Wx.transpose(1, 2)).reshape(
            M, len(distinct), B, len(cell.maps), N
        )
        by_step = dict(
            zip(distinct, (a.unbind(2) for a in ax.unbind(1)))
        )  # unbind, since slicing makes the backward pass quadratic in T
        self.ax_T = [by_step[id(x)] for x in inputs_T]

    def step(
        self, t: int, states: tuple[Tensor, ...], x: Tensor, s: Callable
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The output to the layer above and the states after step t, from those before it."""
        self.ax = self.ax_T[t]
        self.h = states[0]
        self.products: dict[int, Tensor] = {}
        return take_step(self.cell, self.maps, states, x, s)

    def affine(self, name: str, h: Tensor | None, x: Tensor) -> Tensor:
        """The map `name` at the step that is being taken: Wh h + Wx x + b."""
        k = self.cell.maps.index(name)
        if h is None:
            return self.ax[k]
        if h is not self.h or k not in self.cell.maps_of_state:
            return torch.baddbmm(self.ax[k], h, self.Wh_MxRxNxN[:, k].transpose(1, 2))
        if not self.products:
            products = torch.bmm(h, self.Wh_shared).split(h.shape[2], 2)
            self.products = dict(zip(self.cell.maps_of_state, products))
        return self.ax[k] + self.products[k]


def nonlinearity_of(cell: type[Cell], relu: Tensor) -> Callable:
    """The function s of a cell; where it may be ReLU or tanh, it is ReLU where `relu` holds."""
    if len(cell.nonlinearities) == 1:
        return nonlinearity(cell)
    return lambda a: torch.where(relu, torch.relu(a), torch.tanh(a))


def forward(
    architecture: str,
    n_layers: int,
    shapes: dict[str, tuple[int, ...]],
    theta_MxP: Tensor,
    inputs_T: Sequence[Tensor],
    relu_M: Tensor,
    since: int | None = None,
) -> Tensor:
    """The outputs after the last step, z_MxBxO, of M networks; with `since`, the outputs of that
    step and all later ones, M x steps x B x O.

    `inputs_T` is the list of T inputs x_MxBxI (the same tensor again if the input is static), and
    `relu_M` says for which models s is ReLU.
    """
    cell = cell_of(architecture, n_layers)
    W = split(theta_MxP, shapes)
    M, B = inputs_T[0].shape[:2]
    s = nonlinearity_of(cell, relu_M.to(theta_MxP.device)[:, None, None])
    # without a layer, the readout reads the input of the first step
    up_T = inputs_T if n_layers else inputs_T[:1]
    if cell.equal_sizes:
        projections = {
            id(x): torch.baddbmm(W["b_in"][:, None], x, W["W_in"].transpose(1, 2)) for x in inputs_T
        }
        up_T = [projections[id(x)] for x in inputs_T]
    for number in range(n_layers):
        # empty if all maps read the input alone
        Wh = W.get(f"Wh{number}", W[f"h{number}"][:, :0])
        layer = Layer(cell, W[f"Wx{number}"], Wh, W[f"b{number}"], up_T)
        states = tuple(h[:, None].expand(M, B, -1) for h in W[f"h{number}"].unbind(1))
        ups = []
        for t, x in enumerate(up_T):
            up, states = layer.step(t, states, x, s)
            ups.append(up)
        up_T = ups
    first = -1 if since is None or not n_layers else since
    read_MxSxBxN = torch.stack(list(up_T[first:]), 1)
    z_MxSxBxO = torch.baddbmm(
        W["b_out"][:, None], read_MxSxBxN.flatten(1, 2), W["W_out"].transpose(1, 2)
    ).unflatten(1, (-1, B))
    return z_MxSxBxO[:, 0] if since is None else z_MxSxBxO
