"""Ops that other ops say: each formula is followed, and what it consists of is native."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from densekit import ops
from densekit._core import settings, tree
from densekit._core.types import TensorLike
from densekit.engines.op_rules.rule import Arguments, require_floats, rule
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_op import Handle, NotLowerable
from densekit.ops._symbolic import FunctionOperation

Axes = int | Sequence[int] | None
COMPOSED: set[str] = set()  # names of ops that other ops say
F = TypeVar("F", bound=Callable[..., TensorLike | Sequence[TensorLike]])


def composed(*names: str, integers: bool = False) -> Callable[[F], F]:
    """Registers the formula of the ops of these names, with the arguments that they take.

    Args:
        integers: whether it takes whole numbers, too.
    """

    def register(formula: F) -> F:
        COMPOSED.update(names)

        @rule(*names)
        def lower(
            plan: PlanBuilder, operation: FunctionOperation, a: Arguments
        ) -> Sequence[Handle]:
            if not integers:
                require_floats(plan, *a.values())
            handles = [x for x in tree.flatten(a) if isinstance(x, Handle)]
            if plan.lower_formula is None or not handles:
                raise NotLowerable("its first operand does not depend on the inputs")

            def told(*tensors: TensorLike) -> TensorLike | Sequence[TensorLike]:
                given = iter(tensors)
                return formula(
                    **tree.map_structure(lambda x: next(given) if isinstance(x, Handle) else x, a)
                )

            return plan.lower_formula(told, handles)

        return formula

    return register


def _kept(axis: Axes, rank: int) -> tuple[int, ...]:
    """Axes counted from the front."""
    if axis is None:
        return tuple(range(rank))
    return tuple(a % rank for a in ([axis] if isinstance(axis, int) else axis))


# Elements


@composed("fabs")
def _fabs(x: TensorLike) -> TensorLike:
    return ops.abs(x)


@composed("rad2deg")
def _rad2deg(x: TensorLike) -> TensorLike:
    return x * (180.0 / math.pi)


@composed("deg2rad")
def _deg2rad(x: TensorLike) -> TensorLike:
    return x * (math.pi / 180.0)


@composed("hypot")
def _hypot(x1: TensorLike, x2: TensorLike) -> TensorLike:
    largest = ops.maximum(ops.abs(x1), ops.abs(x2))
    size = ops.where(ops.logical_and(largest > 0, ops.isfinite(largest)), largest, 1.0)
    size = ops.stop_gradient(size)  # squares of what is large are too large
    squares = ops.square(x1 / size) + ops.square(x2 / size)
    zero = ops.equal(squares, 0.0)  # where the slope is taken as 0
    return ops.where(zero, 0.0, size * ops.sqrt(ops.where(zero, 1.0, squares)))


def _sign_not_zero(x: TensorLike) -> TensorLike:
    """1 at 0, where slopes are not 0."""
    return 1.0 - 2.0 * ops.stop_gradient(ops.cast(x < 0, x.dtype))


@composed("arcsinh")
def _arcsinh(x: TensorLike) -> TensorLike:
    sign = _sign_not_zero(x)
    size = sign * x
    least, most = ops.minimum(size, 1e9), ops.maximum(size, 1e9)  # squares of more are too large
    root = ops.sqrt(ops.square(least) + 1.0)
    near = ops.log1p(least + ops.square(least) / (root + 1.0))  # keeps the digits of what is small
    return sign * ops.where(size > 1e9, ops.log(most) + math.log(2.0), near)


@composed("arccosh")
def _arccosh(x: TensorLike) -> TensorLike:
    return ops.log(x + ops.sqrt(x + 1.0) * ops.sqrt(x - 1.0))


@composed("cbrt")
def _cbrt(x: TensorLike) -> TensorLike:
    sign = _sign_not_zero(x)
    return sign * (sign * x) ** (1.0 / 3.0)


@composed("logaddexp2")
def _logaddexp2(x1: TensorLike, x2: TensorLike) -> TensorLike:
    two = math.log(2.0)
    return ops.logaddexp(x1 * two, x2 * two) / two


@composed("heaviside")
def _heaviside(x1: TensorLike, x2: TensorLike) -> TensorLike:
    step = ops.where(x1 > 0, 1.0, ops.where(ops.equal(x1, 0.0), x2, 0.0))
    return ops.where(ops.isnan(x1), x1, step)


@composed("fmax")
def _fmax(x1: TensorLike, x2: TensorLike) -> TensorLike:
    return ops.where(ops.logical_or(x1 > x2, ops.isnan(x2)), x1, x2)


@composed("fmin")
def _fmin(x1: TensorLike, x2: TensorLike) -> TensorLike:
    return ops.where(ops.logical_or(x1 < x2, ops.isnan(x2)), x1, x2)


@composed("isposinf")
def _isposinf(x: TensorLike) -> TensorLike:
    return ops.equal(x, math.inf)


@composed("isneginf")
def _isneginf(x: TensorLike) -> TensorLike:
    return ops.equal(x, -math.inf)


@composed("isclose")
def _isclose(
    x1: TensorLike, x2: TensorLike | float, rtol: float, atol: float, equal_nan: bool
) -> TensorLike:
    if equal_nan:
        raise NotLowerable("it takes NaN for equal")
    size = abs(x2) if isinstance(x2, float | int) else ops.abs(x2)
    near = ops.less_equal(ops.abs(x1 - x2), size * rtol + atol)
    finite = ops.logical_and(ops.isfinite(x1), ops.isfinite(x2))
    return ops.logical_or(ops.logical_and(near, finite), ops.equal(x1, x2))


@composed("nan_to_num")
def _nan_to_num(
    x: TensorLike, nan: float, posinf: float | None, neginf: float | None
) -> TensorLike:
    limits = np.finfo(str(x.dtype))
    x = ops.where(ops.isnan(x), nan, x)
    x = ops.where(ops.equal(x, math.inf), limits.max if posinf is None else posinf, x)
    return ops.where(ops.equal(x, -math.inf), limits.min if neginf is None else neginf, x)


# Sums and extrema


@composed("ptp")
def _ptp(x: TensorLike, axis: Axes, keepdims: bool) -> TensorLike:
    return ops.max(x, axis=axis, keepdims=keepdims) - ops.min(x, axis=axis, keepdims=keepdims)


@composed("average")
def _average(x: TensorLike, axis: int | None, weights: TensorLike | None) -> TensorLike:
    if weights is None:
        return ops.mean(x, axis=axis)
    if len(weights.shape) == 1 and axis is not None:
        shape = [1] * len(x.shape)
        shape[axis] = -1
        weights = np.reshape(np.asarray(weights), shape)
    if not isinstance(weights, np.ndarray):
        raise NotLowerable("its weights are no numbers")
    weights = np.asarray(weights, str(x.dtype))
    return ops.sum(x * weights, axis=axis) / ops.sum(ops.ones_like(x) * weights, axis=axis)


@composed("count_nonzero")
def _count_nonzero(x: TensorLike, axis: Axes) -> TensorLike:
    return ops.cast(ops.sum(ops.cast(ops.not_equal(x, 0), x.dtype), axis=axis), "int32")


@composed("moments")
def _moments(
    x: TensorLike, axes: Axes, keepdims: bool, synchronized: bool
) -> tuple[TensorLike, TensorLike]:
    mean = ops.mean(x, axis=axes, keepdims=keepdims)
    return mean, ops.var(x, axis=axes, keepdims=keepdims)


@composed("cumprod")
def _cumprod(x: TensorLike, axis: int | None, dtype: object) -> TensorLike:
    if axis is None or dtype is not None or x.shape[axis] is None or x.shape[axis] > 64:
        raise NotLowerable("it is long, or of another type")
    parts = list(ops.unstack(x, axis=axis))
    for i in range(1, len(parts)):
        parts[i] = parts[i - 1] * parts[i]
    return ops.stack(parts, axis=axis)


# Differences, normalizations, losses


@composed("diff")
def _diff(a: TensorLike, n: int, axis: int) -> TensorLike:
    a = ops.moveaxis(a, axis, -1)
    for _ in range(n):
        a = a[..., 1:] - a[..., :-1]
    return ops.moveaxis(a, -1, axis)


@composed("trace")
def _trace(x: TensorLike, offset: int, axis1: int, axis2: int) -> TensorLike:
    return ops.sum(ops.diagonal(x, offset, axis1, axis2), axis=-1)


@composed("rms_normalization")
def _rms_normalization(
    x: TensorLike, scale: TensorLike | None, axis: Axes, epsilon: float | None
) -> TensorLike:
    epsilon = settings.epsilon() if epsilon is None else epsilon
    normal = x / ops.sqrt(ops.mean(ops.square(x), axis=axis, keepdims=True) + epsilon)
    return normal if scale is None else normal * scale


@composed("layer_normalization")
def _layer_normalization(
    x: TensorLike,
    gamma: TensorLike | None,
    beta: TensorLike | None,
    axis: Axes,
    epsilon: float | None,
    rms_scaling: bool,
) -> TensorLike:
    rank = len(x.shape)
    axes = sorted(_kept(axis, rank))
    epsilon = settings.epsilon() if epsilon is None else epsilon
    if axes != list(range(rank - len(axes), rank)):
        raise NotLowerable("it normalizes along other axes than the last")
    factor = 1.0 / ops.sqrt(ops.var(x, axis=axes, keepdims=True) + epsilon)
    centred = x if rms_scaling else x - ops.mean(x, axis=axes, keepdims=True)
    y = centred * factor
    y = y if gamma is None else y * gamma
    return y if beta is None or rms_scaling else y + beta


def _inside(x: TensorLike) -> TensorLike:
    epsilon = settings.epsilon()
    return ops.minimum(ops.maximum(x, epsilon), 1.0 - epsilon)


@composed("binary_crossentropy")
def _binary_crossentropy(target: TensorLike, output: TensorLike, from_logits: bool) -> TensorLike:
    if from_logits:
        positive = ops.multiply(target, ops.log_sigmoid(output))
        rest = ops.multiply(ops.subtract(1.0, target), ops.log_sigmoid(-output))
        return -positive - rest
    output = _inside(output)
    rest = ops.multiply(ops.subtract(1.0, target), ops.log(1.0 - output))
    return -(ops.multiply(target, ops.log(output)) + rest)


def _log_probability(output: TensorLike, from_logits: bool, axis: int) -> TensorLike:
    if from_logits:
        return ops.log_softmax(output, axis)
    return ops.log(_inside(output / ops.sum(output, axis=axis, keepdims=True)))


@composed("categorical_crossentropy")
def _categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool, axis: int
) -> TensorLike:
    logs = _log_probability(output, from_logits, axis)
    return -ops.sum(ops.multiply(target, logs), axis=axis)


@composed("sparse_categorical_crossentropy", integers=True)
def _sparse_categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool, axis: int
) -> TensorLike:
    rank = len(output.shape)
    if axis % rank != rank - 1:
        raise NotLowerable("its classes are not the last axis")
    if len(target.shape) == rank:
        target = ops.squeeze(target, -1)
    logs = _log_probability(output, from_logits, axis)
    whole = ops.cast(target, "int32")
    chosen = ops.one_hot(whole, output.shape[-1], dtype=output.dtype)
    return -ops.sum(chosen * logs, axis=-1)


# Arrays joined, classes


@composed("hstack", integers=True)
def _hstack(xs: Sequence[TensorLike]) -> TensorLike:
    return ops.concatenate(list(xs), axis=1)


@composed("dstack", integers=True)
def _dstack(xs: Sequence[TensorLike]) -> TensorLike:
    if any(len(x.shape) < 3 for x in xs):
        raise NotLowerable("it makes three axes of samples")
    return ops.concatenate(list(xs), axis=2)


@composed("multi_hot", integers=True)
def _multi_hot(
    inputs: TensorLike,
    num_classes: int | None,
    axis: int,
    dtype: str | None,
    sparse: bool,
    **kwargs: int,
) -> TensorLike:
    classes = int(kwargs.get("num_tokens", num_classes) or 0)
    if len(inputs.shape) < 2:
        raise NotLowerable("it makes one row of the batch")
    return ops.max(ops.one_hot(inputs, classes, axis, dtype), axis=1)


@composed("digitize")
def _digitize(x: TensorLike, bins: TensorLike) -> TensorLike:
    edges = np.asarray(bins)
    if (np.diff(edges) < 0).any():
        raise NotLowerable("its bins descend")
    return _count_of_edges(ops.logical_not(ops.less(ops.expand_dims(x, -1), edges)), x)


@composed("searchsorted")
def _searchsorted(sorted_sequence: TensorLike, values: TensorLike, side: str) -> TensorLike:
    edges, x = np.asarray(sorted_sequence), ops.expand_dims(values, -1)
    if edges.ndim != 1:
        raise NotLowerable("it searches a sequence for each row")
    before = ops.less_equal(x, edges) if side == "left" else ops.less(x, edges)
    return _count_of_edges(ops.logical_not(before), values)


def _count_of_edges(passed: TensorLike, like: TensorLike) -> TensorLike:
    return ops.cast(ops.sum(ops.cast(passed, like.dtype), axis=-1), "int32")
