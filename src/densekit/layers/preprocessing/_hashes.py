"""Hashes of strings: FarmHash Fingerprint64 and SipHash-2-4, in 64-bit arithmetic.

Reference: the published algorithms (Pike and Alakuijala's FarmHash, variant "na"; Aumasson and
Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from densekit._core.errors import describe, message

_ALL = (1 << 64) - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
_K3 = 0xC6A4A7935BD1E995  # of MurmurHash


def _rotated_right(x: int, n: int) -> int:
    x &= _ALL
    return (x >> n | x << (64 - n)) & _ALL


def _rotated_left(x: int, n: int) -> int:
    return (x << n | x >> (64 - n)) & _ALL


def _mixed(x: int) -> int:
    x &= _ALL
    return x ^ x >> 47


def _folded(u: int, v: int, mul: int) -> int:
    """128 bits to 64."""
    a = _mixed((u ^ v) * mul)
    b = _mixed((v ^ a) * mul)
    return b * mul & _ALL


def _word(text: bytes, at: int, size: int = 8) -> int:
    return int.from_bytes(text[at : at + size], "little")


def farm_fingerprint64(text: bytes) -> int:
    """FarmHash's Fingerprint64."""
    n = len(text)
    if n > 64:
        return _long(text)
    mul = _K2 + 2 * n
    if n > 16:
        return _middle(text, mul)
    if n >= 8:
        a, b = _word(text, 0) + _K2, _word(text, n - 8)
        c = _rotated_right(b, 37) * mul + a
        d = (_rotated_right(a, 25) + b) * mul
        return _folded(c & _ALL, d & _ALL, mul)
    if n >= 4:
        return _folded(n + (_word(text, 0, 4) << 3), _word(text, n - 4, 4), mul)
    if n:
        y = text[0] + (text[n >> 1] << 8)
        z = n + (text[n - 1] << 2)
        return _mixed(y * _K2 ^ z * _K0) * _K2 & _ALL
    return _K2


def _middle(text: bytes, mul: int) -> int:
    n = len(text)
    a, b = _word(text, 0) * (_K1 if n <= 32 else _K2) & _ALL, _word(text, 8)
    c, d = _word(text, n - 8) * mul & _ALL, _word(text, n - 16) * _K2
    y = (_rotated_right(a + b, 43) + _rotated_right(c, 30) + d) & _ALL
    z = _folded(y, (a + _rotated_right(b + _K2, 18) + c) & _ALL, mul)
    if n <= 32:
        return z
    e, f = _word(text, 16) * mul & _ALL, _word(text, 24)
    g, h = (y + _word(text, n - 32)) * mul & _ALL, (z + _word(text, n - 24)) * mul
    u = _rotated_right(e + f, 43) + _rotated_right(g, 30) + h
    v = e + _rotated_right(f + a, 18) + g
    return _folded(u & _ALL, v & _ALL, mul)


Pair = tuple[int, int]


def _weak(text: bytes, at: int, a: int, b: int) -> Pair:
    w, x, y, z = (_word(text, at + i) for i in (0, 8, 16, 24))
    a += w
    b = _rotated_right(b + a + z, 21)
    c = a
    a += x + y
    b += _rotated_right(a, 44)
    return (a + z) & _ALL, (b + c) & _ALL


def _long(text: bytes) -> int:
    n = len(text)
    x, y = 81, 81 * _K1 + 113
    z = _mixed(y * _K2 + 113) * _K2 & _ALL
    v: Pair = (0, 0)
    w: Pair = (0, 0)
    x = x * _K2 + _word(text, 0)

    def turn(at: int, mul: int, last: bool) -> None:
        nonlocal x, y, z, v, w
        factor = 9 if last else 1
        x = _rotated_right(x + y + v[0] + _word(text, at + 8), 37) * mul & _ALL
        y = _rotated_right(y + v[1] + _word(text, at + 48), 42) * mul
        x ^= w[1] * factor & _ALL
        y = (y + v[0] * factor + _word(text, at + 40)) & _ALL
        z = _rotated_right(z + w[0], 33) * mul & _ALL
        v = _weak(text, at, v[1] * mul, x + w[0])
        w = _weak(text, at + 32, z + w[1], y + _word(text, at + 16))
        z, x = x, z

    end = (n - 1) // 64 * 64
    for at in range(0, end, 64):
        turn(at, _K1, False)
    mul = _K1 + ((z & 0xFF) << 1)
    w = (w[0] + (n - 1 & 63), w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    turn(n - 64, mul, True)
    first = _folded(v[0], w[0], mul) + _mixed(y) * _K0 + z
    second = _folded(v[1], w[1], mul) + x
    return _folded(first & _ALL, second & _ALL, mul)


def sip_hash64(key: tuple[int, int], text: bytes) -> int:
    """SipHash-2-4 with a key of 128 bits."""
    k0, k1 = key[0] & _ALL, key[1] & _ALL
    a, b = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D
    c, d = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573
    n = len(text)
    words = [_word(text, at) for at in range(0, n - n % 8, 8)]
    words.append((n & 0xFF) << 56 | _word(text, n - n % 8))

    def rounds(count: int) -> None:
        nonlocal a, b, c, d
        for _ in range(count):
            a, c = (a + b) & _ALL, (c + d) & _ALL
            b, d = _rotated_left(b, 13) ^ a, _rotated_left(d, 16) ^ c
            a, c = (_rotated_left(a, 32) + d) & _ALL, (c + b) & _ALL
            b, d = _rotated_left(b, 17) ^ c, _rotated_left(d, 21) ^ a
            c = _rotated_left(c, 32)

    for word in words:
        d ^= word
        rounds(2)
        a ^= word
    c ^= 0xFF
    rounds(4)
    return a ^ b ^ c ^ d


def combined_fingerprint64(key: int, fingerprints: Iterable[int]) -> int:
    """One fingerprint of several, in order, as TensorFlow combines those of crossed features."""
    result = key
    for fingerprint in fingerprints:
        result ^= _K3 ^ _mixed(fingerprint * _K3) * _K3
        result = _mixed(result * _K3) * _K3
        result = _mixed(result)
    return result & _ALL


def hasher(salt: list[int] | None) -> Callable[[bytes], int]:
    """FarmHash without salt, SipHash with it as the key."""
    return farm_fingerprint64 if salt is None else partial(sip_hash64, (salt[0], salt[1]))


def checked_salt(where: str, salt: object) -> list[int] | None:
    """Two integers, or None.

    Raises:
        ValueError: if it is neither one integer nor two.
    """
    if salt is None:
        return None
    pair = [salt, salt] if isinstance(salt, int) else salt
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise ValueError(
            message(where, "`salt`, one or two integers", describe(salt), "Pass e.g. 7.")
        )
    return list(pair)
