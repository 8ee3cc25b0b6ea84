"""A strong competitor: the same training step in JAX by `vmap`, `jit` and `scan`, with many models
at once.

Every model has its own learning rate, decay, momentum, clip and l2, as in training. The competitor's
task is easier: there is one optimiser (Adam) and one nonlinearity per cell, the input is known to be
shown at every step, so that its projection moves out of the scan, and batches are ready-made with
one-hot symbols. (Gathering rows instead takes as long at T = 50, and 1.5 times as long at T = 175,
where the gradient scatters ten symbols per step.) Parameters are the blocks of `networks.blocks`, by
name. Needs jax: pip install 'rnnkit[bench]'.
"""

import os
import sys
from functools import partial
from itertools import count, islice
from typing import Any

# one thread, as for all competitors; XLA reads this once, at its start
if "jax" not in sys.modules:
    os.environ["XLA_FLAGS"] = (
        f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
        " intra_op_parallelism_threads=1".strip()
    )

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from rnnkit.bench import batch
from rnnkit.hparams import LEARNING, Space
from rnnkit.networks import blocks
from rnnkit.optimizers import ADAM_BETA2, EPSILON
from rnnkit.studies import Study
from rnnkit.training.timing import STILL, Stepper

Blocks = dict[str, Array]  # parameters, or what there is one of per parameter
# the output to the layer above, and the state after the step
Step = tuple[Array, tuple[Array, ...]]
sigmoid = jax.nn.sigmoid
tanh = jnp.tanh
relu = jax.nn.relu

# One step of a cell: state (a tuple), what the maps receive from the input and their biases, the
# input itself, and the recurrent matrix.


def rnn(state: tuple, a: Array, x: Array, Wh: Array, s: Any = tanh) -> Step:
    h = s(state[0] @ Wh.T + a)  # (1)
    return h, (h,)


def irnn(state: tuple, a: Array, x: Array, Wh: Array) -> Step:
    return rnn(state, a, x, Wh, relu)


def ugrnn(state: tuple, a: Array, x: Array, Wh: Array) -> Step:
    (h,) = state
    c, g = jnp.split(h @ Wh.T + a, 2, 1)
    g = sigmoid(g)
    h = g * h + (1 - g) * tanh(c)  # (2)-(4)
    return h, (h,)


def gru(state: tuple, a: Array, x: Array, Wh: Array) -> Step:
    (h,) = state
    N = h.shape[1]
    r, u = jnp.split(sigmoid(h @ Wh[: 2 * N].T + a[:, : 2 * N]), 2, 1)
    c = tanh((r * h) @ Wh[2 * N :].T + a[:, 2 * N :])
    h = u * h + (1 - u) * c  # (5)-(8)
    return h, (h,)


