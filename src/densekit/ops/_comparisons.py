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
    """``x1 == x2``."""
    xp, x1, x2 = meet(x1, x2)
    return xp.equal(x1, x2)


@operation("numpy", tensors=2)
def not_equal(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``x1 != x2``."""
    xp, x1, x2 = meet(x1, x2)
    return xp.not_equal(x1, x2)


@operation("numpy", tensors=2)
def less(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``x1 < x2``."""
    xp, x1, x2 = meet(x1, x2)
    return xp.less(x1, x2)


@operation("numpy", tensors=2)
def less_equal(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``x1 <= x2``."""
    xp, x1, x2 = meet(x1, x2)
    return xp.less_equal(x1, x2)


@operation("numpy", tensors=2)
def greater(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``x1 > x2``."""
    xp, x1, x2 = meet(x1, x2)
    return xp.greater(x1, x2)


@operation("numpy", tensors=2)
def greater_equal(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """``x1 >= x2``."""
    xp, x1, x2 = meet(x1, x2)
    return xp.greater_equal(x1, x2)


@operation("numpy", tensors=2)
def logical_and(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Both are true."""
    return namespace(x1, x2).logical_and(x1, x2)


@operation("numpy", tensors=2)
def logical_or(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Either is true."""
    return namespace(x1, x2).logical_or(x1, x2)


@operation("numpy", tensors=2)
def logical_xor(x1: ArrayLike, x2: ArrayLike) -> TensorLike:
    """Exactly one is true."""
    return namespace(x1, x2).logical_xor(x1, x2)


@operation("numpy")
def logical_not(x: TensorLike) -> TensorLike:
    """It is false."""
    return namespace(x).logical_not(x)


@operation("numpy")
def isnan(x: TensorLike) -> TensorLike:
    """It is NaN."""
    return namespace(x).isnan(x)


@operation("numpy")
def isinf(x: TensorLike) -> TensorLike:
    """It is an infinity."""
    return namespace(x).isinf(x)


@operation("numpy")
def isfinite(x: TensorLike) -> TensorLike:
    """It is neither NaN nor an infinity."""
    return namespace(x).isfinite(x)


@operation("numpy", tensors=2, arguments=("x1", "x2", "rtol", "atol"))
def isclose(
    x1: ArrayLike, x2: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> TensorLike:
    """``|x1 - x2| <= atol + rtol * |x2|``."""
    return namespace(x1, x2).isclose(x1, x2, rtol=rtol, atol=atol, equal_nan=equal_nan)


@operation("numpy", "AllClose", tensors=2)
def allclose(
    x1: ArrayLike, x2: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> TensorLike:
    """Whether `isclose` holds everywhere."""
    return namespace(x1, x2).allclose(x1, x2, rtol=rtol, atol=atol, equal_nan=equal_nan)


@operation("numpy", tensors=3)
def where(condition: Any, x1: ArrayLike | None = None, x2: ArrayLike | None = None) -> TensorLike:
    """``x1`` where `condition` is true, else ``x2``; with one argument, where it is true."""
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
    """Indices of the elements that are not 0, one array per axis."""
    note_sized_by_values()
    return tuple(astype(i, "int32") for i in namespace(x).nonzero(x))
