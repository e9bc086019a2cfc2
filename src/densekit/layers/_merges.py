"""`Add`, `Subtract`, `Multiply`, `Average`, `Maximum`, `Minimum`, and their functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from densekit import ops
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import PartialShape, TensorLike
from densekit.layers._base.merging import Extremum, MaskedMerge, Merge


@export("keras.layers")
class Add(Merge):
    """Sum of a list of tensors, elementwise.

    Example:

    >>> import densekit as keras
    >>> a = keras.ops.ones((1, 2))
    >>> keras.layers.Add()([a, a]).tolist()
    [[2.0, 2.0]]
    """

    def _merge_function(self, inputs: Sequence[TensorLike]) -> TensorLike:
        return reduce(ops.add, inputs)

    def lower(self, plan: PlanBuilder, *xs: Handle) -> Handle:
        """One elementwise step."""
        return plan.merge("add", xs)


@export("keras.layers")
class Subtract(Merge):
    """Difference of two tensors, ``a - b``, elementwise.

    Raises:
        ValueError: for a list of another length than 2.

    Example:

    >>> import densekit as keras
    >>> a = keras.ops.ones((1, 2))
    >>> keras.layers.Subtract()([a, a]).tolist()
    [[0.0, 0.0]]
    """

    def build(self, input_shape: Sequence[PartialShape]) -> None:
        """Check that two inputs fit; there are no weights."""
        super().build(input_shape)
        self._dk_check_pair(input_shape)

    def _merge_function(self, inputs: Sequence[TensorLike]) -> TensorLike:
        self._dk_check_pair(inputs)
        return ops.subtract(inputs[0], inputs[1])

    def lower(self, plan: PlanBuilder, *xs: Handle) -> Handle:
        """One elementwise step."""
        return plan.merge("subtract", xs)


@export("keras.layers")
class Multiply(MaskedMerge):
    """Product of a list of tensors, elementwise.

    Example:

    >>> import densekit as keras
    >>> a = keras.ops.ones((1, 2))
    >>> keras.layers.Multiply()([a, 3 * a]).tolist()
    [[3.0, 3.0]]
    """

    def _dk_merged(
        self, inputs: Sequence[TensorLike], masks: Sequence[TensorLike | None]
    ) -> TensorLike:
        one = np.ones((), str(inputs[0].dtype))
        pairs = zip(inputs, masks, strict=True)
        known = (x if m is None else ops.where(m, x, one) for x, m in pairs)
        product = reduce(ops.multiply, known)
        masked = [m for m in masks if m is not None]
        if len(masked) < len(masks):
            return product
        return ops.where(reduce(ops.logical_or, masked), product, np.zeros_like(one))

    def lower(self, plan: PlanBuilder, *xs: Handle) -> Handle:
        """One elementwise step."""
        return plan.merge("multiply", xs)


@export("keras.layers")
class Average(Merge):
    """Mean of a list of tensors, elementwise.

    Example:

    >>> import densekit as keras
    >>> a = keras.ops.ones((1, 2))
    >>> keras.layers.Average()([a, 3 * a]).tolist()
    [[2.0, 2.0]]
    """

    def _merge_function(self, inputs: Sequence[TensorLike]) -> TensorLike:
        return ops.divide(reduce(ops.add, inputs), len(inputs))

    def lower(self, plan: PlanBuilder, *xs: Handle) -> Handle:
        """One elementwise step."""
        return plan.merge("average", xs)


@export("keras.layers")
class Maximum(Extremum):
    """Largest of a list of tensors, elementwise.

    Example:

    >>> import densekit as keras
    >>> a = keras.ops.ones((1, 2))
    >>> keras.layers.Maximum()([a, 3 * a]).tolist()
    [[3.0, 3.0]]
    """

    _dk_function = staticmethod(ops.maximum)

    def lower(self, plan: PlanBuilder, *xs: Handle) -> Handle:
        """One elementwise step."""
        return plan.merge("maximum", xs)


@export("keras.layers")
class Minimum(Extremum):
    """Smallest of a list of tensors, elementwise.

    Example:

    >>> import densekit as keras
    >>> a = keras.ops.ones((1, 2))
    >>> keras.layers.Minimum()([a, 3 * a]).tolist()
    [[1.0, 1.0]]
    """

    _dk_function = staticmethod(ops.minimum)

    def lower(self, plan: PlanBuilder, *xs: Handle) -> Handle:
        """One elementwise step."""
        return plan.merge("minimum", xs)


def _function_of(layer: type[Merge]) -> Callable[..., Any]:
    def merge(inputs: Sequence[TensorLike], **kwargs: Any) -> Any:
        return layer(**kwargs)(inputs)

    merge.__name__ = merge.__qualname__ = layer.__name__.lower()
    name = layer.__name__
    merge.__doc__ = f"""``{name}(**kwargs)(inputs)``: the layer `{name}` at once.

    Example:

    >>> import densekit as keras
    >>> x = keras.Input((3,))
    >>> keras.layers.{merge.__name__}([x, x]).shape
    (None, 3)
    """
    return export("keras.layers")(merge)


add = _function_of(Add)
subtract = _function_of(Subtract)
multiply = _function_of(Multiply)
average = _function_of(Average)
maximum = _function_of(Maximum)
minimum = _function_of(Minimum)
