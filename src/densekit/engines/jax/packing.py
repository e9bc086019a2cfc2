"""Variables in one array for each dtype: one transfer and one argument, however many there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from densekit._core.types import Array
from densekit._core.variable import Variable

Packed = list[jax.Array]


_shape: Callable[[tuple[int, ...], np.dtype[Any]], Any] = jax.ShapeDtypeStruct


def shapes_of(arrays: Sequence[Any]) -> list[Any]:
    """What tracing needs to know of arrays or variables."""
    return [_shape(a.shape, np.dtype(a.dtype)) for a in arrays]


class Packing:
    """Where each of some variables lies in a flat array of its dtype."""

    def __init__(self, variables: Sequence[Variable]) -> None:
        self.variables = list(variables)
        self._groups: dict[str, list[int]] = {}
        for i, variable in enumerate(self.variables):
            self._groups.setdefault(variable.dtype, []).append(i)

    def pack(self) -> list[Array]:
        """The present values."""
        return [
            np.concatenate([self.variables[i].snapshot().ravel() for i in group])
            for group in self._groups.values()
        ]

    def unpack(self, packed: Sequence[jax.Array]) -> list[jax.Array]:
        """The values, in the variables' order and shapes; may be traced."""
        values: list[Any] = [None] * len(self.variables)
        for flat, group in zip(packed, self._groups.values(), strict=True):
            start = 0
            for i in group:
                variable = self.variables[i]
                values[i] = flat[start : start + variable.size].reshape(variable.shape)
                start += variable.size
        return values

    def repack(self, values: Sequence[Any]) -> Packed:
        """Values in the variables' order, flat again; may be traced."""
        return [
            jnp.concatenate([jnp.ravel(values[i]) for i in group])
            for group in self._groups.values()
        ]

    def assign(self, packed: Sequence[jax.Array]) -> None:
        """Write the values to the variables, unless a run that failed has taken them along."""
        if any(isinstance(flat, jax.Array) and flat.is_deleted() for flat in packed):
            return
        arrays = [np.asarray(flat) for flat in packed]  # all are there, or none is written
        for flat, group in zip(arrays, self._groups.values(), strict=True):
            start = 0
            for i in group:
                variable = self.variables[i]
                part = flat[start : start + variable.size]
                variable.array[...] = part.reshape(variable.shape)
                start += variable.size
