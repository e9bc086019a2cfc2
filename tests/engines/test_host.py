"""Host nodes: gradients against finite differences, state, losses and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit._core.scope import stateless_scope
from densekit.engines.host import (
    HostFunction,
    HostLoss,
    HostNode,
    host_constraint,
    host_regularizer,
)

RNG = np.random.default_rng(1)


def node(function: Any, *shapes: Any, out: tuple[int, ...], **known: Any) -> HostNode:
    dtypes = ["float64"] * len(shapes)
    return HostNode(HostFunction(function, **known), shapes, dtypes, [out], "float64")


def directional(f: Any, at: Any, along: Any, step: float = 1e-6) -> float:
    """Central difference of a scalar function."""
    return float((f(at + step * along) - f(at - step * along)) / (2 * step))


def test_gradients_of_inputs_and_variables() -> None:
    w = keras.Variable(RNG.normal(size=(3, 2)), dtype="float64")
    host = node(lambda a, b: keras.ops.tanh(a @ w) * b, (3,), (2,), out=(2,), variables=[w])
    a, b, dy = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2)), RNG.normal(size=(5, 2))
    (y,), extra = host.forward(True, [a, b])
    assert extra == 0
    np.testing.assert_allclose(y, np.tanh(a @ w.numpy()) * b)
    (da, db), (dw,) = host.backward([dy])

    def value(a: Any, b: Any, w: Any) -> Any:
        return (np.tanh(a @ w) * b * dy).sum()

    w0 = w.numpy()
    for got, f, at in (
        (da, lambda v: value(v, b, w0), a),
        (db, lambda v: value(a, v, w0), b),
        (dw, lambda v: value(a, b, v), w0),
    ):
        assert got is not None
        along = RNG.normal(size=at.shape)
        assert (got.reshape(at.shape) * along).sum() == pytest.approx(
            directional(f, at, along), rel=1e-6
        )


def test_added_losses_have_gradients() -> None:
    def penalised(x: Any) -> Any:
        scope = stateless_scope()
        assert scope is not None
        scope.add_loss(keras.ops.sum(x**2))
        return x * 3

    host = node(penalised, (2,), out=(2,))
    x = RNG.normal(size=(4, 2))
    _, extra = host.forward(True, [x])
    assert extra == pytest.approx((x**2).sum())
    (dx,), _ = host.backward([np.ones((4, 2))])
    np.testing.assert_allclose(dx, 3 + 2 * x)
    assert host.added_losses


def test_state_moves_in_training_and_inference() -> None:
    count = keras.Variable(0.0, dtype="float64", trainable=False)

    def counting(x: Any) -> Any:
        count.assign(count + keras.ops.sum(x))
        return x

    host = node(counting, (1,), out=(1,), state=[count])
    host.forward(False, [np.ones((3, 1))])
    assert count.numpy() == 3
    host.forward(True, [np.ones((3, 1))])
    assert count.numpy() == 6


def test_integers_stay_integers() -> None:
    seen = []

    def look(x: Any) -> Any:
        seen.append(x.dtype)
        return x * 1.0

    host = HostNode(HostFunction(look), [(2,)], ["int32"], [(2,)], "float32")
    host.forward(True, [np.ones((3, 2), "float32")])
    assert seen == [np.int32]
    assert host.backward([np.ones((3, 2), "float32")])[0] == [None]


def test_a_lost_batch_axis_is_named() -> None:
    host = node(lambda x: x[:1], (2,), out=(2,))
    with pytest.raises(ValueError, match="batch axis"):
        host.forward(False, [np.ones((3, 2))])


def test_host_loss() -> None:
    class Cubic(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return keras.ops.mean(keras.ops.abs(y_true - y_pred) ** 3, axis=-1)

    loss = HostLoss(Cubic(dtype="float64"), (2,), "float64")
    y, p, w = RNG.normal(size=(4, 2)), RNG.normal(size=(4, 2)), RNG.uniform(size=4)
    value, gradient = loss(y, p, w, True)
    assert value == pytest.approx((np.mean(abs(y - p) ** 3, axis=1) * w).mean())
    assert gradient is not None
    np.testing.assert_allclose(gradient, 3 * (p - y) * abs(p - y) / 2 * w[:, None] / 4, rtol=1e-9)
    assert loss(y, p, None, False)[1] is None


def test_host_regularizer_and_constraint() -> None:
    w = keras.Variable(RNG.normal(size=(3, 2)), dtype="float64")
    value, gradient = host_regularizer(w, lambda v: keras.ops.sum(v**4))()
    assert value == pytest.approx((w.numpy() ** 4).sum())
    np.testing.assert_allclose(gradient, 4 * w.numpy() ** 3)
    buffer = w.array
    host_constraint(w, lambda v: keras.ops.clip(v, -0.1, 0.1))()
    assert w.array is buffer
    assert abs(buffer).max() <= 0.1
