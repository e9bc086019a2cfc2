"""Types that many files share, in the words of the field.

What a user may pass as an array is an `ArrayLike`, what formulas compute with a `TensorLike`, and
an array of NumPy an `Array`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Index: TypeAlias = npt.NDArray[np.int64]

Shape: TypeAlias = tuple[int, ...]
PartialShape: TypeAlias = tuple[int | None, ...]  # None: any size
Axis: TypeAlias = int | None
Axes: TypeAlias = int | Sequence[int] | None  # None: all
DTypeLike: TypeAlias = npt.DTypeLike | None  # None: `floatx`, or that of the value

# Plain data, as files hold it. Its values are open: what `get_config` returns goes back to a
# constructor as it is, which says itself what it takes.
Config: TypeAlias = dict[str, Any]
Logs: TypeAlias = dict[str, Any]  # numbers by name, as callbacks are told them

# What `get` of a room makes a component of: its name, its config, itself or a function.
Identifier: TypeAlias = str | Mapping[str, object] | Callable[..., object] | None

# Nested tuples, lists and dicts of leaves: `_core/tree.py`.
Tree: TypeAlias = T | Sequence["Tree[T]"] | Mapping[str, "Tree[T]"]


# What a tensor is added to, indexed by ...: as its library has it. NumPy's own stubs take different
# operands for each dtype, so that no union of them fits all arrays.
Operand: TypeAlias = Any


class TensorLike(Protocol):
    """What formulas compute with: arrays of NumPy and JAX, JAX's tracers, boxes of `autograd`."""

    @property
    def shape(self) -> Shape:
        """Sizes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Element type."""

    @property
    def ndim(self) -> int:
        """Number of axes."""

    @property
    def size(self) -> int:
        """Number of elements."""

    @property
    def T(self) -> TensorLike:
        """With the axes in reverse order."""

    @property
    def max(self) -> Callable[..., TensorLike]:
        """Largest element along axes."""

    @property
    def sum(self) -> Callable[..., TensorLike]:
        """Sum along axes."""

    @property
    def view(self) -> Callable[..., TensorLike]:
        """The same memory as another type."""

    def astype(self, dtype: Operand, /) -> TensorLike: ...
    def reshape(self, shape: Operand, /) -> TensorLike: ...
    def item(self) -> Any: ...
    def tolist(self) -> Any: ...
    def __array__(self) -> Array: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[TensorLike]: ...
    def __getitem__(self, key: Operand, /) -> TensorLike: ...
    def __bool__(self) -> bool: ...
    def __int__(self) -> int: ...
    def __float__(self) -> float: ...
    def __neg__(self) -> TensorLike: ...
    def __abs__(self) -> TensorLike: ...
    def __invert__(self) -> TensorLike: ...
    def __add__(self, other: Operand, /) -> TensorLike: ...
    def __radd__(self, other: Operand, /) -> TensorLike: ...
    def __sub__(self, other: Operand, /) -> TensorLike: ...
    def __rsub__(self, other: Operand, /) -> TensorLike: ...
    def __mul__(self, other: Operand, /) -> TensorLike: ...
    def __rmul__(self, other: Operand, /) -> TensorLike: ...
    def __truediv__(self, other: Operand, /) -> TensorLike: ...
    def __rtruediv__(self, other: Operand, /) -> TensorLike: ...
    def __floordiv__(self, other: Operand, /) -> TensorLike: ...
    def __mod__(self, other: Operand, /) -> TensorLike: ...
    def __pow__(self, other: Operand, /) -> TensorLike: ...
    def __rpow__(self, other: Operand, /) -> TensorLike: ...
    def __matmul__(self, other: Operand, /) -> TensorLike: ...
    def __rmatmul__(self, other: Operand, /) -> TensorLike: ...
    def __and__(self, other: Operand, /) -> TensorLike: ...
    def __xor__(self, other: Operand, /) -> TensorLike: ...
    def __or__(self, other: Operand, /) -> TensorLike: ...
    def __lt__(self, other: Operand, /) -> TensorLike: ...
    def __le__(self, other: Operand, /) -> TensorLike: ...
    def __gt__(self, other: Operand, /) -> TensorLike: ...
    def __ge__(self, other: Operand, /) -> TensorLike: ...
    def __eq__(self, other: object, /) -> TensorLike: ...  # type: ignore[override]
    def __ne__(self, other: object, /) -> TensorLike: ...  # type: ignore[override]


Pullback: TypeAlias = Callable[
    [TensorLike], TensorLike
]  # the gradient of an input, of the output's


class HasShape(Protocol):
    """What has the shape and dtype of a tensor, if no numbers: a symbolic tensor, a variable."""

    @property
    def shape(self) -> PartialShape:
        """Sizes, None where any size goes."""

    @property
    def dtype(self) -> object:
        """Element type or its name."""


class Store(Protocol):
    """Where a layer writes its weights, by name: a group of a file."""

    def keys(self) -> Collection[str]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, name: str, /) -> Array: ...
    def __setitem__(self, name: str, value: Any, /) -> None: ...


# A number in the element type of a formula.
Real: TypeAlias = "np.floating[Any]"
ArrayLike: TypeAlias = TensorLike | HasShape | npt.ArrayLike


class Namespace(Protocol):
    """The module of an array library: `numpy`, `jax.numpy` or `autograd.numpy`."""

    __name__: str
    linalg: Namespace
    fft: Namespace

    def __hash__(self) -> int: ...
    def __getattr__(self, name: str, /) -> Callable[..., TensorLike]: ...
