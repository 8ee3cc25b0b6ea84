"""What a cell does over time, untrained: its state, its gates, and the gradient on its way back
(section 1.4).

One cell alone, with weights drawn as Appendix A says, sees an impulse (a random vector at step 1,
zeros after) or noise (a new vector at every step). Inputs are as wide as the state, so that the
+RNN needs no projection. Nothing is trained, and what comes back is arrays and frames; dimension
letters as in `networks`.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import torch
from torch.overrides import TorchFunctionMode

from rnnkit import draws
from rnnkit.cells import PAPER, cell_of, recurrent_maps
from rnnkit.checks import whole_number
from rnnkit.hparams import Space, cell_ranges
from rnnkit.networks import blocks, initial, split

# as many steps as text8 and the random function unroll; few units, so that an answer is instant
STEPS, UNITS = (50, 32)
SHOWN = ("impulse", "noise")


@dataclass(frozen=True)
class Flow:
    """What M cells did in T steps. Times run from 0, before the first step, to T; a gate's from 1.

    `gradient` is the norm of dL/d(state at t), divided by that at T, for L = w . h at T, w random;
    the LSTM's state is h and c together. `trace` is the distance between the states with and
    without the impulse, divided by that at step 1: how much of it is still there.
    """

    h_TxMxN: np.ndarray
    gates: dict[str, np.ndarray]  # gate -> T x M x N
    gradient_TxM: np.ndarray
    trace_TxM: np.ndarray | None  # None unless an impulse was shown


def setting(
    architecture,
    recurrent_scale=1.0,
    input_scale=1.0,
    forget_bias=1.0,
    nonlinearity=None,
    biases=(),
) -> dict:
    """Hyper-parameters of a cell to look at: all matrices at one scale, orthogonal where the cell
    may choose, all biases 0 but `biases`.

    `biases` (dict or pairs) is by map; `forget_bias` goes to each map that takes b^fg. ValueError
    for a map that the cell does not have.
    """
    cell, biases = cell_of(architecture), dict(biases)
    biased = () if cell.zero_biases else cell.maps
    unknown = set(biases) - set(biased)
    if unknown:
        has = ", ".join(biased) or "it has no biases to set"
        raise ValueError(
            f"biases must name maps of {architecture} ({has}), got {', '.join(sorted(unknown))}."
        )
    if nonlinearity is not None and nonlinearity not in cell.nonlinearities:
        raise ValueError(
            f"nonlinearity of {architecture} must be one of {', '.join(cell.nonlinearities)}, got"
            f" {nonlinearity!r}."
        )
    inits = cell.recurrent_inits
    hparams = {
        "recurrent_matrix_init_type": "orthogonal" if "orthogonal" in inits else inits[0],
        "recurrent_bias_init_type": "delta",
    }
    hparams |= dict.fromkeys(cell.forget.values(), forget_bias) | {
        "nonlinearity": nonlinearity or cell.nonlinearities[-1]
    }
    for m in cell.maps:
        hparams[f"input_scale_{m}"], hparams[f"recurrent_matrix_scale_{m}"] = (
            input_scale,
            recurrent_scale,
        )
        hparams[f"recurrent_bias_scale_{m}"] = biases.get(m, 0.0)
    return hparams


@cache
def gates_of(cell) -> tuple[str, ...]:
    """The maps of a cell that are gates, found by running its equations once: those whose result
    goes straight into a sigmoid.
    """
    results, found = {}, set()

    class Maps:
        def __getattr__(self, name):
            return lambda h, x: results.setdefault(name, torch.zeros(1))

    class Listener(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func in (torch.sigmoid, torch.Tensor.sigmoid, torch.special.expit):
                found.update(name for name, result in results.items() if result is args[0])
            return func(*args, **(kwargs or {}))

    state = tuple(torch.zeros(1) for _ in cell.states)
    with Listener():
        cell.step(Maps(), state if len(state) > 1 else state[0], torch.zeros(1), torch.tanh)
    return tuple(m for m in cell.maps if m in found)


def _trace(states, without):
    """How far the states of each step are from those of a run without the impulse, over the first
    step's distance (T+1, M); a layer of dead ReLUs has no trace of it at all.
    """
    squares = [sum((a - b).square().sum(1) for a, b in zip(*pair)) for pair in zip(states, without)]
    distance = torch.stack(squares).sqrt().detach()
    return torch.where(distance[1] > 0, distance / distance[1], 0.0).numpy()


def flow(
    architecture, hparams, steps=STEPS, n_units=UNITS, shown="impulse", seed=0, traced=True
) -> Flow:
    """State, gates and gradients of cells with the hyper-parameters `hparams` (a list of M dicts,
    or one), drawn from `seed`. ValueError.

    Without `traced` the impulse's trace, which takes a run without it, is left out.
    """
    cell, hparams = cell_of(architecture), [hparams] if isinstance(hparams, dict) else list(hparams)
    whole_number("steps", steps, 1), whole_number("n_units", n_units, 1)
    if shown not in SHOWN:
        raise ValueError(f"shown must be one of {', '.join(SHOWN)}, got {shown!r}.")
    if not cell.maps:
        raise ValueError(
            f"flow needs a cell with a state, got {architecture}, which has none. Take one of"
            f" {', '.join(PAPER)}."
        )
    W = _weights(architecture, hparams, n_units, seed)
    # a cell's random numbers: step in the upper half of their number, cell in the lower
    number_M = torch.arange(len(hparams))
    x_TxMxN = torch.zeros(steps, len(hparams), n_units, dtype=torch.float64)
    seen = 1 if shown == "impulse" else steps
    x_TxMxN[:seen] = draws.normal(
        seed, draws.DATA, (torch.arange(seen)[:, None] << 32) + number_M, n_units
    )
    states, gates = _scan(cell, W, x_TxMxN, needs_grad=True)
    w_MxN = draws.normal(seed, draws.DATA, (steps << 32) + number_M, n_units)
    wanted = [s for state in states for s in state]
    grads = torch.autograd.grad((states[-1][0] * w_MxN).sum(), wanted, allow_unused=True)
    squares = [
        torch.zeros(len(hparams), dtype=torch.float64) if g is None else g.square().sum(1)
        for g in grads
    ]
    n_states = len(cell.states)
    gradient = torch.stack(
        [sum(squares[i : i + n_states]) for i in range(0, len(squares), n_states)]
    ).sqrt()
    gradient /= gradient[-1].clone()
    trace = None
    if shown == "impulse" and traced:
        trace = _trace(states, _scan(cell, W, torch.zeros_like(x_TxMxN))[0])
    h = torch.stack([state[0] for state in states]).detach().numpy()
    return Flow(
        h,
        {name: torch.sigmoid(torch.stack(a).detach()).numpy() for name, a in gates.items()},
        gradient.numpy(),
        trace,
    )


def at_one_setting(
    architectures=PAPER, steps=STEPS, n_units=UNITS, shown="impulse", seed=0, **settings
) -> dict[str, Flow]:
    """The `flow` of each architecture at the same `setting`."""
    return {a: flow(a, setting(a, **settings), steps, n_units, shown, seed) for a in architectures}


def at_random(architectures=PAPER, n_draws=200, steps=STEPS, n_units=UNITS, seed=0) -> pd.DataFrame:
    """Many cells whose hyper-parameters are drawn from the ranges of Appendix A, each shown an
    impulse.

    One row for each architecture, draw and number of steps `back` from the last one (for `trace`:
    on from the impulse): `gradient`, the norm of dL/d(state), 1 at the last step; `trace`, what is
    left of the impulse, 1 at the first.
    """
    parts = []
    for architecture in architectures:
        space = Space(tuple(cell_ranges(architecture)))
        hparams = [space.sample(np.random.default_rng([seed, i])) for i in range(n_draws)]
        seen = flow(architecture, hparams, steps, n_units, "impulse", seed)
        back, draw = np.meshgrid(np.arange(steps), np.arange(n_draws), indexing="ij")
        parts.append(
            pd.DataFrame(
                {
                    "architecture": architecture,
                    "draw": draw.ravel(),
                    "back": back.ravel(),
                    "gradient": seen.gradient_TxM[:0:-1].ravel(),
                    "trace": seen.trace_TxM[1:].ravel(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _weights(architecture, hparams, N, seed):
    """Wx and Wh (M x K x N x N; Wh of the recurrent maps), b (M x K x N) and the mask of ReLU (M x
    1) of one layer.

    They are drawn as `networks.initial` does.
    """
    cell = cell_of(architecture)
    K, M, n_layers = len(cell.maps), len(hparams), max(1, cell.min_layers)
    if cell.equal_sizes:  # of the projection that a stack begins with, nothing is used here
        hparams = [{"input_scale_in": 1.0, "recurrent_bias_scale_in": 0.0} | hp for hp in hparams]
    theta = torch.stack(
        [initial(architecture, n_layers, N, N, 1, hp, seed, i) for i, hp in enumerate(hparams)]
    )
    parts = split(theta, blocks(architecture, n_layers, N, N, 1))
    choice = torch.tensor(
        [[hp.get("nonlinearity", cell.nonlinearities[0]) == "relu"] for hp in hparams]
    )
    recurrent = parts.get("Wh0", theta[:, :0]).reshape(M, len(recurrent_maps(cell)), N, N)
    return parts["Wx0"].reshape(M, K, N, N), recurrent, parts["b0"].reshape(M, K, N), choice


def _scan(cell, weights, x_TxMxN, needs_grad=False):
    """States (T + 1 tuples of M x N) and what goes into the gates (name -> T of M x N) of a cell
    that sees x.
    """
    Wx, Wh, b, relu = weights
    at = {m: k for k, m in enumerate(cell.maps)}
    s = (
        torch.relu
        if relu.all()
        else (
            torch.tanh
            if not relu.any()
            else lambda a: torch.where(relu, torch.relu(a), torch.tanh(a))
        )
    )

    class Maps:
        def __getattr__(self, name):
            def affine(h, x):
                k = at[name]
                a = fed_K[k] if h is None else fed_K[k] + (Wh_K[k] @ h[..., None])[..., 0]
                if name in gates:
                    gates[name].append(a)
                return a

            return affine

    gates, W, Wh_K = {name: [] for name in gates_of(cell)}, Maps(), Wh.unbind(1)
    fed_TxKxMxN = torch.einsum("mkij,tmj->tkmi", Wx, x_TxMxN) + b.transpose(0, 1)
    state = tuple(torch.zeros_like(x_TxMxN[0]).requires_grad_(needs_grad) for _ in cell.states)
    states = [state]
    with torch.set_grad_enabled(needs_grad):
        for x, fed_KxMxN in zip(x_TxMxN, fed_TxKxMxN):
            fed_K = fed_KxMxN.unbind()
            _, state = cell.step(W, state if len(state) > 1 else state[0], x, s)
            state = state if isinstance(state, tuple) else (state,)
            states.append(state)
    return states, gates
