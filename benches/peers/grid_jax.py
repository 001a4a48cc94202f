"""The trials of `grid.toml` in JAX, all at once: `vmap` over seeds and rates: THREADS."""

import os, sys

os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(sys.argv[1])])
os.environ["JAX_PLATFORMS"] = "cpu"
import jax
import jax.numpy as jnp

from side import BATCH, EPOCHS, RATES, SEEDS, digits

(x, y), *others = [(jnp.array(x), jnp.array(y)) for x, y in digits()]


def outputs(w, x):
    return jax.nn.relu(x @ w[0] + w[1]) @ w[2] + w[3]


def loss(w, x, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(outputs(w, x)), y[:, None], 1).mean()


def accuracy(w, x, y):
    return (outputs(w, x).argmax(1) == y).mean()


def trial(rate, seed):
    init, order = jax.random.split(jax.random.key(seed))
    a, b = jax.random.split(init)
    w = (jax.random.uniform(a, (64, 128), minval=-1, maxval=1) / 8, jnp.zeros(128), jax.random.uniform(b, (128, 10), minval=-1, maxval=1) / 128 ** 0.5, jnp.zeros(10))

    def step(state, rows):
        w, v = state
        v = jax.tree.map(lambda v, g: 0.9 * v + g, v, jax.grad(loss)(w, x[rows], y[rows]))
        return (jax.tree.map(lambda w, v: w - rate * v, w, v), v), None

    def epoch(state, key):
        state, _ = jax.lax.scan(step, state, jax.random.permutation(key, len(x)).reshape(-1, BATCH))
        return state, accuracy(state[0], *others[0])
    (w, _), curve = jax.lax.scan(epoch, (w, jax.tree.map(jnp.zeros_like, w)), jax.random.split(order, EPOCHS))
    return curve[-1], accuracy(w, *others[1])


rates, seeds = (v.ravel() for v in jnp.meshgrid(jnp.array(RATES), jnp.arange(SEEDS), indexing="ij"))
for row in zip(rates, seeds, *jax.jit(jax.vmap(trial))(rates, seeds)):
    print(*map(float, row))
