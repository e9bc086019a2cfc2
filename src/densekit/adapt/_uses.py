"""How a layer uses its main weight: what it multiplies, sums over or looks up.

A weight that is stored in another way, or corrected by a product of low rank, is used like the
weight itself. So one `Use` serves every form.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

from densekit import ops
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.types import ArrayLike, Pullback, Shape, TensorLike
from densekit._core.variable import Variable


class Use(Protocol):
    """Between the inputs of a layer and its weight."""

    def apply(self, inputs: TensorLike, weight: ArrayLike) -> TensorLike:
        """What the layer makes of `inputs` by `weight`, before bias and activation."""

    def apply_thin(self, inputs: TensorLike, a: ArrayLike, b: ArrayLike) -> TensorLike:
        """`apply` with ``a @ b`` as weight."""

    def finish(self, layer: Any, outputs: TensorLike) -> TensorLike:
        """Bias and activation."""

    def lower(
        self, plan: PlanBuilder, x: Handle, weight: Variable, bias: Variable | None = None
    ) -> Handle:
        """The native form of `apply`, with a bias that is added."""

    def lower_finish(self, plan: PlanBuilder, layer: Any, y: Handle) -> Handle:
        """The native form of `finish`, but for the bias."""


class KernelUse:
    """Layers with a kernel: a product, a bias, an activation.

    Attributes:
        input_axes: axes of the inputs that the product sums over.
        kernel_axes: those of the kernel.
    """

    input_axes: tuple[int, ...]
    kernel_axes: tuple[int, ...]

    def rows(self, inputs: TensorLike) -> TensorLike:
        """The inputs as `multiply` takes them."""
        return inputs

    def multiply(self, inputs: TensorLike, kernel: ArrayLike) -> TensorLike:
        """The product."""
        raise NotImplementedError

    def pull_back(self, upstream: ArrayLike, kernel: ArrayLike) -> TensorLike:
        """The gradient of the inputs of `multiply`."""
        raise NotImplementedError

    def apply(self, inputs: TensorLike, weight: ArrayLike) -> TensorLike:
        """The product, of inputs as the layer gets them."""
        return self.multiply(self.rows(inputs), weight)

    def apply_thin(self, inputs: TensorLike, a: ArrayLike, b: ArrayLike) -> TensorLike:
        """One thin matrix after the other."""
        return ops.matmul(self.apply(inputs, a), b)

    def finish(self, layer: Any, outputs: TensorLike) -> TensorLike:
        """``activation(outputs + bias)``."""
        if layer.bias is not None:
            outputs = ops.add(outputs, layer.bias)
        return outputs if layer.activation is None else layer.activation(outputs)

    # Scales of quantized operands, whose summed axes have size 1, in other places

    def scale_of_outputs(self, scale: ArrayLike) -> TensorLike:
        """The scale of a kernel, to divide outputs by: so it is stored."""
        raise NotImplementedError

    def scale_of_kernel(self, scale: ArrayLike, shape: Shape) -> ArrayLike:
        """A stored scale, to divide the kernel of that `shape` by."""
        raise NotImplementedError

    def scale_of_inputs(self, scale: ArrayLike) -> ArrayLike:
        """The scale of inputs, to divide outputs by."""
        return scale

    def as_matrix(self, shape: Shape) -> tuple[int, int]:
        """A kernel's sizes as rows that are summed over, and columns."""
        rows = math.prod(shape[axis] for axis in self.kernel_axes)
        return rows, math.prod(shape) // rows

    # In plans

    def lower_rows(self, plan: PlanBuilder, x: Handle) -> Handle:
        """`x` as rows of features, if the layer's product is one of a matrix."""
        raise NotImplementedError

    def lower(
        self, plan: PlanBuilder, x: Handle, weight: Variable, bias: Variable | None = None
    ) -> Handle:
        """A native product."""
        return plan.dense(self.lower_rows(plan, x), weight, bias)

    def lower_finish(self, plan: PlanBuilder, layer: Any, y: Handle) -> Handle:
        """The activation."""
        return plan.activation(y, layer.activation)


class MatrixUse(KernelUse):
    """``inputs @ weight``.

    Args:
        flatten: whether all axes but the first are multiplied as one.
    """

    input_axes = (-1,)
    kernel_axes = (0,)

    def __init__(self, flatten: bool = False) -> None:
        self.flatten = flatten

    def rows(self, inputs: TensorLike) -> TensorLike:
        """The inputs as rows of features."""
        if not self.flatten:
            return inputs
        return ops.reshape(inputs, (inputs.shape[0], math.prod(inputs.shape[1:])))

    def multiply(self, inputs: TensorLike, kernel: ArrayLike) -> TensorLike:
        """The product."""
        return ops.matmul(inputs, kernel)

    def pull_back(self, upstream: ArrayLike, kernel: ArrayLike) -> TensorLike:
        """The product with the transposed kernel."""
        return ops.matmul(upstream, ops.transpose(kernel))

    def scale_of_outputs(self, scale: ArrayLike) -> TensorLike:
        """One number for each unit."""
        return ops.squeeze(scale, axis=0)

    def scale_of_kernel(self, scale: ArrayLike, shape: Shape) -> ArrayLike:
        """It goes along the columns."""
        return scale

    def lower_rows(self, plan: PlanBuilder, x: Handle) -> Handle:
        """The native form of `rows`."""
        return plan.reshape(x, (x.size,)) if self.flatten else x


