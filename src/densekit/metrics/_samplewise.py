"""Values and weights of samples. Nothing is broadcast that was not asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from densekit import ops
from densekit._core.errors import message
from densekit._core.tensor import Tensor

_CHARS = {"float32": "f", "float64": "d"}  # asking a dtype for its name takes longer


def samplewise(
    where: str, values: Any, sample_weight: Any, reduce: Callable[..., Any], dtype: str
) -> tuple[Any, Any]:
    """One value for each sample, times its weight, and the weights.

    Weights are a scalar, one for each sample, or one for each entry of the leading axes of
    `values`; axes that have no weights of their own are reduced by `reduce` first, all others
    after the multiplication.

    Raises:
        ValueError: for weights of another shape.
    """
    if type(values) is not Tensor or values.dtype.char != _CHARS.get(dtype):
        values = ops.cast(ops.convert_to_tensor(values), dtype)
    if sample_weight is not None:
        weight = _fitting(where, sample_weight, tuple(values.shape), dtype)
        values = _reduced(values, len(weight.shape), reduce)
        sample_weight = ops.broadcast_to(weight, values.shape)
        values = values * sample_weight
        sample_weight = _reduced(sample_weight, 1, reduce)
    return _reduced(values, 1, reduce), sample_weight


def masked(where: str, sample_weight: Any, valid: Any, dtype: str) -> Any:
    """A weight for each value, 0 where it is not `valid`."""
    shape = tuple(valid.shape)
    weight = _fitting(where, sample_weight, shape, dtype)
    own = tuple(weight.shape)
    return ops.reshape(weight, own + (1,) * (len(shape) - len(own))) * ops.cast(valid, dtype)


def _fitting(where: str, sample_weight: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """The weights as an array with at most as many axes as the values."""
    weight = ops.cast(ops.convert_to_tensor(sample_weight), dtype)
    if tuple(weight.shape) == (*shape, 1):
        weight = weight[..., 0]
    fits = len(weight.shape) <= len(shape) and all(
        have == want or (axis > 0 and have == 1)
        for axis, (have, want) in enumerate(zip(weight.shape, shape, strict=False))
    )
    if fits:
        return weight
    raise ValueError(
        message(
            where,
            f"a weight for each of the leading axes of {shape}",
            f"`sample_weight` of shape {tuple(weight.shape)}",
            "Pass one weight for each sample.",
        )
    )


def _reduced(values: Any, depth: int, reduce: Callable[..., Any]) -> Any:
    axes = tuple(range(depth, len(values.shape)))
    return reduce(values, axis=axes) if axes else values
