"""Mistakes that Keras trains on without a word."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import densekit.activations  # noqa: F401 - what makes an activation's name known
from densekit import losses
from densekit.losses import check_last_activation, check_targets

N = 6


def refuse(loss: Any, y_true: Any, shape: tuple[int | None, ...], text: str) -> None:
    with pytest.raises(ValueError, match=text) as error:
        check_targets(losses.get(loss), np.asarray(y_true), shape, "out")
    assert str(error.value).startswith("Output 'out' with loss '")


def accept(loss: Any, y_true: Any, shape: tuple[int | None, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_targets(losses.get(loss), np.asarray(y_true), shape, "out")


SPARSE = "sparse_categorical_crossentropy"


@pytest.mark.parametrize(
    ("loss", "y_true", "shape", "text"),
    [
        (SPARSE, [0, 1, 3], (None, 3), "labels from 0 to 2.*got labels from 0 to 3"),
        (SPARSE, [-1, 1, 2], (None, 3), "labels from 0 to 2.*got labels from -1 to 2"),
        (SPARSE, [1, 2, 3], (None, 3), "Count labels from 0"),
        (SPARSE, [0.0, 0.5, 1.0], (None, 3), "whole numbers.*0.5"),
        (SPARSE, [0.0, np.nan, 1.0], (None, 3), "labels from nan"),
        (SPARSE, np.eye(3), (None, 3), "One-hot targets need the loss 'categorical_crossentropy'"),
        (SPARSE, np.zeros((3, 2)), (None, 3), "one integer label"),
        ("categorical_crossentropy", [0, 1, 2], (None, 3), "sparse_categorical_crossentropy"),
        ("categorical_crossentropy", [[0], [1], [2]], (None, 3), "sparse_categorical_crossentropy"),
        ("mse", np.zeros((N, 1)), (None, 4), "Give y_true 4 columns, or the last layer 1 unit"),
        ("mse", np.zeros(N), (None, 4), "Give y_true 4 columns"),
        ("mse", np.zeros((N, 4)), (None, 1), "nothing is broadcast"),
        ("mae", np.zeros((N, 3)), (None, 4), "nothing is broadcast"),
        ("binary_crossentropy", np.zeros((N, 2)), (None, 1), "nothing is broadcast"),
        ("mse", ["a", "b"], (None, 1), "numbers as targets.*Encode them"),
        ("mse", np.array([None, 1], object), (None, 1), "numbers as targets"),
    ],
)
def test_refused(loss: str, y_true: Any, shape: Any, text: str) -> None:
    refuse(loss, y_true, shape, text)


@pytest.mark.parametrize(
    ("loss", "y_true", "shape"),
    [
        (SPARSE, [0, 1, 2], (None, 3)),
        (SPARSE, [[0], [1], [2]], (None, 3)),
        (SPARSE, [0.0, 1.0, 2.0], (None, 3)),
        (SPARSE, [True, False], (None, 2)),
        (SPARSE, np.zeros((2, 5), int), (None, 5, 3)),
        (SPARSE, np.zeros(0, int), (None, 3)),
        ("categorical_crossentropy", np.eye(3), (None, 3)),
        ("categorical_crossentropy", 5 * np.eye(3), (None, 3)),
        ("mse", np.zeros(N), (None, 1)),
        ("mse", np.zeros((N, 1)), (None, 1)),
        ("mse", np.zeros((N, 1)), (None,)),
        ("mse", np.full((N, 2), np.nan), (None, 2)),
        ("mse", np.full((N, 2), np.inf), (None, 2)),
        ("bce", [0.0, np.nan], (None, 1)),
        ("bce", [True, False], (None, 1)),
        ("hinge", [-1, 1], (None, 1)),
        ("mse", np.zeros((N, 2), "float16"), (7, 2)),
        (lambda y_true, y_pred: y_pred, np.zeros((N, 9)), (None, 2)),
    ],
)
def test_accepted(loss: Any, y_true: Any, shape: Any) -> None:
    accept(loss, y_true, shape)


def test_classes_of_losses_are_seen_through() -> None:
    refuse(losses.SparseCategoricalCrossentropy(), [0, 3], (None, 3), "labels from 0 to 2")
    refuse(losses.as_loss(SPARSE), [0, 3], (None, 3), "labels from 0 to 2")
    ignoring = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    accept(ignoring, [0, -1, 2], (None, 3))
    accept(ignoring, [-1, -1], (None, 3))
    refuse(ignoring, [0, -2, 2], (None, 3), "got labels from -2 to 2")


def test_plus_minus_labels_for_a_binary_loss_warn() -> None:
    with pytest.warns(UserWarning, match="expected targets from 0 to 1, got targets from -1 to 1"):
        check_targets(losses.get("bce"), np.array([-1, 1]), (None, 1), "out")


BINARY, CATEGORICAL = losses.BinaryCrossentropy, losses.CategoricalCrossentropy
SPARSE_CLASS = losses.SparseCategoricalCrossentropy


@pytest.mark.parametrize(
    ("loss", "activation", "units", "text"),
    [
        (CATEGORICAL(), "softmax", 1, "softmax is always 1"),
        ("mse", "softmax", 1, "softmax is always 1"),
        (CATEGORICAL(from_logits=True), "linear", 1, "the loss is constant"),
        (SPARSE, "sigmoid", 1, "the loss is constant"),
    ],
)
def test_no_meaning(loss: Any, activation: str, units: int, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        check_last_activation(losses.get(loss), activation, units)


@pytest.mark.parametrize(
    ("loss", "activation", "text"),
    [
        (CATEGORICAL(from_logits=True), "softmax", "expected logits.*got probabilities"),
        (SPARSE_CLASS(from_logits=True), "softmax", "expected logits.*got probabilities"),
        (BINARY(from_logits=True), "sigmoid", "expected logits.*got probabilities"),
        (CATEGORICAL(), "linear", "expected probabilities.*'softmax'.*unbounded.*'linear'"),
        (SPARSE, "relu", "expected probabilities"),
        ("bce", "linear", "expected probabilities.*'sigmoid'"),
        ("bce", "tanh", "from_logits=True"),
    ],
)
def test_perhaps_meant(loss: Any, activation: str, text: str) -> None:
    with pytest.warns(UserWarning, match=text):
        check_last_activation(losses.get(loss), activation, 3)


@pytest.mark.parametrize(
    ("loss", "activation", "units"),
    [
        (CATEGORICAL(), "softmax", 3),
        (CATEGORICAL(from_logits=True), "linear", 3),
        (SPARSE_CLASS(from_logits=True), "linear", None),
        (BINARY(), "sigmoid", 1),
        (BINARY(), "softmax", 2),
        (BINARY(from_logits=True), "linear", 1),
        (CATEGORICAL(), "sigmoid", 3),
        (CATEGORICAL(), None, 3),
        (CATEGORICAL(), "my_own_activation", 3),
        ("mse", "linear", 1),
        ("mse", "softmax", 3),
        (lambda y_true, y_pred: y_pred, "softmax", 3),
    ],
)
def test_nothing_to_say(loss: Any, activation: str | None, units: int | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_last_activation(losses.get(loss), activation, units)
