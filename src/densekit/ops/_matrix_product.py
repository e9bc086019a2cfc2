"""The product of matrices and its gradient, by whatever product the arrays' engine lends."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from densekit._core.tensor import array_product
from densekit._core.types import Namespace, TensorLike
from densekit.ops._dispatch import is_jax


def matrix_product(xp: Namespace, x1: TensorLike, x2: TensorLike) -> TensorLike:
    """``xp.matmul(x1, x2)``."""
    if xp is np:
        product = array_product(x1, x2)
        return product.astype(x1.dtype) if x1.dtype.kind == "V" else product  # V: bfloat16
    if is_jax(xp) or np.ndim(x1) < 2 or np.ndim(x2) < 2:
        return xp.matmul(x1, x2)
    if x2.ndim > 2 or x1.ndim == 2 or not x1.size:
        return _recorded(xp)(x1, x2)
    rows = xp.reshape(x1, (-1, x1.shape[-1]))  # so that the gradient of x2 is one product too
    return xp.reshape(_recorded(xp)(rows, x2), (*x1.shape[:-1], x2.shape[-1]))


@cache
def _recorded(xp: Namespace) -> Callable[[TensorLike, TensorLike], TensorLike]:
    """The product of arrays of two axes or more as a primitive of `autograd`."""
    from autograd.extend import defvjp, primitive  # optional and slow
    from autograd.numpy.numpy_vjps import unbroadcast_f

    def transposed(x: TensorLike) -> TensorLike:
        return xp.swapaxes(x, -1, -2)

    def product(x1: TensorLike, x2: TensorLike) -> TensorLike:
        return array_product(x1, x2)

    def as_result(g: TensorLike, y: TensorLike) -> TensorLike:
        return g if g.dtype == y.dtype else g.astype(y.dtype)  # float64 comes of `maximum`

    recorded: Callable[[TensorLike, TensorLike], TensorLike] = primitive(product)
    defvjp(
        recorded,
        lambda y, x1, x2: unbroadcast_f(x1, lambda g: recorded(as_result(g, y), transposed(x2))),
        lambda y, x1, x2: unbroadcast_f(x2, lambda g: recorded(transposed(x1), as_result(g, y))),
    )
    return recorded
