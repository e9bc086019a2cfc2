"""A step that was checked: another one like it is not checked again until something is set."""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING, Any

from densekit import engines
from densekit._core import assignments

if TYPE_CHECKING:
    from densekit._core.tapes import Updates


class CheckedStep:
    """What `Optimizer.apply` was handed when it found that `updates` makes the step.

    Args:
        updates: fit the optimizer as it is now.
    """

    def __init__(self, updates: Updates) -> None:
        self._updates = updates
        self._engine = engines.engine_kind()
        self._variables = list(updates.variables)
        self._constraints = [v.constraint for v in self._variables]
        self._count = assignments.count()

    def is_like(self, gradients: object, variables: object) -> bool:
        """Whether a step with these arguments would be found to be the same, gradients apart."""
        own = self._variables
        if self._count != assignments.count() or self._engine is not engines.engine_kind():
            return False
        if type(gradients) is not list or (
            variables is not None
            and (
                type(variables) is not list
                or len(variables) != len(own)
                or not all(map(is_, variables, own))
            )
        ):
            return False
        return [v.constraint for v in own] == self._constraints

    def apply(self, optimizer: Any, gradients: Any, variables: object) -> bool:
        """Make the step if it is like the one checked; else False, and nothing is done."""
        return self.is_like(gradients, variables) and self._updates.apply_like(optimizer, gradients)
