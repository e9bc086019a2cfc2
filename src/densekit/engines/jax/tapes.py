"""Tapes in steps that JAX traces.

A step runs once, with tracers. Where a tape begins and ends, and where gradients are asked for, it
leaves marks in what is traced: `Resolved` puts gradients in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias, cast

import jax
import jax.numpy as jnp
import numpy as np

from densekit._core import tree
from densekit._core.errors import message
from densekit._core.scope import Foreign
from densekit._core.variable import Variable
from densekit.engines.jax.marks import Kind, Place, gradient_mark, mark

_Source: TypeAlias = Variable | jax.Array


class Enough(Exception):
    """A trace has shown what was asked."""


class Tapes:
    """The tapes of one trace.

    Args:
        read: gives what a variable reads as, None if it is no part of the trace.
        values: gives what all read as.
        unconnected: sources that no target depends on, as an earlier trace has shown.
        last: the request for gradients that ends the trace; None: none does.

    Raises:
        Enough: at that request.
    """

    def __init__(
        self,
        read: Callable[[Variable], jax.Array | None],
        values: Callable[[], dict[Variable, jax.Array]],
        unconnected: Collection[Place],
        last: int | None,
    ) -> None:
        self.read, self.values, self.unconnected = read, values, unconnected
        self.last = last
        self.tapes = self.requests = 0

    def new(self) -> Foreign:
        """A tape."""
        self.tapes += 1
        return _Tape(self, self.tapes)


class _Tape:
    """One tape.

    Args:
        tapes: all of the trace.
        number: of this one.
    """

    def __init__(self, tapes: Tapes, number: int) -> None:
        self._tapes, self._number = tapes, number
        self._before: dict[Variable, jax.Array] = {}
        self._watched: list[object] = []

    def begin(self) -> None:
        """Record."""
        self._before = self._before or self._tapes.values()
        mark.bind(jnp.int32(0), tape=self._number, begins=True)

    def end(self) -> None:
        """Record no more."""
        mark.bind(jnp.int32(0), tape=self._number, begins=False)

    def watch(self, leaf: object) -> None:
        """Give gradients by an array or a variable, too."""
        if not isinstance(leaf, Variable | jax.Array):
            raise TypeError(
                message(
                    "GradientTape.watch",
                    "what depends on the batch",
                    "a constant",
                    "Watch a result of it.",
                )
            )
        self._watched.append(leaf)

    def gradient(
        self, target: object, sources: object, seeds: object, zero: bool, accessed: bool
    ) -> object:
        """The gradients: see `GradientTape.gradient`."""
        targets = tree.flatten(target)
        given = [None] * len(targets) if seeds is None else tree.flatten(seeds)
        pairs = [
            (y, jnp.ones_like(y) if dy is None else jnp.asarray(dy, y.dtype))
            for y, dy in zip(targets, given, strict=True)
            if isinstance(y, jax.core.Tracer)
        ]
        flat = tree.flatten(sources)
        found = self._asked([y for y, _ in pairs], [dy for _, dy in pairs], flat, accessed)
        if zero:
            found = [
                jnp.zeros(jnp.shape(s), s.dtype) if g is None else g
                for g, s in zip(found, flat, strict=True)
            ]
        return tree.pack_as(sources, found)

    def jacobian(
        self, target: object, sources: object, zero: bool, accessed: bool, by_row: bool
    ) -> object:
        """The gradient of every element: see `GradientTape.jacobian`, `batch_jacobian`."""
        flat, kind = tree.flatten(sources), Kind.BATCH_JACOBIAN if by_row else Kind.JACOBIAN
        targets = [target] if isinstance(target, jax.core.Tracer) else []
        found = self._asked(targets, [], flat, accessed, kind)
        if zero:
            shape, shared = np.shape(cast("jax.Array", target)), 1 if by_row else 0
            found = [
                jnp.zeros((*shape, *jnp.shape(s)[shared:]), s.dtype) if g is None else g
                for g, s in zip(found, flat, strict=True)
            ]
        return tree.pack_as(sources, found)

    def _asked(
        self,
        targets: Sequence[jax.Array],
        seeds: Sequence[jax.Array],
        sources: Sequence[_Source],
        accessed: bool,
        kind: Kind = Kind.GRADIENT,
    ) -> list[jax.Array | None]:
        """What will stand for each source, None where no target depends on it."""
        values = [self._value(source) for source in sources]
        self._tapes.requests += 1
        request = self._tapes.requests
        asked = [
            i
            for i, value in enumerate(values)
            if value is not None and (request, i) not in self._tapes.unconnected
        ]
        found: list[jax.Array | None] = [None] * len(sources)
        if targets and asked:
            made = gradient_mark.bind(
                *targets,
                *seeds,
                *(values[i] for i in asked),
                kind=kind,
                tape=self._number,
                targets=len(targets),
                sources=len(asked),
                request=request,
                places=tuple(asked),
                roots=tuple(self._is_root(sources[i], accessed) for i in asked),
            )
            for i, value in zip(asked, cast("list[jax.Array]", made), strict=True):
                found[i] = value
        if request == self._tapes.last:
            raise Enough
        return found

    def _value(self, source: object) -> jax.Array | None:
        if isinstance(source, Variable):
            now = self._tapes.read(source)
            return self._before.get(source, now)
        if isinstance(source, jax.Array):
            return source
        raise TypeError(
            message(
                "GradientTape.gradient",
                "variables or arrays of the step",
                "a constant",
                "Watch it first.",
            )
        )

    def _is_root(self, source: object, accessed: bool) -> bool:
        """Whether the tape watches it."""
        if any(source is one for one in self._watched):
            return True
        return accessed and isinstance(source, Variable) and source.trainable
