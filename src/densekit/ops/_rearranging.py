"""Reversing and regrouping axes; distinct elements; windows over a sequence."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from densekit._core.dtypes import to_numpy_dtype
from densekit._core.errors import message
from densekit._core.scope import note_sized_by_values
from densekit._core.types import Array, ArrayLike, DTypeLike, TensorLike
from densekit.ops._dispatch import (
    as_array,
    astype,
    dtype_name,
    is_jax,
    meet,
    namespace,
    operand,
)
from densekit.ops._dispatch import select as choose
from densekit.ops._operation import operation
from densekit.ops._shapes import diag, flip, swapaxes


@operation("numpy", views=True)
def fliplr(x: TensorLike) -> TensorLike:
    """Columns (the second axis) in reverse order.

    Example:

    >>> from densekit import ops
    >>> ops.fliplr([[1, 2], [3, 4]]).tolist()
    [[2, 1], [4, 3]]
    """
    return flip(x, 1)


@operation("numpy", views=True)
def flipud(x: TensorLike) -> TensorLike:
    """Rows (the first axis) in reverse order.

    Example:

    >>> from densekit import ops
    >>> ops.flipud([[1, 2], [3, 4]]).tolist()
    [[3, 4], [1, 2]]
    """
    return flip(x, 0)


@operation("numpy", views=True)
def rot90(array: TensorLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> TensorLike:
    """Turned `k` times by 90 degrees, from the first of `axes` towards the second.

    Raises:
        ValueError: if `array` has fewer than two axes, or `axes` are not two different ones.

    Example:

    >>> from densekit import ops
    >>> ops.rot90([[1, 2], [3, 4]]).tolist()
    [[2, 4], [1, 3]]
    """
    if array.ndim < 2 or len(axes) != 2 or (axes[0] - axes[1]) % array.ndim == 0:
        raise ValueError(
            message(
                "ops.rot90",
                "two different axes of an array of two or more",
                f"axes {tuple(axes)} of shape {tuple(array.shape)}",
                "Pass `axes=(0, 1)`.",
            )
        )
    first, second = axes
    if k % 4 == 0:
        return array
    if k % 4 == 2:
        return flip(flip(array, first), second)
    if k % 4 == 1:
        return swapaxes(flip(array, second), first, second)
    return flip(swapaxes(array, first, second), second)


@operation("numpy")
def diagflat(x: TensorLike, k: int = 0) -> TensorLike:
    """The matrix with the elements of `x`, in one row, as its k-th diagonal.

    Example:

    >>> from densekit import ops
    >>> ops.diagflat([[1, 2]]).tolist()
    [[1, 0], [0, 2]]
    """
    return diag(namespace(x).ravel(x), k)


@operation("numpy", views=True)
def view(x: TensorLike, dtype: DTypeLike = None) -> TensorLike:
    """The same bytes read as another type; the last axis grows or shrinks with the item size.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> ops.view(np.array([1.0], "float32"), "int32").tolist()
    [1065353216]
    """
    return x if dtype is None else x.view(to_numpy_dtype(dtype))


@operation("numpy")
def argpartition(x: TensorLike, kth: int, axis: int | None = -1) -> TensorLike:
    """Indices that put the `kth` smallest in its place, the smaller ones before it.

    Example:

    >>> from densekit import ops
    >>> ops.argpartition([30, 10, 20], 0).tolist()[0]
    1
    """
    if not isinstance(kth, int | np.integer):
        raise ValueError(message("ops.argpartition", "one integer `kth`", repr(kth), "Pass one."))
    xp = namespace(x)
    if axis is None:
        x, axis = xp.ravel(x), 0
    if is_jax(xp):
        return xp.argpartition(x, kth, axis=axis)
    places: Any = xp.argsort(x, axis=axis, kind="stable")
    order: Array = np.moveaxis(places, axis, -1)
    cut = kth % order.shape[-1] + 1
    order = np.concatenate([order[..., :cut], np.sort(order[..., cut:], axis=-1)], axis=-1)
    return np.moveaxis(order, -1, axis).astype("int32")


@operation("numpy")
def unravel_index(indices: TensorLike, shape: Sequence[int]) -> tuple[TensorLike, ...]:
    """The position in an array of `shape` of each index into the flat array: one array an axis.

    Example:

    >>> from densekit import ops
    >>> [i.tolist() for i in ops.unravel_index([5, -1], (2, 3))]
    [[1, 1], [2, 2]]
    """
    xp, size = namespace(indices), math.prod(shape)
    if is_jax(xp):
        return tuple(xp.unravel_index(indices, shape))
    flat = np.clip(np.where(indices < 0, indices + size, indices), 0, size - 1)
    return tuple(astype(as_array(i), dtype_name(indices)) for i in np.unravel_index(flat, shape))


def _operands(values: object) -> object:
    return [operand(v) for v in values] if isinstance(values, list | tuple) else operand(values)


@operation("numpy", tensors=3, convert=_operands)
def select(
    condlist: Sequence[TensorLike], choicelist: Sequence[ArrayLike], default: Any = 0
) -> TensorLike:
    """Of each place, the choice whose condition is the first that is true; else `default`.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> x = np.array([1, 2, 3])
    >>> ops.select([x < 2, x > 2], [x, x * 10], 0).tolist()
    [1, 0, 30]
    """
    found: TensorLike = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        _, choice, found = meet(as_array(choice), found)
        found = choose(namespace(condition, choice, found), condition, choice, found)
    return found


@operation("numpy")
def unique(
    x: TensorLike,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: ArrayLike | None = None,
) -> TensorLike | tuple[TensorLike, ...]:
    """The distinct elements in ascending order, or the distinct slices along `axis`.

    Args:
        x: array; without `axis` it is read flat.
        sorted: kept for Keras' signature; the result is sorted.
        return_index: also where each occurs first.
        return_inverse: also which of them each element is.
        return_counts: also how often each occurs.
        axis: Default: None.
        size: how many to return: more are cut off, fewer filled up. Default: all there are.
        fill_value: what to fill up with. Default: the smallest.

    Example:

    >>> from densekit import ops
    >>> values, counts = ops.unique([3, 1, 3], return_counts=True)
    >>> values.tolist(), counts.tolist()
    ([1, 3], [1, 2])
    """
    xp = namespace(x)
    if size is None:
        note_sized_by_values()
    options: dict[str, Any] = {
        "return_index": return_index,
        "return_inverse": return_inverse,
        "return_counts": return_counts,
    }
    if is_jax(xp):
        return xp.unique(x, **options, axis=axis, size=size, fill_value=fill_value, equal_nan=False)
    found: Any = np.unique(np.asarray(x), **options, axis=axis, equal_nan=False)
    if not isinstance(found, tuple):
        return _sized(found, axis or 0, size, fill_value)
    parts = [_sized(found[0], axis or 0, size, fill_value)]
    rest = iter(found[1:])
    if return_index:
        parts.append(_sized(next(rest).astype("int32"), 0, size, None))
    if return_inverse:
        parts.append(next(rest).astype("int32"))
    if return_counts:
        parts.append(_sized(next(rest).astype("int32"), 0, size, 0))
    return tuple(parts)


def _sized(values: TensorLike, axis: int, size: int | None, fill: ArrayLike | None) -> TensorLike:
    if size is None:
        return values
    kept = np.take(values, np.arange(min(size, values.shape[axis])), axis=axis)
    filling = np.take(values, [0], axis=axis) if fill is None else np.asarray(fill, values.dtype)
    shape = list(kept.shape)
    shape[axis] = size - kept.shape[axis]
    return np.concatenate([kept, np.broadcast_to(filling, shape)], axis=axis)


@operation("math")
def extract_sequences(x: TensorLike, sequence_length: int, sequence_stride: int) -> TensorLike:
    """Windows along the last axis: ``y[..., i, j] == x[..., i * sequence_stride + j]``.

    Shapes: (..., n) to (..., 1 + (n - sequence_length) // sequence_stride, sequence_length).

    Example:

    >>> from densekit import ops
    >>> ops.extract_sequences([1, 2, 3, 4, 5], 3, 2).tolist()
    [[1, 2, 3], [3, 4, 5]]
    """
    if not x.ndim:
        raise ValueError(
            message("ops.extract_sequences", "at least one axis", "a scalar", "Pass a vector.")
        )
    count = max(0, 1 + (x.shape[-1] - sequence_length) // sequence_stride)
    return x[..., np.arange(count)[:, None] * sequence_stride + np.arange(sequence_length)]


def _check_blocks(where: str, x: TensorLike, block_size: int) -> None:
    if x.ndim != 4 or block_size < 2:
        raise ValueError(
            message(
                where,
                "images of 4 axes and `block_size` of at least 2",
                f"shape {tuple(x.shape)}, block_size={block_size}",
                "Pass e.g. block_size=2.",
            )
        )


@operation("nn")
def space_to_depth(
    x: TensorLike, block_size: int, data_format: str = "channels_last"
) -> TensorLike:
    """Blocks of `block_size` by `block_size` places become channels.

    Shapes: (n, h, w, c) to (n, h / b, w / b, c b b); (n, c, h, w) for ``"channels_first"``.

    Example:

    >>> from densekit import ops
    >>> ops.space_to_depth(ops.zeros((1, 4, 6, 1)), 2).shape
    (1, 2, 3, 4)
    """
    _check_blocks("ops.space_to_depth", x, block_size)
    xp, b = namespace(x), block_size
    if data_format == "channels_last":
        n, h, w, c = x.shape
        x = xp.reshape(x, (n, h // b, b, w // b, b, c))
        return xp.reshape(xp.transpose(x, (0, 1, 3, 2, 4, 5)), (n, h // b, w // b, c * b * b))
    n, c, h, w = x.shape
    x = xp.reshape(x, (n, c, h // b, b, w // b, b))
    return xp.reshape(xp.transpose(x, (0, 1, 3, 5, 2, 4)), (n, c * b * b, h // b, w // b))


@operation("nn")
def depth_to_space(
    x: TensorLike, block_size: int, data_format: str = "channels_last"
) -> TensorLike:
    """Channels become blocks of `block_size` by `block_size` places: `space_to_depth` undone.

    Example:

    >>> from densekit import ops
    >>> ops.depth_to_space(ops.zeros((1, 2, 3, 4)), 2).shape
    (1, 4, 6, 1)
    """
    _check_blocks("ops.depth_to_space", x, block_size)
    xp, b = namespace(x), block_size
    if data_format == "channels_last":
        n, h, w, c = x.shape
        x = xp.reshape(x, (n, h, w, b, b, c // b**2))
        return xp.reshape(xp.transpose(x, (0, 1, 3, 2, 4, 5)), (n, h * b, w * b, c // b**2))
    n, c, h, w = x.shape
    x = xp.reshape(x, (n, c // b**2, b, b, h, w))
    return xp.reshape(xp.transpose(x, (0, 1, 4, 2, 5, 3)), (n, c // b**2, h * b, w * b))


@operation("einops", arguments=("tensor", "pattern"), views=True)  # type: ignore[arg-type]
def rearrange(tensor: TensorLike, pattern: str, **axes_lengths: int) -> TensorLike:
    """Axes split, reordered and joined as a pattern says: ``"b (h p) c -> (b h) p c"``.

    Args:
        tensor: array.
        pattern: names of the axes before and after; those in parentheses are one axis together.
        **axes_lengths: sizes of named axes. Of each split axis one may be left out.

    Raises:
        ValueError: if the two sides name different axes, or sizes do not fit.

    Example:

    >>> from densekit import ops
    >>> ops.rearrange([[1, 2, 3, 4]], "b (h w) -> w (b h)", h=2).tolist()
    [[1, 3], [2, 4]]
    """
    before, arrow, after = pattern.partition("->")
    groups, result = _groups(before), _groups(after)
    names, ordered = [n for g in groups for n in g], [n for g in result for n in g]
    if not arrow or sorted(names) != sorted(ordered) or len({*names}) != len(names):
        raise _pattern_error("the same axes, each once, on both sides of '->'", repr(pattern))
    if len(groups) != tensor.ndim:
        raise _pattern_error(f"{len(groups)} axes for {pattern!r}", f"shape {tuple(tensor.shape)}")
    sizes = dict(axes_lengths)
    for group, size in zip(groups, tensor.shape, strict=True):
        unknown = [n for n in group if n not in sizes]
        known = math.prod(sizes[n] for n in group if n in sizes)
        if len(unknown) == 1 and known and size % known == 0:
            sizes[unknown[0]] = size // known
        elif unknown or known != size:
            raise _pattern_error(f"sizes of {group} that multiply to {size}", f"{axes_lengths}")
    xp = namespace(tensor)
    split_up = xp.reshape(tensor, tuple(sizes[n] for n in names))
    moved = xp.transpose(split_up, [names.index(n) for n in ordered])
    return xp.reshape(moved, tuple(math.prod(sizes[n] for n in g) for g in result))


def _groups(text: str) -> list[list[str]]:
    return [re.findall(r"\w+", group) for group in re.findall(r"\([^)]*\)|\w+", text)]


def _pattern_error(expected: str, got: str) -> ValueError:
    return ValueError(message("ops.rearrange", expected, got, "Mend the pattern or the sizes."))
