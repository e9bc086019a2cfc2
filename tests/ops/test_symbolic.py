"""Operations and the nodes that their calls leave in a graph."""

from __future__ import annotations

import numpy as np
import pytest

from densekit import ops
from densekit._core.variable import Variable
from densekit.ops._keras_tensor import KerasTensor
from densekit.ops._symbolic import FunctionOperation, Node, Operation


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


def test_abstract_operation() -> None:
    with pytest.raises(NotImplementedError, match="call"):
        Operation()(1)
    with pytest.raises(AttributeError, match=r"keras.Input"):
        _ = Operation("lonely").output
    with pytest.raises(ValueError, match="string"):
        Operation(name=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dense tensor"):
        KerasTensor((1,), ragged=True)
