"""The minima that SciPy's L-BFGS-B finds, for `lbfgsb.rs` in this folder. Needs numpy and scipy; prints JSON:

    python lbfgsb.py > lbfgsb.json
"""

import json
import math
import sys

import numpy as np
import scipy
from scipy.optimize import minimize


def rosenbrock(x):
    d = x[1:] - x[:-1] ** 2
    g = np.zeros_like(x)
    g[:-1] += -400 * x[:-1] * d - 2 * (1 - x[:-1])
    g[1:] += 200 * d
    return float(np.sum(100 * d**2 + (1 - x[:-1]) ** 2)), g


def beale(x):
    c = [1.5, 2.25, 2.625]
    t = [c[i] - x[0] * (1 - x[1] ** (i + 1)) for i in range(3)]
    g0 = sum(2 * t[i] * -(1 - x[1] ** (i + 1)) for i in range(3))
    g1 = sum(2 * t[i] * x[0] * (i + 1) * x[1] ** i for i in range(3))
    return float(sum(v * v for v in t)), np.array([g0, g1])


def quadratic(x):
    """½ xᵀAx − bᵀx with A = tridiagonal(−1, 2.1 + i mod 3, −1) and b_i = 3 sin(i + 1)."""
    n = len(x)
    diagonal = 2.1 + np.arange(n) % 3
    ax = diagonal * x
    ax[1:] -= x[:-1]
    ax[:-1] -= x[1:]
    b = 3 * np.sin(np.arange(n) + 1.0)
    return float(0.5 * x @ ax - b @ x), ax - b


def styblinski(x):
    return float(0.5 * np.sum(x**4 - 16 * x**2 + 5 * x)), 0.5 * (4 * x**3 - 32 * x + 5)


def himmelblau(x):
    a, b = x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7
    return float(a * a + b * b), np.array([4 * x[0] * a + 2 * b, 2 * a + 4 * x[1] * b])


def more_quartic(x):
    """The sum of i (x_i − 1)⁴ and (Σ x − n)²: badly scaled and flat at the minimum."""
    n = len(x)
    w = np.arange(n) + 1.0
    s = np.sum(x) - n
    return float(np.sum(w * (x - 1) ** 4) + s * s), 4 * w * (x - 1) ** 3 + 2 * s


CASES = [
    ("rosenbrock, free", rosenbrock, [-1.2, 1.0], -math.inf, math.inf),
    ("rosenbrock, held above", rosenbrock, [-1.2, 1.0], -2.0, 0.5),
    ("rosenbrock in 5, box", rosenbrock, [-1.0, 0.3, 0.2, 0.9, -0.4], -1.5, 0.8),
    ("rosenbrock in 25, box", rosenbrock, [3.0] * 25, 0.5, 4.0),
    ("rosenbrock in 25, lower only", rosenbrock, [3.0] * 25, 1.1, math.inf),
    ("beale, free", beale, [1.0, 1.0], -4.5, 4.5),
    ("beale, held", beale, [1.0, 0.0], -1.0, 2.0),
    ("quadratic in 10, active bounds", quadratic, [0.0] * 10, -0.5, 0.75),
    ("quadratic in 200, active bounds", quadratic, [0.1] * 200, -0.5, 0.75),
    ("quadratic in 200, upper only", quadratic, [0.0] * 200, -math.inf, 0.4),
    ("styblinski-tang in 6", styblinski, [-1.0, 1.0, -0.2, 0.5, 2.0, -3.0], -5.0, 2.5),
    ("himmelblau", himmelblau, [0.0, 0.0], 0.0, 2.5),
    ("weighted quartic in 30", more_quartic, [3.0] * 30, -2.0, 3.5),
]

cases = []
for name, function, start, lower, upper in CASES:
    n = len(start)
    # Tolerances as small as possible, so that the record is the minimum and not where a tolerance stopped.
    options = {"maxiter": 10_000, "maxfun": 100_000, "ftol": 1e-15, "gtol": 1e-10, "maxcor": 10}
    r = minimize(function, np.array(start), jac=True, method="L-BFGS-B", bounds=[(lower, upper)] * n, options=options)
    usual = minimize(function, np.array(start), jac=True, method="L-BFGS-B", bounds=[(lower, upper)] * n)
    ten = minimize(function, np.array(start), jac=True, method="L-BFGS-B", bounds=[(lower, upper)] * n, options={"maxiter": 10, "ftol": 0, "gtol": 0})
    cases.append({
        "name": name,
        "function": function.__name__,
        "start": start,
        "lower": None if math.isinf(lower) else lower,
        "upper": None if math.isinf(upper) else upper,
        "f": float(r.fun),
        "x": [float(v) for v in r.x],
        "default": {"f": float(usual.fun), "iterations": int(usual.nit), "evaluations": int(usual.nfev)},
        "ten_iterations_f": float(ten.fun),
    })
json.dump({"python": sys.version.split()[0], "numpy": np.__version__, "scipy": scipy.__version__, "cases": cases}, sys.stdout, indent=1)
print()
