"""Products of matrices and tensors, norms, decompositions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from densekit._core.errors import message
from densekit._core.types import Axes, Config, Namespace, TensorLike
from densekit.ops._dispatch import (
    as_array,
    astype,
    dtype_name,
    floating,
    is_jax,
    magnitude,
    meet,
    meet_arrays,
    namespace,
    result_type,
)
from densekit.ops._matrix_product import matrix_product
from densekit.ops._operation import operation
from densekit.ops._reductions import widened
from densekit.ops._shapes import diagonal


@operation("numpy", tensors=2, convert=as_array)
def matmul(x1: TensorLike, x2: TensorLike) -> TensorLike:
    """Matrix product over the last two axes, the others broadcast.

    Example:

    >>> from densekit import ops
    >>> ops.matmul([[1, 2], [3, 4]], [[1, 0], [1, 1]]).tolist()
    [[3, 2], [7, 4]]
    """
    if dtype_name(x1) == dtype_name(x2) == "int8":
        return _int8_product(namespace(x1, x2), x1, x2)
    xp, x1, x2 = meet(x1, x2)
    return matrix_product(xp, x1, x2)


def _int8_product(xp: Namespace, x1: TensorLike, x2: TensorLike) -> TensorLike:
    """The product as int32, exact: of bytes it would run over at once."""
    if is_jax(xp) or not (np.ndim(x1) and np.ndim(x2)):
        return xp.matmul(astype(x1, "int32"), astype(x2, "int32"))
    # Floats hold each of its partial sums, and NumPy multiplies them 30 times as fast.
    dtype = "float32" if x1.shape[-1] <= 1 << 10 else "float64"
    return astype(matrix_product(xp, astype(x1, dtype), astype(x2, dtype)), "int32")


@operation("numpy", tensors=2)
def dot(x1: TensorLike, x2: TensorLike) -> TensorLike:
    """Product over the last axis of `x1` and the last but one of `x2`.

    Example:

    >>> from densekit import ops
    >>> int(ops.dot([1, 2], [3, 4]))
    11
    """
    xp, x1, x2 = meet_arrays(x1, x2)
    if np.ndim(x1) > 1 and np.ndim(x2) == 2:
        return matrix_product(xp, x1, x2)
    return xp.dot(x1, x2)


@operation("numpy", tensors=2, convert=as_array)
def vdot(x1: TensorLike, x2: TensorLike) -> TensorLike:
    """Scalar product of the flattened arrays.

    Example:

    >>> from densekit import ops
    >>> int(ops.vdot([1, 2], [3, 4]))
    11
    """
    xp, x1, x2 = meet(x1, x2)
    return xp.dot(xp.ravel(x1), xp.ravel(x2))


@operation("numpy", tensors=2)
def inner(x1: TensorLike, x2: TensorLike) -> TensorLike:
    """Product over the last axes.

    Example:

    >>> from densekit import ops
    >>> int(ops.inner([1, 2], [3, 4]))
    11
    """
    xp, x1, x2 = meet_arrays(x1, x2)
    return xp.inner(x1, x2)


@operation("numpy", tensors=2)
def outer(x1: TensorLike, x2: TensorLike) -> TensorLike:
    """All products of an element of `x1` with one of `x2`, shape (size 1, size 2).

    Example:

    >>> from densekit import ops
    >>> ops.outer([1, 2], [3, 4]).tolist()
    [[3, 4], [6, 8]]
    """
    xp, x1, x2 = meet_arrays(x1, x2)
    return xp.ravel(x1)[:, None] * xp.ravel(x2)[None, :]


@operation("numpy", tensors=2, convert=as_array)
def tensordot(
    x1: TensorLike, x2: TensorLike, axes: int | Sequence[int] | Sequence[Sequence[int]] = 2
) -> TensorLike:
    """Products summed over pairs of axes: the last and first `axes`, or two lists of them.

    Example:

    >>> from densekit import ops
    >>> ops.tensordot([[1, 2], [3, 4]], [1, 1], axes=1).tolist()
    [3, 7]
    """
    xp, x1, x2 = meet(x1, x2)
    if axes == 1 and np.ndim(x1) > 1 and np.ndim(x2) == 2:
        return matrix_product(xp, x1, x2)
    return xp.tensordot(x1, x2, axes=axes)


def _term(value: object) -> object:
    return value if isinstance(value, str) else as_array(value)


@operation("numpy", tensors=99, arguments=("operands",), convert=_term)
def einsum(subscripts: str, *operands: Any) -> TensorLike:
    """Products summed as the subscripts say: ``einsum("bi,io->bo", x, kernel)``.

    Example:

    >>> from densekit import ops
    >>> ops.einsum("ij,j->i", [[1, 2], [3, 4]], [1, 1]).tolist()
    [3, 7]
    """
    dtypes = {dtype_name(x) for x in operands}
    dtype = "int32" if dtypes == {"int8"} else result_type(*dtypes)
    xp = namespace(*operands)
    # NumPy's einsum does not know bfloat16.
    inner = "float32" if dtype == "bfloat16" and not is_jax(xp) else dtype
    return astype(xp.einsum(subscripts, *(astype(x, inner) for x in operands)), dtype)


@operation("numpy")
def trace(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> TensorLike:
    """Sum of the diagonal over two axes.

    Example:

    >>> from densekit import ops
    >>> int(ops.trace([[1, 2], [3, 4]]))
    5
    """
    return namespace(x).sum(diagonal(x, offset, axis1, axis2), axis=-1, **widened(x))


@operation("linalg", quiet=True)
def norm(
    x: TensorLike, ord: float | str | None = None, axis: Axes = None, keepdims: bool = False
) -> TensorLike:
    """Norm of vectors (one axis) or matrices (two); `ord` as in `numpy.linalg.norm`.

    Example:

    >>> from densekit import ops
    >>> float(ops.norm([3.0, 4.0]))
    5.0
    """
    xp, x = namespace(x), floating(x)
    axis = tuple(axis) if isinstance(axis, list | tuple) else axis
    if axis is None and (ord is None or x.ndim == 1):
        axes: tuple[int, ...] = tuple(range(x.ndim))
    else:
        axes = (
            tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        )
    vector = len(axes) == 1
    if isinstance(ord, str) and len(axes) != 2:
        raise ValueError(
            message("ops.norm", f"two axes for the matrix norm {ord!r}", f"{axes}", "Pass two.")
        )
    if ord in (None, "fro") or (ord == 2 and vector):
        return xp.sqrt(xp.sum(xp.square(x), axis=axes, keepdims=keepdims))
    if not vector and ord in (1, -1, np.inf, -np.inf):
        rows, columns = normalize_axis_tuple(axes, x.ndim)
        summed, chosen = (rows, columns) if abs(ord) == 1 else (columns, rows)
        totals = xp.sum(magnitude(x), axis=summed, keepdims=True)
        found = (xp.max if ord > 0 else xp.min)(totals, axis=chosen, keepdims=True)
        return found if keepdims else xp.squeeze(found, axis=axes)
    if not vector:
        return xp.linalg.norm(x, ord=ord, axis=axes, keepdims=keepdims)
    size = magnitude(x)
    if ord == np.inf:
        return xp.max(size, axis=axes, keepdims=keepdims)
    if ord == -np.inf:
        return xp.min(size, axis=axes, keepdims=keepdims)
    if ord == 0:
        return xp.sum(astype(as_array(x != 0), dtype_name(x)), axis=axes, keepdims=keepdims)
    if ord == 1:
        return xp.sum(size, axis=axes, keepdims=keepdims)
    degree: Any = ord
    inverse: float = 1.0 / degree
    return xp.sum(size**degree, axis=axes, keepdims=keepdims) ** inverse


def _known_mode(settings: Config) -> Config:
    if settings["mode"] not in ("reduced", "complete"):
        raise ValueError(
            message(
                "ops.qr",
                "`mode` 'reduced' or 'complete'",
                repr(settings["mode"]),
                "Pass one of them.",
            )
        )
    return settings


@operation("linalg", settle=_known_mode, is_wide=True)
def qr(x: TensorLike, mode: str = "reduced") -> tuple[TensorLike, TensorLike]:
    """``(q, r)`` with orthonormal columns in q and r upper triangular: ``x == q @ r``.

    Example:

    >>> from densekit import ops
    >>> q, r = ops.qr([[3.0, 1.0], [4.0, 2.0]])
    >>> ops.round(q @ r, 4).tolist()
    [[3.0, 1.0], [4.0, 2.0]]
    """
    _known_mode({"mode": mode})
    xp, x = namespace(x), floating(x)
    if xp is np or is_jax(xp):
        q, r = xp.linalg.qr(x, mode=mode)
        return q, r
    rows, columns = x.shape[-2:]
    if mode == "complete" and rows > columns:
        raise NotImplementedError(
            message(
                "gradient of ops.qr",
                "mode 'reduced' or no more rows than columns",
                f"{mode!r}, shape {tuple(x.shape)}",
                "The other columns of q are not unique: use `mode='reduced'`.",
            )
        )
    q, r = _boxed_qr()(x[..., :rows])
    if rows >= columns:
        return q, r
    return q, xp.concatenate([r, xp.matmul(xp.swapaxes(q, -1, -2), x[..., rows:])], axis=-1)


@cache
def _boxed_qr() -> Callable[..., tuple[TensorLike, TensorLike]]:
    """The reduced `qr` of no more columns than rows as an `autograd` primitive.

    Reference: Walter and Lehmann, Algorithmic differentiation of linear algebra functions, 2010,
    equation 37.
    """
    from autograd import numpy as anp  # optional and slow
    from autograd.extend import defvjp, primitive

    def transposed(x: TensorLike) -> TensorLike:
        swapped: TensorLike = anp.swapaxes(x, -1, -2)
        return swapped

    def vjp(answer: tuple[TensorLike, TensorLike], _: object) -> Callable[..., TensorLike]:
        q, r = answer[0], answer[1]

        def pullback(g: TensorLike) -> TensorLike:
            g_q, g_r = g[0], g[1]
            both = anp.matmul(r, transposed(g_r)) - anp.matmul(transposed(g_q), q)
            symmetric = anp.tril(both) + transposed(anp.tril(both, -1))
            # x' = (g_q + q s) r^-T, by solving with r
            return transposed(anp.linalg.solve(r, transposed(g_q + anp.matmul(q, symmetric))))

        return pullback

    qr_box: Callable[..., tuple[TensorLike, TensorLike]] = primitive(
        lambda x: tuple(np.linalg.qr(x))
    )
    defvjp(qr_box, vjp)
    return qr_box


@operation("linalg", is_wide=True)
def inv(x: TensorLike) -> TensorLike:
    """Inverse of a square matrix.

    Example:

    >>> from densekit import ops
    >>> ops.inv([[2.0, 0.0], [0.0, 4.0]]).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    return namespace(x).linalg.inv(floating(x))


