"""Constraints on the length of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.constraints import MaxNorm, MinMaxNorm, UnitNorm, get

EPS = 1e-7  # what the length is short of, at most, for lengths of 1


def lengths(w: np.ndarray, axis: int) -> np.ndarray:
    return np.sqrt((w**2).sum(axis=axis))


@pytest.mark.parametrize("axis", [0, 1])
def test_lengths_after_projection(axis: int, rng: np.random.Generator) -> None:
    w = rng.standard_normal((6, 5))
    before = lengths(w, axis)
    longest = float(np.median(before))
    after = lengths(MaxNorm(longest, axis=axis)(w), axis)
    assert (after <= longest).all()
    assert np.abs(after - np.minimum(before, longest)).max() <= 2 * EPS
    assert np.abs(lengths(UnitNorm(axis=axis)(w), axis) - 1).max() <= 2 * EPS
    after = lengths(MinMaxNorm(1.5, 2.0, axis=axis)(w), axis)
    assert np.abs(after - np.clip(before, 1.5, 2.0)).max() <= 2 * EPS * 2


def test_rate_goes_part_of_the_way() -> None:
    w = np.array([[0.0], [4.0]])
    assert MinMaxNorm(0.0, 2.0, rate=0.25)(w)[1, 0] == pytest.approx(3.5, abs=4 * EPS)
    assert MinMaxNorm(0.0, 2.0, rate=0.0)(w)[1, 0] == pytest.approx(4.0, abs=4 * EPS)


def test_direction_is_kept_and_zero_stays_zero() -> None:
    w = np.array([[3.0, 0.0], [4.0, 0.0]])
    for constraint in (MaxNorm(1.0), UnitNorm(), MinMaxNorm(0.5, 1.0)):
        projected = constraint(w)
        assert projected[:, 1].tolist() == [0.0, 0.0]
        assert projected[0, 0] * 4 == pytest.approx(projected[1, 0] * 3)


def test_strings() -> None:
    assert type(get("max_norm")) is type(get("MaxNorm")) is MaxNorm
    with pytest.raises(ValueError, match="constraint: expected a known name"):
        get("maxnorm")


def test_axes_as_keras_files_hold_them() -> None:
    w = np.ones((2, 3))
    whole = MaxNorm.from_config({"max_value": 1.0, "axis": [0, 1]})(w)
    assert np.sqrt((whole**2).sum()) == pytest.approx(1.0, abs=EPS)
    assert np.array_equal(whole, MaxNorm(1.0, axis=None)(w))


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1), (1, 2)], ids=str)
@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2), (2, 3, 2, 2)], ids=str)
def test_native_constraints_of_more_axes(axis: Any, shape: tuple[int, ...]) -> None:
    class Own(keras.layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight(
                shape=shape,
                initializer=keras.initializers.RandomNormal(seed=1, stddev=1.0),
                constraint=MaxNorm(0.5, axis=axis),
            )

        def call(self, inputs: Any) -> Any:
            return inputs * keras.ops.sum(self.w)

    if axis == (1, 2) and len(shape) == 2:
        return
    model = keras.Sequential([keras.Input((2,)), Own()])
    before = np.array(model.get_weights()[0])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(np.ones((2, 2)), np.ones((2, 2)), verbose=0)
    np.testing.assert_allclose(
        model.get_weights()[0], MaxNorm(0.5, axis=axis)(before), rtol=1e-5, atol=1e-7
    )
