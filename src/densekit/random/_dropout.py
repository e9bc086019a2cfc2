"""Dropout: the mask is a function of (key, counter, element), the same in the native core."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from densekit._core.registry import export
from densekit._core.seeds import Seed, philox_words, seed_pair
from densekit._core.tensor import as_tensor
from densekit._core.types import ArrayLike, TensorLike
from densekit.ops._core_ops import convert_to_tensor
from densekit.ops._dispatch import floating, namespace
from densekit.ops._keras_tensor import KerasTensor
from densekit.ops._row_draws import dropout_of_rows


@export("keras.random")
def dropout(
    inputs: ArrayLike,
    rate: float,
    noise_shape: Sequence[int | None] | None = None,
    seed: Seed = None,
) -> TensorLike:
    """Zero a share `rate` of the elements at random and scale the others by ``1 / (1 - rate)``.

    Element e is kept if its random 32-bit word is at least ``rate * 2**32``. Sizes of 1 in
    `noise_shape` share one word along their axis; None there stands for the size of the input.
    """
    if isinstance(inputs, KerasTensor):
        return dropout_of_rows(inputs, rate, seed, noise_shape)  # type: ignore[return-value]
    x = floating(convert_to_tensor(inputs))
    if rate == 0:
        return x
    shape = tuple(x.shape)
    if noise_shape is not None:
        shape = tuple(n if m is None else int(m) for n, m in zip(x.shape, noise_shape, strict=True))
    key, counter = seed_pair(seed)
    words = philox_words(key, counter, math.prod(shape))
    xp = namespace(x, words)
    least = np.uint32(min(math.ceil(rate * 2.0**32), 0xFFFFFFFF))
    keep = xp.broadcast_to((words >= least).reshape(shape), x.shape)
    scale = np.asarray(1.0 / (1.0 - rate) if rate < 1 else 0.0, x.dtype)
    return as_tensor(xp.where(keep, x * scale, xp.zeros_like(x)))
