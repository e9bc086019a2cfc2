"""`PausingScope`: a scope that records, and may be told to let go for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import ref

from densekit._core.errors import message
from densekit._core.scope import Foreign, RecordingScope, VariableScope, variable_scope
from densekit.ops._deferred import Formula, paused_formula
from densekit.ops._gradient import paused_trace


class PausingScope(RecordingScope):
    """The part of a tape that stops recording and goes on."""

    _trace: int
    _recording: bool
    _formula: ref[Formula] | None
    _foreign: Foreign | None

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Inside, nothing is recorded: what is computed there is a constant to this tape.

        Raises:
            RuntimeError: if the tape does not record.

        Example:

        >>> import densekit as keras
        >>> x = keras.Variable(3.0)
        >>> with keras.GradientTape() as tape:
        ...     y = x * x
        ...     with tape.stop_recording():
        ...         factor = y + 1.0
        ...     z = factor * x
        >>> float(z), float(tape.gradient(z, x))
        (30.0, 10.0)
        """
        if not self._recording:
            raise RuntimeError(
                message(
                    "GradientTape.stop_recording",
                    "a tape that records",
                    "one that does not",
                    "Call it inside `with keras.GradientTape() as tape:`.",
                )
            )
        self._recording = False
        try:
            if self._foreign is not None:
                self._foreign.end()
                try:
                    yield
                finally:
                    self._foreign.begin()
                return
            formula = None if self._formula is None else self._formula()
            with self._out_of_the_way(), paused_formula(formula), paused_trace(self._trace):
                yield
        finally:
            self._recording = True

    @contextmanager
    def _out_of_the_way(self) -> Iterator[None]:
        """Inside, variables read as if this scope were not there."""
        inner = variable_scope()
        if inner is self:
            VariableScope.__exit__(self)
            try:
                yield
            finally:
                VariableScope.__enter__(self)
            return
        while inner is not None and inner.outer is not self:
            inner = inner.outer
        assert inner is not None  # it records, so it is one of those around
        inner.outer = self.outer
        try:
            yield
        finally:
            inner.outer = self
