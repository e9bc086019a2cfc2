"""One step as a pure function: values of variables and a batch in, new values and results out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from densekit._core.engine import EngineKind, LossTerm
from densekit._core.scope import StatelessScope
from densekit._core.variable import Variable
from densekit.engines.jax.rates import Rates, Told
from densekit.engines.kinds import inside
from densekit.engines.objective import Batch, Objective, Results


class Values(StatelessScope):
    """A scope that knows which variables were read and which assigned to."""

    def __init__(
        self, values: dict[Variable, Any], touched: Touched | None, collect_losses: bool = False
    ) -> None:
        super().__init__(values.items(), collect_losses)
        self._given = values
        self._touched = touched

    def get_current_value(self, variable: Any) -> Any | None:
        """The value `variable` has in this scope, or None."""
        if self._touched is not None:
            self._touched.read[variable] = None
        return super().get_current_value(variable)

    def add_update(self, update: tuple[Any, Any]) -> None:
        """Keep an assignment, in the type of the variable."""
        variable, value = update
        if self._touched is not None:
            self._touched.read[variable] = self._touched.written[variable] = None
        super().add_update((variable, jnp.asarray(value, variable.dtype)))

    def values(self) -> dict[Variable, Any]:
        """What the given variables hold now."""
        return {v: StatelessScope.get_current_value(self, v) for v in self._given}


class Touched(NamedTuple):
    """The variables that a step reads, and those that it assigns to, in order."""

    read: dict[Variable, None]
    written: dict[Variable, None]


class Step:
    """A training or evaluation step.

    Args:
        kind: what models inside and the optimizer's step run on.
        function: takes one array per input, gives a structure of outputs.
        trainable: variables to train, in the optimizer's order; their penalties count.
        losses: terms of the loss.
        optimizer: a built optimizer; None for evaluation.
    """

    def __init__(
        self,
        kind: EngineKind,
        function: Callable[..., Any],
        trainable: Sequence[Variable],
        losses: Sequence[LossTerm],
        optimizer: Any,
    ) -> None:
        self._kind = kind
        self._objective = Objective(function, trainable, losses, optimizer is not None)
        self._trainable = list(trainable)
        self._optimizer = optimizer
        self.rates = Rates(optimizer)
        self.added_losses = False

    def __call__(
        self,
        values: dict[Variable, Any],
        batch: Batch,
        real: Any = None,
        rates: Told = (),
        touched: Touched | None = None,
    ) -> tuple[dict[Variable, Any], Results]:
        """New values of the variables, and what the step gave.

        Args:
            values: of all variables that may be touched; others count as constants.
            real: how many rows count; None: all.
            rates: those that `Rates.of` gave for the chunk.
            touched: told what is read and written.
        """
        with inside(self._kind):
            if self._optimizer is None:
                return self._evaluate(values, batch, real, touched)
            return self._train(values, batch, real, rates, touched)

    def _evaluate(
        self, values: dict[Variable, Any], batch: Batch, real: Any, touched: Touched | None
    ) -> tuple[dict[Variable, Any], Results]:
        scope = Values(values, touched, collect_losses=True)
        results = self._objective(scope, batch, real)
        self.added_losses = self.added_losses or bool(scope.losses)
        return scope.values(), results

    def _train(
        self,
        values: dict[Variable, Any],
        batch: Batch,
        real: Any,
        rates: Told,
        touched: Touched | None,
    ) -> tuple[dict[Variable, Any], Results]:
        optimizer = self._optimizer

        def zipped(trained: list[Any]) -> dict[Variable, Any]:
            return dict(zip(self._trainable, trained, strict=True))

        def scaled_loss(trained: list[Any]) -> Any:
            given = values | zipped(trained)
            scope = Values(given, touched, collect_losses=True)
            results = self._objective(scope, batch, real)
            self.added_losses = self.added_losses or bool(scope.losses)
            with Values(given, touched):
                total = optimizer.scale_loss(results.total)
            after = scope.values() | zipped(trained)  # a call may show others; training counts
            return jnp.asarray(total), (list(after.values()), results)

        trained = [values[v] for v in self._trainable]
        gradients, (after, results) = jax.grad(scaled_loss, has_aux=True)(trained)
        given = dict(zip(values, after, strict=True))
        scope = Values(given, touched)
        with scope, self.rates.told(given, rates):
            optimizer.apply(gradients, self._trainable)
        return scope.values(), results
