"""Networks trained side by side have the bits, and the history, that each has alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.contracts.samples import LOSSES, components, loss_inputs

import densekit as keras

pytestmark = pytest.mark.usefixtures("native_engine")

ROWS = 50
X = np.linspace(-2, 2, 4 * ROWS).reshape(ROWS, 4).astype("float32")
Y = np.sin(X @ np.array([1.0, -0.5, 0.25, 2.0], "float32"))[:, None].astype("float32")
LABELS = np.arange(ROWS) % 3
WEIGHTS = np.linspace(0.1, 2, ROWS)

Build = Callable[..., Any]


def alone(build: Build, point: dict[str, Any], seed: int, x: Any, y: Any, **fit: Any) -> Any:
    """The model of a point, trained by `fit`."""
    keras.utils.set_random_seed(seed)
    model = build(**point)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, y, verbose=0, **fit)
    return model


def state(model: Any) -> list[Any]:
    """Everything that training has changed."""
    variables = [*model.weights, *model.optimizer.variables, model._dk_shuffle_state.state]
    return [v.numpy() for v in variables]


def check(build: Build, grid: Any, x: Any, y: Any, **fit: Any) -> keras.sweeps.Sweep:
    """Train the grid both ways and compare."""
    fit = {"epochs": 2, "batch_size": 16, **fit}
    sweep = keras.fit_many(build, grid, x, y, seeds=5, verbose=0, **fit)
    assert not sweep.errors
    for i, point in enumerate(sweep.points):
        expected = alone(build, point, 5 + i, x, y, **fit)
        model: Any = sweep.models[i]
        for ours, theirs in zip(state(model), state(expected), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert repr(model.history.history) == repr(expected.history.history)
        assert model.history is sweep.histories[i]
    return sweep


def dense(
    rate: float = 0.01,
    optimizer: str = "Adam",
    loss: Any = "mse",
    units: int = 6,
    outputs: int = 1,
    last: str | None = None,
    metrics: Any = ("mae",),
    **more: Any,
) -> Any:
    """A small network with dropout, normalization and penalties."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(units, "tanh", kernel_regularizer="l2"),
            keras.layers.Dropout(0.3),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(5, "relu", kernel_constraint=keras.constraints.MaxNorm(1.0)),
            keras.layers.Dense(outputs, last),
        ]
    )
    model.compile(getattr(ROOM, optimizer)(rate, **more), loss, metrics=list(metrics))
    return model


ROOM = keras.optimizers  # loaded, so that its components are known
OPTIMIZERS = sorted(
    {c.__name__ for c in components("optimizers").values()}
    - {"LossScaleOptimizer", "MultiOptimizer", "OptimizerMap", "Optimizer"}
)


def test_every_optimizer() -> None:
    assert len(OPTIMIZERS) > 10
    check(dense, {"optimizer": OPTIMIZERS}, X, Y)


def test_options_of_optimizers() -> None:
    options: list[dict[str, Any]] = [
        {"weight_decay": 0.1},
        {"clipnorm": 0.1},
        {"global_clipnorm": 0.1},
        {"use_ema": True, "ema_overwrite_frequency": 3},
        {"gradient_accumulation_steps": 2},
        {"rate": 0.1},
        {"rate": 0.001},
    ]
    check(dense, options, X, Y)


LAST = {"probability": "sigmoid", "distribution": "softmax", "positive": "softplus"}


@pytest.mark.parametrize("name", [name for name, samples in LOSSES.items() if samples])
@pytest.mark.filterwarnings("ignore:fit_many. . of . members ran one after another")
def test_every_loss(name: str) -> None:
    sample = LOSSES[name][-1]
    y_true, y_pred = loss_inputs(sample)
    targets = np.concatenate([y_true] * 4)
    last, outputs = LAST.get(sample.predictions), y_pred.shape[-1]

    def build(rate: float) -> Any:
        loss = getattr(keras.losses, name)(**sample.arguments)
        return dense(rate, loss=loss, outputs=outputs, last=last, metrics=())

    check(build, {"rate": [0.01, 0.001]}, X[: len(targets)], targets, batch_size=len(y_true))


