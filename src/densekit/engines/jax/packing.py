"""Variables on the device: small ones in one array for each dtype, large ones as they are.

Small ones then take one transfer and one argument, however many they are. Large ones stay on the
device from one call to the next, as long as nobody else writes them. Where a distribution is set,
those that are cut go as they are instead: `shards`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from densekit._core.types import Array
from densekit._core.variable import Variable
from densekit.engines.jax.numbers import on_device
from densekit.engines.jax.placement import Placement
from densekit.engines.jax.shards import put_shards, shards_of

Packed = list[jax.Array]

_LARGE = 1 << 14  # elements: packing this much takes as long as an argument of its own

_shape: Callable[[tuple[int, ...], np.dtype[np.generic]], jax.ShapeDtypeStruct]
_shape = jax.ShapeDtypeStruct


def shapes_of(variables: Sequence[Variable]) -> list[jax.ShapeDtypeStruct]:
    """What tracing needs to know of variables."""
    return [_shape(v.shape, v.numpy_dtype) for v in variables]


class _Kept(NamedTuple):
    """The value of a large variable on the device, and how often that was written when it got it.

    Without a count the numbers themselves are compared.
    """

    value: jax.Array
    version: tuple[int, ...] | None


class Packing:
    """Where each of some variables lies in what a compiled function takes and gives.

    Args:
        variables: in order.
        placement: where values lie; None: on the default device, where large ones stay.
        counted: whether all that writes them counts as `Variable.write_version` says; what
            optimizers keep is also written by native steps, which do not count there.
        keeps: whether large ones stay on the device; else all are packed.
    """

    def __init__(
        self,
        variables: Sequence[Variable],
        placement: Placement | None,
        counted: bool,
        keeps: bool = True,
    ) -> None:
        self.variables = list(variables)
        self._placement, self._counted = placement, counted
        small: dict[str, list[int]] = {}
        self._alone: list[int] = []
        self._shardings: list[NamedSharding | None] = []  # of these
        for i, variable in enumerate(self.variables):
            large = keeps and variable.size >= _LARGE
            sharding = None if placement is None else placement.sharding_of(variable)
            if large if placement is None else sharding is not None:
                self._alone.append(i)
                self._shardings.append(sharding)
            else:
                small.setdefault(variable.dtype, []).append(i)
        self._groups = list(small.values())
        self._kept: dict[int, _Kept] = {}

    def pack(self) -> list[Array | jax.Array]:
        """The present values."""
        small = [
            np.concatenate([self.variables[i].snapshot().ravel() for i in group])
            for group in self._groups
        ]
        pairs = zip(self._alone, self._shardings, strict=True)
        return [*small, *(self._on_device(i, sharding) for i, sharding in pairs)]

    def give_away(self) -> list[Array | jax.Array]:
        """The same, for a call that they are donated to."""
        packed = self.pack()
        self._kept.clear()
        return packed

    def _on_device(self, i: int, sharding: NamedSharding | None) -> jax.Array:
        variable, kept = self.variables[i], self._kept.get(i)
        if self._placement is not None and sharding is not None:
            return shards_of(variable, sharding, self._placement)
        if kept is None or not self._is_current(variable, kept):
            version = _version(variable)
            kept = self._kept[i] = _Kept(
                on_device(variable.snapshot(), variable.numpy_dtype), version
            )
        return kept.value

    def _is_current(self, variable: Variable, kept: _Kept) -> bool:
        if kept.value.is_deleted():
            return False
        if self._counted and kept.version is not None:
            return kept.version == _version(variable)
        return variable.holds(np.asarray(kept.value))

    def unpack(self, packed: Sequence[jax.Array]) -> list[jax.Array]:
        """The values, in the variables' order and shapes; may be traced."""
        values: dict[int, jax.Array] = {}
        for flat, group in zip(packed, self._groups, strict=False):
            start = 0
            for i in group:
                variable = self.variables[i]
                values[i] = flat[start : start + variable.size].reshape(variable.shape)
                start += variable.size
        values |= zip(self._alone, packed[len(self._groups) :], strict=True)
        return [values[i] for i in range(len(self.variables))]

    def repack(self, values: Sequence[jax.Array]) -> Packed:
        """Values in the variables' order, as they are packed; may be traced."""
        small = [jnp.concatenate([jnp.ravel(values[i]) for i in group]) for group in self._groups]
        return [*small, *(values[i] for i in self._alone)]

    def shardings(self) -> list[NamedSharding | None]:
        """How what is packed lies on the devices."""
        whole = None if self._placement is None else self._placement.whole
        return [*[whole] * len(self._groups), *self._shardings]

    def assign(self, packed: Sequence[Array | jax.Array]) -> None:
        """Write the values to the variables, unless a run that failed has taken them along."""
        if any(isinstance(flat, jax.Array) and flat.is_deleted() for flat in packed):
            return
        first = len(self._groups)
        for flat in packed:  # all are there, or none is written
            if isinstance(flat, jax.Array):
                flat.block_until_ready()
        small = [np.asarray(flat) for flat in packed[:first]]
        for flat, group in zip(small, self._groups, strict=True):
            start = 0
            for i in group:
                variable = self.variables[i]
                part = flat[start : start + variable.size]
                variable.array[...] = part.reshape(variable.shape)
                start += variable.size
        for i, value in zip(self._alone, packed[first:], strict=True):
            self._put(i, value)

    def _put(self, i: int, value: Array | jax.Array) -> None:
        variable = self.variables[i]
        if not isinstance(value, jax.Array):
            variable.array[...] = value
        elif self._placement is not None:
            put_shards(variable, value, self._placement)
        else:
            variable.array[...] = np.asarray(value)
            self._kept[i] = _Kept(value, _version(variable))


def _version(variable: Variable) -> tuple[int, ...] | None:
    version = variable.write_version
    return None if version is None else tuple(version.tolist())
