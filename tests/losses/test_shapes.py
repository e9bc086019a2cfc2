"""No loss broadcasts: every mismatch is an error that says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from densekit import losses, ops

ELEMENTWISE = [
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "huber",
    "log_cosh",
    "cosine_similarity",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "hinge",
    "squared_hinge",
    "kl_divergence",
    "poisson",
    "dice",
    "tversky",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
]


@pytest.mark.parametrize("function", ELEMENTWISE)
@pytest.mark.parametrize(
    ("true", "pred"),
    [
        ((6, 1), (6, 4)),
        ((6, 4), (6, 1)),
        ((4,), (4, 4)),
        ((6,), (6, 4)),
        ((), (6, 1)),
        ((1, 4), (6, 4)),
        ((6, 4), (6, 3)),
        ((6, 1, 4), (6, 4)),
    ],
)
def test_mismatch(function: str, true: tuple[int, ...], pred: tuple[int, ...]) -> None:
    with pytest.raises(ValueError) as error:
        getattr(losses, function)(np.zeros(true), np.full(pred, 0.5))
    text = str(error.value)
    assert text.startswith(
        f"{function}: expected y_true of the shape of y_pred, {pred}, got {true}"
    )
    assert text.endswith(".")


@pytest.mark.parametrize("function", ELEMENTWISE[:13])
def test_a_last_axis_of_one_may_be_missing(function: str, rng: np.random.Generator) -> None:
    flat, column = rng.uniform(0.1, 0.9, 5), rng.uniform(0.1, 0.9, (5, 1))
    loss = getattr(losses, function)
    expected = loss(flat[:, None], column)
    assert expected.shape == (5,)
    assert np.array_equal(loss(flat, column), expected)
    assert np.array_equal(loss(column, flat), loss(column, flat[:, None]))
    deep = rng.uniform(0.1, 0.9, (5, 3))
    assert np.array_equal(loss(deep[..., None], deep), loss(deep, deep))


@pytest.mark.parametrize(
    ("function", "true", "pred", "remedy"),
    [
        ("mean_squared_error", (6, 1), (6, 4), "Give y_true 4 columns, or the last layer 1 unit"),
        (
            "categorical_crossentropy",
            (6,),
            (6, 4),
            "need the loss 'sparse_categorical_crossentropy'",
        ),
        ("categorical_crossentropy", (6, 1), (6, 4), "keras.utils.to_categorical"),
        ("mean_squared_error", (6, 3), (6, 4), "nothing is broadcast"),
        (
            "sparse_categorical_crossentropy",
            (6, 4),
            (6, 4),
            "'categorical_crossentropy', or y_true",
        ),
        ("sparse_categorical_crossentropy", (5,), (6, 4), "one integer label for each row"),
    ],
)
def test_remedies(function: str, true: tuple[int, ...], pred: tuple[int, ...], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy.replace("(", r"\(")):
        getattr(losses, function)(np.zeros(true), np.full(pred, 0.25))


def test_classes_check_too() -> None:
    for name in ("MeanSquaredError", "BinaryCrossentropy", "Dice"):
        with pytest.raises(ValueError, match=r"nothing is broadcast|columns"):
            getattr(losses, name)()(np.zeros((6, 1)), np.zeros((6, 4)))


def test_a_users_function_is_given_one_rank() -> None:
    seen: list[Any] = []

    def loss(y_true: Any, y_pred: Any) -> Any:
        seen.append((y_true.shape, y_pred.shape))
        return ops.mean(ops.square(y_true - y_pred), axis=-1)

    losses.LossFunctionWrapper(loss)(np.zeros(5), np.ones((5, 1)))
    assert seen == [((5, 1), (5, 1))]


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_labels(shape: tuple[int, ...]) -> None:
    y_pred = np.full((6, 4), 0.25)
    for dtype in ("int64", "uint8", "float32"):
        y_true = np.arange(6).reshape(shape).astype(dtype) % 4
        value = losses.sparse_categorical_crossentropy(y_true, y_pred)
        assert value.shape == (6,)
        assert value == pytest.approx(np.log(4))


def test_sparse_classes_are_on_the_last_axis() -> None:
    with pytest.raises(ValueError, match="classes on the last axis"):
        losses.sparse_categorical_crossentropy(np.zeros(6), np.ones((4, 6)), axis=0)


def test_integer_predictions_become_floats() -> None:
    value = losses.mean_squared_error([0.5, 1.5], [1, 1])
    assert value.dtype == "float32"
    assert float(value) == 0.25


def test_symbolic_shapes() -> None:
    """A None agrees with every size, and a mismatch is found before there is data."""
    y_pred = ops.KerasTensor((None, 4))
    value = losses.mean_squared_error(ops.KerasTensor((None, 4)), y_pred)
    assert tuple(value.shape) == (None,)
    with pytest.raises(ValueError, match="y_true of the shape of y_pred"):
        losses.mean_squared_error(ops.KerasTensor((None, 3)), y_pred)
