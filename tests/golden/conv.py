"""Convolutions and their three gradients by PyTorch, in double precision.

Writes crates/conv/tests/golden/conv.safetensors, read by crates/conv/tests/conv.rs. Made with torch 2.15.0, numpy 2.4.6,
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
save_file(tensors, "crates/conv/tests/golden/conv.safetensors")
