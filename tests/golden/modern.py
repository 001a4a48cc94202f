"""Golden trajectories of NAdam, Lion, RMSprop, Adadelta, Adamax, NovoGrad and LANS: PyTorch, timm, optax and Keras with given gradients, in f64.

    python -m venv venv && venv/bin/pip install torch torchvision timm optax jax keras numpy safetensors
    venv/bin/python tests/golden/modern.py

writes crates/optim/tests/golden/modern-input.safetensors and modern-expected.safetensors, in the format of optim.py.
Each case is also computed by one NumPy rule (RULES) from the options of its preset (PRESETS) and must agree to 1e-12 of the largest weight.
That tells apart an origin whose scalars are f32, a preset that is not the origin's default, and an option that means something else.
None of the origins used here has such scalars with jax_enable_x64, torch's default dtype and Keras's floatx set to 64 bits. Without torch's,
its NAdam keeps the product of the momenta in f32, and so does timm's NovoGrad its second moment.
"""

import inspect
import json
import os

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax
import timm
import torch
from timm.optim import Lion, NAdamW, NvNovoGrad, RMSpropTF
from torch.optim import Adadelta, Adamax, NAdam, RMSprop

from optim import MATRICES, OUT, VECTORS, bind, no_decay_for_vectors, norm, optaxed, toml_value, torched, transcribed, write

keras.config.set_floatx("float64")

STEPS = 60


# Input: a rate from 0, which goes up and down at every step; gradients of several sizes, so that the place of a small eps shows.
def make_inputs():
    rng = np.random.default_rng(20190528)
    t = np.arange(STEPS)
    rates = np.where(t < 5, 0.02 * t, 0.1 * (1 - t / (STEPS + 20)) ** 2) * np.where(t % 2 == 0, 1.0, 0.6)
    assert rates[0] == 0 and rates.max() <= 0.1 and (np.diff(rates) != 0).all()
    params = {
        "first.bias": (rng.normal(size=3), 1.0),
        "first.weight": (rng.normal(size=(2, 4)), 1.0),  # wide
        "tall.weight": (3.0 * rng.normal(size=(3, 2)), 0.3),
        "square.weight": (rng.normal(size=(2, 2)), 1.0),
        "rank3.weight": (0.1 * rng.normal(size=(2, 1, 2)), 0.001),
        "conv.weight": (rng.normal(size=(1, 2, 2, 2)), 5.0),
        "zero.weight": (np.zeros((2, 2)), 1.0),
        "late.weight": (rng.normal(size=(2, 2)), 1.0),  # its first five gradients are 0
    }
    init = {k: w for k, (w, _) in params.items()}
    grads = {k: np.stack([s * (rng.normal(size=w.shape) + np.sin(0.2 * u)) for u in t]) for k, (w, s) in params.items()}
    for g in grads.values():
        g[25] = 0.0
    grads["late.weight"][:5] = 0.0
    return {"plain": (rates, init, grads)}


# Keras.
def run_keras(make, rates, init, grads, exclude_vectors=False):
    opt = make()
    params = {k: keras.Variable(w, name=k.replace(".", "_")) for k, w in init.items()}
    if exclude_vectors:
        opt.exclude_from_weight_decay(var_list=[p for p in params.values() if p.ndim <= 1])
    opt.build(list(params.values()))
    out = {k: [] for k in params}
    for t, lr in enumerate(rates):
        opt.learning_rate = float(lr)
        opt.apply([jnp.asarray(grads[k][t]) for k in params], list(params.values()))
        for k, p in params.items():
            out[k].append(np.asarray(p.value))
    return out


def kerased(make, exclude_vectors=False):
    return lambda *data: run_keras(make, *data, exclude_vectors=exclude_vectors)


# Origins that cannot be installed, need a GPU or have f32 scalars, line by line. A rule as in optim.py.
def lion_paper(w, g, lr, s, _, decay=0.0):
    """Algorithm 2 of arXiv 2302.06675; google/automl, lion/lion_pytorch.py."""
    m = s.get("m", np.zeros_like(w))
    w = w * (1 - lr * decay)
    update = m * 0.9 + g * (1 - 0.9)
    s["m"] = m * 0.99 + g * (1 - 0.99)
    return w - lr * np.sign(update)


