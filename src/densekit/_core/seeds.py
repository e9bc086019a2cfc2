"""Counter-based randomness: the same (key, counter, element) gives the same bits everywhere.

Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3"
(SC11).
The native core computes the same words; `tests/contracts` holds the two against each other.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from densekit._core.errors import describe, message
from densekit._core.name_scope import in_scope
from densekit._core.naming import auto_name
from densekit._core.registry import export
from densekit._core.thread_seeds import Reserved, draw_seed, restore, save, seed_thread
from densekit._core.types import Config, TensorLike
from densekit._core.variable import Variable

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)  # Salmon et al., table 2
_W0, _W1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)  # Weyl increments of the key
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)

Word: TypeAlias = int | TensorLike  # a number, or one that is traced


def philox_words(key: Word, counter: Word, count: int) -> Any:
    """`count` random words; element ``e`` is word ``e % 4`` of block ``e // 4``.

    Key and counter are integers of up to 64 bits, or traced words.
    """
    if not isinstance(key, int) or not isinstance(counter, int):
        return _traced_words(key, counter, count)
    blocks = -(-count // 4)
    block = np.arange(blocks, dtype=np.uint64)
    c0 = (block & _LOW).astype(np.uint32)
    c1 = (block >> _SHIFT).astype(np.uint32)
    c2 = np.full(blocks, counter & 0xFFFFFFFF, np.uint32)
    c3 = np.full(blocks, (counter >> 32) & 0xFFFFFFFF, np.uint32)
    k0, k1 = np.uint32(key & 0xFFFFFFFF), np.uint32((key >> 32) & 0xFFFFFFFF)
    with np.errstate(over="ignore"):
        for _ in range(10):
            p0 = _M0 * c0.astype(np.uint64)
            p1 = _M1 * c2.astype(np.uint64)
            high0, low0 = (p0 >> _SHIFT).astype(np.uint32), (p0 & _LOW).astype(np.uint32)
            high1, low1 = (p1 >> _SHIFT).astype(np.uint32), (p1 & _LOW).astype(np.uint32)
            c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
            k0, k1 = np.uint32(k0 + _W0), np.uint32(k1 + _W1)
    return np.stack([c0, c1, c2, c3], axis=1).reshape(-1)[:count]


def _traced_words(key: Word, counter: Word, count: int) -> Any:
    """The same of a key and a counter of JAX, whose integers have 32 bits unless asked for more."""
    jax, xp = sys.modules["jax"], sys.modules["jax.numpy"]
    blocks = -(-count // 4)
    block = np.arange(blocks, dtype=np.uint64)
    word = xp.zeros(blocks, xp.uint32)
    low, high = (xp.asarray(part.astype(np.uint32)) for part in (block & _LOW, block >> _SHIFT))

    def round_of(_: object, state: Any) -> Any:
        (c0, c1, c2, c3), (k0, k1) = state
        high0, low0 = halves_product(xp, int(_M0), c0)
        high1, low1 = halves_product(xp, int(_M1), c2)
        mixed = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        return mixed, (k0 + xp.uint32(_W0), k1 + xp.uint32(_W1))

    start = (low, high, word + xp.asarray(counter, xp.uint32), word)
    keys = xp.asarray(key, xp.uint32), xp.uint32(0)
    # XLA's processor backend makes one long kernel of ten rounds written out, without vectors:
    # 1,024 words take 310 us, in a loop 22. Elsewhere each turn of a loop would be a launch.
    unroll = jax.default_backend() != "cpu"
    words, _ = jax.lax.fori_loop(0, 10, round_of, (start, keys), unroll=unroll)
    return xp.stack(words, axis=1).reshape(-1)[:count]


def halves_product(xp: Any, factor: int, x: TensorLike) -> tuple[TensorLike, TensorLike]:
    """The upper and the lower word of ``factor * x``, by products of 16 bits."""
    half, low = xp.uint32(16), xp.uint32(0xFFFF)
    a1, a0 = xp.uint32(factor >> 16), xp.uint32(factor & 0xFFFF)
    b1, b0 = x >> half, x & low
    first = a1 * b0 + (a0 * b0 >> half)  # no sum exceeds 32 bits
    second = a0 * b1 + (first & low)
    return a1 * b1 + (first >> half) + (second >> half), xp.uint32(factor) * x


def permutation(key: int, counter: int, n: int, block: int) -> npt.NDArray[np.int64]:
    """``range(n)``, shuffled inside every `block` of it: Durstenfeld, "Algorithm 235" (1964).

    Places are drawn as in Lemire, "Fast random integer generation in an interval" (2019),
    algorithm 5. The native core gives the same order.
    """
    order = list(range(n))
    words = iter(philox_words(key, counter, 2 * n + 64).tolist())
    for first in range(0, n, block):
        for last in range(min(block, n - first) - 1, 0, -1):
            size = last + 1
            product = next(words) * size
            if product & 0xFFFFFFFF < size:
                threshold = (2**32 - size) % size
                while product & 0xFFFFFFFF < threshold:
                    product = next(words) * size
            one, other = first + last, first + (product >> 32)
            order[one], order[other] = order[other], order[one]
    return np.array(order, np.int64)


make_default_seed = draw_seed


@export("keras.utils")
def set_random_seed(seed: int) -> None:
    """Seed Python's `random`, NumPy and every densekit object created from now on.

    In a thread other than the main one it governs the objects of that thread alone, and no other
    call reaches them: seeded runs on several threads give the bits that each gives alone. Threads
    that are not seeded draw from `random`, in whatever order they come.

    Args:
        seed: integer, 0 <= seed < 2**32.

    Raises:
        ValueError: if `seed` is not an integer.

    Example:

    >>> import densekit as keras
    >>> keras.utils.set_random_seed(1)
    """
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ValueError(
            message("set_random_seed", "an integer", describe(seed), "Pass an int, e.g. 42.")
        )
    seed_thread(seed)
    np.random.seed(seed)


@contextmanager
def kept_random_state() -> Iterator[None]:
    """What is seeded and drawn inside leaves the random state of the caller as it was."""
    state, saved = np.random.get_state(), save()
    try:
        yield
    finally:
        np.random.set_state(state)
        restore(saved)


@export("keras.random")
class SeedGenerator:
    """A seed and a counter: each draw uses the pair and moves the counter on by one.

    Args:
        seed: integer >= 0. Default: drawn from Python's `random`.
        name: name of the generator. Default: numbered ``seed_generator``.

    Raises:
        ValueError: if `seed` is not an integer >= 0.

    Example:

    >>> import densekit as keras
    >>> generator = keras.random.SeedGenerator(7)
    >>> generator.next().tolist(), generator.next().tolist()
    ([7, 0], [7, 1])
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: object) -> None:
        if kwargs:
            raise ValueError(
                message(
                    "SeedGenerator", "`seed` and `name`", f"{sorted(kwargs)}", "Drop the others."
                )
            )
        self._initial_seed = seed
        self._reserved: Reserved | None = None  # what to begin with if no seed was drawn
        if seed is None:
            seed = make_default_seed()
        if not isinstance(seed, int) or seed < 0:
            raise ValueError(
                message("SeedGenerator", "an integer seed >= 0", describe(seed), "Pass an int.")
            )
        self.name = name or auto_name(type(self))
        state = np.array([seed & 0xFFFFFFFF, 0], dtype=np.uint32)
        self.state = Variable(
            state,
            dtype="uint32",
            trainable=False,
            autocast=False,
            name="seed_generator_state",
            path=in_scope(f"{self.name}/seed_generator_state"),
        )

    def next(self, ordered: bool = True) -> TensorLike:
        """The pair ``[seed, counter]``, shape (2,); the counter then moves on by one."""
        pair: TensorLike = self.state.value
        if not isinstance(pair, np.ndarray):  # traced, or an array of another library
            self.state.assign(pair + np.array([0, 1], np.uint32))
            return pair
        pair = np.array(pair, dtype=np.uint32)
        self.advance(1)
        return pair

    def advance(self, draws: int) -> None:
        """Skip `draws` draws, as if they had been made."""
        seed, counter = (int(n) for n in self.state.value)
        self.state.assign(np.array([seed, (counter + draws) & 0xFFFFFFFF], dtype=np.uint32))

    def get_config(self) -> Config:
        """``{"seed": ..., "name": ...}``."""
        return {"seed": self._initial_seed, "name": self.name}

    @classmethod
    def from_config(cls, config: Config) -> SeedGenerator:
        """Create from `get_config`."""
        return cls(**config)


# What a draw begins with: a number, a generator that moves on, or a pair of words; None: any.
Seed: TypeAlias = int | SeedGenerator | TensorLike | None


def seed_pair(seed: Any) -> tuple[Word, Word]:
    """``(key, counter)`` of an integer, a `SeedGenerator` (which moves on) or None.

    Integers, or words of JAX if the state is traced.
    """
    if isinstance(seed, SeedGenerator):
        seed = seed.next()
        if not isinstance(seed, np.ndarray):
            return seed[0], seed[1]
        key, counter = seed
        return int(key), int(counter)
    if seed is None:
        return make_default_seed(), 0
    if isinstance(seed, int | np.integer):
        return int(seed), 0
    key, counter = np.asarray(seed).ravel()[:2]
    return int(key), int(counter)
