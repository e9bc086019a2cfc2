"""Losses against Keras: names, signatures, configs, reductions, masks, errors."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import pytest

from densekit import losses

LEFT_OUT = {"CTC", "ctc"}  # sequences
NAMES = [n for n in dir(keras.losses) if not n.startswith("_")]
CLASSES = [n for n in NAMES if inspect.isclass(getattr(keras.losses, n)) and n not in LEFT_OUT]
FUNCTIONS = [
    n
    for n in NAMES
    if inspect.isfunction(getattr(keras.losses, n))
    and n not in (*LEFT_OUT, "get", "serialize", "deserialize")
]
BUILT = [n for n in CLASSES if n != "Loss"]


def test_no_name_is_missing() -> None:
    assert {n for n in NAMES if not hasattr(losses, n)} == LEFT_OUT


@pytest.mark.parametrize("name", [*CLASSES, *FUNCTIONS])
def test_signature(name: str) -> None:
    ours = inspect.signature(getattr(losses, name)).parameters
    theirs = inspect.signature(getattr(keras.losses, name)).parameters
    assert [(p.name, p.default) for p in ours.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]


@pytest.mark.parametrize("name", BUILT)
def test_config_is_the_same_and_read_by_keras(name: str) -> None:
    data = losses.serialize(getattr(losses, name)(reduction="sum"))
    theirs = keras.losses.serialize(getattr(keras.losses, name)(reduction="sum"))
    assert data == theirs
    if name != "CategoricalGeneralizedCrossEntropy":  # Keras cannot load its own
        assert keras.losses.deserialize(data).reduction == "sum"
    assert losses.deserialize(theirs).reduction == "sum"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_serialized(name: str) -> None:
    ours = losses.serialize(getattr(losses, name))
    assert ours == keras.losses.serialize(getattr(keras.losses, name))


@pytest.mark.parametrize("string", sorted(keras.src.losses.ALL_OBJECTS_DICT))
def test_strings(string: str) -> None:
    if string in (*LEFT_OUT, "LossFunctionWrapper"):
        return
    ours, theirs = losses.get(string), keras.losses.get(string)
    assert type(ours).__name__ == type(theirs).__name__
    assert getattr(ours, "__name__", "") == getattr(theirs, "__name__", "")


REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("shape", "weight_shape"),
    [((4, 3), None), ((4, 3), ()), ((4, 3), (4,)), ((4, 3), (4, 1)), ((4, 5, 3), (4, 5)),
     ((4, 5, 3), (4, 1)), ((4, 5, 3), (4, 5, 1)), ((4, 1), (4, 1)), ((4,), None)],
)  # fmt: skip
def test_reductions(
    shape: tuple[int, ...], weight_shape: Any, reduction: Any, rng: np.random.Generator
) -> None:
    y_true, y_pred = rng.random((2, *shape), "float32")
    weight = None if weight_shape is None else rng.random(weight_shape, "float32")
    ours = losses.MeanSquaredError(reduction=reduction)(y_true, y_pred, sample_weight=weight)
    theirs = keras.losses.MeanSquaredError(reduction=reduction)(
        y_true, y_pred, sample_weight=weight
    )
    theirs = np.asarray(theirs)
    assert np.shape(ours) == theirs.shape
    tolerance = 8 * np.finfo("float32").eps * (1 + np.abs(theirs).max())
    assert np.abs(ours - theirs).max() <= tolerance


class Masked(np.ndarray):
    """An array that carries a mask."""

    _keras_mask: Any


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_masks(reduction: Any, weighted: bool, rng: np.random.Generator) -> None:
    y_true, y_pred = rng.random((2, 6, 5, 3), "float32")
    mask = rng.random((6, 5)) < 0.5
    weight = rng.random((6, 5), "float32") if weighted else None
    tensor = keras.ops.convert_to_tensor(y_pred)
    tensor._keras_mask = keras.ops.convert_to_tensor(mask)
    carrier = y_pred.view(Masked)
    carrier._keras_mask = mask
    theirs = keras.losses.MeanSquaredError(reduction=reduction)(
        y_true, tensor, sample_weight=weight
    )
    ours = losses.MeanSquaredError(reduction=reduction)(y_true, carrier, sample_weight=weight)
    theirs = np.asarray(theirs)
    assert np.shape(ours) == theirs.shape
    tolerance = 32 * np.finfo("float32").eps * (1 + np.abs(theirs).max())
    assert np.abs(ours - theirs).max() <= tolerance


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("ignore", [-1, 2])
def test_ignored_class(reduction: Any, ignore: int, rng: np.random.Generator) -> None:
    y_true = np.array([0, ignore, 1, 1, ignore, 0])
    y_pred = rng.random((6, 3), "float32") + 0.1
    arguments = {"ignore_class": ignore, "reduction": reduction}
    theirs = np.asarray(keras.losses.SparseCategoricalCrossentropy(**arguments)(y_true, y_pred))
    ours = losses.SparseCategoricalCrossentropy(**arguments)(y_true, y_pred)
    assert np.shape(ours) == theirs.shape
    tolerance = 32 * np.finfo("float32").eps * (1 + np.abs(theirs).max())
    assert np.abs(ours - theirs).max() <= tolerance


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("MeanSquaredError", {"reduction": "average"}),
        ("CategoricalGeneralizedCrossEntropy", {"q": 1.0}),
    ],
)
def test_error_types(name: str, arguments: dict[str, Any]) -> None:
    for room in (keras.losses, losses):
        with pytest.raises(ValueError):
            getattr(room, name)(**arguments)


@pytest.mark.parametrize(
    ("function", "true", "pred"),
    [
        ("categorical_crossentropy", (2,), (2, 2)),
        ("sparse_categorical_crossentropy", (2, 2), (2, 2)),
        ("binary_crossentropy", (2, 2), (2, 3)),
    ],
)
def test_shape_error_types(function: str, true: Any, pred: Any) -> None:
    for room in (keras.losses, losses):
        with pytest.raises(ValueError):
            getattr(room, function)(np.zeros(true), np.full(pred, 0.5))


@pytest.mark.parametrize(("true", "pred"), [((6, 1), (6, 4)), ((4,), (4, 4)), ((1, 4), (6, 4))])
def test_keras_broadcasts_where_we_refuse(true: Any, pred: Any) -> None:
    y_true, y_pred = np.zeros(true, "float32"), np.ones(pred, "float32")
    assert np.isfinite(float(keras.losses.MeanSquaredError()(y_true, y_pred)))
    with pytest.raises(ValueError, match="y_true of the shape of y_pred"):
        losses.MeanSquaredError()(y_true, y_pred)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("arguments", [{}, {"gamma": 1000.0}, {"remove_diagonal": False}])
def test_circle(reduction: Any, arguments: dict[str, Any], rng: np.random.Generator) -> None:
    """A class of one row has no loss, and rows without loss do not count."""
    y_true = np.array([[0], [0], [1], [1], [1], [2]])
    y_pred = rng.normal(size=(6, 3)).astype("float32")
    y_pred /= np.linalg.norm(y_pred, axis=1, keepdims=True)
    weight = rng.random(6, "float32")
    for given in (None, weight):
        options = {"reduction": reduction, **arguments}
        theirs = np.asarray(keras.losses.Circle(**options)(y_true, y_pred, given))
        ours = losses.Circle(**options)(y_true, y_pred, given)
        assert np.shape(ours) == theirs.shape
        tolerance = 64 * np.finfo("float32").eps * (1 + np.abs(theirs).max())
        assert np.abs(ours - theirs).max() <= tolerance


def test_circle_against_other_rows(rng: np.random.Generator) -> None:
    rows, others = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    arguments = (np.array([0, 1, 2, 0]), rows, np.array([0, 1, 1, 0, 3]), others)
    for diagonal in (True, False):
        theirs = np.asarray(keras.losses.circle(*arguments, remove_diagonal=diagonal))
        ours = losses.circle(*arguments, remove_diagonal=diagonal)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)  # Keras computes in float32