def novograd_jasper(w, g, lr, s, _, betas=(0.95, 0.0), decay=0.0, averaging=False, amsgrad=False):
    """`Novograd` of NVIDIA/DeepLearningExamples, PyTorch/SpeechRecognition/Jasper/common/optimizers.py."""
    n = np.sum(np.power(g, 2))
    v = s.get("v", 0.0)
    s["v"] = v = n if v == 0 else betas[1] * v + (1 - betas[1]) * n
    if amsgrad:
        s["max"] = v = max(s.get("max", 0.0), v)
    g = g / (np.sqrt(v) + 1e-8)
    if decay != 0:
        g = g + decay * w
    if averaging:
        g = g * (1 - betas[0])
    s["m"] = betas[0] * s.get("m", 0.0) + g
    return w - lr * s["m"]


def novograd_openseq2seq(w, g, lr, s, _, beta2=0.98, decay=0.0, averaging=False):
    """`NovoGrad` of NVIDIA/OpenSeq2Seq, open_seq2seq/optimizers/novograd.py, over TF1's `MomentumOptimizer` (var -= lr * accum).

    As its text states it. In TF1's graph mode `tf.cond` yields a tensor and nothing assigns it to the variable of v, which stays 0 (run with
    tf.compat.v1): what ran is v = ||g||^2 at every step, that is beta2 = 0.
    """
    g_2 = np.sum(np.square(g))
    ema = s.get("ema", 0.0)
    s["ema"] = ema = g_2 if ema == 0.0 else ema * beta2 + g_2 * (1.0 - beta2)
    g = g * (1.0 / np.sqrt(ema + 1e-8))
    if decay > 0.0:
        g = g + decay * w
    if averaging:
        g = g * (1.0 - 0.95)
    s["accum"] = s.get("accum", 0.0) * 0.95 + g
    return w - lr * s["accum"]


def novograd_tfa(w, g, lr, s, _, betas=(0.9, 0.999), decay=0.0, averaging=False, amsgrad=False):
    """TensorFlow Addons 0.23, tensorflow_addons/optimizers/novograd.py, over `ResourceApplyKerasMomentum` (accum = accum * momentum - lr * grad;
    var += accum). Its hyperparameters are f32 even where the variables are f64."""
    iterations = s["t"] - 1
    g_2 = np.sum(np.square(g))
    s["v"] = v = g_2 if iterations == 0 else s["v"] * betas[1] + g_2 * (1 - betas[1])
    if amsgrad:
        s["vhat"] = v = max(s.get("vhat", 0.0), v)
    g = g / (np.sqrt(v) + 1e-7)
    if decay > 0:
        g = g + decay * w
    if averaging and iterations != 0:
        g = g * (1 - betas[0])
    s["m"] = s.get("m", 0.0) * betas[0] - lr * g
    return w + s["m"]


def novograd_apex(w, g, lr, s, _, decay=0.0, inside=False, correct=True, average=True, init_zero=False):
    """`FusedNovoGrad` of NVIDIA/apex: apex/optimizers/fused_novograd.py and csrc/multi_tensor_novograd.cu. It keeps the norm, not its square."""
    b1, b2 = 0.9, 0.999
    n = norm(g)
    blended = s.get("norm", 0.0 if init_zero else n)
    s["norm"] = grad_norm = np.sqrt(b2 * blended**2 + (1 - b2) * n**2)
    c1, c2 = (1 - b1 ** s["t"], np.sqrt(1 - b2 ** s["t"])) if correct else (1.0, 1.0)
    beta3 = 1 - b1 if average else 1.0
    denom = grad_norm / c2 + 1e-8
    if inside:
        g = g / denom + decay * w
        s["m"] = b1 * s.get("m", 0.0) + beta3 * g
        return w - lr * (s["m"] / c1)
    s["m"] = b1 * s.get("m", 0.0) + beta3 * g
    return w - lr * ((s["m"] / c1) / denom + decay * w)


