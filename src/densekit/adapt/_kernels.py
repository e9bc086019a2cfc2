"""Kernels of `Dense` and `EinsumDense` in int8 and int4."""

from __future__ import annotations

from typing import ClassVar

from densekit import ops
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.types import ArrayLike, Pullback, TensorLike
from densekit._core.variable import Variable
from densekit.adapt._form import Quantize
from densekit.adapt._quantized import Part, QuantizedForm, group_parts
from densekit.adapt._uses import KernelUse
from densekit.quantizers._abs_max import AbsMaxQuantizer
from densekit.quantizers._grouped import (
    abs_max_quantize_grouped_with_zero_point,
    dequantize_groups,
)
from densekit.quantizers._int4 import pack_int4, unpack_int4


class KernelForm(QuantizedForm):
    """A quantized kernel: outputs by it, and gradients of inputs by the floats it stands for."""

    use: KernelUse

    def base(self, inputs: TensorLike) -> TensorLike:
        """The product; whole numbers have no gradient, so it is given."""

        def product(x: TensorLike) -> tuple[TensorLike, Pullback]:
            def gradient(upstream: ArrayLike) -> TensorLike:
                return self.use.pull_back(upstream, self.decode())

            return self.product(x), gradient

        return ops.custom_gradient(product)(self.use.rows(inputs))

    def product(self, x: TensorLike) -> TensorLike:
        """The product, of inputs as `use` takes them."""
        raise NotImplementedError

    def by_whole_numbers(self, x: TensorLike, scale: ArrayLike) -> TensorLike:
        """The product with the whole numbers, divided by their scale and that of the inputs."""
        compute = self.layer.compute_dtype
        if self.inputs_quantizer is not None:
            x, inputs_scale = self.inputs_quantizer(x, axis=self.use.input_axes)
            scale = ops.multiply(scale, self.use.scale_of_inputs(inputs_scale))
        outputs = ops.cast(self.use.multiply(x, self.whole()), compute)
        return ops.divide(outputs, ops.cast(scale, compute))

    def lower_base(self, plan: PlanBuilder, x: Handle, bias: Variable | None) -> Handle:
        """By floats if the inputs are floats, else by whole numbers."""
        self.hold()
        quantizer = self.inputs_quantizer
        if quantizer is None:
            return self.use.lower(plan, x, self.constant(self.decode()), bias)
        if type(quantizer) is not AbsMaxQuantizer or quantizer.output_dtype != "int8":
            return plan.not_native("its inputs are quantized by a quantizer of the user's")
        if self.block_size is not None:
            return plan.not_native("its inputs are quantized, and its weights have zero points")
        rows = self.use.lower_rows(plan, x)
        kernel = ops.convert_to_numpy(ops.reshape(self.whole(), self.use.as_matrix(self.shape)))
        scale = ops.convert_to_numpy(self.variable("_scale"))
        return plan.dense_int8(rows, kernel, scale, bias, quantizer)


class Int8Kernel(KernelForm):
    """Whole numbers in [-127, 127], one scale for each output."""

    bits = 8

    def parts(self) -> list[Part]:
        """The numbers and the scale."""
        kept = tuple(1 if i in self.use.kernel_axes else n for i, n in enumerate(self.shape))
        scale = tuple(self.use.scale_of_outputs(ops.zeros(kept)).shape)
        return [Part("", self.shape, dtype="int8"), Part("_scale", scale, "ones")]

    def encode(self, weight: ArrayLike, quantizer: Quantize | None = None) -> list[ArrayLike]:
        """By the largest weight of each output."""
        quantizer = quantizer or AbsMaxQuantizer(axis=self.use.kernel_axes)
        whole, scale = quantizer(weight, to_numpy=True)
        return [whole, self.use.scale_of_outputs(scale)]

    def whole(self) -> ArrayLike:
        """The variable itself."""
        return self.variable()

    def decode(self) -> TensorLike:
        """The numbers by their scales."""
        scale = self.use.scale_of_kernel(self.variable("_scale"), self.shape)
        return ops.divide(ops.cast(self.variable(), self.layer.compute_dtype), scale)

    def product(self, x: TensorLike) -> TensorLike:
        """Sums of whole numbers, exact, and then the scales."""
        return self.by_whole_numbers(x, self.variable("_scale"))


class Int4Kernel(KernelForm):
    """Whole numbers in [-8, 7], two in a byte, with one scale for each output or in groups."""

    bits = 4
    packed_axis: ClassVar[int] = 1  # whose neighbours share a byte

    def parts(self) -> list[Part]:
        """The bytes, the scale and, in groups, their zeros."""
        rows, columns = self.use.as_matrix(self.shape)
        halved = ((rows + 1) // 2, columns), (rows, (columns + 1) // 2)
        packed = Part("", halved[self.packed_axis], dtype="int8")
        if self.block_size is None:
            return [packed, Part("_scale", (columns,), "ones")]
        return [packed, *group_parts(self.shape, rows, self.block_size, 0, columns)]

    def encode(self, weight: ArrayLike, quantizer: Quantize | None = None) -> list[ArrayLike]:
        """Each column on its own, or each group of its rows."""
        matrix = ops.reshape(weight, self.use.as_matrix(self.shape))
        if self.block_size is not None:
            groups = abs_max_quantize_grouped_with_zero_point(
                matrix, self.block_size, to_numpy=True
            )
            return [pack_int4(groups[0], axis=self.packed_axis)[0], *groups[1:]]
        quantizer = quantizer or AbsMaxQuantizer(axis=0, value_range=(-8, 7))
        whole, scale = quantizer(matrix, axis=0, to_numpy=True)
        return [pack_int4(whole, axis=self.packed_axis)[0], ops.squeeze(scale, axis=0)]

    def _matrix(self) -> TensorLike:
        length = self.use.as_matrix(self.shape)[self.packed_axis]
        return unpack_int4(self.variable(), length, axis=self.packed_axis)

    def whole(self) -> ArrayLike:
        """The numbers, a byte each."""
        return ops.reshape(self._matrix(), self.shape)

    def decode(self) -> TensorLike:
        """The numbers by their scales, less their zeros."""
        compute = self.layer.compute_dtype
        if self.block_size is None:
            matrix = ops.divide(ops.cast(self._matrix(), compute), self.variable("_scale"))
        else:
            scale, zero = self.variable("_scale"), self.variable("_zero")
            matrix = dequantize_groups(self._matrix(), scale, zero, self.variable("g_idx"), 0)
        return ops.reshape(ops.cast(matrix, compute), self.shape)

    def product(self, x: TensorLike) -> TensorLike:
        """By the floats the numbers stand for; by themselves if the inputs are whole, too."""
        if self.inputs_quantizer is None:
            return self.use.multiply(x, self.decode())
        rows, columns = self.use.as_matrix(self.shape)
        plain = self.shape == (rows, columns) and self.use.kernel_axes == (0,)
        if plain and self.block_size is None:
            scale = ops.reshape(self.variable("_scale"), (1, columns))
            return self.by_whole_numbers(x, self.use.scale_of_outputs(scale))
        x, scale = self.inputs_quantizer(x, axis=self.use.input_axes)
        outputs = self.use.multiply(ops.cast(x, self.layer.compute_dtype), self.decode())
        return ops.divide(outputs, self.use.scale_of_inputs(scale))
