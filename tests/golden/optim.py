"""Golden trajectories of the optimizers: what PyTorch, optax and timm do with given gradients, in f64.

    python -m venv venv && venv/bin/pip install torch torchvision timm optax numpy safetensors
    venv/bin/python tests/golden/optim.py

writes crates/optim/tests/golden/input.safetensors and expected.safetensors. The versions that made the committed files stand in their metadata.
Variants whose origin cannot be installed (or needs a GPU) are transcribed in NumPy from the published formula; the place is named with each.
The learning rate changes at every step, which alone tells the rate inside the momentum from the rate outside of it; it starts at 0 and goes above 1.
"""

import json
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import safetensors.numpy
import timm
import torch
from timm.optim import Lamb, Lars

jax.config.update("jax_enable_x64", True)
torch.set_default_dtype(torch.float64)

STEPS = 52
OUT = pathlib.Path(__file__).resolve().parents[2] / "crates" / "optim" / "tests" / "golden"


# Input: three sets of parameters, with the same rates.
def make_inputs():
    rng = np.random.default_rng(20170813)
    t = np.arange(STEPS)
    rates = np.where(t < 5, 0.06 * t, 0.3 * (1 - t / (STEPS + 8)) ** 2)
    rates[20:23] = 1.7
    plain = {
        "first.bias": (rng.normal(size=5), 1.0),
        "first.weight": (rng.normal(size=(3, 4)), 1.0),
        "rank3.weight": (0.1 * rng.normal(size=(2, 3, 2)), 0.03),
        "conv.weight": (rng.normal(size=(2, 1, 2, 2)), 5.0),
        "rank5.weight": (3.0 * rng.normal(size=(1, 2, 1, 2, 2)), 0.5),
        "zero.weight": (np.zeros((2, 3)), 1.0),
        "quiet.weight": (rng.normal(size=(2, 2)), 0.0),
        "late.weight": (np.zeros((2, 2)), 1.0),  # first moves when the rate is above 1
    }
    # Apart, so that clipping by the global norm does not carry 1e-15 to 1e-30, whose square f32 does not hold.
    large = {
        "huge.weight": (1e15 * rng.normal(size=(2, 2)), 1e15),
        "steep.weight": (rng.normal(size=(2, 2)), 1e15),
        "steep.bias": (1e-15 * rng.normal(size=3), 1e15),
    }
    small = {
        "tiny.weight": (1e-15 * rng.normal(size=(2, 2)), 1e-15),
        "flat.weight": (rng.normal(size=(2, 2)), 1e-15),
        "flat.bias": (1e15 * rng.normal(size=3), 1e-15),
    }
    inputs = {}
    for name, params in {"plain": plain, "large": large, "small": small}.items():
        init = {k: w for k, (w, _) in params.items()}
        # A mean that drifts, so that momenta matter; two stretches of zero gradient.
        grads = {k: np.stack([s * (rng.normal(size=w.shape) + np.sin(0.2 * u)) for u in t]) for k, (w, s) in params.items()}
        for g in grads.values():
            g[13:16] = 0.0
        grads[next(iter(grads))][0] = 0.0
        if "late.weight" in grads:
            grads["late.weight"][:21] = 0.0
        inputs[name] = (rates, init, grads)
    return inputs


# PyTorch and timm.
def run_torch(make, rates, init, grads, groups=None):
    """`groups(name, w)` gives the options of that parameter's own group, and `lr_factor`."""
    params = {k: torch.tensor(w, requires_grad=True) for k, w in init.items()}
    if groups is None:
        opt = make(list(params.values()))
    else:
        opt = make([{"params": [p], **groups(k, init[k])} for k, p in params.items()])
    out = {k: [] for k in params}
    for t, lr in enumerate(rates):
        for group in opt.param_groups:
            group["lr"] = float(lr) * group.get("lr_factor", 1.0)
        for k, p in params.items():
            p.grad = torch.tensor(grads[k][t])
        opt.step()
        for k, p in params.items():
            out[k].append(p.detach().numpy().copy())
    return out


def torched(make, groups=None):
    return lambda *data: run_torch(make, *data, groups=groups)


# optax.
def run_optax(make, rates, init, grads):
    table = jnp.asarray(rates)
    tx = make(lambda count: table[count])
    params = {k: jnp.asarray(w) for k, w in init.items()}
    state = tx.init(params)
    out = {k: [] for k in params}
    for t in range(len(rates)):
        updates, state = tx.update({k: jnp.asarray(g[t]) for k, g in grads.items()}, state, params)
        params = optax.apply_updates(params, updates)
        for k, p in params.items():
            out[k].append(np.asarray(p))
    return out


