"""Hashes against published numbers."""

from __future__ import annotations

import pytest

from densekit.layers.preprocessing._hashes import farm_fingerprint64, sip_hash64

TEXT = bytes((i * i * 7 + i * 13 + 5) % 256 for i in range(400))

# Of Google's FarmHash, for the first n bytes of `TEXT`: each way through the algorithm.
FARM = {
    0: 0x9AE16A3B2F90404F,
    1: 0xD020916EC7D8CFE2,
    3: 0xC2354C21183EF0D,
    4: 0x4A2B0AAA3DACBAA4,
    7: 0x3E5B187921B155D,
    8: 0x5DAB0A4F83823C7A,
    16: 0x7D1C34D671523EBA,
    17: 0x21123D91559B1173,
    32: 0xBD5E9BC47DBD0ED9,
    33: 0x6884938E4A2BABE9,
    64: 0xCF38BC968B7AB258,
    65: 0xB929C2689C526CC6,
    127: 0xE1D11A52C1086548,
    128: 0x37FDBDA733793D85,
    129: 0xB7FF36546244508D,
    256: 0x5CAE9BDA719D10C2,
    399: 0x6981F4E0E0700810,
}


@pytest.mark.parametrize("n", FARM)
def test_farm_hash(n: int) -> None:
    assert farm_fingerprint64(TEXT[:n]) == FARM[n]


@pytest.mark.parametrize(("n", "wanted"), [(0, 0x726FDB47DD0E0E31), (15, 0xA129CA6149BE45E5)])
def test_sip_hash(n: int, wanted: int) -> None:
    """The vectors of the paper and of its reference implementation."""
    key = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
    assert sip_hash64(key, bytes(range(n))) == wanted
