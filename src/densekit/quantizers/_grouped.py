"""Quantization of a matrix in groups of rows, each with a scale and a zero point of its own."""

from __future__ import annotations

import math

from densekit import ops
from densekit._core.types import ArrayLike, TensorLike


def abs_max_quantize_grouped_with_zero_point(
    inputs: ArrayLike,
    block_size: int,
    value_range: tuple[int, int] = (-8, 7),
    dtype: str = "int8",
    epsilon: float = 1e-7,
    to_numpy: bool = False,
) -> tuple[TensorLike, TensorLike, TensorLike]:
    """``round(inputs / scale) + zero``; the lowest of a group becomes the lowest whole number.

    Shapes:
        inputs: ``(rows, columns)``; scale and zero: ``(ceil(rows / block_size), columns)``.

    Args:
        inputs: matrix of floats.
        block_size: rows of a group; the last one is filled up with zeros.
        value_range: lowest and highest whole number. Default: ``(-8, 7)``.
        dtype: type of the whole numbers. Default: ``"int8"``.
        epsilon: keeps the scale above 0. Default: ``1e-7``.
        to_numpy: whether NumPy computes it, for tensors of other libraries. Default: ``False``.

    Returns:
        Whole numbers, scale, and zero, the int8 number that stands for 0.

    Example:

    >>> import densekit as keras
    >>> q, scale, zero = keras.quantizers.abs_max_quantize_grouped_with_zero_point(
    ...     keras.ops.array([[0.0], [1.5], [-8.0], [7.0]]), block_size=2
    ... )
    >>> q.ravel().tolist(), zero.ravel().tolist()
    ([-8, 7, -8, 7], [-8, 0])
    """
    inputs = ops.convert_to_numpy(inputs) if to_numpy else ops.convert_to_tensor(inputs)
    low, high = value_range
    rows, columns = inputs.shape
    groups = math.ceil(rows / block_size)
    padded = ops.pad(inputs, ((0, groups * block_size - rows), (0, 0)))
    grouped = ops.reshape(padded, (groups, block_size, columns))
    least = ops.min(grouped, axis=1, keepdims=True)
    most = ops.max(grouped, axis=1, keepdims=True)
    scale = ops.divide(ops.add(ops.subtract(most, least), epsilon), high - low)
    zero = ops.clip(ops.add(ops.round(ops.divide(ops.negative(least), scale)), low), low, high)
    whole = ops.clip(ops.add(ops.round(ops.divide(grouped, scale)), zero), low, high)
    whole = ops.reshape(ops.cast(whole, dtype), (groups * block_size, columns))[:rows]
    return whole, ops.squeeze(scale, axis=1), ops.cast(ops.squeeze(zero, axis=1), "int8")


def dequantize_groups(
    whole: ArrayLike, scale: ArrayLike, zero: ArrayLike, g_idx: ArrayLike, group_axis: int
) -> TensorLike:
    """``(whole - zero) * scale``, with those of the group that `g_idx` names along `group_axis`."""
    groups = ops.cast(g_idx, "int32")
    scales = ops.take(scale, groups, axis=group_axis)
    zeros = ops.cast(ops.take(zero, groups, axis=group_axis), scales.dtype)
    return ops.multiply(ops.subtract(ops.cast(whole, scales.dtype), zeros), scales)
