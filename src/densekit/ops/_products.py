"""Products and distances of vectors; sums over samples of curves; numbers on a scale."""

from __future__ import annotations

import numpy as np

from densekit._core.dtypes import to_numpy_dtype
from densekit._core.errors import message
from densekit._core.types import ArrayLike, DTypeLike, TensorLike
from densekit.ops._dispatch import (
    as_array,
    astype,
    dtype_name,
    floating,
    is_jax,
    meet,
    meet_arrays,
    namespace,
    operand,
)
from densekit.ops._filled import line_dtype, linspace
from densekit.ops._operation import operation


@operation("numpy", tensors=2, convert=as_array)
def cross(
    x1: TensorLike,
    x2: TensorLike,
    axisa: int = -1,
    axisb: int = -1,
    axisc: int = -1,
    axis: int | None = None,
) -> TensorLike:
    """Vector product along axes of three elements; of two, the third element of it.

    Args:
        x1, x2: arrays, broadcast.
        axisa, axisb, axisc: where the vectors of `x1`, `x2` and the result lie. Default: -1.
        axis: all three at once. Default: None.

    Raises:
        ValueError: if vectors have neither two nor three elements.

    Example:

    >>> from densekit import ops
    >>> ops.cross([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]).tolist()
    [0.0, 0.0, 1.0]
    """
    xp, x1, x2 = meet(x1, x2)
    if axis is not None:
        axisa = axisb = axisc = axis
    x1, x2 = xp.moveaxis(x1, axisa, 0), xp.moveaxis(x2, axisb, 0)
    if {len(x1), len(x2)} - {2, 3}:
        raise ValueError(
            message(
                "ops.cross",
                "vectors of 2 or 3 elements",
                f"{len(x1)} and {len(x2)}",
                "Pass `axis`.",
            )
        )
    third = x1[0] * x2[1] - x1[1] * x2[0]
    if len(x1) == len(x2) == 2:
        return third
    a3 = x1[2] if len(x1) == 3 else xp.zeros_like(x1[0])
    b3 = x2[2] if len(x2) == 3 else xp.zeros_like(x2[0])
    parts = [x1[1] * b3 - a3 * x2[1], a3 * x2[0] - x1[0] * b3, third]
    return xp.moveaxis(xp.stack(parts), 0, axisc)


@operation("numpy", tensors=2)
def kron(x1: TensorLike, x2: TensorLike) -> TensorLike:
    """Kronecker product: each element of `x1` times the whole of `x2`, block by block.

    Example:

    >>> from densekit import ops
    >>> ops.kron([1, 10], [1, 2]).tolist()
    [1, 2, 10, 20]
    """
    xp, x1, x2 = meet_arrays(x1, x2)
    ndim = max(x1.ndim, x2.ndim)
    shape1, shape2 = ((1,) * (ndim - x.ndim) + tuple(x.shape) for x in (x1, x2))
    apart1 = xp.reshape(x1, tuple(k for n in shape1 for k in (n, 1)))
    apart2 = xp.reshape(x2, tuple(k for n in shape2 for k in (1, n)))
    return xp.reshape(apart1 * apart2, tuple(n * m for n, m in zip(shape1, shape2, strict=True)))


@operation("numpy")
def vander(x: TensorLike, N: int | None = None, increasing: bool = False) -> TensorLike:
    """Matrix of powers of a vector, one row an element: ``x**(N-1), ..., x, 1``.

    Example:

    >>> from densekit import ops
    >>> ops.vander([2, 3], 3).tolist()
    [[4, 2, 1], [9, 3, 1]]
    """
    xp, count = namespace(x), x.shape[0] if N is None else N
    columns = [xp.ones_like(x)]
    for _ in range(count - 1):
        columns.append(columns[-1] * x)
    columns = columns[:count] if increasing else columns[:count][::-1]
    return xp.stack(columns, axis=1) if columns else xp.reshape(x[:0], (x.shape[0], 0))


