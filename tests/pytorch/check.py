"""Loads a run's weights into PyTorch, evaluates them on the same files, and writes weights of PyTorch's own for largebatch to evaluate.

Called by tests/pytorch.rs:  python check.py MODEL RUN/model.safetensors IMAGES LABELS OUT.safetensors
Prints one line of JSON: loss and accuracy of the given weights, and of the weights that it writes.  Needs torch, numpy and safetensors.
"""

import json
import sys

import numpy
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F


class Dense(nn.Module):
    def __init__(self, inputs, width):
        super().__init__()
        self.linear = nn.Linear(inputs, width)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x):
        return F.relu(self.norm(self.linear(x)))


class Mlp(nn.Module):
    """widths = [24, 16], batch_norm = true, on images of 12×12 in 5 classes."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.ModuleList([Dense(144, 24), Dense(24, 16)])
        self.output = nn.Linear(16, 5)

    def forward(self, x):
        x = x.flatten(1)
        for layer in self.hidden:
            x = layer(x)
        return self.output(x)


class SimpleCnn(nn.Module):
    """filters = [4, 6], width = 20."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 5, padding=2)
        self.conv2 = nn.Conv2d(4, 6, 5, padding=2)
        self.fc1 = nn.Linear(6 * 3 * 3, 20)
        self.fc2 = nn.Linear(20, 5)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def idx(path):
    data = open(path, "rb").read()
    sides = numpy.frombuffer(data, ">u4", data[3], 4)
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * data[3]).reshape(sides)


def measured(model, images, labels):
    model.eval()
    with torch.no_grad():
        outputs = model(images)
    return {
        "loss": F.cross_entropy(outputs.double(), labels).item(),
        "accuracy": (outputs.argmax(1) == labels).double().mean().item(),
    }


name, weights, images, labels, out = sys.argv[1:]
images = torch.tensor(idx(images).astype(numpy.float32) / 255).unsqueeze(1)
labels = torch.tensor(idx(labels).astype(numpy.int64))
make = {"mlp": Mlp, "simple-cnn": SimpleCnn}[name]

theirs = make()
missing, unexpected = theirs.load_state_dict(load_file(weights), strict=False)
# The counter of batches is not a weight, and PyTorch computes the same without it.
assert not unexpected and all(key.endswith("num_batches_tracked") for key in missing), (missing, unexpected)

torch.manual_seed(1)
own = make()
optimizer = torch.optim.Adam(own.parameters(), lr=0.01)
for _ in range(3):
    optimizer.zero_grad()
    F.cross_entropy(own(images), labels).backward()
    optimizer.step()
save_file(own.state_dict(), out)

print(json.dumps({"given": measured(theirs, images, labels), "own": measured(own, images, labels)}))
