"""What NumPy computes whenever a function that JAX has compiled runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from densekit._core import tree
from densekit._core.boxes import unboxed
from densekit._core.tensor import as_tensor
from densekit._core.types import Array, Shape, TensorLike
from densekit.ops._dispatch import is_tracer

_INT32 = np.iinfo(np.int32)


class Result(NamedTuple):
    """An array to come."""

    shape: Shape
    dtype: str


def called_back(
    function: Callable[..., Sequence[Array]], results: Sequence[Result], *given: object
) -> list[TensorLike]:
    """``function(*given)``, called with arrays of NumPy.

    The thread that calls back knows nothing of `jax.enable_x64`, and would round numbers of 64
    bits: they travel as two words each.

    Args:
        results: what it gives.
        given: structures of arrays, some of them traced.
    """
    jax, xp = sys.modules["jax"], sys.modules["jax.numpy"]
    known = jax.dtypes.canonicalize_dtype
    results = [r._replace(dtype=np.dtype(known(r.dtype)).name) for r in results]
    leaves = [xp.asarray(leaf) for leaf in tree.flatten(given)]
    dtypes = [np.dtype(leaf.dtype) for leaf in leaves]

    def on_words(*words: TensorLike) -> list[Array]:
        arrays = [_from_words(np.asarray(w), t) for w, t in zip(words, dtypes, strict=True)]
        made = function(*tree.pack_as(given, arrays))
        return [
            _as_words(_fitting(np.asarray(y), np.dtype(r.dtype)).reshape(r.shape))
            for y, r in zip(made, results, strict=True)
        ]

    wide = [_is_wide(np.dtype(result.dtype)) for result in results]
    shapes = [
        jax.ShapeDtypeStruct((*r.shape, 2) if w else r.shape, "uint32" if w else r.dtype)
        for r, w in zip(results, wide, strict=True)
    ]
    to = jax.lax.bitcast_convert_type
    words = [
        to(leaf, "uint32") if _is_wide(dtype) else leaf
        for leaf, dtype in zip(leaves, dtypes, strict=True)
    ]
    found = jax.pure_callback(on_words, shapes, *words, vmap_method="sequential")
    return [to(y, r.dtype) if w else y for y, r, w in zip(found, results, wide, strict=True)]


def by_numpy(function: Callable[..., Array], result: Result, *given: TensorLike) -> TensorLike:
    """``function(*given)``, for arrays of NumPy; where JAX traces them it is called back."""
    if not any(map(is_tracer, given)):
        return as_tensor(function(*(np.asarray(unboxed(x)) for x in given)))
    (made,) = called_back(lambda *arrays: [function(*arrays)], [result], *given)
    return made


def _fitting(array: Array, dtype: np.dtype[np.generic]) -> Array:
    """Whole numbers that a narrow type cannot hold are its ends."""
    if dtype == np.int32 and array.dtype == np.int64:
        array = array.clip(_INT32.min, _INT32.max)
    return array.astype(dtype, copy=False)


def _is_wide(dtype: np.dtype[np.generic]) -> bool:
    return dtype.itemsize == 8


def _as_words(array: Array) -> Array:
    if not _is_wide(array.dtype):
        return array
    return np.ascontiguousarray(array)[..., None].view(np.uint32)


def _from_words(words: Array, dtype: np.dtype[np.generic]) -> Array:
    if not _is_wide(dtype):
        return words
    whole: Array = np.ascontiguousarray(words).view(dtype)[..., 0]
    return whole
