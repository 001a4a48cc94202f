"""Writes golden.json, the figures that the tests of this crate compare with. Run: python golden.py > golden.json"""
import json
import sys

import numpy
import scipy
from scipy import optimize, stats

rows = [0, 1, 2, 3, 4, 7, 8, 100, 511, 512, 999]
sobol = stats.qmc.Sobol(10, scramble=False, bits=32).random(1024)
halton = stats.qmc.Halton(10, scramble=False).random(1000)
data = [0.97, 0.968, 0.975, 0.971, 0.9694, 0.9722, 0.9681, 0.9747, 0.9702, 0.9699, 0.9733, 0.962]
t = {n: list(stats.t.interval(0.95, n - 1, numpy.mean(data[:n]), stats.sem(data[:n]))) for n in (2, 3, 5, 9)}
boot = stats.bootstrap((data,), numpy.mean, n_resamples=1_000_000, method="BCa", rng=1).confidence_interval
x = [32.0, 64.0, 128.0, 256.0, 512.0, 1024.0]
y = [0.05, 0.08, 0.13, 0.17, 0.29, 0.38]
fit = stats.linregress(numpy.log(x), numpy.log(y))
half = stats.t.ppf(0.975, len(x) - 2) * fit.stderr
steps = [3000.0, 1560.0, 830.0, 480.0, 300.0, 210.0]
curve = optimize.least_squares(lambda p: p[0] + numpy.log1p(numpy.exp(p[1]) / numpy.array(x)) - numpy.log(steps), [5.0, 5.0], xtol=1e-14, ftol=1e-14)
json.dump({
    "versions": {"python": sys.version.split()[0], "numpy": numpy.__version__, "scipy": scipy.__version__},
    "sobol": [[i, sobol[i].tolist()] for i in rows],
    "halton": [[i, halton[i].tolist()] for i in rows],
    "data": data,
    "t_interval": t,
    "bca": [boot.low, boot.high],
    "power": {"x": x, "y": y, "exponent": fit.slope, "low": fit.slope - half, "high": fit.slope + half},
    "hyperbola": {"batch": x, "steps": steps, "s_min": float(numpy.exp(curve.x[0])), "b_crit": float(numpy.exp(curve.x[1]))},
}, sys.stdout, indent=1)
