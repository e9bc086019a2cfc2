"""What the layers share that make one tensor of several of the same shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, Unpack

from densekit import ops
from densekit._core.errors import describe, message
from densekit._core.masks import mask_of, set_mask
from densekit._core.types import ArrayLike, PartialShape, TensorLike
from densekit.layers._base.layer import Layer
from densekit.layers._base.shapes import is_shape
from densekit.ops._keras_tensor import KerasTensor

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


class Merge(Layer):
    """Base of elementwise merges; inputs of lower rank get axes of size 1 after the batch axis."""

    def __init__(self, **kwargs: Unpack[AllLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def _dk_refuse(self, expected: str, got: object, action: str) -> ValueError:
        where = f"{type(self).__name__} {self.name!r}"
        got = got if isinstance(got, str) else describe(got)
        return ValueError(message(where, expected, got, action))

    def _dk_check_list(self, shapes: Sequence[PartialShape]) -> None:
        if not isinstance(shapes, list | tuple) or not shapes or is_shape(shapes):
            raise self._dk_refuse(
                "a list of inputs", f"input shape {shapes}", "Call it on a list: layer([a, b])."
            )

    def build(self, input_shape: Sequence[PartialShape]) -> None:
        """Check that the inputs fit; there are no weights."""
        self._dk_check_list(input_shape)
        self.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape: Sequence[PartialShape]) -> PartialShape:
        """The broadcast shape."""
        self._dk_check_list(input_shape)
        batches = {shape[0] for shape in input_shape if shape} - {None}
        if len(batches) > 1:
            raise self._dk_refuse(
                "one batch size", f"{list(input_shape)}", "Pass as many rows each."
            )
        merged: PartialShape = tuple(input_shape[0][1:])
        for shape in input_shape[1:]:
            merged = self._dk_broadcast(merged, tuple(shape[1:]), input_shape)
        return (next(iter(batches), None), *merged)

    def _dk_broadcast(
        self, a: PartialShape, b: PartialShape, shapes: Sequence[PartialShape]
    ) -> PartialShape:
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

    def call(self, inputs: Sequence[TensorLike]) -> TensorLike:
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

    def _merge_function(self, inputs: Sequence[TensorLike]) -> TensorLike:
        """The formula, on a list of tensors of one rank."""
        raise NotImplementedError

    def compute_mask(self, inputs: Any, mask: Any = None) -> TensorLike | None:
        """True where a position counts in any input; None unless each input has a mask."""
        masks = self._dk_checked_masks(inputs, mask)
        known = [m for m in masks if m is not None]
        return None if len(known) < len(masks) else reduce(ops.logical_or, known)

    def _dk_checked_masks(self, inputs: Any, mask: Any) -> list[TensorLike | None]:
        if mask is None:
            return [None]
        for name, value in {"mask": mask, "inputs": inputs}.items():
            if not isinstance(value, list | tuple):
                raise self._dk_refuse(f"`{name}` should be a list", value, "Pass one for each.")
        if len(mask) != len(inputs):
            raise self._dk_refuse(
                "as many masks as inputs, lists of the same length",
                f"{len(mask)} masks of {len(inputs)} inputs",
                "Pass one for each; None for no mask.",
            )
        return list(mask)

    def _dk_check_pair(self, inputs: Sequence[object]) -> None:
        if len(inputs) != 2:
            raise self._dk_refuse("exactly 2 inputs", f"{len(inputs)}", "Call it on [a, b].")


class MaskedMerge(Merge):
    """Base of merges whose formula leaves out what is masked."""

    _dk_reads_masks = True

    def _merge_function(self, inputs: Sequence[TensorLike]) -> TensorLike:
        masks = [mask_of(x) for x in inputs]
        spread = [None if m is None else ops.expand_dims(m, -1) for m in masks]
        outputs = self._dk_merged(inputs, spread)
        if all(m is not None for m in masks):
            set_mask(outputs, reduce(ops.logical_or, masks))
        return outputs

    def _dk_merged(
        self, inputs: Sequence[TensorLike], masks: Sequence[TensorLike | None]
    ) -> TensorLike:
        raise NotImplementedError


class Extremum(MaskedMerge):
    """Base of `Maximum` and `Minimum`: what is masked in one input is that of the others."""

    _dk_function: Callable[[ArrayLike, ArrayLike], TensorLike]

    def _dk_merged(
        self, inputs: Sequence[TensorLike], masks: Sequence[TensorLike | None]
    ) -> TensorLike:
        output, output_mask = inputs[0], masks[0]
        for x, mask in zip(inputs[1:], masks[1:], strict=True):
            other = x if mask is None else ops.where(mask, x, output)
            if output_mask is not None:
                output = ops.where(output_mask, output, other)
            if mask is None or output_mask is None:
                output_mask = None
            else:
                output_mask = ops.logical_or(output_mask, mask)
            output = type(self)._dk_function(output, other)
        return output
