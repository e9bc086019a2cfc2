"""Steps on values by the kernels that train: a copy of the optimizer makes them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from densekit import engines
from densekit._core import assignments
from densekit._core.errors import message
from densekit._core.native_form import native_form
from densekit._core.scope import StatelessScope, in_stateless_scope
from densekit._core.tensor import Tensor, give_all
from densekit._core.types import ArrayLike, TensorLike
from densekit._core.variable import Variable
from densekit.ops._dispatch import raw
from densekit.optimizers.schedules._schedule import LearningRateSchedule

if TYPE_CHECKING:
    from densekit.optimizers._optimizer import Optimizer

_ARRAYS = frozenset({np.ndarray, Tensor})


class StatelessSteps:
    """A copy of an optimizer and of what it trains; values go in and come out.

    Args:
        optimizer: a built one; what it is later does not matter to the copy.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.made_of = _numbers_of(optimizer)
        self.count = assignments.count()
        self._engine = engines.engine_kind()
        self._copy: Optimizer | None = None
        self._lock = Lock()
        if _may_be_copied(optimizer):
            copied = copy.deepcopy(optimizer)
            if isinstance(optimizer._learning_rate, LearningRateSchedule):
                # A function: its numbers may be set.
                copied._learning_rate = optimizer._learning_rate
            if self._engine.updates(copied, copied._trainable_variables) is not None:
                self._copy = copied

    def is_of(self, optimizer: Optimizer) -> bool:
        """Whether the optimizer is still what was copied, its variables apart."""
        if self._engine is not engines.engine_kind():
            return False
        if self.count != assignments.count() or self.made_of[0] != _constraints_of(optimizer):
            if self.made_of != _numbers_of(optimizer):
                return False
            self.count = assignments.count()
        return True

    def step(
        self,
        state: Sequence[object],
        gradients: Sequence[ArrayLike | None],
        values: Sequence[object],
    ) -> tuple[list[TensorLike], list[TensorLike]] | None:
        """The values after a step, and the state; None if only the definition will do."""
        copied = self._copy
        if copied is None:
            return None
        trained, own = copied._trainable_variables, copied.variables
        if len(gradients) != len(trained) or not (
            _are_like(values, trained) and _are_like(gradients, trained) and _are_like(state, own)
        ):
            return None
        with self._lock:
            for variable, value in zip((*trained, *own), (*values, *state), strict=True):
                variable.array[...] = value
            copied.apply(list(gradients), trained)
            return [np.array(v._value) for v in trained], [np.array(v._value) for v in own]


_known: WeakKeyDictionary[Optimizer, StatelessSteps] = WeakKeyDictionary()


def step_on_values(
    optimizer: Optimizer,
    state: Sequence[ArrayLike],
    gradients: Sequence[ArrayLike | None],
    values: Sequence[ArrayLike],
) -> tuple[list[TensorLike], list[TensorLike]]:
    """`Optimizer.stateless_apply`: by the kernels, else by the definition in a scope."""
    for what, given, own in (
        ("optimizer_variables", state, optimizer.variables),
        ("trainable_variables", values, optimizer._trainable_variables),
    ):
        if not optimizer.built or len(given) != len(own):
            raise ValueError(
                message(
                    f"{optimizer.name}.stateless_apply",
                    f"{len(own)} `{what}`" if optimizer.built else "a built optimizer",
                    f"{len(given)}" if optimizer.built else "one without variables",
                    "Call `build(trainable_variables)` and pass one value for each variable.",
                )
            )
    state, values = [*map(raw, state)], [*map(raw, values)]
    found = step_natively(optimizer, state, gradients, values)
    if found is not None:
        return found
    mapping = [
        *zip(optimizer._trainable_variables, values, strict=True),
        *zip(optimizer.variables, state, strict=True),
    ]
    with StatelessScope(mapping) as scope:
        optimizer.apply(gradients)
    return (
        give_all([scope.get_current_value(v) for v in optimizer._trainable_variables]),
        give_all([scope.get_current_value(v) for v in optimizer.variables]),
    )


def step_natively(
    optimizer: Optimizer,
    state: Sequence[object],
    gradients: Sequence[ArrayLike | None],
    values: Sequence[object],
) -> tuple[list[TensorLike], list[TensorLike]] | None:
    """One step on values by the kernels; None if only the definition will do."""
    if in_stateless_scope() or not all([type(v) in _ARRAYS for v in (*values, *gradients)]):
        return None
    steps = _known.get(optimizer)
    if steps is None or not steps.is_of(optimizer):
        steps = _known[optimizer] = StatelessSteps(optimizer)
    return steps.step(state, gradients, values)


def _are_like(values: Sequence[object], variables: Sequence[Variable]) -> bool:
    """Whether all are arrays of the types and shapes of the variables."""
    return all(
        [
            type(value) in _ARRAYS
            and value.dtype == variable._value.dtype  # type: ignore[attr-defined]
            and value.shape == variable._value.shape  # type: ignore[attr-defined]
            for value, variable in zip(values, variables, strict=True)
        ]
    )


def _may_be_copied(optimizer: Optimizer) -> bool:
    """Whether numbers are all there is to it: what a user wrote may hold anything."""
    rate, constraints = optimizer._learning_rate, _constraints_of(optimizer)
    return (
        native_form(optimizer) is not None
        and optimizer.loss_scale_factor is None
        and isinstance(rate, Variable | LearningRateSchedule)
        and all(c is None or native_form(c) is not None for c in constraints)
    )


def _constraints_of(optimizer: Optimizer) -> list[object]:
    return [v.constraint for v in optimizer._trainable_variables]


def _numbers_of(optimizer: Optimizer) -> tuple[object, ...]:
    """What a step depends on beside values."""
    rate = optimizer._learning_rate
    return (
        _constraints_of(optimizer),
        [None if c is None else native_form(c) for c in _constraints_of(optimizer)],
        native_form(optimizer),
        optimizer.native_options(),
        [optimizer.weight_decay_of(v) for v in optimizer._trainable_variables],
        None if isinstance(rate, Variable) else rate,
        [id(v) for v in (*optimizer._trainable_variables, *optimizer.variables)],
        optimizer.loss_scale_factor,
    )
