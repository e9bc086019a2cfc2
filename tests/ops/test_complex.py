"""Complex numbers pass through ops; what is trained is real."""

from __future__ import annotations

import numpy as np
import pytest

import densekit as keras
from densekit import ops
from densekit.ops import value_and_vjp


def test_pairs_become_complex_numbers_and_come_back() -> None:
    x = np.arange(6, dtype="float32").reshape(3, 2)
    z = ops.view_as_complex(x)
    assert z.dtype == "complex64"
    np.testing.assert_array_equal(ops.view_as_real(z), x)
    spec = ops.view_as_complex(keras.KerasTensor((None, 2)))
    assert (spec.shape, spec.dtype) == ((None,), "complex64")
    assert ops.real(spec).dtype == "float32"


def test_types_meet() -> None:
    z = np.ones(2, "complex64")
    assert ops.add(z, np.ones(2, "float32")).dtype == "complex64"
    assert ops.add(z, np.ones(2, "int32")).dtype == "complex64"
    assert ops.multiply(z, np.ones(2)).dtype == "complex128"
    assert ops.multiply(z, 2.5).dtype == "complex64"


def test_a_real_gradient_passes_through_complex_numbers() -> None:
    r, phi = np.float32([2]), np.float32([0.5])
    _, vjp = value_and_vjp(lambda a, b: ops.real(ops.polar(a, b)), [r, phi])
    by_size, by_angle = vjp(np.float32([1]))
    np.testing.assert_allclose(by_size, np.cos(phi), rtol=1e-6)
    np.testing.assert_allclose(by_angle, -r * np.sin(phi), rtol=1e-6)


def test_variables_and_layers_are_real() -> None:
    with pytest.raises(ValueError, match="real type"):
        keras.Variable(np.ones(2), dtype="complex64")
    with pytest.raises(ValueError, match="policy"):
        keras.layers.Dense(2, dtype="complex64")
