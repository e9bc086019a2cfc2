"""`keras.backend` as Keras 2 had it, on numbers worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.compat import old_backend as K

X = np.array([[1.0, -2.0], [3.0, 4.0]], "float32")
ROWS = np.arange(12, dtype="float32").reshape(2, 3, 2)
TRUTHS = np.array([[True, False], [True, True]])

CASES: list[tuple[Any, Any]] = [
    (K.mean(X, axis=-1), X.mean(-1)),
    (K.mean(TRUTHS), 0.75),
    (K.sum(X, axis=0, keepdims=True), X.sum(0, keepdims=True)),
    (K.std(X), X.std()),
    (K.var(TRUTHS), 0.1875),
    (K.max(X, 1), X.max(1)),
    (K.prod(X), -24.0),
    (K.any(X, axis=0), [True, True]),
    (K.all([1, 0]), False),
    (K.abs(X), np.abs(X)),
    (K.square(X), X * X),
    (K.sqrt(X), np.sqrt(np.maximum(X, 0))),
    (K.pow(X, 2), X * X),
    (K.clip(X, 0.0, 3.0), np.clip(X, 0, 3)),
    (K.maximum(x=X, y=0.0), np.maximum(X, 0)),
    (K.equal(X, 3.0), X == 3),
    (K.round([0.4, 0.6]), [0, 1]),
    (K.relu(X, alpha=0.5), [[1, -1], [3, 4]]),
    (K.relu(X, max_value=2.0), [[1, 0], [2, 2]]),
    (K.elu(X, 2.0), np.where(X > 0, X, 2 * np.expm1(X))),
    (K.hard_sigmoid(X), [[0.7, 0.1], [1.0, 1.0]]),
    (K.softmax(X), np.exp(X) / np.exp(X).sum(-1, keepdims=True)),
    (K.l2_normalize(X, axis=1), X / np.sqrt((X * X).sum(1, keepdims=True))),
    (K.bias_add(X, [1.0, 2.0]), X + np.array([1, 2])),
    (K.batch_normalization(X, 1.0, 4.0, 0.5, 2.0, epsilon=0.0), X - 0.5),
    (K.dot(X, X), X @ X),
    (K.batch_dot(X, X), (X * X).sum(1, keepdims=True)),
    (K.batch_dot(ROWS, ROWS, axes=[1, 1]), np.einsum("bij,bik->bjk", ROWS, ROWS)),
    (K.batch_dot(ROWS, X), np.einsum("bij,bj->bi", ROWS, X)),
    (K.batch_dot(ROWS, ROWS.swapaxes(1, 2)), ROWS @ ROWS.swapaxes(1, 2)),
    (K.argmax(X), [0, 1]),
    (K.argmin(X, axis=0), [0, 0]),
    (K.cumsum(X), X.cumsum(0)),
    (K.cumprod(X, axis=1), X.cumprod(1)),
    (K.expand_dims(X), X[..., None]),
    (K.concatenate([X, X]), np.concatenate([X, X], -1)),
    (K.flatten(X), X.ravel()),
    (K.batch_flatten(ROWS), ROWS.reshape(2, 6)),
    (K.repeat(X, 2), X[:, None].repeat(2, 1)),
    (K.repeat_elements(X, 2, axis=1), X.repeat(2, 1)),
    (K.permute_dimensions(ROWS, (0, 2, 1)), ROWS.swapaxes(1, 2)),
    (K.reverse(X, axes=1), X[:, ::-1]),
    (K.tile(X, (2, 1)), np.tile(X, (2, 1))),
    (K.reshape(X, (-1,)), X.ravel()),
    (K.gather(X, [1]), X[[1]]),
    (K.one_hot([1, 0], 2), [[0, 1], [1, 0]]),
    (K.cast(X, "int32"), X.astype(int)),
    (K.cast_to_floatx([1, 2]), [1.0, 2.0]),
    (K.constant(3.0, shape=(2,)), [3, 3]),
    (K.shape(X), [2, 2]),
    (K.arange(3), [0, 1, 2]),
    (K.switch(X > 0, X, 0 * X), np.maximum(X, 0)),
    (K.switch(np.array([True, False]), X, -X), [X[0], -X[1]]),
    (K.switch(np.array(False), lambda: X, lambda: -X), -X),
    (K.binary_crossentropy([[1.0]], [[0.5]]), [[np.log(2)]]),
    (K.categorical_crossentropy([[1.0, 0.0]], [[0.5, 0.5]]), [np.log(2)]),
    (K.map_fn(lambda row: row * 2, X), 2 * X),
    (K.foldl(lambda a, b: a + b, X), X.sum(0)),
    (K.foldr(lambda a, b: 2 * a + b, [1.0, 2.0]), 5.0),
    (K.eval(K.variable([1, 2])), [1.0, 2.0]),
    (K.get_value(2.5), 2.5),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_numbers(case: int) -> None:
    got, expected = CASES[case]
    np.testing.assert_allclose(np.asarray(got), expected, rtol=2e-6, atol=1e-7)


def test_variables() -> None:
    a, b = K.variable([1.0, 2.0], name="a"), K.zeros((2,))
    K.set_value(b, [5.0, 6.0])
    K.update_add(a, [1.0, 1.0])
    K.update_sub(a, [0.5, 0.5])
    K.moving_average_update(b, [1.0, 2.0], 0.5)
    assert [v.tolist() for v in K.batch_get_value([a, b])] == [[1.5, 2.5], [3.0, 4.0]]
    K.batch_set_value([(a, [0.0, 1.0])])
    assert a.numpy().tolist() == [0.0, 1.0] and a.name == "a"
    assert K.eye(2).numpy().tolist() == [[1, 0], [0, 1]]
    assert K.ones((1,)).numpy().tolist() == [1.0]
    assert (K.int_shape(a), K.ndim(a), K.dtype(a), K.count_params(a)) == ((2,), 1, "float32", 2)


def test_draws() -> None:
    keras.utils.set_random_seed(1)
    assert K.random_normal((2, 3)).shape == (2, 3)
    assert set(np.unique(K.random_bernoulli((50,), p=0.5))) == {0.0, 1.0}
    drawn = K.random_uniform((100,), 2.0, 3.0)
    assert drawn.min() >= 2 and drawn.max() < 3
    assert np.abs(K.truncated_normal((100,))).max() <= 2
    assert K.random_normal_variable((3,), 0, 1).shape == (3,)


def test_a_function_of_a_models_inner_values() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    inner = K.function([model.input], [model.layers[0].output])
    x = np.ones((2, 3), "float32")
    (found,) = inner([x])
    np.testing.assert_array_equal(found, model.layers[0](x))
