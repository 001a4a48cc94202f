"""Outputs, losses, gradients and running statistics of every model by PyTorch, in double precision.

Writes crates/models/tests/golden/models.safetensors, read by crates/models/tests/pytorch.rs. Made with torch 2.15.0, numpy 2.4.6,
safetensors 0.8.0 on Python 3.  Run from the repository's root: python tests/golden/models.py
"""

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)


class Dense(nn.Module):
    def __init__(self, inputs, width, norm, activation):
        super().__init__()
        self.linear = nn.Linear(inputs, width)
        self.norm = nn.BatchNorm1d(width) if norm else None
        self.activation = activation

    def forward(self, x):
        x = self.linear(x)
        return self.activation(self.norm(x) if self.norm else x)


class Mlp(nn.Module):
    def __init__(self, inputs, widths, classes, norm=False, activation=F.relu):
        super().__init__()
        sizes = [inputs] + widths
        self.hidden = nn.ModuleList(Dense(a, b, norm, activation) for a, b in zip(sizes, widths))
        self.output = nn.Linear(sizes[-1], classes)

    def forward(self, x):
        x = x.flatten(1)
        for layer in self.hidden:
            x = layer(x)
        return self.output(x)


class LeNet5(nn.Module):
    def __init__(self, channels, left, classes, activation=F.relu, pool=F.max_pool2d):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * left, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)
        self.activation, self.pool = activation, pool

    def forward(self, x):
        x = self.pool(self.activation(self.conv1(x)), 2)
        x = self.pool(self.activation(self.conv2(x)), 2).flatten(1)
        return self.fc3(self.activation(self.fc2(self.activation(self.fc1(x)))))