def optaxed(make):
    return lambda *data: run_optax(make, *data)


MATRICES = lambda tree: jax.tree.map(lambda w: w.ndim > 1, tree)


# NumPy transcriptions. A rule takes (w, g, lr, state of this parameter, name) and returns w; `clip` acts on all gradients before.
def transcribed(rule, clip=None):
    def run(rates, init, grads):
        params = {k: w.copy() for k, w in init.items()}
        states = {k: {"t": 0} for k in params}
        out = {k: [] for k in params}
        for t, lr in enumerate(rates):
            step = {k: g[t] for k, g in grads.items()}
            if clip is not None:
                step = clip(step)
            for k in params:
                states[k]["t"] += 1
                params[k] = rule(params[k], step[k], float(lr), states[k], k)
                out[k].append(params[k].copy())
        return out

    return run


def norm(x):
    return float(np.sqrt(np.sum(np.square(x))))


def sgd_decoupled(w, g, lr, s, _):
    return w * (1 - lr * 0.1) - lr * g


def nesterov_look_ahead(w, g, lr, s, _):
    """The lecture's: v = beta v + alpha grad(w - beta v); w = w - v. The given gradient is the one at the shifted weights."""
    s["v"] = 0.9 * s.get("v", 0.0) + lr * g
    return w - s["v"]


def momentum_ema(w, g, lr, s, _):
    """The lecture's: v = beta v + (1 - beta) g; w = w - alpha v."""
    s["v"] = 0.9 * s.get("v", 0.0) + 0.1 * g
    return w - lr * s["v"]


def lars_paper(w, g, lr, s, _):
    """Algorithm 1 of arXiv 1708.03888, with the ratio 1 where a norm is 0."""
    wn, gn = norm(w), norm(g)
    ratio = 0.001 * wn / (gn + 5e-4 * wn) if wn > 0 and gn > 0 else 1.0
    s["v"] = 0.9 * s.get("v", 0.0) + lr * ratio * (g + 5e-4 * w)
    return w - s["v"]


def lars_mlperf(w, g, lr, s, name, nesterov=False, eps=0.0):
    """MLPerf training, image_classification/tensorflow, lars_optimizer.py (that of tf.contrib.opt, with a skip list)."""
    scaled_lr = lr
    if not any(v in name for v in ("batch_normalization", "bias")):
        w_norm, g_norm = norm(w), norm(g)
        trust_ratio = 0.001 * w_norm / (g_norm + 1e-4 * w_norm + eps) if w_norm > 0 and g_norm > 0 else 1.0
        scaled_lr = lr * trust_ratio
        g = g + 1e-4 * w
    # training_ops.apply_momentum(var, mom, 1.0, grad * scaled_lr, momentum, use_nesterov)
    s["mom"] = 0.9 * s.get("mom", 0.0) + scaled_lr * g
    return w - (scaled_lr * g + 0.9 * s["mom"] if nesterov else s["mom"])


def lars_tf_models(w, g, lr, s, name, decay=0.0, nesterov=False, classic=True):
    """tensorflow/models, official/modeling/optimization/lars_optimizer.py, `_resource_apply_dense`."""
    g = g + decay * w
    v = s.get("v", np.zeros_like(w))

    def ratio(x):
        wn, xn = norm(w), norm(x)
        return 0.001 * wn / xn if wn > 0 and xn > 0 else 1.0

    if classic:
        scaled_lr = lr * ratio(g)
        s["v"] = 0.9 * v + scaled_lr * g
        return w - (0.9 * s["v"] + scaled_lr * g if nesterov else s["v"])
    s["v"] = 0.9 * v + g
    update = 0.9 * s["v"] + g if nesterov else s["v"]
    return w - ratio(update) * lr * update


def apex_larc(w, g, lr, s, _, decay=0.0, clip=True, coefficient=0.02):
    """apex/parallel/LARC.py around torch.optim.SGD(momentum=0.9)."""
    wn, gn = norm(w), norm(g)
    if wn != 0 and gn != 0:
        adaptive_lr = coefficient * wn / (gn + wn * decay + 1e-8)
        if clip:
            adaptive_lr = min(adaptive_lr / lr if lr > 0 else math.inf, 1)
        g = (g + decay * w) * adaptive_lr
    s["buf"] = 0.9 * s["buf"] + g if "buf" in s else g.copy()
    return w - lr * s["buf"]


