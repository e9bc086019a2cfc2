"""How a layer uses its main weight: what it multiplies, sums over or looks up.

A weight that is stored in another way, or corrected by a product of low rank, is used like the
weight itself. So one `Use` serves every form.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

from densekit import ops
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.variable import Variable


class Use(Protocol):
    """Between the inputs of a layer and its weight."""

    def apply(self, inputs: Any, weight: Any) -> Any:
        """What the layer makes of `inputs` by `weight`, before bias and activation."""

    def finish(self, layer: Any, outputs: Any) -> Any:
        """Bias and activation."""

    def lower(self, plan: PlanBuilder, x: Handle, weight: Variable) -> Handle:
        """The native form of `apply`."""

    def lower_finish(self, plan: PlanBuilder, layer: Any, y: Handle) -> Handle:
        """The native form of `finish`."""


class KernelUse:
    """Layers with a kernel add a bias and pass on to an activation."""

    def finish(self, layer: Any, outputs: Any) -> Any:
        """``activation(outputs + bias)``."""
        if layer.bias is not None:
            outputs = ops.add(outputs, layer.bias)
        return outputs if layer.activation is None else layer.activation(outputs)

    def lower_finish(self, plan: PlanBuilder, layer: Any, y: Handle) -> Handle:
        """The same in the plan, where it joins a product that stands before it."""
        if layer.bias is not None:
            y = plan.elementwise("add", y, layer.bias)
        return plan.activation(y, layer.activation)


class MatrixUse(KernelUse):
    """``inputs @ weight``.

    Args:
        flatten: whether all axes but the first are multiplied as one.
    """

    def __init__(self, flatten: bool = False) -> None:
        self.flatten = flatten

    def rows(self, inputs: Any) -> Any:
        """The inputs as rows of features."""
        if not self.flatten:
            return inputs
        return ops.reshape(inputs, (inputs.shape[0], math.prod(inputs.shape[1:])))

    def apply(self, inputs: Any, weight: Any) -> Any:
        """The product."""
        return ops.matmul(self.rows(inputs), weight)

    def lower_rows(self, plan: PlanBuilder, x: Handle) -> Handle:
        """The native form of `rows`."""
        return plan.reshape(x, (x.size,)) if self.flatten else x

    def lower(self, plan: PlanBuilder, x: Handle, weight: Variable) -> Handle:
        """A native product."""
        return plan.dense(self.lower_rows(plan, x), weight, None)


class EinsumUse(KernelUse):
    """``einsum(equation, inputs, weight)``.

    Args:
        equation: as `EinsumDense` takes it.
        is_product: whether it is that of `Dense`: the last axis by a matrix, and a bias along it.
    """

    def __init__(self, equation: str, is_product: bool) -> None:
        self.equation = equation
        self.is_product = is_product

    def apply(self, inputs: Any, weight: Any) -> Any:
        """The sums."""
        return ops.einsum(self.equation, inputs, weight)

    def lower_rows(self, plan: PlanBuilder, x: Handle) -> Handle:
        """`x`, if the equation is a product along its last axis."""
        return x if self.is_product else plan.not_native("its equation is no product of rows")

    def lower(self, plan: PlanBuilder, x: Handle, weight: Variable) -> Handle:
        """A native product, where the equation is one."""
        return plan.dense(self.lower_rows(plan, x), weight, None)


class TableUse:
    """``weight[inputs]``: rows of a table by their numbers, NaN for numbers outside of it."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def apply(self, inputs: Any, weight: Any) -> Any:
        """The rows."""
        numbers, inside = self.numbers(inputs)
        return self.only(inside, ops.take(weight, numbers, axis=0))

    def numbers(self, inputs: Any) -> tuple[Any, Any]:
        """Which rows, 0 for those that are not there, and whether they are."""
        numbers = ops.stop_gradient(ops.cast(inputs, "int32"))
        inside = ops.logical_and(numbers >= -self.rows, numbers < self.rows)
        return ops.where(inside, numbers, 0), inside

    def only(self, inside: Any, rows: Any) -> Any:
        """`rows` where they are there, else NaN."""
        return ops.where(ops.expand_dims(inside, -1), rows, float("nan"))

    def finish(self, layer: Any, outputs: Any) -> Any:
        """Nothing is added."""
        return ops.cast(outputs, layer.compute_dtype)

    def lower(self, plan: PlanBuilder, x: Handle, weight: Variable) -> Handle:
        """A native look-up."""
        return plan.embedding(x, weight)

    def lower_finish(self, plan: PlanBuilder, layer: Any, y: Handle) -> Handle:
        """Nothing is added."""
        return y
