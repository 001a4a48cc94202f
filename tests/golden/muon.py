"""Golden trajectories of Muon: PyTorch, timm, optax, Keras and pytorch_optimizer with given gradients, in f64.

    python -m venv venv && venv/bin/pip install torch torchvision timm optax jax keras numpy safetensors pytorch_optimizer
    venv/bin/python tests/golden/muon.py

writes crates/optim/tests/golden/muon-input.safetensors and muon-expected.safetensors, in the format of optim.py.
Each case is also computed by one NumPy rule (`muon`) from the options of its preset (PRESETS) and must agree to 1e-10 of the largest weight. That rule
orthogonalizes by the singular values, not by the matrix iteration of the origins.

Matrices are stored as [inputs, outputs], as Burn's `Linear` has them. PyTorch's and timm's are [outputs, inputs], so they are transposed on the way in
and out; Keras's and optax's are [inputs, outputs] themselves. Tensors of a higher rank are [outputs, inputs, ...]; their matrix is [outputs, rest].
PyTorch's Muon refuses them, Keras's and optax's leave them to Adam by default: "kernels flattened" tells that the matrix was given to it.

PyTorch, timm and pytorch_optimizer orthogonalize in bf16, Keras takes the norm of the matrix in f32: in f64 here, as the names of the origins say.
"""

import importlib.metadata
import os
import re
from unittest import mock

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax
import pytorch_optimizer.optimizer.muon.base as po_base
import timm
import timm.optim.muon
import torch
from optax.contrib import MuonDimensionNumbers
from pytorch_optimizer import Muon as PoMuon

from modern import kerased
from optim import OUT, VECTORS, bind, no_decay_for_vectors, norm, optaxed, toml_value, torched, transcribed, write

STEPS = 29


# Input: a rate from 0, which goes up and down at every step; norms of the momentum and gradients of a fallback near the sizes of eps.
def make_inputs():
    rng = np.random.default_rng(20241008)
    t = np.arange(STEPS)
    rates = np.where(t < 5, 0.01 * t, 0.05 * (1 - t / (STEPS + 10)) ** 2) * np.where(t % 2 == 0, 1.0, 0.6)
    assert rates[0] == 0 and rates.max() <= 0.05 and (np.diff(rates) != 0).all()
    params = {
        "first.bias": (rng.normal(size=6), np.array([1.0, 1.0, 1e-3, 1e-3, 1e-6, 1e-6])),
        "wide.weight": (rng.normal(size=(4, 9)), 1.0),
        "tall.weight": (rng.normal(size=(9, 4)), 1e-3),
        "square.weight": (rng.normal(size=(5, 5)), 1e-6),
        "zero.weight": (np.zeros((4, 6)), 1.0),
        "late.weight": (rng.normal(size=(5, 4)), 3e-8),  # its first five gradients are 0
        "conv.weight": (rng.normal(size=(9, 2, 2, 1)), 5.0),  # sqrt(9 / 4) off the matrix, sqrt(2 / 1) off the kernel
        "rank3.weight": (0.1 * rng.normal(size=(4, 2, 3)), 0.1),
    }
    init = {k: w for k, (w, _) in params.items()}
    grads = {k: np.stack([s * (rng.normal(size=w.shape) + 0.5 * np.sin(0.3 * u)) for u in t]) for k, (w, s) in params.items()}
    for g in grads.values():
        g[17] = 0.0
    grads["late.weight"][:5] = 0.0
    return rates, init, grads


def laid(run, outputs_first=True, flat=False):
    """`run` with matrices as the origin has them; with `flat`, tensors of a higher rank are given as matrices, too."""
    turned = lambda w: (w.ndim == 2) == outputs_first

    def there(w):
        if w.ndim < 2 or w.ndim > 2 and not flat:
            return w
        matrix = w.reshape(len(w), -1)
        return matrix.T.copy() if turned(w) else matrix

    def back(x, w):
        return x.reshape(w.shape) if there(w) is w or not turned(w) else x.T.reshape(w.shape)

    def around(rates, init, grads):
        out = run(rates, {k: there(w) for k, w in init.items()}, {k: np.stack([there(x) for x in g]) for k, g in grads.items()})
        return {k: [back(x, init[k]) for x in steps] for k, steps in out.items()}

    return around


# PyTorch: Muon for the matrices, AdamW for the rest.
class Both:
    def __init__(self, *optimizers):
        self.optimizers = optimizers
        self.param_groups = [group for o in optimizers for group in o.param_groups]

    def step(self):
        for o in self.optimizers:
            o.step()