@operation("numpy", tensors=2)
def correlate(x1: TensorLike, x2: TensorLike, mode: str = "valid") -> TensorLike:
    """``c[k] = sum over n of x1[n + k] * x2[n]`` of two vectors.

    `mode`: ``"valid"`` for the k at which the shorter lies within the longer, ``"same"`` for as
    many as the longer has elements, ``"full"`` for all at which they meet.

    Example:

    >>> from densekit import ops
    >>> ops.correlate([1.0, 2.0, 3.0], [0.0, 1.0]).tolist()
    [2.0, 3.0]
    """
    xp, x1, x2 = meet_arrays(x1, x2)
    if not is_jax(xp):
        x1, x2 = floating(x1), floating(x2)
    if xp is np or is_jax(xp):
        return xp.correlate(x1, x2, mode)
    n, m = x1.shape[0], x2.shape[0]
    places = np.arange(n + m - 1)[:, None] + np.arange(m)
    full = xp.matmul(xp.pad(x1, [(m - 1, m - 1)], "constant")[places], x2)
    short, long = min(n, m), max(n, m)
    start = {"full": 0, "same": (short - 1 + (m > n and short % 2 == 0)) // 2, "valid": short - 1}
    size = {"full": n + m - 1, "same": long, "valid": long - short + 1}
    return full[start[mode] : start[mode] + size[mode]]


@operation("math", "CDist", tensors=2, convert=as_array)
def cdist(x: TensorLike, y: TensorLike) -> TensorLike:
    """Euclidean distance of each vector of `x` from each of `y`.

    Shapes: (..., m, d) and (..., n, d) to (..., m, n).

    Raises:
        ValueError: if an array has fewer than two axes, or the last ones differ.

    Example:

    >>> from densekit import ops
    >>> ops.cdist([[0.0, 0.0]], [[3.0, 4.0], [0.0, 1.0]]).tolist()
    [[5.0, 1.0]]
    """
    if min(x.ndim, y.ndim) < 2 or x.shape[-1] != y.shape[-1]:
        raise ValueError(
            message(
                "ops.cdist",
                "shapes (..., m, d) and (..., n, d)",
                f"{tuple(x.shape)} and {tuple(y.shape)}",
                "Give both vectors of the same size.",
            )
        )
    xp, x, y = meet(floating(x), floating(y))
    apart = xp.expand_dims(x, -2) - xp.expand_dims(y, -3)
    return xp.sqrt(xp.sum(apart * apart, axis=-1))


@operation("numpy", quiet=True, keeps_dtype=True)
def corrcoef(x: TensorLike) -> TensorLike:
    """Pearson's correlation of the rows of `x`, from -1 to 1.

    Shapes: (variables, observations) to (variables, variables).

    Example:

    >>> from densekit import ops
    >>> ops.corrcoef([[1.0, 2.0], [2.0, 1.0]]).round(4).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    xp, x = namespace(x), floating(x)
    rows = x if x.ndim == 2 else xp.reshape(x, (1, -1))
    rows = rows - xp.mean(rows, axis=1, keepdims=True)
    together = xp.matmul(rows, rows.T) / (rows.shape[1] - 1)
    spread = xp.sqrt(xp.diag(together))
    found = xp.clip(together / spread[:, None] / spread[None, :], -1, 1)
    return found if x.ndim == 2 else found[0, 0]


@operation("numpy", arguments=("y",), keeps_dtype=True)
def trapezoid(
    y: TensorLike, x: ArrayLike | None = None, dx: ArrayLike = 1.0, axis: int = -1
) -> TensorLike:
    """Area below the curve through samples `y`: ``sum((y[i] + y[i+1]) / 2 * (x[i+1] - x[i]))``.

    Args:
        y: the samples.
        x: where they were taken. Default: at distances `dx`.
        dx: Default: 1.
        axis: along which to add. Default: -1.

    Example:

    >>> from densekit import ops
    >>> float(ops.trapezoid([1.0, 2.0, 3.0]))
    4.0
    """
    xp, y = namespace(y, x), floating(y)
    y = xp.moveaxis(y, axis, -1)
    if x is None:
        _, y, dx = meet(y, operand(dx))
        return 0.5 * xp.sum(dx * (y[..., 1:] + y[..., :-1]), axis=-1)
    x = floating(as_array(x))
    x = x if x.ndim == 1 else xp.moveaxis(x, axis, -1)
    return 0.5 * xp.sum((x[..., 1:] - x[..., :-1]) * (y[..., 1:] + y[..., :-1]), axis=-1)


@operation("numpy")
def histogram(
    x: TensorLike, bins: int = 10, range: tuple[float, float] | None = None
) -> tuple[TensorLike, TensorLike]:
    """``(counts, edges)`` of a vector in `bins` bins of equal width over `range`.

    Args:
        x: vector.
        bins: number of bins. Default: 10.
        range: lowest and highest edge. Default: those of `x`.

    Raises:
        TypeError: if `bins` is no integer.
        ValueError: if `bins` is negative, `range` is not ascending or `x` is no vector.

    Example:

    >>> from densekit import ops
    >>> counts, edges = ops.histogram([0.0, 1.0, 1.0, 2.0], bins=2)
    >>> counts.tolist(), edges.tolist()
    ([1.0, 3.0], [0.0, 1.0, 2.0])
    """
    if not isinstance(bins, int):
        raise TypeError(message("ops.histogram", "an integer `bins`", repr(bins), "Pass a number."))
    pair = range is None or (isinstance(range, tuple) and len(range) == 2 and range[0] <= range[1])
    if bins < 0 or not pair or x.ndim != 1:
        raise ValueError(
            message(
                "ops.histogram",
                "a vector, `bins` of 0 or more and `range` (low, high)",
                f"shape {tuple(x.shape)}, bins={bins}, range={range}",
                "Pass `ops.ravel(x)` and an ascending range.",
            )
        )
    xp = namespace(x)
    if is_jax(xp):
        found, bounds = xp.histogram(x, bins=bins, range=range)
        return found, bounds
    counts, edges = np.histogram(np.asarray(x), bins=bins, range=range)
    kind = to_numpy_dtype(dtype_name(floating(x)))
    return counts.astype(kind), edges.astype(kind)


@operation("numpy", tensors=2)
def logspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    endpoint: bool = True,
    base: float | TensorLike = 10,
    dtype: DTypeLike = None,
    axis: int = 0,
) -> TensorLike:
    """``base ** linspace(start, stop, num)``.

    Example:

    >>> from densekit import ops
    >>> ops.logspace(0.0, 2.0, 3).tolist()
    [1.0, 10.0, 100.0]
    """
    line = linspace(_wide(start), _wide(stop), num, endpoint, axis=axis)
    return _narrow(base**line, start, stop, dtype)


@operation("numpy", tensors=2)
def geomspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    endpoint: bool = True,
    dtype: DTypeLike = None,
    axis: int = 0,
) -> TensorLike:
    """`num` numbers at equal ratios from `start` to `stop`, which have the same sign.

    Example:

    >>> from densekit import ops
    >>> ops.geomspace(1.0, 8.0, 4).round(4).tolist()
    [1.0, 2.0, 4.0, 8.0]
    """
    first, last = _wide(start), _wide(stop)
    xp = namespace(first, last)
    sign = xp.sign(first) + 0 * last
    line = linspace(xp.log(xp.abs(first)), xp.log(xp.abs(last)), num, endpoint, axis=axis)
    return _narrow(xp.exp(line) * xp.expand_dims(sign, axis), start, stop, dtype)


def _wide(value: ArrayLike) -> TensorLike:
    """In float64, so that only the result is rounded; JAX has its own widest type."""
    x = as_array(value)
    return x if is_jax(namespace(x)) else astype(x, "float64")


def _narrow(found: TensorLike, start: ArrayLike, stop: ArrayLike, dtype: DTypeLike) -> TensorLike:
    dtype = dtype or line_dtype(start, stop)
    return astype(found, dtype_name(np.zeros(0, to_numpy_dtype(dtype))))
