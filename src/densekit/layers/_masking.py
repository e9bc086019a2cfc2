"""`Masking`: positions that hold nothing but one value are left out of the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from densekit import ops
from densekit._core.masks import set_mask
from densekit._core.registry import export
from densekit._core.serialization import deserialize_keras_object
from densekit._core.types import Config, TensorLike
from densekit.layers._base.elementwise import Elementwise

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class Masking(Elementwise):
    """Masks the positions at which all features equal a value, and sets them to 0.

    Formula: ``mask = any(inputs != mask_value, axis=-1)``. The mask goes along with the outputs:
    layers that take a mask leave those positions out, and so do the loss and the metrics.

    Shapes:
        inputs and outputs: ``(batch, ..., features)``; mask: ``(batch, ...)``.

    Args:
        mask_value: the value. Default: ``0.0``.

    Example:

    >>> import densekit as keras
    >>> x = keras.ops.array([[[1.0, 2.0], [0.0, 0.0]]])
    >>> keras.layers.Masking()(x)._keras_mask.tolist()
    [[True, False]]
    """

    def __init__(self, mask_value: Any = 0.0, **kwargs: Unpack[AllLayerOptions]) -> None:
        super().__init__(**kwargs)
        if isinstance(mask_value, dict) and mask_value.get("config") is not None:
            mask_value = deserialize_keras_object(mask_value)
        self.mask_value = mask_value
        self._build_at_init()

    def compute_mask(self, inputs: TensorLike, mask: TensorLike | None = None) -> TensorLike | None:
        """True where a feature is not `mask_value`."""
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs: TensorLike) -> TensorLike:
        """The inputs, 0 where they are masked."""
        counts = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        outputs = ops.where(counts, inputs, np.zeros((), str(inputs.dtype)))
        set_mask(outputs, ops.squeeze(counts, axis=-1))
        return outputs

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "mask_value": self.mask_value}
