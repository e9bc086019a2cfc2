"""What layers have in common whose output has the shape of the input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from densekit._core.types import PartialShape
from densekit.layers._base.layer import Layer

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


class Elementwise(Layer):
    """A layer whose output is shaped like its input; masks pass through."""

    def __init__(self, **kwargs: Unpack[AllLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> PartialShape:
        """The shape of the input."""
        return tuple(input_shape)
