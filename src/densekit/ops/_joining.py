"""Arrays joined to one, and one split into several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from densekit._core.types import ArrayLike, Namespace, TensorLike
from densekit.ops._dispatch import (
    as_array,
    astype,
    dtype_name,
    meet,
    meet_arrays,
    namespace,
    result_type,
)
from densekit.ops._operation import operation
from densekit.ops._shapes import arrays


def _joinable(xs: Iterable[Any]) -> tuple[Namespace, list[TensorLike]]:
    xs = list(xs)
    dtype = result_type(*(dtype_name(x) for x in xs))
    return namespace(*xs), [astype(x, dtype) for x in xs]


@operation("numpy", convert=arrays)
def concatenate(xs: Sequence[ArrayLike] | TensorLike, axis: int | None = 0) -> TensorLike:
    """Arrays joined along an existing axis.

    Example:

    >>> from densekit import ops
    >>> ops.concatenate([[[1, 2]], [[3, 4]]], axis=1).tolist()
    [[1, 2, 3, 4]]
    """
    xp, xs = _joinable(xs)
    return xp.concatenate(xs, axis=axis)


@operation("numpy", convert=arrays)
def stack(x: Sequence[ArrayLike] | TensorLike, axis: int = 0) -> TensorLike:
    """Arrays of one shape joined along a new axis.

    Example:

    >>> from densekit import ops
    >>> ops.stack([[1, 2], [3, 4]], axis=1).tolist()
    [[1, 3], [2, 4]]
    """
    xp, x = _joinable(x)
    return xp.stack(x, axis=axis)


@operation("numpy", convert=arrays)
def vstack(xs: Sequence[ArrayLike] | TensorLike) -> TensorLike:
    """Joined along the first axis, vectors as rows.

    Example:

    >>> from densekit import ops
    >>> ops.vstack([[1, 2], [3, 4]]).tolist()
    [[1, 2], [3, 4]]
    """
    xp, xs = _joinable(xs)
    return xp.vstack(xs)


@operation("numpy", convert=arrays)
def hstack(xs: Sequence[ArrayLike] | TensorLike) -> TensorLike:
    """Joined along the second axis, vectors along their only one.

    Example:

    >>> from densekit import ops
    >>> ops.hstack([[1, 2], [3]]).tolist()
    [1, 2, 3]
    """
    xp, xs = _joinable(xs)
    return xp.hstack(xs)


@operation("numpy", tensors=2)
def append(x1: TensorLike, x2: TensorLike, axis: int | None = None) -> TensorLike:
    """`x2` after `x1` along `axis`, by default both flattened.

    Example:

    >>> from densekit import ops
    >>> ops.append([1, 2], [3]).tolist()
    [1, 2, 3]
    """
    xp, x1, x2 = meet_arrays(x1, x2)
    if axis is None:
        x1, x2, axis = xp.ravel(x1), xp.ravel(x2), 0
    return xp.concatenate([x1, x2], axis=axis)


@operation("numpy", views=True)
def split(
    x: TensorLike, indices_or_sections: int | Sequence[int], axis: int = 0
) -> list[TensorLike]:
    """A list of parts: so many equal ones, or cut before the indices given.

    Example:

    >>> from densekit import ops
    >>> [part.tolist() for part in ops.split([1, 2, 3, 4], 2)]
    [[1, 2], [3, 4]]
    """
    cuts = indices_or_sections
    return list(namespace(x).split(x, cuts if isinstance(cuts, int) else list(cuts), axis=axis))


@operation("numpy", views=True)
def array_split(
    x: TensorLike, indices_or_sections: int | Sequence[int], axis: int = 0
) -> list[TensorLike]:
    """Like `split`, but the parts may differ in size by one.

    Example:

    >>> from densekit import ops
    >>> [part.tolist() for part in ops.array_split([1, 2, 3, 4, 5], 2)]
    [[1, 2, 3], [4, 5]]
    """
    cuts = indices_or_sections
    return list(
        namespace(x).array_split(x, cuts if isinstance(cuts, int) else list(cuts), axis=axis)
    )


@operation("core", views=True)
def unstack(x: TensorLike, num: int | None = None, axis: int = 0) -> list[TensorLike]:
    """A list of the slices along `axis`, which disappears.

    Example:

    >>> from densekit import ops
    >>> [row.tolist() for row in ops.unstack([[1, 2], [3, 4]])]
    [[1, 2], [3, 4]]
    """
    moved = namespace(x).moveaxis(x, axis, 0)
    return [moved[i] for i in range(moved.shape[0] if num is None else num)]


@operation("numpy", views=True)
def vsplit(x: TensorLike, indices_or_sections: int | Sequence[int]) -> list[TensorLike]:
    """`split` along the first axis.

    Example:

    >>> from densekit import ops
    >>> [part.tolist() for part in ops.vsplit([[1, 2], [3, 4]], 2)]
    [[[1, 2]], [[3, 4]]]
    """
    return split(x, indices_or_sections, axis=0)


@operation("numpy", views=True)
def hsplit(x: TensorLike, indices_or_sections: int | Sequence[int]) -> list[TensorLike]:
    """`split` along the second axis, of a vector along its only one.

    Example:

    >>> from densekit import ops
    >>> [part.tolist() for part in ops.hsplit([[1, 2], [3, 4]], 2)]
    [[[1], [3]], [[2], [4]]]
    """
    return split(x, indices_or_sections, axis=min(1, x.ndim - 1))


@operation("numpy", views=True)
def dsplit(x: TensorLike, indices_or_sections: int | Sequence[int]) -> list[TensorLike]:
    """`split` along the third axis.

    Example:

    >>> from densekit import ops
    >>> [part.shape for part in ops.dsplit(ops.zeros((2, 3, 4)), 2)]
    [(2, 3, 2), (2, 3, 2)]
    """
    return split(x, indices_or_sections, axis=2)


def _of_three_axes(xp: Namespace, x: TensorLike) -> TensorLike:
    shape = tuple(x.shape)
    return x if len(shape) > 2 else xp.reshape(x, (*(1,) * (2 - len(shape)), *shape, 1))


def _in_one_type(xs: list[TensorLike]) -> list[TensorLike]:
    first = xs[0]
    for x in xs[1:]:
        _, first, _ = meet(first, x)
    return [astype(x, dtype_name(first)) for x in xs]


@operation("numpy", convert=arrays)
def dstack(xs: Sequence[ArrayLike]) -> TensorLike:
    """Joined along the third axis; vectors of n elements count as (1, n, 1), matrices as (m, n, 1).

    Example:

    >>> from densekit import ops
    >>> ops.dstack([[1, 2], [3, 4]]).tolist()
    [[[1, 3], [2, 4]]]
    """
    joined = _in_one_type([as_array(x) for x in xs])
    xp = namespace(*joined)
    return xp.concatenate([_of_three_axes(xp, x) for x in joined], axis=2)
