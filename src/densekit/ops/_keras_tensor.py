"""Symbolic tensors: shape and dtype without a value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from densekit._core import tree
from densekit._core.dtypes import standardize_dtype
from densekit._core.errors import describe, message
from densekit._core.masks import HasMask
from densekit._core.naming import auto_name
from densekit._core.registry import export
from densekit._core.types import Array, PartialShape

if TYPE_CHECKING:
    from densekit.ops._symbolic import Operation


def standardize_shape(shape: Any) -> PartialShape:
    """A shape as a tuple of non-negative ints and None."""
    try:
        checked = tuple(None if n is None else n.__index__() for n in shape)
    except (TypeError, AttributeError) as error:
        raise ValueError(
            message("shape", "a tuple of ints or None", describe(shape), "Write e.g. (784,).")
        ) from error
    if any(n is not None and n < 0 for n in checked):
        raise ValueError(
            message("shape", "sizes >= 0 or None", describe(shape), "Use None for unknown sizes.")
        )
    return checked


@export("keras")
class KerasTensor(HasMask):
    """A tensor of which only shape and dtype are known: calling layers on it records a graph.

    Args:
        shape: tuple of sizes; None stands for any size.
        dtype: name of the element type. Default: ``"float32"``.
        sparse: a note that sparse matrices are to come, which are made dense batch by batch.
            Default: ``False``.
        ragged: must be ``False``; kept for Keras' signature. Default: ``False``.
        record_history: kept for Keras' signature. Default: ``True``.
        name: Default: numbered ``keras_tensor``.

    Example:

    >>> import densekit as keras
    >>> x = keras.KerasTensor((None, 3))
    >>> (x * 2).shape
    (None, 3)
    """

    __array_ufunc__ = None  # so that NumPy leaves ``array + tensor`` to us
    _dk_mask: Any = None

    def __init__(
        self,
        shape: object,
        dtype: object = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
    ) -> None:
        if ragged:
            raise ValueError(
                message(
                    "KerasTensor", "a dense tensor", f"{ragged=}", "Pad the rows to one length."
                )
            )
        self._shape = standardize_shape(shape)
        self._dtype = standardize_dtype(dtype)
        self._sparse = bool(sparse)
        self.name = name or auto_name(type(self))
        self._keras_history: tuple[Operation, int, int] | None = None

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Sizes, None where any size goes."""
        return self._shape

    @property
    def dtype(self) -> str:
        """Name of the element type."""
        return self._dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._shape)

    @property
    def sparse(self) -> bool:
        """Whether sparse matrices are to come."""
        return self._sparse

    @property
    def ragged(self) -> bool:
        """False."""
        return False

    def __len__(self) -> int:
        if not self._shape or self._shape[0] is None:
            raise TypeError(_no_value("a length", self))
        return self._shape[0]

    def __array__(self, *args: object, **kwargs: object) -> Array:
        raise ValueError(_no_value("a NumPy array", self))

    def __bool__(self) -> bool:
        raise TypeError(_no_value("a truth value", self))

    def __float__(self) -> float:
        raise ValueError(_no_value("a float", self))

    def __int__(self) -> int:
        raise ValueError(_no_value("an int", self))

    def __index__(self) -> int:
        raise ValueError(_no_value("an index", self))

    def __iter__(self) -> Iterator[KerasTensor]:
        raise NotImplementedError(_no_value("an iterable", self))

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"


def _no_value(wanted: str, tensor: KerasTensor) -> str:
    return message(
        "KerasTensor",
        f"a value to make {wanted} of",
        f"{tensor!r}, a placeholder without a value",
        "Use `keras.ops` on it, or wrap the code in a layer's `call`.",
    )


def symbolic_leaves(structure: object) -> list[KerasTensor]:
    """The `KerasTensor`s of a nested structure, in order."""
    return [leaf for leaf in tree.flatten(structure) if isinstance(leaf, KerasTensor)]


def any_symbolic(args: tuple[Any, ...] | list[Any], kwargs: dict[str, Any] | None = None) -> bool:
    """Whether a `KerasTensor` is among the arguments, however nested."""
    for value in args:
        kind = type(value)
        if kind is KerasTensor or isinstance(value, KerasTensor):
            return True
        if kind is list or kind is tuple:
            if any_symbolic(value):
                return True
        elif kind is dict and any_symbolic(tuple(value.values())):
            return True
    return bool(kwargs) and any_symbolic(tuple(kwargs.values()))  # type: ignore[union-attr]
