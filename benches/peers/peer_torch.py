"""PyTorch's side: THREADS OPTIONS WORK …; OPTIONS is `eager`, or a list of `compile` and `channels_last` with a `+` between them."""

import sys

import torch
from torch import nn

from side import SIZES, none, serve, shapes, timed

threads, form, what, *options = int(sys.argv[1]), sys.argv[2].split("+"), *sys.argv[3:]
torch.set_num_threads(threads)
torch.manual_seed(0)
F = nn.functional
compiled = torch.compile if "compile" in form else lambda f: f


def dense(sizes, norm=False):
    layers = [nn.Flatten()]
    for i, o in zip(sizes, sizes[1:]):
        layers.append(nn.Linear(i, o))
        if o != sizes[-1]:
            layers += ([nn.BatchNorm1d(o)] if norm else []) + [nn.ReLU()]
    return nn.Sequential(*layers)


class Block(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.c1, self.n1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
        self.c2, self.n2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.stride, self.more = stride, o - i

    def forward(self, x):
        y = self.n2(self.c2(F.relu(self.n1(self.c1(x)))))
        if self.stride == 2:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.more))
        return F.relu(x + y)


def network(name):
    if name in ("mlp", "f1"):
        return dense([784, *[512] * (2 if name == "mlp" else 5), 10], name == "f1"), (1, 28, 28)
    if name == "simple-cnn":
        return nn.Sequential(
            nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(3136, 1024), nn.ReLU(), nn.Dropout(0.4), nn.Linear(1024, 10)), (1, 28, 28)
    if name == "c1":
        pool = lambda: nn.MaxPool2d(3, 2, ceil_mode=True)
        return nn.Sequential(
            nn.Conv2d(3, 64, 5, padding=2), nn.BatchNorm2d(64), nn.ReLU(), pool(), nn.Conv2d(64, 64, 5, padding=2), nn.BatchNorm2d(64), nn.ReLU(), pool(),
            nn.Flatten(), nn.Linear(4096, 384), nn.BatchNorm1d(384), nn.ReLU(), nn.Dropout(0.5), nn.Linear(384, 192), nn.BatchNorm1d(192), nn.ReLU(),
            nn.Dropout(0.5), nn.Linear(192, 10)), (3, 32, 32)
    return nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)), (3, 32, 32)


def step():
    net, shape = network(options[0])
    batch = int(options[1])
    x, y = torch.rand(batch, *shape), torch.arange(batch) % 10
    if "channels_last" in form:
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    loss = compiled(lambda: F.cross_entropy(net(x), y))

    def work():
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    return lambda: timed(work)


def train():
    """Steps as a user writes them: order, batch, gradient, step, and the loss as a number. One unit is 1,000 steps, divided by 1,000."""
    data, model, batch, steps = options[0], options[1], int(options[2]), 1000
    n, features, classes = SIZES[data]
    hidden = [int(w) for w in model.partition(":")[2].split(",") if w]
    x, y = torch.randn(n, features), torch.arange(n) % classes
    if model == "logistic":
        net, y, f = nn.Linear(features, 1), y.float() * 2 - 1, lambda o, y: F.softplus(-y * o.squeeze(1)).mean()
    else:
        net, f = dense([features, *hidden, classes]), F.cross_entropy
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    loss = compiled(lambda x, y: f(net(x), y))

    def work():
        done = 0
        while done < steps:
            for rows in torch.randperm(n).split(batch):
                optimizer.zero_grad()
                value = loss(x[rows], y[rows])
                value.backward()
                optimizer.step()
                value.item()
                done += 1
                if done == steps:
                    break
    return lambda: timed(work) / steps


def rule(name, weights):
    """The fastest form on a CPU that PyTorch, or else timm, has."""
    from timm import optim as timm
    o, lr = torch.optim, 1e-4
    rules = {
        "momentum": lambda: o.SGD(weights, lr, momentum=0.9, fused=True), "adam": lambda: o.Adam(weights, lr, fused=True), "adagrad": lambda: o.Adagrad(weights, lr, fused=True),
        "nadam": lambda: o.NAdam(weights, lr, foreach=True), "nadamw": lambda: o.NAdam(weights, lr, weight_decay=1e-4, decoupled_weight_decay=True, foreach=True),
        "rmsprop": lambda: o.RMSprop(weights, lr, foreach=True), "adadelta": lambda: o.Adadelta(weights, lr, foreach=True), "adamax": lambda: o.Adamax(weights, lr, foreach=True),
        "adafactor": lambda: o.Adafactor(weights, lr, foreach=True), "muon": lambda: o.Muon(weights, lr), "lion": lambda: timm.Lion(weights, lr, foreach=True),
        "novograd": lambda: timm.NvNovoGrad(weights, lr), "lars": lambda: timm.Lars(weights, lr, momentum=0.9, weight_decay=1e-4), "lamb": lambda: timm.Lamb(weights, lr, max_grad_norm=None),
    }
    return rules[name]() if name in rules else none(f"PyTorch and timm have no {name}")


def optimizer():
    name, _, side = options[0].partition(":")
    weights = [torch.rand(s).sub_(0.5).requires_grad_() for s in shapes(side)]
    for w in weights:
        w.grad = torch.rand_like(w).sub_(0.5)
    moving = rule(name, weights)
    move = compiled(moving.step)
    fresh = [w.grad.clone() for w in weights]

    def unit():
        # As after a backward pass, and as on the other side: just written, so that they are in the cache and not the last step's weights.
        for w, g in zip(weights, fresh):
            w.grad.copy_(g)
        return timed(move)
    return unit


works = {"step": step, "train": train, "optimizer": optimizer}
serve(works[what]() if what in works else none(f"no work {what}"))
