"""Arithmetic on a variable is arithmetic on its value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from densekit._core.tensor import Tensor
from densekit._core.types import Operand, TensorLike


class Operators:
    """What a variable computes with: the operators of its value."""

    _shown: Tensor

    def current(self) -> Any:
        """The value to compute with."""
        raise NotImplementedError

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


def _forward_operators() -> None:
    """Arithmetic on a variable is arithmetic on its value."""
    binary = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")
    compare = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}

    def forward(name: str, reflected: str) -> Callable[[Operators, Any], Any]:
        def operator(self: Operators, other: Any) -> Any:
            if getattr(other, "__array_ufunc__", True) is None:
                return NotImplemented  # as NumPy does: a symbolic tensor records the op itself
            value = self.current()
            if value is self._shown and not value.ndim:
                value = value[()]  # arithmetic of scalars gives scalars
            method = getattr(type(value), name, None)
            other = operand(other)
            result = NotImplemented if method is None else method(value, other)
            if result is NotImplemented:  # the other one may know, but knows no variables
                method = getattr(type(other), reflected, None)
                result = NotImplemented if method is None else method(other, value)
            return result

        operator.__name__ = name
        return operator

    for name in binary:
        setattr(Operators, f"__{name}__", forward(f"__{name}__", f"__r{name}__"))
        setattr(Operators, f"__r{name}__", forward(f"__r{name}__", f"__{name}__"))
    for name, mirrored in compare.items():
        setattr(Operators, f"__{name}__", forward(f"__{name}__", f"__{mirrored}__"))


_forward_operators()
