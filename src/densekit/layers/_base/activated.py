"""The shape that an activation makes of a shape."""

from __future__ import annotations

from typing import Any

from densekit._core.errors import returned
from densekit._core.native_form import native_form
from densekit.layers._base.shapes import Shape
from densekit.ops._symbolic import KerasTensor, Operation, compute_output_spec


def activated_shape(activation: Any, shape: Shape) -> Shape:
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
    made: Shape = tuple(returned(spec, activation, "a tensor").shape)
    return made
