"""Marks that tapes leave in what JAX traces: where they begin and end, what they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol, TypeAlias

import jax
from jax.extend import core

Place: TypeAlias = tuple[int, int]  # of a source: which request for gradients, and which of its


class _Primitive(Protocol):
    multiple_results: bool

    def def_abstract_eval(self, rule: Callable[..., object]) -> object: ...
    def bind(self, *arguments: object, **parameters: object) -> object: ...


class Kind(Enum):
    """What is asked of a tape: see the methods of `GradientTape`."""

    GRADIENT = 0
    JACOBIAN = 1
    BATCH_JACOBIAN = 2


mark: _Primitive = core.Primitive("densekit_tape")
mark.def_abstract_eval(lambda at, **_: at)
gradient_mark: _Primitive = core.Primitive("densekit_gradient")
gradient_mark.multiple_results = True


def _gradient_shapes(*given: jax.core.ShapedArray, sources: int, kind: Kind, **_: object) -> object:
    found = given[len(given) - sources :]
    if kind is Kind.GRADIENT:
        return list(found)
    shared = 1 if kind is Kind.BATCH_JACOBIAN else 0
    return [jax.core.ShapedArray((*given[0].shape, *s.shape[shared:]), s.dtype) for s in found]


gradient_mark.def_abstract_eval(_gradient_shapes)
