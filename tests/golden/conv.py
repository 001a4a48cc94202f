"""Convolution, max pooling and batch norm with their gradients by PyTorch, in double precision.

Writes crates/kernels/tests/golden/conv.safetensors, read by crates/kernels/tests/conv.rs. Made with torch 2.15.0, numpy 2.4.6,
safetensors 0.8.0 on Python 3.  Run from the repository's root: python tests/golden/conv.py

Inputs are not stored: they are the formula `value` below, whose results f32 holds exactly.
"""

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

# batch, inputs, outputs, height, width, kernel h, kernel w, stride, padding
SHAPES = [
    (1, 1, 1, 1, 1, 1, 1, 1, 0),
    (2, 1, 3, 9, 7, 5, 5, 1, 2),
    (5, 3, 17, 8, 10, 3, 3, 2, 1),
    (3, 4, 5, 7, 7, 1, 1, 2, 0),
    (2, 6, 9, 5, 6, 5, 3, 1, 0),
    (3, 2, 4, 11, 5, 4, 2, 3, 1),
    (18, 2, 3, 4, 4, 3, 3, 1, 1),
]


def value(count, salt):
    """((97 i + salt) mod 251 - 125) / 64."""
    return ((torch.arange(count) * 97 + salt) % 251 - 125).double() / 64


tensors = {}
for number, (n, c, o, h, w, kh, kw, stride, padding) in enumerate(SHAPES):
    x = value(n * c * h * w, 1).reshape(n, c, h, w).requires_grad_()
    weight = value(o * c * kh * kw, 2).reshape(o, c, kh, kw).requires_grad_()
    bias = value(o, 3).requires_grad_()
    y = F.conv2d(x, weight, bias, stride, padding)
    (y * value(y.numel(), 4).reshape(y.shape)).sum().backward()
    for name, tensor in (("y", y), ("x", x.grad), ("weight", weight.grad), ("bias", bias.grad)):
        tensors[f"{number}.{name}"] = tensor.detach().float().contiguous()
# batch, channels, height, width, kernel, stride, padding, ceiling mode. Values repeat (251 different ones): there are ties.
POOLS = [
    (2, 3, 28, 28, 2, 2, 0, False),
    (1, 2, 9, 33, 2, 2, 0, False),
    (2, 2, 16, 32, 3, 2, 0, True),
    (2, 2, 15, 17, 3, 2, 1, True),
    (1, 3, 7, 5, 3, 1, 1, False),
    (1, 1, 11, 40, 4, 3, 2, True),
]
for number, (n, c, h, w, kernel, stride, padding, ceil) in enumerate(POOLS):
    x = value(n * c * h * w, 1).reshape(n, c, h, w).requires_grad_()
    y = F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil).relu()
    (y * value(y.numel(), 4).reshape(y.shape)).sum().backward()
    tensors[f"pool.{number}.y"] = y.detach().float().contiguous()
    tensors[f"pool.{number}.x"] = x.grad.float().contiguous()

# shape of x, another term of the sum, rectified.
NORMS = [
    ((3, 4, 5, 7), False, False),
    ((2, 3, 4, 4), True, True),
    ((1, 2, 4, 8), False, True),
    ((70, 17), False, True),
    ((129, 16), True, False),
    ((4, 3), False, True),
]
for number, (shape, add, relu) in enumerate(NORMS):
    count = torch.Size(shape).numel()
    x = value(count, 1).reshape(shape).requires_grad_()
    gamma, beta = value(shape[1], 2).requires_grad_(), value(shape[1], 3).requires_grad_()
    plus = value(count, 5).reshape(shape).requires_grad_()
    y = F.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-5)
    y = y + plus if add else y
    y = y.relu() if relu else y
    (y * value(count, 4).reshape(shape)).sum().backward()
    over = [d for d in range(len(shape)) if d != 1]
    results = {"y": y, "x": x.grad, "gamma": gamma.grad, "beta": beta.grad, "mean": x.mean(over), "variance": x.var(over, correction=0)}
    if add:
        results["plus"] = plus.grad
    for name, tensor in results.items():
        tensors[f"norm.{number}.{name}"] = tensor.detach().float().contiguous()
save_file(tensors, "crates/kernels/tests/golden/conv.safetensors")
