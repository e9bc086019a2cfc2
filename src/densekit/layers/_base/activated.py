"""The shape that an activation makes of a shape."""

from __future__ import annotations

from collections.abc import Callable

from densekit._core.errors import returned
from densekit._core.native_form import native_form
from densekit._core.types import PartialShape
from densekit.ops._keras_tensor import KerasTensor
from densekit.ops._shape_inference import compute_output_spec
from densekit.ops._symbolic import Operation


def activated_shape(activation: Callable[..., object] | None, shape: PartialShape) -> PartialShape:
    """The shape of ``activation(x)`` for an `x` of a shape: that of `x` for most, not for all.

    A function that is not ours is tried out on a few rows.
    """
    form = native_form(activation)
    if activation is None or (form is not None and form.kind != "glu"):
        return shape
    tensor = KerasTensor(shape)
    if isinstance(activation, Operation):
        spec = activation.compute_output_spec(tensor)
    else:
        spec = compute_output_spec(activation, tensor)
    made: PartialShape = tuple(returned(spec, activation, "a tensor").shape)
    return made
