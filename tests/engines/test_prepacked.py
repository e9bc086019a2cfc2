"""Prepacked weights of inference: the same bits as without, and never a weight of yesterday."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import densekit as keras
from densekit import _native

from .native_plans import dense

Array = npt.NDArray[Any]

STABLE_CALLS = 32  # calls until a copy is made
WIDE = (1100, 1200)  # 5 MB: no core's cache holds it


class Wide:
    """A plan of one wide dense op, then maybe a narrow one; is its kernel's write version known?"""

    def __init__(self, rng: np.random.Generator, versioned: bool = True, **options: Any) -> None:
        dtype = options.get("dtype", "float32")
        sizes = options.get("sizes", (*WIDE, 7))
        self.plan = _native.Plan(dtype)
        if options.get("bfloat16"):
            self.plan.compute_in("bfloat16")
        self.out = sizes[-1]
        self.weights, self.write_version = [], []
        x = self.plan.input(sizes[0] * options.get("positions", 1))
        for n_in, n_out in itertools.pairwise(sizes):
            w = (rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)).astype(dtype)
            b = rng.standard_normal(n_out).astype(dtype)
            write_version = np.zeros(3, np.int64)
            kernel = self.plan.parameter(w, False, write_version if versioned else None)
            bias = self.plan.parameter(b, False)
            activation = options.get("activation", "softmax") if n_out == self.out else "tanh"
            x = dense(self.plan, x, kernel, bias, n_in, n_out, activation)
            self.weights.append(w)
            self.write_version.append(write_version)
        self.out *= options.get("positions", 1)
        self.plan.output(x)
        self.plan.finalize()

    def predict(self, x: Array) -> Array:
        y = np.full((len(x), self.out), np.nan, x.dtype)
        self.plan.predict([x], len(x), [y])
        return y

    def warm(self, x: Array) -> None:
        for _ in range(STABLE_CALLS + 1):
            self.predict(x[:1])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dtype": "float64", "sizes": (700, 1100, 33)},
        {"activation": "mish", "sizes": (1100, 1237)},
        {"activation": "log_softmax", "sizes": (90_000, 20)},  # one panel
        {"sizes": (9_000, 200)},
        {"positions": 3},
        {"bfloat16": True},
        {"bfloat16": True, "sizes": (40, 50, 30)},
    ],
    ids=str,
)
def test_bits(options: dict[str, Any], rng: np.random.Generator) -> None:
    plain = Wide(np.random.default_rng(0), versioned=False, **options)
    versioned = Wide(np.random.default_rng(0), **options)
    rows = 300 if np.prod(plain.weights[0].shape) < 1.5e6 else 40
    width = len(plain.weights[0]) * options.get("positions", 1)
    x = rng.standard_normal((rows, width)).astype(plain.weights[0].dtype)
    versioned.warm(x)
    assert _native.testing.prepacked_bytes(versioned.plan) > 0
    for n in (1, 2, 3, 4, 7, 33, 64, 129, 300):
        np.testing.assert_array_equal(versioned.predict(x[:n]), plain.predict(x[:n]))
    assert _native.testing.prepacked_bytes(plain.plan) == 0


def test_a_copy_ends_with_the_weights_it_was_made_of(rng: np.random.Generator) -> None:
    wide, x = Wide(rng), rng.standard_normal((5, WIDE[0])).astype("f")
    wide.warm(x)
    assert _native.testing.prepacked_bytes(wide.plan) == wide.weights[0].nbytes
    before = wide.predict(x)
    wide.weights[0] *= 2
    wide.write_version[0][1] += 1
    changed = wide.predict(x)
    assert _native.testing.prepacked_bytes(wide.plan) == 0
    assert not np.array_equal(changed, before)
    wide.warm(x)
    assert _native.testing.prepacked_bytes(wide.plan) > 0
    np.testing.assert_array_equal(wide.predict(x), changed)


def test_nobody_copies_what_is_being_written(rng: np.random.Generator) -> None:
    wide, x = Wide(rng), rng.standard_normal((1, WIDE[0])).astype("f")
    wide.write_version[0][0] = 1
    wide.warm(x)
    assert _native.testing.prepacked_bytes(wide.plan) == 0
    wide.write_version[0][:] = (0, 1, 0)
    wide.warm(x)
    assert _native.testing.prepacked_bytes(wide.plan) > 0
    wide.write_version[0][0] = 1
    wide.predict(x)
    assert _native.testing.prepacked_bytes(wide.plan) == 0


