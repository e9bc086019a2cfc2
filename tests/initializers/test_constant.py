"""Initializers without randomness, and those made from arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from densekit import initializers


def test_constant_broadcasts_an_array() -> None:
    initializer = initializers.Constant(np.array([1.0, 2.0]))
    w = initializer((3, 2))
    assert w.tolist() == [[1.0, 2.0]] * 3
    w[0, 0] = 7.0  # writable, and its own
    assert initializer((3, 2))[0, 0] == 1.0
    assert initializers.Constant([1.0, 2.0])((2,)).tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="broadcast"):
        initializer((3, 5))


def test_the_string_constant() -> None:
    assert initializers.get("constant")((2,)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("value", [1.5, np.array([1.0, 2.0]), True, 3])
def test_constant_config(value: Any) -> None:
    initializer = initializers.Constant(value)
    revived = initializers.Constant.from_config(initializer.get_config())
    assert np.array_equal(revived((4, 2)), initializer((4, 2)))


def test_identity() -> None:
    assert np.array_equal(initializers.Identity(gain=3.0)((2, 4)), 3 * np.eye(2, 4))
    for shape in [(3,), (2, 2, 2)]:
        with pytest.raises(ValueError, match="Identity: expected a shape of rank 2"):
            initializers.Identity()(shape)


def test_an_array_is_an_initializer() -> None:
    array = np.arange(6.0).reshape(2, 3)
    initializer = initializers.get(array)
    assert initializer is not None
    w = initializer((2, 3), dtype="float32")
    assert w.dtype == "float32"
    assert np.array_equal(w, array)
    w[:] = 0
    assert np.array_equal(initializer((2, 3)), array)
    with pytest.raises(ValueError, match=r"expected the shape \(2, 3\).*got \(3, 2\)"):
        initializer((3, 2))


def test_a_base_initializer_cannot_draw() -> None:
    with pytest.raises(NotImplementedError, match="__call__"):
        initializers.Initializer()((2,))
