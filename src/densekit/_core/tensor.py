"""`Tensor`: the array that definitions compute with. Memory that users see is theirs.

What users' code is handed is *lent*: a read-only view, whose in-place operators make a new array,
as on JAX. So nothing is copied on the way in, and nothing that is done to it reaches the memory
behind it. What users call for is *given*: an array of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar, overload

import numpy as np

from densekit._core import settings, tree
from densekit._core.errors import message
from densekit._core.masks import HasMask, set_mask
from densekit._core.types import Array, Operand, TensorLike
from densekit._core.watched import WATCHED, read

T = TypeVar("T")

_IN_PLACE = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
    *("and", "or", "xor", "lshift", "rshift"),
)

# The product of matrices that an engine lends; takes what `np.matmul` takes. None: NumPy's.
lent_product: ContextVar[Callable[[TensorLike, TensorLike], TensorLike] | None] = ContextVar(
    "densekit_product", default=None
)

TENSORS_TOO: set[type] = set()  # single numbers that are made tensors, for scripts of TensorFlow


def array_product(x1: TensorLike, x2: TensorLike) -> TensorLike:
    """``x1 @ x2`` of NumPy arrays."""
    product: Callable[[TensorLike, TensorLike], TensorLike] = lent_product.get() or np.matmul
    return product(x1, x2)


class Tensor(HasMask, np.ndarray):
    """A NumPy array on which ``x += y`` means ``x = x + y``: other names of `x` keep their value.

    Arithmetic with it gives tensors. An element of one that is lent cannot be assigned to.

    Example:

    >>> import numpy as np
    >>> from densekit._core.tensor import lend
    >>> own = np.array([1.0, 2.0])
    >>> x = h = lend(own)
    >>> h += 1
    >>> h, x, own
    (array([2., 3.]), array([1., 2.]), array([1., 2.]))
    """

    __slots__ = ("_dk_mask",)

    def __setitem__(self, key: Operand, value: Operand) -> None:
        if not self.flags.writeable:
            raise TypeError(
                message(
                    "tensor[...] = value",
                    "an array of your own",
                    "a tensor, which does not support item assignment",
                    "Use `keras.ops.slice_update`, `scatter_update` or `where`, or work on "
                    "`np.array(tensor)`.",
                )
            )
        super().__setitem__(key, value)

    def __repr__(self) -> str:
        return repr(self.view(np.ndarray))

    def __matmul__(self, other: Any) -> Any:
        product = lent_product.get()
        if product is None or not isinstance(other, np.ndarray):
            return super().__matmul__(other)
        return as_tensor(product(self, other))

    def __rmatmul__(self, other: Any) -> Any:
        product = lent_product.get()
        if product is None or not isinstance(other, np.ndarray):
            return super().__rmatmul__(other)
        return as_tensor(product(other, self))

    def __eq__(self, other: object) -> TensorLike:  # type: ignore[override]
        return NotImplemented if other is None else super().__eq__(other)  # it is not None

    def __ne__(self, other: object) -> TensorLike:  # type: ignore[override]
        return NotImplemented if other is None else super().__ne__(other)

    def __round__(self, digits: int | None = None) -> Any:
        return round(self.item(), digits)

    def __reduce__(self) -> Any:
        return np.array(self).__reduce__()


class MaskedArray(HasMask, np.ndarray):
    """An array of a user's own with a mask that goes along: what is computed from it has none."""

    __slots__ = ("_dk_mask",)

    def __array_wrap__(
        self, array: Any, context: object = None, return_scalar: bool = False
    ) -> Any:
        return array[()] if return_scalar else np.asarray(array)

    def __repr__(self) -> str:
        return repr(self.view(np.ndarray))

    def __reduce__(self) -> Any:
        return np.array(self).__reduce__()


def _rebinding(operator: Callable[..., Any]) -> Callable[..., object]:
    """``x += y`` that makes a new array, no wider than a float64 that is already there."""

    def in_place(self: Tensor, other: object) -> object:
        result = operator(self, other)
        if getattr(result, "dtype", None) != np.float64 or self.dtype == np.float64:
            return result
        return result.astype(self.dtype if self.dtype.kind == "f" else settings.floatx())

    return in_place


for _name in _IN_PLACE:
    setattr(Tensor, f"__i{_name}__", _rebinding(getattr(np.ndarray, f"__{_name}__")))


def lend(value: Any) -> Any:
    """An array as a read-only tensor on the same memory; anything else as it is."""
    if type(value) in WATCHED:
        value = read(value)
    if isinstance(value, np.ndarray) and (type(value) is not Tensor or value.flags.writeable):
        mask = None if type(value) is np.ndarray else getattr(value, "_dk_mask", None)
        value = value.view(Tensor)
        value.setflags(False)
        if mask is not None:
            set_mask(value, mask)
    return value


def give(value: Any) -> Any:
    """An array as a plain one of the receiver's own; anything else as it is."""
    if not isinstance(value, np.ndarray):
        return value
    mask = None if type(value) is np.ndarray else getattr(value, "_dk_mask", None)
    return np.array(value) if mask is None else with_mask(np.array(value), give(mask))


def with_mask(array: Array, mask: object) -> MaskedArray:
    """An array that its mask goes along with, on the same memory."""
    masked = array.view(MaskedArray)
    set_mask(masked, mask)
    return masked


def lend_all(structure: object) -> Any:
    """`lend` for each leaf."""
    if isinstance(structure, np.ndarray) or not tree.is_nested(structure):
        return lend(structure)
    return tree.map_structure(lend, structure)


def give_all(structure: object) -> Any:
    """`give` for each leaf."""
    if isinstance(structure, np.ndarray) or not tree.is_nested(structure):
        return give(structure)
    return tree.map_structure(give, structure)


@overload
def as_tensor(value: Array) -> Tensor: ...
@overload
def as_tensor(value: T) -> T: ...
def as_tensor(value: Any) -> Any:
    """A plain array that nobody else holds as a tensor on its memory; else the value itself."""
    if type(value) is np.ndarray:
        return value.view(Tensor)
    return np.asarray(value).view(Tensor) if type(value) in TENSORS_TOO else value
