"""Training on eight virtual devices, and in four processes, is that on one.

Both need processes of their own: JAX decides on its devices when it is first used.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
    return numbers((history.history, test, model.predict(x, verbose=0)))

def numbers(tree):
    return [np.asarray(leaf).tolist() for leaf in keras.tree.flatten(tree)]

def in_order(model, x, y, batch_size):
    history = model.fit(x, y, batch_size=batch_size, epochs=2, shuffle=False, verbose=0)
    return [*history.history.values(), *(v.tolist() for v in model.get_weights())]
"""

ON_DEVICES = """
from densekit._core.moved import MovedVariable
from densekit.engines.jax import own_steps, placement
results = {}

def is_moved(variable):
    return isinstance(variable, MovedVariable)

class Own(keras.Model):
    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}

def own_step():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(8, "tanh", name="a")(inputs)
    model = Own(inputs, keras.layers.Dense(2)(hidden))
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", engine="jax")
    placed, run = [], own_steps.OwnLoop.run
    def watched(self, chunk):
        placed.append(self._placement is not None)
        return run(self, chunk)
    own_steps.OwnLoop.run = watched
    model.fit(x, y, batch_size=5, epochs=2, verbose=0)
    own_steps.OwnLoop.run = run
    return numbers(model.get_weights()), placed

def in_parts(model):
    # What is cut is gathered when it is read, and then alone; files by parts gather nothing. A
    # native plan that has the buffers of the same weights sees them change.
    gathered, read = [], placement.Placement.read
    placement.Placement.read = lambda self, *of: (gathered.append(of[1]), read(self, *of))[1]
    keep = keras.callbacks.OrbaxCheckpoint(sys.argv[1])
    trained(model, callbacks=[keep])
    loaded = keras.models.load_model(sys.argv[1], {"Watched": Watched})
    parts = [
        numbers([v.home.value.addressable_data(1) for v in m.weights[:4]])
        for m in (model, loaded)
    ]
    same = parts[0] == parts[1]
    none = [*gathered]
    model.weights[2].numpy()
    one = len(gathered)
    equal = [np.array_equal(a, b) for a, b in zip(model.get_weights(), loaded.get_weights())]

    hidden = keras.Model(model.inputs, model.layers[0].output)
    outputs = [hidden(x[:2]).tolist()]
    trained(model)
    kernel, bias = model.get_weights()[:2]
    outputs += [hidden(x[:2]).tolist(), np.tanh(x[:2] @ kernel + bias).tolist()]
    return {"parts": (same, none, one, equal), "native": outputs}

mesh = parallel.DeviceMesh((2, 4), ("batch", "model"))
columns, rows = parallel.LayoutMap(mesh), parallel.LayoutMap(mesh)
columns[".*[ab]/kernel"], columns[".*[ab]/bias"] = (None, "model"), ("model",)
rows[".*b/kernel"] = ("model", None)
for normalized in (False, True):
    for name, how in {
        "one": None,
        "data": parallel.DataParallel(),
        "columns": parallel.ModelParallel(layout_map=columns),
        "rows": parallel.ModelParallel(layout_map=rows),
    }.items():
        if normalized and name == "rows":
            continue  # which takes its time
        parallel.set_distribution(how)
        Watched.seen.clear()
        model = built(normalized)
        made = trained(model)
        devices = max(len(s.device_set) for s in Watched.seen)
        cut = any(not s.is_fully_replicated for s in Watched.seen)
        kept = [v for v in [*model.weights, *model.optimizer.variables] if is_moved(v)]
        parts = [(v.shape, v.home.value.addressable_data(0).shape) for v in kept]
        made += numbers(model.get_weights())
        results[f"{name} {normalized}"] = made, devices, cut, parts
        if name in ("one", "columns") and not normalized:
            results[f"own {name}"] = own_step()
        if name == "columns" and not normalized:
            results |= in_parts(model)
parallel.set_distribution(None)
results["in order"] = in_order(built(), x, y, 4)
print(json.dumps(results))
"""

# Each process says what it got, then trains with a layout over all until somebody kills one.
FOUR = """
count, number, port = (int(argument) for argument in sys.argv[1:4])
parallel.initialize(f"localhost:{port}", count, number)
parallel.set_distribution(parallel.DataParallel())
drawn = keras.random.SeedGenerator().state.numpy().tolist()
other = built()
other.weights[0].assign_add(number * np.ones((3, 8)))
try:
    other.fit(x, y, batch_size=5, verbose=0)
except ValueError as error:
    refused = str(error)
model = built()
made = [*trained(model), *numbers(model.get_weights())]
parallel.set_distribution(parallel.DataParallel(auto_shard_dataset=False))
own = in_order(built(), x[number::4], y[number::4], 1)  # of 22 rows two processes have one more
print(json.dumps({"made": made, "own": own, "drawn": drawn, "refused": refused}), flush=True)

mesh = parallel.DeviceMesh((2, 2), ("batch", "model"))
columns = parallel.LayoutMap(mesh)
columns[".*[ab]/kernel"], columns[".*[ab]/bias"] = (None, "model"), ("model",)
parallel.set_distribution(parallel.ModelParallel(layout_map=columns))

class Saying(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        print(int(self.model.optimizer.iterations), flush=True)

keep = keras.callbacks.OrbaxCheckpoint(
    sys.argv[4], save_freq=5, max_to_keep=2, save_on_background=False
)
model = built()
model.fit(x, y, batch_size=5, epochs=10**6, verbose=0, callbacks=[keep, Saying()])
"""

