"""Wrong data is refused with a sentence, and the model stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import densekit as keras

X = np.linspace(-1, 1, 40).reshape(10, 4).astype("float32")
Y = X.sum(axis=1)
LABELS = np.arange(10) % 3


def regression(**compile_args: Any) -> Any:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("adam", **{"loss": "mse", "metrics": ["mae"], **compile_args})
    return model


def classes(**compile_args: Any) -> Any:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("adam", **{"loss": "sparse_categorical_crossentropy", **compile_args})
    return model


def two_outputs(**compile_args: Any) -> Any:
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    joined = keras.layers.Concatenate()([a, b])
    outputs = [keras.layers.Dense(1, name="p")(joined), keras.layers.Dense(2, name="q")(a)]
    model = keras.Model([a, b], outputs)
    model.compile("adam", **{"loss": "mse", **compile_args})
    return model


def mixed_objects() -> Any:
    objects = X.astype(object)
    objects[3, 1] = "text"
    return objects


def sparse(values: Any) -> Any:
    return scipy.sparse.csr_array(values[:, None])


AB = {"a": X, "b": X[:, :2]}
PQ = {"p": Y, "q": X[:, :2]}

# name: (model, call, exception, what the text says)
CASES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], type[Exception], str]] = {
    "fewer targets": (regression, lambda m: m.fit(X, Y[:9]), ValueError, "cardinality"),
    "fewer weights": (
        regression,
        lambda m: m.fit(X, Y, sample_weight=Y[:3]),
        ValueError,
        "cardinality",
    ),
    "weights for a loss of the batch": (
        lambda: regression(loss=keras.losses.Dice()),
        lambda m: m.fit(X, Y, sample_weight=Y),
        ValueError,
        "one number for the whole batch",
    ),
    "width": (regression, lambda m: m.fit(X[:, :3], Y), ValueError, r"\(None, 4\).*\(10, 3\)"),
    "width in predict": (regression, lambda m: m.predict(X[:, :3]), ValueError, r"\(10, 3\)"),
    "width in evaluate": (regression, lambda m: m.evaluate(X[:, :3], Y), ValueError, r"\(10, 3\)"),
    "width on batch": (
        regression,
        lambda m: m.train_on_batch(X[:, :3], Y),
        ValueError,
        r"\(10, 3\)",
    ),
    "rank": (regression, lambda m: m.fit(X[:, 0], Y), ValueError, r"\(10,\)"),
    "scalar": (regression, lambda m: m.fit(np.float32(1), Y), ValueError, "batch axis"),
    "text": (regression, lambda m: m.fit(X.astype(str), Y), ValueError, "invalid dtype"),
    "objects": (regression, lambda m: m.fit(mixed_objects(), Y), ValueError, "invalid dtype"),
    "text targets": (classes, lambda m: m.fit(X, LABELS.astype(str)), ValueError, "np.unique"),
    "nested lists": (regression, lambda m: m.fit(X.tolist(), Y), ValueError, "np.asarray"),
    "short list": (regression, lambda m: m.fit(X, Y.tolist()[1:]), ValueError, "cardinality"),
    "list of text": (
        classes,
        lambda m: m.fit(X, LABELS.astype(str).tolist()),
        ValueError,
        "np.unique",
    ),
    "sparse targets": (regression, lambda m: m.fit(X, sparse(Y)), ValueError, r"y\.toarray\(\)"),
    "no data": (regression, lambda m: m.fit(None, Y), ValueError, "array"),
    "no targets": (regression, lambda m: m.fit(X), ValueError, "Pass `y`"),
    "no rows": (regression, lambda m: m.fit(X[:0], Y[:0]), ValueError, "at least one sample"),
    "missing input": (two_outputs, lambda m: m.fit({"a": X}, PQ), ValueError, "'b'"),
    "missing target": (two_outputs, lambda m: m.fit(AB, {"p": Y}), KeyError, "'q'"),
    "unknown target": (two_outputs, lambda m: m.fit(AB, {**PQ, "r": Y}), ValueError, "'r'"),
    "one input of two": (two_outputs, lambda m: m.fit(X, PQ), ValueError, "2 input arrays"),
    "one target of two": (two_outputs, lambda m: m.fit(AB, Y), ValueError, "outputs"),
    "inputs of two lengths": (
        two_outputs,
        lambda m: m.predict([X, X[:3, :2]]),
        ValueError,
        "cardinality",
    ),
    "label too large": (classes, lambda m: m.fit(X, LABELS + 1), ValueError, "from 0 to 2"),
    "negative label": (classes, lambda m: m.fit(X, LABELS - 1), ValueError, "from 0 to 2"),
    "one-hot for sparse": (classes, lambda m: m.fit(X, np.eye(3)[LABELS]), ValueError, "One-hot"),
    "labels for one-hot": (
        lambda: classes(loss="categorical_crossentropy"),
        lambda m: m.fit(X, LABELS),
        ValueError,
        r"\(10,\)",
    ),
    "column against row": (regression, lambda m: m.fit(X, X), ValueError, r"\(10, 4\)"),
    "batch of targets": (
        lambda: classes(loss="mse"),
        lambda m: m.fit(X, Y[:, None]),
        ValueError,
        r"\(10, 1\)",
    ),
    "nan batch_size": (
        regression,
        lambda m: m.fit(X, Y, batch_size=float("nan")),
        ValueError,
        "batch_size",
    ),
    "batch_size 0": (regression, lambda m: m.fit(X, Y, batch_size=0), ValueError, "batch_size"),
    "batch_size -1": (regression, lambda m: m.fit(X, Y, batch_size=-1), ValueError, "batch_size"),
    "batch_size 2.5": (regression, lambda m: m.fit(X, Y, batch_size=2.5), TypeError, "batch_size"),
    "batch_size text": (regression, lambda m: m.fit(X, Y, batch_size="8"), TypeError, "batch_size"),
    "predict batch_size": (
        regression,
        lambda m: m.predict(X, batch_size="8"),
        TypeError,
        "batch_size",
    ),
    "epochs 1.5": (regression, lambda m: m.fit(X, Y, epochs=1.5), TypeError, "epochs"),
    "steps 0": (regression, lambda m: m.fit(X, Y, steps_per_epoch=0), ValueError, "steps"),
    "split 1": (regression, lambda m: m.fit(X, Y, validation_split=1.0), ValueError, "sufficient"),
    "split 1.5": (regression, lambda m: m.fit(X, Y, validation_split=1.5), ValueError, r"\[0, 1\)"),
    "split -0.5": (
        regression,
        lambda m: m.fit(X, Y, validation_split=-0.5),
        ValueError,
        r"\[0, 1\)",
    ),
    "split nan": (
        regression,
        lambda m: m.fit(X, Y, validation_split=float("nan")),
        ValueError,
        r"\[0, 1\)",
    ),
    "split of a stream": (
        regression,
        lambda m: m.fit(iter([(X, Y)]), validation_split=0.5),
        ValueError,
        "validation_data",
    ),
    "four parts": (
        regression,
        lambda m: m.fit(X, Y, validation_data=(X, Y, Y, Y)),
        ValueError,
        "sample_weight",
    ),
    "validation width": (
        regression,
        lambda m: m.fit(X, Y, validation_data=(X[:, :2], Y)),
        ValueError,
        r"\(10, 2\)",
    ),
    "frequency": (
        regression,
        lambda m: m.fit(X, Y, validation_data=(X, Y), validation_freq="a"),
        ValueError,
        "validation_freq",
    ),
    "class_weight key": (
        classes,
        lambda m: m.fit(X, LABELS, class_weight={3: 1.0}),
        ValueError,
        "from 0 to 2",
    ),
    "class_weight name": (
        classes,
        lambda m: m.fit(X, LABELS, class_weight={"cat": 1.0}),
        ValueError,
        "cat",
    ),
    "class_weight nan": (
        classes,
        lambda m: m.fit(X, LABELS, class_weight={0: float("nan")}),
        ValueError,
        "nan",
    ),
    "class and sample weight": (
        classes,
        lambda m: m.fit(X, LABELS, class_weight={0: 1.0}, sample_weight=np.ones(10)),
        ValueError,
        "same time",
    ),
    "class_weight text": (
        classes,
        lambda m: m.fit(X, LABELS, class_weight="even"),
        TypeError,
        "class_weight.*dict",
    ),
    "class_weight value": (
        classes,
        lambda m: m.fit(X, LABELS, class_weight={0: "heavy"}),
        ValueError,
        "class_weight.*heavy",
    ),
    "class_weight of two outputs": (
        two_outputs,
        lambda m: m.fit(AB, PQ, class_weight={0: 1.0}),
        ValueError,
        "single output",
    ),
    "weight shape": (
        regression,
        lambda m: m.fit(X, Y, sample_weight=np.ones((10, 3))),
        ValueError,
        "sample_weight",
    ),
    "targets beside a stream": (
        regression,
        lambda m: m.fit(iter([(X, Y)]), Y),
        ValueError,
        "yields batches",
    ),
    "empty stream": (regression, lambda m: m.fit(iter([])), ValueError, "at least one batch"),
    "bad batch in a stream": (
        regression,
        lambda m: m.fit(iter([(X[:, :2], Y)])),
        ValueError,
        r"\(10, 2\)",
    ),
    "a batch without rows": (
        regression,
        lambda m: m.fit(iter([(X[:0], Y[:0])]), verbose=0),
        ValueError,
        "batch 0.*at least one sample",
    ),
    "a call on objects": (
        regression,
        lambda m: m(np.array([[None] * 4])),
        ValueError,
        "numbers.*object",
    ),
    "text as callback": (
        regression,
        lambda m: m.fit(X, Y, callbacks=["early"], verbose=0),
        AttributeError,
        "Callback.*'early'",
    ),
    "callback class": (
        regression,
        lambda m: m.fit(X, Y, callbacks=[keras.callbacks.EarlyStopping], verbose=0),
        TypeError,
        r"EarlyStopping\(\)",
    ),
    "verbose": (regression, lambda m: m.fit(X, Y, verbose="loud"), ValueError, "verbose.*loud"),
    "last weight is text": (
        regression,
        lambda m: m.set_weights([m.get_weights()[0] + 1, np.array(["a"])]),
        ValueError,
        "bias.*dtype",
    ),
    "unknown keyword": (regression, lambda m: m.evaluate(X, Y, rows=3), ValueError, "rows"),
    "loss for a wrong output": (
        lambda: two_outputs(loss={"p": "mse", "z": "mse"}),
        lambda m: m.fit(AB, PQ),
        ValueError,
        "'z'",
    ),
    "too many losses": (
        lambda: two_outputs(loss=["mse"] * 3),
        lambda m: m.fit(AB, PQ),
        ValueError,
        "2 entries",
    ),
    "loss weights": (
        lambda: two_outputs(loss=["mse", "mse"], loss_weights=[1.0]),
        lambda m: m.fit(AB, PQ),
        ValueError,
        "loss_weights",
    ),
    "metrics": (
        lambda: two_outputs(metrics={"z": "mae"}),
        lambda m: m.fit(AB, PQ),
        ValueError,
        "metrics",
    ),
    "reduction": (
        lambda: regression(loss=keras.losses.MeanSquaredError(reduction="none")),
        lambda m: m.fit(X, Y),
        TypeError,
        "reduction",
    ),
    "no loss": (lambda: regression(loss=None), lambda m: m.fit(X, Y), ValueError, "loss"),
}


@pytest.mark.parametrize("name", CASES)
def test_refused(name: str) -> None:
    make, call, error, text = CASES[name]
    model = make()
    weights = model.get_weights()
    state = [v.numpy() for v in model.optimizer.variables]
    with pytest.raises(error, match=f"(?s){text}"):
        call(model)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    for before, variable in zip(state, model.optimizer.variables, strict=False):
        np.testing.assert_array_equal(before, variable.numpy())


def test_a_refused_model_still_trains() -> None:
    model = regression()
    with pytest.raises(ValueError):
        model.fit(X[:, :3], Y)
    losses = model.fit(X, Y, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_uncompiled() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    for call in (
        lambda: model.fit(X, Y),
        lambda: model.evaluate(X, Y),
        lambda: model.train_on_batch(X, Y),
        lambda: model.test_on_batch(X, Y),
    ):
        with pytest.raises(ValueError, match=r"You must call `compile\(\)`"):
            call()
    assert model.predict(X, verbose=0).shape == (10, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"metrics": "mae"},
        {"weighted_metrics": "mae"},
        {"loss_weights": "one"},
        {"optimizer": "no such optimizer"},
        {"steps_per_execution": 0},
    ],
    ids=str,
)
def test_compile_refuses(arguments: dict[str, Any]) -> None:
    model = regression()
    optimizer = model.optimizer
    with pytest.raises(ValueError):
        model.compile(**{"loss": "mse", **arguments})
    assert model.optimizer is optimizer
    model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("frequency", [(), (1,), set(), {1}, {1: 2}, None, 1.0, "a", 0, -1])
def test_a_validation_frequency_is_an_int_or_a_list(frequency: Any) -> None:
    with pytest.raises(ValueError, match="validation_freq"):
        regression().fit(X, Y, validation_data=(X, Y), validation_freq=frequency, verbose=0)


@pytest.mark.parametrize("argument", ["curve", "summation_method"])
@pytest.mark.parametrize("value", [-1, 3.5, None, "x", [], b"ROC"])
def test_an_area_is_of_a_known_curve(argument: str, value: Any) -> None:
    with pytest.raises(ValueError, match=argument):
        keras.metrics.AUC(**{argument: value})


def test_an_empty_stack_has_nothing_to_pop() -> None:
    for layers in ([], [keras.Input((2,))]):
        model = keras.Sequential(layers)
        with pytest.raises(IndexError):
            model.pop()
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.pop()
    with pytest.raises(IndexError):
        model.pop()
    model.add(keras.layers.Dense(3))
    assert model.output_shape == (None, 3)


SQUARE = np.arange(6) % 3  # two batches of as many rows as units


def broadcasting(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.mean(keras.ops.square(y_pred - y_true), axis=-1)


def one_hot(y_true: Any, y_pred: Any) -> Any:
    y_true = keras.ops.one_hot(keras.ops.cast(y_true, "int32"), 3)
    return keras.ops.mean(keras.ops.square(y_pred - y_true), axis=-1)


class Broadcasting(keras.losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return broadcasting(y_true, y_pred)


OWN: dict[str, dict[str, Any]] = {
    "a loss function": {"loss": broadcasting},
    "a loss object": {"loss": Broadcasting()},
    "a metric": {"loss": one_hot, "metrics": [broadcasting]},
    "a weighted metric": {"loss": one_hot, "weighted_metrics": [broadcasting]},
}


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch"])
def test_own_functions_do_not_broadcast_by_chance(method: str, own: str) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile("sgd", **OWN[own])
    rows = 3 if method == "train_on_batch" else 6
    arguments = {} if method == "train_on_batch" else {"batch_size": 3, "verbose": 0}
    with pytest.raises(ValueError, match=r"broadcasting.*\(n, 1\)|loss.*\(n, 1\)"):
        getattr(model, method)(X[:rows], SQUARE[:rows], **arguments)
    columns = np.tile(SQUARE[:, None], 3)
    getattr(model, method)(X[:rows], SQUARE[:rows, None], **arguments)  # along the right axis
    if "one_hot" not in str(OWN[own]):
        getattr(model, method)(X[:rows], columns[:rows], **arguments)


def test_functions_that_mean_labels_take_square_batches() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile("sgd", one_hot, metrics=[one_hot])
    model.fit(X[:6], SQUARE, batch_size=3, verbose=0)
    model.fit(X[:6], SQUARE, batch_size=1, verbose=0)