class SimpleCnn(nn.Module):
    def __init__(self, channels, filters, width, left, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters[0], 5, padding="same")
        self.conv2 = nn.Conv2d(filters[0], filters[1], 5, padding="same")
        self.fc1 = nn.Linear(filters[1] * left, width)
        self.fc2 = nn.Linear(width, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        return self.fc2(F.relu(self.fc1(x)))


def pool_same(x):
    """TensorFlow's padding "same" for 3x3 fields with stride 2."""
    pads = []
    for side in reversed(x.shape[2:]):
        total = max((-(-side // 2) - 1) * 2 + 3 - side, 0)
        pads += [total // 2, total - total // 2]
    return F.max_pool2d(F.pad(x, pads, value=float("-inf")), 3, 2)


class C1(nn.Module):
    def __init__(self, channels, filters, widths, left, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 5, padding="same")
        self.norm1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 5, padding="same")
        self.norm2 = nn.BatchNorm2d(filters)
        self.fc1 = Dense(filters * left, widths[0], True, F.relu)
        self.fc2 = Dense(widths[0], widths[1], True, F.relu)
        self.output = nn.Linear(widths[1], classes)

    def forward(self, x):
        x = pool_same(F.relu(self.norm1(self.conv1(x))))
        x = pool_same(F.relu(self.norm2(self.conv2(x)))).flatten(1)
        return self.output(self.fc2(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride, projection):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.projection = None
        if stride == 2 and projection:
            self.projection = nn.Sequential()
            self.projection.add_module("conv", nn.Conv2d(inputs, outputs, 1, 2, bias=False))
            self.projection.add_module("norm", nn.BatchNorm2d(outputs))
        self.stride = stride

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.projection is not None:
            x = self.projection(x)
        elif self.stride == 2:
            x = x[:, :, ::2, ::2]
            x = F.pad(x, (0, 0, 0, 0, 0, x.shape[1]))
        return F.relu(x + y)


class ResNet(nn.Module):
    def __init__(self, channels, blocks, width, classes, projection=False):
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        stages = []
        inputs = width
        for stage, outputs in enumerate([width, 2 * width, 4 * width]):
            for i in range(blocks):
                stages.append(Block(inputs, outputs, 2 if stage and not i else 1, projection))
                inputs = outputs
        self.blocks = nn.Sequential(*stages)
        self.output = nn.Linear(4 * width, classes)

    def forward(self, x):
        x = self.blocks(F.relu(self.norm(self.conv(x))))
        return self.output(x.mean((2, 3)))


class Flat(nn.Linear):
    def forward(self, x):
        return super().forward(x.flatten(1))


def squared(out, y):
    return ((out[:, 0] - y) ** 2).sum()


def logistic(out, y):
    return F.soft_margin_loss(out[:, 0], 2.0 * y - 1.0, reduction="sum")


def perceptron(out, y):
    return F.relu(-(2.0 * y - 1.0) * out[:, 0]).sum()


def entropy(out, y, smoothing=0.0):
    return F.cross_entropy(out, y, label_smoothing=smoothing, reduction="sum")


tensors = {}


def case(name, net, shape, batch, classes, loss=entropy, ghost=None):
    """One training pass and one evaluation after it. Ghost batch norm is PyTorch's own, chunk by chunk."""
    with torch.no_grad():
        for path, value in net.state_dict().items():
            if "norm" in path and path.endswith(("weight", "running_var")):
                value.uniform_(0.5, 1.5)
            elif "norm" in path and path.endswith(("bias", "running_mean")):
                value.uniform_(-0.5, 0.5)
    x = torch.randn(batch, *shape)
    y = torch.randn(batch) if classes is None else torch.randint(classes, (batch,))
    put = lambda kind, value: tensors.__setitem__(f"{name}/{kind}", value.detach().clone().contiguous())
    put("input", x.flatten(1).float())
    put("target", y.float() if classes is None else y.int())
    for path, value in net.state_dict().items():
        put(f"before/{path}", value.float())
    # The inputs and weights that Rust reads are rounded to f32; go on from the rounded ones.
    x = x.float().double()
    y = y.float().double() if classes is None else y
    net.load_state_dict({k: v.float().double() if v.is_floating_point() else v for k, v in net.state_dict().items()})

    net.train()
    out = torch.cat([net(chunk) for chunk in x.split(ghost or batch)])
    total = loss(out, y)
    total.backward()
    put("output", out.float())
    put("loss", total.reshape(1).float())
    for path, parameter in net.named_parameters():
        put(f"grad/{path}", parameter.grad.float())
    for path, value in net.named_buffers():
        put(f"after/{path}", value.float())
    net.eval()
    put("eval", net(x).float())




case("linear", Flat(5, 1), [5], 7, None, squared)
case("logistic", Flat(5, 1), [5], 7, 2, logistic)
case("perceptron", Flat(5, 1), [5], 7, 2, perceptron)
case("softmax", Flat(12, 4), [3, 2, 2], 7, 4)
case("softmax-smooth", Flat(12, 4), [12], 7, 4, lambda out, y: entropy(out, y, 0.1))
case("mlp", Mlp(6, [7, 5], 3), [6], 8, 3)
case("mlp-two-classes", Mlp(6, [7], 2), [6], 8, 2)
case("mlp-tanh", Mlp(6, [7, 5], 3, activation=torch.tanh), [6], 8, 3)
case("mlp-gelu-norm", Mlp(6, [7, 5], 3, True, F.gelu), [6], 8, 3)
case("mlp-sigmoid", Mlp(6, [7, 5], 3, False, torch.sigmoid), [6], 8, 3)
case("mlp-ghost", Mlp(6, [7, 5], 3, True), [6], 11, 3, ghost=4)
case("f1", Mlp(16, [8] * 5, 4, True), [1, 4, 4], 12, 4)
case("lenet5", LeNet5(1, 1, 3), [1, 12, 12], 4, 3)
case("lenet5-classic", LeNet5(2, 2, 3, torch.tanh, F.avg_pool2d), [2, 17, 14], 4, 3)
case("simple-cnn", SimpleCnn(2, [3, 4], 10, 4, 5), [2, 9, 8], 6, 5)
case("c1", C1(3, 4, [6, 5], 6, 5), [3, 9, 8], 8, 5)
case("resnet8", ResNet(3, 1, 4, 5), [3, 9, 8], 6, 5)
case("resnet8-ghost", ResNet(3, 1, 2, 5), [3, 8, 8], 8, 5, ghost=3)
case("resnet8-projection", ResNet(3, 1, 4, 5, True), [3, 9, 8], 6, 5)
case("resnet20", ResNet(3, 3, 2, 5), [3, 8, 8], 6, 5)
save_file(tensors, "crates/models/tests/golden/models.safetensors")
