"""Updates by gradients that users computed, by the kernels that train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from densekit._core.native_form import native_form
from densekit._core.types import Array
from densekit._core.variable import Variable
from densekit.engines.native import NativeEngine
from densekit.engines.plan import PlanBuilder


class NativeUpdates:
    """A plan of nothing but variables and their optimizer.

    Args:
        optimizer: a built one with a native form.
        variables: those it was built on, of one dtype.
    """

    engine = "native"

    def __init__(self, optimizer: object, variables: Sequence[Variable]) -> None:
        self.variables = list(variables)
        self._numbers = _numbers(optimizer, self.variables)
        plan = PlanBuilder(self.variables[0].dtype, True)
        self._engine = NativeEngine(plan, self.variables, (), optimizer, penalties=False)

    @staticmethod
    def can_update(optimizer: object, variables: Sequence[Variable]) -> bool:
        """Whether the kernels know the optimizer and the types of the variables."""
        dtypes = {v.dtype for v in variables}
        known = len(dtypes) == 1 and dtypes <= {"float32", "float64"}
        return known and native_form(optimizer) is not None

    def fits(self, optimizer: object) -> bool:
        """Whether the optimizer's numbers and the variables' constraints are still the same."""
        return bool(self._numbers == _numbers(optimizer, self.variables))

    def apply(self, optimizer: Any, gradients: list[Array]) -> None:
        """One step; the variables and the optimizer's count move on."""
        iteration = optimizer.steps_counted()
        rate = optimizer.rate_at(iteration)
        self._engine.plan.apply(gradients, iteration, rate)
        optimizer.advance(1)

    def apply_like(self, optimizer: Any, gradients: list[Array]) -> bool:
        """The same if each gradient has type and shape of its variable; else nothing, and False."""
        iteration = int(optimizer._iterations._value)
        done: bool = self._engine.plan.apply_like(
            gradients, iteration, optimizer.rate_at(iteration)
        )
        if done:
            optimizer._iterations.array[()] = iteration + 1
        return done


def _numbers(optimizer: Any, variables: Sequence[Variable]) -> Any:
    return (
        native_form(optimizer),
        optimizer.native_options(),
        [(optimizer.weight_decay_of(v), id(v.constraint)) for v in variables],
    )
