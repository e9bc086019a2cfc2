"""What the layers share that normalize along chosen axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from densekit import ops
from densekit._core.errors import describe, message
from densekit._core.types import PartialShape, TensorLike
from densekit.layers._base.elementwise import Elementwise


class AlongAxes(Elementwise):
    """A layer with an argument `axis`, one or several."""

    axis: int | Sequence[int]

    def _dk_set_axis(self, axis: object) -> None:
        if not isinstance(axis, int | list | tuple):
            raise TypeError(
                message(type(self).__name__, "`axis` int or list", describe(axis), "Pass e.g. -1.")
            )
        self.axis = axis if isinstance(axis, int) else list(axis)

    @property
    def _dk_axes(self) -> tuple[int, ...]:
        return (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)

    def _dk_fix_axes(self, input_shape: PartialShape) -> PartialShape:
        """Sort the axes, as files list them; gives their sizes."""
        self.compute_output_shape(input_shape)
        self.axis = sorted(self._dk_axes)
        return tuple(input_shape[axis] for axis in self.axis)

    def _dk_spread(self, weight: Any, inputs: TensorLike) -> TensorLike:
        """A weight, one number per entry of the axes, in a shape that broadcasts to the inputs."""
        rank = len(inputs.shape)
        axes = {axis % rank for axis in self._dk_axes}
        if axes == set(range(rank - len(axes), rank)):
            return weight  # type: ignore[no-any-return]
        shape = tuple(n if i in axes else 1 for i, n in enumerate(inputs.shape))
        return ops.reshape(weight, shape)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        """The shape of the input."""
        rank = len(input_shape)
        for axis in self._dk_axes:
            if not -rank <= axis < rank:
                raise ValueError(
                    message(
                        f"{type(self).__name__} {self.name!r}",
                        f"an axis of the input shape {tuple(input_shape)}",
                        f"axis {axis}",
                        "Count axes from 0, the batch axis.",
                    )
                )
        return tuple(input_shape)