@operation("linalg", is_wide=True)
def det(x: TensorLike) -> TensorLike:
    """Determinant.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.det([[1.0, 2.0], [3.0, 4.0]])), 4)
    -2.0
    """
    return namespace(x).linalg.det(floating(x))


@operation("linalg", tensors=2, convert=as_array, is_wide=True)
def solve(a: TensorLike, b: TensorLike) -> TensorLike:
    """The x of ``a @ x == b``, of shape (..., n, m) or (..., n) as `b`.

    Example:

    >>> from densekit import ops
    >>> ops.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 8.0]).tolist()
    [1.0, 2.0]
    """
    xp, a, b = meet(floating(a), floating(b))
    return solved(xp, a, b)


def solved(xp: Namespace, a: TensorLike, b: TensorLike) -> TensorLike:
    """The x of ``a @ x == b``; a vector for each matrix where `b` cannot be one of columns."""
    is_matrix = len(b.shape) > 1 and b.shape[-2] == a.shape[-1]
    if tuple(b.shape) == tuple(a.shape[:-1]) and not is_matrix:
        return xp.linalg.solve(a, b[..., None])[..., 0]
    return xp.linalg.solve(a, b)


@operation("linalg", is_wide=True)
def cholesky(x: TensorLike, upper: bool = False) -> TensorLike:
    """Lower triangular root of a positive definite matrix, or its transpose.

    Example:

    >>> from densekit import ops
    >>> ops.cholesky([[4.0, 2.0], [2.0, 5.0]]).tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
    xp = namespace(x)
    root = xp.linalg.cholesky(floating(x))
    return xp.swapaxes(root, -1, -2) if upper else root


@operation("linalg", "SVD", is_wide=True)
def svd(x: TensorLike, full_matrices: bool = True, compute_uv: bool = True) -> TensorLike:
    """Singular value decomposition ``(u, s, vh)``, or s alone.

    Example:

    >>> from densekit import ops
    >>> u, s, vh = ops.svd([[3.0, 0.0], [0.0, 2.0]])
    >>> [round(x, 4) for x in s.tolist()]
    [3.0, 2.0]
    """
    return namespace(x).linalg.svd(floating(x), full_matrices=full_matrices, compute_uv=compute_uv)
