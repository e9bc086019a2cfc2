"""The comparisons of the contract tests can fail."""

from __future__ import annotations

import math

import numpy as np
import pytest

from .compare import assert_close, assert_slope

EPS = float(np.finfo("float32").eps)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (1 + 8 * EPS, 1.0),
        (0.0, 1e-6),
        (math.nan, 1.0),
        (1.0, math.nan),
        (math.inf, 1.0),
        (-math.inf, math.inf),
        (1.0, math.inf),
        (-1.0, 1.0),
    ],
)
def test_assert_close_refuses(actual: float, expected: float) -> None:
    values = np.array([2.0, actual], "float32")
    with pytest.raises(AssertionError):
        assert_close(values, np.array([2.0, expected]), ulps=4)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [(1 + 2 * EPS, 1.0), (math.nan, math.nan), (math.inf, math.inf), (0.0, 1e-39)],
)
def test_assert_close_accepts(actual: float, expected: float) -> None:
    assert_close(np.array([actual], "float32"), np.array([expected]), ulps=4)


def test_assert_close_refuses_other_shapes() -> None:
    with pytest.raises(AssertionError, match="shape"):
        assert_close(np.zeros((2, 1)), np.zeros(2), ulps=4)


def test_assert_close_uses_the_scale_it_is_given() -> None:
    actual, expected = np.array([1e-5], "float32"), np.array([0.0])
    assert_close(actual, expected, ulps=1, scale=100.0)
    with pytest.raises(AssertionError):
        assert_close(actual, expected, ulps=1, scale=10.0)


def test_assert_slope_tells_a_wrong_slope() -> None:
    step, x = 1e-5, 1.5
    below, above = (x - step) ** 3, (x + step) ** 3
    assert_slope(3 * x**2, below, above, step, size=abs(above), curvature=6.0)
    for wrong in (3 * x**2 * (1 + 1e-8), -3 * x**2, 0.0, math.nan):
        with pytest.raises(AssertionError):
            assert_slope(wrong, below, above, step, size=abs(above), curvature=6.0)
