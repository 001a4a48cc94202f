"""scikit-learn's side: THREADS FORM WORK …. `SGDClassifier` for logistic regression at batch 1, on one thread; the time is that of one example's step."""

import sys

import numpy as np
from sklearn.linear_model import SGDClassifier

from side import SIZES, none, serve, timed

what, *options = sys.argv[3:]
if [what, *options[1:]] != ["train", "logistic", "1"]:
    none("SGDClassifier has only batch 1 and two classes")
n, features, _ = SIZES[options[0]]
x, y = np.random.default_rng(0).standard_normal((n, features)), np.arange(n) % 2
EPOCHS = 500


def work():
    SGDClassifier(loss="log_loss", alpha=0.0, learning_rate="constant", eta0=0.01, max_iter=EPOCHS, tol=None).fit(x, y)


serve(lambda: timed(work) / (EPOCHS * n))
