"""In which types and how exactly JAX computes, and how numbers get there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import jax
import numpy.typing as npt

from densekit._core.initial_value import aligned_empty
from densekit._core.types import Array


@contextmanager
def numbers(wide: bool) -> Iterator[None]:
    """Inside, products of float32 are products of float32, unless JAX is told otherwise.

    By itself it takes fewer bits where a device is faster so: TF32, bfloat16.

    Args:
        wide: whether float64 is computed with; else it is as JAX is set.
    """
    with ExitStack() as stack:
        if wide:
            stack.enter_context(jax.enable_x64(True))
        if jax.config.values["jax_default_matmul_precision"] is None:
            stack.enter_context(jax.default_matmul_precision("highest"))
        yield


def on_device(array: Array, dtype: npt.DTypeLike, rows: int | None = None) -> jax.Array:
    """A copy on the device that nobody else writes.

    Args:
        rows: what to make room for; what is in the others is left open. None: the array's.

    A processor takes an array that starts on a cache line as it is. NumPy's memory comes in huge
    pages, XLA's does not: Zen 4, 60 MB are there after 7 ms, 35 ms if XLA copies them.
    """
    shape = array.shape if rows is None else (rows, *array.shape[1:])
    copy = aligned_empty(shape, dtype)
    (copy if rows is None else copy[: len(array)])[...] = array
    placed: jax.Array = jax.device_put(copy)
    return placed
