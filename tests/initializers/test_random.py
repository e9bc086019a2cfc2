"""Random initializers: moments, seeds, orthogonality."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from densekit import initializers
from densekit._core.seeds import SeedGenerator, set_random_seed

from .test_variance_scaling import check_moments

CUT = 0.87962566103423978


def test_normal() -> None:
    w = initializers.RandomNormal(mean=2.0, stddev=0.5, seed=1)((100, 100))
    check_moments(w, 2.0, 0.25, 3.0)
    assert np.abs(w - 2).max() > 2 * 0.5, "not cut"


def test_truncated_normal() -> None:
    w = initializers.TruncatedNormal(mean=2.0, stddev=0.5, seed=1)((100, 100), dtype="float64")
    check_moments(w, 2.0, (0.5 * CUT) ** 2, 2.06)
    assert np.abs(w - 2).max() <= 1.0
    # Redrawn, not clipped: no value occurs twice.
    assert np.unique(w).size == w.size


def test_uniform() -> None:
    w = initializers.RandomUniform(minval=-1.0, maxval=3.0, seed=1)((100, 100))
    check_moments(w, 1.0, 16 / 12, 1.8)
    assert w.min() >= -1
    assert w.max() <= 3


RANDOM = ["RandomNormal", "TruncatedNormal", "RandomUniform", "GlorotUniform", "Orthogonal"]


@pytest.mark.parametrize("name", RANDOM)
def test_an_instance_repeats_itself_and_instances_differ(name: str) -> None:
    initializer = getattr(initializers, name)()
    other = getattr(initializers, name)()
    assert np.array_equal(initializer((4, 4)), initializer((4, 4)))
    assert not np.array_equal(initializer((4, 4)), other((4, 4)))
    assert initializer.get_config()["seed"] is None
    assert not np.array_equal(initializer.clone()((4, 4)), initializer((4, 4)))


@pytest.mark.parametrize("name", RANDOM)
def test_equal_seeds_give_equal_values(name: str) -> None:
    initializer = getattr(initializers, name)(seed=9)
    assert np.array_equal(
        initializer((4, 4)), getattr(initializers, name)(seed=np.int64(9))((4, 4))
    )
    assert np.array_equal(initializer((4, 4)), initializer.clone()((4, 4)))
    assert not np.array_equal(initializer((4, 4)), getattr(initializers, name)(seed=10)((4, 4)))
    for seed in (-3, 2**40):
        assert np.isfinite(getattr(initializers, name)(seed=seed)((2, 2))).all()


def test_the_global_seed_decides() -> None:
    def draw() -> Any:
        set_random_seed(77)
        return initializers.GlorotUniform()((3, 3))

    assert np.array_equal(draw(), draw())


@pytest.mark.parametrize("name", RANDOM)
def test_a_seed_generator_moves_on(name: str) -> None:
    generator = SeedGenerator(3)
    initializer = getattr(initializers, name)(seed=generator)
    first, second = initializer((4, 4)), initializer((4, 4))
    assert not np.array_equal(first, second)
    assert generator.state.numpy().tolist() == [3, 2]
    again = getattr(initializers, name)(seed=SeedGenerator(3))
    assert np.array_equal(first, again((4, 4)))
    revived = type(initializer).from_config(initializer.get_config())
    assert np.array_equal(first, revived((4, 4)))


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (2, 3, 4), (1, 1)])
@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_orthogonal(shape: tuple[int, ...], gain: float) -> None:
    w = initializers.Orthogonal(gain=gain, seed=2)(shape, dtype="float64")
    assert w.shape == shape
    matrix = w.reshape(-1, shape[-1])
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    error = np.abs(tall.T @ tall - gain**2 * np.eye(tall.shape[1])).max()
    assert error <= 8 * len(tall) * np.finfo("float64").eps


def test_orthogonal_is_uniform() -> None:
    """The signs are free: each element has mean 0 and variance 1 / n over many draws."""
    n, draws = 3, 2000
    generator = SeedGenerator(6)
    initializer = initializers.Orthogonal(seed=generator)
    w = np.stack([initializer((n, n), dtype="float64") for _ in range(draws)])
    error = 5 / math.sqrt(n * draws)
    assert np.abs(w.mean(axis=0)).max() <= error
    assert np.abs((w**2).mean(axis=0) - 1 / n).max() <= error


@pytest.mark.parametrize("shape", [(), (3,)])
def test_orthogonal_needs_a_matrix(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"Orthogonal: expected a shape of rank 2 or more"):
        initializers.Orthogonal()(shape)
