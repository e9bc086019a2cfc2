"""Dropout: which elements stay, how they are scaled, on every array library."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from densekit import ops, random
from densekit._core.seeds import philox_words


@given(rate=st.floats(0.01, 0.99), seed=st.integers(0, 2**31))
def test_keeps_words_from_the_rate_on(rate: float, seed: int) -> None:
    x = np.full((3, 7), 2.0, "float32")
    words = philox_words(seed, 0, 21).reshape(3, 7)
    expected = np.where(words / 2**32 >= rate, x * np.float32(1 / (1 - rate)), np.float32(0))
    np.testing.assert_array_equal(random.dropout(x, rate, seed=seed), expected)


def test_share_and_mean() -> None:
    y = random.dropout(np.ones(100_000, "float32"), 0.3, seed=5)
    share = float((y == 0).mean())
    assert abs(share - 0.3) < 5 * (0.21 / 100_000) ** 0.5
    assert y.max() == np.float32(1 / 0.7)


def test_ends() -> None:
    x = np.array([1.0, np.inf], "float32")
    assert random.dropout(x, 0.0, seed=1).tolist() == x.tolist()
    assert random.dropout(x[:1], 1.0, seed=1).tolist() == [0.0]


def test_noise_shape() -> None:
    y = random.dropout(np.ones((4, 50), "float32"), 0.5, noise_shape=(None, 1), seed=2)
    assert all(len(set(row)) == 1 for row in y.tolist())
    assert len(np.unique(random.dropout(np.ones((1, 50), "float32"), 0.5, seed=2))) == 2


def test_generator_moves_on() -> None:
    generator, x = random.SeedGenerator(1), np.ones(64, "float32")
    first, second = random.dropout(x, 0.5, seed=generator), random.dropout(x, 0.5, seed=generator)
    assert (first != second).any()


@pytest.mark.parametrize("traced", [False, True])
def test_gradient_is_the_mask(traced: bool) -> None:
    x = np.linspace(1, 2, 16, dtype="float32")
    expected = random.dropout(np.ones_like(x), 0.5, seed=3)

    def function(x: object) -> object:
        return ops.sum(random.dropout(x, 0.5, seed=3))

    if traced:
        gradient = jax.grad(function)(x)
    else:
        gradient = ops.value_and_vjp(function, [x])[1](np.float32(1))[0]
    np.testing.assert_array_equal(gradient, expected)


def test_symbolic() -> None:
    assert random.dropout(ops.KerasTensor((None, 3)), 0.5).shape == (None, 3)
