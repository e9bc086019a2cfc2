"""Gradients of users' definitions: by `autograd`, or by JAX where they call it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from densekit import ops
from densekit._core import tree
from densekit._core.types import Array, TensorLike
from densekit._core.variable import Variable
from densekit.ops._gradient import value_and_vjp

Vjp: TypeAlias = Callable[
    [object], list[Array]
]  # gradients of the values from those of the outputs


class Differentiator:
    """Calls definitions as `value_and_vjp` does; remembers if they are written on ``jax.numpy``.

    JAX is never imported: a function that calls it has done so.
    """

    def __init__(self) -> None:
        self._by_jax = False

    def __call__(
        self, function: Callable[..., object], values: Sequence[TensorLike]
    ) -> tuple[Any, Vjp]:
        """``(outputs, vjp)``."""
        if not self._by_jax:
            try:
                return value_and_vjp(function, values)
            except TypeError as error:  # what JAX raises for a box of autograd
                if "jax" not in sys.modules:
                    raise
                try:
                    found = _jax_value_and_vjp(function, values)
                except Exception:
                    raise error from None
                self._by_jax = True
                return found
        return _jax_value_and_vjp(function, values)


def boxed_value(variable: Variable, value: TensorLike) -> TensorLike:
    """What is differentiated by: `autograd` knows no bfloat16, so that the cast becomes a step."""
    return np.asarray(value, np.float32) if variable.dtype == "bfloat16" else value


def in_own_dtype(variable: Variable, value: TensorLike) -> TensorLike:
    """What was differentiated by, as the variable reads."""
    return ops.cast(value, "bfloat16") if variable.dtype == "bfloat16" else value


def _jax_value_and_vjp(
    function: Callable[..., object], values: Sequence[TensorLike]
) -> tuple[Any, Vjp]:
    jax = sys.modules["jax"]
    arrays = [np.asarray(value) for value in values]
    differentiable = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]
    structure: list[object] = []
    places: list[int] = []  # of the leaves that are floats

    def floats_and_others(*given: TensorLike) -> tuple[list[Any], list[Any]]:
        mixed: list[TensorLike] = list(arrays)
        for i, value in zip(differentiable, given, strict=True):
            mixed[i] = value
        structure[:] = [function(*mixed)]
        leaves = tree.flatten(structure[0])
        places[:] = [i for i, leaf in enumerate(leaves) if _is_float(leaf)]
        return [leaves[i] for i in places], leaves

    wide = any(a.dtype == np.float64 for a in arrays)
    with _precision(jax, wide):
        floats, jax_vjp, leaves = jax.vjp(
            floats_and_others, *(arrays[i] for i in differentiable), has_aux=True
        )
    found = dict(zip(places, floats, strict=True))
    results = [np.asarray(found.get(i, leaf)) for i, leaf in enumerate(leaves)]

    def vjp(cotangents: object) -> list[Array]:
        given = tree.flatten(cotangents)
        seeds = [
            np.zeros(y.shape, y.dtype)
            if given[i] is None
            else np.asarray(given[i], y.dtype).reshape(y.shape)
            for i, y in zip(places, floats, strict=True)
        ]
        gradients = [np.zeros_like(a) for a in arrays]
        with _precision(jax, wide):
            for i, gradient in zip(differentiable, jax_vjp(seeds), strict=True):
                gradients[i] = np.asarray(gradient, arrays[i].dtype)
        return gradients

    return tree.pack_as(structure[0], results), vjp


def _is_float(leaf: object) -> bool:
    dtype = getattr(leaf, "dtype", None)
    return isinstance(leaf, float) if dtype is None else np.dtype(dtype).kind == "f"


@contextmanager
def _precision(jax: Any, wide: bool) -> Iterator[None]:
    """Inside, JAX computes in float64 if asked to."""
    if not wide:
        yield
        return
    enable = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
    with enable(True):
        yield
