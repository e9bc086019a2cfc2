"""Cross-entropies and the encodings of labels they are fed with."""

from __future__ import annotations

from typing import Any

import numpy as np

from densekit._core import settings
from densekit._core.dtypes import standardize_dtype
from densekit._core.errors import describe, message
from densekit._core.types import DTypeLike, Namespace, TensorLike
from densekit.ops._activations import log_sigmoid
from densekit.ops._axis_formulas import log_softmax
from densekit.ops._core_ops import refuse_sparse
from densekit.ops._dispatch import as_array, astype, dtype_name, floating, meet, namespace
from densekit.ops._operation import operation


def _typed(given: dict[str, Any]) -> dict[str, Any]:
    return {**given, "dtype": standardize_dtype(given.get("dtype"))}


@operation("nn", settle=_typed)
def one_hot(
    x: TensorLike, num_classes: int, axis: int = -1, dtype: DTypeLike = None, sparse: bool = False
) -> TensorLike:
    """1 at the place of the class, 0 elsewhere; a label out of range gives zeros.

    Example:

    >>> from densekit import ops
    >>> ops.one_hot([0, 2], 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    refuse_sparse("ops.one_hot", sparse)
    xp = namespace(x)
    classes = np.arange(num_classes)
    found = xp.equal(x[..., None], classes)
    found = astype(found, standardize_dtype(dtype))
    return found if axis in (-1, x.ndim) else xp.moveaxis(found, -1, axis)


@operation("nn")  # type: ignore[arg-type]
def multi_hot(
    inputs: TensorLike,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: DTypeLike = None,
    sparse: bool = False,
    **kwargs: Any,
) -> TensorLike:
    """1 at the place of every class named along the last axis of `inputs`, 0 elsewhere.

    Example:

    >>> from densekit import ops
    >>> ops.multi_hot([0, 2], 4).tolist()
    [1.0, 0.0, 1.0, 0.0]
    """
    refuse_sparse("ops.multi_hot", sparse)
    num_classes = kwargs.get("num_tokens", num_classes)
    return namespace(inputs).max(
        one_hot(inputs, int(num_classes or 0), axis, dtype), axis=1 if inputs.ndim > 1 else 0
    )


def _same_shape(name: str, target: TensorLike, output: TensorLike) -> None:
    if tuple(target.shape) != tuple(output.shape) or not output.ndim:
        raise ValueError(
            message(
                name,
                "`target` and `output` of one shape",
                f"target {describe(target)}, output {describe(output)}",
                "Reshape one of them, or encode the labels with `one_hot`.",
            )
        )


def _inside(xp: Namespace, probability: TensorLike) -> TensorLike:
    """Kept by `epsilon` away from 0 and 1, where the logarithm has no end."""
    epsilon = settings.epsilon()
    return xp.minimum(xp.maximum(probability, epsilon), 1.0 - epsilon)


@operation("nn", tensors=2, convert=as_array)
def binary_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False
) -> TensorLike:
    """``-target * log(output) - (1 - target) * log(1 - output)``, element by element.

    Example:

    >>> from densekit import ops
    >>> [round(x, 4) for x in ops.binary_crossentropy([1.0, 0.0], [0.5, 0.5]).tolist()]
    [0.6931, 0.6931]
    """
    if tuple(target.shape) != tuple(output.shape):
        _same_shape("binary_crossentropy", target, output)
    xp, target, output = meet(target, floating(output))
    if from_logits:
        return -target * log_sigmoid(output) - (1.0 - target) * log_sigmoid(-output)
    output = _inside(xp, output)
    return -(target * xp.log(output) + (1.0 - target) * xp.log(1.0 - output))


def _log_probability(output: TensorLike, from_logits: bool, axis: int) -> TensorLike:
    output = floating(output)
    if from_logits:
        return log_softmax(output, axis)
    xp = namespace(output)
    return xp.log(_inside(xp, output / xp.sum(output, axis=axis, keepdims=True)))


@operation("nn", tensors=2, convert=as_array, quiet=True)
def categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> TensorLike:
    """``-sum(target * log(output))`` along `axis`; probabilities are first scaled to sum 1.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.categorical_crossentropy([0.0, 1.0], [0.5, 0.5])), 4)
    0.6931
    """
    _same_shape("categorical_crossentropy", target, output)
    xp, target, log_output = meet(target, _log_probability(output, from_logits, axis))
    return -xp.sum(target * log_output, axis=axis)


@operation("nn", tensors=2, convert=as_array, quiet=True)
def sparse_categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> TensorLike:
    """``-log(output[target])`` with integer targets, whose shape lacks `axis` or has 1 there.

    A label outside ``0..classes-1`` gives 0.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.sparse_categorical_crossentropy(1, [0.5, 0.5])), 4)
    0.6931
    """
    if target.ndim == output.ndim and target.shape[-1] == 1:
        target = namespace(target).squeeze(target, -1)
    if not output.ndim or tuple(target.shape) != tuple(output.shape[:-1]):
        raise ValueError(
            message(
                "sparse_categorical_crossentropy",
                "`target` in the shape of `output` without the last axis",
                f"target {describe(target)}, output {describe(output)}",
                "Pass one class index per row.",
            )
        )
    log_output = _log_probability(output, from_logits, axis)
    xp = namespace(log_output)
    chosen = one_hot(astype(target, "int32"), output.shape[axis], axis, dtype_name(log_output))
    return -xp.sum(chosen * log_output, axis=axis)
