"""The reference engine: whole models by their definitions, differentiated by `autograd`.

It is slow, and short enough to be read: what it computes is what the formulas say. Nothing of the
native core is used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from densekit._core import tree
from densekit._core.dtypes import data_dtype
from densekit._core.engine import Array, Chunk, Engine, LossTerm, Source
from densekit._core.errors import message
from densekit._core.scope import StatelessScope
from densekit._core.tensor import lend
from densekit._core.types import TensorLike
from densekit._core.variable import Variable
from densekit.engines import kinds
from densekit.engines.definition import DefinitionEngine
from densekit.engines.exact import goes_beside
from densekit.engines.host import definition_dtype
from densekit.engines.on_host import lower_whole
from densekit.engines.plain_kind import PlainKind
from densekit.engines.reductions import reduction_of
from densekit.engines.rows import PredictsRows

if TYPE_CHECKING:
    from densekit._core.engine_kind import EngineKind

# Held from reading state to writing it: threads that predict with one model take turns.
_state_lock = threading.RLock()


class ReferenceEngine(PredictsRows):
    """A model as one function of whole batches.

    Args:
        source: the model.
        trainable: variables to train, in the optimizer's order.
        losses: what to minimise.
        optimizer: a built optimizer; None unless it trains.
    """

    flops_per_sample = 0

    def __init__(
        self,
        source: Source,
        trainable: Sequence[Variable] = (),
        losses: Sequence[LossTerm] = (),
        optimizer: Any = None,
    ) -> None:
        plan = lower_whole(source)  # tries it out, and finds what it gives
        for term in losses:
            reduction_of(term.loss)
        self.dtype = source.dtype
        self.outputs = plan.outputs
        self.n_losses = len(losses)
        self._with_loss = {term.output for term in losses}
        self.has_host_nodes = True
        self.needs_batches = plan.needs_batches
        self.writes_weights = plan.writes_weights
        self.adds_losses = self.added_losses = plan.adds_losses
        self.exact_predictions: list[Array | None] = []  # of the latest run, by output
        self.prediction_masks: list[Array | None] = []  # the same
        self.has_masks = any(mask is not None for mask in plan.masks)
        self._name = source.name
        self._definition = source.definition
        self._state = source.state
        self._inputs = [definition_dtype(kind, self.dtype) for _, kind in source.inputs]
        self._steps = DefinitionEngine(
            source.definition, trainable, source.state, losses, optimizer, ENGINE
        )

    def train(self, chunk: Chunk, predictions: list[Array | None]) -> npt.NDArray[np.float64]:
        """Train on the picked rows, one batch after the other."""
        losses = []
        exact: list[list[Array]] = [[] for _ in self.outputs]
        masks: list[list[Array]] = [[] for _ in self.outputs]
        start = 0
        for step in chunk.single_steps():
            losses.append(self._steps.step(self._in_own_types(step)))
            stop = start + step.rows
            for i, (y, room) in enumerate(zip(self._steps.outputs, predictions, strict=True)):
                if room is None:
                    continue
                self._check_rows(y, i, step.rows)
                if np.asarray(y).dtype.kind != "U":
                    room[start:stop] = np.asarray(y).reshape(step.rows, -1)
                mask = self._steps.masks[i]
                if mask is not None:
                    masks[i].append(mask)
                own = data_dtype(self.outputs[i].dtype)
                if goes_beside(own, np.dtype(self.dtype)):
                    exact[i].append(np.asarray(y, own))
            start = stop
        self.exact_predictions = [np.concatenate(ys) if ys else None for ys in exact]
        self.prediction_masks = [np.concatenate(ms) if ms else None for ms in masks]
        return np.concatenate(losses) if losses else np.empty((0, 1 + self.n_losses))

    evaluate = train  # no optimizer, no training

    def _in_own_types(self, step: Chunk) -> Chunk:
        """The picked rows of a step, in the types that definitions are handed."""

        def floats(i: int, column: Array | None) -> Array | None:
            if column is None or i not in self._with_loss:
                return None
            return np.asarray(column[step.picks], self.dtype)

        inputs = zip(step.inputs, self._inputs, strict=True)
        return step._replace(
            inputs=[np.asarray(column[step.picks], dtype) for column, dtype in inputs],
            targets=[floats(i, column) for i, column in enumerate(step.targets)],
            weights=[floats(i, column) for i, column in enumerate(step.weights)],
            picks=np.arange(step.rows),
            start=0,
        )

    def predict_into(self, inputs: list[Array], n: int, outputs: list[Array]) -> None:
        """Write the outputs of `n` rows."""
        if not n:
            return
        given = [lend(np.array(x[:], dtype)) for x, dtype in zip(inputs, self._inputs, strict=True)]
        with _state_lock, kinds.inside(ENGINE):
            with StatelessScope(collect_losses=True) as scope:
                made = tree.flatten(self._definition(*given))
                state = [(v, scope.get_current_value(v)) for v in self._state]
            for variable, value in state:
                if value is not None:
                    variable.assign(value)
        self.added_losses = self.added_losses or bool(scope.losses)
        for i, (room, y) in enumerate(zip(outputs, made, strict=True)):
            self._check_rows(y, i, n)
            room[...] = np.asarray(y)

    def _check_rows(self, y: TensorLike, i: int, n: int) -> None:
        expected = (n, *self.outputs[i].sample_shape)
        if np.shape(y) != expected:
            raise ValueError(
                message(
                    self._name,
                    f"an output of shape {expected}",
                    f"shape {np.shape(y)}",
                    "Keep the batch axis and the shape the model was built with.",
                )
            )

    def direct_call(self) -> Callable[[object], object] | None:
        """None: there is no way that is shorter than `predict`."""
        return None


class ReferenceKind(PlainKind):
    """Makes `ReferenceEngine`s."""

    name = "reference"

    def make(
        self,
        source: Source,
        trainable: Sequence[Variable] = (),
        losses: Sequence[LossTerm] = (),
        optimizer: Any = None,
    ) -> Engine:
        """An engine: see `EngineKind.make`."""
        return ReferenceEngine(source, trainable, losses, optimizer)

    def why_alone(self, engine: Engine) -> str | None:
        """It computes in Python."""
        return "the engine 'reference' computes in Python"


ENGINE: EngineKind = ReferenceKind()
