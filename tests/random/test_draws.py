"""Distributions: repeatability, types, and moments within five standard errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from densekit import random

N = 20_000
# (distribution, arguments, mean, standard deviation, range)
DISTRIBUTIONS: list[tuple[str, dict[str, Any], float, float, tuple[float, float]]] = [
    ("normal", {"mean": 1.0, "stddev": 2.0}, 1.0, 2.0, (-np.inf, np.inf)),
    ("truncated_normal", {"mean": 1.0, "stddev": 2.0}, 1.0, 2 * 0.8796, (-3.0, 5.0)),
    ("uniform", {"minval": -1.0, "maxval": 3.0}, 1.0, 4 / 12**0.5, (-1.0, 3.0)),
    ("randint", {"minval": -2, "maxval": 3}, 0.0, 2**0.5, (-2, 2)),
    ("binomial", {"counts": 10, "probabilities": 0.3}, 3.0, 2.1**0.5, (0, 10)),
    ("beta", {"alpha": 2.0, "beta": 2.0}, 0.5, 0.05**0.5, (0, 1)),
    ("gamma", {"alpha": 3.0}, 3.0, 3**0.5, (0, np.inf)),
]


@pytest.mark.parametrize(
    "name, kwargs, mean, deviation, limits",
    DISTRIBUTIONS,
    ids=[distribution[0] for distribution in DISTRIBUTIONS],
)
def test_distribution(
    name: str, kwargs: dict[str, Any], mean: float, deviation: float, limits: Any
) -> None:
    draw = getattr(random, name)
    values = draw((N,), seed=3, **kwargs)
    assert values.dtype == ("int32" if name == "randint" else "float32")
    assert abs(values.mean() - mean) < 5 * deviation / N**0.5
    assert abs(values.std() - deviation) < 0.05 * deviation
    assert values.min() >= limits[0] and values.max() <= limits[1]
    np.testing.assert_array_equal(draw((N,), seed=3, **kwargs), values)
    assert (draw((N,), seed=4, **kwargs) != values).any()
    generator = random.SeedGenerator(3)
    first, second = draw((9,), seed=generator, **kwargs), draw((9,), seed=generator, **kwargs)
    assert (first != second).any()
    wide = draw((4,), seed=3, dtype="int64" if name == "randint" else "float64", **kwargs)
    np.testing.assert_array_equal(wide.astype(values.dtype), draw((4,), seed=3, **kwargs))


def test_uniform_excludes_its_end() -> None:
    assert random.uniform((200_000,), seed=1, dtype="float16").max() < 1
    assert random.uniform((100,), 0, 10, dtype="int32", seed=1).dtype == "int32"


def test_randint_refuses_floats() -> None:
    with pytest.raises(ValueError, match="integer dtype"):
        random.randint((2,), 0, 3, dtype="float32")


def test_categorical() -> None:
    drawn = random.categorical(np.log([[0.2, 0.8], [1e-30, 1.0]]), N, seed=2)
    assert drawn.shape == (2, N)
    assert drawn.dtype == "int32"
    assert abs(drawn[0].mean() - 0.8) < 5 * 0.4 / N**0.5
    assert drawn[1].all()
    with pytest.raises(ValueError, match=r"batch, classes"):
        random.categorical([0.1, 0.2], 3)


def test_shuffle() -> None:
    x = np.arange(20).reshape(2, 10)
    shuffled = random.shuffle(x, axis=1, seed=1)
    assert (shuffled != x).any()
    np.testing.assert_array_equal(np.sort(shuffled, axis=1), x)
    np.testing.assert_array_equal(shuffled[1] - shuffled[0], 10)  # rows move together
    np.testing.assert_array_equal(random.shuffle(x, axis=1, seed=1), shuffled)


def test_a_seed_generator_takes_a_seed_and_a_name_alone() -> None:
    with pytest.raises(ValueError, match="SeedGenerator"):
        random.SeedGenerator(1, invalid_arg="value")
