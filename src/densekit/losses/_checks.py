"""Mistakes that Keras trains on without a word: targets, last activation and loss that do not fit.

The rule: an error where a combination has no meaning at all, a warning where somebody may have
meant it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from densekit._core import registry
from densekit._core.errors import message
from densekit._core.frames import warn
from densekit._core.types import Array, Config, PartialShape, TensorLike
from densekit.losses._base import LossFunctionWrapper
from densekit.losses._shapes import label_shape_error, same_shape, shape_error

T = TypeVar("T")
_SPARSE = ("sparse_categorical_crossentropy", "categorical_generalized_cross_entropy")
_CATEGORICAL = ("categorical_crossentropy", "categorical_focal_crossentropy", *_SPARSE)
_OF_EMBEDDINGS = ("circle",)  # labels number classes, not columns of the output
_BINARY = ("binary_crossentropy", "binary_focal_crossentropy")

# Built-in activations whose values are probabilities, or at least in [0, 1].
_PROBABILITIES = ("sigmoid", "hard_sigmoid", "sparse_sigmoid", "softmax", "sparsemax")


def function_of(loss: Any) -> tuple[str | None, Config]:
    """The built-in function behind a loss, by name, and its fixed arguments; None for others."""
    arguments: Config = {}
    if isinstance(loss, LossFunctionWrapper):
        loss, arguments = loss.fn, loss._fn_kwargs
    public = registry.public_name(loss)
    return (public[1], arguments) if public and public[0] == "keras.losses" else (None, {})


def is_built_in(loss: object) -> bool:
    """Whether a loss is one of the package's own, as it is."""
    return function_of(loss)[0] is not None


def exact_as(y_pred: object, loss: T) -> T:
    """`loss`; a built-in one in float64 for predictions in float64, as plans compute it."""
    is_wide = str(getattr(y_pred, "dtype", "")) == "float64"
    if is_wide and isinstance(loss, LossFunctionWrapper) and loss.dtype == "float32":
        return loss._dk_in("float64") if is_built_in(loss) else loss
    return loss


def checks_values(loss: object) -> bool:
    """Whether `check_targets` looks at the values of targets, not only at their shape and type."""
    return function_of(loss)[0] in (*_SPARSE, *_OF_EMBEDDINGS, *_BINARY)


def check_targets(
    loss: object, y_true: Array, output_shape: Sequence[int | None], name: str
) -> None:
    """Refuse targets that a built-in loss cannot mean; look at each array once, before training.

    Targets that are not finite are let through here: training reports them.

    Args:
        loss: a `Loss` or loss function; users' own are not checked.
        y_true: targets ``(n, ...)``.
        output_shape: shape of the predictions, first entry the batch (any value, or None).
        name: what the error text calls the output.

    Raises:
        ValueError: for a wrong shape, a label outside 0 .. classes - 1, text, or labels that are no
            integers.
    """
    function, arguments = function_of(loss)
    if function is None:
        return
    where = f"Output {name!r} with loss {function!r}"
    y_true = np.asarray(y_true)
    if y_true.dtype.kind not in "biuf" and not str(y_true.dtype).startswith("bfloat"):
        raise ValueError(
            message(
                where,
                "numbers as targets",
                f"dtype {y_true.dtype}",
                "Encode them: np.unique(y, return_inverse=True)[1] numbers the classes.",
            )
        )
    pred = (y_true.shape[0] if y_true.ndim else None, *output_shape[1:])
    true = y_true.shape
    if function in (*_SPARSE, *_OF_EMBEDDINGS):
        labels = true[:-1] if len(true) == len(pred) and true[-1] == 1 else true
        if not same_shape(labels, pred[:-1]):
            raise ValueError(label_shape_error(where, true, pred))
        if function in _OF_EMBEDDINGS:
            _check_whole(where, y_true)
        else:
            _check_labels(where, y_true, pred[-1], arguments.get("ignore_class"))
        return
    if not _one_shape(true, pred):
        text = shape_error(function, true, pred).removeprefix(f"{function}: ")
        raise ValueError(f"{where}: {text}")
    if function in _BINARY:
        _warn_of_plus_minus(where, y_true)


def _one_shape(true: PartialShape, pred: PartialShape) -> bool:
    """Whether shapes agree, up to a last axis of size 1."""
    if len(true) == len(pred) + 1 and true[-1] == 1:
        true = true[:-1]
    elif len(pred) == len(true) + 1 and pred[-1] == 1:
        pred = pred[:-1]
    return same_shape(true, pred)


