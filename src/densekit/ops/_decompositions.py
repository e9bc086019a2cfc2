"""Decompositions of matrices and what is solved by them, beyond the commonest."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache

import numpy as np

from densekit._core.errors import message
from densekit._core.types import Namespace, Pullback, TensorLike
from densekit.ops._core_ops import stop_gradient
from densekit.ops._dispatch import as_array, dtype_name, floating, is_jax, meet, namespace
from densekit.ops._operation import operation


def _matrix(where: str, x: TensorLike) -> TensorLike:
    if x.ndim < 2:
        raise ValueError(
            message(f"ops.{where}", "a matrix", f"shape {tuple(x.shape)}", "Pass two axes or more.")
        )
    return floating(x)


def _transposed(xp: Namespace, x: TensorLike) -> TensorLike:
    return xp.swapaxes(x, -1, -2)


@operation("numpy", is_wide=True)
def slogdet(x: TensorLike) -> tuple[TensorLike, TensorLike]:
    """``(sign, log(abs(det)))`` of the determinant, without overflow.

    Example:

    >>> from densekit import ops
    >>> [float(v) for v in ops.slogdet([[0.0, 1.0], [1.0, 0.0]])]
    [-1.0, 0.0]
    """
    sign, logarithm = namespace(x).linalg.slogdet(_matrix("slogdet", x))
    return sign, logarithm


@operation("math", is_wide=True)
def logdet(x: TensorLike) -> TensorLike:
    """Logarithm of the determinant of a positive definite matrix.

    Example:

    >>> from densekit import ops
    >>> round(float(ops.logdet([[2.0, 0.0], [0.0, 4.0]])), 4)
    2.0794
    """
    return namespace(x).linalg.slogdet(_matrix("logdet", x))[1]


@operation("linalg", is_wide=True)
def eigh(x: TensorLike) -> tuple[TensorLike, TensorLike]:
    """``(w, v)`` with ``x @ v == v * w``: eigenvalues, ascending, of a symmetric matrix.

    Example:

    >>> from densekit import ops
    >>> w, v = ops.eigh([[2.0, 0.0], [0.0, 1.0]])
    >>> w.tolist()
    [1.0, 2.0]
    """
    xp, x = namespace(x), _matrix("eigh", x)
    if is_jax(xp):
        values, vectors = xp.linalg.eigh(x)
        return values, vectors
    values, vectors = xp.linalg.eigh((x + _transposed(xp, x)) / 2)
    return values, vectors


@operation("linalg", is_wide=True)
def eig(x: TensorLike) -> tuple[TensorLike, TensorLike]:
    """``(w, v)`` with ``x @ v == v * w``: complex eigenvalues and vectors of a square matrix.

    Example:

    >>> from densekit import ops
    >>> values, vectors = ops.eig([[2.0, 0.0], [0.0, 3.0]])
    >>> ops.real(values).tolist()
    [2.0, 3.0]
    """
    xp, x = namespace(x), _matrix("eig", x)
    values, vectors = xp.linalg.eig(x)
    if xp is not np:
        return values, vectors
    kind = np.result_type(x.dtype, np.complex64)
    return values.astype(kind), vectors.astype(kind)


@operation("linalg", tensors=2, convert=as_array, is_wide=True)
def solve_triangular(a: TensorLike, b: TensorLike, lower: bool = False) -> TensorLike:
    """The x of ``a @ x == b``; of `a` the upper (or lower) triangle alone is read.

    Shapes: (..., n, n) and (..., n, m) or (..., n).

    Example:

    >>> from densekit import ops
    >>> ops.solve_triangular([[2.0, 2.0], [0.0, 4.0]], [[6.0], [8.0]]).tolist()
    [[1.0], [2.0]]
    """
    return _solve_triangular(a, b, lower)


def _solve_triangular(a: TensorLike, b: TensorLike, lower: bool) -> TensorLike:
    xp, a, b = meet(_matrix("solve_triangular", a), floating(b))
    a = xp.tril(a) if lower else xp.triu(a)
    if tuple(b.shape) == tuple(a.shape[:-1]):  # one vector for each matrix
        return xp.linalg.solve(a, b[..., None])[..., 0]
    return xp.linalg.solve(a, b)


@operation("linalg", is_wide=True)
def cholesky_inverse(x: TensorLike, upper: bool = False) -> TensorLike:
    """Inverse of the matrix whose root, as `cholesky` gives it, is `x`.

    Example:

    >>> from densekit import ops
    >>> ops.cholesky_inverse([[2.0, 0.0], [0.0, 4.0]]).tolist()
    [[0.25, 0.0], [0.0, 0.0625]]
    """
    xp, x = namespace(x), _matrix("cholesky_inverse", x)
    inverse = _solve_triangular(x, np.eye(x.shape[-1], dtype=x.dtype), not upper)
    other = _transposed(xp, inverse)
    return xp.matmul(inverse, other) if upper else xp.matmul(other, inverse)


@operation("linalg", is_wide=True)
def pinv(x: TensorLike, rcond: float | None = None) -> TensorLike:
    """Pseudo-inverse (Moore, Penrose) by the singular value decomposition.

    Args:
        x: (..., m, n).
        rcond: singular values up to this share of the largest count as 0. Default: ten times the
            longer side times the type's epsilon.

    Example:

    >>> from densekit import ops
    >>> ops.pinv([[2.0, 0.0], [0.0, 0.0]]).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    xp, x = namespace(x), _matrix("pinv", x)
    # Ten times the longer side times epsilon is JAX's default.
    share = 10 * max(x.shape[-2:]) * np.finfo(x.dtype).eps if rcond is None else rcond
    return _pinv(xp, x, share)


