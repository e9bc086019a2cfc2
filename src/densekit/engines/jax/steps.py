"""One step as a pure function: values of variables and a batch in, new values and results out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp

from densekit._core import tree
from densekit._core.engine import LossTerm
from densekit._core.types import TensorLike
from densekit._core.variable import Variable
from densekit.engines.jax.measured import Measured
from densekit.engines.jax.rates import Rates
from densekit.engines.jax.scopes import Given, Values
from densekit.engines.jax.traced import Made, Touched
from densekit.engines.kinds import inside
from densekit.engines.objective import Batch, Objective, Results

if TYPE_CHECKING:
    from densekit._core.engine_kind import EngineKind


class Step:
    """A training or evaluation step.

    Args:
        kind: what models inside and the optimizer's step run on.
        function: takes one array per input, gives a structure of outputs.
        trainable: variables to train, in the optimizer's order; their penalties count.
        losses: terms of the loss.
        optimizer: a built optimizer; None for evaluation.
        measured: metrics that are part of it.
    """

    def __init__(
        self,
        kind: EngineKind,
        function: Callable[..., object],
        trainable: Sequence[Variable],
        losses: Sequence[LossTerm],
        optimizer: Any,
        measured: Measured | None = None,
    ) -> None:
        self._kind = kind
        self._objective = Objective(function, trainable, losses, optimizer is not None)
        self._trainable = list(trainable)
        self._optimizer = optimizer
        self._measured = measured
        self.rates = Rates(optimizer)
        self.added_losses = False

    def __call__(
        self,
        values: dict[Variable, jax.Array],
        batch: Batch,
        real: jax.Array | None,
        rates: Sequence[jax.Array],
        touched: Touched,
    ) -> tuple[Given, Made]:
        """A step: see `Formula`."""
        counted = cast("TensorLike | None", real)
        with inside(self._kind):
            if self._optimizer is None:
                after, results = self._evaluate(values, batch, counted, touched)
            else:
                after, results = self._train(values, batch, counted, rates, touched)
        losses = jnp.stack([jnp.asarray(x) for x in (results.total, *results.singles)])
        outputs = [jnp.asarray(y) for y in tree.flatten(results.outputs)]
        masks = [None if mask is None else jnp.asarray(mask) for mask in results.masks]
        made = Made(losses, outputs, masks, [], [])
        if self._measured is None:
            return after, made
        return self._measured(values, after, batch, real, made, touched)

    def with_metrics(self, measured: Measured) -> Step:
        """The same step, with metrics in it."""
        step = copy(self)
        step._measured = measured
        return step

    def _evaluate(
        self, values: Given, batch: Batch, real: TensorLike | None, touched: Touched
    ) -> tuple[Given, Results]:
        scope = Values(values, touched, collect_losses=True)
        results = self._objective(scope, batch, real)
        self.added_losses = self.added_losses or bool(scope.losses)
        return scope.values(), results

    def _train(
        self,
        values: dict[Variable, jax.Array],
        batch: Batch,
        real: TensorLike | None,
        rates: Sequence[jax.Array],
        touched: Touched,
    ) -> tuple[Given, Results]:
        optimizer = self._optimizer

        def zipped(trained: list[jax.Array]) -> dict[Variable, jax.Array]:
            return dict(zip(self._trainable, trained, strict=True))

        def scaled_loss(
            trained: list[jax.Array],
        ) -> tuple[jax.Array, tuple[list[jax.Array], Results]]:
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
        with scope, self.rates.given(rates):
            optimizer.apply(gradients, self._trainable)
        return scope.values(), results
