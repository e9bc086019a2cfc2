"""Uniform numbers in functions that JAX traces: those of NumPy's generator, to the bit."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from densekit._core.seeds import Word, halves_product
from densekit._core.types import ArrayLike, Namespace, TensorLike

# Philox4x64-10: Salmon et al., table 2.
_M0, _M1 = 0xD2E7470EE14C6C93, 0xCA5A826395121157
_W0, _W1 = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
_LOW = 0xFFFFFFFF

Wide: TypeAlias = tuple[TensorLike, TensorLike]  # 64 bits: the lower word, the upper one


def traced_uniform(
    shape: Sequence[int], low: ArrayLike, high: ArrayLike, dtype: str, key: Word, counter: Word
) -> TensorLike:
    """Values in ``[low, high)``: element e is the upper 53 bits of word e over ``2**53``.

    They are put together in float64, as NumPy does, whatever JAX is set to, and rounded once.
    """
    jax, xp = sys.modules["jax"], sys.modules["jax.numpy"]
    count, kind = math.prod(shape), jax.dtypes.canonicalize_dtype(dtype)
    lower, upper = _words(xp, key, counter, count)
    with jax.enable_x64(True):
        share = (
            upper.astype("float64") * 2.0**21 + (lower >> xp.uint32(11)).astype("float64")
        ) * 2.0**-53
        first, end = xp.asarray(low, "float64"), xp.asarray(high, "float64")
        values = (first + (end - first) * share).astype(kind)
        # Rounding to a narrow type may reach the end, which is excluded.
        ends = (jax.lax.stop_gradient(number.astype(kind)) for number in (end, first))
        made: TensorLike = xp.minimum(values, xp.nextafter(*ends)).reshape(tuple(shape))
    return made


def _words(xp: Namespace, key: Word, counter: Word, count: int) -> Wide:
    """Words of 64 bits, of a stream whose key is ``(key, counter)``, from block 1 on."""
    jax = sys.modules["jax"]
    block = 1 + np.arange(-(-count // 4), dtype=np.uint64)
    first = _wide(xp, (block & np.uint64(_LOW)), (block >> np.uint64(32)))
    nothing = xp.zeros_like(first[0]), xp.zeros_like(first[0])
    keys = _of_seed(xp, key), _of_seed(xp, counter)

    def round_of(_: object, state: tuple[tuple[Wide, ...], tuple[Wide, Wide]]) -> object:
        (c0, c1, c2, c3), (k0, k1) = state
        low0, high0 = _product(xp, _M0, c0)
        low1, high1 = _product(xp, _M1, c2)
        mixed = _mixed(high1, c1, k0), low1, _mixed(high0, c3, k1), low0
        return mixed, (_sum(k0, _number(xp, _W0)), _sum(k1, _number(xp, _W1)))

    unroll = jax.default_backend() != "cpu"  # as for the words of 32 bits
    start = (first, nothing, nothing, nothing), keys
    words, _ = jax.lax.fori_loop(0, 10, round_of, start, unroll=unroll)
    lower, upper = (
        xp.stack(parts, axis=1).reshape(-1)[:count] for parts in zip(*words, strict=True)
    )
    return lower, upper


def _wide(xp: Namespace, low: TensorLike, high: TensorLike) -> Wide:
    return xp.asarray(low, "uint32"), xp.asarray(high, "uint32")


def _number(xp: Namespace, value: int) -> Wide:
    return xp.uint32(value & _LOW), xp.uint32(value >> 32)


def _of_seed(xp: Namespace, word: Word) -> Wide:
    if isinstance(word, int):
        return _number(xp, word & ((1 << 64) - 1))
    return xp.asarray(word, "uint32"), xp.uint32(0)


def _mixed(*words: Wide) -> Wide:
    (a, b), (c, d), (e, f) = words
    return a ^ c ^ e, b ^ d ^ f


def _sum(x: Wide, y: Wide) -> Wide:
    low = x[0] + y[0]
    return low, x[1] + y[1] + (low < x[0]).astype("uint32")


def _product(xp: Namespace, factor: int, x: Wide) -> tuple[Wide, Wide]:
    """The lower and the upper half of ``factor * x``."""
    f0, f1 = factor & _LOW, factor >> 32
    (h00, l00), (h01, l01) = halves_product(xp, f0, x[0]), halves_product(xp, f0, x[1])
    (h10, l10), (h11, l11) = halves_product(xp, f1, x[0]), halves_product(xp, f1, x[1])
    second, carried = _added(h00, l01, l10)
    third, again = _added(h01, h10, l11, carried)
    return (l00, second), (third, h11 + again)


def _added(*words: TensorLike) -> Wide:
    """The lower word of a sum, and how often it passed its end."""
    total, *others = words
    passed = total ^ total
    for word in others:
        total = total + word
        passed = passed + (total < word).astype("uint32")
    return total, passed