def lans_paper(w, g, lr, s, _, decay=0.01):
    """Algorithm 2 of arXiv 2006.13484, phi the identity; a gradient of norm 0 is left, and a ratio is 1 where one of its norms is 0."""
    n = norm(g)
    g = g / n if n > 0 else g
    s["m"] = m = 0.9 * s.get("m", 0.0) + (1 - 0.9) * g
    s["v"] = v = 0.999 * s.get("v", 0.0) + (1 - 0.999) * g * g
    d = np.sqrt(v / (1 - 0.999 ** s["t"])) + 1e-6
    r = (m / (1 - 0.9 ** s["t"])) / d
    c = g / d
    phi, rn, cn = norm(w), norm(r + decay * w), norm(c + decay * w)
    ratio = lambda x: phi / x if phi > 0 and x > 0 else 1.0
    return w - lr * (0.9 * ratio(rn) * (r + decay * w) + (1 - 0.9) * ratio(cn) * (c + decay * w))


def lans_apex(w, g, lr, s, _, b1=0.9, b2=0.999, decay=0.01, average=True, skip_vectors=False):
    """`FusedLANS` of szhengac/apex (branch lans): apex/optimizers/fused_lans.py and csrc/multi_tensor_lans.cu."""
    decay = 0.0 if skip_vectors and w.ndim <= 1 else decay
    beta3 = 1 - b1 if average else 1.0
    grad_norm = norm(g)
    scaled_grad = g / (grad_norm + 1e-6) if grad_norm != 0 else g
    s["m"] = m = s.get("m", 0.0) * b1 + beta3 * scaled_grad
    s["v"] = v = s.get("v", 0.0) * b2 + (1 - b2) * scaled_grad * scaled_grad
    denom = np.sqrt(v / (1 - b2 ** s["t"])) + 1e-6
    update_m = (m / (1 - b1 ** s["t"])) / denom + decay * w
    update_g = scaled_grad / denom + decay * w
    param_norm, m_norm, g_norm = norm(w), norm(update_m), norm(update_g)
    ratio_m = lr * (param_norm / m_norm) if m_norm != 0 and param_norm != 0 else lr
    ratio_g = lr * (param_norm / g_norm) if g_norm != 0 and param_norm != 0 else lr
    return w - ratio_m * b1 * update_m - ratio_g * beta3 * update_g


# What the options mean: one rule for each optimizer, for the check. L2 is part of g, decoupled decay comes first.
def decayed(w, g, lr, weight_decay, decay):
    return (w, g + weight_decay * w) if decay == "l2" else (w * (1 - lr * weight_decay), g)


def average(s, name, beta, x):
    s[name] = beta * s.get(name, 0.0) + (1 - beta) * x
    return s[name]


def cautious(u, g, caution):
    if not caution:
        return u
    mask = (u * g > 0).astype(float)
    return u * mask / max(mask.mean(), 1e-3)


def nadam(w, g, lr, s, _, beta1, beta2, eps, momentum_decay, correction, weight_decay, decay, caution):
    t = s["t"]
    w, g = decayed(w, g, lr, weight_decay, decay)
    m, v = average(s, "m", beta1, g), average(s, "v", beta2, g * g)
    if correction == "product":
        mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in (t, t + 1))
        s["product"] = product = s.get("product", 1.0) * mu
        u = (1 - mu) * g / (1 - product) + mu_next * m / (1 - product * mu_next)
    elif correction == "next":
        u = beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1**t)
    elif correction == "one":
        u = (beta1 * m + (1 - beta1) * g) / (1 - beta1**t)
    return w - lr * cautious(u, g, caution) / (np.sqrt(v / (1 - beta2**t)) + eps)


def lion(w, g, lr, s, _, beta1, beta2, weight_decay, caution):
    w, g = decayed(w, g, lr, weight_decay, "decoupled")
    u = np.sign(beta1 * s.get("m", 0.0) + (1 - beta1) * g)
    average(s, "m", beta2, g)
    return w - lr * cautious(u, g, caution)


def rmsprop(w, g, lr, s, _, alpha, eps, eps_place, initial_accumulator, momentum, rate, centered, weight_decay, decay):
    w, g = decayed(w, g, lr, weight_decay, decay)
    s["v"] = s.get("v", initial_accumulator)
    v = average(s, "v", alpha, g * g)
    if centered:
        v = v - average(s, "mean", alpha, g) ** 2
    u = g / (np.sqrt(v + eps) if eps_place == "inside" else np.sqrt(v) + eps)
    s["b"] = momentum * s.get("b", 0.0) + (lr * u if rate == "inside" else u)
    return w - (s["b"] if rate == "inside" else lr * s["b"])


