"""Value substitution: read and write variables without touching their buffers.

Inside a `StatelessScope` a variable reads as the value given for it (an autograd box, a JAX tracer,
another array) and assignments go to the scope. This is how a definition is differentiated.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar, Token
from typing import Any

_active: ContextVar[StatelessScope | None] = ContextVar("densekit_stateless", default=None)


class StatelessScope:
    """``with StatelessScope([(variable, value), ...]) as scope:`` substitutes values.

    With `collect_losses` the losses that layers add inside are kept in `losses`, else dropped.
    """

    def __init__(
        self,
        state_mapping: Iterable[tuple[Any, Any]] | None = None,
        collect_losses: bool = False,
    ) -> None:
        self._values = {id(v): _read(value) for v, value in state_mapping or ()}
        self.collect_losses = collect_losses
        self.has_updates = False  # whether a variable was assigned to
        self._losses: list[tuple[Any, Any]] = []
        self._token: Token[StatelessScope | None] | None = None

    def get_current_value(self, variable: Any) -> Any | None:
        """The value `variable` has in this scope, or None."""
        return self._values.get(id(variable))

    def add_update(self, update: tuple[Any, Any]) -> None:
        """Record an assignment ``(variable, value)``."""
        variable, value = update
        self._values[id(variable)] = _read(value)
        self.has_updates = True

    @property
    def losses(self) -> list[Any]:
        """The losses added in this scope, in order."""
        return [loss for _, loss in self._losses]

    def add_loss(self, loss: Any, owner: Any = None) -> None:
        """Keep a loss that `owner` added."""
        self._losses.append((owner, loss))

    def losses_of(self, owner: Any) -> list[Any]:
        """The losses that `owner` added in this scope."""
        return [loss for who, loss in self._losses if who is owner]

    def clear_losses_of(self, owner: Any) -> None:
        """Forget the losses of `owner`."""
        self._losses = [(who, loss) for who, loss in self._losses if who is not owner]

    def __enter__(self) -> StatelessScope:
        self._token = _active.set(self)
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._token is not None
        _active.reset(self._token)


def _read(value: Any) -> Any:
    """What a variable holds now, as a variable that stood for itself would be read for ever."""
    return getattr(value, "value", value)


def stateless_scope() -> StatelessScope | None:
    """The innermost active scope, or None."""
    return _active.get()


def in_stateless_scope() -> bool:
    """Whether a `StatelessScope` is active."""
    return _active.get() is not None
