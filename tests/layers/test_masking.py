"""`Masking`, and masks that go along."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import layers, ops
from densekit.engines import NativeEngine

X = np.array([[[1, 2], [0, 0], [0, 3]], [[0, 0], [4, 0], [0, 0]]], np.float32)
MASK = [[True, False, True], [False, True, False]]


def test_the_mask_goes_along_from_call_to_call() -> None:
    y = layers.Dense(4)(layers.Masking()(X))
    assert y._keras_mask.tolist() == MASK
    assert type(y + 1) is np.ndarray
    pooled = layers.GlobalAveragePooling1D()(y)
    np.testing.assert_allclose(pooled[1], np.asarray(y)[1, 1], rtol=1e-6)
    assert not hasattr(pooled, "_keras_mask")


def test_what_is_masked_becomes_zero() -> None:
    x = np.where(X == 0, -1, X).astype(np.float32)
    y = layers.Masking(mask_value=-1.0)(x)
    assert y._keras_mask.tolist() == MASK
    assert y[0, 1].tolist() == [0, 0]
    assert y[0, 2].tolist() == [-1, 3]


def test_a_layer_without_masks_says_so() -> None:
    x = layers.Masking()(X)
    with pytest.warns(UserWarning, match="does not support masking") as heard:
        y = layers.Flatten()(x)
    assert heard[0].filename == __file__
    assert not hasattr(y, "_keras_mask")


def test_an_explicit_mask_goes_along() -> None:
    y = layers.Softmax()(np.ones((1, 3), np.float32), mask=np.array([[True, True, False]]))
    assert y.tolist() == [[0.5, 0.5, 0.0]]
    assert y._keras_mask.tolist() == [[True, True, False]]


def test_masks_of_named_arguments() -> None:
    class Two(layers.Layer):
        def call(
            self, query: Any, value: Any, query_mask: Any = None, value_mask: Any = None
        ) -> Any:
            self.seen = query_mask is None, value_mask.tolist()
            return query

    layer = Two()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that of the first argument alone is handed on
        layer(np.ones((2, 3, 2), np.float32), layers.Masking()(X))
    assert layer.seen == (True, MASK)


def test_a_call_may_set_the_mask_itself() -> None:
    class Setting(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.supports_masking = True

        def call(self, x: Any) -> Any:
            y = x * 2.0
            y._keras_mask = ops.greater(x[:, :, 0], 0.0)
            return y

    assert Setting()(X)._keras_mask.tolist() == [[True, False, False], [False, True, False]]
    model = keras.Sequential([keras.Input((3, 2)), Setting(), layers.Dense(1)])
    model.compile("sgd", "mse", weighted_metrics=["mse"])
    y = np.zeros((2, 3, 1), np.float32)
    loss, measured = model.evaluate(X, y, verbose=0)
    p = np.asarray(model(X))
    assert loss == pytest.approx((p[0, 0, 0] ** 2 + p[1, 1, 0] ** 2) / 2, rel=1e-6)
    assert measured == pytest.approx(loss)
    assert not any(e.has_host_nodes for e in model._dk_runtime._engines.values())


def test_nothing_counts() -> None:
    model = keras.Sequential([keras.Input((3, 2)), layers.Masking(), layers.Dense(1)])
    model.compile("sgd", "mse")
    before = model.get_weights()
    assert model.train_on_batch(X * 0, np.ones((2, 3, 1), np.float32)) == 0.0
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_an_own_loss_metrics_and_training_metrics_see_the_mask(engine: str) -> None:
    def loss(y_true: Any, y_pred: Any) -> Any:
        return (
            np.abs(y_true - y_pred)[..., 0]
            if isinstance(y_pred, float)
            else ops.max(ops.abs(y_true - y_pred), axis=-1)
        )

    model = keras.Sequential([keras.Input((3, 2)), layers.Masking(), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), loss, metrics=["mae"], engine=engine)
    y = np.ones((2, 3, 1), np.float32)
    history = model.fit(X, y, verbose=0, batch_size=2).history
    p = np.asarray(model(X))
    wanted = np.abs(p - y)[np.array(MASK)].mean()
    assert history["loss"][0] == pytest.approx(wanted, rel=1e-6)
    assert history["mae"][0] == pytest.approx(wanted, rel=1e-6)


def test_a_loss_on_the_host_gets_the_mask() -> None:
    def loss(y_true: Any, y_pred: Any) -> Any:
        assert y_pred.shape[0] is not None  # not to be followed
        return ops.mean(ops.abs(y_true - y_pred), axis=-1)

    model = keras.Sequential([keras.Input((3, 2)), layers.Masking(), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), loss)
    y = np.ones((2, 3, 1), np.float32)
    wanted = np.abs(np.asarray(model(X)) - y)[np.array(MASK)].mean()
    assert model.evaluate(X, y, verbose=0) == pytest.approx(wanted, rel=1e-6)


def test_masks_pass_layers_that_run_in_python() -> None:
    class Python(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.supports_masking = True

        def call(self, x: Any, mask: Any = None) -> Any:
            assert x.shape[0] is not None
            return ops.where(ops.expand_dims(mask, -1), x * 2.0, 7.0)

    model = keras.Sequential([keras.Input((3, 2)), layers.Masking(), Python(), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mse"])
    y = np.zeros((2, 3, 1), np.float32)
    p = np.asarray(model(X))
    loss, measured = model.evaluate(X, y, verbose=0)
    assert loss == pytest.approx((p[..., 0] ** 2)[np.array(MASK)].mean(), rel=1e-5)
    assert measured == pytest.approx(loss)
    model.fit(X, y, verbose=0)


def test_tapes_see_masks() -> None:
    model = keras.Sequential([keras.Input((3, 2)), layers.Masking(), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    y = np.ones((2, 3, 1), np.float32)
    with keras.GradientTape() as tape:
        loss = keras.losses.MeanSquaredError()(y, model(X, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    before = model.get_weights()
    assert model.train_on_batch(X, y) == pytest.approx(float(loss), rel=1e-6)
    for old, new, g in zip(before, model.get_weights(), gradients, strict=True):
        np.testing.assert_allclose(old - new, g, rtol=0, atol=1e-6)


def test_a_masked_model_on_a_tape_is_one_native_step() -> None:
    model = keras.Sequential([keras.Input((3, 2)), layers.Masking(), layers.Dense(1)])
    y = np.ones((2, 3, 1), np.float32)
    losses: list[Any] = [
        lambda y_pred: ops.mean((y_pred - y) ** 2),  # the user's own formula asks for no mask
        lambda y_pred: keras.losses.MeanAbsoluteError()(y, y_pred),
    ]

    def gradients(loss_of: Any, call: Any) -> list[Any]:
        with keras.GradientTape() as tape:
            y_pred = call(X)
            assert np.array_equal(y_pred._value._keras_mask, MASK)
            loss = loss_of(y_pred)
        return [float(loss), *tape.gradient(loss, model.trainable_variables)]

    for loss_of in losses:
        for _ in range(3):
            found = gradients(loss_of, lambda x: model(x, training=True))
        expected = gradients(loss_of, lambda x: model.layers[1](model.layers[0](x)))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert model._dk_runtime.quick_records[True].engine.variables == model.trainable_variables


def test_models_inside_models_and_the_files_keep_masks(tmp_path: Any) -> None:
    inner = keras.Sequential([keras.Input((3, 2)), layers.Masking(), layers.Dense(2)])
    outer = keras.Sequential([keras.Input((3, 2)), inner, layers.Dense(1)])
    assert outer(X)._keras_mask.tolist() == MASK
    outer.save(tmp_path / "it.keras")
    again = keras.saving.load_model(tmp_path / "it.keras")
    assert again(X)._keras_mask.tolist() == MASK
    assert type(outer.predict(X, verbose=0)) is np.ndarray


def test_another_value_counts_from_the_next_step_on() -> None:
    masking = layers.Masking()
    model = keras.Sequential([keras.Input((3, 2)), masking, layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x, y = np.where(X == 0, 5, X).astype(np.float32), np.ones((2, 3, 1), np.float32)
    for value, counts in ((0.0, np.ones((2, 3), bool)), (5.0, np.array(MASK))):
        masking.mask_value = value
        errors = (np.asarray(model(x)) - y)[..., 0] ** 2
        assert model.train_on_batch(x, y) == pytest.approx(errors[counts].mean(), rel=1e-5)


def test_unread_masks_cost_nothing() -> None:
    from densekit.engines import lower_graph

    ids = keras.Input((4,), dtype="int32")
    x = layers.Embedding(3, 2, mask_zero=True)(ids)
    with pytest.warns(UserWarning, match="does not support masking"):
        model = keras.Model(ids, layers.Dense(1)(layers.Flatten()(x)))
    plan = lower_graph(model._dk_graph(), "float32", True)
    assert [op.kind for op in plan.ops] == ["embedding", "dense"]


def test_a_call_of_a_model_hands_masks_on_natively(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    predict_masked = NativeEngine.predict_masked

    def noted(self: Any, inputs: Any, n: int) -> Any:
        runs.append(n)
        return predict_masked(self, inputs, n)

    monkeypatch.setattr(NativeEngine, "predict_masked", noted)
    x = keras.Input((3, 2))
    masked = layers.Masking()(x)
    outputs = [layers.Dense(4, "tanh")(masked), layers.Dense(1)(x), masked]
    model = keras.Model(x, outputs)
    for given in (X, X.astype(">f4"), np.repeat(X, 3, -1)[:, :, ::3], np.tile(X, (300, 1, 1))):
        found = model(given)
        expected = layers.Layer.__call__(model, given)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
            mine, own = (getattr(y, "_keras_mask", None) for y in (one, other))
            assert (mine is None) == (own is None)
            if mine is not None:
                assert mine.dtype == bool and np.array_equal(mine, own)
        assert type(found[1]) is np.ndarray
        assert not hasattr(found[0] * 2, "_keras_mask")
    assert runs == [2, 2, 2, 600]
    assert [y.shape[0] for y in model(X[:0])] == [0, 0, 0]
    first = model(X)[0]
    kept = first._keras_mask.copy()
    model(np.ones_like(X))
    assert np.array_equal(first._keras_mask, kept)  # each call has memory of its own


def test_a_product_is_0_where_every_factor_is_masked() -> None:
    other = X[::-1].copy()
    masking = layers.Masking()
    both = layers.Multiply()([masking(X), masking(X)])
    assert np.array_equal(both, np.where(np.array(MASK)[..., None], X * X, 0))
    known = np.array(MASK)[..., None]
    assert np.array_equal(layers.Multiply()([masking(X), other]), np.where(known, X * other, other))


def test_a_layer_that_refuses_rows_of_a_trial_keeps_its_mask() -> None:
    class OfTheseRows(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.supports_masking = True

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

        def call(self, inputs: Any, mask: Any = None) -> Any:
            if not np.array_equal(np.asarray(mask), MASK):
                raise ValueError("other rows")
            return inputs * 1.0

    model = keras.Sequential([keras.Input((3, 2)), layers.Masking(), OfTheseRows()])
    for _ in range(2):
        found = model(X)
        assert np.array_equal(found, X) and np.array_equal(found._keras_mask, MASK)
    assert np.array_equal(model.predict(X, verbose=0), X)
    model.compile("sgd", "mse")
    loss = model.evaluate(X, np.ones_like(X), verbose=0)
    np.testing.assert_allclose(loss, ((X - 1) ** 2)[np.array(MASK)].mean(), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
def test_a_cast_that_changes_nothing_hands_the_mask_on() -> None:
    """As the array itself is handed on where definitions run."""
    x = np.array([[1, 2, 0], [3, 0, 0]])

    def run(engine: str, layer: Any) -> Any:
        keras.utils.set_random_seed(1)
        inputs = keras.Input((3,), dtype="int32")
        hidden = layer()(keras.layers.Embedding(5, 2, mask_zero=True)(inputs))
        model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(hidden))
        model.compile("sgd", "mse", engine=engine)
        return model.predict(x, verbose=0)

    for layer in (
        lambda: keras.layers.SpectralNormalization(keras.layers.Dense(2)),
        lambda: keras.layers.Dense(2),
    ):
        np.testing.assert_allclose(run("native", layer), run("reference", layer), rtol=1e-6)
