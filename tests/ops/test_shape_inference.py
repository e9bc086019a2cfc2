"""Shapes found by calling a function on small arrays."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from densekit import ops
from densekit._core.variable import Variable
from densekit.ops._keras_tensor import KerasTensor
from densekit.ops._shape_inference import compute_output_spec


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 7)), max_size=4).map(tuple),
    st.sampled_from(["float32", "int32", "bool"]),
)
def test_spec_of_the_identity(shape: tuple[int | None, ...], dtype: str) -> None:
    spec = compute_output_spec(lambda x: {"same": x, "rank": x.ndim}, KerasTensor(shape, dtype))
    assert spec["same"].shape == shape
    assert spec["same"].dtype == dtype
    assert spec["rank"].shape == ()
    assert spec["rank"].dtype == "int32"


def test_spec_needs_divisible_sizes() -> None:
    x = KerasTensor((None, 3))
    assert ops.reshape(x, (-1, 6)).shape == (None, 6)
    assert [part.shape for part in ops.split(x, 5)] == [(None, 3)] * 5
    assert ops.reshape(x, (-1, 3, 1)).shape == (None, 3, 1)


def test_spec_leaves_variables_alone() -> None:
    counter = Variable(0)

    def function(x: Any) -> Any:
        counter.assign_add(1)
        return x * 2

    assert compute_output_spec(function, KerasTensor((None,))).shape == (None,)
    assert int(counter) == 0


def test_spec_error_is_that_of_small_sizes() -> None:
    with pytest.raises(ValueError, match=r"3"):
        ops.matmul(KerasTensor((None, 3)), KerasTensor((4, 2)))


def test_several_unknown_sizes_that_must_divide_take_little_memory() -> None:
    x = KerasTensor((None, None, None))
    tracemalloc.start()
    shapes = [part.shape for part in ops.split(x, 4, axis=1)]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert shapes == [(None, None, None)] * 4
    assert most < 100e6


def test_parts_of_unknown_sizes_have_unknown_sizes() -> None:
    x = KerasTensor((None, None, 4))
    for part in (x[:, 3:], x[:, 5:8], x[:, :-4], x[:, ::4], ops.array_split(x, 5, axis=1)[0]):
        assert part.shape == (None, None, 4)
    assert x[:, -1:].shape == (None, 1, 4)
    assert ops.split(x, [1, 3], axis=1)[2].shape == (None, None, 4)


def test_sizes_that_go_together_are_found_among_many() -> None:
    x, y = KerasTensor((None, 4, None)), KerasTensor((None, 6))
    assert ops.where(x > 0, x, y).shape == (None, 4, 6)
    rows = KerasTensor((None, None, None))
    assert ops.segment_sum(rows, np.zeros(5, "int32"), num_segments=3).shape == (3, None, None)


@pytest.mark.parametrize("function", [ops.take, ops.take_along_axis])
def test_an_axis_that_is_not_there_is_refused(function) -> None:
    with pytest.raises(ValueError, match="axis 2 is out of bounds"):
        function(np.ones((2, 4)), np.zeros((2, 4), "int32"), axis=2)
    with pytest.raises(ValueError, match="axis 2 is out of bounds"):
        function(KerasTensor((None, 4)), np.zeros((2, 4), "int32"), axis=2)
    with pytest.raises(ValueError, match="at most 1"):
        ops.top_k(np.ones((3, 1)), 2)
