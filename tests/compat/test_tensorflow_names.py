"""Each function of the module that stands for `tf`, on numbers worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from densekit.compat import tensorflow as tf

X = np.array([[1.0, -2.0], [3.0, 4.0]], "float32")

CASES: list[tuple[Any, Any]] = [
    (tf.add(x=X, y=1, name="sum"), X + 1),
    (tf.subtract(X, 1.0), X - 1),
    (tf.multiply(X, X), X * X),
    (tf.divide(X, 2.0), X / 2),
    (tf.truediv(X, 2.0), X / 2),
    (tf.pow(X, 2.0), X**2),
    (tf.floordiv(X, 2.0), X // 2),
    (tf.maximum(X, 0.0), np.maximum(X, 0)),
    (tf.minimum(X, 0.0), np.minimum(X, 0)),
    (tf.abs(X), np.abs(X)),
    (tf.square(X), X * X),
    (tf.asin(X / 4), np.arcsin(X / 4)),
    (tf.clip_by_value(X, clip_value_min=-1, clip_value_max=3), np.clip(X, -1, 3)),
    (tf.where(X > 0, X, 0.0), np.where(X > 0, X, 0)),
    (tf.stop_gradient(X), X),
    (tf.identity(X), X),
    (tf.zeros_like(input=X), 0 * X),
    (tf.reduce_mean(X), X.mean()),
    (tf.reduce_mean(input_tensor=X, axis=1, keepdims=True), X.mean(1, keepdims=True)),
    (tf.reduce_sum(X, 0), X.sum(0)),
    (tf.reduce_max(X, axis=-1), X.max(-1)),
    (tf.reduce_logsumexp(X), np.log(np.exp(X).sum())),
    (tf.norm(X), np.sqrt((X * X).sum())),
    (tf.argmax(X), [1, 1]),
    (tf.argmin(X, axis=1), [1, 0]),
    (tf.matmul(X, X, transpose_b=True), X @ X.T),
    (tf.matmul(X, X, transpose_a=True), X.T @ X),
    (tf.concat([X, X], axis=0), np.concatenate([X, X])),
    (tf.stack([X, X], axis=1), np.stack([X, X], 1)),
    (tf.unstack(X)[1], X[1]),
    (tf.split(X, 2, axis=1)[1], X[:, 1:]),
    (tf.split(X, [1, 1])[0], X[:1]),
    (tf.reshape(X, [-1]), X.ravel()),
    (tf.transpose(X, perm=[1, 0]), X.T),
    (tf.expand_dims(X, axis=0), X[None]),
    (tf.squeeze(X[None], axis=0), X),
    (tf.tile(X, [1, 2]), np.tile(X, (1, 2))),
    (tf.repeat(X, 2, axis=0), X.repeat(2, 0)),
    (tf.fill([2, 2], 3.0), np.full((2, 2), 3)),
    (tf.eye(2), np.eye(2)),
    (tf.range(3), [0, 1, 2]),
    (tf.range(1, 4, delta=2), [1, 3]),
    (tf.shape(X), [2, 2]),
    (tf.size(X), 4),
    (tf.cast(X, tf.int32), X.astype("int32")),
    (tf.constant(2.0, shape=[2]), [2, 2]),
    (tf.constant([1, 2, 3, 4], shape=(2, 2)), [[1, 2], [3, 4]]),
    (tf.one_hot([1, 0], 2), [[0, 1], [1, 0]]),
    (tf.one_hot([1], 2, on_value=5.0, off_value=-1.0), [[-1, 5]]),
    (tf.gather(X, [1]), X[[1]]),
    (tf.gather(X, [1], axis=1), X[:, [1]]),
    (tf.gather(X, [1, 0], batch_dims=1), [-2, 3]),
    (tf.gather(X, [[1, 1], [0, 1]], batch_dims=1), [[-2, -2], [3, 4]]),
    (tf.add_n([X, X, X]), 3 * X),
    (tf.cumsum(X), X.cumsum(0)),
    (tf.math.cumsum(X), X.cumsum(0)),
    (tf.math.log(X * X), np.log(X * X)),
    (tf.math.squared_difference(X, 1.0), (X - 1) ** 2),
    (tf.math.divide_no_nan(X, 0.0), 0 * X),
    (tf.math.reduce_mean(X), X.mean()),
    (tf.math.is_nan(X), np.isnan(X)),
    (tf.nn.relu(X), np.maximum(X, 0)),
    (tf.nn.leaky_relu(X, alpha=0.5), np.where(X > 0, X, X / 2)),
    (tf.nn.softmax(X, axis=-1), np.exp(X) / np.exp(X).sum(-1, keepdims=True)),
    (tf.nn.l2_loss(X), (X * X).sum() / 2),
    (tf.nn.sigmoid_cross_entropy_with_logits(labels=[[1.0]], logits=[[0.0]]), [[np.log(2)]]),
    (
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=np.array([0]), logits=X[:1]),
        [np.log1p(np.exp(-3.0))],
    ),
    (
        tf.nn.softmax_cross_entropy_with_logits(labels=np.array([[1.0, 0.0]]), logits=X[:1]),
        [np.log1p(np.exp(-3.0))],
    ),
    (
        tf.nn.weighted_cross_entropy_with_logits(
            labels=[1.0, 0.0], logits=[0.0, 0.0], pos_weight=3.0
        ),
        [3 * np.log(2), np.log(2)],
    ),
    (tf.nn.moments(X, axes=[0])[1], X.var(0)),
    (tf.nn.batch_normalization(X, 1.0, 4.0, 0.5, 2.0, 0.0), X - 0.5),
    (tf.nn.bias_add(X, [1.0, 2.0]), X + np.array([1, 2])),
    (tf.nn.embedding_lookup(X, [1]), X[[1]]),
    (tf.nn.l2_normalize(X, axis=0), X / np.sqrt((X * X).sum(0))),
    (tf.where(X > 0), [[0, 0], [1, 0], [1, 1]]),
    (tf.fill([2], 3), [3, 3]),
    (tf.rank(X), 2),
    (tf.sort(X, direction="DESCENDING"), [[1, -2], [4, 3]]),
    (tf.argsort(X, axis=1, direction="DESCENDING"), [[0, 1], [1, 0]]),
    (tf.pad(X, [[0, 1], [0, 0]], constant_values=7.0), [[1, -2], [3, 4], [7, 7]]),
    (tf.reverse(X, axis=[0]), X[::-1]),
    (tf.gather_nd(X, [[0, 1], [1, 0]]), [-2, 3]),
    (tf.gather_nd(X, [[1]]), X[1:]),
    (tf.boolean_mask(X, [False, True]), X[1:]),
    (tf.boolean_mask(X, [False, True], axis=1), X[:, 1:]),
    (tf.clip_by_norm([3.0, 4.0], 1.0), [0.6, 0.8]),
    (tf.clip_by_norm([3.0, 4.0], 9.0), [3.0, 4.0]),
    (tf.clip_by_global_norm([[3.0], None, [4.0]], 1.0)[0][2], [0.8]),
    (tf.clip_by_global_norm([[3.0], None, [4.0]], 1.0)[1], 5.0),
    (tf.atan2(1.0, 2.0), np.arctan2(1, 2)),
    (tf.math.reduce_std(X), X.std()),
    (tf.math.argmax(X, 1), [0, 1]),
    (tf.linalg.matvec(X, [1.0, 2.0]), X @ [1, 2]),
    (tf.linalg.svd(X)[0], np.linalg.svd(X)[1]),
    (tf.linalg.diag_part(X), [1, 4]),
    (tf.map_fn(lambda row: row * 2, X), 2 * X),
    (tf.float32.max, np.finfo("float32").max),
    (tf.int8.min, -128),
    (tf.dtypes.cast(X, tf.float64), X),
    (tf.linalg.trace(X), 5.0),
    (tf.linalg.matmul(X, X), X @ X),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_numbers(case: int) -> None:
    got, expected = CASES[case]
    np.testing.assert_allclose(np.asarray(got), expected, rtol=2e-6)


def test_draws_repeat_after_a_seed() -> None:
    drawn = []
    for _ in range(2):
        tf.random.set_seed(5)
        drawn.append(
            [
                tf.random.normal([4], stddev=2.0),
                tf.random.uniform((3,), 1, 9, dtype=tf.int32),
                tf.random.uniform((3,)),
                tf.random.truncated_normal((3,)),
                tf.random.shuffle(np.arange(5)),
                tf.nn.dropout(X, rate=0.5),
            ]
        )
    for first, second in zip(*drawn, strict=True):
        np.testing.assert_array_equal(first, second)
    assert set(np.asarray(drawn[0][1])) <= set(range(1, 9))
    assert np.isin(drawn[0][5], [*(2 * X).ravel(), 0.0]).all()


def test_what_would_not_be_the_same_is_refused() -> None:
    for refused in (
        lambda: tf.cumsum(X, reverse=True),
        lambda: tf.gather(X, X.astype(int), batch_dims=2),
    ):
        with pytest.raises(NotImplementedError, match="tf"):
            refused()


def test_shapes_and_types_tell_what_tensorflows_do() -> None:
    shape = tf.TensorShape([None, 3])
    assert shape == (None, 3) and shape.as_list() == [None, 3] and shape.rank == 2
    assert shape.num_elements() is None and tf.TensorShape([2, 3]).num_elements() == 6
    assert not shape.is_fully_defined() and tf.as_dtype(np.dtype("int64")).is_integer
    assert X.dtype == tf.float32 and tf.float32.as_numpy_dtype is np.float32
    assert tf.TensorSpec([None], tf.int32).dtype == "int32"
    factors = tf.linalg.svd(X)
    np.testing.assert_allclose(factors[1] * factors[0] @ factors[2].T, X, rtol=1e-5)


def test_there_is_a_processor_and_nothing_to_set() -> None:
    assert tf.config.list_physical_devices("GPU") == [] and not tf.test.is_gpu_available()
    assert [d.device_type for d in tf.config.experimental.list_physical_devices()] == ["CPU"]
    assert tf.executing_eagerly() and tf.is_tensor(tf.constant(1.0))
    assert not tf.is_tensor([1.0]) and not tf.is_tensor(X)  # matplotlib asks of numbers, too


@pytest.mark.parametrize(
    ("name", "action"),
    [("data", "PyDataset"), ("feature_column", "FeatureSpace"), ("Session", "TensorFlow 1")],
)
def test_what_is_absent_says_what_to_use(name: str, action: str) -> None:
    with pytest.raises(AttributeError, match=rf"tf\.{name}: .*{action}"):
        getattr(tf, name)