def adadelta(w, g, lr, s, _, rho, eps, weight_decay, decay):
    w, g = decayed(w, g, lr, weight_decay, decay)
    v = average(s, "v", rho, g * g)
    u = np.sqrt(s.get("d", 0.0) + eps) / np.sqrt(v + eps) * g
    average(s, "d", rho, u * u)
    return w - lr * u


def adamax(w, g, lr, s, _, beta1, beta2, eps, eps_place, weight_decay, decay):
    w, g = decayed(w, g, lr, weight_decay, decay)
    m = average(s, "m", beta1, g)
    inside, outside = (eps, 0.0) if eps_place == "maximum" else (0.0, eps)
    s["n"] = np.maximum(beta2 * s.get("n", 0.0), np.abs(g) + inside)
    n = s["n"] + outside
    return w - lr / (1 - beta1 ** s["t"]) * m / n


def novograd(w, g, lr, s, _, beta1, beta2, eps, eps_place, first, averaging, rate, decay, amsgrad, form, bias_correction, weight_decay):
    t, n, v = s["t"], np.sum(g * g), s.get("v", 0.0)
    start = (first == "zero" and v == 0) or (first == "step" and t == 1)
    s["v"] = v = n if start else beta2 * v + (1 - beta2) * n
    if amsgrad:
        s["max"] = v = max(s.get("max", 0.0), v)
    c1, c2 = (1 - beta1**t, 1 - beta2**t) if bias_correction else (1.0, 1.0)
    d = np.sqrt(v / c2 + eps) if eps_place == "inside" else np.sqrt(v / c2) + eps
    u = g if form == "mean" else g / d
    if decay == "moment":
        u = u + weight_decay * w
    if averaging == "always" or (averaging == "later" and t > 1):
        u = (1 - beta1) * u
    s["m"] = beta1 * s.get("m", 0.0) + (lr * u if rate == "inside" else u)
    u = s["m"] / c1 / (d if form == "mean" else 1.0)
    step = u if rate == "inside" else lr * u
    return w - step - (lr * weight_decay * w if decay == "decoupled" else 0.0)


def lans(w, g, lr, s, _, beta1, beta2, eps, weight_decay, normalize, grad_averaging):
    beta3, n = 1 - beta1 if grad_averaging else 1.0, norm(g)
    if n > 0:
        g = g / (n + eps if normalize == "eps" else n)
    s["m"] = beta1 * s.get("m", 0.0) + beta3 * g
    d = np.sqrt(average(s, "v", beta2, g * g) / (1 - beta2 ** s["t"])) + eps
    step = 0.0
    for share, x in ((beta1, s["m"] / (1 - beta1 ** s["t"])), (beta3, g)):
        x = x / d + weight_decay * w
        step = step + share * (norm(w) / norm(x) if norm(w) > 0 and norm(x) > 0 else 1.0) * x
    return w - lr * step


