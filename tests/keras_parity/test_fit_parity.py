"""Training, evaluation and prediction beside real Keras: same weights, same batches, same
numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest

import densekit

Array = npt.NDArray[Any]

EPS = float(np.finfo(np.float32).eps)
ROWS, BATCH, EPOCHS = 52, 8, 2  # the last batch is short
STEPS = EPOCHS * -(-ROWS // BATCH)

Build = Callable[[Any], Any]


def tolerance(scale: float) -> float:
    """Rounding of float32 sums over a layer, for as many steps as were made, on values of this
    size.
    """
    return 64 * EPS * STEPS * max(1.0, scale)


def assert_close(ours: Any, theirs: Any, what: str) -> None:
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape, what
    bound = tolerance(float(np.abs(theirs).max(initial=0)))
    worst = float(np.abs(ours - theirs).max(initial=0))
    assert worst <= bound, f"{what}: off by {worst:.3g}, allowed {bound:.3g}"


def both(build: Build) -> tuple[Any, Any]:
    """The same model in densekit and in Keras, with equal weights."""
    ours, theirs = build(densekit), build(keras)
    ours.set_weights([np.asarray(w) for w in theirs.get_weights()])
    return ours, theirs


def data(targets: str = "regression") -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(ROWS, 5)).astype("float32")
    if targets == "regression":
        return x, rng.normal(size=(ROWS, 3)).astype("float32")
    labels = rng.integers(0, 3, ROWS)
    if targets == "labels":
        return x, labels
    if targets == "one_hot":
        return x, np.eye(3, dtype="float32")[labels]
    return x, (labels > 0).astype("float32")  # binary


def fit_both(
    build: Build, compile_args: Callable[[Any], dict[str, Any]], x: Any, y: Any, **fit: Any
) -> tuple[Any, Any]:
    """Train both, compare histories, weights, evaluation and predictions."""
    ours, theirs = both(build)
    histories = []
    for library, model in ((densekit, ours), (keras, theirs)):
        model.compile(**compile_args(library))
        histories.append(
            model.fit(
                x,
                y,
                **{"batch_size": BATCH, "epochs": EPOCHS, "shuffle": False, "verbose": 0, **fit},
            ).history
        )
    assert list(histories[0]) == list(histories[1])
    for key in histories[0]:
        assert_close(histories[0][key], histories[1][key], f"history {key}")
    for w, v in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert_close(w, v, "weights")
    results = [
        m.evaluate(x, y, batch_size=BATCH, verbose=0, return_dict=True) for m in (ours, theirs)
    ]
    assert list(results[0]) == list(results[1])
    for key in results[0]:
        assert_close(results[0][key], results[1][key], f"evaluate {key}")
    for p, q in zip(
        _flat(ours.predict(x, verbose=0)), _flat(theirs.predict(x, verbose=0)), strict=True
    ):
        assert p.dtype == q.dtype
        assert_close(p, q, "predictions")
    return ours, theirs


def _flat(outputs: Any) -> list[Array]:
    if isinstance(outputs, dict):
        return [outputs[key] for key in sorted(outputs)]
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def net(units: int = 3, last: str | None = None, **dense: Any) -> Build:
    """A net of two layers; keyword arguments go to the first."""

    def build(library: Any) -> Any:
        arguments = {key: value(library) for key, value in dense.items()}
        layers = library.layers
        return library.Sequential(
            [
                library.Input((5,)),
                layers.Dense(6, activation="tanh", **arguments),
                layers.Dense(units, activation=last),
            ]
        )

    return build


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda k: k.SGD(0.05),
    "momentum": lambda k: k.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "rmsprop": lambda k: k.RMSprop(0.01, momentum=0.5, centered=True),
    "adam": lambda k: k.Adam(0.01, amsgrad=True, clipnorm=0.1),
    "adamw": lambda k: k.AdamW(0.01, global_clipnorm=0.5),
    "clipvalue": lambda k: k.SGD(0.05, clipvalue=0.01),
    "ema": lambda k: k.Adam(0.01, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3),
    "ema at the end": lambda k: k.SGD(0.1, use_ema=True, ema_momentum=0.8),
    "accumulation": lambda k: k.SGD(0.1, gradient_accumulation_steps=3),
    "schedule": lambda k: k.SGD(k.schedules.ExponentialDecay(0.1, 3, 0.5)),
    "adagrad": lambda k: k.Adagrad(0.05),
    "lion": lambda k: k.Lion(0.01),
    "adadelta": lambda k: k.Adadelta(1.0, weight_decay=0.01),
    "adamax": lambda k: k.Adamax(0.01, clipnorm=0.1),
    "nadam": lambda k: k.Nadam(0.01),
    "nadam accumulated": lambda k: k.Nadam(0.01, gradient_accumulation_steps=3),
    "ftrl": lambda k: k.Ftrl(0.1, l1_regularization_strength=0.01, beta=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name: str) -> None:
    x, y = data()
    ours, theirs = fit_both(
        net(), lambda k: {"optimizer": OPTIMIZERS[name](k.optimizers), "loss": "mse"}, x, y
    )
    assert int(np.asarray(ours.optimizer.iterations)) == int(theirs.optimizer.iterations)
    if "ema" in name:
        return  # Keras shares buffers of weights and averages, and evaluation deleted them
    for v, w in zip(ours.optimizer.variables, theirs.optimizer.variables, strict=True):
        assert_close(v.numpy(), np.asarray(w), f"optimizer variable {v.name}")


LOSSES: dict[str, tuple[Callable[[Any], Any], str, str | None, int]] = {
    "mae": (lambda k: "mae", "regression", None, 3),
    "huber": (lambda k: k.losses.Huber(0.5), "regression", None, 3),
    "sum": (lambda k: k.losses.MeanSquaredError(reduction="sum"), "regression", None, 3),
    "log_cosh": (lambda k: "log_cosh", "regression", None, 3),
    "binary": (lambda k: "binary_crossentropy", "binary", "sigmoid", 1),
    "binary logits": (
        lambda k: k.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
        "binary",
        None,
        1,
    ),
    "categorical": (lambda k: "categorical_crossentropy", "one_hot", "softmax", 3),
    "sparse": (lambda k: "sparse_categorical_crossentropy", "labels", "softmax", 3),
    "sparse logits": (
        lambda k: k.losses.SparseCategoricalCrossentropy(from_logits=True),
        "labels",
        None,
        3,
    ),
    "categorical hinge": (lambda k: "categorical_hinge", "one_hot", None, 3),
    "hinge": (lambda k: "hinge", "binary", "tanh", 1),
    "squared hinge": (lambda k: "squared_hinge", "binary", "tanh", 1),
    "percentage": (lambda k: "mape", "regression", None, 3),
    "logarithmic": (lambda k: "msle", "one_hot", "softplus", 3),
    "poisson": (lambda k: "poisson", "one_hot", "softplus", 3),
    "divergence": (lambda k: "kl_divergence", "one_hot", "softmax", 3),
    "cosine": (lambda k: "cosine_similarity", "regression", None, 3),
    "binary focal": (
        lambda k: k.losses.BinaryFocalCrossentropy(True, gamma=1.5, label_smoothing=0.1),
        "binary",
        "sigmoid",
        1,
    ),
    "categorical focal": (
        lambda k: k.losses.CategoricalFocalCrossentropy(from_logits=True),
        "one_hot",
        None,
        3,
    ),
    "generalized": (
        lambda k: k.losses.CategoricalGeneralizedCrossEntropy(0.7),
        "labels",
        "softmax",
        3,
    ),
    "dice": (lambda k: k.losses.Dice(axis=-1), "one_hot", "softmax", 3),
    "dice of the batch": (lambda k: k.losses.Dice(), "one_hot", "softmax", 3),
    "tversky of the batch": (lambda k: k.losses.Tversky(0.3, 0.7, "sum"), "one_hot", "softmax", 3),
    "function": (
        lambda k: lambda t, p: k.ops.mean(k.ops.abs(t - p) ** 3, axis=-1),
        "regression",
        None,
        3,
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str) -> None:
    loss, targets, last, units = LOSSES[name]
    x, y = data(targets)
    fit_both(net(units, last), lambda k: {"optimizer": "adam", "loss": loss(k)}, x, y)


REGULARIZED: dict[str, dict[str, Callable[[Any], Any]]] = {
    "l2": {
        "kernel_regularizer": lambda k: "l2",
        "bias_regularizer": lambda k: k.regularizers.L1(0.1),
        "bias_initializer": lambda k: "ones",  # at 0, JAX takes 1 as the slope of abs
    },
    "l1l2": {"kernel_regularizer": lambda k: k.regularizers.L1L2(0.02, 0.03)},
    "orthogonal": {"kernel_regularizer": lambda k: k.regularizers.OrthogonalRegularizer(0.1)},
    "function": {"kernel_regularizer": lambda k: lambda w: 0.1 * k.ops.sum(k.ops.abs(w) ** 3)},
    "activity": {"activity_regularizer": lambda k: k.regularizers.L2(0.1)},
    "activity function": {"activity_regularizer": lambda k: lambda y: k.ops.sum(y**4)},
    "max_norm": {"kernel_constraint": lambda k: k.constraints.MaxNorm(0.7)},
    "unit_norm": {"kernel_constraint": lambda k: k.constraints.UnitNorm()},
    "min_max": {
        "kernel_constraint": lambda k: k.constraints.MinMaxNorm(0.5, 0.9, 0.5),
        "bias_constraint": lambda k: "non_neg",
    },
    "constraint function": {"kernel_constraint": lambda k: lambda w: k.ops.clip(w, -0.3, 0.3)},
    "all": {
        "kernel_regularizer": lambda k: "l2",
        "activity_regularizer": lambda k: "l1",
        "kernel_constraint": lambda k: k.constraints.MaxNorm(0.9),
    },
}


@pytest.mark.parametrize("name", REGULARIZED)
def test_penalties_and_constraints(name: str) -> None:
    x, y = data()
    fit_both(
        net(**REGULARIZED[name]),
        lambda k: {"optimizer": k.optimizers.SGD(0.05, momentum=0.5), "loss": "mse"},
        x,
        y,
    )


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


def test_the_comparison_can_fail() -> None:
    with pytest.raises(AssertionError):
        assert_close([1.0], [1.01], "a wrong number")
