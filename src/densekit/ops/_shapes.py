"""Shapes: reshaping, reordering axes, repeating, padding, diagonals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from densekit._core.errors import describe, message
from densekit._core.types import ArrayLike, TensorLike
from densekit.ops._dispatch import as_array, namespace, select
from densekit.ops._operation import operation


def arrays(xs: object) -> TensorLike | list[TensorLike]:
    """Read a sequence of arrays; a single array stays one."""
    return [as_array(x) for x in xs] if isinstance(xs, list | tuple) else as_array(xs)


def _newshape(settings: dict[str, Any]) -> dict[str, Any]:
    size = settings["newshape"]
    return {"newshape": (size,) if isinstance(size, int) else tuple(size)}


@operation("numpy", settle=_newshape, views=True)
def reshape(x: TensorLike, newshape: int | Sequence[int | None]) -> TensorLike:
    """The same elements in another shape; one size may be -1, None is that of the batch.

    Example:

    >>> from densekit import ops
    >>> ops.reshape([1, 2, 3, 4], (2, -1)).tolist()
    [[1, 2], [3, 4]]
    """
    given = (newshape,) if isinstance(newshape, int) else tuple(newshape)
    # None is what `ops.shape` of a symbolic tensor says of its first axis.
    sizes = tuple(x.shape[0] if n is None else n for n in given)
    least = min(sizes, default=0)
    if least < 0 and (least < -1 or sizes.count(-1) > 1):  # NumPy takes -2
        raise ValueError(
            message(
                "ops.reshape",
                "`newshape` of sizes >= 0 with at most one -1",
                f"newshape={sizes}",
                "Write -1 once.",
            )
        )
    return namespace(x).reshape(x, sizes)


@operation("numpy", views=True)
def ravel(x: TensorLike) -> TensorLike:
    """The elements in one axis.

    Example:

    >>> from densekit import ops
    >>> ops.ravel([[1, 2], [3, 4]]).tolist()
    [1, 2, 3, 4]
    """
    return namespace(x).ravel(x)


@operation("numpy", views=True)
def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> TensorLike:
    """Axes in the order of `axes`, by default reversed.

    Example:

    >>> from densekit import ops
    >>> ops.transpose([[1, 2], [3, 4]]).tolist()
    [[1, 3], [2, 4]]
    """
    return namespace(x).transpose(x, axes)


@operation("numpy", views=True)
def swapaxes(x: TensorLike, axis1: int, axis2: int) -> TensorLike:
    """Two axes exchanged.

    Example:

    >>> from densekit import ops
    >>> ops.swapaxes(ops.zeros((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    return namespace(x).swapaxes(x, axis1, axis2)


@operation("numpy", views=True)
def moveaxis(
    x: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]
) -> TensorLike:
    """Axes moved to other places, the others in their order.

    Example:

    >>> from densekit import ops
    >>> ops.moveaxis(ops.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    return namespace(x).moveaxis(x, source, destination)


@operation("numpy", views=True)
def expand_dims(x: TensorLike, axis: int | Sequence[int]) -> TensorLike:
    """New axes of size 1 at the places `axis` of the result.

    Example:

    >>> from densekit import ops
    >>> ops.expand_dims([1, 2], axis=1).tolist()
    [[1], [2]]
    """
    return namespace(x).expand_dims(x, tuple(axis) if isinstance(axis, list) else axis)


@operation("numpy", views=True)
def squeeze(x: TensorLike, axis: int | Sequence[int] | None = None) -> TensorLike:
    """Without the axes of size 1, or without those named.

    Example:

    >>> from densekit import ops
    >>> ops.squeeze([[1, 2]], axis=0).tolist()
    [1, 2]
    """
    return namespace(x).squeeze(x, tuple(axis) if isinstance(axis, list) else axis)


@operation("numpy", views=True)
def broadcast_to(x: TensorLike, shape: Sequence[int]) -> TensorLike:
    """Repeated along axes of size 1 up to `shape`.

    Example:

    >>> from densekit import ops
    >>> ops.broadcast_to([1, 2], (2, 2)).tolist()
    [[1, 2], [1, 2]]
    """
    xp = namespace(x)
    leading = (1,) * (len(shape) - x.ndim)
    return xp.broadcast_to(xp.reshape(x, leading + tuple(x.shape)), tuple(shape))


@operation("numpy")
def tile(x: TensorLike, repeats: int | Sequence[int]) -> TensorLike:
    """The whole array repeated along each axis.

    Example:

    >>> from densekit import ops
    >>> ops.tile([1, 2], 2).tolist()
    [1, 2, 1, 2]
    """
    times = (repeats,) if isinstance(repeats, int) else tuple(repeats)
    ndim = max(x.ndim, len(times))
    xp = namespace(x)
    x = xp.reshape(x, (1,) * (ndim - x.ndim) + tuple(x.shape))
    return xp.tile(x, (1,) * (ndim - len(times)) + times)


@operation("numpy")
def repeat(
    x: TensorLike, repeats: int | Sequence[int] | TensorLike, axis: int | None = None
) -> TensorLike:
    """Each element repeated along `axis`.

    Example:

    >>> from densekit import ops
    >>> ops.repeat([1, 2], 2).tolist()
    [1, 1, 2, 2]
    """
    return namespace(x).repeat(x, np.asarray(repeats) if np.ndim(repeats) else repeats, axis=axis)


@operation("numpy")
def roll(
    x: TensorLike, shift: int | Sequence[int], axis: int | Sequence[int] | None = None
) -> TensorLike:
    """Elements moved on by `shift` places, the last ones coming in at the front.

    Example:

    >>> from densekit import ops
    >>> ops.roll([1, 2, 3], 1).tolist()
    [3, 1, 2]
    """
    return namespace(x).roll(x, shift, axis=axis)


@operation("numpy", views=True)
def flip(x: TensorLike, axis: int | Sequence[int] | None = None) -> TensorLike:
    """Elements in reverse order along `axis`, by default all axes.

    Example:

    >>> from densekit import ops
    >>> ops.flip([[1, 2], [3, 4]], axis=1).tolist()
    [[2, 1], [4, 3]]
    """
    cut = [slice(None)] * x.ndim
    for a in range(x.ndim) if axis is None else normalize_axis_tuple(axis, x.ndim):
        cut[a] = slice(None, None, -1)
    return x[tuple(cut)]


@operation("numpy", arguments=("x", "constant_values"))
def pad(
    x: TensorLike,
    pad_width: ArrayLike,
    mode: str = "constant",
    constant_values: ArrayLike | None = None,
) -> TensorLike:
    """Room around the array: ``((before, after), ...)``, or one pair or number for all axes.

    Example:

    >>> from densekit import ops
    >>> ops.pad([1, 2], (1, 2)).tolist()
    [0, 1, 2, 0, 0]
    """
    xp = namespace(x)
    if mode != "constant" and constant_values is not None:
        raise ValueError(
            message(
                "ops.pad",
                "`constant_values` with mode='constant' alone",
                f"mode={mode!r}",
                "Leave one of them out.",
            )
        )
    width = [tuple(w) for w in np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)).tolist()]
    if mode == "constant":
        return xp.pad(x, width, mode, constant_values=constant_values or 0)
    for axis, (n, room) in enumerate(zip(x.shape, width, strict=True)):
        places = np.pad(np.arange(n), room, mode)  # type: ignore[call-overload]
        x = x[(slice(None),) * axis + (places,)]
    return x


@operation("numpy")
def diag(x: TensorLike, k: int = 0) -> TensorLike:
    """The diagonal of a matrix, or a matrix with the vector `x` as diagonal.

    Example:

    >>> from densekit import ops
    >>> ops.diag([1, 2]).tolist()
    [[1, 0], [0, 2]]
    """
    if x.ndim not in (1, 2):
        raise ValueError(
            message("ops.diag", "a vector or matrix", describe(x), "Use `diagonal` for more.")
        )
    if x.ndim == 2:
        return diagonal(x, k)
    xp, size = namespace(x), x.shape[0] + abs(k)
    padded = xp.pad(x, [(0, abs(k))], "constant")
    column = padded[:, None] if k >= 0 else padded[None, :]
    return select(xp, np.eye(size, k=k, dtype=bool), column, np.zeros((), x.dtype))


@operation("numpy")
def diagonal(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> TensorLike:
    """The diagonal over two axes; it becomes the last axis.

    Example:

    >>> from densekit import ops
    >>> ops.diagonal([[1, 2], [3, 4]]).tolist()
    [1, 4]
    """
    x = namespace(x).moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = x.shape[-2:]
    size = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    step = np.arange(size)
    return x[..., step - min(offset, 0), step + max(offset, 0)]


@operation("numpy")
def tril(x: TensorLike, k: int = 0) -> TensorLike:
    """Zero above the k-th diagonal.

    Example:

    >>> from densekit import ops
    >>> ops.tril([[1, 2], [3, 4]]).tolist()
    [[1, 0], [3, 4]]
    """
    return namespace(x).tril(x, k)


@operation("numpy")
def triu(x: TensorLike, k: int = 0) -> TensorLike:
    """Zero below the k-th diagonal.

    Example:

    >>> from densekit import ops
    >>> ops.triu([[1, 2], [3, 4]]).tolist()
    [[1, 2], [0, 4]]
    """
    return namespace(x).triu(x, k)


def _mesh_input(value: object) -> object:
    return value if isinstance(value, str) else as_array(value)


@operation("numpy", tensors=99, arguments=("x",), convert=_mesh_input, views=True)
def meshgrid(*x: TensorLike, indexing: str = "xy") -> list[TensorLike]:
    """Coordinate arrays of the grid that vectors span; ``"ij"`` keeps the order of the axes.

    Example:

    >>> from densekit import ops
    >>> [x.tolist() for x in ops.meshgrid([1, 2], [3, 4])]
    [[[1, 2], [1, 2]], [[3, 3], [4, 4]]]
    """
    if indexing not in ("xy", "ij"):
        expected = "`indexing` of 'xy' or 'ij'"
        raise ValueError(message("ops.meshgrid", expected, repr(indexing), "Pass one of them."))
    xp = namespace(*x)
    vectors = [xp.ravel(v) for v in x]
    order = list(range(len(x)))
    if indexing == "xy" and len(x) > 1:
        order[:2] = [1, 0]
    sizes = [0] * len(x)
    for place, v in zip(order, vectors, strict=True):
        sizes[place] = v.shape[0]
    grids = []
    for place, v in zip(order, vectors, strict=True):
        shape = [1] * len(x)
        shape[place] = -1
        grids.append(xp.broadcast_to(xp.reshape(v, tuple(shape)), tuple(sizes)))
    return grids