def _pinv(xp: Namespace, x: TensorLike, share: float) -> TensorLike:
    return (xp.linalg.pinv if xp is np or is_jax(xp) else _boxed_pinv())(x, share)


@cache
def _boxed_pinv() -> Callable[..., TensorLike]:
    """`pinv` as an `autograd` primitive; autograd's own takes no cut-off."""
    from autograd import numpy as anp  # optional and slow
    from autograd.extend import defvjp, primitive

    def vjp(p: TensorLike, x: TensorLike, share: float) -> Pullback:
        p_t = _transposed(anp, p)

        def pullback(g: TensorLike) -> TensorLike:
            g_t = _transposed(anp, g)
            outside = g_t - anp.matmul(x, anp.matmul(p, g_t))  # (I - x p) g'
            inside = g_t - anp.matmul(anp.matmul(g_t, p), x)  # g' (I - p x)
            gradient: TensorLike = (
                anp.matmul(anp.matmul(outside, p), p_t)
                + anp.matmul(anp.matmul(p_t, p), inside)
                - _transposed(anp, anp.matmul(anp.matmul(p, g_t), p))
            )
            return gradient

        return pullback

    pinv_box: Callable[..., TensorLike] = primitive(np.linalg.pinv)
    defvjp(pinv_box, vjp)
    return pinv_box


@operation("linalg", tensors=2, convert=as_array, is_wide=True)
def lstsq(a: TensorLike, b: TensorLike, rcond: float | None = None) -> TensorLike:
    """The x that makes ``a @ x - b`` smallest, the smallest such x if there are several.

    Shapes: (m, n) and (m,) or (m, k) to (n,) or (n, k).

    Example:

    >>> from densekit import ops
    >>> ops.lstsq([[1.0], [1.0]], [1.0, 3.0]).round(4).tolist()
    [2.0]
    """
    xp, a, b = meet(_matrix("lstsq", a), floating(b))
    if xp is np or is_jax(xp):
        return xp.linalg.lstsq(a, b, rcond=rcond)[0]
    share = max(a.shape) * np.finfo(a.dtype).eps if rcond is None else rcond
    return xp.matmul(_pinv(xp, a, share), b)


@operation("linalg", is_wide=True)
def matrix_rank(x: TensorLike, tol: float | None = None) -> TensorLike:
    """Number of singular values that are not 0, as int32.

    `tol`: share of the largest singular value up to which one counts as 0. Default: the longer
    side times the type's epsilon.

    Example:

    >>> from densekit import ops
    >>> int(ops.matrix_rank([[1.0, 2.0], [2.0, 4.0]]))
    1
    """
    xp, x = namespace(x), _matrix("matrix_rank", x)
    share = max(x.shape[-2:]) * np.finfo(dtype_name(x)).eps if tol is None else tol
    sizes = xp.linalg.svd(stop_gradient(x), compute_uv=False)
    return (sizes > share * sizes.max(-1, keepdims=True, initial=0)).sum(-1).astype("int32")


@operation("linalg", is_wide=True)
def lu_factor(x: TensorLike) -> tuple[TensorLike, TensorLike]:
    """``(lu, pivots)``: L below the diagonal (of ones) and U on and above it, with rows exchanged.

    Row i was exchanged with row ``pivots[i]``, in that order; then ``x == L @ U``.
    Shapes: (..., m, n) to (..., m, n) and (..., min(m, n)).

    Example:

    >>> from densekit import ops
    >>> lu, pivots = ops.lu_factor([[1.0, 2.0], [2.0, 2.0]])
    >>> lu.tolist(), pivots.tolist()
    ([[2.0, 2.0], [0.5, 1.0]], [1, 1])
    """
    xp, x = namespace(x), _matrix("lu_factor", x)
    if is_jax(xp):
        lu, pivots, _ = sys.modules["jax"].lax.linalg.lu(x)
        return lu, pivots
    leading, (rows, columns) = x.shape[:-2], x.shape[-2:]
    results = [_lu(xp, m) for m in xp.reshape(x, (-1, rows, columns))]
    factors = xp.stack([lu for lu, _ in results]) if results else x
    pivots = np.array([p for _, p in results], "int32").reshape(*leading, min(rows, columns))
    return xp.reshape(factors, x.shape), pivots


def _lu(xp: Namespace, x: TensorLike) -> tuple[TensorLike, list[int]]:
    """Elimination with the largest element of each column as pivot."""
    rows, columns = x.shape
    below = xp.zeros_like(x)  # what was subtracted from each row: L without its diagonal
    pivots = []
    for k in range(min(rows, columns)):
        size = np.abs(np.asarray(stop_gradient(x[k:, k])))
        pivot = k + int(np.argmax(size))
        pivots.append(pivot)
        if pivot != k:
            order = np.arange(rows)
            order[[k, pivot]] = pivot, k
            x, below = x[order], below[order]
        if size[pivot - k] == 0:
            continue
        share = np.asarray(np.arange(rows) > k, x.dtype) * x[:, k] / x[k, k]
        x = x - share[:, None] * x[k]
        below = below + share[:, None] * np.asarray(np.arange(columns) == k, x.dtype)
    return xp.triu(x) + below, pivots
