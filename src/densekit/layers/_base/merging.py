"""What the layers share that make one tensor of several of the same shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from densekit import ops
from densekit._core.errors import describe, message
from densekit.layers._base.layer import Layer
from densekit.layers._base.shapes import Shape, is_shape
from densekit.ops._symbolic import KerasTensor


class Merge(Layer):
    """Base of elementwise merges; inputs of lower rank get axes of size 1 after the batch axis."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def _dk_refuse(self, expected: str, got: Any, action: str) -> ValueError:
        where = f"{type(self).__name__} {self.name!r}"
        got = got if isinstance(got, str) else describe(got)
        return ValueError(message(where, expected, got, action))

    def _dk_check_list(self, shapes: Any) -> None:
        if not isinstance(shapes, list | tuple) or not shapes or is_shape(shapes):
            raise self._dk_refuse(
                "a list of inputs", f"input shape {shapes}", "Call it on a list: layer([a, b])."
            )

    def build(self, input_shape: Any) -> None:
        """Check that the inputs fit; there are no weights."""
        self._dk_check_list(input_shape)
        self.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """The broadcast shape."""
        self._dk_check_list(input_shape)
        batches = {shape[0] for shape in input_shape if shape} - {None}
        if len(batches) > 1:
            raise self._dk_refuse(
                "one batch size", f"{list(input_shape)}", "Pass as many rows each."
            )
        merged: Shape = tuple(input_shape[0][1:])
        for shape in input_shape[1:]:
            merged = self._dk_broadcast(merged, tuple(shape[1:]), input_shape)
        return (next(iter(batches), None), *merged)

    def _dk_broadcast(self, a: Shape, b: Shape, shapes: Any) -> Shape:
        rank = max(len(a), len(b))
        a, b = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
        sizes: list[int | None] = []
        for m, n in zip(a, b, strict=True):
            if m != n and None not in (m, n) and 1 not in (m, n):
                raise self._dk_refuse("shapes that fit", f"{list(shapes)}", "Reshape the inputs.")
            known = n if m == 1 else m
            sizes.append(None if None in (m, n) else known)
        return tuple(sizes)

    def compute_output_spec(self, inputs: Any) -> KerasTensor:
        """The broadcast shape, of the compute dtype."""
        if not isinstance(inputs, list | tuple):
            self._dk_check_list(inputs.shape)
        shape = self.compute_output_shape([x.shape for x in inputs])
        return KerasTensor(shape, dtype=self.compute_dtype)

    def call(self, inputs: Any) -> Any:
        """The merged inputs."""
        if not isinstance(inputs, list | tuple):
            raise self._dk_refuse("a list of inputs", inputs, "Call it on a list: layer([a, b]).")
        rank = max(len(x.shape) for x in inputs)
        aligned = []
        for x in inputs:
            missing = rank - len(x.shape)
            shape = (*x.shape[:1], *(1,) * missing, *x.shape[1:])
            aligned.append(ops.reshape(x, shape) if missing else x)
        return self._merge_function(aligned)

    def _merge_function(self, inputs: Sequence[Any]) -> Any:
        """The formula, on a list of tensors of one rank."""
        raise NotImplementedError

    def _dk_check_pair(self, inputs: Any) -> None:
        if len(inputs) != 2:
            raise self._dk_refuse("exactly 2 inputs", f"{len(inputs)}", "Call it on [a, b].")
