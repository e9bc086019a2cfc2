"""Values and weights of samples. Nothing is broadcast that was not asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from densekit import ops
from densekit._core.errors import message


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
    values = ops.cast(ops.convert_to_tensor(values), dtype)
    if sample_weight is not None:
        weight = ops.cast(ops.convert_to_tensor(sample_weight), dtype)
        shape = tuple(values.shape)
        if tuple(weight.shape) == (*shape, 1):
            weight = weight[..., 0]
        depth = len(weight.shape)
        fits = depth <= len(shape) and all(
            have == want or (axis > 0 and have == 1)
            for axis, (have, want) in enumerate(zip(weight.shape, shape, strict=False))
        )
        if not fits:
            raise ValueError(
                message(
                    where,
                    f"a weight for each of the leading axes of {shape}",
                    f"`sample_weight` of shape {tuple(weight.shape)}",
                    "Pass one weight for each sample.",
                )
            )
        values = _reduced(values, depth, reduce)
        sample_weight = ops.broadcast_to(weight, values.shape)
        values = values * sample_weight
        sample_weight = _reduced(sample_weight, 1, reduce)
    return _reduced(values, 1, reduce), sample_weight


def _reduced(values: Any, depth: int, reduce: Callable[..., Any]) -> Any:
    axes = tuple(range(depth, len(values.shape)))
    return reduce(values, axis=axes) if axes else values
