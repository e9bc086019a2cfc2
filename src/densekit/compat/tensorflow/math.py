"""`tf.math`: functions of elements, sums and comparisons."""

from __future__ import annotations

from densekit import ops
from densekit._core.types import ArrayLike, TensorLike
from densekit.compat.tensorflow._names import BOTH, ELEMENTWISE, REDUCTIONS, absent, lookup

_MORE = "log log1p expm1 rsqrt reciprocal ceil erf softplus"
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


def squared_difference(x: ArrayLike, y: ArrayLike, name: str | None = None) -> TensorLike:
    """``(x - y)**2``."""
    return ops.square(ops.subtract(x, y))
