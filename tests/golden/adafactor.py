"""Golden trajectories of Adafactor: PyTorch, timm and optax with given gradients, in f64.

    python -m venv venv && venv/bin/pip install torch torchvision timm optax jax keras numpy safetensors
    venv/bin/python tests/golden/adafactor.py

writes crates/optim/tests/golden/adafactor-input.safetensors and adafactor-expected.safetensors, in the format of optim.py, and checks each case as
modern.py does. PyTorch's eps is by default that of the dtype; here it is that of f32, whose square f32 still holds. optax computes the averages' decay
rate in f32; here in f64.
"""

import functools
from unittest import mock

import numpy as np
import optax
import optax._src.factorized as factorized
from timm.optim import Adafactor as TimmAdafactor
from torch.optim import Adafactor

from modern import PRESETS, RULES, STEPS, average, record
from optim import MATRICES, VECTORS, no_decay_for_vectors, norm, optaxed, torched

EPS = float(np.finfo(np.float32).eps)


# Input: sides above and below the least one; kernels whose first two, last two and two longest axes differ; gradients from the size of eps to 5.
def make_inputs():
    rng = np.random.default_rng(20180411)
    t = np.arange(STEPS)
    rates = np.where(t < 5, 0.02 * t, 0.5 * (1 - t / (STEPS + 20)) ** 2) * np.where(t % 2 == 0, 1.0, 0.6)
    assert rates[0] == 0 and (np.diff(rates) != 0).all() and (rates > (t + 1.0) ** -0.5).any() and (rates < (t + 1.0) ** -0.5).any()
    params = {
        "first.bias": (rng.normal(size=6), np.array([1.0, 1.0, 1e-3, 1e-3, 1e-6, 1e-7])),
        "wide.weight": (rng.normal(size=(3, 18)), 1.0),
        "tall.weight": (3.0 * rng.normal(size=(9, 4)), 0.3),
        "square.weight": (rng.normal(size=(5, 5)), 1e-3),
        "rows.weight": (1e-2 * rng.normal(size=(4, 6)), np.array([[1.0], [1e-2], [1e-5], [1e-7]])),
        "rank3.weight": (0.1 * rng.normal(size=(3, 4, 2)), 0.001),
        "conv.weight": (rng.normal(size=(5, 4, 3, 2)), 5.0),
        "kernel.weight": (rng.normal(size=(2, 3, 5, 4)), 1.0),
        "zero.weight": (np.zeros((4, 6)), 1.0),
        "late.weight": (rng.normal(size=(4, 3)), 1.0),  # its first five gradients are 0
    }
    init = {k: w for k, (w, _) in params.items()}
    grads = {k: np.stack([s * (rng.normal(size=w.shape) + np.sin(0.2 * u)) for u in t]) for k, (w, s) in params.items()}
    for g in grads.values():
        g[25] = 0.0
    grads["late.weight"][:5] = 0.0
    return {"plain": (rates, init, grads)}


def optax_adafactor(**options):
    def make(lr):
        in_f64 = functools.partial(factorized.scale_by_factored_rms, decay_rate_fn=lambda i, exponent: 1.0 - (i + 1.0) ** -exponent)
        with mock.patch.object(factorized, "scale_by_factored_rms", in_f64):
            return optax.adafactor(lr, dtype_momentum=np.float64, **options)

    return optaxed(make)


# What the options mean.
def axes(shape, factored, least_side):
    fit = lambda pair: min(shape[i] for i in pair) >= least_side
    rank = len(shape)
    if rank < 2:
        return None
    if factored == "first" and rank > 2 and fit((0, 1)):
        return 0, 1
    pair = tuple(sorted(range(rank), key=lambda i: shape[i])[-2:]) if factored == "longest" else (rank - 2, rank - 1)
    return pair if fit(pair) else None