def torch_muon(flat=False, decay_of_rest=0.01, **options):
    def make(params):
        matrices, rest = ([p for p in params if (p.ndim == 2) == matrix] for matrix in (True, False))
        return Both(torch.optim.Muon(matrices, **options), torch.optim.AdamW(rest, weight_decay=decay_of_rest))

    run = laid(torched(make), flat=flat)

    def in_f64(*data):
        with mock.patch.object(torch, "bfloat16", torch.float64):
            return run(*data)

    return in_f64


# timm.
def timm_muon(groups=None, **options):
    newton_schulz = timm.optim.muon.zeropower_via_newtonschulz
    run = laid(torched(lambda p: timm.optim.Muon(p, **options), groups))

    def in_f64(*data):
        with mock.patch.object(timm.optim.muon, "zeropower_via_newtonschulz", lambda *a, **k: newton_schulz(*a, **k, dtype=torch.float64)):
            return run(*data)

    return in_f64


# pytorch_optimizer, with the rates of its two groups in their default ratio.
class Po(PoMuon):
    def step(self):
        for group in self.param_groups:
            group["lr"] *= 1.0 if group["use_muon"] else 3e-4 / 2e-2
        super().step()


def po_muon(**options):
    newton_schulz = po_base.zero_power_via_newton_schulz_5
    run = laid(torched(lambda groups: Po(groups, **options), lambda _, w: {"use_muon": w.ndim > 1}))

    def in_f64(*data):
        with mock.patch.object(po_base, "zero_power_via_newton_schulz_5", lambda *a, **k: newton_schulz(*a, **k, dtype=torch.float64)):
            return run(*data)

    return in_f64


# optax: by its dimension numbers it takes kernels as [outputs, rest], and by default it leaves them to Adam.
def optax_muon(flat=False, **options):
    def axes(w):
        return MuonDimensionNumbers() if w.ndim == 2 else MuonDimensionNumbers(tuple(range(1, w.ndim)), 0) if w.ndim > 2 else None

    dims = (lambda params: jax.tree.map(axes, params)) if flat else None

    def make(lr):
        tx = optax.contrib.muon(lr, muon_weight_dimension_numbers=dims, **options)
        return optax.GradientTransformation(tx.init, jax.jit(tx.update))

    return optaxed(make)


# Keras.
def keras_muon(flat=False, **options):
    """Its AdamW adds eps to sqrt(v) before v's correction: the fallback `adamw-raw-eps`."""
    run = laid(kerased(lambda: keras.optimizers.Muon(**options)), outputs_first=False, flat=flat)

    def in_f64(rates, init, grads):
        with mock.patch("keras.src.backend.jax.linalg.norm", jnp.linalg.norm):
            return run(rates, init, grads)

    return in_f64


# Origins that cannot be installed, from their text. A rule as in optim.py, with matrices as [outputs, inputs].
def newton_schulz(x, steps=5, eps=1e-7, floor=False):
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (max(norm(x), eps) if floor else norm(x) + eps)
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x


def keller(
    w, g, lr, s, _, beta=0.95, nesterov=True, decay=0.0, aux_decay=0.0, aux_rate=3e-4 / 0.02, off="matrix", steps=5, eps=1e-7, summed=False, floor=False,
):
    """`SingleDeviceMuonWithAuxAdam` of KellerJordan/Muon, muon.py, with two changes: the scale of kernels is off the flattened matrix unless `off` is
    "kernel", as it has it, and a tensor of rank 3 is flattened, where it takes a batch of matrices. Its Adam has a rate of its own, 3e-4 against 0.02."""
    if w.ndim < 2:
        lr = lr * aux_rate
        s["buf1"] = s.get("buf1", 0.0) * 0.9 + g * (1 - 0.9)
        s["buf2"] = s.get("buf2", 0.0) * 0.95 + np.square(g) * (1 - 0.95)
        update = s["buf1"] / (1 - 0.9 ** s["t"]) / (np.sqrt(s["buf2"] / (1 - 0.95 ** s["t"])) + 1e-10)
        return w * (1 - lr * aux_decay) - lr * update
    share = 1.0 if summed else 1 - beta
    s["buf"] = beta * s.get("buf", 0.0) + share * g
    update = (share * g + beta * s["buf"] if nesterov else s["buf"]).reshape(len(w), -1)
    rows, columns = w.shape[-2:] if off == "kernel" else update.shape
    update = newton_schulz(update, steps, eps, floor) * max(1, rows / columns) ** 0.5
    return w * (1 - lr * decay) - lr * update.reshape(w.shape)