def lars_lecture(w, g, lr, s, _):
    """w = w - eta ||w|| / ||g|| g."""
    wn, gn = norm(w), norm(g)
    return w - lr * (wn / gn if wn > 0 and gn > 0 else 1.0) * g


def moments(g, s, beta3=None):
    s["m"] = 0.9 * s.get("m", 0.0) + (0.1 if beta3 is None else beta3) * g
    s["v"] = 0.999 * s.get("v", 0.0) + 0.001 * g * g
    return s["m"], s["v"], 1 - 0.9 ** s["t"], 1 - 0.999 ** s["t"]


def lamb_paper(w, g, lr, s, _, decay=0.01, eps=1e-6):
    """Algorithm 2 of arXiv 1904.00962, phi the identity, with the ratio 1 where a norm is 0."""
    m, v, c1, c2 = moments(g, s)
    u = (m / c1) / (np.sqrt(v / c2) + eps) + decay * w
    wn, un = norm(w), norm(u)
    return w - lr * (wn / un if wn > 0 and un > 0 else 1.0) * u


def lamb_paper_v3(w, g, lr, s, _, decay=0.01):
    """cybertronai/pytorch-lamb, before its clamp was removed: no correction, weight norm clamped to [0, 10]."""
    m, v, _, _ = moments(g, s)
    u = m / (np.sqrt(v) + 1e-6) + decay * w
    wn, un = min(max(norm(w), 0.0), 10.0), norm(u)
    return w - lr * (wn / un if wn != 0 and un != 0 else 1.0) * u


def apex_lamb(w, g, lr, s, name, decay=0.01, adam_w=True, nvlamb=False, correct=True, average=True, skip=()):
    """apex csrc/multi_tensor_lamb.cu; `clip_apex` is its `clipped_global_grad_norm`."""
    decay = 0.0 if name in skip else decay
    if not adam_w:
        g = g + decay * w
    m, v, c1, c2 = moments(g, s, None if average else 1.0)
    if not correct:
        c1 = c2 = 1.0
    u = (m / c1) / (np.sqrt(v / c2) + 1e-6)
    if adam_w:
        u = u + decay * w
    ratio = lr
    if nvlamb or decay != 0:
        wn, un = norm(w), norm(u)
        ratio = lr * (wn / un) if wn != 0 and un != 0 else lr
    return w - ratio * u


def clip_apex(grads):
    n = math.sqrt(sum(norm(g) ** 2 for g in grads.values()))
    return {k: g / (n if n > 1.0 else 1.0) for k, g in grads.items()}


def normalize(grads):
    n = math.sqrt(sum(norm(g) ** 2 for g in grads.values()))
    return {k: g / n if n > 0 else g for k, g in grads.items()}


def deepspeed_lamb(w, g, lr, s, _, decay=0.0):
    """DeepSpeed csrc/lamb/fused_lamb_cuda_kernel.cu as released up to 0.18: the correction is in the step size, the norms are without it."""
    m, v, c1, c2 = moments(g, s)
    u = m / (np.sqrt(v) + 1e-8) + decay * w
    wn, un = norm(w), norm(u)
    coefficient = min(max(wn / un, 0.01), 10.0) if wn != 0 and un != 0 else 1.0
    return w - lr * math.sqrt(c2) / c1 * coefficient * u


def bind(rule, **options):
    return lambda *args: rule(*args, **options)


def no_decay_for_vectors(_, w):
    return {"weight_decay": 0.0} if w.ndim <= 1 else {}


# Parameter groups: kernels, and then vectors.
GROUPS = [
    {"parameters": "^conv", "lr_factor": 0.1, "weight_decay": 0.2},
    {"parameters": ["vectors", "^conv", "^rank3"], "lr_factor": 3.0, "weight_decay": 0.0},
]


def in_groups(name, w):
    group = 0 if name.startswith("conv") else 1 if w.ndim <= 1 or name.startswith("rank3") else None
    return {} if group is None else {k: v for k, v in GROUPS[group].items() if k != "parameters"}


def in_groups_with(first, **others):
    """`first` for the first group by PyTorch's names, `others` by ours."""
    groups = [GROUPS[0] | others, GROUPS[1]]
    return lambda name, w: in_groups(name, w) | (first if name.startswith("conv") else {}), {"groups": groups}


