"""`NativeEngine`: counts, seeds and columns around the native plan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import losses
from densekit._core.engine import Chunk
from densekit.engines import LossTerm, NativeEngine, lower_graph
from densekit.engines.rows import is_readable, readable

X = np.linspace(-1, 1, 40).reshape(10, 4).astype("float32")
Y = X[:, :1]
INDEX = np.arange(10, dtype=np.int64)


def trainer(*layers: Any, loss: Any = "mse") -> tuple[Any, NativeEngine]:
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    plan = lower_graph(model._dk_graph(), "float32", True)
    term = LossTerm(0, losses.as_loss(loss))
    return model, NativeEngine(plan, model.trainable_variables, [term], optimizer)


def test_steps_are_counted() -> None:
    _, engine = trainer()
    steps = engine.train(Chunk(0, 4, [X], [Y], [None], INDEX), [None])
    assert steps.shape == (3, 2)
    np.testing.assert_array_equal(steps[:, 0], steps[:, 1])
    assert int(engine.optimizer.iterations.numpy()) == 3


def test_dropout_counters_move_on_with_the_steps() -> None:
    model, engine = trainer(keras.layers.Dropout(0.5))
    state = model.layers[0].seed_generator.state
    before = int(state.numpy()[1])
    engine.train(Chunk(0, 4, [X], [Y], [None], INDEX), [None])
    assert int(state.numpy()[1]) == before + 3


def test_nodes_that_share_a_generator_draw_differently() -> None:
    x = keras.Input((64,))
    drop = keras.layers.Dropout(0.5, seed=3)
    model = keras.Model(x, [drop(x), drop(x)])
    plan = lower_graph(model._dk_graph(), "float32", True)
    engine = NativeEngine(plan, [], [LossTerm(0, losses.as_loss("mse"))], keras.optimizers.SGD())
    ones = np.ones((8, 64), "float32")
    outputs: list[Any] = [np.empty((8, 64), "float32") for _ in range(2)]
    engine.train(Chunk(0, 8, [ones], [ones, None], [None, None], np.arange(8)), outputs)
    assert (outputs[0] != outputs[1]).any()
    assert set(np.unique(outputs[0])) == {0.0, 2.0}


def test_a_failing_step_is_not_counted() -> None:
    calls = []

    def loss(y_true: Any, y_pred: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("stop")
        return keras.ops.mean(y_true - y_pred, axis=-1)

    _, engine = trainer(loss=loss)
    with pytest.raises(RuntimeError, match="stop"):
        engine.train(Chunk(0, 3, [X], [Y], [None], INDEX), [None])
    assert int(engine.optimizer.iterations.numpy()) == 2


def test_evaluation_changes_nothing() -> None:
    model, engine = trainer(keras.layers.Dropout(0.5))
    state = [v.numpy() for v in (*model.variables, *engine.optimizer.variables)]
    engine.evaluate(Chunk(0, 4, [X], [Y], [None], INDEX), [None])
    for before, variable in zip(
        state, (*model.variables, *engine.optimizer.variables), strict=True
    ):
        np.testing.assert_array_equal(before, variable.numpy())


def test_an_unscaled_reduction_is_refused() -> None:
    with pytest.raises(TypeError, match="reduction"):
        trainer(loss=losses.MeanSquaredError(reduction="none"))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (X, True),
        (X[::2], True),
        (X[::-1], True),
        (X[:, ::2], False),
        (X.T, False),
        (X.astype(">f4"), False),
        (X.astype("float16"), True),
        (X.astype(np.longdouble), False),
        (X.reshape(10, 2, 2)[:, :, :1], False),
        (X[:, :1], True),
        (X[:, 0], True),
        (X[:0], True),
    ],
)
def test_which_columns_are_read_in_place(array: Any, expected: bool) -> None:
    assert is_readable(array) is expected
    made = readable(array)
    assert is_readable(made)
    assert (made is array) is expected
    np.testing.assert_array_equal(made, array)
