"""The losses of a layer: those added while it is called, and the penalties of its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from densekit import ops
from densekit._core import tree
from densekit._core.errors import describe, message, returned
from densekit._core.scope import stateless_scope
from densekit._core.types import TensorLike
from densekit.layers._base.tracking import Tracker


class LossOwner:
    """The part of `Layer` that collects losses."""

    name: str
    _tracker: Tracker
    _dk_losses: list[TensorLike]

    def add_metric(self, *args: object, **kwargs: object) -> None:
        """Gone since Keras 3.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            message(
                f"{type(self).__name__} {self.name!r}.add_metric",
                "`Model.compile(metrics=[...])`, or a metric as attribute of the layer",
                "a method of Keras 2",
                "Call the metric's `update_state` in `call`.",
            )
        )

    def add_loss(self, loss: object) -> None:
        """Add a scalar, or a structure of scalars, to what training minimises.

        Call it inside `call`: the losses of one call are forgotten when the outermost layer is next
        called.

        Raises:
            ValueError: for anything that is no tensor.
        """
        losses = tree.flatten(loss)
        for value in losses:
            if not (isinstance(value, np.generic) or ops.is_tensor(value)):
                raise ValueError(
                    message(
                        f"{type(self).__name__} {self.name!r}.add_loss",
                        "a tensor computed inside `call`",
                        describe(value),
                        "Use `keras.ops` to compute it.",
                    )
                )
        scope = stateless_scope()
        if scope is None:
            self._dk_losses.extend(losses)
        elif scope.collect_losses:
            for value in losses:
                scope.add_loss(value, self)

    def _dk_own_losses(self) -> list[TensorLike]:
        scope = stateless_scope()
        return list(self._dk_losses) if scope is None else scope.losses_of(self)

    def _dk_clear_losses(self) -> None:
        scope = stateless_scope()
        if scope is not None:
            scope.clear_losses_of(self)
        elif self._dk_losses:
            self._dk_losses.clear()
        for layer in self._tracker.layers:
            layer._dk_clear_losses()

    @property
    def losses(self) -> list[TensorLike]:
        """Added losses of this layer and those inside it, then one penalty per regularized weight.

        Penalties are computed anew on each read, for trainable weights only.
        """
        losses = self._dk_own_losses()
        for layer in sublayers(self):
            losses.extend(layer._dk_own_losses())
        for variable in self.trainable_weights:  # type: ignore[attr-defined]
            if variable.regularizer is not None:
                penalty = variable.regularizer(variable)
                losses.append(returned(penalty, variable.regularizer, "a penalty"))
        return losses

    def _dk_add_activity_losses(
        self, regularizer: Callable[..., TensorLike], outputs: TensorLike
    ) -> None:
        """Penalise each output; the mean over the batch, so that its size does not matter."""
        for output in tree.flatten(outputs):
            if not ops.is_tensor(output):
                continue
            penalty = returned(regularizer(output), regularizer, "a penalty")
            if output.ndim > 0:
                rows = output.shape[0]
                penalty = penalty / rows if rows else penalty * 0.0
            self.add_loss(penalty)


def sublayers(layer: Any) -> Iterator[Any]:
    """Every layer inside `layer`, each once, a parent before its children."""
    seen: set[int] = set()
    stack = list(reversed(layer._tracker.layers))
    while stack:
        child = stack.pop()
        if id(child) in seen:
            continue
        seen.add(id(child))
        yield child
        stack.extend(reversed(child._tracker.layers))
