"""What variables read as while JAX traces, and who notes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import jax
import jax.numpy as jnp

from densekit._core.scope import Foreign, StatelessScope
from densekit._core.types import ArrayLike
from densekit._core.variable import Variable
from densekit.engines.jax.tapes import Tapes
from densekit.engines.jax.traced import Touched

Given: TypeAlias = Mapping[Variable, jax.Array]


class Values(StatelessScope):
    """A scope that knows which variables were read and which assigned to."""

    def __init__(
        self, values: Given, touched: Touched | None, collect_losses: bool = False
    ) -> None:
        super().__init__(values.items(), collect_losses)
        self._given = values
        self._touched = touched
        self.tapes: Tapes | None = None  # those of a user's own step

    def tape(self) -> Foreign | None:
        """A tape of the trace, in a user's own step."""
        return None if self.tapes is None else self.tapes.new()

    def get_current_value(self, variable: Variable) -> jax.Array | None:
        """The value `variable` has in this scope, or None."""
        if self._touched is not None:
            self._touched.read[variable] = None
        return super().get_current_value(variable)

    def add_update(self, update: tuple[Variable, object]) -> None:
        """Keep an assignment, in the type of the variable."""
        variable, value = update
        if self._touched is not None:
            self._touched.read[variable] = self._touched.written[variable] = None
        super().add_update((variable, jnp.asarray(value, variable.numpy_dtype)))

    def values(self) -> dict[Variable, jax.Array]:
        """What the given variables hold now."""
        found = {v: StatelessScope.get_current_value(self, v) for v in self._given}
        return {v: value for v, value in found.items() if value is not None}


class Summing(Values):
    """A scope that keeps apart what sums grow by.

    Attributes:
        amounts: by variable.
    """

    def __init__(self, values: Given, touched: Touched | None) -> None:
        super().__init__(values, touched)
        self.amounts: dict[Variable, jax.Array] = {}

    def add_amount(self, variable: Variable, amount: ArrayLike) -> None:
        """A sum grows."""
        more, known = jnp.asarray(amount), self.amounts.get(variable)
        self.amounts[variable] = more if known is None else known + more
