"""`RepeatVector`: the same vector several times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from densekit import ops
from densekit._core.errors import describe, message
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape, TensorLike
from densekit.layers._base.input_spec import InputSpec
from densekit.layers._base.layer import Layer

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class RepeatVector(Layer):
    """Repeats each row: ``(batch, features) -> (batch, n, features)``.

    Args:
        n: how often, an integer >= 1.

    Raises:
        TypeError: if `n` is no integer.
        ValueError: if `n` < 1.

    Example:

    >>> import densekit as keras
    >>> keras.layers.RepeatVector(3)(keras.ops.ones((5, 2))).shape
    (5, 3, 2)
    """

    def __init__(self, n: int, **kwargs: Unpack[AllLayerOptions]) -> None:
        super().__init__(**kwargs)
        if not isinstance(n, int | np.integer) or isinstance(n, bool):
            raise TypeError(message("RepeatVector", "an integer `n`", describe(n), "Pass e.g. 2."))
        if n <= 0:
            raise ValueError(message("RepeatVector", "`n` >= 1", describe(n), "Pass e.g. 2."))
        self.n = int(n)
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: TensorLike) -> TensorLike:
        """The repeated rows."""
        return ops.repeat(ops.expand_dims(inputs, 1), self.n, axis=1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> PartialShape:
        """``(batch, n, features)``."""
        return (input_shape[0], self.n, input_shape[1])

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """The elements in other places."""
        return plan.broadcast(plan.reshape(x, (1, x.size)), (self.n, x.size))

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "n": self.n}
