"""Reductions, weights and masks, worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from densekit import losses
from densekit.losses import reduce_weighted_values

VALUES = np.array([1.0, 2.0, 3.0, 6.0])
WEIGHT = np.array([1.0, 0.0, 2.0, 1.0])
MASK = np.array([True, True, False, False])


@pytest.mark.parametrize(
    ("reduction", "plain", "weighted", "masked", "both"),
    [
        ("sum_over_batch_size", 3.0, 13 / 4, 1.5, 0.5),
        ("mean", 3.0, 13 / 4, 1.5, 0.5),
        ("mean_with_sample_weight", 3.0, 13 / 4, 1.5, 1.0),
        ("sum", 12.0, 13.0, 3.0, 1.0),
    ],
)
def test_by_hand(reduction: str, plain: float, weighted: float, masked: float, both: float) -> None:
    for given, expected in [
        ({}, plain),
        ({"sample_weight": WEIGHT}, weighted),
        ({"mask": MASK}, masked),
        ({"sample_weight": WEIGHT, "mask": MASK}, both),
    ]:
        value = reduce_weighted_values(VALUES, reduction=reduction, **given)
        assert float(value) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("reduction", [None, "none"])
def test_no_reduction(reduction: Any) -> None:
    value = reduce_weighted_values(VALUES, sample_weight=WEIGHT, reduction=reduction)
    assert value.tolist() == [1.0, 0.0, 6.0, 6.0]


@pytest.mark.parametrize(
    "weight", [0.5, [0.5], [[0.5]], [0.5, 0.5], [[0.5], [0.5]], [[0.5] * 3] * 2]
)
def test_weights_that_fit(weight: Any) -> None:
    values = np.arange(6.0).reshape(2, 3)
    weight = np.array(weight)
    if weight.shape == (1,):
        with pytest.raises(ValueError, match="sample_weight"):
            reduce_weighted_values(values, sample_weight=weight)
        return
    value = reduce_weighted_values(values, sample_weight=weight)
    assert float(value) == pytest.approx(values.mean() / 2)


def test_one_weight_per_sample_counts_for_all_that_follows() -> None:
    """Also where the sizes would allow the other axis."""
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    value = reduce_weighted_values(values, sample_weight=np.array([1.0, 0.0]), reduction="sum")
    assert float(value) == 3.0


@pytest.mark.parametrize("shape", [(2,), (5,), (4, 4), (2, 2), (4, 1, 1)])
def test_weights_that_do_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"sample_weight: expected .* shape \(4,\) of the losses"):
        reduce_weighted_values(VALUES, sample_weight=np.ones(shape))


def test_weights_need_one_loss_per_sample() -> None:
    """Keras multiplies the one loss of the whole batch by the mean weight."""
    with pytest.raises(ValueError, match="one value per sample"):
        losses.MeanSquaredError()(np.zeros(4), np.ones(4), sample_weight=np.ones(4))
    loss = losses.MeanSquaredError()
    assert float(loss(np.zeros(4), np.ones((4, 1)), sample_weight=WEIGHT)) == 1.0


def test_nothing_to_reduce() -> None:
    assert losses.MeanSquaredError()(np.zeros((0, 2)), np.zeros((0, 2))).shape == (0,)
    assert float(reduce_weighted_values(np.zeros((0, 2)))) == 0.0
    none = reduce_weighted_values(VALUES, mask=np.zeros(4, bool))
    assert float(none) == 0.0
    zero = reduce_weighted_values(
        VALUES, sample_weight=np.zeros(4), reduction="mean_with_sample_weight"
    )
    assert float(zero) == 0.0


@pytest.mark.parametrize("reduction", ["average", 3, "Sum", ["sum"]])
def test_unknown_reductions(reduction: Any) -> None:
    with pytest.raises(ValueError, match="`reduction` to be one of"):
        losses.MeanSquaredError(reduction=reduction)


class Masked(np.ndarray):
    """An array that carries a mask, as layers that support masking pass it on."""

    _keras_mask: Any


def test_the_mask_of_the_predictions() -> None:
    y_pred = np.array([[1.0], [2.0], [3.0]], "float32").view(Masked)
    y_pred._keras_mask = np.array([True, False, True])
    assert float(losses.MeanSquaredError()(np.zeros((3, 1)), y_pred)) == pytest.approx(5.0)
    weight = np.array([1.0, 1.0, 0.0])
    value = losses.MeanSquaredError()(np.zeros((3, 1)), y_pred, sample_weight=weight)
    assert float(value) == pytest.approx(0.5)


def test_an_ignored_class_does_not_count_in_the_mean() -> None:
    y_true, y_pred = np.array([0, 1, 2, 1]), np.full((4, 3), 1 / 3)
    loss = losses.SparseCategoricalCrossentropy(ignore_class=1)
    assert float(loss(y_true, y_pred)) == pytest.approx(np.log(3), rel=1e-6)
    total = losses.SparseCategoricalCrossentropy(ignore_class=1, reduction="sum")
    assert float(total(y_true, y_pred)) == pytest.approx(2 * np.log(3), rel=1e-6)
    y_pred = y_pred.astype("float32").view(Masked)
    y_pred._keras_mask = np.array([True, True, False, True])
    assert float(loss(y_true, y_pred)) == pytest.approx(np.log(3), rel=1e-6)
    outside = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    assert float(outside(np.array([0, -1]), np.full((2, 2), 0.5))) == pytest.approx(np.log(2))
