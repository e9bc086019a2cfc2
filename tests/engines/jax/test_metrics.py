"""Metrics are updated inside the compiled steps, and show what they show natively."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.contracts.test_metrics_contract import CLASSES, METRICS, create

import densekit as keras
from densekit._core.engine import Array
from densekit.engines.jax.engine import JaxEngine

ROWS, BATCH = 20, 6


def data(sparse: bool) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, CLASSES, size=ROWS)
    y = labels if sparse else np.eye(CLASSES)[labels]
    return rng.normal(size=(ROWS, 3)).astype("float32"), y, rng.uniform(0.5, 2.0, size=ROWS)


def metrics_of(sparse: bool) -> list[Any]:
    found = []
    for name in METRICS:
        is_sparse = name.lower().startswith("sparse") or name in ("IoU", "MeanIoU")
        if is_sparse == sparse:
            more = {"sparse_y_pred": False} if name in ("IoU", "MeanIoU") else {}
            found.append(create(name, name=name, **more))
    return found


def network(engine: str, **arguments: Any) -> Any:
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(8, "tanh"),
            keras.layers.Dense(CLASSES, "softmax"),
        ]
    )
    model.compile("sgd", engine=engine, **arguments)
    return model


def same(ours: Any, theirs: Any) -> None:
    """Each value is a mean of roundings of some tens of operations."""
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        np.testing.assert_allclose(theirs[name], value, rtol=2e-5, atol=2e-6, err_msg=name)


@pytest.fixture
def returned(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each run on JAX whether predictions came back."""
    seen: list[bool] = []
    put = JaxEngine.put

    def spy(self: JaxEngine, found: Any, predictions: list[Array | None]) -> None:
        seen.append(any(room is not None for room in predictions))
        put(self, found, predictions)

    monkeypatch.setattr(JaxEngine, "put", spy)
    return seen


@pytest.mark.parametrize("sparse", [False, True])
def test_every_metric(sparse: bool) -> None:
    x, y, weight = data(sparse)
    loss = "sparse_categorical_crossentropy" if sparse else "categorical_crossentropy"

    def run(engine: str) -> tuple[Any, Any]:
        how = {"metrics": metrics_of(sparse), "weighted_metrics": metrics_of(sparse)}
        model = network(engine, loss=loss, **how)
        fit = {"batch_size": BATCH, "verbose": 0, "sample_weight": weight}
        history = model.fit(x, y, epochs=2, **fit).history
        return history, model.evaluate(x, y, return_dict=True, **fit)

    for ours, theirs in zip(run("native"), run("jax"), strict=True):
        same(ours, theirs)


def test_predictions_stay_there_unless_a_metric_is_of_numpy(returned: list[bool]) -> None:
    x, y, _ = data(False)
    model = network("jax", loss="mse", metrics=["accuracy", "mae", "kl_divergence"])
    model.fit(x, y, batch_size=BATCH, verbose=0)
    model.evaluate(x, y, batch_size=BATCH, verbose=0)
    assert returned == [False, False]
    model = network("jax", loss="mse", metrics=["accuracy", keras.metrics.AUC()])
    model.fit(x, y, batch_size=BATCH, verbose=0)
    assert returned[-1]


class Counting(keras.metrics.Metric):
    """Keeps something in Python."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.total = self.add_weight(name="total")
        self.seen: list[int] = []

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.seen.append(len(y_pred))
        self.total.assign_add(keras.ops.sum(y_pred))

    def result(self) -> Any:
        return self.total + len(self.seen)


class Hiding(Counting):
    """Keeps something in an object that it holds."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kept = {"sizes": [self.seen]}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.kept["sizes"][0].append(len(y_pred))


class Fading(keras.metrics.Metric):
    """What it shows depends on the order of the batches."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.total = self.add_weight(name="total")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        assert y_true.dtype == "float32"
        self.total.assign(0.5 * self.total + keras.ops.max(y_pred))

    def result(self) -> Any:
        return self.total


class Branching(Fading):
    """Looks at numbers."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.total.assign(max(self.total.numpy(), float(np.max(y_pred))))


def spread(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.max(y_pred, axis=-1) - keras.ops.min(y_pred, axis=-1)


@pytest.mark.parametrize(
    ("metric", "comes_back"), [(Counting, True), (Hiding, True), (Branching, True), (Fading, False)]
)
def test_own_metrics(metric: Any, comes_back: bool, returned: list[bool]) -> None:
    x, y, _ = data(False)
    found = []
    for engine in ("native", "jax"):
        model = network(engine, loss="mse", metrics=[metric(name="own"), spread])
        history = model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0).history
        found.append({**history, "single": model.train_on_batch(x, y)})
    same(*found)
    assert returned == [comes_back] * 3


def test_labels_that_int32_cannot_hold_are_measured_exactly(returned: list[bool]) -> None:
    x = data(False)[0]
    far = np.full((ROWS, CLASSES), 1 << 40) + np.arange(CLASSES)

    def remainder(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.cast(keras.ops.max(y_true - (1 << 40), axis=-1), "float32")

    model = network("jax", loss=lambda y_true, y_pred: y_pred, metrics=[remainder])
    history = model.fit(x, far, batch_size=BATCH, verbose=0).history
    assert history["remainder"] == [CLASSES - 1]
    assert returned == [True]


def test_several_outputs_masks_and_batches_of_one_shape() -> None:
    """Rows depend on each other, so that the short batch is compiled on its own."""

    def run(engine: str) -> Any:
        keras.utils.set_random_seed(5)
        given = keras.Input((4, 3))
        hidden = keras.layers.BatchNormalization()(keras.layers.Masking()(given))
        outputs = [keras.layers.Dense(2, name=name)(hidden) for name in "ab"]
        model = keras.Model(given, outputs)
        loss, measured = {"a": "mse", "b": None}, {"a": ["mae"], "b": ["mse"]}
        model.compile("sgd", loss, metrics=measured, engine=engine)
        rng = np.random.default_rng(4)
        x = rng.normal(size=(ROWS, 4, 3)).astype("float32")
        x[:, 2:] = 0
        y = {name: rng.normal(size=(ROWS, 4, 2)).astype("float32") for name in "ab"}
        return model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0).history

    same(run("native"), run("jax"))


def test_batches_one_by_one_have_the_same_logs() -> None:
    x, y, _ = data(False)
    found: list[list[dict[str, float]]] = []
    for engine in ("native", "jax"):
        logs: list[dict[str, float]] = []
        seen = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs, to=logs: to.append(logs)
        )
        model = network(engine, loss="mse", metrics=["mae", Fading(name="own")])
        model.fit(x, y, batch_size=BATCH, verbose=0, callbacks=[seen])
        found.append(logs)
    for ours, theirs in zip(*found, strict=True):
        same(ours, theirs)


def test_weights_may_come_and_go() -> None:
    x, y, weight = data(False)

    def run(engine: str) -> Any:
        model = network(engine, loss="mse", weighted_metrics=["mae"])
        found = [
            model.evaluate(x, y, sample_weight=given, batch_size=BATCH, verbose=0)
            for given in (None, weight, None)
        ]
        return {str(i): values for i, values in enumerate(found)}

    same(run("native"), run("jax"))
