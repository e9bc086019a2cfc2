"""What training in float8 computes with: scales by the largest values of late."""

from __future__ import annotations

from densekit import ops
from densekit._core.types import ArrayLike, TensorLike


def compute_float8_scale(
    amax: TensorLike, scale: ArrayLike, dtype_max: float, margin: int = 0
) -> TensorLike:
    """The next scale: ``amax * 2 ** margin / dtype_max``; the present one where `amax` is no use.

    Args:
        amax: largest absolute value of late.
        scale: the present scale.
        dtype_max: largest number of the float8 type.
        margin: room in powers of two. Default: 0.

    Example:

    >>> import densekit as keras
    >>> float(keras.quantizers.compute_float8_scale(keras.ops.array(896.0), 1.0, 448.0))
    2.0
    """
    before = ops.reciprocal(scale)
    factor = ops.divide(ops.divide(dtype_max, amax), 2**margin)
    factor = ops.where(amax > 0.0, factor, before)
    factor = ops.where(ops.isfinite(amax), factor, before)
    return ops.reciprocal(factor)


def compute_float8_amax_history(x: ArrayLike, amax_history: TensorLike) -> TensorLike:
    """`amax_history` moved on by one, with the largest absolute value of `x` in front.

    Example:

    >>> import densekit as keras
    >>> history = keras.ops.array([1.0, 2.0, 3.0])
    >>> keras.quantizers.compute_float8_amax_history(keras.ops.array([-5.0]), history).tolist()
    [5.0, 3.0, 1.0]
    """
    largest = ops.reshape(ops.cast(ops.max(ops.abs(x)), amax_history.dtype), (1,))
    return ops.concatenate([largest, ops.roll(amax_history, -1)[1:]])


def quantize_and_dequantize(
    inputs: ArrayLike, scale: ArrayLike, quantized_dtype: str, compute_dtype: str
) -> TensorLike:
    """`inputs` as they come out of a float8 type: scaled, kept in its range, rounded, scaled back.

    Args:
        inputs: tensor of floats.
        scale: by which they are divided first.
        quantized_dtype: ``"float8_e4m3fn"`` or ``"float8_e5m2"``.
        compute_dtype: type of the result.

    Example:

    >>> import densekit as keras
    >>> x = keras.ops.array([1.03, 1000.0])
    >>> keras.quantizers.quantize_and_dequantize(x, 1.0, "float8_e4m3fn", "float32").tolist()
    [1.0, 448.0]
    """
    import ml_dtypes  # optional: only small floats need it

    limits = ml_dtypes.finfo(quantized_dtype)  # type: ignore[no-untyped-call]
    largest = ops.cast(float(limits.max), compute_dtype)
    scale = ops.cast(scale, compute_dtype)
    x = ops.clip(ops.divide(inputs, scale), -largest, largest)
    rounded = ops.convert_to_numpy(x).astype(getattr(ml_dtypes, quantized_dtype))
    return ops.multiply(ops.cast(rounded.astype("float32"), compute_dtype), scale)