def lstm(state: tuple, a: Array, x: Array, Wh: Array) -> Step:
    h, c = state
    i, f, c_in, o = jnp.split(h @ Wh.T + a, 4, 1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(c_in)
    h = sigmoid(o) * tanh(c)  # (9)-(14)
    return h, (h, c)


def intersection(state: tuple, a: Array, x: Array, Wh: Array) -> Step:
    (h,) = state
    y_in, h_in, g_y, g_h = jnp.split(h @ Wh.T + a, 4, 1)
    g_y = sigmoid(g_y)
    g_h = sigmoid(g_h)
    return g_y * x + (1 - g_y) * relu(y_in), (g_h * h + (1 - g_h) * tanh(h_in),)  # (15)-(20)


CELLS = {"rnn": rnn, "irnn": irnn, "ugrnn": ugrnn, "gru": gru, "lstm": lstm, "+rnn": intersection}


def loss(p: Blocks, x: Array, y: Array, architecture: str, n_layers: int, unroll: int) -> Array:
    """The mean cross-entropy of one model with parameters `p`.

    Either x_BxI is shown at every step and the answers are labels_B, or x_TxBxI is a sequence and
    the answers are classes_SxBxG at the last S steps, with the loss summed over heads.
    """
    sequence = x.ndim == 3
    binary = y.ndim == 1
    up = x @ p["W_in"].T + p["b_in"] if "W_in" in p else x
    for layer in range(n_layers):
        a = up @ p[f"Wx{layer}"].T + p[f"b{layer}"]
        below = up
        Wh = p[f"Wh{layer}"]
        static = layer == 0 and not sequence
        start = tuple(jnp.broadcast_to(h, (x.shape[-2], len(h))) for h in p[f"h{layer}"])

        def body(
            carry: tuple,
            at_t: tuple | None,
            a: Array = a,
            below: Array = below,
            Wh: Array = Wh,
            keep: bool = layer < n_layers - 1 or not binary and len(y) > 1,
        ) -> tuple[tuple, Array | None]:
            a_t, x_t = at_t or (a, below)
            h, state = CELLS[architecture](carry[0], a_t, x_t, Wh)
            return (state, h), h if keep else None

        (_, last), up = jax.lax.scan(
            body, (start, jnp.zeros_like(start[0])), None if static else (a, below), length=unroll
        )
    if binary:
        z_B = (last @ p["W_out"].T + p["b_out"])[:, 0]
        return jnp.mean(jnp.logaddexp(0, z_B) - z_B * y)
    z = (last[None] if up is None else up[-len(y) :]) @ p["W_out"].T + p["b_out"]
    z_SxBxGxC = z.reshape(*y.shape, -1)
    right = jnp.where(y[..., None] == jnp.arange(z_SxBxGxC.shape[-1]), z_SxBxGxC, 0).sum(
        -1
    )  # indexing would scatter in the gradient
    return jnp.mean(jnp.sum(jax.nn.logsumexp(z_SxBxGxC, -1) - right, -1))


def gradient(
    p: Blocks, x: Array, y: Array, l2: float | Array, **shape: Any
) -> tuple[Array, Blocks, Array]:
    """The loss, the gradient with the l2 term of the matrices, and its norm."""
    value, grad = jax.value_and_grad(loss)(p, x, y, **shape)
    grad = {name: g + l2 * p[name] if name.startswith("W") else g for name, g in grad.items()}
    return value, grad, jnp.sqrt(sum(jnp.sum(g * g) for g in grad.values()))


def step(
    p: Blocks,
    m: Blocks,
    v: Blocks,
    t: float | Array,
    hp: dict,
    x: Array,
    y: Array,
    train_steps: float = 1e9,
    **shape: Any,
) -> tuple[Blocks, Blocks, Blocks]:
    """The parameters and moments of one model after one step of Adam."""
    _, grad, norm = gradient(p, x, y, hp["l2"], **shape)
    scale = jnp.minimum(1.0, hp["clip"] / norm)
    m = jax.tree.map(lambda m, g: hp["momentum"] * m + (1 - hp["momentum"]) * scale * g, m, grad)
    v = jax.tree.map(lambda v, g: ADAM_BETA2 * v + (1 - ADAM_BETA2) * (scale * g) ** 2, v, grad)
    rate = hp["lr"] * hp["decay"] ** (t / train_steps) / (1 - hp["momentum"] ** (t + 1))
    v_scale = 1 / (1 - ADAM_BETA2 ** (t + 1))
    p = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v * v_scale) + EPSILON), p, m, v)
    return p, m, v


def initial(
    architecture: str,
    n_layers: int,
    n_in: int,
    n_units: int,
    models: int,
    n_out: int = 1,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Block -> array with a leading model axis: matrices are normal / sqrt(inputs), others zero."""
    draw = np.random.default_rng(seed)
    shapes = blocks(architecture, n_layers, n_units, n_in, n_out)
    scales = {
        name: name.startswith("W") / np.sqrt(shape[-1])  # vectors are zero
        for name, shape in shapes.items()
    }
    return {
        name: (scales[name] * draw.normal(size=(models, *shape))).astype(np.float32)
        for name, shape in shapes.items()
    }


def usual() -> dict[str, float]:
    """The usual hyper-parameters of learning, by the names that `step` has for them."""
    point = Space(LEARNING).usual_point()
    momentum = 1 / (1 + np.exp(-point["optimizer_logit_momentum"]))
    return {
        "lr": point["lr_init"],
        "decay": point["lr_decay_rate"],
        "momentum": momentum,
        "clip": point["gradient_clip_val"],
        "l2": point["l2_decay"],
    }


def stepper(study: Study, models: int = 8) -> Stepper:
    """A function of n that trains `models` networks of a study's shape for n steps, all at once;
    its attribute `slots` says how many.

    Each model has data of its own for the perceptron task; all read the same sequences.
    """
    task = study.task
    p = jax.tree.map(
        jnp.asarray,
        initial(study.architecture, study.n_layers, task.n_in, study.n_units, models, task.n_out),
    )
    state = [p, jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p)]
    learning = usual() | {"lr": STILL}
    hp = {name: jnp.full(models, value, jnp.float32) for name, value in learning.items()}
    if own := task.input == "bits":
        inputs, labels = zip(*(batch.of(task) for _ in range(models)))
        x = jnp.asarray(np.stack([x_TxBxI[0] for x_TxBxI in inputs]))
        y = jnp.asarray(np.stack(labels))
    else:
        x, y = (jnp.asarray(tensor.numpy()) for tensor in batch.of(task))
    step_of_study = partial(
        step, architecture=study.architecture, n_layers=study.n_layers, unroll=task.steps
    )
    axes = (0, 0, 0, None, 0, *[0 if own else None] * 2)
    together = jax.jit(jax.vmap(step_of_study, in_axes=axes), donate_argnums=(0, 1, 2))
    steps = count()

    def run(n: int) -> None:
        for t in islice(steps, n):
            state[:] = together(*state, float(t), hp, x, y)
        jax.block_until_ready(state)

    return Stepper(run, models)
