"""`DefinitionEngine`: steps of models that no plan can say, by their definition, a batch at a time.

A plan works on rows. A model whose output is one number for the batch, or whose rows are others
than those of its input, has none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from densekit import ops
from densekit._core import tree
from densekit._core.boxes import unboxed
from densekit._core.engine import Array, Chunk, LossTerm
from densekit._core.scope import StatelessScope
from densekit._core.tensor import lend
from densekit._core.types import TensorLike
from densekit._core.variable import Variable
from densekit.engines.differentiate import Differentiator, Vjp, boxed_value, in_own_dtype
from densekit.engines.kinds import engine_kind, inside
from densekit.engines.objective import Batch, Objective
from densekit.engines.rows import is_missing

if TYPE_CHECKING:
    from densekit._core.engine_kind import EngineKind


class DefinitionEngine:
    """Trains and evaluates a function of whole batches.

    Args:
        function: takes one array per input, gives a structure of outputs.
        trainable: variables to train, in the optimizer's order; their penalties count.
        state: other variables that it may assign to.
        losses: terms of the loss.
        optimizer: a built optimizer; None for evaluation.
        kind: what runs the updates and the models inside. Default: that of models told none.
    """

    def __init__(
        self,
        function: Callable[..., object],
        trainable: Sequence[Variable],
        state: Sequence[Variable],
        losses: Sequence[LossTerm],
        optimizer: Any = None,
        kind: EngineKind | None = None,
    ) -> None:
        self._trainable = list(trainable)
        self._state = list({id(variable): variable for variable in state}.values())
        self._objective = Objective(function, trainable, losses, optimizer is not None)
        self._losses = list(losses)
        self._optimizer = optimizer
        self._kind = kind
        self._differentiate = Differentiator()
        self.outputs: list[Array] = []  # of the latest step
        self.masks: list[Array | None] = []  # the same

    def step(self, chunk: Chunk) -> npt.NDArray[np.float64]:
        """One step on all rows of a chunk; its total and each single loss, (1, 1 + losses)."""
        with inside(self._kind or engine_kind()):
            return self._step(chunk)

    def _step(self, chunk: Chunk) -> npt.NDArray[np.float64]:
        def pick(column: Any) -> Any:
            there = column is not None and not is_missing(column)
            return lend(np.array(column[chunk.picks])) if there else None

        inputs = [pick(column) for column in chunk.inputs]
        rows = [pick(column) for column in chunk.targets]
        weights_of_rows = [pick(column) for column in chunk.weights]
        targets = [term.of(rows) for term in self._losses]
        weights = [term.weight_of(weights_of_rows) for term in self._losses]
        assigned: list[Variable] = []

        def definition(*values: TensorLike) -> dict[str, Any]:
            pairs = zip(self._trainable, values, strict=True)
            scope = StatelessScope([(v, in_own_dtype(v, value)) for v, value in pairs], True)
            found = self._objective(scope, Batch(inputs, targets, weights))
            assigned[:] = [v for v in self._state if scope.get_current_value(v) is not None]
            state = [scope.get_current_value(v) for v in assigned]
            self.masks = [None if m is None else np.asarray(unboxed(m)) for m in found.masks]
            return {
                "total": found.total,
                "singles": found.singles,
                "outputs": found.outputs,
                "state": state,
            }

        values = [boxed_value(variable, variable.value) for variable in self._trainable]
        if self._optimizer is None:
            results = tree.map_structure(np.asarray, definition(*values))
        else:
            results, vjp = self._differentiate(definition, values)
            self._update(results, vjp)
        for variable, value in zip(assigned, results["state"], strict=True):
            variable.assign(value)
        self.outputs = results["outputs"]
        return np.array([[results["total"], *results["singles"]]], np.float64)

    def _update(self, results: dict[str, Any], vjp: Vjp) -> None:
        seeds: dict[str, Any] = tree.map_structure(lambda leaf: None, results)
        scale = float(self._optimizer.scale_loss(1.0))
        seeds["total"] = np.asarray(scale, results["total"].dtype)
        gradients = zip(vjp(seeds), self._trainable, strict=True)
        own = [None if g is None else ops.cast(g, v.dtype) for g, v in gradients]
        self._optimizer.apply(own, self._trainable)
