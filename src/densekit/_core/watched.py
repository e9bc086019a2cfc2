"""Arrays that a tape watches.

NumPy's arrays offer no hook: a formula on one leaves no trace. So a tape lends an array it watches
another class for as long as it records, and every formula then reads the array as the tape's box.
See docs/decisions for the reasons.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from densekit._core import tree
from densekit._core.scope import variable_scope
from densekit._core.types import Array

_BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")
_COMPARE = ("lt", "le", "gt", "ge", "eq", "ne")
_UNARY = ("neg", "abs", "pos")
_METHODS = tuple(
    "astype clip copy cumprod cumsum diagonal dot flatten max mean min prod ravel repeat "  # noqa: SIM905
    "reshape squeeze std sum swapaxes take trace transpose var".split()
)

WATCHED: set[type] = set()  # the class of arrays that are watched now, once tapes are in use


def read(array: Any) -> Any:
    """A watched array as the box of the active tape; elsewhere the plain array."""
    scope = variable_scope()
    box = None if scope is None else scope.get_current_value(array)
    return array.view(np.ndarray) if box is None else box


def _read_all(arguments: object) -> Any:
    return tree.map_structure(lambda x: read(x) if type(x) in WATCHED else x, arguments)


def _ufunc(self: object, ufunc: np.ufunc, method: str, *inputs: object, **kwargs: object) -> Any:
    return getattr(ufunc, method)(*_read_all(inputs), **_read_all(kwargs))


def _function(
    self: object, func: Callable[..., object], types: object, args: object, kwargs: object
) -> object:
    recorded = sys.modules.get("autograd.numpy")
    return getattr(recorded, func.__name__, func)(*_read_all(args), **_read_all(kwargs))


def _operation(name: str) -> Callable[..., object]:
    def method(self: Array, *args: object, **kwargs: object) -> object:
        value = read(self)
        found = getattr(type(value), name, None)
        return NotImplemented if found is None else found(value, *_read_all(args), **kwargs)

    method.__name__ = name
    return method


def equip(kind: type) -> None:
    """Make a class of arrays one whose formulas read the array as a box."""
    names = [f"__{name}__" for name in (*_BINARY, *_COMPARE, *_UNARY)]
    names += [f"__r{name}__" for name in _BINARY] + ["__getitem__", *_METHODS]
    for name in names:
        setattr(kind, name, _operation(name))
    others = {"__array_ufunc__": _ufunc, "__array_function__": _function}
    for name, method in others.items():
        setattr(kind, name, method)
    kind.T = property(lambda self: read(self).T)  # type: ignore[attr-defined]
    kind.value = property(read)  # type: ignore[attr-defined]
    WATCHED.add(kind)
