"""Noise while training: each element is a function of (key, counter, element), as natively."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from densekit._core.dtypes import to_numpy_dtype
from densekit._core.seeds import Seed, philox_words, seed_pair
from densekit._core.types import DTypeLike, TensorLike
from densekit.ops._dispatch import namespace

# Wichura, "Algorithm AS 241" (Applied Statistics 37, 1988), PPND16: numerators and denominators of
# rational functions, from the constant up; in the middle, in the tails, far out.
_MIDDLE = (
    (
        3.3871328727963665,
        133.14166789178438,
        1971.5909503065513,
        13731.69376550946,
        45921.95393154987,
        67265.7709270087,
        33430.57558358813,
        2509.0809287301227,
    ),
    (
        1.0,
        42.31333070160091,
        687.1870074920579,
        5394.196021424751,
        21213.794301586597,
        39307.89580009271,
        28729.085735721943,
        5226.495278852854,
    ),
)
_TAIL = (
    (
        1.4234371107496835,
        4.630337846156546,
        5.769497221460691,
        3.6478483247632045,
        1.2704582524523684,
        0.2417807251774506,
        0.022723844989269184,
        0.0007745450142783414,
    ),
    (
        1.0,
        2.053191626637759,
        1.6763848301838038,
        0.6897673349851,
        0.14810397642748008,
        0.015198666563616457,
        0.0005475938084995345,
        1.0507500716444169e-09,
    ),
)
_FAR = (
    (
        6.657904643501103,
        5.463784911164114,
        1.7848265399172913,
        0.29656057182850487,
        0.026532189526576124,
        0.0012426609473880784,
        2.7115555687434876e-05,
        2.0103343992922881e-07,
    ),
    (
        1.0,
        0.599832206555888,
        0.1369298809227358,
        0.014875361290850615,
        0.0007868691311456133,
        1.8463183175100548e-05,
        1.421511758316446e-07,
        2.0442631033899397e-15,
    ),
)


def _ratio(form: tuple[tuple[float, ...], tuple[float, ...]], x: TensorLike) -> TensorLike:
    above, below = (_polynomial(part, x) for part in form)
    return above / below


def _polynomial(coefficients: tuple[float, ...], x: TensorLike) -> TensorLike:
    *others, last = coefficients
    total: Any = last
    for coefficient in reversed(others):
        total = coefficient + total * x
    return total  # type: ignore[no-any-return]


def normal_quantile(words: TensorLike, dtype: DTypeLike = np.float64) -> TensorLike:
    """The standard normal quantile of ``(word + 1/2) / 2**32`` for each 32-bit word.

    Worked out in `dtype`, to its last digits: the distance to 1/2 and to the nearer end are taken
    of the words themselves, which float32 cannot hold.
    """
    xp = namespace(words)

    def share(whole: TensorLike) -> TensorLike:
        return (whole.astype(dtype) + 0.5) * 2.0**-32

    q = share((words ^ np.uint32(1 << 31)).view(np.int32))
    middle = q * _ratio(_MIDDLE, 0.180625 - q * q)
    tail = xp.sqrt(-xp.log(share(xp.where(q < 0, words, ~words))))
    outside = xp.where(tail <= 5.0, _ratio(_TAIL, tail - 1.6), _ratio(_FAR, tail - 5.0))
    return xp.where(xp.abs(q) <= 0.425, middle, xp.copysign(outside, q))


def gaussian(
    shape: Sequence[int],
    seed: Seed,
    dtype: DTypeLike = None,
    mean: float = 0.0,
    stddev: float = 1.0,
) -> TensorLike:
    """Normal numbers, rounded once: element e is the quantile of ``(word e + 1/2) / 2**32``."""
    words = philox_words(*seed_pair(seed), math.prod(shape))
    kind = to_numpy_dtype(dtype)
    exact = isinstance(words, np.ndarray) or kind == np.float64
    values = normal_quantile(words, np.float64 if exact else np.float32)
    return (values * stddev + mean).astype(kind).reshape(tuple(shape))
