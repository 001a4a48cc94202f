"""JAX's side: THREADS FORM WORK …; FORM is `scan` (`jit` of a `lax.scan` over steps, or of one step of optax), or `vmap` (32 models with rates of their own,
vectorized; the time is that of one model's step)."""

import os, sys

threads = int(sys.argv[1])
# XLA takes as many threads as it may use processors.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
os.environ["JAX_PLATFORMS"] = "cpu"
import jax
import jax.numpy as jnp

from side import SIZES, none, serve, shapes, timed

form, what, *options = sys.argv[2:]
MODELS = 32 if form == "vmap" else 1


def dense(key, sizes):
    keys = jax.random.split(key, len(sizes))
    return [(jax.random.normal(k, (i, o)) * i ** -0.5, jnp.zeros(o)) for k, i, o in zip(keys, sizes, sizes[1:])]


def forward(w, x, norms=None):
    """The outputs, and the running statistics of batch norm."""
    seen = []
    for l, (a, b) in enumerate(w):
        x = x @ a + b
        if l + 1 < len(w):
            if norms:
                gamma, beta, mean, var = norms[l]
                m, v = x.mean(0), x.var(0)
                x = (x - m) * jax.lax.rsqrt(v + 1e-5) * gamma + beta
                seen.append(jax.lax.stop_gradient((0.9 * mean + 0.1 * m, 0.9 * var + 0.1 * v)))
            x = jax.nn.relu(x)
    return x, seen


def cross_entropy(o, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(o), y[:, None], 1).mean()


def repeated(one, state, steps):
    """Runs of `steps` steps from where the last one ended."""
    run = jax.jit(lambda state: jax.lax.scan(one, state, None, length=steps))
    hold = [state]

    def work():
        hold[0], losses = run(hold[0])
        losses.block_until_ready()
    return lambda: timed(work) / steps / MODELS


def step():
    name, batch = options[0], int(options[1])
    if name not in ("mlp", "f1") or form == "vmap":
        none("convolutions are left out")
    sizes = [784, *[512] * (2 if name == "mlp" else 5), 10]
    x, y = jax.random.uniform(jax.random.key(1), (batch, 784)), jnp.arange(batch) % 10
    w = dense(jax.random.key(0), sizes)
    norms = [(jnp.ones(o), jnp.zeros(o), jnp.zeros(o), jnp.ones(o)) for o in sizes[1:-1]] if name == "f1" else []

    def loss(trained, norms):
        w, scales = trained
        o, seen = forward(w, x, [(*s, *n[2:]) for s, n in zip(scales, norms)])
        return cross_entropy(o, y), seen

    def one(state, _):
        trained, velocity, norms = state
        (value, seen), g = jax.value_and_grad(loss, has_aux=True)(trained, norms)
        velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, g)
        trained = jax.tree.map(lambda w, v: w - 1e-3 * v, trained, velocity)
        return (trained, velocity, [(*n[:2], *s) for n, s in zip(norms, seen)]), value
    trained = (w, [n[:2] for n in norms])
    return repeated(one, (trained, jax.tree.map(jnp.zeros_like, trained), norms), max(1, 512 // batch))


def train():
    data, model, batch = options[0], options[1], int(options[2])
    n, features, classes = SIZES[data]
    hidden = [int(w) for w in model.partition(":")[2].split(",") if w]
    x, y = jax.random.normal(jax.random.key(1), (n, features)), jnp.arange(n) % classes
    logistic = model == "logistic"
    signs = 2.0 * y - 1.0
    w = dense(jax.random.key(0), [features, *hidden, 1 if logistic else classes])
    per_epoch = n // batch
    epochs = max(1, 2000 // per_epoch)

    def loss(w, rows):
        o, _ = forward(w, x[rows])
        return jax.nn.softplus(-signs[rows] * o[:, 0]).mean() if logistic else cross_entropy(o, y[rows])

    def epoch(w, order, rate):
        def one(w, rows):
            value, g = jax.value_and_grad(loss)(w, rows)
            return jax.tree.map(lambda w, g: w - rate * g, w, g), value
        return jax.lax.scan(one, w, order)

    def one(state, _):
        w, key, rate = state
        key, sub = jax.random.split(key)
        order = jax.random.permutation(sub, n)[:per_epoch * batch].reshape(-1, batch)
        w, losses = epoch(w, order, rate) if MODELS == 1 else jax.vmap(epoch, (0, None, 0))(w, order, rate)
        return (w, key, rate), losses
    rate = jnp.float32(0.01)
    if MODELS > 1:
        w, rate = jax.tree.map(lambda w: jnp.stack([w] * MODELS), w), jnp.geomspace(1e-3, 1.0, MODELS)
    unit = repeated(one, (w, jax.random.key(2), rate), epochs)
    return lambda: unit() / per_epoch


def optimizer():
    import optax
    name, _, side = options[0].partition(":")
    rules = {"momentum": lambda r: optax.sgd(r, 0.9), "muon": lambda r: optax.contrib.muon(r)}
    rule = rules.get(name) or getattr(optax, name, None) or none(f"optax has no {name}")
    rule = rule(1e-4)
    keys = jax.random.split(jax.random.key(0), len(shapes(side)))
    w, g = ([jax.random.uniform(k, s, minval=-0.5, maxval=0.5) for k, s in zip(keys, shapes(side))] for _ in range(2))

    def one(w, state, g):
        u, state = rule.update(g, state, w)
        return optax.apply_updates(w, u), state
    one = jax.jit(one, donate_argnums=(0, 1))
    hold = [w, rule.init(w)]

    def work():
        hold[:] = one(*hold, g)
        jax.block_until_ready(hold)
    return lambda: timed(work)


works = {"step": step, "train": train, "optimizer": optimizer}
serve(works[what]() if what in works else none(f"no work {what}"))
