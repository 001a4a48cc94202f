#!/usr/bin/env python3
"""Measure the default learning rates of `src/defaults.toml`.

    python3 crates/train/tune-defaults.py PROGRAM [MODEL ...] [--optimizers NAME,...] > rates.json

For each model and optimizer, at batch size 64: trains on representative data at each rate of a grid (a factor of about 3 apart) with two seeds (one for the CNNs
that take seconds per step) that nothing else uses. Finds the rate with the best mean VALIDATION accuracy (for `linear`: loss; ties go to the lower loss), and
takes the smallest rate within one binomial standard error of it, so that chance does not push a default to the edge of divergence. The test part is not used.
Prints one JSON object per line: model, optimizer, rate, its mean, and whether it is on the edge of the grid.
"""
import json, math, subprocess, sys, tempfile, os

GRIDS = {
    "sgd": [0.003, 0.01, 0.03, 0.1, 0.3, 1.0],
    "momentum": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3],
    "nesterov": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3],
    "adagrad": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0],
    "adam": [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
    "adamw": [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
    "lars": [0.3, 1.0, 3.0, 10.0, 30.0, 100.0],
    "lamb": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3],
    "rmsprop": [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
    "adadelta": [0.03, 0.1, 0.3, 1.0, 3.0, 10.0],
    "adamax": [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
    "adafactor": [0.001, 0.003, 0.01, 0.03, 0.1],
    "nadam": [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
    "nadamw": [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1],
    "lion": [0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01],
    "novograd": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3],
    "lans": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3],
    "muon": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3],
}
# Model/data set -> data set and budget. A model without a data set stands for all unmeasured data sets.
MODELS = {
    "linear": ["--dataset", "diabetes"],
    "logistic": ["--dataset", "breast-cancer"],
    "perceptron": ["--dataset", "breast-cancer"],
    "softmax/digits": ["--dataset", "digits"],
    "softmax": ["--dataset", "mnist", "--epochs", "2"],
    "mlp/digits": ["--dataset", "digits"],
    "mlp": ["--dataset", "mnist", "--epochs", "1"],
    "f1/digits": ["--dataset", "digits", "--epochs", "10"],
    "f1": ["--dataset", "mnist", "--epochs", "1"],
    "lenet5": ["--dataset", "mnist", "--steps", "400"],
    "simple-cnn": ["--dataset", "mnist", "--steps", "80", "--set", "data.validation=1000"],
    "resnet8": ["--dataset", "cifar-10", "--steps", "80", "--set", "data.validation=1000"],
    "c1": ["--dataset", "cifar-10", "--steps", "40", "--set", "data.validation=1000"],
    "resnet20": ["--dataset", "cifar-10", "--steps", "50", "--set", "data.validation=1000"],
}
SEEDS = [1001, 1002]
SLOW = ["simple-cnn", "resnet8", "c1", "resnet20"]


def score(program, data, model, optimizer, rate, seed):
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "train", *data, "--model", model.split("/")[0], "--optimizer", optimizer, "--lr", str(rate), "--seed", str(seed),
                   "--json", "-q", "--set", "log.evaluate_every_steps=1000000", "--threads", "1", "--out", os.path.join(folder, "run")]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode == 3:
            return (-math.inf, -math.inf, 0)
        if run.returncode != 0:
            sys.exit(run.stderr)
        validation = json.loads(run.stdout)["validation"]
        loss = -validation["loss"]
        return (validation["accuracy"], loss, validation["n"]) if "accuracy" in validation else (loss, loss, 0)


def main():
    arguments, optimizers = sys.argv[1:], list(GRIDS)
    if "--optimizers" in arguments:
        at = arguments.index("--optimizers")
        optimizers = arguments[at + 1].split(",")
        del arguments[at:at + 2]
    program, models = arguments[0], arguments[1:] or list(MODELS)
    for model in models:
        for optimizer, grid in ((name, GRIDS[name]) for name in optimizers):
            seeds = SEEDS[:1] if model in SLOW + ["f1", "mlp"] else SEEDS
            means, examples, grid = {}, 0, list(grid[1:-1] if model in SLOW else grid)
            while True:
                for rate in grid:
                    if rate not in means:
                        scores = [score(program, MODELS[model], model, optimizer, rate, seed) for seed in seeds]
                        means[rate] = (sum(s[0] for s in scores) / len(scores), sum(s[1] for s in scores) / len(scores))
                        examples = max(examples, sum(s[2] for s in scores))
                best = max(grid, key=lambda rate: means[rate])
                edge = 1 if best == grid[-1] else -1 if best == grid[0] else 0
                if edge == 0 or len(grid) > 14:
                    break
                # The best rate is on the edge of the grid: continue in that direction.
                grid = grid + [float(f"{grid[-1] * 10 ** 0.5:.1g}")] if edge > 0 else [float(f"{grid[0] / 10 ** 0.5:.1g}")] + grid
            if examples:
                top = means[best][0]
                best = min(rate for rate in means if means[rate][0] >= top - math.sqrt(top * (1 - top) / examples))
            print(json.dumps({"model": model, "optimizer": optimizer, "rate": best, "accuracy": round(means[best][0], 4),
                              "loss": round(-means[best][1], 4), "edge": edge != 0}), flush=True)


main()