@pytest.mark.parametrize(
    "write_version", [np.zeros(3), np.zeros(2, np.int64), np.zeros(6, np.int64)[::2]]
)
def test_write_versions_are_three_integers(write_version: Array) -> None:
    with pytest.raises((TypeError, ValueError), match="write_version"):
        _native.Plan("float32").parameter(np.zeros((2, 2), "f"), True, write_version)


# ---- Models: every way in which a weight changes


def new_model(width: int = WIDE[1]) -> Any:
    model = keras.Sequential(
        [
            keras.layers.Input((WIDE[0],)),
            keras.layers.Dense(width, activation="relu"),
            keras.layers.Dense(3),
        ]
    )
    model.compile(keras.optimizers.SGD(1e-4), "mse")
    return model


X = np.random.default_rng(1).standard_normal((12, WIDE[0])).astype("f")
Y = np.ones((12, 3), "f")


def warmed(model: Any) -> Array:
    """What a model predicts, once it has made its copy."""
    for _ in range(STABLE_CALLS + 2):
        predicted: Array = model(X)
    assert any(_native.testing.prepacked_bytes(e.plan) for e in model._dk_runtime._engines.values())
    return predicted


def assign(model: Any) -> None:
    model.layers[0].kernel.assign(model.layers[0].kernel * 2)


def assign_add(model: Any) -> None:
    model.layers[0].kernel.assign_add(np.ones(WIDE, "f"))


def set_weights(model: Any) -> None:
    model.set_weights([w + 1 for w in model.get_weights()])


def fit(model: Any) -> None:
    model.fit(X, Y, batch_size=2, epochs=1, verbose=0)


def train_on_batch(model: Any) -> None:
    model.train_on_batch(X, Y)


def write_to_the_buffer(model: Any) -> None:
    model.layers[0].kernel.array[0] = 3


def apply_gradients(model: Any) -> None:
    kernel = model.layers[0].kernel
    model.optimizer.apply([np.ones(WIDE, "f")], [kernel])


def constrain(model: Any) -> None:
    kernel = model.layers[0].kernel
    kernel.assign(keras.constraints.NonNeg()(kernel))


WAYS = [assign, assign_add, set_weights, fit, train_on_batch, write_to_the_buffer, apply_gradients]


@pytest.mark.parametrize("change", [*WAYS, constrain])
def test_a_model_never_predicts_from_old_weights(change: Callable[[Any], None]) -> None:
    model = new_model()
    before = warmed(model)
    change(model)
    fresh = new_model()
    fresh.set_weights(model.get_weights())
    expected = fresh(X)
    assert not np.array_equal(expected, before)
    for _ in range(STABLE_CALLS + 2):
        np.testing.assert_array_equal(model(X), expected)
        np.testing.assert_array_equal(model.predict(X, verbose=0), expected)


def test_loaded_weights_are_seen(tmp_path: Path) -> None:
    model, other = new_model(), new_model()
    other.save_weights(tmp_path / "other.weights.h5")
    warmed(model)
    model.load_weights(tmp_path / "other.weights.h5")
    np.testing.assert_array_equal(model(X), other(X))


def test_copies_of_a_model_change_alone() -> None:
    model = new_model()
    before = warmed(model)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assign(clone)
    np.testing.assert_array_equal(model(X), before)
    assert not np.array_equal(clone(X), before)


def test_weights_assigned_while_others_predict() -> None:
    model = new_model()
    kernels = [model.layers[0].kernel.numpy() * factor for factor in (1, 2)]
    expected = []
    for kernel in kernels:
        model.layers[0].kernel.assign(kernel)
        expected.append(warmed(model))
    stop, failed = threading.Event(), []

    def predict() -> None:
        try:
            while not stop.is_set():
                model(X)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=predict) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for i in range(30):
            model.layers[0].kernel.assign(kernels[i % 2])
            for _ in range(STABLE_CALLS if i % 10 == 0 else 2):
                np.testing.assert_array_equal(model(X), expected[i % 2])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed
