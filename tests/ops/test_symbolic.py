"""Symbolic tensors, nodes, and shapes found by trying a function out."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from densekit import ops
from densekit._core.variable import Variable
from densekit.ops._symbolic import (
    FunctionOperation,
    KerasTensor,
    Node,
    Operation,
    any_symbolic,
    compute_output_spec,
)


def test_operators_record_nodes() -> None:
    x = KerasTensor((None, 3))
    cases = {
        "Add": [x + 1, 1 + x, Variable([1.0, 1, 1]) + x],
        "Subtract": [x - x, 2 - x],
        "Multiply": [x * 2, np.ones(3, "float32") * x],
        "Divide": [x / 2, 1 / x],
        "FloorDivide": [x // 2],
        "Mod": [x % 2],
        "Power": [x**2],
        "Matmul": [x @ np.ones((3, 3), "float32")],
        "Negative": [-x],
        "Absolute": [abs(x)],
        "Round": [round(x)],
        "Less": [x < 1],
        "GreaterEqual": [x >= 1],
        "NotEqual": [x != 1],
        "LogicalNot": [~(x > 0)],
    }
    for name, y in ((name, y) for name, tensors in cases.items() for y in tensors):
        assert y.shape == (None, 3)
        operation, index, position = y._keras_history
        assert type(operation).__name__ == name
        assert operation._inbound_nodes[index].outputs[position] is y
    assert x[:, 1:].shape == (None, 2)
    assert x[0].shape == (3,)


def test_node_knows_its_neighbours() -> None:
    x = KerasTensor((None, 3))
    Node(Operation("source"), (), {}, x)
    y = x * 2
    z = ops.concatenate([y, x + y], axis=1)
    node = z._keras_history[0]._inbound_nodes[0]
    assert node.input_tensors[0] is y
    assert [parent.operation.name for parent in node.parent_nodes] == ["multiply", "add"]
    assert not node.is_input
    assert x._keras_history[0]._inbound_nodes[0].is_input
    assert z._keras_history[0].output is z
    assert y._keras_history[0].input is x


def test_two_calls_are_two_nodes() -> None:
    double = FunctionOperation.__subclasses__()  # any will do
    assert double
    operation = ops.relu(KerasTensor((2,)))._keras_history[0]
    again = operation(KerasTensor((5, 2)))
    assert again._keras_history[1] == 1
    assert len(operation._inbound_nodes) == 2
    np.testing.assert_array_equal(operation(np.array([-1.0, 2.0])), [0, 2])


def test_operation_in_a_config_computes_the_same() -> None:
    x = KerasTensor((None, 4))
    samples = np.random.default_rng(0).standard_normal((5, 4)).astype("float32")
    for y in (
        ops.sum(x, axis=1, keepdims=True),
        ops.reshape(x, (-1, 2)),
        ops.clip(x, 0, 1),
        ops.one_hot(ops.cast(x, "int32"), 3),
        ops.take(x, [0, 2], axis=1),
        ops.einsum("bi,bi->b", x, x),
        ops.pad(x, 1, constant_values=2),
    ):
        operation = y._keras_history[0]
        node = operation._inbound_nodes[0]
        again = type(operation).from_config(operation.get_config())
        assert again.get_config() == operation.get_config()
        given_samples = (
            samples.astype("int32") if node.input_tensors[0].dtype == "int32" else samples
        )
        args = [given_samples if isinstance(a, KerasTensor) else a for a in node.args]
        np.testing.assert_array_equal(again(*args), operation(*args))
        assert tuple(again(*args).shape[1:]) == y.shape[1:]


def test_no_value() -> None:
    x = KerasTensor((None, 3))
    with pytest.raises(TypeError, match="truth value"):
        bool(x)
    with pytest.raises(ValueError, match="NumPy array"):
        np.asarray(x)
    with pytest.raises(ValueError, match="float"):
        float(x)
    with pytest.raises(NotImplementedError, match="iterable"):
        iter(x)
    with pytest.raises(TypeError, match="length"):
        len(x)
    assert len(KerasTensor((4, 1))) == 4


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


def test_any_symbolic() -> None:
    x = KerasTensor((1,))
    assert any_symbolic((1, [2, {"a": (x,)}]), {})
    assert any_symbolic((), {"x": [x]})
    assert not any_symbolic((np.ones(2), [1, "x", None]), {"y": {"z": 1}})


def test_abstract_operation() -> None:
    with pytest.raises(NotImplementedError, match="call"):
        Operation()(1)
    with pytest.raises(AttributeError, match=r"keras.Input"):
        _ = Operation("lonely").output
    with pytest.raises(ValueError, match="string"):
        Operation(name=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dense tensor"):
        KerasTensor((1,), sparse=True)


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
