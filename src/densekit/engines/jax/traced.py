"""`Traced`: a step as JAX traced it, once for each shape of a batch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

import jax
import numpy as np
from jax.extend.core import jaxpr_as_fun

from densekit._core.variable import Variable
from densekit.engines.jax.packing import shapes_of
from densekit.engines.jax.rates import Rates
from densekit.engines.objective import Batch

Shape: TypeAlias = jax.ShapeDtypeStruct


class Touched(NamedTuple):
    """The variables that a step reads, and those that it assigns to, in order."""

    read: dict[Variable, None]
    written: dict[Variable, None]


class Made(NamedTuple):
    """What a step gives beside new values.

    Attributes:
        losses: the total and each loss.
        outputs: predictions.
        masks: those of the outputs that have one.
        amounts: what sums of metrics grow by.
        last: what the host is to know of the last step alone.
    """

    losses: jax.Array
    outputs: list[jax.Array]
    masks: list[jax.Array | None]
    amounts: list[jax.Array]
    last: list[jax.Array]


Values: TypeAlias = Mapping[Variable, jax.Array]


class Formula(Protocol):
    """A step as a pure function."""

    @property
    def rates(self) -> Rates:
        """Learning rates that it is told."""

    def __call__(
        self,
        values: dict[Variable, jax.Array],
        batch: Batch,
        real: jax.Array | None,
        rates: Sequence[jax.Array],
        touched: Touched,
    ) -> tuple[Values, Made]:
        """New values of the variables, and what the step gave.

        Args:
            values: of all variables that may be touched; others count as constants.
            real: how many rows count; None: all.
            rates: what `Rates.at` gave.
            touched: told what is read and written.
        """


def shape_of(batch: Batch) -> Hashable:
    """Equal for batches that a formula is traced for once."""
    leaves, structure = jax.tree.flatten(batch)
    return structure, tuple((leaf.shape, np.dtype(leaf.dtype)) for leaf in leaves)


class Traced:
    """A formula for batches of one shape.

    Definitions in Python run when it is made, and never again: who calls it repeats what they did.

    Args:
        formula: what to trace.
        known: variables that it may touch.
        batch: shapes of the rows.
        pads: whether it is told how many rows count.
    """

    def __init__(
        self, formula: Formula, known: Sequence[Variable], batch: Batch, pads: bool
    ) -> None:
        self._known = list(known)
        self.key = shape_of(batch)
        self.touched = touched = Touched({}, {})

        def step(
            values: list[jax.Array],
            batch: Batch,
            real: jax.Array | None,
            rates: Sequence[jax.Array],
        ) -> tuple[list[jax.Array], Made]:
            given = dict(zip(known, values, strict=True))
            after, made = formula(given, batch, real, rates, touched)
            # Those that are not known yet will be, when it is traced again.
            return [after[v] for v in touched.written if v in after], made

        real = np.int32(0) if pads else None
        closed, shapes = jax.make_jaxpr(step, return_shape=True)(
            shapes_of(known), batch, real, formula.rates.shapes
        )
        self._run: Callable[..., Sequence[jax.Array]] = jaxpr_as_fun(closed)
        self.made: Made = shapes[1]
        self._structure = jax.tree.structure(shapes)
        # What is not read is an argument all the same.
        unread = [v for v in known if v not in touched.read]
        self._fillers = {v: np.zeros((), v.numpy_dtype) for v in unread}

    def __call__(
        self,
        values: Values,
        batch: Batch,
        real: jax.Array | None,
        rates: Sequence[jax.Array],
    ) -> tuple[Values, Made]:
        """What the formula gives, in terms of JAX; may be traced."""
        given = [self._fillers[v] if v in self._fillers else values[v] for v in self._known]
        leaves = self._run(*jax.tree.leaves((given, batch, real, rates)))
        after, made = jax.tree.unflatten(self._structure, leaves)
        return dict(zip(self.touched.written, after, strict=True)), made


def traced_whole(formula: Formula, known: Sequence[Variable], batch: Batch, pads: bool) -> Traced:
    """The same for whatever variables it touches, wherever they lie.

    Args:
        known: those that it most likely touches: if there are others, it is traced again.
    """
    while True:
        traced = Traced(formula, known, batch, pads)
        others = [v for v in traced.touched.read if v not in set(known)]
        if not others:
            return traced
        known = [*known, *others]