SGD, ADAM, ADAMW, ADAGRAD = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.Adagrad
VECTORS = "vectors"
SLOWER = in_groups_with({"momentum": 0.5}, momentum=0.5)
SHORTER = in_groups_with({"betas": (0.8, 0.99)}, beta1=0.8, beta2=0.99)

# (optimizer, preset, options, origin, reference)
CASES = [
    ("sgd", "torch", {}, "torch", torched(lambda p: SGD(p, lr=1))),
    ("sgd", "lecture", {}, "torch", torched(lambda p: SGD(p, lr=1))),
    ("sgd", "torch", {"weight_decay": 0.1}, "torch", torched(lambda p: SGD(p, lr=1, weight_decay=0.1))),
    ("sgd", "torch", {"weight_decay": 0.1, "decay": "decoupled"}, "transcription", transcribed(sgd_decoupled)),
    ("sgd", "torch", {"weight_decay": 0.1, "exclude_from_weight_decay": VECTORS}, "torch",
     torched(lambda p: SGD(p, lr=1, weight_decay=0.1), no_decay_for_vectors)),
    ("momentum", "torch", {}, "torch", torched(lambda p: SGD(p, lr=1, momentum=0.9))),
    ("momentum", "torch", {"dampening": 0.3, "weight_decay": 0.01, "momentum": 0.8}, "torch",
     torched(lambda p: SGD(p, lr=1, momentum=0.8, dampening=0.3, weight_decay=0.01))),
    ("momentum", "lecture", {}, "transcription", transcribed(momentum_ema)),
    ("momentum", "lecture", {"momentum": 0.7}, "optax",
     optaxed(lambda lr: optax.chain(optax.ema(0.7, debias=False), optax.scale_by_learning_rate(lr)))),
    ("momentum", "heavy-ball", {}, "optax", optaxed(lambda lr: optax.chain(optax.scale_by_learning_rate(lr), optax.trace(0.9)))),
    ("nesterov", "torch", {}, "torch", torched(lambda p: SGD(p, lr=1, momentum=0.9, nesterov=True))),
    ("nesterov", "torch", {"weight_decay": 0.01}, "torch",
     torched(lambda p: SGD(p, lr=1, momentum=0.9, nesterov=True, weight_decay=0.01))),
    ("nesterov", "lecture", {}, "transcription", transcribed(nesterov_look_ahead)),
    ("adagrad", "torch", {}, "torch", torched(lambda p: ADAGRAD(p))),
    ("adagrad", "torch", {"lr_decay": 0.1, "initial_accumulator": 0.5, "weight_decay": 0.01}, "torch",
     torched(lambda p: ADAGRAD(p, lr_decay=0.1, initial_accumulator_value=0.5, weight_decay=0.01))),
    ("adagrad", "lecture", {}, "optax", optaxed(lambda lr: optax.adagrad(lr, initial_accumulator_value=0.0, eps=1e-8))),
    ("adam", "torch", {}, "torch", torched(lambda p: ADAM(p))),
    ("adam", "lecture", {}, "optax", optaxed(lambda lr: optax.adam(lr))),
    ("adam", "torch", {"weight_decay": 0.02, "beta1": 0.8, "beta2": 0.95, "eps": 1e-4}, "torch",
     torched(lambda p: ADAM(p, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.02))),
    ("adam", "amsgrad", {}, "torch", torched(lambda p: ADAM(p, amsgrad=True))),
    ("adam", "torch", {"weight_decay": 0.05, "decay": "decoupled"}, "torch", torched(lambda p: ADAMW(p, weight_decay=0.05))),
    ("adamw", "torch", {}, "torch", torched(lambda p: ADAMW(p))),
    ("adamw", "torch", {"amsgrad": True}, "torch", torched(lambda p: ADAMW(p, amsgrad=True))),
    ("adamw", "torch", {"weight_decay": 0.1, "exclude_from_weight_decay": VECTORS}, "optax",
     optaxed(lambda lr: optax.adamw(lr, weight_decay=0.1, mask=MATRICES))),
    ("lars", "paper", {}, "transcription", transcribed(lars_paper)),
    ("lars", "mlperf", {}, "transcription", transcribed(lars_mlperf)),
    ("lars", "mlperf", {"nesterov": True, "eps": 1e-5}, "transcription", transcribed(bind(lars_mlperf, nesterov=True, eps=1e-5))),
    ("lars", "tf-models", {}, "transcription", transcribed(lars_tf_models)),
    ("lars", "tf-models", {"weight_decay": 1e-3, "nesterov": True}, "transcription",
     transcribed(bind(lars_tf_models, decay=1e-3, nesterov=True))),
    ("lars", "tf-models", {"weight_decay": 1e-3, "rate": "velocity"}, "transcription",
     transcribed(bind(lars_tf_models, decay=1e-3, classic=False))),
    ("lars", "tf-models", {"rate": "velocity", "nesterov": True}, "transcription",
     transcribed(bind(lars_tf_models, classic=False, nesterov=True))),
    ("lars", "optax", {}, "optax", optaxed(lambda lr: optax.lars(lr))),
    ("lars", "optax", {"weight_decay": 0.01, "nesterov": True, "eps": 1e-3, "trust_coefficient": 0.002}, "optax",
     optaxed(lambda lr: optax.lars(lr, 0.01, trust_coefficient=0.002, eps=1e-3, nesterov=True))),
    ("lars", "optax", {"weight_decay": 0.01, "exclude_from_weight_decay": VECTORS, "exclude_from_layer_adaptation": VECTORS}, "optax",
     optaxed(lambda lr: optax.lars(lr, 0.01, weight_decay_mask=MATRICES, trust_ratio_mask=MATRICES))),
    ("lars", "timm", {}, "timm", torched(lambda p: Lars(p))),
    ("lars", "timm", {"momentum": 0.9, "weight_decay": 0.01}, "timm", torched(lambda p: Lars(p, momentum=0.9, weight_decay=0.01))),
    ("lars", "timm", {"momentum": 0.9, "weight_decay": 0.01, "nesterov": True, "trust_clip": True}, "timm",
     torched(lambda p: Lars(p, momentum=0.9, weight_decay=0.01, nesterov=True, trust_clip=True))),
    ("lars", "timm", {"momentum": 0.9, "dampening": 0.2, "always_adapt": True}, "timm",
     torched(lambda p: Lars(p, momentum=0.9, dampening=0.2, always_adapt=True))),
    ("lars", "timm", {"momentum": 0.9, "weight_decay": 0.01, "exclude_from_weight_decay": VECTORS}, "timm",
     torched(lambda p: Lars(p, momentum=0.9, weight_decay=0.01), no_decay_for_vectors)),
    ("lars", "apex-larc", {}, "transcription", transcribed(apex_larc)),
    ("lars", "apex-larc", {"weight_decay": 0.01}, "transcription", transcribed(bind(apex_larc, decay=0.01))),
    ("lars", "apex-larc", {"weight_decay": 0.01, "trust_clip": False, "trust_coefficient": 0.001}, "transcription",
     transcribed(bind(apex_larc, decay=0.01, clip=False, coefficient=0.001))),
    ("lars", "lecture", {}, "transcription", transcribed(lars_lecture)),
    ("lamb", "paper", {}, "transcription", transcribed(lamb_paper)),
    ("lamb", "paper", {}, "optax", optaxed(lambda lr: optax.lamb(lr, weight_decay=0.01))),
    ("lamb", "paper-v3", {}, "transcription", transcribed(lamb_paper_v3)),
    ("lamb", "optax", {}, "optax", optaxed(lambda lr: optax.lamb(lr))),
    ("lamb", "optax", {"weight_decay": 0.1, "beta1": 0.8, "beta2": 0.95, "exclude_from_weight_decay": VECTORS}, "optax",
     optaxed(lambda lr: optax.lamb(lr, 0.8, 0.95, weight_decay=0.1, mask=MATRICES))),
    ("lamb", "timm", {}, "timm", torched(lambda p: Lamb(p))),
    ("lamb", "timm", {"weight_decay": 0.0}, "timm", torched(lambda p: Lamb(p, weight_decay=0.0))),
    ("lamb", "timm", {"always_adapt": True, "weight_decay": 0.0}, "timm", torched(lambda p: Lamb(p, weight_decay=0.0, always_adapt=True))),
    ("lamb", "timm", {"ratio_max": 1.0}, "timm", torched(lambda p: Lamb(p, trust_clip=True))),
    ("lamb", "timm", {"bias_correction": "none"}, "timm", torched(lambda p: Lamb(p, bias_correction=False))),
    ("lamb", "timm", {"grad_averaging": False}, "timm", torched(lambda p: Lamb(p, grad_averaging=False))),
    ("lamb", "timm", {"caution": True}, "timm", torched(lambda p: Lamb(p, caution=True))),
    ("lamb", "timm", {"decay": "decoupled", "weight_decay": 0.1}, "timm", torched(lambda p: Lamb(p, decoupled_decay=True, weight_decay=0.1))),
    ("lamb", "timm", {"decay": "decoupled", "weight_decay": 0.1, "max_lr": 0.05}, "timm",
     torched(lambda p: Lamb(p, lr=0.05, decoupled_decay=True, corrected_weight_decay=True, weight_decay=0.1))),
    ("lamb", "timm", {"max_grad_norm": float("inf")}, "timm", torched(lambda p: Lamb(p, max_grad_norm=None))),
    ("lamb", "timm", {"exclude_from_weight_decay": VECTORS}, "timm", torched(lambda p: Lamb(p), no_decay_for_vectors)),
    ("lamb", "apex", {}, "transcription", transcribed(apex_lamb, clip_apex)),
    ("lamb", "apex", {"decay": "l2"}, "transcription", transcribed(bind(apex_lamb, adam_w=False), clip_apex)),
    ("lamb", "apex", {"bias_correction": "none", "grad_averaging": False}, "transcription",
     transcribed(bind(apex_lamb, correct=False, average=False), clip_apex)),
    ("lamb", "nvlamb", {"exclude_from_weight_decay": ["bias$"]}, "transcription",
     transcribed(bind(apex_lamb, nvlamb=True, skip=("first.bias", "steep.bias", "flat.bias")), clip_apex)),
    ("lamb", "nvlamb", {"pre_normalize": True}, "transcription", transcribed(bind(apex_lamb, nvlamb=True), normalize)),
    ("lamb", "deepspeed", {}, "transcription", transcribed(deepspeed_lamb)),
    ("lamb", "deepspeed", {"weight_decay": 0.01}, "transcription", transcribed(bind(deepspeed_lamb, decay=0.01))),
    ("lamb", "lecture", {}, "transcription", transcribed(bind(lamb_paper, decay=0.0, eps=1e-8))),
    ("momentum", "torch", {"momentum": 0.8, "weight_decay": 0.01} | SLOWER[1], "torch",
     torched(lambda p: SGD(p, lr=1, momentum=0.8, weight_decay=0.01), SLOWER[0])),
    ("adamw", "torch", SHORTER[1], "torch", torched(lambda p: ADAMW(p), SHORTER[0])),
    ("lars", "timm", {"momentum": 0.9, "weight_decay": 0.01} | SLOWER[1], "timm",
     torched(lambda p: Lars(p, momentum=0.9, weight_decay=0.01), SLOWER[0])),
]


