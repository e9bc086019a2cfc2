"""`Predictor`: outputs of rows by a compiled call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from densekit._core import tree
from densekit._core.types import Array
from densekit._core.variable import Variable
from densekit.engines.jax.packing import Packed, Packing, shapes_of
from densekit.engines.jax.placement import Placement
from densekit.engines.jax.scopes import Given, Values
from densekit.engines.jax.traced import Touched
from densekit.engines.kinds import inside

if TYPE_CHECKING:
    from densekit._core.engine_kind import EngineKind


class Predictor:
    """A model's call, compiled once for each number of rows; few numbers are asked for.

    Args:
        kind: what models inside run on.
        function: takes one array per input, gives a structure of outputs.
        known: variables that it may touch.
        apart: whether each row comes out as it would alone.
        placement: where rows lie; None: on the default device.
    """

    def __init__(
        self,
        kind: EngineKind,
        function: Callable[..., object],
        known: Sequence[Variable],
        apart: bool,
        placement: Placement | None,
    ) -> None:
        self._kind, self._function = kind, function
        self._known = list(known)
        self._apart = apart
        self._placement = placement
        self._packings: tuple[Packing, Packing] | None = None  # what is read, what is written
        self._compiled: Callable[..., tuple[list[jax.Array], Packed]] | None = None
        self.added_losses = False

    def __call__(self, inputs: Sequence[Array], n: int) -> list[Array]:
        """The outputs of `n` rows, and maybe of some more; state that the call writes is kept."""
        # Rows that do not depend on each other are filled up to a power of two.
        size = 1 << (n - 1).bit_length() if self._apart else n
        if self._apart and self._placement is not None:
            size = self._placement.fitting(size)
        filled = [_filled(column, size) for column in inputs]
        if self._packings is None or self._compiled is None:
            self._packings = self._touched(filled)
            place = self._placement
            places = None if place is None else (place.whole, self._packings[1].shardings())
            self._compiled = jax.jit(self._call, out_shardings=places)
        read, written = self._packings
        values: Sequence[Array | jax.Array] = read.pack()
        given: Sequence[Array | jax.Array] = filled
        if self._placement is not None:
            place = self._placement
            place.begin("predict")
            values = place.copies(values)
            given = [place.shared(column.shape, 0, column.__getitem__) for column in filled]
        made, state = self._compiled(values, given)
        written.assign(state)
        return [np.asarray(y) for y in made]

    def _outputs(
        self, values: Given, inputs: Sequence[jax.Array], noted: Touched | None
    ) -> tuple[list[jax.Array], Given]:
        scope = Values(values, noted, collect_losses=True)
        with inside(self._kind), scope:
            made = [jnp.asarray(y) for y in tree.flatten(self._function(*inputs))]
        self.added_losses = self.added_losses or bool(scope.losses)
        return made, scope.values()

    def _touched(self, given: list[Array]) -> tuple[Packing, Packing]:
        touched = Touched({}, {})

        def trial(values: list[jax.Array], inputs: list[jax.Array]) -> list[jax.Array]:
            return self._outputs(dict(zip(self._known, values, strict=True)), inputs, touched)[0]

        jax.eval_shape(trial, shapes_of(self._known), given)
        written = Packing(list(touched.written), self._placement, counted=False)
        return Packing(list(touched.read), self._placement, counted=True), written

    def _call(
        self, packed: Sequence[jax.Array], inputs: Sequence[jax.Array]
    ) -> tuple[list[jax.Array], Packed]:
        assert self._packings is not None
        read, written = self._packings
        values = dict(zip(read.variables, read.unpack(packed), strict=True))
        if self._placement is not None:
            values = {v: self._placement.cut(v, value) for v, value in values.items()}
        made, after = self._outputs(values, inputs, None)
        return made, written.repack([after[v] for v in written.variables])


def _filled(column: Array, size: int) -> Array:
    lacking = size - len(column)
    if not lacking:
        return column
    return np.concatenate([column, np.repeat(column[-1:], lacking, axis=0)])
