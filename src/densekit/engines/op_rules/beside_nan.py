"""Reductions that pass over NaN, said by other ops."""

from __future__ import annotations

import math
from collections.abc import Callable

from densekit import ops
from densekit._core.types import TensorLike
from densekit.engines.op_rules.composed import Axes, composed


def _known(x: TensorLike) -> TensorLike:
    return ops.logical_not(ops.isnan(x))


@composed("nansum")
def _nansum(x: TensorLike, axis: Axes, keepdims: bool) -> TensorLike:
    return ops.sum(ops.where(_known(x), x, 0.0), axis=axis, keepdims=keepdims)


@composed("nanmean")
def _nanmean(x: TensorLike, axis: Axes, keepdims: bool) -> TensorLike:
    total = ops.sum(ops.where(_known(x), x, 0.0), axis=axis, keepdims=keepdims)
    return total / _count_of_known(x, axis, keepdims)


def _count_of_known(x: TensorLike, axis: Axes, keepdims: bool) -> TensorLike:
    counts = ops.sum(ops.cast(_known(x), x.dtype), axis=axis, keepdims=keepdims)
    return ops.stop_gradient(counts)


@composed("nanmax")
def _nanmax(x: TensorLike, axis: Axes, keepdims: bool) -> TensorLike:
    return _extreme_of_known(ops.max, x, axis, keepdims, -math.inf)


@composed("nanmin")
def _nanmin(x: TensorLike, axis: Axes, keepdims: bool) -> TensorLike:
    return _extreme_of_known(ops.min, x, axis, keepdims, math.inf)


def _extreme_of_known(
    reduce: Callable[..., TensorLike], x: TensorLike, axis: Axes, keepdims: bool, end: float
) -> TensorLike:
    found = reduce(ops.where(_known(x), x, end), axis=axis, keepdims=keepdims)
    return ops.where(ops.any(_known(x), axis=axis, keepdims=keepdims), found, math.nan)


@composed("nanprod")
def _nanprod(x: TensorLike, axis: Axes, keepdims: bool) -> TensorLike:
    return ops.prod(ops.where(_known(x), x, 1.0), axis=axis, keepdims=keepdims)


@composed("nanvar")
def _nanvar(x: TensorLike, axis: Axes, keepdims: bool) -> TensorLike:
    mean = _nanmean(x, axis, keepdims=True)
    squares = ops.square(ops.where(_known(x), x - mean, 0.0))
    total = ops.sum(squares, axis=axis, keepdims=keepdims)
    return total / _count_of_known(x, axis, keepdims)


@composed("nanstd")
def _nanstd(x: TensorLike, axis: Axes, keepdims: bool) -> TensorLike:
    return ops.sqrt(_nanvar(x, axis, keepdims))
