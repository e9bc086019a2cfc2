"""What a layer's `lower` sees of a plan: its values, and what can be done with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from densekit._core.native_form import NativeForm
from densekit._core.seeds import SeedGenerator
from densekit._core.types import Array, ArrayLike, TensorLike
from densekit._core.types import Shape as Shape
from densekit._core.variable import Variable


class NotLowerable(Exception):
    """This call has no native form, and why: a clause that begins with "it" or names a part."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class Handle:
    """A value of the plan: number, shape with None for the batch, dtype in the definition."""

    __slots__ = ("dtype", "shape", "value")

    def __init__(self, value: int, shape: tuple[int | None, ...], dtype: str = "float32") -> None:
        self.value = value
        self.shape = shape
        self.dtype = dtype

    @property
    def sample_shape(self) -> Shape:
        """Shape of one sample."""
        return self.shape[1:]  # type: ignore[return-value]

    @property
    def size(self) -> int:
        """Elements of one sample."""
        return math.prod(self.sample_shape)


# What an attribute of an op is: bytes come as an array of int8.
Attribute: TypeAlias = str | float | Sequence[float] | npt.NDArray[np.int8]
Formula: TypeAlias = Callable[..., TensorLike]  # of tensors
Lowered: TypeAlias = Handle | Sequence[Handle]


class PlanBuilder(Protocol):
    """What `lower` writes a layer's native form to: one call for each operation, of `Handle`s.

    A layer says ``lower(self, plan: PlanBuilder, x: Handle) -> Handle``, with a handle for each
    input. Axes count the batch axis as 0. What cannot be said raises `NotLowerable`.
    """

    training: bool | None  # what the layer is told

    def dense(
        self, x: Handle, kernel: Variable, bias: Variable | None, activation: Formula | None = None
    ) -> Handle:
        """``activation(x @ kernel + bias)`` along the last axis."""

    def dense_int8(
        self,
        x: Handle,
        kernel: Array,
        scale: Array,
        bias: Variable | None,
        quantizer: object,
    ) -> Handle:
        """``x`` quantized row by row by `quantizer` times `kernel`, int8, over both scales."""

    def op(
        self,
        kind: str,
        xs: Sequence[Handle],
        sample_shape: Sequence[int],
        parameters: Sequence[Variable] = (),
        state: Sequence[Variable] = (),
        dtype: str | None = None,
        reads_integers: bool = False,
        rounds_inputs: bool = True,
        **attributes: Attribute,
    ) -> Handle:
        """A native op by its name in ``native/ops/table.inl``, with one output.

        Args:
            parameters: variables it reads and, where trainable, gives gradients of.
            state: variables it writes when a training step is done; they are parameters, too.
            dtype: of the result in the definition. Default: that of the plan.
            reads_integers: whether rounding of large ones does not reach the result.
            rounds_inputs: whether values are rounded before it in lower precision, or by itself.
            **attributes: strings, numbers or lists of numbers, by name.
        """

    def activation(self, x: Handle, function: Formula | NativeForm | None) -> Handle:
        """``function(x)``, a callable or a `NativeForm`; row formulas act on the last axis."""

    def activation_along(
        self, x: Handle, axes: Sequence[int], function: Formula | NativeForm | None
    ) -> Handle:
        """A row formula over several axes, or one that is not the last."""

    def affine(self, x: Handle, scale: ArrayLike, offset: ArrayLike) -> Handle:
        """``x * scale + offset``; both are scalars or go along the last axis."""

    def elementwise(
        self, formula: str, *operands: Handle | ArrayLike, dtype: str | None = None
    ) -> Handle:
        """A formula of the core's table, of handles, variables and numbers that broadcast."""

    def filled(self, x: Handle, sample_shape: Sequence[int], number: float) -> Handle:
        """A number everywhere, in as many rows as `x` has."""

    def dropout(self, x: Handle, rate: float, seed_generator: SeedGenerator) -> Handle:
        """`x` with a share `rate` of its elements set to 0 and the others scaled up."""

    def noise(
        self, x: Handle, stddev: float, multiplies: bool, seed_generator: SeedGenerator
    ) -> Handle:
        """`x` plus normal numbers around 0, or times such around 1."""

    def normalization(
        self,
        kind: str,
        x: Handle,
        axes: Sequence[int],
        epsilon: float,
        gamma: Variable | None = None,
        beta: Variable | None = None,
    ) -> Handle:
        """`x` normalized over `axes`: "layer", "rms" or "unit"."""

    def batch_normalization(
        self,
        x: Handle,
        axis: int,
        epsilon: float,
        momentum: float,
        mean: Variable,
        variance: Variable,
        gamma: Variable | None,
        beta: Variable | None,
        by_batch: bool,
        mask: Handle | None = None,
    ) -> Handle:
        """Normalize each entry of `axis` by the batch, or by the moving mean and variance."""

    def embedding(self, x: Handle, table: Variable) -> Handle:
        """The rows of `table` that `x` numbers."""

    def merge(self, kind: str, xs: Sequence[Handle]) -> Handle:
        """Elementwise: "add", "subtract", "multiply", "average", "maximum" or "minimum"."""

    def concatenate(self, xs: Sequence[Handle], axis: int = -1) -> Handle:
        """`xs` end to end along `axis`."""

    def product(self, x: Handle, y: Handle) -> Handle:
        """The matrix product of each sample of `x` with that of `y`."""

    def einsum(self, equation: str, x: Handle, y: Handle | Variable) -> Handle:
        """The sum of products that `equation` names, with a value or a variable."""

    def reshape(self, x: Handle, sample_shape: Sequence[int]) -> Handle:
        """`x` with another shape per sample; one entry may be -1. Costs nothing."""

    def transpose(self, x: Handle, axes: Sequence[int]) -> Handle:
        """`x` with its axes behind the batch in another order."""

    def broadcast(self, x: Handle, sample_shape: Sequence[int]) -> Handle:
        """`x` repeated to another shape per sample."""

    def activity_regularizer(self, x: Handle, regularizer: Formula) -> Handle:
        """`x`, with ``regularizer(x) / batch`` added to the loss."""

    def host(
        self,
        function: Callable[..., object],
        xs: Sequence[Handle],
        variables: Sequence[Variable] = (),
        seed_generators: Sequence[SeedGenerator] = (),
    ) -> Handle | list[Handle]:
        """``function(*xs)``, a definition, run in Python; `variables` are what it reads, and
        `seed_generators` what it draws from.
        """

    def by_definition(self) -> Handle:
        """Have the layer's `call` followed, op by op: as it is set, that is its native form."""

    def not_native(self, reason: str) -> Handle:
        """Raise `NotLowerable`: the layer, as it is set, has no native form."""
