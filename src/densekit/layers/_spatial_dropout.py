"""`SpatialDropout1D`, `2D`, `3D`: dropout of whole features, at all positions of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from densekit import random
from densekit._core.plan import Handle, Lowered, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, TensorLike
from densekit.layers._base.formats import checked_format
from densekit.layers._base.input_spec import InputSpec
from densekit.layers._dropout import Dropout

if TYPE_CHECKING:
    from densekit.layers._base.options import FurtherOptions


class SpatialDropout(Dropout):
    """Base: one draw for each sample and feature."""

    _dk_rank: int
    data_format = "channels_last"

    def __init__(
        self,
        rate: float,
        seed: int | None = None,
        name: str | None = None,
        dtype: object = None,
        **kwargs: Unpack[FurtherOptions],
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype, **kwargs)
        self.input_spec = InputSpec(ndim=self._dk_rank)

    def call(self, inputs: TensorLike, training: bool | None = False) -> TensorLike:
        """The inputs, some features 0 if `training`."""
        if not training or self.rate == 0:
            return inputs
        shape = self._dk_noise_shape(inputs.shape)
        return random.dropout(inputs, self.rate, noise_shape=shape, seed=self.seed_generator)

    def _dk_noise_shape(self, shape: Sequence[int | None]) -> Sequence[int | None]:
        """One element for each sample and feature."""
        sizes: list[int | None] = [None, *[1] * (self._dk_rank - 1)]
        sizes[1 if self.data_format == "channels_first" else -1] = None
        return sizes

    def lower(self, plan: PlanBuilder, x: Handle) -> Lowered:
        """A mask of its own shape while training, free otherwise."""
        return super().lower(plan, x)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            "rate": self.rate,
            "seed": self.seed,
            "name": self.name,
            "dtype": self.dtype_policy.name,
        }


class _WithFormat(SpatialDropout):
    """With an argument `data_format`."""

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: object = None,
        **kwargs: Unpack[FurtherOptions],
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype, **kwargs)
        self.data_format = checked_format(type(self).__name__, data_format)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "data_format": self.data_format}


@export("keras.layers")
class SpatialDropout1D(SpatialDropout):
    """Sets a share `rate` of the features to 0 while training, at all positions of a sample.

    The others are scaled by ``1 / (1 - rate)``. Inputs: ``(batch, steps, features)``.

    Args:
        rate: share of features dropped, 0 <= rate <= 1.
        seed: integer. Default: drawn.
        name: name of the layer. Default: numbered after the class.
        dtype: dtype or dtype policy. Default: the global policy.

    Raises:
        ValueError: for a rate outside of [0, 1] or inputs that are not of rank 3.

    Example:

    >>> import densekit as keras
    >>> keras.layers.SpatialDropout1D(0.5, seed=1)(keras.ops.ones((2, 3, 4))).shape
    (2, 3, 4)

    Reference: Tompson et al., "Efficient object localization using convolutional networks" (CVPR
    2015), section 3.2.
    """

    _dk_rank = 3


@export("keras.layers")
class SpatialDropout2D(_WithFormat):
    """Sets a share `rate` of the features to 0 while training, at all positions of a sample.

    The others are scaled by ``1 / (1 - rate)``. Inputs: ``(batch, rows, columns, features)``.

    Args:
        rate: share of features dropped, 0 <= rate <= 1.
        data_format: ``"channels_last"``, or ``"channels_first"`` if the features are axis 1.
            Default: `config.image_data_format`.
        seed: integer. Default: drawn.
        name: name of the layer. Default: numbered after the class.
        dtype: dtype or dtype policy. Default: the global policy.

    Raises:
        ValueError: for a rate outside of [0, 1] or inputs that are not of rank 4.

    Example:

    >>> import densekit as keras
    >>> keras.layers.SpatialDropout2D(0.5, seed=1)(keras.ops.ones((2, 3, 3, 4))).shape
    (2, 3, 3, 4)

    Reference: Tompson et al., "Efficient object localization using convolutional networks" (CVPR
    2015), section 3.2.
    """

    _dk_rank = 4


@export("keras.layers")
class SpatialDropout3D(_WithFormat):
    """Sets a share `rate` of the features to 0 while training, at all positions of a sample.

    The others are scaled by ``1 / (1 - rate)``. Inputs: ``(batch, x, y, z, features)``.

    Args:
        rate: share of features dropped, 0 <= rate <= 1.
        data_format: ``"channels_last"``, or ``"channels_first"`` if the features are axis 1.
            Default: `config.image_data_format`.
        seed: integer. Default: drawn.
        name: name of the layer. Default: numbered after the class.
        dtype: dtype or dtype policy. Default: the global policy.

    Raises:
        ValueError: for a rate outside of [0, 1] or inputs that are not of rank 5.

    Example:

    >>> import densekit as keras
    >>> keras.layers.SpatialDropout3D(0.5, seed=1)(keras.ops.ones((2, 3, 3, 3, 4))).shape
    (2, 3, 3, 3, 4)

    Reference: Tompson et al., "Efficient object localization using convolutional networks" (CVPR
    2015), section 3.2.
    """

    _dk_rank = 5
