"""How whole numbers become rows: one-hot, multi-hot, counts."""

from __future__ import annotations

from densekit import ops
from densekit._core.errors import describe, message
from densekit._core.types import PartialShape, TensorLike


def checked_mode(where: str, mode: object, modes: tuple[str, ...]) -> str:
    """`mode`, or ValueError unless it is one of `modes`."""
    if mode not in modes:
        raise ValueError(
            message(where, f"`output_mode`, one of {modes}", describe(mode), "Pick one of them.")
        )
    return str(mode)


def encoded_shape(input_shape: PartialShape, output_mode: str, depth: int | None) -> PartialShape:
    """The shape of `encoded` for inputs of a shape."""
    shape: PartialShape = tuple(input_shape)
    if output_mode == "int":
        return shape
    if output_mode == "one_hot":
        return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), depth)
    return (*shape[:1], *shape[2:], depth) if len(shape) > 1 else (depth,)


def encoded(
    inputs: TensorLike, output_mode: str, depth: int, dtype: str, weights: TensorLike | None = None
) -> TensorLike:
    """Numbers in ``[0, depth)`` as `output_mode` says; others give zeros.

    "int" leaves them, "one_hot" makes a row of each, "multi_hot" one of all along axis 1, "count"
    the sum of their rows, each times its weight.
    """
    if output_mode == "int":
        return ops.cast(inputs, dtype)
    numbers = ops.cast(inputs, "int64")
    if len(numbers.shape) == 0:
        numbers = ops.expand_dims(numbers, -1)
    if output_mode == "multi_hot":
        return ops.multi_hot(numbers, depth, dtype=dtype)
    if output_mode == "one_hot":
        if len(numbers.shape) > 1 and numbers.shape[-1] == 1:
            numbers = ops.squeeze(numbers, -1)
        return ops.one_hot(numbers, depth, dtype=dtype)
    rows = ops.one_hot(numbers, depth, dtype=dtype)
    if weights is not None:
        rows = rows * ops.expand_dims(ops.cast(weights, dtype), -1)
    return ops.sum(rows, axis=1 if len(numbers.shape) > 1 else 0)
