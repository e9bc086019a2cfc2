"""Quantization by the largest absolute value: the range is symmetric, 0 stays 0."""

from __future__ import annotations

import numpy as np

from densekit import ops
from densekit._core.errors import message
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Axes, Config, TensorLike
from densekit.quantizers._base import Quantizer

_EPSILON = 1e-7


def abs_max_quantize(
    inputs: ArrayLike,
    axis: Axes,
    value_range: tuple[int, int] = (-127, 127),
    dtype: str = "int8",
    epsilon: float = _EPSILON,
    to_numpy: bool = False,
) -> tuple[TensorLike, TensorLike]:
    """``scale = high / (max |inputs| + epsilon)``; ``round(inputs * scale)``, kept in the range.

    Args:
        inputs: tensor of floats.
        axis: axis or axes along which the largest value is taken.
        value_range: lowest and highest whole number. Default: ``(-127, 127)``.
        dtype: type of the whole numbers. Default: ``"int8"``.
        epsilon: keeps the scale finite where all is 0. Default: ``1e-7``.
        to_numpy: whether NumPy computes it, for tensors of other libraries. Default: ``False``.

    Returns:
        Whole numbers and the scale, with `axis` kept as size 1; their quotient is near `inputs`.

    Example:

    >>> import densekit as keras
    >>> q, scale = keras.quantizers.abs_max_quantize(keras.ops.array([[1.0, -4.0]]), axis=-1)
    >>> q.tolist(), scale.tolist()
    ([[32, -127]], [[31.75]])
    """
    if to_numpy:
        inputs = ops.convert_to_numpy(inputs)
    else:
        inputs = ops.convert_to_tensor(inputs)
    if isinstance(axis, list):
        axis = tuple(axis)
    largest = ops.max(ops.abs(inputs), axis=axis, keepdims=True)
    scale = ops.cast(ops.divide(value_range[1], ops.add(largest, epsilon)), inputs.dtype)
    whole = ops.clip(ops.round(ops.multiply(inputs, scale)), value_range[0], value_range[1])
    return ops.cast(whole, dtype), scale


@export("keras.quantizers", "abs_max_quantizer")
class AbsMaxQuantizer(Quantizer):
    """`abs_max_quantize` with its arguments.

    Args:
        axis: axis or axes along which the largest value is taken. Default: the last, or as called.
        value_range: lowest and highest whole number. Default: ``(-127, 127)``.
        epsilon: keeps the scale finite where all is 0. Default: ``1e-7``.
        output_dtype: type of the whole numbers. Default: ``"int8"``.

    Raises:
        ValueError: if `output_dtype` is ``"int8"`` and the range is not within [-128, 127].

    Example:

    >>> import densekit as keras
    >>> q, scale = keras.quantizers.AbsMaxQuantizer(axis=0)(keras.ops.array([[1.0], [-4.0]]))
    >>> q.tolist(), scale.tolist()
    ([[32], [-127]], [[31.75]])
    """

    def __init__(
        self,
        axis: Axes = None,
        value_range: tuple[int, int] = (-127, 127),
        epsilon: float = _EPSILON,
        output_dtype: str = "int8",
    ) -> None:
        super().__init__(output_dtype)
        if axis is not None:
            axis = (int(axis),) if isinstance(axis, int | np.integer) else tuple(axis)
        self.axis: tuple[int, ...] | None = axis
        self.value_range = tuple(value_range)
        self.epsilon = epsilon
        if output_dtype == "int8" and (value_range[0] < -128 or value_range[1] > 127):
            raise ValueError(
                message(
                    "AbsMaxQuantizer",
                    "`value_range` within the interval [-128, 127] of int8",
                    f"value_range={value_range}",
                    "Pass e.g. (-127, 127).",
                )
            )

    def __call__(
        self, x: ArrayLike, axis: Axes = None, to_numpy: bool = False
    ) -> tuple[TensorLike, TensorLike]:
        """Whole numbers and the scale of `x`; `axis` goes before that of the constructor."""
        axis = self.axis if axis is None else axis
        low, high = self.value_range
        return abs_max_quantize(
            x,
            -1 if axis is None else axis,
            (low, high),
            self.output_dtype,
            self.epsilon,
            to_numpy,
        )

    def get_config(self) -> Config:
        """The constructor's arguments."""
        config = {
            "value_range": self.value_range,
            "epsilon": self.epsilon,
            "output_dtype": self.output_dtype,
        }
        return config if self.axis is None else {**config, "axis": self.axis}
