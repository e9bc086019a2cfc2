"""Functions of `tf` on the elements of arrays that are more than one of `ops`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from densekit import ops
from densekit._core.types import ArrayLike, DTypeLike, TensorLike
from densekit.compat.tensorflow._names import absent


def gather(
    params: TensorLike,
    indices: ArrayLike,
    validate_indices: object = None,
    axis: int | None = None,
    batch_dims: int = 0,
    name: str | None = None,
) -> TensorLike:
    """`ops.take` along `axis`, the first by default; with `batch_dims`, row by row."""
    if not batch_dims:
        return ops.take(params, indices, 0 if axis is None else axis)
    if batch_dims != 1 or len(ops.shape(indices)) not in (1, 2):
        raise NotImplementedError(absent("tf.gather of more than one batch axis"))
    rows = ops.expand_dims(
        ops.arange(ops.shape(params)[0]), [int(i) for i in range(1, len(ops.shape(indices)))]
    )
    rows_of: TensorLike = params[rows, indices]
    return rows_of


def one_hot(
    indices: ArrayLike,
    depth: int,
    on_value: float = 1,
    off_value: float = 0,
    axis: int = -1,
    dtype: DTypeLike = "float32",
    name: str | None = None,
) -> TensorLike:
    """`ops.one_hot`, with other values than one and zero if asked."""
    hot = ops.one_hot(indices, depth, axis=axis, dtype=dtype)
    return hot if (on_value, off_value) == (1, 0) else hot * (on_value - off_value) + off_value


def split(
    value: ArrayLike,
    num_or_size_splits: int | Sequence[int],
    axis: int = 0,
    num: int | None = None,
    name: str | None = None,
) -> list[TensorLike]:
    """`ops.split`: into equal parts, or parts of the sizes given."""
    sizes = num_or_size_splits
    return ops.split(value, sizes if np.ndim(sizes) == 0 else np.cumsum(sizes)[:-1].tolist(), axis)


def gather_nd(
    params: TensorLike, indices: ArrayLike, batch_dims: int = 0, name: str | None = None
) -> TensorLike:
    """The elements, or rows, at the places that the last axis of `indices` names."""
    if batch_dims:
        raise NotImplementedError(absent("tf.gather_nd with batch_dims"))
    places = np.asarray(ops.convert_to_numpy(indices))
    found: TensorLike = params[tuple(np.moveaxis(places, -1, 0))]
    return found


def boolean_mask(
    tensor: TensorLike, mask: ArrayLike, axis: int | None = None, name: str | None = None
) -> TensorLike:
    """The elements where `mask` is true."""
    kept: TensorLike = tensor[(slice(None),) * (axis or 0) + (np.asarray(mask),)]
    return kept


def clip_by_norm(
    t: ArrayLike, clip_norm: float, axes: Sequence[int] | None = None, name: str | None = None
) -> TensorLike:
    """`t`, scaled down to the length `clip_norm` if it is longer."""
    length = ops.sqrt(ops.sum(ops.square(t), axes, True))
    return ops.divide(ops.multiply(t, clip_norm), ops.maximum(length, clip_norm))


def global_norm(t_list: Sequence[ArrayLike | None], name: str | None = None) -> TensorLike:
    """The length of several arrays taken together."""
    squares = [ops.sum(ops.square(t)) for t in t_list if t is not None]
    total: TensorLike = ops.sqrt(ops.sum(ops.stack(squares)))
    return total


def clip_by_global_norm(
    t_list: Sequence[ArrayLike | None],
    clip_norm: float,
    use_norm: ArrayLike | None = None,
    name: str | None = None,
) -> tuple[list[TensorLike | None], ArrayLike]:
    """Arrays scaled down together to the length `clip_norm`, and their length before."""
    length = global_norm(t_list) if use_norm is None else use_norm
    factor = ops.divide(clip_norm, ops.maximum(length, clip_norm))
    return [None if t is None else ops.multiply(t, factor) for t in t_list], length


def rank(input: TensorLike, name: str | None = None) -> TensorLike:
    """The number of axes."""
    return ops.convert_to_tensor(len(input.shape), "int32")


def sort(
    values: ArrayLike, axis: int = -1, direction: str = "ASCENDING", name: str | None = None
) -> TensorLike:
    """Elements by size, or from the largest down."""
    rising = ops.sort(values, axis)
    return rising if direction == "ASCENDING" else ops.flip(rising, axis)


def argsort(
    values: ArrayLike,
    axis: int = -1,
    direction: str = "ASCENDING",
    stable: object = False,
    name: str | None = None,
) -> TensorLike:
    """The places of the elements by size, or from the largest down."""
    given = values if direction == "ASCENDING" else ops.negative(values)
    return ops.argsort(given, axis)


def pad(
    tensor: ArrayLike,
    paddings: Sequence[Sequence[int]],
    mode: str = "CONSTANT",
    constant_values: float = 0,
    name: str | None = None,
) -> TensorLike:
    """`ops.pad`."""
    widths = tuple((int(before), int(after)) for before, after in paddings)
    kind = mode.lower()
    return ops.pad(tensor, widths, kind, constant_values if kind == "constant" else None)
