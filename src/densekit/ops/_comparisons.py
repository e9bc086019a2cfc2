"""Comparisons, logic, and choosing by a condition."""

from __future__ import annotations

from typing import Any

import numpy as np

from densekit._core.errors import message
from densekit._core.scope import note_sized_by_values
from densekit._core.types import ArrayLike, TensorLike
from densekit.ops._dispatch import as_array, astype, meet, namespace, select
from densekit.ops._operation import operation


@operation("numpy", tensors=2)
def equal(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``x1 == x2``.

    Example:

    >>> from densekit import ops
    >>> ops.equal([1, 2], [1, 3]).tolist()
    [True, False]
    """
    xp, x1, x2 = meet(x1, x2)
    return xp.equal(x1, x2)


@operation("numpy", tensors=2)
def not_equal(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``x1 != x2``.

    Example:

    >>> from densekit import ops
    >>> ops.not_equal([1, 2], [1, 3]).tolist()
    [False, True]
    """
    xp, x1, x2 = meet(x1, x2)
    return xp.not_equal(x1, x2)


@operation("numpy", tensors=2)
def less(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``x1 < x2``.

    Example:

    >>> from densekit import ops
    >>> ops.less([1, 2, 3], 2).tolist()
    [True, False, False]
    """
    xp, x1, x2 = meet(x1, x2)
    return xp.less(x1, x2)


@operation("numpy", tensors=2)
def less_equal(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``x1 <= x2``.

    Example:

    >>> from densekit import ops
    >>> ops.less_equal([1, 2, 3], 2).tolist()
    [True, True, False]
    """
    xp, x1, x2 = meet(x1, x2)
    return xp.less_equal(x1, x2)


@operation("numpy", tensors=2)
def greater(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``x1 > x2``.

    Example:

    >>> from densekit import ops
    >>> ops.greater([1, 2, 3], 2).tolist()
    [False, False, True]
    """
    xp, x1, x2 = meet(x1, x2)
    return xp.greater(x1, x2)


@operation("numpy", tensors=2)
def greater_equal(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``x1 >= x2``.

    Example:

    >>> from densekit import ops
    >>> ops.greater_equal([1, 2, 3], 2).tolist()
    [False, True, True]
    """
    xp, x1, x2 = meet(x1, x2)
    return xp.greater_equal(x1, x2)


@operation("numpy", tensors=2)
def logical_and(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Both are true.

    Example:

    >>> from densekit import ops
    >>> ops.logical_and([True, True], [True, False]).tolist()
    [True, False]
    """
    xp, x1, x2 = meet(x1, x2)
    return xp.logical_and(x1, x2)


@operation("numpy", tensors=2)
def logical_or(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Either is true.

    Example:

    >>> from densekit import ops
    >>> ops.logical_or([True, False], [False, False]).tolist()
    [True, False]
    """
    xp, x1, x2 = meet(x1, x2)
    return xp.logical_or(x1, x2)


@operation("numpy", tensors=2)
def logical_xor(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Exactly one is true.

    Example:

    >>> from densekit import ops
    >>> ops.logical_xor([True, True], [True, False]).tolist()
    [False, True]
    """
    xp, x1, x2 = meet(x1, x2)
    return xp.logical_xor(x1, x2)


@operation("numpy")
def logical_not(x: TensorLike) -> TensorLike:
    """It is false.

    Example:

    >>> from densekit import ops
    >>> ops.logical_not([True, False]).tolist()
    [False, True]
    """
    return namespace(x).logical_not(x)


@operation("numpy")
def isnan(x: TensorLike) -> TensorLike:
    """It is NaN.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> ops.isnan([1.0, np.inf, np.nan]).tolist()
    [False, False, True]
    """
    return namespace(x).isnan(x)


@operation("numpy")
def isinf(x: TensorLike) -> TensorLike:
    """It is an infinity.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> ops.isinf([1.0, -np.inf, np.nan]).tolist()
    [False, True, False]
    """
    return namespace(x).isinf(x)


@operation("numpy")
def isfinite(x: TensorLike) -> TensorLike:
    """It is neither NaN nor an infinity.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> ops.isfinite([1.0, np.inf, np.nan]).tolist()
    [True, False, False]
    """
    return namespace(x).isfinite(x)


@operation("numpy", tensors=2, arguments=("x1", "x2", "rtol", "atol"))
def isclose(
    x1: ArrayLike, x2: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> TensorLike:
    """``|x1 - x2| <= atol + rtol * |x2|``.

    Example:

    >>> from densekit import ops
    >>> ops.isclose([1.0, 2.0], [1.0, 2.1]).tolist()
    [True, False]
    """
    return namespace(x1, x2).isclose(x1, x2, rtol=rtol, atol=atol, equal_nan=equal_nan)


@operation("numpy", "AllClose", tensors=2)
def allclose(
    x1: ArrayLike, x2: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> TensorLike:
    """Whether `isclose` holds everywhere.

    Example:

    >>> from densekit import ops
    >>> bool(ops.allclose([1.0, 2.0], [1.0, 2.0 + 1e-9]))
    True
    """
    return namespace(x1, x2).allclose(x1, x2, rtol=rtol, atol=atol, equal_nan=equal_nan)


@operation("numpy", tensors=3)
def where(condition: Any, x1: ArrayLike | None = None, x2: ArrayLike | None = None) -> TensorLike:
    """``x1`` where `condition` is true, else ``x2``; with one argument, where it is true.

    Example:

    >>> from densekit import ops
    >>> ops.where([True, False], [1, 2], [-1, -2]).tolist()
    [1, -2]
    """
    if (x1 is None) is not (x2 is None):
        raise ValueError(
            message("ops.where", "both `x1` and `x2`, or neither", "one", "Pass the other, too.")
        )
    if x1 is None or x2 is None:
        note_sized_by_values()
        indices = tuple(np.asarray(i, np.int32) for i in np.nonzero(condition))
        return indices  # type: ignore[return-value]  # one argument: as `nonzero`
    condition = astype(as_array(condition), "bool")
    _, x1, x2 = meet(x1, x2)
    return select(namespace(condition, x1, x2), condition, x1, x2)


@operation("numpy")
def nonzero(x: TensorLike) -> tuple[TensorLike, ...]:
    """Indices of the elements that are not 0, one array per axis.

    Example:

    >>> from densekit import ops
    >>> [i.tolist() for i in ops.nonzero([0, 3, 0, 1])]
    [[1, 3]]
    """
    note_sized_by_values()
    return tuple(astype(i, "int32") for i in namespace(x).nonzero(x))
