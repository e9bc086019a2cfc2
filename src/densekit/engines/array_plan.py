"""The part of a plan builder that takes arrays apart: broadcasting, reductions, products.

A small set of native ops says most of `densekit.ops`. Shapes are worked out here, once; the native
core gets strides and positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from densekit._core.types import Array, Operand
from densekit._core.variable import Variable
from densekit.engines.plan_op import (
    Attribute,
    Handle,
    NotLowerable,
    PlanOp,
    Shape,
    exact_below,
    native_op,
)

_COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
_LARGEST_CONSTANT = 1 << 16  # elements; what is more is better kept out of every plan


@dataclass(frozen=True, slots=True)
class _Operand:
    """Where an elementwise formula finds an operand: kind and place, and its shape per sample."""

    kind: int  # 0 a value, 1 a parameter, 2 a constant
    at: int
    shape: Shape


class ArrayPlan:
    """Methods of `PlanBuilder` that act on arrays, and the record of a native op."""

    dtype: str
    precision: str
    ops: list[PlanOp]
    moved_integers: set[int] | None
    holds_integers: bool
    mixes_rows: bool

    def current(self, variable: Variable) -> Variable | Handle:
        """What is read for a variable now."""
        raise NotImplementedError

    def rounded(self, x: Handle) -> Handle:
        """`x` with its values rounded to what is computed in now."""
        raise NotImplementedError

    def reshape(self, x: Handle, sample_shape: Sequence[int]) -> Handle:
        """`x` with another shape per sample."""
        raise NotImplementedError

    def _new(self, sample_shape: Sequence[Any], dtype: str) -> Handle:
        raise NotImplementedError

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
        if not reads_integers and any("int" in x.dtype for x in xs):
            raise NotLowerable("integers stay integers")  # which floats round beyond their digits
        now = [self.current(v) for v in parameters]
        parameters = [
            v if isinstance(x, Handle) else x for v, x in zip(parameters, now, strict=True)
        ]
        self._read(*parameters, *state)
        if not state:
            self.refuse_written(parameters)
        for v in state:
            if self.current(v) is not v:  # it moves on from what a step begins with
                raise NotLowerable(f"it writes {v.name!r}, which was assigned before")
        if self.precision and rounds_inputs:
            xs = [self.rounded(x) for x in xs]
        y = self._new(sample_shape, dtype or self.precision or self.dtype)
        self.ops.append(native_op(kind, xs, [y], attributes, parameters, state, self.precision))
        return y

    def _read(self, *variables: Variable) -> None:
        """Refuse variables whose buffers are not of the plan's floats: the core reads no others."""
        for variable in variables:
            if variable.dtype != self.dtype:
                raise NotLowerable(
                    f"its {variable.name!r} is in {variable.dtype}, the plan in {self.dtype}"
                )

    def refuse_written(self, variables: Sequence[Variable]) -> None:
        """Refuse what an op before writes: the definition reads the new value, an op the old."""
        for variable in variables:
            if not variable.trainable and any(
                variable is written for op in self.ops for written in op.arguments.get("state", ())
            ):
                raise NotLowerable(f"it reads {variable.name!r}, which the same step writes")

    # Elementwise

    def elementwise(self, formula: str, *operands: Operand, dtype: str | None = None) -> Handle:
        """``formula(*operands)`` with broadcasting; operands are handles, variables and numbers."""
        rank = max(len(_shape(x)) for x in operands)
        xs: list[Handle] = []
        variables: list[Variable] = []
        constants: list[float] = []
        found: list[_Operand] = []
        for x in operands:
            if isinstance(x, Handle):
                if len(x.shape) != rank:
                    raise NotLowerable("it broadcasts over the batch axis")
                if x not in xs:
                    xs.append(x)
                found.append(_Operand(0, xs.index(x), x.sample_shape))
                continue
            shape = tuple(_shape(x))
            if len(shape) == rank and shape[:1] != (1,):
                raise NotLowerable("it meets an array with a batch axis of its own")
            shape = shape[1:] if len(shape) == rank else shape
            if isinstance(x, Variable):
                if not any(x is v for v in variables):
                    variables.append(x)
                at = next(i for i, v in enumerate(variables) if v is x)
                found.append(_Operand(1, at, shape))
            else:
                values = np.asarray(x, np.float64).reshape(-1)
                if values.size > _LARGEST_CONSTANT:
                    raise NotLowerable("it meets a large constant array")
                found.append(_Operand(2, len(constants), shape))
                constants.extend(values.tolist())
        if not xs:
            raise NotLowerable("none of its operands depends on the inputs")
        try:
            sample_shape = np.broadcast_shapes(*(o.shape for o in found))
        except ValueError:
            raise NotLowerable("its operands do not fit each other") from None
        if len(sample_shape) > rank - 1:
            raise NotLowerable("it broadcasts over the batch axis")
        return self.op(
            "elementwise",
            xs,
            sample_shape,
            variables,
            dtype=dtype,
            reads_integers=formula in _COMPARISONS
            and (len(xs) == 1 or self.holds_integers)
            and self._tells_apart(constants),
            formula=formula,
            shape=list(sample_shape) or [1],
            origin=[o.kind for o in found],
            at=[o.at for o in found],
            offsets=[0 for _ in found],
            strides=[s for o in found for s in _strides(o.shape, sample_shape)],
            constants=constants,
        )

    # Reductions

    def reduce(
        self,
        reduction: str,
        x: Handle,
        axes: Sequence[int] | int | None,
        keepdims: bool = False,
        mean: bool = False,
        dtype: str | None = None,
    ) -> Handle:
        """Reduce along `axes`, which count the batch axis as 0.

        Args:
            reduction: "sum", "max", "min", "prod", "logsumexp", "argmax" or "argmin".
            mean: whether a sum is divided by the number of its terms.
        """
        rank = len(x.shape)
        if axes is None:
            raise NotLowerable("it reduces over the batch axis")
        chosen = sorted({axis % rank for axis in ((axes,) if isinstance(axes, int) else axes)})
        if 0 in chosen:
            raise NotLowerable("it reduces over the batch axis")
        kept = [axis for axis in range(1, rank) if axis not in chosen]
        sizes = (0, *x.sample_shape)
        shape = [
            1 if i in chosen else n for i, n in enumerate(sizes) if i and (keepdims or i in kept)
        ]
        if chosen and chosen != list(range(chosen[0], chosen[-1] + 1)):
            x = self.transpose(x, [*kept, *chosen])
            before, after = kept, []
        else:
            before = [axis for axis in kept if not chosen or axis < chosen[0]]
            after = [axis for axis in kept if chosen and axis > chosen[0]]
        n = math.prod(sizes[axis] for axis in chosen)
        if n == 0 and reduction != "sum":
            raise NotLowerable("there is nothing to reduce")
        return self.op(
            "reduce",
            [x],
            shape,
            dtype=dtype,
            reduction=reduction,
            outer=math.prod(sizes[axis] for axis in before),
            n=n,
            inner=math.prod(sizes[axis] for axis in after),
            scale=1.0 / n if mean and n else 1.0,
        )

    def batch_sum(self, x: Handle, mean: bool) -> Handle:
        """The sum or mean of each element over the rows of the batch, given to every row."""
        self.mixes_rows = True
        return self.op("batch_sum", [x], x.sample_shape, mean=int(mean))

    # Elements in other places

    def rearrange(self, x: Handle, positions: Array) -> Handle:
        """Elements of `x` by their positions in a sample, in the shape of `positions`; -1 is 0."""
        flat = positions.reshape(-1)
        if flat.size == x.size and np.array_equal(flat, np.arange(x.size)):
            return self.reshape(x, positions.shape)
        moves = "int" in x.dtype and (self.holds_integers or self.moved_integers is not None)
        y = self.op(
            "rearrange",
            [x],
            positions.shape,
            dtype=x.dtype,
            reads_integers=moves,
            positions=flat.tolist(),
        )
        if moves and self.moved_integers is not None:
            self.moved_integers.add(y.value)
        return y

    def filled(self, x: Handle, sample_shape: Sequence[int], number: float) -> Handle:
        """A number everywhere, in as many rows as `x` has."""
        floats = Handle(x.value, x.shape, self.dtype)
        zeros = self.rearrange(floats, np.full(tuple(sample_shape), -1))
        return zeros if number == 0 else self.elementwise("add", zeros, number)

    def rearranged(self, x: Handle, function: Callable[[Array], object]) -> list[Handle]:
        """What `function` does with `x`, if all it does is to move, repeat or drop elements.

        It is tried on the numbers of the elements; 0 is an element it puts in on its own.
        """
        results = []
        for rows in (2, 3):
            numbers = np.arange(1, rows * x.size + 1).reshape(rows, *x.sample_shape)
            try:
                moved = function(numbers)
            except (ValueError, IndexError):
                raise NotLowerable("it does not take any number of rows") from None
            results.append(list(moved) if isinstance(moved, list | tuple) else [moved])
        handles = []
        for two, three in zip(*results, strict=True):
            for rows, moved in ((2, np.asarray(two)), (3, np.asarray(three))):
                if moved.ndim == 0 or moved.shape[0] != rows:
                    raise NotLowerable("it changes the batch axis")
                own = moved[0]
                for row in range(rows):
                    expected = np.where(own > 0, own + row * x.size, 0)
                    if own.max(initial=0) > x.size or not np.array_equal(moved[row], expected):
                        raise NotLowerable("it mixes samples")
            handles.append(self.rearrange(x, np.asarray(two)[0] - 1))
        return handles

    def pick(self, x: Handle, indices: Handle) -> Handle:
        """Elements of the last axis by whole numbers, matched with the axes before it.

        Numbers below 0 count from the end; what is out of range gives NaN.
        """
        width = x.sample_shape[-1]
        if not self._tells_apart([width]):
            raise NotLowerable(f"its numbers go beyond those to which {self.dtype} is exact")
        return self.op("pick", [x, indices], indices.sample_shape, reads_integers=True, width=width)

    def order(self, x: Handle) -> Handle:
        """Positions that sort the last axis in ascending order, equals as they come, NaN last."""
        width = x.sample_shape[-1]
        if not self._tells_apart([width]):
            raise NotLowerable(f"its numbers go beyond those to which {self.dtype} is exact")
        return self.op("order", [x], x.sample_shape, dtype="int32", width=width)

    def transpose(self, x: Handle, axes: Sequence[int]) -> Handle:
        """`x` with its axes, which count from 1, in another order."""
        positions = np.arange(x.size).reshape(x.sample_shape)
        return self.rearrange(x, np.transpose(positions, [axis - 1 for axis in axes]))

    def broadcast(self, x: Handle, sample_shape: Sequence[int]) -> Handle:
        """`x` repeated along its axes of size 1."""
        positions = np.arange(x.size).reshape(x.sample_shape)
        return self.rearrange(x, np.broadcast_to(positions, tuple(sample_shape)))

    # Products

    def product(self, x: Handle, y: Handle) -> Handle:
        """``matmul`` of the last two axes of two values, both with a batch axis."""
        if len(x.shape) < 3 or len(y.shape) < 3:
            raise NotLowerable("it multiplies samples with each other")
        (*outer_x, m, k), (*outer_y, k2, n) = x.sample_shape, y.sample_shape
        if k != k2 or len(x.shape) != len(y.shape):
            raise NotLowerable("it broadcasts over the batch axis")
        outer = np.broadcast_shapes(tuple(outer_x), tuple(outer_y))
        batches, all_x, all_y = math.prod(outer), math.prod(outer_x), math.prod(outer_y)
        if all_x not in (1, batches):
            x, all_x = self.broadcast(x, (*outer, m, k)), batches
        if all_y not in (1, batches):
            y, all_y = self.broadcast(y, (*outer, k, n)), batches
        return self.op(
            "product",
            [x, y],
            (*outer, m, n),
            batches=batches,
            m=m,
            k=k,
            n=n,
            a_transposed=0,
            b_transposed=0,
            a_shared=int(all_x == 1 and batches != 1),
            b_shared=int(all_y == 1 and batches != 1),
        )

    def _tells_apart(self, numbers: Sequence[float]) -> bool:
        """Whether rounding an integer to the plan's floats never moves it past one of these."""
        return max(map(abs, numbers), default=0) < exact_below(self.dtype)


def _shape(x: Any) -> tuple[Any, ...]:
    return x.shape if isinstance(x, Handle | Variable) else np.shape(x)


def _strides(shape: Shape, result: Sequence[int]) -> list[int]:
    """Strides in elements of a dense array of `shape`, 0 along the axes in which it is repeated."""
    strides = []
    step = 1
    padded = (1,) * (len(result) - len(shape)) + tuple(shape)
    for size in reversed(padded):
        strides.append(0 if size == 1 else step)
        step *= size
    return strides[::-1] or [0]
