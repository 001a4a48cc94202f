"""Confusion matrices, precision, recall and F1 by scikit-learn, for `src/confusion.rs`. Needs scikit-learn; prints JSON:

    python confusion.py > confusion.json

Undefined values are null, and are left out of the macro averages (zero_division=nan).
"""

import json
import math
import random
import sys

import sklearn
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

draw = random.Random(0)


def cases():
    # Two classes; four, of which one has no example and another is never predicted; five with noise.
    yield 2, [0, 0, 1, 1, 1, 0, 1], [0, 1, 1, 1, 0, 0, 1]
    yield 4, [0, 0, 1, 1, 3, 3, 3], [0, 1, 1, 0, 1, 0, 1]
    truth = [draw.randrange(5) for _ in range(200)]
    yield 5, truth, [t if draw.random() < 0.7 else draw.randrange(5) for t in truth]


def null(value):
    return None if math.isnan(value) else float(value)


def case(classes, truth, predicted):
    labels = list(range(classes))
    scores = lambda average: precision_recall_fscore_support(truth, predicted, labels=labels, average=average, zero_division=math.nan)
    precision, recall, f1, support = scores(None)
    means = scores("macro")
    return {
        "classes": classes,
        "truth": truth,
        "predicted": predicted,
        "confusion": confusion_matrix(truth, predicted, labels=labels).tolist(),
        "precision": [null(x) for x in precision],
        "recall": [null(x) for x in recall],
        "f1": [null(x) for x in f1],
        "support": support.tolist(),
        "macro": dict(zip(["precision", "recall", "f1"], map(null, means))),
    }


json.dump({
    "python": sys.version.split()[0],
    "scikit-learn": sklearn.__version__,
    "cases": [case(*c) for c in cases()],
}, sys.stdout)
print()
