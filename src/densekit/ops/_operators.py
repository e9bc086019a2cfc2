"""``x + y``, ``x[0]``, ... on symbolic tensors are ops, each loaded when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from densekit import ops
from densekit.ops._keras_tensor import KerasTensor
from densekit.ops._symbolic import recorded_nodes

_BINARY = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "mod",
    "pow": "power",
    "matmul": "matmul",
    "and": "logical_and",
    "or": "logical_or",
    "xor": "logical_xor",
}
_OTHERS = {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "neg": "negative",
    "abs": "absolute",
    "invert": "logical_not",
    "round": "round",
    "getitem": "get_item",
}


def _operator(name: str) -> Callable[..., object]:
    return lambda *args: getattr(ops, name)(*args)


def _reflected(name: str) -> Callable[..., object]:
    return lambda self, other: getattr(ops, name)(other, self)


def _reshape(self: KerasTensor, newshape: Any) -> Any:
    """`ops.reshape` of this tensor."""
    return ops.reshape(self, newshape)


def _squeeze(self: KerasTensor, axis: Any = None) -> Any:
    """`ops.squeeze` of this tensor."""
    return ops.squeeze(self, axis)


def _equal(self: KerasTensor, other: object) -> Any:
    """``==``: an op where a call is followed, as on arrays; elsewhere whether it is the same."""
    if other is None or recorded_nodes.get() is None:
        return NotImplemented
    return _operator("equal")(self, other)


def _not_equal(self: KerasTensor, other: object) -> object:
    """``!=``: an op; of None it is True, as on arrays."""
    return NotImplemented if other is None else _operator("not_equal")(self, other)


KerasTensor.__eq__ = _equal  # type: ignore[method-assign,assignment]
KerasTensor.__ne__ = _not_equal  # type: ignore[method-assign,assignment]
KerasTensor.__hash__ = object.__hash__  # type: ignore[method-assign]
KerasTensor.reshape = _reshape  # type: ignore[attr-defined]
KerasTensor.squeeze = _squeeze  # type: ignore[attr-defined]
for _method, _name in {**_BINARY, **_OTHERS}.items():
    setattr(KerasTensor, f"__{_method}__", _operator(_name))
for _method, _name in _BINARY.items():
    setattr(KerasTensor, f"__r{_method}__", _reflected(_name))