def toml_value(value):
    """As JSON that is also TOML; infinity, which JSON lacks, as the word."""
    return "inf" if value == math.inf else value


def main():
    versions = {m.__name__: m.__version__ for m in (torch, timm, optax, jax, np)}
    inputs = make_inputs()
    tensors = {}
    for name, (rates, init, grads) in inputs.items():
        tensors[f"{name}:lr"] = rates
        for k in init:
            tensors[f"{name}:{k}/init"] = init[k]
            tensors[f"{name}:{k}/grad"] = grads[k]
    OUT.mkdir(parents=True, exist_ok=True)
    write(OUT / "input.safetensors", tensors, {"versions": versions})

    expected, cases = {}, []
    for i, (optimizer, preset, options, origin, reference) in enumerate(CASES):
        shown = f"{origin} {versions[origin]}" if origin in versions else origin
        cases.append({"optimizer": optimizer, "preset": preset, "options": {k: toml_value(v) for k, v in options.items()}, "origin": shown})
        for name, data in inputs.items():
            with np.errstate(divide="ignore", over="ignore"):
                out = reference(*data)
            for k, steps in out.items():
                value = np.stack(steps)
                assert value.dtype == np.float64 and np.isfinite(value).all(), (optimizer, preset, options, name, k)
                expected[f"{i}:{name}:{k}"] = value
        print(f"{i:3} {optimizer} {preset} {options} {shown}")
    write(OUT / "expected.safetensors", expected, {"versions": versions, "cases": cases})


def write(path, tensors, header):
    # One metadata entry: the format does not fix the order of several.
    tensors = {k: np.ascontiguousarray(v, dtype=np.float64) for k, v in tensors.items()}
    safetensors.numpy.save_file(tensors, path, metadata={"golden": json.dumps(header, ensure_ascii=True)})
    print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
