"""Fans, bounds and moments of the variance scaling distributions.

Bounds are exact. A sample mean of n values with standard deviation s lies within 5 s / sqrt(n) of
the mean, a sample variance with kurtosis k within 5 s**2 sqrt((k - 1) / n) of the variance, but for
one run in a million; seeds are fixed, so each test decides once and for all.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from densekit import initializers
from densekit.initializers import compute_fans

SHAPE = (60, 200)
CUT = 0.87962566103423978  # standard deviation of a standard normal cut at 2

# name, variance of the result, half width of its support
DISTRIBUTIONS = [
    ("GlorotUniform", 2 / 260, math.sqrt(6 / 260)),
    ("GlorotNormal", 2 / 260, 2 * math.sqrt(2 / 260) / CUT),
    ("HeUniform", 2 / 60, math.sqrt(6 / 60)),
    ("HeNormal", 2 / 60, 2 * math.sqrt(2 / 60) / CUT),
    ("LecunUniform", 1 / 60, math.sqrt(3 / 60)),
    ("LecunNormal", 1 / 60, 2 * math.sqrt(1 / 60) / CUT),
]


def check_moments(w: Any, mean: float, variance: float, kurtosis: float) -> None:
    error = 5 * math.sqrt(variance / w.size)
    assert abs(w.mean(dtype="float64") - mean) <= error
    spread = 5 * variance * math.sqrt((kurtosis - 1) / w.size)
    assert abs(w.var(dtype="float64") - variance) <= spread


@pytest.mark.parametrize(("name", "variance", "bound"), DISTRIBUTIONS)
def test_distribution(name: str, variance: float, bound: float) -> None:
    w = getattr(initializers, name)(seed=5)(SHAPE)
    assert np.abs(w).max() <= np.float32(bound)
    assert np.abs(w).max() > 0.98 * bound
    uniform = "Uniform" in name
    # kurtosis: 1.8 of a uniform distribution, 2.06 of a normal one cut at 2
    check_moments(w, 0.0, variance, 1.8 if uniform else 2.06)
    # half of a uniform distribution lies within half its width; of the cut normal one 0.7153
    inside = np.mean(np.abs(w) < bound / 2)
    share = 0.5 if uniform else 0.715323
    assert abs(inside - share) <= 5 * math.sqrt(share * (1 - share) / w.size)


def test_moments_can_fail() -> None:
    w = np.random.default_rng(1).standard_normal(12000)
    check_moments(w, 0.0, 1.0, 3.0)
    with pytest.raises(AssertionError):
        check_moments(w * 1.1, 0.0, 1.0, 3.0)
    with pytest.raises(AssertionError):
        check_moments(w + 0.1, 0.0, 1.0, 3.0)


@pytest.mark.parametrize(("mode", "count"), [("fan_in", 60), ("fan_out", 200), ("fan_avg", 130)])
@pytest.mark.parametrize(
    ("distribution", "kurtosis"), [("uniform", 1.8), ("normal", 2.06), ("untruncated_normal", 3.0)]
)
def test_variance_scaling(mode: str, count: int, distribution: str, kurtosis: float) -> None:
    initializer = initializers.VarianceScaling(3.0, mode, distribution, seed=8)
    check_moments(initializer(SHAPE), 0.0, 3.0 / count, kurtosis)


@pytest.mark.parametrize(
    ("shape", "fans"),
    [
        ((), (1, 1)),
        ((7,), (7, 7)),
        ((7, 3), (7, 3)),
        ((2, 7, 3), (14, 6)),
        ((5, 2, 7, 3), (70, 30)),
        ((0, 3), (0, 3)),
    ],
)
def test_fans(shape: tuple[int, ...], fans: tuple[int, int]) -> None:
    assert compute_fans(shape) == fans
    assert all(isinstance(n, int) for n in compute_fans(np.array(shape, int)))


def test_fans_of_given_axes() -> None:
    assert compute_fans((2, 3, 5, 7), input_axes=(0, 1), output_axes=(2, 3)) == (6, 35)
    assert compute_fans((2, 3), input_axes=[1], output_axes=[0]) == (3, 2)


def test_no_inputs_count_as_one() -> None:
    assert initializers.HeUniform(seed=1)((0, 3)).shape == (0, 3)
    limit = math.sqrt(3)
    w = initializers.VarianceScaling(mode="fan_in", distribution="uniform", seed=1)
    assert np.abs(w(())).max() <= limit


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"scale": 0.0}, "`scale` to be > 0"),
        ({"scale": -1.0}, "`scale` to be > 0"),
        ({"scale": math.nan}, "`scale` to be > 0"),
        ({"mode": "fan"}, "`mode` to be one of"),
        ({"distribution": "gamma"}, "`distribution` to be one of"),
        ({"seed": "1"}, "`seed` to be an integer"),
        ({"seed": 1.5}, "`seed` to be an integer"),
    ],
)
def test_illegal_arguments(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        initializers.VarianceScaling(**arguments)


def test_both_types_start_alike() -> None:
    narrow = initializers.GlorotUniform(seed=4)((5, 6), dtype="float32")
    wide = initializers.GlorotUniform(seed=4)((5, 6), dtype="float64")
    assert np.array_equal(narrow, wide.astype("float32"))
