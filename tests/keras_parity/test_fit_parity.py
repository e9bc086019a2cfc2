"""Training, evaluation and prediction beside Keras: same weights, same batches, same numbers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from tests.keras_parity.fits import EPOCHS, ROWS, assert_close, both, data, fit_both, net

import densekit


def test_metrics_weights_and_validation() -> None:
    x, y = data("labels")
    weights = np.linspace(0, 2, ROWS).astype("float32")
    fit_both(
        net(3, "softmax"),
        lambda k: {
            "optimizer": "rmsprop",
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy", k.metrics.SparseTopKCategoricalAccuracy(2)],
            "weighted_metrics": ["accuracy"],
        },
        x,
        y,
        sample_weight=weights,
        validation_split=0.25,
        epochs=EPOCHS,
    )


def test_class_weight() -> None:
    x, y = data("binary")
    fit_both(
        net(1, "sigmoid"),
        lambda k: {"optimizer": "adam", "loss": "binary_crossentropy", "metrics": ["accuracy"]},
        x,
        y,
        class_weight={0: 3.0, 1: 0.5},
    )


def two_outputs(library: Any) -> Any:
    layers = library.layers
    a, b = library.Input((5,), name="a"), library.Input((2,), name="b")
    joined = layers.Concatenate()([layers.Dense(4, activation="relu")(a), b])
    first = layers.Dense(3, name="first")(joined)
    second = layers.Dense(1, activation="sigmoid", name="second")(layers.Add()([joined, joined]))
    return library.Model([a, b], [first, second])


def test_several_outputs_and_loss_weights() -> None:
    x, y = data()
    b, z = x[:, :2] * 2, (x[:, :1] > 0).astype("float32")
    fit_both(
        two_outputs,
        lambda k: {
            "optimizer": "adam",
            "loss": {"first": "mse", "second": "binary_crossentropy"},
            "loss_weights": {"first": 0.5, "second": 2.0},
            "metrics": {"first": ["mae"], "second": ["accuracy", "mse"]},
        },
        {"a": x, "b": b},
        {"first": y, "second": z},
    )


def test_weights_per_output() -> None:
    x, y = data()
    b, z = x[:, :2] * 2, (x[:, :1] > 0).astype("float32")
    w = np.linspace(1, 2, ROWS).astype("float32")
    fit_both(
        two_outputs,
        lambda k: {"optimizer": "adam", "loss": ["mse", "mse"], "weighted_metrics": [["mae"], []]},
        [x, b],
        [y, z],
        sample_weight=[w, w[::-1].copy()],
    )


def test_one_output_without_a_loss() -> None:
    x, y = data()
    z = np.zeros((ROWS, 1), "float32")
    fit_both(
        two_outputs, lambda k: {"optimizer": "sgd", "loss": ["mse", None]}, [x, x[:, :2]], [y, z]
    )


def test_rank_three() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 4, 5)).astype("float32")
    y = rng.integers(0, 3, (ROWS, 4))

    def build(library: Any) -> Any:
        layers = library.layers
        return library.Sequential(
            [library.Input((4, 5)), layers.Dense(6, "gelu"), layers.Dense(3, "softmax")]
        )

    fit_both(
        build,
        lambda k: {
            "optimizer": "adam",
            "loss": "sparse_categorical_crossentropy",
            "metrics": ["accuracy"],
        },
        x,
        y,
    )


def custom_layer(library: Any) -> Any:
    class Scaled(library.layers.Layer):  # type: ignore[misc, name-defined]
        def build(self, shape: Any) -> None:
            self.factor = self.add_weight(
                shape=(shape[-1],), initializer="ones", regularizer=library.regularizers.L2(0.01)
            )

        def call(self, x: Any) -> Any:
            self.add_loss(0.1 * library.ops.mean(library.ops.square(x)))
            return library.ops.sin(x) * self.factor

    layers = library.layers
    return library.Sequential([library.Input((5,)), layers.Dense(6), Scaled(), layers.Dense(3)])


def test_layer_on_the_host() -> None:
    x, y = data()
    fit_both(custom_layer, lambda k: {"optimizer": "adam", "loss": "mse"}, x, y)


def test_what_layers_add_is_loss_enough() -> None:
    x, _ = data()
    ours, _ = fit_both(custom_layer, lambda k: {"optimizer": "sgd"}, x, None)
    assert ours.loss is None


def subclass(library: Any) -> Any:
    class Net(library.Model):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.hidden = library.layers.Dense(6, activation="silu")
            self.out = library.layers.Dense(3)

        def call(self, x: Any, training: Any = None) -> Any:
            return self.out(self.hidden(x)) + library.ops.sum(x, axis=-1, keepdims=True)

    model = Net()
    model(np.zeros((1, 5), "float32"))
    return model


def test_subclassed_model() -> None:
    x, y = data()
    fit_both(subclass, lambda k: {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"]}, x, y)


def test_steps_per_epoch_go_on_in_the_data() -> None:
    x, y = data()
    fit_both(
        net(),
        lambda k: {"optimizer": "sgd", "loss": "mse"},
        x[:48],
        y[:48],
        steps_per_epoch=3,
        epochs=4,
    )


def test_batches_and_their_results() -> None:
    x, y = data()
    ours, theirs = both(net())
    for library, model in ((densekit, ours), (keras, theirs)):
        model.compile(library.optimizers.Adam(0.01), "mse", metrics=["mae"])
    for start in range(0, 40, 8):
        part = slice(start, start + 8)
        assert_close(
            ours.train_on_batch(x[part], y[part]), theirs.train_on_batch(x[part], y[part]), "train"
        )
        ours_dict = ours.test_on_batch(x[part], y[part], return_dict=True)
        theirs_dict = theirs.test_on_batch(x[part], y[part], return_dict=True)
        assert list(ours_dict) == list(theirs_dict)
        assert_close(list(ours_dict.values()), list(theirs_dict.values()), "test")
    assert_close(ours.predict_on_batch(x), theirs.predict_on_batch(x), "predict")


def test_generators() -> None:
    x, y = data()

    def batches() -> Any:
        for start in range(0, 48, 8):
            yield x[start : start + 8], y[start : start + 8]

    ours, theirs = both(net())
    histories = []
    for model in (ours, theirs):
        model.compile("sgd", "mse")
        histories.append(
            model.fit(batches(), steps_per_epoch=3, epochs=2, shuffle=False, verbose=0).history
        )
    assert_close(histories[0]["loss"], histories[1]["loss"], "history")
    for w, v in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert_close(w, v, "weights")
