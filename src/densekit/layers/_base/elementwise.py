"""What layers have in common whose output has the shape of the input."""

from __future__ import annotations

from typing import Any

from densekit.layers._base.layer import Layer


class Elementwise(Layer):
    """A layer whose output is shaped like its input; masks pass through."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input."""
        return tuple(input_shape)