RULES = {
    "nadam": nadam, "nadamw": nadam, "lion": lion, "rmsprop": rmsprop, "adadelta": adadelta, "adamax": adamax, "novograd": novograd, "lans": lans,
}
NADAM = {
    "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "momentum_decay": 0.004, "correction": "product", "weight_decay": 0.0, "decay": "l2", "caution": False,
}
NADAMW = NADAM | {"decay": "decoupled"}
LION = {"beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0, "caution": False}
RMSPROP = {
    "alpha": 0.9, "eps": 1e-8, "eps_place": "inside", "initial_accumulator": 0.0, "momentum": 0.0, "rate": "inside", "centered": False,
    "weight_decay": 0.0, "decay": "decoupled",
}
ADADELTA = {"rho": 0.9, "eps": 1e-6, "weight_decay": 0.0, "decay": "l2"}
ADAMAX = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "eps_place": "maximum", "weight_decay": 0.0, "decay": "decoupled"}
NOVOGRAD = {
    "beta1": 0.95, "beta2": 0.98, "eps": 1e-8, "eps_place": "outside", "first": "zero", "averaging": "none", "rate": "outside", "decay": "moment",
    "amsgrad": False, "form": "gradient", "bias_correction": False, "weight_decay": 0.0,
}
LANS = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-6, "weight_decay": 0.01, "normalize": "plain", "grad_averaging": True}
PRESETS = {
    ("nadam", "torch"): NADAM,
    ("nadam", "optax"): NADAMW | {"correction": "next"},
    ("nadam", "keras"): NADAMW | {"momentum_decay": 1.0, "eps": 1e-7},
    ("nadamw", "timm"): NADAMW | {"correction": "one", "weight_decay": 0.01},
    ("nadamw", "optax"): NADAMW | {"correction": "next", "weight_decay": 1e-4},
    ("nadamw", "torch"): NADAMW,
    ("lion", "paper"): LION,
    ("lion", "optax"): LION | {"weight_decay": 1e-3},
    ("lion", "timm"): LION,
    ("rmsprop", "torch"): RMSPROP | {"alpha": 0.99, "eps_place": "outside", "rate": "outside", "decay": "l2"},
    ("rmsprop", "tf"): RMSPROP | {"eps": 1e-10, "initial_accumulator": 1.0, "decay": "l2"},
    ("rmsprop", "optax"): RMSPROP,
    ("rmsprop", "keras"): RMSPROP | {"eps": 1e-7},
    ("adadelta", "torch"): ADADELTA,
    ("adadelta", "optax"): ADADELTA,
    ("adamax", "torch"): ADAMAX | {"decay": "l2"},
    ("adamax", "optax"): ADAMAX,
    ("adamax", "keras"): ADAMAX | {"eps": 1e-7, "eps_place": "outside"},
    ("novograd", "paper"): NOVOGRAD,
    ("novograd", "timm"): NOVOGRAD,
    ("novograd", "jasper"): NOVOGRAD | {"beta2": 0.0},
    ("novograd", "openseq2seq"): NOVOGRAD | {"eps_place": "inside"},
    ("novograd", "tfa"): NOVOGRAD | {"beta1": 0.9, "beta2": 0.999, "eps": 1e-7, "first": "step", "rate": "inside"},
    ("novograd", "optax"): NOVOGRAD | {"beta1": 0.9, "beta2": 0.25, "eps": 1e-6, "first": "step"},
    ("novograd", "apex"): NOVOGRAD | {
        "beta1": 0.9, "beta2": 0.999, "first": "step", "averaging": "always", "decay": "decoupled", "form": "mean", "bias_correction": True,
    },
    ("lans", "paper"): LANS,
    ("lans", "apex"): LANS | {"normalize": "eps"},
}


def stated(optimizer, preset, options):
    options = PRESETS[optimizer, preset] | options
    exclude = options.pop("exclude_from_weight_decay", None)

    def rule(w, g, lr, s, name):
        skip = {"weight_decay": 0.0} if exclude == VECTORS and w.ndim <= 1 else {}
        return RULES[optimizer](w, g, lr, s, name, **(options | skip))

    return transcribed(rule)


K = keras.optimizers
JASPER, OPENSEQ2SEQ, TFA = novograd_jasper, novograd_openseq2seq, novograd_tfa
EXCLUDED = {"exclude_from_weight_decay": VECTORS}

