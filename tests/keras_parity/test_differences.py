"""Differences from Keras that docs/differences-from-keras.md states: both sides are asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import densekit

X = np.ones((4, 2), "float32")
Y = np.ones((4, 1), "float32")
BOTH = [keras, densekit]


def regression(library: Any, **arguments: Any) -> Any:
    model = library.Sequential([library.Input((2,)), library.layers.Dense(1)])
    model.compile("sgd", "mse", **arguments)
    return model


def both(question: Callable[[Any], Any]) -> tuple[Any, Any]:
    """What Keras answers and what densekit answers; for an exception its type."""
    answers: list[Any] = []
    for library in BOTH:
        try:
            answers.append(question(library))
        except Exception as error:
            answers.append(type(error))
    return answers[0], answers[1]


def test_each_use_of_a_shared_layer_pays_its_penalty() -> None:
    def penalty(library: Any) -> float:
        x = library.Input((2,))
        shared = library.layers.Dense(
            2, activity_regularizer="l2", kernel_initializer="identity", use_bias=False
        )
        model = library.Model(x, shared(shared(x)))
        model.compile("sgd", "mse")
        return float(model.evaluate(X, X, verbose=0))

    theirs, ours = both(penalty)
    assert theirs == pytest.approx(0.02)  # 0.01 * 8 ones, by 4 rows: once
    assert ours == pytest.approx(0.04)


@pytest.mark.parametrize("activation, loss", [("sigmoid", "binary"), ("softmax", "categorical")])
def test_crossentropies_behind_their_activation_are_those_of_logits(
    activation: str, loss: str
) -> None:
    x, units = np.float32([[40.0]]), 1 if loss == "binary" else 2

    def learned(library: Any) -> tuple[int, bool]:
        model = library.Sequential([library.Input((1,)), library.layers.Dense(units, activation)])
        model.set_weights([np.array([[1.0, -1.0]])[:, :units], np.zeros(units)])
        model.compile("sgd", f"{loss}_crossentropy")
        y = np.array([[0.0, 1.0]])[:, :units]
        before = model.get_weights()
        told = model.train_on_batch(x, y)
        return round(float(told)), bool(np.any(model.get_weights()[0] != before[0]))

    assert both(learned) == ((16, False), (40 if units == 1 else 80, True))


def test_a_second_compile_forgets_metrics() -> None:
    def logs(library: Any) -> list[str]:
        model = regression(library, metrics=["mae"])
        model.fit(X, Y, verbose=0)
        model.compile("sgd", "mse")
        return sorted(model.fit(X, Y, verbose=0).history)

    assert both(logs) == (["loss", "mae"], ["loss"])


def test_an_epoch_has_the_steps_asked_for() -> None:
    def steps(library: Any) -> int:
        model = regression(library, steps_per_execution=8)
        model.fit(X, Y, batch_size=1, steps_per_epoch=2, epochs=3, verbose=0)
        return int(np.asarray(model.optimizer.iterations))

    assert both(steps) == (12, 6)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("LayerNormalization", [-1, 0, 1]),
        ("RMSNormalization", [0, 0, 1]),
        ("UnitNormalization", TypeError),
    ],
)
def test_normalizations_of_integers(name: str, theirs: Any) -> None:
    def normalized(library: Any) -> Any:
        layer = getattr(library.layers, name)()
        return np.asarray(layer(np.array([[1, 2, 3]], "int32")))[0].tolist()

    found, ours = both(normalized)
    assert found == theirs
    as_floats = getattr(densekit.layers, name)()(np.array([[1, 2, 3]], "float32"))[0]
    np.testing.assert_allclose(ours, as_floats, rtol=1e-6)


def test_adafactor_of_a_silent_row_and_column() -> None:
    def finite(library: Any) -> bool:
        w = library.Variable(np.ones((2, 2), "float32"))
        optimizer = library.optimizers.Adafactor(0.1)
        gradient = np.array([[1, 0], [0, 0]], "float32")
        optimizer.apply([library.ops.convert_to_tensor(gradient)], [w])
        return bool(np.isfinite(np.asarray(w)).all())

    assert both(finite) == (False, True)


@pytest.mark.parametrize("weights", [{0: 1.0, 5: 2.0}, {"a": 1.0}, {-1: 1.0}])
def test_unknown_classes_have_no_weight(weights: Any) -> None:
    def fit(library: Any) -> str:
        model = library.Sequential(
            [library.Input((2,)), library.layers.Dense(3, activation="softmax")]
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(X, np.array([0, 1, 2, 0]), class_weight=weights, verbose=0)
        return "trains"

    assert both(fit) == ("trains", ValueError)


def test_unknown_outputs_have_no_weight() -> None:
    def fit(library: Any) -> str:
        x = library.Input((2,))
        outputs = {"a": library.layers.Dense(1)(x), "b": library.layers.Dense(1)(x)}
        model = library.Model(x, outputs)
        loss = {"a": "mse", "b": "mse"}
        model.compile("sgd", loss, loss_weights={"a": 1.0, "c": 2.0})
        model.fit(X, {"a": Y, "b": Y}, verbose=0)
        return "trains"

    assert both(fit) == ("trains", ValueError)


COUNTS: dict[str, Callable[[Any], Any]] = {
    "batch_size of fit": lambda k: bool(regression(k).fit(X, Y, batch_size=0, verbose=0)),
    "steps_per_epoch": lambda k: bool(regression(k).fit(X, Y, steps_per_epoch=0, verbose=0)),
    "validation_steps": lambda k: bool(
        regression(k).fit(X, Y, validation_data=(X, Y), validation_steps=0, verbose=0)
    ),
    "batch_size of predict": lambda k: len(regression(k).predict(X, batch_size=0, verbose=0)) == 4,
    "steps of predict": lambda k: len(regression(k).predict(X, steps=0, verbose=0)) == 4,
    "steps of evaluate": lambda k: regression(k).evaluate(X, Y, steps=0, verbose=0) > 0,
    "steps_per_execution": lambda k: bool(regression(k, steps_per_execution=0)),
}


@pytest.mark.parametrize("count", COUNTS)
def test_a_count_of_zero_is_refused(count: str) -> None:
    assert both(COUNTS[count]) == (True, ValueError)


@pytest.mark.parametrize(
    "call",
    [
        lambda k: regression(k).fit(X, Y, batch_size=-1, verbose=0),
        lambda k: regression(k).fit(X[:0], Y[:0], verbose=0),
        lambda k: regression(k).evaluate(X[:0], Y[:0], verbose=0),
    ],
)
def test_no_batch_at_all_is_refused(call: Callable[[Any], Any]) -> None:
    assert both(call) == (StopIteration, ValueError)


def test_predict_of_no_rows() -> None:
    theirs, ours = both(lambda k: regression(k).predict(X[:0], verbose=0).shape)
    assert issubclass(theirs, Exception)
    assert ours == (0, 1)


def test_names_are_checked_in_compile() -> None:
    assert both(lambda k: regression(k, metrics=["no_such"]) is None) == (False, ValueError)


@pytest.mark.parametrize(
    ("call", "theirs", "ours"),
    [
        (lambda k: k.ops.reshape(k.Input((4,)), k.KerasTensor((2,), "int32")).shape, 2, TypeError),
        (lambda k: k.ops.add(*[k.KerasTensor((2, 3), sparse=True)] * 2).sparse, True, False),
        (lambda k: made_in_scope(k, 2.0), ValueError, 2.0),
        (lambda k: weighted(k, np.ones(2)), [4.0, 4.0], TypeError),
        (lambda k: best_of_last_class(k, [-1, 0]), 1.0, 0.5),
        (lambda k: best_of_last_class(k, [2, 0]), 1.0, 1.0),
    ],
    ids=["shape", "sparse", "scope", "weights", "no class", "a class"],
)
def test_small_differences(call: Callable[[Any], Any], theirs: Any, ours: Any) -> None:
    found = both(call)
    if theirs == 2:  # sizes that are not known
        found = len(found[0]), found[1]
    assert found == (theirs, ours)


def best_of_last_class(library: Any, labels: list[int]) -> float:
    metric = library.metrics.SparseTopKCategoricalAccuracy(k=1)
    return float(metric(np.array(labels), np.array([[0.1, 0.2, 0.7], [0.6, 0.2, 0.2]])))


def made_in_scope(library: Any, value: float) -> float:
    with library.StatelessScope():
        return float(library.Variable(value))


def weighted(library: Any, weights: Any) -> Any:
    """A loss of 4 for each row, as `compute_loss` gives it."""
    x = library.Input((1,))
    model = library.Model(x, [library.layers.Identity()(x), library.layers.Identity()(x)])
    model.compile("sgd", ["mse", "mse"], loss_weights=[weights, weights * 0])
    y = np.array([[1.0], [2.0]], "float32")
    return np.asarray(model.compute_loss(y=[y, y], y_pred=[y + 2, y + 2])).tolist()
