"""Picking and placing elements: indexing, gathering, scattering, sorting."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from densekit._core.boxes import BOXES, unboxed
from densekit._core.errors import message
from densekit._core.scope import note_sized_by_values
from densekit._core.types import Array, ArrayLike, Operand, Pullback, TensorLike
from densekit.ops._dispatch import as_array, astype, dtype_name, is_jax, namespace
from densekit.ops._operation import operation


@operation("numpy", arguments=("x", "key"), views=True)
def get_item(x: TensorLike, key: Operand) -> TensorLike:
    """``x[key]``.

    Example:

    >>> from densekit import ops
    >>> ops.get_item(ops.array([[1, 2], [3, 4]]), (0, 1)).tolist()
    2
    """
    return x[key]


@operation("numpy", tensors=2, views=True)
def take(x: ArrayLike, indices: ArrayLike, axis: int | None = None) -> TensorLike:
    """Elements at `indices` along `axis`, by default of the flat array; -1 is the last.

    Example:

    >>> from densekit import ops
    >>> ops.take([10, 20, 30], [2, 0]).tolist()
    [30, 10]
    """
    x, indices = as_array(x), as_array(indices)
    xp = namespace(x, indices)
    if is_jax(xp):
        return xp.take(x, indices, axis=axis)
    if axis is None:
        return xp.ravel(x)[indices]
    return x[(np.s_[:],) * normalize_axis_index(axis, x.ndim) + (indices,)]


@operation("numpy", tensors=2)
def take_along_axis(x: ArrayLike, indices: ArrayLike, axis: int | None = None) -> TensorLike:
    """One element per index, matched with the other axes: ``x[i, indices[i, j]]``.

    Example:

    >>> from densekit import ops
    >>> ops.take_along_axis([[10, 20], [30, 40]], [[1], [0]], axis=1).tolist()
    [[20], [30]]
    """
    x, indices = as_array(x), as_array(indices)
    xp = namespace(x, indices)
    if is_jax(xp):
        return xp.take_along_axis(x, indices, axis=axis)
    if axis is None:
        return xp.ravel(x)[np.ravel(indices)]
    axis = normalize_axis_index(axis, x.ndim)
    shape = np.broadcast_shapes(
        tuple(1 if a == axis else n for a, n in enumerate(x.shape)),
        tuple(1 if a == axis else n for a, n in enumerate(indices.shape)),
    )
    grid: list[TensorLike] = list(np.ogrid[tuple(np.s_[:n] for n in shape)])
    grid[axis] = indices
    if any(n != m and a != axis for a, (n, m) in enumerate(zip(x.shape, shape, strict=True))):
        x = xp.broadcast_to(x, tuple(x.shape[a] if a == axis else n for a, n in enumerate(shape)))
    return x[tuple(grid)]


def _order(x: TensorLike, axis: int | None) -> TensorLike:
    """Indices that sort, equals in their order."""
    xp = namespace(x)
    return xp.argsort(x, axis=axis) if is_jax(xp) else xp.argsort(x, axis=axis, kind="stable")


def ascending(x: TensorLike, axis: int = -1) -> TensorLike:
    """Sorted along `axis`, differentiable in every library."""
    xp = namespace(x)
    if xp is np or is_jax(xp):
        return xp.sort(x, axis=axis)
    return take_along_axis(x, _order(x, axis), axis)


@operation("numpy")
def sort(x: TensorLike, axis: int = -1) -> TensorLike:
    """Elements in ascending order along `axis`.

    Example:

    >>> from densekit import ops
    >>> ops.sort([3, 1, 2]).tolist()
    [1, 2, 3]
    """
    return ascending(x, axis)


@operation("numpy")
def argsort(x: TensorLike, axis: int = -1) -> TensorLike:
    """Indices that sort along `axis`, equals in their order.

    Example:

    >>> from densekit import ops
    >>> ops.argsort([3, 1, 2]).tolist()
    [1, 2, 0]
    """
    return astype(_order(x, axis), "int32")


@operation("math")
def top_k(x: TensorLike, k: int, sorted: bool = True) -> tuple[TensorLike, TensorLike]:
    """The `k` largest along the last axis, descending: ``(values, indices)``.

    Example:

    >>> from densekit import ops
    >>> values, indices = ops.top_k([10, 30, 20], 2)
    >>> values.tolist(), indices.tolist()
    ([30, 20], [1, 2])
    """
    if k > x.shape[-1]:
        raise ValueError(
            message(
                "ops.top_k",
                f"`k` of at most {x.shape[-1]}, the size of the last axis",
                str(k),
                "Pass a smaller `k`.",
            )
        )
    if dtype_name(x)[0] in "fb":
        xp = namespace(x)
        key = xp.where(xp.isnan(x), -np.inf, -x)  # NaN comes first, as on JAX
    else:
        key = ~x  # descending without overflow
    order = _order(key, -1)
    indices = astype(order[..., :k], "int32")
    return take_along_axis(x, indices, axis=-1), indices


@operation("math", "InTopK", tensors=2, convert=as_array)
def in_top_k(targets: TensorLike, predictions: TensorLike, k: int) -> TensorLike:
    """Whether fewer than `k` predictions of a row exceed that of its target.

    Example:

    >>> from densekit import ops
    >>> ops.in_top_k([0, 1], [[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]], k=2).tolist()
    [False, True]
    """
    xp = namespace(targets, predictions)
    own = take_along_axis(predictions, xp.expand_dims(targets, -1), axis=-1)
    return xp.logical_and(xp.sum(predictions > own, axis=-1) < k, xp.isfinite(own[..., 0]))


@operation("core", tensors=1, arguments=("inputs", "start_indices"), views=True)
def slice(inputs: TensorLike, start_indices: Sequence[int], shape: Sequence[int]) -> TensorLike:
    """The block of size `shape` that begins at `start_indices`; -1 is all from there on.

    Example:

    >>> from densekit import ops
    >>> ops.slice([[1, 2, 3], [4, 5, 6]], (0, 1), (2, 2)).tolist()
    [[2, 3], [5, 6]]
    """
    if -1 in tuple(shape) and hasattr(start_indices, "dtype"):  # not known in a graph
        note_sized_by_values()
    starts = [
        int(s) + (n if s < 0 else 0) for s, n in zip(start_indices, inputs.shape, strict=True)
    ]
    sizes = [
        n - start if size == -1 else int(size)
        for start, size, n in zip(starts, shape, inputs.shape, strict=True)
    ]
    if any(not 0 <= size <= n for size, n in zip(sizes, inputs.shape, strict=True)):
        raise ValueError(
            message(
                "ops.slice",
                f"sizes from 0 to those of {tuple(inputs.shape)}, or -1",
                f"`shape` {tuple(shape)}",
                "Pass -1 for all that is left.",
            )
        )
    return inputs[_block(starts, sizes)]


def _block(starts: Iterable[int], shape: Sequence[int]) -> tuple[builtins.slice, ...]:
    return tuple(_range(int(s), int(n)) for s, n in zip(starts, shape, strict=True))


def _range(start: int, size: int) -> builtins.slice:
    return np.s_[start : start + size]


@operation("core", tensors=3)
def slice_update(inputs: ArrayLike, start_indices: Sequence[int], updates: ArrayLike) -> TensorLike:
    """A copy of `inputs` with the block at `start_indices` replaced by `updates`.

    Example:

    >>> from densekit import ops
    >>> ops.slice_update([1, 2, 3, 4], (1,), [8, 9]).tolist()
    [1, 8, 9, 4]
    """
    inputs, updates = as_array(inputs), as_array(updates)
    xp = namespace(inputs, updates)
    block = _block(np.asarray(start_indices), updates.shape)
    if is_jax(xp):
        array: Any = xp.asarray(inputs)
        updated: TensorLike = array.at[block].set(updates)
        return updated
    covered = np.zeros(inputs.shape, bool)
    covered[block] = True
    widths = [(cut.start, n - cut.stop) for cut, n in zip(block, inputs.shape, strict=True)]
    return xp.where(
        covered, xp.pad(astype(updates, dtype_name(inputs)), widths, "constant"), inputs
    )


@operation("core", tensors=3)
def scatter_update(
    inputs: ArrayLike, indices: ArrayLike, updates: ArrayLike, reduction: str | None = None
) -> TensorLike:
    """A copy of `inputs` with ``inputs[indices[i]]`` set to (or combined with) ``updates[i]``.

    `reduction`: None, ``"add"``, ``"max"``, ``"min"`` or ``"mul"``.

    Example:

    >>> from densekit import ops
    >>> ops.scatter_update([1, 2, 3], [[0], [2]], [5, 7]).tolist()
    [5, 2, 7]
    """
    inputs, indices, updates = as_array(inputs), as_array(indices), as_array(updates)
    places = tuple(indices[..., axis] for axis in range(indices.shape[-1]))
    if is_jax(namespace(inputs, updates)):
        array: Any = namespace(inputs, updates).asarray(inputs)
        method = {None: "set", "mul": "multiply"}.get(reduction, str(reduction))
        updated: TensorLike = getattr(array.at[places], method)(updates)
        return updated
    if type(inputs) in BOXES or type(updates) in BOXES:
        return _boxed_scatter()(inputs, updates, places, reduction)
    return _scattered(inputs, updates, places, reduction)


Places: TypeAlias = tuple[TensorLike, ...]  # an index for each of the leading axes

_COMBINE = {"add": np.add, "max": np.maximum, "min": np.minimum, "mul": np.multiply}


def _scattered(
    inputs: TensorLike, updates: TensorLike, places: Places, reduction: str | None
) -> Array:
    result = np.array(inputs)
    if reduction is None:
        result[places] = updates
    else:
        _COMBINE[reduction].at(result, places, updates)
    return result


def _shares(
    result: TensorLike,
    inputs: TensorLike,
    updates: TensorLike,
    places: Places,
    reduction: str | None,
) -> tuple[TensorLike, TensorLike]:
    """Slopes of the result by the inputs, in their shape, and by the updates, in theirs."""
    result, inputs, updates = map(unboxed, (result, inputs, updates))
    ones = np.ones_like(result)
    if reduction == "add":
        return ones, np.ones_like(updates)
    if reduction == "mul":
        with np.errstate(all="ignore"):
            return _scattered(ones, updates, places, "mul"), result[places] / updates
    if reduction is None:  # of several updates of one place the last is there
        last = np.zeros(result.shape, np.int64)
        rows = np.arange(1, len(updates) + 1).reshape(-1, *[1] * (updates.ndim - 1))
        last[places] = rows
        return (last == 0).astype(result.dtype), (last[places] == rows).astype(result.dtype)
    own, theirs = (inputs == result) * ones, (updates == result[places]) * np.ones_like(updates)
    count = _scattered(own, theirs, places, "add")  # equals share the gradient, as in JAX
    count[count == 0] = 1
    return own / count, theirs / count[places]


@cache
def _boxed_scatter() -> Callable[..., TensorLike]:
    """`_scattered` as an `autograd` primitive."""
    from autograd.extend import defvjp, primitive  # optional and slow

    box: Callable[..., TensorLike] = primitive(_scattered)

    def by_inputs(result: TensorLike, *args: Any) -> Pullback:
        return lambda g: g * _shares(result, *args)[0]

    def by_updates(result: TensorLike, *args: Any) -> Pullback:
        return lambda g: g[args[2]] * _shares(result, *args)[1]

    defvjp(box, by_inputs, by_updates)
    return box


@operation("core", tensors=2, convert=as_array)
def scatter(indices: TensorLike, values: TensorLike, shape: Sequence[int]) -> TensorLike:
    """Zeros of `shape` with ``values[i]`` added at ``indices[i]``.

    Example:

    >>> from densekit import ops
    >>> ops.scatter([[0], [2]], [5, 7], (4,)).tolist()
    [5, 0, 7, 0]
    """
    zeros = np.zeros(tuple(shape), dtype_name(values))
    return scatter_update(zeros, indices, values, reduction="add")
