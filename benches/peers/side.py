"""What the peers' sides share: the protocol of `largebatch-benches`, and the data.

A side prints `ready`, or `no WHY` if it has no such work. Then it reads lines with a number of seconds; for each it repeats its unit for about that time
and prints the median number of seconds per unit.
"""

import sys, time


def none(why):
    print("no", why, flush=True)
    sys.exit()


def serve(unit):
    """`unit` does one unit and returns its time in seconds."""
    unit()
    print("ready", flush=True)
    for line in sys.stdin:
        times, begin = [], time.perf_counter()
        while not times or time.perf_counter() - begin < float(line):
            times.append(unit())
        print(f"{sorted(times)[len(times) // 2]:.9f}", flush=True)


def timed(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


# Training examples of the data sets that rows name, after validation and test parts are taken off as largebatch does, features and classes.
SIZES = {"digits": (1293, 64, 10), "breast-cancer": (410, 30, 2)}


def digits():
    """Scaled digits, in the parts of `grid.toml`: training, validation, test."""
    from sklearn.datasets import load_digits
    x, y = load_digits(return_X_y=True)
    mean, std = x[:1280].mean(0), x[:1280].std(0)
    x = ((x - mean) / (std + (std == 0))).astype("float32")
    return [(x[part], y[part]) for part in (slice(0, 1280), slice(1280, 1437), slice(1437, None))]


# The trials of `grid.toml`.
RATES, SEEDS, EPOCHS, BATCH = [0.003 * 100 ** (i / 7) for i in range(8)], 4, 10, 32


def shapes(side):
    """Of the parameters for `optimizer`: the 53 convolutions of ResNet-50 with a larger last one, or a square matrix of this side."""
    if side:
        return [(int(side), int(side))]
    all, inputs = [(64, 3, 7, 7)], 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            all += [(width, inputs, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)] + ([(4 * width, inputs, 1, 1)] if block == 0 else [])
            inputs = 4 * width
    return [*all[:-1], (4999, 512, 1, 1)]