# (optimizer, preset, options, origin, reference)
CASES = [
    ("nadam", "torch", {}, "torch", torched(lambda p: NAdam(p))),
    ("nadam", "optax", {}, "optax", optaxed(lambda lr: optax.nadam(lr))),
    ("nadam", "keras", {}, "keras", kerased(lambda: K.Nadam())),
    ("nadam", "torch", {"weight_decay": 0.05, "beta1": 0.8, "beta2": 0.95, "eps": 1e-4, "momentum_decay": 0.02}, "torch",
     torched(lambda p: NAdam(p, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.05, momentum_decay=0.02))),
    ("nadam", "torch", {"weight_decay": 0.1} | EXCLUDED, "torch", torched(lambda p: NAdam(p, weight_decay=0.1), no_decay_for_vectors)),
    ("nadam", "optax", {"beta1": 0.8, "beta2": 0.95, "eps": 1e-4}, "optax", optaxed(lambda lr: optax.nadam(lr, 0.8, 0.95, 1e-4))),
    ("nadam", "keras", {"weight_decay": 0.1, "decay": "decoupled"} | EXCLUDED, "keras",
     kerased(lambda: K.Nadam(weight_decay=0.1), exclude_vectors=True)),
    ("nadamw", "timm", {}, "timm", torched(lambda p: NAdamW(p))),
    ("nadamw", "optax", {}, "optax", optaxed(lambda lr: optax.nadamw(lr))),
    ("nadamw", "torch", {}, "torch", torched(lambda p: NAdam(p, decoupled_weight_decay=True))),
    ("nadamw", "timm", {"caution": True}, "timm", torched(lambda p: NAdamW(p, caution=True))),
    ("nadamw", "timm", {"weight_decay": 0.1, "beta1": 0.8} | EXCLUDED, "timm",
     torched(lambda p: NAdamW(p, betas=(0.8, 0.999), weight_decay=0.1), no_decay_for_vectors)),
    ("nadamw", "optax", {"weight_decay": 0.1} | EXCLUDED, "optax", optaxed(lambda lr: optax.nadamw(lr, weight_decay=0.1, mask=MATRICES))),
    ("nadamw", "torch", {"weight_decay": 0.1, "momentum_decay": 0.02}, "torch",
     torched(lambda p: NAdam(p, weight_decay=0.1, momentum_decay=0.02, decoupled_weight_decay=True))),
    ("lion", "paper", {}, "transcription", transcribed(lion_paper)),
    ("lion", "optax", {}, "optax", optaxed(lambda lr: optax.lion(lr))),
    ("lion", "timm", {}, "timm", torched(lambda p: Lion(p))),
    ("lion", "paper", {"weight_decay": 0.1}, "transcription", transcribed(bind(lion_paper, decay=0.1))),
    ("lion", "optax", {"weight_decay": 0.1, "beta1": 0.8, "beta2": 0.95} | EXCLUDED, "optax",
     optaxed(lambda lr: optax.lion(lr, 0.8, 0.95, weight_decay=0.1, mask=MATRICES))),
    ("lion", "timm", {"weight_decay": 0.1, "caution": True}, "timm", torched(lambda p: Lion(p, weight_decay=0.1, caution=True))),
    ("rmsprop", "torch", {}, "torch", torched(lambda p: RMSprop(p))),
    ("rmsprop", "tf", {}, "timm", torched(lambda p: RMSpropTF(p))),
    ("rmsprop", "optax", {}, "optax", optaxed(lambda lr: optax.rmsprop(lr))),
    ("rmsprop", "keras", {}, "keras", kerased(lambda: K.RMSprop())),
    ("rmsprop", "torch", {"centered": True, "momentum": 0.9, "weight_decay": 0.05, "alpha": 0.9, "eps": 1e-2}, "torch",
     torched(lambda p: RMSprop(p, alpha=0.9, eps=1e-2, weight_decay=0.05, momentum=0.9, centered=True))),
    ("rmsprop", "torch", {"weight_decay": 0.1} | EXCLUDED, "torch", torched(lambda p: RMSprop(p, weight_decay=0.1), no_decay_for_vectors)),
    ("rmsprop", "tf", {"momentum": 0.9}, "timm", torched(lambda p: RMSpropTF(p, momentum=0.9))),
    ("rmsprop", "tf", {"momentum": 0.9, "rate": "outside", "weight_decay": 0.05}, "timm",
     torched(lambda p: RMSpropTF(p, momentum=0.9, weight_decay=0.05, lr_in_momentum=False))),
    ("rmsprop", "tf", {"centered": True, "eps": 1e-3, "weight_decay": 0.1, "decay": "decoupled"} | EXCLUDED, "timm",
     torched(lambda p: RMSpropTF(p, eps=1e-3, weight_decay=0.1, centered=True, decoupled_decay=True), no_decay_for_vectors)),
    ("rmsprop", "optax", {"momentum": 0.8, "initial_accumulator": 0.5, "eps_place": "outside", "eps": 1e-4}, "optax",
     optaxed(lambda lr: optax.rmsprop(lr, eps=1e-4, initial_scale=0.5, eps_in_sqrt=False, momentum=0.8))),
    ("rmsprop", "optax", {"centered": True, "momentum": 0.9}, "optax", optaxed(lambda lr: optax.rmsprop(lr, centered=True, momentum=0.9))),
    ("rmsprop", "keras", {"centered": True, "momentum": 0.9, "weight_decay": 0.1, "decay": "decoupled"}, "keras",
     kerased(lambda: K.RMSprop(momentum=0.9, centered=True, weight_decay=0.1))),
    ("adadelta", "torch", {}, "torch", torched(lambda p: Adadelta(p))),
    ("adadelta", "optax", {}, "optax", optaxed(lambda lr: optax.adadelta(lr))),
    ("adadelta", "torch", {"rho": 0.8, "eps": 1e-3, "weight_decay": 0.1}, "torch",
     torched(lambda p: Adadelta(p, rho=0.8, eps=1e-3, weight_decay=0.1))),
    ("adadelta", "optax", {"weight_decay": 0.1, "decay": "l2"} | EXCLUDED, "optax",
     optaxed(lambda lr: optax.adadelta(lr, weight_decay=0.1, weight_decay_mask=MATRICES))),
    ("adadelta", "torch", {"rho": 0.95, "eps": 1e-7, "weight_decay": 0.1, "decay": "decoupled"}, "keras",
     kerased(lambda: K.Adadelta(weight_decay=0.1))),
    ("adamax", "torch", {}, "torch", torched(lambda p: Adamax(p))),
    ("adamax", "optax", {}, "optax", optaxed(lambda lr: optax.adamax(lr))),
    ("adamax", "keras", {}, "keras", kerased(lambda: K.Adamax())),
    ("adamax", "torch", {"weight_decay": 0.1, "beta1": 0.8, "beta2": 0.9, "eps": 1e-3}, "torch",
     torched(lambda p: Adamax(p, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1))),
    ("adamax", "torch", {"weight_decay": 0.01} | EXCLUDED, "torch", torched(lambda p: Adamax(p, weight_decay=0.01), no_decay_for_vectors)),
    ("adamax", "optax", {"weight_decay": 0.1, "decay": "decoupled"} | EXCLUDED, "optax",
     optaxed(lambda lr: optax.adamaxw(lr, weight_decay=0.1, mask=MATRICES))),
    ("adamax", "keras", {"eps": 1e-3, "weight_decay": 0.1, "decay": "decoupled"}, "keras",
     kerased(lambda: K.Adamax(epsilon=1e-3, weight_decay=0.1))),
    ("novograd", "paper", {}, "timm", torched(lambda p: NvNovoGrad(p))),
    ("novograd", "timm", {}, "timm", torched(lambda p: NvNovoGrad(p))),
    ("novograd", "jasper", {}, "transcription", transcribed(JASPER)),
    ("novograd", "openseq2seq", {}, "transcription", transcribed(OPENSEQ2SEQ)),
    ("novograd", "tfa", {}, "transcription", transcribed(TFA)),
    ("novograd", "optax", {}, "optax", optaxed(lambda lr: optax.novograd(lr))),
    ("novograd", "apex", {}, "transcription", transcribed(novograd_apex)),
    ("novograd", "timm", {"weight_decay": 0.05, "averaging": "always"}, "timm",
     torched(lambda p: NvNovoGrad(p, weight_decay=0.05, grad_averaging=True))),
    ("novograd", "timm", {"weight_decay": 0.1, "decay": "decoupled"}, "timm",
     torched(lambda p: NvNovoGrad(p, weight_decay=0.1, decoupled_decay=True))),
    ("novograd", "timm", {"amsgrad": True, "beta2": 0.5}, "timm", torched(lambda p: NvNovoGrad(p, betas=(0.95, 0.5), amsgrad=True))),
    ("novograd", "paper", {"weight_decay": 0.1, "eps": 1e-3} | EXCLUDED, "timm",
     torched(lambda p: NvNovoGrad(p, eps=1e-3, weight_decay=0.1), no_decay_for_vectors)),
    ("novograd", "jasper", {"weight_decay": 0.05, "amsgrad": True}, "transcription", transcribed(bind(JASPER, decay=0.05, amsgrad=True))),
    ("novograd", "openseq2seq", {"beta2": 0.0, "weight_decay": 0.05}, "transcription", transcribed(bind(OPENSEQ2SEQ, beta2=0.0, decay=0.05))),
    ("novograd", "tfa", {"weight_decay": 0.05, "averaging": "later"}, "transcription", transcribed(bind(TFA, decay=0.05, averaging=True))),
    ("novograd", "tfa", {"amsgrad": True, "beta1": 0.95, "beta2": 0.5}, "transcription", transcribed(bind(TFA, betas=(0.95, 0.5), amsgrad=True))),
    ("novograd", "optax", {"weight_decay": 0.05, "beta1": 0.8, "beta2": 0.9}, "optax",
     optaxed(lambda lr: optax.novograd(lr, 0.8, 0.9, weight_decay=0.05))),
    ("novograd", "apex", {"weight_decay": 0.1}, "transcription", transcribed(bind(novograd_apex, decay=0.1))),
    ("novograd", "apex", {"weight_decay": 0.05, "form": "gradient", "decay": "moment"}, "transcription",
     transcribed(bind(novograd_apex, decay=0.05, inside=True))),
    ("novograd", "apex", {"weight_decay": 0.05, "form": "gradient", "decay": "moment", "bias_correction": False, "averaging": "none"},
     "transcription", transcribed(bind(novograd_apex, decay=0.05, inside=True, correct=False, average=False))),
    ("novograd", "apex", {"first": "none"}, "transcription", transcribed(bind(novograd_apex, init_zero=True))),
    ("lans", "paper", {}, "transcription", transcribed(lans_paper)),
    ("lans", "apex", {}, "transcription", transcribed(lans_apex)),
    ("lans", "paper", {"weight_decay": 0.0}, "transcription", transcribed(bind(lans_paper, decay=0.0))),
    ("lans", "apex", {"grad_averaging": False, "weight_decay": 0.05}, "transcription", transcribed(bind(lans_apex, decay=0.05, average=False))),
    ("lans", "apex", {"weight_decay": 0.1, "beta1": 0.8, "beta2": 0.95} | EXCLUDED, "transcription",
     transcribed(bind(lans_apex, b1=0.8, b2=0.95, decay=0.1, skip_vectors=True))),
]


