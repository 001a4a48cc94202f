"""Folders of version 0.2.0, which tests/old_versions.rs opens with the present program.

    python3 tests/v0.2/make.py PROGRAM

PROGRAM is `largebatch` of version 0.2.0, commit 93a51d7. All but this file and old.csv is written anew; the version that PROGRAM prints goes to version.txt.
Hosts, this machine's paths and times are made neutral. The processor stays: only the same vector instructions give the same bits.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = pathlib.Path(sys.argv[1]).resolve()

MLP = ["--dataset", "digits", "--model", "mlp", "--set", "model.widths=[8]", "--optimizer", "momentum", "--batch-size", "32"]
# Lengths in steps, so that 0.3 plans the same rates; dropout, batch norm and shifted images, so that all that is random goes on.
RESUMED = """
dataset = "digits"
model = { name = "mlp", widths = [8], dropout = 0.1, batch_norm = true }
optimizer = { name = "momentum", momentum = 0.9 }
lr = 0.05
batch_size = 50
steps = 3000
schedule = { name = "cosine", warmup = { steps = 100 } }
seed = 3
checkpoint = { every_steps = 500, keep = 1 }
[data.preprocess]
normalise = "channel"
translate = 1
[log]
every_steps = 500
"""
# 38 steps an epoch of 303 training examples, for which 0.2 counted 37.875.
REAL = """
dataset = "diabetes"
model = "linear"
optimizer = "sgd"
lr = 0.01
batch_size = 8
epochs = 100
schedule = { name = "multi-step", at = { epochs = [50] } }
data = { validation = 50 }
checkpoint = { every_steps = 1000, keep = 1 }
log = { every_steps = 500 }
"""
PROBE = 'confirm.probe = ["layers", "line"]\n'
STUDY = """
name = "old"
threads = 1
split_seed = 0
axes.batch_size = [32, 128]
search.lr = [0.03, 0.1, 0.3]
budget.epochs = 4
tune.seeds = 1
confirm.seeds = 3
[set]
dataset = "digits"
model = "softmax"
optimizer = "momentum"
""".replace("[set]", PROBE + "[set]")
# A warm-up of two epochs of 1,150 examples is 6 steps of 512 in 0.3 and 4.49 in 0.2; of 32 it is 72 and 71.875.
EPOCHS = STUDY.replace('"old"', '"epochs"').replace(PROBE, "").replace("[32, 128]", "[512, 32]") + 'schedule = { name = "cosine", warmup = { epochs = 2 } }\n'
TARGETS = """
name = "targets"
threads = 1
split_seed = 0
axes.batch_size = [16, 64]
search.lr = [0.003, 0.01, 0.03]
budget.epochs = 10
tune.seeds = 1
confirm.seeds = 3
[set]
dataset = "diabetes"
model = "linear"
optimizer = "sgd"
data = { validation = 50 }
"""


def run(*arguments):
    subprocess.run([PROGRAM, *arguments], cwd=HERE, check=True, stdout=subprocess.DEVNULL)


def killed(arguments, far):
    """Kills the program as soon as `far` says that it has come far enough."""
    child = subprocess.Popen([PROGRAM, *arguments], cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while child.poll() is None and not far():
        time.sleep(0.0005)
    assert child.poll() is None, f"{arguments} ended before it was killed"
    os.killpg(child.pid, 9)
    child.wait()


def trained(file, text, out):
    """A run that is killed behind a checkpoint in `out`, and in `out`-whole what the undisturbed run leaves at its end."""
    (HERE / file).write_text(text.lstrip())

    def far():
        # There is a line behind those that the checkpoint counts.
        states = list((HERE / out).glob("checkpoints/step-*/state.json"))
        return states and (HERE / out / "events.jsonl").stat().st_size > json.loads(states[0].read_text())["events_length"]

    killed(["train", file, "--out", out, "--quiet"], far)
    run("train", file, "--out", f"{out}-whole", "--quiet")
    for path in (HERE / f"{out}-whole").iterdir():
        if path.name not in ("model.safetensors", "result.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def study(file, text, out, records, whole):
    """A study that is killed while it tunes, after so many records, in `out`-half; and the same undisturbed in `out`, with its summary."""
    (HERE / file).write_text(text.lstrip())
    journal = HERE / f"{out}-half" / "trials.jsonl"
    lines = lambda: journal.read_bytes().count(b"\n") if journal.exists() else 0
    killed(["study", "run", file, "--out", f"{out}-half", "--jobs", "1", "--quiet"], lambda: lines() >= records)
    assert lines() < 6, f"{out}: all tuning trials had ended; try again"
    if whole:
        run("study", "run", file, "--out", out, "--jobs", "1", "--quiet")
        (HERE / out / "summary.csv").write_bytes((HERE / out / "report" / "summary.csv").read_bytes())
    for folder in (HERE / f"{out}-half", HERE / out):
        shutil.rmtree(folder / "report", ignore_errors=True)


def neutral():
    """No host, path or time of the machine that made the files."""
    for path in [*HERE.rglob("*.lock"), *HERE.rglob("probe/*.svg")]:
        path.unlink()
    for path in HERE.glob("*/trials.jsonl"):
        lines = []
        for line in path.read_text().splitlines():
            record = json.loads(line)
            record["provenance"].update(host="host", started=0)
            lines.append(json.dumps(record, separators=(",", ":"), ensure_ascii=False))
        path.write_text("\n".join(lines) + "\n")
    for path in [*HERE.rglob("*.json"), *HERE.rglob("*.toml")]:
        path.write_text(path.read_text().replace(str(HERE), "/home/user"))
    for path in filter(pathlib.Path.is_file, HERE.rglob("*")):
        content = path.read_bytes()
        assert path == pathlib.Path(__file__).resolve() or not re.search(rb"/work|/root|/tmp", content), f"{path} names a folder"


for path in HERE.iterdir():
    if path.name not in ("make.py", "old.csv"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
version = subprocess.run([PROGRAM, "--version"], check=True, capture_output=True, text=True).stdout
assert version.startswith("largebatch 0.2.0"), version
(HERE / "version.txt").write_text(version)

run("train", *MLP, "--epochs", "2", "--out", "digits", "--quiet")
run("train", "--set", 'dataset={format="csv",train="old.csv",label="kind"}', "--model", "softmax", "--epochs", "5", "--out", "own", "--quiet")
run("train", "--dataset", "diabetes", "--model", "linear", "--epochs", "50", "--lr", "0.05", "--set", "data.validation=50", "--out", "diabetes",
    "--set", "log.every_steps=100", "--quiet")
run("probe", "sharpness", "diabetes", "--quiet")
trained("resumed.toml", RESUMED, "resumed")
trained("real.toml", REAL, "real")
study("study.toml", STUDY, "study", 2, True)
study("epochs.toml", EPOCHS, "epochs", 4, False)
study("targets.toml", TARGETS, "targets", 2, True)
neutral()
