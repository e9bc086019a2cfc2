"""Training by each optimizer, loss, penalty and constraint beside Keras: the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.keras_parity.fits import ROWS, WHOLE, assert_close, data, fit_both, net

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
    x, y = data(rows=WHOLE)
    ours, theirs = fit_both(
        net(),
        lambda k: {"optimizer": OPTIMIZERS[name](k.optimizers), "loss": "mse"},
        x,
        y,
        then="nothing",
    )
    assert int(np.asarray(ours.optimizer.iterations)) == int(theirs.optimizer.iterations)
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


# What a short batch counts for depends on how a loss is reduced.
OF_BATCHES = {"sum", "dice of the batch", "tversky of the batch"}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str) -> None:
    loss, targets, last, units = LOSSES[name]
    x, y = data(targets, ROWS if name in ("mae", *OF_BATCHES) else WHOLE)
    fit_both(net(units, last), lambda k: {"optimizer": "adam", "loss": loss(k)}, x, y, "evaluate")


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
    x, y = data(rows=WHOLE)
    fit_both(
        net(**REGULARIZED[name]),
        lambda k: {"optimizer": k.optimizers.SGD(0.05, momentum=0.5), "loss": "mse"},
        x,
        y,
        then="evaluate",
    )


def test_the_comparison_can_fail() -> None:
    with pytest.raises(AssertionError):
        assert_close([1.0], [1.01], "a wrong number")
