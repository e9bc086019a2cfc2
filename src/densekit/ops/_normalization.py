"""Normalizations as functions, without a layer; signal against noise."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.lib.array_utils import normalize_axis_tuple

from densekit._core import settings
from densekit._core.errors import message
from densekit._core.frames import warn
from densekit._core.types import ArrayLike, TensorLike
from densekit.ops._dispatch import as_array, astype, dtype_name, floating, namespace, result_type
from densekit.ops._operation import operation


def _optional(value: ArrayLike | None) -> TensorLike | None:
    return None if value is None else as_array(value)


@operation("nn", "BatchNorm", arguments=("x", "mean", "variance", "offset", "scale"))
def batch_normalization(
    x: TensorLike,
    mean: ArrayLike,
    variance: ArrayLike,
    axis: int,
    offset: ArrayLike | None = None,
    scale: ArrayLike | None = None,
    epsilon: float = 1e-3,
) -> TensorLike:
    """``(x - mean) / sqrt(variance + epsilon) * scale + offset``, one number a place of `axis`.

    Args:
        x: array.
        mean, variance: vectors.
        axis: the axis of `x` that they go along.
        offset: vector. Default: 0.
        scale: vector. Default: 1.
        epsilon: Default: 1e-3.

    Example:

    >>> from densekit import ops
    >>> ops.batch_normalization([[3.0], [5.0]], [4.0], [1.0], -1, epsilon=0.0).tolist()
    [[-1.0], [1.0]]
    """
    given = [_optional(v) for v in (mean, variance, offset, scale)]
    xp = namespace(x, *(v for v in given if v is not None))
    shape = [1] * x.ndim
    shape[axis] = -1
    center, spread, shift, gain = (
        None if v is None else xp.reshape(v, tuple(shape)) for v in given
    )
    assert center is not None and spread is not None
    factor = 1.0 / xp.sqrt(spread + epsilon)
    factor = factor if gain is None else factor * gain
    rest = -center * factor
    return x * factor + (rest if shift is None else rest + shift)


def _wide(x: TensorLike) -> TensorLike:
    """At least float32: half precision has no digits for a mean of squares."""
    return astype(x, result_type(dtype_name(x), "float32"))


@operation("nn", "LayerNorm", arguments=("x", "gamma", "beta"))
def layer_normalization(
    x: TensorLike,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    axis: int | Sequence[int] = -1,
    epsilon: float | None = None,
    rms_scaling: bool = False,
) -> TensorLike:
    """``(x - mean) / sqrt(variance + epsilon) * gamma + beta``, mean and variance over `axis`.

    Args:
        x: array.
        gamma: in the shape of the axes of `axis`. Default: 1.
        beta: in the shape of the axes of `axis`. Default: 0.
        axis: an axis or several. Default: -1.
        epsilon: Default: `config.epsilon()`.
        rms_scaling: scale alone, without the mean; Keras keeps it for old files.

    Example:

    >>> from densekit import ops
    >>> ops.layer_normalization([1.0, 3.0], epsilon=0.0).tolist()
    [-1.0, 1.0]
    """
    if rms_scaling:
        warn("ops.layer_normalization: `rms_scaling` is Keras' old name; call `rms_normalization`.")
    gamma, beta = _optional(gamma), _optional(beta)
    dtype, wide = dtype_name(x), _wide(x)
    xp = namespace(x, *(v for v in (gamma, beta) if v is not None))
    epsilon = settings.epsilon() if epsilon is None else epsilon
    axes = tuple(sorted(normalize_axis_tuple(axis, x.ndim)))
    shape = tuple(n if a in axes else 1 for a, n in enumerate(x.shape))

    def fitted(v: TensorLike) -> TensorLike:
        return astype(v if v.ndim == x.ndim else xp.reshape(v, shape), dtype_name(wide))

    factor = 1.0 / xp.sqrt(xp.var(wide, axis=axes, keepdims=True) + epsilon)
    factor = factor if gamma is None else factor * fitted(gamma)
    if rms_scaling:
        return astype(wide * factor, dtype)
    rest = -xp.mean(wide, axis=axes, keepdims=True) * factor
    rest = rest if beta is None else rest + fitted(beta)
    return astype(wide * factor + rest, dtype)


@operation("nn", "RMSNorm", arguments=("x", "scale"))
def rms_normalization(
    x: TensorLike,
    scale: ArrayLike | None = None,
    axis: int | Sequence[int] = -1,
    epsilon: float | None = None,
) -> TensorLike:
    """``x / sqrt(mean(x**2) + epsilon) * scale``, the mean over `axis`.

    Args:
        x: array.
        scale: broadcast against `x`. Default: 1.
        axis: an axis or several. Default: -1.
        epsilon: Default: `config.epsilon()`.

    Example:

    >>> from densekit import ops
    >>> ops.rms_normalization([3.0, 3.0], epsilon=0.0).tolist()
    [1.0, 1.0]
    """
    scale, dtype, wide = _optional(scale), dtype_name(x), _wide(x)
    xp = namespace(x, *([] if scale is None else [scale]))
    axes = tuple(axis) if isinstance(axis, list) else axis
    wide = xp.reshape(wide, (1,)) if x.ndim == 0 else wide
    mean = xp.mean(xp.square(wide), axis=axes, keepdims=True)
    epsilon = settings.epsilon() if epsilon is None else epsilon
    normal = wide / xp.sqrt(mean + epsilon)
    return astype(normal if scale is None else normal * astype(scale, dtype_name(wide)), dtype)


@operation("nn", "PSNR", tensors=2, convert=as_array, quiet=True)
def psnr(x1: TensorLike, x2: TensorLike, max_val: float) -> TensorLike:
    """Peak signal-to-noise ratio in decibel: ``20 log10(max_val) - 10 log10(mean((x1 - x2)**2))``.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.psnr([0.0, 1.0], [0.1, 1.0], max_val=1.0)), 2)
    23.01
    """
    if tuple(x1.shape) != tuple(x2.shape):
        raise ValueError(
            message(
                "ops.psnr", "equal shapes", f"{tuple(x1.shape)}, {tuple(x2.shape)}", "Reshape one."
            )
        )
    xp, x1, x2 = namespace(x1, x2), floating(x1), floating(x2)
    peak = as_array(float(max_val)).astype(x2.dtype)
    return 20 * xp.log10(peak) - 10 * xp.log10(xp.mean(xp.square(x1 - x2)))
