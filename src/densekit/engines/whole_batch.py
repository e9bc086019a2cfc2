"""Values that a whole batch has in common: sums over it, and what is computed of them.

In a plan of rows each row has a copy. Elementwise formulas take them beside values of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeGuard

from densekit._core.types import Config, Shape
from densekit._core.variable import Variable
from densekit.engines.batch_numbers import BatchNumber, BatchValue, batch_number
from densekit.engines.einsum_plan import letters_of
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_op import Handle, NotLowerable

# Rows keep their products until they are added up. Steps with X' X of 64 units, against those that
# leave it to NumPy, on a Zen 4: 32 rows 122 and 324 us, 128 rows 264 and 370; of 96 units
# 855 and 439.
_LARGEST_OUTER = 64 * 64
_REDUCTIONS = frozenset({"sum", "mean", "max", "amax", "min", "amin", "prod", "logsumexp"})
Apply = Callable[[Config], Handle | Sequence[Handle]]


class Common(BatchValue):
    """A value of the whole batch; `own_shape` is its shape, which has no batch axis."""

    __slots__ = ("own_shape",)

    def __init__(self, copies: Handle, own_shape: Sequence[int]) -> None:
        super().__init__(copies.value, copies.shape, copies.dtype)
        self.own_shape: Shape = tuple(own_shape)

    def as_rows(self, rank: int) -> Handle:
        """Its copies, to meet values of rows of a rank."""
        shape = self.own_shape
        if len(shape) == rank:
            if shape[0] != 1:
                raise NotLowerable("a value of the whole batch meets rows one by one")
            shape = shape[1:]
        if len(shape) >= rank:
            raise NotLowerable("a value of the whole batch has more axes than the rows")
        return Handle(self.value, (None, *(1,) * (rank - 1 - len(shape)), *shape), self.dtype)


class Transposed(BatchValue):
    """Rows of a matrix as its columns: the batch axis is last. Only products take it."""

    __slots__ = ()

    @property
    def rows(self) -> Handle:
        """The rows themselves."""
        return Handle(self.value, self.shape[::-1], self.dtype)


def transposed(x: Handle) -> Transposed:
    """The rows of a matrix as its columns."""
    return Transposed(x.value, x.shape[::-1], x.dtype)


def is_common(x: object) -> TypeGuard[Common]:
    """Whether it is a value of the whole batch."""
    return isinstance(x, Common)


def over_batch(
    plan: PlanBuilder, x: Handle, axes: Sequence[int], keepdims: bool, mean: bool
) -> Common:
    """The sum or mean of `x` over axes, the batch axis 0 among them."""
    rank = len(x.shape)
    chosen = {axis % rank for axis in axes}
    inner = [axis for axis in sorted(chosen) if axis]
    if 0 in x.sample_shape:
        raise NotLowerable("there is nothing to reduce")
    if inner:
        x = plan.reduce("sum", x, inner, keepdims, mean=mean)
    shape = x.sample_shape
    return Common(plan.batch_sum(x, mean), (1, *shape) if keepdims else shape)


def sum_of_products(
    plan: PlanBuilder, equation: str, x: Handle, y: Handle | Variable
) -> Handle | None:
    """A sum of products that goes over the batch, too; None if the equation keeps the batch.

    Args:
        equation: two terms and the result. The first letter of values is the batch.
    """
    left, named, result = letters_of(equation, len(x.shape), len(y.shape))
    batch = left[:1]
    met = named[:1] == batch if isinstance(y, Handle) else batch not in named
    if batch in result or not met:
        return None
    products = plan.einsum(f"{left},{named}->{batch}{result}", x, y)
    if products.size > _LARGEST_OUTER:
        raise NotLowerable(f"its sum over the batch has {products.size} elements")
    if not result:
        return batch_number(plan, "sum", products, None, False)
    return over_batch(plan, products, [0], False, False)


def has_common(arguments: Config) -> bool:
    """Whether an operand is a value of the whole batch."""
    return any(map(is_common, [*arguments.values(), *arguments.get("operands", ())]))


def with_common(plan: PlanBuilder, arguments: Config) -> Config:
    """Numbers of the batch as values that all rows have."""

    def made(x: object) -> object:
        if not isinstance(x, BatchNumber):
            return x
        return Common(plan.batch_sum(x.rows, x.reduced == "mean"), ())

    return {key: made(x) for key, x in arguments.items()}


def lower_of_common(
    name: str, is_elementwise: bool, arguments: Config, apply: Apply
) -> Handle | Sequence[Handle]:
    """An op of values of the whole batch, and of rows.

    Args:
        is_elementwise: whether it goes element by element.
        apply: the op's rule, of values of rows.

    Raises:
        NotLowerable: if it is not element by element, or a reduction of them.
    """
    given = list(arguments.values())
    rows = [x for x in given if isinstance(x, Handle) and not is_common(x)]
    if name in _REDUCTIONS and not rows:
        return _reduced(arguments, apply)
    if not is_elementwise:
        raise NotLowerable(f"`ops.{name}` takes values of the whole batch")
    if rows:
        rank = max(len(x.shape) for x in rows)
        return apply({k: x.as_rows(rank) if is_common(x) else x for k, x in arguments.items()})
    ranks = [len(x.own_shape) for x in given if is_common(x)]
    ranks += [len(x.shape) for x in given if isinstance(x, Variable)]
    rank = max(ranks) + 1
    y = apply({k: x.as_rows(rank) if is_common(x) else x for k, x in arguments.items()})
    if not isinstance(y, Handle):
        raise NotLowerable("it gives several values")
    return Common(y, y.sample_shape)


def _reduced(arguments: Config, apply: Apply) -> Handle:
    key, x = next((k, x) for k, x in arguments.items() if is_common(x))
    rank = len(x.own_shape)
    axis = arguments["axis"]
    axes = range(rank) if axis is None else [axis] if isinstance(axis, int) else axis
    inner = [a % rank + 1 for a in axes]
    copies = Handle(x.value, (None, *x.own_shape), x.dtype)
    if not inner:
        return x
    y = apply({**arguments, key: copies, "axis": inner})
    if not isinstance(y, Handle):
        raise NotLowerable("it gives several values")
    return Common(y, y.sample_shape)
