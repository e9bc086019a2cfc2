"""Shapes: reshaping, joining, splitting, repeating, padding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from densekit._core.errors import describe, message
from densekit._core.types import ArrayLike, Namespace, TensorLike
from densekit.ops._dispatch import as_array, astype, dtype_name, namespace, result_type, select
from densekit.ops._operation import operation


def arrays(xs: object) -> TensorLike | list[TensorLike]:
    """Read a sequence of arrays; a single array stays one."""
    return [as_array(x) for x in xs] if isinstance(xs, list | tuple) else as_array(xs)


def _joinable(xs: Iterable[Any]) -> tuple[Namespace, list[TensorLike]]:
    xs = list(xs)
    dtype = result_type(*(dtype_name(x) for x in xs))
    return namespace(*xs), [astype(x, dtype) for x in xs]


def _newshape(settings: dict[str, Any]) -> dict[str, Any]:
    size = settings["newshape"]
    return {"newshape": (size,) if isinstance(size, int) else tuple(size)}


@operation("numpy", settle=_newshape, views=True)
def reshape(x: TensorLike, newshape: int | Sequence[int | None]) -> TensorLike:
    """The same elements in another shape; one size may be -1, None is that of the batch."""
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
    """The elements in one axis."""
    return namespace(x).ravel(x)


@operation("numpy", views=True)
def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> TensorLike:
    """Axes in the order of `axes`, by default reversed."""
    return namespace(x).transpose(x, axes)


@operation("numpy", views=True)
def swapaxes(x: TensorLike, axis1: int, axis2: int) -> TensorLike:
    """Two axes exchanged."""
    return namespace(x).swapaxes(x, axis1, axis2)


@operation("numpy", views=True)
def moveaxis(
    x: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]
) -> TensorLike:
    """Axes moved to other places, the others in their order."""
    return namespace(x).moveaxis(x, source, destination)


@operation("numpy", views=True)
def expand_dims(x: TensorLike, axis: int | Sequence[int]) -> TensorLike:
    """New axes of size 1 at the places `axis` of the result."""
    return namespace(x).expand_dims(x, tuple(axis) if isinstance(axis, list) else axis)


@operation("numpy", views=True)
def squeeze(x: TensorLike, axis: int | Sequence[int] | None = None) -> TensorLike:
    """Without the axes of size 1, or without those named."""
    return namespace(x).squeeze(x, tuple(axis) if isinstance(axis, list) else axis)


@operation("numpy", views=True)
def broadcast_to(x: TensorLike, shape: Sequence[int]) -> TensorLike:
    """Repeated along axes of size 1 up to `shape`."""
    xp = namespace(x)
    leading = (1,) * (len(shape) - x.ndim)
    return xp.broadcast_to(xp.reshape(x, leading + tuple(x.shape)), tuple(shape))


@operation("numpy", convert=arrays)
def concatenate(xs: Sequence[ArrayLike] | TensorLike, axis: int | None = 0) -> TensorLike:
    """Arrays joined along an existing axis."""
    xp, xs = _joinable(xs)
    return xp.concatenate(xs, axis=axis)


@operation("numpy", convert=arrays)
def stack(x: Sequence[ArrayLike] | TensorLike, axis: int = 0) -> TensorLike:
    """Arrays of one shape joined along a new axis."""
    xp, x = _joinable(x)
    return xp.stack(x, axis=axis)


@operation("numpy", convert=arrays)
def vstack(xs: Sequence[ArrayLike] | TensorLike) -> TensorLike:
    """Joined along the first axis, vectors as rows."""
    xp, xs = _joinable(xs)
    return xp.vstack(xs)


@operation("numpy", convert=arrays)
def hstack(xs: Sequence[ArrayLike] | TensorLike) -> TensorLike:
    """Joined along the second axis, vectors along their only one."""
    xp, xs = _joinable(xs)
    return xp.hstack(xs)


@operation("numpy", tensors=2, convert=as_array)
def append(x1: TensorLike, x2: TensorLike, axis: int | None = None) -> TensorLike:
    """`x2` after `x1` along `axis`, by default both flattened."""
    xp, (x1, x2) = _joinable([x1, x2])
    if axis is None:
        x1, x2, axis = xp.ravel(x1), xp.ravel(x2), 0
    return xp.concatenate([x1, x2], axis=axis)


@operation("numpy", views=True)
def split(
    x: TensorLike, indices_or_sections: int | Sequence[int], axis: int = 0
) -> list[TensorLike]:
    """A list of parts: so many equal ones, or cut before the indices given."""
    cuts = indices_or_sections
    return list(namespace(x).split(x, cuts if isinstance(cuts, int) else list(cuts), axis=axis))


@operation("numpy", views=True)
def array_split(
    x: TensorLike, indices_or_sections: int | Sequence[int], axis: int = 0
) -> list[TensorLike]:
    """Like `split`, but the parts may differ in size by one."""
    cuts = indices_or_sections
    return list(
        namespace(x).array_split(x, cuts if isinstance(cuts, int) else list(cuts), axis=axis)
    )


@operation("core", views=True)
def unstack(x: TensorLike, num: int | None = None, axis: int = 0) -> list[TensorLike]:
    """A list of the slices along `axis`, which disappears."""
    moved = namespace(x).moveaxis(x, axis, 0)
    return [moved[i] for i in range(moved.shape[0] if num is None else num)]


@operation("numpy")
def tile(x: TensorLike, repeats: int | Sequence[int]) -> TensorLike:
    """The whole array repeated along each axis."""
    times = (repeats,) if isinstance(repeats, int) else tuple(repeats)
    ndim = max(x.ndim, len(times))
    xp = namespace(x)
    x = xp.reshape(x, (1,) * (ndim - x.ndim) + tuple(x.shape))
    return xp.tile(x, (1,) * (ndim - len(times)) + times)


@operation("numpy")
def repeat(
    x: TensorLike, repeats: int | Sequence[int] | TensorLike, axis: int | None = None
) -> TensorLike:
    """Each element repeated along `axis`."""
    return namespace(x).repeat(x, np.asarray(repeats) if np.ndim(repeats) else repeats, axis=axis)


@operation("numpy")
def roll(
    x: TensorLike, shift: int | Sequence[int], axis: int | Sequence[int] | None = None
) -> TensorLike:
    """Elements moved on by `shift` places, the last ones coming in at the front."""
    return namespace(x).roll(x, shift, axis=axis)


@operation("numpy", views=True)
def flip(x: TensorLike, axis: int | Sequence[int] | None = None) -> TensorLike:
    """Elements in reverse order along `axis`, by default all axes."""
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
    """Room around the array: ``((before, after), ...)``, or one pair or number for all axes."""
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
    """The diagonal of a matrix, or a matrix with the vector `x` as diagonal."""
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
    """The diagonal over two axes; it becomes the last axis."""
    x = namespace(x).moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = x.shape[-2:]
    size = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    step = np.arange(size)
    return x[..., step - min(offset, 0), step + max(offset, 0)]


@operation("numpy")
def tril(x: TensorLike, k: int = 0) -> TensorLike:
    """Zero above the k-th diagonal."""
    return namespace(x).tril(x, k)


@operation("numpy")
def triu(x: TensorLike, k: int = 0) -> TensorLike:
    """Zero below the k-th diagonal."""
    return namespace(x).triu(x, k)


def _mesh_input(value: object) -> object:
    return value if isinstance(value, str) else as_array(value)


@operation("numpy", tensors=99, arguments=("x",), convert=_mesh_input, views=True)
def meshgrid(*x: TensorLike, indexing: str = "xy") -> list[TensorLike]:
    """Coordinate arrays of the grid that vectors span; ``"ij"`` keeps the order of the axes."""
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
