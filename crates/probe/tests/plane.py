"""The principal components of a path by NumPy, for `plane.rs` in this folder. Needs numpy; prints JSON:

    python plane.py > plane.json
"""

import json
import sys

import numpy as np

t, i = np.meshgrid(np.arange(9.0), np.arange(12.0), indexing="ij")
path = np.sin(t * (i + 1) / 3) * np.exp(-t / 4) + 0.1 * i
u, s, vt = np.linalg.svd(path - path.mean(axis=0), full_matrices=False)
json.dump({
    "python": sys.version.split()[0],
    "numpy": np.__version__,
    "explained": list(s[:2] ** 2 / np.sum(s**2)),
    "coordinates": [list(c) for c in (path - path[-1]) @ vt[:2].T],
}, sys.stdout, indent=1)
print()
