"""`Rescaling`: fixed scale and offset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, Unpack

import numpy as np

from densekit import ops
from densekit._core import settings
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit.layers._base.elementwise import Elementwise

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class Rescaling(Elementwise):
    """``outputs = inputs * scale + offset``, for example bytes to [0, 1] by ``Rescaling(1 / 255)``.

    Args:
        scale: a number, or an array that broadcasts to the inputs.
        offset: likewise. Default: ``0.0``.

    Example:

    >>> import densekit as keras
    >>> keras.layers.Rescaling(0.5, offset=-1.0)(keras.ops.array([[0, 4]])).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(
        self, scale: ArrayLike, offset: ArrayLike = 0.0, **kwargs: Unpack[AllLayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        self._allow_non_tensor_positional_args = True
        self.scale = scale
        self.offset = offset

    def call(self, inputs: TensorLike) -> TensorLike:
        """``inputs * scale + offset`` in the compute dtype."""
        dtype = self.compute_dtype
        scale, offset = (ops.cast(x, dtype) for x in self._dk_numbers(len(inputs.shape)))
        return ops.cast(inputs, dtype) * scale + offset

    def _dk_numbers(self, rank: int) -> tuple[ArrayLike, ArrayLike]:
        """Scale and offset; of images that begin with their channels, a vector lies along these."""
        pair = self.scale, self.offset
        if rank != 4 or settings.get("image_data_format") != "channels_first":
            return pair
        scale, offset = map(np.asarray, pair)
        along = [x.reshape(-1, 1, 1) if x.ndim == 1 else x for x in (scale, offset)]
        return along[0], along[1]

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """One elementwise step; two where the numbers go along another axis than the last."""
        pair = self._dk_numbers(len(x.shape))
        numbers = [np.asarray(ops.convert_to_numpy(n)) for n in pair]
        width = x.sample_shape[-1] if x.sample_shape else 1
        if all(n.size == 1 or n.shape[-1] == n.size == width for n in numbers):
            return plan.affine(x, *pair)
        return plan.elementwise("add", plan.elementwise("multiply", x, pair[0]), pair[1])

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "scale": serialize_keras_object(self.scale),
            "offset": serialize_keras_object(self.offset),
        }

    @classmethod
    def from_config(cls, config: Config, custom_objects: Config | None = None) -> Self:
        """Create from `get_config`; `custom_objects` is of no use to it."""
        numbers = {k: deserialize_keras_object(config[k]) for k in ("scale", "offset")}
        return cls(**{**config, **numbers})
