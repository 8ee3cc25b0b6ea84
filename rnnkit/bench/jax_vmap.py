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

# one thread, as for all competitors; XLA reads this once, at its start
if "jax" not in sys.modules:
    os.environ["XLA_FLAGS"] = (
        f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
        " intra_op_parallelism_threads=1".strip()
    )

import jax
import jax.numpy as jnp
import numpy as np

from rnnkit.bench import batch
from rnnkit.hparams import LEARNING, Space
from rnnkit.networks import blocks
from rnnkit.training.timing import STILL, Stepper

BETA2 = 0.999
EPSILON = 1e-8
sigmoid = jax.nn.sigmoid
tanh = jnp.tanh
relu = jax.nn.relu

# One step of a cell: state (a tuple), what the maps receive from the input and their biases, the
# input itself, and the recurrent matrix.


def rnn(state, a, x, Wh, s=tanh):
    h = s(state[0] @ Wh.T + a)  # (1)
    return h, (h,)


def irnn(state, a, x, Wh):
    return rnn(state, a, x, Wh, relu)


def ugrnn(state, a, x, Wh):
    (h,) = state
    c, g = jnp.split(h @ Wh.T + a, 2, 1)
    g = sigmoid(g)
    h = g * h + (1 - g) * tanh(c)  # (2)-(4)
    return h, (h,)


def gru(state, a, x, Wh):
    (h,) = state
    N = h.shape[1]
    r, u = jnp.split(sigmoid(h @ Wh[: 2 * N].T + a[:, : 2 * N]), 2, 1)
    c = tanh((r * h) @ Wh[2 * N :].T + a[:, 2 * N :])
    h = u * h + (1 - u) * c  # (5)-(8)
    return h, (h,)


def lstm(state, a, x, Wh):
    h, c = state
    i, f, c_in, o = jnp.split(h @ Wh.T + a, 4, 1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(c_in)
    h = sigmoid(o) * tanh(c)  # (9)-(14)
    return h, (h, c)


def intersection(state, a, x, Wh):
    (h,) = state
    y_in, h_in, g_y, g_h = jnp.split(h @ Wh.T + a, 4, 1)
    g_y = sigmoid(g_y)
    g_h = sigmoid(g_h)
    return g_y * x + (1 - g_y) * relu(y_in), (g_h * h + (1 - g_h) * tanh(h_in),)  # (15)-(20)


CELLS = {"rnn": rnn, "irnn": irnn, "ugrnn": ugrnn, "gru": gru, "lstm": lstm, "+rnn": intersection}


def loss(p, x, y, architecture, n_layers, unroll):
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
            carry,
            at_t,
            a=a,
            below=below,
            Wh=Wh,
            static=static,
            keep=layer < n_layers - 1 or not binary and len(y) > 1,
        ):
            a_t, x_t = (a, below) if static else at_t
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


def gradient(p, x, y, l2, **shape):
    """The loss, the gradient with the l2 term of the matrices, and its norm."""
    value, grad = jax.value_and_grad(loss)(p, x, y, **shape)
    grad = {name: g + l2 * p[name] if name.startswith("W") else g for name, g in grad.items()}
    return value, grad, jnp.sqrt(sum(jnp.sum(g * g) for g in grad.values()))


def step(p, m, v, t, hp, x, y, train_steps=1e9, **shape):
    """The parameters and moments of one model after one step of Adam."""
    _, grad, norm = gradient(p, x, y, hp["l2"], **shape)
    scale = jnp.minimum(1.0, hp["clip"] / norm)
    m = jax.tree.map(lambda m, g: hp["momentum"] * m + (1 - hp["momentum"]) * scale * g, m, grad)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * (scale * g) ** 2, v, grad)
    rate = hp["lr"] * hp["decay"] ** (t / train_steps) / (1 - hp["momentum"] ** (t + 1))
    v_scale = 1 / (1 - BETA2 ** (t + 1))
    p = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v * v_scale) + EPSILON), p, m, v)
    return p, m, v


def initial(architecture, n_layers, n_in, n_units, models, n_out=1, seed=0):
    """Block -> array with a leading model axis: matrices are normal / sqrt(inputs), others zero."""
    draw = np.random.default_rng(seed)
    shapes = blocks(architecture, n_layers, n_units, n_in, n_out)
    scales = {
        name: 1 / np.sqrt(shape[-1]) if name.startswith("W") else 0.0
        for name, shape in shapes.items()
    }
    return {
        name: np.float32(scales[name] * draw.normal(size=(models, *shape)))
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


def stepper(study, models=8):
    """A function of n that trains `models` networks of a study's shape for n steps, all at once;
    its attribute `slots` says how many.

    Each model has data of its own for the perceptron task; all read the same sequences.
    """
    task = study.task
    p = jax.tree.map(
        jnp.asarray,
        initial(study.architecture, study.n_layers, task.n_in, study.n_units, models, task.n_out),
    )
    state = [p, jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p), 0]
    learning = usual() | {"lr": STILL}
    hp = {name: jnp.full(models, value, jnp.float32) for name, value in learning.items()}
    if own := task.input == "bits":
        batches = [batch.of(task) for _ in range(models)]
        x, y = (
            jnp.asarray(np.stack(parts))
            for parts in zip(*((x_TxBxI[0], y_B) for x_TxBxI, y_B in batches))
        )
    else:
        x, y = (jnp.asarray(tensor.numpy()) for tensor in batch.of(task))

    def model_step(p, m, v, t, hp, x, y):
        return step(
            p,
            m,
            v,
            t,
            hp,
            x,
            y,
            architecture=study.architecture,
            n_layers=study.n_layers,
            unroll=task.steps,
        )

    data = 0 if own else None
    together = jax.jit(
        jax.vmap(model_step, in_axes=(0, 0, 0, None, 0, data, data)), donate_argnums=(0, 1, 2)
    )

    def run(n):
        for _ in range(n):
            state[:3] = together(*state[:3], float(state[3]), hp, x, y)
            state[3] += 1
        jax.block_until_ready(state[0])

    return Stepper(run, models)