def distance(a, b):
    """Of two paths: the largest difference, as a part of the tensor's largest weight."""
    return max(np.abs(np.stack(a[k]) - np.stack(b[k])).max() / np.abs(np.stack(a[k])).max() for k in a)


def record(stem, inputs, cases_of):
    """Runs the cases, checks them, and writes STEM-input.safetensors and STEM-expected.safetensors."""
    versions = {m.__name__: m.__version__ for m in (torch, timm, optax, jax, keras, np)}
    rates, init, grads = inputs["plain"]
    tensors = {"plain:lr": rates}
    for k in init:
        tensors[f"plain:{k}/init"] = init[k]
        tensors[f"plain:{k}/grad"] = grads[k]
    write(OUT / f"{stem}-input.safetensors", tensors, {"versions": versions})

    expected, cases, defaults = {}, [], {}
    for i, (optimizer, preset, options, origin, reference) in enumerate(cases_of):
        first = origin.split()[0]
        shown = origin.replace(first, f"{first} {versions[first]}", 1) if first in versions else origin
        cases.append({"optimizer": optimizer, "preset": preset, "options": {k: toml_value(v) for k, v in options.items()}, "origin": shown})
        out = reference(rates, init, grads)
        for k, steps in out.items():
            value = np.stack(steps)
            assert value.dtype == np.float64 and np.isfinite(value).all(), (optimizer, preset, options, k)
            first_stays = options.get("decay", PRESETS[optimizer, preset].get("decay")) == "constant" or (value[0] == init[k]).all()  # the first rate is 0
            assert first_stays and (value[-1] != init[k]).any(), (optimizer, preset, options, k)
            expected[f"{i}:plain:{k}"] = value
        # The options say what the origin did, and each option does something.
        error = distance(out, stated(optimizer, preset, options)(rates, init, grads))
        assert error < 1e-12, (optimizer, preset, options, error)
        if not options:
            defaults[optimizer, preset] = out
        effect = distance(defaults[optimizer, preset], out)
        for k in options:
            without = stated(optimizer, preset, {o: v for o, v in options.items() if o != k})(rates, init, grads)
            same = k == "decay" and PRESETS[optimizer, preset]["decay"] == options["decay"]
            assert same or distance(out, without) > 1e-5, (optimizer, preset, options, k)
        print(f"{i:3} {optimizer} {preset} {options} {shown}: error {error:.0e}, effect {effect:.0e}")
    presets = {key: preset for key, preset in PRESETS.items() if key[0] in {case[0] for case in cases_of}}
    # Every option of a rule is one of each of its presets.
    assert all(set(inspect.signature(RULES[o]).parameters) - {"w", "g", "lr", "s", "_"} == set(p) for (o, _), p in presets.items())
    assert set(defaults) == set(presets)
    write(OUT / f"{stem}-expected.safetensors", expected, {"versions": versions, "cases": cases})


if __name__ == "__main__":
    record("modern", make_inputs(), CASES)
