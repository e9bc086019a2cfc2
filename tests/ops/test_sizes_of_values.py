"""Sizes that follow from values are unknown in a graph; numbers that are to come are no sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import ops

X, IDS = keras.KerasTensor((3, 4)), keras.KerasTensor((3,), "int32")

SIZED: dict[str, tuple[Callable[[Any, Any], Any], tuple[int | None, ...]]] = {
    "unique": (lambda x, i: ops.unique(x), (None,)),
    "unique rows": (lambda x, i: ops.unique(x, axis=0), (None, 4)),
    "nonzero": (lambda x, i: ops.nonzero(x)[0], (None,)),
    "where": (lambda x, i: ops.where(i)[0], (None,)),
    "bincount": (lambda x, i: ops.bincount(i, minlength=5), (None,)),
    "segment_sum": (ops.segment_sum, (None, 4)),
    "segment_prod": (ops.segment_prod, (None, 4)),
    "segment_max": (ops.segment_max, (None, 4)),
    "segment_min": (ops.segment_min, (None, 4)),
}


@pytest.mark.parametrize("name", SIZED)
@pytest.mark.parametrize("rows", [3, None])
def test_a_size_that_follows_from_values_is_unknown(name: str, rows: int | None) -> None:
    function, shape = SIZED[name]
    x, ids = keras.KerasTensor((rows, 4)), keras.KerasTensor((rows,), "int32")
    assert function(x, ids).shape == shape
    if name.startswith("segment"):
        assert function(x, IDS).shape == shape
    inside = keras.layers.Lambda(lambda pair: function(pair[0], ops.cast(pair[1], "int32")))
    assert inside([x, ids]).shape == shape


def test_sizes_that_are_given_are_known() -> None:
    assert ops.unique(X, size=5).shape == (5,)
    assert ops.segment_sum(X, IDS, num_segments=4).shape == (4, 4)
    values, places, inverse = ops.unique(X, axis=0, return_index=True, return_inverse=True)
    assert (values.shape, places.shape, inverse.shape) == ((None, 4), (None,), (3,))


@pytest.mark.parametrize(
    "call",
    [
        lambda n: ops.reshape(X, n),
        lambda n: ops.broadcast_to(X, n),
        lambda n: ops.tile(X, n),
        lambda n: ops.repeat(X, n),
        lambda n: ops.slice(X, (0, 0), n),
        lambda n: ops.one_hot(IDS, n),
    ],
    ids=["reshape", "broadcast_to", "tile", "repeat", "slice", "one_hot"],
)
def test_symbolic_tensors_are_no_settings(call: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="which has no values yet"):
        call(keras.KerasTensor((2,), "int32"))


def test_numbers_of_a_graph_with_such_sizes() -> None:
    x, i = keras.Input((4,)), keras.Input((), dtype="int32")
    model = keras.Model([x, i], ops.segment_sum(x, i))
    given = [np.ones((5, 4), "float32"), np.array([0, 2, 2, 1, 0], "int32")]
    assert model(given)[:, 0].tolist() == [2.0, 1.0, 2.0]
