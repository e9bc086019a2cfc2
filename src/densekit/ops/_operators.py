"""``x + y``, ``x[0]``, ... on symbolic tensors are ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from densekit.ops import _arithmetic, _comparisons, _indexing, _linear_algebra
from densekit.ops._symbolic import KerasTensor

_BINARY: dict[str, Callable[..., Any]] = {
    "add": _arithmetic.add,
    "sub": _arithmetic.subtract,
    "mul": _arithmetic.multiply,
    "truediv": _arithmetic.divide,
    "floordiv": _arithmetic.floor_divide,
    "mod": _arithmetic.mod,
    "pow": _arithmetic.power,
    "matmul": _linear_algebra.matmul,
    "and": _comparisons.logical_and,
    "or": _comparisons.logical_or,
    "xor": _comparisons.logical_xor,
}
_COMPARISONS: dict[str, Callable[..., Any]] = {
    "lt": _comparisons.less,
    "le": _comparisons.less_equal,
    "gt": _comparisons.greater,
    "ge": _comparisons.greater_equal,
    "ne": _comparisons.not_equal,
}
_UNARY: dict[str, Callable[..., Any]] = {
    "neg": _arithmetic.negative,
    "abs": _arithmetic.absolute,
    "invert": _comparisons.logical_not,
    "round": _arithmetic.round,
}


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: function(other, self)


for _name, _function in {
    **_BINARY,
    **_COMPARISONS,
    **_UNARY,
    "getitem": _indexing.get_item,
}.items():
    setattr(KerasTensor, f"__{_name}__", lambda *args, _function=_function: _function(*args))
for _name, _function in _BINARY.items():
    setattr(KerasTensor, f"__r{_name}__", _reflected(_function))
