"""`WholeBatchSession`: steps of models whose outputs are not one row for each row of the batch."""

from __future__ import annotations

from collections.abc import Sequence

from densekit import engines
from densekit._core.engine import Chunk, Engine, LossTerm
from densekit.data._streams import Feed
from densekit.training._session import Session


class WholeBatchSession(Session):
    """A `Session` by the definition; each batch is a step, as in Keras.

    Args:
        engine: makes the steps.
        others: as for `Session`.
    """

    def __init__(
        self,
        engine: engines.DefinitionEngine,
        terms: Sequence[LossTerm],
        *others: object,
    ) -> None:
        self._definition = engine
        super().__init__(engine, terms, *others)  # type: ignore[arg-type]

    def _use(self, engine: Engine) -> None:
        """Nothing to lay out: shapes are known when a step is done."""

    def chunk_steps(self, feed: Feed) -> int:
        """One step."""
        return 1

    def ends(self) -> None:
        """Nothing is kept."""

    def run(self, chunk: Chunk, training: bool) -> None:
        """Run a chunk, then update losses and metrics."""
        for step in chunk.single_steps():
            losses = self._definition.step(step)
            self._loss.add_step(losses[0, 0], step.rows)
            for i, mean in enumerate(self._term_means):
                mean.add_step(losses[0, 1 + i], step.rows)
            if self.watch is not None:
                self.watch.look(chunk, losses[:, 0])
            if self._metrics is not None:
                self._measure(step)

    def _measure(self, step: Chunk) -> None:
        assert self._metrics is not None
        for i, needed in enumerate(self._metrics.needs_predictions):
            if not needed:
                continue
            target, weight = step.targets[i], step.weights[i]
            y_true = None if target is None else target[step.picks]
            y_pred = engines.beside_targets(self._definition.outputs[i], y_true)
            self._metrics.update_output(
                i,
                y_true,
                y_pred,
                None if weight is None else weight[step.picks],
                self._definition.masks[i],
            )
