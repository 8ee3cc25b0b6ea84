"""The best known way, to be measured against: the same training step as JAX `vmap` + `jit` + `scan`, many models at once.

Every model has its own learning rate, decay, momentum, clip and l2, as in training; it has it easier in that there is one optimiser (Adam),
one nonlinearity a cell, an input known to be shown at every step, so that its projection is hoisted out of the scan, and batches made
beforehand. Parameters are the blocks of `networks.blocks`, by name. Needs jax: pip install 'rnnkit[bench]'.
"""

import os
import sys

if "jax" not in sys.modules:  # one thread, as for everyone; XLA reads this once, at its start
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1".strip()

import jax
import jax.numpy as jnp
import numpy as np

from rnnkit.networks import blocks

BETA2, EPSILON = 0.999, 1e-8
TYPICAL = dict(lr=1e-3, decay=0.1, momentum=0.9, clip=10.0, l2=1e-7)
sigmoid, tanh, relu = jax.nn.sigmoid, jnp.tanh, jax.nn.relu

# One step of a cell: state (a tuple), what the maps receive from the input and their biases, the input itself, and the recurrent matrix.


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
    g_y, g_h = sigmoid(g_y), sigmoid(g_h)
    return g_y * x + (1 - g_y) * relu(y_in), (g_h * h + (1 - g_h) * tanh(h_in),)  # (15)-(20)


CELLS = {"rnn": rnn, "irnn": irnn, "ugrnn": ugrnn, "gru": gru, "lstm": lstm, "+rnn": intersection}


def loss(p, x_BxI, y_B, architecture, n_layers, unroll):
    """Mean cross-entropy of one model with parameters `p`, its input shown at every step."""
    up = x_BxI @ p["W_in"].T + p["b_in"] if "W_in" in p else x_BxI
    for layer in range(n_layers):
        a, below, Wh, shown = up @ p[f"Wx{layer}"].T + p[f"b{layer}"], up, p[f"Wh{layer}"], layer == 0
        start = tuple(jnp.broadcast_to(h, (len(x_BxI), len(h))) for h in p[f"h{layer}"])

        def body(carry, at_t, a=a, below=below, Wh=Wh, shown=shown, top=layer == n_layers - 1):
            y, state = CELLS[architecture](carry[0], *((a, below) if shown else at_t), Wh)
            return (state, y), None if top else y

        (_, last), up = jax.lax.scan(body, (start, jnp.zeros_like(start[0])), None if shown else (a, below), length=unroll)
    z_B = (last @ p["W_out"].T + p["b_out"])[:, 0]
    return jnp.mean(jnp.logaddexp(0, z_B) - z_B * y_B)


def gradient(p, x_BxI, y_B, l2, **shape):
    """Loss, gradient with the l2 term of the matrices, and its norm."""
    value, grad = jax.value_and_grad(loss)(p, x_BxI, y_B, **shape)
    grad = {name: g + l2 * p[name] if name.startswith("W") else g for name, g in grad.items()}
    return value, grad, jnp.sqrt(sum(jnp.sum(g * g) for g in grad.values()))


def step(p, m, v, t, hp, x_BxI, y_B, train_steps=1e9, **shape):
    """One step of Adam for one model: its parameters and moments after it."""
    _, grad, norm = gradient(p, x_BxI, y_B, hp["l2"], **shape)
    scale = jnp.minimum(1.0, hp["clip"] / norm)
    m = jax.tree.map(lambda m, g: hp["momentum"] * m + (1 - hp["momentum"]) * scale * g, m, grad)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * (scale * g) ** 2, v, grad)
    rate = hp["lr"] * hp["decay"] ** (t / train_steps) / (1 - hp["momentum"] ** (t + 1))
    v_scale = 1 / (1 - BETA2 ** (t + 1))
    p = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v * v_scale) + EPSILON), p, m, v)
    return p, m, v


def initial(architecture, n_layers, n_in, n_units, models, seed=0):
    """Block -> array with a leading model axis: matrices normal / sqrt(their inputs), the rest zero."""
    draw, shapes = np.random.default_rng(seed), blocks(architecture, n_layers, n_units, n_in, 1)
    scales = {name: 1 / np.sqrt(shape[-1]) if name.startswith("W") else 0.0 for name, shape in shapes.items()}
    return {name: np.float32(scales[name] * draw.normal(size=(models, *shape))) for name, shape in shapes.items()}


def stepper(architecture, n_layers, n_in, n_units, unroll=5, batch=128, models=8):
    """A function of n that trains `models` networks for n steps, all at once; its attribute `slots` says how many."""
    draw = np.random.default_rng(0)
    p = jax.tree.map(jnp.asarray, initial(architecture, n_layers, n_in, n_units, models))
    kept = [p, jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p), 0]
    hp = {name: jnp.full(models, value, jnp.float32) for name, value in TYPICAL.items()}
    x = jnp.asarray(draw.integers(0, 2, (models, batch, n_in)), jnp.float32)
    y = jnp.asarray(draw.integers(0, 2, (models, batch)), jnp.float32)

    def one(p, m, v, t, hp, x, y):
        return step(p, m, v, t, hp, x, y, architecture=architecture, n_layers=n_layers, unroll=unroll)

    together = jax.jit(jax.vmap(one, in_axes=(0, 0, 0, None, 0, 0, 0)), donate_argnums=(0, 1, 2))

    def run(n):
        for _ in range(n):
            kept[:3] = together(*kept[:3], float(kept[3]), hp, x, y)
            kept[3] += 1
        jax.block_until_ready(kept[0])

    run.slots = models
    return run
