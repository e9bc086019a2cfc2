"""Floats that take only the values a quantized tensor could have."""

from __future__ import annotations

from collections.abc import Callable

from densekit import ops
from densekit._core.types import ArrayLike, TensorLike


def fake_quant_with_min_max_vars(
    inputs: ArrayLike,
    min_vals: ArrayLike,
    max_vals: ArrayLike,
    num_bits: int = 8,
    narrow_range: bool = False,
    axis: int | None = None,
) -> TensorLike:
    """Round `inputs` to ``2 ** num_bits`` even steps between two bounds; 0 is one of them.

    The gradient passes where `inputs` lie within the bounds; beyond, it goes to the bounds.

    Args:
        inputs: tensor of floats.
        min_vals, max_vals: the bounds: numbers, or one for each entry of `axis`.
        num_bits: bits of a quantized number. Default: 8.
        narrow_range: whether the lowest number is left out. Default: ``False``.
        axis: whose entries have bounds of their own. Default: none.

    Example:

    >>> import densekit as keras
    >>> x = keras.ops.array([-1.0, 0.4, 9.0])
    >>> keras.quantizers.fake_quant_with_min_max_vars(x, 0.0, 3.0, num_bits=2).tolist()
    [0.0, 0.0, 3.0]
    """
    inputs = ops.convert_to_tensor(inputs)
    min_vals, max_vals = (ops.convert_to_tensor(v, inputs.dtype) for v in (min_vals, max_vals))
    rank = len(inputs.shape)
    along = tuple(i for i in range(rank) if axis is None or i != axis % rank)
    if axis is not None:
        shape = [1] * len(inputs.shape)
        shape[axis] = -1
        min_vals, max_vals = ops.reshape(min_vals, shape), ops.reshape(max_vals, shape)

    @ops.custom_gradient
    def rounded(
        x: TensorLike, low: TensorLike, high: TensorLike
    ) -> tuple[TensorLike, Callable[..., object]]:
        most, least = (1 << int(num_bits)) - 1, int(narrow_range)
        width = ops.subtract(high, low)
        step, per_step = ops.divide(width, most - least), ops.divide(most - least, width)
        zero = ops.round(ops.clip(ops.subtract(least, ops.divide(low, step)), least, most))
        bottom, top = (ops.multiply(ops.subtract(end, zero), step) for end in (least, most))
        shifted = ops.subtract(ops.clip(x, bottom, top), bottom)
        at_zero = ops.floor(ops.add(ops.multiply(ops.negative(bottom), per_step), 0.5))
        steps = ops.floor(ops.add(ops.subtract(ops.multiply(shifted, per_step), at_zero), 0.5))

        def gradient(upstream: TensorLike) -> tuple[TensorLike, TensorLike, TensorLike]:
            def share(where: TensorLike, bound: TensorLike) -> TensorLike:
                return ops.reshape(ops.sum(ops.where(where, upstream, 0.0), along), bound.shape)

            inside = ops.logical_and(x >= bottom, x <= top)
            return ops.where(inside, upstream, 0.0), share(x <= bottom, low), share(x >= top, high)

        return ops.cast(ops.multiply(steps, step), x.dtype), gradient

    return rounded(inputs, min_vals, max_vals)