def moonlight(w, g, lr, s, _, beta=0.95, nesterov=True, decay=0.1, steps=5):
    """`Muon` of MoonshotAI/Moonlight, examples/toy_train.py, with one change: kernels are flattened, where it refuses them."""
    if w.ndim < 2:
        s["moment1"] = 0.9 * s.get("moment1", 0.0) + (1 - 0.9) * g
        s["moment2"] = 0.95 * s.get("moment2", 0.0) + (1 - 0.95) * np.square(g)
        scale = (1 - 0.9 ** s["t"]) / (1 - 0.95 ** s["t"]) ** 0.5
        return w * (1 - lr * decay) - lr / scale * s["moment1"] / (1e-8 + np.sqrt(s["moment2"]))
    s["buf"] = beta * s.get("buf", 0.0) + g
    u = newton_schulz((g + beta * s["buf"] if nesterov else s["buf"]).reshape(len(w), -1), steps)
    return w * (1 - lr * decay) - lr * 0.2 * np.sqrt(max(u.shape)) * u.reshape(w.shape)


def airbench(w, g, lr, s, _, beta=0.6, nesterov=True, decay=0.004 / 0.053, aux_rate=0.053 / 0.24, aux_beta=0.85, fixed_norm=True):
    """`Muon` of KellerJordan/cifar10-airbench, airbench94_muon.py, and PyTorch's SGD for the rest, as that program calls them for kernels and biases, with
    one change: weights of norm 0 stay, where it divides 0 by 0."""
    if w.ndim < 2:
        lr, g = lr * aux_rate, g + decay * w
        s["buf"] = aux_beta * s.get("buf", 0.0) + g
        return w - lr * (g + aux_beta * s["buf"])
    s["buf"] = beta * s.get("buf", 0.0) + g
    g = g + beta * s["buf"] if nesterov else s["buf"]
    w = w * (len(w) ** 0.5 / norm(w) if fixed_norm and norm(w) > 0 else 1.0)
    return w - lr * newton_schulz(g.reshape(len(g), -1), steps=3).reshape(w.shape)


# What the options mean, for the check.
COEFFICIENTS = {
    "quintic": [(3.4445, -4.7750, 2.0315)],
    "tuned": [
        (4.0848, -6.8946, 2.9270), (3.9505, -6.3029, 2.6377), (3.7418, -5.5913, 2.3037), (2.8769, -3.1427, 1.2046), (2.8366, -3.0525, 1.2012),
    ],
}


def adam(w, g, lr, s, fallback, beta1, beta2, eps):
    t = s["t"]
    s["m"] = beta1 * s.get("m", 0.0) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0.0) + (1 - beta2) * g * g
    if fallback in ("adamw", "adamw-raw-eps"):
        u = s["m"] / (1 - beta1**t)
    elif fallback == "nadamw":
        u = beta1 * s["m"] / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1**t)
    root = np.sqrt(1 - beta2**t)
    return w - lr * u / (np.sqrt(s["v"]) / root + (eps / root if fallback == "adamw-raw-eps" else eps))


