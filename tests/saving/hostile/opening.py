"""A process that opens files under limits, and says in a JSON line what each did."""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import densekit as keras

from .parts import genuine


def resident() -> int:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def open_all(folder: Path, limit: int) -> None:
    """Open each file in this process, which may ask for `limit` bytes more than it has."""
    warnings.simplefilter("ignore")
    target = genuine()
    keras.models.load_model(folder / "good.keras")
    keras.models.load_model(folder / "good.h5")
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + limit, size + limit))
    for name, wanted, path in json.loads((folder / "cases.json").read_text()):
        start, before = time.process_time(), target.get_weights()
        peak = resident()
        try:
            if path.endswith(".weights.h5"):
                target.load_weights(path)
            else:
                keras.models.load_model(path)
            outcome, text = "loaded", ""
        except BaseException as error:
            outcome, text = type(error).__name__, str(error)[:300]
            if path.endswith(".weights.h5"):
                after = target.get_weights()
                same = all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
                outcome = outcome if same else f"{outcome} and changed weights"
        seconds = time.process_time() - start
        if path.endswith(".weights.h5"):
            target.set_weights(before)
        row = {"name": name, "wanted": wanted, "outcome": outcome, "text": text}
        print(json.dumps(row | {"seconds": seconds, "grown": resident() - peak}), flush=True)


if __name__ == "__main__":
    open_all(Path(sys.argv[1]), int(sys.argv[2]))