def _check_labels(where: str, labels: Array, classes: int | None, ignored: int | None) -> None:
    if labels.size == 0 or classes is None:
        return
    if ignored is not None:
        labels = labels[labels != ignored]
        if labels.size == 0:
            return
    low, high = labels.min(), labels.max()
    if not (low >= 0 and high < classes):  # written so that nan does not pass
        hint = "Count labels from 0, or give the last layer more units."
        raise ValueError(
            message(
                where,
                f"labels from 0 to {classes - 1}, for the {classes} classes of the output",
                f"labels from {low} to {high}",
                hint,
            )
        )
    _check_whole(where, labels)


def _check_whole(where: str, labels: Array) -> None:
    if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        raise ValueError(
            message(
                where,
                "whole numbers as labels",
                f"fractions such as {labels[labels != np.floor(labels)].flat[0]}",
                "For real-valued targets use a loss such as 'mse'.",
            )
        )


def _warn_of_plus_minus(where: str, y_true: Array) -> None:
    if y_true.size == 0 or y_true.dtype.kind == "b":
        return
    low, high = y_true.min(), y_true.max()
    if low < 0 or high > 1:
        warn(
            message(
                where,
                "targets from 0 to 1",
                f"targets from {low} to {high}",
                "Map the two classes to 0 and 1, or the loss has no lower bound.",
            ),
            UserWarning,
        )


def check_chance_broadcast(
    function: Callable[[TensorLike, TensorLike], object],
    y_true: TensorLike,
    y_pred: TensorLike,
    where: str,
) -> None:
    """Refuse a function that takes targets ``(n,)`` beside predictions ``(n, n)`` only because a
    batch has as many rows as there are units: with one row more it cannot broadcast them.

    Raises:
        ValueError: naming the shapes. Other failures are left to the call itself.
    """
    rows = len(y_pred)
    if rows < 2 or y_true.shape != (rows,) or y_pred.shape != (rows, rows):
        return
    more = np.arange(rows + 1) % rows
    try:
        function(y_true[more], y_pred[more])
    except (ValueError, TypeError) as error:
        if "broadcast" not in str(error).lower():
            return
    else:
        return
    raise ValueError(
        message(
            where,
            f"targets that fit predictions (n, {rows}) for every n",
            f"shape (n,), which fits at n = {rows} alone, along the wrong axis",
            "Pass targets of shape (n, 1), or write y_true[:, None].",
        )
    )


def check_last_activation(loss: object, activation: str | None, units: int | None) -> None:
    """Compare a built-in loss with the activation that makes its predictions.

    Args:
        loss: a `Loss` or loss function; users' own are not checked.
        activation: name of the last activation; None if there is none to name, which is not
            checked.
        units: size of the last axis of the output; None if unknown.

    Raises:
        ValueError: for softmax, or a loss over classes, with a single unit: the output, or the
            loss, is a constant and nothing is learned.

    Warns:
        UserWarning: for logits expected and probabilities given, or the reverse.
    """
    function, arguments = function_of(loss)
    if units == 1 and activation in ("softmax", "sparsemax"):
        raise ValueError(
            message(
                "compile",
                "more than 1 unit before softmax",
                f"1 unit, whose {activation} is always 1",
                "Use activation='sigmoid' with the loss 'binary_crossentropy'.",
            )
        )
    if function is None:
        return
    if units == 1 and function in _CATEGORICAL:
        raise ValueError(
            message(
                "compile",
                f"one unit per class for the loss {function!r}",
                "1 unit, for which the loss is constant",
                "Use activation='sigmoid' with the loss 'binary_crossentropy'.",
            )
        )
    if function not in (*_BINARY, *_CATEGORICAL) or activation is None:
        return
    from_logits = bool(arguments.get("from_logits", False))
    if from_logits and activation in _PROBABILITIES:
        _warn(
            f"{function}(from_logits=True)",
            "logits, from a last layer without activation",
            f"probabilities from {activation!r}",
            "Remove the activation, or from_logits=True.",
        )
    known = activation in registry.Names("keras.activations")
    if not from_logits and known and activation not in _PROBABILITIES:
        final = "sigmoid" if function in _BINARY else "softmax"
        _warn(
            f"{function}(from_logits=False)",
            f"probabilities, from a last activation such as {final!r}",
            f"unbounded values from {activation!r}",
            f"Use activation={final!r}, or a loss object with from_logits=True.",
        )


def _warn(where: str, expected: str, got: str, action: str) -> None:
    warn(message(where, expected, got, action), UserWarning)
