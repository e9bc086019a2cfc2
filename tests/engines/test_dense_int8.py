"""The native product of int8: the definition's bits, whatever threads, rows and instruction set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.engines.native import available_isas, get_threads, set_threads

RNG = np.random.default_rng(0)


def quantized(features: int, units: int, **options: Any) -> Any:
    """One quantized layer."""
    layer = keras.layers.Dense(units, bias_initializer="random_uniform", **options)
    model = keras.Sequential([keras.Input((features,)), layer])
    model.quantize("int8")
    return model


@pytest.mark.parametrize("features", [1, 3, 16, 130, 1030])
@pytest.mark.parametrize("units", [1, 17, 96])
@pytest.mark.parametrize("use_bias", [True, False])
def test_it_gives_the_definitions_bits(features: int, units: int, use_bias: bool) -> None:
    model = quantized(features, units, use_bias=use_bias)
    x = RNG.normal(size=(37, features)).astype("float32")
    x[3] = 0
    assert "host" not in str(model.explain_plan()).lower()
    native = model.predict(x, verbose=0)
    np.testing.assert_array_equal(native, model.layers[0](x))
    for i in (0, 3, 36):
        np.testing.assert_array_equal(model.predict(x[i : i + 1], verbose=0), native[i : i + 1])


def test_bits_do_not_depend_on_threads() -> None:
    model = quantized(300, 257, activation="tanh")
    x = RNG.normal(size=(513, 300)).astype("float32")
    before = get_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            set_threads(threads)
            found.append(model.predict(x, verbose=0))
    finally:
        set_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_rows_that_are_not_finite_give_nan() -> None:
    model = quantized(20, 5)
    x = RNG.normal(size=(3, 20)).astype("float32")
    x[1, 4], x[2, 7] = np.nan, np.inf
    y = model.predict(x, verbose=0)
    assert np.isfinite(y[0]).all()
    assert np.isnan(y[1:]).all()


def test_other_ranges_and_quantizers() -> None:
    x = RNG.normal(size=(9, 24)).astype("float32")
    quantizer = keras.quantizers.AbsMaxQuantizer(value_range=(-15, 15), epsilon=1e-3)
    config = keras.quantizers.Int8QuantizationConfig(activation_quantizer=quantizer)
    model = keras.Sequential([keras.Input((24,)), keras.layers.Dense(7)])
    model.quantize(config=config)
    assert "host" not in str(model.explain_plan()).lower()
    np.testing.assert_array_equal(model.predict(x, verbose=0), model.layers[0](x))


@pytest.mark.parametrize("features", [12, 200])  # made floats 64 at a time
@pytest.mark.parametrize("training", [None, False, True])
def test_gradients_pass_the_rounding_by(features: int, training: bool | None) -> None:
    model = quantized(features, 6)
    (layer,) = model.layers
    x = keras.Variable(RNG.normal(size=(5, features)).astype("float32"))
    with keras.GradientTape() as tape:
        total = keras.ops.sum(keras.ops.square(model(x, training=training)))
    dx, db = tape.gradient(total, [x, layer.bias])
    upstream = 2 * np.asarray(model(x.numpy()))
    floats = layer._kernel.numpy() / layer.kernel_scale.numpy()
    np.testing.assert_allclose(dx, upstream @ floats.T, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(db, upstream.sum(axis=0), rtol=1e-5, atol=1e-5)


def test_float64_runs_by_the_definition() -> None:
    layer = keras.layers.Dense(6, dtype="float64")
    model = keras.Sequential([keras.Input((12,), dtype="float64"), layer])
    model.quantize("int8")
    x = RNG.normal(size=(5, 12))
    np.testing.assert_allclose(model.predict(x, verbose=0), model.layers[0](x), rtol=1e-12)


PROGRAM = """
import sys, numpy as np, densekit as keras
keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((70,)), keras.layers.Dense(33), keras.layers.Dense(9)])
model.quantize("int8")
x = np.random.default_rng(2).normal(size=(41, 70)).astype("float32")
sys.stdout.write(model.predict(x, verbose=0).tobytes().hex())
"""


def test_bits_do_not_depend_on_the_instruction_set() -> None:
    path = str(Path(keras.__file__).parents[1])
    outputs = {}
    for isa in available_isas():
        environment = {**os.environ, "DENSEKIT_ISA": isa, "PYTHONPATH": path}
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        outputs[isa] = run.stdout
    assert len(set(outputs.values())) == 1
