"""`Variable`: a named buffer that never moves, so that native plans can keep a pointer to it."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from contextvars import ContextVar
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from densekit._core import assignments
from densekit._core.boxes import unboxed
from densekit._core.dtypes import is_float_dtype, to_numpy_dtype
from densekit._core.errors import describe, message
from densekit._core.initial_value import aligned_empty, initial_value, not_none
from densekit._core.name_scope import in_scope
from densekit._core.naming import auto_name
from densekit._core.operators import Operators, operand
from densekit._core.registry import export
from densekit._core.scope import stateless_scope, variable_scope
from densekit._core.tensor import Tensor, as_tensor, lend

if TYPE_CHECKING:
    from densekit._core.types import Array, Shape

_OWN = ("_shown", "_listeners", "home")  # attributes that no copy shares

# A number of its own for each assignment, whatever thread makes it.
_assignments = itertools.count(1)

# Compute dtype that float variables are read in (mixed precision); None reads them as they are.
autocast_dtype: ContextVar[str | None] = ContextVar("densekit_autocast", default=None)


class Home(Protocol):
    """Where else a value lies."""

    def read(self) -> Array:
        """The whole value."""

    def changed(self) -> None:
        """Called when the variable was written: what lies here is its value no more."""


@export("keras")
class Variable(Operators):
    """A tensor that keeps its name, its place in memory and what to do with it while training.

    Args:
        initializer: an array-like value, a callable ``(shape, dtype) -> array``, or the name of an
            initializer, e.g. ``"zeros"``.
        shape: shape of the value; needed with an initializer, else taken from the value. Default:
            none.
        dtype: name of the element type. Default: `floatx` for a callable, else that of the value.
        trainable: whether optimizers may update it. Default: ``True``.
        autocast: whether mixed precision may read it in the compute dtype. Default: ``True``.
        aggregation: how replicas combine it; kept for configs. Default: ``"none"``.
        synchronization: when they do; kept for configs. Default: ``"auto"``.
        name: without ``/``. Default: numbered ``variable``.
        path: names of the scopes around it, and its own. Default: by the scopes that are open.
        regularizer: gives a penalty on the value. Default: ``None``.
        constraint: gives the value that is put in place after each update. Default: ``None``.

    Raises:
        ValueError: for an unknown dtype, a missing shape or a shape with unknown entries, and for a
            `regularizer` or `constraint` that cannot be called.

    Example:

    >>> import densekit as keras
    >>> v = keras.Variable([[1.0, 2.0]], name="v")
    >>> v.assign_add([[1.0, 1.0]]).numpy().tolist()
    [[2.0, 3.0]]
    """

    __array_priority__ = 100
    reference: Variable | None = None  # the weight that it is kept for, as an optimizer's slot
    home: Home | None = None  # where an engine keeps its value: see `moved.move`

    def __init__(
        self,
        initializer: object,
        shape: tuple[int, ...] | None = None,
        dtype: object = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str | None = None,
        synchronization: str = "auto",
        name: str | None = None,
        path: str | None = None,
        regularizer: Callable[[Any], Any] | None = None,
        constraint: Callable[[Any], Any] | None = None,
    ) -> None:
        name = name or auto_name(type(self))
        if not isinstance(name, str) or "/" in name:
            raise ValueError(
                message("Variable", "a name without '/'", describe(name), "Choose another name.")
            )
        self.name = name
        self.path = path or in_scope(name)
        self.trainable = trainable
        self.autocast = autocast
        self.aggregation = aggregation or "none"
        self.synchronization = synchronization
        self.regularizer = regularizer
        self.constraint = constraint
        self._overwrite_with_gradient = False
        self._value = initial_value(self.path, initializer, shape, dtype)
        self._shown: Tensor = lend(self._value)  # made once: a view costs as much as a small op
        self.write_version = _new_write_version(self._value)  # after every write to the value
        self._listeners: WeakSet[Any] | None = None  # who keeps the numbers in another form

    # What is set is checked; reading costs no call of Python.
    @property
    def overwrite_with_gradient(self) -> bool:
        """Whether an optimizer puts the gradient in the place of the value."""
        return self._overwrite_with_gradient

    @overwrite_with_gradient.setter
    def overwrite_with_gradient(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise TypeError(
                message(f"Variable {self.path!r}", "a boolean", describe(value), "Pass True.")
            )
        self._overwrite_with_gradient = value

    def _set_regularizer(self, value: Callable[[Any], Any] | None) -> None:
        self._regularizer = self._function_or_none("regularizer", value)
        assignments.moved()

    def _set_constraint(self, value: Callable[[Any], Any] | None) -> None:
        self._constraint = self._function_or_none("constraint", value)
        assignments.moved()

    def _function_or_none(self, name: str, value: object) -> Any:
        if value is None or callable(value):
            return value
        expected = f"`{name}` to be None or callable"
        raise ValueError(
            message(f"Variable {self.path!r}", expected, describe(value), "Pass a function.")
        )

    regularizer = property(attrgetter("_regularizer"), _set_regularizer)
    constraint = property(attrgetter("_constraint"), _set_constraint)

    @property
    def array(self) -> Array:
        """The live buffer itself, for engines and savers: writing to it writes the variable.

        Ask for it anew before each write: asking is what tells engines, which may keep a copy of
        weights that stay as they are. `assign` tells them, too.
        """
        self._written()
        return self._value

    @property
    def value(self) -> Any:
        """What the variable reads as: a tensor that keeps its numbers when the variable changes.

        In a scope it is the substitute.
        """
        value = self.current()
        return lend(as_tensor(np.array(value))) if value is self._shown else value

    def current(self) -> Any:
        """Like `value`, without a copy: a read-only view that changes with the variable.

        For those who compute with it at once.
        """
        scope = variable_scope()
        if scope is not None:
            substitute = scope.get_current_value(self)
            if substitute is not None:
                return self._cast(lend(substitute))
        return self._cast(self._shown)

    def _cast(self, value: Any) -> Any:
        dtype = autocast_dtype.get()
        if dtype is None or not self.autocast:
            return value
        stored = self.numpy_dtype.name
        if dtype == stored or not is_float_dtype(stored):
            return value
        return value.astype(to_numpy_dtype(dtype))

    def numpy(self) -> Array:
        """A copy of the value."""
        return np.array(unboxed(self.current()))

    def assign(self, value: object) -> Any:
        """Overwrite the value; the shape must match exactly. Returns the variable."""
        value = not_none(self.path, operand(value))
        shape: Shape = np.shape(value)  # type: ignore[call-overload]  # whatever has one
        if tuple(shape) != self.shape:
            raise ValueError(
                message(
                    f"Variable {self.path!r}",
                    f"a value of shape {self.shape}",
                    f"shape {tuple(shape)}",
                    "Reshape the value to the variable's shape.",
                )
            )
        scope = stateless_scope()
        if scope is not None:
            scope.add_update((self, _kept(value)))
        else:
            try:
                self._value[...] = unboxed(value)
            finally:
                self._written()
        return self

    def _written(self) -> None:
        if self.write_version is not None:
            self.write_version[2] = next(_assignments)
        if self._listeners:
            for tracker in list(self._listeners):
                tracker.changed()

    def notify(self, tracker: object) -> None:
        """Call ``tracker.changed()`` after each assignment: plans hold the numbers as constants."""
        if self._listeners is None:
            self._listeners = WeakSet()
        self._listeners.add(tracker)

    def assign_add(self, value: object) -> Any:
        """Add to the value. Returns the variable."""
        return self.assign(self.current() + operand(value))

    def assign_sub(self, value: object) -> Any:
        """Subtract from the value. Returns the variable."""
        return self.assign(self.current() - operand(value))

    @property
    def dtype(self) -> str:
        """Name of the element type; where a layer casts what it reads, of what it reads."""
        stored = self.numpy_dtype.name
        dtype = autocast_dtype.get()
        if dtype is None or not self.autocast or not is_float_dtype(stored):
            return stored
        return dtype

    def snapshot(self) -> Array:
        """A copy of the buffer, whatever the variable reads as in the present scope."""
        return np.array(self._value)

    def holds(self, value: Array) -> bool:
        """Whether the buffer has these very bits, whatever the variable reads as."""
        word = np.uint8 if self._value.itemsize % 4 or not self._value.ndim else np.uint32
        return np.array_equal(self._value.view(word), value.view(word))

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The element type, as NumPy has it: without the name, which takes longer to make."""
        return self._value.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return self._value.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._value.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._value.size

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError(
                message(
                    f"Variable {self.path!r}",
                    "`copy` to be None or True: arrays of a variable's value are copies",
                    "copy=False",
                    "Leave `copy` out.",
                )
            )
        array = np.array(self.current(), dtype=dtype)
        if array.dtype == object:  # being differentiated: NumPy would lose the gradient
            raise TypeError(
                message(
                    f"Variable {self.path!r}",
                    "a function of `keras.ops` while gradients are taken",
                    "one of NumPy",
                    "Write the formula on `keras.ops`.",
                )
            )
        return array

    def __jax_array__(self) -> Any:
        """What functions of JAX read: a copy, or the substitute of a scope."""
        value = self.current()
        return sys.modules["jax.numpy"].asarray(np.array(value) if value is self._shown else value)

    def __repr__(self) -> str:
        return (
            f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}, "
            f"value={np.array2string(self._value, threshold=20)}>"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        copied = object.__new__(type(self))
        memo[id(self)] = copied
        copied.__setstate__(self.__getstate__())
        return copied

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _OWN}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        buffer = aligned_empty(state["_value"].shape, state["_value"].dtype)
        buffer[...] = state["_value"]
        self._value = buffer
        self._shown = lend(buffer)
        self._listeners = None
        self.write_version = _new_write_version(buffer)

    def __len__(self) -> int:
        return len(self._value)

    def __bool__(self) -> bool:
        if self._value.size != 1:
            raise TypeError(
                message(
                    f"Variable {self.path!r}",
                    "one number where a truth value is asked for",
                    f"shape {self.shape}",
                    "Write `ops.any(variable)` or `ops.all(variable)`.",
                )
            )
        return bool(self._value)

    def __int__(self) -> int:
        return int(self._value)

    def __float__(self) -> float:
        return float(self._value)

    def __getitem__(self, key: object) -> Any:
        value = self.current()
        part = value[key]
        return lend(part.copy()) if value is self._shown and isinstance(part, Tensor) else part

    def __hash__(self) -> int:
        return id(self)


def _new_write_version(value: Array) -> npt.NDArray[np.int64] | None:
    """``[runs that train it, such runs so far, assigned]``: engines may keep copies of a matrix."""
    return np.zeros(3, np.int64) if value.ndim > 1 else None


def _kept(value: Any) -> Any:
    """A value that stays as it is, whatever happens to the array it came as."""
    return lend(np.array(value)) if isinstance(value, np.ndarray) else value
