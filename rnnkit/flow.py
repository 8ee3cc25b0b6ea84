"""What an untrained cell does over time: its state, its gates, and the gradient on its way back
(section 1.4).

A single cell, with weights drawn as Appendix A says, receives an impulse (a random vector at step
1, zeros after it) or noise (a new vector at every step). Inputs are as wide as the state, so that
the +RNN needs no projection. Nothing is trained; the results are arrays and frames. Dimension
letters are those of `networks`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.overrides import TorchFunctionMode

from rnnkit import draws
from rnnkit.cells import PAPER, Cell, Maps, cell_of, has_relu, recurrent_maps, take_step
from rnnkit.checks import whole_number
from rnnkit.hparams import Space, cell_ranges
from rnnkit.names import resolve_name
from rnnkit.networks import blocks, initial, nonlinearity_of, split

STEPS = 50  # as many as text8 and the random function unroll
UNITS = 32  # few, so that an answer is instant
SHOWN = ("impulse", "noise")


@dataclass(frozen=True)
class Flow:
    """What M cells did in T steps. Times run from 0, before the first step, to T; a gate's from 1.

    `gradient` is the norm of dL/d(state at t), divided by that at T, for L = w . h at T with random
    w; the LSTM's state is h and c together. `trace` is the distance between the states with and
    without the impulse, divided by that at step 1: how much of the impulse is left.
    """

    h_TxMxN: np.ndarray
    gates: dict[str, np.ndarray]  # gate -> T x M x N
    gradient_TxM: np.ndarray
    trace_TxM: np.ndarray | None  # None unless an impulse was shown


def setting(
    architecture: str,
    recurrent_scale: float = 1.0,
    input_scale: float = 1.0,
    forget_bias: float = 1.0,
    nonlinearity: str | None = None,
    biases: dict[str, float] | Iterable[tuple[str, float]] = (),
) -> dict[str, Any]:
    """Hyper-parameters of a cell to look at: all matrices at one scale, orthogonal if the cell may
    be, and all biases 0 except `biases`.

    `biases` is a dict or pairs, by map; `forget_bias` is added to each map that takes b^fg.
    ValueError for a map that the cell does not have.
    """
    cell = cell_of(architecture)
    biases = dict(biases)
    maps = () if cell.zero_biases else cell.maps
    unknown = set(biases) - set(maps)
    if unknown:
        has = ", ".join(maps) or "it has no biases to set"
        raise ValueError(
            f"biases must name maps of {architecture} ({has}), got {', '.join(sorted(unknown))}."
        )
    kind = f"nonlinearity of {architecture}"
    usual = cell.nonlinearities[-1]
    inits = cell.recurrent_inits
    hparams: dict[str, Any] = {
        "recurrent_matrix_init_type": "orthogonal" if "orthogonal" in inits else inits[0],
        "recurrent_bias_init_type": "delta",
        "nonlinearity": resolve_name(kind, nonlinearity or usual, cell.nonlinearities),
    }
    hparams |= dict.fromkeys(cell.forget.values(), forget_bias)
    for m in cell.maps:
        hparams[f"input_scale_{m}"] = input_scale
        hparams[f"recurrent_matrix_scale_{m}"] = recurrent_scale
        hparams[f"recurrent_bias_scale_{m}"] = biases.get(m, 0.0)
    return hparams


def gates_of(cell: type[Cell]) -> tuple[str, ...]:
    """The maps of a cell that are gates, those whose result goes straight into a sigmoid; the
    cell's equations are run once to see.
    """
    results: dict[str, torch.Tensor] = {}
    gates = set()

    class Listener(TorchFunctionMode):
        def __torch_function__(
            self, func: Callable, types: Any, args: Any = (), kwargs: dict | None = None
        ) -> Any:
            if func in (torch.sigmoid, torch.Tensor.sigmoid, torch.special.expit):
                gates.update(name for name, result in results.items() if result is args[0])
            return func(*args, **(kwargs or {}))

    W = Maps(cell, lambda name, h, x: results.setdefault(name, torch.zeros(1)))
    with Listener():
        take_step(cell, W, tuple(torch.zeros(1) for _ in cell.states), torch.zeros(1), torch.tanh)
    return tuple(m for m in cell.maps if m in gates)


States = list[tuple[torch.Tensor, ...]]  # T + 1 tuples of M x N


def _trace(states: States, without: States) -> np.ndarray:
    """The distance of each step's states from those of a run without the impulse, over the distance
    at the first step (T+1, M); 0 for a layer of dead ReLUs.
    """
    squares = [
        torch.stack([(a - b).square().sum(1) for a, b in zip(*pair)]).sum(0)
        for pair in zip(states, without)
    ]
    distance = torch.stack(squares).sqrt().detach()
    return torch.where(distance[1] > 0, distance / distance[1], 0.0).numpy()


def flow(
    architecture: str,
    hparams: dict | Sequence[dict],
    steps: int = STEPS,
    n_units: int = UNITS,
    shown: str = "impulse",
    seed: int = 0,
    traced: bool = True,
) -> Flow:
    """State, gates and gradients of cells with the hyper-parameters `hparams` (one dict, or a list
    of M), whose weights are drawn from `seed`. ValueError for a setting that is out of range, and
    for a cell without a state.

    If `traced` is False, the impulse's trace is left out, which takes a second run.
    """
    cell = cell_of(architecture)
    hparams = [hparams] if isinstance(hparams, dict) else list(hparams)
    whole_number("steps", steps, 1)
    whole_number("n_units", n_units, 1)
    shown = resolve_name("shown", shown, SHOWN)
    if not cell.maps:
        raise ValueError(
            f"flow needs a cell with a state, got {architecture}, which has none. Take one of"
            f" {', '.join(PAPER)}."
        )
    weights = _weights(architecture, hparams, n_units, seed)
    relu_Mx1 = torch.tensor([[has_relu(cell, hp)] for hp in hparams])
    # the number of a draw has the step in its upper half, the cell in its lower
    number_M = torch.arange(len(hparams))
    x_TxMxN = torch.zeros(steps, len(hparams), n_units, dtype=torch.float64)
    n_inputs = 1 if shown == "impulse" else steps
    numbers_TxM = (torch.arange(n_inputs)[:, None] << 32) + number_M
    x_TxMxN[:n_inputs] = draws.normal(seed, draws.DATA, numbers_TxM, n_units)
    states, arguments = _scan(cell, weights, relu_Mx1, x_TxMxN, needs_grad=True)
    w_MxN = draws.normal(seed, draws.DATA, (steps << 32) + number_M, n_units)
    tensors = [tensor for state in states for tensor in state]
    grads = torch.autograd.grad((states[-1][0] * w_MxN).sum(), tensors, materialize_grads=True)
    squares = torch.stack(grads).square().sum(2)
    gradient = squares.unflatten(0, (-1, len(cell.states))).sum(1).sqrt()
    gradient /= gradient[-1].clone()
    trace = None
    if shown == "impulse" and traced:
        trace = _trace(states, _scan(cell, weights, relu_Mx1, torch.zeros_like(x_TxMxN))[0])
    h = torch.stack([state[0] for state in states]).detach().numpy()
    gates = {m: torch.sigmoid(torch.stack(a).detach()).numpy() for m, a in arguments.items()}
    return Flow(h, gates, gradient.numpy(), trace)


def at_one_setting(
    architectures: Iterable[str] = PAPER,
    steps: int = STEPS,
    n_units: int = UNITS,
    shown: str = "impulse",
    seed: int = 0,
    **settings: Any,
) -> dict[str, Flow]:
    """The `flow` of each architecture at the same `setting`."""
    return {a: flow(a, setting(a, **settings), steps, n_units, shown, seed) for a in architectures}


def at_random(
    architectures: Iterable[str] = PAPER,
    n_draws: int = 200,
    steps: int = STEPS,
    n_units: int = UNITS,
    seed: int = 0,
) -> pd.DataFrame:
    """Many cells with hyper-parameters drawn from the ranges of Appendix A; each receives an impulse.

    One row for each architecture, draw and number of steps `back` from the last step (for `trace`:
    after the impulse): `gradient`, the norm of dL/d(state), 1 at the last step; `trace`, what is
    left of the impulse, 1 at the first step.
    """
    frames = []
    for architecture in architectures:
        space = Space(tuple(cell_ranges(architecture)))
        hparams = [space.sample(np.random.default_rng([seed, i])) for i in range(n_draws)]
        cells = flow(architecture, hparams, steps, n_units, "impulse", seed)
        assert cells.trace_TxM is not None  # an impulse leaves a trace
        back, draw = np.meshgrid(np.arange(steps), np.arange(n_draws), indexing="ij")
        columns = {
            "draw": draw,
            "back": back,
            "gradient": cells.gradient_TxM[:0:-1],
            "trace": cells.trace_TxM[1:],
        }
        frame = pd.DataFrame({name: values.ravel() for name, values in columns.items()})
        frame.insert(0, "architecture", architecture)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _weights(
    architecture: str, hparams: Sequence[dict], N: int, seed: int
) -> dict[str, torch.Tensor]:
    """The blocks of M networks of least depth, as `networks.initial` draws them."""
    cell = cell_of(architecture)
    n_layers = max(1, cell.min_layers)
    if cell.equal_sizes:  # a stack begins with a projection, which is not used here
        hparams = [{"input_scale_in": 1.0, "recurrent_bias_scale_in": 0.0} | hp for hp in hparams]
    theta = torch.stack(
        [initial(architecture, n_layers, N, N, 1, hp, seed, i) for i, hp in enumerate(hparams)]
    )
    return split(theta, blocks(architecture, n_layers, N, N, 1))


def _scan(
    cell: type[Cell],
    weights: dict[str, torch.Tensor],
    relu_Mx1: torch.Tensor,
    x_TxMxN: torch.Tensor,
    needs_grad: bool = False,
) -> tuple[States, dict[str, list[torch.Tensor]]]:
    """The states and the arguments of the gates (name -> T of M x N) of a cell with the inputs x and
    the weights of its first layer.
    """
    shape = (-1, x_TxMxN.shape[2])
    number_of = {m: k for k, m in enumerate(cell.maps)}
    Wh_K = weights["Wh0"].unflatten(1, shape).unbind(1) if recurrent_maps(cell) else ()
    input_TxKxMxN = torch.einsum("mkij,tmj->tkmi", weights["Wx0"].unflatten(1, shape), x_TxMxN)
    input_TxKxMxN += weights["b0"].unflatten(1, shape).transpose(0, 1)
    arguments: dict[str, list[torch.Tensor]] = {name: [] for name in gates_of(cell)}
    s = nonlinearity_of(cell, relu_Mx1)

    def affine(name: str, h: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
        k = number_of[name]
        a = input_TxKxMxN[len(states) - 1, k]
        if h is not None:
            a = a + (Wh_K[k] @ h[..., None])[..., 0]
        if name in arguments:
            arguments[name].append(a)
        return a

    states: States = [
        tuple(torch.zeros_like(x_TxMxN[0]).requires_grad_(needs_grad) for _ in cell.states)
    ]
    W = Maps(cell, affine)
    with torch.set_grad_enabled(needs_grad):
        for x in x_TxMxN:
            states.append(take_step(cell, W, states[-1], x, s)[1])
    return states, arguments
