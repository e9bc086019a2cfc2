"""`Rates`: learning rates that Python is asked for before a chunk, as it may not be traceable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from densekit._core.types import Array
from densekit._core.variable import Variable

# For each optimizer rates, and the count of steps at the first.
StepRates = Sequence[tuple[Array, Any]]


class Rates:
    """The rates of schedules and callables, of all optimizers that make a step.

    Args:
        optimizer: a built optimizer, or None.
    """

    def __init__(self, optimizer: Any) -> None:
        parts = [] if optimizer is None else optimizer.native_parts
        self._parts = [p for p in parts if not isinstance(p._learning_rate, Variable)]
        self._room = 0

    def of(self, steps: int) -> StepRates:
        """The rates of some steps to come, with room for the longest chunk so far."""
        self._room = max(self._room, steps)
        rates = []
        for part in self._parts:
            first = int(part._iterations.array)
            of_steps = np.resize(part.learning_rates(first, steps), self._room)
            rates.append((of_steps, np.int32(first)))
        return rates

    @property
    def shapes(self) -> list[jax.ShapeDtypeStruct]:
        """What tracing needs to know of those of a step."""
        return [jax.eval_shape(jnp.asarray, np.float64()) for _ in self._parts]

    def at(self, values: Mapping[Variable, jax.Array], rates: StepRates) -> list[jax.Array]:
        """Those of the step that the optimizers count; may be traced.

        A step that is left out is not counted, so that its rate is that of the next one.
        """
        found = []
        for part, (of_steps, first) in zip(self._parts, rates, strict=True):
            place = jnp.clip(values[part._iterations] - first, 0, len(of_steps) - 1)
            found.append(jnp.asarray(of_steps)[place])
        return found

    @contextmanager
    def given(self, rates: Sequence[jax.Array]) -> Iterator[None]:
        """Inside, optimizers have the rates of a step."""
        with ExitStack() as stack:
            for part, rate in zip(self._parts, rates, strict=True):
                stack.enter_context(part.at_rate(rate))
            yield
