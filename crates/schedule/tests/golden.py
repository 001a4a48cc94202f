"""Learning rates of PyTorch's schedulers and optax's schedules, for golden.rs. Run with torch, optax and jax installed: python golden.py > golden.json

A case holds the schedule in our notation, and beside it the code that gave the numbers. PyTorch's schedulers that step recursively are run as a user runs
them; their rounding stays below 1e-12.
"""
import json
import platform
import sys
import warnings

import jax
import optax
import torch
from torch.optim import lr_scheduler as pt

jax.config.update("jax_enable_x64", True)
warnings.filterwarnings("ignore")
PEAK = 0.8
WARM = {"name": "linear", "start": 0.1, "steps": 10}


def torch_rates(make, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


def optax_rates(schedule, steps):
    return [float(schedule(jax.numpy.asarray(t, dtype=jax.numpy.int64))) for t in range(steps)]


def warm(main, steps=10, start=0.1):
    """A linear warm-up and then `main`, whose clock starts at the warm-up's end."""
    return lambda o: pt.SequentialLR(o, [pt.LinearLR(o, start_factor=start, total_iters=steps), main(o)], milestones=[steps])


def triangular(mode, up, down, low):
    return lambda o: pt.CyclicLR(o, base_lr=low * PEAK, max_lr=PEAK, step_size_up=up, step_size_down=down, mode=mode, cycle_momentum=False)


def one_cycle(rise, steps, start, end, anneal):
    """PyTorch is at the peak at pct_start * total_steps - 1 and at the end at total_steps - 1."""
    return lambda o: pt.OneCycleLR(
        o, max_lr=PEAK, total_steps=steps + 1, pct_start=(rise + 1) / (steps + 1), div_factor=1 / start, final_div_factor=start / end,
        anneal_strategy=anneal, cycle_momentum=False,
    )


# name, our schedule, steps of training, steps per epoch, rates that are compared, how they are made
CASES = [
    ("ConstantLR as warm-up", {"name": "constant", "warmup": {"name": "constant", "start": 0.25, "steps": 7}}, 20, 10,
     lambda n: torch_rates(lambda o: pt.ConstantLR(o, factor=0.25, total_iters=7), n)),
    ("LinearLR as warm-up", {"name": "constant", "warmup": {"start": 0.2, "epochs": 0.7}}, 20, 10,
     lambda n: torch_rates(lambda o: pt.LinearLR(o, start_factor=0.2, total_iters=7), n)),
    ("LinearLR from 0", {"name": "constant", "warmup": {"fraction": 0.35}}, 20, 10,
     lambda n: torch_rates(lambda o: pt.LambdaLR(o, lambda t: min(t / 7, 1)), n)),
    ("LinearLR", {"name": "linear", "floor": 0.05, "length": {"steps": 50}}, 60, 10,
     lambda n: torch_rates(lambda o: pt.LinearLR(o, start_factor=1, end_factor=0.05, total_iters=50), n)),
    ("LambdaLR t^-a", {"name": "power-law", "exponent": 0.6}, 60, 10,
     lambda n: torch_rates(lambda o: pt.LambdaLR(o, lambda t: (t + 1) ** -0.6), n)),
    ("PolynomialLR, power 2", {"name": "polynomial"}, 60, 10,
     lambda n: torch_rates(lambda o: pt.PolynomialLR(o, total_iters=60, power=2), n)),
    ("PolynomialLR, power 0.5, held", {"name": "polynomial", "power": 0.5, "length": {"epochs": 4}}, 60, 10,
     lambda n: torch_rates(lambda o: pt.PolynomialLR(o, total_iters=40, power=0.5), n)),
    ("StepLR", {"name": "step", "factor": 0.3, "every": {"epochs": 1.5}}, 60, 10,
     lambda n: torch_rates(lambda o: pt.StepLR(o, step_size=15, gamma=0.3), n)),
    ("MultiStepLR", {"name": "multi-step", "factor": 0.1, "at": {"epochs": [3, 4, 5]}}, 60, 10,
     lambda n: torch_rates(lambda o: pt.MultiStepLR(o, milestones=[30, 40, 50], gamma=0.1), n)),
    ("ExponentialLR", {"name": "exponential", "factor": 0.9, "every": {"steps": 1}}, 60, 10,
     lambda n: torch_rates(lambda o: pt.ExponentialLR(o, gamma=0.9), n)),
    ("CosineAnnealingLR", {"name": "cosine"}, 60, 10,
     lambda n: torch_rates(lambda o: pt.CosineAnnealingLR(o, T_max=60), n)),
    ("CosineAnnealingLR, eta_min", {"name": "cosine", "floor": 0.1}, 60, 10,
     lambda n: torch_rates(lambda o: pt.CosineAnnealingLR(o, T_max=60, eta_min=0.1 * PEAK), n)),
    ("CosineAnnealingWarmRestarts, T_mult 2", {"name": "cosine-restarts", "floor": 0.01, "first": {"steps": 10}, "growth": 2}, 160, 10,
     lambda n: torch_rates(lambda o: pt.CosineAnnealingWarmRestarts(o, T_0=10, T_mult=2, eta_min=0.01 * PEAK), n)),
    ("CosineAnnealingWarmRestarts, T_mult 3", {"name": "cosine-restarts", "first": {"steps": 7}, "growth": 3}, 300, 10,
     lambda n: torch_rates(lambda o: pt.CosineAnnealingWarmRestarts(o, T_0=7, T_mult=3), n)),
    ("CosineAnnealingWarmRestarts, T_mult 1", {"name": "cosine-restarts", "first": {"fraction": 0.25}, "growth": 1}, 60, 10,
     lambda n: torch_rates(lambda o: pt.CosineAnnealingWarmRestarts(o, T_0=15, T_mult=1), n)),
    ("CyclicLR triangular", {"name": "cyclic", "rise": {"steps": 8}, "low": 0.1}, 100, 10,
     lambda n: torch_rates(triangular("triangular", 8, 8, 0.1), n)),
    ("CyclicLR triangular, uneven", {"name": "cyclic", "rise": {"steps": 5}, "fall": {"steps": 12}, "low": 0.3}, 100, 10,
     lambda n: torch_rates(triangular("triangular", 5, 12, 0.3), n)),
    ("CyclicLR triangular2", {"name": "cyclic", "mode": "triangular2", "rise": {"steps": 6}, "fall": {"steps": 10}, "low": 0.1}, 100, 10,
     lambda n: torch_rates(triangular("triangular2", 6, 10, 0.1), n)),
    ("OneCycleLR, cosine", {"name": "one-cycle", "rise": {"steps": 18}}, 60, 10,
     lambda n: torch_rates(one_cycle(18, 60, 0.04, 4e-6, "cos"), n)),
    ("OneCycleLR, linear", {"name": "one-cycle", "rise": {"steps": 20}, "start": 0.1, "end": 0.01, "anneal": "linear"}, 60, 10,
     lambda n: torch_rates(one_cycle(20, 60, 0.1, 0.01, "linear"), n)),
    ("SequentialLR, CosineAnnealingLR", {"name": "cosine", "floor": 0.02, "warmup": WARM}, 60, 10,
     lambda n: torch_rates(warm(lambda o: pt.CosineAnnealingLR(o, T_max=50, eta_min=0.02 * PEAK)), n)),
    ("SequentialLR, PolynomialLR", {"name": "polynomial", "warmup": WARM}, 60, 10,
     lambda n: torch_rates(warm(lambda o: pt.PolynomialLR(o, total_iters=50, power=2)), n)),
    ("SequentialLR, ExponentialLR", {"name": "exponential", "factor": 0.95, "every": {"steps": 1}, "warmup": WARM}, 60, 10,
     lambda n: torch_rates(warm(lambda o: pt.ExponentialLR(o, gamma=0.95)), n)),
    ("SequentialLR, StepLR (milestones moved by the warm-up)", {"name": "multi-step", "factor": 0.5, "at": {"steps": [30, 50]}, "warmup": WARM}, 60, 10,
     lambda n: torch_rates(warm(lambda o: pt.StepLR(o, step_size=20, gamma=0.5)), n)),
    ("ChainedScheduler, StepLR (counting from the start)", {"name": "step", "factor": 0.5, "every": {"epochs": 2}, "warmup": WARM}, 100, 10,
     lambda n: torch_rates(lambda o: pt.ChainedScheduler([pt.LinearLR(o, 0.1, total_iters=10), pt.StepLR(o, 20, 0.5)], optimizer=o), n)),
    ("ChainedScheduler, MultiStepLR (counting from the start)", {"name": "multi-step", "at": {"epochs": [3, 7]}, "warmup": WARM}, 100, 10,
     lambda n: torch_rates(lambda o: pt.ChainedScheduler([pt.LinearLR(o, 0.1, total_iters=10), pt.MultiStepLR(o, [30, 70], 0.1)], optimizer=o), n)),
    ("SequentialLR, CosineAnnealingWarmRestarts", {"name": "cosine-restarts", "first": {"steps": 10}, "warmup": WARM}, 80, 10,
     lambda n: torch_rates(warm(lambda o: pt.CosineAnnealingWarmRestarts(o, T_0=10, T_mult=2)), n)),
    ("optax cosine_decay_schedule", {"name": "cosine", "floor": 0.1, "length": {"steps": 50}}, 60, 10,
     lambda n: optax_rates(optax.cosine_decay_schedule(PEAK, 50, alpha=0.1), n)),
    ("optax warmup_cosine_decay_schedule", {"name": "cosine", "floor": 0.1, "warmup": {"steps": 10}}, 60, 10,
     lambda n: optax_rates(optax.warmup_cosine_decay_schedule(0.0, PEAK, 10, 60, end_value=0.1 * PEAK), n)),
    ("optax polynomial_schedule", {"name": "polynomial", "power": 3, "floor": 0.2, "length": {"steps": 50}}, 60, 10,
     lambda n: optax_rates(optax.polynomial_schedule(PEAK, 0.2 * PEAK, 3, 50), n)),
    ("optax exponential_decay, end_value", {"name": "exponential", "factor": 0.5, "every": {"epochs": 1}, "floor": 0.1}, 60, 10,
     lambda n: optax_rates(optax.exponential_decay(PEAK, 10, 0.5, end_value=0.1 * PEAK), n)),
    ("optax cosine_onecycle_schedule", {"name": "one-cycle"}, 60, 10,
     lambda n: optax_rates(optax.cosine_onecycle_schedule(60, PEAK, 0.3, 25, 1e4), n)),
    ("optax linear_onecycle_schedule", {"name": "one-cycle", "rise": {"steps": 18}, "anneal": "linear", "start": 0.04, "end": 0.002}, 60, 10,
     lambda n: optax_rates(optax.join_schedules(
         [optax.linear_schedule(0.04 * PEAK, PEAK, 18), optax.linear_schedule(PEAK, 0.002 * PEAK, 42)], [18]), n)),
    ("optax sgdr_schedule", {"name": "cosine-restarts"}, 70, 10,
     lambda n: optax_rates(optax.sgdr_schedule(
         [dict(init_value=0.0, peak_value=PEAK, warmup_steps=0, decay_steps=d, end_value=0.0) for d in (10, 20, 40)]), n)),
    ("optax piecewise_constant_schedule", {"name": "multi-step", "factor": 0.1, "at": {"fraction": [0.5, 0.75]}}, 60, 10,
     lambda n: optax_rates(optax.piecewise_constant_schedule(PEAK, {30: 0.1, 45: 0.1}), n)),
]

cases = [
    {"name": name, "schedule": schedule, "peak": PEAK, "total_steps": total, "steps_per_epoch": per_epoch, "rates": rates(total)}
    for name, schedule, total, per_epoch, rates in CASES
]
versions = {"python": platform.python_version(), "torch": torch.__version__, "optax": optax.__version__, "jax": jax.__version__}
lines = ",\n".join(json.dumps(case) for case in cases)
sys.stdout.write(f'{{"versions": {json.dumps(versions)}, "cases": [\n{lines}\n]}}\n')
