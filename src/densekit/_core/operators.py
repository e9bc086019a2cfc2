"""Operators on a variable is arithmetic on its value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from densekit._core.dtypes import result_type, to_numpy_dtype
from densekit._core.tensor import Tensor
from densekit._core.types import Operand, TensorLike

_BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")
_COMPARE = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}
_LOGIC = ("and", "or", "xor")
_NUMPY = (np.ndarray, np.generic)


class Operators:
    """What holds a value, and stands for it in formulas."""

    _shown: Tensor  # the value itself, where nothing stands in for it

    def current(self) -> Any:
        """The value to compute with."""
        raise NotImplementedError

    def __neg__(self) -> Any:
        return -self.current()

    def __pos__(self) -> Any:
        return self.current()

    def __abs__(self) -> Any:
        return abs(self.current())

    def __invert__(self) -> Any:
        """``logical_not``, as in Keras."""
        return self.current() == 0

    def __round__(self, digits: int | None = None) -> Any:
        return np.round(self.current(), digits or 0)

    if TYPE_CHECKING:  # made below

        def __add__(self, other: Operand, /) -> TensorLike: ...
        def __radd__(self, other: Operand, /) -> TensorLike: ...
        def __sub__(self, other: Operand, /) -> TensorLike: ...
        def __rsub__(self, other: Operand, /) -> TensorLike: ...
        def __mul__(self, other: Operand, /) -> TensorLike: ...
        def __rmul__(self, other: Operand, /) -> TensorLike: ...
        def __truediv__(self, other: Operand, /) -> TensorLike: ...
        def __rtruediv__(self, other: Operand, /) -> TensorLike: ...
        def __floordiv__(self, other: Operand, /) -> TensorLike: ...
        def __rfloordiv__(self, other: Operand, /) -> TensorLike: ...
        def __mod__(self, other: Operand, /) -> TensorLike: ...
        def __rmod__(self, other: Operand, /) -> TensorLike: ...
        def __pow__(self, other: Operand, /) -> TensorLike: ...
        def __rpow__(self, other: Operand, /) -> TensorLike: ...
        def __matmul__(self, other: Operand, /) -> TensorLike: ...
        def __rmatmul__(self, other: Operand, /) -> TensorLike: ...
        def __lt__(self, other: Operand, /) -> TensorLike: ...
        def __le__(self, other: Operand, /) -> TensorLike: ...
        def __gt__(self, other: Operand, /) -> TensorLike: ...
        def __ge__(self, other: Operand, /) -> TensorLike: ...


def operand(value: Any) -> Any:
    """What to compute with for a value that may be a variable."""
    return value.current() if isinstance(value, Operators) else getattr(value, "value", value)


def _are_bytes(value: TensorLike, other: Operand) -> bool:
    return value.dtype == "int8" and getattr(other, "dtype", None) == "int8"


def _forward(name: str, reflected: str) -> Callable[[Operators, Any], Any]:
    divides, multiplies = "truediv" in name, "matmul" in name

    def operator(self: Operators, other: Any) -> Any:
        if getattr(other, "__array_ufunc__", True) is None:
            return NotImplemented  # as NumPy does: a symbolic tensor records the op itself
        value = self.current()
        if value is self._shown and not value.ndim:
            value = value[()]  # arithmetic of scalars gives scalars
        other = operand(other)
        if isinstance(value, _NUMPY) and (
            (isinstance(other, _NUMPY) and other.dtype is not value.dtype)
            or (value.dtype.kind in "biu" and (divides or type(other) is float))
            or type(other) is _WIDENS.get(value.dtype.kind)
        ):
            value, other = _met(value, other, divides)
        if multiplies and _are_bytes(value, other):  # as `ops.matmul`: bytes would run over
            value, other = value.astype("int32"), other.astype("int32")
        method = getattr(type(value), name, None)
        result = NotImplemented if method is None else method(value, other)
        if result is NotImplemented:  # the other one may know, but knows no variables
            method = getattr(type(other), reflected, None)
            result = NotImplemented if method is None else method(other, value)
        if (
            multiplies  # NumPy multiplies matrices of bfloat16 as float32
            and isinstance(result, _NUMPY)
            and getattr(other, "dtype", None) is value.dtype
            and result.dtype is not value.dtype
        ):
            return result.astype(value.dtype)
        return result

    operator.__name__ = name
    return operator


# The Python scalars with which NumPy makes a wider type of what is no type of its own (bfloat16),
# and of booleans, than Keras.
_WIDENS = {"V": float, "b": int}


def _met(value: Any, other: Any, divides: bool) -> tuple[Any, Any]:
    """Both in the type in which Keras has them meet, where NumPy knows another."""
    if type(other) is np.float64:  # as `np.sqrt(2)` gives
        other = float(other)
        if value.dtype.name in ("float16", "bfloat16"):  # they stay beside numbers of Python
            value = value.astype("float32")
    array = isinstance(other, _NUMPY)
    if not array and type(other) not in (bool, int, float):
        return value, other  # another library has rules of its own
    types = (value.dtype.name, other.dtype.name if array else type(other))
    dtype = to_numpy_dtype(result_type(*types, float) if divides else result_type(*types))
    if array:
        other = other.astype(dtype)
    elif dtype.kind == "V":
        other = dtype.type(other)
    return value.astype(dtype), other


def _logic(name: str) -> Callable[[Operators, Any], Any]:
    def operator(self: Operators, other: Any) -> Any:
        if getattr(other, "__array_ufunc__", True) is None:
            return NotImplemented
        true = self.current() != 0
        return getattr(true, name)(operand(other) != 0)

    operator.__name__ = name
    return operator


for _name in _BINARY:
    setattr(Operators, f"__{_name}__", _forward(f"__{_name}__", f"__r{_name}__"))
    setattr(Operators, f"__r{_name}__", _forward(f"__r{_name}__", f"__{_name}__"))
for _name, _mirrored in _COMPARE.items():
    setattr(Operators, f"__{_name}__", _forward(f"__{_name}__", f"__{_mirrored}__"))
for _name in _LOGIC:
    setattr(Operators, f"__{_name}__", _logic(f"__{_name}__"))
    setattr(Operators, f"__r{_name}__", _logic(f"__r{_name}__"))
