"""What Python computes inside a native plan multiplies matrices by the core's product."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from densekit._core.tensor import lent_product

F = TypeVar("F", bound=Callable[..., object])

_FLOATS = (np.dtype("float32"), np.dtype("float64"))

# NumPy's product wakes threads of its own, which wait for each other: beside those of a plan, or
# of another process, a step of some µs takes a time slice. Two busy cores, 128 x 784 x 300: 0.5 ms
# by the core on one thread, 52 ms by NumPy. The core splits large ones over the threads that the
# plan has. A stack of smaller matrices NumPy multiplies on one thread, without a call for each.
_SMALL = 1 << 18


def core_product(matmul: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """`np.matmul` by the core's product of two C-contiguous matrices, where it is not slower."""

    def product(x1: Any, x2: Any) -> Any:
        dtype = x1.dtype
        if dtype not in _FLOATS or x2.dtype != dtype or x1.ndim < 2 or x2.ndim < 2:
            return np.matmul(x1, x2)
        k, width = x2.shape[-2:]
        rows = x1.shape[-2]
        # One column is no product for tiles: 512 x 512 takes 15 µs by NumPy, 44 by the core.
        if width == 1 or x1.shape[-1] != k or not x1.size or not x2.size:
            return np.matmul(x1, x2)
        if x1.ndim == 2 and x2.ndim == 2:
            left, left_transposed = _readable(x1)
            right, right_transposed = _readable(x2)
            return matmul(left, right, left_transposed, right_transposed)
        if x2.ndim == 2:
            flat = product(x1.reshape(-1, k), x2)
            return flat.reshape(*x1.shape[:-1], width)
        if rows * k * width <= _SMALL:
            return np.matmul(x1, x2)
        stack = np.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
        result = np.empty((*stack, rows, width), dtype)
        x1 = np.broadcast_to(x1, (*stack, *x1.shape[-2:]))
        x2 = np.broadcast_to(x2, (*stack, *x2.shape[-2:]))
        for place in np.ndindex(*stack):
            result[place] = product(x1[place], x2[place])
        return result

    return product


def _readable(matrix: Any) -> tuple[Any, bool]:
    """The matrix, or the one it is the transpose of, whichever lies row by row; and which."""
    transposed = matrix.flags.f_contiguous and not matrix.flags.c_contiguous
    return (matrix.T, True) if transposed else (matrix, False)


def multiplying_by(product: Callable[[Any, Any], Any], function: F) -> F:
    """`function`, inside which ops and their gradients multiply by `product`."""

    @wraps(function)
    def call(*args: Any) -> Any:
        token = lent_product.set(product)
        try:
            return function(*args)
        finally:
            lent_product.reset(token)

    return call  # type: ignore[return-value]