def muon(
    w, g, lr, s, name, momentum, nesterov, form, steps, coefficients, eps, eps_place, scale, kernels, fixed_norm, weight_decay, fallback, fallback_beta1,
    fallback_beta2, fallback_eps, fallback_rate, fallback_weight_decay, exclude_from_orthogonalization=(), exclude_from_weight_decay=(),
):
    excluded = lambda patterns: w.ndim < 2 if patterns == VECTORS else any(re.search(p, name) for p in patterns)
    left = w.ndim < 2 or excluded(exclude_from_orthogonalization)
    lr = lr * fallback_rate if left else lr
    decay = fallback_weight_decay if left and fallback_weight_decay is not None else weight_decay
    decay = 0.0 if excluded(exclude_from_weight_decay) else decay
    if left and fallback == "nesterov":
        g = g + decay * w
        s["m"] = fallback_beta1 * s.get("m", 0.0) + g
        return w - lr * (g + fallback_beta1 * s["m"])
    w = w * (1 - lr * decay)
    if left:
        return adam(w, g, lr, s, fallback, fallback_beta1, fallback_beta2, fallback_eps)

    t, share = s["t"], 1.0 if form == "sum" else 1 - momentum
    s["m"] = m = momentum * s.get("m", 0.0) + share * g
    if form == "corrected":
        m, g = m / (1 - momentum ** (t + 1 if nesterov else t)), g / (1 - momentum**t)
    u = share * g + momentum * m if nesterov else m

    places = int(np.prod(w.shape[2:])) if kernels == "batched" and w.ndim > 2 else 1
    if places > 1:
        matrices = u.reshape(*u.shape[:2], -1).transpose(2, 0, 1)
    else:
        matrices = [u.T if u.ndim == 2 else u.reshape(len(u), -1)]  # [outputs, inputs]
    x = np.stack([orthogonal(matrix, steps, coefficients, eps, eps_place) for matrix in matrices])

    _, outputs, inputs = x.shape
    rows, columns = w.shape[-2:] if w.ndim == 4 else x.shape[1:]
    x = x * {
        "aspect": np.sqrt(max(1, outputs / inputs)),
        "kernel": np.sqrt(max(1, rows / columns)),
        "rms": 0.2 * np.sqrt(max(outputs, inputs)),
        "spectral": np.sqrt(outputs / inputs),
        "none": 1.0,
    }[scale] / np.sqrt(places)
    if fixed_norm and norm(w) > 0:
        w = w * np.sqrt(w.shape[-1] if w.ndim == 2 else len(w)) / norm(w)
    return w - lr * (x[0].T if w.ndim == 2 else x.transpose(1, 2, 0).reshape(w.shape))


def orthogonal(matrix, steps, coefficients, eps, eps_place):
    x = matrix / (norm(matrix) + eps if eps_place == "added" else max(norm(matrix), eps))
    left_vectors, values, right_vectors = np.linalg.svd(x, full_matrices=False)
    triples = COEFFICIENTS[coefficients]
    for i in range(steps):
        a, b, c = triples[min(i, len(triples) - 1)]
        values = a * values + b * values**3 + c * values**5
    return left_vectors * values @ right_vectors


KELLER = {
    "momentum": 0.95, "nesterov": True, "form": "average", "steps": 5, "coefficients": "quintic", "eps": 1e-7, "eps_place": "added", "scale": "aspect",
    "kernels": "flattened", "fixed_norm": False, "weight_decay": 0.0, "fallback": "adamw", "fallback_beta1": 0.9, "fallback_beta2": 0.95, "fallback_eps": 1e-10, "fallback_rate": 0.015,
    "fallback_weight_decay": None,
}
SAME_RATE = KELLER | {"fallback_rate": 1.0, "fallback_eps": 1e-8}
PRESETS = {
    "keller": KELLER,
    "torch": SAME_RATE | {"eps_place": "floor", "weight_decay": 0.1, "fallback_beta2": 0.999, "fallback_weight_decay": 0.01},
    "moonlight": SAME_RATE | {"form": "sum", "scale": "rms", "weight_decay": 0.1, "fallback": "adamw-raw-eps"},
    "optax": SAME_RATE | {"form": "corrected", "eps": 1e-8, "fallback": "nadamw", "fallback_beta2": 0.999, "fallback_weight_decay": 0.0},
    "timm": SAME_RATE | {"nesterov": False, "coefficients": "tuned", "eps_place": "floor", "scale": "rms", "fallback_eps": 1e-7},
    "keras": SAME_RATE | {
        "form": "sum", "scale": "rms", "weight_decay": 0.004, "fallback": "adamw-raw-eps", "fallback_beta2": 0.999, "fallback_eps": 1e-7, "fallback_weight_decay": 0.004,
    },
    "po": KELLER | {"eps_place": "floor", "fallback_weight_decay": 0.0},
    "airbench": KELLER | {
        "momentum": 0.6, "form": "sum", "steps": 3, "scale": "none", "fixed_norm": True, "fallback": "nesterov", "fallback_beta1": 0.85,
        "fallback_rate": 0.053 / 0.24, "fallback_weight_decay": 0.004 / 0.053,
    },
}


def stated(preset, options):
    return transcribed(bind(muon, **(PRESETS[preset] | options)))


KERNELS = {"exclude_from_orthogonalization": ["^conv", "rank3"]}
TORCH, TIMM, KERAS = "torch (Newton-Schulz in f64)", "timm (Newton-Schulz in f64)", "keras (norm in f64)"
PO = "pytorch_optimizer (Newton-Schulz in f64)"
FLAT_TORCH = "torch (Newton-Schulz in f64, kernels flattened)"


