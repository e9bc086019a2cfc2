"""`CompiledStep`: a step that a user wrote without side effects, compiled."""

from __future__ import annotations

from collections.abc import Callable

import jax

from densekit._core import tree
from densekit._core.frames import warn
from densekit.engines.jax.numbers import numbers


class CompiledStep:
    """Calls ``step(state, data)``, compiled once for each shape of the data.

    Args:
        step: values of variables and a batch in, results and new values out.
    """

    def __init__(self, step: Callable[..., object]) -> None:
        self._step = step
        self._compiled: Callable[..., object] | None = jax.jit(step)

    def __call__(self, state: object, data: object) -> object:
        """What the step gives."""
        leaves = [getattr(leaf, "dtype", None) for leaf in tree.flatten(state)]
        with numbers(any(dtype == "float64" for dtype in leaves)):
            if self._compiled is None:
                return self._step(state, data)
            try:
                return self._compiled(state, data)
            except jax.errors.JAXTypeError as error:
                self._compiled = None
                reason = str(error).split("\n", 1)[0]
                warn(f"{self._step.__name__} cannot be compiled and runs uncompiled: {reason}")
                return self._step(state, data)
