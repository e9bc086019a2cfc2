"""Metrics count as Keras' do, batch by batch."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from typing import Any

import keras
import numpy as np
import pytest

import densekit

# Keras on JAX says it of its own int64 indices.
pytestmark = pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64:UserWarning")

EPS = float(np.finfo(np.float32).eps)
ROWS = 24

REGRESSION: list[tuple[str, dict[str, Any]]] = [
    ("MeanSquaredError", {}),
    ("RootMeanSquaredError", {}),
    ("MeanAbsoluteError", {}),
    ("MeanAbsolutePercentageError", {}),
    ("MeanSquaredLogarithmicError", {}),
    ("CosineSimilarity", {}),
    ("LogCoshError", {}),
    ("R2Score", {}),
    ("R2Score", {"class_aggregation": None}),
    ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 2}),
    ("PearsonCorrelation", {}),
    ("ConcordanceCorrelation", {}),
    ("Hinge", {}),
    ("SquaredHinge", {}),
    ("CategoricalHinge", {}),
    ("Poisson", {}),
    ("Accuracy", {}),
]
BINARY: list[tuple[str, dict[str, Any]]] = [
    ("BinaryAccuracy", {}),
    ("BinaryAccuracy", {"threshold": 0.3}),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}),
    ("TruePositives", {}),
    ("TrueNegatives", {"thresholds": [0.2, 0.7]}),
    ("FalsePositives", {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}),
    ("FalseNegatives", {"thresholds": [0.7, 0.2]}),
    ("Precision", {}),
    ("Precision", {"thresholds": [0.1, 0.9]}),
    ("Recall", {}),
    ("AUC", {}),
    ("AUC", {"curve": "PR", "num_thresholds": 11}),
    ("AUC", {"curve": "PR", "summation_method": "majoring"}),
    ("AUC", {"curve": "PRGAIN", "summation_method": "minoring"}),
    ("AUC", {"thresholds": [0.7, 0.2, 0.3]}),
    ("SensitivityAtSpecificity", {"specificity": 0.5}),
    ("SpecificityAtSensitivity", {"sensitivity": 0.5, "num_thresholds": 1}),
    ("PrecisionAtRecall", {"recall": 0.4}),
    ("RecallAtPrecision", {"precision": 0.6, "num_thresholds": 5}),
]
CATEGORICAL: list[tuple[str, dict[str, Any]]] = [
    ("CategoricalAccuracy", {}),
    ("TopKCategoricalAccuracy", {"k": 2}),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}),
    ("KLDivergence", {}),
    ("F1Score", {}),
    ("F1Score", {"average": "micro", "threshold": 0.4}),
    ("F1Score", {"average": "macro"}),
    ("FBetaScore", {"average": "weighted", "beta": 2.0}),
    ("Precision", {"top_k": 2}),
    ("Recall", {"top_k": 2, "class_id": 1}),
    ("Precision", {"class_id": 2, "thresholds": [0.2, 0.4]}),
    ("AUC", {"multi_label": True}),
    ("AUC", {"multi_label": True, "curve": "PR", "label_weights": [1.0, 2.0, 0.5, 0.5]}),
    ("AUC", {"multi_label": True, "thresholds": [0.3, 0.4], "num_labels": 4}),
    ("AUC", {"label_weights": [1.0, 2.0, 0.5, 0.5]}),
]
SPARSE: list[tuple[str, dict[str, Any]]] = [
    ("SparseCategoricalAccuracy", {}),
    ("SparseTopKCategoricalAccuracy", {"k": 2}),
    ("SparseCategoricalCrossentropy", {}),
]


NEEDS_CLASSES = ("IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU")
# Confusion matrices of float weights: by default they are of integers, see below.
OVERLAP: list[tuple[str, dict[str, Any]]] = [
    ("OneHotIoU", {"num_classes": 4, "target_class_ids": [1, 2], "dtype": "float32"}),
    ("OneHotMeanIoU", {"num_classes": 4, "dtype": "float32"}),
    ("OneHotMeanIoU", {"num_classes": 3, "ignore_class": 1, "dtype": "float32"}),
]
OVERLAP_SPARSE: list[tuple[str, dict[str, Any]]] = [
    (
        "IoU",
        {"num_classes": 4, "target_class_ids": (3,), "sparse_y_pred": False, "dtype": "float32"},
    ),
    ("MeanIoU", {"num_classes": 9, "sparse_y_pred": False, "dtype": "float32"}),
]


def batches(kind: str, seed: int = 0) -> list[tuple[Any, Any, Any]]:
    """Three batches of targets, predictions and sample weights."""
    rng = np.random.default_rng(seed)
    found = []
    for rows in (ROWS, 1, ROWS // 2):
        weight = rng.uniform(0.5, 2.0, size=rows).astype("float32")
        if kind == "regression":
            y_true = rng.uniform(0.5, 2.0, size=(rows, 3)).astype("float32")
            y_pred = (y_true + rng.normal(scale=0.2, size=(rows, 3))).astype("float32")
        elif kind == "binary":
            y_true = rng.integers(0, 2, size=(rows, 1)).astype("float32")
            # Values on a grid, ends and thresholds among them, and off it.
            y_pred = rng.integers(0, 9, size=(rows, 1)) / 8
            y_pred = np.where(rng.random((rows, 1)) < 0.5, y_pred, rng.random((rows, 1)))
            y_pred = y_pred.astype("float32")
        else:
            labels = rng.integers(0, 4, size=rows)
            y_pred = rng.dirichlet(np.ones(4), size=rows).astype("float32")
            y_true = labels if kind == "sparse" else np.eye(4, dtype="float32")[labels]
        found.append((y_true, y_pred, weight))
    return found


def both(name: str, arguments: dict[str, Any]) -> tuple[Any, Any]:
    their = getattr(keras.metrics, name)(**arguments, name="m")
    return their, getattr(densekit.metrics, name)(**arguments, name="m")


ALL = [
    (kind, name, arguments)
    for kind, table in (
        ("regression", REGRESSION),
        ("binary", BINARY),
        ("binary", [("BinaryIoU", {"threshold": 0.25, "dtype": "float32"})]),
        ("categorical", CATEGORICAL),
        ("categorical", OVERLAP),
        ("sparse", SPARSE),
        ("sparse", OVERLAP_SPARSE),
    )
    for name, arguments in table
]


@pytest.mark.parametrize(
    ("kind", "name", "arguments"), ALL, ids=[f"{n}-{list(a.values())}" for _, n, a in ALL]
)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_values(kind: str, name: str, arguments: dict[str, Any], weighted: bool) -> None:
    their, our = both(name, arguments)
    config = their.get_config()
    if config.get("label_weights") is not None:  # an array in Keras
        config["label_weights"] = config["label_weights"].tolist()
    assert our.get_config() == config
    total = 0
    for y_true, y_pred, weight in batches(kind):
        if not weighted:
            weight = None
        their.update_state(y_true, y_pred, weight)
        our.update_state(y_true, y_pred, weight)
        total += len(y_true)
    # Each of `total` terms is of order 1 (100 for percentages), rounded a few times by both.
    atol = 16 * total * EPS
    np.testing.assert_allclose(our.result(), np.asarray(their.result()), atol=atol, rtol=atol)
    assert [(v.name, v.shape) for v in our.variables] == [
        (v.name, v.shape) for v in their.variables
    ]
    for a, b in zip(their.variables, our.variables, strict=True):
        np.testing.assert_allclose(b.numpy(), a.numpy(), atol=atol * total, rtol=atol)
    our.reset_state()
    their.reset_state()
    for a, b in zip(their.variables, our.variables, strict=True):
        np.testing.assert_array_equal(b.numpy(), a.numpy())


@pytest.mark.parametrize("shape", [(), (ROWS,), (ROWS, 1), (ROWS, 3)])
def test_shapes_of_weights(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.normal(size=(2, ROWS, 3)).astype("float32")
    weight = rng.uniform(size=shape).astype("float32")
    for name in ("RootMeanSquaredError", "BinaryAccuracy"):
        their, our = both(name, {})
        np.testing.assert_allclose(
            our(y_true, y_pred, weight), np.asarray(their(y_true, y_pred, weight)), rtol=64 * EPS
        )


def test_reductions() -> None:
    values = np.arange(12, dtype="float32").reshape(4, 3)
    weights = np.array([1.0, 0.0, 2.0, 0.5], "float32")
    for name in ("Mean", "Sum"):
        for weight in (None, weights, weights[:, None], 0.5):
            their, our = both(name, {})
            assert float(our(values, weight)) == pytest.approx(float(their(values, weight)))
        their, our = both(name, {})
        assert float(our.result()) == float(their.result()) == 0.0
        assert float(our(3.0)) == float(their(3.0))


@pytest.mark.parametrize(
    ("y_true_shape", "y_pred_shape"),
    [((4,), (4, 1)), ((4, 1), (4, 1)), ((4,), (4, 3)), ((4, 1), (4, 3)), ((4, 3), (4, 3)),
     ((4, 2), (4, 2, 3)), ((4, 2, 3), (4, 2, 3))],
)  # fmt: skip
@pytest.mark.parametrize("word", ["accuracy", "acc"])
def test_accuracy_is_chosen_as_in_keras(
    y_true_shape: tuple[int, ...], y_pred_shape: tuple[int, ...], word: str
) -> None:
    from keras.src.trainers.compile_utils import get_metric

    their = get_metric(word, np.zeros(y_true_shape), np.zeros(y_pred_shape))
    our = densekit.metrics.resolve(word, y_true_shape, y_pred_shape)
    assert type(our).__name__ == type(their).__name__
    assert our.name == their.name == word


def test_names_in_logs_are_those_of_keras() -> None:
    from keras.src.trainers.compile_utils import get_metric

    def my_metric(y_true: Any, y_pred: Any) -> Any:
        return y_pred

    y = np.zeros((4, 3))
    for identifier in ("mse", "mean_absolute_error", "AUC", "f1_score", my_metric):
        their = get_metric(identifier, y, y)
        assert densekit.metrics.resolve(identifier, y.shape, y.shape).name == their.name
    their = get_metric(keras.losses.Huber(), y, y)
    assert densekit.metrics.resolve(densekit.losses.Huber(), y.shape, y.shape).name == their.name


def test_strings_of_keras_are_known() -> None:
    from keras.src.metrics import ALL_OBJECTS_DICT

    skipped = {"Metric", "metric", "MeanMetricWrapper", "mean_metric_wrapper"}
    for word, cls in ALL_OBJECTS_DICT.items():
        if word in skipped:
            continue
        if "At" in cls.__name__ or cls.__name__ in NEEDS_CLASSES:
            for room in (keras, densekit):
                with pytest.raises(TypeError):
                    room.metrics.get(word)
            continue
        assert type(densekit.metrics.get(word)).__name__ == cls.__name__


def test_serialized_form() -> None:
    for their, our in (
        both("BinaryAccuracy", {"threshold": 0.3}),
        both("AUC", {"curve": "PR", "thresholds": [0.5]}),
    ):
        config = keras.metrics.serialize(their)
        assert densekit.metrics.serialize(our) == config
        assert densekit.metrics.serialize(densekit.metrics.deserialize(config)) == config
    theirs = keras.metrics.MeanMetricWrapper(keras.losses.mean_squared_error, name="m")
    ours = densekit.metrics.MeanMetricWrapper(densekit.losses.mean_squared_error, name="m")
    config = keras.metrics.serialize(theirs)
    assert densekit.metrics.serialize(ours) == config
    revived = densekit.metrics.deserialize(config)
    assert float(revived(np.zeros((2, 1)), np.ones((2, 1)))) == 1.0


def test_top_k_at_its_corners() -> None:
    y_pred = np.array([[0.1, np.nan, 0.3], [0.2, 0.2, 0.2], [0.1, 0.2, 0.3]], "float32")
    for y_true in ([1, 2, 0], [0, 0, 2], [2, 1, 1]):
        labels = np.array(y_true)
        for k in (1, 2, 3):
            np.testing.assert_array_equal(
                densekit.metrics.sparse_top_k_categorical_accuracy(labels, y_pred, k=k),
                np.asarray(keras.metrics.sparse_top_k_categorical_accuracy(labels, y_pred, k=k)),
            )
    ids = np.array([[2, 1, 0], [0, 1, 2], [1, 0, 2]], "float32")
    np.testing.assert_array_equal(
        densekit.metrics.sparse_top_k_categorical_accuracy([2, 2, 0], ids, 2, from_sorted_ids=True),
        np.asarray(
            keras.metrics.sparse_top_k_categorical_accuracy(
                np.array([2, 2, 0]), ids, 2, from_sorted_ids=True
            )
        ),
    )


def test_overlap_of_integers() -> None:
    """Labels out of range do not count, floats are cut, whole weights count."""
    rng = np.random.default_rng(1)
    y_true, y_pred = rng.integers(-2, 6, (2, 40))
    for name, arguments in (
        ("MeanIoU", {"num_classes": 4}),
        ("MeanIoU", {"num_classes": 5, "ignore_class": -1}),
        ("IoU", {"num_classes": 5, "target_class_ids": [0, -1], "ignore_class": 2}),
        ("BinaryIoU", {"target_class_ids": [1]}),
        ("IoU", {"num_classes": 3, "target_class_ids": [1]}),
    ):
        their, our = both(name, arguments)
        assert our.get_config() == their.get_config()
        assert float(our.result()) == float(their.result()) == 0.0
        for weight in (None, 3, rng.integers(0, 4, 40)):
            their.update_state(y_true, y_pred + 0.75, weight)
            our.update_state(y_true, y_pred + 0.75, weight)
        assert our.variables[0].dtype == their.variables[0].dtype == "int32"
        np.testing.assert_array_equal(our.variables[0].numpy(), np.asarray(their.variables[0]))
        assert np.asarray(our.result()).dtype == "float32"
        assert float(our.result()) == pytest.approx(float(their.result()), rel=4 * EPS)


def test_overlap_refusals() -> None:
    for room in (keras.metrics, densekit.metrics):
        for arguments in ((0,), (3, [3]), (3, [])):
            with pytest.raises(ValueError):
                room.MeanIoU(*arguments) if len(arguments) == 1 else room.IoU(*arguments)
        with pytest.raises((ValueError, TypeError)):
            room.MeanIoU(3).update_state(np.zeros(4), np.zeros((4, 3)))
        with pytest.warns(UserWarning, match="float"):
            weight = np.array([0.5, 0.5], "float32")
            assert float(room.MeanIoU(2)([0, 1], [0, 1], weight)) == 0.0


ROWS_OF_WEIGHTS = {
    "Accuracy": lambda k: k.metrics.Accuracy(),
    "BinaryAccuracy": lambda k: k.metrics.BinaryAccuracy(),
    "Mean": lambda k: k.metrics.Mean(),
    "Sum": lambda k: k.metrics.Sum(),
    "Precision": lambda k: k.metrics.Precision(),
    "TrueNegatives": lambda k: k.metrics.TrueNegatives(thresholds=[0.15, 0.85]),
    "AUC": lambda k: k.metrics.AUC(),
}


@pytest.mark.parametrize("name", ROWS_OF_WEIGHTS)
def test_one_row_of_weights_is_that_of_every_row(name: str) -> None:
    y_true = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]], "float32")
    y_pred = np.array([[1.0, 0.2, 0.4], [0.6, 0.0, 0.9]], "float32")
    values = (y_pred,) if name in ("Mean", "Sum") else (y_true, y_pred)
    results = []
    for library in (densekit, keras):
        metric = ROWS_OF_WEIGHTS[name](library)
        metric.update_state(*values, sample_weight=np.array([[1.0, 0.0, 2.0]], "float32"))
        results.append(np.asarray(metric.result()))
    np.testing.assert_allclose(*results, rtol=1e-6)
