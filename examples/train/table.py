#!/usr/bin/env python3
"""Train recipes over several seeds and print a Markdown table: mean and standard deviation of the test accuracy.

    python3 examples/train/table.py PROGRAM SEEDS FILE.toml ... [-- more arguments for `largebatch train`]

SEEDS is a number: seeds 0 to SEEDS - 1. Recipes whose name begins with breast-cancer are cross-validated 5 x 10-fold instead.
"""
import json, os, statistics, subprocess, sys, tempfile


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def main():
    program, seeds, rest = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    cut = rest.index("--") if "--" in rest else len(rest)
    files, extra = rest[:cut], rest[cut + 1:]
    print("| recipe | test accuracy | n | validation | seconds per run | device |\n| --- | --- | --- | --- | --- | --- |")
    for file in files:
        name = os.path.basename(file).removesuffix(".toml")
        if name.startswith("breast-cancer"):
            got = run([program, "train", file, "--cross-validate", "5x10", "--json", "-q", *extra])
            print(f"| [{name}]({name}.toml) | {100 * got['accuracy']:.2f} ± {100 * got['accuracy_std']:.2f} % | 5 × 10 folds | | | flex |", flush=True)
            continue
        runs = []
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                runs.append(run([program, "train", file, "--seed", str(seed), "--json", "-q", "--out", os.path.join(folder, "run"), *extra]))
        test = [100 * r["test_accuracy"] for r in runs]
        validation = [100 * r["validation_accuracy"] for r in runs]
        spread = f" ± {statistics.stdev(test):.2f}" if seeds > 1 else ""
        print(f"| [{name}]({name}.toml) | {statistics.mean(test):.2f}{spread} % | {seeds} | {statistics.mean(validation):.2f} % | "
              f"{statistics.mean(r['seconds'] for r in runs):.0f} | {runs[0]['device']} |", flush=True)


main()
