"""Writes the data files of this package from scikit-learn's own, and the numbers that the tests compare with.

    pip install scikit-learn==1.9.1 && python make.py

`expected.json` is computed from what scikit-learn's loaders return, not from the files written here. The test parts are drawn once, here:
they depend on no seed of a run.
"""

import hashlib
import json
import pathlib
import platform

import numpy
import sklearn
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.model_selection import train_test_split

HERE = pathlib.Path(__file__).parent / "data"


def main():
    digits, cancer, diabetes = load_digits(), load_breast_cancer(), load_diabetes(scaled=False)
    # digits.bin: 1797 records of 65 bytes: the label, then 8 x 8 values 0..16, row by row.
    records = numpy.concatenate([digits.target[:, None], digits.data], axis=1).astype(numpy.uint8)
    (HERE / "digits.bin").write_bytes(records.tobytes())
    table("breast-cancer.csv", cancer, [str(t) for t in cancer.target], "class")
    table("diabetes.csv", diabetes, [repr(float(t)) for t in diabetes.target], "progression")

    edges = numpy.quantile(diabetes.target, numpy.arange(1, 10) / 10)
    strata = {"digits": digits.target, "breast-cancer": cancer.target, "diabetes": numpy.digitize(diabetes.target, edges)}
    expected = {"made with": {"python": platform.python_version(), "numpy": numpy.__version__, "scikit-learn": sklearn.__version__}}
    for (name, stratum), data in zip(strata.items(), (digits, cancer, diabetes)):
        test = numpy.sort(train_test_split(numpy.arange(len(stratum)), test_size=0.2, stratify=stratum, random_state=0)[1])
        (HERE / f"{name}.test.txt").write_text("".join(f"{i}\n" for i in test))
        train = numpy.setdiff1d(numpy.arange(len(stratum)), test)
        expected[name] = {
            "train": len(train),
            "test": len(test),
            "features": data.data.shape[1],
            "column_mean_train": data.data[train].mean(axis=0).tolist(),
            "column_mean_test": data.data[test].mean(axis=0).tolist(),
            "label_sum_train": float(data.target[train].sum()),
            "label_sum_test": float(data.target[test].sum()),
            # float32, little endian, row by row, in the order of the file
            "sha256_train": hashlib.sha256(data.data[train].astype("<f4").tobytes()).hexdigest(),
            "sha256_test": hashlib.sha256(data.data[test].astype("<f4").tobytes()).hexdigest(),
        }
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def table(file, data, labels, label):
    lines = [",".join([*(name.replace(" ", "_") for name in data.feature_names), label])]
    for row, y in zip(data.data, labels):
        lines.append(",".join([*(f"{x:.17g}" if float(f"{x:.15g}") != x else f"{x:.15g}" for x in row), y]))
    (HERE / file).write_text("\n".join(lines) + "\n")


main()
