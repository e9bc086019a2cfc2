"""Values of variables that lie elsewhere, as parts on devices: who reads one gets it whole."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from densekit._core.initial_value import aligned_empty
from densekit._core.scope import variable_scope
from densekit._core.tensor import lend
from densekit._core.variable import Home, Variable

if TYPE_CHECKING:
    from densekit._core.types import Array

_BUFFER = ("_value", "_shown")  # attributes that a moved variable lacks
_NOBODYS = lend(np.zeros(0))
_coming_back = RLock()


class MovedVariable(Variable):
    """A variable without a buffer; it becomes a plain one with the first that reads it.

    So plain ones need no test whether their buffer is there.
    """

    _form: Array  # of its shape and type, without memory

    def __getattr__(self, name: str) -> object:
        """The buffer, filled when it is asked for; asked for nothing that is there."""
        if name == "_shown" and _stands_in(self):
            return _NOBODYS  # it is asked whether this is what the variable reads as: it is not
        if name not in _BUFFER:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._come_back()
        return getattr(self, name)

    def _come_back(self) -> None:
        with _coming_back:
            if type(self) is not MovedVariable:
                return  # another thread was first
            buffer = aligned_empty(self.shape, self.numpy_dtype)
            assert self.home is not None
            buffer[...] = self.home.read()
            del self._form
            self._value, self._shown = buffer, lend(buffer)
            self.__class__ = Variable  # type: ignore[assignment]  # the same but for methods

    @property
    def array(self) -> Array:
        """See `Variable.array`: who writes to it needs what is there."""
        self._come_back()
        return self.array

    @property
    def numpy_dtype(self) -> np.dtype[np.generic]:
        return self._form.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self._form.shape

    @property
    def ndim(self) -> int:
        return self._form.ndim

    @property
    def size(self) -> int:
        return self._form.size

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        self._come_back()
        return Variable.__deepcopy__(self, memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._come_back()
        return self.__reduce_ex__(protocol)


def move(variable: Variable, home: Home) -> None:
    """Let go of a variable's buffer: its value is now what lies at `home`."""
    if type(variable) not in (Variable, MovedVariable):
        raise TypeError("variables of users' classes keep their buffers")
    variable._written()
    if not isinstance(variable, MovedVariable):
        form = np.broadcast_to(np.empty((), variable.numpy_dtype), variable.shape)
        with _coming_back:
            del variable._value, variable._shown
            variable.__class__ = MovedVariable
            variable.__dict__["_form"] = form
    variable.home = home
    variable.notify(home)


def _stands_in(variable: Variable) -> bool:
    """Whether a scope has a substitute for the value."""
    scope = variable_scope()
    return scope is not None and scope.get_current_value(variable) is not None