def left_to_adam(name, w):
    return {"use_fallback": True} if name.startswith("wide") or w.ndim == 3 else {}


def no_nesterov_for_vectors(_, w):
    """timm's fallback is NAdamW with Nesterov, with a correction as in its `NAdamW`: a group of its own has AdamW."""
    return {"nesterov": False} if w.ndim <= 1 else {}


def written(rule, **options):
    return laid(transcribed(bind(rule, **options)))


# (preset, options, origin, reference)
CASES = [
    ("keller", {}, "transcription", written(keller)),
    ("keller", {"scale": "kernel"}, "transcription", written(keller, off="kernel")),
    ("keller", {"weight_decay": 0.1, "fallback_weight_decay": 0.5, "fallback_rate": 0.3, "momentum": 0.9, "nesterov": False, "steps": 3}, "transcription",
     written(keller, decay=0.1, aux_decay=0.5, aux_rate=0.3, beta=0.9, nesterov=False, steps=3)),
    ("keller", {"form": "sum", "eps": 1e-6, "eps_place": "floor"}, "transcription", written(keller, summed=True, eps=1e-6, floor=True)),
    ("torch", {}, FLAT_TORCH, torch_muon(flat=True)),
    ("torch", KERNELS, TORCH, torch_muon()),
    ("torch", KERNELS | {"scale": "rms", "weight_decay": 0.0, "fallback_weight_decay": 0.1}, TORCH,
     torch_muon(adjust_lr_fn="match_rms_adamw", weight_decay=0.0, decay_of_rest=0.1)),
    ("torch", {"scale": "spectral", "nesterov": False, "steps": 3}, FLAT_TORCH,
     torch_muon(flat=True, adjust_lr_fn="spectral_unclamped", nesterov=False, ns_steps=3)),
    ("moonlight", {}, "transcription", written(moonlight)),
    ("moonlight", {"weight_decay": 0.0, "nesterov": False, "momentum": 0.8}, "transcription", written(moonlight, decay=0.0, nesterov=False, beta=0.8)),
    ("optax", {}, "optax (kernels by dimension numbers)", optax_muon(flat=True)),
    ("optax", KERNELS, "optax", optax_muon()),
    ("optax", KERNELS | {"nesterov": False, "fallback": "adamw", "scale": "rms", "coefficients": "tuned", "weight_decay": 0.1}
     | {"fallback_weight_decay": 0.05, "fallback_beta1": 0.8, "fallback_beta2": 0.95, "eps": 1e-6, "fallback_eps": 1e-6}, "optax",
     optax_muon(nesterov=False, consistent_rms=0.2, ns_coeffs="dion", weight_decay=0.1, adam_weight_decay=0.05, adam_b1=0.8, adam_b2=0.95, eps=1e-6)),
    ("timm", {}, TIMM, timm_muon()),
    ("timm", {"steps": 7, "scale": "spectral", "weight_decay": 0.1, "fallback_rate": 0.1, "exclude_from_orthogonalization": ["^wide", "rank3.weight"]},
     TIMM, timm_muon(left_to_adam, ns_steps=7, adjust_lr_fn="rms_to_rms", weight_decay=0.1, fallback_lr_scale=0.1)),
    ("timm", {"steps": 3, "scale": "aspect", "nesterov": True, "fallback_beta1": 0.8, "fallback_beta2": 0.9},
     "timm (Newton-Schulz in f64, AdamW for the rest)",
     timm_muon(no_nesterov_for_vectors, ns_steps=3, adjust_lr_fn="original", nesterov=True, betas=(0.8, 0.9))),
    ("timm", {"coefficients": "quintic", "weight_decay": 0.1, "exclude_from_weight_decay": VECTORS}, TIMM,
     timm_muon(no_decay_for_vectors, ns_coefficients="original", weight_decay=0.1)),
    ("timm", {"kernels": "batched", "weight_decay": 0.1}, TIMM, timm_muon(conv_mode="batched", weight_decay=0.1)),
    ("po", {}, PO, po_muon()),
    ("po", {"scale": "rms", "nesterov": False, "momentum": 0.9, "weight_decay": 0.1, "fallback_weight_decay": 0.2, "fallback_beta1": 0.8}, PO,
     po_muon(use_adjusted_lr=True, nesterov=False, momentum=0.9, weight_decay=0.1, adamw_wd=0.2, adamw_betas=(0.8, 0.95))),
    ("airbench", {}, "transcription of airbench", written(airbench)),
    ("airbench", {"momentum": 0.9, "nesterov": False, "fallback_rate": 1.0, "fixed_norm": False}, "transcription of airbench",
     written(airbench, beta=0.9, nesterov=False, aux_rate=1.0, fixed_norm=False)),
    ("keras", {}, "keras (norm in f64, kernels flattened)", keras_muon(flat=True)),
    ("keras", KERNELS | {"scale": "none", "weight_decay": 0.1, "fallback_weight_decay": 0.2, "momentum": 0.9}, KERAS,
     keras_muon(rms_rate=None, weight_decay=0.1, adam_weight_decay=0.2, momentum=0.9)),
]