def adafactor(
    w, g, lr, s, _, decay_exponent, eps, eps_place, factored, least_side, scale_parameter, least_scale, cap_rate, clip_threshold, momentum, weight_decay,
    decay,
):
    t, rms = s["t"], lambda x: norm(x) / np.sqrt(x.size)
    beta = 1 - t**-decay_exponent
    square, floor = (g * g + eps, 0.0) if eps_place == "added" else (g * g, eps)
    pair = axes(w.shape, factored, least_side)
    if pair is None:
        v = average(s, "v", beta, square)
    else:
        rows, columns = (average(s, name, beta, square.mean(axis=axis, keepdims=True)) for name, axis in (("r", pair[1]), ("c", pair[0])))
        v = rows * columns / np.maximum(rows.mean(axis=pair[0], keepdims=True), floor)
    u = g / np.sqrt(np.maximum(v, floor**2))
    rate = min(lr, t**-0.5) if cap_rate else lr
    alpha = rate * (max(least_scale, rms(w)) if scale_parameter else 1.0)
    u = alpha * u / max(1.0, rms(u) / clip_threshold)
    if momentum > 0:
        u = average(s, "m", momentum, u)
    return w * (1 - weight_decay * {"rate": lr, "step": alpha, "constant": 1.0}[decay]) - u


RULES["adafactor"] = adafactor
TORCH = {
    "decay_exponent": 0.8, "eps": EPS, "eps_place": "floor", "factored": "last", "least_side": 1, "scale_parameter": True, "least_scale": 1e-3,
    "cap_rate": True, "clip_threshold": 1.0, "momentum": 0.0, "weight_decay": 0.0, "decay": "rate",
}
ADDED = TORCH | {"eps": 1e-30, "eps_place": "added", "cap_rate": False}
PRESETS["adafactor", "torch"] = TORCH
PRESETS["adafactor", "optax"] = ADDED | {"factored": "longest", "least_side": 128, "decay": "constant"}
PRESETS["adafactor", "timm"] = ADDED | {"factored": "first", "least_side": 17, "scale_parameter": False, "decay": "step"}

EXCLUDED = {"exclude_from_weight_decay": VECTORS}
IN_TORCH, IN_OPTAX = "torch (eps of f32)", "optax (decay rate in f64)"
INF = float("inf")


def torch_adafactor(groups=None, eps=(EPS, 1e-3), **options):
    return torched(lambda p: Adafactor(p, eps=eps, **options), groups)


def timm_adafactor(groups=None, **options):
    return torched(lambda p: TimmAdafactor(p, lr=1.0, **options), groups)


# (optimizer, preset, options, origin, reference)
CASES = [
    ("adafactor", *case)
    for case in [
        ("torch", {}, IN_TORCH, torch_adafactor()),
        ("optax", {}, IN_OPTAX, optax_adafactor()),
        ("timm", {}, "timm", timm_adafactor()),
        ("torch", {"eps": 1e-3, "least_scale": 0.1, "decay_exponent": 0.5, "clip_threshold": 1.2}, "torch",
         torch_adafactor(eps=(1e-3, 0.1), beta2_decay=-0.5, d=1.2)),
        ("torch", {"weight_decay": 0.1} | EXCLUDED, IN_TORCH, torch_adafactor(no_decay_for_vectors, weight_decay=0.1)),
        ("optax", {"least_side": 4, "weight_decay": 0.01} | EXCLUDED, IN_OPTAX,
         optax_adafactor(min_dim_size_to_factor=4, weight_decay_rate=0.01, weight_decay_mask=MATRICES)),
        ("optax", {"least_side": 2, "momentum": 0.9, "scale_parameter": False, "clip_threshold": INF, "eps": 1e-6}, IN_OPTAX,
         optax_adafactor(min_dim_size_to_factor=2, momentum=0.9, multiply_by_parameter_scale=False, clipping_threshold=None, eps=1e-6)),
        ("optax", {"decay_exponent": 0.6}, IN_OPTAX, optax_adafactor(factored=False, decay_rate=0.6)),
        ("timm", {"least_side": 4, "weight_decay": 0.1} | EXCLUDED, "timm", timm_adafactor(no_decay_for_vectors, min_dim_size_to_factor=3, weight_decay=0.1)),
        ("timm", {"least_side": 2, "momentum": 0.9, "clip_threshold": 2.0, "weight_decay": 0.05}, "timm",
         timm_adafactor(min_dim_size_to_factor=1, betas=(0.9, 0.0), clip_threshold=2.0, weight_decay=0.05)),
    ]
]

if __name__ == "__main__":
    record("adafactor", make_inputs(), CASES)
