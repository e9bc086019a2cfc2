"""From one loss per sample to one number: weights, masks and the mean."""

from __future__ import annotations

import numpy as np

from densekit import ops
from densekit._core.errors import describe, message
from densekit._core.types import ArrayLike, DTypeLike, TensorLike
from densekit.losses._shapes import same_rank, same_shape

_MEANS = ("sum_over_batch_size", "mean", "mean_with_sample_weight")
_NO_REDUCTION = (None, "none")
REDUCTIONS = (*_MEANS, "sum", *_NO_REDUCTION)


def standardize_reduction(reduction: object) -> str | None:
    """`reduction` itself, if it is one of the known."""
    if (reduction is not None and not isinstance(reduction, str)) or reduction not in REDUCTIONS:
        raise ValueError(
            message(
                "loss",
                f"`reduction` to be one of {REDUCTIONS}",
                describe(reduction),
                "Pass one of them.",
            )
        )
    return reduction


def reduce_weighted_values(
    values: TensorLike,
    sample_weight: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    reduction: str | None = "sum_over_batch_size",
    dtype: DTypeLike = None,
) -> TensorLike:
    """Weight the per-sample losses and reduce them.

    Formula: with N elements in `values`: ``sum(values * weight) / N`` for ``"sum_over_batch_size"``
    and ``"mean"``, divided by ``sum(weight)`` instead for ``"mean_with_sample_weight"``, not
    divided for ``"sum"``, not summed for ``"none"``. A mask is a weight of 0 and, in the first two,
    N / valid.
    """
    reduction = standardize_reduction(reduction)
    values = ops.convert_to_tensor(values, dtype=dtype)
    weight = None
    if sample_weight is not None:
        weight = ops.convert_to_tensor(sample_weight, dtype=values.dtype)
    if mask is not None:
        weight = _with_mask(weight, mask, values.dtype, reduction)
    if weight is not None:
        values, weight = match_weight(values, weight)
        values = values * weight
    return _reduce(values, weight, reduction)


def _with_mask(
    weight: TensorLike | None, mask: ArrayLike, dtype: DTypeLike, reduction: str | None
) -> TensorLike:
    counts = ops.cast(mask, dtype)
    if reduction in ("sum_over_batch_size", "mean"):
        counts = counts * ops.divide_no_nan(_count(counts), ops.sum(counts))
    if weight is None:
        return counts
    counts, weight = match_weight(counts, weight)
    return counts * weight


def match_weight(values: TensorLike, weight: TensorLike) -> tuple[TensorLike, TensorLike]:
    """A weight that multiplies `values` without surprise.

    Accepted: a scalar; the shape of `values`; its leading axes, one weight for all that follows;
    axes of size 1 written out. A last axis of size 1 more or less is dropped or added.
    """
    if len(weight.shape) == 0:
        return values, weight
    values, weight = same_rank(values, weight)
    shape, own = tuple(values.shape), tuple(weight.shape)
    if len(own) < len(shape) and same_shape(own, shape[: len(own)]):
        weight = ops.reshape(weight, own + (1,) * (len(shape) - len(own)))
        return values, weight
    if len(own) == len(shape) and all(n in (1, m) for n, m in zip(own, shape, strict=True)):
        return values, weight
    raise ValueError(
        message(
            "sample_weight",
            f"a scalar or the shape {shape} of the losses, or its leading axes",
            f"{own}",
            "Pass one weight per sample, and let the loss return one value per sample.",
        )
    )


def _count(x: TensorLike) -> float:
    return float(np.prod(tuple(x.shape), dtype=np.int64))


def _reduce(values: TensorLike, weight: TensorLike | None, reduction: str | None) -> TensorLike:
    if reduction in _NO_REDUCTION or tuple(values.shape) in ((), (0,)):
        return values
    total = ops.sum(values)
    if reduction not in _MEANS:
        return total
    if reduction == "mean_with_sample_weight" and weight is not None:
        return ops.divide_no_nan(total, ops.sum(weight))
    count = _count(values)
    return ops.divide(total, count) if count else ops.multiply(0, total)
