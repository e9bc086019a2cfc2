"""`tf.math`: functions of elements, sums and comparisons."""

from __future__ import annotations

from collections.abc import Sequence

from densekit import ops
from densekit._core.types import ArrayLike, DTypeLike, TensorLike
from densekit.compat.tensorflow._names import BOTH, ELEMENTWISE, REDUCTIONS, absent, lookup

_MORE = "log log1p expm1 rsqrt reciprocal ceil erf erfinv softplus cumprod bincount in_top_k"
__getattr__ = lookup(
    "tf.math",
    BOTH
    | ELEMENTWISE
    | REDUCTIONS
    | {name: (name, {}) for name in _MORE.split()}
    | {"divide_no_nan": ("divide_no_nan", {"x": "x1", "y": "x2"})}
    | {"top_k": ("top_k", {"input": "x"})}
    | {f"is_{name}": (f"is{name}", {}) for name in ("nan", "inf", "finite")},
)


def cumsum(
    x: ArrayLike,
    axis: int = 0,
    exclusive: object = False,
    reverse: object = False,
    name: str | None = None,
) -> TensorLike:
    """`ops.cumsum`, over the first axis if none is given."""
    if exclusive or reverse:
        raise NotImplementedError(absent("tf.cumsum with exclusive or reverse"))
    return ops.cumsum(x, axis)


def argmax(
    input: ArrayLike,
    axis: int | None = None,
    output_type: DTypeLike = "int64",
    name: str | None = None,
) -> TensorLike:
    """`ops.argmax`, over the first axis if none is given."""
    return ops.cast(ops.argmax(input, 0 if axis is None else axis), output_type)


def argmin(
    input: ArrayLike,
    axis: int | None = None,
    output_type: DTypeLike = "int64",
    name: str | None = None,
) -> TensorLike:
    """`ops.argmin`, over the first axis if none is given."""
    return ops.cast(ops.argmin(input, 0 if axis is None else axis), output_type)


def add_n(inputs: Sequence[ArrayLike], name: str | None = None) -> TensorLike:
    """The sum of arrays of one shape."""
    first, *others = inputs
    total: TensorLike = ops.convert_to_tensor(first)
    for other in others:
        total = ops.add(total, other)
    return total


def l2_normalize(
    x: ArrayLike,
    axis: int | Sequence[int] | None = None,
    epsilon: float = 1e-12,
    name: str | None = None,
) -> TensorLike:
    """`x` over its length, whose square is at least `epsilon`."""
    squares = ops.sum(ops.square(x), axis, True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(squares, epsilon)))


def squared_difference(x: ArrayLike, y: ArrayLike, name: str | None = None) -> TensorLike:
    """``(x - y)**2``."""
    return ops.square(ops.subtract(x, y))
