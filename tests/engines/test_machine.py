"""What the core finds of the machine decides how products are cut, and no bit shows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import densekit
from densekit import _native

# Widths with tails of less and more than half a vector; rows of several tiles.
TRAINS = """
import hashlib
import numpy as np
import densekit as keras

keras.utils.set_random_seed(3)
layers = [keras.layers.Dense(n, "relu") for n in (100, 44, 20)]
model = keras.Sequential([keras.Input((70,)), *layers, keras.layers.Dense(3)])
model.compile("adam", "mse")
x = np.random.default_rng(0).normal(size=(90, 70)).astype("float32")
model.fit(x, x[:, :3], batch_size=45, epochs=2, verbose=0)
bits = b"".join(w.tobytes() for w in [*model.get_weights(), model.predict(x, verbose=0)])
print(hashlib.sha256(bits).hexdigest())
"""


def _run(code: str, machine: str) -> subprocess.CompletedProcess[str]:
    path = str(Path(densekit.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": path, "DENSEKIT_MACHINE": machine}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )


def test_training_has_the_same_bits_for_every_tile_and_cache() -> None:
    two_ports = "fma_ports=2,l1d=49152,l2=2097152"  # Sapphire Rapids
    machines = ("", two_ports, "tile_rows=5,tile_vectors=3", "l1d=1024,l2=4194304")
    made = [_run(TRAINS, machine) for machine in machines]
    assert not any(run.returncode for run in made), made
    assert len({run.stdout for run in made}) == 1 and len(made[0].stdout) == 65


@pytest.mark.parametrize("wrong", ["ports=2", "l2", "l2=1 MiB", "fma_ports=-1"])
def test_what_cannot_be_read_is_refused(wrong: str) -> None:
    run = _run("import densekit._native", wrong)
    assert (
        run.returncode != 0 and "ImportError: DENSEKIT_MACHINE: expected name=number" in run.stderr
    )
    assert f"got '{wrong}'" in run.stderr and "fma_ports" in run.stderr


def test_what_is_found_is_plausible() -> None:
    machine = _native.machine()
    assert 0 < machine["l1d"] <= machine["l2"] and machine["l3"] > 0
    assert machine["fma_ports"] in (1, 2)
