"""Tables of `Embedding` in int8 and int4."""

from __future__ import annotations

from collections.abc import Callable

from densekit import ops
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.types import ArrayLike, TensorLike
from densekit._core.variable import Variable
from densekit.adapt._form import Quantize
from densekit.adapt._quantized import Part, QuantizedForm, group_parts
from densekit.adapt._uses import TableUse
from densekit.quantizers._abs_max import AbsMaxQuantizer
from densekit.quantizers._grouped import (
    abs_max_quantize_grouped_with_zero_point,
    dequantize_groups,
)
from densekit.quantizers._int4 import pack_int4, unpack_int4


class TableForm(QuantizedForm):
    """A quantized table: the rows that are looked up become floats."""

    use: TableUse

    def lower_base(self, plan: PlanBuilder, x: Handle, bias: Variable | None) -> Handle:
        """A look-up in a table of floats."""
        self.hold()
        return self.use.lower(plan, x, self.constant(self.decode()))


class Int8Table(TableForm):
    """Whole numbers in [-127, 127], one scale for each row."""

    bits = 8

    def parts(self) -> list[Part]:
        """The numbers and the scales."""
        return [Part("", self.shape, dtype="int8"), Part("_scale", self.shape[:1], "ones")]

    def encode(self, weight: ArrayLike, quantizer: Quantize | None = None) -> list[ArrayLike]:
        """By the largest number of each row."""
        whole, scale = (quantizer or AbsMaxQuantizer(axis=-1))(weight, to_numpy=True)
        return [whole, ops.squeeze(scale, axis=-1)]

    def whole(self) -> ArrayLike:
        """The variable itself."""
        return self.variable()

    def decode(self) -> TensorLike:
        """The numbers by their scales."""
        scale = ops.expand_dims(self.variable("_scale"), -1)
        return ops.divide(ops.cast(self.variable(), self.layer.compute_dtype), scale)

    def base(self, inputs: TensorLike) -> TensorLike:
        """Rows of numbers by their scales."""

        def look_up(numbers: TensorLike) -> TensorLike:
            rows = ops.cast(ops.take(self.variable(), numbers, axis=0), self.layer.compute_dtype)
            scale = ops.take(self.variable("_scale"), numbers, axis=0)
            return ops.divide(rows, ops.expand_dims(scale, -1))

        return self.use.pick(inputs, look_up)


class Int4Table(TableForm):
    """Whole numbers in [-8, 7], two in a byte, with one scale for each row or in groups."""

    bits = 4

    def parts(self) -> list[Part]:
        """The bytes, the scales and, in groups, their zeros."""
        rows, columns = self.shape
        packed = Part("", (rows, (columns + 1) // 2), dtype="int8")
        if self.block_size is None:
            return [packed, Part("_scale", (rows,), "ones")]
        return [packed, *group_parts(self.shape, columns, self.block_size, 1, rows)]

    def encode(self, weight: ArrayLike, quantizer: Quantize | None = None) -> list[ArrayLike]:
        """Each row on its own, or each group of its numbers."""
        if self.block_size is not None:
            found = abs_max_quantize_grouped_with_zero_point(
                ops.transpose(weight), self.block_size, to_numpy=True
            )
            whole, scale, zero = map(ops.transpose, found)
            return [pack_int4(whole, axis=-1)[0], scale, zero]
        quantizer = quantizer or AbsMaxQuantizer(axis=-1, value_range=(-8, 7))
        whole, scale = quantizer(weight, to_numpy=True)
        return [pack_int4(whole, axis=-1)[0], ops.squeeze(scale, axis=-1)]

    def whole(self) -> ArrayLike:
        """The numbers, a byte each."""
        return unpack_int4(self.variable(), self.shape[1], axis=-1)

    def decode(self) -> TensorLike:
        """The numbers by their scales, less their zeros."""
        return self._floats(self.whole(), lambda variable: variable)

    def base(self, inputs: TensorLike) -> TensorLike:
        """Rows of numbers by their scales, less their zeros."""

        def look_up(numbers: TensorLike) -> TensorLike:
            packed = ops.take(self.variable(), numbers, axis=0)
            rows = unpack_int4(packed, self.shape[1], axis=-1)
            return self._floats(rows, lambda variable: ops.take(variable, numbers, axis=0))

        return self.use.pick(inputs, look_up)

    def _floats(self, whole: ArrayLike, chosen: Callable[[Variable], ArrayLike]) -> TensorLike:
        compute = self.layer.compute_dtype
        scale = chosen(self.variable("_scale"))
        if self.block_size is None:
            return ops.divide(ops.cast(whole, compute), ops.expand_dims(scale, -1))
        zero = chosen(self.variable("_zero"))
        return ops.cast(dequantize_groups(whole, scale, zero, self.variable("g_idx"), -1), compute)
