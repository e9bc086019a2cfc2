"""Steps without side effects, followed: lists of values that are handed from call to call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from densekit._core.plan import NotLowerable
from densekit._core.variable import Variable
from densekit.layers import Layer
from densekit.metrics import Metric
from densekit.optimizers import Optimizer
from densekit.training._step_values import RowLoss

METHODS = frozenset(
    {
        *("stateless_call", "stateless_apply", "stateless_compute_loss"),
        *("stateless_update_state", "stateless_result"),
    }
)


class StateValue(NamedTuple):
    """The value of a variable, after so many calls that gave it a new one."""

    variable: Variable
    version: int


class Differentiated(NamedTuple):
    """What `value_and_grad` gives, not yet called."""

    function: object
    has_aux: bool


class Calls(Protocol):
    """What such calls do, were they calls with side effects."""

    def made(self, value: object) -> object:
        """A list of the step's own."""

    def _layer(
        self, layer: Layer, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> object: ...

    def _update(
        self,
        optimizer: Optimizer,
        name: str,
        grads: object = ...,
        trainable_variables: object = ...,
        **others: object,
    ) -> None: ...

    def _compiled_loss(
        self,
        x: object = ...,
        y: object = ...,
        y_pred: object = ...,
        sample_weight: object = ...,
        training: object = ...,
    ) -> RowLoss: ...

    def _add_update(
        self, metric: Metric, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> None: ...

    def _metric_value(self, metric: Metric) -> object: ...


class StepState:
    """Which values are the latest, and what calls on values mean.

    A step that goes on with older ones, or drops what a call gave, is not followed.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._versions: dict[int, int] = {}

    def values(self, variables: Sequence[Variable]) -> object:
        """The latest values, as a list of the step's own."""
        return self._calls.made([StateValue(v, self._versions.get(id(v), 0)) for v in variables])

    def take(self, given: object, variables: Sequence[Variable]) -> None:
        """Refuse other values than the latest ones of these variables."""
        if not isinstance(given, list | tuple) or len(given) != len(variables):
            raise NotLowerable("it hands on something else than the values of its state")
        for value, variable in zip(given, variables, strict=True):
            latest = self._versions.get(id(variable), 0)
            is_value = isinstance(value, StateValue) and value.variable is variable
            if not is_value or value.version != latest:
                raise NotLowerable(f"it hands on other values than the latest of {variable.path!r}")

    def replaced(self, given: object, variables: Sequence[Variable]) -> object:
        """What a call gives that takes values and gives new ones."""
        self.take(given, variables)
        for variable in variables:
            self._versions[id(variable)] = self._versions.get(id(variable), 0) + 1
        return self.values(variables)

    def call(
        self, owner: object, name: str, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> object:
        """What a call on values gives.

        Raises:
            NotLowerable: if it is not understood.
        """
        calls, given = self._calls, list(args)
        if name == "stateless_call" and isinstance(owner, Layer) and len(given) >= 2:
            self.take(given[0], owner.trainable_variables)
            outputs = calls._layer(owner, given[2:], kwargs)
            return outputs, self.replaced(given[1], owner.non_trainable_variables)
        if name == "stateless_compute_loss" and isinstance(owner, Layer) and len(given) >= 3:
            of = owner.trainable_variables, owner.non_trainable_variables
            for values, variables in zip(given, of, strict=False):
                self.take(values, variables)
            return calls._compiled_loss(*given[3:], **kwargs), tuple(given[:3])
        if name == "stateless_apply" and isinstance(owner, Optimizer) and len(given) == 3:
            trained = owner._trainable_variables
            calls._update(owner, "apply", given[1], tuple(trained))
            state = self.replaced(given[0], owner.variables)
            return self.replaced(given[2], trained), state
        if name == "stateless_update_state" and isinstance(owner, Metric) and given:
            calls._add_update(owner, given[1:], kwargs)
            return self.replaced(given[0], owner.variables)
        if name == "stateless_result" and isinstance(owner, Metric) and len(given) == 1:
            self.take(given[0], owner.variables)
            return calls._metric_value(owner)
        raise NotLowerable(f"it calls `{name}` of {type(owner).__name__}")
