"""Same seed, same bits: over runs, threads, batch sizes, hooks and interruptions."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import densekit as keras

X = np.linspace(-2, 2, 700).reshape(100, 7).astype("float32")
LABELS = np.arange(100) % 3


def build(optimizer: Any = "adam") -> Any:
    keras.utils.set_random_seed(11)
    model = keras.Sequential(
        [
            keras.Input((7,)),
            keras.layers.Dense(33, activation="gelu"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(17, activation="relu", kernel_regularizer="l2"),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def digest(model: Any) -> str:
    """A fingerprint of weights, optimizer and predictions."""
    arrays = [*model.get_weights(), *(v.numpy() for v in model.optimizer.variables)]
    arrays.append(model.predict(X, verbose=0))
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def run(epochs: int = 4, optimizer: Any = "adam", **fit: Any) -> str:
    model = build(optimizer)
    model.fit(X, LABELS, **{"epochs": epochs, "batch_size": 16, "verbose": 0, **fit})
    return digest(model)


def test_the_fingerprint_tells_runs_apart() -> None:
    assert run(4) != run(3)
    assert run(4) != run(4, shuffle=False)


def test_two_runs() -> None:
    histories = [build().fit(X, LABELS, epochs=3, verbose=0).history for _ in range(2)]
    assert histories[0] == histories[1]
    assert run() == run()


def test_the_seed_may_be_set_after_compiling() -> None:
    digests = []
    for _ in range(2):
        model = build()
        keras.utils.set_random_seed(99)
        model.fit(X, LABELS, epochs=2, verbose=0)
        digests.append(digest(model))
    assert digests[0] == digests[1]


_SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
import test_reproducibility as t
import numpy as np, densekit as keras
print(t.run())
keras.utils.set_random_seed(1)
layers = [keras.layers.Dense(512, activation="tanh"), keras.layers.Dense(1)]
wide = keras.Sequential([keras.Input((64,)), *layers])
wide.compile("adam", "mse")
x = np.random.default_rng(0).normal(size=(600, 64)).astype("float32")
wide.fit(x, x[:, :1], batch_size=200, epochs=2, verbose=0)
print([a.tobytes().hex()[-64:] for a in (*wide.get_weights(), wide.predict(x, verbose=0))])
"""


def test_any_number_of_threads() -> None:
    outputs = set()
    for threads in ("1", "2", "5"):
        result = subprocess.run(
            [sys.executable, "-c", _SCRIPT.format(folder=str(Path(__file__).parent))],
            env={
                **os.environ,
                "DENSEKIT_THREADS": threads,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.add(result.stdout)
    assert len(outputs) == 1
    assert run() in outputs.pop()


def test_hooks_do_not_change_the_training() -> None:
    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.batch = batch

    assert run(callbacks=[Watch()]) == run()
    assert run(optimizer="nadam", callbacks=[Watch()]) == run(optimizer="nadam")
    assert run(validation_data=(X, LABELS)) == run()
    assert run(verbose=2) == run()


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "nadam", "ftrl"])
def test_interrupted_and_resumed_in_one_process(optimizer: str) -> None:
    whole = build(optimizer)
    whole.fit(X, LABELS, epochs=4, verbose=0)
    parts = build(optimizer)
    for epoch in range(4):
        parts.fit(X, LABELS, initial_epoch=epoch, epochs=epoch + 1, verbose=0)
    assert digest(whole) == digest(parts)


@pytest.mark.parametrize("optimizer", ["adam", "nadam"])
@pytest.mark.parametrize("name", ["whole.keras", "state.weights.h5"])
def test_interrupted_and_resumed_from_a_file(name: str, optimizer: str, tmp_path: Path) -> None:
    whole = build(optimizer)
    whole.fit(X, LABELS, epochs=4, verbose=0)
    first = build(optimizer)
    first.fit(X, LABELS, epochs=2, verbose=0)
    path = str(tmp_path / name)
    if name.endswith(".keras"):
        first.save(path)
        keras.utils.set_random_seed(12345)
        second = keras.models.load_model(path)
    else:
        first.save_weights(path)
        second = build(optimizer)
        keras.utils.set_random_seed(12345)
        second.optimizer.build(second.trainable_variables)
        second.load_weights(path)
    second.fit(X, LABELS, initial_epoch=2, epochs=4, verbose=0)
    assert digest(second) == digest(whole)


def test_backup_and_restore_continues_bit_for_bit(tmp_path: Path) -> None:
    class Crash(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise RuntimeError("power cut")

    whole = build()
    whole.fit(X, LABELS, epochs=4, verbose=0)
    backup = str(tmp_path / "backup")
    crashed = build()
    with pytest.raises(RuntimeError, match="power cut"):
        crashed.fit(
            X,
            LABELS,
            epochs=4,
            verbose=0,
            callbacks=[keras.callbacks.BackupAndRestore(backup), Crash()],
        )
    resumed = build()
    history = resumed.fit(
        X, LABELS, epochs=4, verbose=0, callbacks=[keras.callbacks.BackupAndRestore(backup)]
    )
    assert history.epoch == [2, 3]
    assert digest(resumed) == digest(whole)


@pytest.mark.usefixtures("native_engine")  # whose products sum each row in one order
def test_rows_do_not_depend_on_their_company() -> None:
    model = build()
    expected = model.predict(X, verbose=0)
    for size in (1, 2, 7, 64):
        np.testing.assert_array_equal(model.predict(X, batch_size=size, verbose=0), expected)
    for n in (1, 2, 3, 5, 31, 99):
        np.testing.assert_array_equal(model.predict(X[:n], verbose=0), expected[:n])
        np.testing.assert_array_equal(model(X[n:]), expected[n:])


def test_shuffled_epochs_differ_from_each_other() -> None:
    orders: list[list[float]] = []

    class Order(keras.layers.Layer):
        def call(self, x: Any, training: Any = None) -> Any:
            if training:
                orders.append(np.asarray(getattr(x, "_value", x))[:, 0].tolist())
            return x

    model = keras.Sequential([keras.Input((1,)), Order(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    rows = np.arange(10, dtype="float32")
    orders.clear()
    for _ in range(2):
        model.fit(rows, rows, batch_size=10, epochs=2, verbose=0)
    assert len({tuple(order) for order in orders}) == 4
    assert all(sorted(order) == rows.tolist() for order in orders)
