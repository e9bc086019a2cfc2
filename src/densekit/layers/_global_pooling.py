"""`GlobalAveragePooling1D`, `GlobalMaxPooling1D`: one number a feature from all steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from densekit import ops
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape, TensorLike
from densekit.layers._base.formats import checked_format
from densekit.layers._base.input_spec import InputSpec
from densekit.layers._base.layer import Layer

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


class GlobalPooling1D(Layer):
    """Base: the axis of the steps, and shapes."""

    def __init__(
        self,
        data_format: str | None = None,
        keepdims: bool = False,
        **kwargs: Unpack[AllLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = checked_format(type(self).__name__, data_format)
        self.keepdims = keepdims
        self.input_spec = InputSpec(ndim=3)
        self._build_at_init()

    @property
    def _dk_axis(self) -> int:
        return 1 if self.data_format == "channels_last" else 2

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> PartialShape:
        """Without the axis of the steps, or with 1 there."""
        kept = (1,) if self.keepdims else ()
        return (*input_shape[: self._dk_axis], *kept, *input_shape[self._dk_axis + 1 :])

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "data_format": self.data_format,
            "keepdims": self.keepdims,
        }


@export("keras.layers", "GlobalAvgPool1D")
class GlobalAveragePooling1D(GlobalPooling1D):
    """Mean over the steps: ``(batch, steps, features) -> (batch, features)``.

    Args:
        data_format: ``"channels_last"``, or ``"channels_first"`` if the steps are the last axis.
            Default: `config.image_data_format`.
        keepdims: whether the axis of the steps stays, with size 1. Default: ``False``.

    Raises:
        ValueError: for another `data_format` or inputs that are not of rank 3.

    Example:

    >>> import densekit as keras
    >>> keras.layers.GlobalAveragePooling1D()(keras.ops.array([[[1.0], [3.0]]])).tolist()
    [[2.0]]
    """

    def __init__(
        self,
        data_format: str | None = None,
        keepdims: bool = False,
        **kwargs: Unpack[AllLayerOptions],
    ) -> None:
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: TensorLike, mask: TensorLike | None = None) -> TensorLike:
        """The means, of the steps where `mask` is True."""
        axis, keep = self._dk_axis, self.keepdims
        if mask is None:
            return ops.mean(inputs, axis=axis, keepdims=keep)
        mask = ops.cast(ops.expand_dims(ops.cast(mask, "bool"), 3 - axis), inputs.dtype)
        total = ops.sum(ops.where(mask > 0, inputs, 0), axis=axis, keepdims=keep)
        return ops.cast(total / ops.sum(mask, axis=axis, keepdims=keep), inputs.dtype)

    def compute_mask(self, inputs: object, mask: object = None) -> None:
        """None: no step is left."""


@export("keras.layers", "GlobalMaxPool1D")
class GlobalMaxPooling1D(GlobalPooling1D):
    """Maximum over the steps: ``(batch, steps, features) -> (batch, features)``.

    Args:
        data_format: ``"channels_last"``, or ``"channels_first"`` if the steps are the last axis.
            Default: `config.image_data_format`.
        keepdims: whether the axis of the steps stays, with size 1. Default: ``False``.

    Raises:
        ValueError: for another `data_format` or inputs that are not of rank 3.

    Example:

    >>> import densekit as keras
    >>> keras.layers.GlobalMaxPooling1D()(keras.ops.array([[[1.0], [3.0]]])).tolist()
    [[3.0]]
    """

    def call(self, inputs: TensorLike) -> TensorLike:
        """The maxima."""
        return ops.max(inputs, axis=self._dk_axis, keepdims=self.keepdims)