def test_weights_validation_and_order() -> None:
    grid = {"rate": [0.1, 0.01]}
    validation = (X[:20], Y[:20], WEIGHTS[:20])
    check(dense, grid, X, Y, sample_weight=WEIGHTS, validation_data=validation)
    check(dense, grid, X, Y, validation_split=0.3, shuffle=False, validation_freq=2)
    check(dense, grid, X, Y, shuffle="batch", steps_per_epoch=2, epochs=3)
    loss, accuracy = "sparse_categorical_crossentropy", ["accuracy"]
    classes = [{"loss": loss, "outputs": 3, "last": "softmax", "metrics": accuracy}]
    check(dense, classes, X, LABELS, class_weight={0: 1.0, 1: 3.0, 2: 0.5})
    check(dense, classes, X, LABELS, class_weight="balanced")


def two_of_each(units: int) -> Any:
    a, b = keras.Input((4,), name="a"), keras.Input((1,), name="b")
    h = keras.layers.Dense(units, "relu")(keras.layers.Concatenate()([a, b]))
    outputs = {
        "p": keras.layers.Dense(1, name="p")(keras.layers.GaussianNoise(0.1)(h)),
        "q": keras.layers.Dense(3, "softmax", name="q")(h),
    }
    model = keras.Model({"a": a, "b": b}, outputs)
    losses = {"p": "mse", "q": "sparse_categorical_crossentropy"}
    model.compile("adam", losses, loss_weights={"p": 1.0, "q": 0.3}, metrics={"q": ["accuracy"]})
    return model


def test_several_inputs_and_outputs() -> None:
    x, y = {"a": X, "b": Y}, {"p": Y, "q": LABELS}
    check(two_of_each, {"units": [3, 8]}, x, y, validation_data=(x, y))


def test_early_stopping() -> None:
    stopping = keras.callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True)
    grid = {"rate": [0.5, 1e-4], "optimizer": ["Adam", "SGD"]}
    sweep = keras.fit_many(
        dense, grid, X, Y, epochs=12, seeds=0, early_stopping=stopping, verbose=0
    )
    epochs = [len(history.epoch) for history in sweep.histories if history is not None]
    assert min(epochs) < max(epochs) <= 12
    for i, point in enumerate(sweep.points):
        again = keras.callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True)
        expected = alone(dense, point, i, X, Y, epochs=12, callbacks=[again])
        model: Any = sweep.models[i]
        for ours, theirs in zip(model.get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert sweep.columns["loss"][i] == min(expected.history.history["loss"])


def test_more_members_than_are_at_work_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from densekit.engines import native_kind

    monkeypatch.setattr(native_kind, "_MEMBERS_PER_THREAD", 1)
    check(dense, {"rate": [0.1, 0.01, 0.001], "units": [3, 4, 5]}, X, Y)


def test_own_rows() -> None:
    folds = [np.arange(ROWS) % 3 == k for k in range(3)]
    rows, kept = [np.flatnonzero(~fold)[::-1] for fold in folds], folds
    points: list[dict[str, Any]] = [{"rate": 0.01}] * 3
    labels = {"loss": "sparse_categorical_crossentropy", "outputs": 3, "last": "softmax"}
    cases: list[tuple[Any, Any, dict[str, Any]]] = [
        (dense, Y, {"sample_weight": WEIGHTS}),
        (dense, Y, {"shuffle": False}),
        (lambda rate: dense(rate, metrics=["accuracy"], **labels), LABELS, {}),
    ]
    cases[2][2]["class_weight"] = "balanced"
    for build, y, more in cases:
        sweep = keras.fit_many(
            build, points, X, y, epochs=2, batch_size=16, seeds=0, verbose=0,
            rows=rows, validation_rows=kept, **more,
        )  # fmt: skip
        for i, (train, test) in enumerate(zip(rows, kept, strict=True)):
            told = dict(more)
            weights = told.pop("sample_weight", None)
            validation = (X[test], y[test])
            if weights is not None:
                told["sample_weight"] = weights[train]
                validation = (*validation, weights[test])  # type: ignore[assignment]
            expected = alone(
                build, points[i], i, X[train], y[train], epochs=2, batch_size=16,
                validation_data=validation, **told,
            )  # fmt: skip
            model: Any = sweep.models[i]
            for ours, theirs in zip(state(model), state(expected), strict=True):
                np.testing.assert_array_equal(ours, theirs)
            assert repr(model.history.history) == repr(expected.history.history)