class EinsumUse(KernelUse):
    """``einsum(equation, inputs, weight)``.

    Args:
        equation: as `EinsumDense` takes it.
        rank: number of axes of the inputs.
        is_product: whether it is that of `Dense`: the last axis by a matrix, and a bias along it.
    """

    def __init__(self, equation: str, rank: int, is_product: bool) -> None:
        self.is_product = is_product
        inputs, kernel, outputs = equation.replace("->", ",").split(",")
        unused = (chr(i) for i in range(ord("a"), ord("z") + 1) if chr(i) not in equation)
        elided = "".join(next(unused) for _ in range(rank - len(inputs.replace("...", ""))))
        self._inputs, self._outputs = (s.replace("...", elided) for s in (inputs, outputs))
        self._kernel = kernel
        self.input_axes = tuple(i for i, a in enumerate(self._inputs) if a not in self._outputs)
        self.kernel_axes = tuple(i for i, a in enumerate(kernel) if a not in self._outputs)

    def multiply(self, inputs: TensorLike, kernel: ArrayLike) -> TensorLike:
        """The sums."""
        return ops.einsum(f"{self._inputs},{self._kernel}->{self._outputs}", inputs, kernel)

    def pull_back(self, upstream: ArrayLike, kernel: ArrayLike) -> TensorLike:
        """The sums the other way round."""
        return ops.einsum(f"{self._outputs},{self._kernel}->{self._inputs}", upstream, kernel)

    def apply_thin(self, inputs: TensorLike, a: ArrayLike, b: ArrayLike) -> TensorLike:
        """One after the other, if the axis that `b` brings is the last of kernel and outputs."""
        if self._kernel[-1] == self._outputs[-1]:
            return super().apply_thin(inputs, a, b)
        return self.apply(inputs, ops.matmul(a, b))

    def _order(self, letters: str) -> list[int]:
        """Axes of an operand: those of the outputs in their order, then the summed ones."""
        kept = [letters.index(a) for a in self._outputs if a in letters]
        return kept + [i for i, a in enumerate(letters) if a not in self._outputs]

    def _along_outputs(self, scale: Any, letters: str) -> TensorLike:
        sizes = dict(zip(letters, scale.shape, strict=True))
        shape = [sizes.get(a, 1) for a in self._outputs]
        return ops.reshape(ops.transpose(scale, self._order(letters)), shape)

    def scale_of_outputs(self, scale: ArrayLike) -> TensorLike:
        """One number for each letter of the outputs that the kernel has."""
        return self._along_outputs(scale, self._kernel)

    def scale_of_inputs(self, scale: ArrayLike) -> ArrayLike:
        """One number for each letter of the outputs that the inputs have."""
        return self._along_outputs(scale, self._inputs)

    def scale_of_kernel(self, scale: ArrayLike, shape: Shape) -> ArrayLike:
        """The way of `scale_of_outputs`, back."""
        order = self._order(self._kernel)
        sizes = [1 if axis in self.kernel_axes else shape[axis] for axis in order]
        back = sorted(range(len(order)), key=order.__getitem__)
        return ops.transpose(ops.reshape(scale, sizes), back)

    def lower_rows(self, plan: PlanBuilder, x: Handle) -> Handle:
        """`x`, if the equation is a product along its last axis."""
        return x if self.is_product else plan.not_native("its equation is no product of rows")


class TableUse:
    """``weight[inputs]``: rows of a table by their numbers, NaN for numbers outside of it."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def apply(self, inputs: TensorLike, weight: ArrayLike) -> TensorLike:
        """The rows."""
        return self.pick(inputs, lambda numbers: ops.take(weight, numbers, axis=0))

    def apply_thin(self, inputs: TensorLike, a: ArrayLike, b: ArrayLike) -> TensorLike:
        """Rows of `a`, times `b`."""
        return ops.matmul(self.apply(inputs, a), b)

    def pick(self, inputs: TensorLike, look_up: Pullback) -> TensorLike:
        """``look_up(numbers)``, NaN where there is no such row."""
        numbers = ops.stop_gradient(ops.cast(inputs, "int32"))
        inside = ops.logical_and(numbers >= -self.rows, numbers < self.rows)
        rows = look_up(ops.where(inside, numbers, 0))
        return ops.where(ops.expand_dims(inside, -1), rows, float("nan"))

    def finish(self, layer: Any, outputs: TensorLike) -> TensorLike:
        """Nothing is added."""
        return ops.cast(outputs, layer.compute_dtype)

    def lower(
        self, plan: PlanBuilder, x: Handle, weight: Variable, bias: Variable | None = None
    ) -> Handle:
        """A native look-up."""
        return plan.embedding(x, weight)

    def lower_finish(self, plan: PlanBuilder, layer: Any, y: Handle) -> Handle:
        """Nothing is added."""
        return y
