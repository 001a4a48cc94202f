"""Makes the files in this folder, with which tests/reference.rs compares the probes.

PyTorch trains two small networks (tanh and ReLU) on 100 handwritten digits of scikit-learn. They are measured in double precision: the layer table
by NumPy; the Hessian, by autograd's exact second derivatives, with all its eigenvalues; the gradient of every example; Keskar's sharpness by SciPy's
L-BFGS-B; the loss after SAM's step. The weights are stored in float32, and measured as stored.

    python reference.py        (writes digits.csv, tanh.safetensors, relu.safetensors, reference.json)
"""

import json
import platform
from pathlib import Path

import numpy
import safetensors
import scipy
import sklearn
import torch
from safetensors.torch import load_file, save_file
from scipy.optimize import minimize
from sklearn.datasets import load_digits
from torch.func import functional_call, hessian, vmap, grad

HERE = Path(__file__).parent
EXAMPLES, WIDTH, CLASSES = 100, 12, 10


class Dense(torch.nn.Module):
    """Named as largebatch names its layers."""

    def __init__(self, inputs, width, activation):
        super().__init__()
        self.linear = torch.nn.Linear(inputs, width)
        self.activation = activation

    def forward(self, x):
        return self.activation(self.linear(x))


class Mlp(torch.nn.Module):
    def __init__(self, activation):
        super().__init__()
        self.hidden = torch.nn.ModuleList([Dense(64, WIDTH, activation)])
        self.output = torch.nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        for layer in self.hidden:
            x = layer(x)
        return self.output(x)


def data():
    digits = load_digits()
    x = numpy.round(digits.data[:EXAMPLES]) / 16  # multiples of 1/16: exact in float32 and in decimals
    y = digits.target[:EXAMPLES]
    lines = [",".join([f"p{i}" for i in range(64)] + ["digit"])]
    lines += [",".join([f"{v:g}" for v in row] + [str(int(label))]) for row, label in zip(x, y)]
    (HERE / "digits.csv").write_text("\n".join(lines) + "\n")
    return torch.tensor(x, dtype=torch.float64), torch.tensor(y)


def measure(name, activation, x, y):
    torch.manual_seed(0)
    network = Mlp(activation)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.2)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x.float()), y).backward()
        optimizer.step()
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, HERE / f"{name}.safetensors")
    network = network.double()
    network.load_state_dict({k: v.double() for k, v in load_file(HERE / f"{name}.safetensors").items()})

    names = [n for n, _ in network.named_parameters()]
    shapes = [p.shape for p in network.parameters()]
    flat = torch.cat([p.detach().reshape(-1) for p in network.parameters()])

    def split(w):
        parts, start = {}, 0
        for n, shape in zip(names, shapes):
            parts[n] = w[start : start + shape.numel()].reshape(shape)
            start += shape.numel()
        return parts

    def loss(w, x=x, y=y):
        return torch.nn.functional.cross_entropy(functional_call(network, split(w), (x,)), y)

    gradient = grad(loss)(flat)
    h = hessian(loss)(flat)
    eigenvalues = torch.linalg.eigvalsh((h + h.T) / 2).flip(0)
    each = vmap(grad(lambda w, x, y: loss(w, x[None], y[None])), in_dims=(None, 0, 0))(flat, x, y)
    centred = each - each.mean(0)
    trace = (centred.square().sum() / (EXAMPLES - 1)).item()
    square = gradient.square().sum().item()

    layers, weights, gradients = [], split(flat), split(gradient)
    for n in names:
        w, g = numpy.linalg.norm(weights[n].numpy()), numpy.linalg.norm(gradients[n].numpy())
        rate = 0.1  # learning rate of a step of gradient descent
        part = split(torch.arange(flat.numel()))[n].reshape(-1)
        layer_trace = (centred[:, part].square().sum() / (EXAMPLES - 1)).item()
        layers.append(
            dict(path=n, weight=w, gradient=g, ratio=w / g, relative_update=numpy.linalg.norm(rate * gradients[n].numpy()) / w, noise=layer_trace)
        )

    def sharpness(epsilon):
        """Keskar et al. 2017, metric 2.1 with A = I: 100 (max f - f)/(1 + f) over |z_i| <= epsilon (|x_i| + 1)."""
        start, bound = flat.numpy(), epsilon * (flat.abs().numpy() + 1)

        def negative(w):
            w = torch.tensor(w)
            return -loss(w).item(), -grad(loss)(w).numpy()

        found = minimize(
            negative, start, jac=True, method="L-BFGS-B", bounds=list(zip(start - bound, start + bound)), options=dict(maxiter=500, ftol=1e-14, gtol=1e-10)
        )
        f = loss(flat).item()
        return dict(epsilon=epsilon, value=100 * (-found.fun - f) / (1 + f), iterations=int(found.nit))

    rho = 0.05
    return dict(
        network=name,
        parameters=flat.numel(),
        loss=loss(flat).item(),
        eigenvalues=eigenvalues[:5].tolist(),
        least_eigenvalue=eigenvalues[-1].item(),
        hessian_trace=torch.trace(h).item(),
        gradient_square=square,
        noise_trace=trace,
        b_simple=trace / square,
        layers=layers,
        sharpness=[sharpness(1e-3), sharpness(5e-4)],
        sam=dict(rho=rho, loss=loss(flat + rho * gradient / gradient.norm()).item()),
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    x, y = data()
    versions = dict(
        python=platform.python_version(), torch=torch.__version__, numpy=numpy.__version__, scipy=scipy.__version__,
        sklearn=sklearn.__version__, safetensors=safetensors.__version__,
    )
    networks = [measure("tanh", torch.nn.Tanh(), x, y), measure("relu", torch.nn.ReLU(), x, y)]
    (HERE / "reference.json").write_text(json.dumps(dict(versions=versions, examples=EXAMPLES, networks=networks), indent=1) + "\n")