def distance(a, b):
    """Of two paths: the largest difference, as a part of the tensor's largest weight."""
    return max(np.abs(np.stack(a[k]) - np.stack(b[k])).max() / np.abs(np.stack(a[k])).max() for k in a)


def main():
    versions = {m.__name__: m.__version__ for m in (torch, timm, optax, jax, keras, np)}
    versions["pytorch_optimizer"] = importlib.metadata.version("pytorch_optimizer")
    rates, init, grads = make_inputs()
    tensors = {"plain:lr": rates}
    for k in init:
        tensors[f"plain:{k}/init"] = init[k]
        tensors[f"plain:{k}/grad"] = grads[k]
    write(OUT / "muon-input.safetensors", tensors, {"versions": versions})

    expected, cases, defaults, shown_options = {}, [], {}, set()
    for i, (preset, options, origin, reference) in enumerate(CASES):
        first = origin.split()[0]
        shown = origin.replace(first, f"{first} {versions[first]}", 1) if first in versions else origin
        cases.append({"optimizer": "muon", "preset": preset, "options": {k: toml_value(v) for k, v in options.items()}, "origin": shown})
        out = reference(rates, init, grads)
        for k in init:
            value = np.stack(out[k])
            assert value.dtype == np.float64 and value.shape == grads[k].shape and np.isfinite(value).all(), (preset, options, k)
            holds_norm = (PRESETS[preset] | options)["fixed_norm"]
            first_stays = holds_norm or (value[0] == init[k]).all()  # the first rate is 0
            assert first_stays and (value[-1] != init[k]).all(), (preset, options, k)
            expected[f"{i}:plain:{k}"] = value
        # The options say what the origin did, and each option does something.
        error = distance(out, stated(preset, options)(rates, init, grads))
        assert error < 1e-10, (preset, options, error)
        if not options:
            defaults[preset] = out
        for k in options:
            effect = distance(out, stated(preset, {o: v for o, v in options.items() if o != k})(rates, init, grads))
            assert effect > 1e-5, (preset, options, k, effect)
            shown_options.add(k)
        print(f"{i:3} {preset} {options} {shown}: error {error:.0e}, effect {distance(defaults[preset], out):.0e}")
    assert set(defaults) == set(PRESETS)
    assert shown_options >= set(KELLER), set(KELLER) - shown_options
    # Each value of a preset has an effect in its default case.
    for preset, values in PRESETS.items():
        other = {"momentum": 0.9, "nesterov": not values["nesterov"], "eps": 1e-9, "fallback_eps": 1e-6, "steps": 4, "weight_decay": 0.05}
        other |= {"form": "sum" if values["form"] != "sum" else "average", "eps_place": "floor" if values["eps_place"] == "added" else "added"}
        other |= {"coefficients": "tuned" if values["coefficients"] == "quintic" else "quintic", "scale": "none", "fallback_beta1": 0.8}
        other |= {"fallback": "adamw" if values["fallback"] == "nadamw" else "nadamw", "fallback_beta2": 0.99, "fallback_rate": 0.5}
        other |= {"fallback_weight_decay": 0.05, "kernels": "batched", "fixed_norm": not values["fixed_norm"]}
        assert set(other) == set(values)
        if preset == "airbench":
            # SGD has no ε and no β₂, and a matrix of fixed norm no decay.
            other |= {"scale": "aspect"}
            other = {k: v for k, v in other.items() if k not in ("fallback_eps", "fallback_beta2", "weight_decay")}
        effects = {k: distance(defaults[preset], stated(preset, {k: v})(rates, init, grads)) for k, v in other.items()}
        assert min(effects.values()) > 1e-5, (preset, effects)
    write(OUT / "muon-expected.safetensors", expected, {"versions": versions, "cases": cases})


if __name__ == "__main__":
    main()
