"""Models whose outputs are not one row for each row of the batch: they train as in Keras.

Right values are Keras 3.15's on JAX.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import layers, ops

X = np.arange(8.0).reshape(4, 2).astype("float32")
ONES = np.ones((4, 1), "float32")


def own_mean(y_true: Any, y_pred: Any) -> Any:
    """A loss that looks at predictions alone."""
    return ops.mean(y_pred)


def model_of(formula: Any, units: int = 1, loss: Any = "mse", **compile_args: Any) -> Any:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.head = layers.Dense(units, kernel_initializer="ones")

        def call(self, inputs: Any) -> Any:
            return formula(self.head(inputs))

    model = Own()
    model.compile("sgd", loss, **compile_args)
    return model


def twice(x: Any) -> Any:
    return ops.concatenate([x, x], axis=0)


CASES: dict[str, Any] = {
    "scalar": (ops.mean, 1, "mse", ONES, [36.0, 8.29439926]),
    "scalar, own loss": (ops.mean, 1, own_mean, ONES, [7.0, 6.74]),
    "one row": (lambda x: ops.sum(x, axis=0, keepdims=True), 1, "mse", ONES, [729.0, 39061.57]),
    "more rows": (twice, 1, own_mean, ONES, [7.0, 6.74]),
    "fewer rows": (lambda x: ops.reshape(x, (-1, 2)), 1, own_mean, ONES, [7.0, 6.74]),
    "transposed": (ops.transpose, 4, "mse", np.ones((4, 4), "float32"), [56.0, 37.9973984]),
    "scalar and rows": (
        lambda x: (ops.mean(x), x),
        1,
        [None, "mse"],
        [ONES, ONES],
        [56.0, 5.0784004],
    ),
}


@pytest.mark.parametrize("name", list(CASES))
def test_losses_are_those_of_keras(name: str) -> None:
    formula, units, loss, y, wanted = CASES[name]
    model = model_of(formula, units, loss)
    history = model.fit(X, y, epochs=2, verbose=0).history["loss"]
    np.testing.assert_allclose(history, wanted, rtol=1e-5)
    after = model.evaluate(X, y, verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(model.test_on_batch(X, y, return_dict=True)["loss"], after)
    assert int(model.optimizer.iterations) == 2


def test_a_scalar_is_measured_against_each_target() -> None:
    model = model_of(ops.mean, metrics=["mae"])
    history = model.fit(X, ONES, epochs=2, verbose=0).history
    np.testing.assert_allclose(history["mae"], [6.0, 2.88], rtol=1e-5)


def test_batches_are_steps() -> None:
    model = model_of(ops.mean, loss=own_mean)
    history = model.fit(X, ONES[:, 0], batch_size=2, epochs=2, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], [6.91, 6.39], rtol=1e-5)
    assert int(model.optimizer.iterations) == 4
    batches = ((X[i : i + 2], ONES[i : i + 2]) for i in (0, 2))
    assert np.isfinite(model.fit(batches, steps_per_epoch=2, verbose=0).history["loss"][0])


def test_several_losses_are_named_and_weighted() -> None:
    model = model_of(lambda x: (ops.mean(x), x), loss=[own_mean, "mse"], loss_weights=[2.0, 0.5])
    logs = model.evaluate(X, [ONES, ONES], verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["loss"], 2 * 7.0 + 0.5 * 56.0)
    assert sorted(logs.values()) == [7.0, 42.0, 56.0]


def test_rows_that_do_not_fit_the_targets_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(8, 1\), got \(4, 1\)"):
        model_of(twice).fit(X, ONES, verbose=0)


def test_a_layer_that_changes_the_rows_of_a_functional_model() -> None:
    x = keras.Input((2,))
    y = layers.Lambda(twice)(layers.Dense(1, kernel_initializer="ones")(x))
    model = keras.Model(x, y)
    model.compile("sgd", own_mean)
    assert model.predict(X, verbose=0, batch_size=2).shape == (8, 1)
    assert model.predict_on_batch(X).shape == model(X).shape == (8, 1)
    history = model.fit(X, ONES, epochs=2, verbose=0).history["loss"]
    np.testing.assert_allclose(history, [7.0, 6.74], rtol=1e-5)


def test_penalties_state_and_optimizers_go_along() -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.head = layers.Dense(1, kernel_regularizer="l2", kernel_constraint="unit_norm")
            self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, inputs: Any) -> Any:
            self.calls.assign_add(1.0)
            self.add_loss(0.5 * ops.mean(inputs))
            return ops.mean(self.head(inputs))

    model = Own()
    optimizer = keras.optimizers.Adam(0.1, loss_scale_factor=8.0)
    model.compile(optimizer, own_mean)
    model.evaluate(X, ONES, verbose=0)
    norm = float(np.sum(np.square(model.head.kernel.numpy())))
    by_hand = float(model(X)) + 0.5 * 3.5 + 0.01 * norm
    np.testing.assert_allclose(model.evaluate(X, ONES, verbose=0), by_hand, rtol=1e-5)
    before = float(model.calls)
    model.fit(X, ONES, epochs=3, verbose=0)
    assert float(model.calls) == before + 3
    np.testing.assert_allclose(np.linalg.norm(model.head.kernel.numpy()), 1.0, rtol=1e-6)
    np.testing.assert_allclose(model.head.bias.numpy(), [-0.3], rtol=1e-3)  # three steps of Adam


def test_predictions_obey_steps_and_callbacks() -> None:
    seen: list[int] = []

    class Watching(keras.callbacks.Callback):
        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(len(logs["outputs"]))
            if len(seen) == 2:
                self.model.stop_predicting = True

    model = model_of(twice)
    assert model.predict(X, batch_size=1, steps=3, verbose=0).shape == (6, 1)
    y = model.predict(X, batch_size=1, callbacks=[Watching()], verbose=0)
    assert (y.shape, seen) == ((4, 1), [2, 2])
    assert model.predict((X[i : i + 2] for i in (0, 2)), steps=2, verbose=0).shape == (8, 1)
    assert float(model_of(ops.mean).predict_on_batch(X)) == 7.0


def test_a_fixed_batch_size_trains_with_layers_of_the_user() -> None:
    x = keras.Input(batch_shape=(4, 2))
    model = keras.Model(x, layers.Lambda(lambda z: z * 2.0)(layers.Dense(1)(x)))
    model.compile("sgd", "mse")
    assert np.isfinite(model.fit(X, ONES, batch_size=4, verbose=0).history["loss"][0])
    assert model.predict(X, batch_size=4, verbose=0).shape == (4, 1)


def test_no_loss_is_said() -> None:
    model = model_of(ops.mean, loss=None)
    with pytest.raises(ValueError, match="No loss to compute"):
        model.fit(X, verbose=0)
