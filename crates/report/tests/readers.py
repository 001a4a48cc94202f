"""Reads a report's folder with TensorBoard, PyArrow, Pillow and Python's CSV, XML and JSON readers, and compares the results."""

import csv
import glob
import json
import os
import sys
import xml.etree.ElementTree

import pyarrow.parquet
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = sys.argv[1]


def is_number(text):
    try:
        float(text)
        return True
    except ValueError:
        return False


for name in ["trials", "curves"]:
    table = pyarrow.parquet.read_table(f"{folder}/{name}.parquet")
    with open(f"{folder}/{name}.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    assert table.num_rows == len(rows) and table.column_names == list(rows[0])
    for column in table.column_names:
        for value, row in zip(table.column(column).to_pylist(), rows):
            text = row[column]
            same = (
                text == "" if value is None
                else text == value if isinstance(value, str)
                else text == str(value).lower() if isinstance(value, bool)
                else float(text) == value
            )
            assert same, (name, column, value, text)
        # Numbers are numbers, truths are truths, and words are words.
        kind = str(table.schema.field(column).type)
        there = [row[column] for row in rows if row[column] != ""]
        looks = "bool" if there and all(t in ("true", "false") for t in there) else "number" if there and all(map(is_number, there)) else "string"
        assert kind in {"bool": ["bool"], "number": ["int64", "double"], "string": ["string"]}[looks] or not there, (name, column, kind)
    if name == "trials":
        types = {c: str(table.schema.field(c).type) for c in table.column_names}
        wanted = {"provenance.examples_per_second": "double", "provenance.peak_memory_kb": "int64", "seed": "int64", "config.lr": "double"}
        assert {c: types[c] for c in wanted} == wanted, types

with open(f"{folder}/trials.jsonl") as f:
    records = {record["id"]: record for record in map(json.loads, f)}
files = glob.glob(f"{folder}/tensorboard/*/*/events.out.tfevents.*")
assert len(files) == len(rows := list(csv.DictReader(open(f"{folder}/trials.csv", newline=""))))
read = 0
for path in files:
    record = records[path.split(".")[-1]]
    events = EventAccumulator(path, size_guidance={"scalars": 0})
    events.Reload()
    tags = events.Tags()["scalars"]
    for tag, column in [("train_loss", "train_loss"), (record["metric"], "validation")]:
        curve = record["curves"]
        want = [(s, v) for s, v in zip(curve["step"], curve[column]) if v is not None]
        have = [(e.step, e.value) for e in events.Scalars(tag)] if tag in tags else []
        assert len(have) == len(want) and all(h[0] == w[0] and abs(h[1] - w[1]) <= 1e-6 * abs(w[1]) for h, w in zip(have, want)), path
        read += len(have)
    assert events.Scalars("final/steps")[0].value == record["steps"]
    for name, value in record["metrics"].items():
        assert abs(events.Scalars(f"final/{name}")[0].value - value) <= 1e-6 * abs(value)
assert read > 1000

for path in glob.glob(f"{folder}/figures/*.svg"):
    root = xml.etree.ElementTree.parse(path).getroot()
    with Image.open(path.replace(".svg", ".png")) as picture:
        picture.load()
        assert abs(picture.width - 2 * float(root.get("width"))) <= 1 and abs(picture.height - 2 * float(root.get("height"))) <= 1
        # Text, lines and marks: more than a few colours.
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 50
print(f"{len(rows)} trials, {read} points of curves")
