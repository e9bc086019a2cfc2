"""`tf.math`: functions of elements, sums and comparisons."""

from __future__ import annotations

from typing import Any

from densekit import ops
from densekit.compat.tensorflow._names import BOTH, ELEMENTWISE, REDUCTIONS, lookup

_MORE = "log log1p expm1 rsqrt reciprocal ceil erf softplus"
__getattr__ = lookup(
    "tf.math",
    BOTH
    | ELEMENTWISE
    | REDUCTIONS
    | {name: (name, {}) for name in _MORE.split()}
    | {"cumsum": ("cumsum", {}), "top_k": ("top_k", {"input": "x"})}
    | {f"is_{name}": (f"is{name}", {}) for name in ("nan", "inf", "finite")},
)


def squared_difference(x: Any, y: Any, name: str | None = None) -> Any:
    """``(x - y)**2``."""
    return ops.square(ops.subtract(x, y))


def divide_no_nan(x: Any, y: Any, name: str | None = None) -> Any:
    """``x / y``, and 0 where `y` is 0."""
    return ops.divide_no_nan(x, y)