# In a job of other size, with another layout: five steps an epoch.
RESUMED = """
count, number, port = (int(argument) for argument in sys.argv[1:4])
if count > 1:
    parallel.initialize(f"localhost:{port}", count, number)
    parallel.set_distribution(parallel.DataParallel())
    model = keras.models.load_model(sys.argv[4], {"Watched": Watched})
else:
    model = built()
begin = int(model.optimizer.iterations) // 5
epochs = int(sys.argv[5])
model.fit(x, y, batch_size=5, epochs=epochs, initial_epoch=begin, verbose=0)
print(json.dumps([begin, [v.tolist() for v in model.get_weights()]]))
"""


def start(script: str, *arguments: Any, devices: int = 1) -> subprocess.Popen[str]:
    flags = f"--xla_force_host_platform_device_count={devices} {os.environ['XLA_FLAGS']}"
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


@pytest.fixture(scope="module")
def on_devices(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return outcome(start(ON_DEVICES, tmp_path_factory.mktemp("parts"), devices=8))


def test_eight_devices(on_devices: Any) -> None:
    """Batches of 5 and 7 rows are no multiples of the devices, and the last ones are shorter."""
    for normalized in (False, True):
        one, devices, *_ = on_devices[f"one {normalized}"]
        assert devices == 1
        for name in ("data", "columns") if normalized else ("data", "columns", "rows"):
            made, devices, cut, parts = on_devices[f"{name} {normalized}"]
            assert devices == 8
            assert cut or normalized, name  # batches that must not be filled up may stay whole
            same(made, one)
            of_weights = {
                "data": [],
                "columns": [[[3, 8], [3, 2]], [[8], [2]], [[8, 8], [8, 2]], [[8], [2]]],
                "rows": [[[8, 8], [2, 8]]],
            }[name]
            assert parts == 2 * of_weights  # each weight, then its momentum


def test_what_is_cut_is_whole_for_those_who_read_it(on_devices: Any) -> None:
    """Between epochs and in checkpoints it stays in parts."""
    same, none, one, equal = on_devices["parts"]
    assert same and none == [] and one == 1
    assert all(equal)
    first, second, expected = on_devices["native"]
    assert first != second
    np.testing.assert_allclose(second, expected, rtol=1e-5)


def test_steps_of_users_are_shared_out(on_devices: Any) -> None:
    (one, alone), (made, placed) = on_devices["own one"], on_devices["own columns"]
    assert not any(alone) and all(placed) and len(placed) == len(alone) > 0
    same(made, one)


def test_four_processes_of_which_one_is_killed(on_devices: Any, tmp_path: Path) -> None:
    """Training in all is that in one; a job that lost one goes on from its last checkpoint."""
    folder, port = tmp_path / "checkpoints", a_port()
    jobs = [start(FOUR, 4, number, port, folder) for number in range(4)]
    one, drawn = on_devices["one False"][0], []
    for job in jobs:
        assert job.stdout is not None
        line = next((line for line in job.stdout if line.startswith("{")), None)  # Gloo talks, too
        assert line, [job.communicate()[1] for job in jobs]
        said = json.loads(line)
        same(said["made"], one)
        same(said["own"], on_devices["in order"])
        assert "expected the same weights" in said["refused"]
        drawn.append(said["drawn"])
    assert drawn == 4 * drawn[:1]  # what nobody seeded is the same in all
    chance = random.SystemRandom()
    victim = jobs[chance.randrange(4)]
    while latest(folder) < 5:
        time.sleep(0.05)
    time.sleep(chance.uniform(0.0, 0.5))
    victim.kill()
    killed = time.monotonic()
    ends = [job.communicate(timeout=60) for job in jobs]
    assert time.monotonic() - killed < 30
    for job, (out, error) in zip(jobs, ends, strict=True):
        assert job.returncode != 0
        # The loss of the first process may be told by JAX itself.
        told = "expected all 4 processes of the job to take part" in error
        assert job is victim or told or "another task died" in error, error
        steps = [int(line) for line in out.split("\n")[:-1] if line.isdigit()]
        assert not steps or steps[-1] - latest(folder) <= 5 + 1  # in the step that is not told yet
    end, port = latest(folder) // 5 + 1, a_port()
    jobs = [start(RESUMED, 2, number, port, folder, end) for number in range(2)]
    whole = start(RESUMED, 1, 0, 0, folder, end)
    begin, straight = outcome(whole)
    assert begin == 0
    for begin, weights in map(outcome, jobs):
        assert begin == end - 1
        same(weights, straight)


def latest(folder: Path) -> int:
    """The last checkpoint that is whole."""
    steps = folder.iterdir() if folder.is_dir() else ()
    return max((int(path.name) for path in steps if path.name.isdigit()), default=0)
