"""Value substitution: what variables read as, without touching their buffers.

Inside a `StatelessScope` a variable reads as the value given for it (an autograd box, a JAX tracer,
another array) and assignments go to the scope. This is how a definition is differentiated. A tape
is a scope, too: variables read as boxes that it watches, but assignments go to the buffers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, Protocol, Self

import numpy as np

from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Config, TensorLike

_active: ContextVar[VariableScope | None] = ContextVar("densekit_scope", default=None)


class Foreign(Protocol):
    """A tape that is kept by who traces what users compute."""

    def begin(self) -> None:
        """Record."""

    def end(self) -> None:
        """Record no more."""

    def watch(self, leaf: object) -> None:
        """Give gradients by an array or a variable, too."""

    def gradient(
        self, target: object, sources: object, seeds: object, zero: bool, accessed: bool
    ) -> object:
        """The gradients, in the structure of the sources.

        Args:
            target: a structure.
            sources: another.
            seeds: what to multiply each target by; None: ones.
            zero: whether a source that no target depends on has the gradient 0, not None.
            accessed: whether variables that train are watched by themselves.
        """

    def jacobian(
        self, target: object, sources: object, zero: bool, accessed: bool, by_row: bool
    ) -> object:
        """The gradients of every element of an array, in the structure of the sources.

        Args:
            by_row: whether those of a row by the same row of each source.
        """


class VariableScope:
    """``with scope:`` decides what variables read as; the innermost scope is asked first."""

    def tape(self) -> Foreign | None:
        """What records in the place of a tape that begins here; None: the tape itself."""
        return None

    outer: VariableScope | None = None  # the scope around it, while it is active
    _token: Token[VariableScope | None] | None = None

    def get_current_value(self, variable: Any) -> Any | None:
        """The value `variable` has in this scope, or None: that of its buffer."""
        raise NotImplementedError

    def run_model(self, model: Any, x: Any, training: bool | None) -> Any:
        """What a model gives for one array, if it is known how; else NotImplemented."""
        return NotImplemented

    def __enter__(self) -> Self:
        self.outer = _active.get()
        self._token = _active.set(self)
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._token is not None
        _active.reset(self._token)
        self.outer = self._token = None


class RecordingScope(VariableScope):
    """A scope that records what is computed, and lets assignments through to the buffers."""

    def run(self, layer: Any, args: tuple[Any, ...], kwargs: Config) -> Any:
        """The outputs of a layer called inside, recorded as one step; else NotImplemented."""
        return NotImplemented

    def run_with_values(
        self, layer: Any, pairs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """The outputs for given values of the variables, as one step; else NotImplemented."""
        return NotImplemented

    def run_loss(self, loss: object, args: tuple[object, object, object]) -> Any:
        """The value of a loss called inside, recorded as one step; else NotImplemented."""
        return NotImplemented


class StatelessScope(VariableScope):
    """``with StatelessScope([(variable, value), ...]) as scope:`` substitutes values.

    What is assigned inside is kept by the scope; the variables stay as they were.

    Args:
        state_mapping: pairs of a variable and its value inside. Default: none.
        collect_losses: whether losses that layers add inside are kept, in `losses`. Default:
            ``False``.
        initialize_variables: for Keras' sake: variables made inside have their values at once.
            Default: ``True``.

    Raises:
        ValueError: for a key that is no variable, or a value of another shape.

    Example:

    >>> import densekit as keras
    >>> v = keras.Variable(1.0)
    >>> with keras.StatelessScope([(v, 5.0)]) as scope:
    ...     doubled = v * 2
    ...     _ = v.assign(7.0)
    >>> float(doubled), float(scope.get_current_value(v)), float(v)
    (10.0, 7.0, 1.0)
    """

    def __init__(
        self,
        state_mapping: Iterable[tuple[object, object]] | None = None,
        collect_losses: bool = False,
        initialize_variables: bool = True,
    ) -> None:
        self._values = {id(v): _of_shape(v, _read(value)) for v, value in state_mapping or ()}
        self.collect_losses = collect_losses
        self.updated: set[int] = set()  # ids of the variables assigned to
        self._losses: list[tuple[object, Any]] = []

    def get_current_value(self, variable: Any) -> Any | None:
        """The value `variable` has in this scope, or None."""
        value = self._values.get(id(variable))
        if value is None and isinstance(self.outer, RecordingScope):
            return self.outer.get_current_value(variable)
        return value

    def add_update(self, update: tuple[Any, Any]) -> None:
        """Record an assignment ``(variable, value)``."""
        variable, value = update
        self._values[id(variable)] = _read(value)
        self.updated.add(id(variable))

    def add_amount(self, variable: Any, amount: Any) -> None:
        """Let the sum that `variable` holds grow."""
        variable.assign(variable.current() + amount)

    @property
    def losses(self) -> list[Any]:
        """The losses added in this scope, in order."""
        return [loss for _, loss in self._losses]

    def add_loss(self, loss: object, owner: object = None) -> None:
        """Keep a loss that `owner` added."""
        self._losses.append((owner, loss))

    def losses_of(self, owner: object) -> list[Any]:
        """The losses that `owner` added in this scope."""
        return [loss for who, loss in self._losses if who is owner]

    def clear_losses_of(self, owner: object) -> None:
        """Forget the losses of `owner`."""
        self._losses = [(who, loss) for who, loss in self._losses if who is not owner]


class Trial(StatelessScope):
    """A scope for calls on made-up arrays, to learn what shapes and types come out.

    Layers that refuse some values take these: nobody has passed them.

    Attributes:
        sized_by_values: whether a size in a result followed from values, not from shapes.
    """

    sized_by_values = False


def _trial() -> Trial | None:
    scope = _active.get()
    while scope is not None and not isinstance(scope, Trial):
        scope = scope.outer
    return scope


def on_trial() -> bool:
    """Whether what is computed now is a trial."""
    return _trial() is not None


def note_sized_by_values() -> None:
    """A size of what is computed now follows from values: one trial does not show it."""
    trial = _trial()
    if trial is not None:
        trial.sized_by_values = True


@contextmanager
def without_scope() -> Iterator[None]:
    """Inside, variables read as their buffers."""
    token = _active.set(None)
    try:
        yield
    finally:
        _active.reset(token)


def _of_shape(variable: object, value: TensorLike) -> TensorLike:
    """`value`, which is to stand for `variable`."""
    shape = getattr(variable, "shape", None)
    if not hasattr(variable, "assign") or shape is None:
        raise ValueError(
            message(
                "StatelessScope", "pairs (variable, value)", describe(variable), "Pass a Variable."
            )
        )
    if np.shape(value) != tuple(shape):
        raise ValueError(
            message(
                "StatelessScope",
                f"a value of the shape {tuple(shape)} of its variable",
                f"shape {np.shape(value)}",
                "Reshape it.",
            )
        )
    return value


def _read(value: object) -> Any:
    """What a variable holds now, as a variable that stood for itself would be read for ever."""
    return getattr(value, "value", value)


# The innermost active scope, or None. Asked at every step: a function would cost a frame.
variable_scope: Callable[[], VariableScope | None] = _active.get


def recording_scope() -> RecordingScope | None:
    """The innermost active scope, if it is a recording one."""
    scope = _active.get()
    return scope if isinstance(scope, RecordingScope) else None


def stateless_scope() -> StatelessScope | None:
    """The innermost `StatelessScope`, or None."""
    scope = _active.get()
    while scope is not None and not isinstance(scope, StatelessScope):
        scope = scope.outer
    return scope


def in_stateless_scope() -> bool:
    """Whether a `StatelessScope` is active."""
    return _active.get() is not None and stateless_scope() is not None


@export("keras")
class SymbolicScope:
    """``with SymbolicScope():`` marks code that is tried with symbolic tensors, as Keras' own does.

    Nothing here depends on it: what is tried is told apart by its tensors.

    Example:

    >>> import densekit as keras
    >>> with keras.SymbolicScope():
    ...     print(keras.ops.relu(keras.Input((2,))).shape)
    (None, 2)
    """

    def __enter__(self) -> SymbolicScope:
        return self

    def __exit__(self, *error: object) -> None:
        pass
