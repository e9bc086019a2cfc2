"""Data sets and large weights stay on the device, and nobody can tell by the numbers."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import jax
import numpy as np
import pytest

import densekit as keras
from densekit.engines.jax import packing, resident
from densekit.engines.jax.numbers import numbers

ROWS = 22


def large(engine: str) -> Any:
    """A network with a kernel that is not packed."""
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [keras.Input((128,)), keras.layers.Dense(160, "tanh"), keras.layers.Dense(2)]
    )
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse", metrics=["mae"], engine=engine)
    return model


def data(dtype: str = "float32") -> tuple[Any, Any]:
    rng = np.random.default_rng(3)
    return (rng.random((ROWS, 128)) * 3).astype(dtype), rng.random((ROWS, 2)).astype(dtype)


def results(model: Any) -> Any:
    return [v.numpy() for v in (*model.variables, *model.optimizer.variables)]


def same(ours: Any, theirs: Any) -> None:
    for one, two in zip(keras.tree.flatten(ours), keras.tree.flatten(theirs), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "float64"])
@pytest.mark.parametrize("fits", [True, False])
def test_any_numbers_train_the_same(
    dtype: str, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fits:
        monkeypatch.setattr(resident, "room", lambda: 0)
    x, y = data(dtype)
    weight = np.linspace(0, 1, ROWS)
    found = []
    for engine in ("native", "jax"):
        model = large(engine)
        history = model.fit(x, y, sample_weight=weight, batch_size=5, epochs=2, verbose=0).history
        found.append([history, results(model), model.evaluate(x, y, batch_size=4, verbose=0)])
    same(*found)


def test_data_are_brought_there_once_a_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[tuple[int, ...]] = []
    on_device = resident.on_device

    def spy(array: Any, *given: Any) -> Any:
        moved.append(array.shape)
        return on_device(array, *given)

    monkeypatch.setattr(resident, "on_device", spy)
    x, y = data()
    model = large("jax")
    model.fit(x, y, batch_size=5, epochs=3, validation_data=(x[:9], y[:9]), verbose=0)
    assert sorted(moved) == [(9, 2), (9, 128), (ROWS, 2), (ROWS, 128)]


def test_weights_stay_there_while_nobody_else_writes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[tuple[int, ...]] = []
    on_device = packing.on_device

    def spy(array: Any, *given: Any) -> Any:
        moved.append(array.shape)
        return on_device(array, *given)

    monkeypatch.setattr(packing, "on_device", spy)
    x, y = data()
    model = large("jax")
    model.fit(x, y, epochs=2, verbose=0)
    assert moved == [(128, 160)] * 2  # the kernel and its momentum
    model.fit(x, y, verbose=0)
    model.predict(x, verbose=0)
    model.predict(x, verbose=0)
    assert moved == [(128, 160)] * 3  # for the other compiled function


def test_what_others_write_counts() -> None:
    """A weight, a moment, and steps that the core makes between two fits."""

    def run(engine: str) -> Any:
        x, y = data()
        model = large(engine)
        model.fit(x, y, verbose=0)
        seen = [model.predict(x, verbose=0)]
        kernel = model.layers[0].kernel
        kernel.assign(kernel * 0.5)
        seen.append(model.predict(x, verbose=0))
        moment = next(v for v in model.optimizer.variables if v.shape == kernel.shape)
        moment.assign(moment * 2.0)
        model.fit(x, y, verbose=0)
        gradients = [np.ones(v.shape, "float32") for v in model.trainable_variables]
        model.optimizer.apply(gradients, model.trainable_variables)
        model.fit(x, y, verbose=0)
        return [*seen, results(model)]

    same(run("native"), run("jax"))


def test_data_that_change_between_fits_are_read_anew_and_let_go() -> None:
    x, y = data()
    model = large("jax")
    first = model.evaluate(x, y, verbose=0)
    x += 1.0
    assert model.evaluate(x, y, verbose=0) != first
    model.fit(x, y, batch_size=5, verbose=0)
    held = weakref.ref(x)
    del x
    gc.collect()
    assert held() is None


def test_products_are_exact_unless_asked_otherwise() -> None:
    def precision(wide: bool) -> str:
        with numbers(wide):
            x = np.ones((2, 2), "float32")
            return str(jax.make_jaxpr(lambda a: a @ a)(x))

    assert "HIGHEST" in precision(False)
    assert "HIGHEST" in precision(True)
    with jax.default_matmul_precision("tensorfloat32"):
        assert "HIGHEST" not in precision(False)
