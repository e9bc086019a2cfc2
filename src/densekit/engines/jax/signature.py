"""Which engines compute the same formula, on other numbers: what one traced, all can run."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol

import numpy as np

from densekit._core.engine import LossTerm, Source
from densekit._core.native_form import native_form
from densekit._core.seeds import SeedGenerator
from densekit._core.variable import Variable
from densekit.engines.plan import PlanBuilder
from densekit.engines.reductions import reduction_of

_OWN_NUMBERS = ("name", "learning_rate")  # of an optimizer, which variables hold or steps are told


class Optimizer(Protocol):
    """What must be equal of two optimizers."""

    _learning_rate: object

    @property
    def native_parts(self) -> Sequence[object]:
        """Those that make its steps."""

    def get_config(self) -> Mapping[str, object]:
        """Its numbers, by name."""

    def weight_decay_of(self, variable: Variable) -> float:
        """The weight decay of a variable; 0 for none."""

    def native_slots(self, variable: Variable) -> Sequence[Variable]:
        """What it keeps for a variable."""


class _Own(Exception):
    """Something is of the user's making: only tracing it would tell."""


def signature_of(
    source: Source,
    plan: PlanBuilder,
    known: Sequence[Variable],
    trainable: Sequence[Variable],
    losses: Sequence[LossTerm],
    optimizer: Optimizer | None,
) -> Hashable | None:
    """Equal for engines of the same formula; None if it has parts that only tracing would tell.

    A plan without host nodes says all of a model, as the native engine runs it by that alone.

    Args:
        known: all variables that a step may touch, in the order of the model.
    """
    if source.graph is None or plan.has_host_nodes or plan.adds_losses:
        return None
    places = {id(variable): i for i, variable in enumerate(known)}
    try:
        return (
            source.dtype,
            source.training,
            tuple((shape, dtype) for shape, dtype in source.inputs),
            tuple(
                (op.kind, op.inputs, op.outputs, _plain(op.arguments, places), op.precision)
                for op in plan.ops
            ),
            tuple((y.value, y.shape, y.dtype) for y in plan.outputs),
            tuple(_plain(generator, places) for generator in plan.seed_generators),
            tuple(_of_variable(variable) for variable in known),
            tuple(places[id(variable)] for variable in trainable),
            tuple(_of_loss(term) for term in losses),
            _of_optimizer(optimizer, trainable, places),
        )
    except _Own:
        return None


def _plain(value: object, places: Mapping[int, int]) -> Hashable:
    """A value as one that compares by what is in it; variables by their places."""
    if isinstance(value, Variable):
        return "variable", _place(value, places)
    if isinstance(value, SeedGenerator):
        return "seed", _place(value.state, places)
    if isinstance(value, dict):
        return tuple((key, _plain(part, places)) for key, part in sorted(value.items()))
    if isinstance(value, list | tuple):
        return tuple(_plain(part, places) for part in value)
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    raise _Own


def _place(variable: Variable, places: Mapping[int, int]) -> int:
    if id(variable) not in places:
        raise _Own
    return places[id(variable)]


def _of_variable(variable: Variable) -> Hashable:
    parts = []
    for part in (variable.regularizer, variable.constraint):
        form = None if part is None else native_form(part)
        if part is not None and form is None:
            raise _Own
        parts.append(form)
    flags = variable.trainable, variable.autocast, variable.overwrite_with_gradient
    return variable.shape, variable.dtype, flags, *parts


def _of_loss(term: LossTerm) -> Hashable:
    form = native_form(term.loss)
    if form is None:
        raise _Own
    return term.output, form, reduction_of(term.loss), term.weight, term.target


def _of_optimizer(
    optimizer: Optimizer | None, trainable: Sequence[Variable], places: Mapping[int, int]
) -> Hashable:
    if optimizer is None:
        return None
    if native_form(optimizer) is None or list(optimizer.native_parts) != [optimizer]:
        raise _Own
    config = {k: v for k, v in optimizer.get_config().items() if k not in _OWN_NUMBERS}
    rate_is_given = not isinstance(optimizer._learning_rate, Variable)
    return (
        type(optimizer).__qualname__,
        rate_is_given,
        _plain(config, places),
        tuple(optimizer.weight_decay_of(v) for v in trainable),
        tuple(_plain(optimizer.native_slots(v), places) for v in trainable),
    )
