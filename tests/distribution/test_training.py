"""Training on eight virtual devices, and in several processes, is that on one.

Both need processes of their own: JAX decides on its devices when it is first used.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import densekit

MODEL = """
import json, os, sys
import numpy as np
import densekit as keras
from densekit import distribution as parallel

x = np.linspace(-1, 1, 66, dtype="float32").reshape(22, 3)
y = x[:, :2] ** 2

def built(normalized=False):
    keras.utils.set_random_seed(5)
    layers = [keras.Input((3,)), keras.layers.Dense(8, "tanh", name="a")]
    layers += [keras.layers.Dropout(0.25)]
    layers += [keras.layers.BatchNormalization()] if normalized else []
    model = keras.Sequential([*layers, keras.layers.Dense(8, "relu", name="b"), Watched(2)])
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, "mse", metrics=["mae"], engine="jax")
    return model

class Watched(keras.layers.Dense):
    seen = []
    def call(self, x):
        import jax
        jax.debug.inspect_array_sharding(x, callback=self.seen.append)
        return super().call(x)

def trained(model, **more):
    history = model.fit(x, y, batch_size=5, epochs=2, validation_split=0.2, verbose=0, **more)
    test = model.evaluate(x, y, batch_size=7, verbose=0)
    results = history.history, test, model.predict(x, verbose=0), model.get_weights()
    return [np.asarray(leaf).tolist() for leaf in keras.tree.flatten(results)]
"""

ON_DEVICES = """
results = {}
mesh = parallel.DeviceMesh((2, 4), ("batch", "model"))
columns, rows = parallel.LayoutMap(mesh), parallel.LayoutMap(mesh)
columns["[ab]/kernel"], columns["[ab]/bias"] = (None, "model"), ("model",)
rows["b/kernel"] = ("model", None)
for normalized in (False, True):
    for name, how in {
        "one": None,
        "data": parallel.DataParallel(),
        "columns": parallel.ModelParallel(layout_map=columns),
        "rows": parallel.ModelParallel(layout_map=rows),
    }.items():
        parallel.set_distribution(how)
        Watched.seen.clear()
        made = trained(built(normalized))
        devices = max(len(s.device_set) for s in Watched.seen)
        cut = any(not s.is_fully_replicated for s in Watched.seen)
        results[f"{name} {normalized}"] = made, devices, cut
print(json.dumps(results))
"""

IN_PROCESSES = """
count, number, port = (int(argument) for argument in sys.argv[1:4])
if count > 1:
    parallel.initialize(f"localhost:{port}", count, number)
parallel.set_distribution(parallel.DataParallel())
"""

FITTED = """
print(json.dumps([trained(built()), parallel.list_devices()]))
"""

# As in the guide: process 0 keeps the model, all take it up again.
RESUMED = """
path, dies = sys.argv[4:6]
own = {"Watched": Watched}
model = keras.models.load_model(path, own) if os.path.exists(path) else built()
epoch = int(model.optimizer.iterations) // 5
class Dying(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if dies == "dies" and epoch == 2 and number == 1:
            os._exit(9)
keeps = [keras.callbacks.ModelCheckpoint(path)] if number == 0 else []
keeps.append(Dying())
model.fit(x, y, batch_size=5, epochs=6, initial_epoch=epoch, verbose=0, callbacks=keeps)
print(json.dumps([epoch, [v.tolist() for v in model.get_weights()]]))
"""


def start(script: str, *arguments: Any, devices: int = 1) -> subprocess.Popen[str]:
    flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
    path = str(Path(densekit.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", MODEL + script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "XLA_FLAGS": flags},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process: subprocess.Popen[str]) -> Any:
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    return json.loads(out.splitlines()[-1])


def a_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return int(found.getsockname()[1])


def same(ours: Sequence[Any], theirs: Sequence[Any]) -> None:
    for one, two in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def test_eight_devices() -> None:
    """Batches of 5 and 7 rows are no multiples of the devices, and the last ones are shorter."""
    results = outcome(start(ON_DEVICES, devices=8))
    for normalized in (False, True):
        one, devices, _ = results[f"one {normalized}"]
        assert devices == 1
        for name in ("data", "columns", "rows"):
            made, devices, cut = results[f"{name} {normalized}"]
            assert devices == 8
            assert cut or normalized, name  # batches that must not be filled up may stay whole
            same(made, one)


def test_two_processes() -> None:
    port = a_port()
    jobs = [start(IN_PROCESSES + FITTED, 2, number, port) for number in range(2)]
    results = [outcome(job) for job in jobs]
    (alone, _) = outcome(start(IN_PROCESSES + FITTED, 1, 0, 0))
    for made, devices in results:
        assert len(devices) == 2
        same(made, alone)


def test_a_process_that_dies_ends_the_job_which_then_goes_on(tmp_path: Path) -> None:
    path, port = tmp_path / "model.keras", a_port()
    jobs = [start(IN_PROCESSES + RESUMED, 2, n, port, path, "dies") for n in range(2)]
    errors = [job.communicate(timeout=120)[1] for job in jobs]
    assert jobs[1].returncode == 9
    assert jobs[0].returncode != 0
    assert "expected all 2 processes of the job to take part" in errors[0]
    assert "start the job again from its last checkpoint" in errors[0]
    port = a_port()
    jobs = [start(IN_PROCESSES + RESUMED, 2, n, port, path, "lives") for n in range(2)]
    results = [outcome(job) for job in jobs]
    alone = outcome(start(IN_PROCESSES + RESUMED, 1, 0, 0, tmp_path / "other.keras", "lives"))
    for epoch, weights in results:
        assert epoch in (2, 3)  # the checkpoint of the third epoch was written, or not
        same(weights, alone[1])
